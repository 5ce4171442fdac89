//! A value behind a kernel spin lock.
//!
//! Code and data touched while it is held must be non-paged: the holder is at DISPATCH_LEVEL. Taking it twice
//! on one processor never ends, as with any spin lock. An interrupt service routine must not take it (it is
//! above DISPATCH_LEVEL); share with atomics there.
use crate::sys::{self, KIRQL, KSPIN_LOCK};
use core::cell::UnsafeCell;
use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};

/// A value that is reached only with its spin lock held.
pub struct SpinLock<T> {
    lock: UnsafeCell<KSPIN_LOCK>,
    value: UnsafeCell<T>,
}

// SAFETY: the lock hands the value to one holder at a time; moving it between threads is all that happens.
unsafe impl<T: Send> Sync for SpinLock<T> {}
// SAFETY: owning the lock is owning the value.
unsafe impl<T: Send> Send for SpinLock<T> {}

impl<T> SpinLock<T> {
    /// Free, around `value`.
    pub const fn new(value: T) -> Self {
        // KeInitializeSpinLock, inline on x64, writes 0.
        Self { lock: UnsafeCell::new(0), value: UnsafeCell::new(value) }
    }

    /// Takes the lock from any level up to DISPATCH_LEVEL; the guard's end goes back to that level. Guards
    /// must end in the reverse order they were taken.
    pub fn lock(&self) -> SpinGuard<'_, T> {
        // SAFETY: the lock word is initialised and lives as long as `self`.
        let irql = unsafe { sys::KeAcquireSpinLockRaiseToDpc(self.lock.get()) };
        SpinGuard { lock: self, restore: Some(irql), not_send: PhantomData }
    }

    /// Takes the lock when the caller is at DISPATCH_LEVEL already (in a DPC): cheaper, the level stays.
    pub fn lock_at_dispatch(&self) -> SpinGuard<'_, T> {
        debug_assert!(crate::irql::current() == sys::DISPATCH_LEVEL, "lock_at_dispatch below DISPATCH_LEVEL");
        // SAFETY: the lock word is initialised and lives as long as `self`.
        unsafe { sys::KeAcquireSpinLockAtDpcLevel(self.lock.get()) };
        SpinGuard { lock: self, restore: None, not_send: PhantomData }
    }

    /// The value without the lock: nobody else can hold it.
    pub fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }
}

/// The lock held. Its end gives it back.
pub struct SpinGuard<'a, T> {
    lock: &'a SpinLock<T>,
    restore: Option<KIRQL>,
    // The level is the processor's: a guard stays on its thread.
    not_send: PhantomData<*const ()>,
}

impl<T> Deref for SpinGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: the lock is held, so no other reference to the value exists.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T> DerefMut for SpinGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the lock is held, and the guard is borrowed exclusively.
        unsafe { &mut *self.lock.value.get() }
    }
}

impl<T> Drop for SpinGuard<'_, T> {
    fn drop(&mut self) {
        let lock = self.lock.lock.get();
        // SAFETY: this guard holds the lock, and took it in the way it gives it back.
        unsafe {
            match self.restore {
                Some(irql) => sys::KeReleaseSpinLock(lock, irql),
                None => sys::KeReleaseSpinLockFromDpcLevel(lock),
            }
        }
    }
}

#[cfg(test)]
#[cfg(not(windows))]
mod tests {
    use super::*;
    use crate::{host, irql};

    #[test]
    fn raises_and_restores_the_level() {
        let lock = SpinLock::new(1);
        assert_eq!(irql::current(), sys::PASSIVE_LEVEL);
        {
            let mut guard = lock.lock();
            assert_eq!(irql::current(), sys::DISPATCH_LEVEL);
            *guard += 1;
        }
        assert_eq!(irql::current(), sys::PASSIVE_LEVEL);
        host::at_irql(sys::DISPATCH_LEVEL, || {
            *lock.lock_at_dispatch() += 1;
            assert_eq!(irql::current(), sys::DISPATCH_LEVEL);
            *lock.lock() += 1;
            assert_eq!(irql::current(), sys::DISPATCH_LEVEL, "nested guards restore what was, not passive");
        });
        assert_eq!(*lock.lock(), 4);
    }

    #[test]
    fn keeps_threads_apart() {
        let lock = SpinLock::new(0_u32);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..1000 {
                        let mut guard = lock.lock();
                        let seen = *guard;
                        std::thread::yield_now();
                        *guard = seen + 1;
                    }
                });
            }
        });
        assert_eq!(*lock.lock(), 4000, "increments were lost");
    }
}
