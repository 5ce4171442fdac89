//! What the stand-in is to do wrong, and the plan that comes of it: which lines it says in which boot, and
//! how each boot ends. Pure, so that the host tests it.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

/// Stages of `WINDOWS.md`, section 3, in their order. `done` is no line of this kind.
pub const STAGES: [&str; 5] = ["winpe", "specialize", "logon", "driver", "settings"];
/// Resets of `thrice` beyond those of `plain`.
const MORE_RESETS: u32 = 3;
/// Win32 error codes, as `problem` lines carry them.
pub const FILE_NOT_FOUND: u32 = 2;
pub const WRITE_FAULT: u32 = 29;
pub const INVALID_DATA: u32 = 13;
pub const DISK_FULL: u32 = 112;
/// `pnputil`: no device matches the driver package, or a better one is in use.
const NO_MORE_ITEMS: u32 = 259;

/// One behaviour; the stage is where it shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Behaviour {
    Plain,
    NoKeyNeeded,
    AskAgain,
    Hang(String),
    Problem(String),
    ProblemAlone(String),
    WrongCode(u32),
    NoDone(String),
    Loop(String),
    Panic(String),
    SkipStage(String),
    Garbage,
    BadLine(String),
    Thrice,
    /// MiB to write behind the image before the end of the disk is written over.
    FullDisk(u64),
    MissingFile,
}

impl Behaviour {
    /// `NAME` or `NAME:ARGUMENT`; none for a name or an argument that is not known.
    pub fn parse(text: &str) -> Option<Self> {
        let (name, argument) = text.trim().split_once(':').map_or((text.trim(), None), |(n, a)| (n, Some(a)));
        let stage = |default: &str| {
            let stage = argument.unwrap_or(default);
            STAGES.contains(&stage).then(|| stage.to_string())
        };
        let plain = |behaviour: Self| argument.is_none().then_some(behaviour);
        match name {
            "plain" => plain(Self::Plain),
            "no-key-needed" => plain(Self::NoKeyNeeded),
            "ask-again" => plain(Self::AskAgain),
            "hang" => stage("logon").map(Self::Hang),
            "problem" => stage("driver").map(Self::Problem),
            "problem-alone" => stage("driver").map(Self::ProblemAlone),
            "wrong-code" => {
                argument.unwrap_or("7").parse().ok().filter(|code| *code != 0).map(Self::WrongCode)
            }
            "no-done" => stage("settings").map(Self::NoDone),
            "loop" => stage("specialize").map(Self::Loop),
            "panic" => stage("driver").map(Self::Panic),
            "skip-stage" => stage("driver").map(Self::SkipStage),
            "garbage" => plain(Self::Garbage),
            "bad-line" => {
                let kind = argument.unwrap_or("stage");
                bad_line(kind).map(|_| Self::BadLine(kind.to_string()))
            }
            "thrice" => plain(Self::Thrice),
            "full-disk" => argument.unwrap_or("0").parse().ok().map(Self::FullDisk),
            "missing-file" => plain(Self::MissingFile),
            _ => None,
        }
    }
}

/// What one boot does, in order. A plan ends with `Reset`, `PowerOff` or `Halt`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// A line of the protocol, without `RINGWAVE ` before it.
    Say(String),
    /// A file between `log` and `end`.
    Log(&'static str, String),
    /// Bytes as they are.
    Raw(Vec<u8>),
    /// Writes the image to the disk.
    WriteImage,
    /// Tells QEMU of a crash, where it listens.
    Panic,
    /// Starts again, in this state.
    Reset(State),
    PowerOff,
    Halt,
}

/// How far the installation is; kept on the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// Boots from the disk that are over: 0 specialize, 1 the first logon, 2 the second, 3 the image is
    /// whole.
    pub step: u32,
    /// Resets of `thrice` so far.
    pub more: u32,
    /// `ask-again`: the CD has asked for a key since the last boot that went on.
    pub asked: u32,
}

/// The plan of the boot from the CD, after a key and the checks.
pub fn from_cd(behaviour: &Behaviour) -> Vec<Action> {
    let plan = vec![stage("winpe"), Action::WriteImage, Action::Reset(State::default())];
    changed(plan, behaviour, State::default())
}

