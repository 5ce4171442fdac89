//! The shape of a cyclic buffer: how large it gets (the rules of WAVERT.md 4.4), and where in it a frame is.

use super::format::AudioFormat;
use nt::NTSTATUS;
use nt::status::{STATUS_INVALID_PARAMETER, STATUS_UNSUCCESSFUL};

/// Most packets (notifications) per cyclic buffer.
pub const PACKETS_MAX: u32 = 2;

/// The shape of a cyclic buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BufferGeometry {
    /// Its length; a multiple of `packets * frame_bytes`.
    pub bytes: u32,
    /// Packets in it: 1 or 2.
    pub packets: u32,
    /// Bytes of a frame, not 0.
    pub frame_bytes: u32,
}

impl BufferGeometry {
    /// The buffer for a request of `requested` bytes with `packets` packets: packets of at least
    /// `packet_frames_min` frames, at most `max_bytes` in all.
    ///
    /// Never smaller than what was requested (WASAPI refuses that): a request is rounded up to whole frames
    /// in each packet, and to the card's shortest packet.
    ///
    /// # Errors
    /// `STATUS_INVALID_PARAMETER` for a packet count other than 1 or 2 and a size that the count does not
    /// divide; `STATUS_UNSUCCESSFUL` for a size below one frame or above `max_bytes`.
    pub fn for_request(
        requested: u32,
        packets: u32,
        format: AudioFormat,
        packet_frames_min: u32,
        max_bytes: u32,
    ) -> Result<Self, NTSTATUS> {
        let frame_bytes = format.frame_bytes();
        if !(1..=PACKETS_MAX).contains(&packets) {
            return Err(STATUS_INVALID_PARAMETER);
        }
        if frame_bytes == 0 || requested < frame_bytes {
            return Err(STATUS_UNSUCCESSFUL);
        }
        if !requested.is_multiple_of(packets) {
            return Err(STATUS_INVALID_PARAMETER);
        }
        let unit = packets.saturating_mul(frame_bytes);
        let bytes = requested
            .max(unit.saturating_mul(packet_frames_min))
            .checked_next_multiple_of(unit)
            .filter(|bytes| *bytes <= max_bytes)
            .ok_or(STATUS_UNSUCCESSFUL)?;
        Ok(Self { bytes, packets, frame_bytes })
    }

    /// Bytes of a packet.
    pub const fn packet_bytes(&self) -> u32 {
        match self.bytes.checked_div(self.packets) {
            Some(bytes) => bytes,
            None => self.bytes,
        }
    }

    /// Frames of a packet, at least 1.
    pub const fn packet_frames(&self) -> u32 {
        match self.packet_bytes().checked_div(self.frame_bytes) {
            Some(frames) if frames > 0 => frames,
            _ => 1,
        }
    }

    /// The byte offset in the buffer of the frame with number `frame` since STOP.
    pub fn offset_of(&self, frame: u64) -> u64 {
        let frames = u64::from(self.packet_frames()).saturating_mul(u64::from(self.packets)).max(1);
        (frame % frames).saturating_mul(u64::from(self.frame_bytes))
    }

    /// The packet that holds the frame with number `frame` since STOP, modulo 2^32.
    pub fn packet_of(&self, frame: u64) -> u32 {
        wrap(frame / u64::from(self.packet_frames()))
    }

    /// The frame, counted since STOP, `frames` after the begin of packet `number`; of all packets with that
    /// number modulo 2^32 the one nearest to frame `near` (and 0 for one before STOP).
    pub fn frame_in_packet(&self, number: u32, frames: u32, near: u64) -> u64 {
        let packet = near / u64::from(self.packet_frames());
        let ahead = i64::from(number.wrapping_sub(wrap(packet)).cast_signed());
        packet.checked_add_signed(ahead).map_or(0, |packet| {
            packet.saturating_mul(u64::from(self.packet_frames())).saturating_add(frames.into())
        })
    }
}

/// A packet's index since STOP as its number.
const fn wrap(packet: u64) -> u32 {
    (packet & 0xFFFF_FFFF) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hw::format::SampleFormat;

    const MAX: u32 = 16 << 20;
    const STEREO: AudioFormat = AudioFormat { sample: SampleFormat::S16, channels: 2, rate: 48_000 };
    const MONO: AudioFormat = AudioFormat { sample: SampleFormat::S16, channels: 1, rate: 44_100 };

    #[test]
    fn whole_requests_are_exact() {
        for (requested, packets, format) in
            [(3840, 2, STEREO), (1764, 2, MONO), (1764, 1, STEREO), (MAX, 2, STEREO)]
        {
            assert_eq!(
                BufferGeometry::for_request(requested, packets, format, format.rate / 1000, MAX)
                    .unwrap()
                    .bytes,
                requested
            );
        }
    }

    #[test]
    fn never_smaller_than_requested_and_whole_frames_in_each_packet() {
        for requested in (4..2000).step_by(2) {
            for (packets, format) in [(1, MONO), (2, MONO), (1, STEREO), (2, STEREO)] {
                let geometry =
                    BufferGeometry::for_request(requested, packets, format, format.rate / 1000, MAX).unwrap();
                let unit = packets * format.frame_bytes();
                let least = unit * format.rate.div_euclid(1000);
                assert!(geometry.bytes >= requested && geometry.bytes < requested.max(least + 1) + unit);
                assert_eq!(geometry.bytes % unit, 0);
                // The card refuses packets below a millisecond.
                assert!(geometry.packet_frames() >= format.rate / 1000);
            }
        }
    }

    #[test]
    fn refuses_what_the_contract_refuses() {
        let refused = |requested, packets| {
            BufferGeometry::for_request(requested, packets, STEREO, 48, MAX).unwrap_err()
        };
        for packets in [0, 3, u32::MAX] {
            assert_eq!(refused(3840, packets), STATUS_INVALID_PARAMETER);
        }
        assert_eq!(refused(3841, 2), STATUS_INVALID_PARAMETER);
        for size in [0, 3, MAX + 1, u32::MAX - 1] {
            assert_eq!(refused(size, 1), STATUS_UNSUCCESSFUL, "{size}");
        }
    }

    #[test]
    fn offsets_and_packets_wrap_with_the_ring() {
        let geometry = BufferGeometry::for_request(3840, 2, STEREO, 48, MAX).unwrap();
        assert_eq!((geometry.packet_bytes(), geometry.packet_frames()), (1920, 480));
        for (frame, offset, packet) in [(0, 0, 0), (479, 1916, 0), (480, 1920, 1), (960, 0, 2), (961, 4, 2)] {
            assert_eq!((geometry.offset_of(frame), geometry.packet_of(frame)), (offset, packet));
        }
        assert_eq!(geometry.packet_of(480 << 32), 0);
    }

    #[test]
    fn a_packet_number_is_the_nearest_packet_with_it() {
        let geometry = BufferGeometry::for_request(3840, 2, STEREO, 48, MAX).unwrap();
        assert_eq!(geometry.frame_in_packet(3, 10, 0), 3 * 480 + 10);
        assert_eq!(geometry.frame_in_packet(1, 480, 5 * 480), 2 * 480);
        let wrapped = (1 << 32) * 480;
        assert_eq!(geometry.frame_in_packet(1, 0, wrapped - 480), wrapped + 480);
        assert_eq!(geometry.frame_in_packet(u32::MAX, 0, wrapped), wrapped - 480);
        assert_eq!(geometry.frame_in_packet(u32::MAX, 7, 0), 0);
    }
}
