//! Volume and mute: what a sample becomes between the FIFO and the host. DATASHEET 5.8.
//!
//! A [`Gain`] is worked out once, when a register is written; [`Gain::apply`] then changes frames where they lie. Integer samples are
//! multiplied in 64 bits and rounded as the DATASHEET says, so that any two cards give the same; a channel at 0 dB is not touched at all.

use ringwave_regs::error::Error;
use ringwave_regs::{format, stream as regs};

use crate::StreamFormat;

/// Channels that have a volume.
const CHANNELS: usize = format::CHANNELS_MAX as usize;
/// [`regs::GAIN_ONE`] is two to this.
const GAIN_BITS: u32 = regs::GAIN_ONE.trailing_zeros();
/// Half of the last place, so that the shift rounds.
const HALF: i64 = 1 << (GAIN_BITS - 1);

/// Volumes and MUTE of a stream, and the factors that they come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gain {
    /// Volume of each channel in 1/65536 dB, [`regs::VOLUME_MIN`] to 0.
    volumes: [i32; CHANNELS],
    /// Bit c: channel c is silent.
    mute: u32,
    /// What the samples of each channel are multiplied by, in 1/[`regs::GAIN_ONE`]; 0 = silent.
    factors: [u32; CHANNELS],
}

impl Default for Gain {
    /// 0 dB, nothing muted.
    fn default() -> Self {
        Self { volumes: [0; CHANNELS], mute: 0, factors: [regs::GAIN_ONE; CHANNELS] }
    }
}

impl Gain {
    /// Value of the register at `offset` in the stream's block, if it is MUTE or a volume.
    pub fn read(&self, offset: u32) -> Option<u32> {
        if offset == regs::MUTE {
            return Some(self.mute);
        }
        self.volumes.get(channel_at(offset)?).map(|volume| volume.cast_unsigned())
    }

    /// What a write of the register at `offset` makes of it. [`Error::BadVolume`] above 0 dB and below the lowest volume,
    /// [`Error::BadAccess`] if the register is neither MUTE nor a volume.
    pub fn written(mut self, offset: u32, value: u32) -> Result<Self, Error> {
        if offset == regs::MUTE {
            self.mute = value & regs::MUTE_CHANNELS;
        } else {
            let volume = channel_at(offset).and_then(|channel| self.volumes.get_mut(channel));
            let volume = volume.ok_or(Error::BadAccess)?;
            let value = value.cast_signed();
            if !(regs::VOLUME_MIN..=0).contains(&value) {
                return Err(Error::BadVolume);
            }
            *volume = value;
        }
        for (channel, (to, volume)) in self.factors.iter_mut().zip(self.volumes).enumerate() {
            *to = if self.mute >> channel & 1 == 0 { factor(volume) } else { 0 };
        }
        Ok(self)
    }

    /// Changes whole frames in `format` where they lie. What is behind the last whole frame is left alone.
    pub fn apply(&self, format: StreamFormat, frames: &mut [u8]) {
        let channels = (format.channels as usize).min(CHANNELS);
        let stride = format.frame_bytes() as usize;
        let factors = self.factors.iter().take(channels).enumerate();
        // A channel at a time: the factor and the kind of sample stand outside the loop over the frames.
        for (channel, &factor) in factors.filter(|&(_, &factor)| factor != regs::GAIN_ONE) {
            match format.code {
                format::S16 => each(frames, stride, channel, |sample| s16(sample, factor)),
                format::S24_32 => each(frames, stride, channel, |sample| s24(sample, factor)),
                format::S32 => each(frames, stride, channel, |sample| s32(sample, factor)),
                format::F32 => each(frames, stride, channel, |sample| f32(sample, factor)),
                _ => {}
            }
        }
    }
}

/// The channel whose volume is at `offset` in the block.
fn channel_at(offset: u32) -> Option<usize> {
    (0..format::CHANNELS_MAX).position(|channel| regs::volume(channel) == Some(offset))
}

