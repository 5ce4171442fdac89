//! Plays and records at the same time (cfg `client=duplex`): through a loopback, what is recorded contains
//! what is played.

use super::format::PcmFormat;
use super::found;
use super::play::{self, Label};
use super::record::{self, Order, Recording};
use super::recorder::{Mode, Until};
use super::wav::Wav;
use crate::kernel::thread::{self, DRIVER_STACK};
use crate::kernel::{cfg, time};
use crate::portcls::endpoint;
use core::ffi::c_void;
use core::sync::atomic::{AtomicBool, Ordering};

/// What the two clients share.
struct Shared<'a> {
    order: Order<'a>,
    recording: Option<Recording>,
    ended: &'a AtomicBool,
}

/// Records until the file was played, or `frames=`; true when both did their work.
pub fn run(wav: &Wav<'_>) -> bool {
    let number = |key| cfg::get_u64(key, 0) as usize;
    let (Some(render), Some(capture)) =
        (endpoint::get(false, number("endpoint")), endpoint::get(true, number("capture_endpoint")))
    else {
        return false;
    };
    let (running, played, ended) = (AtomicBool::new(false), AtomicBool::new(false), AtomicBool::new(false));
    let format = PcmFormat::of(wav.sample, wav.rate, wav.channels, cfg::get_bool("extensible", true));
    let order = Order {
        endpoint: &capture,
        format,
        mode: Mode::wanted(),
        until: record::wanted_bytes(&format).map_or(Until::Told(&played), Until::Bytes),
        running: &running,
        label: Label::RECORDER,
        planned: None,
    };
    let mut shared = Shared { order, recording: None, ended: &ended };
    let thread = thread::spawn("recorder", recorder, (&raw mut shared).cast(), DRIVER_STACK);
    let deadline = time::ms() + 5000;
    while !running.load(Ordering::Acquire) && !ended.load(Ordering::Acquire) && time::ms() < deadline {
        thread::sleep_100ns(10_000);
    }
    let ok = play::play(&render, wav, Label(None));
    played.store(true, Ordering::Release);
    thread::join(thread);
    let Some(recording) = shared.recording.take() else { return false };
    record::deliver(&recording, &format);
    report_match(&recording.data, wav);
    ok
}

fn recorder(argument: *mut c_void) {
    let shared = argument.cast::<Shared<'_>>();
    // SAFETY: `run` keeps it until it has joined this thread, and meanwhile touches only the flags, which are
    // atomic.
    unsafe {
        (*shared).recording = record::record(&(*shared).order);
        (*shared).ended.store(true, Ordering::Release);
    }
}

/// Says how much of the file lies in the recording in one piece, and where: a figure, for only the host knows
/// what is connected.
fn report_match(recorded: &[u8], wav: &Wav<'_>) {
    let block = wav.block_align();
    let (offset, frames) = found::longest(recorded, &wav.data, block);
    crate::kresult!("loopback_offset_frames={offset} loopback_match_frames={frames}");
}
