//! The device's life as the PnP manager drives it, and what PortCls does with each IRP (`PcDispatchIrp`).
//!
//! A rebalance follows Microsoft's page on PnP rebalance for PortCls: QUERY_STOP is refused unless the
//! adapter registered IAdapterPnpManagement and says that it removes its subdevices, and if a stream is open
//! that has no packets and gave its registers away; its query and cancel come with the device global lock
//! held. At STOP the streams go to STOP and stay there, IMiniportPnpNotify comes with the lock held, and
//! PnpStop without: after it no subdevice is registered, and after the IRP no interrupt is connected and no
//! BAR mapped.

use super::adapter::{self, driver, fdo, pdo, target};
use super::com::Com;
use super::device;
use super::fault::{self, Fault};
use super::layout::{
    DeviceObject, IRP_MJ_POWER, IRP_MN_CANCEL_REMOVE_DEVICE, IRP_MN_CANCEL_STOP_DEVICE,
    IRP_MN_QUERY_REMOVE_DEVICE, IRP_MN_QUERY_STOP_DEVICE, IRP_MN_REMOVE_DEVICE, IRP_MN_START_DEVICE,
    IRP_MN_STOP_DEVICE, IRP_MN_SURPRISE_REMOVAL, Irp,
};
use super::port::Port;
use super::status::Status;
use super::subdevice;
use super::vtable::AdapterPnpManagement;
use super::{device_lock, oracle, power, resources};
use crate::kernel::call::driver_call;
use crate::kernel::layout::DriverObject;
use crate::kernel::{self, cards, cfg, dma, inject, interrupt, irql, memory, msix, pci};
use core::ffi::c_void;
use core::ptr;
use core::sync::atomic::{AtomicU32, Ordering};

/// `PcRebalanceRemoveSubdevices`
const REMOVE_SUBDEVICES: u32 = 1;

/// STOPs so far.
static STOPS: AtomicU32 = AtomicU32::new(0);
/// How often the device got other resources.
static REBALANCES: AtomicU32 = AtomicU32::new(0);

/// What PortCls puts into every slot of the dispatch table.
pub unsafe extern "win64" fn dispatch(device: *mut c_void, irp: *mut c_void) -> i32 {
    // SAFETY: the arguments of a dispatch routine.
    unsafe { dispatch_irp(device.cast(), irp.cast()).0 }
}

/// `PcDispatchIrp`: does what the IRP asks for and completes it.
///
/// # Safety
/// The arguments of a dispatch routine.
pub unsafe fn dispatch_irp(fdo: *mut DeviceObject, irp: *mut Irp) -> Status {
    const SERVICE: &str = "PcDispatchIrp";
    irql::require(SERVICE, irql::PASSIVE);
    let Some(number) = adapter::device_of_fdo(fdo, SERVICE) else { return Status::INVALID_PARAMETER };
    // One that the driver built and sent to the top of its own stack: PortCls hands it to the bus.
    if let Some(status) = kernel::irp::pass_down(irp, adapter::pdo_of(number)) {
        return status;
    }
    let Some(location) = device::take_irp(irp) else {
        kernel::violation(
            "irp-unknown",
            format_args!("{SERVICE}: {irp:p} is not in flight, {}", kernel::caller()),
        );
        return Status::INVALID_PARAMETER;
    };
    if usize::from(location.major_function) == IRP_MJ_POWER {
        let status = power::dispatch(location.minor_function, location.parameters);
        device::complete_irp(irp, status);
        return status;
    }
    let status = match location.minor_function {
        IRP_MN_START_DEVICE => start(fdo, irp),
        IRP_MN_REMOVE_DEVICE => {
            remove();
            Status::SUCCESS
        }
        IRP_MN_QUERY_STOP_DEVICE => query_stop(),
        IRP_MN_CANCEL_STOP_DEVICE => {
            cancel_stop();
            Status::SUCCESS
        }
        IRP_MN_STOP_DEVICE => {
            stop();
            Status::SUCCESS
        }
        IRP_MN_SURPRISE_REMOVAL => {
            surprise();
            Status::SUCCESS
        }
        // Nothing of PortCls stands in the way.
        IRP_MN_QUERY_REMOVE_DEVICE | IRP_MN_CANCEL_REMOVE_DEVICE => Status::SUCCESS,
        // Not for us: the status stays what the PnP manager put there.
        _ => Status::NOT_SUPPORTED,
    };
    device::complete_irp(irp, status);
    status
}

