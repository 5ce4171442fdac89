//! ntguest judges itself: `selftest=good` in `ntguest.cfg` uses the services as a well-behaved driver does
//! and must end without a violation; `selftest=<rule>` breaks that rule and must end with it by name.
//!
//! The services are called through import thunks, as a driver calls them. `tests/rules.rs` boots each case.

mod alone;
mod fault_rules;
mod good;
mod left_behind_rules;
mod line;
mod memory_rules;
mod messages;
mod processors;
pub mod resume;
mod rules;
mod rules_one_boot;
mod service_rules;
mod services;
mod virtio;

use core::ffi::c_void;
use core::ptr::null_mut;
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use super::{dpc, exports, image, irql, pci};
use alone::ALONE;

const TAG: u32 = u32::from_le_bytes(*b"Self");
const MS: i64 = 10_000;
const NON_PAGED: u64 = 0x40;
const PAGED: u64 = 0x100;

/// The thunk of a service, as the type the caller gives.
macro_rules! service {
    ($name:literal as fn($($argument:ty),*) $(-> $result:ty)?) => {{
        let address = $crate::kernel::selftest::thunk($name);
        // SAFETY: the thunk leads to the export of this name; the type is the one of its DDI page.
        unsafe { core::mem::transmute::<usize, extern "win64" fn($($argument),*) $(-> $result)?>(address) }
    }};
}

pub(crate) use service;

/// The thunk of a service.
pub fn thunk(name: &str) -> usize {
    let found = exports::lookup("ntoskrnl.exe", name);
    image::late_thunk(name, found.unwrap_or_else(|| panic!("{name} is not offered")))
}

fn allocate(bytes: usize) -> *mut u8 {
    service!("ExAllocatePool2" as fn(u64, usize, u32) -> *mut u8)(NON_PAGED, bytes, TAG)
}
fn free(block: *mut u8) {
    service!("ExFreePoolWithTag" as fn(*mut u8, u32))(block, TAG);
}
fn set_event(target: *mut c_void) {
    service!("KeSetEvent" as fn(*mut c_void, i32, u8) -> i32)(target, 0, 0);
}
fn raise(to: u8) -> u8 {
    service!("KfRaiseIrql" as fn(u8) -> u8)(to)
}
fn lower(to: u8) {
    service!("KeLowerIrql" as fn(u8))(to);
}
fn acquire(lock: *mut usize) -> u8 {
    service!("KeAcquireSpinLockRaiseToDpc" as fn(*mut usize) -> u8)(lock)
}
fn store(address: *mut u8) {
    // SAFETY: none: the cases that come here must be stopped by the page tables.
    unsafe { address.write_volatile(1) }
}

/// Runs the case that `ntguest.cfg` names. False when there is none of this name.
pub fn run(name: &str) -> bool {
    if name == "good" {
        good::run();
        services::run();
        return true;
    }
    if name == "line" {
        line::run();
        return true;
    }
    if name == "messages" {
        messages::run();
        return true;
    }
    if name == "virtio" {
        virtio::run();
        return true;
    }
    if name == "msix-table" {
        virtio::write_to_the_table();
        return true;
    }
    if name == "processors" {
        processors::run();
        return true;
    }
    if name == "use-after-free-elsewhere" {
        processors::use_after_free_elsewhere();
        return true;
    }
    // Rules after which the kernel goes on, many in one boot.
    let one_boot: Option<&[rules::Case]> = match name {
        "rules-one-boot" => Some(rules_one_boot::CASES),
        "memory-rules" => Some(memory_rules::CASES),
        "left-behind-rules" => Some(left_behind_rules::CASES),
        _ => None,
    };
    if let Some(cases) = one_boot {
        for (name, case) in cases {
            crate::kprintln!("case {name}");
            case();
        }
        return true;
    }
    if name == "fatal-rules" {
        fatal_rules();
        return true;
    }
    let mut cases = rules::CASES.iter().chain(service_rules::CASES).chain(processors::CASES);
    let Some((_, case)) = cases.find(|(rule, _)| *rule == name) else {
        return crate::portcls::selftest::run(name);
    };
    case();
    true
}

/// Breaks the other rules that end a run, one after the other.
fn fatal_rules() {
    fault_rules::load_image();
    let all = rules::CASES.iter().chain(fault_rules::CASES).chain(service_rules::CASES);
    for (name, case) in all.filter(|(name, _)| !ALONE.contains(name)) {
        crate::kprintln!("case {name}");
        resume::attempt(*case);
        rules::free_lock();
    }
}

/// The first page of the card's BAR 0.
fn map_card() -> *mut u8 {
    let bar = pci::card().bars.iter().find(|b| !b.is_io).expect("the card has memory");
    service!("MmMapIoSpaceEx" as fn(u64, usize, u32) -> *mut u8)(bar.base, 4096, 0x204)
}

/// QEMU's `edu`: a write to 0x60 raises an interrupt; the value is seen at 0x24 and taken back at 0x64.
const EDU_STATUS: usize = 0x24;
const EDU_RAISE: usize = 0x60;
const EDU_ACKNOWLEDGE: usize = 0x64;

fn raise_edu_interrupt(registers: *mut u8) {
    // SAFETY: the register page of the card, mapped by `map_card`.
    unsafe { registers.add(EDU_RAISE).cast::<u32>().write_volatile(1) }
}

/// Registers of the card and how often its service routine ran, for `service_routine`.
static CARD_REGISTERS: AtomicUsize = AtomicUsize::new(0);
static SERVED: AtomicUsize = AtomicUsize::new(0);

unsafe extern "win64" fn service_routine(_: *mut c_void, deferred: *mut c_void, message: u32) -> u8 {
    let registers = CARD_REGISTERS.load(Relaxed) as *mut u8;
    assert!(message == 0 && irql::current() == pci::card().messages[0].irql);
    // SAFETY: the interrupt is connected only while the registers are mapped.
    unsafe {
        let status = registers.add(EDU_STATUS).cast::<u32>().read_volatile();
        registers.add(EDU_ACKNOWLEDGE).cast::<u32>().write_volatile(status);
    }
    SERVED.fetch_add(1, Relaxed);
    dpc::queue(deferred.cast(), null_mut(), null_mut());
    1
}

/// Connects to the card's messages with `context` as the service context; leaves the table there.
fn connect(context: &mut *mut c_void) -> i32 {
    let routine = service_routine as *const () as usize;
    let service_context = *context as usize;
    // Version, device object, where the table goes, routine, context, spin lock; the rest 0 (WAVERT.md 7).
    let mut parameters = [3, 0x1000, (&raw mut *context) as usize, routine, service_context, 0, 0, 0, 0, 0];
    service!("IoConnectInterruptEx" as fn(*mut usize) -> i32)(parameters.as_mut_ptr())
}

fn disconnect(context: *mut c_void) {
    let mut parameters = [3usize, context as usize];
    service!("IoDisconnectInterruptEx" as fn(*mut usize))(parameters.as_mut_ptr());
}
