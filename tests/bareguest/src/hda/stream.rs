//! A stream descriptor, its cyclic buffer behind a buffer descriptor list (BDL), and what it says of its
//! position.

use super::controller::{Controller, descriptor};
use super::service::{self, PerStream};
use crate::machine::interrupts;
use crate::machine::uefi::PAGE;
use crate::memory::{allocate, load8, load32, store};
use crate::pattern::Pattern;
use crate::verdict::{Step, expect};
use crate::{say, wrong};

const SDCTL: u32 = 0x00;
/// The stream's tag, in SDCTL's upper byte.
const TAG: u32 = 0x02;
/// Status.
pub const SDSTS: u32 = 0x03;
const LPIB: u32 = 0x04;
const CBL: u32 = 0x08;
const LVI: u32 = 0x0C;
const FIFOS: u32 = 0x10;
const FMT: u32 = 0x12;
const BDPL: u32 = 0x18;
/// LPIB again, in pages that may be mapped on their own (specification 3.3.45).
const ALIAS: u32 = 0x2000;

const SRST: u8 = 1;
const RUN: u8 = 1 << 1;
/// Interrupts on completion, FIFO and descriptor errors.
const INTERRUPTS: u8 = 7 << 2;
/// SDCTL at reset: TP.
const SDCTL_RESET: u32 = 1 << 18;
/// SDSTS: interrupt on completion, FIFO error, descriptor error, FIFO ready.
pub const BCIS: u8 = 1 << 2;
/// See [`BCIS`].
pub const FIFOE: u8 = 1 << 3;
/// See [`BCIS`].
pub const DESE: u8 = 1 << 4;
const FIFORDY: u8 = 1 << 5;
const IOC: u32 = 1;
const ENTRIES: usize = 24;
const ENTRY_BYTES: u64 = 16;
/// Milliseconds between two looks at the position.
const TICKS_PER_LOOK: u32 = 16;
/// WALCLK's rate.
const CLOCK_HZ: u64 = 24_000_000;

/// What a stream carries.
#[derive(Clone, Copy)]
pub struct Format {
    /// 48,000, 44,100 and their doubles.
    pub rate: u32,
    /// 16 to 32.
    pub bits: u32,
    /// Channels.
    pub channels: u32,
}

impl Format {
    /// As SDFMT and the converter want it. (3.7.1)
    pub fn word(self) -> u32 {
        let base = if self.rate.is_multiple_of(44_100) { 44_100 } else { 48_000 };
        let bits = match self.bits {
            16 => 1,
            20 => 2,
            24 => 3,
            _ => 4,
        };
        u32::from(base == 44_100) << 14 | (self.rate / base - 1) << 11 | bits << 4 | (self.channels - 1)
    }

    fn sample_bytes(self) -> u32 {
        if self.bits == 16 { 2 } else { 4 }
    }

    /// Bytes of a frame in memory.
    pub fn frame_bytes(self) -> u32 {
        self.sample_bytes() * self.channels
    }
}

/// How the buffer lies in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// As the specification asks for: addresses and lengths by 128 bytes.
    Aligned,
    /// As drivers do: the first entry is one frame, others end in a frame, at any address.
    Odd,
}

/// One stream.
pub struct Stream {
    /// Number of its descriptor.
    pub index: usize,
    /// Its buffer, in frames: periods, and of each of them.
    pub periods: u32,
    /// See [`Stream::periods`].
    pub period_frames: u32,
    format: Format,
    tag: u32,
    bdl: u64,
    entries: [(u64, u32, u32); ENTRIES],
    count: usize,
    /// WALCLK around the start, and bytes before it.
    started: [u32; 2],
    before: u64,
    last: u32,
    wraps: u32,
    /// The furthest that the position was ahead of and behind the clock, in bytes.
    ahead: i64,
    behind: i64,
    /// WALCLK of the last look at the position, and the longest time between two.
    looked: u32,
    unseen: u32,
    /// The oldest that the position buffer was, in bytes.
    stale: i64,
}

