//! The beginning of a WAV file, from a stream's format.

use crate::{SampleFormat, StreamFormat};

/// `WAVE_FORMAT_PCM`
pub const TAG_PCM: u16 = 1;
/// `WAVE_FORMAT_IEEE_FLOAT`
pub const TAG_FLOAT: u16 = 3;
/// `WAVE_FORMAT_EXTENSIBLE`
pub const TAG_EXTENSIBLE: u16 = 0xFFFE;
/// What follows the tag in the GUIDs `KSDATAFORMAT_SUBTYPE_*` (RFC 2361).
pub const SUBTYPE_TAIL: [u8; 14] =
    [0x00, 0x00, 0x00, 0x00, 0x10, 0x00, 0x80, 0x00, 0x00, 0xAA, 0x00, 0x38, 0x9B, 0x71];
/// Where the length of the RIFF chunk stands.
pub const RIFF_BYTES_AT: u8 = 4;

/// The speakers that so many channels usually are (`KSAUDIO_SPEAKER_*`); 0 = none in particular.
const fn speakers(channels: u32) -> u32 {
    match channels {
        1 => 0x4,
        2 => 0x3,
        4 => 0x33,
        6 => 0x3F,
        8 => 0x63F,
        _ => 0,
    }
}

/// Who made the file, for whoever may find it later: a chunk of text about the file (`LIST`, `INFO`) with the
/// name of its software (`ISFT`).
const MADE_BY_US: &[u8] = b"LIST\x16\x00\x00\x00INFOISFT\x09\x00\x00\x00ringwave\0\0";
const _: () = assert!(MADE_BY_US.len() == 0x16 + 8, "the length of the chunk");
/// Where the chunk stands that becomes `ds64`: behind `RIFF`, its length and `WAVE` (EBU Tech 3306 wants it
/// first).
pub const DS64_AT: u64 = 12;
/// Lengths of 64 bits: RIFF, data, frames, and an empty table.
pub const DS64_BYTES: u32 = 28;
/// No header is longer.
pub const HEADER_BYTES_MAX: u64 = 12 + 8 + DS64_BYTES as u64 + 8 + 40 + MADE_BY_US.len() as u64 + 8;

/// What a file is begun with, besides its format.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// The name of this program is in it, and room for lengths of 64 bits.
    pub recording: bool,
    /// The speakers of its channels (`KSAUDIO_SPEAKER_*`), if they are not those that so many channels
    /// usually are.
    pub speakers: Option<u32>,
}

/// Whether a file that begins so was heard from a card: the chunk is in it.
pub fn is_ours(begin: &[u8]) -> bool {
    let is_wave = [b"RIFF", b"RF64"].iter().any(|magic| begin.starts_with(*magic));
    let is_wave = is_wave && begin.get(8..12) == Some(b"WAVE");
    is_wave && begin.windows(MADE_BY_US.len()).any(|part| part == MADE_BY_US)
}

/// Everything before the first sample, for a file with no sample yet. The length of the data stands in the
/// last four bytes.
pub fn header(stream: StreamFormat, options: Options) -> Vec<u8> {
    let usual = speakers(stream.channels);
    let speakers = options.speakers.unwrap_or(usual);
    let frame_bytes = stream.frame_bytes();
    let sample = stream.sample;
    let plain =
        matches!(sample, SampleFormat::U8 | SampleFormat::S16) && stream.channels <= 2 && speakers == usual;
    let mut fmt = Vec::new();
    let short = |value: u32| u16::try_from(value).unwrap_or(u16::MAX).to_le_bytes();
    fmt.extend(if plain { TAG_PCM } else { TAG_EXTENSIBLE }.to_le_bytes());
    fmt.extend(short(stream.channels));
    fmt.extend(stream.rate.to_le_bytes());
    fmt.extend(stream.rate.saturating_mul(frame_bytes).to_le_bytes());
    fmt.extend(short(frame_bytes));
    fmt.extend(short(sample.bytes() * 8));
    if !plain {
        fmt.extend(22_u16.to_le_bytes());
        fmt.extend(sample.valid_bits().to_le_bytes());
        fmt.extend(speakers.to_le_bytes());
        fmt.extend(if sample.is_float() { TAG_FLOAT } else { TAG_PCM }.to_le_bytes());
        fmt.extend(SUBTYPE_TAIL);
    }
    let mut file = Vec::new();
    file.extend(b"RIFF");
    let about = if options.recording { MADE_BY_US } else { &[] };
    // A chunk that readers pass over, until the file needs it.
    let mut room = Vec::new();
    if options.recording {
        room.extend(b"JUNK");
        room.extend(DS64_BYTES.to_le_bytes());
        room.resize(8 + DS64_BYTES as usize, 0);
    }
    file.extend(riff_bytes(room.len() + fmt.len() + about.len() + 28, 0).to_le_bytes());
    file.extend(b"WAVE");
    file.extend(room);
    file.extend(b"fmt ");
    file.extend(u32::try_from(fmt.len()).unwrap_or(0).to_le_bytes());
    file.extend(fmt);
    file.extend(about);
    file.extend(b"data");
    file.extend(0_u32.to_le_bytes());
    file
}

/// The header of a file whose length nobody knows, for a pipe: its lengths say "to the end".
pub fn header_of_stream(stream: StreamFormat) -> Vec<u8> {
    let mut header = header(stream, Options::default());
    let lengths = [usize::from(RIFF_BYTES_AT), header.len().saturating_sub(4)];
    for at in lengths {
        header.iter_mut().skip(at).take(4).for_each(|byte| *byte = 0xFF);
    }
    header
}

/// A whole file of frames that are in memory and few.
pub fn file_of(stream: StreamFormat, frames: &[u8]) -> Vec<u8> {
    let mut file = header(stream, Options::default());
    let data = u32::try_from(frames.len()).unwrap_or(u32::MAX);
    let lengths =
        [(usize::from(RIFF_BYTES_AT), riff_bytes(file.len(), data)), (file.len().saturating_sub(4), data)];
    for (at, length) in lengths {
        file.iter_mut().skip(at).zip(length.to_le_bytes()).for_each(|(to, byte)| *to = byte);
    }
    file.extend_from_slice(frames);
    file
}

/// The length of the RIFF chunk of a file with a header of so many bytes and so much data.
pub fn riff_bytes(header_bytes: usize, data: u32) -> u32 {
    u32::try_from(header_bytes.saturating_sub(8)).unwrap_or(0).saturating_add(data)
}
