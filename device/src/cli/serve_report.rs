//! `ringwave serve --report FILE.html`: the page of a serving, when it ends (device/REPORT.md).
//!
//! What it needs of this host is asked for before the sandbox; what it draws is read back inside of it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use ringwave::expectations::{Expectations, Served};
use ringwave_audio::next_step;
use ringwave_audio::wav::Samples;
use ringwave_host::SinkSpec;
use ringwave_host::output::{self, Content};
use ringwave_report::html::{
    Outcome, Page, Sound, Timeline, count, grouped, is_page, level, machine, moment,
};
use ringwave_report::{Direction, SessionReport};

use super::commands::{Failure, bad_input, failed};
use super::report::own_command;
use super::serve::Serve;

/// How a page of an earlier run is told.
pub const PAGE: Content = Content::Other { bytes: 512, is_ours: is_page };
/// Sounds that are drawn: a page of as many stays small.
const SOUNDS_MAX: usize = 8;
/// Of a file that is replaced; a page is never a FIFO.
const PATIENCE: Duration = Duration::from_millis(500);

/// The page that is to be, and what of it is known before the card serves.
pub struct ServingPage {
    path: PathBuf,
    machine: Vec<(String, String)>,
}

impl ServingPage {
    /// Before the sandbox. Whether the file can be written is found out where it is reserved.
    pub fn begin(path: &Path) -> Result<Self, Failure> {
        if std::fs::metadata(path).is_ok_and(|there| !there.is_file()) {
            let kind = if path.is_dir() { "is a directory" } else { "is no regular file" };
            return Err(bad_input(format!("--report {}: {kind}; give a file", path.display())));
        }
        Ok(Self { path: path.to_owned(), machine: machine() })
    }

    /// Makes and writes it. `ended`: what became of serving.
    pub fn write(
        self,
        arguments: &Serve,
        heard: &Expectations,
        ended: &Result<ExitCode, Failure>,
    ) -> Result<(), Failure> {
        let Self { path, machine } = self;
        let page = page(arguments, heard, ended, machine);
        output::replace(&path, page.render().as_bytes(), PATIENCE).map_err(|error| {
            failed(format!("cannot write {}: {}", path.display(), next_step::writing(&error)))
        })
    }
}

fn page(
    arguments: &Serve,
    heard: &Expectations,
    ended: &Result<ExitCode, Failure>,
    machine: Vec<(String, String)>,
) -> Page {
    let served = heard.served();
    let mut details = Vec::new();
    let timeline = timeline(arguments, served.last.as_ref(), &mut details);
    let sounds = sounds(arguments, &served.files, &mut details);
    let outcome = match ended {
        Err(_) => Outcome::Failed,
        Ok(_) if heard.judges() => Outcome::Passed,
        Ok(_) => Outcome::Unknown,
    };
    let headline = match ended {
        Err(failure) => format!("{}.", failure.line),
        Ok(_) => headline(&served, timeline.as_ref()),
    };
    Page {
        details,
        facts: facts(&served),
        sounds,
        timeline,
        texts: vec![("The clients, one after the other".to_owned(), served.clients.join("\n"))],
        stats: served.last,
        machine,
        command: own_command(),
        ..Page::new("ringwave serve", outcome, headline)
    }
}

/// What the card knows of what was not in time, and since when.
fn headline(served: &Served, timeline: Option<&Timeline>) -> String {
    let streams = served.last.iter().flat_map(|report| &report.streams);
    let used: Vec<_> = streams.filter(|stream| stream.format.is_some()).collect();
    if used.is_empty() {
        return "No stream was used.".to_owned();
    }
    let missed: u64 = used.iter().filter_map(|stream| stream.underruns).sum();
    let silent: u64 = used.iter().map(|stream| stream.silence_frames).sum();
    let frames: u64 = used.iter().map(|stream| stream.frames).sum();
    if used.iter().any(|stream| stream.underruns.is_none()) {
        return format!(
            "What was missed in {} is unknown: a client that marks no packets does not say what is late.",
            count(frames, "frame")
        );
    }
    if missed == 0 && silent == 0 {
        return format!("Nothing was missed in {}.", count(frames, "frame"));
    }
    let first =
        timeline.and_then(|timeline| timeline.streams.values().filter_map(|it| it.first_silent).min());
    #[allow(clippy::cast_precision_loss, reason = "for people")]
    let since =
        first.map_or(String::new(), |ns| format!(", first at {} of the trace", moment(ns as f64 / 1e9)));
    format!("{} not in time{since}; {} silent for it.", count(missed, "packet"), count(silent, "frame"))
}

fn facts(served: &Served) -> Vec<(String, String)> {
    let mut facts = vec![
        ("clients".to_owned(), grouped(served.clients.len() as u64)),
        ("frames played".to_owned(), grouped(served.frames)),
    ];
    facts.push(("peak".to_owned(), level(served.peak)));
    for (direction, what) in [(Direction::Render, "underruns"), (Direction::Capture, "overruns")] {
        let streams = served.last.iter().flat_map(|report| &report.streams);
        let used: Vec<_> = streams.filter(|it| it.direction == direction && it.format.is_some()).collect();
        if !used.is_empty() {
            let missed: Option<u64> = used.iter().map(|stream| stream.underruns).sum();
            facts.push((what.to_owned(), missed.map_or("unknown".to_owned(), grouped)));
        }
    }
    facts
}

/// The trace, if there is one; why it is not drawn goes to `details`.
fn timeline(arguments: &Serve, stats: Option<&SessionReport>, details: &mut Vec<String>) -> Option<Timeline> {
    let path = arguments.trace.as_ref().filter(|path| !output::is_special(path))?;
    let read = File::open(path).map_err(Into::into).and_then(|file| Timeline::read(file, stats));
    read.inspect_err(|error| details.push(format!("The trace {} is not drawn: {error}.", path.display())))
        .ok()
}

/// What the sinks have written.
fn sounds(arguments: &Serve, files: &[(u32, PathBuf)], details: &mut Vec<String>) -> Vec<Sound> {
    match &arguments.sink {
        SinkSpec::Wav(path) if !output::is_special(path) => {}
        sink => {
            details.push(format!("Sound is drawn of --sink wav:FILE; this was --sink {sink}."));
            return Vec::new();
        }
    }
    let left_out = files.len().saturating_sub(SOUNDS_MAX) as u64;
    if left_out > 0 {
        details.push(format!("Not drawn: {} more of what was heard.", count(left_out, "file")));
    }
    let mut sounds = Vec::new();
    for (stream, path) in files.iter().take(SOUNDS_MAX) {
        let name = path.display().to_string();
        match Samples::open(path) {
            Ok(samples) => {
                let sound = Sound::alone(&format!("What stream {stream} played"), "heard", &name, &samples);
                match samples.take_error() {
                    Some(error) => {
                        details.push(format!("{name} is not drawn: {}.", next_step::reading(&error)));
                    }
                    None => sounds.push(sound),
                }
            }
            Err(error) => details.push(format!("{name} is not drawn: {error}.")),
        }
    }
    sounds
}
