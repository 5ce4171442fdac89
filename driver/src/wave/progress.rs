//! What a stream keeps between two calls: everything that the DPC, GetPosition and the packet methods share.
//!
//! It stands under one spin lock of the stream. Nothing here controls the card; what is known of it comes
//! from [`Card::status`], which waits for nothing.

use nt::NtResult;
use nt::status::STATUS_NOT_SUPPORTED;

use super::packets::{PacketProgress, Packets};
use super::position::{Position, scale};
use super::reads::{Read, Reads};
use crate::hw::geometry::BufferGeometry;
use crate::hw::{Card, Endpoint, Mark, Status, StreamState};

/// The shared part of a stream.
pub struct StreamProgress {
    /// The state that the port set last.
    pub state: StreamState,
    /// The state the card was brought to; behind `state` while there is no buffer.
    pub card_state: StreamState,
    /// The stream records.
    pub captures: bool,
    /// The shape of the cyclic buffer, while there is one.
    pub geometry: Option<BufferGeometry>,
    /// Depth of the card's FIFO with this buffer, in frames.
    pub fifo: u32,
    /// The buffer was allocated for notifications.
    pub notified: bool,
    /// Packet numbers.
    pub packets: Packets,
    /// Packets that a client has read.
    pub reads: Reads,
    /// Capture: every packet up to and including this one was taken; `None` = the client does not say, or not
    /// since the card was in STOP.
    pub taken: Option<u32>,
    /// Capture: frames that stand in the buffer.
    stored: u64,
    /// The frame at which the card was started since STOP; 0 = from the beginning.
    pub started: u64,
    /// The frame at which the card stood when it was paused; `None` in RUN, before the first, and if it did
    /// not tell. A card that loses its state goes on there.
    pub paused_at: Option<u64>,
    /// The last RUN since STOP.
    run: Option<Run>,
    /// The last mark that the card has taken since it was in STOP.
    pub marked: Option<Mark>,
    /// Whether the card is asked for lockstep: settled at the first RUN since STOP.
    pub lockstep: Option<bool>,
    /// `lockstep` was passed to the card since it was in STOP.
    pub lockstep_set: bool,
    /// What the card said last, since it was in STOP: it holds when its page can't be read for changing.
    known: Option<Status>,
    /// Capture: what it said before it lost its state.
    before: Option<Status>,
    /// Reported position.
    pub position: Position,
    /// The card's last error that was logged.
    pub reported_error: Option<&'static str>,
    /// Of the performance counter, in Hz; fixed at boot.
    counter_hz: u64,
}

/// A RUN.
#[derive(Clone, Copy)]
struct Run {
    /// Just before the card was told.
    moment: Moment,
    /// Where it began.
    frame: u64,
    /// The card has told something of it.
    told: bool,
}

/// A moment, as the raw value of the guest's performance counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment(pub u64);

impl Moment {
    /// Now. Any IRQL.
    pub fn now() -> Self {
        Self(u64::try_from(nt::clock::now()).unwrap_or(0))
    }
}

impl StreamProgress {
    /// As NewStream returns it: stopped, no buffer, position 0.
    pub fn new(captures: bool) -> Self {
        Self {
            state: StreamState::Stop,
            card_state: StreamState::Stop,
            captures,
            geometry: None,
            fifo: 0,
            notified: false,
            packets: Packets::default(),
            reads: Reads::default(),
            taken: None,
            stored: 0,
            started: 0,
            paused_at: None,
            run: None,
            marked: None,
            lockstep: None,
            lockstep_set: false,
            known: None,
            before: None,
            position: Position::default(),
            reported_error: None,
            counter_hz: u64::try_from(nt::clock::frequency()).unwrap_or(1),
        }
    }

