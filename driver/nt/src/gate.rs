//! A value that is used without a lock, at any level, while its gate is open: the gate may be shut and opened
//! again, and the value taken away for good.
//!
//! Registers are such a value: a DPC rings a doorbell, and a service routine asks what is pending, where no
//! lock may be held; in D3, and when the device goes, nobody may be at them. [`Rundown`](crate::rundown) is
//! the same for what comes and goes once.
//!
//! Its own tests run it under loom, in every order that the memory model allows.
use core::cell::UnsafeCell;
#[cfg(not(test))]
use core::sync::atomic::{AtomicU32, Ordering};
#[cfg(test)]
use loom::sync::atomic::{AtomicU32, Ordering};

use crate::rundown::pause;

/// The value was taken; the gate never opens again.
const TAKEN: u32 = 1 << 31;
/// It is open. The bits below count the value's users.
const OPEN: u32 = 1 << 30;
/// The bits of the count.
const USERS: u32 = OPEN - 1;

/// A value behind a gate.
pub struct Gate<T> {
    state: AtomicU32,
    value: UnsafeCell<Option<T>>,
}

// SAFETY: the value is shared while the gate is open, and moved out by the one who took it.
unsafe impl<T: Send + Sync> Sync for Gate<T> {}
// SAFETY: owning this is owning the value.
unsafe impl<T: Send> Send for Gate<T> {}

/// One who is at the value. Leaves when it is dropped: also in a test that fails there, which would else wait
/// for itself.
struct User<'a>(&'a AtomicU32);

impl Drop for User<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Release);
    }
}

impl<T> Gate<T> {
    /// Shut, before `value`.
    pub fn new(value: T) -> Self {
        Self { state: AtomicU32::new(0), value: UnsafeCell::new(Some(value)) }
    }

    /// Lets users in, unless the value was taken.
    pub fn open(&self) {
        let open = |state: u32| (state & TAKEN == 0).then_some(state | OPEN);
        // One that was taken stays shut.
        let _ = self.state.fetch_update(Ordering::AcqRel, Ordering::Relaxed, open);
    }

    /// Does something with the value, if the gate is open; [`shut`](Self::shut) waits until that has
    /// returned. Any level that `work` allows; `work` must not shut the gate.
    pub fn with<R>(&self, work: impl FnOnce(&T) -> R) -> Option<R> {
        let enter = |state: u32| (state & OPEN != 0 && state & USERS != USERS).then(|| state.wrapping_add(1));
        self.state.fetch_update(Ordering::Acquire, Ordering::Relaxed, enter).ok()?;
        let _user = User(&self.state);
        // SAFETY: the gate was open when the count was raised, so the value is not taken before it has sunk.
        unsafe { &*self.value.get() }.as_ref().map(work)
    }

    /// Lets nobody in any more; when this returns nobody is at the value, unless another thread has opened
    /// the gate again. PASSIVE_LEVEL.
    pub fn shut(&self) {
        self.state.fetch_and(!OPEN, Ordering::AcqRel);
        self.wait();
    }

    /// Takes the value away, when it has no user any more. `None` if it was taken before. PASSIVE_LEVEL.
    pub fn take(&self) -> Option<T> {
        if self.state.fetch_or(TAKEN, Ordering::AcqRel) & TAKEN != 0 {
            return None;
        }
        self.state.fetch_and(!OPEN, Ordering::AcqRel);
        self.wait();
        // SAFETY: this call alone set TAKEN; nobody was let in since the gate was shut, and it never opens
        // again; the last of those before has left.
        unsafe { (*self.value.get()).take() }
    }

    fn wait(&self) {
        while self.state.load(Ordering::Acquire) & USERS != 0 {
            pause();
        }
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
    fn opens_and_shuts_until_the_value_is_taken() {
        model(|| {
            let gate = Gate::new(7);
            assert_eq!(gate.with(|value| *value), None, "it begins shut");
            gate.open();
            assert_eq!(gate.with(|value| *value), Some(7));
            gate.shut();
            assert_eq!(gate.with(|value| *value), None);
            gate.open();
            assert_eq!((gate.take(), gate.take()), (Some(7), None));
            gate.open();
            assert_eq!(gate.with(|value| *value), None, "what was taken is gone");
        });
    }

    /// A value of which loom finds it when somebody is at it while another changes it.
    struct Watched(Cell<u32>);

    // SAFETY: loom ends the test at the first access that meets another; that is what it is for.
    unsafe impl Sync for Watched {}

    /// Who has shut the gate has the value alone, and so has who took it.
    #[test]
    fn who_has_shut_it_has_the_value_alone() {
        model(|| {
            let gate = Arc::new(Gate::new(Watched(Cell::new(1))));
            gate.open();
            let user = {
                let gate = gate.clone();
                spawn(move || gate.with(|value| value.0.get()))
            };
            gate.shut();
            let value = gate.take().unwrap();
            value.0.set(2);
            assert!(matches!(user.join().unwrap(), None | Some(1)), "it was at the value after that");
        });
    }
}
