//! The one order of memory accesses that x86 does not keep by itself: a store before a later load of another
//! place.

/// Orders every store before with every load after, at any level.
///
/// MFENCE as written, and not `core::sync::atomic::fence(SeqCst)`: compilers may make a locked instruction of
/// that, and QEMU's TCG, when the guest has one processor, makes plain accesses of locked instructions, while
/// the other side is another process on another processor (DATASHEET 7.4).
#[inline(always)]
#[allow(clippy::inline_always, reason = "a test of the image looks for it between the store and the load")]
pub fn store_load() {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: reads and writes no memory and changes no flags; the compiler is told that it may, so that it
    // moves no access across.
    unsafe {
        core::arch::asm!("mfence", options(nostack, preserves_flags));
    }
    #[cfg(not(target_arch = "x86_64"))]
    core::sync::atomic::fence(core::sync::atomic::Ordering::SeqCst);
}
