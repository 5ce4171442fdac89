//! What the card's streams can do, and what SET_PARAMS comes to.

use crate::wire::{PCM_INFO_BYTES, SetParams, Status};
use ringwave_audio::{SampleFormat, StreamFormat};
use ringwave_engine::stream::params::{BufferGeometry, BurstFrames, Direction, StreamParams};
use ringwave_engine::stream::validity::Validity;

/// Formats by their `VIRTIO_SND_PCM_FMT_*`. `S24` (15) is not one of ours: it has its 24 bits in the lower
/// end of 32.
pub const FORMATS: [(u8, SampleFormat); 5] = [
    (4, SampleFormat::U8),
    (5, SampleFormat::S16),
    (11, SampleFormat::S24),
    (17, SampleFormat::S32),
    (19, SampleFormat::F32),
];

/// Rates by their `VIRTIO_SND_PCM_RATE_*`. 14 and 15 are in the specification since 1.4; a guest that does
/// not know them does not use them.
pub const RATES: [(u8, u32); 15] = [
    (1, 8_000),
    (2, 11_025),
    (3, 16_000),
    (4, 22_050),
    (5, 32_000),
    (6, 44_100),
    (7, 48_000),
    (8, 64_000),
    (9, 88_200),
    (10, 96_000),
    (11, 176_400),
    (12, 192_000),
    (13, 384_000),
    (14, 12_000),
    (15, 24_000),
];

/// `VIRTIO_SND_PCM_F_EVT_XRUNS` as a bit: the one feature that a stream may select.
pub const FEATURE_EVT_XRUNS: u32 = 1 << 4;
/// The longest buffer of a driver. Linux takes 160 ms of the widest format: 2 MiB.
const BUFFER_BYTES_MAX: u32 = 64 << 20;
/// The longest period. A stream keeps room for one.
const PERIOD_BYTES_MAX: u32 = 8 << 20;
/// Frames of a burst are at least a millisecond's, however short the periods are: work is bounded by time.
const BURSTS_PER_SECOND_MAX: u32 = 1000;
/// Of silence while a period is late, and of a recording: how often the stream looks again.
const LATE_BURSTS_PER_SECOND: u32 = 1000;

/// The bit of every code.
fn bits(codes: impl Iterator<Item = u8>) -> u64 {
    codes.fold(0, |bits, code| bits | 1 << code)
}

/// Whether a stream can have a rate in Hz.
pub fn has_rate(rate: u32) -> bool {
    RATES.iter().any(|(_, hz)| *hz == rate)
}

/// Whether a stream can have samples of a format.
pub fn has_sample(sample: SampleFormat) -> bool {
    FORMATS.iter().any(|(_, format)| *format == sample)
}

/// `virtio_snd_pcm_info` of a stream.
pub fn pcm_info(nid: u32, direction: Direction, channels_max: u8) -> [u8; PCM_INFO_BYTES as usize] {
    let mut info = [0; PCM_INFO_BYTES as usize];
    let (words, tail) = info.split_at_mut(24);
    let formats = bits(FORMATS.iter().map(|(code, _)| *code)).to_le_bytes();
    let rates = bits(RATES.iter().map(|(code, _)| *code)).to_le_bytes();
    let head = [nid.to_le_bytes(), FEATURE_EVT_XRUNS.to_le_bytes()];
    let fields = head.iter().flatten().chain(&formats).chain(&rates);
    words.iter_mut().zip(fields).for_each(|(to, from)| *to = *from);
    let last = [direction_code(direction), 1, channels_max];
    tail.iter_mut().zip(last).for_each(|(to, from)| *to = from);
    info
}

/// `VIRTIO_SND_D_*`.
pub const fn direction_code(direction: Direction) -> u8 {
    match direction {
        Direction::Render => 0,
        Direction::Capture => 1,
    }
}

