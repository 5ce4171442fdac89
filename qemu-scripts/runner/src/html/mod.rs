//! `--report FILE.html`: the page for people (device/REPORT.md), from what a run showed.
//!
//! Here is what the pages share; each program has its own page in a module of its name.

pub mod bench_cards;
pub mod linux;
pub mod play;
pub mod windows;

use std::path::Path;
use std::process::Command;

use ringwave_audio::compare::Comparison;
use ringwave_audio::wav::Samples;
use ringwave_report::html::{
    self, Differences, Outcome, Page, ReportFile, Sound, Timeline, count, grouped, headline,
};
use ringwave_report::{Direction, SessionReport, StreamReport};

use crate::error::Error;

/// Looks whether the page can be written, before anything is started.
///
/// # Errors
/// [`Error::BadInput`], one line.
pub fn create(path: &Path) -> Result<ReportFile, Error> {
    let why = |error| ringwave_audio::next_step::writing(&error);
    ReportFile::create(path)
        .map_err(|error| Error::BadInput(format!("--report {}: {}", path.display(), why(error))))
}

/// The command line of this process, as a user of `qemu-scripts/NAME` typed it.
pub fn command(name: &str) -> String {
    let words = std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned());
    format!("qemu-scripts/{name} {}", html::shell_line(words)).trim_end().to_owned()
}

/// What the run was made on: this host, and this QEMU with this accelerator.
pub fn machine(qemu: &Path, accel: &str) -> Vec<(String, String)> {
    let mut rows = html::host();
    let version = Command::new(qemu).arg("--version").output().ok();
    let version = version.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let version = version.as_deref().and_then(|text| text.lines().next()).unwrap_or("unknown").to_owned();
    rows.push(("QEMU".into(), version));
    let used = match accel {
        "kvm" => "kvm (the processor itself)".to_owned(),
        "tcg" => "tcg (each instruction emulated: slow)".to_owned(),
        other => other.to_owned(),
    };
    rows.push(("accelerator of this run".into(), used));
    rows
}

/// The page of a run that came to no verdict.
pub fn page_of_error(name: &str, error: &Error, machine: Vec<(String, String)>) -> Page {
    Page {
        machine,
        command: command(name),
        ..Page::new(format!("qemu-scripts/{name}"), Outcome::Failed, format!("The run broke off: {error}"))
    }
}

/// The trace of a run, for the page.
///
/// # Errors
/// It is none.
pub fn timeline(path: &Path, stats: &SessionReport) -> Result<Timeline, Error> {
    let trace = std::fs::File::open(path).map_err(|error| Error::file("read", path, &error))?;
    Timeline::read(trace, Some(stats)).map_err(|error| Error::failed(format!("{}: {error}", path.display())))
}

/// Without the folder: that of the piece that `play` makes by itself is gone.
fn title(name: &str, wav: &Path) -> String {
    let file = wav.file_name().unwrap_or(wav.as_os_str()).to_string_lossy();
    format!("qemu-scripts/{name} {file}")
}

/// With a capital at its beginning.
fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters
        .next()
        .map_or_else(String::new, |first| first.to_uppercase().collect::<String>() + letters.as_str())
}

/// What was sent and what was heard of it.
struct Pair<'a> {
    title: &'a str,
    names: [&'a str; 2],
    sent: Samples<'a>,
    heard: Samples<'a>,
}

impl Pair<'_> {
    /// Drawn, and its sentence.
    fn sound(&self, verdict: &Comparison, right: bool, budget: &mut u64) -> Result<(Sound, String), Error> {
        let Self { title, names, sent, heard } = self;
        let (found, frames) = if !verdict.bit_exact() {
            (html::differences(sent, heard).map_err(Error::failed)?, heard.len())
        } else if sent.len() == heard.len() {
            (Differences::none(), heard.len())
        } else {
            // The verdict has allowed silence around it; that is none of the sound.
            (Differences::silence_around(sent, heard), sent.len())
        };
        let outcome = if right { Outcome::Passed } else { Outcome::Failed };
        let line = headline(outcome, &found, (frames, heard.format().rate), &verdict.verdict.to_string());
        let sound = Sound::of_pair(title, *names, [sent, heard], found, budget);
        // What cannot be read any more is not drawn as silence.
        match sent.take_error().or_else(|| heard.take_error()) {
            Some(error) => Err(Error::failed(ringwave_audio::next_step::reading(&error))),
            None => Ok((sound, line)),
        }
    }
}

/// The cause, as far as card and guest have counted it.
fn details(stats: &SessionReport, timeline: Option<&Timeline>, waits: bool) -> Vec<String> {
    let mut all = Vec::new();
    let ms = |us: f64| format!("{:.1} ms", us / 1000.0);
    for stream in stats.streams.iter().filter(|stream| stream.format.is_some()) {
        let name = match stream.direction {
            Direction::Render => "the player",
            Direction::Capture => "the recorder",
        };
        #[allow(clippy::cast_precision_loss, reason = "for people")]
        if let (late @ 1.., Some(least)) = (stream.late_marks, stream.least_margin_us) {
            let late = count(late, "packet");
            all.push(format!(
                "Stream {}, {name}: {late} marked after the beginning, by {} at most.",
                stream.index,
                ms(-least as f64)
            ));
        }
        all.extend(missed(stream, waits).map(|what| format!("Stream {}, {name}: {what}.", stream.index)));
        if stream.dma_faults > 0 {
            let faults = count(stream.dma_faults, "transfer");
            all.push(format!("Stream {}, {name}: {faults} from or to guest memory failed.", stream.index));
        }
    }
    for (number, stream) in timeline.iter().flat_map(|timeline| &timeline.streams) {
        if stream.stalls > 0 {
            #[allow(clippy::cast_precision_loss, reason = "for people")]
            let [all_ms, worst] = [stream.stalled_ns, stream.worst_stall_ns].map(|ns| ms(ns as f64 / 1000.0));
            let times = count(stream.stalls, "time");
            all.push(format!(
                "The card waited for stream {number} {times}, {all_ms} in all, {worst} at most; lockstep, so nothing is lost by it."
            ));
        }
    }
    all
}

/// What was not in time, and what became of it: a card that waits leaves nothing silent.
fn missed(stream: &StreamReport, waits: bool) -> Option<String> {
    let late = count(stream.underruns.filter(|missed| *missed > 0)?, "packet");
    let frames = count(stream.silence_frames, "frame");
    Some(match (stream.direction, stream.silence_frames) {
        (_, 0) if waits => format!("{late} not in time; the card waited, and nothing is lost by it"),
        (Direction::Render, _) => format!("{late} not in time, {frames} silent"),
        (Direction::Capture, _) => format!("{late} not in time, {frames} recorded over"),
    })
}

/// The numbers of a sound that went this way; `frames`: sent and heard, if they were compared.
fn facts(frames: Option<[u64; 2]>, stats: &SessionReport, direction: Direction) -> Vec<(String, String)> {
    let mut facts = Vec::new();
    if let Some([sent, heard]) = frames {
        facts.push(("frames sent".to_owned(), grouped(sent)));
        facts.push(("frames heard".to_owned(), grouped(heard)));
    }
    if let Some(stream) = stats.first(direction) {
        facts.push(("packets".to_owned(), grouped(stream.packets_completed)));
        let missed = stream.underruns.map_or("unknown".to_owned(), grouped);
        let what = match direction {
            Direction::Render => "underruns",
            Direction::Capture => "overruns",
        };
        facts.push((what.to_owned(), missed));
        facts.push(("silent frames".to_owned(), grouped(stream.silence_frames)));
    }
    facts
}

#[cfg(test)]
mod tests;
