//! WAVEFORMATEX and WAVEFORMATEXTENSIBLE, which are also what is in the chunk `fmt ` of a WAV file.

use alloc::vec::Vec;

use ringwave_audio::SampleFormat;

use crate::json::{Object, Value};

/// What frames are made of, with the place of each channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Format {
    /// How a sample lies in memory.
    pub sample: SampleFormat,
    /// Frames per second.
    pub rate: u32,
    /// Samples per frame, 1 to 8.
    pub channels: u16,
    /// SPEAKER_ bits.
    pub mask: u32,
}

/// The tail of the subformats' GUIDs; their first two bytes are the tag.
const SUBFORMAT: [u8; 14] = [0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xAA, 0, 0x38, 0x9B, 0x71];
const PCM: u16 = 1;
const FLOAT: u16 = 3;
const EXTENSIBLE: u16 = 0xFFFE;

impl Format {
    /// Bytes of a frame: 1 to 32.
    pub fn frame_bytes(&self) -> usize {
        self.sample.bytes() as usize * usize::from(self.channels)
    }

    fn tag(&self) -> u16 {
        if self.sample.is_float() { FLOAT } else { PCM }
    }

    /// The 16 bytes that both forms begin with.
    fn head(&self, tag: u16) -> Vec<u8> {
        let frame = u16::try_from(self.frame_bytes()).unwrap_or(0);
        let mut head = tag.to_le_bytes().to_vec();
        head.extend(self.channels.to_le_bytes());
        head.extend(self.rate.to_le_bytes());
        head.extend(self.rate.saturating_mul(frame.into()).to_le_bytes());
        head.extend(frame.to_le_bytes());
        head.extend(self.sample.container_bits().to_le_bytes());
        head
    }

    /// As WAVEFORMATEXTENSIBLE, 40 bytes.
    pub fn extensible(&self) -> Vec<u8> {
        let mut bytes = self.head(EXTENSIBLE);
        bytes.extend(22_u16.to_le_bytes());
        bytes.extend(self.sample.valid_bits().to_le_bytes());
        bytes.extend(self.mask.to_le_bytes());
        bytes.extend(self.tag().to_le_bytes());
        bytes.extend(SUBFORMAT);
        bytes
    }

    /// As WAVEFORMATEX, 18 bytes: for one or two channels and samples that fill their bytes.
    pub fn plain(&self) -> Option<Vec<u8>> {
        if self.channels > 2 || self.sample == SampleFormat::S24In32 {
            return None;
        }
        let mut bytes = self.head(self.tag());
        bytes.extend([0, 0]);
        Some(bytes)
    }

    /// Reads either form, of which at least 16 bytes are there. `None` for what this program can't store.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let word = |at: usize| Some(u16::from_le_bytes(bytes.get(at..at.checked_add(2)?)?.try_into().ok()?));
        let long = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?));
        let (mut tag, channels, rate, frame, container) =
            (word(0)?, word(2)?, long(4)?, word(12)?, word(14)?);
        let (mut valid, mut mask) = (container, default_mask(channels));
        if tag == EXTENSIBLE {
            valid = word(18)?;
            mask = long(20)?;
            if bytes.get(26..40)? != SUBFORMAT {
                return None;
            }
            tag = word(24)?;
        }
        // Some leave the valid bits 0 where all of them are.
        let valid = if valid == 0 { container } else { valid };
        let sample = match (tag, container, valid) {
            (PCM, 8, 8) => SampleFormat::U8,
            (PCM, 16, 16) => SampleFormat::S16,
            (PCM, 24, 24) => SampleFormat::S24,
            (PCM, 32, 24) => SampleFormat::S24In32,
            (PCM, 32, 32) => SampleFormat::S32,
            (FLOAT, 32, 32) => SampleFormat::F32,
            _ => return None,
        };
        let format = Self { sample, rate, channels, mask };
        let right = (1..=8).contains(&channels)
            && (1..=768_000).contains(&rate)
            && usize::from(frame) == format.frame_bytes();
        right.then_some(format)
    }

    /// Formats that hold every value of this one, the nearest first, this one before all.
    pub fn wider(&self) -> impl Iterator<Item = Self> + use<> {
        use SampleFormat::{F32, S16, S24, S24In32, S32, U8};
        let samples: &[SampleFormat] = match self.sample {
            U8 => &[U8, S16, S24, S24In32, S32, F32],
            S16 => &[S16, S24, S24In32, S32, F32],
            S24 => &[S24, S24In32, S32, F32],
            S24In32 => &[S24In32, S24, S32, F32],
            S32 => &[S32],
            F32 => &[F32],
        };
        let format = *self;
        samples.iter().map(move |sample| Self { sample: *sample, ..format })
    }

    /// This format with another one's samples and mask, if it has as many frames and channels and holds every
    /// value.
    pub fn within(&self, other: &Self) -> Option<Self> {
        let alike = self.rate == other.rate && self.channels == other.channels;
        self.wider()
            .find(|wider| alike && wider.sample == other.sample)
            .map(|wider| Self { mask: other.mask, ..wider })
    }
}

