//! What ntguest reads from its volume: `\ntguest.cfg`, `\ringwave.sys`, and the WAV file and the update
//! that the former names.

use alloc::format;

use super::uefi::{Firmware, Memory};
use crate::kernel::sync::IrqLock;
use crate::kernel::{bad_input, cfg};

struct Files {
    driver: &'static [u8],
    update: &'static [u8],
    wav: &'static [u8],
}

static FILES: IrqLock<Files> = IrqLock::new(Files { driver: &[], update: &[], wav: &[] });
static MEMORY: IrqLock<Option<(Memory, u64)>> = IrqLock::new(None);

/// Reads everything; what is missing ends the run.
pub fn read_all(firmware: &Firmware) {
    let must = |path: &str| {
        firmware.read(path).unwrap_or_else(|| bad_input(format_args!("cannot read {path} from the volume")))
    };
    let text = must("\\ntguest.cfg");
    match core::str::from_utf8(text) {
        Ok(text) => cfg::init(text),
        Err(_) => bad_input(format_args!("ntguest.cfg is no text")),
    }
    let driver = must("\\ringwave.sys");
    // Without a WAV file the client gets an empty one: enough to load and unload a driver.
    let wav = cfg::get("wav").map_or(&[][..], |name| must(&format!("\\{name}")));
    let update = cfg::get("update").map_or(driver, |name| must(&format!("\\{name}")));
    *FILES.lock() = Files { driver, update, wav };
}

/// The WAV file.
pub fn wav() -> &'static [u8] {
    FILES.lock().wav
}

/// The driver's image file.
pub fn driver() -> &'static [u8] {
    FILES.lock().driver
}

/// The image file that replaces it (cfg `update=`); without that the same.
pub fn update() -> &'static [u8] {
    FILES.lock().update
}

/// Keeps the memory map across the change of stacks.
pub fn remember_memory(memory: Memory, seed: u64) {
    *MEMORY.lock() = Some((memory, seed));
}

/// The memory map that was kept.
pub fn take_memory() -> (Memory, u64) {
    MEMORY.lock().take().unwrap_or_else(|| bad_input(format_args!("the memory map is lost")))
}
