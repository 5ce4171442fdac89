//! PCI functions through the firmware's `EFI_PCI_IO_PROTOCOL` (UEFI specification 2.10, section 14.4), and
//! their memory, which firmware maps one to one.

use core::ffi::c_void;
use core::ptr::{null_mut, read_volatile, write_volatile};

use crate::firmware::{Firmware, Guid, Service, Status};

const PCI_IO: Guid =
    [0x00, 0xB2, 0xF5, 0x4C, 0xB8, 0x68, 0xA5, 0x4C, 0x9E, 0xEC, 0xB2, 0x3E, 0x3F, 0x50, 0x02, 0x9A];
/// `EfiPciIoWidthUint32`.
const WIDTH_32: u32 = 2;
/// `EfiPciIoAttributeOperationEnable`; memory and bus master.
const ENABLE: u32 = 2;
const MEMORY_AND_BUS_MASTER: u64 = 0x0200 | 0x0400;
const BAR_0: u32 = 0x10;
const CAPABILITIES: u32 = 0x34;
const POWER_MANAGEMENT: u32 = 1;
/// A function may take 10 ms to leave D3hot, and to enter it.
const POWER_MICROS: usize = 10_000;

type Access = unsafe extern "efiapi" fn(*mut PciIo, u32, u32, usize, *mut c_void) -> Status;

/// `EFI_PCI_IO_PROTOCOL` up to the attributes.
#[repr(C)]
struct PciIo {
    before: [Service; 6],
    read_configuration: Access,
    write_configuration: Access,
    from_copy_memory: [Service; 7],
    attributes: unsafe extern "efiapi" fn(*mut Self, u32, u64, *mut u64) -> Status,
}

const _: () = assert!(core::mem::offset_of!(PciIo, attributes) == 15 * 8);

/// A function.
#[derive(Clone, Copy)]
pub struct Function(*mut PciIo);

impl Function {
    /// The first function whose 32 bits at `offset` are what is wanted under the mask.
    pub fn find(firmware: &Firmware, offset: u32, mask: u32, wanted: u32) -> Option<Self> {
        let functions = firmware.handles(&PCI_IO).into_iter();
        let mut functions = functions.filter_map(|handle| Some(Self(firmware.protocol(handle, &PCI_IO)?)));
        functions.find(|function| function.read(offset) & mask == wanted)
    }

    /// Reads 32 bits of configuration space; all ones where that fails.
    pub fn read(self, offset: u32) -> u32 {
        let mut value = u32::MAX;
        // SAFETY: the firmware's protocol, with a place for 32 bits.
        unsafe { ((*self.0).read_configuration)(self.0, WIDTH_32, offset, 1, (&raw mut value).cast()) };
        value
    }

    fn write(self, offset: u32, mut value: u32) {
        // SAFETY: the firmware's protocol, with 32 bits.
        unsafe { ((*self.0).write_configuration)(self.0, WIDTH_32, offset, 1, (&raw mut value).cast()) };
    }

    /// The capability with this id; none where the function has none.
    fn capability(self, id: u32) -> Option<u32> {
        let mut at = self.read(CAPABILITIES) & 0xFC;
        // There are 48 places at most.
        for _ in 0..48 {
            if at < 0x40 {
                return None;
            }
            let head = self.read(at);
            if head & 0xFF == id {
                return Some(at);
            }
            at = head >> 8 & 0xFC;
        }
        None
    }

    /// Takes it to the power state D0 or D3hot (PCI Power Management specification 1.2, 3.2.4); whether it
    /// says that it is there. One without the capability is always in D0.
    pub fn set_power(self, firmware: &Firmware, state: u32) -> bool {
        let Some(at) = self.capability(POWER_MANAGEMENT) else { return true };
        let control = at + 4;
        self.write(control, self.read(control) & !3 | state);
        firmware.stall(POWER_MICROS);
        self.read(control) & 3 == state
    }

    /// Has it answer accesses to its memory, and read that of the machine.
    pub fn enable(self) {
        // SAFETY: the firmware's protocol.
        unsafe { ((*self.0).attributes)(self.0, ENABLE, MEMORY_AND_BUS_MASTER, null_mut()) };
    }

    /// The memory of a BAR, with so many bytes.
    pub fn window(self, bar: u32, bytes: u32) -> Option<Window> {
        let low = self.read(BAR_0 + 4 * bar);
        // Bits 2:1: a 64-bit address, whose upper half is in the next BAR.
        let high = if low & 6 == 4 { self.read(BAR_0 + 4 * (bar + 1)) } else { 0 };
        let base = u64::from(high) << 32 | u64::from(low & !0xF);
        (base != 0 && low & 1 == 0).then_some(Window { base, bytes })
    }
}

/// A memory BAR.
#[derive(Clone, Copy)]
pub struct Window {
    base: u64,
    bytes: u32,
}

impl Window {
    fn place<T>(self, offset: u32) -> *mut T {
        let size = size_of::<T>() as u32;
        assert!(offset.is_multiple_of(size) && offset <= self.bytes - size, "{offset:#x} is not in the BAR");
        (self.base + u64::from(offset)) as *mut T
    }

    /// What is left of it from there on.
    pub fn from(self, offset: u32) -> Option<Self> {
        let bytes = self.bytes.checked_sub(offset)?;
        Some(Self { base: self.base + u64::from(offset), bytes })
    }

    pub fn read8(self, offset: u32) -> u8 {
        // SAFETY: `place` has checked that it lies in the BAR, which is mapped and no memory of Rust's. So
        // below.
        unsafe { read_volatile(self.place(offset)) }
    }

    pub fn read16(self, offset: u32) -> u16 {
        // SAFETY: see `read8`.
        unsafe { read_volatile(self.place(offset)) }
    }

    pub fn read32(self, offset: u32) -> u32 {
        // SAFETY: see `read8`.
        unsafe { read_volatile(self.place(offset)) }
    }

    pub fn write8(self, offset: u32, value: u8) {
        // SAFETY: see `read8`.
        unsafe { write_volatile(self.place(offset), value) }
    }

    pub fn write16(self, offset: u32, value: u16) {
        // SAFETY: see `read8`.
        unsafe { write_volatile(self.place(offset), value) }
    }

    pub fn write32(self, offset: u32, value: u32) {
        // SAFETY: see `read8`.
        unsafe { write_volatile(self.place(offset), value) }
    }
}
