//! Capabilities: what an administrator's process may do beyond what files and owners allow. Serving needs
//! none.
//!
//! They belong to a thread and are inherited by those that it starts, so they are dropped before there is a
//! second one. A process that was started by root then writes only where root is the owner, or where
//! everybody may.

use std::io;

use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities};

/// Drops all of this thread, for good: effective, permitted, inheritable, and with these the ambient ones.
pub fn drop_all() -> io::Result<()> {
    let none = CapabilitySet::empty();
    let sets = CapabilitySets { effective: none, permitted: none, inheritable: none };
    Ok(set_capabilities(None, sets)?)
}
