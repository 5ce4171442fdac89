//! The verdict of a test: of winplay's lines, the card's own figures and the sound that it heard. Nothing is
//! "bit-exact" that was not compared, and every verdict names the clock.

use std::fmt;
use std::time::Duration;

use ringwave_audio::compare::judge::{Conclusion, Finding};
use ringwave_report::StreamReport;
use ringwave_report::html::count;
use ringwave_report::junit::TestCase;

use super::winplay::{Mode, Step, Transcript};
use crate::request::Clock;
use crate::windows::machine::GuestCard;
use crate::windows::run::device::DeviceSteps;

/// Findings in a line.
const FINDINGS_SHOWN: usize = 4;
/// 24 bits: the quietest step of the engine's dither that shared mode may add to a sound of fewer bits.
const DITHER_LSB_MAX: f64 = 2.0;

/// `E_OUTOFMEMORY`, `ERROR_NOT_ENOUGH_MEMORY`, `ERROR_NO_SYSTEM_RESOURCES`,
/// `AUDCLNT_E_ENDPOINT_CREATE_FAILED`.
const WANT_OF_MEMORY: [&str; 4] = ["0x8007000E", "0x80070008", "0x800705AA", "0x8889000F"];

/// What the comparison of song and heard sound gave.
#[derive(Clone, Debug, PartialEq)]
pub struct Heard {
    /// Whether it is the song.
    pub conclusion: Conclusion,
    /// What is wrong with it.
    pub findings: Vec<Finding>,
    /// Frames per second.
    pub rate: u32,
}

/// All that is known of a test.
#[derive(Clone, Debug)]
pub struct Played {
    /// What winplay said, or why that is no answer.
    pub said: Result<Transcript, String>,
    /// Its exit code.
    pub exit: i64,
    /// How it was to play.
    pub mode: Mode,
    /// The card.
    pub card: GuestCard,
    /// What was done with its device before.
    pub device: DeviceSteps,
    /// Its clock.
    pub clock: Clock,
    /// The card's figures of the stream.
    pub stream: Option<StreamReport>,
    /// The comparison; `None` if the card heard nothing.
    pub heard: Option<Heard>,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// In a line.
    pub text: String,
    /// Whether there is one, and the test passed.
    pub passed: bool,
    /// What it rests on, name and value.
    pub rows: Vec<(&'static str, String)>,
}

impl Verdict {
    /// There is no verdict, because of this.
    pub fn none(why: &str) -> Self {
        Self { text: format!("no verdict: {why}"), passed: false, rows: Vec::new() }
    }

    /// The same as a test case, which took so long.
    pub fn case(&self, name: &str, time: Duration) -> TestCase {
        let failure = (!self.passed).then(|| self.text.clone());
        TestCase { name: name.into(), time, failure, output: self.to_string() }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in &self.rows {
            writeln!(f, "  {name:<24} {value}")?;
        }
        write!(f, "  {:<24} {}", "verdict", self.text)
    }
}

impl Played {
    /// What follows.
    pub fn verdict(&self) -> Verdict {
        let said = match &self.said {
            Ok(said) => said,
            Err(why) => return Verdict { rows: self.rows(None), ..Verdict::none(why) },
        };
        let (text, passed) = match self.windows_part(said) {
            Ok(None) => self.cards_part(),
            Ok(Some(refused)) => (refused, true),
            Err(why) => (why, false),
        };
        Verdict { text, passed, rows: self.rows(Some(said)) }
    }

    /// What Windows and the driver did, as winplay saw it. `Some`: there is nothing to compare, and rightly.
    fn windows_part(&self, said: &Transcript) -> Result<Option<String>, String> {
        if said.exit != self.exit {
            return Err(format!(
                "no verdict: winplay ended with {}, and announced {}: {}",
                self.exit, said.exit, said.text
            ));
        }
        let name = self.mode.step();
        let step = said.step(name).ok_or_else(|| format!("no verdict: winplay says nothing of {name}"))?;
        let ours = said.verdict_on.as_deref() == Some(self.card.name());
        match step.outcome.as_str() {
            "failed" if self.device.has_low_resources() && is_want_of_memory(step) => {
                Ok(Some(format!("refused for want of memory, as Driver Verifier has it fail: {step}")))
            }
            "failed" | "skipped" => Err(format!("failed in Windows: {step}")),
            // Only RAW may be refused; Windows' rule then is that the endpoint does not list it.
            "refused" if self.mode == Mode::Raw => Ok(Some(format!("refused, as it must be: {step}"))),
            "refused" => Err(format!("refused by Windows: {step}")),
            "ok" if !ours => {
                Err(format!("no verdict: it played to another endpoint than the {} card's", self.card.name()))
            }
            "ok" if said.exit != 0 => Err(other_step(said, name)),
            "ok" => Ok(None),
            other => Err(format!("no verdict: winplay calls the step {other:?}")),
        }
    }

    /// What the card heard, and counted.
    fn cards_part(&self) -> (String, bool) {
        let with = format!("{}, {} card, clock {}", self.mode.step(), self.card.name(), self.clock_name());
        let Some(heard) = &self.heard else {
            return (format!("not heard: Windows played, and the card was sent nothing ({with})"), false);
        };
        if let Some(silence) = self.silence(heard) {
            return (format!("not exact: {silence} ({with})"), false);
        }
        let unknown = if self.underruns_unknown() { "; underruns unknown" } else { "" };
        match heard.conclusion {
            Conclusion::Same => (format!("bit-exact, each sample compared ({with}{unknown})"), true),
            Conclusion::WithinTolerance => (format!("within the tolerance ({with}{unknown})"), true),
            Conclusion::CannotTell(reason) => (format!("no verdict: {} ({with})", reason.as_str()), false),
            Conclusion::Damaged if !self.mode.is_exclusive() && heard.findings.iter().all(engine_may) => {
                (format!("as Windows' engine may: {} ({with}{unknown})", list(&heard.findings)), true)
            }
            Conclusion::Damaged => (format!("damaged: {} ({with}{unknown})", list(&heard.findings)), false),
        }
    }

