//! What is written reads back as itself, and foreign bytes are no lines.

use super::*;
use crate::strategy::event;
use proptest::prelude::*;

fn line(record: &TraceRecord) -> String {
    let mut bytes = Vec::new();
    write(&mut bytes, record).unwrap();
    String::from_utf8(bytes).unwrap()
}

proptest! {
    #[test]
    fn any_event_reads_back_as_itself(time: u64, event in event()) {
        let record = TraceRecord { time, event };
        let line = line(&record);
        let text = line.strip_suffix('\n').unwrap();
        prop_assert!(!text.contains('\n') && text.len() < 200);
        prop_assert_eq!(parse(text), Some(record), "{}", text);
    }

    #[test]
    fn a_line_that_reads_is_what_would_be_written(event in event(), at: usize, with in "[ -~]{0,3}") {
        // A line that was changed somewhere is another event or none, never a panic.
        let mut text = line(&TraceRecord { time: 7, event });
        let at = at % text.len();
        text.replace_range(at..=at, &with);
        if let Some(record) = parse(&text) {
            prop_assert_eq!(parse(line(&record).trim_end()), Some(record));
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
    let state = 0x1010;
    let events = [
        Event::Connected,
        Event::write(Region::Registers, state, &[3, 0, 0, 0]),
        Event::read(Region::Config, 0x3D, &[1]),
        Event::read(Region::Config, 0, &[0xAB; 64]),
        Event::read(Region::Pages, 4, &[1, 2, 3]),
        Event::DmaMap { address, bytes: 4096, read: true, write: false, fd: false, taken: true },
        Event::SetIrqs { kind: IrqKind::Msi, change: IrqChange::Connect { start: 0, count: 2, fds: 1 } },
        Event::Card(CardEvent::Write { who: Dma::SelfTest, address, bytes: 4 }),
        Event::Card(CardEvent::State { stream: 0, state: StreamState::Run }),
        Event::Card(CardEvent::Table { who: Dma::Stream(0), address, bytes: 32 }),
        Event::Card(CardEvent::Read { who: Dma::Stream(15), address, bytes }),
        Event::Card(CardEvent::Diagnostic(Diagnostic::Refused {
            stream: None,
            offset: 0x2C,
            value: Some(5),
            error: ErrorName::new("BAD_ACCESS"),
        })),
        Event::IntxLevel(false),
        Event::Lost(3),
    ];
    let text: String = events.into_iter().map(|event| line(&TraceRecord { time: 12, event })).collect();
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
        "1 note refused - 0x0 - bad_access",
        "1 note selftest SEVENTEEN_LETTERS",
    ] {
        assert_eq!(parse(wrong), None, "{wrong:?}");
    }
}
