//! What each command does, from arguments to exit code.

use std::io::ErrorKind;
use std::process::ExitCode;

use ringwave_audio::StreamFormat;
use ringwave_audio::next_step;
use ringwave_audio::test_tune::TestTune;
use ringwave_audio::wav::DATA_BYTES_MAX;

use super::{Cli, Command, Tone, serve, trace};

/// Something went wrong while working.
pub(super) const FAILED: u8 = 1;
/// What was asked for cannot be done.
pub(super) const BAD_INPUT: u8 = 2;

/// Why a command did not do what it should: one line for the user, and the exit code.
#[derive(Clone, Debug)]
pub struct Failure {
    /// What to print.
    pub line: String,
    /// What to exit with.
    pub code: u8,
}

impl Failure {
    /// Of two things that were both tried: what failed of them, in one line.
    pub(super) fn both(one: Result<(), Self>, other: Result<(), Self>) -> Result<(), Self> {
        match (one, other) {
            (Err(one), Err(other)) => {
                Err(Self { line: format!("{}; and {}", one.line, other.line), code: one.code })
            }
            (one, other) => one.and(other),
        }
    }
}

pub(super) fn bad_input(error: impl std::fmt::Display) -> Failure {
    Failure { line: error.to_string(), code: BAD_INPUT }
}

pub(super) fn failed(error: impl std::fmt::Display) -> Failure {
    Failure { line: error.to_string(), code: FAILED }
}

/// Runs the command.
pub fn run(cli: Cli) -> Result<ExitCode, Failure> {
    match cli.command {
        Command::Serve(arguments) => serve::run(&arguments),
        Command::Doctor(arguments) => Ok(super::doctor::run(&arguments)),
        Command::Libvirt(arguments) => super::libvirt::run(&arguments),
        Command::Sinks(arguments) => super::sinks::run(&arguments),
        Command::Sources(arguments) => super::sinks::run_sources(&arguments),
        Command::Hda(arguments) => super::hda::run(&arguments),
        Command::Compare(arguments) => super::compare::run(&arguments),
        Command::Tone(arguments) => run_tone(&arguments),
        Command::Bringup(arguments) => super::bringup::run(&arguments),
        Command::Bench(arguments) => super::bench::run(&arguments),
        Command::Trace(arguments) => trace::run(&arguments),
        Command::Control(arguments) => super::control::run(&arguments),
        Command::Listen(arguments) => super::listen::run(&arguments),
        Command::Top(arguments) => super::top::run(&arguments),
        Command::Schema(arguments) => Ok(super::schema::run(&arguments)),
        Command::Completions(arguments) => Ok(super::shell::completions(&arguments)),
        Command::Man(arguments) => super::shell::man(&arguments),
    }
}

fn run_tone(arguments: &Tone) -> Result<ExitCode, Failure> {
    let &Tone { ref out, seconds, rate, channels, format } = arguments;
    let format = StreamFormat { sample: format.into(), channels, rate };
    let bytes = u64::from(seconds) * u64::from(rate) * u64::from(format.frame_bytes());
    if bytes > DATA_BYTES_MAX.into() {
        return Err(bad_input(format!(
            "{}: longer than the 4 GiB of a WAV file; make it shorter",
            out.display()
        )));
    }
    let written = TestTune { seconds, format }.write(out);
    written.map_err(|error| {
        let line = format!("cannot write {}: {}", out.display(), next_step::writing(&error));
        if error.kind() == ErrorKind::StorageFull { failed(line) } else { bad_input(line) }
    })?;
    Ok(ExitCode::SUCCESS)
}
