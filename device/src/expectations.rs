//! What a test expects of a card's clients (`serve --expect-sound`, `--max-underruns`), and the verdict on
//! it: a line and an exit code for a script, a JUnit report for a CI server.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use ringwave_audio::StreamFormat;
use ringwave_host::output::{self, Content};
use ringwave_report::junit::{self, TestCase};
use ringwave_report::{SessionReport, StreamReport};

use crate::engine::READER_PATIENCE;

/// The name of the report's suite.
const SUITE: &str = "ringwave serve";
/// How a report of an earlier run is told.
pub const JUNIT: Content = Content::Other { bytes: 512, is_ours: is_our_report };
/// Clients whose lines are in the report.
const CLIENTS_MAX: usize = 100;

fn is_our_report(begin: &[u8]) -> bool {
    let suite = format!("<testsuite name=\"{SUITE}\"");
    begin.windows(suite.len()).any(|part| part == suite.as_bytes())
}

/// How loud what is heard has to be (`--expect-sound=LEVEL`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Level {
    /// Any sample that is not digital silence.
    Any,
    /// One sample at least, in dB relative to full scale.
    Dbfs(f64),
}

impl std::str::FromStr for Level {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "any" {
            return Ok(Self::Any);
        }
        let number = text.strip_suffix("FS").unwrap_or(text).strip_suffix("dB");
        match number.and_then(|number| number.trim_end().parse::<f64>().ok()) {
            Some(level) if level.is_finite() && level <= 0.0 => Ok(Self::Dbfs(level)),
            _ => Err("write a level below full scale, such as -60dB; or leave it out".to_owned()),
        }
    }
}

fn dbfs(magnitude: f64) -> f64 {
    20.0 * magnitude.log10()
}

/// What was heard of all clients in the life of the process.
#[derive(Debug, Default)]
struct Heard {
    /// Frames that were played, of all streams.
    frames: u64,
    /// The highest magnitude of a sample; full scale is 1.
    peak: f64,
    /// Underruns and overruns of all streams, and of sinks with a clock of their own.
    underruns: u64,
    /// The first stream whose underruns cannot be known.
    unknown: Option<u32>,
    /// A line for each client.
    clients: Vec<String>,
    /// The statistics of the last one.
    last: Option<SessionReport>,
    /// The files that it was written to, with their streams.
    files: Vec<(u32, PathBuf)>,
}

/// What there is to tell at the end, for the page of `serve --report`.
#[derive(Clone, Debug, Default)]
pub struct Served {
    /// Frames that were played, of all streams and clients.
    pub frames: u64,
    /// The highest magnitude of a sample; full scale is 1.
    pub peak: f64,
    /// A line for each client, of the first ones.
    pub clients: Vec<String>,
    /// The statistics of the last client.
    pub last: Option<SessionReport>,
    /// The first files that were written, with their streams.
    pub files: Vec<(u32, PathBuf)>,
}

/// What is expected, and what there was of it.
#[derive(Debug)]
pub struct Expectations {
    /// A sound as loud as this.
    sound: Option<Level>,
    /// At most so many underruns.
    max_underruns: Option<u64>,
    /// Where the report goes.
    junit: Option<PathBuf>,
    begin: Instant,
    heard: Mutex<Heard>,
}

