//! A process ends with a stream open, and whatever else it had; or while its buffer is being made.

use super::super::buffer::expect_freed;
use super::super::controls::{self, level::Kind};
use super::super::format::PcmFormat;
use super::super::player::{self, Failed, SLOTS, fail};
use super::super::poller::Poller;
use super::super::position::PositionChecker;
use super::super::stream::{CyclicBuffer, PinStream};
use super::{After, Scene};
use crate::kernel::event::{Event, EventKind};
use crate::kernel::thread;
use crate::portcls::controls_layout::event;
use crate::portcls::endpoint::{self, Endpoint};
use crate::portcls::events::{Source, Subscription};
use crate::portcls::guid::KSEVENTSETID_AUDIO_CONTROL_CHANGE;
use crate::portcls::status::Status;
use alloc::sync::Arc;
use alloc::vec::Vec;
use ringwave_audio::SampleFormat;

/// Large enough to take a while.
const LARGE: u32 = 1 << 20;
const RATE: u32 = 48_000;
/// Between two positions of the other thread, microseconds.
const POLL_US: u64 = 100;
/// Longer than the buffer of the matrix, 100-ns units.
const A_BUFFER: i64 = 1_000_000;

/// The process ends. Without a stream it has its filter handles, and their events.
#[expect(clippy::unnecessary_wraps, reason = "one of many")]
pub fn ends(scene: &mut Scene<'_>) -> Result<After, Failed> {
    let subscriptions = subscriptions();
    if let Some((stream, _)) = scene.stream {
        stream.end_process(subscriptions);
    }
    Ok(After::LostAlone)
}

/// A card that still runs would reach the next packet's pages now, which are free (rule
/// `dma-outside-allocation`).
#[expect(clippy::unnecessary_wraps, reason = "one of many")]
pub fn after_it() -> Result<(), Failed> {
    thread::sleep_100ns(A_BUFFER);
    Ok(())
}

/// KSEVENT_CONTROL_CHANGE of every control, as a mixer has it.
fn subscriptions() -> Vec<Subscription> {
    let endpoints = [false, true].into_iter().flat_map(endpoint::all);
    let controls = endpoints.flat_map(|endpoint| {
        [Kind::Volume, Kind::Mute].into_iter().filter_map(move |kind| controls::level(&endpoint, kind))
    });
    let sources = controls.map(|level| Source {
        port: level.port,
        node: Some(level.node),
        pin: None,
        set: KSEVENTSETID_AUDIO_CONTROL_CHANGE,
        id: event::CONTROL_CHANGE,
    });
    let new_event = || Arc::new(Event::new(EventKind::Notification, false));
    sources.filter(Source::exists).filter_map(|source| source.enable(new_event()).ok()).collect()
}

/// A process ends, or cancels its request, while KSPROPERTY_RTAUDIO_BUFFER and ..._WITH_NOTIFICATION are
/// under way. The miniport knows nothing of that: it is called on the client's thread, which ends only when
/// the call has come back. Then the port cannot map the buffer into the process and frees it at once (its
/// status fails the request), or does so when the pin is closed. The other threads of the process go on until
/// then.
pub fn cancels_a_buffer(_: &mut Scene<'_>) -> Result<After, Failed> {
    for endpoint in [false, true].into_iter().flat_map(endpoint::all) {
        let format = PcmFormat::of(SampleFormat::S16, RATE, 2, true);
        for notifies in [true, false] {
            cancel(&endpoint, &format, notifies)?;
        }
    }
    Ok(After::GoesOn)
}

fn cancel(endpoint: &Endpoint, format: &PcmFormat, notifies: bool) -> Result<(), Failed> {
    let stream = player::open(endpoint, format)?;
    let block = u64::from(format.block_align());
    let checker = PositionChecker::new(u64::from(LARGE), block, u64::from(RATE));
    // SAFETY: the poller is stopped below, while the stream is alive.
    let poller = unsafe { Poller::start_in_any_state(&stream, checker, POLL_US) };
    let result = allocate(&stream, notifies).and_then(|buffer| {
        if notifies {
            stream.free(&buffer);
        } else {
            stream.free_cyclic(&buffer);
        }
        expect_freed(&buffer, "a free right after it was allocated");
        // Nothing of it stands in the way of the next one, with which the process ends.
        allocate(&stream, notifies)
    });
    poller.stop();
    stream.end_process(Vec::new());
    stream.close();
    result.map(drop)
}

fn allocate(stream: &PinStream, notifies: bool) -> Result<CyclicBuffer, Failed> {
    let allocated = if notifies { stream.allocate(SLOTS, LARGE) } else { stream.allocate_cyclic(LARGE) };
    allocated
        .map_err(|status: Status| fail("call-failed", format_args!("a buffer of {LARGE} bytes: {status}")))
}
