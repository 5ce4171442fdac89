//! Tests of [`super`] against a card and a port that only keep account. Each asserts what a client, the port
//! or the card would notice.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use nt::event::{Event, Kind};
use nt::status::{STATUS_DATA_OVERRUN, STATUS_INSUFFICIENT_RESOURCES, STATUS_NOT_FOUND};
use portcls_sys::client_event;
use portcls_sys::interfaces::{IMiniportWaveRTInputStream, IMiniportWaveRTStream};
use portcls_sys::{GUID, IUnknown};

use super::*;
use crate::hw::fake::{FakeCard, RecordedCall};
use crate::hw::format::SampleFormat;
use crate::wave::fake_port::{Account, FakePort};

mod capture;
mod mark;
mod power;
mod register;

const STEREO: AudioFormat = AudioFormat { sample: SampleFormat::S16, channels: 2, rate: 48_000 };

/// A stream with its card and its port.
struct Fixture {
    stream: Com<Stream>,
    card: FakeCard,
    adapter: Com<Adapter>,
    port: Rc<RefCell<Account>>,
}

fn fixture_with(config: RegistryConfig) -> Fixture {
    fixture_of(&FakeCard::default(), 0, config)
}

/// Stream `number` of `card`: 0 renders, 1 captures.
fn fixture_of(card: &FakeCard, number: u32, config: RegistryConfig) -> Fixture {
    let card = card.clone();
    let adapter = Adapter::try_new(core::ptr::null_mut(), Box::new(card.clone())).unwrap();
    let (port_stream, port) = FakePort::make();
    let endpoint = adapter.card().endpoint(number).unwrap();
    let stream = Stream::try_new(adapter.clone(), endpoint, port_stream, STEREO, config).unwrap();
    Fixture { stream, card, adapter, port }
}

fn fixture() -> Fixture {
    fixture_with(RegistryConfig::default())
}

impl Fixture {
    /// 20 ms in two packets, as the audio engine asks for.
    fn allocate(&self) -> *mut MDL {
        self.allocate_bytes(2, 3840).unwrap().0
    }

    /// MDL and actual size.
    fn allocate_bytes(&self, packets: u32, bytes: u32) -> Result<(*mut MDL, u32), nt::NTSTATUS> {
        let (mut mdl, mut actual, mut offset, mut cache) = (core::ptr::dangling_mut(), 7, 7, 7);
        let result = self.stream.allocate_buffer_with_notification(
            packets,
            bytes,
            Out::new(&mut mdl),
            Out::new(&mut actual),
            Out::new(&mut offset),
            Out::new(&mut cache),
        );
        match result {
            Ok(()) => assert_eq!((offset, cache), (0, 1)),
            Err(_) => {
                assert_eq!((mdl, actual), (core::ptr::null_mut(), 0), "a failure leaves nothing behind");
            }
        }
        result.map(|()| (mdl, actual))
    }

    /// The client says that packet `number` is written.
    fn write(&self, number: u32) -> NtResult {
        self.stream.set_write_packet(number, 0, 0)
    }

    /// 20 ms in two packets, of which the client has written the first, and RUN.
    fn start_playing(&self) {
        self.allocate();
        self.write(0).unwrap();
        self.go(&[RUN]);
    }

