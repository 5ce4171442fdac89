//! The controller: reset, the command and response rings (CORB, RIRB), immediate commands.

use super::service;
use crate::card::Window;
use crate::machine::interrupts;
use crate::machine::pci::Function;
use crate::machine::uefi::{Firmware, PAGE};
use crate::memory::{allocate, load32, store};
use crate::verdict::{Step, expect};
use crate::{say, wrong};

/// Base class multimedia, sub-class HD Audio.
const CLASS: u16 = 0x0403;
/// Bytes of BAR 0.
pub const BAR_BYTES: u32 = 0x4000;
/// Stream descriptors that INTCTL has bits for.
pub const STREAMS_MAX: usize = 30;

const GCAP: u32 = 0x00;
const VMIN: u32 = 0x02;
/// Global control.
pub const GCTL: u32 = 0x08;
const WAKEEN: u32 = 0x0C;
const STATESTS: u32 = 0x0E;
/// Interrupt control.
pub const INTCTL: u32 = 0x20;
/// Interrupt status.
pub const INTSTS: u32 = 0x24;
/// The wall clock: 24 MHz.
pub const WALCLK: u32 = 0x30;
/// Stream synchronisation: where the specification has it, and where the ICH series has it.
pub const SSYNC: [u32; 2] = [0x38, 0x34];
const CORBLBASE: u32 = 0x40;
const CORBWP: u32 = 0x48;
const CORBRP: u32 = 0x4A;
const CORBCTL: u32 = 0x4C;
const CORBSIZE: u32 = 0x4E;
const RIRBLBASE: u32 = 0x50;
const RIRBWP: u32 = 0x58;
const RINTCNT: u32 = 0x5A;
const RIRBCTL: u32 = 0x5C;
/// Response ring: status.
pub const RIRBSTS: u32 = 0x5D;
const RIRBSIZE: u32 = 0x5E;
const IC: u32 = 0x60;
const IR: u32 = 0x64;
const IRS: u32 = 0x68;
/// Position buffer: base, bit 0 enables it.
pub const DPLBASE: u32 = 0x70;

const CRST: u32 = 1;
const UNSOL: u32 = 1 << 8;
const POINTER_RESET: u16 = 1 << 15;
const RING_RUN: u8 = 1 << 1;
const RESPONSE_INTERRUPT: u8 = 1;
/// Ring sizes: 256 entries are offered, and chosen.
const OFFERS_256: u8 = 1 << 6;
const CHOOSE_256: u8 = 2;
/// Interrupt after so many responses, or sooner when no more come.
const RESPONSES_PER_INTERRUPT: u16 = 200;
const IMMEDIATE_BUSY: u16 = 1;
const IMMEDIATE_VALID: u16 = 1 << 1;
/// RIRB entry, second word: nobody asked.
const UNSOLICITED: u32 = 1 << 4;
/// Milliseconds that an answer takes at most, and a register until it shows its new state.
const PATIENCE: u32 = 1000;
/// Between two looks at such a register, in microseconds, and how many looks.
const LOOK: usize = 10;
const LOOKS: u32 = 10_000;

/// Offset of stream descriptor `index`.
pub fn descriptor(index: usize) -> u32 {
    0x80 + 0x20 * index as u32
}

/// The controller.
pub struct Controller {
    /// BAR 0.
    pub bar: Window,
    /// Address of BAR 0.
    pub base: u64,
    /// Its configuration space.
    pub function: Function,
    /// Memory and time.
    pub firmware: Firmware,
    /// The position buffer, 8 bytes a descriptor.
    pub positions: u64,
    corb: u64,
    rirb: u64,
    read: u8,
    sent: u32,
    answered: u32,
    unsolicited: Option<u32>,
}

