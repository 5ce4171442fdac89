//! What an ordinary PCI or WaveRT driver imports, used as its pages say: registry, strings, lists, IRPs to
//! the bus, threads, and what is read without a call. Nothing may be found wrong.
#![expect(clippy::items_after_statements, reason = "the type of a service stands where its thunk is made")]

use core::arch::asm;
use core::ffi::c_void;
use core::ptr::{null, null_mut};

use super::{MS, TAG, free, service};
use crate::kernel::event::{self, Event, EventKind};
use crate::kernel::image;
use crate::kernel::layout::{ListEntry, UnicodeString};
use crate::kernel::{bus, pci, thread, time};
use crate::portcls::adapter;

/// Uses the services; a panic says what is wrong.
pub fn run() {
    registry();
    query_values();
    strings();
    formats();
    lists();
    bus_interface();
    threads();
    without_a_call();
}

/// OBJECT_ATTRIBUTES for a name below a key (0 = none), with OBJ_KERNEL_HANDLE and OBJ_CASE_INSENSITIVE.
fn attributes(root: usize, name: &UnicodeString) -> [usize; 6] {
    [48, root, core::ptr::from_ref(name) as usize, 0x240, 0, 0]
}

fn open(root: usize, name: &str) -> (i32, usize) {
    let (name, mut handle) = (image::unicode(name), 0usize);
    let at = attributes(root, &name);
    let status = service!("ZwOpenKey" as fn(*mut usize, u32, *const usize) -> i32)(
        &raw mut handle,
        0x20019,
        at.as_ptr(),
    );
    (status, handle)
}

fn close(handle: usize) {
    assert!(service!("ZwClose" as fn(usize) -> i32)(handle) == 0);
}

fn registry() {
    let mut device = 0usize;
    let open_device = service!("IoOpenDeviceRegistryKey" as fn(*mut c_void, u32, u32, *mut usize) -> i32);
    assert!(open_device(adapter::pdo().cast(), 2, 0x2001f, &raw mut device) == 0);
    let (name, mut below, mut disposition) = (image::unicode("Settings"), 0usize, 0u32);
    let at = attributes(device, &name);
    let create =
        service!("ZwCreateKey" as fn(*mut usize, u32, *const usize, u32, *const u16, u32, *mut u32) -> i32);
    assert!(
        create(&raw mut below, 0x2001f, at.as_ptr(), 0, null(), 0, &raw mut disposition) == 0
            && disposition == 1
    );
    let (value, number) = (image::unicode("Level"), 7u32);
    let set = service!("ZwSetValueKey" as fn(usize, *const UnicodeString, u32, u32, *const u32, u32) -> i32);
    assert!(set(below, &raw const value, 0, 4, &raw const number, 4) == 0);
    let (mut information, mut needed) = ([0u32; 8], 0u32);
    let query =
        service!("ZwQueryValueKey" as fn(usize, *const UnicodeString, u32, *mut u32, u32, *mut u32) -> i32);
    let same = image::unicode("LEVEL");
    assert!(query(below, &raw const same, 2, information.as_mut_ptr(), 32, &raw mut needed) == 0);
    assert!(information[1..4] == [4, 4, 7] && needed == 16);
    let too_small = query(below, &raw const same, 2, information.as_mut_ptr(), 8, &raw mut needed);
    assert!(too_small == 0xc000_0023_u32.cast_signed() && needed == 16);
    let enumerate = service!("ZwEnumerateKey" as fn(usize, u32, u32, *mut u32, u32, *mut u32) -> i32);
    assert!(
        enumerate(device, 0, 0, information.as_mut_ptr(), 32, &raw mut needed) == 0 && information[3] == 16
    );
    assert!(
        enumerate(device, 1, 0, information.as_mut_ptr(), 32, &raw mut needed)
            == 0x8000_001a_u32.cast_signed()
    );
    assert!(service!("ZwDeleteKey" as fn(usize) -> i32)(below) == 0);
    close(below);
    assert!(open(device, "Settings").0 == 0xc000_0034_u32.cast_signed());
    close(device);
    let (status, service) =
        open(0, "\\Registry\\Machine\\System\\CurrentControlSet\\Services\\ringwave\\Parameters");
    assert!(status == 0);
    close(service);
}

/// RTL_QUERY_REGISTRY_TABLE: routine, flags, name, where to, default type, default data, default length.
type Row = [usize; 7];

