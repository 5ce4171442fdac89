//! Event Tracing for Windows, through the WaveRT port.
use crate::com::interface::interface;
use crate::{ComClass, IUnknown};

/// `EPcMiniportEngineEvent`: the driver's own.
pub const eMINIPORT_IHV_DEFINED: i32 = 0;
/// `EPcMiniportEngineEvent`: a buffer is done.
pub const eMINIPORT_BUFFER_COMPLETE: i32 = 1;
/// `EPcMiniportEngineEvent`: a pin changes its state.
pub const eMINIPORT_PIN_STATE: i32 = 2;
/// `EPcMiniportEngineEvent`: a position was asked for.
pub const eMINIPORT_GET_STREAM_POSITION: i32 = 3;
/// `EPcMiniportEngineEvent`: a client wrote.
pub const eMINIPORT_SET_WAVERT_BUFFER_WRITE_POSITION: i32 = 4;
/// `EPcMiniportEngineEvent`: a presentation position was asked for.
pub const eMINIPORT_GET_PRESENTATION_POSITION: i32 = 5;
/// `EPcMiniportEngineEvent`: DMA was programmed.
pub const eMINIPORT_PROGRAM_DMA: i32 = 6;
/// `EPcMiniportEngineEvent`: the last buffer was rendered.
pub const eMINIPORT_LAST_BUFFER_RENDERED: i32 = 8;
/// `EPcMiniportEngineEvent`: the mode of a stream.
pub const eMINIPORT_PROCESSING_MODE: i32 = 9;
/// `EPcMiniportEngineEvent`: an effect of a stream.
pub const eMINIPORT_FX_CLSID: i32 = 10;
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
