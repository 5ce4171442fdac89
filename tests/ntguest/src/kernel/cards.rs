//! The cards that the driver has in this machine: one, or with `cards=2` two of the same kind.
//!
//! What PnP and power do comes to one of them at a time, the target; what the driver asks for names its
//! device object, and so its card.

use alloc::boxed::Box;
use core::sync::atomic::{AtomicUsize, Ordering};

use super::pci::Card;
use super::sync::IrqLock;
use super::{bad_input, cfg};

/// The most cards of one machine.
pub const MOST: usize = 2;

static CARDS: IrqLock<[Option<&'static Card>; MOST]> = IrqLock::new([None; MOST]);
static TARGET: AtomicUsize = AtomicUsize::new(0);

/// How many the machine is to have (cfg `cards=`).
pub fn wanted() -> usize {
    let wanted = usize::try_from(cfg::get_u64("cards", 1)).unwrap_or(0);
    if !(1..=MOST).contains(&wanted) {
        bad_input(format_args!("ntguest.cfg: cards={wanted} is not 1 to {MOST}"));
    }
    wanted
}

/// The card of a number.
pub fn get(number: usize) -> Option<&'static Card> {
    CARDS.lock().get(number).copied().flatten()
}

/// All of them, in the order of the bus.
pub fn all() -> impl Iterator<Item = &'static Card> {
    (0..MOST).filter_map(get)
}

/// A card as it is now, in the place of what it was.
pub fn set(card: Card) {
    let card = Box::leak(Box::new(card));
    if let Some(place) = CARDS.lock().get_mut(card.number) {
        *place = Some(card);
    }
}

/// Which card PnP and power requests are for.
pub fn target() -> usize {
    TARGET.load(Ordering::Acquire)
}

/// They are for another one from now on; none may be on its way.
pub fn set_target(number: usize) {
    TARGET.store(number, Ordering::Release);
}

/// The card in one of whose memory BARs `start..start+len` lies.
pub fn with_memory_at(start: u64, len: u64) -> Option<&'static Card> {
    let end = start.checked_add(len)?;
    all().find(|card| card.bars.iter().any(|b| !b.is_io && start >= b.base && end <= b.base + b.len))
}
