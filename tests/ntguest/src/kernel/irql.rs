//! IRQL: the interrupt request level, which on x64 is the processor's CR8.

use super::cpu;

/// Threads run.
pub const PASSIVE: u8 = 0;
/// Asynchronous procedure calls are held off.
pub const APC: u8 = 1;
/// No thread is switched; DPCs run here.
pub const DISPATCH: u8 = 2;
/// Nothing interrupts.
pub const HIGH: u8 = 15;

/// The current IRQL.
pub fn current() -> u8 {
    cpu::read_cr8()
}

/// Raises to `to`; returns the level before. Raising to a lower level is the violation `irql-raise`.
pub fn raise(to: u8) -> u8 {
    let old = current();
    if to < old {
        super::violation("irql-raise", format_args!("raise from {old} to {to}, {}", super::caller()));
    }
    cpu::write_cr8(to);
    if to >= DISPATCH && old < DISPATCH {
        super::paged::present(false);
    }
    old
}

/// Lowers to `to`; what waited for the lower level (DPCs, thread switches) happens before it returns.
pub fn lower(to: u8) {
    let old = current();
    if to > old {
        super::violation("irql-lower", format_args!("lower from {old} to {to}, {}", super::caller()));
    }
    if to < DISPATCH && old >= DISPATCH {
        super::paged::present(true);
    }
    cpu::write_cr8(to);
}

/// States the highest IRQL at which `service` may be called.
pub fn require(service: &'static str, max: u8) {
    let now = current();
    if now > max {
        super::violation(
            "irql",
            format_args!("{service} called at IRQL {now}, allowed is {max}, {}", super::caller()),
        );
    }
}
