//! A stream of the driver, as the port calls it: every method once, through our vtables or through C++
//! (`oracle=1`).

use super::packet_reads::ReadPacket;
use super::process_end::{self, Left};
use crate::kernel::call::driver_call;
use crate::kernel::event::Event;
use crate::kernel::layout::Mdl;
use crate::kernel::pool::Guarded;
use crate::kernel::sync::IrqLock;
use crate::kernel::{self, cfg, irql, time};
use crate::portcls::com::Com;
use crate::portcls::endpoint::Endpoint;
use crate::portcls::fault::{self, Fault};
use crate::portcls::guid::{
    IID_MINIPORT_WAVE_RT_INPUT_STREAM, IID_MINIPORT_WAVE_RT_OUTPUT_STREAM, IID_MINIPORT_WAVE_RT_STREAM,
    IID_MINIPORT_WAVE_RT_STREAM_NOTIFICATION,
};
use crate::portcls::idle;
use crate::portcls::layout::{
    KsAudioPosition, KsAudioPresentationPosition, KsRtAudioHwLatency, KsRtAudioHwRegister,
};
use crate::portcls::object::Object;
use crate::portcls::oracle;
use crate::portcls::pin::Instance;
use crate::portcls::port::Port;
use crate::portcls::port_stream;
use crate::portcls::power;
use crate::portcls::set_state;
use crate::portcls::status::Status;
use crate::portcls::vtable::{InputStream, MiniportWaveRt, OutputStream, Stream, StreamNotification, This};
use core::ffi::c_void;
use core::ptr;

/// `KSSTATE`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// No resources are held, positions are zero.
    Stop = 0,
    /// Resources are held.
    Acquire = 1,
    /// Ready, the position stands.
    Pause = 2,
    /// Sound moves.
    Run = 3,
}

/// `KSSTREAM_HEADER_OPTIONSF_ENDOFSTREAM`.
pub const END_OF_STREAM: u32 = 0x200;

/// A cyclic buffer as the driver gave it.
#[derive(Clone, Copy)]
pub struct CyclicBuffer {
    /// Its pages.
    pub mdl: *mut Mdl,
    /// Bytes used as ring.
    pub size: u32,
    /// Where it begins in the first page.
    pub offset: u32,
    /// `MEMORY_CACHING_TYPE` that user mode must map it with.
    pub cache: u32,
}

/// An open stream. Dropping it releases everything; `close` also checks that nothing is left.
pub struct PinStream {
    output: Option<Com<OutputStream>>,
    pub(super) input: Option<Com<InputStream>>,
    /// None where the driver has streams by timer only.
    notification: Option<Com<StreamNotification>>,
    pub(super) stream: Com<Stream>,
    port_stream: &'static Object,
    pub(super) oracle: bool,
    /// What a close would find.
    pub(super) left: IrqLock<Left>,
    /// Counts as an open pin until everything above is gone.
    _instance: Instance,
}

// SAFETY: the driver's stream may be called from any thread; GetPosition even while another call runs
// (WAVERT.md 1.5).
unsafe impl Sync for PinStream {}

/// Calls a method of the driver's stream at an IRQL: through C++ in oracle mode, else through our vtable.
macro_rules! method {
    ($self:ident, $name:literal, $irql:expr, $interface:expr, $($slot:ident).+, $oracle:ident ( $($arg:expr),* )) => {{
        let (interface, this) = ($interface.vtable(), $interface.this());
        driver_call($name, $irql, || {
            // SAFETY: a live interface of the driver, and arguments as the method wants them.
            unsafe { if $self.oracle { oracle::$oracle(this, $($arg),*) } else { (interface.$($slot).+)(this, $($arg),*) } }
        })
    }};
}
pub(super) use method;

impl PinStream {
    /// Opens the endpoint's pin with a format. On failure the driver must have left no stream and no
    /// reference behind.
    pub fn open(endpoint: &Endpoint, format: &[u8]) -> Result<Self, Status> {
        Self::open_with(endpoint, format, endpoint.pin, endpoint.capture)
    }

