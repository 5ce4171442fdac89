//! Rules of the sections: where they lie, what may be done with their pages, which are thrown away.
use super::code;
use super::image::{DISCARDABLE, EXECUTE, Image, NOT_PAGED, Section, WRITE};
use super::relocations;
use crate::authenticode;
use object::LittleEndian as LE;

/// A page of x64. HVCI gives pages one protection each, so that a section must begin on one.
const PAGE: u32 = 4096;
/// The smallest file alignment the format allows.
const SECTOR: u32 = 512;

/// Sections follow each other on whole pages and in whole sectors of the file.
pub fn alignment(image: &Image<'_>) -> Vec<String> {
    let optional = &image.headers.optional_header;
    let (in_memory, in_file) = (optional.section_alignment.get(LE), optional.file_alignment.get(LE));
    if in_memory != PAGE {
        return vec![format!("section alignment is {in_memory}, not {PAGE}")];
    }
    if !(SECTOR..=PAGE).contains(&in_file) || !in_file.is_power_of_two() {
        return vec![format!("file alignment is {in_file}, not a power of two from {SECTOR} to {PAGE}")];
    }
    let mut findings = Vec::new();
    let headers = u64::from(optional.size_of_headers.get(LE));
    let (mut address, mut offset) = (headers.next_multiple_of(PAGE.into()), headers);
    for section in &image.sections {
        if u64::from(section.address) != address {
            findings.push(format!("{} is at {:#x}, not at {address:#x}", section.name, section.address));
        }
        if section.file_size != 0 && u64::from(section.offset) != offset {
            findings.push(format!(
                "{} is at offset {:#x} of the file, not at {offset:#x}",
                section.name, section.offset
            ));
        }
        if !section.file_size.is_multiple_of(in_file) || section.file_end() > image.file.len() as u64 {
            findings.push(format!("{} has {:#x} bytes of the file", section.name, section.file_size));
        }
        address = section.end().next_multiple_of(PAGE.into());
        offset = if section.file_size == 0 { offset } else { section.file_end() };
    }
    if u64::from(optional.size_of_image.get(LE)) != address {
        findings.push(format!("the image's size is {:#x}, not {address:#x}", optional.size_of_image.get(LE)));
    }
    findings
}

/// No section's pages can be both written and executed: HVCI refuses the driver.
pub fn writable(image: &Image<'_>) -> Vec<String> {
    let both = image.sections.iter().filter(|section| section.is(WRITE | EXECUTE));
    both.map(|section| format!("{} is writable and executable", section.name)).collect()
}

/// What stays in memory says so, as Microsoft's linker marks a driver's sections: all but those that are
/// thrown away, resources, and code that is meant to be paged, whose sections begin with PAGE ("Making
/// Drivers Pageable").
pub fn not_paged(image: &Image<'_>) -> Vec<String> {
    let pageable = |section: &&Section<'_>| {
        section.is(DISCARDABLE) || section.name == ".rsrc" || section.name.starts_with("PAGE")
    };
    let stay = image.sections.iter().filter(|section| !pageable(section));
    let wrong = stay.filter(|section| !section.is(NOT_PAGED));
    wrong.map(|section| format!("{} does not say NOT_PAGED", section.name)).collect()
}

/// The code of the start lies where Windows throws it away.
pub fn init(image: &Image<'_>) -> Vec<String> {
    let Some(init) = image.sections.iter().find(|section| section.name == "INIT") else {
        return vec!["there is no INIT section".to_owned()];
    };
    let mut findings = Vec::new();
    if !init.is(DISCARDABLE) {
        findings.push("INIT is not discardable".to_owned());
    }
    if !init.is(EXECUTE) {
        findings.push("INIT is not executable".to_owned());
    }
    let entry = image.headers.optional_header.address_of_entry_point.get(LE);
    if !init.contains(entry) {
        findings.push(format!("the entry point {entry:#x} is not in INIT"));
    }
    findings
}

/// Only INIT and `.reloc` are thrown away, and nothing that stays goes there.
pub fn discarded(image: &Image<'_>) -> Vec<String> {
    let expected = |section: &Section<'_>| matches!(section.name.as_str(), "INIT" | ".reloc");
    let mut findings: Vec<String> = image
        .sections
        .iter()
        .filter(|section| section.is(DISCARDABLE) && !expected(section))
        .map(|section| format!("{} is discardable", section.name))
        .collect();
    let thrown_away = |address: u32| image.section_at(address).is_some_and(|section| section.is(DISCARDABLE));
    let mut refer = |from: u32, to: u32| {
        if thrown_away(to) && !thrown_away(from) {
            findings.push(format!("{from:#x} refers to {to:#x}, which is thrown away after the start"));
        }
    };
    code::references(image, &mut refer);
    relocations::pointers(image, &mut refer);
    findings
}

/// Compilers write `.retplne` for an optimisation of calls to imports; Microsoft's linker turns it into
/// something else, others leave it in the image, where Windows does not expect it.
pub fn retplne(image: &Image<'_>) -> Vec<String> {
    let found = image.sections.iter().any(|section| section.name == ".retplne");
    if found { vec!["there is a .retplne section".to_owned()] } else { Vec::new() }
}

/// The file ends with its last section, or with the signatures that begin there.
pub fn overlay(image: &Image<'_>) -> Vec<String> {
    let headers = u64::from(image.headers.optional_header.size_of_headers.get(LE));
    let end = image.sections.iter().map(Section::file_end).max().unwrap_or(0).max(headers);
    let mut findings = Vec::new();
    match authenticode::layout(image.file) {
        Err(error) => findings.push(error.to_string()),
        Ok(layout) => {
            let until = layout.signatures as u64;
            if until != end && until != end.next_multiple_of(8) {
                findings.push(format!("{} bytes behind the last section", until.saturating_sub(end)));
            }
        }
    }
    let header = &image.headers.file_header;
    if header.pointer_to_symbol_table.get(LE) != 0 || header.number_of_symbols.get(LE) != 0 {
        findings.push("it has a COFF symbol table".to_owned());
    }
    findings
}
