//! The answer CD: WINDOWS.md, 1.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::answer::{self, ACCOUNT, PASSWORD};
use super::family::Family;
use super::wim::Edition;
use crate::error::Error;

/// What runs in Windows, by its name in `\ringwave`.
pub const SCRIPTS: [(&str, &str); 4] = [
    ("stage.cmd", include_str!("cd/stage.cmd")),
    ("specialize.cmd", include_str!("cd/specialize.cmd")),
    ("logon.cmd", include_str!("cd/logon.cmd")),
    ("start.cmd", include_str!("cd/start.cmd")),
];

/// What a driver package has; without one of them nothing would be installed, an hour later.
const PACKAGE: [&str; 4] = ["install.cmd", "ringwave.inf", "ringwave.sys", "ringwave.cat"];

/// Memory integrity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Hvci {
    /// On, whatever the machine is like.
    On,
    /// Off.
    Off,
}

/// What the CD is to do.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// For the answer file.
    pub answer: answer::Options,
    /// The driver asks the card to wait for programs that are late (`install.cmd /lockstep`).
    pub lockstep: bool,
    /// No driver of ours: the card is HD Audio, which Windows itself drives.
    pub inbox_driver: bool,
    /// Memory integrity; else Windows decides.
    pub hvci: Option<Hvci>,
}

/// Writes the CD's files into `folder`, which is made.
///
/// # Errors
/// [`Error::BadInput`] if `package` is no driver package, [`Error::Failed`] if a file can't be written.
pub fn write_files(
    folder: &Path,
    package: Option<&Path>,
    (edition, family): (&Edition, Family),
    options: &Options,
) -> Result<(), Error> {
    let ringwave = folder.join("ringwave");
    fs::create_dir_all(&ringwave).map_err(|error| Error::file("create", &ringwave, &error))?;
    let write =
        |path: &Path, text: &str| fs::write(path, text).map_err(|error| Error::file("write", path, &error));
    write(&folder.join("Autounattend.xml"), &answer::file(family, edition, &options.answer))?;
    for (name, text) in SCRIPTS {
        write(&ringwave.join(name), &crlf(text))?;
    }
    write(&ringwave.join("settings.cmd"), &crlf(&settings(options)))?;
    let Some(package) = package.filter(|_| !options.inbox_driver) else { return Ok(()) };
    copy_package(package, &ringwave.join("driver"))
}

/// What the scripts ask for, as `set` lines.
fn settings(options: &Options) -> String {
    let on = |on| if on { "on" } else { "off" };
    let hvci = match options.hvci {
        None => "",
        Some(hvci) => on(hvci == Hvci::On),
    };
    [
        ("TESTSIGNING", on(!options.inbox_driver)),
        ("DRIVER", if options.inbox_driver { "no" } else { "yes" }),
        ("INSTALL_OPTIONS", if options.lockstep { "/lockstep" } else { "" }),
        ("HVCI", hvci),
        ("ACCOUNT", ACCOUNT),
        ("PASSWORD", PASSWORD),
    ]
    .iter()
    .fold("@echo off\n".into(), |text, (name, value)| text + &format!("set \"{name}={value}\"\n"))
}

fn copy_package(package: &Path, to: &Path) -> Result<(), Error> {
    if let Some(missing) = PACKAGE.iter().find(|name| !package.join(name).is_file()) {
        return Err(Error::BadInput(format!(
            "{}: no driver package, {missing} is missing; make one with qemu-scripts/package",
            package.display()
        )));
    }
    fs::create_dir_all(to).map_err(|error| Error::file("create", to, &error))?;
    let files = fs::read_dir(package).map_err(|error| Error::file("read", package, &error))?;
    for file in files.flatten().filter(|file| file.path().is_file()) {
        let from = file.path();
        fs::copy(&from, to.join(file.file_name())).map_err(|error| Error::file("copy", &from, &error))?;
    }
    Ok(())
}

/// cmd.exe loses its place in files whose lines end otherwise.
pub(super) fn crlf(text: &str) -> String {
    text.replace('\n', "\r\n")
}

