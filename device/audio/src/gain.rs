//! Volume and mute: what a sample becomes between the FIFO and the host. DATASHEET 5.8.
//!
//! A [`Gain`] is worked out once, when a volume or mute changes; [`Gain::apply`] then changes frames where
//! they lie. Integer samples are multiplied in 64 bits and rounded as the DATASHEET says, so that any two
//! cards give the same; a channel at 0 dB is not touched at all.

use crate::sample::{Codec, with_codec};
use crate::{CHANNELS_MAX, StreamFormat};

/// Units of a volume in one decibel.
pub const VOLUME_UNITS: i32 = 65_536;
/// The lowest volume, in 1/65536 dB. The highest is 0.
pub const VOLUME_MIN: i32 = -96 * VOLUME_UNITS;
/// The factor of 0 dB.
pub const GAIN_ONE: u32 = 1 << 30;

/// Channels that have a volume.
const CHANNELS: usize = CHANNELS_MAX as usize;
/// [`GAIN_ONE`] is two to this.
const GAIN_BITS: u32 = GAIN_ONE.trailing_zeros();
/// Half of the last place, so that the shift rounds.
const HALF: i64 = 1 << (GAIN_BITS - 1);

/// Volumes and mutes of a stream, and the factors that they come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gain {
    /// Volume of each channel in 1/65536 dB, [`VOLUME_MIN`] to 0.
    volumes: [i32; CHANNELS],
    /// Bit c: channel c is silent.
    mute: u32,
    /// What the samples of each channel are multiplied by, in 1/[`GAIN_ONE`]; 0 = silent.
    factors: [u32; CHANNELS],
}

impl Default for Gain {
    /// 0 dB, nothing muted.
    fn default() -> Self {
        Self { volumes: [0; CHANNELS], mute: 0, factors: [GAIN_ONE; CHANNELS] }
    }
}

impl Gain {
    /// The volume of a channel in 1/65536 dB.
    pub fn volume(&self, channel: usize) -> Option<i32> {
        self.volumes.get(channel).copied()
    }

    /// Bit c: channel c is silent.
    pub const fn mute(&self) -> u32 {
        self.mute
    }

    /// The same with this volume of a channel, in 1/65536 dB; `None` if there is no such channel, or the
    /// volume is out of range.
    #[must_use]
    pub fn with_volume(mut self, channel: usize, volume: i32) -> Option<Self> {
        *self.volumes.get_mut(channel)? = Some(volume).filter(|volume| (VOLUME_MIN..=0).contains(volume))?;
        Some(self.with_factors())
    }

    /// The same with these channels silent (bit c: channel c) and no others.
    #[must_use]
    pub fn with_mute(mut self, mute: u32) -> Self {
        self.mute = mute;
        self.with_factors()
    }

    fn with_factors(mut self) -> Self {
        for (channel, (to, volume)) in self.factors.iter_mut().zip(self.volumes).enumerate() {
            *to = if self.mute >> channel & 1 == 0 { factor(volume) } else { 0 };
        }
        self
    }

    /// Changes whole frames in `format` where they lie. What is behind the last whole frame is left alone.
    pub fn apply(&self, format: StreamFormat, frames: &mut [u8]) {
        let stride = format.frame_bytes() as usize;
        let factors = self.factors.iter().take(format.channels as usize).enumerate();
        // A channel at a time: the factor and the sample format stand outside the loop over the frames.
        for (channel, &factor) in factors.filter(|&(_, &factor)| factor != GAIN_ONE) {
            with_codec!(format.sample, C => scale::<C, _>(frames, stride, channel, factor));
        }
    }
}

/// The factor of a volume: `round(2^30 * 10^(v / 1310720))`, that is 20 units of decibels to a power of ten.
fn factor(volume: i32) -> u32 {
    if volume == 0 {
        return GAIN_ONE;
    }
    let exponent = f64::from(volume) / f64::from(20 * VOLUME_UNITS);
    let exact = (f64::from(GAIN_ONE) * 10_f64.powf(exponent)).round();
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "0 to 2^30: the volume is in its range"
    )]
    let factor = exact as u32;
    factor
}

/// Multiplies the sample of `channel` in every whole frame of `stride` bytes. Muted is silence, whatever the
/// sample was: 0 times a negative float would be -0, and times infinity no number.
fn scale<C: Codec<N, Value: Scale>, const N: usize>(
    frames: &mut [u8],
    stride: usize,
    channel: usize,
    factor: u32,
) {
    if factor == 0 {
        let silence = C::store(C::nearest(0.0));
        each(frames, stride, channel, |_| silence);
    } else {
        let factor = C::Value::factor(factor);
        each(frames, stride, channel, |sample| C::store(C::load(sample).scaled(factor)));
    }
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

/// The value of a sample, which can be multiplied by a factor.
trait Scale {
    /// The factor as the loop over the frames wants it.
    type Factor: Copy;

    /// That of `factor` / [`GAIN_ONE`], which is not above 1.
    fn factor(factor: u32) -> Self::Factor;
    /// Times the factor.
    fn scaled(self, factor: Self::Factor) -> Self;
}

impl Scale for i32 {
    type Factor = i64;

    fn factor(factor: u32) -> i64 {
        factor.into()
    }

    /// `(value * factor + 2^29) >> 30`: no larger than the value was.
    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "no larger than the value was")]
    fn scaled(self, factor: i64) -> Self {
        ((i64::from(self) * factor + HALF) >> GAIN_BITS) as Self
    }
}

