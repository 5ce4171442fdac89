//! COM as the kernel has it: a pointer to a pointer to a table of functions, reference counted.
//!
//! * [`interface`](mod@interface): what an interface is, and the macro that declares one from its rows (slot,
//!   name, signature).
//! * [`params`]: parameters of methods with their rules built in ([`Out`], [`ComOut`], [`ComIn`], [`In`],
//!   [`InOut`]).
//! * [`reference`](mod@reference): [`ComRef`], an owned interface pointer, for objects that are *called*.
//! * [`object`]: [`Com`] and [`com_class!`](crate::com_class), for objects that are *implemented*.
pub mod interface;
pub mod object;
pub mod params;
pub mod reference;

pub use interface::{Derived, IUnknown, IUnknownVtbl, Interface, VtableFor};
pub use object::{Com, ComClass, ComObject, HasInterface};
pub use params::{ComIn, ComOut, In, InOut, Out};
pub use reference::ComRef;
