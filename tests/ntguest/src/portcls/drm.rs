//! Digital rights: `IDrmPort2` of the ports and the `Pc*Content*` exports, which do the same. No content is
//! protected here: every content has all rights, and what is checked is that a driver gives back what it
//! mixed (rule `drm-content`).

use super::guid::{IID_DRM_PORT, IID_DRM_PORT2};
use super::object::{self, Interface};
use super::status::Status;
use super::vtable::{This, Unknown};
use crate::kernel::sync::IrqLock;
use crate::kernel::{self, irql};
use alloc::vec::Vec;
use core::ffi::c_void;

/// `DRMRIGHTS`: CopyProtect, Reserved, DigitalOutputDisable.
pub type Rights = [u32; 3];

/// Contents that were mixed and not destroyed; numbers of content begin where no client's are.
struct Contents {
    live: Vec<u32>,
    last: u32,
}

static CONTENTS: IrqLock<Contents> = IrqLock::new(Contents { live: Vec::new(), last: 0x4000_0000 });

#[repr(C)]
struct Vtable {
    unknown: Unknown,
    create_content_mixed: unsafe extern "win64" fn(This, *const u32, u32, *mut u32) -> i32,
    destroy_content: unsafe extern "win64" fn(This, u32) -> i32,
    forward_to_file_object: unsafe extern "win64" fn(This, u32, *mut c_void) -> i32,
    forward_to_interface: unsafe extern "win64" fn(This, u32, This, u32) -> i32,
    get_content_rights: unsafe extern "win64" fn(This, u32, *mut Rights) -> i32,
    add_content_handlers: unsafe extern "win64" fn(This, u32, *const *mut c_void, u32) -> i32,
    forward_to_device_object: unsafe extern "win64" fn(This, u32, *mut c_void, *const c_void) -> i32,
}

static VTABLE: Vtable = Vtable {
    unknown: object::UNKNOWN,
    create_content_mixed: port_create_content_mixed,
    destroy_content: port_destroy_content,
    forward_to_file_object: port_forward_to_file_object,
    forward_to_interface: port_forward_to_interface,
    get_content_rights: port_get_content_rights,
    add_content_handlers: port_add_content_handlers,
    forward_to_device_object: port_forward_to_device_object,
};

/// `IDrmPort2`, which begins with `IDrmPort`, for a new port.
pub fn interface() -> Interface {
    Interface { iids: &[IID_DRM_PORT2, IID_DRM_PORT], vtable: (&raw const VTABLE).cast() }
}

fn refuse(what: core::fmt::Arguments<'_>) -> i32 {
    kernel::violation("drm-content", format_args!("{what}, {}", kernel::caller()));
    Status::INVALID_PARAMETER.0
}

/// What was mixed and never destroyed.
pub fn check_leaks() {
    let left = CONTENTS.lock().live.len();
    if left > 0 {
        refuse(format_args!("{left} content(s) were mixed and never destroyed"));
    }
}

/// PcCreateContentMixed(contents, their number, out mixed content)
pub unsafe extern "win64" fn create_content_mixed(contents: *const u32, count: u32, out: *mut u32) -> i32 {
    irql::require("PcCreateContentMixed", irql::PASSIVE);
    if out.is_null() || (contents.is_null() && count > 0) {
        return refuse(format_args!("PcCreateContentMixed without contents or a place for the result"));
    }
    let mut contents = CONTENTS.lock();
    contents.last += 1;
    let mixed = contents.last;
    contents.live.push(mixed);
    drop(contents);
    // SAFETY: not null, the driver's slot.
    unsafe { out.write(mixed) };
    Status::SUCCESS.0
}

/// PcDestroyContent(content)
pub extern "win64" fn destroy_content(content: u32) -> i32 {
    irql::require("PcDestroyContent", irql::PASSIVE);
    let known = {
        let mut contents = CONTENTS.lock();
        let before = contents.live.len();
        contents.live.retain(|live| *live != content);
        contents.live.len() != before
    };
    if known {
        Status::SUCCESS.0
    } else {
        refuse(format_args!("PcDestroyContent of {content:#x}, which was not mixed"))
    }
}

