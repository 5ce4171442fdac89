//! Every refusal: its errno, that the device was not asked, that descriptors are closed, and that the
//! conversation goes on in step.
#![allow(clippy::unwrap_used, reason = "these are tests")]

mod common;

use common::*;
use ringwave_vfio_user::Errno;
use ringwave_vfio_user::wire::{command, header_flags, irq_set_flags as set};

/// Sends each, and after each a good message.
fn refuse_all(cases: &[(&str, Errno, Vec<u8>, usize)]) {
    for (what, expected, message, fds) in cases {
        let mut board = Board::new();
        let mut session = open_session(&mut board);
        let (witness, fds) = watched_fds(*fds);
        let (replies, closed) = exchange(&mut session, &mut board, message, fds);
        assert!(!closed, "{what}: goes on");
        assert_eq!(replies.len(), 1, "{what}: one reply");
        assert_eq!(errno(&replies[0]), expected.raw_os_error(), "{what}");
        assert_eq!(header(&replies[0]).id.get(), 0x1234, "{what}");
        assert_eq!(board.taken(), [""; 0], "{what}: the device was not asked");
        assert!(all_closed(&witness), "{what}: descriptors are closed");
        still_in_step(&mut session, &mut board, what);
    }
}

fn still_in_step(session: &mut ringwave_vfio_user::Session, board: &mut Board, what: &str) {
    let read = [0_u64.to_ne_bytes().to_vec(), words(&[2, 4])].concat();
    let (replies, closed) = exchange(session, board, &message(command::REGION_READ, &read), Vec::new());
    assert!(!closed, "{what}: still in step");
    assert_eq!(replies.len(), 1, "{what}: still in step");
    assert_eq!(replies[0].bytes[32..], [2; 4], "{what}: still in step");
}

fn access(region: u32, offset: u64, count: u32, data: &[u8]) -> Vec<u8> {
    [&offset.to_ne_bytes()[..], &words(&[region, count]), data].concat()
}

fn map(argsz: u32, flags: u32, offset: u64, address: u64, size: u64) -> Vec<u8> {
    let mut payload = words(&[argsz, flags]);
    for word in [offset, address, size] {
        payload.extend(word.to_ne_bytes());
    }
    payload
}

fn unmap(argsz: u32, flags: u32, address: u64, size: u64) -> Vec<u8> {
    [words(&[argsz, flags]), address.to_ne_bytes().to_vec(), size.to_ne_bytes().to_vec()].concat()
}

const TRIGGER: u32 = set::ACTION_TRIGGER;

#[test]
fn commands_that_are_not_there() {
    let mut cases = Vec::new();
    for unknown in [0, 19, 100, u16::MAX] {
        cases.push(("unknown", Errno::NOTTY, message(unknown, &[]), 0));
        cases.push(("unknown, with payload", Errno::NOTTY, message(unknown, &[7; 1000]), 0));
    }
    for unsupported in
        [command::DMA_READ, command::DMA_WRITE, 14, command::MIG_DATA_READ, command::MIG_DATA_WRITE]
    {
        cases.push(("unsupported", Errno::NOTTY, message(unsupported, &[0; 64]), 0));
    }
    cases.push(("a second VERSION", Errno::INVAL, hello(), 0));
    cases.push(("neither command nor reply", Errno::INVAL, message_with(command::DEVICE_RESET, 2, &[]), 0));
    refuse_all(&cases);
}

#[test]
fn payloads_that_are_too_short_for_every_command() {
    let fixed = [
        (command::DMA_MAP, 32),
        (command::DMA_UNMAP, 24),
        (command::DEVICE_GET_INFO, 16),
        (command::DEVICE_GET_REGION_INFO, 32),
        (command::DEVICE_GET_REGION_IO_FDS, 16),
        (command::DEVICE_GET_IRQ_INFO, 16),
        (command::DEVICE_SET_IRQS, 20),
        (command::REGION_READ, 16),
        (command::REGION_WRITE, 16),
        (command::REGION_WRITE_MULTI, 8),
        (command::DEVICE_FEATURE, 8),
    ];
    let mut cases = Vec::new();
    for (command, bytes) in fixed {
        for short in 0..bytes {
            cases.push(("short", Errno::INVAL, message(command, &vec![0; short]), 0));
        }
    }
    refuse_all(&cases);
}

