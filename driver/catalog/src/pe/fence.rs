//! The mark page's order: a 64-bit store, MFENCE, a 32-bit load. DATASHEET 7.4.
//!
//! That the source asks for it proves nothing of what the compiler made: a locked instruction orders as well
//! on a processor, but QEMU's TCG with one processor makes plain accesses of those, and a mark is lost once
//! in a long while.
use super::code::each;
use super::image::Image;
use iced_x86::{Code, FlowControl, Instruction, MemorySize, Mnemonic, OpKind};

/// The store before a fence and the load after it are not further away, in instructions: checks of places in
/// the mapping lie between.
const NEAR: usize = 24;

/// There is an MFENCE, and each has its store before and its load after, with no call between.
pub fn check(image: &Image<'_>) -> Vec<String> {
    let mut code = Vec::new();
    each(image, |address, instruction| code.push((address, *instruction)));
    let fences = code.iter().enumerate().filter(|(_, (_, instruction))| instruction.code() == Code::Mfence);
    let (mut findings, mut found) = (Vec::new(), false);
    for (place, (address, _)) in fences {
        found = true;
        let before = code.get(..place).unwrap_or_default().iter().rev().map(|(_, instruction)| instruction);
        if !reaches(before, is_store) {
            findings.push(format!("no 64-bit store stands before the MFENCE at {address:#x}"));
        }
        if !leads_to(&code, place + 1, is_load) {
            findings.push(format!("no 32-bit load stands behind the MFENCE at {address:#x}"));
        }
    }
    if !found {
        findings.push("there is no MFENCE".to_owned());
    }
    findings
}

/// Whether such an instruction came soon before, in the same function and after anything that was called.
fn reaches<'a>(code: impl Iterator<Item = &'a Instruction>, wanted: fn(&Instruction) -> bool) -> bool {
    code.take(NEAR).take_while(|instruction| !leaves(instruction)).any(wanted)
}

/// Whether one of the ways from `start` on comes to such an instruction soon, before it calls anything or
/// leaves the function. Compilers lay the ways of a check out in any order, so branches are followed.
fn leads_to(code: &[(u32, Instruction)], start: usize, wanted: fn(&Instruction) -> bool) -> bool {
    let mut ways = vec![start];
    let mut seen = Vec::new();
    while let Some(mut place) = ways.pop() {
        for _ in 0..NEAR {
            let Some((_, instruction)) = code.get(place).filter(|_| !seen.contains(&place)) else { break };
            seen.push(place);
            if wanted(instruction) {
                return true;
            }
            let branches = matches!(
                instruction.flow_control(),
                FlowControl::ConditionalBranch | FlowControl::UnconditionalBranch
            );
            if branches && let Ok(to) = u32::try_from(instruction.near_branch_target()) {
                ways.extend(code.binary_search_by_key(&to, |(address, _)| *address));
            }
            if leaves(instruction) || instruction.flow_control() == FlowControl::UnconditionalBranch {
                break;
            }
            place += 1;
        }
    }
    false
}

/// Whether it calls something or leaves the function.
fn leaves(instruction: &Instruction) -> bool {
    matches!(
        instruction.flow_control(),
        FlowControl::Call | FlowControl::IndirectCall | FlowControl::Return | FlowControl::Interrupt
    )
}

fn is_store(instruction: &Instruction) -> bool {
    instruction.mnemonic() == Mnemonic::Mov
        && instruction.op0_kind() == OpKind::Memory
        && instruction.memory_size() == MemorySize::UInt64
}

fn is_load(instruction: &Instruction) -> bool {
    // Compared where it is, or loaded first.
    let reads = match instruction.mnemonic() {
        Mnemonic::Mov => instruction.op1_kind() == OpKind::Memory,
        Mnemonic::Cmp => instruction.op0_kind() == OpKind::Memory,
        _ => false,
    };
    reads && matches!(instruction.memory_size(), MemorySize::UInt32 | MemorySize::Int32)
}
