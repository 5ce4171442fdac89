//! Data formats and ranges (WAVERT.md 5.1), and reading a client's format without reading beyond it.
use crate::com::In;
use crate::guid::GUID;
use crate::layout;

/// A data format; KSDATARANGE is the same structure. What the specifier says follows it. (In C a union with a
/// 64-bit integer, hence the alignment.)
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KSDATAFORMAT {
    /// Bytes with what follows.
    pub FormatSize: u32,
    /// [`KSDATAFORMAT_ATTRIBUTES`].
    pub Flags: u32,
    /// Bytes of a sample, or 0.
    pub SampleSize: u32,
    /// 0.
    pub Reserved: u32,
    /// Audio ...
    pub MajorFormat: GUID,
    /// PCM ...
    pub SubFormat: GUID,
    /// What follows.
    pub Specifier: GUID,
}
layout!(KSDATAFORMAT, 64, FormatSize @ 0, Flags @ 4, SampleSize @ 8, Reserved @ 12, MajorFormat @ 16, SubFormat @ 32, Specifier @ 48);

/// What a pin can take.
pub type KSDATARANGE = KSDATAFORMAT;

/// Flag of a format or range: an attribute list follows (for a range: in the next entry of the array).
pub const KSDATAFORMAT_ATTRIBUTES: u32 = 2;

/// What an audio pin can take. FormatSize is 88, the padding included.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct KSDATARANGE_AUDIO {
    /// The head.
    pub DataRange: KSDATARANGE,
    /// Channels, at most.
    pub MaximumChannels: u32,
    /// Bits of a sample, at least.
    pub MinimumBitsPerSample: u32,
    /// Bits of a sample, at most.
    pub MaximumBitsPerSample: u32,
    /// Hz, at least.
    pub MinimumSampleFrequency: u32,
    /// Hz, at most.
    pub MaximumSampleFrequency: u32,
    /// C leaves this room, because KSDATARANGE is aligned to 8 bytes there.
    pub Padding: u32,
}
layout!(KSDATARANGE_AUDIO, 88, MaximumChannels @ 64, MinimumBitsPerSample @ 68, MaximumBitsPerSample @ 72, MinimumSampleFrequency @ 76, MaximumSampleFrequency @ 80);

impl KSDATAFORMAT {
    /// The data range of a bridge pin: nothing that a client could open.
    pub const fn analog() -> Self {
        Self {
            FormatSize: 64,
            Flags: 0,
            SampleSize: 0,
            Reserved: 0,
            MajorFormat: crate::guid::KSDATAFORMAT_TYPE_AUDIO,
            SubFormat: crate::guid::KSDATAFORMAT_SUBTYPE_ANALOG,
            Specifier: crate::guid::KSDATAFORMAT_SPECIFIER_NONE,
        }
    }
}

impl KSDATARANGE_AUDIO {
    /// PCM with up to so many channels, bits of a sample and Hz from the first to the second.
    pub const fn pcm(channels: u32, bits: (u32, u32), rate: (u32, u32)) -> Self {
        Self {
            DataRange: KSDATAFORMAT {
                FormatSize: 88,
                SubFormat: crate::guid::KSDATAFORMAT_SUBTYPE_PCM,
                Specifier: crate::guid::KSDATAFORMAT_SPECIFIER_WAVEFORMATEX,
                ..KSDATAFORMAT::analog()
            },
            MaximumChannels: channels,
            MinimumBitsPerSample: bits.0,
            MaximumBitsPerSample: bits.1,
            MinimumSampleFrequency: rate.0,
            MaximumSampleFrequency: rate.1,
            Padding: 0,
        }
    }
}

/// `wFormatTag`: PCM.
pub const WAVE_FORMAT_PCM: u16 = 1;
/// `wFormatTag`: a WAVEFORMATEXTENSIBLE.
pub const WAVE_FORMAT_EXTENSIBLE: u16 = 0xFFFE;
/// Speaker mask: front left and right.
pub const KSAUDIO_SPEAKER_STEREO: u32 = 3;
/// Speaker mask: front centre.
pub const KSAUDIO_SPEAKER_MONO: u32 = 4;

