//! Ringwave's own card: RAM, an eventfd for its one MSI message, the page BAR as memory.

use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use ringwave_regs::dma::Slot;
use ringwave_regs::pci::{PAGES_BAR, PAGES_BYTES, REGISTERS_BAR};
use ringwave_regs::{format, global, pages, stream};
use vm_memory::{Bytes, FileOffset, MmapRegion, VolatileMemory};

use super::threads::CardThreads;
use super::{CHANNELS, FRAME_BYTES, Interrupt, Marks, PlayingCard, RATE, packet_frames, patience};
use crate::BenchError;
use ringwave_card::controller::Config;
use ringwave_card::env::ClockMode;
use ringwave_card::pci::Identity;
use ringwave_card::pci::layout::{COMMAND, COMMAND_BUS_MASTER, COMMAND_MEMORY, MSI_CONTROL, MSI_ENABLE};
use ringwave_card::{Card, CardConfig};
use ringwave_engine::clock::Speed;
use ringwave_engine::timeline::Timeline;
use ringwave_guest_memory::guest_ram::MapRequest;
use ringwave_guest_memory::memfd::memfd;
use ringwave_pci::client::Requests;
use ringwave_pci::{IrqKind, Region, Request};
use ringwave_report::SessionReport;

/// Packets of a cyclic buffer.
const PACKETS: u32 = 2;
/// Guest memory of each stream: the buffer in the first half, the table's one slot in the second.
const STREAM_RAM: u32 = 16 << 10;
/// A packet that will not be reached: everything before it is marked.
const FAR: u32 = i32::MAX.cast_unsigned();

/// A card that plays, and its guest's ends.
pub struct RingwaveCard {
    card: Arc<Card>,
    /// Held for its drop.
    _threads: CardThreads<Card>,
    pages: MmapRegion,
    interrupt: Interrupt,
    packet_frames: u32,
    marks: Marks,
    /// Packets of stream 0 that were seen to be complete.
    seen: u32,
}

impl RingwaveCard {
    /// A card with `streams` render streams whose packets are `packet_micros` long; nothing runs yet.
    pub fn new(streams: u32, packet_micros: u32, marks: Marks) -> Result<Self, BenchError> {
        let controller =
            Config { render: streams, capture: 0, clock: ClockMode::Realtime, ..Config::default() };
        let config =
            CardConfig { controller, identity: Identity::default(), speed: Speed::REAL, trace: false };
        let card = Arc::new(config.power_on()?);
        let threads = CardThreads::start(&card)?;
        let pages = card.bar(PAGES_BAR).and_then(|bar| bar.mapped);
        let pages = pages.ok_or_else(|| BenchError::Card("no page BAR".to_owned()))?.try_clone_to_owned()?;
        let pages = MmapRegion::from_file(FileOffset::new(pages.into(), 0), PAGES_BYTES as usize)
            .map_err(std::io::Error::other)?;
        let card = Self {
            card,
            _threads: threads,
            pages,
            interrupt: Interrupt::new()?,
            packet_frames: packet_frames(packet_micros),
            marks,
            seen: 0,
        };
        card.connect(streams)?;
        for index in 0..streams {
            card.set_up(index)?;
        }
        Ok(card)
    }

    /// RAM, bus mastering, one MSI message.
    fn connect(&self, streams: u32) -> Result<(), BenchError> {
        let bytes = u64::from(streams * STREAM_RAM);
        let ram = memfd(c"bench guest", bytes, true)?;
        for index in 0..streams {
            let slot = Slot::data(buffer(index), self.ring_bytes());
            ram.write_all_at(&slot.to_bytes(), table(index))?;
        }
        let request = MapRequest { address: 0, bytes, readable: true, writable: true, file: Some((ram, 0)) };
        self.card.request(Request::Map(request)).map_err(std::io::Error::other)?;
        let command = COMMAND_MEMORY | COMMAND_BUS_MASTER;
        for (register, value) in [(COMMAND, command), (MSI_CONTROL, MSI_ENABLE)] {
            let (offset, data) = (register as u64, &value.to_le_bytes()[..]);
            self.request(Request::Write { region: Region::Config, offset, data });
        }
        let change = self.interrupt.connect()?;
        self.request(Request::SetIrqs { kind: IrqKind::Msi, change });
        self.write(global::CONTROL, global::CONTROL_INT_ENABLE);
        Ok(())
    }

