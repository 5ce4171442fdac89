//! The second opinion: DATASHEET 5.1 to 5.7 and the mark page, without a card.
#![allow(clippy::cast_possible_truncation, clippy::precedence, reason = "positions in a test are small")]

use ringwave_card::env::ClockMode;
use ringwave_regs::pages::status::{FLAG_ENDED, FLAG_LOCKSTEP, FLAG_STALLED, FLAG_WRITTEN};
use ringwave_regs::stream as regs;

use crate::support::SECOND;

/// One render stream.
#[allow(clippy::struct_excessive_bools, reason = "each is one of a stream's")]
pub struct Model {
    pub card: ClockMode,
    pub rate: u64,
    pub packet: u64,
    pub packets: u64,
    pub state: u32,
    /// Position `frame` at `clock`, and whether it moves.
    pub base: (u64, u64, bool),
    pub count: u32,
    pub written: Option<u32>,
    pub armed: Option<u32>,
    pub last: Option<(u32, u64)>,
    pub ended: bool,
    pub stalled: bool,
    pub clock: Option<ClockMode>,
    /// LOCKSTEP.
    pub asks: bool,
    /// The burst that the position is in: first frame, end, and whether it is silent.
    pub burst: Option<(u64, u64, bool)>,
    /// Index of the packet that has begun last, and whether it was late.
    pub begun: Option<(u64, Late)>,
    /// The word in the mark page, its tag of the day, and when it was looked at.
    pub word: u64,
    pub tag: u32,
    pub looked: u64,
    /// A look unasked has found a mark, and the guest owes a LOOK for it.
    pub owed: bool,
    pub silence: u64,
    pub host_failed: bool,
    pub start: Option<(u64, u32)>,
    pub heard: Vec<u8>,
    /// The frame up to which was heard.
    pub heard_to: u64,
    pub underruns: u32,
    pub events: u32,
}

/// Whether the packet that has begun last was late.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Late {
    /// It has its mark.
    No,
    /// It has none.
    Unmarked,
    /// It will have none: a later one was marked.
    PassedOver,
}

/// `a - b` of packet numbers.
pub fn ahead(a: u32, b: u32) -> i32 {
    a.wrapping_sub(b).cast_signed()
}

impl Model {
    pub fn number(&self, frame: u64) -> u32 {
        (frame / self.packet % (1 << 32)) as u32
    }

    pub fn position(&self, now: u64) -> u64 {
        let (clock, frame, moves) = self.base;
        if !moves {
            return frame;
        }
        frame + u64::try_from(u128::from(now - clock) * u128::from(self.rate) / u128::from(SECOND)).unwrap()
    }

    /// The frame at which the position stops or a packet is complete next.
    pub fn next_stop(&self, frame: u64) -> u64 {
        let start = frame / self.packet * self.packet;
        match self.last {
            Some((n, valid)) if n == self.number(frame) => start + valid,
            _ => start + self.packet,
        }
    }

    /// The end of the present burst. DATASHEET 5.2, and 5.5 for an end that came to be known in the middle of
    /// it.
    pub fn burst_end(&self) -> u64 {
        let (start, end, _) = self.burst.unwrap();
        end.min(self.next_stop(start))
    }

    /// Reads the mark page. DATASHEET 7.4.
    pub fn see(&mut self, now: u64) {
        if self.state == 0 || self.last.is_some() {
            return;
        }
        self.looked = now;
        let n = self.word as u32;
        if self.word >> 32 == u64::from(self.tag) && self.written.is_none_or(|written| ahead(n, written) > 0)
        {
            self.owed = false;
            self.mark(n);
        }
    }

    /// A mark is taken.
    fn mark(&mut self, n: u32) {
        self.written = Some(n);
        if let Some((index, late)) = self.begun.filter(|(_, late)| *late != Late::No) {
            let late = match ahead(n, (index % (1 << 32)) as u32) {
                0 => Late::No,
                1.. => Late::PassedOver,
                _ => late,
            };
            self.begun = Some((index, late));
        }
    }

