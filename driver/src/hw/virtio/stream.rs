//! The I/O messages of one stream: which parts of the cyclic buffer the device has, and where the stream
//! stands by what came back. 5.14.6.8.
//!
//! Frames are counted since STOP and cut into pieces of equal length ([`super::pieces`]). From the left:
//!
//! ```text
//!   0 ........ completed ........ position ........ posted ........ may be posted
//!              came back          by time           the device has
//! ```
//!
//! A message is a header, the cyclic buffer's own memory, and a status; header and status are in memory of
//! the stream's own, with the indirect table if there is one. Nothing is copied.
//!
//! **What may be posted.** A client that marks packets: what it has marked. One that does not: a fixed depth
//! ahead of what was completed, so never more than that ahead of the position; it is posted when a piece
//! comes back, never earlier. A recording: the packet that is being recorded, and for the last of its pieces
//! one of the next; in lockstep as much as was taken.
//!
//! **When a packet is played.** A message that came back was read by the device, not heard: QEMU's card reads
//! 20 ms at once when it begins. So to a client that marks a packet counts as played at the moment that the
//! line ([`super::line`]) gives for its end, which is at most a packet behind what came back. Where no
//! message comes back at that moment, the adapter's timer has the DPC look ([`PcmStream::next_look`]).
//!
//! **A client that is late.** The device has nothing then, and plays silence. Time goes on, and the position of
//! a client that marks goes past what the device has: packets that were not marked count as played when
//! theirs is over, and what is marked too late is played from the piece on that it is the time of. What a
//! client has passed over with a later mark is silence too, in a message.
//!
//! **In lockstep** it is another thing: a packet is played when it came back, and a client that is late is
//! waited for ([`Status::stalled_on`]): what is marked later is played later, and nothing is lost.
//!
//! **What D3 cuts.** The device is stopped when the client's stream is paused, in the midst of a message, and
//! then reset. Of a recording the driver knows how much of it there is: the message comes back with that many
//! bytes (`used.len`), if the device says so (ours; QEMU's says none, and that part is recorded anew). Of a
//! message that was being played nothing says how much was heard: not its status, not `used.len`. The stream
//! goes on at the position that was frozen, which is what the client was told, too. That is exact where a
//! message ended, and between two of them as exact as the line of the position: what lies between the moment
//! of the estimate and the one in which the device took STOP is heard twice, and where the estimate was ahead
//! of the device as much is lost.
//!
//! *latency_bytes* of the status means four things in the field (what is queued, what was in this message, 0
//! ...), and is not looked at.

use alloc::vec::Vec;
use core::ops::Range;

use nt::NtResult;
use nt::contiguous::ContiguousMemory;
use nt::pool::try_vec;
use nt::status::{STATUS_DEVICE_NOT_READY, STATUS_INSUFFICIENT_RESOURCES};

use super::line::{Line, PULL_PLAYED, PULL_RECORDED};
use super::pieces;
use super::queue::{DESCRIPTOR_BYTES, Descriptor, Full, Queue, store_table};
use super::ring_memory::RingMemory;
use super::wire::{OK, PCM_STATUS_BYTES, XFER_BYTES};
use crate::hw::format::AudioFormat;
use crate::hw::geometry::BufferGeometry;
use crate::hw::{Anchor, Mark, Status};

/// The most messages of a stream that the device has at once.
pub const MESSAGES_MAX: u32 = 32;
/// The most descriptors of a message: of a piece of 20 ms of the widest format, with the silence at its end.
const DESCRIPTORS_MAX: usize = 72;
/// Where the parts of a message are in its own memory.
const STATUS_AT: usize = 8;
const TABLE_AT: usize = 16;
/// Messages of a recording that come back later than by so many milliseconds say that the device stood still;
/// those that are less late, that the guest did.
const STALL_MS: u64 = 100;
/// How the memory of a stream's silence is counted.
const SILENCE_BYTES: u32 = 4096;

/// A message that the device has.
#[derive(Clone, Copy, Debug, Default)]
struct Message {
    /// Its first frame, and the one behind its last.
    begin: u64,
    end: u64,
    /// It came back, and one before it has not.
    done: bool,
}

