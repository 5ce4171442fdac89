//! The register file: what an access to BAR 0 means, and when the guest is interrupted. HDA.md 2.
//!
//! Registers are dwords here: an access of any length is cut into dwords with masks of the bits that it
//! touches, so that a byte write of one register and a dword write across three are the same thing.

use ringwave_engine::audio_queue::AudioQueue;
use ringwave_engine::loopback::Loopbacks;
use ringwave_engine::schedule::{self, BurstEnd};
use ringwave_engine::sources::{NoSources, Sources};
use ringwave_engine::stream::counters::Counters;
use ringwave_engine::stream::stats::StreamStats;
use ringwave_pci::PowerState;
use ringwave_pci::config::Settings;
use ringwave_pci_card::CardEnv;
use ringwave_trace::{CardEvent, Dma};

use crate::codec::Codec;
use crate::codec::tree::TreeConfig;
use crate::dma::{Bus, Error};
use crate::regs::{
    ALIAS, BAR_BYTES, CORBCTL, CORBLBASE, CORBWP, DESCRIPTORS, DPLBASE, DPUBASE, GCAP_VALUE, GCTL, GCTL_CRST,
    GCTL_FCNTRL, GCTL_UNSOL, GSTS, GSTS_FSTS, ICIS, INPUTS, INT_CONTROLLER, INT_GLOBAL, INTCTL, INTSTS,
    PAYLOAD_VALUE, SSYNC, SSYNC_ICH, STREAM_BYTES, STREAMS, WAKEEN, WALCLK, merged, sd,
};
use crate::rings::{Rings, RingsCtx};
use crate::stream::{StreamDescriptor, StreamEnv};

/// An end of a burst that is handled so many ticks late is not made up for: 1 s.
const LATE: u64 = 1_000_000_000;
/// The wall clock in a millisecond.
const WALCLK_PER_MS: u64 = 24_000;
const TICKS_PER_MS: u64 = 1_000_000;
/// Bits of the position buffer's base.
const POSITION_BASE: u32 = !0x7E;
const POSITION_ENABLE: u64 = 1;
const ALL_STREAMS: u32 = (1 << DESCRIPTORS) - 1;

/// What a controller is made with.
#[derive(Clone, Debug)]
pub struct Config {
    /// The codec's tree.
    pub tree: TreeConfig,
    /// For each capture endpoint: the render endpoint that it hears.
    pub loopback: Vec<Option<u8>>,
    /// The codec's amplifiers change what is heard and captured.
    pub amplifiers: bool,
}

/// The controller with its codec.
#[derive(Debug)]
pub struct Controller {
    codec: Codec,
    rings: Rings,
    descriptors: Vec<StreamDescriptor>,
    /// Of each endpoint.
    counters: Vec<Counters>,
    /// Of descriptors that no endpoint hears.
    unheard: (Counters, AudioQueue),
    render: u32,
    loops: Loopbacks,
    /// The codec's amplifiers change what is heard and captured.
    amplifiers: bool,
    /// The latest device clock that the card was told.
    time: u64,
    registers: Registers,
    /// What configuration space says.
    settings: Settings,
    /// Bits of INTSTS for which a message was sent.
    sent: u32,
}

/// Registers that do nothing but keep what was written.
#[derive(Clone, Copy, Debug, Default)]
struct Registers {
    gctl: u32,
    /// WAKEEN, STATESTS above.
    wake: u32,
    gsts: u32,
    intctl: u32,
    ssync: u32,
    position_base: u64,
    /// Device clock at which CRST became 1.
    wall_start: u64,
}

impl Controller {
    /// A controller after power-on.
    pub fn new(config: Config) -> Self {
        let codec = Codec::new(config.tree);
        let endpoints = codec.endpoints();
        let render = config.tree.render.min(endpoints);
        let descriptor = |index: usize| StreamDescriptor::new(low(index as u64), index < INPUTS);
        Self {
            rings: Rings::default(),
            descriptors: (0..DESCRIPTORS).map(descriptor).collect(),
            counters: (0..endpoints).map(|endpoint| Counters::new(endpoint >= render)).collect(),
            unheard: (Counters::new(false), AudioQueue::default()),
            render,
            loops: Loopbacks::new(config.loopback, render),
            amplifiers: config.amplifiers,
            time: 0,
            registers: Registers::default(),
            settings: Settings::default(),
            sent: 0,
            codec,
        }
    }

