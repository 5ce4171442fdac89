//! One run from start to verdict: card, machine, guest, comparison.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use serde::Deserialize;

use crate::{
    card::{Card, Stats},
    dma_judge,
    error::Error,
    guest_log::GuestLog,
    input::Input,
    machine::{Machine, Outcome, make_volume},
    parts::Parts,
};

/// What to play, and how.
#[derive(Clone, Debug)]
pub struct Request {
    /// The WAV file.
    pub wav: PathBuf,
    /// Where to put what was heard; `None` = nowhere.
    pub out: Option<PathBuf>,
    /// Ask the driver for a contiguous cyclic buffer.
    pub contiguous: bool,
    /// Length of the cyclic buffer.
    pub buffer_ms: u32,
    /// `lockstep` or `realtime`.
    pub clock: &'static str,
    /// Device time per host time.
    pub speed: f64,
    /// More lines for the guest's configuration, for the tests (`fault=...`).
    pub guest_config: Vec<String>,
    /// More options for `ringwave serve`, for the tests.
    pub card: Vec<String>,
    /// Leave the run's folder and say where it is.
    pub keep: bool,
}

impl Request {
    /// A request with the defaults of `qemu-scripts/play`.
    pub fn new(wav: impl Into<PathBuf>) -> Self {
        Self {
            wav: wav.into(),
            out: None,
            contiguous: false,
            buffer_ms: 100,
            clock: "lockstep",
            speed: 1.0,
            guest_config: Vec::new(),
            card: Vec::new(),
            keep: false,
        }
    }
}

/// What `ringwave compare --json` says.
#[derive(Clone, Debug, Deserialize)]
pub struct Comparison {
    /// Frames that went in, and that were heard.
    pub frames: [u64; 2],
    /// The verdict.
    pub verdict: Verdict,
    /// Peak of what was heard; `None` = digital silence.
    pub peak_dbfs: Option<f64>,
    /// RMS of what was heard; `None` = digital silence.
    pub rms_dbfs: Option<f64>,
}

/// Whether what was heard is what was sent.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Every sample is the same.
    BitExact,
    /// One file ends early; all before is the same.
    LengthsDiffer,
    /// Rate, channels or bits differ.
    FormatsDiffer,
    /// The first sample that differs.
    Different {
        /// Frame number, from 0.
        frame: u64,
        /// Channel number, from 0.
        channel: u32,
        /// What was sent: a sample, or a fraction of full scale of a float.
        a: f64,
        /// What was heard.
        b: f64,
    },
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BitExact => f.write_str("bit-exact"),
            Self::LengthsDiffer => f.write_str("lengths differ, the same up to the shorter one's end"),
            Self::FormatsDiffer => f.write_str("formats differ"),
            Self::Different { frame, channel, a, b } => {
                write!(f, "first difference at frame {frame}, channel {channel}: sent {a}, heard {b}")
            }
        }
    }
}

/// All that a run showed.
#[derive(Clone, Debug)]
pub struct Report {
    /// How the guest ended; `None` = not in time.
    pub outcome: Option<Outcome>,
    /// The two files compared; `None` if nothing was heard at all.
    pub comparison: Option<Comparison>,
    /// The card's account.
    pub card: Stats,
    /// The guest's log.
    pub guest: GuestLog,
    /// Violations named by the guest and by the DMA judge.
    pub violations: Vec<String>,
    /// From the start of the card to the verdict.
    pub wall: Duration,
    /// What a client that records wrote out.
    pub recorded: Vec<u8>,
    /// The run's folder, if it was kept.
    pub folder: Option<PathBuf>,
}

impl Report {
    /// Bit-exact, no violation, and the guest is content.
    pub fn passed(&self) -> bool {
        self.outcome == Some(Outcome::Ok)
            && self.violations.is_empty()
            && self.guest.end.as_ref().is_some_and(|end| end.ok && end.violations == 0)
            && self.comparison.as_ref().is_some_and(|comparison| comparison.verdict == Verdict::BitExact)
    }

    /// Whether `rule` is among the violations.
    pub fn violated(&self, rule: &str) -> bool {
        let word = format!("rule={rule}");
        self.violations.iter().any(|line| line.split_whitespace().next() == Some(word.as_str()))
    }
}

