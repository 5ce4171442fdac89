//! One stream, render or capture: the WaveRT contract, step by step, in the order in which PortCls calls it.
//!
//! 1. NewStream makes it: STOP, position 0, no buffer.
//! 2. AllocateBufferWithNotification (or AllocateAudioBuffer): pages from the port, which
//!    the card is given.
//! 3. GetHWLatency, RegisterNotificationEvent, SetWritePacket(0).
//! 4. SetState ACQUIRE, PAUSE, RUN: the card takes the same steps.
//! 5. Running: the card's interrupt becomes a DPC ([`OpenStream::on_interrupt`]), which signals the events;
//!    the client writes the next packet and calls SetWritePacket, or calls GetReadPacket and reads it, and
//!    the packet is marked in the card's mark page. GetPosition, GetPacketCount and the presentation position
//!    read the status page. None of it is a message to the card.
//! 6. SetState PAUSE, ACQUIRE, STOP; UnregisterNotificationEvent; Free...; the last Release.
//!
//! SetState, allocation and release are serialized by PortCls (WAVERT.md 1.5) and come at PASSIVE_LEVEL, as
//! do the packet methods (each one's page). GetPosition, the packet methods and the DPC may come at any time
//! beside them, so what they share is behind one spin lock ([`StreamProgress`]). Registers are touched by
//! what comes at PASSIVE_LEVEL alone, and never while that lock is held.
//!
//! | file | what |
//! |---|---|
//! | `stream.rs` | the stream's interfaces |
//! | `stream/states.rs` | SetState |
//! | `stream/marks.rs` | which packets are valid, passed to the card |
//! | `stream/allocation.rs` | the cyclic buffer |
//! | `stream/registers.rs` | position and clock register |

use core::sync::atomic::{AtomicBool, Ordering};

use nt::NtResult;
use nt::mutex::Mutex;
use nt::spinlock::SpinLock;
use nt::status::{
    STATUS_DEVICE_NOT_READY, STATUS_INVALID_DEVICE_STATE, STATUS_INVALID_PARAMETER, STATUS_NO_MATCH,
    STATUS_NOT_SUPPORTED, STATUS_UNSUCCESSFUL,
};
use nt::sys::{MDL, MEMORY_CACHING_TYPE};
use portcls_sys::client_event::{ClientEvents, StreamWithEvents};
use portcls_sys::interfaces::{
    IDrmAudioStream, IMiniportWaveRTInputStream, IMiniportWaveRTOutputStream,
    IMiniportWaveRTStreamNotification, IPortWaveRTStream, MiniportWaveRTInputStream,
    MiniportWaveRTOutputStream, MiniportWaveRTStream, MiniportWaveRTStreamNotification,
};
use portcls_sys::ks::{
    KSAUDIO_POSITION, KSAUDIO_PRESENTATION_POSITION, KSDATAFORMAT, KSRTAUDIO_HWLATENCY, KSRTAUDIO_HWREGISTER,
    KSSTATE,
};
use portcls_sys::{Com, ComRef, In, Out, com_class};

use super::buffer::Buffer;
use super::packets::Refusal;
use super::progress::{Moment, StreamProgress};
use crate::adapter::Adapter;
use crate::adapter::streams::{OpenStream, StreamLease};
use crate::hw::format::AudioFormat;
use crate::hw::{Card, Endpoint, StreamState};
use crate::registry::RegistryConfig;

mod allocation;
mod drm;
mod glitches;
mod marks;
mod registers;
mod states;
use allocation::Allocated;
pub use glitches::Tracing;
use marks::MarkReason;
use registers::Register;

