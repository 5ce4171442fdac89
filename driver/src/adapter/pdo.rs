//! Which physical device object (PDO) is below an FDO: IoConnectInterruptEx wants to know.
//!
//! `PcGetPhysicalDeviceObject` would tell, but it is newer than Windows 7 and so may not be imported (a system without it would not load
//! the image at all). AddDevice is told the PDO, so it is remembered there, and StartDevice finds it again: the PDO is the one whose
//! chain of attached devices leads to the FDO.

use core::ptr::null_mut;
use core::sync::atomic::{AtomicPtr, Ordering};

use nt::sys::DEVICE_OBJECT;

/// The most cards in one machine.
const DEVICES_MAX: usize = 32;
/// The most devices in one stack; it bounds the walk.
const ATTACHED_MAX: usize = 64;

/// The PDOs of the devices that were added and not removed.
pub struct Pdos([AtomicPtr<DEVICE_OBJECT>; DEVICES_MAX]);

impl Pdos {
    /// None so far.
    pub const fn new() -> Self {
        Self([const { AtomicPtr::new(null_mut()) }; DEVICES_MAX])
    }

    /// Remembers a PDO; false if there are too many.
    pub fn remember(&self, pdo: *mut DEVICE_OBJECT) -> bool {
        self.0.iter().any(|place| {
            place.load(Ordering::Acquire) == pdo
                || place.compare_exchange(null_mut(), pdo, Ordering::AcqRel, Ordering::Acquire).is_ok()
        })
    }

    /// Forgets a PDO, because its device is removed.
    pub fn forget(&self, pdo: *mut DEVICE_OBJECT) {
        for place in &self.0 {
            let _ = place.compare_exchange(pdo, null_mut(), Ordering::AcqRel, Ordering::Acquire);
        }
    }

    /// The PDO below `device`. If no chain leads to it (a system that keeps `AttachedDevice` to itself), the only PDO there is.
    ///
    /// # Safety
    /// The remembered PDOs and what is attached to them are alive: PnP removes none while it starts or removes one.
    pub unsafe fn below(&self, device: *mut DEVICE_OBJECT) -> Option<*mut DEVICE_OBJECT> {
        let mut known = self.0.iter().map(|place| place.load(Ordering::Acquire)).filter(|pdo| !pdo.is_null());
        // SAFETY: by contract.
        if let Some(pdo) = known.clone().find(|pdo| unsafe { leads_to(*pdo, device) }) {
            return Some(pdo);
        }
        known.next().filter(|_| known.next().is_none())
    }
}

/// # Safety
/// `from` and all that is attached above it are device objects.
unsafe fn leads_to(from: *mut DEVICE_OBJECT, device: *mut DEVICE_OBJECT) -> bool {
    let mut at = from;
    for _ in 0..ATTACHED_MAX {
        if at.is_null() || at == device {
            break;
        }
        // SAFETY: by contract, and not NULL.
        at = unsafe { (*at).AttachedDevice };
    }
    at == device
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device() -> Box<DEVICE_OBJECT> {
        // SAFETY: numbers and pointers, for which zero is a value.
        Box::new(unsafe { core::mem::zeroed() })
    }

    #[test]
    fn the_pdo_is_the_one_whose_chain_leads_to_the_device() {
        let (mut pdos, mut filters, mut fdos) =
            ([device(), device()], [device(), device()], [device(), device()]);
        let known = Pdos::new();
        for ((pdo, filter), fdo) in pdos.iter_mut().zip(&mut filters).zip(&mut fdos) {
            filter.AttachedDevice = &raw mut **fdo;
            pdo.AttachedDevice = &raw mut **filter;
            assert!(known.remember(&raw mut **pdo));
        }
        let (first, second) = (&raw mut *pdos[0], &raw mut *pdos[1]);
        // SAFETY: all alive.
        unsafe {
            assert_eq!(known.below(&raw mut *fdos[0]), Some(first));
            assert_eq!(known.below(&raw mut *fdos[1]), Some(second));
            let mut stranger = device();
            assert_eq!(known.below(&raw mut *stranger), None, "of two, neither");
            known.forget(first);
            assert_eq!(known.below(&raw mut *stranger), Some(second), "of one, that one");
            known.forget(second);
            assert_eq!(known.below(&raw mut *fdos[1]), None);
        }
    }

    #[test]
    fn too_many_are_refused_and_a_ring_ends_the_walk() {
        let known = Pdos::new();
        let mut devices: Vec<_> = (0..=DEVICES_MAX).map(|_| device()).collect();
        let taken = devices.iter_mut().filter_map(|pdo| known.remember(&raw mut **pdo).then_some(())).count();
        assert_eq!(taken, DEVICES_MAX);
        let ring = &raw mut *devices[0];
        devices[0].AttachedDevice = ring;
        let mut stranger = device();
        // SAFETY: all alive.
        assert_eq!(unsafe { known.below(&raw mut *stranger) }, None);
    }
}
