//! The WaveRT subdevice: its filter, its miniport, and the stream that a client opens.

pub mod buffer;
pub mod descriptors;
#[cfg(any(test, feature = "hostile-card"))]
pub mod fake_port;
pub mod format;
pub mod miniport;
pub mod modes;
pub mod packets;
pub mod position;
pub mod progress;
pub mod proposals;
pub mod ranges;
pub mod reads;
pub mod stream;

use nt::NtResult;
use portcls_sys::Com;

use crate::adapter::Adapter;
use crate::hw::Endpoint;
use crate::registry::RegistryConfig;
pub use miniport::{Traced, WaveMiniport};

/// The miniport of an endpoint of `adapter`, with the filter that it describes.
///
/// # Errors
/// `STATUS_INSUFFICIENT_RESOURCES`.
pub fn new_miniport(
    adapter: Com<Adapter>,
    endpoint: Endpoint,
    config: RegistryConfig,
) -> NtResult<Com<WaveMiniport>> {
    let modes = modes::listed(endpoint.direction, config.both_modes);
    let default = &config.default_format;
    let filter = descriptors::WaveFilter::try_new(&endpoint, default, modes.len(), &proposals::AUTOMATION)?;
    WaveMiniport::try_new(adapter, endpoint, config, filter)
}
