//! Kernel streaming: states, positions, WaveRT's own structures ([`rt`]), formats ([`format`](mod@format)),
//! properties ([`property`], [`audio_property`]), events ([`event`]), offload ([`audio_engine`]) and what
//! newer Windows asks for ([`audio_module`]).
//!
//! Values that Microsoft's metadata of the SDK has are compared with it (`tests/metadata.rs`).
//!
//! Foreign values are newtypes or constants, never Rust enums: whatever number arrives has a meaning or is
//! refused, none is undefined.
pub mod audio_engine;
pub mod audio_module;
pub mod audio_property;
pub mod event;
pub mod format;
pub mod property;
pub mod rt;

pub use audio_engine::*;
pub use audio_module::*;
pub use audio_property::*;
pub use event::*;
pub use format::*;
pub use property::*;
pub use rt::*;
