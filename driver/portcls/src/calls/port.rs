//! Ports: binding a miniport, and taking a subdevice away again.
use crate::interfaces::{IPort, IResourceList, IUnregisterPhysicalConnection, IUnregisterSubdevice};
use crate::{ComIn, ComRef, IUnknown};
use nt::NtResult;
use nt::status::STATUS_NOT_IMPLEMENTED;
use nt::sys::{DEVICE_OBJECT, IRP};

impl ComRef<IPort> {
    /// Binds the port to a miniport of ours (`IPort::Init`). On failure the port is released and nothing is
    /// left.
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

/// Takes a physical connection away. Before the subdevices, or they leak (WAVERT.md 1.3). A port that
/// answers STATUS_NOT_IMPLEMENTED, as those of a free NT-like system do, keeps no account of connections and
/// loses them with the subdevices: that is no error.
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
    let result = unsafe {
        unregister.unregister_physical_connection(device, ComIn::new(from), from_pin, ComIn::new(to), to_pin)
    };
    if result == Err(STATUS_NOT_IMPLEMENTED) { Ok(()) } else { result }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interfaces::UnregisterPhysicalConnection;
    use crate::{Com, com_class};
    use nt::status::{STATUS_INVALID_PARAMETER, STATUS_NOINTERFACE, STATUS_NOT_SUPPORTED};
    use nt::sys::UNICODE_STRING;

    /// A port that answers so, if it can be asked at all.
    struct Port(NtResult, bool);
    com_class! {
        Port {
            0 => IUnregisterSubdevice,
            1 => IUnregisterPhysicalConnection if |port| port.1,
        }
    }
    impl crate::interfaces::UnregisterSubdevice for Port {
        fn unregister_subdevice(&self, _: *mut DEVICE_OBJECT, _: ComIn<'_, IUnknown>) -> NtResult {
            self.0
        }
    }
    impl UnregisterPhysicalConnection for Port {
        fn unregister_physical_connection(
            &self,
            _: *mut DEVICE_OBJECT,
            from: ComIn<'_, IUnknown>,
            from_pin: u32,
            to: ComIn<'_, IUnknown>,
            to_pin: u32,
        ) -> NtResult {
            assert!(from.to_ref().is_some() && to.to_ref().is_some());
            assert_eq!((from_pin, to_pin), (1, 0));
            self.0
        }
        fn unregister_physical_connection_to_external(
            &self,
            _: *mut DEVICE_OBJECT,
            _: ComIn<'_, IUnknown>,
            _: u32,
            _: *mut UNICODE_STRING,
            _: u32,
        ) -> NtResult {
            Err(STATUS_NOT_SUPPORTED)
        }
        fn unregister_physical_connection_from_external(
            &self,
            _: *mut DEVICE_OBJECT,
            _: *mut UNICODE_STRING,
            _: u32,
            _: ComIn<'_, IUnknown>,
            _: u32,
        ) -> NtResult {
            Err(STATUS_NOT_SUPPORTED)
        }
    }

    #[test]
    fn a_port_that_keeps_no_account_of_connections_is_no_error() {
        let unregister = |answer, asked| {
            let port = Com::try_new(Port(answer, asked)).unwrap().to_unknown();
            // SAFETY: the fake touches no device.
            unsafe { unregister_connection(core::ptr::null_mut(), &port, 1, &port, 0) }
        };
        assert_eq!(unregister(Ok(()), true), Ok(()));
        assert_eq!(unregister(Err(STATUS_NOT_IMPLEMENTED), true), Ok(()));
        assert_eq!(unregister(Err(STATUS_INVALID_PARAMETER), true), Err(STATUS_INVALID_PARAMETER));
        assert_eq!(unregister(Ok(()), false), Err(STATUS_NOINTERFACE));
    }
}
