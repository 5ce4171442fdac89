//! What is written reads back as itself, and foreign bytes are no lines.

use super::*;
use crate::trace::show;
use crate::trace::summary::Summarizer;
use proptest::prelude::*;

fn error() -> impl Strategy<Value = Error> {
    proptest::sample::select(Error::ALL)
}

fn who() -> impl Strategy<Value = Dma> {
    prop_oneof![any::<u32>().prop_map(Dma::Stream), Just(Dma::SelfTest)]
}

fn note() -> impl Strategy<Value = Diagnostic> {
    prop_oneof![
        (any::<Option<u32>>(), any::<u64>(), any::<Option<u32>>(), error())
            .prop_map(|(stream, offset, value, error)| Diagnostic::Refused { stream, offset, value, error }),
        any::<u32>().prop_map(|stream| Diagnostic::NotLockstep { stream }),
        any::<(u32, u32)>().prop_map(|(stream, packet)| Diagnostic::Underrun { stream, packet }),
        any::<(u32, u32)>().prop_map(|(stream, packet)| Diagnostic::Overrun { stream, packet }),
        (any::<u32>(), error()).prop_map(|(stream, error)| Diagnostic::DmaFault { stream, error }),
        error().prop_map(|error| Diagnostic::SelfTest { error }),
    ]
}

fn trace() -> impl Strategy<Value = CardEvent> {
    let transfer = || (who(), any::<u64>(), any::<u64>());
    prop_oneof![
        any::<u32>().prop_map(CardEvent::Mark),
        (any::<u32>(), 0..4_u32).prop_map(|(stream, state)| CardEvent::State { stream, state }),
        transfer().prop_map(|(who, address, bytes)| CardEvent::Table { who, address, bytes }),
        transfer().prop_map(|(who, address, bytes)| CardEvent::Read { who, address, bytes }),
        transfer().prop_map(|(who, address, bytes)| CardEvent::Write { who, address, bytes }),
        any::<(u32, u32)>().prop_map(|(stream, count)| CardEvent::Packet { stream, count }),
        any::<(u32, u32)>().prop_map(|(stream, packet)| CardEvent::Stall { stream, packet }),
        any::<(u32, u32)>().prop_map(|(stream, packet)| CardEvent::MarkSeen { stream, packet }),
        any::<u32>().prop_map(|stream| CardEvent::Ended { stream }),
        any::<u32>().prop_map(|stream| CardEvent::Event { stream }),
        any::<bool>().prop_map(|d3hot| CardEvent::Power { d3hot }),
        note().prop_map(CardEvent::Diagnostic),
        Just(CardEvent::Reset),
    ]
}

fn data() -> impl Strategy<Value = Data> {
    let number = proptest::sample::select(&[1_usize, 2, 4, 8][..]);
    let number = number.prop_flat_map(|bytes| proptest::collection::vec(any::<u8>(), bytes));
    let other = proptest::collection::vec(any::<u8>(), 0..40);
    prop_oneof![number, other].prop_map(|bytes| Data::of(&bytes))
}

