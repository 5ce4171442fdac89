//! PortCls' part of device power: what it does with the power IRPs of its device, and the power manager that
//! sends them.
//!
//! Down: streams in RUN are paused, IPowerNotify of miniports and streams is told, then PowerChangeState of
//! the adapter, and the IRP goes down to the bus driver ([`d3`]). Up: the bus driver first, then the adapter,
//! then IPowerNotify, and the streams that were paused go on. Sources: the pages of
//! IAdapterPowerManagement::PowerChangeState, QueryPowerChangeState ("not guaranteed to occur prior to all
//! PowerChangeState calls"), IAdapterPowerManagement2::PowerChangeState2,
//! IAdapterPowerManagement3::PowerChangeState3 and D3ExitLatencyChanged, IPowerNotify::PowerChangeNotify;
//! "Implementing IPowerNotify"; "Handling Device Power-Down IRPs" and "... Power-Up IRPs" (who comes first).
//! WAVERT.md 1.4.
//!
//! The system sleeps: PortCls owns the power policy of its device, so that a system IRP makes it send one of
//! the device, and is completed after that ("Handling a System Set-Power IRP in a Device Power Policy
//! Owner"). The device that nobody uses: [`idle`].

use super::adapter::{driver, fdo, target};
use super::com::Com;
use super::device;
use super::fault::{self, Fault};
use super::guid::{
    IID_ADAPTER_POWER_MANAGEMENT, IID_ADAPTER_POWER_MANAGEMENT2, IID_ADAPTER_POWER_MANAGEMENT3,
    IID_MINIPORT_WAVE_RT_INPUT_STREAM, IID_MINIPORT_WAVE_RT_OUTPUT_STREAM, IID_POWER_NOTIFY,
};
use super::idle;
use super::layout::{IRP_MJ_POWER, IRP_MN_QUERY_POWER, IRP_MN_SET_POWER};
use super::port::Port;
use super::set_state;
use super::status::Status;
use super::subdevice;
use super::vtable::{
    AdapterPowerManagement, AdapterPowerManagement2, AdapterPowerManagement3, PowerNotify, Stream, This,
};
use crate::kernel::call::driver_call;
use crate::kernel::d3::{self, Context};
use crate::kernel::sync::IrqLock;
use crate::kernel::{self, cards, cfg, gone, irql};
use alloc::vec::Vec;
use core::ffi::c_void;
use core::ptr;
use core::sync::atomic::{AtomicU32, Ordering};

/// `DEVICE_POWER_STATE`: PowerDeviceD0.
pub const D0: u32 = 1;
/// PowerDeviceD3.
pub const D3: u32 = 4;
/// `SYSTEM_POWER_STATE`: PowerSystemWorking. The device goes to D3 by itself, as an idle one does.
const WORKING: u32 = 1;
/// `POWER_STATE_TYPE`: SystemPowerState, DevicePowerState.
const SYSTEM_POWER_STATE: usize = 0;
const DEVICE_POWER_STATE: usize = 1;
/// `PC_EXIT_LATENCY`: instant, fast, responsive.
const LATENCIES: [u32; 3] = [0, 1, 2];
/// `KSSTATE`.
const STOP: u32 = 0;
const ACQUIRE: u32 = 1;
const PAUSE: u32 = 2;
const RUN: u32 = 3;

/// Where the system goes to (`SYSTEM_POWER_STATE`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sleep {
    /// PowerSystemSleeping3: memory keeps its power, and nothing else.
    S3 = 4,
    /// PowerSystemHibernate.
    S4 = 5,
}

/// An open pin: of which device, the stream, its state, whether it was paused for D3, and whether its
/// registers may be in user mode.
struct Pin {
    device: usize,
    stream: usize,
    state: u32,
    paused: bool,
    registers: bool,
}

/// What becomes of the card's registers in D3.
static CONTEXT: IrqLock<Option<Context>> = IrqLock::new(None);
static PINS: IrqLock<Vec<Pin>> = IrqLock::new(Vec::new());

/// How often the device has lost its power and got it back: odd from the moment that its streams are paused
/// until they go on.
static CHANGES: AtomicU32 = AtomicU32::new(0);

/// Which time in D0 this is; none where the driver has not heard yet that the device is in D0.
pub fn time_in_d0() -> Option<u32> {
    Some(CHANGES.load(Ordering::Acquire)).filter(|changes| changes.is_multiple_of(2))
}

