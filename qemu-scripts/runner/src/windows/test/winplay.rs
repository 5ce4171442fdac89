//! What winplay says: one line of JSON a step. The contract is `tests/winplay/README.md`, schema 1.

use std::fmt;

use serde::Deserialize;
use serde_json::Value;

/// The schema that is read.
const SCHEMA: u64 = 1;

/// How winplay plays: its step of this name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Mode {
    /// Exclusive mode, woken by events: past Windows' audio engine
    #[default]
    ExclusiveEvent,
    /// Exclusive mode, woken by a timer
    ExclusiveTimer,
    /// Shared mode, woken by events: through the engine, which may dither and limit
    SharedEvent,
    /// Shared mode, woken by a timer
    SharedTimer,
    /// Shared mode at the shortest period that Windows offers
    LowLatency,
    /// Shared mode without effects
    Raw,
}

impl Mode {
    /// The step's name.
    pub fn step(self) -> &'static str {
        match self {
            Self::ExclusiveEvent => "exclusive-event",
            Self::ExclusiveTimer => "exclusive-timer",
            Self::SharedEvent => "shared-event",
            Self::SharedTimer => "shared-timer",
            Self::LowLatency => "low-latency",
            Self::Raw => "raw",
        }
    }

    /// Windows hands the file's samples on as they are.
    pub fn is_exclusive(self) -> bool {
        matches!(self, Self::ExclusiveEvent | Self::ExclusiveTimer)
    }
}

/// A step that ended.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct Step {
    /// Its name.
    pub step: String,
    /// `ok`, `refused`, `failed` or `skipped`.
    pub outcome: String,
    /// Why it failed or was skipped.
    pub cause: Option<String>,
    /// Where to look first.
    pub suspect: Option<String>,
    /// For a person.
    #[serde(default)]
    pub text: String,
    /// What was called last.
    pub call: Option<String>,
    /// Its answer.
    pub hresult: Option<String>,
    /// What that is called.
    pub hresult_name: Option<String>,
    /// Whose endpoint it was.
    pub card: Option<String>,
    /// Wakes at which nothing was left to play.
    pub underruns: Option<u64>,
    /// Who converted rate or channels.
    pub converted_by: Option<String>,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.step, self.outcome)?;
        if let Some(cause) = &self.cause {
            write!(f, " ({cause})")?;
        }
        if let (Some(call), Some(code)) = (&self.call, self.hresult_name.as_ref().or(self.hresult.as_ref())) {
            write!(f, ", {call}: {code}")?;
        }
        if !self.text.is_empty() {
            write!(f, ": {}", self.text)?;
        }
        if let Some(suspect) = &self.suspect {
            write!(f, " (look first at: {suspect})")?;
        }
        Ok(())
    }
}

/// All that it said, to its end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transcript {
    /// The steps that ended.
    pub steps: Vec<Step>,
    /// `verdict_on` of the speaker.
    pub verdict_on: Option<String>,
    /// As `10.0.26100`.
    pub windows: Option<String>,
    /// Wine's version, if it was no Windows.
    pub wine: Option<String>,
    /// The exit code that its last line announces.
    pub exit: i64,
    /// The sentence there.
    pub text: String,
}

impl Transcript {
    /// Reads `winplay.jsonl`.
    ///
    /// # Errors
    /// Why there is no verdict: it did not come to its end, or says what is not known here.
    pub fn read(text: &str) -> Result<Self, String> {
        let mut transcript = Self::default();
        let (mut began, mut ended) = (None, false);
        for (number, value) in serde_json::Deserializer::from_str(text).into_iter::<Value>().enumerate() {
            let bad = |why: &dyn fmt::Display| format!("line {} of winplay.jsonl: {why}", number + 1);
            let value = value.map_err(|error| bad(&error))?;
            if value["winplay"] != SCHEMA {
                return Err(bad(&format!("schema {}, and {SCHEMA} is read here", value["winplay"])));
            }
            if value["seq"] != number as u64 || ended {
                return Err(bad(&"a line is missing, or comes behind the last one"));
            }
            let said = |key: &str| value[key].as_str().map(str::to_owned);
            match value["type"].as_str() {
                Some("run") => (transcript.windows, transcript.wine) = (said("windows"), said("wine")),
                Some("chosen") if value["flow"] == "render" => transcript.verdict_on = said("verdict_on"),
                Some("start") => began = said("step"),
                Some("step") => {
                    began = None;
                    let step = serde_json::from_value(value).map_err(|error| bad(&error))?;
                    transcript.steps.push(step);
                }
                Some("end") => {
                    ended = true;
                    transcript.exit = value["exit"].as_i64().ok_or_else(|| bad(&"no exit code"))?;
                    transcript.text = said("text").unwrap_or_default();
                }
                _ => {}
            }
        }
        match (ended, began) {
            (true, _) => Ok(transcript),
            (false, Some(step)) => Err(format!("winplay was ended in step {step}, or hangs there")),
            (false, None) => Err("winplay did not come to its end".into()),
        }
    }

    /// What it says of a step.
    pub fn step(&self, name: &str) -> Option<&Step> {
        self.steps.iter().find(|step| step.step == name)
    }
}
