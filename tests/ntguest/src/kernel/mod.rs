//! The NT kernel as a WaveRT driver sees it, as strict as Driver Verifier.
//!
//! One to four processors; CR8 is the IRQL; every service states the highest IRQL it may be called at (in the
//! table of exports), and what it finds wrong is a [`violation`] with the name of a rule.

pub mod acpi;
pub mod cfg;
pub mod exports;
pub mod format;
pub mod message_count;
pub mod page_map;
pub mod pe;
pub mod registry;
pub mod stale;

#[cfg(target_os = "uefi")]
pub mod apic;
#[cfg(target_os = "uefi")]
pub mod bus;
#[cfg(target_os = "uefi")]
pub mod call;
#[cfg(target_os = "uefi")]
pub mod cards;
#[cfg(target_os = "uefi")]
pub mod cpu;
#[cfg(target_os = "uefi")]
pub mod d3;
#[cfg(target_os = "uefi")]
pub mod dma;
#[cfg(target_os = "uefi")]
pub mod dpc;
#[cfg(target_os = "uefi")]
pub mod event;
#[cfg(target_os = "uefi")]
pub mod fault;
#[cfg(target_os = "uefi")]
pub mod gone;
#[cfg(target_os = "uefi")]
pub mod handle;
#[cfg(target_os = "uefi")]
pub mod harsh;
#[cfg(target_os = "uefi")]
pub mod heap;
#[cfg(target_os = "uefi")]
pub mod host_time;
#[cfg(target_os = "uefi")]
pub mod hot_plug;
#[cfg(target_os = "uefi")]
pub mod idt;
#[cfg(target_os = "uefi")]
pub mod image;
#[cfg(target_os = "uefi")]
pub mod inject;
#[cfg(target_os = "uefi")]
pub mod interrupt;
#[cfg(target_os = "uefi")]
pub mod irp;
#[cfg(target_os = "uefi")]
pub mod irql;
#[cfg(target_os = "uefi")]
pub mod layout;
#[cfg(target_os = "uefi")]
mod lock_order;
#[cfg(target_os = "uefi")]
mod lock_watch;
#[cfg(target_os = "uefi")]
pub mod log;
#[cfg(target_os = "uefi")]
pub mod memory;
#[cfg(target_os = "uefi")]
pub mod msix;
#[cfg(target_os = "uefi")]
mod nonvolatile;
#[cfg(target_os = "uefi")]
pub mod paged;
#[cfg(target_os = "uefi")]
pub mod pages;
#[cfg(target_os = "uefi")]
pub mod paging;
#[cfg(target_os = "uefi")]
pub mod pci;
#[cfg(target_os = "uefi")]
pub mod phys;
#[cfg(target_os = "uefi")]
pub mod pool;
#[cfg(target_os = "uefi")]
pub mod processor;
#[cfg(target_os = "uefi")]
mod reenter;
#[cfg(target_os = "uefi")]
pub mod schedule;
#[cfg(target_os = "uefi")]
pub mod selftest;
#[cfg(target_os = "uefi")]
pub mod sleep;
#[cfg(target_os = "uefi")]
pub mod spin;
#[cfg(target_os = "uefi")]
mod stalls;
#[cfg(target_os = "uefi")]
pub mod sync;
#[cfg(target_os = "uefi")]
pub mod thread;
#[cfg(target_os = "uefi")]
pub mod time;
#[cfg(target_os = "uefi")]
pub mod timer;
#[cfg(target_os = "uefi")]
pub mod user_data;
#[cfg(target_os = "uefi")]
pub mod user_page;
#[cfg(target_os = "uefi")]
pub mod verdict;
#[cfg(target_os = "uefi")]
pub mod wait;
#[cfg(target_os = "uefi")]
pub mod work;

#[cfg(target_os = "uefi")]
use crate::boot::files::driver as boot_files;
#[cfg(target_os = "uefi")]
pub use exports::event_references;
#[cfg(target_os = "uefi")]
use exports::{open_regions, rtl_text};
#[cfg(target_os = "uefi")]
pub use harsh::harsh_violation;
#[cfg(target_os = "uefi")]
pub use verdict::{MAIN_STACK, bad_input, caller, fatal, run, unload_check, violation};
