//! The timer-driven render client (cfg `client=timer`), as the audio engine's timer mode: a cyclic buffer
//! without notifications, a look at `GetPosition` every 10 ms, and writing ahead of the play offset. It calls
//! no packet method, so the card never waits for it: a client that comes too late is heard (result
//! `timer_late`), and nobody counts it.
//!
//! After the file comes a buffer's length of silence, so that nothing is heard twice: what the card played is
//! the file, then zeroes.

use super::buffer::{self, Kind};
use super::format::{BufferPlan, PcmFormat};
use super::hw_register::HwRegisters;
use super::offset_tracker::OffsetTracker;
use super::play::Label;
use super::player::{self, Failed, buffer_ms, fail};
use super::poller::{self, Poller};
use super::position::PositionChecker;
use super::still::{self, set_state};
use super::stream::{CyclicBuffer, PinStream, State};
use super::wav::Wav;
use crate::kernel::event::{Event, EventKind};
use crate::kernel::{self, cfg, irql, thread, time};
use crate::portcls::endpoint::Endpoint;
use crate::portcls::fault::{self, Fault};
use crate::portcls::oracle;
use core::sync::atomic::{Ordering, compiler_fence};

/// Between two looks, 100-ns units: the engine's period.
const PERIOD: i64 = 100_000;

/// What Windows' engine was seen to ask for in shared mode at 48 kHz where it polls.
const SHARED_FRAMES: u32 = 4096;

/// Opens the endpoint, plays the file, closes; true when it was played and the client was in time.
pub fn play(endpoint: &Endpoint, wav: &Wav<'_>, label: Label) -> bool {
    let format = PcmFormat::of(wav.sample, wav.rate, wav.channels, cfg::get_bool("extensible", true));
    let played =
        player::with_stream(endpoint, &format, label, |stream| with_buffer(stream, wav, &format, label));
    oracle::report_calls();
    played.is_ok()
}

/// Plays the file through a stream that was opened with its format.
pub fn with_buffer(
    stream: &PinStream,
    wav: &Wav<'_>,
    format: &PcmFormat,
    label: Label,
) -> Result<(), Failed> {
    let plan = match cfg::get("client") {
        Some("shared") => Some(BufferPlan { bytes: SHARED_FRAMES * u32::from(format.block_align()) }),
        _ => BufferPlan::new(format, buffer_ms(), 1),
    };
    let plan = plan.unwrap_or_else(|| kernel::bad_input(format_args!("ntguest.cfg: buffer_ms is too large")));
    buffer::with(stream, Kind::Plain, format, plan.bytes, |buffer| {
        session(stream, buffer, wav, format, label)
    })
}

/// From STOP through RUN and back to STOP, whatever fails.
fn session(
    stream: &PinStream,
    buffer: &CyclicBuffer,
    wav: &Wav<'_>,
    format: &PcmFormat,
    label: Label,
) -> Result<(), Failed> {
    let (size, block) = (u64::from(buffer.size), u64::from(format.block_align()));
    let fifo = u64::from(stream.hw_latency().fifo_size);
    let registers = HwRegisters::of(stream, buffer.size, block, u64::from(wav.rate) * block, label);
    let rate = u64::from(wav.rate).saturating_mul(cfg::get_u64("speed", 1));
    let mut feeder = Feeder {
        stream,
        registers: &registers,
        ring: buffer::view(buffer),
        size,
        fifo,
        data: &wav.data,
        written: 0,
        late: 0,
        reads: [0; 2],
        longest: 0,
        bytes_per_second: rate * block * cfg::get_u64("clock_percent", 100) / 100,
    };
    expect_zero_positions(stream, &registers, "before RUN");
    let result = feeder.states(PositionChecker::new(size, block, rate), label);
    if result.is_err() {
        for state in [State::Pause, State::Acquire, State::Stop] {
            let _ = stream.set_state(state);
        }
    } else {
        expect_zero_positions(stream, &registers, "after STOP");
    }
    let Feeder { late, reads, longest, .. } = feeder;
    crate::kresult!(
        "{label}frames_in={} {label}buffer_bytes={size} {label}timer_late={late} {label}timer_reads={} {label}timer_reads_dispatch={} {label}timer_longest_us={}",
        wav.frames(),
        reads[0],
        reads[1],
        longest / 10
    );
    result?;
    if late > 0 {
        crate::kprintln!("the client came too late {late} time(s): what was heard is not the file");
        return Err(Failed);
    }
    Ok(())
}

/// In STOP positions are zero (rule `not-at-rest`).
fn expect_zero_positions(stream: &PinStream, registers: &HwRegisters, when: &str) {
    let (status, position) = stream.position(irql::PASSIVE);
    if !status.is_success() || (position.play_offset, position.write_offset) != (0, 0) {
        kernel::violation("not-at-rest", format_args!("{when}: GetPosition {status} {position:?}"));
    }
    registers.expect_zero(when);
}

/// Writes ahead of the play offset.
struct Feeder<'a> {
    stream: &'a PinStream,
    registers: &'a HwRegisters,
    /// The client's view of the buffer.
    ring: *mut u8,
    size: u64,
    /// What the card may have fetched ahead of the play offset, bytes (`GetHWLatency`).
    fifo: u64,
    data: &'a [u8],
    /// Bytes since RUN that are in the buffer or were.
    written: u64,
    /// Looks that found the card beyond what was written.
    late: u32,
    /// All looks, and those at DISPATCH level.
    reads: [u32; 2],
    /// Between two looks, 100-ns units.
    longest: u64,
    bytes_per_second: u64,
}

