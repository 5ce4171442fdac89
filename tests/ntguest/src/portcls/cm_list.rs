//! `CM_RESOURCE_LIST` in memory: what a START IRP and an `IResourceList` carry (WAVERT.md 7).

use super::layout::CmPartialResourceDescriptor;
use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

/// `CmResourceTypePort`.
const TYPE_PORT: u8 = 1;
/// `CmResourceTypeInterrupt`.
pub const TYPE_INTERRUPT: u8 = 2;
/// `CmResourceTypeMemory`.
pub const TYPE_MEMORY: u8 = 3;
/// `CmResourceTypeDevicePrivate`.
const TYPE_DEVICE_PRIVATE: u8 = 0x81;

const SHARE_EXCLUSIVE: u8 = 1;
const SHARE_SHARED: u8 = 3;
const INTERRUPT_LATCHED: u16 = 1;
const INTERRUPT_MESSAGE: u16 = 2;
const MEMORY_PREFETCHABLE: u16 = 4;
/// PORT_IO, 16_BIT_DECODE, POSITIVE_DECODE and PORT_BAR: what the page of !devnode shows of a BAR.
const PORT_OF_BAR: u16 = 0x131;

/// `PCIBus` of `INTERFACE_TYPE`.
const PCI_BUS: u32 = 5;
/// Words of the list before the first descriptor.
const HEADER_WORDS: usize = 5;
/// Word that holds the number of descriptors.
const COUNT_WORD: usize = 4;
/// More descriptors than any device has: bounds what is read.
const MOST_DESCRIPTORS: usize = 256;
/// Words of a descriptor.
const DESCRIPTOR_WORDS: usize = size_of::<CmPartialResourceDescriptor>() / 4;

const fn low(value: u64) -> u32 {
    (value & 0xffff_ffff) as u32
}

const fn high(value: u64) -> u32 {
    (value >> 32) as u32
}

/// What follows each BAR in the lists of a PCI device, for the bus driver's own use: the number of its
/// register (example output on the page of !devnode). A driver leaves it alone.
pub fn bar_number(index: u8) -> CmPartialResourceDescriptor {
    CmPartialResourceDescriptor {
        resource_type: TYPE_DEVICE_PRIVATE,
        share_disposition: SHARE_EXCLUSIVE,
        flags: 0,
        u: [1, u32::from(index), 0, 0],
    }
}

/// A BAR of ports.
pub fn port(base: u64, length: u32) -> CmPartialResourceDescriptor {
    CmPartialResourceDescriptor {
        resource_type: TYPE_PORT,
        share_disposition: SHARE_EXCLUSIVE,
        flags: PORT_OF_BAR,
        u: [low(base), high(base), length, 0],
    }
}

/// A memory BAR. Windows describes one below 4 GiB of length with this type.
pub fn memory(base: u64, length: u32, prefetchable: bool) -> CmPartialResourceDescriptor {
    CmPartialResourceDescriptor {
        resource_type: TYPE_MEMORY,
        share_disposition: SHARE_EXCLUSIVE,
        flags: if prefetchable { MEMORY_PREFETCHABLE } else { 0 },
        u: [low(base), high(base), length, 0],
    }
}

/// One message as the driver connects it.
pub fn translated_message(irql: u8, vector: u32, affinity: u64) -> CmPartialResourceDescriptor {
    CmPartialResourceDescriptor {
        resource_type: TYPE_INTERRUPT,
        share_disposition: SHARE_EXCLUSIVE,
        flags: INTERRUPT_LATCHED | INTERRUPT_MESSAGE,
        u: [u32::from(irql), vector, low(affinity), high(affinity)],
    }
}

/// All messages of the MSI capability in one raw descriptor: group in the low half, count in the high half of
/// its first word.
pub fn raw_messages(count: u16, vector: u32, affinity: u64) -> CmPartialResourceDescriptor {
    CmPartialResourceDescriptor {
        resource_type: TYPE_INTERRUPT,
        share_disposition: SHARE_EXCLUSIVE,
        flags: INTERRUPT_LATCHED | INTERRUPT_MESSAGE,
        u: [u32::from(count) << 16, vector, low(affinity), high(affinity)],
    }
}

