//! A connected interrupt: messages if the device has them, a line if not.
use crate::pool::try_box;
use crate::status::{NtResult, STATUS_UNSUCCESSFUL, check};
use crate::sys::{
    self, BOOLEAN, CONNECT_MESSAGE_BASED, DEVICE_OBJECT, IO_CONNECT_INTERRUPT_PARAMETERS,
    IO_INTERRUPT_MESSAGE_INFO, PKINTERRUPT, PVOID,
};
use alloc::boxed::Box;

/// What happens on an interrupt. Runs at the IRQL of the line or of the message: note what happened in
/// atomics, queue a DPC, return. No events, no spin locks, no allocation, no paged code.
///
/// **Re-entrant.** It is connected with `SpinLock` NULL and `SynchronizeIrql` 0, so that each message has a
/// lock and an IRQL of its own (IO_CONNECT_INTERRUPT_PARAMETERS' page): two messages run on two processors at
/// once, or the one with the higher IRQL inside the other on the same processor. Only the same message never
/// meets itself. Hence `&self` and `Sync`.
pub trait ServiceRoutine: Send + Sync + 'static {
    /// `message` is `None` for a line. Answers whether the interrupt was the device's; always `true` for a
    /// message. With fewer messages granted than asked for, one message stands for several causes: look at
    /// the device, not at the number alone.
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

/// What IoConnectInterruptEx connected, disconnected when dropped.
struct Connection {
    /// CONNECT_MESSAGE_BASED or CONNECT_LINE_BASED: what was *granted*, not what was asked for. Disconnecting
    /// takes that.
    version: u32,
    /// The table of messages, or the line's interrupt object; NULL if nothing was connected.
    context: PVOID,
}

impl Connection {
    /// Connects what `parameters` ask for.
    ///
    /// # Safety
    /// They are as IoConnectInterruptEx's page says for their version, and put the context into `context`;
    /// the routines and what they are handed live as long as the result.
    unsafe fn make(
        parameters: &mut IO_CONNECT_INTERRUPT_PARAMETERS,
        context: *const PVOID,
    ) -> NtResult<Self> {
        // SAFETY: by contract.
        check(unsafe { sys::IoConnectInterruptEx(parameters) })?;
        // SAFETY: by contract; written by the call, so it is read only now.
        Ok(Self { version: parameters.Version, context: unsafe { context.read() } })
    }

    /// How many messages were granted: 0 if the table is missing, or of a line.
    fn messages(&self) -> u32 {
        let table = if self.version == CONNECT_MESSAGE_BASED { self.context } else { core::ptr::null_mut() };
        // SAFETY: with this version the context is the table of messages, alive until the disconnection; or
        // NULL.
        unsafe { table.cast::<IO_INTERRUPT_MESSAGE_INFO>().as_ref() }.map_or(0, |table| table.MessageCount)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if self.context.is_null() {
            return;
        }
        let mut parameters = sys::disconnect_parameters(self.version, self.context);
        // SAFETY: connected by `make` with that version and context, disconnected once.
        unsafe { sys::IoDisconnectInterruptEx(&raw mut parameters) };
    }
}

/// A connected interrupt. Dropping it disconnects (PASSIVE_LEVEL); mask the device's interrupts before, flush
/// DPCs after.
pub struct Interrupt<R: ServiceRoutine> {
    // In this order: the routine is freed when it is disconnected and no processor runs it any more.
    connection: Connection,
    routine: Box<R>,
}

// SAFETY: the context is a handle for IoDisconnectInterruptEx only, which any thread may call; the routine is
// Send + Sync.
unsafe impl<R: ServiceRoutine> Send for Interrupt<R> {}
// SAFETY: as above.
unsafe impl<R: ServiceRoutine> Sync for Interrupt<R> {}

impl<R: ServiceRoutine> Interrupt<R> {
    /// Connects all interrupts of the device to `routine`, which may be called before this returns.
    /// PASSIVE_LEVEL.
    ///
    /// Messages first; the line if there are none. Success with no table of messages, or with a table of 0 (a
    /// system was seen to answer so), would never interrupt: that is taken back, and the line is asked for by
    /// itself.
    ///
    /// # Errors
    /// What the system says; `STATUS_UNSUCCESSFUL` if it says success and has connected nothing.
    ///
    /// # Safety
    /// `pdo` is the physical device object of this driver's device, in its started state.
    pub unsafe fn connect(pdo: *mut DEVICE_OBJECT, routine: R) -> NtResult<Self> {
        let routine = try_box(routine)?;
        // SAFETY: by contract; the routine is in a box that does not move, and goes after the connection.
        let mut connection = unsafe { connect_messages::<R>(pdo, &routine)? };
        if connection.version == CONNECT_MESSAGE_BASED && connection.messages() == 0 {
            log::warn!("the system connected messages and there are none: the line instead");
            drop(connection);
            // SAFETY: as above.
            connection = unsafe { connect_line::<R>(pdo, &routine)? };
        }
        if connection.context.is_null() {
            return Err(STATUS_UNSUCCESSFUL);
        }
        Ok(Self { connection, routine })
    }

