//! Two filters for each endpoint, and the connection between them.
//!
//! What is registered is unregistered when its value is dropped, in the order that WAVERT.md 1.3 asks for:
//! connection, wave, topology. That is for a start that fails. When the device goes everything stays
//! registered ([`Subdevices::leave_registered`]) and PortCls takes it away with the device, as under
//! Microsoft's samples.
//!
//! At a rebalance all of it is dropped in IAdapterPnpManagement::PnpStop. Doubt: what PortCls does with
//! subdevices at a STOP without PnpStop, of which no document speaks. So what was registered before such a
//! STOP is kept, and the START after it finds out: if PortCls refuses the new filters it still has the old
//! ones, which are unregistered then; if it takes them it has dropped the old ones itself.

use alloc::vec::Vec;

use nt::NtResult;
use nt::pool::try_push;
use nt::status::STATUS_INSUFFICIENT_RESOURCES;
use nt::sys::{DEVICE_OBJECT, IRP};
use portcls_sys::calls::port::{unregister_connection, unregister_subdevice};
use portcls_sys::guid::{CLSID_PortTopology, CLSID_PortWaveRT};
use portcls_sys::imports::{new_port, register_physical_connection, register_subdevice};
use portcls_sys::interfaces::IResourceList;
use portcls_sys::{Com, ComRef, GUID, IUnknown};

use super::constraints;
use crate::adapter::Adapter;
use crate::hw::{Direction, Endpoint, STREAMS_MAX};
use crate::names::{self, Names};
use crate::topology::{self, Listening, TopologyMiniport, wave_pin};
use crate::wave;
use crate::wave::Traced;
use crate::wave::descriptors::bridge_pin;

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

/// The registered filters of all endpoints.
#[derive(Default)]
pub struct Subdevices {
    endpoints: Vec<Filters>,
}

impl Subdevices {
    /// Installs both filters of every endpoint of the card and connects them. On failure nothing of it is
    /// left registered. `stale` are those of before a STOP. PASSIVE_LEVEL.
    ///
    /// # Safety
    /// `installation` is of this driver's FDO, being started; the result is dropped before the FDO goes.
    // Not inlined: what it has on the stack is gone when the rest of the start goes on.
    #[inline(never)]
    pub unsafe fn install(
        installation: &Installation<'_>,
        adapter: &Com<Adapter>,
        mut stale: Stale,
    ) -> NtResult<Self> {
        let mut endpoints = Vec::new();
        let (mut speakers, mut microphones) = (0, 0);
        for endpoint in (0..STREAMS_MAX).map_while(|stream| adapter.card().endpoint(stream)) {
            let number = match endpoint.direction {
                Direction::Render => &mut speakers,
                Direction::Capture => &mut microphones,
            };
            let names = names::endpoint(endpoint.direction, *number).ok_or(STATUS_INSUFFICIENT_RESOURCES)?;
            let topology = topology::new_miniport(adapter.clone(), endpoint, *number)?;
            *number = number.saturating_add(1);
            // SAFETY: by contract.
            let filters =
                unsafe { Filters::install(installation, adapter, endpoint, &topology, names, &mut stale)? };
            try_push(&mut endpoints, filters)?;
        }
        Ok(Self { endpoints })
    }

    /// No client is notified of jacks any more, and the miniports let go of their ports. PASSIVE_LEVEL.
    pub fn stop_listening(&mut self) {
        for filters in &mut self.endpoints {
            filters.listening = None;
            filters.traced = None;
        }
    }

    /// Gives the references to the ports back and leaves everything registered: PortCls takes it away with
    /// the device. PASSIVE_LEVEL.
    pub fn leave_registered(mut self) {
        for filters in &mut self.endpoints {
            filters.connection.registered = false;
            filters.wave.registered = false;
            filters.topology.registered = false;
        }
    }
}

/// What was registered before a STOP. Dropped without being asked for it is left to PortCls, which has taken
/// it away already.
#[derive(Default)]
pub struct Stale(Subdevices);

impl From<Subdevices> for Stale {
    fn from(subdevices: Subdevices) -> Self {
        Self(subdevices)
    }
}

impl Stale {
    /// Unregisters it, if there is something.
    fn unregister(&mut self) -> bool {
        let endpoints = core::mem::take(&mut self.0.endpoints);
        !endpoints.is_empty()
    }
}

impl Drop for Stale {
    fn drop(&mut self) {
        core::mem::take(&mut self.0).leave_registered();
    }
}

/// The registered filters of one endpoint and their connection. Fields are dropped in this order.
struct Filters {
    listening: Option<Listening>,
    traced: Option<Traced>,
    connection: Connection,
    wave: Subdevice,
    topology: Subdevice,
}

