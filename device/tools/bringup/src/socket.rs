//! The card over its vfio-user socket: no virtual machine, no kernel in between.

use std::io::ErrorKind;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::path::{Path, PathBuf};

use ringwave_regs::pci::{DEVICE, PAGES_BAR, PAGES_BYTES, REGISTERS_BAR, VENDOR};
use ringwave_vfio_user::wire::irq_set_flags;
use ringwave_vfio_user::wire::pci::{CONFIG_REGION, INTX_IRQ, MSI_IRQ};
use ringwave_vfio_user::{Client, ClientError, Mapping, RegionReply};
use rustix::fs::{SealFlags, fcntl_get_seals};
use vmm_sys_util::eventfd::EventFd;

use super::access::{Access, AccessError, CardAccess};
use super::config;
use super::memory::Memory;
use ringwave_audio::next_step;

/// A card on a socket.
pub struct Socket {
    path: PathBuf,
    client: Client,
    pages: Mapping,
    /// Why the conversation ended. A reply that came too late would be taken for the next one, so nothing is
    /// asked any more.
    lost: Option<String>,
}

/// Maps the pages, of a server that cannot cut their file short any more: a load from what is not there would
/// end this process (SIGBUS).
fn map_sealed(region: &RegionReply) -> Result<Mapping, ClientError> {
    let seals = region.fd.as_ref().and_then(|fd| fcntl_get_seals(fd).ok());
    if !seals.is_some_and(|seals| seals.contains(SealFlags::SHRINK)) {
        return Err(ClientError::Protocol("the file behind it can be cut short"));
    }
    region.map(0..=u64::from(PAGES_BYTES) - 1)
}

/// Vendor and device of a card that is not a Ringwave card by them.
fn other_card(client: &mut Client) -> Option<String> {
    let mut id = [0; 4];
    client.read(CONFIG_REGION, 0, &mut id).ok()?;
    let [vendor, device] = [[id[0], id[1]], [id[2], id[3]]].map(u16::from_le_bytes);
    ((vendor, device) != (VENDOR, DEVICE)).then(|| format!("{vendor:04x}:{device:04x}"))
}

impl Socket {
    /// Connects to the card that is served at `path`. The error is one line with what to do next.
    pub fn open(path: &Path) -> Result<Self, String> {
        let name = path.display();
        let mut client = Client::connect(path).map_err(|error| match error {
            ClientError::Io(error) if error.kind() == ErrorKind::TimedOut => {
                format!("{name}: no answer; another client (QEMU?) has the card, which takes one at a time")
            }
            ClientError::Io(error)
                if matches!(
                    error.kind(),
                    ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe
                ) =>
            {
                format!(
                    "{name}: whoever serves there hung up; a virtio card does, for it speaks vhost-user: \
                     qemu-scripts/linux plays through it"
                )
            }
            ClientError::Io(error) => {
                let first = format!("ringwave serve --socket {name}");
                format!("{name}: {}", next_step::connecting(&error, &first))
            }
            error => format!("{name}: {error}; is this a vfio-user socket?"),
        })?;
        let pages = client.region_info(PAGES_BAR).and_then(|region| map_sealed(&region));
        let pages = pages.map_err(|error| {
            let what = match other_card(&mut client) {
                Some(id) => format!(
                    "this card is {id}, and bringup walks the Ringwave card alone (which may be served with other ids)"
                ),
                None => "is this a Ringwave card?".to_owned(),
            };
            format!("{name}: BAR {PAGES_BAR} cannot be mapped: {error}; {what}")
        })?;
        Ok(Self { path: path.to_owned(), client, pages, lost: None })
    }

    /// Asks the card something.
    fn ask<T>(&mut self, ask: impl FnOnce(&mut Client) -> Result<T, ClientError>) -> Access<T> {
        if let Some(lost) = &self.lost {
            return Err(AccessError::Lost(lost.clone()));
        }
        ask(&mut self.client).map_err(|error| match error {
            ClientError::Refused { .. } => AccessError::Refused(error.to_string()),
            error => {
                let timed_out =
                    matches!(&error, ClientError::Io(error) if error.kind() == ErrorKind::TimedOut);
                let lost = if timed_out { "no answer within 5 s".to_owned() } else { error.to_string() };
                AccessError::Lost(self.lost.insert(lost).clone())
            }
        })
    }
}

