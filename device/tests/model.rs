//! Random guests against a second opinion: a model of DATASHEET 5.1 to 5.7 that knows packets, but no FIFO and no pages, and of pieces only
//! where they end. The buffer never changes, so the model can say for each frame what is heard: a place in the buffer, or silence.
//!
//! Of the table in 5.7 one row is not here, because it needs the FIFO: a transfer that fails. The fuzz target `tables` has it.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::decimal_bitwise_operands,
    clippy::precedence,
    reason = "test code"
)]

mod support;

use proptest::prelude::*;
use ringwave::controller::Controller;
use ringwave::ports::ClockMode;
use ringwave_regs::error::Error;
use ringwave_regs::pages::status::{FLAG_ENDED, FLAG_LOCKSTEP, FLAG_STALLED, FLAG_WRITTEN};
use ringwave_regs::stream as regs;
use support::{RAM, Rig, SECOND, signal};

/// What a guest does.
#[derive(Clone, Debug)]
enum Op {
    Wait(u64),
    State(u32),
    /// A number relative to the packet count.
    Written(i8),
    /// Armed or not, frames that are valid (may be too many), and a WRITTEN relative to the packet count behind it.
    EndOfStream(bool, u32, Option<i8>),
    /// A frame, and by how much the packet is wrong.
    Start(u64, u32),
    /// The host slept: nobody woke the card for so long.
    Late(u64),
    /// D3hot for so long, and back.
    Sleep(u64),
    /// RUN is written while Bus Master Enable is off.
    RunWithoutBusMaster,
    HostFails,
    /// And set up again, to PAUSE.
    Reset,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        8 => (0..90_000_000_u64).prop_map(Op::Wait),
        1 => (0..4_u64).prop_map(Op::Wait),
        3 => (0..4_u32).prop_map(Op::State),
        6 => Just(Op::State(3)),
        8 => (-3..4_i8).prop_map(Op::Written),
        1 => (any::<bool>(), 0..1600_u32, prop::option::of(-2..4_i8)).prop_map(|(a, b, c)| Op::EndOfStream(a, b, c)),
        1 => (0..1_u64 << 40, prop_oneof![4 => Just(0), 1 => 1..3_u32]).prop_map(|(a, b)| Op::Start(a, b)),
        1 => prop_oneof![95_000_000..125_000_000_u64, 0..30 * SECOND].prop_map(Op::Late),
        1 => (0..90_000_000_u64).prop_map(Op::Sleep),
        1 => Just(Op::RunWithoutBusMaster),
        1 => Just(Op::HostFails),
        1 => Just(Op::Reset),
    ]
}

struct Model {
    card: ClockMode,
    rate: u64,
    packet: u64,
    packets: u64,
    state: u32,
    /// Position `frame` at `clock`, and whether it moves.
    base: (u64, u64, bool),
    count: u32,
    written: Option<u32>,
    armed: Option<u32>,
    last: Option<(u32, u64)>,
    ended: bool,
    stalled: bool,
    clock: Option<ClockMode>,
    /// Packet index and whether it is silent.
    fate: Option<(u64, bool)>,
    /// Where the first piece of that packet began.
    first_piece: u64,
    host_failed: bool,
    start: Option<(u64, u32)>,
    heard: Vec<u8>,
    /// The frame up to which was heard.
    heard_to: u64,
    underruns: u32,
    events: u32,
}

/// `a - b` of packet numbers.
fn ahead(a: u32, b: u32) -> i32 {
    a.wrapping_sub(b).cast_signed()
}

impl Model {
    fn number(&self, frame: u64) -> u32 {
        (frame / self.packet % (1 << 32)) as u32
    }

    fn position(&self, now: u64) -> u64 {
        let (clock, frame, moves) = self.base;
        if !moves {
            return frame;
        }
        frame + u64::try_from(u128::from(now - clock) * u128::from(self.rate) / u128::from(SECOND)).unwrap()
    }

