//! Names and values of an HD Audio controller's registers: *High Definition Audio Specification* 1.0a,
//! chapter 3.
//!
//! Registers lie close together, and a driver takes two in one access or a byte of one: an access is told by
//! all the registers that it touches. A descriptor is no stream of the trace: that is the endpoint which its
//! tag leads to.

use std::fmt::Write;

use crate::decode::{Access, bits};
use ringwave_trace::Data;

/// The first stream descriptor, and from one to the next.
const STREAMS: u64 = 0x80;
const STREAM_BYTES: u64 = 0x20;
/// Descriptors, of which the first are inputs (device/HDA.md 2).
const DESCRIPTORS: u64 = 8;
/// WALCLK and LPIB once more.
const ALIAS: u64 = 0x2000;

type Bits = &'static [(u32, &'static str)];

/// What a register's value is told as.
#[derive(Clone, Copy)]
enum Kind {
    /// A number.
    Number,
    /// An address, or bits without names.
    Hexadecimal,
    /// Bits with names.
    Bits(Bits),
    /// INTCTL, INTSTS: GIS or GIE, CIS or CIE, and a bit a descriptor.
    Interrupts,
    /// A bit a descriptor.
    Descriptors,
    /// GCAP.
    Capabilities,
    /// SDCTL: bits, and the stream's tag.
    Control,
    /// SDFMT.
    Format,
}

