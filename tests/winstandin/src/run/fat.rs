//! The out disk below its files: whether it is as the contract has it, and the damage that a guest that was
//! stopped, or means ill, leaves. Layouts: Microsoft's "FAT: General Overview of On-Disk Format" 1.03.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

const SECTOR: usize = 512;
const PARTITION: u64 = 2048;
const TYPE: u8 = 0x0C;
const GIB: u64 = 1 << 30;
/// `FAT[1]`, bit 27: the volume was left clean. Windows' own flag is in byte 0x41 of the first sector.
const CLEAN: u32 = 1 << 27;
const WINDOWS_FLAG: usize = 0x41;
const ENTRY: usize = 32;
/// Sectors of a folder that are looked at.
const MOST_SECTORS: u64 = 1024;

/// A disk of sectors of 512 bytes.
pub trait Sectors {
    fn count(&self) -> u64;
    fn get(&self, at: u64) -> Option<Vec<u8>>;
    fn put(&self, at: u64, sector: &[u8]) -> bool;
}

/// What is left behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// Both flags that say "not clean", as after a lost power.
    Flag,
    /// `\program.log` claims 1 MiB, and its chain of clusters ends in a free one: written, but not all of it.
    Free,
    /// It claims 4 GiB, and its chain is a ring.
    Ring,
    /// It claims 1 MiB, and its chain goes on beyond the disk.
    Beyond,
    /// `\out\ring` is the folder `\out` again.
    Folder,
}

/// A FAT32 volume.
struct Volume {
    fat: u64,
    fats: u64,
    fat_sectors: u64,
    data: u64,
    cluster_sectors: u64,
    root: u32,
}

fn short(sector: &[u8], at: usize) -> Option<u64> {
    Some(u16::from_le_bytes(sector.get(at..at + 2)?.try_into().ok()?).into())
}

fn long(sector: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(sector.get(at..at + 4)?.try_into().ok()?))
}

fn set(sector: &mut [u8], at: usize, bytes: &[u8]) {
    sector.iter_mut().skip(at).zip(bytes).for_each(|(to, from)| *to = *from);
}

/// Whether the disk is one MBR partition of type 0x0C at 1 MiB with FAT32, 8 GiB; else what it is.
pub fn check(disk: &impl Sectors) -> Result<(), String> {
    let table = disk.get(0).filter(|sector| sector.get(510..512) == Some(&[0x55, 0xAA]));
    let table = table.ok_or("no MBR")?;
    let partition = |at: usize| table.get(446 + 16 * at..).unwrap_or_default();
    let kind = |at: usize| partition(at).get(4).copied().unwrap_or_default();
    let start = long(partition(0), 8).unwrap_or_default();
    if kind(0) != TYPE || u64::from(start) != PARTITION {
        return Err(format!("the first partition has type {:#x} and begins at sector {start}", kind(0)));
    }
    if (1..4).any(|at| kind(at) != 0) {
        return Err("there is more than one partition".into());
    }
    let bytes = disk.count().saturating_mul(SECTOR as u64);
    if bytes.abs_diff(8 * GIB) > GIB / 64 {
        return Err(format!("the disk has {bytes} bytes, not 8 GiB"));
    }
    Volume::open(disk).map(|_| ()).ok_or_else(|| "the partition does not hold FAT32".into())
}

/// Does this damage; gives whether it could.
pub fn damage(disk: &impl Sectors, what: Damage) -> bool {
    damaged(disk, what).is_some()
}

