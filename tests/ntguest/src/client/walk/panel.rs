//! A control panel, at random: volume, mute and jacks with good values, any property with any instance, verb
//! and room, and KSEVENT_CONTROL_CHANGE enabled and disabled.

use super::super::controls::{self, jack_property, level::Kind};
use super::super::property_protocol::instance;
use super::super::stress::{accepted, finding};
use super::Random;
use crate::kernel::event::{Event, EventKind};
use crate::portcls::controls_layout::{ALL_CHANNELS, event, property, verb};
use crate::portcls::endpoint::Endpoint;
use crate::portcls::events::{Source, Subscription};
use crate::portcls::guid::{Guid, KSEVENTSETID_AUDIO_CONTROL_CHANGE};
use crate::portcls::property::{self as request, Property, UNTOUCHED};
use crate::portcls::subdevice;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

/// -96 dB, the softest, in 1/65536 dB.
const SOFTEST: u32 = 96 * 65536;
/// Bytes of a `KSMULTIPLE_ITEM` and a `KSJACK_DESCRIPTION`.
const JACK_BYTES: usize = 36;
const ROOMS: [usize; 10] = [0, 1, 4, 8, 36, 39, 40, 64, 87, 200];
const VERBS: [u32; 5] = [verb::GET, verb::SET, verb::BASIC_SUPPORT, 0, 0x0fff_ff00];
const SUBSCRIPTIONS: usize = 4;

/// The endpoints, and the events that are enabled.
pub struct PanelWalk {
    endpoints: Vec<Endpoint>,
    subscriptions: Vec<Subscription>,
}

impl PanelWalk {
    /// For these endpoints.
    pub fn new(endpoints: &[Endpoint]) -> Self {
        Self { endpoints: endpoints.to_vec(), subscriptions: Vec::new() }
    }

    /// One event.
    pub fn step(&mut self, random: &mut Random) {
        let at = random.below(self.endpoints.len() as u32) as usize;
        let Some(endpoint) = self.endpoints.get(at) else { return };
        let kind = if random.once_in(2) { Kind::Volume } else { Kind::Mute };
        match random.below(100) {
            0..30 => set(endpoint, kind, random),
            30..45 => jack(endpoint),
            45..75 => any_request(random),
            75..90 if self.subscriptions.len() < SUBSCRIPTIONS => {
                self.subscriptions.extend(subscribe(endpoint, kind));
            }
            75..90 => {
                let gone = random.below(SUBSCRIPTIONS as u32) as usize;
                drop(self.subscriptions.swap_remove(gone));
            }
            _ => random.sleep(10),
        }
    }

    /// Everything is as it was.
    pub fn finish(&mut self) {
        self.subscriptions.clear();
        for endpoint in &self.endpoints {
            for kind in [Kind::Volume, Kind::Mute] {
                if let Some(level) = controls::level(endpoint, kind) {
                    accepted("a control put back", level.set(ALL_CHANNELS, 0));
                }
            }
        }
    }
}

fn set(endpoint: &Endpoint, kind: Kind, random: &mut Random) {
    let Some(level) = controls::level(endpoint, kind) else { return };
    // Both are there whatever the number of channels is.
    let channel = if random.once_in(2) { ALL_CHANNELS } else { 0 };
    let value = match kind {
        Kind::Volume => -random.below(SOFTEST).cast_signed(),
        Kind::Mute => random.below(2).cast_signed(),
    };
    accepted("a control that is set", level.set(channel, value));
    if let Err(status) = level.get(0) {
        finding(format_args!("{kind:?} of channel 0: {status}"));
    }
}

fn jack(endpoint: &Endpoint) {
    let number = instance(endpoint.jack().1);
    let description = jack_property(endpoint, property::JACK_DESCRIPTION, &number);
    if description.item().is_some() {
        accepted("a jack's description", description.call(verb::GET, &[UNTOUCHED; JACK_BYTES]).status);
    }
}

fn subscribe(endpoint: &Endpoint, kind: Kind) -> Option<Subscription> {
    let level = controls::level(endpoint, kind)?;
    let source = Source {
        port: level.port,
        node: Some(level.node),
        pin: None,
        set: KSEVENTSETID_AUDIO_CONTROL_CHANGE,
        id: event::CONTROL_CHANGE,
    };
    let exists = source.exists();
    let enabled = source.enable(Arc::new(Event::new(EventKind::Notification, false)));
    if exists && let Err(status) = &enabled {
        finding(format_args!("KSEVENT_CONTROL_CHANGE: {status}"));
    }
    enabled.ok()
}

/// What the answer is nobody knows; what holds for every answer is checked where the request is handed over.
fn any_request(random: &mut Random) {
    let ports = subdevice::registered();
    let Some((_, port)) = ports.get(random.below(ports.len() as u32) as usize) else { return };
    let node = random.below(4).checked_sub(1);
    let items: Vec<(Guid, u32)> =
        request::table(port, node, |table| table.properties.iter().map(|item| (item.set, item.id)).collect())
            .unwrap_or_default();
    let Some((set, id)) = items.get(random.below(items.len() as u32) as usize) else { return };
    let bytes = vec![if random.once_in(2) { 0 } else { 0xff }; random.below(25) as usize];
    let (verb, room) = (VERBS[random.below(5) as usize], ROOMS[random.below(10) as usize]);
    let value = if verb == verb::SET { vec![0; room] } else { vec![UNTOUCHED; room] };
    Property { port, node, set: *set, id: *id, instance: &bytes }.call(verb, &value);
}
