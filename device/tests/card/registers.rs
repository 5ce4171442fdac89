//! The registers on their own: access rules, what each accepts, interrupts, self-test. DATASHEET sections 2
//! to 4.
#![allow(
    clippy::cast_possible_truncation,
    clippy::decimal_bitwise_operands,
    clippy::precedence,
    reason = "test code"
)]

use crate::support::{RAM, SECOND, TestCard};
use ringwave_card::controller::Config;
use ringwave_card::env::ClockMode;
use ringwave_regs::dma::Slot;
use ringwave_regs::error::Error;
use ringwave_regs::{format, global, pages, stream as regs};
use ringwave_trace::{CardEvent, Diagnostic};

fn test_card() -> TestCard {
    TestCard::new(ClockMode::Lockstep)
}

#[test]
fn the_card_says_what_it_is() {
    let mut dut = test_card();
    let values = [
        (global::MAGIC, 0x5641_5752),
        (global::VERSION, 0x1_0000),
        (global::FEATURES, 0b1_1111_1111),
        (global::STREAMS, 0x0101),
        (global::DMA_BITS, 64),
        (global::SG_ENTRIES_MAX, 4096),
        (global::RING_BYTES_MAX, 16 << 20),
        (global::CLOCK_HZ, 1_000_000_000),
        (global::MESSAGES, 2),
        (global::CLOCK_MODE, 0),
        (regs::BLOCK_BASE + regs::CAPS, 0x0002_0801),
        (regs::BLOCK_BASE + regs::FORMATS, 0xF),
        (regs::BLOCK_BASE + regs::RATES, 0x7FFF),
        (regs::BLOCK_BASE + regs::MESSAGE, 0),
        (regs::BLOCK_BASE + regs::BLOCK_STRIDE + regs::CAPS, 0x0002_0803),
        (regs::BLOCK_BASE + regs::BLOCK_STRIDE + regs::FORMATS, 0xF),
        (regs::BLOCK_BASE + regs::BLOCK_STRIDE + regs::MESSAGE, 1),
    ];
    for (register, value) in values {
        assert_eq!(dut.get(register), value, "register {register:#x}");
        dut.set(register, !value);
        assert_eq!(dut.get(register), value, "register {register:#x} is read-only");
    }
    assert_eq!((dut.get(global::ERROR), dut.read(regs::ERROR)), (0, 0), "that is ignored, not refused");
    assert_eq!(TestCard::new(ClockMode::Realtime).get(global::CLOCK_MODE), 1);
}

#[test]
fn a_card_says_of_another_version_what_it_was_told_and_has_the_bits_of_a_later_one() {
    for (version, features) in [(0x9, 0x1FF), (0x2_0000, 0x1FF), (0x1_0001, 0x7FFF_FFFF)] {
        let mut dut = TestCard::with(Config { version, ..Config::default() });
        assert_eq!((dut.get(global::VERSION), dut.get(global::FEATURES)), (version, features));
    }
}

#[test]
fn every_register_that_is_not_a_constant_resets_to_zero_and_exists() {
    let mut dut = test_card();
    let constant = [global::CLOCK_LO, global::CLOCK_HI];
    for register in global::REGISTERS.iter().filter(|register| !constant.contains(&register.offset)) {
        let value = dut.get(register.offset);
        let fixed = register.offset < global::CONTROL || register.offset == global::MESSAGES;
        assert!(fixed || value == 0, "{} is {value:#x}", register.name);
    }
    for register in regs::REGISTERS {
        let value = dut.read(register.offset);
        assert!(register.offset <= regs::RATES || value == 0, "{} is {value:#x}", register.name);
    }
    assert_eq!((dut.get(global::ERROR), dut.read(regs::ERROR)), (0, 0));
}

