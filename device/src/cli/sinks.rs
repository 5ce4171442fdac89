//! `ringwave sinks` and `ringwave sources`: where sound can go and come from, with the sound devices of this
//! host.

use std::fmt::Write as _;
use std::io::Write;
use std::process::ExitCode;

use clap::Args;
use ringwave_host::sound::{self, SoundError};

use super::commands::{Failure, failed};

/// List where sound can go, with the sound devices of this host
#[derive(Args, Debug)]
#[command(after_help = "\
Exit codes: 0 listed (also when this build has no sound), 1 the sound system cannot be asked.

Example:
  ringwave sinks
  ringwave serve --socket /tmp/card.sock --sink sound:pulse --clock realtime")]
pub struct Sinks {}

/// List where captured sound can come from, with the sound devices of this host
#[derive(Args, Debug)]
#[command(after_help = "\
Exit codes: 0 listed (also when this build has no sound), 1 the sound system cannot be asked.

Example:
  ringwave sources
  ringwave serve --socket /tmp/card.sock --source sound:pulse")]
pub struct Sources {}

const SINK_FILES: &str = "\
null                nothing is kept
wav:FILE            a WAV file for each stream, format and client
raw:FILE            samples without a header; raw:- is standard output
";

const SOURCE_FILES: &str = "\
null                silence
wav:FILE            a WAV file, from its beginning each time a stream is set up; then silence
raw:FILE            samples without a header, as they come; raw:- is standard input
tone:HZ             a sine of so many Hz, a quarter of full scale
loopback:N          what render stream N plays
";

/// Runs `ringwave sinks`.
pub fn run(_: &Sinks) -> Result<ExitCode, Failure> {
    list(SINK_FILES, sound::host().devices())
}

/// Runs `ringwave sources`.
pub fn run_sources(_: &Sources) -> Result<ExitCode, Failure> {
    list(SOURCE_FILES, sound::host_inputs().devices())
}

fn list(files: &str, devices: Result<Vec<(String, String)>, SoundError>) -> Result<ExitCode, Failure> {
    let mut text = files.to_owned();
    match devices {
        Ok(devices) => {
            text.push_str("sound               the default device of the host\n");
            for (name, description) in devices {
                // To a string: nothing can fail.
                let _ = writeln!(text, "{:<19} {description}", format!("sound:{name}"));
            }
        }
        Err(error @ SoundError::NotBuilt) => {
            let _ = writeln!(text, "sound               not here: {error}");
        }
        Err(error) => return Err(failed(error)),
    }
    // A reader that does not want it all (head) is no failure.
    let _ = write!(std::io::stdout(), "{text}");
    Ok(ExitCode::SUCCESS)
}
