//! `ringwave compare`: the verdict for any two files.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use ringwave_audio::compare::{Allowed, compare_allowing};

use super::commands::{FAILED, Failure, bad_input, failed};

/// Tell whether two WAV files have the same samples
#[derive(Args, Debug)]
#[command(after_help = "\
Exit codes: 0 bit-exact (or but for what was counted), 1 not the same, 2 one of them is not a PCM WAV file.

Examples:
  ringwave compare music.wav heard.wav

  A card in real time plays a packet that is late as silence, and counts that (silence_frames of --stats):
    ringwave compare music.wav heard.wav --silence 4800 --packet 2400")]
pub struct Compare {
    /// What was played
    #[arg(value_name = "A.wav")]
    pub a: PathBuf,
    /// What was heard; peak and RMS are this one's
    #[arg(value_name = "B.wav")]
    pub b: PathBuf,
    /// So many frames of silence were counted, in whole packets: B without them must be A
    #[arg(long, value_name = "FRAMES", requires = "packet", conflicts_with = "lost")]
    pub silence: Option<u64>,
    /// So many frames were lost, in whole packets: A without them must be B
    #[arg(long, value_name = "FRAMES", requires = "packet")]
    pub lost: Option<u64>,
    /// Frames of a packet, for --silence and --lost
    #[arg(long, value_name = "FRAMES", value_parser = clap::value_parser!(u64).range(1..))]
    pub packet: Option<u64>,
    /// Print JSON instead of a table
    #[arg(long)]
    pub json: bool,
}

impl Compare {
    fn allowed(&self) -> Allowed {
        match (self.packet, self.silence, self.lost) {
            (Some(packet), Some(counted), _) => Allowed::Silence { packet, counted },
            (Some(packet), None, Some(counted)) => Allowed::Lost { packet, counted },
            _ => Allowed::Nothing,
        }
    }
}

/// Runs the command.
pub fn run(arguments: &Compare) -> Result<ExitCode, Failure> {
    let comparison = compare_allowing(&arguments.a, &arguments.b, arguments.allowed()).map_err(bad_input)?;
    let text = if arguments.json {
        serde_json::to_string_pretty(&comparison).map_err(failed)?
    } else {
        comparison.to_string()
    };
    // A reader that does not want it all (head) is no failure.
    let _ = writeln!(std::io::stdout(), "{text}");
    Ok(if comparison.accounted_for() { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}
