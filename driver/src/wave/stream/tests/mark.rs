//! Packets that a client writes: before RUN, in time, late, after a pause of minutes; and whether the card is
//! asked to wait for them.

use std::sync::{Arc, Barrier};
use std::time::Duration;

use nt::status::STATUS_DATA_LATE_ERROR;

use super::*;

/// Lockstep as the card was asked for it, each time that it was told.
fn asked(rig: &Rig) -> Vec<bool> {
    let told = rig.card.take_calls();
    told.iter()
        .filter_map(|told| if let RecordedCall::Lockstep(ask) = told { Some(*ask) } else { None })
        .collect()
}

#[test]
fn lockstep_is_asked_for_by_the_registry_and_a_client_that_writes_before_run() {
    for (lockstep, written, expected) in
        [(false, false, false), (false, true, false), (true, false, false), (true, true, true)]
    {
        let rig = rig_with(RegistryConfig { lockstep, ..RegistryConfig::default() });
        rig.allocate();
        rig.go(&[PAUSE]);
        if written {
            rig.stream.set_write_packet(0, 0, 0).unwrap();
        }
        rig.go(&[RUN, PAUSE]);
        rig.stream.set_write_packet(0, 0, 0).unwrap();
        rig.go(&[RUN]);
        assert_eq!(asked(&rig), [expected], "Lockstep {lockstep}, written {written}: once, at the first RUN");
        // STOP settles nothing for the next time.
        rig.go(&[STOP, PAUSE]);
        rig.stream.set_write_packet(0, 0, 0).unwrap();
        rig.go(&[RUN]);
        assert_eq!(asked(&rig), [lockstep]);
    }
}

#[test]
fn a_refused_run_settles_nothing() {
    let rig = rig_with(RegistryConfig { lockstep: true, ..RegistryConfig::default() });
    rig.allocate();
    rig.card.change(|inside| inside.refuses = Some(StreamState::Run));
    assert!(rig.stream.set_state(KSSTATE::RUN).is_err());
    rig.card.change(|inside| inside.refuses = None);
    rig.stream.set_write_packet(0, 0, 0).unwrap();
    rig.go(&[RUN]);
    assert_eq!(asked(&rig), [false, true]);
}

#[test]
fn a_card_does_not_wait_for_a_client_that_polls() {
    let rig = rig_with(RegistryConfig { lockstep: true, ..RegistryConfig::default() });
    let (mut mdl, mut actual, mut offset, mut cache) = (core::ptr::null_mut(), 0, 0, 0);
    let outs = (Out::new(&mut mdl), Out::new(&mut actual), Out::new(&mut offset), Out::new(&mut cache));
    rig.stream.allocate_audio_buffer(4096 * 4, outs.0, outs.1, outs.2, outs.3).unwrap();
    assert!(rig.stream.set_write_packet(0, 0, 0).is_err());
    rig.go(&[RUN]);
    assert_eq!(asked(&rig), [false]);
}

#[test]
fn a_client_that_misses_a_packet_is_signalled_and_counted_on() {
    let rig = rig();
    let event = Event::try_new(Kind::Synchronization).unwrap();
    rig.allocate();
    rig.stream.register_notification_event(event.as_ptr()).unwrap();
    rig.stream.set_write_packet(0, 0, 0).unwrap();
    rig.go(&[RUN]);
    for packets in 1..50 {
        rig.complete(packets);
        assert!(event.wait_100ns(0), "{packets}");
        assert_eq!((rig.count(), rig.presented()), (packets, u64::from(packets) * 480));
    }
    rig.stream.unregister_notification_event(event.as_ptr()).unwrap();
}

#[test]
fn a_packet_that_is_being_played_is_late_and_marked_and_an_older_one_only_late() {
    let rig = rig();
    rig.allocate();
    rig.stream.set_write_packet(0, 0, 0).unwrap();
    rig.go(&[RUN]);
    rig.complete(5);
    marks(&rig);
    let late = Err(STATUS_DATA_LATE_ERROR);
    assert_eq!((rig.stream.set_write_packet(4, 0, 0), marks(&rig)), (late, vec![]));
    assert_eq!(
        (rig.stream.set_write_packet(5, 0, 0), marks(&rig)),
        (late, vec![RecordedCall::Mark(5), RecordedCall::AtOnce])
    );
    assert_eq!((rig.stream.set_write_packet(5, 0, 0), marks(&rig)), (late, vec![]), "once is enough");
    assert_eq!((rig.stream.set_write_packet(6, 0, 0), marks(&rig)), (Ok(()), vec![RecordedCall::Mark(6)]));
    assert_eq!(
        (rig.stream.set_write_packet(5, 0, 0), marks(&rig)),
        (late, vec![]),
        "a mark is never lowered"
    );
}

#[test]
fn an_end_that_comes_late_marks_its_packet_and_ends_nothing() {
    let rig = rig();
    rig.allocate();
    rig.stream.set_write_packet(0, 0, 0).unwrap();
    rig.go(&[RUN]);
    rig.complete(5);
    marks(&rig);
    assert_eq!(rig.stream.set_write_packet(5, 0x200, 400), Err(STATUS_DATA_LATE_ERROR));
    assert_eq!(marks(&rig), [RecordedCall::Mark(5), RecordedCall::AtOnce]);
    // The client asks where it is and tries again.
    assert_eq!(rig.count(), 5);
    rig.stream.set_write_packet(6, 0x200, 400).unwrap();
    assert_eq!(marks(&rig), [RecordedCall::End(6, 400)]);
}

