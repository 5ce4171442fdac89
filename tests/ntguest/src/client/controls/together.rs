//! What a control keeps, and who may ask at once: values outlive streams, and two clients ask and set at the
//! same time (the card's datasheet, section 5.8; WAVERT.md 1.5).
//!
//! Streams and requests are not mixed here: on Windows the device global lock keeps them apart.

use super::level::{Kind, Level};
use crate::client::cycles;
use crate::client::negotiate_modes::any_format;
use crate::kernel;
use crate::kernel::thread::{self, DRIVER_STACK};
use crate::portcls::endpoint::Endpoint;
use crate::portcls::fault::{self, Fault};
use alloc::vec::Vec;
use core::ffi::c_void;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// How often the first client sets while the second one asks.
const ROUNDS: i32 = 50;

fn rule(level: &Level) -> &'static str {
    if level.kind == Kind::Volume { "volume" } else { "mute" }
}

fn values(level: &Level, channels: u32) -> Vec<i32> {
    (0..channels).filter_map(|channel| level.get(channel).ok()).collect()
}

/// Sets every channel to something of its own.
fn set_each(level: &Level, values: impl Iterator<Item = i32>) {
    for (channel, value) in (0u32..).zip(values) {
        let status = level.set(channel, value);
        if !status.is_success() {
            kernel::violation(rule(level), format_args!("channel {channel} set to {value}: {status}"));
        }
    }
}

/// A stream opens, runs and closes: no value changes.
pub fn outlives_a_stream(endpoint: &Endpoint, level: &Level, channels: u32) {
    let Some(format) = any_format(endpoint) else { return };
    let before = values(level, channels);
    let mark = |channel: u32| match level.kind {
        Kind::Volume => -65536 * (channel.cast_signed() + 1),
        Kind::Mute => (channel.cast_signed() + 1) & 1,
    };
    set_each(level, (0..channels).map(mark));
    let set = values(level, channels);
    // What goes wrong in it is said there.
    let _ = cycles::cycle(endpoint, &format);
    if fault::make(Fault::ForgetVolume) {
        level.set(0, before.first().copied().unwrap_or(0));
    }
    let now = values(level, channels);
    if now != set || set.len() != channels as usize {
        kernel::violation(
            rule(level),
            format_args!("\"{}\": {set:?} before a stream, {now:?} after it", endpoint.name),
        );
    }
    set_each(level, before.into_iter());
}

/// The second client.
struct Panel {
    level: Level,
    enough: AtomicBool,
    asked: AtomicU32,
    failed: AtomicU32,
}

/// One client sets, the other asks: nobody sees anything but values that were set.
pub fn two_clients(level: &Level) {
    if level.kind == Kind::Mute {
        return;
    }
    let Ok(before) = level.get(0) else { return };
    level.set(0, 0);
    let panel = Panel {
        level: *level,
        enough: AtomicBool::new(false),
        asked: AtomicU32::new(0),
        failed: AtomicU32::new(0),
    };
    let id =
        thread::spawn("second panel", read_while_set, (&raw const panel).cast_mut().cast(), DRIVER_STACK);
    for round in 0..ROUNDS {
        let value = -65536 * (round % 2);
        let status = level.set(0, value);
        if !status.is_success() || level.get(0) != Ok(value) {
            kernel::violation("volume", format_args!("beside a second client: {value} {status}"));
            break;
        }
        thread::yield_now();
    }
    panel.enough.store(true, Ordering::Release);
    thread::join(id);
    level.set(0, before);
    let (asked, failed) = (panel.asked.load(Ordering::Relaxed), panel.failed.load(Ordering::Relaxed));
    crate::kprintln!("a second client asked {asked} times");
    if failed > 0 {
        kernel::violation("volume", format_args!("a second client saw {failed} of {asked} values wrong"));
    }
}

fn read_while_set(argument: *mut c_void) {
    // SAFETY: `two_clients` keeps it until it has joined this thread, and shares atomics only.
    let panel = unsafe { &*argument.cast::<Panel>() };
    while !panel.enough.load(Ordering::Acquire) {
        let right = panel.level.get(0).is_ok_and(|value| value == 0 || value == -65536);
        panel.failed.fetch_add(u32::from(!right), Ordering::Relaxed);
        // It yields to nobody: its turn ends wherever it is, in the driver's handler too.
        panel.asked.fetch_add(1, Ordering::Relaxed);
    }
}
