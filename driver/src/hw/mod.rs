//! The seam between the driver and its cards: neutral types, the trait [`Card`], and [`probe()`] that finds
//! out which card there is. One module per card.
//!
//! Everything above this module (adapter, miniports, streams) knows a card only through [`Card`]. Nothing in
//! it knows PortCls or the miniports, and what is one card's own (registers, tables, queues) stays in that
//! card's module.
//!
//! The cards differ in who moves sound. A Ringwave card is told where the buffer is and fetches it itself; it
//! says where it stands in pages of its own. A virtio device ([`virtio`]) gets messages, from
//! [`Card::set_state`], [`Card::mark`] and [`Card::on_interrupt`], and where it stands is what came back: its
//! clock is the performance counter, and its [`Card::status`] looks at the used ring, which is memory. So
//! nobody above pumps: the DPC calls `on_interrupt` before it looks at streams, and that is enough for both.
//! It runs at each interrupt, and when [`Card::next_look`] says that a packet ends without one.

pub mod endpoint;
#[cfg(test)]
pub mod fake;
pub mod format;
pub mod geometry;
mod probe;
pub mod ringwave;
pub mod segments;
pub mod status;
pub mod virtio;

use core::ptr::NonNull;

use nt::NtResult;
use nt::interrupt::Granted;

pub use endpoint::{Direction, Endpoint, Limits};
use format::AudioFormat;
use geometry::BufferGeometry;
pub use probe::{MemoryRange, Resources, probe};
use segments::PageList;
pub use status::{Anchor, Status};

/// The most streams of a card.
pub const STREAMS_MAX: u32 = 16;

/// The state of a stream, as KSSTATE counts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StreamState {
    /// Nothing moves, everything counted is 0.
    Stop,
    /// The hardware is claimed.
    Acquire,
    /// Ready to run, or frozen.
    Pause,
    /// Audio moves.
    Run,
}

impl StreamState {
    /// All states, upwards.
    pub const ALL: [Self; 4] = [Self::Stop, Self::Acquire, Self::Pause, Self::Run];

    /// The state with this KSSTATE number; `None` for another number.
    pub const fn from_number(number: u32) -> Option<Self> {
        match number {
            0 => Some(Self::Stop),
            1 => Some(Self::Acquire),
            2 => Some(Self::Pause),
            3 => Some(Self::Run),
            _ => None,
        }
    }

    /// Its KSSTATE number.
    pub const fn number(self) -> u32 {
        self as u32
    }
}

/// What a client has said of its packets: every packet up to and including `number` is valid (render), or was
/// taken (capture).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The packet's number.
    pub number: u32,
    /// The packet is the last one and this many of its bytes are valid.
    pub end_of_stream: Option<u32>,
}

/// Registers that the card keeps up to date and a client can map. Their pages hold nothing else, for a client
/// gets whole pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PositionRegisters {
    /// 32 bits: where the stream is in its cyclic buffer, in bytes.
    pub position: NonNull<u8>,
    /// 64 bits: the card's clock.
    pub clock: NonNull<u8>,
    /// How often both are written at least, per second.
    pub updates_per_second: u32,
}

/// A sound card with numbered streams. Every method fails softly once the card is gone or without power.
///
/// # Levels, and what waits
/// A method is one of three kinds:
///
/// * **Control** asks the card to do something. PASSIVE_LEVEL, no spin lock held. The card may answer later:
///   then the method waits, and [`on_interrupt`](Self::on_interrupt) at DISPATCH_LEVEL is where the answer
///   arrives. It never waits for ever: a card that does not answer within the limit that its module names is
///   gone from then on, and the method fails.
/// * **Mark** hands packets over. PASSIVE_LEVEL, no spin lock held; waits for no answer.
/// * **Look** tells what is known already. At most DISPATCH_LEVEL, waits for nothing.
///
/// Nothing waits at DISPATCH_LEVEL.
pub trait Card: Send + Sync {
    /// Look. What stream `stream` is; `None` beyond the last. Fixed since the card was started
    /// ([`enable_interrupts`](Self::enable_interrupts)).
    fn endpoint(&self, stream: u32) -> Option<Endpoint>;

    /// Look. The shortest packet that `stream` takes at a rate in Hz, in frames.
    fn packet_frames_min(&self, stream: u32, rate: u32) -> u32;

    /// Look. How far ahead of the position the card fetches what a client stores by position, and how far a
    /// recording lags behind it, in frames, with such a buffer; without one the most that it can be.
    fn fifo_frames(&self, stream: u32, rate: u32, geometry: Option<&BufferGeometry>) -> u32;

    /// Where the cyclic buffer of `stream` is: `bytes` from the first byte of the first page on. The card
    /// makes of it what it needs to reach the pages (a table, a list of descriptors) and keeps that until
    /// [`detach`](Self::detach). The card itself is asked for nothing: it may be without power.
    /// PASSIVE_LEVEL, in STOP.
    ///
    /// # Errors
    /// `STATUS_INSUFFICIENT_RESOURCES`: pages that end too early, more pieces than [`Limits::segments_max`],
    /// or no memory. Nothing is attached then.
    fn attach(&self, stream: u32, pages: &dyn PageList, bytes: u32) -> NtResult;

    /// The cyclic buffer of `stream`, which is in STOP, is about to be freed. PASSIVE_LEVEL. `false`: the
    /// card may still write to its pages (it has not given back a request); they must never be freed.
    #[must_use = "pages that the card may write to must not be freed"]
    fn detach(&self, stream: u32) -> bool;

