//! What is on the wire: the header and the payloads, typed, in the byte order of the host ("Protocol
//! Specification").
//!
//! All structures can lie at any address and are read in place. Sizes and offsets are those of the
//! specification's tables, held by asserts.

use zerocopy::byteorder::native_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Length of a header in bytes ("Header").
pub const HEADER_BYTES: usize = 16;
/// The most data one access may carry, ours to announce ("Version", `max_data_xfer_size`; its default value).
pub const DATA_BYTES_MAX: u32 = 1 << 20;
/// The longest message that is read: a header, the fixed part of an access, and its data. All others are
/// shorter. libvfio-user has the same limit (`SERVER_MAX_MSG_SIZE`).
pub const MESSAGE_BYTES_MAX: u32 = DATA_BYTES_MAX + 32;
const _: () = assert!(size_of::<Header>() == HEADER_BYTES && HEADER_BYTES + size_of::<RegionAccess>() == 32);
const _: () = assert!(MULTI_WRITES_MAX * size_of::<MultiWrite>() as u64 + 24 < DATA_BYTES_MAX as u64);
/// The longest `VERSION` message that is read.
pub const VERSION_BYTES_MAX: u32 = 16 << 10;
/// The most descriptors one message may carry, ours to announce ("Version", `max_msg_fds`). QEMU takes no
/// more than 16, libvfio-user says 8.
pub const MESSAGE_FDS_MAX: u32 = 8;
/// The most maps at a time ("Version", `max_dma_maps`; its default value, and the kernel's
/// `dma_entry_limit`).
pub const DMA_MAPS_MAX: usize = 65_535;
/// The granularity of maps in bytes ("Version", `pgsizes`; its default value).
pub const PAGE_BYTES: u64 = 4096;
/// The most writes in one `REGION_WRITE_MULTI`. The specification has no bound; QEMU's queue is far below.
pub const MULTI_WRITES_MAX: u64 = 1024;
/// The protocol's major version.
pub const MAJOR: u16 = 0;
/// The highest minor version spoken here; every lower one is, too.
pub const MINOR: u16 = 1;

/// The commands ("Commands").
#[allow(missing_docs, reason = "the names are the specification's")]
pub mod command {
    pub const VERSION: u16 = 1;
    pub const DMA_MAP: u16 = 2;
    pub const DMA_UNMAP: u16 = 3;
    pub const DEVICE_GET_INFO: u16 = 4;
    pub const DEVICE_GET_REGION_INFO: u16 = 5;
    pub const DEVICE_GET_REGION_IO_FDS: u16 = 6;
    pub const DEVICE_GET_IRQ_INFO: u16 = 7;
    pub const DEVICE_SET_IRQS: u16 = 8;
    pub const REGION_READ: u16 = 9;
    pub const REGION_WRITE: u16 = 10;
    pub const DMA_READ: u16 = 11;
    pub const DMA_WRITE: u16 = 12;
    pub const DEVICE_RESET: u16 = 13;
    /// Was in drafts of the protocol, still has its number.
    pub const DIRTY_PAGES: u16 = 14;
    pub const REGION_WRITE_MULTI: u16 = 15;
    pub const DEVICE_FEATURE: u16 = 16;
    pub const MIG_DATA_READ: u16 = 17;
    pub const MIG_DATA_WRITE: u16 = 18;

    /// The name of a command, for people.
    pub fn name(command: u16) -> &'static str {
        match command {
            VERSION => "VERSION",
            DMA_MAP => "DMA_MAP",
            DMA_UNMAP => "DMA_UNMAP",
            DEVICE_GET_INFO => "DEVICE_GET_INFO",
            DEVICE_GET_REGION_INFO => "DEVICE_GET_REGION_INFO",
            DEVICE_GET_REGION_IO_FDS => "DEVICE_GET_REGION_IO_FDS",
            DEVICE_GET_IRQ_INFO => "DEVICE_GET_IRQ_INFO",
            DEVICE_SET_IRQS => "DEVICE_SET_IRQS",
            REGION_READ => "REGION_READ",
            REGION_WRITE => "REGION_WRITE",
            DMA_READ => "DMA_READ",
            DMA_WRITE => "DMA_WRITE",
            DEVICE_RESET => "DEVICE_RESET",
            DIRTY_PAGES => "DIRTY_PAGES",
            REGION_WRITE_MULTI => "REGION_WRITE_MULTI",
            DEVICE_FEATURE => "DEVICE_FEATURE",
            MIG_DATA_READ => "MIG_DATA_READ",
            MIG_DATA_WRITE => "MIG_DATA_WRITE",
            _ => "unknown command",
        }
    }
}

