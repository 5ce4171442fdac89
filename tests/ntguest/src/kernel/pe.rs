//! The driver image: what crate `object` reads of a PE32+ file, and what it leaves to a loader: the rules
//! that Windows has for a driver, which are checked here and no more leniently, the image as it lies in
//! memory, and its relocation.
//!
//! Rules from WAVERT.md 6.2: x64, native subsystem, checksum, page-aligned sections, none both writable and
//! executable, relocations of type DIR64 only. Every field is the file's word: an address that leaves the
//! image is an error, no panic.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::mem::offset_of;

use object::LittleEndian as LE;
use object::pe::{self, ImageDosHeader, ImageNtHeaders64, ImageSectionHeader, SectionFlags};
use object::read::pe::{
    DataDirectories, ImageNtHeaders as _, ImageOptionalHeader as _, ImageThunkData as _, ImportTable,
    RelocationBlockIterator,
};

mod unwind;

const PAGE: u32 = 4096;
/// No driver we load comes near; keeps a broken header from taking all memory.
const MAX_IMAGE: u32 = 32 << 20;
/// Nor these: they bound the time that a broken import table takes.
const MAX_IMPORTS: usize = 4096;
const MAX_NAME: usize = 256;

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
    flags: SectionFlags,
}

impl Section {
    /// May be written.
    pub fn writable(&self) -> bool {
        self.flags.0 & pe::IMAGE_SCN_MEM_WRITE.0 != 0
    }
    /// May be executed.
    pub fn executable(&self) -> bool {
        self.flags.0 & pe::IMAGE_SCN_MEM_EXECUTE.0 != 0
    }
    /// Is thrown away after DriverEntry.
    pub fn discardable(&self) -> bool {
        self.flags.0 & pe::IMAGE_SCN_MEM_DISCARDABLE.0 != 0
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
    directories: Directories,
}

/// Address and size of the data directories that are read.
#[derive(Debug)]
struct Directories {
    imports: (u32, u32),
    relocations: (u32, u32),
    load_config: (u32, u32),
    /// `.pdata`: RUNTIME_FUNCTION of every function that has a frame.
    exceptions: (u32, u32),
}

/// The `N` bytes at an address of the image.
fn bytes<const N: usize>(image: &mut [u8], at: u32) -> Result<&mut [u8; N], String> {
    let tail = image.get_mut(at as usize..);
    tail.and_then(|tail| tail.first_chunk_mut()).ok_or_else(|| format!("truncated at {at:#x}"))
}
fn word(bytes: &[u8], at: u32) -> Option<u32> {
    bytes.get(at as usize..)?.first_chunk().map(|word| u32::from_le_bytes(*word))
}
fn text(name: &[u8]) -> Result<String, String> {
    require(name.len() < MAX_NAME, "a name without an end")?;
    core::str::from_utf8(name).map(ToString::to_string).map_err(|_| "a name that is no text".to_string())
}
fn require(ok: bool, why: &str) -> Result<(), String> {
    if ok { Ok(()) } else { Err(why.to_string()) }
}

/// The checksum the image should carry: the sum of all 16-bit words but the field itself, with the carry
/// folded in, plus the file's length.
fn checksum(file: &[u8], field: usize) -> u32 {
    let mut sum = 0u64;
    for (i, pair) in file.chunks(2).enumerate() {
        if let [low, high @ ..] = pair
            && ![field, field + 2].contains(&(i * 2))
        {
            sum += u64::from(*low) | u64::from(high.first().copied().unwrap_or(0)) << 8;
        }
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    (sum as u32).wrapping_add(file.len() as u32)
}

impl Pe {
    /// Reads the headers; the error names what Windows or the rules would not have.
    pub fn parse(file: &[u8]) -> Result<Self, String> {
        let unreadable = |error: object::read::Error| error.to_string();
        let dos = ImageDosHeader::parse(file).map_err(|_| "no MZ")?;
        let at = u64::from(dos.nt_headers_offset());
        let mut after = at;
        let (nt, directories) = ImageNtHeaders64::parse(file, &mut after).map_err(unreadable)?;
        let (header, optional) = (nt.file_header(), nt.optional_header());
        require(header.machine.get(LE) == pe::IMAGE_FILE_MACHINE_AMD64, "not an x64 image")?;
        let characteristics = header.characteristics.get(LE).0;
        require(characteristics & pe::IMAGE_FILE_EXECUTABLE_IMAGE.0 != 0, "not an executable image")?;
        require(characteristics & pe::IMAGE_FILE_RELOCS_STRIPPED.0 == 0, "relocations are stripped")?;
        require(optional.subsystem() == pe::IMAGE_SUBSYSTEM_NATIVE, "not the native subsystem")?;
        let flags = optional.dll_characteristics().0;
        require(flags & pe::IMAGE_DLLCHARACTERISTICS_NX_COMPAT.0 != 0, "not NX compatible")?;
        require(optional.section_alignment() == PAGE, "sections are not aligned to pages")?;
        let field =
            offset_of!(ImageNtHeaders64, optional_header) + offset_of!(pe::ImageOptionalHeader64, check_sum);
        let (stored, sum) = (optional.check_sum(), checksum(file, at as usize + field));
        require(stored == sum, &format!("checksum {stored:#x} should be {sum:#x} (link with /RELEASE)"))?;
        let size = optional.size_of_image();
        require(size > 0 && size % PAGE == 0 && size <= MAX_IMAGE, "image size out of range")?;
        let headers = optional.size_of_headers();
        require(headers <= size && headers as usize <= file.len(), "headers larger than the image")?;
        let mut sections = Vec::new();
        let mut end = headers.next_multiple_of(PAGE);
        for header in nt.sections(file, after).map_err(unreadable)?.iter() {
            let section = Section::new(header)?;
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
            // The image's size, which is not exceeded, is whole pages.
            end = end.next_multiple_of(PAGE);
            sections.push(section);
        }
        let pe = Self {
            size,
            sections,
            entry: optional.address_of_entry_point(),
            preferred: optional.image_base(),
            headers,
            directories: Directories::new(&directories),
        };
        require(
            pe.section_of(pe.entry).is_some_and(Section::executable),
            "the entry point is not in an executable section",
        )?;
        for (index, what) in [
            (pe::IMAGE_DIRECTORY_ENTRY_TLS, "thread-local storage"),
            (pe::IMAGE_DIRECTORY_ENTRY_DELAY_IMPORT, "delayed imports"),
            (pe::IMAGE_DIRECTORY_ENTRY_COM_DESCRIPTOR, "managed code"),
        ] {
            require(directory(&directories, index).1 == 0, &format!("{what} in a driver"))?;
        }
        Ok(pe)
    }

    /// The section that holds an address.
    pub fn section_of(&self, rva: u32) -> Option<&Section> {
        self.sections.iter().find(|s| rva.checked_sub(s.rva).is_some_and(|offset| offset < s.size))
    }

    /// Sections that stay in memory (neither PAGE* nor thrown away, and no resources, which the driver does
    /// not touch) without the flag that says so.
    pub fn unmarked(&self) -> impl Iterator<Item = &str> {
        let stays = |s: &&Section| !s.paged() && !s.discardable() && s.name != ".rsrc";
        self.sections
            .iter()
            .filter(stays)
            .filter(|s| s.flags.0 & pe::IMAGE_SCN_MEM_NOT_PAGED.0 == 0)
            .map(|s| s.name.as_str())
    }

    /// The section with the addresses of imports, if it is executable.
    pub fn executable_import_table(&self, imports: &[Import]) -> Option<&str> {
        let sections = imports.iter().filter_map(|import| self.section_of(import.slot));
        sections.into_iter().find(|section| section.executable()).map(|section| section.name.as_str())
    }

    /// The image as it lies in memory, still at its preferred address.
    pub fn lay_out(&self, file: &[u8]) -> Result<Vec<u8>, String> {
        let mut image = vec![0; self.size as usize];
        let headers = file.get(..self.headers as usize);
        copy(&mut image, 0, headers.ok_or("the headers are truncated")?)?;
        for s in &self.sections {
            let from = file.get(s.raw as usize..).and_then(|raw| raw.get(..s.raw_size.min(s.size) as usize));
            copy(&mut image, s.rva, from.ok_or_else(|| format!("section {} is truncated", s.name))?)?;
        }
        Ok(image)
    }

    /// Moves the image to `base`; returns the number of addresses changed.
    pub fn relocate(&self, image: &mut [u8], base: u64) -> Result<usize, String> {
        let delta = base.wrapping_sub(self.preferred);
        let (start, len) = self.directories.relocations;
        let blocks = image.get(start as usize..).and_then(|tail| tail.get(..len as usize));
        // Copied, for what they say is done to the image that they lie in.
        let blocks = blocks.ok_or("the relocations leave the image")?.to_vec();
        let mut done = 0;
        for block in RelocationBlockIterator::new(&blocks) {
            for relocation in block.map_err(|error| error.to_string())? {
                match relocation.typ {
                    pe::IMAGE_REL_BASED_ABSOLUTE => {}
                    pe::IMAGE_REL_BASED_DIR64 => {
                        let slot = bytes::<8>(image, relocation.virtual_address)?;
                        *slot = u64::from_le_bytes(*slot).wrapping_add(delta).to_le_bytes();
                        done += 1;
                    }
                    other => return Err(format!("relocation of type {other}")),
                }
            }
        }
        Ok(done)
    }

    /// What the image imports.
    pub fn imports(&self, image: &[u8]) -> Result<Vec<Import>, String> {
        let mut imports = Vec::new();
        let (start, len) = self.directories.imports;
        if len == 0 {
            return Ok(imports);
        }
        let unreadable = |error: object::read::Error| error.to_string();
        // The image lies as its addresses say, so to the table it is one section that begins at 0.
        let table = ImportTable::new(image, 0, start);
        for descriptor in table.descriptors().map_err(unreadable)? {
            let descriptor = descriptor.map_err(unreadable)?;
            let dll = text(table.name(descriptor.name.get(LE)).map_err(unreadable)?)?;
            let slots = descriptor.first_thunk.get(LE);
            // Without a table of names of its own, the slots hold them until they are bound.
            let names = Some(descriptor.original_first_thunk.get(LE)).filter(|names| *names != 0);
            let mut thunks = table.thunks(names.unwrap_or(slots)).map_err(unreadable)?;
            let mut slot = slots;
            while let Some(thunk) = thunks.next::<ImageNtHeaders64>().map_err(unreadable)? {
                require(!thunk.is_ordinal(), &format!("{dll} is imported by ordinal"))?;
                require(imports.len() < MAX_IMPORTS, "an import table without an end")?;
                let (_, name) = table.hint_name(thunk.address()).map_err(unreadable)?;
                imports.push(Import { dll: dll.clone(), name: text(name)?, slot });
                slot = slot.checked_add(8).ok_or("an import slot outside the image")?;
            }
        }
        Ok(imports)
    }

    /// The largest frame of a function: where the function begins, and the bytes of stack that it takes.
    pub fn largest_frame(&self, image: &[u8]) -> Option<(u32, u32)> {
        let (start, len) = self.directories.exceptions;
        let functions = image.get(start as usize..).and_then(|tail| tail.get(..len as usize))?;
        let frames = functions.chunks_exact(12).filter_map(|function| {
            Some((word(function, 0)?, unwind::frame_bytes(image, word(function, 8)?)?))
        });
        frames.max_by_key(|(_, bytes)| *bytes)
    }

    /// Writes an address into an import slot.
    pub fn bind(image: &mut [u8], slot: u32, address: u64) -> Result<(), String> {
        *bytes(image, slot)? = address.to_le_bytes();
        Ok(())
    }

    /// Gives the image the stack cookie `value`, if it has a place for one. Call it on the image as linked,
    /// before [`Self::relocate`].
    pub fn set_cookie(&self, image: &mut [u8], value: u64) -> Result<(), String> {
        const FIELD: u32 = offset_of!(pe::ImageLoadConfigDirectory64, security_cookie) as u32;
        let (config, len) = self.directories.load_config;
        if len < FIELD + 8 {
            return Ok(());
        }
        let field = config.checked_add(FIELD).ok_or("the load configuration leaves the image")?;
        let address = u64::from_le_bytes(*bytes(image, field)?);
        let rva = address.checked_sub(self.preferred).and_then(|rva| u32::try_from(rva).ok());
        if let Some(cookie) = rva.and_then(|rva| bytes(image, rva).ok()) {
            *cookie = value.to_le_bytes();
        }
        Ok(())
    }
}

impl Section {
    fn new(header: &ImageSectionHeader) -> Result<Self, String> {
        let name = String::from_utf8_lossy(header.raw_name()).to_string();
        let size = header.virtual_size.get(LE);
        require(size != 0, &format!("section {name} is empty"))?;
        Ok(Self {
            name,
            size,
            rva: header.virtual_address.get(LE),
            raw_size: header.size_of_raw_data.get(LE),
            raw: header.pointer_to_raw_data.get(LE),
            flags: header.characteristics.get(LE),
        })
    }
}

impl Directories {
    fn new(all: &DataDirectories<'_>) -> Self {
        Self {
            imports: directory(all, pe::IMAGE_DIRECTORY_ENTRY_IMPORT),
            relocations: directory(all, pe::IMAGE_DIRECTORY_ENTRY_BASERELOC),
            load_config: directory(all, pe::IMAGE_DIRECTORY_ENTRY_LOAD_CONFIG),
            exceptions: directory(all, pe::IMAGE_DIRECTORY_ENTRY_EXCEPTION),
        }
    }
}

fn directory(all: &DataDirectories<'_>, index: usize) -> (u32, u32) {
    all.iter().nth(index).map_or((0, 0), pe::ImageDataDirectory::address_range)
}

fn copy(image: &mut [u8], rva: u32, from: &[u8]) -> Result<(), String> {
    let tail = image.get_mut(rva as usize..).and_then(|tail| tail.get_mut(..from.len()));
    tail.ok_or("a section leaves the image")?.copy_from_slice(from);
    Ok(())
}

#[cfg(test)]
mod tests;
