//! What the DMA walk moves: [`Ring`] over [`GuestRam`] with memory that is really shared, beside memcpy of
//! the same bytes.
//!
//! Every case moves the same cyclic buffer in the same blocks. Neighbouring entries lie in no good order in
//! guest memory; maps of one page each, as behind a vIOMMU, lie in no good order in the file. So there are
//! two things to compare a walk with: memcpy of the same bytes block by block, and the walk's *ceiling*:
//! memcpy in the same small parts and the same order, what a walk that costs nothing would reach. Everything
//! begins at a page, because how two buffers lie to each other is worth more to memcpy in parts of 4 KiB (a
//! tenth of its speed) than the walk is.
//!
//! Where a walk with 4 KiB entries falls short (0.8 of memcpy where this was written): an entry costs 4 to 5
//! ns beside the copy when it is 64 or 512 bytes long, and 16 ns when it is 4 KiB. That is not the walk's
//! instructions: a third fewer of them (190 to 128 an entry) made the small ones faster and this one not. It
//! is what the processor needs between two long copies that something stands between; which unit of it waits
//! could not be seen (a virtual machine without counters).

use std::fs::File;
use std::hint::black_box;
use std::io;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use ringwave_regs::dma::{ENTRIES_MAX, SLOT_BYTES, Slot};
use rustix::time::ClockId;

use super::cpu::cpu_time;
use super::{BenchError, Options, Row, Spread};
use ringwave_card::dma::{Bus, Limits, Ring};
use ringwave_guest_memory::guest_ram::{GuestRam, MapRequest};
use ringwave_guest_memory::memfd::memfd;
use ringwave_regs::error::Error;
use ringwave_trace::{CardRecords, Dma};

/// The cyclic buffer of every case: as long as one of 64-byte entries can be.
pub const RING_BYTES: u32 = 64 * ENTRIES_MAX;
/// Bytes that are moved at a time.
const BLOCK_BYTES: u32 = 64 << 10;
/// One mapped page.
const PAGE: u32 = 4096;
/// Measurements of each case, for a second of [`Options::sound`] or more: they are short, and the machine is
/// noisy.
const ROUNDS: f64 = 15.0;
/// And for the least of it.
const ROUNDS_MIN: usize = 3;
/// How long one of them takes.
const ROUND: Duration = Duration::from_millis(4);
/// Guest physical address of the buffer's memory.
const RAM: u64 = 0x1_0000_0000;
/// Guest physical address of the table, in a map of its own.
const TABLE: u64 = 0x1000;
const LIMITS: Limits = Limits { bus_master: true, dma_bits: 64 };

/// Which way the bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Out of guest memory, as for a render stream.
    Read,
    /// Into guest memory, as for a capture stream.
    Write,
}

impl Direction {
    /// Both, with their names for the table.
    pub const BOTH: [(Self, &'static str); 2] = [(Self::Read, "read"), (Self::Write, "write")];
}

/// How the buffer lies in guest memory.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// For the table.
    pub name: &'static str,
    /// Bytes of each scatter-gather entry; `None` = contiguous.
    entry: Option<u32>,
    /// Each page has a map of its own.
    page_maps: bool,
    /// The memory is a memfd that cannot shrink, which the card reads itself; else the kernel copies for it.
    sealed: bool,
}

impl Case {
    const fn new(name: &'static str, entry: Option<u32>) -> Self {
        Self { name, entry, page_maps: false, sealed: true }
    }

    /// Bytes that lie in one block, in guest memory and in the file.
    fn part(&self) -> u32 {
        let in_guest = self.entry.unwrap_or(BLOCK_BYTES);
        if self.page_maps { in_guest.min(PAGE) } else { in_guest }
    }

