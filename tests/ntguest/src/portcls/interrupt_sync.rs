//! `IInterruptSync` of `PcNewInterruptSync`: a list of service routines behind one interrupt of the resource
//! list (pages of the interface, of `PcNewInterruptSync` and of "Interrupt Sync Objects").
//!
//! No page says what becomes of a message-signaled interrupt here (doubt): the object connects the vector and
//! level of the translated descriptor, as it does for a line.

use super::adapter;
use super::cm_list::TYPE_INTERRUPT;
use super::guid::IID_INTERRUPT_SYNC;
use super::layout::CmPartialResourceDescriptor;
use super::object::{self, Body, Interface, Object};
use super::resources;
use super::status::Status;
use super::vtable::{This, Unknown};
use crate::kernel::call::driver_call;
use crate::kernel::harsh::harsh_violation;
use crate::kernel::sync::IrqLock;
use crate::kernel::{self, interrupt, irql};
use alloc::boxed::Box;
use core::ffi::c_void;
use core::ptr;

/// `FULLY_SPECIFIED` of `IoConnectInterruptEx`.
const FULLY_SPECIFIED: usize = 1;
/// Service routines of one object; drivers have one or two.
const MOST: usize = 8;
/// `InterruptSyncModeRepeat` ends after so many rounds: a routine that always claims is a storm.
const ROUNDS: u32 = 1000;

/// `PINTERRUPTSYNCROUTINE`
type Routine = unsafe extern "win64" fn(This, *mut c_void) -> i32;

/// `INTERRUPTSYNCMODE`
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Until one routine claims the interrupt.
    Normal,
    /// Each once.
    All,
    /// Until a round in which none claims it.
    Repeat,
}

#[repr(C)]
struct Vtable {
    unknown: Unknown,
    call_synchronized_routine: unsafe extern "win64" fn(This, Option<Routine>, *mut c_void) -> i32,
    get_k_interrupt: unsafe extern "win64" fn(This) -> *mut c_void,
    connect: unsafe extern "win64" fn(This) -> i32,
    disconnect: unsafe extern "win64" fn(This),
    register_service_routine: unsafe extern "win64" fn(This, Option<Routine>, *mut c_void, u8) -> i32,
}

static VTABLE: Vtable = Vtable {
    unknown: object::UNKNOWN,
    call_synchronized_routine,
    get_k_interrupt,
    connect,
    disconnect,
    register_service_routine,
};

#[derive(Clone, Copy)]
struct Routines {
    list: [Option<(Routine, *mut c_void)>; MOST],
    count: usize,
}

/// The interrupt, its routines and, while it is connected, its KINTERRUPT.
struct InterruptSync {
    level: u8,
    vector: u32,
    affinity: u64,
    shared: bool,
    mode: Mode,
    this: IrqLock<usize>,
    routines: IrqLock<Routines>,
    connected: IrqLock<usize>,
}

impl Body for InterruptSync {
    fn destroyed(&self) {
        if *self.connected.lock() != 0 {
            harsh_violation(
                "interrupt-sync",
                format_args!("the last Release of an IInterruptSync that is connected"),
            );
            self.take_away();
        }
    }
}

impl InterruptSync {
    fn take_away(&self) {
        let connected = core::mem::take(&mut *self.connected.lock());
        if connected != 0 {
            let mut parameters = [FULLY_SPECIFIED, connected];
            interrupt::disconnect(parameters.as_mut_ptr().cast());
        }
    }
}

/// A new object for the `index`th interrupt of a resource list.
pub fn create(list: This, index: u32, mode: u32) -> Result<&'static Object, Status> {
    const SERVICE: &str = "PcNewInterruptSync";
    let mode = match mode {
        1 => Mode::Normal,
        2 => Mode::All,
        3 => Mode::Repeat,
        _ => return Err(Status::INVALID_PARAMETER),
    };
    let found = resources::translated(list, TYPE_INTERRUPT, index, SERVICE);
    let Some(CmPartialResourceDescriptor { share_disposition, u, .. }) = found else {
        return Err(Status::INVALID_PARAMETER);
    };
    let [level, vector, low, high] = u;
    let body = InterruptSync {
        // The upper half of the word is the processor group.
        level: u8::try_from(level & 0xffff).unwrap_or(u8::MAX),
        vector,
        affinity: u64::from(low) | u64::from(high) << 32,
        shared: share_disposition == 3,
        mode,
        this: IrqLock::new(0),
        routines: IrqLock::new(Routines { list: [None; MOST], count: 0 }),
        connected: IrqLock::new(0),
    };
    let interface = Interface { iids: &[IID_INTERRUPT_SYNC], vtable: (&raw const VTABLE).cast() };
    let object = object::create("IInterruptSync", Box::new(body), &[interface]);
    if let Some(body) = object.body::<InterruptSync>() {
        *body.this.lock() = object.this().addr();
    }
    Ok(object)
}

