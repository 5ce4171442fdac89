//! A process ends with a pin open: what it left there, and what the port does about it.
//!
//! The threads of a process end first, then its handles are closed ("Terminating a Process"), in an order
//! that no page gives: a filter's handle, and the events that were enabled through it, goes before the pin's
//! or after it. Closing the last handle is IRP_MJ_CLEANUP in the process, where the port takes away what it
//! has mapped there, and IRP_MJ_CLOSE anywhere (their pages). Which methods of its stream PortCls calls then,
//! and in which order, no page says: each of [`ORDERS`] comes in turn (WAVERT.md 4.10). With `harsh=0` only
//! the first does.

use super::buffer;
use super::stream::{CyclicBuffer, PinStream, State};
use crate::kernel::event;
use crate::kernel::{self, cfg, harsh};
use crate::portcls::events::Subscription;
use crate::portcls::power;
use alloc::vec::Vec;
use core::ffi::c_void;
use core::sync::atomic::{AtomicUsize, Ordering};

/// What a close finds.
#[derive(Default)]
pub struct Left {
    /// The cyclic buffer, and whether it has notifications.
    pub buffer: Option<(CyclicBuffer, bool)>,
    /// Notification events that are registered.
    events: Vec<usize>,
    /// Events that were enabled through the filter.
    subscriptions: Vec<Subscription>,
    /// No thread is left that would call.
    process_has_ended: bool,
}

impl Left {
    /// The buffer is freed.
    pub fn forget(&mut self, buffer: &CyclicBuffer) {
        self.buffer = self.buffer.filter(|(held, _)| held.mdl != buffer.mdl);
    }

    /// The port keeps a reference to the event until it is unregistered.
    pub fn registered(&mut self, event: *mut c_void) {
        let event = event.expose_provenance();
        event::hold(event);
        self.events.push(event);
    }

    /// The event is the client's alone again.
    pub fn unregistered(&mut self, event: *mut c_void) {
        if let Some(at) = self.events.iter().position(|registered| *registered == event.addr()) {
            event::let_go(self.events.swap_remove(at));
        }
    }
}

impl PinStream {
    /// The process ends: from now on nobody calls but the port, when the pin is closed. `subscriptions` are
    /// those of its filter handles.
    pub fn end_process(&self, subscriptions: Vec<Subscription>) {
        let mut left = self.left.lock();
        left.process_has_ended = true;
        left.subscriptions = subscriptions;
    }

    /// Whether the client that would have cleaned up is gone.
    pub fn has_lost_its_process(&self) -> bool {
        self.left.lock().process_has_ended
    }
}

/// A call that the port may make before the last Release of a stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Call {
    /// SetState, state by state, down to STOP.
    StepDown,
    /// SetState(STOP), from whatever state.
    Stop,
    /// UnregisterNotificationEvent of each event.
    Unregister,
    /// FreeBufferWithNotification or FreeAudioBuffer.
    Free,
}

/// What the port may do. The samples' streams free no buffer in their destructors, so that a port that never
/// calls Free would lose it; a miniport that does takes no harm.
const ORDERS: [&[Call]; 6] = [
    &[Call::StepDown, Call::Unregister, Call::Free],
    &[Call::Stop, Call::Free],
    &[Call::Free, Call::Stop],
    &[Call::Unregister, Call::Free],
    &[Call::Free],
    &[],
];

/// Pins that were closed so.
static CLOSED: AtomicUsize = AtomicUsize::new(0);

/// What goes after the last Release.
#[derive(Default)]
pub struct AfterRelease {
    buffer: Option<CyclicBuffer>,
    left: Left,
}

/// What the port does before it releases the stream of a process that has ended. Nothing, where a client has
/// closed its pin itself.
pub fn before_release(stream: &PinStream) -> AfterRelease {
    let (buffer, subscriptions) = {
        let mut left = stream.left.lock();
        if !left.process_has_ended {
            return AfterRelease { buffer: None, left: core::mem::take(&mut left) };
        }
        (left.buffer, core::mem::take(&mut left.subscriptions))
    };
    let closed = CLOSED.fetch_add(1, Ordering::Relaxed);
    // A boot may see few of them: each list of cells begins with another order.
    let first = cfg::get("life").unwrap_or_default().bytes().map(usize::from).sum::<usize>();
    let order = ORDERS[if harsh::on() { (first + closed) % ORDERS.len() } else { 0 }];
    let (before, after) =
        if closed.is_multiple_of(2) { (subscriptions, Vec::new()) } else { (Vec::new(), subscriptions) };
    crate::kprintln!(
        "the process of a pin has ended: {order:?}, {} event(s) of its filter before and {} after",
        before.len(),
        after.len()
    );
    crate::kresult!("processes_ended={}", closed + 1);
    drop(before);
    for call in order {
        make(*call, stream);
    }
    let mut left = core::mem::take(&mut *stream.left.lock());
    left.subscriptions = after;
    AfterRelease { buffer: buffer.map(|(buffer, _)| buffer), left }
}

fn make(call: Call, stream: &PinStream) {
    match call {
        Call::StepDown => {
            let now = power::state_of(stream.this());
            for state in
                [State::Pause, State::Acquire, State::Stop].into_iter().filter(|to| (*to as u32) < now)
            {
                set_state(stream, state);
            }
        }
        Call::Stop => set_state(stream, State::Stop),
        Call::Unregister => {
            let events = stream.left.lock().events.clone();
            for event in events {
                let status = stream.unregister_at(core::ptr::with_exposed_provenance_mut(event));
                if !status.is_success() {
                    kernel::violation(
                        "call-failed",
                        format_args!("the port's UnregisterNotificationEvent: {status}"),
                    );
                }
            }
        }
        Call::Free => {
            let buffer = stream.left.lock().buffer;
            if let Some((buffer, notifies)) = buffer {
                if notifies {
                    stream.free_notifying(&buffer);
                } else {
                    stream.free_silent(&buffer);
                }
                buffer::expect_freed(&buffer, "the port's Free");
            }
        }
    }
}

fn set_state(stream: &PinStream, state: State) {
    let status = stream.change_state(state as u32);
    if !status.is_success() {
        kernel::violation("set-state", format_args!("the port's SetState({state:?}) at close: {status}"));
    }
}

impl AfterRelease {
    /// The stream is gone, and its pages; the port gives back the events, and what else the process had goes.
    pub fn released(self) {
        if let Some(buffer) = self.buffer {
            buffer::expect_freed(&buffer, "the last Release");
        }
        let Left { events, subscriptions, .. } = self.left;
        events.into_iter().for_each(event::let_go);
        drop(subscriptions);
    }
}
