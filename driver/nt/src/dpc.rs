//! Deferred procedure calls: what an interrupt service routine leaves for DISPATCH_LEVEL.
use crate::pool::try_box;
use crate::status::NtResult;
use crate::sys::{self, KDPC, PVOID};
use alloc::boxed::Box;
use core::cell::UnsafeCell;
use core::mem::MaybeUninit;

/// A DPC with the context its routine gets, both in non-paged memory that does not move.
///
/// Queueing it while it is queued does nothing: the routine must look at *everything* that may have happened,
/// not count its calls. Dropping it (PASSIVE_LEVEL) takes it out of the queue and waits until no processor
/// runs it; before that, make sure that nothing queues it any more (disconnect the interrupt first).
pub struct Dpc<C: Send + Sync + 'static> {
    inner: Box<Inner<C>>,
}

struct Inner<C> {
    dpc: UnsafeCell<MaybeUninit<KDPC>>,
    routine: fn(&C),
    context: C,
}

// SAFETY: the KDPC is touched by the kernel's routines only, which allow it from any processor; the context
// is Sync itself.
unsafe impl<C: Send + Sync> Sync for Inner<C> {}
// SAFETY: as above; nothing in it belongs to a thread.
unsafe impl<C: Send + Sync> Send for Inner<C> {}

impl<C: Send + Sync + 'static> Dpc<C> {
    /// Not queued. `routine` will run at DISPATCH_LEVEL, possibly on several processors at once.
    pub fn try_new(context: C, routine: fn(&C)) -> NtResult<Self> {
        let inner = try_box(Inner { dpc: UnsafeCell::new(MaybeUninit::uninit()), routine, context })?;
        let address: *const Inner<C> = &raw const *inner;
        // SAFETY: room for a KDPC that does not move, and a context that outlives it: `drop` flushes before
        // it frees.
        unsafe { sys::KeInitializeDpc(inner.dpc.get().cast(), Some(run::<C>), address.cast_mut().cast()) };
        Ok(Self { inner })
    }

    /// Queues it; `false` if it is queued already. From DISPATCH_LEVEL up to a device's level.
    pub fn queue(&self) -> bool {
        // SAFETY: initialised by `try_new`.
        unsafe {
            sys::KeInsertQueueDpc(self.inner.dpc.get().cast(), core::ptr::null_mut(), core::ptr::null_mut())
                != 0
        }
    }

    /// What the routine gets.
    pub fn context(&self) -> &C {
        &self.inner.context
    }

    /// Waits until every DPC queued so far has run, this one included. PASSIVE_LEVEL.
    pub fn flush(&self) {
        // SAFETY: no requirement but the level.
        unsafe { sys::KeFlushQueuedDpcs() };
    }
}

impl<C: Send + Sync + 'static> Drop for Dpc<C> {
    fn drop(&mut self) {
        // SAFETY: initialised by `try_new`. After the flush no processor is inside the routine, so the
        // context may go.
        unsafe {
            sys::KeRemoveQueueDpc(self.inner.dpc.get().cast());
            sys::KeFlushQueuedDpcs();
        }
    }
}

unsafe extern "C" fn run<C: Send + Sync>(
    _dpc: *mut KDPC,
    context: PVOID,
    _argument1: PVOID,
    _argument2: PVOID,
) {
    // SAFETY: the context is the `Inner` of a live Dpc: `drop` waits for this routine.
    let inner = unsafe { &*context.cast::<Inner<C>>() };
    (inner.routine)(&inner.context);
}

#[cfg(test)]
#[cfg(not(windows))]
mod tests {
    use super::*;
    use crate::{host, irql};
    use core::sync::atomic::{AtomicU32, Ordering};

    #[test]
    fn runs_once_per_queueing_at_dispatch_level() {
        static RUNS: AtomicU32 = AtomicU32::new(0);
        let dpc = Dpc::try_new(40, |context: &u32| {
            assert_eq!(irql::current(), sys::DISPATCH_LEVEL);
            RUNS.fetch_add(*context, Ordering::Relaxed);
        })
        .unwrap();
        assert!(dpc.queue());
        assert!(!dpc.queue(), "it is queued already");
        host::run_dpcs();
        assert_eq!(RUNS.load(Ordering::Relaxed), 40);
        dpc.queue();
        dpc.flush();
        assert_eq!(RUNS.load(Ordering::Relaxed), 80);
        dpc.queue();
        drop(dpc);
        host::run_dpcs();
        assert_eq!(RUNS.load(Ordering::Relaxed), 80, "a dropped DPC ran");
    }
}