    fn ring_bytes(&self) -> u32 {
        PACKETS * self.packet_frames * FRAME_BYTES
    }

    fn set_up(&self, index: u32) -> Result<(), BenchError> {
        let address = u32::try_from(table(index)).unwrap_or(0);
        for (register, value) in [
            (stream::FORMAT, format::pack(format::S16, CHANNELS.into())),
            (stream::RATE, RATE),
            (stream::RING_BYTES, self.ring_bytes()),
            (stream::PACKETS, PACKETS),
            (stream::DMA_MODE, stream::DMA_MODE_SCATTER_GATHER),
            (stream::SG_ENTRIES, 1),
            (stream::DMA_ADDR_LO, address),
            (stream::DMA_ADDR_HI, 0),
            (stream::INT_ENABLE, stream::INT_PACKET | stream::INT_ERROR),
        ] {
            self.write(block(index) + register, value);
        }
        self.enter(index, stream::STATE_ACQUIRE)?;
        self.enter(index, stream::STATE_PAUSE)?;
        match self.marks {
            Marks::Followed => self.mark(index, PACKETS - 1),
            Marks::Far => self.mark(index, FAR),
            Marks::None => Ok(()),
        }
    }

    fn enter(&self, index: u32, state: u32) -> Result<(), BenchError> {
        self.write(block(index) + stream::STATE, state);
        let now = self.read(block(index) + stream::STATE);
        if now == state {
            return Ok(());
        }
        let error = self.read(block(index) + stream::ERROR);
        Err(BenchError::Card(format!("stream {index}: STATE stays {now} and not {state}, ERROR {error}")))
    }

    /// Marks packets of stream `index` up to `packet` by the mark page, as a guest does: no message.
    fn mark(&self, index: u32, packet: u32) -> Result<(), BenchError> {
        let (Some(status), Some(page)) = (pages::status_page(index), pages::mark_page(index)) else {
            return Err(BenchError::Card(format!("no stream {index}")));
        };
        let memory = self.pages.as_volatile_slice();
        let tag: u32 = memory
            .load((status + pages::status::MARK_TAG) as usize, Ordering::Acquire)
            .map_err(std::io::Error::other)?;
        let word = pages::mark::word(packet, tag);
        memory
            .store(word, (page + pages::mark::MARK) as usize, Ordering::Release)
            .map_err(std::io::Error::other)?;
        // Before WAITING is read; this stream goes by realtime, and never waits.
        std::sync::atomic::fence(Ordering::SeqCst);
        Ok(())
    }

    /// A message of the client. Only a map can fail.
    fn request(&self, request: Request<'_>) {
        let _ = self.card.request(request);
    }

    /// A register write, as a message would do it.
    pub fn write(&self, offset: u32, value: u32) {
        let (region, offset) = (Region::Bar(REGISTERS_BAR), offset.into());
        self.request(Request::Write { region, offset, data: &value.to_le_bytes() });
    }

    /// A register read, as a message would do it.
    pub fn read(&self, offset: u32) -> u32 {
        let mut data = [0; 4];
        let (region, offset) = (Region::Bar(REGISTERS_BAR), offset.into());
        self.request(Request::Read { region, offset, data: &mut data });
        u32::from_le_bytes(data)
    }

    /// The device clock, now: what a guest with a perfect calibration knows.
    pub fn now(&self) -> u64 {
        self.card.clock().now()
    }

