//! Every call that can fail, fails once (cfg `failing_calls=1`; `failing_calls=7`: every seventh): in
//! DriverEntry, from AddDevice to REMOVE, in the life of a stream of each kind, around D3, and when the
//! device is gone.
//!
//! Each scenario is walked: its first call fails, with each of its errors in turn, then its second, until it
//! passes untouched ([`inject`] has the calls). After each the right status has come up or the driver has
//! done without, nothing is left of the attempt, and the next attempt works.
//!
//! Property handlers are no scenario. Those of `ringwave.sys` call nothing that can fail (they answer from
//! what a filter or stream holds, into the caller's buffer), so that a walk over them has no point to visit:
//! it would pass whatever is broken, and say as much of a driver that it says of none. A driver that
//! allocates there meets `client=controls` with `fail_pool=`.

use super::buffer::Kind;
use super::format::{BufferPlan, PcmFormat};
use super::held_resources::HeldResources;
use super::negotiate;
use super::negotiate_modes;
use super::player::SLOTS;
use super::stream::{PinStream, State};
use crate::kernel::d3::Context;
use crate::kernel::event::{Event, EventKind, wait};
use crate::kernel::inject::{self, Call};
use crate::kernel::layout::DriverObject;
use crate::kernel::{self, cfg, harsh_violation, pool};
use crate::portcls::endpoint::{self, Endpoint};
use crate::portcls::fault::{self, Fault};
use crate::portcls::status::Status;
use crate::portcls::{pnp, power};
use alloc::collections::BTreeMap;
use ringwave_audio::SampleFormat;

/// No scenario has so many calls: one that never passes untouched ends here.
const MOST: u64 = 2000;
/// Of two packets: several pages, which seldom lie side by side.
const BUFFER_MS: u64 = 50;
/// So many bytes in pages that do not lie side by side need a table of several pages: 255 entries fit in one.
const LARGE: u32 = 300 * 4096;
/// How long to wait for a notification.
const TIMEOUT_MS: u32 = 2000;
/// `IRP_MN_SURPRISE_REMOVAL`
const SURPRISE_REMOVAL: u8 = 0x17;