    /// A read of any offset and length: filled completely.
    pub fn read(&mut self, offset: u64, data: &mut [u8], env: &mut CardEnv<'_, Error>) {
        self.catch_up(env);
        data.fill(0xFF);
        if self.d3hot() || !is_access(offset, data.len()) {
            return;
        }
        for (byte, at) in data.iter_mut().zip(offset..) {
            let [b0, b1, b2, b3] = self.read_dword(at & !3, env).to_le_bytes();
            *byte = match at & 3 {
                0 => b0,
                1 => b1,
                2 => b2,
                _ => b3,
            };
        }
        self.interrupt(env);
    }

    /// A write of any offset and length.
    pub fn write(&mut self, offset: u64, data: &[u8], env: &mut CardEnv<'_, Error>) {
        self.catch_up(env);
        if self.d3hot() || !is_access(offset, data.len()) {
            return;
        }
        let mut rest = data;
        let mut at = offset;
        while !rest.is_empty() {
            let shift = at & 3;
            let count = rest.len().min(usize::try_from(4 - shift).unwrap_or(4));
            let (now, later) = rest.split_at(count);
            let (mut value, mut mask) = (0, 0);
            for (byte, position) in now.iter().zip(shift..) {
                value |= u32::from(*byte) << (8 * position);
                mask |= 0xFF_u32 << (8 * position);
            }
            self.write_dword(at & !3, value, mask, env);
            at = at.saturating_add(count as u64);
            rest = later;
        }
        self.interrupt(env);
    }

    fn read_dword(&mut self, at: u64, env: &mut CardEnv<'_, Error>) -> u32 {
        if at >= ALIAS {
            let at = at - ALIAS;
            let position = at == WALCLK || descriptor(at).is_some_and(|(_, offset)| offset == sd::LPIB);
            return if position { self.read_dword(at, env) } else { 0 };
        }
        match at {
            0x00 => GCAP_VALUE,
            0x04 => PAYLOAD_VALUE,
            GCTL => self.registers.gctl,
            WAKEEN => self.registers.wake,
            GSTS => self.registers.gsts,
            INTCTL => self.registers.intctl,
            INTSTS => self.interrupt_status(),
            WALCLK => self.wall_clock(),
            SSYNC_ICH | SSYNC => self.registers.ssync,
            DPLBASE => low(self.registers.position_base),
            DPUBASE => low(self.registers.position_base >> 32),
            CORBLBASE..=ICIS => self.rings.read(at).unwrap_or(0),
            _ => match descriptor(at) {
                Some((index, offset)) => {
                    self.act(index, env, |descriptor, env| descriptor.read(offset, env)).unwrap_or(0)
                }
                None => 0,
            },
        }
    }

    fn write_dword(&mut self, at: u64, value: u32, mask: u32, env: &mut CardEnv<'_, Error>) {
        let registers = &mut self.registers;
        match at {
            GCTL => self.write_gctl(value, mask, env),
            // A wake event stays until somebody clears it, also in reset.
            WAKEEN => {
                registers.wake = merged(registers.wake, value, mask, 1) & !(value & mask & 0xFFFF_0000);
                self.sent = 0;
            }
            _ if registers.gctl & GCTL_CRST == 0 => {}
            GSTS => registers.gsts &= !(value & mask & GSTS_FSTS),
            INTCTL => {
                let writable = INT_GLOBAL | INT_CONTROLLER | ALL_STREAMS;
                registers.intctl = merged(registers.intctl, value, mask, writable);
            }
            SSYNC_ICH | SSYNC => {
                registers.ssync = merged(registers.ssync, value, mask, ALL_STREAMS);
                self.synchronize(env);
            }
            DPLBASE => {
                let base = merged(low(registers.position_base), value, mask, POSITION_BASE);
                registers.position_base = registers.position_base & !0xFFFF_FFFF | u64::from(base);
            }
            DPUBASE => {
                let base = merged(low(registers.position_base >> 32), value, mask, u32::MAX);
                registers.position_base = registers.position_base & 0xFFFF_FFFF | u64::from(base) << 32;
            }
            CORBLBASE..=ICIS => {
                // A verb may give a stream another endpoint: what has passed is the old one's. These run verbs.
                if matches!(at, CORBWP | CORBCTL | ICIS) {
                    self.each_descriptor(env, StreamDescriptor::emit_now);
                }
                let bus = bus_of_rings(self.settings.bus_master, env);
                self.rings.write(at, value, mask, &mut RingsCtx { bus, codec: &mut self.codec });
                // A write of 1s that leaves something pending is told again.
                self.sent &= !INT_CONTROLLER;
                self.amplify(env);
            }
            _ => {
                if let Some((index, offset)) = descriptor(at) {
                    let held = registers.ssync >> index & 1 != 0;
                    // Another tag may be another endpoint's: the same.
                    let tag = offset == sd::CTL && mask & sd::CTL_TAG != 0;
                    self.act(index, env, |descriptor, env| {
                        if tag {
                            descriptor.emit_now(env);
                        }
                        descriptor.write(offset, value, mask, held, env);
                    });
                    self.sent &= !(1 << index);
                    self.amplify(env);
                }
            }
        }
    }

