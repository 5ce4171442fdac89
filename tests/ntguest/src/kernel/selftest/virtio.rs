//! A virtio-snd device on the PCI bus as its driver finds it: the capabilities through
//! BUS_INTERFACE_STANDARD, the BARs by the resource list, messages of MSI-X or the line, and a request on the
//! control queue, whose answer interrupts (virtio 1.2, sections 4.1 and 5.14).

use alloc::vec::Vec;
use core::ffi::c_void;
use core::ptr::null_mut;
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed, Ordering::SeqCst, fence};

use super::{MS, service, services};
use crate::kernel::{msix, pages, pci, thread};
use crate::portcls::layout::CmPartialResourceDescriptor;
use crate::portcls::resources;

/// virtio_pci_cap: types, and the offsets behind the capability's id.
const VENDOR_SPECIFIC: u8 = 9;
const COMMON: u8 = 1;
const NOTIFY: u8 = 2;
const ISR: u8 = 3;
/// virtio_pci_common_cfg.
const FEATURE_SELECT: usize = 0;
const FEATURES: usize = 4;
const DRIVER_FEATURE_SELECT: usize = 8;
const DRIVER_FEATURES: usize = 12;
const STATUS: usize = 20;
const QUEUE_SELECT: usize = 22;
const QUEUE_SIZE: usize = 24;
const QUEUE_VECTOR: usize = 26;
const QUEUE_ENABLE: usize = 28;
const QUEUE_NOTIFY_OFFSET: usize = 30;
const QUEUE_RINGS: [usize; 3] = [32, 40, 48];
/// Device status.
const ACKNOWLEDGE: u8 = 1;
const DRIVER: u8 = 2;
const DRIVER_OK: u8 = 4;
const FEATURES_OK: u8 = 8;
/// No vector, or one that could not be had.
const NO_VECTOR: u16 = 0xffff;
/// VIRTIO_F_VERSION_1 in the upper word of the features.
const VERSION_1: u32 = 1;
/// Where in the queue's page its rings, the request and the answer are.
const RINGS: [usize; 3] = [0, 0x400, 0x600];
const REQUEST: usize = 0x800;
const ANSWER: usize = 0x900;
/// VIRTIO_SND_R_PCM_INFO of stream 0, and its answer: status OK and an item of 32 bytes.
const PCM_INFO: [u32; 4] = [0x100, 0, 1, 32];
const ANSWER_BYTES: u32 = 36;
const OK: u32 = 0x8000;

/// The ISR status register while the line is connected.
static LINE_STATUS: AtomicUsize = AtomicUsize::new(0);
static SERVED: AtomicU32 = AtomicU32::new(0);
/// The message that came last.
static MESSAGE: AtomicU32 = AtomicU32::new(u32::MAX);

/// A structure of the device, mapped.
struct Structure {
    va: usize,
    length: usize,
    /// notify_off_multiplier.
    multiplier: usize,
}

impl Structure {
    fn read<T>(&self, offset: usize) -> T {
        assert!(offset + size_of::<T>() <= self.length);
        // SAFETY: inside the structure, which is mapped; registers are aligned to their width.
        unsafe { ((self.va + offset) as *const T).read_volatile() }
    }

    fn write<T>(&self, offset: usize, value: T) {
        assert!(offset + size_of::<T>() <= self.length);
        // SAFETY: as above.
        unsafe { ((self.va + offset) as *mut T).write_volatile(value) }
    }

    fn unmap(self) {
        service!("MmUnmapIoSpace" as fn(usize, usize))(self.va, self.length);
    }
}

unsafe extern "win64" fn message_routine(_: *mut c_void, _: *mut c_void, message: u32) -> u8 {
    MESSAGE.store(message, Relaxed);
    SERVED.fetch_add(1, Relaxed);
    1
}

unsafe extern "win64" fn line_routine(_: *mut c_void, _: *mut c_void) -> u8 {
    // SAFETY: the register is mapped while the line is connected. Reading it takes the interrupt back.
    let status = unsafe { (LINE_STATUS.load(Relaxed) as *const u8).read_volatile() };
    SERVED.fetch_add(u32::from(status & 1 != 0), Relaxed);
    u8::from(status != 0)
}

