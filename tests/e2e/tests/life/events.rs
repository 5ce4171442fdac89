//! The events: one row each. A new one needs a row here and one in `EVENTS` of
//! `tests/ntguest/src/client/life/mod.rs`, where it is made.

use crate::matrix::{After, Event, Skip, State};

/// An event of which nobody is to notice anything.
const PLAIN: Event = Event {
    name: "",
    settings: &[],
    card: &[],
    after: After::GoesOn,
    says: ["", ""],
    resets: false,
    sleeps: false,
    skipped: &[],
};
/// One in which the device has no power for a while, and is to go on.
const POWER: Event = Event { resets: true, ..PLAIN };

/// Every event.
pub const EVENTS: &[Event] = &[
    // The rule of the matrix itself: without an event every cell is bit-exact.
    Event { name: "nothing", ..PLAIN },
    // D3 and back, the card keeps its registers; then as from a reset.
    Event { name: "d3", ..POWER },
    Event { name: "d3-lost", ..POWER },
    // The same under a client that has the position and clock registers mapped and reads them all the time.
    Event { name: "d3-mapped", settings: &["reg.PositionRegister=1"], skipped: &MAPPED, ..PLAIN },
    // Nobody uses the device; it has power again before the next call.
    Event { name: "idle", skipped: &BUSY, ..POWER },
    // The same by PortCls' inactivity timer, which the driver's INF sets to never, and this to a second.
    Event { name: "inactivity", settings: &["performance_idle_time=1"], skipped: &BUSY, ..POWER },
    // The system sleeps, and hibernates: the card comes back as from a reset.
    Event { name: "s3", ..POWER },
    Event { name: "s4", ..POWER },
    // The machine sleeps in truth (ACPI S3), every device of it is reset, and an alarm of the clock wakes it.
    Event { name: "suspend", sleeps: true, ..POWER },
    // No card at D0, and another one after hibernation (STREAMS, of DATASHEET 3, says two of each direction):
    // streams fail, nothing hangs, and the card that is there at the next D0 plays.
    Event {
        name: "d3-gone",
        after: After::Lost,
        says: ["not a Ringwave card: MAGIC is 0xffffffff", "after power came back no device is there"],
        skipped: &BESIDE,
        ..PLAIN
    },
    Event {
        name: "s4-other",
        settings: &["other_card=0xc:0x202"],
        after: After::Lost,
        says: ["the card is not the one that was started", ""],
        skipped: &OTHER,
        ..PLAIN
    },
    // The same with one of an older version (VERSION, 0.9), which the driver refuses at a start too.
    Event {
        name: "s4-older",
        settings: &["other_card=0x4:0x9"],
        after: After::Lost,
        says: ["the card speaks version 0.9 of the register interface", ""],
        skipped: &OTHER,
        ..PLAIN
    },
    // The performance counter jumps by 500 ms, and by -50 ms.
    Event { name: "counter-forward", ..PLAIN },
    Event { name: "counter-back", ..PLAIN },
    // The process of the stream ends: handles are closed in the state in which it is, and nothing is
    // unregistered. What another process records beside it goes on.
    Event { name: "process-ends", after: After::LostAlone, ..PLAIN },
    // A process ends while its buffer is made.
    Event { name: "buffer-cancelled", skipped: &OWN_STREAM, ..PLAIN },
];

/// Cells in which the device is not idle.
const BUSY: [(Skip, &str); 2] = [
    (Skip::State(State::Run), "a stream in RUN keeps the device from being idle"),
    (Skip::OpenDuplex, "the other stream runs, and keeps the device from being idle"),
];

/// Why an event meets no stream of the cell.
const OWN: &str = "its stream is one of its own, which has no buffer yet";

/// Every state with a stream.
const OWN_STREAM: [(Skip, &str); 5] = [
    (Skip::State(State::Stop), OWN),
    (Skip::State(State::Acquire), OWN),
    (Skip::State(State::Pause), OWN),
    (Skip::State(State::Run), OWN),
    (Skip::State(State::Paused), OWN),
];

/// Cells in which a stream beside the one that is judged would be lost too.
const BESIDE: [(Skip, &str); 1] = [LOST_BESIDE];
const LOST_BESIDE: (Skip, &str) = (
    Skip::OpenDuplex,
    "the other stream is lost too, and its client does not know that it is to begin again",
);

/// Another card is one whose registers in memory say so.
const OTHER: [(Skip, &str); 2] = [
    LOST_BESIDE,
    (
        Skip::Virtio,
        "what a virtio device is it says when it is asked over its queues, which a page of registers does not \
         answer; another one after D3 is a test of the driver's own",
    ),
];

/// A client with mapped registers.
const MAPPED: [(Skip, &str); 1] =
    [(Skip::Virtio, "a virtio device has no registers that a client could map")];