/// The factor of a volume: `round(2^30 * 10^(v / 1310720))`, that is 20 units of decibels to a power of ten.
fn factor(volume: i32) -> u32 {
    if volume == 0 {
        return regs::GAIN_ONE;
    }
    let exponent = f64::from(volume) / f64::from(20 * regs::VOLUME_UNITS);
    let exact = (f64::from(regs::GAIN_ONE) * 10_f64.powf(exponent)).round();
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "0 to 2^30: the volume is in its range"
    )]
    let factor = exact as u32;
    factor
}

/// Changes the sample of `channel` in every whole frame of `stride` bytes.
fn each<const N: usize>(
    frames: &mut [u8],
    stride: usize,
    channel: usize,
    change: impl Fn([u8; N]) -> [u8; N],
) {
    // No format has frames of 0 bytes; chunks of 0 would be a panic.
    for frame in frames.chunks_exact_mut(stride.max(1)) {
        if let Some(sample) = frame.as_chunks_mut().0.get_mut(channel) {
            *sample = change(*sample);
        }
    }
}

/// `(sample * factor + 2^29) >> 30`: no larger than the sample, as the factor is not above 1.
const fn scaled(sample: i64, factor: u32) -> i64 {
    (sample * factor as i64 + HALF) >> GAIN_BITS
}

#[allow(clippy::cast_possible_truncation, reason = "no larger than the sample was")]
fn s16(sample: [u8; 2], factor: u32) -> [u8; 2] {
    (scaled(i16::from_le_bytes(sample).into(), factor) as i16).to_le_bytes()
}

/// 24 bits in the upper part of 32: the lowest byte is 0 afterwards.
#[allow(clippy::cast_possible_truncation, reason = "no larger than the sample was")]
fn s24(sample: [u8; 4], factor: u32) -> [u8; 4] {
    ((scaled((i32::from_le_bytes(sample) >> 8).into(), factor) as i32) << 8).to_le_bytes()
}

#[allow(clippy::cast_possible_truncation, reason = "no larger than the sample was")]
fn s32(sample: [u8; 4], factor: u32) -> [u8; 4] {
    (scaled(i32::from_le_bytes(sample).into(), factor) as i32).to_le_bytes()
}

