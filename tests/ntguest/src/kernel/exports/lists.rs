//! Interlocked lists and lookaside lists, and what the inline functions over them import.
//!
//! A lookaside list keeps nothing here (its depth is 0, as under Driver Verifier's special pool), so that a
//! block that was freed into it is caught like any other. Layouts: `wdm.h`, GENERAL_LOOKASIDE is 96 bytes,
//! each list 128.

use alloc::vec::Vec;
use core::ffi::c_void;
use core::mem::{offset_of, size_of};
use core::ptr::null_mut;

use super::ex;
use crate::kernel::layout::ListEntry;
use crate::kernel::sync::{self, IrqLock};
use crate::kernel::{caller, violation};

/// Runs `f` as the interlocked functions do: at any IRQL, nobody in between. The lock must be free: the page
/// says that no other function may hold it.
fn interlocked<R>(service: &str, lock: *mut usize, f: impl FnOnce() -> R) -> R {
    let were_on = sync::enter();
    // SAFETY: the driver's spin lock, or null for the functions that take none.
    if !lock.is_null() && unsafe { lock.read_volatile() } != 0 {
        violation("interlocked-lock", format_args!("{service}: its spin lock is held, {}", caller()));
    }
    let result = f();
    sync::leave(were_on);
    result
}

/// Puts `entry` between two neighbours.
///
/// # Safety
/// All three are entries of the driver's.
unsafe fn link(entry: *mut ListEntry, before: *mut ListEntry, after: *mut ListEntry) {
    // SAFETY: by the contract.
    unsafe {
        if (*before).flink != after || (*after).blink != before {
            crate::kernel::fatal(
                "list-corrupt",
                format_args!("the list at {before:p} is broken, {}", caller()),
            );
        }
        (*entry).flink = after;
        (*entry).blink = before;
        (*before).flink = entry;
        (*after).blink = entry;
    }
}

/// ExInterlockedInsertHeadList(head, entry, lock) -> the entry that was first, or null
pub extern "win64" fn insert_head(
    head: *mut ListEntry,
    entry: *mut ListEntry,
    lock: *mut usize,
) -> *mut ListEntry {
    // SAFETY: the driver's list and entry; bad addresses are named faults.
    interlocked("ExInterlockedInsertHeadList", lock, || unsafe {
        let first = (*head).flink;
        link(entry, head, first);
        if first == head { null_mut() } else { first }
    })
}
/// ExInterlockedInsertTailList(head, entry, lock) -> the entry that was last, or null
pub extern "win64" fn insert_tail(
    head: *mut ListEntry,
    entry: *mut ListEntry,
    lock: *mut usize,
) -> *mut ListEntry {
    // SAFETY: see `insert_head`.
    interlocked("ExInterlockedInsertTailList", lock, || unsafe {
        let last = (*head).blink;
        link(entry, last, head);
        if last == head { null_mut() } else { last }
    })
}
/// ExInterlockedRemoveHeadList(head, lock) -> entry or null
pub extern "win64" fn remove_head(head: *mut ListEntry, lock: *mut usize) -> *mut ListEntry {
    // SAFETY: see `insert_head`.
    interlocked("ExInterlockedRemoveHeadList", lock, || unsafe {
        let first = (*head).flink;
        if first == head {
            return null_mut();
        }
        let second = (*first).flink;
        if (*second).blink != first || (*first).blink != head {
            crate::kernel::fatal(
                "list-corrupt",
                format_args!("the list at {head:p} is broken, {}", caller()),
            );
        }
        (*head).flink = second;
        (*second).blink = head;
        first
    })
}

/// SINGLE_LIST_ENTRY and SLIST_ENTRY: the next one.
type Single = *mut c_void;

