//! `cycles`: starts and stops the stream again and again (`cycles=N`), in both DMA modes, sometimes with a
//! pause in between, sometimes by a function-level reset, and sees each time that everything is back at its
//! beginning. The host watches the card's process meanwhile.

use ringwave_regs::pages::status;
use ringwave_regs::stream;

use super::Guest;
use crate::memory::Layout;
use crate::player::{Player, Song};
use crate::say;
use crate::verdict::{Step, expect};

/// One cycle of so many has a pause.
const PAUSE_EVERY: u64 = 7;
/// One cycle of so many ends by a function-level reset.
const RESET_EVERY: u64 = 50;
/// One cycle of so many is told to the host, which looks at the card's process then.
const REPORT_EVERY: u64 = 100;
/// Time for the host to look at the card's process at the end, in microseconds.
const FOR_THE_HOST: usize = 2_000_000;

/// The scenario.
pub fn run(guest: &Guest<'_>) -> Step {
    let cycles = guest.config.number("cycles", 1_000);
    let usual = guest.song();
    let buffers = [guest.buffer(usual, Layout::ScatterGather)?, guest.buffer(usual, Layout::Contiguous)?];
    for cycle in 1..=cycles {
        let song = Song { seed: cycle as u32, frames: u64::MAX, ..usual };
        let [scattered, contiguous] = &buffers;
        let buffer = if cycle.is_multiple_of(2) { scattered } else { contiguous };
        let mut player = Player::prepare(guest, buffer, song)?;
        guest.card.expect_at_the_beginning()?;
        player.start()?;
        player.play_packets(1)?;
        if cycle.is_multiple_of(PAUSE_EVERY) {
            pause(guest)?;
            let count = guest.card.status(status::PACKET_COUNT);
            player.play_packets(count + 1)?;
        }
        if cycle.is_multiple_of(RESET_EVERY) {
            guest.card.function_level_reset(&guest.firmware)?;
            guest.card.expect_reset()?;
        } else {
            player.stop()?;
        }
        if cycle.is_multiple_of(REPORT_EVERY) {
            say!("cycle n={cycle}");
        }
    }
    say!("cycles done={cycles}");
    guest.firmware.stall(FOR_THE_HOST);
    Ok(())
}

/// PAUSE freezes the position, RUN goes on from there.
fn pause(guest: &Guest<'_>) -> Step {
    let card = guest.card;
    card.go(stream::STATE_PAUSE)?;
    let position = card.position();
    guest.firmware.stall(500);
    expect("POSITION in PAUSE", card.position(), position)?;
    expect("ANCHOR_FRAME in PAUSE", card.status64(status::ANCHOR_FRAME), position)?;
    card.go(stream::STATE_RUN)
}
