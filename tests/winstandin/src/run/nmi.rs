//! An NMI, as Windows takes it: it crashes, and starts again. The firmware's `EFI_CPU_ARCH_PROTOCOL` (PI
//! specification 1.8, volume 2,
//! 12.3) hands the vector over.

use core::ffi::c_void;

use guest_ports::{halt, outb};

use crate::firmware::{Firmware, Guid, Service, Status};

const CPU: Guid =
    [0xB1, 0xCC, 0xBA, 0x26, 0x42, 0x6F, 0xD4, 0x11, 0xBC, 0xE7, 0x00, 0x80, 0xC7, 0x3C, 0x88, 0x81];
const VECTOR: isize = 2;
/// The chipset's reset control register: a hard reset.
const RESET_CONTROL: u16 = 0xCF9;
const HARD_RESET: u8 = 6;

type Handler = extern "efiapi" fn(isize, *mut c_void);

/// `EFI_CPU_ARCH_PROTOCOL` up to the handlers.
#[repr(C)]
struct Cpu {
    before: [Service; 5],
    register_interrupt_handler: unsafe extern "efiapi" fn(*mut Self, isize, Option<Handler>) -> Status,
}

extern "efiapi" fn crash(_: isize, _: *mut c_void) {
    outb(RESET_CONTROL, HARD_RESET);
}

/// Stands still until one comes; for ever if the firmware does not hand it over.
pub fn wait(firmware: &Firmware) -> ! {
    for handle in firmware.handles(&CPU) {
        if let Some(cpu) = firmware.protocol::<Cpu>(handle, &CPU) {
            // SAFETY: the firmware's protocol. The firmware's own handler is taken away first, as the
            // specification wants it.
            unsafe {
                ((*cpu).register_interrupt_handler)(cpu, VECTOR, None);
                ((*cpu).register_interrupt_handler)(cpu, VECTOR, Some(crash));
            }
        }
    }
    halt()
}
