//! A timer of one shot, as exact as the system can be.
use crate::spinlock::SpinLock;
use crate::status::{NtResult, STATUS_INSUFFICIENT_RESOURCES};
use crate::sys::{self, BOOLEAN, EX_TIMER_HIGH_RESOLUTION, PEX_TIMER, PVOID};

/// What is done when a timer has expired. At DISPATCH_LEVEL, possibly on several processors at once.
pub trait TimerRoutine: Sync + 'static {
    /// It has expired.
    fn on_timer(&self);
}

/// A timer of the kernel (ExAllocateTimer, Windows 8.1). It has none until it is opened, and none any more
/// after it was closed: setting it does nothing then.
///
/// Dropping it (PASSIVE_LEVEL) closes it.
pub struct Timer {
    /// Under the lock, so that nobody sets a timer that is being deleted.
    timer: SpinLock<Option<Handle>>,
}

/// The kernel's timer.
#[derive(Clone, Copy)]
struct Handle(PEX_TIMER);

// SAFETY: a handle for the kernel's routines, which take it from any thread.
unsafe impl Send for Handle {}

impl Timer {
    /// Not opened.
    pub const fn new() -> Self {
        Self { timer: SpinLock::new(None) }
    }

    /// From now on it can be set, and calls `routine` when it expires. PASSIVE_LEVEL, once.
    ///
    /// # Errors
    /// `STATUS_INSUFFICIENT_RESOURCES`.
    ///
    /// # Safety
    /// `routine` stays where it is until the timer was closed.
    pub unsafe fn open<R: TimerRoutine>(&self, routine: &R) -> NtResult {
        let context = core::ptr::from_ref(routine).cast_mut().cast();
        // SAFETY: the routine takes that context, which by contract outlives the timer.
        let made = unsafe { sys::ExAllocateTimer(Some(expired::<R>), context, EX_TIMER_HIGH_RESOLUTION) };
        if made.is_null() {
            return Err(STATUS_INSUFFICIENT_RESOURCES);
        }
        let before = self.timer.lock().replace(Handle(made));
        delete(before);
        Ok(())
    }

    /// Lets it expire once, in as many units of 100 ns (at least one) as `delay` says, and forgets what it was
    /// set to before; with `None` that stays. `delay` is asked under the lock, so that the last who asks is
    /// the last who sets. At most DISPATCH_LEVEL.
    pub fn set_100ns(&self, delay: impl FnOnce() -> Option<u64>) {
        let timer = self.timer.lock();
        if let Some(Handle(timer)) = *timer
            && let Some(delay) = delay()
        {
            // Negative is relative; of high resolution an absolute time stops the machine (ExSetTimer's
            // page).
            let due = i64::try_from(delay.max(1)).map_or(i64::MIN, i64::wrapping_neg);
            // SAFETY: made by `open`, and not deleted while it stands under the lock.
            unsafe { sys::ExSetTimer(timer, due, 0, core::ptr::null_mut()) };
        }
    }

    /// It does not expire any more, until it is set again; its routine may still run. At most DISPATCH_LEVEL.
    pub fn cancel(&self) {
        if let Some(Handle(timer)) = *self.timer.lock() {
            // SAFETY: as in `set_100ns`.
            unsafe { sys::ExCancelTimer(timer, core::ptr::null_mut()) };
        }
    }

    /// Deletes it, and waits until no processor runs its routine. May be called again. PASSIVE_LEVEL.
    pub fn close(&self) {
        let taken = self.timer.lock().take();
        delete(taken);
    }
}

/// Cancels and deletes a timer, and waits for its routine. No lock is held.
fn delete(timer: Option<Handle>) {
    if let Some(Handle(timer)) = timer {
        let yes = BOOLEAN::from(true);
        // SAFETY: taken from its place, so that this is the last use of it.
        unsafe { sys::ExDeleteTimer(timer, yes, yes, core::ptr::null_mut()) };
    }
}

impl Default for Timer {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.close();
    }
}

unsafe extern "C" fn expired<R: TimerRoutine>(_timer: PEX_TIMER, context: PVOID) {
    // SAFETY: the context of `open`, which outlives the timer.
    unsafe { &*context.cast::<R>() }.on_timer();
}

#[cfg(test)]
#[cfg(not(windows))]
mod tests {
    use super::*;
    use crate::{host, irql};
    use core::sync::atomic::{AtomicU32, Ordering};

    struct Count(AtomicU32);
    impl TimerRoutine for Count {
        fn on_timer(&self) {
            assert_eq!(irql::current(), sys::DISPATCH_LEVEL);
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn expires_once_for_each_time_it_is_set_and_never_after_it_was_closed() {
        let (timer, count) = (Timer::new(), Count(AtomicU32::new(0)));
        let runs = || count.0.load(Ordering::Relaxed);
        timer.set_100ns(|| Some(5));
        assert_eq!((host::timer_due_100ns(), host::timers()), (None, 0), "it is not opened");
        // SAFETY: closed below.
        unsafe { timer.open(&count) }.unwrap();
        host::expire_timers();
        assert_eq!(runs(), 0, "it was not set");
        timer.set_100ns(|| Some(0));
        assert_eq!(host::timer_due_100ns(), Some(1));
        timer.set_100ns(|| Some(u64::MAX));
        timer.set_100ns(|| Some(70_000));
        assert_eq!(host::timer_due_100ns(), Some(70_000));
        timer.set_100ns(|| None);
        host::expire_timers();
        host::expire_timers();
        assert_eq!(runs(), 1);
        timer.set_100ns(|| Some(5));
        timer.cancel();
        host::expire_timers();
        timer.set_100ns(|| Some(5));
        timer.close();
        timer.close();
        timer.set_100ns(|| Some(5));
        host::expire_timers();
        assert_eq!((runs(), host::timers()), (1, 0));
    }

    #[test]
    fn no_memory_is_an_error() {
        let (timer, count) = (Timer::new(), Count(AtomicU32::new(0)));
        host::fail_pool(true);
        // SAFETY: closed when dropped, before the count.
        let opened = unsafe { timer.open(&count) };
        host::fail_pool(false);
        assert_eq!((opened, host::timers()), (Err(STATUS_INSUFFICIENT_RESOURCES), 0));
    }
}
