//! `ringwave-record`: what `qemu-scripts/record` starts once everything is set up and built.

use std::{path::PathBuf, process::ExitCode};

use clap::Parser;
use ringwave_runner::{
    cli::{self, SoundArgs},
    request::{Mode, Request, Scenario},
};

/// Records a WAV file, which the card's microphone hears, through the shipped driver in a QEMU guest, and
/// says whether every bit arrived.
///
/// Exit code: 0 bit-exact (in real time: but for packets that the client knows to have lost) and without a
/// violation, 1 not, 2 bad input.
#[derive(Parser)]
#[command(name = "record", version, max_term_width = 120, after_help = EXAMPLES)]
struct Arguments {
    /// What the microphone hears: PCM or float, up to 8 channels, at a rate of the card, at most 12 MiB of
    /// sound.
    wav: PathBuf,
    #[command(flatten)]
    sound: SoundArgs,
    /// How the client finds out what it can read.
    #[arg(long, value_enum, default_value_t = Mode::Packet)]
    mode: Mode,
}

const EXAMPLES: &str = "\
Examples:
  record music.wav --out recorded.wav
  record music.wav --card virtio
  record music.wav --clock realtime --mode event --buffer-ms 1000";

fn main() -> ExitCode {
    let arguments: Arguments = match cli::parse("record") {
        Ok(arguments) => arguments,
        Err(code) => return code,
    };
    let outputs = match arguments.sound.outputs("record", Some(&arguments.wav)) {
        Ok(outputs) => outputs,
        Err(code) => return code,
    };
    cli::main("record", outputs, |_| {
        let mut request = arguments.sound.apply(Request::record(&arguments.wav));
        request.scenario = Scenario::Record(arguments.mode);
        Ok((request, None))
    })
}
