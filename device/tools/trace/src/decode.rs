//! What an access was: the names and the values of registers, as the card's DATASHEET has them, or a
//! specification.

use std::fmt::Write;

use ringwave_regs::error::{self, Error};
use ringwave_regs::{Named, format, global, pages, stream};

use crate::hda;
use ringwave_pci::config::layout;
use ringwave_trace::{Data, ErrorName, Region};

/// Whose trace it is: what the registers are called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Card {
    /// DATASHEET.md. Also a trace that does not say: before 0.2 no other card was named.
    #[default]
    Ringwave,
    /// HDA.md and the specification.
    Hda,
    /// A card without registers of its own (virtio-snd), or one that is not known.
    Other,
}

impl Card {
    /// By the first line of a trace.
    pub fn of<'a>(mut header: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        match header.find(|(name, _)| *name == "card") {
            None | Some((_, "ringwave")) => Self::Ringwave,
            Some((_, "hda")) => Self::Hda,
            Some(_) => Self::Other,
        }
    }

    /// The register at an offset of BAR 0 by which `--stats` sorts the writes of a driver.
    pub fn sorted_register(self, offset: u64) -> Option<&'static str> {
        if self == Self::Ringwave { stream::name(offset) } else { None }
    }
}

/// An access, decoded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// The stream whose block or page it is in.
    pub stream: Option<u32>,
    /// The register or field; two of them with a plus for an access of 64 bits.
    pub register: Option<String>,
    /// What its value means; for a plain number, the number.
    pub meaning: Option<String>,
}

/// Decodes an access.
pub fn access(card: Card, region: Region, offset: u64, data: &Data, written: bool) -> Access {
    match (region, card) {
        (Region::Registers, Card::Ringwave) => registers(offset, data, written),
        (Region::Registers, Card::Hda) => hda::access(offset, data),
        (Region::Pages, Card::Ringwave) => page_field(offset, data),
        (Region::Registers | Region::Pages, _) => Access::default(),
        (Region::Config, _) => config(card, offset, data),
    }
}

/// The stream and the register at this offset in BAR 0.
fn register(offset: u64) -> Option<(Option<u32>, &'static Named)> {
    match stream::in_block(offset) {
        Some((index, at)) => Some((Some(index), named(stream::REGISTERS, at)?)),
        None => Some((None, named(global::REGISTERS, u32::try_from(offset).ok()?)?)),
    }
}

