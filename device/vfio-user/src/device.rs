//! What a device is to this crate: its regions and interrupts, and what happens when a client touches them.

use std::ops::RangeInclusive;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::io::Errno;

use crate::pci::{Controls, PowerState};
use crate::wire::pci;

/// A device. Calls come from one thread, in the order of the client's messages, and a client waits for each:
/// none may block.
///
/// Everything a call gets has been checked against what [`Device::region`] and [`Device::irq`] say. An error
/// becomes the errno of the reply; an [`Errno`] is never 0, which QEMU would take for success.
pub trait Device {
    /// Whether regions and interrupts have PCI's indexes (`VFIO_DEVICE_FLAGS_PCI`).
    fn is_pci(&self) -> bool {
        true
    }

    /// How many regions there are. PCI has 9: BARs 0 to 5, the expansion ROM, configuration space (7), VGA.
    fn regions(&self) -> u32 {
        pci::REGIONS
    }

    /// How many kinds of interrupts there are. PCI has 5: INTx, MSI, MSI-X, error, request.
    fn irqs(&self) -> u32 {
        pci::IRQS
    }

    /// The region `index`, below [`Device::regions`]. One that is not there has size 0.
    fn region(&self, index: u32) -> RegionInfo<'_>;

    /// The kind of interrupt `index`, below [`Device::irqs`]. One that is not there has count 0.
    fn irq(&self, index: u32) -> IrqInfo;

    /// A load ("`VFIO_USER_REGION_READ`"): fills `data` with what is at `offset`. `data` is not empty and
    /// within the region.
    fn region_read(&mut self, region: u32, offset: u64, data: &mut [u8]) -> Result<(), Errno>;

    /// A store ("`VFIO_USER_REGION_WRITE`"). `data` is not empty and within the region.
    fn region_write(&mut self, region: u32, offset: u64, data: &[u8]) -> Result<(), Errno>;

    /// The client lets the device reach memory ("`VFIO_USER_DMA_MAP`"). The range is mapped nowhere else.
    fn dma_map(&mut self, map: DmaMap) -> Result<(), Errno> {
        drop(map);
        Ok(())
    }

    /// Takes back every map that lies in `addresses` ("`VFIO_USER_DMA_UNMAP`"); no map lies there in part.
    /// When this returns the device does not touch them any more.
    fn dma_unmap(&mut self, addresses: RangeInclusive<u64>) {
        let _ = addresses;
    }

    /// What the client asks of the interrupts of kind `index` ("`VFIO_USER_DEVICE_SET_IRQS`"). Numbers are in
    /// range.
    fn set_irqs(&mut self, index: u32, change: IrqChange<'_>) -> Result<(), Errno>;

    /// Whether there is a reset (`VFIO_DEVICE_FLAGS_RESET`).
    fn can_reset(&self) -> bool {
        true
    }

    /// "`VFIO_USER_DEVICE_RESET`". Maps and eventfds stay; a PCI function is in D0 afterwards.
    fn reset(&mut self) -> Result<(), Errno>;

    /// Where a PCI function's controls are in region [`pci::CONFIG_REGION`]: [`Controls::find`] finds them.
    /// With none, the device hears of writes to configuration space only as [`Device::region_write`].
    fn pci_controls(&self) -> Controls {
        Controls::default()
    }

    /// A function-level reset: Initiate Function Level Reset was written to configuration space. Called once,
    /// after the write, and before it is answered. Maps and eventfds stay; the function is in D0 afterwards.
    /// A device that does not say otherwise is reset as by [`Device::reset`].
    fn function_level_reset(&mut self) {
        let _ = self.reset();
    }

    /// The function goes to another power state: a state that it has, and is not in, was written to PMCSR.
    /// Called once, after the write, and before it is answered. What a function without `No_Soft_Reset` loses
    /// on the way from D3hot to D0 is its own business.
    fn power_state(&mut self, state: PowerState) {
        let _ = state;
    }

    /// The client has left, in whatever way. Every map and eventfd of it is to be dropped, and the device is
    /// to be as after power-on.
    ///
    /// "Client Disconnection" asks for the first and wants the state kept, for a client that comes back. None
    /// does: QEMU starts with `DEVICE_RESET`, and the next client may be somebody else, whom the last one's
    /// state is no business of.
    fn client_left(&mut self);
}

/// What a region is.
#[derive(Clone, Debug, Default)]
pub struct RegionInfo<'a> {
    /// Length in bytes; 0 = not there.
    pub size: u64,
    /// Can be read.
    pub read: bool,
    /// Can be written.
    pub write: bool,
    /// Can be mapped by the client, which then reads and writes it without a message.
    pub mapped: Option<MappedRegion<'a>>,
}

