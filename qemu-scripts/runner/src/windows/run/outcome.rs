//! How a run ended, its exit code, and what to do next: WINDOWS.md, 7 and 10.

use std::time::Duration;

use crate::windows::progress::{Problem, in_words};

/// The program's time is over, as `timeout` has it.
const TIME_OVER: u8 = 124;
/// The run itself failed, as container engines have it.
const RUN_FAILED: u8 = 125;
/// There is no such program, likewise.
const NOT_FOUND: u8 = 127;
/// The guest does not find its media as WINDOWS.md, 6, has them.
const NOT_AS_WRITTEN: u32 = 99;
/// What cmd.exe says then.
const CMD_NOT_FOUND: i64 = 9009;

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The program ended with this exit code.
    Exited(i64),
    /// It did not.
    TimeOver {
        /// Within this time.
        limit: Duration,
        /// Windows hung, and an NMI made this dump.
        dump: Option<String>,
    },
    /// The agent gave up.
    Problem(Problem),
    /// Windows crashed: where, and what is known of it.
    Crashed(String),
    /// Anything else.
    Failed(String),
}

impl Outcome {
    /// The exit code of `windows run`.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Exited(CMD_NOT_FOUND) => NOT_FOUND,
            Self::Exited(code) => u8::try_from(*code).unwrap_or(u8::MAX),
            Self::TimeOver { .. } => TIME_OVER,
            Self::Problem(_) | Self::Crashed(_) | Self::Failed(_) => RUN_FAILED,
        }
    }

    /// Whether the program ran to its end.
    pub fn ran(&self) -> bool {
        matches!(self, Self::Exited(_))
    }

    /// What happened, in a line, and what to do next.
    pub fn explain(&self) -> String {
        match self {
            Self::Exited(CMD_NOT_FOUND) => {
                "cmd.exe did not find the program (9009); what --copy names is in C:\\ringwave\\work, where it was looked for".into()
            }
            Self::Exited(code) => exited(*code),
            Self::TimeOver { limit, dump } => format!(
                "the program did not end within {}; screen.png shows what it waits for, and --time-limit gives it longer{}",
                in_words(*limit),
                dump.as_deref().map_or(String::new(), hung)
            ),
            Self::Problem(problem) => format!("{problem}; {}", next_step(problem)),
            Self::Crashed(why) => format!("{why}{}{}", violation_hint(why), crash_hint(why)),
            Self::Failed(why) => format!("{why}{}", hint(why)),
        }
    }
}

/// The dump of a hang, with its stop code.
pub(super) fn hung(dump: &str) -> String {
    format!(
        "; Windows hung: of {dump}, which an NMI made, a debugger tells what each processor and thread waits for"
    )
}

fn exited(code: i64) -> String {
    // Without a sign, as a status is written.
    let status =
        u32::try_from(code).or_else(|_| i32::try_from(code).map(i32::cast_unsigned)).unwrap_or(u32::MAX);
    match (u8::try_from(code), status_name(status)) {
        (Ok(code), _) => format!("the program ended with exit code {code}"),
        (Err(_), Some(name)) => format!("the program ended with {status:#010X}, {name}"),
        (Err(_), None) => format!("the program ended with exit code {code} ({status:#010X}), told as 255"),
    }
}

/// What Windows ends programs with. Source: Microsoft's *NTSTATUS Values*.
fn status_name(status: u32) -> Option<&'static str> {
    Some(match status {
        0x8000_0003 => "a breakpoint, or a failed assertion",
        0xC000_0005 => "an access violation",
        0xC000_001D => "an illegal instruction: does this processor have what it was built for?",
        0xC000_007B => "a DLL of another architecture",
        0xC000_0094 => "a division by zero",
        0xC000_00FD => "a stack overflow",
        0xC000_0135 => "a DLL was not found: copy it beside the program, or link statically",
        0xC000_0139 => "a DLL without a function that is wanted: this Windows may be too old",
        0xC000_013A => "Ctrl-C, or its window was closed",
        0xC000_0142 => "a DLL that does not start",
        0xC000_0374 => "a damaged heap",
        0xC000_0409 => "a fatal error that it found itself (fail fast, a panic, abort)",
        0xE043_4352 => "an exception of .NET",
        0xE06D_7363 => "an exception of C++",
        _ => return None,
    })
}

