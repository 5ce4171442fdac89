//! The client: what an audio application and Windows' audio engine do with an endpoint, on a thread of their own.
//!
//! The reader of WAV files, the stream formats, the packets and the judge of positions are pure and tested on the host.

pub mod format;
pub mod packets;
pub mod position;
pub mod wav;

#[cfg(target_os = "uefi")]
mod negotiate;
#[cfg(target_os = "uefi")]
mod play;
#[cfg(target_os = "uefi")]
mod player;
#[cfg(target_os = "uefi")]
mod poller;
#[cfg(target_os = "uefi")]
mod stream;
#[cfg(target_os = "uefi")]
mod stress;

#[cfg(target_os = "uefi")]
pub use session::run;

#[cfg(target_os = "uefi")]
mod session {
    use super::{play, stress, wav};
    use crate::boot::files;
    use crate::kernel::thread::{self, DRIVER_STACK};
    use crate::kernel::{self, cfg};
    use crate::portcls::subdevice;
    use core::ffi::c_void;
    use core::sync::atomic::{AtomicBool, Ordering};

    static PLAYED: AtomicBool = AtomicBool::new(false);

    /// Plays the WAV file on a new thread; true when every packet was played.
    pub fn run() -> bool {
        thread::join(thread::spawn("client", session, core::ptr::null_mut(), DRIVER_STACK));
        PLAYED.load(Ordering::Acquire)
    }

    fn session(_: *mut c_void) {
        let wav = wav::parse(files::wav())
            .unwrap_or_else(|why| kernel::bad_input(format_args!("the WAV file: {why}")));
        crate::kprintln!("wav: {} frames, {} Hz, {} channel(s)", wav.frames(), wav.rate, wav.channels);
        let played = subdevice::render_endpoint().is_some_and(|endpoint| {
            if cfg::get("client") == Some("stress") {
                stress::run(&endpoint, &wav);
            }
            play::play(&endpoint, &wav)
        });
        PLAYED.store(played, Ordering::Release);
    }
}