/// A line interrupt: level sensitive and shared, as INTx is.
pub fn line(level: u32, vector: u32, affinity: u64) -> CmPartialResourceDescriptor {
    CmPartialResourceDescriptor {
        resource_type: TYPE_INTERRUPT,
        share_disposition: SHARE_SHARED,
        flags: 0,
        u: [level & 0xffff, vector, low(affinity), high(affinity)],
    }
}

/// A list with one bus and room for some descriptors; it never moves, so pointers into it stay good.
pub struct CmList {
    words: Box<[u32]>,
}

impl CmList {
    /// An empty list with room for `capacity` descriptors of a PCI bus.
    pub fn new(bus: u32, capacity: usize) -> Self {
        let mut words = vec![0; HEADER_WORDS + capacity * DESCRIPTOR_WORDS].into_boxed_slice();
        // One full descriptor; version 1, revision 1 in the two halves of the fourth word.
        words[..COUNT_WORD].copy_from_slice(&[1, PCI_BUS, bus, 0x0001_0001]);
        Self { words }
    }

    /// A list that holds `descriptors`.
    pub fn of(bus: u32, descriptors: &[CmPartialResourceDescriptor]) -> Self {
        let mut list = Self::new(bus, descriptors.len());
        for descriptor in descriptors {
            list.push(*descriptor);
        }
        list
    }

    /// A copy of a list in memory; `None` for null and for a list of other than one bus.
    ///
    /// # Safety
    /// `list` is null or a `CM_RESOURCE_LIST` with as many descriptors as it says.
    pub unsafe fn read(list: *const u32) -> Option<Self> {
        if list.is_null() {
            return None;
        }
        // SAFETY: the head is there by the contract.
        let (buses, count) =
            unsafe { (list.read_unaligned(), list.add(COUNT_WORD).read_unaligned() as usize) };
        if buses != 1 || count > MOST_DESCRIPTORS {
            return None;
        }
        let words = HEADER_WORDS + count * DESCRIPTOR_WORDS;
        // SAFETY: as many words as head and descriptors have, by the contract.
        let words = (0..words).map(|at| unsafe { list.add(at).read_unaligned() }).collect::<Vec<_>>();
        Some(Self { words: words.into_boxed_slice() })
    }

    /// Number of descriptors.
    pub fn len(&self) -> usize {
        self.words[COUNT_WORD] as usize
    }

    /// Adds one; false when there is no room.
    pub fn push(&mut self, descriptor: CmPartialResourceDescriptor) -> bool {
        let at = HEADER_WORDS + self.len() * DESCRIPTOR_WORDS;
        let Some(words) = self.words.get_mut(at..at + DESCRIPTOR_WORDS) else { return false };
        let first = u32::from_le_bytes({
            let [lo, hi] = descriptor.flags.to_le_bytes();
            [descriptor.resource_type, descriptor.share_disposition, lo, hi]
        });
        words[0] = first;
        words[1..].copy_from_slice(&{ descriptor.u });
        self.words[COUNT_WORD] += 1;
        true
    }

    /// Where the `nth` descriptor of a type is, or null.
    pub fn find(&self, resource_type: u8, nth: usize) -> *const CmPartialResourceDescriptor {
        self.descriptors()
            .filter(|words| words.first().is_some_and(|first| first & 0xff == u32::from(resource_type)))
            .nth(nth)
            .map_or(core::ptr::null(), |words| words.as_ptr().cast())
    }

    /// How many descriptors of a type there are.
    pub fn count_of(&self, resource_type: u8) -> usize {
        self.descriptors()
            .filter(|words| words.first().is_some_and(|first| first & 0xff == u32::from(resource_type)))
            .count()
    }

    /// The `CM_RESOURCE_LIST`.
    pub fn as_ptr(&self) -> *const u32 {
        self.words.as_ptr()
    }

    fn descriptors(&self) -> impl Iterator<Item = &[u32]> {
        self.words[HEADER_WORDS..].chunks_exact(DESCRIPTOR_WORDS).take(self.len())
    }
}

