//! What Windows does in a run, and what it does wrong: which lines in which boot, and how each boot ends.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use super::cd::{Settings, code};
use super::fat::Damage;
use crate::behaviour::garbage;

/// Stages of `WINDOWS.md`, section 9, in their order.
pub const STAGES: [&str; 5] = ["agent", "sound", "device", "program", "collect"];
/// Codes of section 7.
pub const NO_SESSION: u32 = 10;
pub const NO_SERVICE: u32 = 11;
pub const NO_ENDPOINT: u32 = 12;
pub const DEVICE_PROBLEM: u32 = 13;
pub const NOT_SIGNED: u32 = 14;
pub const OUT_FULL: u32 = 15;
pub const NO_OUT_DISK: u32 = 16;
pub const NO_CARD: u32 = 17;
pub const NO_ROOM: u32 = 18;
pub const DEVICE_STEP: u32 = 19;
pub const VERIFIER_REFUSED: u32 = 20;
pub const VERIFIER_OFF: u32 = 21;
pub const NOT_AS_WRITTEN: u32 = 99;
/// The device's problem code for a signature that was not accepted.
const SIGNATURE: u32 = 52;
/// What asks for a restart where the run names nothing: Windows' own code.
const REBOOT_REQUIRED: i64 = 3010;

/// One behaviour; the stage is where it shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Behaviour {
    Plain,
    Silent,
    Hang(String),
    /// An NMI ends it with a crash.
    HangUntilNmi(String),
    HangAfterDone,
    Button(String),
    Panic(String),
    PanicAlone(String),
    Crash(String, AfterCrash),
    /// Code and text; whether `done` follows.
    Problem(u32, String),
    ProblemAlone(String),
    /// What pnputil ends with in the second cycle, or in the only one.
    CycleFails(u32),
    ProblemCode(u32),
    OutFull(u64),
    ExitCode(i64),
    NoExit,
    WrongDone(u32),
    NoDone(String),
    SkipStage(String),
    BadLine(String),
    Garbage,
    EndlessLog,
    OpenLog,
    /// Ends so many boots with the exit code that asks for a restart.
    Reboots(u32),
    /// Announces a restart, and stands still.
    RestartHang,
    OddNames,
    Dirty(Damage),
}

/// The boot after a crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterCrash {
    Dump,
    NoDump,
    CrashAgain,
    Hang,
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
        let problem = |code: u32, text: &str| plain(Self::Problem(code, text.to_string()));
        let crash = |after: AfterCrash| stage("program").map(|stage| Self::Crash(stage, after));
        match name {
            "plain" => plain(Self::Plain),
            "silent" => plain(Self::Silent),
            "hang" => stage("program").map(Self::Hang),
            "hang-nmi" => stage("program").map(Self::HangUntilNmi),
            "hang-after-done" => plain(Self::HangAfterDone),
            "button" => stage("program").map(Self::Button),
            "panic" => stage("program").map(Self::Panic),
            "panic-alone" => stage("program").map(Self::PanicAlone),
            "crash" => crash(AfterCrash::Dump),
            "crash-no-dump" => crash(AfterCrash::NoDump),
            "crash-again" => crash(AfterCrash::CrashAgain),
            "crash-hang" => crash(AfterCrash::Hang),
            "no-session" => problem(NO_SESSION, "the session is RDP-Tcp#0"),
            "no-service" => problem(NO_SERVICE, "Audiosrv is Stopped"),
            "no-endpoint" => problem(NO_ENDPOINT, "no active endpoint after 2 minutes"),
            "no-out-disk" => problem(NO_OUT_DISK, "no drive has ringwave-out.txt"),
            "no-card" => problem(NO_CARD, "no device of the card"),
            "no-room" => problem(NO_ROOM, "copying the files: there is not enough space on the disk"),
            "cycle-fails" => {
                argument.unwrap_or("3010").parse().ok().filter(|n| *n != 0).map(Self::CycleFails)
            }
            "verifier-refused" => problem(VERIFIER_REFUSED, "verifier /standard ended with 1"),
            "verifier-off" => problem(VERIFIER_OFF, "verifier /query does not list ringwave.sys"),
            "problem-alone" => stage("sound").map(Self::ProblemAlone),
            "problem-code" => {
                argument.unwrap_or("10").parse().ok().filter(|n| *n != 0).map(Self::ProblemCode)
            }
            "out-full" => argument.unwrap_or("4").parse().ok().map(Self::OutFull),
            "exit-code" => code(argument.unwrap_or("7")).map(Self::ExitCode),
            "no-exit" => plain(Self::NoExit),
            "wrong-done" => argument.unwrap_or("7").parse().ok().filter(|n| *n != 0).map(Self::WrongDone),
            "no-done" => stage("program").map(Self::NoDone),
            "skip-stage" => stage("sound").map(Self::SkipStage),
            "bad-line" => {
                let kind = argument.unwrap_or("exit");
                bad_line(kind).map(|_| Self::BadLine(kind.to_string()))
            }
            "garbage" => plain(Self::Garbage),
            "endless-log" => plain(Self::EndlessLog),
            "open-log" => plain(Self::OpenLog),
            "thrice" => plain(Self::Reboots(3)),
            "loop" => plain(Self::Reboots(u32::MAX)),
            "restart-hang" => plain(Self::RestartHang),
            "odd-names" => plain(Self::OddNames),
            "dirty" => damage(argument.unwrap_or("flag")).map(Self::Dirty),
            _ => None,
        }
    }
}

