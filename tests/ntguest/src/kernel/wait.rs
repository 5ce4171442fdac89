//! Dispatcher objects: events, timers, mutexes, and threads that wait for them.

use super::layout::{DispatcherHeader, KMutant};
use super::thread::{SCHED, Scheduler, block, mark_blocked};
use super::{caller, irql, lock_order, schedule, spin, sync, time, violation};

/// A notification event: stays signalled.
pub const NOTIFICATION_EVENT: u8 = 0;
/// A synchronization event: releases one waiter.
pub const SYNCHRONIZATION_EVENT: u8 = 1;
/// A mutex.
pub const MUTANT: u8 = 2;
/// A semaphore.
pub const SEMAPHORE: u8 = 5;
/// A thread: signalled when it has ended.
pub const THREAD: u8 = 6;
/// A timer that stays signalled.
pub const NOTIFICATION_TIMER: u8 = 8;
/// A timer that releases one waiter.
pub const SYNCHRONIZATION_TIMER: u8 = 9;
/// Written over the type of an event of the client that was unregistered.
pub const POISONED: u8 = 0xde;

/// The wait was satisfied (WAIT_0).
pub const STATUS_SUCCESS: i32 = 0;
/// The time is up.
pub const STATUS_TIMEOUT: i32 = 0x102;
/// Objects in one wait (THREAD_WAIT_OBJECTS is 3 without wait blocks; MAXIMUM_WAIT_OBJECTS is 64).
pub const MAX_OBJECTS: usize = 8;

/// What a blocked thread waits for.
#[derive(Clone, Copy)]
pub enum Wait {
    /// Nothing.
    None,
    /// Time only.
    Sleep {
        /// Interrupt time.
        until: u64,
    },
    /// Objects.
    Objects {
        /// Addresses of their headers.
        objects: [usize; MAX_OBJECTS],
        /// How many.
        count: usize,
        /// All of them, not any.
        all: bool,
        /// Interrupt time, `u64::MAX` = for ever.
        until: u64,
    },
}

/// Checks that `header` is an object one can wait on; reports what it is otherwise.
pub fn check(service: &str, header: *const DispatcherHeader) -> bool {
    // SAFETY: the driver hands over its own object; a bad address is a named fault.
    let kind = unsafe { (&raw const (*header).kind).read_volatile() };
    match kind {
        NOTIFICATION_EVENT
        | SYNCHRONIZATION_EVENT
        | MUTANT
        | SEMAPHORE
        | THREAD
        | NOTIFICATION_TIMER
        | SYNCHRONIZATION_TIMER => true,
        POISONED => {
            violation(
                "event-after-unregister",
                format_args!("{service} on event {header:p} that was unregistered, {}", caller()),
            );
            false
        }
        other => {
            violation("bad-object", format_args!("{service}: {header:p} has type {other:#x}, {}", caller()));
            false
        }
    }
}

fn state(object: usize) -> i32 {
    // SAFETY: checked by `check` when the wait began, and live while it is waited on.
    unsafe { (&raw const (*(object as *const DispatcherHeader)).signal_state).read_volatile() }
}

/// Thread `who` may take `object` now.
fn ready(object: usize, who: usize) -> bool {
    // SAFETY: see `state`.
    let mine = unsafe {
        (*(object as *const DispatcherHeader)).kind == MUTANT
            && (*(object as *const KMutant)).owner == who + 1
    };
    state(object) > 0 || mine
}

/// Takes `object` for thread `who`.
fn take(object: usize, who: usize) {
    let header = object as *mut DispatcherHeader;
    // SAFETY: see `state`.
    unsafe {
        match (*header).kind {
            SYNCHRONIZATION_EVENT | SYNCHRONIZATION_TIMER => (*header).signal_state = 0,
            SEMAPHORE => (*header).signal_state -= 1,
            MUTANT => {
                (*header).signal_state -= 1;
                (*header.cast::<KMutant>()).owner = who + 1;
            }
            _ => {}
        }
    }
}

/// Tries to satisfy a wait; the status if it worked.
fn satisfy(who: usize, objects: &[usize], all: bool) -> Option<i32> {
    if all {
        if objects.iter().all(|o| ready(*o, who)) {
            for object in objects {
                take(*object, who);
            }
            return Some(STATUS_SUCCESS);
        }
        return None;
    }
    let at = objects.iter().position(|o| ready(*o, who))?;
    take(objects[at], who);
    Some(at as i32)
}

