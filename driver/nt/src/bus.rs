//! The bus driver below a device, through BUS_INTERFACE_STANDARD: the device's configuration space.
//!
//! As the WDK's *Obtaining Device Configuration Information at IRQL = DISPATCH_LEVEL* has it:
//! IRP_MN_QUERY_INTERFACE goes to the top of the device's stack, with STATUS_NOT_SUPPORTED in it, and the bus
//! driver takes a reference before it answers.
use core::mem::MaybeUninit;

use crate::event::{Event, Kind};
use crate::status::{
    NtResult, STATUS_INSUFFICIENT_RESOURCES, STATUS_NOT_SUPPORTED, STATUS_PENDING, nt_success,
};
use crate::sys::{
    self, BUS_INTERFACE_STANDARD, DEVICE_OBJECT, IO_STATUS_BLOCK, IRP_MJ_PNP, IRP_MN_QUERY_INTERFACE,
};

/// GUID_BUS_INTERFACE_STANDARD, {496B8280-6F25-11D0-BEAF-08002BE2092F}, as it lies in memory.
static GUID_BUS_INTERFACE_STANDARD: [u32; 4] = [0x496B_8280, 0x11D0_6F25, 0x0008_AFBE, 0x2F09_E22B];
/// Version of the interface.
const VERSION: usize = 1;
/// `WhichSpace` of GetBusData: PCI configuration space.
const PCI_WHICHSPACE_CONFIG: u32 = 0;
/// Longer than any machine runs, in 100 ns.
const FOR_EVER: u64 = u64::MAX;

/// A reference to the bus driver's interface; dropping it gives the reference back.
pub struct BusInterface(BUS_INTERFACE_STANDARD);

impl BusInterface {
    /// Asks the bus driver. PASSIVE_LEVEL.
    ///
    /// # Errors
    /// `STATUS_NOT_SUPPORTED` from a bus without the interface (or with one that has no functions), whatever
    /// else a driver of the stack answers, `STATUS_INSUFFICIENT_RESOURCES`.
    ///
    /// # Safety
    /// `device` is a device object in the stack of a device of this driver, which is not removed meanwhile.
    pub unsafe fn query(device: *mut DEVICE_OBJECT) -> NtResult<Self> {
        let done = Event::try_new(Kind::Notification)?;
        // SAFETY: numbers, for which zero is a value.
        let mut status: IO_STATUS_BLOCK = unsafe { core::mem::zeroed() };
        let mut interface = MaybeUninit::<BUS_INTERFACE_STANDARD>::zeroed();
        // SAFETY: a live device object by contract. Event, status block and interface outlive the request,
        // for it is complete when this returns.
        let status = unsafe {
            let top = sys::IoGetAttachedDeviceReference(device);
            let irp = sys::IoBuildSynchronousFsdRequest(
                IRP_MJ_PNP,
                top,
                core::ptr::null_mut(),
                0,
                core::ptr::null_mut(),
                done.as_ptr(),
                &raw mut status,
            );
            let answer = if irp.is_null() {
                STATUS_INSUFFICIENT_RESOURCES
            } else {
                status_in(&raw mut (*irp).IoStatus).write(STATUS_NOT_SUPPORTED);
                let location = sys::IoGetNextIrpStackLocation(irp);
                (*location).MinorFunction = IRP_MN_QUERY_INTERFACE;
                // A union of structures for each kind of request; this one's has four words.
                (&raw mut (*location).Parameters).cast::<[usize; 4]>().write([
                    (&raw const GUID_BUS_INTERFACE_STANDARD).expose_provenance(),
                    size_of::<BUS_INTERFACE_STANDARD>() | VERSION << 16,
                    interface.as_mut_ptr().expose_provenance(),
                    0,
                ]);
                let answer = sys::IofCallDriver(top, irp);
                if answer == STATUS_PENDING {
                    // What it points to is in this frame: without a limit.
                    done.wait_100ns(FOR_EVER);
                    status_in(&raw mut status).read_volatile()
                } else {
                    answer
                }
            };
            sys::ObfDereferenceObject(top.cast());
            answer
        };
        if !nt_success(status) {
            return Err(status);
        }
        // SAFETY: zeroed, and filled by the bus driver: numbers and pointers.
        let interface = Self(unsafe { interface.assume_init() });
        if interface.0.GetBusData.is_none() {
            return Err(STATUS_NOT_SUPPORTED);
        }
        Ok(interface)
    }

    /// Reads configuration space from `offset` on; how many bytes there were. At most DISPATCH_LEVEL.
    pub fn read_config(&self, offset: u32, bytes: &mut [u8]) -> u32 {
        let (Some(read), Ok(length)) = (self.0.GetBusData, u32::try_from(bytes.len())) else { return 0 };
        // SAFETY: the bus driver's function with its context, while a reference is held; room for `length`
        // bytes.
        unsafe { read(self.0.Context, PCI_WHICHSPACE_CONFIG, bytes.as_mut_ptr().cast(), offset, length) }
    }
}

impl Drop for BusInterface {
    fn drop(&mut self) {
        if let Some(dereference) = self.0.InterfaceDereference {
            // SAFETY: the reference that the bus driver took for the answer, given back once.
            unsafe { dereference(self.0.Context) };
        }
    }
}

/// Where the status of a request is: the first member of the block, in C one of a union without a name.
fn status_in(block: *mut IO_STATUS_BLOCK) -> *mut sys::NTSTATUS {
    block.cast()
}

#[cfg(test)]
#[cfg(not(windows))]
mod tests {
    use super::*;
    use crate::host::{self, Bus};

    fn query() -> NtResult<BusInterface> {
        // SAFETY: the fakes don't look at the device.
        unsafe { BusInterface::query(core::ptr::null_mut()) }
    }

    #[test]
    fn configuration_space_is_read_and_the_reference_given_back() {
        for pending in [false, true] {
            host::set_bus(Bus { config: vec![0x34, 0x12, 0x57, 0x52], pending, ..Bus::default() });
            let bus = query().unwrap();
            assert_eq!(host::bus_references(), 1);
            let mut id = [0; 4];
            assert_eq!((bus.read_config(0, &mut id), id), (4, [0x34, 0x12, 0x57, 0x52]));
            assert_eq!(bus.read_config(2, &mut id), 2, "no more than there is");
            drop(bus);
            assert_eq!(host::bus_references(), 0);
        }
    }

    #[test]
    fn a_bus_without_the_interface_says_so() {
        host::set_bus(Bus { offered: false, ..Bus::default() });
        assert_eq!(query().err(), Some(STATUS_NOT_SUPPORTED));
        host::set_bus(Bus { without_functions: true, ..Bus::default() });
        assert_eq!(query().err(), Some(STATUS_NOT_SUPPORTED));
        assert_eq!(host::bus_references(), 0);
    }
}
