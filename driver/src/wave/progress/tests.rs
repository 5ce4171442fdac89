//! Tests of [`super`]: the position of a capture stream, as a client sees it over time.

use super::*;
use crate::hw::Anchor;
use crate::hw::fake::{self, fifo_frames};

const RATE: u32 = 48_000;
const SECOND: u64 = 1_000_000_000;

/// Lags of the reported position behind the true one in milliseconds, sampled every 100 us of a second: a
/// card that wakes `late` us after the end of each piece, a buffer of two packets.
fn lags(packet: u32, late: u64) -> Vec<f64> {
    let fifo = fifo_frames(RATE, packet);
    let geometry = BufferGeometry { bytes: packet * 2 * 4, packets: 2, frame_bytes: 4 };
    let mut shared = StreamProgress { geometry: Some(geometry), fifo, ..StreamProgress::new(false) };
    let clock_of = |frame: u64| frame * SECOND / u64::from(RATE);
    let (mut stored, mut reported, mut before) = (0_u64, 0_u64, 0_u64);
    let mut lags = vec![];
    for now in (0..SECOND).step_by(100_000) {
        // Every piece that has ended is stored, when the card wakes; a piece ends with its packet.
        loop {
            let packet = u64::from(packet);
            let end = (stored + u64::from(fifo)).min((stored / packet + 1) * packet);
            if clock_of(end) + late * 1000 > now {
                break;
            }
            stored = end;
        }
        let mut status = fake::status();
        status.anchor =
            Anchor { clock: clock_of(stored), frame: stored, rate_num: RATE, rate_den: 1_000_000_000 };
        status.packet_count = u32::try_from(stored / u64::from(packet)).unwrap();
        shared.position.observe(status.anchor.clock, now);
        shared.position.at(status.anchor, now, stored + u64::from(packet));
        shared.store(&status);
        let offset = shared.stored_offset();
        // Unwrapped: it never goes back, so less than before is once around.
        reported += (offset + u64::from(geometry.bytes) - before) % u64::from(geometry.bytes) / 4;
        before = offset;
        assert!(reported <= stored, "{reported} frames are reported, {stored} are there");
        assert!(
            reported >= stored / u64::from(packet) * u64::from(packet),
            "a complete packet is not all there"
        );
        // From the second packet on.
        if now > 2 * clock_of(packet.into()) {
            #[allow(clippy::cast_precision_loss, reason = "frames of a second")]
            lags.push((now as f64 / 1e9 * f64::from(RATE) - reported as f64) * 1e3 / f64::from(RATE));
        }
    }
    lags
}

/// Mean, standard deviation, greatest distance from the mean.
#[allow(clippy::cast_precision_loss, reason = "ten thousand samples")]
fn spread(lags: &[f64]) -> (f64, f64, f64) {
    let mean = lags.iter().sum::<f64>() / lags.len() as f64;
    let square = lags.iter().map(|lag| (lag - mean).powi(2)).sum::<f64>() / lags.len() as f64;
    let most = lags.iter().map(|lag| (lag - mean).abs()).fold(0.0, f64::max);
    (mean, square.sqrt(), most)
}

#[test]
fn what_is_reported_is_there_and_smooth_enough_for_hlk() {
    // Packets of 1 ms to 100 ms, and one that the FIFO does not divide.
    for packet in [48, 96, 144, 240, 480, 500, 4800] {
        let (mean, deviation, most) = spread(&lags(packet, 0));
        assert!(mean < 2.2 && deviation < 0.7 && most < 2.2, "{packet}: {mean} {deviation} {most}");
        // The limits themselves, when the card wakes half a millisecond late each time.
        let (_, deviation, most) = spread(&lags(packet, 500));
        assert!(deviation <= 1.0 && most <= 4.0, "{packet}: {deviation} {most}");
    }
}

