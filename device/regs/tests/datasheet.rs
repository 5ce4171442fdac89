//! Holds `device/DATASHEET.md` and this crate together: the same names, offsets, widths and codes in both, in
//! the same order.

use ringwave_regs::{Named, error::Error, format, global, pages, pci, stream};

const DATASHEET: &str = include_str!("../../DATASHEET.md");

/// The rows of the first table under the heading that starts with `heading`, as trimmed cells, without its
/// two header rows.
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
    assert_eq!(cell("class, revision"), format!("0x{:06x} multimedia audio, {}", pci::CLASS, pci::REVISION));
    assert!(cell("BAR 0").contains(&format!("0x{:x} bytes", pci::REGISTERS_BYTES)));
    assert!(cell("BAR 2").contains(&format!("0x{:x} bytes", pci::PAGES_BYTES)));
}

/// The names of the tables of bits and values (`#### NAME (0xOFFSET)`), with the section they stand in and
/// their offset.
fn tables_of_bits() -> Vec<(&'static str, &'static str, u32)> {
    let mut section = "";
    let mut all = Vec::new();
    for line in DATASHEET.lines() {
        if let Some(heading) = line.strip_prefix("#### ") {
            let (name, offset) = heading.split_once(" (").expect("#### NAME (0xOFFSET)");
            all.push((section, name, number(offset.trim_end_matches(')'))));
        } else if line.starts_with('#') {
            section = line.trim_start_matches('#').trim_start().split(' ').next().unwrap_or("");
        }
    }
    all
}

/// `31:0` and `7` as the highest and the lowest bit.
fn range(text: &str) -> (u32, u32) {
    let (high, low) = text.split_once(':').unwrap_or((text, text));
    (number(high), number(low))
}

#[test]
fn tables_of_bits_are_of_registers_and_leave_no_bit_out() {
    let all = tables_of_bits();
    assert_eq!(all.len(), 17);
    for (section, name, offset) in all {
        let there = match section {
            "3." => global::REGISTERS,
            "4." => stream::REGISTERS,
            "7.2" => pages::status::FIELDS,
            "7.4" => pages::mark::FIELDS,
            other => panic!("{name} stands in section {other}"),
        };
        let register = there.iter().find(|register| register.name == name).expect("there is such a register");
        assert_eq!(register.offset, offset, "{name}");
        let rows = table(&format!("#### {name} (0x"));
        if rows.iter().all(|row| row[0] == "31:0") {
            continue;
        }
        let mut bits: Vec<_> = rows.iter().map(|row| range(row[0])).collect();
        bits.sort_unstable_by_key(|(_, low)| *low);
        let mut next = 0;
        for (high, low) in bits {
            assert!(low == next && high >= low, "{name}: bits {high}:{low}, the ones before end at {next}");
            next = high + 1;
        }
        assert_eq!(next, register.bytes * 8, "{name}");
    }
}

/// The bits of a mask as a table has them.
fn bits(mask: u64) -> String {
    let (low, high) = (mask.trailing_zeros(), mask.ilog2());
    assert_eq!(mask >> low, u64::MAX >> (63 - (high - low)), "a mask of bits side by side");
    if low == high { low.to_string() } else { format!("{high}:{low}") }
}