#[test]
fn argsz_below_the_fixed_part() {
    let small = |bytes: u32, words_after: usize| {
        let mut payload = words(&[bytes - 1]);
        payload.resize(4 + words_after * 4, 0);
        payload
    };
    refuse_all(&[
        ("info", Errno::INVAL, message(command::DEVICE_GET_INFO, &small(16, 3)), 0),
        ("region info", Errno::INVAL, message(command::DEVICE_GET_REGION_INFO, &small(32, 7)), 0),
        ("io fds", Errno::INVAL, message(command::DEVICE_GET_REGION_IO_FDS, &small(16, 3)), 0),
        ("irq info", Errno::INVAL, message(command::DEVICE_GET_IRQ_INFO, &small(16, 3)), 0),
        ("set irqs", Errno::INVAL, message(command::DEVICE_SET_IRQS, &words(&[19, 1 | TRIGGER, 1, 0, 1])), 0),
        ("map", Errno::INVAL, message(command::DMA_MAP, &map(31, 3, 0, 0, 4096)), 0),
        ("unmap", Errno::INVAL, message(command::DMA_UNMAP, &unmap(23, 2, 0, 0)), 0),
        ("feature", Errno::INVAL, message(command::DEVICE_FEATURE, &words(&[7, 1 << 18])), 0),
    ]);
}

#[test]
fn descriptors_where_there_are_none_and_too_many() {
    let read = access(2, 0, 4, &[]);
    let cases = [
        ("read", Errno::INVAL, message(command::REGION_READ, &read), 1),
        ("reset", Errno::INVAL, message(command::DEVICE_RESET, &[]), 8),
        ("info", Errno::INVAL, message(command::DEVICE_GET_INFO, &words(&[16, 0, 0, 0])), 1),
        ("map with two", Errno::INVAL, message(command::DMA_MAP, &map(32, 3, 0, 0, 4096)), 2),
        (
            "more than eight",
            Errno::INVAL,
            message(command::DEVICE_SET_IRQS, &words(&[20, 4 | TRIGGER, 1, 0, 9])),
            9,
        ),
        ("a hundred", Errno::INVAL, message(command::DMA_MAP, &map(32, 3, 0, 0, 4096)), 100),
    ];
    refuse_all(&cases);
}

#[test]
fn descriptors_that_were_lost_refuse_the_message() {
    let mut board = Board::new();
    let mut session = open_session(&mut board);
    let ask = message(command::DMA_MAP, &map(32, 3, 0, 0, 4096));
    let step = session.receive(&mut board, &mut &ask[..16], Vec::new(), true);
    assert!(matches!(step, ringwave_vfio_user::Step::Continue));
    let (replies, _) = exchange(&mut session, &mut board, &ask[16..], Vec::new());
    assert_eq!(errno(&replies[0]), Errno::INVAL.raw_os_error());
    assert!(board.taken().is_empty());
    still_in_step(&mut session, &mut board, "lost");
    let (replies, _) = exchange(&mut session, &mut board, &ask, Vec::new());
    assert_eq!(errno(&replies[0]), 0, "only that message");
}

#[test]
fn accesses_outside_of_regions() {
    let read = |region, offset, count| message(command::REGION_READ, &access(region, offset, count, &[]));
    let write = |region, offset, count, data: &[u8]| {
        message(command::REGION_WRITE, &access(region, offset, count, data))
    };
    refuse_all(&[
        ("no such region", Errno::INVAL, read(9, 0, 4), 0),
        ("no such region at all", Errno::INVAL, read(u32::MAX, 0, 4), 0),
        ("a region of size 0", Errno::INVAL, read(8, 0, 1), 0),
        ("one byte too far", Errno::INVAL, read(0, BAR0_BYTES - 3, 4), 0),
        ("far outside", Errno::INVAL, read(0, u64::MAX, 4), 0),
        ("around 2^64", Errno::INVAL, read(0, u64::MAX - 1, 2), 0),
        ("more than a message takes", Errno::INVAL, read(5, 0, (1 << 20) + 1), 0),
        ("4 GiB", Errno::INVAL, read(5, 0, u32::MAX), 0),
        ("write only", Errno::INVAL, read(3, 0, 4), 0),
        ("read with data", Errno::INVAL, message(command::REGION_READ, &access(0, 0, 4, &[0; 4])), 0),
        ("read only", Errno::INVAL, write(2, 0, 4, &[0; 4]), 0),
        ("write outside", Errno::INVAL, write(0, BAR0_BYTES, 1, &[0]), 0),
        ("less data than said", Errno::INVAL, write(0, 0, 5, &[0; 4]), 0),
        ("more data than said", Errno::INVAL, write(0, 0, 3, &[0; 4]), 0),
        ("4 GiB of nothing", Errno::INVAL, write(0, 0, u32::MAX, &[]), 0),
    ]);
}