/// The plan of a boot from the disk.
pub fn from_disk(behaviour: &Behaviour, state: State) -> Vec<Action> {
    let next = Action::Reset(State { step: state.step + 1, more: state.more, asked: 0 });
    let plan = match state.step {
        // Windows Setup itself restarts here; nobody announces it.
        0 => vec![stage("specialize"), next],
        1 if *behaviour == Behaviour::Thrice && state.more < MORE_RESETS => {
            vec![stage("logon"), Action::Reset(State { more: state.more + 1, asked: 0, ..state })]
        }
        1 => vec![stage("logon"), say("reboot test signing takes effect at the next start"), next],
        // Later boots are those of a run.
        _ => vec![
            stage("logon"),
            stage("driver"),
            stage("settings"),
            say("note what follows is a file of the guest's"),
            Action::Log("setupact.log", "stand-in: RINGWAVE done 9\nRINGWAVE done 9\n".to_string()),
            say("done 0"),
            Action::PowerOff,
        ],
    };
    changed(plan, behaviour, state)
}

fn say(line: &str) -> Action {
    Action::Say(line.to_string())
}

fn stage(name: &str) -> Action {
    say(&format!("stage {name}"))
}

/// The plan with what the behaviour changes in it.
fn changed(mut plan: Vec<Action>, behaviour: &Behaviour, state: State) -> Vec<Action> {
    match behaviour {
        Behaviour::Hang(name) => replace_after(&mut plan, name, vec![Action::Halt]),
        Behaviour::Problem(name) => {
            let log = "install.cmd: 4 of 5\nRINGWAVE done 0\n\u{1b}[2Jpnputil: no device\n".to_string();
            let text = format!("problem {NO_MORE_ITEMS} pnputil: no device matches ringwave.inf");
            let done = say(&format!("done {NO_MORE_ITEMS}"));
            let rest = vec![Action::Log("install.log", log), Action::Say(text), done, Action::Halt];
            replace_after(&mut plan, name, rest);
        }
        Behaviour::ProblemAlone(name) => {
            replace_after(&mut plan, name, vec![say("problem 5 access is denied"), Action::Halt]);
        }
        Behaviour::WrongCode(code) => {
            if let Some(at) = plan.iter().position(|action| *action == say("done 0")) {
                plan.truncate(at);
                plan.extend([say(&format!("done {code}")), Action::Halt]);
            }
        }
        Behaviour::NoDone(name) => replace_after(&mut plan, name, vec![Action::PowerOff]),
        Behaviour::Loop(name) => {
            replace_after(&mut plan, name, vec![Action::Reset(State { asked: 0, ..state })]);
        }
        Behaviour::Panic(name) => replace_after(&mut plan, name, vec![Action::Panic, Action::Halt]),
        Behaviour::SkipStage(name) => plan.retain(|action| *action != stage(name)),
        Behaviour::Garbage => {
            if let Some(at) = plan.iter().position(is_stage) {
                plan.insert(at, Action::Raw(garbage()));
                plan.insert(at + 2, Action::Raw(garbage()));
            }
        }
        Behaviour::BadLine(kind) => {
            if let (Some(at), Some(bytes)) = (place(&plan, "specialize"), bad_line(kind)) {
                plan.insert(at + 1, Action::Raw(bytes.to_vec()));
            }
        }
        Behaviour::Plain
        | Behaviour::NoKeyNeeded
        | Behaviour::AskAgain
        | Behaviour::Thrice
        | Behaviour::FullDisk(_)
        | Behaviour::MissingFile => {}
    }
    plan
}

fn is_stage(action: &Action) -> bool {
    matches!(action, Action::Say(line) if line.starts_with("stage "))
}

fn place(plan: &[Action], name: &str) -> Option<usize> {
    let wanted = stage(name);
    plan.iter().position(|action| *action == wanted)
}

/// What follows a stage, if this boot has it, is `rest`.
fn replace_after(plan: &mut Vec<Action>, name: &str, rest: Vec<Action>) {
    if let Some(at) = place(plan, name) {
        plan.truncate(at + 1);
        plan.extend(rest);
    }
}

/// What is no line of the protocol, or one that still counts: the installation goes on.
pub fn garbage() -> Vec<u8> {
    let mut bytes = Vec::new();
    // Control sequences alone, and before a line that counts.
    bytes.extend(b"\x1b[2J\x1b[01;01H\x1b[0m\x1b[37m\x1b[40m\r\n\x1b[2J\x1b[01;01HRINGWAVE note behind control sequences\r\n");
    // Lines that are too long; the first would be one of the protocol, cut off.
    bytes.extend(b"RINGWAVE note ");
    bytes.extend([b'x'; 5000]);
    // Who splits at 1,000 characters, instead of cutting off, finds a line of the protocol in this one.
    bytes.extend(b"\n");
    bytes.extend([b'y'; 5000]);
    bytes.extend(b"RINGWAVE done 8\n");
    // Every byte there is, but none that ends a line.
    bytes.extend((0..=255).filter(|byte| *byte != b'\n' && *byte != b'\r'));
    bytes.extend(b"\n\0\0\0\n\xFF\xFE\r\n\xC3\x28\n");
    // Not ASCII; not at the beginning of the line; another case; no space.
    bytes.extend(b"RINGWAVE done 8\xFF\n");
    bytes.extend(b"C:\\>echo RINGWAVE done 8\n");
    bytes.extend(b"ringwave done 8\nRINGWAVEdone 8\nRINGWAVE\n");
    // A verb that nobody knows is a note.
    bytes.extend(b"RINGWAVE weather 12 degrees\n\n\r\n");
    bytes
}

