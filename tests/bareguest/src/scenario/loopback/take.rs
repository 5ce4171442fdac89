//! One take of `loopback`: a song is played and recorded at the same time.

use core::sync::atomic::{Ordering, fence};

use ringwave_regs::pages::status;
use ringwave_regs::stream;

use super::{PATIENCE, POLL};
use crate::card_stream::{CardStream, FRAME};
use crate::memory::store;
use crate::pattern::Pattern;
use crate::scenario::Guest;
use crate::verdict::{Step, expect};
use crate::{say, wrong};

/// 50 ms.
const PACKET: u32 = 2_400;
/// Seven packets and a part of the eighth.
const PLAYED: u32 = 18_034;
/// Frames of each cyclic buffer.
pub const RING_FRAMES: u32 = 2 * PACKET;
/// Packets that are recorded: all that is played, and time in which nothing was.
const RECORDED: u32 = 12;
/// The same in bytes.
pub const RECORDED_BYTES: u64 = (RECORDED * PACKET * FRAME) as u64;
/// When so many were taken the recorder stands still for a while.
const BREAK_AFTER: u32 = 3;

/// One song, played and recorded.
pub struct Take<'a> {
    guest: &'a Guest<'a>,
    render: &'a CardStream,
    capture: &'a CardStream,
    song: Pattern,
    /// The packet to write next.
    next: u32,
    /// Packets that were taken.
    taken: u32,
    /// Where to.
    into: u64,
    /// The recorder begins while the player runs, and stalls; else it begins first, and is paused.
    late: bool,
}

impl<'a> Take<'a> {
    /// Before it begins. `into` has [`RECORDED_BYTES`].
    pub fn new(guest: &'a Guest<'a>, streams: &'a [CardStream; 2], seed: u32, into: u64, late: bool) -> Self {
        let [render, capture] = streams;
        Self { guest, render, capture, song: Pattern::new(seed), next: 0, taken: 0, into, late }
    }

    /// All of it; `false` if a stream stood still when it was not to.
    pub fn run(&mut self, seed: u32) -> Step<bool> {
        let (render, capture) = (self.render, self.capture);
        render.set_up()?;
        capture.set_up()?;
        // 2 ms (5.2).
        expect("FIFO_FRAMES of the player", render.read(stream::FIFO_FRAMES).into(), 96)?;
        expect("FIFO_FRAMES of the recorder", capture.read(stream::FIFO_FRAMES).into(), 96)?;
        capture.mark(0, 2 * PACKET);
        self.write();
        let began = |stream: &CardStream| Step::Ok((stream.anchor()?.epoch, stream.field(status::EVENTS)));
        let before = [began(render)?, began(capture)?];
        let order = if self.late { [render, capture] } else { [capture, render] };
        for stream in order {
            stream.go(stream::STATE_RUN)?;
            self.guest.firmware.stall(3_000);
        }
        for stream in order {
            let lockstep = stream.field(status::FLAGS) & status::FLAG_LOCKSTEP != 0;
            expect("LOCKSTEP", lockstep.into(), 1)?;
        }
        self.aligned(0)?;
        self.record()?;
        capture.go(stream::STATE_PAUSE)?;
        let mut steady = render.field(status::FLAGS) & status::FLAG_ENDED != 0;
        if steady {
            expect("position at the end", render.position(), PLAYED.into())?;
            expect("PACKET_FRAME at the end", render.field64(status::PACKET_FRAME), PLAYED.into())?;
        }
        // The player: RUN and its end. The recorder: RUN, a break, PAUSE. Each packet is an event, and
        // nothing else was one.
        for ((stream, (epoch, events)), wanted) in [render, capture].into_iter().zip(before).zip([2, 4]) {
            steady &= stream.anchor()?.epoch.wrapping_sub(epoch) == wanted;
            let events = stream.field(status::EVENTS).wrapping_sub(events);
            expect("EVENTS", events.into(), stream.field(status::PACKET_COUNT).into())?;
            expect("ERROR", stream.read(stream::ERROR).into(), 0)?;
            stream.acknowledged()?;
            stream.go(stream::STATE_STOP)?;
            expect("FLAGS after STOP", stream.field(status::FLAGS).into(), 0)?;
        }
        say!("take seed={seed} steady={steady}");
        Ok(steady)
    }