impl Controller {
    /// Finds it by its class, and switches it on.
    pub fn find(firmware: Firmware) -> Step<Self> {
        let Some(function) = Function::find_class(CLASS) else {
            return Err(wrong!("no function of class {CLASS:#x}"));
        };
        let low = function.bar(0);
        // Bits 2:1: 64-bit address, whose upper half is in the next BAR.
        let high = if low & 6 == 4 { function.bar(1) } else { 0 };
        let base = u64::from(high) << 32 | u64::from(low & !0xF);
        function.enable(true);
        say!("controller id={:#x} class={:#x} base={base:#x}", function.read32(0), function.read32(8) >> 8);
        // Where the machine has it: above 4 GiB.
        let page = || allocate(&firmware, PAGE, false);
        service::set_registers(base);
        Ok(Self {
            bar: Window::new(base, BAR_BYTES),
            base,
            function,
            firmware,
            positions: page()?,
            corb: page()?,
            rirb: page()?,
            read: 0,
            sent: 0,
            answered: 0,
            unsolicited: None,
        })
    }

    /// Waits until a register shows what it must.
    pub fn until(&self, what: &str, done: impl Fn(Window) -> bool) -> Step {
        for _ in 0..LOOKS {
            if done(self.bar) {
                return Ok(());
            }
            self.firmware.stall(LOOK);
        }
        Err(wrong!("{what} does not come"))
    }

    /// Resets it; gives which codecs are there. (3.3.7, 4.3)
    pub fn reset(&mut self) -> Step<u16> {
        let bar = self.bar;
        bar.write16(STATESTS, 0x7FFF);
        bar.write32(GCTL, 0);
        self.until("GCTL.CRST 0", |bar| bar.read32(GCTL) & CRST == 0)?;
        // In reset nothing but GCTL takes a write.
        bar.write32(INTCTL, 1 << 31);
        expect("INTCTL in reset", bar.read32(INTCTL).into(), 0)?;
        self.firmware.stall(500);
        bar.write32(GCTL, CRST);
        self.until("GCTL.CRST 1", |bar| bar.read32(GCTL) & CRST == 1)?;
        self.firmware.stall(1000);
        self.expect_reset_values()?;
        let codecs = bar.read16(STATESTS);
        say!("reset codecs={codecs:#x} inputs={} outputs={}", self.inputs(), self.outputs());
        bar.write16(STATESTS, codecs);
        expect("STATESTS, cleared", bar.read16(STATESTS).into(), 0)?;
        self.read = 0;
        Ok(codecs)
    }

    /// Sees that it is as after power-on: in reset, with nothing set and nothing that runs.
    pub fn expect_fresh(&self) -> Step {
        expect("GCTL after power-on", self.bar.read32(GCTL).into(), 0)?;
        self.expect_reset_values()?;
        for index in 0..self.inputs() + self.outputs() {
            expect("SDCTL, SDSTS after power-on", self.bar.read32(descriptor(index)).into(), 1 << 18)?;
        }
        Ok(())
    }

    /// A function-level reset, after which the BARs and Command are as they were.
    pub fn function_level_reset(&self) -> Step {
        let bars = [0, 1].map(|index| self.function.bar(index));
        self.function.reset(&self.firmware)?;
        (0..).zip(bars).for_each(|(index, bar)| self.function.set_bar(index, bar));
        self.function.enable(true);
        Ok(())
    }

    fn expect_reset_values(&self) -> Step {
        let bar = self.bar;
        expect("VMAJ, VMIN", bar.read16(VMIN).into(), 0x0100)?;
        expect("GCAP.64OK", u64::from(bar.read16(GCAP) & 1), 1)?;
        for (name, seen, wanted) in [
            ("WAKEEN", u32::from(bar.read16(WAKEEN)), 0),
            ("INTCTL", bar.read32(INTCTL), 0),
            ("INTSTS", bar.read32(INTSTS), 0u32),
            ("SSYNC", bar.read32(SSYNC[0]) | bar.read32(SSYNC[1]), 0),
            ("CORBLBASE", bar.read32(CORBLBASE), 0),
            ("CORBWP, CORBRP", bar.read32(CORBWP), 0),
            ("CORBCTL", bar.read8(CORBCTL).into(), 0),
            ("CORBSIZE: 256 entries", (bar.read8(CORBSIZE) & OFFERS_256).into(), OFFERS_256.into()),
            ("RIRBWP", bar.read16(RIRBWP).into(), 0),
            ("RIRBCTL", bar.read8(RIRBCTL).into(), 0),
            ("RIRBSIZE: 256 entries", (bar.read8(RIRBSIZE) & OFFERS_256).into(), OFFERS_256.into()),
            ("IRS", bar.read16(IRS).into(), 0),
            ("DPLBASE", bar.read32(DPLBASE), 0),
        ] {
            expect(name, seen.into(), wanted.into())?;
        }
        Ok(())
    }