/// A line of the protocol whose fields are not as the contract has them.
fn bad_line(kind: &str) -> Option<&'static [u8]> {
    Some(match kind {
        "stage" => b"RINGWAVE stage\r\n",
        "unknown-stage" => b"RINGWAVE stage lunch\r\n",
        "done" => b"RINGWAVE done\r\n",
        "done-text" => b"RINGWAVE done well\r\n",
        "problem" => b"RINGWAVE problem\r\n",
        "problem-text" => b"RINGWAVE problem access is denied\r\n",
        "log" => b"RINGWAVE log\r\n",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines of a whole run, boot after boot, and how it ended. At most 12 resets.
    fn run(name: &str) -> (Vec<String>, String) {
        let behaviour = Behaviour::parse(name).expect("a behaviour");
        let (mut lines, mut plan) = (Vec::new(), from_cd(&behaviour));
        for _ in 0..12 {
            let mut next = None;
            for action in plan {
                match action {
                    Action::Say(line) => lines.push(line),
                    Action::Raw(_) => lines.push("raw".into()),
                    Action::Log(name, _) => lines.push(format!("log {name}")),
                    Action::WriteImage => lines.push("image".into()),
                    Action::Panic => lines.push("panic".into()),
                    Action::Reset(state) => next = Some(state),
                    Action::PowerOff => return (lines, "off".into()),
                    Action::Halt => return (lines, "halt".into()),
                }
            }
            plan = from_disk(&behaviour, next.expect("a plan ends"));
            lines.push("reset".into());
        }
        (lines, "loop".into())
    }

    fn stages(lines: &[String]) -> Vec<&str> {
        lines.iter().filter_map(|line| line.strip_prefix("stage ")).collect()
    }

    #[test]
    fn plain_says_each_stage_in_order_and_turns_itself_off() {
        let (lines, end) = run("plain");
        assert_eq!(stages(&lines), ["winpe", "specialize", "logon", "logon", "driver", "settings"]);
        assert_eq!((lines.last().map(String::as_str), end.as_str()), (Some("done 0"), "off"));
        assert_eq!(lines.iter().filter(|line| *line == "reset").count(), 3);
    }

    #[test]
    fn each_behaviour_ends_as_its_name_says() {
        let ends = [
            ("no-key-needed", "done 0", "off"),
            ("hang", "stage logon", "halt"),
            ("hang:winpe", "stage winpe", "halt"),
            ("problem", "done 259", "halt"),
            ("problem-alone:specialize", "problem 5 access is denied", "halt"),
            ("wrong-code", "done 7", "halt"),
            ("no-done", "stage settings", "off"),
            ("panic", "panic", "halt"),
            ("garbage", "done 0", "off"),
            ("bad-line:done", "done 0", "off"),
            ("thrice", "done 0", "off"),
        ];
        for (name, line, end) in ends {
            let (lines, ended) = run(name);
            assert_eq!((lines.last().map(String::as_str), ended.as_str()), (Some(line), end), "{name}");
        }
        assert_eq!(run("loop").1, "loop");
        assert_eq!(run("thrice").0.iter().filter(|line| *line == "reset").count(), 6);
        assert!(!stages(&run("skip-stage").0).contains(&"driver"));
        assert_eq!(
            stages(&run("skip-stage:specialize").0),
            ["winpe", "logon", "logon", "driver", "settings"]
        );
        assert_eq!(run("bad-line").0.iter().filter(|line| *line == "raw").count(), 1);
    }

    #[test]
    fn names_and_arguments_that_are_not_known_are_none() {
        for name in ["", "plane", "plain:logon", "hang:lunch", "wrong-code:0", "wrong-code:x", "bad-line:x"] {
            assert_eq!(Behaviour::parse(name), None, "{name}");
        }
        assert_eq!(Behaviour::parse("full-disk:64\n"), Some(Behaviour::FullDisk(64)));
    }

    #[test]
    fn garbage_ends_its_last_line() {
        assert!(garbage().ends_with(b"\n") && garbage().len() > 10_000);
    }
}
