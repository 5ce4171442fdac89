//! What the card can reach of a guest's memory, and when it cannot any more.

use super::*;
use crate::memfd::memfd;
use std::os::unix::fs::FileExt;

const PAGE: u64 = 4096;

/// What the test memory holds at `place`: every place tells where it is.
fn pattern(offset: u64) -> u8 {
    u8::try_from((offset / 256 + offset) % 256).unwrap()
}

/// Memory full of [`pattern`].
fn memory(pages: u64, sealed: bool) -> File {
    let file = memfd(c"guest", pages * PAGE, sealed).unwrap();
    let bytes: Vec<u8> = (0..pages * PAGE).map(pattern).collect();
    file.write_all_at(&bytes, 0).unwrap();
    file
}

fn map(ram: &mut GuestRam, address: u64, bytes: u64, file: &File, offset: u64) -> Result<(), MapError> {
    let file = Some((file.try_clone().unwrap(), offset));
    ram.map(MapRequest { address, bytes, readable: true, writable: true, file })
}

fn byte_at(ram: &GuestRam, address: u64) -> Result<u8, MemoryFault> {
    let mut byte = [0];
    ram.read(address, &mut byte).map(|()| byte[0])
}

#[test]
fn range_that_crosses_maps_is_read_and_written_in_order() {
    for sealed in [true, false] {
        let file = memory(4, sealed);
        let mut ram = GuestRam::default();
        map(&mut ram, 0x10_0000, PAGE, &file, 3 * PAGE).unwrap();
        map(&mut ram, 0x10_1000, PAGE, &file, PAGE).unwrap();
        let mut got = [0; 32];
        ram.read(0x10_0FF0, &mut got).unwrap();
        let wanted: Vec<u8> = (4 * PAGE - 16..4 * PAGE).chain(PAGE..PAGE + 16).map(pattern).collect();
        assert_eq!(got[..], wanted[..]);

        ram.write(0x10_0FFF, &[0xAA, 0xBB]).unwrap();
        let mut there = [0; 1];
        file.read_exact_at(&mut there, 4 * PAGE - 1).unwrap();
        assert_eq!(there, [0xAA]);
        file.read_exact_at(&mut there, PAGE).unwrap();
        assert_eq!(there, [0xBB]);
        assert_eq!(ram.check(0x10_0000, 2 * PAGE, true), Ok(()));
        assert_eq!(ram.check(0x10_0000, 2 * PAGE + 1, false), Err(MemoryFault));
        assert_eq!(ram.read(0x10_1FFF, &mut got), Err(MemoryFault));
        assert_eq!(ram.write(0x10_1FFF, &got), Err(MemoryFault));
    }
}

#[test]
fn a_thousand_page_maps_share_one_mapping() {
    let file = memory(1000, true);
    let mut ram = GuestRam::default();
    for page in 0..1000 {
        map(&mut ram, 0x8000_0000 + page * PAGE, PAGE, &file, (999 - page) * PAGE).unwrap();
    }
    let Some((first, _)) = &ram.maps.find(0x8000_0000).unwrap().value.memory else { panic!("accessible") };
    assert_eq!(Arc::strong_count(first), 1000);
    assert_eq!(byte_at(&ram, 0x8000_0000), Ok(pattern(999 * PAGE)));
}

#[test]
fn map_without_memory_is_remembered_and_refused() {
    let mut ram = GuestRam::default();
    let rom = MapRequest { address: 0xC_0000, bytes: PAGE, readable: true, writable: true, file: None };
    ram.map(rom).unwrap();
    assert_eq!(byte_at(&ram, 0xC_0000), Err(MemoryFault));
    assert_eq!(ram.check(0xC_0000, 1, false), Err(MemoryFault));
    let file = memory(1, true);
    assert_eq!(map(&mut ram, 0xC_0000, PAGE, &file, 0), Err(MapError::Overlap));
    ram.unmap(0xC_0000, PAGE);
    assert!(map(&mut ram, 0xC_0000, PAGE, &file, 0).is_ok());

    let device = File::open("/dev/zero").unwrap();
    map(&mut ram, 0, PAGE, &device, 0).unwrap();
    assert_eq!(byte_at(&ram, 0), Err(MemoryFault), "only files are memory");
    map(&mut ram, 0x2000, 2 * PAGE, &file, 0).unwrap();
    assert_eq!(byte_at(&ram, 0x2000), Err(MemoryFault), "the file is shorter than the map");
    let lost: Vec<String> = ram.take_lost().iter().map(ToString::to_string).collect();
    assert!(
        matches!(&lost[..], [device, short] if device.contains("0x0 to 0xfff cannot be reached") && short.contains("shorter")),
        "{lost:?}"
    );
}

