//! One stream, render or capture: the WaveRT contract, step by step, in the order in which PortCls calls it.
//!
//! 1. NewStream makes it: STOP, position 0, no buffer.
//! 2. AllocateBufferWithNotification (or AllocateAudioBuffer): pages from the port, and the table that leads the card to them.
//! 3. GetHWLatency, RegisterNotificationEvent, SetWritePacket(0).
//! 4. SetState ACQUIRE, PAUSE, RUN: the card takes the same steps.
//! 5. Running: the card's interrupt becomes a DPC ([`Stream::on_interrupt`]), which signals the events; the client writes the next
//!    packet and calls SetWritePacket, or calls GetReadPacket and reads it. GetPosition, GetPacketCount and the presentation position
//!    read the status page.
//! 6. SetState PAUSE, ACQUIRE, STOP; UnregisterNotificationEvent; Free...; the last Release.
//!
//! SetState, allocation and release are serialized by PortCls (wavert-facts 1.5); GetPosition, the packet methods and the DPC may
//! come at any time beside them, so what they share is behind one spin lock ([`Shared`]). Register writes of a change of state
//! are made outside of it.

use core::sync::atomic::{AtomicBool, Ordering};

use nt::NtResult;
use nt::event::ClientEvent;
use nt::pool::try_box;
use nt::spinlock::SpinLock;
use nt::status::{
    STATUS_DEVICE_NOT_READY, STATUS_INVALID_DEVICE_STATE, STATUS_INVALID_PARAMETER, STATUS_NO_MATCH,
    STATUS_NOT_FOUND, STATUS_NOT_SUPPORTED, STATUS_UNSUCCESSFUL,
};
use nt::sys::{KEVENT, MDL, MEMORY_CACHING_TYPE};
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
use super::format::AudioFormat;
use super::notifications::Node;
use super::progress::{Moment, Shared};
use super::ring::Ring;
use crate::adapter::Adapter;
use crate::adapter::streams::Claim;
use crate::endpoint::Endpoint;
use crate::hw::{Card, Dma, State};
use crate::registry::Wishes;

mod allocation;
mod drm;
mod glitches;
mod registers;
use allocation::Allocated;
pub use glitches::{Traced, Tracing};
use registers::Register;

/// A stream.
pub struct Stream {
    port: ComRef<IPortWaveRTStream>,
    /// The card's stream, which is ours as long as this lives.
    claim: Claim,
    endpoint: Endpoint,
    format: AudioFormat,
    wishes: Wishes,
    buffer: SpinLock<Option<Buffer>>,
    /// A client has the position page, which ticks until the stream goes.
    ticks: AtomicBool,
    shared: SpinLock<Shared>,
    glitches: glitches::Glitches,
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
    /// Step 1, NewStream: claims the endpoint's stream for a format that it takes.
    ///
    /// # Errors
    /// `STATUS_NO_MATCH` if the card does not take the format, `STATUS_DEVICE_NOT_READY` if it is not there or without power,
    /// `STATUS_INSUFFICIENT_RESOURCES` if the stream is taken or memory is short.
    pub fn try_new(
        adapter: Com<Adapter>,
        endpoint: Endpoint,
        port: ComRef<IPortWaveRTStream>,
        format: AudioFormat,
        wishes: Wishes,
    ) -> NtResult<Com<Self>> {
        if !endpoint.can.takes(format) {
            return Err(STATUS_NO_MATCH);
        }
        let claim = Claim::try_new(adapter, endpoint.stream)?;
        if claim.card().state(claim.stream()).is_none() {
            return Err(STATUS_DEVICE_NOT_READY);
        }
        let stream = Com::try_new(Self {
            port,
            claim,
            endpoint,
            format,
            wishes,
            buffer: SpinLock::new(None),
            ticks: AtomicBool::new(false),
            shared: SpinLock::new(Shared::default()),
            glitches: glitches::Glitches::new(),
        })?;
        // SAFETY: the object does not move, and `drop` withdraws the claim's pointer before anything else.
        unsafe { stream.claim.activate(&stream) };
        Ok(stream)
    }

    fn card(&self) -> &dyn Card {
        self.claim.card()
    }