/// What to do about a code of WINDOWS.md, 7.
fn next_step(problem: &Problem) -> String {
    match problem.code {
        10 => "sound belongs to the console: log on there, not by Remote Desktop, and run nothing as a service".into(),
        11 => "is it Windows with a desktop (Server Core has no audio services)? logs/System.evtx says why it stopped".into(),
        12 => "the driver runs and shows no endpoint: is its jack plugged (serve --unplugged)? logs/sound.txt has what is there".into(),
        13 => device_problem(&problem.text),
        14 => "the signature was not accepted: is test signing on in the image (build does that), the certificate in both stores of \
               the machine, memory integrity off (build --hvci off)? logs/setupapi.dev.log says which"
            .into(),
        15 => "write less to RINGWAVE_OUT; the disk has 8 GiB".into(),
        16 => "does Windows keep new disks offline (diskpart: san), or has no letter free?".into(),
        17 => "was the image built for another --card?".into(),
        18 => "is there room on C:, and the run CD still in its drive?".into(),
        19 => device_step(&problem.text),
        20 => "it needs an administrator, and a driver of this name: logs/verifier-settings.txt has its own words".into(),
        21 => {
            "a start that failed, or one that was no usual restart, resets it: logs/verifier.txt has what is active, serial.log the restarts".into()
        }
        NOT_AS_WRITTEN => {
            "guest and host are not of one version, or --qemu changed the machine: try without it, else please report this".into()
        }
        _ => "the lines above are the agent's own".into(),
    }
}

/// What a step of the stage `device` ended with. Source: Microsoft's page "`PnPUtil` Return Values", and
/// Win32's error codes.
fn device_step(text: &str) -> String {
    let number =
        text.split_once("ended with ").and_then(|(_, rest)| rest.split(',').next()).unwrap_or_default();
    let meaning = match number {
        "3010" | "1641" => {
            "it wants a restart of Windows: something still holds the device (a program that plays?), or the driver refused to stop"
        }
        "259" => "Windows knows no such device, or has no driver for it that is better than the one in use",
        "5" => {
            "access is denied: is the image's account an administrator, and EnableLUA off in it (build does both)?"
        }
        _ if text.contains("problem code") => {
            "Microsoft's list of Device Manager's codes says what it means; 0: it was not disabled at all"
        }
        "1" => "the cmdlet's own words are in that log",
        _ => "an error code of Win32 (net helpmsg says which)",
    };
    format!("{meaning}; logs/device.log has what was said, setupapi.dev.log what Windows did")
}

/// Microsoft's codes of Device Manager, as install.cmd has them.
fn device_problem(text: &str) -> String {
    let number =
        text.strip_prefix("problem code ").and_then(|rest| rest.split(' ').next()).unwrap_or_default();
    let meaning = match number {
        "1" | "28" => {
            "no driver was installed for it: was the image built for this --card, with a driver package?"
        }
        "10" => "the driver was loaded and its start failed: card.log has what it wrote to the card",
        "14" => "it wants a restart",
        "22" => "it is disabled in the image",
        "31" => "AddDevice failed, or a driver that it needs is missing",
        "37" => "DriverEntry failed",
        "39" => "the driver's file could not be loaded: damaged, or an import is missing",
        "43" => "the driver reported a failure",
        "48" => "this Windows blocks the driver",
        _ => "Microsoft's list of Device Manager's codes says what it means",
    };
    format!("{meaning}; the end of logs/setupapi.dev.log has more")
}

/// What a failure that the host saw may mean.
fn hint(why: &str) -> &'static str {
    if why.contains("stage agent did not begin") {
        "; the image's start.cmd did not come: screen.png shows whether Windows waits at a logon (password expired, no automatic logon), \
         repairs itself, or was not made by qemu-scripts/windows build"
    } else if why.contains("within the log")
        || why.contains("was left out")
        || why.contains("no line of the protocol")
        || why.contains("says that it is done")
    {
        "; the agent is not the one of this version, or something else writes to COM1: serial.log has all of it"
    } else if why.contains("turned itself off in stage") {
        "; an evaluation that has expired does that each hour, and so may the program itself"
    } else if why.contains("did not begin within")
        || why.contains("did not come within")
        || why.contains("did not turn itself off")
    {
        "; screen.png shows where Windows stands"
    } else if why.contains("on COM1") {
        "; the end of serial.log shows what writes there"
    } else if why.contains("starts again and again") {
        "; the program has to end with another code than --reboot-code once nothing is left to do"
    } else {
        ""
    }
}

