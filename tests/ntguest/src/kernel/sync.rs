//! The one lock of ntguest itself: with one processor, interrupts off is exclusion.

use core::cell::UnsafeCell;
use core::ops::{Deref, DerefMut};

use super::cpu;

/// Data that interrupt handlers and threads share. Held with interrupts off: sections must be short,
/// must not call the driver and must not block.
pub struct IrqLock<T> {
    held: UnsafeCell<bool>,
    value: UnsafeCell<T>,
}

// SAFETY: there is one processor, and `lock` turns interrupts off for the life of the guard, so no two
// references to the value exist at a time.
unsafe impl<T> Sync for IrqLock<T> {}

impl<T> IrqLock<T> {
    /// Wraps a value.
    pub const fn new(value: T) -> Self {
        Self { held: UnsafeCell::new(false), value: UnsafeCell::new(value) }
    }

    /// Turns interrupts off and hands out the value. Panics when it is already held: that would be a
    /// mistake of ntguest itself.
    pub fn lock(&self) -> IrqGuard<'_, T> {
        let were_on = cpu::interrupts_off();
        // SAFETY: interrupts are off and there is one processor: nobody else touches the flag.
        let held = unsafe { &mut *self.held.get() };
        assert!(!*held, "ntguest: a lock of its own is taken twice");
        *held = true;
        IrqGuard { lock: self, were_on }
    }

    /// The value without the lock, for fault reports that must not wait for anybody.
    ///
    /// # Safety
    /// Only when the run is about to end and nobody else will run again.
    pub unsafe fn peek(&self) -> &T {
        // SAFETY: by the contract above.
        unsafe { &*self.value.get() }
    }
}

/// Access to the value of an [`IrqLock`]; gives the interrupt flag back when dropped.
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
        cpu::interrupts_restore(self.were_on);
    }
}