fn start(fdo: *mut DeviceObject, irp: *mut Irp) -> Status {
    let (start_device, list) = {
        let adapter = target().lock();
        (adapter.start_device, adapter.resources)
    };
    let (Some(start_device), Some(list)) = (start_device, list) else { return Status::INVALID_DEVICE_STATE };
    // SAFETY: StartDevice of the driver with its FDO, the START IRP and the resource list.
    let status =
        driver_call("StartDevice", irql::PASSIVE, || Status(unsafe { start_device(fdo, irp, list.this()) }));
    if status == Status::PENDING {
        kernel::violation("start-pending", format_args!("StartDevice returned PENDING"));
    }
    check_extension();
    status
}

/// Looked at after StartDevice and at removal: the samples set their word of the extension to null again when
/// they go.
fn check_extension() {
    if let Some(device) = &target().lock().functional {
        for (fault, at) in [(Fault::ReservedWord, 4 * size_of::<usize>()), (Fault::PortClassWord, 0)] {
            if fault::make(fault) {
                device.overwrite_extension(at);
            }
        }
        device.check_extension();
    }
}

/// What PortCls gives up when the device goes.
pub fn remove() {
    subdevice::remove_all_of(cards::target());
    let (power, pnp, resources, functional) = {
        let mut adapter = target().lock();
        adapter.pnp_dropped = false;
        (adapter.power.take(), adapter.pnp.take(), adapter.resources.take(), adapter.functional.take())
    };
    // Releasing calls the driver: outside the lock.
    drop((power, pnp));
    if let Some(resources) = resources {
        resources.release();
    }
    // SAFETY: the PDO stays; nothing is stacked on it any more.
    unsafe { (*pdo()).attached_device = ptr::null_mut() };
    if let Some(device) = functional {
        device.check_extension();
    }
}

/// The adapter's PnP management with a reference of the caller's own.
fn management() -> Option<Com<AdapterPnpManagement>> {
    let this = target().lock().pnp.as_ref().map(Com::this)?;
    // SAFETY: PortCls holds a reference while it is registered.
    unsafe { Com::from_lent(this) }
}

/// Calls a method of IAdapterPnpManagement, through C++ in oracle mode.
macro_rules! method {
    ($management:ident, $name:literal, $slot:ident, $oracle:ident) => {
        driver_call(concat!("IAdapterPnpManagement::", $name), irql::PASSIVE, || {
            let this = $management.this();
            // SAFETY: a live interface.
            unsafe {
                if oracle::is_on() { oracle::$oracle(this) } else { ($management.vtable().$slot)(this) }
            }
        })
    };
}

fn query_stop() -> Status {
    // What the page of IRP_MN_QUERY_STOP_DEVICE says a driver answers that cannot stop.
    let Some(management) = management() else { return Status::UNSUCCESSFUL };
    device_lock::with("IRP_MN_QUERY_STOP_DEVICE", || {
        let kind = method!(
            management,
            "GetSupportedRebalanceType",
            get_supported_rebalance_type,
            oracle_get_supported_rebalance_type
        );
        if kind != REMOVE_SUBDEVICES || power::has_pin_that_stays() {
            return Status::UNSUCCESSFUL;
        }
        method!(management, "PnpQueryStop", pnp_query_stop, oracle_pnp_query_stop);
        Status::SUCCESS
    })
}

/// It may come without a query that succeeded.
fn cancel_stop() {
    let Some(management) = management() else { return };
    device_lock::with("IRP_MN_CANCEL_STOP_DEVICE", || {
        method!(management, "PnpCancelStop", pnp_cancel_stop, oracle_pnp_cancel_stop);
    });
}

