//! The card as the driver sees it: one trait, one module per card.
//!
//! Everything above this module (adapter, miniports, streams) knows cards only through [`Card`]; nothing below knows PortCls.

pub mod endpoint;
#[cfg(test)]
pub mod fake;
pub mod geometry;
pub mod ringwave;

use core::ptr::NonNull;

use nt::NtResult;

pub use ringwave::status_page::Status;

use crate::hw::endpoint::Endpoint;
use crate::hw::geometry::Ring;
use crate::wave::format::AudioFormat;
use crate::wave::packets::Mark;

/// The state of a stream, as KSSTATE and the card count it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// Nothing moves, everything counted is 0.
    Stop,
    /// The hardware is claimed.
    Acquire,
    /// Ready to run, or frozen.
    Pause,
    /// Audio moves.
    Run,
}

impl State {
    /// All states, upwards.
    pub const ALL: [Self; 4] = [Self::Stop, Self::Acquire, Self::Pause, Self::Run];

    /// The state with this number (KSSTATE and the STATE register count alike); `None` for another number.
    pub const fn from_number(number: u32) -> Option<Self> {
        match number {
            0 => Some(Self::Stop),
            1 => Some(Self::Acquire),
            2 => Some(Self::Pause),
            3 => Some(Self::Run),
            _ => None,
        }
    }

    /// Its number.
    pub const fn number(self) -> u32 {
        self as u32
    }
}

/// Where the cyclic buffer is, for the card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dma {
    /// One physical range.
    Contiguous {
        /// Its first byte.
        address: u64,
    },
    /// A table in guest memory.
    ScatterGather {
        /// The table's first slot.
        table: u64,
        /// Its data entries.
        entries: u32,
    },
}

/// What a card has and what it can't do.
#[allow(clippy::struct_excessive_bools, reason = "each is a feature bit of the card")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The highest physical address that it reaches.
    pub dma_highest: u64,
    /// The longest cyclic buffer in bytes.
    pub ring_bytes_max: u32,
    /// The most entries of a scatter-gather table.
    pub entries_max: u32,
    /// Takes contiguous buffers.
    pub contiguous: bool,
    /// Takes scatter-gather tables.
    pub scatter_gather: bool,
    /// Wants to know which packets are written.
    pub written: bool,
    /// Looks for that in a page, so that saying it costs no message.
    pub mark_page: bool,
    /// Can start in the middle.
    pub start_frame: bool,
    /// Has a position page for each stream.
    pub position_page: bool,
    /// Has volume and mute for each channel of each stream.
    pub volume: bool,
    /// Knows whether something is plugged into each stream's jack.
    pub jack: bool,
    /// Ticks of its clock per second, not 0.
    pub clock_hz: u32,
}

/// A sound card with numbered streams. Every method fails softly once the card is gone or without power.
///
/// What is called a message here goes to another process and takes as long as that likes: PASSIVE_LEVEL, no
/// spin lock held. What costs none may be called at DISPATCH_LEVEL.
pub trait Card: Send + Sync {
    /// What it has. Fixed since the card was found.
    fn limits(&self) -> Limits;

    /// What stream `stream` is; `None` beyond the last. Fixed since the card was found.
    fn endpoint(&self, stream: u32) -> Option<Endpoint>;

    /// Brings `stream` to STOP and programs everything that is fixed while it is not stopped. Messages.
    fn configure(&self, stream: u32, format: AudioFormat, ring: Ring, dma: Dma) -> NtResult;

    /// One transition: a message. Upwards only to the neighbour; downwards to any state. When it returns the
    /// transition is done.
    ///
    /// # Errors
    /// The card refused it or is not there.
    fn set_state(&self, stream: u32, state: State) -> NtResult;

    /// The state the card is in; `None` if it is not there. A message.
    fn state(&self, stream: u32) -> Option<State>;

    /// The next RUN starts at `frame`, which is in packet `packet`. Messages.
    fn start_at(&self, stream: u32, frame: u64, packet: u32);

    /// Whether the time of `stream` may stand still while it waits for its client, from the next RUN on that
    /// comes from STOP. The card does it only if who runs it allows it too. A message.
    fn ask_lockstep(&self, stream: u32, ask: bool);

    /// Every packet up to and including the mark's is valid. `clock`: the device clock now, 0 if it is not
    /// known. `look`: it must not be overtaken by the next mark. PASSIVE_LEVEL. Messages only with `look`,
    /// for a packet that has begun, for the end of the stream, to a card that waits, and to one without mark
    /// pages. `false` if the card was not there to hear it.
    fn mark(&self, stream: u32, mark: Mark, clock: u64, look: bool) -> bool;

    /// What the status page says; no message. `None` if the card is gone or without power, or the page changed under every try.
    fn status(&self, stream: u32) -> Option<Status>;

    /// Lets the position page of `stream` tick, or not. A message.
    fn tick_position(&self, stream: u32, tick: bool);

    /// Kernel address of the position page of `stream`, for [`tick_position`](Self::tick_position) and PortCls, which maps it to a client.
    /// `None` if the card has none or is gone. Mapped until [`release_position_page`](Self::release_position_page), over
    /// [`remove`](Self::remove) too; nobody here reads it.
    fn position_page(&self, stream: u32) -> Option<NonNull<u8>>;

    /// The client of `stream` has no mapping of the position page, or no more. PASSIVE_LEVEL.
    fn release_position_page(&self, stream: u32);

    /// Volume of one channel of `stream`, in 1/65536 dB, -96 dB to 0. A message; kept until a reset. Not heard by a card without power.
    fn set_volume(&self, stream: u32, channel: u32, volume: i32);

    /// Which channels of `stream` are silent: bit c is channel c. As [`set_volume`](Self::set_volume).
    fn set_mute(&self, stream: u32, channels: u32);

    /// From now on a change of the jack of `stream` raises an interrupt, in every state of the stream. A message; kept until a reset.
    fn watch_jack(&self, stream: u32);

    /// Whether nothing is plugged into the jack of `stream`; no message. `None` if the card does not know, is gone or without power.
    fn unplugged(&self, stream: u32) -> Option<bool>;

    /// Lets the card raise interrupts, or not. A message.
    fn enable_interrupts(&self, enable: bool);

    /// For the service routine of a line interrupt, above DISPATCH_LEVEL: whether the card asserts the line; acknowledges it.
    ///
    /// # Safety
    /// [`remove`](Self::remove) does not run at the same time: the interrupt is disconnected before.
    unsafe fn acknowledge_line(&self) -> bool;

    /// The card is in D0 (`true`), or about to leave it: once this has returned it raises no interrupt, and no register and no page is
    /// touched until it is back. In D0 it is looked at again: `false` if it is not the card that was found, which is gone then and fails
    /// softly. PASSIVE_LEVEL.
    fn set_power(&self, on: bool) -> bool;

    /// Whether it has no power and may come back as what it was: what it can't be told now it is told then.
    /// PASSIVE_LEVEL.
    fn asleep(&self) -> bool;

    /// The device is being stopped or is gone: takes the mappings away. Whatever is called after finds no
    /// card. PASSIVE_LEVEL.
    fn remove(&self);
}
