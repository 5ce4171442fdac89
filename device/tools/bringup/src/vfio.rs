//! The card through the kernel's VFIO: in a Linux guest with a vIOMMU, or on a host. The card's process may
//! be on the other side of a QEMU.
//!
//! A function that is unplugged while its pages are looked at ends the tool with SIGBUS: the kernel takes the
//! mapping away.
//!
//! Uses the type 1 container (`/dev/vfio/vfio`, `/dev/vfio/GROUP`), which every kernel with VFIO has, or
//! emulates on iommufd.

use std::fs::File;
use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ringwave_regs::pci::{PAGES_BAR, PAGES_BYTES, REGISTERS_BAR};
use ringwave_vfio_user::wire::pci::{CONFIG_REGION, INTX_IRQ, MSI_IRQ};
use rustix::io::Errno;
use vfio_ioctls::{VfioContainer, VfioDevice, VfioError};
use vmm_sys_util::eventfd::EventFd;

use super::access::{Access, AccessError, CardAccess};
use super::memory::{Mapped, Memory};

/// A card that is bound to the kernel's vfio-pci.
pub struct Vfio {
    address: String,
    sysfs: PathBuf,
    container: Arc<VfioContainer>,
    device: ManuallyDrop<VfioDevice>,
    /// The device's descriptor again, to read and write regions with: the crate's own calls only log what
    /// goes wrong.
    file: ManuallyDrop<File>,
    pages: ManuallyDrop<Mapped>,
    connected: Option<u32>,
}

impl Vfio {
    /// Opens the function at `address` (bus, device, function), whose vendor and device must be `identity`:
    /// anything else is not even opened. The error is one line with what to do next.
    pub fn open(address: &str, identity: (u16, u16)) -> Result<Self, String> {
        let address = normalize(address)?;
        let sysfs = Path::new("/sys/bus/pci/devices").join(&address);
        check_function(&address, &sysfs, identity)?;
        let container = VfioContainer::new(None).map_err(|error| explain(&address, &error))?;
        let container = Arc::new(container);
        let device = VfioDevice::new(&sysfs, Arc::<VfioContainer>::clone(&container), true);
        let device = device.map_err(|error| explain(&address, &error))?;
        // SAFETY: the descriptor is the device's, which lives as long as this borrow.
        let file = unsafe { BorrowedFd::borrow_raw(device.as_raw_fd()) }.try_clone_to_owned();
        let file = File::from(file.map_err(|error| format!("{address}: {error}"))?);
        let pages = Mapped::new(file.as_fd(), device.get_region_offset(PAGES_BAR), PAGES_BYTES as usize)
            .map_err(|error| {
                format!("{address}: BAR {PAGES_BAR} cannot be mapped: {error}; is this a Ringwave card?")
            })?;
        Ok(Self {
            address,
            sysfs,
            container,
            device: ManuallyDrop::new(device),
            file: ManuallyDrop::new(file),
            pages: ManuallyDrop::new(pages),
            connected: None,
        })
    }

    fn bar_offset(&self, region: u32, offset: u32, bytes: usize) -> Access<u64> {
        let size = self.device.get_region_size(region);
        if u64::from(offset).saturating_add(bytes as u64) > size {
            return Err(AccessError::Refused(format!("region {region} has {size:#x} bytes")));
        }
        Ok(self.device.get_region_offset(region).saturating_add(offset.into()))
    }

    fn region_read(&self, region: u32, offset: u32, into: &mut [u8]) -> Access<()> {
        let offset_in_file = self.bar_offset(region, offset, into.len())?;
        self.file.read_exact_at(into, offset_in_file).map_err(|error| self.failed(error))
    }

    fn region_write(&self, region: u32, offset: u32, data: &[u8]) -> Access<()> {
        let offset_in_file = self.bar_offset(region, offset, data.len())?;
        self.file.write_all_at(data, offset_in_file).map_err(|error| self.failed(error))
    }

    /// What a failed call means: the kernel says EIO for a BAR of a function that sleeps, and also for one
    /// that was unplugged.
    fn failed(&self, error: impl std::fmt::Display) -> AccessError {
        if self.sysfs.exists() {
            AccessError::Refused(format!("the kernel says: {error}"))
        } else {
            AccessError::Lost(format!("{} is gone", self.address))
        }
    }

    fn vfio<T>(&self, result: Result<T, VfioError>) -> Access<T> {
        result.map_err(|error| self.failed(error))
    }

    fn map_at(&mut self, address: u64, bytes: usize, memory: *mut u8) -> Access<()> {
        // SAFETY: `memory` is a shared mapping of `bytes` bytes that is only accessed with atomic words; the
        // kernel holds its pages for as long as they are mapped, whatever becomes of it here.
        let mapped = unsafe { self.container.vfio_dma_map(address, bytes, memory) };
        self.vfio(mapped)
    }
}