    /// The frame at which the position stops or a packet is complete next.
    fn next_stop(&self, frame: u64) -> u64 {
        let start = frame / self.packet * self.packet;
        match self.last {
            Some((n, valid)) if n == self.number(frame) => start + valid,
            _ => start + self.packet,
        }
    }

    /// The first end of a piece after `frame`. DATASHEET 5.2.
    fn piece_end(&self, frame: u64) -> u64 {
        let fifo = self.packet.min(self.rate / 100);
        let pieces = (frame - self.first_piece) / fifo + 1;
        (self.first_piece + pieces * fifo).min(self.next_stop(frame))
    }

    /// The tick at which the moving position reaches `frame`.
    fn due(&self, frame: u64) -> u64 {
        let (clock, from, _) = self.base;
        let ticks = (u128::from(frame - from) * u128::from(SECOND)).div_ceil(u128::from(self.rate));
        clock + u64::try_from(ticks).unwrap()
    }

    /// The host slept from `before` on. If the first end was more than 100 ms ago, time starts again there.
    fn wake_up(&mut self, before: u64, now: u64) {
        if !self.base.2 {
            return;
        }
        let end = self.piece_end(self.position(before));
        if now.saturating_sub(self.due(end)) <= SECOND / 10 {
            return;
        }
        self.hear_to(end);
        if end.is_multiple_of(self.packet) {
            self.complete();
        }
        self.go(now, end);
    }

    fn complete(&mut self) {
        self.count = self.count.wrapping_add(1);
        self.events += 1;
    }

    fn hear_to(&mut self, to: u64) {
        for frame in self.heard_to..to {
            let silent = self.fate.unwrap().1;
            let place = u32::try_from(frame % (self.packet * self.packets)).unwrap() | 0x8000_0000;
            self.heard.extend_from_slice(&if silent { 0 } else { place }.to_le_bytes());
        }
        self.heard_to = to;
    }

    /// The stream is in RUN at `frame` and `now`: end, stall, or move.
    fn go(&mut self, now: u64, frame: u64) {
        let n = self.number(frame);
        self.base = (now, frame, false);
        if let Some((last, valid)) = self.last {
            let behind = ahead(n, last);
            if behind > 0 || behind == 0 && frame % self.packet >= valid {
                if behind == 0 {
                    self.complete();
                }
                self.ended = true;
                self.stalled = false;
                return;
            }
        }
        let index = frame / self.packet;
        if self.fate.is_none_or(|(decided, _)| decided != index) {
            let promised = self.written.is_none_or(|written| ahead(written, n) >= 0);
            if !promised && self.clock == Some(ClockMode::Lockstep) {
                self.stalled = true;
                return;
            }
            self.underruns += u32::from(!promised);
            self.fate = Some((index, !promised));
            self.first_piece = frame;
        }
        self.stalled = false;
        self.base.2 = true;
    }

    /// Time passes: every stop is computed from the base, which stays while the position moves.
    fn tick(&mut self, now: u64) {
        while self.base.2 {
            let (clock, frame, _) = self.base;
            let stop = self.next_stop(self.heard_to);
            let due = self.due(stop);
            if due > now {
                return;
            }
            self.hear_to(stop);
            if stop.is_multiple_of(self.packet) {
                self.complete();
            }
            self.go(due, stop);
            if self.base.2 {
                self.base = (clock, frame, true);
            }
        }
    }

    fn write_state(&mut self, to: u32, now: u64) -> bool {
        if to >= 4 || to > self.state + 1 {
            return false;
        }
        if to == 3 && self.state == 2 {
            return self.run(now);
        }
        if to < self.state && self.state == 3 {
            let position = self.position(now);
            self.hear_to(position);
            self.base = (now, position, false);
            self.stalled = false;
        }
        if to == 1 && self.state == 0 {
            self.host_failed = false;
        }
        if to == 0 && self.state != 0 {
            let Self { card, rate, packet, packets, underruns, events, .. } = *self;
            let heard = std::mem::take(&mut self.heard);
            *self = Self { card, rate, packet, packets, heard, underruns, events, ..Self::default() };
        }
        self.state = to;
        true
    }

