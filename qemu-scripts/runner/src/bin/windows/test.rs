//! `windows test`: the command line, and the verdict.

use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use ringwave_report::junit::{self, TestCase};
use ringwave_runner::cli::check_folder;
use ringwave_runner::error::Error;
use ringwave_runner::linux::guest::existing_path;
use ringwave_runner::windows::run::device::{DeviceSteps, Verifier};
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
    /// Driver Verifier is active for our driver: standard, then low resources, each with a verdict; or one of them.
    #[arg(long, value_name = "WHAT", require_equals = true, num_args = 0..=1, default_missing_value = "both")]
    verifier: Option<Which>,
    /// Write a JUnit report of the verdict.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
}

/// Which settings of Driver Verifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Which {
    /// One after the other
    Both,
    /// The standard rules, and those for audio drivers
    Standard,
    /// Allocations of the driver fail, 6 of 100
    LowResources,
}

impl Test {
    /// The runs of this test.
    fn requests(&self) -> Result<Vec<Request>, Error> {
        let seconds = self.on.program_seconds();
        let files = files(&existing_path("RINGWAVE_WINPLAY")?, &self.song, self.mode, seconds)?;
        let which = match self.verifier {
            None => &[None][..],
            Some(Which::Standard) => &[Some(Verifier::Standard)],
            Some(Which::LowResources) => &[Some(Verifier::LowResources)],
            Some(Which::Both) => &[Some(Verifier::Standard), Some(Verifier::LowResources)],
        };
        let request = |&verifier: &Option<Verifier>| {
            // With allocations that fail on purpose the device might not start again: cycles and sleep are the standard run's.
            let second = which.len() > 1 && verifier == Some(Verifier::LowResources);
            let device = if second { DeviceSteps::default() } else { self.on.device() };
            let mut request = self.on.request(files.clone(), DeviceSteps { verifier, ..device })?;
            if let (Some(what), true) = (verifier, which.len() > 1) {
                request.out_dir = request.out_dir.map(|folder| folder.join(what.name()));
            }
            Ok(request)
        };
        which.iter().map(request).collect()
    }
}

/// Runs it; 0 passed, 1 not.
pub fn main(wanted: &Test) -> Result<u8, Error> {
    for (option, path) in [("--out", &wanted.out), ("--junit", &wanted.junit)] {
        path.as_deref().map_or(Ok(()), |path| check_folder(option, path))?;
    }
    let (mut cases, mut failed, mut passed) = (Vec::<TestCase>::new(), None, true);
    for (index, request) in wanted.requests()?.iter().enumerate() {
        let begin = Instant::now();
        // Who interrupts wants no report.
        let verdict = match verdict(wanted, request, wanted.out.as_deref().filter(|_| index == 0)) {
            Ok(verdict) => verdict,
            Err(Error::Failed(why)) => {
                let verdict = Verdict::none(&why);
                failed = Some(Error::Failed(why));
                verdict
            }
            Err(error) => return Err(error),
        };
        if failed.is_none() {
            println!("{verdict}");
        }
        let verifier =
            request.device.verifier.map_or(String::new(), |what| format!(", verifier {}", what.name()));
        cases.push(verdict.case(&format!("{}{verifier}", wanted.mode.step()), begin.elapsed()));
        passed &= verdict.passed;
        if failed.is_some() {
            break;
        }
    }
    if let Some(path) = &wanted.junit {
        junit::write(path, "ringwave windows test", &cases)
            .map_err(|error| Error::file("write", path, &error))?;
    }
    failed.map_or_else(|| Ok(u8::from(!passed)), Err)
}

fn verdict(wanted: &Test, request: &Request, out: Option<&Path>) -> Result<Verdict, Error> {
    let mut finished = run(request, |line| eprintln!("{line}"))?;
    let verdict = judge_run(request, &finished, &wanted.song, wanted.mode)?;
    if !verdict.passed {
        finished.keep();
    }
    if let Some(out) = out.filter(|_| finished.heard > 0) {
        std::fs::copy(heard_file(&finished), out).map_err(|error| Error::file("write", out, &error))?;
    }
    tell_end(&finished);
    Ok(verdict)
}
