//! One recording from start to verdict: the twin of [`crate::play`]. A WAV file is the microphone of the card; what the guest's client records
//! through the shipped driver must be its beginning, bit for bit.

use std::{
    fmt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use ringwave::wav::{self, Sound, WavFile, format_name};

use crate::{
    card::{Card, Stats},
    dma_judge,
    error::Error,
    guest_log::GuestLog,
    input::Input,
    machine::{Machine, Outcome, make_volume},
    parts::Parts,
};

/// The most that a guest sends back, in bytes.
const RECORDED_BYTES_MAX: u64 = 12 << 20;

/// What to record, and how.
#[derive(Clone, Debug)]
pub struct Request {
    /// The WAV file that the card's microphone hears.
    pub wav: PathBuf,
    /// Where to put what was recorded; `None` = nowhere.
    pub out: Option<PathBuf>,
    /// Ask the driver for a contiguous cyclic buffer.
    pub contiguous: bool,
    /// Length of the cyclic buffer.
    pub buffer_ms: u32,
    /// `lockstep` (the card waits for `GetReadPacket`) or `realtime`.
    pub clock: &'static str,
    /// `packet`, `event` or `timer`.
    pub mode: &'static str,
    /// More lines for the guest's configuration.
    pub guest_config: Vec<String>,
    /// Leave the run's folder and say where it is.
    pub keep: bool,
}

impl Request {
    /// A request with the defaults of `qemu-scripts/record`.
    pub fn new(wav: impl Into<PathBuf>) -> Self {
        Self {
            wav: wav.into(),
            out: None,
            contiguous: false,
            buffer_ms: 100,
            clock: "lockstep",
            mode: "packet",
            guest_config: Vec::new(),
            keep: false,
        }
    }
}

/// All that a recording showed.
#[derive(Debug)]
pub struct Report {
    /// How the guest ended; `None` = not in time.
    pub outcome: Option<Outcome>,
    /// Frames that the microphone heard, and that were recorded.
    pub frames: [u64; 2],
    /// The first frame that is not the same.
    pub first_difference: Option<u64>,
    /// The card's account.
    pub card: Stats,
    /// The guest's log.
    pub guest: GuestLog,
    /// Violations named by the guest and by the DMA judge.
    pub violations: Vec<String>,
    /// From the start of the card to the verdict.
    pub wall: Duration,
    /// The run's folder, if it was kept.
    pub folder: Option<PathBuf>,
}

impl Report {
    /// Every frame was recorded, as it was, without a violation, and the guest is content.
    pub fn passed(&self) -> bool {
        self.outcome == Some(Outcome::Ok)
            && self.violations.is_empty()
            && self.guest.end.as_ref().is_some_and(|end| end.ok && end.violations == 0)
            && self.bit_exact()
    }

    /// Whether what was recorded is what was heard.
    pub fn bit_exact(&self) -> bool {
        self.first_difference.is_none() && self.frames[0] == self.frames[1]
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut row = |name: &str, value: String| writeln!(f, "  {name:<26} {value}");
        row("frames heard", self.frames[0].to_string())?;
        row("frames recorded", self.frames[1].to_string())?;
        row(
            "verdict",
            match self.first_difference {
                Some(frame) => format!("first difference at frame {frame}"),
                None if self.bit_exact() => "bit-exact".into(),
                None => "lengths differ, the same up to the shorter one's end".into(),
            },
        )?;
        if let Some(stream) = self.card.streams.iter().find(|stream| stream.direction == "capture") {
            row("DMA mode", stream.dma_mode.clone())?;
            row("packets", stream.packets_completed.to_string())?;
        }
        for key in ["lost-packets", "first_event_packets_x100", "worst_event_packets_x100", "jitter_max_us"] {
            if let Some(value) = self.guest.results.get(key) {
                row(&key.replace(['_', '-'], " "), value.clone())?;
            }
        }
        row("violations", self.violations.len().to_string())?;
        row("wall time", format!("{:.1} s", self.wall.as_secs_f64()))?;
        for violation in self.violations.iter().take(20) {
            writeln!(f, "  ! {violation}")?;
        }
        if let Some(folder) = &self.folder {
            writeln!(f, "  {:<26} {}", "kept", folder.display())?;
        }
        Ok(())
    }
}

/// Records as `request` says and judges it.
///
/// # Errors
/// As [`crate::play::play`].
pub fn record(parts: &Parts, request: &Request, mut progress: impl FnMut(&str)) -> Result<Report, Error> {
    let input = Input::open(&request.wav)?;
    if input.sound.frames.len() as u64 > RECORDED_BYTES_MAX {
        let name = request.wav.display();
        return Err(Error::BadInput(format!(
            "{name}: more than {} MiB of sound; cut it",
            RECORDED_BYTES_MAX >> 20
        )));
    }
    let folder = tempfile::Builder::new().prefix("ringwave-").tempdir().map_err(Error::failed)?;
    let result = run(parts, request, &input, folder.path(), &mut progress);
    let kept = if request.keep { Some(folder.keep()) } else { None };
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
    make_volume(parts, folder, &wav, &guest_config(request, input))?;
    let source = ["--source".to_owned(), format!("wav:{}", wav.display())];
    let card = Card::start(parts, folder, request.clock, 1.0, &source)?;
    let mut machine = Machine::boot(parts, folder, &card.socket(), input.file_bytes)?;
    progress("guest boots and records");
    let limit = Duration::from_secs(90) + input.duration() * 4;
    let outcome = machine.wait(limit, || Ok(()))?;
    let (guest_text, qemu_text, recorded) = (machine.guest_log(), machine.qemu_log(), machine.recorded()?);
    drop(machine);
    let (stats, trace) = card.finish()?;
    if let Some(Outcome::Qemu(code)) = outcome {
        return Err(Error::Failed(format!("QEMU failed (exit code {code:?}): {}", qemu_text.trim())));
    }
    let guest = GuestLog::parse(&guest_text);
    let mut violations = guest.violations.clone();
    violations.extend(dma_judge::judge(&guest, &trace));
    if guest.end.is_none() {
        violations.push("rule=no-verdict the guest did not come to its last line in time".into());
    }
    let recorded = Sound { format: input.sound.format, frames: recorded };
    if let Some(out) = &request.out {
        let written = WavFile::create(out, recorded.format).and_then(|mut file| {
            file.add(&recorded.frames)?;
            file.flush()
        });
        written.map_err(|e| Error::file("write", out, &e))?;
    }
    let frame = input.sound.format.frame_bytes().max(1) as usize;
    let mut pairs = input.sound.frames.chunks(frame).zip(recorded.frames.chunks(frame));
    let first_difference = pairs.position(|(heard, recorded)| heard != recorded).map(|frame| frame as u64);
    let frames = [input.frames, recorded.len()];
    let wall = start.elapsed();
    Ok(Report { outcome, frames, first_difference, card: stats, guest, violations, wall, folder: None })
}

fn guest_config(request: &Request, input: &Input) -> String {
    let wav::Sound { format, .. } = &input.sound;
    let mut lines = vec![
        "client=record".to_owned(),
        "wav=MUSIC.WAV".to_owned(),
        format!("mode={}", request.mode),
        format!("format={}x{}@{}", format_name(format.code), format.channels, format.rate),
        format!("frames={}", input.frames),
        format!("buffer_ms={}", request.buffer_ms),
        "mark_reg=0x4c".to_owned(),
    ];
    if request.clock == "lockstep" && request.mode == "packet" {
        lines.push("reg.LockstepCapture=1".to_owned());
    }
    if request.contiguous {
        lines.push("reg.ContiguousBuffer=1".to_owned());
    }
    lines.extend(request.guest_config.iter().cloned());
    lines.join("\n") + "\n"
}
