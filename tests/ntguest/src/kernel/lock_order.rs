//! The order in which locks are taken: spin locks, interrupts' own among them, mutexes, fast and guarded
//! mutexes.
//!
//! Rule `lock-order`: whoever takes B while it holds A says that A comes before B. When somebody has said,
//! perhaps by way of others, that B comes before A, the two can wait for each other for ever, even if they
//! never did in this run: "Deadlock Detection" of Driver Verifier (bug check 0xC4, 0x1001). Locks are told
//! apart by their addresses, as there.

use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, Ordering};

use super::sync::IrqLock;
use super::{caller, image, irql, spin, thread, violation};

/// Pairs that are remembered.
const MOST: usize = 2048;

/// Who held `first` took `then`, here.
#[derive(Clone, Copy)]
struct Pair {
    first: usize,
    then: usize,
    by: usize,
}

static PAIRS: IrqLock<Vec<Pair>> = IrqLock::new(Vec::new());
/// Mutexes and their owners: (thread, address).
static MUTEXES: IrqLock<Vec<(usize, usize)>> = IrqLock::new(Vec::new());
static FULL: AtomicBool = AtomicBool::new(false);

/// The running thread has taken a mutex.
pub fn mutex_acquired(mutex: usize) {
    let me = thread::SCHED.lock().current();
    let held: Vec<usize> = MUTEXES.lock().iter().filter(|(by, _)| *by == me).map(|(_, held)| *held).collect();
    if !held.contains(&mutex) {
        for first in held {
            note(first, mutex);
        }
    }
    MUTEXES.lock().push((me, mutex));
}

/// It has given one back.
pub fn mutex_released(mutex: usize) {
    let me = thread::SCHED.lock().current();
    let mut mutexes = MUTEXES.lock();
    if let Some(at) = mutexes.iter().rposition(|held| *held == (me, mutex)) {
        mutexes.swap_remove(at);
    }
}

/// This processor is about to take a spin lock; `level` is its IRQL before.
pub fn spin_lock(lock: usize, level: u8) {
    let (held, count) = spin::held_here();
    held[..count].iter().for_each(|first| note(*first, lock));
    // A service routine or DPC has nothing to do with the mutexes of the thread that it interrupts.
    if level < irql::DISPATCH {
        let me = thread::SCHED.lock().current();
        let mutexes = MUTEXES.lock();
        if !mutexes.is_empty() {
            let held: Vec<usize> = mutexes.iter().filter(|(by, _)| *by == me).map(|held| held.1).collect();
            drop(mutexes);
            for first in held {
                note(first, lock);
            }
        }
    }
}

/// Memory is freed, or a lock in it made anew: another lock may be there next.
pub fn forget(start: usize, end: usize) {
    let gone = |lock: usize| (start..end).contains(&lock);
    PAIRS.lock().retain(|pair| !gone(pair.first) && !gone(pair.then));
    MUTEXES.lock().retain(|(_, mutex)| !gone(*mutex));
}

/// How many pairs there are.
pub fn pairs() -> usize {
    PAIRS.lock().len()
}

fn note(first: usize, then: usize) {
    let other_way = {
        let mut pairs = PAIRS.lock();
        if first == then || pairs.iter().any(|pair| (pair.first, pair.then) == (first, then)) {
            return;
        }
        let other_way = way(&pairs, then, first);
        if pairs.len() < MOST {
            pairs.push(Pair { first, then, by: image::last_call().0 });
        } else if !FULL.swap(true, Ordering::Relaxed) {
            crate::kprintln!("more than {MOST} pairs of locks: further ones are not looked at");
        }
        other_way
    };
    if let Some(Pair { by, .. }) = other_way {
        violation(
            "lock-order",
            format_args!(
                "{then:#x} is taken after {first:#x}, {}; the other way round since {}",
                caller(),
                image::describe(by)
            ),
        );
    }
}

/// Whether `from` comes before `to` by these pairs; the last pair on the way.
fn way(pairs: &[Pair], from: usize, to: usize) -> Option<Pair> {
    let mut reached = alloc::vec![from];
    let mut next = 0;
    while let Some(lock) = reached.get(next).copied() {
        for pair in pairs.iter().filter(|pair| pair.first == lock) {
            if pair.then == to {
                return Some(*pair);
            }
            if !reached.contains(&pair.then) {
                reached.push(pair.then);
            }
        }
        next += 1;
    }
    None
}