#[test]
fn an_access_that_is_none_reads_ones_and_says_so() {
    let mut dut = test_card();
    let bad = Error::BadAccess.code();
    let mut check = |offset: u32, ones: bool, in_stream: bool| {
        let fill = if ones { 0xFF } else { 0 };
        let got = [dut.read_bytes::<1>(offset).to_vec(), dut.read_bytes::<2>(offset + 1).to_vec()].concat();
        assert_eq!(got, vec![fill; 3], "{offset:#x}");
        let errors = (dut.get(global::ERROR), dut.read(regs::ERROR));
        assert_eq!(errors, if in_stream { (0, bad) } else { (bad, 0) }, "{offset:#x}");
        dut.set(global::ERROR, 1);
        dut.write(regs::ERROR, 1);
    };
    check(global::MAGIC, true, false);
    check(regs::BLOCK_BASE + regs::CAPS, true, true);
    check(regs::BLOCK_BASE + 2 * regs::BLOCK_STRIDE, false, false);
    check(0x3FF8, true, false);
    let holes = [
        (0x05C, u32::MAX),
        (0xFFC, u32::MAX),
        (0x1070, u32::MAX),
        (0x10A0, u32::MAX),
        (0x1200, 0),
        (0x1F10, 0),
        (0x2000, u32::MAX),
    ];
    for (offset, value) in holes {
        assert_eq!(dut.get(offset), value, "{offset:#x}");
        dut.set(offset, 5);
    }
    assert_eq!((dut.get(global::ERROR), dut.read(regs::ERROR)), (bad, bad));
    // Far outside of the BAR, and lengths that no bus has.
    let mut long = [0; 4096];
    dut.call(|card, env| {
        card.read(u64::MAX - 3, &mut long, env);
        card.read(u64::MAX - 7, &mut long[..8], env);
        card.write(u64::MAX, &long, env);
        card.read(0, &mut [], env);
        card.write(4, &[1; 8], env);
    });
    assert_eq!(long, [0xFF; 4096]);
}

#[test]
fn sixty_four_bits_are_two_times_thirty_two() {
    let mut dut = test_card();
    let bytes: [u8; 8] = dut.read_bytes(global::MAGIC);
    assert_eq!(u64::from_le_bytes(bytes), 0x1_0000_5641_5752);
    dut.call(|card, env| card.write(0x1028, &0x1122_3344_0000_0001_u64.to_le_bytes(), env));
    assert_eq!((dut.read(regs::DMA_MODE), dut.read(regs::SG_ENTRIES)), (1, 0x1122_3344));
    let clock: [u8; 8] = dut.read_bytes(global::CLOCK_LO);
    assert_eq!(u64::from_le_bytes(clock), dut.now, "one latch, one value");
}

#[test]
fn the_high_half_is_latched_with_the_low_one() {
    let mut dut = test_card();
    assert_eq!(dut.get(global::CLOCK_HI), 0, "before any low read");
    dut.now = 0x7_FFFF_FFFF;
    assert_eq!(dut.get(global::CLOCK_LO), u32::MAX);
    dut.now += 1;
    assert_eq!(dut.get(global::CLOCK_HI), 7);
    assert_eq!((dut.get(global::CLOCK_LO), dut.get(global::CLOCK_HI)), (0, 8));
}

#[test]
fn set_up_registers_take_what_is_announced_and_only_in_stop() {
    let mut dut = test_card();
    let bad_format = Error::BadFormat.code();
    for value in
        [format::pack(format::S16, 0), format::pack(format::S16, 9), format::pack(format::F32 + 1, 2), 0x2FF]
    {
        assert_eq!(dut.refused(regs::FORMAT, value), bad_format, "{value:#x}");
    }
    for value in [0, 1, 7_999, 44_101] {
        assert_eq!(dut.refused(regs::RATE, value), Error::BadRate.code());
    }
    assert_eq!(dut.refused(regs::DMA_MODE, 2), Error::NotSupported.code());
    for register in [regs::EOS, regs::WRITTEN, regs::START_PACKET, regs::START_FRAME_LO, regs::START_FRAME_HI]
    {
        assert_eq!(dut.refused(register, 0), Error::BadState.code(), "in STOP");
    }
    dut.set_up(48_000, 480, 2);
    dut.write(regs::FORMAT, 0xABCD_0000 | format::pack(format::S16, 2));
    assert_eq!(dut.read(regs::FORMAT), format::pack(format::S16, 2), "reserved bits");
    dut.state(regs::STATE_ACQUIRE);
    for register in (regs::FORMAT..=regs::DMA_ADDR_HI).step_by(4) {
        let before = dut.read(register);
        assert_eq!(dut.refused(register, 1), Error::BadState.code());
        assert_eq!(dut.read(register), before);
    }
    dut.write(regs::INT_ENABLE, u32::MAX);
    assert_eq!(dut.read(regs::INT_ENABLE), 7);
}

