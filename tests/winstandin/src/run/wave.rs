//! A WAV file of 16-bit PCM, mono or stereo: all that is played here.

/// What is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Song<'a> {
    pub rate: u32,
    pub channels: u32,
    /// Whole frames.
    pub frames: &'a [u8],
}

/// Seconds of it that are played.
const SECONDS: usize = 2;
const PCM: u16 = 1;
const EXTENSIBLE: u16 = 0xFFFE;

impl Song<'_> {
    pub fn frame_bytes(&self) -> usize {
        2 * self.channels as usize
    }
}

/// The first seconds of a file; none if it is another kind of file.
pub fn read(file: &[u8]) -> Option<Song<'_>> {
    (file.get(..4)? == b"RIFF" && file.get(8..12)? == b"WAVE").then_some(())?;
    let (mut rest, mut format) = (file.get(12..)?, None);
    loop {
        let (name, length) = (rest.get(..4)?, u32::from_le_bytes(rest.get(4..8)?.try_into().ok()?) as usize);
        let body = rest.get(8..)?;
        let chunk = body.get(..length.min(body.len()))?;
        match name {
            b"fmt " => format = Some(read_format(chunk)?),
            b"data" => {
                let (rate, channels) = format?;
                let frame = 2 * channels as usize;
                let bytes = chunk.len().min(SECONDS * rate as usize * frame) / frame * frame;
                return Some(Song { rate, channels, frames: chunk.get(..bytes)? });
            }
            _ => {}
        }
        rest = body.get(length.checked_next_multiple_of(2)?..)?;
    }
}

fn read_format(chunk: &[u8]) -> Option<(u32, u32)> {
    let short = |at: usize| Some(u16::from_le_bytes(chunk.get(at..at + 2)?.try_into().ok()?));
    // Of an extensible format the sub-format begins with the tag.
    let tag = if short(0)? == EXTENSIBLE { short(24)? } else { short(0)? };
    let rate = u32::from_le_bytes(chunk.get(4..8)?.try_into().ok()?);
    let (channels, bits) = (u32::from(short(2)?), short(14)?);
    (tag == PCM && bits == 16 && (1..=2).contains(&channels) && rate > 0).then_some((rate, channels))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn file(bits: u16, frames: usize) -> Vec<u8> {
        let mut all = b"RIFF\0\0\0\0WAVEJUNK\x03\0\0\0abc\0fmt \x10\0\0\0\x01\0\x02\0".to_vec();
        all.extend(8000u32.to_le_bytes());
        all.extend([0; 6]);
        all.extend(bits.to_le_bytes());
        all.extend(b"data");
        all.extend((frames as u32 * 4).to_le_bytes());
        all.extend((0..frames * 4).map(|at| at as u8));
        all
    }

    #[test]
    fn the_first_two_seconds_are_taken() {
        let all = file(16, 20_000);
        let song = read(&all).expect("a song");
        assert_eq!((song.rate, song.channels, song.frames.len()), (8000, 2, 2 * 8000 * 4));
        assert_eq!(song.frames[..3], [0, 1, 2]);
        // One that was cut off plays as far as it goes.
        let cut = file(16, 100);
        assert_eq!(read(&cut[..cut.len() - 3]).expect("a song").frames.len(), 99 * 4);
    }

    #[test]
    fn other_files_are_none() {
        let sound = file(16, 10);
        for length in 0..sound.len() - 40 {
            assert_eq!(read(&sound[..length]), None);
        }
        assert_eq!(read(&file(24, 10)), None);
        assert_eq!(read(b"RIFF\0\0\0\0AVI data\0\0\0\0"), None);
    }
}
