//! The bus driver below the device: what the PDO answers to IRPs that a driver sends down, and
//! BUS_INTERFACE_STANDARD.
//!
//! A device of the root bus (`pci=none`) has none of it: its PDO leaves these IRPs as they are.
//!
//! Sources: the pages of IRP_MN_QUERY_INTERFACE, IRP_MN_READ_CONFIG and BUS_INTERFACE_STANDARD.

use core::ffi::c_void;
use core::ptr::null_mut;
use core::sync::atomic::{AtomicI32, Ordering};

use super::pci::{self, Card};
use super::{caller, cards, gone, inject, irp, irql, violation};
use crate::portcls::adapter;
use crate::portcls::fault::{self, Fault};
use crate::portcls::guid::Guid;
use crate::portcls::layout::{IoStackLocation, Irp};
use crate::portcls::status::Status;

const GUID_BUS_INTERFACE_STANDARD: Guid = Guid::parse("496B8280-6F25-11D0-BEAF-08002BE2092F");
const PNP: u8 = 0x1b;
const QUERY_INTERFACE: u8 = 0x08;
const READ_CONFIG: u8 = 0x0f;
const WRITE_CONFIG: u8 = 0x10;
/// PCI_WHICHSPACE_CONFIG.
const CONFIG_SPACE: u32 = 0;
/// Bytes of configuration space behind ports 0xcf8 and 0xcfc; what is beyond them of a PCI Express function
/// is read only.
const CONFIG_BYTES: u32 = 256;
const EXPRESS_BYTES: u32 = 4096;

/// Offset of the device id there.
const DEVICE_ID: u32 = 2;

/// BUS_INTERFACE_STANDARD.
#[repr(C)]
struct BusInterface {
    size: u16,
    version: u16,
    context: *mut c_void,
    reference: extern "win64" fn(*mut c_void),
    dereference: extern "win64" fn(*mut c_void),
    translate: extern "win64" fn(*mut c_void, u64, u32, *mut u32, *mut u64) -> u8,
    get_dma_adapter: extern "win64" fn(*mut c_void, *mut c_void, *mut u32) -> *mut c_void,
    set_bus_data: extern "win64" fn(*mut c_void, u32, *mut u8, u32, u32) -> u32,
    get_bus_data: extern "win64" fn(*mut c_void, u32, *mut u8, u32, u32) -> u32,
}
const _: () = assert!(size_of::<BusInterface>() == 64);

/// References to the interface that the driver holds.
static REFERENCES: AtomicI32 = AtomicI32::new(0);

/// References not given back, for the report at unload.
pub fn references() -> usize {
    usize::try_from(REFERENCES.load(Ordering::Relaxed)).unwrap_or(0)
}

/// The context of the first card's interface; that of another is so many bytes further.
const CONTEXT: usize = 0x00b0_5000;

fn context_of(card: usize) -> *mut c_void {
    core::ptr::without_provenance_mut(CONTEXT + card)
}

fn card_of(context: *mut c_void) -> Option<&'static Card> {
    cards::get(context.addr().checked_sub(CONTEXT)?)
}

fn right(service: &str, context: *mut c_void) {
    if card_of(context).is_none() || REFERENCES.load(Ordering::Relaxed) <= 0 {
        violation(
            "bus-interface",
            format_args!("{service} with context {context:p} and {} references, {}", references(), caller()),
        );
    }
}

extern "win64" fn reference(_: *mut c_void) {
    REFERENCES.fetch_add(1, Ordering::Relaxed);
}
extern "win64" fn dereference(context: *mut c_void) {
    right("InterfaceDereference", context);
    REFERENCES.fetch_sub(1, Ordering::Relaxed);
}
extern "win64" fn translate(
    context: *mut c_void,
    address: u64,
    _: u32,
    _space: *mut u32,
    out: *mut u64,
) -> u8 {
    right("TranslateBusAddress", context);
    // SAFETY: the driver's PHYSICAL_ADDRESS. Bus and processor see the same addresses here.
    unsafe { out.write_unaligned(address) };
    1
}
extern "win64" fn get_dma_adapter(
    context: *mut c_void,
    _description: *mut c_void,
    _registers: *mut u32,
) -> *mut c_void {
    right("GetDmaAdapter", context);
    crate::kprintln!("a DMA adapter is not offered: the port's page allocators are, {}", caller());
    null_mut()
}
/// SetBusData(context, space, buffer, offset, length) -> bytes written
extern "win64" fn set_bus_data(
    context: *mut c_void,
    space: u32,
    buffer: *mut u8,
    offset: u32,
    length: u32,
) -> u32 {
    right("SetBusData", context);
    config("SetBusData", space, offset, length, CONFIG_BYTES, |at| {
        // SAFETY: the driver's buffer of that length.
        let byte = unsafe { buffer.add(at as usize).read() };
        if let Some(card) = there(context) {
            pci::write8(card, (offset + at) as u16, byte);
        }
    })
}
/// GetBusData(context, space, buffer, offset, length) -> bytes read
extern "win64" fn get_bus_data(
    context: *mut c_void,
    space: u32,
    buffer: *mut u8,
    offset: u32,
    length: u32,
) -> u32 {
    right("GetBusData", context);
    let extended = |card: &Card| pci::extended_read8(card, CONFIG_BYTES as u16).is_some();
    let express = card_of(context).is_some_and(extended);
    let bytes = if express { EXPRESS_BYTES } else { CONFIG_BYTES };
    config("GetBusData", space, offset, length, bytes, |at| {
        let wrong = offset + at == DEVICE_ID && fault::make(Fault::OtherDevice);
        let there = there(context).map_or(u8::MAX, |card| read(card, offset + at));
        let byte = there ^ u8::from(wrong);
        // SAFETY: the driver's buffer of that length.
        unsafe { buffer.add(at as usize).write(byte) };
    })
}