/// The indexes of a PCI device's regions and interrupts (`VFIO_PCI_*_INDEX`). BARs 0 to 5 are regions 0 to 5.
pub mod pci {
    /// The expansion ROM.
    pub const ROM_REGION: u32 = 6;
    /// Configuration space.
    pub const CONFIG_REGION: u32 = 7;
    /// VGA's legacy ranges.
    pub const VGA_REGION: u32 = 8;
    /// How many regions.
    pub const REGIONS: u32 = 9;
    /// The interrupt line.
    pub const INTX_IRQ: u32 = 0;
    /// MSI.
    pub const MSI_IRQ: u32 = 1;
    /// MSI-X.
    pub const MSIX_IRQ: u32 = 2;
    /// The device has failed.
    pub const ERR_IRQ: u32 = 3;
    /// The device is wanted back.
    pub const REQ_IRQ: u32 = 4;
    /// How many kinds of interrupts.
    pub const IRQS: u32 = 5;
}

/// Bits of [`Header::flags`] ("Header").
pub mod header_flags {
    /// The type of the message: four bits.
    pub const TYPE: u32 = 0xF;
    /// Type: a command.
    pub const COMMAND: u32 = 0;
    /// Type: the reply to a command.
    pub const REPLY: u32 = 1;
    /// A command that wants no reply.
    pub const NO_REPLY: u32 = 1 << 4;
    /// A reply to a command that was refused.
    pub const ERROR: u32 = 1 << 5;
}

/// Bits of [`DeviceInfo::flags`] (`VFIO_DEVICE_FLAGS_*`).
pub mod device_flags {
    /// `DEVICE_RESET` is supported.
    pub const RESET: u32 = 1 << 0;
    /// The device is a PCI device; regions and interrupts have PCI's indexes.
    pub const PCI: u32 = 1 << 1;
}

/// Bits of [`RegionInfo::flags`] (`VFIO_REGION_INFO_FLAG_*`).
pub mod region_flags {
    /// Can be read.
    pub const READ: u32 = 1 << 0;
    /// Can be written.
    pub const WRITE: u32 = 1 << 1;
    /// Can be mapped: a descriptor comes with the reply.
    pub const MMAP: u32 = 1 << 2;
    /// Capabilities follow.
    pub const CAPS: u32 = 1 << 3;
}

/// Bits of [`DmaMap::flags`]; the last two are libvfio-user's.
pub mod map_flags {
    /// The device may read.
    pub const READ: u32 = 1 << 0;
    /// The device may write.
    pub const WRITE: u32 = 1 << 1;
    /// Access by mapping the descriptor.
    pub const MMAP: u32 = 1 << 2;
    /// Access by reading and writing the descriptor.
    pub const FILE_IO: u32 = 1 << 3;
}

/// Bits of [`DmaUnmap::flags`] (`VFIO_DMA_UNMAP_FLAG_*`; the specification has them unused, QEMU and
/// libvfio-user send them).
pub mod unmap_flags {
    /// Wants the bitmap of dirty pages.
    pub const GET_DIRTY_BITMAP: u32 = 1 << 0;
    /// Everything; address and size are 0.
    pub const ALL: u32 = 1 << 1;
}

/// Bits of [`IrqInfo::flags`] (`VFIO_IRQ_INFO_*`).
pub mod irq_flags {
    /// Can signal an eventfd.
    pub const EVENTFD: u32 = 1 << 0;
    /// Can be masked and unmasked.
    pub const MASKABLE: u32 = 1 << 1;
    /// Masks itself when it was raised.
    pub const AUTOMASKED: u32 = 1 << 2;
    /// Is set up as a whole.
    pub const NORESIZE: u32 = 1 << 3;
}

/// Bits of [`IrqSet::flags`] (`VFIO_IRQ_SET_*`).
pub mod irq_set_flags {
    /// No data: the action is done at once.
    pub const DATA_NONE: u32 = 1 << 0;
    /// A byte for each interrupt says whether.
    pub const DATA_BOOL: u32 = 1 << 1;
    /// An eventfd for each interrupt.
    pub const DATA_EVENTFD: u32 = 1 << 2;
    /// Hold back.
    pub const ACTION_MASK: u32 = 1 << 3;
    /// Let through.
    pub const ACTION_UNMASK: u32 = 1 << 4;
    /// Raise.
    pub const ACTION_TRIGGER: u32 = 1 << 5;
    /// All bits that say what the data is.
    pub const DATA: u32 = DATA_NONE | DATA_BOOL | DATA_EVENTFD;
    /// All bits that say what to do.
    pub const ACTION: u32 = ACTION_MASK | ACTION_UNMASK | ACTION_TRIGGER;
}