    /// What the system granted.
    pub fn granted(&self) -> Granted {
        match self.connection.messages() {
            0 => Granted::Line,
            messages => Granted::Messages(messages),
        }
    }

    /// The version that was granted (`CONNECT_...`) and the context it gave, for a caller that registers the
    /// connection elsewhere.
    pub fn context(&self) -> (u32, PVOID) {
        (self.connection.version, self.connection.context)
    }

    /// The routine.
    pub fn routine(&self) -> &R {
        &self.routine
    }
}

/// Asks for all messages, with the line as the kernel's fallback. Of either the system knows vector, IRQL and
/// processors, and in which group these are; only CONNECT_FULLY_SPECIFIED wants it said, and
/// on a machine with more than one group by CONNECT_FULLY_SPECIFIED_GROUP (IO_CONNECT_INTERRUPT_PARAMETERS'
/// page). Nothing here carries an affinity.
///
/// # Safety
/// As [`Interrupt::connect`]; `routine` stays where it is as long as the result lives.
unsafe fn connect_messages<R: ServiceRoutine>(pdo: *mut DEVICE_OBJECT, routine: &R) -> NtResult<Connection> {
    let mut context: PVOID = core::ptr::null_mut();
    let mut parameters = sys::message_based_parameters(
        pdo,
        &raw mut context,
        (Some(on_message::<R>), Some(on_line::<R>)),
        core::ptr::from_ref(routine).cast_mut().cast(),
    );
    // SAFETY: as documented for this version; the rest by contract.
    unsafe { Connection::make(&mut parameters, &raw const context) }
}

/// Asks for the line.
///
/// # Safety
/// As [`connect_messages`].
unsafe fn connect_line<R: ServiceRoutine>(pdo: *mut DEVICE_OBJECT, routine: &R) -> NtResult<Connection> {
    let mut context: PVOID = core::ptr::null_mut();
    let mut parameters = sys::line_based_parameters(
        pdo,
        &raw mut context,
        Some(on_line::<R>),
        core::ptr::from_ref(routine).cast_mut().cast(),
    );
    // SAFETY: as documented for this version; the rest by contract.
    unsafe { Connection::make(&mut parameters, &raw const context) }
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
    use crate::host::{self, Grant};
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
        // No messages for the device; and success that has none to show.
        for granted in [Grant::Messages(0), Grant::NoTable, Grant::EmptyTable] {
            host::grant(granted);
            // SAFETY: the fakes do not look at the device object.
            let interrupt =
                unsafe { Interrupt::connect(core::ptr::null_mut(), Count(AtomicU32::new(0))) }.unwrap();
            assert_eq!(interrupt.granted(), Granted::Line, "{granted:?}");
            assert_eq!(interrupt.context().0, sys::CONNECT_LINE_BASED);
            assert_eq!(host::interrupt(0), Some(false), "the routine's answer is handed on");
            assert_eq!(interrupt.routine().0.load(Ordering::Relaxed), 100);
            drop(interrupt);
            assert_eq!(host::interrupt(0), None, "{granted:?}: still connected");
        }
    }

    #[test]
    fn success_that_connected_nothing_is_an_error() {
        host::grant(Grant::Nothing);
        // SAFETY: as above.
        let refused = unsafe { Interrupt::connect(core::ptr::null_mut(), Count(AtomicU32::new(0))) }.err();
        assert_eq!(refused, Some(STATUS_UNSUCCESSFUL));
    }

    /// Message 1 comes while the routine is at message 0, as from another processor or with a higher IRQL.
    struct Nested(AtomicU32);
    impl ServiceRoutine for Nested {
        fn service(&self, message: Option<u32>) -> bool {
            if message == Some(0) {
                assert_eq!(host::interrupt(1), Some(true));
            }
            self.0.fetch_add(1, Ordering::Relaxed);
            true
        }
    }

    #[test]
    fn messages_come_inside_each_other() {
        host::grant_messages(2);
        // SAFETY: as above.
        let interrupt =
            unsafe { Interrupt::connect(core::ptr::null_mut(), Nested(AtomicU32::new(0))) }.unwrap();
        assert_eq!(host::interrupt(0), Some(true));
        assert_eq!(interrupt.routine().0.load(Ordering::Relaxed), 2);
    }
}
