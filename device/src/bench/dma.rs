//! What the DMA walk moves: [`Ring`] over [`GuestRam`] with memory that is really shared, beside memcpy of the same bytes.
//!
//! Every case moves the same cyclic buffer in the same pieces. Neighbouring entries lie in no good order in guest memory, and where
//! maps are one page each, as behind a vIOMMU, they do in the file too.

use std::hint::black_box;
use std::io;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use ringwave_regs::dma::{ENTRIES_MAX, SLOT_BYTES, Slot};

use super::cpu::cpu_time;
use super::{BenchError, Options, Row, Spread};
use crate::dma::{Bus, Limits, Ring};
use crate::ports::{Dma, Effects};
use crate::serve::guest_ram::{GuestRam, MapRequest};
use crate::serve::memfd::memfd;

/// The cyclic buffer of every case: as long as one of 64-byte entries can be.
pub const RING_BYTES: u32 = 64 * ENTRIES_MAX;
/// Bytes that are moved at a time.
const PIECE_BYTES: u32 = 64 << 10;
/// One mapped page.
const PAGE: u32 = 4096;
/// Measurements of each case: they are short, and the machine is noisy.
const ROUNDS: usize = 15;
/// How long one of them takes.
const ROUND: Duration = Duration::from_millis(4);
/// Guest physical address of the buffer's memory.
const RAM: u64 = 0x1_0000_0000;
/// Guest physical address of the table, in a map of its own.
const TABLE: u64 = 0x1000;
const LIMITS: Limits = Limits { bus_master: true, dma_bits: 64 };

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
}

/// What is measured.
pub const CASES: &[Case] = &[
    Case::new("contiguous", None),
    Case { page_maps: true, ..Case::new("contiguous, one page per map", None) },
    Case::new("64 KiB entries", Some(64 << 10)),
    Case::new("4 KiB entries", Some(4 << 10)),
    Case { page_maps: true, ..Case::new("4 KiB entries, one page per map", Some(4 << 10)) },
    Case::new("512 B entries", Some(512)),
    Case::new("64 B entries", Some(64)),
    Case { sealed: false, ..Case::new("4 KiB entries, memory not sealed", Some(4 << 10)) },
];

/// A cyclic buffer in guest memory.
pub struct Walk {
    ram: GuestRam,
    ring: Ring,
    piece: Vec<u8>,
    effects: Effects,
}

impl Walk {
    /// Makes the memory of `case`, and the snapshot of its buffer.
    pub fn new(case: Case) -> io::Result<Self> {
        let mut ram = GuestRam::default();
        let table = memfd(c"bench table", u64::from(ENTRIES_MAX * SLOT_BYTES), true)?;
        let file = memfd(c"bench ram", RING_BYTES.into(), case.sealed)?;
        file.write_all_at(&vec![0x5A; RING_BYTES as usize], 0)?;
        if case.page_maps {
            for (page, offset) in shuffled(RING_BYTES / PAGE).zip((0_u64..).step_by(PAGE as usize)) {
                map(&mut ram, RAM + u64::from(page * PAGE), PAGE.into(), (file.try_clone()?, offset))?;
            }
        } else {
            map(&mut ram, RAM, RING_BYTES.into(), (file, 0))?;
        }
        let mut effects = Effects::default();
        effects.untraced = true;
        let ring = match case.entry {
            None => {
                let bus = Bus { memory: &ram, effects: &mut effects, who: Dma::SelfTest, limits: LIMITS };
                Ring::contiguous(&bus, RAM, RING_BYTES, true)
            }
            Some(bytes) => {
                let entries = RING_BYTES / bytes;
                let slots = shuffled(entries).map(|at| Slot::data(RAM + u64::from(at * bytes), bytes));
                let slots: Vec<u8> = slots.flat_map(Slot::to_bytes).collect();
                table.write_all_at(&slots, 0)?;
                map(&mut ram, TABLE, u64::from(ENTRIES_MAX * SLOT_BYTES), (table, 0))?;
                let mut bus = Bus { memory: &ram, effects: &mut effects, who: Dma::SelfTest, limits: LIMITS };
                Ring::scatter_gather(&mut bus, TABLE, entries, ENTRIES_MAX, RING_BYTES, true)
            }
        };
        let ring = ring.map_err(|error| io::Error::other(error.meaning()))?;
        Ok(Self { ram, ring, piece: vec![0; PIECE_BYTES as usize], effects })
    }

    /// The whole buffer out of guest memory, as for a render stream.
    pub fn read(&mut self) -> io::Result<()> {
        let Self { ram, ring, piece, effects } = self;
        let mut bus = Bus { memory: ram, effects, who: Dma::SelfTest, limits: LIMITS };
        for offset in (0..RING_BYTES).step_by(PIECE_BYTES as usize) {
            ring.read(&mut bus, offset, piece).map_err(|error| io::Error::other(error.meaning()))?;
            black_box(&mut *piece);
        }
        Ok(())
    }

