//! The raw face: kernel structures, constants and functions under the WDK's names.
//!
//! With feature `wdk` this is `wdk_sys` with what it lacks (`wdk`); otherwise it is what we declare.
//! `tests/wdk/run` compares the two.

mod large_integer;
pub use large_integer::LargeInteger;

#[cfg(all(windows, feature = "wdk"))]
mod wdk;
#[cfg(all(windows, feature = "wdk"))]
pub use self::wdk::*;

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
#[cfg(not(all(windows, feature = "wdk")))]
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
