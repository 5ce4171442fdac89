//! A driver of the HD Audio card, over the client side of vfio-user: one speaker, one microphone, 48 kHz, 16
//! bits, stereo.

#![allow(
    clippy::cast_possible_truncation,
    reason = "addresses are below 1 MiB, and bytes of sound may be any"
)]

use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use ringwave_guest_memory::memfd::memfd;
use ringwave_vfio_user::wire::pci;
use ringwave_vfio_user::{Client, ClientError};

pub const RAM: u64 = 1 << 20;
const CORB: u64 = 0x1000;
const RIRB: u64 = 0x2000;
pub const LIST: u64 = 0x3000;
pub const POSITIONS: u64 = 0x4000;
/// Buffers: of the speaker, of the microphone.
pub const BUFFER: u64 = 0x1_0000;
pub const RECORDED: u64 = 0x2_0000;
/// 20 ms.
pub const BUFFER_BYTES: u32 = 3840;
pub const FRAME: u64 = 4;

/// Descriptors.
pub const IN: u64 = 0;
pub const OUT: u64 = 4;
/// Bits of SDSTS.
pub const BCIS: u8 = 4;
pub const FIFOE: u8 = 8;
pub const DESE: u8 = 16;
/// Nodes.
const DAC: u32 = 2;
const ADC: u32 = 4;

const PATIENCE: Duration = Duration::from_mins(1);

/// A client with memory, whose function may access it.
pub struct Driver {
    pub client: Client,
    pub ram: File,
}

impl Driver {
    /// Memory that nobody can cut off.
    pub fn connect(socket: &Path) -> Self {
        Self::with_ram(socket, memfd(c"guest", RAM, true).unwrap())
    }

    pub fn with_ram(socket: &Path, ram: File) -> Self {
        let mut client = Client::connect(socket).unwrap();
        client.dma_map(0, RAM, Some((ram.as_fd(), 0))).unwrap();
        client.write(pci::CONFIG_REGION, 4, &[6, 0]).unwrap();
        Self { client, ram }
    }

    pub fn read<const N: usize>(&mut self, offset: u64) -> [u8; N] {
        let mut data = [0; N];
        self.client.read(0, offset, &mut data).unwrap();
        data
    }

    pub fn read8(&mut self, offset: u64) -> u8 {
        let [byte] = self.read(offset);
        byte
    }

    pub fn write<const N: usize>(&mut self, offset: u64, data: [u8; N]) {
        self.client.write(0, offset, &data).unwrap();
    }

    pub fn write32(&mut self, offset: u64, value: u32) {
        self.write(offset, value.to_le_bytes());
    }

    pub fn store(&self, address: u64, bytes: &[u8]) {
        self.ram.write_all_at(bytes, address).unwrap();
    }

    pub fn all_of_ram(&self) -> Vec<u8> {
        let mut bytes = vec![0; usize::try_from(RAM).unwrap()];
        self.ram.read_exact_at(&mut bytes, 0).unwrap();
        bytes
    }

    /// Out of reset, with the rings and the position buffer; speaker and microphone have tag 1.
    pub fn start_up(&mut self) {
        self.write32(0x08, 1);
        self.write32(0x40, u32::try_from(CORB).unwrap());
        self.write32(0x50, u32::try_from(RIRB).unwrap());
        self.write32(0x70, u32::try_from(POSITIONS).unwrap() | 1);
        self.write(0x5C, [2]);
        self.write(0x4C, [2]);
        for nid in [DAC, ADC] {
            self.command(nid, 0x70610);
        }
    }

    /// Sends a command and gives its response.
    pub fn command(&mut self, nid: u32, verb: u32) -> u32 {
        let at = (u16::from_le_bytes(self.read(0x48)) + 1) & 0xFF;
        self.store(CORB + u64::from(at) * 4, &(nid << 20 | verb).to_le_bytes());
        self.write(0x48, at.to_le_bytes());
        let written = u16::from_le_bytes(self.read(0x58));
        let mut response = [0; 4];
        self.ram.read_exact_at(&mut response, RIRB + u64::from(written) * 8).unwrap();
        u32::from_le_bytes(response)
    }

    /// A descriptor with these entries of a list (address, bytes), set up and not running.
    pub fn set_up(&mut self, index: u64, entries: &[(u64, u32)], format: u16) {
        let list = LIST + 0x100 * index;
        for ((address, bytes), at) in entries.iter().zip((list..).step_by(16)) {
            self.store(at, &[address.to_le_bytes(), (u64::from(*bytes) | 1 << 32).to_le_bytes()].concat());
        }
        self.set_up_list(index, list, entries, format);
    }