/// What a stream is while a format is set: made at `configure`.
struct Cut {
    geometry: BufferGeometry,
    rate: u32,
    /// Frames of a piece, and how many the device gets ahead.
    piece: u32,
    ahead: u32,
    /// Headers, statuses and tables; one after the other.
    memory: ContiguousMemory,
    message_bytes: usize,
    messages: Vec<Message>,
}

impl Cut {
    fn bytes_of(&self, frames: &Range<u64>) -> u32 {
        let count = u32::try_from(frames.end.saturating_sub(frames.start)).unwrap_or(self.piece);
        count.saturating_mul(self.geometry.frame_bytes)
    }
}

/// A stream with a cyclic buffer.
#[allow(clippy::struct_excessive_bools, reason = "none depends on another")]
pub struct PcmStream {
    /// The device's number of it.
    id: u32,
    captures: bool,
    ring: RingMemory,
    cut: Option<Cut>,
    /// Numbers of the oldest message that the device has, and of the next.
    oldest: u32,
    next: u32,
    /// Frames since STOP: see the picture.
    completed: u64,
    posted: u64,
    /// The last position that was told.
    position: u64,
    /// Frames that count as played.
    told: u64,
    /// What the client has marked: the frame behind it.
    marked: Option<u64>,
    /// The frames of packets that the client has passed over: they are silent.
    passed: Range<u64>,
    /// The device ran dry, and time has gone on.
    starved: bool,
    /// The frame behind the last valid one, once the end of the stream is known.
    ends_at: Option<u64>,
    /// Lockstep is asked for.
    lockstep: bool,
    runs: bool,
    /// It is being released: what comes back was not played.
    discards: bool,
    /// Frames that were recorded into the oldest message that was discarded.
    part: u64,
    /// Recording: frames that were there when its messages were discarded last.
    stood: u64,
    /// The frame that it was started at.
    started: u64,
    line: Line,
    /// The moment at which it was looked at last.
    seen: u64,
    /// The moment at which the last packet was complete, by the line.
    packet_clock: u64,
    faults: u32,
    fault: Option<&'static str>,
    /// How often the device had nothing to play.
    underruns: u32,
    /// Physical address of zeroes.
    silence: u64,
}

/// The moment of now, in ticks of the performance counter.
pub fn now() -> u64 {
    u64::try_from(nt::clock::now()).unwrap_or(0)
}

impl PcmStream {
    /// A stream of the device with a cyclic buffer, in STOP. `silence`: physical address of a page of zeroes.
    pub fn new(id: u32, captures: bool, ring: RingMemory, clock_hz: u32, silence: u64) -> Self {
        Self {
            id,
            captures,
            ring,
            cut: None,
            oldest: 0,
            next: 0,
            completed: 0,
            posted: 0,
            position: 0,
            told: 0,
            marked: None,
            passed: 0..0,
            starved: false,
            ends_at: None,
            lockstep: false,
            runs: false,
            discards: false,
            part: 0,
            stood: 0,
            started: 0,
            line: Line {
                clock: 0,
                frame: 0,
                rate: 0,
                clock_hz,
                pull: if captures { PULL_RECORDED } else { PULL_PLAYED },
            },
            seen: 0,
            packet_clock: 0,
            faults: 0,
            fault: None,
            underruns: 0,
            silence,
        }
    }

    /// Messages that the device has.
    pub const fn outstanding(&self) -> u32 {
        self.next.wrapping_sub(self.oldest)
    }

