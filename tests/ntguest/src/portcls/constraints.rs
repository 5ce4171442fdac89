//! Packet-size constraints: the interface property with which a driver asks for packets shorter than 10 ms (wavert-facts 4.9), judged.
//!
//! The audio engine takes a wrong one for none and says nothing; here each reason is a finding.

use super::descriptor::Findings;
use super::guid::{
    DEVPKEY_PACKET_SIZE_CONSTRAINTS, DEVPKEY_PACKET_SIZE_CONSTRAINTS2, Guid, MODE_DEFAULT, MODE_RAW, Named,
};
use alloc::vec::Vec;

/// `DEVPROP_TYPE_BINARY`.
const TYPE_BINARY: u32 = 0x1003;
/// The four values before the array.
const HEADER_BYTES: usize = 16;
/// `{GUID, ULONG, ULONG}`
const MODE_BYTES: usize = 24;
/// What the engine takes without constraints, 100-ns units: a longer least period helps nobody.
const TEN_MS: u32 = 100_000;
/// Shorter packets than a tenth of a millisecond no clock of Windows can serve.
const SHORTEST: u32 = 1_000;
/// `FILE_512_BYTE_ALIGNMENT`, the greatest one.
const GREATEST_ALIGNMENT: u32 = 0x1ff;

/// What a driver asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Constraints {
    /// Shortest packet, 100-ns units.
    pub min_period: u32,
    /// Longest packet in bytes, 0 = any.
    pub max_bytes: u32,
}

/// Whether a property key is one of packet constraints.
pub fn is_key(format: &Guid, number: u32) -> bool {
    [DEVPKEY_PACKET_SIZE_CONSTRAINTS, DEVPKEY_PACKET_SIZE_CONSTRAINTS2].contains(format) && number == 2
}

fn word(data: &[u8], at: usize) -> u32 {
    data.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

/// Reads the property's data and judges every value that can be judged by itself.
pub fn parse(format: &Guid, kind: u32, data: &[u8], found: &mut Findings<'_>) -> Option<Constraints> {
    if kind != TYPE_BINARY {
        found(format_args!("the type is {kind:#x}, DEVPROP_TYPE_BINARY 0x1003 is due"));
    }
    let count = word(data, 12) as usize;
    // The array is declared with one element, which counts in sizeof.
    let due = count.max(1).checked_mul(MODE_BYTES).map_or(usize::MAX, |bytes| bytes + HEADER_BYTES);
    if data.len() != due {
        found(format_args!("{} bytes with {count} mode(s); {due} bytes are due", data.len()));
        return None;
    }
    let (min_period, alignment) = (word(data, 0), word(data, 4));
    // The first form has a reserved word where the second one has the longest packet.
    let second = *format == DEVPKEY_PACKET_SIZE_CONSTRAINTS2;
    let max_bytes = if second { word(data, 8) } else { 0 };
    if !second && word(data, 8) != 0 {
        found(format_args!("Reserved is {:#x}", word(data, 8)));
    }
    if !(SHORTEST..=TEN_MS).contains(&min_period) {
        found(format_args!("MinPacketPeriodInHns {min_period} is not {SHORTEST} to {TEN_MS}"));
    }
    if !alignment.wrapping_add(1).is_power_of_two() || alignment > GREATEST_ALIGNMENT {
        found(format_args!("PacketSizeFileAlignment {alignment:#x} is no FILE_x_ALIGNMENT"));
    }
    let modes: Vec<&[u8]> = data[HEADER_BYTES..].chunks_exact(MODE_BYTES).take(count).collect();
    for mode in modes {
        let known = [MODE_DEFAULT, MODE_RAW].into_iter().find(|known| mode.starts_with(&known.bytes()));
        let (samples, period) = (word(mode, 16), word(mode, 20));
        match known {
            None => found(format_args!("a constraint for a mode that no pin has")),
            Some(known) if samples == 0 && period == 0 => {
                found(format_args!("a constraint for {} that says nothing", Named(known)));
            }
            Some(known) if period != 0 && period < min_period => found(format_args!(
                "{}: a packet of {period} hns, shorter than the shortest of {min_period}",
                Named(known)
            )),
            Some(_) => {}
        }
    }
    Some(Constraints { min_period, max_bytes })
}

/// Judges the longest packet by what the pin's formats need: 10 ms must fit.
pub fn judge(constraints: &Constraints, bytes_in_10_ms: u32, found: &mut Findings<'_>) {
    if constraints.max_bytes != 0 && constraints.max_bytes < bytes_in_10_ms {
        found(format_args!(
            "MaxPacketSizeInBytes {} is less than 10 ms of the pin's largest format, {bytes_in_10_ms}",
            constraints.max_bytes
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::{String, ToString};

    fn sample() -> Vec<u8> {
        let mut data: Vec<u8> = [10_000u32, 127, 0, 1].iter().flat_map(|word| word.to_le_bytes()).collect();
        data.extend(MODE_RAW.bytes());
        data.extend(0u32.to_le_bytes());
        data.extend(10_000u32.to_le_bytes());
        data
    }

    fn findings(kind: u32, bend: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut data = sample();
        bend(&mut data);
        let mut text = String::new();
        let mut found = |finding: core::fmt::Arguments<'_>| text.push_str(&finding.to_string());
        if let Some(constraints) = parse(&DEVPKEY_PACKET_SIZE_CONSTRAINTS2, kind, &data, &mut found) {
            judge(&constraints, 1920, &mut found);
        }
        text
    }

    #[test]
    fn proper_constraints_have_no_finding() {
        assert_eq!(findings(0x1003, |_| ()), "");
        // No mode: the struct is as long as with one.
        assert_eq!(findings(0x1003, |data| data[12] = 0), "");
        assert_eq!(findings(0x1003, |data| data[8..12].copy_from_slice(&1920u32.to_le_bytes())), "");
    }

    #[test]
    fn each_mistake_is_named() {
        type Bend = fn(&mut Vec<u8>);
        let cases: [(&str, Bend); 8] = [
            ("39 bytes with 1 mode(s)", |data| data.truncate(39)),
            ("64 bytes are due", |data| data[12] = 2),
            ("MinPacketPeriodInHns 0 ", |data| data[..4].fill(0)),
            ("MinPacketPeriodInHns 16843009", |data| data[..4].fill(1)),
            ("PacketSizeFileAlignment 0x80", |data| data[4] = 128),
            ("a mode that no pin has", |data| data[16] ^= 1),
            ("says nothing", |data| data[36..40].fill(0)),
            ("MaxPacketSizeInBytes 255 is less", |data| data[8] = 255),
        ];
        for (words, bend) in cases {
            let text = findings(0x1003, bend);
            assert!(text.contains(words), "expected \"{words}\", found \"{text}\"");
        }
        assert!(findings(3, |_| ()).contains("type is 0x3"));
    }
}
