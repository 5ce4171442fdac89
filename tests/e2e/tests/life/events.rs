//! The events: one row each. A new one needs a row here and one in `EVENTS` of
//! `tests/ntguest/src/client/life/mod.rs`, where it is made.

use crate::matrix::{After, Event, Skip, State};

/// An event of which nobody is to notice anything.
const PLAIN: Event = Event { name: "", settings: &[], card: &[], after: After::GoesOn, skipped: &[] };

/// Every event.
pub const EVENTS: &[Event] = &[
    // The rule of the matrix itself: without an event every cell is bit-exact.
    Event { name: "nothing", ..PLAIN },
    // D3 and back, the card keeps its registers; then as from a reset.
    Event { name: "d3", ..PLAIN },
    Event { name: "d3-lost", ..PLAIN },
    // Nobody uses the device; it has power again before the next call.
    Event {
        name: "idle",
        skipped: &[
            (Skip::State(State::Run), "a stream in RUN keeps the device from being idle"),
            (Skip::OpenDuplex, "the other stream runs, and keeps the device from being idle"),
        ],
        ..PLAIN
    },
    // The system sleeps, and hibernates: the card comes back as from a reset.
    Event { name: "s3", ..PLAIN },
    Event { name: "s4", ..PLAIN },
    // The performance counter jumps by 500 ms, and by -50 ms.
    Event { name: "counter-forward", ..PLAIN },
    Event { name: "counter-back", ..PLAIN },
];
