//! What it takes of ACPI to let the machine sleep: from the RSDP to the registers of the FADT, the waking
//! vector of the FACS, and the value of S3 in the DSDT.
//!
//! Sources: ACPI 6.5, sections 5.2.5 (RSDP), 5.2.6 (header), 5.2.9 (FADT), 5.2.10 (FACS), 7.4.2 (`\_Sx`), 20.2
//! (AML: NameOp, PackageOp, integers). Nothing of AML is run: `\_S3` is looked for as the bytes of `Name (_S3, Package
//! ...)`, which is how every firmware writes it. The tables are the firmware's, so that lengths and checksums are
//! checked; what is wrong is named and the machine does not sleep.

use alloc::vec::Vec;

/// Bytes of a table header, and the most that a table may have.
const HEADER: usize = 36;
const LONGEST: usize = 1 << 20;
/// Bytes of the RSDP of ACPI 1, and of ACPI 2 on.
const RSDP_1: usize = 20;
const RSDP_2: usize = 36;
/// Bytes of a FACS.
const FACS: usize = 64;
/// Of the FACS: the waking vectors for real mode, and for protected mode.
const WAKING_VECTOR: u64 = 12;
const X_WAKING_VECTOR: u64 = 24;
/// AML.
const NAME: [u8; 5] = *b"\x08_S3_";
const PACKAGE: u8 = 0x12;

/// What is needed to sleep.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SleepRegisters {
    /// Port of PM1a_STS.
    pub status: u16,
    /// Port of PM1a_EN.
    pub enable: u16,
    /// Port of PM1a_CNT.
    pub control: u16,
    /// SLP_TYP of S3.
    pub sleep_type: u16,
    /// Physical address of the FACS' waking vector for real mode.
    pub waking_vector: u64,
    /// Of that for protected mode, which must be 0.
    pub x_waking_vector: u64,
}

/// What is wrong with the tables.
pub type Problem = &'static str;

/// Reads so many bytes of physical memory, if they are there.
pub type Reader<'a> = &'a dyn Fn(u64, usize) -> Option<Vec<u8>>;

/// Follows the tables from the RSDP at `rsdp`.
pub fn find(rsdp: u64, read: Reader<'_>) -> Result<SleepRegisters, Problem> {
    let fadt = fadt(rsdp, read)?;
    let (narrow, wide) =
        (|at| u64::from(u32_at(&fadt, at).unwrap_or(0)), |at| u64_at(&fadt, at).unwrap_or(0));
    let either = |wide: u64, narrow: u64| if wide == 0 { narrow } else { wide };
    // FIRMWARE_CTRL, DSDT, and their fields of 64 bits, which are not there in old revisions.
    let (facs, dsdt) = (either(wide(132), narrow(36)), either(wide(140), narrow(40)));
    let length = fadt.get(88).copied().unwrap_or(0);
    let (event, control) = (port(&fadt, 56)?, port(&fadt, 64)?);
    if length < 4 {
        return Err("the FADT's PM1_EVT_LEN is less than 4");
    }
    if narrow(60) != 0 || narrow(68) != 0 {
        return Err("the FADT has a PM1b block: not of a machine that ntguest knows");
    }
    let header = read(facs, FACS).filter(|facs| facs.starts_with(b"FACS")).ok_or("no FACS")?;
    if u32_at(&header, 4).is_none_or(|length| (length as usize) < FACS) {
        return Err("the FACS is too short");
    }
    let dsdt = table(dsdt, *b"DSDT", read)?;
    Ok(SleepRegisters {
        status: event,
        enable: event.checked_add(u16::from(length) / 2).ok_or("PM1_EVT_LEN")?,
        control,
        sleep_type: sleep_type(dsdt.get(HEADER..).unwrap_or_default()).ok_or("the DSDT has no \\_S3")?,
        waking_vector: facs + WAKING_VECTOR,
        x_waking_vector: facs + X_WAKING_VECTOR,
    })
}

