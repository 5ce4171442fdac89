//! The interrupt request level.
use crate::sys::KIRQL;

/// The level now. Inline on x64 (KeGetCurrentIrql reads CR8), so nothing is imported.
#[cfg(windows)]
pub fn current() -> KIRQL {
    let level: u64;
    // SAFETY: reading CR8 in kernel mode has no effect on memory or flags.
    unsafe { core::arch::asm!("mov {}, cr8", out(reg) level, options(nomem, nostack, preserves_flags)) };
    (level & 0xF) as KIRQL
}

/// The level now, as the host fakes keep it per thread.
#[cfg(not(windows))]
pub fn current() -> KIRQL {
    crate::host::irql()
}