/// The raw and the translated list of a card. Buses and processor see the same addresses, so that BARs are
/// alike in both.
pub fn lists(
    bus: u32,
    bars: &[CmPartialResourceDescriptor],
    raw_interrupts: &[CmPartialResourceDescriptor],
    translated_interrupts: &[CmPartialResourceDescriptor],
) -> (CmList, CmList) {
    let join = |interrupts: &[CmPartialResourceDescriptor]| {
        let all: Vec<_> = bars.iter().chain(interrupts).copied().collect();
        CmList::of(bus, &all)
    };
    (join(raw_interrupts), join(translated_interrupts))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(list: &CmList) -> Vec<u8> {
        list.words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    #[test]
    fn descriptors_lie_packed_to_four_bytes() {
        let list = CmList::of(3, &[memory(0x8_1234_5000, 0x1000, false), translated_message(5, 0x51, 1)]);
        let bytes = bytes(&list);
        assert_eq!(bytes[0..20], [1, 0, 0, 0, 5, 0, 0, 0, 3, 0, 0, 0, 1, 0, 1, 0, 2, 0, 0, 0]);
        assert_eq!(bytes[20..40], [3, 1, 0, 0, 0, 0x50, 0x34, 0x12, 8, 0, 0, 0, 0, 0x10, 0, 0, 0, 0, 0, 0]);
        assert_eq!(bytes[40..60], [2, 1, 3, 0, 5, 0, 0, 0, 0x51, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn one_descriptor_stands_for_all_messages_of_plain_msi() {
        let (raw, translated) = lists(
            0,
            &[memory(0x1000, 0x1000, true)],
            &[raw_messages(2, 0x50, 1)],
            &[translated_message(5, 0x50, 1)],
        );
        assert_eq!((raw.count_of(TYPE_INTERRUPT), translated.count_of(TYPE_INTERRUPT)), (1, 1));
        // MessageCount is the second half of the raw one, where the translated one has its level.
        assert_eq!(bytes(&raw)[40..48], [2, 1, 3, 0, 0, 0, 2, 0]);
        assert_eq!(bytes(&translated)[40..48], [2, 1, 3, 0, 5, 0, 0, 0]);
        assert!(raw.find(TYPE_INTERRUPT, 1).is_null() && translated.find(TYPE_INTERRUPT, 1).is_null());
    }

    #[test]
    fn each_bar_is_followed_by_its_number() {
        let bars = [
            memory(0xfebd_1000, 0x1000, false),
            bar_number(1),
            memory(0x38_0000_0000, 0x4000, true),
            bar_number(4),
        ];
        let (raw, translated) =
            lists(0, &bars, &[raw_messages(1, 0x50, 1)], &[translated_message(5, 0x50, 1)]);
        for list in [&raw, &translated] {
            assert_eq!((list.len(), list.count_of(TYPE_MEMORY), list.count_of(0x81)), (5, 2, 2));
            // SAFETY: found in a list of our own.
            let (second, number) = unsafe { (*list.find(TYPE_MEMORY, 1), *list.find(0x81, 1)) };
            assert_eq!(({ second.u }, second.flags), ([0, 0x38, 0x4000, 0], 4));
            assert_eq!({ number.u }, [1, 4, 0, 0]);
        }
    }

    #[test]
    fn a_list_in_memory_is_copied_whole() {
        let list = CmList::of(3, &[memory(0x1000, 0x1000, true), translated_message(5, 0x51, 1)]);
        // SAFETY: a list of our own, and null.
        let (copy, none) = unsafe { (CmList::read(list.as_ptr()), CmList::read(core::ptr::null())) };
        assert_eq!(copy.map(|copy| bytes(&copy)), Some(bytes(&list)));
        assert!(none.is_none());
    }

    #[test]
    fn a_full_list_takes_no_more() {
        let mut list = CmList::new(0, 1);
        assert!(list.push(line(11, 0x31, 1)));
        assert!(!list.push(line(11, 0x31, 1)));
        assert_eq!(list.len(), 1);
    }
}
