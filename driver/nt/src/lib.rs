//! The few NT kernel types and calls a WaveRT driver stands on, under the names `wdk-sys` gives them.
//!
//! * [`sys`] is the raw face: structures, constants, functions. What is declared here was checked against the
//!   public DDI pages (windows-driver-docs-ddi), and the sizes that matter are asserted at compile time.
//! * The other modules are the safe face, one idea each: [`bus`], [`pool`], [`spinlock`], [`mutex`],
//!   [`event`], [`dpc`], [`mmio`], [`fence`], [`gate`], [`contiguous`], [`interrupt`], [`clock`],
//!   [`rundown`], [`text`], [`timer`], [`klog`].
//!
//! Three worlds compile this crate:
//!
//! | world | `sys` is |
//! |---|---|
//! | Windows kernel (`cfg(windows)`) | our declarations, imported from `ntoskrnl.exe` and `HAL.dll` without import libraries |
//! | the same with feature `wdk` | `wdk_sys`, and what it lacks; compiled over ReactOS' headers only (`tests/wdk/run`), never with the WDK |
//! | any other target | our declarations, backed by the fakes in module `host`, so that pure logic can be tested with `cargo test` |
#![cfg_attr(not(test), no_std)]
// The names are the WDK's own, so that a reader finds them in its documentation.
#![allow(non_camel_case_types, non_snake_case, non_upper_case_globals)]
// `wide!`, `try_box` and friends are named in prose without backticks nowhere; DDI names would all need them.
#![allow(clippy::doc_markdown)]

extern crate alloc;
#[cfg(not(windows))]
extern crate std;

pub mod bus;
pub mod clock;
pub mod contiguous;
pub mod dpc;
pub mod event;
pub mod fence;
pub mod gate;
#[cfg(not(windows))]
pub mod host;
pub mod interrupt;
pub mod irql;
pub mod klog;
pub mod mmio;
pub mod mutex;
pub mod pool;
pub mod rundown;
#[cfg(all(windows, feature = "runtime", not(test)))]
mod runtime;
pub mod spinlock;
pub mod status;
pub mod sys;
pub mod text;
pub mod timer;

pub use status::{NtResult, check, nt_success};
pub use sys::NTSTATUS;
