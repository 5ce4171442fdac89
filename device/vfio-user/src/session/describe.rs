//! What a client asks about the device: its info, regions, interrupts, features.

use zerocopy::IntoBytes;

use super::{Answer, argsz, fixed};
use crate::device::{Area, Device, MappedRegion};
use crate::refusal::Refusal;
use crate::wire::{self, CAP_SPARSE_MMAP, device_flags, feature_flags, region_flags};

/// The most areas that are told; a reply must stay bounded.
const AREAS_MAX: usize = 1024;

/// "`VFIO_USER_DEVICE_GET_INFO`". "All other fields must be zero" in the request, but neither the kernel nor
/// libvfio-user looks at them.
pub fn device(device: &impl Device, payload: &[u8]) -> Result<Answer, Refusal> {
    let (asked, _) = fixed::<wire::DeviceInfo>(payload)?;
    argsz::<wire::DeviceInfo>(asked.argsz.get())?;
    let reset = if device.can_reset() { device_flags::RESET } else { 0 };
    let pci = if device.is_pci() { device_flags::PCI } else { 0 };
    let info = wire::DeviceInfo {
        argsz: size32::<wire::DeviceInfo>().into(),
        flags: (reset | pci).into(),
        num_regions: device.regions().into(),
        num_irqs: device.irqs().into(),
    };
    Ok(Answer::of(&[info.as_bytes()]))
}

/// "`VFIO_USER_DEVICE_GET_REGION_INFO`". As much of it as `argsz` allows, and in `argsz` how much there is
/// ("Message sizes"); capabilities come whole or not at all, and the descriptor with them.
///
/// The specification lets the descriptor come with every reply that has the flag. But libvfio-user's client
/// has no room for one before it has seen that there are capabilities (it ends with EFAULT, tried), as its
/// own server never sends one before. So every region that can be mapped has the sparse mmap capability, if
/// only with one area, and a reply without it has the flag alone. QEMU and cloud-hypervisor take the second
/// reply's descriptor either way.
///
/// When the capabilities do not fit, their flag is not set, as in libvfio-user; the kernel sets it, with a
/// `cap_offset` of 0 (`vfio_pci_ioctl_get_region_info`). QEMU, cloud-hypervisor and libvfio-user's client
/// look at `argsz` only, and ask again.
///
/// To a client that takes no descriptors (`fds` = 0) no region can be mapped.
pub fn region(device: &impl Device, payload: &[u8], fds: u64) -> Result<Answer, Refusal> {
    let (asked, _) = fixed::<wire::RegionInfo>(payload)?;
    argsz::<wire::RegionInfo>(asked.argsz.get())?;
    let index = asked.index.get();
    if index >= device.regions() {
        return Err(Refusal::RegionIndex);
    }
    let region = device.region(index);
    let mapped = region.mapped.as_ref().filter(|_| fds > 0 && region.size > 0);
    let capability = mapped.map(|mapped| sparse_mmap(mapped, region.size)).unwrap_or_default();
    let whole = size_of::<wire::RegionInfo>().saturating_add(capability.len());
    let fits = !capability.is_empty() && whole <= asked.argsz.get() as usize;

    let flag = |is, flag| if is { flag } else { 0 };
    let info = wire::RegionInfo {
        argsz: u32::try_from(whole).unwrap_or(u32::MAX).into(),
        flags: (flag(region.read, region_flags::READ)
            | flag(region.write, region_flags::WRITE)
            | flag(mapped.is_some(), region_flags::MMAP)
            | flag(fits, region_flags::CAPS))
        .into(),
        index: index.into(),
        cap_offset: flag(fits, size32::<wire::RegionInfo>()).into(),
        size: region.size.into(),
        offset: mapped.map_or(0, |mapped| mapped.offset).into(),
    };
    let mut answer = Answer::of(&[info.as_bytes(), if fits { &capability } else { &[] }]);
    if let Some(mapped) = mapped.filter(|_| fits) {
        let fd = mapped.fd.try_clone_to_owned();
        let fd = fd.map_err(|error| {
            Refusal::Share(rustix::io::Errno::from_io_error(&error).unwrap_or(rustix::io::Errno::IO))
        })?;
        answer.0.fds.push(fd);
    }
    Ok(answer)
}

