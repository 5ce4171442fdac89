//! The files of `tests/wav`: each has one oddity, and `answers.txt` beside them says what is right.

#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use ringwave_audio::wav::{Samples, WavError};

const PCM: u16 = 1;
const FLOAT: u16 = 3;
const EXTENSIBLE: u16 = 0xFFFE;
/// `KSDATAFORMAT_SUBTYPE_PCM` behind its first two bytes.
const SUBTYPE: [u8; 14] = [0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xAA, 0, 0x38, 0x9B, 0x71];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/wav")
}

/// A chunk that says it has so many bytes.
fn chunk(name: &str, said: u32, body: &[u8]) -> Vec<u8> {
    [name.as_bytes(), &said.to_le_bytes(), body].concat()
}

/// A chunk of the right length, with its byte of padding.
fn whole(name: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes = chunk(name, u32::try_from(body.len()).unwrap(), body);
    bytes.resize(bytes.len().next_multiple_of(2), 0);
    bytes
}

fn fmt(tag: u16, channels: u16, bits: u16, bytes: u16) -> Vec<u8> {
    let align = channels * bytes;
    let mut body = [tag.to_le_bytes(), channels.to_le_bytes()].concat();
    body.extend(48_000_u32.to_le_bytes());
    body.extend((48_000 * u32::from(align)).to_le_bytes());
    body.extend(align.to_le_bytes());
    body.extend(bits.to_le_bytes());
    whole("fmt ", &body)
}

fn extensible(channels: u16, bits: u16, valid: u16, speakers: u32) -> Vec<u8> {
    let mut body = fmt(EXTENSIBLE, channels, bits, bits / 8)[8..].to_vec();
    body.extend(22_u16.to_le_bytes());
    body.extend(valid.to_le_bytes());
    body.extend(speakers.to_le_bytes());
    body.extend(PCM.to_le_bytes());
    body.extend(SUBTYPE);
    whole("fmt ", &body)
}

/// A file of these chunks.
fn riff(chunks: &[Vec<u8>]) -> Vec<u8> {
    let body = chunks.concat();
    let said = u32::try_from(body.len() + 4).unwrap();
    chunk("RIFF", said, &[b"WAVE".as_slice(), &body].concat())
}

/// The same with lengths of 64 bits.
fn long(form: &str, data: u64, chunks: &[Vec<u8>]) -> Vec<u8> {
    let body = chunks.concat();
    let mut ds64 = (body.len() as u64 + 40).to_le_bytes().to_vec();
    ds64.extend(data.to_le_bytes());
    ds64.extend((data / 2).to_le_bytes());
    ds64.extend(0_u32.to_le_bytes());
    chunk(form, u32::MAX, &[b"WAVE".as_slice(), &whole("ds64", &ds64), &body].concat())
}

fn shorts(samples: &[i16]) -> Vec<u8> {
    samples.iter().flat_map(|sample| sample.to_le_bytes()).collect()
}

fn floats(levels: &[f32]) -> Vec<u8> {
    levels.iter().flat_map(|level| level.to_le_bytes()).collect()
}

/// Three samples.
fn three() -> Vec<u8> {
    shorts(&[1000, -2000, 3000])
}

fn mono() -> Vec<u8> {
    fmt(PCM, 1, 16, 2)
}

fn data() -> Vec<u8> {
    whole("data", &three())
}

/// Data of unknown length, as RF64 has it.
fn long_data() -> Vec<u8> {
    chunk("data", u32::MAX, &three())
}

/// Each file and its name.
fn files() -> BTreeMap<&'static str, Vec<u8>> {
    lengths().into_iter().chain(chunks()).chain(formats()).collect()
}

fn lengths() -> Vec<(&'static str, Vec<u8>)> {
    let with_length = |said: u32| riff(&[mono(), chunk("data", said, &three())]);
    let without_lengths = [b"WAVE".as_slice(), &whole("ds64", &[0; 8]), &mono(), &long_data()].concat();
    let part = chunk("data", u32::MAX, &three()[..5]);
    vec![
        ("plain.wav", riff(&[mono(), data()])),
        ("no-frames.wav", riff(&[mono(), whole("data", &[])])),
        ("rf64.wav", long("RF64", 6, &[mono(), long_data()])),
        ("bw64.wav", long("BW64", 6, &[mono(), long_data()])),
        ("rf64-without-lengths.wav", chunk("RF64", u32::MAX, &without_lengths)),
        ("rf64-interrupted.wav", long("RF64", 0, &[mono(), long_data()])),
        ("rf64-cut.wav", long("RF64", 60, &[mono(), long_data()])),
        ("rf64-small.wav", long("RF64", 6, &[mono(), data()])),
        ("data-0.wav", with_length(0)),
        ("data-0-then-list.wav", riff(&[mono(), whole("data", &[]), whole("LIST", b"INFO")])),
        ("data-ffffffff.wav", with_length(u32::MAX)),
        ("data-ffffffff-part-of-a-frame.wav", riff(&[mono(), part])),
        ("data-7ffff000.wav", with_length(0x7FFF_F000)),
        ("data-7fffffff.wav", with_length(0x7FFF_FFFF)),
        ("data-80000000.wav", with_length(0x8000_0000)),
        ("data-cut.wav", with_length(600)),
    ]
}

