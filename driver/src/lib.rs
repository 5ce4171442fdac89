//! The WaveRT driver for the Ringwave sound card.
//!
//! | module | what |
//! |---|---|
//! | [`entry`] | what PortCls and PnP call: DriverEntry, AddDevice, StartDevice, PnP; the filters |
//! | [`adapter`] | a started device: card, interrupt, DPC, power, open streams |
//! | [`wave`] | the WaveRT miniport and its stream |
//! | [`topology`] | the topology miniport |
//! | [`hw`] | the cards: neutral types, the trait, one module per card |
//! | [`registry`], [`names`] | what the driver and its INF agree on |
//!
//! The library is all of the driver; `main.rs` makes `ringwave.sys` of it. It is `no_std` on Windows, and
//! compiled for the host too, where the fakes of `nt::host` let its logic be tested. What a test there can't
//! see (levels, leaks, order of calls) is judged by `tests/ntguest`, which loads the very image that ships.
//!
//! Kernel rules that hold everywhere: no allocation that can't fail, none at DISPATCH_LEVEL; no floating
//! point; no panic that a client or the card could reach; what runs at DISPATCH_LEVEL is in non-paged memory
//! (all of it is).
#![cfg_attr(not(any(test, feature = "hostile-card")), no_std)]
// The names of interfaces, calls and levels are the WDK's; as code each would shout.
#![allow(clippy::doc_markdown)]

extern crate alloc;

pub mod adapter;
#[cfg(test)]
mod asking;
pub mod default_format;
pub mod entry;
#[cfg(any(test, feature = "hostile-card"))]
pub mod hostile_card;
#[cfg(any(test, feature = "hostile-card"))]
pub mod hostile_virtio;
pub mod hw;
pub mod names;
#[cfg(test)]
mod page_end;
pub mod registry;
pub mod topology;
pub mod wave;