/// The FADT that the XSDT names, or the RSDT of ACPI 1.
fn fadt(rsdp: u64, read: Reader<'_>) -> Result<Vec<u8>, Problem> {
    let root = read(rsdp, RSDP_1).filter(|root| root.starts_with(b"RSD PTR ") && is_sound(root));
    let root = root.ok_or("no RSDP, or one with a wrong checksum")?;
    let (list, width) = if root.get(15).is_some_and(|revision| *revision >= 2) {
        let root = read(rsdp, RSDP_2).filter(|root| is_sound(root)).ok_or("the RSDP's checksum is wrong")?;
        (table(u64_at(&root, 24).unwrap_or(0), *b"XSDT", read)?, 8)
    } else {
        (table(u64::from(u32_at(&root, 16).unwrap_or(0)), *b"RSDT", read)?, 4)
    };
    let entries = list.get(HEADER..).unwrap_or_default().chunks_exact(width);
    let mut entries =
        entries.map(|entry| entry.iter().rev().fold(0, |address: u64, byte| address << 8 | u64::from(*byte)));
    let is_fadt = |at: &u64| read(*at, 4).is_some_and(|signature| signature == b"FACP");
    table(entries.find(is_fadt).ok_or("no FADT")?, *b"FACP", read)
}

/// A whole table, with its checksum right.
fn table(address: u64, signature: [u8; 4], read: Reader<'_>) -> Result<Vec<u8>, Problem> {
    let header = read(address, HEADER).filter(|header| header.starts_with(&signature));
    let length = header.as_deref().and_then(|header| u32_at(header, 4)).ok_or("an ACPI table is missing")?;
    let length = usize::try_from(length).ok().filter(|length| (HEADER..=LONGEST).contains(length));
    let whole = read(address, length.ok_or("an ACPI table has an impossible length")?);
    whole.filter(|table| is_sound(table)).ok_or("an ACPI table has a wrong checksum")
}

fn is_sound(bytes: &[u8]) -> bool {
    bytes.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte)) == 0
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|bytes| u64::from_le_bytes(*bytes))
}

/// A register block of the FADT that is an I/O port.
fn port(fadt: &[u8], at: usize) -> Result<u16, Problem> {
    let address = u32_at(fadt, at).and_then(|address| u16::try_from(address).ok());
    address.filter(|port| *port != 0).ok_or("the FADT has no PM1a block in I/O space")
}