/// A stream.
pub struct Stream {
    port: ComRef<IPortWaveRTStream>,
    /// The card's stream, which is ours as long as this lives.
    lease: StreamLease,
    endpoint: Endpoint,
    format: AudioFormat,
    config: RegistryConfig,
    buffer: SpinLock<Option<Buffer>>,
    /// Held while the card changes its state or the buffer comes and goes: by the port's calls, and by the
    /// thread that gives the card power.
    transitions: Mutex<()>,
    /// A client has the position page, which ticks until the stream goes.
    ticks: AtomicBool,
    shared: SpinLock<StreamProgress>,
    /// Of clients, signalled when a packet has left the cyclic buffer.
    events: ClientEvents,
    glitches: glitches::Glitches,
    /// Held while a mark is passed to the card, and while the card goes to or out of STOP: what stands in the
    /// mark page must not go back, nor outlive STOP.
    marking: Mutex<()>,
}

com_class! {
    Stream {
        0 => IMiniportWaveRTStreamNotification,
        1 => IMiniportWaveRTOutputStream if |stream| !stream.endpoint.captures(),
        2 => IMiniportWaveRTInputStream if |stream| stream.endpoint.captures(),
        3 => IDrmAudioStream if |stream| !stream.endpoint.captures(),
    }
}

impl Stream {
    /// Step 1, NewStream: leases the endpoint's stream for a format that it takes.
    ///
    /// # Errors
    /// `STATUS_NO_MATCH` if the card does not take the format, `STATUS_DEVICE_NOT_READY` if it is not there
    /// or without power, `STATUS_INSUFFICIENT_RESOURCES` if the stream is taken or memory is short.
    pub fn try_new(
        adapter: Com<Adapter>,
        endpoint: Endpoint,
        port: ComRef<IPortWaveRTStream>,
        format: AudioFormat,
        config: RegistryConfig,
    ) -> NtResult<Com<Self>> {
        if !endpoint.can.takes(format) {
            return Err(STATUS_NO_MATCH);
        }
        let lease = StreamLease::try_new(adapter, endpoint.stream)?;
        if lease.card().state(lease.stream()).is_none() {
            return Err(STATUS_DEVICE_NOT_READY);
        }
        let stream = Com::try_new(Self {
            port,
            lease,
            endpoint,
            format,
            config,
            buffer: SpinLock::new(None),
            transitions: Mutex::try_new(())?,
            ticks: AtomicBool::new(false),
            shared: SpinLock::new(StreamProgress::new(endpoint.captures())),
            events: ClientEvents::new(),
            glitches: glitches::Glitches::new(),
            marking: Mutex::try_new(())?,
        })?;
        let visited: &Self = &stream;
        // SAFETY: the object does not move, and `drop` withdraws the lease's pointer before anything else.
        unsafe { stream.lease.activate(visited) };
        Ok(stream)
    }

    fn card(&self) -> &dyn Card {
        self.lease.card()
    }

    /// From the DPC at DISPATCH_LEVEL, and wherever a packet may have been completed: signals every event
    /// once if one was.
    fn signal_completed(&self) {
        let mut shared = self.shared.lock();
        if shared.take_completed(self.card(), &self.endpoint) {
            self.events.signal();
        }
    }
}

impl OpenStream for Stream {
    fn on_interrupt(&self) {
        self.signal_completed();
    }

    fn on_power(&self) {
        self.bring_back();
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // After this neither a DPC nor the power management visits this stream.
        self.lease.deactivate();
        if self.ticks.load(Ordering::Acquire) {
            self.card().update_position_registers(self.lease.stream(), false);
        }
        // PortCls took the client's mapping away before it released us.
        self.card().release_position_registers(self.lease.stream());
        self.halt();
        self.free_pages();
        // Events and the lease go with their fields.
    }
}

impl MiniportWaveRTStream for Stream {
    /// The format is fixed when the pin is opened; clients that want another open another.
    fn set_format(&self, _format: In<'_, KSDATAFORMAT>) -> NtResult {
        Err(STATUS_NOT_SUPPORTED)
    }

