//! The device that nobody uses: PortCls' inactivity timer, and its way back to power.
//!
//! When nobody has used the device for PerformanceIdleTime seconds (cfg `performance_idle_time=`, which is
//! what HKR\PowerSettings says; 0, the default, is never), a power IRP takes it to D3. It has power again
//! before the next use reaches the driver: a stream that is opened, a change of state, a property, an event.
//! Source: "Audio Device Class Inactivity Timer Implementation". A device that asked for D3 itself
//! (PcRequestNewPowerState) is in the same place.
//!
//! *Doubt*: of what counts as use the page names "I/O and property accesses". A stream in RUN keeps the device
//! busy here, for its client may have nothing but a mapped position register; an open stream in another state
//! does not.
//!
//! One device: with `cards=2` neither the timer nor PcRequestNewPowerState is modelled.

use super::power;
use super::status::Status;
use crate::kernel::sync::IrqLock;
use crate::kernel::thread::{self, DRIVER_STACK, ThreadId};
use crate::kernel::{self, cards, cfg, gone, time};
use core::ffi::c_void;
use core::ptr;

/// How often the timer looks, 100-ns units.
const LOOK: i64 = 500_000;
/// How long to wait for somebody else's power IRP, 100-ns units.
const WAIT: i64 = 1_000;

struct State {
    /// Uses that are going on. None begins while the power changes, and it changes only when there is none.
    uses: u32,
    /// The number of the thread that changes the power.
    changing: Option<usize>,
    asleep: bool,
    last_use_ms: u64,
    /// How often it fell asleep by its timer.
    rounds: u32,
    timer: Option<ThreadId>,
    ends: bool,
}

static STATE: IrqLock<State> = IrqLock::new(State {
    uses: 0,
    changing: None,
    asleep: false,
    last_use_ms: 0,
    rounds: 0,
    timer: None,
    ends: false,
});

/// The device is used, and has power, for as long as this lives.
pub struct Use(());

impl Drop for Use {
    fn drop(&mut self) {
        let mut state = STATE.lock();
        (state.uses, state.last_use_ms) = (state.uses.saturating_sub(1), time::ms());
    }
}

/// Somebody is about to use the device: one that is asleep gets its power back first. PASSIVE_LEVEL.
pub fn begin_use() -> Use {
    loop {
        let me = thread::SCHED.lock().current();
        let wakes = {
            let mut state = STATE.lock();
            // What the driver uses while it changes the power is a part of that.
            if !state.asleep && state.changing.is_none_or(|thread| thread == me) {
                state.uses += 1;
                return Use(());
            }
            let wakes = state.asleep && state.changing.is_none();
            if wakes {
                (state.changing, state.asleep) = (Some(me), false);
            }
            wakes
        };
        if wakes {
            let status = power::set_device(power::D0);
            STATE.lock().changing = None;
            if !status.is_success() {
                kernel::violation("call-failed", format_args!("the power IRP of an idle device: {status}"));
            }
        } else {
            thread::sleep_100ns(WAIT);
        }
    }
}

/// Begins to change the power when `may` says so; false when it does not.
fn begin_change(may: impl Fn(&State) -> bool) -> bool {
    let me = thread::SCHED.lock().current();
    let mut state = STATE.lock();
    let begins = state.changing.is_none() && may(&state);
    if begins {
        state.changing = Some(me);
    }
    begins
}

fn end_change(asleep: bool) {
    let mut state = STATE.lock();
    (state.changing, state.asleep) = (None, asleep);
}

/// The device goes to D3 for want of work, now.
pub fn fall_asleep() -> Result<(), Status> {
    while !begin_change(|state| state.uses == 0) {
        thread::sleep_100ns(WAIT);
    }
    let status = power::sleep_device();
    end_change(status.is_success());
    if status.is_success() { Ok(()) } else { Err(status) }
}

/// PcRequestNewPowerState: the driver wants D0 or D3. What it uses itself, or a client does in another
/// thread, is no reason to wait: whoever asks has to see to that.
pub fn request(state: u32) -> Status {
    require_one_card();
    let me = thread::SCHED.lock().current();
    loop {
        if begin_change(|_| true) {
            break;
        }
        if STATE.lock().changing == Some(me) {
            kernel::violation(
                "power-request",
                format_args!("PcRequestNewPowerState while the driver is told of a power state"),
            );
            return Status::INVALID_DEVICE_STATE;
        }
        thread::sleep_100ns(WAIT);
    }
    let to_d3 = state == power::D3;
    let status = if to_d3 { power::sleep_device() } else { power::set_device(state) };
    let asleep = STATE.lock().asleep;
    end_change(if status.is_success() { to_d3 } else { asleep });
    status
}

/// There is one state here, and no card in it.
fn require_one_card() {
    if cards::wanted() > 1 {
        kernel::bad_input(format_args!(
            "cards=2: an idle device (performance_idle_time=, PcRequestNewPowerState) is modelled with one card only"
        ));
    }
}

/// Whether the device sleeps for want of use.
pub fn is_asleep() -> bool {
    STATE.lock().asleep
}

/// How often the device fell asleep by its timer.
pub fn rounds() -> u32 {
    STATE.lock().rounds
}

/// Seconds after which it does; 0: never.
pub fn limit_s() -> u64 {
    cfg::get_u64("performance_idle_time", 0)
}

/// The device was started: the timer runs, if there is one.
pub fn start() {
    if limit_s() > 0 {
        require_one_card();
        {
            let mut state = STATE.lock();
            (state.ends, state.last_use_ms) = (false, time::ms());
        }
        let timer = thread::spawn("inactivity timer", watch, ptr::null_mut(), DRIVER_STACK);
        STATE.lock().timer = Some(timer);
    }
}

/// The device is about to be removed: the timer ends. One that is asleep is removed in D3. *Doubt*: no page
/// says whether PortCls gives it power before.
pub fn stop() {
    let timer = {
        let mut state = STATE.lock();
        state.ends = true;
        state.timer.take()
    };
    if let Some(timer) = timer {
        thread::join(timer);
        crate::kresult!("idle_rounds={}", rounds());
    }
    STATE.lock().asleep = false;
}

/// The timer's thread.
fn watch(_: *mut c_void) {
    let limit_ms = limit_s().saturating_mul(1000);
    loop {
        if STATE.lock().ends {
            return;
        }
        let runs = power::any_pin_runs();
        if runs {
            STATE.lock().last_use_ms = time::ms();
        }
        let is_due = |state: &State| {
            state.uses == 0 && !state.asleep && time::ms().saturating_sub(state.last_use_ms) >= limit_ms
        };
        if !runs && !gone::is_gone() && begin_change(is_due) {
            let status = power::sleep_device();
            end_change(status.is_success());
            if status.is_success() {
                STATE.lock().rounds += 1;
            } else {
                kernel::violation("call-failed", format_args!("the power IRP of an idle device: {status}"));
            }
        }
        thread::sleep_100ns(LOOK);
    }
}