/// Bits of [`Feature::flags`] (`VFIO_DEVICE_FEATURE_*`).
pub mod feature_flags {
    /// The number of the feature.
    pub const INDEX: u32 = 0xFFFF;
    /// Get its data.
    pub const GET: u32 = 1 << 16;
    /// Set its data.
    pub const SET: u32 = 1 << 17;
    /// Only ask whether it is there.
    pub const PROBE: u32 = 1 << 18;
}

/// `VFIO_REGION_INFO_CAP_SPARSE_MMAP`.
pub const CAP_SPARSE_MMAP: u16 = 1;

macro_rules! wire {
    ($(#[$doc:meta])* $name:ident, $bytes:literal { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[repr(C)]
        #[allow(missing_docs, reason = "the names are the specification's; what is not plain is said")]
        pub struct $name { $($(#[$field_doc])* pub $field: $type,)* }
        const _: () = assert!(size_of::<$name>() == $bytes);
    };
}

wire! {
    /// Before every message ("Header").
    Header, 16 {
        /// Echoed in the reply.
        id: U16,
        /// One of [`command`].
        command: U16,
        /// Length of the whole message in bytes, with this header.
        size: U32,
        /// [`header_flags`].
        flags: U32,
        /// In a reply with [`header_flags::ERROR`]: why.
        errno: U32,
    }
}
wire! {
    /// `VERSION`, both ways; JSON follows, with a NUL at its end.
    Version, 4 { major: U16, minor: U16, }
}
wire! {
    /// `DMA_MAP`.
    DmaMap, 32 { argsz: U32, flags: U32, offset: U64, address: U64, size: U64, }
}
wire! {
    /// `DMA_UNMAP`, both ways.
    DmaUnmap, 24 { argsz: U32, flags: U32, address: U64, size: U64, }
}
wire! {
    /// `DEVICE_GET_INFO`, both ways.
    DeviceInfo, 16 { argsz: U32, flags: U32, num_regions: U32, num_irqs: U32, }
}
wire! {
    /// `DEVICE_GET_REGION_INFO`, both ways (`struct vfio_region_info`).
    RegionInfo, 32 { argsz: U32, flags: U32, index: U32, cap_offset: U32, size: U64, offset: U64, }
}
wire! {
    /// Header of a capability ("VFIO cap header format") and the fixed part of the sparse mmap capability.
    SparseCap, 16 { id: U16, version: U16, next: U32, nr_areas: U32, reserved: U32, }
}
wire! {
    /// One area of the sparse mmap capability.
    SparseArea, 16 { offset: U64, size: U64, }
}
wire! {
    /// `DEVICE_GET_REGION_IO_FDS`, both ways; sub-regions follow in the reply.
    RegionIoFds, 16 { argsz: U32, flags: U32, index: U32, count: U32, }
}
wire! {
    /// `DEVICE_GET_IRQ_INFO`, both ways (`struct vfio_irq_info`).
    IrqInfo, 16 { argsz: U32, flags: U32, index: U32, count: U32, }
}
wire! {
    /// `DEVICE_SET_IRQS` (`struct vfio_irq_set`); one byte for each interrupt follows with
    /// [`irq_set_flags::DATA_BOOL`].
    IrqSet, 20 { argsz: U32, flags: U32, index: U32, start: U32, count: U32, }
}
wire! {
    /// `REGION_READ` and `REGION_WRITE`, both ways; data follows in a write and in the reply to a read.
    RegionAccess, 16 { offset: U64, region: U32, count: U32, }
}
wire! {
    /// `REGION_WRITE_MULTI`, both ways; [`MultiWrite`]s follow in the request.
    MultiCount, 8 { count: U64, }
}
wire! {
    /// One write of `REGION_WRITE_MULTI` ("Single Device Write Format").
    MultiWrite, 24 { offset: U64, region: U32, count: U32, data: [u8; 8], }
}
wire! {
    /// `DEVICE_FEATURE`, both ways; data follows.
    Feature, 8 { argsz: U32, flags: U32, }
}

impl Header {
    /// The header of a command with `payload` bytes after it.
    ///
    /// A length that does not fit 32 bits is said as the longest: no peer takes it.
    pub fn command(id: u16, command: u16, payload: usize) -> Self {
        let size = u32::try_from(payload.saturating_add(HEADER_BYTES)).unwrap_or(u32::MAX);
        Self { id: id.into(), command: command.into(), size: size.into(), ..Self::default() }
    }

    /// The type of the message, one of [`header_flags::COMMAND`], [`header_flags::REPLY`], or something that
    /// is neither.
    pub fn kind(&self) -> u32 {
        self.flags.get() & header_flags::TYPE
    }
}
