//! How a sample lies in memory and what its value is. No other place knows the bytes of a sample.
//!
//! Every function over a buffer looks at the format once; the loop inside is made for that format alone.

/// How a sample lies in memory. Little-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "lowercase"))]
pub enum SampleFormat {
    /// 8-bit unsigned PCM; 128 is silence.
    U8,
    /// 16-bit signed PCM.
    S16,
    /// 24-bit signed PCM in 3 bytes.
    S24,
    /// 24-bit signed PCM in the upper 3 bytes of 4. The lowest byte carries nothing; an encoder stores 0
    /// there.
    S24In32,
    /// 32-bit signed PCM.
    S32,
    /// 32-bit IEEE float; full scale is 1.
    F32,
}

/// Calls a function for one sample format, known at compile time: `$codec` is the [`Codec`] of `$format`
/// inside `$body`.
macro_rules! with_codec {
    ($format:expr, $codec:ident => $body:expr) => {
        match $format {
            $crate::SampleFormat::U8 => {
                type $codec = $crate::sample::U8;
                $body
            }
            $crate::SampleFormat::S16 => {
                type $codec = $crate::sample::S16;
                $body
            }
            $crate::SampleFormat::S24 => {
                type $codec = $crate::sample::S24;
                $body
            }
            $crate::SampleFormat::S24In32 => {
                type $codec = $crate::sample::S24In32;
                $body
            }
            $crate::SampleFormat::S32 => {
                type $codec = $crate::sample::S32;
                $body
            }
            $crate::SampleFormat::F32 => {
                type $codec = $crate::sample::F32;
                $body
            }
        }
    };
}
#[cfg(feature = "std")]
pub(crate) use with_codec;

impl SampleFormat {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::U8, Self::S16, Self::S24, Self::S24In32, Self::S32, Self::F32];

    /// Bytes of a sample.
    pub const fn bytes(self) -> u32 {
        match self {
            Self::U8 => 1,
            Self::S16 => 2,
            Self::S24 => 3,
            Self::S24In32 | Self::S32 | Self::F32 => 4,
        }
    }

    /// Bits of a sample.
    pub const fn container_bits(self) -> u16 {
        match self {
            Self::U8 => 8,
            Self::S16 => 16,
            Self::S24 => 24,
            Self::S24In32 | Self::S32 | Self::F32 => 32,
        }
    }

    /// Bits of a sample that carry its value.
    pub const fn valid_bits(self) -> u16 {
        match self {
            Self::U8 => 8,
            Self::S16 => 16,
            Self::S24 | Self::S24In32 => 24,
            Self::S32 | Self::F32 => 32,
        }
    }

    /// Whether samples are floats.
    pub const fn is_float(self) -> bool {
        match self {
            Self::U8 | Self::S16 | Self::S24 | Self::S24In32 | Self::S32 => false,
            Self::F32 => true,
        }
    }

    /// The name in reports, messages and options.
    pub const fn name(self) -> &'static str {
        match self {
            Self::U8 => "u8",
            Self::S16 => "s16",
            Self::S24 => "s24",
            Self::S24In32 => "s24in32",
            Self::S32 => "s32",
            Self::F32 => "f32",
        }
    }

    /// The value of every byte of silence.
    pub const fn silence(self) -> u8 {
        match self {
            Self::U8 => 0x80,
            Self::S16 | Self::S24 | Self::S24In32 | Self::S32 | Self::F32 => 0,
        }
    }

    /// Whether samples are nothing but silence. Long sounds may be little else, and this is fast.
    pub fn is_silence(self, samples: &[u8]) -> bool {
        const ZEROS: [u8; 4096] = [0; 4096];
        match self.silence() {
            0 => samples.chunks(ZEROS.len()).all(|part| ZEROS.starts_with(part)),
            silence => samples.iter().all(|byte| *byte == silence),
        }
    }

    /// The value of one sample; `None` if `sample` is not [`SampleFormat::bytes`] long.
    pub fn value(self, sample: &[u8]) -> Option<Value> {
        with_codec!(self, C => Some(C::load(sample.try_into().ok()?).into()))
    }

    /// Gives the level of each whole sample in `bytes` to `each`; full scale is 1.
    pub fn decode(self, bytes: &[u8], each: impl FnMut(f64)) {
        with_codec!(self, C => levels::<C, _>(bytes).for_each(each));
    }

    /// As [`SampleFormat::decode`], to the start of `into`, as many as both have.
    pub fn decode_into(self, bytes: &[u8], into: &mut [f64]) {
        with_codec!(self, C => into.iter_mut().zip(levels::<C, _>(bytes)).for_each(|(into, level)| *into = level));
    }

    /// Stores `levels` as samples at the start of `into`, as many as both have. Full scale is 1. An integer
    /// is rounded to the nearest, away from 0 if two are as near, and held at full scale; what is no number
    /// is silence there. A float is stored as it is.
    pub fn encode(self, levels: impl IntoIterator<Item = f64>, into: &mut [u8]) {
        with_codec!(self, C => encode::<C, _>(levels, into));
    }

    /// Stores the whole samples in `bytes` as samples of another format at the start of `into`, as many as
    /// both have. A format with at least as many bits keeps every value.
    pub fn convert(self, bytes: &[u8], to: Self, into: &mut [u8]) {
        with_codec!(self, C => to.encode(levels::<C, _>(bytes), into));
    }
}

