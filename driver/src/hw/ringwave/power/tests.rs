//! D3 and back, and removal, against memory that answers as a card.

use nt::host;
use ringwave_regs::{global, pages};

use super::super::memory_card::MemoryCard;
use super::super::*;

#[test]
fn before_d3_the_line_is_silent_and_stays_so_until_the_driver_is_back() {
    let memory = MemoryCard::at(0x5000_0000);
    let card = memory.find();
    card.enable_interrupts(Granted::Line).unwrap();
    memory.raise();
    // SAFETY: not removed meanwhile.
    assert!(unsafe { card.acknowledge_line() });
    memory.raise();
    assert!(card.set_power(false));
    assert_eq!(
        (memory.get(global::CONTROL), memory.get(global::INT_STATUS)),
        (0, 0),
        "a line that is nobody's"
    );
    // What comes with D0, before the driver is told, finds the line held back.
    memory.raise();
    // SAFETY: as above.
    assert!(!unsafe { card.acknowledge_line() }, "no register is touched");
    assert!(card.set_power(true));
    assert_eq!(memory.get(global::CONTROL), 0, "the adapter switches it on");
    card.enable_interrupts(Granted::Line).unwrap();
    // SAFETY: as above.
    assert!(unsafe { card.acknowledge_line() }, "and then it is the driver's");
}

#[test]
fn d0_that_is_told_twice_finds_another_card_too() {
    let memory = MemoryCard::at(0x5400_0000);
    memory.set(regs::block(0).unwrap() + regs::CAPS, regs::CAPS_PRESENT);
    let card = memory.find();
    assert!(card.set_power(true) && card.state(0).is_some());
    memory.is_no_card();
    assert!(!card.set_power(true) && !card.asleep());
    assert_eq!((card.state(0), card.status(0)), (None, None), "it is left alone");
}

#[test]
fn a_stream_that_is_stopped_in_d3_is_in_stop_after_it() {
    let memory = MemoryCard::at(0x5800_0000);
    let state = |stream| regs::block(stream).unwrap() + regs::STATE;
    for stream in [0, 1] {
        memory.set(regs::block(stream).unwrap() + regs::CAPS, regs::CAPS_PRESENT);
    }
    memory.set(global::STREAMS, 2);
    let card = memory.find();
    for stream in [0, 1] {
        memory.set(state(stream), regs::STATE_PAUSE);
    }
    card.set_power(false);
    assert!(card.set_state(0, StreamState::Stop).is_err());
    assert!(card.set_state(1, StreamState::Acquire).is_err());
    assert_eq!(memory.get(state(0)), regs::STATE_PAUSE, "without power no register is touched");
    assert!(card.set_power(true));
    assert_eq!((memory.get(state(0)), memory.get(state(1))), (regs::STATE_STOP, regs::STATE_PAUSE));
    memory.set(state(0), regs::STATE_PAUSE);
    assert!(card.set_power(false) && card.set_power(true));
    assert_eq!(memory.get(state(0)), regs::STATE_PAUSE, "once");
}

/// What another card is, and how it becomes that.
type Exchange = (&'static str, fn(&MemoryCard));

#[test]
fn a_card_that_is_another_one_after_d0_is_gone() {
    let exchanges: [Exchange; 5] = [
        ("nobody", |memory| memory.set(global::MAGIC, u32::MAX)),
        ("another version", |memory| memory.set(global::VERSION, 9 << 16)),
        ("other features", |memory| memory.set(global::FEATURES, global::FEATURE_CONTIGUOUS)),
        ("more streams", |memory| memory.set(global::STREAMS, 1)),
        ("no share=on", MemoryCard::sees_a_copy),
    ];
    for (index, (what, exchange)) in (0_u64..).zip(exchanges) {
        let memory = MemoryCard::at(0x6000_0000 + index * 0x100_0000);
        // A second stream is there to be found, but does not count at first.
        memory.set(regs::block(0).unwrap() + regs::CAPS, regs::CAPS_PRESENT);
        let card = memory.find();
        assert!(card.set_power(false) && card.set_power(true), "the same card");
        card.set_power(false);
        assert!(card.asleep() && card.is_present());
        exchange(&memory);
        assert!(!card.set_power(true) && !card.asleep() && !card.is_present(), "{what}");
        card.enable_interrupts(Granted::Line).unwrap();
        assert_eq!(memory.get(global::CONTROL), 0, "{what}: a register was written");
        assert_eq!((card.state(0), card.status(0)), (None, None), "{what}");
        card.remove();
    }
}

/// A device that was pulled answers with ones, its pages too.
#[test]
fn a_card_that_answers_with_ones_or_was_removed_is_not_present() {
    let memory = MemoryCard::at(0x6800_0000);
    let card = memory.find();
    assert!(card.is_present());
    let offset = (pages::status_page(0).unwrap() + pages::status::SEQ) as usize;
    let seq = memory.pages.wrapping_add(offset).cast::<[u8; 4]>();
    // SAFETY: a word of the page BAR's memory, which lives as long as `memory`.
    unsafe { seq.write_volatile([u8::MAX; 4]) };
    assert!(!card.is_present());
    // SAFETY: as above.
    unsafe { seq.write_volatile([0; 4]) };
    card.remove();
    assert!(!card.is_present());
}

#[test]
fn a_mapped_position_page_stays_until_its_client_lets_go() {
    let memory = MemoryCard::at(0x7000_0000);
    let card = memory.find();
    let registers = card.position_registers(0).unwrap();
    let page = memory.pages.wrapping_add(pages::position_page(0).unwrap() as usize);
    let at = |field: u32| page.wrapping_add(field as usize);
    assert_eq!(registers.position.as_ptr(), at(pages::position::RING_OFFSET));
    assert_eq!(registers.clock.as_ptr(), at(pages::position::CLOCK));
    assert_eq!(card.position_registers(1).map(|_| host::io_mappings()), Some(2));
    card.release_position_registers(1);
    card.remove();
    assert_eq!(host::io_mappings(), 1, "the registers are unmapped, the client's page is not");
    assert_eq!((card.position_registers(0), card.status(0)), (None, None), "nobody else gets at it");
    card.release_position_registers(0);
    card.release_position_registers(0);
    assert_eq!(host::io_mappings(), 0);
    let unused = MemoryCard::at(0x7100_0000).find();
    unused.remove();
    assert_eq!(host::io_mappings(), 0, "without a client both go at once");
}
