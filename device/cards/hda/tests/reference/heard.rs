//! What is heard: for each render endpoint which frames of which line, and what may lie in them.

use std::collections::VecDeque;

use super::stream::Line;

/// What lay in the memory of outputs, and when the card could not get at it.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    /// Since when a version is there; the last one is.
    versions: Vec<(u64, u8)>,
    /// Neither bus master nor a host that was on time: from, to, and perhaps to.
    outages: Vec<(u64, u64, u64)>,
}

/// A byte of the memory of outputs. Never 0: silence is none of it.
pub fn pattern(version: u8, address: u64) -> u8 {
    let mut mixed = (address + 1) ^ u64::from(version) << 40;
    for _ in 0..2 {
        mixed = (mixed ^ mixed >> 31).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }
    ((mixed >> 32) % 255) as u8 + 1
}

impl Memory {
    pub fn store(&mut self, version: u8, now: u64) {
        self.versions.push((now, version));
    }

    pub fn version(&self) -> u8 {
        self.versions.last().map_or(0, |(_, version)| *version)
    }

    /// Bus Master Enable is off from now on.
    pub fn outage(&mut self, from: u64) {
        self.outages.push((from, u64::MAX, u64::MAX));
    }

    pub fn outage_ends(&mut self, now: u64) {
        if let Some((_, to @ u64::MAX, perhaps)) = self.outages.last_mut() {
            (*to, *perhaps) = (now, now);
        }
    }

    /// The host was late. The burst that is under way when it is back may be whole.
    pub fn late(&mut self, from: u64, now: u64, burst: u64) {
        self.outages.push((from, now - burst, now));
    }

    /// Whether some moment of that time was, or was not, an outage.
    pub fn outage_within(&self, from: u64, to: u64) -> (bool, bool) {
        let touched = self.outages.iter().any(|(begin, _, end)| *begin <= to && from <= *end);
        let whole = self.outages.iter().any(|(begin, end, _)| *begin < from && to < *end);
        (touched, !whole)
    }

    /// Whether frame `frame` of a line may be these bytes: of any version that was there while it could be
    /// fetched, at the begin of a burst that it is in.
    fn fits(&self, line: &Line, frame: u64, bytes: &[u8]) -> bool {
        let ring = &line.ring;
        let to = line.time_of(frame);
        let from = to.saturating_sub(ring.burst_time() + 1).max(line.begin);
        let (silence, sound) = self.outage_within(from, to);
        if silence && bytes.iter().all(|byte| *byte == 0) {
            return true;
        }
        let begin = line.base + frame * ring.frame();
        sound
            && self.versions.iter().enumerate().rev().any(|(number, (since, version))| {
                let until = self.versions.get(number + 1).map_or(u64::MAX, |(next, _)| *next);
                let there = *since <= to && from <= until;
                let byte = |at: u64| pattern(*version, ring.address(at % ring.bytes));
                there && (begin..).zip(bytes).all(|(at, found)| byte(at) == *found)
            })
    }
}

/// A line that an endpoint listens to.
#[derive(Debug)]
pub struct Listening {
    pub descriptor: usize,
    pub line: Line,
    /// The frame it is heard from: the first, or one of those about the time when it was connected.
    first: (u64, u64),
    next: Option<u64>,
    /// How many frames were heard in the end.
    closed: Option<(u64, u64)>,
}

/// An endpoint's ears.
#[derive(Debug, Default)]
pub struct Endpoint {
    pub listens: VecDeque<Listening>,
}

impl Endpoint {
    pub fn current(&self) -> Option<&Listening> {
        self.listens.back().filter(|listening| listening.closed.is_none())
    }

    pub fn open(&mut self, descriptor: usize, line: &Line, now: u64) {
        let passed = line.passed(now);
        let first = if line.begin == now {
            (0, 0)
        } else {
            (passed.saturating_sub(line.ring.burst), passed + line.ring.burst + 1)
        };
        let next = (first == (0, 0)).then_some(0);
        self.listens.push_back(Listening { descriptor, line: line.clone(), first, next, closed: None });
    }

    /// Ends what is heard now: with the line, or because another is listened to.
    pub fn close(&mut self, with_line: bool, now: u64) {
        let Some(listening) = self.listens.back_mut() else { return };
        let (passed, burst) = (listening.line.passed(now), listening.line.ring.burst);
        let range = if with_line { (passed, passed) } else { (passed.saturating_sub(burst), passed + burst) };
        listening.closed = Some(range);
    }

    /// Takes frames that were heard.
    pub fn take(&mut self, bytes: &[u8], format: ringwave_audio::StreamFormat, memory: &Memory) {
        for frame in bytes.chunks_exact(format.frame_bytes() as usize) {
            loop {
                let Some(listening) = self.listens.front_mut() else { panic!("heard without a stream") };
                if listening.line.ring.format == format && listening.take(frame, memory) {
                    break;
                }
                let next = listening.next.unwrap_or(listening.first.0);
                assert!(
                    listening.closed.is_some_and(|(least, _)| next >= least || listening.first.1 > 0),
                    "what was heard: frame {next} of {listening:?} is not {frame:x?} ({format:?})"
                );
                self.listens.pop_front();
            }
        }
    }

    /// Whether everything has been heard that should have been.
    pub fn check(&mut self, now: u64) {
        while let Some(listening) = self.listens.front() {
            let loose = listening.first.1 > 0;
            let slack = if loose { 3 * listening.line.ring.burst } else { 0 };
            let next = listening.next.unwrap_or(listening.first.0);
            if let Some((least, most)) = listening.closed {
                assert!(next + slack >= least, "heard {next} of {least} frames at least: {listening:?}");
                assert!(next <= most, "heard {next} of {most} frames at most");
                if self.listens.len() > 1 || least == most {
                    self.listens.pop_front();
                    continue;
                }
            } else {
                let passed = listening.line.passed(now);
                assert!(next <= passed.max(listening.first.1), "heard before it was");
                let behind = listening.line.ring.burst + slack;
                assert!(next + behind >= passed, "heard {next} of {passed} frames: {listening:?}");
            }
            return;
        }
    }
}

impl Listening {
    fn take(&mut self, frame: &[u8], memory: &Memory) -> bool {
        let (from, to) = self.next.map_or(self.first, |next| (next, next));
        let most = self.closed.map_or(u64::MAX, |(_, most)| most);
        let found = (from..=to).find(|next| *next < most && memory.fits(&self.line, *next, frame));
        if let Some(found) = found {
            self.next = Some(found + 1);
        }
        found.is_some()
    }
}
