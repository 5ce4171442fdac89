//! Reads ISO 9660 with Joliet from a CD's sectors (ECMA-119; Joliet specification 1.0): OVMF has no driver
//! for it. Every number comes from the medium and is checked.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

/// Bytes of a sector, and of a logical block (no CD in use has another).
pub const SECTOR: usize = 2048;
/// The first volume descriptor; how many are looked at; how deep and how many entries are walked.
const DESCRIPTORS: u32 = 16;
const MOST_DESCRIPTORS: u32 = 16;
const DEEPEST: usize = 8;
const MOST_ENTRIES: usize = 4096;
/// A folder or a file that is read whole.
const LARGEST: u32 = 256 << 20;

/// Where sectors come from.
pub trait Sectors {
    /// Reads the sectors from `at` on; `into` is a whole number of them. Gives whether it could.
    fn read(&self, at: u32, into: &mut [u8]) -> bool;
}

/// A file or a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// From the root, with `\` before each name.
    pub path: String,
    /// Whether it is a folder.
    pub folder: bool,
    start: u32,
    bytes: u32,
}

/// A volume's label and all its entries.
#[derive(Debug)]
pub struct Volume {
    /// The volume identifier.
    pub label: String,
    /// Files and folders, in no order that matters.
    pub entries: Vec<Entry>,
}

impl Volume {
    /// Reads the folders of a CD; none if it has no Joliet volume, or not a sound one.
    pub fn open(sectors: &impl Sectors) -> Option<Self> {
        let descriptor = supplementary(sectors)?;
        let label = text(descriptor.get(40..72)?);
        let root = record(descriptor.get(156..190)?)?;
        let mut volume = Self { label: label.trim_end_matches([' ', '\0']).into(), entries: Vec::new() };
        volume.walk(sectors, "", root.start, root.bytes, 0)?;
        Some(volume)
    }

    /// The entry with this path, whatever the case of its letters.
    pub fn find(&self, path: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.path.eq_ignore_ascii_case(path))
    }

    /// The bytes of a file.
    pub fn read(&self, sectors: &impl Sectors, path: &str) -> Option<Vec<u8>> {
        let entry = self.find(path).filter(|entry| !entry.folder)?;
        read(sectors, entry.start, entry.bytes)
    }

    fn walk(
        &mut self,
        sectors: &impl Sectors,
        folder: &str,
        start: u32,
        bytes: u32,
        depth: usize,
    ) -> Option<()> {
        let data = read(sectors, start, bytes)?;
        for sector in data.chunks(SECTOR) {
            let mut rest = sector;
            while let Some(length) = rest.first().map(|length| usize::from(*length)).filter(|l| *l != 0) {
                let found = record(rest.get(..length)?)?;
                rest = rest.get(length..)?;
                // The folder itself and the one above it.
                if matches!(found.name, [0 | 1]) {
                    continue;
                }
                let name = text(found.name);
                let name = name.split(';').next().unwrap_or_default();
                let path = alloc::format!("{folder}\\{name}");
                if self.entries.len() == MOST_ENTRIES || depth == DEEPEST {
                    return None;
                }
                let (start, bytes, is_folder) = (found.start, found.bytes, found.folder);
                self.entries.push(Entry { path: path.clone(), folder: is_folder, start, bytes });
                if is_folder {
                    self.walk(sectors, &path, start, bytes, depth + 1)?;
                }
            }
        }
        Some(())
    }
}

/// The supplementary volume descriptor of Joliet.
fn supplementary(sectors: &impl Sectors) -> Option<Vec<u8>> {
    let mut sector = vec![0; SECTOR];
    for at in DESCRIPTORS..DESCRIPTORS + MOST_DESCRIPTORS {
        if !sectors.read(at, &mut sector) || sector.get(1..6)? != b"CD001" {
            return None;
        }
        let joliet = matches!(sector.get(88..91)?, [b'%', b'/', b'@' | b'C' | b'E']);
        match sector.first()? {
            2 if joliet => return Some(sector),
            255 => return None,
            _ => {}
        }
    }
    None
}

struct Record<'a> {
    start: u32,
    bytes: u32,
    folder: bool,
    name: &'a [u8],
}