impl Drop for Vfio {
    fn drop(&mut self) {
        // VfioDevice panics when its group is not there any more (hot unplug). The kernel cleans up behind a
        // process that ends, too.
        let present = self.sysfs.exists();
        // SAFETY: each is dropped once, here, and not used after. The device is last: its group can only be
        // left when nobody has it open.
        unsafe {
            ManuallyDrop::drop(&mut self.pages);
            ManuallyDrop::drop(&mut self.file);
            if present {
                ManuallyDrop::drop(&mut self.device);
            }
        }
    }
}

impl CardAccess for Vfio {
    fn name(&self) -> String {
        self.address.clone()
    }

    fn own_configuration(&self) -> bool {
        false
    }

    fn config_read(&mut self, offset: u16, into: &mut [u8]) -> Access<()> {
        self.region_read(CONFIG_REGION, offset.into(), into)
    }

    fn config_write(&mut self, offset: u16, data: &[u8]) -> Access<()> {
        self.region_write(CONFIG_REGION, offset.into(), data)
    }

    fn read(&mut self, offset: u32, into: &mut [u8]) -> Access<()> {
        self.region_read(REGISTERS_BAR, offset, into)
    }

    fn write(&mut self, offset: u32, data: &[u8]) -> Access<()> {
        self.region_write(REGISTERS_BAR, offset, data)
    }

    fn page(&mut self, offset: u32) -> Access<u32> {
        let word = self.pages.word(offset as usize);
        let word = word.ok_or_else(|| AccessError::Refused(format!("no word at {offset:#x}")))?;
        Ok(u32::from_le(word.load(std::sync::atomic::Ordering::Acquire)))
    }

    fn store_page(&mut self, offset: u32, value: u64) -> Access<()> {
        let word = self.pages.wide(offset as usize);
        let word = word.ok_or_else(|| AccessError::Refused(format!("no 64 bits at {offset:#x}")))?;
        word.store(value.to_le(), std::sync::atomic::Ordering::Release);
        Ok(())
    }

    fn map(&mut self, address: u64, memory: &Memory, offset: usize, bytes: usize) -> Access<()> {
        let outside = || AccessError::Refused("not so much memory".to_owned());
        self.map_at(address, bytes, memory.at(offset, bytes).ok_or_else(outside)?)
    }

    fn unmap(&mut self, address: u64, bytes: usize) -> Access<()> {
        self.vfio(self.container.vfio_dma_unmap(address, bytes))
    }

    fn map_own_pages(&mut self, address: u64) -> Access<()> {
        self.map_at(address, PAGES_BYTES as usize, self.pages.address())
    }

    fn connect_msi(&mut self, lines: &[&EventFd]) -> Access<u32> {
        self.disconnect()?;
        let mut count = lines.len().min(32);
        while count != 0 {
            self.vfio(self.device.enable_msi(lines.iter().copied().take(count).collect()))?;
            // With fewer vectors than asked for the kernel enables none, and the crate does not tell; a
            // loop-back only works if it did.
            if self.device.trigger_irq(MSI_IRQ, 0).is_ok() {
                self.connected = Some(MSI_IRQ);
                if let Some(first) = lines.first() {
                    let _ = first.read();
                }
                return Ok(u32::try_from(count).unwrap_or(0));
            }
            count /= 2;
        }
        Err(AccessError::Refused("the kernel has no MSI vector".to_owned()))
    }

    fn connect_intx(&mut self, line: &EventFd) -> Access<()> {
        self.disconnect()?;
        self.vfio(self.device.enable_irq(INTX_IRQ, vec![line]))?;
        self.connected = Some(INTX_IRQ);
        Ok(())
    }

    fn unmask_intx(&mut self) -> Access<()> {
        self.vfio(self.device.unmask_irq(INTX_IRQ))
    }

    fn disconnect(&mut self) -> Access<()> {
        match self.connected.take() {
            Some(kind) => self.vfio(self.device.disable_irq(kind)),
            None => Ok(()),
        }
    }

    fn reset(&mut self) -> Access<()> {
        self.device.reset();
        Ok(())
    }
}

/// `00:04.0` is in domain 0000.
fn normalize(address: &str) -> Result<String, String> {
    let full = if address.matches(':').count() == 1 { format!("0000:{address}") } else { address.to_owned() };
    let full = full.to_ascii_lowercase();
    let well_formed = full.len() == 12
        && full.chars().enumerate().all(|(index, character)| match index {
            4 | 7 => character == ':',
            10 => character == '.',
            11 => ('0'..='7').contains(&character),
            _ => character.is_ascii_hexdigit(),
        });
    if well_formed {
        Ok(full)
    } else {
        Err(format!("{address}: not a PCI address; write one like 0000:00:04.0"))
    }
}

