//! The card that PnP requests are for is pulled out: at once, or when the driver makes its n-th call of an
//! import from now on.
//!
//! What is read where it was is all ones, in its BARs and in its configuration space, and what is written is
//! lost (PCI Express base specification, 2.3.2: Unsupported Request; "Handling an IRP_MN_SURPRISE_REMOVAL
//! Request"). It raises no interrupt and does no DMA.

use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use super::d3::{self, Context};
use super::{cards, dma, lock_watch, pci};

static GONE: [AtomicBool; cards::MOST] = [const { AtomicBool::new(false) }; cards::MOST];
/// It was put back in D3.
static IS_BACK: AtomicBool = AtomicBool::new(false);
/// Calls of imports that are left until it goes; 0: it does not go by itself.
static LEFT: AtomicU32 = AtomicU32::new(0);

/// Whether the target is pulled out.
pub fn is_gone() -> bool {
    is_pulled_out(cards::target())
}

/// Whether this card is.
pub fn is_pulled_out(card: usize) -> bool {
    GONE[card].load(Ordering::Acquire)
}

fn set_gone(gone: bool) -> bool {
    if gone {
        dma::card_goes(cards::target());
    }
    GONE[cards::target()].swap(gone, Ordering::AcqRel)
}

/// Pulls it out now.
pub fn pull() {
    if !set_gone(true) {
        pci::disappear();
        lock_watch::set_gone(pci::nobody());
    }
}

/// It leaves its slot in truth: there is no function that could be told to be silent.
pub fn leave() {
    set_gone(true);
    lock_watch::set_gone(pci::nobody());
}

/// Another one is in the slot, with its resources.
pub fn come() {
    set_gone(false);
}

/// Pulls it out when the driver makes its n-th call from now on.
pub fn pull_at(call: u32) {
    LEFT.store(call, Ordering::Release);
}

/// The driver calls an import.
pub fn count_call() {
    let one_less = |left: u32| left.checked_sub(1);
    if LEFT.fetch_update(Ordering::AcqRel, Ordering::Acquire, one_less) == Ok(1) {
        pull();
    }
}

/// In D3 another card takes its place, or none: at D0 the driver finds the registers at `page`
/// ([`d3::prepare_other_card`]).
pub fn exchange(page: u64) {
    set_gone(true);
    lock_watch::set_gone(Some(page));
}

/// In D3 the card that was there is put back in its place.
pub fn change_back() {
    lock_watch::set_gone(None);
    IS_BACK.store(true, Ordering::Release);
}

/// The function is in D0, with its configuration; the driver is not told yet.
pub fn in_d0() {
    if IS_BACK.swap(false, Ordering::AcqRel) {
        set_gone(false);
        dma::card_is_back();
    }
}

/// It is put in again: as after a reset, in D0, with its resources.
pub fn put_back() {
    LEFT.store(0, Ordering::Release);
    if set_gone(false) {
        d3::reset_function();
        pci::reappear();
        lock_watch::set_gone(None);
        dma::card_is_back();
    }
}

/// The device was pulled out in D3: what stands for that is over.
pub fn put_back_from_d3() {
    LEFT.store(0, Ordering::Release);
    set_gone(false);
    d3::power_up(Context::Lost);
    lock_watch::set_gone(None);
    dma::card_is_back();
}