#[test]
fn writes_that_cannot_be_in_one_message() {
    let multi = |count: u64, writes: &[(u64, u32, u32)]| {
        let mut payload = count.to_ne_bytes().to_vec();
        for (offset, region, bytes) in writes {
            payload.extend(access(*region, *offset, *bytes, &[0; 8]));
        }
        message(command::REGION_WRITE_MULTI, &payload)
    };
    refuse_all(&[
        ("more than there are", Errno::INVAL, multi(3, &[(0, 0, 4), (0, 0, 4)]), 0),
        ("2^64 - 1", Errno::INVAL, multi(u64::MAX, &[(0, 0, 4)]), 0),
        ("too many", Errno::INVAL, multi(1025, &vec![(0, 0, 4); 1025]), 0),
        ("nine bytes", Errno::INVAL, multi(2, &[(0, 0, 4), (0, 0, 9)]), 0),
        ("none", Errno::INVAL, multi(2, &[(0, 0, 4), (0, 0, 0)]), 0),
        ("the last outside", Errno::INVAL, multi(2, &[(0, 0, 4), (BAR0_BYTES, 0, 1)]), 0),
    ]);
    // And not at all for those who did not propose it.
    let mut board = Board::new();
    let mut session = ringwave_vfio_user::Session::new();
    exchange(&mut session, &mut board, &message(command::VERSION, &[0; 4]), Vec::new());
    let (replies, _) = exchange(&mut session, &mut board, &multi(1, &[(0, 0, 4)]), Vec::new());
    assert_eq!(errno(&replies[0]), Errno::NOTTY.raw_os_error());
    assert!(board.taken().is_empty());
}

#[test]
fn maps_that_cannot_be() {
    let last_page = u64::MAX - 0xFFF;
    refuse_all(&[
        ("empty", Errno::INVAL, message(command::DMA_MAP, &map(32, 3, 0, 0x1000, 0)), 0),
        ("beyond 2^64", Errno::INVAL, message(command::DMA_MAP, &map(32, 3, 0, last_page, 0x2000)), 0),
        ("no whole page", Errno::INVAL, message(command::DMA_MAP, &map(32, 3, 0, 0x1000, 0x800)), 0),
        ("not at a page", Errno::INVAL, message(command::DMA_MAP, &map(32, 3, 0, 0x1800, 0x1000)), 0),
        ("file beyond 2^64", Errno::INVAL, message(command::DMA_MAP, &map(32, 3, last_page, 0, 0x2000)), 1),
        ("neither read nor written", Errno::INVAL, message(command::DMA_MAP, &map(32, 0, 0, 0, 0x1000)), 1),
        ("not at a page of the file", Errno::INVAL, message(command::DMA_MAP, &map(32, 3, 8, 0, 0x1000)), 1),
        ("unknown flag", Errno::INVAL, message(command::DMA_MAP, &map(32, 0x13, 0, 0, 0x1000)), 1),
        ("mapped and file", Errno::INVAL, message(command::DMA_MAP, &map(32, 0xF, 0, 0, 0x1000)), 1),
        ("mapped, with nothing", Errno::INVAL, message(command::DMA_MAP, &map(32, 7, 0, 0, 0x1000)), 0),
        ("file, with nothing", Errno::INVAL, message(command::DMA_MAP, &map(32, 0xB, 0, 0, 0x1000)), 0),
        ("unmap nothing", Errno::INVAL, message(command::DMA_UNMAP, &unmap(24, 0, 0x1000, 0)), 0),
        ("unmap beyond 2^64", Errno::INVAL, message(command::DMA_UNMAP, &unmap(24, 0, last_page, 0x2000)), 0),
        ("unmap no whole page", Errno::INVAL, message(command::DMA_UNMAP, &unmap(24, 0, 0, 1)), 0),
        ("all, but not all", Errno::INVAL, message(command::DMA_UNMAP, &unmap(24, 2, 0, 0x1000)), 0),
        ("dirty bitmap", Errno::INVAL, message(command::DMA_UNMAP, &unmap(24, 1, 0, 0x1000)), 0),
        ("dirty bitmap of all", Errno::INVAL, message(command::DMA_UNMAP, &unmap(24, 3, 0, 0)), 0),
        ("unknown unmap flag", Errno::INVAL, message(command::DMA_UNMAP, &unmap(24, 4, 0, 0)), 0),
    ]);
}

