//! What a driver holds of kernel and PortCls at a moment, to be compared with another.

use crate::kernel::{self, bus, dpc, handle, interrupt, memory, pages, pool, timer, work};
use crate::portcls::{adapter, object, stream_resource, subdevice};

/// What a driver can hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HeldResources {
    /// Of pool.
    pub pool_bytes: usize,
    pool_blocks: usize,
    mdls: usize,
    mapped: usize,
    contiguous: usize,
    io_maps: usize,
    /// To objects of PortCls.
    pub references: u64,
    events: usize,
    handles: usize,
    bus_interfaces: usize,
    timers: usize,
    dpcs: usize,
    work_items: usize,
    interrupts: usize,
    subdevices: usize,
    connections: usize,
    managements: usize,
    stream_resources: usize,
}

impl HeldResources {
    /// Now.
    pub fn read() -> Self {
        let (pool_blocks, pool_bytes) = pool::held();
        let (io_maps, contiguous) = memory::held();
        let (subdevices, connections) = subdevice::held();
        let mdls = pages::live_mdls();
        Self {
            pool_bytes,
            pool_blocks,
            mdls: mdls.len(),
            mapped: mdls.iter().filter(|mdl| mdl.mapped).count(),
            contiguous,
            io_maps,
            references: object::references(),
            events: kernel::event_references(),
            handles: handle::open(),
            bus_interfaces: bus::references(),
            timers: timer::set() + timer::ex_live(),
            dpcs: dpc::queued(),
            work_items: work::live(),
            interrupts: interrupt::connected(),
            subdevices,
            connections,
            managements: adapter::managements(),
            stream_resources: stream_resource::held(),
        }
    }

    /// Whether nothing is registered with PortCls or connected: what a start that failed leaves.
    pub fn nothing_registered(&self) -> bool {
        (self.interrupts, self.subdevices, self.connections, self.managements, self.stream_resources)
            == (0, 0, 0, 0, 0)
    }
}
