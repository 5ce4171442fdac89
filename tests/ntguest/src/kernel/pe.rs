//! The driver image: a strict reader of PE32+ files, no more lenient than Windows is with a driver.
//!
//! Rules from WAVERT.md 6.2: x64, native subsystem, checksum, page-aligned sections, none both writable
//! and executable, relocations of type DIR64 only.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

const MACHINE_AMD64: u16 = 0x8664;
const MAGIC_PE32_PLUS: u16 = 0x20b;
const SUBSYSTEM_NATIVE: u16 = 1;
const EXECUTABLE_IMAGE: u16 = 2;
const RELOCS_STRIPPED: u16 = 1;
const NX_COMPAT: u16 = 0x100;
const PAGE: u32 = 4096;
/// No driver we load comes near; keeps a broken header from taking all memory.
const MAX_IMAGE: u32 = 32 << 20;

const DIR_IMPORT: usize = 1;
const DIR_RELOC: usize = 5;
const DIR_TLS: usize = 9;
const DIR_LOAD_CONFIG: usize = 10;
const DIR_DELAY_IMPORT: usize = 13;
const DIR_CLR: usize = 14;

/// IMAGE_SCN_MEM_*.
const SCN_DISCARDABLE: u32 = 1 << 25;
const SCN_NOT_PAGED: u32 = 1 << 27;
const SCN_EXECUTE: u32 = 1 << 29;
const SCN_WRITE: u32 = 1 << 31;

/// A section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// Name without padding.
    pub name: String,
    /// First byte, relative to the image.
    pub rva: u32,
    /// Bytes in memory.
    pub size: u32,
    raw: u32,
    raw_size: u32,
    flags: u32,
}

impl Section {
    /// May be written.
    pub fn writable(&self) -> bool {
        self.flags & SCN_WRITE != 0
    }
    /// May be executed.
    pub fn executable(&self) -> bool {
        self.flags & SCN_EXECUTE != 0
    }
    /// Is thrown away after DriverEntry.
    pub fn discardable(&self) -> bool {
        self.flags & SCN_DISCARDABLE != 0
    }
    /// Is pageable: must not be touched at DISPATCH or above.
    pub fn paged(&self) -> bool {
        self.name.starts_with("PAGE")
    }
}

/// An import by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    /// As written in the image.
    pub dll: String,
    /// As written in the image.
    pub name: String,
    /// Where its address belongs, relative to the image.
    pub slot: u32,
}

/// A driver image whose headers were found in order.
#[derive(Debug)]
pub struct Pe {
    /// Bytes of the image in memory.
    pub size: u32,
    /// Its sections in ascending order.
    pub sections: Vec<Section>,
    /// DriverEntry, relative to the image.
    pub entry: u32,
    preferred: u64,
    headers: u32,
    directories: Vec<(u32, u32)>,
}

fn bytes<const N: usize>(data: &[u8], at: usize) -> Result<[u8; N], String> {
    at.checked_add(N)
        .and_then(|end| data.get(at..end))
        .and_then(|s| s.try_into().ok())
        .ok_or_else(|| format!("truncated at {at:#x}"))
}
fn u16_at(data: &[u8], at: usize) -> Result<u16, String> {
    bytes(data, at).map(u16::from_le_bytes)
}
fn u32_at(data: &[u8], at: usize) -> Result<u32, String> {
    bytes(data, at).map(u32::from_le_bytes)
}
fn u64_at(data: &[u8], at: usize) -> Result<u64, String> {
    bytes(data, at).map(u64::from_le_bytes)
}
fn text_at(data: &[u8], at: usize) -> Result<String, String> {
    let tail = data.get(at..).ok_or_else(|| format!("truncated at {at:#x}"))?;
    let len = tail.iter().take(256).position(|b| *b == 0).ok_or("a name without an end")?;
    core::str::from_utf8(&tail[..len])
        .map(ToString::to_string)
        .map_err(|_| "a name that is no text".to_string())
}
fn require(ok: bool, why: &str) -> Result<(), String> {
    if ok { Ok(()) } else { Err(why.to_string()) }
}

