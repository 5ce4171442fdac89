//! Kernel streaming: states, positions, WaveRT's own structures ([`rt`]), formats ([`format`](mod@format)),
//! properties ([`property`]), events ([`event`]).
//!
//! Foreign values are newtypes or constants, never Rust enums: whatever number arrives has a meaning or is
//! refused, none is undefined.
pub mod event;
pub mod format;
pub mod property;
pub mod rt;

pub use event::*;
pub use format::*;
pub use property::*;
pub use rt::*;
