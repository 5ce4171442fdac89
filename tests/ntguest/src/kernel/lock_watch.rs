//! What happens under a spin lock: how long the longest is held (a figure, never judged), and whether a
//! register is touched meanwhile.
//!
//! Rule `register-under-lock`: BAR 0 is not accessed while a spin lock is held, an interrupt's own among
//! them. The documents say that a spin lock is held 25 microseconds at most; an access to a register that a
//! busy host emulates can take longer than that, and one that a dead host emulates takes for ever, with every
//! processor behind it that wants the lock. The service routine of a line cannot do without: two accesses are
//! its own. The rule is harsher than Windows, which has no such check.
//!
//! The pages of BAR 0 are not present on a processor that holds a lock. An access faults, is noted, and is
//! done with the page present and the trap flag set for that one instruction. In D3 the pages of all BARs are
//! not present: what touches them then is [`d3`]'s to judge.

use alloc::vec::Vec;
use core::cell::Cell;
use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use super::idt::{Frame, TRAP};
use super::page_map::PAGE;
use super::processor::{self, MOST, PerProcessor};
use super::sync::IrqLock;
use super::{cards, d3, harsh_violation, image, paging, schedule, spin, time};

/// Accesses that the service routine of a line has: it asks what is pending, and takes it back.
const OF_A_LINE: u32 = 2;
/// Places in the driver that are named; further ones are only counted.
const NAMED: usize = 16;
const INTERRUPTS: u64 = 1 << 9;

#[derive(Clone, Copy)]
struct Page {
    va: u64,
    pa: u64,
    /// Where it is, whatever stands in for it now.
    real: u64,
    flags: u64,
    /// Of BAR 0.
    registers: bool,
    /// Of which card.
    card: usize,
}

impl Page {
    /// Not present on processor `number` now: it holds a lock, the schedule fuzzer wants to see each access,
    /// or the function is in D3.
    fn hidden(&self, number: usize) -> bool {
        let locked = LOCKED[number].load(Ordering::Relaxed) || schedule::on();
        is_asleep(self.card) || self.registers && locked
    }

    fn update(&self, number: usize) {
        if self.hidden(number) {
            paging::hide(number, self.va);
        } else {
            paging::show(number, self.va, self.pa, self.flags);
        }
    }

    fn update_all(&self) {
        (0..processor::count()).for_each(|number| self.update(number));
    }
}

/// Pages of BARs that the driver has mapped.
static PAGES: IrqLock<Vec<Page>> = IrqLock::new(Vec::new());
/// The processor holds a spin lock.
static LOCKED: [AtomicBool; MOST] = [const { AtomicBool::new(false) }; MOST];
/// The function is in D3.
static ASLEEP: [AtomicBool; cards::MOST] = [const { AtomicBool::new(false) }; cards::MOST];
/// The page that stands for those of a card that is pulled out; 0: it is there.
static NOBODY: [AtomicU64; cards::MOST] = [const { AtomicU64::new(0) }; cards::MOST];
/// Accesses left to the service routine of a line that runs now.
static LEFT: PerProcessor<Cell<u32>> = PerProcessor::new(0);
/// The page that is present for one instruction, and whether interrupts were on before it.
static ONE_STEP: PerProcessor<Cell<Option<(Page, bool)>>> = PerProcessor::new(None);
/// Where in the driver the rule was broken.
static REPORTED: IrqLock<Vec<usize>> = IrqLock::new(Vec::new());
/// Code outside the image is checked too: for the self-test.
static ALL_CODE: AtomicBool = AtomicBool::new(false);

static SINCE: PerProcessor<Cell<u64>> = PerProcessor::new(0);
static TAKEN_BY: PerProcessor<Cell<usize>> = PerProcessor::new(0);
static LONGEST: AtomicU64 = AtomicU64::new(0);
static LONGEST_BY: AtomicUsize = AtomicUsize::new(0);

/// The driver has mapped a page of a BAR; of BAR 0 they are `registers`.
pub fn add(va: u64, pa: u64, flags: u64, registers: bool, card: usize) {
    let nobody = NOBODY[card].load(Ordering::Relaxed);
    let page = Page { va, pa: if nobody == 0 { pa } else { nobody }, real: pa, flags, registers, card };
    let mut pages = PAGES.lock();
    pages.push(page);
    page.update_all();
}

/// The page is about to be unmapped.
pub fn remove(va: u64) {
    PAGES.lock().retain(|page| page.va != va);
}

/// Checks the self-test's code as if it were a driver's.
pub fn check_all_code() {
    ALL_CODE.store(true, Ordering::Relaxed);
}

