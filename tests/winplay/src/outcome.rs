//! How a step ends, and what the exit code says of all of them.

use alloc::string::String;
use alloc::vec::Vec;

use crate::hresult::{self, Hresult};
use crate::json::Object;

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// As it should.
    Ok,
    /// Refused, as it must be.
    Refused,
    /// Not as it should.
    Failed,
    /// Not done.
    Skipped,
}

/// Where to look first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suspect {
    /// The card's driver, or the card.
    Driver,
    /// Windows: a service, another program.
    Windows,
    /// Windows' settings.
    Settings,
    /// The command line, or the file to play.
    Command,
    /// This program.
    Program,
}

/// Why a step failed or was skipped; README.md has a sentence on each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "README.md")]
pub enum Cause {
    NoEndpoint,
    CallFailed,
    CallHangs,
    NeverSignalled,
    NoProgress,
    PositionWrong,
    DeviceLost,
    Silent,
    Format,
    ValueNotKept,
    NotHeard,
    NotAsked,
    ChannelOff,
    File,
    Stopped,
}

impl Cause {
    const ALL: &[(Self, &'static str, Option<Suspect>)] = &[
        (Self::NoEndpoint, "no-endpoint", Some(Suspect::Driver)),
        (Self::CallFailed, "call-failed", Some(Suspect::Driver)),
        (Self::CallHangs, "call-hangs", Some(Suspect::Driver)),
        (Self::NeverSignalled, "never-signalled", Some(Suspect::Driver)),
        (Self::NoProgress, "no-progress", Some(Suspect::Driver)),
        (Self::PositionWrong, "position-wrong", Some(Suspect::Driver)),
        (Self::DeviceLost, "device-lost", Some(Suspect::Driver)),
        (Self::Silent, "silent", Some(Suspect::Settings)),
        (Self::Format, "format", Some(Suspect::Command)),
        (Self::ValueNotKept, "value-not-kept", Some(Suspect::Driver)),
        (Self::NotHeard, "not-heard", Some(Suspect::Settings)),
        (Self::NotAsked, "not-asked", None),
        (Self::ChannelOff, "channel-off", Some(Suspect::Settings)),
        (Self::File, "file", Some(Suspect::Program)),
        (Self::Stopped, "stopped", None),
    ];

    /// As in the lines.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(cause, ..)| *cause == self).map_or("", |(_, name, _)| *name)
    }

    /// Whom to suspect, as far as the cause alone says.
    pub fn suspect(self) -> Option<Suspect> {
        Self::ALL.iter().find(|(cause, ..)| *cause == self).and_then(|(.., suspect)| *suspect)
    }
}

impl Suspect {
    /// As in the lines.
    pub fn name(self) -> &'static str {
        match self {
            Self::Driver => "driver",
            Self::Windows => "windows",
            Self::Settings => "settings",
            Self::Command => "command",
            Self::Program => "program",
        }
    }
}

impl Outcome {
    /// As in the lines.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }
}

/// Why a step did not go as it should, with the call that said so.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Why.
    pub cause: Cause,
    /// Whom to suspect.
    pub suspect: Option<Suspect>,
    /// The call, and what it answered, if it did.
    pub call: Option<(&'static str, Option<Hresult>)>,
    /// For a person.
    pub text: String,
}

impl Failure {
    /// Without a call.
    pub fn new(cause: Cause, text: impl Into<String>) -> Self {
        Self { cause, suspect: cause.suspect(), call: None, text: text.into() }
    }

    /// A call that answered what it should not have.
    pub fn call(call: &'static str, code: Hresult) -> Self {
        let lost = code == Hresult::DEVICE_INVALIDATED || code == Hresult::RESOURCES_INVALIDATED;
        let cause = if lost { Cause::DeviceLost } else { Cause::CallFailed };
        let suspect = if lost { cause.suspect() } else { Some(hresult::suspect(code)) };
        let name = hresult::name(code).unwrap_or("a code without a name here");
        let text = alloc::format!("{call} answered {}, {name}", hresult::text(code));
        Self { cause, suspect, call: Some((call, Some(code))), text }
    }

    /// The same with another suspect.
    #[must_use]
    pub fn suspected(mut self, suspect: Suspect) -> Self {
        self.suspect = Some(suspect);
        self
    }
}