impl core::fmt::Display for SampleFormat {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.name())
    }
}

/// The value of a sample.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "std", derive(serde::Serialize), serde(untagged))]
pub enum Value {
    /// An integer of [`SampleFormat::valid_bits`] bits.
    Int(i32),
    /// Full scale is 1.
    Float(f32),
}

impl PartialEq for Value {
    /// To the bit: not a number is itself.
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Int(a), Self::Int(b)) => a == b,
            (Self::Float(a), Self::Float(b)) => a.to_bits() == b.to_bits(),
            (Self::Int(_), Self::Float(_)) | (Self::Float(_), Self::Int(_)) => false,
        }
    }
}

impl Eq for Value {}

impl core::fmt::Display for Value {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Int(value) => value.fmt(f),
            Self::Float(value) => value.fmt(f),
        }
    }
}

impl From<i32> for Value {
    fn from(value: i32) -> Self {
        Self::Int(value)
    }
}

impl From<f32> for Value {
    fn from(value: f32) -> Self {
        Self::Float(value)
    }
}

/// A [`SampleFormat`] at compile time; `N` is the bytes of a sample.
pub(crate) trait Codec<const N: usize> {
    /// `i32` or `f32`.
    type Value: Copy + Into<Value>;

    /// The value of a sample.
    fn load(sample: [u8; N]) -> Self::Value;
    /// The sample of a value. An integer is in the range of the format.
    fn store(value: Self::Value) -> [u8; N];
    /// The level of a value; full scale is 1.
    fn level(value: Self::Value) -> f64;
    /// The value that is nearest to a level.
    fn nearest(level: f64) -> Self::Value;
}

