//! `MEMORY.DMP` as far as a host reads it: the header of a 64-bit kernel dump (QEMU's `win_dump_defs.h`,
//! `WinDumpHeader64`; not Microsoft's word), and bytes behind it that mean nothing.

use alloc::vec;
use alloc::vec::Vec;

/// `DRIVER_IRQL_NOT_LESS_OR_EQUAL`.
pub const STOP_CODE: u32 = 0xD1;
/// `NMI_HARDWARE_FAILURE`.
pub const STOP_CODE_OF_NMI: u32 = 0x80;
pub const PARAMETERS: [u64; 4] = [0x10, 2, 0, 0xFFFF_F804_1234_5678];
const HEADER_BYTES: usize = 0x2000;
const BODY_BYTES: usize = 0x8000;
const AMD64: u32 = 0x8664;
/// Dump types: of the kernel's memory, and of little more than the stack.
pub const KERNEL: u32 = 2;
pub const SMALL: u32 = 4;

/// A dump of this type, after a crash with this stop code.
pub fn dump(kind: u32, stop_code: u32) -> Vec<u8> {
    let mut bytes = vec![0; HEADER_BYTES];
    // What is not set is "PAGE", as in real headers.
    bytes.chunks_exact_mut(4).for_each(|word| word.copy_from_slice(b"PAGE"));
    let mut put = |at: usize, value: &[u8]| {
        bytes.iter_mut().skip(at).zip(value).for_each(|(to, from)| *to = *from);
    };
    put(0, b"PAGEDU64");
    for (at, value) in [(0x08, 15), (0x0C, 26100), (0x30, AMD64), (0x34, 2), (0x38, stop_code), (0xF98, kind)]
    {
        put(at, &u32::to_le_bytes(value));
    }
    for (at, value) in (0x40..).step_by(8).zip(PARAMETERS) {
        put(at, &value.to_le_bytes());
    }
    let body = if kind == KERNEL { BODY_BYTES } else { BODY_BYTES / 4 };
    bytes.extend((0..body).map(|at| (at % 251) as u8));
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stop_code_and_parameters_are_where_a_reader_looks() {
        let dump = dump(KERNEL, STOP_CODE);
        assert_eq!(dump[..8], *b"PAGEDU64");
        assert_eq!(dump[0x38..0x3C], [0xD1, 0, 0, 0]);
        assert_eq!(dump[0x58..0x60], 0xFFFF_F804_1234_5678u64.to_le_bytes());
    }
}
