//! The formats of a host pin: what it takes and what a client asks for.
//!
//! A pin takes what the card announces for its stream ([`Capabilities`]): sample formats, rates, channels.
//! The data ranges ([`super::ranges`]) announce exactly that, and [`AudioFormat::parse`] and
//! [`Capabilities::takes`] together accept exactly that, as `WAVEFORMATEX` or `WAVEFORMATEXTENSIBLE`.
//! Everything here works on byte slices, so that no length a client invents can lead outside of what it gave.
//! Layouts: WAVERT.md 5.1.
//!
//! [`Capabilities`]: crate::hw::format::Capabilities
//! [`Capabilities::takes`]: crate::hw::format::Capabilities::takes

use portcls_sys::In;
use portcls_sys::guid::{
    GUID, KSDATAFORMAT_SPECIFIER_WAVEFORMATEX, KSDATAFORMAT_SUBTYPE_IEEE_FLOAT, KSDATAFORMAT_SUBTYPE_PCM,
    KSDATAFORMAT_TYPE_AUDIO,
};
use portcls_sys::ks::{KSDATAFORMAT, KSDATAFORMAT_WAVEFORMATEX_BYTES as PLAIN_BYTES, KSDATARANGE};

use crate::hw::format::{AudioFormat, SampleFormat};

const WAVE_FORMAT_PCM: u16 = 1;
const WAVE_FORMAT_IEEE_FLOAT: u16 = 3;
const WAVE_FORMAT_EXTENSIBLE: u16 = 0xFFFE;
/// Offset of `WAVEFORMATEX` in a `KSDATAFORMAT_WAVEFORMATEX`, and size of `KSDATAFORMAT`.
pub(super) const HEADER_BYTES: usize = 64;
/// Size of a `KSDATAFORMAT_WAVEFORMATEXTENSIBLE`: the longest format that is written or looked at.
pub const FORMAT_BYTES_MAX: usize = 104;
/// `cbSize` of a `WAVEFORMATEXTENSIBLE`.
const EXTENSIBLE_BYTES: u16 = 22;
/// End of the format tag in a format.
const TAG_END: usize = HEADER_BYTES + 2;
/// End of the last field of a data range: `KSDATARANGE_AUDIO` without its padding.
pub(super) const RANGE_BYTES: usize = 84;

impl SampleFormat {
    /// Its subformat.
    pub fn subformat(self) -> GUID {
        if self.is_float() { KSDATAFORMAT_SUBTYPE_IEEE_FLOAT } else { KSDATAFORMAT_SUBTYPE_PCM }
    }

    /// The one that a format with these properties has; 0 valid bits is a common way to say "all of them".
    fn find(float: bool, bits: u16, valid_bits: u16) -> Option<Self> {
        let valid_bits = if valid_bits == 0 { bits } else { valid_bits };
        Self::ALL.into_iter().find(|sample| {
            sample.is_float() == float && sample.bits() == bits && sample.valid_bits() == valid_bits
        })
    }
}

/// Why a format is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FormatError {
    /// The structure is shorter than it has to be, or contradicts itself.
    Malformed,
    /// A well-formed format of a kind that no pin has.
    NoMatch,
    /// The client adds an attribute or names a mode that the pin does not know.
    Attributes,
}

/// The first bytes of a client's format or data range, copied once: as many as it says it has, at most as
/// many as its kind is looked at. So a size that is too large leads no further than a structure of that kind
/// reaches.
pub struct Prefix {
    bytes: [u8; FORMAT_BYTES_MAX],
    length: usize,
}

impl Prefix {
    /// Copies a data range's first bytes. Nothing beyond its own `FormatSize` is touched, not even of a head
    /// that is too short.
    pub fn of_range(range: &In<'_, KSDATARANGE>) -> Result<Self, FormatError> {
        Self::copy(range.as_ptr().cast(), RANGE_BYTES)
    }

    /// Copies a format's first bytes: of an extensible one more than of another.
    pub fn of_format(format: &In<'_, KSDATAFORMAT>) -> Result<Self, FormatError> {
        let start = format.as_ptr().cast();
        let tag = Fields(Self::copy(start, TAG_END)?.as_slice()).u16(HEADER_BYTES);
        Self::copy(start, if tag == Some(WAVE_FORMAT_EXTENSIBLE) { FORMAT_BYTES_MAX } else { PLAIN_BYTES })
    }

