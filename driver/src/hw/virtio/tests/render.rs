//! Playing: what the device gets, when, and what is told of it.

use super::*;

pub(super) const RUN: [StreamState; 3] = [StreamState::Acquire, StreamState::Pause, StreamState::Run];

/// Bytes of a packet.
pub(super) const PACKET: usize = 1920;

pub(super) fn packet(number: u8) -> Vec<u8> {
    (0..PACKET).map(|byte| number.wrapping_mul(37) ^ u8::try_from(byte % 253).unwrap()).collect()
}

/// A client that marks its packets plays them bit by bit, whatever the device's features and queue sizes are.
#[test]
fn packets_are_played_whole_and_in_order() {
    for (features, queue_size) in [
        (u64::MAX, 64),
        (!(1 << 28), 64),
        (!(1 << 29), 64),
        (!(3 << 28), 16),
        (u64::MAX, 8),
        (u64::MAX, 1024),
    ] {
        let device = SimulatedDevice::new();
        device.with(|inside| (inside.offered, inside.queue_size) = (inside.offered & features, queue_size));
        let mut fixture = Fixture::of(device, 1);
        fixture.attach(RENDER, GEOMETRY);
        fixture.raise(RENDER, &RUN[..2]);
        fixture.card.ask_lockstep(RENDER, true);
        let mut expected = vec![];
        let mut write = |fixture: &mut Fixture, number: u8| {
            fixture.pages.set(PACKET * usize::from(number % 2), &packet(number));
            assert!(fixture.card.mark(RENDER, mark(number.into()), 0, false));
            expected.extend(packet(number));
        };
        write(&mut fixture, 0);
        fixture.raise(RENDER, &RUN[2..]);
        write(&mut fixture, 1);
        for next in 0..40_u8 {
            while fixture.card.status(RENDER).unwrap().packet_count == u32::from(next) {
                fixture.complete(RENDER, 1);
            }
            write(&mut fixture, next + 2);
        }
        while fixture.held(RENDER) > 0 {
            fixture.complete(RENDER, 1);
        }
        let played = fixture.device.with(|inside| inside.sound.streams[0].played.clone());
        assert!(played == expected, "{} of {} bytes", played.len(), expected.len());
        let status = fixture.card.status(RENDER).unwrap();
        assert_eq!((status.packet_count, status.stalled_on, status.error), (42, Some(42), None));
        assert_eq!(status.anchor.frame, 42 * 480);
    }
}

/// Without marks a fixed depth is ahead of what was played, and never more: what a client stores behind it in
/// time is heard.
#[test]
fn a_client_that_only_stores_is_fetched_at_its_depth() {
    let geometry = BufferGeometry { bytes: 4096 * 4, packets: 1, frame_bytes: 4 };
    let mut fixture = Fixture::new();
    fixture.attach(RENDER, geometry);
    let ahead = fixture.card.fifo_frames(RENDER, 48_000, Some(&geometry));
    assert_eq!(ahead, 1280);
    fixture.raise(RENDER, &RUN[..2]);
    assert_eq!(fixture.held(RENDER), 0, "nothing is fetched before RUN");
    fixture.raise(RENDER, &RUN[2..]);
    let period = 256 * 4;
    for piece in 0..100_usize {
        assert_eq!(fixture.held(RENDER), 5, "piece {piece}");
        let position = fixture.card.status(RENDER).unwrap().anchor.frame;
        assert!((piece * 256..=piece * 256 + 1280).contains(&usize::try_from(position).unwrap()));
        // Right behind what the device has.
        let at = (piece + 5) * period;
        let bytes: Vec<u8> = (at..at + period).map(|byte| u8::try_from(byte % 239).unwrap()).collect();
        fixture.pages.set(at % (4096 * 4), &bytes);
        fixture.complete(RENDER, 1);
    }
    let played = fixture.device.with(|inside| inside.sound.streams[0].played.clone());
    let expected = (5 * period..100 * period).map(|byte| u8::try_from(byte % 239).unwrap());
    assert!(played[5 * period..].iter().copied().eq(expected));
    assert_eq!(fixture.card.status(RENDER).unwrap().stalled_on, None);
}

#[test]
fn the_end_of_a_stream_is_silent_behind_its_last_frame() {
    let mut fixture = Fixture::new();
    fixture.attach(RENDER, GEOMETRY);
    fixture.raise(RENDER, &RUN[..2]);
    fixture.card.ask_lockstep(RENDER, true);
    fixture.pages.set(0, &packet(1));
    assert!(fixture.card.mark(RENDER, Mark { number: 0, end_of_stream: Some(1000) }, 0, false));
    fixture.raise(RENDER, &RUN[2..]);
    fixture.complete(RENDER, 2);
    let mut expected = packet(1);
    expected[1000..].fill(0);
    assert_eq!(fixture.device.with(|inside| inside.sound.streams[0].played.clone()), expected);
    assert_eq!(fixture.card.status(RENDER).unwrap().packet_count, 1);
}

