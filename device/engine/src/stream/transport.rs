//! The client's side of a stream: where its frames lie, what the client says of them, and what it is told.
//!
//! A card implements both traits for each of its streams. Ringwave has a snapshot of a cyclic buffer in guest
//! memory, a mark page and registers; virtio chains of descriptors that are valid as far as they are queued;
//! HD Audio a BDL, a list of byte ranges that may split a frame. The stream knows frames only: how they lie
//! in bytes is the transport's.

use super::counters::Counters;
use super::validity::{Mark, Refresh, Validity};

/// Why frames could not be moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransportError {
    /// The card may not access memory now (Bus Master Enable is off).
    NotPermitted,
    /// There is no memory where the frames are to be.
    Unreachable,
}

/// Where the frames of one stream lie. `frame` counts like the position, from STOP on: the transport knows
/// its place.
pub trait FrameTransport {
    /// Render: copies frames from `frame` on into all of `into`, whole frames. After an error what is in
    /// `into` is not specified. The stream asks for each frame once, in order, and never beyond the packet
    /// that `frame` is in.
    fn read(&mut self, frame: u64, into: &mut [u8]) -> Result<(), TransportError>;

    /// Capture: stores `from`, whole frames, from `frame` on. In order and within a packet, like
    /// [`Self::read`].
    fn write(&mut self, frame: u64, from: &[u8]) -> Result<(), TransportError>;

    /// The frame before which a burst that begins at `frame` has to end, if the client is to be told of it:
    /// the end of a buffer of virtio, of an entry with IOC of HD Audio (rounded up to the frame that
    /// completes it). Greater than `frame`.
    fn boundary(&self, frame: u64) -> Option<u64> {
        let _ = frame;
        None
    }
}

/// What a stream tells its client, in the order in which it happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamEvent {
    /// A packet is complete: so many are since STOP, this one included, modulo 2^32.
    PacketEnd {
        /// `PACKET_COUNT`.
        count: u32,
    },
    /// The stream ends, and its last packet was complete already: no packet counts, but a client that waits
    /// must wake up.
    EndBehind,
    /// The end of the stream is reached.
    Ended,
    /// The stream waits for a packet.
    Stall {
        /// Its number.
        packet: u32,
    },
    /// [`FrontEnd::refresh`] has found a new mark.
    MarkSeen {
        /// What it says.
        valid: Validity,
        /// Why it was looked.
        why: Refresh,
    },
    /// A packet was not valid in time and is silent, at least in part. Once for each packet.
    Underrun {
        /// Its number.
        packet: u32,
    },
    /// A captured packet was stored over before the client took it.
    Overrun {
        /// Its number.
        packet: u32,
    },
    /// Frames could not be moved: silence instead.
    Fault(TransportError),
}

/// The client of one stream: its frames, what it says, and how it is told what happens.
pub trait FrontEnd: FrameTransport {
    /// Looks what the client has said; gives the last of it, whether it is new or not.
    fn refresh(&mut self, why: Refresh) -> Option<Mark>;

    /// The stream is about to stall and will look once more: a client that says something after that look
    /// must be able to see that the stream waits.
    fn announce_wait(&mut self) {}

    /// A packet begins, and the client has not said that it is there. The stream looks once more before it
    /// takes it for late: a client that says so after that look must be able to see that `count` packets are
    /// complete. By default nothing: a client that is told of no packets sees none begin.
    fn announce_packet(&mut self, _count: u32, _counters: &Counters) {}

    /// Something has happened.
    fn notify(&mut self, event: StreamEvent);
}