fn damage(name: &str) -> Option<Damage> {
    Some(match name {
        "flag" => Damage::Flag,
        "free" => Damage::Free,
        "ring" => Damage::Ring,
        "beyond" => Damage::Beyond,
        "folder" => Damage::Folder,
        _ => return None,
    })
}

/// What one boot does, in order. A plan ends with `Program`, `Fail`, `Reset`, `PowerOff` or `Halt`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// A line of the protocol, without `RINGWAVE ` before it.
    Say(String),
    /// Bytes as they are.
    Raw(Vec<u8>),
    /// The same bytes without end.
    RawForever(Vec<u8>),
    /// Finds the out disk, and looks at it.
    FindOut,
    /// Sees that the card is on the bus, and writes `\logs\sound.txt` with this problem code of its device.
    Sound(u32),
    /// Disables the card's device and enables it.
    CycleDevice,
    /// Copies the files of the CD to the work folder.
    CopyFiles,
    /// Runs the program; the plan goes on with [`after_program`].
    Program,
    /// Writes so many MiB to the out folder.
    Fill(u64),
    /// Files and folders whose names no host should take as they are.
    OddNames,
    CopyLogs,
    WriteDump,
    /// A problem with a code and a text, as section 7 has it.
    Fail(u32, String),
    /// A problem of the card's device; the text names the device.
    FailDevice(u32),
    Damage(Damage),
    /// Tells QEMU of a crash, where it listens.
    Panic,
    /// Starts again.
    Reset,
    /// Turns itself off when somebody presses the power button.
    WaitForButton,
    PowerOff,
    Halt,
    /// Stands still until an NMI comes, and starts again then.
    HaltUntilNmi,
}

/// The plan of a boot, up to the program's end.
pub fn boot(behaviour: &Behaviour, settings: &Settings) -> Vec<Action> {
    let mut plan = if settings.dump {
        dump_boot(behaviour)
    } else {
        let sound = if let Behaviour::ProblemCode(code) = behaviour { *code } else { 0 };
        let mut plan = vec![stage("agent"), Action::FindOut, stage("sound"), Action::Sound(sound)];
        if settings.cycles > 0 || settings.suspend || settings.verifier.is_some() {
            plan.push(stage("device"));
            if let Some(what) = &settings.verifier {
                if settings.boot == 1 {
                    plan.extend([say("reboot for Driver Verifier"), Action::Reset]);
                    change(&mut plan, behaviour, settings);
                    return plan;
                }
                plan.push(say(&format!("note Driver Verifier is active: {what}")));
            }
            if settings.suspend {
                plan.extend([say("note no S3 here: it is a stand-in"), Action::CycleDevice]);
            }
            plan.extend((1..=settings.cycles).flat_map(|number| cycle(behaviour, number, settings.cycles)));
        }
        plan.extend([stage("program"), Action::CopyFiles, Action::Program]);
        plan
    };
    // A boot for the dump is plain but for what the crash itself says.
    if !settings.dump {
        change(&mut plan, behaviour, settings);
    }
    plan
}

