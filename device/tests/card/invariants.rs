//! A guest that does anything at all: random accesses, tables, maps, power, resets. Whatever it does, the
//! card does not panic, touches only memory that it was told of, and its pages and registers agree.
#![allow(
    clippy::cast_possible_truncation,
    clippy::decimal_bitwise_operands,
    clippy::precedence,
    reason = "test code"
)]

use crate::support::{RAM, SECOND, Status, TestCard};
use proptest::prelude::*;
use ringwave_card::controller::Controller;
use ringwave_card::env::ClockMode;
use ringwave_regs::dma::Slot;
use ringwave_regs::pages::status::{FLAG_ENDED, FLAG_STALLED, FLAG_UNPLUGGED};
use ringwave_regs::{format, global, pages, stream as regs};

/// The longest buffer that the guest of this test asks for.
const RING_MAX: u64 = 4096;
/// Places that may be touched: buffers, and tables. Everything else in RAM may not.
const ALLOWED: [(u64, u64); 4] =
    [(RAM + 0x1000, RING_MAX), (RAM + 0x8000, RING_MAX), (RAM + 0x1_0000, 512), (HIGH, RING_MAX)];
const TABLE: u64 = RAM + 0x1_0000;
const MARK: u32 = pages::MARK_BASE + pages::mark::MARK;
/// A second map, which comes and goes.
const HIGH: u64 = 0x12_3456_7000;

#[derive(Clone, Debug)]
enum Op {
    /// A register of stream 0 or of the card, by its index in the list, and a value.
    Write(bool, usize, u32),
    Read(bool, usize),
    /// An access of any kind.
    Raw(u64, usize, u64, bool),
    Wait(u64),
    BusMaster(bool),
    Msi(Option<u32>),
    D3hot(bool),
    Map(bool),
    /// One slot of the table is changed.
    Slot(u64, Slot),
    HostFails,
    Jack(bool),
    /// Ticks of `RATE_DEN` off nominal.
    Pace(i32),
    Reset,
    /// MARK is stored: a packet and how far the tag is off, or anything; told by a message or not.
    Mark(u32, u32, bool),
    Word(u64),
}

/// Values that mean something somewhere.
fn value() -> impl Strategy<Value = u32> {
    prop_oneof![
        4 => 0..6_u32,
        1 => any::<u32>(),
        1 => Just(u32::MAX),
        1 => prop_oneof![Just(44_100_u32), Just(48_000), Just(format::pack(format::S16, 2)), Just(format::pack(format::S16, 1))],
        1 => (1..=64_u32).prop_map(|packets| packets * 64),
        1 => (0..500_u32).prop_map(|frames| regs::EOS_ARM | frames * 4),
    ]
}

fn slot() -> impl Strategy<Value = Slot> {
    prop_oneof![
        6 => (0..3_usize, 0..64_u64, prop_oneof![Just(512_u32), Just(1024), 0..2048_u32])
            .prop_map(|(place, at, bytes)| Slot::data([RAM + 0x1000, RAM + 0x8000, HIGH][place] + at, bytes)),
        2 => (0..17_u64).prop_map(|index| Slot::link(TABLE + 16 * index)),
        // Outside of RAM: may be named, can't be touched.
        1 => any::<u32>().prop_map(|bytes| Slot::data(u64::MAX - 4000, bytes)),
        1 => (any::<u32>(), any::<u32>()).prop_map(|(length, flags)| Slot { address: 8, length, flags }),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        8 => (Just(true), 0..regs::REGISTERS.len(), value()).prop_map(|(a, b, c)| Op::Write(a, b, c)),
        8 => prop_oneof![Just(1_u32), Just(2), Just(3), Just(3), Just(0)].prop_map(|state| Op::Write(true, 4, state)),
        6 => (0..8_u32).prop_map(|n| Op::Write(true, 16, n)),
        2 => (Just(false), 0..global::REGISTERS.len(), value()).prop_map(|(a, b, c)| Op::Write(a, b, c)),
        2 => (any::<bool>(), 0..50_usize).prop_map(|(a, b)| Op::Read(a, b)),
        2 => (prop_oneof![0..0x4000_u64, any::<u64>()], 0..70_usize, any::<u64>(), any::<bool>())
            .prop_map(|(a, b, c, d)| Op::Raw(a, b, c, d)),
        8 => (0..60_000_000_u64).prop_map(Op::Wait),
        1 => (0..30 * SECOND).prop_map(Op::Wait),
        1 => any::<bool>().prop_map(Op::BusMaster),
        1 => prop::option::of(0..40_u32).prop_map(Op::Msi),
        1 => any::<bool>().prop_map(Op::D3hot),
        2 => any::<bool>().prop_map(Op::Map),
        3 => (0..16_u64, slot()).prop_map(|(index, slot)| Op::Slot(index, slot)),
        1 => Just(Op::HostFails),
        1 => any::<bool>().prop_map(Op::Jack),
        2 => (-1_500_000..1_500_000_i32).prop_map(Op::Pace),
        1 => Just(Op::Reset),
        6 => (0..8_u32, prop_oneof![4 => Just(0), 1 => any::<u32>()], any::<bool>())
            .prop_map(|(packet, off, told)| Op::Mark(packet, off, told)),
        1 => any::<u64>().prop_map(Op::Word),
    ]
}

