//! The formats of the render pin: what is announced, what a client asks for, and where the two meet.
//!
//! The pin takes 16-bit PCM, mono or stereo, at 44.1 or 48 kHz, as `WAVEFORMATEX` or `WAVEFORMATEXTENSIBLE`. The data ranges
//! announce exactly that, and [`AudioFormat::parse`] accepts exactly that. Everything here works on byte slices, so that no
//! length a client invents can lead outside of what it gave. Layouts: wavert-facts 5.1.

use portcls_sys::In;
use portcls_sys::guid::{
    GUID, GUID_NULL, KSDATAFORMAT_SPECIFIER_WAVEFORMATEX, KSDATAFORMAT_SUBTYPE_PCM, KSDATAFORMAT_TYPE_AUDIO,
};
use portcls_sys::ks::{KSDATAFORMAT, KSDATARANGE};

/// The rates in Hz, each with a data range of its own.
pub const RATES: [u32; 2] = [44_100, 48_000];
/// Most channels of the pin; 1 is the least.
pub const CHANNELS_MAX: u32 = 2;
/// Bits of a sample.
pub const SAMPLE_BITS: u16 = 16;

const WAVE_FORMAT_PCM: u16 = 1;
const WAVE_FORMAT_EXTENSIBLE: u16 = 0xFFFE;
/// Offset of `WAVEFORMATEX` in a `KSDATAFORMAT_WAVEFORMATEX`, and size of `KSDATAFORMAT`.
const HEADER_BYTES: usize = 64;
/// Size of `KSDATAFORMAT_WAVEFORMATEX` with its padding.
pub const FORMAT_BYTES: usize = 88;
/// `cbSize` of a `WAVEFORMATEXTENSIBLE`.
const EXTENSIBLE_BYTES: u16 = 22;
/// End of the format tag in a format.
const TAG_END: usize = HEADER_BYTES + 2;
/// End of the last field of a data range: `KSDATARANGE_AUDIO` without its padding.
const RANGE_BYTES: usize = 84;
/// End of `WAVEFORMATEX` in a format.
const WAVE_BYTES: usize = 82;
/// The longest prefix of a client's format that is looked at: a `KSDATAFORMAT_WAVEFORMATEXTENSIBLE`.
const PREFIX_BYTES_MAX: usize = 104;
/// `KSDATAFORMAT_ATTRIBUTES`: an attribute list follows the format.
const FLAG_ATTRIBUTES: u32 = 2;

/// A format that the pin takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AudioFormat {
    /// 1 or 2.
    pub channels: u32,
    /// Frames per second: one of [`RATES`].
    pub rate: u32,
}

/// Why a format is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FormatError {
    /// The structure is shorter than it has to be, or contradicts itself.
    Malformed,
    /// A well-formed format that the pin does not have.
    NoMatch,
    /// The client adds attributes; the data ranges announce none.
    Attributes,
}

/// The first bytes of a client's format or data range, copied once: as many as it says it has, at most as many as its kind is
/// looked at. So a size that is too large leads no further than a structure of that kind reaches.
pub struct Prefix {
    bytes: [u8; PREFIX_BYTES_MAX],
    length: usize,
}

impl Prefix {
    /// Copies a data range's first bytes. Nothing beyond its own `FormatSize` is touched, not even of a head that is too short.
    pub fn of_range(range: &In<'_, KSDATARANGE>) -> Result<Self, FormatError> {
        Self::copy(range.as_ptr().cast(), RANGE_BYTES)
    }

    /// Copies a format's first bytes: of an extensible one more than of another.
    pub fn of_format(format: &In<'_, KSDATAFORMAT>) -> Result<Self, FormatError> {
        let start = format.as_ptr().cast();
        let tag = Fields(Self::copy(start, TAG_END)?.as_slice()).u16(HEADER_BYTES);
        Self::copy(start, if tag == Some(WAVE_FORMAT_EXTENSIBLE) { PREFIX_BYTES_MAX } else { WAVE_BYTES })
    }

    /// At most `most` bytes (not above `PREFIX_BYTES_MAX`) from `start`, NULL or a structure that begins with its size.
    fn copy(start: *const u8, most: usize) -> Result<Self, FormatError> {
        if start.is_null() {
            return Err(FormatError::Malformed);
        }
        // SAFETY: not NULL, so by the interface's contract there is a format, which begins with its size.
        let size = unsafe { start.cast::<u32>().read_unaligned() };
        let length = usize::try_from(size).unwrap_or(0).min(most).min(PREFIX_BYTES_MAX);
        let mut bytes = [0; PREFIX_BYTES_MAX];
        // SAFETY: `length` is at most what the format says it has, and at most the copy's room.
        unsafe { core::ptr::copy_nonoverlapping(start, bytes.as_mut_ptr(), length) };
        Ok(Self { bytes, length })
    }

