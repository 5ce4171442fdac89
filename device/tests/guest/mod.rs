//! A guest made of a test: a vfio-user client with RAM of its own, which drives the card through its
//! registers as DATASHEET section 9 says, in either DMA mode.

#![allow(dead_code, reason = "each test file uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use ringwave_guest_memory::memfd::memfd;
use ringwave_regs::{dma, format, global, pages, pci, stream};
use vfio_bindings::bindings::vfio::{
    VFIO_IRQ_SET_ACTION_TRIGGER, VFIO_IRQ_SET_DATA_EVENTFD, VFIO_PCI_CONFIG_REGION_INDEX,
    VFIO_PCI_MSI_IRQ_INDEX,
};
use vfio_user::Client;
use vmm_sys_util::eventfd::{EFD_NONBLOCK, EventFd};

/// RAM in two halves, one at 0 and one above 4 GiB.
pub const HALF: u64 = 1 << 20;
pub const HIGH: u64 = 0x1_0000_0000;
const PAGE: u64 = 4096;
/// Nothing in a test takes as long.
pub const PATIENCE: Duration = Duration::from_mins(1);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DmaMode {
    Contiguous,
    ScatterGather,
}

/// How a stream is set up.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    pub mode: DmaMode,
    pub rate: u32,
    pub channels: u32,
    /// Frames of a packet; two packets make the cyclic buffer.
    pub packet: u32,
}

impl Setup {
    pub const USUAL: Self = Self { mode: DmaMode::ScatterGather, rate: 48_000, channels: 2, packet: 1_900 };

    pub fn packet_bytes(self) -> usize {
        (self.packet * self.channels * 2) as usize
    }

    fn ring_bytes(self) -> u32 {
        2 * self.packet * self.channels * 2
    }
}

pub struct Guest {
    pub client: Client,
    pub ram: File,
    pub msi: EventFd,
    pages: File,
}