/// The card of an interface, unless it is pulled out.
fn there(context: *mut c_void) -> Option<&'static Card> {
    card_of(context).filter(|card| !gone::is_pulled_out(card.number))
}

/// A byte of a card's configuration space.
fn read(card: &Card, at: u32) -> u8 {
    if at < CONFIG_BYTES {
        return pci::read8(card, at as u16);
    }
    pci::extended_read8(card, at as u16).unwrap_or(u8::MAX)
}

/// Runs `one` for every byte asked for of a configuration space of so many `bytes`; how many there are.
fn config(service: &'static str, space: u32, offset: u32, length: u32, bytes: u32, one: impl Fn(u32)) -> u32 {
    irql::require(service, irql::DISPATCH);
    if space != CONFIG_SPACE || offset >= bytes {
        return 0;
    }
    let count = length.min(bytes - offset);
    (0..count).for_each(one);
    count
}

/// The PDO's dispatch routine: completes the IRP; what is not for the bus keeps its status.
pub fn dispatch(irp: *mut Irp, location: &IoStackLocation) -> i32 {
    // SAFETY: a live IRP.
    let unchanged = Status(unsafe { (*irp).status });
    let parameters = location.parameters;
    let card = adapter::device_of_pdo(location.device_object).and_then(cards::get).filter(|card| !card.root);
    let status = match (location.major_function, location.minor_function) {
        (PNP, QUERY_INTERFACE) => query_interface(card, parameters).unwrap_or(unchanged),
        (PNP, minor @ (READ_CONFIG | WRITE_CONFIG)) if let Some(card) = card => {
            let context = context_of(card.number);
            let [space, buffer, offset, length] = parameters;
            let (space, offset, length) =
                (space as usize as u32, offset as usize as u32, length as usize as u32);
            reference(context);
            let access = if minor == READ_CONFIG { get_bus_data } else { set_bus_data };
            let done = access(context, space, buffer.cast(), offset, length);
            dereference(context);
            // SAFETY: a live IRP.
            unsafe { (*irp).information = done as usize };
            if done == length { Status::SUCCESS } else { Status::INVALID_PARAMETER }
        }
        (major, minor) => {
            crate::kprintln!("the bus has no answer to IRP major {major:#x} minor {minor:#x}");
            unchanged
        }
    };
    irp::complete_with(irp, status)
}

/// Fills the interface that is asked for; `None` for one that is not offered.
fn query_interface(
    card: Option<&Card>,
    [kind, size_and_version, out, _]: [*mut c_void; 4],
) -> Option<Status> {
    // SAFETY: the page: InterfaceType points to a GUID.
    let kind = unsafe { kind.cast::<Guid>().read_unaligned() };
    let offered = kind == GUID_BUS_INTERFACE_STANDARD && !fault::make(Fault::NoBusInterface);
    let Some(card) = card.filter(|_| offered) else {
        crate::kprintln!("the bus has no interface {{{kind}}}");
        return None;
    };
    let context = context_of(card.number);
    if let Some(status) = inject::BUS_INTERFACE.fails() {
        return Some(status);
    }
    let (size, version) = (size_and_version as usize as u16, (size_and_version as usize >> 16) as u16);
    if usize::from(size) < size_of::<BusInterface>() || version != 1 || out.is_null() {
        violation(
            "bus-interface",
            format_args!("QUERY_INTERFACE: size {size}, version {version}, {}", caller()),
        );
        return Some(Status::INVALID_PARAMETER);
    }
    let interface = BusInterface {
        size: size_of::<BusInterface>() as u16,
        version: 1,
        context,
        reference,
        dereference,
        translate,
        get_dma_adapter,
        set_bus_data,
        get_bus_data,
    };
    // SAFETY: the driver's structure of at least this size.
    unsafe { out.cast::<BusInterface>().write_unaligned(interface) };
    reference(context);
    Some(Status::SUCCESS)
}