fn query_values() {
    let name = |text: &str| image::unicode(text).buffer as usize;
    let write = service!("RtlWriteRegistryValue" as fn(u32, usize, usize, u32, *const u16, u32) -> i32);
    let path = name("ringwave\\Parameters");
    let text: alloc::vec::Vec<u16> = "two words\0".encode_utf16().collect();
    assert!(write(1, path, name("Text"), 1, text.as_ptr(), text.len() as u32 * 2) == 0);
    let (mut number, fallback) = (0u32, 42u32);
    let mut string = UnicodeString { length: 0, maximum_length: 0, buffer: null_mut() };
    // DIRECT with TYPECHECK; REG_SZ is 1, REG_DWORD 4.
    let rows: [Row; 3] = [
        [0, 0x120, name("Text"), (&raw mut string) as usize, 1 << 24, 0, 0],
        [
            0,
            0x120,
            name("Missing"),
            (&raw mut number) as usize,
            4 << 24 | 4,
            (&raw const fallback) as usize,
            4,
        ],
        [0; 7],
    ];
    let query =
        service!("RtlQueryRegistryValues" as fn(u32, usize, *const Row, *mut c_void, *mut c_void) -> i32);
    assert!(query(1, path, rows.as_ptr(), null_mut(), null_mut()) == 0);
    assert!(number == 42 && string.length == 18, "{number} {}", string.length);
    service!("RtlFreeUnicodeString" as fn(*mut UnicodeString))(&raw mut string);
    let wrong: [Row; 2] = [[0, 0x124, name("Text"), (&raw mut number) as usize, 4 << 24, 0, 0], [0; 7]];
    assert!(query(1, path, wrong.as_ptr(), null_mut(), null_mut()) == 0xc000_0024_u32.cast_signed());
    assert!(service!("RtlDeleteRegistryValue" as fn(u32, usize, usize) -> i32)(1, path, name("Text")) == 0);
}

fn strings() {
    let mut buffer = [0u16; 16];
    let mut string = UnicodeString { length: 0, maximum_length: 32, buffer: buffer.as_mut_ptr() };
    let append = service!("RtlAppendUnicodeToString" as fn(*mut UnicodeString, *const u16) -> i32);
    let wave = image::unicode("Wave");
    assert!(append(&raw mut string, wave.buffer) == 0 && append(&raw mut string, wave.buffer) == 0);
    assert!(append(&raw mut string, image::unicode("does not fit").buffer) == 0xc000_0023_u32.cast_signed());
    let other = image::unicode("wAVEwave");
    let compare =
        service!("RtlCompareUnicodeString" as fn(*const UnicodeString, *const UnicodeString, u8) -> i32);
    assert!(
        compare(&raw const string, &raw const other, 1) == 0
            && compare(&raw const string, &raw const other, 0) != 0
    );
    let cut = &mut UnicodeString { length: 0, maximum_length: 6, buffer: buffer.as_mut_ptr() };
    service!("RtlCopyUnicodeString" as fn(*mut UnicodeString, *const UnicodeString))(cut, &raw const other);
    assert!(cut.length == 6, "a copy is cut");
    let order = service!("wcscmp" as fn(*const u16, *const u16) -> i32);
    assert!(order(wave.buffer, wave.buffer) == 0 && order(wave.buffer, other.buffer) < 0);
    let guid = [0xB4C9_0A24_u32, 0x11D0_5791, 0xA0F8_FF86, 0x44B5_11C9];
    let mut text = UnicodeString { length: 0, maximum_length: 0, buffer: null_mut() };
    assert!(
        service!("RtlStringFromGUID" as fn(*const u32, *mut UnicodeString) -> i32)(
            guid.as_ptr(),
            &raw mut text
        ) == 0
    );
    let mut back = [0u32; 4];
    let parse = service!("RtlGUIDFromString" as fn(*const UnicodeString, *mut u32) -> i32);
    assert!(text.length == 76 && parse(&raw const text, back.as_mut_ptr()) == 0 && back == guid);
    service!("RtlFreeUnicodeString" as fn(*mut UnicodeString))(&raw mut text);
}

fn formats() {
    let mut out = [0x55u8; 16];
    type Print = extern "win64" fn(*mut u8, usize, *const u8, u64, u64, u64) -> i32;
    // SAFETY: the thunk leads to _snprintf, called with as many arguments as the format names.
    let print = unsafe { core::mem::transmute::<usize, Print>(super::thunk("_snprintf")) };
    let wave = image::unicode("Wave");
    let written = print(out.as_mut_ptr(), 16, c"%ws%u %x".as_ptr().cast(), wave.buffer as u64, 12, 0xbeef);
    assert!(written == 11 && &out[..12] == b"Wave12 beef\0");
    let full = print(out.as_mut_ptr(), 4, c"%ws".as_ptr().cast(), wave.buffer as u64, 0, 0);
    assert!(full == 4 && out[4] == b'1', "exactly full has no terminator");
    assert!(print(out.as_mut_ptr(), 3, c"%ws".as_ptr().cast(), wave.buffer as u64, 0, 0) == -1);
    let mut wide = [0u16; 32];
    let list = [wave.buffer as u64, 7];
    let print = service!("_vsnwprintf" as fn(*mut u16, usize, *const u16, *const u64) -> i32);
    let format = image::unicode("%s-%02d");
    assert!(print(wide.as_mut_ptr(), 32, format.buffer, list.as_ptr()) == 7);
    let length = service!("wcslen" as fn(*const u16) -> usize);
    assert!(length(wide.as_ptr()) == 7 && wide[5] == u16::from(b'0'));
}