/// Of a card that is held up: a client that goes by the position must not be told that more was played than
/// the card has fetched.
#[test]
fn the_position_goes_a_fifo_beyond_the_anchor_or_with_packets_a_packet() {
    let geometry = BufferGeometry { bytes: 9600 * 4, packets: 1, frame_bytes: 4 };
    let mut shared = StreamProgress { geometry: Some(geometry), fifo: 480, ..StreamProgress::new(false) };
    let mut status = fake::status();
    status.anchor = Anchor { clock: 0, frame: 960, rate_num: RATE, rate_den: 1_000_000_000 };
    assert_eq!(shared.limit(&status), 1440);
    shared.notified = true;
    assert_eq!(shared.limit(&status), 10_560);
}

/// Of a card that is held up at the anchor, the furthest frame that is told to a client that goes by the
/// position.
fn furthest_at(shared: &StreamProgress, frame: u64) -> u64 {
    let mut status = fake::status();
    status.anchor = Anchor { clock: 0, frame, rate_num: RATE, rate_den: 1_000_000_000 };
    shared.limit(&status)
}

#[test]
fn the_position_ends_with_the_burst_that_the_card_has_fetched() {
    // 9700 frames are twenty pieces of 480 and one of 100: behind it the next time round begins, which is not
    // fetched yet.
    let geometry = BufferGeometry { bytes: 9700 * 4, packets: 1, frame_bytes: 4 };
    let mut shared = StreamProgress { geometry: Some(geometry), fifo: 480, ..StreamProgress::new(false) };
    for (anchor, fetched) in [(0, 480), (9120, 9600), (9600, 9700), (9700, 10_180), (19_300, 19_400)] {
        assert_eq!(furthest_at(&shared, anchor), fetched, "{anchor}");
    }
    // A RUN after a PAUSE within a piece: the piece keeps its end.
    assert_eq!((furthest_at(&shared, 100), furthest_at(&shared, 9650)), (480, 9700));
    // A stream that started within a packet: pieces count from there, up to the packet's end.
    shared.started = 1000;
    for (anchor, fetched) in [(1000, 1480), (1100, 1480), (1480, 1960), (9640, 9700), (9700, 10_180)] {
        assert_eq!(furthest_at(&shared, anchor), fetched, "{anchor}");
    }
    shared.reset();
    assert_eq!(furthest_at(&shared, 1000), 1440, "STOP forgets the start");
}

/// A counter of 10 MHz that has run for a hundred days is above 2^46, in nanoseconds above 2^52, and as many
/// frames times 10^9 do not fit in 64 bits.
#[test]
fn neither_a_hundred_days_nor_fifty_years_change_what_is_reported() {
    let geometry = BufferGeometry { bytes: 960 * 4, packets: 2, frame_bytes: 4 };
    for days in [0, 1, 100, 18_000_u64] {
        let seconds = days * 86_400;
        // The stream has run as long as the machine; the card an hour longer.
        let (packets, frame) = (seconds * 100 + 3, (seconds * 100 + 3) * 480);
        let ahead = 3600 * SECOND;
        let local_end = seconds * SECOND + 30_000_000;
        let mut shared = StreamProgress {
            geometry: Some(geometry),
            fifo: 96,
            notified: true,
            ..StreamProgress::new(true)
        };
        shared.counter_hz = 10_000_000;
        let mut status = fake::status();
        status.anchor = Anchor { clock: ahead + local_end, frame, rate_num: RATE, rate_den: 1_000_000_000 };
        (status.packet_clock, status.packet_start_clock) =
            (ahead + local_end, ahead + local_end - 10_000_000);
        status.packet_count = u32::try_from(packets & 0xFFFF_FFFF).unwrap();
        shared.packets.update_count(status.packet_count);
        // The interrupt comes 1 ms after the packet's end: 48 frames are played, and what began 10 ms before
        // its end began 11 ms ago.
        let counter = (local_end + 1_000_000) / 100;
        let now = scale(counter, 10_000_000, SECOND);
        shared.position.observe(status.anchor.clock, local_end);
        let reported = shared.position.at(status.anchor, now, frame + 480);
        assert_eq!(reported - frame, 48, "{days} days");
        assert_eq!(shared.position.device(now), Some(ahead + local_end + 1_000_000));
        let (read, first) = shared.read_packet(&status, 1_000_000_000, RATE).unwrap();
        assert_eq!(read.number, status.packet_count.wrapping_sub(1));
        assert_eq!(counter - first, 110_000, "{days} days");
    }
}