#[test]
fn acquire_checks_the_buffer_in_order() {
    let mut dut = test_card();
    let mut expect = |register: u32, value: u32, error: Error| {
        assert_eq!(dut.state_refused(regs::STATE_ACQUIRE), error.code(), "before {register:#x} = {value}");
        assert_eq!(dut.read(regs::FIFO_FRAMES), 0);
        dut.write(register, value);
    };
    expect(regs::FORMAT, format::pack(format::S16, 2), Error::BadFormat);
    expect(regs::RATE, 48_000, Error::BadRate);
    expect(regs::PACKETS, 3, Error::BadPackets);
    expect(regs::PACKETS, 2, Error::BadPackets);
    expect(regs::RING_BYTES, 48 * 8 + 4, Error::BadRing);
    expect(regs::RING_BYTES, (16 << 20) + 8, Error::BadRing);
    expect(regs::RING_BYTES, 47 * 8, Error::BadRing);
    expect(regs::RING_BYTES, 48 * 8, Error::BadPackets);
    dut.state(regs::STATE_ACQUIRE);
    assert_eq!(dut.read(regs::FIFO_FRAMES), 48);
}

#[test]
fn states_go_up_one_step_and_down_any() {
    let mut dut = test_card();
    dut.set_up(48_000, 4800, 1);
    assert_eq!(dut.read(regs::FIFO_FRAMES), 96, "2 ms");
    let bad = Error::BadState.code();
    for state in [2, 3, 4, u32::MAX] {
        assert_eq!(dut.state_refused(state), bad);
    }
    dut.state(0);
    dut.state(1);
    assert_eq!(dut.state_refused(3), bad);
    dut.state(2);
    dut.state(2);
    for down in [2, 1, 0] {
        while dut.read(regs::STATE) < 3 {
            let next = dut.read(regs::STATE) + 1;
            dut.state(next);
        }
        dut.state(down);
    }
}

#[test]
fn written_goes_forward_only() {
    let mut dut = test_card();
    dut.ready(48_000, 480, 2);
    dut.write(regs::WRITTEN, u32::MAX - 1);
    dut.write(regs::WRITTEN, 5);
    assert_eq!((dut.read(regs::WRITTEN), dut.read(regs::ERROR)), (5, 0), "across the wrap");
    assert_eq!(dut.refused(regs::WRITTEN, 4), Error::BadPacket.code());
    assert_eq!(dut.refused(regs::WRITTEN, 5), 0, "equal is no step back");
    assert_eq!(dut.read(regs::WRITTEN), 5);
    // The last packet may be below WRITTEN, if it is not over yet.
    dut.write(regs::EOS, regs::EOS_ARM | 400);
    assert_eq!(dut.refused(regs::WRITTEN, u32::MAX), Error::BadPacket.code());
    assert_eq!(dut.read(regs::EOS), regs::EOS_ARM | 400, "still armed");
    assert_eq!(dut.refused(regs::WRITTEN, 2), 0);
    for register in [regs::WRITTEN, regs::EOS, regs::START_PACKET, regs::START_FRAME_LO] {
        assert_eq!(dut.refused(register, 9), Error::BadState.code(), "the end was taken");
    }
    dut.state(regs::STATE_RUN);
    dut.run_for(SECOND);
    assert_eq!((dut.status().packet_count, dut.position()), (3, 960 + 100));
}

#[test]
fn eos_is_whole_frames_of_one_packet() {
    let mut dut = test_card();
    dut.ready(48_000, 480, 2);
    for bytes in [2, 1921, 1924, regs::EOS_BYTES] {
        assert_eq!(dut.refused(regs::EOS, regs::EOS_ARM | bytes), Error::BadEos.code(), "{bytes}");
    }
    assert_eq!(dut.read(regs::EOS), 0);
    dut.write(regs::ERROR, 0);
    dut.write(regs::EOS, regs::EOS_ARM | 1920);
    dut.write(regs::EOS, 1920);
    dut.write(regs::WRITTEN, 0);
    dut.write(regs::WRITTEN, 1);
    assert_eq!(dut.read(regs::ERROR), 0, "disarmed, so packet 0 was not the last");
}

#[test]
fn messages_are_sent_only_when_everything_allows_it() {
    let event = |msi: Option<u32>, bus_master: bool, int_enable: u32| {
        let mut dut = test_card();
        dut.ready(48_000, 480, 2);
        dut.write(regs::WRITTEN, 0);
        dut.state(regs::STATE_RUN);
        dut.card.set_msi(msi);
        dut.card.set_bus_master(bus_master);
        dut.set(global::CONTROL, int_enable);
        dut.run_for(SECOND);
        let (events, messages) = (dut.events, dut.messages);
        assert_eq!((events, dut.get(global::INT_STATUS)), (1, 1));
        (messages, dut.card.intx())
    };
    assert_eq!(event(Some(1), true, 1), (1, false));
    assert_eq!(event(Some(1), false, 1), (0, false));
    assert_eq!(event(Some(1), true, 0), (0, false));
    assert_eq!(event(None, true, 1), (0, true));
    assert_eq!(event(None, false, 1), (0, true), "INTx is no DMA");
    assert_eq!(event(None, true, 0), (0, false));
}

