//! Rules of the headers: format, subsystem, checksum.
use super::image::Image;
use crate::authenticode;
use object::LittleEndian as LE;
use object::pe;

/// A 64-bit image for x64 that needs nothing of the loader which the kernel's does not do.
pub fn format(image: &Image<'_>) -> Vec<String> {
    let mut findings = Vec::new();
    let header = &image.headers.file_header;
    if header.machine.get(LE) != pe::IMAGE_FILE_MACHINE_AMD64 {
        findings.push(format!("machine {:#x} is not x64", header.machine.get(LE).0));
    }
    if header.characteristics.get(LE).0 & pe::IMAGE_FILE_EXECUTABLE_IMAGE.0 == 0 {
        findings.push("the linker marked it as not complete (EXECUTABLE_IMAGE is not set)".to_owned());
    }
    // The kernel's loader does none of these: what depends on it would not work, or worse, seem to.
    let ignored = [
        (pe::IMAGE_DIRECTORY_ENTRY_TLS, "thread-local storage"),
        (pe::IMAGE_DIRECTORY_ENTRY_BOUND_IMPORT, "bound imports"),
        (pe::IMAGE_DIRECTORY_ENTRY_DELAY_IMPORT, "delayed imports"),
        (pe::IMAGE_DIRECTORY_ENTRY_COM_DESCRIPTOR, "managed code"),
    ];
    for (index, name) in ignored {
        if image.directory(index).is_some() {
            findings.push(format!("it has {name}, which a driver cannot have"));
        }
    }
    findings
}

/// The native subsystem and the flags of a driver of today.
pub fn subsystem(image: &Image<'_>) -> Vec<String> {
    let mut findings = Vec::new();
    let optional = &image.headers.optional_header;
    if optional.subsystem.get(LE) != pe::IMAGE_SUBSYSTEM_NATIVE {
        findings.push(format!("subsystem {} is not 1 (native)", optional.subsystem.get(LE).0));
    }
    let version = (optional.major_subsystem_version.get(LE), optional.minor_subsystem_version.get(LE));
    if version != (10, 0) {
        findings.push(format!("it is for Windows {}.{}, not 10.0", version.0, version.1));
    }
    let flags = optional.dll_characteristics.get(LE).0;
    for (flag, name) in [
        (pe::IMAGE_DLLCHARACTERISTICS_NX_COMPAT.0, "NX_COMPAT"),
        (pe::IMAGE_DLLCHARACTERISTICS_DYNAMIC_BASE.0, "DYNAMIC_BASE"),
    ] {
        if flags & flag == 0 {
            findings.push(format!("{name} is not set"));
        }
    }
    findings
}

/// Windows checks a driver's checksum, unlike a program's.
pub fn checksum(image: &Image<'_>) -> Vec<String> {
    let listed = image.headers.optional_header.check_sum.get(LE);
    match authenticode::checksum(image.file) {
        Ok(computed) if computed == listed => Vec::new(),
        Ok(computed) => vec![format!("the header has {listed:#x}, the file's is {computed:#x}")],
        Err(error) => vec![error.to_string()],
    }
}
