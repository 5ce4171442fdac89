//! The card as what is behind its PCI function, for the length of one call.

use ringwave_engine::io_queue::IoQueue;
use ringwave_engine::sources::Sources;
use ringwave_guest_memory::guest_ram::MapError;
use ringwave_pci::config::{ConfigWrite, Settings};
use ringwave_pci::{Backend, Bus, Delivered, Region, Request};
use ringwave_report::{Messages, RegisterWrite};

use crate::host_requests::Session;
use crate::tracing::Tracing;
use crate::{CardEnv, PciCard, SoundCard};
use ringwave_served::records::{Records, is_urgent};

/// Everything of the card's state but its PCI function.
pub(crate) struct CardBackend<'a, C: SoundCard> {
    pub shared: &'a PciCard<C>,
    pub card: &'a mut C,
    pub sources: &'a mut dyn Sources,
    pub queue: &'a mut IoQueue<Records<C::Error>>,
    pub counted: &'a mut Messages,
    pub session: &'a mut Session,
    pub tracing: &'a mut Tracing,
    /// A stream was in RUN when the request began.
    pub running: bool,
    /// The map that is asked for has a file.
    pub with_file: bool,
}

impl<C: SoundCard> CardBackend<'_, C> {
    /// Calls the card. What of it the guest must see is in the pages and in `bus` when this returns.
    pub fn call<R>(
        &mut self,
        bus: &mut Bus<'_>,
        call: impl FnOnce(&mut C, &mut CardEnv<'_, C::Error>) -> R,
    ) -> R {
        let (result, mut full) = self.call_once(bus, call);
        while full != 0 {
            let stream = full.trailing_zeros();
            full &= full - 1;
            self.call_once(bus, |card, env| card.host_failed(stream, env));
        }
        if is_urgent(self.queue)
            || self.audio_is_due()
            || self.trace_waits()
            || bus.memory.has_lost()
            || self.sources.has_warnings()
            || self.card.stalls().next().is_some()
        {
            self.shared.wakers.io.wake_unlocked();
        }
        result
    }

    /// Whether the worker is to be woken for sound.
    fn audio_is_due(&mut self) -> bool {
        // Most calls bring none, and need no clock.
        let next = self.card.next_deadline();
        !self.queue.audio.is_empty() && self.queue.audio_is_due(self.shared.clock.now(), next)
    }

    /// Gives also the streams for whose sound there was no room, as bits.
    fn call_once<R>(
        &mut self,
        bus: &mut Bus<'_>,
        call: impl FnOnce(&mut C, &mut CardEnv<'_, C::Error>) -> R,
    ) -> (R, u32) {
        let before = self.queue.audio.end();
        let time = self.trace_time();
        let mut env = CardEnv {
            now: self.shared.clock.now(),
            memory: bus.memory,
            sources: self.sources,
            audio: &mut self.queue.audio,
            messages: &mut bus.messages,
            log: self.queue.records.card.log(time),
        };
        let result = call(self.card, &mut env);
        let lost = self.queue.audio.limit(before);
        self.queue.lose(lost);
        (result, lost)
    }

    /// Counts a request that has come.
    fn count(&mut self, request: &Request<'_>) {
        match request {
            // A write of a BAR is counted when it is known whether it ended the run; the others are part of a
            // write.
            Request::Write { region: Region::Bar(_), .. }
            | Request::FunctionLevelReset
            | Request::Power(_) => {}
            Request::Read { .. } => self.counted.read(self.running),
            Request::Write { .. } => self.counted.write(self.running),
            Request::Map(_)
            | Request::Unmap { .. }
            | Request::UnmapAll
            | Request::SetIrqs { .. }
            | Request::Reset => self.counted.total += 1,
        }
    }
}

impl<C: SoundCard> Backend for CardBackend<'_, C> {
    fn read(&mut self, bar: u32, offset: u64, data: &mut [u8], bus: &mut Bus<'_>) {
        self.call(bus, |card, env| card.read(bar, offset, data, env));
    }

    fn write(&mut self, bar: u32, offset: u64, data: &[u8], bus: &mut Bus<'_>) {
        self.call(bus, |card, env| card.write(bar, offset, data, env));
        let register = RegisterWrite::named(self.card.register_name(bar, offset));
        self.counted.write_register(register, self.running, self.card.running());
    }

    fn advance(&mut self, bus: &mut Bus<'_>) {
        self.call(bus, C::advance);
    }

    fn configure(&mut self, settings: &Settings, bus: &mut Bus<'_>) {
        self.call(bus, |card, env| card.configure(settings, env));
    }

    fn reset(&mut self, bus: &mut Bus<'_>) {
        self.call(bus, C::reset);
    }

    fn intx(&self) -> bool {
        self.card.intx()
    }

    fn begin(&mut self, request: &Request<'_>) {
        // A function-level reset is asked by a write that is not done yet.
        if !matches!(request, Request::FunctionLevelReset | Request::Power(_)) {
            self.running = self.card.running();
        }
        self.count(request);
        self.trace_request(request);
    }

    fn end(&mut self, request: &Request<'_>, result: Result<(), MapError>) {
        self.trace_done(request, result);
        if matches!(request, Request::Reset) {
            self.session.reset_watch.reset(self.shared.clock.real_now());
        }
    }

    fn config_written(&mut self, write: &ConfigWrite) {
        self.session.reset_watch.config_written(write);
    }

    fn signalled(&mut self, level: Option<bool>, delivered: Delivered) {
        self.trace_signals(level, delivered);
    }
}