impl Stream {
    /// Memory for a stream at descriptor `index`.
    pub fn new(
        controller: &Controller,
        (index, tag): (usize, u32),
        format: Format,
        (periods, period_frames): (u32, u32),
        layout: Layout,
    ) -> Step<Self> {
        let bdl = allocate(&controller.firmware, PAGE, false)?;
        let mut stream = Self {
            index,
            periods,
            period_frames,
            format,
            tag,
            bdl,
            entries: [(0, 0, 0); ENTRIES],
            count: 0,
            started: [0; 2],
            before: 0,
            last: 0,
            wraps: 0,
            ahead: 0,
            behind: 0,
            stale: 0,
            looked: 0,
            unseen: 0,
        };
        for period in 0..periods {
            let bytes = stream.period_bytes();
            match layout {
                Layout::Aligned => {
                    let half = (bytes / 2).next_multiple_of(128);
                    stream.add(controller, half, 0, 0)?;
                    stream.add(controller, bytes - half, 0, IOC)?;
                }
                Layout::Odd => {
                    let first = if period == 0 { format.frame_bytes() } else { bytes / 2 + 1 };
                    stream.add(controller, first, 6, 0)?;
                    stream.add(controller, bytes - first, 2, IOC)?;
                }
            }
        }
        Ok(stream)
    }

    /// Every second entry lies above 4 GiB.
    fn add(&mut self, controller: &Controller, bytes: u32, shift: u64, flags: u32) -> Step {
        let memory = allocate(&controller.firmware, u64::from(bytes) + shift, self.count.is_multiple_of(2))?;
        let Some(entry) = self.entries.get_mut(self.count) else { return Err(wrong!("too many entries")) };
        let address = memory + shift;
        *entry = (address, bytes, flags);
        let at = self.bdl + ENTRY_BYTES * self.count as u64;
        store(at, &address.to_le_bytes());
        store(at + 8, &bytes.to_le_bytes());
        store(at + 12, &flags.to_le_bytes());
        self.count += 1;
        Ok(())
    }

    fn period_bytes(&self) -> u32 {
        self.period_frames * self.format.frame_bytes()
    }

    fn bytes(&self) -> u32 {
        self.periods * self.period_bytes()
    }

    fn at(&self, register: u32) -> u32 {
        descriptor(self.index) + register
    }

