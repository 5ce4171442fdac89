//! `reboot` and `flr`: the function is reset while it plays; after it the card is as after power-on, and
//! plays. `cycles`: starts and stops again and again (`cycles=N`), sometimes with a pause in between,
//! sometimes by a function-level reset; the host watches the card's process meanwhile.

use super::{Card, Guest};
use crate::hda::player::{Player, Song};
use crate::machine::cpu;
use crate::say;
use crate::verdict::{Step, expect};

/// Noted in the clock chip's memory before the machine is reset.
const REBOOTED: u8 = 0xB1;
/// Periods that are played before the reset.
const BEFORE: u32 = 12;
/// One cycle of so many has a pause, one ends by a function-level reset, one is told to the host.
const PAUSE_EVERY: u64 = 7;
const RESET_EVERY: u64 = 50;
const REPORT_EVERY: u64 = 100;
/// Time for the host to look at the card's process at the end, in microseconds.
const FOR_THE_HOST: usize = 2_000_000;

/// The machine is reset while the stream runs; this program comes back and plays to the end. The second song
/// has another rate, so that the card puts it into a file of its own.
pub fn reboot(guest: &Guest<'_>) -> Step {
    if cpu::kept_byte() == REBOOTED {
        say!("back");
        return guest.card()?.play(second(guest.song()));
    }
    play_some(guest)?;
    cpu::keep_byte(REBOOTED);
    say!("rebooting");
    cpu::reset_machine()
}

/// A function-level reset while the stream runs.
pub fn function_level_reset(guest: &Guest<'_>) -> Step {
    let card = play_some(guest)?;
    card.controller.function_level_reset()?;
    card.controller.expect_fresh()?;
    say!("function-reset");
    guest.card()?.play(second(guest.song()))
}

/// Plays a song without an end for a while and leaves it running.
fn play_some(guest: &Guest<'_>) -> Step<Card> {
    let mut card = guest.card()?;
    let mut player = card.player(guest.endless())?;
    player.start(&card.controller)?;
    player.play_periods(BEFORE)?;
    Ok(card)
}

/// The song after the reset.
fn second(song: Song) -> Song {
    Song { seed: song.seed.wrapping_add(1), rate: 44_100, ..song }
}

/// Starts and stops.
pub fn cycles(guest: &Guest<'_>) -> Step {
    let cycles = guest.config.number("cycles", 1_000);
    let mut card = guest.card()?;
    let mut player = card.player(guest.endless())?;
    for cycle in 1..=cycles {
        player.rewind(&card.controller, cycle as u32)?;
        one_cycle(&card, &mut player, cycle.is_multiple_of(PAUSE_EVERY))?;
        if cycle.is_multiple_of(RESET_EVERY) {
            card.controller.function_level_reset()?;
            card = guest.card()?;
            player = card.player(guest.endless())?;
        }
        if cycle.is_multiple_of(REPORT_EVERY) {
            say!("cycle n={cycle}");
        }
    }
    say!("cycles done={cycles}");
    guest.firmware.stall(FOR_THE_HOST);
    Ok(())
}

fn one_cycle(card: &Card, player: &mut Player, pauses: bool) -> Step {
    expect("LPIB at the beginning", player.stream.position(&card.controller).into(), 0)?;
    player.start(&card.controller)?;
    player.play_periods(1)?;
    if pauses {
        player.stream.pause(&card.controller)?;
        let done = player.stream.periods_done();
        player.start(&card.controller)?;
        player.play_periods(done + 1)?;
    }
    player.stream.pause(&card.controller)
}
