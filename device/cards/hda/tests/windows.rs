//! The card before a driver that does as Windows' own is known to do: what it reads first, commands one at a
//! time by the line, rings of whole pages, and the position by its alias. HDA.md 1 to 3.
#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]
#![allow(clippy::cast_possible_truncation, reason = "addresses and lengths are below 4 MiB")]

mod guest;

use guest::{BCIS, BUFFERS, CORB, Entry, Guest, IOCE, OUT, RIRB, RUN, guest, ramp};

const MS: u64 = 1_000_000;
const PAGE: u64 = 4096;
/// Registers of the output's descriptor.
const SD: u64 = 0x80 + 0x20 * OUT;
const TAG: u8 = 3;

/// What the driver reads before anything else, each as wide as it reads it; then it resets the controller.
fn start(guest: &Guest) {
    assert_eq!(guest.read32(0x08), 0, "GCTL");
    assert_eq!(guest.read16(0x00), 0x4401, "GCAP");
    assert_eq!((guest.read8(0x03), guest.read8(0x02)), (1, 0), "version 1.0");
    assert_eq!(guest.read16(0x14), 0, "LLCH: nothing is linked");
    assert_eq!((guest.read16(0x04), guest.read16(0x06)), (0xFF, 0xFF), "OUTPAY, INPAY");
    for crst in [0, 1] {
        guest.write32(0x08, crst);
        assert_eq!(guest.read32(0x08), crst, "CRST at once");
    }
    assert_eq!(guest.read16(0x0E), 1, "codec 0");
    guest.write(0x0E, [1, 0]);
    guest.write(0x4E, [2]);
    guest.write(0x40, CORB.to_le_bytes());
    guest.write(0x4A, 0x8000_u16.to_le_bytes());
    assert_eq!(guest.read16(0x4A), 0x8000);
    guest.write(0x4A, [0, 0]);
    assert_eq!(guest.read16(0x4A), 0);
    guest.write(0x5E, [2]);
    guest.write(0x50, RIRB.to_le_bytes());
    guest.write(0x58, 0x8000_u16.to_le_bytes());
    // More than a lone command answers.
    guest.write(0x5A, [64, 0]);
    guest.write(0x5C, [3]);
    guest.write(0x4C, [2]);
    guest.write32(0x20, 0xC000_0000);
    assert!(!guest.line());
}

/// Sends one command and has its answer by an interrupt of the line, although RINTCNT is not reached.
fn command(guest: &Guest, nid: u32, verb: u32) -> u32 {
    let at = (guest.read16(0x48) + 1) & 0xFF;
    guest.store(CORB + 4 * u64::from(at), &(nid << 20 | verb).to_le_bytes());
    let before = guest.read16(0x58);
    guest.write(0x48, at.to_le_bytes());
    assert!(guest.line(), "node {nid}, {verb:#x}");
    assert_eq!(guest.read32(0x24), 0xC000_0000, "INTSTS");
    assert_eq!(guest.read8(0x5D), 1, "RINTFL");
    guest.write(0x5D, [1]);
    assert_eq!((guest.read32(0x24), guest.line()), (0, false));
    let written = guest.read16(0x58);
    assert_eq!(written, (before + 1) & 0xFF, "one answer");
    let entry = RIRB + 8 * u64::from(written);
    assert_eq!(guest.load32(entry + 4), 0, "codec 0, and it was asked");
    guest.load32(entry)
}

/// Walks the codec for the converter that a line out takes from: enumeration ends where an answer is missing.
fn find_speaker(guest: &Guest) -> u32 {
    let nodes = |nid| {
        let answer = command(guest, nid, 0xF_0004);
        (answer >> 16)..(answer >> 16) + (answer & 0xFF)
    };
    assert_eq!(command(guest, 0, 0xF_0000), 0x1234_5248);
    let group = nodes(0).find(|nid| command(guest, *nid, 0xF_0005) & 0x7F == 1).unwrap();
    let speaker = |nid: &u32| {
        let pin = command(guest, *nid, 0xF_0009) >> 20 == 4;
        pin && command(guest, *nid, 0xF_000C) & 0x10 != 0 && command(guest, *nid, 0xF_1C00) & 0xF0_0000 == 0
    };
    let pin = nodes(group).find(speaker).unwrap();
    assert_eq!(command(guest, pin, 0x7_0740), 0);
    command(guest, pin, 0xF_0200) & 0xFF
}