/// A directory record (ECMA-119, 9.1). A file in several extents is none that is read here.
fn record(bytes: &[u8]) -> Option<Record<'_>> {
    let number = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    let flags = *bytes.get(25)?;
    let name = bytes.get(33..33 + usize::from(*bytes.get(32)?))?;
    (flags & 0x80 == 0).then_some(())?;
    Some(Record { start: number(2)?, bytes: number(10)?, folder: flags & 2 != 0, name })
}

fn read(sectors: &impl Sectors, start: u32, bytes: u32) -> Option<Vec<u8>> {
    (bytes <= LARGEST).then_some(())?;
    let bytes = bytes as usize;
    let mut data = vec![0; bytes.next_multiple_of(SECTOR)];
    (data.is_empty() || sectors.read(start, &mut data)).then_some(())?;
    data.truncate(bytes);
    Some(data)
}

/// UCS-2, the high byte first.
fn text(bytes: &[u8]) -> String {
    let units = bytes.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
    char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Disc(Vec<u8>);
    impl Sectors for Disc {
        fn read(&self, at: u32, into: &mut [u8]) -> bool {
            let from = at as usize * SECTOR;
            let Some(bytes) = self.0.get(from..from + into.len()) else { return false };
            into.copy_from_slice(bytes);
            true
        }
    }

    fn ucs2(text: &str) -> Vec<u8> {
        text.encode_utf16().flat_map(u16::to_be_bytes).collect()
    }

    fn entry(name: &[u8], start: u32, bytes: u32, flags: u8) -> Vec<u8> {
        let mut record = vec![0; 33];
        record[2..6].copy_from_slice(&start.to_le_bytes());
        record[10..14].copy_from_slice(&bytes.to_le_bytes());
        record[25] = flags;
        record[32] = u8::try_from(name.len()).expect("short");
        record.extend(name);
        record.resize(record.len().next_multiple_of(2), 0);
        record[0] = u8::try_from(record.len()).expect("short");
        record
    }

    /// A disc with `\Answer.xml` and `\folder\a.cmd`.
    fn disc() -> Disc {
        let mut data = vec![0; 24 * SECTOR];
        let mut put = |at: usize, bytes: &[u8]| data[at..at + bytes.len()].copy_from_slice(bytes);
        put(16 * SECTOR, b"\x01CD001");
        put(17 * SECTOR, b"\x02CD001");
        put(17 * SECTOR + 40, &ucs2("RINGWAVE        "));
        put(17 * SECTOR + 88, b"%/E");
        put(17 * SECTOR + 156, &entry(&[0], 20, 2048, 2));
        let dots = [entry(&[0], 20, 2048, 2), entry(&[1], 20, 2048, 2)].concat();
        let root =
            [dots.clone(), entry(&ucs2("Answer.xml;1"), 22, 5, 0), entry(&ucs2("folder"), 21, 2048, 2)];
        put(20 * SECTOR, &root.concat());
        put(21 * SECTOR, &[dots, entry(&ucs2("a.cmd;1"), 23, 3, 0)].concat());
        put(22 * SECTOR, b"<xml>");
        put(23 * SECTOR, b"rem");
        Disc(data)
    }

    #[test]
    fn finds_and_reads_what_is_there() {
        let disc = disc();
        let volume = Volume::open(&disc).expect("a volume");
        assert_eq!(volume.label, "RINGWAVE");
        assert_eq!(volume.read(&disc, "\\ANSWER.XML").as_deref(), Some(&b"<xml>"[..]));
        assert_eq!(volume.read(&disc, "\\folder\\a.cmd").as_deref(), Some(&b"rem"[..]));
        assert_eq!(volume.read(&disc, "\\folder"), None);
        assert_eq!(volume.entries.len(), 3);
    }

    #[test]
    fn a_medium_that_lies_is_no_volume() {
        let (whole, mut ring, mut past) = (disc(), disc(), disc());
        // A folder that holds itself; one beyond the end.
        ring.0[21 * SECTOR..][..SECTOR].fill(0);
        let itself = entry(&ucs2("folder"), 21, 2048, 2);
        ring.0[21 * SECTOR..][..itself.len()].copy_from_slice(&itself);
        past.0[17 * SECTOR + 156 + 2] = 200;
        let broken = [ring, past, Disc(whole.0[..18 * SECTOR].to_vec()), Disc(vec![0; 40 * SECTOR])];
        assert!(broken.iter().all(|disc| Volume::open(disc).is_none()));
    }
}
