//! What Windows' DRM system asks of a render stream, at any time in its life: to play contents with rights
//! (page of
//! `IDrmAudioStream::SetContentId`). Rule `drm-rights`.
//!
//! Content without protection is what everybody plays; no driver refuses it. A driver that can't enforce
//! rights says NOT_IMPLEMENTED. That a render stream has the interface, and that this card, which writes
//! files, takes no protected content, is harsher than Windows: a driver may well stop its outputs instead.

use super::stream::{PinStream, method};
use crate::kernel::call::driver_call;
use crate::kernel::{self, harsh_violation, irql};
use crate::portcls::com::Com;
use crate::portcls::fault::{self, Fault};
use crate::portcls::guid::IID_DRM_AUDIO_STREAM;
use crate::portcls::layout::DrmRights;
use crate::portcls::oracle;
use crate::portcls::status::Status;
use crate::portcls::vtable::DrmAudioStream;
use core::ptr;

const RULE: &str = "drm-rights";
const FREE: DrmRights = DrmRights { copy_protect: 0, reserved: 0, digital_output_disable: 0 };
/// Each flag by itself, and both; TRUE is any value but 0.
const PROTECTED: [DrmRights; 4] = [
    DrmRights { copy_protect: 1, ..FREE },
    DrmRights { digital_output_disable: 1, ..FREE },
    DrmRights { copy_protect: 1, digital_output_disable: 1, ..FREE },
    DrmRights { copy_protect: -1, ..FREE },
];

/// Asks for all of it; `when` says where in the stream's life.
pub fn check_rights(stream: &PinStream, when: &str) {
    let Ok(drm) = stream.stream.query::<DrmAudioStream>(&IID_DRM_AUDIO_STREAM) else {
        harsh_violation(RULE, format_args!("a render stream has no IDrmAudioStream"));
        return;
    };
    drm.check_identity("IDrmAudioStream");
    stream.stream.check_same_object(&drm, "the stream");
    play_freely(stream, &drm, when);
    for rights in PROTECTED {
        let rights = if fault::make(Fault::AnyContent) { FREE } else { rights };
        match set_content_id(stream, &drm, rights) {
            Status::NOT_IMPLEMENTED => {}
            Status::SUCCESS => harsh_violation(RULE, format_args!("{when}: it takes {rights:?}")),
            other => kernel::violation(RULE, format_args!("{when}: {rights:?} is refused with {other}")),
        }
    }
    // What was refused has changed nothing.
    play_freely(stream, &drm, when);
}

fn play_freely(stream: &PinStream, drm: &Com<DrmAudioStream>, when: &str) {
    let status = set_content_id(stream, drm, FREE);
    if !status.is_success() {
        kernel::violation(RULE, format_args!("{when}: content without protection is refused: {status}"));
    }
}

fn set_content_id(stream: &PinStream, drm: &Com<DrmAudioStream>, rights: DrmRights) -> Status {
    const CONTENT: u32 = 0x17;
    let rights = ptr::from_ref(&rights);
    Status(method!(
        stream,
        "IDrmAudioStream::SetContentId",
        irql::PASSIVE,
        drm,
        set_content_id,
        oracle_set_content_id(CONTENT, rights)
    ))
}
