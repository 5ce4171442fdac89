//! An answer, from the library or from the program.

use std::path::Path;
use std::process::Command;

use ringwave_audio::SampleFormat;
use ringwave_audio::wav::Sound;
use serde_json::Value;

use crate::judge::{self, By, Conclusion, Finding, Judgement, Options, Place, Reason, Tolerance};

/// What is looked at of an answer.
#[derive(Debug)]
pub struct Verdict {
    /// The conclusion.
    pub conclusion: Conclusion,
    /// Where the first expected frame is in the heard file.
    pub offset_frames: Option<f64>,
    /// What was found.
    pub findings: Vec<Finding>,
    /// How much.
    pub findings_total: u64,
}

/// Of the library.
pub fn of_library(expected: &Sound, heard: &Sound, tolerance: Tolerance) -> Verdict {
    let Judgement { conclusion, offset_frames, findings, findings_total, .. } =
        judge::judge_sounds(expected, heard, &Options { tolerance });
    Verdict { conclusion, offset_frames, findings, findings_total }
}

/// Of `ringwave compare --align --json`, with the exit code that belongs to the conclusion.
pub fn of_program(
    program: &Path,
    expected: &Sound,
    heard: &Sound,
    tolerance: &Tolerance,
) -> Result<Verdict, String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let [a, b] = ["expected.wav", "heard.wav"].map(|name| folder.path().join(name));
    for (path, sound) in [(&a, expected), (&b, heard)] {
        std::fs::write(path, wav(sound)).map_err(|error| error.to_string())?;
    }
    let tolerance = match tolerance {
        Tolerance::Lsb(lsb) if *lsb == 0.0 => None,
        Tolerance::Lsb(lsb) => Some(format!("--tolerance={lsb}")),
        Tolerance::Dbfs(db) => Some(format!("--tolerance={db}dB")),
    };
    compare(program, &a, &b, tolerance.as_slice())
}

/// `ringwave compare A B --align --json`.
pub fn compare(program: &Path, a: &Path, b: &Path, more: &[String]) -> Result<Verdict, String> {
    let mut command = Command::new(program);
    command.arg("compare").args([a, b]).args(["--align", "--json"]).args(more);
    let output = command.output().map_err(|error| format!("{}: {error}", program.display()))?;
    read(&output.stdout, output.status.code())
        .map_err(|why| format!("{why}; it said: {}", String::from_utf8_lossy(&output.stderr).trim()))
}

/// Reads the JSON, and looks whether the exit code fits.
pub fn read(stdout: &[u8], code: Option<i32>) -> Result<Verdict, String> {
    let json: Value = serde_json::from_slice(stdout).map_err(|error| format!("no JSON: {error}"))?;
    if json["version"] != 1 || json["mode"] != "aligned" {
        return Err(format!("version {}, mode {}", json["version"], json["mode"]));
    }
    let reason = json["reason"].as_str();
    let (conclusion, right_code) = match (json["conclusion"].as_str(), reason) {
        (Some("same"), None) => (Conclusion::Same, 0),
        (Some("within-tolerance"), None) => (Conclusion::WithinTolerance, 0),
        (Some("damaged"), None) => (Conclusion::Damaged, 1),
        (Some("cannot-tell"), Some(reason)) => (Conclusion::CannotTell(reason_of(reason)?), 3),
        other => return Err(format!("conclusion and reason {other:?}")),
    };
    if code != Some(right_code) {
        return Err(format!("exit code {code:?} for {conclusion:?}"));
    }
    let list = json["findings"].as_array().ok_or("no findings")?;
    let findings = list.iter().map(|one| finding(one).ok_or_else(|| format!("finding {one}")));
    Ok(Verdict {
        conclusion,
        offset_frames: json["offset_frames"].as_f64(),
        findings: findings.collect::<Result<_, _>>()?,
        findings_total: json["findings_total"].as_u64().ok_or("no findings_total")?,
    })
}

fn reason_of(name: &str) -> Result<Reason, String> {
    Ok(match name {
        "expected-empty" => Reason::ExpectedEmpty,
        "expected-silent" => Reason::ExpectedSilent,
        "periodic" => Reason::Periodic,
        "too-short" => Reason::TooShort,
        _ => return Err(format!("reason {name}")),
    })
}

