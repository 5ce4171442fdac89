//! What the card needs from the world, and what it gives back. The controller knows no socket, thread, file or clock: guest
//! memory and the pages are traits, time is a number, and everything that happens comes out as [`Effects`].

use core::fmt;
use ringwave_audio::StreamFormat;
use ringwave_guest_memory::GuestMemory;
use ringwave_regs::{error::Error, global};

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

/// Where the sound of capture streams comes from, but for what the card takes from its own render streams.
pub trait Sources {
    /// Capture stream `stream` is set up for `format`: a source that has a beginning begins.
    fn begin(&mut self, stream: u32, format: StreamFormat) {
        let _ = (stream, format);
    }

    /// Fills `into` with the next frames of capture stream `stream` (its number on the card), whole frames in `format`. Must not wait: what
    /// is not there is silence. Gives how many of the bytes are sound, and not silence for want of it.
    fn capture(&mut self, stream: u32, format: StreamFormat, into: &mut [u8]) -> usize;
}

/// Nothing but silence, on purpose.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoSources;

impl Sources for NoSources {
    fn capture(&mut self, _stream: u32, format: StreamFormat, into: &mut [u8]) -> usize {
        into.fill(format.sample.silence());
        into.len()
    }
}

/// What every call into the controller is given.
pub struct Env<'a> {
    /// Device clock in ticks of [`global::CLOCK_HZ_VALUE`] (nanoseconds). A value that goes back counts as no time passed.
    pub now: u64,
    /// Guest RAM.
    pub memory: &'a dyn GuestMemory,
    /// The page BAR.
    pub pages: &'a dyn Pages,
    /// Where captured sound comes from.
    pub sources: &'a mut dyn Sources,
    /// Where everything that happens is put, behind what is already in it.
    pub effects: &'a mut Effects,
}

/// What a stream's sink has to hear next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AudioChunk<'a> {
    /// Whole frames that were played, in the stream's format.
    Frames(&'a [u8]),
    /// So many frames of silence that were played for want of data.
    Silence(u64),
    /// The stream was stopped, or the card reset: nothing more belongs to this stretch of sound.
    Stop,
}

/// [`AudioChunk`] as it lies in [`Effects`]: the frames of all streams share one buffer.
#[derive(Clone, Copy, Debug)]
enum Sound {
    Frames { start: usize, end: usize },
    Silence(u64),
    Stop,
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
    sounds: Vec<(u32, StreamFormat, Sound)>,
    audio: Vec<u8>,
}

impl Effects {
    /// What the sinks have to hear, in order: stream number, format, and what.
    pub fn sounds(&self) -> impl Iterator<Item = (u32, StreamFormat, AudioChunk<'_>)> {
        self.sounds.iter().map(|&(stream, format, sound)| {
            let heard = match sound {
                Sound::Frames { start, end } => {
                    AudioChunk::Frames(self.audio.get(start..end).unwrap_or_default())
                }
                Sound::Silence(frames) => AudioChunk::Silence(frames),
                Sound::Stop => AudioChunk::Stop,
            };
            (stream, format, heard)
        })
    }

    /// How many sounds there are: [`Effects::sounds_from`] gives those that come after.
    pub(crate) fn sound_mark(&self) -> usize {
        self.sounds.len()
    }

    /// The sounds from `mark` on.
    pub(crate) fn sounds_from(
        &self,
        mark: usize,
    ) -> impl Iterator<Item = (u32, StreamFormat, AudioChunk<'_>)> {
        self.sounds().skip(mark)
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.messages == 0
            && self.events == 0
            && self.trace.is_empty()
            && self.diagnostics.is_empty()
            && self.sounds.is_empty()
    }

    /// Forgets everything, but keeps the buffers.
    pub fn clear(&mut self) {
        self.messages = 0;
        self.events = 0;
        self.trace.clear();
        self.diagnostics.clear();
        self.sounds.clear();
        self.audio.clear();
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

    /// Frames were played. Gives them where they now lie, for what is done to them on the way out.
    pub(crate) fn frames(&mut self, stream: u32, format: StreamFormat, bytes: &[u8]) -> &mut [u8] {
        let start = self.audio.len();
        self.audio.extend_from_slice(bytes);
        self.sounds.push((stream, format, Sound::Frames { start, end: self.audio.len() }));
        self.audio.get_mut(start..).unwrap_or_default()
    }

    /// Silence was played.
    pub(crate) fn silence(&mut self, stream: u32, format: StreamFormat, frames: u64) {
        self.sounds.push((stream, format, Sound::Silence(frames)));
    }

    /// The stream's sound is over.
    pub(crate) fn stop(&mut self, stream: u32, format: StreamFormat) {
        self.sounds.push((stream, format, Sound::Stop));
    }
}

/// The clock that a card goes by. DATASHEET 5.4.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClockMode {
    /// The time of a stream that asks for it stands still while it waits for a packet.
    Lockstep,
    /// Time never waits.
    #[default]
    Realtime,
}

impl ClockMode {
    /// Value of the register [`global::CLOCK_MODE`].
    pub const fn code(self) -> u32 {
        match self {
            Self::Lockstep => global::CLOCK_MODE_LOCKSTEP,
            Self::Realtime => global::CLOCK_MODE_REALTIME,
        }
    }
}
