//! What the endpoint builder and a control panel ask (cfg `client=controls`): nodes, volume, mute, jack,
//! their events, and what the audio engine negotiates (WAVERT.md 4.8 steps 1 and 2, 5.3 to 5.7).
//!
//! Everything that was changed is put back. `expect_volume=0` is for a card without volume: its filters have
//! no nodes.

mod events;
pub mod jack;
pub mod level;
mod pin;
pub mod settings;
mod together;

use self::level::{Kind, Level};
use super::{negotiate_modes, proposals};
use crate::client::default_format;
use crate::client::made_format::MadeFormat;
use crate::client::property_protocol;
use crate::kernel::{self, cfg};
use crate::portcls::controls_layout::property;
use crate::portcls::descriptor::Filter;
use crate::portcls::endpoint::{self, Endpoint};
use crate::portcls::fault::{self, Fault};
use crate::portcls::guid::{
    Guid, KSNODETYPE_MUTE, KSNODETYPE_SPEAKER, KSNODETYPE_VOLUME, KSPROPSETID_AUDIO, KSPROPSETID_JACK,
};
use crate::portcls::port::Port;
use crate::portcls::property::Property;
use crate::portcls::subdevice;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// The values of KSPROPERTY_AUDIO_CPU_RESOURCES: not the host's processor, the host's.
const CPU_RESOURCES: [u32; 2] = [0, 0x7fff_ffff];

/// What was found, for the result line.
#[derive(Default)]
struct Tally {
    endpoints: u32,
    volumes: u32,
    mutes: u32,
    channels: u32,
    events: u32,
    jacks: u32,
    proposed: u32,
    accepted: u32,
    modes: u32,
    pins: u32,
}

/// Asks all endpoints everything; true when there is one.
pub fn run() -> bool {
    let mut tally = Tally::default();
    for (capture, direction) in [(false, "render"), (true, "capture")] {
        let endpoints = endpoint::all(capture);
        speakers(&endpoints);
        for (number, endpoint) in endpoints.iter().enumerate() {
            crate::kprintln!("controls of \"{}\"", endpoint.name);
            tally.endpoints += 1;
            let channels = nodes(endpoint, &mut tally);
            let jack = jack::check(endpoint);
            tally.jacks += u32::from(jack.is_some());
            let modes = negotiate_modes::check(endpoint);
            tally.modes += u32::try_from(modes.len()).unwrap_or(0);
            if let Some(default) = default_format::check(endpoint, &modes) {
                crate::kresult!("{direction}{number}_default={default}");
                same_channels(endpoint, default, channels, jack);
            }
            let (proposed, accepted) = proposals::check(endpoint, &modes);
            (tally.proposed, tally.accepted) = (tally.proposed + proposed, tally.accepted + accepted);
            tally.pins += pin::check(endpoint);
        }
    }
    for (_, port) in subdevice::registered() {
        property_protocol::send_wrong_requests(port);
    }
    let Tally { endpoints, volumes, mutes, channels, events, jacks, proposed, accepted, modes, pins } = tally;
    crate::kresult!(
        "controls_endpoints={endpoints} volume_nodes={volumes} mute_nodes={mutes} volume_channels={channels} control_events={events} jacks={jacks}"
    );
    crate::kresult!("proposed={proposed} proposals_accepted={accepted} modes={modes} pin_properties={pins}");
    endpoints > 0
}

/// Windows names every endpoint of the category SPEAKER "Speakers", whatever the driver calls it (seen on
/// Windows 11, and by several): of more than one, nobody could tell which is which.
fn speakers(endpoints: &[Endpoint]) {
    let is_speaker = |endpoint: &&Endpoint| {
        let jack = endpoint.jack().1 as usize;
        topology(endpoint).and_then(|filter| filter.pins.get(jack)?.category) == Some(KSNODETYPE_SPEAKER)
    };
    let count = endpoints.iter().filter(is_speaker).count() + usize::from(fault::make(Fault::TwoSpeakers));
    if count > 1 {
        kernel::harsh_violation(
            "speaker-names",
            format_args!("{count} render endpoints are KSNODETYPE_SPEAKER: Windows gives them one name"),
        );
    }
}

