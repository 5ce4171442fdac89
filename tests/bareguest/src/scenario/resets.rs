//! `reboot` and `flr`: the function is reset while it plays. After it the card is as after power-on, and
//! plays.

use super::Guest;
use crate::machine::cpu;
use crate::player::{Player, Song};
use crate::say;
use crate::verdict::Step;

/// Noted in the clock chip's memory before the machine is reset.
const REBOOTED: u8 = 0xB1;
/// Packets that are played before the reset.
const BEFORE: u32 = 25;

/// The machine is reset while the stream is in RUN; this program comes back and plays to the end. The second
/// song has another rate, so that the card puts it into a file of its own.
pub fn reboot(guest: &Guest<'_>) -> Step {
    guest.card.expect_reset()?;
    if cpu::kept_byte() == REBOOTED {
        say!("back resets={}", guest.card.resets());
        return guest.play(second(guest.song()), guest.layout());
    }
    play_some(guest)?;
    cpu::keep_byte(REBOOTED);
    say!("rebooting resets={}", guest.card.resets());
    cpu::reset_machine()
}

/// A function-level reset while the stream is in RUN.
pub fn function_level_reset(guest: &Guest<'_>) -> Step {
    guest.card.expect_reset()?;
    play_some(guest)?;
    let resets = guest.card.resets();
    guest.card.function_level_reset(&guest.firmware)?;
    guest.card.expect_reset()?;
    say!("reset resets={} before={resets}", guest.card.resets());
    guest.play(second(guest.song()), guest.layout())
}

/// Plays a song without an end for a while and leaves it in RUN.
fn play_some(guest: &Guest<'_>) -> Step {
    let song = Song { frames: u64::MAX, ..guest.song() };
    let buffer = guest.buffer(song, guest.layout())?;
    let mut player = Player::prepare(guest, &buffer, song)?;
    player.start()?;
    player.play_packets(BEFORE)
}

/// The song after the reset.
fn second(song: Song) -> Song {
    Song { seed: song.seed.wrapping_add(1), rate: 44_100, ..song }
}
