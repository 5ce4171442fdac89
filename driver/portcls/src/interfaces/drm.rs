//! Digital rights of a stream: what the DRM system asks the driver to enforce (drmk.h), and what a port does
//! for a driver that hands protected content on.
//!
//! The pages of IDrmPort's methods name no level; those of the DrmXxx functions that they stand for say
//! PASSIVE_LEVEL.
use crate::com::interface::interface;
use crate::com::params::UnknownIn;
use crate::{ComClass, IUnknown, In, Out};
use core::ffi::c_void;
use nt::sys::DEVICE_OBJECT;

/// Rights of a content. BOOLs of 32 bits: any value but 0 is TRUE.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DRMRIGHTS {
    /// The content may not be stored in anything nonvolatile, nor given to a component that the DRM system
    /// does not know.
    pub CopyProtect: i32,
    /// 0.
    pub Reserved: u32,
    /// The content may not leave the system through a digital output.
    pub DigitalOutputDisable: i32,
}
const _: () =
    assert!(size_of::<DRMRIGHTS>() == 12 && core::mem::offset_of!(DRMRIGHTS, DigitalOutputDisable) == 8);

/// Where protected content goes on to.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct DRMFORWARD {
    /// 0.
    pub Flags: u32,
    /// The device.
    pub DeviceObject: *mut DEVICE_OBJECT,
    /// The file object of its pin.
    pub FileObject: *mut c_void,
    /// That file object again, for a KS device.
    pub Context: *mut c_void,
}
crate::layout!(DRMFORWARD, 32, DeviceObject @ 8, FileObject @ 16, Context @ 24);

interface! {
    /// Content ids; found by `query` on a port. Windows XP.
    IDrmPort: IUnknown, "286D3DF8-CA22-4E2E-B9BC-20B4F0E201CE", implemented as DrmPort: ComClass, table IDrmPortVtbl {
        /// An id for the mix of `count` contents, with the rights that all of them leave; of none: the
        /// default rights.
        3 CreateContentMixed as create_content_mixed(contents: *const u32, count: u32, mixed: Out<'_, u32>) -> status;
        /// Takes such an id back.
        4 DestroyContent as destroy_content(content: u32) -> status;
        /// Obsolete: ForwardContentToDeviceObject. STATUS_NOT_IMPLEMENTED if the pin cannot enforce the
        /// rights.
        5 ForwardContentToFileObject as forward_content_to_file_object(content: u32, file: *mut c_void) -> status;
        /// Hands content to an object that authenticates itself by the code of its first `methods` methods.
        6 ForwardContentToInterface as forward_content_to_interface(content: u32, object: UnknownIn<'_>, methods: u32) -> status;
        /// The rights of a content.
        7 GetContentRights as get_content_rights(content: u32, rights: Out<'_, DRMRIGHTS>) -> status;
    }

    /// The same, and two more.
    IDrmPort2: IDrmPort, "1ACCE59C-7311-4B6B-9FBA-CC3BA59ACDCE", implemented as DrmPort2: DrmPort, table IDrmPort2Vtbl {
        /// Names the functions that see protected content.
        8 AddContentHandlers as add_content_handlers(content: u32, handlers: *mut *mut c_void, count: u32) -> status;
        /// Hands content to another device. `reserved` is NULL.
        9 ForwardContentToDeviceObject as forward_content_to_device_object(content: u32, reserved: *mut c_void, forward: In<'_, DRMFORWARD>) -> status;
    }

    /// A stream that is told of the rights of what it plays.
    IDrmAudioStream: IUnknown, "1915C967-3299-48CB-A3E4-69FD1D1B306E", implemented as DrmAudioStream: ComClass, table IDrmAudioStreamVtbl {
        /// At any time in the stream's life. STATUS_NOT_IMPLEMENTED if the rights can't be enforced; what was
        /// set before holds then.
        3 SetContentId as set_content_id(content: u32, rights: In<'_, DRMRIGHTS>) -> status;
    }
}
