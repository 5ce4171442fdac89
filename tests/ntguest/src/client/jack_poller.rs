//! The jack's description, asked in a loop while a stream is open: Windows' engine was seen to do that. At
//! any time the answer is there and the same (rule `jack`); how long the longest took is printed.

use super::controls::jack_property;
use super::play::Label;
use super::property_protocol::{self, instance};
use crate::kernel::thread::{self, DRIVER_STACK, ThreadId};
use crate::kernel::{self, time};
use crate::portcls::controls_layout::property;
use crate::portcls::endpoint::Endpoint;
use crate::portcls::fault::{self, Fault};
use crate::portcls::idle;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ffi::c_void;
use core::sync::atomic::{AtomicBool, Ordering};

/// Between two questions, 100-ns units.
const INTERVAL: i64 = 100_000;
/// Bytes of a `KSMULTIPLE_ITEM` and a `KSJACK_DESCRIPTION`.
const BYTES: usize = 36;

struct Shared {
    endpoint: Endpoint,
    stop: AtomicBool,
    reads: u32,
    longest: u64,
    first: Option<Vec<u8>>,
}

/// A running poller.
pub struct JackPoller {
    shared: *mut Shared,
    thread: ThreadId,
}

impl JackPoller {
    /// Begins to ask, if the jack has a description. Not where the device is to fall asleep by its inactivity
    /// timer: each question is a use.
    pub fn start(endpoint: &Endpoint) -> Option<Self> {
        if idle::limit_s() > 0 {
            return None;
        }
        let number = instance(endpoint.jack().1);
        jack_property(endpoint, property::JACK_DESCRIPTION, &number).item()?;
        let shared = Box::into_raw(Box::new(Shared {
            endpoint: endpoint.clone(),
            stop: AtomicBool::new(false),
            reads: 0,
            longest: 0,
            first: None,
        }));
        Some(Self { shared, thread: thread::spawn("jack poller", poll, shared.cast(), DRIVER_STACK) })
    }

    /// Ends the thread and says how often it asked.
    pub fn stop(self, label: Label) {
        // SAFETY: the shared part lives until the end of this function; its flag is atomic.
        unsafe { (*self.shared).stop.store(true, Ordering::Release) };
        thread::join(self.thread);
        // SAFETY: from `Box::into_raw` in `start`, and the thread, its only other user, has ended.
        let Shared { reads, longest, .. } = *unsafe { Box::from_raw(self.shared) };
        crate::kresult!("{label}jack_reads={reads} {label}jack_longest_us={}", longest / 10);
    }
}

fn poll(argument: *mut c_void) {
    let shared = argument.cast::<Shared>();
    // SAFETY: alive until `stop` has joined this thread; `stop` touches only the atomic flag, and nobody but
    // this thread the rest.
    let (endpoint, stop, reads, longest, first) = unsafe {
        (
            &(*shared).endpoint,
            &(*shared).stop,
            &mut (*shared).reads,
            &mut (*shared).longest,
            &mut (*shared).first,
        )
    };
    let number = instance(endpoint.jack().1);
    // Once at least, however short the stream's life is.
    loop {
        let begun = time::interrupt_time_100ns();
        let reply =
            property_protocol::get(&jack_property(endpoint, property::JACK_DESCRIPTION, &number), BYTES);
        *longest = (*longest).max(time::interrupt_time_100ns().saturating_sub(begun));
        *reads += 1;
        let mut answer = reply.bytes().map(<[u8]>::to_vec);
        if first.is_some() && fault::make(Fault::JackChanges) {
            answer.iter_mut().flatten().for_each(|byte| *byte ^= 1);
        }
        let changed = first.is_some() && *first != answer;
        if answer.is_none() || changed {
            kernel::violation(
                "jack",
                format_args!(
                    "\"{}\": the description while a stream is open: {}, {:?} and before {first:?}",
                    endpoint.name, reply.status, answer
                ),
            );
            return;
        }
        first.get_or_insert(answer.unwrap_or_default());
        if stop.load(Ordering::Acquire) {
            return;
        }
        thread::sleep_100ns(INTERVAL);
        // A device that sleeps for want of use is left alone.
        while idle::is_asleep() && !stop.load(Ordering::Acquire) {
            thread::sleep_100ns(INTERVAL);
        }
    }
}