/// A finding with all of its fields.
fn finding(json: &Value) -> Option<Finding> {
    let whole = |name: &str| json[name].as_u64();
    let number = |name: &str| json[name].as_f64();
    let channel = || whole("channel").and_then(|channel| u32::try_from(channel).ok());
    let place = || {
        Some(Place {
            at: whole("at")?,
            expected_at: whole("expected_at")?,
            seconds: number("seconds")?,
            frames: whole("frames")?,
        })
    };
    let hz = |name: &str| whole(name).and_then(|hz| u32::try_from(hz).ok());
    Some(match json["kind"].as_str()? {
        "lost" => Finding::Lost(place()?),
        "repeated" => Finding::Repeated(place()?),
        "inserted" => Finding::Inserted { place: place()?, silent: json["silent"].as_bool()? },
        "replaced" => Finding::Replaced { place: place()?, by: by(json["by"].as_str()?)? },
        "click" => Finding::Click { place: place()?, channel: channel()?, worst_lsb: number("worst_lsb")? },
        "start-missing" => Finding::StartMissing { frames: whole("frames")? },
        "end-missing" => Finding::EndMissing { frames: whole("frames")? },
        // These need not say where they would be expected.
        "extra-before" => Finding::ExtraBefore(extra(json)?),
        "extra-after" => Finding::ExtraAfter(extra(json)?),
        "nothing-heard" => Finding::NothingHeard,
        "unrelated" => Finding::Unrelated,
        "channels-swapped" => Finding::ChannelsSwapped { map: map(&json["map"])? },
        "channel-missing" => Finding::ChannelMissing { channel: channel()? },
        "channel-inverted" => Finding::ChannelInverted { channel: channel()? },
        "level" => Finding::Level { channel: channel()?, db: number("db")? },
        "level-varies" => {
            Finding::LevelVaries { channel: channel()?, min_db: number("min_db")?, max_db: number("max_db")? }
        }
        "offset" => Finding::Offset { channel: channel()?, level: number("level")? },
        "drift" => Finding::Drift { ppm: number("ppm")? },
        "rate" => Finding::Rate { expected: hz("expected")?, heard: hz("heard")? },
        "limiter" => Finding::Limiter { channel: channel()?, threshold_dbfs: number("threshold_dbfs")? },
        "dither" => Finding::Dither {
            channel: channel()?,
            rms_lsb: number("rms_lsb")?,
            worst_lsb: number("worst_lsb")?,
        },
        "noise" => Finding::Noise { channel: channel()?, snr_db: number("snr_db")? },
        "filtered" => Finding::Filtered { channel: channel()?, snr_db: number("snr_db")? },
        "coded" => Finding::Coded { channel: channel()?, snr_db: number("snr_db")? },
        "not-finite" => Finding::NotFinite { expected: whole("expected")?, heard: whole("heard")? },
        _ => return None,
    })
}

fn extra(json: &Value) -> Option<Place> {
    let whole = |name: &str| json[name].as_u64();
    let expected_at = whole("expected_at").unwrap_or(0);
    let seconds = json["seconds"].as_f64().unwrap_or(0.0);
    Some(Place { at: whole("at")?, expected_at, seconds, frames: whole("frames")? })
}

fn by(name: &str) -> Option<By> {
    Some(match name {
        "silence" => By::Silence,
        "repeat" => By::Repeat,
        "other" => By::Other,
        _ => return None,
    })
}

fn map(json: &Value) -> Option<Vec<Option<u32>>> {
    let one = |channel: &Value| match channel {
        Value::Null => Some(None),
        channel => channel.as_u64().and_then(|channel| u32::try_from(channel).ok()).map(Some),
    };
    json.as_array()?.iter().map(one).collect()
}

/// A WAV file with the extensible header (`WAVEFORMATEXTENSIBLE`).
pub fn wav(sound: &Sound) -> Vec<u8> {
    let mut file = header(sound, sound.frames.len() as u64);
    file.extend_from_slice(&sound.frames);
    if !sound.frames.len().is_multiple_of(2) {
        file.push(0);
    }
    file
}

/// The header of a file of so many bytes of samples in the format of `sound`.
pub fn header(sound: &Sound, bytes: u64) -> Vec<u8> {
    const SUBTYPE: [u8; 14] = [0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xAA, 0, 0x38, 0x9B, 0x71];
    let format = sound.format;
    let tag: u16 = if format.sample.is_float() { 3 } else { 1 };
    let bits = match format.sample {
        SampleFormat::S24In32 => 32,
        other => other.container_bits(),
    };
    let frame = format.frame_bytes();
    let padded = bytes + bytes % 2;
    let mut file = Vec::new();
    file.extend(b"RIFF");
    file.extend((60 + padded as u32).to_le_bytes());
    file.extend(b"WAVEfmt ");
    file.extend(40_u32.to_le_bytes());
    file.extend(0xFFFE_u16.to_le_bytes());
    file.extend((format.channels as u16).to_le_bytes());
    file.extend(format.rate.to_le_bytes());
    file.extend((format.rate * frame).to_le_bytes());
    file.extend((frame as u16).to_le_bytes());
    file.extend(bits.to_le_bytes());
    file.extend(22_u16.to_le_bytes());
    file.extend(format.sample.valid_bits().to_le_bytes());
    file.extend(0_u32.to_le_bytes());
    file.extend(tag.to_le_bytes());
    file.extend(SUBTYPE);
    file.extend(b"data");
    file.extend((bytes as u32).to_le_bytes());
    file
}
