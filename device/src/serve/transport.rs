//! The crate `vfio_user`, and nothing but it: messages in, calls of [`Card`] out. To be replaced by a server loop of our own; nothing
//! outside of this file knows the crate.
//!
//! What the crate does and how it is dealt with here:
//! * it answers an error of the backend with "error, errno 0", which QEMU takes for success. So nothing here fails that a client could ask
//!   in good faith; memory that cannot be used is remembered as not accessible;
//! * it panics on a malformed VERSION: the panic ends that client, and the card is reset as for any that leaves;
//! * its `UNMAP_ALL` is the wrong bit: the flags are read as numbers;
//! * a read of any length is passed on with a buffer of that length: what is beyond [`ACCESS_MAX`] is refused.

use std::fs::File;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use ringwave_regs::pci::{PAGES_BAR, PAGES_BYTES, REGISTERS_BAR, REGISTERS_BYTES};
use vfio_bindings::bindings::vfio::{
    VFIO_IRQ_INFO_AUTOMASKED, VFIO_IRQ_INFO_EVENTFD, VFIO_IRQ_INFO_MASKABLE, VFIO_IRQ_INFO_NORESIZE,
    VFIO_IRQ_SET_ACTION_MASK, VFIO_IRQ_SET_ACTION_TRIGGER, VFIO_IRQ_SET_ACTION_UNMASK,
    VFIO_IRQ_SET_DATA_EVENTFD, VFIO_PCI_CONFIG_REGION_INDEX, VFIO_PCI_ERR_IRQ_INDEX, VFIO_PCI_INTX_IRQ_INDEX,
    VFIO_PCI_MSI_IRQ_INDEX, VFIO_PCI_NUM_IRQS, VFIO_PCI_NUM_REGIONS, VFIO_REGION_INFO_FLAG_MMAP,
    VFIO_REGION_INFO_FLAG_READ, VFIO_REGION_INFO_FLAG_WRITE, vfio_region_info, vfio_region_sparse_mmap_area,
};
use vfio_user::{DmaMapFlags, DmaUnmapFlags, IrqInfo, Server, ServerBackend, ServerRegion, SparseArea};

use super::ServeError;
use super::guest_ram::MapRequest;
use super::interrupts::LineRequest;
use super::socket::Socket;
use crate::card::Card;
use crate::pci::layout::CONFIG_BYTES;

/// The longest access: QEMU reads configuration space whole, and nothing longer.
const ACCESS_MAX: usize = CONFIG_BYTES;
/// `VFIO_USER_F_DMA_UNMAP_ALL`: bit 1 in the protocol.
const UNMAP_ALL: u32 = 1 << 1;

/// Waits for a client and serves it until it leaves.
pub fn one_client(card: &Arc<Card>, socket: &Socket) -> Result<(), ServeError> {
    let listener = socket.listener().try_clone().map_err(ServeError::Accept)?;
    let server = Server::from_owned_fd(listener.into(), true, interrupts(card), regions(card));
    let mut backend = Backend(Arc::clone(card));
    match catch_unwind(AssertUnwindSafe(|| server.run(&mut backend))) {
        Ok(Err(vfio_user::Error::SocketAccept(error))) => Err(ServeError::Accept(error)),
        Ok(Err(error)) => {
            log::info!("the client's connection broke: {error}");
            Ok(())
        }
        Ok(Ok(())) => Ok(()),
        Err(_) => {
            log::error!("a message of the client could not be handled; the client is cut off");
            Ok(())
        }
    }
}

fn regions(card: &Card) -> Vec<ServerRegion> {
    let read_write = VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE;
    let region = |index| {
        let (bytes, flags) = match index {
            REGISTERS_BAR => (u64::from(REGISTERS_BYTES), read_write),
            // Mapped writable: QEMU dies of a guest's store to a BAR that it mapped read-only.
            PAGES_BAR => (u64::from(PAGES_BYTES), read_write | VFIO_REGION_INFO_FLAG_MMAP),
            VFIO_PCI_CONFIG_REGION_INDEX => (CONFIG_BYTES as u64, read_write),
            _ => (0, 0),
        };
        let mapped = flags & VFIO_REGION_INFO_FLAG_MMAP != 0;
        let area = vfio_region_sparse_mmap_area { offset: 0, size: bytes };
        ServerRegion {
            region_info: vfio_region_info {
                argsz: u32::try_from(size_of::<vfio_region_info>()).unwrap_or(0),
                flags,
                index,
                cap_offset: 0,
                size: bytes,
                offset: 0,
            },
            sparse_areas: if mapped { vec![SparseArea { area }] } else { Vec::new() },
            mmap_fd: mapped.then(|| card.pages_fd()),
        }
    };
    (0..VFIO_PCI_NUM_REGIONS).map(region).collect()
}

