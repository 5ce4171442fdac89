//! Tests of [`super`] against plain memory in the place of a card.

use nt::host;
use nt::status::STATUS_REVISION_MISMATCH;

use super::memory_card::MemoryCard;
use super::*;

/// Every feature that there is.
const FEATURES_ALL: u32 = 0xFFFF;

/// Plain memory in the place of a card: what is written is read back.
fn find(physical: u64, magic: u32, version: u32) -> Result<(), nt::NTSTATUS> {
    let registers = host::add_io_space(physical, 0x4000);
    host::add_io_space(physical + 0x10_0000, 0x4_0000);
    let set = |offset: u32, value: u32| {
        // SAFETY: within the memory.
        unsafe { registers.add(offset as usize).cast::<[u8; 4]>().write(value.to_le_bytes()) }
    };
    set(global::MAGIC, magic);
    set(global::VERSION, version);
    set(global::DMA_BITS, 64);
    set(global::CLOCK_HZ, 1_000_000_000);
    let pages = Range { address: physical + 0x10_0000, bytes: 0x4_0000 };
    // SAFETY: fake device memory.
    unsafe { Ringwave::find(Range { address: physical, bytes: 0x4000 }, pages) }.map(|_| ())
}

#[test]
fn strange_cards_are_refused_and_let_go() {
    let good = global::MAGIC_VALUE;
    assert_eq!(find(0x1000_0000, NOBODY, NOBODY), Err(STATUS_DEVICE_CONFIGURATION_ERROR));
    assert_eq!(find(0x2000_0000, good, 0x0002_0000), Err(STATUS_REVISION_MISMATCH));
    // A later minor version is no reason; that plain memory does not do the self-test is.
    assert_eq!(find(0x3000_0000, good, 0x0001_0007), Err(STATUS_DEVICE_CONFIGURATION_ERROR));
    assert_eq!(host::io_mappings(), 0);
}

#[test]
fn without_power_neither_registers_nor_pages_are_touched() {
    let (memory, block) = (MemoryCard::at(0x4000_0000), regs::block(0).unwrap());
    memory.set(global::FEATURES, FEATURES_ALL);
    let card = memory.find();
    let mark = |number| card.mark(0, Mark { number, end_of_stream: None });
    let written = || memory.get(block + regs::WRITTEN);
    let register = |at| memory.get(block + at).cast_signed();
    let controls = || [regs::VOLUME_7, regs::MUTE, regs::INT_ENABLE].map(register);
    assert!(mark(7) && card.status(0).is_some() && card.state(0).is_some());
    assert_eq!(card.unplugged(0), Some(false));
    card.set_power(false);
    assert_eq!((card.status(0), card.state(0), card.unplugged(0)), (None, None, None));
    assert!(!mark(8), "who writes must know that it did not arrive");
    assert!(card.set_state(0, State::Stop).is_err());
    card.set_volume(0, 7, -65_536);
    card.set_mute(0, 0xFF);
    card.watch_jack(0);
    assert_eq!((written(), controls()), (7, [0; 3]));
    card.set_power(true);
    assert!(card.status(0).is_some() && mark(8) && written() == 8);
    card.set_volume(0, 7, i32::MIN);
    card.set_volume(0, 8, -65_536);
    card.set_mute(0, u32::MAX);
    card.watch_jack(0);
    assert_eq!(controls(), [regs::VOLUME_MIN, 0xFF, 7], "no more than what the card takes");
    // SAFETY: within the memory.
    let flags = |value: u32| unsafe {
        let page = pages::status_page(0).unwrap() + pages::status::FLAGS;
        memory.pages.add(page as usize).cast::<u32>().write_unaligned(value);
    };
    flags(pages::status::FLAG_UNPLUGGED | pages::status::FLAG_LOCKSTEP);
    assert_eq!((card.unplugged(0), card.unplugged(1)), (Some(true), Some(false)));
    flags(NOBODY);
    assert_eq!(card.unplugged(0), None, "the card is gone");
}

#[test]
fn bars_that_are_too_small_are_not_mapped() {
    let (small, large) = (Range { address: 0, bytes: 0x1000 }, Range { address: 0, bytes: 0x4_0000 });
    // SAFETY: refused before anything is mapped.
    let found = unsafe { [Ringwave::find(small, large).err(), Ringwave::find(large, small).err()] };
    assert_eq!(found, [Some(STATUS_DEVICE_CONFIGURATION_ERROR); 2]);
}