/// One time of `--cycles`.
fn cycle(behaviour: &Behaviour, number: u32, cycles: u32) -> Vec<Action> {
    let mut plan = vec![say(&format!("note cycle {number} of {cycles}")), Action::CycleDevice];
    if let Behaviour::CycleFails(code) = behaviour
        && number == cycles.min(2)
    {
        let text = format!("pnputil /restart-device ended with {code}, in cycle {number} of {cycles}");
        plan.push(Action::Fail(DEVICE_STEP, text));
    }
    plan
}

fn dump_boot(behaviour: &Behaviour) -> Vec<Action> {
    let mut plan = vec![stage("agent"), Action::FindOut];
    plan.extend(match behaviour {
        Behaviour::Crash(_, AfterCrash::CrashAgain) => vec![Action::Reset],
        Behaviour::Crash(_, AfterCrash::Hang) => vec![Action::Halt],
        Behaviour::Crash(_, AfterCrash::NoDump) => collected(),
        _ => [vec![stage("collect"), Action::WriteDump], collected().split_off(1)].concat(),
    });
    plan
}

fn collected() -> Vec<Action> {
    vec![stage("collect"), Action::CopyLogs, say("done 0"), Action::PowerOff]
}

/// The exit code that the behaviour has, whatever the program ended with.
pub fn exit_code(behaviour: &Behaviour, settings: &Settings, code: i64) -> i64 {
    match behaviour {
        Behaviour::ExitCode(other) => *other,
        Behaviour::Reboots(boots) if settings.boot <= *boots => {
            settings.reboot_code.unwrap_or(REBOOT_REQUIRED)
        }
        Behaviour::RestartHang => settings.reboot_code.unwrap_or(REBOOT_REQUIRED),
        _ => code,
    }
}

/// The plan of a boot from the program's end on.
pub fn after_program(behaviour: &Behaviour, settings: &Settings, code: i64) -> Vec<Action> {
    let mut plan = vec![say(&format!("exit {code}"))];
    if settings.reboot_code == Some(code) {
        plan.extend([say("reboot for the program"), Action::Reset]);
    } else {
        plan.extend(collected());
    }
    change(&mut plan, behaviour, settings);
    plan
}

/// What follows a problem.
pub fn problem(code: u32, text: &str) -> Vec<Action> {
    let problem = say(&format!("problem {code} {text}"));
    vec![problem, Action::CopyLogs, say(&format!("done {code}")), Action::PowerOff]
}

/// The code of a problem line for this problem code of the card's device.
pub fn device_problem(code: u32) -> u32 {
    if code == SIGNATURE { NOT_SIGNED } else { DEVICE_PROBLEM }
}