/// Runs it; a panic says what is wrong.
pub fn run() {
    resource_list();
    let mut config = [0u8; 256];
    assert!(services::read_configuration(0, &mut config) == 256);
    let common = structure(&config, COMMON);
    let notify = structure(&config, NOTIFY);
    let isr = structure(&config, ISR);
    LINE_STATUS.store(isr.va, Relaxed);
    let connection = connect();
    let queue = pages::alloc_contiguous(0, u64::MAX, 4096, "selftest");
    let ring = pages::map(queue, 1);
    begin(&common, pages::page_address(queue, 0));
    ask(ring, pages::page_address(queue, 0));
    let offset = usize::from(common.read::<u16>(QUEUE_NOTIFY_OFFSET)) * notify.multiplier;
    notify.write(offset, 0u16);
    for _ in 0..2000 {
        // QEMU sends an interrupt of its own when a vhost-user device begins.
        if SERVED.load(Relaxed) > 0 && used_index(ring) > 0 {
            break;
        }
        thread::sleep_100ns(MS);
    }
    answer(ring);
    set_status(&common, 0);
    disconnect(connection);
    pages::unmap(ring, queue);
    pages::free(queue);
    [common, notify, isr].into_iter().for_each(Structure::unmap);
    msix::check();
}

/// Each memory BAR is followed by its number, raw and translated, and there are as many interrupts as
/// messages.
fn resource_list() {
    let card = pci::card();
    let list = resources::of_card(card);
    let (raw, translated) = resources::cm_pointers(list);
    for list in [raw, translated] {
        // SAFETY: CM_RESOURCE_LIST: the count of descriptors is the fifth word, they follow.
        let all = unsafe {
            let count = list.add(4).read() as usize;
            core::slice::from_raw_parts(list.add(5).cast::<CmPartialResourceDescriptor>(), count)
        };
        let bars = card.bars.len();
        for (pair, bar) in all.chunks(2).zip(&card.bars) {
            let ([base, upper, length, _], [kind, number, ..]) = (pair[0].u, pair[1].u);
            assert!(u64::from(upper) << 32 | u64::from(base) == bar.base && u64::from(length) == bar.len);
            assert!((pair[1].resource_type, kind, number) == (0x81, 1, bar.index.into()));
        }
        assert!(all[2 * bars..].iter().all(|d| d.resource_type == 2));
        assert!(all.len() - 2 * bars == card.messages.len() + usize::from(card.line.is_some()));
    }
    let second = card.bars.iter().find(|bar| bar.index == 4).expect("BAR 4");
    assert!(second.is_64 && second.prefetchable && second.base >> 32 != 0, "BAR 4 lies above 4 GiB");
    list.release();
}

/// The first structure of a type, in the BAR that its capability names.
fn structure(config: &[u8; 256], kind: u8) -> Structure {
    let word = |at: usize| u32::from_le_bytes(config[at..at + 4].try_into().expect("four bytes"));
    let mut at = usize::from(config[0x34] & 0xfc);
    for _ in 0..48 {
        if config[at] == VENDOR_SPECIFIC && config[at + 3] == kind {
            break;
        }
        at = usize::from(config[at + 1] & 0xfc);
        assert!(at != 0, "no structure of type {kind}");
    }
    let bar = pci::card().bars.iter().find(|bar| bar.index == config[at + 4]).expect("a BAR that is there");
    let (offset, length) = (u64::from(word(at + 8)), word(at + 12) as usize);
    let map = service!("MmMapIoSpaceEx" as fn(u64, usize, u32) -> usize);
    let multiplier = if kind == NOTIFY { word(at + 16) as usize } else { 0 };
    Structure { va: map(bar.base + offset, length, 0x204), length, multiplier }
}

/// The version that it was connected with, and the context.
fn connect() -> [usize; 2] {
    let mut context = null_mut::<c_void>();
    let (message, line) = (message_routine as *const () as usize, line_routine as *const () as usize);
    let mut parameters = [3, 0x1000, (&raw mut context) as usize, message, 0, 0, 0, line, 0, 0];
    assert!(service!("IoConnectInterruptEx" as fn(*mut usize) -> i32)(parameters.as_mut_ptr()) == 0);
    let version = parameters[0] & 0xffff_ffff;
    let messages = pci::card().messages.len();
    assert!(version == if messages > 0 { 3 } else { 2 });
    // SAFETY: IO_INTERRUPT_MESSAGE_INFO has its MessageCount at 4.
    assert!(messages == 0 || unsafe { context.cast::<u32>().add(1).read() } as usize == messages);
    [version, context as usize]
}

fn disconnect(connection: [usize; 2]) {
    let mut parameters = connection;
    service!("IoDisconnectInterruptEx" as fn(*mut usize))(parameters.as_mut_ptr());
}

