//! Which cases have a boot of their own; `tests/rules.rs` reads it too.

/// Rules that have to end a run: nothing goes on after them.
pub const ALONE: [&str; 2] = ["dpc-watchdog", "out-of-memory"];
