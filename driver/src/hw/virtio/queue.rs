//! A split virtqueue, the driver's half: virtio 1.2, 2.7. A value over memory that the device shares; it
//! knows no register and no lock.
//!
//! What the device writes (the used ring) is copied once and then judged: an id that is not outstanding, or
//! more entries than there are messages, is a [`Lie`], and nothing is freed by it. What the driver has to
//! remember (which descriptors are free, which heads are outstanding) it keeps in memory of its own.
//!
//! Order: x86 passes no store over a store and no load over a load, so a compiler fence is enough between
//! descriptors, ring and index. Two places need more, a store before a later load ([`store_load`]): the
//! available index before avail_event or the used flags, and used_event before the used index. The
//! specification asks for it there, and without it a notification of either side is lost.

use alloc::vec::Vec;
use core::sync::atomic::{Ordering, compiler_fence};

use nt::NtResult;
use nt::contiguous::ContiguousMemory;
use nt::fence::store_load;
use nt::status::STATUS_INSUFFICIENT_RESOURCES;

/// The longest queue that is used, in descriptors: a power of two.
pub const SIZE_MAX: u16 = 256;
/// Bytes of a descriptor, in the queue and in an indirect table.
pub const DESCRIPTOR_BYTES: usize = 16;

/// VIRTQ_DESC_F_NEXT.
pub const NEXT: u16 = 1;
/// VIRTQ_DESC_F_WRITE.
pub const WRITE: u16 = 2;
/// VIRTQ_DESC_F_INDIRECT.
pub const INDIRECT: u16 = 4;
/// VIRTQ_USED_F_NO_NOTIFY.
pub const NO_NOTIFY: u16 = 1;

/// A piece of a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Descriptor {
    /// Physical address of its first byte.
    pub address: u64,
    /// Its length in bytes.
    pub bytes: u32,
    /// The device writes it, and does not read it.
    pub writable: bool,
}

impl Descriptor {
    /// Read by the device.
    pub const fn readable(address: u64, bytes: u32) -> Self {
        Self { address, bytes, writable: false }
    }

    /// Written by the device.
    pub const fn writable(address: u64, bytes: u32) -> Self {
        Self { address, bytes, writable: true }
    }

    /// As it lies in memory, number `index` of those behind each other of which the last is `last`.
    pub fn store(self, memory: &ContiguousMemory, at: usize, flags: u16, next: u16) {
        memory.store(at, self.address);
        memory.store(at.saturating_add(8), self.bytes);
        memory.store(at.saturating_add(12), flags | if self.writable { WRITE } else { 0 });
        memory.store(at.saturating_add(14), next);
    }
}

/// Writes an indirect table to `at` in `memory`: 2.7.5.3.
pub fn store_table(memory: &ContiguousMemory, at: usize, chain: &[Descriptor]) {
    for (index, descriptor) in (0_u16..).zip(chain) {
        let next = index.saturating_add(1);
        let last = usize::from(next) == chain.len();
        let place = usize::from(index).saturating_mul(DESCRIPTOR_BYTES).saturating_add(at);
        descriptor.store(memory, place, if last { 0 } else { NEXT }, if last { 0 } else { next });
    }
}

/// A message that the device has given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Used {
    /// What [`Queue::add`] was told with it.
    pub token: u32,
    /// Bytes that the device says it has written, from the first writable one on.
    pub written: u32,
}

/// The device has given back what it was not given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lie;

/// There are not enough free descriptors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// What a descriptor is to the driver.
#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    /// The next one of its message, or of the free ones.
    next: u16,
    /// It is the head of a message that the device has: its token, and how many descriptors it has.
    outstanding: Option<(u32, u16)>,
}

/// Where the three parts of a queue are, as physical addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// Descriptor table.
    pub descriptors: u64,
    /// Available ring.
    pub available: u64,
    /// Used ring.
    pub used: u64,
}

/// A queue.
pub struct Queue {
    memory: ContiguousMemory,
    slots: Vec<Slot>,
    size: u16,
    event_index: bool,
    /// The first free descriptor, and how many there are.
    free: u16,
    free_count: u16,
    /// Available index; and what it was when the device's wish to be notified was looked at last.
    available: u16,
    announced: u16,
    /// Used index up to which entries were taken.
    taken: u16,
    /// Messages that the device has.
    outstanding: u16,
}

