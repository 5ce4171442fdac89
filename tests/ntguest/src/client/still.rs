//! What must not move: a stream outside of RUN (WAVERT.md 4.3), of either direction.

use super::player::{Failed, fail};
use super::stream::{PinStream, State};
use crate::kernel::event::Event;
use crate::kernel::{self, irql, thread};
use crate::portcls::fault::{self, Fault};
use crate::portcls::power;
use crate::portcls::status::Status;

/// How long a stream that is not running is watched at least, and at most, 100-ns units.
const WATCH: core::ops::RangeInclusive<i64> = 300_000..=5_000_000;

/// `SetState`, which must succeed (rule `set-state`).
pub fn set_state(stream: &PinStream, state: State) -> Result<(), Failed> {
    let mut status = stream.set_state(state);
    if state == State::Stop && fault::make(Fault::StateRefused) {
        status = Status::UNSUCCESSFUL;
    }
    if status.is_success() {
        Ok(())
    } else {
        Err(fail("set-state", format_args!("SetState({state:?}): {status}")))
    }
}

/// Down to STOP from wherever it is, whatever has failed; all of it must succeed if it is `expected` to (rule
/// `set-state`).
pub fn go_down(stream: &PinStream, expected: bool) {
    for state in [State::Pause, State::Acquire, State::Stop] {
        if (state as u32) >= power::state_of(stream.this()) {
            continue;
        }
        if expected {
            let _ = set_state(stream, state);
        } else {
            let _ = stream.set_state(state);
        }
    }
}

/// In PAUSE nothing moves and nothing is signalled (rules `not-frozen`, `event-outside-run`), for one and a
/// half packets of so many 100-ns units.
pub fn expect_frozen(stream: &PinStream, event: &Event, packet_100ns: i64) {
    let read = || {
        let presented = stream.has_packet_mode().then(|| stream.presentation().map(|p| p.position_in_blocks));
        (stream.position(irql::PASSIVE), presented)
    };
    let (before, signals) = (read(), event.signals());
    thread::sleep_100ns((packet_100ns.saturating_mul(3) / 2).clamp(*WATCH.start(), *WATCH.end()));
    let mut after = read();
    if fault::make(Fault::MovesInPause) {
        after.0.1.play_offset = after.0.1.play_offset.wrapping_add(4);
    }
    if after != before {
        kernel::violation(
            "not-frozen",
            format_args!("a position moves in PAUSE: {before:?}, and then {after:?}"),
        );
    }
    let seen = event.signals() + u64::from(fault::make(Fault::EventInPause));
    if seen != signals {
        kernel::violation("event-outside-run", format_args!("the notification event is signalled in PAUSE"));
    }
}

/// From RUN to PAUSE, a look, and back to RUN (cfg `pause=1`).
pub fn pause_and_go_on(stream: &PinStream, event: &Event, packet_100ns: i64) -> Result<(), Failed> {
    set_state(stream, State::Pause)?;
    expect_frozen(stream, event, packet_100ns);
    set_state(stream, State::Run)?;
    crate::kresult!("pauses=1");
    Ok(())
}
