//! The page methods against a port stream that keeps books.
use super::{AudioPages, Cache};
use crate::interfaces::{IPortWaveRTStream, PMDL, PPHYSICAL_ADDRESS, PVOID, PortWaveRTStream};
use crate::{Com, com_class};
use core::ffi::c_void;
use core::ptr::null_mut;
use nt::status::STATUS_INSUFFICIENT_RESOURCES;
use nt::sys::MDL;
use std::sync::Mutex;

/// What stands in pages that were not cleared.
const STALE: u8 = 0xEE;

/// What was done to the port stream, in order.
#[derive(Default)]
struct Port {
    /// Bytes it hands out at most.
    limit: usize,
    maps: bool,
    log: Mutex<Vec<String>>,
}
com_class! { Port { 0 => IPortWaveRTStream } }

impl Port {
    fn log(&self, what: impl Into<String>) {
        self.log.lock().unwrap().push(what.into());
    }

    fn hand_out(&self, bytes: usize) -> PMDL {
        if self.limit == 0 {
            return null_mut();
        }
        let mdl = MDL {
            Next: null_mut(),
            Size: 0,
            MdlFlags: 0,
            Process: null_mut(),
            MappedSystemVa: Box::into_raw(vec![STALE; bytes.min(self.limit)].into_boxed_slice()).cast(),
            StartVa: null_mut(),
            ByteCount: bytes.min(self.limit) as u32,
            ByteOffset: 0,
        };
        Box::into_raw(Box::new(mdl))
    }
}

impl PortWaveRTStream for Port {
    fn allocate_pages_for_mdl(&self, highest: i64, bytes: usize) -> PMDL {
        self.log(format!("pages {highest:x} {bytes}"));
        self.hand_out(bytes)
    }
    fn allocate_contiguous_pages_for_mdl(&self, lowest: i64, highest: i64, bytes: usize) -> PMDL {
        self.log(format!("contiguous {lowest:x} {highest:x} {bytes}"));
        self.hand_out(bytes)
    }
    fn map_allocated_pages(&self, mdl: *mut MDL, cache: i32) -> PVOID {
        self.log(format!("map {cache}"));
        // SAFETY: one of ours.
        if self.maps { unsafe { (*mdl).MappedSystemVa } } else { null_mut() }
    }
    fn unmap_allocated_pages(&self, base: *mut c_void, mdl: *mut MDL) {
        // SAFETY: one of ours.
        assert_eq!(base, unsafe { (*mdl).MappedSystemVa });
        self.log("unmap");
    }
    fn free_pages_from_mdl(&self, mdl: *mut MDL) {
        self.log("free");
        // SAFETY: one of ours, freed once or the test's allocator complains.
        unsafe {
            let mdl = Box::from_raw(mdl);
            drop(Box::from_raw(core::ptr::slice_from_raw_parts_mut(
                mdl.MappedSystemVa.cast::<u8>(),
                mdl.ByteCount as usize,
            )));
        }
    }
    fn get_physical_pages_count(&self, mdl: *mut MDL) -> u32 {
        // SAFETY: one of ours.
        unsafe { (*mdl).ByteCount.div_ceil(4096) }
    }
    fn get_physical_page_address(&self, result: *mut i64, _mdl: *mut MDL, index: u32) -> PPHYSICAL_ADDRESS {
        // SAFETY: the caller's room, as Microsoft's ABI has it.
        unsafe { result.write(0x1_2345_6000 + i64::from(index) * 0x2000) };
        result
    }
}

fn port(limit: usize, maps: bool) -> Com<Port> {
    Com::try_new(Port { limit, maps, log: Mutex::default() }).unwrap()
}

fn log_of(port: &Port) -> Vec<String> {
    core::mem::take(&mut port.log.lock().unwrap())
}

#[test]
fn pages_are_mapped_cleared_unmapped_and_freed_in_order() {
    let port = port(usize::MAX, true);
    let stream = port.to_interface::<IPortWaveRTStream>();
    let pages = stream.allocate_pages(u64::MAX, 8192).unwrap();
    drop(stream);
    assert_eq!((pages.bytes(), pages.page_count()), (8192, 2));
    assert_eq!(
        (0..3).map(|page| pages.page_address(page)).collect::<Vec<_>>(),
        [Some(0x1_2345_6000), Some(0x1_2345_8000), None]
    );
    pages.clear(Cache::Cached).unwrap();
    // SAFETY: the fake's memory, as long as its MDL says.
    let memory = unsafe { core::slice::from_raw_parts((*pages.as_mdl()).MappedSystemVa.cast::<u8>(), 8192) };
    assert!(memory.iter().all(|byte| *byte == 0), "cleared to the last byte");
    drop(pages);
    assert_eq!(log_of(&port), ["pages 7fffffffffffffff 8192", "map 1", "unmap", "free"]);
}

#[test]
fn a_mapping_is_written_within_its_pages_and_taken_away_before_them() {
    let port = port(usize::MAX, true);
    let stream = port.to_interface::<IPortWaveRTStream>();
    let mut mapped = stream.allocate_pages(u64::MAX, 4096).unwrap().map(Cache::Cached).unwrap();
    assert!(mapped.write(4094, &[7, 8]) && mapped.write(4096, &[]));
    assert!(!mapped.write(4095, &[1, 2]) && !mapped.write(usize::MAX, &[1]), "beyond the end");
    // SAFETY: the fake's memory, as long as its MDL says.
    let memory =
        unsafe { core::slice::from_raw_parts((*mapped.pages().as_mdl()).MappedSystemVa.cast::<u8>(), 4096) };
    assert_eq!(memory[4094..], [7, 8]);
    drop(mapped);
    assert_eq!(log_of(&port)[1..], ["map 1", "unmap", "free"]);
    let unmappable = self::port(usize::MAX, false);
    let pages = unmappable.to_interface::<IPortWaveRTStream>().allocate_pages(u64::MAX, 4096).unwrap();
    assert_eq!(pages.map(Cache::Cached).err(), Some(STATUS_INSUFFICIENT_RESOURCES));
    assert_eq!(log_of(&unmappable)[1..], ["map 1", "free"]);
}

#[test]
fn too_few_pages_are_given_back() {
    let port = port(4096, true);
    let stream = port.to_interface::<IPortWaveRTStream>();
    assert_eq!(stream.allocate_contiguous(0, 0xFFFF_FFFF, 8192).err(), Some(STATUS_INSUFFICIENT_RESOURCES));
    assert_eq!(log_of(&port), ["contiguous 0 ffffffff 8192", "free"]);
}

#[test]
fn no_pages_and_no_mapping_are_errors() {
    let none = port(0, true);
    let answer: Result<AudioPages, _> =
        none.to_interface::<IPortWaveRTStream>().allocate_pages(u64::MAX, 4096);
    assert_eq!(answer.err(), Some(STATUS_INSUFFICIENT_RESOURCES));
    let unmappable = port(usize::MAX, false);
    let pages = unmappable.to_interface::<IPortWaveRTStream>().allocate_pages(u64::MAX, 4096).unwrap();
    assert_eq!(pages.clear(Cache::WriteCombined).err(), Some(STATUS_INSUFFICIENT_RESOURCES));
    drop(pages);
    assert_eq!(log_of(&unmappable)[1..], ["map 2", "free"], "nothing was mapped, so nothing is unmapped");
}
