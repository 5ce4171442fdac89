//! The topology subdevice: from the wave filter to the jack (or back), through volume and mute. WAVERT.md 5.3.
//!
//! | file | what |
//! |---|---|
//! | [`filter`] | the filter as PortCls and the endpoint builder see it |
//! | [`controls`] | volume and mute: the properties of the nodes |
//! | [`jack`] | what is plugged in: properties of the filter |
//! | [`events`] | who wants to know when one of them changes |
//!
//! A card without volumes (`--no-volume`) gets a filter without nodes: a control that Windows turns and nobody hears is worse than none
//! (WAVERT.md 5.7). Windows does both in software, then.

pub mod controls;
pub mod events;
pub mod filter;
pub mod jack;

#[cfg(test)]
pub(crate) mod rig;

use core::ffi::c_void;
use core::sync::atomic::{AtomicBool, Ordering};

use nt::NtResult;
use nt::spinlock::SpinLock;
use nt::status::STATUS_NOT_IMPLEMENTED;
use portcls_sys::com::params::UnknownIn;
use portcls_sys::interfaces::{IMiniportTopology, IPortTopology, IResourceList, Miniport, MiniportTopology};
use portcls_sys::ks::KSDATARANGE;
use portcls_sys::pc::PCFILTER_DESCRIPTOR;
use portcls_sys::{Com, ComIn, In, Out, com_class};

pub use filter::wave_pin;

use crate::adapter::Adapter;
use crate::hw::Endpoint;
use crate::registry::Wishes;
use events::Events;

/// The most looks at a jack that changes while it is looked at.
const LOOKS: usize = 4;

/// The miniport of the topology filter.
pub struct TopologyMiniport {
    adapter: Com<Adapter>,
    endpoint: Endpoint,
    filter: PCFILTER_DESCRIPTOR,
    /// What the registry asks for. Read in Init, which comes before anything that depends on it.
    wishes: SpinLock<Wishes>,
    events: Events,
    /// Whether nothing was plugged in when the clients were last told, or asked before that.
    unplugged: AtomicBool,
}

com_class! {
    TopologyMiniport {
        0 => IMiniportTopology,
    }
}

impl TopologyMiniport {
    /// The miniport of an endpoint of `adapter`, which is number `number` (from 0) of its direction.
    pub fn try_new(adapter: Com<Adapter>, endpoint: Endpoint, number: usize) -> NtResult<Com<Self>> {
        let unplugged = adapter.card().unplugged(endpoint.stream).unwrap_or(false);
        let filter = filter::describe(endpoint.direction, number, endpoint.limits);
        let events = Events::default();
        let wishes = SpinLock::new(Wishes::default());
        Com::try_new(Self {
            adapter,
            endpoint,
            filter,
            wishes,
            events,
            unplugged: AtomicBool::new(unplugged),
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
    pub fn wishes(&self) -> Wishes {
        *self.wishes.lock()
    }

    /// How many channels the endpoint's default format has.
    pub fn channels(&self) -> u32 {
        self.wishes().default_format.channels(self.endpoint.direction, self.endpoint.can)
    }

    /// Who wants to know.
    pub const fn events(&self) -> &Events {
        &self.events
    }

    /// Whether something is plugged in, as far as the card knows. Of a card in D3: as it was last seen. Of one that does not notice: always.
    pub fn connected(&self) -> bool {
        let unplugged = self.adapter.card().unplugged(self.endpoint.stream);
        !unplugged.unwrap_or_else(|| self.unplugged.load(Ordering::Acquire))
    }

    /// From the DPC, at DISPATCH_LEVEL, and perhaps from another processor's at the same time: tells the clients if the jack is not as they were told.
    pub fn look_at_jack(&self) {
        // Once more after each change: it may have changed again, or another processor may have been told an older look.
        for _ in 0..LOOKS {
            let Some(unplugged) = self.adapter.card().unplugged(self.endpoint.stream) else { return };
            if self.unplugged.swap(unplugged, Ordering::AcqRel) == unplugged {
                return;
            }
            self.events.jack_changed(filter::jack_pin(self.endpoint.direction));
        }
    }

    /// Tells no client any more and gives the reference to the port back. PASSIVE_LEVEL.
    pub fn forget_port(&self) {
        self.events.close();
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
        _length: u32,
        _format: *mut c_void,
        _format_length: Out<'_, u32>,
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
        *self.wishes.lock() = Wishes::read(&port.upcast());
        Ok(())
    }
}

#[cfg(test)]
mod tests;
