//! Why a message is refused, in the specification's terms, with the errno that Linux' VFIO gives in that case; and why a client is cut off.

use rustix::io::Errno;

/// Why a message was refused. The client gets [`Refusal::errno`]; the connection goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// A number that no command has.
    #[error("no such command")]
    UnknownCommand,
    /// A command that the specification has and this server does not offer (migration, or one that only a server sends).
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
    /// More descriptors than [`crate::wire::MESSAGE_FDS_MAX`], or another number of them than the command takes.
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
    /// Mask or unmask where there is none.
    #[error("the interrupt cannot do this action")]
    IrqAction,
    /// An empty range, one beyond 2^64, or not of whole pages.
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
    /// What the client gets. Never 0, which QEMU takes for success.
    pub fn errno(self) -> Errno {
        match self {
            // vfio_pci_core_ioctl: the default of every switch; an action without a function; a feature that is not there.
            Self::UnknownCommand | Self::IrqAction | Self::Feature => Errno::NOTTY,
            Self::UnsupportedCommand => Errno::OPNOTSUPP,
            // "VFIO_USER_DMA_MAP": "must be failed by the server with EEXIST". vfio_dma_do_map says the same.
            Self::DmaExists => Errno::EXIST,
            // vfio_dma_do_map, when dma_avail is 0.
            Self::DmaTooMany => Errno::NOSPC,
            Self::Share(errno) | Self::Device(errno) => errno,
            _ => Errno::INVAL,
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