    /// Cuts the buffer for a format: bytes of a piece, and of as many as there are at once. PASSIVE_LEVEL;
    /// the device has no message of it.
    ///
    /// # Errors
    /// `STATUS_INSUFFICIENT_RESOURCES`.
    pub fn cut(memory_highest: u64, format: AudioFormat, geometry: BufferGeometry) -> NtResult<CutBuffer> {
        let piece = pieces::piece_frames(format.rate, &geometry);
        let ahead = pieces::frames_ahead(format.rate, Some(&geometry));
        let piece_bytes = piece.checked_mul(geometry.frame_bytes).ok_or(STATUS_INSUFFICIENT_RESOURCES)?;
        let frames = geometry.packet_frames().saturating_mul(geometry.packets);
        let count = frames.checked_div(piece).unwrap_or(1).saturating_add(1).clamp(2, MESSAGES_MAX);
        // Each page of the piece, those that it and what is behind a passed-over packet begin in, one at the
        // wrap, and what that packet's silence and the end's take.
        let pages = piece_bytes.div_ceil(SILENCE_BYTES).saturating_mul(2).saturating_add(6);
        let descriptors = usize::try_from(pages).unwrap_or(DESCRIPTORS_MAX).min(DESCRIPTORS_MAX);
        let message_bytes = descriptors.saturating_mul(DESCRIPTOR_BYTES).saturating_add(TABLE_AT);
        let all = usize::try_from(count).unwrap_or(0).saturating_mul(message_bytes);
        let memory = ContiguousMemory::try_new(all, memory_highest)?;
        let messages = try_vec(Message::default(), usize::try_from(count).unwrap_or(0))?;
        let rate = format.rate;
        Ok(CutBuffer(Cut { geometry, rate, piece, ahead, memory, message_bytes, messages }))
    }

    /// Takes what [`cut`](Self::cut) made; what it had before is the answer, to be freed without a lock.
    pub fn set_cut(&mut self, cut: CutBuffer) -> Option<CutBuffer> {
        self.line.rate = cut.0.rate;
        self.reset();
        self.cut.replace(cut.0).map(CutBuffer)
    }

    /// STOP: everything counted is 0. The device has no message of it.
    pub fn reset(&mut self) {
        if self.captures && self.discards {
            self.stood = self.completed.saturating_add(self.part);
        }
        (self.part, self.started) = (0, 0);
        (self.oldest, self.next) = (0, 0);
        (self.completed, self.posted, self.position, self.told) = (0, 0, 0, 0);
        (self.marked, self.ends_at, self.passed, self.starved) = (None, None, 0..0, false);
        (self.runs, self.discards, self.lockstep) = (false, false, false);
        (self.packet_clock, self.faults, self.underruns, self.fault) = (0, 0, 0, None);
    }

    /// It goes on at `frame`, where its position was frozen. With a message that is shorter than the others,
    /// unless that is the begin of a piece; 5.14.6.8.1 wants whole ones with a SHOULD. See "What D3 cuts" at
    /// the head of this file.
    pub fn start_at(&mut self, now: u64, frame: u64) {
        let Some(cut) = &self.cut else { return };
        if self.outstanding() == 0 {
            // Of a recording it is known how far it came, which is not quite what its position said.
            let knows = self.captures && self.stood.abs_diff(frame) <= cut.piece.into();
            self.started = if knows { self.stood } else { frame };
            (self.completed, self.posted, self.position) = (self.started, self.started, frame);
            self.told = self.started;
            self.line.restart(now, self.started);
            self.time_last_packet(now);
        }
    }

    /// Lockstep is asked for, or not.
    pub const fn ask_lockstep(&mut self, ask: bool) {
        self.lockstep = ask;
    }

    /// RUN: from now on time passes.
    pub fn run(&mut self, now: u64) {
        self.see(now);
        let begins = if self.is_timed() { self.position } else { self.position.max(self.completed) };
        self.line.restart(now, begins);
        self.time_last_packet(now);
        self.runs = true;
    }

    /// A stream that was started behind packets knows no moment of theirs: until one ends in its time, the
    /// last ended as if the stream had come up to where it stands.
    fn time_last_packet(&mut self, now: u64) {
        let end = self.packet_begin(self.told);
        if end > 0 && end == self.packet_begin(self.started) {
            self.packet_clock = self.line.when(end).min(now);
        }
    }

    /// No time passes any more.
    pub fn pause(&mut self, now: u64) {
        self.pass_time(now);
        self.position = self.position_at(now);
        self.runs = false;
    }

    /// From now on what comes back was not played.
    pub fn discard(&mut self, now: u64) {
        self.pause(now);
        self.discards = true;
    }

