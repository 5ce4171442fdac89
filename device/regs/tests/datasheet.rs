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
    assert_same_places("### 7.4", pages::mark::FIELDS, Some(2));
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
            stride(pages::mark_page(0), pages::mark_page(1)),
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

/// Bits and small numbers that stand in the tables' meanings: `(heading, register, words there)`.
#[test]
fn bits_are_the_same() {
    use ringwave_regs::{dma, pages::status};
    let meaning = |heading: &str, name: &str| {
        let rows = table(heading);
        let row = rows.iter().find(|row| row[1] == name).unwrap_or_else(|| panic!("{name} is listed"));
        (*row.last().expect("a row has cells")).to_owned()
    };
    let (card, stream_table) = ("## 3. Global registers", "## 4. Stream registers");
    let features = [
        (global::FEATURE_CONTIGUOUS, "CONTIGUOUS"),
        (global::FEATURE_SCATTER_GATHER, "SCATTER_GATHER"),
        (global::FEATURE_WRITTEN, "WRITTEN (with EOS)"),
        (global::FEATURE_START_FRAME, "START_FRAME"),
        (global::FEATURE_POSITION_PAGE, "POSITION_PAGE"),
        (global::FEATURE_CAPTURE, "CAPTURE"),
        (global::FEATURE_VOLUME, "VOLUME"),
        (global::FEATURE_JACK, "JACK"),
        (global::FEATURE_MARK_PAGE, "MARK_PAGE"),
    ];
    let words: Vec<_> = features.iter().map(|(value, name)| format!("{} {name}", bit(*value))).collect();
    assert_eq!(meaning(card, "FEATURES"), format!("bit {}", words.join(", ")));
    let control = format!(
        "bit {} INT_ENABLE; bit {} RESET",
        bit(global::CONTROL_INT_ENABLE),
        bit(global::CONTROL_RESET)
    );
    assert!(meaning(card, "CONTROL").starts_with(&control));
    let clocks =
        format!("{} lockstep, {} realtime", global::CLOCK_MODE_LOCKSTEP, global::CLOCK_MODE_REALTIME);
    assert!(meaning(card, "CLOCK_MODE").starts_with(&clocks));
    assert!(meaning(card, "SELFTEST_BYTES").starts_with(&format!("4 to {}", global::SELFTEST_BYTES_MAX)));
    assert!(meaning(card, "SELFTEST_ENTRIES").contains(&format!("1 to {}:", global::SELFTEST_ENTRIES_MAX)));

    let caps = format!(
        "bit {} present, bit {} capture, {}:{} most channels (1 to {}), {}:{} most packets",
        bit(stream::CAPS_PRESENT),
        bit(stream::CAPS_CAPTURE),
        stream::CAPS_CHANNELS_SHIFT + 7,
        stream::CAPS_CHANNELS_SHIFT,
        format::CHANNELS_MAX,
        stream::CAPS_PACKETS_SHIFT + 7,
        stream::CAPS_PACKETS_SHIFT,
    );
    assert!(meaning(stream_table, "CAPS").starts_with(&caps));
    let states = format!(
        "{} STOP, {} ACQUIRE, {} PAUSE, {} RUN",
        stream::STATE_STOP,
        stream::STATE_ACQUIRE,
        stream::STATE_PAUSE,
        stream::STATE_RUN
    );
    assert!(meaning(stream_table, "STATE").starts_with(&states));
    let modes = format!(
        "{} contiguous, {} scatter-gather",
        stream::DMA_MODE_CONTIGUOUS,
        stream::DMA_MODE_SCATTER_GATHER
    );
    assert!(meaning(stream_table, "DMA_MODE").starts_with(&modes));
    let events = format!(
        "bit {}: a complete packet is an event; bit {}: a failed transfer, or HOST, in RUN is an event; bit {}: a change of the jack",
        bit(stream::INT_PACKET),
        bit(stream::INT_ERROR),
        bit(stream::INT_JACK)
    );
    assert!(meaning(stream_table, "INT_ENABLE").starts_with(&events));
    assert!(meaning(stream_table, "EOS").starts_with(&format!(
        "bit {} armed, {}:0 ",
        bit(stream::EOS_ARM),
        bit(stream::EOS_ARM) - 1
    )));
    assert_eq!(stream::EOS_BYTES, stream::EOS_ARM - 1);
    let flags = format!(
        "bit {} STALLED, {} LOCKSTEP, {} ENDED, {} WRITTEN (marked), {} UNPLUGGED",
        bit(status::FLAG_STALLED),
        bit(status::FLAG_LOCKSTEP),
        bit(status::FLAG_ENDED),
        bit(status::FLAG_WRITTEN),
        bit(status::FLAG_UNPLUGGED)
    );
    let rows = table("### 7.2");
    let row = rows.iter().find(|row| row[1] == "FLAGS").expect("FLAGS is listed");
    assert!(row[3].starts_with(&flags));
    assert!(meaning(stream_table, "LOCKSTEP").starts_with(&format!("bit {}: ", bit(stream::LOCKSTEP_ASK))));
    assert!(meaning("### 7.4", "MARK").starts_with("packet in 31:0, tag in 63:32"));
    assert_eq!(pages::mark::word(7, 9), 9 << 32 | 7);
    assert_eq!([pages::mark::packet(9 << 32 | 7, 9), pages::mark::packet(9 << 32 | 7, 8)], [Some(7), None]);
    let link = table("### 6.2");
    assert_eq!(link[2][3], format!("bit {} LINK", bit(dma::SLOT_LINK)));
}