    /// A verb may have turned an amplifier, or a stream has another endpoint with amplifiers of its own.
    fn amplify(&mut self, env: &mut CardEnv<'_, Error>) {
        if self.amplifiers {
            self.each_descriptor(env, StreamDescriptor::amplify);
        }
    }

    fn each_descriptor(
        &mut self,
        env: &mut CardEnv<'_, Error>,
        act: impl Fn(&mut StreamDescriptor, &mut StreamEnv<'_>),
    ) {
        for index in 0..self.descriptors.len() {
            self.act(index, env, &act);
        }
    }

    /// CRST 0 resets all but the wake registers; with CRST 1 the codec announces itself.
    fn write_gctl(&mut self, value: u32, mask: u32, env: &mut CardEnv<'_, Error>) {
        let before = self.registers.gctl & GCTL_CRST != 0;
        let gctl = merged(self.registers.gctl, value, mask, GCTL_CRST | GCTL_UNSOL);
        match (before, gctl & GCTL_CRST != 0) {
            (_, false) => self.reset_link(env),
            (false, true) => {
                self.registers.wall_start = self.time;
                self.registers.wake |= 1 << 16;
                self.registers.gctl = gctl;
            }
            (true, true) => {
                self.registers.gctl = gctl;
                if value & mask & GCTL_FCNTRL != 0 {
                    self.registers.gsts |= GSTS_FSTS;
                }
            }
        }
    }

    fn reset_link(&mut self, env: &mut CardEnv<'_, Error>) {
        self.each_descriptor(env, StreamDescriptor::reset);
        self.registers = Registers { wake: self.registers.wake, ..Registers::default() };
        self.rings = Rings::default();
        self.codec.reset();
        self.sent = 0;
    }

    /// Resets the function.
    pub fn reset(&mut self, env: &mut CardEnv<'_, Error>) {
        self.catch_up(env);
        self.reset_link(env);
        self.codec.power_on();
        self.registers.wake = 0;
        self.settings.power = PowerState::D0;
        env.log.record(CardEvent::Reset);
    }

    /// SSYNC was written, or D3hot has begun or ended: all that is let go start at the same moment.
    fn synchronize(&mut self, env: &mut CardEnv<'_, Error>) {
        for index in 0..self.descriptors.len() {
            let held = self.d3hot() || self.registers.ssync >> index & 1 != 0;
            self.act(index, env, |descriptor, env| descriptor.hold(held, env));
        }
    }

    /// Bus Master Enable, MSI Enable and the power state.
    pub fn configure(&mut self, settings: &Settings, env: &mut CardEnv<'_, Error>) {
        self.catch_up(env);
        let before = std::mem::replace(&mut self.settings, *settings);
        if settings.msi.is_some() != before.msi.is_some() {
            self.sent = 0;
        }
        if settings.power != before.power {
            env.log.record(CardEvent::Power { d3hot: self.d3hot() });
            self.synchronize(env);
        }
        self.interrupt(env);
    }

    fn d3hot(&self) -> bool {
        self.settings.power == PowerState::D3hot
    }

    /// Does what has become due.
    pub fn advance(&mut self, env: &mut CardEnv<'_, Error>) {
        self.catch_up(env);
        self.interrupt(env);
    }

    /// Device clock at which [`Self::advance`] has something to do next; `None` while nothing moves.
    pub fn next_deadline(&self) -> Option<u64> {
        self.descriptors.iter().filter_map(StreamDescriptor::due).min()
    }

    fn catch_up(&mut self, env: &mut CardEnv<'_, Error>) {
        self.time = self.time.max(env.now);
        let now = self.time;
        schedule::catch_up(&mut DescriptorsInCall { controller: self, env }, now, LATE);
    }

    /// WALCLK: 24 MHz of the device clock since CRST.
    fn wall_clock(&self) -> u32 {
        if self.registers.gctl & GCTL_CRST == 0 {
            return 0;
        }
        let ticks = u128::from(self.time.saturating_sub(self.registers.wall_start));
        let clocks = ticks * u128::from(WALCLK_PER_MS) / u128::from(TICKS_PER_MS);
        (clocks & 0xFFFF_FFFF) as u32
    }

    fn interrupt_status(&self) -> u32 {
        let streams = self.descriptors.iter().zip(0..);
        let streams = streams.fold(0, |bits, (descriptor, index)| {
            bits | u32::from(descriptor.interrupts()).checked_shl(index).unwrap_or(0)
        });
        let [wake_enable, _, wake, _] = self.registers.wake.to_le_bytes();
        let controller = self.rings.interrupts() || wake & wake_enable != 0;
        let status = streams | if controller { INT_CONTROLLER } else { 0 };
        status | if status != 0 { INT_GLOBAL } else { 0 }
    }

    /// Bits of INTSTS that INTCTL lets through.
    fn pending(&self) -> u32 {
        let enabled = self.registers.intctl;
        if self.d3hot() || enabled & INT_GLOBAL == 0 {
            0
        } else {
            self.interrupt_status() & enabled & !INT_GLOBAL
        }
    }

    /// Level of the line.
    pub fn intx(&self) -> bool {
        self.settings.msi.is_none() && self.pending() != 0
    }

    /// Sends the message for bits that no message was sent for.
    fn interrupt(&mut self, env: &mut CardEnv<'_, Error>) {
        let pending = self.pending();
        if pending & !self.sent != 0 && self.settings.msi.is_some() && self.settings.bus_master {
            *env.messages |= 1;
        }
        self.sent = pending;
    }

    /// Something was plugged into the jack of an endpoint, or pulled.
    pub fn set_jack(&mut self, endpoint: u32, plugged: bool, env: &mut CardEnv<'_, Error>) {
        self.catch_up(env);
        let responses = self.codec.set_jack(endpoint, plugged);
        let wanted = GCTL_CRST | GCTL_UNSOL;
        if self.registers.gctl & wanted == wanted && !self.d3hot() {
            let mut bus = bus_of_rings(self.settings.bus_master, env);
            for response in responses {
                self.rings.unsolicited(response, &mut bus);
            }
        }
        self.interrupt(env);
    }

    /// Whether something is plugged into the jack of an endpoint.
    pub fn jack(&self, endpoint: u32) -> Option<bool> {
        self.codec.jack(endpoint)
    }

    /// Number of endpoints.
    pub fn endpoints(&self) -> u32 {
        self.codec.endpoints()
    }

    /// The descriptor that plays for an endpoint, or captures.
    fn descriptor_of(&self, endpoint: u32) -> Option<usize> {
        let tag = self.codec.tag_of(endpoint)?;
        let capture = endpoint >= self.render;
        let has = |descriptor: &StreamDescriptor| {
            descriptor.captures() == capture && descriptor.moves() && descriptor.tag() == tag
        };
        self.descriptors.iter().position(has)
    }

    /// Endpoints whose sound moves, as bits.
    pub fn moving(&self) -> u32 {
        let moves = |endpoint: &u32| self.descriptor_of(*endpoint).is_some();
        (0..self.endpoints()).filter(moves).fold(0, |bits, endpoint| bits | 1 << endpoint)
    }

    /// Whether a stream descriptor moves.
    pub fn running(&self) -> bool {
        self.descriptors.iter().any(StreamDescriptor::moves)
    }

    /// Totals of every endpoint.
    pub fn stats(&self) -> impl Iterator<Item = StreamStats> {
        self.counters.iter().map(|counters| counters.stats.clone())
    }

    /// Forgets them.
    pub fn clear_stats(&mut self) {
        for (counters, endpoint) in self.counters.iter_mut().zip(0..) {
            *counters = Counters::new(endpoint >= self.render);
        }
    }

    /// Lets a descriptor do something now.
    fn act<R>(
        &mut self,
        index: usize,
        env: &mut CardEnv<'_, Error>,
        act: impl FnOnce(&mut StreamDescriptor, &mut StreamEnv<'_>) -> R,
    ) -> Option<R> {
        self.act_at(self.time, index, env, act)
    }

    /// Lets a descriptor do something at `time`, with what its endpoint hears or says.
    fn act_at<R>(
        &mut self,
        time: u64,
        index: usize,
        env: &mut CardEnv<'_, Error>,
        act: impl FnOnce(&mut StreamDescriptor, &mut StreamEnv<'_>) -> R,
    ) -> Option<R> {
        let descriptor = self.descriptors.get(index)?;
        let endpoint = self.codec.endpoint_of(descriptor.tag(), descriptor.captures());
        let looped = endpoint.and_then(|endpoint| self.loops.render_of(endpoint as usize));
        // Who is listened to first tells what it has played.
        if let Some(playing) = looped.and_then(|render| self.descriptor_of(low(render as u64))) {
            self.act_with_sources(time, playing, env, None, StreamDescriptor::emit_now);
        }
        self.act_with_sources(time, index, env, endpoint.filter(|_| looped.is_some()), act)
    }

    /// `looped`: the endpoint that captures what the card itself plays.
    fn act_with_sources<R>(
        &mut self,
        time: u64,
        index: usize,
        env: &mut CardEnv<'_, Error>,
        looped: Option<u32>,
        act: impl FnOnce(&mut StreamDescriptor, &mut StreamEnv<'_>) -> R,
    ) -> Option<R> {
        let descriptor = self.descriptors.get_mut(index)?;
        let endpoint = self.codec.endpoint_of(descriptor.tag(), descriptor.captures());
        let (unheard, silence) = &mut self.unheard;
        let mut nothing = NoSources;
        let heard = endpoint.and_then(|endpoint| self.counters.get_mut(endpoint as usize));
        let mark = env.audio.len();
        let line = looped.and_then(|endpoint| self.loops.to(endpoint as usize));
        let (counters, audio, sources): (_, _, &mut dyn Sources) = match (heard, line) {
            (None, _) => (unheard, silence, &mut nothing),
            (Some(counters), None) => (counters, &mut *env.audio, &mut *env.sources),
            (Some(counters), Some(line)) => (counters, &mut *env.audio, line),
        };
        let gain = endpoint.filter(|_| self.amplifiers).map(|endpoint| self.codec.gain(endpoint));
        let base = self.registers.position_base;
        let slot = (base & !0x7F).checked_add(index as u64 * 8);
        let mut stream_env = StreamEnv {
            time,
            memory: env.memory,
            bus_master: self.settings.bus_master,
            stream: endpoint.unwrap_or(u32::MAX),
            sources,
            audio,
            counters,
            gain: gain.unwrap_or_default(),
            log: env.log.reborrow(),
            position_buffer: slot.filter(|_| base & POSITION_ENABLE != 0),
        };
        let result = act(descriptor, &mut stream_env);
        self.unheard.1.clear();
        if let Some(render) = endpoint.filter(|endpoint| *endpoint < self.render) {
            let captures: u32 = self.moving();
            let runs = |capture: usize| captures >> capture & 1 != 0;
            self.loops.hear(render as usize, env.audio, mark, runs);
        }
        Some(result)
    }
}

/// Whether the controller has such an access: 1, 2, 4 or 8 bytes, aligned, within the BAR.
fn is_access(offset: u64, bytes: usize) -> bool {
    let bytes = bytes as u64;
    matches!(bytes, 1 | 2 | 4 | 8)
        && offset.is_multiple_of(bytes)
        && offset.checked_add(bytes).is_some_and(|end| end <= u64::from(BAR_BYTES))
}

/// The descriptor whose register is at `at`, and where in it.
fn descriptor(at: u64) -> Option<(usize, u64)> {
    let from = at.checked_sub(STREAMS)?;
    let index = usize::try_from(from / STREAM_BYTES).ok().filter(|index| *index < DESCRIPTORS)?;
    Some((index, from % STREAM_BYTES))
}

/// The way of CORB and RIRB to guest memory.
fn bus_of_rings<'a>(enabled: bool, env: &'a mut CardEnv<'_, Error>) -> Bus<'a> {
    Bus { memory: env.memory, log: env.log.reborrow(), who: Dma::Rings, enabled }
}

/// The low half.
fn low(value: u64) -> u32 {
    (value & 0xFFFF_FFFF) as u32
}

/// The descriptors during one call, for [`schedule`].
struct DescriptorsInCall<'a, 'b> {
    controller: &'a mut Controller,
    env: &'a mut CardEnv<'b, Error>,
}

impl schedule::Streams for DescriptorsInCall<'_, '_> {
    fn next_ends(&self) -> impl Iterator<Item = Option<u64>> {
        self.controller.descriptors.iter().map(StreamDescriptor::due)
    }

    fn on_burst_end(&mut self, stream: usize, BurstEnd { at, late, restart }: BurstEnd) {
        self.controller.act_at(at, stream, self.env, |descriptor, env| {
            descriptor.handled_late(late, env.counters);
            descriptor.on_burst_end(restart, env);
        });
    }
}
