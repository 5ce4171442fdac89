//! Steps 4 and 6 of a stream's life: SetState, and what it makes of the card. PASSIVE_LEVEL (the page of
//! SetState), for each step is messages; the spin lock is held only to look and to remember.

use core::sync::atomic::Ordering;

use nt::NtResult;
use nt::mutex::MutexGuard;

use super::Stream;
use super::marks::MarkReason;
use crate::hw::StreamState;
use crate::hw::geometry::BufferGeometry;

impl Stream {
    /// Up to `target`, one step after the other. A step that fails leaves the stream in the state before it.
    ///
    /// Without a buffer every step succeeds and the card is asked for nothing, not even for RUN: nothing
    /// moves, no event comes, the position is 0 (the samples do so). *Doubt*: no page says what becomes of a
    /// buffer that is allocated in RUN; here it is used from the next RUN on, for a card that began by itself
    /// would play what the client has not filled yet.
    ///
    /// For a card without power the step is made later: D0 is promised to NewStream alone (PowerChangeState's
    /// page), so the step succeeds, is remembered, and made when the card is back
    /// ([`bring_back`](Self::bring_back)).
    pub(super) fn raise(&self, from: StreamState, target: StreamState) -> NtResult {
        for state in StreamState::ALL.into_iter().filter(|state| *state > from && *state <= target) {
            let card = self.card();
            // Asked before: power that comes now brings the stream here again. Asked after: power may go any
            // time.
            let awake = !card.asleep();
            if let Some(geometry) = self.geometry().filter(|_| awake)
                && let Err(status) = self.raise_card(state, geometry)
                && !card.asleep()
            {
                return Err(status);
            }
            self.shared.lock().state = state;
        }
        if target == StreamState::Run {
            // The first packet may be complete already, or one that was not signalled before PAUSE. DATASHEET
            // 9.
            self.signal_completed();
            self.lease.has_begun();
        }
        Ok(())
    }

    /// The shape of the buffer, if there is one.
    fn geometry(&self) -> Option<BufferGeometry> {
        self.buffer.lock().as_ref().map(|buffer| buffer.geometry)
    }

    /// The card has power again: it is brought where the port has left the stream, if the port has not paused
    /// it before. PASSIVE_LEVEL.
    pub(super) fn bring_back(&self) {
        let _transition = self.transitions.lock();
        if self.ticks.load(Ordering::Acquire) {
            // Asked for without power, or forgotten with it.
            self.card().update_position_registers(self.lease.stream(), true);
        }
        let state = self.shared.lock().state;
        let Some(geometry) = self.geometry().filter(|_| state > StreamState::Stop) else { return };
        match self.raise_card(state, geometry) {
            Ok(()) if state == StreamState::Run => self.signal_completed(),
            Ok(()) => {}
            Err(status) => log::warn!(
                "stream {}: after power came back {state:?} is refused: {status:#010x}",
                self.lease.stream()
            ),
        }
    }

    /// Brings the card up to `target`: from wherever it is, for the buffer may be younger than the state, and
    /// a card that lost power starts from STOP.
    fn raise_card(&self, target: StreamState, geometry: BufferGeometry) -> NtResult {
        let (card, stream) = (self.card(), self.lease.stream());
        self.notice_lost_state();
        let from = self.shared.lock().card_state;
        for state in StreamState::ALL.into_iter().filter(|state| *state > from && *state <= target) {
            let lockstep = self.lockstep();
            match state {
                StreamState::Acquire => {
                    card.configure(stream, self.format, geometry)?;
                    if self.ticks.load(Ordering::Acquire) {
                        // A card that was reset has forgotten it.
                        card.update_position_registers(stream, true);
                    }
                }
                StreamState::Run => self.before_run(lockstep),
                StreamState::Stop | StreamState::Pause => {}
            }
            // Until the card knows where to start no mark is passed to it: that may be the end of the stream.
            let marking = (state == StreamState::Acquire).then(|| self.marking.lock());
            card.set_state(stream, state)?;
            {
                let mut shared = self.shared.lock();
                shared.card_state = state;
                if state == StreamState::Run {
                    (shared.lockstep, shared.lockstep_set) = (Some(lockstep), true);
                    shared.paused_at = None;
                }
            }
            if let Some(marking) = marking {
                self.restore(geometry, &marking);
            }
        }
        Ok(())
    }

