//! Maps and unmaps of the client's memory.

use std::os::fd::OwnedFd;

use zerocopy::IntoBytes;

use super::{Answer, Session, argsz, fixed};
use crate::device::{Device, DmaAccess, DmaMap};
use crate::maps::addresses;
use crate::refusal::Refusal;
use crate::wire::{self, PAGE_BYTES, map_flags, unmap_flags};

impl Session {
    /// "`VFIO_USER_DMA_MAP`", with at most one descriptor; with none the map is taken and its memory is
    /// [`DmaAccess::Unreachable`].
    ///
    /// The checks are those of `vfio_dma_do_map`, with the place in the file for the kernel's `vaddr`. A map
    /// that is there already, exactly, is EEXIST as well; libvfio-user lets it pass, and no client is known
    /// to need that.
    pub(super) fn dma_map(
        &mut self,
        device: &mut impl Device,
        payload: &[u8],
        mut fds: Vec<OwnedFd>,
    ) -> Result<Answer, Refusal> {
        let (asked, _) = fixed::<wire::DmaMap>(payload)?;
        argsz::<wire::DmaMap>(asked.argsz.get())?;
        if fds.len() > 1 {
            return Err(Refusal::Descriptors);
        }
        let flags = asked.flags.get();
        let (address, size, offset) = (asked.address.get(), asked.size.get(), asked.offset.get());
        let access = access(flags, fds.pop(), offset)?;
        let range = addresses(address, size)?;
        let mapped = matches!(access, DmaAccess::Map { .. });
        if offset.checked_add(size).is_none() || mapped && !offset.is_multiple_of(PAGE_BYTES) {
            return Err(Refusal::DmaRange);
        }
        self.maps.check(&range)?;
        let (read, write) = (flags & map_flags::READ != 0, flags & map_flags::WRITE != 0);
        device.dma_map(DmaMap { address, size, read, write, access }).map_err(Refusal::Device)?;
        self.maps.insert(&range);
        Ok(Answer::of(&[]))
    }

    /// "`VFIO_USER_DMA_UNMAP`", as lenient as the kernel: a range may hold any number of maps, and none, but
    /// not a part of one (`vfio_dma_do_unmap`). Dirty pages are not tracked, and asking for them is refused.
    ///
    /// The specification wants "exactly a previous mapping" and has no flags, and libvfio-user's server says
    /// ENOENT to anything else; but QEMU sends ranges that hold many maps or none. The reply is "the original
    /// DMA entry in the request": the kernel would put the number of bytes that were unmapped in `size`.
    pub(super) fn dma_unmap(&mut self, device: &mut impl Device, payload: &[u8]) -> Result<Answer, Refusal> {
        let (asked, _) = fixed::<wire::DmaUnmap>(payload)?;
        argsz::<wire::DmaUnmap>(asked.argsz.get())?;
        let range = match asked.flags.get() {
            0 => addresses(asked.address.get(), asked.size.get())?,
            unmap_flags::ALL if asked.address.get() == 0 && asked.size.get() == 0 => 0..=u64::MAX,
            unmap_flags::ALL => return Err(Refusal::DmaRange),
            _ => return Err(Refusal::Flags),
        };
        if self.maps.remove(&range)? != 0 {
            device.dma_unmap(range);
        }
        Ok(Answer::of(&[asked.as_bytes()]))
    }
}

/// How the memory is reached, from the flags and the descriptor. Without libvfio-user's flags a descriptor is
/// there to be mapped.
fn access(flags: u32, fd: Option<OwnedFd>, offset: u64) -> Result<DmaAccess, Refusal> {
    let known = map_flags::READ | map_flags::WRITE | map_flags::MMAP | map_flags::FILE_IO;
    if flags & !known != 0 || flags & (map_flags::READ | map_flags::WRITE) == 0 {
        return Err(Refusal::Flags);
    }
    match (flags & (map_flags::MMAP | map_flags::FILE_IO), fd) {
        (0, None) => Ok(DmaAccess::Unreachable),
        (0 | map_flags::MMAP, Some(fd)) => Ok(DmaAccess::Map { fd, offset }),
        (map_flags::FILE_IO, Some(fd)) => Ok(DmaAccess::FileIo { fd, offset }),
        (map_flags::MMAP | map_flags::FILE_IO, None) => Err(Refusal::Descriptors),
        _ => Err(Refusal::Flags),
    }
}