fn named(table: &'static [Named], offset: u32) -> Option<&'static Named> {
    table.iter().find(|register| register.offset == offset)
}

fn registers(offset: u64, data: &Data, written: bool) -> Access {
    let unknown = Access { stream: stream::in_block(offset).map(|(index, _)| index), ..Access::default() };
    let (Some(value), Some((stream, low))) = (data.value(), register(offset)) else { return unknown };
    let value_of = |register: &Named, value: u64| {
        let value = u32::try_from(value & 0xFFFF_FFFF).unwrap_or(0);
        match stream {
            Some(_) => stream_value(register.offset, value),
            None => global_value(register.offset, value, written),
        }
    };
    let high = offset.checked_add(4).and_then(register);
    let (register, meaning) = match (data.bytes(), high) {
        (4, _) => (low.name.to_owned(), value_of(low, value)),
        (8, Some((_, high))) => {
            let pair = low.name.ends_with("_LO") && high.name.ends_with("_HI");
            let both = || format!("{}+{}", value_of(low, value), value_of(high, value >> 32));
            let meaning = if pair { format!("{value:#x}") } else { both() };
            (format!("{}+{}", low.name, high.name), meaning)
        }
        // The card refuses it.
        _ => return unknown,
    };
    Access { stream, register: Some(register), meaning: Some(meaning) }
}

fn global_value(register: u32, value: u32, written: bool) -> String {
    match register {
        global::MAGIC if value == global::MAGIC_VALUE => "RWAV".to_owned(),
        global::VERSION => format!("{}.{}", value >> 16, value & 0xFFFF),
        global::FEATURES => bits(
            value,
            &[
                (global::FEATURE_CONTIGUOUS, "CONTIGUOUS"),
                (global::FEATURE_SCATTER_GATHER, "SCATTER_GATHER"),
                (global::FEATURE_WRITTEN, "WRITTEN"),
                (global::FEATURE_START_FRAME, "START_FRAME"),
                (global::FEATURE_POSITION_PAGE, "POSITION_PAGE"),
                (global::FEATURE_CAPTURE, "CAPTURE"),
                (global::FEATURE_VOLUME, "VOLUME"),
                (global::FEATURE_JACK, "JACK"),
                (global::FEATURE_MARK_PAGE, "MARK_PAGE"),
            ],
        ),
        global::STREAMS => format!("{} render, {} capture", value & 0xFF, value >> 8 & 0xFF),
        global::CONTROL => {
            bits(value, &[(global::CONTROL_INT_ENABLE, "INT_ENABLE"), (global::CONTROL_RESET, "RESET")])
        }
        global::CLOCK_MODE => match value {
            global::CLOCK_MODE_LOCKSTEP => "lockstep".to_owned(),
            global::CLOCK_MODE_REALTIME => "realtime".to_owned(),
            _ => value.to_string(),
        },
        global::SELFTEST if !written => error_name(value),
        global::ERROR => error_name(value),
        global::DMA_BITS
        | global::SG_ENTRIES_MAX
        | global::RING_BYTES_MAX
        | global::CLOCK_HZ
        | global::INT_RAISE
        | global::MESSAGES
        | global::SELFTEST_BYTES
        | global::SELFTEST_ENTRIES
        | global::TRACE_MARK => value.to_string(),
        _ => format!("{value:#010x}"),
    }
}

fn stream_value(register: u32, value: u32) -> String {
    match register {
        stream::CAPS => {
            let present = [(stream::CAPS_PRESENT, "present"), (stream::CAPS_CAPTURE, "capture")];
            let channels = value >> stream::CAPS_CHANNELS_SHIFT & 0xFF;
            let packets = value >> stream::CAPS_PACKETS_SHIFT & 0xFF;
            format!("{}, {channels} channels, {packets} packets", bits(value & 3, &present))
        }
        stream::FORMATS => {
            let formats: Vec<String> =
                (0..32).filter(|code| value >> code & 1 != 0).map(format_name).collect();
            formats.join("|")
        }
        stream::RATES => {
            let rates = format::RATES.iter().filter(|rate| value & format::rate_bit(**rate) != 0);
            rates.map(u32::to_string).collect::<Vec<_>>().join("|")
        }
        stream::STATE => state_name(value),
        stream::ERROR => error_name(value),
        stream::FORMAT => format!("{}x{}", format_name(format::code(value)), format::channels(value)),
        stream::RATE => format!("{value} Hz"),
        stream::DMA_MODE => match value {
            stream::DMA_MODE_CONTIGUOUS => "contiguous".to_owned(),
            stream::DMA_MODE_SCATTER_GATHER => "scatter-gather".to_owned(),
            _ => value.to_string(),
        },
        stream::INT_ENABLE => bits(value, &[(stream::INT_PACKET, "PACKET"), (stream::INT_ERROR, "ERROR")]),
        stream::EOS if value & stream::EOS_ARM != 0 => {
            format!("armed, {} bytes", value & stream::EOS_BYTES)
        }
        stream::DMA_ADDR_LO | stream::DMA_ADDR_HI => format!("{value:#010x}"),
        stream::LOCKSTEP => bits(value, &[(stream::LOCKSTEP_ASK, "ASK")]),
        stream::POSITION_CONTROL => bits(value, &[(stream::POSITION_TICK, "TICK")]),
        _ => value.to_string(),
    }
}

fn state_name(state: u32) -> String {
    match state {
        stream::STATE_STOP => "STOP".to_owned(),
        stream::STATE_ACQUIRE => "ACQUIRE".to_owned(),
        stream::STATE_PAUSE => "PAUSE".to_owned(),
        stream::STATE_RUN => "RUN".to_owned(),
        other => other.to_string(),
    }
}

fn format_name(code: u32) -> String {
    match code {
        format::S16 => "S16".to_owned(),
        format::S24_32 => "S24_32".to_owned(),
        format::S32 => "S32".to_owned(),
        format::F32 => "F32".to_owned(),
        other => format!("format {other}"),
    }
}

/// An error for a person: with its meaning, if the DATASHEET has it.
pub fn error_of(card: Card, name: ErrorName) -> String {
    let known = Error::ALL.iter().find(|error| card == Card::Ringwave && error.name() == name.as_str());
    known.map_or_else(|| name.to_string(), Error::to_string)
}

fn error_name(code: u32) -> String {
    match Error::from_code(code) {
        Some(error) => error.name().to_owned(),
        None if code == error::NONE => "none".to_owned(),
        None => code.to_string(),
    }
}

/// The names of the bits that are set, and what is left over; 0 for none.
pub fn bits(value: u32, names: &[(u32, &str)]) -> String {
    let mut text = String::new();
    let mut rest = value;
    for (bit, name) in names {
        if value & bit != 0 {
            text.push_str(if text.is_empty() { "" } else { "|" });
            text.push_str(name);
            rest &= !bit;
        }
    }
    if rest != 0 || text.is_empty() {
        let plus = if text.is_empty() { "" } else { "|" };
        let number = if rest == 0 { "0".to_owned() } else { format!("{rest:#x}") };
        let _ = write!(text, "{plus}{number}");
    }
    text
}

/// A field of a page, if that is exactly what was accessed.
fn page_field(offset: u64, data: &Data) -> Access {
    let Ok(offset) = u32::try_from(offset) else { return Access::default() };
    let within = offset % pages::PAGE_BYTES;
    let page = offset - within;
    let index_from = |base: u32| {
        page.checked_sub(base)
            .map(|bytes| bytes / pages::PAGE_BYTES)
            .filter(|index| *index < stream::STREAMS_MAX)
    };
    let bases = [
        (pages::STATUS_BASE, pages::status::FIELDS),
        (pages::POSITION_BASE, pages::position::FIELDS),
        (pages::MARK_BASE, pages::mark::FIELDS),
    ];
    let in_stream = bases.into_iter().find_map(|(base, fields)| Some((index_from(base)?, fields)));
    let (stream, fields) = match in_stream {
        Some((index, fields)) => (Some(index), fields),
        None if page == pages::CLOCK_PAGE => (None, pages::clock::FIELDS),
        None => return Access::default(),
    };
    let field = named(fields, within).filter(|field| field.bytes == data.bytes());
    let is_mark = page >= pages::MARK_BASE && within == pages::mark::MARK;
    let meaning = field.and(data.value()).map(|value| {
        if is_mark {
            format!("packet {}, tag {}", value & 0xFFFF_FFFF, value >> 32)
        } else {
            value.to_string()
        }
    });
    Access { stream, register: field.map(|field| field.name.to_owned()), meaning }
}

/// Names in the configuration space of HD Audio where it has others than the Ringwave card (HDA.md 1).
const HDA_CONFIG: &[(usize, u32, &str)] = &[(0x40, 1, "HDCTL"), (0x44, 1, "TCSEL"), (HDA_PMCSR, 2, "PMCSR")];
const HDA_PMCSR: usize = 0x64;

/// Names in configuration space: offset, length, name.
const CONFIG: &[(usize, u32, &str)] = &[
    (0x00, 4, "VENDOR+DEVICE"),
    (0x00, 2, "VENDOR"),
    (0x02, 2, "DEVICE"),
    (layout::COMMAND, 2, "COMMAND"),
    (layout::COMMAND, 4, "COMMAND+STATUS"),
    (layout::STATUS, 2, "STATUS"),
    (0x08, 4, "CLASS+REVISION"),
    (0x10, 4, "BAR0"),
    (0x14, 4, "BAR1"),
    (0x18, 4, "BAR2"),
    (0x1C, 4, "BAR3"),
    (0x20, 4, "BAR4"),
    (0x24, 4, "BAR5"),
    (0x30, 4, "ROM"),
    (0x3C, 1, "INTERRUPT_LINE"),
    (layout::PMCSR, 2, "PMCSR"),
    (layout::MSI_CONTROL, 2, "MSI_CONTROL"),
    (layout::MSI + 4, 4, "MSI_ADDRESS_LO"),
    (layout::MSI + 8, 4, "MSI_ADDRESS_HI"),
    (layout::MSI + 12, 2, "MSI_DATA"),
    (layout::DEVICE_CONTROL, 2, "DEVICE_CONTROL"),
];

fn config(card: Card, offset: u64, data: &Data) -> Access {
    let is_it = |(at, bytes, _): &&(usize, u32, &str)| *at as u64 == offset && *bytes == data.bytes();
    let common = CONFIG.iter().filter(|(at, ..)| card == Card::Ringwave || *at != layout::PMCSR);
    let own = HDA_CONFIG.iter().filter(|_| card == Card::Hda);
    let entry = own.chain(common).find(is_it);
    let (Some((at, _, name)), Some(value)) = (entry, data.value()) else { return Access::default() };
    let value = u32::try_from(value).unwrap_or(u32::MAX);
    let pmcsr = if card == Card::Hda { HDA_PMCSR } else { layout::PMCSR };
    let meaning = match *at {
        layout::COMMAND if data.bytes() == 2 => bits(
            value,
            &[
                (layout::COMMAND_MEMORY.into(), "MEMORY"),
                (layout::COMMAND_BUS_MASTER.into(), "BUS_MASTER"),
                (layout::COMMAND_INTERRUPT_DISABLE.into(), "INTERRUPT_DISABLE"),
            ],
        ),
        at if at == pmcsr && value & u32::from(layout::PMCSR_STATE) == u32::from(layout::D3HOT) => {
            "D3hot".to_owned()
        }
        at if at == pmcsr => "D0".to_owned(),
        layout::MSI_CONTROL => {
            let granted = 1_u32 << (value >> layout::MSI_GRANTED_SHIFT & 7);
            let enabled = value & u32::from(layout::MSI_ENABLE) != 0;
            format!("{}, {granted} granted", if enabled { "enabled" } else { "disabled" })
        }
        layout::DEVICE_CONTROL if value & u32::from(layout::DEVICE_CONTROL_FLR) != 0 => "FLR".to_owned(),
        _ => format!("{value:#0width$x}", width = 2 + 2 * data.bytes() as usize),
    };
    Access { stream: None, register: Some((*name).to_owned()), meaning: Some(meaning) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(offset: u32, value: u32) -> String {
        let access =
            access(Card::Ringwave, Region::Registers, offset.into(), &Data::of(&value.to_le_bytes()), true);
        let stream = access.stream.map_or(String::new(), |stream| format!("{stream} "));
        format!("{stream}{}={}", access.register.unwrap(), access.meaning.unwrap())
    }

    #[test]
    fn registers_have_their_names_and_meanings() {
        let at = |register| stream::block(3).unwrap() + register;
        assert_eq!(written(at(stream::STATE), 3), "3 STATE=RUN");
        assert_eq!(written(at(stream::STATE), 9), "3 STATE=9");
        assert_eq!(written(at(stream::FORMAT), 0x200), "3 FORMAT=S16x2");
        assert_eq!(written(at(stream::RATE), 44_100), "3 RATE=44100 Hz");
        assert_eq!(written(at(stream::EOS), 1 << 31 | 64), "3 EOS=armed, 64 bytes");
        assert_eq!(written(at(stream::INT_ENABLE), 3), "3 INT_ENABLE=PACKET|ERROR");
        assert_eq!(written(at(stream::ERROR), 13), "3 ERROR=DMA_UNMAPPED");
        assert_eq!(written(at(stream::RATES), 1 << 7 | 1 << 8), "3 RATES=44100|48000");
        assert_eq!(written(at(stream::CAPS), 0x0002_0201), "3 CAPS=present, 2 channels, 2 packets");
        assert_eq!(written(global::CONTROL, 0x81), "CONTROL=INT_ENABLE|0x80");
        assert_eq!(written(global::VERSION, 0x1_0000), "VERSION=1.0");
        assert_eq!(written(global::CONTROL, 0), "CONTROL=0");
        assert_eq!(written(global::SELFTEST, 0xD), "SELFTEST=0x0000000d", "a seed");
        let read = access(
            Card::Ringwave,
            Region::Registers,
            global::SELFTEST.into(),
            &Data::of(&[13, 0, 0, 0]),
            false,
        );
        assert_eq!(read.meaning.unwrap(), "DMA_UNMAPPED", "a result");
    }

    #[test]
    fn every_register_has_a_name_and_other_places_have_none() {
        for register in stream::REGISTERS {
            let offset = stream::block(15).unwrap() + register.offset;
            let access = access(Card::Ringwave, Region::Registers, offset.into(), &Data::of(&[0; 4]), false);
            assert_eq!((access.stream, access.register.as_deref()), (Some(15), Some(register.name)));
        }
        let place =
            |offset, bytes| access(Card::Ringwave, Region::Registers, offset, &Data::new(bytes, &[]), false);
        assert_eq!(place(0x1010, 8).register.unwrap(), "STATE+ERROR");
        assert_eq!(place(0x1030, 8).meaning.unwrap(), "0x0");
        assert_eq!(place(0x1010, 2), Access { stream: Some(0), ..Access::default() });
        assert_eq!(place(0x1011, 4), Access { stream: Some(0), ..Access::default() });
        for offset in [0x500, 0x2000, u64::MAX - 3, 1 << 32] {
            assert_eq!(place(offset, 4), Access::default(), "{offset:#x}");
        }
    }

    #[test]
    fn configuration_space_and_pages_have_names() {
        let config = |offset, data: &[u8]| {
            let access = access(Card::Ringwave, Region::Config, offset, &Data::of(data), true);
            format!("{}={}", access.register.unwrap(), access.meaning.unwrap())
        };
        assert_eq!(config(4, &[6, 0]), "COMMAND=MEMORY|BUS_MASTER");
        assert_eq!(config(0x52, &[0x21, 0]), "MSI_CONTROL=enabled, 4 granted");
        assert_eq!(config(0x44, &[3, 0]), "PMCSR=D3hot");
        assert_eq!(config(0x78, &[0, 0x80]), "DEVICE_CONTROL=FLR");
        assert_eq!(config(0x10, &[0xFF; 4]), "BAR0=0xffffffff");
        let of_hda = |offset, data: &[u8]| {
            let access = access(Card::Hda, Region::Config, offset, &Data::of(data), true);
            format!("{}={}", access.register.unwrap(), access.meaning.unwrap())
        };
        assert_eq!(of_hda(0x64, &[3, 0]), "PMCSR=D3hot");
        assert_eq!(of_hda(0x44, &[1]), "TCSEL=0x01");
        assert_eq!(of_hda(4, &[6, 0]), "COMMAND=MEMORY|BUS_MASTER");
        let page = access(Card::Ringwave, Region::Pages, 0x1_1028, &Data::of(&9_u64.to_le_bytes()), false);
        assert_eq!((page.stream, page.register.as_deref()), (Some(1), Some("ANCHOR_FRAME")));
        let word = pages::mark::word(7, 3).to_le_bytes();
        let mark = access(Card::Ringwave, Region::Pages, 0x3_2000, &Data::of(&word), true);
        assert_eq!((mark.stream, mark.register.as_deref()), (Some(2), Some("MARK")));
        assert_eq!(mark.meaning.as_deref(), Some("packet 7, tag 3"));
        let half = access(Card::Ringwave, Region::Pages, 0x3_2000, &Data::of(&word[..4]), true);
        assert_eq!((half.stream, half.register), (Some(2), None));
    }

    #[test]
    fn a_trace_that_does_not_name_its_card_is_the_ringwave_cards() {
        assert_eq!(Card::of([("clock", "lockstep")].into_iter()), Card::Ringwave);
        assert_eq!(Card::of([("speed", "1"), ("card", "hda")].into_iter()), Card::Hda);
        for other in ["virtio", "of-tomorrow"] {
            assert_eq!(Card::of([("card", other)].into_iter()), Card::Other);
            let access = access(Card::Other, Region::Registers, 0x1010, &Data::of(&[3, 0, 0, 0]), true);
            assert_eq!(access, Access::default(), "no register gets a wrong name");
        }
    }
}
