//! How a thread that waits for a time or for somebody is woken.

use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The bell of one thread. A ring that comes while the thread is busy is kept until it waits.
#[derive(Debug, Default)]
pub struct Waker {
    state: Mutex<State>,
    rung: Condvar,
    /// To be woken when the card's lock is given back.
    later: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    rung: bool,
    waits: bool,
}

impl Waker {
    /// Wakes the thread, or lets its next wait return at once. Cheap unless the thread sleeps.
    pub fn wake(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.rung = true;
        if std::mem::take(&mut state.waits) {
            drop(state);
            self.rung.notify_one();
        }
    }

    /// The same, when the [`Locked`] state of the card is given back: who is woken earlier waits for it at
    /// once, and is woken twice.
    pub fn wake_unlocked(&self) {
        self.later.store(true, Ordering::Relaxed);
    }

    /// Forgets a ring: what it was for is looked at from here on.
    pub fn reset(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).rung = false;
    }

    /// Waits until somebody wakes the thread, but no longer than `time`. May return early: the caller looks
    /// what there is to do.
    pub fn wait(&self, time: Option<Duration>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if !state.rung && time != Some(Duration::ZERO) {
            state.waits = true;
            state = match time {
                None => self.rung.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(time) => self.rung.wait_timeout(state, time).unwrap_or_else(PoisonError::into_inner).0,
            };
        }
        *state = State::default();
    }
}

/// The bells of the two threads that work for a card.
#[derive(Debug, Default)]
pub struct Wakers {
    /// The engine thread: the card's next deadline may have changed.
    pub engine: Waker,
    /// The I/O worker: there is something to drain.
    pub io: Waker,
}

impl Wakers {
    /// The card's state, whose lock is held.
    pub fn locked<'a, S>(&'a self, state: MutexGuard<'a, S>) -> Locked<'a, S> {
        Locked { state, _wakes: WakesWhenDropped(self) }
    }
}

/// A card's state while its lock is held.
#[derive(Debug)]
pub struct Locked<'a, S> {
    state: MutexGuard<'a, S>,
    // Fields are dropped in their order: the lock is given back before anybody is woken.
    _wakes: WakesWhenDropped<'a>,
}

impl<S> Deref for Locked<'_, S> {
    type Target = S;
    fn deref(&self) -> &S {
        &self.state
    }
}

impl<S> DerefMut for Locked<'_, S> {
    fn deref_mut(&mut self) -> &mut S {
        &mut self.state
    }
}

/// Wakes whoever is to be woken, when it is dropped.
#[derive(Debug)]
struct WakesWhenDropped<'a>(&'a Wakers);

impl Drop for WakesWhenDropped<'_> {
    fn drop(&mut self) {
        for waker in [&self.0.engine, &self.0.io] {
            // Another thread's, which holds the lock yet, comes too early, and is not lost.
            if waker.later.load(Ordering::Relaxed) && waker.later.swap(false, Ordering::Relaxed) {
                waker.wake();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn ring_before_the_wait_is_not_lost_and_counts_once() {
        let waker = Waker::default();
        waker.wake();
        waker.wake();
        let begin = Instant::now();
        waker.wait(None);
        assert!(begin.elapsed() < Duration::from_secs(5));
        let time = Duration::from_millis(20);
        waker.wait(Some(time));
        assert!(begin.elapsed() >= time);
    }

    #[test]
    fn who_is_woken_unlocked_finds_the_lock_free() {
        let (wakers, state) = (Wakers::default(), Mutex::new(0));
        std::thread::scope(|scope| {
            let woken = scope.spawn(|| {
                wakers.io.wait(None);
                state.try_lock().is_ok_and(|state| *state == 1)
            });
            std::thread::sleep(Duration::from_millis(20));
            let mut locked = wakers.locked(state.lock().unwrap());
            wakers.io.wake_unlocked();
            std::thread::sleep(Duration::from_millis(20));
            *locked = 1;
            drop(locked);
            assert!(woken.join().unwrap());
        });
        drop(wakers.locked(state.lock().unwrap()));
        let begin = Instant::now();
        wakers.io.wait(Some(Duration::from_millis(20)));
        assert!(begin.elapsed() >= Duration::from_millis(20), "once");
    }

    #[test]
    fn sleeper_is_woken() {
        let waker = Waker::default();
        std::thread::scope(|scope| {
            let sleeper = scope.spawn(|| waker.wait(None));
            std::thread::sleep(Duration::from_millis(20));
            waker.wake();
            sleeper.join().unwrap();
        });
    }
}