impl CardAccess for Socket {
    fn name(&self) -> String {
        self.path.display().to_string()
    }

    fn own_configuration(&self) -> bool {
        true
    }

    fn config_read(&mut self, offset: u16, into: &mut [u8]) -> Access<()> {
        self.ask(|client| client.read(CONFIG_REGION, offset.into(), into))
    }

    fn config_write(&mut self, offset: u16, data: &[u8]) -> Access<()> {
        self.ask(|client| client.write(CONFIG_REGION, offset.into(), data))
    }

    fn read(&mut self, offset: u32, into: &mut [u8]) -> Access<()> {
        self.ask(|client| client.read(REGISTERS_BAR, offset.into(), into))
    }

    fn write(&mut self, offset: u32, data: &[u8]) -> Access<()> {
        self.ask(|client| client.write(REGISTERS_BAR, offset.into(), data))
    }

    fn page(&mut self, offset: u32) -> Access<u32> {
        let word = self.pages.read(offset as usize).map(u32::from_le);
        word.ok_or_else(|| AccessError::Refused(format!("BAR {PAGES_BAR} has no word at {offset:#x}")))
    }

    fn store_page(&mut self, offset: u32, value: u64) -> Access<()> {
        let stored = self.pages.write_wide(offset as usize, value.to_le());
        stored.ok_or_else(|| AccessError::Refused(format!("BAR {PAGES_BAR} has no 64 bits at {offset:#x}")))
    }

    fn map(&mut self, address: u64, memory: &Memory, offset: usize, bytes: usize) -> Access<()> {
        self.ask(|client| client.dma_map(address, bytes as u64, Some((memory.file(), offset as u64))))
    }

    fn unmap(&mut self, address: u64, bytes: usize) -> Access<()> {
        self.ask(|client| client.dma_unmap(address, bytes as u64))
    }

    fn map_own_pages(&mut self, address: u64) -> Access<()> {
        // As QEMU does it: a BAR is told without a descriptor.
        self.ask(|client| client.dma_map(address, PAGES_BYTES.into(), None))
    }

    fn connect_msi(&mut self, lines: &[&EventFd]) -> Access<u32> {
        self.disconnect()?;
        let count = u32::try_from(lines.len()).unwrap_or(u32::MAX).max(1);
        // SAFETY: each descriptor is its EventFd's, which lives as long as this call.
        let fds: Vec<_> =
            lines.iter().map(|line| unsafe { BorrowedFd::borrow_raw(line.as_raw_fd()) }).collect();
        self.ask(|client| client.connect_irqs(MSI_IRQ, 0, &fds))?;
        config::enable_msi(self, count.ilog2())
    }

    fn connect_intx(&mut self, line: &EventFd) -> Access<()> {
        self.disconnect()?;
        // SAFETY: the descriptor is the EventFd's, which lives as long as this call.
        let fd = unsafe { BorrowedFd::borrow_raw(line.as_raw_fd()) };
        self.ask(|client| client.connect_irqs(INTX_IRQ, 0, &[fd]))
    }

    fn unmask_intx(&mut self) -> Access<()> {
        let flags = irq_set_flags::DATA_NONE | irq_set_flags::ACTION_UNMASK;
        self.ask(|client| client.set_irqs(INTX_IRQ, flags, 0, 1, &[], &[]))
    }

    fn disconnect(&mut self) -> Access<()> {
        config::disable_msi(self)?;
        self.ask(|client| client.disable_irqs(MSI_IRQ))?;
        self.ask(|client| client.disable_irqs(INTX_IRQ))
    }

    fn reset(&mut self) -> Access<()> {
        self.ask(Client::reset)
    }
}
