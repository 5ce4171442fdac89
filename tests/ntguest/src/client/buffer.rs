//! The promises of a cyclic buffer when it is given and when it is taken back (WAVERT.md 4.4).

use super::format::PcmFormat;
use super::player::{Failed, fail};
use super::stream::{CyclicBuffer, PinStream};
use crate::kernel::{self, pages};
use crate::portcls::fault::{self, Fault};

/// The methods by which a buffer comes and goes.
#[derive(Clone, Copy)]
pub enum Kind {
    /// `AllocateBufferWithNotification`, of so many packets.
    Notification(u32),
    /// `AllocateAudioBuffer`.
    Plain,
}

/// Gives `session` a buffer of at least `bytes`, if what comes is sound, and frees it whatever the session
/// came to.
pub fn with<T>(
    stream: &PinStream,
    kind: Kind,
    format: &PcmFormat,
    bytes: u32,
    session: impl FnOnce(&CyclicBuffer) -> Result<T, Failed>,
) -> Result<T, Failed> {
    let (allocated, allocate, free, packets) = match kind {
        Kind::Notification(packets) => (
            stream.allocate(packets, bytes),
            "AllocateBufferWithNotification",
            "FreeBufferWithNotification",
            packets,
        ),
        Kind::Plain => (stream.allocate_cyclic(bytes), "AllocateAudioBuffer", "FreeAudioBuffer", 1),
    };
    let buffer = allocated.map_err(|status| fail("call-failed", format_args!("{allocate}: {status}")))?;
    let sound = is_sound(&buffer, bytes, packets * u32::from(format.block_align()));
    let result = if sound { session(&buffer) } else { Err(Failed) };
    match kind {
        Kind::Notification(_) => stream.free(&buffer),
        Kind::Plain => stream.free_cyclic(&buffer),
    }
    // What a process leaves that has ended goes when the pin is closed.
    if !stream.has_lost_its_process() {
        expect_freed(&buffer, free);
    }
    result
}

/// Whether a buffer is what was asked for; `whole` is what its size must be a multiple of: packets times
/// bytes of a frame.
fn is_sound(buffer: &CyclicBuffer, asked: u32, whole: u32) -> bool {
    if !pages::is_live(buffer.mdl) {
        kernel::violation("buffer", format_args!("the MDL is not one of the port stream's"));
        return false;
    }
    let held = pages::byte_count(buffer.mdl);
    let asked = if fault::make(Fault::ShortBuffer) { held + 1 } else { asked };
    if buffer.size < asked
        || !buffer.size.is_multiple_of(whole)
        || buffer.offset >= 4096
        || buffer.size.checked_add(buffer.offset).is_none_or(|end| end > held)
    {
        kernel::violation(
            "buffer",
            format_args!(
                "asked for {asked} bytes, got {} at offset {} in an MDL of {held}; a packet is a multiple of {whole}",
                buffer.size, buffer.offset
            ),
        );
        return false;
    }
    if buffer.cache > 2 || pages::mapping_cache(buffer.mdl).is_some_and(|mapped| mapped != buffer.cache) {
        kernel::violation(
            "mdl-cache-type",
            format_args!("the stream reports cache type {} and maps the buffer with another", buffer.cache),
        );
    }
    true
}

/// The client's view of a sound buffer.
pub fn view(buffer: &CyclicBuffer) -> *mut u8 {
    // SAFETY: the view covers the MDL, and offset and size were checked against it by `is_sound`.
    unsafe { pages::user_view(buffer.mdl).add(buffer.offset as usize) }
}

/// After the method `free` its pages must be gone.
pub fn expect_freed(buffer: &CyclicBuffer, free: &str) {
    if pages::is_live(buffer.mdl) {
        kernel::violation("buffer-not-freed", format_args!("{free} left the buffer's MDL allocated"));
    }
}
