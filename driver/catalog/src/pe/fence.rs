//! The mark page's order: a 64-bit store, MFENCE, a 32-bit load. DATASHEET 7.4.
//!
//! That the source asks for it proves nothing of what the compiler made: a locked instruction orders as well
//! on a processor, but QEMU's TCG with one processor makes plain accesses of those, and a mark is lost once
//! in a long while.
//!
//! A virtqueue has fences too: a store of an index, MFENCE, and 16-bit loads (virtio 1.2, 2.7.13.3). Those
//! are known by such a load; that it is the right one is not looked at.
use super::code::each;
use super::image::Image;
use iced_x86::{Code, FlowControl, Instruction, MemorySize, Mnemonic, OpKind};

/// The store before a fence and the load after it are not further away, in instructions: checks of places in
/// the mapping lie between.
const NEAR: usize = 24;

/// There is an MFENCE with its store before and its load after, with no call between; and every other is a
/// virtqueue's.
pub fn check(image: &Image<'_>) -> Vec<String> {
    let mut code = Vec::new();
    each(image, |address, instruction| code.push((address, *instruction)));
    let fences = code.iter().enumerate().filter(|(_, (_, instruction))| instruction.code() == Code::Mfence);
    let (mut findings, mut found) = (Vec::new(), false);
    for (place, (address, _)) in fences {
        let before = code.get(..place).unwrap_or_default().iter().rev().map(|(_, instruction)| instruction);
        let (store, load) = (reaches(before, is_store), leads_to(&code, place + 1, is_load));
        if store && load {
            found = true;
            continue;
        }
        if leads_to(&code, place + 1, is_queue_load) {
            continue;
        }
        if !store {
            findings.push(format!("no 64-bit store stands before the MFENCE at {address:#x}"));
        }
        if !load {
            findings.push(format!("no 32-bit load stands behind the MFENCE at {address:#x}"));
        }
    }
    if !found {
        findings.push("there is no MFENCE between a 64-bit store and a 32-bit load".to_owned());
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

/// Of a virtqueue's index or flags.
fn is_queue_load(instruction: &Instruction) -> bool {
    let reads = match instruction.mnemonic() {
        Mnemonic::Mov | Mnemonic::Movzx => instruction.op1_kind() == OpKind::Memory,
        Mnemonic::Cmp | Mnemonic::Test => instruction.op0_kind() == OpKind::Memory,
        _ => false,
    };
    reads && matches!(instruction.memory_size(), MemorySize::UInt16 | MemorySize::Int16)
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
