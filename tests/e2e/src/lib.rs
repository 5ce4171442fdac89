//! What the end-to-end tests add to the runner (`qemu-scripts/runner`), which plays and records through the shipped driver as a user does:
//! [`bare::BareGuest`], the guest that drives the card without the driver.

pub mod bare;
