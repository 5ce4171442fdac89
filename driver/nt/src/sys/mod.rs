//! The raw face: kernel structures, constants and functions under the WDK's names.
//!
//! With feature `wdk` this is `wdk_sys` itself (never compiled by us, see the crate's head: expect to add the
//! WDK's inline routines, which bindings do not have, and to meet pointer types that differ); otherwise it is
//! what we declare.
#[cfg(all(windows, feature = "wdk"))]
pub use wdk_sys::{ntddk::*, *};

#[cfg(not(all(windows, feature = "wdk")))]
mod interrupts;
#[cfg(not(all(windows, feature = "wdk")))]
mod objects;
#[cfg(not(all(windows, feature = "wdk")))]
mod resources;
#[cfg(not(all(windows, feature = "wdk")))]
mod scalars;
#[cfg(not(all(windows, feature = "wdk")))]
mod sync;
#[cfg(not(all(windows, feature = "wdk")))]
pub use self::{interrupts::*, objects::*, resources::*, scalars::*, sync::*};

#[cfg(all(windows, not(feature = "wdk")))]
mod imports;
#[cfg(all(windows, not(feature = "wdk")))]
pub use self::imports::*;

#[cfg(not(windows))]
pub use crate::host::calls::*;

/// Asserts at compile time that a structure has a size and that fields lie at the offsets given (bytes).
macro_rules! layout {
    ($ty:ty, $size:expr $(, $field:tt @ $offset:expr)* $(,)?) => {
        const _: () = {
            assert!(core::mem::size_of::<$ty>() == $size);
            $(assert!(core::mem::offset_of!($ty, $field) == $offset);)*
        };
    };
}
#[cfg(not(all(windows, feature = "wdk")))]
pub(crate) use layout;
