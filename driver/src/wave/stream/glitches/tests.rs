//! Tests of [`super`] and of the stream's digital rights, through the miniport, as the port goes: Init,
//! NewStream, and what a client does.

use std::sync::{Arc, Mutex};

use nt::NtResult;
use nt::status::{STATUS_INVALID_PARAMETER, STATUS_NOINTERFACE, STATUS_NOT_IMPLEMENTED, STATUS_UNSUCCESSFUL};
use nt::sys::MDL;
use portcls_sys::interfaces::{
    DRMRIGHTS, IDrmAudioStream, IMiniportWaveRTOutputStream, IMiniportWaveRTStream,
    IMiniportWaveRTStreamNotification, IPortWaveRTStream, MiniportWaveRT, PortClsEtwHelper, PortWaveRT,
};
use portcls_sys::ks::KSSTATE;
use portcls_sys::{Com, ComOut, ComRef, In, Out, com_class, unbound_port};

use super::*;
use crate::adapter::Adapter;
use crate::hw::fake::FakeCard;
use crate::hw::format::{AudioFormat, SampleFormat};
use crate::registry::RegistryConfig;
use crate::wave::descriptors::host_pin;
use crate::wave::fake_port::FakePort;
use crate::wave::{Traced, WaveMiniport};

/// An event and its four parameters.
type Event = (i32, [u64; 4]);

/// A WaveRT port that traces events, or is older than that.
struct WavePort {
    traces: bool,
    events: Arc<Mutex<Vec<Event>>>,
}
com_class! {
    WavePort {
        0 => IPortWaveRT,
        1 => IPortClsEtwHelper if |port| port.traces,
    }
}
unbound_port!(WavePort, |_| None);
impl PortWaveRT for WavePort {}
impl PortClsEtwHelper for WavePort {
    fn miniport_write_etw_event(&self, event: i32, a: u64, b: u64, c: u64, d: u64) -> NtResult {
        assert_eq!(nt::irql::current(), 0, "PASSIVE_LEVEL, and so no spin lock is held");
        self.events.lock().unwrap().push((event, [a, b, c, d]));
        // Whatever the port thinks of it, the stream goes on.
        Err(STATUS_UNSUCCESSFUL)
    }
}

const STEREO: AudioFormat = AudioFormat { sample: SampleFormat::S16, channels: 2, rate: 48_000 };

/// A filter, an open stream of it, and what the port heard.
struct Fixture {
    stream: ComRef<IMiniportWaveRTStreamNotification>,
    traced: Option<Traced>,
    miniport: Com<WaveMiniport>,
    card: FakeCard,
    events: Arc<Mutex<Vec<Event>>>,
}

impl Fixture {
    /// Of the card's stream 0, which renders, or 1, which captures; the card may have counted for others
    /// before.
    fn open(number: u32, traces: bool, before: u32) -> Self {
        let card = FakeCard::default();
        card.report(|status| status.underruns = before);
        let adapter = Adapter::try_new(core::ptr::null_mut(), Box::new(card.clone())).unwrap();
        let endpoint = adapter.card().endpoint(number).unwrap();
        let miniport = crate::wave::new_miniport(adapter, endpoint, RegistryConfig::default()).unwrap();
        let filter = Some(Traced::new(miniport.clone()));
        let events = Arc::<Mutex<Vec<Event>>>::default();
        let port = Com::try_new(WavePort { traces, events: Arc::clone(&events) }).unwrap();
        let port: ComRef<IPortWaveRT> = port.into_interface();
        miniport.init(ComIn::none(), ComIn::none(), ComIn::new(&port)).unwrap();
        let stream = new_stream(&miniport, number == 1).query().unwrap();
        Self { stream, traced: filter, miniport, card, events }
    }

    fn allocate(&self) {
        let (mut mdl, mut actual, mut offset, mut cache) = (core::ptr::null_mut::<MDL>(), 0, 0, 0);
        // SAFETY: a live stream and places of ours.
        unsafe {
            self.stream.allocate_buffer_with_notification(
                2,
                3840,
                Out::new(&mut mdl),
                Out::new(&mut actual),
                Out::new(&mut offset),
                Out::new(&mut cache),
            )
        }
        .unwrap();
    }

    fn go(&self, states: &[u32]) {
        for state in states {
            // SAFETY: a live stream.
            unsafe { self.stream.set_state(KSSTATE(*state)) }.unwrap();
        }
    }

    fn write(&self, number: u32) -> NtResult {
        let output = self.stream.query::<IMiniportWaveRTOutputStream>().unwrap();
        // SAFETY: a live stream.
        unsafe { output.set_write_packet(number, 0, 0) }
    }

    /// The card has played so many packets, so many of all as silence.
    fn plays(&self, packets: u32, silent: u32) {
        self.card.report(|status| {
            status.packet_count = packets;
            status.anchor.frame = u64::from(packets) * 480;
            status.underruns = silent;
        });
    }

    fn take_events(&self) -> Vec<Event> {
        std::mem::take(&mut self.events.lock().unwrap())
    }
}

