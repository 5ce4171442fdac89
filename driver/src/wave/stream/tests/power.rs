//! A card that lost its power or its state while a stream was open, and one that is gone: what the client and
//! the card would notice.

use nt::sys::_DEVICE_POWER_STATE::{PowerDeviceD0, PowerDeviceD3};
use portcls_sys::interfaces::AdapterPowerManagement2;

use super::*;

#[test]
fn a_card_that_lost_its_state_starts_where_the_stream_stood() {
    let rig = rig();
    rig.allocate();
    rig.go(&[PAUSE]);
    rig.stream.set_write_packet(0, 0, 0).unwrap();
    rig.go(&[RUN]);
    rig.complete(1);
    rig.stream.set_write_packet(2, 0, 0).unwrap();
    rig.card.report(|status| status.anchor.frame = 700);
    rig.go(&[PAUSE]);
    rig.card.take_calls();
    // Hibernation: everything is forgotten.
    rig.card.change(|inside| {
        inside.state = StreamState::Stop;
        inside.status = Some(crate::hw::fake::status());
    });
    assert_eq!((rig.position(), rig.count()), (700 * 4, 1), "nothing jumps back meanwhile");
    // A first attempt that fails on the way changes nothing about that.
    rig.card.change(|inside| inside.refuses = Some(StreamState::Acquire));
    assert!(rig.stream.set_state(KSSTATE::RUN).is_err());
    rig.card.change(|inside| inside.refuses = None);
    rig.card.take_calls();
    rig.go(&[RUN]);
    let told = rig.card.take_calls();
    assert!(matches!(told[0], RecordedCall::Configure(..)));
    assert_eq!(
        told[1..],
        [
            RecordedCall::State(StreamState::Acquire),
            RecordedCall::StartAt(700, 1),
            RecordedCall::Mark(2),
            RecordedCall::State(StreamState::Pause),
            RecordedCall::Lockstep(false),
            RecordedCall::Mark(2),
            RecordedCall::State(StreamState::Run)
        ]
    );
}

/// The card was reset while it had no power.
fn forget(rig: &Rig) {
    rig.card.change(|inside| {
        inside.state = StreamState::Stop;
        inside.status = Some(crate::hw::fake::status());
        inside.ending = false;
    });
}

#[test]
fn a_card_that_lost_its_state_below_run_is_brought_up_again() {
    let rig = rig();
    rig.allocate();
    rig.go(&[ACQUIRE]);
    forget(&rig);
    rig.go(&[PAUSE]);
    forget(&rig);
    rig.go(&[RUN]);
    rig.complete(1);
    rig.go(&[PAUSE, ACQUIRE]);
    forget(&rig);
    rig.card.take_calls();
    // One step at a time: the frame must not be lost on the way.
    rig.go(&[PAUSE, RUN]);
    let told = rig.card.take_calls();
    assert!(matches!(told[0], RecordedCall::Configure(..)));
    let run = [
        RecordedCall::State(StreamState::Pause),
        RecordedCall::Lockstep(false),
        RecordedCall::State(StreamState::Run),
    ];
    assert_eq!(
        told[1..],
        [&[RecordedCall::State(StreamState::Acquire), RecordedCall::StartAt(480, 1)], &run[..]].concat()
    );
}

#[test]
fn the_end_of_the_stream_survives_a_lost_state() {
    let rig = rig();
    rig.allocate();
    rig.go(&[PAUSE]);
    rig.stream.set_write_packet(0, 0, 0).unwrap();
    rig.go(&[RUN]);
    rig.stream.set_write_packet(1, 0x200, 400).unwrap();
    rig.complete(1);
    rig.go(&[PAUSE]);
    forget(&rig);
    rig.card.take_calls();
    rig.go(&[RUN]);
    let told = rig.card.take_calls();
    // The start before the end: behind it the card refuses it, and would play from the beginning.
    assert_eq!(told[2..4], [RecordedCall::StartAt(480, 1), RecordedCall::End(1, 400)]);
}

#[test]
fn a_packet_written_without_power_is_told_before_the_next_run() {
    let rig = rig();
    rig.allocate();
    rig.go(&[PAUSE]);
    rig.stream.set_write_packet(0, 0, 0).unwrap();
    rig.go(&[RUN, PAUSE]);
    rig.complete(1);
    assert_eq!(rig.count(), 1);
    // D3hot: the card keeps its state, but hears nothing.
    rig.card.change(|inside| inside.gone = true);
    rig.stream.set_write_packet(1, 0, 0).unwrap();
    rig.card.change(|inside| inside.gone = false);
    rig.card.take_calls();
    rig.go(&[RUN, PAUSE, RUN]);
    assert_eq!(rig.card.take_calls()[..2], [RecordedCall::Mark(1), RecordedCall::State(StreamState::Run)]);
}

#[test]
fn a_run_that_is_repeated_after_power_was_lost_goes_on() {
    let rig = rig();
    rig.allocate();
    rig.go(&[RUN]);
    // D3hot takes every running stream to PAUSE, and this port did not do it before.
    rig.card.change(|inside| inside.state = StreamState::Pause);
    rig.card.take_calls();
    rig.go(&[RUN]);
    assert_eq!(rig.card.take_calls(), [RecordedCall::State(StreamState::Run)]);
}