    /// The card has come from STOP: tells it where the stream stands, and what was marked.
    fn restore(&self, geometry: BufferGeometry, marking: &MutexGuard<'_, ()>) {
        let (card, stream) = (self.card(), self.lease.stream());
        let frame = {
            let mut shared = self.shared.lock();
            shared.card_begins_anew();
            shared.goes_on_at()
        };
        // The card comes from STOP and the stream does not: it goes on where it stood. Said before the mark,
        // for once the card knows the end of the stream it takes no start any more (DATASHEET 5.5).
        if frame > 0 && self.endpoint.limits.start_frame {
            card.start_at(stream, frame, geometry.packet_of(frame));
            self.shared.lock().started = frame;
        }
        self.pass_mark_locked(marking, MarkReason::New);
    }

    /// Whether the card is to wait for the client: only if the registry says so, and the client can say which
    /// packets it has written or taken and has begun to, for else it would be waited for in vain. What the
    /// first RUN settled holds until STOP, also for a card that was reset meanwhile.
    fn lockstep(&self) -> bool {
        let shared = self.shared.lock();
        let says = shared.notified && (shared.captures || shared.packets.written().is_some());
        shared.lockstep.unwrap_or(self.config.lockstep && says)
    }

    /// What is passed to the card before each RUN.
    fn before_run(&self, lockstep: bool) {
        let (card, stream) = (self.card(), self.lease.stream());
        let lockstep_set = {
            let mut shared = self.shared.lock();
            shared.begin_run();
            shared.lockstep_set
        };
        if !lockstep_set {
            card.ask_lockstep(stream, lockstep);
        }
        // The card may have lost it in D3; to one that has not it would be a message for nothing.
        let forgets = self.endpoint.limits.forgets_marks;
        self.pass_mark(if forgets { MarkReason::Again } else { MarkReason::New });
    }

    /// If the card is not where it was brought, it was without power: D3hot leaves a stream that ran in
    /// PAUSE, a reset leaves it in STOP. From here on it is taken as what it is. Costs a message, before each
    /// step up.
    fn notice_lost_state(&self) {
        if self.shared.lock().card_state == StreamState::Stop {
            return;
        }
        let Some(found) = self.card().state(self.lease.stream()) else { return };
        let frame = {
            let mut shared = self.shared.lock();
            if found >= shared.card_state {
                return;
            }
            shared.card_state = found;
            shared.goes_on_at()
        };
        log::info!("the card lost its state: {found:?}, frame {frame}");
    }

    /// Down to `target`. Never fails: a card that is gone is stopped.
    pub(super) fn lower(&self, from: StreamState, target: StreamState) {
        let (card, stream) = (self.card(), self.lease.stream());
        if from == StreamState::Run {
            // It is not in RUN if the buffer was freed meanwhile, or allocated after.
            let runs = self.shared.lock().card_state == StreamState::Run;
            if runs && card.set_state(stream, StreamState::Pause).is_ok() {
                let stands = card.status(stream).filter(|status| status.anchor.rate_num == 0);
                self.shared.lock().paused_at = stands.map(|status| status.anchor.frame);
            }
            // The position is frozen. What was completed before is signalled now; after this nothing is.
            self.signal_completed();
            let mut shared = self.shared.lock();
            shared.state = StreamState::Pause;
            shared.card_state = shared.card_state.min(StreamState::Pause);
        }
        match target {
            StreamState::Stop => {
                {
                    let mut shared = self.shared.lock();
                    shared.state = StreamState::Stop;
                    shared.reset();
                }
                self.halt();
            }
            StreamState::Acquire => {
                let card_state = self.shared.lock().card_state;
                if card_state > StreamState::Acquire && card.set_state(stream, StreamState::Acquire).is_ok() {
                    self.shared.lock().card_state = StreamState::Acquire;
                }
                self.shared.lock().state = StreamState::Acquire;
            }
            StreamState::Pause | StreamState::Run => {}
        }
    }

    /// Brings the card to STOP if it is not. After this it touches neither buffer nor table.
    ///
    /// Not while a mark is passed: SetWritePacket and GetReadPacket come beside SetState, and a mark of
    /// before STOP that is stored with the tag of after it would count for the next start (DATASHEET 7.4,
    /// Tag).
    pub(super) fn halt(&self) {
        let _marking = self.marking.lock();
        let running = {
            let mut shared = self.shared.lock();
            core::mem::replace(&mut shared.card_state, StreamState::Stop) != StreamState::Stop
        };
        if running {
            // A card that is gone has stopped too.
            let _ = self.card().set_state(self.lease.stream(), StreamState::Stop);
        }
    }
}
