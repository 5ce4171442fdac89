//! Memory in the place of a card that answers as one does: enough registers to be found, and what they do.
#![allow(clippy::missing_panics_doc, clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::cell::Cell;
use std::rc::Rc;

use nt::host;
use ringwave_regs::global;
use ringwave_regs::global::{selftest_reply, selftest_step};

use super::Ringwave;
use crate::hw::{MemoryRange, Resources};

/// Bytes of its register BAR.
const REGISTERS_BYTES: usize = 0x4000;
/// Bytes of its page BAR.
const PAGES_BYTES: usize = 0x4_0000;

/// The hand of a test on it.
pub struct MemoryCard {
    physical: u64,
    registers: *mut u8,
    /// Its page BAR.
    pub pages: *mut u8,
    inside: Rc<Inside>,
}

/// What it is besides its registers.
#[derive(Default)]
struct Inside {
    int_status: Cell<u32>,
    /// It works on a copy of the guest's memory.
    copies: Cell<bool>,
}

impl MemoryCard {
    /// A card at a physical address that no other test of this thread uses.
    pub fn at(physical: u64) -> Self {
        let registers = host::add_io_space(physical, REGISTERS_BYTES);
        let pages = host::add_io_space(physical + 0x10_0000, PAGES_BYTES);
        let card = Self { physical, registers, pages, inside: Rc::default() };
        card.fill();
        let inside = card.inside.clone();
        let registers = Registers(registers);
        host::on_write(physical, move |offset, value| inside.written(&registers, offset, value));
        card
    }

    /// What makes it a card.
    fn fill(&self) {
        self.set(global::MAGIC, global::MAGIC_VALUE);
        self.set(global::VERSION, u32::from(global::VERSION_MAJOR) << 16);
        self.set(global::DMA_BITS, 64);
        self.set(global::CLOCK_HZ, 1_000_000_000);
        self.set(global::FEATURES, global::FEATURE_SCATTER_GATHER | global::FEATURE_POSITION_PAGE);
    }

    /// As it was when it was made.
    pub fn clear(&self) {
        // SAFETY: the lengths of the two BARs, which stay until the process ends.
        unsafe {
            self.registers.write_bytes(0, REGISTERS_BYTES);
            self.pages.write_bytes(0, PAGES_BYTES);
        }
        self.inside.int_status.set(0);
        self.inside.copies.set(false);
        self.fill();
    }

    /// Its register BAR.
    pub const fn registers(&self) -> *mut u8 {
        self.registers
    }

    /// Finds it, as a driver does at its start.
    pub fn find(&self) -> Ringwave {
        // SAFETY: fake device memory.
        unsafe { Ringwave::find(&self.resources()) }.unwrap()
    }

    /// Its BARs.
    pub fn resources(&self) -> Resources {
        resources((self.physical, REGISTERS_BYTES), (self.physical + 0x10_0000, PAGES_BYTES))
    }

    /// It is something else.
    pub fn is_no_card(&self) {
        self.set(global::MAGIC, 0);
    }

    /// Its register interface has another major version.
    pub fn is_of_version(&self, major: u32) {
        self.set(global::VERSION, major << 16);
    }

    /// Sets a register.
    pub fn set(&self, offset: u32, value: u32) {
        Registers(self.registers).set(offset, value);
    }

    /// What a register holds.
    pub fn get(&self, offset: u32) -> u32 {
        Registers(self.registers).get(offset)
    }

    /// An event of stream 0.
    pub fn raise(&self) {
        self.inside.int_status.set(self.inside.int_status.get() | 1);
        self.set(global::INT_STATUS, self.inside.int_status.get());
    }

    /// From now on it sees a copy of the guest's memory.
    pub fn sees_a_copy(&self) {
        self.inside.copies.set(true);
    }
}

/// Two memory BARs: address and length.
pub fn resources(registers: (u64, usize), pages: (u64, usize)) -> Resources {
    let mut resources = Resources::default();
    for (place, (address, bytes)) in resources.0.iter_mut().zip([registers, pages]) {
        *place = Some(MemoryRange { address, raw: address, bytes });
    }
    resources
}

/// Fake device memory as registers.
struct Registers(*mut u8);

impl Registers {
    fn get(&self, offset: u32) -> u32 {
        // SAFETY: inside the BAR, which stays until the process ends.
        unsafe { self.0.add(offset as usize).cast::<u32>().read_unaligned() }
    }

    fn set(&self, offset: u32, value: u32) {
        // SAFETY: as above.
        unsafe { self.0.add(offset as usize).cast::<u32>().write_unaligned(value) }
    }
}

impl Inside {
    fn written(&self, registers: &Registers, offset: usize, value: u32) {
        match u32::try_from(offset).unwrap() {
            global::INT_STATUS => {
                self.int_status.set(self.int_status.get() & !value);
                registers.set(global::INT_STATUS, self.int_status.get());
            }
            global::CONTROL if value & global::CONTROL_RESET != 0 => {
                registers.set(global::CONTROL, 0);
                self.int_status.set(0);
                registers.set(global::INT_STATUS, 0);
            }
            global::SELFTEST => {
                let sum = self.selftest(registers, value);
                registers.set(global::SELFTEST_SUM, sum);
                registers.set(global::SELFTEST, 0);
            }
            _ => {}
        }
    }

    /// DATASHEET 3.2. On a host a physical address is the address.
    fn selftest(&self, registers: &Registers, seed: u32) -> u32 {
        let address = u64::from(registers.get(global::SELFTEST_ADDR_HI)) << 32
            | u64::from(registers.get(global::SELFTEST_ADDR_LO));
        let words = usize::try_from(registers.get(global::SELFTEST_BYTES) / 4).unwrap();
        let memory: *mut u32 = std::ptr::with_exposed_provenance_mut(usize::try_from(address).unwrap());
        (0..words).fold(seed, |sum, index| {
            // SAFETY: the driver's page, while it waits for the test.
            unsafe {
                let word = memory.add(index).read_volatile();
                if !self.copies.get() {
                    memory.add(index).write_volatile(selftest_reply(word));
                }
                selftest_step(sum, word)
            }
        })
    }
}