    /// From the DPC at DISPATCH_LEVEL, and wherever a packet may have been completed: signals every event once if one was.
    pub fn on_interrupt(&self) {
        let mut shared = self.shared.lock();
        if shared.take_completed(self.card(), self.claim.stream()) {
            shared.notifications.iter().for_each(ClientEvent::signal);
        }
    }

    /// Brings the card to STOP if it is not. After this it touches neither buffer nor table.
    fn halt(&self) {
        let running = {
            let mut shared = self.shared.lock();
            core::mem::replace(&mut shared.card_state, State::Stop) != State::Stop
        };
        if running {
            // A card that is gone has stopped too.
            let _ = self.card().set_state(self.claim.stream(), State::Stop);
        }
    }

    // ---- Steps 4 and 6: states -----------------------------------------------------------------------------------------

    /// Up to `target`, one step after the other. A step that fails leaves the stream in the state before it.
    fn raise(&self, from: State, target: State) -> NtResult {
        for state in State::ALL.into_iter().filter(|state| *state > from && *state <= target) {
            let setup = self.buffer.lock().as_ref().map(|buffer| (buffer.ring, buffer.dma));
            match setup {
                Some((ring, dma)) => self.raise_card(state, ring, dma)?,
                // Without a buffer there is nothing to tell the card yet, and nothing to play.
                None if state == State::Run => return Err(STATUS_INVALID_DEVICE_STATE),
                None => {}
            }
            self.shared.lock().state = state;
        }
        if target == State::Run {
            // The first packet may be complete already, or one that was not signalled before PAUSE. DATASHEET 9.
            self.on_interrupt();
        }
        Ok(())
    }

    /// Brings the card up to `target`: from wherever it is, for the buffer may be younger than the state, and a card that lost
    /// power starts from STOP.
    fn raise_card(&self, target: State, ring: Ring, dma: Dma) -> NtResult {
        let (card, stream) = (self.card(), self.claim.stream());
        self.notice_lost_state();
        let from = self.shared.lock().card_state;
        for state in State::ALL.into_iter().filter(|state| *state > from && *state <= target) {
            match state {
                State::Acquire => {
                    card.configure(stream, self.format, ring, dma)?;
                    if self.ticks.load(Ordering::Acquire) {
                        // A card that was reset has forgotten it.
                        card.tick_position(stream, true);
                    }
                }
                State::Run => {
                    let mut shared = self.shared.lock();
                    shared.position.recalibrate();
                    if shared.untold {
                        // Written while the card was without power, and it kept its state.
                        shared.tell_mark(card, stream);
                    }
                }
                State::Stop | State::Pause => {}
            }
            card.set_state(stream, state)?;
            let mut shared = self.shared.lock();
            shared.card_state = state;
            if state == State::Acquire {
                let frame = shared.position.last();
                // The card comes from STOP and the stream does not: it goes on where it stood. Said before the mark, for once
                // the card knows the end of the stream it takes no start any more (DATASHEET 5.5).
                if frame > 0 && card.limits().start_frame {
                    card.start_at(stream, frame, ring.packet_of(frame));
                    shared.started = frame;
                }
                if self.endpoint.captures() {
                    // A mark before the first RUN asks a card that can wait to wait: if it is wished, of a client that can say what it has
                    // taken. Else none is told, not even one from before the card lost its state.
                    let nothing = ring.packet_of(frame).wrapping_sub(1);
                    let wished = self.wishes.lockstep_capture && shared.notified;
                    shared.taken = wished.then(|| shared.taken.unwrap_or(nothing));
                }
                // Written while the card could not be told: in STOP, or before it lost power.
                shared.tell_mark(card, stream);
            }
        }
        Ok(())
    }

    /// If the card is not where it was brought, it was without power: D3hot leaves a stream that ran in PAUSE, a reset leaves it in
    /// STOP. From here on it is taken as what it is. Costs a message, before each step up.
    fn notice_lost_state(&self) {
        let mut shared = self.shared.lock();
        if shared.card_state == State::Stop {
            return;
        }
        let Some(found) = self.card().state(self.claim.stream()) else { return };
        if found < shared.card_state {
            log::info!("the card lost its state: {found:?}, frame {}", shared.position.last());
            shared.card_state = found;
        }
    }