    /// An event of the client's, registered until it is dropped.
    fn register_event(&self) -> Registered<'_> {
        let event = Event::try_new(Kind::Synchronization).unwrap();
        register_event(&self.stream, &event).unwrap();
        Registered { event, stream: &self.stream }
    }

    /// Each lockstep that was passed to the card since the last time.
    fn asked(&self) -> Vec<bool> {
        let asked = |call| if let RecordedCall::Lockstep(ask) = call { Some(ask) } else { None };
        self.card.take_calls().into_iter().filter_map(asked).collect()
    }

    fn go(&self, states: &[u32]) {
        for state in states {
            self.stream.set_state(KSSTATE(*state)).unwrap();
        }
    }

    fn position(&self) -> u64 {
        let mut position = KSAUDIO_POSITION::default();
        self.stream.get_position(Out::new(&mut position)).unwrap();
        assert_eq!(position.PlayOffset, position.WriteOffset);
        position.PlayOffset
    }

    fn count(&self) -> u32 {
        let mut count = 99;
        self.stream.get_packet_count(Out::new(&mut count)).unwrap();
        count
    }

    fn presented(&self) -> u64 {
        let mut position = KSAUDIO_PRESENTATION_POSITION::default();
        self.stream.get_output_stream_presentation_position(Out::new(&mut position)).unwrap();
        assert_ne!(position.u64QPCPosition, 0);
        position.u64PositionInBlocks
    }

    /// The card completes packets and raises its interrupt.
    fn complete(&self, count: u32) {
        self.card.report(|status| {
            status.packet_count = count;
            status.anchor.frame = u64::from(count) * 480;
        });
        self.adapter.on_interrupt();
    }
}

/// A registered notification event.
struct Registered<'a> {
    event: Event,
    stream: &'a Stream,
}

/// As the table of the interface does it.
fn register_event(stream: &Stream, event: &Event) -> NtResult {
    // SAFETY: events of tests outlive their stream's signals, or are unregistered.
    unsafe { client_event::register(stream, event.as_ptr()) }
}

fn unregister_event(stream: &Stream, event: &Event) -> NtResult {
    // SAFETY: an event of a test.
    unsafe { client_event::unregister(stream, event.as_ptr()) }
}

impl Registered<'_> {
    /// Whether it was signalled since the last time.
    fn signalled(&self) -> bool {
        self.event.wait_100ns(0)
    }
}

impl Drop for Registered<'_> {
    fn drop(&mut self) {
        unregister_event(self.stream, &self.event).unwrap();
    }
}

const STOP: u32 = 0;
const ACQUIRE: u32 = 1;
const PAUSE: u32 = 2;
const RUN: u32 = 3;

#[test]
fn the_card_takes_the_steps_of_the_contract() {
    let fixture = fixture();
    fixture.allocate();
    fixture.go(&[ACQUIRE, PAUSE, RUN, PAUSE, RUN, PAUSE, ACQUIRE, STOP]);
    let calls = fixture.card.take_calls();
    let RecordedCall::Configure(format, shape) = calls[0] else { panic!("{calls:?}") };
    assert_eq!((format, shape.bytes, shape.packets, shape.frame_bytes), (STEREO, 3840, 2, 4));
    assert_eq!(
        fixture.card.inspect(|inside| inside.attached.as_ref().map(Vec::len)),
        Some(1),
        "3840 bytes are in one page"
    );
    let [stop, acquire, pause, run] = StreamState::ALL.map(RecordedCall::State);
    assert_eq!(
        calls[1..],
        [acquire, pause, RecordedCall::Lockstep(false), run, pause, run, pause, acquire, stop]
    );
}

#[test]
fn jumps_and_repeats_are_taken() {
    let fixture = fixture();
    fixture.allocate();
    fixture.go(&[RUN, RUN]);
    assert_eq!(
        fixture
            .card
            .take_calls()
            .iter()
            .filter(|call| **call == RecordedCall::State(StreamState::Run))
            .count(),
        1
    );
    fixture.go(&[STOP, STOP, PAUSE, PAUSE, STOP]);
    assert_eq!(fixture.stream.set_state(KSSTATE(4)), Err(STATUS_INVALID_PARAMETER));
}

#[test]
fn a_refused_run_leaves_the_stream_in_pause() {
    let fixture = fixture();
    fixture.allocate();
    fixture.card.change(|inside| inside.refuses = Some(StreamState::Run));
    assert!(fixture.stream.set_state(KSSTATE::RUN).is_err());
    fixture.card.take_calls();
    fixture.card.change(|inside| inside.refuses = None);
    fixture.go(&[RUN]);
    assert_eq!(
        fixture.card.take_calls(),
        [RecordedCall::Lockstep(false), RecordedCall::State(StreamState::Run)]
    );
}