/// Checks SET_PARAMS in the order of VIRTIO-SND.md, *Parameters*.
///
/// # Errors
/// `NOT_SUPP`: a format, a rate, channels or a feature that PCM_INFO does not have. `BAD_MSG`: lengths that
/// do not fit each other.
pub fn stream_params(
    asked: &SetParams,
    direction: Direction,
    channels_max: u8,
) -> Result<StreamParams, Status> {
    let sample = FORMATS.iter().find(|(code, _)| *code == asked.format).ok_or(Status::NotSupp)?.1;
    let rate = RATES.iter().find(|(code, _)| *code == asked.rate).ok_or(Status::NotSupp)?.1;
    if !(1..=channels_max).contains(&asked.channels) || asked.features & !FEATURE_EVT_XRUNS != 0 {
        return Err(Status::NotSupp);
    }
    let format = StreamFormat { sample, channels: asked.channels.into(), rate };
    let frame_bytes = format.frame_bytes().max(1);
    let SetParams { buffer_bytes, period_bytes, .. } = *asked;
    let fit = (1..=PERIOD_BYTES_MAX).contains(&period_bytes)
        && (period_bytes..=BUFFER_BYTES_MAX).contains(&buffer_bytes)
        && buffer_bytes.is_multiple_of(period_bytes)
        && period_bytes.is_multiple_of(frame_bytes);
    if !fit {
        return Err(Status::BadMsg);
    }
    let shortest = rate.div_ceil(BURSTS_PER_SECOND_MAX);
    let packet_frames = period_bytes.checked_div(frame_bytes).unwrap_or(1).max(shortest);
    let late = rate.div_ceil(LATE_BURSTS_PER_SECOND).min(packet_frames);
    Ok(StreamParams {
        direction,
        geometry: BufferGeometry {
            format,
            frame_bytes,
            ring_bytes: buffer_bytes,
            packets: buffer_bytes.checked_div(period_bytes).unwrap_or(1),
            packet_frames,
        },
        bursts: BurstFrames { unmarked: packet_frames, valid: packet_frames, late },
        validity: Validity::Frame(0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: SetParams =
        SetParams { buffer_bytes: 7680, period_bytes: 1920, features: 0, channels: 2, format: 5, rate: 7 };

    #[test]
    fn parameters_are_taken_or_refused_by_name() {
        let params = stream_params(&GOOD, Direction::Render, 8).unwrap();
        let geometry = params.geometry;
        assert_eq!((geometry.frame_bytes, geometry.packets, geometry.packet_frames), (4, 4, 480));
        for (bad, status) in [
            (SetParams { format: 15, ..GOOD }, Status::NotSupp),
            (SetParams { format: 64, ..GOOD }, Status::NotSupp),
            (SetParams { rate: 0, ..GOOD }, Status::NotSupp),
            (SetParams { rate: 255, ..GOOD }, Status::NotSupp),
            (SetParams { channels: 0, ..GOOD }, Status::NotSupp),
            (SetParams { channels: 9, ..GOOD }, Status::NotSupp),
            (SetParams { features: 1, ..GOOD }, Status::NotSupp),
            (SetParams { period_bytes: 0, ..GOOD }, Status::BadMsg),
            (SetParams { period_bytes: 1918, buffer_bytes: 4 * 1918, ..GOOD }, Status::BadMsg),
            (SetParams { buffer_bytes: 1920 * 3 + 4, ..GOOD }, Status::BadMsg),
            (SetParams { buffer_bytes: 0, ..GOOD }, Status::BadMsg),
            (SetParams { period_bytes: 16 << 20, buffer_bytes: 16 << 20, ..GOOD }, Status::BadMsg),
        ] {
            assert_eq!(stream_params(&bad, Direction::Render, 8), Err(status), "{bad:?}");
        }
        let tiny = SetParams { period_bytes: 4, buffer_bytes: 64, ..GOOD };
        let params = stream_params(&tiny, Direction::Capture, 8).unwrap();
        assert_eq!(params.geometry.packet_frames, 48, "a millisecond, however short the periods");
    }

    #[test]
    fn every_format_rate_and_number_of_channels_that_is_told_is_taken() {
        let info = pcm_info(3, Direction::Capture, 6);
        assert_eq!(info[..4], 3_u32.to_le_bytes());
        assert_eq!(info[24..27], [1, 1, 6]);
        let told = |at: usize| u64::from_le_bytes(info[at..at + 8].try_into().unwrap());
        for code in 0..64_u8 {
            let with_format = SetParams { format: code, period_bytes: 480, buffer_bytes: 960, ..GOOD };
            let taken = stream_params(&with_format, Direction::Render, 6).is_ok();
            assert_eq!(taken, told(8) >> code & 1 != 0, "format {code}");
            let taken = stream_params(&SetParams { rate: code, ..GOOD }, Direction::Render, 6).is_ok();
            assert_eq!(taken, told(16) >> code & 1 != 0, "rate {code}");
        }
    }
}
