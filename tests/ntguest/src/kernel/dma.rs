//! The log for the DMA judge: what physical memory the driver has, in an order that the card's own trace
//! can be joined with.
//!
//! Every range that is given out or taken back gets a mark, a number that grows by one. The mark is
//! written to the card right after a range is given out and right before it is taken back, so that the
//! card's trace and this log can be put into one order.

use alloc::vec::Vec;

use super::page_map::PAGE;
use super::paging::{self, Region, bits};
use super::pci::Card;
use super::sync::{self, IrqLock};
use super::{caller, cards, cfg, lock_watch, log, violation};

struct Marker {
    /// Of each card.
    registers: [Option<usize>; cards::MOST],
    next: u32,
    /// Marks of the time in which a card is pulled out or in D3: it does no DMA then, so that they may come
    /// late.
    deferred: [Vec<u32>; cards::MOST],
    /// A card is pulled out, or put in and not set up yet, while the other one's streams go on.
    held: [bool; cards::MOST],
}

static MARKER: IrqLock<Marker> = IrqLock::new(Marker {
    registers: [None; cards::MOST],
    next: 1,
    deferred: [const { Vec::new() }; cards::MOST],
    held: [false; cards::MOST],
});

/// Maps the mark register of each card, if `mark_reg` (an offset in BAR 0) is given.
pub fn init() {
    cards::all().for_each(init_card);
}

/// Maps the mark register of a card where its BAR is now.
pub fn init_card(card: &Card) {
    let Some(offset) = cfg::get("mark_reg").map(|_| cfg::get_u64("mark_reg", 0)) else { return };
    let bar = card.bars.iter().find(|b| b.index == 0 && !b.is_io);
    let Some(bar) = bar.filter(|b| offset % 4 == 0 && offset + 4 <= b.len) else {
        super::bad_input(format_args!("ntguest.cfg: mark_reg={offset:#x} is not in the card's BAR 0"));
    };
    let pa = bar.base + offset;
    let va = paging::reserve(Region::Io, 1);
    paging::map(va, pa & !(PAGE - 1), bits::DEVICE);
    MARKER.lock().registers[card.number] = Some((va + pa % PAGE) as usize);
}

fn next_mark() -> u32 {
    let mut marker = MARKER.lock();
    let mark = marker.next;
    marker.next += 1;
    mark
}

/// A card is about to be pulled out: it gets no mark until [`card_is_back`].
pub fn card_goes(card: usize) {
    MARKER.lock().held[card] = true;
}

/// The target is there again: it gets the marks of the time when it was not, before any other.
pub fn card_is_back() {
    sync::exclusive(|| {
        let card = cards::target();
        let marks = {
            let mut marker = MARKER.lock();
            marker.held[card] = false;
            core::mem::take(&mut marker.deferred[card])
        };
        for mark in marks {
            write_mark(card, mark);
        }
    });
}

fn write_mark(card: usize, mark: u32) {
    let mut marker = MARKER.lock();
    let Some(register) = marker.registers[card] else { return };
    if marker.held[card] || lock_watch::is_asleep(card) || !marker.deferred[card].is_empty() {
        marker.deferred[card].push(mark);
    } else {
        // SAFETY: the register's page was mapped in `init_card`; memory decoding is on while a driver runs.
        unsafe { (register as *mut u32).write_volatile(mark) }
    }
}

/// In one piece: the marks reach the card in their order.
fn mark(what: &str, base: u64, bytes: u64) {
    sync::exclusive(|| {
        let mark = next_mark();
        log::line(what, format_args!("mark={mark} base={base:#x} bytes={bytes}"));
        (0..cards::MOST).for_each(|card| write_mark(card, mark));
    });
}

/// Neighbouring pages as (base, bytes), in ascending order.
fn ranges(pages: &[u64]) -> Vec<(u64, u64)> {
    let mut sorted = pages.to_vec();
    sorted.sort_unstable();
    let mut out: Vec<(u64, u64)> = Vec::new();
    for page in sorted {
        match out.last_mut() {
            Some((base, bytes)) if *base + *bytes == page => *bytes += PAGE,
            _ => out.push((page, PAGE)),
        }
    }
    out
}

/// Whatever the driver is given, the card must reach (cfg `dma_bits=`, as the card's option `--dma-bits`;
/// 64): the driver has to name the highest address that it can use (rule `high-address`, WAVERT.md 3).
fn check_addressable(pages: &[u64]) {
    let bits = cfg::get_u64("dma_bits", 64).clamp(32, 64);
    let beyond = |page: &&u64| bits < 64 && **page >> bits != 0;
    if let Some(page) = pages.iter().find(beyond) {
        violation(
            "high-address",
            format_args!(
                "{} of {} pages are beyond the {bits} address bits of the card, the first at {page:#x}, {}",
                pages.iter().filter(beyond).count(),
                pages.len(),
                caller()
            ),
        );
    }
}

/// The driver has these pages now.
pub fn given(pages: &[u64]) {
    check_addressable(pages);
    for (base, bytes) in ranges(pages) {
        mark("ntguest: dma-alloc ", base, bytes);
    }
}

/// These pages are about to be taken from the driver.
pub fn taken(pages: &[u64]) {
    for (base, bytes) in ranges(pages) {
        mark("ntguest: dma-free ", base, bytes);
    }
}
