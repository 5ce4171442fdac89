//! A sound card without hardware: one microphone that hears a tone of 1 kHz. A whole WaveRT driver, to begin
//! from.
//!
//! ```text
//! cargo build -p portcls-sys --example sine --target x86_64-pc-windows-msvc --profile kernel
//! qemu-scripts/ntguest --sys sine.sys --device none --client record --set mode=event
//! ```
//!
//! A WaveRT filter (pin 0 is the client's, pin 1 the bridge) and a topology filter (pin 0 the microphone, pin
//! 1 the bridge), connected. The samples up to now are made when a client asks for its position, and at the
//! end of each packet by a timer, which then signals the client's events. A driver with hardware has DMA and
//! an interrupt there instead.
//!
//! There is no `unsafe` in it: what needs it stands in the crates `nt` and `portcls_sys`, once.
#![cfg_attr(windows, no_std, no_main)]
#![allow(clippy::doc_markdown, reason = "names of the WDK")]
#![allow(clippy::wildcard_imports, reason = "what C++ has by including the headers")]

extern crate alloc;

use nt::NtResult;
use nt::spinlock::SpinLock;
use nt::status::{
    STATUS_DEVICE_NOT_READY, STATUS_INVALID_PARAMETER, STATUS_NO_MATCH, STATUS_NOT_FOUND,
    STATUS_NOT_IMPLEMENTED, STATUS_NOT_SUPPORTED, STATUS_UNSUCCESSFUL,
};
use nt::sys::{BOOLEAN, DEVICE_DESCRIPTION, MDL, MEMORY_CACHING_TYPE};
use nt::timer::{Timer, TimerRoutine, TimerSwitch};
use portcls_sys::calls::{Cache, MappedPages, StartingDevice};
use portcls_sys::client_event::{ClientEvents, StreamWithEvents};
use portcls_sys::guid::*;
use portcls_sys::interfaces::*;
use portcls_sys::ks::*;
use portcls_sys::pc::*;
use portcls_sys::{Com, ComIn, ComOut, ComRef, GUID, IUnknown, In, Out, com_class};

#[cfg(windows)]
#[global_allocator]
static POOL: nt::pool::Pool = nt::pool::Pool;

#[cfg(not(windows))]
fn main() {
    eprintln!("this is a Windows driver: build it for x86_64-pc-windows-msvc");
}

portcls_sys::audio_driver! { start: start, filters: 2 }

/// The device starts: two filters, and the connection from the microphone to the one that records.
fn start(device: &StartingDevice<'_>) -> NtResult {
    let topology =
        device.install(&CLSID_PortTopology, nt::wide!("Topology"), &Com::try_new(Topology)?.to_unknown())?;
    let wave = device.install(&CLSID_PortWaveRT, nt::wide!("Wave"), &Com::try_new(Wave)?.to_unknown())?;
    device.connect((&topology, BRIDGE), (&wave, BRIDGE))
}

// ---------------------------------------------------------------------------------------------------------
// What the filters look like.

/// The bridge of both filters.
const BRIDGE: u32 = 1;
/// Frames a second.
const RATE: u32 = 48_000;
/// Bytes of a frame: two channels of 16 bits.
const FRAME: u32 = 4;

static ANALOG: [DataRangeEntry; 1] = [DataRangeEntry::range(&ANALOG_RANGE)];
static ANALOG_RANGE: KSDATARANGE = KSDATARANGE::analog();
static PCM: [DataRangeEntry; 1] = [DataRangeEntry::audio(&PCM_RANGE)];
static PCM_RANGE: KSDATARANGE_AUDIO = KSDATARANGE_AUDIO::pcm(2, (16, 16), (RATE, RATE));

/// A bridge pin: no client opens it.
const fn bridge(data_flow: u32, kind: &'static GUID) -> PCPIN_DESCRIPTOR {
    PCPIN_DESCRIPTOR::new(0, KSPIN_DESCRIPTOR::new(data_flow, KSPIN_COMMUNICATION_NONE, kind, &ANALOG))
}
/// Straight through, from one pin to the other.
const fn through(from: u32, to: u32) -> [PCCONNECTION_DESCRIPTOR; 1] {
    let node = PCFILTER_NODE;
    [PCCONNECTION_DESCRIPTOR { FromNode: node, FromNodePin: from, ToNode: node, ToNodePin: to }]
}

static TOPOLOGY_PINS: [PCPIN_DESCRIPTOR; 2] =
    [bridge(KSPIN_DATAFLOW_IN, &KSNODETYPE_MICROPHONE), bridge(KSPIN_DATAFLOW_OUT, &KSCATEGORY_AUDIO)];