    /// Opens any pin in any direction, to see wrong ones refused.
    pub fn open_with(endpoint: &Endpoint, format: &[u8], pin: u32, capture: bool) -> Result<Self, Status> {
        let _used = idle::begin_use();
        let miniport =
            endpoint.port.body::<Port>().and_then(Port::wave_miniport).ok_or(Status::INVALID_DEVICE_STATE)?;
        let instance = Instance::create(endpoint.port, pin, capture, format)?;
        let oracle = cfg::get_bool("oracle", false);
        let port_stream = port_stream::create();
        let given = if oracle { oracle::port_stream(port_stream) } else { port_stream.this() };
        let stream = new_stream(&miniport, given, pin, capture, format, oracle).inspect_err(|_| {
            let left = port_stream.release() + u32::from(fault::make(Fault::PortStreamKept));
            if left != 0 {
                kernel::violation(
                    "port-stream-leak",
                    format_args!("a NewStream that failed kept its port stream"),
                );
            }
        })?;
        stream.check_identity("the stream");
        let notification = stream.query::<StreamNotification>(&IID_MINIPORT_WAVE_RT_STREAM_NOTIFICATION).ok();
        if let Some(notification) = &notification {
            stream.check_same_object(notification, "the stream");
        }
        if stream.query::<Stream>(&IID_MINIPORT_WAVE_RT_STREAM).is_err() {
            kernel::violation(
                "stream-interface",
                format_args!("the stream refuses its own IID_IMiniportWaveRTStream"),
            );
        }
        let output = stream.query::<OutputStream>(&IID_MINIPORT_WAVE_RT_OUTPUT_STREAM).ok();
        let output = output.filter(|_| !fault::make(Fault::NoPackets));
        let input = stream.query::<InputStream>(&IID_MINIPORT_WAVE_RT_INPUT_STREAM).ok();
        let both = fault::make(Fault::BothDirections);
        check_direction(capture, input.is_some() || both, output.is_some() || both);
        if let Some(output) = &output {
            output.check_identity("IMiniportWaveRTOutputStream");
            stream.check_same_object(output, "the stream");
        }
        if let Some(input) = &input {
            input.check_identity("IMiniportWaveRTInputStream");
            stream.check_same_object(input, "the stream");
        }
        power::pin_is_open(endpoint.port.body::<Port>().map_or(0, Port::device), stream.this());
        let left = IrqLock::new(Left::default());
        Ok(Self { output, input, notification, stream, port_stream, oracle, left, _instance: instance })
    }

    /// The stream's own interface: the minor target of requests to the pin.
    pub fn this(&self) -> This {
        self.stream.this()
    }

