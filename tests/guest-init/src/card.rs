//! The card as a Linux guest sees it: found by its ids, bound to vfio-pci, gone and back.

use std::{fs, io, path::Path, thread, time::Duration};

use crate::{Failure, kernel::wait_until, say};

const DEVICES: &str = "/sys/bus/pci/devices";

/// The address of the first device with the ids `VENDOR:DEVICE`.
fn find(id: &str) -> Option<String> {
    let (vendor, device) = id.split_once(':')?;
    let mut found: Vec<String> = fs::read_dir(DEVICES)
        .ok()?
        .filter_map(Result::ok)
        .filter(|entry| {
            let is = |file: &str, digits: &str| {
                let text = fs::read_to_string(entry.path().join(file)).unwrap_or_default();
                text.trim().strip_prefix("0x") == Some(digits)
            };
            is("vendor", vendor) && is("device", device)
        })
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    found.sort();
    found.into_iter().next()
}

/// Waits until a device with the ids `VENDOR:DEVICE` is on the bus; its address.
pub fn wait_for(id: &str, limit: Duration) -> Result<String, Failure> {
    wait_until(limit, || find(id))
        .ok_or_else(|| format!("no PCI device {id} within {} s: {}", limit.as_secs(), all_ids()))
}

fn all_ids() -> String {
    let read =
        |path: &Path, file: &str| fs::read_to_string(path.join(file)).unwrap_or_default().trim().to_owned();
    let entries = fs::read_dir(DEVICES).into_iter().flatten().filter_map(Result::ok);
    let list: Vec<String> = entries
        .map(|entry| format!("{}:{}", read(&entry.path(), "vendor"), read(&entry.path(), "device")))
        .collect();
    format!("there are {}", list.join(", "))
}

/// Binds the card to vfio-pci; its IOMMU group.
pub fn bind(address: &str) -> Result<String, Failure> {
    let device = Path::new(DEVICES).join(address);
    let write = |path: &Path, text: &str| {
        fs::write(path, text).map_err(|error| format!("write {text} to {}: {error}", path.display()))
    };
    write(&device.join("driver_override"), "vfio-pci")?;
    let linked = |name: &str| {
        let target = fs::read_link(device.join(name)).ok()?;
        Some(target.file_name()?.to_string_lossy().into_owned())
    };
    // A card that was plugged in is in sysfs a moment before the kernel lets drivers look at it: asked too
    // early, it does nothing.
    let driver = wait_until(Duration::from_mins(1), || {
        let _ = fs::write("/sys/bus/pci/drivers_probe", address);
        linked("driver")
    });
    match driver {
        Some(driver) if driver == "vfio-pci" => {}
        Some(driver) => return Err(format!("{address} is bound to {driver}, not to vfio-pci")),
        None => return Err(format!("vfio-pci did not take {address}")),
    }
    let group = linked("iommu_group").ok_or_else(|| format!("{address} has no IOMMU group"))?;
    wait_until(Duration::from_mins(1), || Path::new("/dev/vfio").join(&group).exists().then_some(()))
        .ok_or_else(|| format!("there is no /dev/vfio/{group}"))?;
    Ok(group)
}

/// Watches the card until it has left the bus, and tells what its configuration space reads as meanwhile.
/// That every change is told shows that the guest runs on.
pub fn watch_it_leave(address: &str, limit: Duration) -> Result<(), Failure> {
    let device = Path::new(DEVICES).join(address);
    let mut last = String::new();
    say("waits for the card to leave");
    // Its process may be killed now. Quiet meanwhile: QEMU 11.1 aborts (error_setv) if the connection is
    // reset while an access is on its way, and on a busy host a killed process takes a while until its
    // sockets are gone.
    thread::sleep(Duration::from_secs(1));
    wait_until(limit, || {
        if !device.exists() {
            return Some(());
        }
        let now = match vendor_and_device(&device) {
            Ok(ids) => format!("the card's configuration space reads {ids}"),
            Err(error) => format!("the card's configuration space cannot be read: {error}"),
        };
        if now != last {
            say(&now);
            last = now;
        }
        None
    })
    .ok_or_else(|| format!("{address} did not leave within {} s", limit.as_secs()))?;
    say("the card left");
    Ok(())
}

fn vendor_and_device(device: &Path) -> io::Result<String> {
    use std::io::Read;
    let mut bytes = [0; 4];
    fs::File::open(device.join("config"))?.read_exact(&mut bytes)?;
    let [a, b, c, d] = bytes;
    Ok(format!("{b:02x}{a:02x}:{d:02x}{c:02x}"))
}
