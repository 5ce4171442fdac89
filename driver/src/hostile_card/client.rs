//! What is asked of a driver whose card lies: streams with clients that do what clients do, filters, jacks.
//! Shared by [`crate::hostile_card`] and [`crate::hostile_virtio`].

use std::cell::RefCell;
use std::ptr::null_mut;
use std::rc::Rc;

use nt::event::{Event, Kind};
use nt::host;
use nt::sys::MDL;
use portcls_sys::client_event;
use portcls_sys::interfaces::{
    Miniport, MiniportWaveRTInputStream, MiniportWaveRTOutputStream, MiniportWaveRTStream,
    MiniportWaveRTStreamNotification,
};
use portcls_sys::ks::{KSAUDIO_POSITION, KSAUDIO_PRESENTATION_POSITION, KSRTAUDIO_HWREGISTER, KSSTATE};
use portcls_sys::{Com, Out};

use crate::adapter::Adapter;
use crate::adapter::jacks::JackListener;
use crate::hw::STREAMS_MAX;
use crate::hw::format::{AudioFormat, RATES, SampleFormat};
use crate::registry::RegistryConfig;
use crate::wave::fake_port::{Account, FakePort};
use crate::wave::stream::Stream;

/// A card that lies, as far as a client drives it.
pub trait Driven {
    /// The next byte about calls; `None` at the end.
    fn call(&self) -> Option<u8>;
    /// The next four of them as a number.
    fn number(&self) -> u32;
    /// It plays or records so many packets, or pieces of them.
    fn play(&self, stream: u32, count: u8);
}

/// What looks at the jack of a stream when an interrupt comes, as the topology miniport does.
struct Jack(Com<Adapter>, u32);

// SAFETY: each input is run by one thread.
unsafe impl Sync for Jack {}

impl JackListener for Jack {
    fn jack_may_have_changed(&self) {
        let _ = self.0.card().unplugged(self.1);
    }
}

/// A listener for the jack of each stream. None is added: they stay where they are.
pub struct Jacks(Vec<Jack>);

impl Jacks {
    pub fn listen(adapter: &Com<Adapter>) -> Self {
        let jacks = Self((0..STREAMS_MAX).map(|stream| Jack(adapter.clone(), stream)).collect());
        // SAFETY: `drop` has the adapter forget each before it goes.
        let listeners: &'static [Jack] =
            unsafe { std::slice::from_raw_parts(jacks.0.as_ptr(), jacks.0.len()) };
        for listener in listeners {
            // SAFETY: as above.
            unsafe { adapter.jacks().listen(listener.1, listener) };
        }
        jacks
    }
}

impl Drop for Jacks {
    fn drop(&mut self) {
        self.0.iter().for_each(|jack| jack.0.jacks().forget(jack.1));
        host::run_dpcs();
    }
}

/// An open stream and what its client has of it.
pub struct Client {
    pub stream: Com<Stream>,
    pub number: u32,
    pub captures: bool,
    pub port: Rc<RefCell<Account>>,
    pub buffer: Option<(*mut MDL, u32)>,
    event: Event,
    registered: bool,
}

/// The filters of every endpoint, as PortCls is given them.
pub fn describe(adapter: &Com<Adapter>, config: RegistryConfig) {
    let (mut speakers, mut microphones) = (0, 0);
    for endpoint in (0..STREAMS_MAX).map_while(|stream| adapter.card().endpoint(stream)) {
        let number = if endpoint.captures() { &mut microphones } else { &mut speakers };
        if crate::names::endpoint(endpoint.direction, *number).is_none() {
            return; // the start fails: no names
        }
        let topology = crate::topology::new_miniport(adapter.clone(), endpoint, *number).unwrap();
        let wave = crate::wave::new_miniport(adapter.clone(), endpoint, config).unwrap();
        *number += 1;
        let mut filter = core::ptr::null();
        wave.get_description(Out::new(&mut filter)).unwrap();
        topology.get_description(Out::new(&mut filter)).unwrap();
        assert!(!filter.is_null());
    }
}

impl Client {
    pub fn open(
        card: &impl Driven,
        adapter: &Com<Adapter>,
        config: RegistryConfig,
        number: usize,
    ) -> Option<Self> {
        let endpoint = adapter.card().endpoint(u32::try_from(number).unwrap())?;
        let kind = card.call().unwrap_or(0);
        let format = AudioFormat {
            sample: SampleFormat::ALL[usize::from(kind & 3)],
            channels: u32::from((kind >> 2) & 7) + 1,
            rate: RATES[usize::from(card.call().unwrap_or(8)) % RATES.len()],
        };
        let (port_stream, port) = FakePort::make();
        let stream = Stream::try_new(adapter.clone(), endpoint, port_stream, format, config).ok()?;
        let event = Event::try_new(Kind::Synchronization).unwrap();
        let captures = endpoint.captures();
        Some(Self { stream, number: endpoint.stream, captures, port, buffer: None, event, registered: false })
    }

