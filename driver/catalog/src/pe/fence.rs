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
        let after = code.get(place + 1..).unwrap_or_default().iter().map(|(_, instruction)| instruction);
        if !reaches(after, is_load) {
            findings.push(format!("no 32-bit load stands behind the MFENCE at {address:#x}"));
        }
    }
    if !found {
        findings.push("there is no MFENCE".to_owned());
    }
    findings
}

/// Whether such an instruction comes soon, in the same function and before anything that is called.
fn reaches<'a>(code: impl Iterator<Item = &'a Instruction>, wanted: fn(&Instruction) -> bool) -> bool {
    let leaves = |instruction: &&Instruction| {
        matches!(
            instruction.flow_control(),
            FlowControl::Call | FlowControl::IndirectCall | FlowControl::Return | FlowControl::Interrupt
        )
    };
    code.take(NEAR).take_while(|instruction| !leaves(instruction)).any(wanted)
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
