//! The C++ half of the ABI check (tests/abi/oracle.cpp), as Rust sees it: plain functions.
//!
//! With `oracle=1` the driver's port stream is a C++ object and every call of the client goes through a C++
//! virtual call, so that slot order, `this` and the hidden result pointer are clang's and not those of our
//! vtables.

use super::layout::{
    DrmRights, KsAudioPosition, KsAudioPresentationPosition, KsDataFormat, KsRtAudioHwLatency,
    KsRtAudioHwRegister,
};
use super::object::{self, Object};
use super::port_stream;
use super::vtable::This;
use crate::kernel::layout::Mdl;
use crate::kernel::{self, cfg};
use alloc::boxed::Box;
use alloc::vec;
use core::ffi::c_void;

/// `PageFunctions` of oracle.cpp.
#[repr(C)]
struct PageFunctions {
    context: This,
    add_ref: unsafe extern "win64" fn(This) -> u32,
    release: unsafe extern "win64" fn(This) -> u32,
    allocate: unsafe extern "win64" fn(This, u64, usize) -> *mut Mdl,
    allocate_contiguous: unsafe extern "win64" fn(This, u64, u64, usize) -> *mut Mdl,
    map: unsafe extern "win64" fn(This, *mut Mdl, u32) -> *mut u8,
    unmap: unsafe extern "win64" fn(This, *mut u8, *mut Mdl),
    free: unsafe extern "win64" fn(This, *mut Mdl),
    page_count: unsafe extern "win64" fn(This, *mut Mdl) -> u32,
    page_address: unsafe extern "win64" fn(This, *mut Mdl, u32) -> u64,
}

unsafe extern "win64" {
    fn oracle_port_calls() -> u32;
    fn oracle_client_calls() -> u32;
    fn oracle_port_stream_bytes() -> usize;
    fn oracle_port_stream(functions: *const PageFunctions, memory: *mut u128) -> This;
    fn oracle_page_address(port_stream: This, mdl: *mut Mdl, index: u32) -> u64;
    /// `IMiniportWaveRT::NewStream`.
    pub fn oracle_new_stream(
        miniport: This,
        out: *mut This,
        port_stream: This,
        pin: u32,
        capture: u8,
        format: *const KsDataFormat,
    ) -> i32;
    /// `SetState`.
    pub fn oracle_set_state(stream: This, state: u32) -> i32;
    /// `GetPosition`.
    pub fn oracle_get_position(stream: This, position: *mut KsAudioPosition) -> i32;
    /// `GetHWLatency`.
    pub fn oracle_get_hw_latency(stream: This, latency: *mut KsRtAudioHwLatency);
    /// `GetPositionRegister`.
    pub fn oracle_get_position_register(stream: This, register: *mut KsRtAudioHwRegister) -> i32;
    /// `GetClockRegister`.
    pub fn oracle_get_clock_register(stream: This, register: *mut KsRtAudioHwRegister) -> i32;
    /// `AllocateAudioBuffer`.
    pub fn oracle_allocate_audio_buffer(
        stream: This,
        size: u32,
        mdl: *mut *mut c_void,
        actual: *mut u32,
        offset: *mut u32,
        cache: *mut u32,
    ) -> i32;
    /// `FreeAudioBuffer`.
    pub fn oracle_free_audio_buffer(stream: This, mdl: *mut c_void, size: u32);
    /// `AllocateBufferWithNotification`.
    pub fn oracle_allocate_buffer(
        stream: This,
        count: u32,
        size: u32,
        mdl: *mut *mut c_void,
        actual: *mut u32,
        offset: *mut u32,
        cache: *mut u32,
    ) -> i32;
    /// `FreeBufferWithNotification`.
    pub fn oracle_free_buffer(stream: This, mdl: *mut c_void, size: u32);
    /// `RegisterNotificationEvent`.
    pub fn oracle_register_event(stream: This, event: *mut c_void) -> i32;
    /// `UnregisterNotificationEvent`.
    pub fn oracle_unregister_event(stream: This, event: *mut c_void) -> i32;
    /// `SetWritePacket`.
    pub fn oracle_set_write_packet(output: This, number: u32, flags: u32, length: u32) -> i32;
    /// `GetOutputStreamPresentationPosition`.
    pub fn oracle_get_presentation_position(output: This, position: *mut KsAudioPresentationPosition) -> i32;
    /// `GetPacketCount`.
    pub fn oracle_get_packet_count(output: This, count: *mut u32) -> i32;
    /// `IDrmAudioStream::SetContentId`.
    pub fn oracle_set_content_id(drm: This, content: u32, rights: *const DrmRights) -> i32;
    /// `IAdapterPnpManagement::GetSupportedRebalanceType`.
    pub fn oracle_get_supported_rebalance_type(management: This) -> u32;
    /// `IAdapterPnpManagement::PnpQueryStop`.
    pub fn oracle_pnp_query_stop(management: This);
    /// `IAdapterPnpManagement::PnpCancelStop`.
    pub fn oracle_pnp_cancel_stop(management: This);
    /// `IAdapterPnpManagement::PnpStop`.
    pub fn oracle_pnp_stop(management: This);
    /// `IMiniportPnpNotify::PnpStop`.
    pub fn oracle_miniport_pnp_stop(notify: This);
    /// `GetReadPacket`.
    pub fn oracle_get_read_packet(
        input: This,
        number: *mut u32,
        flags: *mut u32,
        counter: *mut u64,
        more: *mut i32,
    ) -> i32;
}