    /// The port stream behind it.
    pub fn port_stream(&self) -> &'static Object {
        self.port_stream
    }

    /// Whether buffers with notifications are offered: KSPROPERTY_RTAUDIO_QUERY_NOTIFICATION_SUPPORT, which
    /// PortCls answers by this.
    pub fn has_notifications(&self) -> bool {
        self.notification.is_some()
    }

    /// Whether packet mode is offered.
    pub fn has_packet_mode(&self) -> bool {
        self.output.is_some()
    }

    /// `SetState`.
    pub fn set_state(&self, state: State) -> Status {
        self.set_raw_state(state as u32)
    }

    /// `SetState` with a number that may be no state at all.
    pub fn set_raw_state(&self, state: u32) -> Status {
        if self.has_lost_its_process() { Status::SUCCESS } else { self.change_state(state) }
    }

    pub(super) fn change_state(&self, state: u32) -> Status {
        let _used = idle::begin_use();
        let status = set_state::timed(|| {
            Status(method!(self, "SetState", irql::PASSIVE, self.stream, set_state, oracle_set_state(state)))
        });
        if status.is_success() {
            power::pin_is_in(self.this(), state);
        }
        status
    }

    /// `GetPosition`, at PASSIVE or at DISPATCH level. The result is prefilled: a driver that leaves it so is
    /// out of range.
    pub fn position(&self, level: u8) -> (Status, KsAudioPosition) {
        let mut position = KsAudioPosition { play_offset: u64::MAX, write_offset: u64::MAX };
        let out = &raw mut position;
        let status = method!(self, "GetPosition", level, self.stream, get_position, oracle_get_position(out));
        (Status(status), position)
    }

    /// `GetHWLatency`: all three values must be written (rule `hw-latency`).
    pub fn hw_latency(&self) -> KsRtAudioHwLatency {
        let mut latency =
            KsRtAudioHwLatency { fifo_size: u32::MAX, chipset_delay: u32::MAX, codec_delay: u32::MAX };
        let out = &raw mut latency;
        method!(self, "GetHWLatency", irql::PASSIVE, self.stream, get_hw_latency, oracle_get_hw_latency(out));
        if fault::make(Fault::LatencyUnwritten) {
            latency.chipset_delay = u32::MAX;
        }
        if [latency.fifo_size, latency.chipset_delay, latency.codec_delay].contains(&u32::MAX) {
            kernel::violation("hw-latency", format_args!("GetHWLatency leaves a value unwritten"));
            return KsRtAudioHwLatency::default();
        }
        latency
    }

    /// `GetPositionRegister` and `GetClockRegister`, which may both be refused. Once in a pin's life, as the
    /// port does.
    pub fn registers(&self) -> (Result<KsRtAudioHwRegister, Status>, Result<KsRtAudioHwRegister, Status>) {
        let unwritten = KsRtAudioHwRegister {
            register: usize::MAX,
            width: u32::MAX,
            accuracy: u32::MAX,
            ..Default::default()
        };
        let (mut at, mut clock) = (unwritten, unwritten);
        let (at_out, clock_out) = (&raw mut at, &raw mut clock);
        let first = Status(method!(
            self,
            "GetPositionRegister",
            irql::PASSIVE,
            self.stream,
            get_position_register,
            oracle_get_position_register(at_out)
        ));
        let second = Status(method!(
            self,
            "GetClockRegister",
            irql::PASSIVE,
            self.stream,
            get_clock_register,
            oracle_get_clock_register(clock_out)
        ));
        if first.is_success() || second.is_success() {
            power::pin_has_registers(self.this());
        }
        let answer = |status: Status, told| if status.is_success() { Ok(told) } else { Err(status) };
        (answer(first, at), answer(second, clock))
    }

    /// `AllocateBufferWithNotification`.
    pub fn allocate(&self, count: u32, bytes: u32) -> Result<CyclicBuffer, Status> {
        let Some(notification) = &self.notification else { return Err(Status::NOT_SUPPORTED) };
        let buffer = allocated(|mdl_out, size_out, offset_out, cache_out| {
            Status(method!(
                self,
                "AllocateBufferWithNotification",
                irql::PASSIVE,
                notification,
                allocate_buffer,
                oracle_allocate_buffer(count, bytes, mdl_out, size_out, offset_out, cache_out)
            ))
        })?;
        self.left.lock().buffer = Some((buffer, true));
        Ok(buffer)
    }

    /// `FreeBufferWithNotification`, with what `allocate` gave.
    pub fn free(&self, buffer: &CyclicBuffer) {
        if !self.has_lost_its_process() {
            self.free_notifying(buffer);
        }
    }

    pub(super) fn free_notifying(&self, buffer: &CyclicBuffer) {
        let Some(notification) = &self.notification else { return };
        self.left.lock().forget(buffer);
        let (mdl, size) = (buffer.mdl.cast(), buffer.size);
        method!(
            self,
            "FreeBufferWithNotification",
            irql::PASSIVE,
            notification,
            free_buffer,
            oracle_free_buffer(mdl, size)
        );
    }

    /// `RegisterNotificationEvent`.
    pub fn register(&self, event: &Event) -> Status {
        let Some(notification) = &self.notification else { return Status::NOT_SUPPORTED };
        let event = event.as_ptr();
        let status = Status(method!(
            self,
            "RegisterNotificationEvent",
            irql::PASSIVE,
            notification,
            register_event,
            oracle_register_event(event)
        ));
        if status.is_success() {
            self.left.lock().registered(event);
        }
        status
    }

    /// `UnregisterNotificationEvent`.
    pub fn unregister(&self, event: &Event) -> Status {
        if self.has_lost_its_process() { Status::SUCCESS } else { self.unregister_at(event.as_ptr()) }
    }

    pub(super) fn unregister_at(&self, event: *mut c_void) -> Status {
        let Some(notification) = &self.notification else { return Status::NOT_SUPPORTED };
        let status = Status(method!(
            self,
            "UnregisterNotificationEvent",
            irql::PASSIVE,
            notification,
            unregister_event,
            oracle_unregister_event(event)
        ));
        if status.is_success() {
            self.left.lock().unregistered(event);
        }
        status
    }

    /// `SetWritePacket`.
    pub fn set_write_packet(&self, number: u32, flags: u32, length: u32) -> Status {
        let Some(output) = &self.output else { return Status::NOT_SUPPORTED };
        Status(method!(
            self,
            "SetWritePacket",
            irql::PASSIVE,
            output,
            set_write_packet,
            oracle_set_write_packet(number, flags, length)
        ))
    }

    /// `GetPacketCount`.
    pub fn packet_count(&self) -> Result<u32, Status> {
        let output = self.output.as_ref().ok_or(Status::NOT_SUPPORTED)?;
        let mut count = u32::MAX;
        let out = &raw mut count;
        let status = Status(method!(
            self,
            "GetPacketCount",
            irql::PASSIVE,
            output,
            get_packet_count,
            oracle_get_packet_count(out)
        ));
        if status.is_success() { Ok(count) } else { Err(status) }
    }

    /// `GetOutputStreamPresentationPosition`.
    pub fn presentation(&self) -> Result<KsAudioPresentationPosition, Status> {
        let output = self.output.as_ref().ok_or(Status::NOT_SUPPORTED)?;
        let mut position =
            KsAudioPresentationPosition { position_in_blocks: u64::MAX, qpc_position: u64::MAX };
        let out = &raw mut position;
        let status = Status(method!(
            self,
            "GetOutputStreamPresentationPosition",
            irql::PASSIVE,
            output,
            get_presentation_position,
            oracle_get_presentation_position(out)
        ));
        if status.is_success() { Ok(position) } else { Err(status) }
    }

    /// Releases the stream; its count must reach zero (rule `stream-references`) and its port stream must go
    /// with it. Of a pin that has lost its process, the port takes away first what was left.
    pub fn close(self) {
        let after = process_end::before_release(&self);
        power::pin_is_closed(self.this());
        let Self { output, input, notification, stream, port_stream, .. } = self;
        drop(output);
        drop(input);
        drop(notification);
        let left = stream.release() + u32::from(fault::make(Fault::StreamKept));
        if left != 0 {
            kernel::violation(
                "stream-references",
                format_args!("the stream has {left} reference(s) left after its last Release"),
            );
        }
        let left = port_stream.release();
        if left != 0 {
            kernel::violation(
                "stream-references",
                format_args!("the closed stream keeps {left} reference(s) to its port stream"),
            );
        }
        after.released();
    }

    /// Whether packet mode of capture is offered.
    pub fn has_read_packets(&self) -> bool {
        self.input.is_some()
    }

    /// `GetReadPacket`. The results are prefilled with what no driver may leave there
    /// ([`ReadPacket::UNWRITTEN`]).
    pub fn read_packet(&self) -> Result<ReadPacket, Status> {
        let input = self.input.as_ref().ok_or(Status::NOT_SUPPORTED)?;
        let mut packet = ReadPacket::UNWRITTEN;
        let (number, flags) = (&raw mut packet.number, &raw mut packet.flags);
        let (counter, more) = (&raw mut packet.counter, &raw mut packet.more);
        let status = Status(method!(
            self,
            "GetReadPacket",
            irql::PASSIVE,
            input,
            get_read_packet,
            oracle_get_read_packet(number, flags, counter, more)
        ));
        // The judge thinks in time since boot; what is not a time of the counter's stays what it is.
        if packet.counter != u64::MAX {
            (packet.counter, packet.counter_else) = time::of_counter(packet.counter);
        }
        bent(if status.is_success() { Ok(packet) } else { Err(status) })
    }

    /// `AllocateAudioBuffer`: a cyclic buffer that signals nothing.
    pub fn allocate_cyclic(&self, bytes: u32) -> Result<CyclicBuffer, Status> {
        let buffer = allocated(|mdl_out, size_out, offset_out, cache_out| {
            Status(method!(
                self,
                "AllocateAudioBuffer",
                irql::PASSIVE,
                self.stream,
                allocate_audio_buffer,
                oracle_allocate_audio_buffer(bytes, mdl_out, size_out, offset_out, cache_out)
            ))
        })?;
        self.left.lock().buffer = Some((buffer, false));
        Ok(buffer)
    }

    /// `FreeAudioBuffer`, with what `allocate_cyclic` gave.
    pub fn free_cyclic(&self, buffer: &CyclicBuffer) {
        if !self.has_lost_its_process() {
            self.free_silent(buffer);
        }
    }

    pub(super) fn free_silent(&self, buffer: &CyclicBuffer) {
        self.left.lock().forget(buffer);
        let (mdl, size) = (buffer.mdl.cast(), buffer.size);
        method!(
            self,
            "FreeAudioBuffer",
            irql::PASSIVE,
            self.stream,
            free_audio_buffer,
            oracle_free_audio_buffer(mdl, size)
        );
    }
}

