//! The names that the driver and its INF must spell alike, in one place.

use nt::wide;

/// Name of the wave subdevice: the third field of `AddInterface` in the INF, and the KS reference string. PortCls keeps the
/// pointer, so it is static.
pub static WAVE: &[u16] = wide!("Wave");
/// Name of the topology subdevice.
pub static TOPOLOGY: &[u16] = wide!("Topology");

/// `REG_DWORD` under the device's hardware key: 1 asks for a physically contiguous cyclic buffer instead of scatter-gather.
pub static CONTIGUOUS_BUFFER: &[u16] = wide!("ContiguousBuffer");