impl Feeder<'_> {
    fn states(&mut self, checker: PositionChecker, label: Label) -> Result<(), Failed> {
        set_state(self.stream, State::Acquire)?;
        set_state(self.stream, State::Pause)?;
        self.write_until(self.size);
        let run = time::interrupt_time_100ns();
        set_state(self.stream, State::Run)?;
        crate::kprintln!("run");
        // SAFETY: the poller is stopped below, while the stream is alive.
        let poller =
            unsafe { Poller::start(self.stream, checker.clone().since(run), cfg::get_u64("poll_us", 5000)) };
        let watch = self.registers.watch(checker, cfg::get_u64("speed", 1) == 1);
        let fed = self.feed(run);
        watch.stop();
        let paused = set_state(self.stream, State::Pause);
        let reads = poller.stop();
        crate::kresult!(
            "{label}position_reads={} {label}position_reads_dispatch={}",
            reads.all,
            reads.dispatch
        );
        poller::report(label, None, &reads.stats, !cfg::get_bool("pause", false));
        fed.and(paused)?;
        self.expect_frozen();
        set_state(self.stream, State::Acquire)?;
        set_state(self.stream, State::Stop)
    }

    /// Until the file and a buffer's length of silence were played.
    fn feed(&mut self, run: u64) -> Result<(), Failed> {
        let end = self.data.len() as u64 + self.size;
        let mut tracker = OffsetTracker::new(self.size, self.bytes_per_second, run);
        let mut pause = cfg::get_bool("pause", false);
        let (mut then, mut before, mut moved) = (run, 0, run);
        loop {
            thread::sleep_100ns(PERIOD);
            let now = time::interrupt_time_100ns();
            self.longest = self.longest.max(now.saturating_sub(then));
            then = now;
            let played = tracker.observe(self.read_position()?, now);
            self.late += u32::from(played + self.fifo > self.written);
            if played >= end {
                return Ok(());
            }
            // What was played a quarter of a buffer ago is free. Not what was played just now: the card is a
            // process that may be held up for 100 ms until it begins time anew (DATASHEET 5.2), and the
            // driver's position goes on meanwhile.
            let ahead = (played + self.size).saturating_sub(self.fifo.max(self.size / 4));
            self.write_until(ahead.max(self.written));
            if played != before {
                (before, moved) = (played, now);
            } else if now.saturating_sub(moved) > 10_000_000 {
                return Err(fail("position", format_args!("stands at {played} bytes for a second in RUN")));
            }
            if pause && played >= self.data.len() as u64 / 2 {
                pause = false;
                set_state(self.stream, State::Pause)?;
                self.expect_frozen();
                set_state(self.stream, State::Run)?;
                crate::kresult!("pauses=1");
                let now = time::interrupt_time_100ns();
                tracker.stood(now);
                (then, moved) = (now, now);
            }
        }
    }

    /// The play offset, at PASSIVE and at DISPATCH level in turn (rule `position`).
    fn read_position(&mut self) -> Result<u64, Failed> {
        let dispatch = self.reads[0] % 2 == 1;
        self.reads[0] += 1;
        self.reads[1] += u32::from(dispatch);
        let (status, position) = self.stream.position(if dispatch { irql::DISPATCH } else { irql::PASSIVE });
        let (play, write) = (position.play_offset, position.write_offset);
        // What was fetched is not behind what is played, nor further ahead than the FIFO is deep.
        let ahead = (write % self.size + self.size - play % self.size) % self.size;
        if !status.is_success() || play >= self.size || write >= self.size || ahead > self.fifo {
            return Err(fail(
                "position",
                format_args!("GetPosition: {status}, {position:?}, FIFO {} bytes", self.fifo),
            ));
        }
        Ok(play)
    }

    /// Fills the buffer up to `end` bytes since RUN: the file, then silence.
    fn write_until(&mut self, end: u64) {
        while self.written < end {
            let offset = self.written % self.size;
            let length = (end - self.written).min(self.size - offset);
            let rest = usize::try_from(self.written).ok().and_then(|from| self.data.get(from..));
            let rest = rest.unwrap_or_default();
            let bytes = (length as usize).min(if rest.is_empty() { usize::MAX } else { rest.len() });
            // SAFETY: offset and bytes lie inside the ring, which the view covers, and the data has as many.
            unsafe {
                let place = self.ring.add(offset as usize);
                match rest.get(..bytes) {
                    Some(data) => place.copy_from(data.as_ptr(), bytes),
                    None => place.write_bytes(0, bytes),
                }
                if self.written == 0 && fault::make(Fault::FlipBit) {
                    place.add(bytes / 2).write(place.add(bytes / 2).read() ^ 1);
                }
            }
            self.written += bytes as u64;
        }
        compiler_fence(Ordering::Release);
    }

    fn expect_frozen(&self) {
        self.registers.expect_frozen(self.stream);
        // Nobody was told of it, so nobody may signal it.
        let event = Event::new(EventKind::Synchronization, false);
        let look = i64::try_from(self.size * 10_000_000 / self.bytes_per_second.max(1)).unwrap_or(0) / 2;
        still::expect_frozen(self.stream, &event, look);
    }
}
