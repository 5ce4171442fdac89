//! A second opinion of the card, from HDA.md and the specification alone: the registers, the codec and the
//! streams as a guest sees them. Where the contract leaves something open the model takes what it finds,
//! within the bounds that the contract gives.

pub mod act;
pub mod codec;
pub mod compare;
pub mod heard;
pub mod stream;

use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ringwave_audio::StreamFormat;
use ringwave_engine::sources::Sources;
use ringwave_hda::codec::tree::TreeConfig;
use ringwave_hda::controller::Config;
use ringwave_pci::client::Requests;
use ringwave_pci::{IrqAction, IrqChange, IrqKind, Request, Vectors};
use rustix::event::{EventfdFlags, eventfd};

use super::guest;
use codec::{Codec, Kind};
use guest::{CORB, Entry, Guest, LIST, MEMORY, RIRB};
use heard::{Endpoint, GainHistory, Memory};
use stream::{Flag, Ring, Stream};

/// Where outputs have their buffers.
pub const OUT_AREA: u64 = 0x1_0000;
pub const OUT_BYTES: u64 = 0x1_0000;
/// Where the two inputs have theirs.
pub const IN_AREA: [u64; 2] = [0x4_0000, 0x5_0000];
pub const IN_BYTES: u64 = 0x8000;
/// Where the position buffer lies.
pub const POSITIONS: u64 = 0x4000;
/// The descriptors in use: two inputs, two outputs.
pub const DESCRIPTORS: [usize; 4] = [0, 1, 4, 5];
const MS: u64 = 1_000_000;

/// Frames that are numbered, for each capture endpoint.
#[derive(Clone, Default)]
pub struct Numbered(Arc<[AtomicU64; 2]>);

/// A byte of a captured frame; never 0.
fn captured(endpoint: usize, frame: u64, byte: u64) -> u8 {
    heard::pattern(200 + endpoint as u8, frame << 8 | byte)
}

impl Sources for Numbered {
    fn capture(&mut self, stream: u32, format: StreamFormat, into: &mut [u8]) -> usize {
        let endpoint = stream as usize - 2;
        for frame in into.chunks_exact_mut(format.frame_bytes() as usize) {
            let number = self.0[endpoint].fetch_add(1, Ordering::Relaxed);
            for (at, byte) in (0..).zip(frame) {
                *byte = captured(endpoint, number, at);
            }
        }
        into.len()
    }
}

/// What is stored by an input.
#[derive(Clone, Debug)]
pub struct Input {
    pub area: Vec<u8>,
    /// Frames of the line that are in `area`.
    pub stored: u64,
    /// The next frame of each endpoint's sound.
    pub endpoint: Option<usize>,
    /// Something was lost, at this time last: what lies in memory is taken as it is.
    pub lost: Option<u64>,
}

/// The card under test, and the model of it.
pub struct Model {
    pub guest: Guest,
    source: Numbered,
    message: OwnedFd,
    line: OwnedFd,
    pub now: u64,
    pub codec: Codec,
    pub streams: Vec<Stream>,
    pub inputs: [Input; 2],
    pub captured: [u64; 2],
    pub memory: Memory,
    pub endpoints: [Endpoint; 2],
    /// Of each endpoint, render endpoints first.
    pub gains: [GainHistory; 4],
    // Configuration space.
    pub bus_master: bool,
    /// Since when it is on, or off.
    pub bus_master_since: u64,
    pub msi: bool,
    pub intx_off: bool,
    /// The line's eventfd has a signal; the client has masked it.
    signalled: bool,
    masked: bool,
    asserted: bool,
    // Registers.
    pub crst: bool,
    /// When it was set.
    pub since: u64,
    pub unsol: bool,
    pub gsts: u16,
    pub wakeen: u16,
    pub statests: u16,
    pub intctl: u32,
    pub ssync: u32,
    pub corb_wp: u16,
    pub corb_ctl: u8,
    pub rirb_wp: u16,
    pub rintcnt: u8,
    pub rirb_ctl: u8,
    pub rirb_flag: bool,
    pub overrun: Flag,
    pub immediate: (u32, Option<u32>, bool),
    pub dpl: u32,
    pub positions_since: u64,
    /// What INTCTL let through after the last request.
    visible: u32,
}

