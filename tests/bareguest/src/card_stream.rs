//! Any stream of the card, with its buffer and what it says of its position: DATASHEET 5.2, 7.2 and 7.3.
//! (`card` knows stream 0 alone.)

use ringwave_regs::pages::{self, position, status};
use ringwave_regs::{format, global, stream};

use crate::anchor::Anchor;
use crate::card::Card;
use crate::memory::{Buffer, Layout};
use crate::scenario::Guest;
use crate::verdict::{Step, expect};
use crate::wrong;

/// Bytes of a frame: stereo, 16 bits.
pub const FRAME: u32 = 4;
/// What stands where the card has stored nothing.
const MARK: [u8; 4] = [0x5A, 0xC3, 0x96, 0x3C];

/// A stream.
pub struct CardStream {
    card: Card,
    index: u32,
    block: u32,
    page: u32,
    /// Its cyclic buffer, in many segments.
    pub buffer: Buffer,
    ring_frames: u32,
    reported: core::cell::Cell<u64>,
}

impl CardStream {
    /// Stream `index` with a buffer of so many frames.
    pub fn new(guest: &Guest<'_>, index: u32, ring_frames: u32) -> Step<Self> {
        let (Some(block), Some(page)) = (stream::block(index), pages::status_page(index)) else {
            return Err(wrong!("no stream {index}"));
        };
        let buffer = Buffer::new(&guest.firmware, ring_frames * FRAME, Layout::ScatterGather)?;
        let reported = core::cell::Cell::new(0);
        Ok(Self { card: guest.card, index, block, page, buffer, ring_frames, reported })
    }

    /// A register.
    pub fn read(&self, register: u32) -> u32 {
        self.card.registers.read32(self.block + register)
    }

    /// Writes a register.
    pub fn set(&self, register: u32, value: u32) {
        self.card.registers.write32(self.block + register, value);
    }

    /// Writes STATE and sees that it took effect.
    pub fn go(&self, state: u32) -> Step {
        self.set(stream::STATE, state);
        if self.read(stream::STATE) == state {
            return Ok(());
        }
        Err(wrong!("stream {}: STATE {state} refused, ERROR {}", self.index, self.read(stream::ERROR)))
    }

    /// Says that a packet is valid, or was taken (7.4).
    pub fn mark_packet(&self, packet: u32) {
        self.card.mark(self.index, packet);
    }

    /// A field of the status page, alone.
    pub fn field(&self, field: u32) -> u32 {
        self.card.pages.read32(self.page + field)
    }

    /// A field of 8 bytes of the status page while the card does not write it.
    pub fn field64(&self, field: u32) -> u64 {
        self.card.pages.read64(self.page + field)
    }

    /// The anchor, all of one moment.
    pub fn anchor(&self) -> Step<Anchor> {
        for _ in 0..pages::READ_TRIES {
            let before = self.field(status::SEQ);
            let anchor = Anchor {
                epoch: self.field(status::EPOCH),
                clock: self.field64(status::ANCHOR_CLOCK),
                frame: self.field64(status::ANCHOR_FRAME),
                num: self.field(status::RATE_NUM),
                den: self.field(status::RATE_DEN),
            };
            if before.is_multiple_of(2) && self.field(status::SEQ) == before {
                return Ok(anchor);
            }
        }
        Err(wrong!("stream {}: the page never stands still", self.index))
    }

    /// POSITION.
    pub fn position(&self) -> u64 {
        self.card.registers.read64(self.block + stream::POSITION_LO)
    }

    /// The position page: place in the buffer in bytes, and frames since STOP.
    pub fn ticked(&self) -> (u32, u64) {
        let (card, page) = (self.card.pages, pages::POSITION_BASE + self.index * pages::PAGE_BYTES);
        (card.read32(page + position::RING_OFFSET), card.read64(page + position::FRAMES))
    }

