//! A tone: what a person hears, or the sink's file has. It proves nothing about the samples; it makes them
//! judgeable.

use std::f64::consts::TAU;

use ringwave_audio::SampleFormat;
use ringwave_regs::format::SampleCode;
use ringwave_regs::pages::status;
use ringwave_regs::{global, stream};

use crate::bringup::{Bringup, LOW_BYTES, PATIENCE, RING, StepEnd, StepResult};
use crate::stream::{Mode, Setup, Stream};

/// Nominal pitch in Hz; the real one has a whole number of frames to its period, so that the cyclic buffer
/// closes upon itself.
const PITCH: u32 = 440;
/// A quarter of full scale: audible, and kind to ears.
const LEVEL: f64 = 0.25;

/// The step.
pub fn run(bringup: &mut Bringup<'_>) -> StepResult {
    if bringup.get(global::FEATURES)? & global::FEATURE_WRITTEN == 0 {
        return Err(StepEnd::Skipped("FEATURES has no WRITTEN, so the tone would have no end".to_owned()));
    }
    let mode = Mode::announced(bringup)?.first().copied().unwrap_or(Mode::Contiguous);
    for its in bringup.streams()? {
        if its.captures() {
            bringup.skip(its.name("tone"), "it captures");
        } else {
            play(bringup, &its, mode)?;
        }
    }
    Ok(())
}

fn play(bringup: &mut Bringup<'_>, its: &Stream, mode: Mode) -> StepResult {
    let usual = its.usual(mode);
    let period = (usual.rate + PITCH / 2) / PITCH;
    // Whole periods of about 20 ms, so that every packet is the same.
    let packet_frames = period * (usual.rate / 50).div_ceil(period).max(1);
    let setup = Setup { packet_frames, ..usual };
    if setup.ring_bytes() as usize > LOW_BYTES - RING {
        bringup.skip(
            its.name("tone"),
            format!("{} bytes of buffer are more than the tool has", setup.ring_bytes()),
        );
        return Ok(());
    }
    let Some(sample) = sample_format(setup.code) else {
        bringup.skip(its.name("tone"), format!("sample format {} is not defined", setup.code));
        return Ok(());
    };
    bringup.configure(its, &setup)?;
    let samples = sine(&setup, sample, period);
    bringup.fill_ring(&setup, 0, &samples);

    // Whole periods, too, so that the end does not click.
    let nanos = bringup.choices.tone.as_nanos();
    let wanted = u64::try_from(nanos * u128::from(setup.rate) / 1_000_000_000).unwrap_or(u64::MAX);
    let frames = wanted.div_ceil(period.into()).max(1) * u64::from(period);
    let last = (frames - 1) / u64::from(packet_frames);
    let rest = u32::try_from(frames - last * u64::from(packet_frames)).unwrap_or(packet_frames);
    bringup.step_to(its, stream::STATE_PAUSE)?;
    let before = bringup.status(its)?;
    bringup.stream_set(its, stream::EOS, stream::EOS_ARM | (rest * setup.frame_bytes()))?;
    // All at once: each packet is like the one before, so it holds its data already.
    bringup.stream_set(its, stream::WRITTEN, u32::try_from(last).unwrap_or(u32::MAX / 2))?;
    bringup.enter(its, stream::STATE_RUN)?;
    let ended = |page: &crate::stream::Status| page.flags & status::FLAG_ENDED != 0;
    let (page, there) = bringup.wait_status(its, setup.time(frames) + PATIENCE, ended)?;
    #[allow(clippy::cast_precision_loss, reason = "for a person")]
    let (pitch, seconds) = (f64::from(setup.rate) / f64::from(period), frames as f64 / f64::from(setup.rate));
    let name = its.name(format!("{pitch:.1} Hz, {seconds:.2} s, {} Hz, {} ch", setup.rate, setup.channels));
    bringup
        .check(name, there && page.anchor_frame == frames, format!("{frames} frames"), page.anchor_frame)
        .means("the tone did not come to its end: the host's side of the card may be blocked");
    let silence = page.silence_frames.wrapping_sub(before.silence_frames);
    bringup.equal(its.name("of them silence"), 0, silence);
    bringup.state(its, stream::STATE_STOP)?;
    let error = bringup.take_stream_error(its)?;
    bringup
        .error(its.name("ERROR"), None, error)
        .means("HOST: the file or the sound system does not take the sound");
    Ok(())
}

/// A cyclic buffer full of a sine, the same in every channel.
fn sine(setup: &Setup, sample: SampleFormat, period: u32) -> Vec<u8> {
    let level = |frame| (TAU * f64::from(frame % period) / f64::from(period)).sin() * LEVEL;
    let frames = 0..setup.packet_frames * setup.packets;
    let levels = frames.flat_map(|frame| std::iter::repeat_n(level(frame), setup.channels as usize));
    let mut bytes = vec![0; setup.ring_bytes() as usize];
    sample.encode(levels, &mut bytes);
    bytes
}

/// The sample format with this code (DATASHEET 4.2); `None` for a code that is not defined.
const fn sample_format(code: u32) -> Option<SampleFormat> {
    match SampleCode::from_code(code) {
        Some(SampleCode::S16) => Some(SampleFormat::S16),
        Some(SampleCode::S24In32) => Some(SampleFormat::S24In32),
        Some(SampleCode::S32) => Some(SampleFormat::S32),
        Some(SampleCode::F32) => Some(SampleFormat::F32),
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringwave_regs::format;

    #[test]
    fn buffer_closes_upon_itself_in_every_format() {
        for (code, bytes) in [(format::S16, 2), (format::S24_32, 4), (format::S32, 4), (format::F32, 4)] {
            let setup = Setup {
                code,
                channels: 2,
                rate: 44_100,
                packet_frames: 300,
                packets: 2,
                mode: Mode::Contiguous,
            };
            let samples = sine(&setup, sample_format(code).unwrap(), 100);
            assert_eq!(samples.len(), 600 * 2 * bytes);
            assert_eq!(
                samples[..100 * 2 * bytes],
                samples[500 * 2 * bytes..],
                "each period is like the first"
            );
            assert_ne!(samples[25 * 2 * bytes..26 * 2 * bytes], samples[75 * 2 * bytes..76 * 2 * bytes]);
        }
    }
}
