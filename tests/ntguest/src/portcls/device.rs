//! The device stack of the card: the PDO that the bus made, the FDO that `PcAddAdapterDevice` makes, and the
//! IRPs of the PnP manager.

use super::layout::{DeviceObject, IRP_MJ_PNP, IoStackLocation, Irp};
use super::object;
use super::status::Status;
use crate::kernel::call::driver_call;
use crate::kernel::harsh::harsh_violation;
use crate::kernel::layout::DriverObject;
use crate::kernel::sync::IrqLock;
use crate::kernel::{self, cards, irql};
use alloc::boxed::Box;
use alloc::format;
use alloc::vec;
use alloc::vec::Vec;
use core::ffi::c_void;
use core::ptr;

/// `PORT_CLASS_DEVICE_EXTENSION_SIZE`: the part of the extension that PortCls lays claim to.
pub const PORT_CLASS_EXTENSION: usize = 512;
/// Bytes of that part which are the adapter's after all (`ULONG_PTR` elements 4 to 7, by the page of
/// `PcAddAdapterDevice`).
const ADAPTER_SLOTS: core::ops::Range<usize> = 32..64;
/// Element 4 of them, which the samples' structure of this area marks reserved ("Out Memory"): they keep
/// their pointer in element 5. Doubt which one holds; element 5 is right under both, so that using element 4
/// is harsher than Windows' documents.
const RESERVED_SLOT: core::ops::Range<usize> = 32..40;
/// Stands for PortCls' own data in the extension: a driver that writes there is seen at removal.
const PORT_CLASS_DATA: u8 = 0xa7;

const DEVICE_OBJECT_TYPE: i16 = 3;
const IRP_TYPE: i16 = 6;
/// `FILE_DEVICE_BUS_EXTENDER`.
const FILE_DEVICE_BUS_EXTENDER: u32 = 0x2a;
/// `FILE_DEVICE_KS`.
const FILE_DEVICE_KS: u32 = 0x2f;
/// `DO_DIRECT_IO | DO_POWER_PAGABLE`; `DO_DEVICE_INITIALIZING` is already cleared.
const FDO_FLAGS: u32 = 0x10 | 0x2000;

/// A device object and its extension, alive until ntguest ends.
pub struct Device {
    object: *mut DeviceObject,
    extension: *mut u8,
    bytes: usize,
}

impl Device {
    fn new(driver: *mut DriverObject, device_type: u32, flags: u32, extension: Vec<u8>) -> Self {
        let extension: &'static mut [u8] = Box::leak(extension.into_boxed_slice());
        let (bytes, extension) = (extension.len(), extension.as_mut_ptr());
        let object = Box::leak(Box::new(DeviceObject {
            object_type: DEVICE_OBJECT_TYPE,
            size: u16::try_from(size_of::<DeviceObject>() + bytes).unwrap_or(u16::MAX),
            reference_count: 0,
            driver_object: driver.cast(),
            next_device: ptr::null_mut(),
            attached_device: ptr::null_mut(),
            current_irp: ptr::null_mut(),
            timer: ptr::null_mut(),
            flags,
            characteristics: 0,
            vpb: ptr::null_mut(),
            device_extension: if bytes == 0 { ptr::null_mut() } else { extension.cast() },
            device_type,
            stack_size: 1,
            private: [0; 32],
        }));
        Self { object, extension, bytes }
    }

    /// The card as its bus driver sees it.
    pub fn physical(driver: *mut DriverObject) -> Self {
        Self::new(driver, FILE_DEVICE_BUS_EXTENDER, 0, Vec::new())
    }

    /// The adapter's device: PortCls' part of the extension holds data, the adapter's part zeroes.
    pub fn functional(driver: *mut DriverObject, extension_bytes: usize) -> Self {
        let mut extension = vec![0; extension_bytes.max(PORT_CLASS_EXTENSION)];
        extension[..PORT_CLASS_EXTENSION].fill(PORT_CLASS_DATA);
        extension[ADAPTER_SLOTS].fill(0);
        // Extensions are 16-byte aligned in Windows; u8 vectors of this size are at least 8-byte aligned in
        // our heap.
        let device = Self::new(driver, FILE_DEVICE_KS, FDO_FLAGS, extension);
        // SAFETY: just made; one location of its own and one of the PDO's below.
        unsafe { (*device.object).stack_size = 2 };
        device
    }

    /// The `PDEVICE_OBJECT`.
    pub fn object(&self) -> *mut DeviceObject {
        self.object
    }

    /// Writes over a byte of the extension, as a driver would that takes it for its own.
    pub fn overwrite_extension(&self, at: usize) {
        if at < self.bytes {
            // SAFETY: inside the extension, which lives as long as ntguest.
            unsafe { self.extension.add(at).write_volatile(1) };
        }
    }

