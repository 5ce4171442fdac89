//! `d3hot` and `bus-master`: the function loses its power, or its way to memory, while it plays, and gets it
//! back. HDA.md 1 and 3.

use super::Guest;
use crate::hda::controller::GCTL;
use crate::machine::interrupts::Kind;
use crate::machine::pci;
use crate::verdict::{Step, expect};
use crate::{say, wrong};

/// Power management capability: offset of control and status.
const PMCSR: u8 = 0x04;
const D0: u16 = 0;
const D3HOT: u16 = 3;
/// From D3hot to D0 software waits 10 ms (PCI Power Management 1.2, 5.6.1), in microseconds.
const AFTER_D3HOT: usize = 10_000;
/// How long it sleeps, in microseconds.
const ASLEEP: usize = 200_000;

/// D3hot while it runs: the stream stands still meanwhile, and goes on by itself.
pub fn d3hot(guest: &Guest<'_>) -> Step {
    let mut card = guest.card()?;
    let mut player = card.player(guest.song())?;
    let controller = &card.controller;
    let function = controller.function;
    let Some(power) = function.capability(pci::POWER_MANAGEMENT) else {
        return Err(wrong!("no power management capability"));
    };
    player.start(controller)?;
    player.play_periods(3)?;
    let before = player.stream.position(controller);
    function.write16(power + PMCSR, D3HOT);
    controller.firmware.stall(AFTER_D3HOT);
    let gctl = controller.bar.read32(GCTL);
    // Lost.
    controller.bar.write32(GCTL, 0);
    let interrupts = player.stream.periods_done();
    controller.firmware.stall(ASLEEP);
    let meanwhile = player.stream.periods_done() - interrupts;
    function.write16(power + PMCSR, D0);
    controller.firmware.stall(AFTER_D3HOT);
    let after = player.stream.position(controller);
    player.stream.resume(controller)?;
    say!("d3hot gctl={gctl:#x} before={before} after={after} interrupts={meanwhile}");
    if gctl & 1 != 0 && gctl != u32::MAX {
        return Err(wrong!("registers can be read in D3hot"));
    }
    expect("interrupts in D3hot", meanwhile.into(), 0)?;
    player.finish(controller)
}

/// Bus Master Enable off while it runs: time goes on and silence is played, which FIFOE says; on again, sound
/// goes on. By the line: a message would need the way to memory.
pub fn bus_master_off(guest: &Guest<'_>) -> Step {
    expect("by the line", (guest.kind() == Kind::Line).into(), 1)?;
    let mut card = guest.card()?;
    let mut player = card.player(guest.song())?;
    let controller = &card.controller;
    player.start(controller)?;
    player.play_periods(3)?;
    expect("FIFO errors before", player.stream.errors().into(), 0)?;
    controller.function.enable(false);
    player.play_periods(player.stream.periods_done() + 3)?;
    controller.function.enable(true);
    let errors = player.stream.errors();
    say!("bus-master errors={errors}");
    if errors == 0 {
        return Err(wrong!("no FIFO error"));
    }
    player.finish(controller)
}
