//! A value behind a kernel mutex: for what takes long, or must not happen at DISPATCH_LEVEL.
//!
//! A mutex object and not a fast mutex: its holder stays at PASSIVE_LEVEL (a fast mutex raises to APC_LEVEL),
//! it is prepared by a routine of the kernel (ExInitializeFastMutex is inline, over a structure that is the
//! kernel's business), and its holder can't be suspended, for normal kernel APCs are off meanwhile. It is
//! slower, by less than what a register of our card takes.
use crate::irql;
use crate::pool::try_box;
use crate::status::NtResult;
use crate::sys::{self, BOOLEAN, KMUTEX};
use alloc::boxed::Box;
use core::cell::UnsafeCell;
use core::marker::PhantomData;
use core::mem::MaybeUninit;
use core::ops::{Deref, DerefMut};
use core::ptr::null_mut;

/// A value that is reached only with its mutex held. Its holder may take spin locks; a holder of a spin
/// lock may not take it.
pub struct Mutex<T> {
    /// In non-paged memory, where it does not move: threads wait in its list.
    mutex: Box<UnsafeCell<MaybeUninit<KMUTEX>>>,
    value: UnsafeCell<T>,
}

// SAFETY: the mutex hands the value to one holder at a time; moving it between threads is all that happens.
unsafe impl<T: Send> Sync for Mutex<T> {}
// SAFETY: owning the mutex is owning the value.
unsafe impl<T: Send> Send for Mutex<T> {}

impl<T> Mutex<T> {
    /// Free, around `value`.
    ///
    /// # Errors
    /// `STATUS_INSUFFICIENT_RESOURCES`; the value is dropped then.
    pub fn try_new(value: T) -> NtResult<Self> {
        let mutex =
            Self { mutex: try_box(UnsafeCell::new(MaybeUninit::uninit()))?, value: UnsafeCell::new(value) };
        // SAFETY: room for a KMUTEX that does not move; the level is reserved and 0.
        unsafe { sys::KeInitializeMutex(mutex.as_ptr(), 0) };
        Ok(mutex)
    }

    fn as_ptr(&self) -> *mut KMUTEX {
        self.mutex.get().cast()
    }

    /// Takes it, and waits for it if need be. PASSIVE_LEVEL. Not by a thread that has it already: that would
    /// give the value twice.
    pub fn lock(&self) -> MutexGuard<'_, T> {
        debug_assert!(irql::current() == sys::PASSIVE_LEVEL, "a mutex is taken above PASSIVE_LEVEL");
        // SAFETY: initialised by `try_new`. In kernel mode, not alertable and without a time limit the wait
        // ends when the mutex is ours.
        unsafe {
            let _ = sys::KeWaitForSingleObject(
                self.as_ptr().cast(),
                sys::_KWAIT_REASON::Executive,
                sys::KernelMode,
                BOOLEAN::from(false),
                null_mut(),
            );
        }
        MutexGuard { mutex: self, not_send: PhantomData }
    }
}

/// The mutex held. Its end gives it back.
pub struct MutexGuard<'a, T> {
    mutex: &'a Mutex<T>,
    // The mutex is the thread's.
    not_send: PhantomData<*const ()>,
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: the mutex is held, so no other reference to the value exists.
        unsafe { &*self.mutex.value.get() }
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the mutex is held, and the guard is borrowed exclusively.
        unsafe { &mut *self.mutex.value.get() }
    }
}

impl<T> Drop for MutexGuard<'_, T> {
    fn drop(&mut self) {
        // SAFETY: this thread holds it; no wait follows.
        unsafe { sys::KeReleaseMutex(self.mutex.as_ptr(), BOOLEAN::from(false)) };
    }
}

#[cfg(test)]
#[cfg(not(windows))]
mod tests {
    use super::*;
    use crate::host;

    #[test]
    fn the_level_stays_and_spin_locks_may_be_taken_inside() {
        let mutex = Mutex::try_new(1).unwrap();
        let inner = crate::spinlock::SpinLock::new(1);
        *mutex.lock() += 1;
        let mut held = mutex.lock();
        assert_eq!(irql::current(), sys::PASSIVE_LEVEL);
        *held += *inner.lock();
        drop(held);
        assert_eq!(*mutex.lock(), 3);
    }

    #[test]
    #[cfg_attr(debug_assertions, should_panic(expected = "above PASSIVE_LEVEL"))]
    fn is_not_taken_under_a_spin_lock() {
        let mutex = Mutex::try_new(()).unwrap();
        host::at_irql(sys::DISPATCH_LEVEL, || drop(mutex.lock()));
    }

    #[test]
    fn keeps_threads_apart() {
        let mutex = Mutex::try_new(0_u32).unwrap();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..100 {
                        let mut guard = mutex.lock();
                        let seen = *guard;
                        std::thread::yield_now();
                        *guard = seen + 1;
                    }
                });
            }
        });
        assert_eq!(*mutex.lock(), 400, "increments were lost");
    }
}
