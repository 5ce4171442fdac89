//! The registers beside the general ones that a routine gives back as it found them (page "x64 calling
//! convention"): XMM6 to XMM15, and the control words. ntguest itself is compiled without SSE, so that
//! between a call of the driver and its return all of them are the driver's.
//!
//! Windows lets x64 drivers use XMM registers at every level, in service routines too, for the compiler saves
//! them; MMX and x87 registers are not allowed, and AVX needs KeSaveExtendedProcessorState (pages "Using
//! Floating Point in a WDM Driver" and "Using extended processor features in Windows drivers"). AVX ends a
//! run here as `invalid-opcode`, for CR4.OSXSAVE is not set.

use core::arch::asm;

use super::violation;

/// Control bits of MXCSR; the six flags below are not kept over a call.
const MXCSR_CONTROL: u32 = 0xffc0;
/// What stands in XMM6 to XMM15 while the driver runs: a number of its own in each.
const PATTERN: u64 = 0x4e6f_6e56_6f6c_6100;

/// The registers of one moment.
#[repr(C)]
struct Registers {
    xmm: [[u64; 2]; 10],
    mxcsr: u32,
    /// Of x87: the environment, whose first word is the control word, and the third the tags.
    x87: [u32; 7],
}

impl Registers {
    fn read() -> Self {
        let mut registers = Self { xmm: [[0; 2]; 10], mxcsr: 0, x87: [0; 7] };
        // SAFETY: room for what is stored. FNSTENV masks all exceptions, and FLDENV takes that back.
        unsafe {
            asm!(
                "movdqu [{at}], xmm6", "movdqu [{at} + 16], xmm7", "movdqu [{at} + 32], xmm8",
                "movdqu [{at} + 48], xmm9", "movdqu [{at} + 64], xmm10", "movdqu [{at} + 80], xmm11",
                "movdqu [{at} + 96], xmm12", "movdqu [{at} + 112], xmm13", "movdqu [{at} + 128], xmm14",
                "movdqu [{at} + 144], xmm15", "stmxcsr [{at} + 160]", "fnstenv [{at} + 164]",
                "fldenv [{at} + 164]",
                at = in(reg) &raw mut registers, options(nostack),
            );
        }
        registers
    }

    /// Sets XMM6 to XMM15.
    fn write_xmm(xmm: &[[u64; 2]; 10]) {
        // SAFETY: reads ten times sixteen bytes; no code of ntguest's has anything in these registers.
        unsafe {
            asm!(
                "movdqu xmm6, [{at}]", "movdqu xmm7, [{at} + 16]", "movdqu xmm8, [{at} + 32]",
                "movdqu xmm9, [{at} + 48]", "movdqu xmm10, [{at} + 64]", "movdqu xmm11, [{at} + 80]",
                "movdqu xmm12, [{at} + 96]", "movdqu xmm13, [{at} + 112]", "movdqu xmm14, [{at} + 128]",
                "movdqu xmm15, [{at} + 144]",
                at = in(reg) xmm, options(nostack, readonly),
            );
        }
    }

    fn tags(&self) -> u32 {
        self.x87[2] & 0xffff
    }
}

/// Calls the driver by `f` and checks that it gives the registers back (rule `nonvolatile-registers`).
pub fn around<R>(name: &'static str, f: impl FnOnce() -> R) -> R {
    let before = Registers::read();
    let pattern = core::array::from_fn(|number| [PATTERN | number as u64, !PATTERN]);
    Registers::write_xmm(&pattern);
    let result = f();
    let after = Registers::read();
    // They may be another routine's of the driver, which has called an import.
    Registers::write_xmm(&before.xmm);
    let changed = (0..10).find(|number| after.xmm[*number] != pattern[*number]);
    if let Some(number) = changed {
        violation(
            "nonvolatile-registers",
            format_args!("{name} does not give XMM{} back as it found it", number + 6),
        );
    } else if (after.mxcsr ^ before.mxcsr) & MXCSR_CONTROL != 0 {
        violation(
            "nonvolatile-registers",
            format_args!("{name} leaves MXCSR {:#x}, it was {:#x}", after.mxcsr, before.mxcsr),
        );
    } else if after.tags() != before.tags() || (after.x87[0] ^ before.x87[0]) & 0xffff != 0 {
        violation(
            "nonvolatile-registers",
            format_args!("{name} uses x87 or MMX registers, which x64 kernel code may not"),
        );
    }
    result
}
