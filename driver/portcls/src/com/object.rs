//! Objects that are implemented here: a Rust value with interfaces.
//!
//! In memory an object is its table pointers, the primary one first, then the reference count, then the
//! value. The property handlers of PortCls' miniports get the primary pointer as PUNKNOWN and cast it to the
//! class (WAVERT.md 0); so IUnknown is always answered with the primary pointer, whichever interface is
//! asked. Secondary interfaces are pointers to the later words; their functions step back.
use super::interface::{IUnknown, IUnknownVtbl, Interface, VtableFor};
use super::reference::{ComRef, NO_INTERFACE};
use crate::guid::GUID;
use alloc::alloc::{alloc, dealloc};
use core::alloc::Layout;
use core::any::TypeId;
use core::ffi::c_void;
use core::hash::{Hash, Hasher};
use core::marker::PhantomData;
use core::ops::Deref;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU32, Ordering, fence};
use nt::status::{STATUS_INSUFFICIENT_RESOURCES, STATUS_INVALID_PARAMETER, STATUS_SUCCESS};
use nt::{NTSTATUS, NtResult};

/// A type whose values can be COM objects. Implemented with [`com_class!`](crate::com_class).
///
/// # Safety
/// `VTABLES` has, at index n, the table that [`VtableFor<Self, n>`](crate::VtableFor) gives for an interface,
/// at least one; `slot_of` answers only indexes whose interface [answers](Interface::answers) the id, and 0
/// for IUnknown.
pub unsafe trait ComClass: Sized + Send + Sync + 'static {
    /// Room for the table pointers: an array.
    type Vtables: Copy + 'static;
    /// The table pointers, in slot order.
    const VTABLES: Self::Vtables;
    /// The slot of the interface that `iid` names, if this object has it. An object's answer never changes.
    fn slot_of(&self, iid: &GUID) -> Option<usize>;
}

/// A class has an interface in a slot, always.
///
/// # Safety
/// Slot `SLOT` of the class's tables is `I`'s.
pub unsafe trait HasInterface<I: Interface>: ComClass {
    /// Which one.
    const SLOT: usize;
}

// SAFETY: the three functions get `SLOT` and `T` from here.
unsafe impl<T: ComClass, const SLOT: usize> VtableFor<T, SLOT> for IUnknown {
    const VTABLE: &'static IUnknownVtbl = &IUnknownVtbl {
        QueryInterface: query_interface::<T, SLOT>,
        AddRef: add_ref::<T, SLOT>,
        Release: release::<T, SLOT>,
    };
}

/// A value of a class as it lies in memory. Dereferences to the value.
#[repr(C)]
pub struct ComObject<T: ComClass> {
    vtables: T::Vtables,
    references: AtomicU32,
    value: T,
}

impl<T: ComClass> ComObject<T> {
    /// From the pointer a method was called with.
    ///
    /// # Safety
    /// `this` points to word `SLOT` of a live object of this class, and the object stays alive for `'a`.
    pub unsafe fn from_this<'a, const SLOT: usize>(this: *mut c_void) -> &'a Self {
        // SAFETY: by contract; the object was allocated as a whole, and its pointers are made from the
        // whole's.
        unsafe { &*this.byte_sub(SLOT * size_of::<usize>()).cast() }
    }
}

impl<T: ComClass> Deref for ComObject<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.value
    }
}

/// One reference to an object of a class of ours, by its class: what `Arc` is elsewhere, with interfaces.
/// Dereferences to the value; cloning takes a reference, dropping the last one drops the value and frees it
/// (at the level its drop needs: PASSIVE_LEVEL).
pub struct Com<T: ComClass>(NonNull<ComObject<T>>, PhantomData<ComObject<T>>);

// SAFETY: classes are Send and Sync, and references are counted atomically.
unsafe impl<T: ComClass> Send for Com<T> {}
// SAFETY: as above.
unsafe impl<T: ComClass> Sync for Com<T> {}

impl<T: ComClass> Com<T> {
    /// Makes an object with one reference; STATUS_INSUFFICIENT_RESOURCES (and the value dropped) if there is
    /// no memory.
    pub fn try_new(value: T) -> NtResult<Self> {
        // SAFETY: the layout is not empty: it has at least the count.
        let object = NonNull::new(unsafe { alloc(Layout::new::<ComObject<T>>()) }.cast::<ComObject<T>>())
            .ok_or(STATUS_INSUFFICIENT_RESOURCES)?;
        // SAFETY: fresh memory of that layout.
        unsafe { object.write(ComObject { vtables: T::VTABLES, references: AtomicU32::new(1), value }) };
        Ok(Self(object, PhantomData))
    }

