//! The event queue: jacks that were plugged or pulled. 5.14.6.3, 5.14.6.4.5.

use nt::NtResult;
use nt::contiguous::ContiguousMemory;

use super::queue::{Descriptor, Lie, Queue};
use super::wire::{EVENT_BYTES, JACK_CONNECTED, JACK_DISCONNECTED};

/// Buffers that the device has for events.
const BUFFERS: u16 = 16;

/// A jack changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JackEvent {
    /// Its number.
    pub jack: u32,
    /// Something is plugged in.
    pub connected: bool,
}

/// The event queue.
pub struct Events {
    /// The queue.
    pub queue: Queue,
    memory: ContiguousMemory,
}

impl Events {
    /// The device has no buffer yet. PASSIVE_LEVEL.
    ///
    /// # Errors
    /// `STATUS_INSUFFICIENT_RESOURCES`.
    pub fn try_new(queue: Queue, highest: u64) -> NtResult<Self> {
        let bytes = usize::from(BUFFERS) * EVENT_BYTES as usize;
        Ok(Self { queue, memory: ContiguousMemory::try_new(bytes, highest)? })
    }

    /// Gives the device of a queue that has begun anew all buffers. Whether it is to be notified.
    pub fn fill(&mut self) -> bool {
        for buffer in 0..BUFFERS.min(self.queue.size()) {
            self.give(buffer);
        }
        let _ = self.queue.rearm();
        self.queue.announce()
    }

    fn give(&mut self, buffer: u16) {
        let at = u64::from(buffer).saturating_mul(EVENT_BYTES.into());
        let place = Descriptor::writable(self.memory.physical().saturating_add(at), EVENT_BYTES);
        // As many descriptors as buffers: there is room.
        let _ = self.queue.add(&[place], buffer.into());
    }

    /// Hands out what has come, and gives the buffers back. Whether the device is to be notified.
    ///
    /// # Errors
    /// [`Lie`].
    pub fn turn(&mut self, mut jack: impl FnMut(JackEvent)) -> Result<bool, Lie> {
        // Bounded: a device that floods is heard again with the next interrupt.
        for _ in 0..2 * BUFFERS {
            let Some(used) = self.queue.take()? else {
                if self.queue.rearm() {
                    continue;
                }
                break;
            };
            let at = usize::try_from(used.token.saturating_mul(EVENT_BYTES)).unwrap_or(0);
            let (code, data) = (self.memory.load::<u32>(at), self.memory.load::<u32>(at.saturating_add(4)));
            if used.written >= EVENT_BYTES && matches!(code, JACK_CONNECTED | JACK_DISCONNECTED) {
                jack(JackEvent { jack: data, connected: code == JACK_CONNECTED });
            }
            self.give(u16::try_from(used.token).unwrap_or(0));
        }
        // Also after a flood.
        let _ = self.queue.rearm();
        Ok(self.queue.announce())
    }
}
