//! The stream format a client asks for: `KSDATAFORMAT` followed by `WAVEFORMATEX` or `WAVEFORMATEXTENSIBLE` (wavert-facts 5.1, 5.5).

use crate::portcls::guid::{Guid, SPECIFIER_WAVEFORMATEX, SUBTYPE_PCM, TYPE_AUDIO};
use alloc::vec::Vec;

/// Bytes of a `KSDATAFORMAT_WAVEFORMATEX`, padding included.
pub const PLAIN_BYTES: usize = 88;
/// Bytes of a `KSDATAFORMAT_WAVEFORMATEXTENSIBLE`.
pub const EXTENSIBLE_BYTES: usize = 104;

/// Values of a PCM format; `bytes` writes whatever they say, right or wrong.
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
    /// 16-bit PCM.
    pub const fn new(rate: u32, channels: u16, extensible: bool) -> Self {
        Self {
            tag: 1,
            channels,
            rate,
            bits: 16,
            extensible,
            sub_format: SUBTYPE_PCM,
            align_error: 0,
            valid_bits: 16,
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

    /// `KSAUDIO_SPEAKER_MONO` is front centre, `KSAUDIO_SPEAKER_STEREO` front left and right.
    const fn channel_mask(&self) -> u32 {
        match self.channels {
            1 => 4,
            2 => 3,
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
        let bytes = PcmFormat::new(48_000, 2, false).bytes();
        assert_eq!(bytes.len(), 88);
        assert_eq!(bytes[0..4], 88u32.to_le_bytes());
        assert_eq!(bytes[64..82], [1, 0, 2, 0, 0x80, 0xbb, 0, 0, 0, 0xee, 2, 0, 4, 0, 16, 0, 0, 0]);
    }

    #[test]
    fn the_extensible_form_carries_mask_and_subformat() {
        let bytes = PcmFormat::new(44_100, 1, true).bytes();
        assert_eq!(bytes.len(), 104);
        assert_eq!(bytes[64..66], [0xfe, 0xff]);
        assert_eq!(bytes[80..88], [22, 0, 16, 0, 4, 0, 0, 0]);
        assert_eq!(bytes[88..104], bytes[32..48]);
    }

    #[test]
    fn a_buffer_is_whole_frames_in_every_packet() {
        let plan = |rate, channels, ms| {
            BufferPlan::new(&PcmFormat::new(rate, channels, false), ms, 2).unwrap().bytes
        };
        assert_eq!(plan(48_000, 2, 20), 3840);
        assert_eq!(plan(44_100, 1, 15), 2 * 330 * 2);
        assert_eq!(plan(44_100, 2, 0), 8);
        assert_eq!(BufferPlan::new(&PcmFormat::new(48_000, 2, false), u64::MAX, 2), None);
    }
}
