//! Event Tracing for Windows, through the WaveRT port.
use crate::com::interface::interface;
use crate::{ComClass, IUnknown};

/// `EPcMiniportEngineEvent`: something went wrong that can be heard. Parameters (page of the enumeration):
/// linear position, write position, `GLITCH_*`, and for one of these the offending write position.
pub const eMINIPORT_GLITCH_REPORT: i32 = 7;
/// The WaveRT buffer ran under.
pub const GLITCH_UNDERRUN: u64 = 1;

interface! {
    /// Found by `query` on a WaveRT port, from Windows 8 on.
    IPortClsEtwHelper: IUnknown, "80EF6667-E8B1-4252-AB09-8F6D5EBBD19F", implemented as PortClsEtwHelper: ComClass, table IPortClsEtwHelperVtbl {
        /// Traces an event, `eMINIPORT_*`.
        3 MiniportWriteEtwEvent as miniport_write_etw_event(event: i32, data1: u64, data2: u64, data3: u64, data4: u64) -> status;
    }
}
