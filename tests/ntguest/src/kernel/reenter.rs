//! Message service routines are re-entrant: with SpinLock null and SynchronizeIrql 0 each message has a lock
//! of its own, so that the routines of two messages run at the same time on two processors (page of
//! IO_CONNECT_INTERRUPT_PARAMETERS).
//!
//! With one processor, what another one does between two instructions of this one is done
//! between them: while the service routine of one message runs, that of another runs whole, before the k-th
//! instruction, and k moves on with every interrupt. The routine is stepped with the trap flag up to there,
//! or up to its first call out of the image. Nothing happens while it holds a lock of the driver's, for the
//! other processor would wait for it. The extra message is one that was sent just before the DPC took what it
//! told of. (MSI-X messages have different IRQLs here and interrupt each other by themselves.)

use core::arch::naked_asm;
use core::ffi::c_void;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use super::idt::{Frame, TRAP, divert};
use super::interrupt::{self, Interrupt, MessageRoutine};
use super::sync::IrqLock;
use super::{cfg, image, irql, processor, spin};

struct Stepping {
    /// The interrupt whose service routine runs in between; 0 = not stepping.
    other: usize,
    /// IRQL of the routine that is stepped.
    level: u8,
    /// Instructions left before it is the other's turn.
    left: u64,
    /// Instructions before the turn next time.
    next: u64,
}

static STEPPING: IrqLock<Stepping> = IrqLock::new(Stepping { other: 0, level: 0, left: 0, next: 1 });
static DONE: AtomicU64 = AtomicU64::new(0);

/// How often a service routine ran in the midst of another.
pub fn count() -> u64 {
    DONE.load(Ordering::Relaxed)
}

/// Calls a message service routine so that another message's runs in its midst.
///
/// # Safety
/// The routine with the arguments it was connected with; `other` is connected.
pub unsafe fn call(
    f: MessageRoutine,
    interrupt: *mut Interrupt,
    context: *mut c_void,
    id: u32,
    other: usize,
) -> u8 {
    let level = irql::current();
    {
        let mut stepping = STEPPING.lock();
        // A routine that is itself in the midst of another is not stepped: one step at a time. With several
        // processors the routines run at the same time by themselves.
        if stepping.other != 0 || processor::count() > 1 || !cfg::get_bool("reenter", true) {
            drop(stepping);
            // SAFETY: by the contract.
            return unsafe { f(interrupt.cast(), context, id) };
        }
        (stepping.other, stepping.level, stepping.left) = (other, level, stepping.next);
    }
    // SAFETY: by the contract; the trap handler takes the flag away again.
    let result = unsafe { call_stepping(f, interrupt.cast(), context, id) };
    let mut stepping = STEPPING.lock();
    // Longer than the routine: from the beginning again.
    stepping.next = if stepping.other == 0 { stepping.next + 1 } else { 1 };
    stepping.other = 0;
    result
}

/// Calls `f(interrupt, context, id)` with the trap flag set.
#[unsafe(naked)]
unsafe extern "win64" fn call_stepping(
    f: MessageRoutine,
    interrupt: *mut c_void,
    context: *mut c_void,
    id: u32,
) -> u8 {
    naked_asm!(
        "sub rsp, 40",
        "mov rax, rcx",
        "mov rcx, rdx",
        "mov rdx, r8",
        "mov r8, r9",
        "pushfq",
        "or qword ptr [rsp], 0x100",
        "popfq",
        "call rax",
        "pushfq",
        "and qword ptr [rsp], -257",
        "popfq",
        "add rsp, 40",
        "ret",
    )
}

/// The debug exception: true when it was a step of ours.
pub fn step(frame: &mut Frame) -> bool {
    let other = {
        let mut stepping = STEPPING.lock();
        if stepping.other == 0 {
            return false;
        }
        let inside = image::image_contains(frame.rip as usize);
        if inside && stepping.left > 1 {
            stepping.left -= 1;
            return true;
        }
        // Out of the image: the routine has returned, or calls an import. Its locks and its IRQL say whether
        // the other can run.
        let free = spin::held() == 1 && irql::current() == stepping.level;
        let calls = image::is_thunk(frame.rip);
        if inside && !free {
            return true;
        }
        frame.rflags &= !TRAP;
        if !(free && (inside || calls)) {
            return true;
        }
        core::mem::take(&mut stepping.other)
    };
    DONE.fetch_add(1, Ordering::Relaxed);
    OTHER.store(other, Ordering::Relaxed);
    divert(frame, run);
    true
}

/// The interrupt whose routine [`run`] runs: steps are one at a time.
static OTHER: AtomicUsize = AtomicUsize::new(0);

extern "win64" fn run() {
    let last_call = image::last_call();
    interrupt::serve_other(OTHER.load(Ordering::Relaxed) as *mut Interrupt);
    image::set_last_call(last_call);
}
