//! Handles: of registry keys and threads. What is not closed when the driver is gone is the violation
//! `handle-leak`.

use alloc::string::String;
use alloc::vec::Vec;

use super::sync::IrqLock;
use super::{caller, violation};

/// What a handle stands for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Object {
    /// A registry key, by the path that it is found by.
    Key(String),
    /// A thread, by the address of its object.
    Thread(usize),
}

/// OBJ_KERNEL_HANDLE of OBJECT_ATTRIBUTES.
pub const KERNEL_HANDLE: u32 = 0x200;
/// Kernel handles have these bits set on x64.
const KERNEL_BITS: usize = 0xffff_ffff_8000_0000;

static HANDLES: IrqLock<Vec<Option<Object>>> = IrqLock::new(Vec::new());

/// A new handle. Numbers are not used again.
pub fn new(object: Object, attributes: u32) -> usize {
    let mut handles = HANDLES.lock();
    handles.push(Some(object));
    let number = handles.len() * 4;
    if attributes & KERNEL_HANDLE != 0 { number | KERNEL_BITS } else { number }
}

fn index(handle: usize) -> Option<usize> {
    let number = handle & !KERNEL_BITS;
    number.is_multiple_of(4).then(|| (number / 4).checked_sub(1))?
}

/// What `handle` stands for; an unknown or closed one is the violation `handle-unknown`.
pub fn get(service: &str, handle: usize) -> Option<Object> {
    let found = index(handle).and_then(|at| HANDLES.lock().get(at).cloned().flatten());
    if found.is_none() {
        violation("handle-unknown", format_args!("{service} with handle {handle:#x}, {}", caller()));
    }
    found
}

/// Closes a handle; false when it was none.
pub fn close(service: &str, handle: usize) -> bool {
    let known = get(service, handle).is_some();
    if known && let Some(slot) = index(handle).and_then(|at| HANDLES.lock().get_mut(at).map(core::mem::take))
    {
        drop(slot);
    }
    known
}

/// Handles that are not closed.
pub fn open() -> usize {
    HANDLES.lock().iter().flatten().count()
}