    /// STOP: positions, packet numbers and the end of stream start anew. Buffer and events stay.
    pub fn reset(&mut self) {
        self.packets.reset();
        self.reads.reset();
        self.taken = None;
        self.stored = 0;
        self.started = 0;
        (self.paused_at, self.run) = (None, None);
        self.marked = None;
        self.lockstep = None;
        (self.known, self.before) = (None, None);
        self.position.reset();
        self.reported_error = None;
    }

    /// The frame from which a card that has lost its state goes on: where it stood, by its own word, for the
    /// position that is reported is an estimate; that one if the card went without being paused.
    pub fn goes_on_at(&self) -> u64 {
        self.paused_at.unwrap_or(self.position.last())
    }

    /// The card is told to RUN next, with another clock than before, perhaps.
    pub fn begin_run(&mut self) {
        self.position.recalibrate();
        self.run = Some(Run { moment: Moment::now(), frame: self.goes_on_at(), told: false });
    }

    /// The card comes from STOP: it says nothing yet, and has no marks.
    pub fn card_begins_anew(&mut self) {
        (self.marked, self.lockstep_set) = (None, false);
        self.before = self.known.take().or(self.before);
    }

    /// Looks at what the card says and learns from it. `None` if nothing is known of this stream: it is
    /// stopped, has no buffer, or its card is gone; then what was reported before holds.
    pub fn refresh(&mut self, card: &dyn Card, endpoint: &Endpoint) -> Option<(Status, Moment)> {
        let (status, moment) = self.look(card, endpoint)?;
        Some((status?, moment))
    }

    /// The same; without a status if only the count of packets is known.
    ///
    /// A status that changes under every reading is what it was before (DATASHEET 7), but for that count. It
    /// must not be missed: its interrupt does not come again, and a card that waits for its client would wait
    /// for ever. It happens on a busy host where reading a page is messages: QEMU takes the page BAR's
    /// mapping away for a second after each line interrupt.
    fn look(&mut self, card: &dyn Card, endpoint: &Endpoint) -> Option<(Option<Status>, Moment)> {
        if self.state == StreamState::Stop || self.card_state == StreamState::Stop {
            return None;
        }
        let read = card.status(endpoint.stream);
        let count = match &read {
            Some(status) => status.packet_count,
            None => card.packet_count(endpoint.stream)?,
        };
        if self.captures && self.packets.is_behind(count) {
            // Reset, and not told yet where the stream stands.
            return None;
        }
        // Read after the status: every clock value in it lies before this moment.
        let moment = Moment::now();
        let now = scale(moment.0, self.counter_hz, endpoint.limits.clock_hz.into());
        self.packets.update_count(count);
        if let Some(status) = read {
            self.position.observe(status.anchor.clock.max(status.packet_clock), now);
            self.known = Some(status);
            self.learn_of_run(&status);
        }
        let stalled_on =
            self.known.and_then(|known| known.stalled_on.filter(|_| known.packet_count == count));
        let status = self.known.map(|known| Status { stalled_on, ..known });
        // What is frozen stands still, whatever was known before.
        if let Some(status) = status.filter(|_| read.is_some() || self.runs()) {
            let limit = self.limit(&status);
            self.position.at(status.anchor, now, limit);
            if self.captures {
                self.store(&status);
            }
        }
        Some((status, moment))
    }

    /// Notes if the page is of this RUN. One that was stored before it has an anchor that stands still, and
    /// the count of then.
    fn learn_of_run(&mut self, status: &Status) {
        let Some((run, geometry)) = self.run.as_mut().zip(self.geometry) else { return };
        let moves = status.anchor.rate_num != 0 || status.stalled_on.is_some();
        run.told |= moves || status.packet_count != geometry.packet_of(run.frame);
    }

