//! Packets that a client writes: before RUN, in time, late, after a pause of minutes; and whether the card is
//! asked to wait for them.

use std::sync::{Arc, Barrier};
use std::time::Duration;

use nt::status::STATUS_DATA_LATE_ERROR;

use super::*;

#[test]
fn lockstep_is_asked_for_by_the_registry_and_a_client_that_writes_before_run() {
    for (lockstep, written, expected) in
        [(false, false, false), (false, true, false), (true, false, false), (true, true, true)]
    {
        let fixture = fixture_with(RegistryConfig { lockstep, ..RegistryConfig::default() });
        fixture.allocate();
        fixture.go(&[PAUSE]);
        if written {
            fixture.write(0).unwrap();
        }
        fixture.go(&[RUN, PAUSE]);
        fixture.write(0).unwrap();
        fixture.go(&[RUN]);
        assert_eq!(
            fixture.asked(),
            [expected],
            "Lockstep {lockstep}, written {written}: once, at the first RUN"
        );
        // STOP settles nothing for the next time.
        fixture.go(&[STOP, PAUSE]);
        fixture.write(0).unwrap();
        fixture.go(&[RUN]);
        assert_eq!(fixture.asked(), [lockstep]);
    }
}

#[test]
fn a_refused_run_settles_nothing() {
    let fixture = fixture_with(RegistryConfig { lockstep: true, ..RegistryConfig::default() });
    fixture.allocate();
    fixture.card.change(|inside| inside.refuses = Some(StreamState::Run));
    assert!(fixture.stream.set_state(KSSTATE::RUN).is_err());
    fixture.card.change(|inside| inside.refuses = None);
    fixture.write(0).unwrap();
    fixture.go(&[RUN]);
    assert_eq!(fixture.asked(), [false, true]);
}

#[test]
fn a_card_does_not_wait_for_a_client_that_polls() {
    let fixture = fixture_with(RegistryConfig { lockstep: true, ..RegistryConfig::default() });
    let (mut mdl, mut actual, mut offset, mut cache) = (core::ptr::null_mut(), 0, 0, 0);
    let outs = (Out::new(&mut mdl), Out::new(&mut actual), Out::new(&mut offset), Out::new(&mut cache));
    fixture.stream.allocate_audio_buffer(4096 * 4, outs.0, outs.1, outs.2, outs.3).unwrap();
    assert!(fixture.write(0).is_err());
    fixture.go(&[RUN]);
    assert_eq!(fixture.asked(), [false]);
}

#[test]
fn a_client_that_misses_a_packet_is_signalled_and_counted_on() {
    let fixture = fixture();
    fixture.start_playing();
    let event = fixture.register_event();
    for packets in 1..50 {
        fixture.complete(packets);
        assert!(event.signalled(), "{packets}");
        assert_eq!((fixture.count(), fixture.presented()), (packets, u64::from(packets) * 480));
    }
}

#[test]
fn a_packet_that_is_being_played_is_late_and_marked_and_an_older_one_only_late() {
    let fixture = fixture();
    fixture.start_playing();
    fixture.complete(5);
    marks(&fixture);
    let late = Err(STATUS_DATA_LATE_ERROR);
    assert_eq!((fixture.write(4), marks(&fixture)), (late, vec![]));
    assert_eq!(
        (fixture.write(5), marks(&fixture)),
        (late, vec![RecordedCall::Mark(5), RecordedCall::AtOnce])
    );
    assert_eq!((fixture.write(5), marks(&fixture)), (late, vec![]), "once is enough");
    assert_eq!((fixture.write(6), marks(&fixture)), (Ok(()), vec![RecordedCall::Mark(6)]));
    assert_eq!((fixture.write(5), marks(&fixture)), (late, vec![]), "a mark is never lowered");
}

#[test]
fn an_end_that_comes_late_marks_its_packet_and_ends_nothing() {
    let fixture = fixture();
    fixture.start_playing();
    fixture.complete(5);
    marks(&fixture);
    assert_eq!(fixture.stream.set_write_packet(5, 0x200, 400), Err(STATUS_DATA_LATE_ERROR));
    assert_eq!(marks(&fixture), [RecordedCall::Mark(5), RecordedCall::AtOnce]);
    // The client asks where it is and tries again.
    assert_eq!(fixture.count(), 5);
    fixture.stream.set_write_packet(6, 0x200, 400).unwrap();
    assert_eq!(marks(&fixture), [RecordedCall::End(6, 400)]);
}

