//! Random guests against a second opinion: a model of DATASHEET 5.1 to 5.7 that knows packets and bursts, but
//! no FIFO and, of the pages, only MARK. The buffer never changes, so the model can say for each frame what
//! is heard: a place in the buffer, or silence.
//!
//! Of the table in 5.7 one row is not here, because it needs the FIFO: a transfer that fails. The fuzz target
//! `tables` has it.
#![allow(
    clippy::cast_possible_truncation,
    clippy::decimal_bitwise_operands,
    clippy::precedence,
    reason = "test code"
)]

use crate::random_guest::model::Model;
use crate::random_guest::{Notice, Op, Word, op};
use crate::support::{RAM, TestCard, signal};
use proptest::prelude::*;
use ringwave_card::controller::Controller;
use ringwave_card::env::ClockMode;
use ringwave_regs::error::Error;
use ringwave_regs::{pages, stream as regs};

impl Model {
    /// Does what is no write of a register of the stream.
    fn step_outside(&mut self, op: &Op, dut: &mut TestCard) -> bool {
        match *op {
            Op::Wait(_) | Op::Late(_) => {}
            Op::Sleep(ticks) => {
                dut.call(|card, env| card.set_d3hot(true, env));
                if self.state == 3 {
                    self.write_state(2, dut.now);
                }
                dut.now += ticks;
                dut.wake();
                dut.call(|card, env| card.set_d3hot(false, env));
            }
            Op::RunWithoutBusMaster => {
                // A mark that is there already would be found by that write, and its packet not be read.
                dut.write(regs::LOOK, 0);
                self.owed = false;
                self.observe(dut.now);
                dut.card.set_bus_master(false);
                let refused = dut.refused(regs::STATE, regs::STATE_RUN);
                // In RUN it changes nothing.
                let expected = [Error::BadState, Error::BadState, Error::BusMasterOff];
                let expected = expected.get(self.state as usize).map_or(0, |error| error.code());
                assert_eq!(refused, expected, "RUN without Bus Master Enable in state {}", self.state);
                dut.card.set_bus_master(true);
            }
            Op::HostFails => {
                dut.write(regs::ERROR, 0);
                dut.call(|card, env| card.host_failed(0, env));
                let told = if self.host_failed { 0 } else { Error::Host.code() };
                assert_eq!(dut.status().error, told, "told once until STOP");
                self.events += u32::from(!self.host_failed && self.state == 3);
                self.host_failed = true;
            }
            Op::Reset => {
                dut.call(Controller::reset);
                let tag = self.tag + 1;
                self.write_state(0, dut.now);
                self.host_failed = false;
                // In STOP it changes as well.
                self.tag = tag;
                (self.events, self.underruns, self.silence) = (0, 0, 0);
                assert!(dut.card.next_deadline().is_none() && dut.messages == 0 && dut.events == 0);
                dut.ready(self.rate as u32, self.packet as u32, self.packets as u32);
                self.asks = true;
                self.state = 2;
                self.see(dut.now);
            }
            Op::Mark(word, told) => self.store_mark(word, told, dut),
            Op::Look => {
                dut.write(regs::LOOK, 7);
                self.owed = false;
                self.observe(dut.now);
            }
            Op::Lockstep(asks) => {
                let refused = dut.refused(regs::LOCKSTEP, u32::from(asks)) != 0;
                assert_eq!(refused, self.state == 3, "LOCKSTEP in RUN");
                if !refused {
                    self.asks = asks;
                }
            }
            Op::State(_) | Op::Written(_) | Op::EndOfStream(..) | Op::Start(..) => return false,
        }
        true
    }

    /// A store to the mark page.
    fn store_mark(&mut self, word: Word, notice: Notice, dut: &mut TestCard) {
        let relative = |ahead: i8| self.count.wrapping_add_signed(ahead.into());
        let low = |word: u64| word & 0xFFFF_FFFF;
        self.word = match word {
            Word::Right(ahead) => pages::mark::word(relative(ahead), self.tag),
            Word::Tag(off, ahead) => pages::mark::word(relative(ahead), self.tag.wrapping_add(off)),
            Word::Any(word) => word,
            Word::Half(true, high) => low(self.word) | u64::from(high) << 32,
            Word::Half(false, value) => self.word - low(self.word) + u64::from(value),
        };
        dut.pages.poke(pages::MARK_BASE + pages::mark::MARK, self.word);
        match notice {
            Notice::No => return,
            Notice::ByLook => {
                dut.write(regs::LOOK, 0);
                self.owed = false;
            }
            Notice::ByMessage => {
                dut.call(|card, env| card.pages_stored(u64::from(pages::MARK_BASE), 8, env));
            }
        }
        self.observe(dut.now);
    }

    /// Does `op` with the card and with the model, and compares whether it was refused.
    fn step(&mut self, op: &Op, dut: &mut TestCard) {
        if let Op::Wait(ticks) | Op::Late(ticks) = *op {
            self.wake_up(dut.now + ticks);
            dut.now += ticks;
            dut.wake();
        }
        let now = dut.now;
        self.tick(now);
        if self.step_outside(op, dut) {
            return;
        }
        if !matches!(op, Op::Start(..)) {
            self.observe(now);
        }
        let mut write = |register: u32, value: u32, taken: bool| {
            let refused = dut.refused(register, value) != 0;
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
    fn compare(&self, dut: &mut TestCard) {
        let status = dut.status();
        assert_eq!((status.state, status.flags), (self.state, self.flags()), "state, flags");
        assert_eq!(dut.position(), self.position(dut.now), "position");
        assert_eq!(status.packet_count, self.count, "packet count");
        assert_eq!((status.events, status.underruns), (self.events, self.underruns), "events, underruns");
        assert_eq!(status.silence_frames, self.silence, "frames of silence");
        let waits = self.stalled || self.owed;
        assert_eq!((status.mark_tag, status.waiting), (self.tag, waits.into()), "tag, WAITING");
        assert_eq!(status.rate != 0, self.base.2, "moves");
        let known = dut.heard.len().min(self.heard.len());
        assert!(dut.heard[..known] == self.heard[..known], "what was heard");
        if !self.base.2 {
            assert_eq!(dut.heard.len(), self.heard.len(), "frames heard");
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
        let mut dut = TestCard::new(card);
        dut.memory.poke(RAM, &signal(0, u64::from(packet * packets)));
        dut.set_up(rate, packet, packets);
        let mut model = Model {
            card,
            rate: rate.into(),
            packet: packet.into(),
            packets: packets.into(),
            tag: dut.status().mark_tag,
            asks: true,
            ..Model::default()
        };
        // Most guests begin like this.
        for op in [Op::State(1), Op::State(2)].iter().chain(&ops) {
            model.step(op, &mut dut);
            model.compare(&mut dut);
        }
    }
}
