//! The card as what is behind its PCI function, for the length of one call.

use ringwave_guest_memory::guest_ram::MapError;
use ringwave_pci::config::{ConfigWrite, Settings};
use ringwave_pci::{Backend, Bus, Delivered, Region, Request};
use ringwave_regs::pci::REGISTERS_BAR;
use ringwave_vfio_user::pci::PowerState;

use super::Card;
use super::asking::Session;
use super::tracing::Tracing;
use crate::records::{Records, is_urgent};
use crate::stats::register_write;
use ringwave_card::controller::Controller;
use ringwave_card::env::{Env, Interrupts};
use ringwave_engine::io_queue::IoQueue;
use ringwave_host::source::Inputs;
use ringwave_report::Messages;

/// Everything of the card's state but its PCI function.
pub(crate) struct CardBackend<'a> {
    pub card: &'a Card,
    pub controller: &'a mut Controller,
    pub inputs: &'a mut Inputs,
    pub queue: &'a mut IoQueue<Records>,
    pub counted: &'a mut Messages,
    pub session: &'a mut Session,
    pub tracing: &'a mut Tracing,
    /// A stream was in RUN when the request began.
    pub running: bool,
    /// The map that is asked for has a file.
    pub with_file: bool,
}

impl CardBackend<'_> {
    /// Calls the controller. What of it the guest must see is in the pages and in `bus` when this returns.
    pub fn call<R>(&mut self, bus: &mut Bus<'_>, call: impl FnOnce(&mut Controller, &mut Env<'_>) -> R) -> R {
        let (result, mut full) = self.call_once(bus, call);
        while full != 0 {
            let stream = full.trailing_zeros();
            full &= full - 1;
            self.call_once(bus, |controller, env| controller.host_failed(stream, env));
        }
        if is_urgent(self.queue)
            || self.trace_waits()
            || bus.memory.has_lost()
            || self.inputs.has_warnings()
            || self.controller.stalls().next().is_some()
        {
            self.card.wakers.io.wake();
        }
        result
    }

    /// Gives also the streams for whose sound there was no room, as bits.
    fn call_once<R>(
        &mut self,
        bus: &mut Bus<'_>,
        call: impl FnOnce(&mut Controller, &mut Env<'_>) -> R,
    ) -> (R, u32) {
        let before = self.queue.audio.end();
        let (mut interrupts, time) = (Interrupts::default(), self.trace_time());
        let mut env = Env {
            now: self.card.clock.now(),
            memory: bus.memory,
            pages: &self.card.pages,
            sources: self.inputs,
            audio: &mut self.queue.audio,
            interrupts: &mut interrupts,
            log: self.queue.records.card.log(time),
        };
        let result = call(self.controller, &mut env);
        bus.messages |= interrupts.messages;
        let lost = self.queue.audio.limit(before);
        self.queue.lose(lost);
        (result, lost)
    }

    /// Counts a request that has come.
    fn count(&mut self, request: &Request<'_>) {
        match request {
            // A write of a register is counted when it is known whether it ended the run; the others are part
            // of a write.
            Request::Write { region: Region::Bar(REGISTERS_BAR), .. }
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

impl Backend for CardBackend<'_> {
    fn read(&mut self, bar: u32, offset: u64, data: &mut [u8], bus: &mut Bus<'_>) {
        match bar {
            REGISTERS_BAR => self.call(bus, |controller, env| controller.read(offset, data, env)),
            _ => self.card.pages.read(offset, data),
        }
    }

    fn write(&mut self, bar: u32, offset: u64, data: &[u8], bus: &mut Bus<'_>) {
        if bar == REGISTERS_BAR {
            self.call(bus, |controller, env| controller.write(offset, data, env));
            let after = self.controller.running();
            self.counted.write_register(register_write(offset), self.running, after);
        } else {
            self.card.pages.write(offset, data);
            let bytes = data.len() as u64;
            self.call(bus, |controller, env| controller.pages_stored(offset, bytes, env));
        }
    }

    fn advance(&mut self, bus: &mut Bus<'_>) {
        self.call(bus, Controller::advance);
    }

    fn configure(&mut self, settings: &Settings, bus: &mut Bus<'_>) {
        self.call(bus, |controller, env| {
            // Ends that have passed belong to what was configured before.
            controller.advance(env);
            controller.set_bus_master(settings.bus_master);
            controller.set_msi(settings.msi);
            controller.set_d3hot(settings.power == PowerState::D3hot, env);
        });
    }

    /// With what a guest stored to the pages at offsets that are not the card's.
    fn reset(&mut self, bus: &mut Bus<'_>) {
        self.card.pages.wipe_unused(self.controller.streams());
        self.call(bus, Controller::reset);
    }

    fn intx(&self) -> bool {
        self.controller.intx()
    }

    fn begin(&mut self, request: &Request<'_>) {
        // A function-level reset is asked by a write that is not done yet.
        if !matches!(request, Request::FunctionLevelReset | Request::Power(_)) {
            self.running = self.controller.running();
        }
        self.count(request);
        self.trace_request(request);
    }

    fn end(&mut self, request: &Request<'_>, result: Result<(), MapError>) {
        self.trace_done(request, result);
        if matches!(request, Request::Reset) {
            self.session.reset_watch.reset(self.card.clock.real_now());
        }
    }

    fn config_written(&mut self, write: &ConfigWrite) {
        self.session.reset_watch.config_written(write);
    }

    fn signalled(&mut self, level: Option<bool>, delivered: Delivered) {
        self.trace_signals(level, delivered);
    }
}