    pub fn set_up_list(&mut self, index: u64, list: u64, entries: &[(u64, u32)], format: u16) {
        let base = base(index);
        self.write32(base, 1);
        self.write32(base, 0);
        let sum: u32 = entries.iter().map(|(_, bytes)| bytes).sum();
        self.write32(base + 0x08, sum);
        self.write(base + 0x0C, u16::try_from(entries.len() - 1).unwrap().to_le_bytes());
        self.write(base + 0x12, format.to_le_bytes());
        self.write(base + 0x18, list.to_le_bytes());
        self.write(base + 2, [0x10]);
    }

    /// Two halves of the buffer at `address`.
    pub fn set_up_halves(&mut self, index: u64, address: u64) {
        let half = BUFFER_BYTES / 2;
        self.set_up(index, &[(address, half), (address + u64::from(half), half)], 0x0011);
    }

    pub fn run(&mut self, index: u64) {
        self.write(base(index), [2]);
    }

    pub fn stop(&mut self, index: u64) {
        self.write(base(index), [0]);
    }

    pub fn runs(&mut self, index: u64) -> bool {
        self.read8(base(index)) & 2 != 0
    }

    /// Without FIFORDY.
    pub fn status(&mut self, index: u64) -> u8 {
        self.read8(base(index) + 3) & !0x20
    }

    pub fn clear_status(&mut self, index: u64) {
        self.write(base(index) + 3, [BCIS | FIFOE | DESE]);
    }

    pub fn wait_status(&mut self, index: u64, bits: u8) {
        let begin = Instant::now();
        while self.status(index) & bits == 0 {
            assert!(begin.elapsed() < PATIENCE, "status {:#x} of {index}", self.status(index));
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Waits for so many ends of halves.
    pub fn wait_halves(&mut self, index: u64, halves: u32) {
        for _ in 0..halves {
            self.write(base(index) + 3, [BCIS]);
            self.wait_status(index, BCIS);
        }
    }

    pub fn link_position(&mut self, index: u64) -> u32 {
        u32::from_le_bytes(self.read(base(index) + 4))
    }

    /// Every register is as after reset, and the codec has forgotten its tags.
    pub fn expect_fresh(&mut self) {
        assert_eq!(self.read(0x08), [0; 4], "GCTL");
        assert_eq!(self.read(0x20), [0; 4], "INTCTL");
        assert_eq!(self.read(0x48), [0; 4], "CORBWP, CORBRP");
        assert_eq!(self.read(0x70), [0; 8], "DPLBASE");
        for index in 0..8 {
            assert_eq!(self.read(base(index)), [0, 0, 4, 0], "SDCTL of {index}");
            assert_eq!(
                (self.link_position(index), self.read(base(index) + 8)),
                (0, [0; 4]),
                "the rest of {index}"
            );
        }
        self.write32(0x08, 1);
        for nid in [DAC, ADC] {
            self.write32(0x60, nid << 20 | 0xF0600);
            self.write(0x68, [1, 0]);
            assert_eq!(self.read(0x64), [0; 4], "tag of node {nid}");
        }
        self.write32(0x08, 0);
    }

    /// Plays `bytes` in a loop for at least so many halves of the buffer.
    pub fn play(&mut self, bytes: &[u8], halves: u32) {
        self.store(BUFFER, bytes);
        self.set_up_halves(OUT, BUFFER);
        self.run(OUT);
        assert!(self.runs(OUT), "status {:#x}", self.status(OUT));
        self.wait_halves(OUT, halves);
        self.stop(OUT);
    }

    /// Only the connection ends: the memory is there to be looked at.
    pub fn leave(self) -> File {
        self.ram
    }

    /// Asks the card anything; an error says that the connection is lost.
    pub fn try_read(&mut self) -> Result<(), ClientError> {
        self.client.read(0, 0, &mut [0; 4])
    }
}

pub fn base(index: u64) -> u64 {
    0x80 + 0x20 * index
}

/// A buffer of sound none of whose frames is silent: another one for each seed below 128.
pub fn sound(seed: u8) -> Vec<u8> {
    (0..BUFFER_BYTES).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8 ^ seed << 1 | 1).collect()
}

/// Whether frames are those of the buffer, around and around, from its begin.
pub fn is_loop(heard: &[u8], sound: &[u8]) -> bool {
    !heard.is_empty() && heard.iter().eq(sound.iter().cycle().take(heard.len()))
}