/// The KSERVICE_ROUTINE of every object.
unsafe extern "win64" fn service(_interrupt: *mut c_void, context: *mut c_void) -> u8 {
    // SAFETY: the body of an object of ours, whose memory is never freed.
    let body = unsafe { &*context.cast::<InterruptSync>() };
    let (routines, this) = (*body.routines.lock(), ptr::without_provenance_mut::<c_void>(*body.this.lock()));
    let mut any = false;
    for _ in 0..ROUNDS {
        let mut claimed = false;
        for (routine, context) in routines.list.iter().take(routines.count).flatten() {
            // SAFETY: a routine that the driver registered, with its own context, at the interrupt's level.
            claimed |= Status(unsafe { routine(this, *context) }).is_success();
            if claimed && body.mode == Mode::Normal {
                break;
            }
        }
        any |= claimed;
        if !claimed || body.mode != Mode::Repeat {
            break;
        }
    }
    u8::from(any)
}

fn enter(this: This, method: &'static str) -> Option<&'static InterruptSync> {
    irql::require(method, irql::PASSIVE);
    object::find_body(this, method).map(|(_, body)| body)
}

unsafe extern "win64" fn call_synchronized_routine(
    this: This,
    routine: Option<Routine>,
    context: *mut c_void,
) -> i32 {
    const METHOD: &str = "IInterruptSync::CallSynchronizedRoutine";
    let Some((_, body)) = object::find_body::<InterruptSync>(this, METHOD) else {
        return Status::INVALID_PARAMETER.0;
    };
    irql::require(METHOD, body.level);
    let Some(routine) = routine.filter(|routine| adapter::is_driver_code(*routine as usize)) else {
        return Status::INVALID_PARAMETER.0;
    };
    let connected = ptr::without_provenance_mut::<c_void>(*body.connected.lock());
    let call = || {
        driver_call("a synchronized routine", body.level, || {
            // SAFETY: a routine of the driver with its own context, at the level of the interrupt.
            unsafe { routine(this, context) }
        })
    };
    if connected.is_null() {
        return call();
    }
    let old = interrupt::acquire_lock(connected);
    let status = call();
    interrupt::release_lock(connected, old);
    status
}

unsafe extern "win64" fn get_k_interrupt(this: This) -> *mut c_void {
    const METHOD: &str = "IInterruptSync::GetKInterrupt";
    let body = object::find_body::<InterruptSync>(this, METHOD).map(|(_, body)| body);
    body.map_or(ptr::null_mut(), |body| ptr::without_provenance_mut(*body.connected.lock()))
}

unsafe extern "win64" fn connect(this: This) -> i32 {
    const METHOD: &str = "IInterruptSync::Connect";
    let Some(body) = enter(this, METHOD) else { return Status::INVALID_PARAMETER.0 };
    if *body.connected.lock() != 0 || body.routines.lock().count == 0 {
        kernel::violation(
            "interrupt-sync",
            format_args!("{METHOD} of an object that is connected, or has no routine, {}", object::lately()),
        );
        return Status::INVALID_DEVICE_STATE.0;
    }
    let mut interrupt: *mut c_void = ptr::null_mut();
    let routine = service as *const () as usize;
    let word = usize::from(body.level) | usize::from(body.shared) << 16 | (body.vector as usize) << 32;
    let context = ptr::from_ref(body).addr();
    let affinity = usize::try_from(body.affinity).unwrap_or(1);
    // Version, device, where the KINTERRUPT goes, routine, context, no lock of its own, SynchronizeIrql,
    // FloatingSave, ShareVector and Vector, Irql and InterruptMode, affinity, group.
    let mut parameters = [
        FULLY_SPECIFIED,
        adapter::pdo().addr(),
        (&raw mut interrupt).addr(),
        routine,
        context,
        0,
        word,
        usize::from(body.level),
        affinity,
        0,
    ];
    let status = Status(interrupt::connect(parameters.as_mut_ptr().cast()));
    if status.is_success() {
        *body.connected.lock() = interrupt.addr();
    }
    status.0
}

unsafe extern "win64" fn disconnect(this: This) {
    if let Some(body) = enter(this, "IInterruptSync::Disconnect") {
        body.take_away();
    }
}

unsafe extern "win64" fn register_service_routine(
    this: This,
    routine: Option<Routine>,
    context: *mut c_void,
    first: u8,
) -> i32 {
    const METHOD: &str = "IInterruptSync::RegisterServiceRoutine";
    let Some(body) = enter(this, METHOD) else { return Status::INVALID_PARAMETER.0 };
    let Some(routine) = routine.filter(|routine| adapter::is_driver_code(*routine as usize)) else {
        kernel::violation("interrupt-sync", format_args!("{METHOD} of no routine, {}", object::lately()));
        return Status::INVALID_PARAMETER.0;
    };
    let mut routines = body.routines.lock();
    let Routines { list, count } = &mut *routines;
    if *count >= MOST {
        return Status::INSUFFICIENT_RESOURCES.0;
    }
    let at = if first == 0 { *count } else { 0 };
    list.copy_within(at..*count, at + 1);
    list[at] = Some((routine, context));
    *count += 1;
    Status::SUCCESS.0
}
