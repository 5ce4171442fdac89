//! A device's resources, read from PortCls' list.
use crate::ComRef;
use crate::interfaces::IResourceList;
use nt::sys::LargeInteger as _;
use nt::sys::{
    CM_PARTIAL_RESOURCE_DESCRIPTOR, CM_RESOURCE_INTERRUPT_MESSAGE, CM_RESOURCE_MEMORY_LARGE_40,
    CM_RESOURCE_MEMORY_LARGE_48, CM_RESOURCE_MEMORY_LARGE_64, CmResourceTypeInterrupt, CmResourceTypeMemory,
    CmResourceTypeMemoryLarge,
};

/// A range of device memory (a BAR).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryRange {
    /// Physical address of the first byte, translated: as the processor sees it.
    pub start: u64,
    /// The same as the bus sees it: what the BAR's register holds.
    pub raw: u64,
    /// Bytes.
    pub length: u64,
}

/// An interrupt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InterruptResource {
    /// Vector.
    pub vector: u32,
    /// IRQL.
    pub level: u32,
    /// A message (MSI) and not a line.
    pub message: bool,
}

impl ComRef<IResourceList> {
    /// Memory range `index` (0 the first) in the order of the device's memory BARs.
    pub fn memory(&self, index: u32) -> Option<MemoryRange> {
        // Ranges of 4 GiB and more are a type of their own; a device of ours has none, but then they come
        // after the others.
        // SAFETY: no pointers go in.
        let plain = unsafe { self.number_of_entries_of_type(CmResourceTypeMemory) };
        let (kind, index) = if index < plain {
            (CmResourceTypeMemory, index)
        } else {
            (CmResourceTypeMemoryLarge, index.checked_sub(plain)?)
        };
        let (start, length) = memory_range(&self.translated(kind, index)?)?;
        // Both lists have the same order.
        let raw = self.untranslated(kind, index).and_then(|entry| memory_range(&entry));
        Some(MemoryRange { start, raw: raw.map_or(start, |raw| raw.0), length })
    }

    /// Interrupt `index` (0 the first), translated. Plain MSI has one entry for all its messages, MSI-X one
    /// for each.
    pub fn interrupt(&self, index: u32) -> Option<InterruptResource> {
        let entry = self.translated(CmResourceTypeInterrupt, index)?;
        // SAFETY: the type says which member it is; any bits make numbers.
        let interrupt = unsafe { entry.u.Interrupt };
        Some(InterruptResource {
            vector: interrupt.Vector,
            level: u32::from(interrupt.Level),
            message: entry.Flags & CM_RESOURCE_INTERRUPT_MESSAGE != 0,
        })
    }

    /// A copy of an entry, translated (descriptors are packed to 4 bytes and may not be aligned for more).
    fn translated(&self, kind: i32, index: u32) -> Option<CM_PARTIAL_RESOURCE_DESCRIPTOR> {
        // SAFETY: no pointers go in; what comes out is NULL or a descriptor that lives as long as the list.
        unsafe {
            let entry = self.find_translated_entry(kind, index);
            (!entry.is_null()).then(|| entry.read_unaligned())
        }
    }

    /// The same entry as the bus sees it.
    fn untranslated(&self, kind: i32, index: u32) -> Option<CM_PARTIAL_RESOURCE_DESCRIPTOR> {
        // SAFETY: as above.
        unsafe {
            let entry = self.find_untranslated_entry(kind, index);
            (!entry.is_null()).then(|| entry.read_unaligned())
        }
    }
}

/// First byte and length.
fn memory_range(entry: &CM_PARTIAL_RESOURCE_DESCRIPTOR) -> Option<(u64, u64)> {
    // SAFETY: the type says which member it is; any bits make numbers.
    let memory = unsafe { entry.u.Memory };
    let shift = match i32::from(entry.Type) {
        CmResourceTypeMemory => 0,
        CmResourceTypeMemoryLarge if entry.Flags & CM_RESOURCE_MEMORY_LARGE_40 != 0 => 8,
        CmResourceTypeMemoryLarge if entry.Flags & CM_RESOURCE_MEMORY_LARGE_48 != 0 => 16,
        CmResourceTypeMemoryLarge if entry.Flags & CM_RESOURCE_MEMORY_LARGE_64 != 0 => 32,
        _ => return None,
    };
    let start = { memory.Start }.as_u64();
    Some((start, u64::from(memory.Length) << shift))
}

#[cfg(test)]
mod tests {
    use crate::interfaces::{
        IResourceList, PCM_PARTIAL_RESOURCE_DESCRIPTOR, PCM_RESOURCE_LIST, ResourceList,
    };
    use crate::{Com, ComIn, com_class};
    use core::cell::UnsafeCell;
    use core::ptr::null_mut;
    use nt::NtResult;
    use nt::status::STATUS_NOT_IMPLEMENTED;
    use nt::sys::LargeInteger as _;
    use nt::sys::{
        CM_INTERRUPT_RESOURCE, CM_MEMORY_RESOURCE, CM_PARTIAL_RESOURCE_DESCRIPTOR, CM_RESOURCE_UNION,
        PHYSICAL_ADDRESS,
    };

