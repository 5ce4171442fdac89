//! A chain of descriptors, taken once: what the guest changes in its table afterwards counts no more.
//!
//! virtio-queue ends a chain without an error where it cannot go on: an index out of range, a table that is
//! not there or nested, a loop, more than 4 GiB. So a chain is whole only if its last descriptor says that
//! none follows ([`ChainFault::Truncated`]).

use std::ops::Deref;

use virtio_queue::DescriptorChain;
use vm_memory::{Bytes, GuestAddress, GuestMemory, GuestMemoryMmap};

/// Descriptors of a chain. Linux takes one for each page of a period: a period of 4 MiB fits.
const DESCRIPTORS_MAX: usize = 1024 + 2;
/// Bytes of a chain's readable and of its writable part.
const BYTES_MAX: u64 = 64 << 20;

/// Why a chain is not what the specification asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChainFault {
    /// It ends where it should go on, or there is nothing in it.
    Truncated,
    /// A readable descriptor comes after a writable one (virtio 1.2, 2.7.4.2).
    Mixed,
    /// More descriptors or bytes than this device takes.
    TooLong,
}

/// A stretch of guest memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Guest physical address.
    pub address: u64,
    /// Length.
    pub bytes: u32,
}

/// Stretches of guest memory, one behind the other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Segments {
    list: Vec<Segment>,
    bytes: u64,
}

/// Memory that is not there. How much of a transfer was done is not said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreachable;

impl Segments {
    fn push(&mut self, address: u64, bytes: u32) {
        self.bytes = self.bytes.saturating_add(bytes.into());
        if bytes != 0 {
            self.list.push(Segment { address, bytes });
        }
    }

    /// All bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Copies `into.len()` bytes from `offset` on out of guest memory.
    ///
    /// # Errors
    /// They are not all in the segments, or not all in guest memory.
    pub fn read(&self, memory: &GuestMemoryMmap, offset: u64, into: &mut [u8]) -> Result<(), Unreachable> {
        let mut rest = into;
        self.walk(offset, rest.len(), |address, bytes| {
            let (now, later) = std::mem::take(&mut rest).split_at_mut_checked(bytes).ok_or(Unreachable)?;
            rest = later;
            memory.read_slice(now, address).map_err(|_| Unreachable)
        })
    }

    /// Copies `from` into guest memory from `offset` on.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn write(&self, memory: &GuestMemoryMmap, offset: u64, from: &[u8]) -> Result<(), Unreachable> {
        let mut rest = from;
        self.walk(offset, rest.len(), |address, bytes| {
            let (now, later) = rest.split_at_checked(bytes).ok_or(Unreachable)?;
            rest = later;
            memory.write_slice(now, address).map_err(|_| Unreachable)
        })
    }

    /// The stretches that hold `bytes` bytes from `offset` on, as far as there are any: address and length.
    pub fn stretches(&self, offset: u64, bytes: u64, mut each: impl FnMut(u64, u64)) {
        let bytes = bytes.min(self.bytes.saturating_sub(offset));
        // What is not there was cut off.
        let _ = self.walk(offset, usize::try_from(bytes).unwrap_or(usize::MAX), |address, bytes| {
            each(address.0, bytes as u64);
            Ok(())
        });
    }

    /// Calls `each` for the stretches that hold `length` bytes from `offset` on.
    fn walk(
        &self,
        offset: u64,
        length: usize,
        mut each: impl FnMut(GuestAddress, usize) -> Result<(), Unreachable>,
    ) -> Result<(), Unreachable> {
        let (mut skip, mut left) = (offset, length);
        for Segment { address, bytes } in &self.list {
            if left == 0 {
                break;
            }
            let bytes = u64::from(*bytes);
            if skip >= bytes {
                skip -= bytes;
                continue;
            }
            let now = usize::try_from(bytes - skip).unwrap_or(usize::MAX).min(left);
            each(GuestAddress(address.checked_add(skip).ok_or(Unreachable)?), now)?;
            left -= now;
            skip = 0;
        }
        if left == 0 { Ok(()) } else { Err(Unreachable) }
    }
}

/// A chain that was taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chain {
    /// Index of its first descriptor: what the used ring is told.
    pub head: u16,
    /// What the device reads.
    pub readable: Segments,
    /// What the device writes.
    pub writable: Segments,
    /// It is not to be carried out; what is known of it serves to answer.
    pub fault: Option<ChainFault>,
}