impl Model {
    /// A card as a driver has it after its start: codec found, rings running, everything connected to tag 1.
    pub fn start(channels: u32, amplifiers: bool) -> Self {
        let source = Numbered::default();
        let tree = TreeConfig { render: 2, capture: 2, channels, bits_32: true };
        let config = Config { tree, loopback: vec![None, None], amplifiers };
        let fresh = Guest::of(config.clone(), Box::new(source.clone()));
        fresh.start_up();
        let codec = Codec::found(&fresh, channels, amplifiers);
        let guest = Guest::of(config, Box::new(source.clone()));
        let eventfd = || eventfd(0, EventfdFlags::NONBLOCK).unwrap();
        let (message, line) = (eventfd(), eventfd());
        for (kind, fd) in [(IrqKind::Msi, &message), (IrqKind::Intx, &line)] {
            let fds = vec![fd.try_clone().unwrap()];
            let change = IrqChange::Assign { action: IrqAction::Trigger, start: 0, fds };
            guest.card.request(Request::SetIrqs { kind, change }).unwrap();
        }
        let area = vec![0; IN_BYTES as usize];
        let input = Input { area, stored: 0, endpoint: None, lost: None };
        let mut model = Self {
            guest,
            source,
            message,
            line,
            now: 0,
            codec,
            streams: vec![Stream::default(); 8],
            inputs: [input.clone(), input],
            captured: [0; 2],
            memory: Memory::default(),
            endpoints: Default::default(),
            gains: Default::default(),
            bus_master: true,
            bus_master_since: 0,
            msi: false,
            intx_off: false,
            signalled: false,
            masked: false,
            asserted: false,
            crst: false,
            since: 0,
            unsol: false,
            gsts: 0,
            wakeen: 0,
            statests: 0,
            intctl: 0,
            ssync: 0,
            corb_wp: 0,
            corb_ctl: 0,
            rirb_wp: 0,
            rintcnt: 0,
            rirb_ctl: 0,
            rirb_flag: false,
            overrun: Flag::default(),
            immediate: (0, Some(0), false),
            dpl: 0,
            positions_since: 0,
            visible: 0,
        };
        model.tune(1);
        model
    }

    /// New sound in the memory of outputs.
    pub fn tune(&mut self, version: u8) {
        let sound: Vec<u8> =
            (OUT_AREA..OUT_AREA + OUT_BYTES).map(|address| heard::pattern(version, address)).collect();
        self.guest.store(OUT_AREA, &sound);
        self.memory.store(version, self.now);
    }

    /// One write of a guest, with what it means, and everything that follows from it at once.
    pub fn write<const N: usize>(&mut self, offset: u64, data: [u8; N], means: impl FnOnce(&mut Self)) {
        self.guest.write(offset, data);
        means(self);
        let again = match offset {
            0x0C..0x10 => u32::MAX,
            0x40..0x6C => 1 << 30,
            0x80..0x180 => 1 << ((offset - 0x80) >> 5),
            _ => 0,
        };
        self.settle(again, false);
    }

    /// Sees to what has followed from a request: status bits, interrupts, connections. `again`: bits of INTSTS
    /// that are told again if they are left; `open`: messages are not in the contract.
    pub fn settle(&mut self, again: u32, open: bool) {
        self.read_status();
        for (endpoint, history) in (0..).zip(&mut self.gains) {
            history.set(self.now, self.codec.gains(endpoint));
        }
        self.connect();
        let status = self.guest.read32(0x24);
        assert_eq!(status, self.interrupt_status(), "INTSTS");
        let enabled = if self.intctl >> 31 != 0 { self.intctl & 0x4000_00FF } else { 0 };
        let visible = status & enabled;
        let fresh = visible & !std::mem::replace(&mut self.visible, visible);
        let mut count = [0; 8];
        let messages =
            if rustix::io::read(&self.message, &mut count).is_ok() { u64::from_le_bytes(count) } else { 0 };
        let due = self.msi && self.bus_master && (fresh != 0 || again & visible != 0);
        if !open {
            assert_eq!(messages, u64::from(due), "messages: {visible:#x} of which {fresh:#x} is new");
        }
        self.drive_line(visible != 0);
    }

    /// The line of interrupt, and the client's end of it.
    fn drive_line(&mut self, pending: bool) {
        if !self.msi {
            assert_eq!(self.guest.line(), pending, "Interrupt Status");
        }
        let asserted = pending && !self.msi && !self.intx_off;
        if self.asserted && !asserted && self.masked && self.signalled {
            (self.signalled, self.masked) = (false, false);
        }
        self.asserted = asserted;
        self.raise();
    }

    fn raise(&mut self) {
        if self.asserted && !self.masked {
            (self.signalled, self.masked) = (true, true);
        }
    }

    /// The client takes what was signalled, and unmasks.
    pub fn serve_line(&mut self, unmask: bool) {
        let taken = rustix::io::read(&self.line, &mut [0; 8]).is_ok();
        assert_eq!(taken, self.signalled, "INTx");
        self.signalled = false;
        if unmask {
            let vectors = Vectors::range(0, 1);
            let change = IrqChange::Act { action: IrqAction::Unmask, vectors };
            self.guest.card.request(Request::SetIrqs { kind: IrqKind::Intx, change }).unwrap();
            self.masked = false;
            self.raise();
        }
    }

