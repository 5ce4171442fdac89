//! `ringwave serve` as a process of its own, for tests that look at what it logs and tell it things while it
//! runs.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ringwave_served::HostRequestError;
use serde_json::Value;

/// Nothing in a test takes as long.
pub const PATIENCE: Duration = Duration::from_mins(1);

pub struct Serving {
    pub child: Child,
    dir: PathBuf,
    log: Arc<Mutex<Vec<String>>>,
    /// Reads the log, to its end.
    reader: JoinHandle<()>,
}

impl Serving {
    /// A card on `card.sock` in `dir`, which listens. In lockstep unless the arguments say otherwise.
    pub fn start(dir: &Path, arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ringwave"));
        command.args(["serve", "--socket", "card.sock"]).args(arguments).current_dir(dir);
        if !arguments.contains(&"--clock") {
            command.args(["--clock", "lockstep"]);
        }
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let log = Arc::new(Mutex::new(Vec::new()));
        let collected = Arc::clone(&log);
        let reader = std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                collected.lock().unwrap().push(line);
            }
        });
        let serving = Self { child, dir: dir.to_owned(), log, reader };
        serving.wait_for("listening on card.sock", 1);
        serving
    }

    /// The lines of the log that hold `part`.
    pub fn said(&self, part: &str) -> Vec<String> {
        self.log.lock().unwrap().iter().filter(|line| line.contains(part)).cloned().collect()
    }

    /// The last line of the log of a process that has ended.
    pub fn last_line(&self) -> String {
        let begin = Instant::now();
        while !self.reader.is_finished() {
            assert!(begin.elapsed() < PATIENCE, "its log has no end");
            std::thread::sleep(Duration::from_millis(2));
        }
        self.log.lock().unwrap().last().cloned().unwrap_or_default()
    }

    /// Waits until so many lines of the log hold `part`, and gives them.
    pub fn wait_for(&self, part: &str, lines: usize) -> Vec<String> {
        let begin = Instant::now();
        loop {
            let said = self.said(part);
            if said.len() >= lines {
                return said;
            }
            assert!(begin.elapsed() < PATIENCE, "{part} in {:?}", self.log.lock().unwrap());
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    pub fn signal(&self, signal: libc::c_int) {
        // SAFETY: the child is ours and was not waited for, so its id is its own.
        assert_eq!(unsafe { libc::kill(self.child.id().cast_signed(), signal) }, 0);
    }

    /// Sets the soft limit of open files of the process.
    pub fn limit_files(&self, files: u64) {
        let limit = libc::rlimit { rlim_cur: files, rlim_max: 4096 };
        let pid = self.child.id().cast_signed();
        // SAFETY: `limit` is only read, and the child is ours and was not waited for.
        let done = unsafe { libc::prlimit(pid, libc::RLIMIT_NOFILE, &raw const limit, std::ptr::null_mut()) };
        assert_eq!(done, 0);
    }

    /// Asks for figures by SIGUSR1, and gives them as they stand in the log.
    pub fn stats_by_signal(&self) -> Value {
        let before = self.said("ringwave: {").len();
        self.signal(libc::SIGUSR1);
        let said = self.wait_for("ringwave: {", before + 1);
        serde_json::from_str(said.last().unwrap().strip_prefix("ringwave: ").unwrap()).unwrap()
    }

    /// The file for figures.
    pub fn stats(&self) -> Value {
        serde_json::from_slice(&std::fs::read(self.dir.join("stats.json")).unwrap()).unwrap()
    }

    /// `ringwave control control.sock` with these words.
    pub fn control(&self, words: &[&str]) -> Output {
        control(&self.dir, words)
    }

    /// What it answers to words that it must obey, as soon as it can: a thread of the card that has no processor
    /// looks to another one like one that hangs.
    pub fn obeys(&self, words: &[&str]) -> String {
        let busy = HostRequestError::Busy.to_string();
        let begin = Instant::now();
        let output = loop {
            let output = self.control(words);
            if !String::from_utf8_lossy(&output.stderr).contains(&busy) || begin.elapsed() >= PATIENCE {
                break output;
            }
        };
        assert_eq!(output.status.code(), Some(0), "{words:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }

    /// How it ended.
    pub fn wait_for_exit(&mut self) -> ExitStatus {
        let begin = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(begin.elapsed() < PATIENCE, "it does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Ends it as a user does.
    pub fn end(mut self) {
        self.signal(libc::SIGTERM);
        assert_eq!(self.wait_for_exit().code(), Some(0));
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn control(dir: &Path, words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringwave"));
    command.args(["control", "control.sock"]).args(words).current_dir(dir).output().unwrap()
}

/// `--sandbox=on` where the kernel has one.
pub fn sandbox(dir: &Path) -> &'static str {
    let probe = Command::new("timeout")
        .args(["--preserve-status", "0.5", env!("CARGO_BIN_EXE_ringwave")])
        .args(["serve", "--sandbox=on", "--socket", "probe.sock"])
        .current_dir(dir)
        .output()
        .unwrap();
    if probe.status.code() == Some(1) {
        eprintln!("this kernel has no such sandbox: {}", String::from_utf8_lossy(&probe.stderr));
        return "--sandbox=auto";
    }
    "--sandbox=on"
}
