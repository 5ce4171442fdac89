//! Parameters of interface methods, with their rules built in.
//!
//! Each is one pointer wide and `#[repr(transparent)]`, so it stands in a table's signature in the place of
//! the raw pointer; each knows that the pointer may be NULL.
use super::interface::{IUnknown, Interface};
use super::reference::ComRef;
use core::marker::PhantomData;
use core::ptr::NonNull;
use nt::NtResult;
use nt::status::STATUS_INVALID_PARAMETER;

/// A place for a result, perhaps NULL. What is there before is not read.
#[repr(transparent)]
pub struct Out<'a, T>(*mut T, PhantomData<&'a mut T>);

impl<'a, T> Out<'a, T> {
    /// A place of ours, to call with.
    pub fn new(place: &'a mut T) -> Self {
        Self(place, PhantomData)
    }

    /// No place, where a method allows it.
    pub fn none() -> Self {
        Self(core::ptr::null_mut(), PhantomData)
    }

    /// Whether the caller does not want it.
    pub fn is_null(&self) -> bool {
        self.0.is_null()
    }

    /// Writes the result; STATUS_INVALID_PARAMETER if there is no place. What was there is forgotten, not
    /// dropped.
    pub fn write(self, value: T) -> NtResult {
        if self.0.is_null() {
            return Err(STATUS_INVALID_PARAMETER);
        }
        // SAFETY: not NULL, so by the interface's contract room for a T; its alignment is not relied on.
        unsafe { self.0.write_unaligned(value) };
        Ok(())
    }
}

/// A value that is read and then written, perhaps NULL.
#[repr(transparent)]
pub struct InOut<'a, T: Copy>(*mut T, PhantomData<&'a mut T>);

impl<'a, T: Copy> InOut<'a, T> {
    /// A value of ours, to call with.
    pub fn new(place: &'a mut T) -> Self {
        Self(place, PhantomData)
    }

    /// The value; `None` if there is none.
    pub fn get(&self) -> Option<T> {
        // SAFETY: not NULL, so by the interface's contract a T; its alignment is not relied on.
        (!self.0.is_null()).then(|| unsafe { self.0.read_unaligned() })
    }

    /// Replaces it; nothing happens if there is none.
    pub fn set(&mut self, value: T) {
        if !self.0.is_null() {
            // SAFETY: as in `get`.
            unsafe { self.0.write_unaligned(value) }
        }
    }
}

/// A structure to read, perhaps NULL, perhaps the head of something longer.
#[repr(transparent)]
pub struct In<'a, T>(*const T, PhantomData<&'a T>);

impl<'a, T: Copy> In<'a, T> {
    /// A structure of ours, to call with.
    pub fn new(value: &'a T) -> Self {
        Self(value, PhantomData)
    }

    /// Something longer that begins with a `T`, to call with.
    ///
    /// # Safety
    /// `head` is NULL or readable as the method that it is given to needs it, for as long as this lives.
    pub unsafe fn from_raw(head: *const T) -> Self {
        Self(head, PhantomData)
    }

    /// None, where a method allows it.
    pub fn none() -> Self {
        Self(core::ptr::null(), PhantomData)
    }

    /// A copy of it; `None` if there is none.
    pub fn get(&self) -> Option<T> {
        // SAFETY: not NULL, so by the interface's contract a T; its alignment is not relied on.
        (!self.0.is_null()).then(|| unsafe { self.0.read_unaligned() })
    }

    /// Where it is, for reading what follows it.
    pub fn as_ptr(&self) -> *const T {
        self.0
    }
}

/// An interface pointer lent for the call, perhaps NULL. To keep it take a reference:
/// [`to_ref`](Self::to_ref).
#[repr(transparent)]
pub struct ComIn<'a, I: Interface>(*mut I, PhantomData<&'a I>);

impl<'a, I: Interface> ComIn<'a, I> {
    /// Lends a reference of ours.
    pub fn new(reference: &'a ComRef<I>) -> Self {
        Self(reference.as_raw(), PhantomData)
    }

    /// None, where a method allows it.
    pub fn none() -> Self {
        Self(core::ptr::null_mut(), PhantomData)
    }

    /// A reference of one's own; `None` for NULL.
    pub fn to_ref(&self) -> Option<ComRef<I>> {
        // SAFETY: by the interface's contract NULL or a live object of `I`.
        unsafe { ComRef::from_borrowed(self.0) }
    }

    /// A reference of one's own; STATUS_INVALID_PARAMETER for NULL.
    pub fn require(&self) -> NtResult<ComRef<I>> {
        self.to_ref().ok_or(STATUS_INVALID_PARAMETER)
    }

    /// The pointer.
    pub fn as_raw(&self) -> *mut I {
        self.0
    }
}

/// A place for an interface pointer that the caller will own. Until [`set`](Self::set) it will be NULL:
/// dropping this writes it, so that no error path can leave something stale there.
#[repr(transparent)]
pub struct ComOut<'a, I: Interface>(*mut *mut I, PhantomData<&'a mut I>);

impl<'a, I: Interface> ComOut<'a, I> {
    /// A place of ours, to call with. What is in it is forgotten, not released.
    pub fn new(place: &'a mut *mut I) -> Self {
        Self(place, PhantomData)
    }

    /// Hands a reference over; STATUS_INVALID_PARAMETER (and the reference released) if there is no place.
    pub fn set(self, reference: ComRef<I>) -> NtResult {
        let place = NonNull::new(self.0).ok_or(STATUS_INVALID_PARAMETER)?;
        core::mem::forget(self);
        // SAFETY: not NULL, so by the interface's contract room for a pointer.
        unsafe { place.write(reference.into_raw()) };
        Ok(())
    }

    /// Whether the caller gave no place.
    pub fn is_null(&self) -> bool {
        self.0.is_null()
    }
}

impl<I: Interface> Drop for ComOut<'_, I> {
    fn drop(&mut self) {
        if !self.0.is_null() {
            // SAFETY: not NULL, so by the interface's contract room for a pointer.
            unsafe { self.0.write(core::ptr::null_mut()) }
        }
    }
}

/// An unknown object lent for the call.
pub type UnknownIn<'a> = ComIn<'a, IUnknown>;

const _: () = assert!(
    size_of::<Out<'_, u8>>() == size_of::<usize>()
        && size_of::<ComOut<'_, IUnknown>>() == size_of::<usize>()
        && size_of::<ComIn<'_, IUnknown>>() == size_of::<usize>()
);