    /// Input and output descriptors; inputs come first.
    pub fn inputs(&self) -> usize {
        usize::from(self.bar.read16(GCAP) >> 8 & 0xF)
    }

    /// See [`Controller::inputs`].
    pub fn outputs(&self) -> usize {
        usize::from(self.bar.read16(GCAP) >> 12)
    }

    /// Starts both rings, with interrupts for the controller, and takes unsolicited responses.
    pub fn start_rings(&mut self) -> Step {
        let bar = self.bar;
        bar.write8(CORBSIZE, CHOOSE_256);
        bar.write32(CORBLBASE, self.corb as u32);
        bar.write32(CORBLBASE + 4, (self.corb >> 32) as u32);
        bar.write16(CORBWP, 0);
        bar.write16(CORBRP, POINTER_RESET);
        self.until("CORBRP reset 1", |bar| bar.read16(CORBRP) & POINTER_RESET != 0)?;
        bar.write16(CORBRP, 0);
        self.until("CORBRP reset 0", |bar| bar.read16(CORBRP) == 0)?;
        bar.write8(RIRBSIZE, CHOOSE_256);
        bar.write32(RIRBLBASE, self.rirb as u32);
        bar.write32(RIRBLBASE + 4, (self.rirb >> 32) as u32);
        bar.write16(RIRBWP, POINTER_RESET);
        bar.write16(RINTCNT, RESPONSES_PER_INTERRUPT);
        bar.write8(RIRBCTL, RING_RUN | RESPONSE_INTERRUPT);
        bar.write8(CORBCTL, RING_RUN);
        self.until("CORBCTL.RUN", |bar| bar.read8(CORBCTL) & RING_RUN != 0)?;
        bar.write32(GCTL, bar.read32(GCTL) | UNSOL);
        bar.write32(INTCTL, service::GLOBAL | service::CONTROLLER);
        Ok(())
    }

    /// Stops both rings: immediate commands may be used.
    pub fn stop_rings(&self) -> Step {
        self.bar.write8(CORBCTL, 0);
        self.bar.write8(RIRBCTL, 0);
        self.until("CORBCTL.RUN 0", |bar| bar.read8(CORBCTL) & RING_RUN == 0)?;
        self.until("RIRBCTL.RUN 0", |bar| bar.read8(RIRBCTL) & RING_RUN == 0)
    }

    /// Sends a command, and takes its one answer, which a lone command's interrupt announces.
    pub fn command(&mut self, word: u32) -> Step<u32> {
        let mut answer = [0];
        self.batch(&[word], &mut answer)?;
        Ok(answer[0])
    }

    /// Sends a command without the service routine: waits for its answer by the register, and acknowledges
    /// it.
    pub fn post(&mut self, word: u32) -> Step {
        let (bar, before) = (self.bar, self.bar.read16(RIRBWP));
        let at = (bar.read16(CORBWP) as u8).wrapping_add(1);
        store(self.corb + 4 * u64::from(at), &word.to_le_bytes());
        bar.write16(CORBWP, at.into());
        self.until("RIRBWP after a command", |bar| bar.read16(RIRBWP) != before)?;
        bar.write8(RIRBSTS, 1);
        Ok(())
    }

