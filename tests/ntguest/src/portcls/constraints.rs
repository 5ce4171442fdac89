//! Packet-size constraints: the interface property with which a driver asks for packets shorter than 10 ms
//! (WAVERT.md 4.9), judged.
//!
//! The audio engine takes a wrong one for none and says nothing; here each reason is a finding.

use super::guid::{
    DEVPKEY_PACKET_SIZE_CONSTRAINTS, DEVPKEY_PACKET_SIZE_CONSTRAINTS2, Guid, MODE_DEFAULT, Named,
};
use super::report::Report;
use alloc::vec::Vec;

/// `DEVPROP_TYPE_BINARY`.
const TYPE_BINARY: u32 = 0x1003;
/// The four values before the array.
const HEADER_BYTES: usize = 16;
/// `{GUID, ULONG, ULONG}`
const MODE_BYTES: usize = 24;
/// What the engine takes without constraints, 100-ns units: a longer least period helps nobody.
const TEN_MS: u32 = 100_000;
/// `FILE_512_BYTE_ALIGNMENT`, the greatest one.
const GREATEST_ALIGNMENT: u32 = 0x1ff;

/// What a driver asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Constraints {
    /// Shortest packet, 100-ns units.
    pub min_period: u32,
    /// Longest packet in bytes, 0 = any.
    pub max_bytes: u32,
    /// The modes that have an element of their own.
    pub modes: Vec<Guid>,
}

/// Whether a property key is one of packet constraints.
pub fn is_key(format: &Guid, number: u32) -> bool {
    [DEVPKEY_PACKET_SIZE_CONSTRAINTS, DEVPKEY_PACKET_SIZE_CONSTRAINTS2].contains(format) && number == 2
}

