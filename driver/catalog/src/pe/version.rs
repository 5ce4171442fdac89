//! The rule of the version resource: what Device Manager and a crash dump show of the driver.
use super::image::Image;
use crate::authenticode::read_u32;
use object::pe;
use object::read::pe::{ResourceDirectory, ResourceDirectoryEntryData};

/// `VS_FIXEDFILEINFO.dwSignature`, which begins the fixed part.
const SIGNATURE: u32 = 0xFEEF_04BD;
/// `VFT_DRV`.
const DRIVER: u32 = 3;
/// Offset of the fixed part: three lengths, the key `VS_VERSION_INFO` with its zero, up to a multiple of
/// four.
const FIXED: usize = 40;

/// There is one, and it says that the file is a driver and which version it is.
pub fn check(image: &Image<'_>) -> Vec<String> {
    let Some(info) = resource(image) else { return vec!["there is no version resource".to_owned()] };
    let word = |index: usize| read_u32(info, FIXED + 4 * index).unwrap_or(0);
    let mut findings = Vec::new();
    if word(0) != SIGNATURE {
        return vec!["the version resource cannot be read".to_owned()];
    }
    // Version 0.0.0.0 is what an empty template has.
    if (word(2), word(3)) == (0, 0) {
        findings.push("the version resource has no file version".to_owned());
    }
    if word(9) != DRIVER {
        findings.push(format!("the version resource says type {}, not {DRIVER} (driver)", word(9)));
    }
    findings
}

/// The bytes of the first `RT_VERSION` resource.
fn resource<'a>(image: &Image<'a>) -> Option<&'a [u8]> {
    let directory = ResourceDirectory::new(image.directory_data(pe::IMAGE_DIRECTORY_ENTRY_RESOURCE)?);
    let types = directory.root().ok()?;
    let version = types.entries.iter().find(|entry| entry.name_or_id().id() == Some(pe::RT_VERSION))?;
    let mut data = version.data(directory).ok()?;
    // Name, then language.
    for _ in 0..2 {
        data = data.table()?.entries.first()?.data(directory).ok()?;
    }
    let ResourceDirectoryEntryData::Data(entry) = data else { return None };
    let (address, size) =
        (entry.offset_to_data.get(object::LittleEndian), entry.size.get(object::LittleEndian));
    image.at(address)?.get(..size as usize)
}