    /// How far the position may have come since the anchor. DATASHEET 7.2. A client without notifications
    /// goes by the position: what it takes for played it overwrites, so no more is reported to it than the
    /// card is known to have fetched.
    fn limit(&self, status: &Status) -> u64 {
        let Some(geometry) = self.geometry else { return 0 };
        let frame = status.anchor.frame;
        if !self.notified {
            return self.burst_end(geometry, frame);
        }
        let packet_later = frame.saturating_add(geometry.packet_frames().into());
        if self.captures && status.lockstep {
            // The card waits before the packet that needs the place of the first one that was not taken, from
            // where it was started too (DATASHEET 5.4).
            let first = self.taken.map_or(0, |taken| taken.wrapping_add(1));
            let waits = first.wrapping_add(geometry.packets);
            return packet_later.min(geometry.frame_in_packet(waits, 0, frame));
        }
        let Some(mark) = self.packets.written() else { return packet_later };
        let valid_frames = match mark.end_of_stream {
            Some(bytes) => bytes.checked_div(geometry.frame_bytes).unwrap_or(0),
            None if status.lockstep => geometry.packet_frames(),
            None => return packet_later,
        };
        packet_later.min(geometry.frame_in_packet(mark.number, valid_frames, frame))
    }

    /// The end of the burst that `frame` is in, or begins with: what the card fetches at once. A burst is a
    /// FIFO long, or ends with its packet, which need not be a multiple of it. DATASHEET 5.2.
    fn burst_end(&self, geometry: BufferGeometry, frame: u64) -> u64 {
        let (packet, fifo) = (u64::from(geometry.packet_frames()), u64::from(self.fifo.max(1)));
        let in_packet = frame.checked_rem(packet).unwrap_or(0);
        let begin = frame.saturating_sub(in_packet);
        // Bursts count from the packet's start, or from where the stream started in it.
        let first = if self.started <= frame { begin.max(self.started) } else { begin };
        let in_burst = frame.saturating_sub(first).checked_rem(fifo).unwrap_or(0);
        frame.saturating_sub(in_burst).saturating_add(fifo).min(begin.saturating_add(packet))
    }

    /// The last mark, if the card is in a state in which it takes marks and has not taken this one. `again`:
    /// one that it has taken too, unless it was the end of the stream, which is passed once (DATASHEET 5.5).
    pub fn mark_pending(&self, again: bool) -> Option<Mark> {
        let taken = self.taken.map(|number| Mark { number, end_of_stream: None });
        let mark = self.packets.written().or(taken)?;
        let taken = self.marked == Some(mark) && !(again && mark.end_of_stream.is_none());
        (self.card_state != StreamState::Stop && !taken).then_some(mark)
    }

    /// The device clock now, late by no more than the shortest delay of an interrupt; 0 if it is not known.
    pub fn device_clock(&self, clock_hz: u32) -> u64 {
        let now = scale(Moment::now().0, self.counter_hz, clock_hz.into());
        self.position.device(now).unwrap_or(0)
    }

    /// The cyclic buffer, for the four packet methods.
    ///
    /// # Errors
    /// `STATUS_NOT_SUPPORTED` without a buffer that was allocated for notifications, as the samples do.
    /// *Doubt*: no page says so, and a client that polls could make use of the count and the presentation
    /// position; but a number that the documents define by NotificationCount would be wrong for it, and a
    /// refusal sends it to the position property, which is right.
    pub fn packet_geometry(&self) -> NtResult<BufferGeometry> {
        self.geometry.filter(|_| self.notified).ok_or(STATUS_NOT_SUPPORTED)
    }

    /// The card plays or records: the stream is in RUN, and there was a buffer when it went there.
    pub fn runs(&self) -> bool {
        self.state == StreamState::Run && self.card_state == StreamState::Run
    }

    /// What the card's status says about packets, for the rules of SetWritePacket.
    pub fn packet_progress(&self, status: Option<&Status>) -> PacketProgress {
        PacketProgress {
            count: self.packets.count(),
            stalled_on: status.and_then(|status| status.stalled_on),
            lockstep: status.is_some_and(|status| status.lockstep),
        }
    }

