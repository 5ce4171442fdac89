//! Capture: what a client that records is told, and what the card is.

use super::*;
use crate::hw::Anchor;

/// A stream that captures, with its buffer.
fn microphone(lockstep: bool) -> Fixture {
    fixture_of(&FakeCard::default(), 1, RegistryConfig { lockstep, ..RegistryConfig::default() })
}

/// Number, flags, and whether there is more.
fn read(fixture: &Fixture) -> Result<(u32, u32, i32), nt::NTSTATUS> {
    let (mut number, mut flags, mut counter, mut more) = (7, 7, 7, 7);
    fixture
        .stream
        .get_read_packet(
            Out::new(&mut number),
            Out::new(&mut flags),
            Out::new(&mut counter),
            Out::new(&mut more),
        )
        .map(|()| (number, flags, more))
}

fn marks(fixture: &Fixture) -> Vec<u32> {
    let calls = fixture.card.take_calls();
    calls
        .iter()
        .filter_map(|call| if let RecordedCall::Mark(number) = call { Some(*number) } else { None })
        .collect()
}

#[test]
fn packets_are_read_in_order_and_what_came_before_is_taken() {
    let fixture = microphone(false);
    assert_eq!(read(&fixture), Err(STATUS_NOT_SUPPORTED), "no buffer");
    fixture.allocate();
    assert_eq!(read(&fixture), Err(STATUS_INVALID_DEVICE_STATE), "in STOP");
    fixture.go(&[ACQUIRE, PAUSE, RUN]);
    fixture.card.report(|status| status.anchor.rate_num = 1);
    assert_eq!(read(&fixture), Err(STATUS_DEVICE_NOT_READY), "nothing was recorded yet");
    assert!(marks(&fixture).is_empty());
    fixture.complete(1);
    assert_eq!(read(&fixture), Ok((0, 0, 0)));
    assert_eq!(read(&fixture), Err(STATUS_DEVICE_NOT_READY));
    fixture.complete(4);
    assert_eq!(read(&fixture), Ok((3, 0, 0)), "those before were recorded over");
    assert_eq!(
        marks(&fixture),
        [0, 3],
        "what was read in time is not lost: a card that does not wait counts"
    );
    fixture.go(&[PAUSE, ACQUIRE, STOP, ACQUIRE, PAUSE, RUN]);
    fixture.complete(1);
    assert_eq!(read(&fixture), Ok((0, 0, 0)), "numbers begin anew");
}

#[test]
fn a_card_that_waits_has_both_packets() {
    let fixture = microphone(true);
    fixture.allocate();
    fixture.go(&[ACQUIRE, PAUSE, RUN]);
    assert_eq!(fixture.asked(), [true], "the card is to wait");
    fixture.card.report(|status| {
        (status.lockstep, status.stalled_on) = (true, Some(2));
    });
    fixture.complete(2);
    assert_eq!(read(&fixture), Ok((0, 0, 1)));
    assert_eq!(read(&fixture), Ok((1, 0, 0)));
    assert_eq!(
        marks(&fixture),
        [u32::MAX, 0],
        "reading the first has taken nothing yet (DATASHEET 5.3), the second has taken it"
    );
}

/// An idle device goes to D3 in PAUSE. The client asks only then, and once more when power is back.
#[test]
fn a_paused_recording_stands_at_one_position_with_power_and_without() {
    let fixture = microphone(false);
    fixture.allocate();
    fixture.go(&[ACQUIRE, PAUSE, RUN]);
    fixture.card.report(|status| status.anchor.frame = 300);
    assert_eq!(fixture.position(), 300 * 4);
    fixture.card.report(|status| status.anchor.frame = 441);
    fixture.go(&[PAUSE]);
    fixture.card.change(|inside| inside.asleep = true);
    assert_eq!(fixture.position(), 441 * 4);
    fixture.card.change(|inside| inside.asleep = false);
    assert_eq!(fixture.position(), 441 * 4);
}

/// S4 in the midst of two packets. No event comes for the second: it is given without power, from a card that
/// was reset and is not yet told where the stream stands, and not from one that is gone.
#[test]
fn a_packet_that_was_promised_is_given_without_power_too() {
    let promised = || {
        let fixture = microphone(true);
        fixture.allocate();
        fixture.go(&[ACQUIRE, PAUSE, RUN]);
        fixture.card.report(|status| (status.lockstep, status.stalled_on) = (true, Some(2)));
        fixture.complete(2);
        assert_eq!(read(&fixture), Ok((0, 0, 1)));
        fixture
    };
    let fixture = promised();
    fixture.card.change(|inside| inside.asleep = true);
    assert_eq!(read(&fixture), Ok((1, 0, 0)));
    assert_eq!(read(&fixture), Err(STATUS_DEVICE_NOT_READY));
    let fixture = promised();
    fixture.card.change(|inside| inside.status = Some(crate::hw::fake::status()));
    assert_eq!(read(&fixture), Ok((1, 0, 0)));
    let fixture = promised();
    fixture.card.change(|inside| inside.gone = true);
    assert_eq!(read(&fixture), Err(STATUS_DEVICE_NOT_READY));
}

