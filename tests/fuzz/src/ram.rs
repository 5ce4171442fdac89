//! Guest RAM twice: the card's own [`GuestRam`] over a real memfd, and a table of pages that is too simple to
//! be wrong. Every access of the card goes to both, and both must agree on the bytes and on the refusal.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::OnceLock;

use arbitrary::Arbitrary;
use ringwave_guest_memory::guest_ram::{GuestRam, MapError, MapRequest};
use ringwave_guest_memory::{GuestMemory, MemoryFault};
use rustix::fs::{MemfdFlags, SealFlags};

/// Bytes of a page.
pub const PAGE: u64 = 4096;
/// Pages of the file behind all maps.
pub const FILE_PAGES: u64 = 16;
const FILE_BYTES: usize = (FILE_PAGES * PAGE) as usize;
/// Where guests of these targets have memory: low, around 4 GiB, around 2^40, at the very top. 16 pages each.
const AREAS: [u64; 4] = [0x10_0000, 0xFFFF_8000, 0xFF_FFFF_8000, 0xFFFF_FFFF_FFFF_0000];

/// One of [`AREAS`], more often the first, so that addresses and maps meet.
fn area(number: u8) -> u64 {
    AREAS[usize::from(number).saturating_sub(0xC0) % AREAS.len()]
}

/// A guest physical address near memory.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub struct GuestAddress {
    area: u8,
    offset: u16,
}

impl GuestAddress {
    /// The address.
    pub fn address(self) -> u64 {
        area(self.area).wrapping_add(self.offset.into())
    }

    /// The address, where a slot can be. A few stay misaligned.
    pub fn slot(self) -> u64 {
        if self.offset < 0xFF00 { self.address() & !15 } else { self.address() }
    }
}

/// What a client maps.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub struct MapSpec {
    area: u8,
    /// First page in the area (low half), and how many more pages (high half).
    pages: u8,
    /// First page in the file.
    file: u8,
    /// 0 and 1: no descriptor or not readable; 2: read only; else everything.
    how: u8,
}

/// What the second opinion knows of a page.
#[derive(Clone, Copy)]
struct Page {
    file: u64,
    read: bool,
    write: bool,
    memory: bool,
}

/// One access that the card made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Touch {
    /// First address.
    pub address: u64,
    /// Length.
    pub bytes: u64,
    /// It was a store.
    pub write: bool,
}

/// Guest RAM.
pub struct Ram {
    real: GuestRam,
    pages: BTreeMap<u64, Page>,
    contents: RefCell<Vec<u8>>,
    file: &'static File,
    /// What the card read and stored since this was last taken.
    pub touched: RefCell<Vec<Touch>>,
    /// Calls of any kind, and bytes, since these were last taken.
    pub accesses: Cell<u64>,
    /// See `accesses`.
    pub bytes: Cell<u64>,
    /// Whether the card may touch anything at all.
    pub bus_master: Cell<bool>,
}

/// The two files: one that cannot be cut short, and one that can (the card reads them differently).
fn files() -> &'static [File; 2] {
    static FILES: OnceLock<[File; 2]> = OnceLock::new();
    FILES.get_or_init(|| {
        [true, false].map(|sealed| {
            let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
            let file = File::from(rustix::fs::memfd_create("guest", flags).expect("a memfd"));
            file.set_len(FILE_BYTES as u64).expect("room");
            if sealed {
                rustix::fs::fcntl_add_seals(&file, SealFlags::SHRINK | SealFlags::GROW).expect("seals");
            }
            file
        })
    })
}