    /// Nanoseconds of a packet.
    pub fn packet_nanos(&self) -> u64 {
        u64::from(self.packet_frames) * u64::from(global::CLOCK_HZ_VALUE) / u64::from(RATE)
    }

    /// Frames of a packet.
    pub fn packet_frames(&self) -> u64 {
        self.packet_frames.into()
    }

    /// Stream 0's status page as the guest reads it: as memory, under the sequence counter.
    pub fn status(&self) -> Result<Status, BenchError> {
        use pages::status as at;
        let begin = Instant::now();
        loop {
            let sequence = self.load_u32(at::SEQ)?;
            let status = Status {
                packets: self.load_u32(at::PACKET_COUNT)?,
                packet_clock: self.load_u64(at::PACKET_CLOCK)?,
                line: Timeline::moving(
                    self.load_u64(at::ANCHOR_CLOCK)?,
                    self.load_u64(at::ANCHOR_FRAME)?,
                    self.load_u32(at::RATE_NUM)?,
                    self.load_u32(at::RATE_DEN)?,
                ),
            };
            if sequence.is_multiple_of(2) && sequence == self.load_u32(at::SEQ)? {
                return Ok(status);
            }
            patience(begin, "the sequence counter never rests")?;
        }
    }

    fn load_u32(&self, field: u32) -> std::io::Result<u32> {
        let offset = (pages::STATUS_BASE + field) as usize;
        self.pages.as_volatile_slice().load(offset, Ordering::Acquire).map_err(std::io::Error::other)
    }

    fn load_u64(&self, field: u32) -> std::io::Result<u64> {
        let offset = (pages::STATUS_BASE + field) as usize;
        self.pages.as_volatile_slice().load(offset, Ordering::Acquire).map_err(std::io::Error::other)
    }
}

impl PlayingCard for RingwaveCard {
    fn run(&mut self, index: u32) -> Result<(), BenchError> {
        self.enter(index, stream::STATE_RUN)
    }

    fn wait(&mut self) -> Result<Vec<u64>, BenchError> {
        self.interrupt.wait()?;
        let now = self.now();
        let status = self.status()?;
        let new = status.packets.wrapping_sub(self.seen);
        self.seen = status.packets;
        if new != 0 && self.marks == Marks::Followed {
            // The buffer has two packets: the one that is complete is filled again, as the one after the
            // next.
            self.mark(0, status.packets.wrapping_add(1))?;
        }
        // Each that was missed meanwhile was due a packet earlier.
        let due =
            |earlier: u64| status.packet_clock.saturating_sub(earlier.saturating_mul(self.packet_nanos()));
        Ok((0..u64::from(new)).map(|earlier| now.saturating_sub(due(earlier))).collect())
    }

    fn report(&self) -> SessionReport {
        self.card.report()
    }

    fn packets_played(&self) -> Result<u64, BenchError> {
        let mut packets = 0_u64;
        for (index, stats) in self.card.stream_stats().iter().enumerate() {
            if stats.transport_faults != 0 || stats.packets_completed == 0 {
                let (faults, packets) = (stats.transport_faults, stats.packets_completed);
                let line = format!("stream {index}: {packets} packets, {faults} failed transfers");
                return Err(BenchError::Card(line));
            }
            packets = packets.saturating_add(stats.packets_completed);
        }
        Ok(packets)
    }
}

/// Of a status page.
#[derive(Clone, Copy, Debug)]
pub struct Status {
    /// Packets completed since STOP.
    pub packets: u32,
    /// Device clock at which the last of them was complete.
    pub packet_clock: u64,
    /// The anchor.
    pub line: Timeline,
}

/// Offset of stream `index`'s registers.
pub fn block(index: u32) -> u32 {
    stream::BLOCK_BASE + index * stream::BLOCK_STRIDE
}

fn buffer(index: u32) -> u64 {
    u64::from(index * STREAM_RAM)
}

fn table(index: u32) -> u64 {
    buffer(index) + u64::from(STREAM_RAM / 2)
}
