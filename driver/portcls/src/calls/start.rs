//! From DriverEntry to registered filters without `unsafe`, for a driver that leaves PnP and power to
//! PortCls: [`audio_driver!`](crate::audio_driver) makes the entry points, [`StartingDevice`] registers
//! filters.
//!
//! PortCls takes subdevices and connections away with the device, as under Microsoft's samples. A driver that
//! hooks PnP requests or keeps its adapter in the device extension writes its entry points itself.
use crate::imports::{new_port, register_physical_connection, register_subdevice};
use crate::interfaces::IResourceList;
use crate::{ComRef, GUID, IUnknown};
use core::marker::PhantomData;
use nt::NtResult;
use nt::status::STATUS_INVALID_PARAMETER;
use nt::sys::{DEVICE_OBJECT, IRP};

/// A device that is being started: what PortCls hands to StartDevice, for the call. PASSIVE_LEVEL.
pub struct StartingDevice<'a> {
    device: *mut DEVICE_OBJECT,
    irp: *mut IRP,
    resources: ComRef<IResourceList>,
    lent: PhantomData<&'a mut DEVICE_OBJECT>,
}

/// A registered filter, by its port.
pub struct Filter(ComRef<IUnknown>);

impl StartingDevice<'_> {
    /// From StartDevice's arguments.
    ///
    /// # Errors
    /// `STATUS_INVALID_PARAMETER` without a resource list.
    ///
    /// # Safety
    /// They are those of a StartDevice routine, and the result is dropped before it returns.
    pub unsafe fn new(
        device: *mut DEVICE_OBJECT,
        irp: *mut IRP,
        resources: *mut IResourceList,
    ) -> NtResult<Self> {
        // SAFETY: lent by PortCls for the call.
        let resources = unsafe { ComRef::from_borrowed(resources) }.ok_or(STATUS_INVALID_PARAMETER)?;
        Ok(Self { device, irp, resources, lent: PhantomData })
    }

    /// What the device was given. A device without hardware has none, and an empty list.
    pub fn resources(&self) -> &ComRef<IResourceList> {
        &self.resources
    }

    /// Makes a port of a class ([`CLSID_PortWaveRT`](crate::guid::CLSID_PortWaveRT) ...), binds it to a
    /// miniport and registers it under the name that the INF has for it, a NUL-terminated constant
    /// ([`nt::wide!`]).
    ///
    /// # Errors
    /// Those of PcNewPort, IPort::Init and the miniport's Init, PcRegisterSubdevice.
    pub fn install(
        &self,
        class: &GUID,
        name: &'static [u16],
        miniport: &ComRef<IUnknown>,
    ) -> NtResult<Filter> {
        let port = new_port(class)?;
        // SAFETY: this driver's FDO, being started, and the START request.
        unsafe {
            port.bind(self.device, self.irp, miniport, None, &self.resources)?;
            let port = port.upcast();
            register_subdevice(self.device, name, &port)?;
            Ok(Filter(port))
        }
    }

    /// Connects output bridge pin `from.1` to input bridge pin `to.1`.
    ///
    /// # Errors
    /// Those of PcRegisterPhysicalConnection.
    pub fn connect(&self, from: (&Filter, u32), to: (&Filter, u32)) -> NtResult {
        // SAFETY: this driver's FDO; both are registered on it.
        unsafe { register_physical_connection(self.device, &from.0.0, from.1, &to.0.0, to.1) }
    }
}

/// The entry points of a driver: DriverEntry, which Windows finds, AddDevice and StartDevice, which PortCls
/// calls. `start` is a function from [`&StartingDevice`](StartingDevice) to [`NtResult`]; `filters` is how
/// many it registers at most.
///
/// ```ignore
/// portcls_sys::audio_driver! { start: start, filters: 2 }
/// ```
#[macro_export]
macro_rules! audio_driver {
    (start: $start:path, filters: $filters:expr) => {
        /// Windows calls it once, at PASSIVE_LEVEL, and throws its section away afterwards.
        ///
        /// # Safety
        /// The arguments are those of a driver's entry point.
        #[cfg_attr(windows, unsafe(no_mangle), unsafe(link_section = "INIT"))]
        #[allow(non_snake_case)]
        pub unsafe extern "system" fn DriverEntry(
            driver: *mut ::nt::sys::DRIVER_OBJECT,
            registry_path: *mut ::nt::sys::UNICODE_STRING,
        ) -> ::nt::NTSTATUS {
            unsafe extern "C" fn add_device(
                driver: *mut ::nt::sys::DRIVER_OBJECT,
                pdo: *mut ::nt::sys::DEVICE_OBJECT,
            ) -> ::nt::NTSTATUS {
                // SAFETY: handed on as they came; extension size 0 is PortCls' own.
                unsafe { $crate::imports::PcAddAdapterDevice(driver, pdo, Some(start_device), $filters, 0) }
            }
            unsafe extern "system" fn start_device(
                device: *mut ::nt::sys::DEVICE_OBJECT,
                irp: *mut ::nt::sys::IRP,
                resources: *mut $crate::interfaces::IResourceList,
            ) -> ::nt::NTSTATUS {
                let start: fn(&$crate::calls::StartingDevice<'_>) -> ::nt::NtResult = $start;
                // SAFETY: StartDevice's arguments, and the device does not leave this function.
                let device = unsafe { $crate::calls::StartingDevice::new(device, irp, resources) };
                match device.and_then(|device| start(&device)) {
                    Ok(()) => ::nt::status::STATUS_SUCCESS,
                    Err(status) => status,
                }
            }
            // SAFETY: handed on as they came.
            unsafe { $crate::imports::PcInitializeAdapterDriver(driver, registry_path, Some(add_device)) }
        }
    };
}
