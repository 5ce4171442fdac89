//! The device behind the [`Card`] trait. What virtio-snd has not is answered so: no registers for clients, no
//! volume, no lockstep that a driver could ask the device for (its operator decides).

use core::sync::atomic::Ordering;

use nt::NtResult;
use nt::interrupt::Granted;
use nt::pool::try_box;
use nt::status::{STATUS_DEVICE_NOT_READY, STATUS_INSUFFICIENT_RESOURCES};

use super::bring_up::{SEGMENTS_MAX, limits};
use super::events::JackEvent;
use super::pieces;
use super::ring_memory::RingMemory;
use super::stream::{PcmStream, now};
use super::transport::Transport;
use super::{Hardware, Known, VirtioSound, number, phase};
use crate::hw::format::AudioFormat;
use crate::hw::geometry::BufferGeometry;
use crate::hw::segments::PageList;
use crate::hw::{Card, Endpoint, Mark, PositionRegisters, STREAMS_MAX, Status, StreamState};

/// The shortest packet: 1 ms, and 8 frames.
const PACKETS_PER_SECOND_MAX: u32 = 1000;
const PACKET_FRAMES_MIN: u32 = 8;
/// Units of 100 ns in a second.
const UNITS_PER_SECOND: u128 = 10_000_000;

impl VirtioSound {
    /// Everything stops, and the device is reset. PASSIVE_LEVEL.
    fn quiesce(&self, hardware: &mut Hardware) {
        if !self.is(phase::UP) {
            return;
        }
        for stream in 0..STREAMS_MAX {
            // One that fails has given the device up.
            let _ = self.halt(hardware, stream);
        }
        match self.down(hardware) {
            Err(_) => self.give_up_if_there(hardware, format_args!("it can't be reset")),
            Ok(()) => {
                let _ =
                    self.phase.compare_exchange(phase::UP, phase::DOWN, Ordering::AcqRel, Ordering::Acquire);
            }
        }
    }

    /// A jack changed: of the stream that it belongs to.
    fn on_jack(&self, event: JackEvent) {
        let belongs = |known: Option<Known>| known.is_some_and(|known| known.jack == Some(event.jack));
        let Some(stream) = (0_u32..).zip(*self.streams.lock()).find(|(_, known)| belongs(*known)) else {
            return;
        };
        let bit = 1 << stream.0;
        if event.connected {
            self.connected.fetch_or(bit, Ordering::AcqRel);
        } else {
            self.connected.fetch_and(!bit, Ordering::AcqRel);
        }
    }
}

impl Card for VirtioSound {
    fn endpoint(&self, stream: u32) -> Option<Endpoint> {
        let Known { direction, can, jack, .. } = self.known(stream)?;
        Some(Endpoint { stream, direction, can, limits: limits(self.clock_hz, jack.is_some()) })
    }

    fn packet_frames_min(&self, _stream: u32, rate: u32) -> u32 {
        (rate / PACKETS_PER_SECOND_MAX).max(PACKET_FRAMES_MIN)
    }

    /// Render: as deep as the device is filled for a client that marks nothing. Capture: a piece, which is
    /// there when it is whole.
    fn fifo_frames(&self, stream: u32, rate: u32, geometry: Option<&BufferGeometry>) -> u32 {
        let captures = self.known(stream).is_some_and(|known| known.captures());
        match geometry {
            Some(geometry) if captures => pieces::piece_frames(rate, geometry),
            _ => pieces::frames_ahead(rate, geometry),
        }
    }

