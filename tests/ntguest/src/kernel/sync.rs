//! The one lock of ntguest itself: interrupts off on this processor, and one lock that all processors share.
//!
//! There is one lock for all data, so that no order of locks needs to be kept; a processor that has it may
//! take it again. Code of the driver never runs under it.

use core::cell::UnsafeCell;
use core::ops::{Deref, DerefMut};
use core::sync::atomic::{AtomicUsize, Ordering};

use super::{cpu, processor};

/// The processor that has the lock, plus one; 0 = nobody.
static OWNER: AtomicUsize = AtomicUsize::new(0);
/// How often its owner has taken it.
static DEPTH: AtomicUsize = AtomicUsize::new(0);

/// Takes the lock and turns interrupts off; says whether they were on. For every call one of [`leave`].
pub fn enter() -> bool {
    let were_on = cpu::interrupts_off();
    let me = processor::current() + 1;
    if OWNER.load(Ordering::Relaxed) != me {
        while OWNER.compare_exchange_weak(0, me, Ordering::Acquire, Ordering::Relaxed).is_err() {
            core::hint::spin_loop();
        }
    }
    DEPTH.store(DEPTH.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    were_on
}

/// Gives the lock back, and the interrupt flag that [`enter`] found.
pub fn leave(were_on: bool) {
    let depth = DEPTH.load(Ordering::Relaxed) - 1;
    DEPTH.store(depth, Ordering::Relaxed);
    if depth == 0 {
        OWNER.store(0, Ordering::Release);
    }
    cpu::interrupts_restore(were_on);
}

/// Runs `f` under the lock.
pub fn exclusive<R>(f: impl FnOnce() -> R) -> R {
    let were_on = enter();
    let result = f();
    leave(were_on);
    result
}

/// Gives the lock back however often this processor has taken it: a self-test has left code that had it for
/// good.
pub fn abandon() {
    let were_on = cpu::interrupts_off();
    if OWNER.load(Ordering::Relaxed) == processor::current() + 1 {
        DEPTH.store(0, Ordering::Relaxed);
        OWNER.store(0, Ordering::Release);
    }
    cpu::interrupts_restore(were_on);
}

/// Whether this processor has the lock.
pub fn is_mine() -> bool {
    let were_on = cpu::interrupts_off();
    let mine = OWNER.load(Ordering::Relaxed) == processor::current() + 1;
    cpu::interrupts_restore(were_on);
    mine
}

/// Whether it is taken once, by the caller, so that a switch to another thread hands it over whole: taken
/// more often it would be left by nobody, and every other processor would wait for ever.
pub fn is_taken_once() -> bool {
    is_mine() && DEPTH.load(Ordering::Relaxed) == 1
}

/// Data that interrupt handlers, threads and processors share. Held with interrupts off: sections must be
/// short, must not call the driver and must not block.
pub struct IrqLock<T> {
    held: UnsafeCell<bool>,
    value: UnsafeCell<T>,
}

// SAFETY: `lock` has the one lock for the life of the guard, and refuses a second guard of the same value, so
// no two references to the value exist at a time.
unsafe impl<T> Sync for IrqLock<T> {}

impl<T> IrqLock<T> {
    /// Wraps a value.
    pub const fn new(value: T) -> Self {
        Self { held: UnsafeCell::new(false), value: UnsafeCell::new(value) }
    }

    /// Takes the lock and hands out the value. Panics when this value is already handed out: that would be a
    /// mistake of ntguest itself.
    pub fn lock(&self) -> IrqGuard<'_, T> {
        let were_on = enter();
        // SAFETY: under the one lock: nobody else touches the flag.
        let held = unsafe { &mut *self.held.get() };
        assert!(!*held, "ntguest: a lock of its own is taken twice");
        *held = true;
        IrqGuard { lock: self, were_on }
    }

    /// The value without the lock, for fault reports that must not wait for anybody.
    ///
    /// # Safety
    /// Nobody else runs as long as the reference lives: the run is about to end, or this is the only
    /// processor and its interrupts are off.
    pub unsafe fn peek(&self) -> &T {
        // SAFETY: by the contract above.
        unsafe { &*self.value.get() }
    }
}

/// Access to the value of an [`IrqLock`]; gives the lock and the interrupt flag back when dropped.
pub struct IrqGuard<'a, T> {
    lock: &'a IrqLock<T>,
    were_on: bool,
}

impl<T> Deref for IrqGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: the guard is the only access, see `IrqLock`.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T> DerefMut for IrqGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the guard is the only access, see `IrqLock`.
        unsafe { &mut *self.lock.value.get() }
    }
}

impl<T> Drop for IrqGuard<'_, T> {
    fn drop(&mut self) {
        // SAFETY: still exclusive, see `lock`.
        unsafe { *self.lock.held.get() = false };
        leave(self.were_on);
    }
}