    /// Sends commands at once, and takes an answer to each, in their order.
    pub fn batch(&mut self, words: &[u32], answers: &mut [u32]) -> Step {
        let before = service::responses().0;
        let mut at = self.bar.read16(CORBWP) as u8;
        for word in words {
            at = at.wrapping_add(1);
            store(self.corb + 4 * u64::from(at), &word.to_le_bytes());
        }
        self.bar.write16(CORBWP, at.into());
        self.sent += words.len() as u32;
        let mut got = 0;
        let mut all = false;
        interrupts::wait(PATIENCE, || {
            // Nothing is read before the interrupt: any access to the BAR takes a line down (QEMU's vfio).
            if service::responses().0 == before {
                return false;
            }
            while let Some(answer) = self.next_response() {
                if let Some(place) = answers.get_mut(got) {
                    *place = answer;
                }
                got += 1;
            }
            all = got >= words.len();
            all
        });
        if !all || got != words.len() {
            let interrupts = service::responses().0 - before;
            return Err(wrong!(
                "{} commands from {:#x}: {got} answers, {interrupts} interrupts",
                words.len(),
                words[0]
            ));
        }
        expect("CORBRP after the answers", self.bar.read16(CORBRP).into(), at.into())
    }

    /// The next answer, if there is one; an unsolicited response is kept.
    fn next_response(&mut self) -> Option<u32> {
        while self.read != self.bar.read16(RIRBWP) as u8 {
            self.read = self.read.wrapping_add(1);
            let entry = self.rirb + 8 * u64::from(self.read);
            let (response, from) = (load32(entry), load32(entry + 4));
            if from & UNSOLICITED == 0 {
                self.answered += 1;
                return Some(response);
            }
            self.unsolicited = Some(response);
        }
        None
    }

    /// Waits for an unsolicited response.
    pub fn unsolicited(&mut self, millis: u32) -> Option<u32> {
        interrupts::wait(millis, || {
            if self.next_response().is_some() {
                let _ = wrong!("an answer that nobody asked for");
            }
            self.unsolicited.is_some()
        });
        self.unsolicited.take()
    }

    /// Sees that there was one answer to each command and no more.
    pub fn expect_all_answered(&mut self) -> Step {
        while self.next_response().is_some() {}
        say!("commands sent={} answered={}", self.sent, self.answered);
        expect("overruns of the response ring", service::responses().1.into(), 0)?;
        expect("answers", self.answered.into(), self.sent.into())
    }

    /// A command without the rings. (3.4)
    pub fn immediate(&self, word: u32) -> Step<u32> {
        self.bar.write16(IRS, IMMEDIATE_VALID);
        self.bar.write32(IC, word);
        self.bar.write16(IRS, IMMEDIATE_BUSY);
        self.until("IRS.IRV", |bar| bar.read16(IRS) & (IMMEDIATE_BUSY | IMMEDIATE_VALID) == IMMEDIATE_VALID)?;
        let answer = self.bar.read32(IR);
        self.bar.write16(IRS, IMMEDIATE_VALID);
        expect("IRS, cleared", self.bar.read16(IRS).into(), 0)?;
        Ok(answer)
    }

    /// WALCLK.
    pub fn clock(&self) -> u32 {
        self.bar.read32(WALCLK)
    }

    /// Holds these streams and no other, by SSYNC at one of its places.
    pub fn hold(&self, place: usize, streams: u32) {
        self.bar.write32(SSYNC[place], streams);
    }

    /// Lets a stream's interrupts through.
    pub fn enable_interrupts_of(&self, streams: u32) {
        self.bar.write32(INTCTL, self.bar.read32(INTCTL) | streams);
    }

    /// Turns the position buffer on.
    pub fn enable_positions(&self) {
        self.bar.write32(DPLBASE + 4, (self.positions >> 32) as u32);
        self.bar.write32(DPLBASE, self.positions as u32 | 1);
    }
}
