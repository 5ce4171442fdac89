//! How long another process takes to end, without the time in which this machine gave it, or the test, no
//! processor: where much else runs a process that needs 6 ms waits seconds for its turns (seen: `ending.rs`
//! failed so), and that is no fault of it.

use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

/// Between two looks.
const LOOK: Duration = Duration::from_millis(5);
/// More than this passes between two looks only when the test itself had no turn.
const LOOK_MAX: Duration = Duration::from_millis(20);

/// What the threads of the process are at: does any want a processor, and how long have those that there are
/// had one?
fn threads(pid: u32) -> (bool, Duration) {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return (false, Duration::ZERO) };
    let (mut ready, mut ran) = (false, 0);
    for thread in threads.flatten() {
        let read = |name| std::fs::read_to_string(thread.path().join(name)).unwrap_or_default();
        // The state comes after the name, which is in parentheses.
        ready |= read("stat").rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('R'));
        let had = read("schedstat").split_ascii_whitespace().next().and_then(|had| had.parse::<u64>().ok());
        ran += had.unwrap_or(0);
    }
    (ready, Duration::from_nanos(ran))
}

/// Has the card's process end by SIGTERM, at once and well.
pub fn ends_promptly(child: &mut Child) {
    /// From SIGTERM to the end, when nothing hangs.
    const PROMPT: Duration = Duration::from_secs(1);
    // SAFETY: the child is ours and was not waited for, so its id is its own.
    assert_eq!(unsafe { libc::kill(child.id().cast_signed(), libc::SIGTERM) }, 0);
    assert_eq!(ended_within(child, PROMPT).expect("it ends").code(), Some(0));
}

/// How it ended; `None` when it has not within `patience` of waiting for something and of running.
pub fn ended_within(child: &mut Child, patience: Duration) -> Option<ExitStatus> {
    let (_, ran_before) = threads(child.id());
    let (mut asleep, mut ran, mut last) = (Duration::ZERO, Duration::ZERO, Instant::now());
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return Some(status);
        }
        let (ready, so_far) = threads(child.id());
        // Less when a thread has ended.
        ran = ran.max(so_far.saturating_sub(ran_before));
        if !ready {
            asleep += last.elapsed().min(LOOK_MAX);
        }
        last = Instant::now();
        if asleep + ran > patience {
            return child.try_wait().unwrap();
        }
        std::thread::sleep(LOOK);
    }
}
