//! `hda`: a HD Audio card, by a driver that knows the specification and not the card. `interrupts=intx` or
//! `msi`, `rate`, `bits`, `channels` (of what is played; two are recorded), `frames`, `seed`, and
//! `layout=odd` for buffers as drivers make them and the specification does not have them. Plays and records
//! at once; in the middle the player pauses. What was recorded goes to port 0x404 and the host judges it;
//! positions, counts, answers and states are judged here. When it says `pull-the-plug` the host pulls that of
//! the headphones.

use crate::config::Config;
use crate::hda::codec::Codec;
use crate::hda::controller::Controller;
use crate::hda::service;
use crate::hda::stream::{Format, Layout, Stream};
use crate::machine::cpu;
use crate::machine::interrupts::{self, Kind};
use crate::machine::uefi::Firmware;
use crate::memory::{allocate, load8};
use crate::pattern::Pattern;
use crate::verdict::{Step, expect};
use crate::{say, wrong};

/// Periods of a buffer.
const PERIODS: u32 = 6;
/// Periods that are recorded.
const RECORDED: u32 = 5;
/// Milliseconds that a period takes at most: on a busy host, at a quarter of the speed.
const PATIENCE: u32 = 10_000;
/// Tags of the two streams.
const PLAYS: u32 = 5;
const RECORDS: u32 = 3;
/// What an unsolicited response is to carry.
const JACK_TAG: u32 = 0x2A;

/// The scenario.
pub fn run(firmware: Firmware, config: Config<'_>) -> Step {
    let kind = if config.get("interrupts") == Some("msi") { Kind::Message } else { Kind::Line };
    let mut controller = Controller::find(firmware)?;
    let controller = &mut controller;
    let codecs = controller.reset()?;
    clock_runs(controller, config.number("clock_hz", 24_000_000))?;
    interrupts::take(&firmware, controller.function, kind, service::service)?;
    let address = codecs.trailing_zeros();
    expect("a codec is there", (codecs == 0).into(), 0)?;
    let vendor = controller.immediate(address << 28 | 0xF_0000)?;
    controller.start_rings()?;
    let codec = Codec::walk(controller, address)?;
    expect("the vendor, asked immediately", vendor.into(), controller.command(codec.vendor_word())?.into())?;
    codec.expect_answers(controller)?;
    codec.expect_batches(controller)?;
    codec.reset(controller)?;
    codec.power_cycle(controller)?;
    sound(controller, &codec, config)?;
    jack(controller, &codec)?;
    controller.expect_all_answered()?;
    controller.stop_rings()?;
    let (taken, empty) = service::interrupts();
    let spurious = interrupts::spurious();
    say!("interrupts kind={kind:?} taken={taken} empty={empty} spurious={spurious}");
    Ok(())
}

/// WALCLK goes at its rate: at least that, for a wait may be longer.
fn clock_runs(controller: &Controller, hz: u64) -> Step {
    const MICROS: u64 = 50_000;
    let from = controller.clock();
    controller.firmware.stall(MICROS as usize);
    let passed = u64::from(controller.clock().wrapping_sub(from));
    let wanted = hz * MICROS / 1_000_000;
    say!("clock passed={passed} wanted={wanted}");
    if passed < wanted * 9 / 10 || passed > wanted * 20 {
        return Err(wrong!("WALCLK: {passed} in {MICROS} us, not {wanted}"));
    }
    Ok(())
}

/// Plays and records.
fn sound(controller: &mut Controller, codec: &Codec, config: Config<'_>) -> Step {
    let number = |key, default| config.number(key, default) as u32;
    let (paths, pins) = codec.outputs();
    let plays =
        Format { rate: number("rate", 48_000), bits: number("bits", 16), channels: number("channels", 2) };
    let records = Format { channels: 2, ..plays };
    expect("pins of the output", pins as u64, u64::from(plays.channels / 2))?;
    for (channel, path) in (0..).step_by(2).zip(&paths[..pins]) {
        codec.open(controller, path, plays.word(), (PLAYS, channel))?;
    }
    codec.open(controller, &codec.input()?, records.word(), (RECORDS, 0))?;

    let odd = config.get("layout") == Some("odd");
    let layout = if odd { Layout::Odd } else { Layout::Aligned };
    let period = number("period_frames", 3072);
    let last = controller.inputs() + controller.outputs() - 1;
    let mut player = Stream::new(controller, (last, PLAYS), plays, (PERIODS, period), layout)?;
    let mut recorder = Stream::new(controller, (0, RECORDS), records, (PERIODS, period), layout)?;
    let period_bytes = period * records.frame_bytes();
    let into = allocate(&controller.firmware, u64::from(RECORDED * period_bytes), false)?;
    controller.enable_positions();
    for stream in [&mut player, &mut recorder] {
        stream.reset(controller)?;
        stream.prepare(controller)?;
    }
    let mut song = Pattern::new(number("seed", 1));
    let mut frames = number("frames", 20_000);
    let periods = frames.div_ceil(period);
    (0..PERIODS).for_each(|at| player.fill(at, &mut song, &mut frames));
    let place = usize::from(odd);
    Stream::start(controller, &mut [&mut player, &mut recorder], place)?;
    for done in 1..=periods + 1 {
        player.wait_periods(controller, &mut recorder, done, PATIENCE)?;
        if done == 2 {
            player.pause(controller)?;
            Stream::start(controller, &mut [&mut player], place)?;
        }
        player.fill(done - 1 + PERIODS, &mut song, &mut frames);
        if done <= RECORDED {
            recorder.wait_periods(controller, &mut player, done, PATIENCE)?;
            recorder.take(done - 1, into + u64::from((done - 1) * period_bytes));
        }
    }
    for stream in [&mut player, &mut recorder] {
        stream.pause(controller)?;
        stream.expect_interrupts(controller)?;
        stream.reset(controller)?;
    }
    let bytes = u64::from(RECORDED * period_bytes);
    (0..bytes).for_each(|at| cpu::outb(0x404, load8(into + at)));
    say!("took played={} recorded={bytes}", number("frames", 20_000));
    Ok(())
}

/// The host pulls a plug.
fn jack(controller: &mut Controller, codec: &Codec) -> Step {
    let pin = codec.headphones()?;
    expect("plugged", codec.plugged(controller, pin)?.into(), 1)?;
    codec.listen(controller, pin, JACK_TAG)?;
    say!("pull-the-plug pin={pin}");
    let Some(response) = controller.unsolicited(PATIENCE) else {
        return Err(wrong!("no unsolicited response"));
    };
    expect("tag of the unsolicited response", (response >> 26).into(), JACK_TAG.into())?;
    expect("plugged, after the plug was pulled", codec.plugged(controller, pin)?.into(), 0)
}