fn lock(locked: bool) {
    let pages = PAGES.lock();
    let here = processor::current();
    LOCKED[here].store(locked, Ordering::Relaxed);
    pages.iter().filter(|page| page.registers).for_each(|page| page.update(here));
}

/// The target goes to D3, or has come back.
pub fn set_asleep(asleep: bool) {
    {
        let pages = PAGES.lock();
        ASLEEP[cards::target()].store(asleep, Ordering::Relaxed);
        pages.iter().for_each(Page::update_all);
    }
    paging::shoot_down();
}

/// Whether a card is in D3.
pub fn is_asleep(card: usize) -> bool {
    ASLEEP[card].load(Ordering::Relaxed)
}

/// While `f` runs the driver's registers are the memory at `stand_in`: what it writes to them is lost.
pub fn with_stand_in<R>(stand_in: u64, f: impl FnOnce() -> R) -> R {
    let target = cards::target();
    let is_its = |page: &Page| page.registers && page.card == target;
    exchange(|page| is_its(page).then_some(stand_in));
    let result = f();
    exchange(|page| is_its(page).then_some(page.real));
    result
}

/// The target is pulled out: in the place of every page of its BARs stands `nobody`, whatever is mapped from
/// now on too; or it is put in again.
pub fn set_gone(nobody: Option<u64>) {
    let target = cards::target();
    NOBODY[target].store(nobody.unwrap_or(0), Ordering::Relaxed);
    exchange(|page| (page.card == target).then(|| nobody.unwrap_or(page.real)));
}

fn exchange(with: impl Fn(&Page) -> Option<u64>) {
    for page in PAGES.lock().iter_mut() {
        if let Some(pa) = with(page) {
            page.pa = pa;
            page.update_all();
        }
    }
    paging::shoot_down();
}

/// This processor has taken its first spin lock.
pub fn first_taken() {
    SINCE.set(time::interrupt_time_100ns());
    TAKEN_BY.set(image::last_call().0);
    lock(true);
}

/// It has given back its last one.
pub fn last_released() {
    lock(false);
    let held = time::interrupt_time_100ns().saturating_sub(SINCE.get());
    if LONGEST.fetch_max(held, Ordering::Relaxed) < held {
        LONGEST_BY.store(TAKEN_BY.get(), Ordering::Relaxed);
    }
}

/// Runs the service routine of a line, which has its accesses.
pub fn line_routine<R>(f: impl FnOnce() -> R) -> R {
    let before = LEFT.replace(OF_A_LINE);
    let result = f();
    LEFT.set(before);
    result
}

/// A page fault at `va`: true when it was an access under a lock or in D3, which is done now.
pub fn fault(frame: &mut Frame, va: u64, write: bool) -> bool {
    // In an exception: nobody moves.
    let here = processor::current();
    let first = va & !(PAGE - 1);
    let page = PAGES.lock().iter().copied().find(|page| page.va == first);
    let Some(page) = page.filter(|page| page.hidden(here)) else { return false };
    if is_asleep(page.card) {
        d3::check_access(frame.rip as usize, page.pa + va % PAGE, write);
    } else {
        if LOCKED[here].load(Ordering::Relaxed) {
            check_access(frame.rip as usize, page, va, write);
        }
        schedule::at(schedule::Point::Register, frame.rip as usize);
    }
    paging::show(here, page.va, page.pa, page.flags);
    // No interrupt in between: its service routine would find the page present.
    ONE_STEP.set(Some((page, frame.rflags & INTERRUPTS != 0)));
    frame.rflags = (frame.rflags | TRAP) & !INTERRUPTS;
    true
}

fn check_access(rip: usize, page: Page, va: u64, write: bool) {
    if !image::image_contains(rip) && !ALL_CODE.load(Ordering::Relaxed) {
        return;
    }
    if let Some(left) = LEFT.get().checked_sub(1) {
        LEFT.set(left);
        return;
    }
    let new = {
        let mut reported = REPORTED.lock();
        let new = !reported.contains(&rip) && reported.len() < NAMED;
        if new {
            reported.push(rip);
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
                page.real - bar_0(page.card) + va % PAGE,
                spin::held(),
                image::describe(TAKEN_BY.get()),
            ),
        );
    }
}

fn bar_0(card: usize) -> u64 {
    let bar = cards::get(card).and_then(|card| card.bars.iter().find(|bar| bar.index == 0));
    bar.map_or(0, |bar| bar.base)
}

/// The debug exception: true when it was the one instruction; the page is gone again and the interrupt flag
/// as it was.
pub fn on_single_step(frame: &mut Frame) -> bool {
    let Some((page, interrupts)) = ONE_STEP.replace(None) else { return false };
    page.update(processor::current());
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
