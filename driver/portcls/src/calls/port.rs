//! Ports: binding a miniport, and taking a subdevice away again.
use crate::interfaces::{IPort, IResourceList, IUnregisterPhysicalConnection, IUnregisterSubdevice};
use crate::{ComIn, ComRef, IUnknown};
use nt::NtResult;
use nt::sys::{DEVICE_OBJECT, IRP};

impl ComRef<IPort> {
    /// Binds the port to a miniport of ours (`IPort::Init`). On failure the port is released and nothing is left.
    ///
    /// # Safety
    /// `device` is this adapter's FDO and `irp` the START request, or NULL.
    pub unsafe fn bind(
        &self,
        device: *mut DEVICE_OBJECT,
        irp: *mut IRP,
        miniport: &ComRef<IUnknown>,
        adapter: Option<&ComRef<IUnknown>>,
        resources: &ComRef<IResourceList>,
    ) -> NtResult {
        let adapter = adapter.map_or_else(ComIn::none, ComIn::new);
        // SAFETY: by contract; the objects are alive.
        unsafe { self.init(device, irp, ComIn::new(miniport), adapter, ComIn::new(resources)) }
    }
}

/// Takes a physical connection away. Before the subdevices, or they leak (wavert-facts 1.3).
///
/// # Safety
/// `device` is this adapter's FDO; the connection was registered with these ends.
pub unsafe fn unregister_connection(
    device: *mut DEVICE_OBJECT,
    from: &ComRef<IUnknown>,
    from_pin: u32,
    to: &ComRef<IUnknown>,
    to_pin: u32,
) -> NtResult {
    let unregister = from.query::<IUnregisterPhysicalConnection>()?;
    // SAFETY: by contract.
    unsafe {
        unregister.unregister_physical_connection(device, ComIn::new(from), from_pin, ComIn::new(to), to_pin)
    }
}

/// Takes a subdevice away.
///
/// # Safety
/// `device` is this adapter's FDO; `port` was registered on it.
pub unsafe fn unregister_subdevice(device: *mut DEVICE_OBJECT, port: &ComRef<IUnknown>) -> NtResult {
    let unregister = port.query::<IUnregisterSubdevice>()?;
    // SAFETY: by contract.
    unsafe { unregister.unregister_subdevice(device, ComIn::new(port)) }
}
