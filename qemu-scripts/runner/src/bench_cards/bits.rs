//! Whether what a guest plays arrives at the sink bit by bit.

use std::{fs, path::Path};

use ringwave_audio::{SampleFormat, StreamFormat, wav};

use super::{
    cards::{Device, LinuxCard},
    guest::{Guest, count, heard_by_qemu},
    results::Bits,
};
use crate::{card::session_wav, error::Error};

/// What is played: first what QEMU's WAV file can hold.
const FORMATS: [StreamFormat; 7] = [
    StreamFormat { sample: SampleFormat::S16, channels: 2, rate: 48_000 },
    StreamFormat { sample: SampleFormat::S16, channels: 2, rate: 44_100 },
    StreamFormat { sample: SampleFormat::U8, channels: 1, rate: 8_000 },
    StreamFormat { sample: SampleFormat::S24, channels: 2, rate: 48_000 },
    StreamFormat { sample: SampleFormat::S32, channels: 2, rate: 96_000 },
    StreamFormat { sample: SampleFormat::F32, channels: 2, rate: 48_000 },
    StreamFormat { sample: SampleFormat::S16, channels: 6, rate: 48_000 },
];
/// The header of QEMU's WAV file, whose lengths it never fills in.
const QEMU_HEADER: usize = 44;

/// A format as it is named.
fn name(format: StreamFormat) -> String {
    format!("{}x{}@{}", format.sample.name(), format.channels, format.rate)
}

/// The word that the guest has for samples.
pub fn guest_word(sample: SampleFormat) -> &'static str {
    match sample {
        SampleFormat::U8 => "u8",
        SampleFormat::S16 => "s16",
        SampleFormat::S24 | SampleFormat::S24In32 => "s24",
        SampleFormat::S32 => "s32",
        SampleFormat::F32 => "f32",
    }
}

/// Half a second in which no frame is silent, in each format: for the guest's folder.
pub fn songs() -> Vec<(String, Vec<u8>)> {
    FORMATS.iter().map(|format| (name(*format), song(*format))).collect()
}

fn song(format: StreamFormat) -> Vec<u8> {
    let mut number = 0x1234_5678_u32;
    // Floats below 2, and no byte of silence.
    let byte = || {
        number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (number.to_be_bytes()[0] & 0x3F) | 1
    };
    let bytes = format.frame_bytes() * format.rate / 2;
    std::iter::repeat_with(byte).take(bytes as usize).collect()
}

/// Plays all of them; what of it arrived is known at the end of the machine ([`judge`]).
///
/// # Errors
/// The guest does not answer.
pub fn play(guest: &mut Guest, card: &LinuxCard) -> Result<Vec<Bits>, Error> {
    FORMATS
        .iter()
        .map(|format| {
            let (word, period) = (guest_word(format.sample), format.rate / 50);
            let order = format!(
                "song file=/songs/{} format={word} channels={} rate={} period={period} periods=8",
                name(*format),
                format.channels,
                format.rate
            );
            let (verdict, xruns) = match guest.order(&order, |_| Ok(()))? {
                Ok((figures, ())) => (String::new(), count(&figures, "xruns")),
                Err(why) => (format!("not offered ({why})"), 0),
            };
            Ok(Bits { card: card.name.into(), format: name(*format), verdict, xruns })
        })
        .collect()
}

/// Looks for each song in what the card wrote in `folder`.
///
/// # Errors
/// A file cannot be read.
pub fn judge(rows: &mut [Bits], card: &LinuxCard, folder: &Path) -> Result<(), Error> {
    let heard = match card.device {
        Device::Qemu(_) => {
            let path = heard_by_qemu(folder);
            let bytes = fs::read(&path).map_err(|e| Error::file("read", &path, &e))?;
            vec![(FORMATS[0], bytes.get(QEMU_HEADER..).unwrap_or_default().to_vec())]
        }
        Device::Served { .. } => served(&folder.join("card-0"))?,
    };
    for (row, format) in rows.iter_mut().zip(FORMATS) {
        if row.verdict.is_empty() {
            let (format, song) = as_read(format, &song(format));
            let found = heard.iter().any(|(of, bytes)| *of == format && holds(bytes, &song));
            row.verdict = if found { "bit-exact" } else { "not bit-exact" }.into();
        }
    }
    Ok(())
}

/// How [`wav::read`] gives these frames, which are packed in the file: 8 bits in 16, 24 in the upper ones of 32.
fn as_read(format: StreamFormat, frames: &[u8]) -> (StreamFormat, Vec<u8>) {
    let (sample, frames) = match format.sample {
        SampleFormat::U8 => (SampleFormat::S16, frames.iter().flat_map(|byte| [0, byte ^ 0x80]).collect()),
        SampleFormat::S24 => {
            let samples =
                frames.chunks_exact(3).flat_map(|bytes| [0].into_iter().chain(bytes.iter().copied()));
            (SampleFormat::S24In32, samples.collect())
        }
        other => (other, frames.to_vec()),
    };
    (StreamFormat { sample, ..format }, frames)
}

/// All files of a card of ours.
fn served(folder: &Path) -> Result<Vec<(StreamFormat, Vec<u8>)>, Error> {
    let files = (1..).map(|number| session_wav(folder, "heard", number)).take_while(|path| path.exists());
    files
        .map(|path| {
            let sound = wav::read(&path).map_err(|e| Error::Failed(format!("{}: {e}", path.display())))?;
            Ok((sound.format, sound.frames))
        })
        .collect()
}

/// Whether the song is in it, whole and without a gap.
fn holds(heard: &[u8], song: &[u8]) -> bool {
    heard.windows(song.len().max(1)).any(|part| part == song)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_song_with_a_gap_or_another_bit_is_not_the_song() {
        let song = song(FORMATS[0]);
        let mut heard = vec![0; 1000];
        heard.extend(&song);
        assert!(holds(&heard, &song));
        heard[5000] ^= 1;
        assert!(!holds(&heard, &song));
        let with_gap = [&song[..4000], &[0; 4], &song[4000..]].concat();
        assert!(!holds(&with_gap, &song));
    }
    #[test]
    fn a_song_is_found_in_a_file_of_each_format() {
        let folder = tempfile::tempdir().expect("a folder");
        for format in FORMATS {
            let path = folder.path().join(name(format));
            let frames = song(format);
            let mut file = wav::WavFile::create(&path, format).expect("a file");
            file.add(&frames).and_then(|()| file.flush()).expect("is written");
            let read = wav::read(&path).expect("the file");
            assert_eq!((read.format, read.frames), as_read(format, &frames), "{}", name(format));
        }
    }
}
