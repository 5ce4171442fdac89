//! PnP rebalance: Windows takes the device's resources away (QUERY_STOP, STOP) and gives it others (START).
//!
//! PortCls refuses QUERY_STOP unless the adapter has registered an IAdapterPnpManagement that says that its
//! subdevices can be removed; with streams open it wants the packet interfaces, which this driver has for
//! both directions ("Implement PnP Rebalance for PortCls Audio Drivers"). WAVERT.md 1.3.
//!
//! PcRegisterAdapterPnpManagement is an export since Windows 10 1511. It is imported like every other, for
//! the INF installs this driver on 1809 and later only: an older Windows would refuse the image for the
//! missing export, but is never given it.

use nt::sys::DEVICE_OBJECT;
use portcls_sys::imports::PnpManagement;
use portcls_sys::interfaces::{AdapterPnpManagement, IAdapterPnpManagement, PC_REBALANCE_TYPE};
use portcls_sys::{Com, com_class};

/// PcRebalanceRemoveSubdevices.
const REMOVE_SUBDEVICES: PC_REBALANCE_TYPE = 1;

/// What PortCls calls around QUERY_STOP and STOP.
pub struct Rebalance {
    device: *mut DEVICE_OBJECT,
}

// SAFETY: the device object is used by PnP requests only, which come one at a time.
unsafe impl Send for Rebalance {}
// SAFETY: as above.
unsafe impl Sync for Rebalance {}

com_class! {
    Rebalance {
        0 => IAdapterPnpManagement,
    }
}

impl Rebalance {
    /// Registers one for `device`. Without it the device works, and keeps its resources.
    ///
    /// # Safety
    /// `device` is this driver's FDO, being started, and is still there when the result is dropped.
    pub unsafe fn register(device: *mut DEVICE_OBJECT) -> Option<PnpManagement> {
        let registered = Com::try_new(Self { device }).and_then(|rebalance| {
            // SAFETY: by contract.
            unsafe { PnpManagement::register(device, &rebalance.to_unknown()) }
        });
        if let Err(status) = registered {
            log::warn!("the device's resources stay as they are: {status:#010x}");
        }
        registered.ok()
    }
}

impl AdapterPnpManagement for Rebalance {
    fn get_supported_rebalance_type(&self) -> PC_REBALANCE_TYPE {
        REMOVE_SUBDEVICES
    }

    /// PortCls holds back new streams by itself from here on; those that are open go on until STOP.
    fn pnp_query_stop(&self) {
        log::info!("a stop may come");
    }

    /// May come without the former.
    fn pnp_cancel_stop(&self) {
        log::info!("no stop comes");
    }

    fn pnp_stop(&self) {
        log::info!("stopped: the filters are unregistered");
        // SAFETY: the FDO that PortCls has it registered for, being stopped.
        unsafe { super::pnp_stop(self.device) };
    }
}