    /// The whole buffer into guest memory, as for a capture stream.
    pub fn write(&mut self) -> io::Result<()> {
        let Self { ram, ring, piece, effects } = self;
        let mut bus = Bus { memory: ram, effects, who: Dma::SelfTest, limits: LIMITS };
        for offset in (0..RING_BYTES).step_by(PIECE_BYTES as usize) {
            let piece = black_box(&mut *piece);
            ring.write(&mut bus, offset, piece).map_err(|error| io::Error::other(error.meaning()))?;
        }
        Ok(())
    }
}

/// The same bytes in the same pieces, in memory of this process, in one piece.
pub struct Memcpy {
    from: Vec<u8>,
    piece: Vec<u8>,
}

impl Default for Memcpy {
    fn default() -> Self {
        Self::new()
    }
}

impl Memcpy {
    /// Makes the memory.
    pub fn new() -> Self {
        Self { from: vec![0x5A; RING_BYTES as usize], piece: vec![0; PIECE_BYTES as usize] }
    }

    /// Moves all of it once.
    pub fn pass(&mut self) {
        for from in self.from.chunks_exact(PIECE_BYTES as usize) {
            self.piece.copy_from_slice(black_box(from));
            black_box(&mut self.piece);
        }
    }

    /// Moves all of it once, `entry` bytes at a time and in the order of a buffer with such entries: what a walk that costs nothing
    /// would reach.
    fn pass_in_entries(&mut self, entry: u32) {
        let bytes = entry as usize;
        let mut order = shuffled(RING_BYTES / entry);
        for _ in (0..RING_BYTES).step_by(PIECE_BYTES as usize) {
            for (into, at) in self.piece.chunks_exact_mut(bytes).zip(&mut order) {
                let from = self.from.chunks_exact(bytes).nth(at as usize).unwrap_or_default();
                into.copy_from_slice(black_box(from));
            }
            black_box(&mut self.piece);
        }
    }
}

/// Every number below `count` (a power of two) once, and none beside its neighbour.
fn shuffled(count: u32) -> impl Iterator<Item = u32> {
    (0..count).map(move |number| number.wrapping_mul(37).wrapping_add(11) % count)
}

fn map(ram: &mut GuestRam, address: u64, bytes: u64, file: (std::fs::File, u64)) -> io::Result<()> {
    let request = MapRequest { address, bytes, readable: true, writable: true, file: Some(file) };
    ram.map(request).map_err(io::Error::other)
}

/// Bytes per nanosecond (so GB per second) of passes that move the buffer once each. By this thread's CPU time: what other processes
/// take from it is not counted.
fn speed(mut pass: impl FnMut() -> io::Result<()>) -> io::Result<f64> {
    let (begin, cpu) = (Instant::now(), cpu_time(libc::CLOCK_THREAD_CPUTIME_ID)?);
    let mut passes = 0_u32;
    while begin.elapsed() < ROUND {
        pass()?;
        passes += 1;
    }
    let cpu = cpu_time(libc::CLOCK_THREAD_CPUTIME_ID)?.saturating_sub(cpu).as_nanos().max(1);
    Ok(f64::from(passes) * f64::from(RING_BYTES) / cpu as f64)
}

/// Measures every case in both directions, each round between two of memcpy.
pub fn measure(_options: Options) -> Result<Vec<Row>, BenchError> {
    let mut memcpy = Memcpy::new();
    let mut rows = Vec::new();
    for entry in [4 << 10, 512, 64] {
        let mut pieces = Memcpy::new();
        let case = format!("memcpy, {entry} B at a time, not in order");
        rows.push(compare(case, &mut memcpy, || {
            pieces.pass_in_entries(entry);
            Ok(())
        })?);
    }
    for case in CASES {
        let mut walk = Walk::new(*case)?;
        rows.push(compare(format!("read, {}", case.name), &mut memcpy, || walk.read())?);
        rows.push(compare(format!("write, {}", case.name), &mut memcpy, || walk.write())?);
    }
    Ok(rows)
}

fn compare(case: String, memcpy: &mut Memcpy, mut pass: impl FnMut() -> io::Result<()>) -> io::Result<Row> {
    // The first touches are not measured.
    pass()?;
    let mut measured = Vec::new();
    for _ in 0..ROUNDS {
        let mut other = || {
            memcpy.pass();
            Ok(())
        };
        let before = speed(&mut other)?;
        let walked = speed(&mut pass)?;
        let after = speed(&mut other)?;
        measured.push((walked, walked / f64::midpoint(before, after)));
    }
    Ok(Row {
        figure: "dma",
        case,
        value: Spread::of(measured.iter().map(|(speed, _)| *speed)),
        unit: "GB/s",
        ratio: Some(Spread::of(measured.iter().map(|(_, ratio)| *ratio))),
        of: "memcpy of the same bytes",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_moves_the_whole_buffer() {
        for case in CASES {
            let mut walk = Walk::new(*case).unwrap();
            walk.read().unwrap();
            assert!(walk.piece.iter().all(|byte| *byte == 0x5A), "{}", case.name);
            walk.piece.fill(0xA5);
            walk.write().unwrap();
            walk.piece.fill(0);
            walk.read().unwrap();
            assert!(walk.piece.iter().all(|byte| *byte == 0xA5), "{}", case.name);
        }
    }
}
