//! What the end-to-end tests add to the runner (`qemu-scripts/runner`), which plays and records through the
//! shipped driver as a user does: the runs with everything printed, what is played, [`bare::BareGuest`], the
//! guest that drives the card without the driver, and [`process_usage::ProcessUsage`], for what is left
//! behind.

pub mod bare;
pub mod noise;
pub mod process_usage;
pub mod runs;
pub mod tune_file;