/// What was refused, and with which status.
struct Refusal(&'static str, Status);

type Attempt = Result<(), Refusal>;

fn expect(what: &'static str, status: Status) -> Attempt {
    if status.is_success() { Ok(()) } else { Err(Refusal(what, status)) }
}

/// When an attempt wants its calls counted from.
struct Trigger {
    call: u64,
    error: usize,
}

impl Trigger {
    /// An attempt in which nothing fails.
    const NONE: Self = Self { call: 0, error: 0 };

    fn pull(&self) {
        inject::arm(self.call, self.error);
    }
}

/// What came of a call's failures.
#[derive(Default)]
struct Visits {
    /// The attempt failed with the right status.
    refused: u32,
    /// The driver did without.
    survived: u32,
}

/// The whole sweep.
#[derive(Default)]
pub struct FailingCalls {
    calls: BTreeMap<&'static str, Visits>,
    scenarios: u32,
}

impl FailingCalls {
    /// DriverEntry, entered again after each failure; the status of the last time, in which nothing failed,
    /// or which succeeded all the same.
    pub fn entry(&mut self, enter: &dyn Fn() -> Status) -> Status {
        let before = HeldResources::read();
        let mut call = 0;
        loop {
            call += 1;
            inject::arm(call, 0);
            let status = enter();
            let Some((failed, Some(due))) = inject::disarm() else { return status };
            self.judge(&At { scenario: "DriverEntry", call, failed, due }, &expect("DriverEntry", status));
            if status.is_success() {
                return status;
            }
            expect_held("DriverEntry", failed, before);
        }
    }

    /// From AddDevice to REMOVE, and the same with a stream open when the device goes.
    ///
    /// # Safety
    /// DriverEntry succeeded, `driver` is live and has no device.
    pub unsafe fn devices(&mut self, driver: *mut DriverObject) {
        self.walk("start and removal", |trigger| {
            trigger.pull();
            // SAFETY: by contract.
            unsafe { life(driver, streams_if_failed) }
        });
        for capture in [false, true] {
            self.walk("surprise removal", |trigger| {
                // SAFETY: by contract.
                unsafe { life(driver, || surprised(capture, trigger)) }
            });
        }
        self.walk("removal", |trigger| {
            // SAFETY: by contract.
            unsafe {
                life(driver, || {
                    trigger.pull();
                    Ok(())
                })
            }
        });
    }

    /// Streams of every kind, and D3 with one that runs; the device is started.
    pub fn streams(&mut self) {
        for capture in [false, true] {
            let Some(endpoint) = endpoint::get(capture, 0) else { continue };
            let (name, of_d3) = if capture { ("record", "D3, recording") } else { ("play", "D3, playing") };
            for kind in [Kind::Notification(SLOTS), Kind::Plain] {
                self.walk(name, |trigger| {
                    trigger.pull();
                    session(&endpoint, kind, |_, _| Ok(()))
                });
            }
            self.walk("a large buffer", |trigger| {
                trigger.pull();
                large_buffer(&endpoint)
            });
            self.walk(of_d3, |trigger| {
                session(&endpoint, Kind::Notification(SLOTS), |stream, event| {
                    through_d3(stream, event, trigger)
                })
            });
        }
    }

    /// The result lines: how many points were visited, and by call how often the driver failed, and did
    /// without.
    pub fn report(&self) {
        let (mut refused, mut survived) = (0, 0);
        for (name, visits) in &self.calls {
            crate::kprintln!("failing-calls: {name} refused {} survived {}", visits.refused, visits.survived);
            refused += visits.refused;
            survived += visits.survived;
        }
        crate::kresult!(
            "failing_calls={} failing_calls_refused={refused} failing_calls_survived={survived} \
             failing_call_kinds={} failing_call_scenarios={}",
            refused + survived,
            self.calls.len(),
            self.scenarios
        );
        // One word each, for a result line has no blanks.
        for (name, visits) in &self.calls {
            let key = Key(name);
            crate::kresult!("refused_{key}={} survived_{key}={}", visits.refused, visits.survived);
        }
    }

    /// Walks a scenario. `attempt` has cleaned up behind itself when it returns, and asks for the failure
    /// when its calls are to be counted from.
    fn walk(&mut self, scenario: &'static str, mut attempt: impl FnMut(&Trigger) -> Attempt) {
        self.scenarios += 1;
        // The first time may make what lasts as long as the driver.
        works(scenario, None, attempt(&Trigger::NONE));
        let before = HeldResources::read();
        let every = cfg::get_u64("failing_calls", 1).max(1);
        let mut call = 1 + (u64::from(self.scenarios) - 1) % every;
        while call < MOST {
            let Some(failed) = self.fail_once(scenario, call, before, &mut attempt) else { return };
            crate::kprintln!("failing-calls: {scenario}, call {call}: {}", failed.name);
            call += every;
        }
        kernel::violation("failing-call-retry", format_args!("{scenario}: {MOST} calls and no end"));
    }

    /// Call number `call` of a scenario fails with each of its errors. The call; `None` if there are not so
    /// many.
    fn fail_once(
        &mut self,
        scenario: &'static str,
        call: u64,
        before: HeldResources,
        attempt: &mut impl FnMut(&Trigger) -> Attempt,
    ) -> Option<&'static Call> {
        let mut last = None;
        let mut error = 0;
        while last.is_none_or(|call: &Call| error < call.errors.len()) {
            let result = attempt(&Trigger { call, error });
            let Some((failed, due)) = inject::disarm() else {
                works(scenario, last, result);
                return last;
            };
            if fault::make(Fault::KeepBlock) {
                let _ = pool::allocate(100, u32::from_le_bytes(*b"Kept"), false, false);
            }
            if let Some(due) = due {
                self.judge(&At { scenario, call, failed, due }, &result);
            }
            expect_held(scenario, failed, before);
            works(scenario, Some(failed), attempt(&Trigger::NONE));
            expect_held(scenario, failed, before);
            last = Some(failed);
            error += 1;
        }
        last
    }

    /// The right status came up, or the driver did without.
    fn judge(&mut self, at: &At, result: &Attempt) {
        let visits = self.calls.entry(at.failed.name).or_default();
        let Err(Refusal(what, status)) = result else {
            visits.survived += 1;
            return;
        };
        visits.refused += 1;
        let status = if fault::make(Fault::OtherStatus) { Status::UNSUCCESSFUL } else { *status };
        if status != at.due {
            harsh_violation(
                "failing-call-status",
                format_args!(
                    "{}: call {} ({}) failed with {}, and {what} with {status}",
                    at.scenario, at.call, at.failed.name, at.due
                ),
            );
        }
    }
}

