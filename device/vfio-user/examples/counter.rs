//! A PCI device in twenty lines: BAR 0 is a number that grows with every read and is what was written last.
//!
//! `cargo run --example counter -- /tmp/counter.sock`, and in QEMU `-device '{"driver": "vfio-user-pci",
//! "socket": {"type": "unix", "path": "/tmp/counter.sock"}}'` with guest RAM that is shared (`-object
//! memory-backend-memfd,share=on`).

use ringwave_vfio_user::wire::pci::CONFIG_REGION;
use ringwave_vfio_user::{Device, Errno, IrqChange, IrqInfo, Listener, RegionInfo, Stop, serve};

/// Vendor 1234, device 0001, revision 0, class "no other class": all that a guest needs to find it.
const CONFIG: [u8; 16] = [0x34, 0x12, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0, 0, 0, 0];

/// The device: its whole state is the number.
#[derive(Default)]
pub struct Counter(u8);

impl Device for Counter {
    fn region(&self, index: u32) -> RegionInfo<'_> {
        let size = [(0, 4096), (CONFIG_REGION, 256)].into_iter().find(|(region, _)| *region == index);
        RegionInfo { size: size.map_or(0, |(_, size)| size), read: true, write: true, mapped: None }
    }

    fn region_read(&mut self, region: u32, offset: u64, data: &mut [u8]) -> Result<(), Errno> {
        if region == CONFIG_REGION {
            let config =
                CONFIG.into_iter().chain(std::iter::repeat(0)).skip(usize::try_from(offset).unwrap_or(0));
            data.iter_mut().zip(config).for_each(|(to, from)| *to = from);
        } else {
            self.0 = self.0.wrapping_add(1);
            data.fill(self.0);
        }
        Ok(())
    }

    fn region_write(&mut self, region: u32, _: u64, data: &[u8]) -> Result<(), Errno> {
        if let (0, Some(number)) = (region, data.first()) {
            self.0 = *number;
        }
        Ok(())
    }

    fn irq(&self, _: u32) -> IrqInfo {
        IrqInfo::default()
    }

    fn set_irqs(&mut self, _: u32, _: IrqChange<'_>) -> Result<(), Errno> {
        Ok(())
    }

    fn reset(&mut self) -> Result<(), Errno> {
        *self = Self::default();
        Ok(())
    }

    fn client_left(&mut self) {
        *self = Self::default();
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args_os().nth(1).ok_or("usage: counter SOCKET")?;
    let listener = Listener::bind(path.as_ref())?;
    Ok(serve(listener.socket(), &mut Counter::default(), &Stop::new()?)?)
}