/// A ring of two halves, the first of which ends where a page does: an entry a page, pages in any order.
fn pages(half: u64) -> Vec<Entry> {
    let begin = half.next_multiple_of(PAGE) - half;
    let end = begin + 2 * half;
    let page = |number: u64| BUFFERS + PAGE * (number * 5 % 64);
    (0..end.div_ceil(PAGE))
        .map(|number| {
            let (from, to) = ((number * PAGE).max(begin), ((number + 1) * PAGE).min(end));
            let halves = to == begin + half || to == end;
            (page(number) + from % PAGE, (to - from) as u32, halves)
        })
        .collect()
}

/// What a driver writes at each Run, after a pause too: all of the descriptor but a reset.
fn run(guest: &Guest, entries: &[Entry], format: u16) {
    guest.write32(SD + 0x08, entries.iter().map(|(_, bytes, _)| bytes).sum());
    guest.write(SD + 0x0C, (entries.len() as u16 - 1).to_le_bytes());
    guest.write(SD + 0x12, format.to_le_bytes());
    guest.write32(SD + 0x18, guest::LIST as u32);
    guest.write32(SD + 0x1C, 0);
    guest.write(SD + 2, [TAG << 4]);
    guest.write(SD, [RUN | IOCE]);
}

/// SDFMT, bytes of a frame, rate and frames of a half: 10 ms.
type Format = (u16, u64, u64, u64);

/// Stores a ring's sound and its list, and gives both. `once`: a notification a ring, else two.
fn ring(guest: &Guest, bytes_of_half: u64, once: bool) -> (Vec<Entry>, Vec<u8>) {
    let mut entries = pages(bytes_of_half);
    let sound = ramp(2 * bytes_of_half as usize);
    let mut rest = &sound[..];
    for (number, (address, bytes, ioc)) in entries.iter_mut().enumerate() {
        let (now, later) = rest.split_at(*bytes as usize);
        guest.store(*address, now);
        rest = later;
        *ioc &= !once || rest.is_empty();
        assert!(number == 0 || rest.is_empty() || *bytes == PAGE as u32, "an entry a page");
    }
    guest.list(guest::LIST, &entries);
    (entries, sound)
}

/// Plays a ring for 200 ms with a pause in it.
fn plays((format, frame, rate, half): Format, once: bool) {
    let guest = guest();
    start(&guest);
    let converter = find_speaker(&guest);
    command(&guest, converter, 0x2_0000 | u32::from(format));
    command(&guest, converter, 0x7_0600 | u32::from(TAG) << 4);
    let (entries, sound) = ring(&guest, half * frame, once);
    guest.write32(0x20, 0xC000_0000 | 1 << OUT);
    run(&guest, &entries, format);
    let (mut passed, mut told) = (0, 0);
    for step in 0..400 {
        guest.pass(MS / 2);
        passed += MS / 2;
        // In the position's alias, which may be mapped to a program.
        let position = passed * rate / 1_000_000_000 * frame % sound.len() as u64;
        assert_eq!(u64::from(guest.read32(0x2000 + SD + 4)), position, "{passed} ns");
        if guest.line() {
            assert_eq!((guest.read32(0x24), guest.status(OUT)), (0x8000_0010, BCIS));
            guest.write(SD + 3, [BCIS]);
            assert!(!guest.line());
            told += 1;
        }
        if step == 150 {
            guest.write(SD, [0]);
            guest.pass(33 * MS);
            assert_eq!(
                (u64::from(guest.link_position(OUT)), guest.line()),
                (position, false),
                "RUN 0 keeps LPIB"
            );
            run(&guest, &entries, format);
            assert_eq!(u64::from(guest.link_position(OUT)), position, "and a Run goes on there");
        }
    }
    guest.write(SD, [0]);
    assert_eq!(told, if once { 10 } else { 20 }, "notifications in 200 ms");
    assert!(guest.heard_bytes() == sound.repeat(10), "each frame, once");
}

#[test]
fn driver_of_windows_plays_by_halves_and_by_rings() {
    // 16 bits at 48 kHz, 24 at 48, 32 at 96 and 24 with 8 channels at 192.
    for format in [
        (0x0011, 4, 48_000, 480),
        (0x0031, 8, 48_000, 480),
        (0x0841, 8, 96_000, 960),
        (0x1837, 32, 192_000, 1920),
    ] {
        for once in [false, true] {
            plays(format, once);
        }
    }
}
