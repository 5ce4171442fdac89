//! The stream format a client asks for: `KSDATAFORMAT` followed by `WAVEFORMATEX` or `WAVEFORMATEXTENSIBLE`
//! (WAVERT.md 5.1, 5.5).

use crate::portcls::guid::{Guid, SPECIFIER_WAVEFORMATEX, SUBTYPE_IEEE_FLOAT, SUBTYPE_PCM, TYPE_AUDIO};
use alloc::vec::Vec;
use ringwave_audio::SampleFormat;

/// Bytes of a `KSDATAFORMAT_WAVEFORMATEX`: 64 and 18, for ksmedia.h packs the structures with a WAVEFORMATEX
/// in them.
pub const PLAIN_BYTES: usize = 82;
/// Bytes of a `KSDATAFORMAT_WAVEFORMATEXTENSIBLE`.
pub const EXTENSIBLE_BYTES: usize = 104;

/// The sample formats that a client asks for.
pub const SAMPLE_FORMATS: [SampleFormat; 4] =
    [SampleFormat::S16, SampleFormat::S24In32, SampleFormat::S32, SampleFormat::F32];

/// A format as ntguest.cfg writes it: `s16x2@48000`.
pub fn parse(text: &str) -> Option<(SampleFormat, u16, u32)> {
    let (sample, rest) = text.split_once('x')?;
    let (channels, rate) = rest.split_once('@')?;
    let sample = SAMPLE_FORMATS.into_iter().find(|known| known.name() == sample)?;
    let (channels, rate) = (channels.parse().ok()?, rate.parse().ok()?);
    ((1..=8).contains(&channels) && (8_000..=384_000).contains(&rate)).then_some((sample, channels, rate))
}

/// Values of a PCM or float format; `bytes` writes whatever they say, right or wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PcmFormat {
    /// `wFormatTag` of the plain form.
    pub tag: u16,
    /// Channels.
    pub channels: u16,
    /// Frames per second.
    pub rate: u32,
    /// Bits of a sample's container.
    pub bits: u16,
    /// Write the extensible form.
    pub extensible: bool,
    /// Subformat of the `KSDATAFORMAT` and of the extensible form.
    pub sub_format: Guid,
    /// Change of `nBlockAlign`, to get it wrong on purpose.
    pub align_error: u16,
    /// `wValidBitsPerSample` of the extensible form.
    pub valid_bits: u16,
}

impl PcmFormat {
    /// Any kind of sample. 24 bits in 32 can be said only in the extensible form.
    pub const fn of(sample: SampleFormat, rate: u32, channels: u16, extensible: bool) -> Self {
        let float = sample.is_float();
        let narrow = sample.valid_bits() < sample.container_bits();
        Self {
            tag: if float { 3 } else { 1 },
            channels,
            rate,
            bits: sample.container_bits(),
            extensible: extensible || narrow,
            sub_format: if float { SUBTYPE_IEEE_FLOAT } else { SUBTYPE_PCM },
            align_error: 0,
            valid_bits: sample.valid_bits(),
        }
    }

    /// Bytes of a frame as the format says it.
    pub const fn block_align(&self) -> u16 {
        (self.channels.wrapping_mul(self.bits) / 8).wrapping_add(self.align_error)
    }

    /// The structure in memory order.
    pub fn bytes(&self) -> Vec<u8> {
        let size = if self.extensible { EXTENSIBLE_BYTES } else { PLAIN_BYTES };
        let mut out = Vec::with_capacity(size);
        let align = self.block_align();
        for word in [u32::try_from(size).unwrap_or(0), 0, u32::from(align), 0] {
            out.extend(word.to_le_bytes());
        }
        for guid in [TYPE_AUDIO, self.sub_format, SPECIFIER_WAVEFORMATEX] {
            push_guid(&mut out, guid);
        }
        out.extend((if self.extensible { 0xfffe } else { self.tag }).to_le_bytes());
        out.extend(self.channels.to_le_bytes());
        out.extend(self.rate.to_le_bytes());
        out.extend(self.rate.wrapping_mul(u32::from(align)).to_le_bytes());
        out.extend(align.to_le_bytes());
        out.extend(self.bits.to_le_bytes());
        out.extend((if self.extensible { 22u16 } else { 0 }).to_le_bytes());
        if self.extensible {
            out.extend(self.valid_bits.to_le_bytes());
            out.extend(self.channel_mask().to_le_bytes());
            push_guid(&mut out, self.sub_format);
        }
        out.resize(size, 0);
        out
    }

