//! How a cyclic buffer is cut into messages, and how many of them a device gets ahead of the position.
//!
//! A message is a *piece*: whole frames, the same number of them (`period_bytes`) in each but the first after
//! D3. A packet is a whole number of pieces if its length can be divided so. The device reads a piece at once
//! when its turn comes, so that long ones freeze more of the buffer than short ones, and each costs an
//! interrupt and an exit.

use crate::hw::geometry::BufferGeometry;

/// Pieces per second: those of the longest and the shortest.
const LONGEST: u32 = 100;
const SHORTEST: u32 = 400;
/// A packet up to so long is one piece if it can't be cut evenly: 20 ms.
const WHOLE: u32 = 50;
/// How far ahead of the position a client's sound is fetched that only stores it: 30 ms. QEMU's card takes
/// 20 ms at once when it starts, then 10 ms each 10 ms; the rest is for the guest's own delays.
const AHEAD_MS: u32 = 30;

/// Frames of a piece of such a buffer.
pub fn piece_frames(rate: u32, geometry: &BufferGeometry) -> u32 {
    let packet = geometry.packet_frames();
    let quarter = packet.saturating_mul(geometry.packets) / 4;
    let most = (rate / LONGEST).min(quarter).max(1);
    let least = (rate / SHORTEST).max(1);
    // From the longest on; each is a packet divided evenly.
    let mut parts = packet.div_ceil(most)..=packet.checked_div(least).unwrap_or(1);
    let even = |parts: u32| packet.is_multiple_of(parts).then(|| packet.checked_div(parts)).flatten();
    match parts.find_map(even) {
        Some(piece) => piece,
        None if packet <= rate / WHOLE => packet,
        // The last piece of a packet reaches into the next, then, and waits until that is written.
        None => most,
    }
}

/// How far ahead of the position pieces are given to the device for a client that does not say what it has
/// written, in frames: whole pieces, at most half of the buffer. Without a buffer: the most.
pub fn frames_ahead(rate: u32, geometry: Option<&BufferGeometry>) -> u32 {
    let most = rate.saturating_mul(AHEAD_MS) / 1000;
    let Some(geometry) = geometry else { return most };
    let piece = piece_frames(rate, geometry);
    let half = geometry.packet_frames().saturating_mul(geometry.packets) / 2;
    let pieces = most.min(half).checked_div(piece).unwrap_or(0).max(1);
    pieces.saturating_mul(piece)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::hw::format::RATES;

    fn geometry(packet_frames: u32, packets: u32) -> BufferGeometry {
        BufferGeometry { bytes: packet_frames * packets * 4, packets, frame_bytes: 4 }
    }

    #[test]
    fn a_packet_is_cut_evenly() {
        for (rate, packet, packets, piece, ahead) in [
            (48_000, 480, 2, 240, 480),
            (48_000, 96, 2, 96, 96),
            (48_000, 960, 2, 480, 960),
            (44_100, 441, 2, 147, 441),
            (48_000, 4096, 1, 256, 1280),
            (48_000, 48_000, 2, 480, 1440),
            (48_000, 487, 2, 487, 487), // a prime number of frames
            (48_000, 4799, 2, 480, 1440),
        ] {
            let geometry = geometry(packet, packets);
            assert_eq!(
                (piece_frames(rate, &geometry), frames_ahead(rate, Some(&geometry))),
                (piece, ahead),
                "{packets} packets of {packet}"
            );
        }
        assert_eq!(frames_ahead(48_000, None), 1440);
    }

    proptest! {
        #[test]
        fn a_piece_is_some_frames_of_at_most_20_ms(
            rate in 0..RATES.len(), packet in 1_u32..200_000, packets in 1_u32..3
        ) {
            let (rate, geometry) = (RATES[rate], geometry(packet, packets));
            let piece = piece_frames(rate, &geometry);
            prop_assert!(piece >= 1 && piece <= (rate / WHOLE).max(1) && piece <= packet);
            let ahead = frames_ahead(rate, Some(&geometry));
            prop_assert!(ahead >= piece && ahead.is_multiple_of(piece));
            prop_assert!(ahead == piece || 2 * ahead <= packet * packets);
        }
    }
}
