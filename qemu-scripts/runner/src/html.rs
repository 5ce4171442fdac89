//! `--report FILE.html` of `play` and `record`: the page for people (device/REPORT.md), from what the run showed.

use std::path::Path;
use std::process::Command;

use ringwave_audio::compare::Comparison;
use ringwave_audio::wav::{Samples, Sound as Frames};
use ringwave_report::html::{
    self, BYTES_MAX, Differences, Outcome, Page, ReportFile, Sound, Timeline, count, grouped, headline,
};
use ringwave_report::{Direction, StreamReport};

use crate::{artefacts::Artefacts, error::Error, input::Input, report::Report, request::Scenario};

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

/// What the run was made on.
pub fn machine(artefacts: &Artefacts) -> Vec<(String, String)> {
    let mut rows = html::machine();
    let version = Command::new(&artefacts.qemu).arg("--version").output().ok();
    let version = version.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let version = version.as_deref().and_then(|text| text.lines().next()).unwrap_or("unknown").to_owned();
    rows.push(("QEMU".into(), format!("{version}, {}", artefacts.accel)));
    rows
}

/// The page of a run that came to no verdict.
pub fn page_of_error(name: &str, error: &Error, machine: Vec<(String, String)>) -> Page {
    Page {
        title: format!("qemu-scripts/{name}"),
        outcome: Outcome::Failed,
        headline: format!("The run broke off: {error}"),
        details: Vec::new(),
        facts: Vec::new(),
        sounds: Vec::new(),
        timeline: None,
        stats: None,
        texts: Vec::new(),
        machine,
        command: command(name),
    }
}

/// The page of a run.
///
/// # Errors
/// A file that cannot be read any more.
pub fn page(name: &str, wav: &Path, report: &Report, machine: Vec<(String, String)>) -> Result<Page, Error> {
    let sent = Input::open(wav)?.sound;
    let recorded = Frames { format: sent.format, frames: report.recorded.clone() };
    let records = matches!(report.scenario, Scenario::Record(_));
    let arrived = if records { Some(&recorded) } else { report.played.as_ref() };
    let file = wav.display().to_string();
    let mut budget = BYTES_MAX;
    let mut sounds = Vec::new();
    let mut said = String::new();
    if let (Some(arrived), Some(comparison)) = (arrived, &report.comparison) {
        let (title, names) = if records {
            ("What was recorded", ["what the microphone heard", "what the guest recorded"])
        } else {
            ("What was played", ["what the guest played", "what the card heard"])
        };
        let file = format!("{}: {file}", names[0]);
        let pair = Pair { title, names: [&file, names[1]], sent: &sent, heard: arrived };
        // Frames may be missing that the card has counted, but the client does not know of.
        let right = report.arrived_whole() && !report.violated("lost-frames");
        let (sound, line) = pair.sound(comparison, right, &mut budget)?;
        sounds.push(sound);
        said = line;
    }
    if let (Some(played), Some(comparison)) = (&report.played, &report.loopback) {
        let names = ["what the card played", "what the guest recorded of it"];
        let pair = Pair { title: "What the loopback recorded", names, sent: played, heard: &recorded };
        let (sound, line) = pair.sound(comparison, report.looped_whole(), &mut budget)?;
        sounds.push(sound);
        if report.arrived_whole() && !report.looped_whole() {
            said = format!("What was played is right, what was recorded of it is not. {line}");
        }
    }
    let mut texts = vec![("The run in lines".to_owned(), report.to_string())];
    if !report.violations.is_empty() {
        texts.push(("Rules that were broken".to_owned(), report.violations.join("\n")));
    }
    Ok(Page {
        title: title(name, wav),
        outcome: if report.passed() { Outcome::Passed } else { Outcome::Failed },
        headline: first_sentence(report, said),
        details: details(report),
        facts: facts(report),
        sounds,
        timeline: report.timeline.clone(),
        stats: Some(report.card.clone()),
        texts,
        machine,
        command: command(name),
    })
}

/// What was sent and what was heard of it.
struct Pair<'a> {
    title: &'a str,
    names: [&'a str; 2],
    sent: &'a Frames,
    heard: &'a Frames,
}

impl Pair<'_> {
    /// Drawn, and its sentence.
    fn sound(&self, verdict: &Comparison, right: bool, budget: &mut u64) -> Result<(Sound, String), Error> {
        let [sent, heard] = [Samples::of(self.sent), Samples::of(self.heard)];
        let found = if verdict.bit_exact() {
            Differences::none()
        } else {
            html::differences(&sent, &heard).map_err(Error::failed)?
        };
        let outcome = if right { Outcome::Passed } else { Outcome::Failed };
        let line =
            headline(outcome, &found, (heard.len(), heard.format().rate), &verdict.verdict.to_string());
        Ok((Sound::of_pair(self.title, self.names, [&sent, &heard], found, budget), line))
    }
}