    /// ... outside of an end of a burst: what is found may end a stall.
    pub fn observe(&mut self, now: u64) {
        self.see(now);
        let n = self.number(self.position(now));
        if self.stalled && self.written.is_some_and(|written| ahead(written, n) >= 0) {
            self.go(now, self.position(now));
        }
    }

    /// The tick at which the moving position reaches `frame`.
    pub fn due(&self, frame: u64) -> u64 {
        let (clock, from, _) = self.base;
        let ticks = (u128::from(frame - from) * u128::from(SECOND)).div_ceil(u128::from(self.rate));
        clock + u64::try_from(ticks).unwrap()
    }

    /// The host slept up to `now`. If the first end was more than 100 ms ago, time starts again there.
    pub fn wake_up(&mut self, now: u64) {
        if !self.base.2 {
            return;
        }
        let end = self.burst_end();
        if now.saturating_sub(self.due(end)) <= SECOND / 10 {
            return;
        }
        self.burst_ends(end);
        self.see(now);
        self.go(now, end);
    }

    pub fn complete(&mut self) {
        self.count = self.count.wrapping_add(1);
        self.events += 1;
    }

    pub fn burst_ends(&mut self, end: u64) {
        self.hear_to(end);
        self.burst = None;
        if end.is_multiple_of(self.packet) {
            self.complete();
        }
    }

    pub fn hear_to(&mut self, to: u64) {
        for frame in self.heard_to..to {
            let silent = self.burst.unwrap().2;
            self.silence += u64::from(silent);
            let place = u32::try_from(frame % (self.packet * self.packets)).unwrap() | 0x8000_0000;
            self.heard.extend_from_slice(&if silent { 0 } else { place }.to_le_bytes());
        }
        self.heard_to = to;
    }

    /// The stream is in RUN at `frame` and `now`: end, stall, or move.
    pub fn go(&mut self, now: u64, frame: u64) {
        let n = self.number(frame);
        self.base = (now, frame, false);
        if let Some((last, valid)) = self.last {
            let behind = ahead(n, last);
            if behind > 0 || behind == 0 && frame % self.packet >= valid {
                if behind == 0 {
                    self.complete();
                }
                self.burst = None;
                self.ended = true;
                self.stalled = false;
                return;
            }
        }
        if self.burst.is_none() {
            let ready = |model: &Self| model.written.is_some_and(|written| ahead(written, n) >= 0);
            if !ready(self) && self.clock == Some(ClockMode::Lockstep) {
                // Once more, with WAITING set.
                self.see(now);
                if !ready(self) {
                    self.stalled = true;
                    return;
                }
            }
            self.begin(frame, ready(self));
        }
        self.stalled = false;
        self.base.2 = true;
    }

    /// A burst begins at `frame`.
    pub fn begin(&mut self, frame: u64, ready: bool) {
        let index = frame / self.packet;
        let known = self.begun.filter(|(packet, _)| *packet == index).map_or(Late::No, |(_, late)| late);
        let unmarked = self.written.is_some() && !ready;
        self.underruns += u32::from(unmarked && known == Late::No);
        self.begun = Some((index, if unmarked && known == Late::No { Late::Unmarked } else { known }));
        let millis = match self.written {
            None => u64::from(regs::FIFO_MILLIS),
            Some(_) if unmarked => 1,
            Some(_) => 10,
        };
        let frames = (self.rate * millis / 1000).min(self.packet);
        let silent = unmarked || known == Late::PassedOver;
        self.burst = Some((frame, (frame + frames).min(self.next_stop(frame)), silent));
    }

    /// Time passes: every stop is computed from the base, which stays while the position moves.
    pub fn tick(&mut self, now: u64) {
        while self.base.2 {
            let (clock, frame, _) = self.base;
            let stop = self.burst_end();
            let due = self.due(stop);
            if due > now {
                break;
            }
            self.burst_ends(stop);
            self.see(now);
            self.go(due, stop);
            if self.base.2 {
                self.base = (clock, frame, true);
            }
        }
        if self.stalled && now >= self.looked + u64::from(regs::LOOK_MILLIS) * SECOND / 1000 {
            let before = self.written;
            self.observe(now);
            self.owed |= self.written != before;
        }
    }