/// The checksum the image should carry: the sum of all 16-bit words but the field itself, with the carry
/// folded in, plus the file's length.
fn checksum(file: &[u8], field: usize) -> u32 {
    let mut sum = 0u64;
    for (i, pair) in file.chunks(2).enumerate() {
        if i * 2 == field || i * 2 == field + 2 {
            continue;
        }
        sum += u64::from(pair[0]) | u64::from(pair.get(1).copied().unwrap_or(0)) << 8;
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    (sum as u32).wrapping_add(file.len() as u32)
}

impl Pe {
    /// Reads the headers; the error names what Windows or the rules would not have.
    pub fn parse(file: &[u8]) -> Result<Self, String> {
        require(u16_at(file, 0)? == 0x5a4d, "no MZ")?;
        let pe = u32_at(file, 0x3c)? as usize;
        require(u32_at(file, pe)? == 0x4550, "no PE signature")?;
        require(u16_at(file, pe + 4)? == MACHINE_AMD64, "not an x64 image")?;
        let count = u16_at(file, pe + 6)? as usize;
        let optional = pe + 24;
        let optional_size = u16_at(file, pe + 20)? as usize;
        let characteristics = u16_at(file, pe + 22)?;
        require(characteristics & EXECUTABLE_IMAGE != 0, "not an executable image")?;
        require(characteristics & RELOCS_STRIPPED == 0, "relocations are stripped")?;
        require(u16_at(file, optional)? == MAGIC_PE32_PLUS, "not PE32+")?;
        require(u16_at(file, optional + 68)? == SUBSYSTEM_NATIVE, "not the native subsystem")?;
        require(u16_at(file, optional + 70)? & NX_COMPAT != 0, "not NX compatible")?;
        require(u32_at(file, optional + 32)? == PAGE, "sections are not aligned to pages")?;
        let stored = u32_at(file, optional + 64)?;
        let sum = checksum(file, optional + 64);
        require(stored == sum, &format!("checksum {stored:#x} should be {sum:#x} (link with /RELEASE)"))?;
        let size = u32_at(file, optional + 56)?;
        require(size > 0 && size % PAGE == 0 && size <= MAX_IMAGE, "image size out of range")?;
        let headers = u32_at(file, optional + 60)?;
        require(headers <= size && headers as usize <= file.len(), "headers larger than the image")?;
        let rooms = u32_at(file, optional + 108)?.min(16) as usize;
        let mut directories = Vec::new();
        for i in 0..rooms {
            directories.push((u32_at(file, optional + 112 + i * 8)?, u32_at(file, optional + 116 + i * 8)?));
        }
        let mut sections = Vec::new();
        let mut end = headers.next_multiple_of(PAGE);
        for i in 0..count {
            let section = read_section(file, optional + optional_size + i * 40)?;
            require(
                section.rva >= end && section.rva % PAGE == 0,
                &format!("section {} overlaps or is not aligned", section.name),
            )?;
            require(
                !(section.writable() && section.executable()),
                &format!("section {} is writable and executable", section.name),
            )?;
            end = section
                .rva
                .checked_add(section.size)
                .filter(|e| *e <= size)
                .ok_or_else(|| format!("section {} leaves the image", section.name))?;
            end = end.next_multiple_of(PAGE);
            sections.push(section);
        }
        let entry = u32_at(file, optional + 16)?;
        let pe =
            Self { size, sections, entry, preferred: u64_at(file, optional + 24)?, headers, directories };
        require(
            pe.section_of(entry).is_some_and(Section::executable),
            "the entry point is not in an executable section",
        )?;
        for (index, what) in [
            (DIR_TLS, "thread-local storage"),
            (DIR_DELAY_IMPORT, "delayed imports"),
            (DIR_CLR, "managed code"),
        ] {
            require(pe.directory(index).1 == 0, &format!("{what} in a driver"))?;
        }
        Ok(pe)
    }

    /// The section that holds an address.
    pub fn section_of(&self, rva: u32) -> Option<&Section> {
        self.sections.iter().find(|s| rva >= s.rva && rva < s.rva + s.size)
    }

    /// Sections that stay in memory (neither PAGE* nor thrown away, and no resources, which the driver does not touch) without the flag
    /// that says so.
    pub fn unmarked(&self) -> impl Iterator<Item = &str> {
        let stays = |s: &&Section| !s.paged() && !s.discardable() && s.name != ".rsrc";
        self.sections.iter().filter(stays).filter(|s| s.flags & SCN_NOT_PAGED == 0).map(|s| s.name.as_str())
    }

    fn directory(&self, index: usize) -> (u32, u32) {
        self.directories.get(index).copied().unwrap_or((0, 0))
    }

    /// The image as it lies in memory, still at its preferred address.
    pub fn lay_out(&self, file: &[u8]) -> Result<Vec<u8>, String> {
        let mut image = vec![0; self.size as usize];
        image[..self.headers as usize].copy_from_slice(&file[..self.headers as usize]);
        for s in &self.sections {
            let n = s.raw_size.min(s.size) as usize;
            let from = file
                .get(s.raw as usize..s.raw as usize + n)
                .ok_or_else(|| format!("section {} is truncated", s.name))?;
            image[s.rva as usize..s.rva as usize + n].copy_from_slice(from);
        }
        Ok(image)
    }

    /// Moves the image to `base`; returns the number of addresses changed.
    pub fn relocate(&self, image: &mut [u8], base: u64) -> Result<usize, String> {
        let delta = base.wrapping_sub(self.preferred);
        let (start, len) = self.directory(DIR_RELOC);
        let (mut at, end) = (start as usize, start as usize + len as usize);
        let mut done = 0;
        while at < end {
            let (page, block) = (u32_at(image, at)? as usize, u32_at(image, at + 4)? as usize);
            require(block >= 8 && at + block <= end, "a broken relocation block")?;
            for i in 0..(block - 8) / 2 {
                let entry = u16_at(image, at + 8 + i * 2)?;
                match entry >> 12 {
                    0 => {}
                    10 => {
                        let slot = page + usize::from(entry & 0xfff);
                        let moved = u64_at(image, slot)?.wrapping_add(delta);
                        image[slot..slot + 8].copy_from_slice(&moved.to_le_bytes());
                        done += 1;
                    }
                    other => return Err(format!("relocation of type {other}")),
                }
            }
            at += block;
        }
        Ok(done)
    }

    /// What the image imports.
    pub fn imports(&self, image: &[u8]) -> Result<Vec<Import>, String> {
        let mut imports = Vec::new();
        let (start, len) = self.directory(DIR_IMPORT);
        if len == 0 {
            return Ok(imports);
        }
        for descriptor in (start as usize..).step_by(20).take(64) {
            let name = u32_at(image, descriptor + 12)? as usize;
            if name == 0 {
                return Ok(imports);
            }
            let dll = text_at(image, name)?;
            let names = u32_at(image, descriptor)? as usize;
            let slots = u32_at(image, descriptor + 16)?;
            for i in 0..4096u32 {
                let entry = u64_at(image, names + i as usize * 8)?;
                if entry == 0 {
                    break;
                }
                require(entry >> 63 == 0, &format!("{dll} is imported by ordinal"))?;
                imports.push(Import {
                    dll: dll.clone(),
                    name: text_at(image, entry as usize + 2)?,
                    slot: slots + i * 8,
                });
            }
        }
        Err("an import table without an end".to_string())
    }

    /// Writes an address into an import slot.
    pub fn bind(image: &mut [u8], slot: u32, address: u64) -> Result<(), String> {
        let at = slot as usize;
        image
            .get_mut(at..at + 8)
            .ok_or("an import slot outside the image")?
            .copy_from_slice(&address.to_le_bytes());
        Ok(())
    }

    /// Where the stack cookie lies, relative to the image, if the image has one. Call it on the image as
    /// linked, before [`Self::relocate`].
    pub fn cookie(&self, image: &[u8]) -> Option<u32> {
        let (config, len) = self.directory(DIR_LOAD_CONFIG);
        if len < 0x60 {
            return None;
        }
        let address = u64_at(image, config as usize + 0x58).ok()?;
        let rva = address.checked_sub(self.preferred).filter(|r| *r + 8 <= u64::from(self.size))?;
        Some(rva as u32)
    }
}

fn read_section(file: &[u8], at: usize) -> Result<Section, String> {
    let raw: [u8; 8] = bytes(file, at)?;
    let name = String::from_utf8_lossy(&raw).trim_end_matches('\0').to_string();
    let size = u32_at(file, at + 8)?;
    require(size != 0, &format!("section {name} is empty"))?;
    Ok(Section {
        name,
        size,
        rva: u32_at(file, at + 12)?,
        raw_size: u32_at(file, at + 16)?,
        raw: u32_at(file, at + 20)?,
        flags: u32_at(file, at + 36)?,
    })
}

#[cfg(test)]
#[path = "pe_tests.rs"]
mod tests;
