//! The cyclic buffer in guest memory: tables, links, straddling frames, and every way a table can be wrong.
//! DATASHEET section 6.
#![allow(
    clippy::cast_possible_truncation,
    clippy::decimal_bitwise_operands,
    clippy::precedence,
    reason = "test code"
)]

use crate::support;
use crate::support::{RAM, SECOND, TestCard, signal};
use ringwave_card::controller::Config;
use ringwave_card::env::ClockMode;
use ringwave_regs::dma::Slot;
use ringwave_regs::error::Error;
use ringwave_regs::stream::{
    DMA_ADDR_HI, DMA_ADDR_LO, DMA_MODE, DMA_MODE_SCATTER_GATHER, ERROR, SG_ENTRIES, STATE, STATE_ACQUIRE,
    STATE_PAUSE, STATE_RUN, STATE_STOP, WRITTEN,
};
use ringwave_trace::{CardEvent, Dma, StreamState};

/// Frames of a packet; two of them are 800 bytes.
const PACKET: u32 = 100;
const RING: u64 = 800;
/// Where the tables are.
const TABLE: u64 = RAM + 0x8_0000;

/// A stream in PAUSE with a table of `entries` data entries at `table`.
fn rig_with_table(table: u64, entries: u32) -> TestCard {
    let mut dut = TestCard::new(ClockMode::Lockstep);
    dut.set_up(48_000, PACKET, 2);
    dut.write(DMA_MODE, DMA_MODE_SCATTER_GATHER);
    dut.write(SG_ENTRIES, entries);
    dut.write(DMA_ADDR_LO, (table & 0xFFFF_FFFF) as u32);
    dut.write(DMA_ADDR_HI, (table >> 32) as u32);
    dut.state(STATE_ACQUIRE);
    dut.state(STATE_PAUSE);
    dut.write(WRITTEN, 1);
    dut
}

/// The error of a RUN with these slots, and whether anything but the table was touched.
fn run_error(slots: &[Slot], entries: u32) -> Option<Error> {
    let mut dut = rig_with_table(TABLE, entries);
    dut.memory.slots(TABLE, slots);
    dut.write(STATE, STATE_RUN);
    let error = Error::from_code(dut.read(ERROR));
    assert_eq!(dut.read(STATE), if error.is_some() { STATE_PAUSE } else { STATE_RUN });
    let data = dut.trace.iter().any(|line| matches!(line, CardEvent::Read { .. }));
    assert_eq!(data, error.is_none(), "a refused RUN fetches nothing");
    error
}

/// Plays both packets and returns what was heard.
fn play(dut: &mut TestCard) -> Vec<u8> {
    dut.state(STATE_RUN);
    dut.run_for(SECOND);
    dut.heard.clone()
}

#[test]
fn frames_that_straddle_shuffled_entries_come_out_in_order() {
    let mut dut = rig_with_table(TABLE, 5);
    let sound = signal(0, 200);
    // Lengths that are no multiples of a frame, at odd addresses, in any order in memory.
    let lengths = [399_usize, 3, 1, 250, 147];
    let places = [0x5001, 0x1003, 0x9FFF, 0x3002, 0x0].map(|place| RAM + place);
    let mut slots = Vec::new();
    let mut at = 0;
    for (length, place) in lengths.into_iter().zip(places) {
        dut.memory.poke(place, &sound[at..at + length]);
        slots.push(Slot::data(place, u32::try_from(length).unwrap()));
        at += length;
    }
    dut.memory.slots(TABLE, &slots);
    assert_eq!(play(&mut dut), sound);
    let entries = dut.card.stats().next().unwrap().entries;
    assert_eq!((entries, dut.card.stats().next().unwrap().scatter_gather), (5, true));
}

#[test]
fn a_table_goes_on_by_links_and_each_slot_is_read_once() {
    let mut dut = rig_with_table(TABLE, 3);
    let sound = signal(0, 200);
    dut.memory.poke(RAM, &sound);
    // The first slot is a link, and there is one behind each entry.
    dut.memory.slots(TABLE, &[Slot::link(TABLE + 0x1000)]);
    dut.memory.slots(TABLE + 0x1000, &[Slot::data(RAM, 200), Slot::link(TABLE + 0x40)]);
    dut.memory.slots(TABLE + 0x40, &[Slot::data(RAM + 200, 300), Slot::link(TABLE + 0x2000)]);
    dut.memory.slots(TABLE + 0x2000, &[Slot::data(RAM + 500, 300)]);
    assert_eq!(play(&mut dut), sound);
    let table: Vec<_> =
        dut.trace.iter().filter(|line| matches!(line, CardEvent::Table { .. })).copied().collect();
    let slots = |address, bytes| CardEvent::Table { who: Dma::Stream(0), address, bytes };
    let expected =
        [slots(TABLE, 16), slots(TABLE + 0x1000, 32), slots(TABLE + 0x40, 32), slots(TABLE + 0x2000, 16)];
    assert_eq!(table, expected);
}