fn change() -> impl Strategy<Value = IrqChange> {
    prop_oneof![
        any::<(u32, u32, u32)>().prop_map(|(start, count, fds)| IrqChange::Connect { start, count, fds }),
        Just(IrqChange::Disconnect),
        any::<(u32, u32)>().prop_map(|(start, count)| IrqChange::Trigger { start, count }),
        Just(IrqChange::Mask),
        Just(IrqChange::Unmask),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    let region = || proptest::sample::select(&Region::ALL[..]);
    let kind = proptest::sample::select(&[IrqKind::Msi, IrqKind::Intx][..]);
    prop_oneof![
        Just(Event::Connected),
        Just(Event::Left),
        (region(), any::<u64>(), data()).prop_map(|(region, offset, data)| Event::RegionRead {
            region,
            offset,
            data
        }),
        (region(), any::<u64>(), data()).prop_map(|(region, offset, data)| Event::RegionWrite {
            region,
            offset,
            data
        }),
        any::<(u64, u64, bool, bool, bool, bool)>().prop_map(|(address, bytes, read, write, fd, taken)| {
            Event::DmaMap { address, bytes, read, write, fd, taken }
        }),
        any::<(u64, u64)>().prop_map(|(address, bytes)| Event::DmaUnmap { address, bytes }),
        Just(Event::DmaUnmapAll),
        (kind, change()).prop_map(|(kind, change)| Event::SetIrqs { kind, change }),
        Just(Event::SetOtherIrqs),
        Just(Event::DeviceReset),
        Just(Event::FunctionLevelReset),
        any::<(u32, bool)>().prop_map(|(stream, plugged)| Event::Jack { stream, plugged }),
        trace().prop_map(Event::Card),
        any::<u32>().prop_map(Event::Msi),
        any::<bool>().prop_map(Event::IntxLevel),
        Just(Event::IntxRaised),
        any::<u64>().prop_map(Event::Lost),
    ]
}

fn line(timed: &Timed) -> String {
    let mut bytes = Vec::new();
    write(&mut bytes, timed).unwrap();
    String::from_utf8(bytes).unwrap()
}

proptest! {
    #[test]
    fn any_event_reads_back_as_itself(time: u64, event in event()) {
        let timed = Timed { time, event };
        let line = line(&timed);
        let text = line.strip_suffix('\n').unwrap();
        prop_assert!(!text.contains('\n') && text.len() < 200);
        prop_assert_eq!(parse(text), Some(timed), "{}", text);
    }

    #[test]
    fn any_event_can_be_told(events in proptest::collection::vec(event(), 0..20)) {
        let mut figures = Summarizer::default();
        for event in events {
            let timed = Timed { time: 7, event };
            let text = show::text(&event);
            prop_assert!(!text.is_empty() && !text.contains(char::is_control), "{}", text);
            let json = show::json(&timed);
            let line = line(&timed);
            prop_assert_eq!(json["kind"].as_str(), line.trim_end().split(' ').nth(1));
            figures.add(&timed, true);
        }
        prop_assert!(figures.finish().to_string().contains("interrupts"));
    }

    #[test]
    fn a_line_that_reads_is_what_would_be_written(event in event(), at: usize, with in "[ -~]{0,3}") {
        // A line that was changed somewhere is another event or none, never a panic.
        let mut text = line(&Timed { time: 7, event });
        let at = at % text.len();
        text.replace_range(at..=at, &with);
        if let Some(timed) = parse(&text) {
            prop_assert_eq!(parse(line(&timed).trim_end()), Some(timed));
        }
    }

    #[test]
    fn foreign_bytes_are_no_lines(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn foreign_words_never_panic(words in proptest::collection::vec("[0-9a-fx.-]{0,20}|region-read|region-write|bar0|config|dma-map|dma-read|rw|r|fd|taken|set-irqs|msi|connect|note|refused|SG_LINK|0|1|4|8|17", 0..9)) {
        let _ = parse(&words.join(" "));
    }
}

#[test]
fn lines_are_as_documented() {
    let (address, bytes) = (0x1_0000_1000, 1920);
    let state = u64::from(ringwave_regs::stream::BLOCK_BASE + ringwave_regs::stream::STATE);
    let events = [
        Event::Connected,
        Event::write(Region::Registers, state, &[3, 0, 0, 0]),
        Event::read(Region::Config, 0x3D, &[1]),
        Event::read(Region::Config, 0, &[0xAB; 64]),
        Event::read(Region::Pages, 4, &[1, 2, 3]),
        Event::DmaMap { address, bytes: 4096, read: true, write: false, fd: false, taken: true },
        Event::SetIrqs { kind: IrqKind::Msi, change: IrqChange::Connect { start: 0, count: 2, fds: 1 } },
        Event::Card(CardEvent::Write { who: Dma::SelfTest, address, bytes: 4 }),
        Event::Card(CardEvent::State { stream: 0, state: 3 }),
        Event::Card(CardEvent::Table { who: Dma::Stream(0), address, bytes: 32 }),
        Event::Card(CardEvent::Read { who: Dma::Stream(15), address, bytes }),
        Event::Card(CardEvent::Diagnostic(Diagnostic::Refused {
            stream: None,
            offset: 0x2C,
            value: Some(5),
            error: Error::BadAccess,
        })),
        Event::IntxLevel(false),
        Event::Lost(3),
    ];
    let text: String = events.into_iter().map(|event| line(&Timed { time: 12, event })).collect();
    let wanted = "\
12 client connected
12 region-write bar0 0x1010 4 0x00000003
12 region-read config 0x3d 1 0x01
12 region-read config 0x0 64 abababababababababababababababab..
12 region-read bar2 0x4 3 010203
12 dma-map 0x100001000 4096 r nofd taken
12 set-irqs msi connect 0 2 1
12 dma-write selftest 0x100001000 4
12 state 0 run
12 dma-table 0 0x100001000 32
12 dma-read 15 0x100001000 1920
12 note refused - 0x2c 0x5 BAD_ACCESS
12 intx deassert
12 lost 3
";
    assert_eq!(text, wanted);
}

#[test]
fn what_is_never_written_does_not_read() {
    for wrong in [
        "",
        "12",
        "12 ",
        "x reset",
        "+1 reset",
        " 1 reset",
        "1  reset",
        "1 reset ",
        "1 reset now",
        "1 zebra",
        "1 mark",
        "1 mark 4294967296",
        "18446744073709551616 reset",
        "1 state 0 RUN",
        "1 dma-read 0 4096 4",
        "1 dma-read 0 0x1000 0x4",
        "1 dma-map 0x0 4096 wr fd taken",
        "1 region-write bar0 0x1010 4 0x3",
        "1 region-write bar0 0x1010 4 0x000000003",
        "1 region-write bar0 0x1010 3 0102",
        "1 region-write bar0 0x1010 17 0102030405060708090a0b0c0d0e0f10",
        "1 region-write bar1 0x1010 4 0x00000003",
        "1 region-read bar0 0x0 0 ",
        "1 note refused - 0x0 - NONE",
    ] {
        assert_eq!(parse(wrong), None, "{wrong:?}");
    }
}