/// Changes in the plan what the behaviour changes.
fn change(plan: &mut Vec<Action>, behaviour: &Behaviour, settings: &Settings) {
    match behaviour {
        Behaviour::Silent => *plan = vec![Action::Halt],
        Behaviour::Hang(name) => replace_after(plan, name, vec![Action::Halt]),
        Behaviour::Button(name) => replace_after(plan, name, vec![Action::WaitForButton, Action::PowerOff]),
        Behaviour::HangUntilNmi(name) => replace_after(plan, name, vec![Action::HaltUntilNmi]),
        Behaviour::HangAfterDone => replace(plan, &Action::PowerOff, vec![Action::Halt]),
        Behaviour::Panic(name) => replace_after(plan, name, vec![Action::Panic, Action::Reset]),
        Behaviour::PanicAlone(name) => replace_after(plan, name, vec![Action::Panic, Action::Halt]),
        Behaviour::Crash(name, _) => replace_after(plan, name, vec![Action::Reset]),
        Behaviour::Problem(NO_OUT_DISK, text) => {
            replace(plan, &Action::FindOut, vec![Action::Fail(NO_OUT_DISK, text.clone())]);
        }
        Behaviour::Problem(NO_ROOM, text) => {
            replace(plan, &Action::CopyFiles, vec![Action::Fail(NO_ROOM, text.clone())]);
        }
        // Settings that are taken and not active are seen in the boot behind.
        Behaviour::Problem(VERIFIER_OFF, _) if settings.boot == 1 => {}
        Behaviour::Problem(code @ (VERIFIER_REFUSED | VERIFIER_OFF), text) => {
            replace_after(plan, "device", vec![Action::Fail(*code, text.clone())]);
        }
        Behaviour::Problem(code, text) => {
            replace_after(plan, "sound", vec![Action::Fail(*code, text.clone())]);
        }
        Behaviour::ProblemAlone(name) => {
            let text = format!("problem {NO_ENDPOINT} no active endpoint after 2 minutes");
            replace_after(plan, name, vec![say(&text), Action::Halt]);
        }
        Behaviour::ProblemCode(code) => insert_after(plan, &Action::Sound(*code), Action::FailDevice(*code)),
        Behaviour::OutFull(mib) => {
            let text = "there is not enough space on the disk".to_string();
            replace(plan, &Action::Program, vec![Action::Fill(*mib), Action::Fail(OUT_FULL, text)]);
        }
        Behaviour::NoExit => {
            plan.retain(|action| !matches!(action, Action::Say(line) if line.starts_with("exit ")));
        }
        Behaviour::WrongDone(code) => {
            replace(plan, &say("done 0"), vec![say(&format!("done {code}")), Action::PowerOff]);
        }
        Behaviour::NoDone(name) => replace_after(plan, name, vec![Action::PowerOff]),
        Behaviour::SkipStage(name) => plan.retain(|action| *action != stage(name)),
        Behaviour::BadLine(kind) => change_lines(plan, kind),
        Behaviour::Garbage => {
            if let Some(at) = plan.iter().position(is_stage_line) {
                plan.insert(at, Action::Raw(garbage()));
                plan.insert(at + 2, Action::Raw(garbage()));
            }
        }
        Behaviour::EndlessLog => {
            let lines = vec![
                say("log endless.log"),
                Action::RawForever(b"one line more, RINGWAVE done 0\r\n".to_vec()),
            ];
            replace_after(plan, "collect", lines);
        }
        Behaviour::OpenLog => insert_after(plan, &stage("program"), say("log open.log")),
        Behaviour::OddNames => insert_before(plan, &Action::Program, Action::OddNames),
        Behaviour::Dirty(what) => insert_before(plan, &Action::PowerOff, Action::Damage(*what)),
        Behaviour::RestartHang => replace(plan, &Action::Reset, vec![Action::Halt]),
        Behaviour::Plain | Behaviour::ExitCode(_) | Behaviour::Reboots(_) | Behaviour::CycleFails(_) => {}
    }
}

/// Puts a line that is none where it must not be: behind the stage program, or `exit` before and behind its
/// place.
fn change_lines(plan: &mut Vec<Action>, kind: &str) {
    let Some(line) = bad_line(kind) else { return };
    let after = match kind {
        "exit-early" => "sound",
        "exit-late" => "collect",
        _ => "program",
    };
    insert_after(plan, &stage(after), Action::Raw(line.to_vec()));
}

