//! Interface pointers of the driver's objects: every call goes through `driver_call`, every reference is
//! given back.

use super::fault::{self, Fault};
use super::guid::{Guid, IID_NOBODY, IID_UNKNOWN, Named};
use super::status::Status;
use super::vtable::{This, Unknown};
use crate::kernel::call::driver_call;
use crate::kernel::{self, irql};
use core::marker::PhantomData;
use core::mem::ManuallyDrop;
use core::ptr;

/// One reference to an interface whose vtable is `V` (which begins with [`Unknown`]).
pub struct Com<V> {
    this: This,
    vtable: PhantomData<V>,
}

impl<V> Com<V> {
    /// Takes over a reference the driver gave; `None` for null.
    ///
    /// # Safety
    /// `this` is null or an interface pointer with vtable `V` that carries a reference.
    pub unsafe fn from_raw(this: This) -> Option<Self> {
        (!this.is_null()).then_some(Self { this, vtable: PhantomData })
    }

    /// Takes a reference of its own on an interface the driver only lends; `None` for null.
    ///
    /// # Safety
    /// `this` is null or an interface pointer with vtable `V`, alive for the call.
    pub unsafe fn from_lent(this: This) -> Option<Self> {
        // SAFETY: as promised; the lent reference itself is not dropped.
        let lent = ManuallyDrop::new(unsafe { Self::from_raw(this) }?);
        Some(lent.duplicate())
    }

    /// The interface pointer, still owned by `self`.
    pub fn this(&self) -> This {
        self.this
    }

    /// The vtable.
    pub fn vtable(&self) -> &V {
        // SAFETY: by the contract of `from_raw` the first word of a live interface is a pointer to its
        // vtable.
        unsafe { &**self.this.cast::<*const V>() }
    }

    fn unknown(&self) -> &Unknown {
        // SAFETY: every `V` begins with the three slots of IUnknown.
        unsafe { &**self.this.cast::<*const Unknown>() }
    }

    /// Asks for another interface. On failure the driver must have written null (rule `qi-not-null`).
    pub fn query<W>(&self, iid: &Guid) -> Result<Com<W>, Status> {
        let mut out: This = ptr::dangling_mut::<usize>().cast();
        // SAFETY: a live interface, a GUID and a slot for the answer, as QueryInterface wants them.
        let status = driver_call("QueryInterface", irql::PASSIVE, || unsafe {
            Status((self.unknown().query_interface)(self.this, iid, &raw mut out))
        });
        if status.is_success() && !out.is_null() && out != ptr::dangling_mut::<usize>().cast() {
            return Ok(Com { this: out, vtable: PhantomData });
        }
        if status.is_success() || !out.is_null() {
            let what = if status.is_success() {
                "succeeded without writing an interface"
            } else {
                "failed and did not write NULL"
            };
            // A caller of the kernel looks at the status alone; that NULL is written is COM's rule.
            let report = if status.is_success() { kernel::violation } else { kernel::harsh_violation };
            report("qi-not-null", format_args!("QueryInterface for {} {what}", Named(*iid)));
        }
        Err(if status.is_success() { Status::UNSUCCESSFUL } else { status })
    }

    /// A second reference to the same interface.
    pub fn duplicate(&self) -> Self {
        // SAFETY: a live interface.
        driver_call("AddRef", irql::PASSIVE, || unsafe { (self.unknown().add_ref)(self.this) });
        Self { this: self.this, vtable: PhantomData }
    }

    /// Gives the reference back; what the driver says is left.
    pub fn release(self) -> u32 {
        ManuallyDrop::new(self).give_back()
    }

    fn give_back(&self) -> u32 {
        // SAFETY: `self` owns one reference and is not used again by its callers.
        driver_call("Release", irql::PASSIVE, || unsafe { (self.unknown().release)(self.this) })
    }

    /// Identity rules of COM: IUnknown is the same pointer whichever interface is asked, a wrong IID is
    /// refused (WAVERT.md 0).
    pub fn check_identity(&self, what: &str) {
        let root = if fault::make(Fault::OtherUnknown) { IID_NOBODY } else { IID_UNKNOWN };
        let (Ok(one), Ok(two)) = (self.query::<Unknown>(&root), self.query::<Unknown>(&root)) else {
            kernel::violation("qi-identity", format_args!("{what} refuses IID_IUnknown"));
            return;
        };
        let again = one.query::<Unknown>(&IID_UNKNOWN).ok();
        if one.this != two.this || again.is_some_and(|again| again.this != one.this) {
            kernel::violation("qi-identity", format_args!("{what} has more than one IUnknown"));
        }
        if self.query::<Unknown>(&IID_NOBODY).is_ok() {
            kernel::violation("qi-identity", format_args!("{what} accepts an IID that nobody has"));
        }
    }

    /// That two interfaces belong to one object.
    pub fn check_same_object<W>(&self, other: &Com<W>, what: &str) {
        let identity = |unknown: Result<Com<Unknown>, Status>| unknown.map(|unknown| unknown.this).ok();
        if identity(self.query(&IID_UNKNOWN)) != identity(other.query(&IID_UNKNOWN)) {
            kernel::violation(
                "qi-identity",
                format_args!("{what}: two interfaces of one object, two IUnknowns"),
            );
        }
    }
}

impl<V> Drop for Com<V> {
    fn drop(&mut self) {
        self.give_back();
    }
}
