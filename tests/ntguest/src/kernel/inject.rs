//! Failures on purpose: `fail_pool=3` in `ntguest.cfg` makes the third call of that kind fail. A driver must
//! then fail cleanly and leave nothing behind (as Driver Verifier's low-resources simulation, WAVERT.md 8).

use core::sync::atomic::{AtomicU64, Ordering};

use super::{caller, cfg};

/// A kind of call that can be made to fail.
pub struct Point {
    key: &'static str,
    calls: AtomicU64,
}

/// ExAllocatePool*: null.
pub static POOL: Point = Point::new("fail_pool");
/// MmMapIoSpace*: null.
pub static MAP_IO: Point = Point::new("fail_map_io");
/// MmAllocateContiguous*: null.
pub static CONTIGUOUS: Point = Point::new("fail_contiguous");
/// IoConnectInterruptEx: STATUS_INSUFFICIENT_RESOURCES.
pub static CONNECT: Point = Point::new("fail_connect");

impl Point {
    const fn new(key: &'static str) -> Self {
        Self { key, calls: AtomicU64::new(0) }
    }

    /// Counts the call; true when it is the one to fail.
    pub fn fails(&self) -> bool {
        let call = self.calls.fetch_add(1, Ordering::Relaxed) + 1;
        let fails = call == cfg::get_u64(self.key, 0);
        if fails {
            crate::kprintln!("{}={call}: this call fails on purpose, {}", self.key, caller());
        }
        fails
    }
}