/// What guest RAM holds before anybody writes to it: never 0, and no two bytes that are near each other
/// alike.
pub fn pattern(offset: u64) -> u8 {
    (offset.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8 | 1
}

impl Ram {
    /// No maps yet.
    pub fn new(sealed: bool) -> Self {
        static PATTERN: OnceLock<Vec<u8>> = OnceLock::new();
        let contents = PATTERN.get_or_init(|| (0..FILE_BYTES as u64).map(pattern).collect());
        let file = &files()[usize::from(!sealed)];
        file.write_all_at(contents, 0).expect("a memfd takes it");
        Self {
            real: GuestRam::default(),
            pages: BTreeMap::new(),
            contents: RefCell::new(contents.clone()),
            file,
            touched: RefCell::default(),
            accesses: Cell::new(0),
            bytes: Cell::new(0),
            bus_master: Cell::new(false),
        }
    }

    /// `DMA_MAP`.
    pub fn map(&mut self, spec: MapSpec) {
        let base = area(spec.area);
        let first = base.wrapping_add(u64::from(spec.pages & 15) * PAGE);
        let file = u64::from(spec.file) % FILE_PAGES;
        let room = FILE_PAGES - file;
        let count = (u64::from(spec.pages >> 4) + 1).min(room);
        let memory = spec.how != 0;
        let (read, write) = (spec.how != 1, spec.how > 2);
        let request = MapRequest {
            address: first,
            bytes: count * PAGE,
            readable: read,
            writable: write,
            file: memory.then(|| (self.file.try_clone().expect("a descriptor"), file * PAGE)),
        };
        let fits = first.checked_add(count * PAGE - 1).is_some();
        let numbers = || (0..count).map(|page| first / PAGE + page);
        let free = fits && numbers().all(|number| !self.pages.contains_key(&number));
        let result = self.real.map(request);
        assert_eq!(result.is_ok(), free, "{result:?}");
        assert_eq!(result == Err(MapError::Range), !fits);
        if free {
            for (page, number) in numbers().enumerate() {
                self.pages.insert(number, Page { file: file + page as u64, read, write, memory });
            }
        }
    }

    /// `DMA_UNMAP` of some pages of an area: as much of them as is mapped.
    pub fn unmap(&mut self, number: u8, pages: u8) {
        let first = area(number).wrapping_add(u64::from(pages & 15) * PAGE);
        let count = u64::from(pages >> 4) + 1;
        self.real.unmap(first, count * PAGE);
        self.pages.retain(|&number, _| !(first / PAGE..first / PAGE + count).contains(&number));
    }

    /// `DMA_UNMAP` of everything.
    pub fn unmap_all(&mut self) {
        self.real.unmap_all();
        self.pages.clear();
    }

    /// What the guest itself stores; where it has no memory, nothing.
    pub fn poke(&self, address: u64, bytes: &[u8]) {
        for (at, length) in spans(address, bytes.len()) {
            let Some(offset) = self.file_offset(address.wrapping_add(at as u64), |page| page.memory) else {
                continue;
            };
            let bytes = &bytes[at..at + length];
            self.contents.borrow_mut()[offset..offset + length].copy_from_slice(bytes);
            self.file.write_all_at(bytes, offset as u64).expect("a memfd takes it");
        }
    }

    /// The byte at `address`, if the card may load it (with `write`: also store to it).
    pub fn byte(&self, address: u64, write: bool) -> Option<u8> {
        let offset = self.file_offset(address, |page| page.memory && page.read && (page.write || !write))?;
        Some(self.contents.borrow()[offset])
    }

    /// Whether two addresses are one byte of memory.
    pub fn same_byte(&self, one: u64, other: u64) -> bool {
        let file_offset = |address| self.file_offset(address, |page| page.memory);
        file_offset(one).is_some() && file_offset(one) == file_offset(other)
    }

    fn file_offset(&self, address: u64, may: impl Fn(&Page) -> bool) -> Option<usize> {
        let page = self.pages.get(&(address / PAGE)).filter(|page| may(page))?;
        Some((page.file * PAGE + address % PAGE) as usize)
    }

    /// Whether the second opinion lets the card at all of a range. A range that goes beyond 2^64 is nowhere.
    fn reachable(&self, address: u64, bytes: u64, write: bool) -> bool {
        let Some(last) = address.checked_add(bytes.saturating_sub(1)) else { return false };
        (address / PAGE..=last / PAGE).all(|number| self.byte(number * PAGE, write).is_some())
    }

    fn count(&self, address: u64, bytes: usize, write: bool) {
        assert!(self.bus_master.get(), "the card touches memory with Bus Master Enable off");
        self.touched.borrow_mut().push(Touch { address, bytes: bytes as u64, write });
        self.bytes.set(self.bytes.get() + bytes as u64);
    }

    /// Both opinions hold the same bytes, mapped or not.
    pub fn check_contents(&self) {
        let mut there = vec![0; FILE_BYTES];
        self.file.read_exact_at(&mut there, 0).expect("a memfd gives it");
        assert!(there == *self.contents.borrow(), "the card changed memory that it was not to change");
    }

    fn access(&self) {
        self.accesses.set(self.accesses.get() + 1);
    }
}

/// A range, cut at the ends of pages: offset in the range and length of each part.
fn spans(address: u64, bytes: usize) -> impl Iterator<Item = (usize, usize)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = bytes - at;
        let in_page = PAGE - address.wrapping_add(at as u64) % PAGE;
        let length = rest.min(in_page as usize);
        let span = (at, length);
        at += length;
        (length != 0).then_some(span)
    })
}

impl GuestMemory for Ram {
    fn read(&self, address: u64, into: &mut [u8]) -> Result<(), MemoryFault> {
        self.access();
        assert!(!into.is_empty());
        let result = self.real.read(address, into);
        assert_eq!(result.is_ok(), self.reachable(address, into.len() as u64, false), "read {address:#x}");
        if result.is_ok() {
            self.count(address, into.len(), false);
            for (at, length) in spans(address, into.len()) {
                let offset = self.file_offset(address + at as u64, |_| true).expect("reachable");
                assert_eq!(into[at..at + length], self.contents.borrow()[offset..offset + length]);
            }
        }
        result
    }

    fn write(&self, address: u64, from: &[u8]) -> Result<(), MemoryFault> {
        self.access();
        let result = self.real.write(address, from);
        assert_eq!(result.is_ok(), self.reachable(address, from.len() as u64, true), "write {address:#x}");
        if result.is_ok() {
            self.count(address, from.len(), true);
            for (at, length) in spans(address, from.len()) {
                let offset = self.file_offset(address + at as u64, |_| true).expect("reachable");
                self.contents.borrow_mut()[offset..offset + length].copy_from_slice(&from[at..at + length]);
            }
        }
        result
    }

    fn check(&self, address: u64, bytes: u64, write: bool) -> Result<(), MemoryFault> {
        self.access();
        let result = self.real.check(address, bytes, write);
        // A range of this card is at most a cyclic buffer long, so looking at each page is cheap.
        assert!(bytes <= ringwave_regs::global::RING_BYTES_MAX_VALUE.into());
        assert_eq!(result.is_ok(), self.reachable(address, bytes, write), "check {address:#x}, {bytes}");
        result
    }
}