    /// A reference to the object behind an interface pointer, as PortCls hands it to handlers (`MajorTarget`,
    /// `MinorTarget`); `None` for NULL and for an object of another class: only those of this class answer
    /// its id.
    ///
    /// # Safety
    /// `unknown` is NULL or a live object.
    pub unsafe fn of_class(unknown: *mut IUnknown) -> Option<Self> {
        let (id, mut found) = (class_id::<T>(), core::ptr::null_mut());
        // SAFETY: by contract, and not NULL; room for a pointer.
        let status = unsafe {
            let table = unknown.as_ref()?.vtable;
            ((*table).QueryInterface)(unknown.cast(), &raw const id, &raw mut found)
        };
        // SAFETY: the primary pointer of an object of this class, with a reference that is ours.
        (status == STATUS_SUCCESS).then(|| unsafe { Self::from_raw_unknown(found.cast()) }).flatten()
    }

    /// A reference by an interface that the class always has.
    pub fn to_interface<I: Interface>(&self) -> ComRef<I>
    where
        T: HasInterface<I>,
    {
        self.clone().into_interface()
    }

    /// This reference by an interface that the class always has.
    pub fn into_interface<I: Interface>(self) -> ComRef<I>
    where
        T: HasInterface<I>,
    {
        self.into_slot(T::SLOT)
    }

    /// A reference by IUnknown: the object's identity.
    pub fn to_unknown(&self) -> ComRef<IUnknown> {
        self.clone().into_slot(0)
    }

    /// Takes over a reference by the primary pointer, as [`to_unknown`](Self::to_unknown) gives it; `None`
    /// for NULL.
    ///
    /// # Safety
    /// `unknown` is NULL or the primary pointer of a live object of this class, with a reference that the
    /// caller gives away.
    pub unsafe fn from_raw_unknown(unknown: *mut IUnknown) -> Option<Self> {
        // The primary pointer is the object's first word.
        NonNull::new(unknown.cast()).map(|object| Self(object, PhantomData))
    }

    fn into_slot<I: Interface>(self, slot: usize) -> ComRef<I> {
        let object = self.0.cast::<usize>();
        core::mem::forget(self);
        // SAFETY: word `slot` points to a table that begins with I's, by HasInterface (or is 0, and every
        // table begins with IUnknown's); it is inside the object, and the reference moves over.
        unsafe { ComRef::from_non_null(object.add(slot).cast()) }
    }
}

impl<T: ComClass> Deref for Com<T> {
    type Target = ComObject<T>;
    fn deref(&self) -> &ComObject<T> {
        // SAFETY: alive while we hold a reference.
        unsafe { self.0.as_ref() }
    }
}

impl<T: ComClass> Clone for Com<T> {
    fn clone(&self) -> Self {
        // Through the raw pointer, so that what the clone points to is the whole object.
        self.references.fetch_add(1, Ordering::Relaxed);
        Self(self.0, PhantomData)
    }
}

impl<T: ComClass> Drop for Com<T> {
    fn drop(&mut self) {
        // SAFETY: a reference of ours, given back once.
        unsafe { release_object(self.0.as_ptr()) };
    }
}

/// Gives a reference back; the last one ends the object. Answers how many are left.
///
/// # Safety
/// `object` is alive and the caller owns one reference.
unsafe fn release_object<T: ComClass>(object: *mut ComObject<T>) -> u32 {
    // SAFETY: alive by contract.
    let left = unsafe { &(*object).references }.fetch_sub(1, Ordering::Release) - 1;
    if left == 0 {
        // All that other threads did with the object happened before its end.
        fence(Ordering::Acquire);
        // SAFETY: that was the last reference; allocated by `try_new` with this layout.
        unsafe {
            object.drop_in_place();
            dealloc(object.cast(), Layout::new::<ComObject<T>>());
        }
    }
    left
}

/// An id that objects of class `T` alone answer, with their primary pointer. It is made of the 64 bits of the
/// compiler's number of the type that can be had: two classes of one driver have the same with a probability
/// of 2^-64.
fn class_id<T: ComClass>() -> GUID {
    struct Bits(u64);
    impl Hasher for Bits {
        fn finish(&self) -> u64 {
            self.0
        }
        fn write(&mut self, bytes: &[u8]) {
            for byte in bytes {
                self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
            }
        }
    }
    let mut bits = Bits(0);
    TypeId::of::<T>().hash(&mut bits);
    let bits = bits.finish();
    GUID {
        Data1: (bits & 0xFFFF_FFFF) as u32,
        Data2: (bits >> 32 & 0xFFFF) as u16,
        Data3: (bits >> 48) as u16,
        // A variant that no generator of GUIDs makes.
        Data4: *b"\xFFclassID",
    }
}

