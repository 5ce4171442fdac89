//! The WaveRT subdevice: its filter, its miniport, and the stream that a client opens.

pub mod buffer;
pub mod descriptors;
#[cfg(test)]
pub mod fake_port;
pub mod format;
pub mod miniport;
pub mod modes;
pub mod notifications;
pub mod packets;
pub mod position;
pub mod progress;
pub mod proposals;
pub mod ranges;
pub mod reads;
pub mod stream;

pub use miniport::WaveMiniport;