    /// At most `most` bytes (not above `FORMAT_BYTES_MAX`) from `start`, NULL or a structure that begins with
    /// its size.
    fn copy(start: *const u8, most: usize) -> Result<Self, FormatError> {
        if start.is_null() {
            return Err(FormatError::Malformed);
        }
        // SAFETY: not NULL, so by the interface's contract there is a format, which begins with its size.
        let size = unsafe { start.cast::<u32>().read_unaligned() };
        let length = usize::try_from(size).unwrap_or(0).min(most).min(FORMAT_BYTES_MAX);
        let mut bytes = [0; FORMAT_BYTES_MAX];
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
    /// Reads a `KSDATAFORMAT` with what follows it, of which `bytes` are a [`Prefix`]. Whether a pin takes
    /// it, its stream's `Capabilities` know; whether an attribute list that follows is good,
    /// [`super::modes`].
    pub fn parse(bytes: &[u8]) -> Result<Self, FormatError> {
        use FormatError::{Malformed, NoMatch};
        let reader = Fields(bytes);
        let major = reader.guid(16).ok_or(Malformed)?;
        let subformat = reader.guid(32).ok_or(Malformed)?;
        let specifier = reader.guid(48).ok_or(Malformed)?;
        if major != KSDATAFORMAT_TYPE_AUDIO || specifier != KSDATAFORMAT_SPECIFIER_WAVEFORMATEX {
            return Err(NoMatch);
        }
        let float = is_float(subformat)?;
        Self::parse_wave(&Fields(bytes.get(HEADER_BYTES..).ok_or(Malformed)?), float)
    }

    /// Reads a `WAVEFORMATEX` or `WAVEFORMATEXTENSIBLE` and checks that its fields agree with each other.
    fn parse_wave(wave: &Fields, float: bool) -> Result<Self, FormatError> {
        use FormatError::{Malformed, NoMatch};
        let tag = wave.u16(0).ok_or(Malformed)?;
        let channels = u32::from(wave.u16(2).ok_or(Malformed)?);
        let rate = wave.u32(4).ok_or(Malformed)?;
        let bytes_per_second = wave.u32(8).ok_or(Malformed)?;
        let frame_bytes = wave.u16(12).ok_or(Malformed)?;
        let bits = wave.u16(14).ok_or(Malformed)?;
        let extra_bytes = wave.u16(16).ok_or(Malformed)?;
        let valid_bits = match tag {
            WAVE_FORMAT_PCM if !float => bits,
            WAVE_FORMAT_IEEE_FLOAT if float => bits,
            WAVE_FORMAT_EXTENSIBLE => Self::check_extensible(wave, float, bits, extra_bytes)?,
            _ => return Err(NoMatch),
        };
        let sample = SampleFormat::find(float, bits, valid_bits).ok_or(NoMatch)?;
        let expected = channels.checked_mul(u32::from(bits / 8)).filter(|bytes| *bytes > 0).ok_or(NoMatch)?;
        if u32::from(frame_bytes) != expected || expected.checked_mul(rate) != Some(bytes_per_second) {
            return Err(Malformed);
        }
        Ok(Self { sample, channels, rate })
    }

    /// Checks what an extensible format says more; gives its valid bits.
    fn check_extensible(wave: &Fields, float: bool, bits: u16, extra_bytes: u16) -> Result<u16, FormatError> {
        use FormatError::{Malformed, NoMatch};
        if extra_bytes < EXTENSIBLE_BYTES {
            return Err(Malformed);
        }
        let valid_bits = wave.u16(18).ok_or(Malformed)?;
        let subformat = wave.guid(24).ok_or(Malformed)?;
        if is_float(subformat)? != float {
            return Err(NoMatch);
        }
        if valid_bits > bits {
            return Err(Malformed);
        }
        // Any dwChannelMask will do. Its page: bits beyond the channels are ignored, channels beyond the bits
        // have no particular speaker. The card knows no speakers, only channels in their order.
        wave.u32(20).ok_or(Malformed)?;
        Ok(valid_bits)
    }

    /// The format as a `KSDATAFORMAT_WAVEFORMATEXTENSIBLE`, which says all of it.
    pub fn to_bytes(self) -> Encoded {
        self.encode(WAVE_FORMAT_EXTENSIBLE)
    }

    /// The same as a `KSDATAFORMAT_WAVEFORMATEX`; `None` where that does not say all of it.
    pub fn to_short_bytes(self) -> Option<Encoded> {
        let tag = if self.sample.is_float() { WAVE_FORMAT_IEEE_FLOAT } else { WAVE_FORMAT_PCM };
        let short = self.channels <= 2 && self.sample.valid_bits() == self.sample.bits();
        short.then(|| self.encode(tag))
    }

    fn encode(self, tag: u16) -> Encoded {
        let extensible = tag == WAVE_FORMAT_EXTENSIBLE;
        let length = if extensible { FORMAT_BYTES_MAX } else { PLAIN_BYTES };
        let mut encoded = Encoded { bytes: [0; FORMAT_BYTES_MAX], length };
        let frame_bytes = self.frame_bytes();
        let mut rest = encoded.bytes.as_mut_slice();
        let mut put = |value: &[u8]| {
            let taken = core::mem::take(&mut rest);
            if let Some((field, behind)) = taken.split_at_mut_checked(value.len()) {
                field.copy_from_slice(value);
                rest = behind;
            }
        };
        // KSDATAFORMAT: FormatSize, Flags, SampleSize, Reserved, MajorFormat, SubFormat, Specifier.
        put(&u32::try_from(encoded.length).unwrap_or(0).to_le_bytes());
        put(&[0; 4]);
        put(&frame_bytes.to_le_bytes());
        put(&[0; 4]);
        put(&guid_bytes(KSDATAFORMAT_TYPE_AUDIO));
        put(&guid_bytes(self.sample.subformat()));
        put(&guid_bytes(KSDATAFORMAT_SPECIFIER_WAVEFORMATEX));
        // WAVEFORMATEX: tag, channels, rate, bytes per second, frame bytes, bits, extra bytes.
        put(&tag.to_le_bytes());
        put(&low16(self.channels));
        put(&self.rate.to_le_bytes());
        put(&self.rate.saturating_mul(frame_bytes).to_le_bytes());
        put(&low16(frame_bytes));
        put(&self.sample.bits().to_le_bytes());
        if extensible {
            put(&EXTENSIBLE_BYTES.to_le_bytes());
            // WAVEFORMATEXTENSIBLE: valid bits, speakers, subformat.
            put(&self.sample.valid_bits().to_le_bytes());
            put(&speakers(self.channels).to_le_bytes());
            put(&guid_bytes(self.sample.subformat()));
        }
        encoded
    }
}

/// A format as it lies in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Encoded {
    bytes: [u8; FORMAT_BYTES_MAX],
    length: usize,
}

