//! Every message that is answered, from our client over a socket: what the client hears and what the device
//! is asked.
#![allow(clippy::unwrap_used, reason = "these are tests")]

mod common;

use std::os::fd::AsFd;

use common::*;
use ringwave_vfio_user::wire::{self, command, irq_set_flags as set, map_flags, region_flags};
use ringwave_vfio_user::{Area, Client, ClientEnd, ClientError, Errno};

/// Talks to a fresh board and checks that the client left cleanly; gives what the board was asked, without
/// the leaving.
fn with_client(talk: impl FnOnce(&mut Client)) -> Vec<String> {
    let (end, mut log) = with_board(|stream, _| talk(&mut Client::over(stream).unwrap()));
    assert!(matches!(end, ClientEnd::Left), "{end:?}");
    assert_eq!(log.pop().as_deref(), Some("left"));
    log
}

fn refused<T: std::fmt::Debug>(result: Result<T, ClientError>) -> Errno {
    match result {
        Err(ClientError::Refused { errno, .. }) => errno,
        other => panic!("{other:?}"),
    }
}

#[test]
fn version_agrees_on_limits() {
    with_client(|client| {
        let limits = client.limits();
        assert_eq!(
            (limits.minor, limits.fds, limits.data_bytes, limits.write_multiple),
            (1, 8, 1 << 20, true)
        );
    });
}

#[test]
fn version_minor_is_not_above_the_clients() {
    let mut board = Board::new();
    for (theirs, agreed) in [(0, 0), (1, 1), (7, 1)] {
        let mut session = ringwave_vfio_user::Session::new();
        let hello = message(command::VERSION, &[0, 0, theirs, 0]);
        let (replies, closed) = exchange(&mut session, &mut board, &hello, Vec::new());
        assert!(!closed);
        assert_eq!(replies[0].bytes[16..20], [0, 0, agreed, 0]);
        let json = String::from_utf8_lossy(&replies[0].bytes[20..]).into_owned();
        assert!(json.ends_with("}\0") && !json.contains("write_multiple"), "only what was proposed: {json}");
    }
}

#[test]
fn device_info() {
    with_client(|client| {
        let info = client.device_info().unwrap();
        assert_eq!((info.flags, info.regions, info.irqs), (0b11, 9, 5));
    });
}

#[test]
fn region_info_with_and_without_areas() {
    with_client(|client| {
        let plain = client.region_info(0).unwrap();
        assert_eq!(
            (plain.flags, plain.size, plain.offset),
            (region_flags::READ | region_flags::WRITE, 0x100, 0)
        );
        assert!(plain.fd.is_none() && plain.areas.is_empty());

        let sparse = client.region_info(1).unwrap();
        assert_eq!(sparse.flags, 0b1111);
        assert_eq!((sparse.size, sparse.offset), (0x3000, 0x1000));
        assert_eq!(sparse.areas, [Area { offset: 0x1000, size: 0x1000 }]);

        let whole = client.region_info(4).unwrap();
        assert_eq!(whole.flags, 0b1111);
        assert_eq!(whole.areas, [Area { offset: 0, size: 0x2000 }], "all of it is one area");
        assert!(whole.fd.is_some());

        assert_eq!(client.region_info(2).unwrap().flags, region_flags::READ);
        assert_eq!(client.region_info(3).unwrap().flags, region_flags::WRITE);
        assert_eq!(client.region_info(8).unwrap().size, 0);
    });
}

#[test]
fn region_info_says_how_much_there_is_and_gives_no_more_than_fits() {
    let mut board = Board::new();
    let mut session = open_session(&mut board);
    for (argsz, bytes, cap_offset) in [(32, 32, 0), (63, 32, 0), (64, 64, 32), (4096, 64, 32)] {
        let ask = message(command::DEVICE_GET_REGION_INFO, &words(&[argsz, 0, 1, 0, 0, 0, 0, 0]));
        let (replies, _) = exchange(&mut session, &mut board, &ask, Vec::new());
        let payload = &replies[0].bytes[16..];
        assert_eq!(payload.len(), bytes, "argsz {argsz}");
        assert_eq!(payload[..4], 64_u32.to_ne_bytes(), "what there is");
        assert_eq!(payload[12..16], u32::to_ne_bytes(cap_offset));
        let flags = u32::from_ne_bytes(payload[4..8].try_into().unwrap());
        assert_eq!(flags & region_flags::MMAP, region_flags::MMAP);
        let capability = usize::from(flags & region_flags::CAPS != 0);
        assert_eq!(
            (capability, replies[0].fds.len()),
            (bytes / 64, bytes / 64),
            "the descriptor comes with it"
        );
    }
}