impl Queue {
    /// Room for a queue of up to `capacity` descriptors, at most [`SIZE_MAX`], at physical addresses up to
    /// `highest`. PASSIVE_LEVEL.
    ///
    /// # Errors
    /// `STATUS_INSUFFICIENT_RESOURCES`.
    pub fn try_new(capacity: u16, highest: u64) -> NtResult<Self> {
        let capacity = power_of_two(capacity);
        let memory = ContiguousMemory::try_new(layout(capacity).end, highest)?;
        let mut slots = Vec::new();
        slots.try_reserve_exact(capacity.into()).map_err(|_| STATUS_INSUFFICIENT_RESOURCES)?;
        slots.resize(capacity.into(), Slot::default());
        let mut queue = Self {
            memory,
            slots,
            size: 0,
            event_index: false,
            free: 0,
            free_count: 0,
            available: 0,
            announced: 0,
            taken: 0,
            outstanding: 0,
        };
        queue.restart(capacity, false);
        Ok(queue)
    }

    /// Begins anew, for a device that was reset and has queues of at most `size_max` descriptors: what was
    /// outstanding is forgotten. What size it has is the answer. With `event_index` both sides say by index
    /// when they want to be notified (VIRTIO_F_EVENT_IDX).
    pub fn restart(&mut self, size_max: u16, event_index: bool) -> u16 {
        let capacity = u16::try_from(self.slots.len()).unwrap_or(SIZE_MAX);
        self.size = power_of_two(size_max.min(capacity));
        self.event_index = event_index;
        self.memory.clear();
        for (index, slot) in (1_u16..).zip(self.slots.iter_mut()) {
            *slot = Slot { next: index, outstanding: None };
        }
        (self.free, self.free_count) = (0, self.size);
        (self.available, self.announced, self.taken, self.outstanding) = (0, 0, 0, 0);
        self.size
    }

    /// Where its parts are.
    pub fn addresses(&self) -> Addresses {
        let (base, layout) = (self.memory.physical(), layout(self.size));
        let at = |offset: usize| base.saturating_add(offset as u64);
        Addresses { descriptors: base, available: at(layout.available), used: at(layout.used) }
    }

    /// How many descriptors it has.
    pub const fn size(&self) -> u16 {
        self.size
    }

    /// Messages that the device has.
    pub const fn outstanding(&self) -> u16 {
        self.outstanding
    }

    /// Makes a message available. Its readable descriptors come before its writable ones.
    ///
    /// # Errors
    /// [`Full`]; nothing is changed. A message of no descriptor has no room either.
    pub fn add(&mut self, chain: &[Descriptor], token: u32) -> Result<(), Full> {
        let count = u16::try_from(chain.len()).map_err(|_| Full)?;
        if count == 0 || count > self.free_count {
            return Err(Full);
        }
        let head = self.free;
        let mut index = head;
        for (number, descriptor) in (1_u16..).zip(chain) {
            let next = self.slots.get(usize::from(index)).ok_or(Full)?.next;
            let more = number < count;
            descriptor.store(
                &self.memory,
                descriptor_at(index),
                if more { NEXT } else { 0 },
                if more { next } else { 0 },
            );
            if more {
                index = next;
            } else {
                self.free = next;
            }
        }
        self.publish(head, token, count);
        Ok(())
    }

    /// Makes a message available whose descriptors are in an indirect table of `bytes` bytes.
    ///
    /// # Errors
    /// As [`add`](Self::add).
    pub fn add_table(&mut self, address: u64, bytes: u32, token: u32) -> Result<(), Full> {
        if self.free_count == 0 {
            return Err(Full);
        }
        let head = self.free;
        let next = self.slots.get(usize::from(head)).ok_or(Full)?.next;
        Descriptor::readable(address, bytes).store(&self.memory, descriptor_at(head), INDIRECT, 0);
        self.free = next;
        self.publish(head, token, 1);
        Ok(())
    }

    fn publish(&mut self, head: u16, token: u32, count: u16) {
        if let Some(slot) = self.slots.get_mut(usize::from(head)) {
            slot.outstanding = Some((token, count));
        }
        self.free_count = self.free_count.saturating_sub(count);
        self.outstanding = self.outstanding.saturating_add(1);
        let layout = layout(self.size);
        self.memory.store(ring_at(layout.available, self.available, self.size, 2), head);
        self.available = self.available.wrapping_add(1);
        // What the message says before the index that makes it the device's.
        compiler_fence(Ordering::Release);
        self.memory.store(layout.available + 2, self.available);
    }

