//! Answers whose place and room are two arguments of a method: one value for the miniport, which writes there
//! without `unsafe` and by the protocol of sizes that the method's page has.
use crate::{GUID, InOut, Out};
use core::ffi::c_void;
use core::marker::PhantomData;
use core::ptr::NonNull;
use nt::NtResult;
use nt::status::{STATUS_BUFFER_OVERFLOW, STATUS_BUFFER_TOO_SMALL, STATUS_INVALID_PARAMETER};

/// Where IMiniport::DataRangeIntersection answers: a format, and how long it is.
pub struct OutFormat<'a> {
    place: *mut u8,
    room: u32,
    length: Out<'a, u32>,
    lent: PhantomData<&'a mut [u8]>,
}

impl<'a> OutFormat<'a> {
    /// A place of ours, to call with.
    pub fn new(place: &'a mut [u8], length: &'a mut u32) -> Self {
        let room = u32::try_from(place.len()).unwrap_or(u32::MAX);
        Self { place: place.as_mut_ptr(), room, length: Out::new(length), lent: PhantomData }
    }

    /// As a port hands it over.
    ///
    /// # Safety
    /// `place` is NULL, or `room` bytes that nobody else uses while this lives.
    pub(crate) unsafe fn from_raw(place: *mut c_void, room: u32, length: Out<'a, u32>) -> Self {
        Self { place: place.cast(), room, length, lent: PhantomData }
    }

    /// Bytes that the client has room for; 0: it asks for the length alone.
    pub fn room(&self) -> u32 {
        self.room
    }

    /// Answers with a format.
    ///
    /// # Errors
    /// `STATUS_BUFFER_OVERFLOW` if only the length is asked for, `STATUS_BUFFER_TOO_SMALL` if the format does
    /// not fit (the length is told in both cases), `STATUS_INVALID_PARAMETER` if there is no place for the
    /// length.
    pub fn write(self, format: &[u8]) -> NtResult {
        let bytes = u32::try_from(format.len()).map_err(|_| STATUS_INVALID_PARAMETER)?;
        self.length.write(bytes)?;
        if self.room == 0 {
            return Err(STATUS_BUFFER_OVERFLOW);
        }
        let place = NonNull::new(self.place).filter(|_| bytes <= self.room).ok_or(STATUS_BUFFER_TOO_SMALL)?;
        // SAFETY: by `from_raw` that many bytes of room at least, or a slice of them.
        unsafe { place.copy_from_nonoverlapping(NonNull::from(format).cast(), format.len()) };
        Ok(())
    }
}

/// Where IMiniportAudioSignalProcessing::GetModes answers: a list of modes, and how many there are.
pub struct OutModes<'a> {
    place: *mut GUID,
    /// How many modes there is room for; then how many there are.
    count: InOut<'a, u32>,
    lent: PhantomData<&'a mut [GUID]>,
}

impl<'a> OutModes<'a> {
    /// A place of ours, to call with. `None`: only the count is asked for.
    ///
    /// # Panics
    /// `count` is more than there is room for.
    pub fn new(place: Option<&'a mut [GUID]>, count: &'a mut u32) -> Self {
        let place = place.map_or(core::ptr::null_mut(), |place| {
            assert!(*count as usize <= place.len());
            place.as_mut_ptr()
        });
        Self { place, count: InOut::new(count), lent: PhantomData }
    }

    /// As a port hands it over.
    ///
    /// # Safety
    /// `place` is NULL, or room for as many modes as `count` says that nobody else uses while this lives.
    pub(crate) unsafe fn from_raw(place: *mut GUID, count: InOut<'a, u32>) -> Self {
        Self { place, count, lent: PhantomData }
    }

    /// Answers with the modes of the pin.
    ///
    /// # Errors
    /// `STATUS_BUFFER_TOO_SMALL` if they do not fit (their count is told), `STATUS_INVALID_PARAMETER` if there
    /// is no place for the count.
    pub fn write(mut self, modes: &[GUID]) -> NtResult {
        let room = self.count.get().ok_or(STATUS_INVALID_PARAMETER)?;
        let there = u32::try_from(modes.len()).map_err(|_| STATUS_INVALID_PARAMETER)?;
        self.count.set(there);
        let Some(place) = NonNull::new(self.place) else { return Ok(()) };
        if room < there {
            return Err(STATUS_BUFFER_TOO_SMALL);
        }
        for (index, mode) in modes.iter().enumerate() {
            // SAFETY: by `from_raw` room for `room` modes at least, of which there are not more.
            unsafe { place.add(index).write_unaligned(*mode) };
        }
        Ok(())
    }
}