#[test]
fn client_that_takes_no_descriptors_gets_none() {
    let mut board = Board::new();
    let mut session = ringwave_vfio_user::Session::new();
    let json = b"\0\0\0\0{\"capabilities\":{\"max_msg_fds\":0}}\0";
    exchange(&mut session, &mut board, &message(command::VERSION, json), Vec::new());
    let ask = message(command::DEVICE_GET_REGION_INFO, &words(&[64, 0, 1, 0, 0, 0, 0, 0]));
    let (replies, _) = exchange(&mut session, &mut board, &ask, Vec::new());
    assert!(replies[0].fds.is_empty());
    assert_eq!(replies[0].bytes[20..24], 0b11_u32.to_ne_bytes(), "and no flag that says so");
}

#[test]
fn mapped_region_is_the_devices_memory() {
    with_client(|client| {
        let region = client.region_info(1).unwrap();
        let ours = region.map(0x1000..=0x1FFF).unwrap();
        let again = client.region_info(1).unwrap().map(0x1000..=0x1FFF).unwrap();
        ours.write(0x10, 0xCAFE_F00D).unwrap();
        assert_eq!(again.read(0x10), Some(0xCAFE_F00D));
        assert_eq!((ours.read(0x11), ours.read(0x1000), ours.read(0xFFC)), (None, None, Some(0)));
        assert!(region.map(0..=0xFFF).is_err() && region.map(0x1000..=0x2000).is_err());
        assert!(client.region_info(4).unwrap().map(0..=0x1FFF).is_ok());
    });
}

#[test]
fn irq_info() {
    with_client(|client| {
        let infos: Vec<_> =
            (0..5).map(|index| client.irq_info(index).unwrap()).map(|i| (i.count, i.flags)).collect();
        assert_eq!(infos, [(1, 0b111), (32, 0b1001), (0, 0), (1, 0), (0, 0)]);
    });
}

#[test]
fn reads_and_writes() {
    let log = with_client(|client| {
        client.write(0, 0x10, &[1, 2, 3, 4, 5]).unwrap();
        let mut data = [0; 6];
        client.read(0, 0x10, &mut data).unwrap();
        assert_eq!(data, [1, 2, 3, 4, 5, 0]);
        client.write32(0, 0xFC, 0x0403_0201).unwrap();
        assert_eq!(client.read32(0, 0xFC).unwrap(), 0x0403_0201);
        client.read(0, BAR0_BYTES, &mut []).unwrap();
        client.write(0, BAR0_BYTES, &[]).unwrap();
    });
    assert_eq!(log, ["write 0 0x10 5", "read 0 0x10 6", "write 0 0xfc 4", "read 0 0xfc 4"]);
}

#[test]
fn longest_access_goes_both_ways() {
    let log = with_client(|client| {
        let mut data = vec![0; 1 << 20];
        client.read(5, 0x1000, &mut data).unwrap();
        assert!(data.iter().all(|byte| *byte == 5));
        client.write(5, 0x1000, &data).unwrap();
        data.push(0);
        assert_eq!(refused(client.read(5, 0x1000, &mut data)), Errno::INVAL);
        assert_eq!(client.read32(5, 0).unwrap(), 0x0505_0505);
    });
    assert_eq!(log[..2], ["read 5 0x1000 1048576", "write 5 0x1000 1048576"]);
}

#[test]
fn what_the_client_says_of_itself_does_not_bound_its_own_accesses() {
    // libvfio-user's sample client says 1,024, and reads and writes 12,288 at a time.
    let mut board = Board::new();
    let mut session = ringwave_vfio_user::Session::new();
    let json = b"\0\0\0\0{\"capabilities\":{\"max_data_xfer_size\":1024}}\0";
    exchange(&mut session, &mut board, &message(command::VERSION, json), Vec::new());
    let access = [0_u64.to_ne_bytes().to_vec(), words(&[5, 12_288])].concat();
    let (replies, _) = exchange(&mut session, &mut board, &message(command::REGION_READ, &access), vec![]);
    assert_eq!((errno(&replies[0]), replies[0].bytes.len()), (0, 32 + 12_288));
    let write = [access, vec![1; 12_288]].concat();
    let (replies, _) = exchange(&mut session, &mut board, &message(command::REGION_WRITE, &write), vec![]);
    assert_eq!(errno(&replies[0]), 0);
}

#[test]
fn version_reply_fits_the_room_that_qemu_has_for_it() {
    // What QEMU 11.1 sends; it takes a reply of that length and no longer (`vfio_user_validate_version`).
    let json =
        br#"{"capabilities": {"migration": {"pgsize": 4096, "max_bitmap_size": 268435456}, "max_msg_fds": 16,
        "max_data_xfer_size": 1048576, "pgsizes": 4096, "max_dma_maps": 65535, "write_multiple": true}}"#;
    let json: Vec<u8> = json.iter().copied().filter(|byte| !b" \n".contains(byte)).collect();
    let hello = message(command::VERSION, &[&[0; 4], &json[..], &[0]].concat());
    let mut session = ringwave_vfio_user::Session::new();
    let (replies, closed) = exchange(&mut session, &mut Board::new(), &hello, Vec::new());
    assert!(!closed && errno(&replies[0]) == 0);
    assert!(replies[0].bytes.len() <= hello.len(), "{} {}", replies[0].bytes.len(), hello.len());
}

