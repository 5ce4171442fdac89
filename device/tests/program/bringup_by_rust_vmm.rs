//! The bring-up by a second client that is not ours and not QEMU: rust-vmm's `vfio_user`, which is what
//! cloud-hypervisor drives a `--user-device` with. Its messages, its order at connecting, its ways with
//! descriptors.
//!
//! Two things it cannot do: it does not look at the error of a reply, and it maps nothing without a
//! descriptor.

use std::os::fd::{AsFd, AsRawFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use crate::serving::Serving;
use ringwave_bringup::access::{Access, AccessError, CardAccess};
use ringwave_bringup::bringup::Choices;
use ringwave_bringup::config;
use ringwave_bringup::memory::{Mapped, Memory};
use ringwave_bringup::report::{Outcome, Report};
use ringwave_bringup::steps::STEPS;
use ringwave_regs::pci::{DEVICE, PAGES_BAR, PAGES_BYTES, REGISTERS_BAR, VENDOR};
use vfio_bindings::bindings::vfio::{
    VFIO_IRQ_SET_ACTION_TRIGGER, VFIO_IRQ_SET_ACTION_UNMASK, VFIO_IRQ_SET_DATA_EVENTFD,
    VFIO_IRQ_SET_DATA_NONE, VFIO_PCI_CONFIG_REGION_INDEX, VFIO_PCI_INTX_IRQ_INDEX, VFIO_PCI_MSI_IRQ_INDEX,
};
use vfio_user::Client;
use vmm_sys_util::eventfd::EventFd;

/// Twenty times what the walk takes. The client has no limit of its own.
const PATIENCE: Duration = Duration::from_mins(2);

/// A card on a socket, by rust-vmm's client.
struct RustVmm {
    path: PathBuf,
    client: Client,
    pages: Mapped,
}

/// An error of the client ends the conversation.
#[allow(clippy::needless_pass_by_value, reason = "it is given to map_err")]
fn lost(error: vfio_user::Error) -> AccessError {
    AccessError::Lost(error.to_string())
}

impl RustVmm {
    fn open(path: &Path) -> Self {
        let client = Client::new(path).unwrap();
        let file = client.region(PAGES_BAR).unwrap().file_offset.as_ref().unwrap();
        let pages = Mapped::new(file.file().as_fd(), file.start(), PAGES_BYTES as usize).unwrap();
        Self { path: path.to_owned(), client, pages }
    }

    /// Connects messages or the line to eventfds, or with none disconnects them.
    fn set_irqs(&mut self, index: u32, lines: &[&EventFd]) -> Access<()> {
        let fds: Vec<_> = lines.iter().map(|line| line.as_raw_fd()).collect();
        let data = if fds.is_empty() { VFIO_IRQ_SET_DATA_NONE } else { VFIO_IRQ_SET_DATA_EVENTFD };
        let count = u32::try_from(fds.len()).unwrap();
        self.client.set_irqs(index, data | VFIO_IRQ_SET_ACTION_TRIGGER, 0, count, &fds).map_err(lost)
    }
}

impl CardAccess for RustVmm {
    fn name(&self) -> String {
        self.path.display().to_string()
    }

    fn own_configuration(&self) -> bool {
        true
    }

    fn config_read(&mut self, offset: u16, into: &mut [u8]) -> Access<()> {
        self.client.region_read(VFIO_PCI_CONFIG_REGION_INDEX, offset.into(), into).map_err(lost)
    }

    fn config_write(&mut self, offset: u16, data: &[u8]) -> Access<()> {
        self.client.region_write(VFIO_PCI_CONFIG_REGION_INDEX, offset.into(), data).map_err(lost)
    }

    fn read(&mut self, offset: u32, into: &mut [u8]) -> Access<()> {
        self.client.region_read(REGISTERS_BAR, offset.into(), into).map_err(lost)
    }

    fn write(&mut self, offset: u32, data: &[u8]) -> Access<()> {
        self.client.region_write(REGISTERS_BAR, offset.into(), data).map_err(lost)
    }

    fn page(&mut self, offset: u32) -> Access<u32> {
        Ok(u32::from_le(self.pages.word(offset as usize).unwrap().load(Ordering::Acquire)))
    }

    fn store_page(&mut self, offset: u32, value: u64) -> Access<()> {
        self.pages.wide(offset as usize).unwrap().store(value.to_le(), Ordering::Release);
        Ok(())
    }

    fn map(&mut self, address: u64, memory: &Memory, offset: usize, bytes: usize) -> Access<()> {
        let file = memory.file().as_raw_fd();
        self.client.dma_map(offset as u64, address, bytes as u64, file).map_err(lost)
    }

    fn unmap(&mut self, address: u64, bytes: usize) -> Access<()> {
        self.client.dma_unmap(address, bytes as u64).map_err(lost)
    }

    fn map_own_pages(&mut self, _: u64) -> Access<()> {
        Err(AccessError::Refused("this client maps nothing without a descriptor".to_owned()))
    }

    fn connect_msi(&mut self, lines: &[&EventFd]) -> Access<u32> {
        self.disconnect()?;
        self.set_irqs(VFIO_PCI_MSI_IRQ_INDEX, lines)?;
        config::enable_msi(self, u32::try_from(lines.len()).unwrap().max(1).ilog2())
    }

    fn connect_intx(&mut self, line: &EventFd) -> Access<()> {
        self.disconnect()?;
        self.set_irqs(VFIO_PCI_INTX_IRQ_INDEX, &[line])
    }

    fn unmask_intx(&mut self) -> Access<()> {
        let flags = VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_UNMASK;
        self.client.set_irqs(VFIO_PCI_INTX_IRQ_INDEX, flags, 0, 1, &[]).map_err(lost)
    }

    fn disconnect(&mut self) -> Access<()> {
        config::disable_msi(self)?;
        self.set_irqs(VFIO_PCI_MSI_IRQ_INDEX, &[])?;
        self.set_irqs(VFIO_PCI_INTX_IRQ_INDEX, &[])
    }

    fn reset(&mut self) -> Access<()> {
        self.client.reset().map_err(lost)
    }
}

/// The whole walk, on a thread of its own, for the client waits for ever.
fn walk(socket: PathBuf) -> Report {
    let (send, receive) = mpsc::channel();
    std::thread::spawn(move || {
        let mut card = RustVmm::open(&socket);
        let choices = Choices { identity: (VENDOR, DEVICE), tone: Duration::from_millis(200) };
        let steps: Vec<_> = STEPS.iter().collect();
        let each = |step: &ringwave_bringup::report::StepReport| eprintln!("{step}");
        let _ = send.send(ringwave_bringup::run(&mut card, &steps, choices, &AtomicBool::new(false), each));
    });
    receive.recv_timeout(PATIENCE).expect("the walk ends").unwrap()
}

#[test]
fn the_client_of_cloud_hypervisor_walks_the_card() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("card.sock");
    let _serving = Serving::start(dir.path(), &[]);
    let report = walk(socket);
    assert_eq!(report.outcome, Outcome::Ok, "{}", report.summary());
    let skipped: Vec<_> = report.steps.iter().filter(|step| step.outcome != Outcome::Ok).collect();
    assert!(skipped.is_empty() && report.steps.len() == STEPS.len(), "{skipped:?}");
}
