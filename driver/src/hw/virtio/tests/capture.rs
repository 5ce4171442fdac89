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