#[test]
fn posted_write_is_done_before_what_comes_next_and_has_no_reply() {
    let log = with_client(|client| {
        for value in 0..100_u32 {
            client.post(0, 0, &value.to_le_bytes()).unwrap();
        }
        assert_eq!(client.read32(0, 0).unwrap(), 99);
        client.post(0, BAR0_BYTES, &[0]).unwrap();
        client.post(99, 0, &[0]).unwrap();
        assert_eq!(client.read32(0, 0).unwrap(), 99, "no reply to a refused one, either");
    });
    assert_eq!(log.len(), 102);
}

fn multi(writes: &[(u64, u32, u32)], room: usize) -> Vec<u8> {
    let mut payload = (writes.len() as u64).to_ne_bytes().to_vec();
    for (offset, region, count) in writes {
        payload.extend(offset.to_ne_bytes());
        payload.extend(words(&[*region, *count, 0x0403_0201, 0x0807_0605]));
    }
    payload.resize(payload.len() + room * 24, 0);
    payload
}

#[test]
fn many_writes_in_one_message() {
    let log = with_client(|client| {
        let payload = multi(&[(0, 0, 8), (8, 0, 1), (0x20, 0, 4)], 197);
        let reply = client.ask(command::REGION_WRITE_MULTI, &[&payload], &[]).unwrap();
        assert_eq!(reply, 3_u64.to_ne_bytes(), "QEMU sends its whole table of 200 always");
        let mut data = [0; 10];
        client.read(0, 0, &mut data).unwrap();
        assert_eq!(data, [1, 2, 3, 4, 5, 6, 7, 8, 1, 0]);

        let partly = multi(&[(0, 0, 8), (REFUSING_OFFSET, 0, 4), (8, 0, 8)], 0);
        let reply = client.ask(command::REGION_WRITE_MULTI, &[&partly], &[]).unwrap();
        assert_eq!(reply, 1_u64.to_ne_bytes(), "up to the one that the device refused");
        let none = multi(&[(REFUSING_OFFSET, 0, 4)], 0);
        assert_eq!(refused(client.ask(command::REGION_WRITE_MULTI, &[&none], &[])), Errno::NODEV);
        assert_eq!(
            client.ask(command::REGION_WRITE_MULTI, &[&multi(&[], 0)], &[]).unwrap(),
            0_u64.to_ne_bytes()
        );
    });
    assert_eq!(log.iter().filter(|entry| entry.starts_with("write")).count(), 4);
}

#[test]
fn memory_is_mapped_and_taken_back() {
    let ram = memory(0x8000);
    let log = with_client(|client| {
        client.dma_map(0x10_0000, 0x4000, Some((ram.as_fd(), 0x2000))).unwrap();
        client.dma_map(0xC_0000, 0x1000, None).unwrap();
        client.dma_map(u64::MAX - 0xFFF, 0x1000, None).unwrap();
        client.dma_unmap(0x10_0000, 0x4000).unwrap();
        client.dma_unmap(0x10_0000, 0x4000).unwrap();
        client.dma_map(0x10_0000, 0x1000, None).unwrap();
        client.dma_unmap(0x8000_0000_0000_0000, 0x8000_0000_0000_0000).unwrap();
        client.dma_unmap_all().unwrap();
        client.dma_unmap_all().unwrap();
        client.dma_map(0, u64::MAX - 0xFFF, None).unwrap();
        client.dma_map(u64::MAX - 0xFFF, 0x1000, None).unwrap();
        client.dma_unmap(0, u64::MAX - 0xFFF).unwrap();
    });
    assert_eq!(
        log,
        [
            "map 0x100000 0x4000 read true write true map 32768 from 0x2000",
            "map 0xc0000 0x1000 read true write true unreachable",
            "map 0xfffffffffffff000 0x1000 read true write true unreachable",
            "unmap 0x100000..=0x103fff",
            "map 0x100000 0x1000 read true write true unreachable",
            "unmap 0x8000000000000000..=0xffffffffffffffff",
            "unmap 0x0..=0xffffffffffffffff",
            "map 0x0 0xfffffffffffff000 read true write true unreachable",
            "map 0xfffffffffffff000 0x1000 read true write true unreachable",
            "unmap 0x0..=0xffffffffffffefff",
        ],
        "what matches nothing is done and asks nothing of the device"
    );
}