/// DATASHEET 7: what changes under every reading is what it was before.
#[test]
fn a_page_that_is_torn_under_every_reading_takes_neither_a_packet_nor_its_event_away() {
    let fixture = microphone(true);
    fixture.allocate();
    let event = fixture.register_event();
    let torn = |torn| fixture.card.change(|inside| inside.torn = torn);
    torn(true);
    fixture.go(&[ACQUIRE, PAUSE, RUN]);
    fixture.complete(1);
    assert!(event.signalled(), "the interrupt does not come again");
    assert_eq!(
        read(&fixture),
        Err(STATUS_DEVICE_NOT_READY),
        "nothing is known of it yet but that it is there"
    );
    torn(false);
    fixture.card.report(|status| status.lockstep = true);
    assert_eq!(read(&fixture), Ok((0, 0, 0)));
    torn(true);
    fixture.card.report(|status| status.stalled_on = Some(3));
    fixture.complete(3);
    assert!(event.signalled());
    assert_eq!(read(&fixture), Ok((1, 0, 1)), "the card waits before it records over it");
    assert_eq!(read(&fixture), Ok((2, 0, 0)), "it was promised");
    assert_eq!(read(&fixture), Err(STATUS_DEVICE_NOT_READY));
    assert!(!event.signalled(), "once for what is complete");
}

/// The time of the next packet, which is there.
fn time(fixture: &Fixture) -> u64 {
    let (mut number, mut flags, mut counter, mut more) = (7, 7, 7, 7);
    let (number, flags, more) = (Out::new(&mut number), Out::new(&mut flags), Out::new(&mut more));
    fixture.stream.get_read_packet(number, flags, Out::new(&mut counter), more).unwrap();
    counter
}

/// Reads the next two: whether they began a packet of 10 ms apart. `between` is done between the two.
fn are_a_packet_apart(fixture: &Fixture, between: impl FnOnce()) -> bool {
    let first = time(fixture);
    between();
    let packet = u64::try_from(nt::clock::frequency()).unwrap() / 100;
    time(fixture).checked_sub(first).is_some_and(|apart| apart.abs_diff(packet) <= 1)
}

/// Its time, from the packet before.
#[test]
fn a_packet_of_a_torn_page_began_a_packet_after_the_one_before() {
    let fixture = microphone(false);
    fixture.allocate();
    fixture.go(&[ACQUIRE, PAUSE, RUN]);
    fixture.card.report(|status| {
        status.anchor.clock = 9_000_000_000;
        status.packet_start_clock = 8_990_000_000;
    });
    fixture.complete(1);
    assert!(are_a_packet_apart(&fixture, || {
        fixture.card.change(|inside| inside.torn = true);
        fixture.complete(2);
    }));
}

/// Whether the next packet, which is there, began when RUN was called or later. `before` is what was read of
/// the page when it was: then it can't be read for changing, which a line interrupt brings about on a busy
/// host.
fn begins_with_the_run(fixture: &Fixture, complete: u32, before: impl FnOnce()) -> bool {
    let packet = std::time::Duration::from_millis(10);
    std::thread::sleep(packet * 3);
    let run = Moment::now().0;
    before();
    fixture.card.change(|inside| inside.torn = true);
    fixture.go(&[RUN]);
    fixture.complete(complete);
    let due = run..=Moment::now().0 + u64::try_from(nt::clock::frequency()).unwrap() / 100;
    due.contains(&time(fixture))
}

