//! The card as a guest sees it: configuration space, registers, pages. DATASHEET sections 2, 3, 4 and 7.

use core::ptr::{read_volatile, write_volatile};

use ringwave_regs::pages::{self, clock, mark, status};
use ringwave_regs::pci as ids;
use ringwave_regs::{global, stream};

use crate::machine::cpu;
use crate::machine::pci::Function;
use crate::machine::uefi::Firmware;
use crate::verdict::{Step, expect};
use crate::{say, wrong};

/// A memory BAR. Firmware maps it one to one.
#[derive(Clone, Copy)]
pub struct Window {
    base: u64,
    bytes: u32,
}

impl Window {
    fn address_of(self, offset: u32, bytes: u32) -> u64 {
        assert!(
            offset.is_multiple_of(bytes) && offset <= self.bytes - bytes,
            "{offset:#x} is not in the BAR"
        );
        self.base + u64::from(offset)
    }

    /// The BAR at this address, with so many bytes.
    pub fn new(base: u64, bytes: u32) -> Self {
        Self { base, bytes }
    }

    /// Loads 8 bits.
    pub fn read8(self, offset: u32) -> u8 {
        // SAFETY: see `read32`.
        unsafe { read_volatile(self.address_of(offset, 1) as *const u8) }
    }

    /// Loads 16 bits.
    pub fn read16(self, offset: u32) -> u16 {
        // SAFETY: see `read32`.
        unsafe { read_volatile(self.address_of(offset, 2) as *const u16) }
    }

    /// Stores 8 bits.
    pub fn write8(self, offset: u32, value: u8) {
        // SAFETY: see `read32`.
        unsafe { write_volatile(self.address_of(offset, 1) as *mut u8, value) }
    }

    /// Stores 16 bits.
    pub fn write16(self, offset: u32, value: u16) {
        // SAFETY: see `read32`.
        unsafe { write_volatile(self.address_of(offset, 2) as *mut u16, value) }
    }

    /// Its address on the bus.
    pub fn address(self) -> u64 {
        self.base
    }

    /// Loads 32 bits.
    pub fn read32(self, offset: u32) -> u32 {
        // SAFETY: `address_of` has checked that it lies in the BAR, which is mapped and no memory of Rust's.
        unsafe { read_volatile(self.address_of(offset, 4) as *const u32) }
    }

    /// Loads 64 bits.
    pub fn read64(self, offset: u32) -> u64 {
        // SAFETY: see `read32`.
        unsafe { read_volatile(self.address_of(offset, 8) as *const u64) }
    }

    /// Stores 32 bits.
    pub fn write32(self, offset: u32, value: u32) {
        // SAFETY: see `read32`.
        unsafe { write_volatile(self.address_of(offset, 4) as *mut u32, value) }
    }

    /// Stores 64 bits.
    pub fn write64(self, offset: u32, value: u64) {
        // SAFETY: see `read32`.
        unsafe { write_volatile(self.address_of(offset, 8) as *mut u64, value) }
    }
}

/// The card, and stream 0 of it.
#[derive(Clone, Copy)]
pub struct Card {
    /// Its configuration space.
    pub function: Function,
    /// BAR 0.
    pub registers: Window,
    /// BAR 2.
    pub pages: Window,
    bars: [u32; 2],
}

impl Card {
    /// Finds the card on the bus, where the firmware has put it, and switches it on.
    pub fn find() -> Option<Self> {
        let function = Function::find(ids::VENDOR, ids::DEVICE)?;
        let bars = [function.bar(ids::REGISTERS_BAR), function.bar(ids::PAGES_BAR)];
        let window = |bar: u32, bytes| Window { base: u64::from(bar & !0xF), bytes };
        let card = Self {
            function,
            registers: window(bars[0], ids::REGISTERS_BYTES),
            pages: window(bars[1], ids::PAGES_BYTES),
            bars,
        };
        function.enable(true);
        say!("card registers={:#x} pages={:#x}", card.registers.base, card.pages.base);
        (card.registers.base != 0 && card.pages.base != 0).then_some(card)
    }

    /// A global register.
    pub fn read(self, register: u32) -> u32 {
        self.registers.read32(register)
    }

    /// Writes a global register.
    pub fn write(self, register: u32, value: u32) {
        self.registers.write32(register, value);
    }

    /// A register of stream 0.
    pub fn stream(self, register: u32) -> u32 {
        self.registers.read32(stream::BLOCK_BASE + register)
    }

    /// Writes a register of stream 0.
    pub fn set_stream(self, register: u32, value: u32) {
        self.registers.write32(stream::BLOCK_BASE + register, value);
    }

    /// A 32-bit field of stream 0's status page, read alone.
    pub fn status(self, field: u32) -> u32 {
        self.pages.read32(pages::STATUS_BASE + field)
    }

    /// A 64-bit field of stream 0's status page, which the card is not just writing.
    pub fn status64(self, field: u32) -> u64 {
        self.pages.read64(pages::STATUS_BASE + field)
    }