impl Expectations {
    /// Nothing was heard yet.
    pub fn new(sound: Option<Level>, max_underruns: Option<u64>, junit: Option<PathBuf>) -> Self {
        Self { sound, max_underruns, junit, begin: Instant::now(), heard: Mutex::default() }
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Frames that a stream played.
    pub(crate) fn frames(&self, format: StreamFormat, bytes: &[u8]) {
        let mut heard = self.heard();
        heard.frames += (bytes.len() as u64).checked_div(format.frame_bytes().into()).unwrap_or(0);
        if format.sample.is_silence(bytes) {
            return;
        }
        let finite = |level: f64| if level.is_finite() { level.abs() } else { 0.0 };
        format.sample.decode(bytes, |level| heard.peak = heard.peak.max(finite(level)));
    }

    /// Silence that a stream played for want of data.
    pub(crate) fn silence(&self, frames: u64) {
        let mut heard = self.heard();
        heard.frames = heard.frames.saturating_add(frames);
    }

    /// A client's session has ended.
    pub(crate) fn session(&self, report: &SessionReport) {
        let mut heard = self.heard();
        for stream in report.streams.iter().filter(|stream| stream.format.is_some()) {
            let StreamReport { underruns, sink_underruns, source_underruns, source_overruns, .. } = stream;
            for missed in [underruns, sink_underruns, source_underruns, source_overruns] {
                heard.underruns = heard.underruns.saturating_add(missed.unwrap_or(0));
            }
            if stream.underruns.is_none() {
                heard.unknown.get_or_insert(stream.index);
            }
        }
        if heard.clients.len() < CLIENTS_MAX {
            heard.clients.push(report.to_string());
        }
        heard.last = Some(report.clone());
    }

    /// The files of the sinks, at the end.
    pub(crate) fn files(&self, files: &[(u32, PathBuf)]) {
        self.heard().files = files.to_vec();
    }

    /// Whether anything is expected of what is heard.
    pub fn judges(&self) -> bool {
        self.sound.is_some() || self.max_underruns.is_some()
    }

    /// What there is to tell.
    pub fn served(&self) -> Served {
        let heard = self.heard();
        Served {
            frames: heard.frames,
            peak: heard.peak,
            clients: heard.clients.clone(),
            last: heard.last.clone(),
            files: heard.files.clone(),
        }
    }

    /// What did not come true, each in a line with the next step. Writes the report, in which `served` counts
    /// too: why serving itself failed.
    pub fn judge(&self, served: Option<&str>) -> Vec<String> {
        let heard = self.heard();
        let sound = self.sound.map(|level| ("sound is heard", heard.no_sound(level)));
        let underruns = self.max_underruns.map(|most| ("underruns are few", heard.too_many_underruns(most)));
        let results: Vec<_> = sound.into_iter().chain(underruns).collect();
        let mut failed: Vec<String> = results.iter().filter_map(|(_, failure)| failure.clone()).collect();
        if let Some(path) = &self.junit {
            let serving = TestCase {
                time: self.begin.elapsed(),
                output: heard.clients.join("\n"),
                ..TestCase::new(
                    "clients are served, and what was heard is kept",
                    served.map(ToOwned::to_owned),
                )
            };
            let others = results.into_iter().map(|(name, failure)| TestCase::new(name, failure));
            let cases: Vec<TestCase> = std::iter::once(serving).chain(others).collect();
            // No reader sees half of it.
            let written = output::replace(path, junit::report(SUITE, &cases).as_bytes(), READER_PATIENCE);
            failed.extend(written.err().map(|error| {
                let why = ringwave_audio::next_step::writing(&error);
                format!("cannot write {}: {why}", path.display())
            }));
        }
        failed
    }
}

impl Heard {
    fn no_sound(&self, level: Level) -> Option<String> {
        let frames = self.frames;
        if frames == 0 {
            return Some(
                "nothing was heard: no stream played a frame; look whether the guest's sound goes to this card"
                    .to_owned(),
            );
        }
        if self.peak == 0.0 {
            return Some(format!(
                "only silence was heard, {frames} frames of it; look whether the guest is muted, and what it plays"
            ));
        }
        let Level::Dbfs(wanted) = level else { return None };
        let peak = dbfs(self.peak);
        (peak < wanted).then(|| {
            format!(
                "what was heard is too quiet: its peak is {peak:.1} dBFS, and {wanted} dBFS is expected; look at the guest's volume"
            )
        })
    }

    fn too_many_underruns(&self, most: u64) -> Option<String> {
        if let Some(stream) = self.unknown {
            return Some(format!(
                "stream {stream}: its underruns cannot be known, for its client marks no packets; leave out --max-underruns"
            ));
        }
        let found = self.underruns;
        (found > most).then(|| {
            format!(
                "{found} underruns or overruns, and {most} are allowed; --stats says in which stream, --trace when"
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use ringwave_audio::SampleFormat;

    const MONO: StreamFormat = StreamFormat { sample: SampleFormat::S16, channels: 1, rate: 48_000 };

    #[test]
    fn levels_are_read_or_refused() {
        for (text, level) in [
            ("any", Level::Any),
            ("-60dB", Level::Dbfs(-60.0)),
            ("-6.5dBFS", Level::Dbfs(-6.5)),
            ("0dB", Level::Dbfs(0.0)),
        ] {
            assert_eq!(text.parse(), Ok(level), "{text}");
        }
        for bad in ["", "60dB", "-60", "dB", "NaNdB", "-infdB", "loud", "-60 LSB", "FS"] {
            assert!(bad.parse::<Level>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_level_or_one_line_of_error(text in ".{0,20}") {
            if let Err(error) = text.parse::<Level>() {
                prop_assert!(error.lines().count() == 1);
            }
        }

        /// One sample that reaches the level is enough wherever it is; none is not.
        #[test]
        fn the_loudest_sample_decides(samples in proptest::collection::vec(-300_i16..300, 1..200), level in -80_i32..-30) {
            let expectations = Expectations::new(Some(Level::Dbfs(level.into())), None, None);
            let bytes: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
            for part in bytes.chunks(14) {
                expectations.frames(MONO, part);
            }
            let loudest = samples.iter().map(|sample| f64::from(sample.unsigned_abs())).fold(0.0, f64::max);
            let reached = loudest >= 32_768.0 * 10_f64.powf(f64::from(level) / 20.0);
            prop_assert_eq!(expectations.judge(None).is_empty(), reached);
        }
    }
}