#[test]
fn a_packet_of_a_page_that_is_torn_since_the_run_began_with_it() {
    const CLOCK: u64 = 1 << 60;
    let refused = |fixture: &Fixture| assert_eq!(read(fixture), Err(STATUS_DEVICE_NOT_READY));
    let moving = |fixture: &Fixture, frame: u64| {
        fixture.card.report(|status| {
            status.anchor = Anchor { clock: CLOCK, frame, rate_num: 48_000, rate_den: 1_000_000_000 };
        });
        refused(fixture);
    };
    let paused = || {
        let fixture = microphone(false);
        fixture.allocate();
        fixture.go(&[ACQUIRE, PAUSE]);
        fixture.card.report(|status| status.anchor.clock = CLOCK);
        refused(&fixture);
        fixture
    };
    let fixture = paused();
    assert!(begins_with_the_run(&fixture, 1, || {}), "read in PAUSE alone");
    let fixture = paused();
    let run = || (fixture.go(&[RUN]), moving(&fixture, 0)).1;
    assert!(begins_with_the_run(&fixture, 1, run), "none was complete when it was read");
    for is_read in [false, true] {
        let fixture = paused();
        fixture.go(&[RUN]);
        fixture.card.report(|status| status.packet_start_clock = CLOCK);
        fixture.complete(1);
        assert_eq!(read(&fixture), Ok((0, 0, 0)));
        fixture.card.report(|status| status.anchor.frame = 700);
        fixture.go(&[PAUSE]);
        let run = || {
            if is_read {
                fixture.go(&[RUN]);
                moving(&fixture, 700);
            }
        };
        assert!(begins_with_the_run(&fixture, 2, run), "paused within the packet, read after: {is_read}");
    }
}

/// Of a card that was reset and says so, or was brought back to RUN, with another clock, and its page is torn
/// yet.
#[test]
fn a_packet_that_was_promised_before_a_reset_has_its_time() {
    for torn in [false, true] {
        let fixture = microphone(true);
        fixture.allocate();
        fixture.go(&[ACQUIRE, PAUSE, RUN]);
        fixture.card.report(|status| {
            (status.lockstep, status.stalled_on) = (true, Some(2));
            status.anchor.clock = 9_000_000_000;
            status.packet_start_clock = 8_990_000_000;
        });
        fixture.complete(2);
        let apart = are_a_packet_apart(&fixture, || {
            fixture.go(&[PAUSE]);
            fixture.card.report(|status| *status = crate::hw::fake::status());
            if torn {
                fixture.card.change(|inside| (inside.state, inside.torn) = (StreamState::Stop, true));
                fixture.go(&[RUN]);
            }
        });
        assert!(apart, "torn: {torn}");
    }
}

#[test]
fn who_asks_again_has_taken_what_it_was_given() {
    let fixture = microphone(true);
    fixture.allocate();
    fixture.go(&[ACQUIRE, PAUSE, RUN]);
    fixture.card.report(|status| status.lockstep = true);
    assert_eq!(read(&fixture), Err(STATUS_DEVICE_NOT_READY));
    assert!(marks(&fixture).is_empty(), "nothing was given yet");
    fixture.complete(1);
    assert_eq!(read(&fixture), Ok((0, 0, 0)));
    assert_eq!(marks(&fixture), [u32::MAX], "it is still being read: nothing is taken");
    assert_eq!(read(&fixture), Err(STATUS_DEVICE_NOT_READY));
    assert_eq!(read(&fixture), Err(STATUS_DEVICE_NOT_READY));
    assert_eq!(marks(&fixture), [0], "and told once: a card with one packet per buffer waits for it");
}

#[test]
fn a_card_that_was_paused_while_it_waited_still_has_both_packets() {
    let fixture = microphone(true);
    fixture.allocate();
    fixture.go(&[ACQUIRE, PAUSE, RUN]);
    fixture.card.report(|status| {
        (status.lockstep, status.stalled_on) = (true, Some(2));
    });
    fixture.complete(2);
    // PAUSE ends the stall (DATASHEET 5.4), and nothing is recorded over.
    fixture.go(&[PAUSE]);
    fixture.card.report(|status| status.stalled_on = None);
    assert_eq!([read(&fixture), read(&fixture)], [Ok((0, 0, 1)), Ok((1, 0, 0))]);
}

#[test]
fn a_card_that_was_paused_within_a_packet_has_begun_to_record_over_one() {
    let fixture = microphone(false);
    fixture.allocate();
    fixture.go(&[ACQUIRE, PAUSE, RUN]);
    fixture.complete(2);
    fixture.card.report(|status| status.anchor.frame = 961);
    fixture.go(&[PAUSE]);
    assert_eq!(read(&fixture), Ok((1, 0, 0)));
}

#[test]
fn what_was_recorded_before_a_reset_is_what_it_was() {
    // It stood at the end of a packet, and within one: a card that was reset says 0 in either case.
    for (frame, expected) in [(960, Ok((0, 0, 1))), (961, Ok((1, 0, 0)))] {
        let fixture = microphone(false);
        fixture.allocate();
        fixture.go(&[ACQUIRE, PAUSE, RUN]);
        fixture.complete(2);
        fixture.card.report(|status| status.anchor.frame = frame);
        fixture.go(&[PAUSE]);
        fixture.card.report(|status| *status = crate::hw::fake::status());
        assert_eq!(read(&fixture), expected, "it stood at frame {frame}");
    }
}