/// How a step went: all that its line says beside its own keys.
pub struct StepEnd {
    /// How.
    pub outcome: Outcome,
    /// What was not as it should be, or was refused, or why it was skipped.
    pub failure: Option<Failure>,
    /// For a person, if nothing failed.
    pub text: String,
    /// Answers that are right.
    pub expected: Vec<Hresult>,
}

impl StepEnd {
    /// How a step ends whose calls must all succeed, but for those that must be refused with `refusal`.
    pub fn new(result: Result<String, Failure>, refusal: Option<Hresult>) -> Self {
        let expected = alloc::vec![refusal.unwrap_or(Hresult::OK)];
        match (result, refusal) {
            (Ok(text), None) => Self { outcome: Outcome::Ok, failure: None, text, expected },
            (Ok(_), Some(code)) => {
                let text = alloc::format!(
                    "it was not refused; {} was expected",
                    hresult::name(code).unwrap_or_default()
                );
                let mut failure = Failure::new(Cause::CallFailed, text).suspected(Suspect::Windows);
                failure.call = Some(("IAudioClient2::SetClientProperties", Some(Hresult::OK)));
                Self { outcome: Outcome::Failed, failure: Some(failure), text: String::new(), expected }
            }
            (Err(failure), Some(code)) if failure.call.is_some_and(|(_, answer)| answer == Some(code)) => {
                Self { outcome: Outcome::Refused, failure: Some(failure), text: String::new(), expected }
            }
            (Err(failure), _) => {
                let skipped = matches!(failure.cause, Cause::NotAsked | Cause::ChannelOff);
                let outcome = if skipped { Outcome::Skipped } else { Outcome::Failed };
                Self { outcome, failure: Some(failure), text: String::new(), expected }
            }
        }
    }

    /// Adds the keys that every step has.
    pub fn write(&self, to: &mut Object) {
        let failure = self.failure.as_ref();
        let refused = self.outcome == Outcome::Refused;
        let told = failure.filter(|_| !refused);
        to.set("outcome", self.outcome.name());
        to.set("cause", told.map(|failure| failure.cause.name()));
        to.set("suspect", told.and_then(|failure| failure.suspect).map(Suspect::name));
        to.set("text", failure.map_or(self.text.as_str(), |failure| failure.text.as_str()));
        let call = failure.and_then(|failure| failure.call);
        to.set("call", call.map(|(call, _)| call)).set_hresult("hresult", call.and_then(|(_, code)| code));
        let names = self.expected.iter().map(|code| hresult::name(*code).unwrap_or_default());
        to.set("expected", names.collect::<Vec<_>>());
    }
}

/// What the exit code is made of.
#[derive(Clone, Copy, Debug, Default)]
#[allow(clippy::struct_excessive_bools, reason = "each is one reason for an exit code")]
pub struct Tally {
    /// Steps by outcome.
    pub ok: u32,
    /// Refused, rightly.
    pub refused: u32,
    /// Failed.
    pub failed: u32,
    /// Skipped.
    pub skipped: u32,
    /// A step had no endpoint.
    pub no_endpoint: bool,
    /// An endpoint that was used is not ours.
    pub not_ours: bool,
    /// Ctrl-C.
    pub stopped: bool,
    /// A limit ended the program.
    pub limit: bool,
    /// Audio can't be reached.
    pub unreachable: bool,
}

impl Tally {
    /// Counts a step.
    pub fn count(&mut self, end: &StepEnd) {
        let cause = end.failure.as_ref().map(|failure| failure.cause);
        match end.outcome {
            Outcome::Ok => self.ok += 1,
            Outcome::Refused => self.refused += 1,
            Outcome::Failed => self.failed += 1,
            Outcome::Skipped => self.skipped += 1,
        }
        self.no_endpoint |= cause == Some(Cause::NoEndpoint);
        self.stopped |= cause == Some(Cause::Stopped);
    }

    /// The exit code, by the order of README.md.
    pub fn exit_code(&self) -> u32 {
        let codes = [
            (self.stopped, 130),
            (self.limit, 5),
            (self.unreachable, 6),
            (self.no_endpoint, 3),
            (self.failed > 0, 1),
            (self.not_ours, 4),
        ];
        codes.iter().find(|(is, _)| *is).map_or(0, |(_, code)| *code)
    }

