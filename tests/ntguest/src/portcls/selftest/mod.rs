//! PortCls judges itself, with a small driver of its own (`driver`): `selftest=portcls` uses what PortCls
//! offers as a good driver does and must end without a violation; each other case breaks one rule and must
//! name it. `tests/rules.rs` boots them, all in one.
//!
//! Exports are called through import thunks, interfaces through their vtables, as a driver calls them.

mod cases;
mod driver;
mod good;
mod pnp_cases;

use super::{adapter, check_leaks, pnp};
use crate::kernel::{exports, image};

/// The thunk of an export of portcls.sys, as the type the caller gives.
macro_rules! export {
    ($name:literal as fn($($argument:ty),*) $(-> $result:ty)?) => {{
        let address = $crate::portcls::selftest::thunk($name);
        // SAFETY: the thunk leads to the export of this name; the type is the one of its DDI page.
        unsafe { core::mem::transmute::<usize, extern "win64" fn($($argument),*) $(-> $result)?>(address) }
    }};
}

/// Calls a slot of an interface of PortCls: its number, its type without `this`, and the arguments.
macro_rules! slot {
    ($this:expr, $number:literal, fn($($argument:ty),*) $(-> $result:ty)?, $($value:expr),*) => {{
        let this: $crate::portcls::vtable::This = $this;
        // SAFETY: a live interface of PortCls, whose table has the slot with this type (portcls.h).
        unsafe {
            let table = *this.cast::<*const usize>();
            let method = core::mem::transmute::<
                usize,
                unsafe extern "win64" fn($crate::portcls::vtable::This, $($argument),*) $(-> $result)?,
            >(*table.add($number));
            method(this, $($value),*)
        }
    }};
}

use {export, slot};

/// The thunk of an export.
fn thunk(name: &str) -> usize {
    let found = exports::lookup("portcls.sys", name);
    image::late_thunk(name, found.unwrap_or_else(|| panic!("{name} is not offered")))
}

/// Runs the case that `ntguest.cfg` names, or with `portcls-rules` all of them, a line before each. False
/// when there is none of this name.
pub fn run(name: &str) -> bool {
    let wanted = |known: &str| name == "portcls-rules" || name == known;
    let mut cases = cases::CASES.iter().filter(|(known, _, _)| wanted(known)).peekable();
    if name == "portcls" {
        around(good::run);
        return true;
    }
    let found = cases.peek().is_some();
    for (name, _, case) in cases {
        crate::kprintln!("case {name}");
        around(*case);
    }
    found
}

/// A case, with a device before it and everything that must be gone after it.
fn around(case: fn()) {
    adapter::add_selftest_device();
    case();
    pnp::remove();
    check_leaks();
}