/// Volume, mute and jack have the channels of the default format, so that a panel shows no slider that moves
/// nothing.
fn same_channels(endpoint: &Endpoint, default: MadeFormat, channels: Option<u32>, mapping: Option<u32>) {
    let due = u32::from(default.channels) + u32::from(fault::make(Fault::OtherChannels));
    let wrong = |what: &str, count: u32| {
        kernel::harsh_violation(
            "endpoint-channels",
            format_args!("\"{}\": {what} has {count} channel(s), the default format {due}", endpoint.name),
        );
    };
    if let Some(channels) = channels.filter(|channels| *channels != due) {
        wrong("the volume", channels);
    }
    // A mapping of 0 names no speakers.
    if let Some(count) = mapping.map(u32::count_ones).filter(|count| *count != 0 && *count != due) {
        wrong("the jack", count);
    }
}

/// The filter that an endpoint's jack belongs to.
pub fn topology(endpoint: &Endpoint) -> Option<Arc<Filter>> {
    endpoint.jack().0.body::<Port>()?.filter()
}

/// The nodes of a type.
fn of_type(filter: &Filter, kind: Guid) -> Vec<u32> {
    let nodes = (0u32..).zip(&filter.nodes);
    nodes.filter(|(_, node)| node.node_type == Some(kind)).map(|(id, _)| id).collect()
}

/// The one volume or mute of an endpoint.
pub fn level(endpoint: &Endpoint, kind: Kind) -> Option<Level> {
    let wanted = if kind == Kind::Volume { KSNODETYPE_VOLUME } else { KSNODETYPE_MUTE };
    let node = *of_type(&*topology(endpoint)?, wanted).first()?;
    Some(Level { port: endpoint.jack().0, node, kind })
}

/// Volume and mute between wave filter and jack; how many channels they have, if they are there.
fn nodes(endpoint: &Endpoint, tally: &mut Tally) -> Option<u32> {
    let filter = topology(endpoint)?;
    let expected = usize::from(cfg::get_bool("expect_volume", true));
    let (mut volumes, mutes) = (of_type(&filter, KSNODETYPE_VOLUME), of_type(&filter, KSNODETYPE_MUTE));
    if fault::make(Fault::MoreNodes) {
        volumes.extend_from_within(..);
    }
    if volumes.len() != expected || mutes.len() != expected || (expected == 0 && !filter.nodes.is_empty()) {
        kernel::violation(
            "control-nodes",
            format_args!(
                "\"{}\" has {} node(s), {} volume(s) and {} mute(s) between wave filter and jack; {expected} of each is due",
                endpoint.name,
                filter.nodes.len(),
                volumes.len(),
                mutes.len()
            ),
        );
    }
    tally.volumes += u32::try_from(volumes.len()).unwrap_or(0);
    tally.mutes += u32::try_from(mutes.len()).unwrap_or(0);
    let mut channels = 1;
    for kind in [Kind::Volume, Kind::Mute] {
        let Some(level) = level(endpoint, kind) else { continue };
        channels = level.check(channels);
        tally.events += u32::from(events::check(&level, channels));
        together::outlives_a_stream(endpoint, &level, channels);
        together::two_clients(&level);
    }
    tally.channels = tally.channels.max(channels * u32::from(!volumes.is_empty()));
    cpu_resources(endpoint, &filter);
    (!volumes.is_empty()).then_some(channels)
}

fn cpu_resources(endpoint: &Endpoint, filter: &Filter) {
    for node in (0u32..).zip(&filter.nodes).map(|(id, _)| id) {
        let property = Property {
            port: endpoint.jack().0,
            node: Some(node),
            set: KSPROPSETID_AUDIO,
            id: property::CPU_RESOURCES,
            instance: &[],
        };
        if property.item().is_none() {
            continue;
        }
        let value =
            property_protocol::get_every_size(&property, 4).map(|bytes| property_protocol::word(&bytes, 0));
        if value.is_some_and(|value| !CPU_RESOURCES.contains(&value)) {
            kernel::violation("control-nodes", format_args!("{property}: CPU resources {value:x?}"));
        }
    }
}

/// A property of the jack's filter for a pin.
pub fn jack_property<'a>(endpoint: &Endpoint, id: u32, instance: &'a [u8]) -> Property<'a> {
    Property { port: endpoint.jack().0, node: None, set: KSPROPSETID_JACK, id, instance }
}