    fn run(&mut self, now: u64) -> bool {
        if let Some((frame, packet)) = self.start {
            if frame >= 1 << 48 || self.number(frame) != packet {
                return false;
            }
            self.start = None;
            self.count = packet;
            self.fate = None;
            self.base.1 = frame;
            self.heard_to = frame;
        }
        self.state = 3;
        let marked = self.written.is_some();
        self.clock.get_or_insert(if marked { self.card } else { ClockMode::Realtime });
        if !self.ended {
            self.wake_if_behind(self.base.1);
            self.go(now, self.base.1);
        }
        true
    }

    fn wake_if_behind(&mut self, frame: u64) {
        let behind = self.last.is_some_and(|(last, _)| ahead(self.number(frame), last) > 0);
        self.events += u32::from(behind);
    }

    fn write_written(&mut self, n: u32, now: u64) -> bool {
        let position = self.position(now);
        let back = self.written.is_some_and(|written| ahead(n, written) < 0);
        let last = self.armed.is_some() && ahead(n, self.number(position)) >= 0;
        if self.state == 0 || self.last.is_some() || back && !last {
            return false;
        }
        self.written = Some(n);
        self.last = self.armed.map(|frames| (n, u64::from(frames)));
        if self.state != 3 {
            return true;
        }
        let number = self.number(position);
        let over = self.last.is_some_and(|(last, valid)| {
            ahead(number, last) > 0 || number == last && position % self.packet >= valid
        });
        if over {
            self.hear_to(position);
            self.wake_if_behind(position);
        }
        if over || self.stalled && ahead(n, number) >= 0 {
            self.go(now, position);
        }
        true
    }

    fn flags(&self) -> u32 {
        u32::from(self.stalled) * FLAG_STALLED
            | u32::from(self.clock == Some(ClockMode::Lockstep)) * FLAG_LOCKSTEP
            | u32::from(self.ended) * FLAG_ENDED
            | u32::from(self.written.is_some()) * FLAG_WRITTEN
    }

    /// Does what is no write of a register of the stream.
    fn step_outside(&mut self, op: &Op, rig: &mut Rig) -> bool {
        match *op {
            Op::Wait(_) | Op::Late(_) => {}
            Op::Sleep(ticks) => {
                rig.call(|card, env| card.set_d3hot(true, env));
                if self.state == 3 {
                    self.write_state(2, rig.now);
                }
                rig.now += ticks;
                rig.wake();
                rig.call(|card, env| card.set_d3hot(false, env));
            }
            Op::RunWithoutBusMaster => {
                rig.card.set_bus_master(false);
                let refused = rig.refused(regs::STATE, regs::STATE_RUN);
                // In RUN it changes nothing.
                let expected = [Error::BadState, Error::BadState, Error::BusMasterOff];
                let expected = expected.get(self.state as usize).map_or(0, |error| error.code());
                assert_eq!(refused, expected, "RUN without Bus Master Enable in state {}", self.state);
                rig.card.set_bus_master(true);
            }
            Op::HostFails => {
                rig.write(regs::ERROR, 0);
                rig.call(|card, env| card.host_failed(0, env));
                let told = if self.host_failed { 0 } else { Error::Host.code() };
                assert_eq!(rig.status().error, told, "told once until STOP");
                self.events += u32::from(!self.host_failed && self.state == 3);
                self.host_failed = true;
            }
            Op::Reset => {
                rig.call(Controller::reset);
                self.write_state(0, rig.now);
                self.host_failed = false;
                (self.events, self.underruns) = (0, 0);
                assert!(rig.card.next_deadline().is_none() && rig.messages == 0 && rig.events == 0);
                rig.ready(self.rate as u32, self.packet as u32, self.packets as u32);
                self.state = 2;
            }
            Op::State(_) | Op::Written(_) | Op::EndOfStream(..) | Op::Start(..) => return false,
        }
        true
    }