#[test]
fn permissions_of_the_map_and_of_the_file_hold() {
    let file = memory(1, true);
    let mut ram = GuestRam::default();
    let only = |readable, writable, address| MapRequest {
        address,
        bytes: PAGE,
        readable,
        writable,
        file: Some((file.try_clone().unwrap(), 0)),
    };
    ram.map(only(true, false, 0)).unwrap();
    ram.map(only(false, true, 0x1000)).unwrap();
    assert!(byte_at(&ram, 0).is_ok());
    assert_eq!(ram.write(0, &[1]), Err(MemoryFault));
    assert_eq!(byte_at(&ram, 0x1000), Err(MemoryFault));

    let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&file));
    let read_only = File::open(path).unwrap();
    map(&mut ram, 0x2000, PAGE, &read_only, 0).unwrap();
    assert!(byte_at(&ram, 0x2000).is_ok());
    assert_eq!(ram.write(0x2000, &[1]), Err(MemoryFault));
}

#[test]
fn unmap_takes_back_exactly_its_range() {
    let file = memory(3, true);
    let mut ram = GuestRam::default();
    map(&mut ram, 0x1000, 3 * PAGE, &file, 0).unwrap();
    ram.unmap(0x2000, PAGE);
    assert!(byte_at(&ram, 0x1FFF).is_ok());
    assert_eq!(byte_at(&ram, 0x2000), Err(MemoryFault));
    assert_eq!(byte_at(&ram, 0x2FFF), Err(MemoryFault));
    assert_eq!(byte_at(&ram, 0x3001), Ok(pattern(2 * PAGE + 1)), "the rest has its old place in the file");
    ram.unmap(0x9000, PAGE);
    ram.unmap(0, 0);
    assert_eq!(ram.len(), 2, "an unmap that matches nothing does nothing");
    ram.unmap(0, u64::MAX);
    assert!(ram.is_empty());
}

#[test]
fn addresses_up_to_two_to_the_64_are_no_special_case() {
    let file = memory(1, true);
    let mut ram = GuestRam::default();
    let top = u64::MAX - (PAGE - 1);
    map(&mut ram, top, PAGE, &file, 0).unwrap();
    assert_eq!(ram.check(top, PAGE, true), Ok(()));
    assert_eq!(byte_at(&ram, u64::MAX), Ok(pattern(PAGE - 1)));
    assert_eq!(ram.read(u64::MAX, &mut [0; 2]), Err(MemoryFault));
    assert_eq!(ram.check(u64::MAX, 2, false), Err(MemoryFault));
    assert_eq!(ram.write(u64::MAX, &[0; 2]), Err(MemoryFault));
    assert_eq!(map(&mut ram, top + 1, PAGE, &file, 0), Err(MapError::Range));
    assert_eq!(map(&mut ram, 0, 0, &file, 0), Err(MapError::Range));
    ram.unmap(top, PAGE);
    assert!(ram.is_empty(), "an unmap that reaches exactly 2^64");
    map(&mut ram, 0, PAGE, &file, u64::MAX).unwrap();
    assert_eq!(byte_at(&ram, 0), Err(MemoryFault), "an offset beyond every file");
}

#[test]
fn file_cut_short_is_a_fault_and_its_map_is_lost_until_it_is_mapped_anew() {
    let file = memory(4, false);
    let mut ram = GuestRam::default();
    map(&mut ram, 0, 2 * PAGE, &file, 0).unwrap();
    map(&mut ram, 2 * PAGE, 2 * PAGE, &file, 2 * PAGE).unwrap();
    assert!(byte_at(&ram, 3 * PAGE).is_ok());
    file.set_len(3 * PAGE).unwrap();
    assert!(byte_at(&ram, 2 * PAGE).is_ok(), "nobody has noticed yet");
    assert_eq!(ram.read(3 * PAGE - 8, &mut [0; 16]), Err(MemoryFault));
    assert_eq!(byte_at(&ram, 2 * PAGE), Err(MemoryFault), "the whole map is lost");
    assert_eq!(ram.write(2 * PAGE, &[1]), Err(MemoryFault));
    assert_eq!(ram.check(2 * PAGE, 1, false), Err(MemoryFault));
    assert!(byte_at(&ram, PAGE).is_ok(), "the other map is not");
    let lost = ram.take_lost();
    assert_eq!(lost.len(), 1, "once");
    let line = lost[0].to_string();
    assert!(line.contains("0x2000 to 0x3fff") && line.contains("memfd:guest"), "{line}");

    file.set_len(4 * PAGE).unwrap();
    assert_eq!(byte_at(&ram, 2 * PAGE), Err(MemoryFault), "it came back, and is lost all the same");
    ram.unmap(2 * PAGE, PAGE);
    assert_eq!(byte_at(&ram, 3 * PAGE), Err(MemoryFault), "what an unmap leaves of it as well");
    ram.unmap(3 * PAGE, PAGE);
    map(&mut ram, 2 * PAGE, 2 * PAGE, &file, 2 * PAGE).unwrap();
    assert_eq!(byte_at(&ram, 2 * PAGE), Ok(pattern(2 * PAGE)));
    assert!(!ram.has_lost());
}