/// ExInterlockedPushEntryList(head, entry, lock) -> the entry that was first
pub extern "win64" fn push_entry(head: *mut Single, entry: *mut Single, lock: *mut usize) -> Single {
    // SAFETY: see `insert_head`.
    interlocked("ExInterlockedPushEntryList", lock, || unsafe {
        let first = *head;
        *entry = first;
        *head = entry.cast();
        first
    })
}
/// ExInterlockedPopEntryList(head, lock) -> entry or null
pub extern "win64" fn pop_entry(head: *mut Single, lock: *mut usize) -> Single {
    // SAFETY: see `insert_head`.
    interlocked("ExInterlockedPopEntryList", lock, || unsafe {
        let first = *head;
        if !first.is_null() {
            *head = *first.cast::<Single>();
        }
        first
    })
}
/// ExInterlockedAddUlong(addend, increment, lock) -> the value before
pub extern "win64" fn add_ulong(addend: *mut u32, increment: u32, lock: *mut usize) -> u32 {
    // SAFETY: the driver's variable.
    interlocked("ExInterlockedAddUlong", lock, || unsafe {
        let before = addend.read_volatile();
        addend.write_volatile(before.wrapping_add(increment));
        before
    })
}
/// ExInterlockedAddLargeInteger(addend, increment, lock) -> the value before
pub extern "win64" fn add_large_integer(addend: *mut i64, increment: i64, lock: *mut usize) -> i64 {
    // SAFETY: the driver's variable.
    interlocked("ExInterlockedAddLargeInteger", lock, || unsafe {
        let before = addend.read_volatile();
        addend.write_volatile(before.wrapping_add(increment));
        before
    })
}

/// SLIST_HEADER of x64: depth 16 bits and sequence 48, then 4 reserved bits and the address of the first
/// entry without its low 4 bits.
#[repr(C, align(16))]
pub struct SListHeader {
    depth_and_sequence: u64,
    next: u64,
}
const _: () = assert!(size_of::<SListHeader>() == 16);

impl SListHeader {
    fn first(&self) -> *mut Single {
        (self.next & !15) as *mut Single
    }
    /// Sets the first entry; `depth` is how the number of entries changes.
    fn set(&mut self, first: Single, depth: i16) {
        let old = self.depth_and_sequence as u16;
        let sequence = (self.depth_and_sequence >> 16).wrapping_add(1);
        self.depth_and_sequence = u64::from(old.wrapping_add_signed(depth)) | sequence << 16;
        self.next = first as u64 | 1;
    }
}

fn aligned(service: &str, address: usize) {
    if !address.is_multiple_of(16) {
        violation(
            "slist-alignment",
            format_args!("{service}: {address:#x} is not aligned to 16 bytes, {}", caller()),
        );
    }
}

/// InitializeSListHead(head), ExInitializeSListHead
pub extern "win64" fn slist_initialize(head: *mut SListHeader) {
    aligned("InitializeSListHead", head as usize);
    // SAFETY: the driver's header.
    unsafe { head.write_unaligned(SListHeader { depth_and_sequence: 0, next: 1 }) }
}
/// ExpInterlockedPushEntrySList(head, entry) -> the entry that was first
pub extern "win64" fn slist_push(head: *mut SListHeader, entry: *mut Single) -> Single {
    aligned("ExInterlockedPushEntrySList", entry as usize);
    // SAFETY: the driver's header and entry.
    interlocked("", null_mut(), || unsafe {
        let first = (*head).first();
        *entry = first.cast();
        (*head).set(entry.cast(), 1);
        first.cast()
    })
}
/// ExpInterlockedPopEntrySList(head) -> entry or null
pub extern "win64" fn slist_pop(head: *mut SListHeader) -> Single {
    // SAFETY: the driver's header and its entries.
    interlocked("", null_mut(), || unsafe {
        let first = (*head).first();
        if !first.is_null() {
            (*head).set(*first, -1);
        }
        first.cast()
    })
}
/// ExpInterlockedFlushSList(head) -> the first of all entries
pub extern "win64" fn slist_flush(head: *mut SListHeader) -> Single {
    // SAFETY: the driver's header.
    interlocked("", null_mut(), || unsafe {
        let first = (*head).first();
        let depth = (*head).depth_and_sequence as u16;
        (*head).set(null_mut(), (depth as i16).wrapping_neg());
        first.cast()
    })
}
/// ExQueryDepthSList(head)
pub extern "win64" fn slist_depth(head: *const SListHeader) -> u16 {
    // SAFETY: the driver's header.
    unsafe { (*head).depth_and_sequence as u16 }
}