/// Numbers that stand in sentences.
#[test]
fn numbers_in_the_prose_are_the_same() {
    assert!(DATASHEET.contains(&format!(
        "at BAR 0 offset `0x{:x} + 0x{:x} * i`",
        stream::BLOCK_BASE,
        stream::BLOCK_STRIDE
    )));
    assert!(DATASHEET.contains(&format!("`max({}, floor(RATE / 1000))` frames", stream::PACKET_FRAMES_MIN)));
    assert!(DATASHEET.contains(&format!("again, at most {} times", pages::READ_TRIES)));
    assert!(DATASHEET.contains(&format!("more than {} ms ago", stream::LATE_MILLIS)));
    assert!(DATASHEET.contains(&format!("FIFO_FRAMES = `min(packet, {} ms)`", stream::FIFO_MILLIS)));
    assert!(DATASHEET.contains(&format!("WRITTEN*: `min(packet, {} ms)`", stream::WRITTEN_PIECE_MILLIS)));
    assert!(DATASHEET.contains(&format!("is not WRITTEN*: {} ms of silence", stream::LATE_PIECE_MILLIS)));
    assert!(DATASHEET.contains(&format!("and {} ms after the last look", stream::LOOK_MILLIS)));
    let decibels = -stream::VOLUME_MIN / stream::VOLUME_UNITS;
    assert!(DATASHEET.contains(&format!("1/{} dB, signed, -{decibels} dB (", stream::VOLUME_UNITS)));
    assert!(DATASHEET.contains(&format!("({:#010X}) to 0", stream::VOLUME_MIN.cast_unsigned())));
    assert!(DATASHEET.contains(&format!(
        "`g = round(2^{} * 10^(v / {}))`",
        bit(stream::GAIN_ONE),
        20 * stream::VOLUME_UNITS
    )));
    assert!(DATASHEET.contains(&format!("below 2^{} ", bit64(stream::START_FRAME_LIMIT))));
    let bytes = |code| format::sample_bytes(code).expect("the code is defined");
    assert_eq!((format::S16, format::S24_32, format::S32, format::F32), (0, 1, 2, 3));
    assert!(DATASHEET.contains(&format!(
        "Sample formats: 0 S16, 1 S24 in the upper bits of 32, 2 S32, 3 F32; {}, {}, {}, {} bytes",
        bytes(0),
        bytes(1),
        bytes(2),
        bytes(3)
    )));
    assert_eq!(format::sample_bytes(4), None);
}

fn bit(value: u32) -> u32 {
    bit64(value.into())
}

fn bit64(value: u64) -> u32 {
    assert_eq!(value.count_ones(), 1);
    value.trailing_zeros()
}

#[test]
fn slots_lie_in_memory_as_the_table_says() {
    use ringwave_regs::dma::Slot;
    let slot = Slot { address: 0x1122_3344_5566_7788, length: 0x99AA_BBCC, flags: 1 };
    let bytes = slot.to_bytes();
    assert_eq!(bytes[..8], 0x1122_3344_5566_7788_u64.to_le_bytes());
    assert_eq!(bytes[8..12], 0x99AA_BBCC_u32.to_le_bytes());
    assert_eq!(bytes[12..], 1_u32.to_le_bytes());
    assert_eq!(Slot::from_bytes(bytes), slot);
}

#[test]
fn messages_are_the_smallest_power_of_two_that_suffices() {
    let offered: Vec<_> = [0, 1, 2, 3, 9, 16, 99].iter().map(|streams| pci::messages(*streams)).collect();
    assert_eq!(offered, [1, 1, 2, 4, 16, 16, 16]);
}