#[test]
fn a_card_does_not_wait_for_a_client_that_can_take_no_packets() {
    let fixture = microphone(true);
    let (mut mdl, mut actual, mut offset, mut cache) = (core::ptr::null_mut(), 0, 0, 0);
    let (mdl, actual) = (Out::new(&mut mdl), Out::new(&mut actual));
    fixture
        .stream
        .allocate_audio_buffer(3840, mdl, actual, Out::new(&mut offset), Out::new(&mut cache))
        .unwrap();
    fixture.go(&[ACQUIRE, PAUSE, RUN]);
    assert_eq!(fixture.asked(), [false], "it would wait for ever: GetReadPacket is not for such a client");
    assert_eq!(read(&fixture), Err(STATUS_NOT_SUPPORTED));
}

#[test]
fn a_card_that_lost_its_state_gets_lockstep_and_marks_again() {
    for lockstep in [false, true] {
        let fixture = microphone(lockstep);
        fixture.allocate();
        fixture.go(&[ACQUIRE, PAUSE, RUN]);
        fixture.complete(1);
        assert_eq!(read(&fixture), Ok((0, 0, 0)));
        fixture.go(&[PAUSE]);
        fixture.card.change(|inside| inside.state = StreamState::Stop);
        fixture.card.take_calls();
        fixture.go(&[RUN]);
        let calls = fixture.card.take_calls();
        assert!(
            calls.contains(&RecordedCall::Lockstep(lockstep)) && calls.contains(&RecordedCall::Mark(0)),
            "{calls:?}"
        );
    }
}

#[test]
fn a_second_question_for_each_packet_is_no_message_and_no_line_in_the_log() {
    let fixture = microphone(false);
    fixture.allocate();
    fixture.go(&[ACQUIRE, PAUSE, RUN]);
    nt::host::take_debug_output();
    for packet in 0..100 {
        fixture.complete(packet + 1);
        fixture.card.take_calls();
        assert_eq!(read(&fixture), Ok((packet, 0, 0)));
        assert_eq!(fixture.card.take_calls(), [RecordedCall::Mark(packet)], "by the mark page");
        assert_eq!(read(&fixture), Err(STATUS_DEVICE_NOT_READY));
        assert!(fixture.card.take_calls().is_empty());
    }
    assert!(nt::host::take_debug_output().is_empty());
}

#[test]
fn the_position_is_what_can_be_read() {
    let fixture = microphone(false);
    fixture.allocate();
    fixture.go(&[ACQUIRE, PAUSE, RUN]);
    // 1.5 packets of 480 frames have passed; the FIFO is 96 frames, 2 ms.
    fixture.card.report(|status| {
        status.anchor = crate::hw::Anchor { clock: 0, frame: 720, rate_num: 48_000, rate_den: 1_000_000_000 };
        status.packet_count = 1;
    });
    assert_eq!(fixture.position(), 624 * 4, "what is in the FIFO is not stored yet");
    let mut latency = KSRTAUDIO_HWLATENCY::default();
    fixture.stream.get_hw_latency(Out::new(&mut latency));
    assert_eq!(latency.FifoSize, 96 * 4);
    // In PAUSE the card has stored everything.
    fixture.card.report(|status| status.anchor.rate_num = 0);
    assert_eq!(fixture.position(), 720 * 4);
}

#[test]
fn a_microphone_has_read_packets_and_no_write_packets() {
    let fixture = microphone(false);
    let primary = fixture.stream.to_interface::<IMiniportWaveRTStreamNotification>();
    assert!(primary.query::<IMiniportWaveRTInputStream>().is_ok());
    assert!(primary.query::<IMiniportWaveRTOutputStream>().is_err());
}

#[test]
fn a_format_that_is_not_announced_is_refused() {
    let card = FakeCard::default();
    let adapter = Adapter::try_new(core::ptr::null_mut(), Box::new(card)).unwrap();
    let mut endpoint = adapter.card().endpoint(1).unwrap();
    endpoint.can.rates = crate::hw::format::rate_bit(44_100);
    let (port_stream, _port) = FakePort::make();
    let made = Stream::try_new(adapter, endpoint, port_stream, STEREO, RegistryConfig::default());
    assert_eq!(made.err(), Some(STATUS_NO_MATCH));
}
