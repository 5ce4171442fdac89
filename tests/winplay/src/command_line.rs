//! The command line.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// A step, with all that the program has to know of it before it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "README.md")]
pub enum Step {
    List,
    Volume,
    Mute,
    SharedEvent,
    SharedTimer,
    LowLatency,
    Raw,
    ExclusiveEvent,
    ExclusiveTimer,
    Record,
    RecordExclusive,
    Loopback,
    Latency,
    Glitches,
}

impl Step {
    /// In the order of README.md; `all` is all but the first.
    pub const ALL: &[(Self, &'static str)] = &[
        (Self::List, "list"),
        (Self::Volume, "volume"),
        (Self::Mute, "mute"),
        (Self::SharedEvent, "shared-event"),
        (Self::SharedTimer, "shared-timer"),
        (Self::LowLatency, "low-latency"),
        (Self::Raw, "raw"),
        (Self::ExclusiveEvent, "exclusive-event"),
        (Self::ExclusiveTimer, "exclusive-timer"),
        (Self::Record, "record"),
        (Self::RecordExclusive, "record-exclusive"),
        (Self::Loopback, "loopback"),
        (Self::Latency, "latency"),
        (Self::Glitches, "glitches"),
    ];

    /// As on the command line.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(step, _)| *step == self).map_or("", |(_, name)| *name)
    }

    /// Whether it plays the file of `--play`.
    pub fn plays(self) -> bool {
        match self {
            Self::SharedEvent
            | Self::SharedTimer
            | Self::LowLatency
            | Self::Raw
            | Self::ExclusiveEvent
            | Self::ExclusiveTimer
            | Self::Loopback => true,
            Self::List
            | Self::Volume
            | Self::Mute
            | Self::Record
            | Self::RecordExclusive
            | Self::Latency
            | Self::Glitches => false,
        }
    }

    /// Whether it needs an endpoint that plays.
    pub fn needs_render(self) -> bool {
        self.plays() || matches!(self, Self::Volume | Self::Mute | Self::Latency)
    }

    /// Whether it needs a microphone.
    pub fn needs_capture(self) -> bool {
        matches!(self, Self::Record | Self::RecordExclusive | Self::Latency)
    }
}

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "each is one option")]
pub struct Command {
    /// The steps, in order.
    pub steps: Vec<Step>,
    /// `--play`
    pub play: Option<String>,
    /// `--out`
    pub out: String,
    /// `--endpoint`
    pub endpoint: Option<String>,
    /// `--microphone`
    pub microphone: Option<String>,
    /// `--seconds`
    pub seconds: u32,
    /// `--limit`
    pub limit: u32,
    /// `--total`
    pub total: u32,
    /// `--convert`
    pub convert: bool,
    /// `--card-loopback`
    pub card_loopback: bool,
    /// `--enable-glitches`
    pub enable_glitches: bool,
}

/// Why there is no command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoCommand {
    /// `--help`
    Help,
    /// What is wrong, in one line.
    Wrong(String),
}

/// What `--help` says.
pub const HELP: &str = "\
Usage: winplay [options] STEP...

Plays and records through WASAPI at the card's endpoints, and writes a line of JSON for each step.

Steps: list volume mute shared-event shared-timer low-latency raw exclusive-event exclusive-timer record
       record-exclusive loopback latency glitches; all is every one but list

  --play FILE.wav     the sound to play
  --out DIR           an existing folder for winplay.jsonl and what is recorded (default: the current one)
  --endpoint ID       plays to this endpoint; one that is not the card's gives no verdict on a card
  --microphone ID     records from this endpoint; likewise
  --seconds N         how long to record, 1 to 600 (default 3)
  --limit N           seconds that a wait or a call may take, 1 to 600 (default 10)
  --total N           seconds that the whole run may take, 1 to 86400 (default 900)
  --convert           lets Windows convert rate and channels of the file
  --card-loopback     the card plays into its own microphone: latency must hear its clicks
  --enable-glitches   turns the event channel GlitchDetection on (needs an administrator)

Exit code: 0 as expected, 1 a step failed, 2 wrong use, 3 no endpoint of the card, 4 as expected but not our card,
5 a limit, 6 no audio in this Windows, 7 a fault of this program, 130 stopped. The lines: tests/winplay/README.md.

winplay list                                    what endpoints there are
winplay --play song.wav all                     every step at the card
winplay --play song.wav exclusive-event         one
";