impl Guest {
    /// Connects, shares its RAM, turns bus mastering and MSI on.
    pub fn connect(socket: &Path) -> Self {
        let begin = Instant::now();
        let mut client = loop {
            match Client::new(socket) {
                Ok(client) => break client,
                Err(error) => assert!(begin.elapsed() < PATIENCE, "{error}"),
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        let ram = memfd(c"test guest", 2 * HALF, true).unwrap();
        client.dma_map(0, 0, HALF, ram.as_raw_fd()).unwrap();
        client.dma_map(HALF, HIGH, HALF, ram.as_raw_fd()).unwrap();
        let region = client.region(pci::PAGES_BAR).unwrap();
        let pages = region.file_offset.as_ref().unwrap().file().try_clone().unwrap();
        let msi = EventFd::new(EFD_NONBLOCK).unwrap();
        let mut guest = Self { client, ram, msi, pages };
        guest.enable();
        guest
    }

    /// Bus Master Enable, MSI with one message, `CONTROL.INT_ENABLE`.
    pub fn enable(&mut self) {
        self.config_write(0x04, &0x0006_u16.to_le_bytes());
        self.config_write(0x52, &0x0001_u16.to_le_bytes());
        let flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER;
        self.client.set_irqs(VFIO_PCI_MSI_IRQ_INDEX, flags, 0, 1, &[self.msi.as_raw_fd()]).unwrap();
        self.write(global::CONTROL, global::CONTROL_INT_ENABLE);
    }

    pub fn config_write(&mut self, offset: u64, data: &[u8]) {
        self.client.region_write(VFIO_PCI_CONFIG_REGION_INDEX, offset, data).unwrap();
    }

    pub fn config_read<const N: usize>(&mut self, offset: u64) -> [u8; N] {
        let mut data = [0; N];
        self.client.region_read(VFIO_PCI_CONFIG_REGION_INDEX, offset, &mut data).unwrap();
        data
    }

    pub fn write(&mut self, offset: u32, value: u32) {
        self.client.region_write(pci::REGISTERS_BAR, offset.into(), &value.to_le_bytes()).unwrap();
    }

    pub fn read(&mut self, offset: u32) -> u32 {
        let mut data = [0; 4];
        self.client.region_read(pci::REGISTERS_BAR, offset.into(), &mut data).unwrap();
        u32::from_le_bytes(data)
    }

    /// A register of stream 0.
    pub fn stream_write(&mut self, register: u32, value: u32) {
        self.write(stream::BLOCK_BASE + register, value);
    }

    pub fn stream_read(&mut self, register: u32) -> u32 {
        self.read(stream::BLOCK_BASE + register)
    }

    /// Steps stream 0 to a state, which it must reach.
    pub fn state(&mut self, state: u32) {
        self.stream_write(stream::STATE, state);
        let (now, error) = (self.stream_read(stream::STATE), self.stream_read(stream::ERROR));
        assert_eq!(now, state, "STATE was refused with error {error}");
    }

    /// Bytes of stream 0's status page, read as memory (no message), as DATASHEET section 7 says: the same
    /// even SEQ before and after.
    fn status<const N: usize>(&self, field: u32) -> [u8; N] {
        let read = |field: u32, bytes: &mut [u8]| {
            self.pages.read_exact_at(bytes, u64::from(pages::STATUS_BASE + field)).unwrap();
        };
        let begin = Instant::now();
        loop {
            let (mut before, mut bytes, mut after) = ([0; 4], [0; N], [0; 4]);
            read(pages::status::SEQ, &mut before);
            read(field, &mut bytes);
            read(pages::status::SEQ, &mut after);
            if before == after && before[0].is_multiple_of(2) {
                return bytes;
            }
            assert!(begin.elapsed() < PATIENCE, "the sequence counter never rests");
        }
    }

    /// Marks packets of stream 0 up to `packet` by the mark page (DATASHEET 7.4), at the device clock
    /// `clock`. Gives WAITING.
    pub fn mark(&self, packet: u32, clock: u64) -> u32 {
        let tag = self.status32(pages::status::MARK_TAG);
        let at = |field: u32| u64::from(pages::MARK_BASE + field);
        self.pages.write_all_at(&clock.to_le_bytes(), at(pages::mark::MARK_CLOCK)).unwrap();
        let word = pages::mark::word(packet, tag);
        self.pages.write_all_at(&word.to_le_bytes(), at(pages::mark::MARK)).unwrap();
        std::sync::atomic::fence(std::sync::atomic::Ordering::SeqCst);
        self.status32(pages::status::WAITING)
    }

    pub fn status32(&self, field: u32) -> u32 {
        u32::from_le_bytes(self.status(field))
    }

    pub fn status64(&self, field: u32) -> u64 {
        u64::from_le_bytes(self.status(field))
    }

    /// Where the byte at `place` of the cyclic buffer is: (guest physical address, offset in RAM).
    /// Scatter-gather takes pages of both halves in no good order.
    pub fn place(mode: DmaMode, place: u64) -> (u64, u64) {
        match mode {
            DmaMode::Contiguous => (0x4_0010 + place, 0x4_0010 + place),
            DmaMode::ScatterGather => {
                let page = place / PAGE;
                let number = (page * 37 + 11) % 128;
                let within = place % PAGE;
                if page.is_multiple_of(2) {
                    (number * PAGE + within, number * PAGE + within)
                } else {
                    (HIGH + number * PAGE + within, HALF + number * PAGE + within)
                }
            }
        }
    }

    /// Writes bytes into the cyclic buffer.
    pub fn fill(&self, mode: DmaMode, from: u64, bytes: &[u8]) {
        let mut done = 0;
        while done < bytes.len() {
            let place = from + done as u64;
            let rest = usize::try_from(PAGE - place % PAGE).unwrap().min(bytes.len() - done);
            let (_, offset) = Self::place(mode, place);
            self.ram.write_all_at(&bytes[done..done + rest], offset).unwrap();
            done += rest;
        }
    }

    /// Bytes of the cyclic buffer.
    pub fn peek(&self, mode: DmaMode, from: u64, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        let mut done = 0;
        while done < count {
            let place = from + done as u64;
            let rest = usize::try_from(PAGE - place % PAGE).unwrap().min(count - done);
            let (_, offset) = Self::place(mode, place);
            self.ram.read_exact_at(&mut bytes[done..done + rest], offset).unwrap();
            done += rest;
        }
        bytes
    }

    /// Writes the scatter-gather table, over two pages with a link. Gives its address and entries.
    fn table(&self, ring_bytes: u32) -> (u64, u32) {
        let (first, second) = (0xF_0000_u64, 0xF_8000_u64);
        let mut slots = Vec::new();
        let mut place = 0;
        while place < u64::from(ring_bytes) {
            let length = u32::try_from(PAGE).unwrap().min(ring_bytes - u32::try_from(place).unwrap());
            slots.push(dma::Slot::data(Self::place(DmaMode::ScatterGather, place).0, length));
            place += PAGE;
        }
        let put = |address: u64, slot: dma::Slot| self.ram.write_all_at(&slot.to_bytes(), address).unwrap();
        put(first, slots[0]);
        put(first + 16, dma::Slot::link(second));
        for (slot, address) in slots[1..].iter().zip((second..).step_by(16)) {
            put(address, *slot);
        }
        (first, u32::try_from(slots.len()).unwrap())
    }

    /// Sets stream 0 up and takes it to PAUSE.
    pub fn set_up(&mut self, setup: Setup) {
        let (address, entries, mode) = match setup.mode {
            DmaMode::Contiguous => (Self::place(setup.mode, 0).0, 0, stream::DMA_MODE_CONTIGUOUS),
            DmaMode::ScatterGather => {
                let (address, entries) = self.table(setup.ring_bytes());
                (address, entries, stream::DMA_MODE_SCATTER_GATHER)
            }
        };
        self.stream_write(stream::FORMAT, format::pack(format::S16, setup.channels));
        self.stream_write(stream::RATE, setup.rate);
        self.stream_write(stream::RING_BYTES, setup.ring_bytes());
        self.stream_write(stream::PACKETS, 2);
        self.stream_write(stream::DMA_MODE, mode);
        self.stream_write(stream::SG_ENTRIES, entries);
        self.stream_write(stream::DMA_ADDR_LO, u32::try_from(address & 0xFFFF_FFFF).unwrap());
        self.stream_write(stream::DMA_ADDR_HI, u32::try_from(address >> 32).unwrap());
        self.stream_write(stream::INT_ENABLE, stream::INT_PACKET | stream::INT_ERROR);
        // Granted by a card with the lockstep clock.
        self.stream_write(stream::LOCKSTEP, stream::LOCKSTEP_ASK);
        self.state(stream::STATE_ACQUIRE);
        self.state(stream::STATE_PAUSE);
    }

    /// Puts packet `n` of `samples` in its place and says so; the last one with its length.
    pub fn give_packet(&mut self, setup: Setup, samples: &[u8], n: u32) {
        let bytes = setup.packet_bytes();
        let begin = n as usize * bytes;
        let end = samples.len().min(begin + bytes);
        self.fill(setup.mode, u64::from(n % 2) * bytes as u64, &samples[begin..end]);
        if end == samples.len() {
            self.stream_write(stream::EOS, stream::EOS_ARM | u32::try_from(end - begin).unwrap());
        }
        self.stream_write(stream::WRITTEN, n);
    }

    /// Waits for a message of the card.
    pub fn wait_interrupt(&self) {
        let begin = Instant::now();
        while self.msi.read().is_err() {
            assert!(
                begin.elapsed() < PATIENCE,
                "no interrupt; packets {}",
                self.status32(pages::status::PACKET_COUNT)
            );
            std::thread::sleep(Duration::from_micros(200));
        }
    }

    /// Waits until the status page says so many packets.
    pub fn wait_packets(&self, packets: u32) {
        let begin = Instant::now();
        while self.status32(pages::status::PACKET_COUNT) < packets {
            assert!(begin.elapsed() < PATIENCE, "packets {}", self.status32(pages::status::PACKET_COUNT));
            std::thread::sleep(Duration::from_micros(200));
        }
    }

    /// Plays all of `samples` (bytes of whole frames) and stops the stream.
    pub fn play(&mut self, setup: Setup, samples: &[u8]) {
        self.set_up(setup);
        let packets = u32::try_from(samples.len().div_ceil(setup.packet_bytes())).unwrap();
        self.give_packet(setup, samples, 0);
        self.stream_write(stream::STATE, stream::STATE_RUN);
        for n in 1..packets {
            if n >= 2 {
                while self.status32(pages::status::PACKET_COUNT) < n - 1 {
                    self.wait_interrupt();
                }
            }
            self.give_packet(setup, samples, n);
        }
        while self.status32(pages::status::FLAGS) & pages::status::FLAG_ENDED == 0 {
            self.wait_interrupt();
        }
        self.stream_write(stream::STATE, stream::STATE_STOP);
        assert_eq!(self.stream_read(stream::ERROR), 0);
    }
}

/// The samples of a WAV file as they lie in memory.
pub fn wav_bytes(path: &Path) -> Vec<u8> {
    let samples = hound::WavReader::open(path).unwrap().into_samples::<i16>();
    samples.flat_map(|sample| sample.unwrap().to_le_bytes()).collect()
}

/// A second or so of the test piece as a WAV file, and its bytes. The length is no whole number of packets.
pub fn piece(path: &Path, rate: u32, channels: u16) -> Vec<u8> {
    let format = ringwave_audio::StreamFormat {
        sample: ringwave_audio::SampleFormat::S16,
        channels: channels.into(),
        rate,
    };
    let mut bytes = ringwave_audio::test_tune::TestTune { seconds: 1, format }.frames();
    bytes.truncate(bytes.len() - 4 * 777);
    let spec = hound::WavSpec {
        channels,
        sample_rate: rate,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut writer = hound::WavWriter::create(path, spec).unwrap();
    for sample in bytes.chunks(2) {
        writer.write_sample(i16::from_le_bytes([sample[0], sample[1]])).unwrap();
    }
    writer.finalize().unwrap();
    bytes
}