fn set_status(common: &Structure, status: u8) {
    common.write(STATUS, status);
    let came = (0..1000).any(|_| {
        thread::sleep_100ns(MS);
        common.read::<u8>(STATUS) == status
    });
    assert!(came, "status {:#x}, {status:#x} was written", common.read::<u8>(STATUS));
}

/// Reset, features, and the control queue in the page at `memory`; its vector is the last of the table,
/// whatever messages were granted.
fn begin(common: &Structure, memory: u64) {
    set_status(common, 0);
    set_status(common, ACKNOWLEDGE | DRIVER);
    common.write(FEATURE_SELECT, 1u32);
    assert!(common.read::<u32>(FEATURES) & VERSION_1 != 0);
    for (select, features) in [(0u32, 0), (1, VERSION_1)] {
        common.write(DRIVER_FEATURE_SELECT, select);
        common.write(DRIVER_FEATURES, features);
    }
    set_status(common, ACKNOWLEDGE | DRIVER | FEATURES_OK);
    common.write(QUEUE_SELECT, 0u16);
    common.write(QUEUE_SIZE, 16u16);
    let vector = if pci::card().msix { table_entries() - 1 } else { NO_VECTOR };
    common.write(QUEUE_VECTOR, vector);
    assert!(common.read::<u16>(QUEUE_VECTOR) == vector, "the vector is refused");
    for (register, offset) in QUEUE_RINGS.into_iter().zip(RINGS) {
        let address = memory + offset as u64;
        common.write(register, address as u32);
        common.write(register + 4, (address >> 32) as u32);
    }
    common.write(QUEUE_ENABLE, 1u16);
    set_status(common, ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
}

fn table_entries() -> u16 {
    let card = pci::card();
    let at = pci::capability(card, msix::CAP_MSIX).expect("MSI-X");
    (pci::read16(card, at + 2) & 0x7ff) + 1
}

/// Puts the request into the queue whose page is at `ring`, and has the address `memory`.
fn ask(ring: *mut u8, memory: u64) {
    let (request, answer) = (memory + REQUEST as u64, memory + ANSWER as u64);
    // Address, length, flags (1 next, 2 the device writes) and the next one.
    let descriptors: Vec<[u32; 4]> = [(request, 16, 1 << 16 | 1), (answer, ANSWER_BYTES, 2)]
        .map(|(at, length, flags)| [at as u32, (at >> 32) as u32, length, flags])
        .into();
    // SAFETY: the queue's page is mapped here, and the offsets are inside it and apart.
    unsafe {
        ring.add(RINGS[0]).cast::<[u32; 4]>().copy_from(descriptors.as_ptr(), descriptors.len());
        ring.add(REQUEST).cast::<[u32; 4]>().write(PCM_INFO);
        // The available ring: flags, index, entries.
        ring.add(RINGS[1] + 4).cast::<u16>().write_volatile(0);
        fence(SeqCst);
        ring.add(RINGS[1] + 2).cast::<u16>().write_volatile(1);
        fence(SeqCst);
    }
}

fn used_index(ring: *mut u8) -> u16 {
    // SAFETY: as above. The used ring: flags, index, then the head and the bytes written.
    unsafe { ring.add(RINGS[2] + 2).cast::<u16>().read_volatile() }
}

/// What has come back, and by which message.
fn answer(ring: *mut u8) {
    // SAFETY: as above.
    let (length, status) = unsafe {
        (ring.add(RINGS[2] + 8).cast::<u32>().read_volatile(), ring.add(ANSWER).cast::<u32>().read_volatile())
    };
    let index = used_index(ring);
    assert!((index, length, status) == (1, ANSWER_BYTES, OK), "{index} {length} {status:#x}");
    assert!(SERVED.load(Relaxed) > 0, "no interrupt");
    if let Some(last) = pci::card().messages.len().checked_sub(1) {
        let due = if usize::from(table_entries()) == last + 1 { last as u32 } else { 0 };
        assert!(MESSAGE.load(Relaxed) == due, "message {}, {due} is due", MESSAGE.load(Relaxed));
    }
}

/// Masks message 0 in the table, which is the bus driver's: the rule `msix-table` is broken.
pub fn write_to_the_table() {
    let card = pci::card();
    let bar = card.bars.iter().find(|bar| bar.index == 1).expect("BAR 1");
    let table = service!("MmMapIoSpaceEx" as fn(u64, usize, u32) -> usize)(bar.base, 4096, 0x204);
    // SAFETY: entry 0 of the table, which is mapped: its vector control.
    unsafe { ((table + 12) as *mut u32).write_volatile(1) };
    service!("MmUnmapIoSpace" as fn(usize, usize))(table, 4096);
}