/// Each field of the tables of bits is a constant of the code.
#[test]
fn bits_are_the_same() {
    use ringwave_regs::pages::status;
    let byte = |shift: u32| 0xFF_u64 << shift;
    let single = |value: u32| u64::from(value);
    let version = [("MAJOR", 0xFFFF_0000), ("MINOR", 0xFFFF)];
    assert_eq!(global::VERSION_VALUE >> 16, global::VERSION_MAJOR.into());
    let features = [
        ("CONTIGUOUS", single(global::FEATURE_CONTIGUOUS)),
        ("SCATTER_GATHER", single(global::FEATURE_SCATTER_GATHER)),
        ("WRITTEN", single(global::FEATURE_WRITTEN)),
        ("START_FRAME", single(global::FEATURE_START_FRAME)),
        ("POSITION_PAGE", single(global::FEATURE_POSITION_PAGE)),
        ("CAPTURE", single(global::FEATURE_CAPTURE)),
        ("VOLUME", single(global::FEATURE_VOLUME)),
        ("JACK", single(global::FEATURE_JACK)),
        ("MARK_PAGE", single(global::FEATURE_MARK_PAGE)),
    ];
    let streams = [("RENDER", byte(0)), ("CAPTURE", byte(global::STREAMS_CAPTURE_SHIFT))];
    let control =
        [("INT_ENABLE", single(global::CONTROL_INT_ENABLE)), ("RESET", single(global::CONTROL_RESET))];
    let status = [("STREAM", single(global::INT_STATUS_STREAMS))];
    let caps = [
        ("PRESENT", single(stream::CAPS_PRESENT)),
        ("CAPTURE", single(stream::CAPS_CAPTURE)),
        ("CHANNELS", byte(stream::CAPS_CHANNELS_SHIFT)),
        ("PACKETS", byte(stream::CAPS_PACKETS_SHIFT)),
    ];
    assert_eq!((format::code(0x0807), format::channels(0x0807)), (7, 8));
    let format = [("SAMPLE", byte(0)), ("CHANNELS", byte(8))];
    let events = [
        ("INT_PACKET", single(stream::INT_PACKET)),
        ("INT_ERROR", single(stream::INT_ERROR)),
        ("INT_JACK", single(stream::INT_JACK)),
    ];
    let eos = [("ARMED", single(stream::EOS_ARM)), ("BYTES", single(stream::EOS_BYTES))];
    let tick = [("TICK", single(stream::POSITION_TICK))];
    let mute = [("CHANNEL", single(stream::MUTE_CHANNELS))];
    let lockstep = [("ASK", single(stream::LOCKSTEP_ASK))];
    let flags = [
        ("STALLED", single(status::FLAG_STALLED)),
        ("LOCKSTEP", single(status::FLAG_LOCKSTEP)),
        ("ENDED", single(status::FLAG_ENDED)),
        ("WRITTEN", single(status::FLAG_WRITTEN)),
        ("UNPLUGGED", single(status::FLAG_UNPLUGGED)),
    ];
    assert_eq!(pages::mark::word(7, 9), 9 << 32 | 7);
    assert_eq!([pages::mark::packet(9 << 32 | 7, 9), pages::mark::packet(9 << 32 | 7, 8)], [Some(7), None]);
    let mark = [("PACKET", pages::mark::word(u32::MAX, 0)), ("TAG", pages::mark::word(0, u32::MAX))];
    let masks: [(&str, &[(&str, u64)]); 13] = [
        ("VERSION", &version),
        ("FEATURES", &features),
        ("STREAMS", &streams),
        ("CONTROL", &control),
        ("INT_STATUS", &status),
        ("CAPS", &caps),
        ("FORMAT", &format),
        ("INT_ENABLE", &events),
        ("EOS", &eos),
        ("POSITION_CONTROL", &tick),
        ("MUTE", &mute),
        ("LOCKSTEP", &lockstep),
        ("FLAGS", &flags),
    ];
    for (register, code) in masks.into_iter().chain([("MARK", &mark[..])]) {
        let rows = table(&format!("#### {register} (0x"));
        let prose: Vec<_> = rows
            .iter()
            .map(|row| (row[1], row[0].to_owned()))
            .filter(|(name, _)| *name != "reserved")
            .collect();
        let code: Vec<_> = code.iter().map(|(name, mask)| (*name, bits(*mask))).collect();
        assert_eq!(prose, code, "{register}");
    }
}

#[test]
fn values_are_the_same() {
    let values: [(&str, &[(&str, u32)]); 3] = [
        (
            "CLOCK_MODE",
            &[("LOCKSTEP", global::CLOCK_MODE_LOCKSTEP), ("REALTIME", global::CLOCK_MODE_REALTIME)],
        ),
        (
            "STATE",
            &[
                ("STOP", stream::STATE_STOP),
                ("ACQUIRE", stream::STATE_ACQUIRE),
                ("PAUSE", stream::STATE_PAUSE),
                ("RUN", stream::STATE_RUN),
            ],
        ),
        (
            "DMA_MODE",
            &[
                ("CONTIGUOUS", stream::DMA_MODE_CONTIGUOUS),
                ("SCATTER_GATHER", stream::DMA_MODE_SCATTER_GATHER),
            ],
        ),
    ];
    for (register, code) in values {
        let rows = table(&format!("#### {register} (0x"));
        let prose: Vec<_> = rows.iter().map(|row| (row[2], number(row[1]))).collect();
        assert_eq!(prose, code, "{register}");
    }
    let link = table("### 6.2");
    assert_eq!(link[2][3], format!("bit {} LINK", bit(ringwave_regs::dma::SLOT_LINK)));
}