    fn attach(&self, stream: u32, pages: &dyn PageList, bytes: u32) -> NtResult {
        let known = self.known(stream).ok_or(STATUS_DEVICE_NOT_READY)?;
        let ring = RingMemory::try_new(pages, bytes)?;
        let segments = u32::try_from(ring.segments()).unwrap_or(u32::MAX);
        if segments > SEGMENTS_MAX {
            log::error!("{segments} pieces of memory are more than this driver takes");
            return Err(STATUS_INSUFFICIENT_RESOURCES);
        }
        let silence = self.memory.silence.physical();
        let captures = known.captures();
        let made = try_box(PcmStream::new(known.id, captures, ring, self.clock_hz, silence))?;
        let (lane, _) = self.lane(stream).ok_or(STATUS_DEVICE_NOT_READY)?;
        let before = lane.lock().exchange(stream, Some(made));
        drop(before);
        log::info!("stream {stream}: cyclic buffer in {segments} piece(s) of memory");
        Ok(())
    }

    fn detach(&self, stream: u32) -> bool {
        // Not amid a transition.
        let _hardware = self.hardware.lock();
        let Some((lane, _)) = self.lane(stream) else { return true };
        let taken = lane.lock().exchange(stream, None);
        let Some(taken) = taken else { return true };
        let lets_go = self.let_go.load(Ordering::Acquire) && !self.lied.load(Ordering::Acquire);
        if taken.outstanding() == 0 || lets_go {
            return true;
        }
        self.keeps_memory.store(true, Ordering::Release);
        core::mem::forget(taken);
        false
    }

    fn configure(&self, stream: u32, format: AudioFormat, geometry: BufferGeometry) -> NtResult {
        let mut hardware = self.hardware.lock();
        if !self.is(phase::UP) {
            return Err(STATUS_DEVICE_NOT_READY);
        }
        self.set_params(&mut hardware, stream, format, geometry)
    }

    fn set_state(&self, stream: u32, state: StreamState) -> NtResult {
        let mut hardware = self.hardware.lock();
        if !self.is(phase::UP) || self.known(stream).is_none() {
            return Err(STATUS_DEVICE_NOT_READY);
        }
        self.transition(&mut hardware, stream, state)
    }

    fn state(&self, stream: u32) -> Option<StreamState> {
        self.known(stream)?;
        let hardware = self.hardware.lock();
        (self.is(phase::UP) && self.is_there(&hardware)).then(|| Self::state_of(&hardware, stream))
    }

    fn start_at(&self, stream: u32, frame: u64, _packet: u32) {
        self.with_stream(stream, |found| found.start_at(now(), frame));
    }

    fn ask_lockstep(&self, stream: u32, ask: bool) {
        self.with_stream(stream, |found| found.ask_lockstep(ask));
    }

    fn mark(&self, stream: u32, mark: Mark, _clock: u64, _at_once: bool) -> bool {
        self.is(phase::UP) && self.post(stream, |found| found.mark(mark))
    }

    fn status(&self, stream: u32) -> Option<Status> {
        if !self.is(phase::UP) {
            return None;
        }
        let (lane, queue) = self.lane(stream)?;
        let (taken, status) = {
            let mut lane = lane.lock();
            let moment = now();
            // What has come back counts at once; who asks for the next interrupt is the DPC.
            (lane.take(moment), lane.stream(stream).map(|found| found.status(moment)))
        };
        if taken.is_err() {
            self.after(queue, taken.map(|()| false));
            return None;
        }
        status
    }

    fn update_position_registers(&self, _stream: u32, _update: bool) {}

    fn position_registers(&self, _stream: u32) -> Option<PositionRegisters> {
        None
    }

    fn release_position_registers(&self, _stream: u32) {}

    fn set_volume(&self, _stream: u32, _channel: u32, _volume: i32) {}

    fn set_mute(&self, _stream: u32, _channels: u32) {}

    /// The device tells of every change.
    fn watch_jack(&self, _stream: u32) {}

    fn unplugged(&self, stream: u32) -> Option<bool> {
        self.known(stream)?.jack?;
        let bit = 1_u32.checked_shl(stream)?;
        self.is(phase::UP).then(|| self.connected.load(Ordering::Acquire) & bit == 0)
    }