    /// Reports what the driver wrote over PortCls' part of the extension (rule `device-extension`).
    pub fn check_extension(&self) {
        let reserved = RESERVED_SLOT.filter(|at| *at < self.bytes);
        // SAFETY: as below.
        if reserved.clone().any(|at| unsafe { self.extension.add(at).read_volatile() } != 0) {
            harsh_violation(
                "device-extension",
                format_args!(
                    "element 4 of the device extension is in use, which the samples mark reserved; element 5 is free"
                ),
            );
        }
        for at in (0..self.bytes.min(PORT_CLASS_EXTENSION)).filter(|at| !ADAPTER_SLOTS.contains(at)) {
            // SAFETY: inside the extension, which lives as long as ntguest.
            if unsafe { self.extension.add(at).read_volatile() } != PORT_CLASS_DATA {
                kernel::violation(
                    "device-extension",
                    format_args!("byte {at} of PortCls' part of the device extension was overwritten"),
                );
                return;
            }
        }
    }
}

/// An IRP that is on its way through the driver.
struct Flight {
    irp: *mut Irp,
    dispatched: u32,
    completed: u32,
}

/// Of one that causes another (a system power IRP, the device's) the other comes behind it.
static FLIGHT: IrqLock<Vec<Flight>> = IrqLock::new(Vec::new());

/// Sends a PnP IRP to the driver's dispatch routine, as the PnP manager does, and returns what became of it.
///
/// # Safety
/// `driver` is the live driver object and `device` its FDO.
pub unsafe fn send_pnp(
    driver: *mut DriverObject,
    device: *mut DeviceObject,
    minor: u8,
    parameters: [*mut c_void; 4],
) -> Status {
    // SAFETY: as promised.
    unsafe { send(driver, device, IRP_MJ_PNP, minor, parameters) }
}

/// Sends a PnP or power IRP.
///
/// # Safety
/// `driver` is the live driver object and `device` its FDO.
pub unsafe fn send(
    driver: *mut DriverObject,
    device: *mut DeviceObject,
    major: usize,
    minor: u8,
    parameters: [*mut c_void; 4],
) -> Status {
    // SAFETY: live by the contract.
    let Some(dispatch) = (unsafe { (*driver).major_function.get(major).copied().flatten() }) else {
        kernel::violation(
            "no-dispatch",
            format_args!("the driver has no routine for major function {major:#x}"),
        );
        return Status::INVALID_DEVICE_REQUEST;
    };
    let irp = new_irp(device, major, minor, parameters);
    FLIGHT.lock().push(Flight { irp, dispatched: 0, completed: 0 });
    let routine =
        if major == IRP_MJ_PNP { "MajorFunction[IRP_MJ_PNP]" } else { "MajorFunction[IRP_MJ_POWER]" };
    let returned = driver_call(routine, irql::PASSIVE, || {
        // SAFETY: a dispatch routine, the FDO and an IRP for it.
        Status(unsafe { dispatch(device.cast(), irp.cast()) })
    });
    let flight = FLIGHT.lock().pop();
    // SAFETY: the IRP is never freed.
    let status = Status(unsafe { (*irp).status });
    // What a driver fails by itself it completes by itself ("Handling an IRP_MN_QUERY_STOP_DEVICE Request"):
    // PortCls need not know.
    let refused = |flight: &Flight| (flight.dispatched, flight.completed) == (0, 1) && !status.is_success();
    let once = |flight: &Flight| (flight.dispatched, flight.completed) == (1, 1);
    if let Some(flight) = flight
        && !once(&flight)
        && !refused(&flight)
    {
        kernel::violation(
            "irp-balance",
            format_args!(
                "the IRP ({major:#x}, {minor:#x}) reached PcDispatchIrp {} time(s) and was completed {} time(s)",
                flight.dispatched, flight.completed
            ),
        );
    }
    if returned != status {
        kernel::violation(
            "irp-status",
            format_args!(
                "the dispatch routine returned {returned} for an IRP ({major:#x}, {minor:#x}) completed with {status}"
            ),
        );
    }
    status
}

