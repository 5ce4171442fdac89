//! What stands on the run CD: `settings.cmd`, and `command.cmd` as cmd.exe and Microsoft's C library take it
//! apart.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// Files that are on every run CD.
pub const FILES: [&str; 7] = [
    "\\ringwave\\run.cmd",
    "\\ringwave\\stage.cmd",
    "\\ringwave\\sound.ps1",
    "\\ringwave\\settings.cmd",
    "\\ringwave\\command.cmd",
    "\\ringwave\\sound.cmd",
    "\\ringwave\\device.cmd",
];
/// Exit codes that a line can carry.
pub const CODES: core::ops::RangeInclusive<i64> = -0x8000_0000..=0xFFFF_FFFF;
/// Which characters cmd.exe would act on.
const SPECIAL: &str = "()!^\"<>&|";

/// The card that the run was started for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Card {
    Ringwave,
    Virtio,
    Hda,
}

/// `settings.cmd`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The boot after a crash.
    pub dump: bool,
    /// From 1.
    pub boot: u32,
    pub card: Card,
    /// The beginnings of instance ids.
    pub card_ids: Vec<String>,
    /// None: no exit code asks for a restart.
    pub reboot_code: Option<i64>,
    /// So many times the device is disabled, enabled, restarted and reinstalled before the program runs.
    pub cycles: u32,
    /// The device goes to D3 and back.
    pub suspend: bool,
    /// What Driver Verifier is to do.
    pub verifier: Option<String>,
}

/// Reads `settings.cmd`; else what is wrong with it.
pub fn settings(bytes: &[u8]) -> Result<Settings, String> {
    let mut pairs = Vec::new();
    for line in lines(bytes)? {
        let pair = line.strip_prefix("set \"").and_then(|rest| rest.strip_suffix('"')?.split_once('='));
        pairs.push(pair.ok_or_else(|| format!("`{line}` is not set \"NAME=VALUE\""))?);
    }
    let value = |at: usize, name: &str| match pairs.get(at) {
        Some((found, value)) if *found == name => Ok(*value),
        Some((found, _)) => Err(format!("{found} stands where {name} is")),
        None => Err(format!("{name} is not there")),
    };
    let dump = match value(0, "STEP")? {
        "run" => false,
        "dump" => true,
        other => return Err(format!("STEP is {other}, not run or dump")),
    };
    let boot = value(1, "BOOT")?.parse().ok().filter(|boot| *boot > 0);
    let card = match value(2, "CARD")? {
        "ringwave" => Card::Ringwave,
        "virtio" => Card::Virtio,
        "hda" => Card::Hda,
        other => return Err(format!("CARD is {other}")),
    };
    let card_ids: Vec<String> = value(3, "CARD_IDS")?.split(' ').map(ToString::to_string).collect();
    if card_ids.iter().any(String::is_empty) {
        return Err("CARD_IDS are not separated by one space".to_string());
    }
    let reboot_code = match value(4, "REBOOT_CODE")? {
        "" => None,
        text => Some(code(text).ok_or_else(|| format!("REBOOT_CODE is {text}"))?),
    };
    let cycles = match value(5, "CYCLES")? {
        "" => 0,
        text => text.parse().ok().filter(|count| *count > 0).ok_or_else(|| format!("CYCLES is {text}"))?,
    };
    let verifier = match (value(6, "VERIFIER")?, value(7, "VERIFIER_DELAY")?) {
        ("", "") => None,
        ("standard", "") => Some("standard".to_string()),
        ("low-resources", delay) if delay.parse().is_ok_and(|minutes: u32| minutes > 0) => {
            Some("low-resources".to_string())
        }
        (what, delay) => return Err(format!("VERIFIER is {what}, and VERIFIER_DELAY {delay}")),
    };
    let suspend = match value(8, "SUSPEND")? {
        "" => false,
        "yes" => true,
        other => return Err(format!("SUSPEND is {other}")),
    };
    let boot = boot.ok_or("BOOT is no number from 1")?;
    Ok(Settings { dump, boot, card, card_ids, reboot_code, cycles, suspend, verifier })
}

