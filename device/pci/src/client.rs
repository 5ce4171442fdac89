//! A function as the vfio-user server wants it: what a message says becomes a [`Request`].
//!
//! The server has seen to sizes, ranges, flags and descriptors; here is what is particular to a PCI function.

use std::ops::RangeInclusive;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use ringwave_guest_memory::guest_ram::{MapError, MapRequest};
use ringwave_vfio_user::wire::{irq_flags, pci};
use ringwave_vfio_user::{
    Area, Device, DmaAccess, DmaMap, Errno, IrqAction, IrqChange, IrqInfo, MappedRegion, RegionInfo,
};

use crate::config::layout::CONFIG_BYTES;
use crate::function::{IrqKind, Region, Request};

/// What a client sees of a BAR.
#[derive(Clone, Copy, Debug)]
pub struct Bar<'a> {
    /// Its size in bytes.
    pub bytes: u32,
    /// The memory that the client maps; `None` = every access is a message.
    pub mapped: Option<BorrowedFd<'a>>,
}

/// Who has the function, behind a lock, and takes requests for it.
pub trait Requests {
    /// A BAR, if it is there.
    fn bar(&self, index: u32) -> Option<Bar<'_>>;
    /// MSI messages that the function offers.
    fn messages(&self) -> u32;
    /// Does what is asked. Only [`Request::Map`] can fail.
    fn request(&self, request: Request<'_>) -> Result<(), MapError>;
}

impl<T: Requests + ?Sized> Requests for Arc<T> {
    fn bar(&self, index: u32) -> Option<Bar<'_>> {
        (**self).bar(index)
    }

    fn messages(&self) -> u32 {
        (**self).messages()
    }

    fn request(&self, request: Request<'_>) -> Result<(), MapError> {
        (**self).request(request)
    }
}

/// The function as a vfio-user device.
pub struct VfioFunction<R>(R);

impl<R: Requests> VfioFunction<R> {
    /// The function that `requests` has.
    pub fn new(requests: R) -> Self {
        Self(requests)
    }

    fn request(&self, request: Request<'_>) {
        // Only a map can fail.
        let _ = self.0.request(request);
    }

    /// The region with this index, if it has messages.
    fn find(&self, index: u32) -> Result<Region, Errno> {
        match index {
            pci::CONFIG_REGION => Ok(Region::Config),
            _ => self.0.bar(index).map(|_| Region::Bar(index)).ok_or(Errno::INVAL),
        }
    }
}

impl<R: Requests> Device for VfioFunction<R> {
    fn region(&self, index: u32) -> RegionInfo<'_> {
        if index == pci::CONFIG_REGION {
            return RegionInfo { size: CONFIG_BYTES as u64, read: true, write: true, mapped: None };
        }
        let Some(bar) = self.0.bar(index) else { return RegionInfo::default() };
        let size = u64::from(bar.bytes);
        let mapped =
            bar.mapped.map(|fd| MappedRegion { fd, offset: 0, areas: vec![Area { offset: 0, size }] });
        // Writable also where only the card stores: QEMU dies of a guest's store to a BAR that it mapped
        // read-only.
        RegionInfo { size, read: true, write: true, mapped }
    }

    fn irq(&self, index: u32) -> IrqInfo {
        let (count, flags) = match index {
            pci::INTX_IRQ => (1, irq_flags::EVENTFD | irq_flags::MASKABLE | irq_flags::AUTOMASKED),
            pci::MSI_IRQ => (self.0.messages(), irq_flags::EVENTFD | irq_flags::NORESIZE),
            // Never raised; QEMU warns when it is not there.
            pci::ERR_IRQ => (1, irq_flags::EVENTFD),
            // No MSI-X: QEMU aborts when a device with it is unplugged.
            _ => (0, 0),
        };
        IrqInfo { count, flags }
    }

    fn region_read(&mut self, region: u32, offset: u64, data: &mut [u8]) -> Result<(), Errno> {
        let found = self.find(region)?;
        self.request(Request::Read { region: found, offset, data });
        log::trace!("read region {region} {offset:#x} {:02x?}", shown(data));
        Ok(())
    }

    fn region_write(&mut self, region: u32, offset: u64, data: &[u8]) -> Result<(), Errno> {
        log::trace!("write region {region} {offset:#x} {:02x?}", shown(data));
        let found = self.find(region)?;
        self.request(Request::Write { region: found, offset, data });
        Ok(())
    }

    fn dma_map(&mut self, map: DmaMap) -> Result<(), Errno> {
        let DmaMap { address, size, read, write, access } = map;
        log::debug!("DMA_MAP {size:#x} bytes at {address:#x}, to read: {read}, to write: {write}");
        let file = match access {
            DmaAccess::Unreachable => None,
            DmaAccess::Map { fd, offset } => Some((fd.into(), offset)),
            // DMA is through mappings only.
            DmaAccess::FileIo { .. } => return Err(Errno::OPNOTSUPP),
        };
        let request = MapRequest { address, bytes: size, readable: read, writable: write, file };
        self.0.request(Request::Map(request)).map_err(|error| {
            // That it was refused the session says, as often as is good for a log.
            log::debug!("DMA_MAP of {size:#x} bytes at {address:#x} refused: {error}");
            match error {
                MapError::Range => Errno::INVAL,
                MapError::Overlap => Errno::EXIST,
                MapError::TooMany => Errno::NOSPC,
            }
        })
    }

    fn dma_unmap(&mut self, addresses: RangeInclusive<u64>) {
        log::debug!("DMA_UNMAP {:#x} to {:#x}", addresses.start(), addresses.end());
        let (address, last) = addresses.into_inner();
        self.request(match last.saturating_sub(address).checked_add(1) {
            Some(bytes) => Request::Unmap { address, bytes },
            None => Request::UnmapAll,
        });
    }

    fn set_irqs(&mut self, index: u32, change: IrqChange<'_>) -> Result<(), Errno> {
        log::debug!("SET_IRQS {index} {}", change.name());
        let kind = match index {
            pci::INTX_IRQ => IrqKind::Intx,
            pci::MSI_IRQ => IrqKind::Msi,
            _ => IrqKind::Other,
        };
        match change {
            IrqChange::Assign { action: IrqAction::Mask | IrqAction::Unmask, .. } => {
                // An eventfd that unmasks is what QEMU wants for INTx with KVM; told that there is none, it
                // unmasks with messages.
                return Err(Errno::NOTTY);
            }
            IrqChange::Deassign { action: IrqAction::Mask | IrqAction::Unmask, .. } => {}
            change => self.request(Request::SetIrqs { kind, change }),
        }
        Ok(())
    }

    fn reset(&mut self) -> Result<(), Errno> {
        log::debug!("DEVICE_RESET");
        self.request(Request::Reset);
        Ok(())
    }

    /// Whoever serves this function has to do what this means, and knows whether the client was one at all.
    fn client_left(&mut self) {}
}

/// What the log shows of an access, which may be as long as a region.
fn shown(data: &[u8]) -> &[u8] {
    data.get(..16).unwrap_or(data)
}