    /// Down to `target`. Never fails: a card that is gone is stopped.
    fn lower(&self, from: State, target: State) {
        let (card, stream) = (self.card(), self.claim.stream());
        if from == State::Run {
            // It is not in RUN if the buffer was freed meanwhile.
            if self.shared.lock().card_state == State::Run {
                let _ = card.set_state(stream, State::Pause);
            }
            // The position is frozen. What was completed before is signalled now; after this nothing is.
            self.on_interrupt();
            let mut shared = self.shared.lock();
            shared.state = State::Pause;
            shared.card_state = shared.card_state.min(State::Pause);
        }
        match target {
            State::Stop => {
                {
                    let mut shared = self.shared.lock();
                    shared.state = State::Stop;
                    shared.reset();
                }
                self.halt();
            }
            State::Acquire => {
                let card_state = self.shared.lock().card_state;
                if card_state > State::Acquire && card.set_state(stream, State::Acquire).is_ok() {
                    self.shared.lock().card_state = State::Acquire;
                }
                self.shared.lock().state = State::Acquire;
            }
            State::Pause | State::Run => {}
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if self.ticks.load(Ordering::Acquire) {
            self.card().tick_position(self.claim.stream(), false);
        }
        // PortCls took the client's mapping away before it released us.
        self.card().release_position_page(self.claim.stream());
        // After this no DPC looks at us.
        self.claim.deactivate();
        self.halt();
        // Buffer, events and the claim go with their fields.
    }
}

impl MiniportWaveRTStream for Stream {
    /// The format is fixed when the pin is opened; clients that want another open another.
    fn set_format(&self, _format: In<'_, KSDATAFORMAT>) -> NtResult {
        Err(STATUS_NOT_SUPPORTED)
    }

    /// Documented are single steps; jumps and repeats are taken too (wavert-facts 4.3).
    fn set_state(&self, state: KSSTATE) -> NtResult {
        self.report_glitches();
        let target = State::from_number(state.0).ok_or(STATUS_INVALID_PARAMETER)?;
        let present = self.shared.lock().state;
        if target > present {
            self.raise(present, target)?;
        } else if target < present {
            self.lower(present, target);
        } else if target == State::Run {
            // Nothing, if it runs. If the card lost power and the port did not pause us before, this is where it goes on.
            self.raise(State::Pause, State::Run)?;
        }
        Ok(())
    }

