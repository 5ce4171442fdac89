//! KSPROPERTY_AUDIO_VOLUMELEVEL and KSPROPERTY_AUDIO_MUTE: the properties of the nodes. WAVERT.md 5.7.
//!
//! **Channels.** As many as the endpoint's default format has ([`crate::default_format`]: two, a microphone
//! one), so that no control panel shows eight sliders. What a client opens beyond them is not left at 0 dB:
//! channel c of the card follows control c modulo their number, so that the left control turns every second
//! channel of a 7.1 stream, and a microphone's its only one and all others. (The volume of a channel that a
//! format has not has no effect: DATASHEET 5.8.)
//!
//! **Values.** What is set is what is got, to 1/65536 dB, although the range counts in steps of half a
//! decibel as the samples' does: the card takes them all, and an SET between two steps is not an error by the
//! property's page. That page also says that an SET beyond the range succeeds and a GET tells what became of
//! it: the nearest end of the range.
//!
//! KSPROPERTY_AUDIO_CPU_RESOURCES is not here: its page names other nodes (echo, noise, peak meters), and the
//! samples have it at those only.

use nt::status::STATUS_INVALID_PARAMETER;
use portcls_sys::guid::KSPROPSETID_Audio;
use portcls_sys::ks::{
    ALL_CHANNELS_ID, KSPROPERTY_AUDIO_MUTE, KSPROPERTY_AUDIO_VOLUMELEVEL, KSPROPERTY_STEPPING_LONG,
    KSPROPERTY_TYPE_BASICSUPPORT, KSPROPERTY_TYPE_GET, KSPROPERTY_TYPE_SET, VT_BOOL, VT_I4,
};
use portcls_sys::pc::{PCAUTOMATION_TABLE, PCPROPERTY_ITEM};
use portcls_sys::property::{PropertyHandler, Reply, Verb, pin_of};

use super::event_requests::CONTROL_CHANGE;
use super::miniport::TopologyMiniport;
use super::pins::{NODE_MUTE, NODE_VOLUME};
use crate::hw::format::CHANNELS_MAX;

/// A range for each channel that a card can have.
const _: () = assert!(CHANNELS_MAX as usize <= portcls_sys::property::RANGES_MAX);

const VERBS: u32 = KSPROPERTY_TYPE_GET | KSPROPERTY_TYPE_SET | KSPROPERTY_TYPE_BASICSUPPORT;

static VOLUME_LEVEL: [PCPROPERTY_ITEM; 1] =
    [PCPROPERTY_ITEM::answered_by::<VolumeLevel>(&KSPROPSETID_Audio, KSPROPERTY_AUDIO_VOLUMELEVEL, VERBS)];
static MUTED: [PCPROPERTY_ITEM; 1] =
    [PCPROPERTY_ITEM::answered_by::<Mute>(&KSPROPSETID_Audio, KSPROPERTY_AUDIO_MUTE, VERBS)];

/// Properties and events of the volume node.
pub static VOLUME: PCAUTOMATION_TABLE = PCAUTOMATION_TABLE::new(&VOLUME_LEVEL, &CONTROL_CHANGE);
/// Properties and events of the mute node.
pub static MUTE: PCAUTOMATION_TABLE = PCAUTOMATION_TABLE::new(&MUTED, &CONTROL_CHANGE);

/// Half a decibel in 1/65536 dB, the unit of KSPROPERTY_AUDIO_VOLUMELEVEL.
const HALF_A_DECIBEL: u32 = 65_536 / 2;
/// A BOOL as a range, as *Exposing Multichannel Nodes* wants it.
const OFF_OR_ON: KSPROPERTY_STEPPING_LONG =
    KSPROPERTY_STEPPING_LONG { SteppingDelta: 1, Reserved: 0, SignedMinimum: 0, SignedMaximum: 1 };

/// KSPROPERTY_AUDIO_VOLUMELEVEL.
struct VolumeLevel;

impl PropertyHandler for VolumeLevel {
    type Miniport = TopologyMiniport;

    fn answer(miniport: &TopologyMiniport, verb: Verb, instance: &[u8], value: &mut [u8]) -> Reply {
        volume(miniport, verb, instance, value)
    }
}

/// KSPROPERTY_AUDIO_MUTE.
struct Mute;

