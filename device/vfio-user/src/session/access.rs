//! Reads and writes of regions ("Read and Write Operations").

use rustix::io::Errno;
use zerocopy::{FromBytes, IntoBytes};

use super::{Answer, Session, fixed};
use crate::device::{Device, RegionInfo};
use crate::pci::{ControlRequest, PowerState};
use crate::refusal::Refusal;
use crate::wire::{self, DATA_BYTES_MAX, HEADER_BYTES, MULTI_WRITES_MAX, pci};

/// "`VFIO_USER_REGION_READ`". The bounds are checked before there is a buffer.
///
/// "The count field must not exceed the value of `max_data_xfer_size` of the peer": the peer of whoever asks,
/// so that the bound is ours. What a client says of itself bounds what we would ask of it (DMA), not its own
/// reads: libvfio-user's says 1,024 and then reads 12,288.
pub fn read(device: &mut impl Device, payload: &[u8]) -> Result<Answer, Refusal> {
    let (asked, rest) = fixed::<wire::RegionAccess>(payload)?;
    if !rest.is_empty() {
        return Err(Refusal::PayloadLength);
    }
    let count = asked.count.get();
    check(device, asked, |region| region.read)?;
    let mut answer = Answer::of(&[asked.as_bytes()]);
    let data = HEADER_BYTES + size_of::<wire::RegionAccess>();
    answer.0.bytes.resize(data.saturating_add(count as usize), 0);
    if count != 0 {
        let into = answer.0.bytes.get_mut(data..).unwrap_or_default();
        let (region, offset) = (asked.region.get(), asked.offset.get());
        device.region_read(region, offset, into).map_err(Refusal::Device)?;
    }
    Ok(answer)
}

impl Session {
    /// "`VFIO_USER_REGION_WRITE`".
    pub(super) fn region_write(
        &mut self,
        device: &mut impl Device,
        payload: &[u8],
    ) -> Result<Answer, Refusal> {
        let (asked, data) = fixed::<wire::RegionAccess>(payload)?;
        if data.len() != asked.count.get() as usize {
            return Err(Refusal::PayloadLength);
        }
        check(device, asked, |region| region.write)?;
        if !data.is_empty() {
            self.deliver(device, asked.region.get(), asked.offset.get(), data).map_err(Refusal::Device)?;
        }
        Ok(Answer::of(&[asked.as_bytes()]))
    }

    /// "`VFIO_USER_REGION_WRITE_MULTI`": all are checked, then done in order. When the device refuses one the
    /// reply says how many were done ("`wr_cnt` is the number of device writes completed").
    ///
    /// There may be more room than writes: QEMU has versions that send their whole table.
    pub(super) fn region_write_multi(
        &mut self,
        device: &mut impl Device,
        payload: &[u8],
    ) -> Result<Answer, Refusal> {
        let (said, table) = fixed::<wire::MultiCount>(payload)?;
        let count = said.count.get();
        if count > MULTI_WRITES_MAX {
            return Err(Refusal::MultiWrites);
        }
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let writes = <[wire::MultiWrite]>::ref_from_prefix_with_elems(table, count);
        let (writes, _) = writes.map_err(|_| Refusal::PayloadLength)?;
        for write in writes {
            if !matches!(write.count.get(), 1..=8) {
                return Err(Refusal::MultiWrites);
            }
            let access =
                wire::RegionAccess { offset: write.offset, region: write.region, count: write.count };
            check(device, &access, |region| region.write)?;
        }
        let mut done = 0_u64;
        for write in writes {
            let data = write.data.get(..write.count.get() as usize).unwrap_or_default();
            match self.deliver(device, write.region.get(), write.offset.get(), data) {
                Ok(()) => done += 1,
                Err(errno) if done == 0 => return Err(Refusal::Device(errno)),
                Err(_) => break,
            }
        }
        Ok(Answer::of(&[wire::MultiCount { count: done.into() }.as_bytes()]))
    }

    /// Gives a write to the device, and then what it asked of a PCI function besides: see [`crate::pci`].
    fn deliver(
        &mut self,
        device: &mut impl Device,
        region: u32,
        offset: u64,
        data: &[u8],
    ) -> Result<(), Errno> {
        device.region_write(region, offset, data)?;
        if region != pci::CONFIG_REGION || !device.is_pci() {
            return Ok(());
        }
        match device.pci_controls().request(offset, data) {
            Some(ControlRequest::FunctionLevelReset) => {
                device.function_level_reset();
                self.power = PowerState::D0;
            }
            Some(ControlRequest::Power(state)) if state != self.power => {
                device.power_state(state);
                self.power = state;
            }
            _ => {}
        }
        Ok(())
    }
}

/// Whether the access is one that the region has. An empty one may be at the region's end.
fn check(
    device: &impl Device,
    access: &wire::RegionAccess,
    allowed: impl Fn(&RegionInfo<'_>) -> bool,
) -> Result<(), Refusal> {
    if access.count.get() > DATA_BYTES_MAX {
        return Err(Refusal::DataSize);
    }
    if access.region.get() >= device.regions() {
        return Err(Refusal::RegionIndex);
    }
    let region = device.region(access.region.get());
    let end = access.offset.get().checked_add(u64::from(access.count.get()));
    if end.is_none_or(|end| end > region.size) {
        return Err(Refusal::RegionBounds);
    }
    if !allowed(&region) {
        return Err(Refusal::RegionAccess);
    }
    Ok(())
}