impl Filters {
    /// # Safety
    /// As [`Subdevices::install`].
    unsafe fn install(
        installation: &Installation<'_>,
        adapter: &Com<Adapter>,
        endpoint: Endpoint,
        topology: &Com<TopologyMiniport>,
        names: Names,
        stale: &mut Stale,
    ) -> NtResult<Self> {
        let unknown = adapter.to_unknown();
        // Before the port is bound: whatever fails from here on, the miniport lets go of its port.
        let listening = Listening::new(adapter.clone(), topology.clone());
        let (topology, miniport) = (topology.to_unknown(), topology);
        // SAFETY: by contract.
        unsafe {
            let mut install = |class, name, miniport| {
                Subdevice::install(installation, (class, name), miniport, &unknown, stale)
            };
            let topology = install(&CLSID_PortTopology, names.topology, &topology)?;
            let config = miniport.config();
            constraints::announce(
                installation.pdo,
                names.wave,
                endpoint.direction,
                config.both_modes,
                config.mode_period,
            );
            let wave = wave::new_miniport(adapter.clone(), endpoint, config)?;
            let (traced, wave) = (Traced::new(wave.clone()), wave.to_unknown());
            let wave = install(&CLSID_PortWaveRT, names.wave, &wave)?;
            let connection =
                Connection::register(installation.device, endpoint.direction, &wave.port, &topology.port)?;
            listening.start();
            Ok(Self { listening: Some(listening), traced: Some(traced), connection, wave, topology })
        }
    }
}

/// A registered filter, by its port.
struct Subdevice {
    device: *mut DEVICE_OBJECT,
    port: ComRef<IUnknown>,
    registered: bool,
}

// SAFETY: the device object is handed to PortCls only, which takes it from any thread.
unsafe impl Send for Subdevice {}

impl Subdevice {
    /// PcNewPort, IPort::Init, PcRegisterSubdevice. If there is one of the name still, from before a STOP,
    /// everything from before is unregistered and the new one registered again.
    ///
    /// # Safety
    /// As [`Subdevices::install`].
    unsafe fn install(
        installation: &Installation<'_>,
        (class, name): (&GUID, &'static [u16]),
        miniport: &ComRef<IUnknown>,
        adapter: &ComRef<IUnknown>,
        stale: &mut Stale,
    ) -> NtResult<Self> {
        let Installation { device, irp, resources, .. } = *installation;
        let port = new_port(class)?;
        // SAFETY: by contract.
        unsafe {
            port.bind(device, irp, miniport, Some(adapter), resources)?;
            let port = port.upcast();
            register_subdevice(device, name, &port).or_else(|status| {
                if !stale.unregister() {
                    return Err(status);
                }
                log::info!("the filters of before the stop were registered still: {status:#010x}");
                register_subdevice(device, name, &port)
            })?;
            Ok(Self { device, port, registered: true })
        }
    }
}

impl Drop for Subdevice {
    fn drop(&mut self) {
        if !self.registered {
            return;
        }
        // SAFETY: registered on this device, which is still there (contract of `Subdevices::install`).
        let result = unsafe { unregister_subdevice(self.device, &self.port) };
        if let Err(status) = result {
            // PortCls takes it away with the device, then.
            log::info!("a subdevice can't be unregistered: {status:#010x}");
        }
    }
}

/// The registered connection between the two filters: from wave to topology for speakers, the other way for a
/// microphone.
struct Connection {
    device: *mut DEVICE_OBJECT,
    from: (ComRef<IUnknown>, u32),
    to: (ComRef<IUnknown>, u32),
    registered: bool,
}

// SAFETY: as for `Subdevice`.
unsafe impl Send for Connection {}

impl Connection {
    /// # Safety
    /// As [`Subdevices::install`]; both ports are registered.
    unsafe fn register(
        device: *mut DEVICE_OBJECT,
        direction: Direction,
        wave: &ComRef<IUnknown>,
        topology: &ComRef<IUnknown>,
    ) -> NtResult<Self> {
        let wave = (wave.clone(), bridge_pin(direction));
        let topology = (topology.clone(), wave_pin(direction));
        let (from, to) = match direction {
            Direction::Render => (wave, topology),
            Direction::Capture => (topology, wave),
        };
        // SAFETY: by contract.
        unsafe { register_physical_connection(device, &from.0, from.1, &to.0, to.1)? };
        Ok(Self { device, from, to, registered: true })
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if !self.registered {
            return;
        }
        let (from, to) = (&self.from, &self.to);
        // SAFETY: registered on this device with these ends, and the device is still there.
        let result = unsafe { unregister_connection(self.device, &from.0, from.1, &to.0, to.1) };
        if let Err(status) = result {
            log::info!("the connection can't be unregistered: {status:#010x}");
        }
    }
}