    /// Whether the device must be notified of what was added since this was asked last. 2.7.13.3, 2.7.10.
    #[must_use = "a device that is not notified waits"]
    pub fn announce(&mut self) -> bool {
        let old = core::mem::replace(&mut self.announced, self.available);
        if old == self.available {
            return false;
        }
        store_load();
        let layout = layout(self.size);
        if self.event_index {
            let event: u16 = self.memory.load(layout.avail_event);
            // vring_need_event: the index that the device waits for is among the new ones.
            self.available.wrapping_sub(event).wrapping_sub(1) < self.available.wrapping_sub(old)
        } else {
            self.memory.load::<u16>(layout.used) & NO_NOTIFY == 0
        }
    }

    /// The next message that the device has given back, if there is one.
    ///
    /// # Errors
    /// [`Lie`]; the queue stays as it was.
    pub fn take(&mut self) -> Result<Option<Used>, Lie> {
        let layout = layout(self.size);
        let ahead = self.memory.load::<u16>(layout.used + 2).wrapping_sub(self.taken);
        if ahead == 0 {
            return Ok(None);
        }
        if ahead > self.outstanding {
            return Err(Lie);
        }
        // The entry after the index that says that it is there.
        compiler_fence(Ordering::Acquire);
        let at = ring_at(layout.used, self.taken, self.size, 8);
        let (id, written) = (self.memory.load::<u32>(at), self.memory.load::<u32>(at.saturating_add(4)));
        let head = u16::try_from(id).ok().filter(|head| *head < self.size).ok_or(Lie)?;
        let slot = self.slots.get_mut(usize::from(head)).ok_or(Lie)?;
        let (token, count) = slot.outstanding.take().ok_or(Lie)?;
        self.release(head, count);
        self.taken = self.taken.wrapping_add(1);
        self.outstanding = self.outstanding.saturating_sub(1);
        Ok(Some(Used { token, written }))
    }

    /// Puts a message's descriptors back to the free ones.
    fn release(&mut self, head: u16, count: u16) {
        let mut last = head;
        for _ in 1..count {
            last = self.slots.get(usize::from(last)).map_or(last, |slot| slot.next);
        }
        if let Some(slot) = self.slots.get_mut(usize::from(last)) {
            slot.next = self.free;
        }
        self.free = head;
        self.free_count = self.free_count.saturating_add(count);
    }

    /// Asks for an interrupt when the device gives back the next message. Whether it has given one back
    /// already: that one may raise none any more, and is taken before this is asked again.
    #[must_use = "what is there already raises no interrupt"]
    pub fn rearm(&mut self) -> bool {
        let layout = layout(self.size);
        if self.event_index {
            self.memory.store(layout.used_event, self.taken);
            store_load();
        }
        self.memory.load::<u16>(layout.used + 2) != self.taken
    }
}

/// Where the parts of a queue are in its memory.
struct Layout {
    available: usize,
    used_event: usize,
    used: usize,
    avail_event: usize,
    end: usize,
}

/// 2.7: the used ring is aligned to 4, which the available ring's end need not be.
const fn layout(size: u16) -> Layout {
    let size = size as usize;
    let available = size * DESCRIPTOR_BYTES;
    let used_event = available + 4 + 2 * size;
    let used = (used_event + 2).next_multiple_of(4);
    let avail_event = used + 4 + 8 * size;
    Layout { available, used_event, used, avail_event, end: avail_event + 2 }
}

/// Where the entry for `index` is in a ring that begins at `ring`.
fn ring_at(ring: usize, index: u16, size: u16, entry_bytes: usize) -> usize {
    let place = usize::from(index & size.wrapping_sub(1));
    place.saturating_mul(entry_bytes).saturating_add(ring).saturating_add(4)
}

/// Where a descriptor is in the queue's memory.
fn descriptor_at(index: u16) -> usize {
    usize::from(index).saturating_mul(DESCRIPTOR_BYTES)
}

/// The greatest power of two up to `size`, at least 1 and at most [`SIZE_MAX`].
fn power_of_two(size: u16) -> u16 {
    let size = size.clamp(1, SIZE_MAX);
    1_u16.checked_shl(size.ilog2()).unwrap_or(1)
}

#[cfg(test)]
mod tests;
