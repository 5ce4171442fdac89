//! Rules of memory after which the kernel can go on: pool, contiguous and device memory, MDLs. All are broken
//! in one boot (`selftest=memory-rules`), a line before each.

use super::rules::{Case, buffer};
use super::{NON_PAGED, PAGED, TAG, allocate, free, map_card, service};
use crate::kernel::layout::Mdl;
use crate::kernel::{d3, pages, pci};

/// The rules, and how they are broken.
pub const CASES: &[Case] = &[
    ("pool-size", || free(allocate(0))),
    ("pool-flags", || {
        let both = NON_PAGED | PAGED;
        service!("ExAllocatePool2" as fn(u64, usize, u32) -> *mut u8)(both, 16, TAG);
    }),
    ("pool-unknown-free", || free(0x1234 as *mut u8)),
    ("pool-tag", || {
        service!("ExFreePoolWithTag" as fn(*mut u8, u32))(allocate(100), TAG + 1);
    }),
    ("contiguous-size", || {
        let memory = service!("MmAllocateContiguousMemory" as fn(usize, u64) -> *mut u8)(8192, u64::MAX);
        service!("MmFreeContiguousMemorySpecifyCache" as fn(*mut u8, usize, u32))(memory, 4096, 1);
    }),
    ("contiguous-unknown-free", || {
        service!("MmFreeContiguousMemory" as fn(*mut u8))(0x1000 as *mut u8);
    }),
    ("physical-address", || {
        service!("MmGetPhysicalAddress" as fn(*mut u8) -> u64)(0x1000 as *mut u8);
    }),
    ("mmio-cache-type", || {
        let registers = map_card();
        let cached = service!("MmMapIoSpace" as fn(u64, usize, u32) -> *mut u8)(bar(), 4096, 1);
        for mapped in [registers, cached] {
            service!("MmUnmapIoSpace" as fn(*mut u8, usize))(mapped, 4096);
        }
    }),
    ("mmio-protection", || {
        service!("MmMapIoSpaceEx" as fn(u64, usize, u32) -> *mut u8)(bar(), 4096, 0);
    }),
    ("mmio-outside-bar", || {
        service!("MmMapIoSpaceEx" as fn(u64, usize, u32) -> *mut u8)(0xfee0_0000, 4096, 0x204);
    }),
    ("mmio-unmap-mismatch", || {
        service!("MmUnmapIoSpace" as fn(*mut u8, usize))(map_card(), 8);
    }),
    ("register-in-d3", || {
        let registers = map_card();
        // SAFETY: the register page of the card, mapped.
        let read = || unsafe { registers.cast::<u32>().read_volatile() };
        let id = read();
        d3::power_down();
        read();
        d3::power_up(d3::Context::Kept);
        assert!(read() == id, "the configuration is there again");
        service!("MmUnmapIoSpace" as fn(*mut u8, usize))(registers, 4096);
    }),
    ("mdl-double-free", || {
        let mdl = buffer();
        pages::free(mdl);
        pages::free(mdl);
    }),
    ("mdl-freed-while-mapped", || {
        let mdl = buffer();
        pages::map(mdl, 1);
        pages::free(mdl);
    }),
    ("mdl-mapped-twice", || {
        let mdl = buffer();
        let view = pages::map(mdl, 1);
        pages::map(mdl, 1);
        pages::unmap(view, mdl);
        pages::free(mdl);
    }),
    ("mdl-unmap-mismatch", || {
        let mdl = buffer();
        let view = pages::map(mdl, 1);
        pages::unmap(view.wrapping_add(16), mdl);
        pages::unmap(view, mdl);
        pages::free(mdl);
    }),
    ("mdl-unknown", || pages::free(0x1000 as *mut Mdl)),
    ("mdl-freed", || {
        let mdl = buffer();
        pages::free(mdl);
        pages::map(mdl, 1);
    }),
    ("mdl-cache-type", || {
        let mdl = buffer();
        pages::unmap(pages::map(mdl, 1), mdl);
        pages::map(mdl, 0);
        pages::free(mdl);
    }),
    ("mdl-page-index", || {
        let mdl = buffer();
        pages::page_address(mdl, pages::page_count(mdl));
        pages::free(mdl);
    }),
];

fn bar() -> u64 {
    pci::card().bars.iter().find(|bar| !bar.is_io).expect("the card has memory").base
}
