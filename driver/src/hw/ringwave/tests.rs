//! Tests of [`super`] against plain memory in the place of a card.

use nt::host;
use nt::status::STATUS_REVISION_MISMATCH;

use super::memory_card::{MemoryCard, resources};
use super::*;
use crate::hw::format::SampleFormat;

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
    let resources = resources((physical, 0x4000), (physical + 0x10_0000, 0x4_0000));
    // SAFETY: fake device memory.
    unsafe { Ringwave::find(&resources) }.map(|_| ())
}

#[test]
fn strange_cards_are_refused_and_let_go() {
    let good = global::MAGIC_VALUE;
    assert_eq!(find(0x1000_0000, NO_DEVICE, NO_DEVICE), Err(STATUS_DEVICE_CONFIGURATION_ERROR));
    assert_eq!(find(0x2000_0000, good, 0x0002_0000), Err(STATUS_REVISION_MISMATCH));
    // A later minor version is no reason; that plain memory does not do the self-test is.
    assert_eq!(find(0x3000_0000, good, 0x0001_0007), Err(STATUS_DEVICE_CONFIGURATION_ERROR));
    assert_eq!(host::io_mappings(), 0);
}

/// A card with these features.
fn with_features(physical: u64, features: u32) -> (MemoryCard, Ringwave) {
    let memory = MemoryCard::at(physical);
    memory.set(global::FEATURES, features);
    let card = memory.find();
    (memory, card)
}

/// A word of a page.
fn word<T>(pages: *mut u8, at: u32) -> T {
    // SAFETY: the callers' places are within the memory and hold numbers.
    unsafe { pages.add(at as usize).cast::<T>().read_unaligned() }
}

/// Changes a word of a page.
fn put(pages: *mut u8, at: u32, value: u32) {
    // SAFETY: as above.
    unsafe { pages.add(at as usize).cast::<u32>().write_unaligned(value) }
}

#[test]
fn the_count_of_packets_is_read_of_a_page_that_is_being_changed_but_not_of_a_card_that_is_gone() {
    let (memory, card) = with_features(0x3800_0000, 0);
    let page = pages::status_page(0).unwrap();
    put(memory.pages, page + pages::status::PACKET_COUNT, 5);
    put(memory.pages, page + pages::status::SEQ, 7);
    assert_eq!((card.status(0), card.packet_count(0)), (None, Some(5)));
    card.set_power(false);
    assert_eq!(card.packet_count(0), None, "without power");
    assert!(card.set_power(true));
    put(memory.pages, page + pages::status::SEQ, NO_DEVICE);
    assert_eq!(card.packet_count(0), None, "gone");
}

#[test]
fn a_mark_is_a_store_and_only_for_a_card_that_waits_a_message_too() {
    let (memory, card) = with_features(0x5000_0000, FEATURES_ALL);
    let (status, page) = (pages::status_page(3).unwrap(), pages::mark_page(3).unwrap());
    let look = regs::block(3).unwrap() + regs::LOOK;
    let mark = |number| card.mark(3, Mark { number, end_of_stream: None }, 0x1122_3344_5566, false);
    let stored = || word::<u64>(memory.pages, page + pages::mark::MARK);
    memory.set(look, 7);
    let all = || (0..0x4000).step_by(4).map(|at| memory.get(at)).collect::<Vec<_>>();
    let before = all();
    assert!(!mark(5) && stored() == 0, "there is no tag where there is no card");
    put(memory.pages, status + pages::status::MARK_TAG, 0xABCD);
    assert!(mark(5));
    assert_eq!(stored(), pages::mark::word(5, 0xABCD));
    assert_eq!(word::<u64>(memory.pages, page + pages::mark::MARK_CLOCK), 0x1122_3344_5566);
    assert_eq!(all(), before, "no message");
    put(memory.pages, status + pages::status::WAITING, 1);
    assert!(mark(6) && stored() == pages::mark::word(6, 0xABCD));
    assert_eq!(memory.get(look), 0, "written");
    memory.set(look, 7);
    put(memory.pages, status + pages::status::WAITING, NO_DEVICE);
    assert!(mark(7) && all() == before, "a page that is gone waits for nothing");
    assert!(card.mark(3, Mark { number: 8, end_of_stream: None }, 0, true) && all() != before, "at once");
    card.set_power(false);
    assert!(!mark(9) && stored() == pages::mark::word(8, 0xABCD));
}