/// Makes the CD of `folder`. The names are long and in lower case: Joliet has them.
///
/// # Errors
/// [`Error::Failed`] with what xorriso says.
pub fn write_iso(folder: &Path, iso: &Path) -> Result<(), Error> {
    let mut command = Command::new("xorriso");
    command.args([
        "-as",
        "mkisofs",
        "-quiet",
        "-volid",
        "RINGWAVE",
        "-joliet",
        "-joliet-long",
        "-iso-level",
        "3",
        "-o",
    ]);
    let done = command.arg(iso).arg(folder).output();
    let done = done.map_err(|error| Error::Failed(format!("cannot start xorriso: {error}")))?;
    if done.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&done.stderr);
    let last = said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it says nothing");
    Err(Error::Failed(format!("xorriso could not write {}: {last}", iso.display())))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "test code")]
    use super::*;

    fn package(folder: &Path) {
        for name in PACKAGE.iter().chain(&["ringwave-test.cer"]) {
            fs::write(folder.join(name), name).unwrap();
        }
    }

    #[test]
    fn cd_has_what_the_document_says() {
        let (out, from) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        package(from.path());
        let edition = Edition { index: 2, language: "en-US".into(), ..Edition::default() };
        let options = Options { lockstep: true, hvci: Some(Hvci::Off), ..Options::default() };
        write_files(out.path(), Some(from.path()), (&edition, Family::Server), &options).unwrap();
        let (document, _) = include_str!("../../../WINDOWS.md").split_once("\n## 2.").unwrap();
        for path in document.split("| `\\").skip(1).filter_map(|rest| rest.split('`').next()) {
            assert!(out.path().join(path.replace('\\', "/")).exists(), "{path}");
        }
        assert!(out.path().join("ringwave/driver/ringwave-test.cer").exists());
        let read = |name: &str| fs::read_to_string(out.path().join("ringwave").join(name)).unwrap();
        for (name, _) in SCRIPTS {
            let text = read(name);
            assert!(text.lines().count() > 3 && text.matches('\n').count() == text.matches("\r\n").count());
        }
        let settings = read("settings.cmd");
        assert!(
            settings.contains("set \"INSTALL_OPTIONS=/lockstep\"\r\n") && settings.contains("\"HVCI=off\"")
        );
        // Each variable that a script reads is one that settings.cmd sets.
        for name in ["TESTSIGNING", "DRIVER", "INSTALL_OPTIONS", "HVCI", "ACCOUNT", "PASSWORD"] {
            assert!(SCRIPTS.iter().any(|(_, text)| text.contains(&format!("%{name}%"))), "{name}");
            assert!(settings.contains(&format!("set \"{name}=")), "{name}");
        }
    }

    #[test]
    fn scripts_say_nothing_but_the_protocol() {
        use crate::windows::protocol::{Line, line};
        let mut said = 0;
        for (name, text) in SCRIPTS {
            for words in text.lines().filter_map(|line| line.split("echo RINGWAVE ").nth(1)) {
                let words =
                    words.replace("%~1 %~2", "7 it").replace("done %~1", "done 7").replace("%~1", "logon");
                let line = line(&format!("RINGWAVE {words}"));
                assert!(!matches!(line, Line::Bad(_) | Line::Other), "{name}: {words}");
                said += 1;
            }
        }
        assert!(said > 8, "{said}");
    }

    #[test]
    fn driver_package_that_is_none_is_refused_and_hd_audio_needs_none() {
        let (out, from) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        package(from.path());
        fs::remove_file(from.path().join("ringwave.cat")).unwrap();
        let write = |options: &Options| {
            write_files(out.path(), Some(from.path()), (&Edition::default(), Family::Windows11New), options)
        };
        let refused = write(&Options::default()).unwrap_err();
        assert!(refused.to_string().contains("ringwave.cat") && refused.exit_code() == 2);
        write(&Options { inbox_driver: true, ..Options::default() }).unwrap();
        let settings = fs::read_to_string(out.path().join("ringwave/settings.cmd")).unwrap();
        assert!(settings.contains("\"TESTSIGNING=off\"") && settings.contains("\"DRIVER=no\""));
    }
}
