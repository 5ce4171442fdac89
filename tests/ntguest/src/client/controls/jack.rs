//! Jacks: their descriptions (`client=controls`), and waiting for somebody to plug and unplug
//! (`client=jack`); rule `jack`.

use super::{jack_property, topology};
use crate::client::property_protocol::{self, instance, word};
use crate::kernel::event::{Event, EventKind, wait};
use crate::kernel::{self, cfg};
use crate::portcls::controls_layout::{event, property, verb};
use crate::portcls::endpoint::{self, Endpoint};
use crate::portcls::events::{Source, Subscription};
use crate::portcls::fault::{self, Fault};
use crate::portcls::guid::KSEVENTSETID_PIN_CAPS_CHANGE;
use crate::portcls::property::UNTOUCHED;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

/// Bytes of a `KSMULTIPLE_ITEM`, a `KSJACK_DESCRIPTION`, a `KSJACK_DESCRIPTION2`.
const HEADER: usize = 8;
const DESCRIPTION: usize = 28;
const DESCRIPTION2: usize = 8;
/// `JACKDESC2_PRESENCE_DETECT_CAPABILITY` and `JACKDESC2_DYNAMIC_FORMAT_CHANGE_CAPABILITY`
const PRESENCE_DETECT: u32 = 1;
const CAPABILITIES: u32 = 3;
/// Greatest values of color, connection type, geometric and general location, port connection and
/// `IsConnected`.
const GREATEST: [u32; 6] = [0x00ff_ffff, 11, 16, 3, 3, 1];

fn wrong(endpoint: &Endpoint, what: fmt::Arguments<'_>) {
    kernel::violation("jack", format_args!("\"{}\": {what}", endpoint.name));
}

/// What no sample says and Windows passes over.
fn harsh(endpoint: &Endpoint, what: fmt::Arguments<'_>) {
    kernel::harsh_violation("jack", format_args!("\"{}\": {what}", endpoint.name));
}

/// The items of a reply: each as long as `bytes`.
fn items(endpoint: &Endpoint, id: u32, bytes: usize) -> Option<Vec<u8>> {
    let number = instance(endpoint.jack().1);
    let property = jack_property(endpoint, id, &number);
    let size = property_protocol::size(&property)?;
    let reply = property_protocol::get_every_size(&property, size)?;
    let count = word(&reply, 4) as usize;
    if count == 0 || size != HEADER + count * bytes || word(&reply, 0) as usize != size {
        wrong(endpoint, format_args!("{property}: Size {}, Count {count} in {size} bytes", word(&reply, 0)));
        return None;
    }
    Some(reply[HEADER..].to_vec())
}

/// Whether the jack says that something is plugged in.
fn connected(endpoint: &Endpoint) -> Option<bool> {
    let number = instance(endpoint.jack().1);
    let reply = property_protocol::get(
        &jack_property(endpoint, property::JACK_DESCRIPTION, &number),
        HEADER + DESCRIPTION,
    );
    reply.bytes().map(|bytes| word(bytes, HEADER + 24) != 0)
}

/// Asks for both descriptions of every pin; the ChannelMapping when the jack has one.
pub fn check(endpoint: &Endpoint) -> Option<u32> {
    let number = instance(endpoint.jack().1);
    jack_property(endpoint, property::JACK_DESCRIPTION, &number).item()?;
    let described = items(endpoint, property::JACK_DESCRIPTION, DESCRIPTION);
    let second = jack_property(endpoint, property::JACK_DESCRIPTION2, &number).item();
    let detects = second.and_then(|_| items(endpoint, property::JACK_DESCRIPTION2, DESCRIPTION2));
    for id in [property::JACK_DESCRIPTION, property::JACK_DESCRIPTION2] {
        if jack_property(endpoint, id, &number).item().is_some() {
            let _ = property_protocol::basic_support(&jack_property(endpoint, id, &number));
            property_protocol::refuse_verbs(&jack_property(endpoint, id, &number));
            other_pins(endpoint, id);
        }
    }
    for jack in described.iter().flat_map(|bytes| bytes.chunks_exact(DESCRIPTION)) {
        check_description(endpoint, jack, detects.as_deref());
    }
    events(endpoint);
    described.map(|bytes| word(&bytes, 0))
}

fn check_description(endpoint: &Endpoint, jack: &[u8], detects: Option<&[u8]>) {
    let mut values = [4, 8, 12, 16, 20, 24].map(|at| word(jack, at));
    if fault::make(Fault::JackLies) {
        values[5] = 7;
    }
    if values.iter().zip(GREATEST).any(|(value, greatest)| *value > greatest) {
        wrong(endpoint, format_args!("color, types, locations, connection are {values:x?}"));
    }
    if endpoint.capture && word(jack, 0) != 0 {
        harsh(endpoint, format_args!("a jack that records has a ChannelMapping {:#x}", word(jack, 0)));
    }
    let capabilities = detects.map_or(0, |bytes| word(bytes, 4));
    if capabilities & !CAPABILITIES != 0 {
        wrong(endpoint, format_args!("JackCapabilities {capabilities:#x}"));
    }
    if values[5] == 0 && capabilities & PRESENCE_DETECT == 0 {
        wrong(endpoint, format_args!("nothing is connected to a jack that cannot know"));
    }
}

