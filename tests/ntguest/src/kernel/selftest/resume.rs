//! How a self-test goes on after a rule that ends a run: the violation is named as ever, and then the case is
//! left where it stands, with its thread back behind the call of [`attempt`].

use core::arch::naked_asm;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::kernel::idt::Frame;
use crate::kernel::page_map::PAGE;
use crate::kernel::{MAIN_STACK, cpu, irql, processor, spin, sync};

/// Stack pointer of the attempt that is under way, of the main thread; 0 = none.
static POINT: AtomicU64 = AtomicU64::new(0);
/// Where rcx is in the registers of a frame.
const RCX: usize = 12;
/// Interrupts off; the bit that is always set.
const FLAGS: u64 = 0x002;

/// Runs a case. Whatever level and locks it leaves are put right afterwards.
pub fn attempt(case: fn()) {
    assert!(processor::count() == 1, "a fault report of an attempt needs the processor for itself");
    let held = spin::held();
    // SAFETY: `call` takes such a function.
    unsafe { begin(call, case as *const (), POINT.as_ptr()) };
    POINT.store(0, Relaxed);
    // A list is found to be broken under it. Who was left there comes back with interrupts off: one before
    // this would give the processor to another thread with the lock still taken.
    sync::abandon();
    cpu::sti();
    if irql::current() > irql::PASSIVE {
        irql::lower(irql::PASSIVE);
    }
    spin::check_held("selftest", held);
}

unsafe extern "win64" fn call(case: *const ()) {
    // SAFETY: the address of a `fn()`, see `attempt`.
    unsafe { core::mem::transmute::<*const (), fn()>(case)() }
}

/// Where an attempt goes on: its stack pointer.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct Point(u64);

/// The attempt that is under way, if what runs with this stack pointer was called by it: it is further down
/// on the same stack. The attempt is over with this.
pub fn point(stack_pointer: u64) -> Option<Point> {
    let point = POINT.load(Relaxed);
    // A function whose frame does not fit has its stack pointer in the page below.
    point.checked_sub(stack_pointer).filter(|depth| *depth <= MAIN_STACK as u64 + PAGE)?;
    POINT.store(0, Relaxed);
    Some(Point(point))
}

/// Lets the code that a fault interrupted go on behind its attempt.
pub fn divert(frame: &mut Frame, Point(point): Point) {
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

/// Goes back to the caller of [`begin`] whose stack pointer is in rcx, with interrupts off.
///
/// # Safety
/// It is a [`Point`] of the running thread; nobody needs what the frames below it hold.
#[unsafe(naked)]
pub unsafe extern "win64" fn leave(point: Point) -> ! {
    naked_asm!(
        "mov rsp, rcx",
        "cli",
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