#[test]
fn intx_falls_when_acknowledged_and_in_d3hot() {
    let mut dut = test_card();
    dut.card.set_msi(None);
    dut.ready(48_000, 480, 2);
    dut.write(regs::WRITTEN, 0);
    dut.state(regs::STATE_RUN);
    dut.run_for(SECOND);
    assert!(dut.card.intx());
    dut.call(|card, env| card.set_d3hot(true, env));
    assert!(!dut.card.intx());
    dut.call(|card, env| card.set_d3hot(false, env));
    assert!(dut.card.intx());
    dut.set(global::INT_STATUS, 2);
    assert!(dut.card.intx());
    dut.set(global::INT_STATUS, 1);
    assert!(!dut.card.intx());
}

#[test]
fn int_raise_tries_a_message_out() {
    let mut dut = test_card();
    dut.card.set_msi(Some(4));
    dut.set(global::INT_RAISE, 3);
    assert_eq!((dut.messages, dut.get(global::INT_RAISE)), (8, 0), "INT_ENABLE is not needed");
    dut.set(global::INT_RAISE, 4);
    assert_eq!((dut.messages, dut.get(global::ERROR)), (0, Error::BadAccess.code()));
    dut.card.set_bus_master(false);
    dut.set(global::INT_RAISE, 3);
    assert_eq!((dut.messages, dut.get(global::ERROR)), (0, Error::BusMasterOff.code()));
    dut.card.set_bus_master(true);
    dut.card.set_msi(None);
    dut.set(global::INT_RAISE, 3);
    assert_eq!(dut.get(global::INT_STATUS), 1);
}

#[test]
fn sixteen_streams_share_the_granted_messages() {
    let mut dut = TestCard::with(Config { render: 16, clock: ClockMode::Lockstep, ..Config::default() });
    assert_eq!((dut.get(global::STREAMS), dut.get(global::MESSAGES)), (16, 16));
    dut.card.set_msi(Some(4));
    dut.set(global::CONTROL, 1);
    let block = regs::block(13).unwrap();
    assert_eq!(dut.get(block + regs::MESSAGE), 13);
    for (register, value) in [
        (regs::FORMAT, format::pack(format::S16, 1)),
        (regs::RATE, 48_000),
        (regs::RING_BYTES, 96),
        (regs::PACKETS, 1),
        (regs::DMA_ADDR_LO, 0x10_0000),
        (regs::INT_ENABLE, 1),
        (regs::STATE, 1),
        (regs::STATE, 2),
        (regs::WRITTEN, 0),
        (regs::LOCKSTEP, 1),
        (regs::STATE, 3),
    ] {
        dut.set(block + register, value);
    }
    assert_eq!(dut.get(block + regs::ERROR), 0);
    dut.run_for(SECOND);
    assert_eq!((dut.events, dut.messages), (1 << 13, 1 << 1));
    assert_eq!(dut.get(global::INT_STATUS), 1 << 13);
    assert_eq!(dut.get(block + regs::PACKET_COUNT), 1);
}

