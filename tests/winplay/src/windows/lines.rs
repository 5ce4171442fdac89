//! The lines of JSON: on standard output and in a file, each on the disk before the next step begins.

use alloc::string::String;
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, Ordering};

use ringwave_winplay::command_line::Step;
use ringwave_winplay::json::Object;
use ringwave_winplay::outcome::{Cause, Failure, StepEnd, Tally};
use windows::Win32::System::Threading::Sleep;

use crate::files::{self, File};
use crate::watch;

struct Lines {
    file: Option<File>,
    next: u32,
    step: Option<Step>,
    /// A volume was changed, and is to be put back.
    changed: bool,
    /// What was wrong already when the last call was made: it would be lost if that one hangs.
    before: Option<String>,
    tally: Tally,
}

/// Two threads write: that of the steps, and the one that ends the program by a limit.
struct Locked {
    taken: AtomicBool,
    lines: UnsafeCell<Lines>,
}

// SAFETY: `with` lets one thread at a time to what is inside.
unsafe impl Sync for Locked {}

static LINES: Locked = Locked {
    taken: AtomicBool::new(false),
    lines: UnsafeCell::new(Lines {
        file: None,
        next: 0,
        step: None,
        changed: false,
        before: None,
        tally: Tally {
            ok: 0,
            refused: 0,
            failed: 0,
            skipped: 0,
            no_endpoint: false,
            not_ours: false,
            stopped: false,
            limit: false,
            unreachable: false,
        },
    }),
};

/// Does something with the lines. `None` if the other thread keeps them for 2 s, as only a disk that hangs
/// makes it.
fn with<T>(what: impl FnOnce(&mut Lines) -> T) -> Option<T> {
    let mut tries = 0;
    while LINES.taken.swap(true, Ordering::Acquire) {
        tries += 1;
        if tries > 200 {
            return None;
        }
        // SAFETY: no more than a pause.
        unsafe { Sleep(10) };
    }
    // SAFETY: `taken` was ours to set: no other thread is here until it is given back. `what` never comes
    // here again: no closure below calls a function of this module that takes the lock.
    let result = what(unsafe { &mut *LINES.lines.get() });
    LINES.taken.store(false, Ordering::Release);
    Some(result)
}

impl Lines {
    fn write(&mut self, kind: &str, more: &Object) {
        let mut line = Object::new();
        line.set("winplay", 1_u32).set("seq", self.next).set("ms", watch::since_start()).set("type", kind);
        line.append(more);
        let mut text = line.text();
        text.push('\n');
        self.next += 1;
        files::say(&text);
        // A disk that is full shows in the file: its last line is missing, and with it the verdict.
        if let Some(file) = &self.file {
            let _ = file.write(text.as_bytes()).and_then(|()| file.flush());
        }
    }

    fn step(&mut self, end: &StepEnd, more: &Object) {
        self.tally.count(end);
        let mut line = Object::new();
        line.set("step", self.step.take().map(Step::name));
        end.write(&mut line);
        line.append(more);
        self.write("step", &line);
    }
}

/// From now on lines are kept in this file as well.
pub fn keep_in(file: File) {
    with(|lines| lines.file = Some(file));
}

/// A line of another kind.
pub fn line(kind: &str, more: &Object) {
    with(|lines| lines.write(kind, more));
}

/// Notes what the exit code depends on.
pub fn note(what: impl FnOnce(&mut Tally)) {
    with(|lines| what(&mut lines.tally));
}

/// A volume is changed from now on.
pub fn changed() {
    with(|lines| lines.changed = true);
}

/// Keeps what is wrong, for the case that the next call hangs.
pub fn before(text: &str) {
    with(|lines| lines.before = Some(text.into()));
}

/// A step begins.
pub fn begin(step: Step) {
    with(|lines| {
        lines.step = Some(step);
        lines.before = None;
        let mut line = Object::new();
        lines.write("start", line.set("step", step.name()));
    });
}

/// The step ended.
pub fn step(end: &StepEnd, more: &Object) {
    with(|lines| lines.step(end, more));
}

/// The last line; the exit code.
pub fn end(restored: Option<bool>) -> u32 {
    with(|lines| {
        let mut line = Object::new();
        lines.tally.write(&mut line, restored);
        lines.write("end", line.set("call", Option::<&str>::None));
        lines.tally.exit_code()
    })
    .unwrap_or(7)
}

/// The last lines of a program that a limit ends; the exit code.
pub fn end_by_limit(cause: Cause, call: Option<&'static str>) -> u32 {
    with(|lines| {
        lines.tally.limit = true;
        let text = match call {
            Some(call) => {
                let before =
                    lines.before.take().map_or(String::new(), |text| alloc::format!("; before that, {text}"));
                alloc::format!("{call} did not come back within --limit{before}")
            }
            None => "the run took longer than --total".into(),
        };
        let mut failure = Failure::new(cause, text);
        failure.call = call.map(|call| (call, None));
        if lines.step.is_some() {
            lines.step(&StepEnd::new(Err(failure), None), &Object::new());
        }
        let mut line = Object::new();
        let restored = lines.changed.then_some(false);
        lines.tally.write(&mut line, restored);
        lines.write("end", line.set("call", call));
        lines.tally.exit_code()
    })
    .unwrap_or(5)
}
