//! What is measured: a whole card with its engine thread and I/O worker, in this process, on the realtime
//! clock, into the null sink; and the guest's ends of it. One module for each card.
//!
//! A register access here is a call of the card and not a message over a socket: what the transport and QEMU
//! cost is not in the figures.

mod hda;
mod interrupt;
pub mod ringwave;
mod threads;
mod virtio;

use std::time::{Duration, Instant};

pub use interrupt::Interrupt;
use ringwave_report::SessionReport;

use super::BenchError;

/// Frames per second of every measured stream.
pub const RATE: u32 = 48_000;
const CHANNELS: u8 = 2;
const FRAME_BYTES: u32 = 4;
/// Nothing takes as long.
const PATIENCE: Duration = Duration::from_secs(5);

/// Which card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CardKind {
    /// Ringwave's own.
    Ringwave,
    /// virtio-snd.
    Virtio,
    /// HD Audio.
    Hda,
}

impl CardKind {
    /// As the report names it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ringwave => "ringwave",
            Self::Virtio => "virtio",
            Self::Hda => "hda",
        }
    }

    /// Streams at the same time: one, several, and as many as the card can have.
    pub const fn streams(self) -> &'static [u32] {
        match self {
            Self::Ringwave | Self::Virtio => &[1, 8, 16],
            Self::Hda => &[1, 4],
        }
    }

    /// How its guest can mark what it has written, with what a case is called for it.
    pub const fn marks(self) -> &'static [(Marks, &'static str)] {
        match self {
            Self::Ringwave => &[(Marks::Far, ""), (Marks::None, ", unmarked")],
            Self::Virtio | Self::Hda => &[(Marks::None, "")],
        }
    }
}

/// What the guest of a Ringwave card marks as written. The other cards have no marks: virtio-snd has
/// messages, HD Audio plays what lies in the buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Marks {
    /// The whole buffer before it runs, then each packet after the one before it was played.
    Followed,
    /// Everything that will be played, before it runs.
    Far,
    /// Nothing.
    None,
}

/// A card with render streams that are set up, and its guest's ends. A packet is a period of HD Audio and a
/// message of virtio-snd.
pub trait PlayingCard {
    /// Starts stream `index`.
    fn run(&mut self, index: u32) -> Result<(), BenchError>;

    /// Sleeps until the card interrupts, and does what a driver does then. Gives by how many nanoseconds of
    /// the device clock each packet of stream 0 that has become complete since the last call was seen late.
    fn wait(&mut self) -> Result<Vec<u64>, BenchError>;

    /// Lets it play for so long with as little of a guest as it can be without. Gives the CPU time that the
    /// guest took of this thread all the same.
    fn leave_alone(&mut self, time: Duration) -> Result<Duration, BenchError> {
        std::thread::sleep(time);
        Ok(Duration::ZERO)
    }

    /// What the card has counted since it was made.
    fn report(&self) -> SessionReport;

    /// Packets of all streams that were played. An error if what was played was not what is in the buffers,
    /// for then the figures are of something else.
    fn packets_played(&self) -> Result<u64, BenchError>;
}

/// A card of this kind with `streams` render streams whose packets are `packet_micros` long; nothing runs
/// yet.
pub fn playing_card(
    kind: CardKind,
    streams: u32,
    packet_micros: u32,
    marks: Marks,
) -> Result<Box<dyn PlayingCard>, BenchError> {
    Ok(match kind {
        CardKind::Ringwave => Box::new(ringwave::RingwaveCard::new(streams, packet_micros, marks)?),
        CardKind::Virtio => Box::new(virtio::VirtioGuest::new(streams, packet_micros)?),
        CardKind::Hda => Box::new(hda::HdaGuest::new(streams, packet_micros)?),
    })
}

/// Frames of a packet.
const fn packet_frames(packet_micros: u32) -> u32 {
    packet_micros * (RATE / 1000) / 1000
}

/// When packets of a stream end that began at a moment of the device clock, one after the other.
struct Ends {
    begin: u64,
    packet: u64,
    seen: u64,
}

impl Ends {
    /// Of packets of `micros` microseconds, from `begin` on.
    fn new(begin: u64, micros: u32) -> Self {
        Self { begin, packet: u64::from(micros) * 1000, seen: 0 }
    }

    /// The next `packets` were seen at `now`: by how much each was late.
    fn late(&mut self, packets: u64, now: u64) -> impl Iterator<Item = u64> + use<> {
        let (begin, packet, first) = (self.begin, self.packet, self.seen.saturating_add(1));
        self.seen = self.seen.saturating_add(packets);
        (first..first.saturating_add(packets))
            .map(move |end| now.saturating_sub(begin.saturating_add(end.saturating_mul(packet))))
    }
}

/// Whether a card has had time enough for what it does at once.
fn patience(begin: Instant, what: &str) -> Result<(), BenchError> {
    if begin.elapsed() < PATIENCE { Ok(()) } else { Err(BenchError::Card(what.to_owned())) }
}