    /// Whether the clients are to be notified: a packet has left the buffer since the last time, and the
    /// stream runs. Also logs an error of the card that is new.
    pub fn take_completed(&mut self, card: &dyn Card, endpoint: &Endpoint) -> bool {
        if self.state != StreamState::Run {
            return false;
        }
        let Some((status, _)) = self.look(card, endpoint) else { return false };
        if let Some(status) = status.filter(|status| status.error != self.reported_error) {
            self.reported_error = status.error;
            if let Some(error) = status.error {
                let (stream, faults) = (endpoint.stream, status.dma_faults);
                log::warn!("stream {stream}: error {error} while running, {faults} DMA faults");
            }
        }
        self.packets.take_completed()
    }

    /// The reported position in the cyclic buffer: a byte offset below its length.
    pub fn buffer_offset(&self) -> u64 {
        self.geometry.map_or(0, |geometry| geometry.offset_of(self.position.last()))
    }

    /// Capture: up to where the buffer holds what was recorded, as a byte offset in it.
    pub fn stored_offset(&self) -> u64 {
        self.geometry.map_or(0, |geometry| geometry.offset_of(self.stored))
    }

    /// Capture: learns what is stored. With each look, and not when it is asked for: a stream that was paused
    /// tells it without power too.
    ///
    /// The card stores a burst, at most a FIFO (2 ms), when it ends, and moves the anchor there then
    /// (DATASHEET 5.2). So what is reported lags by the FIFO, which is smooth; a card that wakes late has
    /// stored no more than up to its anchor. Complete packets are there at once: a client that is notified
    /// finds all of the packet, at the price of a step of 2 ms. For packets that are longer than the FIFO the
    /// lag is then 0 to 2 ms, at most 0.67 ms from its mean (standard deviation), where HLK allows 1 ms, and
    /// 4 ms at most (WAVERT.md
    /// 4.6).
    fn store(&mut self, status: &Status) {
        let Some(geometry) = self.geometry else { return };
        let position = self.position.last();
        let moves = status.anchor.rate_num != 0;
        let behind =
            if moves { position.saturating_sub(self.fifo.into()).min(status.anchor.frame) } else { position };
        let complete = geometry.frame_in_packet(status.packet_count, 0, status.anchor.frame);
        self.stored = self.stored.max(behind).max(complete.min(position));
    }

    /// Capture: what was known of the packets, for a card that has no power, or is on its way back to RUN and
    /// its page can't be read: what it stored stands in memory, and the event of what a client was promised
    /// does not come again. A card that is gone has none.
    pub fn kept_packets(&self, card: &dyn Card) -> Option<Status> {
        self.known.or(self.before).filter(|_| card.is_present())
    }

    /// Capture: the next packet for the client and the raw counter at its first frame. What came before it is
    /// taken; with a card that does not wait, it too.
    pub fn read_packet(&mut self, status: &Status, clock_hz: u32, rate: u32) -> Option<(Read, u64)> {
        let geometry = self.geometry?;
        // A card that stands still before a packet (it waits, or was paused while it did) has recorded over
        // no place yet; one that would wait has not either.
        let next = geometry.frame_in_packet(self.packets.count(), 0, status.anchor.frame);
        let frozen_at = self.paused_at.unwrap_or(status.anchor.frame);
        let stands = status.lockstep
            || status.stalled_on.is_some()
            || (status.anchor.rate_num == 0 && frozen_at == next);
        let intact = if stands { geometry.packets } else { geometry.packets.saturating_sub(1) };
        let Some(read) = self.reads.next(self.packets.count(), intact) else {
            // Nothing new, but a client that asks is done with all that it was given.
            self.taken = self.reads.last().or(self.taken);
            return None;
        };
        // A card that waits must not record over what is being read. One that does not wait only counts what
        // no client has read in time: it would count every packet if each were marked only with the next,
        // when the place of the first is being recorded over already.
        let waits = status.lockstep;
        self.taken = Some(if waits { read.number.wrapping_sub(1) } else { read.number });
        Some((read, self.packet_start(read.number, status, geometry, clock_hz, rate)))
    }