/// The head of every wave format; packed.
#[repr(C, packed)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WAVEFORMATEX {
    /// Kind.
    pub wFormatTag: u16,
    /// Channels.
    pub nChannels: u16,
    /// Hz.
    pub nSamplesPerSec: u32,
    /// Bytes a second.
    pub nAvgBytesPerSec: u32,
    /// Bytes of a frame.
    pub nBlockAlign: u16,
    /// Bits of a sample's container.
    pub wBitsPerSample: u16,
    /// Bytes that follow.
    pub cbSize: u16,
}
layout!(WAVEFORMATEX, 18, nChannels @ 2, nSamplesPerSec @ 4, nAvgBytesPerSec @ 8, nBlockAlign @ 12, wBitsPerSample @ 14, cbSize @ 16);

/// The long form; packed.
#[repr(C, packed)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WAVEFORMATEXTENSIBLE {
    /// The head, with cbSize 22.
    pub Format: WAVEFORMATEX,
    /// Valid bits of a sample.
    pub wValidBitsPerSample: u16,
    /// Speakers.
    pub dwChannelMask: u32,
    /// PCM ...
    pub SubFormat: GUID,
}
layout!(WAVEFORMATEXTENSIBLE, 40, wValidBitsPerSample @ 18, dwChannelMask @ 20, SubFormat @ 24);

/// sizeof(KSDATAFORMAT_WAVEFORMATEX), a KSDATAFORMAT and a WAVEFORMATEX: **82**, for `ksmedia.h` packs the
/// KSDATAFORMAT_* structures to 1. (Not a structure here: Rust packs nothing that holds a structure aligned
/// to 8.)
pub const KSDATAFORMAT_WAVEFORMATEX_BYTES: usize = size_of::<KSDATAFORMAT>() + size_of::<WAVEFORMATEX>();
const _: () = assert!(KSDATAFORMAT_WAVEFORMATEX_BYTES == 82);

/// A format with a WAVEFORMATEXTENSIBLE, 104 bytes packed or not.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct KSDATAFORMAT_WAVEFORMATEXTENSIBLE {
    /// The head.
    pub DataFormat: KSDATAFORMAT,
    /// The wave format.
    pub WaveFormatExt: WAVEFORMATEXTENSIBLE,
}
layout!(KSDATAFORMAT_WAVEFORMATEXTENSIBLE, 104, WaveFormatExt @ 64);

/// Head of a list: an attribute list, a property's list of items.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KSMULTIPLE_ITEM {
    /// Bytes with this head.
    pub Size: u32,
    /// Items.
    pub Count: u32,
}
layout!(KSMULTIPLE_ITEM, 8, Count @ 4);

/// An attribute of a format or range.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KSATTRIBUTE {
    /// Bytes with what follows.
    pub Size: u32,
    /// 0.
    pub Flags: u32,
    /// Which one.
    pub Attribute: GUID,
}
layout!(KSATTRIBUTE, 24, Flags @ 4, Attribute @ 8);

/// The attributes of a data range.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct KSATTRIBUTE_LIST {
    /// Attributes.
    pub Count: u32,
    /// Their addresses.
    pub Attributes: *const *const KSATTRIBUTE,
}
layout!(KSATTRIBUTE_LIST, 16, Attributes @ 8);
// SAFETY: points to statics that nobody writes; PortCls reads them from any thread.
unsafe impl Sync for KSATTRIBUTE_LIST {}

/// The attribute that names a signal-processing mode.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KSATTRIBUTE_AUDIOSIGNALPROCESSING_MODE {
    /// The head.
    pub AttributeHeader: KSATTRIBUTE,
    /// The mode.
    pub SignalProcessingMode: GUID,
}
layout!(KSATTRIBUTE_AUDIOSIGNALPROCESSING_MODE, 40, SignalProcessingMode @ 24);

