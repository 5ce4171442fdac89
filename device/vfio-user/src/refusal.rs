//! Why a message is refused, in the specification's terms, with the errno that Linux' VFIO gives in that
//! case; and why a client is cut off.
//!
//! Where the kernel's own versions differ, the errno is the one that libvfio-user's server gives, too. Two
//! are known: a range that goes beyond 2^64 (EINVAL; a patch to `vfio_dma_do_map` and `vfio_dma_do_unmap`
//! makes it EOVERFLOW, and which kernels have it was not looked up), and a region's end within an access
//! (EINVAL; `vfio_pci_bar_rw` shortens the access, `is_valid_region_access` of libvfio-user refuses it).

use rustix::io::Errno;

/// Why a message was refused. The client gets [`Refusal::errno`]; the connection goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// A number that no command has.
    #[error("no such command")]
    UnknownCommand,
    /// A command that the specification has and this server does not offer (migration, or one that only a
    /// server sends).
    #[error("the command is not supported")]
    UnsupportedCommand,
    /// The type in the header is neither command nor reply.
    #[error("neither a command nor a reply")]
    Type,
    /// The payload is shorter, or longer, than the command and its counts say.
    #[error("the payload has the wrong length")]
    PayloadLength,
    /// `argsz` is less than the fixed part.
    #[error("argsz is too small")]
    Argsz,
    /// More descriptors than [`crate::wire::MESSAGE_FDS_MAX`], or another number of them than the command
    /// takes.
    #[error("the wrong number of file descriptors")]
    Descriptors,
    /// A descriptor that is no eventfd.
    #[error("a file descriptor is not an eventfd")]
    NotAnEventfd,
    /// Bits that mean nothing here, or contradict each other.
    #[error("flags that are unknown or contradict each other")]
    Flags,
    /// A second `VERSION`, or something other than `VERSION` first.
    #[error("VERSION is the first message, and only that")]
    Order,
    /// `VERSION` with another major version.
    #[error("another major version")]
    Major,
    /// `VERSION` with data that is not the JSON it should be.
    #[error("malformed version data")]
    VersionData,
    /// No such region.
    #[error("no such region")]
    RegionIndex,
    /// Part of the access is outside of the region.
    #[error("outside of the region")]
    RegionBounds,
    /// The region cannot be read, or not written.
    #[error("the region does not allow this access")]
    RegionAccess,
    /// More data than was agreed on.
    #[error("more data than max_data_xfer_size")]
    DataSize,
    /// More writes than [`crate::wire::MULTI_WRITES_MAX`], or one of none or more than 8 bytes.
    #[error("writes that cannot be in one message")]
    MultiWrites,
    /// No such kind of interrupt.
    #[error("no such interrupt index")]
    IrqIndex,
    /// Numbers that the kind of interrupt does not have.
    #[error("interrupt numbers out of range")]
    IrqRange,
    /// An action that the kind of interrupt does not have, none, or two at once.
    #[error("the interrupt cannot do this action")]
    IrqAction,
    /// An empty range, one beyond 2^64, or not of whole pages; or memory to be mapped that does not begin at
    /// a page of its file.
    #[error("the range is empty, goes beyond 2^64, or is not of whole pages")]
    DmaRange,
    /// Part of it is mapped.
    #[error("part of the range is mapped already")]
    DmaExists,
    /// An unmap that would leave a part of a map.
    #[error("the range would cut a map in two")]
    DmaBisects,
    /// More than [`crate::wire::DMA_MAPS_MAX`] maps.
    #[error("too many maps")]
    DmaTooMany,
    /// A feature that is not there. None is.
    #[error("no such feature")]
    Feature,
    /// The device cannot be reset.
    #[error("the device has no reset")]
    NoReset,
    /// A descriptor of ours could not be passed on.
    #[error("a file descriptor could not be passed on: {0}")]
    Share(Errno),
    /// The device said no.
    #[error("the device refuses it: {0}")]
    Device(Errno),
}

impl Refusal {
    /// What the client gets. Never 0: "it may be zero even if the Error bit is set" ("Header"), but QEMU
    /// takes 0 for success.
    #[allow(clippy::match_same_arms, reason = "one arm for each source")]
    pub fn errno(self) -> Errno {
        match self {
            // vfio_pci_core_ioctl and vfio_iommu_type1_ioctl: what is not among their cases, whether or not
            // somebody else has it.
            Self::UnknownCommand | Self::UnsupportedCommand => Errno::NOTTY,
            // vfio_pci_set_irqs_ioctl: there is no function for the action.
            Self::IrqAction => Errno::NOTTY,
            // vfio_pci_core_ioctl_feature, and each feature of migration without migration.
            Self::Feature => Errno::NOTTY,
            // "VFIO_USER_DMA_MAP": "must be failed by the server with EEXIST". vfio_dma_do_map.
            Self::DmaExists => Errno::EXIST,
            // vfio_dma_do_map, when dma_avail is 0.
            Self::DmaTooMany => Errno::NOSPC,
            Self::Share(errno) | Self::Device(errno) => errno,
            // The kernel has no messages, and no opening: EINVAL as from libvfio-user (is_valid_header,
            // recv_version).
            Self::Type
            | Self::PayloadLength
            | Self::Descriptors
            | Self::Order
            | Self::Major
            | Self::VersionData
            | Self::DataSize
            | Self::MultiWrites => Errno::INVAL,
            // argsz below minsz: every ioctl of VFIO.
            Self::Argsz => Errno::INVAL,
            // vfio_set_irqs_validate_and_prepare, vfio_dma_do_map, vfio_iommu_type1_unmap_dma,
            // vfio_ioctl_device_feature.
            Self::Flags => Errno::INVAL,
            // vfio_pci_ioctl_get_region_info, vfio_pci_rw (index; a write to the ROM), vfio_pci_bar_rw.
            Self::RegionIndex | Self::RegionBounds | Self::RegionAccess => Errno::INVAL,
            // vfio_pci_ioctl_get_irq_info, vfio_set_irqs_validate_and_prepare; eventfd_ctx_fileget.
            Self::IrqIndex | Self::IrqRange | Self::NotAnEventfd => Errno::INVAL,
            // vfio_dma_do_map, vfio_dma_do_unmap.
            Self::DmaRange | Self::DmaBisects => Errno::INVAL,
            // vfio_pci_ioctl_reset, when reset_works is not set.
            Self::NoReset => Errno::INVAL,
        }
    }
}

/// Why a client was cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CloseReason {
    /// The message's size is less than that of a header: where the next message begins cannot be known.
    #[error("a message of {0} bytes is shorter than its header")]
    SizeTooSmall(u32),
    /// The message's size is more than any message needs ([`crate::wire::MESSAGE_BYTES_MAX`]).
    #[error("a message of {0} bytes is longer than any may be")]
    SizeTooLarge(u32),
    /// No agreement on a version ("Version").
    #[error("no agreement on a version: {0}")]
    Version(Refusal),
}