    /// Control. Programs everything that is fixed while `stream`, which is in STOP, is not stopped.
    ///
    /// # Errors
    /// The card is not there, or nothing is attached.
    fn configure(&self, stream: u32, format: AudioFormat, geometry: BufferGeometry) -> NtResult;

    /// Control. One transition: upwards only to the neighbour, downwards to any state. When it returns the
    /// transition is done.
    ///
    /// # Errors
    /// The card refused it, did not answer, or is not there. STOP of a card without power is made when power
    /// is back, before [`set_power`](Self::set_power) returns.
    fn set_state(&self, stream: u32, state: StreamState) -> NtResult;

    /// Control. The state the card is in; `None` if it is not there.
    fn state(&self, stream: u32) -> Option<StreamState>;

    /// Control. The next RUN starts at `frame`, which is in packet `packet`.
    fn start_at(&self, stream: u32, frame: u64, packet: u32);

    /// Control. Whether the time of `stream` may stand still while the card waits for its client, from the
    /// next RUN on that comes from STOP. The card does it only if its operator allows it too.
    fn ask_lockstep(&self, stream: u32, ask: bool);

    /// Mark. `clock`: the device clock now, 0 if it is not known. `at_once`: the card must see this mark
    /// before the next one is made. `false` if the card was not there to take it.
    fn mark(&self, stream: u32, mark: Mark, clock: u64, at_once: bool) -> bool;

    /// Look. Where the stream stands. `None` if the card is gone or without power, or says nothing
    /// consistent.
    fn status(&self, stream: u32) -> Option<Status>;

    /// Look. [`Status::packet_count`] alone, of a card too whose status can't be read for changing. `None` if
    /// the card is gone or without power.
    fn packet_count(&self, stream: u32) -> Option<u32> {
        self.status(stream).map(|status| status.packet_count)
    }

    /// Control. Lets the position registers of `stream` be updated, or not.
    fn update_position_registers(&self, stream: u32, update: bool);

    /// Look. The position registers of `stream`, for PortCls, which maps them to a client. `None` if the card
    /// has none or is gone. Mapped until [`release_position_registers`](Self::release_position_registers),
    /// over [`remove`](Self::remove) too; the driver never reads them.
    fn position_registers(&self, stream: u32) -> Option<PositionRegisters>;

    /// The client of `stream` has no mapping of the position registers, or no more. PASSIVE_LEVEL.
    fn release_position_registers(&self, stream: u32);

    /// Control. Volume of one channel of `stream`, in 1/65536 dB, [`Limits::volume_min`] to 0. Kept until a
    /// reset; lost on a card without power.
    fn set_volume(&self, stream: u32, channel: u32, volume: i32);

    /// Control. Which channels of `stream` are silent: bit c is channel c. As
    /// [`set_volume`](Self::set_volume).
    fn set_mute(&self, stream: u32, channels: u32);

    /// Control. From now on a change of the jack of `stream` raises an interrupt, in every state of the
    /// stream. Kept until a reset.
    fn watch_jack(&self, stream: u32);

    /// Look. Whether nothing is plugged into the jack of `stream`. `None` if the card does not know, is gone
    /// or without power.
    fn unplugged(&self, stream: u32) -> Option<bool>;

    /// Control. Lets the card raise interrupts by what the system granted: a card with MSI-X has to say which
    /// event raises which message. A card may begin to work only here, for it is called at every start and
    /// every D0 before a stream is used; what it has ([`endpoint`](Self::endpoint)) may be known only after
    /// the first time. The service routine is connected already: a card that asserts a line before would
    /// interrupt those who share it for ever.
    ///
    /// # Errors
    /// The card can't be driven, or does not answer.
    fn enable_interrupts(&self, granted: Granted) -> NtResult;

    /// Control. Lets the card raise interrupts no more. A card may stop all of its streams with that.
    fn disable_interrupts(&self);

    /// For the service routine of a line interrupt, above DISPATCH_LEVEL: whether the card asserts the line;
    /// acknowledges it.
    ///
    /// # Safety
    /// [`remove`](Self::remove) does not run at the same time: the interrupt is disconnected before.
    unsafe fn acknowledge_line(&self) -> bool;

    /// From the DPC of each interrupt, at DISPATCH_LEVEL, before any stream is looked at: the card takes what
    /// has arrived (an answer that a control method waits for, a buffer that comes back). Which streams it
    /// may be about: bit i is stream i.
    fn on_interrupt(&self) -> u32;

    /// Look. In how many units of 100 ns the DPC is to run although nothing may interrupt then, because
    /// [`status`](Self::status) says something else from that moment on. `None`: no earlier than the next
    /// interrupt. Asked after each DPC and each RUN, under a spin lock.
    fn next_look(&self) -> Option<u64> {
        None
    }

    /// Control. The card is in D0 (`true`), or about to leave it: once this has returned it raises no
    /// interrupt, and nothing of it is touched until it is back. In D0 it is checked again: `false` if it
    /// is not the card that was found, which is gone then and fails softly.
    fn set_power(&self, on: bool) -> bool;

    /// Whether it has no power and may come back as what it was: what it is not asked for now it is asked for
    /// then. PASSIVE_LEVEL.
    fn asleep(&self) -> bool;

    /// Look. Whether it is the card that was found, with power or without: not removed, not another one, and
    /// no answer of ones in D0. Waits for nothing, unlike [`asleep`](Self::asleep).
    fn is_present(&self) -> bool;

    /// The device is being stopped or is gone: takes the mappings away. Whatever is called after finds no
    /// card. PASSIVE_LEVEL.
    fn remove(&self);
}
