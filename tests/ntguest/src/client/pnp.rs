//! PnP with a client that has a stream open: rebalance, removal that is asked for, surprise removal.
//!
//! `client=pnp`: what `event=` says happens to the device `rounds=` times, each time with a stream open in
//! `state=`, or once for each state (`all`, the default; `none`: no stream); then the file is played, or with
//! `mode=` a recording is made, which the host compares. The stream before is a render stream of silence, or
//! with `mode=` a capture stream.
//!
//! * `rebalance`: QUERY_STOP, STOP, other BARs, vectors and another kind of interrupt, START. The streams
//!   were stopped and are not started again; the client closes them before START (`handles=closed`) or long
//!   after, when others have opened new ones (`kept`), by default in turn.
//! * `cancel`: QUERY_STOP and QUERY_REMOVE, each taken back: the stream goes on.
//! * `remove`: QUERY_REMOVE with a stream open comes to nothing; the handles are closed, QUERY_REMOVE,
//!   REMOVE, and the device is found again.
//! * `surprise`: the card is pulled out, the client goes on for a while, SURPRISE_REMOVAL, the handles are
//!   closed, REMOVE, and it is put in again.
//! * `surprise-d3`: the same, with the card in D3.
//! * `surprise-set-state`: the same, while another thread changes the stream's state all the time.
//! * `surprise-start`: the card is pulled out at each call that the driver makes from AddDevice to the end of
//!   StartDevice, one after the other, until a start goes through.
//!
//! With `cards=2` all of that happens to the card number `target=` (0 or 1, in the order of the bus), and
//! meanwhile the file is played on the other one, which is none the wiser.
//!
//! Sources: "Implement PnP Rebalance for PortCls Audio Drivers"; "Handling an IRP_MN_SURPRISE_REMOVAL
//! Request"; "Handling a GUID_TARGET_DEVICE_QUERY_REMOVE Event"; WAVERT.md 1.3.

use super::buffer::{self, Kind};
use super::format::{BufferPlan, PcmFormat};
use super::held_resources::HeldResources;
use super::player::{self, Failed, SLOTS, buffer_ms, expect, fail};
use super::still::set_state;
use super::stream::{PinStream, State};
use crate::kernel::event::{Event, EventKind, wait};
use crate::kernel::thread::{self, DRIVER_STACK};
use crate::kernel::{self, cards, cfg, gone, irql, pci, time};
use crate::portcls::layout::IRP_MN_QUERY_REMOVE_DEVICE;
use crate::portcls::status::Status;
use crate::portcls::{endpoint, pnp, power};
use core::ffi::c_void;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use ringwave_audio::SampleFormat;

/// How long a client does not notice, 100-ns units.
const UNAWARE: i64 = 300_000;
/// How long to wait for a notification.
const TIMEOUT_MS: u32 = 10_000;
/// How many packets prove that a stream goes on.
const GO_ON: u32 = 3;
/// More calls of imports than any start makes.
const MOST_CALLS: u32 = 20_000;

/// With the packet interfaces a stop is granted whatever is open, and of a removal it is the PnP manager that
/// knows of open handles.
pub(super) fn expect_granted(removal: bool) -> Result<(), Failed> {
    let what = if removal { "QUERY_REMOVE" } else { "QUERY_STOP" };
    expect(what, pnp::query_and_cancel(removal))
}

/// The number of the card that it happens to (cfg `target=`).
pub fn target() -> usize {
    let target = usize::try_from(cfg::get_u64("target", 0)).unwrap_or(usize::MAX);
    if cards::get(target).is_none() {
        kernel::bad_input(format_args!(
            "ntguest.cfg: target={target} is no card; cards= says how many there are"
        ));
    }
    target
}

/// Whether the streams of this run record.
pub fn captures() -> bool {
    cfg::get("mode").is_some()
}

/// The stream that is open when something happens: none, or one in a state.
pub(super) type Before = Option<State>;

/// The values of `state=`.
pub(super) const STATES: [(&str, Before); 5] = [
    ("none", None),
    ("stop", Some(State::Stop)),
    ("acquire", Some(State::Acquire)),
    ("pause", Some(State::Pause)),
    ("run", Some(State::Run)),
];

