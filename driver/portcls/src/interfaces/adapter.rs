//! What the driver implements for the whole adapter: power and plug and play.
use crate::com::interface::interface;
use crate::{ComClass, IUnknown};
use core::ffi::c_void;
use nt::sys::DEVICE_POWER_STATE;

/// POWER_STATE by value: a union of two enumerations, 4 bytes, in a register.
pub type POWER_STATE = u32;
/// SYSTEM_POWER_STATE.
pub type SYSTEM_POWER_STATE = i32;
/// PC_EXIT_LATENCY: instant 0, fast 1 (about 10 ms), responsive 2 (about 200 ms).
pub type PC_EXIT_LATENCY = i32;
/// PC_REBALANCE_TYPE: not supported 0, remove subdevices 1.
pub type PC_REBALANCE_TYPE = i32;

interface! {
    /// Power of the adapter. PortCls asks for version 3, then 2, then 1; the tables are cumulative.
    IAdapterPowerManagement: IUnknown, "793417D0-35FE-11D1-AD08-00A0C90AB1B0", implemented as AdapterPowerManagement: ComClass, table IAdapterPowerManagementVtbl {
        /// Goes to a state; cannot fail.
        3 PowerChangeState as power_change_state(state: POWER_STATE) -> void;
        /// May it go there? Yes.
        4 QueryPowerChangeState as query_power_change_state(state: POWER_STATE) -> status;
        /// May deepen D-states (DEVICE_CAPABILITIES).
        5 QueryDeviceCapabilities as query_device_capabilities(capabilities: *mut c_void) -> status;
    }

    /// The same, told the system's state too.
    IAdapterPowerManagement2: IAdapterPowerManagement, "E0F92E5D-67F5-48EE-B57A-7D1E90C5F43D", implemented as AdapterPowerManagement2: AdapterPowerManagement, table IAdapterPowerManagement2Vtbl {
        /// Goes to a state; cannot fail.
        6 PowerChangeState2 as power_change_state2(device: DEVICE_POWER_STATE, system: SYSTEM_POWER_STATE) -> void;
    }

    /// The same, told how quickly it must come back.
    IAdapterPowerManagement3: IAdapterPowerManagement2, "A8C7303E-F80C-4BC9-B2E3-FB2D08BE920F", implemented as AdapterPowerManagement3: AdapterPowerManagement2, table IAdapterPowerManagement3Vtbl {
        /// Goes to a state; cannot fail.
        7 PowerChangeState3 as power_change_state3(device: DEVICE_POWER_STATE, system: SYSTEM_POWER_STATE, exit_latency: PC_EXIT_LATENCY) -> void;
        /// Only while in D3.
        8 D3ExitLatencyChanged as d3_exit_latency_changed(exit_latency: PC_EXIT_LATENCY) -> status;
    }

    /// Tells a miniport of a power change.
    IPowerNotify: IUnknown, "3DD648B8-969F-11D1-95A9-00C04FB925D3", implemented as PowerNotify: ComClass, table IPowerNotifyVtbl {
        /// Before going down, after coming up.
        3 PowerChangeNotify as power_change_notify(state: POWER_STATE) -> void;
    }

    /// Resource rebalance of the adapter. The first three are called with the device's lock held: be quick.
    IAdapterPnpManagement: IUnknown, "706F2368-4086-47F5-B913-57B76EED1A32", implemented as AdapterPnpManagement: ComClass, table IAdapterPnpManagementVtbl {
        /// 1: subdevices can be removed; 0: not supported.
        3 GetSupportedRebalanceType as get_supported_rebalance_type() -> PC_REBALANCE_TYPE;
        /// A rebalance is coming.
        4 PnpQueryStop as pnp_query_stop() -> void;
        /// It is not. May come without the former.
        5 PnpCancelStop as pnp_cancel_stop() -> void;
        /// It is here: unregister subdevices and free hardware resources. Without the lock.
        6 PnpStop as pnp_stop() -> void;
    }
}
