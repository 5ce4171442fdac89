//! A connected interrupt: messages if the device has them, a line if not.
use crate::pool::try_box;
use crate::status::{NtResult, check};
use crate::sys::{
    self, BOOLEAN, CONNECT_LINE_BASED, CONNECT_MESSAGE_BASED, DEVICE_OBJECT,
    IO_CONNECT_INTERRUPT_MESSAGE_BASED_PARAMETERS, IO_CONNECT_INTERRUPT_PARAMETERS,
    IO_CONNECT_INTERRUPT_PARAMETERS_UNION, IO_DISCONNECT_INTERRUPT_PARAMETERS, IO_INTERRUPT_MESSAGE_INFO,
    PKINTERRUPT, PVOID,
};
use alloc::boxed::Box;

/// What happens on an interrupt. Runs at the device's IRQL with the interrupt's lock held: note what happened in atomics, queue a
/// DPC, return. No events, no spin locks, no allocation, no paged code.
pub trait ServiceRoutine: Send + Sync + 'static {
    /// `message` is `None` for a line. Answers whether the interrupt was the device's; always `true` for a message. With fewer
    /// messages granted than asked for, one message stands for several causes: look at the device, not at the number alone.
    fn service(&self, message: Option<u32>) -> bool;
}

/// What the system granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Granted {
    /// That many messages (at least one).
    Messages(u32),
    /// A line, perhaps shared.
    Line,
}

/// A connected interrupt. Dropping it disconnects (PASSIVE_LEVEL); mask the device's interrupts before, flush DPCs after.
pub struct Interrupt<R: ServiceRoutine> {
    routine: Box<R>,
    context: PVOID,
    granted: Granted,
}

// SAFETY: the context is a handle for IoDisconnectInterruptEx only, which any thread may call; the routine is Send + Sync.
unsafe impl<R: ServiceRoutine> Send for Interrupt<R> {}
// SAFETY: as above.
unsafe impl<R: ServiceRoutine> Sync for Interrupt<R> {}

impl<R: ServiceRoutine> Interrupt<R> {
    /// Connects all interrupts of the device to `routine`, which may be called before this returns. PASSIVE_LEVEL.
    ///
    /// # Safety
    /// `pdo` is the physical device object of this driver's device, in its started state.
    pub unsafe fn connect(pdo: *mut DEVICE_OBJECT, routine: R) -> NtResult<Self> {
        let routine = try_box(routine)?;
        let address: *const R = &raw const *routine;
        let mut context: PVOID = core::ptr::null_mut();
        let mut parameters = IO_CONNECT_INTERRUPT_PARAMETERS {
            Version: CONNECT_MESSAGE_BASED,
            u: IO_CONNECT_INTERRUPT_PARAMETERS_UNION {
                MessageBased: IO_CONNECT_INTERRUPT_MESSAGE_BASED_PARAMETERS {
                    PhysicalDeviceObject: pdo,
                    ConnectionContext: &raw mut context,
                    MessageServiceRoutine: Some(on_message::<R>),
                    ServiceContext: address.cast_mut().cast(),
                    SpinLock: core::ptr::null_mut(),
                    SynchronizeIrql: 0,
                    FloatingSave: BOOLEAN::from(false),
                    FallBackServiceRoutine: Some(on_line::<R>),
                },
            },
        };
        // SAFETY: the parameters are as documented for CONNECT_MESSAGE_BASED; the routine lives until the disconnection in
        // `drop`, in a box that does not move; `pdo` by contract.
        check(unsafe { sys::IoConnectInterruptEx(&raw mut parameters) })?;
        let granted = if parameters.Version == CONNECT_MESSAGE_BASED {
            // SAFETY: with this version the context is the table of messages, alive until the disconnection.
            Granted::Messages(unsafe { (*context.cast::<IO_INTERRUPT_MESSAGE_INFO>()).MessageCount })
        } else {
            Granted::Line
        };
        Ok(Self { routine, context, granted })
    }

    /// What the system granted.
    pub fn granted(&self) -> Granted {
        self.granted
    }

    /// The routine.
    pub fn routine(&self) -> &R {
        &self.routine
    }
}

impl<R: ServiceRoutine> Drop for Interrupt<R> {
    fn drop(&mut self) {
        // Disconnecting takes the version that was *granted*, not the one asked for (windows-driver-docs-ddi).
        let version = match self.granted {
            Granted::Messages(_) => CONNECT_MESSAGE_BASED,
            Granted::Line => CONNECT_LINE_BASED,
        };
        let mut parameters =
            IO_DISCONNECT_INTERRUPT_PARAMETERS { Version: version, ConnectionContext: self.context };
        // SAFETY: connected by `connect` with that version and context, disconnected once. The routine is freed only after
        // this, when no processor runs it any more.
        unsafe { sys::IoDisconnectInterruptEx(&raw mut parameters) };
    }
}

unsafe extern "C" fn on_message<R: ServiceRoutine>(
    _interrupt: PKINTERRUPT,
    context: PVOID,
    message: u32,
) -> BOOLEAN {
    // SAFETY: the context is the boxed routine, which outlives the connection.
    BOOLEAN::from(unsafe { &*context.cast::<R>() }.service(Some(message)))
}

unsafe extern "C" fn on_line<R: ServiceRoutine>(_interrupt: PKINTERRUPT, context: PVOID) -> BOOLEAN {
    // SAFETY: the context is the boxed routine, which outlives the connection.
    BOOLEAN::from(unsafe { &*context.cast::<R>() }.service(None))
}

#[cfg(test)]
#[cfg(not(windows))]
mod tests {
    use super::*;
    use crate::host;
    use core::sync::atomic::{AtomicU32, Ordering};

    struct Count(AtomicU32);
    impl ServiceRoutine for Count {
        fn service(&self, message: Option<u32>) -> bool {
            self.0.fetch_add(message.map_or(100, |message| message + 1), Ordering::Relaxed);
            message.is_some()
        }
    }

    #[test]
    fn messages_are_numbered_and_end_with_the_connection() {
        host::grant_messages(2);
        // SAFETY: the fakes do not look at the device object.
        let interrupt =
            unsafe { Interrupt::connect(core::ptr::null_mut(), Count(AtomicU32::new(0))) }.unwrap();
        assert_eq!(interrupt.granted(), Granted::Messages(2));
        assert_eq!(host::interrupt(1), Some(true));
        assert_eq!(interrupt.routine().0.load(Ordering::Relaxed), 2);
        drop(interrupt);
        assert_eq!(host::interrupt(1), None, "still connected");
    }

    #[test]
    fn a_line_is_the_fallback() {
        host::grant_messages(0);
        // SAFETY: the fakes do not look at the device object.
        let interrupt =
            unsafe { Interrupt::connect(core::ptr::null_mut(), Count(AtomicU32::new(0))) }.unwrap();
        assert_eq!(interrupt.granted(), Granted::Line);
        assert_eq!(host::interrupt(0), Some(false), "the routine's answer is handed on");
        assert_eq!(interrupt.routine().0.load(Ordering::Relaxed), 100);
        drop(interrupt);
        assert_eq!(host::interrupt(0), None);
    }
}