#[test]
fn without_a_buffer_run_succeeds_and_nothing_moves_and_a_late_buffer_starts_at_the_next_run() {
    let fixture = fixture();
    fixture.go(&[ACQUIRE, PAUSE, RUN]);
    fixture.complete(3);
    assert_eq!(fixture.position(), 0);
    assert!(fixture.card.take_calls().is_empty());
    fixture.allocate();
    let event = fixture.register_event();
    fixture.complete(4);
    assert_eq!(
        (fixture.position(), fixture.count(), event.signalled()),
        (0, 0, false),
        "a buffer in RUN is not played"
    );
    assert_eq!(fixture.write(1), Err(STATUS_DATA_OVERRUN), "packet 0 is not being played");
    fixture.write(0).unwrap();
    assert!(fixture.card.take_calls().is_empty());
    fixture.go(&[PAUSE, RUN]);
    let [_, acquire, pause, run] = StreamState::ALL.map(RecordedCall::State);
    let again = RecordedCall::Mark(0);
    assert_eq!(
        fixture.card.take_calls()[1..],
        [acquire, RecordedCall::Mark(0), pause, RecordedCall::Lockstep(false), again, run]
    );
    fixture.complete(5);
    assert_eq!((fixture.position(), fixture.count(), event.signalled()), (1920, 5, true));
    // And down again, without one.
    let fixture = self::fixture();
    fixture.go(&[RUN, PAUSE, RUN, STOP]);
    assert_eq!((fixture.position(), fixture.card.take_calls()), (0, vec![]));
}

#[test]
fn every_byte_of_the_buffer_is_attached_to_the_card() {
    let fixture = fixture();
    // 700 pages of which none are neighbours.
    let (mdl, bytes) = fixture.allocate_bytes(2, 699 * 4096 + 8).unwrap();
    let attached = fixture.card.inspect(|inside| inside.attached.clone()).unwrap();
    assert_eq!(attached.iter().map(|segment| segment.bytes).sum::<u32>(), bytes);
    let pages: Vec<u64> = attached.iter().map(|segment| segment.address).collect();
    assert_eq!(pages, fixture.port.borrow().live[&mdl.addr()].pages);
    fixture.stream.free_buffer_with_notification(mdl, bytes);
    assert_eq!(fixture.card.inspect(|inside| inside.attached.clone()), None);
}

#[test]
fn a_buffer_that_the_card_refuses_is_freed() {
    let card = FakeCard::default();
    card.change(|inside| inside.limits.segments_max = 3);
    let fixture = fixture_of(&card, 0, RegistryConfig::default());
    assert_eq!(fixture.allocate_bytes(2, 4 * 4096), Err(STATUS_INSUFFICIENT_RESOURCES));
    assert!(fixture.port.borrow().live.is_empty());
    fixture.allocate_bytes(2, 3 * 4096).unwrap();
}

#[test]
fn pages_that_the_card_may_still_write_to_are_never_freed() {
    for released in [false, true] {
        let fixture = fixture();
        let mdl = fixture.allocate();
        fixture.go(&[RUN]);
        fixture.card.change(|inside| inside.keeps_pages = true);
        if !released {
            fixture.stream.free_buffer_with_notification(mdl, 3840);
        }
        let port = fixture.port.clone();
        drop(fixture);
        assert_eq!(port.borrow().live.len(), 1);
    }
}

