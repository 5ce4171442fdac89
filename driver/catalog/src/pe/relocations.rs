//! Rules of the relocations: Windows loads drivers at random addresses.
use super::image::Image;
use object::LittleEndian as LE;
use object::pe;

/// More findings than these of one kind say nothing new.
const ENOUGH: usize = 5;

/// Present, and each of a 64-bit pointer into the image.
pub fn check(image: &Image<'_>) -> Vec<String> {
    if image.headers.file_header.characteristics.get(LE).0 & pe::IMAGE_FILE_RELOCS_STRIPPED.0 != 0 {
        return vec!["they were stripped".to_owned()];
    }
    let (mut findings, mut count) = (Vec::new(), 0u64);
    let result = each(image, |place, kind| {
        count += 1;
        if findings.len() >= ENOUGH {
        } else if kind != pe::IMAGE_REL_BASED_DIR64.0 {
            findings.push(format!("{place:#x} has a relocation of type {kind}, not 10 (64-bit)"));
        } else if pointer(image, place).is_none() {
            findings.push(format!("{place:#x} has a relocation but no pointer into the image"));
        }
    });
    if let Err(error) = result {
        findings.push(format!("they cannot be read: {error}"));
    } else if count == 0 {
        findings.push("there are none".to_owned());
    }
    findings
}

/// Calls `refer` with the place and the target of every pointer that is relocated.
pub fn pointers(image: &Image<'_>, refer: &mut impl FnMut(u32, u32)) {
    // What cannot be read is the other rule's finding.
    let _ = each(image, |place, _| {
        if let Some(target) = pointer(image, place) {
            refer(place, target);
        }
    });
}

fn pointer(image: &Image<'_>, place: u32) -> Option<u32> {
    let bytes = image.at(place)?.get(..8)?;
    image.address_of(u64::from_le_bytes(bytes.try_into().ok()?))
}

/// Calls `relocation` with the place and the type of every relocation.
fn each(image: &Image<'_>, mut relocation: impl FnMut(u32, u16)) -> object::read::Result<()> {
    if image.directory(pe::IMAGE_DIRECTORY_ENTRY_BASERELOC).is_none() {
        return Ok(());
    }
    let blocks = image.directories.relocation_blocks(image.file, &image.table)?;
    for block in blocks.into_iter().flatten() {
        for entry in block? {
            relocation(entry.virtual_address, entry.typ.0);
        }
    }
    Ok(())
}
