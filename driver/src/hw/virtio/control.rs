//! The control queue: one request at a time, asked at PASSIVE_LEVEL and answered when the device likes.

use nt::NtResult;
use nt::contiguous::ContiguousMemory;

use super::queue::{Descriptor, Lie, Queue};
use super::wire::STATUS_BYTES;

/// Where the answer is in the memory of the request.
const ANSWER_AT: usize = 64;
/// Bytes of the memory of a request and its answer.
const MEMORY_BYTES: usize = 128;
/// The longest item of an answer.
pub const ITEM_BYTES_MAX: usize = 32;
const _: () = assert!(ANSWER_AT + STATUS_BYTES + ITEM_BYTES_MAX <= MEMORY_BYTES);

/// The control queue and the memory of its only request. That stays the device's after a request that was
/// not answered.
pub struct Control {
    /// The queue.
    pub queue: Queue,
    memory: ContiguousMemory,
}

impl Control {
    /// Nothing is asked yet. PASSIVE_LEVEL.
    ///
    /// # Errors
    /// `STATUS_INSUFFICIENT_RESOURCES`.
    pub fn try_new(queue: Queue, highest: u64) -> NtResult<Self> {
        Ok(Self { queue, memory: ContiguousMemory::try_new(MEMORY_BYTES, highest)? })
    }

    /// Makes a request available, with room for an item of so many bytes. Whether the device is to be
    /// notified; `None` if it has a request already, or this one is too long.
    pub fn ask(&mut self, request: &[u8], item_bytes: usize) -> Option<bool> {
        if request.len() > ANSWER_AT || item_bytes > ITEM_BYTES_MAX || self.queue.outstanding() > 0 {
            return None;
        }
        self.memory.write(0, request);
        self.memory.write(ANSWER_AT, &[0; STATUS_BYTES + ITEM_BYTES_MAX]);
        let at = self.memory.physical();
        let answer_bytes = u32::try_from(STATUS_BYTES.saturating_add(item_bytes)).ok()?;
        let chain = [
            Descriptor::readable(at, u32::try_from(request.len()).ok()?),
            Descriptor::writable(at.saturating_add(ANSWER_AT as u64), answer_bytes),
        ];
        self.queue.add(&chain, 0).ok()?;
        Some(self.queue.announce())
    }

    /// The status of the answer, if it has come; the item is then in `item`, as far as the device wrote it.
    ///
    /// # Errors
    /// [`Lie`].
    pub fn answer(&mut self, item: &mut [u8]) -> Result<Option<u32>, Lie> {
        let Some(used) = self.queue.take()? else { return Ok(None) };
        let written = usize::try_from(used.written).unwrap_or(0);
        // The interrupt of the next one.
        let _ = self.queue.rearm();
        if written < STATUS_BYTES {
            return Err(Lie);
        }
        for (index, byte) in item.iter_mut().enumerate() {
            let at = index.saturating_add(STATUS_BYTES);
            let there = at < written;
            *byte = self.memory.read(at.saturating_add(ANSWER_AT)).filter(|_| there).unwrap_or(0);
        }
        Ok(Some(self.memory.load(ANSWER_AT)))
    }
}