    /// A client has marked a packet, or taken one.
    pub fn mark(&mut self, mark: Mark) {
        let Some(cut) = &self.cut else { return };
        let near = if self.captures { self.completed } else { self.posted };
        let packet = cut.geometry.packet_frames();
        // A recording may go on until the place of the first packet that was not taken is needed.
        let packets = if self.captures { cut.geometry.packets } else { 0 };
        let begin = cut.geometry.frame_in_packet(mark.number.wrapping_add(packets), 0, near);
        let end = begin.saturating_add(packet.into());
        if self.is_timed()
            && let Some(before) = self.marked.filter(|before| *before < begin)
        {
            self.passed = before..begin;
        }
        if let Some(bytes) = mark.end_of_stream {
            let valid = u64::from(bytes.checked_div(cut.geometry.frame_bytes).unwrap_or(0));
            self.ends_at = Some(begin.saturating_add(valid));
            self.marked = Some(end);
        } else {
            self.marked = Some(self.marked.map_or(end, |before| before.max(end)));
        }
    }

    /// Whether its packets are played by time: see the head of this file.
    const fn is_timed(&self) -> bool {
        !self.captures && !self.lockstep && self.marked.is_some()
    }

    /// Whether time goes on although the device has nothing: it has played all of it, and there is no end.
    fn starves(&self, now: u64) -> bool {
        let dry = self.is_timed() && self.runs && self.outstanding() == 0 && self.ends_at.is_none();
        dry && self.line.at(now) >= self.posted
    }

    /// The counter has gone back, as it does in virtual machines that are moved: what was noted of it goes
    /// back with it, so that no time passes, and none passes twice.
    fn see(&mut self, now: u64) {
        let back = self.seen.saturating_sub(now);
        self.line.clock = self.line.clock.saturating_sub(back);
        self.packet_clock = self.packet_clock.saturating_sub(back);
        self.seen = now;
    }

    /// What time alone brings: packets end, and what was not marked in time is over.
    fn pass_time(&mut self, now: u64) {
        self.see(now);
        let Some(cut) = &self.cut else { return };
        let starves = self.starves(now);
        if starves {
            // What is marked now begins with the piece that it is the time of.
            let line = self.line.at(now);
            let begun = line.saturating_sub(line.checked_rem(cut.piece.into()).unwrap_or(0));
            if begun > self.posted {
                (self.completed, self.posted) = (begun, begun);
                self.underruns = self.underruns.saturating_add(u32::from(!self.starved));
                self.starved = true;
            }
        }
        let played = match (self.is_timed(), self.runs) {
            (true, true) if starves => self.line.at(now),
            (true, true) => self.completed.min(self.line.at(now)),
            (true, false) => self.told,
            (false, _) => self.completed,
        };
        if played > self.told && self.packet_of(played) != self.packet_of(self.told) {
            let end = if self.is_timed() { self.packet_begin(played) } else { played };
            self.packet_clock = self.line.when(end).min(now);
        }
        self.told = self.told.max(played);
    }

    /// The first frame of the packet that `frame` is in.
    fn packet_begin(&self, frame: u64) -> u64 {
        frame.saturating_sub(frame.checked_rem(self.packet_frames()).unwrap_or(0))
    }

    /// The frame behind the last of the packet that `frame` is in.
    fn packet_end(&self, frame: u64) -> u64 {
        self.packet_begin(frame).saturating_add(self.packet_frames())
    }

    /// The moment at which a packet counts as played without a message that comes back then, if there is one.
    pub fn next_look(&self) -> Option<u64> {
        let end = self.packet_end(self.told);
        let has_nothing = self.outstanding() == 0 && self.ends_at.is_none();
        let by_time = self.is_timed() && self.runs && (self.completed >= end || has_nothing);
        // The line rounds down: one tick later it is there.
        (by_time && end > self.told).then(|| self.line.when(end).saturating_add(1))
    }

