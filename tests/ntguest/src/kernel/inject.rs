//! Failures on purpose. `fail_pool=3` in `ntguest.cfg` makes the third call of that kind of the run fail;
//! `client=failing-calls` goes through all of them: it arms the nth call from now on, of whatever kind, and
//! is told which one it was. A driver must then fail cleanly and leave nothing behind (as Driver Verifier's
//! low-resources simulation, WAVERT.md 8).
//!
//! Only calls of the driver pass by here, not those of ntguest for itself. Where a page says no more of a
//! failure than "an appropriate error code", STATUS_INSUFFICIENT_RESOURCES stands for all of them.

use core::sync::atomic::{AtomicU64, Ordering};

use super::sync::IrqLock;
use super::{caller, cfg, thread};
use crate::portcls::status::Status;

/// A call that can be made to fail.
pub struct Call {
    /// The name of its page.
    pub name: &'static str,
    /// The key of ntguest.cfg that makes one call of the run fail.
    key: Option<&'static str>,
    /// What it fails with, one after the other. Where it returns NULL, what a driver makes of that.
    pub errors: &'static [Status],
    calls: AtomicU64,
}

const MEMORY: &[Status] = &[Status::INSUFFICIENT_RESOURCES];

/// ExAllocatePool*: NULL.
pub static POOL: Call = Call::with_key("ExAllocatePool", "fail_pool", MEMORY);
/// ExAllocateTimer: NULL.
pub static TIMER: Call = Call::new("ExAllocateTimer", MEMORY);
/// MmMapIoSpace*: NULL.
pub static MAP_IO: Call = Call::with_key("MmMapIoSpace", "fail_map_io", MEMORY);
/// MmAllocateContiguous*: NULL.
pub static CONTIGUOUS: Call = Call::with_key("MmAllocateContiguous", "fail_contiguous", MEMORY);
/// IoConnectInterruptEx. Its page names STATUS_NOT_FOUND for messages that are not there.
pub static CONNECT: Call = Call::with_key(
    "IoConnectInterruptEx",
    "fail_connect",
    &[Status::INSUFFICIENT_RESOURCES, Status::NOT_FOUND],
);
/// IoAllocateIrp, IoBuildSynchronousFsdRequest, IoBuildDeviceIoControlRequest: NULL.
pub static IRP: Call = Call::new("IoBuildSynchronousFsdRequest", MEMORY);
/// IRP_MN_QUERY_INTERFACE, answered by the bus: a bus without the interface leaves the status, and one that
/// has no memory says so (its page).
pub static BUS_INTERFACE: Call =
    Call::new("IRP_MN_QUERY_INTERFACE", &[Status::NOT_SUPPORTED, Status::INSUFFICIENT_RESOURCES]);
/// IoRegisterDeviceInterface. Its page names STATUS_INVALID_DEVICE_REQUEST.
pub static REGISTER_INTERFACE: Call =
    Call::new("IoRegisterDeviceInterface", &[Status::INVALID_DEVICE_REQUEST, Status::INSUFFICIENT_RESOURCES]);
/// IoSetDeviceInterfacePropertyData.
pub static INTERFACE_PROPERTY: Call = Call::new("IoSetDeviceInterfacePropertyData", MEMORY);

/// PcInitializeAdapterDriver.
pub static INITIALIZE_DRIVER: Call = Call::new("PcInitializeAdapterDriver", MEMORY);
/// PcAddAdapterDevice.
pub static ADD_DEVICE: Call = Call::new("PcAddAdapterDevice", MEMORY);
/// PcNewPort. Its page: STATUS_NOT_SUPPORTED for a class that the system has not.
pub static NEW_PORT: Call = Call::new("PcNewPort", &[Status::INSUFFICIENT_RESOURCES, Status::NOT_SUPPORTED]);
/// PcRegisterSubdevice.
pub static REGISTER_SUBDEVICE: Call = Call::new("PcRegisterSubdevice", MEMORY);
/// PcRegisterPhysicalConnection*.
pub static REGISTER_CONNECTION: Call = Call::new("PcRegisterPhysicalConnection", MEMORY);
/// PcRegisterAdapterPowerManagement.
pub static REGISTER_POWER: Call = Call::new("PcRegisterAdapterPowerManagement", MEMORY);
/// PcUnregisterAdapterPowerManagement.
pub static UNREGISTER_POWER: Call = Call::new("PcUnregisterAdapterPowerManagement", &[Status::UNSUCCESSFUL]);
/// PcRegisterAdapterPnpManagement.
pub static REGISTER_PNP: Call = Call::new("PcRegisterAdapterPnpManagement", MEMORY);
/// PcUnregisterAdapterPnpManagement.
pub static UNREGISTER_PNP: Call = Call::new("PcUnregisterAdapterPnpManagement", &[Status::UNSUCCESSFUL]);
/// PcAddStreamResource.
pub static ADD_RESOURCE: Call = Call::new("PcAddStreamResource", MEMORY);
/// PcRemoveStreamResource.
pub static REMOVE_RESOURCE: Call = Call::new("PcRemoveStreamResource", &[Status::UNSUCCESSFUL]);
/// PcGetPhysicalDeviceObject.
pub static PHYSICAL_DEVICE: Call = Call::new("PcGetPhysicalDeviceObject", &[Status::UNSUCCESSFUL]);
/// PcNewRegistryKey and IPort::NewRegistryKey: the key is not there, or may not be read.
pub static NEW_KEY: Call =
    Call::new("NewRegistryKey", &[Status::INSUFFICIENT_RESOURCES, Status::OBJECT_NAME_NOT_FOUND]);