#[test]
fn maps_of_libvfio_user_say_how_they_are_accessed() {
    let ram = memory(0x1000);
    let map = |address: u64, flags: u32| wire::DmaMap {
        argsz: 32.into(),
        flags: flags.into(),
        address: address.into(),
        size: 0x1000.into(),
        ..Default::default()
    };
    let log = with_client(|client| {
        for (address, flags) in [(0x1000, 1 | map_flags::MMAP), (0x2000, 3 | map_flags::FILE_IO)] {
            let map = map(address, flags);
            client.ask(command::DMA_MAP, &[zerocopy::IntoBytes::as_bytes(&map)], &[ram.as_fd()]).unwrap();
        }
    });
    assert_eq!(
        log,
        [
            "map 0x1000 0x1000 read true write false map 4096 from 0x0",
            "map 0x2000 0x1000 read true write true file 4096 from 0x0",
        ]
    );
}

#[test]
fn interrupts_are_connected_in_pieces_and_signalled() {
    let events: Vec<_> = (0..20).map(|_| event()).collect();
    let log = with_client(|client| {
        client.connect_irqs(MSI, 2, &borrow(&events)).unwrap();
        let counts: Vec<_> = events.iter().map(count).collect();
        assert_eq!(counts, (3..23).collect::<Vec<_>>(), "each number has its own eventfd");
        client.set_irqs(MSI, set::DATA_EVENTFD | set::ACTION_TRIGGER, 3, 4, &[], &[]).unwrap();
        client.disable_irqs(MSI).unwrap();
    });
    assert_eq!(
        log,
        [
            "irq 1: Trigger to 8 eventfds from 2",
            "irq 1: Trigger to 8 eventfds from 10",
            "irq 1: Trigger to 4 eventfds from 18",
            "irq 1: Trigger to none, 4 from 3",
            "irq 1: disable",
        ]
    );
}

#[test]
fn interrupts_are_masked_and_raised() {
    let resample = [event()];
    let log = with_client(|client| {
        client.set_irqs(INTX, set::DATA_NONE | set::ACTION_MASK, 0, 1, &[], &[]).unwrap();
        client.set_irqs(INTX, set::DATA_NONE | set::ACTION_UNMASK, 0, 1, &[], &[]).unwrap();
        client.set_irqs(INTX, set::DATA_BOOL | set::ACTION_UNMASK, 0, 1, &[0], &[]).unwrap();
        client.set_irqs(INTX, set::DATA_EVENTFD | set::ACTION_UNMASK, 0, 1, &[], &borrow(&resample)).unwrap();
        client.set_irqs(MSI, set::DATA_NONE | set::ACTION_TRIGGER, 5, 3, &[], &[]).unwrap();
        client.set_irqs(MSI, set::DATA_BOOL | set::ACTION_TRIGGER, 5, 3, &[1, 0, 7], &[]).unwrap();
        client.set_irqs(ERR, set::DATA_NONE | set::ACTION_TRIGGER, 0, 1, &[], &[]).unwrap();
    });
    assert_eq!(
        log,
        [
            "irq 0: Mask [0]",
            "irq 0: Unmask [0]",
            "irq 0: Unmask []",
            "irq 0: Unmask to 1 eventfds from 0",
            "irq 1: Trigger [5, 6, 7]",
            "irq 1: Trigger [5, 7]",
            "irq 3: Trigger [0]",
        ]
    );
}

#[test]
fn reset_is_one_call() {
    assert_eq!(with_client(|client| client.reset().unwrap()), ["reset"]);
}

#[test]
fn there_are_no_region_descriptors() {
    with_client(|client| {
        let reply = client.ask(command::DEVICE_GET_REGION_IO_FDS, &[&words(&[4096, 0, 1, 0])], &[]).unwrap();
        assert_eq!(reply, words(&[16, 0, 1, 0]));
    });
}

#[test]
fn refusals_of_the_device_reach_the_client_and_change_nothing() {
    let ram = memory(0x1000);
    with_client(|client| {
        assert_eq!(refused(client.write32(0, REFUSING_OFFSET, 1)), Errno::NODEV);
        assert_eq!(refused(client.read32(0, REFUSING_OFFSET)), Errno::NODEV);
        assert_eq!(refused(client.dma_map(0xBAD_0000, 0x1000, Some((ram.as_fd(), 0)))), Errno::NOMEM);
        assert_eq!(refused(client.dma_map(0xBAD_0000, 0x1000, None)), Errno::NOMEM, "it was not mapped");
        let trigger = set::DATA_NONE | set::ACTION_TRIGGER;
        assert_eq!(refused(client.set_irqs(MSI, trigger, 31, 1, &[], &[])), Errno::BUSY);
        assert_eq!(client.read32(0, 0).unwrap(), 0);
    });
}