    fn enable_interrupts(&self, granted: Granted) -> NtResult {
        let mut hardware = self.hardware.lock();
        match self.phase.load(Ordering::Acquire) {
            phase::DOWN => {}
            phase::UP => return Ok(()),
            _ => return Err(STATUS_DEVICE_NOT_READY),
        }
        hardware.states = [StreamState::Stop; STREAMS_MAX as usize];
        let begun = self.ask_once(&hardware).and_then(|()| self.set_up(&hardware, Some(granted)));
        if begun.is_err() {
            if !self.is(phase::GONE) && self.down(&hardware).is_err() {
                self.give_up_if_there(&hardware, format_args!("it can't be reset"));
            }
            return begun;
        }
        let _ = self.phase.compare_exchange(phase::DOWN, phase::UP, Ordering::AcqRel, Ordering::Acquire);
        Ok(())
    }

    /// With the interrupts all of it stops.
    fn disable_interrupts(&self) {
        self.quiesce(&mut self.hardware.lock());
    }

    unsafe fn acknowledge_line(&self) -> bool {
        self.isr.with(super::IsrByte::acknowledge).unwrap_or(false)
    }

    /// Whatever the message: all used rings are looked at.
    fn on_interrupt(&self) -> u32 {
        self.answered.set();
        if !self.is(phase::UP) {
            return 0;
        }
        for (lane, queue) in self.memory.lanes.iter().zip([number::TX, number::RX]) {
            let turned = lane.lock().turn(now());
            self.after(queue, turned);
        }
        let turned = self.memory.events.lock().turn(|event| self.on_jack(event));
        self.after(number::EVENT, turned);
        u32::MAX
    }

    /// Of what is played alone: a recording is there when it comes back.
    fn next_look(&self) -> Option<u64> {
        if !self.is(phase::UP) {
            return None;
        }
        let [tx, _] = &self.memory.lanes;
        let moment = tx.lock().next_look()?;
        let ticks = u128::from(moment.saturating_sub(now())).saturating_mul(UNITS_PER_SECOND);
        u64::try_from(ticks.div_ceil(u128::from(self.clock_hz.max(1)))).ok()
    }

    fn set_power(&self, on: bool) -> bool {
        let mut hardware = self.hardware.lock();
        if !on {
            self.quiesce(&mut hardware);
            self.doorbells.shut();
            self.isr.shut();
            let sleep = |now: u32| (now != phase::GONE).then_some(phase::ASLEEP);
            let _ = self.phase.fetch_update(Ordering::AcqRel, Ordering::Acquire, sleep);
            return true;
        }
        if self.is(phase::UP) {
            return true;
        }
        let is_there = hardware.transport.as_ref().is_some_and(Transport::is_there);
        if is_there {
            // Of one that was given up too: it may assert the line that it shares with others.
            self.isr.open();
        }
        if self.is(phase::GONE) {
            return false;
        }
        if !is_there {
            log::error!("after power came back no device is there");
            self.phase.store(phase::ABSENT, Ordering::Release);
            return false;
        }
        match self.look(&hardware) {
            Ok(found) if found == *self.streams.lock() => {
                self.phase.store(phase::DOWN, Ordering::Release);
                true
            }
            _ => {
                let reason = format_args!("after power came back it is not the one that was started");
                self.give_up_if_there(&hardware, reason);
                false
            }
        }
    }

    fn asleep(&self) -> bool {
        self.is(phase::ASLEEP)
    }

    fn is_present(&self) -> bool {
        !self.is(phase::GONE) && !self.is(phase::ABSENT)
    }

    fn remove(&self) {
        let transport = {
            let mut hardware = self.hardware.lock();
            self.quiesce(&mut hardware);
            let was = self.phase.swap(phase::GONE, Ordering::AcqRel);
            if was == phase::GONE
                && let Some(transport) = hardware.transport.as_ref().filter(|found| found.is_there())
            {
                // Given up: whatever it does, it is told to end it.
                let _ = transport.reset();
            }
            hardware.transport.take()
        };
        // Unmapped here, when no lock is held and no thread can reach them any more.
        drop(transport);
        drop(self.doorbells.take());
        drop(self.isr.take());
    }
}