/// A line of the protocol whose fields, or whose place, are not as the contract has them.
fn bad_line(kind: &str) -> Option<&'static [u8]> {
    Some(match kind {
        "exit" => b"RINGWAVE exit\r\n",
        "exit-text" => b"RINGWAVE exit well\r\n",
        "exit-hexadecimal" => b"RINGWAVE exit 0x10\r\n",
        "exit-large" => b"RINGWAVE exit 4294967296\r\n",
        "exit-small" => b"RINGWAVE exit -2147483649\r\n",
        // Good lines, but not there.
        "exit-early" | "exit-late" | "exit-twice" => b"RINGWAVE exit 0\r\n",
        "unknown-stage" => b"RINGWAVE stage winpe\r\n",
        "done" => b"RINGWAVE done\r\n",
        "problem" => b"RINGWAVE problem access is denied\r\n",
        _ => return None,
    })
}

fn is_stage_line(action: &Action) -> bool {
    matches!(action, Action::Say(line) if line.starts_with("stage "))
}

fn place(plan: &[Action], wanted: &Action) -> Option<usize> {
    plan.iter().position(|action| action == wanted)
}

/// What the plan has from `wanted` on, if it has that, is `rest`.
fn replace(plan: &mut Vec<Action>, wanted: &Action, rest: Vec<Action>) {
    if let Some(at) = place(plan, wanted) {
        plan.truncate(at);
        plan.extend(rest);
    }
}

fn replace_after(plan: &mut Vec<Action>, name: &str, rest: Vec<Action>) {
    if let Some(at) = place(plan, &stage(name)) {
        plan.truncate(at + 1);
        plan.extend(rest);
    }
}

fn insert_after(plan: &mut Vec<Action>, wanted: &Action, more: Action) {
    if let Some(at) = place(plan, wanted) {
        plan.insert(at + 1, more);
    }
}

fn insert_before(plan: &mut Vec<Action>, wanted: &Action, more: Action) {
    if let Some(at) = place(plan, wanted) {
        plan.insert(at, more);
    }
}

fn say(line: &str) -> Action {
    Action::Say(line.to_string())
}