fn damaged(disk: &impl Sectors, what: Damage) -> Option<()> {
    let volume = Volume::open(disk)?;
    let log = |bytes: u32| {
        volume.change(disk, volume.root, b"PROGRAM LOG", |entry, _| set(entry, 28, &bytes.to_le_bytes()))
    };
    match what {
        Damage::Flag => {
            let clean = volume.entry(disk, 1)?;
            volume.set_entry(disk, 1, clean & !CLEAN)?;
            let mut sector = disk.get(PARTITION)?;
            *sector.get_mut(WINDOWS_FLAG)? |= 1;
            disk.put(PARTITION, &sector).then_some(())
        }
        Damage::Free => log(1 << 20).and_then(|first| volume.set_entry(disk, first, 0)),
        Damage::Ring => log(u32::MAX).and_then(|first| volume.set_entry(disk, first, first)),
        Damage::Beyond => log(1 << 20).and_then(|first| volume.set_entry(disk, first, 0x0FFF_FFE0)),
        Damage::Folder => {
            let out = volume.change(disk, volume.root, b"OUT        ", |_, _| ())?;
            let low_high = |entry: &mut [u8], _| {
                set(entry, 26, &out.to_le_bytes()[..2]);
                set(entry, 20, &out.to_le_bytes()[2..]);
            };
            volume.change(disk, out, b"RING       ", low_high).map(|_| ())
        }
    }
}

impl Volume {
    fn open(disk: &impl Sectors) -> Option<Self> {
        let boot = disk.get(PARTITION)?;
        // A FAT of 16 bits gives its length in the first, FAT32 in the second.
        let is_fat32 = short(&boot, 22)? == 0 && boot.get(82..87)? == b"FAT32";
        (is_fat32 && short(&boot, 11)? == SECTOR as u64).then_some(())?;
        let (fats, fat_sectors) = (u64::from(*boot.get(16)?), u64::from(long(&boot, 36)?));
        let fat = PARTITION + short(&boot, 14)?;
        let data = fat + fats * fat_sectors;
        let cluster_sectors = u64::from(*boot.get(13)?);
        Some(Self { fat, fats, fat_sectors, data, cluster_sectors, root: long(&boot, 44)? })
    }

    fn entry(&self, disk: &impl Sectors, cluster: u32) -> Option<u32> {
        let at = u64::from(cluster) * 4;
        long(&disk.get(self.fat + at / SECTOR as u64)?, at as usize % SECTOR)
    }

    fn set_entry(&self, disk: &impl Sectors, cluster: u32, value: u32) -> Option<()> {
        let at = u64::from(cluster) * 4;
        for fat in 0..self.fats {
            let place = self.fat + fat * self.fat_sectors + at / SECTOR as u64;
            let mut sector = disk.get(place)?;
            set(&mut sector, at as usize % SECTOR, &value.to_le_bytes());
            disk.put(place, &sector).then_some(())?;
        }
        Some(())
    }

