//! One of the two queues of I/O messages, tx or rx, with the streams that share it. Behind one spin lock:
//! nothing here touches a register, and the doorbell is rung when the lock is given back.

use alloc::boxed::Box;

use super::queue::{Lie, Queue};
use super::stream::PcmStream;
use crate::hw::STREAMS_MAX;

/// A queue of I/O messages.
pub struct Lane {
    /// The queue.
    pub queue: Queue,
    /// VIRTIO_F_INDIRECT_DESC was agreed on.
    pub indirect: bool,
    streams: [Option<Box<PcmStream>>; STREAMS_MAX as usize],
}

impl Lane {
    /// A lane without streams.
    pub fn new(queue: Queue) -> Self {
        Self { queue, indirect: false, streams: [const { None }; STREAMS_MAX as usize] }
    }

    /// A stream with a cyclic buffer.
    pub fn stream(&mut self, stream: u32) -> Option<&mut PcmStream> {
        self.streams.get_mut(usize::try_from(stream).ok()?)?.as_deref_mut()
    }

    /// Exchanges a stream; the one before is the answer, to be dropped without the lock.
    pub fn exchange(&mut self, stream: u32, new: Option<Box<PcmStream>>) -> Option<Box<PcmStream>> {
        let place = self.streams.get_mut(usize::try_from(stream).ok()?)?;
        core::mem::replace(place, new)
    }

    /// Takes what the device has given back. Bounded by what it had.
    ///
    /// # Errors
    /// [`Lie`].
    pub fn take(&mut self, now: u64) -> Result<(), Lie> {
        for _ in 0..=self.queue.size() {
            let Some(used) = self.queue.take()? else { return Ok(()) };
            let (index, slot) = (used.token >> 16, used.token & 0xFFFF);
            let taken = self.stream(index).is_none_or(|stream| stream.completed(slot, used.written, now));
            if !taken {
                return Err(Lie);
            }
        }
        Ok(())
    }

    /// Gives the device what it may have of every stream.
    pub fn post(&mut self, now: u64) {
        let Self { queue, indirect, streams } = self;
        for (index, stream) in (0_u32..).zip(streams.iter_mut()) {
            if let Some(stream) = stream {
                stream.post(queue, index, *indirect, now);
            }
        }
    }

    /// The first moment at which a stream is to be looked at although nothing may come back then.
    pub fn next_look(&self) -> Option<u64> {
        self.streams.iter().flatten().filter_map(|stream| stream.next_look()).min()
    }

    /// From the DPC: takes, gives, and asks for the next interrupt. Whether the device is to be notified.
    ///
    /// # Errors
    /// [`Lie`].
    pub fn turn(&mut self, now: u64) -> Result<bool, Lie> {
        // Bounded: what comes back meanwhile is taken as often as the queue is long.
        for _ in 0..self.queue.size() {
            self.take(now)?;
            self.post(now);
            if !self.queue.rearm() {
                break;
            }
        }
        Ok(self.queue.announce())
    }
}