/// Sets an object's state and wakes who can go on. Returns the state before.
pub fn signal(header: *mut DispatcherHeader, new_state: i32) -> i32 {
    let mut sched = SCHED.lock();
    // SAFETY: checked by the caller.
    let old = unsafe {
        let slot = &raw mut (*header).signal_state;
        let old = slot.read_volatile();
        slot.write_volatile(new_state);
        old
    };
    wake_waiters(&mut sched, header as usize);
    drop(sched);
    schedule::point(schedule::Point::Signal);
    old
}

fn wake_waiters(sched: &mut Scheduler, object: usize) {
    for index in 0..sched.threads.len() {
        if !sched.is_blocked(index) {
            continue;
        }
        let Wait::Objects { objects, count, all, .. } = sched.threads[index].wait else { continue };
        if objects[..count].contains(&object)
            && let Some(status) = satisfy(index, &objects[..count], all)
        {
            sched.wake(index, status);
        }
    }
}

/// Ends the waits whose time is up. Called by the clock.
pub fn expire(now: u64) {
    let mut sched = SCHED.lock();
    for index in 0..sched.threads.len() {
        if !sched.is_blocked(index) {
            continue;
        }
        match sched.threads[index].wait {
            Wait::Sleep { until } if now >= until => sched.wake(index, STATUS_SUCCESS),
            Wait::Objects { until, .. } if now >= until => sched.wake(index, STATUS_TIMEOUT),
            _ => {}
        }
    }
}

/// Whether a thread waits on an object inside `start..end`.
pub fn waited_on_within(start: usize, end: usize) -> bool {
    let sched = SCHED.lock();
    (0..sched.threads.len()).filter(|i| sched.is_blocked(*i)).any(|i| match sched.threads[i].wait {
        Wait::Objects { objects, count, .. } => objects[..count].iter().any(|o| (start..end).contains(o)),
        _ => false,
    })
}

/// Interrupt time at which a wait ends. `timeout`: null = never; negative = from now; positive = system time.
pub fn deadline(timeout: *const i64) -> u64 {
    if timeout.is_null() {
        return u64::MAX;
    }
    // SAFETY: the caller's LARGE_INTEGER.
    let value = unsafe { timeout.read_unaligned() };
    if value <= 0 {
        time::interrupt_time_100ns().saturating_add(value.unsigned_abs())
    } else {
        (value as u64).saturating_sub(time::SYSTEM_TIME_AT_BOOT)
    }
}

/// KeWaitForSingleObject and KeWaitForMultipleObjects.
pub fn wait(service: &'static str, objects: &[usize], all: bool, timeout: *const i64) -> i32 {
    // SAFETY: only read when it is not null.
    let poll = !timeout.is_null() && unsafe { timeout.read_unaligned() } == 0;
    irql::require(service, if poll { irql::DISPATCH } else { irql::APC });
    if !poll && spin::held() > 0 {
        violation("wait-with-spinlock", format_args!("{service} while a spin lock is held, {}", caller()));
    }
    if objects.len() > MAX_OBJECTS || !objects.iter().all(|o| check(service, *o as *const DispatcherHeader)) {
        return STATUS_SUCCESS;
    }
    let until = deadline(timeout);
    let old = if irql::current() < irql::DISPATCH { irql::raise(irql::DISPATCH) } else { irql::current() };
    let were_on = sync::enter();
    {
        let mut sched = SCHED.lock();
        let who = sched.current();
        let satisfied = satisfy(who, objects, all);
        if satisfied.is_some() || poll || old >= irql::DISPATCH {
            drop(sched);
            sync::leave(were_on);
            irql::lower(old);
            note_mutexes(objects, all, satisfied);
            return satisfied.unwrap_or(STATUS_TIMEOUT);
        }
        let mut list = [0; MAX_OBJECTS];
        list[..objects.len()].copy_from_slice(objects);
        mark_blocked(&mut sched, Wait::Objects { objects: list, count: objects.len(), all, until });
    }
    let status = block(were_on, old);
    note_mutexes(objects, all, Some(status));
    status
}

/// The mutexes that a wait gave to the thread, for the order of locks.
fn note_mutexes(objects: &[usize], all: bool, status: Option<i32>) {
    let taken = |at: usize| all && status == Some(STATUS_SUCCESS) || status == i32::try_from(at).ok();
    for (at, object) in objects.iter().enumerate() {
        // SAFETY: checked by `check`, and the thread owns it if it is a mutex that it has taken.
        if taken(at) && unsafe { (*(*object as *const DispatcherHeader)).kind } == MUTANT {
            lock_order::mutex_acquired(*object);
        }
    }
}