    /// Capture: the raw counter at the first frame of packet `number`.
    fn packet_start(
        &self,
        number: u32,
        status: &Status,
        geometry: BufferGeometry,
        clock_hz: u32,
        rate: u32,
    ) -> u64 {
        let of_run =
            |run: &Run| !number.wrapping_sub(geometry.packet_of(run.frame)).cast_signed().is_negative();
        let run = self.run.filter(of_run);
        if let Some(run) = run.filter(|run| !run.told) {
            return self.packet_start_in(run, number, geometry, rate);
        }
        let (known, known_clock) = self.known_packet_start(status, geometry, run, clock_hz, rate);
        // Those before it began whole packets earlier, but for a wait between, and those after it later.
        let behind = known.wrapping_sub(number).cast_signed();
        let frames = u64::from(geometry.packet_frames()).saturating_mul(behind.unsigned_abs().into());
        let apart = ticks(frames, clock_hz, rate);
        let clock =
            if behind < 0 { known_clock.saturating_add(apart) } else { known_clock.saturating_sub(apart) };
        scale(self.position.local(clock).unwrap_or_default(), clock_hz.into(), self.counter_hz)
    }

    /// The same in a RUN of which the card has told nothing but a count: its page changes under every
    /// reading.
    fn packet_start_in(&self, run: Run, number: u32, geometry: BufferGeometry, rate: u32) -> u64 {
        let begin = geometry.frame_in_packet(number, 0, run.frame);
        let frame = begin.max(self.timed_from(run.frame, geometry));
        let apart =
            |later: u64, earlier: u64| scale(later.saturating_sub(earlier), rate.into(), self.counter_hz);
        run.moment.0.saturating_add(apart(frame, run.frame)).saturating_sub(apart(run.frame, frame))
    }

    /// The frame at which the packet is timed in which a RUN at `frame` began: its first one of that RUN;
    /// after a start within the packet the packet's own first one (see
    /// [`known_packet_start`](Self::known_packet_start)).
    fn timed_from(&self, frame: u64, geometry: BufferGeometry) -> u64 {
        let begin = geometry.frame_in_packet(geometry.packet_of(frame), 0, frame);
        frame.saturating_sub(frame.min(self.started).saturating_sub(begin))
    }

    /// Capture: a packet of which the card says when its first frame came, and the device clock then: the
    /// last complete one, or in a `run` in which none is complete yet the one that it began in.
    ///
    /// A card that forgot the stream without power was started within a packet. What it knows begins there,
    /// for the packet that it was started in with the frame that it was started at (DATASHEET 7.2): the times
    /// before are those of a stream that had played up to there.
    fn known_packet_start(
        &self,
        status: &Status,
        geometry: BufferGeometry,
        run: Option<Run>,
        clock_hz: u32,
        rate: u32,
    ) -> (u32, u64) {
        let run_frame = run.map_or(self.started, |run| run.frame);
        let first = geometry.packet_of(run_frame);
        if status.packet_count == first && (self.started > 0 || run.is_some()) {
            // None is complete since.
            let frames = status.anchor.frame.saturating_sub(self.timed_from(run_frame, geometry));
            return (first, status.anchor.clock.saturating_sub(ticks(frames, clock_hz, rate)));
        }
        let last = status.packet_count.wrapping_sub(1);
        let in_start = self.started > 0 && last == geometry.packet_of(self.started);
        let before =
            if in_start { self.started.saturating_sub(self.timed_from(self.started, geometry)) } else { 0 };
        (last, status.packet_start_clock.saturating_sub(ticks(before, clock_hz, rate)))
    }
}

/// Ticks of a clock of `clock_hz` in which so many frames of `rate` Hz pass.
fn ticks(frames: u64, clock_hz: u32, rate: u32) -> u64 {
    frames.saturating_mul(clock_hz.into()).checked_div(rate.into()).unwrap_or(0)
}

#[cfg(test)]
mod tests;