impl Pin {
    /// Of the device that power and PnP requests are for.
    fn is_targets(&self) -> bool {
        self.device == cards::target()
    }
}

/// A pin of a device was opened.
pub fn pin_is_open(device: usize, stream: This) {
    let stream = stream.expose_provenance();
    PINS.lock().push(Pin { device, stream, state: STOP, paused: false, registers: false });
}

/// Its state has changed.
pub fn pin_is_in(stream: This, state: u32) {
    if let Some(pin) = PINS.lock().iter_mut().find(|pin| pin.stream == stream.addr()) {
        (pin.state, pin.paused) = (state, false);
    }
}

/// A pin has given its client the position or clock register.
pub fn pin_has_registers(stream: This) {
    for pin in PINS.lock().iter_mut().filter(|pin| pin.stream == stream.addr()) {
        pin.registers = true;
    }
}

/// Whether a pin is open that a rebalance is refused for: one without the packet interfaces whose registers
/// may be in user mode ("Implement PnP Rebalance for PortCls Audio Drivers", requirements).
pub fn has_pin_that_stays() -> bool {
    streams(|pin| pin.registers).iter().any(|stream| {
        let packets = [IID_MINIPORT_WAVE_RT_OUTPUT_STREAM, IID_MINIPORT_WAVE_RT_INPUT_STREAM];
        packets.iter().all(|iid| stream.query::<Stream>(iid).is_err())
    })
}

/// Before STOP: every stream goes down to STOP, state by state, and stays there.
pub fn stop_streams() {
    for state in [PAUSE, ACQUIRE, STOP] {
        for stream in streams(|pin| pin.state > state) {
            set_stream(&stream, state);
        }
        for pin in PINS.lock().iter_mut().filter(|pin| pin.is_targets() && pin.state > state) {
            (pin.state, pin.paused) = (state, false);
        }
    }
}

/// The device goes to D3 and is pulled out there: no D0 comes. The status of the IRP.
pub fn to_d3_for_good() -> Status {
    let _used = idle::begin_use();
    d3::hold_interrupts(false);
    let status = set_device(D3);
    gone::pull();
    status
}

/// A device that was pulled out in D3 is put in again, and has no streams yet.
pub fn is_new_after_d3() {
    gone::put_back_from_d3();
    DEVICE.store(D0, Ordering::Release);
    CHANGES.fetch_add(1, Ordering::AcqRel);
}

/// The state that a pin was brought to, by its client or by PortCls.
pub fn state_of(stream: This) -> u32 {
    PINS.lock().iter().find(|pin| pin.stream == stream.addr()).map_or(STOP, |pin| pin.state)
}

/// Whether a stream is in RUN.
pub fn any_pin_runs() -> bool {
    PINS.lock().iter().any(|pin| pin.state == RUN)
}

/// A pin is about to be closed.
pub fn pin_is_closed(stream: This) {
    PINS.lock().retain(|pin| pin.stream != stream.addr());
}

/// The state of the system, as the adapter is told.
static SYSTEM: AtomicU32 = AtomicU32::new(WORKING);
/// The state of the device, as the adapter was told last.
static DEVICE: AtomicU32 = AtomicU32::new(D0);

/// A power IRP has reached PortCls.
pub fn dispatch(minor: u8, parameters: [*mut c_void; 4]) -> Status {
    // SystemContext, Type, State, ShutdownType: each as wide as a pointer.
    let [_, kind, state, _] = parameters.map(<*mut c_void>::addr);
    match (minor, u32::try_from(state)) {
        (IRP_MN_QUERY_POWER, Ok(state)) if kind == DEVICE_POWER_STATE => query(state),
        (IRP_MN_QUERY_POWER, Ok(_)) if kind == SYSTEM_POWER_STATE => query(D3),
        (IRP_MN_SET_POWER, Ok(state)) if kind == SYSTEM_POWER_STATE => {
            SYSTEM.store(state, Ordering::Release);
            let device = if state == WORKING { D0 } else { D3 };
            send(IRP_MN_SET_POWER, DEVICE_POWER_STATE, device).err().unwrap_or(Status::SUCCESS)
        }
        (IRP_MN_SET_POWER, Ok(state @ (D0 | D3))) if kind == DEVICE_POWER_STATE => {
            // It may be there already.
            match (DEVICE.swap(state, Ordering::AcqRel), state) {
                (D0, D3) => down(),
                (D3, D0) => up(),
                _ => {}
            }
            Status::SUCCESS
        }
        _ => Status::NOT_SUPPORTED,
    }
}

