//! What the card needs from the world, and what it gives back. The controller knows no socket, thread, file
//! or clock: guest memory and the pages are traits, time is a number, and everything that happens comes out
//! as [`Effects`].

use ringwave_engine::audio_queue::AudioQueue;
use ringwave_engine::sources::Sources;
pub use ringwave_engine::timeline::ClockMode;
use ringwave_guest_memory::GuestMemory;
use ringwave_regs::error::Error;
use ringwave_trace::{CardEvent, Diagnostic, ErrorName};

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
    /// Where everything else that happens is put, likewise.
    pub effects: &'a mut Effects,
}

/// Everything that one or more calls into the controller brought about. Whoever made the calls drains it, in
/// this order: interrupts first (the pages are already written), then sound, trace and notes, then
/// [`Effects::clear`].
///
/// Its growth per call is bounded (see [`crate::controller`], Time); its buffers are kept for the next use.
#[derive(Debug, Default)]
pub struct Effects {
    /// MSI messages to send: bit n = message n. Only set when MSI is enabled and Bus Master Enable is on. The
    /// level of INTx is not an effect but a state: [`crate::controller::Controller::intx`].
    pub messages: u32,
    /// Streams that had an event: bit n = stream n. For logs and tests: whom to interrupt stands in
    /// `messages`.
    pub events: u32,
    /// The trace.
    pub trace: Vec<CardEvent>,
    /// Nobody wants the trace: nothing is put into it.
    pub untraced: bool,
    /// What to put into the log.
    pub diagnostics: Vec<Diagnostic<Error>>,
}

impl Effects {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.messages == 0 && self.events == 0 && self.trace.is_empty() && self.diagnostics.is_empty()
    }

    /// Forgets everything, but keeps the buffers.
    pub fn clear(&mut self) {
        self.messages = 0;
        self.events = 0;
        self.trace.clear();
        self.diagnostics.clear();
    }

    /// Puts a line into the trace, if anybody wants it.
    #[inline]
    pub(crate) fn record(&mut self, line: CardEvent) {
        if !self.untraced {
            self.trace.push(line);
        }
    }

    /// Puts a diagnostic into the log and into the trace.
    pub(crate) fn diagnose(&mut self, diagnostic: Diagnostic<Error>) {
        self.diagnostics.push(diagnostic);
        self.record(CardEvent::Diagnostic(diagnostic.map_error(|error| ErrorName::new(error.name()))));
    }
}
