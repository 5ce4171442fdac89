//! What a guest says on COM1: WINDOWS.md, 3 and 8.

use std::ops::RangeInclusive;

/// One line of COM1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// A stage begins: its name.
    Stage(String),
    /// The guest restarts on purpose.
    Reboot(String),
    /// For the person who waits.
    Note(String),
    /// The lines up to [`Line::End`] are a file's.
    Log(String),
    /// They have ended.
    End(String),
    /// A step failed, with this exit code.
    Problem(u32, String),
    /// The program of a run has ended.
    Exit(i64),
    /// The last line.
    Done(u32),
    /// It begins as a line of the protocol and is none.
    Bad(String),
    /// The firmware starts a CD: it will ask for a key.
    BootsCd,
    /// The firmware does not start a CD, as nobody whom it trusts has signed it.
    RefusesCd,
    /// Somebody else's.
    Other,
}

/// Exit codes as Windows' programs print them: 32 bits, with a sign or without.
const EXIT_CODES: RangeInclusive<i64> = i32::MIN as i64..=u32::MAX as i64;

/// Reads a line, without its end. One that is not ASCII is no line of the protocol.
pub fn line(text: &str) -> Line {
    if !text.is_ascii() {
        return Line::Other;
    }
    let text = printable(text);
    if ["CDROM", "CD-ROM", "DVD-ROM"].iter().any(|cd| text.contains(cd)) {
        if text.starts_with("BdsDxe: starting Boot") {
            return Line::BootsCd;
        }
        if text.starts_with("BdsDxe: failed to load Boot") && text.ends_with(": Access Denied") {
            return Line::RefusesCd;
        }
    }
    let Some(said) = text.strip_prefix("RINGWAVE ") else { return Line::Other };
    let (verb, rest) = said.split_once(' ').unwrap_or((said, ""));
    let bad = || Line::Bad(text.chars().take(100).collect());
    match verb {
        "stage" if is_name(rest) => Line::Stage(rest.into()),
        "reboot" => Line::Reboot(rest.into()),
        "log" if is_name(rest) => Line::Log(rest.into()),
        "end" if is_name(rest) => Line::End(rest.into()),
        "stage" | "log" | "end" => bad(),
        "exit" => match rest.parse() {
            Ok(code) if EXIT_CODES.contains(&code) => Line::Exit(code),
            _ => bad(),
        },
        "problem" => match rest.split_once(' ') {
            Some((code, text)) if !text.is_empty() => {
                code.parse().map_or_else(|_| bad(), |code| Line::Problem(code, text.into()))
            }
            _ => bad(),
        },
        "done" => rest.parse().map_or_else(|_| bad(), Line::Done),
        _ => Line::Note(said.strip_prefix("note ").unwrap_or(said).into()),
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && !text.contains(' ')
}

/// Without the control sequences of a terminal, which the firmware puts before a line, and without other
/// bytes that are no text.
pub(super) fn printable(text: &str) -> String {
    let mut rest = text.chars().take(1000).peekable();
    let mut clean = String::new();
    while let Some(character) = rest.next() {
        if character == '\u{1b}' && rest.next_if_eq(&'[').is_some() {
            while rest.next_if(|c| !('@'..='~').contains(c)).is_some() {}
            rest.next();
        } else if !character.is_control() {
            clean.push(character);
        }
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_protocol_are_read() {
        assert_eq!(line("RINGWAVE stage winpe"), Line::Stage("winpe".into()));
        assert_eq!(line("RINGWAVE exit -1073741819"), Line::Exit(-1_073_741_819));
        assert_eq!(line("RINGWAVE exit 4294967295"), Line::Exit(4_294_967_295));
        assert_eq!(line("\u{1b}[2J\u{1b}[01;01HRINGWAVE done 0\r"), Line::Done(0));
        assert_eq!(
            line("RINGWAVE problem 6 install.cmd: refused"),
            Line::Problem(6, "install.cmd: refused".into())
        );
        assert_eq!(line("RINGWAVE reboot test signing"), Line::Reboot("test signing".into()));
        assert_eq!(line("RINGWAVE note hello"), Line::Note("hello".into()));
        assert_eq!(line("RINGWAVE new verb"), Line::Note("new verb".into()));
        assert_eq!(line("RINGWAVE log setupapi.dev.log"), Line::Log("setupapi.dev.log".into()));
        assert_eq!(line("RINGWAVE end x"), Line::End("x".into()));
        assert_eq!(line("SAC>"), Line::Other);
        assert_eq!(line("RINGWAVE done 8\u{fffd}"), Line::Other, "a byte that is not ASCII");
        assert_eq!(line("RINGWAVEstage winpe"), Line::Other);
        assert_eq!(line(" RINGWAVE stage winpe"), Line::Other);
        let boots = "BdsDxe: starting Boot0001 \"UEFI QEMU DVD-ROM QM00001 \" from PciRoot(0x0)/Pci(0x1F,0x2)/Sata(0x0)";
        assert_eq!(line(&format!("\u{1b}[0m\u{1b}[35m{boots}")), Line::BootsCd);
        let refused = boots.replace("starting", "failed to load") + ": Access Denied";
        assert_eq!(line(&refused), Line::RefusesCd);
        assert_eq!(line(&refused.replace("Access Denied", "Not Found")), Line::Other);
        assert_eq!(line(&boots.replace("DVD-ROM", "HARDDISK").replace("starting", "loading")), Line::Other);
    }

    #[test]
    fn line_with_wrong_fields_is_the_guests_problem() {
        for text in [
            "stage",
            "stage winpe ",
            "exit",
            "exit 4294967296",
            "exit -2147483649",
            "exit 0x5",
            "done",
            "done x",
            "done -1",
            "problem 5",
            "problem x y",
            "log",
            "log a b",
        ] {
            assert!(matches!(line(&format!("RINGWAVE {text}")), Line::Bad(_)), "{text}");
        }
        let long = format!("RINGWAVE note {}", "x".repeat(5000));
        assert!(matches!(line(&long), Line::Note(text) if text.len() < 1000));
    }
}
