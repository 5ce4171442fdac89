//! Property requests whose handler returned PENDING: the driver completes them later with
//! `PcCompletePendingPropertyRequest` (its page), by the address of the request, and never with PENDING
//! (Driver Verifier's rule PcPropertyRequest, 0xC4 with 0x71008).

use super::status::Status;
use crate::kernel::sync::IrqLock;
use crate::kernel::{self, thread, time};
use alloc::vec::Vec;

/// How long a driver may take.
const PATIENCE_MS: u64 = 5_000;

/// Requests in the hands of a handler: their addresses, and how they were completed.
static OPEN: IrqLock<Vec<(usize, Option<Status>)>> = IrqLock::new(Vec::new());

/// A request is about to be handed over.
pub fn begin(request: usize) {
    OPEN.lock().push((request, None));
}

fn end(request: usize) -> Option<Status> {
    let mut open = OPEN.lock();
    let at = open.iter().position(|(known, _)| *known == request)?;
    open.swap_remove(at).1
}

/// What became of a request whose handler returned `status`; waits when that is PENDING. `None` when the
/// driver never completed it: its memory is still the driver's then.
pub fn finish(request: usize, status: Status) -> Option<Status> {
    if status != Status::PENDING {
        if end(request).is_some() {
            refuse(format_args!("a request was completed whose handler returned {status}"));
        }
        return Some(status);
    }
    let deadline = time::ms() + PATIENCE_MS;
    let completed = || OPEN.lock().iter().any(|(known, status)| *known == request && status.is_some());
    while !completed() && time::ms() < deadline {
        thread::sleep_100ns(10_000);
    }
    let status = end(request);
    if status.is_none() {
        refuse(format_args!(
            "a handler returned PENDING and nothing completed its request in {PATIENCE_MS} ms"
        ));
    }
    status
}

fn refuse(what: core::fmt::Arguments<'_>) {
    kernel::violation("property-request", format_args!("{what}, {}", kernel::caller()));
}

/// `PcCompletePendingPropertyRequest`.
pub fn complete(request: usize, status: Status) -> Status {
    if status == Status::PENDING {
        refuse(format_args!("a property request is completed with PENDING"));
        return Status::INVALID_PARAMETER;
    }
    let known = {
        let mut open = OPEN.lock();
        let found = open.iter_mut().find(|(known, done)| *known == request && done.is_none());
        found.map(|entry| entry.1 = Some(status)).is_some()
    };
    if !known {
        refuse(format_args!("{request:#x} is no property request that is pending"));
        return Status::INVALID_PARAMETER;
    }
    Status::SUCCESS
}
