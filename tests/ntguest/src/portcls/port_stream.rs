//! `IPortWaveRTStream`: where a stream gets its pages from (WAVERT.md 3).
//!
//! `GetPhysicalPageAddress` has the hidden result pointer of the Microsoft C++ ABI. A caller that knows only
//! the plain form puts the MDL where the result pointer belongs; that is seen (rule `page-address-abi`)
//! instead of writing over the MDL. With `oracle=1` the driver gets a C++ object (tests/abi) that forwards to
//! the functions here.

use super::fault::{self, Fault};
use super::guid::IID_PORT_WAVE_RT_STREAM;
use super::object::{self, Body, Interface, Object};
use super::vtable::{This, Unknown};
use crate::kernel::harsh::harsh_violation;
use crate::kernel::layout::Mdl;
use crate::kernel::sync::IrqLock;
use crate::kernel::{self, inject, irql, pages, phys};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ptr;
use core::sync::atomic::{AtomicBool, Ordering};

const PAGE: usize = 4096;
const OWNER: &str = "IPortWaveRTStream";
/// What is in every byte of a new page.
const OLD_DATA: u8 = 0x2b;
/// More than this is not to be had: Windows would give less or nothing too, and ntguest needs the rest
/// itself.
const MOST: usize = 64 << 20;

#[repr(C)]
struct Vtable {
    unknown: Unknown,
    allocate_pages: unsafe extern "win64" fn(This, u64, usize) -> *mut Mdl,
    allocate_contiguous: unsafe extern "win64" fn(This, u64, u64, usize) -> *mut Mdl,
    map: unsafe extern "win64" fn(This, *mut Mdl, u32) -> *mut u8,
    unmap: unsafe extern "win64" fn(This, *mut u8, *mut Mdl),
    free: unsafe extern "win64" fn(This, *mut Mdl),
    page_count: unsafe extern "win64" fn(This, *mut Mdl) -> u32,
    page_address: unsafe extern "win64" fn(This, *mut u64, *mut Mdl, u32) -> *mut u64,
}

static VTABLE: Vtable = Vtable {
    unknown: object::UNKNOWN,
    allocate_pages,
    allocate_contiguous,
    map,
    unmap,
    free,
    page_count,
    page_address,
};

/// The pages one stream has.
struct PortStream {
    live: IrqLock<Vec<*mut Mdl>>,
    swallowed: AtomicBool,
}

impl Body for PortStream {
    fn destroyed(&self) {
        let left = self.live.lock().len();
        if left > 0 {
            kernel::violation(
                "port-stream-pages",
                format_args!("the port stream goes and {left} MDL(s) of it were never freed"),
            );
        }
    }
}

/// A new port stream with one reference.
pub fn create() -> &'static Object {
    let body = PortStream { live: IrqLock::new(Vec::new()), swallowed: AtomicBool::new(false) };
    let interface = Interface { iids: &[IID_PORT_WAVE_RT_STREAM], vtable: (&raw const VTABLE).cast() };
    object::create(OWNER, Box::new(body), &[interface])
}

