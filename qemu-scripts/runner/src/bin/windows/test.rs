//! `windows test`: the command line, and the verdict.

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use ringwave_report::junit::{self, TestCase};
use ringwave_runner::cli::check_folder;
use ringwave_runner::error::Error;
use ringwave_runner::linux::guest::existing_path;
use ringwave_runner::windows::run::{Request, run};
use ringwave_runner::windows::test::verdict::Verdict;
use ringwave_runner::windows::test::winplay::Mode;
use ringwave_runner::windows::test::{files, heard_file, judge_run};

use crate::run::{OnImage, tell_end};

#[derive(Args)]
pub struct Test {
    #[command(flatten)]
    on: OnImage,
    /// What is played.
    #[arg(value_name = "SONG.wav")]
    song: PathBuf,
    /// Where to write what the card heard.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// How it is played.
    #[arg(long, value_enum, default_value_t)]
    mode: Mode,
    /// Write a JUnit report of the verdict.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
}

/// Runs it; 0 passed, 1 not.
pub fn main(wanted: &Test) -> Result<u8, Error> {
    let begin = Instant::now();
    for (option, path) in [("--out", &wanted.out), ("--junit", &wanted.junit)] {
        path.as_deref().map_or(Ok(()), |path| check_folder(option, path))?;
    }
    let seconds = wanted.on.program_seconds();
    let files = files(&existing_path("RINGWAVE_WINPLAY")?, &wanted.song, wanted.mode, seconds)?;
    let request = wanted.on.request(files)?;
    let verdict = verdict(wanted, &request);
    // Who interrupts wants no report.
    let (verdict, error) = match verdict {
        Ok(verdict) => (verdict, None),
        Err(Error::Failed(why)) => (Verdict::none(&why), Some(Error::Failed(why))),
        Err(error) => return Err(error),
    };
    if let Some(path) = &wanted.junit {
        let cases: [TestCase; 1] = [verdict.case(wanted.mode.step(), begin.elapsed())];
        junit::write(path, "ringwave windows test", &cases)
            .map_err(|error| Error::file("write", path, &error))?;
    }
    if let Some(error) = error {
        return Err(error);
    }
    println!("{verdict}");
    Ok(u8::from(!verdict.passed))
}

fn verdict(wanted: &Test, request: &Request) -> Result<Verdict, Error> {
    let mut finished = run(request, |line| eprintln!("{line}"))?;
    let verdict = judge_run(request, &finished, &wanted.song, wanted.mode)?;
    if !verdict.passed {
        finished.keep();
    }
    if let Some(out) = wanted.out.as_ref().filter(|_| finished.heard > 0) {
        std::fs::copy(heard_file(&finished), out).map_err(|error| Error::file("write", out, &error))?;
    }
    tell_end(&finished);
    Ok(verdict)
}
