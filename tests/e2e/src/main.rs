//! `ringwave-play`: what `qemu-scripts/play` starts once everything is set up and built.

use std::{
    io::{IsTerminal, Write},
    path::PathBuf,
    process::{Command, ExitCode},
};

use clap::{Parser, ValueEnum};
use ringwave_e2e::{
    error::Error,
    parts::Parts,
    play::{Request, play},
    process,
};

/// Plays a WAV file through the shipped driver in a QEMU guest and says whether every bit arrived.
///
/// Exit code: 0 bit-exact and without a violation, 1 not, 2 bad input.
#[derive(Parser)]
#[command(
    name = "play",
    version,
    after_help = "Examples:\n  play music.wav --out heard.wav\n  play --dma contiguous"
)]
struct Arguments {
    /// A PCM or float WAV file, 1 to 8 channels, at a rate of the card. Without it a short piece is made and played.
    wav: Option<PathBuf>,
    /// Where to write what was heard.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// How the card gets at the cyclic buffer.
    #[arg(long, value_enum, default_value_t = Dma::ScatterGather)]
    dma: Dma,
    /// Length of the cyclic buffer (two packets) in milliseconds.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(2..=4000))]
    buffer_ms: u32,
    /// How much faster than real time the card's clock goes. It changes when, never what: the card waits for each packet.
    #[arg(long, value_name = "X", default_value_t = 1.0, value_parser = speed)]
    speed: f64,
    /// Keep the run's folder: logs, trace, what was heard.
    #[arg(long)]
    keep: bool,
}

fn speed(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(speed) if (0.1..=100.0).contains(&speed) => Ok(speed),
        _ => Err("a number from 0.1 to 100".into()),
    }
}

#[derive(Clone, Copy, ValueEnum)]
enum Dma {
    ScatterGather,
    Contiguous,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("play: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

fn run(arguments: Arguments) -> Result<bool, Error> {
    process::stop_on_signals()?;
    let parts = Parts::from_env()?;
    let made = tempfile::tempdir().map_err(Error::failed)?;
    let wav = match arguments.wav {
        Some(wav) => wav,
        None => make_piece(&parts, made.path().join("piece.wav"))?,
    };
    let mut request = Request::new(wav);
    request.out = arguments.out;
    request.contiguous = matches!(arguments.dma, Dma::Contiguous);
    request.buffer_ms = arguments.buffer_ms;
    request.keep = arguments.keep;
    request.speed = arguments.speed;
    let terminal = std::io::stderr().is_terminal();
    let report = play(&parts, &request, |step| {
        if terminal && !step.contains('\n') {
            eprint!("\r\x1b[K{step}");
            let _ = std::io::stderr().flush();
        } else {
            eprintln!("{step}");
        }
    })?;
    if terminal {
        eprint!("\r\x1b[K");
    }
    print!("{report}");
    Ok(report.passed())
}

/// The piece that is played when no file is given.
fn make_piece(parts: &Parts, path: PathBuf) -> Result<PathBuf, Error> {
    let status = Command::new(&parts.ringwave)
        .arg("tone")
        .arg(&path)
        .args(["--seconds", "5"])
        .status()
        .map_err(|e| Error::file("run", &parts.ringwave, &e))?;
    if status.success() { Ok(path) } else { Err(Error::failed("ringwave tone made no file")) }
}
