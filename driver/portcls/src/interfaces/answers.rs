//! Answers whose place and room are two arguments of a method: one value for the miniport, which writes there
//! without `unsafe` and by the protocol of sizes that the method's page has.
use crate::{GUID, InOut, Out};
use core::ffi::c_void;
use core::marker::PhantomData;
use core::ptr::NonNull;
use nt::NtResult;
use nt::status::{STATUS_BUFFER_OVERFLOW, STATUS_BUFFER_TOO_SMALL, STATUS_INVALID_PARAMETER};
use nt::sys::{IRP, IoGetCurrentIrpStackLocation};

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
    /// `STATUS_BUFFER_TOO_SMALL` if they do not fit (their count is told), `STATUS_INVALID_PARAMETER` if
    /// there is no place for the count.
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

/// Where IPinName::GetPinName answers: a name and its NUL, in UTF-16.
///
/// *Doubt*: the method's page says neither how much room there is nor what becomes of too little. Both are here
/// as KS has them for every property: the room is the request's OutputBufferLength, and what is written or
/// needed is told by IoStatus.Information.
pub struct OutPinName<'a> {
    place: *mut u8,
    room: usize,
    written: *mut usize,
    lent: PhantomData<&'a mut [u8]>,
}

impl<'a> OutPinName<'a> {
    /// A place of ours, to call with. `written` becomes the bytes that were written, or are needed.
    pub fn new(place: &'a mut [u8], written: &'a mut usize) -> Self {
        Self { place: place.as_mut_ptr(), room: place.len(), written, lent: PhantomData }
    }

    /// As a port hands it over.
    ///
    /// # Safety
    /// `irp` is NULL or the request of a property, alive and not completed while this lives; `place` is NULL
    /// or as long as its stack location says, and nobody else uses it meanwhile.
    pub(crate) unsafe fn from_raw(irp: *mut IRP, place: *mut c_void) -> Self {
        // SAFETY: by contract.
        let location = unsafe { IoGetCurrentIrpStackLocation(irp) };
        if location.is_null() {
            return Self {
                place: core::ptr::null_mut(),
                room: 0,
                written: core::ptr::null_mut(),
                lent: PhantomData,
            };
        }
        // SAFETY: by contract a live request of IRP_MJ_DEVICE_CONTROL, whose parameters begin with
        // OutputBufferLength, a ULONG; its status block begins with a status in a pointer's room.
        let (room, written) = unsafe {
            let room = (&raw const (*location).Parameters).cast::<u32>().read() as usize;
            (room, (&raw mut (*irp).IoStatus.Information).cast::<usize>())
        };
        Self { place: place.cast(), room, written, lent: PhantomData }
    }

    /// Answers with a name, to which it adds the NUL.
    ///
    /// # Errors
    /// `STATUS_BUFFER_OVERFLOW` if only the length is asked for, `STATUS_BUFFER_TOO_SMALL` if the name does
    /// not fit (the length is told in both cases), `STATUS_INVALID_PARAMETER` without a request.
    pub fn write(self, name: &[u16]) -> NtResult {
        let bytes = name.len().saturating_add(1).saturating_mul(size_of::<u16>());
        let written = NonNull::new(self.written).ok_or(STATUS_INVALID_PARAMETER)?;
        // SAFETY: a request's status block, or a place of ours.
        unsafe { written.write(bytes) };
        if self.room == 0 {
            return Err(STATUS_BUFFER_OVERFLOW);
        }
        let place = NonNull::new(self.place).filter(|_| bytes <= self.room).ok_or(STATUS_BUFFER_TOO_SMALL)?;
        for (index, unit) in name.iter().chain(&[0]).enumerate() {
            // SAFETY: `bytes` of room at least; its alignment is not relied on.
            unsafe { place.cast::<u16>().add(index).write_unaligned(*unit) };
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_fits_with_its_nul_or_is_not_given() {
        let name: Vec<u16> = "Mic".encode_utf16().collect();
        for room in 0..10 {
            let (mut place, mut written) = ([0xEE; 10], 77);
            let result = OutPinName::new(&mut place[..room], &mut written).write(&name);
            let expected = match room {
                0 => Err(STATUS_BUFFER_OVERFLOW),
                1..8 => Err(STATUS_BUFFER_TOO_SMALL),
                _ => Ok(()),
            };
            assert_eq!((result, written), (expected, 8), "{room}");
            let whole = *b"M\0i\0c\0\0\0";
            let filled = if room < 8 { 0 } else { 8 };
            assert_eq!(place[..filled], whole[..filled]);
            assert!(place[filled..].iter().all(|byte| *byte == 0xEE), "{room}");
        }
    }

    #[test]
    fn the_room_is_that_of_the_request() {
        // SAFETY: numbers and pointers, for which zero is a value.
        let (mut irp, mut location): (IRP, nt::sys::IO_STACK_LOCATION) = unsafe { core::mem::zeroed() };
        // OutputBufferLength, and what is no part of it.
        location.Parameters[0] = 0xFFFF_FFFF_0000_0004;
        irp.Tail.Overlay.CurrentStackLocation = &raw mut location;
        let mut place = [0_u8; 4];
        let mut answer = |irp: &mut IRP, name: &[u16]| {
            // SAFETY: a request, and as much room as it says.
            let result =
                unsafe { OutPinName::from_raw(&raw mut *irp, place.as_mut_ptr().cast()) }.write(name);
            (result, irp.IoStatus.Information)
        };
        assert_eq!(answer(&mut irp, &[7]), (Ok(()), 4));
        assert_eq!(answer(&mut irp, &[7, 8]), (Err(STATUS_BUFFER_TOO_SMALL), 6));
        assert_eq!(place, [7, 0, 0, 0]);
        // SAFETY: no request.
        let without = unsafe { OutPinName::from_raw(core::ptr::null_mut(), place.as_mut_ptr().cast()) };
        assert_eq!(without.write(&[7]), Err(STATUS_INVALID_PARAMETER));
    }
}
