//! The topology subdevice: from the wave filter to the jack (or back), through volume and mute. WAVERT.md
//! 5.3.
//!
//! | file | what |
//! |---|---|
//! | [`filter`] | the filter as PortCls and the endpoint builder see it |
//! | [`pins`] | the numbers of its pins and nodes |
//! | [`miniport`] | the miniport, and what keeps it registered |
//! | [`controls`] | volume and mute: the properties of the nodes |
//! | [`jack`] | what is plugged in: properties of the filter |
//! | [`events`] | the port's list of clients that subscribed to changes |
//! | [`event_requests`] | how clients get into that list |
//!
//! A card without volumes (`--no-volume`) gets a filter without nodes: a control without effect is worse than
//! none (WAVERT.md 5.7). Windows does both in software, then.

pub mod controls;
pub mod event_requests;
pub mod events;
pub mod filter;
#[cfg(test)]
pub(crate) mod fixture;
pub mod jack;
pub mod miniport;
pub mod pins;

use nt::NtResult;
use portcls_sys::Com;

use crate::adapter::Adapter;
use crate::hw::Endpoint;
pub use miniport::{Listening, TopologyMiniport};
pub use pins::wave_pin;

/// The miniport of an endpoint of `adapter`, which is number `number` (from 0) of its direction, with the
/// filter that it describes.
///
/// # Errors
/// `STATUS_INSUFFICIENT_RESOURCES`.
pub fn new_miniport(
    adapter: Com<Adapter>,
    endpoint: Endpoint,
    number: usize,
) -> NtResult<Com<TopologyMiniport>> {
    let filter = filter::describe(endpoint.direction, number, endpoint.limits);
    TopologyMiniport::try_new(adapter, endpoint, filter)
}