/// Places that DMA may be pointed at: buffers and tables. The low half; the high one is 0, or leads into
/// nothing.
fn address() -> impl Strategy<Value = u32> {
    prop_oneof![Just(0x10_1000_u32), Just(0x10_8000), Just(0x11_0000), Just(0x11_0010), Just(3)]
}

fn act(dut: &mut TestCard, op: &Op) {
    match *op {
        Op::Write(in_stream, index, value) => {
            let table = if in_stream { regs::REGISTERS } else { global::REGISTERS };
            let offset = table[index].offset;
            // These would let the guest name other memory than ALLOWED, legitimately.
            let names_memory = in_stream && (offset == regs::DMA_ADDR_LO || offset == regs::RING_BYTES)
                || !in_stream && (global::SELFTEST_ADDR_LO..=global::SELFTEST_BYTES).contains(&offset);
            if !names_memory {
                dut.set(if in_stream { regs::BLOCK_BASE } else { 0 } + offset, value);
            }
        }
        Op::Read(in_stream, index) => {
            let table = if in_stream { regs::REGISTERS } else { global::REGISTERS };
            if let Some(register) = table.get(index) {
                dut.get(if in_stream { regs::BLOCK_BASE } else { 0 } + register.offset);
            }
        }
        Op::Raw(offset, length, value, write) => {
            let mut data = value.to_le_bytes().repeat(10);
            data.truncate(length);
            // As above: the self-test's address and length.
            let names_memory = (0x2C..0x40).contains(&offset);
            dut.call(|card, env| match write {
                true if names_memory => {}
                true => card.write(offset, &data, env),
                false => card.read(offset, &mut data, env),
            });
        }
        Op::Wait(ticks) => {
            dut.now += ticks;
            dut.wake();
        }
        Op::BusMaster(on) => dut.card.set_bus_master(on),
        Op::Msi(granted) => dut.card.set_msi(granted),
        Op::D3hot(d3hot) => dut.call(|card, env| card.set_d3hot(d3hot, env)),
        Op::Map(map) => {
            dut.memory.unmap(HIGH);
            if map {
                dut.memory.map(HIGH, 4096, false);
            }
        }
        Op::Slot(index, slot) => dut.memory.slots(TABLE + 16 * index, &[slot]),
        Op::HostFails => dut.call(|card, env| card.host_failed(0, env)),
        Op::Jack(plugged) => {
            dut.call(|card, env| card.set_jack(0, plugged, env));
            assert_eq!(dut.card.jack(0), Some(plugged));
        }
        Op::Pace(off) => dut.card.set_rate_den(0, 1_000_000_000_u32.saturating_add_signed(off)),
        Op::Reset => dut.call(Controller::reset),
        Op::Mark(packet, off, told) => {
            let tag = dut.status().mark_tag.wrapping_add(off);
            dut.pages.poke(MARK, pages::mark::word(packet, tag));
            if told {
                dut.call(|card, env| card.pages_stored(MARK.into(), 8, env));
            }
        }
        Op::Word(word) => dut.pages.poke(MARK, word),
    }
}

