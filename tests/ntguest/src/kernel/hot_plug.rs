//! The slot that a card is plugged into: a PCI Express root or downstream port with a button, a power
//! controller and indicators, as the operating system's native hot-plug driver works it, by looking and not
//! by interrupts.
//!
//! Sources: PCI Express base specification, 6.7.1 (elements of hot-plug), 7.5.3.8 (Link Status), 7.5.3.10 and
//! 7.5.3.11 (Slot Control and Status), 6.6.1 (100 ms before the first configuration request). QEMU's port takes
//! the device away in the moment that power and power indicator are off.

use super::pci::{self, Card};
use super::{cards, dma, gone, interrupt, lock_watch, thread, time};
use crate::portcls::adapter;

const CAP_PCIE: u8 = 0x10;
const LINK_STATUS: u16 = 0x12;
const LINK_ACTIVE: u16 = 1 << 13;
const SLOT_CONTROL: u16 = 0x18;
/// Attention Indicator and Power Indicator: two bits each, 1 on, 3 off; Power Controller: 1 off.
const INDICATORS: u16 = 3 << 6 | 3 << 8;
const BOTH_OFF: u16 = INDICATORS;
const POWER_LIT: u16 = 3 << 6 | 1 << 8;
const POWER_OFF: u16 = 1 << 10;
const SLOT_STATUS: u16 = 0x1a;
/// The attention button was pressed.
const BUTTON: u16 = 1 << 0;
/// Events, which go when ones are written: button, power fault, sensor, presence, command, link.
const EVENTS: u16 = 0x11f;
const PRESENT: u16 = 1 << 6;
/// How long the host may take, on a machine that has much else to do, milliseconds.
const PATIENCE_MS: u64 = 60_000;
/// From the link to the first configuration request, 100-ns units.
const SETTLE: i64 = 1_000_000;
/// Between two looks, 100-ns units.
const LOOK: i64 = 20_000;

/// The target's slot.
struct Slot {
    port: Card,
    capability: u16,
}

/// What went wrong.
pub type Problem = &'static str;

impl Slot {
    fn of_target() -> Result<Self, Problem> {
        let port = pci::bridge_above(pci::card()).ok_or("the card is behind no port")?;
        let capability = pci::capability(&port, CAP_PCIE).ok_or("the port is none of PCI Express")?;
        Ok(Self { port, capability })
    }

    fn read(&self, register: u16) -> u16 {
        pci::read16(&self.port, self.capability + register)
    }

    fn wait_for(&self, what: Problem, is_so: impl Fn(&Self) -> bool) -> Result<(), Problem> {
        let deadline = time::ms() + PATIENCE_MS;
        while !is_so(self) {
            if time::ms() > deadline {
                return Err(what);
            }
            thread::sleep_100ns(LOOK);
        }
        Ok(())
    }

    fn control(&self, indicators: u16, power: u16) {
        let control = self.read(SLOT_CONTROL) & !(INDICATORS | POWER_OFF);
        pci::write16(&self.port, self.capability + SLOT_CONTROL, control | indicators | power);
    }

    /// Only those that are there: QEMU takes a write of others for a guest that clears events unseen, and
    /// keeps all.
    fn forget_events(&self) {
        let seen = self.read(SLOT_STATUS) & EVENTS;
        pci::write16(&self.port, self.capability + SLOT_STATUS, seen);
    }
}

/// The user presses the button: waits for it.
pub fn wait_for_button() -> Result<(), Problem> {
    Slot::of_target()?.wait_for("nobody presses the button", |slot| slot.read(SLOT_STATUS) & BUTTON != 0)
}

/// The slot loses its power, and the card with it, whatever it was doing.
pub fn power_off() -> Result<(), Problem> {
    let slot = Slot::of_target()?;
    gone::leave();
    slot.control(BOTH_OFF, POWER_OFF);
    slot.forget_events();
    crate::kprintln!("hot-plug: the slot is off");
    slot.wait_for("the card stays in a slot without power", |slot| slot.read(SLOT_STATUS) & PRESENT == 0)
}

/// A card is put in: gets power, BARs and interrupts, and a device object of its own.
pub fn power_on() -> Result<(), Problem> {
    let slot = Slot::of_target()?;
    slot.wait_for("nobody puts a card in", |slot| slot.read(SLOT_STATUS) & PRESENT != 0)?;
    slot.control(POWER_LIT, 0);
    slot.forget_events();
    slot.wait_for("no link", |slot| slot.read(LINK_STATUS) & LINK_ACTIVE != 0)?;
    thread::sleep_100ns(SETTLE);
    pci::set_up_again()?;
    let target = cards::target();
    adapter::forget_pdo(target);
    interrupt::expect_pdo(target, adapter::pdo().cast());
    gone::come();
    lock_watch::set_gone(None);
    dma::init_card(pci::card());
    dma::card_is_back();
    Ok(())
}