static TOPOLOGY_CONNECTIONS: [PCCONNECTION_DESCRIPTOR; 1] = through(0, BRIDGE);
static TOPOLOGY_CATEGORIES: [GUID; 2] = [KSCATEGORY_AUDIO, KSCATEGORY_TOPOLOGY];
static TOPOLOGY: PCFILTER_DESCRIPTOR =
    PCFILTER_DESCRIPTOR::new(&TOPOLOGY_PINS, &[], &TOPOLOGY_CONNECTIONS, &TOPOLOGY_CATEGORIES);

static WAVE_PINS: [PCPIN_DESCRIPTOR; 2] = [
    PCPIN_DESCRIPTOR::new(
        1,
        KSPIN_DESCRIPTOR::new(KSPIN_DATAFLOW_OUT, KSPIN_COMMUNICATION_SINK, &KSCATEGORY_AUDIO, &PCM)
            .named(&KSAUDFNAME_RECORDING_CONTROL),
    ),
    bridge(KSPIN_DATAFLOW_IN, &KSCATEGORY_AUDIO),
];
static WAVE_CONNECTIONS: [PCCONNECTION_DESCRIPTOR; 1] = through(BRIDGE, 0);
static WAVE_CATEGORIES: [GUID; 3] = [KSCATEGORY_AUDIO, KSCATEGORY_CAPTURE, KSCATEGORY_REALTIME];
static WAVE: PCFILTER_DESCRIPTOR =
    PCFILTER_DESCRIPTOR::new(&WAVE_PINS, &[], &WAVE_CONNECTIONS, &WAVE_CATEGORIES);

// ---------------------------------------------------------------------------------------------------------
// The miniports.

struct Topology;
com_class! { Topology { 0 => IMiniportTopology } }

struct Wave;
com_class! { Wave { 0 => IMiniportWaveRT, 1 => IPinName } }

/// Both describe themselves, and leave the choice of a format to PortCls.
macro_rules! describe {
    ($miniport:ty, $descriptor:ident) => {
        impl Miniport for $miniport {
            fn get_description(&self, description: Out<'_, *const PCFILTER_DESCRIPTOR>) -> NtResult {
                description.write(&raw const $descriptor)
            }
            fn data_range_intersection(
                &self,
                _pin: u32,
                _client: In<'_, KSDATARANGE>,
                _ours: In<'_, KSDATARANGE>,
                _format: OutFormat<'_>,
            ) -> NtResult {
                Err(STATUS_NOT_IMPLEMENTED)
            }
        }
    };
}
describe!(Topology, TOPOLOGY);
describe!(Wave, WAVE);

impl MiniportTopology for Topology {
    fn init(
        &self,
        _: ComIn<'_, IUnknown>,
        _: ComIn<'_, IResourceList>,
        _: ComIn<'_, IPortTopology>,
    ) -> NtResult {
        Ok(())
    }
}

impl MiniportWaveRT for Wave {
    fn init(
        &self,
        _: ComIn<'_, IUnknown>,
        _: ComIn<'_, IResourceList>,
        _: ComIn<'_, IPortWaveRT>,
    ) -> NtResult {
        Ok(())
    }

    fn new_stream(
        &self,
        stream: ComOut<'_, IMiniportWaveRTStream>,
        port: ComIn<'_, IPortWaveRTStream>,
        pin: u32,
        capture: BOOLEAN,
        format: In<'_, KSDATAFORMAT>,
    ) -> NtResult {
        if pin != 0 || capture == 0 {
            return Err(STATUS_INVALID_PARAMETER);
        }
        let format = format.wave_format().ok_or(STATUS_NO_MATCH)?;
        let (wave, kind) = (format.Format, format.SubFormat);
        let pcm = match wave.wFormatTag {
            WAVE_FORMAT_EXTENSIBLE => kind == KSDATAFORMAT_SUBTYPE_PCM,
            tag => tag == WAVE_FORMAT_PCM,
        };
        if !pcm || (wave.nChannels, wave.nSamplesPerSec, wave.wBitsPerSample) != (2, RATE, 16) {
            return Err(STATUS_NO_MATCH);
        }
        let voice = Voice { tone: SpinLock::new(Tone::STOPPED), events: ClientEvents::new() };
        let made = Com::try_new(Stream { voice: Timer::try_new(voice)?, port: port.require()? })?;
        stream.set(made.into_interface::<IMiniportWaveRTStreamNotification>().upcast())
    }

    fn get_device_description(&self, description: Out<'_, DEVICE_DESCRIPTION>) -> NtResult {
        let device = DEVICE_DESCRIPTION { Master: 1, ScatterGather: 1, ..DEVICE_DESCRIPTION::default() };
        description.write(DEVICE_DESCRIPTION { Dma64BitAddresses: 1, MaximumLength: u32::MAX, ..device })
    }
}

