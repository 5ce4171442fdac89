//! A PCM device of the kernel, open and set up.

use std::{
    fs::{File, OpenOptions},
    io,
    mem::zeroed,
    os::{fd::AsRawFd, unix::fs::OpenOptionsExt},
    thread,
    time::{Duration, Instant},
};

use crate::{
    Failure,
    asound::{self, HwParams, Interval, SwParams, SyncPtr, Xferi},
    order::Order,
};

/// Which way sound goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    Play,
    Capture,
}

/// What a stream is asked to be: `format=`, `channels=`, `rate=`, `period=` frames, `periods=` in the buffer.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// `SNDRV_PCM_FORMAT_*`.
    pub format: u32,
    pub sample_bytes: u32,
    pub channels: u32,
    pub rate: u32,
    pub period: u32,
    pub periods: u32,
}

impl Shape {
    /// As the host says it.
    pub fn of(order: &Order) -> Result<Self, Failure> {
        let (format, sample_bytes) = match order.text("format")? {
            "u8" => (1, 1),
            "s16" => (2, 2),
            "s32" => (10, 4),
            "f32" => (14, 4),
            "s24" => (32, 3),
            other => return Err(format!("format={other} is not known")),
        };
        Ok(Self {
            format,
            sample_bytes,
            channels: order.number("channels")?,
            rate: order.number("rate")?,
            period: order.number("period")?,
            periods: order.number("periods")?,
        })
    }

    /// Bytes of a frame.
    pub fn frame_bytes(&self) -> usize {
        (self.sample_bytes * self.channels) as usize
    }

    /// Bytes of a period.
    pub fn period_bytes(&self) -> usize {
        self.frame_bytes() * self.period as usize
    }
}

/// Where a stream is.
#[derive(Clone, Copy, Debug)]
pub struct Position {
    /// `SNDRV_PCM_STATE_*`
    pub state: i32,
    /// Frames that the hardware has passed.
    pub frames: u64,
    /// Frames between them and what the application has written or read.
    pub between: u64,
    /// Moment at which the kernel learnt it, in nanoseconds of the monotonic clock.
    pub time: f64,
}

/// A stream.
pub struct Pcm {
    device: File,
    pub shape: Shape,
    /// Frames of the buffer.
    pub buffer: u64,
}

/// For a card to appear, and for a stream to be set up.
const PATIENCE: Duration = Duration::from_secs(10);

impl Pcm {
    /// Opens device 0 of a card and sets it up; the period may come out as the card can have it. It starts
    /// when `start` frames are written.
    pub fn open(card: u32, direction: Direction, asked: Shape, start: u64) -> Result<Self, Failure> {
        let end = if direction == Direction::Play { 'p' } else { 'c' };
        let path = format!("/dev/snd/pcmC{card}D0{end}");
        let said = |what: &str, error: &io::Error| format!("{path}: {what}: {error}");
        let begin = Instant::now();
        let open = || OpenOptions::new().read(true).write(true).custom_flags(libc::O_NONBLOCK).open(&path);
        let device = loop {
            match open() {
                Ok(device) => break device,
                Err(error) if begin.elapsed() > PATIENCE => return Err(said("open", &error)),
                Err(_) => thread::sleep(Duration::from_millis(50)),
            }
        };
        let mut shape = asked;
        let buffer = set_hardware(&device, &mut shape).map_err(|error| said("hw_params", &error))?;
        let pcm = Self { device, shape, buffer };
        pcm.set_software(start.min(buffer)).map_err(|error| said("sw_params", &error))?;
        pcm.tell(asound::PREPARE).map_err(|error| said("prepare", &error))?;
        Ok(pcm)
    }

    fn set_software(&self, start: u64) -> io::Result<()> {
        let mut boundary = self.buffer;
        while boundary <= i64::MAX as u64 / 2 - self.buffer {
            boundary *= 2;
        }
        let mut params = SwParams {
            // SNDRV_PCM_TSTAMP_ENABLE, of the monotonic clock, which protocol 2.0.12 has.
            tstamp_mode: 1,
            period_step: 1,
            avail_min: self.shape.period.into(),
            start_threshold: start,
            stop_threshold: self.buffer,
            boundary,
            proto: 0x2_000C,
            tstamp_type: 1,
            ..SwParams::default()
        };
        // SAFETY: the structure of this request, without pointers.
        unsafe { asound::ask(self.device.as_raw_fd(), asound::SW_PARAMS, &mut params) }
    }

    /// PREPARE, START or DROP.
    pub fn tell(&self, request: u32) -> io::Result<()> {
        asound::tell(self.device.as_raw_fd(), request)
    }

