//! The two filters and the connection between them. What is registered is unregistered when its value is dropped, in the order
//! that wavert-facts 1.3 asks for: connection, wave, topology.

use nt::NtResult;
use nt::sys::{DEVICE_OBJECT, IRP};
use portcls_sys::calls::port::{unregister_connection, unregister_subdevice};
use portcls_sys::guid::{CLSID_PortTopology, CLSID_PortWaveRT};
use portcls_sys::imports::{new_port, register_physical_connection, register_subdevice};
use portcls_sys::interfaces::IResourceList;
use portcls_sys::{Com, ComRef, GUID, IUnknown};

use super::Adapter;
use crate::names;
use crate::topology::{self, TopologyMiniport};
use crate::wave::{WaveMiniport, descriptors};

/// What every step of an installation needs.
pub struct Installation<'a> {
    /// The FDO.
    pub device: *mut DEVICE_OBJECT,
    /// The physical device object below it.
    pub pdo: *mut DEVICE_OBJECT,
    /// The START request.
    pub irp: *mut IRP,
    /// The device's resources.
    pub resources: &'a ComRef<IResourceList>,
}

/// The registered filters and their connection. Fields are dropped in this order.
pub struct Subdevices {
    _connection: Connection,
    _wave: Subdevice,
    _topology: Subdevice,
}

impl Subdevices {
    /// Installs both filters and connects them. On failure nothing is left registered. PASSIVE_LEVEL.
    ///
    /// # Safety
    /// `installation` is of this driver's FDO, being started; the result is dropped before the FDO goes.
    pub unsafe fn install(installation: &Installation<'_>, adapter: &Com<Adapter>) -> NtResult<Self> {
        let unknown = adapter.to_unknown();
        let topology = TopologyMiniport::try_new()?.to_unknown();
        let wave = WaveMiniport::try_new(adapter.clone())?.to_unknown();
        // SAFETY: by contract.
        unsafe {
            let topology =
                Subdevice::install(installation, &CLSID_PortTopology, names::TOPOLOGY, &topology, &unknown)?;
            let wave = Subdevice::install(installation, &CLSID_PortWaveRT, names::WAVE, &wave, &unknown)?;
            let connection = Connection::register(installation.device, &wave.port, &topology.port)?;
            Ok(Self { _connection: connection, _wave: wave, _topology: topology })
        }
    }
}

/// A registered filter, by its port.
struct Subdevice {
    device: *mut DEVICE_OBJECT,
    port: ComRef<IUnknown>,
}

// SAFETY: the device object is handed to PortCls only, which takes it from any thread.
unsafe impl Send for Subdevice {}

impl Subdevice {
    /// PcNewPort, IPort::Init, PcRegisterSubdevice.
    ///
    /// # Safety
    /// As [`Subdevices::install`].
    unsafe fn install(
        installation: &Installation<'_>,
        class: &GUID,
        name: &'static [u16],
        miniport: &ComRef<IUnknown>,
        adapter: &ComRef<IUnknown>,
    ) -> NtResult<Self> {
        let Installation { device, irp, resources, .. } = *installation;
        let port = new_port(class)?;
        // SAFETY: by contract.
        unsafe {
            port.bind(device, irp, miniport, Some(adapter), resources)?;
            let port = port.upcast();
            register_subdevice(device, name, &port)?;
            Ok(Self { device, port })
        }
    }
}

impl Drop for Subdevice {
    fn drop(&mut self) {
        // SAFETY: registered on this device, which is still there (contract of `Subdevices::install`).
        let result = unsafe { unregister_subdevice(self.device, &self.port) };
        if let Err(status) = result {
            // PortCls takes it away with the device, then.
            log::info!("a subdevice can't be unregistered: {status:#010x}");
        }
    }
}

/// The registered connection from the wave filter's bridge pin to the topology filter's.
struct Connection {
    device: *mut DEVICE_OBJECT,
    wave: ComRef<IUnknown>,
    topology: ComRef<IUnknown>,
}

// SAFETY: as for `Subdevice`.
unsafe impl Send for Connection {}

impl Connection {
    /// # Safety
    /// As [`Subdevices::install`]; both ports are registered.
    unsafe fn register(
        device: *mut DEVICE_OBJECT,
        wave: &ComRef<IUnknown>,
        topology: &ComRef<IUnknown>,
    ) -> NtResult<Self> {
        // SAFETY: by contract.
        unsafe {
            register_physical_connection(
                device,
                wave,
                descriptors::PIN_BRIDGE,
                topology,
                topology::PIN_WAVE,
            )?;
        }
        Ok(Self { device, wave: wave.clone(), topology: topology.clone() })
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // SAFETY: registered on this device with these ends, and the device is still there.
        let result = unsafe {
            unregister_connection(
                self.device,
                &self.wave,
                descriptors::PIN_BRIDGE,
                &self.topology,
                topology::PIN_WAVE,
            )
        };
        if let Err(status) = result {
            log::info!("the connection can't be unregistered: {status:#010x}");
        }
    }
}
