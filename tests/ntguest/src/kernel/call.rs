//! Every call into the driver goes through here: it must come back as it went in.

use super::{irql, nonvolatile, schedule, spin};

/// Calls the driver at `irql` (raising to it first) and checks what it leaves behind: the IRQL (rule
/// `irql-leak`), spin locks (rule `spinlock-held`) and registers (rule `nonvolatile-registers`).
pub fn driver_call<R>(name: &'static str, irql: u8, f: impl FnOnce() -> R) -> R {
    let before = irql::current();
    if before > irql {
        super::violation(
            "irql",
            format_args!("{name} would be called at IRQL {before}, its level is {irql}"),
        );
    }
    let old = if before < irql { irql::raise(irql) } else { before };
    let level = irql::current();
    let held = spin::held();
    schedule::point(schedule::Point::Call);
    let result = nonvolatile::around(name, f);
    let after = irql::current();
    if after != level {
        super::violation(
            "irql-leak",
            format_args!("{name} was called at IRQL {level} and returned at {after}"),
        );
        if after > level {
            irql::lower(level);
        } else {
            irql::raise(level);
        }
    }
    spin::check_held(name, held);
    if old < level {
        irql::lower(old);
    }
    result
}
