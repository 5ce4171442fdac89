//! What `ringwave serve` is to hold against what was heard when it ends ([`ringwave::expectations`]).

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use ringwave::expectations::{Expectations, Level};

use super::commands::{Failure, bad_input, failed};

/// Arguments of `serve`: what a test expects.
#[derive(Args, Debug)]
pub struct ExpectedArgs {
    /// End with exit code 1 when nothing or only silence was heard, or nothing as loud as LEVEL (-60dB: one
    /// sample at least, after the guest's volume), by all streams and clients together
    #[arg(
        long,
        value_name = "LEVEL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "any",
        allow_hyphen_values = true
    )]
    pub expect_sound: Option<Level>,
    /// End with exit code 1 when there were more underruns (of recordings, overruns), by all streams and
    /// clients together. Not with --card hda, which cannot know them
    #[arg(long, value_name = "N")]
    pub max_underruns: Option<u64>,
    /// Write a JUnit report at the end, for CI servers: serving, and each of the two above
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
}

impl ExpectedArgs {
    /// What they say, if they say anything. `report`: what is heard is wanted for a page, too.
    pub fn expectations(&self, render: u32, report: bool) -> Result<Option<Arc<Expectations>>, Failure> {
        if self.expect_sound.is_some() && render == 0 {
            return Err(bad_input("--expect-sound: no stream plays with --render 0; take 1 or more"));
        }
        let Self { expect_sound, max_underruns, junit } = self;
        let any = report || expect_sound.is_some() || max_underruns.is_some() || junit.is_some();
        Ok(any.then(|| Arc::new(Expectations::new(*expect_sound, *max_underruns, junit.clone()))))
    }
}

/// The last word of `serve`: what became of serving, then what was expected.
pub fn conclude(
    expectations: Option<&Expectations>,
    served: Result<ExitCode, Failure>,
) -> Result<ExitCode, Failure> {
    let Some(expectations) = expectations else { return served };
    let unmet = expectations.judge(served.as_ref().err().map(|failure| failure.line.as_str()));
    match served {
        Ok(_) if !unmet.is_empty() => Err(failed(unmet.join("; and "))),
        other => {
            for line in unmet {
                log::error!("{line}");
            }
            other
        }
    }
}
