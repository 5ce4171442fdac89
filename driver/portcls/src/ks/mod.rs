//! Kernel streaming: states, positions, WaveRT's own structures ([`rt`]), formats ([`format`](mod@format)), properties ([`property`]).
//!
//! Foreign values are newtypes or constants, never Rust enums: whatever number arrives has a meaning or is refused, none is undefined.
pub mod format;
pub mod property;
pub mod rt;

pub use format::*;
pub use property::*;
pub use rt::*;