#[test]
fn a_stream_whose_buffer_was_freed_while_it_ran_goes_down_quietly() {
    let rig = rig();
    let mdl = rig.allocate();
    rig.go(&[RUN]);
    rig.stream.free_buffer_with_notification(mdl, 3840);
    rig.card.take_calls();
    rig.go(&[PAUSE, ACQUIRE, STOP]);
    assert!(rig.card.take_calls().is_empty(), "PAUSE is refused by a card in STOP");
}

#[test]
fn a_stream_of_a_card_that_is_gone_is_not_a_matter_of_its_format() {
    let card = FakeCard::default();
    let adapter = Adapter::try_new(core::ptr::null_mut(), Box::new(card.clone())).unwrap();
    adapter.stop();
    let (port_stream, port) = FakePort::make();
    let endpoint = adapter.card().endpoint(0).unwrap();
    let refused = Stream::try_new(adapter, endpoint, port_stream, STEREO, RegistryConfig::default()).err();
    assert_eq!(refused, Some(STATUS_DEVICE_NOT_READY));
    assert_eq!(Rc::strong_count(&port), 1);
}

/// The device goes to D3, or comes back to D0.
fn power(rig: &Rig, on: bool) {
    rig.adapter.power_change_state2(if on { PowerDeviceD0 } else { PowerDeviceD3 }, 0);
}

/// What the card was told of the stream: not the controls, which it is told each time.
fn told(rig: &Rig) -> Vec<RecordedCall> {
    let control = |told: &RecordedCall| {
        matches!(told, RecordedCall::Volume(..) | RecordedCall::Mute(..) | RecordedCall::WatchJack(_))
    };
    rig.card.take_calls().into_iter().filter(|told| !control(told)).collect()
}

#[test]
fn states_that_are_set_without_power_are_made_when_it_is_back() {
    let rig = rig();
    power(&rig, false);
    rig.allocate();
    rig.go(&[ACQUIRE, PAUSE]);
    rig.stream.set_write_packet(0, 0, 0).unwrap();
    rig.go(&[RUN]);
    assert_eq!((told(&rig), rig.position(), rig.count()), (vec![], 0, 0), "no register is touched");
    power(&rig, true);
    let heard = told(&rig);
    assert!(matches!(heard[0], RecordedCall::Configure(..)));
    let states: Vec<_> = heard.iter().filter(|told| matches!(told, RecordedCall::State(_))).collect();
    assert_eq!(
        states,
        [StreamState::Acquire, StreamState::Pause, StreamState::Run]
            .map(RecordedCall::State)
            .iter()
            .collect::<Vec<_>>()
    );
    assert!(heard.contains(&RecordedCall::Mark(0)), "what was written meanwhile");
    // A card that D3hot took to PAUSE, under a port that did not pause it: it goes on.
    power(&rig, false);
    rig.card.change(|inside| inside.state = StreamState::Pause);
    power(&rig, true);
    assert!(told(&rig).contains(&RecordedCall::State(StreamState::Run)));
    // And down again in its sleep: nothing starts when it wakes.
    power(&rig, false);
    rig.card.change(|inside| inside.state = StreamState::Pause);
    rig.go(&[PAUSE, ACQUIRE, STOP]);
    power(&rig, true);
    assert!(!told(&rig).iter().any(|told| matches!(told, RecordedCall::State(StreamState::Run))));
    rig.go(&[RUN]);
    assert!(matches!(told(&rig)[0], RecordedCall::Configure(..)), "from the beginning");
}

#[test]
fn a_card_that_refuses_is_no_card_without_power() {
    let rig = rig();
    rig.allocate();
    rig.card.change(|inside| inside.refuses = Some(StreamState::Pause));
    assert!(rig.stream.set_state(KSSTATE::PAUSE).is_err(), "it has power and says no");
    rig.card.change(|inside| (inside.refuses, inside.exchanged) = (None, true));
    rig.adapter.card().set_power(false);
    assert!(!rig.adapter.card().set_power(true));
    assert!(rig.stream.set_state(KSSTATE::PAUSE).is_err(), "another card: what is set now is never made");
}

#[test]
fn a_stream_outlives_its_device_and_goes_down_quietly() {
    let rig = rig();
    let mdl = rig.allocate();
    rig.go(&[RUN]);
    // STOP, SURPRISE_REMOVAL or REMOVE, with the client still there.
    rig.adapter.stop();
    rig.card.take_calls();
    rig.go(&[PAUSE, ACQUIRE, STOP]);
    assert!(rig.stream.set_state(KSSTATE::RUN).is_err(), "there is nothing to run");
    assert_eq!(rig.port.borrow().live.len(), 1, "the buffer stays until it is freed");
    rig.stream.free_buffer_with_notification(mdl, 3840);
    assert!(rig.port.borrow().live.is_empty());
    let port = rig.port.clone();
    drop(rig);
    assert_eq!(Rc::strong_count(&port), 1);
}