/// Declares the codec of an integer format of so many bits in so many bytes.
macro_rules! integer_codec {
    ($(#[$doc:meta])* $name:ident: $bits:literal in $bytes:literal, $load:expr, $store:expr) => {
        $(#[$doc])*
        pub(crate) struct $name;

        impl Codec<$bytes> for $name {
            type Value = i32;

            #[inline]
            fn load(sample: [u8; $bytes]) -> i32 {
                let load: fn([u8; $bytes]) -> i32 = $load;
                load(sample)
            }

            #[inline]
            fn store(value: i32) -> [u8; $bytes] {
                let store: fn(i32) -> [u8; $bytes] = $store;
                store(value)
            }

            #[inline]
            fn level(value: i32) -> f64 {
                f64::from(value) / full_scale($bits)
            }

            #[inline]
            fn nearest(level: f64) -> i32 {
                #[allow(clippy::cast_possible_truncation, reason = "in range")]
                let held = |value: i64| value.clamp(-1 << ($bits - 1), (1 << ($bits - 1)) - 1) as i32;
                held(rounded(level * full_scale($bits)))
            }
        }
    };
}

integer_codec! {
    /// [`SampleFormat::U8`].
    U8: 8 in 1, |[byte]| i32::from(byte) - 128, |value| [value.to_le_bytes()[0] ^ 0x80]
}
integer_codec! {
    /// [`SampleFormat::S16`].
    S16: 16 in 2, |sample| i16::from_le_bytes(sample).into(), |value| {
        let [a, b, _, _] = value.to_le_bytes();
        [a, b]
    }
}
integer_codec! {
    /// [`SampleFormat::S24`].
    S24: 24 in 3, |[a, b, c]| i32::from_le_bytes([0, a, b, c]) >> 8, |value| {
        let [a, b, c, _] = value.to_le_bytes();
        [a, b, c]
    }
}
integer_codec! {
    /// [`SampleFormat::S24In32`].
    S24In32: 24 in 4, |sample| i32::from_le_bytes(sample) >> 8, |value| (value << 8).to_le_bytes()
}
integer_codec! {
    /// [`SampleFormat::S32`].
    S32: 32 in 4, i32::from_le_bytes, i32::to_le_bytes
}

/// [`SampleFormat::F32`].
pub(crate) struct F32;

impl Codec<4> for F32 {
    type Value = f32;

    #[inline]
    fn load(sample: [u8; 4]) -> f32 {
        f32::from_le_bytes(sample)
    }

    #[inline]
    fn store(value: f32) -> [u8; 4] {
        value.to_le_bytes()
    }

    #[inline]
    fn level(value: f32) -> f64 {
        value.into()
    }

    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "rounded to the nearest")]
    fn nearest(level: f64) -> f32 {
        level as f32
    }
}

/// Two to the number of bits but one.
#[allow(clippy::cast_precision_loss, reason = "a power of two")]
const fn full_scale(bits: u32) -> f64 {
    (1_i64 << (bits - 1)) as f64
}

/// The nearest integer, away from 0 if two are as near; 0 for what is no number. (`f64::round` needs the
/// standard library.)
#[inline]
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "`as` holds a value at the ends of its range, where the rest does not matter"
)]
fn rounded(value: f64) -> i64 {
    let whole = value as i64;
    let rest = value - whole as f64;
    whole.saturating_add(i64::from(rest >= 0.5)).saturating_sub(i64::from(rest <= -0.5))
}

fn levels<C: Codec<N>, const N: usize>(bytes: &[u8]) -> impl Iterator<Item = f64> {
    bytes.as_chunks().0.iter().map(|sample| C::level(C::load(*sample)))
}

