//! An owned interface pointer, for objects that are called.
use super::interface::{Derived, IUnknown, IUnknownVtbl, Interface};
use core::ffi::c_void;
use core::fmt;
use core::marker::PhantomData;
use core::ops::Deref;
use core::ptr::NonNull;
use nt::status::{STATUS_NOINTERFACE, STATUS_UNSUCCESSFUL};
use nt::{NtResult, check};

/// One reference to an object, by one of its interfaces: cloning takes another, dropping gives it back.
///
/// It can be used as a reference to any ancestor of the interface, as the ancestor's table is the beginning
/// of its own.
#[repr(transparent)]
pub struct ComRef<I: Interface>(NonNull<I>, PhantomData<I>);

// SAFETY: kernel COM knows no apartments: references are counted atomically and methods may be called from
// any thread that obeys the DDI's rules of level and order, which are contracts of the methods.
unsafe impl<I: Interface> Send for ComRef<I> {}
// SAFETY: as above.
unsafe impl<I: Interface> Sync for ComRef<I> {}

impl<I: Interface> ComRef<I> {
    /// Takes over a reference; `None` for NULL.
    ///
    /// # Safety
    /// `raw` is NULL or a live object of `I`, and the caller owns one reference, which it gives away.
    pub unsafe fn from_raw(raw: *mut I) -> Option<Self> {
        NonNull::new(raw).map(|raw| Self(raw, PhantomData))
    }

    /// Takes over a reference.
    ///
    /// # Safety
    /// As [`from_raw`](Self::from_raw).
    pub(super) unsafe fn from_non_null(raw: NonNull<I>) -> Self {
        Self(raw, PhantomData)
    }

    /// Takes a reference of its own; `None` for NULL.
    ///
    /// # Safety
    /// `raw` is NULL or a live object of `I`.
    pub unsafe fn from_borrowed(raw: *mut I) -> Option<Self> {
        let raw = NonNull::new(raw)?;
        // Not dropped: it is the lender's reference.
        let lent = core::mem::ManuallyDrop::new(Self(raw, PhantomData));
        Some(Self::clone(&lent))
    }

    /// The pointer, still owned by this.
    pub fn as_raw(&self) -> *mut I {
        self.0.as_ptr()
    }

    /// The pointer, with the reference.
    pub fn into_raw(self) -> *mut I {
        let raw = self.0.as_ptr();
        core::mem::forget(self);
        raw
    }

    /// The object by another interface, or the object's status (STATUS_NOINTERFACE or another failure) if it
    /// has none. PASSIVE_LEVEL.
    pub fn query<J: Interface>(&self) -> NtResult<ComRef<J>> {
        let mut found: *mut c_void = core::ptr::null_mut();
        // SAFETY: a live object; both pointers outlive the call.
        check(unsafe { (self.unknown_vtable().QueryInterface)(self.as_this(), &J::IID, &raw mut found) })?;
        // SAFETY: after success the object's interface J, with a reference that is ours. (NULL with success
        // would be the object's mistake; it is refused.)
        unsafe { ComRef::from_raw(found.cast()) }.ok_or(STATUS_UNSUCCESSFUL)
    }

    /// Like [`query`](Self::query), where an object without the interface is no error.
    pub fn try_query<J: Interface>(&self) -> Option<ComRef<J>> {
        self.query().ok()
    }

    /// The object as IUnknown: the same reference under the root's name (the *identity* is
    /// `query::<IUnknown>()`).
    pub fn as_unknown(&self) -> &ComRef<IUnknown> {
        // SAFETY: ComRef is one pointer whatever the interface, and every table begins with IUnknown's.
        unsafe { &*core::ptr::from_ref(self).cast() }
    }

    /// Whether two references are to one object, which only IUnknown's pointer tells.
    pub fn same_object<J: Interface>(&self, other: &ComRef<J>) -> bool {
        match (self.query::<IUnknown>(), other.query::<IUnknown>()) {
            (Ok(one), Ok(two)) => one.as_raw() == two.as_raw(),
            _ => false,
        }
    }

    /// The interface's table.
    pub fn vtable(&self) -> &I::Vtbl {
        // SAFETY: a COM pointer points to a pointer to its interface's table, both alive while we hold a
        // reference.
        unsafe { &**self.0.as_ptr().cast::<*const I::Vtbl>() }
    }

    /// The pointer as methods take it.
    pub(crate) fn as_this(&self) -> *mut c_void {
        self.0.as_ptr().cast()
    }

    fn unknown_vtable(&self) -> &IUnknownVtbl {
        // SAFETY: every table begins with IUnknown's.
        unsafe { &**self.0.as_ptr().cast::<*const IUnknownVtbl>() }
    }
}

impl<I: Derived> ComRef<I> {
    /// The same reference by the interface's parent.
    pub fn upcast(self) -> ComRef<I::Parent> {
        let raw = self.into_raw();
        // SAFETY: not NULL, a live object whose table begins with the parent's, and the reference moves over.
        ComRef(unsafe { NonNull::new_unchecked(raw.cast()) }, PhantomData)
    }
}

impl<I: Derived> Deref for ComRef<I> {
    type Target = ComRef<I::Parent>;
    fn deref(&self) -> &Self::Target {
        // SAFETY: ComRef is one pointer whatever the interface, and the table begins with the parent's.
        unsafe { &*core::ptr::from_ref(self).cast() }
    }
}

impl<I: Interface> Clone for ComRef<I> {
    fn clone(&self) -> Self {
        // SAFETY: a live object.
        unsafe { (self.unknown_vtable().AddRef)(self.as_this()) };
        Self(self.0, PhantomData)
    }
}

impl<I: Interface> Drop for ComRef<I> {
    fn drop(&mut self) {
        // SAFETY: a live object and a reference of ours, given back once.
        unsafe { (self.unknown_vtable().Release)(self.as_this()) };
    }
}

impl<I: Interface> PartialEq for ComRef<I> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl<I: Interface> fmt::Debug for ComRef<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ComRef({:p})", self.0)
    }
}

/// The status of an object that does not have an interface.
pub(crate) const NO_INTERFACE: nt::NTSTATUS = STATUS_NOINTERFACE;