#[test]
fn a_table_that_changes_while_it_runs_changes_nothing_until_the_next_run() {
    let mut dut = rig_with_table(TABLE, 1);
    dut.memory.poke(RAM, &signal(0, 200));
    dut.memory.poke(RAM + 0x1000, &signal(200, 200));
    dut.memory.slots(TABLE, &[Slot::data(RAM, 800)]);
    dut.state(STATE_RUN);
    dut.memory.slots(TABLE, &[Slot::data(RAM + 0x1000, 800)]);
    dut.run_for(SECOND);
    assert_eq!(dut.heard, signal(0, 200));
    dut.write(WRITTEN, 3);
    dut.run_for(SECOND);
    assert_eq!(dut.heard[800..], signal(0, 200), "still the old one");
    dut.state(STATE_PAUSE);
    dut.state(STATE_RUN);
    dut.write(WRITTEN, 5);
    dut.run_for(SECOND);
    assert_eq!(dut.heard[1600..], signal(200, 200));
}

#[test]
fn a_range_may_cross_maps_and_end_where_they_end() {
    let mut dut = rig_with_table(TABLE, 2);
    let end = RAM + support::RAM_BYTES as u64;
    dut.memory.map(end, 200, false);
    dut.memory.poke(end - 400, &signal(0, 150));
    dut.memory.poke(RAM, &signal(150, 50));
    dut.memory.slots(TABLE, &[Slot::data(end - 400, 600), Slot::data(RAM, 200)]);
    assert_eq!(play(&mut dut), signal(0, 200), "render needs no permission to store");
}

#[test]
fn a_wrong_table_fails_the_run_and_says_why() {
    let good = Slot::data(RAM, 800);
    assert_eq!(run_error(&[good], 1), None);
    assert_eq!(run_error(&[good], 0), Some(Error::SgCount));
    assert_eq!(run_error(&[good], 4097), Some(Error::SgCount));
    assert_eq!(run_error(&[Slot::data(RAM, 0)], 1), Some(Error::SgEntry));
    assert_eq!(run_error(&[Slot { flags: 2, ..good }], 1), Some(Error::SgEntry));
    assert_eq!(run_error(&[Slot { flags: 3, length: 0, ..good }], 1), Some(Error::SgEntry));
    assert_eq!(run_error(&[Slot { flags: 1, ..good }], 1), Some(Error::SgLink), "a link with a length");
    assert_eq!(run_error(&[Slot::link(TABLE + 8)], 1), Some(Error::SgLink), "misaligned");
    assert_eq!(run_error(&[Slot::link(TABLE)], 1), Some(Error::SgLink), "a loop");
    assert_eq!(run_error(&[Slot::link(TABLE + 16), Slot::link(TABLE + 32), good], 1), Some(Error::SgLink));
    assert_eq!(run_error(&[Slot::data(RAM, 799)], 1), Some(Error::SgLength));
    assert_eq!(run_error(&[Slot::data(RAM, 801)], 1), Some(Error::SgLength));
    assert_eq!(run_error(&[Slot::data(RAM, 1), Slot::data(RAM, u32::MAX)], 2), Some(Error::SgLength));
    assert_eq!(run_error(&[Slot::data(0, 800)], 1), Some(Error::DmaUnmapped));
    assert_eq!(run_error(&[Slot::data(u64::MAX - 10, 800)], 1), Some(Error::DmaUnmapped), "wraps");
    assert_eq!(run_error(&[Slot::link(0)], 1), Some(Error::DmaUnmapped));
    assert_eq!(run_error(&[Slot::link(u64::MAX - 15)], 1), Some(Error::DmaUnmapped));
    // The whole table comes before the memory it names.
    assert_eq!(run_error(&[Slot::data(0, 400), Slot::data(RAM, 0)], 2), Some(Error::SgEntry));
    // A slot behind the last entry is not read.
    assert_eq!(run_error(&[good, Slot { flags: !0, length: 7, address: 3 }], 1), None);
}

#[test]
fn a_misaligned_or_unmapped_table_fails_the_run() {
    for (table, error) in
        [(TABLE + 8, Error::SgLink), (0x10, Error::DmaUnmapped), (u64::MAX - 15, Error::DmaUnmapped)]
    {
        assert_eq!(rig_with_table(table, 1).state_refused(STATE_RUN), error.code());
    }
}

