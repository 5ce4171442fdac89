//! The miniport of the topology filter: it describes the filter and knows what its clients know.

use core::sync::atomic::{AtomicBool, Ordering};

use nt::NtResult;
use nt::spinlock::SpinLock;
use nt::status::STATUS_NOT_IMPLEMENTED;
use portcls_sys::com::params::UnknownIn;
use portcls_sys::interfaces::{
    IMiniportPnpNotify, IMiniportTopology, IPortTopology, IResourceList, Miniport, MiniportPnpNotify,
    MiniportTopology, OutFormat,
};
use portcls_sys::ks::KSDATARANGE;
use portcls_sys::pc::PCFILTER_DESCRIPTOR;
use portcls_sys::{Com, ComIn, In, Out, com_class};

use super::events::Events;
use super::pins::jack_pin;
use crate::adapter::Adapter;
use crate::adapter::jacks::JackListener;
use crate::hw::Endpoint;
use crate::registry::RegistryConfig;

/// How often a jack is read that changes meanwhile.
const READS: usize = 4;

/// The miniport of the topology filter.
pub struct TopologyMiniport {
    adapter: Com<Adapter>,
    endpoint: Endpoint,
    filter: PCFILTER_DESCRIPTOR,
    /// What the registry asks for. Read in Init, which comes before anything that depends on it.
    config: SpinLock<RegistryConfig>,
    events: Events,
    /// Whether nothing was plugged in when the clients were last notified, or at first.
    unplugged: AtomicBool,
    /// The device has stopped for a rebalance: the filter that follows is another miniport's.
    stopped: AtomicBool,
}

com_class! {
    TopologyMiniport {
        0 => IMiniportTopology,
        1 => IMiniportPnpNotify,
    }
}

impl TopologyMiniport {
    /// The miniport of an endpoint of `adapter`, which describes `filter`.
    pub fn try_new(
        adapter: Com<Adapter>,
        endpoint: Endpoint,
        filter: PCFILTER_DESCRIPTOR,
    ) -> NtResult<Com<Self>> {
        let unplugged = adapter.card().unplugged(endpoint.stream).unwrap_or(false);
        let events = Events::default();
        let config = SpinLock::new(RegistryConfig::default());
        Com::try_new(Self {
            adapter,
            endpoint,
            filter,
            config,
            events,
            unplugged: AtomicBool::new(unplugged),
            stopped: AtomicBool::new(false),
        })
    }

    /// What it is the miniport of.
    pub const fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The adapter.
    pub fn adapter(&self) -> &Adapter {
        &self.adapter
    }

    /// What the registry asks for, of this filter and of the wave filter that belongs to it. After Init.
    pub fn config(&self) -> RegistryConfig {
        *self.config.lock()
    }

    /// How many channels the endpoint's default format has.
    pub fn channels(&self) -> u32 {
        self.config().default_format.channels(self.endpoint.direction, self.endpoint.can)
    }

    /// The subscribed clients.
    pub const fn events(&self) -> &Events {
        &self.events
    }

    /// Whether something is plugged in, as far as the card knows. Of a card in D3: as it was last seen. Of
    /// one that does not notice: always.
    pub fn connected(&self) -> bool {
        let unplugged = self.adapter.card().unplugged(self.endpoint.stream);
        !unplugged.unwrap_or_else(|| self.unplugged.load(Ordering::Acquire))
    }

    /// Notifies no client any more and gives the reference to the port back. PASSIVE_LEVEL.
    pub fn forget_port(&self) {
        self.events.close();
    }
}

impl JackListener for TopologyMiniport {
    /// Notifies the clients if the jack is not as they know it. Perhaps on two processors at the same time.
    fn jack_may_have_changed(&self) {
        // Once more after each change: it may have changed again, or another processor may have read an older
        // state.
        for _ in 0..READS {
            let Some(unplugged) = self.adapter.card().unplugged(self.endpoint.stream) else { return };
            if self.stopped.load(Ordering::Acquire) {
                return;
            }
            if self.unplugged.swap(unplugged, Ordering::AcqRel) == unplugged {
                return;
            }
            self.events.jack_changed(jack_pin(self.endpoint.direction));
        }
    }
}

impl MiniportPnpNotify for TopologyMiniport {
    /// With the device global lock held: nothing is waited for here, not even for the DPC. The port is given
    /// back when the filter is unregistered.
    fn pnp_stop(&self) {
        self.stopped.store(true, Ordering::Release);
    }
}

impl Miniport for TopologyMiniport {
    fn get_description(&self, description: Out<'_, *const PCFILTER_DESCRIPTOR>) -> NtResult {
        description.write(&raw const self.filter)
    }

    /// No pin that a client could open, so no format.
    fn data_range_intersection(
        &self,
        _pin: u32,
        _client: In<'_, KSDATARANGE>,
        _ours: In<'_, KSDATARANGE>,
        _format: OutFormat<'_>,
    ) -> NtResult {
        Err(STATUS_NOT_IMPLEMENTED)
    }
}

impl MiniportTopology for TopologyMiniport {
    /// Called by IPort::Init. Of the port only its events are kept. The device's registry key is reached
    /// through it too: the wave filter's description depends on that, and this port is the first that there
    /// is.
    fn init(
        &self,
        _adapter: UnknownIn<'_>,
        _resources: ComIn<'_, IResourceList>,
        port: ComIn<'_, IPortTopology>,
    ) -> NtResult {
        let port = port.require()?;
        self.events.open(&port);
        *self.config.lock() = RegistryConfig::read(&port.upcast());
        Ok(())
    }
}

/// A topology miniport whose filter is being registered, or is. When it is dropped (PASSIVE_LEVEL) no client
/// is notified any more, and the miniport has given back its reference to the port: the port has one to the
/// miniport, and neither would ever go.
pub struct Listening {
    adapter: Com<Adapter>,
    miniport: Com<TopologyMiniport>,
}

impl Listening {
    /// Not listening yet.
    pub const fn new(adapter: Com<Adapter>, miniport: Com<TopologyMiniport>) -> Self {
        Self { adapter, miniport }
    }

    /// From now on the clients are notified of changes of the jack.
    pub fn start(&self) {
        let stream = self.miniport.endpoint.stream;
        let miniport: &TopologyMiniport = &self.miniport;
        // SAFETY: the miniport does not move, and `drop` ends this before it lets go of it.
        unsafe { self.adapter.jacks().listen(stream, miniport) };
        self.adapter.card().watch_jack(stream);
        // What changed before.
        self.adapter.queue_dpc();
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.adapter.jacks().forget(self.miniport.endpoint.stream);
        // A DPC that found the miniport there has run when this returns.
        self.adapter.flush_dpcs();
        self.miniport.forget_port();
    }
}

#[cfg(test)]
mod tests;
