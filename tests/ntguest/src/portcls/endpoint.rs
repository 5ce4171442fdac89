//! Endpoints: what Windows' endpoint builder makes of the registered filters and connections (WAVERT.md 5.4).
//!
//! An endpoint is a pin that clients open with a way to a jack: along the sound for render, against it for
//! capture. Each reason why there is none is the violation `no-endpoint`.

use super::descriptor::{FLOW_IN, FLOW_OUT, Filter, Pin, Role};
use super::guid::{KSCATEGORY_AUDIO, KSNODETYPE_ANALOG_CONNECTOR, Named};
use super::object::Object;
use super::port::Port;
use super::subdevice;
use crate::kernel;
use crate::kernel::harsh::harsh_violation;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// A pin that a client can open, and the way from it to a jack.
#[derive(Clone)]
pub struct Endpoint {
    /// The wave port.
    pub port: &'static Object,
    /// The wave subdevice's name.
    pub name: String,
    /// The pin to open.
    pub pin: u32,
    /// Sound comes from it.
    pub capture: bool,
    /// What it takes.
    pub descriptor: Pin,
    /// The topology port and its jack pin.
    jack: (&'static Object, u32),
}

impl Endpoint {
    /// The topology port and its jack pin.
    pub fn jack(&self) -> (&'static Object, u32) {
        self.jack
    }
}

/// The endpoints of one direction, in the order their wave filters were registered.
pub fn all(capture: bool) -> Vec<Endpoint> {
    let flow = if capture { FLOW_OUT } else { FLOW_IN };
    let mut endpoints = Vec::new();
    for (name, port) in subdevice::registered() {
        let Some(filter) = filter_of(port, Role::Wave) else { continue };
        for (pin, descriptor) in (0u32..).zip(&filter.pins) {
            if !descriptor.is_host() || descriptor.flow != flow {
                continue;
            }
            let jacks = jacks(port, &filter, pin, capture);
            if jacks.len() > 1 {
                refuse(format_args!("pin {pin} of \"{name}\" leads to {} jacks", jacks.len()));
            }
            if let Some(&jack) = jacks.first() {
                let descriptor = descriptor.clone();
                endpoints.push(Endpoint { port, name: name.clone(), pin, capture, descriptor, jack });
            } else {
                // A loopback pin, a pin for another program: no endpoint for the audio engine.
                harsh_violation("no-endpoint", format_args!("pin {pin} of \"{name}\" has no way to a jack"));
            }
        }
    }
    endpoints
}

/// Endpoint `number` of a direction; none is the violation `no-endpoint`.
pub fn get(capture: bool, number: usize) -> Option<Endpoint> {
    let mut endpoints = all(capture);
    if number < endpoints.len() {
        return Some(endpoints.swap_remove(number));
    }
    let direction = if capture { "capture" } else { "render" };
    let count = endpoints.len();
    if count == 0 {
        refuse(format_args!("no {direction} pin of a wave filter has a way to a jack"));
    } else {
        refuse(format_args!("there are {count} {direction} endpoint(s) and number {number} is wanted"));
    }
    None
}

/// The first endpoint of a direction that is of this card.
pub fn of_card(card: usize, capture: bool) -> Option<Endpoint> {
    let is_its = |endpoint: &Endpoint| endpoint.port.body::<Port>().is_some_and(|port| port.device() == card);
    let found = all(capture).into_iter().find(is_its);
    if found.is_none() {
        refuse(format_args!("card {card} has no endpoint of this direction"));
    }
    found
}

/// Every registered filter belongs to an endpoint, and no two endpoints share a jack.
pub fn check_all() {
    let mut endpoints = all(false);
    endpoints.extend(all(true));
    for (i, one) in endpoints.iter().enumerate() {
        let category = filter_of(one.jack.0, Role::Topology)
            .and_then(|filter| filter.pins.get(one.jack.1 as usize)?.category)
            .unwrap_or(KSCATEGORY_AUDIO);
        let direction = if one.capture { "capture" } else { "render" };
        crate::kprintln!(
            "endpoint: {direction}, \"{}\" pin {}, jack {} ({})",
            one.name,
            one.pin,
            one.jack.1,
            Named(category)
        );
        let same = |other: &&Endpoint| core::ptr::eq(other.jack.0, one.jack.0) && other.jack.1 == one.jack.1;
        if let Some(other) = endpoints.iter().skip(i + 1).find(same) {
            refuse(format_args!("\"{}\" and \"{}\" share a jack", one.name, other.name));
        }
    }
    for (name, port) in subdevice::registered() {
        let used = |e: &Endpoint| core::ptr::eq(e.port, port) || core::ptr::eq(e.jack.0, port);
        if !endpoints.iter().any(used) {
            harsh_violation("no-endpoint", format_args!("subdevice \"{name}\" belongs to no endpoint"));
        }
    }
    let captures = endpoints.iter().filter(|endpoint| endpoint.capture).count();
    crate::kresult!("render_endpoints={} capture_endpoints={captures}", endpoints.len() - captures);
}

fn refuse(why: core::fmt::Arguments<'_>) {
    kernel::violation("no-endpoint", why);
}

fn filter_of(port: &'static Object, role: Role) -> Option<Arc<Filter>> {
    port.body::<Port>().filter(|body| body.role() == role)?.filter()
}

/// Pins on the other side of `pin` inside the filter: where its sound goes to, or for capture where it comes
/// from.
fn across(filter: &Filter, pin: u32, capture: bool) -> Vec<u32> {
    if !capture {
        return filter.reachable(pin);
    }
    let entries = (0u32..).zip(&filter.pins).filter(|(_, pin)| pin.flow == FLOW_IN);
    entries.map(|(entry, _)| entry).filter(|entry| filter.reachable(*entry).contains(&pin)).collect()
}

/// The jack pins that a wave pin leads to, through the physical connection of its bridge.
fn jacks(wave: &'static Object, filter: &Filter, pin: u32, capture: bool) -> Vec<(&'static Object, u32)> {
    let mut jacks = Vec::new();
    for bridge in across(filter, pin, capture) {
        let Some((topology, entry)) = subdevice::neighbour(wave, bridge, capture) else {
            refuse(format_args!("wave bridge pin {bridge} is not physically connected to a topology filter"));
            continue;
        };
        let Some(topology_filter) = filter_of(topology, Role::Topology) else {
            refuse(format_args!("wave bridge pin {bridge} leads to something that is no topology filter"));
            continue;
        };
        for jack in across(&topology_filter, entry, capture) {
            let category = topology_filter.pins.get(jack as usize).and_then(|pin| pin.category);
            match category {
                _ if subdevice::neighbour(topology, jack, capture).is_some() => {}
                Some(KSCATEGORY_AUDIO | KSNODETYPE_ANALOG_CONNECTOR) | None => {
                    refuse(format_args!("jack pin {jack} has a category that makes a hidden endpoint"));
                }
                Some(_) => jacks.push((topology, jack)),
            }
        }
    }
    jacks
}
