//! `ringwave sinks`: where sound can go, with the sound devices of this host.

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

const FILES: &str = "\
null                nothing is kept
wav:FILE            a WAV file for each stream, format and client
raw:FILE            samples without a header; raw:- is standard output
";

/// Runs the command.
pub fn run(_: &Sinks) -> Result<ExitCode, Failure> {
    let mut text = FILES.to_owned();
    match sound::host().devices() {
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