/// IRegistryKey::QueryValueKey: the value is not there, or memory is short (its page).
pub static QUERY_VALUE: Call = Call::new(
    "IRegistryKey::QueryValueKey",
    &[Status::OBJECT_NAME_NOT_FOUND, Status::INSUFFICIENT_RESOURCES],
);

/// IPort::Init, before the miniport has heard of it.
pub static PORT_INIT: Call = Call::new("IPort::Init", MEMORY);
/// IPort::Init, after the miniport's own Init and GetDescription succeeded.
pub static PORT_INIT_LATE: Call = Call::new("IPort::Init (late)", MEMORY);
/// QueryInterface of an object of PortCls for anything but IUnknown: an older Windows has fewer.
pub static QUERY_INTERFACE: Call = Call::new("QueryInterface", &[Status::NOINTERFACE]);
/// IResourceList::NumberOfEntriesOfType: there is none.
pub static COUNT_RESOURCES: Call =
    Call::new("IResourceList::NumberOfEntriesOfType", &[Status::DEVICE_CONFIGURATION_ERROR]);
/// IResourceList::FindTranslatedEntry: NULL.
pub static FIND_RESOURCE: Call =
    Call::new("IResourceList::FindTranslatedEntry", &[Status::DEVICE_CONFIGURATION_ERROR]);
/// IPortWaveRTStream::AllocatePagesForMdl: NULL.
pub static ALLOCATE_PAGES: Call = Call::new("AllocatePagesForMdl", MEMORY);
/// The same, and half of what was asked for is given: its page promises no more than "fewer".
pub static SHORT_PAGES: Call = Call::new("AllocatePagesForMdl (short)", MEMORY);
/// IPortWaveRTStream::AllocateContiguousPagesForMdl: NULL.
pub static CONTIGUOUS_PAGES: Call = Call::new("AllocateContiguousPagesForMdl", MEMORY);
/// IPortWaveRTStream::MapAllocatedPages: NULL.
pub static MAP_PAGES: Call = Call::new("MapAllocatedPages", MEMORY);
/// IPortClsEtwHelper::MiniportWriteEtwEvent.
pub static WRITE_EVENT: Call = Call::new("MiniportWriteEtwEvent", &[Status::UNSUCCESSFUL]);

/// The call that is to fail.
struct Armed {
    /// How many calls from now, from 1; 0 is none.
    in_calls: u64,
    /// Which of its errors; a call that has fewer does not fail.
    error: usize,
    failed: Option<(&'static Call, Option<Status>)>,
    /// A thread whose calls are not counted and do not fail; 0 is none.
    spared: usize,
}

static ARMED: IrqLock<Armed> = IrqLock::new(Armed { in_calls: 0, error: 0, failed: None, spared: 0 });

/// The `in_calls`th call from now on is to fail with its error number `error`.
pub fn arm(in_calls: u64, error: usize) {
    *ARMED.lock() = Armed { in_calls, error, failed: None, spared: 0 };
}

/// Calls that failed by [`fail_soon`].
static RANDOM_FAILURES: AtomicU64 = AtomicU64::new(0);

/// The same, in whichever thread but `spared`, and nobody asks which one it was.
pub fn fail_soon(in_calls: u32, error: usize, spared: usize) {
    *ARMED.lock() = Armed { in_calls: u64::from(in_calls), error, failed: None, spared };
}

/// How many calls have failed so.
pub fn random_failures() -> u64 {
    RANDOM_FAILURES.load(Ordering::Relaxed)
}

/// Nothing is to fail any more. The call that was reached, and what it failed with; no status if it has not
/// so many errors.
pub fn disarm() -> Option<(&'static Call, Option<Status>)> {
    let mut armed = ARMED.lock();
    armed.in_calls = 0;
    armed.failed.take()
}

/// Whether an armed call was reached, and failed.
pub fn has_failed() -> bool {
    ARMED.lock().failed.is_some_and(|(_, status)| status.is_some())
}

impl Call {
    const fn new(name: &'static str, errors: &'static [Status]) -> Self {
        Self { name, key: None, errors, calls: AtomicU64::new(0) }
    }

    const fn with_key(name: &'static str, key: &'static str, errors: &'static [Status]) -> Self {
        Self { name, key: Some(key), errors, calls: AtomicU64::new(0) }
    }

    /// Counts the call; what it fails with when it is the one to fail.
    pub fn fails(&'static self) -> Option<Status> {
        let call = self.calls.fetch_add(1, Ordering::Relaxed) + 1;
        let configured = self.key.is_some_and(|key| call == cfg::get_u64(key, 0));
        let status = if configured { self.errors.first().copied() } else { self.is_armed() };
        if let Some(status) = status {
            crate::kprintln!("{} number {call} fails on purpose, {status}, {}", self.name, caller());
        }
        status
    }

    fn is_armed(&'static self) -> Option<Status> {
        let mut armed = ARMED.lock();
        let is_spared = armed.spared != 0 && armed.spared == thread::current_object();
        if armed.in_calls == 0 || is_spared {
            return None;
        }
        armed.in_calls -= 1;
        if armed.in_calls > 0 {
            return None;
        }
        let status = self.errors.get(armed.error).copied();
        armed.failed = Some((self, status));
        if armed.spared != 0 && status.is_some() {
            RANDOM_FAILURES.fetch_add(1, Ordering::Relaxed);
        }
        status
    }
}