fn lists() {
    let mut lock = 0usize;
    let mut entries = [ListEntry { flink: null_mut(), blink: null_mut() }; 3];
    let head = entries.as_mut_ptr();
    // SAFETY: three entries; the head points to itself.
    let (first, second) = unsafe {
        *head = ListEntry { flink: head, blink: head };
        (head.add(1), head.add(2))
    };
    type Insert = extern "win64" fn(*mut ListEntry, *mut ListEntry, *mut usize) -> *mut ListEntry;
    // SAFETY: the thunks lead to functions of this type.
    let [at_tail, at_head] = ["ExInterlockedInsertTailList", "ExInterlockedInsertHeadList"]
        .map(|name| unsafe { core::mem::transmute::<usize, Insert>(super::thunk(name)) });
    let take = service!("ExInterlockedRemoveHeadList" as fn(*mut ListEntry, *mut usize) -> *mut ListEntry);
    assert!(at_tail(head, first, &raw mut lock).is_null() && at_head(head, second, &raw mut lock) == first);
    assert!(take(head, &raw mut lock) == second && take(head, &raw mut lock) == first);
    assert!(take(head, &raw mut lock).is_null());
    // GENERAL_LOOKASIDE as the inline functions use it: the type at 0x24, Allocate at 0x30, Free at 0x38.
    #[repr(align(64))]
    struct List([u64; 16]);
    let mut list = List([0; 16]);
    let at = list.0.as_mut_ptr();
    type Initialize = extern "win64" fn(*mut u64, usize, usize, u32, usize, u32, u16);
    // SAFETY: the thunk leads to a function of this type.
    let initialize =
        unsafe { core::mem::transmute::<usize, Initialize>(super::thunk("ExInitializeNPagedLookasideList")) };
    initialize(at, 0, 0, 512, 100, TAG, 0);
    let pop = service!("ExpInterlockedPopEntrySList" as fn(*mut u64) -> *mut u8);
    assert!(pop(at).is_null());
    type Allocate = extern "win64" fn(u32, usize, u32) -> *mut u8;
    type Free = extern "win64" fn(*mut u8);
    // SAFETY: the fields hold functions of these types.
    let (allocate, release) = unsafe {
        (
            core::mem::transmute::<u64, Allocate>(at.add(6).read()),
            core::mem::transmute::<u64, Free>(at.add(7).read()),
        )
    };
    let (kind, tag) = ((list.0[4] >> 32) as u32, list.0[5] as u32);
    assert!(kind == 512 && tag == TAG);
    release(allocate(kind, 100, tag));
    service!("ExDeleteNPagedLookasideList" as fn(*mut u64))(at);
}

fn bus_interface() {
    let mut id = [0u8; 4];
    assert!(read_configuration(0, &mut id) == 4);
    let [vendor, device] = [[id[0], id[1]], [id[2], id[3]]].map(u16::from_le_bytes);
    assert!((vendor, device) == (pci::card().vendor, pci::card().device), "{vendor:#x} {device:#x}");
    assert!(bus::references() == 0);
}

/// Reads the card's configuration space by GetBusData of BUS_INTERFACE_STANDARD, which is asked for and given
/// back.
pub fn read_configuration(offset: u32, buffer: &mut [u8]) -> u32 {
    let mut interface = [0usize; 8];
    let status = query_bus_interface(64, &mut interface);
    assert!(status == 0, "{status:#x}");
    type GetBusData = extern "win64" fn(usize, u32, *mut u8, u32, u32) -> u32;
    // SAFETY: filled by the bus: context at word 1, dereference 3, GetBusData 7.
    let (read, release) = unsafe {
        (
            core::mem::transmute::<usize, GetBusData>(interface[7]),
            core::mem::transmute::<usize, extern "win64" fn(usize)>(interface[3]),
        )
    };
    let read = read(interface[1], 0, buffer.as_mut_ptr(), offset, buffer.len() as u32);
    release(interface[1]);
    read
}