/// Looks at sysfs, which touches nothing, before anything is opened.
fn check_function(address: &str, sysfs: &Path, identity: (u16, u16)) -> Result<(), String> {
    let id = |name: &str| {
        let text = std::fs::read_to_string(sysfs.join(name)).ok()?;
        u16::from_str_radix(text.trim().strip_prefix("0x")?, 16).ok()
    };
    let Some(found) = id("vendor").zip(id("device")) else {
        return Err(format!("{address}: no such PCI function; /sys/bus/pci/devices lists what is there"));
    };
    super::check_identity(address, found, identity)?;
    let driver = std::fs::read_link(sysfs.join("driver")).ok();
    let driver = driver.as_deref().and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
    if driver.as_deref() != Some("vfio-pci") {
        let bound =
            driver.as_ref().map_or("bound to no driver".to_owned(), |name| format!("bound to {name}"));
        let unbind =
            driver.map_or(String::new(), |_| format!(" echo {address} > {}/driver/unbind;", sysfs.display()));
        return Err(format!(
            "{address}: {bound}, not to vfio-pci; as root: modprobe vfio-pci; echo vfio-pci > {}/driver_override;{unbind} echo {address} > \
             /sys/bus/pci/drivers_probe",
            sysfs.display()
        ));
    }
    if !sysfs.join("iommu_group").exists() {
        return Err(format!(
            "{address}: no IOMMU group; the machine needs an IOMMU that is switched on (QEMU: -device intel-iommu,intremap=on,caching-mode=on \
             in front of the card, and intel_iommu=on for the kernel; or -device virtio-iommu-pci)"
        ));
    }
    Ok(())
}

/// What went wrong, and what to do next, in one line.
fn explain(address: &str, error: &VfioError) -> String {
    let next = match error {
        VfioError::OpenContainer(source) if source.kind() == io::ErrorKind::NotFound => {
            "modprobe vfio-pci vfio_iommu_type1"
        }
        VfioError::OpenGroup(source, _) if source.kind() == io::ErrorKind::NotFound => {
            "bind it to vfio-pci, and see that /dev is a devtmpfs"
        }
        VfioError::OpenContainer(source) | VfioError::OpenGroup(source, _)
            if source.kind() == io::ErrorKind::PermissionDenied =>
        {
            "run as root, or have /dev/vfio given to you (chown)"
        }
        VfioError::OpenGroup(source, _) if source.raw_os_error() == Some(Errno::BUSY.raw_os_error()) => {
            "another process has it; end that first"
        }
        VfioError::GroupViable => "bind the other functions of its IOMMU group to vfio-pci, too",
        VfioError::VfioExtension | VfioError::VfioType1V2 => "modprobe vfio_iommu_type1",
        VfioError::ContainerSetIOMMU(errno) if errno.errno() == Errno::PERM.raw_os_error() => {
            "the IOMMU cannot remap interrupts; if you trust the card: echo 1 > \
             /sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts"
        }
        VfioError::ContainerSetIOMMU(errno) if errno.errno() == Errno::NODEV.raw_os_error() => {
            "modprobe vfio_iommu_type1"
        }
        _ => "dmesg may say more",
    };
    format!("{address}: {error}; {next}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_with_and_without_a_domain() {
        assert_eq!(normalize("00:04.0").as_deref(), Ok("0000:00:04.0"));
        assert_eq!(normalize("00AB:0C:1f.7").as_deref(), Ok("00ab:0c:1f.7"));
        for bad in ["", "4", "00:04.8", "0000:00:04", "../../etc", "0000:00:04.0/..", "00:04.0:"] {
            assert!(normalize(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn errors_say_what_to_do() {
        let found = explain("0000:00:04.0", &VfioError::OpenContainer(io::ErrorKind::NotFound.into()));
        assert!(found.contains("modprobe") && found.lines().count() == 1, "{found}");
        let absent = check_function("ffff:ff:1f.7", Path::new("/nonexistent"), (0x1234, 0x5257)).unwrap_err();
        assert!(absent.contains("no such PCI function"), "{absent}");
    }

    #[test]
    fn function_is_looked_at_before_it_is_opened() {
        let dir = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
        let check = || check_function("0000:00:04.0", dir.path(), (0x1234, 0x5257)).unwrap_err();
        put("vendor", "0x8086\n");
        put("device", "0x2668\n");
        assert!(check().contains("8086:2668"), "{}", check());
        put("vendor", "0x1234\n");
        put("device", "0x5257\n");
        assert!(check().contains("bound to no driver, not to vfio-pci; as root: modprobe"), "{}", check());
        std::os::unix::fs::symlink("/sys/bus/pci/drivers/snd_hda_intel", dir.path().join("driver")).unwrap();
        assert!(check().contains("bound to snd_hda_intel"), "{}", check());
        std::fs::remove_file(dir.path().join("driver")).unwrap();
        std::os::unix::fs::symlink("/sys/bus/pci/drivers/vfio-pci", dir.path().join("driver")).unwrap();
        assert!(check().contains("no IOMMU group"), "{}", check());
    }
}