    /// Up to where pieces may be posted.
    fn postable(&self, cut: &Cut) -> u64 {
        if !self.runs && (self.captures || self.marked.is_none()) {
            // What a client has not said to be valid is fetched at its time, and no sooner.
            return 0;
        }
        let ahead = self.completed.saturating_add(cut.ahead.into());
        if !self.captures {
            return self.marked.unwrap_or(ahead);
        }
        let packets = u64::from(cut.geometry.packets);
        if self.lockstep {
            return self.marked.unwrap_or(self.packet_frames().saturating_mul(packets));
        }
        if packets < 2 {
            return ahead;
        }
        let two_pieces = u64::from(cut.piece).saturating_mul(2);
        self.packet_end(self.completed).max(self.completed.saturating_add(two_pieces))
    }

    /// Gives the device what it may have. `index`: the number of this stream in its lane.
    pub fn post(&mut self, queue: &mut Queue, index: u32, indirect: bool, now: u64) {
        if self.discards {
            return;
        }
        self.pass_time(now);
        // Bounded by the number of messages.
        for _ in 0..MESSAGES_MAX {
            if self.post_one(queue, index, indirect, now).is_none() {
                return;
            }
        }
    }

    fn post_one(&mut self, queue: &mut Queue, index: u32, indirect: bool, now: u64) -> Option<()> {
        let cut = self.cut.as_ref()?;
        let (first, end) = (self.posted, self.piece_end(cut));
        let room = u32::try_from(cut.messages.len()).unwrap_or(0);
        if end > self.postable(cut) || self.outstanding() >= room {
            return None;
        }
        let slot = self.next.checked_rem(room)?;
        let added = self.add(cut, queue, (index, slot), indirect);
        added.ok()?;
        let dry = self.outstanding() == 0 && self.runs;
        let line = self.line.at(now);
        if dry && line > self.posted {
            // The device had nothing to play until now: the line goes on at the first frame of this message.
            self.line.restart(now, self.posted);
            let late = self.is_timed() && self.posted > self.started && !self.starved;
            self.underruns = self.underruns.saturating_add(u32::from(late));
        }
        self.starved = false;
        let cut = self.cut.as_mut()?;
        *cut.messages.get_mut(usize::try_from(slot).ok()?)? = Message { begin: first, end, done: false };
        self.next = self.next.wrapping_add(1);
        self.posted = end;
        Some(())
    }

    /// The end of the piece at `posted`: pieces lie behind each other from frame 0 on.
    fn piece_end(&self, cut: &Cut) -> u64 {
        let into = self.posted.checked_rem(cut.piece.into()).unwrap_or(0);
        self.posted.saturating_sub(into).saturating_add(cut.piece.into())
    }

    /// Makes the message of the piece at `posted`.
    // Not inlined: its descriptors are on the stack.
    #[inline(never)]
    fn add(
        &self,
        cut: &Cut,
        queue: &mut Queue,
        (index, slot): (u32, u32),
        indirect: bool,
    ) -> Result<(), Full> {
        let at = usize::try_from(slot).unwrap_or(0).saturating_mul(cut.message_bytes);
        let physical = |offset: usize| cut.memory.physical().saturating_add(at.saturating_add(offset) as u64);
        cut.memory.store(at, self.id);
        // No status: what the device does not write is a fault.
        cut.memory.store(at.saturating_add(STATUS_AT), 0_u64);
        let mut chain = Chain::default();
        let whole = chain.push(Descriptor::readable(physical(0), XFER_BYTES))
            && self.describe(cut, &mut chain)
            && chain.push(Descriptor::writable(physical(STATUS_AT), PCM_STATUS_BYTES));
        if !whole {
            return Err(Full);
        }
        let token = index << 16 | slot;
        let descriptors = chain.as_slice();
        let table_bytes = descriptors.len().saturating_mul(DESCRIPTOR_BYTES);
        let fits = table_bytes.saturating_add(TABLE_AT) <= cut.message_bytes
            && descriptors.len() <= usize::from(queue.size());
        if indirect && fits {
            store_table(&cut.memory, at.saturating_add(TABLE_AT), descriptors);
            queue.add_table(physical(TABLE_AT), u32::try_from(table_bytes).unwrap_or(0), token)
        } else {
            queue.add(descriptors, token)
        }
    }