#[test]
fn however_many_maps_are_lost_the_log_stays_short() {
    let file = memory(100, false);
    let mut ram = GuestRam::default();
    for page in 0..100 {
        map(&mut ram, page * PAGE, PAGE, &file, page * PAGE).unwrap();
    }
    file.set_len(0).unwrap();
    for page in 0..100 {
        assert_eq!(ram.write(page * PAGE, &[1]), Err(MemoryFault));
    }
    assert_eq!(ram.take_lost().len(), LOST_NAMED_MAX as usize);
}

/// Sealed, and yet a load would be a SIGBUS: the process would end here.
#[test]
fn huge_pages_that_have_run_out_are_a_fault_and_not_a_signal() {
    let free = std::fs::read_to_string("/proc/meminfo").unwrap();
    let none = |name: &str| free.lines().any(|line| line.starts_with(name) && line.ends_with(" 0"));
    let flags = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING | libc::MFD_HUGETLB;
    // SAFETY: the name ends with a zero byte; the flags are those of memfd_create(2).
    let fd = unsafe { libc::memfd_create(c"huge".as_ptr(), flags) };
    if fd < 0 || !none("HugePages_Free:") {
        eprintln!("not run: this host has no huge pages, or has some that are free");
        return;
    }
    // SAFETY: the descriptor was just made and belongs to nobody else.
    let file = unsafe { <File as std::os::fd::FromRawFd>::from_raw_fd(fd) };
    file.set_len(2 << 20).unwrap();
    // SAFETY: F_ADD_SEALS takes one int and the descriptor is open.
    assert_eq!(unsafe { libc::fcntl(fd, libc::F_ADD_SEALS, libc::F_SEAL_SHRINK) }, 0);
    let mut ram = GuestRam::default();
    map(&mut ram, 0, 2 << 20, &file, 0).unwrap();
    assert_eq!(byte_at(&ram, 0), Ok(0), "nobody has written there, so it is a zero");
    assert_eq!(ram.write(0, &[1]), Err(MemoryFault));
    assert_eq!(byte_at(&ram, 0), Err(MemoryFault), "lost");
    assert!(ram.take_lost()[0].to_string().contains("memfd:huge"));
}

#[test]
fn grown_file_is_mapped_anew() {
    let file = memory(1, false);
    let mut ram = GuestRam::default();
    map(&mut ram, 0, PAGE, &file, 0).unwrap();
    file.set_len(2 * PAGE).unwrap();
    map(&mut ram, PAGE, PAGE, &file, PAGE).unwrap();
    assert_eq!(byte_at(&ram, PAGE), Ok(0));
    assert!(byte_at(&ram, 1).is_ok());
}

/// Maps come and go, and every address is looked for again and again: what was found there before is not what
/// is there now.
#[test]
fn map_in_the_place_of_another_is_not_taken_for_it() {
    let file = memory(8, true);
    let mut ram = GuestRam::default();
    for turn in 0..20_u64 {
        // Pages that are a mebibyte apart are remembered in the same place.
        let (here, there) = (turn % 3 * PAGE, (1 << 20) + (turn + 1) % 3 * PAGE);
        map(&mut ram, here, PAGE, &file, turn % 8 * PAGE).unwrap();
        map(&mut ram, there, PAGE, &file, (turn + 3) % 8 * PAGE).unwrap();
        for _ in 0..2 {
            assert_eq!(byte_at(&ram, here + turn), Ok(pattern(turn % 8 * PAGE + turn)));
            assert_eq!(byte_at(&ram, there + turn), Ok(pattern((turn + 3) % 8 * PAGE + turn)));
            assert_eq!(byte_at(&ram, here + (1 << 20)).is_ok(), here + (1 << 20) == there);
        }
        ram.unmap(here, PAGE);
        assert_eq!(byte_at(&ram, here), Err(MemoryFault));
        if turn % 2 == 0 {
            ram.unmap(there, PAGE);
        } else {
            ram.unmap_all();
        }
        assert_eq!(byte_at(&ram, there), Err(MemoryFault));
    }
}

/// A read of memory that is not sealed goes by the file: it must be what a client sees that only stores to
/// its mapping.
#[test]
fn what_the_guest_stores_to_its_mapping_is_what_the_card_reads() {
    use vm_memory::{Bytes, VolatileMemory};
    for sealed in [true, false] {
        let file = memory(2, sealed);
        let mut ram = GuestRam::default();
        map(&mut ram, 0, 2 * PAGE, &file, 0).unwrap();
        let theirs = vm_memory::FileOffset::new(file.try_clone().unwrap(), 0);
        let theirs: vm_memory::MmapRegion = vm_memory::MmapRegion::from_file(theirs, 2 * 4096).unwrap();
        for byte in 1..=255_u8 {
            theirs.as_volatile_slice().write_slice(&[byte; 100], 4096 - 50).unwrap();
            let mut got = [0; 100];
            ram.read(PAGE - 50, &mut got).unwrap();
            assert_eq!(got, [byte; 100]);
            ram.write(PAGE - 50, &[!byte; 100]).unwrap();
            theirs.as_volatile_slice().read_slice(&mut got, 4096 - 50).unwrap();
            assert_eq!(got, [!byte; 100]);
        }
    }
}
