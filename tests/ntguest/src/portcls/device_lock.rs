//! The device global lock: property and event requests of one device come one after the other, at
//! PASSIVE_LEVEL (WAVERT.md 1.5).
//!
//! A driver that waits inside a handler for another request waits for ever on Windows; here rule
//! `global-lock` says so.

use crate::kernel::thread::{self, SCHED};
use crate::kernel::{self, sync::IrqLock, time};

/// How long a handler may keep the lock from another thread.
const PATIENCE_MS: u64 = 5_000;

/// Number of the thread that holds it.
static OWNER: IrqLock<Option<usize>> = IrqLock::new(None);

fn me() -> usize {
    SCHED.lock().current()
}

/// Takes the lock; false when this thread has it already.
fn acquire(what: &str) -> bool {
    let me = me();
    let deadline = time::ms() + PATIENCE_MS;
    loop {
        let owner = {
            let mut owner = OWNER.lock();
            if owner.is_none() {
                *owner = Some(me);
                return true;
            }
            *owner
        };
        if owner == Some(me) {
            kernel::violation(
                "global-lock",
                format_args!("{what} is asked for from inside another request's handler"),
            );
            return false;
        }
        if time::ms() > deadline {
            kernel::violation(
                "global-lock",
                format_args!("{what}: another request's handler did not return in {PATIENCE_MS} ms"),
            );
            return false;
        }
        thread::sleep_100ns(5_000);
    }
}

/// Does `f` under the lock.
pub fn with<R>(what: &str, f: impl FnOnce() -> R) -> R {
    let taken = acquire(what);
    let result = f();
    if taken {
        *OWNER.lock() = None;
    }
    result
}
