//! Step 2 of a stream's life, and the end of it: the cyclic buffer comes and goes.

use nt::NtResult;
use nt::status::{STATUS_INVALID_PARAMETER, STATUS_UNSUCCESSFUL};
use nt::sys::{MDL, MEMORY_CACHING_TYPE};
use portcls_sys::Out;

use super::Stream;
use crate::hw::geometry::BufferGeometry;
use crate::wave::buffer::{Buffer, CACHE};

impl Stream {
    /// Makes the buffer: its MDL and length.
    pub(super) fn allocate(&self, packets: u32, requested: u32, notified: bool) -> NtResult<(*mut MDL, u32)> {
        let _transition = self.transitions.lock();
        if self.buffer.lock().is_some() {
            log::error!("a second cyclic buffer is asked for");
            return Err(STATUS_UNSUCCESSFUL);
        }
        let (card, limits, stream) = (self.card(), &self.endpoint.limits, self.lease.stream());
        let least = card.packet_frames_min(stream, self.format.rate);
        let geometry =
            BufferGeometry::for_request(requested, packets, self.format, least, limits.buffer_bytes_max)?;
        let buffer = Buffer::try_new(&self.port, geometry, limits, self.config.contiguous)?;
        card.attach(stream, &buffer, geometry.bytes)?;
        log::info!("stream {stream}: cyclic buffer of {} bytes, {packets} packet(s)", geometry.bytes);
        let mdl = buffer.mdl();
        {
            let mut shared = self.shared.lock();
            shared.geometry = Some(geometry);
            shared.fifo = self.fifo_frames(Some(geometry));
            shared.notified = notified;
        }
        *self.buffer.lock() = Some(buffer);
        Ok((mdl, geometry.bytes))
    }

    /// Depth of the card's FIFO with such a buffer, in frames; without one the most it can be.
    pub(super) fn fifo_frames(&self, geometry: Option<BufferGeometry>) -> u32 {
        self.card().fifo_frames(self.lease.stream(), self.format.rate, geometry.as_ref())
    }

    /// Frees the buffer. The card lets go of it first, whatever state the stream is in.
    pub(super) fn free(&self, mdl: *mut MDL) {
        let _transition = self.transitions.lock();
        let ours = self.buffer.lock().as_ref().map(Buffer::mdl);
        if ours.is_none() || (!mdl.is_null() && ours != Some(mdl)) {
            log::error!("a cyclic buffer is freed that is not there");
            return;
        }
        self.halt();
        {
            let mut shared = self.shared.lock();
            shared.geometry = None;
            shared.notified = false;
        }
        self.free_pages();
    }

    /// Frees the pages of the buffer, if there is one. The card is in STOP.
    pub(super) fn free_pages(&self) {
        let Some(buffer) = self.buffer.lock().take() else { return };
        if self.card().detach(self.lease.stream()) {
            // Here, where no lock is held: freeing is for PASSIVE_LEVEL.
            drop(buffer);
        } else {
            log::error!(
                "the card has not given back the cyclic buffer: its pages are lost until the next boot"
            );
            core::mem::forget(buffer);
        }
    }
}

/// The four results of an allocation.
pub(super) struct Allocated<'a> {
    /// The buffer's pages.
    pub(super) mdl: Out<'a, *mut MDL>,
    /// Its length in bytes.
    pub(super) actual: Out<'a, u32>,
    /// Of its first byte in its first page.
    pub(super) offset: Out<'a, u32>,
    /// How clients are to map it.
    pub(super) cache: Out<'a, MEMORY_CACHING_TYPE>,
}

impl Allocated<'_> {
    /// Reports what `allocate` does; nothing is allocated if there is no place to report it, and NULL is
    /// reported if it fails.
    pub(super) fn report(self, allocate: impl FnOnce() -> NtResult<(*mut MDL, u32)>) -> NtResult {
        if self.mdl.is_null() || self.actual.is_null() || self.offset.is_null() || self.cache.is_null() {
            return Err(STATUS_INVALID_PARAMETER);
        }
        let result = allocate();
        let (mdl, bytes) = result.unwrap_or((core::ptr::null_mut(), 0));
        self.mdl.write(mdl)?;
        self.actual.write(bytes)?;
        // The buffer begins at the first byte of its first page.
        self.offset.write(0)?;
        self.cache.write(CACHE.to_raw())?;
        result.map(|_| ())
    }
}
