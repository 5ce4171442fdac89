//! What the card needs from the world, and what it gives back. The controller knows no socket, thread, file
//! or clock: guest memory and the pages are traits, time is a number, and everything that happens comes out
//! in what [`Env`] lends it.

use ringwave_engine::audio_queue::AudioQueue;
use ringwave_engine::sources::Sources;
pub use ringwave_engine::timeline::ClockMode;
use ringwave_guest_memory::GuestMemory;
use ringwave_regs::error::Error;
use ringwave_trace::{CardLog, Diagnostic, ErrorName};

/// The page BAR (BAR 2), as far as the card is concerned: it stores, and reads nothing but the mark pages.
/// Offsets are naturally aligned and inside the BAR.
///
/// Each store must be one access of its size and must have *release* ordering: everything stored before is
/// visible to a reader that sees it. The sequence counters rest on that.
pub trait Pages {
    /// The words of a stream's mark page. Whatever stands there is the guest's word. MARK is one load with
    /// *acquire* ordering, and `MARK_CLOCK` is loaded after it.
    fn load_mark(&self, stream: u32) -> MarkWords;
    /// Orders every store before this call before every load after it, for a guest that runs at the same time
    /// on another processor.
    fn fence(&self) {
        core::sync::atomic::fence(core::sync::atomic::Ordering::SeqCst);
    }
    /// Stores 32 bits at `offset` bytes from the start of the BAR.
    fn store_u32(&self, offset: u32, value: u32);
    /// Stores 64 bits at `offset` bytes from the start of the BAR.
    fn store_u64(&self, offset: u32, value: u64);
}

/// What stands in a mark page: any values. DATASHEET 7.4.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MarkWords {
    /// MARK.
    pub mark: u64,
    /// `MARK_CLOCK`.
    pub clock: u64,
}

/// What every call into the controller is given.
pub struct Env<'a> {
    /// Device clock in ticks of [`ringwave_engine::timeline::CLOCK_HZ`] (nanoseconds). A value that goes back
    /// counts as no time passed.
    pub now: u64,
    /// Guest RAM.
    pub memory: &'a dyn GuestMemory,
    /// The page BAR.
    pub pages: &'a dyn Pages,
    /// Where captured sound comes from.
    pub sources: &'a mut dyn Sources,
    /// Where what is played is put, behind what is already in it.
    pub audio: &'a mut AudioQueue,
    /// What is raised, added to what is already in it. The caller sends it before it answers the guest: the
    /// pages are written by then.
    pub interrupts: &'a mut Interrupts,
    /// Where the trace and what is for the log are put. Its growth per call is bounded (see
    /// [`crate::controller`], Time).
    pub log: CardLog<'a, Error>,
}

/// Interrupts that calls into the controller raised.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interrupts {
    /// MSI messages to send: bit n = message n. Only set when MSI is enabled and Bus Master Enable is on. The
    /// level of INTx is not an event but a state: [`crate::controller::Controller::intx`].
    pub messages: u32,
    /// Streams that had an event: bit n = stream n. For tests: whom to interrupt stands in `messages`.
    pub events: u32,
}

/// Puts diagnostics of this card into a log.
pub(crate) trait Diagnose {
    /// Puts a diagnostic into the log and into the trace.
    fn diagnose(&mut self, diagnostic: Diagnostic<Error>);
}

impl Diagnose for CardLog<'_, Error> {
    fn diagnose(&mut self, diagnostic: Diagnostic<Error>) {
        self.diagnose_as(diagnostic, |error| ErrorName::new(error.name()));
    }
}