/// Doubt: whether the miniports hear of the stop before their streams go to STOP, or after. In turn.
fn stop() {
    target().lock().stopped = true;
    if let Some("restart" | "restart-dropped") = cfg::get("pnp") {
        // A system that stops without a word to the adapter.
        return;
    }
    let streams_first = STOPS.fetch_add(1, Ordering::Relaxed).is_multiple_of(2);
    if streams_first {
        power::stop_streams();
    }
    for (_, port) in subdevice::registered_of(cards::target()) {
        if let Some(port) = port.body::<Port>() {
            port.pnp_stop();
        }
    }
    if !streams_first {
        power::stop_streams();
    }
    let Some(management) = management() else { return };
    if !fault::make(Fault::NoPnpStop) {
        method!(management, "PnpStop", pnp_stop, oracle_pnp_stop);
    }
    let left = subdevice::registered_of(cards::target()).len();
    if left > 0 {
        kernel::violation("rebalance-subdevices", format_args!("{left} subdevice(s) after PnpStop"));
    }
}

/// Whether the driver has given back what STOP and REMOVE take away (rule `stop-resources`), whatever it has
/// of another device.
fn check_stopped(request: &str) {
    msix::check();
    let kept = usize::from(fault::make(Fault::ResourcesStay));
    let card = cards::target();
    for (count, what) in [
        (interrupt::connected_of(card) + kept, "interrupt(s) connected"),
        (memory::io_mappings_of(card), "mapping(s) of BARs"),
    ] {
        if count > 0 {
            kernel::violation("stop-resources", format_args!("{count} {what} after {request}"));
        }
    }
}

/// The first half of a rebalance: QUERY_STOP and STOP; what was refused is taken back with CANCEL_STOP.
pub fn stop_for_rebalance() -> Result<(), Status> {
    let status = send_minor(IRP_MN_QUERY_STOP_DEVICE);
    if !status.is_success() {
        send_minor(IRP_MN_CANCEL_STOP_DEVICE);
        return Err(status);
    }
    let status = send_minor(IRP_MN_STOP_DEVICE);
    if !status.is_success() {
        kernel::violation("stop-failed", format_args!("IRP_MN_STOP_DEVICE: {status}; no driver may fail it"));
        return Err(status);
    }
    check_stopped("IRP_MN_STOP_DEVICE");
    Ok(())
}

/// The second half: other BARs, other vectors, at most so many messages or the line for 0, and START.
pub fn start_with_others(messages: u64) -> Status {
    pci::rebalance(messages, REBALANCES.fetch_add(1, Ordering::Relaxed));
    dma::init_card(pci::card());
    let old = target().lock().resources.take();
    if let Some(old) = old {
        old.release();
    }
    match fdo() {
        // SAFETY: the device was started before, so that the driver object and the FDO are live.
        Some(fdo) => unsafe { send_start(driver(), fdo) },
        None => Status::INVALID_DEVICE_STATE,
    }
}

/// QUERY_STOP or QUERY_REMOVE, and what takes it back. Windows sends the first half of a removal to a device
/// with open handles too: it is the PnP manager that gives up then ("Handling a
/// GUID_TARGET_DEVICE_QUERY_REMOVE Event": handles that remain open abort the removal). What the driver said.
pub fn query_and_cancel(removal: bool) -> Status {
    let (query, cancel) = if removal {
        (IRP_MN_QUERY_REMOVE_DEVICE, IRP_MN_CANCEL_REMOVE_DEVICE)
    } else {
        (IRP_MN_QUERY_STOP_DEVICE, IRP_MN_CANCEL_STOP_DEVICE)
    };
    let status = send_minor(query);
    let cancelled = send_minor(cancel);
    if !cancelled.is_success() {
        kernel::violation(
            "cancel-failed",
            format_args!("PnP minor {cancel:#x}: {cancelled}, SUCCESS is due"),
        );
    }
    status
}

/// SURPRISE_REMOVAL, which no driver may fail.
pub fn surprise_removal() {
    let status = send_minor(IRP_MN_SURPRISE_REMOVAL);
    crate::kprintln!("SURPRISE_REMOVAL: {status}");
    if !status.is_success() {
        kernel::violation("remove-failed", format_args!("IRP_MN_SURPRISE_REMOVAL: {status}"));
    }
}