/// Asks the top of the card's stack for BUS_INTERFACE_STANDARD of so many bytes; the status.
pub fn query_bus_interface(bytes: u16, interface: &mut [usize; 8]) -> i32 {
    let pdo = adapter::pdo();
    let top = service!("IoGetAttachedDeviceReference" as fn(*mut c_void) -> *mut c_void)(pdo.cast());
    let done = Event::new(EventKind::Notification, false);
    let mut status_block = [0usize; 2];
    type Build =
        extern "win64" fn(u32, *mut c_void, *mut c_void, u32, *const u64, *mut c_void, *mut usize) -> *mut u8;
    // SAFETY: the thunk leads to a function of this type.
    let build = unsafe { core::mem::transmute::<usize, Build>(super::thunk("IoBuildSynchronousFsdRequest")) };
    let irp = build(0x1b, top, null_mut(), 0, null(), done.as_ptr(), status_block.as_mut_ptr());
    // GUID_BUS_INTERFACE_STANDARD; its Data4 is BE AF 08 00 2B E2 09 2F.
    let kind: [u32; 4] = [0x496B_8280, 0x11D0_6F25, 0x0008_AFBE, 0x2F09_E22B];
    // SAFETY: an IRP with one location: status at 0x30, the current location's pointer at 0xb8, the next one
    // below it.
    unsafe {
        irp.add(0x30).cast::<i32>().write(0xc000_00bb_u32.cast_signed());
        let next = irp.add(0xb8).cast::<*mut u8>().read().sub(0x48);
        next.add(1).write(8);
        next.add(8).cast::<*const u32>().write(kind.as_ptr());
        next.add(16).cast::<u16>().write(bytes);
        next.add(18).cast::<u16>().write(1);
        next.add(24).cast::<*mut usize>().write(interface.as_mut_ptr());
    }
    let status = service!("IofCallDriver" as fn(*mut c_void, *mut u8) -> i32)(top, irp);
    assert!(status_block[0] as i32 == status && event::wait(&done, 100), "{status:#x}");
    service!("ObfDereferenceObject" as fn(*mut c_void) -> isize)(top);
    status
}

fn threads() {
    unsafe extern "win64" fn routine(context: *mut c_void) {
        // SAFETY: the context is the counter below, which outlives the thread.
        unsafe { *context.cast::<usize>() = thread::current_object() };
        service!("PsTerminateSystemThread" as fn(i32) -> i32)(0);
    }
    let (mut handle, mut object, mut seen) = (0usize, null_mut::<c_void>(), 0usize);
    type Create = extern "win64" fn(*mut usize, u32, usize, usize, usize, usize, *mut usize) -> i32;
    // SAFETY: the thunk leads to a function of this type.
    let create = unsafe { core::mem::transmute::<usize, Create>(super::thunk("PsCreateSystemThread")) };
    assert!(create(&raw mut handle, 0, 0, 0, 0, routine as *const () as usize, &raw mut seen) == 0);
    type Reference = extern "win64" fn(usize, u32, usize, u8, *mut *mut c_void, usize) -> i32;
    // SAFETY: as above.
    let reference =
        unsafe { core::mem::transmute::<usize, Reference>(super::thunk("ObReferenceObjectByHandle")) };
    assert!(reference(handle, 0x10_0000, 0, 0, &raw mut object, 0) == 0);
    close(handle);
    let timeout = -1000 * MS;
    let wait = service!("KeWaitForSingleObject" as fn(*mut c_void, u32, u32, u8, *const i64) -> i32);
    assert!(wait(object, 0, 0, 0, &raw const timeout) == 0 && seen == object as usize);
    service!("ObfDereferenceObject" as fn(*mut c_void) -> isize)(object);
}

fn without_a_call() {
    let counter = service!("KeQueryPerformanceCounter" as fn(*mut i64) -> i64)(null_mut());
    assert!(counter >= 100 * 86_400 * 10_000_000, "the counter begins at a hundred days: {counter}");
    let (current, number): (usize, u32);
    // On one processor for the while.
    let old = super::raise(2);
    let called = service!("KeGetCurrentProcessorNumberEx" as fn(*mut u32) -> u32)(null_mut());
    // SAFETY: reads what KeGetCurrentThread and KeGetCurrentProcessorNumber read.
    unsafe {
        asm!("mov {}, gs:[0x188]", out(reg) current, options(nostack, readonly));
        asm!("mov {:e}, gs:[0x1a4]", out(reg) number, options(nostack, readonly));
    }
    super::lower(old);
    assert!(current == thread::current_object() && number == called);
    let word = |offset: usize| {
        // SAFETY: KUSER_SHARED_DATA is mapped.
        unsafe { ((0xffff_f780_0000_0000_usize + offset) as *const u32).read_volatile() }
    };
    let before = word(8);
    thread::sleep_100ns(40 * MS);
    let passed = word(8).wrapping_sub(before);
    assert!(passed >= 156_250 && passed % 156_250 == 0, "the interrupt time moves in ticks: {passed}");
    assert!(word(8) == word(8) && word(12) == word(16) && u64::from(word(8)) <= time::interrupt_time_100ns());
    assert!(word(0x26c) == 10 && word(0x260) >= 17763, "a Windows from 1809 on");
    free(super::allocate(1));
}