    pub fn write_state(&mut self, to: u32, now: u64) -> bool {
        if to >= 4 || to > self.state + 1 {
            return false;
        }
        if to == 3 && self.state == 2 {
            return self.run(now);
        }
        if to < self.state && self.state == 3 {
            let position = self.position(now);
            self.hear_to(position);
            self.base = (now, position, false);
            self.stalled = false;
        }
        if to == 1 && self.state == 0 {
            self.host_failed = false;
        }
        if to == 0 && self.state != 0 {
            let Self { card, rate, packet, packets, underruns, events, asks, word, looked, silence, .. } =
                *self;
            let (heard, tag) = (std::mem::take(&mut self.heard), self.tag + 1);
            *self = Self {
                card,
                rate,
                packet,
                packets,
                asks,
                word,
                tag,
                looked,
                silence,
                heard,
                underruns,
                events,
                ..Self::default()
            };
        }
        let acquired = to == 1 && self.state == 0;
        self.state = to;
        if acquired {
            self.see(now);
        }
        true
    }

    pub fn run(&mut self, now: u64) -> bool {
        if let Some((frame, packet)) = self.start {
            if frame >= 1 << 48 || self.number(frame) != packet {
                return false;
            }
            self.start = None;
            self.count = packet;
            self.burst = None;
            self.begun = None;
            self.base.1 = frame;
            self.heard_to = frame;
        }
        self.state = 3;
        self.clock.get_or_insert(if self.asks { self.card } else { ClockMode::Realtime });
        if !self.ended {
            self.wake_if_behind(self.base.1);
            self.go(now, self.base.1);
        }
        true
    }

    pub fn wake_if_behind(&mut self, frame: u64) {
        let behind = self.last.is_some_and(|(last, _)| ahead(self.number(frame), last) > 0);
        self.events += u32::from(behind);
    }

    pub fn write_written(&mut self, n: u32, now: u64) -> bool {
        let position = self.position(now);
        let back = self.written.is_some_and(|written| ahead(n, written) < 0);
        let last = self.armed.is_some() && ahead(n, self.number(position)) >= 0;
        if self.state == 0 || self.last.is_some() || back && !last {
            return false;
        }
        self.mark(n);
        self.last = self.armed.map(|frames| (n, u64::from(frames)));
        if self.state != 3 {
            return true;
        }
        let number = self.number(position);
        let over = self.last.is_some_and(|(last, valid)| {
            ahead(number, last) > 0 || number == last && position % self.packet >= valid
        });
        if over {
            self.hear_to(position);
            self.burst = None;
            self.wake_if_behind(position);
        }
        if over || self.stalled && ahead(n, number) >= 0 {
            self.go(now, position);
        }
        true
    }

    pub fn flags(&self) -> u32 {
        u32::from(self.stalled) * FLAG_STALLED
            | u32::from(self.clock == Some(ClockMode::Lockstep)) * FLAG_LOCKSTEP
            | u32::from(self.ended) * FLAG_ENDED
            | u32::from(self.written.is_some()) * FLAG_WRITTEN
    }
}

impl Default for Model {
    fn default() -> Self {
        Self {
            card: ClockMode::Lockstep,
            rate: 0,
            packet: 0,
            packets: 0,
            state: 0,
            base: (0, 0, false),
            count: 0,
            written: None,
            armed: None,
            last: None,
            ended: false,
            stalled: false,
            clock: None,
            asks: false,
            burst: None,
            begun: None,
            word: 0,
            tag: 0,
            looked: 0,
            owed: false,
            silence: 0,
            host_failed: false,
            start: None,
            heard: Vec::new(),
            heard_to: 0,
            underruns: 0,
            events: 0,
        }
    }
}
