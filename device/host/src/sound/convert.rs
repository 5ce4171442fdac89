//! Which format a device is opened with, and how a stream's frames become the device's, or the device's the
//! stream's.
//!
//! The stream's own format is taken if the device does: then bytes are copied, and what arrives is bit for
//! bit what was sent. Else a format that holds every sample exactly, else the nearest. Channels: the stream's
//! own number if the device takes it; else more, the additional ones silent; else stereo or mono, each the
//! mean of what belongs there. Rates are never changed.

use ringwave_audio::{SampleFormat, StreamFormat};

/// How a device wants a sample, in the host's byte order (which is little-endian everywhere this runs).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Samples {
    /// 16 bits.
    S16,
    /// 24 bits in the lower three bytes of four.
    S24,
    /// 32 bits.
    S32,
    /// 32-bit float.
    F32,
}

impl Samples {
    /// For a person.
    pub const fn name(self) -> &'static str {
        match self {
            Self::S16 => "s16",
            Self::S24 => "s24",
            Self::S32 => "s32",
            Self::F32 => "f32",
        }
    }

    /// The format of our own that it is, but that [`Samples::S24`] has its bits in the upper three bytes
    /// there.
    const fn encoded(self) -> SampleFormat {
        match self {
            Self::S16 => SampleFormat::S16,
            Self::S24 => SampleFormat::S24In32,
            Self::S32 => SampleFormat::S32,
            Self::F32 => SampleFormat::F32,
        }
    }

    /// Bytes of one.
    pub const fn bytes(self) -> usize {
        self.encoded().bytes() as usize
    }
}

/// Something a device can be opened with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offer {
    /// How it wants a sample.
    pub samples: Samples,
    /// How many in a frame.
    pub channels: u32,
    /// Lowest frames per second.
    pub lowest: u32,
    /// Highest frames per second.
    pub highest: u32,
}

/// What a device is opened with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opening {
    /// How it wants a sample.
    pub samples: Samples,
    /// How many in a frame.
    pub channels: u32,
    /// Frames per second.
    pub rate: u32,
}

impl Opening {
    /// Bytes of a frame.
    pub fn frame_bytes(self) -> usize {
        self.samples.bytes() * self.channels as usize
    }
}

/// Why no offer will do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// The rates it takes, for a person.
    Rate(String),
    /// It has none of our sample formats, or no channels that would do.
    Format,
}

/// The best of `offers` for a stream.
pub fn choose(stream: StreamFormat, offers: &[Offer]) -> Result<Opening, Unfit> {
    let at_rate = |offer: &&Offer| (offer.lowest..=offer.highest).contains(&stream.rate);
    if !offers.is_empty() && !offers.iter().any(|offer| at_rate(&offer)) {
        return Err(Unfit::Rate(rates(offers)));
    }
    let best = offers
        .iter()
        .filter(at_rate)
        .filter_map(|offer| {
            let channels = channels_cost(stream.channels, offer.channels)?;
            Some(((channels, samples_cost(stream.sample, offer.samples)), offer))
        })
        .min_by_key(|(cost, _)| *cost);
    let (_, offer) = best.ok_or(Unfit::Format)?;
    Ok(Opening { samples: offer.samples, channels: offer.channels, rate: stream.rate })
}

/// The stream's own number is best, then more (the fewer the better), then stereo, then mono.
fn channels_cost(stream: u32, device: u32) -> Option<u32> {
    match device {
        0 => None,
        _ if device == stream => Some(0),
        _ if device > stream => Some(device),
        2 => Some(1000),
        1 => Some(1001),
        _ => None,
    }
}

/// The place in the order in which `sample` likes to be converted; the first ones are exact.
fn samples_cost(sample: SampleFormat, samples: Samples) -> usize {
    use Samples::{F32, S16, S24, S32};
    let order = match sample {
        SampleFormat::U8 | SampleFormat::S16 => [S16, S32, S24, F32],
        SampleFormat::S24 | SampleFormat::S24In32 => [S32, S24, F32, S16],
        SampleFormat::S32 => [S32, F32, S24, S16],
        SampleFormat::F32 => [F32, S32, S24, S16],
    };
    order.iter().position(|like| *like == samples).unwrap_or(order.len())
}

/// `44100, 48000 Hz` or `8000 to 192000 Hz`.
fn rates(offers: &[Offer]) -> String {
    let mut ranges: Vec<(u32, u32)> = offers.iter().map(|offer| (offer.lowest, offer.highest)).collect();
    ranges.sort_unstable();
    ranges.dedup();
    let names = ranges.iter().map(
        |(low, high)| {
            if low == high { low.to_string() } else { format!("{low} to {high}") }
        },
    );
    names.collect::<Vec<_>>().join(", ") + " Hz"
}

