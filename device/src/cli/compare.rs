//! `ringwave compare`: the verdict for any two files.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use ringwave_audio::compare::judge::{Conclusion, Judgement, Options, Tolerance, VERSION, judge};
use ringwave_audio::compare::{Allowed, Comparison, compare_open, open};
use ringwave_audio::wav::Samples;
use ringwave_report::junit::{self, TestCase};
use ringwave_report::one_file::is_one_file;
use serde::Serialize;

use super::commands::{FAILED, Failure, bad_input, failed};
use super::report;

/// The files don't hold enough to say either.
pub(super) const CANNOT_TELL: u8 = 3;

/// Tell whether two WAV files have the same samples
///
/// Without --align the files have to be the same from the first sample to the last. With it the sound of A is
/// looked for in B, silence around it is no damage, and each kind of damage is named: lost and repeated
/// frames, dropouts, clicks, level, drift, channels that are swapped, missing or inverted, noise, dither, a
/// limiter, a filter, a lossy codec. device/COMPARE.md says what each means and how small it may be.
#[derive(Args, Debug)]
#[command(after_help = "\
Exit codes: 0 the same (bit-exact, or but for what was counted; with --align also within the tolerance), 1 not the same,
  2 one of them is not a WAV file that can be read, 3 cannot tell (--align: silence, or a sound that repeats itself, and fits anyhow).

Examples:
  ringwave compare music.wav heard.wav
  ringwave compare music.wav captured.wav --align
  ringwave compare music.wav mixed.wav --align --tolerance 1 --json
  ringwave compare music.wav heard.wav --report report.html     (waveforms, differences marked, to look at and listen to)

  A card in real time plays a packet that is late as silence, and counts that (silence_frames of --stats):
    ringwave compare music.wav heard.wav --silence 4800 --packet 2400")]