#[test]
fn an_exclusive_client_prefills_in_every_state_before_run() {
    for state in [STOP, ACQUIRE, PAUSE] {
        let rig = rig();
        // The packets that Windows asks for: two of 5 ms.
        rig.allocate_bytes(2, 2 * 240 * 4).unwrap();
        rig.go(&[state]);
        rig.stream.set_write_packet(0, 0, 0).unwrap();
        assert_eq!(rig.stream.set_write_packet(2, 0, 0), Err(STATUS_DATA_OVERRUN));
        rig.go(&[ACQUIRE, PAUSE, RUN]);
        let told = rig.card.take_calls();
        let place = |what: RecordedCall| told.iter().position(|told| *told == what).unwrap();
        assert!(
            place(RecordedCall::Mark(0)) < place(RecordedCall::State(StreamState::Run)),
            "in {state}: {told:?}"
        );
        rig.stream.set_write_packet(1, 0, 0).unwrap();
        assert_eq!(marks(&rig), [RecordedCall::Mark(1)]);
        // What was filled for one start is not valid for the next.
        rig.go(&[STOP, RUN]);
        assert!(marks(&rig).is_empty());
    }
}

#[test]
fn a_pause_of_the_machine_is_many_packets_and_one_event() {
    let rig = rig();
    let event = Event::try_new(Kind::Synchronization).unwrap();
    rig.allocate();
    rig.stream.register_notification_event(event.as_ptr()).unwrap();
    rig.stream.set_write_packet(0, 0, 0).unwrap();
    rig.go(&[RUN]);
    // 163 ms, then a quarter of an hour, then four months of packets of 10 ms.
    for packets in [16, 90_016, 1_000_000_000] {
        rig.complete(packets);
        assert!(event.wait_100ns(0) && !event.wait_100ns(0), "{packets}");
        assert_eq!((rig.count(), rig.presented()), (packets, u64::from(packets) * 480));
        assert_eq!(rig.position(), u64::from(packets) * 480 % 960 * 4);
        assert_eq!(rig.stream.set_write_packet(packets + 1, 0, 0), Ok(()));
    }
    rig.stream.unregister_notification_event(event.as_ptr()).unwrap();
}

#[test]
fn a_mark_carries_the_device_clock_once_it_is_known() {
    let rig = rig();
    rig.allocate();
    rig.stream.set_write_packet(0, 0, 0).unwrap();
    rig.go(&[RUN]);
    assert_eq!(rig.card.0.lock().unwrap().mark_clock, 0, "not known before the first interrupt of a RUN");
    // The card's clock is 77 s; the packet ended just now.
    rig.card.report(|status| (status.packet_clock, status.anchor.clock) = (77_000_000_000, 77_000_000_000));
    rig.complete(1);
    rig.stream.set_write_packet(2, 0, 0).unwrap();
    let clock = rig.card.0.lock().unwrap().mark_clock;
    assert!((77_000_000_000..77_000_000_000 + 10_000_000_000).contains(&clock), "{clock}");
}

#[test]
fn a_card_that_forgets_nothing_is_told_of_each_mark_once() {
    let card = FakeCard::default();
    card.change(|inside| inside.limits.forgets_marks = false);
    let rig = rig_of(&card, 0, RegistryConfig::default());
    rig.allocate();
    rig.stream.set_write_packet(0, 0, 0).unwrap();
    rig.go(&[RUN, PAUSE, RUN]);
    rig.stream.set_write_packet(1, 0, 0).unwrap();
    assert_eq!(marks(&rig), [RecordedCall::Mark(0), RecordedCall::Mark(1)]);
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
fn a_mark_that_is_being_told_does_not_outlive_stop() {
    let rig = rig();
    rig.allocate();
    rig.stream.set_write_packet(0, 0, 0).unwrap();
    rig.go(&[RUN]);
    rig.complete(1);
    rig.card.take_calls();
    let telling = Arc::new(Barrier::new(2));
    let held_up = Arc::clone(&telling);
    rig.card.change(|inside| {
        inside.before_mark = Some(Arc::new(move || {
            held_up.wait();
            std::thread::sleep(Duration::from_millis(50));
        }));
    });
    std::thread::scope(|scope| {
        let stream = Elsewhere(&rig.stream);
        let client = scope.spawn(move || stream.write(2));
        telling.wait();
        rig.go(&[PAUSE, ACQUIRE, STOP]);
        client.join().expect("the card has heard it before STOP");
    });
    let told = rig.card.take_calls();
    let place = |what: RecordedCall| told.iter().position(|told| *told == what).unwrap();
    assert!(
        place(RecordedCall::Mark(2)) < place(RecordedCall::State(StreamState::Stop)),
        "the tag of after STOP on it: {told:?}"
    );
    // The next start knows nothing of it.
    rig.card.change(|inside| inside.before_mark = None);
    rig.go(&[PAUSE]);
    rig.stream.set_write_packet(0, 0, 0).unwrap();
    assert_eq!(marks(&rig), [RecordedCall::Mark(0)]);
}