#[test]
fn maps_over_maps_and_unmaps_of_parts() {
    let mut board = Board::new();
    let mut session = open_session(&mut board);
    let mut say = |message: Vec<u8>| {
        let (replies, _) = exchange(&mut session, &mut board, &message, Vec::new());
        (errno(&replies[0]), board.taken().len())
    };
    let map = |address, size| message(command::DMA_MAP, &map(32, 3, 0, address, size));
    let unmap = |address, size| message(command::DMA_UNMAP, &unmap(24, 0, address, size));
    assert_eq!(say(map(0x1_0000, 0x4000)), (0, 1));
    for (address, size) in [(0x1_0000, 0x4000), (0x1_3000, 0x1000), (0xF000, 0x2000), (0, 1 << 63)] {
        assert_eq!(say(map(address, size)), (Errno::EXIST.raw_os_error(), 0), "{address:#x} {size:#x}");
    }
    for (address, size) in [(0x1_0000, 0x1000), (0x1_1000, 0x1000), (0x1_1000, 0x8000), (0, 0x1_1000)] {
        assert_eq!(say(unmap(address, size)), (Errno::INVAL.raw_os_error(), 0), "{address:#x} {size:#x}");
    }
    assert_eq!(say(unmap(0, 0x1_4000)), (0, 1));
    assert_eq!(say(map(0x1_3000, 0x1000)), (0, 1), "it is free again");
}

#[test]
fn number_of_maps_is_bounded() {
    let mut board = Board::new();
    let mut session = open_session(&mut board);
    let all: Vec<u8> = (0..65_536_u64)
        .flat_map(|page| message(command::DMA_MAP, &map(32, 3, 0, (page + 0x10_0000) << 12, 0x1000)))
        .collect();
    let (replies, _) = exchange(&mut session, &mut board, &all, Vec::new());
    let refused = replies.iter().position(|reply| errno(reply) != 0);
    assert_eq!(refused, Some(65_535));
    assert_eq!(errno(&replies[65_535]), Errno::NOSPC.raw_os_error());
    let (replies, _) =
        exchange(&mut session, &mut board, &message(command::DMA_UNMAP, &unmap(24, 2, 0, 0)), vec![]);
    assert_eq!(errno(&replies[0]), 0);
}

#[test]
fn interrupts_that_cannot_be() {
    let ask = |flags, index, start, count, data: &[u8]| {
        let argsz = 20 + u32::try_from(data.len()).unwrap();
        message(command::DEVICE_SET_IRQS, &[&words(&[argsz, flags, index, start, count])[..], data].concat())
    };
    let uncounted = [&words(&[21, set::DATA_BOOL | TRIGGER, MSI, 0, 2])[..], &[1, 1]].concat();
    let argsz_without_bools = message(command::DEVICE_SET_IRQS, &uncounted);
    let (none, bool_, event) = (set::DATA_NONE, set::DATA_BOOL, set::DATA_EVENTFD);
    refuse_all(&[
        ("no such kind", Errno::INVAL, ask(none | TRIGGER, 5, 0, 1, &[]), 0),
        ("a kind with none", Errno::INVAL, ask(none | TRIGGER, MSIX, 0, 0, &[]), 0),
        ("one too many", Errno::INVAL, ask(none | TRIGGER, MSI, 0, 33, &[]), 0),
        ("after the last", Errno::INVAL, ask(none | TRIGGER, MSI, 32, 0, &[]), 0),
        ("around 2^32", Errno::INVAL, ask(none | TRIGGER, MSI, 31, u32::MAX, &[]), 0),
        ("no data", Errno::INVAL, ask(TRIGGER, MSI, 0, 1, &[]), 0),
        ("no action", Errno::NOTTY, ask(none, MSI, 0, 1, &[]), 0),
        ("two kinds of data", Errno::INVAL, ask(none | event | TRIGGER, MSI, 0, 1, &[]), 0),
        ("neither data nor action", Errno::INVAL, ask(0, MSI, 0, 1, &[]), 0),
        ("two actions", Errno::NOTTY, ask(none | TRIGGER | set::ACTION_MASK, INTX, 0, 1, &[]), 0),
        ("unknown flag", Errno::INVAL, ask(none | TRIGGER | 64, MSI, 0, 1, &[]), 0),
        ("MSI cannot be masked", Errno::NOTTY, ask(none | set::ACTION_MASK, MSI, 0, 1, &[]), 0),
        ("nor unmasked", Errno::NOTTY, ask(none | set::ACTION_UNMASK, MSI, 0, 1, &[]), 0),
        ("an error interrupt without eventfd", Errno::NOTTY, ask(event | TRIGGER, ERR, 0, 1, &[]), 1),
        ("none of them masked", Errno::INVAL, ask(none | set::ACTION_MASK, INTX, 0, 0, &[]), 0),
        ("none of them bool", Errno::INVAL, ask(bool_ | TRIGGER, MSI, 0, 0, &[]), 0),
        ("none of them eventfd", Errno::INVAL, ask(event | TRIGGER, MSI, 0, 0, &[]), 0),
        ("none, from 1", Errno::INVAL, ask(none | TRIGGER, MSI, 1, 0, &[]), 0),
        ("none, with a descriptor", Errno::INVAL, ask(none | TRIGGER, MSI, 0, 0, &[]), 1),
        ("fewer bools", Errno::INVAL, ask(bool_ | TRIGGER, MSI, 0, 3, &[1, 1]), 0),
        ("more bools", Errno::INVAL, ask(bool_ | TRIGGER, MSI, 0, 1, &[1, 1]), 0),
        ("bools that argsz does not count", Errno::INVAL, argsz_without_bools, 0),
        ("fewer eventfds", Errno::INVAL, ask(event | TRIGGER, MSI, 0, 3, &[]), 2),
        ("more eventfds", Errno::INVAL, ask(event | TRIGGER, MSI, 0, 1, &[]), 2),
        ("an eventfd without use", Errno::INVAL, ask(none | TRIGGER, MSI, 0, 1, &[]), 1),
        (
            "no such kind to ask about",
            Errno::INVAL,
            message(command::DEVICE_GET_IRQ_INFO, &words(&[16, 0, 5, 0])),
            0,
        ),
    ]);
}