fn chunks() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("odd-chunk-padded.wav", riff(&[mono(), whole("note", b"abc"), data()])),
        ("odd-chunk-unpadded.wav", riff(&[mono(), chunk("note", 3, b"abc"), data()])),
        ("chunk-too-long.wav", riff(&[mono(), chunk("note", 333, b"abc"), data()])),
        ("second-data.wav", riff(&[mono(), data(), whole("data", &shorts(&[7]))])),
        ("list-behind-data.wav", riff(&[mono(), data(), whole("LIST", b"INFO")])),
        ("rifx.wav", [b"RIFX".as_slice(), &riff(&[mono(), data()])[4..]].concat()),
        ("no-fmt.wav", riff(&[data()])),
        ("no-data.wav", riff(&[mono()])),
    ]
}

fn formats() -> Vec<(&'static str, Vec<u8>)> {
    let with = |fmt: Vec<u8>, bytes: &[u8]| riff(&[fmt, whole("data", bytes)]);
    let six = |speakers| with(extensible(6, 16, 16, speakers), &shorts(&[1, 2, 3, 4, 5, 6]));
    let odd = floats(&[0.5, f32::NAN, f32::INFINITY, -0.5]);
    vec![
        ("24-bits-in-4-bytes.wav", with(fmt(PCM, 1, 24, 4), &[0, 1, 0, 0x40, 0, 0xFF, 0xFF, 0xFF])),
        ("20-bits-in-3-bytes.wav", with(fmt(PCM, 1, 20, 3), &[0, 0, 0x40, 0x10, 0, 0xC0])),
        ("8-valid-bits-in-24.wav", with(extensible(1, 24, 8, 4), &[0, 0, 0x40, 0, 0, 0xC0])),
        ("more-valid-bits-than-there-are.wav", with(extensible(1, 16, 24, 4), &three())),
        ("speakers-none.wav", six(0)),
        ("speakers-5.1-back.wav", six(0x3F)),
        ("speakers-5.1-side.wav", six(0x60F)),
        ("speakers-too-many.wav", six(0x63F)),
        ("not-finite.wav", with(fmt(FLOAT, 1, 32, 4), &odd)),
        ("float64.wav", with(fmt(FLOAT, 1, 64, 8), &0.5_f64.to_le_bytes())),
        ("a-law.wav", with(fmt(6, 1, 8, 1), &[0x55, 0xD5])),
        ("mu-law.wav", with(fmt(7, 1, 8, 1), &[0x7F, 0xFF])),
        ("8-bit.wav", with(fmt(PCM, 1, 8, 1), &[0, 128, 255, 64])),
        ("no-channels.wav", with(fmt(PCM, 0, 16, 2), &three())),
        ("half-a-frame.wav", with(fmt(PCM, 2, 16, 2), &three())),
    ]
}

/// What the reader makes of a file, as `answers.txt` has it.
fn answer(path: &Path) -> String {
    let samples = match Samples::open(path) {
        Ok(samples) => samples,
        Err(error) => {
            assert!(!matches!(error, WavError::Io(_)), "{}: {error}", path.display());
            return format!("refused: {error}");
        }
    };
    let format = samples.format();
    let sound = samples.sound().unwrap();
    let mut line = format!("{} x {}, {} Hz:", format.sample, format.channels, format.rate);
    for sample in sound.frames.chunks(format.sample.bytes() as usize) {
        write!(line, " {}", format.sample.value(sample).unwrap()).unwrap();
    }
    if let Some(speakers) = samples.speakers() {
        write!(line, "; speakers {speakers:#x}").unwrap();
    }
    for warning in samples.warnings() {
        write!(line, "; warning: {warning}").unwrap();
    }
    line
}

/// `RINGWAVE_WRITE_WAV=1` makes them again; the answers are written by hand.
#[test]
fn the_files_are_what_the_generator_makes() {
    let made = files();
    if std::env::var_os("RINGWAVE_WRITE_WAV").is_some() {
        for (name, bytes) in &made {
            std::fs::write(folder().join(name), bytes).unwrap();
        }
    }
    for (name, bytes) in &made {
        assert_eq!(&std::fs::read(folder().join(name)).unwrap(), bytes, "{name}");
    }
    let there = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    for path in there.filter(|path| path.extension().is_some_and(|end| end == "wav")) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        assert!(made.contains_key(name.as_str()), "{name} is made by nobody");
    }
}

#[test]
fn each_file_gets_the_right_answer() {
    let answers = std::fs::read_to_string(folder().join("answers.txt")).unwrap();
    let lines = answers.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    let answers: BTreeMap<&str, &str> = lines.map(|line| line.split_once(" | ").unwrap()).collect();
    let mut wrong = String::new();
    for name in files().keys() {
        let (is, wanted) = (answer(&folder().join(name)), answers.get(name).copied().unwrap_or("?"));
        if is != wanted {
            write!(wrong, "\n{name} | {is}\n    instead of {wanted}").unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert_eq!(answers.len(), files().len(), "an answer without a file");
}
