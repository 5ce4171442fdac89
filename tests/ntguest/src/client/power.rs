//! The device goes to D3 and comes back while a client uses it: as an idle device does, or one whose system
//! sleeps.
//!
//! `client=power`: no stream is open; then one of each direction is, in every state below RUN, and a capture
//! stream is taken through its states without power and runs afterwards; then the file is played. `d3=N`:
//! while a stream plays or records, N times in its midst, and once in PAUSE before its first RUN. What is
//! heard or recorded must go on at the right frame: the host compares.
//!
//! Power is promised to NewStream alone (page of IAdapterPowerManagement::PowerChangeState): whatever a
//! client calls in between works, or is remembered and done after D0 (WAVERT.md 1.4).

use super::buffer::{self, Kind};
use super::format::{BufferPlan, PcmFormat};
use super::negotiate;
use super::negotiate_modes;
use super::player::{self, Failed, SLOTS, buffer_ms, expect, fail};
use super::still::{expect_frozen, set_state};
use super::stream::{PinStream, State};
use crate::kernel::event::{Event, EventKind, wait};
use crate::kernel::{cfg, d3, irql, thread};
use crate::portcls::endpoint::{self, Endpoint};
use crate::portcls::power;
use crate::portcls::status::Status;
use core::sync::atomic::{AtomicU32, Ordering};
use ringwave_audio::SampleFormat;

/// How long nothing happens in D3, 100-ns units.
const ASLEEP: i64 = 500_000;
/// How long to wait for a notification.
const TIMEOUT_MS: u32 = 2000;

/// How often the device went to D3 and came back.
static ROUNDS: AtomicU32 = AtomicU32::new(0);

/// When a stream that plays or records is to lose its power: `d3=` times, evenly over so many packets.
pub struct Sleeps {
    rounds: u32,
    done: u32,
    every: u32,
}

impl Sleeps {
    /// Over `packets`.
    pub fn over(packets: u32) -> Self {
        let rounds = u32::try_from(cfg::get_u64("d3", 0)).unwrap_or(u32::MAX);
        Self { rounds, done: 0, every: (packets / rounds.saturating_add(1)).max(1) }
    }

    /// Whether it is time at packet `at`.
    pub fn are_due(&mut self, at: u32) -> bool {
        let due = self.done < self.rounds && at >= self.every.saturating_mul(self.done + 1);
        self.done += u32::from(due);
        due
    }
}

/// To D3, `within`, and back. Every other time the driver is asked before.
fn in_d3<R>(within: impl FnOnce() -> R) -> Result<R, Failed> {
    let round = ROUNDS.fetch_add(1, Ordering::Relaxed);
    let result = power::in_d3(round.is_multiple_of(2), within)
        .map_err(|status: Status| fail("call-failed", format_args!("a power IRP of the device: {status}")))?;
    crate::kresult!("d3_rounds={} d3_pending={}", round + 1, d3::pending());
    Ok(result)
}

/// With a stream whose position stands meanwhile, whatever it did before; what `within` does is done then.
pub fn still_in_d3<R>(
    stream: &PinStream,
    event: &Event,
    packet_100ns: i64,
    within: impl FnOnce() -> Result<R, Failed>,
) -> Result<R, Failed> {
    in_d3(|| {
        expect_frozen(stream, event, packet_100ns);
        within()
    })?
}

/// What `client=power` does before it plays; true when all of it went well.
pub fn idle_transitions() -> bool {
    // Before anybody has opened anything, and again: what is kept over D3 is kept over two.
    let idle = (0..2).all(|_| in_d3(asleep).is_ok());
    let streams = [false, true].into_iter().all(|capture| {
        let Some(endpoint) = endpoint::get(capture, 0) else { return true };
        idle_stream(&endpoint).is_ok()
    });
    idle && streams
}

fn asleep() {
    thread::sleep_100ns(ASLEEP);
}

/// A stream in STOP without a buffer and with one, in ACQUIRE and in PAUSE.
fn idle_stream(endpoint: &Endpoint) -> Result<(), Failed> {
    let format = PcmFormat::of(SampleFormat::S16, 48_000, 2, true);
    let covered = endpoint.descriptor.ranges.iter().any(|range| negotiate::covers(range, &format));
    let format =
        Some(format).filter(|_| covered).or_else(|| negotiate_modes::any_format(endpoint)).ok_or(Failed)?;
    let stream = player::open(endpoint, &format)?;
    let plan = BufferPlan::new(&format, buffer_ms(), SLOTS).ok_or(Failed)?;
    let result = in_d3(asleep).and_then(|()| {
        buffer::with(&stream, Kind::Notification(SLOTS), &format, plan.bytes, |_| {
            with_event(&stream, endpoint.capture)
        })
    });
    stream.close();
    result
}

fn with_event(stream: &PinStream, capture: bool) -> Result<(), Failed> {
    let event = Event::new(EventKind::Synchronization, false);
    expect("RegisterNotificationEvent", stream.register(&event))?;
    let result = states(stream, &event, capture);
    let unregistered = expect("UnregisterNotificationEvent", stream.unregister(&event));
    event.poison();
    result.and(unregistered)
}

fn states(stream: &PinStream, event: &Event, capture: bool) -> Result<(), Failed> {
    for state in [State::Stop, State::Acquire, State::Pause] {
        set_state(stream, state)?;
        still_in_d3(stream, event, 0, || expect_at_zero(stream))?;
    }
    // Up and down without power. Then a microphone runs: what is heard of a loudspeaker is to be the file.
    still_in_d3(stream, event, 0, || {
        for state in [State::Acquire, State::Stop, State::Acquire, State::Pause] {
            set_state(stream, state)?;
        }
        if capture { set_state(stream, State::Run) } else { Ok(()) }
    })?;
    if capture && !wait(event, TIMEOUT_MS) {
        return Err(fail("no-notification", format_args!("no event after RUN without power, and D0")));
    }
    [State::Pause, State::Acquire, State::Stop].into_iter().try_for_each(|state| set_state(stream, state))
}

fn expect_at_zero(stream: &PinStream) -> Result<(), Failed> {
    for level in [irql::PASSIVE, irql::DISPATCH] {
        let (status, position) = stream.position(level);
        if !status.is_success() || position.play_offset != 0 {
            return Err(fail(
                "position",
                format_args!("in D3 before RUN: GetPosition {status}, {position:?}"),
            ));
        }
    }
    Ok(())
}
