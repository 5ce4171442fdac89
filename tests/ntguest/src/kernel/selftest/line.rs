//! A line that is held back and comes all at once, as a pending INTx comes with D0 before the driver has
//! heard of it.

use core::ffi::c_void;
use core::ptr::null_mut;
use core::sync::atomic::Ordering::Relaxed;

use super::{
    CARD_REGISTERS, EDU_ACKNOWLEDGE, EDU_STATUS, MS, SERVED, map_card, raise_edu_interrupt, service,
};
use crate::kernel::{irql, pci, thread};

unsafe extern "win64" fn routine(_: *mut c_void, _: *mut c_void) -> u8 {
    let registers = CARD_REGISTERS.load(Relaxed) as *mut u8;
    assert!(pci::card().line.is_some_and(|line| line.irql == irql::current()));
    // SAFETY: the interrupt is connected only while the registers are mapped.
    unsafe {
        let status = registers.add(EDU_STATUS).cast::<u32>().read_volatile();
        registers.add(EDU_ACKNOWLEDGE).cast::<u32>().write_volatile(status);
    }
    SERVED.fetch_add(1, Relaxed);
    1
}

/// Runs it; a panic says what is wrong.
pub fn run() {
    assert!(pci::card().line.is_some(), "boot with msi=0");
    let registers = map_card();
    CARD_REGISTERS.store(registers as usize, Relaxed);
    let mut context = null_mut::<c_void>();
    let mut parameters =
        [2, 0x1000, (&raw mut context) as usize, routine as *const () as usize, 0, 0, 0, 0, 0, 0];
    assert!(service!("IoConnectInterruptEx" as fn(*mut usize) -> i32)(parameters.as_mut_ptr()) == 0);
    pci::hold_line(|| {
        raise_edu_interrupt(registers);
        thread::sleep_100ns(20 * MS);
        assert!(SERVED.load(Relaxed) == 0, "a line that is held back is served");
    });
    for _ in 0..100 {
        thread::sleep_100ns(MS);
    }
    assert!(SERVED.load(Relaxed) == 1, "served {} times", SERVED.load(Relaxed));
    let mut parameters = [2usize, context as usize];
    service!("IoDisconnectInterruptEx" as fn(*mut usize))(parameters.as_mut_ptr());
    service!("MmUnmapIoSpace" as fn(*mut u8, usize))(registers, 4096);
}