#[test]
fn descriptor_that_is_no_eventfd_is_refused() {
    let mut board = Board::new();
    let mut session = open_session(&mut board);
    let ask = message(command::DEVICE_SET_IRQS, &words(&[20, set::DATA_EVENTFD | TRIGGER, MSI, 0, 2]));
    for other in [memory(4096), std::fs::File::open("/dev/null").unwrap().into()] {
        let (replies, _) = exchange(&mut session, &mut board, &ask, vec![event(), other]);
        assert_eq!(errno(&replies[0]), Errno::INVAL.raw_os_error());
        assert!(board.taken().is_empty());
    }
}

#[test]
fn infos_and_features_that_are_not_there() {
    let feature = |flags| message(command::DEVICE_FEATURE, &words(&[8, flags]));
    let (get, set, probe) = (1 << 16, 1 << 17, 1 << 18);
    refuse_all(&[
        (
            "region",
            Errno::INVAL,
            message(command::DEVICE_GET_REGION_INFO, &words(&[32, 0, 9, 0, 0, 0, 0, 0])),
            0,
        ),
        (
            "io fds of no region",
            Errno::INVAL,
            message(command::DEVICE_GET_REGION_IO_FDS, &words(&[16, 0, 9, 0])),
            0,
        ),
        (
            "io fds with flags",
            Errno::INVAL,
            message(command::DEVICE_GET_REGION_IO_FDS, &words(&[16, 1, 0, 0])),
            0,
        ),
        (
            "io fds with a count",
            Errno::INVAL,
            message(command::DEVICE_GET_REGION_IO_FDS, &words(&[16, 0, 0, 1])),
            0,
        ),
        ("migration", Errno::NOTTY, feature(get | probe | 1), 0),
        ("any feature", Errno::NOTTY, feature(set | 0xFFFF), 0),
        ("get and set", Errno::INVAL, feature(get | set | 1), 0),
        ("of no method", Errno::NOTTY, feature(1), 0),
        ("probed for both", Errno::NOTTY, feature(get | set | probe | 1), 0),
        ("unknown flags", Errno::INVAL, feature(get | 1 << 19), 0),
        ("reset with payload", Errno::INVAL, message(command::DEVICE_RESET, &[0]), 0),
    ]);
}