    /// Documented are single steps; jumps and repeats are taken too (WAVERT.md 4.3).
    fn set_state(&self, state: KSSTATE) -> NtResult {
        self.report_glitches();
        let target = StreamState::from_number(state.0).ok_or(STATUS_INVALID_PARAMETER)?;
        let _transition = self.transitions.lock();
        let present = self.shared.lock().state;
        if target > present {
            self.raise(present, target)?;
        } else if target < present {
            self.lower(present, target);
        } else if target == StreamState::Run {
            // Nothing, if it runs. If the card lost power and the port did not pause us before, this is where
            // it goes on.
            self.raise(StreamState::Pause, StreamState::Run)?;
        }
        Ok(())
    }

    /// At most DISPATCH_LEVEL. Both offsets are the same: a client that sees the write offset ahead misjudges
    /// the room it has. Of a capture stream it is the end of what the client can read.
    fn get_position(&self, position: Out<'_, KSAUDIO_POSITION>) -> NtResult {
        let offset = {
            let mut shared = self.shared.lock();
            let _ = shared.refresh(self.card(), &self.endpoint);
            if self.endpoint.captures() { shared.stored_offset() } else { shared.buffer_offset() }
        };
        position.write(KSAUDIO_POSITION { PlayOffset: offset, WriteOffset: offset })
    }

    fn allocate_audio_buffer(
        &self,
        requested: u32,
        mdl: Out<'_, *mut MDL>,
        actual: Out<'_, u32>,
        offset: Out<'_, u32>,
        cache: Out<'_, MEMORY_CACHING_TYPE>,
    ) -> NtResult {
        Allocated { mdl, actual, offset, cache }.report(|| self.allocate(1, requested, false))
    }

    fn free_audio_buffer(&self, mdl: *mut MDL, _size: u32) {
        self.free(mdl);
    }

    /// The card's FIFO: how far ahead of the position it fetches what a client stores by position, and
    /// how far a recording lags. There is no delay behind it. What a client marks it may fetch in longer
    /// pieces, but not before it is marked (DATASHEET 5.2).
    fn get_hw_latency(&self, latency: Out<'_, KSRTAUDIO_HWLATENCY>) {
        let geometry = self.shared.lock().geometry;
        let frames = self.fifo_frames(geometry);
        let fifo = frames.saturating_mul(self.format.frame_bytes());
        // A caller that gives no place gets nothing.
        let _ = latency.write(KSRTAUDIO_HWLATENCY { FifoSize: fifo, ChipsetDelay: 0, CodecDelay: 0 });
    }

    /// The card's register with a byte offset in the cyclic buffer. Not of a capture stream: its position is
    /// up to a FIFO ahead of what is stored, and a client that reads the register would read what is not
    /// there yet.
    fn get_position_register(&self, register: Out<'_, KSRTAUDIO_HWREGISTER>) -> NtResult {
        if self.endpoint.captures() {
            return Err(STATUS_NOT_SUPPORTED);
        }
        self.grant(register, |registers| Register::position(registers, self.format))
    }

    /// The card's register with its clock, in ticks.
    fn get_clock_register(&self, register: Out<'_, KSRTAUDIO_HWREGISTER>) -> NtResult {
        self.grant(register, |registers| Register::clock(registers, self.endpoint.limits.clock_hz))
    }
}

#[allow(
    clippy::not_unsafe_ptr_arg_deref,
    reason = "the events come from PortCls, whose contract for them is the trait's"
)]
impl MiniportWaveRTStreamNotification for Stream {
    fn allocate_buffer_with_notification(
        &self,
        notifications: u32,
        requested: u32,
        mdl: Out<'_, *mut MDL>,
        actual: Out<'_, u32>,
        offset: Out<'_, u32>,
        cache: Out<'_, MEMORY_CACHING_TYPE>,
    ) -> NtResult {
        Allocated { mdl, actual, offset, cache }.report(|| self.allocate(notifications, requested, true))
    }

    fn free_buffer_with_notification(&self, mdl: *mut MDL, _size: u32) {
        self.free(mdl);
    }
}