/// How a region is mapped.
#[derive(Clone, Debug)]
pub struct MappedRegion<'a> {
    /// The memory. The client can do to it what the descriptor and its seals allow.
    pub fd: BorrowedFd<'a>,
    /// Where the region begins in it, in bytes.
    pub offset: u64,
    /// The parts that may be mapped ("VFIO sparse mmap cap header"); none = all of it, which is told as one
    /// part. At most 1,024 are told.
    pub areas: Vec<Area>,
}

/// A part of a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Area {
    /// Its first byte in the region.
    pub offset: u64,
    /// Its length in bytes.
    pub size: u64,
}

/// What a kind of interrupt is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IrqInfo {
    /// How many there are; 0 = the kind is not there.
    pub count: u32,
    /// [`crate::wire::irq_flags`]. `MASK` and `UNMASK` are refused without `MASKABLE`, eventfds without
    /// `EVENTFD`.
    pub flags: u32,
}

/// Memory that the client lets the device reach.
#[derive(Debug)]
pub struct DmaMap {
    /// First address, a multiple of 4,096.
    pub address: u64,
    /// Length in bytes, a multiple of 4,096, not 0; at most up to 2^64 with the address.
    pub size: u64,
    /// The device may read it.
    pub read: bool,
    /// The device may write it.
    pub write: bool,
    /// How to get at it.
    pub access: DmaAccess,
}

/// How the device gets at a map's memory.
#[derive(Debug)]
pub enum DmaAccess {
    /// Not at all: the client shares no memory there (ROMs, a BAR), or has RAM that is not shared.
    Unreachable,
    /// By mapping the descriptor from `offset` on. The client can be lying about its length, or truncate it
    /// later.
    Map {
        /// The memory.
        fd: OwnedFd,
        /// Where the map begins in it, in bytes: a multiple of 4,096 (but of no larger page that the file may
        /// have).
        offset: u64,
    },
    /// By reading and writing the descriptor from `offset` on (libvfio-user's `FILE_IO`).
    FileIo {
        /// The memory.
        fd: OwnedFd,
        /// Where the map begins in it, in bytes.
        offset: u64,
    },
}

/// What is done to an interrupt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IrqAction {
    /// Held back.
    Mask,
    /// Let through.
    Unmask,
    /// Raised.
    Trigger,
}

/// What a client asks of the interrupts of one kind.
#[derive(Debug)]
pub enum IrqChange<'a> {
    /// None of them any more; all eventfds are dropped.
    Disable,
    /// From `start` on, one eventfd after the other is to be signalled when `action` happens. In place of
    /// those that were there.
    Assign {
        /// When.
        action: IrqAction,
        /// The first number.
        start: u32,
        /// Eventfds, at least one. They may be blocking: a device that signals with a lock held makes them
        /// non-blocking first.
        fds: Vec<OwnedFd>,
    },
    /// No eventfd any more for `action` with these numbers.
    Deassign {
        /// For what.
        action: IrqAction,
        /// The numbers.
        vectors: Vectors<'a>,
    },
    /// `action` is to happen now with these numbers.
    Act {
        /// What.
        action: IrqAction,
        /// The numbers.
        vectors: Vectors<'a>,
    },
}

impl IrqChange<'_> {
    /// What the client wants, for a log.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Disable => "disable",
            Self::Assign { .. } => "assign eventfds",
            Self::Deassign { .. } => "take eventfds away",
            Self::Act { .. } => "act now",
        }
    }
}

/// Numbers of interrupts: a range, or those of it that are marked.
#[derive(Clone, Copy, Debug)]
pub struct Vectors<'a> {
    pub(crate) start: u32,
    pub(crate) count: u32,
    pub(crate) marked: Option<&'a [u8]>,
}

impl<'a> Vectors<'a> {
    /// All of `count` numbers from `start` on.
    pub const fn range(start: u32, count: u32) -> Self {
        Self { start, count, marked: None }
    }

    /// The first number of the range, marked or not.
    pub fn start(&self) -> u32 {
        self.start
    }

    /// The length of the range.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// The numbers that are meant.
    pub fn iter(&self) -> impl Iterator<Item = u32> + use<'a> {
        let marked = self.marked;
        (self.start..self.start.saturating_add(self.count)).enumerate().filter_map(move |(place, number)| {
            let meant = marked.is_none_or(|marks| marks.get(place).is_some_and(|mark| *mark != 0));
            meant.then_some(number)
        })
    }
}
