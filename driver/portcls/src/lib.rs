//! PortCls and kernel streaming for Rust: what `portcls.h`, `ks.h` and `ksmedia.h` are to a WaveRT driver in
//! C++.
//!
//! * [`guid`]: GUIDs. [`ks`]: structures and constants of kernel streaming. [`pc`]: those of PortCls.
//! * [`com`]: interface pointers ([`ComRef`]) and objects ([`Com`], [`com_class!`]).
//! * [`interfaces`]: every interface a WaveRT driver implements or calls, slot by slot, with a trait to
//!   implement and methods to call.
//! * [`calls`]: safe faces of the interfaces the driver calls (port, resources, registry, pages of the cyclic
//!   buffer).
//! * [`property`]: handlers of properties: a function on slices, and the rules of sizes. [`event`]: handlers
//!   of events, and how they are signalled.
//! * [`imports`]: the exports of portcls.sys.
//!
//! Sources: WAVERT.md 0 to 7 (genuine header, Microsoft's documentation, measured layouts); every size and
//! offset named there is asserted at compile time. Two traps are worth knowing before any change: a C++
//! member function that returns a structure returns it through a hidden pointer (`GetPhysicalPageAddress`),
//! and IMiniportWaveRTOutputStream's slots are in the header's order, not the documentation's.
#![cfg_attr(not(test), no_std)]
#![cfg_attr(test, allow(clippy::cast_possible_truncation))]
// The names are the headers' own, so that a reader finds them in Microsoft's documentation.
#![allow(non_camel_case_types, non_snake_case, non_upper_case_globals)]
// Prose is full of DDI names; they would all need backticks.
#![allow(clippy::doc_markdown)]
// Methods of COM interfaces take what the header says.
#![allow(clippy::too_many_arguments)]
// Calls of methods that return nothing end macro-made functions.
#![allow(clippy::semicolon_if_nothing_returned)]

extern crate alloc;
#[cfg(not(windows))]
extern crate std;

pub mod calls;
pub mod client_event;
pub mod com;
pub mod event;
pub mod guid;
#[cfg(not(windows))]
pub mod host;
pub mod imports;
pub mod interfaces;
pub mod ks;
pub mod pc;
pub mod property;

pub use com::{
    Com, ComClass, ComIn, ComObject, ComOut, ComRef, Derived, HasInterface, IUnknown, In, InOut, Interface,
    Out, VtableFor,
};
pub use guid::GUID;

/// Asserts at compile time that a structure has a size and that fields lie at the offsets given (bytes).
macro_rules! layout {
    ($ty:ty, $size:expr $(, $field:tt @ $offset:expr)* $(,)?) => {
        const _: () = {
            assert!(size_of::<$ty>() == $size);
            $(assert!(core::mem::offset_of!($ty, $field) == $offset);)*
        };
    };
}
pub(crate) use layout;