/// The packet interface of the other direction must not be there (WAVERT.md 4.2).
fn check_direction(capture: bool, input: bool, output: bool) {
    let (wrong, name) = if capture { (output, "Output") } else { (input, "Input") };
    if wrong {
        let direction = if capture { "capture" } else { "render" };
        kernel::violation(
            "stream-interface",
            format_args!("a {direction} stream offers IMiniportWaveRT{name}Stream"),
        );
    }
}

/// `NewStream`. The format ends at an unmapped page and is gone when this returns: the driver must copy what
/// it needs.
fn new_stream(
    miniport: &Com<MiniportWaveRt>,
    port_stream: This,
    pin: u32,
    capture: bool,
    format: &[u8],
    oracle: bool,
) -> Result<Com<Stream>, Status> {
    let guarded = Guarded::new(format.len());
    // SAFETY: the guarded memory has as many bytes as the format.
    unsafe { guarded.as_mut_ptr().copy_from(format.as_ptr(), format.len()) };
    let mut out: This = ptr::dangling_mut::<usize>().cast();
    let (slot, this, capture) = (&raw mut out, miniport.this(), u8::from(capture));
    let data = guarded.as_mut_ptr().cast();
    // SAFETY: a live miniport, a slot for the answer, a live port stream and a format.
    let status = Status(driver_call("IMiniportWaveRT::NewStream", irql::PASSIVE, || unsafe {
        if oracle {
            oracle::oracle_new_stream(this, slot, port_stream, pin, capture, data)
        } else {
            (miniport.vtable().new_stream)(this, slot, port_stream, pin, capture, data)
        }
    }));
    if !status.is_success() {
        if fault::make(Fault::StreamNotNull) {
            out = ptr::dangling_mut::<usize>().cast();
        }
        if !out.is_null() {
            kernel::violation(
                "new-stream-not-null",
                format_args!("NewStream failed ({status}) and did not write NULL"),
            );
        }
        return Err(status);
    }
    // SAFETY: on success the driver wrote an interface pointer with a reference.
    unsafe { Com::from_raw(out) }.ok_or(Status::UNSUCCESSFUL)
}