/// A register: offset, bytes, name.
type Register = (u64, u32, &'static str, Kind);

const GCTL: Bits = &[(1, "CRST"), (1 << 1, "FCNTRL"), (1 << 8, "UNSOL")];
const RING_STATUS: Bits = &[(1, "RINTFL"), (1 << 2, "RIRBOIS")];
const RING_CONTROL: Bits = &[(1, "RINTCTL"), (1 << 1, "RUN"), (1 << 2, "RIRBOIC")];
const POINTER: Bits = &[(1 << 15, "RESET")];
const CONTROL: Bits = &[(1, "SRST"), (1 << 1, "RUN"), (1 << 2, "IOCE"), (1 << 3, "FEIE"), (1 << 4, "DEIE")];
const STATUS: Bits = &[(1 << 2, "BCIS"), (1 << 3, "FIFOE"), (1 << 4, "DESE"), (1 << 5, "FIFORDY")];

const GLOBAL: &[Register] = &[
    (0x00, 2, "GCAP", Kind::Capabilities),
    (0x02, 1, "VMIN", Kind::Number),
    (0x03, 1, "VMAJ", Kind::Number),
    (0x04, 2, "OUTPAY", Kind::Number),
    (0x06, 2, "INPAY", Kind::Number),
    (0x08, 4, "GCTL", Kind::Bits(GCTL)),
    (0x0C, 2, "WAKEEN", Kind::Hexadecimal),
    (0x0E, 2, "STATESTS", Kind::Hexadecimal),
    (0x10, 2, "GSTS", Kind::Bits(&[(1 << 1, "FSTS")])),
    (0x14, 2, "LLCH", Kind::Hexadecimal),
    (0x18, 2, "OUTSTRMPAY", Kind::Number),
    (0x1A, 2, "INSTRMPAY", Kind::Number),
    (0x20, 4, "INTCTL", Kind::Interrupts),
    (0x24, 4, "INTSTS", Kind::Interrupts),
    (0x30, 4, "WALCLK", Kind::Number),
    // Where ICH6 to ICH9 have it, and where the specification has it.
    (0x34, 4, "SSYNC", Kind::Descriptors),
    (0x38, 4, "SSYNC", Kind::Descriptors),
    (0x40, 4, "CORBLBASE", Kind::Hexadecimal),
    (0x44, 4, "CORBUBASE", Kind::Hexadecimal),
    (0x48, 2, "CORBWP", Kind::Number),
    (0x4A, 2, "CORBRP", Kind::Bits(POINTER)),
    (0x4C, 1, "CORBCTL", Kind::Bits(&[(1, "CMEIE"), (1 << 1, "RUN")])),
    (0x4D, 1, "CORBSTS", Kind::Bits(&[(1, "CMEI")])),
    (0x4E, 1, "CORBSIZE", Kind::Hexadecimal),
    (0x50, 4, "RIRBLBASE", Kind::Hexadecimal),
    (0x54, 4, "RIRBUBASE", Kind::Hexadecimal),
    (0x58, 2, "RIRBWP", Kind::Bits(POINTER)),
    (0x5A, 2, "RINTCNT", Kind::Number),
    (0x5C, 1, "RIRBCTL", Kind::Bits(RING_CONTROL)),
    (0x5D, 1, "RIRBSTS", Kind::Bits(RING_STATUS)),
    (0x5E, 1, "RIRBSIZE", Kind::Hexadecimal),
    (0x60, 4, "ICOI", Kind::Hexadecimal),
    (0x64, 4, "ICII", Kind::Hexadecimal),
    (0x68, 2, "ICIS", Kind::Bits(&[(1, "ICB"), (1 << 1, "IRV")])),
    (0x70, 4, "DPLBASE", Kind::Hexadecimal),
    (0x74, 4, "DPUBASE", Kind::Hexadecimal),
];

const DESCRIPTOR: &[Register] = &[
    (0x00, 3, "CTL", Kind::Control),
    (0x03, 1, "STS", Kind::Bits(STATUS)),
    (0x04, 4, "LPIB", Kind::Number),
    (0x08, 4, "CBL", Kind::Number),
    (0x0C, 2, "LVI", Kind::Number),
    (0x0E, 2, "FIFOW", Kind::Number),
    (0x10, 2, "FIFOS", Kind::Number),
    (0x12, 2, "FMT", Kind::Format),
    (0x18, 4, "BDPL", Kind::Hexadecimal),
    (0x1C, 4, "BDPU", Kind::Hexadecimal),
];

/// Decodes an access to BAR 0: by the names of all registers that it touches.
pub fn access(offset: u64, data: &Data) -> Access {
    let Some(value) = data.value() else { return Access::default() };
    let (mut names, mut meanings) = (String::new(), String::new());
    let mut at = 0;
    while at < u64::from(data.bytes()) {
        let Some((start, bytes, name, kind)) = offset.checked_add(at).and_then(register) else {
            // Something between registers: the offset says more.
            return Access::default();
        };
        let skipped = offset + at - start;
        let taken = (u64::from(bytes) - skipped).min(u64::from(data.bytes()) - at);
        let plus = if at == 0 { "" } else { "+" };
        let part = (value >> (8 * at)) & (u64::MAX >> (64 - 8 * taken));
        let part = u32::try_from(part << (8 * skipped) & 0xFFFF_FFFF).unwrap_or(0);
        let whole = taken == u64::from(bytes);
        // Of a part of a register its bytes are told.
        let which = if whole { String::new() } else { format!("[{skipped}..{}]", skipped + taken) };
        let _ = write!(names, "{plus}{name}{which}");
        let _ = write!(meanings, "{plus}{}", meaning(kind, part, bytes, whole));
        at += taken;
    }
    Access { stream: None, register: Some(names), meaning: Some(meanings) }
}

/// The register that has the byte at `offset`: where it begins, its length, its name.
fn register(offset: u64) -> Option<(u64, u32, String, Kind)> {
    if let Some(original) = offset.checked_sub(ALIAS) {
        if original >= ALIAS {
            return None;
        }
        let (start, bytes, name, kind) = register(original)?;
        let position = name == "WALCLK" || name.ends_with("LPIB");
        return position.then(|| (start + ALIAS, bytes, format!("{name}A"), kind));
    }
    let descriptor = offset.checked_sub(STREAMS).map(|from| (from / STREAM_BYTES, from % STREAM_BYTES));
    let (table, base, within) = match descriptor {
        Some((index, within)) if index < DESCRIPTORS => (DESCRIPTOR, offset - within, within),
        Some(_) => return None,
        None => (GLOBAL, 0, offset),
    };
    let holds = |(at, bytes, ..): &&Register| (*at..at + u64::from(*bytes)).contains(&within);
    let (at, bytes, name, kind) = table.iter().find(holds)?;
    let name = match descriptor {
        Some((index, _)) => format!("SD{index}{name}"),
        None => (*name).to_owned(),
    };
    Some((base + at, *bytes, name, *kind))
}

/// `whole`: all of the register was accessed, so that it has a meaning that needs all.
fn meaning(kind: Kind, value: u32, bytes: u32, whole: bool) -> String {
    match kind {
        Kind::Number if whole => value.to_string(),
        Kind::Number | Kind::Hexadecimal => format!("{value:#0width$x}", width = 2 + 2 * bytes as usize),
        Kind::Bits(POINTER) if value & 1 << 15 == 0 => value.to_string(),
        Kind::Bits(names) => bits(value, names),
        Kind::Interrupts => {
            let own = bits(value & 0xC000_0000, &[(1 << 31, "GLOBAL"), (1 << 30, "CONTROLLER")]);
            match (value & 0xC000_0000, value & 0x3FFF_FFFF) {
                (_, 0) => own,
                (0, streams) => descriptors(streams),
                (_, streams) => format!("{own}|{}", descriptors(streams)),
            }
        }
        Kind::Descriptors if value == 0 => "0".to_owned(),
        Kind::Descriptors => descriptors(value),
        Kind::Capabilities => {
            let (outputs, inputs, both) = (value >> 12, value >> 8 & 0xF, value >> 3 & 0x1F);
            format!("{outputs} output, {inputs} input, {both} both, 64-bit {}", value & 1)
        }
        Kind::Control => match value >> 20 {
            0 => bits(value & 0xFFFF, CONTROL),
            tag => format!("{}, tag {tag}", bits(value & 0xFFFF, CONTROL)),
        },
        Kind::Format if whole => format(value),
        Kind::Format => format!("{value:#06x}"),
    }
}

/// The descriptors whose bit is set.
fn descriptors(value: u32) -> String {
    let set = (0..u32::BITS).filter(|index| value >> index & 1 != 0);
    set.map(|index| format!("SD{index}")).collect::<Vec<_>>().join("|")
}

/// SDFMT (3.7.1).
fn format(value: u32) -> String {
    let base = if value & 1 << 14 == 0 { 48_000 } else { 44_100 };
    let rate = base * ((value >> 11 & 7) + 1) / ((value >> 8 & 7) + 1);
    let kind = match value >> 4 & 7 {
        _ if value & 1 << 15 != 0 => "not PCM".to_owned(),
        0 => "8 bits".to_owned(),
        1 => "16 bits".to_owned(),
        2 => "20 bits".to_owned(),
        3 => "24 bits".to_owned(),
        4 => "32 bits".to_owned(),
        other => format!("width {other}"),
    };
    format!("{rate} Hz, {kind}, {} channels", (value & 0xF) + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(offset: u64, bytes: &[u8]) -> String {
        let Access { register, meaning, .. } = access(offset, &Data::of(bytes));
        format!("{}={}", register.unwrap_or_default(), meaning.unwrap_or_default())
    }

    #[test]
    fn registers_have_their_names_and_meanings() {
        assert_eq!(told(0, &[1, 0x44]), "GCAP=4 output, 4 input, 0 both, 64-bit 1");
        assert_eq!(told(8, &[1, 1, 0, 0]), "GCTL=CRST|UNSOL");
        assert_eq!(told(0x20, &[0x10, 0, 0, 0xC0]), "INTCTL=GLOBAL|CONTROLLER|SD4");
        assert_eq!(told(0x24, &[0; 4]), "INTSTS=0");
        assert_eq!(told(0x34, &[0x30, 0, 0, 0]), "SSYNC=SD4|SD5");
        assert_eq!(told(0x48, &[17, 0]), "CORBWP=17");
        assert_eq!(told(0x4A, &[0, 0x80]), "CORBRP=RESET");
        assert_eq!(told(0x100, &[0x1E, 0]), "SD4CTL[0..2]=RUN|IOCE|FEIE|DEIE");
    }

    #[test]
    fn an_access_is_told_by_all_registers_that_it_touches() {
        assert_eq!(told(0x48, &[3, 0, 0, 0x80]), "CORBWP+CORBRP=3+RESET");
        assert_eq!(
            told(0x100, &[0x1E, 0, 0x50, 0x24]),
            "SD4CTL+SD4STS=RUN|IOCE|FEIE|DEIE, tag 5+BCIS|FIFORDY"
        );
        assert_eq!(told(0x103, &[4]), "SD4STS=BCIS");
        assert_eq!(told(0x102, &[0x50]), "SD4CTL[2..3]=0, tag 5");
        assert_eq!(told(0x112, &[0x11, 0]), "SD4FMT=48000 Hz, 16 bits, 2 channels");
        assert_eq!(told(0x112, &[0x35, 0x40]), "SD4FMT=44100 Hz, 24 bits, 6 channels");
        assert_eq!(told(0x118, &[0, 0, 0, 1, 2, 0, 0, 0]), "SD4BDPL+SD4BDPU=0x01000000+0x00000002");
        assert_eq!(told(0x2030, &[1, 0, 0, 0]), "WALCLKA=1");
        assert_eq!(told(0x2104, &[1, 0, 0, 0]), "SD4LPIBA=1");
    }

    #[test]
    fn other_places_have_none() {
        for offset in [0x12, 0x28, 0x2008, 0x180, 0x3FFC, u64::MAX - 3] {
            assert_eq!(access(offset, &Data::of(&[0; 4])), Access::default(), "{offset:#x}");
        }
    }
}