    /// Waits until all that was written was played.
    pub fn drain(&self) -> io::Result<()> {
        // SAFETY: an open descriptor and a number; DRAIN waits only on a descriptor that blocks.
        if unsafe { libc::fcntl(self.device.as_raw_fd(), libc::F_SETFL, libc::O_RDWR) } < 0 {
            return Err(io::Error::last_os_error());
        }
        self.tell(asound::DRAIN)
    }

    /// Takes back up to this many of the frames that were written last and not played yet; gives how many.
    pub fn rewind(&self, mut frames: u64) -> io::Result<u64> {
        // SAFETY: an integer, in which the kernel answers.
        unsafe { asound::ask(self.device.as_raw_fd(), asound::REWIND, &mut frames) }.map(|()| frames)
    }

    /// Writes as many frames as there is room for.
    pub fn write(&self, frames: &mut [u8]) -> io::Result<usize> {
        self.transfer(asound::WRITEI_FRAMES, frames)
    }

    /// Reads as many frames as there are, in whole.
    pub fn read(&self, frames: &mut [u8]) -> io::Result<usize> {
        self.transfer(asound::READI_FRAMES, frames)
    }

    fn transfer(&self, request: u32, bytes: &mut [u8]) -> io::Result<usize> {
        let frames = (bytes.len() / self.shape.frame_bytes()) as u64;
        let mut transfer = Xferi { result: 0, buffer: bytes.as_mut_ptr(), frames };
        // SAFETY: the structure of both requests; the buffer has room for `frames` frames and is borrowed.
        unsafe { asound::ask(self.device.as_raw_fd(), request, &mut transfer) }?;
        Ok(usize::try_from(transfer.result).unwrap_or(0))
    }

    /// Where it is: as the kernel knows it since the last interrupt, or with `look` as the card says it now.
    pub fn position(&self, look: bool) -> io::Result<Position> {
        let flags = asound::SYNC_READ | if look { asound::SYNC_HWSYNC } else { 0 };
        let mut sync = SyncPtr { flags, ..SyncPtr::default() };
        // SAFETY: the structure of this request, without pointers.
        unsafe { asound::ask(self.device.as_raw_fd(), asound::SYNC_PTR, &mut sync) }?;
        let status = sync.status;
        Ok(Position {
            state: status.state,
            frames: status.hw_ptr,
            between: sync.appl_ptr.abs_diff(status.hw_ptr),
            time: status.tstamp_s as f64 * 1e9 + status.tstamp_ns as f64,
        })
    }

    /// Waits until a period can be written or read, or a tenth of a second.
    pub fn wait(&self) -> io::Result<()> {
        let events = libc::POLLIN | libc::POLLOUT;
        let mut poll = libc::pollfd { fd: self.device.as_raw_fd(), events, revents: 0 };
        // SAFETY: one structure that lives through the call.
        match unsafe { libc::poll(&raw mut poll, 1, 100) } {
            0.. => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

/// Whether an error is an xrun (EPIPE).
pub fn is_xrun(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EPIPE)
}

/// Sets the hardware's parameters: exactly, else with the next longer period that there is. Gives the frames
/// of the buffer.
fn set_hardware(device: &File, shape: &mut Shape) -> io::Result<u64> {
    let set = |longest: u32| {
        let mut params = any();
        let one = |value: u32| Interval { min: value, max: value, flags: 0 };
        for (mask, value) in [(asound::ACCESS, asound::RW_INTERLEAVED), (asound::FORMAT, shape.format)] {
            params.masks[mask] = [0; 8];
            params.masks[mask][(value / 32) as usize] = 1 << (value % 32);
        }
        params.intervals[asound::CHANNELS] = one(shape.channels);
        params.intervals[asound::RATE] = one(shape.rate);
        params.intervals[asound::PERIODS] = one(shape.periods);
        params.intervals[asound::PERIOD_SIZE] = Interval { min: shape.period, max: longest, flags: 0 };
        // SAFETY: the structure of this request, without pointers.
        unsafe { asound::ask(device.as_raw_fd(), asound::HW_PARAMS, &mut params) }.map(|()| params)
    };
    let params = set(shape.period).or_else(|_| set(shape.period.saturating_mul(2)))?;
    shape.period = params.intervals[asound::PERIOD_SIZE].min.max(1);
    Ok(params.intervals[asound::BUFFER_SIZE].min.max(1).into())
}

/// Parameters that ask for nothing in particular.
fn any() -> HwParams {
    // SAFETY: integers and arrays of them, for which zero is a value.
    let mut params: HwParams = unsafe { zeroed() };
    params.masks = [[u32::MAX; 8]; 3];
    params.intervals = [Interval { min: 0, max: u32::MAX, flags: 0 }; 12];
    params.requested = u32::MAX;
    params.info = u32::MAX;
    params
}
