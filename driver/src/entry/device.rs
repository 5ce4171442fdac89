//! A started device: the adapter with its card, and the filters that are registered for it.

use alloc::boxed::Box;

use nt::NtResult;
use nt::pool::try_box;
use portcls_sys::imports::PnpManagement;
use portcls_sys::interfaces::IResourceList;
use portcls_sys::{Com, ComRef};

use super::rebalance::Rebalance;
use super::subdevices::{Installation, Stale, Subdevices};
use crate::adapter::Adapter;
use crate::hw::{self, MemoryRange, Resources};

/// A device from its START on. It keeps its filters over a STOP.
pub struct StartedDevice {
    /// Card, interrupt, DPC, power.
    adapter: Com<Adapter>,
    /// What is registered with PortCls. It holds the ports, and these hold the miniports, and these the
    /// adapter.
    pub subdevices: Subdevices,
    /// That PortCls may ask whether the device can be stopped. It stays registered over a STOP; dropped
    /// before SURPRISE_REMOVAL and REMOVE are PortCls'.
    pub rebalance: Option<PnpManagement>,
}

/// What a device that starts again has left of the time before its STOP.
#[derive(Default)]
pub struct Before {
    /// The filters, if PnpStop did not come.
    pub stale: Stale,
    /// The registration.
    pub rebalance: Option<PnpManagement>,
}

impl StartedDevice {
    /// StartDevice, step by step. If one fails those before it are undone, and nothing stays registered.
    ///
    /// *Doubt*: the probe's IRP_MN_QUERY_INTERFACE goes to the top of the stack, as the WDK's sample sends it
    /// (*Obtaining Device Configuration Information at IRQL = DISPATCH_LEVEL*), so that PortCls is entered
    /// again while it serves START. No page says what PortCls does with it; a driver hands on what it does
    /// not know (page of DispatchPnP routines).
    ///
    /// # Safety
    /// What `installation` names is this driver's FDO, its PDO, its START request and its resources.
    /// [`stop`](Self::stop) is called before the FDO goes.
    pub unsafe fn start(installation: &Installation<'_>, before: Before) -> NtResult<Box<Self>> {
        // SAFETY: by contract.
        let card = unsafe { hw::probe(installation.pdo, &memory(installation.resources))? };
        let adapter = Adapter::try_new(installation.device, card)?;
        // SAFETY: by contract; `stop` undoes whatever was done.
        let subdevices = unsafe { Self::wire(installation, &adapter, before.stale) };
        let started = subdevices.and_then(|subdevices| {
            let adapter = adapter.clone();
            // SAFETY: by contract; dropped before the FDO goes.
            let register = || unsafe { Rebalance::register(installation.device) };
            let rebalance = before.rebalance.or_else(register);
            try_box(Self { adapter, subdevices, rebalance })
        });
        if started.is_err() {
            adapter.stop();
        }
        started
    }

    /// Interrupt, power management, filters.
    ///
    /// # Safety
    /// As [`start`](Self::start).
    unsafe fn wire(
        installation: &Installation<'_>,
        adapter: &Com<Adapter>,
        stale: Stale,
    ) -> NtResult<Subdevices> {
        // SAFETY: by contract.
        unsafe {
            adapter.connect(installation.pdo)?;
            Adapter::register_power(adapter)?;
            Subdevices::install(installation, adapter, stale)
        }
    }

    /// The device stops, goes or is gone: nobody reaches the card any more. The filters stay registered, as
    /// the samples leave them. May be called again. PASSIVE_LEVEL.
    pub fn stop(&mut self) {
        self.subdevices.stop_listening();
        self.adapter.stop();
    }

    /// IAdapterPnpManagement::PnpStop: the filters are unregistered too. Streams may still be open; nothing
    /// waits for them. May be called again. PASSIVE_LEVEL, without the device global lock.
    pub fn stop_and_unregister(&mut self) {
        self.stop();
        self.subdevices = Subdevices::default();
    }
}

/// The memory resources as a card needs them; they come in the order of the BARs.
// Not inlined: as the probe.
#[inline(never)]
fn memory(resources: &ComRef<IResourceList>) -> Resources {
    let mut indices = 0..;
    Resources([(); _].map(|()| {
        let range = resources.memory(indices.next()?)?;
        Some(MemoryRange { address: range.start, raw: range.raw, bytes: usize::try_from(range.length).ok()? })
    }))
}
