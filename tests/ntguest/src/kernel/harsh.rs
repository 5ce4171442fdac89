//! Rules that are harsher than Windows: what the documents advise or a Verifier option asks for, but a
//! shipping Windows lets pass.
//!
//! `harsh=1` in `ntguest.cfg` (the default, meant for the project's own driver) counts them like any
//! violation. `harsh=0` (for a driver of somebody else's) only prints them, so that a genuine driver ends
//! with `violations=0`.

use core::fmt;
use core::sync::atomic::{AtomicU32, Ordering};

use super::{cfg, log, violation};

/// Lines printed with `harsh=0`; the rest is dropped.
const PRINTED: u32 = 50;
static LINES: AtomicU32 = AtomicU32::new(0);

/// Whether the rules harsher than Windows are on.
pub fn on() -> bool {
    cfg::get_bool("harsh", true)
}

/// Such a rule is broken: a violation with `harsh=1`, a line that judges nothing with `harsh=0`.
pub fn harsh_violation(rule: &'static str, detail: fmt::Arguments<'_>) {
    if on() {
        violation(rule, detail);
    } else if LINES.fetch_add(1, Ordering::Relaxed) < PRINTED {
        log::line("ntguest: info harsher than Windows: rule=", format_args!("{rule} {detail}"));
    }
}
