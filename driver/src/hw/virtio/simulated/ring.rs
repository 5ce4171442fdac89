//! The device's half of a split virtqueue, written from the specification (2.7) and not from the driver's
//! half. On a host a physical address is the address.

use std::ptr::{with_exposed_provenance, with_exposed_provenance_mut};

/// A queue as its device sees it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ring {
    /// Descriptors.
    pub size: u16,
    /// Physical addresses of the descriptor table, the available ring and the used ring.
    pub parts: [u64; 3],
    /// VIRTIO_F_EVENT_IDX was negotiated.
    pub event_index: bool,
    /// The available index up to which messages were taken.
    pub next_available: u16,
    /// The used index.
    pub next_used: u16,
}

/// A message as it was made available.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Index of its first descriptor.
    pub head: u16,
    /// Address and length of what the device may read.
    pub readable: Vec<(u64, u32)>,
    /// Of what it may write.
    pub writable: Vec<(u64, u32)>,
}

/// Reads a number of the driver's memory.
pub fn load<T: Copy>(address: u64) -> T {
    // SAFETY: the driver has given the address to the device; a wrong one ends the test.
    unsafe { with_exposed_provenance::<T>(usize::try_from(address).unwrap()).read_volatile() }
}

/// Writes a number to the driver's memory.
pub fn store<T: Copy>(address: u64, value: T) {
    // SAFETY: as above.
    unsafe { with_exposed_provenance_mut::<T>(usize::try_from(address).unwrap()).write_volatile(value) }
}

impl Ring {
    fn available(&self, offset: u16) -> u64 {
        self.parts[1] + u64::from(offset)
    }

    fn used(&self, offset: u16) -> u64 {
        self.parts[2] + u64::from(offset)
    }

    /// How many messages wait.
    pub fn waiting(&self) -> u16 {
        load::<u16>(self.available(2)).wrapping_sub(self.next_available)
    }

    /// The next message; `None` if none waits. Asks to be notified of the next.
    pub fn pop(&mut self) -> Option<Message> {
        if self.event_index {
            store(self.used(4 + 8 * self.size), self.next_available);
        }
        std::sync::atomic::fence(std::sync::atomic::Ordering::SeqCst);
        let waiting = self.waiting();
        assert!(waiting <= self.size, "the driver makes more available than fits");
        if waiting == 0 {
            return None;
        }
        let place = self.next_available % self.size;
        let head = load::<u16>(self.available(4 + 2 * place));
        self.next_available = self.next_available.wrapping_add(1);
        if self.event_index {
            store(self.used(4 + 8 * self.size), self.next_available);
        }
        Some(self.message(head))
    }

    fn message(&self, head: u16) -> Message {
        let mut message = Message { head, readable: vec![], writable: vec![] };
        let (mut table, mut entries, mut index) = (self.parts[0], self.size, head);
        for _ in 0..=2 * u32::from(self.size) + 2 {
            assert!(index < entries, "a descriptor outside of its table");
            let at = table + 16 * u64::from(index);
            let (address, bytes) = (load::<u64>(at), load::<u32>(at + 8));
            let (flags, next) = (load::<u16>(at + 12), load::<u16>(at + 14));
            if flags & 4 != 0 {
                assert!(
                    table == self.parts[0] && flags == 4,
                    "an indirect table within one, or that goes on"
                );
                assert!(bytes > 0 && bytes % 16 == 0);
                entries = u16::try_from(bytes / 16).unwrap();
                assert!(entries <= self.size, "a chain longer than the queue (2.7.5.3.1)");
                (table, index) = (address, 0);
                continue;
            }
            assert_ne!(bytes, 0);
            if flags & 2 != 0 {
                message.writable.push((address, bytes));
            } else {
                assert!(message.writable.is_empty(), "readable behind writable");
                message.readable.push((address, bytes));
            }
            if flags & 1 == 0 {
                return message;
            }
            index = next;
        }
        panic!("a chain without an end");
    }

    /// Gives a message back. Whether the driver wants an interrupt.
    pub fn push(&mut self, head: u32, written: u32) -> bool {
        let at = self.used(4 + 8 * (self.next_used % self.size));
        store(at, head);
        store(at + 4, written);
        let old = self.next_used;
        self.next_used = old.wrapping_add(1);
        store(self.used(2), self.next_used);
        std::sync::atomic::fence(std::sync::atomic::Ordering::SeqCst);
        if self.event_index {
            let event = load::<u16>(self.available(4 + 2 * self.size));
            event == old
        } else {
            load::<u16>(self.available(0)) & 1 == 0
        }
    }

    /// Sets the used index, whatever it was.
    pub fn set_used_index(&mut self, index: u16) {
        self.next_used = index;
        store(self.used(2), index);
    }
}

/// Copies what the pieces hold.
pub fn read(pieces: &[(u64, u32)]) -> Vec<u8> {
    let bytes = pieces.iter().flat_map(|(address, bytes)| (0..u64::from(*bytes)).map(move |at| address + at));
    bytes.map(load::<u8>).collect()
}

/// Puts as much of `bytes` into the pieces as fits.
pub fn write(pieces: &[(u64, u32)], bytes: &[u8]) {
    let places =
        pieces.iter().flat_map(|(address, bytes)| (0..u64::from(*bytes)).map(move |at| address + at));
    for (place, byte) in places.zip(bytes) {
        store(place, *byte);
    }
}
