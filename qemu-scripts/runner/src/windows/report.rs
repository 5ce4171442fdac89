//! What a first user sends when something went wrong: `windows report`. Logs, figures and versions of one run
//! or build; no image, no sound, nothing of the user's own program but what it said, and no dump unless it is
//! asked for.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::doctor::doctor;
use crate::error::Error;

/// Of a file its end is what counts; a dump is packed whole.
const FILE_MAX: u64 = 4 << 20;
/// The folder in the archive.
const NAME: &str = "ringwave-report";

/// What is packed.
#[derive(Clone, Debug)]
pub struct Report<'a> {
    /// The folder that a run or a build left.
    pub run: &'a Path,
    /// Whether the dumps are packed as well.
    pub dump: bool,
    /// The archive, `.tar.gz`.
    pub out: &'a Path,
    /// Programs whose versions are told.
    pub programs: &'a [PathBuf],
}

/// A file of the archive, and its bytes.
pub type Packed = (String, u64);

impl Report<'_> {
    /// Packs it; what is in it.
    ///
    /// # Errors
    /// [`Error::BadInput`] if the folder is none of a run or a build; [`Error::Failed`] if it can't be
    /// packed.
    pub fn pack(&self) -> Result<Vec<Packed>, Error> {
        let wanted = self.wanted()?;
        let folder = tempfile::tempdir().map_err(Error::failed)?;
        let to = folder.path().join(NAME);
        let mut packed = Vec::new();
        for name in wanted {
            let most = if name.starts_with("dump/") { u64::MAX } else { FILE_MAX };
            let bytes = copy_end(&self.run.join(&name), &to.join(&name), most);
            packed.push((name, bytes.map_err(|error| Error::file("copy", self.run, &error))?));
        }
        for (name, text) in [("host.txt", self.host()), ("doctor.txt", doctor_text())] {
            let path = to.join(name);
            fs::write(&path, &text).map_err(|error| Error::file("write", &path, &error))?;
            packed.push((name.to_owned(), text.len() as u64));
        }
        let mut tar = Command::new("tar");
        tar.arg("-czf").arg(self.out).arg("-C").arg(folder.path()).arg(NAME);
        let done = tar.output().map_err(|error| Error::Failed(format!("cannot start tar: {error}")))?;
        if !done.status.success() {
            return Err(Error::Failed(format!("tar: {}", String::from_utf8_lossy(&done.stderr).trim())));
        }
        Ok(packed)
    }

    /// The files that go in, by their names in the folder.
    fn wanted(&self) -> Result<Vec<String>, Error> {
        let mut found = Vec::new();
        for (below, takes) in FOLDERS {
            if below == "dump" && !self.dump {
                continue;
            }
            let folder = self.run.join(below);
            let names = fs::read_dir(folder).into_iter().flatten().flatten();
            let files = names.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()));
            let names = files.filter_map(|entry| entry.file_name().into_string().ok());
            let names = names.filter(|name| takes(name));
            found.extend(names.map(|name| if below.is_empty() { name } else { format!("{below}/{name}") }));
        }
        found.sort();
        if found.iter().any(|name| name == "serial.log") {
            return Ok(found);
        }
        Err(Error::BadInput(format!(
            "{}: no folder of a run or a build, there is no serial.log; name the one that the last lines named",
            self.run.display()
        )))
    }

    fn host(&self) -> String {
        let mut text = format!("ringwave-runner {}\n", env!("CARGO_PKG_VERSION"));
        for program in self.programs {
            let said = Command::new(program).arg("--version").output();
            let said = said.map(|said| String::from_utf8_lossy(&said.stdout).into_owned());
            let said = said.unwrap_or_else(|error| error.to_string());
            // Writing to a string does not fail.
            let _ = writeln!(text, "{}", said.lines().next().unwrap_or_default());
        }
        for file in ["/proc/version", "/etc/os-release"] {
            text.push_str(&fs::read_to_string(file).unwrap_or_default());
        }
        text
    }
}

/// Whether a file of this name is of use.
type Takes = fn(&str) -> bool;

/// Folders of a run, and which of their files are of use.
const FOLDERS: [(&str, Takes); 4] = [
    ("", |name| {
        let plain = ["run.json", "program.log", "serial.log", "qemu.log", "screen.png"].contains(&name);
        let ends = |start, end| name.starts_with(start) && name.ends_with(end);
        plain || ends("card", ".log") || ends("stats", ".json")
    }),
    ("logs", |_| true),
    ("out", |name| name == "winplay.jsonl"),
    ("dump", |_| true),
];

/// Copies the end of a file, and makes its folder.
fn copy_end(from: &Path, to: &Path, most: u64) -> io::Result<u64> {
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut file = File::open(from)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(most)))?;
    io::copy(&mut file.take(most), &mut File::create(to)?)
}

fn doctor_text() -> String {
    let mut text = String::new();
    // That something is missing is in its lines.
    let _ = doctor(|line| text = format!("{text}{line}\n"));
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "test code")]
    use super::*;

    /// What is in an archive.
    fn listed(archive: &Path) -> Vec<String> {
        let said = Command::new("tar").arg("-tzf").arg(archive).output().unwrap();
        let all = String::from_utf8(said.stdout).unwrap();
        let mut all: Vec<String> =
            all.lines().filter(|name| !name.ends_with('/')).map(str::to_owned).collect();
        all.sort();
        all
    }

    #[test]
    fn logs_go_in_and_image_sound_and_the_users_own_files_do_not() {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path().join("run");
        for name in [
            "serial.log",
            "run.json",
            "windows.qcow2",
            "heard.wav",
            "card.log",
            "stats-2.json",
            "logs/setupapi.dev.log",
            "out/winplay.jsonl",
            "out/private.txt",
            "dump/MEMORY.DMP",
            "card.sock.txt",
        ] {
            let path = run.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, name).unwrap();
        }
        fs::write(run.join("program.log"), vec![b'x'; 5 << 20]).unwrap();
        let out = folder.path().join("report.tar.gz");
        let mut report = Report { run: &run, dump: false, out: &out, programs: &["no-such-program".into()] };
        let packed = report.pack().unwrap();
        let named = |names: &[&str]| {
            let mut names: Vec<String> = names.iter().map(|name| format!("{NAME}/{name}")).collect();
            names.sort();
            names
        };
        let wanted = [
            "serial.log",
            "run.json",
            "card.log",
            "stats-2.json",
            "logs/setupapi.dev.log",
            "out/winplay.jsonl",
            "program.log",
            "host.txt",
            "doctor.txt",
        ];
        assert_eq!(listed(&out), named(&wanted));
        assert_eq!(packed.len(), wanted.len(), "what is in it is told: {packed:?}");
        assert!(packed.contains(&("program.log".into(), FILE_MAX)));
        report.dump = true;
        report.pack().unwrap();
        assert!(listed(&out).contains(&format!("{NAME}/dump/MEMORY.DMP")));
        let none = Report { run: folder.path(), ..report };
        assert!(none.pack().unwrap_err().to_string().contains("serial.log"));
    }
}
