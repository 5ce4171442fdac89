//! `serve --priority`: which threads have real-time priority, and what is told where there is none.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::serving::Serving;

/// The policy and the capabilities of each thread of a process, by the thread's name: proc(5), fields 2 and
/// 41 of `stat`.
fn policies(process: u32) -> BTreeMap<String, i32> {
    let tasks = std::fs::read_dir(Path::new("/proc").join(process.to_string()).join("task")).unwrap();
    let policy = |stat: String| {
        let (name, fields) = stat.split_once(" (").unwrap().1.rsplit_once(") ").unwrap();
        (name.to_owned(), fields.split(' ').nth(38).unwrap().parse().unwrap())
    };
    tasks.map(|task| policy(std::fs::read_to_string(task.unwrap().path().join("stat")).unwrap())).collect()
}

/// Whether this machine lets a process of ours have it.
fn allowed() -> bool {
    let tried = Command::new("chrt").args(["--fifo", "1", "true"]).stderr(Stdio::null()).status();
    tried.is_ok_and(|status| status.success())
}

#[test]
fn engine_has_real_time_priority_where_it_may_and_the_answering_thread_never() {
    let dir = tempfile::tempdir().unwrap();
    let serving = Serving::start(dir.path(), &["--control", "control.sock"]);
    let policies = policies(serving.child.id());
    let engine = if allowed() { libc::SCHED_FIFO } else { libc::SCHED_OTHER };
    for (name, policy) in [
        ("engine", engine),
        ("io", engine),
        ("log", libc::SCHED_OTHER),
        ("serve", libc::SCHED_OTHER),
        ("control", libc::SCHED_OTHER),
        ("ringwave", libc::SCHED_OTHER),
    ] {
        assert_eq!(policies.get(name), Some(&policy), "{name} in {policies:?}");
    }
    let told = if allowed() { "priority: real time" } else { "LimitRTPRIO=1 in a systemd unit" };
    assert_eq!(serving.said(told).len(), 1);
    serving.end();
}

#[test]
fn ordinary_priority_is_kept_when_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let serving = Serving::start(dir.path(), &["--priority", "ordinary"]);
    let policies = policies(serving.child.id());
    assert!(policies.values().all(|policy| *policy == libc::SCHED_OTHER), "{policies:?}");
    serving.end();
}

/// Without the right to it: `setpriv` takes away the capability that the tests of an administrator have.
#[test]
fn real_time_priority_that_cannot_be_had_is_an_error_with_its_next_step() {
    let dir = tempfile::tempdir().unwrap();
    let serve = [env!("CARGO_BIN_EXE_ringwave"), "serve", "--socket", "card.sock", "--priority", "realtime"];
    let mut command = Command::new("env");
    if allowed() {
        command = Command::new("setpriv");
        command.args(["--bounding-set=-sys_nice", "--inh-caps=-sys_nice", "--"]);
    }
    let output = command.args(serve).current_dir(dir.path()).output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("no real-time priority") && told.contains("ulimit -r 1"), "{told}");
    assert_eq!(told.lines().count(), 1, "{told}");
    assert!(!dir.path().join("card.sock").exists());
}