#[test]
fn while_the_card_has_not_answered_the_dpc_and_the_position_go_on() {
    let fixture = fixture();
    fixture.allocate();
    let event = fixture.register_event();
    fixture.go(&[RUN]);
    // The answer to PAUSE arrives late; meanwhile a packet ends, and somebody asks for the position.
    let (card, adapter) = (fixture.card.clone(), fixture.adapter.clone());
    let stream = fixture.stream.clone();
    fixture.card.change(|inside| {
        inside.before_answer = Some(Arc::new(move || {
            card.report(|status| (status.packet_count, status.anchor.frame) = (1, 480));
            nt::host::at_irql(nt::sys::DISPATCH_LEVEL, || adapter.on_interrupt());
            let mut position = KSAUDIO_POSITION::default();
            stream.get_position(Out::new(&mut position)).unwrap();
            assert_eq!(position.PlayOffset, 1920);
        }));
    });
    fixture.go(&[PAUSE]);
    fixture.card.change(|inside| inside.before_answer = None);
    assert!(event.signalled());
}

#[test]
fn an_interrupt_that_is_about_another_stream_is_none_of_this_one() {
    let fixture = fixture();
    fixture.allocate();
    let event = fixture.register_event();
    fixture.go(&[RUN]);
    fixture.card.change(|inside| inside.interrupting = !1);
    fixture.complete(1);
    assert!(!event.signalled());
    fixture.card.change(|inside| inside.interrupting = 1);
    fixture.complete(1);
    assert!(event.signalled());
}

#[test]
fn the_buffer_is_as_large_as_asked_and_failures_leave_nothing() {
    let fixture = fixture();
    assert_eq!(fixture.allocate_bytes(3, 3840), Err(STATUS_INVALID_PARAMETER));
    assert_eq!(fixture.allocate_bytes(2, 0), Err(STATUS_UNSUCCESSFUL));
    fixture.port.borrow_mut().short_by = 4;
    assert!(fixture.allocate_bytes(2, 3840).is_err(), "a short MDL");
    fixture.port.borrow_mut().short_by = 0;
    fixture.port.borrow_mut().refuse_map = true;
    assert!(fixture.allocate_bytes(2, 3840).is_err(), "pages that can't be cleared");
    fixture.port.borrow_mut().refuse_map = false;
    assert!(fixture.port.borrow().live.is_empty());
    let (mdl, actual) = fixture.allocate_bytes(2, 3842).unwrap();
    assert_eq!(actual, 3848);
    assert!(fixture.port.borrow().live[&mdl.addr()].bytes() >= actual);
    assert!(fixture.allocate_bytes(2, 3840).is_err(), "one buffer at a time");
}

#[test]
fn the_card_lets_go_before_the_buffer_is_freed() {
    let fixture = fixture();
    let mdl = fixture.allocate();
    fixture.go(&[RUN]);
    fixture.card.take_calls();
    fixture.stream.free_buffer_with_notification(mdl, 3840);
    assert_eq!(fixture.card.take_calls(), [RecordedCall::State(StreamState::Stop)]);
    assert!(fixture.port.borrow().live.is_empty());
    fixture.stream.free_buffer_with_notification(mdl, 3840);
}

#[test]
fn a_stream_that_is_released_while_it_runs_leaves_nothing() {
    let Fixture { stream, card, adapter, port } = fixture();
    let fixture = Fixture { stream, card: card.clone(), adapter: adapter.clone(), port: port.clone() };
    fixture.allocate();
    fixture.go(&[RUN]);
    drop(fixture);
    assert_eq!(card.0.lock().unwrap().state, StreamState::Stop);
    assert!(port.borrow().live.is_empty());
    assert_eq!(Rc::strong_count(&port), 1, "the port stream is released");
    // No interrupt reaches the stream any more, and its place is free again.
    adapter.on_interrupt();
    let (port_stream, _port) = FakePort::make();
    let endpoint = adapter.card().endpoint(0).unwrap();
    assert!(Stream::try_new(adapter, endpoint, port_stream, STEREO, RegistryConfig::default()).is_ok());
}

#[test]
fn a_second_stream_is_refused() {
    let fixture = fixture();
    let (port_stream, _port) = FakePort::make();
    let endpoint = fixture.adapter.card().endpoint(0).unwrap();
    let second =
        Stream::try_new(fixture.adapter.clone(), endpoint, port_stream, STEREO, RegistryConfig::default());
    assert_eq!(second.err(), Some(nt::status::STATUS_INSUFFICIENT_RESOURCES));
}

