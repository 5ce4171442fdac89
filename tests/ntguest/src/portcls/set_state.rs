//! How long SetState takes: Driver Verifier's rule PcTimedWaveRtStreamSetState (0xC4 with 0x72001) ends the
//! system when a state transition is not made "within the required time".
//!
//! The page does not say how long that is (doubt). PortCls holds the device global lock meanwhile, so that
//! every other client waits; a second is far more than any card needs. What the host takes of it is not the
//! driver's, and not counted.

use crate::kernel::{self, host_time};
use core::sync::atomic::{AtomicU64, Ordering};

/// The limit, 100-ns units.
pub const LIMIT_100NS: i64 = 10_000_000;

/// The longest SetState of the run, 100-ns units, without what the host took.
static LONGEST: AtomicU64 = AtomicU64::new(0);

/// Says how long the longest took (figure `set_state_longest_us`).
pub fn report() {
    let longest = LONGEST.load(Ordering::Relaxed);
    if longest > 0 {
        crate::kresult!("set_state_longest_us={}", longest / 10);
    }
}

/// Does `f`, a SetState, and judges its time (rule `set-state-time`).
pub fn timed<R>(f: impl FnOnce() -> R) -> R {
    let mark = host_time::Mark::now();
    let result = f();
    let took = mark.left_100ns();
    LONGEST.fetch_max(took, Ordering::Relaxed);
    if took > LIMIT_100NS.unsigned_abs() {
        kernel::violation(
            "set-state-time",
            format_args!("SetState took {} ms, {} at most are due", took / 10_000, LIMIT_100NS / 10_000),
        );
    }
    result
}
