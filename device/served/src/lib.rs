//! A sound card that is being served, whatever its bus: what its I/O worker gets besides sound ([`records`]),
//! what the statistics of its streams are ([`stats`]), and what the host asks of it ([`HostRequests`]).

pub mod host_requests;
pub mod records;
pub mod stats;

pub use host_requests::{HostRequestError, HostRequests, lock_soon};