    fn counters(&self) -> &'static PerStream {
        service::stream(self.index)
    }

    /// Resets the descriptor. (3.3.35)
    pub fn reset(&self, controller: &Controller) -> Step {
        let bar = controller.bar;
        bar.write8(self.at(SDCTL), SRST);
        controller.until("SDCTL.SRST 1", |bar| bar.read8(self.at(SDCTL)) & SRST != 0)?;
        bar.write8(self.at(SDCTL), 0);
        controller.until("SDCTL.SRST 0", |bar| bar.read8(self.at(SDCTL)) & SRST == 0)?;
        for (name, seen, wanted) in [
            ("SDCTL, SDSTS after a reset", bar.read32(self.at(SDCTL)), SDCTL_RESET),
            ("LPIB after a reset", bar.read32(self.at(LPIB)), 0),
            ("CBL after a reset", bar.read32(self.at(CBL)), 0),
            ("LVI after a reset", bar.read16(self.at(LVI)).into(), 0),
            ("FMT after a reset", bar.read16(self.at(FMT)).into(), 0),
            ("BDPL after a reset", bar.read32(self.at(BDPL)), 0),
            ("BDPU after a reset", bar.read32(self.at(BDPL + 4)), 0),
        ] {
            expect(name, seen.into(), wanted.into())?;
        }
        Ok(())
    }

    /// Programs the descriptor.
    pub fn prepare(&mut self, controller: &Controller) -> Step {
        let bar = controller.bar;
        (self.before, self.last, self.wraps, self.ahead, self.behind) = (0, 0, 0, i64::MIN, i64::MIN);
        bar.write8(self.at(TAG), bar.read8(self.at(TAG)) & 0xF | (self.tag << 4) as u8);
        bar.write32(self.at(CBL), self.bytes());
        bar.write16(self.at(LVI), self.count as u16 - 1);
        bar.write16(self.at(FMT), self.format.word() as u16);
        bar.write32(self.at(BDPL), self.bdl as u32);
        bar.write32(self.at(BDPL + 4), (self.bdl >> 32) as u32);
        let fifo = bar.read16(self.at(FIFOS));
        say!("stream index={} format={:#x} cbl={} fifo={fifo}", self.index, self.format.word(), self.bytes());
        expect("FIFOS is 0", (fifo == 0).into(), 0)?;
        expect("FMT", bar.read16(self.at(FMT)).into(), self.format.word().into())
    }

    /// Puts `frames` of a sound into period `number` (counted from the start), and silence behind them.
    pub fn fill(&self, number: u32, sound: &mut Pattern, frames: &mut u32) {
        let mut at = number % self.periods * self.period_bytes();
        let skip = 4 - self.format.sample_bytes() as usize;
        for _ in 0..self.period_frames {
            let plays = *frames > 0;
            *frames -= u32::from(plays);
            for _ in 0..self.format.channels {
                let sample = if plays { sound.wide(self.format.bits) } else { [0; 4] };
                for byte in &sample[skip..] {
                    store(self.address(at), &[*byte]);
                    at += 1;
                }
            }
        }
    }

    /// Moves period `number` elsewhere.
    pub fn take(&self, number: u32, into: u64) {
        let first = number % self.periods * self.period_bytes();
        for at in 0..self.period_bytes() {
            store(into + u64::from(at), &[load8(self.address(first + at))]);
            store(self.address(first + at), &[0xA5]);
        }
    }

    fn address(&self, mut offset: u32) -> u64 {
        for (address, bytes, _) in &self.entries[..self.count] {
            if offset < *bytes {
                return address + u64::from(offset);
            }
            offset -= bytes;
        }
        // Beyond the buffer: nobody asks for that.
        self.bdl + PAGE - 1
    }

    /// Sets RUN of streams that SSYNC holds, sees that they are ready and that nothing moves, and releases
    /// them together. (4.5.4)
    pub fn start(controller: &Controller, streams: &mut [&mut Self], place: usize) -> Step {
        let all = streams.iter().fold(0, |all, stream| all | 1 << stream.index);
        let bar = controller.bar;
        controller.hold(place, all);
        controller.enable_interrupts_of(all);
        for stream in streams.iter() {
            bar.write8(stream.at(SDCTL), INTERRUPTS | RUN);
        }
        for stream in streams.iter() {
            let at = stream.at(SDSTS);
            controller.until("FIFORDY under SSYNC", |bar| bar.read8(at) & FIFORDY != 0)?;
        }
        controller.firmware.stall(10_000);
        for stream in streams.iter() {
            let (seen, wanted) = (bar.read32(stream.at(LPIB)), stream.last);
            expect("LPIB under SSYNC", seen.into(), wanted.into())?;
        }
        let first = controller.clock();
        controller.hold(place, 0);
        let started = [first, controller.clock()];
        for stream in streams.iter_mut() {
            stream.started = started;
            stream.looked = first;
            stream.before = stream.total(stream.last);
            if stream.before == 0 {
                stream.counters().restart(first, stream.period_clock());
            } else {
                stream.resume_at(stream.before, first);
            }
        }
        Ok(())
    }

    /// Clears RUN, and sees that the position stays. (Not a reset.)
    pub fn pause(&mut self, controller: &Controller) -> Step {
        let bar = controller.bar;
        bar.write8(self.at(SDCTL), INTERRUPTS);
        controller.until("SDCTL.RUN 0", |bar| bar.read8(self.at(SDCTL)) & RUN == 0)?;
        let seen = bar.read32(self.at(LPIB));
        self.unwrap(seen)?;
        controller.firmware.stall(10_000);
        expect("LPIB of a stream that stands", bar.read32(self.at(LPIB)).into(), seen.into())?;
        let buffered = self.buffered(controller);
        expect("the position buffer of a stream that stands", buffered.into(), seen.into())
    }

    fn buffered(&self, controller: &Controller) -> u32 {
        load32(controller.positions + 8 * self.index as u64)
    }

    /// Periods that are complete since the first start, by the interrupts.
    pub fn periods_done(&self) -> u32 {
        let counters = self.counters();
        counters.buffers().saturating_add_signed(counters.missed())
    }

    /// FIFO and descriptor errors since the first start.
    pub fn errors(&self) -> u32 {
        self.counters().errors()
    }

    /// The wall clock went on while the stream stood: counts from where its position is now.
    pub fn resume(&mut self, controller: &Controller) -> Step {
        let position = controller.bar.read32(self.at(LPIB));
        let bytes = self.unwrap(position)?;
        self.resume_at(bytes, controller.clock());
        Ok(())
    }

    /// As if the period in which so many bytes were moved had begun when it would have.
    fn resume_at(&self, bytes: u64, now: u32) {
        let part = bytes % u64::from(self.period_bytes()) * CLOCK_HZ
            / u64::from(self.format.rate * self.format.frame_bytes());
        self.counters().resume(now.wrapping_sub(part as u32));
    }

    /// Whether it runs, and which of the errors its status has.
    pub fn state(&self, controller: &Controller) -> (bool, u8) {
        let bar = controller.bar;
        (bar.read8(self.at(SDCTL)) & RUN != 0, bar.read8(self.at(SDSTS)) & (FIFOE | DESE))
    }

    /// Sets RUN, and nothing else: no interrupt, no wait.
    pub fn run_alone(&self, controller: &Controller) {
        controller.bar.write8(self.at(SDCTL), RUN);
    }

    /// Where it is.
    pub fn position(&self, controller: &Controller) -> u32 {
        controller.bar.read32(self.at(LPIB))
    }

    /// Has the list say this instead of what it was made with. `length` is that of the buffer.
    pub fn list(&self, controller: &Controller, address: u64, entries: &[(u64, u32)], length: u32) {
        for ((entry, bytes), at) in entries.iter().zip((self.bdl..).step_by(ENTRY_BYTES as usize)) {
            store(at, &entry.to_le_bytes());
            store(at + 8, &bytes.to_le_bytes());
            store(at + 12, &[0; 4]);
        }
        let bar = controller.bar;
        bar.write32(self.at(CBL), length);
        bar.write16(self.at(LVI), entries.len() as u16 - 1);
        bar.write32(self.at(BDPL), address as u32);
        bar.write32(self.at(BDPL + 4), (address >> 32) as u32);
    }

    /// Where the list is.
    pub fn list_address(&self) -> u64 {
        self.bdl
    }

    /// Writes the entries of its own buffer into the list again.
    pub fn restore_list(&self) {
        for ((entry, bytes, flags), at) in
            self.entries[..self.count].iter().zip((self.bdl..).step_by(ENTRY_BYTES as usize))
        {
            store(at, &entry.to_le_bytes());
            store(at + 8, &bytes.to_le_bytes());
            store(at + 12, &flags.to_le_bytes());
        }
    }

    fn total(&self, position: u32) -> u64 {
        u64::from(self.wraps) * u64::from(self.bytes()) + u64::from(position)
    }

    /// Bytes since the first start at a position that is not more than a buffer's length later than the last.
    fn unwrap(&mut self, position: u32) -> Step<u64> {
        if position >= self.bytes() {
            return Err(wrong!("LPIB {position} of stream {}, CBL {}", self.index, self.bytes()));
        }
        self.wraps += u32::from(position < self.last);
        self.last = position;
        Ok(self.total(position))
    }

    /// Reads the position in every way, and holds it against the wall clock. At most 1 ms between.
    fn check_position(&mut self, controller: &Controller) -> Step {
        let bar = controller.bar;
        let early = controller.clock();
        let buffered = self.buffered(controller);
        let from = controller.clock();
        let (seen, alias) = (bar.read32(self.at(LPIB)), bar.read32(self.at(LPIB + ALIAS)));
        let to = controller.clock();
        let now = self.unwrap(seen)?;
        self.unseen = self.unseen.max(to.wrapping_sub(self.looked));
        self.looked = to;
        let per_ms = i64::from(self.format.rate * self.format.frame_bytes() / 1000);
        let cycle = i64::from(self.bytes());
        let later = |at: u32, than: u32| (i64::from(at) - i64::from(than)).rem_euclid(cycle);
        let in_clock = |span: u32| {
            let bytes = u64::from(span) * u64::from(self.format.rate * self.format.frame_bytes()) / CLOCK_HZ;
            (self.before + bytes).cast_signed()
        };
        let ahead = now.cast_signed() - in_clock(to.wrapping_sub(self.started[0]));
        let behind = in_clock(from.wrapping_sub(self.started[1])) - now.cast_signed();
        self.ahead = self.ahead.max(ahead);
        self.behind = self.behind.max(behind);
        let margin = per_ms + in_clock(to.wrapping_sub(from)) - self.before.cast_signed();
        let stale = later(seen, buffered);
        if ahead > per_ms || behind > per_ms || later(alias, seen) > margin {
            return Err(wrong!(
                "position of stream {}: LPIB {seen}, alias {alias}, ahead {ahead}, behind {behind} bytes",
                self.index
            ));
        }
        // Written every millisecond of the clock; this processor may have been elsewhere between the reads.
        let age = margin + in_clock(from.wrapping_sub(early)) - self.before.cast_signed();
        self.stale = self.stale.max(stale);
        if stale > age + per_ms && cycle - stale > age {
            return Err(wrong!("stream {}: LPIB {seen}, position buffer {buffered}", self.index));
        }
        Ok(())
    }

    /// Waits for the interrupt after which so many periods were completed since the first start, looking at
    /// the position meanwhile, and at that of another stream.
    pub fn wait_periods(
        &mut self,
        controller: &Controller,
        other: &mut Self,
        number: u32,
        millis: u32,
    ) -> Step {
        let counters = self.counters();
        let (mut seen, mut ticks) = (0, 0);
        let mut result = Ok(());
        let done = interrupts::wait(millis, || {
            ticks += 1;
            // Not at each tick: any access to the BAR takes a line down, served or not (QEMU's vfio).
            if counters.buffers() != seen || ticks % TICKS_PER_LOOK == 0 {
                result = self.check_position(controller).and_then(|()| other.check_position(controller));
            }
            if counters.buffers() == seen {
                return result.is_err();
            }
            seen = counters.buffers();
            // What the FIFO holds was moved, though not yet sent.
            let moved = self.total(self.last) + self.fifo(controller);
            result.is_err() || moved >= u64::from(number) * u64::from(self.period_bytes())
        });
        result?;
        if done { Ok(()) } else { Err(wrong!("stream {}: {seen} interrupts of {number}", self.index)) }
    }

    fn fifo(&self, controller: &Controller) -> u64 {
        u64::from(controller.bar.read16(self.at(FIFOS))) + 1
    }

    fn period_clock(&self) -> u32 {
        (u64::from(self.period_frames) * CLOCK_HZ / u64::from(self.format.rate)) as u32
    }

    /// Sees that there was one interrupt a period, and no error. A period whose interrupt was served with the
    /// next one's is a busy host's fault if this program did not run either.
    pub fn expect_interrupts(&self, controller: &Controller) -> Step {
        let counters = self.counters();
        let (bytes, period) = (self.total(self.last), u64::from(self.period_bytes()));
        let (fewest, most) = (bytes / period, (bytes + self.fifo(controller)) / period);
        let (seen, missed) = (counters.buffers(), counters.missed());
        let (index, errors, unseen) = (self.index, counters.errors(), self.unseen / 24_000);
        say!(
            "stream-ended index={index} bytes={bytes} periods={fewest} interrupts={seen} missed={missed} \
             errors={errors} unseen_ms={unseen} ahead={} behind={} stale={}",
            self.ahead,
            self.behind,
            self.stale
        );
        expect("FIFO and descriptor errors", errors.into(), 0)?;
        if missed < 0 || missed > 0 && self.unseen < self.period_clock() / 2 {
            return Err(wrong!(
                "{missed} periods had no interrupt, or more than one, and this program was there"
            ));
        }
        if (fewest..=most).contains(&u64::from(seen.saturating_add_signed(missed))) {
            return Ok(());
        }
        Err(wrong!("{seen} interrupts and {missed} that came late for {fewest} periods"))
    }
}