/// An exit code, in decimal.
pub fn code(text: &str) -> Option<i64> {
    text.parse().ok().filter(|code| CODES.contains(code))
}

/// Reads `command.cmd`: the program's arguments, its name first; else what is wrong with the file.
pub fn command(bytes: &[u8]) -> Result<Vec<String>, String> {
    let lines = lines(bytes)?;
    let [first, command, last] = lines.as_slice() else {
        return Err(format!("it has {} lines, not 3", lines.len()));
    };
    for (line, wanted) in [(first, "@echo off"), (last, "exit /b %errorlevel%")] {
        if *line != wanted {
            return Err(format!("`{line}` stands where `{wanted}` is"));
        }
    }
    let arguments = arguments(&unescaped(command)?);
    if arguments.is_empty() { Err("its second line is empty".to_string()) } else { Ok(arguments) }
}

/// The lines of a file that is ASCII and ends each with CR LF.
fn lines(bytes: &[u8]) -> Result<Vec<&str>, String> {
    let text = core::str::from_utf8(bytes).ok().filter(|text| text.is_ascii()).ok_or("it is not ASCII")?;
    let text = text.strip_suffix("\r\n").ok_or("its last line does not end with CR LF")?;
    let lines: Vec<&str> = text.split("\r\n").collect();
    match lines.iter().find(|line| line.contains(|c: char| c.is_ascii_control())) {
        Some(line) => {
            Err(format!("a control character, or an end of line without CR: {}", line.escape_debug()))
        }
        None => Ok(lines),
    }
}

/// What cmd.exe passes on of a line in a batch file.
fn unescaped(line: &str) -> Result<String, String> {
    let (mut result, mut rest) = (String::new(), line.chars());
    while let Some(c) = rest.next() {
        let next = if c == '^' || c == '%' { rest.next() } else { None };
        match (c, next) {
            ('%', Some('%')) => result.push('%'),
            ('^', Some(next)) if SPECIAL.contains(next) => result.push(next),
            ('%' | '^', _) => return Err(format!("a single {c} in `{line}`")),
            _ if SPECIAL.contains(c) => return Err(format!("{c} without ^ in `{line}`")),
            _ => result.push(c),
        }
    }
    Ok(result)
}

