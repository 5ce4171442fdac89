//! The event channel that the audio engine tells glitches in.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use ringwave_winplay::events;
use ringwave_winplay::hresult::Hresult;
use ringwave_winplay::json::Object;
use ringwave_winplay::outcome::{Cause, Failure};
use windows::Win32::Foundation::ERROR_NO_MORE_ITEMS;
use windows::Win32::System::EventLog::{
    EVT_HANDLE, EVT_VARIANT, EvtChannelConfigEnabled, EvtClose, EvtGetChannelConfigProperty, EvtNext,
    EvtOpenChannelConfig, EvtQuery, EvtQueryChannelPath, EvtQueryForwardDirection, EvtRender,
    EvtRenderEventXml, EvtSaveChannelConfig, EvtSetChannelConfigProperty,
};
use windows::core::w;

use crate::watch;

/// A handle of wevtapi; it is closed with this value.
struct Handle(EVT_HANDLE);

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: our own handle, for the last time.
        let _ = unsafe { EvtClose(self.0) };
    }
}

fn config() -> Result<Handle, Failure> {
    let path = w!("Microsoft-Windows-Audio/GlitchDetection");
    ask!("EvtOpenChannelConfig", EvtOpenChannelConfig(None, path, 0)).map(Handle)
}

/// Whether the channel gets events.
fn enabled() -> Result<bool, Failure> {
    let config = config()?;
    let (mut value, mut used) = (EVT_VARIANT::default(), 0);
    let size = u32::try_from(size_of::<EVT_VARIANT>()).unwrap_or(0);
    ask!(
        "EvtGetChannelConfigProperty",
        EvtGetChannelConfigProperty(
            config.0,
            EvtChannelConfigEnabled,
            0,
            size,
            Some(&raw mut value),
            &raw mut used
        )
    )?;
    // SAFETY: this property is a truth value.
    Ok(unsafe { value.Anonymous.BooleanVal }.as_bool())
}

/// Turns it on. *Doubt*: whether the channel can be written while it is on, as debug channels can't.
pub fn enable() -> Result<(), Failure> {
    let config = config()?;
    // EvtVarTypeBoolean.
    let mut value = EVT_VARIANT { Count: 1, Type: 13, ..EVT_VARIANT::default() };
    value.Anonymous.BooleanVal = true.into();
    ask!(
        "EvtSetChannelConfigProperty",
        EvtSetChannelConfigProperty(config.0, EvtChannelConfigEnabled, 0, &raw const value)
    )?;
    ask!("EvtSaveChannelConfig", EvtSaveChannelConfig(config.0, 0))
}

/// Reads what came since the program began, into the step's line. A channel that can't be read says nothing
/// of a card: the step is skipped then, with the call that said so.
pub fn read(more: &mut Object) -> Result<String, Failure> {
    read_channel(more).map_err(|mut failure| {
        failure.cause = Cause::ChannelOff;
        failure
    })
}

fn read_channel(more: &mut Object) -> Result<String, Failure> {
    let on = enabled();
    more.set("enabled", on.as_ref().ok().copied());
    if !on? {
        more.set("events", Option::<u32>::None).set("ids", Option::<u32>::None);
        return Err(Failure::new(
            Cause::ChannelOff,
            "the channel is not enabled: --enable-glitches, or wevtutil sl Microsoft-Windows-Audio/GlitchDetection /e:true",
        ));
    }
    let ids = events_since(watch::since_start())?;
    let mut counts: Vec<(u32, u32)> = Vec::new();
    for id in &ids {
        match counts.iter_mut().find(|(known, _)| known == id) {
            Some((_, count)) => *count += 1,
            None => counts.push((*id, 1)),
        }
    }
    let objects = counts.iter().map(|(id, count)| {
        let mut object = Object::new();
        object.set("id", *id).set("count", *count);
        object
    });
    let count = u32::try_from(ids.len()).unwrap_or(u32::MAX);
    more.set("events", count).set("ids", objects.collect::<Vec<_>>());
    Ok(format!("{count} events in the channel"))
}

/// Numbers of the events of the last so many milliseconds.
fn events_since(milliseconds: u64) -> Result<Vec<u32>, Failure> {
    let query = format!("*[System[TimeCreated[timediff(@SystemTime) <= {milliseconds}]]]");
    let query = windows::core::HSTRING::from(query);
    let path = w!("Microsoft-Windows-Audio/GlitchDetection");
    let flags = EvtQueryChannelPath.0 | EvtQueryForwardDirection.0;
    let results = Handle(ask!("EvtQuery", EvtQuery(None, path, &query, flags))?);
    let mut ids = Vec::new();
    while ids.len() < 100_000 {
        let (mut event, mut got) = ([0; 1], 0);
        match ask!("EvtNext", EvtNext(results.0, &mut event, 5000, 0, &raw mut got)) {
            Ok(()) => {
                let event = Handle(EVT_HANDLE(event[0]));
                ids.extend(id_of(&event)?);
            }
            Err(failure) => {
                let end = Hresult(ERROR_NO_MORE_ITEMS.to_hresult().0.cast_unsigned());
                let ended = failure.call.and_then(|(_, code)| code) == Some(end);
                return if ended { Ok(ids) } else { Err(failure) };
            }
        }
    }
    Ok(ids)
}

fn id_of(event: &Handle) -> Result<Option<u32>, Failure> {
    let mut buffer = alloc::vec![0_u16; 32 * 1024];
    let (mut used, mut count) = (0, 0);
    let size = u32::try_from(buffer.len() * 2).unwrap_or(0);
    ask!(
        "EvtRender",
        EvtRender(
            None,
            event.0,
            EvtRenderEventXml.0,
            size,
            Some(buffer.as_mut_ptr().cast()),
            &raw mut used,
            &raw mut count
        )
    )?;
    let text = buffer.get(..used as usize / 2).unwrap_or_default();
    Ok(events::event_id(&String::from_utf16_lossy(text)))
}