    /// Feeds and takes until enough is recorded, and looks at the positions all the time.
    fn record(&mut self) -> Step {
        let mut rest = true;
        for _ in 0..PATIENCE {
            while self.next * PACKET < PLAYED
                && self.next.wrapping_sub(self.render.field(status::PACKET_COUNT)) < 2
            {
                self.write();
            }
            let complete = self.capture.field(status::PACKET_COUNT);
            let stalled = self.capture.field(status::FLAGS) & status::FLAG_STALLED != 0;
            if rest && self.taken == BREAK_AFTER && (stalled || !self.late) {
                rest = false;
                self.take_a_break()?;
            } else if self.taken < complete && !(rest && self.taken == BREAK_AFTER) {
                self.read();
            }
            self.render.check_position()?;
            self.capture.check_position()?;
            self.capture.stored(self.taken, PACKET)?;
            if self.taken >= RECORDED {
                return Ok(());
            }
            self.guest.firmware.stall(POLL);
        }
        Err(wrong!("{} packets were recorded, then none", self.taken))
    }

    /// Plays one packet more; the last is a partial one.
    fn write(&mut self) {
        let frames = PACKET.min(PLAYED - self.next * PACKET);
        for at in 0..frames * 2 {
            self.render.buffer.put(self.next % 2 * PACKET * FRAME + at * 2, &self.song.sample());
        }
        // The card must not learn of the packet before it is there.
        fence(Ordering::SeqCst);
        if frames < PACKET {
            self.render.set(stream::EOS, stream::EOS_ARM | (frames * FRAME));
            self.render.set(stream::WRITTEN, self.next);
        } else {
            self.render.mark_packet(self.next);
        }
        self.next += 1;
    }

    /// Takes a packet out of the buffer and gives its room back, marked.
    fn read(&mut self) {
        let first_frame = self.taken % 2 * PACKET;
        for at in 0..PACKET {
            let frame = self.capture.buffer.frame((first_frame + at) * FRAME);
            store(self.into + u64::from((self.taken * PACKET + at) * FRAME), &frame);
        }
        self.capture.mark(first_frame, PACKET);
        fence(Ordering::SeqCst);
        self.capture.mark_packet(self.taken);
        self.taken += 1;
    }

    /// The recorder stands still: PAUSE in the middle of a packet, or because a packet was not taken.
    fn take_a_break(&mut self) -> Step {
        let capture = self.capture;
        if self.late {
            expect("STALLED_PACKET", capture.field(status::STALLED_PACKET).into(), (BREAK_AFTER + 2).into())?;
        } else {
            capture.go(stream::STATE_PAUSE)?;
        }
        let (at, frozen) = (capture.position(), capture.anchor()?);
        self.guest.firmware.stall(5_000);
        expect("position while it stands still", capture.position(), at)?;
        expect("ANCHOR_FRAME while it stands still", frozen.frame, at)?;
        expect("RATE_NUM while it stands still", frozen.num.into(), 0)?;
        let (offset, frames) = capture.ticked();
        expect("FRAMES of the position page", frames, at)?;
        expect("RING_OFFSET", offset.into(), at % u64::from(RING_FRAMES) * u64::from(FRAME))?;
        // PAUSE stores up to the frozen position and not a frame more (5.2).
        expect("the frame before is not stored", capture.is_marked(at - 1).into(), 0)?;
        if self.late {
            // Nothing is lost, so nothing has to be told to the host.
            self.read();
            Ok(())
        } else {
            let taken = at >= u64::from((self.taken + 2) * PACKET);
            expect("the frame at the position is not stored", (taken || capture.is_marked(at)).into(), 1)?;
            capture.go(stream::STATE_RUN)?;
            self.aligned(at)
        }
    }

    /// Tells the host where the player stands when the recorder, which begins or goes on, stands at `frame`.
    fn aligned(&self, frame: u64) -> Step {
        let player = self.render.anchor()?.when(self.capture.anchor()?, frame);
        say!("aligned recorder={frame} player={player}");
        Ok(())
    }
}
