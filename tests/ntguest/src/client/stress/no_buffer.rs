//! The part of `client=stress` about streams without a buffer, and without notifications: RUN succeeds as in
//! the samples and does nothing, and no packet method has an answer.

use super::{Stress, accepted, finding, harsh_finding};
use crate::client::player::SLOTS;
use crate::client::stream::{CyclicBuffer, PinStream, State};
use crate::kernel::event::{Event, EventKind, wait};
use crate::kernel::{irql, thread};
use crate::portcls::fault::{self, Fault};
use crate::portcls::layout::KsAudioPosition;
use crate::portcls::status::Status;
use core::ptr;

/// How long nothing must happen, 100-ns units.
const WATCH: i64 = 300_000;
/// How long to wait for a notification.
const TIMEOUT_MS: u32 = 2000;
const UP: [State; 3] = [State::Acquire, State::Pause, State::Run];
const DOWN: [State; 3] = [State::Pause, State::Acquire, State::Stop];

/// Everything.
pub fn run(stress: &Stress) {
    runs_and_does_nothing(stress);
    starts_at_the_next_run(stress);
    without_notifications(stress);
}

/// Each method that deals in packets, in this state: NOT_SUPPORTED (*doubt*: that is what the samples answer
/// before they look at the state; the pages of the methods name no status for it).
fn no_packets(stream: &PinStream, when: &str, state: State) {
    let due = if state == State::Stop && fault::make(Fault::PacketsWithout) {
        [Status::SUCCESS]
    } else {
        [Status::NOT_SUPPORTED]
    };
    let ask = |method: &str, status: Status| {
        if !due.contains(&status) {
            finding(format_args!("{method} {when} in {state:?}: {status}, {due:?} is due"));
        }
    };
    if stream.has_packet_mode() {
        ask("SetWritePacket(0)", stream.set_write_packet(0, 0, 0));
        ask("GetPacketCount", stream.packet_count().err().unwrap_or(Status::SUCCESS));
        ask("the presentation position", stream.presentation().err().unwrap_or(Status::SUCCESS));
    }
    if stream.has_read_packets() {
        ask("GetReadPacket", stream.read_packet().err().unwrap_or(Status::SUCCESS));
    }
}

fn expect_zero(stream: &PinStream, when: &str) {
    let (status, KsAudioPosition { play_offset, write_offset }) = stream.position(irql::PASSIVE);
    if !status.is_success() || (play_offset, write_offset) != (0, 0) {
        finding(format_args!("GetPosition {when}: {status}, play {play_offset} write {write_offset}"));
    }
}

/// Whether there are states without a buffer. The samples have them; no page says so.
fn takes_states(stream: &PinStream) -> bool {
    let status = stream.set_state(State::Acquire);
    if !status.is_success() {
        harsh_finding(format_args!("SetState without a buffer: {status}"));
        return false;
    }
    accepted("SetState(Stop)", stream.set_state(State::Stop));
    true
}

/// From STOP to RUN and back with nothing to move.
fn runs_and_does_nothing(stress: &Stress) {
    let Some(stream) = stress.open() else { return };
    let none = CyclicBuffer { mdl: ptr::null_mut(), size: 0, offset: 0, cache: 0 };
    stream.free_cyclic(&none);
    no_packets(&stream, "without a buffer", State::Stop);
    if !takes_states(&stream) {
        stream.close();
        return;
    }
    for state in UP.into_iter().chain([State::Pause, State::Run]).chain(DOWN) {
        accepted("SetState without a buffer", stream.set_state(state));
        no_packets(&stream, "without a buffer", state);
        expect_zero(&stream, "without a buffer");
        if state == State::Run {
            thread::sleep_100ns(WATCH);
            expect_zero(&stream, "after a while of RUN without a buffer");
        }
    }
    stream.free_cyclic(&none);
    stream.close();
}

/// A buffer that comes in RUN (*doubt*: no document says what it does; nothing but RUN starts DMA, so it
/// waits for the next one).
fn starts_at_the_next_run(stress: &Stress) {
    let Some(stream) = stress.open() else { return };
    if !takes_states(&stream) {
        stream.close();
        return;
    }
    for state in UP {
        accepted("SetState without a buffer", stream.set_state(state));
    }
    let mut buffer = stream.allocate(SLOTS, stress.buffer_bytes());
    if buffer.is_err() {
        // Refused in RUN: then below it.
        accepted("SetState(Pause)", stream.set_state(State::Pause));
        buffer = stream.allocate(SLOTS, stress.buffer_bytes());
    }
    let Ok(buffer) = buffer else {
        finding(format_args!("a stream that was in RUN without a buffer gets none in PAUSE"));
        let _ = stream.set_state(State::Stop);
        stream.close();
        return;
    };
    let event = Event::new(EventKind::Synchronization, false);
    accepted("RegisterNotificationEvent", stream.register(&event));
    thread::sleep_100ns(WATCH);
    expect_zero(&stream, "of a buffer that came in RUN");
    if event.signals() > 0 {
        finding(format_args!("an event before the first RUN with a buffer"));
    }
    accepted("SetState(Pause)", stream.set_state(State::Pause));
    if stream.has_packet_mode() {
        accepted("SetWritePacket(0)", stream.set_write_packet(0, 0, 0));
    }
    accepted("SetState(Run) with a buffer", stream.set_state(State::Run));
    if !wait(&event, TIMEOUT_MS) {
        finding(format_args!("no event at the RUN after the one without a buffer"));
    }
    for state in DOWN {
        accepted("SetState", stream.set_state(state));
    }
    accepted("UnregisterNotificationEvent", stream.unregister(&event));
    stream.free(&buffer);
    stream.close();
}

/// `AllocateAudioBuffer`: sound moves, and packets are nobody's business.
fn without_notifications(stress: &Stress) {
    let Some(stream) = stress.open() else { return };
    let Ok(buffer) = stream.allocate_cyclic(stress.buffer_bytes()) else {
        finding(format_args!("AllocateAudioBuffer fails"));
        stream.close();
        return;
    };
    no_packets(&stream, "without notifications", State::Stop);
    for state in UP.into_iter().chain(DOWN) {
        accepted("SetState", stream.set_state(state));
        no_packets(&stream, "without notifications", state);
    }
    stream.free_cyclic(&buffer);
    stream.close();
}
