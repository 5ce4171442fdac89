//! A stream of HDA.md 3: a ring of bytes, and the line of time that goes through it.

use std::rc::Rc;

use ringwave_audio::{SampleFormat, StreamFormat};

use super::guest::Entry;

pub const SECOND: u64 = 1_000_000_000;
/// Ends that follow each other within this are told together.
const TOGETHER: u64 = SECOND / 8000;

/// SDFMT, if the card has it.
pub fn format(register: u16) -> Option<StreamFormat> {
    let field = |low: u32, bits: u32| u32::from(register) >> low & ((1 << bits) - 1);
    let base = if field(14, 1) == 0 { 48_000 } else { 44_100 };
    let (times, by) = (field(11, 3) + 1, field(8, 3) + 1);
    let sample = match field(4, 3) {
        1 => SampleFormat::S16,
        2 | 3 => SampleFormat::S24In32,
        4 => SampleFormat::S32,
        _ => return None,
    };
    let rate = base * times / by;
    let known = [8000, 11_025, 16_000, 22_050, 32_000, 44_100, 48_000, 88_200, 96_000, 176_400, 192_000];
    let whole = base * times % by == 0 && times <= 4;
    let channels = field(0, 4) + 1;
    (field(15, 1) == 0 && whole && known.contains(&rate) && channels <= 8).then_some(StreamFormat {
        sample,
        channels,
        rate,
    })
}

/// What was set up when RUN became 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Ring {
    pub format: StreamFormat,
    pub bytes: u64,
    pub entries: Vec<Entry>,
    /// Frames of a burst, from SDFIFOS.
    pub burst: u64,
}

impl Ring {
    pub fn frame(&self) -> u64 {
        self.format.frame_bytes().into()
    }

    pub fn rate(&self) -> u64 {
        self.format.rate.into()
    }

    /// A burst in nanoseconds, rounded up.
    pub fn burst_time(&self) -> u64 {
        (self.burst * SECOND).div_ceil(self.rate())
    }

    /// Where byte `at` of the ring lies.
    pub fn address(&self, at: u64) -> u64 {
        let mut before = 0;
        for &(address, bytes, _) in &self.entries {
            if at < before + u64::from(bytes) {
                return address + at - before;
            }
            before += u64::from(bytes);
        }
        panic!("byte {at} is in no entry");
    }

    /// The ends of entries with IOC, as places in the ring: from 1 to its length.
    fn ends(&self) -> Vec<u64> {
        let mut end = 0;
        let mut ends = Vec::new();
        for &(_, bytes, ioc) in &self.entries {
            let begin = end;
            end += u64::from(bytes);
            if ioc && begin < self.bytes {
                ends.push(end.min(self.bytes));
            }
        }
        ends
    }

    /// The last end at or before byte `upto` of the stream.
    fn last_end(&self, upto: u64) -> Option<u64> {
        let before = |end: u64| (upto >= end).then(|| end + (upto - end) / self.bytes * self.bytes);
        self.ends().into_iter().filter_map(before).max()
    }

    /// The first end behind byte `after` of the stream.
    fn next_end(&self, after: u64) -> Option<u64> {
        let behind = |end: u64| {
            if end > after { end } else { end + ((after - end) / self.bytes + 1) * self.bytes }
        };
        self.ends().into_iter().map(behind).min()
    }
}

/// Time going through a ring.
#[derive(Clone, Debug)]
pub struct Line {
    pub ring: Rc<Ring>,
    pub begin: u64,
    /// The byte of the stream that it began with.
    pub base: u64,
}

impl Line {
    /// Frames that have passed.
    pub fn passed(&self, now: u64) -> u64 {
        let nanoseconds = u128::from(now - self.begin) * u128::from(self.ring.rate());
        (nanoseconds / u128::from(SECOND)) as u64
    }

    /// When frame `frame` begins.
    pub fn time_of(&self, frame: u64) -> u64 {
        self.begin + (frame * SECOND).div_ceil(self.ring.rate())
    }

    pub fn byte(&self, now: u64) -> u64 {
        self.base + self.passed(now) * self.ring.frame()
    }

