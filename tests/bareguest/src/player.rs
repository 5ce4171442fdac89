//! A stream that plays the pattern: set up, fed packet by packet as the status page asks for it, ended,
//! stopped. DATASHEET section 9.

use core::sync::atomic::{Ordering, fence};

use ringwave_regs::pages::status;
use ringwave_regs::{format, stream};

use crate::memory::{Buffer, Layout};
use crate::pattern::Pattern;
use crate::scenario::Guest;
use crate::verdict::{Step, expect};
use crate::wrong;

/// Between two looks at the status page, in microseconds.
const POLL: usize = 100;
/// After so many looks without a packet the card hangs: ten seconds.
const PATIENCE: u32 = 100_000;
/// Packets per cyclic buffer.
const PACKETS: u32 = 2;
/// Stereo, 16 bits.
const FRAME_BYTES: u32 = 4;

/// What is played.
#[derive(Clone, Copy)]
pub struct Song {
    /// Of the pattern.
    pub seed: u32,
    /// Frames per second.
    pub rate: u32,
    /// Frames of a packet.
    pub packet_frames: u32,
    /// Frames in all; `u64::MAX` = no end.
    pub frames: u64,
}

impl Song {
    /// Bytes of the cyclic buffer.
    pub fn ring_bytes(self) -> u32 {
        PACKETS * self.packet_frames * FRAME_BYTES
    }
}

/// A stream in the making.
pub struct Player<'a> {
    guest: &'a Guest<'a>,
    buffer: &'a Buffer,
    song: Song,
    pattern: Pattern,
    left: u64,
    /// The packet to write next.
    next: u32,
    waited: u32,
    last_count: u32,
}

impl<'a> Player<'a> {
    /// Sets the stream up as far as PAUSE. `buffer` has [`Song::ring_bytes`].
    pub fn prepare(guest: &'a Guest<'a>, buffer: &'a Buffer, song: Song) -> Step<Self> {
        let mode = match buffer.layout() {
            Layout::Contiguous => stream::DMA_MODE_CONTIGUOUS,
            Layout::ScatterGather => stream::DMA_MODE_SCATTER_GATHER,
        };
        set_up(guest, song, mode, buffer.dma_address(), buffer.entries())?;
        let pattern = Pattern::new(song.seed);
        Ok(Self { guest, buffer, song, pattern, left: song.frames, next: 0, waited: 0, last_count: 0 })
    }

    /// Writes the first packet, starts, writes the second.
    pub fn start(&mut self) -> Step {
        self.write_packet();
        self.guest.card.go(stream::STATE_RUN)?;
        self.feed();
        Ok(())
    }

    /// One packet of the pattern, and what says that it is valid.
    fn write_packet(&mut self) {
        let frames = self.left.min(u64::from(self.song.packet_frames)) as u32;
        let mut at = self.next % PACKETS * self.song.packet_frames * FRAME_BYTES;
        for _ in 0..frames * 2 {
            self.buffer.put(at, &self.pattern.sample());
            at += 2;
        }
        // The card must not learn of the packet before it is there.
        fence(Ordering::SeqCst);
        if self.left != u64::MAX {
            self.left -= u64::from(frames);
        }
        let card = self.guest.card;
        if self.left == 0 {
            // The last packet is told by the registers (5.5).
            card.set_stream(stream::EOS, stream::EOS_ARM | (frames * FRAME_BYTES));
            card.set_stream(stream::WRITTEN, self.next);
        } else {
            card.mark(0, self.next);
        }
        self.next = self.next.wrapping_add(1);
    }

    /// Writes the packets there is room for. Gives how many are complete.
    pub fn feed(&mut self) -> u32 {
        let count = self.guest.card.status(status::PACKET_COUNT);
        while self.left != 0 && self.next.wrapping_sub(count) < PACKETS {
            self.write_packet();
        }
        count
    }

    /// Waits a little and feeds. Gives how many packets are complete.
    pub fn tend(&mut self) -> Step<u32> {
        self.guest.firmware.stall(POLL);
        let count = self.feed();
        self.waited = if count == self.last_count { self.waited + 1 } else { 0 };
        self.last_count = count;
        if self.waited > PATIENCE {
            let state = self.guest.card.stream(stream::STATE);
            return Err(wrong!("no packet for ten seconds: count {count}, state {state}"));
        }
        Ok(count)
    }

    /// Plays until at least `packets` packets are complete.
    pub fn play_packets(&mut self, packets: u32) -> Step {
        while self.tend()? < packets {}
        Ok(())
    }

    /// Plays to the end, and sees that it was an end as the DATASHEET has it; then STOP.
    pub fn finish(mut self) -> Step {
        let card = self.guest.card;
        while card.status(status::FLAGS) & status::FLAG_ENDED == 0 {
            self.tend()?;
        }
        let packets = self.song.frames.div_ceil(u64::from(self.song.packet_frames));
        expect("PACKET_COUNT at the end", u64::from(card.stream(stream::PACKET_COUNT)), packets)?;
        expect("POSITION at the end", card.position(), self.song.frames)?;
        expect("ERROR at the end", u64::from(card.stream(stream::ERROR)), 0)?;
        expect("UNDERRUNS", u64::from(card.status(status::UNDERRUNS)), 0)?;
        self.stop()
    }

    /// STOP, and everything that STOP forgets is forgotten.
    pub fn stop(self) -> Step {
        self.guest.card.go(stream::STATE_STOP)?;
        self.guest.card.expect_stopped()
    }
}

/// Sets stream 0 up as far as PAUSE, with any table.
pub fn set_up(guest: &Guest<'_>, song: Song, mode: u32, address: u64, entries: u32) -> Step {
    let card = guest.card;
    card.go(stream::STATE_STOP)?;
    card.set_stream(stream::FORMAT, format::pack(format::S16, FRAME_BYTES / 2));
    card.set_stream(stream::RATE, song.rate);
    card.set_stream(stream::RING_BYTES, song.ring_bytes());
    card.set_stream(stream::PACKETS, PACKETS);
    card.set_stream(stream::DMA_MODE, mode);
    card.set_stream(stream::SG_ENTRIES, entries);
    card.set_stream(stream::DMA_ADDR_LO, address as u32);
    card.set_stream(stream::DMA_ADDR_HI, (address >> 32) as u32);
    // It may be waited for: nothing is lost, and nobody listens.
    card.set_stream(stream::LOCKSTEP, stream::LOCKSTEP_ASK);
    card.go(stream::STATE_ACQUIRE)?;
    card.go(stream::STATE_PAUSE)
}
