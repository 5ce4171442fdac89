//! `IPortClsPower`, `IPortClsRuntimePower` and `IPortClsPnp` of the ports: the ways to register for power and
//! PnP that do not need an import of portcls.sys (slots as portcls.h has them; the pages of the three
//! interfaces).

use super::adapter;
use super::guid::{Guid, IID_PORT_CLS_PNP, IID_PORT_CLS_POWER, IID_PORT_CLS_RUNTIME_POWER};
use super::layout::DeviceObject;
use super::object::{self, Interface};
use super::status::Status;
use super::vtable::{This, Unknown};
use crate::kernel::sync::IrqLock;
use crate::kernel::{self, irql};
use core::ffi::c_void;

type Fdo = *mut DeviceObject;

#[repr(C)]
struct PowerVtable {
    unknown: Unknown,
    register: unsafe extern "win64" fn(This, This, Fdo) -> i32,
    unregister: unsafe extern "win64" fn(This, Fdo) -> i32,
    set_idle: unsafe extern "win64" fn(This, Fdo, u8) -> i32,
}

/// Code, input and its size, output and its size, bytes written, context.
type PowerControlCallback = unsafe extern "win64" fn(
    *const Guid,
    *mut c_void,
    usize,
    *mut c_void,
    usize,
    *mut usize,
    *mut c_void,
) -> i32;

#[repr(C)]
struct RuntimePowerVtable {
    unknown: Unknown,
    send: unsafe extern "win64" fn(
        This,
        Fdo,
        *const Guid,
        *mut c_void,
        usize,
        *mut c_void,
        usize,
        *mut usize,
    ) -> i32,
    register: unsafe extern "win64" fn(This, Fdo, Option<PowerControlCallback>, *mut c_void) -> i32,
    unregister: unsafe extern "win64" fn(This, Fdo) -> i32,
}

#[repr(C)]
struct PnpVtable {
    unknown: Unknown,
    register: unsafe extern "win64" fn(This, This, Fdo) -> i32,
    unregister: unsafe extern "win64" fn(This, Fdo) -> i32,
}

static POWER: PowerVtable = PowerVtable {
    unknown: object::UNKNOWN,
    register: register_power,
    unregister: unregister_power,
    set_idle: set_idle_power_management,
};
static RUNTIME_POWER: RuntimePowerVtable = RuntimePowerVtable {
    unknown: object::UNKNOWN,
    send: send_power_control,
    register: register_power_control_callback,
    unregister: unregister_power_control_callback,
};
static PNP: PnpVtable =
    PnpVtable { unknown: object::UNKNOWN, register: register_pnp, unregister: unregister_pnp };

/// Whether a callback for power controls is registered: one a device.
static CALLBACK: IrqLock<bool> = IrqLock::new(false);

/// The three interfaces, for a new port.
pub fn interfaces() -> [Interface; 3] {
    [
        Interface { iids: &[IID_PORT_CLS_POWER], vtable: (&raw const POWER).cast() },
        Interface { iids: &[IID_PORT_CLS_RUNTIME_POWER], vtable: (&raw const RUNTIME_POWER).cast() },
        Interface { iids: &[IID_PORT_CLS_PNP], vtable: (&raw const PNP).cast() },
    ]
}

/// What holds for every method: the level, an object of ours, the FDO. Whose FDO it is.
fn device(this: This, fdo: Fdo, method: &'static str) -> Option<usize> {
    irql::require(method, irql::PASSIVE);
    object::find(this, method).and_then(|_| adapter::device_of_fdo(fdo, method))
}

fn enter(this: This, fdo: Fdo, method: &'static str) -> bool {
    device(this, fdo, method).is_some()
}

unsafe extern "win64" fn register_power(this: This, unknown: This, fdo: Fdo) -> i32 {
    let Some(device) = device(this, fdo, "IPortClsPower::RegisterAdapterPowerManagement") else {
        return Status::INVALID_PARAMETER.0;
    };
    // SAFETY: an object of the driver, or null.
    unsafe { adapter::register_power(device, unknown).0 }
}

unsafe extern "win64" fn unregister_power(this: This, fdo: Fdo) -> i32 {
    let Some(device) = device(this, fdo, "IPortClsPower::UnregisterAdapterPowerManagement") else {
        return Status::INVALID_PARAMETER.0;
    };
    adapter::unregister_power(device).0
}

/// The device never idles here.
unsafe extern "win64" fn set_idle_power_management(this: This, fdo: Fdo, enabled: u8) -> i32 {
    if !enter(this, fdo, "IPortClsPower::SetIdlePowerManagement") {
        return Status::INVALID_PARAMETER.0;
    }
    crate::kprintln!("idle power management is {}", if enabled == 0 { "off" } else { "on" });
    Status::SUCCESS.0
}

/// Nobody below answers: there is no power framework plug-in for the card.
unsafe extern "win64" fn send_power_control(
    this: This,
    fdo: Fdo,
    code: *const Guid,
    _input: *mut c_void,
    _input_bytes: usize,
    _output: *mut c_void,
    _output_bytes: usize,
    written: *mut usize,
) -> i32 {
    const METHOD: &str = "IPortClsRuntimePower::SendPowerControl";
    if !enter(this, fdo, METHOD) || code.is_null() {
        return Status::INVALID_PARAMETER.0;
    }
    if !written.is_null() {
        // SAFETY: not null, the caller's slot.
        unsafe { written.write(0) };
    }
    Status::NOT_SUPPORTED.0
}

unsafe extern "win64" fn register_power_control_callback(
    this: This,
    fdo: Fdo,
    callback: Option<PowerControlCallback>,
    _context: *mut c_void,
) -> i32 {
    const METHOD: &str = "IPortClsRuntimePower::RegisterPowerControlCallback";
    let inside = callback.is_some_and(|callback| adapter::is_driver_code(callback as usize));
    if !enter(this, fdo, METHOD) || !inside {
        return Status::INVALID_PARAMETER.0;
    }
    if core::mem::replace(&mut *CALLBACK.lock(), true) {
        kernel::violation("power-callback", format_args!("{METHOD} called twice, {}", object::lately()));
        return Status::INVALID_DEVICE_STATE.0;
    }
    Status::SUCCESS.0
}

unsafe extern "win64" fn unregister_power_control_callback(this: This, fdo: Fdo) -> i32 {
    const METHOD: &str = "IPortClsRuntimePower::UnregisterPowerControlCallback";
    if !enter(this, fdo, METHOD) {
        return Status::INVALID_PARAMETER.0;
    }
    if !core::mem::replace(&mut *CALLBACK.lock(), false) {
        kernel::violation("power-callback", format_args!("{METHOD} without one, {}", object::lately()));
        return Status::INVALID_DEVICE_STATE.0;
    }
    Status::SUCCESS.0
}

unsafe extern "win64" fn register_pnp(this: This, unknown: This, fdo: Fdo) -> i32 {
    let Some(device) = device(this, fdo, "IPortClsPnp::RegisterAdapterPnpManagement") else {
        return Status::INVALID_PARAMETER.0;
    };
    // SAFETY: an object of the driver, or null.
    unsafe { adapter::register_pnp(device, unknown).0 }
}

unsafe extern "win64" fn unregister_pnp(this: This, fdo: Fdo) -> i32 {
    let Some(device) = device(this, fdo, "IPortClsPnp::UnregisterAdapterPnpManagement") else {
        return Status::INVALID_PARAMETER.0;
    };
    adapter::unregister_pnp(device).0
}