/// How the samples of a frame lie in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Layout {
    sample: SampleFormat,
    /// The 24 bits of [`SampleFormat::S24In32`] are in the lower three bytes, as in [`Samples::S24`].
    low: bool,
    channels: u32,
}

impl From<StreamFormat> for Layout {
    fn from(stream: StreamFormat) -> Self {
        Self { sample: stream.sample, low: false, channels: stream.channels }
    }
}

impl From<Opening> for Layout {
    fn from(device: Opening) -> Self {
        let low = device.samples == Samples::S24;
        Self { sample: device.samples.encoded(), low, channels: device.channels }
    }
}

/// Turns a stream's frames into a device's, or a device's into a stream's.
#[derive(Clone, Debug)]
pub struct Converter {
    from: Layout,
    to: Layout,
    /// Each channel of the result: the channels of which it is the mean.
    mix: Vec<Vec<usize>>,
    /// Samples with their bits where ours are.
    shifted: Vec<u8>,
    /// Levels of the samples as they come, and as they go.
    levels: Vec<f64>,
    mixed: Vec<f64>,
}

impl Converter {
    /// From a stream's format to what a device was opened with.
    pub fn to_device(from: StreamFormat, to: Opening) -> Self {
        Self::new(from.into(), to.into())
    }

    /// From what a device was opened with to a stream's format.
    pub fn from_device(from: Opening, to: StreamFormat) -> Self {
        Self::new(from.into(), to.into())
    }

    fn new(from: Layout, to: Layout) -> Self {
        let mix =
            (0..to.channels as usize).map(|channel| sources(from.channels as usize, to.channels, channel));
        let (shifted, levels, mixed) = (Vec::new(), Vec::new(), Vec::new());
        Self { from, to, mix: mix.collect(), shifted, levels, mixed }
    }

    /// Whether bytes are copied as they are.
    pub fn is_exact_copy(&self) -> bool {
        let (from, to) = (self.from, self.to);
        // 24 bits in the upper three bytes, the lowest 0: the same number of 32 bits.
        let same = from.sample == to.sample
            || (from.sample, to.sample) == (SampleFormat::S24In32, SampleFormat::S32);
        same && from.low == to.low && from.channels == to.channels
    }

    /// Whether `bytes` of the stream are nothing but silence.
    pub fn is_silence(&self, bytes: &[u8]) -> bool {
        self.from.sample.is_silence(bytes)
    }

    /// Bytes of a frame as it comes.
    fn frame_bytes(&self) -> usize {
        (self.from.sample.bytes() * self.from.channels) as usize
    }

    /// How many frames `bytes` are.
    pub fn frames_of(&self, bytes: &[u8]) -> u64 {
        (bytes.len() / self.frame_bytes().max(1)) as u64
    }

    /// Puts the frames for `bytes`, whole frames, behind what is in `out`.
    pub fn convert(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        if self.is_exact_copy() {
            out.extend_from_slice(bytes);
            return;
        }
        let channels = self.from.channels.max(1) as usize;
        self.levels.clear();
        let bytes = if self.from.low {
            self.shifted.clear();
            let samples = bytes.as_chunks().0.iter().map(|sample| i32::from_le_bytes(*sample) << 8);
            self.shifted.extend(samples.flat_map(i32::to_le_bytes));
            &self.shifted
        } else {
            bytes
        };
        self.from.sample.decode(bytes, |level| self.levels.push(level));
        self.mixed.clear();
        for frame in self.levels.chunks_exact(channels) {
            self.mixed.extend(self.mix.iter().map(|sources| {
                let levels = sources.iter().filter_map(|source| frame.get(*source));
                #[allow(clippy::cast_precision_loss, reason = "at most 8")]
                let mean = levels.sum::<f64>() / sources.len().max(1) as f64;
                mean
            }));
        }
        let start = out.len();
        out.resize(start + self.mixed.len() * self.to.sample.bytes() as usize, 0);
        let out = out.get_mut(start..).unwrap_or_default();
        self.to.sample.encode(self.mixed.iter().copied(), out);
        if self.to.low {
            for sample in out.as_chunks_mut().0 {
                *sample = (i32::from_le_bytes(*sample) >> 8).to_le_bytes();
            }
        }
    }
}

