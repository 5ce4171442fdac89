//! What a stream carries: sample formats, rates, channels. Neutral: each card translates its own codes.

/// The most channels of a format.
pub const CHANNELS_MAX: u32 = 8;

/// The rates that a stream can have, in Hz, in the order of the bits of [`Capabilities::rates`].
pub const RATES: [u32; 15] = [
    8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 64_000, 88_200, 96_000, 176_400,
    192_000, 384_000,
];

/// The bit of `rate` (in Hz) in [`Capabilities::rates`]; 0 for a rate that is not in [`RATES`].
pub const fn rate_bit(rate: u32) -> u32 {
    let mut bit = 0;
    while bit < RATES.len() {
        if RATES[bit] == rate {
            return 1 << bit;
        }
        bit += 1;
    }
    0
}

/// How a sample lies in memory: little-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SampleFormat {
    /// 16-bit PCM.
    S16,
    /// 24-bit PCM in the upper bits of 32.
    S24In32,
    /// 32-bit PCM.
    S32,
    /// 32-bit IEEE float.
    F32,
}

impl SampleFormat {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::S16, Self::S24In32, Self::S32, Self::F32];

    /// Its bit in [`Capabilities::samples`].
    pub const fn bit(self) -> u32 {
        1 << self as u32
    }

    /// Bits of its container.
    pub const fn bits(self) -> u16 {
        match self {
            Self::S16 => 16,
            Self::S24In32 | Self::S32 | Self::F32 => 32,
        }
    }

    /// Bits of it that count.
    pub const fn valid_bits(self) -> u16 {
        match self {
            Self::S24In32 => 24,
            Self::S16 | Self::S32 | Self::F32 => self.bits(),
        }
    }

    /// Whether it is floating point; it is PCM otherwise.
    pub const fn is_float(self) -> bool {
        match self {
            Self::F32 => true,
            Self::S16 | Self::S24In32 | Self::S32 => false,
        }
    }
}

/// The formats that a stream of a card takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// [`SampleFormat::bit`]s.
    pub samples: u32,
    /// [`rate_bit`]s.
    pub rates: u32,
    /// Most channels; 1 is the least.
    pub channels_max: u32,
}

impl Capabilities {
    /// Every format that the driver knows.
    pub const ALL: Self = Self {
        samples: (1 << SampleFormat::ALL.len()) - 1,
        rates: (1 << RATES.len()) - 1,
        channels_max: CHANNELS_MAX,
    };

    /// Whether the stream takes `format`.
    pub const fn takes(self, format: AudioFormat) -> bool {
        self.has(format.sample)
            && self.has_rate(format.rate)
            && format.channels >= 1
            && format.channels <= self.channels_max
    }

    /// Whether the stream takes PCM samples that fill the container which `sample` leaves partly empty.
    pub const fn fills(self, sample: SampleFormat) -> bool {
        matches!(sample, SampleFormat::S24In32) && self.has(SampleFormat::S32)
    }

    /// Whether the stream takes such samples.
    pub const fn has(self, sample: SampleFormat) -> bool {
        self.samples & sample.bit() != 0
    }

    /// Whether the stream takes this rate, in Hz.
    pub const fn has_rate(self, rate: u32) -> bool {
        self.rates & rate_bit(rate) != 0
    }
}

/// The format of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AudioFormat {
    /// How a sample lies in memory.
    pub sample: SampleFormat,
    /// Samples in a frame, at least 1.
    pub channels: u32,
    /// Frames per second.
    pub rate: u32,
}

impl AudioFormat {
    /// Bytes of a frame.
    pub const fn frame_bytes(self) -> u32 {
        self.channels * (self.sample.bits() as u32 / 8)
    }
}
