//! What an interface is, and how one is declared.
use crate::guid::GUID;
use core::ffi::c_void;
use nt::NTSTATUS;

/// An interface: a COM pointer to it points to a pointer to a `Vtbl`.
///
/// # Safety
/// `Vtbl` is the interface's table in slot order, `#[repr(C)]`, beginning with IUnknown's three slots.
pub unsafe trait Interface: Sized + 'static {
    /// Its id.
    const IID: GUID;
    /// Its table of functions.
    type Vtbl: 'static;

    /// Whether a pointer to this interface may be handed out for `iid`: its own id or an ancestor's, as the
    /// tables of ancestors are beginnings of its own.
    fn answers(iid: &GUID) -> bool;
}

/// An interface whose table begins with another's.
///
/// # Safety
/// `Vtbl` begins with `Parent::Vtbl`.
pub unsafe trait Derived: Interface {
    /// The interface it is derived from.
    type Parent: Interface;
}

/// The table of an interface for objects of class `T` whose pointer to this table is word number `SLOT` of
/// the object.
///
/// # Safety
/// Every function of the table expects a `this` that points to word `SLOT` of a live `ComObject<T>`.
pub unsafe trait VtableFor<T, const SLOT: usize>: Interface {
    /// The table.
    const VTABLE: &'static Self::Vtbl;
}

/// The root of all interfaces. The kernel's returns NTSTATUS, not HRESULT.
#[repr(C)]
pub struct IUnknown {
    /// The table.
    pub vtable: *const IUnknownVtbl,
}

/// IUnknown's table.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct IUnknownVtbl {
    /// Slot 0.
    pub QueryInterface: unsafe extern "system" fn(*mut c_void, *const GUID, *mut *mut c_void) -> NTSTATUS,
    /// Slot 1.
    pub AddRef: unsafe extern "system" fn(*mut c_void) -> u32,
    /// Slot 2.
    pub Release: unsafe extern "system" fn(*mut c_void) -> u32,
}
const _: () = assert!(size_of::<IUnknownVtbl>() == 3 * size_of::<usize>());

/// COM's IID_IUnknown, which no genuine audio driver contains: an object answers it, nobody is asked for it.
const IID_IUNKNOWN_OF_COM: GUID = GUID::parse("00000000-0000-0000-C000-000000000046");

// SAFETY: three slots, in order.
unsafe impl Interface for IUnknown {
    // The kernel's own (punknown.h: Data4 is 00 00 C0 00 00 00 00 46), not COM's (Data4 C0 00 00 00 00 00 00
    // 46): WAVERT.md 2.1. A port that is asked for COM's has no such interface.
    const IID: GUID = GUID::parse("00000000-0000-0000-0000-C00000000046");
    type Vtbl = IUnknownVtbl;
    fn answers(iid: &GUID) -> bool {
        *iid == Self::IID || *iid == IID_IUNKNOWN_OF_COM
    }
}

/// An interface as its rows declare it, for the check against C++.
#[cfg(test)]
pub struct InterfaceLayout {
    /// Its name.
    pub name: &'static str,
    /// Its id.
    pub iid: GUID,
    /// Slot, name, bytes of the result (0: none), bytes of each argument after `this`.
    pub methods: &'static [(usize, &'static str, usize, &'static [usize])],
}