#[test]
fn every_event_comes_once_per_packet_and_only_while_running() {
    let fixture = fixture();
    let events = [(); 2].map(|()| Event::try_new(Kind::Synchronization).unwrap());
    let signalled = || events.each_ref().map(|event| event.wait_100ns(0));
    let register = |event: &Event| register_event(&fixture.stream, event);
    assert_eq!(register(&events[0]), Err(STATUS_UNSUCCESSFUL), "no buffer yet");
    fixture.allocate();
    for event in &events {
        register(event).unwrap();
    }
    assert_eq!(register(&events[1]), Err(STATUS_UNSUCCESSFUL), "a duplicate");

    fixture.go(&[ACQUIRE, PAUSE]);
    fixture.complete(1);
    assert_eq!(signalled(), [false; 2], "not before RUN");
    fixture.go(&[STOP, RUN]);
    assert_eq!(signalled(), [false; 2], "nothing was played");
    fixture.complete(1);
    assert_eq!(signalled(), [true; 2]);
    fixture.adapter.on_interrupt();
    assert_eq!(signalled(), [false; 2], "an interrupt without a packet");
    fixture.complete(3);
    assert_eq!(signalled(), [true; 2], "two packets, one event");

    unregister_event(&fixture.stream, &events[0]).unwrap();
    fixture.complete(4);
    assert_eq!(signalled(), [false, true], "unregistered");
    assert_eq!(unregister_event(&fixture.stream, &events[0]), Err(STATUS_NOT_FOUND));

    fixture.go(&[PAUSE]);
    fixture.complete(5);
    assert_eq!(signalled(), [false; 2], "paused");
    fixture.go(&[RUN]);
    assert_eq!(signalled(), [false, true], "what came before PAUSE was over is made up for");
    unregister_event(&fixture.stream, &events[1]).unwrap();
}

#[test]
fn a_packet_that_ends_with_the_pause_is_signalled() {
    let fixture = fixture();
    fixture.allocate();
    let event = fixture.register_event();
    fixture.go(&[RUN]);
    fixture.card.report(|status| status.packet_count = 1);
    fixture.go(&[PAUSE]);
    assert!(event.signalled());
}

/// What the card was told of packets.
fn marks(fixture: &Fixture) -> Vec<RecordedCall> {
    let calls = fixture.card.take_calls().into_iter();
    calls
        .filter(|call| matches!(call, RecordedCall::Mark(..) | RecordedCall::AtOnce | RecordedCall::End(..)))
        .collect()
}

#[test]
fn written_packets_reach_the_card() {
    let fixture = fixture();
    assert_eq!(fixture.write(0), Err(STATUS_NOT_SUPPORTED), "no buffer");
    fixture.allocate();
    fixture.go(&[ACQUIRE, PAUSE]);
    assert!(fixture.write(2).is_err());
    fixture.write(0).unwrap();
    fixture.go(&[RUN]);
    fixture.write(1).unwrap();
    fixture.complete(1);
    assert_eq!(fixture.count(), 1);
    fixture.stream.set_write_packet(2, 0x200, 400).unwrap();
    // Stored again before RUN, in case the page lost it; the end is said by registers.
    assert_eq!(
        marks(&fixture),
        [RecordedCall::Mark(0), RecordedCall::Mark(0), RecordedCall::Mark(1), RecordedCall::End(2, 400)]
    );
    assert_eq!(fixture.write(2), Err(STATUS_INVALID_DEVICE_STATE));
}

#[test]
fn a_packet_written_in_stop_is_marked_when_the_card_takes_marks() {
    let fixture = fixture();
    fixture.allocate();
    fixture.write(0).unwrap();
    assert!(fixture.card.take_calls().is_empty());
    fixture.go(&[ACQUIRE]);
    assert_eq!(
        fixture.card.take_calls()[1..],
        [RecordedCall::State(StreamState::Acquire), RecordedCall::Mark(0)]
    );
}

