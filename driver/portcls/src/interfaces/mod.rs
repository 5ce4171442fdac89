//! Every interface a WaveRT driver implements or calls, slot by slot (WAVERT.md 2.1, 2.2: the genuine
//! header's order).
//!
//! Each row makes a slot of the table, a trait method for those who implement it and a method on
//! [`ComRef`](crate::ComRef) for those who call it.
//!
//! **Levels and statuses** are those of the method's page in windows-driver-docs-ddi, `IInterface::Method`:
//! it is called at PASSIVE_LEVEL unless its row says otherwise; a status that a row does not name is "an
//! appropriate error" there. *Doubt*: the pages of the power interfaces and of offload name no level.
//!
//! **Left out**: what only ports other than WaveRT and topology have a use for (IDmaChannel,
//! IMusicTechnology, WavePci, WaveCyclic, MIDI, DMus), and the side-band interfaces of Bluetooth and USB,
//! whose headers are others.
pub mod adapter;
pub mod answers;
pub mod audio_engine;
pub mod drm;
pub mod etw;
pub mod miniport;
pub mod port;
pub mod port_services;
pub mod service_group;
pub mod stream;
pub mod support;

pub use adapter::*;
pub use answers::*;
pub use audio_engine::*;
pub use drm::*;
pub use etw::*;
pub use miniport::*;
pub use port::*;
pub use port_services::*;
pub use service_group::*;
pub use stream::*;
pub use support::*;

#[cfg(test)]
mod abi_tests;
#[cfg(test)]
mod tests;