/// Where so many channels are if nobody says: as Windows' own configurations have them.
pub fn default_mask(channels: u16) -> u32 {
    match channels {
        1 => 0x4,
        2 => 0x3,
        4 => 0x33,
        6 => 0x3F,
        8 => 0x63F,
        other => (1_u32 << other.min(18)) - 1,
    }
}

impl Value for Format {
    fn write(&self, to: &mut alloc::string::String) {
        let mut object = Object::new();
        object.set("sample", self.sample.name()).set("rate", self.rate).set("channels", self.channels);
        object.set("mask", alloc::format!("0x{:X}", self.mask));
        object.write(to);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bytes_are_those_of_windows_headers() {
        let format = Format { sample: SampleFormat::S24In32, rate: 48_000, channels: 2, mask: 3 };
        let bytes = format.extensible();
        assert_eq!(bytes[..16], [0xFE, 0xFF, 2, 0, 0x80, 0xBB, 0, 0, 0, 0xDC, 5, 0, 8, 0, 32, 0]);
        assert_eq!(bytes[16..26], [22, 0, 24, 0, 3, 0, 0, 0, 1, 0]);
        assert_eq!((bytes.len(), format.plain()), (40, None));
        let plain = Format { sample: SampleFormat::S16, ..format }.plain().expect("two channels");
        assert_eq!((plain[0], plain.len()), (1, 18));
    }

    #[test]
    fn what_is_written_is_read() {
        for sample in SampleFormat::ALL {
            for channels in 1..=8 {
                let format = Format { sample, rate: 44_100, channels, mask: default_mask(channels) };
                assert_eq!(Format::read(&format.extensible()), Some(format));
                if let Some(plain) = format.plain() {
                    assert_eq!(Format::read(&plain), Some(format));
                    assert_eq!(Format::read(&plain[..16]), Some(format));
                }
            }
        }
    }

    #[test]
    fn samples_widen_only_where_nothing_is_lost() {
        let format = |sample| Format { sample, rate: 48_000, channels: 2, mask: 3 };
        let float = Format { mask: 0x30, ..format(SampleFormat::F32) };
        assert_eq!(format(SampleFormat::S24).within(&float), Some(float));
        assert_eq!(format(SampleFormat::S32).within(&float), None, "a float has 24 bits");
        assert_eq!(format(SampleFormat::F32).within(&format(SampleFormat::S32)), None);
        assert_eq!(format(SampleFormat::S16).within(&Format { rate: 44_100, ..float }), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_harm(bytes in proptest::collection::vec(any::<u8>(), 0..50)) {
            if let Some(format) = Format::read(&bytes) {
                prop_assert!((1..=32).contains(&format.frame_bytes()));
            }
        }
    }
}
