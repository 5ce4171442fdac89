//! The life of a stream: 5.14.6.6.1. WaveRT's states are the specification's so:
//!
//! | WaveRT | requests | the device's state |
//! |---|---|---|
//! | STOP | (STOP,) RELEASE; SET_PARAMS at `configure` | Parameters |
//! | ACQUIRE, from STOP | PREPARE | Prepared |
//! | PAUSE, from ACQUIRE; ACQUIRE, from PAUSE | none | as it was |
//! | RUN | START, behind the first messages | Running |
//! | PAUSE, from RUN | STOP, which keeps the messages | Stopped |

use nt::NtResult;
use nt::status::{STATUS_DEVICE_HARDWARE_ERROR, STATUS_DEVICE_NOT_READY, STATUS_INSUFFICIENT_RESOURCES};

use super::stream::{PcmStream, now};
use super::wire::{self, code};
use super::{HIGHEST, Hardware, Refusal, VirtioSound};
use crate::hw::StreamState;
use crate::hw::format::AudioFormat;
use crate::hw::geometry::BufferGeometry;

impl VirtioSound {
    /// One request about a stream.
    fn request(&self, hardware: &Hardware, stream: u32, code: u32) -> NtResult {
        let id = self.known(stream).ok_or(STATUS_DEVICE_NOT_READY)?.id;
        Self::carried_out(stream, self.ask(hardware, &wire::pcm(code, id), &mut []))
    }

    fn carried_out(stream: u32, answer: Result<(), Refusal>) -> NtResult {
        match answer {
            Ok(()) => Ok(()),
            Err(Refusal::Gone) => Err(STATUS_DEVICE_NOT_READY),
            Err(Refusal::Status(status)) => {
                log::error!("stream {stream}: the device refuses: {}", wire::status_name(status));
                Err(STATUS_DEVICE_HARDWARE_ERROR)
            }
        }
    }

    pub(super) fn state_of(hardware: &Hardware, stream: u32) -> StreamState {
        let place = usize::try_from(stream).ok().and_then(|index| hardware.states.get(index));
        place.copied().unwrap_or(StreamState::Stop)
    }

    fn set_state_of(hardware: &mut Hardware, stream: u32, state: StreamState) {
        if let Some(place) = usize::try_from(stream).ok().and_then(|index| hardware.states.get_mut(index)) {
            *place = state;
        }
    }

    /// SET_PARAMS of a stream that is brought to STOP.
    pub(super) fn set_params(
        &self,
        hardware: &mut Hardware,
        stream: u32,
        format: AudioFormat,
        geometry: BufferGeometry,
    ) -> NtResult {
        self.halt(hardware, stream)?;
        let id = self.known(stream).ok_or(STATUS_DEVICE_NOT_READY)?.id;
        let cut = PcmStream::cut(HIGHEST, format, geometry)?;
        let (before, period) = self
            .with_stream(stream, |found| (found.set_cut(cut), found.period()))
            .ok_or(STATUS_DEVICE_NOT_READY)?;
        // Freed here, where no lock is held.
        drop(before);
        let (period_bytes, buffer_bytes) = period?;
        if period_bytes == 0 {
            return Err(STATUS_INSUFFICIENT_RESOURCES);
        }
        let request = wire::set_params(id, buffer_bytes, period_bytes, format);
        Self::carried_out(stream, self.ask(hardware, &request, &mut []))?;
        log::info!("stream {stream}: messages of {period_bytes} bytes");
        Ok(())
    }

    /// One transition.
    pub(super) fn transition(&self, hardware: &mut Hardware, stream: u32, target: StreamState) -> NtResult {
        let present = Self::state_of(hardware, stream);
        match (present, target) {
            (_, StreamState::Stop) => return self.halt(hardware, stream),
            (StreamState::Stop, StreamState::Acquire) => self.request(hardware, stream, code::PREPARE)?,
            (StreamState::Pause, StreamState::Run) => self.run(hardware, stream)?,
            (StreamState::Run, StreamState::Acquire | StreamState::Pause) => {
                self.with_stream(stream, |found| found.pause(now()));
                self.request(hardware, stream, code::STOP)?;
            }
            (StreamState::Acquire | StreamState::Pause, StreamState::Acquire | StreamState::Pause)
            | (StreamState::Run, StreamState::Run) => {}
            (StreamState::Stop | StreamState::Acquire, StreamState::Pause | StreamState::Run) => {
                log::error!("stream {stream}: from {present:?} to {target:?} is no step");
                return Err(STATUS_DEVICE_HARDWARE_ERROR);
            }
        }
        Self::set_state_of(hardware, stream, target);
        Ok(())
    }

    /// The first messages, then START: a device that begins without would count an xrun.
    fn run(&self, hardware: &Hardware, stream: u32) -> NtResult {
        if !self.post(stream, |found| found.run(now())) {
            return Err(STATUS_DEVICE_NOT_READY);
        }
        let started = self.request(hardware, stream, code::START);
        if started.is_err() {
            self.with_stream(stream, |found| found.pause(now()));
        }
        started
    }

    /// To STOP: what the device has of the stream comes back, unplayed.
    pub(super) fn halt(&self, hardware: &mut Hardware, stream: u32) -> NtResult {
        let present = Self::state_of(hardware, stream);
        if present == StreamState::Stop {
            return Ok(());
        }
        self.with_stream(stream, |found| found.discard(now()));
        if present == StreamState::Run {
            // Released all the same.
            let _ = self.request(hardware, stream, code::STOP);
        }
        let released = self.request(hardware, stream, code::RELEASE);
        // The specification has them back before the answer; a device may be late with them.
        let empty = self.wait(hardware, || self.has_nothing_of(stream));
        if !empty {
            let reason = format_args!("it did not give back the messages of stream {stream}");
            self.give_up_if_there(hardware, reason);
            return Err(STATUS_DEVICE_NOT_READY);
        }
        self.with_stream(stream, PcmStream::reset);
        Self::set_state_of(hardware, stream, StreamState::Stop);
        released
    }

    /// Whether every message of a stream has come back.
    pub(super) fn has_nothing_of(&self, stream: u32) -> bool {
        let Some((lane, queue)) = self.lane(stream) else { return true };
        let (taken, outstanding) = {
            let mut lane = lane.lock();
            let taken = lane.take(now());
            (taken, lane.stream(stream).map_or(0, |found| found.outstanding()))
        };
        self.after(queue, taken.map(|()| false));
        outstanding == 0
    }
}