fn interrupts(card: &Card) -> Vec<IrqInfo> {
    let interrupt = |index| {
        let (flags, count) = match index {
            VFIO_PCI_INTX_IRQ_INDEX => {
                (VFIO_IRQ_INFO_EVENTFD | VFIO_IRQ_INFO_MASKABLE | VFIO_IRQ_INFO_AUTOMASKED, 1)
            }
            VFIO_PCI_MSI_IRQ_INDEX => (VFIO_IRQ_INFO_EVENTFD | VFIO_IRQ_INFO_NORESIZE, card.msi_messages()),
            // Never raised; QEMU warns when it is not there.
            VFIO_PCI_ERR_IRQ_INDEX => (VFIO_IRQ_INFO_EVENTFD, 1),
            // No MSI-X: QEMU aborts when a device with it is unplugged.
            _ => (0, 0),
        };
        IrqInfo { index, flags, count }
    };
    (0..VFIO_PCI_NUM_IRQS).map(interrupt).collect()
}

/// The card as the crate wants it.
struct Backend(Arc<Card>);

fn refused(why: &'static str) -> io::Error {
    log::warn!("message refused: {why}");
    io::Error::new(io::ErrorKind::InvalidInput, why)
}

impl ServerBackend for Backend {
    fn region_read(&mut self, region: u32, offset: u64, data: &mut [u8]) -> io::Result<()> {
        if data.len() > ACCESS_MAX {
            return Err(refused("an access longer than configuration space"));
        }
        match region {
            REGISTERS_BAR => self.0.read_registers(offset, data),
            PAGES_BAR => self.0.read_pages(offset, data),
            VFIO_PCI_CONFIG_REGION_INDEX => self.0.read_config(offset, data),
            _ => data.fill(0xFF),
        }
        log::trace!("read region {region} {offset:#x} {data:02x?}");
        Ok(())
    }

    fn region_write(&mut self, region: u32, offset: u64, data: &[u8]) -> io::Result<()> {
        log::trace!("write region {region} {offset:#x} {data:02x?}");
        if data.len() > ACCESS_MAX {
            return Err(refused("an access longer than configuration space"));
        }
        match region {
            REGISTERS_BAR => self.0.write_registers(offset, data),
            PAGES_BAR => self.0.write_pages(offset, data),
            VFIO_PCI_CONFIG_REGION_INDEX => self.0.write_config(offset, data),
            _ => {}
        }
        Ok(())
    }

    fn dma_map(
        &mut self,
        flags: DmaMapFlags,
        offset: u64,
        address: u64,
        size: u64,
        fd: Option<File>,
    ) -> io::Result<()> {
        log::debug!("DMA_MAP {size:#x} bytes at {address:#x}, {flags:?}, file {fd:?} from {offset:#x}");
        let (readable, writable) = (flags.contains(DmaMapFlags::READ), flags.contains(DmaMapFlags::WRITE));
        let file = fd.map(|fd| (fd, offset));
        let request = MapRequest { address, bytes: size, readable, writable, file };
        self.0.map(request).map_err(|error| {
            log::warn!("DMA_MAP of {size:#x} bytes at {address:#x} refused: {error}");
            io::Error::other(error)
        })
    }

    fn dma_unmap(&mut self, flags: DmaUnmapFlags, address: u64, size: u64) -> io::Result<()> {
        log::debug!("DMA_UNMAP {size:#x} bytes at {address:#x}, flags {:#x}", flags.bits());
        if flags.bits() & UNMAP_ALL != 0 {
            self.0.unmap_all();
        } else {
            self.0.unmap(address, size);
        }
        Ok(())
    }

    fn reset(&mut self) -> io::Result<()> {
        log::debug!("DEVICE_RESET");
        self.0.reset();
        Ok(())
    }

    fn set_irqs(&mut self, index: u32, flags: u32, start: u32, count: u32, fds: Vec<File>) -> io::Result<()> {
        log::debug!("SET_IRQS {index}, flags {flags:#x}, {count} from {start}, {} eventfds", fds.len());
        let request = if flags & VFIO_IRQ_SET_ACTION_MASK != 0 {
            LineRequest::Mask
        } else if flags & VFIO_IRQ_SET_ACTION_UNMASK != 0 {
            LineRequest::Unmask
        } else if flags & VFIO_IRQ_SET_ACTION_TRIGGER == 0 {
            return Err(refused("an interrupt action that does not exist"));
        } else if flags & VFIO_IRQ_SET_DATA_EVENTFD != 0 {
            LineRequest::Connect { start, count, fds }
        } else if count == 0 {
            LineRequest::Disconnect
        } else {
            LineRequest::Trigger { start, count }
        };
        match index {
            VFIO_PCI_INTX_IRQ_INDEX => self.0.set_intx(request),
            VFIO_PCI_MSI_IRQ_INDEX => self.0.set_msi(request),
            _ => self.0.set_other_interrupt(),
        }
        Ok(())
    }
}
