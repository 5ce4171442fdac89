//! The performance counter, and sleeping.
use crate::sys::LargeInteger as _;
use crate::sys::{self, BOOLEAN, LARGE_INTEGER};

/// Ticks of the performance counter since boot; never goes back. Any IRQL.
pub fn now() -> i64 {
    // SAFETY: the frequency is optional.
    unsafe { sys::KeQueryPerformanceCounter(core::ptr::null_mut()) }.as_i64()
}

/// Ticks a second; fixed at boot, never 0 or less (a frequency of 0 would mean a broken HAL; 1 is answered
/// then, so that nobody divides by it).
pub fn frequency() -> i64 {
    let mut frequency = LARGE_INTEGER::from_i64(0);
    // SAFETY: the frequency outlives the call.
    unsafe { sys::KeQueryPerformanceCounter(&raw mut frequency) };
    frequency.as_i64().max(1)
}

/// Lets the thread sleep for at least that long, in 100 ns. At most APC_LEVEL. Expect the timer tick's grain
/// (up to 15.6 ms).
pub fn sleep_100ns(interval: u32) {
    let mut interval = LARGE_INTEGER::from_i64(-i64::from(interval));
    // SAFETY: the interval outlives the call. Not alertable and in kernel mode, so the status is always
    // success.
    let _ = unsafe { sys::KeDelayExecutionThread(sys::KernelMode, BOOLEAN::from(false), &raw mut interval) };
}

#[cfg(test)]
#[cfg(not(windows))]
mod tests {
    use super::*;

    #[test]
    fn time_passes_while_sleeping() {
        let before = now();
        sleep_100ns(20_000);
        assert!(now() - before >= frequency() / 500, "2 ms of sleep took less by the counter");
    }
}
