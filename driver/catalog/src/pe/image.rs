//! A driver image, parsed: headers, sections, and bytes by their address in memory. Every access is checked.
use object::LittleEndian as LE;
use object::pe::{self, ImageNtHeaders64};
use object::read::pe::{DataDirectories, ImageNtHeaders as _, SectionTable};

/// Flags of a section (PE format, "Section Flags").
pub const DISCARDABLE: u32 = pe::IMAGE_SCN_MEM_DISCARDABLE.0;
/// Its pages may be executed.
pub const EXECUTE: u32 = pe::IMAGE_SCN_MEM_EXECUTE.0;
/// Its pages are never paged out.
pub const NOT_PAGED: u32 = pe::IMAGE_SCN_MEM_NOT_PAGED.0;
/// Its pages may be written.
pub const WRITE: u32 = pe::IMAGE_SCN_MEM_WRITE.0;

/// A section.
#[derive(Clone, Debug)]
pub struct Section<'a> {
    /// Its name; at most eight bytes.
    pub name: String,
    /// Its address, relative to the image's start.
    pub address: u32,
    /// Its size in memory in bytes.
    pub size: u32,
    /// Its offset in the file.
    pub offset: u32,
    /// Its size in the file in bytes, a multiple of the file alignment.
    pub file_size: u32,
    /// Its flags.
    pub flags: u32,
    /// Its bytes that come from the file and count in memory.
    pub data: &'a [u8],
}

impl Section<'_> {
    /// Whether it has all of these flags.
    pub fn is(&self, flags: u32) -> bool {
        self.flags & flags == flags
    }

    /// Whether an address is in it.
    pub fn contains(&self, address: u32) -> bool {
        address.checked_sub(self.address).is_some_and(|offset| offset < self.size)
    }

    /// The address behind it, which does not wrap.
    pub fn end(&self) -> u64 {
        u64::from(self.address) + u64::from(self.size)
    }

    /// The offset in the file behind it, which does not wrap.
    pub fn file_end(&self) -> u64 {
        u64::from(self.offset) + u64::from(self.file_size)
    }
}

/// A file is no image.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// Its headers are not those of a 64-bit PE image.
    #[error("not a 64-bit PE image: {0}")]
    Headers(#[from] object::read::Error),
    /// A section's bytes are not in the file.
    #[error("the bytes of section {0} are not in the file")]
    Section(String),
}

/// An image.
pub struct Image<'a> {
    /// The whole file.
    pub file: &'a [u8],
    /// The headers.
    pub headers: &'a ImageNtHeaders64,
    /// The data directories.
    pub directories: DataDirectories<'a>,
    /// The section table as the parser has it.
    pub table: SectionTable<'a>,
    /// The sections in the table's order.
    pub sections: Vec<Section<'a>>,
}

impl<'a> Image<'a> {
    /// Parses a file. An error is a finding of [`super::Rule::Format`].
    pub fn parse(file: &'a [u8]) -> Result<Self, ImageError> {
        let dos = pe::ImageDosHeader::parse(file)?;
        let mut offset = dos.nt_headers_offset().into();
        let (headers, directories) = ImageNtHeaders64::parse(file, &mut offset)?;
        let table = headers.sections(file, offset)?;
        let sections = table.iter().map(|header| section(file, header)).collect::<Result<_, _>>()?;
        Ok(Self { file, headers, directories, table, sections })
    }

    /// A data directory: address and size, none if it is absent or empty.
    pub fn directory(&self, index: usize) -> Option<(u32, u32)> {
        let entry = self.directories.get(index)?;
        let (address, size) = entry.address_range();
        (address != 0 && size != 0).then_some((address, size))
    }

    /// A data directory's bytes, none if they are not all in one section of the file.
    pub fn directory_data(&self, index: usize) -> Option<&'a [u8]> {
        let (address, size) = self.directory(index)?;
        self.at(address)?.get(..size as usize)
    }

    /// The bytes from an address on to the end of its section, none if no section of the file has it.
    pub fn at(&self, address: u32) -> Option<&'a [u8]> {
        let section = self.section_at(address)?;
        section.data.get((address - section.address) as usize..).filter(|data| !data.is_empty())
    }

    /// The section of an address.
    pub fn section_at(&self, address: u32) -> Option<&Section<'a>> {
        self.sections.iter().find(|section| section.contains(address))
    }

    /// The address in the image of an absolute pointer, none if it points elsewhere.
    pub fn address_of(&self, pointer: u64) -> Option<u32> {
        let optional = &self.headers.optional_header;
        let address = u32::try_from(pointer.checked_sub(optional.image_base.get(LE))?).ok()?;
        (address < optional.size_of_image.get(LE)).then_some(address)
    }
}

fn section<'a>(file: &'a [u8], header: &pe::ImageSectionHeader) -> Result<Section<'a>, ImageError> {
    let bytes: Vec<u8> = header.name.iter().copied().take_while(|byte| *byte != 0).collect();
    let name = String::from_utf8_lossy(&bytes).into_owned();
    let data = header.pe_data(file).map_err(|_| ImageError::Section(name.clone()))?;
    Ok(Section {
        name,
        address: header.virtual_address.get(LE),
        size: header.virtual_size.get(LE),
        offset: header.pointer_to_raw_data.get(LE),
        file_size: header.size_of_raw_data.get(LE),
        flags: header.characteristics.get(LE).0,
        data,
    })
}