/// Which of `have` channels, in the order that WAVE files and Windows have, are in `channel` of something
/// with `want`.
fn sources(have: usize, want: u32, channel: usize) -> Vec<usize> {
    match (have, want) {
        (1, 2..) if channel < 2 => vec![0],
        (_, 1) => (0..have).collect(),
        (3.., 2) => {
            let (left, right): (&[usize], &[usize]) = match have {
                // Front left, front right, low frequencies.
                3 => (&[0, 2], &[1, 2]),
                // Front and back pairs.
                4 => (&[0, 2], &[1, 3]),
                // Front pair, centre, back pair.
                5 => (&[0, 2, 3], &[1, 2, 4]),
                // Front pair, centre, low frequencies, back pair.
                6 => (&[0, 2, 3, 4], &[1, 2, 3, 5]),
                // ... back centre, side pair (6.1).
                7 => (&[0, 2, 3, 4, 5], &[1, 2, 3, 4, 6]),
                // ... back pair, side pair (7.1).
                _ => (&[0, 2, 3, 4, 6], &[1, 2, 3, 5, 7]),
            };
            if channel == 0 { left.to_vec() } else { right.to_vec() }
        }
        _ if channel < have => vec![channel],
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn stream(sample: SampleFormat, channels: u32) -> StreamFormat {
        StreamFormat { sample, channels, rate: 48_000 }
    }

    fn offer(samples: Samples, channels: u32) -> Offer {
        Offer { samples, channels, lowest: 44_100, highest: 48_000 }
    }

    fn convert(from: StreamFormat, to: Opening, bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        Converter::to_device(from, to).convert(bytes, &mut out);
        out
    }

    #[test]
    fn own_format_is_chosen_and_copied() {
        let offers =
            [Samples::S16, Samples::S24, Samples::S32, Samples::F32].map(|samples| offer(samples, 2));
        for (sample, samples) in [
            (SampleFormat::S16, Samples::S16),
            (SampleFormat::S24In32, Samples::S32),
            (SampleFormat::S32, Samples::S32),
            (SampleFormat::F32, Samples::F32),
        ] {
            let to = choose(stream(sample, 2), &offers).unwrap();
            assert_eq!(to, Opening { samples, channels: 2, rate: 48_000 });
            assert!(Converter::to_device(stream(sample, 2), to).is_exact_copy());
            let bytes: Vec<u8> = (0..64).map(|n| n * 3 + 1).collect();
            assert_eq!(convert(stream(sample, 2), to, &bytes), bytes);
        }
    }

    #[test]
    fn next_best_is_chosen() {
        let of = |offers: &[Offer]| choose(stream(SampleFormat::S16, 2), offers).unwrap();
        assert_eq!(of(&[offer(Samples::F32, 2), offer(Samples::S32, 2)]).samples, Samples::S32);
        assert_eq!(
            of(&[offer(Samples::S16, 1), offer(Samples::F32, 2)]).samples,
            Samples::F32,
            "channels first"
        );
        assert_eq!(of(&[offer(Samples::S16, 8), offer(Samples::S16, 4), offer(Samples::S16, 1)]).channels, 4);
        let surround = stream(SampleFormat::S16, 6);
        let chosen =
            choose(surround, &[offer(Samples::S16, 1), offer(Samples::S16, 2), offer(Samples::S16, 4)]);
        assert_eq!(chosen.unwrap().channels, 2);
    }

    #[test]
    fn rate_it_does_not_take_is_refused_with_those_it_takes() {
        let offers = [
            Offer { samples: Samples::S16, channels: 2, lowest: 44_100, highest: 44_100 },
            Offer { samples: Samples::S32, channels: 2, lowest: 44_100, highest: 44_100 },
            Offer { samples: Samples::S16, channels: 2, lowest: 88_200, highest: 192_000 },
        ];
        let told = choose(stream(SampleFormat::S16, 2), &offers);
        assert_eq!(told, Err(Unfit::Rate("44100, 88200 to 192000 Hz".to_owned())));
        assert_eq!(choose(stream(SampleFormat::S16, 2), &[]), Err(Unfit::Format));
        assert_eq!(choose(stream(SampleFormat::S16, 6), &[offer(Samples::S16, 4)]), Err(Unfit::Format));
    }

    #[test]
    fn channels_go_where_they_belong() {
        let to = |channels| Opening { samples: Samples::S16, channels, rate: 48_000 };
        let mix = |samples: &[i16], channels: u32| -> Vec<i16> {
            let bytes: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
            let from = stream(SampleFormat::S16, u32::try_from(samples.len()).unwrap());
            convert(from, to(channels), &bytes)
                .chunks(2)
                .map(|sample| i16::from_le_bytes([sample[0], sample[1]]))
                .collect()
        };
        assert_eq!(mix(&[100], 2), [100, 100], "mono on both");
        assert_eq!(mix(&[100, 200], 4), [100, 200, 0, 0], "the rest is silent");
        assert_eq!(mix(&[100, 200], 1), [150]);
        assert_eq!(mix(&[10, 0, 0, 0, 0, 0, 0, 0], 2), [2, 0]);
        assert_eq!(mix(&[0, 0, 500, 0, 0, 0, 0, 0], 2), [100, 100], "the centre on both");
        assert_eq!(mix(&[0, 0, 0, 0, 400, 0], 2), [100, 0], "back left");
        for channels in 3..=8_usize {
            let loud = vec![i16::MAX; channels];
            assert_eq!(mix(&loud, 2), [i16::MAX; 2], "{channels}: nothing is louder than it was");
        }
    }

    #[test]
    fn floats_beyond_full_scale_are_held_and_what_is_no_number_is_silent() {
        let bytes: Vec<u8> =
            [1.5_f32, -7.0, f32::NAN, f32::INFINITY].iter().flat_map(|value| value.to_le_bytes()).collect();
        let out = |samples| {
            convert(stream(SampleFormat::F32, 1), Opening { samples, channels: 1, rate: 48_000 }, &bytes)
        };
        let s16: Vec<u8> =
            [i16::MAX, i16::MIN, 0, i16::MAX].iter().flat_map(|sample| sample.to_le_bytes()).collect();
        assert_eq!(out(Samples::S16), s16);
        let s24: Vec<u8> = [0x7F_FFFF, -0x80_0000, 0, 0x7F_FFFF_i32]
            .iter()
            .flat_map(|sample| sample.to_le_bytes())
            .collect();
        assert_eq!(out(Samples::S24), s24);
    }

    #[test]
    fn what_a_device_records_comes_in_the_streams_format_and_channels() {
        let from = |samples, channels, sample, stream_channels, bytes: &[u8]| {
            let mut out = Vec::new();
            let opening = Opening { samples, channels, rate: 48_000 };
            Converter::from_device(opening, stream(sample, stream_channels)).convert(bytes, &mut out);
            out
        };
        let s16 =
            |samples: &[i16]| samples.iter().flat_map(|sample| sample.to_le_bytes()).collect::<Vec<_>>();
        let s32 =
            |samples: &[i32]| samples.iter().flat_map(|sample| sample.to_le_bytes()).collect::<Vec<_>>();
        let (mono, stereo) = (s16(&[7, -9]), s16(&[10, 20, -30, 50]));
        assert_eq!(from(Samples::S16, 1, SampleFormat::S16, 2, &mono), s16(&[7, 7, -9, -9]), "mono on both");
        assert_eq!(from(Samples::S16, 2, SampleFormat::S16, 1, &stereo), s16(&[15, 10]), "the mean");
        assert_eq!(from(Samples::S16, 2, SampleFormat::S16, 2, &stereo), stereo);
        // A device's 24 bits are in the lower three bytes, a stream's in the upper ones; what is above them
        // in a negative sample is its sign.
        let deep = s32(&[0x12_3456, -2]);
        assert_eq!(from(Samples::S24, 1, SampleFormat::S24In32, 1, &deep), s32(&[0x1234_5600, -512]));
        let finer = s32(&[0x1234_56FF, -1]);
        let rounded = from(Samples::S32, 1, SampleFormat::S24In32, 1, &finer);
        assert!(rounded.chunks(4).all(|sample| sample[0] == 0), "24 bits: the lowest byte is 0: {rounded:?}");
    }

    proptest! {
        #[test]
        fn wider_formats_keep_every_sample(samples in prop::collection::vec(any::<i16>(), 1..50)) {
            let bytes: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
            let from = stream(SampleFormat::S16, 1);
            let to = |samples| Opening { samples, channels: 1, rate: 48_000 };
            for (out, sample) in convert(from, to(Samples::S32), &bytes).chunks(4).zip(&samples) {
                prop_assert_eq!(i32::from_le_bytes(out.try_into().unwrap()), i32::from(*sample) << 16);
            }
            for (out, sample) in convert(from, to(Samples::S24), &bytes).chunks(4).zip(&samples) {
                prop_assert_eq!(i32::from_le_bytes(out.try_into().unwrap()), i32::from(*sample) << 8);
            }
            for (out, sample) in convert(from, to(Samples::F32), &bytes).chunks(4).zip(&samples) {
                let value = f32::from_le_bytes(out.try_into().unwrap()) * 32768.0;
                prop_assert_eq!(value.to_bits(), f32::from(*sample).to_bits());
            }
        }
    }
}
