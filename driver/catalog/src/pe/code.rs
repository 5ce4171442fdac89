//! Rules of the code: every instruction of every executable section is decoded.
//!
//! Functions with a frame are found through the exception directory (`.pdata`); small ones have no entry
//! there. So the whole section is decoded from front to end, begun anew at each function's bounds; between
//! functions lies padding that decodes as harmless instructions. Nothing is left out, and data in a code
//! section, which no compiler of ours writes, is a finding.
use super::image::{EXECUTE, Image, Section};
use crate::authenticode::read_u32;
use iced_x86::{Decoder, DecoderOptions, EncodingKind, Instruction};
use object::pe;

/// More findings than these say nothing new.
const ENOUGH: usize = 5;

/// No instruction in a form that came with AVX (VEX, EVEX, XOP), and all bytes are instructions.
///
/// A kernel thread's wide registers are saved only between `KeSaveExtendedProcessorState` and its
/// counterpart, which the driver does not call: an AVX instruction would destroy those of a program.
pub fn check(image: &Image<'_>) -> Vec<String> {
    let (mut findings, mut code) = (Vec::new(), 0);
    if let Err(error) = functions(image) {
        findings.push(error);
    }
    each(image, |address, instruction| {
        code += 1;
        if findings.len() >= ENOUGH {
        } else if instruction.is_invalid() {
            findings.push(format!("{address:#x} is in a code section and no instruction"));
        } else if instruction.code().encoding() != EncodingKind::Legacy {
            findings.push(format!(
                "{address:#x} has an instruction in the form {:?}",
                instruction.code().encoding()
            ));
        }
    });
    if code == 0 {
        findings.push("there is no code".to_owned());
    }
    findings
}

/// Calls `refer` with the address of every instruction that names another address in the image, and that
/// address.
pub fn references(image: &Image<'_>, refer: &mut impl FnMut(u32, u32)) {
    each(image, |address, instruction| {
        let target = match instruction.near_branch_target() {
            0 if instruction.is_ip_rel_memory_operand() => instruction.ip_rel_memory_address(),
            target => target,
        };
        if let (true, Ok(target)) = (target != 0, u32::try_from(target)) {
            refer(address, target);
        }
    });
}

/// Bounds of the functions in the exception directory.
fn functions(image: &Image<'_>) -> Result<Vec<(u32, u32)>, String> {
    if image.directory(pe::IMAGE_DIRECTORY_ENTRY_EXCEPTION).is_none() {
        return Ok(Vec::new());
    }
    let table = image.directory_data(pe::IMAGE_DIRECTORY_ENTRY_EXCEPTION);
    let table = table.ok_or("the exception directory is not in the file")?;
    // Begin, end, and where the unwind information is.
    let entries = table
        .chunks_exact(12)
        .map(|entry| (read_u32(entry, 0).unwrap_or(0), read_u32(entry, 4).unwrap_or(0)));
    let (mut bounds, mut last) = (Vec::new(), 0);
    for (begin, end) in entries {
        let section = image.section_at(begin).filter(|section| section.is(EXECUTE));
        let inside = section.is_some_and(|section| begin < end && u64::from(end) <= section.end());
        if !inside || begin < last {
            return Err(format!("the exception directory has a function from {begin:#x} to {end:#x}"));
        }
        last = end;
        bounds.push((begin, end));
    }
    Ok(bounds)
}

/// Calls `seen` with the address and the meaning of every instruction of every executable section.
pub(super) fn each(image: &Image<'_>, mut seen: impl FnMut(u32, &Instruction)) {
    // What is wrong with the directory is a finding of its own; without it the sweep is still complete.
    let bounds = functions(image).unwrap_or_default();
    for section in image.sections.iter().filter(|section| section.is(EXECUTE)) {
        sweep(section, &bounds, &mut seen);
    }
}

fn sweep(section: &Section<'_>, bounds: &[(u32, u32)], seen: &mut impl FnMut(u32, &Instruction)) {
    // In order, since functions() made sure of it; offsets in the section.
    let end = section.data.len();
    let cuts = bounds.iter().flat_map(|(begin, end)| [*begin, *end]);
    let offsets = cuts.filter_map(|cut| cut.checked_sub(section.address)).map(|cut| cut as usize);
    let mut from = 0;
    for to in offsets.filter(|cut| *cut < end).chain([end]) {
        let Some(bytes) = section.data.get(from..to) else { continue };
        let address = u64::from(section.address) + from as u64;
        from = to;
        let mut decoder = Decoder::with_ip(64, trimmed(bytes), address, DecoderOptions::NONE);
        while decoder.can_decode() {
            let instruction = decoder.decode();
            seen(u32::try_from(instruction.ip()).unwrap_or(u32::MAX), &instruction);
        }
    }
}

/// Without zeros behind a function: some linkers pad with them, and an odd number is half an instruction.
fn trimmed(bytes: &[u8]) -> &[u8] {
    let padding = bytes.iter().rev().take_while(|byte| **byte == 0).count();
    // Up to seven zeros can be the end of an instruction.
    if padding < 8 { bytes } else { bytes.get(..bytes.len() - padding + 8).unwrap_or(bytes) }
}