/// What the guest saw last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Before {
    position: u64,
    resets: u32,
}

/// `may_go_back`: the operation was STOP, reset, or a RUN that may have taken START. PAUSE, D3hot, stalls and
/// ends are not.
fn check(dut: &mut TestCard, before: &mut Before, may_go_back: bool, packet_frames: u64) {
    for (address, bytes) in dut.memory.touched.take() {
        let allowed = ALLOWED
            .iter()
            .any(|&(base, length)| address.checked_sub(base).is_some_and(|offset| offset + bytes <= length));
        assert!(allowed, "the card touched {bytes} bytes at {address:#x}");
    }
    let clock_page = |field| pages::CLOCK_PAGE + field;
    assert_eq!(dut.pages.u32(clock_page(pages::clock::SEQ)) % 2, 0);
    let status = dut.status();
    let position = page_position(&status, dut.now);
    if !may_go_back && dut.pages.u32(clock_page(pages::clock::RESETS)) == before.resets {
        assert!(position >= before.position, "{position} after {}", before.position);
    }
    assert!(status.rate_den.abs_diff(1_000_000_000) <= 1_000_000, "a thousandth: {}", status.rate_den);
    let unplugged = if dut.card.jack(0) == Some(true) { 0 } else { FLAG_UNPLUGGED };
    assert_eq!(status.flags & FLAG_UNPLUGGED, unplugged);
    let state = dut.read(regs::STATE);
    if state != u32::MAX {
        assert_eq!(state, status.state);
        assert_eq!(dut.read(regs::ERROR), status.error);
        assert_eq!(dut.read(regs::PACKET_COUNT), status.packet_count);
        let exact = dut.position();
        // The page's point is a whole tick: at most one frame and never ahead.
        assert!(exact == position || exact == position + 1, "register {exact}, page {position}");
        if state == regs::STATE_STOP {
            assert_eq!((exact, status.packet_count, status.flags, status.rate), (0, 0, unplugged, 0));
            assert_eq!(status.rate_den, 1_000_000_000, "STOP makes the pace nominal");
        } else if status.flags & FLAG_ENDED == 0 {
            assert_eq!(u64::from(status.packet_count), exact / packet_frames & 0xFFFF_FFFF);
        }
    }
    let moves = status.rate != 0;
    let runs = status.state == regs::STATE_RUN && status.flags & (FLAG_STALLED | FLAG_ENDED) == 0;
    assert_eq!(moves, runs, "{status:?}");
    let ticks = state != u32::MAX && dut.read(regs::POSITION_CONTROL) == regs::POSITION_TICK;
    let stalled = status.flags & FLAG_STALLED != 0;
    assert_eq!((status.waiting, status.mark_tag == 0), (stalled.into(), false));
    assert_eq!(dut.card.next_deadline().is_some(), moves || ticks || stalled);
    assert!(dut.card.next_deadline().is_none_or(|due| due > dut.now && due <= dut.now + SECOND / 99));
    *before = Before { position, resets: dut.pages.u32(clock_page(pages::clock::RESETS)) };
}