    pub fn step(&mut self, card: &impl Driven, call: u8) {
        match call {
            11..=14 => {
                let _ = self.stream.set_state(KSSTATE(u32::from(call) - 11));
            }
            15 => self.allocate(u32::from(card.call().unwrap_or(2)), card.number() % 0x1_0000),
            16 => self.free(),
            17 | 18 => self.judge_position(),
            19 => {
                let mut position = KSAUDIO_PRESENTATION_POSITION::default();
                let _ = self.stream.get_output_stream_presentation_position(Out::new(&mut position));
            }
            20 => {
                let _ = self.stream.get_packet_count(Out::new(&mut 0));
            }
            21 | 22 if !self.captures => {
                let (mut number, flags) = (0, card.call().unwrap_or(0));
                let _ = self.stream.get_packet_count(Out::new(&mut number));
                number = number.wrapping_add(u32::from(flags >> 4));
                let bytes = if flags & 8 != 0 { card.number() } else { 0 };
                let _ = self.stream.set_write_packet(number, u32::from(flags & 8 != 0), bytes);
            }
            21 | 22 => {
                let (mut number, mut flags, mut counter, mut more) = (0, 0, 0, 0);
                let _ = self.stream.get_read_packet(
                    Out::new(&mut number),
                    Out::new(&mut flags),
                    Out::new(&mut counter),
                    Out::new(&mut more),
                );
            }
            23 => {
                // SAFETY: numbers and a pointer, for which zero is a value.
                let mut register: KSRTAUDIO_HWREGISTER = unsafe { core::mem::zeroed() };
                let _ = self.stream.get_position_register(Out::new(&mut register));
                let _ = self.stream.get_clock_register(Out::new(&mut register));
            }
            24 if !self.registered => {
                // SAFETY: the event outlives the stream.
                let registered = unsafe { client_event::register(&**self.stream, self.event.as_ptr()) };
                self.registered = registered.is_ok();
            }
            25 => self.unregister(),
            26 => card.play(self.number, 1),
            _ => {
                card.play(self.number, 1);
                host::run_dpcs();
                let _ = host::interrupt(0);
                host::run_dpcs();
                self.judge_position();
            }
        }
    }

    pub fn allocate(&mut self, packets: u32, bytes: u32) {
        if self.buffer.is_some() {
            return;
        }
        let (mut mdl, mut actual, mut offset, mut cache) = (null_mut(), 0, 0, 0);
        let places = (Out::new(&mut mdl), Out::new(&mut actual), Out::new(&mut offset), Out::new(&mut cache));
        let (mdl_place, actual_place, offset_place, cache_place) = places;
        let allocated = if packets == 0 {
            self.stream.allocate_audio_buffer(bytes, mdl_place, actual_place, offset_place, cache_place)
        } else {
            let packets = 1 + packets % 2;
            self.stream.allocate_buffer_with_notification(
                packets,
                bytes,
                mdl_place,
                actual_place,
                offset_place,
                cache_place,
            )
        };
        if allocated.is_ok() {
            assert!(actual >= bytes && self.port.borrow().live[&mdl.addr()].bytes() >= actual);
            self.buffer = Some((mdl, actual));
        }
    }

    pub fn free(&mut self) {
        self.unregister();
        if let Some((mdl, actual)) = self.buffer.take() {
            self.stream.free_buffer_with_notification(mdl, actual);
        }
    }

    pub fn unregister(&mut self) {
        if std::mem::take(&mut self.registered) {
            // SAFETY: an event of ours.
            unsafe { client_event::unregister(&**self.stream, self.event.as_ptr()) }.unwrap();
        }
    }

    /// What a client would index its buffer with.
    pub fn judge_position(&self) {
        let mut position = KSAUDIO_POSITION::default();
        if self.stream.get_position(Out::new(&mut position)).is_ok() {
            let bytes = self.buffer.map_or(1, |(_, actual)| u64::from(actual));
            assert!(position.PlayOffset < bytes, "{} of {bytes} bytes", position.PlayOffset);
            assert_eq!(position.WriteOffset, position.PlayOffset);
        }
    }

    pub fn close(self) {
        let port = self.release();
        assert!(port.borrow().live.is_empty(), "pages are left");
    }

    /// The same where pages may be left to a card that has not given them back.
    pub fn abandon(self) {
        let _ = self.release();
    }

    fn release(mut self) -> Rc<RefCell<Account>> {
        self.unregister();
        let Self { stream, port, .. } = self;
        drop(stream);
        port
    }
}
