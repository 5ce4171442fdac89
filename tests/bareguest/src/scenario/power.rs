//! `d3hot` and `bus-master`: the function loses its power, or its way to memory, while it plays, and gets it
//! back.

use ringwave_regs::error::Error;
use ringwave_regs::pages::status;
use ringwave_regs::{global, stream};

use super::Guest;
use crate::machine::pci;
use crate::player::Player;
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

/// D3hot while in RUN: after it the stream is in PAUSE where it was, and RUN goes on as if nothing had been.
///
/// What registers read in D3hot is only told: the card answers with all ones, but QEMU 11.1 takes the BARs of
/// a function in D3hot out of the address space, so that not even pages can be read and everything is 0.
pub fn d3hot(guest: &Guest<'_>) -> Step {
    let card = guest.card;
    let Some(power) = card.function.capability(pci::POWER_MANAGEMENT) else {
        return Err(wrong!("no power management capability"));
    };
    let song = guest.song();
    let buffer = guest.buffer(song, guest.layout())?;
    let mut player = Player::prepare(guest, &buffer, song)?;
    player.start()?;
    player.play_packets(3)?;
    let before = card.position();
    card.function.write16(power + PMCSR, D3HOT);
    guest.firmware.stall(AFTER_D3HOT);
    let (magic, seq) = (card.read(global::MAGIC), card.status(status::SEQ));
    // Lost, as the DATASHEET says.
    card.set_stream(stream::STATE, stream::STATE_STOP);
    guest.firmware.stall(ASLEEP);
    card.function.write16(power + PMCSR, D0);
    guest.firmware.stall(AFTER_D3HOT);
    let (state, after) = (card.stream(stream::STATE), card.position());
    say!("d3hot magic={magic:#x} page_seq={seq} before={before} after={after} state_after={state}");
    expect("STATE after D3hot", u64::from(state), u64::from(stream::STATE_PAUSE))?;
    expect("ANCHOR_FRAME after D3hot", card.status64(status::ANCHOR_FRAME), after)?;
    if magic == global::MAGIC_VALUE {
        return Err(wrong!("registers can be read in D3hot"));
    }
    if after < before {
        return Err(wrong!("the position went from {before} to {after} in D3hot"));
    }
    card.go(stream::STATE_RUN)?;
    player.finish()
}

/// Bus Master Enable off while in RUN: time goes on, silence is played and counted, ERROR says why; on again,
/// sound goes on.
pub fn bus_master_off(guest: &Guest<'_>) -> Step {
    let card = guest.card;
    let song = guest.song();
    let buffer = guest.buffer(song, guest.layout())?;
    let mut player = Player::prepare(guest, &buffer, song)?;
    player.start()?;
    player.play_packets(3)?;
    card.function.enable(false);
    let count = card.status(status::PACKET_COUNT);
    player.play_packets(count + 3)?;
    let (faults, error) = (card.status(status::DMA_FAULTS), card.stream(stream::ERROR));
    card.set_stream(stream::ERROR, 0);
    card.function.enable(true);
    // A piece that failed may be noted after ERROR was cleared: look again when sound flows.
    player.play_packets(count + 6)?;
    card.set_stream(stream::ERROR, 0);
    let silence = card.status64(status::SILENCE_FRAMES);
    say!("bus-master faults={faults} error={error} silence={silence}");
    expect("ERROR", u64::from(error), u64::from(Error::BusMasterOff.code()))?;
    if faults == 0 || silence == 0 {
        return Err(wrong!("nothing was counted"));
    }
    player.finish()
}