/// The limits of 10.1, and the numbers that stand in sentences.
#[test]
fn limits_and_numbers_in_the_prose_are_the_same() {
    let decibels = stream::VOLUME_MIN / stream::VOLUME_UNITS;
    let limits = [
        ("streams", stream::STREAMS_MAX.to_string()),
        ("shortest packet", format!("{} frames, and 1 ms", stream::PACKET_FRAMES_MIN)),
        ("FIFO", format!("{} ms", stream::FIFO_MILLIS)),
        ("burst of a packet that is WRITTEN", format!("{} ms", stream::WRITTEN_BURST_MILLIS)),
        ("burst of silence while a mark is late", format!("{} ms", stream::LATE_BURST_MILLIS)),
        ("an end may be late, before time starts again", format!("{} ms", stream::LATE_MILLIS)),
        ("START_FRAME", format!("2^{} frames", bit64(stream::START_FRAME_LIMIT))),
        ("volume", format!("{decibels} dB")),
        ("reads of a page under SEQ", pages::READ_TRIES.to_string()),
        ("tick of the position page", format!("{} us", stream::POSITION_TICK_MICROS)),
        ("looks while STALLED", format!("{} ms", stream::LOOK_MILLIS)),
        (
            "self-test",
            format!("{} bytes, {} entries", global::SELFTEST_BYTES_MAX, global::SELFTEST_ENTRIES_MAX),
        ),
    ];
    let prose: Vec<_> = table("### 10.1").iter().map(|row| (row[0], row[1].to_owned())).collect();
    assert_eq!(prose, limits);

    let sentences = [
        format!("at BAR 0 offset `0x{:x} + 0x{:x} * i`", stream::BLOCK_BASE, stream::BLOCK_STRIDE),
        format!("`max({}, floor(RATE / 1000))` frames", stream::PACKET_FRAMES_MIN),
        format!("again, at most {} times", pages::READ_TRIES),
        format!("more than {} ms ago", stream::LATE_MILLIS),
        format!("FIFO_FRAMES = `min(packet, {} ms)`", stream::FIFO_MILLIS),
        format!("its packet is WRITTEN | `min(packet, {} ms)` |", stream::WRITTEN_BURST_MILLIS),
        format!("its packet is not WRITTEN | {} ms of silence |", stream::LATE_BURST_MILLIS),
        format!("and {} ms after the last look", stream::LOOK_MILLIS),
        format!("| 4 to {}, a multiple of 4 |", global::SELFTEST_BYTES_MAX),
        format!("1 to {}: it is a table", global::SELFTEST_ENTRIES_MAX),
        format!("most channels, 1 to {} |", format::CHANNELS_MAX),
        format!("1/{} dB, signed, {decibels} dB (", stream::VOLUME_UNITS),
        format!("({:#010X}) to 0", stream::VOLUME_MIN.cast_unsigned()),
        format!("`g = round(2^{} * 10^(v / {}))`", bit(stream::GAIN_ONE), 20 * stream::VOLUME_UNITS),
        format!("below 2^{} ", bit64(stream::START_FRAME_LIMIT)),
    ];
    for sentence in sentences {
        assert!(DATASHEET.contains(&sentence), "DATASHEET.md does not say {sentence:?}");
    }
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

/// The card, not the program or the machine around it, is what a datasheet is about.
#[test]
fn nothing_of_the_program_or_the_machine_around_it_is_in_the_datasheet() {
    for word in ["QEMU", "TCG", "vfio", "`serve", "ringwave serve", "`--"] {
        let line = DATASHEET.lines().find(|line| line.contains(word));
        assert_eq!(line, None, "{word} is for device/README.md");
    }
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
