//! Digital rights: what the card may not do with a protected content. drmk.h, pages of
//! IDrmAudioStream::SetContentId and of DRMRIGHTS.
//!
//! The card hands what it plays to a process outside of this system, which may write it to a file.
//! CopyProtect forbids the file, DigitalOutputDisable that the samples leave the system at all, and nothing
//! here could keep either promise. So protected contents are refused with the status that the page has for
//! rights that can't be enforced. A content without protection, which every stream plays at first, is taken.
//!
//! *Doubt*: the samples stop to write their files and answer STATUS_SUCCESS. That is right for a file that is
//! a by-product; here it would be silence that claims to have been heard.

use nt::NtResult;
use nt::status::{STATUS_INVALID_PARAMETER, STATUS_NOT_IMPLEMENTED};
use portcls_sys::In;
use portcls_sys::interfaces::{DRMRIGHTS, DrmAudioStream};

use super::Stream;

impl DrmAudioStream for Stream {
    /// The number of the content does not matter, for nothing is forwarded. Of a refusal nothing is
    /// remembered: what was set before, which was no protection, holds (the page). PASSIVE_LEVEL.
    fn set_content_id(&self, _content: u32, rights: In<'_, DRMRIGHTS>) -> NtResult {
        let rights = rights.get().ok_or(STATUS_INVALID_PARAMETER)?;
        if rights.CopyProtect != 0 || rights.DigitalOutputDisable != 0 {
            return Err(STATUS_NOT_IMPLEMENTED);
        }
        Ok(())
    }
}
