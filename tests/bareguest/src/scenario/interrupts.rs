//! `msi`: messages arrive where they are sent to, after they were sent elsewhere while the stream runs, and
//! after a function-level reset.
//!
//! An MSI is a store of the data to the address, and memory is an address: this program lets the card signal
//! into two words of RAM and looks at them, so it needs no interrupt handler. QEMU does that store without
//! KVM only (KVM takes the interrupt controller's addresses and no other), so the host asks for this scenario
//! under TCG.

use ringwave_regs::{global, stream};

use super::Guest;
use crate::machine::pci;
use crate::machine::uefi::PAGE;
use crate::memory::{allocate, load32, store};
use crate::player::{Player, Song};
use crate::say;
use crate::verdict::Step;
use crate::wrong;

/// MSI capability with 64-bit addresses (PCI Local Bus Specification 3.0, 6.8.1).
const CONTROL: u8 = 0x02;
const ADDRESS_LO: u8 = 0x04;
const ADDRESS_HI: u8 = 0x08;
const DATA: u8 = 0x0C;
const ENABLE: u16 = 1;
/// What the card is to say, by place.
const WORDS: [u16; 3] = [0x1111, 0x2222, 0x3333];

/// The scenario.
pub fn run(guest: &Guest<'_>) -> Step {
    let card = guest.card;
    let Some(msi) = card.function.capability(pci::MSI) else { return Err(wrong!("no MSI capability")) };
    let page = allocate(&guest.firmware, PAGE, true)?;
    let message_address = |index: usize| page + 64 * index as u64;
    let send_to = |index: usize| {
        // An address may change only while MSI is off.
        card.function.write16(msi + CONTROL, 0);
        card.function.write32(msi + ADDRESS_LO, message_address(index) as u32);
        card.function.write32(msi + ADDRESS_HI, (message_address(index) >> 32) as u32);
        card.function.write16(msi + DATA, WORDS[index]);
        card.function.write16(msi + CONTROL, ENABLE);
    };
    let seen = |index: usize| load32(message_address(index)) == u32::from(WORDS[index]);
    let song = Song { frames: u64::MAX, ..guest.song() };
    let buffer = guest.buffer(song, guest.layout())?;
    let start = || {
        card.write(global::CONTROL, global::CONTROL_INT_ENABLE);
        let mut player = Player::prepare(guest, &buffer, song)?;
        card.set_stream(stream::INT_ENABLE, stream::INT_PACKET);
        player.start()?;
        Ok(player)
    };

    send_to(0);
    let mut player = start()?;
    player.play_packets(3)?;
    let first = [0, 1, 2].map(seen);
    send_to(1);
    player.play_packets(8)?;
    let moved = [0, 1, 2].map(seen);
    card.function_level_reset(&guest.firmware)?;
    // Nothing is enabled now, so nothing may come. (QEMU 11.1 itself still shows MSI Enable: it does not know
    // of the reset.)
    let shown = card.function.read16(msi + CONTROL) & ENABLE;
    card.function.disable_intx();
    store(message_address(1), &[0; 4]);
    let mut player = start()?;
    player.play_packets(3)?;
    let quiet = [0, 1, 2].map(seen);
    player.stop()?;
    send_to(2);
    let mut player = start()?;
    player.play_packets(3)?;
    let after = [0, 1, 2].map(seen);
    player.stop()?;
    say!("msi enabled_shown_after_reset={shown}");
    for (what, arrived, wanted) in [
        ("at the first place", first, [true, false, false]),
        ("at the second place", moved, [true, true, false]),
        ("after a function-level reset, not enabled", quiet, [true, false, false]),
        ("after a function-level reset, enabled", after, [true, false, true]),
    ] {
        say!("msi-arrived at={arrived:?} {what}");
        if arrived != wanted {
            return Err(wrong!("MSI {what}: {arrived:?}"));
        }
    }
    Ok(())
}