/// What `event=` asks for, `rounds=` times in each state; true when all of it went well.
pub fn run() -> bool {
    let wanted = cfg::get("state").unwrap_or("all");
    if wanted != "all" && STATES.iter().all(|(name, _)| *name != wanted) {
        kernel::bad_input(format_args!("ntguest.cfg: state={wanted} is none of a stream's"));
    }
    let states = STATES.iter().filter(|(name, _)| wanted == "all" || *name == wanted);
    let (mut number, mut after_first) = (0, None);
    for _ in 0..cfg::get_u64("rounds", 1) {
        for (name, before) in states.clone() {
            crate::kprintln!("pnp: round {number}, stream: {name}");
            if happen(*before, number).is_err() {
                return false;
            }
            number += 1;
            crate::kresult!("pnp_events={number}");
        }
        let now = HeldResources::read();
        let first = *after_first.get_or_insert(now);
        if now != first {
            let why = format_args!("after {number} events {now:?}, after the first round {first:?}");
            kernel::violation("cycle-leak", why);
            return false;
        }
    }
    true
}

fn happen(before: Before, number: u64) -> Result<(), Failed> {
    match cfg::get("event").unwrap_or("rebalance") {
        "rebalance" => rebalance(before, number),
        "cancel" => in_state(before, |stream| {
            expect_granted(false)?;
            expect_granted(true)?;
            stream.map_or(Ok(()), Open::go_on)
        }),
        "remove" => remove(before),
        "surprise" => surprise(before, |_| {
            gone::pull();
            thread::sleep_100ns(UNAWARE);
            pnp::surprise_removal();
        }),
        "surprise-d3" => surprise_in_d3(before),
        "surprise-set-state" => surprise(before, |stream| pull_amid_set_state(stream, number)),
        "surprise-start" => surprise_in_start(),
        other => kernel::bad_input(format_args!(
            "ntguest.cfg: event={other} is not known; tests/ntguest/src/client/pnp.rs lists them"
        )),
    }
}

/// An open stream with its buffer and event.
pub(super) struct Open<'a> {
    stream: &'a PinStream,
    event: &'a Event,
    capture: bool,
    state: State,
    /// The packet that is handed over next.
    next: &'a AtomicU32,
}

impl Open<'_> {
    /// From STOP to its state. Packet 0, of silence, is there before RUN.
    fn bring_up(&self) -> Result<(), Failed> {
        for state in [State::Acquire, State::Pause, State::Run] {
            if state as u32 > self.state as u32 {
                break;
            }
            if state == State::Run && !self.capture {
                expect("SetWritePacket(0)", self.stream.set_write_packet(0, 0, 0))?;
                self.next.store(1, Ordering::Relaxed);
            }
            set_state(self.stream, state)?;
        }
        self.go_on()
    }

    /// What runs goes on: packets come and go.
    pub(super) fn go_on(&self) -> Result<(), Failed> {
        let packets = if self.state == State::Run { GO_ON } else { 0 };
        (0..packets).try_for_each(|_| {
            if !self.capture {
                self.write();
            }
            if !wait(self.event, TIMEOUT_MS) {
                return Err(fail("no-notification", format_args!("a stream in RUN does not go on")));
            }
            // One event may stand for two packets, and a card in lockstep waits for both to be read.
            while self.capture && self.stream.read_packet().is_ok() {}
            Ok(())
        })
    }

    /// The next packet, of silence. One that comes too early or too late is no matter here.
    fn write(&self) {
        let next = self.next.load(Ordering::Relaxed);
        match self.stream.set_write_packet(next, 0, 0) {
            Status::SUCCESS => self.next.store(next + 1, Ordering::Relaxed),
            Status::DATA_LATE_ERROR => {
                let count = self.stream.packet_count().unwrap_or(next);
                self.next.store(count + 1, Ordering::Relaxed);
            }
            _ => {}
        }
    }

    /// A device that is stopped or gone: whatever the client calls comes back, nothing is signalled, and the
    /// way down is open (rule `removal`).
    pub(super) fn expect_dead(&self, when: &str) -> Result<(), Failed> {
        let signals = self.event.signals();
        for level in [irql::PASSIVE, irql::DISPATCH] {
            let _ = self.stream.position(level);
        }
        if self.capture {
            let _ = self.stream.read_packet();
        } else {
            self.write();
            let _ = (self.stream.packet_count(), self.stream.presentation());
        }
        expect_down(self.stream, when)?;
        // A client that knows nothing tries again.
        for state in [State::Acquire, State::Pause, State::Run] {
            let status = self.stream.set_state(state);
            crate::kprintln!("{when}: SetState({state:?}): {status}");
        }
        thread::sleep_100ns(UNAWARE);
        expect_down(self.stream, when)?;
        if self.event.signals() != signals {
            return Err(fail("removal", format_args!("{when}: the notification event is signalled")));
        }
        Ok(())
    }
}

