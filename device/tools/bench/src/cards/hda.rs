//! HD Audio: the codec by immediate commands, a buffer descriptor list of two periods for each stream, one
//! MSI message. Verbs are those of the *High Definition Audio Specification* 1.0a.

use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::Instant;

use ringwave_engine::clock::{HostClock, Speed};
use ringwave_engine::sources::NoSources;
use ringwave_guest_memory::guest_ram::MapRequest;
use ringwave_guest_memory::memfd::memfd;
use ringwave_hda::codec::tree::TreeConfig;
use ringwave_hda::controller::Config;
use ringwave_hda::function::{CardConfig, HdaCard, PCI_ID};
use ringwave_hda::regs::{
    GCTL, GCTL_CRST, ICII, ICIS, ICOI, INPUTS, INT_GLOBAL, INTCTL, INTSTS, STREAM_BYTES, STREAMS, sd,
};
use ringwave_pci::client::Requests;
use ringwave_pci::config::layout::{COMMAND, COMMAND_BUS_MASTER, COMMAND_MEMORY, MSI_CONTROL, MSI_ENABLE};
use ringwave_pci::{IrqKind, Region, Request};
use ringwave_report::SessionReport;

use super::threads::CardThreads;
use super::{CHANNELS, Ends, FRAME_BYTES, Interrupt, PlayingCard, packet_frames, patience};
use crate::BenchError;

/// Periods of a cyclic buffer.
const PERIODS: u32 = 2;
/// Guest memory of each stream: the buffer, and in the second half its list.
const STREAM_RAM: u32 = 16 << 10;
/// 48 kHz, 16 bits, 2 channels (3.7.1).
const FORMAT: u16 = 0x0011;

/// Of the descriptors that play: those that record come first.
const FIRST_OUTPUT: u32 = 4;
const _: () = assert!(FIRST_OUTPUT as usize == INPUTS);
/// BCIS in the top byte of SDCTL's dword.
const BCIS: u8 = (sd::BCIS >> 24) as u8;

/// The audio function group, and what it is asked (7.3.3, 7.3.4).
const FUNCTION: u32 = 1;
const SUBORDINATES: u32 = 0xF_0004;
const WIDGET: u32 = 0xF_0009;
const OUTPUT_CONVERTER: u32 = 0;

/// The card, and a guest that clears its interrupts.
pub struct HdaGuest {
    card: Arc<HdaCard>,
    /// Held for its drop.
    _threads: CardThreads<HdaCard>,
    interrupt: Interrupt,
    packet_micros: u32,
    /// Of stream 0, once it runs.
    ends: Option<Ends>,
}

impl HdaGuest {
    /// With `streams` streams; nothing runs yet.
    pub fn new(streams: u32, packet_micros: u32) -> Result<Self, BenchError> {
        let tree = TreeConfig { render: streams, capture: 0, channels: CHANNELS.into(), bits_32: true };
        let controller = Config { tree, loopback: Vec::new(), amplifiers: false };
        let config = CardConfig { controller, pci_id: PCI_ID, power_management: false, trace: false };
        let card = Arc::new(config.power_on(HostClock::start(Speed::REAL), Box::new(NoSources)));
        let threads = CardThreads::start(&card)?;
        let guest = Self { card, _threads: threads, interrupt: Interrupt::new()?, packet_micros, ends: None };
        guest.connect(streams)?;
        Ok(guest)
    }

    fn connect(&self, streams: u32) -> Result<(), BenchError> {
        let bytes = u64::from(streams * STREAM_RAM);
        let ram = memfd(c"bench guest", bytes, true)?;
        for index in 0..streams {
            ram.write_all_at(&self.list(index), list_address(index).into())?;
        }
        let map = MapRequest { address: 0, bytes, readable: true, writable: true, file: Some((ram, 0)) };
        self.card.request(Request::Map(map)).map_err(std::io::Error::other)?;
        for (register, value) in [(COMMAND, COMMAND_MEMORY | COMMAND_BUS_MASTER), (MSI_CONTROL, MSI_ENABLE)] {
            self.write_region(Region::Config, register as u64, &value.to_le_bytes());
        }
        let change = self.interrupt.connect()?;
        self.request(Request::SetIrqs { kind: IrqKind::Msi, change });
        self.write32(GCTL, GCTL_CRST);
        let outputs = self.output_converters()?;
        for index in 0..streams {
            let node = usize::try_from(index).ok().and_then(|index| outputs.get(index));
            let node = node.ok_or_else(|| BenchError::Card(format!("no output converter {index}")))?;
            // Stream tag, and the format once more.
            self.command(*node, 0x7_0600 | tag(index) << 4)?;
            self.command(*node, 0x2_0000 | u32::from(FORMAT))?;
            self.set_up(index);
        }
        self.write32(INTCTL, INT_GLOBAL | ((1 << streams) - 1) << FIRST_OUTPUT);
        Ok(())
    }

    fn period_bytes(&self) -> u32 {
        packet_frames(self.packet_micros) * FRAME_BYTES
    }

