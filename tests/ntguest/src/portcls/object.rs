//! The COM objects PortCls gives to a driver: reference counted, checked, and never really freed.
//!
//! An object has one *face* (vtable pointer) per interface it offers. Its memory outlives its last reference,
//! so that a driver that calls once too often gets the rule's name (`object-use-after-release`) instead of a
//! crash in ntguest. What still has references at unload is a leak (`object-leak`).

use super::guid::{Guid, IID_UNKNOWN, Named};
use super::status::Status;
use super::vtable::{This, Unknown};
use crate::kernel::sync::IrqLock;
use crate::kernel::{self, inject, irql};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::any::Any;
use core::ffi::c_void;
use core::ptr;
use core::sync::atomic::{AtomicU32, Ordering};

/// What an object does besides being counted.
pub trait Body: Any {
    /// Called once, when the last reference went.
    fn destroyed(&self) {}
}

/// One interface of an object: what an interface pointer points to.
#[repr(C)]
struct Face {
    vtable: *const c_void,
    iids: &'static [Guid],
}

/// An object of PortCls.
pub struct Object {
    kind: &'static str,
    serial: usize,
    references: AtomicU32,
    faces: Box<[Face]>,
    body: Box<dyn Body>,
}

static OBJECTS: IrqLock<Vec<&'static Object>> = IrqLock::new(Vec::new());

/// An interface that an object will offer: the identifiers that lead to it and its vtable.
pub struct Interface {
    /// Every IID that leads to this vtable.
    pub iids: &'static [Guid],
    /// The vtable, which begins with [`UNKNOWN`]'s three slots.
    pub vtable: *const c_void,
}

/// Makes an object with one reference. The first interface is its identity (`IUnknown`).
pub fn create(kind: &'static str, body: Box<dyn Body>, interfaces: &[Interface]) -> &'static Object {
    let faces = interfaces.iter().map(|i| Face { vtable: i.vtable, iids: i.iids }).collect();
    let mut objects = OBJECTS.lock();
    let serial = objects.len();
    let object: &'static Object =
        Box::leak(Box::new(Object { kind, serial, references: AtomicU32::new(1), faces, body }));
    objects.push(object);
    object
}

impl Object {
    /// The pointer to its identity interface.
    pub fn this(&self) -> This {
        self.faces.first().map_or(ptr::null_mut(), |face| ptr::from_ref(face).cast_mut().cast())
    }

    /// One more reference.
    pub fn add_ref(&self) -> u32 {
        self.references.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// One reference less; the last one destroys the object.
    pub fn release(&self) -> u32 {
        let before = self.references.load(Ordering::Relaxed);
        if before == 0 {
            return 0;
        }
        let left = self.references.fetch_sub(1, Ordering::AcqRel) - 1;
        if left == 0 {
            irql::require("the last Release of a PortCls object", irql::PASSIVE);
            self.body.destroyed();
        }
        left
    }

    /// References that exist now.
    pub fn references(&self) -> u32 {
        self.references.load(Ordering::Relaxed)
    }

    /// What it is inside, when it is a `T`.
    pub fn body<T: Body>(&self) -> Option<&T> {
        let body: &dyn Any = &*self.body;
        body.downcast_ref()
    }

    /// The interface pointer for `iid`, without a reference.
    pub fn face(&self, iid: &Guid) -> Option<This> {
        if *iid == IID_UNKNOWN {
            return Some(self.this());
        }
        self.faces
            .iter()
            .find(|face| face.iids.contains(iid))
            .map(|face| ptr::from_ref(face).cast_mut().cast())
    }

    fn owns(&self, this: This) -> bool {
        self.faces.iter().any(|face| ptr::eq(ptr::from_ref(face).cast(), this))
    }
}

/// The object behind an interface pointer; `None` when it is none of ours or has no reference left. The
/// caller names itself.
pub fn find(this: This, method: &str) -> Option<&'static Object> {
    let found = OBJECTS.lock().iter().rev().find(|object| object.owns(this)).copied();
    let Some(object) = found else {
        kernel::violation(
            "object-unknown",
            format_args!("{method} on {this:p}, which is no PortCls object, {}", lately()),
        );
        return None;
    };
    if object.references() == 0 {
        kernel::violation(
            "object-use-after-release",
            format_args!(
                "{method} on {} #{} after its last Release, {}",
                object.kind,
                object.serial,
                lately()
            ),
        );
        return None;
    }
    Some(object)
}

/// The object behind an interface pointer and its body; a wrong kind is reported like an unknown object.
pub fn find_body<T: Body>(this: This, method: &str) -> Option<(&'static Object, &'static T)> {
    let object = find(this, method)?;
    if let Some(body) = object.body() {
        return Some((object, body));
    }
    kernel::violation("object-unknown", format_args!("{method} on a {}, {}", object.kind, lately()));
    None
}

/// Where the driver was last heard of: calls through vtables leave no trace, calls of imports do.
pub fn lately() -> impl core::fmt::Display {
    Lately
}

struct Lately;

impl core::fmt::Display for Lately {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "last import called {}", kernel::caller())
    }
}

/// References to all our objects together.
pub fn references() -> u64 {
    OBJECTS.lock().iter().map(|object| u64::from(object.references())).sum()
}

/// Reports what still has references (rule `object-leak`).
pub fn check_leaks() {
    let leaked: Vec<&'static Object> =
        OBJECTS.lock().iter().filter(|object| object.references() > 0).copied().collect();
    for object in leaked {
        kernel::violation(
            "object-leak",
            format_args!(
                "{} #{} has {} reference(s) left at unload",
                object.kind,
                object.serial,
                object.references()
            ),
        );
    }
}

/// The three slots every vtable of ours begins with.
pub const UNKNOWN: Unknown = Unknown { query_interface, add_ref, release };

unsafe extern "win64" fn query_interface(this: This, iid: *const Guid, out: *mut This) -> i32 {
    irql::require("QueryInterface of a PortCls object", irql::PASSIVE);
    if iid.is_null() || out.is_null() {
        kernel::violation("null-argument", format_args!("QueryInterface, {}", lately()));
        return Status::INVALID_PARAMETER.0;
    }
    // SAFETY: both pointers are non-null and the driver's own by the contract of QueryInterface; a bad one
    // faults and is named.
    let (iid, out) = unsafe { (iid.read_unaligned(), &mut *out) };
    *out = ptr::null_mut();
    let Some(object) = find(this, "QueryInterface") else { return Status::INVALID_PARAMETER.0 };
    let known = iid == IID_UNKNOWN;
    if let Some(status) = (!known).then(|| inject::QUERY_INTERFACE.fails()).flatten() {
        return status.0;
    }
    let Some(face) = object.face(&iid) else {
        crate::kprintln!("{} does not offer {}", object.kind, Named(iid));
        return Status::NOINTERFACE.0;
    };
    object.add_ref();
    *out = face;
    Status::SUCCESS.0
}

unsafe extern "win64" fn add_ref(this: This) -> u32 {
    find(this, "AddRef").map_or(0, Object::add_ref)
}

unsafe extern "win64" fn release(this: This) -> u32 {
    find(this, "Release").map_or(0, Object::release)
}
