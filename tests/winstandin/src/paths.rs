//! Which paths on the answer CD a text names: an answer file's commands, or a `.cmd` file.
//!
//! A path counts when `\ringwave` is the folder below a root: `%%d:\ringwave\stage.cmd`,
//! `%cd%\ringwave\driver`, `"\ringwave\run.cmd"`. Paths on the installed disk do not (`C:\ringwave\...`,
//! `%SystemDrive%\ringwave\...`), nor on the disk of Windows PE (`X:`). In a file of `\ringwave`, `%~dp0` is
//! that file's folder.

use alloc::string::String;
use alloc::vec::Vec;

const FOLDER: &str = "\\ringwave";
/// Variables that name a place on the installed disk.
const DISK_VARIABLES: [&str; 11] = [
    "SystemDrive",
    "SystemRoot",
    "windir",
    "ProgramData",
    "ProgramFiles",
    "TEMP",
    "TMP",
    "PUBLIC",
    "USERPROFILE",
    "APPDATA",
    "LOCALAPPDATA",
];

/// A path from the CD's root, and whether a drive letter of a CD stood before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// With `\` before each name and none behind the last.
    pub path: String,
    /// Such a letter is not known before Windows runs.
    pub drive_letter: bool,
}

/// The paths that `text` names, each once. `folder` is the folder of the `.cmd` file, where it stays on the
/// CD.
pub fn named(text: &str, folder: Option<&str>) -> Vec<Named> {
    let mut all: Vec<Named> = Vec::new();
    for line in text.lines().filter(|line| !is_remark(line)) {
        let lower = line.to_ascii_lowercase();
        let below_root = lower.match_indices(FOLDER).filter_map(|(at, _)| below_root(line, at));
        let beside = lower.match_indices("%~dp0").filter_map(|(at, mark)| {
            let rest = run(line.get(at + mark.len()..)?);
            Some(Named { path: normal(&alloc::format!("{}\\{rest}", folder?)), drive_letter: false })
        });
        for name in below_root.chain(beside).filter(|name| !name.path.is_empty()) {
            if !all.contains(&name) {
                all.push(name);
            }
        }
    }
    all
}

fn is_remark(line: &str) -> bool {
    let line = line.trim_start().trim_start_matches('@');
    line.starts_with("::") || line.get(..4).is_some_and(|word| word.eq_ignore_ascii_case("rem "))
}

/// The path that begins at `at`, if `\ringwave` is a whole name below the root of a CD there.
fn below_root(line: &str, at: usize) -> Option<Named> {
    let (before, path) = (line.get(..at)?, line.get(at..)?);
    let end = path.get(FOLDER.len()..)?.chars().next();
    // `\ringwave.log` or `\ringwave-test` is another name.
    end.is_none_or(|c| c == '\\' || !is_name(c)).then_some(())?;
    let drive = drive(before)?;
    Some(Named { path: normal(run(path)), drive_letter: drive == Drive::Letter })
}

#[derive(PartialEq, Eq)]
enum Drive {
    /// None, or a variable.
    Unknown,
    /// The letter of a CD.
    Letter,
}

/// What stands before the path; none when the path is not on the CD.
fn drive(before: &str) -> Option<Drive> {
    let Some(last) = before.chars().next_back() else { return Some(Drive::Unknown) };
    if last == '%' || last == '!' {
        let name = before.trim_end_matches(last).rsplit(last).next().unwrap_or_default();
        let on_disk = DISK_VARIABLES.iter().any(|variable| variable.eq_ignore_ascii_case(name));
        return (!on_disk).then_some(Drive::Unknown);
    }
    if before.get(before.len().saturating_sub(4)..).is_some_and(|end| end.eq_ignore_ascii_case("%~d0")) {
        return Some(Drive::Unknown);
    }
    let Some(letters) = before.strip_suffix(':') else {
        // Behind a name it is a folder further below.
        return (!is_name(last) && last != '\\').then_some(Drive::Unknown);
    };
    let mut letters = letters.chars().rev();
    let (letter, sign) = (letters.next()?, letters.next());
    match letter.to_ascii_uppercase() {
        'C' | 'X' if sign != Some('%') => None,
        'A'..='Z' if sign != Some('%') => Some(Drive::Letter),
        // `%d:` and `%%d:` of FOR; `%drive%:` and `!drive!:`.
        _ => Some(Drive::Unknown),
    }
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '~' | '$' | '#' | '@')
}