/// IUnknown's slot 0 for word `SLOT` of a class. On failure NULL is written: callers may look at the pointer
/// only.
pub(super) unsafe extern "system" fn query_interface<T: ComClass, const SLOT: usize>(
    this: *mut c_void,
    iid: *const GUID,
    found: *mut *mut c_void,
) -> NTSTATUS {
    if found.is_null() {
        return STATUS_INVALID_PARAMETER;
    }
    // SAFETY: not NULL, so by IUnknown's contract room for a pointer.
    unsafe { found.write(core::ptr::null_mut()) };
    if iid.is_null() {
        return STATUS_INVALID_PARAMETER;
    }
    // SAFETY: in the table of word `SLOT` of a live object; the id is not NULL, its alignment is not relied
    // on.
    let (object, iid) = unsafe { (ComObject::<T>::from_this::<SLOT>(this), iid.read_unaligned()) };
    let own = (iid == class_id::<T>()).then_some(0);
    let Some(slot) = own.or_else(|| object.slot_of(&iid)) else { return NO_INTERFACE };
    object.references.fetch_add(1, Ordering::Relaxed);
    // SAFETY: from one word of the object to another; room for a pointer as above.
    unsafe { found.write(this.byte_sub(SLOT * size_of::<usize>()).byte_add(slot * size_of::<usize>())) };
    STATUS_SUCCESS
}

/// IUnknown's slot 1 for word `SLOT` of a class.
pub(super) unsafe extern "system" fn add_ref<T: ComClass, const SLOT: usize>(this: *mut c_void) -> u32 {
    // SAFETY: in the table of word `SLOT` of a live object. 2^32 references do not fit in memory.
    unsafe { ComObject::<T>::from_this::<SLOT>(this) }
        .references
        .fetch_add(1, Ordering::Relaxed)
        .wrapping_add(1)
}

/// IUnknown's slot 2 for word `SLOT` of a class.
pub(super) unsafe extern "system" fn release<T: ComClass, const SLOT: usize>(this: *mut c_void) -> u32 {
    // SAFETY: in the table of word `SLOT` of a live object; the caller gives its reference back.
    unsafe { release_object(this.byte_sub(SLOT * size_of::<usize>()).cast::<ComObject<T>>()) }
}

/// Makes a type a COM class: which interfaces its objects have, slot by slot, the primary one (the longest)
/// first.
///
/// ```ignore
/// com_class! {
///     Stream {
///         0 => IMiniportWaveRTStreamNotification,
///         1 => IMiniportWaveRTOutputStream if |stream| stream.is_render(),
///     }
/// }
/// com_class! { impl[H: Hardware] Miniport<H> { 0 => IMiniportWaveRT } }
/// ```
///
/// Ancestors of an interface need not be named. An interface with `if` is there only for objects of which the
/// condition is true; it must not change in an object's life, and slot 0 cannot have one. The type implements
/// the interfaces' traits (`MiniportWaveRT` ...).
#[macro_export]
macro_rules! com_class {
    (impl $generics:tt $class:ty {
        0 => $primary:ident $(, $slot:literal => $interface:ident $(if |$object:ident| $condition:expr)?)* $(,)?
    }) => {
        $crate::com_class! { @class $generics $class {
            0 => $primary $(, $slot => $interface $(if |$object| $condition)?)*
        } }
        $crate::com_class! { @has $generics $class, 0, $primary }
        $( $crate::com_class! { @has $generics $class, $slot, $interface $(if $object)? } )*
    };

    (@class [$($generics:tt)*] $class:ty {
        0 => $primary:ident $(, $slot:literal => $interface:ident $(if |$object:ident| $condition:expr)?)*
    }) => {
        // SAFETY: each table stands at its slot's index (checked below), made for that slot; `slot_of` asks
        // the slot's own interface, and slot 0 first, which answers IUnknown.
        unsafe impl<$($generics)*> $crate::ComClass for $class {
            type Vtables = [*const ::core::ffi::c_void; [0_usize $(, $slot)*].len()];
            const VTABLES: Self::Vtables = {
                let slots: &[usize] = &[0 $(, $slot)*];
                let mut at = 0;
                while at < slots.len() {
                    assert!(slots[at] == at, "slots are numbered 0, 1, 2 ...");
                    at += 1;
                }
                [
                    ::core::ptr::from_ref(<$primary as $crate::VtableFor<Self, 0>>::VTABLE).cast()
                    $(, ::core::ptr::from_ref(<$interface as $crate::VtableFor<Self, $slot>>::VTABLE).cast())*
                ]
            };
            fn slot_of(&self, iid: &$crate::GUID) -> Option<usize> {
                if <$primary as $crate::Interface>::answers(iid) {
                    return Some(0);
                }
                $(
                    if <$interface as $crate::Interface>::answers(iid) $( && { let $object: &Self = self; $condition } )? {
                        return Some($slot);
                    }
                )*
                None
            }
        }
    };

    // An interface that only some objects have is found by `query` alone.
    (@has $generics:tt $class:ty, $slot:literal, $interface:ident if $object:ident) => {};
    (@has [$($generics:tt)*] $class:ty, $slot:literal, $interface:ident) => {
        // SAFETY: the class's tables have this interface's in this slot.
        unsafe impl<$($generics)*> $crate::HasInterface<$interface> for $class {
            const SLOT: usize = $slot;
        }
    };

    ($class:ty { $($body:tt)* }) => { $crate::com_class! { impl [] $class { $($body)* } } };
}
