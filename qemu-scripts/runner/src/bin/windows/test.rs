//! `windows test`: the command line, and the verdict.

use std::env;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use ringwave_report::html::Page;
use ringwave_report::junit::{self, TestCase};
use ringwave_runner::cli::{self, check_folder};
use ringwave_runner::error::Error;
use ringwave_runner::html::{self, windows::Tested};
use ringwave_runner::linux::guest::existing_path;
use ringwave_runner::output_paths;
use ringwave_runner::windows::run::device::{DeviceSteps, Verifier};
use ringwave_runner::windows::run::{Finished, Request, run};
use ringwave_runner::windows::test::verdict::Verdict;
use ringwave_runner::windows::test::winplay::Mode;
use ringwave_runner::windows::test::{files, heard_file, judge_run, longest};

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
    /// Driver Verifier is active for our driver: standard, then low resources, each with a verdict; or one of
    /// them.
    #[arg(long, value_name = "WHAT", require_equals = true, num_args = 0..=1, default_missing_value = "both")]
    verifier: Option<Which>,
    /// Write a JUnit report of the verdict.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Write a page for a browser: the song and what the card heard, each difference marked, the first ten to
    /// listen to, and what the verdict rests on
    #[arg(long, value_name = "FILE.html")]
    report: Option<PathBuf>,
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
            // With allocations that fail on purpose the device might not start again: cycles and sleep are
            // the standard run's.
            let second = which.len() > 1 && verifier == Some(Verifier::LowResources);
            let device = if second { DeviceSteps::default() } else { self.on.device() };
            let mut request = self.on.request(files.clone(), DeviceSteps { verifier, ..device })?;
            request.timeline = self.report.is_some();
            if let (Some(what), true) = (verifier, which.len() > 1) {
                request.out_dir = request.out_dir.map(|folder| folder.join(what.name()));
            }
            Ok(request)
        };
        which.iter().map(request).collect()
    }
}

/// A run, and what became of it. What the card heard is there as long as this.
struct Ran {
    name: String,
    verdict: Verdict,
    time: Duration,
    waits: bool,
    /// What came of it, unless the host's side failed.
    finished: Option<Finished>,
}

/// All runs, and why there are no more of them.
struct Done {
    runs: Vec<Ran>,
    failed: Option<Error>,
}

/// Runs it; 0 passed, 1 not.
pub fn main(wanted: &Test) -> Result<u8, Error> {
    let written = [("--out", &wanted.out), ("--report", &wanted.report), ("--junit", &wanted.junit)];
    let written = written.map(|(option, path)| (option, path.as_deref()));
    output_paths::no_two_alike(&written, &[("the song", Some(&wanted.song))])?;
    let path = wanted.report.as_deref();
    let (done, mut written) = cli::reported("windows", path, || test(wanted), |done| page(wanted, done));
    let Done { runs, failed } = done?;
    if let Some(path) = &wanted.junit {
        let cases: Vec<TestCase> = runs.iter().map(|run| run.verdict.case(&run.name, run.time)).collect();
        if let Err(error) = junit::write(path, "ringwave windows test", &cases) {
            eprintln!("windows: {}", Error::file("write", path, &error));
            written = false;
        }
    }
    let passed = runs.iter().all(|run| run.verdict.passed);
    failed.map_or_else(|| Ok(u8::from(!(passed && written))), Err)
}

/// Runs them, one after the other, and prints the verdicts.
fn test(wanted: &Test) -> Result<Done, Error> {
    for (option, path) in [("--out", &wanted.out), ("--junit", &wanted.junit)] {
        path.as_deref().map_or(Ok(()), |path| check_folder(option, path))?;
    }
    let mut done = Done { runs: Vec::new(), failed: None };
    for (index, request) in wanted.requests()?.iter().enumerate() {
        let begin = Instant::now();
        // Who interrupts wants no report.
        let (verdict, finished) = match verdict(wanted, request, wanted.out.as_deref().filter(|_| index == 0))
        {
            Ok((verdict, finished)) => {
                println!("{verdict}");
                (verdict, Some(finished))
            }
            Err(Error::Failed(why)) => {
                let verdict = Verdict::none(&why);
                done.failed = Some(Error::Failed(why));
                (verdict, None)
            }
            Err(error) => return Err(error),
        };
        let verifier =
            request.device.verifier.map_or(String::new(), |what| format!(", verifier {}", what.name()));
        let name = format!("{}{verifier}", wanted.mode.step());
        let waits = request.clock.waits();
        done.runs.push(Ran { name, verdict, time: begin.elapsed(), waits, finished });
        if done.failed.is_some() {
            break;
        }
    }
    Ok(done)
}

/// The page of all runs.
fn page(wanted: &Test, done: &Done) -> Result<Page, Error> {
    let tested = done.runs.iter().map(|run| Tested {
        name: &run.name,
        verdict: &run.verdict,
        heard: run.finished.as_ref().filter(|it| it.heard > 0).map(heard_file),
        served: run.finished.as_ref().and_then(longest),
        waits: run.waits,
    });
    let tested: Vec<Tested<'_>> = tested.collect();
    let accel = env::var("RINGWAVE_ACCEL").unwrap_or_else(|_| "tcg".into());
    html::windows::page(&wanted.song, &tested, html::machine(&existing_path("RINGWAVE_QEMU")?, &accel))
}

fn verdict(wanted: &Test, request: &Request, out: Option<&Path>) -> Result<(Verdict, Finished), Error> {
    let mut finished = run(request, |line| eprintln!("{line}"))?;
    let verdict = judge_run(request, &finished, &wanted.song, wanted.mode)?;
    if !verdict.passed {
        finished.keep();
    }
    if let Some(out) = out.filter(|_| finished.heard > 0) {
        std::fs::copy(heard_file(&finished), out).map_err(|error| Error::file("write", out, &error))?;
    }
    tell_end(&finished);
    Ok((verdict, finished))
}
