//! What the card needs from the world, and what it gives back. The controller knows no socket, thread, file or clock: guest
//! memory and the pages are traits, time is a number, and everything that happens comes out as [`Effects`].

use core::fmt;
use ringwave_engine::audio_queue::AudioQueue;
use ringwave_engine::sources::Sources;
pub use ringwave_engine::timeline::ClockMode;
use ringwave_guest_memory::GuestMemory;
use ringwave_regs::error::Error;

/// The page BAR (BAR 2), as far as the card is concerned: it stores, and reads nothing but the mark pages. Offsets are naturally aligned and
/// inside the BAR.
///
/// Each store must be one access of its size and must have *release* ordering: everything stored before is visible to a
/// reader that sees it. The sequence counters rest on that.
pub trait Pages {
    /// The words of a stream's mark page. Whatever stands there is the guest's word. MARK is one load with *acquire* ordering, and `MARK_CLOCK`
    /// is loaded after it.
    fn load_mark(&self, stream: u32) -> MarkWords;
    /// Orders every store before this call before every load after it, for a guest that runs at the same time on another processor.
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
    /// Device clock in ticks of [`ringwave_engine::timeline::CLOCK_HZ`] (nanoseconds). A value that goes back counts as no time passed.
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

/// What the trace tells of the inside of the card, in exact order. What comes from the client is in [`crate::trace::Event`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CardEvent {
    /// The guest wrote `TRACE_MARK`.
    Mark(u32),
    /// A stream changed its state (`STATE_*`).
    State {
        /// Stream number.
        stream: u32,
        /// The new state.
        state: u32,
    },
    /// Slots of a scatter-gather table were read.
    Table {
        /// Whose table.
        who: Dma,
        /// Guest physical address.
        address: u64,
        /// Length in bytes.
        bytes: u64,
    },
    /// Data was read from guest RAM.
    Read {
        /// Whose data.
        who: Dma,
        /// Guest physical address.
        address: u64,
        /// Length in bytes.
        bytes: u64,
    },
    /// Data was stored to guest RAM.
    Write {
        /// Whose data.
        who: Dma,
        /// Guest physical address.
        address: u64,
        /// Length in bytes.
        bytes: u64,
    },
    /// A packet was completed.
    Packet {
        /// Stream number.
        stream: u32,
        /// `PACKET_COUNT`: packets completed since STOP, this one included, modulo 2^32.
        count: u32,
    },
    /// A stream stalls.
    Stall {
        /// Stream number.
        stream: u32,
        /// The packet it waits for.
        packet: u32,
    },
    /// The card has seen a new mark in a stream's mark page (DATASHEET 7.4).
    MarkSeen {
        /// Stream number.
        stream: u32,
        /// The packet that it marks.
        packet: u32,
    },
    /// A stream has played its end of stream.
    Ended {
        /// Stream number.
        stream: u32,
    },
    /// A stream had an event (DATASHEET 2.1): what an interrupt is raised for.
    Event {
        /// Stream number.
        stream: u32,
    },
    /// The power state has changed: `true` = D3hot, `false` = D0.
    Power {
        /// The new state.
        d3hot: bool,
    },
    /// Something that also goes to the log.
    Diagnostic(Diagnostic),
    /// The function was reset; its power state is D0.
    Reset,
}

/// What a DMA transfer was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dma {
    /// The stream with this number.
    Stream(u32),
    /// The DMA self-test.
    SelfTest,
}

/// Something a person who looks at the card's log wants to know. At most a few per call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Diagnostic {
    /// An access was refused. `stream` is `None` for a global register.
    Refused {
        /// Stream number.
        stream: Option<u32>,
        /// Offset in BAR 0.
        offset: u64,
        /// What was written; `None` for a read and for an access of a wrong size.
        value: Option<u32>,
        /// Why.
        error: Error,
    },
    /// The card's clock is lockstep, but the stream does not ask for it (LOCKSTEP): it goes by realtime.
    NotLockstep {
        /// Stream number.
        stream: u32,
    },
    /// A packet was not WRITTEN in time: it is silent, at least in part (realtime). Told once for each packet.
    Underrun {
        /// Stream number.
        stream: u32,
        /// Packet number.
        packet: u32,
    },
    /// A captured packet was stored over before the guest took it (realtime).
    Overrun {
        /// Stream number.
        stream: u32,
        /// Number of the packet that is lost.
        packet: u32,
    },
    /// A transfer of a running stream failed; silence is played instead.
    DmaFault {
        /// Stream number.
        stream: u32,
        /// Why.
        error: Error,
    },
    /// The self-test failed.
    SelfTest {
        /// Why.
        error: Error,
    },
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Refused { stream, offset, value, error } => {
                match stream {
                    Some(stream) => write!(f, "stream {stream}: ")?,
                    None => write!(f, "card: ")?,
                }
                match value {
                    Some(value) => write!(f, "write of {value:#x} to register {offset:#05x} refused")?,
                    None => write!(f, "access to register {offset:#05x} refused")?,
                }
                write!(f, ": {} ({})", error.name(), error.meaning())
            }
            Self::NotLockstep { stream } => {
                write!(
                    f,
                    "stream {stream}: did not ask for lockstep, goes by realtime: what is late is silent"
                )
            }
            Self::Underrun { stream, packet } => {
                write!(f, "stream {stream}: packet {packet} was not WRITTEN in time, plays silence")
            }
            Self::Overrun { stream, packet } => {
                write!(f, "stream {stream}: packet {packet} was not taken in time and is lost")
            }
            Self::DmaFault { stream, error } => {
                write!(
                    f,
                    "stream {stream}: transfer failed, silence instead: {} ({})",
                    error.name(),
                    error.meaning()
                )
            }
            Self::SelfTest { error } => {
                write!(f, "DMA self-test failed: {} ({})", error.name(), error.meaning())
            }
        }
    }
}

/// Everything that one or more calls into the controller brought about. Whoever made the calls drains it, in this order:
/// interrupts first (the pages are already written), then sound, trace and notes, then [`Effects::clear`].
///
/// Its growth per call is bounded (see [`crate::controller`], Time); its buffers are kept for the next use.
#[derive(Debug, Default)]
pub struct Effects {
    /// MSI messages to send: bit n = message n. Only set when MSI is enabled and Bus Master Enable is on. The level of INTx is not an
    /// effect but a state: [`crate::controller::Controller::intx`].
    pub messages: u32,
    /// Streams that had an event: bit n = stream n. For logs and tests: whom to interrupt stands in `messages`.
    pub events: u32,
    /// The trace.
    pub trace: Vec<CardEvent>,
    /// Nobody wants the trace: nothing is put into it.
    pub untraced: bool,
    /// What to put into the log.
    pub diagnostics: Vec<Diagnostic>,
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

    /// Puts a note into the log and into the trace.
    pub(crate) fn diagnose(&mut self, note: Diagnostic) {
        self.diagnostics.push(note);
        self.record(CardEvent::Diagnostic(note));
    }
}