/// The adapter's newest power management, or the newest that a Windows has which knows fewer (cfg
/// `power_interface=`).
enum Management {
    First(Com<AdapterPowerManagement>),
    Second(Com<AdapterPowerManagement2>),
    Third(Com<AdapterPowerManagement3>),
}

fn management() -> Option<Management> {
    let this = target().lock().power.as_ref().map(Com::this)?;
    // SAFETY: PortCls holds a reference while it is registered; every version begins with the first.
    let registered = unsafe { Com::<AdapterPowerManagement>::from_lent(this) }?;
    let newest = cfg::get_u64("power_interface", 3);
    if newest >= 3
        && let Ok(third) = registered.query(&IID_ADAPTER_POWER_MANAGEMENT3)
    {
        return Some(Management::Third(third));
    }
    if newest >= 2
        && let Ok(second) = registered.query(&IID_ADAPTER_POWER_MANAGEMENT2)
    {
        return Some(Management::Second(second));
    }
    registered.query(&IID_ADAPTER_POWER_MANAGEMENT).ok().map(Management::First)
}

fn query(state: u32) -> Status {
    let Some(management) = management() else { return Status::SUCCESS };
    let ask = |this: This, first: &AdapterPowerManagement| {
        driver_call("IAdapterPowerManagement::QueryPowerChangeState", irql::PASSIVE, || {
            // SAFETY: a live interface.
            Status(unsafe { (first.query_power_change_state)(this, state) })
        })
    };
    match &management {
        Management::First(first) => ask(first.this(), first.vtable()),
        Management::Second(second) => ask(second.this(), &second.vtable().first),
        Management::Third(third) => ask(third.this(), &third.vtable().second.first),
    }
}

/// PowerChangeState of the version that the adapter has. `latency` says how soon the device must be able to
/// come back.
fn change_state(state: u32, latency: u32) {
    let system = SYSTEM.load(Ordering::Acquire);
    match management() {
        Some(Management::First(first)) => {
            driver_call("IAdapterPowerManagement::PowerChangeState", irql::PASSIVE, || {
                // SAFETY: a live interface.
                unsafe { (first.vtable().power_change_state)(first.this(), state) }
            });
        }
        Some(Management::Second(second)) => {
            driver_call("IAdapterPowerManagement2::PowerChangeState2", irql::PASSIVE, || {
                // SAFETY: a live interface.
                unsafe { (second.vtable().power_change_state2)(second.this(), state, system) }
            });
        }
        Some(Management::Third(third)) => {
            driver_call("IAdapterPowerManagement3::PowerChangeState3", irql::PASSIVE, || {
                // SAFETY: a live interface.
                unsafe { (third.vtable().power_change_state3)(third.this(), state, system, latency) }
            });
        }
        None => {}
    }
}

/// IPowerNotify of every miniport and every stream that has it.
fn notify(state: u32) {
    let ports = subdevice::registered_of(cards::target());
    let miniports = ports.iter().filter_map(|(_, port)| port.body::<Port>()?.power_notify());
    let streams = streams(|_| true);
    let streams = streams.iter().filter_map(|stream| stream.query::<PowerNotify>(&IID_POWER_NOTIFY).ok());
    for notify in miniports.chain(streams) {
        driver_call("IPowerNotify::PowerChangeNotify", irql::PASSIVE, || {
            // SAFETY: a live interface.
            unsafe { (notify.vtable().power_change_notify)(notify.this(), state) }
        });
    }
}

/// Streams of open pins of the device, with a reference each.
fn streams(which: impl Fn(&Pin) -> bool) -> Vec<Com<Stream>> {
    let pins: Vec<usize> =
        PINS.lock().iter().filter(|pin| pin.is_targets() && which(pin)).map(|pin| pin.stream).collect();
    // SAFETY: the pins are open, and whoever closes one is not at it while the power changes.
    pins.into_iter()
        .filter_map(|at| unsafe { Com::from_lent(ptr::with_exposed_provenance_mut(at)) })
        .collect()
}

/// `SetState` by PortCls itself. A state that a client asks for is its own business.
fn set_stream(stream: &Com<Stream>, state: u32) {
    let status = set_state::timed(|| {
        driver_call("SetState", irql::PASSIVE, || {
            // SAFETY: a live interface.
            Status(unsafe { (stream.vtable().set_state)(stream.this(), state) })
        })
    });
    // A card that did not come back can't run. *Doubt*: no page says what PortCls makes of it.
    let may_fail = gone::is_gone() && state == RUN;
    if !status.is_success() && !may_fail {
        kernel::violation(
            "set-state",
            format_args!("PortCls' SetState({state}) around D3 or STOP: {status}"),
        );
    }
}