    /// When byte `end` has passed, with the frame that it ends in.
    fn end_time(&self, end: u64) -> u64 {
        self.time_of(end.saturating_sub(self.base).div_ceil(self.ring.frame()))
    }

    /// By when an end has to be told: at once, if none is near.
    fn deadline(&self, end: u64) -> u64 {
        let ring = &self.ring;
        let time = self.end_time(end);
        let near_after = ring.next_end(end).is_some_and(|next| self.end_time(next) <= time + TOGETHER);
        let near_before = end
            .checked_sub(1)
            .and_then(|upto| ring.last_end(upto))
            .is_some_and(|last| self.end_time(last) + TOGETHER >= time);
        if near_after || near_before { time + TOGETHER } else { time }
    }
}

/// A status bit that may be set at one moment or a little later.
#[derive(Clone, Copy, Debug, Default)]
pub struct Flag {
    pub set: bool,
    /// Has to be set from then on.
    pub must: Option<u64>,
    /// May be set until then.
    pub may: Option<u64>,
}

impl Flag {
    /// Takes what was read, if it can be.
    pub fn read(&mut self, actual: bool, now: u64, what: &str) {
        if actual {
            let may = self.set || self.must.is_some() || self.may.is_some_and(|until| now <= until);
            assert!(may, "{what} is set without a cause");
        } else {
            assert!(!self.set, "{what} has gone");
            assert!(self.must.is_none_or(|from| now < from), "{what} is missing");
        }
        self.set = actual;
        if actual {
            self.must = None;
        }
    }
}

/// Registers and state of one descriptor.
#[derive(Clone, Debug, Default)]
pub struct Stream {
    /// The low byte but for SRST and RUN.
    pub enables: u8,
    pub tag: u8,
    pub run: bool,
    pub bcis: Flag,
    pub fifoe: Flag,
    /// When it was cleared last.
    pub fifoe_cleared: u64,
    pub dese: bool,
    pub cbl: u32,
    pub lvi: u16,
    pub fmt: u16,
    pub bdl: u64,
    pub fifos: Option<u16>,
    /// Of the list in force, while RUN is 1.
    pub ring: Option<Rc<Ring>>,
    pub line: Option<Line>,
    /// The byte of the ring where it stands, without a line.
    pub rest: u64,
    /// Ends up to this byte of the stream were looked at.
    looked: u64,
    /// The ends that BCIS may be about: none before this byte has been told.
    pub first_told: Option<u64>,
}

impl Stream {
    /// Begins to move.
    pub fn begin(&mut self, now: u64) {
        let ring = self.ring.clone().unwrap();
        self.looked = self.rest;
        self.line = Some(Line { ring, begin: now, base: self.rest });
    }

    /// Stands still from now on.
    pub fn end(&mut self, now: u64) {
        let Some(line) = &self.line else { return };
        self.rest = line.byte(now) % line.ring.bytes;
        // What has passed is told now.
        if self.bcis.must.is_some() {
            self.bcis.must = Some(now);
        }
        self.bcis.may = self.bcis.may.map(|_| now);
        self.line = None;
    }

    pub fn position(&self, now: u64) -> u64 {
        self.line.as_ref().map_or(self.rest, |line| line.byte(now) % line.ring.bytes)
    }

    /// Sees which ends have passed. Gives the first, if some have.
    pub fn look(&mut self, now: u64) {
        self.first_told = None;
        let Some(line) = &self.line else { return };
        let byte = line.byte(now);
        let from = std::mem::replace(&mut self.looked, byte);
        let ring = &line.ring;
        let Some(first) = ring.next_end(from).filter(|end| *end <= byte) else { return };
        let last = ring.last_end(byte).unwrap();
        self.first_told = Some(first);
        // Some end lies in between whose time has come.
        let due = line.deadline(first).min(line.deadline(last));
        if !self.bcis.set {
            self.bcis.must = Some(self.bcis.must.map_or(due, |must| must.min(due)));
        }
        self.bcis.may = Some(line.deadline(last).max(now));
    }
}
