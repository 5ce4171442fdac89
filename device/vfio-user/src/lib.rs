//! vfio-user for anyone's device: a server that can face a hostile client, and a client to look at any server
//! with.
//!
//! vfio-user lets a process be the PCI device that a virtual machine sees: the client (QEMU,
//! cloud-hypervisor, a test) sends what it would ask the kernel's VFIO as messages on a UNIX socket, with
//! file descriptors for guest memory and interrupts. Clauses cited in this crate are headings of the
//! *vfio-user Protocol Specification* (QEMU, `docs/interop/vfio-user.rst`); errnos are those of Linux'
//! `drivers/vfio`.
//!
//! * [`Device`] is what you write: what it is made of, and what happens on a read, a write, a map, an
//!   interrupt, a reset.
//! * [`pci`] recognises what a write to configuration space asks besides, and the device hears of it as a
//!   call of its own.
//! * [`Session`] is one client's conversation as a pure state machine: bytes and descriptors in, bytes and
//!   descriptors out. It checks everything that can be checked without knowing the device, bounds every
//!   allocation, stays in step after every error, and cannot panic on what a client sends. It can be fuzzed
//!   without a socket.
//! * [`Listener`] and [`serve`] are the thin shell of sockets around it; a [`Stop`] ends them from another
//!   thread.
//! * [`Client`] is the other end, typed, blocking and with a time limit; [`RawClient`] sends anything at all.
//!
//! What is not there, and refused by name: migration, dirty pages, `DMA_READ`/`DMA_WRITE` (a device gets no
//! access to memory that the client did not share), twin sockets.

mod client;
mod device;
mod listener;
mod mapping;
mod maps;
pub mod pci;
mod refusal;
mod server;
mod session;
mod socket;
mod version;
pub mod wire;

pub use client::{Client, ClientError, DeviceReply, Frame, Limits, RawClient, RegionReply};
pub use device::{
    Area, Device, DmaAccess, DmaMap, IrqAction, IrqChange, IrqInfo, MappedRegion, RegionInfo, Vectors,
};
pub use listener::{Listener, ListenerError};
pub use mapping::Mapping;
pub use refusal::{CloseReason, Refusal};
pub use rustix::io::Errno;
pub use server::{ClientEnd, ServeError, Stop, accept, passes, serve, serve_client};
pub use session::{Reply, Session, Step};

/// The README's examples are compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeExamples;
