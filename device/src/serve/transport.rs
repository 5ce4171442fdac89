//! The card as a vfio-user device: what `ringwave-vfio-user` has checked becomes calls of [`Card`].
//!
//! The server has seen to sizes, ranges, flags and descriptors; here is what is particular to this card: its regions, its interrupts, and what
//! it cannot do.

use std::ops::RangeInclusive;
use std::os::fd::BorrowedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use ringwave_regs::pci::{PAGES_BAR, PAGES_BYTES, REGISTERS_BAR, REGISTERS_BYTES};
use ringwave_vfio_user::pci::{Controls, PowerState};
use ringwave_vfio_user::wire::{irq_flags, pci};
use ringwave_vfio_user::{
    Area, ClientEnd, Device, DmaAccess, DmaMap, Errno, IrqAction, IrqChange, IrqInfo, MappedRegion,
    RegionInfo, Stop, accept, serve_client,
};

use super::ServeError;
use super::interrupts::LineRequest;
use crate::card::Card;
use crate::pci::layout::CONFIG_BYTES;
use ringwave_guest_memory::guest_ram::{MapError, MapRequest};
use ringwave_vfio_user::Listener;

/// Waits for a client and serves it until it leaves or `stop` is stopped.
pub fn one_client(card: &Arc<Card>, socket: &Listener, stop: &Stop) -> Result<(), ServeError> {
    let Some(client) = accept(socket.socket(), stop).map_err(ServeError::Accept)? else { return Ok(()) };
    card.client_came();
    let mut function = Function::new(Arc::clone(card));
    match catch_unwind(AssertUnwindSafe(|| serve_client(&client, &mut function, stop))) {
        Ok(ClientEnd::Left | ClientEnd::Stopped) => {}
        Ok(end) => log::warn!("{end}"),
        // A defect of the card. It costs this client its connection, and nobody else anything.
        Err(_) => log::error!("a message of the client could not be handled; the client is cut off"),
    }
    Ok(())
}

/// The card as the server wants it.
pub struct Function(Arc<Card>);

impl Function {
    /// The function that is `card`.
    pub fn new(card: Arc<Card>) -> Self {
        Self(card)
    }
}