/// Steps 3 and 6.
impl StreamWithEvents for Stream {
    fn client_events(&self) -> &ClientEvents {
        &self.events
    }

    /// Not without a buffer with notifications.
    fn may_register_event(&self) -> NtResult {
        if self.shared.lock().notified { Ok(()) } else { Err(STATUS_UNSUCCESSFUL) }
    }
}

impl MiniportWaveRTOutputStream for Stream {
    /// Steps 3 and 5: a packet is valid in the buffer, in every state from STOP on: what a client fills
    /// before RUN is remembered, and passed to the card when it takes marks.
    fn set_write_packet(&self, number: u32, flags: u32, end_of_stream_bytes: u32) -> NtResult {
        self.report_glitches();
        let answer = {
            let mut shared = self.shared.lock();
            let geometry = shared.packet_geometry()?;
            let status = shared.refresh(self.card(), &self.endpoint).map(|(status, _)| status);
            let progress = shared.packet_progress(status.as_ref());
            let running = shared.runs();
            let sizes = (geometry.packet_bytes(), geometry.frame_bytes);
            shared.packets.write(running, progress, sizes, (number, flags, end_of_stream_bytes))
        };
        // Also after a refusal: the packet that is being played is marked all the same.
        self.pass_mark(if answer == Err(Refusal::Playing) { MarkReason::Late } else { MarkReason::New });
        Ok(answer?)
    }

    /// Frames that have left the card, with the counter at that moment. Behind the card there is no delay.
    fn get_output_stream_presentation_position(
        &self,
        position: Out<'_, KSAUDIO_PRESENTATION_POSITION>,
    ) -> NtResult {
        let (frames, moment) = {
            let mut shared = self.shared.lock();
            shared.packet_geometry()?;
            let moment = shared.refresh(self.card(), &self.endpoint).map(|(_, moment)| moment);
            (shared.position.last(), moment.unwrap_or_else(Moment::now))
        };
        position
            .write(KSAUDIO_PRESENTATION_POSITION { u64PositionInBlocks: frames, u64QPCPosition: moment.0 })
    }

    /// Packets that have left the buffer since STOP.
    fn get_packet_count(&self, count: Out<'_, u32>) -> NtResult {
        let packets = {
            let mut shared = self.shared.lock();
            shared.packet_geometry()?;
            let _ = shared.refresh(self.card(), &self.endpoint);
            shared.packets.count()
        };
        count.write(packets)
    }
}

impl MiniportWaveRTInputStream for Stream {
    /// Step 5: the next packet that was recorded. What came before it the client has taken.
    fn get_read_packet(
        &self,
        number: Out<'_, u32>,
        flags: Out<'_, u32>,
        counter: Out<'_, u64>,
        more: Out<'_, i32>,
    ) -> NtResult {
        if number.is_null() || flags.is_null() || counter.is_null() || more.is_null() {
            return Err(STATUS_INVALID_PARAMETER);
        }
        let found = {
            let mut shared = self.shared.lock();
            shared.packet_geometry()?;
            if shared.state < StreamState::Pause {
                return Err(STATUS_INVALID_DEVICE_STATE);
            }
            let card = self.card();
            let status = match shared.refresh(card, &self.endpoint) {
                Some((status, _)) => status,
                None => shared.kept_packets(card).ok_or(STATUS_DEVICE_NOT_READY)?,
            };
            shared.read_packet(&status, self.endpoint.limits.clock_hz, self.format.rate)
        };
        // Whether there is one or not: a client that asks is done with what it was given before.
        self.pass_mark(MarkReason::New);
        // That there is none is routine: clients ask once more after each packet (WAVERT.md 4.7).
        let (read, moment) = found.ok_or(STATUS_DEVICE_NOT_READY)?;
        number.write(read.number)?;
        flags.write(0)?;
        counter.write(moment)?;
        more.write(i32::from(read.more))
    }
}

#[cfg(test)]
mod tests;
