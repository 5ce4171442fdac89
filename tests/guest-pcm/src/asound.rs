//! The kernel's PCM interface, as much as is used here: `include/uapi/sound/asound.h` of Linux 6.12, on a
//! 64-bit machine. The sizes are part of each request's number, so a structure that is laid out wrongly is
//! refused by the kernel.

use std::{io, os::fd::RawFd};

/// `struct snd_interval`. `flags`: openmin, openmax, integer, empty.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Interval {
    pub min: u32,
    pub max: u32,
    pub flags: u32,
}

/// `struct snd_pcm_hw_params`
#[repr(C)]
pub struct HwParams {
    pub flags: u32,
    /// ACCESS, FORMAT, SUBFORMAT.
    pub masks: [[u32; 8]; 3],
    pub masks_reserved: [[u32; 8]; 5],
    /// From `SAMPLE_BITS` on.
    pub intervals: [Interval; 12],
    pub intervals_reserved: [Interval; 9],
    pub requested: u32,
    pub changed: u32,
    pub info: u32,
    pub msbits: u32,
    pub rate_num: u32,
    pub rate_den: u32,
    pub fifo_size: u64,
    pub reserved: [u8; 64],
}

/// Indices of [`HwParams::masks`].
pub const ACCESS: usize = 0;
pub const FORMAT: usize = 1;
/// Indices of [`HwParams::intervals`]: the header's numbers less 8.
pub const CHANNELS: usize = 2;
pub const RATE: usize = 3;
pub const PERIOD_SIZE: usize = 5;
pub const PERIODS: usize = 7;
pub const BUFFER_SIZE: usize = 9;

/// `SNDRV_PCM_ACCESS_RW_INTERLEAVED`
pub const RW_INTERLEAVED: u32 = 3;

/// `struct snd_pcm_sw_params`
#[repr(C)]
#[derive(Default)]
pub struct SwParams {
    pub tstamp_mode: i32,
    pub period_step: u32,
    pub sleep_min: u32,
    pub avail_min: u64,
    pub xfer_align: u64,
    pub start_threshold: u64,
    pub stop_threshold: u64,
    pub silence_threshold: u64,
    pub silence_size: u64,
    pub boundary: u64,
    pub proto: u32,
    pub tstamp_type: u32,
    pub reserved: [u64; 7],
}

/// `struct snd_pcm_sync_ptr`, its two unions as what is read of them.
#[repr(C)]
#[derive(Default)]
pub struct SyncPtr {
    pub flags: u32,
    pub status: MmapStatus,
    pub appl_ptr: u64,
    pub avail_min: u64,
    pub control_rest: [u64; 6],
}

/// `struct snd_pcm_mmap_status` in its 64 bytes.
#[repr(C)]
#[derive(Default)]
pub struct MmapStatus {
    pub state: i32,
    pub pad: i32,
    pub hw_ptr: u64,
    pub tstamp_s: i64,
    pub tstamp_ns: i64,
    pub suspended_state: i32,
    pub audio_tstamp: [i64; 3],
}

/// `struct snd_xferi`
#[repr(C)]
pub struct Xferi {
    pub result: i64,
    pub buffer: *mut u8,
    pub frames: u64,
}

/// Update the hardware pointer; give the application's pointer and `avail_min` instead of taking them.
pub const SYNC_HWSYNC: u32 = 1;
pub const SYNC_READ: u32 = 2 | 4;

/// `SNDRV_PCM_STATE_RUNNING` and `_XRUN`.
pub const STATE_RUNNING: i32 = 3;
pub const STATE_XRUN: i32 = 4;

const NONE: u32 = 0;
const WRITE: u32 = 1;
const READ: u32 = 2;

/// A request's number, as `_IOC` makes it.
const fn request(direction: u32, number: u32, size: u32) -> u32 {
    direction << 30 | size << 16 | 0x41 << 8 | number
}

pub const HW_PARAMS: u32 = request(READ | WRITE, 0x11, 608);
pub const SW_PARAMS: u32 = request(READ | WRITE, 0x13, 136);
pub const SYNC_PTR: u32 = request(READ | WRITE, 0x23, 136);
pub const PREPARE: u32 = request(NONE, 0x40, 0);
pub const START: u32 = request(NONE, 0x42, 0);
pub const DROP: u32 = request(NONE, 0x43, 0);
pub const DRAIN: u32 = request(NONE, 0x44, 0);
/// The kernel answers in it all the same.
pub const REWIND: u32 = request(WRITE, 0x46, 8);
pub const WRITEI_FRAMES: u32 = request(WRITE, 0x50, 24);
pub const READI_FRAMES: u32 = request(READ, 0x51, 24);

const _: () = {
    assert!(size_of::<HwParams>() == 608);
    assert!(size_of::<SwParams>() == 136);
    assert!(size_of::<SyncPtr>() == 136);
    assert!(size_of::<MmapStatus>() == 64);
    assert!(size_of::<Xferi>() == 24);
};

/// A request with a structure.
///
/// # Safety
/// `argument` is the structure that `number` is of, and what it points at is as long as it says.
pub unsafe fn ask<T>(device: RawFd, number: u32, argument: &mut T) -> io::Result<()> {
    // SAFETY: the caller's; the pointer lives through the call.
    match unsafe { libc::ioctl(device, number.into(), std::ptr::from_mut(argument)) } {
        0.. => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// A request without one: PREPARE, START, DROP, DRAIN.
pub fn tell(device: RawFd, number: u32) -> io::Result<()> {
    // SAFETY: these requests take no pointer.
    match unsafe { libc::ioctl(device, number.into(), 0) } {
        0.. => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