    /// INTSTS out of everything that it is made of.
    pub fn interrupt_status(&self) -> u32 {
        let mut status = 0;
        for (index, stream) in self.streams.iter().enumerate() {
            let bits =
                u8::from(stream.bcis.set) << 2 | u8::from(stream.fifoe.set) << 3 | u8::from(stream.dese) << 4;
            status |= u32::from(bits & stream.enables != 0) << index;
        }
        let response = self.rirb_flag && self.rirb_ctl & 1 != 0;
        let overrun = self.overrun.set && self.rirb_ctl & 4 != 0;
        let awake = self.statests & self.wakeen != 0;
        status |= u32::from(response || overrun || awake) << 30;
        status | u32::from(status != 0) << 31
    }

    /// Which output each render endpoint listens to; which endpoint each input records.
    fn connect(&mut self) {
        let now = self.now;
        for (number, endpoint) in self.endpoints.iter_mut().enumerate() {
            let wanted = [4, 5].into_iter().find(|&descriptor| {
                let stream: &Stream = &self.streams[descriptor];
                stream.line.is_some() && self.codec.endpoint_of(Kind::Dac, stream.tag) == Some(number)
            });
            let same = endpoint.current().is_some_and(|current| {
                let line = wanted.and_then(|descriptor| self.streams[descriptor].line.as_ref());
                Some(current.descriptor) == wanted
                    && line.is_some_and(|line| line.begin == current.line.begin)
            });
            if same {
                continue;
            }
            if endpoint.current().is_some() {
                endpoint.close(now);
            }
            if let Some(descriptor) = wanted {
                endpoint.open(descriptor, self.streams[descriptor].line.as_ref().unwrap(), now);
            }
        }
    }

    /// SSYNC or RUN has changed: lines begin and end.
    pub fn update_lines(&mut self) {
        for index in 0..8 {
            let wanted = self.streams[index].run && self.ssync >> index & 1 == 0;
            let moving = self.streams[index].line.is_some();
            if wanted && !moving {
                self.streams[index].begin(self.now);
                if let Some(input) = self.inputs.get_mut(index) {
                    input.stored = 0;
                    input.endpoint = self.codec.endpoint_of(Kind::Adc, self.streams[index].tag);
                }
            } else if !wanted && moving {
                self.store_input(index, u64::MAX);
                self.streams[index].end(self.now);
            }
        }
    }

    /// Stores what an input has recorded, up to frame `upto` of its line.
    pub fn store_input(&mut self, index: usize, upto: u64) {
        let (Some(input), Some(line)) = (self.inputs.get_mut(index), &self.streams[index].line) else {
            return;
        };
        let frame = line.ring.frame();
        while input.stored < upto.min(line.passed(self.now)) {
            let number = input.endpoint.map(|endpoint| {
                self.captured[endpoint] += 1;
                (endpoint, self.captured[endpoint] - 1)
            });
            let begin = line.base + input.stored * frame;
            let history = input.endpoint.map(|endpoint| self.gains[2 + endpoint].of(line, input.stored));
            let sample = u64::from(line.ring.format.sample.bytes());
            for byte in 0..frame {
                let at = line.ring.address((begin + byte) % line.ring.bytes) - IN_AREA[index];
                let muted = history.is_some_and(|gains| gains[(byte / sample) as usize] & heard::MUTE != 0);
                input.area[at as usize] = match number {
                    Some((endpoint, number)) if !muted => captured(endpoint, number, byte),
                    _ => 0,
                };
            }
            input.stored += 1;
        }
    }

    /// What RUN finds: a ring, if there is one.
    pub fn found(&self, index: usize) -> Option<Ring> {
        let stream = &self.streams[index];
        let format = stream::format(stream.fmt)?;
        let (bytes, frame) = (u64::from(stream.cbl), u64::from(format.frame_bytes()));
        if bytes < frame || bytes > 64 << 20 || !self.bus_master || stream.bdl + 4096 > MEMORY {
            return None;
        }
        let entries: Vec<Entry> = (0..=u64::from(stream.lvi))
            .map(|at| {
                let words: Vec<u32> =
                    (0..4).map(|word| self.guest.load32(stream.bdl + 16 * at + 4 * word)).collect();
                (u64::from(words[0]) | u64::from(words[1]) << 32, words[2], words[3] & 1 != 0)
            })
            .collect();
        let total: u64 = entries.iter().map(|(_, bytes, _)| u64::from(*bytes)).sum();
        if total < bytes || entries.iter().any(|(_, bytes, _)| *bytes == 0) {
            return None;
        }
        let mut before = 0;
        for (address, length, _) in &entries {
            let used = u64::from(*length).min(bytes.saturating_sub(before));
            if used > 0 && address.checked_add(used).is_none_or(|end| end > MEMORY) {
                return None;
            }
            before += u64::from(*length);
        }
        let burst = u64::from(stream.fifos.unwrap() + 1) / frame;
        Some(Ring { format, bytes, entries, burst })
    }