/// REMOVE, when the last handle is closed ("Handling an IRP_MN_SURPRISE_REMOVAL Request").
pub fn remove_device() {
    // SAFETY: the driver is loaded: a client of it runs.
    unsafe { remove_fdo(driver()) };
}

/// The device is there again, and the driver is still loaded: AddDevice and START.
pub fn bring_up_again() -> Result<(), Status> {
    // SAFETY: the driver is loaded: a client of it runs.
    unsafe { bring_up(driver()) }
}

/// Doubt: whether PortCls lets go of subdevices and registrations at SURPRISE_REMOVAL or at REMOVE only (cfg
/// `surprise=drop`).
fn surprise() {
    match cfg::get("surprise") {
        None | Some("keep") => {}
        Some("drop") => {
            subdevice::remove_all_of(cards::target());
            let (power, pnp) = {
                let mut adapter = target().lock();
                (adapter.stopped, adapter.pnp_dropped) = (true, true);
                (adapter.power.take(), adapter.pnp.take())
            };
            drop((power, pnp));
        }
        Some(other) => {
            kernel::bad_input(format_args!("ntguest.cfg: surprise={other} is neither keep nor drop"))
        }
    }
}

/// AddDevice and START, as the PnP manager does them.
///
/// # Safety
/// DriverEntry succeeded and `driver` is live.
pub unsafe fn bring_up(driver: *mut DriverObject) -> Result<(), Status> {
    let pdo = pdo();
    // SAFETY: the live driver object and its extension.
    let Some(add_device) = (unsafe { (*(*driver).driver_extension).add_device }) else {
        kernel::violation(
            "no-add-device",
            format_args!("DriverEntry did not call PcInitializeAdapterDriver"),
        );
        return Err(Status::UNSUCCESSFUL);
    };
    // SAFETY: AddDevice of the driver with its driver object and a PDO.
    let status =
        driver_call("AddDevice", irql::PASSIVE, || Status(unsafe { add_device(driver, pdo.cast()) }));
    let Some(fdo) = fdo().filter(|_| status.is_success()) else {
        if !status.is_success() && fdo().is_none() && inject::has_failed() {
            return Err(status);
        }
        kernel::violation(
            "add-device",
            format_args!("AddDevice returned {status}; FDO made: {}", fdo().is_some()),
        );
        return Err(status);
    };
    // SAFETY: live driver object and FDO.
    let status = unsafe { send_start(driver, fdo) };
    if status.is_success() { Ok(()) } else { Err(status) }
}

/// AddDevice and START of every card, in the order of the bus; requests are for the first one afterwards.
///
/// # Safety
/// As [`bring_up`].
pub unsafe fn bring_up_all(driver: *mut DriverObject) -> Result<(), Status> {
    let started = cards::all().try_for_each(|card| {
        cards::set_target(card.number);
        // SAFETY: by contract.
        unsafe { bring_up(driver) }
    });
    cards::set_target(0);
    started
}

/// What `pnp=` in ntguest.cfg asks for after the client: STOP and START again, with the subdevices that the
/// driver did not unregister still there, or given up by PortCls at STOP. No document says which of the two
/// PortCls does (doubt): a driver must survive both.
///
/// # Safety
/// `driver` is live; no stream is open. True when the device works again.
pub unsafe fn restart(driver: *mut DriverObject, how: &str) -> bool {
    let Some(fdo) = fdo() else { return false };
    // SAFETY: live driver object and FDO.
    let status = unsafe { device::send_pnp(driver, fdo, IRP_MN_STOP_DEVICE, [ptr::null_mut(); 4]) };
    crate::kprintln!("STOP: {status}");
    if !status.is_success() {
        kernel::violation("stop-failed", format_args!("IRP_MN_STOP_DEVICE: {status}; no driver may fail it"));
        return false;
    }
    check_stopped("IRP_MN_STOP_DEVICE");
    match how {
        "restart" => subdevice::keep_over_stop(cards::target()),
        "restart-dropped" => {
            subdevice::remove_all_of(cards::target());
            let (power, pnp) = {
                let mut adapter = target().lock();
                adapter.pnp_dropped = true;
                (adapter.power.take(), adapter.pnp.take())
            };
            drop((power, pnp));
        }
        _ => kernel::bad_input(format_args!("ntguest.cfg: pnp={how} is neither restart nor restart-dropped")),
    }
    // SAFETY: live driver object and FDO; the list is PortCls' until removal.
    let status = unsafe { send_start(driver, fdo) };
    crate::kprintln!("START after STOP: {status}");
    status.is_success()
}