impl In<'_, KSDATAFORMAT> {
    /// Copies up to `N` bytes of what follows the head: as many as FormatSize says are there. Answers them
    /// with their number, or `None` if there is no format or its FormatSize is less than the head.
    ///
    /// KS checks that FormatSize bytes are there before PortCls sees the format; still no more is read than
    /// the caller can use, so that a FormatSize that is too large does no harm beyond `N`.
    pub fn specifier_bytes<const N: usize>(&self) -> Option<([u8; N], usize)> {
        let head = self.get()?;
        let there = (head.FormatSize as usize).checked_sub(size_of::<KSDATAFORMAT>())?.min(N);
        let mut bytes = [0; N];
        // SAFETY: by the interface's contract FormatSize bytes are readable from the head on; `there` is at
        // most that less the head, and at most N.
        unsafe {
            core::ptr::copy_nonoverlapping(self.as_ptr().add(1).cast::<u8>(), bytes.as_mut_ptr(), there)
        };
        Some((bytes, there))
    }

    /// The wave format that follows, as the long form: what a short one does not say is 0. `None` if the
    /// specifier is another or the format too short for what it says it is (cbSize included).
    pub fn wave_format(&self) -> Option<WAVEFORMATEXTENSIBLE> {
        const SHORT: usize = size_of::<WAVEFORMATEX>();
        const LONG: usize = size_of::<WAVEFORMATEXTENSIBLE>();
        if self.get()?.Specifier != crate::guid::KSDATAFORMAT_SPECIFIER_WAVEFORMATEX {
            return None;
        }
        let (bytes, there) = self.specifier_bytes::<LONG>()?;
        if there < SHORT {
            return None;
        }
        // SAFETY: 40 bytes, any of which make a packed structure of numbers.
        let mut format: WAVEFORMATEXTENSIBLE = unsafe { core::mem::transmute(bytes) };
        if format.Format.wFormatTag == WAVE_FORMAT_EXTENSIBLE {
            let whole = there == LONG && format.Format.cbSize as usize >= LONG - SHORT;
            return whole.then_some(format);
        }
        format = WAVEFORMATEXTENSIBLE { Format: format.Format, ..WAVEFORMATEXTENSIBLE::default() };
        Some(format)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guid;

    fn format(bytes: u32) -> KSDATAFORMAT_WAVEFORMATEXTENSIBLE {
        KSDATAFORMAT_WAVEFORMATEXTENSIBLE {
            DataFormat: KSDATAFORMAT {
                FormatSize: bytes,
                Flags: 0,
                SampleSize: 4,
                Reserved: 0,
                MajorFormat: guid::KSDATAFORMAT_TYPE_AUDIO,
                SubFormat: guid::KSDATAFORMAT_SUBTYPE_PCM,
                Specifier: guid::KSDATAFORMAT_SPECIFIER_WAVEFORMATEX,
            },
            WaveFormatExt: WAVEFORMATEXTENSIBLE {
                Format: WAVEFORMATEX {
                    wFormatTag: WAVE_FORMAT_EXTENSIBLE,
                    nChannels: 2,
                    cbSize: 22,
                    ..WAVEFORMATEX::default()
                },
                wValidBitsPerSample: 16,
                dwChannelMask: 3,
                SubFormat: guid::KSDATAFORMAT_SUBTYPE_PCM,
            },
        }
    }

    fn read(format: &KSDATAFORMAT_WAVEFORMATEXTENSIBLE) -> Option<WAVEFORMATEXTENSIBLE> {
        // SAFETY: as long as the longest that is read.
        unsafe { In::from_raw(core::ptr::from_ref(format).cast::<KSDATAFORMAT>()) }.wave_format()
    }

    #[test]
    fn long_and_short_formats_are_read() {
        assert_eq!(read(&format(104)), Some(format(104).WaveFormatExt));
        let mut short = format(82);
        short.WaveFormatExt.Format.wFormatTag = WAVE_FORMAT_PCM;
        let read_short = read(&short).unwrap();
        assert_eq!({ read_short.Format.nChannels }, 2);
        assert_eq!({ read_short.wValidBitsPerSample }, 0, "a short format ends before that");
        short.DataFormat.FormatSize = 81;
        assert_eq!(read(&short), None, "cut off");
    }

    #[test]
    fn formats_that_lie_are_refused() {
        assert_eq!(read(&format(103)), None, "too short for the long form it says it is");
        assert_eq!(read(&format(63)), None, "shorter than the head");
        assert!(read(&format(u32::MAX)).is_some(), "too long does no harm");
        let mut lies = format(104);
        lies.WaveFormatExt.Format.cbSize = 0;
        assert_eq!(read(&lies), None, "cbSize denies what the tag says");
        let mut other = format(104);
        other.DataFormat.Specifier = guid::KSDATAFORMAT_SPECIFIER_NONE;
        assert_eq!(read(&other), None);
        assert_eq!(In::<KSDATAFORMAT>::none().wave_format(), None);
    }
}