#[test]
fn pause_keeps_what_the_device_has_and_stop_gives_it_back() {
    let mut fixture = Fixture::new();
    fixture.attach(RENDER, GEOMETRY);
    fixture.raise(RENDER, &RUN[..2]);
    fixture.card.ask_lockstep(RENDER, true);
    fixture.pages.set(0, &packet(0));
    assert!(fixture.card.mark(RENDER, mark(0), 0, false));
    fixture.raise(RENDER, &RUN[2..]);
    fixture.complete(RENDER, 1);
    fixture.raise(RENDER, &[StreamState::Pause]);
    assert_eq!((fixture.device_state(RENDER), fixture.held(RENDER)), (state::STOPPED, 1));
    let paused = fixture.card.status(RENDER).unwrap();
    assert_eq!(paused.anchor.rate_num, 0);
    assert!((240..=480).contains(&paused.anchor.frame));
    std::thread::sleep(std::time::Duration::from_millis(5));
    assert_eq!(fixture.card.status(RENDER).unwrap().anchor.frame, paused.anchor.frame, "it stands");
    fixture.raise(RENDER, &[StreamState::Acquire, StreamState::Pause, StreamState::Run]);
    fixture.complete(RENDER, 1);
    assert_eq!(fixture.device.with(|inside| inside.sound.streams[0].played.clone()), packet(0));
    // What comes back at STOP was not played.
    assert!(fixture.card.mark(RENDER, mark(1), 0, false));
    fixture.raise(RENDER, &[StreamState::Stop]);
    assert_eq!((fixture.device_state(RENDER), fixture.held(RENDER)), (state::PARAMETERS, 0));
    let stopped = fixture.card.status(RENDER).unwrap();
    assert_eq!((stopped.packet_count, stopped.anchor.frame), (0, 0));
    assert!(fixture.card.detach(RENDER));
}

#[test]
fn the_position_moves_with_time_and_never_past_what_the_device_has() {
    let fixture = Fixture::new();
    host::pass_time_100ns(0);
    fixture.attach(RENDER, GEOMETRY);
    fixture.raise(RENDER, &RUN[..2]);
    fixture.card.ask_lockstep(RENDER, true);
    assert!(fixture.card.mark(RENDER, mark(0), 0, false));
    fixture.raise(RENDER, &RUN[2..]);
    let position = || fixture.card.status(RENDER).unwrap().anchor.frame;
    let mut last = 0;
    for _ in 0..10 {
        host::pass_time_100ns(20_000);
        let now = position();
        assert!(now >= last && now <= 480, "{now}");
        last = now;
    }
    assert_eq!(last, 480, "20 ms have passed");
    fixture.complete(RENDER, 2);
    // The client comes late: time goes on from where it stood.
    host::pass_time_100ns(300_000);
    assert_eq!(position(), 480);
    assert!(fixture.card.mark(RENDER, mark(1), 0, false));
    assert_eq!(position(), 480, "it jumped");
    host::pass_time_100ns(20_000);
    assert_eq!(position(), 480 + 96);
}

#[test]
fn a_fault_of_the_device_is_told() {
    let fixture = Fixture::new();
    fixture.attach(RENDER, GEOMETRY);
    fixture.raise(RENDER, &RUN);
    fixture.device.with(|inside| inside.sound.streams[0].fault = 0x8003);
    fixture.complete(RENDER, 1);
    let status = fixture.card.status(RENDER).unwrap();
    assert_eq!((status.error, status.dma_faults), (Some("IO_ERR"), 1));
}

#[test]
fn a_format_that_the_device_does_not_take_is_an_error_and_no_more() {
    let fixture = Fixture::new();
    let pages = fixture.pages.addresses();
    fixture.card.attach(RENDER, &pages.as_slice(), GEOMETRY.bytes).unwrap();
    let surround = AudioFormat { channels: 6, ..FORMAT };
    assert!(
        fixture.card.configure(RENDER, surround, BufferGeometry { frame_bytes: 12, ..GEOMETRY }).is_err()
    );
    assert!(log().contains("NOT_SUPP"));
    assert_eq!(fixture.card.state(RENDER), Some(StreamState::Stop));
    fixture.card.configure(RENDER, FORMAT, GEOMETRY).unwrap();
    fixture.raise(RENDER, &RUN);
}

#[test]
fn what_was_not_given_is_a_lie_and_the_device_is_gone() {
    for head in [0_u32, 1, 63, 64, u32::MAX] {
        let fixture = Fixture::new();
        fixture.attach(RENDER, GEOMETRY);
        fixture.raise(RENDER, &RUN[..2]);
        let _ = log();
        fixture.device.with(|inside| inside.push(2, head, 8));
        fixture.dpc();
        assert!(log().contains("on queue 2 it gave back what it was not given"));
        assert_eq!((fixture.card.state(RENDER), fixture.card.status(RENDER)), (None, None));
        assert!(fixture.card.set_state(RENDER, StreamState::Run).is_err() && !fixture.card.is_present());
    }
}
