//! Holds `device/DATASHEET.md` and this crate together: the same names, offsets, widths and codes in both, in the same order.

use ringwave_regs::{Named, error::Error, format, global, pages, pci, stream};

const DATASHEET: &str = include_str!("../../DATASHEET.md");

/// The rows of the first table under the heading that starts with `heading`, as trimmed cells, without its two header rows.
fn table(heading: &str) -> Vec<Vec<&'static str>> {
    let mut lines = DATASHEET.lines().skip_while(|line| !line.starts_with(heading));
    assert!(lines.next().is_some(), "DATASHEET.md has no heading {heading:?}");
    lines
        .take_while(|line| !line.starts_with('#'))
        .skip_while(|line| !line.starts_with('|'))
        .take_while(|line| line.starts_with('|'))
        .skip(2)
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect()
}

fn number(text: &str) -> u32 {
    text.strip_prefix("0x")
        .map_or_else(|| text.parse(), |hex| u32::from_str_radix(hex, 16))
        .unwrap_or_else(|_| panic!("{text:?} is not a number"))
}

fn assert_same_places(heading: &str, code: &[Named], width_column: Option<usize>) {
    let prose: Vec<Named> = table(heading)
        .iter()
        .map(|row| Named {
            name: row[1],
            offset: number(row[0]),
            bytes: width_column.map_or(4, |column| number(row[column])),
        })
        .collect();
    assert_eq!(prose, code, "section {heading:?} of DATASHEET.md and the code differ");
    assert!(code.windows(2).all(|pair| pair[0].offset + pair[0].bytes <= pair[1].offset), "places overlap");
}

#[test]
fn global_registers_are_the_same() {
    assert_same_places("## 3. Global registers", global::REGISTERS, None);
}

#[test]
fn stream_registers_are_the_same() {
    assert_same_places("## 4. Stream registers", stream::REGISTERS, None);
}

#[test]
fn pages_are_the_same() {
    assert_same_places("### 7.1", pages::clock::FIELDS, Some(2));
    assert_same_places("### 7.2", pages::status::FIELDS, Some(2));
    assert_same_places("### 7.3", pages::position::FIELDS, Some(2));
    let offsets: Vec<_> = table("## 7. Pages").iter().map(|row| row[1]).collect();
    let stride = |base: Option<u32>, next: Option<u32>| {
        let base = base.expect("stream 0 exists");
        format!("0x{base:05X} + 0x{:X} * i", next.expect("stream 1 exists") - base)
    };
    assert_eq!(
        offsets,
        [
            format!("0x{:05X}", pages::CLOCK_PAGE),
            stride(pages::status_page(0), pages::status_page(1)),
            stride(pages::position_page(0), pages::position_page(1)),
        ]
    );
}

#[test]
fn error_codes_are_the_same() {
    let prose: Vec<_> =
        table("## 8. Error codes").iter().map(|row| (number(row[0]), row[1], row[2])).collect();
    let code: Vec<_> = Error::ALL.iter().map(|e| (e.code(), e.name(), e.meaning())).collect();
    assert_eq!(prose, code);
    for error in Error::ALL {
        assert_eq!(Error::from_code(error.code()), Some(*error));
    }
}

#[test]
fn rates_are_the_same() {
    let line =
        DATASHEET.lines().find(|line| line.starts_with("Rates, by bit:")).expect("the rates are listed");
    let code: Vec<_> = format::RATES.iter().enumerate().map(|(bit, rate)| format!("{bit} {rate}")).collect();
    assert_eq!(line, format!("Rates, by bit: {}.", code.join(", ")));
    assert!(format::RATES.iter().enumerate().all(|(bit, rate)| format::rate_bit(*rate) == 1 << bit));
}

#[test]
fn reset_values_and_identity_are_the_same() {
    let reset = |name: &str| {
        let rows = table("## 3. Global registers");
        number(rows.iter().find(|row| row[1] == name).expect("the register is listed")[3])
    };
    assert_eq!(reset("MAGIC"), global::MAGIC_VALUE);
    assert_eq!(reset("VERSION"), global::VERSION_VALUE);
    assert_eq!(reset("SG_ENTRIES_MAX"), ringwave_regs::dma::ENTRIES_MAX);
    assert_eq!(reset("RING_BYTES_MAX"), global::RING_BYTES_MAX_VALUE);
    assert_eq!(reset("CLOCK_HZ"), global::CLOCK_HZ_VALUE);
    let function = table("## 2. PCI function");
    let cell = |name: &str| function.iter().find(|row| row[0] == name).expect("the row is there")[1];
    assert!(cell("vendor : device").starts_with(&format!("0x{:04x} : 0x{:04x}", pci::VENDOR, pci::DEVICE)));
    assert_eq!(cell("subsystem"), format!("0x{:04x} : 0x{:04x}", pci::SUBSYSTEM_VENDOR, pci::SUBSYSTEM));
    assert!(cell("class, revision").starts_with(&format!("0x{:06x}", pci::CLASS)));
    assert!(cell("BAR 0").contains(&format!("0x{:x} bytes", pci::REGISTERS_BYTES)));
    assert!(cell("BAR 2").contains(&format!("0x{:x} bytes", pci::PAGES_BYTES)));
}