    /// `KSAUDIO_SPEAKER_MONO` is front centre, `_STEREO` front left and right, then `_QUAD`, `_5POINT1` and
    /// `_7POINT1_SURROUND`; for other numbers of channels no positions are given.
    const fn channel_mask(&self) -> u32 {
        match self.channels {
            1 => 0x4,
            2 => 0x3,
            4 => 0x33,
            6 => 0x3f,
            8 => 0x63f,
            _ => 0,
        }
    }
}

fn push_guid(out: &mut Vec<u8>, guid: Guid) {
    out.extend(guid.data1.to_le_bytes());
    out.extend(guid.data2.to_le_bytes());
    out.extend(guid.data3.to_le_bytes());
    out.extend(guid.data4);
}

/// How long a packet and the whole cyclic buffer are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BufferPlan {
    /// Bytes to ask for: `packets` times a whole number of frames.
    pub bytes: u32,
}

impl BufferPlan {
    /// The size for `milliseconds` of sound in `packets` packets; at least one frame a packet.
    pub fn new(format: &PcmFormat, milliseconds: u64, packets: u32) -> Option<Self> {
        let per_packet = u64::from(format.rate).checked_mul(milliseconds)? / (1000 * u64::from(packets));
        let bytes = per_packet
            .max(1)
            .checked_mul(u64::from(packets))?
            .checked_mul(u64::from(format.block_align()))?;
        Some(Self { bytes: u32::try_from(bytes).ok()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plain_form_lies_as_the_header_says() {
        let bytes = PcmFormat::of(SampleFormat::S16, 48_000, 2, false).bytes();
        assert_eq!(bytes.len(), 82);
        assert_eq!(bytes[0..4], 82u32.to_le_bytes());
        assert_eq!(bytes[64..], [1, 0, 2, 0, 0x80, 0xbb, 0, 0, 0, 0xee, 2, 0, 4, 0, 16, 0, 0, 0]);
    }

    #[test]
    fn the_extensible_form_carries_mask_and_subformat() {
        let bytes = PcmFormat::of(SampleFormat::S16, 44_100, 1, true).bytes();
        assert_eq!(bytes.len(), 104);
        assert_eq!(bytes[64..66], [0xfe, 0xff]);
        assert_eq!(bytes[80..88], [22, 0, 16, 0, 4, 0, 0, 0]);
        assert_eq!(bytes[88..104], bytes[32..48]);
    }

    #[test]
    fn every_kind_of_sample_has_its_tag_subformat_and_valid_bits() {
        let of = |sample| PcmFormat::of(sample, 48_000, 2, false);
        assert_eq!((of(SampleFormat::S16).tag, of(SampleFormat::S16).extensible), (1, false));
        let narrow = of(SampleFormat::S24In32);
        assert_eq!((narrow.extensible, narrow.bits, narrow.valid_bits), (true, 32, 24));
        assert_eq!(of(SampleFormat::F32).bytes()[64..66], [3, 0]);
        assert_eq!(of(SampleFormat::F32).sub_format, SUBTYPE_IEEE_FLOAT);
        assert_eq!(of(SampleFormat::S32).block_align(), 8);
    }

    #[test]
    fn the_text_form_is_read_whole() {
        assert_eq!(parse("s16x2@48000"), Some((SampleFormat::S16, 2, 48_000)));
        assert_eq!(parse("s24in32x8@384000"), Some((SampleFormat::S24In32, 8, 384_000)));
        for wrong in ["", "s16", "s16x2", "s8x2@48000", "s16x9@48000", "s16x0@48000", "f32x1@7999"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_buffer_is_whole_frames_in_every_packet() {
        let plan = |rate, channels, ms| {
            BufferPlan::new(&PcmFormat::of(SampleFormat::S16, rate, channels, false), ms, 2).unwrap().bytes
        };
        assert_eq!(plan(48_000, 2, 20), 3840);
        assert_eq!(plan(44_100, 1, 15), 2 * 330 * 2);
        assert_eq!(plan(44_100, 2, 0), 8);
        assert_eq!(BufferPlan::new(&PcmFormat::of(SampleFormat::S16, 48_000, 2, false), u64::MAX, 2), None);
    }
}