    /// Where in the file the buffer's parts are, in the buffer's order.
    fn offsets(&self) -> Vec<u32> {
        let (part, count) = (self.part(), RING_BYTES / self.part());
        let in_guest = |number| if self.entry.is_some() { scattered(number, count) } else { number };
        let in_file = |number| if self.page_maps { scattered(number, count) } else { number };
        (0..count).map(|number| in_file(in_guest(number)) * part).collect()
    }
}

/// What is measured. An entry that is smaller than a page lies in one map.
pub const CASES: &[Case] = &[
    Case::new("contiguous", None),
    Case { page_maps: true, ..Case::new("contiguous, one page per map", None) },
    Case::new("64 KiB entries", Some(64 << 10)),
    Case::new("4 KiB entries", Some(PAGE)),
    Case { page_maps: true, ..Case::new("4 KiB entries, one page per map", Some(PAGE)) },
    Case::new("512 B entries", Some(512)),
    Case::new("64 B entries", Some(64)),
    Case { sealed: false, ..Case::new("4 KiB entries, memory not sealed", Some(PAGE)) },
];

/// The offset of `number` among `count` (a power of two): another one for each, and never beside its
/// neighbour's.
fn scattered(number: u32, count: u32) -> u32 {
    number.wrapping_mul(37).wrapping_add(11) % count
}

/// A cyclic buffer in guest memory.
pub struct CyclicBuffer {
    ram: GuestRam,
    ring: Ring,
    block: Aligned,
    records: CardRecords<Error>,
    #[cfg(test)]
    file: File,
}

impl CyclicBuffer {
    /// Makes the memory of `case`, and the snapshot of its buffer.
    pub fn new(case: Case) -> io::Result<Self> {
        let mut ram = GuestRam::default();
        let file = memfd(c"bench ram", RING_BYTES.into(), case.sealed)?;
        file.write_all_at(&vec![0x5A; RING_BYTES as usize], 0)?;
        if case.page_maps {
            let pages = RING_BYTES / PAGE;
            for page in 0..pages {
                let offset = scattered(page, pages) * PAGE;
                map(&mut ram, RAM + u64::from(page * PAGE), PAGE, (file.try_clone()?, offset.into()))?;
            }
        } else {
            map(&mut ram, RAM, RING_BYTES, (file.try_clone()?, 0))?;
        }
        let mut records = CardRecords::default();
        let ring = match case.entry {
            None => {
                let bus = Bus { memory: &ram, log: records.log(None), who: Dma::SelfTest, limits: LIMITS };
                Ring::contiguous(&bus, RAM, RING_BYTES, true)
            }
            Some(bytes) => {
                let entries = RING_BYTES / bytes;
                map_table(&mut ram, entries, bytes)?;
                let mut bus =
                    Bus { memory: &ram, log: records.log(None), who: Dma::SelfTest, limits: LIMITS };
                Ring::scatter_gather(&mut bus, TABLE, entries, ENTRIES_MAX, RING_BYTES, true)
            }
        };
        let ring = ring.map_err(|error| io::Error::other(error.meaning()))?;
        let block = Aligned::new(BLOCK_BYTES);
        Ok(Self {
            ram,
            ring,
            block,
            records,
            #[cfg(test)]
            file,
        })
    }

    /// Moves the whole buffer once. `observe` sees each block: what came out, or what goes in.
    pub fn pass(&mut self, direction: Direction, mut observe: impl FnMut(&mut [u8])) -> io::Result<()> {
        let Self { ram, ring, block, records, .. } = self;
        let mut bus = Bus { memory: ram, log: records.log(None), who: Dma::SelfTest, limits: LIMITS };
        for offset in (0..RING_BYTES).step_by(BLOCK_BYTES as usize) {
            let block = block.get();
            let moved = match direction {
                Direction::Read => {
                    let moved = ring.read(&mut bus, offset, block);
                    observe(block);
                    moved
                }
                Direction::Write => {
                    observe(block);
                    ring.write(&mut bus, offset, block)
                }
            };
            moved.map_err(|error| io::Error::other(error.meaning()))?;
        }
        Ok(())
    }
}

/// The same bytes in the same blocks, in memory of this process.
pub struct Memcpy {
    memory: Aligned,
    block: Aligned,
    /// Bytes of each part of a block, and where in the memory the parts are.
    part: u32,
    offsets: Vec<u32>,
}

impl Memcpy {
    /// A block at a time, and in order.
    pub fn best() -> Self {
        Self::of(&Case::new("", None))
    }

    /// The ceiling of a case: its parts and their order.
    pub fn of(case: &Case) -> Self {
        let (memory, block) = (Aligned::new(RING_BYTES), Aligned::new(BLOCK_BYTES));
        Self { memory, block, part: case.part(), offsets: case.offsets() }
    }

    /// Moves all of it once; as [`CyclicBuffer::pass`].
    pub fn pass(&mut self, direction: Direction, mut observe: impl FnMut(&mut [u8])) {
        let part = self.part as usize;
        let memory = self.memory.get();
        for offsets in self.offsets.chunks(BLOCK_BYTES as usize / part) {
            let block = self.block.get();
            if direction == Direction::Write {
                observe(block);
            }
            for (ours, &offset) in block.chunks_exact_mut(part).zip(offsets) {
                let offset = offset as usize;
                let theirs = memory.get_mut(offset..offset + part).unwrap_or_default();
                match direction {
                    Direction::Read => ours.copy_from_slice(theirs),
                    Direction::Write => theirs.copy_from_slice(ours),
                }
            }
            if direction == Direction::Read {
                observe(block);
            }
        }
        black_box(memory);
    }
}

/// Memory that begins at a page.
struct Aligned {
    bytes: Vec<u8>,
    skip: usize,
    length: usize,
}

impl Aligned {
    fn new(length: u32) -> Self {
        let bytes = vec![0x5A; (length + PAGE) as usize];
        let skip = bytes.as_ptr().align_offset(PAGE as usize);
        Self { bytes, skip, length: length as usize }
    }