/// START with the resources of the card.
///
/// # Safety
/// `driver` is live and `fdo` its FDO.
unsafe fn send_start(driver: *mut DriverObject, fdo: *mut DeviceObject) -> Status {
    let list = *target().lock().resources.get_or_insert_with(|| resources::of_card(pci::card()));
    // The page of IRP_MN_START_DEVICE: the resources, "if any". *Doubt*: it does not say that both are NULL
    // without; samples look for NULL, so a driver must bear it.
    let (raw, translated) =
        if pci::card().root { (ptr::null(), ptr::null()) } else { resources::cm_pointers(list) };
    let parameters = [raw.cast_mut().cast(), translated.cast_mut().cast(), ptr::null_mut(), ptr::null_mut()];
    // SAFETY: as promised.
    unsafe { device::send_pnp(driver, fdo, IRP_MN_START_DEVICE, parameters) }
}

/// Queries that are taken back, and a surprise removal: each must reach `PcDispatchIrp` once, whatever the
/// driver's hook does with it.
///
/// # Safety
/// `driver` is live; no stream is open.
pub unsafe fn pester(driver: *mut DriverObject) {
    /// QUERY_PNP_DEVICE_STATE, QUERY_STOP, CANCEL_STOP, QUERY_REMOVE, CANCEL_REMOVE, SURPRISE_REMOVAL.
    const MINORS: [u8; 6] = [0x14, 5, 6, 1, 3, 0x17];
    for minor in MINORS {
        if let Some(fdo) = fdo() {
            // SAFETY: live driver object and FDO. What the status is, PortCls decides; `send_pnp` checks that
            // it comes through.
            let status = unsafe { device::send_pnp(driver, fdo, minor, [ptr::null_mut(); 4]) };
            crate::kprintln!("PnP minor {minor:#x}: {status}");
        }
    }
}

/// One PnP IRP without parameters, for a client that has a stream open meanwhile.
pub fn send_minor(minor: u8) -> Status {
    match fdo() {
        // SAFETY: the device is started, so the driver object and the FDO are live.
        Some(fdo) => unsafe { device::send_pnp(driver(), fdo, minor, [ptr::null_mut(); 4]) },
        None => Status::INVALID_DEVICE_STATE,
    }
}

/// REMOVE of the target, if there is an FDO: a start that failed is followed by it too.
///
/// # Safety
/// `driver` is live.
pub unsafe fn remove_fdo(driver: *mut DriverObject) {
    if let Some(fdo) = fdo() {
        // SAFETY: live driver object and FDO.
        let status = unsafe { device::send_pnp(driver, fdo, IRP_MN_REMOVE_DEVICE, [ptr::null_mut(); 4]) };
        if !status.is_success() {
            kernel::violation("remove-failed", format_args!("IRP_MN_REMOVE_DEVICE: {status}"));
        }
        check_stopped("IRP_MN_REMOVE_DEVICE");
    }
}

/// REMOVE of every card, and DriverUnload after the last.
///
/// # Safety
/// `driver` is live; its image goes afterwards.
pub unsafe fn tear_down(driver: *mut DriverObject) {
    for card in cards::all() {
        cards::set_target(card.number);
        // SAFETY: live.
        unsafe { remove_fdo(driver) };
    }
    cards::set_target(0);
    // SAFETY: live.
    match unsafe { (*driver).driver_unload } {
        // SAFETY: DriverUnload of the driver (or PortCls' own) with its driver object.
        Some(unload) => driver_call("DriverUnload", irql::PASSIVE, || unsafe { unload(driver) }),
        None => kernel::violation("no-unload", format_args!("the driver has no DriverUnload")),
    }
    if !adapter::is_unloaded() {
        kernel::violation(
            "portcls-unload",
            format_args!("PortCls' DriverUnload was never called: the driver lost it"),
        );
    }
}