/// Only the jack has a description.
fn other_pins(endpoint: &Endpoint, id: u32) {
    let Some(filter) = topology(endpoint) else { return };
    let pins = u32::try_from(filter.pins.len()).unwrap_or(0);
    for pin in (0..pins).chain([pins, 99, u32::MAX]).filter(|pin| *pin != endpoint.jack().1) {
        let number = instance(pin);
        let reply = property_protocol::get(&jack_property(endpoint, id, &number), HEADER + DESCRIPTION);
        if reply.status.is_success() {
            wrong(endpoint, format_args!("pin {pin:#x} is no jack and is described (property {id})"));
        }
        // The property is answered for the pins that have it: that goes for BASICSUPPORT too.
        let asked = if fault::make(Fault::AnyPin) { endpoint.jack().1 } else { pin };
        let number = instance(asked);
        let property = jack_property(endpoint, id, &number);
        if property.call(verb::BASIC_SUPPORT, &[UNTOUCHED; 64]).status.is_success() {
            harsh(endpoint, format_args!("BASICSUPPORT for pin {pin:#x}, which is no jack (property {id})"));
        }
    }
    for bytes in 0..4 {
        let number = instance(endpoint.jack().1);
        let reply =
            property_protocol::get(&jack_property(endpoint, id, &number[..bytes]), HEADER + DESCRIPTION);
        if reply.status.is_success() {
            wrong(endpoint, format_args!("{bytes} bytes of a pin are enough (property {id})"));
        }
    }
}

fn source(endpoint: &Endpoint) -> Source {
    let (port, pin) = endpoint.jack();
    let (set, id) = (KSEVENTSETID_PIN_CAPS_CHANGE, event::JACK_INFO_CHANGE);
    Source { port, node: None, pin: Some(pin), set, id }
}

/// The jack's event can be enabled and disabled, and nothing else gets into the list.
fn events(endpoint: &Endpoint) {
    let source = source(endpoint);
    if !source.exists() {
        return;
    }
    for (verb, due) in [(event::SUPPORT, true), (event::ADD, false), (3, false), (u32::MAX, false)] {
        let status = source.call(verb, core::ptr::null_mut());
        if status.is_success() != due {
            wrong(endpoint, format_args!("{source}: verb {verb:#x} without an entry: {status}"));
        }
    }
    let signal = Arc::new(Event::new(EventKind::Synchronization, false));
    for _ in 0..3 {
        if let Err(status) = source.enable(signal.clone()) {
            wrong(endpoint, format_args!("{source} cannot be enabled: {status}"));
        }
    }
}

/// A jack that is listened to.
struct Listened {
    endpoint: Endpoint,
    subscription: Subscription,
    seen: u64,
    number: usize,
}

/// Waits for `jacks=` changes (2), and says after each which jack it was and what is connected now.
///
/// The line `jack_ready=N` with the number of jacks says that it listens. True when all changes came.
pub fn wait_for_changes() -> bool {
    let signal = Arc::new(Event::new(EventKind::Synchronization, false));
    let mut jacks = Vec::new();
    for capture in [false, true] {
        for (number, endpoint) in endpoint::all(capture).into_iter().enumerate() {
            match source(&endpoint).enable(signal.clone()) {
                Ok(subscription) => jacks.push(Listened { endpoint, subscription, seen: 0, number }),
                Err(status) => crate::kprintln!("\"{}\": no jack event: {status}", endpoint.name),
            }
        }
    }
    for jack in &jacks {
        let direction = if jack.endpoint.capture { "capture" } else { "render" };
        let state = connected(&jack.endpoint).map_or(2, u32::from);
        crate::kresult!("{direction}{}_connected_at_first={state}", jack.number);
    }
    crate::kresult!("jack_ready={}", jacks.len());
    let (wanted, mut told) = (cfg::get_u64("jacks", 2), 0);
    let timeout = u32::try_from(cfg::get_u64("event_timeout_ms", 20_000)).unwrap_or(u32::MAX);
    while told < wanted {
        if !wait(&signal, timeout) {
            kernel::violation(
                "jack",
                format_args!("{told} of {wanted} changes came, then none for {timeout} ms"),
            );
            return false;
        }
        for jack in &mut jacks {
            let signals = jack.subscription.signals();
            if signals == jack.seen {
                continue;
            }
            (jack.seen, told) = (signals, told + 1);
            let direction = if jack.endpoint.capture { "capture" } else { "render" };
            let state = connected(&jack.endpoint).map_or(2, u32::from);
            crate::kresult!("jack{told}_connected={state} jack{told}_endpoint={direction}{}", jack.number);
        }
    }
    crate::kresult!("jack_changes={told}");
    true
}