impl PinName for Wave {
    /// Pins without a name of their own are called by their descriptor's.
    fn get_pin_name(&self, pin: In<'_, KSP_PIN>, name: OutPinName<'_>) -> NtResult {
        match (pin.get().map(|pin| pin.PinId), nt::wide!("Tone of 1 kHz").split_last()) {
            (Some(0), Some((_nul, text))) => name.write(text),
            _ => Err(STATUS_NOT_FOUND),
        }
    }
}

// ---------------------------------------------------------------------------------------------------------
// The stream.

struct Stream {
    voice: Timer<Voice>,
    port: ComRef<IPortWaveRTStream>,
}
com_class! { Stream { 0 => IMiniportWaveRTStreamNotification } }

/// What the timer works on.
struct Voice {
    /// Behind a spin lock: a position may be asked for at DISPATCH_LEVEL.
    tone: SpinLock<Tone>,
    events: ClientEvents,
}

/// Frames since the stream left STOP.
struct Tone {
    /// The cyclic buffer, and how many frames it has.
    buffer: Option<(MappedPages, u64)>,
    runs: bool,
    /// When it ran last, by the performance counter.
    since: i64,
    /// Frames before that.
    before: u64,
    /// Frames in the buffer.
    made: u64,
    /// Frames of a packet, if the buffer has notifications, and how many packets were signalled.
    packet: Option<u64>,
    signalled: u64,
}

/// A quarter of the tone's 48 samples, half of full scale.
const QUARTER: [i16; 13] = [0, 2139, 4240, 6270, 8192, 9974, 11585, 12998, 14189, 15137, 15826, 16244, 16384];

/// Sample `frame` of the tone.
fn sample(frame: u64) -> i16 {
    let place = usize::try_from(frame % 48).unwrap_or(0);
    let quarter = |place: usize| QUARTER.get(place).copied().unwrap_or(0);
    match place {
        0..=12 => quarter(place),
        13..=24 => quarter(24 - place),
        25..=36 => -quarter(place - 24),
        _ => -quarter(48 - place),
    }
}

impl Tone {
    const STOPPED: Self =
        Self { buffer: None, runs: false, since: 0, before: 0, made: 0, packet: None, signalled: 0 };

    /// Frames up to now.
    fn frames(&self) -> u64 {
        let counts = if self.runs { nt::clock::now().saturating_sub(self.since) } else { 0 };
        let (counts, second) = (counts.max(0).cast_unsigned(), nt::clock::frequency().cast_unsigned());
        let parts = (counts / second) * u64::from(RATE) + (counts % second) * u64::from(RATE) / second;
        self.before.saturating_add(parts)
    }

    /// Makes what is missing up to now; where that is in the buffer, in bytes.
    fn advance(&mut self) -> Option<u64> {
        let now = self.frames();
        let (buffer, room) = self.buffer.as_mut()?;
        let room = *room;
        let first = self.made.max(now.saturating_sub(room));
        for frame in first..now {
            let value = sample(frame).to_le_bytes();
            let at = (frame % room) * u64::from(FRAME);
            buffer
                .write(usize::try_from(at).unwrap_or(usize::MAX), &[value[0], value[1], value[0], value[1]]);
        }
        self.made = now;
        Some((now % room) * u64::from(FRAME))
    }

    /// Whether the events are to be signalled: a packet has ended since the last time.
    fn take_completed(&mut self) -> bool {
        let complete = self.packet.and_then(|packet| self.made.checked_div(packet)).unwrap_or(0);
        let new = self.runs && complete > self.signalled;
        if new {
            self.signalled = complete;
        }
        new
    }

    /// How long it is until the next packet ends, in 100 ns.
    fn to_packet_end(&self) -> Option<u64> {
        let packet = self.packet.filter(|_| self.runs)?;
        let missing = packet - self.frames() % packet;
        Some(missing.saturating_mul(10_000_000).div_ceil(u64::from(RATE)))
    }
}

impl TimerRoutine for Voice {
    fn on_timer(&self, timer: &TimerSwitch) {
        {
            let mut tone = self.tone.lock();
            tone.advance();
            // With the lock held, so that no event comes when PAUSE is over.
            if tone.take_completed() {
                self.events.signal();
            }
        }
        self.set(timer);
    }
}

impl Voice {
    fn set(&self, timer: &TimerSwitch) {
        timer.set_100ns(|| self.tone.lock().to_packet_end());
    }
}

impl Stream {
    fn tone(&self) -> &SpinLock<Tone> {
        &self.voice.routine().tone
    }

