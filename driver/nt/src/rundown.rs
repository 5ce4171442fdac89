//! A value that others use while it is there, and that can be taken away from under them.
//!
//! Using it takes no lock, so that it may be called out of with ([`Rundown::with`]) at any level; taking it
//! away waits for those who are at it ([`Rundown::close`]). What ExAcquireRundownProtection is to C, without
//! its imports.
//!
//! Its own tests run it under loom, in every order that the memory model allows.
use core::cell::UnsafeCell;
#[cfg(not(test))]
use core::sync::atomic::{AtomicU32, Ordering};
#[cfg(test)]
use loom::sync::atomic::{AtomicU32, Ordering};
#[cfg(test)]
pub(crate) use loom::thread::yield_now as pause;

/// Lets those who are at it go on. PASSIVE_LEVEL.
#[cfg(not(test))]
pub(crate) fn pause() {
    crate::clock::sleep_100ns(10_000);
}

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
    #[cfg(not(test))]
    pub const fn new() -> Self {
        Self { state: AtomicU32::new(EMPTY), value: UnsafeCell::new(None) }
    }

    /// The same with loom's atomics, which can't be made in a constant.
    #[cfg(test)]
    pub fn new() -> Self {
        Self { state: AtomicU32::new(EMPTY), value: UnsafeCell::new(None) }
    }

    /// Puts it there.
    ///
    /// # Errors
    /// The value, if there is or was one, or somebody has closed it meanwhile.
    pub fn open(&self, value: T) -> Result<(), T> {
        if self.state.compare_exchange(EMPTY, OPENING, Ordering::Acquire, Ordering::Relaxed).is_err() {
            return Err(value);
        }
        // SAFETY: EMPTY becomes OPENING once, and in OPENING nobody else looks.
        unsafe { *self.value.get() = Some(value) };
        match self.state.compare_exchange(OPENING, OPEN, Ordering::Release, Ordering::Relaxed) {
            Ok(_) => Ok(()),
            // SAFETY: OPENING became CLOSED, where nobody looks either.
            Err(_) => unsafe { (*self.value.get()).take() }.map_or(Ok(()), Err),
        }
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
            // From now on it does not come either, not even from one who is about to put it there.
            let bar = |state: u32| matches!(state, EMPTY | OPENING).then_some(CLOSED);
            let barred = self.state.fetch_update(Ordering::Relaxed, Ordering::Relaxed, bar).is_ok();
            // It came in between: taken away as any other.
            return if barred || self.state.load(Ordering::Relaxed) & OPEN == 0 {
                None
            } else {
                self.close()
            };
        }
        while self.state.load(Ordering::Acquire) & USERS != 0 {
            pause();
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
    use loom::cell::Cell;
    use loom::model;
    use loom::sync::Arc;
    use loom::thread::spawn;

    #[test]
    fn comes_once_and_goes_once() {
        model(|| {
            let place = Rundown::new();
            assert_eq!(place.with(|value: &u32| *value), None, "nothing is there yet");
            assert_eq!((place.open(7), place.open(8)), (Ok(()), Err(8)));
            assert_eq!(place.with(|value| *value), Some(7));
            assert_eq!((place.close(), place.close()), (Some(7), None));
            assert_eq!((place.with(|value| *value), place.open(9)), (None, Err(9)));
            let never = Rundown::<u32>::new();
            assert_eq!((never.close(), never.open(1)), (None, Err(1)), "a late comer is not let in");
        });
    }

    /// A value of which loom finds it when somebody is at it while another has taken it.
    struct Watched(Cell<u32>);

    // SAFETY: loom ends the test at the first access that meets another; that is what it is for.
    unsafe impl Sync for Watched {}

    /// The value is put there, used, and taken away, in all orders: who uses it has it whole, and who
    /// has taken it has it alone.
    #[test]
    fn who_takes_it_away_has_it_alone() {
        model(|| {
            let place = Arc::new(Rundown::new());
            assert!(place.open(Watched(Cell::new(1))).is_ok());
            let user = {
                let place = place.clone();
                spawn(move || place.with(|value| assert_eq!(value.0.get(), 1)))
            };
            let taken = place.close().expect("nobody else takes it");
            taken.0.set(2);
            user.join().unwrap();
            assert!(place.with(|_| ()).is_none());
        });
    }

    /// What comes while it is taken away has come and is taken, or has not come: it never stays.
    #[test]
    fn nothing_comes_after_it_was_taken_away() {
        model(|| {
            let place = Arc::new(Rundown::new());
            let thread = {
                let place = place.clone();
                spawn(move || place.open(Watched(Cell::new(1))).is_ok())
            };
            let taken = place.close().is_some();
            let opened = thread.join().unwrap();
            assert_eq!(opened, taken, "what was let in was taken");
            assert!(place.with(|_| ()).is_none());
        });
    }
}
