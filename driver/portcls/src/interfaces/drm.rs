//! Digital rights of a stream: what the DRM system asks the driver to enforce (drmk.h).
use crate::com::interface::interface;
use crate::{ComClass, IUnknown, In};

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

interface! {
    /// A stream that is told of the rights of what it plays.
    IDrmAudioStream: IUnknown, "1915C967-3299-48CB-A3E4-69FD1D1B306E", implemented as DrmAudioStream: ComClass, table IDrmAudioStreamVtbl {
        /// At any time in the stream's life. STATUS_NOT_IMPLEMENTED if the rights can't be enforced; what was
        /// set before holds then.
        3 SetContentId as set_content_id(content: u32, rights: In<'_, DRMRIGHTS>) -> status;
    }
}