/// Without the folder: that of the piece that `play` makes by itself is gone.
fn title(name: &str, wav: &Path) -> String {
    let file = wav.file_name().unwrap_or(wav.as_os_str()).to_string_lossy();
    format!("qemu-scripts/{name} {file}")
}

/// What is wrong first: the sound; else a rule; else the guest.
fn first_sentence(report: &Report, said: String) -> String {
    let wrong = report.violations.first();
    if report.comparison.is_none() {
        let why = wrong.map_or("the guest set up no stream".to_owned(), Clone::clone);
        return format!("Nothing was heard: {why}.");
    }
    if !report.arrived_whole() || !report.looped_whole() {
        return said;
    }
    let exact = report.comparison.as_ref().is_some_and(Comparison::bit_exact);
    match wrong.map(|rule| rule.trim_start_matches("rule=").trim_end_matches('.')) {
        Some(rule) if exact => format!("The sound is right, but a rule is broken: {rule}."),
        Some(rule) => format!("{said} A rule is broken: {rule}."),
        None if !report.passed() => {
            "The sound is right, but the guest did not do all that it wanted.".to_owned()
        }
        None => said,
    }
}

/// The cause, as far as card and guest have counted it.
fn details(report: &Report) -> Vec<String> {
    let mut all = Vec::new();
    let ms = |us: f64| format!("{:.1} ms", us / 1000.0);
    for stream in report.card.streams.iter().filter(|stream| stream.format.is_some()) {
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
        all.extend(
            missed(stream, report.waits).map(|what| format!("Stream {}, {name}: {what}.", stream.index)),
        );
        if stream.dma_faults > 0 {
            let faults = count(stream.dma_faults, "transfer");
            all.push(format!("Stream {}, {name}: {faults} from or to guest memory failed.", stream.index));
        }
    }
    for (number, stream) in report.timeline.iter().flat_map(|timeline| &timeline.streams) {
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

fn facts(report: &Report) -> Vec<(String, String)> {
    let mut facts = Vec::new();
    if let Some(comparison) = &report.comparison {
        facts.push(("frames sent".to_owned(), grouped(comparison.frames[0])));
        facts.push(("frames heard".to_owned(), grouped(comparison.frames[1])));
    }
    let records = matches!(report.scenario, Scenario::Record(_));
    if let Some(stream) = report.card.first(if records { Direction::Capture } else { Direction::Render }) {
        facts.push(("packets".to_owned(), grouped(stream.packets_completed)));
        let missed = stream.underruns.map_or("unknown".to_owned(), grouped);
        facts.push((if records { "overruns" } else { "underruns" }.to_owned(), missed));
        facts.push(("silent frames".to_owned(), grouped(stream.silence_frames)));
    }
    facts.push(("rules broken".to_owned(), grouped(report.violations.len() as u64)));
    facts
}

/// The trace of a run, for the page.
///
/// # Errors
/// It is none.
pub fn timeline(path: &Path, stats: &ringwave_report::SessionReport) -> Result<Timeline, Error> {
    let trace = std::fs::File::open(path).map_err(|error| Error::file("read", path, &error))?;
    Timeline::read(trace, Some(stats)).map_err(|error| Error::failed(format!("{}: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_that_a_card_waited_for_are_not_said_to_be_silent() {
        for (waits, direction, underruns, silence, said) in [
            (true, "render", 3, 0, Some("3 packets not in time; the card waited, and nothing is lost by it")),
            (true, "render", 1, 960, Some("1 packet not in time, 960 frames silent")),
            (false, "render", 1, 1, Some("1 packet not in time, 1 frame silent")),
            (false, "capture", 2, 960, Some("2 packets not in time, 960 frames recorded over")),
            (true, "render", 0, 0, None),
        ] {
            let stream = serde_json::json!({
                "index": 0, "direction": direction, "format": "s16", "rate": 48_000, "channels": 2,
                "ring_bytes": 9_600, "packets": 2, "dma_mode": "contiguous", "sg_entries": 0, "frames": 480_000,
                "packets_completed": 200, "underruns": underruns, "silence_frames": silence,
                "source_silence_frames": 0, "dma_faults": 0, "events": 200, "stalls": 0, "marks": 200,
                "polled_marks": 0, "late_marks": 0, "least_margin_us": null, "margins": [],
                "worst_lateness_us": 0, "plugged": true, "sink_failed": false, "drift_ppm": null,
                "sink_underruns": null, "sink_dropped_frames": null, "source_underruns": null,
                "source_overruns": null,
            });
            let stream = serde_json::from_value(stream).expect("the statistics of a stream");
            assert_eq!(missed(&stream, waits).as_deref(), said);
        }
    }
}