    /// A buffer of as many packets as there are notifications, or of one piece without. At least what is
    /// requested, for Windows' clients take no less.
    fn allocate(
        &self,
        notifications: Option<u32>,
        requested: u32,
        mdl: Out<'_, PMDL>,
        actual: Out<'_, u32>,
        offset: Out<'_, u32>,
        cache: Out<'_, MEMORY_CACHING_TYPE>,
    ) -> NtResult {
        let packets = notifications.unwrap_or(1);
        let bytes = requested.checked_next_multiple_of(FRAME * packets).ok_or(STATUS_INVALID_PARAMETER)?;
        if bytes == 0 || mdl.is_null() {
            return Err(STATUS_INVALID_PARAMETER);
        }
        let pages = self.port.allocate_pages(u64::MAX, bytes as usize)?;
        pages.clear(Cache::Cached)?;
        let buffer = pages.map(Cache::Cached)?;
        mdl.write(buffer.pages().as_mdl())?;
        actual.write(bytes)?;
        offset.write(0)?;
        cache.write(Cache::Cached.to_raw())?;
        let frames = u64::from(bytes / FRAME);
        let mut tone = self.tone().lock();
        tone.packet = notifications.map(|count| frames / u64::from(count));
        let before = tone.buffer.replace((buffer, frames));
        drop(tone);
        // What was there is freed without the lock: that is for PASSIVE_LEVEL.
        drop(before);
        Ok(())
    }

    fn free(&self) {
        let mut tone = self.tone().lock();
        tone.packet = None;
        let buffer = tone.buffer.take();
        drop(tone);
        drop(buffer);
    }
}

impl MiniportWaveRTStream for Stream {
    fn set_format(&self, _format: In<'_, KSDATAFORMAT>) -> NtResult {
        Err(STATUS_NOT_SUPPORTED)
    }

    fn set_state(&self, state: KSSTATE) -> NtResult {
        let runs = state == KSSTATE::RUN;
        {
            let mut tone = self.tone().lock();
            (tone.before, tone.runs) = (tone.frames(), runs);
            tone.since = nt::clock::now();
            if state == KSSTATE::STOP {
                (tone.before, tone.made, tone.signalled) = (0, 0, 0);
            }
        }
        if runs {
            self.voice.routine().set(self.voice.switch());
        } else {
            self.voice.switch().cancel();
        }
        Ok(())
    }

    fn get_position(&self, position: Out<'_, KSAUDIO_POSITION>) -> NtResult {
        let offset = self.tone().lock().advance().ok_or(STATUS_DEVICE_NOT_READY)?;
        position.write(KSAUDIO_POSITION { PlayOffset: offset, WriteOffset: offset })
    }

    fn allocate_audio_buffer(
        &self,
        requested: u32,
        mdl: Out<'_, PMDL>,
        actual: Out<'_, u32>,
        offset: Out<'_, u32>,
        cache: Out<'_, MEMORY_CACHING_TYPE>,
    ) -> NtResult {
        self.allocate(None, requested, mdl, actual, offset, cache)
    }

    fn free_audio_buffer(&self, _mdl: *mut MDL, _size: u32) {
        self.free();
    }

    fn get_hw_latency(&self, latency: Out<'_, KSRTAUDIO_HWLATENCY>) {
        let _ = latency.write(KSRTAUDIO_HWLATENCY::default());
    }

    fn get_position_register(&self, _register: Out<'_, KSRTAUDIO_HWREGISTER>) -> NtResult {
        Err(STATUS_NOT_SUPPORTED)
    }

    fn get_clock_register(&self, _register: Out<'_, KSRTAUDIO_HWREGISTER>) -> NtResult {
        Err(STATUS_NOT_SUPPORTED)
    }
}

impl MiniportWaveRTStreamNotification for Stream {
    fn allocate_buffer_with_notification(
        &self,
        notifications: u32,
        requested: u32,
        mdl: Out<'_, PMDL>,
        actual: Out<'_, u32>,
        offset: Out<'_, u32>,
        cache: Out<'_, MEMORY_CACHING_TYPE>,
    ) -> NtResult {
        if !(1..=2).contains(&notifications) {
            return Err(STATUS_INVALID_PARAMETER);
        }
        self.allocate(Some(notifications), requested, mdl, actual, offset, cache)
    }

    fn free_buffer_with_notification(&self, _mdl: *mut MDL, _size: u32) {
        self.free();
    }
}

impl StreamWithEvents for Stream {
    fn client_events(&self) -> &ClientEvents {
        &self.voice.routine().events
    }

    fn may_register_event(&self) -> NtResult {
        if self.tone().lock().packet.is_some() { Ok(()) } else { Err(STATUS_UNSUCCESSFUL) }
    }
}