    /// RUN is written as 1.
    pub fn run(&mut self, index: usize) {
        let found = self.found(index);
        let base = 0x80 + 0x20 * index as u64;
        let stream = &mut self.streams[index];
        let Some(ring) = found else {
            stream.dese = true;
            return;
        };
        // A position of another ring: the contract says no more than that it is within this one.
        let ring = Rc::new(ring);
        if stream.ring.as_ref().is_none_or(|last| **last != *ring) && stream.rest != 0 {
            stream.rest = self.guest.read32(base + 4).into();
            assert!(stream.rest < ring.bytes, "LPIB of a ring that has become shorter");
        }
        stream.run = true;
        stream.ring = Some(ring);
        self.update_lines();
    }

    /// Answers a command that came by the link, into the RIRB.
    pub fn respond(&mut self, response: Option<u32>, flags: u32) {
        if self.rirb_ctl & 2 == 0 || !self.bus_master {
            self.overrun.may = Some(u64::MAX);
            return;
        }
        self.rirb_wp = (self.rirb_wp + 1) & 0xFF;
        let at = RIRB + 8 * u64::from(self.rirb_wp);
        if let Some(response) = response {
            assert_eq!(self.guest.load32(at), response, "response");
        }
        assert_eq!(self.guest.load32(at + 4), flags, "codec and unsolicited bit");
        self.rirb_flag = true;
    }

    /// Answers what is in the CORB.
    pub fn run_corb(&mut self, upto: u16) {
        while self.corb_ctl & 2 != 0 && self.corb_wp != upto {
            self.corb_wp = (self.corb_wp + 1) & 0xFF;
            let command = self.guest.load32(CORB + 4 * u64::from(self.corb_wp));
            let response = self.codec.answer(command);
            self.respond(response, command >> 28);
        }
        self.corb_wp = upto;
    }

    /// Leaves or enters reset of the controller.
    pub fn reset(&mut self) {
        for index in 0..8 {
            self.store_input(index, u64::MAX);
            self.streams[index].run = false;
        }
        self.update_lines();
        self.streams = vec![Stream::default(); 8];
        self.codec.reset();
        (self.crst, self.unsol, self.gsts, self.intctl, self.ssync) = (false, false, 0, 0, 0);
        (self.corb_wp, self.corb_ctl, self.rirb_wp, self.rintcnt, self.rirb_ctl) = (0, 0, 0, 0, 0);
        (self.rirb_flag, self.overrun, self.immediate) = (false, Flag::default(), (0, Some(0), false));
        self.dpl = 0;
    }

    /// Time passes, and the card is given it.
    pub fn pass(&mut self, nanoseconds: u64) {
        let before = self.now;
        self.now += nanoseconds;
        let late = nanoseconds > LATE;
        if late && self.bus_master {
            self.memory.late(before, self.now, 2 * MS);
        }
        for index in DESCRIPTORS {
            self.lose(index, before, late);
        }
        self.guest.pass(nanoseconds);
        self.settle(0, false);
    }

    /// What a stream has lost since `before`, if something.
    fn lose(&mut self, index: usize, before: u64, late: bool) {
        let stream = &mut self.streams[index];
        let Some(line) = &stream.line else { return };
        let burst = line.ring.burst_time();
        let from = before.max(line.begin);
        let (touched, _) = self.memory.outage_within(from.saturating_sub(burst), self.now);
        if !touched {
            return;
        }
        stream.fifoe.may = Some(self.now);
        let from = line.begin.max(stream.fifoe_cleared).max(self.bus_master_since);
        if (late || !self.bus_master && self.now - from >= 2 * burst) && !stream.fifoe.set {
            stream.fifoe.must = Some(self.now);
        }
        if let Some(input) = self.inputs.get_mut(index) {
            input.lost = Some(self.now);
        }
    }

    /// How many frames the source was asked for.
    pub fn asked(&self, endpoint: usize) -> u64 {
        self.source.0[endpoint].load(Ordering::Relaxed)
    }
}

/// A burst and a second: the host was late by more than a second.
pub const LATE: u64 = stream::SECOND + 2 * MS;

/// A list of buffer descriptors.
pub fn list(descriptor: usize) -> u64 {
    LIST + 0x4000 + 0x1000 * descriptor as u64
}
