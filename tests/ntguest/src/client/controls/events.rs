//! KSEVENT_CONTROL_CHANGE of a control: enabled by two clients, signalled by a change, gone when a client
//! closes (rule `control-event`).

use super::level::{Kind, Level};
use crate::kernel;
use crate::kernel::event::{Event, EventKind, wait};
use crate::kernel::harsh::harsh_violation;
use crate::portcls::controls_layout::{ALL_CHANNELS, event};
use crate::portcls::events::{Source, Subscription};
use crate::portcls::guid::KSEVENTSETID_AUDIO_CONTROL_CHANGE;
use crate::portcls::status::Status;
use alloc::sync::Arc;
use core::ptr;

/// How long a change may take to be told.
const TIMEOUT_MS: u32 = 1000;

fn wrong(level: &Level, what: core::fmt::Arguments<'_>) {
    kernel::violation("control-event", format_args!("node {}: {what}", level.node));
}

/// True when the control tells of changes.
pub fn check(level: &Level, channels: u32) -> bool {
    let source = Source {
        port: level.port,
        node: Some(level.node),
        pin: None,
        set: KSEVENTSETID_AUDIO_CONTROL_CHANGE,
        id: event::CONTROL_CHANGE,
    };
    if !source.exists() {
        // It is for controls that hardware changes by itself (page of KSEVENT_CONTROL_CHANGE).
        harsh_violation("control-event", format_args!("node {} has no KSEVENT_CONTROL_CHANGE", level.node));
        return false;
    }
    requests(level, &source);
    let signal = Arc::new(Event::new(EventKind::Synchronization, false));
    let (one, two) = (source.enable(signal.clone()), source.enable(signal.clone()));
    let (Ok(one), Ok(two)) = (one, two) else {
        wrong(level, format_args!("KSEVENT_CONTROL_CHANGE cannot be enabled by two clients"));
        return false;
    };
    let told =
        (0..channels).chain([ALL_CHANNELS]).all(|channel| change_is_told(level, channel, &signal, &one));
    let before = one.signals();
    drop(one);
    let still = change_is_told(level, 0, &signal, &two);
    if two.signals() < before || !still {
        wrong(
            level,
            format_args!("a second client is told of {} changes, the first of {before}", two.signals()),
        );
    }
    told && still
}

/// Queries for support, and requests that make no sense: none of them gets into the list.
fn requests(level: &Level, source: &Source) {
    let support = source.call(event::SUPPORT, ptr::null_mut());
    if !support.is_success() {
        wrong(level, format_args!("a query for support: {support}"));
    }
    for verb in [event::ADD, 3, 8, u32::MAX] {
        if source.call(verb, ptr::null_mut()).is_success() {
            wrong(level, format_args!("{source}: verb {verb:#x} without an entry succeeds"));
        }
    }
    // Nothing is to be done: any answer is right, as long as nothing happens.
    let _: Status = source.call(0, ptr::null_mut());
}

/// Changes a channel and puts it back: each change reaches the client.
fn change_is_told(level: &Level, channel: u32, signal: &Event, client: &Subscription) -> bool {
    let asked = if channel == ALL_CHANNELS { 0 } else { channel };
    let Ok(before) = level.get(asked) else { return false };
    let other = match level.kind {
        Kind::Volume if before == 0 => -20 * 65536,
        Kind::Volume => 0,
        Kind::Mute => i32::from(before == 0),
    };
    for value in [other, before] {
        signal.clear();
        let (seen, status) = (client.signals(), level.set(channel, value));
        let told = status.is_success() && wait(signal, TIMEOUT_MS) && client.signals() > seen;
        if !told {
            wrong(level, format_args!("channel {channel:#x} set to {value} ({status}): nobody is told"));
            return false;
        }
    }
    true
}