    /// The verdict in words, and a sentence.
    pub fn verdict(&self) -> (&'static str, &'static str) {
        match self.exit_code() {
            0 => (
                "as expected",
                "every step went as it should; what the card heard is to be compared on the host",
            ),
            4 => (
                "not our card",
                "every step went as it should, and an endpoint that was used is not our card's: no verdict on a card",
            ),
            3 => ("failed", "the card has no active endpoint"),
            5 => ("failed", "a call did not come back, or the run took too long: the program ended itself"),
            6 => ("failed", "Windows' audio can't be reached"),
            130 => ("failed", "stopped by Ctrl-C"),
            _ => ("failed", "a step failed; its line says why"),
        }
    }

    /// The last line's keys; `restored` as README.md has it.
    pub fn write(&self, to: &mut Object, restored: Option<bool>) {
        let (verdict, text) = self.verdict();
        to.set("verdict", verdict).set("exit", self.exit_code());
        to.set("ok", self.ok).set("refused", self.refused).set("failed", self.failed);
        to.set("skipped", self.skipped).set("restored", restored).set("text", text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    fn end(result: Result<String, Failure>, refusal: Option<Hresult>) -> (StepEnd, serde_json::Value) {
        let end = StepEnd::new(result, refusal);
        let mut object = Object::new();
        end.write(&mut object);
        (end, serde_json::from_str(&object.text()).expect("JSON"))
    }

    #[test]
    fn what_must_be_refused_and_is_goes_well() {
        let refusal = Failure::call("IAudioClient2::SetClientProperties", Hresult::RAW_MODE_UNSUPPORTED);
        let (step, line) = end(Err(refusal), Some(Hresult::RAW_MODE_UNSUPPORTED));
        assert_eq!(step.outcome, Outcome::Refused);
        assert_eq!(line["hresult_name"], "AUDCLNT_E_RAW_MODE_UNSUPPORTED");
        assert_eq!(line["expected"], serde_json::json!(["AUDCLNT_E_RAW_MODE_UNSUPPORTED"]));
        assert!(line["cause"].is_null());
        // The other way round it does not.
        let (step, line) = end(Ok(String::new()), Some(Hresult::RAW_MODE_UNSUPPORTED));
        assert_eq!((step.outcome, &line["hresult"]), (Outcome::Failed, &"0x00000000".into()));
        // Nor with another refusal.
        let other = Failure::call("IAudioClient::Initialize", Hresult(0x8889_000A));
        let (step, line) = end(Err(other), Some(Hresult::RAW_MODE_UNSUPPORTED));
        assert_eq!((step.outcome, &line["suspect"]), (Outcome::Failed, &"windows".into()));
    }

    #[test]
    fn a_lost_device_is_named() {
        let (_, line) = end(Err(Failure::call("IAudioClient::Stop", Hresult(0x8889_0004))), None);
        assert_eq!((&line["cause"], &line["suspect"]), (&"device-lost".into(), &"driver".into()));
    }

    #[test]
    fn exit_codes_in_their_order() {
        let mut tally = Tally::default();
        assert_eq!((tally.exit_code(), tally.verdict().0), (0, "as expected"));
        tally.not_ours = true;
        assert_eq!((tally.exit_code(), tally.verdict().0), (4, "not our card"));
        tally.count(&StepEnd::new(Err(Failure::new(Cause::NotAsked, "")), None));
        assert_eq!((tally.exit_code(), tally.skipped), (4, 1), "skipped is not failed");
        tally.count(&StepEnd::new(Err(Failure::new(Cause::Silent, "")), None));
        assert_eq!(tally.exit_code(), 1);
        tally.count(&StepEnd::new(Err(Failure::new(Cause::NoEndpoint, "")), None));
        assert_eq!(tally.exit_code(), 3);
        tally.limit = true;
        assert_eq!(tally.exit_code(), 5);
        tally.count(&StepEnd::new(Err(Failure::new(Cause::Stopped, "")), None));
        assert_eq!((tally.exit_code(), tally.failed), (130, 3));
    }

    #[test]
    fn every_cause_is_in_the_readme() {
        let page = include_str!("../README.md");
        for (cause, name, _) in Cause::ALL {
            assert_eq!(cause.name(), *name);
            assert!(page.contains(&std::format!("| `{name}` |")), "{}", name.to_string());
        }
    }
}
