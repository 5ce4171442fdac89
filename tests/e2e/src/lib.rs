//! What the end-to-end tests add to the runner (`qemu-scripts/runner`), which plays and records through the
//! shipped driver as a user does: the runs with everything printed, what is played, [`bare::BareGuest`], the
//! guest that drives the card without the driver, [`linux_guest`], a Linux guest with its own, [`stand_in`],
//! the machine of the stand-in for Windows, and [`process_usage::ProcessUsage`], for what is left behind.

pub mod bare;
pub mod linux_guest;
pub mod noise;
pub mod process_usage;
pub mod qemu_events;
pub mod runs;
pub mod stand_in;
pub mod tune_file;
