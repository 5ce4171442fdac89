//! What a stream is made with. A card's registers, or the requests of another card, fill it in and check it.

use super::validity::Validity;
use ringwave_audio::StreamFormat;

/// Which way the frames go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the client to the host.
    Render,
    /// From the host to the client.
    Capture,
}

/// Parameters of a stream that is set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamParams {
    /// Which way the frames go.
    pub direction: Direction,
    /// The client's buffer.
    pub geometry: BufferGeometry,
    /// How many frames are moved at once.
    pub bursts: BurstFrames,
    /// What is valid before the client says anything: [`Validity::Frame`] of 0 for one that queues its
    /// buffers.
    pub validity: Validity,
}

/// Lengths of bursts in frames, each from 1 to a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BurstFrames {
    /// Of a capture stream, and of a render stream that is not marked: how far ahead of the position is
    /// fetched.
    pub unmarked: u32,
    /// Of a packet that is valid when the burst begins.
    pub valid: u32,
    /// Of the silence while a packet is late: after each the stream looks again.
    pub late: u32,
}

/// A buffer whose numbers were checked: none of them is 0, and they divide each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BufferGeometry {
    /// Format of its frames.
    pub format: StreamFormat,
    /// Bytes of a frame.
    pub frame_bytes: u32,
    /// Length of the buffer in bytes.
    pub ring_bytes: u32,
    /// Packets in the buffer.
    pub packets: u32,
    /// Frames of a packet.
    pub packet_frames: u32,
}

impl BufferGeometry {
    /// Number of the packet that `frame` is in, modulo 2^32 as everywhere.
    pub fn packet(&self, frame: u64) -> u32 {
        low(frame.checked_div(u64::from(self.packet_frames)).unwrap_or(0))
    }

    /// Frames from the start of its packet to `frame`.
    pub fn in_packet(&self, frame: u64) -> u32 {
        low(frame.checked_rem(u64::from(self.packet_frames)).unwrap_or(0))
    }

    /// The frame at which the packet of `frame` ends.
    pub fn packet_end(&self, frame: u64) -> u64 {
        frame.saturating_add(u64::from(self.packet_frames.saturating_sub(self.in_packet(frame))))
    }

    /// Where `frame` lies in the cyclic buffer, in bytes.
    pub fn ring_offset(&self, frame: u64) -> u32 {
        let ring_frames = u64::from(self.packet_frames) * u64::from(self.packets);
        low(frame.checked_rem(ring_frames).unwrap_or(0)).saturating_mul(self.frame_bytes)
    }

    /// Length of a packet in bytes.
    pub fn packet_bytes(&self) -> u32 {
        self.packet_frames.saturating_mul(self.frame_bytes)
    }
}

/// The low half of a 64-bit value.
const fn low(value: u64) -> u32 {
    (value & 0xFFFF_FFFF) as u32
}