impl PropertyHandler for Mute {
    type Miniport = TopologyMiniport;

    fn answer(miniport: &TopologyMiniport, verb: Verb, instance: &[u8], value: &mut [u8]) -> Reply {
        mute(miniport, verb, instance, value)
    }
}

fn volume(miniport: &TopologyMiniport, verb: Verb, instance: &[u8], value: &mut [u8]) -> Reply {
    let (adapter, stream, channels) = stream_of(miniport);
    if verb == Verb::BasicSupport {
        let range = KSPROPERTY_STEPPING_LONG {
            SteppingDelta: HALF_A_DECIBEL,
            Reserved: 0,
            SignedMinimum: volume_min(miniport),
            SignedMaximum: 0,
        };
        return Reply::channels_support(value, VT_I4, &range, channels);
    }
    let (wanted, asked) = match channels_and_value(instance, value, channels) {
        Ok(both) => both,
        Err(refused) => return refused,
    };
    if verb == Verb::Get {
        return Reply::parts(value, &[&adapter.mixer().volume(stream, wanted.0).to_le_bytes()]);
    }
    let volume = asked.clamp(volume_min(miniport), 0);
    let set = |channel| adapter.mixer().set_volume(adapter.card(), stream, channel, volume);
    // All of them, though the first may be enough to know that something changed.
    if channels_of(miniport, wanted).fold(false, |changed, channel| set(channel) | changed) {
        miniport.events().control_changed(NODE_VOLUME);
    }
    Reply::DONE
}

fn mute(miniport: &TopologyMiniport, verb: Verb, instance: &[u8], value: &mut [u8]) -> Reply {
    let (adapter, stream, channels) = stream_of(miniport);
    if verb == Verb::BasicSupport {
        return Reply::channels_support(value, VT_BOOL, &OFF_OR_ON, channels);
    }
    let (wanted, asked) = match channels_and_value(instance, value, channels) {
        Ok(both) => both,
        Err(refused) => return refused,
    };
    if verb == Verb::Get {
        let muted = u32::from(adapter.mixer().muted(stream, wanted.0));
        return Reply::parts(value, &[&muted.to_le_bytes()]);
    }
    let set = |channels| adapter.mixer().set_muted(adapter.card(), stream, channels, asked != 0);
    let changed = if wanted == (0, channels) {
        // One register for all.
        set((0, miniport.endpoint().can.channels_max))
    } else {
        let each = channels_of(miniport, wanted);
        each.fold(false, |changed, channel| set((channel, channel.saturating_add(1))) | changed)
    };
    if changed {
        miniport.events().control_changed(NODE_MUTE);
    }
    Reply::DONE
}

/// The card's lowest volume. One without volume has no such node.
fn volume_min(miniport: &TopologyMiniport) -> i32 {
    miniport.endpoint().limits.volume_min.unwrap_or(0).min(0)
}

/// The card's channels that follow these controls.
fn channels_of(miniport: &TopologyMiniport, (first, end): (u32, u32)) -> impl Iterator<Item = u32> + use<> {
    let (controls, channels) = (miniport.channels().max(1), miniport.endpoint().can.channels_max);
    (0..channels).filter(move |channel| (first..end).contains(&(channel % controls)))
}

/// Whose controls: the adapter, the card's stream, and how many channels there are controls for.
fn stream_of(miniport: &TopologyMiniport) -> (&crate::adapter::Adapter, u32, u32) {
    let endpoint = miniport.endpoint();
    (miniport.adapter(), endpoint.stream, miniport.channels())
}

/// The channels that a request is about, as first and end, and the number in its value. Of all channels a GET
/// tells the first.
fn channels_and_value(instance: &[u8], value: &[u8], channels: u32) -> Result<((u32, u32), i32), Reply> {
    let Some(number) = value.first_chunk() else { return Err(Reply::no_room(value.len(), 4)) };
    // The instance is what follows KSNODEPROPERTY: the channel.
    let wanted = match pin_of(instance).map_err(Reply::refused)? {
        ALL_CHANNELS_ID => (0, channels),
        channel if channel < channels => (channel, channel.saturating_add(1)),
        _ => return Err(Reply::refused(STATUS_INVALID_PARAMETER)),
    };
    Ok((wanted, i32::from_le_bytes(*number)))
}

#[cfg(test)]
mod tests;