#[test]
fn a_loop_of_data_and_link_is_bounded_by_the_number_of_entries() {
    // Two slots that lead to each other: 400 entries of 2 bytes.
    let mut dut = rig_with_table(TABLE, 400);
    dut.memory.poke(RAM, &[0xAB, 0xCD]);
    dut.memory.slots(TABLE, &[Slot::data(RAM, 2), Slot::link(TABLE)]);
    assert_eq!(play(&mut dut), [0xAB, 0xCD].repeat(400));
}

#[test]
fn a_full_table_of_4096_entries_works() {
    let mut dut = TestCard::new(ClockMode::Lockstep);
    dut.set_up(48_000, 8192, 2);
    dut.write(DMA_MODE, DMA_MODE_SCATTER_GATHER);
    dut.write(SG_ENTRIES, 4096);
    dut.write(DMA_ADDR_LO, u32::try_from(TABLE).unwrap());
    // Backwards through memory, 16 bytes each.
    let slots: Vec<_> = (0..4096).rev().map(|place| Slot::data(RAM + 16 * place, 16)).collect();
    dut.memory.slots(TABLE, &slots);
    for (index, slot) in slots.iter().enumerate() {
        dut.fill(slot.address, index as u64 * 4, 4);
    }
    dut.state(STATE_ACQUIRE);
    dut.state(STATE_PAUSE);
    dut.write(WRITTEN, 1);
    assert_eq!(play(&mut dut), signal(0, 16_384));
}

#[test]
fn a_contiguous_buffer_may_start_anywhere_but_must_be_reachable() {
    let mut dut = TestCard::new(ClockMode::Lockstep);
    for (address, error) in [
        (RAM + 0x1003, None),
        (RAM + support::RAM_BYTES as u64 - 799, Some(Error::DmaUnmapped)),
        (u64::MAX - 700, Some(Error::DmaUnmapped)),
        (0x5000_0000_0000, Some(Error::DmaUnmapped)),
    ] {
        dut.ready(48_000, PACKET, 2);
        dut.state(STATE_STOP);
        dut.write(DMA_ADDR_LO, (address & 0xFFFF_FFFF) as u32);
        dut.write(DMA_ADDR_HI, (address >> 32) as u32);
        dut.state(STATE_ACQUIRE);
        dut.state(STATE_PAUSE);
        if let Some(error) = error {
            assert_eq!(dut.state_refused(STATE_RUN), error.code());
        } else {
            dut.state(STATE_RUN);
        }
        dut.state(STATE_STOP);
    }
}

#[test]
fn an_address_above_the_cards_lines_is_out_of_reach_though_it_is_mapped() {
    let mut dut = TestCard::with(Config { dma_bits: 32, ..Config::default() });
    let top = (1_u64 << 32) - RING;
    dut.memory.map(top, 0x1000, true);
    for (address, reach) in [(top, true), (top + 1, false)] {
        dut.set_up(48_000, PACKET, 2);
        dut.write(DMA_ADDR_LO, (address & 0xFFFF_FFFF) as u32);
        dut.state(STATE_ACQUIRE);
        dut.state(STATE_PAUSE);
        if reach {
            dut.state(STATE_RUN);
        } else {
            assert_eq!(dut.state_refused(STATE_RUN), Error::DmaUnmapped.code());
        }
        dut.state(STATE_STOP);
    }
}

#[test]
fn run_needs_bus_master_enable_before_anything_else() {
    let mut dut = rig_with_table(TABLE + 8, 0);
    dut.card.set_bus_master(false);
    assert_eq!(dut.state_refused(STATE_RUN), Error::BusMasterOff.code());
    assert!(!dut.trace.iter().any(|line| matches!(line, CardEvent::Table { .. } | CardEvent::Read { .. })));
}

#[test]
fn the_trace_tells_states_and_transfers_in_their_order() {
    let mut dut = rig_with_table(TABLE, 1);
    dut.memory.slots(TABLE, &[Slot::data(RAM + 4, 800)]);
    dut.trace.clear();
    dut.set(ringwave_regs::global::TRACE_MARK, 77);
    dut.state(STATE_RUN);
    dut.state(STATE_STOP);
    let who = Dma::Stream(0);
    let state = |state| CardEvent::State { stream: 0, state };
    let expected = [
        CardEvent::Mark(77),
        CardEvent::Table { who, address: TABLE, bytes: 16 },
        state(StreamState::Run),
        CardEvent::Read { who, address: RAM + 4, bytes: 400 },
        state(StreamState::Stop),
    ];
    assert_eq!(dut.trace, expected);
}