/// "VFIO sparse mmap cap header", for a region of `size` bytes.
fn sparse_mmap(mapped: &MappedRegion<'_>, size: u64) -> Vec<u8> {
    let whole = [Area { offset: 0, size }];
    let areas = if mapped.areas.is_empty() { &whole[..] } else { &mapped.areas };
    let areas = areas.get(..AREAS_MAX).unwrap_or(areas);
    let header = wire::SparseCap {
        id: CAP_SPARSE_MMAP.into(),
        version: 1.into(),
        next: 0.into(),
        nr_areas: u32::try_from(areas.len()).unwrap_or(0).into(),
        reserved: 0.into(),
    };
    let mut capability = header.as_bytes().to_vec();
    for area in areas {
        let area = wire::SparseArea { offset: area.offset.into(), size: area.size.into() };
        capability.extend_from_slice(area.as_bytes());
    }
    capability
}

/// "`VFIO_USER_DEVICE_GET_REGION_IO_FDS`", an optional feature: there are no sub-regions with descriptors,
/// which is what libvfio-user's server answers for such a device, too (`handle_device_get_region_io_fds`).
/// Without one there is no descriptor to go with the reply either, although the specification has at least
/// one there.
pub fn region_io_fds(device: &impl Device, payload: &[u8]) -> Result<Answer, Refusal> {
    let (asked, _) = fixed::<wire::RegionIoFds>(payload)?;
    argsz::<wire::RegionIoFds>(asked.argsz.get())?;
    if asked.flags.get() != 0 || asked.count.get() != 0 {
        return Err(Refusal::Flags);
    }
    if asked.index.get() >= device.regions() {
        return Err(Refusal::RegionIndex);
    }
    let none = wire::RegionIoFds { argsz: size32::<wire::RegionIoFds>().into(), ..*asked };
    Ok(Answer::of(&[none.as_bytes()]))
}

/// "`VFIO_USER_DEVICE_GET_IRQ_INFO`".
pub fn irq(device: &impl Device, payload: &[u8]) -> Result<Answer, Refusal> {
    let (asked, _) = fixed::<wire::IrqInfo>(payload)?;
    argsz::<wire::IrqInfo>(asked.argsz.get())?;
    let index = asked.index.get();
    if index >= device.irqs() {
        return Err(Refusal::IrqIndex);
    }
    let irq = device.irq(index);
    let info = wire::IrqInfo {
        argsz: size32::<wire::IrqInfo>().into(),
        flags: irq.flags.into(),
        index: index.into(),
        count: irq.count.into(),
    };
    Ok(Answer::of(&[info.as_bytes()]))
}

/// "`VFIO_USER_DEVICE_FEATURE`": the specification's features are all of migration, and there is none. The
/// order of the checks is that of `vfio_ioctl_device_feature`, which looks for the feature before it misses
/// GET, SET and PROBE. (libvfio-user says EINVAL to all of it.)
pub fn feature(payload: &[u8]) -> Result<Answer, Refusal> {
    let (asked, _) = fixed::<wire::Feature>(payload)?;
    argsz::<wire::Feature>(asked.argsz.get())?;
    let flags = asked.flags.get();
    let (get, set, probe) = (feature_flags::GET, feature_flags::SET, feature_flags::PROBE);
    let unknown = flags & !(feature_flags::INDEX | get | set | probe) != 0;
    let both = flags & (get | set) == get | set && flags & probe == 0;
    if unknown || both {
        return Err(Refusal::Flags);
    }
    Err(Refusal::Feature)
}

fn size32<T>() -> u32 {
    u32::try_from(size_of::<T>()).unwrap_or(u32::MAX)
}