    /// A list whose entries are at odd addresses, as packed ones may be; on the bus all is 0x1000 higher.
    struct Fake(UnsafeCell<[Vec<[u8; 21]>; 2]>);
    // SAFETY: one thread.
    unsafe impl Send for Fake {}
    // SAFETY: one thread.
    unsafe impl Sync for Fake {}
    com_class! { Fake { 0 => IResourceList } }

    impl ResourceList for Fake {
        fn number_of_entries(&self) -> u32 {
            0
        }
        fn number_of_entries_of_type(&self, kind: i32) -> u32 {
            (0..99).take_while(|&index| !self.find_translated_entry(kind, index).is_null()).count() as u32
        }
        fn find_translated_entry(&self, kind: i32, index: u32) -> PCM_PARTIAL_RESOURCE_DESCRIPTOR {
            self.find(0, kind, index)
        }
        fn find_untranslated_entry(&self, kind: i32, index: u32) -> PCM_PARTIAL_RESOURCE_DESCRIPTOR {
            self.find(1, kind, index)
        }
        fn add_entry(
            &self,
            _: *mut CM_PARTIAL_RESOURCE_DESCRIPTOR,
            _: *mut CM_PARTIAL_RESOURCE_DESCRIPTOR,
        ) -> NtResult {
            Err(STATUS_NOT_IMPLEMENTED)
        }
        fn add_entry_from_parent(&self, _: ComIn<'_, IResourceList>, _: i32, _: u32) -> NtResult {
            Err(STATUS_NOT_IMPLEMENTED)
        }
        fn translated_list(&self) -> PCM_RESOURCE_LIST {
            null_mut()
        }
        fn untranslated_list(&self) -> PCM_RESOURCE_LIST {
            null_mut()
        }
    }

    impl Fake {
        fn of(translated: Vec<[u8; 21]>) -> Com<Self> {
            let mut raw = translated.clone();
            // The second byte of the start.
            raw.iter_mut().filter(|entry| matches!(entry[1], 3 | 7)).for_each(|entry| entry[6] += 0x10);
            Com::try_new(Self(UnsafeCell::new([translated, raw]))).unwrap()
        }
        fn find(&self, list: usize, kind: i32, index: u32) -> PCM_PARTIAL_RESOURCE_DESCRIPTOR {
            // SAFETY: one thread.
            let entries = unsafe { &mut (&mut *self.0.get())[list] };
            let mut of_kind = entries.iter_mut().filter(|entry| i32::from(entry[1]) == kind);
            of_kind.nth(index as usize).map_or(null_mut(), |entry| entry[1..].as_mut_ptr().cast())
        }
    }

    fn entry(kind: u8, flags: u16, u: CM_RESOURCE_UNION) -> [u8; 21] {
        let descriptor = CM_PARTIAL_RESOURCE_DESCRIPTOR { Type: kind, ShareDisposition: 1, Flags: flags, u };
        let mut bytes = [0; 21];
        // SAFETY: 20 bytes of numbers.
        bytes[1..].copy_from_slice(&unsafe {
            core::mem::transmute::<CM_PARTIAL_RESOURCE_DESCRIPTOR, [u8; 20]>(descriptor)
        });
        bytes
    }

    fn memory(kind: u8, flags: u16, start: u64, length: u32) -> [u8; 21] {
        let start = PHYSICAL_ADDRESS::from_u64(start);
        entry(kind, flags, CM_RESOURCE_UNION { Memory: CM_MEMORY_RESOURCE { Start: start, Length: length } })
    }

    #[test]
    fn bars_and_interrupts_are_found_in_their_order() {
        let line = CM_INTERRUPT_RESOURCE { Level: 9, Group: 0, Vector: 0x91, Affinity: 1 };
        let list = Fake::of(vec![
            memory(3, 0, 0xFEB0_0000, 0x4000),
            entry(2, 3, CM_RESOURCE_UNION { Interrupt: line }),
            memory(7, 0x0200, 0x80_0000_0000, 0x0100_0000),
            memory(3, 0, 0x38_0000_0000, 0x10_0000),
        ])
        .into_interface::<IResourceList>();
        let range = |index| list.memory(index).map(|range| (range.start, range.length));
        assert_eq!(range(0), Some((0xFEB0_0000, 0x4000)));
        assert_eq!(range(1), Some((0x38_0000_0000, 0x10_0000)), "an address above 4 GiB was cut");
        assert_eq!(range(2), Some((0x80_0000_0000, 0x1_0000_0000)), "a large range's length is in units");
        assert_eq!(range(3), None);
        let raw: Vec<_> = (0..3).filter_map(|index| list.memory(index)).map(|range| range.raw).collect();
        assert_eq!(raw, [0xFEB0_1000, 0x38_0000_1000, 0x80_0000_1000]);
        let interrupt = list.interrupt(0).unwrap();
        assert_eq!((interrupt.vector, interrupt.level, interrupt.message), (0x91, 9, true));
        assert_eq!(list.interrupt(1), None);
    }
}