impl Encoded {
    /// Sets the `Flags` of the `KSDATAFORMAT`.
    pub fn set_flags(&mut self, flags: u32) {
        if let Some(place) = self.bytes.get_mut(4..8) {
            place.copy_from_slice(&flags.to_le_bytes());
        }
    }

    /// Its bytes: as many as its `FormatSize` says.
    pub fn as_slice(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

/// Whether samples of this subformat are floating point; it is PCM otherwise.
pub(super) fn is_float(subformat: GUID) -> Result<bool, FormatError> {
    if subformat == KSDATAFORMAT_SUBTYPE_IEEE_FLOAT {
        return Ok(true);
    }
    if subformat == KSDATAFORMAT_SUBTYPE_PCM { Ok(false) } else { Err(FormatError::NoMatch) }
}

/// The speakers that so many channels usually are (`KSAUDIO_SPEAKER_*`); 0 = none in particular.
pub const fn speakers(channels: u32) -> u32 {
    match channels {
        1 => 0x4,
        2 => 0x3,
        4 => 0x33,
        6 => 0x3F,
        8 => 0x63F,
        _ => 0,
    }
}

/// The low half of a value that is known to be small.
const fn low16(value: u32) -> [u8; 2] {
    let [a, b, _, _] = value.to_le_bytes();
    [a, b]
}

/// A GUID as it lies in memory: three little-endian numbers and eight bytes.
pub(super) fn guid_bytes(guid: GUID) -> [u8; 16] {
    let numbers = u64::from(guid.Data1) | u64::from(guid.Data2) << 32 | u64::from(guid.Data3) << 48;
    (u128::from(numbers) | u128::from(u64::from_le_bytes(guid.Data4)) << 64).to_le_bytes()
}

/// Little-endian fields at byte offsets of a slice; `None` outside of it.
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl Fields<'_> {
    fn array<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        self.0.get(offset..offset.checked_add(N)?)?.try_into().ok()
    }
    fn u16(&self, offset: usize) -> Option<u16> {
        self.array(offset).map(u16::from_le_bytes)
    }
    pub(super) fn u32(&self, offset: usize) -> Option<u32> {
        self.array(offset).map(u32::from_le_bytes)
    }
    pub(super) fn guid(&self, offset: usize) -> Option<GUID> {
        Some(GUID {
            Data1: self.u32(offset)?,
            Data2: self.u16(offset.checked_add(4)?)?,
            Data3: self.u16(offset.checked_add(6)?)?,
            Data4: self.array(offset.checked_add(8)?)?,
        })
    }
}

#[cfg(test)]
mod tests;