    fn get(&mut self) -> &mut [u8] {
        self.bytes.get_mut(self.skip..self.skip + self.length).unwrap_or_default()
    }
}

fn map(ram: &mut GuestRam, address: u64, bytes: u32, file: (File, u64)) -> io::Result<()> {
    let request =
        MapRequest { address, bytes: bytes.into(), readable: true, writable: true, file: Some(file) };
    ram.map(request).map_err(io::Error::other)
}

/// The table of a buffer of `entries` entries.
fn map_table(ram: &mut GuestRam, entries: u32, bytes: u32) -> io::Result<()> {
    let table = memfd(c"bench table", u64::from(ENTRIES_MAX * SLOT_BYTES), true)?;
    let at = |number| RAM + u64::from(scattered(number, entries) * bytes);
    let slots: Vec<u8> = (0..entries).flat_map(|number| Slot::data(at(number), bytes).to_bytes()).collect();
    table.write_all_at(&slots, 0)?;
    map(ram, TABLE, ENTRIES_MAX * SLOT_BYTES, (table, 0))
}

/// Bytes per nanosecond (so GB per second) of passes that move the buffer once each. By this thread's CPU
/// time: what other processes take from it is not counted.
fn speed(mut pass: impl FnMut() -> io::Result<()>) -> io::Result<f64> {
    let (begin, cpu) = (Instant::now(), cpu_time(ClockId::ThreadCPUTime)?);
    let mut passes = 0_u32;
    // At least one: a busy machine can take the processor away before it begins.
    loop {
        pass()?;
        passes += 1;
        if begin.elapsed() >= ROUND {
            break;
        }
    }
    let cpu = cpu_time(ClockId::ThreadCPUTime)?.saturating_sub(cpu).as_nanos().max(1);
    Ok(f64::from(passes) * f64::from(RING_BYTES) / cpu as f64)
}

/// Measures every case in both directions.
pub fn measure(options: Options) -> Result<Vec<Row>, BenchError> {
    let rounds = rounds(options);
    let mut rows = Vec::new();
    for case in CASES {
        let (mut buffer, mut best, mut ceiling) =
            (CyclicBuffer::new(*case)?, Memcpy::best(), Memcpy::of(case));
        for (direction, name) in Direction::BOTH {
            let observe = |block: &mut [u8]| {
                black_box(block);
            };
            let best = || {
                best.pass(direction, observe);
                Ok(())
            };
            let ceiling = || {
                ceiling.pass(direction, observe);
                Ok(())
            };
            let name = format!("{name}, {}", case.name);
            rows.push(compare(name, rounds, || buffer.pass(direction, observe), best, ceiling)?);
        }
    }
    Ok(rows)
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "3 to 15")]
fn rounds(options: Options) -> usize {
    ((ROUNDS * options.sound.as_secs_f64()).min(ROUNDS) as usize).max(ROUNDS_MIN)
}

/// Each round is one of the walk, between two of memcpy at its best, and one of its ceiling.
fn compare(
    case: String,
    rounds: usize,
    mut walk: impl FnMut() -> io::Result<()>,
    mut best: impl FnMut() -> io::Result<()>,
    mut ceiling: impl FnMut() -> io::Result<()>,
) -> io::Result<Row> {
    // The first touches are not measured.
    walk()?;
    ceiling()?;
    let (mut speeds, mut ratios, mut ceilings) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        let before = speed(&mut best)?;
        let walked = speed(&mut walk)?;
        let after = speed(&mut best)?;
        speeds.push(walked);
        ratios.push(walked / f64::midpoint(before, after));
        ceilings.push(walked / speed(&mut ceiling)?);
    }
    Ok(Row {
        figure: "dma",
        case,
        value: Spread::of(speeds),
        unit: "GB/s",
        ratio: Some(Spread::of(ratios)),
        of: "memcpy of the same bytes",
        ceiling: Some(Spread::of(ceilings)),
    })
}

#[cfg(test)]
#[path = "dma_tests.rs"]
mod tests;
