//! Time, and its limits: a call that does not come back is named by a thread that waits beside it, for nobody
//! can wait for a driver that hangs.

use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering};

use ringwave_winplay::hresult::Hresult;
use ringwave_winplay::outcome::{Cause, Failure};
use windows::Win32::System::Console::SetConsoleCtrlHandler;
use windows::Win32::System::Performance::{QueryPerformanceCounter, QueryPerformanceFrequency};
use windows::Win32::System::Threading::{
    CreateThread, GetCurrentProcess, Sleep, THREAD_CREATION_FLAGS, TerminateProcess,
};
use windows::core::BOOL;

use crate::lines;

/// Microseconds that a wait or a call may take.
static LIMIT: AtomicU64 = AtomicU64::new(u64::MAX);
/// When the run has to be over.
static TOTAL: AtomicU64 = AtomicU64::new(u64::MAX);
/// When the call has to be back, and which it is.
static DEADLINE: AtomicU64 = AtomicU64::new(u64::MAX);
static CALL: AtomicPtr<&'static str> = AtomicPtr::new(core::ptr::null_mut());
static STOPPED: AtomicBool = AtomicBool::new(false);
/// The time at which the program began.
static BEGAN: AtomicU64 = AtomicU64::new(0);

/// Microseconds of the performance counter: the clock that WASAPI's times are of as well.
pub fn now() -> u64 {
    let (mut count, mut frequency) = (0, 0);
    // SAFETY: two places for numbers. They do not fail on any Windows since XP.
    let _ = unsafe {
        QueryPerformanceCounter(&raw mut count).and_then(|()| QueryPerformanceFrequency(&raw mut frequency))
    };
    let (count, frequency) = (u128::try_from(count).unwrap_or(0), u128::try_from(frequency).unwrap_or(1));
    u64::try_from((count * 1_000_000).checked_div(frequency).unwrap_or(0)).unwrap_or(0)
}

/// Milliseconds since the program began.
pub fn since_start() -> u64 {
    now().saturating_sub(BEGAN.load(Ordering::Relaxed)) / 1000
}

/// Starts the clock and the limits, both in seconds, and listens for Ctrl-C.
pub fn start(limit: u32, total: u32) -> Result<(), Failure> {
    BEGAN.store(now(), Ordering::Relaxed);
    LIMIT.store(u64::from(limit) * 1_000_000, Ordering::Relaxed);
    TOTAL.store(now() + u64::from(total) * 1_000_000, Ordering::Relaxed);
    ask!("SetConsoleCtrlHandler", SetConsoleCtrlHandler(Some(on_ctrl_c), true))?;
    ask!("CreateThread", CreateThread(None, 0, Some(watch), None, THREAD_CREATION_FLAGS(0), None))?;
    Ok(())
}

/// How long a wait may take, in microseconds.
pub fn limit() -> u64 {
    LIMIT.load(Ordering::Relaxed)
}

/// Ends a step if Ctrl-C was pressed.
pub fn go_on() -> Result<(), Failure> {
    if STOPPED.load(Ordering::Relaxed) {
        return Err(Failure::new(Cause::Stopped, "stopped by Ctrl-C"));
    }
    Ok(())
}

/// Calls Windows under the limit; by `ask!`.
pub fn call<T>(
    name: &'static &'static str,
    call: impl FnOnce() -> windows::core::Result<T>,
) -> Result<T, Failure> {
    CALL.store(core::ptr::from_ref(name).cast_mut(), Ordering::Relaxed);
    DEADLINE.store(now().saturating_add(limit()), Ordering::Release);
    let answer = call();
    DEADLINE.store(u64::MAX, Ordering::Release);
    answer.map_err(|error| Failure::call(name, Hresult(error.code().0.cast_unsigned())))
}

/// The thread that waits. It ends the program, by force: a thread within a call that hangs may hold whatever
/// an orderly end needs. *Doubt*: a driver that never completes an IRP keeps even such a process; the host
/// has a limit of its own.
unsafe extern "system" fn watch(_: *mut core::ffi::c_void) -> u32 {
    loop {
        // SAFETY: no more than a pause.
        unsafe { Sleep(50) };
        let (now, deadline) = (now(), DEADLINE.load(Ordering::Acquire));
        let code = if now > deadline {
            // SAFETY: only ever set from a reference that lives as long as the program.
            let name = unsafe { CALL.load(Ordering::Relaxed).as_ref() }.copied().unwrap_or_default();
            lines::end_by_limit(Cause::CallHangs, Some(name))
        } else if now > TOTAL.load(Ordering::Relaxed) {
            lines::end_by_limit(Cause::NoProgress, None)
        } else {
            continue;
        };
        // SAFETY: ends this process only.
        let _ = unsafe { TerminateProcess(GetCurrentProcess(), code) };
    }
}

/// The first Ctrl-C ends the run in order, the second one at once.
unsafe extern "system" fn on_ctrl_c(_: u32) -> BOOL {
    BOOL::from(!STOPPED.swap(true, Ordering::Relaxed))
}