#[test]
fn a_mark_of_a_packet_that_has_begun_meanwhile_is_seen_before_the_next_one() {
    let (render, capture) = (regs::block(0).unwrap(), regs::block(1).unwrap());
    let memory = MemoryCard::at(0x5800_0000);
    memory.set(global::FEATURES, FEATURES_ALL);
    memory.set(global::STREAMS, 1 | 1 << global::STREAMS_CAPTURE_SHIFT);
    memory.set(render + regs::CAPS, regs::CAPS_PRESENT);
    memory.set(capture + regs::CAPS, regs::CAPS_PRESENT | regs::CAPS_CAPTURE);
    let card = memory.find();
    let looks = |stream: u32, state: u32, count: u32, number: u32| {
        let status = pages::status_page(stream).unwrap();
        put(memory.pages, status + pages::status::MARK_TAG, 1);
        put(memory.pages, status + pages::status::STATE, state);
        put(memory.pages, status + pages::status::PACKET_COUNT, count);
        let look = regs::block(stream).unwrap() + regs::LOOK;
        memory.set(look, 7);
        assert!(card.mark(stream, Mark { number, end_of_stream: None }, 0, false));
        memory.get(look) == 0
    };
    assert!(!looks(0, regs::STATE_RUN, 8, 9), "in time");
    assert!(looks(0, regs::STATE_RUN, 9, 9), "it has begun");
    assert!(looks(0, regs::STATE_RUN, 0, u32::MAX), "and is over");
    assert!(!looks(0, regs::STATE_RUN, u32::MAX, 0), "in time, at the wrap");
    assert!(!looks(0, regs::STATE_PAUSE, 9, 9), "nothing begins in PAUSE");
    assert!(!looks(1, regs::STATE_RUN, 9, 8), "what is taken was complete before");
}

#[test]
fn the_end_of_a_stream_and_a_card_without_mark_pages_are_marked_by_registers() {
    for (mark_page, end_of_stream) in [(true, Some(400)), (false, None), (false, Some(400))] {
        let physical =
            0x6000_0000 + (u64::from(mark_page) << 24) + (u64::from(end_of_stream.is_some()) << 25);
        let without = if mark_page { 0 } else { global::FEATURE_MARK_PAGE };
        let (memory, card) = with_features(physical, FEATURES_ALL & !without);
        let block = regs::block(0).unwrap();
        put(memory.pages, pages::status_page(0).unwrap() + pages::status::MARK_TAG, 1);
        assert!(card.mark(0, Mark { number: 9, end_of_stream }, 1, true));
        assert_eq!(memory.get(block + regs::WRITTEN), 9);
        let eos = end_of_stream.map_or(0, |bytes| regs::EOS_ARM | bytes);
        assert_eq!(memory.get(block + regs::EOS), eos);
        assert_eq!(word::<u64>(memory.pages, pages::mark_page(0).unwrap()), 0);
    }
}

#[test]
fn a_stream_is_set_up_with_the_buffer_that_is_attached() {
    let memory = MemoryCard::at(0x7800_0000);
    memory.set(global::FEATURES, FEATURES_ALL);
    memory.set(global::SG_ENTRIES_MAX, 2);
    let card = memory.find();
    let format = AudioFormat { sample: SampleFormat::S24In32, channels: 2, rate: 44_100 };
    let geometry = BufferGeometry { bytes: 8192, packets: 2, frame_bytes: 8 };
    let register = |at: u32| memory.get(regs::block(2).unwrap() + at);
    let configure = || card.configure(2, format, geometry);
    assert_eq!(configure(), Err(STATUS_DEVICE_NOT_READY), "without a buffer");
    // In one piece, then in two.
    let pages: [(&[u64], _, _); 2] = [
        (&[0x1_0000_1000, 0x1_0000_2000], regs::DMA_MODE_CONTIGUOUS, 0),
        (&[0x1_0000_1000, 0x1_0000_9000], regs::DMA_MODE_SCATTER_GATHER, 2),
    ];
    for (pages, mode, entries) in pages {
        card.attach(2, &pages, geometry.bytes).unwrap();
        configure().unwrap();
        assert_eq!((register(regs::DMA_MODE), register(regs::SG_ENTRIES)), (mode, entries));
        let address = u64::from(register(regs::DMA_ADDR_HI)) << 32 | u64::from(register(regs::DMA_ADDR_LO));
        let slot: *const u64 = core::ptr::with_exposed_provenance(usize::try_from(address).unwrap());
        // SAFETY: on a host a physical address is the address; the table is attached.
        let first = if entries == 0 { address } else { unsafe { slot.read_volatile() } };
        assert_eq!(first, pages[0]);
        assert!(card.detach(2));
    }
    assert_eq!((register(regs::FORMAT), register(regs::RATE)), (sample::pack(sample::S24_32, 2), 44_100));
    assert_eq!((register(regs::RING_BYTES), register(regs::PACKETS)), (8192, 2));
    assert_eq!(configure(), Err(STATUS_DEVICE_NOT_READY), "nor after it has gone");
    let three: &[u64] = &[0x1000, 0x3000, 0x5000];
    assert!(card.attach(2, &three, 3 * 4096).is_err(), "more pieces than it takes");
}