/// Muted is 0, whatever the sample was: 0 times a negative number would be -0, and times infinity no number.
fn f32(sample: [u8; 4], factor: u32) -> [u8; 4] {
    if factor == 0 {
        return [0; 4];
    }
    #[allow(clippy::cast_precision_loss, reason = "single precision is what the DATASHEET asks for")]
    let factor = factor as f32 / regs::GAIN_ONE as f32;
    (f32::from_le_bytes(sample) * factor).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FORMATS: [u32; 4] = [format::S16, format::S24_32, format::S32, format::F32];

    fn gain(volumes: [i32; CHANNELS], mute: u32) -> Gain {
        let volumes = volumes.into_iter().zip(0..).try_fold(Gain::default(), |gain, (volume, channel)| {
            gain.written(regs::volume(channel).unwrap(), volume.cast_unsigned())
        });
        volumes.unwrap().written(regs::MUTE, mute).unwrap()
    }

    /// The same by another way: the factor out of a table of powers, the product in 128 bits or in double precision.
    fn slow(code: u32, sample: &[u8], volume: i32, muted: bool) -> Vec<u8> {
        if muted {
            return vec![0; sample.len()];
        }
        if volume == 0 {
            return sample.to_vec();
        }
        let whole = 10_f64.powi(volume / (20 * 65_536));
        let part =
            (f64::from(volume % (20 * 65_536)) / f64::from(20 * 65_536) * std::f64::consts::LN_10).exp();
        let factor = (whole * part * f64::from(1 << 30)).round();
        let scale = |sample: i32| {
            #[allow(clippy::cast_possible_truncation, reason = "below 2^30")]
            let factor = factor as i128;
            // Halves are rounded up, as an arithmetic shift does.
            i32::try_from((i128::from(sample) * factor * 2 + (1 << 30)).div_euclid(1 << 31)).unwrap()
        };
        match code {
            format::S16 => {
                let scaled = scale(i16::from_le_bytes(sample.try_into().unwrap()).into());
                i16::try_from(scaled).unwrap().to_le_bytes().to_vec()
            }
            format::S24_32 => {
                let scaled = scale(i32::from_le_bytes(sample.try_into().unwrap()).div_euclid(256));
                (scaled * 256).to_le_bytes().to_vec()
            }
            format::S32 => scale(i32::from_le_bytes(sample.try_into().unwrap())).to_le_bytes().to_vec(),
            _ => {
                let sample = f32::from_le_bytes(sample.try_into().unwrap());
                // The product of two singles is exact in double precision, so rounding it once is single precision.
                #[allow(clippy::cast_possible_truncation, reason = "that is the point")]
                let scaled = (f64::from(sample) * f64::from((factor / f64::from(1 << 30)) as f32)) as f32;
                scaled.to_le_bytes().to_vec()
            }
        }
    }

    fn volume() -> impl Strategy<Value = i32> {
        prop_oneof![2 => Just(0), 1 => Just(regs::VOLUME_MIN), 1 => -10..0_i32, 6 => regs::VOLUME_MIN..=0]
    }

    proptest! {
        #[test]
        fn frames_are_what_the_datasheet_says(
            code in proptest::sample::select(&FORMATS),
            channels in 1..=format::CHANNELS_MAX,
            volumes in prop::array::uniform8(volume()),
            mute in prop_oneof![Just(0), any::<u32>()],
            bytes in prop::collection::vec(prop_oneof![3 => any::<u8>(), 1 => Just(0x7F), 1 => Just(0x80)], 0..400),
        ) {
            let format = StreamFormat { code, channels, rate: 48_000 };
            let sample = format::sample_bytes(code).unwrap() as usize;
            let mut seen = bytes.clone();
            gain(volumes, mute).apply(format, &mut seen);
            let frame = format.frame_bytes() as usize;
            let whole = bytes.len() / frame * frame;
            prop_assert_eq!(&seen[whole..], &bytes[whole..], "what is no whole frame");
            for (place, (from, to)) in bytes[..whole].chunks(sample).zip(seen.chunks(sample)).enumerate() {
                let channel = place % channels as usize;
                let expected = slow(code, from, volumes[channel], mute >> channel & 1 == 1);
                let nan = code == format::F32 && f32::from_le_bytes(from.try_into().unwrap()).is_nan();
                // The bits of what is no number are its own, unless the channel is silent or untouched.
                if nan && volumes[channel] != 0 && mute >> channel & 1 == 0 {
                    prop_assert!(f32::from_le_bytes(to.try_into().unwrap()).is_nan());
                } else {
                    prop_assert_eq!(to, &expected[..], "sample {} of channel {}", place, channel);
                }
            }
        }
    }

    #[test]
    fn known_volumes_are_these_factors() {
        let decibels = |tenths: i32| factor(tenths * regs::VOLUME_UNITS / 10);
        // 10^(-1/20), 10^(-6/20), 10^(-20/20), 10^(-96/20), times 2^30, worked out by hand to nine places.
        let known =
            [(0, 1 << 30), (-10, 956_973_408), (-60, 538_145_694), (-200, 107_374_182), (-960, 17_018)];
        for (tenths, expected) in known {
            assert_eq!(decibels(tenths), expected, "{tenths} tenths of a decibel");
        }
        assert_eq!(factor(-1), (1 << 30) - 1886, "the smallest step");
    }

    #[test]
    fn lowest_byte_of_24_bits_stays_empty_and_full_scale_stays_within() {
        let format = StreamFormat { code: format::S24_32, channels: 1, rate: 48_000 };
        let half = gain([-6 * regs::VOLUME_UNITS; CHANNELS], 0);
        for sample in [i32::MIN, i32::MIN + 255, -257, -1, 0, 1, 255, 256, i32::MAX] {
            let mut bytes = sample.to_le_bytes();
            half.apply(format, &mut bytes);
            assert_eq!(bytes[0], 0, "{sample}");
            assert!(i32::from_le_bytes(bytes).unsigned_abs() <= sample.unsigned_abs().max(256), "{sample}");
        }
        let mut minus_nothing = (-1.5_f32).to_le_bytes();
        gain([0; CHANNELS], 1).apply(StreamFormat { code: format::F32, ..format }, &mut minus_nothing);
        assert_eq!(minus_nothing, [0; 4], "silence has no sign");
    }
}