/// Takes a chain out of the guest's table.
pub fn take<M>(mut chain: DescriptorChain<M>) -> Chain
where
    M: Deref,
    M::Target: GuestMemory,
{
    let mut taken = Chain { head: chain.head_index(), ..Chain::default() };
    let mut goes_on = true;
    for (count, descriptor) in chain.by_ref().enumerate() {
        goes_on = descriptor.has_next();
        let part = if descriptor.is_write_only() { &mut taken.writable } else { &mut taken.readable };
        if count >= DESCRIPTORS_MAX || part.bytes.saturating_add(descriptor.len().into()) > BYTES_MAX {
            taken.fault = taken.fault.or(Some(ChainFault::TooLong));
            return taken;
        }
        part.push(descriptor.addr().0, descriptor.len());
        if !descriptor.is_write_only() && taken.writable.bytes != 0 {
            taken.fault = Some(ChainFault::Mixed);
        }
    }
    if goes_on {
        taken.fault = taken.fault.or(Some(ChainFault::Truncated));
    }
    taken
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{INDIRECT, NEXT, Ring, TABLE, WRITE};
    use proptest::prelude::*;

    fn segments(list: &[(u64, u32)]) -> Segments {
        let mut segments = Segments::default();
        for (address, bytes) in list {
            segments.push(*address, *bytes);
        }
        segments
    }

    #[test]
    fn chain_is_taken_with_its_cuts() {
        let ring = Ring::new(16);
        ring.descriptor(3, 0x8000, 4, NEXT, 5);
        ring.descriptor(5, 0x9001, 3, NEXT, 1);
        ring.descriptor(1, 0xA000, 8, WRITE, 0);
        let taken = ring.take(3);
        assert_eq!(taken.fault, None);
        assert_eq!((taken.head, taken.readable), (3, segments(&[(0x8000, 4), (0x9001, 3)])));
        assert_eq!(taken.writable, segments(&[(0xA000, 8)]));
    }

    #[test]
    fn indirect_table_is_taken_and_what_is_wrong_with_one_is_a_cut() {
        let ring = Ring::new(16);
        ring.descriptor(0, 0x8000, 32, INDIRECT, 0);
        ring.descriptor_at(0x8000, 0x9000, 4, NEXT, 1);
        ring.descriptor_at(0x8010, 0xA000, 8, WRITE, 0);
        assert_eq!(ring.take(0).fault, None);
        for (bytes, flags) in [(31, INDIRECT), (0, INDIRECT)] {
            ring.descriptor(0, 0x8000, bytes, flags, 0);
            assert_eq!(ring.take(0).fault, Some(ChainFault::Truncated), "{bytes}");
        }
        ring.descriptor(0, 0xFFFF_0000, 32, INDIRECT, 0);
        assert_eq!(ring.take(0).fault, Some(ChainFault::Truncated), "not there");
        ring.descriptor(0, 0x8000, 32, INDIRECT, 0);
        ring.descriptor_at(0x8000, 0x8000, 32, INDIRECT, 0);
        assert_eq!(ring.take(0).fault, Some(ChainFault::Truncated), "nested");
    }

    #[test]
    fn loop_index_out_of_range_and_order_are_named() {
        let ring = Ring::new(16);
        ring.descriptor(0, 0x8000, 4, NEXT, 1);
        ring.descriptor(1, 0x8000, 4, NEXT, 0);
        assert_eq!(ring.take(0).fault, Some(ChainFault::Truncated), "a loop");
        ring.descriptor(1, 0x8000, 4, NEXT, 16);
        assert_eq!(ring.take(0).fault, Some(ChainFault::Truncated), "index out of range");
        assert_eq!(ring.take(16).fault, Some(ChainFault::Truncated), "no such head");
        ring.descriptor(0, 0x8000, 8, NEXT | WRITE, 1);
        ring.descriptor(1, 0x9000, 4, 0, 0);
        assert_eq!(ring.take(0).fault, Some(ChainFault::Mixed));
        ring.descriptor(0, 0x8000, u32::MAX, WRITE, 0);
        assert_eq!(ring.take(0).fault, Some(ChainFault::TooLong));
    }

    #[test]
    fn more_descriptors_than_a_chain_may_have_are_named() {
        let ring = Ring::new(16);
        for (count, fault) in [(1026, None), (1027, Some(ChainFault::TooLong))] {
            ring.descriptor(0, 0x8000, count * 16, INDIRECT, 0);
            for entry in 0..count {
                let flags = if entry + 1 < count { NEXT } else { 0 };
                let next = u16::try_from(entry + 1).unwrap();
                ring.descriptor_at(0x8000 + u64::from(entry) * 16, 0x7000, 1, flags, next);
            }
            assert_eq!(ring.take(0).fault, fault, "{count}");
        }
    }

    proptest! {
        /// However the bytes are cut, they are the same bytes.
        #[test]
        fn cuts_do_not_matter(cuts in proptest::collection::vec(0..40_u32, 1..20), skip in 0..50_u64) {
            let ring = Ring::new(16);
            let mut list = segments(&[]);
            let mut all = Vec::new();
            for (place, bytes) in (0_u64..).zip(&cuts) {
                let address = 0x8000 + place * 64;
                let data: Vec<u8> = (0..*bytes).map(|_| u8::try_from(all.len() % 251).unwrap()).collect();
                ring.write(address, &data);
                all.extend(data);
                list.push(address, *bytes);
            }
            prop_assert_eq!(list.bytes(), all.len() as u64);
            let skip = usize::try_from(skip).unwrap().min(all.len());
            let mut read = vec![0; all.len() - skip];
            prop_assert_eq!(list.read(&ring.memory(), skip as u64, &mut read), Ok(()));
            prop_assert_eq!(&read, &all[skip..]);
            let mut more = vec![0; read.len() + 1];
            prop_assert_eq!(list.read(&ring.memory(), skip as u64, &mut more), Err(Unreachable));
        }

        /// Whatever stands in the table, taking ends and is bounded.
        #[test]
        fn any_table_is_taken(table in proptest::collection::vec(any::<u8>(), 256), head in 0..20_u16) {
            let ring = Ring::new(16);
            ring.write(TABLE, &table);
            let taken = ring.take(head);
            prop_assert!(taken.readable.bytes() <= BYTES_MAX && taken.writable.bytes() <= BYTES_MAX);
        }
    }
}