#[test]
fn the_packet_a_stalled_card_waits_for_is_taken() {
    let fixture = fixture();
    fixture.allocate();
    fixture.go(&[RUN]);
    fixture.complete(5);
    assert!(fixture.write(5).is_err());
    fixture.card.report(|status| {
        (status.lockstep, status.stalled_on) = (true, Some(5));
    });
    assert_eq!(fixture.count(), 5, "the count is the truth, also while the card waits");
    fixture.write(5).unwrap();
    fixture.card.report(|status| status.stalled_on = None);
    assert_eq!(fixture.count(), 5);
    fixture.write(6).unwrap();
}

#[test]
fn a_packet_in_lockstep_is_late_only_if_it_was_written() {
    let fixture = fixture();
    fixture.allocate();
    fixture.go(&[RUN]);
    fixture.complete(5);
    // The card has counted, and does not say yet that it waits.
    fixture.card.report(|status| status.lockstep = true);
    fixture.write(5).unwrap();
    assert!(fixture.write(5).is_err(), "it is being played");
    fixture.write(6).unwrap();
}

#[test]
fn a_page_that_is_torn_under_every_reading_makes_no_packet_late_and_lets_the_position_move() {
    let fixture = fixture();
    fixture.allocate();
    fixture.go(&[RUN]);
    fixture.card.report(|status| status.lockstep = true);
    fixture.complete(5);
    fixture.card.change(|inside| inside.torn = true);
    fixture.write(5).unwrap();
    assert_eq!(fixture.count(), 5);
    fixture.complete(6);
    assert_eq!(fixture.count(), 6);
    // In PAUSE a position stands, whatever was known of RUN.
    fixture.card.change(|inside| inside.torn = false);
    fixture.card.report(|status| (status.anchor.rate_num, status.anchor.rate_den) = (48, 1_000_000));
    fixture.go(&[PAUSE]);
    fixture.card.change(|inside| inside.torn = true);
    let stands = fixture.presented();
    std::thread::sleep(std::time::Duration::from_millis(2));
    assert_eq!(fixture.presented(), stands);
}

#[test]
fn without_notifications_there_are_no_packets() {
    let fixture = fixture();
    let (mut mdl, mut actual, mut offset, mut cache) = (core::ptr::null_mut(), 0, 0, 0);
    let outs = (Out::new(&mut mdl), Out::new(&mut actual), Out::new(&mut offset), Out::new(&mut cache));
    fixture.stream.allocate_audio_buffer(4096, outs.0, outs.1, outs.2, outs.3).unwrap();
    assert_eq!(actual, 4096);
    fixture.go(&[RUN]);
    assert_eq!(fixture.write(1), Err(STATUS_NOT_SUPPORTED));
    let mut count = 7;
    assert_eq!(fixture.stream.get_packet_count(Out::new(&mut count)), Err(STATUS_NOT_SUPPORTED));
    let mut position = KSAUDIO_PRESENTATION_POSITION::default();
    let presented = fixture.stream.get_output_stream_presentation_position(Out::new(&mut position));
    assert_eq!((presented, count), (Err(STATUS_NOT_SUPPORTED), 7), "no number that could be wrong");
    let event = Event::try_new(Kind::Synchronization).unwrap();
    assert!(register_event(&fixture.stream, &event).is_err());
    fixture.stream.free_audio_buffer(core::ptr::null_mut(), 4096);
    assert!(fixture.port.borrow().live.is_empty());
}

