//! `ringwave-record`: what `qemu-scripts/record` starts once everything is set up and built.

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, ValueEnum};
use ringwave_e2e::{
    error::Error,
    parts::Parts,
    process,
    record::{Request, record},
};

/// Records a WAV file, which the card's microphone hears, through the shipped driver in a QEMU guest, and says whether every bit arrived.
///
/// Exit code: 0 bit-exact and without a violation, 1 not, 2 bad input.
#[derive(Parser)]
#[command(
    name = "record",
    version,
    after_help = "Example:\n  record music.wav --out recorded.wav --mode event"
)]
struct Arguments {
    /// What the microphone hears: PCM or float, up to 8 channels, at a rate of the card, at most 12 MiB of sound.
    wav: PathBuf,
    /// Where to write what was recorded.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// How the card gets at the cyclic buffer.
    #[arg(long, value_enum, default_value_t = Dma::ScatterGather)]
    dma: Dma,
    /// Length of the cyclic buffer (two packets) in milliseconds.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(2..=4000))]
    buffer_ms: u32,
    /// Whether the card waits for a guest that is late (in packet mode), or its clock goes on.
    #[arg(long, value_enum, default_value_t = Clock::Lockstep)]
    clock: Clock,
    /// How the client finds out what it can read: packets, events and the position, or the position alone.
    #[arg(long, value_enum, default_value_t = Mode::Packet)]
    mode: Mode,
    /// Keep the run's folder: logs, trace.
    #[arg(long)]
    keep: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Dma {
    ScatterGather,
    Contiguous,
}

#[derive(Clone, Copy, ValueEnum)]
enum Clock {
    Lockstep,
    Realtime,
}

#[derive(Clone, Copy, ValueEnum)]
enum Mode {
    Packet,
    Event,
    Timer,
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("record: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

fn run(arguments: Arguments) -> Result<bool, Error> {
    process::stop_on_signals()?;
    let parts = Parts::from_env()?;
    let mut request = Request::new(arguments.wav);
    request.out = arguments.out;
    request.contiguous = matches!(arguments.dma, Dma::Contiguous);
    request.buffer_ms = arguments.buffer_ms;
    request.keep = arguments.keep;
    request.clock = if matches!(arguments.clock, Clock::Lockstep) { "lockstep" } else { "realtime" };
    request.mode = match arguments.mode {
        Mode::Packet => "packet",
        Mode::Event => "event",
        Mode::Timer => "timer",
    };
    let report = record(&parts, &request, |step| eprintln!("{step}"))?;
    print!("{report}");
    Ok(report.passed())
}