#[test]
fn an_exclusive_client_prefills_in_every_state_before_run() {
    for state in [STOP, ACQUIRE, PAUSE] {
        let fixture = fixture();
        // The packets that Windows asks for: two of 5 ms.
        fixture.allocate_bytes(2, 2 * 240 * 4).unwrap();
        fixture.go(&[state]);
        fixture.write(0).unwrap();
        assert_eq!(fixture.write(2), Err(STATUS_DATA_OVERRUN));
        fixture.go(&[ACQUIRE, PAUSE, RUN]);
        let calls = fixture.card.take_calls();
        let position = |what: RecordedCall| calls.iter().position(|call| *call == what).unwrap();
        assert!(
            position(RecordedCall::Mark(0)) < position(RecordedCall::State(StreamState::Run)),
            "in {state}: {calls:?}"
        );
        fixture.write(1).unwrap();
        assert_eq!(marks(&fixture), [RecordedCall::Mark(1)]);
        // What was filled for one start is not valid for the next.
        fixture.go(&[STOP, RUN]);
        assert!(marks(&fixture).is_empty());
    }
}

#[test]
fn a_pause_of_the_machine_is_many_packets_and_one_event() {
    let fixture = fixture();
    fixture.start_playing();
    let event = fixture.register_event();
    // 163 ms, then a quarter of an hour, then four months of packets of 10 ms.
    for packets in [16, 90_016, 1_000_000_000] {
        fixture.complete(packets);
        assert!(event.signalled() && !event.signalled(), "{packets}");
        assert_eq!((fixture.count(), fixture.presented()), (packets, u64::from(packets) * 480));
        assert_eq!(fixture.position(), u64::from(packets) * 480 % 960 * 4);
        assert_eq!(fixture.write(packets + 1), Ok(()));
    }
}

#[test]
fn a_mark_carries_the_device_clock_once_it_is_known() {
    let fixture = fixture();
    fixture.start_playing();
    assert_eq!(fixture.card.0.lock().unwrap().mark_clock, 0, "not known before the first interrupt of a RUN");
    // The card's clock is 77 s; the packet ended just now.
    fixture
        .card
        .report(|status| (status.packet_clock, status.anchor.clock) = (77_000_000_000, 77_000_000_000));
    fixture.complete(1);
    fixture.write(2).unwrap();
    let clock = fixture.card.0.lock().unwrap().mark_clock;
    assert!((77_000_000_000..77_000_000_000 + 10_000_000_000).contains(&clock), "{clock}");
}

#[test]
fn a_card_that_forgets_nothing_gets_each_mark_once() {
    let card = FakeCard::default();
    card.change(|inside| inside.limits.forgets_marks = false);
    let fixture = fixture_of(&card, 0, RegistryConfig::default());
    fixture.allocate();
    fixture.write(0).unwrap();
    fixture.go(&[RUN, PAUSE, RUN]);
    fixture.write(1).unwrap();
    assert_eq!(marks(&fixture), [RecordedCall::Mark(0), RecordedCall::Mark(1)]);
}

/// A stream for another thread, as clients have more than one.
struct Elsewhere<'a>(&'a Stream);
// SAFETY: a Stream may be used from any thread.
unsafe impl Send for Elsewhere<'_> {}

impl Elsewhere<'_> {
    fn write(&self, number: u32) {
        self.0.set_write_packet(number, 0, 0).unwrap();
    }
}

#[test]
fn a_mark_that_is_being_passed_does_not_outlive_stop() {
    let fixture = fixture();
    fixture.start_playing();
    fixture.complete(1);
    fixture.card.take_calls();
    let marking = Arc::new(Barrier::new(2));
    let held_up = Arc::clone(&marking);
    fixture.card.change(|inside| {
        inside.before_mark = Some(Arc::new(move || {
            held_up.wait();
            std::thread::sleep(Duration::from_millis(50));
        }));
    });
    std::thread::scope(|scope| {
        let stream = Elsewhere(&fixture.stream);
        let client = scope.spawn(move || stream.write(2));
        marking.wait();
        fixture.go(&[PAUSE, ACQUIRE, STOP]);
        client.join().expect("the card has heard it before STOP");
    });
    let calls = fixture.card.take_calls();
    let position = |what: RecordedCall| calls.iter().position(|call| *call == what).unwrap();
    assert!(
        position(RecordedCall::Mark(2)) < position(RecordedCall::State(StreamState::Stop)),
        "the tag of after STOP on it: {calls:?}"
    );
    // The next start knows nothing of it.
    fixture.card.change(|inside| inside.before_mark = None);
    fixture.go(&[PAUSE]);
    fixture.write(0).unwrap();
    assert_eq!(marks(&fixture), [RecordedCall::Mark(0)]);
}