/// Driver Verifier crashes Windows on purpose.
fn violation_hint(why: &str) -> &'static str {
    if why.contains("stop code 0xc4 ") {
        "; Driver Verifier found a violation: the first parameter names the rule (Microsoft's page on bug check 0xC4; 0x71001 to 0x72001: audio's)"
    } else {
        ""
    }
}

/// What a crash without a stop code may be.
fn crash_hint(why: &str) -> &'static str {
    if why.contains("no dump came out") && !why.contains("stop code") {
        "; a program that restarts Windows itself looks the same: end it with --reboot-code instead. Else: is the page file on C:?"
    } else {
        ""
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(code: u32, text: &str) -> Outcome {
        Outcome::Problem(Problem { stage: "sound", code, text: text.into() })
    }

    #[test]
    fn exit_code_is_the_programs_own_or_as_container_engines_have_it() {
        for (outcome, code) in [
            (Outcome::Exited(0), 0),
            (Outcome::Exited(3), 3),
            (Outcome::Exited(255), 255),
            (Outcome::Exited(256), 255),
            (Outcome::Exited(-1), 255),
            (Outcome::Exited(9009), 127),
            (Outcome::TimeOver { limit: Duration::from_secs(1), dump: None }, 124),
            (problem(12, "none"), 125),
            (Outcome::Crashed("x".into()), 125),
            (Outcome::Failed("x".into()), 125),
        ] {
            assert_eq!(outcome.exit_code(), code, "{outcome:?}");
        }
    }

    #[test]
    fn code_with_and_without_a_sign_is_the_same_status() {
        for code in [-1_073_741_819, 3_221_225_477] {
            let text = Outcome::Exited(code).explain();
            assert!(text.contains("0xC0000005, an access violation"), "{text}");
        }
        assert!(Outcome::Exited(-1).explain().contains("0xFFFFFFFF"));
        assert!(Outcome::Exited(7).explain().ends_with("exit code 7"));
    }

    #[test]
    fn each_problem_of_the_document_has_its_next_step() {
        let document = include_str!("../../../../WINDOWS.md");
        let table =
            document.split("| code | what is wrong |").nth(1).and_then(|rest| rest.split("\n\n").next());
        let codes: Vec<u32> = table
            .into_iter()
            .flat_map(str::lines)
            .filter_map(|line| line.split('|').nth(1)?.trim().parse().ok())
            .collect();
        assert_eq!(codes, (10..=21).chain([NOT_AS_WRITTEN]).collect::<Vec<u32>>());
        for code in codes {
            let text = problem(code, "what").explain();
            assert!(!text.contains("the agent's own"), "{code}: {text}");
        }
        let restart = problem(19, "pnputil /disable-device ended with 3010, in cycle 2 of 3").explain();
        assert!(restart.contains("something still holds the device"), "{restart}");
        let violation =
            Outcome::Crashed("Windows crashed in stage program: stop code 0xc4 (0x71006, 0x0)".into());
        assert!(violation.explain().contains("names the rule"), "{}", violation.explain());
        let text = problem(13, "problem code 10 of PCI").explain();
        assert!(text.contains("start failed") && text.contains("setupapi.dev.log"), "{text}");
        assert!(problem(98, "what").explain().contains("the agent's own"));
    }

    #[test]
    fn hang_that_an_nmi_ended_names_its_dump() {
        let dump = Some("dump/MEMORY.DMP".to_owned());
        let text = Outcome::TimeOver { limit: Duration::from_secs(1), dump }.explain();
        assert!(
            text.contains("--time-limit") && text.contains("dump/MEMORY.DMP, which an NMI made"),
            "{text}"
        );
        let text = Outcome::TimeOver { limit: Duration::from_secs(1), dump: None }.explain();
        assert!(!text.contains("NMI"), "{text}");
    }

    #[test]
    fn what_the_host_alone_saw_is_explained() {
        let text = Outcome::Failed("stage agent did not begin within 15 min after power-on".into()).explain();
        assert!(text.contains("password expired") && text.contains("screen.png"), "{text}");
        let text = Outcome::Failed("the guest turned itself off in stage program".into()).explain();
        assert!(text.contains("evaluation"), "{text}");
        for why in
            ["Windows crashed in stage program", "Windows crashed in stage sound: stop code 0xd1 (0x0)"]
        {
            let text = Outcome::Crashed(format!("{why}, and no dump came out")).explain();
            assert_eq!(text.contains("--reboot-code"), !why.contains("0xd1"), "{text}");
        }
    }
}