#[test]
fn the_self_test_reads_sums_and_answers() {
    let mut dut = test_card();
    let words = [0x1234_5678_u32, 0xFFFF_FFFF, 0, 0x8000_0001];
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let test = |dut: &mut TestCard, address: u64, bytes: u32, entries: u32| {
        dut.set(global::SELFTEST_ADDR_LO, (address & 0xFFFF_FFFF) as u32);
        dut.set(global::SELFTEST_ADDR_HI, (address >> 32) as u32);
        dut.set(global::SELFTEST_BYTES, bytes);
        dut.set(global::SELFTEST_ENTRIES, entries);
        dut.set(global::SELFTEST, 0xBEEF);
        dut.get(global::SELFTEST)
    };
    let sum = words.iter().fold(0xBEEF_u32, |sum, word| sum.rotate_left(5) ^ word);
    let answer: Vec<u8> = words.iter().flat_map(|word| (!word).to_le_bytes()).collect();

    dut.memory.poke(RAM + 1, &bytes);
    assert_eq!(test(&mut dut, RAM + 1, 16, 0), 0);
    assert_eq!(dut.get(global::SELFTEST_SUM), sum);
    assert_eq!(dut.memory.peek(RAM, 18), [&[0][..], &answer, &[0]].concat());

    // By a table, words straddling its entries.
    dut.memory.poke(RAM, &bytes[..6]);
    dut.memory.poke(RAM + 0x2000, &bytes[6..]);
    dut.memory.slots(RAM + 0x100, &[Slot::data(RAM, 6), Slot::link(RAM + 0x200)]);
    dut.memory.slots(RAM + 0x200, &[Slot::data(RAM + 0x2000, 10)]);
    assert_eq!(test(&mut dut, RAM + 0x100, 16, 2), 0);
    assert_eq!(dut.get(global::SELFTEST_SUM), sum);
    assert_eq!([dut.memory.peek(RAM, 6), dut.memory.peek(RAM + 0x2000, 10)].concat(), answer);

    // What can't be: nothing is stored, and the reason is told.
    for (bytes, entries) in [(0, 0), (6, 0), (4100, 0), (16, 17)] {
        assert_eq!(test(&mut dut, RAM, bytes, entries), Error::BadLength.code());
    }
    assert_eq!(test(&mut dut, RAM + 0x100, 20, 2), Error::SgLength.code());
    dut.memory.map(0x8000, 64, false);
    let before = dut.memory.peek(RAM, 16);
    dut.memory.slots(RAM + 0x100, &[Slot::data(RAM, 8), Slot::data(0x8000, 8)]);
    assert_eq!(test(&mut dut, RAM + 0x100, 16, 2), Error::DmaUnmapped.code(), "read-only memory");
    assert_eq!(test(&mut dut, 0x8000, 16, 0), Error::DmaUnmapped.code());
    assert_eq!(test(&mut dut, 0x50, 16, 0), Error::DmaUnmapped.code());
    dut.card.set_bus_master(false);
    assert_eq!(test(&mut dut, RAM, 16, 0), Error::BusMasterOff.code());
    assert_eq!(dut.memory.peek(RAM, 16), before);
    assert!(dut.notes.contains(&Diagnostic::SelfTest { error: Error::BusMasterOff }));
    assert!(dut.trace.iter().any(|line| matches!(line, CardEvent::Write { .. })));
}

#[test]
fn control_keeps_one_bit_and_reset_counts() {
    let mut dut = test_card();
    let resets = dut.pages.u32(pages::CLOCK_PAGE + pages::clock::RESETS);
    dut.set(global::CONTROL, 0xFFFF_FFFD);
    assert_eq!(dut.get(global::CONTROL), 1);
    dut.set(global::SELFTEST_BYTES, 64);
    dut.set(global::CONTROL, 3);
    assert_eq!((dut.get(global::CONTROL), dut.get(global::SELFTEST_BYTES)), (0, 0));
    assert_eq!(dut.pages.u32(pages::CLOCK_PAGE + pages::clock::RESETS), resets + 1);
    assert_eq!(dut.pages.u32(pages::CLOCK_PAGE + pages::clock::HZ), 1_000_000_000);
    dut.run_for(SECOND);
    assert_eq!(dut.pages.u64(pages::CLOCK_PAGE + pages::clock::CLOCK), dut.now);
}

#[test]
fn a_scribbled_page_is_healed_by_the_next_update_and_never_believed() {
    let mut dut = test_card();
    dut.ready(48_000, 480, 2);
    let before = dut.status();
    for offset in (0..0x60).step_by(4) {
        dut.pages.scribble(pages::STATUS_BASE + offset, 0xDEAD_BEEF);
    }
    dut.write(regs::INT_ENABLE, 3);
    assert_eq!(dut.status(), before);
    assert_eq!(dut.read(regs::STATE), regs::STATE_PAUSE);
}

#[test]
fn the_position_page_is_written_at_changes_of_state() {
    let mut dut = test_card();
    dut.ready(48_000, 480, 2);
    dut.write(regs::WRITTEN, 9);
    dut.state(regs::STATE_RUN);
    let start = dut.now;
    dut.run_for(SECOND / 48_000 * 1000 + 1000);
    dut.state(regs::STATE_PAUSE);
    let page = |dut: &TestCard| {
        let at = |field| pages::POSITION_BASE + field;
        (
            dut.pages.u32(at(pages::position::RING_OFFSET)),
            dut.pages.u64(at(pages::position::FRAMES)),
            dut.pages.u64(at(pages::position::CLOCK)) - start,
        )
    };
    assert_eq!(page(&dut), (40 * 4, 1000, dut.now - start));
    dut.state(regs::STATE_STOP);
    assert_eq!(page(&dut), (0, 0, dut.now - start));
}
