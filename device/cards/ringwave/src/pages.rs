//! What the card writes into the page BAR. DATASHEET section 7.
//!
//! The values are kept here and stored whole under the sequence counter: odd, the fields, even. Nothing is
//! ever read back, so a guest that scribbles into a page harms only itself, and the next update heals it. The
//! mark pages are the guest's: `crate::stream::marks` reads them.

use crate::env::Pages;
use ringwave_engine::stream::counters::Counters;
use ringwave_regs::{global, pages};

/// A page's sequence counter: lives as long as the card, reset or not.
#[derive(Clone, Copy, Debug, Default)]
struct Sequence(u32);

impl Sequence {
    /// Stores the fields of the page at `base` between an odd and the next even counter (which is at offset 0
    /// of every page). Every store of [`Pages`] has release ordering: the odd counter is visible before any
    /// field, the even one after all.
    fn update(&mut self, pages: &dyn Pages, base: u32, fields: impl FnOnce()) {
        pages.store_u32(base, self.0.wrapping_add(1));
        fields();
        self.0 = self.0.wrapping_add(2);
        pages.store_u32(base, self.0);
    }
}

/// The clock page.
#[derive(Clone, Copy, Debug, Default)]
pub struct ClockPage {
    sequence: Sequence,
    /// Resets of the function so far.
    pub resets: u32,
}

impl ClockPage {
    /// Stores the page.
    pub fn publish(&mut self, to: &dyn Pages, clock: u64) {
        let resets = self.resets;
        self.sequence.update(to, pages::CLOCK_PAGE, || {
            let at = |field| pages::CLOCK_PAGE + field;
            to.store_u32(at(pages::clock::HZ), global::CLOCK_HZ_VALUE);
            to.store_u64(at(pages::clock::CLOCK), clock);
            to.store_u32(at(pages::clock::RESETS), resets);
        });
    }
}

/// A stream's status page: its fields as they were or will be published.
#[derive(Clone, Copy, Debug, Default)]
pub struct StatusPage {
    sequence: Sequence,
    /// `STATE_*`.
    pub state: u32,
    /// As the register.
    pub error: u32,
    /// `FLAG_*`.
    pub flags: u32,
    /// Packets completed since STOP.
    pub packet_count: u32,
    /// The packet the stream waits for.
    pub stalled_packet: u32,
    /// Events since reset.
    pub events: u32,
    /// What a word in the mark page must carry. Never 0 after the first [`Self::reset`].
    mark_tag: u32,
}

impl StatusPage {
    /// Everything 0 but the sequence counter, and `MARK_TAG`, which changes.
    pub fn reset(&mut self) {
        *self = Self { sequence: self.sequence, mark_tag: self.mark_tag, ..Self::default() };
        self.change_tag();
    }

    /// From now on what stands in the mark page is nothing.
    pub fn change_tag(&mut self) {
        self.mark_tag = self.mark_tag.checked_add(1).unwrap_or(1);
    }

    /// `MARK_TAG`.
    pub fn mark_tag(&self) -> u32 {
        self.mark_tag
    }

    /// Stores the page of stream `index`, with what is counted of it.
    pub fn publish(&mut self, to: &dyn Pages, index: u32, counters: &Counters) {
        let Some(base) = pages::status_page(index) else { return };
        let now = *self;
        self.sequence.update(to, base, || now.store(to, base, counters));
    }

    fn store(&self, to: &dyn Pages, base: u32, counters: &Counters) {
        use pages::status as at;
        let u32s = [
            (at::STATE, self.state),
            (at::ERROR, self.error),
            (at::FLAGS, self.flags),
            (at::PACKET_COUNT, self.packet_count),
            (at::STALLED_PACKET, self.stalled_packet),
            (at::EVENTS, self.events),
            (at::EPOCH, counters.epoch),
            (at::RATE_NUM, counters.anchor.num),
            (at::RATE_DEN, counters.anchor.den()),
            (at::UNDERRUNS, counters.underruns),
            (at::DMA_FAULTS, counters.faults),
            (at::MARK_TAG, self.mark_tag),
        ];
        let u64s = [
            (at::ANCHOR_CLOCK, counters.anchor.clock),
            (at::ANCHOR_FRAME, counters.anchor.frame),
            (at::PACKET_CLOCK, counters.packet_end.0),
            (at::PACKET_FRAME, counters.packet_end.1),
            (at::SILENCE_FRAMES, counters.silence_frames),
            (at::PACKET_START_CLOCK, counters.packet_start),
        ];
        for (field, value) in u32s {
            to.store_u32(base + field, value);
        }
        for (field, value) in u64s {
            to.store_u64(base + field, value);
        }
    }
}

/// Stores WAITING of stream `index`. It is not under the sequence counter.
pub fn publish_waiting(to: &dyn Pages, index: u32, waiting: bool) {
    if let Some(base) = pages::status_page(index) {
        to.store_u32(base + pages::status::WAITING, waiting.into());
    }
}

/// Stores the position page of stream `index`: place in the cyclic buffer in bytes, frames since STOP, device
/// clock. At every change of state, and when the page ticks.
pub fn publish_position(to: &dyn Pages, index: u32, ring_offset: u32, frames: u64, clock: u64) {
    let Some(base) = pages::position_page(index) else { return };
    to.store_u32(base + pages::position::RING_OFFSET, ring_offset);
    to.store_u64(base + pages::position::FRAMES, frames);
    to.store_u64(base + pages::position::CLOCK, clock);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_never_0_and_never_the_one_before() {
        for (tag, next) in [(0, 1), (1, 2), (u32::MAX - 1, u32::MAX), (u32::MAX, 1)] {
            let mut page = StatusPage { mark_tag: tag, ..StatusPage::default() };
            page.change_tag();
            assert_eq!(page.mark_tag(), next);
            page.reset();
            assert_eq!(page.mark_tag(), next.checked_add(1).unwrap_or(1), "a reset changes it, too");
        }
    }
}