/// From the state that it is in down to STOP.
fn expect_down(stream: &PinStream, when: &str) -> Result<(), Failed> {
    let now = power::state_of(stream.this());
    for state in [State::Pause, State::Acquire, State::Stop].into_iter().filter(|to| (*to as u32) < now) {
        let status = stream.set_state(state);
        if !status.is_success() {
            return Err(fail(
                "removal",
                format_args!("{when}: SetState({state:?}): {status}, SUCCESS is due"),
            ));
        }
    }
    Ok(())
}

/// With a stream in a state, or none.
pub(super) fn in_state(
    before: Before,
    within: impl FnOnce(Option<&Open<'_>>) -> Result<(), Failed>,
) -> Result<(), Failed> {
    match before {
        None => within(None),
        Some(state) => with_stream(state, |open| within(Some(open))),
    }
}

/// With a stream in a state; it is closed whatever `within` comes to.
fn with_stream(state: State, within: impl FnOnce(&Open<'_>) -> Result<(), Failed>) -> Result<(), Failed> {
    let capture = captures();
    let endpoint = endpoint::of_card(cards::target(), capture).ok_or(Failed)?;
    let format = PcmFormat::of(SampleFormat::S16, 48_000, 2, true);
    let plan = BufferPlan::new(&format, buffer_ms(), SLOTS).ok_or(Failed)?;
    let stream = player::open(&endpoint, &format)?;
    let result = buffer::with(&stream, Kind::Notification(SLOTS), &format, plan.bytes, |_| {
        let event = Event::new(EventKind::Synchronization, false);
        expect("RegisterNotificationEvent", stream.register(&event))?;
        let next = AtomicU32::new(0);
        let open = Open { stream: &stream, event: &event, capture, state, next: &next };
        let result = open.bring_up().and_then(|()| within(&open));
        for state in [State::Pause, State::Acquire, State::Stop] {
            let _ = stream.set_state(state);
        }
        let unregistered = expect("UnregisterNotificationEvent", stream.unregister(&event));
        event.poison();
        result.and(unregistered)
    });
    stream.close();
    result
}

/// The messages that a device gets at a rebalance: of the other kind than it has, line or messages.
fn other_kind() -> u64 {
    if pci::card().messages.is_empty() { cfg::get_u64("msi", 1).max(1) } else { 0 }
}

fn rebalance(before: Before, number: u64) -> Result<(), Failed> {
    let kept = match cfg::get("handles") {
        None => number % 2 == 1,
        Some("closed") => false,
        Some("kept") => true,
        Some(other) => {
            kernel::bad_input(format_args!("ntguest.cfg: handles={other} is neither closed nor kept"))
        }
    };
    let start = || expect("START after STOP", pnp::start_with_others(other_kind()));
    in_state(before, |stream| {
        pnp::stop_for_rebalance().map_err(|status| {
            fail("call-failed", format_args!("QUERY_STOP or STOP: {status}, SUCCESS is due"))
        })?;
        if let Some(stream) = stream {
            stream.expect_dead("after STOP")?;
        }
        if !kept {
            return Ok(());
        }
        start()?;
        // Others have new streams, which the old one does not disturb.
        with_stream(State::Run, |new| {
            if let Some(stream) = stream {
                stream.expect_dead("after START")?;
            }
            new.go_on()
        })
    })?;
    if kept { Ok(()) } else { start() }
}

/// QUERY_REMOVE with handles open, which the PnP manager takes back; without them, and REMOVE; the device is
/// found again.
fn remove(before: Before) -> Result<(), Failed> {
    in_state(before, |stream| {
        expect_granted(true)?;
        stream.map_or(Ok(()), Open::go_on)
    })?;
    expect("QUERY_REMOVE", pnp::send_minor(IRP_MN_QUERY_REMOVE_DEVICE))?;
    pnp::remove_device();
    bring_up_again()
}

pub(super) fn bring_up_again() -> Result<(), Failed> {
    pnp::bring_up_again().map_err(|status| fail("call-failed", format_args!("AddDevice, START: {status}")))
}

/// `pull` takes the card away and tells the driver so; then the client lets go.
fn surprise(before: Before, pull: impl FnOnce(Option<&Open<'_>>)) -> Result<(), Failed> {
    in_state(before, |stream| {
        pull(stream);
        stream.map_or(Ok(()), |stream| stream.expect_dead("after SURPRISE_REMOVAL"))
    })?;
    pnp::remove_device();
    gone::put_back();
    bring_up_again()
}

fn surprise_in_d3(before: Before) -> Result<(), Failed> {
    in_state(before, |stream| {
        expect("SET_POWER D3", power::to_d3_for_good())?;
        pnp::surprise_removal();
        stream.map_or(Ok(()), |stream| stream.expect_dead("after SURPRISE_REMOVAL in D3"))
    })?;
    pnp::remove_device();
    power::is_new_after_d3();
    bring_up_again()
}

/// Set when the thread that changes the state is to end.
static ENOUGH: AtomicBool = AtomicBool::new(false);

/// Another thread changes the stream's state while the card goes and the driver is told.
fn pull_amid_set_state(stream: Option<&Open<'_>>, number: u64) {
    ENOUGH.store(false, Ordering::Release);
    let changer = stream.map(|open| {
        let stream = core::ptr::from_ref(open.stream).cast_mut().cast::<c_void>();
        thread::spawn("state changer", change_state, stream, DRIVER_STACK)
    });
    // Another moment each time.
    let seed = time::qpc().unsigned_abs().wrapping_add(number.wrapping_mul(0x9e37_79b9));
    thread::sleep_100ns(i64::try_from(seed % 40_000).unwrap_or(0));
    if number.is_multiple_of(2) {
        gone::pull();
    }
    pnp::surprise_removal();
    gone::pull();
    ENOUGH.store(true, Ordering::Release);
    if let Some(changer) = changer {
        thread::join(changer);
    }
}

fn change_state(stream: *mut c_void) {
    // SAFETY: `pull_amid_set_state` waits for this thread's end while the stream is open.
    let stream = unsafe { &*stream.cast::<PinStream>() };
    while !ENOUGH.load(Ordering::Acquire) {
        for state in [State::Run, State::Pause, State::Acquire, State::Stop, State::Acquire, State::Pause] {
            let _ = stream.set_state(state);
        }
    }
}

/// The card goes at the first call of the driver in its start, at the second, and so on until it is too late.
fn surprise_in_start() -> Result<(), Failed> {
    pnp::remove_device();
    let (mut failed, mut started) = (0, 0);
    for call in 1..MOST_CALLS {
        gone::pull_at(call);
        let status = pnp::bring_up_again();
        let reached = gone::is_gone();
        if reached && status.is_ok() {
            started += 1;
            pnp::surprise_removal();
        }
        if !reached {
            gone::put_back();
            crate::kresult!("start_points={} start_failed={failed} start_went_through={started}", call - 1);
            return status.map_err(|status| fail("call-failed", format_args!("START: {status}")));
        }
        failed += u32::from(status.is_err());
        pnp::remove_device();
        gone::put_back();
    }
    Err(fail("client", format_args!("the driver's start does not come to an end")))
}
