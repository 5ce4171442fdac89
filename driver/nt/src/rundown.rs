//! A value that others use while it is there, and that can be taken away from under them.
//!
//! Using it takes no lock, so that it may be called out of with ([`Rundown::with`]) at any level; taking it
//! away waits for those who are at it ([`Rundown::close`]). What ExAcquireRundownProtection is to C, without
//! its imports.
use crate::clock;
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicU32, Ordering};

/// Nothing is there, and never was.
const EMPTY: u32 = 0;
/// It is being put there now.
const OPENING: u32 = 1 << 30;
/// It was there; it is being taken away, or is gone.
const CLOSED: u32 = 1 << 31;
/// It is there. The bits below count its users.
const OPEN: u32 = 1 << 29;
/// The bits of the count.
const USERS: u32 = OPEN - 1;

/// A value that comes once, is used, and goes once.
pub struct Rundown<T> {
    state: AtomicU32,
    value: UnsafeCell<Option<T>>,
}

// SAFETY: the value is shared while it is open, and moved out by the one who closed it.
unsafe impl<T: Send + Sync> Sync for Rundown<T> {}
// SAFETY: owning this is owning the value.
unsafe impl<T: Send> Send for Rundown<T> {}

impl<T> Default for Rundown<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Rundown<T> {
    /// Nothing is there yet.
    pub const fn new() -> Self {
        Self { state: AtomicU32::new(EMPTY), value: UnsafeCell::new(None) }
    }

    /// Puts it there.
    ///
    /// # Errors
    /// The value, if there is or was one.
    pub fn open(&self, value: T) -> Result<(), T> {
        if self.state.compare_exchange(EMPTY, OPENING, Ordering::Acquire, Ordering::Relaxed).is_err() {
            return Err(value);
        }
        // SAFETY: EMPTY becomes OPENING once, and in OPENING nobody else looks.
        unsafe { *self.value.get() = Some(value) };
        self.state.store(OPEN, Ordering::Release);
        Ok(())
    }

    /// Does something with it, if it is there; it stays until that has returned. Any level that `work`
    /// allows; `work` must not close it.
    pub fn with<R>(&self, work: impl FnOnce(&T) -> R) -> Option<R> {
        let enter = |state: u32| (state & OPEN != 0 && state & USERS != USERS).then(|| state.wrapping_add(1));
        self.state.fetch_update(Ordering::Acquire, Ordering::Relaxed, enter).ok()?;
        // SAFETY: open when the count was raised, so it is not taken away before the count has sunk.
        let result = unsafe { &*self.value.get() }.as_ref().map(work);
        self.state.fetch_sub(1, Ordering::Release);
        result
    }

    /// Takes it away, when it has no user any more. `None` if it is not there, or another thread takes it.
    /// PASSIVE_LEVEL.
    pub fn close(&self) -> Option<T> {
        let leave = |state: u32| (state & OPEN != 0).then_some(state & USERS | CLOSED);
        if self.state.fetch_update(Ordering::Acquire, Ordering::Relaxed, leave).is_err() {
            // From now on it does not come either.
            let _ = self.state.compare_exchange(EMPTY, CLOSED, Ordering::Relaxed, Ordering::Relaxed);
            return None;
        }
        while self.state.load(Ordering::Acquire) & USERS != 0 {
            clock::sleep_100ns(10_000);
        }
        // SAFETY: this call alone made it CLOSED out of OPEN, nobody was let in since, and the last of those
        // before has left.
        unsafe { (*self.value.get()).take() }
    }
}

#[cfg(test)]
#[cfg(not(windows))]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn comes_once_and_goes_once() {
        let place = Rundown::new();
        assert_eq!(place.with(|value: &u32| *value), None, "nothing is there yet");
        assert_eq!((place.open(7), place.open(8)), (Ok(()), Err(8)));
        assert_eq!(place.with(|value| *value), Some(7));
        assert_eq!((place.close(), place.close()), (Some(7), None));
        assert_eq!((place.with(|value| *value), place.open(9)), (None, Err(9)));
        let never = Rundown::<u32>::new();
        assert_eq!((never.close(), never.open(1)), (None, Err(1)), "a late comer is not let in");
    }

    #[test]
    fn stays_as_long_as_somebody_is_at_it() {
        let place = Rundown::new();
        let value = Arc::new(());
        place.open(Arc::clone(&value)).unwrap();
        let (at_it, go_on) = (std::sync::Barrier::new(2), std::sync::Barrier::new(2));
        std::thread::scope(|scope| {
            let user = scope.spawn(|| {
                place.with(|value| {
                    at_it.wait();
                    go_on.wait();
                    std::thread::sleep(std::time::Duration::from_millis(30));
                    Arc::strong_count(value)
                })
            });
            at_it.wait();
            let closer = scope.spawn(|| drop(place.close()));
            std::thread::sleep(std::time::Duration::from_millis(10));
            let (gone, let_in) = (closer.is_finished(), place.with(|_| ()).is_some());
            // Judged when nobody waits any more, so that a failure ends the test.
            go_on.wait();
            let seen = user.join().unwrap();
            assert!(!gone && seen == Some(2), "it was taken away from under its user");
            assert!(!let_in, "nobody is let in any more");
        });
        assert_eq!(Arc::strong_count(&value), 1);
    }
}