fn word(data: &[u8], at: usize) -> u32 {
    data.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

/// Reads the property's data and judges every value that can be judged by itself. Found is what makes the
/// engine ignore it all, harsh what Windows accepts and what brings nothing.
pub fn parse(format: &Guid, kind: u32, data: &[u8], report: &mut dyn Report) -> Option<Constraints> {
    if kind != TYPE_BINARY {
        report.found(format_args!("the type is {kind:#x}, DEVPROP_TYPE_BINARY 0x1003 is due"));
    }
    let count = word(data, 12) as usize;
    let due = count.checked_mul(MODE_BYTES).map_or(usize::MAX, |bytes| bytes.saturating_add(HEADER_BYTES));
    if data.len() < due {
        report.found(format_args!("{} bytes with {count} mode(s); {due} bytes are due", data.len()));
        return None;
    }
    // The array is declared with one element, so that sizeof is 40 even where no element counts: drivers pass
    // that.
    if data.len() > due {
        report.harsh(format_args!("{} bytes with {count} mode(s); {due} bytes would do", data.len()));
    }
    let (min_period, alignment) = (word(data, 0), word(data, 4));
    // The first form has a reserved word where the second one has the longest packet.
    let second = *format == DEVPKEY_PACKET_SIZE_CONSTRAINTS2;
    let max_bytes = if second { word(data, 8) } else { 0 };
    if !second && word(data, 8) != 0 {
        report.harsh(format_args!("Reserved is {:#x}", word(data, 8)));
    }
    // 0 stands for no least period of its own.
    if min_period > TEN_MS {
        report.harsh(format_args!(
            "MinPacketPeriodInHns {min_period} is more than the engine's usual {TEN_MS}"
        ));
    }
    if !alignment.wrapping_add(1).is_power_of_two() || alignment > GREATEST_ALIGNMENT {
        report.found(format_args!("PacketSizeFileAlignment {alignment:#x} is no FILE_x_ALIGNMENT"));
    }
    let modes = data[HEADER_BYTES..due].chunks_exact(MODE_BYTES);
    let modes = modes.filter_map(|mode| parse_mode(mode, min_period, report)).collect::<Vec<_>>();
    if count == 0 {
        // Legal, and seen on Windows 11 to change nothing: the engine's shared period stays at 10 ms.
        report.harsh(format_args!(
            "without an entry for a mode the engine takes no notice of the other values"
        ));
    }
    Some(Constraints { min_period, max_bytes, modes })
}

/// One element: the mode, when the element says something.
fn parse_mode(mode: &[u8], min_period: u32, report: &mut dyn Report) -> Option<Guid> {
    let bytes = mode.first_chunk::<16>()?;
    let guid = Guid::from_bytes(bytes);
    let (samples, period) = (word(mode, 16), word(mode, 20));
    if samples == 0 && period == 0 {
        report.found(format_args!("a constraint for {} that says nothing", Named(guid)));
        return None;
    }
    // The duration counts only without a number of samples. An entry must lie above the least period: equal
    // to it is ignored too.
    if samples == 0 && period <= min_period {
        report.found(format_args!(
            "{}: a packet of {period} hns is ignored, it is not longer than MinPacketPeriodInHns {min_period}",
            Named(guid)
        ));
    }
    Some(guid)
}

/// Judges by what the filter's pins are: 10 ms of the largest format must fit, and an element for a mode that
/// no pin lists is for nobody.
pub fn check(constraints: &Constraints, bytes_in_10_ms: u32, listed: &[Guid], report: &mut dyn Report) {
    if constraints.max_bytes != 0 && constraints.max_bytes < bytes_in_10_ms {
        report.found(format_args!(
            "MaxPacketSizeInBytes {} is less than 10 ms of the pin's largest format, {bytes_in_10_ms}",
            constraints.max_bytes
        ));
    }
    if constraints.modes.is_empty() {
        return;
    }
    for mode in listed.iter().filter(|mode| !constraints.modes.contains(mode)) {
        // Only an element for DEFAULT was ever seen to work on Windows 11: whether one for another mode does
        // nobody has said.
        report.found(format_args!("{} is listed by a pin and has no constraint of its own", Named(*mode)));
    }
    for mode in constraints.modes.iter().filter(|mode| !listed.contains(mode) && **mode != MODE_DEFAULT) {
        report.harsh(format_args!("a constraint for {}, which no pin lists", Named(*mode)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::portcls::guid::MODE_RAW;
    use alloc::string::String;

    const RAW_BEGINS: usize = 16;

    /// One element, RAW, of 2 ms above a least period of 1 ms.
    fn sample() -> Vec<u8> {
        let mut data: Vec<u8> = [10_000u32, 127, 0, 1].iter().flat_map(|word| word.to_le_bytes()).collect();
        data.extend(MODE_RAW.bytes());
        data.extend(0u32.to_le_bytes());
        data.extend(20_000u32.to_le_bytes());
        data
    }

    type Bend = fn(&mut Vec<u8>);

    /// All findings in one text.
    fn findings(kind: u32, bend: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut data = sample();
        bend(&mut data);
        let mut text = String::new();
        if let Some(constraints) = parse(&DEVPKEY_PACKET_SIZE_CONSTRAINTS2, kind, &data, &mut text) {
            check(&constraints, 1920, &[MODE_RAW], &mut text);
        }
        text
    }

    #[test]
    fn proper_constraints_have_no_finding() {
        let good: [Bend; 5] = [
            |_| (),
            |data| data[8..12].copy_from_slice(&1920u32.to_le_bytes()),
            // No least period of its own.
            |data| data[..4].fill(0),
            // A number of samples counts, not the duration.
            |data| data[32..40].copy_from_slice(&[96, 0, 0, 0, 1, 0, 0, 0]),
            // A DEFAULT element beside the one for the only listed mode.
            |data| {
                let second = data[RAW_BEGINS..].to_vec();
                data.extend(second);
                data[RAW_BEGINS + 24..RAW_BEGINS + 40].copy_from_slice(&MODE_DEFAULT.bytes());
                data[12] = 2;
            },
        ];
        for bend in good {
            assert_eq!(findings(0x1003, bend), "");
        }
    }

    #[test]
    fn what_windows_accepts_is_no_mistake_but_harsh() {
        let cases: [(&str, Bend); 4] = [
            // 16 bytes and no element: legal, and without effect on Windows 11.
            ("without an entry for a mode", |data| {
                data[12] = 0;
                data.truncate(16);
            }),
            ("40 bytes with 0 mode(s); 16 bytes would do", |data| data[12] = 0),
            ("more than the engine's usual", |data| {
                data[..4].copy_from_slice(&100_001u32.to_le_bytes());
                data[36..40].copy_from_slice(&200_000u32.to_le_bytes());
            }),
            ("which no pin lists", |data| {
                let second = data[RAW_BEGINS..].to_vec();
                data.extend(second);
                data[RAW_BEGINS + 24] ^= 1;
                data[12] = 2;
            }),
        ];
        for (words, bend) in cases {
            let text = findings(0x1003, bend);
            let harsh = text.lines().all(|line| line.starts_with("harsh: ")) && text.contains(words);
            assert!(harsh, "expected \"{words}\", found \"{text}\"");
        }
    }

    #[test]
    fn each_mistake_is_named() {
        let cases: [(&str, Bend); 8] = [
            ("39 bytes with 1 mode(s)", |data| data.truncate(39)),
            ("64 bytes are due", |data| data[12] = 2),
            ("PacketSizeFileAlignment 0x80", |data| data[4] = 128),
            ("RAW is listed by a pin and has no constraint", |data| data[RAW_BEGINS] ^= 1),
            ("says nothing", |data| data[36..40].fill(0)),
            // One below the least period and one equal to it.
            ("9999 hns is ignored", |data| data[36..40].copy_from_slice(&9_999u32.to_le_bytes())),
            ("10000 hns is ignored", |data| data[36..40].copy_from_slice(&10_000u32.to_le_bytes())),
            ("MaxPacketSizeInBytes 255 is less", |data| data[8] = 255),
        ];
        for (words, bend) in cases {
            let text = findings(0x1003, bend);
            assert!(text.contains(words), "expected \"{words}\", found \"{text}\"");
        }
        assert!(findings(3, |_| ()).contains("type is 0x3"));
    }
}