    /// The data of the piece at `posted`: the buffer's own memory; silence where a packet was passed over,
    /// and behind the end of the stream.
    fn describe(&self, cut: &Cut, chain: &mut Chain) -> bool {
        let begin = self.posted;
        let end = self.piece_end(cut);
        let heard = self.ends_at.unwrap_or(end).clamp(begin, end.max(begin));
        let silent_from = self.passed.start.clamp(begin, heard);
        let silent_to = self.passed.end.clamp(silent_from, heard);
        self.describe_buffer(cut, begin..silent_from, chain)
            && self.describe_silence(cut, silent_from..silent_to, chain)
            && self.describe_buffer(cut, silent_to..heard, chain)
            && self.describe_silence(cut, heard..end, chain)
    }

    fn describe_buffer(&self, cut: &Cut, frames: Range<u64>, chain: &mut Chain) -> bool {
        let (bytes, offset) = (cut.bytes_of(&frames), cut.geometry.offset_of(frames.start));
        bytes == 0 || self.ring.describe((offset, bytes), self.captures, |piece| chain.push(piece))
    }

    fn describe_silence(&self, cut: &Cut, frames: Range<u64>, chain: &mut Chain) -> bool {
        let mut silent = cut.bytes_of(&frames);
        while silent > 0 {
            let bytes = silent.min(SILENCE_BYTES);
            if !chain.push(Descriptor::readable(self.silence, bytes)) {
                return false;
            }
            silent = silent.saturating_sub(bytes);
        }
        true
    }

    /// A message came back; `written` is what the device says it wrote. `false`: it can't be.
    pub fn completed(&mut self, slot: u32, written: u32, now: u64) -> bool {
        self.see(now);
        let limit = self.line_limit(now);
        let Some(cut) = self.cut.as_mut() else { return false };
        let count = u32::try_from(cut.messages.len()).unwrap_or(1).max(1);
        let at = usize::try_from(slot).unwrap_or(usize::MAX).saturating_mul(cut.message_bytes);
        let Some(message) = cut.messages.get_mut(usize::try_from(slot).unwrap_or(usize::MAX)) else {
            return false;
        };
        message.done = true;
        let frames = u32::try_from(message.end.saturating_sub(message.begin)).unwrap_or(0);
        let data = if self.captures { frames.saturating_mul(cut.geometry.frame_bytes) } else { 0 };
        if self.discards && self.captures && message.begin == self.completed {
            // What was recorded of it stands in the buffer.
            let recorded = written.saturating_sub(PCM_STATUS_BYTES).checked_div(cut.geometry.frame_bytes);
            self.part = recorded.unwrap_or(0).min(frames).into();
        }
        if !self.discards {
            let status = cut.memory.load::<u32>(at.saturating_add(STATUS_AT));
            // Of a recording that is short the status may stand anywhere (QEMU puts it behind the data).
            let whole = written >= data.saturating_add(PCM_STATUS_BYTES);
            if status != OK || !whole {
                self.faults = self.faults.saturating_add(1);
                self.fault = Some(if whole { super::wire::status_name(status) } else { "a short message" });
            }
        }
        // Within a stream they come back in order; those that do not wait for those before them.
        let mut completed = self.completed;
        while self.oldest != self.next {
            let oldest = usize::try_from(self.oldest % count).unwrap_or(usize::MAX);
            let Some(message) = cut.messages.get_mut(oldest).filter(|message| message.done) else { break };
            message.done = false;
            completed = message.end;
            self.oldest = self.oldest.wrapping_add(1);
        }
        if !self.discards && completed > self.completed {
            self.completed = completed;
            if self.runs {
                let reserve = if self.is_timed() { self.packet_frames() } else { 0 };
                self.line.completed(now, completed, limit, reserve);
            }
            self.pass_time(now);
        }
        true
    }

    fn packet_frames(&self) -> u64 {
        self.cut.as_ref().map_or(0, |cut| cut.geometry.packet_frames().into())
    }

    fn packet_of(&self, frame: u64) -> u32 {
        self.cut.as_ref().map_or(0, |cut| cut.geometry.packet_of(frame))
    }