    /// Does `op` with the card and with the model, and compares whether it was refused.
    fn step(&mut self, op: &Op, rig: &mut Rig) {
        if let Op::Wait(ticks) | Op::Late(ticks) = *op {
            self.wake_up(rig.now, rig.now + ticks);
            rig.now += ticks;
            rig.wake();
        }
        let now = rig.now;
        self.tick(now);
        if self.step_outside(op, rig) {
            return;
        }
        let mut write = |register: u32, value: u32, taken: bool| {
            let refused = rig.refused(register, value) != 0;
            assert_eq!(refused, !taken, "write of {value:#x} to {register:#x}");
        };
        match *op {
            Op::State(state) => write(regs::STATE, state, self.write_state(state, now)),
            Op::Written(ahead) => {
                let n = self.count.wrapping_add_signed(ahead.into());
                write(regs::WRITTEN, n, self.write_written(n, now));
            }
            Op::EndOfStream(armed, frames, then) => {
                let taken = self.state != 0 && self.last.is_none() && u64::from(frames) <= self.packet;
                if taken {
                    self.armed = armed.then_some(frames);
                }
                write(regs::EOS, u32::from(armed) * regs::EOS_ARM | frames * 4, taken);
                if let Some(ahead) = then {
                    let n = self.count.wrapping_add_signed(ahead.into());
                    write(regs::WRITTEN, n, self.write_written(n, now));
                }
            }
            Op::Start(frame, wrong) => {
                let taken = (1..=2).contains(&self.state) && self.last.is_none();
                let packet = self.number(frame).wrapping_add(wrong);
                if taken {
                    self.start = Some((frame, packet));
                }
                write(regs::START_PACKET, packet, taken);
                write(regs::START_FRAME_LO, (frame & 0xFFFF_FFFF) as u32, taken);
                write(regs::START_FRAME_HI, (frame >> 32) as u32, taken);
            }
            _ => {}
        }
    }

    /// Everything a guest and a listener can notice.
    fn compare(&self, rig: &mut Rig) {
        let status = rig.status();
        assert_eq!((status.state, status.flags), (self.state, self.flags()), "state, flags");
        assert_eq!(rig.position(), self.position(rig.now), "position");
        assert_eq!(status.packet_count, self.count, "packet count");
        assert_eq!((status.events, status.underruns), (self.events, self.underruns), "events, underruns");
        assert_eq!(status.rate != 0, self.base.2, "moves");
        let known = rig.heard.len().min(self.heard.len());
        assert!(rig.heard[..known] == self.heard[..known], "what was heard");
        if !self.base.2 {
            assert_eq!(rig.heard.len(), self.heard.len(), "frames heard");
        }
    }
}

impl Default for Model {
    fn default() -> Self {
        Self {
            card: ClockMode::Lockstep,
            rate: 0,
            packet: 0,
            packets: 0,
            state: 0,
            base: (0, 0, false),
            count: 0,
            written: None,
            armed: None,
            last: None,
            ended: false,
            stalled: false,
            clock: None,
            fate: None,
            first_piece: 0,
            host_failed: false,
            start: None,
            heard: Vec::new(),
            heard_to: 0,
            underruns: 0,
            events: 0,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn the_card_does_what_the_table_says(
        lockstep in any::<bool>(),
        rate in prop_oneof![Just(44_100_u32), Just(48_000)],
        packet in prop_oneof![48..100_u32, 430..500_u32, 48..1500_u32],
        packets in 1..=2_u32,
        ops in prop::collection::vec(op(), 1..80),
    ) {
        let card = if lockstep { ClockMode::Lockstep } else { ClockMode::Realtime };
        let mut rig = Rig::new(card);
        rig.memory.poke(RAM, &signal(0, u64::from(packet * packets)));
        rig.set_up(rate, packet, packets);
        let mut model = Model {
            card,
            rate: rate.into(),
            packet: packet.into(),
            packets: packets.into(),
            ..Model::default()
        };
        // Most guests begin like this.
        for op in [Op::State(1), Op::State(2)].iter().chain(&ops) {
            model.step(op, &mut rig);
            model.compare(&mut rig);
        }
    }
}