#[test]
fn position_stays_in_the_ring_freezes_and_starts_anew() {
    let fixture = fixture();
    fixture.allocate();
    assert_eq!((fixture.position(), fixture.presented(), fixture.count()), (0, 0, 0));
    fixture.go(&[RUN]);
    fixture.complete(3);
    assert_eq!((fixture.position(), fixture.presented(), fixture.count()), (1440 % 960 * 4, 1440, 3));
    fixture.card.report(|status| status.anchor.frame = 1500);
    fixture.go(&[PAUSE]);
    assert_eq!((fixture.position(), fixture.presented()), (1500 % 960 * 4, 1500));
    // The page can't be read for a moment: what was known holds.
    fixture.card.change(|inside| inside.status = None);
    assert_eq!((fixture.position(), fixture.count()), (1500 % 960 * 4, 3));
    fixture.go(&[ACQUIRE, STOP]);
    assert_eq!((fixture.position(), fixture.presented(), fixture.count()), (0, 0, 0));
}

#[test]
fn without_a_card_everything_fails_softly() {
    let fixture = fixture();
    let mdl = fixture.allocate();
    fixture.go(&[RUN]);
    fixture.complete(2);
    fixture.adapter.stop();
    assert_eq!((fixture.position(), fixture.count()), (0, 2), "what was known holds");
    fixture.adapter.on_interrupt();
    fixture.go(&[PAUSE]);
    assert!(fixture.stream.set_state(KSSTATE::RUN).is_err());
    fixture.go(&[STOP]);
    fixture.stream.free_buffer_with_notification(mdl, 3840);
    assert!(fixture.port.borrow().live.is_empty());
}

#[test]
fn latency_is_the_fifo() {
    let fixture = fixture();
    fixture.allocate();
    let mut latency = KSRTAUDIO_HWLATENCY { FifoSize: 9, ChipsetDelay: 9, CodecDelay: 9 };
    fixture.stream.get_hw_latency(Out::new(&mut latency));
    assert_eq!(latency, KSRTAUDIO_HWLATENCY { FifoSize: 96 * 4, ChipsetDelay: 0, CodecDelay: 0 });
    let mut register = core::mem::MaybeUninit::<KSRTAUDIO_HWREGISTER>::zeroed();
    // SAFETY: numbers and a pointer, for which zeroes are good values.
    let register = unsafe { register.assume_init_mut() };
    assert_eq!(fixture.stream.get_position_register(Out::new(register)), Err(STATUS_NOT_SUPPORTED));
    assert_eq!(fixture.stream.get_clock_register(Out::new(register)), Err(STATUS_NOT_SUPPORTED));
}

#[test]
fn one_object_whichever_interface_is_asked() {
    let fixture = fixture();
    let primary = fixture.stream.to_interface::<IMiniportWaveRTStreamNotification>();
    let output = primary.query::<IMiniportWaveRTOutputStream>().unwrap();
    let base = output.query::<IMiniportWaveRTStream>().unwrap();
    let unknown = output.query::<IUnknown>().unwrap();
    // PortCls casts the object to the class in property handlers: the same pointer for all of the primary
    // chain.
    assert_eq!(unknown.as_raw().addr(), primary.as_raw().addr());
    assert_eq!(base.as_raw().addr(), primary.as_raw().addr());
    assert_ne!(output.as_raw().addr(), primary.as_raw().addr());
    assert!(primary.query::<IMiniportWaveRTInputStream>().is_err(), "a render stream has no read packets");
    // A failed query leaves NULL.
    let mut found = core::ptr::dangling_mut();
    let iid = GUID::parse("12345678-0000-0000-0000-000000000000");
    // SAFETY: a live object and room for a pointer.
    let status = unsafe {
        (primary.vtable().base.base.QueryInterface)(primary.as_raw().cast(), &raw const iid, &raw mut found)
    };
    assert!(status < 0 && found.is_null());
    // The secondary table reaches the same object.
    fixture.allocate();
    // SAFETY: as above.
    unsafe { output.set_write_packet(0, 0, 0) }.unwrap();
    fixture.go(&[ACQUIRE]);
    assert!(fixture.card.take_calls().contains(&RecordedCall::Mark(0)));
}
