//! A timer of one shot, as exact as the system can be.
use crate::pool::try_box;
use crate::spinlock::SpinLock;
use crate::status::{NtResult, STATUS_INSUFFICIENT_RESOURCES};
use crate::sys::{self, BOOLEAN, EX_TIMER_HIGH_RESOLUTION, PEX_TIMER, PVOID};
use alloc::boxed::Box;

/// What is done when a timer has expired. At DISPATCH_LEVEL, possibly on several processors at once.
pub trait TimerRoutine: Send + Sync + 'static {
    /// It has expired; `timer` is what sets it again.
    fn on_timer(&self, timer: &TimerSwitch);
}

/// A timer of the kernel (ExAllocateTimer, Windows 8.1) with the routine that it calls, both in non-paged
/// memory that does not move.
///
/// Dropping it (PASSIVE_LEVEL) closes it.
pub struct Timer<R: TimerRoutine> {
    inner: Box<Inner<R>>,
}

struct Inner<R> {
    switch: TimerSwitch,
    routine: R,
}

/// Sets and cancels a timer. When the timer is closed it does nothing.
pub struct TimerSwitch {
    /// Under the lock, so that nobody sets a timer that is being deleted.
    timer: SpinLock<Option<Handle>>,
}

/// The kernel's timer.
#[derive(Clone, Copy)]
struct Handle(PEX_TIMER);

// SAFETY: a handle for the kernel's routines, which take it from any thread.
unsafe impl Send for Handle {}

impl<R: TimerRoutine> Timer<R> {
    /// Not set. PASSIVE_LEVEL.
    ///
    /// # Errors
    /// `STATUS_INSUFFICIENT_RESOURCES`.
    pub fn try_new(routine: R) -> NtResult<Self> {
        let inner = try_box(Inner { switch: TimerSwitch { timer: SpinLock::new(None) }, routine })?;
        let address: *const Inner<R> = &raw const *inner;
        // SAFETY: the routine takes an `Inner<R>`, which does not move and outlives the timer: `drop` deletes
        // it before it frees.
        let made = unsafe {
            sys::ExAllocateTimer(Some(expired::<R>), address.cast_mut().cast(), EX_TIMER_HIGH_RESOLUTION)
        };
        if made.is_null() {
            return Err(STATUS_INSUFFICIENT_RESOURCES);
        }
        *inner.switch.timer.lock() = Some(Handle(made));
        Ok(Self { inner })
    }

    /// What it calls.
    pub fn routine(&self) -> &R {
        &self.inner.routine
    }

    /// What sets it and cancels it.
    pub fn switch(&self) -> &TimerSwitch {
        &self.inner.switch
    }

    /// Deletes it, and waits until no processor runs its routine. May be called again. PASSIVE_LEVEL.
    pub fn close(&self) {
        let taken = self.inner.switch.timer.lock().take();
        if let Some(Handle(timer)) = taken {
            let yes = BOOLEAN::from(true);
            // SAFETY: taken from its place, so that this is the last use of it. No lock is held.
            unsafe { sys::ExDeleteTimer(timer, yes, yes, core::ptr::null_mut()) };
        }
    }
}

impl<R: TimerRoutine> Drop for Timer<R> {
    fn drop(&mut self) {
        self.close();
    }
}

impl TimerSwitch {
    /// Lets it expire once, in as many units of 100 ns (at least one) as `delay` says, and forgets what it
    /// was set to before; with `None` that stays. `delay` is asked under the lock, so that the last who asks
    /// is the last who sets. At most DISPATCH_LEVEL.
    pub fn set_100ns(&self, delay: impl FnOnce() -> Option<u64>) {
        let timer = self.timer.lock();
        if let Some(Handle(timer)) = *timer
            && let Some(delay) = delay()
        {
            // Negative is relative; of high resolution an absolute time stops the machine (ExSetTimer's
            // page).
            let due = i64::try_from(delay.max(1)).map_or(i64::MIN, i64::wrapping_neg);
            // SAFETY: made by `try_new`, and not deleted while it stands under the lock.
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
}

unsafe extern "C" fn expired<R: TimerRoutine>(_timer: PEX_TIMER, context: PVOID) {
    // SAFETY: the context is the `Inner` of a live Timer: `drop` waits for this routine.
    let inner = unsafe { &*context.cast::<Inner<R>>() };
    inner.routine.on_timer(&inner.switch);
}

#[cfg(test)]
#[cfg(not(windows))]
mod tests {
    use super::*;
    use crate::{host, irql};
    use core::sync::atomic::{AtomicU32, Ordering};

    /// Counts, and sets the timer again when it is told to.
    #[derive(Default)]
    struct Count {
        runs: AtomicU32,
        again: AtomicU32,
    }

    impl TimerRoutine for Count {
        fn on_timer(&self, timer: &TimerSwitch) {
            assert_eq!(irql::current(), sys::DISPATCH_LEVEL);
            self.runs.fetch_add(1, Ordering::Relaxed);
            timer.set_100ns(|| Some(self.again.swap(0, Ordering::Relaxed).into()).filter(|due| *due > 0));
        }
    }

    #[test]
    fn expires_once_for_each_time_it_is_set_and_never_after_it_was_closed() {
        let timer = Timer::try_new(Count::default()).unwrap();
        let (runs, set) = (|| timer.routine().runs.load(Ordering::Relaxed), timer.switch());
        host::expire_timers();
        assert_eq!(runs(), 0, "it was not set");
        set.set_100ns(|| Some(0));
        assert_eq!(host::timer_due_100ns(), Some(1));
        set.set_100ns(|| Some(u64::MAX));
        set.set_100ns(|| Some(70_000));
        assert_eq!(host::timer_due_100ns(), Some(70_000));
        set.set_100ns(|| None);
        host::expire_timers();
        host::expire_timers();
        assert_eq!(runs(), 1);
        set.set_100ns(|| Some(5));
        set.cancel();
        host::expire_timers();
        set.set_100ns(|| Some(5));
        timer.close();
        timer.close();
        set.set_100ns(|| Some(5));
        host::expire_timers();
        assert_eq!((runs(), host::timers()), (1, 0));
    }

    #[test]
    fn its_routine_sets_it_again_and_it_goes_with_its_routine() {
        let timer = Timer::try_new(Count::default()).unwrap();
        timer.routine().again.store(300, Ordering::Relaxed);
        timer.switch().set_100ns(|| Some(5));
        host::expire_timers();
        assert_eq!(host::timer_due_100ns(), Some(300));
        host::expire_timers();
        assert_eq!((timer.routine().runs.load(Ordering::Relaxed), host::timers()), (2, 1));
        drop(timer);
        assert_eq!(host::timers(), 0);
    }

    #[test]
    fn no_memory_is_an_error() {
        host::fail_pool(true);
        let made = Timer::try_new(Count::default()).err();
        host::fail_pool(false);
        assert_eq!((made, host::timers()), (Some(STATUS_INSUFFICIENT_RESOURCES), 0));
    }
}
