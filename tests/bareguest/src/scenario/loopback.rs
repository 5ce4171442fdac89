//! `loopback`: stream 0 plays, the first capture stream hears it, both by lockstep, as DATASHEET 9 says and
//! from nothing but the DATASHEET. Twice: at 0 dB, the recorder first, with a PAUSE; then with `volume` on
//! channel 0 and channel 1 muted, the player first, with a stall of the recorder. What was recorded goes to
//! port 0x404, take after take, and the host judges it; positions (5.2, 7.2), events and the jack (5.9) are
//! judged here. With `jack=1` the host pulls the plug of the capture stream when it is told to.

mod take;

use ringwave_regs::pages::status;
use ringwave_regs::{global, stream};

use super::{Guest, self_test};
use crate::card_stream::CardStream;
use crate::machine::cpu;
use crate::memory::{allocate, load8};
use crate::verdict::{Step, expect};
use crate::{say, wrong};
use take::Take;

/// Between two looks, in microseconds.
const POLL: usize = 100;
/// After so many looks the card hangs.
const PATIENCE: u32 = 20_000;
/// The plug is pulled by a process that the host starts.
const PATIENCE_FOR_THE_HOST: u32 = 30 * PATIENCE;
/// A host that is busy may let a stream stall; so often a take is repeated.
const TRIES: u32 = 6;

/// The scenario.
pub fn run(guest: &Guest<'_>) -> Step {
    let card = guest.card;
    expect("MAGIC", card.read(global::MAGIC).into(), global::MAGIC_VALUE.into())?;
    expect("major VERSION", (card.read(global::VERSION) >> 16).into(), global::VERSION_MAJOR.into())?;
    card.write(global::CONTROL, global::CONTROL_RESET);
    self_test::run(guest)?;
    // Scatter-gather, WRITTEN, position page, capture, volume, jack.
    expect("FEATURES", (card.read(global::FEATURES) & 0xF6).into(), 0xF6)?;
    let recorder = card.read(global::STREAMS) & 0xFF;
    let streams =
        [CardStream::new(guest, 0, take::RING_FRAMES)?, CardStream::new(guest, recorder, take::RING_FRAMES)?];
    expect("CAPS of the recorder", (streams[1].read(stream::CAPS) & 3).into(), 3)?;
    let into = allocate(&guest.firmware, take::RECORDED_BYTES, true)?;
    let seed = guest.song().seed;
    let take = |seed, late| {
        for _ in 0..TRIES {
            if Take::new(guest, &streams, seed, into, late).run(seed)? {
                (0..take::RECORDED_BYTES).for_each(|at| cpu::outb(0x404, load8(into + at)));
                return Ok(());
            }
        }
        Err(wrong!("this machine is too slow"))
    };
    take(seed, false)?;
    streams[0].set(stream::VOLUME_0, guest.config.number("volume", 0) as u32);
    streams[0].set(stream::MUTE, 1 << 1);
    take(seed + 1, true)?;
    jack(guest, &streams[1])
}

/// The flag, and with `jack=1` its event in STOP when the host pulls the plug.
fn jack(guest: &Guest<'_>, capture: &CardStream) -> Step {
    let unplugged = || capture.field(status::FLAGS) & status::FLAG_UNPLUGGED != 0;
    expect("UNPLUGGED", unplugged().into(), 0)?;
    let events = capture.field(status::EVENTS);
    say!("pull-the-plug");
    for _ in 0..PATIENCE_FOR_THE_HOST * u32::from(guest.config.number("jack", 0) != 0) {
        if unplugged() {
            capture.acknowledged()?;
            let events = capture.field(status::EVENTS).wrapping_sub(events);
            return expect("EVENTS of the jack", events.into(), 1);
        }
        guest.firmware.stall(POLL);
    }
    expect("a plug that is pulled", 0, guest.config.number("jack", 0))
}