fn new_stream(miniport: &WaveMiniport, captures: bool) -> ComRef<IMiniportWaveRTStream> {
    let format = STEREO.to_bytes();
    let mut made = core::ptr::null_mut();
    let (port, _account) = FakePort::make();
    let port: ComRef<IPortWaveRTStream> = port;
    // SAFETY: a format of ours, as long as it says.
    let format = unsafe { In::from_raw(format.as_slice().as_ptr().cast()) };
    let (out, port) = (ComOut::new(&mut made), ComIn::new(&port));
    miniport.new_stream(out, port, host_pin(miniport.endpoint().direction), captures.into(), format).unwrap();
    // SAFETY: a reference that is ours now.
    unsafe { ComRef::from_raw(made) }.unwrap()
}

const UP: [u32; 3] = [1, 2, 3];
const DOWN: [u32; 3] = [2, 1, 0];

#[test]
fn a_client_in_time_is_no_glitch() {
    // What the card counted for others before is no glitch of this stream.
    let fixture = Fixture::open(0, true, 7);
    fixture.allocate();
    fixture.write(0).unwrap();
    fixture.go(&UP);
    for packet in 1..10 {
        fixture.plays(packet - 1, 7);
        fixture.write(packet).unwrap();
    }
    fixture.go(&DOWN);
    assert_eq!(fixture.take_events(), []);
}

#[test]
fn a_late_client_is_reported_once_where_it_stood() {
    let fixture = Fixture::open(0, true, 7);
    fixture.allocate();
    fixture.write(0).unwrap();
    fixture.go(&UP);
    fixture.write(1).unwrap();
    // Packets 2 and 3 were not written; 2 x 1,920 bytes of ring, packet 1 was the last that was valid.
    fixture.plays(3, 9);
    assert!(fixture.write(2).is_err(), "it is late");
    assert_eq!(fixture.take_events(), [(7, [3 * 1920, 3840, 1, 0])]);
    fixture.write(4).unwrap();
    fixture.plays(4, 9);
    fixture.write(5).unwrap();
    assert_eq!(fixture.take_events(), [], "it is in time again");
    // Never again: what is missed then is told when the stream pauses.
    fixture.plays(6, 10);
    fixture.go(&[2]);
    assert_eq!(fixture.take_events(), [(7, [6 * 1920, 3840, 1, 0])]);
    fixture.go(&[1, 0]);
    assert_eq!(fixture.take_events(), []);
}

#[test]
fn a_card_that_was_reset_counts_from_nothing() {
    let fixture = Fixture::open(0, true, 7);
    fixture.allocate();
    fixture.write(0).unwrap();
    fixture.go(&UP);
    fixture.plays(0, 0);
    fixture.go(&[2]);
    assert_eq!(fixture.take_events(), []);
    fixture.go(&[3]);
    fixture.plays(1, 1);
    fixture.go(&[2]);
    assert_eq!(fixture.take_events().len(), 1);
}

#[test]
fn nothing_is_reported_of_a_recording_nor_to_a_port_that_does_not_trace() {
    for (number, traces) in [(1, true), (0, false)] {
        let fixture = Fixture::open(number, traces, 0);
        fixture.allocate();
        fixture.go(&UP);
        fixture.plays(3, 3);
        fixture.go(&DOWN);
        assert_eq!(fixture.take_events(), []);
    }
}

#[test]
fn the_miniport_lets_go_of_its_port_and_an_open_stream_does_when_it_closes() {
    let mut fixture = Fixture::open(0, true, 0);
    let events = Arc::clone(&fixture.events);
    drop(fixture.traced.take());
    assert!(Arc::strong_count(&events) > 2, "the stream still has it");
    fixture.allocate();
    fixture.go(&UP);
    fixture.plays(1, 1);
    fixture.go(&DOWN);
    assert_eq!(fixture.take_events().len(), 1, "and tells it");
    let Fixture { stream, miniport, events: of_rig, .. } = fixture;
    drop((stream, of_rig));
    assert_eq!(Arc::strong_count(&events), 1, "a port that its miniport holds for ever");
    // A stream that is opened while the filter goes tells nobody.
    drop(new_stream(&miniport, false));
}

#[test]
fn protected_content_is_refused_and_other_content_is_taken() {
    let fixture = Fixture::open(0, true, 0);
    let drm = fixture.stream.query::<IDrmAudioStream>().unwrap();
    let set = |copy, reserved, output| {
        let rights = DRMRIGHTS { CopyProtect: copy, Reserved: reserved, DigitalOutputDisable: output };
        // SAFETY: a live stream and rights of ours.
        unsafe { drm.set_content_id(5, In::new(&rights)) }
    };
    for state in [0, 1, 2, 3] {
        fixture.go(&[state]);
        assert_eq!(set(0, 0, 0), Ok(()));
        for (copy, output) in [(1, 0), (0, 1), (1, 1), (-1, 0)] {
            assert_eq!(set(copy, 0, output), Err(STATUS_NOT_IMPLEMENTED), "{copy} {output} in state {state}");
        }
        assert_eq!(set(0, 0, 0), Ok(()), "after a refusal the stream is as it was");
        if state == 0 {
            fixture.allocate();
        }
    }
    // SAFETY: a live stream.
    assert_eq!(unsafe { drm.set_content_id(5, In::none()) }, Err(STATUS_INVALID_PARAMETER));
    let microphone = Fixture::open(1, true, 0);
    assert_eq!(microphone.stream.query::<IDrmAudioStream>().err(), Some(STATUS_NOINTERFACE));
}
