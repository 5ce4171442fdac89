//! `tables`: buffer descriptor lists that cannot be. Each is refused by DESE and leaves RUN 0, and after each
//! a good one plays. HDA.md 3.

use super::Guest;
use crate::hda::controller::Controller;
use crate::hda::player::{Player, Song};
use crate::hda::stream::DESE;
use crate::machine::uefi::PAGE;
use crate::memory::allocate;
use crate::say;
use crate::verdict::{Step, expect};

/// Far beyond any RAM: 256 GiB.
const OUTSIDE: u64 = 0x40_0000_0000;
/// Where the firmware's flash lies: read-only memory that the client maps without a descriptor.
const FLASH: u64 = 0xFFFF_0000;
/// Bytes of an entry.
const PART: u32 = 1024;

/// The scenario.
pub fn run(guest: &Guest<'_>) -> Step {
    let mut card = guest.card()?;
    let song = Song { frames: guest.song().period, ..guest.song() };
    let mut player = card.player(song)?;
    let controller = &card.controller;
    let good = allocate(&guest.firmware, PAGE, true)?;
    let ram_end = guest.config.number("low_ram_end", 0x1000_0000);
    let list = player.stream.list_address();
    let halves = [(good, PART), (good, PART)];
    let with = |address| [(address, PART), (good, PART)];
    let registers = controller.base;
    let mut tried = 0;
    for (name, address, entries, length) in [
        ("outside-ram", list, with(OUTSIDE), 2 * PART),
        ("outside-ram-last", list, [(good, PART), (OUTSIDE, PART)], 2 * PART),
        ("own-registers", list, with(registers), 2 * PART),
        ("hole-behind-ram", list, with(ram_end + (16 << 20)), 2 * PART),
        ("across-the-end-of-ram", list, with(ram_end - u64::from(PART / 2)), 2 * PART),
        ("flash", list, with(FLASH), 2 * PART),
        ("wrap", list, with(u64::MAX - u64::from(PART / 2)), 2 * PART),
        ("zero-length", list, [(good, 0), (good, PART)], PART),
        ("sum-too-short", list, halves, 2 * PART + 4),
        ("no-length", list, halves, 0),
        ("over-64-mib", list, [(good, 1 << 26), (good, 4)], (1 << 26) + 4),
        ("table-outside-ram", OUTSIDE, halves, 2 * PART),
        ("table-in-own-registers", registers, halves, 2 * PART),
        ("table-at-the-top", !0x7F, halves, 2 * PART),
    ] {
        player.rewind(controller, song.seed)?;
        player.stream.list(controller, address, &entries, length);
        player.stream.run_alone(controller);
        let (runs, errors) = player.stream.state(controller);
        say!("refused case={name} runs={runs} errors={errors:#x}");
        expect("RUN", runs.into(), 0)?;
        expect("FIFOE and DESE", errors.into(), DESE.into())?;
        tried += 1;
        plays(controller, &mut player, song.seed + tried)?;
    }
    say!("tables tried={tried}");
    Ok(())
}

/// A good list plays, with a seed of its own.
fn plays(controller: &Controller, player: &mut Player, seed: u32) -> Step {
    player.stream.restore_list();
    player.rewind(controller, seed)?;
    player.start(controller)?;
    player.play_periods(1)?;
    player.stream.pause(controller)
}
