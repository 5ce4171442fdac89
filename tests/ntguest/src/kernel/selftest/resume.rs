//! How a self-test goes on after a rule that ends a run: the violation is named as ever, and then the case is
//! left where it stands, with its thread back behind the call of [`attempt`].

use core::arch::naked_asm;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::kernel::idt::Frame;
use crate::kernel::{irql, spin, sync};

/// Stack pointer of the attempt that is under way; 0 = none.
static POINT: AtomicU64 = AtomicU64::new(0);
/// Where rcx is in the registers of a frame.
const RCX: usize = 12;
/// Interrupts on; the bit that is always set.
const FLAGS: u64 = 0x202;

/// Runs a case. Whatever level and locks it leaves are put right afterwards.
pub fn attempt(case: fn()) {
    let held = spin::held();
    // SAFETY: `call` takes such a function.
    unsafe { begin(call, case as *const (), POINT.as_ptr()) };
    POINT.store(0, Relaxed);
    // A list is found to be broken under it.
    sync::abandon();
    if irql::current() > irql::PASSIVE {
        irql::lower(irql::PASSIVE);
    }
    spin::check_held("selftest", held);
}

unsafe extern "win64" fn call(case: *const ()) {
    // SAFETY: the address of a `fn()`, see `attempt`.
    unsafe { core::mem::transmute::<*const (), fn()>(case)() }
}

/// The attempt that is under way, which is over with this: its stack pointer for [`leave`].
pub fn point() -> Option<u64> {
    Some(POINT.swap(0, Relaxed)).filter(|point| *point != 0)
}

/// Lets the code that a fault interrupted go on behind its attempt.
pub fn divert(frame: &mut Frame, point: u64) {
    frame.registers[RCX] = point;
    frame.rip = leave as *const () as u64;
    frame.rsp = point;
    frame.rflags = FLAGS;
}

/// Calls `call(case)`, with a way back at `point`.
#[unsafe(naked)]
unsafe extern "win64" fn begin(call: unsafe extern "win64" fn(*const ()), case: *const (), point: *mut u64) {
    naked_asm!(
        "push rbx", "push rbp", "push rdi", "push rsi", "push r12", "push r13", "push r14", "push r15",
        // Aligned again: eight registers and the address to return to.
        "sub rsp, 520",
        "fxsave64 [rsp]",
        "mov [r8], rsp",
        "mov rax, rcx", "mov rcx, rdx",
        "sub rsp, 32", "call rax", "add rsp, 32",
        "mov rcx, rsp",
        "jmp {leave}",
        leave = sym leave,
    )
}

/// Goes back to the caller of [`begin`] whose stack pointer is in rcx.
#[unsafe(naked)]
pub unsafe extern "win64" fn leave(point: u64) -> ! {
    naked_asm!(
        "mov rsp, rcx",
        "sti",
        "fxrstor64 [rsp]",
        "add rsp, 520",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rsi",
        "pop rdi",
        "pop rbp",
        "pop rbx",
        "ret",
    )
}
