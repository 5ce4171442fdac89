//! A card that lost its power or its state while a stream was open, and one that is gone: what the client and
//! the card would notice.

use nt::sys::_DEVICE_POWER_STATE::{PowerDeviceD0, PowerDeviceD3};
use portcls_sys::interfaces::AdapterPowerManagement2;

use super::*;

#[test]
fn a_card_that_lost_its_state_starts_where_the_stream_stood() {
    let fixture = fixture();
    fixture.allocate();
    fixture.go(&[PAUSE]);
    fixture.write(0).unwrap();
    fixture.go(&[RUN]);
    fixture.complete(1);
    fixture.write(2).unwrap();
    fixture.card.report(|status| status.anchor.frame = 700);
    fixture.go(&[PAUSE]);
    fixture.card.take_calls();
    // Hibernation: everything is forgotten.
    fixture.card.change(|inside| {
        inside.state = StreamState::Stop;
        inside.status = Some(crate::hw::fake::status());
    });
    assert_eq!((fixture.position(), fixture.count()), (700 * 4, 1), "nothing jumps back meanwhile");
    // A first attempt that fails on the way changes nothing about that.
    fixture.card.change(|inside| inside.refuses = Some(StreamState::Acquire));
    assert!(fixture.stream.set_state(KSSTATE::RUN).is_err());
    fixture.card.change(|inside| inside.refuses = None);
    fixture.card.take_calls();
    fixture.go(&[RUN]);
    let calls = fixture.card.take_calls();
    assert!(matches!(calls[0], RecordedCall::Configure(..)));
    assert_eq!(
        calls[1..],
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

#[test]
fn a_card_that_lost_its_state_goes_on_where_it_stood_and_not_where_it_was_thought_to_be() {
    let fixture = fixture();
    fixture.allocate();
    fixture.go(&[PAUSE]);
    fixture.write(0).unwrap();
    fixture.go(&[RUN]);
    fixture.complete(1);
    fixture.write(2).unwrap();
    // The performance counter has jumped: the position is extrapolated to frame 900, and the card is at 700.
    fixture.card.report(|status| status.anchor.frame = 900);
    assert_eq!(fixture.position(), 900 * 4);
    fixture.card.report(|status| status.anchor.frame = 700);
    fixture.go(&[PAUSE]);
    forget(&fixture);
    fixture.card.take_calls();
    fixture.go(&[RUN]);
    assert!(fixture.card.take_calls().contains(&RecordedCall::StartAt(700, 1)));
    assert_eq!(fixture.position(), 900 * 4, "the position does not go back");
}

/// The card was reset while it had no power.
fn forget(fixture: &Fixture) {
    fixture.card.change(|inside| {
        inside.state = StreamState::Stop;
        inside.status = Some(crate::hw::fake::status());
        inside.ending = false;
    });
}

#[test]
fn a_card_that_lost_its_state_below_run_is_brought_up_again() {
    let fixture = fixture();
    fixture.allocate();
    fixture.go(&[ACQUIRE]);
    forget(&fixture);
    fixture.go(&[PAUSE]);
    forget(&fixture);
    fixture.go(&[RUN]);
    fixture.complete(1);
    fixture.go(&[PAUSE, ACQUIRE]);
    forget(&fixture);
    fixture.card.take_calls();
    // One step at a time: the frame must not be lost on the way.
    fixture.go(&[PAUSE, RUN]);
    let calls = fixture.card.take_calls();
    assert!(matches!(calls[0], RecordedCall::Configure(..)));
    let run = [
        RecordedCall::State(StreamState::Pause),
        RecordedCall::Lockstep(false),
        RecordedCall::State(StreamState::Run),
    ];
    assert_eq!(
        calls[1..],
        [&[RecordedCall::State(StreamState::Acquire), RecordedCall::StartAt(480, 1)], &run[..]].concat()
    );
}

#[test]
fn the_end_of_the_stream_survives_a_lost_state() {
    let fixture = fixture();
    fixture.allocate();
    fixture.go(&[PAUSE]);
    fixture.write(0).unwrap();
    fixture.go(&[RUN]);
    fixture.stream.set_write_packet(1, 0x200, 400).unwrap();
    fixture.complete(1);
    fixture.go(&[PAUSE]);
    forget(&fixture);
    fixture.card.take_calls();
    fixture.go(&[RUN]);
    let calls = fixture.card.take_calls();
    // The start before the end: behind it the card refuses it, and would play from the beginning.
    assert_eq!(calls[2..4], [RecordedCall::StartAt(480, 1), RecordedCall::End(1, 400)]);
}

#[test]
fn a_packet_written_without_power_is_marked_before_the_next_run() {
    let fixture = fixture();
    fixture.allocate();
    fixture.go(&[PAUSE]);
    fixture.write(0).unwrap();
    fixture.go(&[RUN, PAUSE]);
    fixture.complete(1);
    assert_eq!(fixture.count(), 1);
    // D3hot: the card keeps its state, but hears nothing.
    fixture.card.change(|inside| inside.gone = true);
    fixture.write(1).unwrap();
    fixture.card.change(|inside| inside.gone = false);
    fixture.card.take_calls();
    fixture.go(&[RUN, PAUSE, RUN]);
    assert_eq!(
        fixture.card.take_calls()[..2],
        [RecordedCall::Mark(1), RecordedCall::State(StreamState::Run)]
    );
}

#[test]
fn a_run_that_is_repeated_after_power_was_lost_goes_on() {
    let fixture = fixture();
    fixture.allocate();
    fixture.go(&[RUN]);
    // D3hot takes every running stream to PAUSE, and this port did not do it before.
    fixture.card.change(|inside| inside.state = StreamState::Pause);
    fixture.card.take_calls();
    fixture.go(&[RUN]);
    assert_eq!(fixture.card.take_calls(), [RecordedCall::State(StreamState::Run)]);
}

#[test]
fn a_stream_whose_buffer_was_freed_while_it_ran_goes_down_quietly() {
    let fixture = fixture();
    let mdl = fixture.allocate();
    fixture.go(&[RUN]);
    fixture.stream.free_buffer_with_notification(mdl, 3840);
    fixture.card.take_calls();
    fixture.go(&[PAUSE, ACQUIRE, STOP]);
    assert!(fixture.card.take_calls().is_empty(), "PAUSE is refused by a card in STOP");
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
fn power(fixture: &Fixture, on: bool) {
    fixture.adapter.power_change_state2(if on { PowerDeviceD0 } else { PowerDeviceD3 }, 0);
}

/// What the card was told of the stream: not the controls, which it is told each time.
fn stream_calls(fixture: &Fixture) -> Vec<RecordedCall> {
    let control = |call: &RecordedCall| {
        matches!(call, RecordedCall::Volume(..) | RecordedCall::Mute(..) | RecordedCall::WatchJack(_))
    };
    fixture.card.take_calls().into_iter().filter(|call| !control(call)).collect()
}

#[test]
fn states_that_are_set_without_power_are_made_when_it_is_back() {
    let fixture = fixture();
    power(&fixture, false);
    fixture.allocate();
    fixture.go(&[ACQUIRE, PAUSE]);
    fixture.write(0).unwrap();
    fixture.go(&[RUN]);
    assert_eq!(
        (stream_calls(&fixture), fixture.position(), fixture.count()),
        (vec![], 0, 0),
        "no register is touched"
    );
    power(&fixture, true);
    let calls = stream_calls(&fixture);
    assert!(matches!(calls[0], RecordedCall::Configure(..)));
    let states: Vec<_> = calls.iter().filter(|call| matches!(call, RecordedCall::State(_))).collect();
    assert_eq!(
        states,
        [StreamState::Acquire, StreamState::Pause, StreamState::Run]
            .map(RecordedCall::State)
            .iter()
            .collect::<Vec<_>>()
    );
    assert!(calls.contains(&RecordedCall::Mark(0)), "what was written meanwhile");
    // A card that D3hot took to PAUSE, under a port that did not pause it: it goes on.
    power(&fixture, false);
    fixture.card.change(|inside| inside.state = StreamState::Pause);
    power(&fixture, true);
    assert!(stream_calls(&fixture).contains(&RecordedCall::State(StreamState::Run)));
    // And down again in its sleep: nothing starts when it wakes.
    power(&fixture, false);
    fixture.card.change(|inside| inside.state = StreamState::Pause);
    fixture.go(&[PAUSE, ACQUIRE, STOP]);
    power(&fixture, true);
    assert!(!stream_calls(&fixture).iter().any(|call| matches!(call, RecordedCall::State(StreamState::Run))));
    fixture.go(&[RUN]);
    assert!(matches!(stream_calls(&fixture)[0], RecordedCall::Configure(..)), "from the beginning");
}

#[test]
fn a_card_that_refuses_is_no_card_without_power() {
    let fixture = fixture();
    fixture.allocate();
    fixture.card.change(|inside| inside.refuses = Some(StreamState::Pause));
    assert!(fixture.stream.set_state(KSSTATE::PAUSE).is_err(), "it has power and says no");
    fixture.card.change(|inside| (inside.refuses, inside.exchanged) = (None, true));
    fixture.adapter.card().set_power(false);
    assert!(!fixture.adapter.card().set_power(true));
    assert!(fixture.stream.set_state(KSSTATE::PAUSE).is_err(), "another card: what is set now is never made");
}

#[test]
fn a_stream_outlives_its_device_and_goes_down_quietly() {
    let fixture = fixture();
    let mdl = fixture.allocate();
    fixture.go(&[RUN]);
    // STOP, SURPRISE_REMOVAL or REMOVE, with the client still there.
    fixture.adapter.stop();
    fixture.card.take_calls();
    fixture.go(&[PAUSE, ACQUIRE, STOP]);
    assert!(fixture.stream.set_state(KSSTATE::RUN).is_err(), "there is nothing to run");
    assert_eq!(fixture.port.borrow().live.len(), 1, "the buffer stays until it is freed");
    fixture.stream.free_buffer_with_notification(mdl, 3840);
    assert!(fixture.port.borrow().live.is_empty());
    let port = fixture.port.clone();
    drop(fixture);
    assert_eq!(Rc::strong_count(&port), 1);
}

/// A card may have something due that no interrupt tells of: from RUN on, and after D0. The DPC runs then.
#[test]
fn from_run_on_a_card_is_looked_at_when_it_asks_for_it() {
    let fixture = fixture();
    fixture.allocate();
    fixture.card.change(|inside| inside.next_look = Some(70_000));
    fixture.go(&[PAUSE]);
    assert_eq!(nt::host::timer_due_100ns(), None);
    fixture.go(&[RUN]);
    nt::host::run_dpcs();
    assert_eq!(nt::host::timer_due_100ns(), Some(70_000));
    fixture.adapter.power_change_state2(PowerDeviceD3, 0);
    assert_eq!(nt::host::timer_due_100ns(), None);
    fixture.adapter.power_change_state2(PowerDeviceD0, 0);
    nt::host::run_dpcs();
    assert_eq!(nt::host::timer_due_100ns(), Some(70_000));
}

/// The timer is one for all streams. What it was set for, of another one, is looked at when RUN sets it anew.
#[test]
fn the_run_of_a_stream_loses_no_packet_of_another() {
    let fixture = fixture();
    fixture.start_playing();
    nt::host::run_dpcs();
    let event = fixture.register_event();
    let endpoint = fixture.adapter.card().endpoint(1).unwrap();
    let (port, _account) = FakePort::make();
    let config = RegistryConfig::default();
    let other = Stream::try_new(fixture.adapter.clone(), endpoint, port, STEREO, config).unwrap();
    fixture.card.report(|status| status.packet_count = 1);
    assert_eq!((fixture.count(), event.signalled()), (1, false), "seen by its client, and not signalled yet");
    other.set_state(KSSTATE(RUN)).unwrap();
    nt::host::run_dpcs();
    assert!(event.signalled());
}
