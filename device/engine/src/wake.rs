//! How a thread that waits for a time or for somebody is woken.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// The bell of one thread. A ring that comes while the thread is busy is kept until it waits.
#[derive(Debug, Default)]
pub struct Waker {
    state: Mutex<State>,
    rung: Condvar,
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
