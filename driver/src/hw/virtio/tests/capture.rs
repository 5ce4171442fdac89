//! Recording.

use super::*;

const RUN: [StreamState; 3] = [StreamState::Acquire, StreamState::Pause, StreamState::Run];
const PACKET: usize = 1920;

fn recorded(packet: usize) -> Vec<u8> {
    (packet * PACKET..(packet + 1) * PACKET).map(|byte| u8::try_from(byte % 251).unwrap()).collect()
}

/// A packet that is complete stands in the buffer until the next one is.
#[test]
fn a_complete_packet_can_be_read_while_the_next_is_recorded() {
    let fixture = Fixture::new();
    fixture.attach(CAPTURE, GEOMETRY);
    fixture.raise(CAPTURE, &RUN[..2]);
    assert_eq!(fixture.held(CAPTURE), 0);
    fixture.raise(CAPTURE, &RUN[2..]);
    for packet in 0..30 {
        assert_eq!(fixture.held(CAPTURE), 2);
        fixture.complete(CAPTURE, 2);
        let status = fixture.card.status(CAPTURE).unwrap();
        assert_eq!(status.packet_count, u32::try_from(packet).unwrap() + 1);
        assert!(
            status.packet_start_clock <= status.packet_clock && status.packet_clock <= status.anchor.clock
        );
        assert_eq!(fixture.pages.get(PACKET * (packet % 2), PACKET), recorded(packet));
    }
}

/// In lockstep nothing is recorded over that was not taken.
#[test]
fn in_lockstep_the_device_gets_what_was_taken() {
    let fixture = Fixture::new();
    fixture.attach(CAPTURE, GEOMETRY);
    fixture.raise(CAPTURE, &RUN[..2]);
    fixture.card.ask_lockstep(CAPTURE, true);
    fixture.raise(CAPTURE, &RUN[2..]);
    assert_eq!(fixture.held(CAPTURE), 4, "the whole buffer");
    fixture.complete(CAPTURE, 4);
    let status = fixture.card.status(CAPTURE).unwrap();
    assert_eq!((status.packet_count, status.stalled_on, status.lockstep), (2, Some(2), true));
    for packet in 0..20_usize {
        assert_eq!(fixture.pages.get(PACKET * (packet % 2), PACKET), recorded(packet));
        assert!(fixture.card.mark(CAPTURE, mark(u32::try_from(packet).unwrap()), 0, false));
        assert_eq!(fixture.held(CAPTURE), 2);
        fixture.complete(CAPTURE, 2);
    }
}

/// A guest that is late for a message says nothing about the device: the packet in it has begun at its time,
/// and so has the next one. A device that stands still does.
#[test]
fn packets_are_told_to_begin_at_their_times_whoever_is_late() {
    const MS: u64 = 10_000;
    for (late, stands) in [(8 * MS, 0), (25 * MS, 0), (0, 300 * MS)] {
        let fixture = Fixture::new();
        host::pass_time_100ns(0);
        fixture.attach(CAPTURE, GEOMETRY);
        fixture.raise(CAPTURE, &RUN[..2]);
        fixture.card.ask_lockstep(CAPTURE, true);
        fixture.raise(CAPTURE, &RUN[2..]);
        let (mut passed, mut starts) = (0, vec![]);
        for piece in 0..60_u32 {
            let due = 5 * MS * u64::from(piece + 1) + if piece >= 20 { stands } else { 0 };
            // From packet 10 on the guest is late, until it has caught up.
            let seen = due.max(if piece >= 20 { 105 * MS + late } else { 0 });
            host::pass_time_100ns(seen - passed);
            passed = seen;
            fixture.complete(CAPTURE, 1);
            if piece % 2 == 1 {
                starts.push(fixture.card.status(CAPTURE).unwrap().packet_start_clock);
                assert!(fixture.card.mark(CAPTURE, mark(piece / 2), 0, false));
            }
        }
        for (packet, pair) in starts.windows(2).enumerate() {
            let (apart, stood) = (pair[1] - pair[0], if packet == 9 { stands } else { 0 });
            let off = apart.abs_diff(10 * MS + stood);
            assert!(off < 5 * MS, "late by {late}: packets {packet} and the next are {apart} apart");
        }
    }
}

/// Virtual machines that are moved see their counter go back: what was recorded before has its moments behind
/// it all the same, a packet apart, and the position goes on.
#[test]
fn a_counter_that_goes_back_brings_no_packets_together() {
    let fixture = Fixture::new();
    host::pass_time_100ns(10_000_000);
    fixture.attach(CAPTURE, GEOMETRY);
    fixture.raise(CAPTURE, &RUN);
    let mut before = None;
    for packet in 0..6_u64 {
        host::pass_time_100ns(50_000);
        fixture.complete(CAPTURE, 1);
        if packet == 3 {
            host::turn_back_100ns(500_000);
        }
        let at = fixture.card.status(CAPTURE).unwrap().anchor.frame;
        host::pass_time_100ns(50_000);
        let status = fixture.card.status(CAPTURE).unwrap();
        assert_eq!(status.anchor.frame - at, 240, "packet {packet}: the position stands");
        // The moment of the packet before, as it is told now.
        let told = status.packet_clock;
        fixture.complete(CAPTURE, 1);
        let status = fixture.card.status(CAPTURE).unwrap();
        if before.replace(status.packet_clock).is_some() {
            assert_eq!(status.packet_clock - told, 100_000, "packet {packet}");
        }
    }
}

#[test]
fn what_is_told_lags_by_a_piece_at_most() {
    let fixture = Fixture::new();
    fixture.attach(CAPTURE, GEOMETRY);
    fixture.raise(CAPTURE, &RUN);
    std::thread::sleep(std::time::Duration::from_millis(20));
    let fifo = u64::from(fixture.card.fifo_frames(CAPTURE, 48_000, Some(&GEOMETRY)));
    // Nothing came back: what is more than a FIFO behind the position is not there either.
    assert_eq!(fixture.card.status(CAPTURE).unwrap().anchor.frame, fifo);
}

#[test]
fn a_capture_that_never_completes_hangs_nothing() {
    let fixture = Fixture::new();
    fixture.attach(CAPTURE, GEOMETRY);
    fixture.raise(CAPTURE, &RUN);
    fixture.raise(CAPTURE, &[StreamState::Stop]);
    assert_eq!(fixture.held(CAPTURE), 0);
    assert!(fixture.card.detach(CAPTURE));
}

#[test]
fn a_short_message_is_a_fault() {
    let fixture = Fixture::new();
    fixture.attach(CAPTURE, GEOMETRY);
    fixture.raise(CAPTURE, &RUN);
    fixture.device.with(|inside| {
        let message = inside.sound.streams[1].held.pop_front().unwrap();
        inside.push(3, message.head.into(), 8);
    });
    fixture.dpc();
    assert_eq!(fixture.card.status(CAPTURE).unwrap().error, Some("a short message"));
}