/// A call that failed.
struct At {
    scenario: &'static str,
    call: u64,
    failed: &'static Call,
    due: Status,
}

/// The name of a call as a key of a result line.
struct Key<'a>(&'a str);

impl core::fmt::Display for Key<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.0.split([' ', ':', '(', ')']).filter(|part| !part.is_empty()).enumerate().try_for_each(
            |(n, part)| {
                if n > 0 {
                    f.write_str("_")?;
                }
                f.write_str(part)
            },
        )
    }
}

/// What is held is what was held before.
fn expect_held(scenario: &str, failed: &Call, before: HeldResources) {
    let now = HeldResources::read();
    if now != before {
        kernel::violation(
            "failing-call-leak",
            format_args!("{scenario}, {} failed: {now:?}, before {before:?}", failed.name),
        );
    }
}

/// An attempt in which nothing fails, after a failure of `failed`.
fn works(scenario: &str, failed: Option<&Call>, result: Attempt) {
    let result =
        if fault::make(Fault::RetryRefused) { Err(Refusal("retry", Status::UNSUCCESSFUL)) } else { result };
    if let Err(Refusal(what, status)) = result {
        let failed = failed.map_or("nothing", |call| call.name);
        kernel::violation(
            "failing-call-retry",
            format_args!("{scenario}: {what} fails with {status} in the attempt after {failed} failed"),
        );
    }
}

/// AddDevice, START, `used` if it has started, REMOVE.
///
/// # Safety
/// As [`FailingCalls::devices`].
unsafe fn life(driver: *mut DriverObject, used: impl FnOnce() -> Attempt) -> Attempt {
    // SAFETY: by contract.
    let started = unsafe { pnp::bring_up(driver) };
    let result = match started {
        Ok(()) => used(),
        Err(status) => {
            let held = HeldResources::read();
            if !held.nothing_registered() {
                // PortCls takes away with the device what samples leave registered.
                harsh_violation(
                    "failing-call-leak",
                    format_args!("a start that failed with {status} leaves registered: {held:?}"),
                );
            }
            Err(Refusal("the start", status))
        }
    };
    // SAFETY: by contract; no stream is open.
    unsafe { pnp::remove_fdo(driver) };
    result
}

/// A device that started though a call failed, plays and records.
fn streams_if_failed() -> Attempt {
    if !inject::has_failed() {
        return Ok(());
    }
    [false, true]
        .into_iter()
        .filter_map(|capture| endpoint::get(capture, 0))
        .try_for_each(|endpoint| session(&endpoint, Kind::Notification(SLOTS), |_, _| Ok(())))
}

/// The device goes while a stream runs, whose client lets go of it afterwards.
fn surprised(capture: bool, trigger: &Trigger) -> Attempt {
    let Some(endpoint) = endpoint::get(capture, 0) else { return Ok(()) };
    session(&endpoint, Kind::Notification(SLOTS), |_, _| {
        trigger.pull();
        expect("IRP_MN_SURPRISE_REMOVAL", pnp::send_minor(SURPRISE_REMOVAL))
    })
}

/// The device loses its power and gets it back, and the stream goes on: nothing that fails there is a reason
/// to take the card for gone, for nobody knows when the next D0 comes.
fn through_d3(stream: &PinStream, event: &Event, trigger: &Trigger) -> Attempt {
    trigger.pull();
    power::in_d3(true, Context::Kept, || ()).map_err(|status| Refusal("a power IRP", status))?;
    packet(stream, event, 2)
}