    /// The bytes.
    pub fn as_slice(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

impl AudioFormat {
    /// Bytes of a frame.
    pub const fn frame_bytes(self) -> u32 {
        self.channels * (SAMPLE_BITS as u32 / 8)
    }

    /// Reads a `KSDATAFORMAT` with what follows it, of which `bytes` are a [`Prefix`].
    pub fn parse(bytes: &[u8]) -> Result<Self, FormatError> {
        use FormatError::{Attributes, Malformed, NoMatch};
        let reader = Fields(bytes);
        let flags = reader.u32(4).ok_or(Malformed)?;
        let major = reader.guid(16).ok_or(Malformed)?;
        let subformat = reader.guid(32).ok_or(Malformed)?;
        let specifier = reader.guid(48).ok_or(Malformed)?;
        if major != KSDATAFORMAT_TYPE_AUDIO
            || subformat != KSDATAFORMAT_SUBTYPE_PCM
            || specifier != KSDATAFORMAT_SPECIFIER_WAVEFORMATEX
        {
            return Err(NoMatch);
        }
        if flags & FLAG_ATTRIBUTES != 0 {
            return Err(Attributes);
        }
        let wave = Fields(bytes.get(HEADER_BYTES..).ok_or(Malformed)?);
        let format = Self::parse_wave(&wave)?;
        if RATES.contains(&format.rate) && (1..=CHANNELS_MAX).contains(&format.channels) {
            Ok(format)
        } else {
            Err(NoMatch)
        }
    }

    /// Reads a `WAVEFORMATEX` or `WAVEFORMATEXTENSIBLE` and checks that its fields agree with each other.
    fn parse_wave(wave: &Fields) -> Result<Self, FormatError> {
        use FormatError::{Malformed, NoMatch};
        let tag = wave.u16(0).ok_or(Malformed)?;
        let channels = u32::from(wave.u16(2).ok_or(Malformed)?);
        let rate = wave.u32(4).ok_or(Malformed)?;
        let bytes_per_second = wave.u32(8).ok_or(Malformed)?;
        let frame_bytes = wave.u16(12).ok_or(Malformed)?;
        let bits = wave.u16(14).ok_or(Malformed)?;
        let extra_bytes = wave.u16(16).ok_or(Malformed)?;
        match tag {
            WAVE_FORMAT_PCM => {}
            WAVE_FORMAT_EXTENSIBLE => Self::check_extensible(wave, channels, bits, extra_bytes)?,
            _ => return Err(NoMatch),
        }
        if bits != SAMPLE_BITS {
            return Err(NoMatch);
        }
        let format = Self { channels, rate };
        let expected = channels.checked_mul(u32::from(SAMPLE_BITS / 8)).ok_or(Malformed)?;
        if u32::from(frame_bytes) != expected || expected.checked_mul(rate) != Some(bytes_per_second) {
            return Err(Malformed);
        }
        Ok(format)
    }

    fn check_extensible(
        wave: &Fields,
        channels: u32,
        bits: u16,
        extra_bytes: u16,
    ) -> Result<(), FormatError> {
        use FormatError::{Malformed, NoMatch};
        if extra_bytes < EXTENSIBLE_BYTES {
            return Err(Malformed);
        }
        let valid_bits = wave.u16(18).ok_or(Malformed)?;
        let mask = wave.u32(20).ok_or(Malformed)?;
        let subformat = wave.guid(24).ok_or(Malformed)?;
        if subformat != KSDATAFORMAT_SUBTYPE_PCM {
            return Err(NoMatch);
        }
        // 0 valid bits is a common way to say "all of them".
        if valid_bits > bits {
            return Err(Malformed);
        }
        if valid_bits != 0 && valid_bits != bits {
            return Err(NoMatch);
        }
        // 0 means "no particular speakers".
        if mask != 0 && mask.count_ones() != channels { Err(NoMatch) } else { Ok(()) }
    }

    /// The format where a client's data range and the pin's range for `rate` meet. `client` is a
    /// [`Prefix`] of the range.
    pub fn intersect(client: &[u8], rate: u32) -> Result<Self, FormatError> {
        use FormatError::{Malformed, NoMatch};
        let range = Fields(client);
        let matches = |offset, ours| match range.guid(offset) {
            Some(theirs) if theirs == GUID_NULL || theirs == ours => Ok(theirs),
            Some(_) => Err(NoMatch),
            None => Err(Malformed),
        };
        matches(16, KSDATAFORMAT_TYPE_AUDIO)?;
        matches(32, KSDATAFORMAT_SUBTYPE_PCM)?;
        let specifier = matches(48, KSDATAFORMAT_SPECIFIER_WAVEFORMATEX)?;
        if client.len() < RANGE_BYTES {
            // Only a wildcard may come without the audio limits: then anything will do.
            return if specifier == GUID_NULL {
                Ok(Self { channels: CHANNELS_MAX, rate })
            } else {
                Err(Malformed)
            };
        }
        let field = |offset| range.u32(offset).ok_or(Malformed);
        let (channels, bits) = (field(64)?, field(68)?..=field(72)?);
        let rates = field(76)?..=field(80)?;
        if channels == 0 || !bits.contains(&u32::from(SAMPLE_BITS)) || !rates.contains(&rate) {
            return Err(NoMatch);
        }
        Ok(Self { channels: channels.min(CHANNELS_MAX), rate })
    }

    /// The format as a `KSDATAFORMAT_WAVEFORMATEX`.
    pub fn to_bytes(self) -> [u8; FORMAT_BYTES] {
        let mut bytes = [0; FORMAT_BYTES];
        let frame_bytes = self.frame_bytes();
        let mut rest = bytes.as_mut_slice();
        let mut put = |value: &[u8]| {
            let taken = core::mem::take(&mut rest);
            if let Some((field, behind)) = taken.split_at_mut_checked(value.len()) {
                field.copy_from_slice(value);
                rest = behind;
            }
        };
        // KSDATAFORMAT: FormatSize, Flags, SampleSize, Reserved, MajorFormat, SubFormat, Specifier.
        put(&u32::try_from(FORMAT_BYTES).unwrap_or(0).to_le_bytes());
        put(&[0; 4]);
        put(&frame_bytes.to_le_bytes());
        put(&[0; 4]);
        put(&guid_bytes(KSDATAFORMAT_TYPE_AUDIO));
        put(&guid_bytes(KSDATAFORMAT_SUBTYPE_PCM));
        put(&guid_bytes(KSDATAFORMAT_SPECIFIER_WAVEFORMATEX));
        // WAVEFORMATEX: tag, channels, rate, bytes per second, frame bytes, bits, no extra bytes.
        put(&WAVE_FORMAT_PCM.to_le_bytes());
        put(&low16(self.channels));
        put(&self.rate.to_le_bytes());
        put(&self.rate.saturating_mul(frame_bytes).to_le_bytes());
        put(&low16(frame_bytes));
        put(&SAMPLE_BITS.to_le_bytes());
        bytes
    }
}

/// The one rate of a data range of ours; `None` for a range without one (a bridge's). `range` is a [`Prefix`] of it.
pub fn range_rate(range: &[u8]) -> Option<u32> {
    Fields(range).u32(76)
}

/// The low half of a value that is known to be small.
const fn low16(value: u32) -> [u8; 2] {
    let [a, b, _, _] = value.to_le_bytes();
    [a, b]
}

/// A GUID as it lies in memory: three little-endian numbers and eight bytes.
fn guid_bytes(guid: GUID) -> [u8; 16] {
    let numbers = u64::from(guid.Data1) | u64::from(guid.Data2) << 32 | u64::from(guid.Data3) << 48;
    (u128::from(numbers) | u128::from(u64::from_le_bytes(guid.Data4)) << 64).to_le_bytes()
}

/// Little-endian fields at byte offsets of a slice; `None` outside of it.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn array<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        self.0.get(offset..offset.checked_add(N)?)?.try_into().ok()
    }
    fn u16(&self, offset: usize) -> Option<u16> {
        self.array(offset).map(u16::from_le_bytes)
    }
    fn u32(&self, offset: usize) -> Option<u32> {
        self.array(offset).map(u32::from_le_bytes)
    }
    fn guid(&self, offset: usize) -> Option<GUID> {
        Some(GUID {
            Data1: self.u32(offset)?,
            Data2: self.u16(offset.checked_add(4)?)?,
            Data3: self.u16(offset.checked_add(6)?)?,
            Data4: self.array(offset.checked_add(8)?)?,
        })
    }
}

#[cfg(test)]
#[path = "format_tests.rs"]
mod tests;