fn down() {
    CHANGES.fetch_add(1, Ordering::AcqRel);
    for stream in streams(|pin| pin.state == RUN) {
        set_stream(&stream, PAUSE);
    }
    for pin in PINS.lock().iter_mut().filter(|pin| pin.is_targets() && pin.state == RUN) {
        pin.paused = true;
    }
    notify(D3);
    if fault::make(Fault::DeafToD3) {
        d3::deaf(|| change_state(D3, LATENCIES[0]));
    } else {
        change_state(D3, LATENCIES[0]);
    }
    d3::power_down();
    // The acceptable latency changes while the device is in D3, as often as it likes.
    if let Some(Management::Third(third)) = management() {
        for latency in LATENCIES {
            driver_call("IAdapterPowerManagement3::D3ExitLatencyChanged", irql::PASSIVE, || {
                // SAFETY: a live interface.
                unsafe { (third.vtable().d3_exit_latency_changed)(third.this(), latency) }
            });
        }
    }
}

fn up() {
    let context = CONTEXT.lock().unwrap_or(Context::Kept);
    d3::power_up(context);
    gone::in_d0();
    change_state(D0, LATENCIES[2]);
    notify(D0);
    for stream in streams(|pin| pin.paused) {
        set_stream(&stream, RUN);
    }
    for pin in PINS.lock().iter_mut().filter(|pin| pin.is_targets()) {
        pin.paused = false;
    }
    CHANGES.fetch_add(1, Ordering::AcqRel);
}

/// Holds the line back; while a stream of the device runs, one of its interrupts comes yet.
fn hold_interrupts() {
    let runs = PINS.lock().iter().any(|pin| pin.is_targets() && pin.state == RUN);
    d3::hold_interrupts(runs);
}

/// The power manager: the device goes to D3, `within` is done, and it comes back. Every other time the driver
/// is `asked` before. The status of the IRP that failed, if one did; then `within` was not done.
pub fn in_d3<R>(asked: bool, context: Context, within: impl FnOnce() -> R) -> Result<R, Status> {
    let _used = idle::begin_use();
    *CONTEXT.lock() = Some(context);
    if asked {
        send(IRP_MN_QUERY_POWER, DEVICE_POWER_STATE, D3)?;
    }
    hold_interrupts();
    send(IRP_MN_SET_POWER, DEVICE_POWER_STATE, D3)?;
    let result = within();
    send(IRP_MN_SET_POWER, DEVICE_POWER_STATE, D0)?;
    Ok(result)
}

/// The system sleeps, and the card comes back as from a reset: by itself, or with the machine. `within` is
/// done while it sleeps: no client runs then.
pub fn in_system_sleep<R>(
    asked: bool,
    sleep: Sleep,
    context: Context,
    within: impl FnOnce() -> R,
) -> Result<R, Status> {
    let _used = idle::begin_use();
    *CONTEXT.lock() = Some(context);
    if asked {
        send(IRP_MN_QUERY_POWER, SYSTEM_POWER_STATE, sleep as u32)?;
    }
    hold_interrupts();
    send(IRP_MN_SET_POWER, SYSTEM_POWER_STATE, sleep as u32)?;
    let result = within();
    send(IRP_MN_SET_POWER, SYSTEM_POWER_STATE, WORKING)?;
    Ok(result)
}

/// The device goes to D3 and keeps its registers: the status of the IRP.
pub fn sleep_device() -> Status {
    *CONTEXT.lock() = Some(Context::Kept);
    hold_interrupts();
    set_device(D3)
}

/// A power IRP for the device: its status.
pub fn set_device(state: u32) -> Status {
    send(IRP_MN_SET_POWER, DEVICE_POWER_STATE, state).err().unwrap_or(Status::SUCCESS)
}

fn send(minor: u8, kind: usize, state: u32) -> Result<(), Status> {
    let fdo = fdo().ok_or(Status::INVALID_DEVICE_STATE)?;
    let parameters = [0, kind, state as usize, 0].map(ptr::without_provenance_mut);
    // SAFETY: the device is started, so the driver object and the FDO are live.
    let status = unsafe { device::send(driver(), fdo, IRP_MJ_POWER, minor, parameters) };
    if status.is_success() { Ok(()) } else { Err(status) }
}
