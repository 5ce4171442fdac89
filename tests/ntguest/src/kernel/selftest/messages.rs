//! Several messages, with MSI-X of QEMU's e1000e (8086:10d3): the table is programmed, each message comes at
//! its own IRQL, a higher one interrupts a lower one, and a service routine runs in the midst of another.
//!
//! Registers of the 82574 (its data sheet, 10.2): a cause that is set in ICS is sent as the message that IVAR
//! names, if IMS allows it; causes in EIAC clear themselves.

use core::ffi::c_void;
use core::ptr::null_mut;
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed};

use super::service;
use crate::kernel::{irql, pci, reenter, thread};
use crate::portcls::layout::CmPartialResourceDescriptor;
use crate::portcls::resources;

const ICR: usize = 0xc0;
const ICS: usize = 0xc8;
const IMS: usize = 0xd0;
const IMC: usize = 0xd8;
const EIAC: usize = 0xdc;
const IVAR: usize = 0xe4;
/// Causes that are given a message each: receive queue 0 and 1, transmit queue 0.
const CAUSES: [u32; 3] = [1 << 20, 1 << 21, 1 << 22];
const ALL: u32 = CAUSES[0] | CAUSES[1] | CAUSES[2];

static REGISTERS: AtomicUsize = AtomicUsize::new(0);
static SERVED: [AtomicU32; 3] = [const { AtomicU32::new(0) }; 3];
/// Bits of the messages whose routines run now, and the most that ran at once.
static RUNNING: AtomicU32 = AtomicU32::new(0);
static MOST: AtomicU32 = AtomicU32::new(0);
/// The routine of message 0 sends message 2 and waits for it.
static NEST: AtomicU32 = AtomicU32::new(0);

fn write(register: usize, value: u32) {
    // SAFETY: the card's registers, mapped while anything runs here.
    unsafe { ((REGISTERS.load(Relaxed) + register) as *mut u32).write_volatile(value) }
}

fn send(message: usize) {
    write(ICR, ALL);
    write(IMS, ALL);
    write(ICS, CAUSES[message]);
}

unsafe extern "win64" fn routine(_: *mut c_void, _: *mut c_void, message: u32) -> u8 {
    let number = message as usize;
    assert!(
        irql::current() == pci::card().messages[number].irql,
        "message {message} at IRQL {}",
        irql::current()
    );
    let running = RUNNING.fetch_or(1 << message, Relaxed) | 1 << message;
    MOST.fetch_max(running.count_ones(), Relaxed);
    if message == 0 && NEST.swap(0, Relaxed) != 0 {
        send(2);
        let bound = (0..10_000_000).find(|_| SERVED[2].load(Relaxed) != 0);
        assert!(bound.is_some(), "a message of a higher IRQL does not interrupt one of a lower");
    }
    SERVED[number].fetch_add(1, Relaxed);
    RUNNING.fetch_and(!(1 << message), Relaxed);
    1
}

fn served(message: usize) -> u32 {
    SERVED[message].load(Relaxed)
}

/// Runs it; a panic says what is wrong.
pub fn run() {
    let card = pci::card();
    assert!(
        card.msix && card.messages.len() == 3,
        "boot with an e1000e and msi=3: {} messages",
        card.messages.len()
    );
    descriptors();
    let bar = card.bars.iter().find(|b| b.index == 0).expect("BAR 0");
    let registers =
        service!("MmMapIoSpaceEx" as fn(u64, usize, u32) -> usize)(bar.base, bar.len as usize, 0x204);
    REGISTERS.store(registers, Relaxed);
    let mut table = null_mut::<c_void>();
    let mut parameters =
        [3, 0x1000, (&raw mut table) as usize, routine as *const () as usize, 0, 0, 0, 0, 0, 0];
    assert!(service!("IoConnectInterruptEx" as fn(*mut usize) -> i32)(parameters.as_mut_ptr()) == 0);
    // SAFETY: IO_INTERRUPT_MESSAGE_INFO: UnifiedIrql, MessageCount at 4, entries of 48 bytes from 8 with
    // their IRQL at 32.
    unsafe {
        assert!(table.cast::<u32>().add(1).read() == 3);
        let level = |n: usize| table.cast::<u8>().add(8 + 48 * n + 32).read();
        assert!((0..3).all(|n| level(n) == card.messages[n].irql) && level(0) < level(1));
    }
    write(EIAC, ALL);
    write(IVAR, 8 | 9 << 4 | 10 << 8);
    for message in 0..3 {
        send(message);
        wait_for(message, 1);
        for served in &SERVED {
            served.store(0, Relaxed);
        }
    }
    NEST.store(1, Relaxed);
    send(0);
    wait_for(0, 1);
    assert!(MOST.load(Relaxed) >= 2, "two routines at once");
    assert!(reenter::count() == 0, "the self-test's routine is no driver's, and is not stepped");
    // A message that the device still holds back would find nobody: it is told to be silent, and has its
    // time.
    write(IMC, ALL);
    thread::sleep_100ns(20_000);
    let mut parameters = [3usize, table as usize];
    service!("IoDisconnectInterruptEx" as fn(*mut usize))(parameters.as_mut_ptr());
    service!("MmUnmapIoSpace" as fn(usize, usize))(registers, bar.len as usize);
}

fn wait_for(message: usize, times: u32) {
    for _ in 0..500 {
        if served(message) >= times {
            return;
        }
        thread::sleep_100ns(10_000);
    }
    panic!("message {message} does not come");
}

/// One interrupt descriptor for each message, raw and translated.
fn descriptors() {
    let list = resources::of_card(pci::card());
    let (raw, translated) = resources::cm_pointers(list);
    for (list, is_raw) in [(raw, true), (translated, false)] {
        // SAFETY: CM_RESOURCE_LIST: the count of descriptors is the fifth word, they follow.
        let all = unsafe {
            core::slice::from_raw_parts(
                list.add(5).cast::<CmPartialResourceDescriptor>(),
                list.add(4).read() as usize,
            )
        };
        let interrupts: alloc::vec::Vec<[u32; 4]> =
            all.iter().filter(|d| d.resource_type == 2).map(|d| d.u).collect();
        assert!(interrupts.len() == 3, "{} interrupt descriptors", interrupts.len());
        for (words, message) in interrupts.iter().zip(&pci::card().messages) {
            let first = if is_raw { 1 << 16 } else { u32::from(message.irql) };
            assert!(words[..2] == [first, message.vector]);
        }
    }
    list.release();
}
