//! `ringwave-play`: what `qemu-scripts/play` starts once everything is set up and built.

use std::{path::PathBuf, process::Command, process::ExitCode};

use clap::Parser;
use ringwave_runner::{
    artefacts::Artefacts,
    cli::{self, SoundArgs},
    error::Error,
    request::{Clock, Request, Scenario, speed_from},
};

/// Plays a WAV file through the shipped driver in a QEMU guest and says whether every bit arrived.
///
/// Exit code: 0 bit-exact (in real time: but for the silence that the card counted) and without a violation,
/// 1 not, 2 bad input.
#[derive(Parser)]
#[command(name = "play", version, max_term_width = 120, after_help = EXAMPLES)]
struct Arguments {
    /// A PCM or float WAV file, 1 to 8 channels, at a rate of the card. Without it a short piece is made and
    /// played.
    wav: Option<PathBuf>,
    #[command(flatten)]
    sound: SoundArgs,
    /// The lockstep clock, so many times as fast as real time (2 unless it is said). It changes when, never what.
    #[arg(long, value_name = "X", value_parser = speed_from)]
    speed: Option<f64>,
    /// Record what the card plays, too: its microphone hears its speakers, and the guest's client does both
    /// at once.
    #[arg(long)]
    loopback: bool,
}

/// How fast the lockstep clock goes unless it is said.
const LOCKSTEP_SPEED: f64 = 2.0;

const EXAMPLES: &str = "\
Examples:
  play music.wav --out heard.wav
  play music.wav --clock realtime --buffer-ms 20
  play music.wav --card virtio
  play surround.wav --loopback --dma contiguous";

fn main() -> ExitCode {
    let arguments: Arguments = match cli::parse("play") {
        Ok(arguments) => arguments,
        Err(code) => return code,
    };
    let outputs = match arguments.sound.outputs("play", arguments.wav.as_deref()) {
        Ok(outputs) => outputs,
        Err(code) => return code,
    };
    cli::main("play", outputs, |artefacts| arguments.request(artefacts))
}

impl Arguments {
    /// The request, and what has to live as long as it.
    fn request(self, artefacts: &Artefacts) -> Result<(Request, Option<tempfile::TempDir>), Error> {
        let clock = match (self.sound.clock, self.speed) {
            // Most of the time until the verdict is the sound itself, which waits for the guest anyway.
            (Clock::LOCKSTEP, speed) => Clock::Lockstep(speed.unwrap_or(LOCKSTEP_SPEED)),
            (_, Some(speed)) => {
                return Err(Error::BadInput(format!(
                    "--speed is for --clock lockstep; write --clock scaled:{speed}"
                )));
            }
            (clock, None) => clock,
        };
        let (wav, folder) = match &self.wav {
            Some(wav) => (wav.clone(), None),
            None => make_test_tune(artefacts).map(|(wav, folder)| (wav, Some(folder)))?,
        };
        let mut request = self.sound.apply(Request::play(wav));
        request.clock = clock;
        if self.loopback {
            request.scenario = Scenario::Loopback;
        }
        Ok((request, folder))
    }
}

/// The tune that is played when no file is given, and its folder.
fn make_test_tune(artefacts: &Artefacts) -> Result<(PathBuf, tempfile::TempDir), Error> {
    let folder = tempfile::tempdir().map_err(Error::failed)?;
    let path = folder.path().join("tune.wav");
    let status = Command::new(&artefacts.ringwave)
        .arg("tone")
        .arg(&path)
        .args(["--seconds", "5"])
        .status()
        .map_err(|e| Error::file("run", &artefacts.ringwave, &e))?;
    if status.success() { Ok((path, folder)) } else { Err(Error::failed("ringwave tone made no file")) }
}
