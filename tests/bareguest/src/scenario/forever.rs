//! `forever`: plays without an end until the host kills the machine, or the card. If it was the card: what is
//! left of it, seen from here.

use ringwave_regs::pages::{PAGE_BYTES, STATUS_BASE, clock, status};
use ringwave_regs::{global, stream};

use super::Guest;
use crate::player::{Player, Song};
use crate::verdict::{Step, expect};
use crate::{say, wrong};

const ALL_ONES: u32 = u32::MAX;
/// After so many packets nobody will come any more.
const PACKETS_MAX: u32 = 20_000;
/// A card whose clock page stands still for so many looks, about half a second, is asked whether it is there:
/// the page is renewed at every end of a piece, at least every 10 ms. `still=` asks for more looks, where
/// somebody stands still and comes back.
const STILL: u64 = 5_000;
/// So often it may stand still: a busy host lets it.
const STOOD_MAX: u32 = 100;
/// Time for a card that ends to be gone, in microseconds.
const SETTLED: usize = 500_000;

/// The scenario. `told_after`: packets after which the host is told that it plays, right after a packet was
/// written. `poll=1`: reads a register all the time.
///
/// QEMU 11.1 aborts (`error_setv: Assertion '*errp == NULL' failed`) when the card's socket closes with a
/// message in it that was not read: twelve times of seventeen when this guest polled and the card was killed.
/// So it looks at pages unless it is told to poll, and the host takes long packets and kills right after it
/// was told.
pub fn run(guest: &Guest<'_>) -> Step {
    let song = Song { frames: u64::MAX, ..guest.song() };
    let poll = guest.config.number("poll", 0) != 0;
    let patience = guest.config.number("still", STILL);
    let told_after = guest.config.number("told_after", 100) as u32;
    let buffer = guest.buffer(song, guest.layout())?;
    let mut player = Player::prepare(guest, &buffer, song)?;
    player.start()?;
    let (mut last_count, mut last_clock, mut still, mut stood) = (0, 0, 0, 0);
    loop {
        let count = player.tend()?;
        if last_count < told_after && count >= told_after {
            say!("playing packets={count}");
        }
        last_count = count;
        let clock = guest.card.pages.read64(clock::CLOCK);
        still = if clock == last_clock { still + 1 } else { 0 };
        last_clock = clock;
        if (still > patience || poll) && guest.card.read(global::MAGIC) == ALL_ONES {
            return without_card(guest);
        }
        if still > patience {
            // The host let the card stand for a while: it answers.
            (still, stood) = (0, stood + 1);
            if stood > STOOD_MAX {
                return Err(wrong!("the clock page stands still, and the card answers"));
            }
        }
        if count > PACKETS_MAX {
            return Err(wrong!("nobody was killed"));
        }
    }
}

/// The card's process is gone.
fn without_card(guest: &Guest<'_>) -> Step {
    let card = guest.card;
    // A card that was ended in order may still be about its last writes.
    guest.firmware.stall(SETTLED);
    let globals = global::REGISTERS.iter().map(|register| card.read(register.offset));
    let streams = stream::REGISTERS.iter().map(|register| card.stream(register.offset));
    let others = globals.chain(streams).filter(|&value| value != ALL_ONES).count();
    let snapshot =
        || (card.status(status::SEQ), card.status64(status::ANCHOR_CLOCK), card.pages.read64(clock::CLOCK));
    let (before, count) = (snapshot(), card.status(status::PACKET_COUNT));
    guest.firmware.stall(300_000);
    let frozen = snapshot() == before;
    let state = card.status(status::STATE);
    say!(
        "gone other_than_ones={others} frozen={frozen} page_state={state} packets={count} config={:#x}",
        card.function.read32(0)
    );
    // Stores must be lost, not deadly: to a register, to a page, to configuration space.
    card.set_stream(stream::STATE, stream::STATE_STOP);
    card.pages.write32(STATUS_BASE + PAGE_BYTES - 4, 0x1234_5678);
    let kept = card.pages.read32(STATUS_BASE + PAGE_BYTES - 4) == 0x1234_5678;
    card.function.enable(false);
    card.function.enable(true);
    guest.firmware.stall(100_000);
    say!("alive page_store_kept={kept}");
    expect("registers that are not all ones", others as u64, 0)?;
    expect("a frozen page", u64::from(frozen), 1)
}