/// The arguments of a command line, as Microsoft's C library takes it apart ("Parsing C command-line
/// arguments").
fn arguments(line: &str) -> Vec<String> {
    let mut all = Vec::new();
    let mut rest = line.chars().peekable();
    loop {
        while rest.next_if(|c| matches!(c, ' ' | '\t')).is_some() {}
        if rest.peek().is_none() {
            return all;
        }
        let (mut argument, mut quoted) = (String::new(), false);
        while let Some(c) = rest.next_if(|c| quoted || !matches!(c, ' ' | '\t')) {
            // In the program's own name a backslash is itself.
            if c == '\\' && !all.is_empty() {
                let mut backslashes = 1;
                while rest.next_if_eq(&'\\').is_some() {
                    backslashes += 1;
                }
                if rest.peek() != Some(&'"') {
                    argument.extend(core::iter::repeat_n('\\', backslashes));
                    continue;
                }
                argument.extend(core::iter::repeat_n('\\', backslashes / 2));
                if backslashes % 2 == 1 {
                    rest.next();
                    argument.push('"');
                }
            } else if c == '"' && quoted && !all.is_empty() && rest.next_if_eq(&'"').is_some() {
                argument.push('"');
            } else if c == '"' {
                quoted = !quoted;
            } else {
                argument.push(c);
            }
        }
        all.push(argument);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: &str = concat!(
        "set \"STEP=run\"\r\nset \"BOOT=2\"\r\nset \"CARD=hda\"\r\n",
        "set \"CARD_IDS=HDAUDIO\\FUNC_01&VEN_1234 PCI\\VEN_1\"\r\nset \"REBOOT_CODE=3010\"\r\n",
        "set \"CYCLES=\"\r\nset \"VERIFIER=\"\r\nset \"VERIFIER_DELAY=\"\r\nset \"SUSPEND=\"\r\n"
    );

    #[test]
    fn settings_are_read() {
        let read = settings(SETTINGS.as_bytes()).expect("sound");
        assert_eq!((read.dump, read.boot, read.card, read.reboot_code), (false, 2, Card::Hda, Some(3010)));
        assert_eq!(read.card_ids, ["HDAUDIO\\FUNC_01&VEN_1234", "PCI\\VEN_1"]);
        let none = SETTINGS.replace("3010", "").replace("=run", "=dump");
        let read = settings(none.as_bytes()).expect("sound");
        assert_eq!((read.dump, read.reboot_code, read.cycles), (true, None, 0));
        let cycles = SETTINGS.replace("CYCLES=", "CYCLES=12");
        assert_eq!(settings(cycles.as_bytes()).map(|read| read.cycles), Ok(12));
    }

    #[test]
    fn settings_that_are_not_as_written_down_are_named() {
        for (from, to, said) in [
            ("STEP=run", "STEP=walk", "walk"),
            ("BOOT=2", "BOOT=0", "BOOT"),
            ("CARD=hda", "CARD=tape", "tape"),
            (" PCI", "  PCI", "one space"),
            ("set \"BOOT=2\"\r\n", "", "CARD stands where BOOT is"),
            ("\"STEP=run\"", "STEP=run", "is not set"),
            ("3010", "9999999999", "REBOOT_CODE"),
            ("2\"\r\n", "2\"\n", "without CR"),
            ("SUSPEND=\"\r\n", "SUSPEND=\"", "does not end"),
            ("SUSPEND=", "SUSPEND=no", "SUSPEND is no"),
            ("VERIFIER=", "VERIFIER=low-resources", "VERIFIER is low-resources"),
            ("VERIFIER_DELAY=", "VERIFIER_DELAY=7", "VERIFIER_DELAY 7"),
            ("CYCLES=", "CYCLES=0", "CYCLES is 0"),
            ("PCI", "PÇI", "ASCII"),
        ] {
            let error = settings(SETTINGS.replacen(from, to, 1).as_bytes()).expect_err(from);
            assert!(error.contains(said), "{from}: {error}");
        }
    }

    fn arguments_of(line: &str) -> Result<Vec<String>, String> {
        command(format!("@echo off\r\n{line}\r\nexit /b %errorlevel%\r\n").as_bytes())
    }

    #[test]
    fn commands_are_taken_apart_as_windows_does() {
        for (line, wanted) in [
            ("test.exe --arg", &["test.exe", "--arg"][..]),
            ("^\"a b^\" ^\"c d^\"", &["a b", "c d"]),
            ("x ^\"a\\^\"b^\" \\\\x\\y \\\\", &["x", "a\"b", "\\\\x\\y", "\\\\"]),
            ("x ^\"\\\\^\" ^\"^\" ^\"a^\"^\"b^\"", &["x", "\\", "", "a\"b"]),
            ("x ^\"\\\\\\^\"^\"", &["x", "\\\""]),
            ("x 100%%%% ^^ ^& ^| ^< ^> ^( ^) ^!", &["x", "100%%", "^", "&", "|", "<", ">", "(", ")", "!"]),
            ("^\"C:\\a\\^\" b", &["C:\\a\\", "b"]),
        ] {
            assert_eq!(
                arguments_of(line).as_deref(),
                Ok(&wanted.iter().map(ToString::to_string).collect::<Vec<_>>()[..]),
                "{line}"
            );
        }
    }

    #[test]
    fn what_cmd_would_act_on_is_named() {
        for line in ["x %PATH%", "x & y", "x ^a", "x \"y\"", "x ^", ""] {
            assert!(arguments_of(line).is_err(), "{line}");
        }
        assert!(command(b"@echo off\r\nx\r\n").is_err());
        assert!(command(b"echo off\r\nx\r\nexit /b %errorlevel%\r\n").is_err());
    }
}