impl Device for Function {
    fn region(&self, index: u32) -> RegionInfo<'_> {
        let (size, mapped) = match index {
            REGISTERS_BAR => (u64::from(REGISTERS_BYTES), None),
            PAGES_BAR => {
                // SAFETY: the page BAR is the card's, and the card lives as long as `self`.
                let fd = unsafe { BorrowedFd::borrow_raw(self.0.pages_fd()) };
                let areas = vec![Area { offset: 0, size: u64::from(PAGES_BYTES) }];
                (u64::from(PAGES_BYTES), Some(MappedRegion { fd, offset: 0, areas }))
            }
            pci::CONFIG_REGION => (CONFIG_BYTES as u64, None),
            _ => (0, None),
        };
        // Writable although only the card writes the pages: QEMU dies of a guest's store to a BAR that it mapped read-only.
        RegionInfo { size, read: size != 0, write: size != 0, mapped }
    }

    fn irq(&self, index: u32) -> IrqInfo {
        let (count, flags) = match index {
            pci::INTX_IRQ => (1, irq_flags::EVENTFD | irq_flags::MASKABLE | irq_flags::AUTOMASKED),
            pci::MSI_IRQ => (self.0.msi_messages(), irq_flags::EVENTFD | irq_flags::NORESIZE),
            // Never raised; QEMU warns when it is not there.
            pci::ERR_IRQ => (1, irq_flags::EVENTFD),
            // No MSI-X: QEMU aborts when a device with it is unplugged.
            _ => (0, 0),
        };
        IrqInfo { count, flags }
    }

    fn region_read(&mut self, region: u32, offset: u64, data: &mut [u8]) -> Result<(), Errno> {
        match region {
            REGISTERS_BAR => self.0.read_registers(offset, data),
            PAGES_BAR => self.0.read_pages(offset, data),
            pci::CONFIG_REGION => self.0.read_config(offset, data),
            _ => return Err(Errno::INVAL),
        }
        log::trace!("read region {region} {offset:#x} {:02x?}", shown(data));
        Ok(())
    }

    fn region_write(&mut self, region: u32, offset: u64, data: &[u8]) -> Result<(), Errno> {
        log::trace!("write region {region} {offset:#x} {:02x?}", shown(data));
        match region {
            REGISTERS_BAR => self.0.write_registers(offset, data),
            PAGES_BAR => self.0.write_pages(offset, data),
            pci::CONFIG_REGION => self.0.write_config(offset, data),
            _ => return Err(Errno::INVAL),
        }
        Ok(())
    }

    fn dma_map(&mut self, map: DmaMap) -> Result<(), Errno> {
        let DmaMap { address, size, read, write, access } = map;
        log::debug!("DMA_MAP {size:#x} bytes at {address:#x}, to read: {read}, to write: {write}");
        let file = match access {
            DmaAccess::Unreachable => None,
            DmaAccess::Map { fd, offset } => Some((fd.into(), offset)),
            // The card's DMA is through mappings only.
            DmaAccess::FileIo { .. } => return Err(Errno::OPNOTSUPP),
        };
        let request = MapRequest { address, bytes: size, readable: read, writable: write, file };
        self.0.map(request).map_err(|error| {
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
        let (first, last) = addresses.into_inner();
        match last.saturating_sub(first).checked_add(1) {
            Some(bytes) => self.0.unmap(first, bytes),
            None => self.0.unmap_all(),
        }
    }

    fn set_irqs(&mut self, index: u32, change: IrqChange<'_>) -> Result<(), Errno> {
        log::debug!("SET_IRQS {index} {}", change.name());
        let requests = line_requests(change)?;
        for request in requests {
            match index {
                pci::INTX_IRQ => self.0.set_intx(request),
                pci::MSI_IRQ => self.0.set_msi(request),
                _ => self.0.set_other_interrupt(),
            }
        }
        Ok(())
    }

    fn reset(&mut self) -> Result<(), Errno> {
        log::debug!("DEVICE_RESET");
        self.0.reset();
        Ok(())
    }

    fn pci_controls(&self) -> Controls {
        self.0.pci_controls()
    }

    fn function_level_reset(&mut self) {
        log::debug!("function-level reset");
        self.0.function_level_reset();
    }

    fn power_state(&mut self, state: PowerState) {
        log::debug!("power state {}", state.name());
        self.0.set_d3hot(state == PowerState::D3hot);
    }

    /// Whoever serves this function calls [`Card::client_left`], which tells whether the client was one at all.
    fn client_left(&mut self) {}
}

/// What the log shows of an access, which may be as long as a region.
fn shown(data: &[u8]) -> &[u8] {
    data.get(..16).unwrap_or(data)
}

/// What a change means for the lines, one after the other.
fn line_requests(change: IrqChange<'_>) -> Result<Vec<LineRequest>, Errno> {
    Ok(match change {
        IrqChange::Disable => vec![LineRequest::Disconnect],
        IrqChange::Assign { action: IrqAction::Trigger, start, fds } => {
            let fds: Vec<_> = fds.into_iter().map(Into::into).collect();
            let count = u32::try_from(fds.len()).map_err(|_| Errno::INVAL)?;
            vec![LineRequest::Connect { start, count, fds }]
        }
        IrqChange::Deassign { action: IrqAction::Trigger, vectors } => {
            vec![LineRequest::Connect { start: vectors.start(), count: vectors.count(), fds: Vec::new() }]
        }
        // An eventfd that unmasks is what QEMU wants for INTx with KVM; told that there is none, it unmasks with messages.
        IrqChange::Assign { .. } => return Err(Errno::NOTTY),
        IrqChange::Deassign { .. } => Vec::new(),
        IrqChange::Act { action, vectors } => {
            let line = |number| match action {
                IrqAction::Trigger => LineRequest::Trigger { start: number, count: 1 },
                IrqAction::Mask => LineRequest::Mask,
                IrqAction::Unmask => LineRequest::Unmask,
            };
            vectors.iter().map(line).collect()
        }
    })
}