#[test]
fn device_without_reset() {
    let mut board = Board { resets: false, ..Board::new() };
    let mut session = open_session(&mut board);
    let (replies, _) = exchange(&mut session, &mut board, &message(command::DEVICE_RESET, &[]), Vec::new());
    assert_eq!(errno(&replies[0]), Errno::INVAL.raw_os_error());
    let ask = message(command::DEVICE_GET_INFO, &words(&[16, 0, 0, 0]));
    let (replies, _) = exchange(&mut session, &mut board, &ask, Vec::new());
    assert_eq!(replies[0].bytes[20..24], 2_u32.to_ne_bytes());
}

#[test]
fn command_that_wants_no_reply_gets_none_however_wrong() {
    let mut board = Board::new();
    let mut session = open_session(&mut board);
    for command in 1..20 {
        let quiet = message_with(command, header_flags::NO_REPLY, &[0xFF; 40]);
        let (replies, closed) = exchange(&mut session, &mut board, &quiet, Vec::new());
        assert!(replies.is_empty() && !closed, "{command}");
        still_in_step(&mut session, &mut board, "quiet");
    }
}

#[test]
fn reply_to_nothing_is_passed_over() {
    let mut board = Board::new();
    let mut session = open_session(&mut board);
    let reply = message_with(command::DMA_READ, header_flags::REPLY, &[1; 4096]);
    let (replies, closed) = exchange(&mut session, &mut board, &reply, Vec::new());
    assert!(replies.is_empty() && !closed);
    still_in_step(&mut session, &mut board, "reply");
}

#[test]
fn opening_that_is_no_opening_is_refused_and_ends_it() {
    let version = |payload: &[u8]| message(command::VERSION, payload);
    let deep = [&[0; 4][..], &[b'['; 9_000], &[0]].concat();
    let cases = [
        ("nothing", version(&[]), 0),
        ("half of it", version(&[0, 0, 0]), 0),
        ("major 1", version(&[1, 0, 0, 0]), 0),
        ("no NUL", version(b"\0\0\0\0{}"), 0),
        ("no JSON", version(b"\0\0\0\0{\0"), 0),
        ("not text", version(b"\0\0\0\0\xFF\xFF\0"), 0),
        ("deep", version(&deep), 0),
        ("wrong types", version(b"\0\0\0\0{\"capabilities\":{\"max_msg_fds\":\"many\"}}\0"), 0),
        ("negative", version(b"\0\0\0\0{\"capabilities\":{\"max_data_xfer_size\":-1}}\0"), 0),
        ("a descriptor", hello(), 1),
        ("another command", message(command::DEVICE_RESET, &[]), 0),
        ("an unknown command", message(999, &[]), 0),
    ];
    for (what, message, fds) in cases {
        let mut board = Board::new();
        let mut session = ringwave_vfio_user::Session::new();
        let fds = (0..fds).map(|_| event()).collect();
        let (replies, closed) = exchange(&mut session, &mut board, &message, fds);
        assert!(closed, "{what}");
        assert_eq!(replies.len(), 1, "{what}");
        assert_eq!(header(&replies[0]).id.get(), 0x1234, "{what}");
        assert!(errno(&replies[0]) != 0, "{what}");
        assert!(board.taken().is_empty(), "{what}");
        let (replies, closed) = exchange(&mut session, &mut board, &hello(), Vec::new());
        assert!(closed && replies.is_empty(), "{what}: nothing more is heard");
    }
}

#[test]
fn impossible_sizes_end_it_with_a_name() {
    use ringwave_vfio_user::{CloseReason, Session, Step};
    let sized = |size: u32| {
        let mut bytes = message(command::DEVICE_RESET, &[]);
        bytes[4..8].copy_from_slice(&size.to_ne_bytes());
        bytes
    };
    for size in [0, 1, 15, (1 << 20) + 33, u32::MAX] {
        let mut board = Board::new();
        let mut session = open_session(&mut board);
        match session.receive(&mut board, &mut &sized(size)[..], Vec::new(), false) {
            Step::Close(Some(reply), reason) => {
                assert_eq!(errno(&reply), Errno::INVAL.raw_os_error());
                let small = CloseReason::SizeTooSmall(size);
                assert_eq!(reason, if size < 16 { small } else { CloseReason::SizeTooLarge(size) });
            }
            other => panic!("{size}: {other:?}"),
        }
        assert_eq!(session.wanted(), 0);
    }
    // Before VERSION a little is enough.
    let step = Session::new().receive(&mut Board::new(), &mut &sized(1 << 20)[..], Vec::new(), false);
    assert!(matches!(step, Step::Close(_, CloseReason::SizeTooLarge(_))));
}
