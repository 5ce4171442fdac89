//! `IUnregisterSubdevice` and `IUnregisterPhysicalConnection` of every port: what takes subdevices and
//! connections back.

use super::layout::DeviceObject;
use super::object::{self, Interface};
use super::port::{self, Port};
use super::status::Status;
use super::subdevice::{self, End};
use super::vtable::{This, Unknown};
use super::{
    adapter,
    guid::{IID_UNREGISTER_PHYSICAL_CONNECTION, IID_UNREGISTER_SUBDEVICE},
};
use crate::kernel::irql;
use core::ffi::c_void;

#[repr(C)]
struct SubdeviceVtable {
    unknown: Unknown,
    unregister: unsafe extern "win64" fn(This, *mut DeviceObject, This) -> i32,
}

#[repr(C)]
struct ConnectionVtable {
    unknown: Unknown,
    unregister: unsafe extern "win64" fn(This, *mut DeviceObject, This, u32, This, u32) -> i32,
    unregister_to_external:
        unsafe extern "win64" fn(This, *mut DeviceObject, This, u32, *mut c_void, u32) -> i32,
    unregister_from_external:
        unsafe extern "win64" fn(This, *mut DeviceObject, *mut c_void, u32, This, u32) -> i32,
}

static SUBDEVICE: SubdeviceVtable =
    SubdeviceVtable { unknown: object::UNKNOWN, unregister: unregister_subdevice };
static CONNECTION: ConnectionVtable = ConnectionVtable {
    unknown: object::UNKNOWN,
    unregister: unregister_connection,
    unregister_to_external,
    unregister_from_external,
};

/// The two interfaces, for a new port.
pub fn interfaces() -> [Interface; 2] {
    [
        Interface { iids: &[IID_UNREGISTER_SUBDEVICE], vtable: (&raw const SUBDEVICE).cast() },
        Interface { iids: &[IID_UNREGISTER_PHYSICAL_CONNECTION], vtable: (&raw const CONNECTION).cast() },
    ]
}

unsafe extern "win64" fn unregister_subdevice(this: This, fdo: *mut DeviceObject, port: This) -> i32 {
    const METHOD: &str = "IUnregisterSubdevice::UnregisterSubdevice";
    irql::require(METHOD, irql::PASSIVE);
    if object::find_body::<Port>(this, METHOD).is_none() || !adapter::is_fdo(fdo, METHOD) {
        return Status::INVALID_PARAMETER.0;
    }
    let Some((port, _)) = object::find_body::<Port>(port, METHOD) else { return Status::INVALID_PARAMETER.0 };
    subdevice::unregister(port).0
}

/// A connection is taken back by any port of the adapter.
fn disconnect(
    this: This,
    fdo: *mut DeviceObject,
    method: &'static str,
    from: Option<End>,
    to: Option<End>,
) -> i32 {
    irql::require(method, irql::PASSIVE);
    if object::find_body::<Port>(this, method).is_none() || !adapter::is_fdo(fdo, method) {
        return Status::INVALID_PARAMETER.0;
    }
    let (Some(from), Some(to)) = (from, to) else { return Status::INVALID_PARAMETER.0 };
    subdevice::disconnect(from, to).0
}

unsafe extern "win64" fn unregister_connection(
    this: This,
    fdo: *mut DeviceObject,
    from: This,
    from_pin: u32,
    to: This,
    to_pin: u32,
) -> i32 {
    const METHOD: &str = "UnregisterPhysicalConnection";
    disconnect(this, fdo, METHOD, port::end(from, from_pin, METHOD), port::end(to, to_pin, METHOD))
}

unsafe extern "win64" fn unregister_to_external(
    this: This,
    fdo: *mut DeviceObject,
    from: This,
    from_pin: u32,
    _to: *mut c_void,
    to_pin: u32,
) -> i32 {
    const METHOD: &str = "UnregisterPhysicalConnectionToExternal";
    disconnect(this, fdo, METHOD, port::end(from, from_pin, METHOD), Some(End::External(to_pin)))
}

unsafe extern "win64" fn unregister_from_external(
    this: This,
    fdo: *mut DeviceObject,
    _from: *mut c_void,
    from_pin: u32,
    to: This,
    to_pin: u32,
) -> i32 {
    const METHOD: &str = "UnregisterPhysicalConnectionFromExternal";
    disconnect(this, fdo, METHOD, Some(End::External(from_pin)), port::end(to, to_pin, METHOD))
}