#[test]
fn the_position_of_a_recording_in_lockstep_ends_before_the_packet_that_the_card_waits_for() {
    let geometry = BufferGeometry { bytes: 960 * 4, packets: 2, frame_bytes: 4 };
    let mut shared =
        StreamProgress { geometry: Some(geometry), fifo: 96, notified: true, ..StreamProgress::new(true) };
    let mut status = fake::status();
    status.lockstep = true;
    status.anchor = Anchor { clock: 0, frame: 900, rate_num: RATE, rate_den: 1_000_000_000 };
    assert_eq!(shared.limit(&status), 960, "of two packets nothing was taken");
    shared.taken = Some(0);
    assert_eq!(shared.limit(&status), 1380, "a packet beyond the anchor");
    status.anchor.frame = 1200;
    assert_eq!(shared.limit(&status), 1440);
    // Started again at frame 4800, in packet 10: that changes nothing.
    (shared.taken, shared.started, status.anchor.frame) = (Some(9), 4800, 5700);
    assert_eq!(shared.limit(&status), 5760);
    (shared.taken, shared.started, status.anchor.frame) = (None, 500, 900);
    assert_eq!(shared.limit(&status), 960, "of two packets nothing was taken");
}

/// A card that had no power is started again at frame 2,000, in packet 4 (DATASHEET 5.6, 7.2): the times of
/// the packets around it are those of a stream that had played up to there.
#[test]
fn the_first_samples_of_packets_around_a_restart_lie_a_packet_apart() {
    const SECOND: u64 = 1_000_000_000;
    let geometry = BufferGeometry { bytes: 960 * 4, packets: 2, frame_bytes: 4 };
    let mut shared = StreamProgress {
        geometry: Some(geometry),
        notified: true,
        started: 2000,
        ..StreamProgress::new(true)
    };
    let mut status = fake::status();
    let packet = 480 * SECOND / u64::from(RATE);
    let in_packet = 80 * SECOND / u64::from(RATE);
    // RUN at 7 s; packet 3, of before, was not read, and none is complete since.
    shared.packets.update_count(4);
    (status.packet_count, status.packet_start_clock) = (4, 0);
    status.anchor = Anchor { clock: 7 * SECOND, frame: 2000, rate_num: RATE, rate_den: 1_000_000_000 };
    assert_eq!(
        shared.known_packet_start(&status, geometry, None, 1_000_000_000, RATE),
        (4, 7 * SECOND - in_packet)
    );
    // Packet 4 is complete: the card says when its first frame of this RUN came.
    shared.packets.update_count(5);
    (status.packet_count, status.packet_start_clock) = (5, 7 * SECOND);
    assert_eq!(
        shared.known_packet_start(&status, geometry, None, 1_000_000_000, RATE),
        (4, 7 * SECOND - in_packet)
    );
    shared.packets.update_count(6);
    let next = 7 * SECOND - in_packet + packet;
    (status.packet_count, status.packet_start_clock) = (6, next);
    assert_eq!(shared.known_packet_start(&status, geometry, None, 1_000_000_000, RATE), (5, next));
}

/// The same card while its page can't be read: what is known is when it was told to run, within packet 4.
#[test]
fn a_packet_of_a_run_that_is_not_told_of_begins_with_the_frame_it_is_timed_at() {
    let geometry = BufferGeometry { bytes: 480 * 2 * 4, packets: 2, frame_bytes: 4 };
    let run = Run { moment: Moment(70_000_000), frame: 2000, told: false };
    // A card that was started there, and one that went on there after a PAUSE.
    for (started, first) in [(2000, 70_000_000 - 80 * 10_000 / 48), (0, 70_000_000)] {
        let mut shared =
            StreamProgress { geometry: Some(geometry), started, run: Some(run), ..StreamProgress::new(true) };
        shared.counter_hz = 10_000_000;
        let starts = [4, 5].map(|number| shared.packet_start_in(run, number, geometry, RATE));
        let due: [u64; 2] = [first, 70_000_000 + 400 * 10_000 / 48];
        assert!(starts.iter().zip(due).all(|(is, due)| is.abs_diff(due) <= 1), "{starts:?}, {due:?} is due");
    }
}