fn stage(name: &str) -> Action {
    say(&format!("stage {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::cd::Card;

    fn settings(boot: u32, dump: bool) -> Settings {
        let card_ids = vec!["PCI\\VEN_1234&DEV_5257".to_string()];
        Settings {
            dump,
            boot,
            card: Card::Ringwave,
            card_ids,
            reboot_code: Some(3010),
            cycles: 0,
            suspend: false,
            verifier: None,
        }
    }

    /// The lines of a whole run whose program ends with 5, as the host would have it boot, and how it ended.
    /// At most 12 boots, and none after a second crash.
    fn run(name: &str) -> (Vec<String>, String) {
        let behaviour = Behaviour::parse(name).expect("a behaviour");
        let (mut lines, mut dump) = (Vec::new(), false);
        for number in 1..=12 {
            let settings = settings(number, dump);
            let mut announced = false;
            let mut plan = boot(&behaviour, &settings);
            plan.reverse();
            loop {
                match plan.pop().expect("a plan ends") {
                    Action::Say(line) => {
                        announced = line.starts_with("reboot ");
                        lines.push(line);
                    }
                    Action::Raw(_) => lines.push("raw".into()),
                    Action::Program => {
                        plan = after_program(&behaviour, &settings, exit_code(&behaviour, &settings, 5));
                        plan.reverse();
                    }
                    Action::Fail(code, text) => {
                        plan = problem(code, &text);
                        plan.reverse();
                    }
                    Action::FailDevice(code) => {
                        plan = problem(device_problem(code), &format!("problem code {code} of X"));
                        plan.reverse();
                    }
                    Action::Reset | Action::HaltUntilNmi => break,
                    Action::PowerOff => return (lines, "off".into()),
                    Action::Halt => return (lines, "halt".into()),
                    Action::RawForever(_) => return (lines, "endless".into()),
                    Action::Panic => lines.push("panic".into()),
                    Action::WriteDump => lines.push("dump".into()),
                    Action::Damage(what) => lines.push(format!("{what:?}")),
                    Action::WaitForButton => lines.push("button".into()),
                    Action::Fill(_) => lines.push("fill".into()),
                    Action::OddNames => lines.push("names".into()),
                    Action::FindOut
                    | Action::Sound(_)
                    | Action::CopyFiles
                    | Action::CopyLogs
                    | Action::CycleDevice => {}
                }
            }
            lines.push("reset".into());
            if dump {
                return (lines, "crashed again".into());
            }
            dump = !announced;
        }
        (lines, "loop".into())
    }

    const START: &str = "stage agent|stage sound|stage program";
    const END: &str = "exit 5|stage collect|done 0";

    #[test]
    fn each_behaviour_says_its_lines_and_ends_as_its_name_says() {
        let whole = format!("{START}|{END}");
        let after_a_crash = "reset|stage agent|stage collect|dump|done 0";
        for (name, lines, end) in [
            ("plain", whole.clone(), "off"),
            ("silent", String::new(), "halt"),
            ("hang", START.into(), "halt"),
            ("hang:agent", "stage agent".into(), "halt"),
            ("hang-nmi", format!("{START}|{after_a_crash}"), "off"),
            ("hang:collect", format!("{START}|exit 5|stage collect"), "halt"),
            ("hang-after-done", whole.clone(), "halt"),
            ("button", format!("{START}|button"), "off"),
            ("panic", format!("{START}|panic|{after_a_crash}"), "off"),
            ("panic-alone:sound", "stage agent|stage sound|panic".into(), "halt"),
            ("crash", format!("{START}|{after_a_crash}"), "off"),
            ("crash:collect", format!("{START}|exit 5|stage collect|{after_a_crash}"), "off"),
            ("crash-no-dump", format!("{START}|reset|stage agent|stage collect|done 0"), "off"),
            ("crash-again", format!("{START}|reset|stage agent|reset"), "crashed again"),
            ("crash-hang", format!("{START}|reset|stage agent"), "halt"),
            (
                "no-endpoint",
                "stage agent|stage sound|problem 12 no active endpoint after 2 minutes|done 12".into(),
                "off",
            ),
            ("no-out-disk", "stage agent|problem 16 no drive has ringwave-out.txt|done 16".into(), "off"),
            (
                "problem-alone",
                "stage agent|stage sound|problem 12 no active endpoint after 2 minutes".into(),
                "halt",
            ),
            (
                "problem-code:28",
                "stage agent|stage sound|problem 13 problem code 28 of X|done 13".into(),
                "off",
            ),
            (
                "problem-code:52",
                "stage agent|stage sound|problem 14 problem code 52 of X|done 14".into(),
                "off",
            ),
            (
                "out-full",
                format!("{START}|fill|problem 15 there is not enough space on the disk|done 15"),
                "off",
            ),
            ("exit-code:3221225477", format!("{START}|exit 3221225477|stage collect|done 0"), "off"),
            ("no-exit", format!("{START}|stage collect|done 0"), "off"),
            ("wrong-done", format!("{START}|exit 5|stage collect|done 7"), "off"),
            ("no-done", START.into(), "off"),
            ("skip-stage", "stage agent|stage program|exit 5|stage collect|done 0".into(), "off"),
            ("skip-stage:collect", format!("{START}|exit 5|done 0"), "off"),
            (
                "bad-line:exit-early",
                "stage agent|stage sound|raw|stage program|exit 5|stage collect|done 0".into(),
                "off",
            ),
            ("bad-line:exit-twice", format!("{START}|raw|{END}"), "off"),
            ("bad-line:exit-late", format!("{START}|exit 5|stage collect|raw|done 0"), "off"),
            (
                "garbage",
                "raw|stage agent|raw|stage sound|stage program|exit 5|raw|stage collect|raw|done 0".into(),
                "off",
            ),
            ("endless-log", format!("{START}|exit 5|stage collect|log endless.log"), "endless"),
            ("open-log", format!("{START}|log open.log|{END}"), "off"),
            ("odd-names", format!("{START}|names|{END}"), "off"),
            ("restart-hang", format!("{START}|exit 3010|reboot for the program"), "halt"),
            ("dirty:ring", format!("{START}|exit 5|stage collect|done 0|Ring"), "off"),
        ] {
            let (said, ended) = run(name);
            assert_eq!((said.join("|").as_str(), ended.as_str()), (lines.as_str(), end), "{name}");
        }
    }

    #[test]
    fn device_has_its_cycles_before_the_program_and_the_one_that_fails_is_the_last() {
        let settings = Settings { cycles: 3, ..settings(1, false) };
        let lines = |name| {
            let plan = boot(&Behaviour::parse(name).expect("a behaviour"), &settings);
            let said = plan.into_iter().filter_map(|action| match action {
                Action::Say(line) => Some(line),
                Action::Fail(code, text) => Some(format!("problem {code} {text}")),
                _ => None,
            });
            said.collect::<Vec<_>>().join("|")
        };
        let two = "stage agent|stage sound|stage device|note cycle 1 of 3|note cycle 2 of 3";
        assert_eq!(lines("plain"), format!("{two}|note cycle 3 of 3|stage program"));
        let fails = format!("{two}|problem 19 pnputil /restart-device ended with 259, in cycle 2 of 3|");
        assert!(lines("cycle-fails:259").starts_with(&fails), "{}", lines("cycle-fails:259"));
    }

    #[test]
    fn driver_verifier_is_set_and_after_a_restart_active() {
        let lines = |name, number| {
            let verifier = Some("standard".to_string());
            let settings = Settings { verifier, ..settings(number, false) };
            let plan = boot(&Behaviour::parse(name).expect("a behaviour"), &settings);
            let said = plan.into_iter().filter_map(|action| match action {
                Action::Say(line) => Some(line),
                Action::Fail(code, _) => Some(format!("problem {code}")),
                Action::Reset => Some("reset".to_string()),
                _ => None,
            });
            said.collect::<Vec<_>>().join("|")
        };
        let start = "stage agent|stage sound|stage device|";
        let set = format!("{start}reboot for Driver Verifier|reset");
        let active = format!("{start}note Driver Verifier is active: standard|stage program");
        for (name, first, second) in [
            ("plain", &set, &active),
            ("verifier-refused", &format!("{start}problem 20"), &format!("{start}problem 20")),
            ("verifier-off", &set, &format!("{start}problem 21")),
        ] {
            assert_eq!((&lines(name, 1), &lines(name, 2)), (first, second), "{name}");
        }
    }

    #[test]
    fn restarts_are_announced() {
        let (said, ended) = run("thrice");
        let again = format!("{START}|exit 3010|reboot for the program|reset|");
        assert_eq!((said.join("|"), ended.as_str()), (format!("{}{START}|{END}", again.repeat(3)), "off"));
        assert_eq!(run("loop").1, "loop");
        // Where no code asks for one, it is an exit code like another.
        let none = Settings { reboot_code: None, ..settings(1, false) };
        let thrice = Behaviour::Reboots(3);
        let plan = after_program(&thrice, &none, exit_code(&thrice, &none, 5));
        assert_eq!(plan.first(), Some(&say("exit 3010")));
        assert_eq!(plan.last(), Some(&Action::PowerOff));
    }

    #[test]
    fn every_behaviour_of_the_scripts_is_known() {
        let script = include_str!("../../make-image");
        let listed =
            script.split_once("Behaviours").and_then(|(_, rest)| rest.split_once("TXT")).expect("a list").0;
        let names = listed.lines().filter_map(|line| line.strip_prefix("  ")?.split([' ', '[']).next());
        let names: Vec<&str> = names.filter(|name| !name.is_empty()).collect();
        assert!(names.len() > 30, "{names:?}");
        for name in names {
            assert!(Behaviour::parse(name).is_some(), "{name}");
        }
    }

    #[test]
    fn names_and_arguments_that_are_not_known_are_none() {
        for name in [
            "",
            "plane",
            "plain:agent",
            "hang:lunch",
            "hang:winpe",
            "exit-code:x",
            "exit-code:4294967296",
            "problem-code:0",
            "dirty:sand",
            "bad-line:x",
        ] {
            assert_eq!(Behaviour::parse(name), None, "{name}");
        }
    }
}