/// Plays `request` and judges it. `progress` hears about the run's steps.
///
/// # Errors
/// [`Error::BadInput`] before anything is started; [`Error::Failed`] if a part can't be started or does not do its work;
/// [`Error::Interrupted`]. Whatever happens, no process and no socket is left.
pub fn play(parts: &Parts, request: &Request, mut progress: impl FnMut(&str)) -> Result<Report, Error> {
    let input = Input::open(&request.wav)?;
    let folder = tempfile::Builder::new()
        .prefix("ringwave-")
        .tempdir()
        .map_err(|e| Error::Failed(format!("cannot make a temporary folder: {e}")))?;
    let result = run(parts, request, &input, folder.path(), &mut progress);
    let kept = if request.keep { Some(folder.keep()) } else { None };
    if let (Some(kept), Err(_)) = (&kept, &result) {
        progress(&format!("the run's files are in {}", kept.display()));
    }
    result.map(|report| Report { folder: kept, ..report })
}

fn run(
    parts: &Parts,
    request: &Request,
    input: &Input,
    folder: &Path,
    progress: &mut impl FnMut(&str),
) -> Result<Report, Error> {
    let start = Instant::now();
    let wav = folder.join("in.wav");
    input.write(&wav)?;
    make_volume(parts, folder, &wav, &guest_config(request))?;
    let card = Card::start(parts, folder, request.clock, request.speed, &request.card)?;
    let mut machine = Machine::boot(parts, folder, &card.socket(), input.file_bytes)?;
    progress("guest boots");
    let heard = card.heard();
    let mut shown = Instant::now();
    let outcome = machine.wait(time_limit(input, request.speed), || {
        if shown.elapsed() > Duration::from_secs(1) {
            shown = Instant::now();
            let bytes = heard.metadata().map_or(0, |meta| meta.len());
            if bytes > 0 {
                let percent = bytes.saturating_mul(100) / input.file_bytes.max(1);
                progress(&format!(
                    "playing, {}% of {:.1} s",
                    percent.min(100),
                    input.duration().as_secs_f64()
                ));
            }
        }
        Ok(())
    })?;
    let (guest_text, qemu_text, recorded) = (machine.guest_log(), machine.qemu_log(), machine.recorded()?);
    drop(machine);
    let (stats, trace) = card.finish()?;
    if let Some(Outcome::Qemu(code)) = outcome {
        return Err(Error::Failed(format!("QEMU failed (exit code {code:?}): {}", qemu_text.trim())));
    }
    let guest = GuestLog::parse(&guest_text);
    if outcome == Some(Outcome::BadInput) || guest.end.is_none() {
        progress(&format!("the guest's last lines:\n{}", tail(&guest_text, 12)));
    }
    let mut violations = guest.violations.clone();
    violations.extend(dma_judge::judge(&guest, &trace));
    if outcome.is_none() {
        violations.push("rule=timeout the guest did not end in time".into());
    } else if guest.end.is_none() {
        violations.push("rule=no-verdict the guest ended without its last line".into());
    }
    let comparison = if heard.exists() { Some(compare(parts, &request.wav, &heard)?) } else { None };
    if let Some(out) = &request.out
        && heard.exists()
    {
        fs::copy(&heard, out).map_err(|e| Error::file("write", out, &e))?;
    }
    Ok(Report {
        outcome,
        comparison,
        card: stats,
        guest,
        violations,
        recorded,
        wall: start.elapsed(),
        folder: None,
    })
}

fn guest_config(request: &Request) -> String {
    let mut lines = vec![
        "wav=MUSIC.WAV".to_owned(),
        format!("buffer_ms={}", request.buffer_ms),
        // TRACE_MARK of the card's datasheet, section 3.
        "mark_reg=0x4c".to_owned(),
        // The guest's judge of positions must know how fast the card's clock may go.
        format!("speed={}", request.speed.ceil()),
    ];
    if request.contiguous {
        lines.push("reg.ContiguousBuffer=1".to_owned());
    }
    lines.extend(request.guest_config.iter().cloned());
    lines.join("\n") + "\n"
}

fn time_limit(input: &Input, speed: f64) -> Duration {
    let sound = input.duration().div_f64(speed.clamp(0.01, 100.0));
    Duration::from_secs(90) + sound * 3
}

/// Runs `ringwave compare`.
fn compare(parts: &Parts, sent: &Path, heard: &Path) -> Result<Comparison, Error> {
    let output = Command::new(&parts.ringwave)
        .arg("compare")
        .arg("--json")
        .args([sent, heard])
        .output()
        .map_err(|e| Error::file("run", &parts.ringwave, &e))?;
    serde_json::from_slice(&output.stdout).map_err(|error| {
        let said = String::from_utf8_lossy(&output.stderr);
        Error::Failed(format!("ringwave compare gave no verdict ({error}): {}", said.trim()))
    })
}

fn tail(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.lines().collect();
    all.get(all.len().saturating_sub(lines)..).unwrap_or_default().join("\n")
}