/// A stream from open to close: two packets in RUN, then `within`, and down again. What was opened is closed,
/// whatever was refused.
fn session(endpoint: &Endpoint, kind: Kind, within: impl FnOnce(&PinStream, &Event) -> Attempt) -> Attempt {
    let Some(format) = format_of(endpoint) else { return Err(Refusal("a format", Status::NO_MATCH)) };
    let Some(plan) = BufferPlan::new(&format, BUFFER_MS, SLOTS) else {
        return Err(Refusal("a buffer's plan", Status::INVALID_PARAMETER));
    };
    let stream = PinStream::open(endpoint, &format.bytes()).map_err(|status| Refusal("NewStream", status))?;
    let result = with_buffer(&stream, kind, plan.bytes, within);
    stream.close();
    result
}

/// A stream whose buffer comes and goes, and never plays.
fn large_buffer(endpoint: &Endpoint) -> Attempt {
    let Some(format) = format_of(endpoint) else { return Err(Refusal("a format", Status::NO_MATCH)) };
    let stream = PinStream::open(endpoint, &format.bytes()).map_err(|status| Refusal("NewStream", status))?;
    let allocated = stream.allocate_cyclic(LARGE).map(|buffer| stream.free_cyclic(&buffer));
    stream.close();
    allocated.map_err(|status| Refusal("the allocation of a buffer", status))
}

/// 48 kHz, 16 bits, stereo, or what the pin has.
fn format_of(endpoint: &Endpoint) -> Option<PcmFormat> {
    let format = PcmFormat::of(SampleFormat::S16, 48_000, 2, true);
    let covered = endpoint.descriptor.ranges.iter().any(|range| negotiate::covers(range, &format));
    Some(format).filter(|_| covered).or_else(|| negotiate_modes::any_format(endpoint))
}

fn with_buffer(
    stream: &PinStream,
    kind: Kind,
    bytes: u32,
    within: impl FnOnce(&PinStream, &Event) -> Attempt,
) -> Attempt {
    let allocated = match kind {
        Kind::Notification(packets) => stream.allocate(packets, bytes),
        Kind::Plain => stream.allocate_cyclic(bytes),
    };
    let buffer = allocated.map_err(|status| Refusal("the allocation of a buffer", status))?;
    let result = match kind {
        Kind::Notification(_) => with_event(stream, within),
        Kind::Plain => run(stream, || Ok(())),
    };
    match kind {
        Kind::Notification(_) => stream.free(&buffer),
        Kind::Plain => stream.free_cyclic(&buffer),
    }
    result
}

fn with_event(stream: &PinStream, within: impl FnOnce(&PinStream, &Event) -> Attempt) -> Attempt {
    let event = Event::new(EventKind::Synchronization, false);
    expect("RegisterNotificationEvent", stream.register(&event))?;
    let result = run(stream, || {
        packet(stream, &event, 0)?;
        packet(stream, &event, 1)?;
        within(stream, &event)
    });
    let unregistered = expect("UnregisterNotificationEvent", stream.unregister(&event));
    result.and(unregistered)
}

/// From STOP to RUN, `within`, and back to STOP.
fn run(stream: &PinStream, within: impl FnOnce() -> Attempt) -> Attempt {
    let up = [State::Acquire, State::Pause, State::Run].into_iter().try_for_each(|state| {
        if state == State::Run && stream.has_packet_mode() {
            // Refused without notifications.
            let _ = stream.set_write_packet(0, 0, 0);
        }
        expect("SetState", stream.set_state(state))
    });
    let result = up.and_then(|()| within());
    [State::Pause, State::Acquire, State::Stop]
        .into_iter()
        .fold(result, |result, state| result.and(expect("SetState (down)", stream.set_state(state))))
}

/// Waits until packet `number` is done; the next one was handed over or is read.
fn packet(stream: &PinStream, event: &Event, number: u32) -> Attempt {
    if stream.has_packet_mode() {
        // Late or early is no matter here.
        let _ = stream.set_write_packet(number + 1, 0, 0);
    }
    if !wait(event, TIMEOUT_MS) {
        return Err(Refusal("a notification", Status::UNSUCCESSFUL));
    }
    let mut more = stream.has_read_packets();
    while more {
        more = stream.read_packet().is_ok_and(|packet| packet.more == 1);
    }
    Ok(())
}