fn encode<C: Codec<N>, const N: usize>(levels: impl IntoIterator<Item = f64>, into: &mut [u8]) {
    for (sample, level) in into.as_chunks_mut().0.iter_mut().zip(levels) {
        *sample = C::store(C::nearest(level));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::float_cmp, reason = "exact values are meant")]

    use super::*;
    use proptest::prelude::*;

    fn any_format() -> impl Strategy<Value = SampleFormat> {
        proptest::sample::select(&SampleFormat::ALL)
    }

    fn decoded(format: SampleFormat, bytes: &[u8]) -> Vec<f64> {
        let mut levels = Vec::new();
        format.decode(bytes, |level| levels.push(level));
        levels
    }

    fn encoded(format: SampleFormat, levels: &[f64]) -> Vec<u8> {
        let mut bytes = vec![0xEE; levels.len() * format.bytes() as usize];
        format.encode(levels.iter().copied(), &mut bytes);
        bytes
    }

    proptest! {
        /// What a decoder reads an encoder stores as it was.
        #[test]
        fn encode_gives_back_what_decode_read(format in any_format(), bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let size = format.bytes() as usize;
            let (levels, again) = (decoded(format, &bytes), encoded(format, &decoded(format, &bytes)));
            prop_assert_eq!(levels.len(), bytes.len() / size, "whole samples");
            for ((before, after), level) in bytes.chunks(size).zip(again.chunks(size)).zip(levels) {
                let mut expected = before.to_vec();
                if format == SampleFormat::S24In32 {
                    expected[0] = 0;
                }
                if level.is_nan() {
                    prop_assert!(f32::from_le_bytes(after.try_into().unwrap()).is_nan());
                } else {
                    prop_assert_eq!(after, &expected[..]);
                }
            }
        }

        /// A level comes back as near as the format can say it.
        #[test]
        fn decode_gives_back_what_encode_was_given(format in any_format(), level in -1.0..1.0_f64) {
            let seen = decoded(format, &encoded(format, &[level]))[0];
            let step = if format.is_float() { 2_f64.powi(-24) } else { full_scale(format.valid_bits().into()).recip() };
            // The highest integer is one step below full scale.
            prop_assert!((seen - level).abs() <= step / 2.0 || seen == 1.0 - step && level > seen, "{} {}", seen, level);
        }

        #[test]
        fn wider_format_keeps_every_value(from in any_format(), to in any_format(), bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let wider = match (from.is_float(), to.is_float()) {
                (false, false) => to.valid_bits() >= from.valid_bits(),
                (false, true) => from.valid_bits() <= 24,
                (true, to) => to,
            };
            let count = bytes.len() / from.bytes() as usize;
            let (mut there, mut back) = (vec![0; count * to.bytes() as usize], vec![0; count * from.bytes() as usize]);
            from.convert(&bytes, to, &mut there);
            to.convert(&there, from, &mut back);
            for (before, after) in bytes.chunks_exact(from.bytes() as usize).zip(back.chunks(from.bytes() as usize)) {
                let (before, after) = (from.value(before), from.value(after));
                let nan = matches!(before, Some(Value::Float(value)) if value.is_nan());
                prop_assert!(!wider || nan || before == after, "{:?} {:?}", before, after);
            }
        }

        #[test]
        fn value_and_level_agree(format in any_format(), bytes in prop::array::uniform4(any::<u8>())) {
            let sample = &bytes[..format.bytes() as usize];
            let level = decoded(format, sample)[0];
            match format.value(sample).unwrap() {
                Value::Int(value) => prop_assert_eq!(f64::from(value), level * full_scale(format.valid_bits().into())),
                Value::Float(value) => prop_assert!(f64::from(value) == level || value.is_nan()),
            }
            prop_assert_eq!(format.value(&bytes[..0]), None);
        }

        #[test]
        fn rounding_is_that_of_the_standard_library(value in prop_oneof![any::<f64>(), -3e9..3e9_f64, (-4000..4000_i32).prop_map(|n| f64::from(n) / 2.0)]) {
            #[allow(clippy::cast_possible_truncation, reason = "that is what it does")]
            let expected = value.round() as i64;
            prop_assert_eq!(rounded(value), expected);
        }
    }

    #[test]
    fn known_samples_lie_so() {
        let half = |format| encoded(format, &[-0.5]);
        assert_eq!(half(SampleFormat::U8), [0x40]);
        assert_eq!(half(SampleFormat::S16), [0x00, 0xC0]);
        assert_eq!(half(SampleFormat::S24), [0x00, 0x00, 0xC0]);
        assert_eq!(half(SampleFormat::S24In32), [0x00, 0x00, 0x00, 0xC0]);
        assert_eq!(half(SampleFormat::S32), [0x00, 0x00, 0x00, 0xC0]);
        assert_eq!(half(SampleFormat::F32), [0x00, 0x00, 0x00, 0xBF]);
        assert_eq!(SampleFormat::S24.value(&[1, 0, 0x80]), Some(Value::Int(-0x7F_FFFF)));
        assert_eq!(SampleFormat::S24In32.value(&[0xFF, 2, 0, 0]), Some(Value::Int(2)));
    }

    #[test]
    fn levels_beyond_full_scale_are_held_and_what_is_no_number_is_silent() {
        for format in SampleFormat::ALL.into_iter().filter(|format| !format.is_float()) {
            let levels = [1.5, -7.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY];
            let seen = decoded(format, &encoded(format, &levels));
            let highest = 1.0 - full_scale(format.valid_bits().into()).recip();
            assert_eq!(seen, [highest, -1.0, 0.0, highest, -1.0], "{}", format.name());
        }
    }

    #[test]
    fn silence_is_level_0() {
        for format in SampleFormat::ALL {
            let bytes = vec![format.silence(); format.bytes() as usize];
            assert_eq!(decoded(format, &bytes), [0.0], "{}", format.name());
            assert_eq!(encoded(format, &[0.0]), bytes);
            let mut many = bytes.repeat(5000);
            assert!(format.is_silence(&many));
            many[4999] ^= 1;
            assert!(!format.is_silence(&many));
        }
    }
}