pub struct Compare {
    /// What was played
    #[arg(value_name = "A.wav")]
    pub a: PathBuf,
    /// What was heard; peak and RMS are this one's
    #[arg(value_name = "B.wav")]
    pub b: PathBuf,
    /// Find where the sound of A begins in B, and name what is wrong
    #[arg(long, conflicts_with_all = ["silence", "lost", "packet"])]
    pub align: bool,
    /// Samples may differ by so many LSB of the coarser format (2), or by so many dB below full scale (-60dB);
    /// implies --align
    #[arg(long, value_name = "N|-XdB", allow_hyphen_values = true, conflicts_with_all = ["silence", "lost", "packet"])]
    pub tolerance: Option<Tolerance>,
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
    /// Write a JUnit report of one test case, too
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// Write a page for a browser, too: both sounds drawn, each difference marked, the first ten to listen to
    #[arg(long, value_name = "FILE.html")]
    pub report: Option<PathBuf>,
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

/// The JSON of the strict comparison.
#[derive(Serialize)]
struct Strict {
    version: u32,
    mode: &'static str,
    #[serde(flatten)]
    comparison: Comparison,
}

/// Runs the command.
pub fn run(arguments: &Compare) -> Result<ExitCode, Failure> {
    let begin = Instant::now();
    if let Some(junit) = &arguments.junit {
        let others = [Some(&arguments.a), Some(&arguments.b), arguments.report.as_ref()];
        if let Some(other) = others.into_iter().flatten().find(|other| is_one_file(junit, other)) {
            let line =
                format!("--junit {}: it is {}, too; take another file", junit.display(), other.display());
            return Err(bad_input(line));
        }
    }
    let page = arguments
        .report
        .as_deref()
        .map(|path| report::create(path, &[&arguments.a, &arguments.b]))
        .transpose()?;
    let paths = [arguments.a.as_path(), arguments.b.as_path()];
    let [expected, heard] = open(paths).map_err(bad_input)?;
    for (path, samples) in paths.iter().zip([&expected, &heard]) {
        for warning in samples.warnings() {
            log::warn!("{}: {warning}", path.display());
        }
    }
    let (mut judged, mut exact) = (None, false);
    let (text, code, verdict) = if arguments.align || arguments.tolerance.is_some() {
        let judgement = aligned(arguments, &expected, &heard)?;
        let code = match judgement.conclusion {
            Conclusion::Same | Conclusion::WithinTolerance => 0,
            Conclusion::Damaged => FAILED,
            Conclusion::CannotTell(_) => CANNOT_TELL,
        };
        let (text, verdict) =
            (if arguments.json { json(&judgement)? } else { judgement.to_string() }, judgement.to_string());
        judged = Some(judgement);
        (text, code, verdict)
    } else {
        if let (Some(one), Some(other)) = (expected.speakers(), heard.speakers())
            && one != other
        {
            log::warn!("the speakers differ: {one:#x} and {other:#x}");
        }
        let comparison = compare_open(paths, [&expected, &heard], arguments.allowed()).map_err(bad_input)?;
        let code = if comparison.accounted_for() { 0 } else { FAILED };
        exact = comparison.bit_exact();
        let strict = Strict { version: VERSION, mode: "strict", comparison };
        (
            if arguments.json { json(&strict)? } else { comparison.to_string() },
            code,
            format!("{}\n{comparison}", comparison.verdict),
        )
    };
    // A reader that does not want it all (head) is no failure.
    let _ = writeln!(std::io::stdout(), "{text}");
    // One that cannot be written does not keep the other from being written.
    let mut written = Ok(());
    if let Some(page) = page {
        written = report::found(judged.as_ref(), exact, &expected, &heard).and_then(|found| {
            report::write_comparison(page, paths, [&expected, &heard], (code, &verdict), found)
        });
    }
    if let Some(path) = &arguments.junit {
        let name = format!("{} is {}", arguments.b.display(), arguments.a.display());
        let failure = (code != 0).then_some(verdict);
        let case = TestCase { name, time: begin.elapsed(), failure, output: text };
        written = Failure::both(written, write_junit(path, "ringwave compare", &[case]));
    }
    written.map(|()| ExitCode::from(code))
}

/// Writes the report of a command.
pub(super) fn write_junit(path: &Path, suite: &str, cases: &[TestCase]) -> Result<(), Failure> {
    junit::write(path, suite, cases).map_err(|error| {
        let why = ringwave_audio::next_step::writing(&error);
        failed(format!("cannot write {}: {why}", path.display()))
    })
}

fn json(of: &impl Serialize) -> Result<String, Failure> {
    serde_json::to_string_pretty(of).map_err(failed)
}

fn aligned(arguments: &Compare, expected: &Samples<'_>, heard: &Samples<'_>) -> Result<Judgement, Failure> {
    let options = Options { tolerance: arguments.tolerance.unwrap_or_default() };
    let mut bar = ProgressBar::new();
    let judged = judge(expected, heard, &options, &mut |part| bar.show(part));
    bar.clear();
    judged.map_err(|error| bad_input(ringwave_audio::next_step::reading(&error)))
}

/// How far it is, on a terminal, when it takes long.
struct ProgressBar {
    begin: Instant,
    shown: Option<Instant>,
    terminal: bool,
}

impl ProgressBar {
    /// What takes less needs none.
    const AFTER: Duration = Duration::from_secs(1);
    const EVERY: Duration = Duration::from_millis(100);
    const WIDTH: usize = 40;

    fn new() -> Self {
        Self { begin: Instant::now(), shown: None, terminal: std::io::stderr().is_terminal() }
    }

    fn show(&mut self, part: f64) {
        let due = self.shown.map_or(Self::AFTER, |shown| shown.duration_since(self.begin) + Self::EVERY);
        if !self.terminal || self.begin.elapsed() < due {
            return;
        }
        self.shown = Some(Instant::now());
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 100")]
        let percent = (part.clamp(0.0, 1.0) * 100.0) as usize;
        let done = "#".repeat(percent * Self::WIDTH / 100);
        let _ = write!(std::io::stderr(), "\r[{done:<width$}] {percent:3} %", width = Self::WIDTH);
    }

    fn clear(&self) {
        if self.shown.is_some() {
            let _ = write!(std::io::stderr(), "\r{:width$}\r", "", width = Self::WIDTH + 8);
        }
    }
}
