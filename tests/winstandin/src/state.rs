//! How far the installation is: a block of the disk that is in no partition. It survives a reset, and goes
//! where the disk goes.

use crate::behaviour::State;
use crate::firmware::{Disk, Firmware, buffer};

/// The place: behind the partition table, before the first partition.
const BLOCK: u64 = 2;
const MARK: &[u8; 16] = b"RINGWAVE-STANDIN";

/// What is kept on this disk.
pub fn read(disk: &Disk) -> Option<State> {
    let block = disk.block(BLOCK)?;
    (block.get(..16)? == MARK).then_some(())?;
    let number = |at: usize| Some(u32::from_le_bytes(block.get(at..at + 4)?.try_into().ok()?));
    Some(State { step: number(16)?, more: number(20)?, asked: number(24)? })
}

/// Keeps it; gives whether the disk took it.
pub fn write(disk: &Disk, state: State) -> bool {
    let mut data = buffer(disk.block_bytes());
    let numbers = [state.step, state.more, state.asked].into_iter().flat_map(u32::to_le_bytes);
    data.bytes().iter_mut().zip(MARK.iter().copied().chain(numbers)).for_each(|(to, byte)| *to = byte);
    disk.write(BLOCK, data.bytes()) && disk.flush()
}

/// The block that counts the boots of a run, beside the other one.
const RUN_BLOCK: u64 = 3;
const RUN_MARK: &[u8; 16] = b"RINGWAVE-RUNS-ON";

/// How many boots of a run this disk has seen.
pub fn boots(disk: &Disk) -> u32 {
    let block = disk.block(RUN_BLOCK).unwrap_or_default();
    let number = block.get(16..20).and_then(|number| number.try_into().ok()).map(u32::from_le_bytes);
    number.filter(|_| block.starts_with(RUN_MARK)).unwrap_or_default()
}

/// Counts one more; gives whether the disk took it.
pub fn count_boot(disk: &Disk) -> bool {
    let (mut data, boots) = (buffer(disk.block_bytes()), boots(disk).saturating_add(1));
    data.bytes()
        .iter_mut()
        .zip(RUN_MARK.iter().copied().chain(boots.to_le_bytes()))
        .for_each(|(to, byte)| *to = byte);
    disk.write(RUN_BLOCK, data.bytes()) && disk.flush()
}

/// The disk that an installation has begun on.
pub fn find(firmware: &Firmware) -> Option<(Disk, State)> {
    let mut disks = firmware.disks().into_iter().filter(Disk::is_writable);
    disks.find_map(|disk| Some((disk, read(&disk)?)))
}
