//! What happens under a spin lock: how long the longest is held (a figure, never judged), and whether a register is touched meanwhile.
//!
//! Rule `register-under-lock`: BAR 0 is not accessed while a spin lock is held, an interrupt's own among them. The documents say that a spin
//! lock is held 25 microseconds at most; an access to a register that a busy host emulates can take longer than that, and one that a dead
//! host emulates takes for ever, with every processor behind it that wants the lock. The service routine of a line cannot do without: two
//! accesses are its own. The rule is harsher than Windows, which has no such check.
//!
//! The pages of BAR 0 are not present while a lock is held. An access faults, is noted, and is done with the page present and the trap flag
//! set for that one instruction.

use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};

use super::idt::{Frame, TRAP};
use super::page_map::PAGE;
use super::sync::IrqLock;
use super::{harsh_violation, image, paging, spin, time};

/// Accesses that the service routine of a line has: it asks what is pending, and takes it back.
const OF_A_LINE: u32 = 2;
/// Places in the driver that are named; further ones are only counted.
const NAMED: usize = 16;
const INTERRUPTS: u64 = 1 << 9;

#[derive(Clone, Copy)]
struct Page {
    va: u64,
    pa: u64,
    flags: u64,
}

/// Pages of BAR 0 that the driver has mapped.
static PAGES: IrqLock<Vec<Page>> = IrqLock::new(Vec::new());
static HIDDEN: AtomicBool = AtomicBool::new(false);
/// Accesses left to the service routine of a line that runs now.
static LEFT: AtomicU32 = AtomicU32::new(0);
/// The page that is present for one instruction, and whether interrupts were on before it.
static ONE_STEP: IrqLock<Option<(Page, bool)>> = IrqLock::new(None);
/// Where in the driver the rule was broken.
static PLACES: IrqLock<Vec<usize>> = IrqLock::new(Vec::new());
/// Code outside the image is judged too: for the self-test.
static EVERYBODY: AtomicBool = AtomicBool::new(false);

static SINCE: AtomicU64 = AtomicU64::new(0);
static TAKEN_BY: AtomicUsize = AtomicUsize::new(0);
static LONGEST: AtomicU64 = AtomicU64::new(0);
static LONGEST_BY: AtomicUsize = AtomicUsize::new(0);

/// The driver has mapped a page of BAR 0.
pub fn add(va: u64, pa: u64, flags: u64) {
    PAGES.lock().push(Page { va, pa, flags });
}

/// The page is about to be unmapped.
pub fn remove(va: u64) {
    PAGES.lock().retain(|page| page.va != va);
}

/// Judges the self-test's code as if it were a driver's.
pub fn judge_everybody() {
    EVERYBODY.store(true, Ordering::Relaxed);
}

fn present(present: bool) {
    for page in PAGES.lock().iter() {
        if present {
            paging::map(page.va, page.pa, page.flags);
        } else {
            paging::unmap(page.va);
        }
    }
    HIDDEN.store(!present, Ordering::Relaxed);
}

/// The first spin lock is taken.
pub fn first_taken() {
    SINCE.store(time::interrupt_time_100ns(), Ordering::Relaxed);
    TAKEN_BY.store(image::last_call().0, Ordering::Relaxed);
    present(false);
}

/// The last one is given back.
pub fn last_released() {
    present(true);
    let held = time::interrupt_time_100ns().saturating_sub(SINCE.load(Ordering::Relaxed));
    if LONGEST.fetch_max(held, Ordering::Relaxed) < held {
        LONGEST_BY.store(TAKEN_BY.load(Ordering::Relaxed), Ordering::Relaxed);
    }
}

/// Runs the service routine of a line, which has its accesses.
pub fn line_routine<R>(f: impl FnOnce() -> R) -> R {
    let before = LEFT.swap(OF_A_LINE, Ordering::Relaxed);
    let result = f();
    LEFT.store(before, Ordering::Relaxed);
    result
}

/// A page fault at `va`: true when it was an access under a lock, which is done now.
pub fn fault(frame: &mut Frame, va: u64, write: bool) -> bool {
    let here = va & !(PAGE - 1);
    let page = PAGES.lock().iter().copied().find(|page| page.va == here);
    let Some(page) = page.filter(|_| HIDDEN.load(Ordering::Relaxed)) else { return false };
    judge(frame.rip as usize, page, va, write);
    paging::map(page.va, page.pa, page.flags);
    // No interrupt in between: its service routine would find the page present.
    *ONE_STEP.lock() = Some((page, frame.rflags & INTERRUPTS != 0));
    frame.rflags = (frame.rflags | TRAP) & !INTERRUPTS;
    true
}

fn judge(rip: usize, page: Page, va: u64, write: bool) {
    if !image::image_contains(rip) && !EVERYBODY.load(Ordering::Relaxed) {
        return;
    }
    let allowed = |left: u32| left.checked_sub(1);
    if LEFT.fetch_update(Ordering::Relaxed, Ordering::Relaxed, allowed).is_ok() {
        return;
    }
    let new = {
        let mut places = PLACES.lock();
        let new = !places.contains(&rip) && places.len() < NAMED;
        if new {
            places.push(rip);
        }
        new
    };
    if new {
        let what = if write { "writes" } else { "reads" };
        harsh_violation(
            "register-under-lock",
            format_args!(
                "{} {what} {:#x} of BAR 0 with {} spin lock(s) held, the first taken by {}",
                image::describe(rip),
                page.pa - super::pci::card().bars.iter().find(|b| b.index == 0).map_or(0, |b| b.base)
                    + va % PAGE,
                spin::held(),
                image::describe(TAKEN_BY.load(Ordering::Relaxed)),
            ),
        );
    }
}

/// The debug exception: true when it was the one instruction; the page is gone again and the interrupt flag as it was.
pub fn stepped(frame: &mut Frame) -> bool {
    let Some((page, interrupts)) = ONE_STEP.lock().take() else { return false };
    if HIDDEN.load(Ordering::Relaxed) {
        paging::unmap(page.va);
    }
    if interrupts {
        frame.rflags |= INTERRUPTS;
    }
    true
}

/// Says how long the longest was held, and where it was taken.
pub fn report() {
    let longest = LONGEST.load(Ordering::Relaxed);
    if longest > 0 {
        crate::kprintln!(
            "the longest spin lock was taken by {}",
            image::describe(LONGEST_BY.load(Ordering::Relaxed))
        );
        crate::kresult!("spinlock_longest_us={}", longest / 10);
    }
}