/// Whether the driver is called through C++.
pub fn is_on() -> bool {
    cfg::get_bool("oracle", false)
}

/// A C++ port stream that forwards to `port_stream`, whose references it shares. Like every object of ours
/// its memory is never freed.
pub fn port_stream(port_stream: &Object) -> This {
    let functions = PageFunctions {
        context: port_stream.this(),
        add_ref: object::UNKNOWN.add_ref,
        release: object::UNKNOWN.release,
        allocate: port_stream::allocate_pages,
        allocate_contiguous: port_stream::allocate_contiguous,
        map: port_stream::map,
        unmap: port_stream::unmap,
        free: port_stream::free,
        page_count: port_stream::page_count,
        page_address,
    };
    // SAFETY: a constant of the C++ side.
    let bytes = unsafe { oracle_port_stream_bytes() };
    let memory: &'static mut [u128] = Box::leak(vec![0u128; bytes.div_ceil(16)].into_boxed_slice());
    // SAFETY: a complete table, which the C++ side copies, and memory of the size and alignment it asked for,
    // ours for good.
    unsafe { oracle_port_stream(&raw const functions, memory.as_mut_ptr()) }
}

unsafe extern "win64" fn page_address(context: This, mdl: *mut Mdl, index: u32) -> u64 {
    port_stream::address_of(context, mdl, index)
}

/// That a C++ caller of our own Rust port stream gets the address we mean (rule `page-address-abi` if not).
pub fn check_page_address(port_stream: &Object, mdl: *mut Mdl) {
    let ours = port_stream::address_of(port_stream.this(), mdl, 0);
    // SAFETY: a live port stream of ours, called as a C++ driver would.
    let theirs = unsafe { oracle_page_address(port_stream.this(), mdl, 0) };
    if ours != theirs {
        kernel::violation(
            "page-address-abi",
            format_args!("C++ reads {theirs:#x} from our port stream, Rust {ours:#x}"),
        );
    }
}

/// With `oracle=1` the result line that proves that C++ was in the middle.
pub fn report_calls() {
    if is_on() {
        let (port, client) = calls();
        crate::kresult!("oracle_calls={} oracle_port_calls={port}", port.saturating_add(client));
    }
}

/// How often the driver called the C++ port stream, and the client the driver through C++.
pub fn calls() -> (u32, u32) {
    // SAFETY: two reads of counters.
    unsafe { (oracle_port_calls(), oracle_client_calls()) }
}