fn new_irp(device: *mut DeviceObject, major: usize, minor: u8, parameters: [*mut c_void; 4]) -> *mut Irp {
    #[expect(clippy::cast_possible_truncation, reason = "0x1b at most")]
    let stack = Box::leak(Box::new(IoStackLocation {
        major_function: major as u8,
        minor_function: minor,
        flags: 0,
        control: 0,
        parameters,
        device_object: device,
        file_object: ptr::null_mut(),
        completion_routine: ptr::null_mut(),
        context: ptr::null_mut(),
    }));
    Box::leak(Box::new(Irp {
        object_type: IRP_TYPE,
        size: 0xd0 + 0x48,
        allocation: 0,
        mdl_address: ptr::null_mut(),
        flags: 0,
        associated_irp: ptr::null_mut(),
        thread_list_entry: [ptr::null_mut(); 2],
        // What the PnP manager and the power manager start every IRP with.
        status: Status::NOT_SUPPORTED.0,
        status_padding: 0,
        information: 0,
        requestor_mode: 0,
        pending_returned: 0,
        stack_count: 1,
        current_location: 1,
        cancel: [0; 4],
        user: [0; 6],
        driver_context: [ptr::null_mut(); 4],
        thread: ptr::null_mut(),
        auxiliary_buffer: ptr::null_mut(),
        list_entry: [ptr::null_mut(); 2],
        current_stack_location: stack,
        original_file_object: ptr::null_mut(),
        irp_extension: ptr::null_mut(),
    }))
}

/// PortCls takes an IRP over (`PcDispatchIrp`): where it is, or `None` when it is no IRP in flight.
pub fn take_irp(irp: *mut Irp) -> Option<&'static IoStackLocation> {
    let mut flight = FLIGHT.lock();
    let flight = flight.iter_mut().find(|flight| flight.irp == irp)?;
    flight.dispatched += 1;
    // SAFETY: an IRP of ours, never freed; its stack location neither.
    Some(unsafe { &*(*irp).current_stack_location })
}

/// Completes an IRP in flight (rule `irp-completed-twice`).
pub fn complete_irp(irp: *mut Irp, status: Status) {
    let completed = FLIGHT.lock().iter_mut().find(|flight| flight.irp == irp).map(|flight| {
        flight.completed += 1;
        flight.completed
    });
    match completed {
        // SAFETY: an IRP of ours, never freed.
        Some(1) => unsafe { (*irp).status = status.0 },
        Some(_) => kernel::violation("irp-completed-twice", format_args!("{}", object::lately())),
        None => kernel::violation(
            "irp-unknown",
            format_args!("{irp:p} is completed and not in flight, {}", object::lately()),
        ),
    }
}

/// Whether this IRP is on its way through the driver.
pub fn in_flight(irp: *mut Irp) -> bool {
    FLIGHT.lock().iter().any(|flight| flight.irp == irp)
}

/// The bytes of a property of a device (`IoGetDeviceProperty`), by its number in DEVICE_REGISTRY_PROPERTY.
fn property(device: usize, number: u32) -> Option<Vec<u8>> {
    let card = cards::get(device)?;
    let text = |text: &str, terminators: usize| {
        let units = text.encode_utf16().chain(core::iter::repeat_n(0, terminators));
        Some(units.flat_map(u16::to_le_bytes).collect())
    };
    if card.root && matches!(number, 13 | 14 | 16) {
        // Of a bus that the device is not on.
        return None;
    }
    match number {
        // DeviceDescription
        0 => text("Ringwave under test", 1),
        // HardwareID, a list of strings
        1 if card.root => text("ROOT\\MEDIA", 2),
        1 => text(&format!("PCI\\VEN_{:04X}&DEV_{:04X}", card.vendor, card.device), 2),
        // ClassName
        5 => text("MEDIA", 1),
        // LegacyBusType: PCIBus
        13 => Some(5u32.to_le_bytes().to_vec()),
        // BusNumber
        14 => Some(u32::from(card.bus).to_le_bytes().to_vec()),
        // EnumeratorName
        15 => text(if card.root { "ROOT" } else { "PCI" }, 1),
        // Address: device and function
        16 => Some((u32::from(card.dev) << 16 | u32::from(card.func)).to_le_bytes().to_vec()),
        _ => None,
    }
}

/// Writes a device property by the protocol of `PcGetDeviceProperty`: too small a buffer gets the size
/// needed.
///
/// # Safety
/// `buffer` has `length` bytes and `result` is the caller's, or either is null.
pub unsafe fn write_property(
    device: usize,
    number: u32,
    length: u32,
    buffer: *mut u8,
    result: *mut u32,
) -> Status {
    let Some(bytes) = property(device, number) else {
        crate::kprintln!("device property {number} is not offered");
        return Status::OBJECT_NAME_NOT_FOUND;
    };
    if result.is_null() || (buffer.is_null() && length > 0) {
        kernel::violation("null-argument", format_args!("GetDeviceProperty, {}", object::lately()));
        return Status::INVALID_PARAMETER;
    }
    // SAFETY: not null, the caller's.
    unsafe { result.write(u32::try_from(bytes.len()).unwrap_or(u32::MAX)) };
    if (length as usize) < bytes.len() {
        return Status::BUFFER_TOO_SMALL;
    }
    // SAFETY: the buffer has room for them.
    unsafe { buffer.copy_from(bytes.as_ptr(), bytes.len()) };
    Status::SUCCESS
}
