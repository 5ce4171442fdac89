//! `forever`: plays without an end until the host kills the machine, or the card; then what is left of it,
//! seen from here. `told_after`: periods after which the host is told. `poll=1`: reads a register all the
//! time. `heard_after`: so many periods more, and it ends by itself.

use super::{Card, Guest};
use crate::hda::controller::{GCTL, INTCTL, INTSTS, WALCLK, descriptor};
use crate::hda::player::Player;
use crate::memory::load32;
use crate::verdict::{Step, expect};
use crate::{say, wrong};

const ALL_ONES: u32 = u32::MAX;
/// After so many periods nobody will come any more.
const PERIODS_MAX: u32 = 2_000;
/// Milliseconds without an interrupt after which a register is read, to see whether the card is there.
const STILL: u32 = 3_000;
/// Time for a card that ends to be gone, in microseconds.
const SETTLED: usize = 500_000;

/// The scenario.
pub fn forever(guest: &Guest<'_>) -> Step {
    let poll = guest.config.number("poll", 0) != 0;
    let told_after = guest.config.number("told_after", 8) as u32;
    let until = told_after.saturating_add(guest.config.number("heard_after", PERIODS_MAX.into()) as u32);
    let mut card = guest.card()?;
    let mut player = card.player(guest.endless())?;
    player.start(&card.controller)?;
    let mut done = 0;
    while done < until {
        let before = done;
        done = player.tend(before, if poll { 0 } else { STILL });
        if before < told_after && done >= told_after {
            say!("playing periods={done}");
        }
        if (poll || done == before) && card.controller.bar.read32(GCTL) == ALL_ONES {
            return without_card(&card, &player);
        }
    }
    if until >= PERIODS_MAX {
        return Err(wrong!("nobody was killed"));
    }
    say!("went-on errors={} position={}", player.stream.errors(), player.stream.position(&card.controller));
    player.stream.pause(&card.controller)
}

/// The card's process is gone.
fn without_card(card: &Card, player: &Player) -> Step {
    let (controller, index) = (&card.controller, player.stream.index);
    // A card that was ended in order may still be about its last writes.
    controller.firmware.stall(SETTLED);
    let registers = [0, GCTL, INTCTL, INTSTS, WALCLK, descriptor(index), descriptor(index) + 4];
    let others = registers.iter().filter(|at| controller.bar.read32(**at) != ALL_ONES).count();
    let place = controller.positions + 8 * index as u64;
    let before = load32(place);
    controller.firmware.stall(300_000);
    let frozen = load32(place) == before;
    say!("gone other_than_ones={others} frozen={frozen} config={:#x}", controller.function.read32(0));
    // Stores must be lost, not deadly: to a register, to configuration space.
    controller.bar.write32(GCTL, 0);
    controller.function.enable(false);
    controller.function.enable(true);
    controller.firmware.stall(100_000);
    say!("alive");
    expect("registers that are not all ones", others as u64, 0)?;
    expect("a frozen position buffer", u64::from(frozen), 1)
}