    /// Says that the packets of stream `index` up to `packet` are valid, as DATASHEET 7.4 has it: the store,
    /// the fence, and LOOK if the card waits. What the packet holds was stored before.
    pub fn mark(self, index: u32, packet: u32) {
        let (Some(block), Some(page), Some(at)) =
            (stream::block(index), pages::status_page(index), pages::mark_page(index))
        else {
            return;
        };
        let tag = self.pages.read32(page + status::MARK_TAG);
        self.pages.write64(at + mark::MARK, mark::word(packet, tag));
        cpu::mfence();
        if self.pages.read32(page + status::WAITING) == 1 {
            self.registers.write32(block + stream::LOOK, 0);
        }
    }

    /// Position of stream 0 in frames, by its registers.
    pub fn position(self) -> u64 {
        let low = self.stream(stream::POSITION_LO);
        u64::from(low) | u64::from(self.stream(stream::POSITION_HI)) << 32
    }

    /// Resets of the function since the card's process began.
    pub fn resets(self) -> u32 {
        self.pages.read32(pages::CLOCK_PAGE + clock::RESETS)
    }

    /// Writes STATE and sees that it took effect.
    pub fn go(self, state: u32) -> Step {
        self.set_stream(stream::STATE, state);
        let seen = self.stream(stream::STATE);
        if seen == state {
            return Ok(());
        }
        let error = self.stream(stream::ERROR);
        Err(wrong!("STATE stays {seen} when {state} is written, ERROR {error}"))
    }

    /// A function-level reset, after which the BARs and Command are as they were.
    pub fn function_level_reset(self, firmware: &Firmware) -> Step {
        self.function.reset(firmware)?;
        self.function.set_bar(ids::REGISTERS_BAR, self.bars[0]);
        self.function.set_bar(ids::PAGES_BAR, self.bars[1]);
        self.function.enable(true);
        Ok(())
    }

    /// Sees that every register and every page field has its reset value.
    pub fn expect_reset(self) -> Step {
        expect("MAGIC", u64::from(self.read(global::MAGIC)), u64::from(global::MAGIC_VALUE))?;
        expect("VERSION", u64::from(self.read(global::VERSION)), u64::from(global::VERSION_VALUE))?;
        for register in global::REGISTERS.iter().filter(|register| zero_at_reset(register.offset)) {
            expect(register.name, u64::from(self.read(register.offset)), 0)?;
        }
        for register in stream::REGISTERS.iter().filter(|register| register.offset >= stream::STATE) {
            expect(register.name, u64::from(self.stream(register.offset)), 0)?;
        }
        // These go on, or are never 0 (DATASHEET 7); the anchor's clock is the time of the reset.
        let kept = [status::SEQ, status::EPOCH, status::RATE_DEN, status::ANCHOR_CLOCK, status::MARK_TAG];
        for field in status::FIELDS.iter().filter(|field| !kept.contains(&field.offset)) {
            let seen = match field.bytes {
                8 => self.status64(field.offset),
                _ => u64::from(self.status(field.offset)),
            };
            expect(field.name, seen, 0)?;
        }
        expect("MARK_TAG is 0", (self.status(status::MARK_TAG) == 0).into(), 0)?;
        expect("SEQ of a quiet page modulo 2", u64::from(self.status(status::SEQ) % 2), 0)
    }

    /// Sees that the stream has forgotten everything that STOP makes it forget (DATASHEET 5.1), in registers
    /// and page.
    pub fn expect_stopped(self) -> Step {
        expect("STATE", u64::from(self.stream(stream::STATE)), u64::from(stream::STATE_STOP))?;
        expect("STATE in the page", u64::from(self.status(status::STATE)), u64::from(stream::STATE_STOP))?;
        self.expect_at_the_beginning()
    }

    /// Sees that everything that a stream counts is 0: in STOP, and before the first RUN.
    pub fn expect_at_the_beginning(self) -> Step {
        for (name, register) in [
            ("ERROR", stream::ERROR),
            ("EOS", stream::EOS),
            ("WRITTEN", stream::WRITTEN),
            ("PACKET_COUNT", stream::PACKET_COUNT),
        ] {
            expect(name, u64::from(self.stream(register)), 0)?;
        }
        expect("POSITION", self.position(), 0)?;
        for (name, field) in [
            ("FLAGS in the page", status::FLAGS),
            ("PACKET_COUNT in the page", status::PACKET_COUNT),
            ("STALLED_PACKET in the page", status::STALLED_PACKET),
            ("RATE_NUM in the page", status::RATE_NUM),
        ] {
            expect(name, u64::from(self.status(field)), 0)?;
        }
        expect("ANCHOR_FRAME in the page", self.status64(status::ANCHOR_FRAME), 0)?;
        expect("PACKET_FRAME in the page", self.status64(status::PACKET_FRAME), 0)
    }
}

/// Which global registers have 0 as their reset value. DATASHEET section 3.
fn zero_at_reset(register: u32) -> bool {
    use global as g;
    (g::CONTROL..=g::INT_RAISE).contains(&register)
        || (g::SELFTEST_ADDR_LO..=g::TRACE_MARK).contains(&register)
}