    /// Silence that the card played because Windows or the driver was late.
    fn silence(&self, heard: &Heard) -> Option<String> {
        let stream = self.stream.as_ref()?;
        let late = stream.underruns.is_some_and(|count| count > 0);
        // HD Audio plays what is in the buffer, so silence there is not counted.
        if stream.silence_frames == 0 && !late {
            return None;
        }
        let ms = stream.silence_frames.saturating_mul(1000) / u64::from(heard.rate.max(1));
        let places: Vec<String> =
            heard.findings.iter().filter_map(silent_place).take(FINDINGS_SHOWN).collect();
        let at = match places.as_slice() {
            [] => String::new(),
            places => format!(" at {}", places.join(", ")),
        };
        let lockstep = match (self.clock.waits(), self.card) {
            (true, GuestCard::Ringwave) => "; does the image's driver ask for lockstep (build --lockstep)?",
            _ => "",
        };
        let underruns = stream.underruns.map_or("unknown underruns".into(), |n| count(n, "underrun"));
        Some(format!("{ms} ms of silence{at}, {underruns}{lockstep}"))
    }

    fn underruns_unknown(&self) -> bool {
        self.stream.as_ref().is_none_or(|stream| stream.underruns.is_none())
    }

    fn clock_name(&self) -> String {
        match (self.clock.waits(), self.clock.speed()) {
            (true, _) => "lockstep".into(),
            (false, 1.0) => "realtime".into(),
            (false, speed) => format!("scaled:{speed}"),
        }
    }

    fn rows(&self, said: Option<&Transcript>) -> Vec<(&'static str, String)> {
        let mut rows = vec![
            ("mode", self.mode.step().into()),
            ("card", self.card.name().into()),
            ("clock", self.clock_name()),
        ];
        if self.device.is_any() {
            rows.push(("device before it", self.device.to_string()));
        }
        if let Some(said) = said {
            rows.push(("Windows", said.windows.clone().unwrap_or_else(|| "unknown".into())));
            if let Some(wine) = &said.wine {
                rows.push(("no Windows but Wine", wine.clone()));
            }
            let step = said.step(self.mode.step());
            rows.push(("in Windows", step.map_or("nothing".into(), Step::to_string)));
            let late = step.and_then(|step| step.underruns).map_or("unknown".into(), |n| n.to_string());
            rows.push(("winplay was late", late));
            let converted = step.and_then(|step| step.converted_by.clone());
            rows.extend(converted.map(|by| ("converted by", by)));
        }
        if let Some(stream) = &self.stream {
            let unknown = || "unknown".to_owned();
            rows.push(("frames at the card", stream.frames.to_string()));
            rows.push(("underruns at the card", stream.underruns.map_or_else(unknown, |n| n.to_string())));
            rows.push(("silence at the card", format!("{} frames", stream.silence_frames)));
        }
        if let Some(heard) = &self.heard {
            rows.push(("compared", heard.conclusion.name().into()));
            rows.extend(
                heard.findings.iter().take(FINDINGS_SHOWN).map(|finding| ("finding", finding.to_string())),
            );
        }
        rows
    }
}

/// What Windows answers when a driver has no memory for a stream. Which of these it is was not seen
/// (WINDOWS.md, 10).
fn is_want_of_memory(step: &Step) -> bool {
    step.hresult
        .as_deref()
        .is_some_and(|code| WANT_OF_MEMORY.iter().any(|want| want.eq_ignore_ascii_case(code)))
}

/// The step is well, and another one is not.
fn other_step(said: &Transcript, name: &str) -> String {
    let failed = said.steps.iter().find(|step| step.step != name && step.outcome == "failed");
    failed.map_or_else(
        || format!("failed in Windows: {}", said.text),
        |step| format!("failed in Windows: {step}"),
    )
}

/// What Microsoft's documents and users say the engine of shared mode does to a sound: it dithers to the
/// endpoint's format, and limits near full scale.
fn engine_may(finding: &Finding) -> bool {
    match finding {
        Finding::Dither { worst_lsb, .. } => *worst_lsb <= DITHER_LSB_MAX,
        Finding::Limiter { .. } => true,
        _ => false,
    }
}

/// Where a finding says that there was silence.
fn silent_place(finding: &Finding) -> Option<String> {
    use ringwave_audio::compare::judge::By;
    match finding {
        Finding::Inserted { place, silent: true } | Finding::Replaced { place, by: By::Silence } => {
            Some(format!("{:.3} s", place.seconds))
        }
        _ => None,
    }
}

fn list(findings: &[Finding]) -> String {
    let shown: Vec<String> = findings.iter().take(FINDINGS_SHOWN).map(Finding::to_string).collect();
    let more = findings.len().saturating_sub(FINDINGS_SHOWN);
    let more = if more > 0 { format!(", and {more} more") } else { String::new() };
    shown.join("; ") + &more
}

#[cfg(test)]
#[path = "verdict_tests.rs"]
mod tests;