impl Scale for f32 {
    type Factor = Self;

    #[allow(clippy::cast_precision_loss, reason = "single precision is what the DATASHEET asks for")]
    fn factor(factor: u32) -> Self {
        factor as Self / GAIN_ONE as Self
    }

    #[inline]
    fn scaled(self, factor: Self) -> Self {
        self * factor
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SampleFormat;
    use proptest::prelude::*;

    fn gain(volumes: [i32; CHANNELS], mute: u32) -> Gain {
        let volumes = volumes.into_iter().enumerate();
        let gain = volumes
            .fold(Gain::default(), |gain, (channel, volume)| gain.with_volume(channel, volume).unwrap());
        gain.with_mute(mute)
    }

    /// The same by another way: the factor out of a table of powers, the product in 128 bits or in double
    /// precision.
    fn slow(format: SampleFormat, sample: &[u8], volume: i32, muted: bool) -> Vec<u8> {
        if muted {
            return vec![format.silence(); sample.len()];
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
        let low = |value: i32, bytes: usize| value.to_le_bytes()[..bytes].to_vec();
        match format {
            SampleFormat::U8 => low(scale(i32::from(sample[0]) - 128) + 128, 1),
            SampleFormat::S16 => low(scale(i16::from_le_bytes(sample.try_into().unwrap()).into()), 2),
            SampleFormat::S24 => {
                let [a, b, c] = sample.try_into().unwrap();
                low(scale(i32::from_le_bytes([0, a, b, c]).div_euclid(256)), 3)
            }
            SampleFormat::S24In32 => {
                low(scale(i32::from_le_bytes(sample.try_into().unwrap()).div_euclid(256)) * 256, 4)
            }
            SampleFormat::S32 => low(scale(i32::from_le_bytes(sample.try_into().unwrap())), 4),
            SampleFormat::F32 => {
                let sample = f32::from_le_bytes(sample.try_into().unwrap());
                // The product of two singles is exact in double precision, so rounding it once is single
                // precision.
                #[allow(clippy::cast_possible_truncation, reason = "that is the point")]
                let scaled = (f64::from(sample) * f64::from((factor / f64::from(1 << 30)) as f32)) as f32;
                scaled.to_le_bytes().to_vec()
            }
        }
    }

    fn volume() -> impl Strategy<Value = i32> {
        prop_oneof![2 => Just(0), 1 => Just(VOLUME_MIN), 1 => -10..0_i32, 6 => VOLUME_MIN..=0]
    }

    proptest! {
        #[test]
        fn frames_are_what_the_datasheet_says(
            sample_format in proptest::sample::select(&SampleFormat::ALL),
            channels in 1..=CHANNELS_MAX,
            volumes in prop::array::uniform8(volume()),
            mute in prop_oneof![Just(0), any::<u32>()],
            bytes in prop::collection::vec(prop_oneof![3 => any::<u8>(), 1 => Just(0x7F), 1 => Just(0x80)], 0..400),
        ) {
            let format = StreamFormat { sample: sample_format, channels, rate: 48_000 };
            let sample = sample_format.bytes() as usize;
            let mut seen = bytes.clone();
            gain(volumes, mute).apply(format, &mut seen);
            let frame = format.frame_bytes() as usize;
            let whole = bytes.len() / frame * frame;
            prop_assert_eq!(&seen[whole..], &bytes[whole..], "what is no whole frame");
            for (index, (from, to)) in bytes[..whole].chunks(sample).zip(seen.chunks(sample)).enumerate() {
                let channel = index % channels as usize;
                let expected = slow(sample_format, from, volumes[channel], mute >> channel & 1 == 1);
                let nan = sample_format.is_float() && f32::from_le_bytes(from.try_into().unwrap()).is_nan();
                // The bits of what is no number are its own, unless the channel is silent or untouched.
                if nan && volumes[channel] != 0 && mute >> channel & 1 == 0 {
                    prop_assert!(f32::from_le_bytes(to.try_into().unwrap()).is_nan());
                } else {
                    prop_assert_eq!(to, &expected[..], "sample {} of channel {}", index, channel);
                }
            }
        }
    }

    #[test]
    fn known_volumes_are_these_factors() {
        let decibels = |tenths: i32| factor(tenths * VOLUME_UNITS / 10);
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
        let format = StreamFormat { sample: SampleFormat::S24In32, channels: 1, rate: 48_000 };
        let half = gain([-6 * VOLUME_UNITS; CHANNELS], 0);
        for sample in [i32::MIN, i32::MIN + 255, -257, -1, 0, 1, 255, 256, i32::MAX] {
            let mut bytes = sample.to_le_bytes();
            half.apply(format, &mut bytes);
            assert_eq!(bytes[0], 0, "{sample}");
            assert!(i32::from_le_bytes(bytes).unsigned_abs() <= sample.unsigned_abs().max(256), "{sample}");
        }
        let mut minus_nothing = (-1.5_f32).to_le_bytes();
        gain([0; CHANNELS], 1)
            .apply(StreamFormat { sample: SampleFormat::F32, ..format }, &mut minus_nothing);
        assert_eq!(minus_nothing, [0; 4], "silence has no sign");
    }
}
