//! `msi`: where MSI go. The message is sent into memory instead of to a processor (`scenario/interrupts.rs`
//! says why, and why the host asks for this under TCG only): to a place, to another after it was moved,
//! nowhere after a function-level reset, and to a third when it is enabled again.

use super::{Card, Guest};
use crate::hda::controller::Controller;
use crate::machine::pci;
use crate::machine::uefi::PAGE;
use crate::memory::{allocate, load32, store};
use crate::verdict::Step;
use crate::{say, wrong};

/// MSI capability with 64-bit addresses (PCI Local Bus Specification 3.0, 6.8.1).
const CONTROL: u8 = 0x02;
const ADDRESS_LO: u8 = 0x04;
const ADDRESS_HI: u8 = 0x08;
const DATA: u8 = 0x0C;
const ENABLE: u16 = 1;
/// What the card is to say, by place.
const WORDS: [u16; 3] = [0x1111, 0x2222, 0x3333];
/// Get parameter 0 of the root: any command interrupts when it is answered.
const COMMAND: u32 = 0xF_0000;

/// The scenario.
pub fn run(guest: &Guest<'_>) -> Step {
    let Card { mut controller, .. } = guest.card()?;
    let function = controller.function;
    let Some(msi) = function.capability(pci::MSI) else { return Err(wrong!("no MSI capability")) };
    let page = allocate(&guest.firmware, PAGE, true)?;
    let place = |index: usize| page + 64 * index as u64;
    let send_to = |index: usize| {
        // An address may change only while MSI is off.
        function.write16(msi + CONTROL, 0);
        function.write32(msi + ADDRESS_LO, place(index) as u32);
        function.write32(msi + ADDRESS_HI, (place(index) >> 32) as u32);
        function.write16(msi + DATA, WORDS[index]);
        function.write16(msi + CONTROL, ENABLE);
    };
    let seen = |controller: &mut Controller| {
        controller.post(COMMAND)?;
        controller.firmware.stall(20_000);
        let arrived = [0, 1, 2].map(|index| load32(place(index)) == u32::from(WORDS[index]));
        (0..3).for_each(|index| store(place(index), &[0; 4]));
        Ok(arrived)
    };
    send_to(0);
    let first = seen(&mut controller)?;
    send_to(1);
    let moved = seen(&mut controller)?;
    controller.function_level_reset()?;
    // QEMU 11.1 itself still shows MSI Enable: it does not know of the reset.
    function.disable_intx();
    controller.reset()?;
    controller.start_rings()?;
    let quiet = seen(&mut controller)?;
    send_to(2);
    let after = seen(&mut controller)?;
    for (what, arrived, wanted) in [
        ("at the first place", first, [true, false, false]),
        ("at the second place", moved, [false, true, false]),
        ("after a function-level reset, not enabled", quiet, [false; 3]),
        ("after a function-level reset, enabled", after, [false, false, true]),
    ] {
        say!("msi-arrived at={arrived:?} {what}");
        if arrived != wanted {
            return Err(wrong!("MSI {what}: {arrived:?}"));
        }
    }
    Ok(())
}