    /// The buffer descriptor list (3.6.3): an interrupt at the end of each period.
    fn list(&self, index: u32) -> Vec<u8> {
        let mut list = Vec::new();
        for period in 0..PERIODS {
            let address = index * STREAM_RAM + period * self.period_bytes();
            for word in [address, 0, self.period_bytes(), 1] {
                list.extend(word.to_le_bytes());
            }
        }
        list
    }

    /// Everything but RUN.
    fn set_up(&self, index: u32) {
        let base = descriptor(index);
        self.write32(base + sd::CBL, PERIODS * self.period_bytes());
        self.write32(base + sd::LVI, PERIODS - 1);
        self.write(base + sd::FIFOS + 2, &FORMAT.to_le_bytes());
        self.write32(base + sd::BDPL, list_address(index));
        self.write32(base + sd::BDPU, 0);
        self.write32(base + sd::CTL, tag(index) << 20);
    }

    /// Nodes of the function group that are output converters.
    fn output_converters(&self) -> Result<Vec<u32>, BenchError> {
        let answer = self.command(FUNCTION, SUBORDINATES)?;
        let (first, count) = (answer >> 16 & 0xFF, answer & 0xFF);
        let mut outputs = Vec::new();
        for node in first..first.saturating_add(count) {
            let kind = self.command(node, WIDGET)? >> 20 & 0xF;
            if kind == OUTPUT_CONVERTER {
                outputs.push(node);
            }
        }
        Ok(outputs)
    }

    /// A verb by the immediate command registers (3.4.3).
    fn command(&self, node: u32, verb: u32) -> Result<u32, BenchError> {
        self.write32(ICOI, node << 20 | verb);
        self.write(ICIS, &[1 | 1 << 1, 0]);
        let begin = Instant::now();
        while self.read32(ICIS) & 0b11 != 1 << 1 {
            patience(begin, "no answer to an immediate command")?;
        }
        Ok(self.read32(ICII))
    }

    fn request(&self, request: Request<'_>) {
        // Only a map can fail.
        let _ = self.card.request(request);
    }

    fn write_region(&self, region: Region, offset: u64, data: &[u8]) {
        self.request(Request::Write { region, offset, data });
    }

    fn write(&self, offset: u64, data: &[u8]) {
        self.write_region(Region::Bar(0), offset, data);
    }

    fn write32(&self, offset: u64, value: u32) {
        self.write(offset, &value.to_le_bytes());
    }

    fn read32(&self, offset: u64) -> u32 {
        let mut data = [0; 4];
        self.request(Request::Read { region: Region::Bar(0), offset, data: &mut data });
        u32::from_le_bytes(data)
    }
}

impl PlayingCard for HdaGuest {
    fn run(&mut self, index: u32) -> Result<(), BenchError> {
        if index == 0 {
            self.ends = Some(Ends::new(self.card.clock().now(), self.packet_micros));
        }
        self.write32(descriptor(index) + sd::CTL, tag(index) << 20 | sd::RUN | sd::IOCE);
        Ok(())
    }

    fn wait(&mut self) -> Result<Vec<u64>, BenchError> {
        self.interrupt.wait()?;
        let now = self.card.clock().now();
        let streams = self.read32(INTSTS) >> FIRST_OUTPUT;
        let position = self.read32(descriptor(0) + sd::LPIB);
        for index in (0..4).filter(|index| streams >> index & 1 != 0) {
            self.write(descriptor(index) + 3, &[BCIS]);
        }
        let period = self.period_bytes();
        let (Some(ends), true) = (&mut self.ends, streams & 1 != 0) else { return Ok(Vec::new()) };
        // One interrupt may be for two periods, if this thread was late: the position tells.
        let begun = u64::from(position.checked_div(period).unwrap_or(0));
        let periods = u64::from(PERIODS);
        let new = match (begun + periods - ends.seen % periods) % periods {
            0 => periods,
            new => new,
        };
        Ok(ends.late(new, now).collect())
    }

    fn report(&self) -> SessionReport {
        self.card.report()
    }

    fn packets_played(&self) -> Result<u64, BenchError> {
        let mut packets = 0_u64;
        for (index, stats) in self.card.stream_stats().iter().enumerate() {
            let played = stats.frames / u64::from(packet_frames(self.packet_micros)).max(1);
            if stats.transport_faults != 0 || played == 0 {
                let (frames, faults) = (stats.frames, stats.transport_faults);
                let line = format!("stream {index}: {frames} frames, {faults} failed transfers");
                return Err(BenchError::Card(line));
            }
            packets = packets.saturating_add(played);
        }
        Ok(packets)
    }
}

/// Where the registers of an output descriptor begin.
fn descriptor(index: u32) -> u64 {
    STREAMS + STREAM_BYTES * u64::from(FIRST_OUTPUT + index)
}

fn tag(index: u32) -> u32 {
    index + 1
}

fn list_address(index: u32) -> u32 {
    index * STREAM_RAM + STREAM_RAM / 2
}