/// Reads the arguments behind the program's name.
pub fn parse(arguments: &[String]) -> Result<Command, NoCommand> {
    let mut command = Command {
        steps: Vec::new(),
        play: None,
        out: ".".to_string(),
        endpoint: None,
        microphone: None,
        seconds: 3,
        limit: 10,
        total: 900,
        convert: false,
        card_loopback: false,
        enable_glitches: false,
    };
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let mut value = || {
            rest.next()
                .filter(|value| !value.is_empty() && !value.starts_with("--"))
                .cloned()
                .ok_or_else(|| wrong(&format!("{argument} needs a value")))
        };
        match argument.as_str() {
            "-h" | "--help" | "/?" => return Err(NoCommand::Help),
            "--play" => command.play = Some(value()?),
            "--out" => command.out = value()?,
            "--endpoint" => command.endpoint = Some(value()?),
            "--microphone" => command.microphone = Some(value()?),
            "--seconds" => command.seconds = number(argument, &value()?, 600)?,
            "--limit" => command.limit = number(argument, &value()?, 600)?,
            "--total" => command.total = number(argument, &value()?, 86_400)?,
            "--convert" => command.convert = true,
            "--card-loopback" => command.card_loopback = true,
            "--enable-glitches" => command.enable_glitches = true,
            "all" => command
                .steps
                .extend(Step::ALL.iter().map(|(step, _)| *step).filter(|step| *step != Step::List)),
            name => match Step::ALL.iter().find(|(_, known)| *known == name) {
                Some((step, _)) => command.steps.push(*step),
                None => return Err(wrong(&format!("{name}: no such step or option"))),
            },
        }
    }
    if command.steps.is_empty() {
        return Err(wrong("no step was named"));
    }
    if let (Some(step), None) = (command.steps.iter().find(|step| step.plays()), &command.play) {
        return Err(wrong(&format!("{} needs --play FILE.wav", step.name())));
    }
    Ok(command)
}

fn wrong(what: &str) -> NoCommand {
    NoCommand::Wrong(format!("{what}; see winplay --help"))
}

/// A whole number from 1 to a limit.
fn number(option: &str, text: &str, most: u32) -> Result<u32, NoCommand> {
    text.parse()
        .ok()
        .filter(|number| (1..=most).contains(number))
        .ok_or_else(|| wrong(&format!("{option} {text}: a whole number from 1 to {most} is wanted")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Command, NoCommand> {
        parse(&line.split_whitespace().map(String::from).collect::<Vec<_>>())
    }

    #[test]
    fn options_and_steps() {
        let command =
            parsed("--play a.wav --limit 5 raw raw --endpoint {0.0.0} --convert list").expect("right");
        assert_eq!(command.steps, [Step::Raw, Step::Raw, Step::List]);
        assert_eq!((command.play.as_deref(), command.limit, command.convert), (Some("a.wav"), 5, true));
        assert_eq!((command.endpoint.as_deref(), command.seconds), (Some("{0.0.0}"), 3));
        let all = parsed("--play a.wav all").expect("right").steps;
        assert_eq!(all.len(), Step::ALL.len() - 1);
        assert!(!all.contains(&Step::List));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (line, says) in [
            ("", "no step"),
            ("shared-event", "shared-event needs --play"),
            ("all", "needs --play"),
            ("--play", "needs a value"),
            ("--play --convert list", "--play needs a value"),
            ("--limit 0 list", "from 1 to 600"),
            ("--total 1e3 list", "from 1 to 86400"),
            ("--seconds 601 record", "from 1 to 600"),
            ("exclusive", "no such step"),
            ("--loud list", "no such step or option"),
        ] {
            match parsed(line) {
                Err(NoCommand::Wrong(text)) => {
                    assert!(text.contains(says) && !text.contains('\n'), "{line}: {text}");
                }
                other => panic!("{line}: {other:?}"),
            }
        }
        assert_eq!(parsed("list --help"), Err(NoCommand::Help));
    }

    #[test]
    fn every_step_and_option_is_in_the_help_and_in_the_readme() {
        let page = include_str!("../README.md");
        for (step, name) in Step::ALL {
            assert_eq!(step.name(), *name);
            assert!(page.contains(&format!("| `{name}` |")) && HELP.contains(name), "{name}");
        }
        let options = HELP.split_whitespace().filter(|word| word.starts_with("--"));
        for option in options {
            assert!(page.contains(option), "{option}");
        }
    }
}