    /// Changes the entry with this short name of the folder at `cluster`; gives the first cluster that it had.
    fn change(
        &self,
        disk: &impl Sectors,
        cluster: u32,
        name: &[u8; 11],
        change: impl Fn(&mut [u8], u32),
    ) -> Option<u32> {
        let mut at = cluster;
        for number in 0..MOST_SECTORS {
            if number > 0 && number % self.cluster_sectors == 0 {
                at = self.entry(disk, at)? & 0x0FFF_FFFF;
            }
            let place = self.data
                + u64::from(at.checked_sub(2)?) * self.cluster_sectors
                + number % self.cluster_sectors;
            let mut sector = disk.get(place)?;
            // Attributes 0x0F: part of a long name.
            let mut entries = sector.chunks_exact_mut(ENTRY);
            let found = entries.find(|entry| entry.starts_with(name) && entry.get(11) != Some(&0x0F));
            if let Some(entry) = found {
                let first = (short(entry, 20)? as u32) << 16 | short(entry, 26)? as u32;
                change(entry, first);
                return disk.put(place, &sector).then_some(first);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use std::cell::RefCell;
    use std::collections::BTreeMap;

    /// A disk of 8 GiB of which few sectors are not zeros.
    struct Memory(RefCell<BTreeMap<u64, Vec<u8>>>);

    impl Sectors for Memory {
        fn count(&self) -> u64 {
            8 * GIB / SECTOR as u64
        }
        fn get(&self, at: u64) -> Option<Vec<u8>> {
            Some(self.0.borrow().get(&at).cloned().unwrap_or_else(|| vec![0; SECTOR]))
        }
        fn put(&self, at: u64, sector: &[u8]) -> bool {
            self.0.borrow_mut().insert(at, sector.to_vec());
            true
        }
    }

    /// Two FATs of 16 sectors behind 32 reserved ones, clusters of one sector: the root in 2 and 9, `\out` in 4,
    /// `\out\ring` in 5, `\program.log` in 6, whose entry is in the root's second cluster.
    fn disk() -> Memory {
        let disk = Memory(RefCell::default());
        let mut table = vec![0; SECTOR];
        set(&mut table, 450, &[TYPE, 0, 0, 0]);
        set(&mut table, 454, &(PARTITION as u32).to_le_bytes());
        set(&mut table, 510, &[0x55, 0xAA]);
        disk.put(0, &table);
        let mut boot = vec![0; SECTOR];
        set(&mut boot, 11, &[0, 2, 1, 32, 0, 2]);
        set(&mut boot, 36, &16u32.to_le_bytes());
        set(&mut boot, 44, &2u32.to_le_bytes());
        set(&mut boot, 82, b"FAT32   ");
        disk.put(PARTITION, &boot);
        let entry = |name: &[u8], cluster: u8| {
            let mut entry = name.to_vec();
            entry.resize(ENTRY, 0);
            entry[26] = cluster;
            entry
        };
        let data = |cluster: u64| PARTITION + 64 + cluster - 2;
        let put = |cluster: u64, bytes: &[u8]| {
            let mut sector = vec![0; SECTOR];
            set(&mut sector, 0, bytes);
            disk.put(data(cluster), &sector);
        };
        put(2, &entry(b"OUT        ", 4));
        put(4, &entry(b"RING       ", 5));
        put(9, &entry(b"PROGRAM LOG", 6));
        let volume = Volume::open(&disk).expect("FAT32");
        for (cluster, next) in [(1, u32::MAX), (2, 9), (6, u32::MAX)] {
            volume.set_entry(&disk, cluster, next).expect("set");
        }
        disk
    }

    #[test]
    fn the_disk_of_the_contract_is_told_from_others() {
        assert_eq!(check(&disk()), Ok(()));
        for (at, place, byte, said) in [
            (0, 510, 0, "MBR"),
            (0, 450, 0x0B, "0xb"),
            (0, 455, 0x10, "begins at sector 4096"),
            (0, 466, 7, "more than one"),
            (PARTITION, 82, b'X', "FAT32"),
        ] {
            let disk = disk();
            let mut sector = disk.get(at).expect("a sector");
            sector[place] = byte;
            disk.put(at, &sector);
            assert!(check(&disk).expect_err(said).contains(said), "{said}");
        }
    }

    #[test]
    fn damage_is_in_both_fats_and_in_the_entry() {
        let log = |disk: &Memory| disk.get(PARTITION + 64 + 7).expect("the root")[28..32].to_vec();
        for (what, next, bytes) in
            [(Damage::Free, 0, 1 << 20), (Damage::Ring, 6, u32::MAX), (Damage::Beyond, 0x0FFF_FFE0, 1 << 20)]
        {
            let disk = disk();
            assert!(damage(&disk, what));
            assert_eq!(log(&disk), bytes.to_le_bytes(), "{what:?}");
            for fat in [32, 48] {
                let sector = disk.get(PARTITION + fat).expect("a FAT");
                assert_eq!(long(&sector, 24), Some(next), "{what:?}");
            }
        }
        let disk = disk();
        assert!(damage(&disk, Damage::Flag) && damage(&disk, Damage::Folder));
        assert_eq!(long(&disk.get(PARTITION + 32).expect("a FAT"), 4), Some(!CLEAN));
        assert_eq!(disk.get(PARTITION + 64 + 2).expect("the folder")[26], 4);
    }
}