fn enter(this: This, method: &'static str) -> Option<&'static PortStream> {
    irql::require(method, irql::PASSIVE);
    object::find_body(this, method).map(|(_, body)| body)
}

/// A live MDL of this very stream; anything else is reported.
fn own(stream: &PortStream, mdl: *mut Mdl, method: &str) -> bool {
    let mine = stream.live.lock().contains(&mdl);
    if !mine {
        kernel::violation(
            "mdl-unknown",
            format_args!("{method}: {mdl:p} is no live MDL of this stream, {}", object::lately()),
        );
    }
    mine
}

/// Takes new pages into the stream's care. What they hold is somebody's old data: the interface promises no
/// zeroes (its page says so of neither method), and what a driver does not clear would be heard.
fn keep(stream: &PortStream, mdl: *mut Mdl) -> *mut Mdl {
    if !mdl.is_null() {
        for page in 0..pages::page_count(mdl) {
            phys::fill(pages::page_address(mdl, page), OLD_DATA);
        }
        stream.live.lock().push(mdl);
    }
    mdl
}

/// A cyclic buffer as its client sees it first: old data in it is heard until the client wrote all of it
/// (rule `buffer-cleared`, harsher than Windows: samples leave it to the client).
pub fn check_cleared(mdl: *mut Mdl, offset: u32, bytes: u32) {
    let view = pages::user_view(mdl);
    let (offset, bytes) = (offset as usize, bytes as usize);
    if view.is_null() || offset.saturating_add(bytes) > pages::byte_count(mdl) as usize {
        return;
    }
    if fault::make(Fault::Uncleared) {
        phys::fill(pages::page_address(mdl, 0), OLD_DATA);
    }
    // SAFETY: the client's own mapping of all pages of the MDL, inside its byte count; neither card nor
    // client writes there yet.
    let buffer = unsafe { core::slice::from_raw_parts(view.add(offset), bytes) };
    if let Some(at) = buffer.iter().position(|byte| *byte != 0) {
        harsh_violation(
            "buffer-cleared",
            format_args!("byte {at} of a new cyclic buffer of {bytes} is {:#x}", buffer[at]),
        );
    }
}

/// The highest address that pages may have: what the driver says, unless the run asks for the fault of not
/// listening.
fn highest_address(high: u64) -> u64 {
    if fault::make(Fault::HighPages) { u64::MAX } else { high }
}

/// Slot 3. The high address is the last one the card can reach.
pub unsafe extern "win64" fn allocate_pages(this: This, high: u64, bytes: usize) -> *mut Mdl {
    const METHOD: &str = "IPortWaveRTStream::AllocatePagesForMdl";
    let Some(stream) = enter(this, METHOD) else { return ptr::null_mut() };
    if bytes == 0 {
        kernel::violation("zero-bytes", format_args!("{METHOD} of nothing, {}", object::lately()));
        return ptr::null_mut();
    }
    if bytes > MOST {
        crate::kprintln!("{METHOD}: {bytes} bytes are not to be had");
        return ptr::null_mut();
    }
    if fault::make(Fault::NullMdl) {
        crate::kprintln!("fault null-mdl: {bytes} bytes are not to be had");
        return ptr::null_mut();
    }
    if inject::ALLOCATE_PAGES.fails().is_some() {
        return ptr::null_mut();
    }
    let high = highest_address(high);
    let wanted = fault::wanted(Fault::ShortMdl);
    let short = bytes > PAGE && (wanted || inject::SHORT_PAGES.fails().is_some());
    let given = if short { bytes.div_ceil(PAGE) / 2 * PAGE } else { bytes };
    if short {
        if wanted {
            fault::made();
        }
        crate::kprintln!("{given} of {bytes} bytes are given");
    }
    keep(stream, pages::alloc_pages(0, high, given, OWNER))
}

/// Slot 4.
pub unsafe extern "win64" fn allocate_contiguous(this: This, low: u64, high: u64, bytes: usize) -> *mut Mdl {
    const METHOD: &str = "IPortWaveRTStream::AllocateContiguousPagesForMdl";
    let Some(stream) = enter(this, METHOD) else { return ptr::null_mut() };
    if bytes == 0 || low > high {
        kernel::violation(
            "zero-bytes",
            format_args!("{METHOD} of {bytes} bytes in {low:#x}..{high:#x}, {}", object::lately()),
        );
        return ptr::null_mut();
    }
    if inject::CONTIGUOUS_PAGES.fails().is_some() {
        return ptr::null_mut();
    }
    let refused = fault::wanted(Fault::NoContiguous);
    if refused {
        fault::made();
    }
    let one_page = bytes <= PAGE && fault::make(Fault::NoContiguousPage);
    if refused || one_page || bytes > MOST {
        crate::kprintln!("{METHOD}: {bytes} bytes are not to be had");
        return ptr::null_mut();
    }
    if bytes > PAGE && fault::make(Fault::ContiguousGap) {
        crate::kprintln!("fault contiguous-gap: {bytes} bytes in pages that do not lie side by side");
        return keep(stream, pages::alloc_pages(low, highest_address(high), bytes, OWNER));
    }
    keep(stream, pages::alloc_contiguous(low, highest_address(high), bytes, OWNER))
}

/// Slot 5.
pub unsafe extern "win64" fn map(this: This, mdl: *mut Mdl, cache: u32) -> *mut u8 {
    const METHOD: &str = "IPortWaveRTStream::MapAllocatedPages";
    let Some(stream) = enter(this, METHOD) else { return ptr::null_mut() };
    if !own(stream, mdl, METHOD) {
        return ptr::null_mut();
    }
    if inject::MAP_PAGES.fails().is_some() {
        return ptr::null_mut();
    }
    if fault::wanted(Fault::NullMap) {
        fault::made();
        crate::kprintln!("fault null-map: a mapping is refused");
        return ptr::null_mut();
    }
    pages::map(mdl, cache)
}

/// Slot 6.
pub unsafe extern "win64" fn unmap(this: This, base: *mut u8, mdl: *mut Mdl) {
    const METHOD: &str = "IPortWaveRTStream::UnmapAllocatedPages";
    if enter(this, METHOD).is_some_and(|stream| own(stream, mdl, METHOD)) {
        pages::unmap(base, mdl);
    }
}

/// Slot 7. Order (unmap first) and double frees are reported by the page allocator, which knows more than
/// this stream.
pub unsafe extern "win64" fn free(this: This, mdl: *mut Mdl) {
    const METHOD: &str = "IPortWaveRTStream::FreePagesFromMdl";
    let Some(stream) = enter(this, METHOD) else { return };
    if fault::wanted(Fault::SwallowFree) && !stream.swallowed.swap(true, Ordering::Relaxed) {
        fault::made();
        crate::kprintln!("fault swallow-free: {mdl:p} stays allocated");
        return;
    }
    stream.live.lock().retain(|live| *live != mdl);
    pages::free(mdl);
}

/// Slot 8.
pub unsafe extern "win64" fn page_count(this: This, mdl: *mut Mdl) -> u32 {
    const METHOD: &str = "IPortWaveRTStream::GetPhysicalPagesCount";
    if enter(this, METHOD).is_some_and(|stream| own(stream, mdl, METHOD)) {
        pages::page_count(mdl)
    } else {
        0
    }
}

/// The address of a page, without the ABI around it; an index out of range is reported and gives 0.
pub fn address_of(this: This, mdl: *mut Mdl, index: u32) -> u64 {
    const METHOD: &str = "IPortWaveRTStream::GetPhysicalPageAddress";
    let Some(stream) = enter(this, METHOD) else { return 0 };
    if !own(stream, mdl, METHOD) {
        return 0;
    }
    let count = pages::page_count(mdl);
    if index >= count {
        kernel::violation(
            "page-index",
            format_args!("{METHOD}: page {index} of {count}, {}", object::lately()),
        );
        return 0;
    }
    let given = if fault::wanted(Fault::SwapPages) { fault::swapped(index, count) } else { index };
    if given != index {
        fault::made();
    }
    pages::page_address(mdl, given)
}

/// Slot 9: the result goes through a hidden pointer, which is also what is returned (WAVERT.md 2.3).
unsafe extern "win64" fn page_address(this: This, result: *mut u64, mdl: *mut Mdl, index: u32) -> *mut u64 {
    if result.is_null() || pages::is_live(result.cast()) {
        kernel::violation(
            "page-address-abi",
            format_args!(
                "GetPhysicalPageAddress called without the hidden result pointer (rdx={result:p}), {}",
                object::lately()
            ),
        );
        return ptr::null_mut();
    }
    let address = address_of(this, mdl, index);
    // SAFETY: not null and no MDL; by the ABI it is the caller's 8 bytes for the result.
    unsafe { result.write_unaligned(address) };
    result
}