/// What one of the allocating methods gives: pages, size, offset, cache type.
fn allocated(
    method: impl FnOnce(*mut This, *mut u32, *mut u32, *mut u32) -> Status,
) -> Result<CyclicBuffer, Status> {
    let mut mdl = ptr::null_mut();
    let (mut size, mut offset, mut cache) = (0, 0, u32::MAX);
    let _used = idle::begin_use();
    let status = method(&raw mut mdl, &raw mut size, &raw mut offset, &raw mut cache);
    if status.is_success() {
        port_stream::check_cleared(mdl.cast(), offset, size);
        Ok(CyclicBuffer { mdl: mdl.cast(), size, offset, cache })
    } else {
        Err(status)
    }
}

/// An answer with the fault that the run asks for.
fn bent(answer: Result<ReadPacket, Status>) -> Result<ReadPacket, Status> {
    let mut packet = match answer {
        Err(Status::DEVICE_NOT_READY) if fault::make(Fault::ReadRefusal) => {
            return Err(Status::UNSUCCESSFUL);
        }
        answer => answer?,
    };
    if packet.number >= 5 && fault::make(Fault::ReadGap) {
        packet.number = packet.number.wrapping_add(1);
    }
    if fault::make(Fault::ReadTime) {
        packet.counter = time::interrupt_time_100ns();
    }
    if fault::make(Fault::ReadPromise) {
        packet.more = 1;
    }
    Ok(packet)
}
