//! Volume and mute: what the registers take and keep, and that a muted capture stream stores silence.
//! DATASHEET 5.8.

use ringwave_regs::error::Error;
use ringwave_regs::{format, global, stream};

use crate::bringup::{Bringup, PATIENCE, StepResult};
use crate::stream::{Mode, Stream};

/// What stands in a cyclic buffer before anything is captured: no sample that is likely.
const MARK: u32 = 0xA5C3_3C5A;

/// The step.
pub fn run(bringup: &mut Bringup<'_>) -> StepResult {
    let there = bringup.get(global::FEATURES)? & global::FEATURE_VOLUME != 0;
    for its in bringup.streams()? {
        if !there {
            for (name, register) in [("MUTE", stream::MUTE), ("VOLUME_0", stream::VOLUME_0)] {
                bringup.stream_set(&its, register, 0)?;
                let error = bringup.take_stream_error(&its)?;
                bringup.error(its.name(name), Some(Error::NotSupported), error);
            }
            bringup.skip(its.name("volumes"), "FEATURES has no VOLUME");
            continue;
        }
        range(bringup, &its)?;
        kept(bringup, &its)?;
        if its.captures() {
            muted(bringup, &its)?;
        }
        silence(bringup, &its, 0)?;
    }
    Ok(())
}

/// Offset in the block of a channel's volume.
fn volume(channel: u32) -> u32 {
    stream::volume(channel).unwrap_or(stream::VOLUME_0)
}

/// Sets MUTE, and every volume to 0 dB.
fn silence(bringup: &mut Bringup<'_>, its: &Stream, mute: u32) -> StepResult {
    for channel in 0..format::CHANNELS_MAX {
        bringup.stream_set(its, volume(channel), 0)?;
    }
    bringup.stream_set(its, stream::MUTE, mute)
}

/// The ends of the range are taken, what is beyond them is not.
fn range(bringup: &mut Bringup<'_>, its: &Stream) -> StepResult {
    let lowest = stream::VOLUME_MIN;
    let decibels = |volume: i32| format!("{:.4} dB", f64::from(volume) / f64::from(stream::VOLUME_UNITS));
    let mut wrong = Vec::new();
    for channel in 0..format::CHANNELS_MAX {
        for (value, taken) in [
            (0, true),
            (lowest, true),
            (-1, true),
            (lowest - 1, false),
            (1, false),
            (i32::MAX, false),
            (i32::MIN, false),
        ] {
            let before = bringup.stream_get(its, volume(channel))?;
            bringup.stream_set(its, volume(channel), value.cast_unsigned())?;
            let code = bringup.take_stream_error(its)?;
            let after = bringup.stream_get(its, volume(channel))?;
            let refused = code == Error::BadVolume.code() && after == before;
            let right = if taken { code == 0 && after == value.cast_unsigned() } else { refused };
            if !right {
                wrong.push(format!("{channel}: {}", decibels(value)));
            }
        }
    }
    let seen = if wrong.is_empty() { "all of them".to_owned() } else { wrong.join(", ") };
    bringup
        .check(its.name("volumes from -96 to 0 dB, BAD_VOLUME beyond"), wrong.is_empty(), "all of them", seen)
        .means("a volume is signed, in 1/65536 dB; a refused one leaves the register as it was");
    bringup.stream_set(its, stream::MUTE, u32::MAX)?;
    let mute = bringup.stream_get(its, stream::MUTE)?;
    bringup.value(its.name("MUTE: reserved bits read 0"), stream::MUTE_CHANNELS, mute);
    Ok(())
}

/// Written in RUN, and still there after STOP.
fn kept(bringup: &mut Bringup<'_>, its: &Stream) -> StepResult {
    let mode = Mode::announced(bringup)?.first().copied().unwrap_or(Mode::Contiguous);
    bringup.configure(its, &its.usual(mode))?;
    bringup.step_to(its, stream::STATE_RUN)?;
    let written = |channel: u32| (stream::VOLUME_MIN / 2).wrapping_add_unsigned(channel).cast_unsigned();
    for channel in 0..format::CHANNELS_MAX {
        bringup.stream_set(its, volume(channel), written(channel))?;
    }
    bringup.stream_set(its, stream::MUTE, 0b0101_0010)?;
    let error = bringup.take_stream_error(its)?;
    bringup.error(its.name("written in RUN"), None, error);
    bringup.state(its, stream::STATE_STOP)?;
    let mute = bringup.stream_get(its, stream::MUTE)?;
    bringup.value(its.name("MUTE is kept over STOP"), 0b0101_0010, mute);
    let mut lost = Vec::new();
    for channel in 0..format::CHANNELS_MAX {
        let seen = bringup.stream_get(its, volume(channel))?;
        if seen != written(channel) {
            lost.push(format!("{channel}: {seen:#x}"));
        }
    }
    let seen = if lost.is_empty() { "all of them".to_owned() } else { lost.join(", ") };
    bringup.check(its.name("volumes are kept over STOP"), lost.is_empty(), "all of them", seen);
    Ok(())
}

/// A muted capture stream stores zeroes, whatever its source has.
fn muted(bringup: &mut Bringup<'_>, its: &Stream) -> StepResult {
    let mode = Mode::announced(bringup)?.first().copied().unwrap_or(Mode::Contiguous);
    let setup = its.usual(mode);
    bringup.configure(its, &setup)?;
    bringup.mark_ring(&setup, MARK);
    silence(bringup, its, stream::MUTE_CHANNELS)?;
    bringup.step_to(its, stream::STATE_RUN)?;
    let limit = setup.time(u64::from(setup.packet_frames) * u64::from(setup.packets)) + PATIENCE;
    let (page, whole) = bringup.wait_status(its, limit, |page| page.packet_count >= setup.packets)?;
    bringup.state(its, stream::STATE_STOP)?;
    let sound = bringup.ring_words(&setup).filter(|word| *word != 0).count();
    let seen = format!("{} packets, {sound} words that are not 0", page.packet_count);
    let expected = format!("{} packets or more, silence", setup.packets);
    bringup
        .check(its.name("muted: what is stored"), whole && sound == 0, expected, seen)
        .means("MUTE stands between the host and the cyclic buffer");
    Ok(())
}