    /// At most DISPATCH_LEVEL. Both offsets are the same: a client that sees the write offset ahead misjudges the room it has. Of a capture
    /// stream it is the end of what the client can read.
    fn get_position(&self, position: Out<'_, KSAUDIO_POSITION>) -> NtResult {
        let offset = {
            let mut shared = self.shared.lock();
            let status = shared.look(self.card(), self.claim.stream()).map(|(status, _)| status);
            if self.endpoint.captures() {
                shared.stored_offset(status.as_ref())
            } else {
                shared.ring_offset()
            }
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

    /// The card's FIFO: what it has fetched ahead of the position, or not stored yet. There is no delay behind it.
    fn get_hw_latency(&self, latency: Out<'_, KSRTAUDIO_HWLATENCY>) {
        let ring = self.shared.lock().ring;
        let frames = self.fifo_frames(ring);
        let fifo = frames.saturating_mul(self.format.frame_bytes());
        // A caller that gives no place gets nothing.
        let _ = latency.write(KSRTAUDIO_HWLATENCY { FifoSize: fifo, ChipsetDelay: 0, CodecDelay: 0 });
    }

    /// RING_OFFSET of the position page: a byte offset in the cyclic buffer. Not of a capture stream: its position is up to a FIFO
    /// ahead of what is stored, and who reads the register would read what is not there yet.
    fn get_position_register(&self, register: Out<'_, KSRTAUDIO_HWREGISTER>) -> NtResult {
        if self.endpoint.captures() {
            return Err(STATUS_NOT_SUPPORTED);
        }
        self.grant(register, &Register::position(self.format))
    }

    /// CLOCK of the position page, in ticks of the card's clock.
    fn get_clock_register(&self, register: Out<'_, KSRTAUDIO_HWREGISTER>) -> NtResult {
        self.grant(register, &Register::clock(self.card().limits().clock_hz))
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

    /// Step 3. Refused without a buffer with notifications, for an event that is registered already, and beyond a bound.
    fn register_notification_event(&self, event: *mut KEVENT) -> NtResult {
        // SAFETY: PortCls keeps the event alive until it has unregistered it, and `unregister` takes it out under the lock
        // that is held where it is signalled.
        let event = unsafe { ClientEvent::from_raw(event) }.ok_or(STATUS_INVALID_PARAMETER)?;
        let node = try_box(Node::new(event))?;
        // The node comes back if it is not taken, and is freed when the lock is not held any more.
        let refused = {
            let mut shared = self.shared.lock();
            if shared.notified { shared.notifications.insert(node) } else { Err(node) }
        };
        refused.map_err(|_node| STATUS_UNSUCCESSFUL)
    }

    /// Step 6. When this returns the event is not touched any more.
    fn unregister_notification_event(&self, event: *mut KEVENT) -> NtResult {
        // SAFETY: only compared.
        let event = unsafe { ClientEvent::from_raw(event) }.ok_or(STATUS_NOT_FOUND)?;
        let node = self.shared.lock().notifications.remove(event);
        node.map(|_node| ()).ok_or(STATUS_NOT_FOUND)
    }
}

impl MiniportWaveRTOutputStream for Stream {
    /// Steps 3 and 5: a packet is valid in the buffer. The only register write while the stream runs.
    fn set_write_packet(&self, number: u32, flags: u32, end_of_stream_bytes: u32) -> NtResult {
        self.report_glitches();
        let (card, stream) = (self.card(), self.claim.stream());
        let mut shared = self.shared.lock();
        let Some(ring) = shared.ring.filter(|_| shared.notified) else {
            return Err(STATUS_NOT_SUPPORTED);
        };
        let status = shared.look(card, stream).map(|(status, _)| status);
        let progress = shared.packet_progress(status.as_ref());
        let running = shared.state == State::Run;
        let sizes = (ring.packet_bytes(), ring.frame_bytes);
        shared.packets.write(running, progress, sizes, (number, flags, end_of_stream_bytes))?;
        shared.tell_mark(card, stream);
        Ok(())
    }

    /// Frames that have left the card, with the counter at that moment. Behind the card there is no delay.
    fn get_output_stream_presentation_position(
        &self,
        position: Out<'_, KSAUDIO_PRESENTATION_POSITION>,
    ) -> NtResult {
        let (frames, moment) = {
            let mut shared = self.shared.lock();
            let moment = shared.look(self.card(), self.claim.stream()).map(|(_, moment)| moment);
            (shared.position.last(), moment.unwrap_or_else(Moment::now))
        };
        position
            .write(KSAUDIO_PRESENTATION_POSITION { u64PositionInBlocks: frames, u64QPCPosition: moment.0 })
    }

    /// Packets that have left the buffer since STOP.
    fn get_packet_count(&self, count: Out<'_, u32>) -> NtResult {
        let packets = {
            let mut shared = self.shared.lock();
            let _ = shared.look(self.card(), self.claim.stream());
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
        let (card, stream) = (self.card(), self.claim.stream());
        let (read, moment) = {
            let mut shared = self.shared.lock();
            if shared.ring.is_none() || !shared.notified {
                return Err(STATUS_NOT_SUPPORTED);
            }
            if shared.state < State::Pause {
                return Err(STATUS_INVALID_DEVICE_STATE);
            }
            let (status, _) = shared.look(card, stream).ok_or(STATUS_DEVICE_NOT_READY)?;
            let taken = shared.taken;
            let found = shared.read_packet(&status, card.limits().clock_hz, self.format.rate);
            if shared.taken != taken {
                shared.tell_mark(card, stream);
            }
            found.ok_or(STATUS_DEVICE_NOT_READY)?
        };
        number.write(read.number)?;
        flags.write(0)?;
        counter.write(moment)?;
        more.write(i32::from(read.more))
    }
}

#[cfg(test)]
#[path = "stream_tests.rs"]
mod tests;