/// PcGetContentRights(content, out rights)
pub unsafe extern "win64" fn get_content_rights(_content: u32, out: *mut Rights) -> i32 {
    irql::require("PcGetContentRights", irql::PASSIVE);
    if out.is_null() {
        return refuse(format_args!("PcGetContentRights without a place for the rights"));
    }
    // SAFETY: not null, the driver's structure.
    unsafe { out.write_unaligned([0; 3]) };
    Status::SUCCESS.0
}

/// PcAddContentHandlers(content, handlers, their number)
pub unsafe extern "win64" fn add_content_handlers(_: u32, handlers: *const *mut c_void, count: u32) -> i32 {
    irql::require("PcAddContentHandlers", irql::PASSIVE);
    if handlers.is_null() && count > 0 {
        return refuse(format_args!("PcAddContentHandlers without handlers"));
    }
    Status::SUCCESS.0
}

/// PcForwardContentToFileObject(content, file object)
pub extern "win64" fn forward_to_file_object(_: u32, file: *mut c_void) -> i32 {
    forward("PcForwardContentToFileObject", !file.is_null())
}

/// PcForwardContentToInterface(content, object, number of its methods)
pub extern "win64" fn forward_to_interface(_: u32, unknown: This, methods: u32) -> i32 {
    forward("PcForwardContentToInterface", !unknown.is_null() && methods >= 3)
}

/// PcForwardContentToDeviceObject(content, reserved, forward)
pub extern "win64" fn forward_to_device_object(_: u32, reserved: *mut c_void, to: *const c_void) -> i32 {
    forward("PcForwardContentToDeviceObject", reserved.is_null() && !to.is_null())
}

fn forward(service: &'static str, good: bool) -> i32 {
    irql::require(service, irql::PASSIVE);
    if good { Status::SUCCESS.0 } else { refuse(format_args!("{service} with bad arguments")) }
}

fn known(this: This, method: &str) -> bool {
    object::find(this, method).is_some()
}

unsafe extern "win64" fn port_create_content_mixed(
    this: This,
    ids: *const u32,
    n: u32,
    out: *mut u32,
) -> i32 {
    if !known(this, "IDrmPort::CreateContentMixed") {
        return Status::INVALID_PARAMETER.0;
    }
    // SAFETY: the driver's arguments, or null.
    unsafe { create_content_mixed(ids, n, out) }
}

unsafe extern "win64" fn port_destroy_content(this: This, content: u32) -> i32 {
    if known(this, "IDrmPort::DestroyContent") {
        destroy_content(content)
    } else {
        Status::INVALID_PARAMETER.0
    }
}

unsafe extern "win64" fn port_forward_to_file_object(this: This, content: u32, file: *mut c_void) -> i32 {
    if known(this, "IDrmPort::ForwardContentToFileObject") {
        forward_to_file_object(content, file)
    } else {
        Status::INVALID_PARAMETER.0
    }
}

unsafe extern "win64" fn port_forward_to_interface(this: This, content: u32, to: This, methods: u32) -> i32 {
    if known(this, "IDrmPort::ForwardContentToInterface") {
        forward_to_interface(content, to, methods)
    } else {
        Status::INVALID_PARAMETER.0
    }
}

unsafe extern "win64" fn port_get_content_rights(this: This, content: u32, out: *mut Rights) -> i32 {
    if !known(this, "IDrmPort::GetContentRights") {
        return Status::INVALID_PARAMETER.0;
    }
    // SAFETY: the driver's structure, or null.
    unsafe { get_content_rights(content, out) }
}

unsafe extern "win64" fn port_add_content_handlers(
    this: This,
    content: u32,
    handlers: *const *mut c_void,
    count: u32,
) -> i32 {
    if !known(this, "IDrmPort2::AddContentHandlers") {
        return Status::INVALID_PARAMETER.0;
    }
    // SAFETY: the driver's array, or null.
    unsafe { add_content_handlers(content, handlers, count) }
}

unsafe extern "win64" fn port_forward_to_device_object(
    this: This,
    content: u32,
    reserved: *mut c_void,
    to: *const c_void,
) -> i32 {
    if known(this, "IDrmPort2::ForwardContentToDeviceObject") {
        forward_to_device_object(content, reserved, to)
    } else {
        Status::INVALID_PARAMETER.0
    }
}
