//! Sample formats and rates. DATASHEET 4.2.

/// 16-bit signed PCM, 2 bytes a sample.
pub const S16: u32 = 0;
/// 24-bit signed PCM in the upper bits of 32, 4 bytes a sample.
pub const S24_32: u32 = 1;
/// 32-bit signed PCM.
pub const S32: u32 = 2;
/// 32-bit IEEE float.
pub const F32: u32 = 3;

/// A sample format that FORMAT and FORMATS have a code for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SampleCode {
    /// [`S16`].
    S16,
    /// [`S24_32`].
    S24In32,
    /// [`S32`].
    S32,
    /// [`F32`].
    F32,
}

impl SampleCode {
    /// The format with this code; `None` for a code that is not defined.
    pub const fn from_code(code: u32) -> Option<Self> {
        match code {
            S16 => Some(Self::S16),
            S24_32 => Some(Self::S24In32),
            S32 => Some(Self::S32),
            F32 => Some(Self::F32),
            _ => None,
        }
    }

    /// Bytes of one sample.
    pub const fn bytes(self) -> u32 {
        match self {
            Self::S16 => 2,
            Self::S24In32 | Self::S32 | Self::F32 => 4,
        }
    }
}

/// Bytes of one sample; `None` for a code that is not defined.
pub const fn sample_bytes(code: u32) -> Option<u32> {
    match SampleCode::from_code(code) {
        Some(sample) => Some(sample.bytes()),
        None => None,
    }
}

/// The rates in Hz, in the order of the bits of [`crate::stream::RATES`].
pub const RATES: [u32; 15] = [
    8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 64_000, 88_200, 96_000, 176_400,
    192_000, 384_000,
];

/// The bit of `rate_hz` in [`crate::stream::RATES`]; 0 for a rate that is not in the list.
pub const fn rate_bit(rate_hz: u32) -> u32 {
    let mut bit = 0;
    while bit < RATES.len() {
        if RATES[bit] == rate_hz {
            return 1 << bit;
        }
        bit += 1;
    }
    0
}

/// The bits of all rates.
pub const RATES_ALL: u32 = (1 << RATES.len()) - 1;
/// The bits of all sample formats in [`crate::stream::FORMATS`].
pub const FORMATS_ALL: u32 = (1 << S16) | (1 << S24_32) | (1 << S32) | (1 << F32);

/// The most channels that FORMAT can name in version 1.
pub const CHANNELS_MAX: u32 = 8;

/// Value of the FORMAT register for a sample format code and a number of channels.
pub const fn pack(code: u32, channels: u32) -> u32 {
    (code & 0xFF) | (channels & 0xFF) << 8
}
/// Sample format code of a FORMAT value.
pub const fn code(format: u32) -> u32 {
    format & 0xFF
}
/// Channels of a FORMAT value.
pub const fn channels(format: u32) -> u32 {
    format >> 8 & 0xFF
}