/// The beginning of `text` that is a path: up to the folder, where a name in it is not known.
fn run(text: &str) -> &str {
    let end = text.find(|c| !is_name(c) && c != '\\').unwrap_or(text.len());
    let (path, rest) = text.split_at(end);
    if rest.starts_with(['%', '!', '*', '?', '+']) {
        path.rfind('\\').map_or("", |at| path.split_at(at).0)
    } else {
        // The end of a sentence.
        path.trim_end_matches('.')
    }
}

/// Without empty names and `.`, and with `..` resolved.
fn normal(path: &str) -> String {
    let mut names: Vec<&str> = Vec::new();
    for name in path.split('\\') {
        match name {
            "" | "." => {}
            ".." => drop(names.pop()),
            _ => names.push(name),
        }
    }
    names.iter().flat_map(|name| ["\\", name]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(text: &str) -> Vec<String> {
        named(text, Some("\\ringwave\\driver")).into_iter().map(|name| name.path).collect()
    }

    #[test]
    fn what_is_on_the_cd_is_found() {
        let cases = [
            (
                r"for %%d in (D E) do if exist %%d:\ringwave\stage.cmd call %%d:\ringwave\stage.cmd winpe",
                r"\ringwave\stage.cmd",
            ),
            (
                r#"cmd /c for %i in (D E) do @if exist "%i:\Ringwave\Logon.cmd" "%i:\Ringwave\Logon.cmd""#,
                r"\Ringwave\Logon.cmd",
            ),
            (r#"call "%cd%\ringwave\settings.cmd">nul"#, r"\ringwave\settings.cmd"),
            (r"copy !cd!:\ringwave\start.cmd C:\ringwave\start.cmd", r"\ringwave\start.cmd"),
            (r"set f=\ringwave\run.cmd", r"\ringwave\run.cmd"),
            (r"xcopy /s %%d:\ringwave\driver\*.* C:\x", r"\ringwave\driver"),
            (r#"pnputil /add-driver "%~dp0ringwave.inf" /install"#, r"\ringwave\driver\ringwave.inf"),
            (r#"call "%~dp0..\settings.cmd""#, r"\ringwave\settings.cmd"),
            (r#"cd /d "%~dp0""#, r"\ringwave\driver"),
            (r"call %~d0\ringwave\stage.cmd logon", r"\ringwave\stage.cmd"),
            (r"if exist %%d:\ringwave\ echo yes", r"\ringwave"),
        ];
        for (text, path) in cases {
            assert_eq!(paths(text), [path], "{text}");
        }
    }

    #[test]
    fn what_is_elsewhere_is_not() {
        for text in [
            r"rem see \ringwave\nothing.cmd",
            r"@rem see \ringwave\nothing.cmd",
            r":: \ringwave\nothing.cmd",
            r"echo x>>C:\ringwave\log.txt",
            r"copy a %SystemDrive%\ringwave\start.cmd",
            r"copy a %ProgramData%\ringwave\start.cmd",
            r"copy a X:\ringwave\start.cmd",
            r"md C:\Windows\ringwave\x",
            r"echo %%d:\ringwave.log",
            r"echo ringwave\x",
        ] {
            assert_eq!(paths(text), [""; 0], "{text}");
        }
        assert_eq!(named(r"%~dp0x.cmd", None), []);
    }

    #[test]
    fn a_letter_of_a_cd_is_told() {
        assert!(named(r"call E:\ringwave\logon.cmd", None)[0].drive_letter);
        assert!(!named(r"call %%e:\ringwave\logon.cmd", None)[0].drive_letter);
        assert!(!named(r#"call "%e%:\ringwave\logon.cmd""#, None)[0].drive_letter);
    }
}