/// GENERAL_LOOKASIDE. Allocate(type, bytes, tag) and Free(block) of the lists of before Vista; AllocateEx and
/// FreeEx have the list as one more argument, which our own functions ignore.
#[repr(C, align(64))]
pub struct Lookaside {
    head: SListHeader,
    depth: u16,
    maximum_depth: u16,
    total_allocates: u32,
    allocate_misses: u32,
    total_frees: u32,
    free_misses: u32,
    kind: u32,
    tag: u32,
    size: u32,
    allocate: usize,
    free: usize,
    list: ListEntry,
    last: [u32; 2],
    future: [u32; 2],
}
const _: () = assert!(size_of::<Lookaside>() == 128 && offset_of!(Lookaside, kind) == 0x24);
const _: () = assert!(offset_of!(Lookaside, allocate) == 0x30 && offset_of!(Lookaside, last) == 0x50);

/// Lists that were initialised and not deleted.
static LOOKASIDES: IrqLock<Vec<usize>> = IrqLock::new(Vec::new());

/// How many of them there are, for the report at unload.
pub fn lookasides() -> usize {
    LOOKASIDES.lock().len()
}

fn initialize(list: *mut Lookaside, allocate: usize, free: usize, kind: u32, size: usize, tag: u32) {
    let default_allocate = ex::allocate_pool_with_tag as *const () as usize;
    let default_free = ex::free_pool as *const () as usize;
    // SAFETY: the driver's list; the links are its own.
    unsafe {
        list.write_bytes(0, 1);
        let links = &raw mut (*list).list;
        (*list).list = ListEntry { flink: links, blink: links };
        (*list).head.next = 1;
        (*list).maximum_depth = 256;
        (*list).kind = kind;
        (*list).tag = tag;
        (*list).size = size.max(16) as u32;
        (*list).allocate = if allocate == 0 { default_allocate } else { allocate };
        (*list).free = if free == 0 { default_free } else { free };
    }
    let mut all = LOOKASIDES.lock();
    if all.contains(&(list as usize)) {
        drop(all);
        violation("lookaside", format_args!("the list at {list:p} is initialised twice, {}", caller()));
    } else {
        all.push(list as usize);
    }
}

/// ExInitializeNPagedLookasideList(list, allocate, free, flags, size, tag, depth)
pub extern "win64" fn initialize_npaged(
    list: *mut Lookaside,
    allocate: usize,
    free: usize,
    flags: u32,
    size: usize,
    tag: u32,
    _depth: u16,
) {
    initialize(list, allocate, free, flags, size, tag);
}
/// ExInitializePagedLookasideList(list, allocate, free, flags, size, tag, depth)
pub extern "win64" fn initialize_paged(
    list: *mut Lookaside,
    allocate: usize,
    free: usize,
    flags: u32,
    size: usize,
    tag: u32,
    _depth: u16,
) {
    initialize(list, allocate, free, flags | 1, size, tag);
}
/// ExInitializeLookasideListEx(list, allocate, free, pool type, flags, size, tag, depth) -> NTSTATUS
pub extern "win64" fn initialize_ex(
    list: *mut Lookaside,
    allocate: usize,
    free: usize,
    kind: u32,
    _flags: u32,
    size: usize,
    tag: u32,
    _depth: u16,
) -> i32 {
    initialize(list, allocate, free, kind, size, tag);
    0
}
/// ExDeleteNPagedLookasideList(list), ExDeletePagedLookasideList, ExDeleteLookasideListEx
pub extern "win64" fn delete(list: *mut Lookaside) {
    let mut all = LOOKASIDES.lock();
    let before = all.len();
    all.retain(|known| *known != list as usize);
    if all.len() == before {
        drop(all);
        violation(
            "lookaside",
            format_args!("the list at {list:p} is deleted but not initialised, {}", caller()),
        );
    }
}
/// ExFlushLookasideListEx(list): it keeps nothing
pub extern "win64" fn flush(_list: *mut Lookaside) {}