    /// From STOP to PAUSE, as section 9 says: S16 stereo at 48 kHz, two packets, scatter-gather, every event.
    pub fn set_up(&self) -> Step {
        self.reported.set(0);
        for (register, value) in [
            (stream::FORMAT, format::pack(format::S16, 2)),
            (stream::RATE, 48_000),
            (stream::RING_BYTES, self.ring_frames * FRAME),
            (stream::PACKETS, 2),
            (stream::DMA_MODE, stream::DMA_MODE_SCATTER_GATHER),
            (stream::SG_ENTRIES, self.buffer.entries()),
            (stream::DMA_ADDR_LO, self.buffer.dma_address() as u32),
            (stream::DMA_ADDR_HI, (self.buffer.dma_address() >> 32) as u32),
            (stream::INT_ENABLE, stream::INT_PACKET | stream::INT_ERROR | stream::INT_JACK),
            (stream::POSITION_CONTROL, stream::POSITION_TICK),
            (stream::LOCKSTEP, stream::LOCKSTEP_ASK),
        ] {
            self.set(register, value);
            expect("a register that was written", self.read(register).into(), value.into())?;
        }
        self.go(stream::STATE_ACQUIRE)?;
        self.go(stream::STATE_PAUSE)
    }

    /// Sees that what the status page gives by extrapolation is what POSITION gives, and that POSITION never
    /// goes back, nor behind the position page.
    pub fn check_position(&self) -> Step {
        let clock = || self.card.registers.read64(global::CLOCK_LO);
        let ((_, ticked), early) = (self.ticked(), self.anchor()?);
        let (from, at, to) = (clock(), self.position(), clock());
        let late = self.anchor()?;
        if early.epoch == late.epoch {
            // A renewed anchor's clock is rounded up (5.2), so what it gives may be one frame less.
            let (low, high) = (early.at(from), early.at(to) + 1);
            if at < low || at > high {
                return Err(wrong!("stream {}: POSITION {at}, by the page {low} to {high}", self.index));
            }
        }
        let before = self.reported.get();
        if at < before || at < ticked {
            return Err(wrong!("stream {}: POSITION {at} after {before}, page {ticked}", self.index));
        }
        self.reported.set(at);
        Ok(())
    }

    /// Capture: what stands before `ANCHOR_FRAME` is stored, what stands behind is not, and a burst is at
    /// most one FIFO long (5.2).
    pub fn stored(&self, taken: u32, packet: u32) -> Step {
        let (fifo, at) = (u64::from(self.read(stream::FIFO_FRAMES)), self.position());
        let anchor = self.anchor()?;
        let first = u64::from(taken * packet).max(anchor.frame.saturating_sub(fifo));
        if anchor.frame + fifo < at {
            return Err(wrong!("position {at}, stored only up to {}", anchor.frame));
        }
        if let Some(frame) = (first..anchor.frame).find(|&frame| self.is_marked(frame)) {
            return Err(wrong!("frame {frame} is not stored, ANCHOR_FRAME is {}", anchor.frame));
        }
        if anchor.frame < u64::from((taken + 2) * packet) && !self.is_marked(anchor.frame) {
            // The card stores first and renews the anchor then; an access to BAR 0 sees it done with both.
            self.position();
            if self.anchor()?.frame == anchor.frame {
                return Err(wrong!("frame {} is stored before its burst's end", anchor.frame));
            }
        }
        Ok(())
    }

    /// Marks frames of the buffer as not stored.
    pub fn mark(&self, from: u32, frames: u32) {
        (from..from + frames).for_each(|frame| self.buffer.put(frame * FRAME, &MARK));
    }

    /// Whether the card has stored nothing there yet.
    pub fn is_marked(&self, frame: u64) -> bool {
        self.buffer.frame((frame % u64::from(self.ring_frames)) as u32 * FRAME) == MARK
    }

    /// Sees this stream's bit in `INT_STATUS`, and that it goes when it is acknowledged.
    pub fn acknowledged(&self) -> Step {
        let bit = 1 << self.index;
        expect("INT_STATUS", u64::from(self.card.read(global::INT_STATUS) & bit), u64::from(bit))?;
        self.card.write(global::INT_STATUS, bit);
        expect("INT_STATUS acknowledged", u64::from(self.card.read(global::INT_STATUS) & bit), 0)
    }
}