/// The position as a guest computes it from the status page. DATASHEET 7.2.
fn page_position(status: &Status, now: u64) -> u64 {
    let (clock, frame) = status.anchor;
    let ticks = u128::from(now.saturating_sub(clock));
    frame + u64::try_from(ticks * u128::from(status.rate) / u128::from(status.rate_den)).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn nothing_a_guest_does_breaks_the_card(
        lockstep in any::<bool>(),
        packet_frames in 48..512_u32,
        scatter_gather in 0..2_u32,
        entries in 0..6_u32,
        address in address(),
        high in prop_oneof![6 => Just(0_u32), 1 => any::<u32>()],
        slots in prop::collection::vec(slot(), 16),
        ops in prop::collection::vec(op(), 1..120),
    ) {
        let mut dut = TestCard::new(if lockstep { ClockMode::Lockstep } else { ClockMode::Realtime });
        dut.memory.map(HIGH, 4096, false);
        dut.memory.slots(TABLE, &slots);
        // The self-test stores to memory: give it a buffer of its own.
        dut.set(global::SELFTEST_ADDR_LO, 0x10_8000);
        dut.set(global::SELFTEST_BYTES, 64);
        // A sound start, from which the operations lead anywhere; with the table one that can be played.
        if entries == 1 {
            dut.memory.slots(TABLE, &[Slot::data(HIGH, packet_frames * 8)]);
        }
        dut.set_up(48_000, packet_frames, 2);
        dut.write(regs::DMA_MODE, scatter_gather);
        dut.write(regs::SG_ENTRIES, entries);
        // A contiguous buffer at the table would be as long as the ring: legitimate, but not in ALLOWED.
        let table = address >> 16 == 0x11;
        let address = if scatter_gather == 1 || !table { address } else { 0x10_1000 };
        dut.write(regs::DMA_ADDR_LO, address);
        dut.write(regs::DMA_ADDR_HI, high);
        dut.memory.touched.take();
        let mut before = Before { position: 0, resets: 0 };
        // START was written, and no RUN has taken it.
        let mut start_armed = false;
        for op in &ops {
            // The length of a packet changes with these, and what memory may be touched; that is the other
            // test's business.
            let reshapes = matches!(op, Op::Write(true, index, _)
                if [regs::PACKETS, regs::FORMAT, regs::DMA_MODE].contains(&regs::REGISTERS[*index].offset))
                || matches!(op, Op::Raw(offset, _, _, true) if (0x1010..0x1040).contains(offset))
                || matches!(op, Op::Write(false, 8, _) | Op::Raw(0x20, ..));
            if reshapes {
                continue;
            }
            act(&mut dut, op);
            let sets_position = match op {
                Op::Write(true, 4, regs::STATE_STOP) | Op::Reset => true,
                Op::Write(true, 4, regs::STATE_RUN) => start_armed,
                Op::Raw(offset, _, _, true) => (0x1010..0x1014).contains(offset),
                _ => false,
            };
            check(&mut dut, &mut before, sets_position, u64::from(packet_frames));
            let names_start = |offset: u32| (regs::START_PACKET..=regs::START_FRAME_HI).contains(&offset);
            start_armed = match op {
                Op::Write(true, index, _) if names_start(regs::REGISTERS[*index].offset) => true,
                Op::Raw(offset, _, _, true) if (0x1040..0x1050).contains(offset) => true,
                _ => start_armed && dut.status().state != regs::STATE_RUN && dut.status().state != regs::STATE_STOP,
            };
            if matches!(op, Op::Reset) {
                dut.card.set_bus_master(true);
                dut.set_up(48_000, packet_frames, 2);
                dut.write(regs::DMA_ADDR_LO, 0x10_1000);
                dut.set(global::SELFTEST_ADDR_LO, 0x10_8000);
                dut.set(global::SELFTEST_BYTES, 64);
            }
        }
    }

    /// No arithmetic in the way of any number: every register gets any value, in any state.
    #[test]
    fn any_value_in_any_register_is_survived(
        writes in prop::collection::vec((0..0x1200_u64, any::<u64>(), 0..60_000_000_u64), 1..200),
        start in any::<u64>(),
    ) {
        let mut dut = TestCard::new(ClockMode::Realtime);
        dut.now = start;
        dut.ready(44_100, 480, 2);
        dut.state(regs::STATE_RUN);
        for (offset, value, wait) in writes {
            dut.now = dut.now.saturating_add(wait);
            dut.call(|card, env| card.write(offset & !3, &(value as u32).to_le_bytes(), env));
            dut.call(|card, env| card.read(offset & !7, &mut [0; 8], env));
            dut.wake();
            if dut.read(regs::STATE) < 3 {
                let next = dut.read(regs::STATE) + 1;
                dut.write(regs::STATE, next);
            }
        }
    }
}