/// Declares an interface from its rows.
///
/// ```ignore
/// interface! {
///     /// What it is for.
///     IMiniport: IUnknown, "B4C90A24-5791-11D0-86F9-00A0C911B544", implemented as Miniport: ComClass, table IMiniportVtbl {
///         /// What the method does.
///         3 GetDescription as get_description(description: Out<'_, *const PCFILTER_DESCRIPTOR>) -> status;
///     }
/// }
/// ```
///
/// makes the interface type, its table (the parent's as its first field `base`, every slot number checked at
/// compile time), a trait with one safe method per row for those who implement it, and one `unsafe` method
/// per row on [`ComRef`](crate::ComRef) for those who call it.
///
/// Where two arguments are one thing to the implementor (a place and its room), the row says how its method
/// takes them: `taken (pin: u32 = pin, modes: OutModes<'_> = ...)`. A caller gives them one by one.
///
/// What no implementor may do by itself is `served by` a function, which gets the object and the arguments:
/// there is no method of it in the trait.
///
/// A row's return is `void`, a type, or `status`: NTSTATUS in the table, [`NtResult`](nt::NtResult) in Rust.
macro_rules! interface {
    ($(
        $(#[$doc:meta])*
        $name:ident : $parent:ident, $iid:literal, implemented as $trait:ident : $parent_trait:path, table $table:ident {
            $(
                $(#[$method_doc:meta])*
                $slot:literal $c_name:ident as $method:ident ( $($arg:ident : $ty:ty),* $(,)? )
                    $(taken ( $($part:ident : $part_ty:ty = $from:expr),* $(,)? ))? $(served by ( $server:path ))? -> $ret:ident;
            )*
        }
    )*) => { $(
        $(#[$doc])*
        #[repr(C)]
        pub struct $name {
            /// The table.
            pub vtable: *const $table,
        }

        #[doc = concat!("Table of [`", stringify!($name), "`].")]
        #[repr(C)]
        #[derive(Clone, Copy)]
        pub struct $table {
            #[doc = concat!("The slots of [`", stringify!($parent), "`].")]
            pub base: <$parent as $crate::Interface>::Vtbl,
            $(
                #[doc = concat!("Slot ", stringify!($slot), ".")]
                pub $c_name: unsafe extern "system" fn(*mut core::ffi::c_void, $($ty),*) -> $crate::com::interface::abi!($ret),
            )*
        }
        $(const _: () = assert!(
            core::mem::offset_of!($table, $c_name) == $slot * size_of::<usize>(),
            concat!(stringify!($name), "::", stringify!($c_name), " is not in its slot"),
        );)*

        // SAFETY: the parent's table comes first, then the rows in slot order, which the assertions above
        // check.
        unsafe impl $crate::Interface for $name {
            const IID: $crate::GUID = $crate::GUID::parse($iid);
            type Vtbl = $table;
            fn answers(iid: &$crate::GUID) -> bool {
                *iid == Self::IID || <$parent as $crate::Interface>::answers(iid)
            }
        }
        // SAFETY: as above.
        unsafe impl $crate::Derived for $name {
            type Parent = $parent;
        }

        #[doc = concat!("What a class does that has the interface [`", stringify!($name), "`].")]
        #[doc = ""]
        #[doc = "Raw pointers among the parameters are as the caller of the interface promised: valid or NULL, for the call."]
        pub trait $trait: $parent_trait {
            $( $crate::com::interface::method!(
                [$(#[$method_doc])*] $method ($($arg: $ty),*) $(($($part: $part_ty),*))? $(served by ($server))? -> $ret
            ); )*
        }

        // SAFETY: every function recovers the object with `SLOT` and `T` from here.
        unsafe impl<T: $crate::ComClass + $trait, const SLOT: usize> $crate::VtableFor<T, SLOT> for $name {
            const VTABLE: &'static $table = &$table {
                base: *<$parent as $crate::VtableFor<T, SLOT>>::VTABLE,
                $( $c_name: {
                    unsafe extern "system" fn $method<T: $crate::ComClass + $trait, const SLOT: usize>(
                        this: *mut core::ffi::c_void, $($arg: $ty),*
                    ) -> $crate::com::interface::abi!($ret) {
                        // SAFETY: this function is only in tables of word `SLOT` of a `ComObject<T>`, and
                        // callers call live objects.
                        let object = unsafe { $crate::ComObject::<T>::from_this::<SLOT>(this) };
                        let result = $crate::com::interface::call!(
                            (<T as $trait>::$method) object ($($arg),*) $(($($from),*))? $(served by ($server))?
                        );
                        $crate::com::interface::into_abi!($ret, result)
                    }
                    $method::<T, SLOT>
                }, )*
            };
        }

        impl $crate::ComRef<$name> {
            $(
                $(#[$method_doc])*
                ///
                /// # Safety
                /// Pointers are valid as the DDI's documentation says, and the caller is at PASSIVE_LEVEL
                /// unless it says more.
                pub unsafe fn $method(&self, $($arg: $ty),*) -> $crate::com::interface::rust!($ret) {
                    // SAFETY: a live object of this interface; the rest is the caller's contract.
                    $crate::com::interface::from_abi!($ret, unsafe { (self.vtable().$c_name)(self.as_this(), $($arg),*) })
                }
            )*
        }
    )*
        /// What is declared here, for the check against C++.
        #[cfg(test)]
        pub(super) const DECLARED: &[$crate::com::interface::InterfaceLayout] = &[$(
            $crate::com::interface::InterfaceLayout {
                name: stringify!($name),
                iid: <$name as $crate::Interface>::IID,
                methods: &[$((
                    $slot, stringify!($c_name), size_of::<$crate::com::interface::abi!($ret)>(), &[$(size_of::<$ty>()),*],
                ),)*],
            },
        )*];
    };
}

/// A row's method in the trait: with the arguments of the table, or as they are taken.
macro_rules! method {
    ([$($doc:tt)*] $method:ident ($($arg:ident : $ty:ty),*) -> $ret:ident) => {
        $($doc)* fn $method(&self, $($arg: $ty),*) -> $crate::com::interface::rust!($ret);
    };
    ([$($doc:tt)*] $method:ident ($($arg:ident : $ty:ty),*) ($($part:ident : $part_ty:ty),*) -> $ret:ident) => {
        $($doc)* fn $method(&self, $($part: $part_ty),*) -> $crate::com::interface::rust!($ret);
    };
    ([$($doc:tt)*] $method:ident ($($arg:ident : $ty:ty),*) served by ($server:path) -> $ret:ident) => {};
}

/// Calls it from the table.
macro_rules! call {
    (($method:expr) $object:ident ($($arg:expr),*)) => {
        $method($object, $($arg),*)
    };
    (($method:expr) $object:ident ($($arg:expr),*) ($($part:expr),*)) => {
        $method($object, $($part),*)
    };
    (($method:expr) $object:ident ($($arg:expr),*) served by ($server:path)) => {
        // SAFETY: arguments of the interface's caller, as its documentation has them.
        unsafe { $server(&**$object, $($arg),*) }
    };
}

/// A row's return in the table.
macro_rules! abi {
    (status) => {
        nt::NTSTATUS
    };
    (void) => {
        ()
    };
    ($ty:ident) => {
        $ty
    };
}

/// A row's return in Rust.
macro_rules! rust {
    (status) => {
        nt::NtResult
    };
    (void) => {
        ()
    };
    ($ty:ident) => {
        $ty
    };
}

/// From Rust to the table.
macro_rules! into_abi {
    (status, $value:expr) => {
        match $value {
            Ok(()) => nt::status::STATUS_SUCCESS,
            Err(status) => status,
        }
    };
    ($ty:ident, $value:expr) => {
        $value
    };
}

/// From the table to Rust.
macro_rules! from_abi {
    (status, $value:expr) => {
        nt::check($value)
    };
    ($ty:ident, $value:expr) => {
        $value
    };
}

pub(crate) use {abi, call, from_abi, interface, into_abi, method, rust};