#[test]
fn what_a_client_may_map_is_no_mark_page() {
    let (memory, card) = with_features(0x7000_0000, FEATURES_ALL);
    let marks: Vec<usize> = (0..16).map(|stream| pages::mark_page(stream).unwrap() as usize / 4096).collect();
    for stream in 0..16 {
        // PortCls maps the page that a register is in.
        let page =
            (card.position_registers(stream).unwrap().clock.as_ptr().addr() - memory.pages.addr()) / 4096;
        assert!(!marks.contains(&page), "{stream}");
    }
}

#[test]
fn without_power_neither_registers_nor_pages_are_touched() {
    let (memory, card) = with_features(0x4000_0000, FEATURES_ALL & !global::FEATURE_MARK_PAGE);
    let block = regs::block(0).unwrap();
    let mark = |number| card.mark(0, Mark { number, end_of_stream: None }, 0, false);
    let written = || memory.get(block + regs::WRITTEN);
    let register = |at| memory.get(block + at).cast_signed();
    let controls = || [regs::VOLUME_7, regs::MUTE, regs::INT_ENABLE].map(register);
    assert!(mark(7) && card.status(0).is_some() && card.state(0).is_some());
    assert_eq!(card.unplugged(0), Some(false));
    card.set_power(false);
    assert_eq!((card.status(0), card.state(0), card.unplugged(0)), (None, None, None));
    assert!(!mark(8), "who writes must know that it did not arrive");
    assert!(card.set_state(0, StreamState::Stop).is_err());
    card.ask_lockstep(0, true);
    card.set_volume(0, 7, -65_536);
    card.set_mute(0, 0xFF);
    card.watch_jack(0);
    assert_eq!((written(), controls(), register(regs::LOCKSTEP)), (7, [0; 3], 0));
    card.set_power(true);
    card.ask_lockstep(0, true);
    assert_eq!(register(regs::LOCKSTEP), 1);
    assert!(card.status(0).is_some() && mark(8) && written() == 8);
    card.set_volume(0, 7, i32::MIN);
    card.set_volume(0, 8, -65_536);
    card.set_mute(0, u32::MAX);
    card.watch_jack(0);
    assert_eq!(controls(), [regs::VOLUME_MIN, 0xFF, 7], "no more than what the card takes");
    let flags = |value| put(memory.pages, pages::status_page(0).unwrap() + pages::status::FLAGS, value);
    flags(pages::status::FLAG_UNPLUGGED | pages::status::FLAG_LOCKSTEP);
    assert_eq!((card.unplugged(0), card.unplugged(1)), (Some(true), Some(false)));
    flags(NO_DEVICE);
    assert_eq!(card.unplugged(0), None, "the card is gone");
}

#[test]
fn bars_that_are_too_small_are_not_mapped() {
    let (small, large) = ((0, 0x1000), (0, 0x4_0000));
    // SAFETY: refused before anything is mapped.
    let found = [(small, large), (large, small)]
        .map(|(registers, pages)| unsafe { Ringwave::find(&resources(registers, pages)) }.err());
    assert_eq!(found, [Some(STATUS_DEVICE_CONFIGURATION_ERROR); 2]);
}
