//! Volume and mute: what the registers take and keep, and that a muted capture stream stores silence. DATASHEET 5.8.

use ringwave_regs::error::Error;
use ringwave_regs::{format, global, stream};

use crate::stream::{Mode, Stream};
use crate::walk::{PATIENCE, Stepped, Walk};

/// What stands in a cyclic buffer before anything is captured: no sample that is likely.
const MARK: u32 = 0xA5C3_3C5A;

/// The step.
pub fn run(walk: &mut Walk<'_>) -> Stepped {
    let there = walk.get(global::FEATURES)? & global::FEATURE_VOLUME != 0;
    for its in walk.streams()? {
        if !there {
            for (name, register) in [("MUTE", stream::MUTE), ("VOLUME_0", stream::VOLUME_0)] {
                walk.stream_set(&its, register, 0)?;
                let error = walk.take_stream_error(&its)?;
                walk.error(its.name(name), Some(Error::NotSupported), error);
            }
            walk.skip(its.name("volumes"), "FEATURES has no VOLUME");
            continue;
        }
        range(walk, &its)?;
        kept(walk, &its)?;
        if its.captures() {
            muted(walk, &its)?;
        }
        silence(walk, &its, 0)?;
    }
    Ok(())
}

/// Offset in the block of a channel's volume.
fn volume(channel: u32) -> u32 {
    stream::volume(channel).unwrap_or(stream::VOLUME_0)
}

/// Sets MUTE, and every volume to 0 dB.
fn silence(walk: &mut Walk<'_>, its: &Stream, mute: u32) -> Stepped {
    for channel in 0..format::CHANNELS_MAX {
        walk.stream_set(its, volume(channel), 0)?;
    }
    walk.stream_set(its, stream::MUTE, mute)
}

/// The ends of the range are taken, what is beyond them is not.
fn range(walk: &mut Walk<'_>, its: &Stream) -> Stepped {
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
            let before = walk.stream_get(its, volume(channel))?;
            walk.stream_set(its, volume(channel), value.cast_unsigned())?;
            let code = walk.take_stream_error(its)?;
            let after = walk.stream_get(its, volume(channel))?;
            let refused = code == Error::BadVolume.code() && after == before;
            let right = if taken { code == 0 && after == value.cast_unsigned() } else { refused };
            if !right {
                wrong.push(format!("{channel}: {}", decibels(value)));
            }
        }
    }
    let seen = if wrong.is_empty() { "all of them".to_owned() } else { wrong.join(", ") };
    walk.check(
        its.name("volumes from -96 to 0 dB, BAD_VOLUME beyond"),
        wrong.is_empty(),
        "all of them",
        seen,
    )
    .means("a volume is signed, in 1/65536 dB; a refused one leaves the register as it was");
    walk.stream_set(its, stream::MUTE, u32::MAX)?;
    let mute = walk.stream_get(its, stream::MUTE)?;
    walk.value(its.name("MUTE: reserved bits read 0"), stream::MUTE_CHANNELS, mute);
    Ok(())
}

/// Written in RUN, and still there after STOP.
fn kept(walk: &mut Walk<'_>, its: &Stream) -> Stepped {
    let mode = Mode::announced(walk)?.first().copied().unwrap_or(Mode::Contiguous);
    walk.configure(its, &its.usual(mode))?;
    walk.reach(its, stream::STATE_RUN)?;
    let written = |channel: u32| (stream::VOLUME_MIN / 2).wrapping_add_unsigned(channel).cast_unsigned();
    for channel in 0..format::CHANNELS_MAX {
        walk.stream_set(its, volume(channel), written(channel))?;
    }
    walk.stream_set(its, stream::MUTE, 0b0101_0010)?;
    let error = walk.take_stream_error(its)?;
    walk.error(its.name("written in RUN"), None, error);
    walk.state(its, stream::STATE_STOP)?;
    let mute = walk.stream_get(its, stream::MUTE)?;
    walk.value(its.name("MUTE is kept over STOP"), 0b0101_0010, mute);
    let mut lost = Vec::new();
    for channel in 0..format::CHANNELS_MAX {
        let seen = walk.stream_get(its, volume(channel))?;
        if seen != written(channel) {
            lost.push(format!("{channel}: {seen:#x}"));
        }
    }
    let seen = if lost.is_empty() { "all of them".to_owned() } else { lost.join(", ") };
    walk.check(its.name("volumes are kept over STOP"), lost.is_empty(), "all of them", seen);
    Ok(())
}

/// A muted capture stream stores zeroes, whatever its source has.
fn muted(walk: &mut Walk<'_>, its: &Stream) -> Stepped {
    let mode = Mode::announced(walk)?.first().copied().unwrap_or(Mode::Contiguous);
    let setup = its.usual(mode);
    walk.configure(its, &setup)?;
    walk.mark_ring(&setup, MARK);
    silence(walk, its, stream::MUTE_CHANNELS)?;
    walk.reach(its, stream::STATE_RUN)?;
    let limit = setup.time(u64::from(setup.packet_frames) * u64::from(setup.packets)) + PATIENCE;
    let (page, whole) = walk.wait_status(its, limit, |page| page.packet_count >= setup.packets)?;
    walk.state(its, stream::STATE_STOP)?;
    let sound = walk.ring_words(&setup).filter(|word| *word != 0).count();
    let seen = format!("{} packets, {sound} words that are not 0", page.packet_count);
    let expected = format!("{} packets or more, silence", setup.packets);
    walk.check(its.name("muted: what is stored"), whole && sound == 0, expected, seen)
        .means("MUTE stands between the host and the cyclic buffer");
    Ok(())
}