/// The first element of `Name (_S3, Package ...)`: SLP_TYP for PM1a_CNT, three bits.
fn sleep_type(aml: &[u8]) -> Option<u16> {
    let at = aml.windows(NAME.len()).position(|bytes| bytes == NAME)?;
    let package = aml.get(at + NAME.len()..)?.strip_prefix(&[PACKAGE])?;
    // PkgLength: the two upper bits of its first byte say how many more bytes it has. NumElements follows.
    let more = usize::from(package.first()? >> 6);
    let elements = package.get(1 + more..)?;
    let value = match *elements.get(1..)? {
        [value @ (0 | 1), ..] | [0x0a, value, ..] => u16::from(value),
        [0x0b, low, high, ..] => u16::from_le_bytes([low, high]),
        _ => return None,
    };
    (*elements.first()? >= 1 && value < 8).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    const RSDP: u64 = 0x1000;
    const XSDT: u64 = 0x2000;
    const FADT: u64 = 0x3000;
    const FACS_AT: u64 = 0x4000;
    const DSDT: u64 = 0x5000;
    const S3: &[u8] = b"\x08_S3_\x12\x06\x04\x01\x01\x00\x00";

    /// Memory: where something is, and what.
    type Memory = Vec<(u64, Vec<u8>)>;

    fn read(memory: &Memory, at: u64, length: usize) -> Option<Vec<u8>> {
        let (_, bytes) = memory.iter().find(|(begin, _)| *begin == at)?;
        bytes.get(..length).map(Vec::from)
    }

    fn found(memory: &Memory) -> Result<SleepRegisters, Problem> {
        find(RSDP, &|at, length| read(memory, at, length))
    }

    fn make_sound(bytes: &mut [u8], at: usize) {
        bytes[at] = 0;
        bytes[at] = bytes.iter().fold(0u8, |sum, byte| sum.wrapping_sub(*byte));
    }

    fn header(signature: [u8; 4], body: &[u8]) -> Vec<u8> {
        let mut table = vec![0; HEADER];
        table[..4].copy_from_slice(&signature);
        table.extend(body);
        let length = u32::try_from(table.len()).expect("short");
        table[4..8].copy_from_slice(&length.to_le_bytes());
        make_sound(&mut table, 9);
        table
    }

    /// The tables as QEMU's q35 has them, with `aml` in the DSDT.
    fn machine(aml: &[u8]) -> Memory {
        let mut rsdp = vec![0; RSDP_2];
        rsdp[..8].copy_from_slice(b"RSD PTR ");
        rsdp[15] = 2;
        rsdp[24..32].copy_from_slice(&XSDT.to_le_bytes());
        make_sound(&mut rsdp[..RSDP_1], 8);
        make_sound(&mut rsdp, 32);
        let mut fadt = vec![0; 244 - HEADER];
        let mut set = |at: usize, value: u64, bytes: usize| {
            fadt[at - HEADER..at - HEADER + bytes].copy_from_slice(&value.to_le_bytes()[..bytes]);
        };
        set(36, FACS_AT, 4);
        set(56, 0x600, 4);
        set(64, 0x604, 4);
        set(88, 4, 1);
        set(140, DSDT, 8);
        let mut facs = vec![0; FACS];
        facs[..4].copy_from_slice(b"FACS");
        facs[4] = 64;
        vec![
            (RSDP, rsdp),
            // Before the FADT a table that is not there.
            (XSDT, header(*b"XSDT", &[0xf0_0000u64.to_le_bytes(), FADT.to_le_bytes()].concat())),
            (FADT, header(*b"FACP", &fadt)),
            (FACS_AT, facs),
            (DSDT, header(*b"DSDT", aml)),
        ]
    }

    #[test]
    fn the_registers_are_found_from_the_rsdp() {
        let registers = found(&machine(&[b"\x10\x01 code ", S3].concat())).expect("they are there");
        assert_eq!(
            registers,
            SleepRegisters {
                status: 0x600,
                enable: 0x602,
                control: 0x604,
                sleep_type: 1,
                waking_vector: FACS_AT + 12,
                x_waking_vector: FACS_AT + 24,
            }
        );
    }

    #[test]
    fn the_sleep_type_is_any_small_integer_of_aml() {
        for (text, value) in [
            (&b"\x08_S3_\x12\x06\x04\x00"[..], Some(0)),
            (b"\x08_S3_\x12\x08\x04\x0a\x05\x0a\x05", Some(5)),
            (b"\x08_S3_\x12\x48\x00\x04\x0b\x07\x00", Some(7)),
            (b"\x08_S3_\x12\x06\x04\x0a\x08", None),
            (b"\x08_S3_\x12\x06\x00\x01", None),
            (b"\x08_S3_\x12\x06\x04", None),
            (b"\x08_S3_\x12\xc6", None),
            (b"\x08_S3_\x12", None),
            (b"\x08_S3_\x0d\x01", None),
            (b"\x08_S4_\x12\x06\x04\x01", None),
        ] {
            assert_eq!(sleep_type(text), value, "{text:x?}");
        }
    }

    #[test]
    fn what_is_wrong_with_the_tables_is_named_and_nothing_is_read_beyond_them() {
        assert_eq!(found(&machine(b"no sleep")), Err("the DSDT has no \\_S3"));
        for lost in [RSDP, XSDT, FADT, FACS_AT, DSDT] {
            let memory: Memory = machine(S3).into_iter().filter(|(at, _)| *at != lost).collect();
            assert!(found(&memory).is_err(), "{lost:#x}");
        }
        // Any byte of a table but the FACS turned over: its checksum is wrong, or its length.
        for (number, (at, bytes)) in machine(S3).into_iter().enumerate().filter(|(_, (at, _))| *at != FACS_AT)
        {
            for byte in 0..bytes.len() {
                let mut memory = machine(S3);
                memory[number].1[byte] ^= 0x80;
                assert!(found(&memory).is_err(), "byte {byte} of {at:#x}");
            }
        }
    }
}
