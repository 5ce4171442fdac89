//! WAV files: the sound to play, and the head of what was recorded.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;

use crate::wave_format::Format;

/// Bytes of [`header`].
pub const HEADER: usize = 68;
/// The most bytes of sound behind a [`header`].
pub const DATA_MAX: u32 = 0x7FFF_0000;

/// Where the sound is in a file, and what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wav {
    /// Of its frames.
    pub format: Format,
    /// Where they are; whole frames, at least one.
    pub data: Range<usize>,
}

/// Finds the sound in a WAV file. Nothing is guessed: a file that is shorter than its header says is refused.
pub fn read(file: &[u8]) -> Result<Wav, String> {
    if file.get(..4) != Some(b"RIFF") || file.get(8..12) != Some(b"WAVE") {
        return Err("it is no WAV file (RIFF, WAVE)".into());
    }
    let (mut at, mut format) = (12_usize, None);
    while let Some(head) = file.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        let (id, size) = (&head[..4], u32::from_le_bytes([head[4], head[5], head[6], head[7]]));
        let size = usize::try_from(size).map_err(|_| "a chunk is too long")?;
        let start = at.saturating_add(8);
        let end = start.saturating_add(size);
        let Some(body) = file.get(start..end) else {
            return Err(format!("its chunk {} is cut off", id.escape_ascii()));
        };
        match (id, format) {
            (b"fmt ", None) => {
                let known = Format::read(body).ok_or(
                    "its format is none of PCM of 8, 16, 24, 32 bits or float 32, with 1 to 8 channels",
                )?;
                format = Some(known);
            }
            (b"data", Some(format)) => return sound(format, start..end),
            (b"data", None) => return Err("its sound comes before its format".into()),
            _ => {}
        }
        // Chunks begin at even places.
        at = end.saturating_add(size & 1);
    }
    Err("it has no sound (no chunk data)".into())
}

fn sound(format: Format, data: Range<usize>) -> Result<Wav, String> {
    match (data.len().checked_rem(format.frame_bytes()), data.is_empty()) {
        (_, true) => Err("its sound is empty".into()),
        (Some(0), _) => Ok(Wav { format, data }),
        _ => Err("its sound ends within a frame".into()),
    }
}

/// What stands before so many bytes of sound.
pub fn header(format: &Format, data: u32) -> Vec<u8> {
    let mut bytes = b"RIFF".to_vec();
    bytes.extend(data.saturating_add(60).to_le_bytes());
    bytes.extend(b"WAVEfmt ");
    bytes.extend(40_u32.to_le_bytes());
    bytes.extend(format.extensible());
    bytes.extend(b"data");
    bytes.extend(data.to_le_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wave_format::default_mask;
    use proptest::prelude::*;
    use ringwave_audio::SampleFormat;

    const FORMAT: Format = Format { sample: SampleFormat::S16, rate: 48_000, channels: 2, mask: 3 };

    fn file(sound: &[u8]) -> Vec<u8> {
        let mut file = header(&FORMAT, u32::try_from(sound.len()).expect("short"));
        assert_eq!(file.len(), HEADER);
        file.extend(sound);
        file
    }

    #[test]
    fn what_is_written_is_read() {
        let file = file(&[1; 400]);
        assert_eq!(read(&file), Ok(Wav { format: FORMAT, data: HEADER..HEADER + 400 }));
        assert_eq!(default_mask(2), 3);
    }

    #[test]
    fn other_chunks_are_passed_over() {
        let whole = file(&[1; 8]);
        let mut other = whole[..12].to_vec();
        other.extend(b"LIST\x03\0\0\0abc\0");
        other.extend(&whole[12..]);
        assert_eq!(read(&other).expect("a WAV file").data, HEADER + 12..HEADER + 20);
    }

    #[test]
    fn what_is_broken_is_refused() {
        let whole = file(&[1; 8]);
        let mut other = whole.clone();
        other[20] = 2;
        for (broken, says) in [
            (&whole[..0], "no WAV"),
            (&whole[..whole.len() - 1], "chunk data is cut off"),
            (&whole[..30], "cut off"),
            (&whole[..60], "no sound"),
            (&file(&[]), "empty"),
            (&file(&[1; 7]), "within a frame"),
            (&other, "format is none of"),
        ] {
            let error = read(broken).expect_err("broken");
            assert!(error.contains(says), "{error}");
        }
    }

    proptest! {
        #[test]
        fn any_change_is_read_without_harm(at in 0_usize..76, byte in any::<u8>()) {
            let mut file = file(&[1; 8]);
            file[at] = byte;
            if let Ok(wav) = read(&file) {
                prop_assert!(wav.data.end <= file.len() && !wav.data.is_empty());
            }
        }
    }
}