    /// How far the position may be, unless a client is late: not past what the device has, and not past the
    /// end of the packet that it is in, which is complete when its last piece comes back. A recording is
    /// there when it comes back.
    fn limit(&self) -> u64 {
        let Some(cut) = &self.cut else { return 0 };
        if self.captures {
            return self.posted.min(self.completed.saturating_add(cut.piece.into()));
        }
        if cut.geometry.packets < 2 {
            return self.posted;
        }
        self.posted.min(self.packet_end(self.completed))
    }

    /// How far the line may be when a message comes back. Of a recording it may be ahead of what the device
    /// had, which the position is not: with a message that only the guest was late for, the packet in it
    /// would be told to have begun as much too late, and the next one too soon after it.
    fn line_limit(&self, now: u64) -> u64 {
        let stall = u64::from(self.line.rate).saturating_mul(STALL_MS) / 1000;
        if self.captures && self.line.at(now) <= self.limit().saturating_add(stall) {
            return u64::MAX;
        }
        self.limit()
    }

    /// Where it is at a moment: never back.
    fn position_at(&self, now: u64) -> u64 {
        let limit = if self.starves(now) { u64::MAX } else { self.limit() };
        let reached = if self.runs { self.line.at(now).min(limit) } else { self.position };
        let least = if self.is_timed() { self.told } else { self.completed };
        self.position.max(reached).max(least)
    }

    /// Where it stands.
    pub fn status(&mut self, now: u64) -> Status {
        self.pass_time(now);
        self.position = self.position_at(now);
        let packet = self.packet_frames();
        let packet_count = self.packet_of(self.told);
        let packet_ticks = self.line.when(self.line.frame.saturating_add(packet));
        let packet_ticks = packet_ticks.saturating_sub(self.line.clock);
        // Of the packet that it was started in the first frame is that one (DATASHEET 7.2).
        let last_end = self.packet_begin(self.told);
        let short = self.started.saturating_sub(last_end.saturating_sub(packet)).min(packet);
        let before = self.line.when(self.line.frame.saturating_add(short)).saturating_sub(self.line.clock);
        let packet_ticks = packet_ticks.saturating_sub(if self.started > 0 { before } else { 0 });
        let asked = self.lockstep && (self.captures || self.marked.is_some());
        let waits = asked && self.runs && self.outstanding() == 0;
        Status {
            error: self.fault,
            dma_faults: self.faults,
            lockstep: self.lockstep,
            stalled_on: waits.then_some(packet_count),
            packet_count,
            anchor: Anchor {
                clock: now,
                frame: self.position,
                rate_num: if self.runs { self.line.rate } else { 0 },
                rate_den: self.line.clock_hz.max(1),
            },
            packet_clock: self.packet_clock,
            packet_start_clock: self.packet_clock.saturating_sub(packet_ticks),
            underruns: self.underruns,
        }
    }

    /// Bytes of a piece, and of what the device is told of its buffer.
    ///
    /// # Errors
    /// `STATUS_DEVICE_NOT_READY` without a format.
    pub fn period(&self) -> NtResult<(u32, u32)> {
        let cut = self.cut.as_ref().ok_or(STATUS_DEVICE_NOT_READY)?;
        let period = cut.piece.saturating_mul(cut.geometry.frame_bytes);
        let periods = u32::try_from(cut.messages.len()).unwrap_or(2);
        Ok((period, period.saturating_mul(periods)))
    }

    /// In how many pieces of contiguous memory its buffer is.
    pub fn segments(&self) -> usize {
        self.ring.segments()
    }
}

/// What [`PcmStream::cut`] made.
pub struct CutBuffer(Cut);

/// The descriptors of a message.
struct Chain {
    descriptors: [Descriptor; DESCRIPTORS_MAX],
    count: usize,
}

impl Default for Chain {
    fn default() -> Self {
        Self { descriptors: [Descriptor::default(); DESCRIPTORS_MAX], count: 0 }
    }
}

impl Chain {
    /// Takes one more; `false` if there is no room.
    fn push(&mut self, piece: Descriptor) -> bool {
        let Some(place) = self.descriptors.get_mut(self.count) else { return false };
        *place = piece;
        self.count = self.count.saturating_add(1);
        true
    }

    fn as_slice(&self) -> &[Descriptor] {
        self.descriptors.get(..self.count).unwrap_or_default()
    }
}
