//! The WaveRT and topology ports: objects of `PcNewPort` with IPort and, in the modules that `create` names,
//! everything else that a port offers.
//!
//! `Init` does what the real one does, in its order: the miniport is asked for its port-specific interface,
//! then initialised, then for its description (WAVERT.md 1.2 step 4), which is checked at once.

use super::automation;
use super::com::Com;
use super::descriptor::{self, Filter, Role};
use super::fault::{self, Fault};
use super::guid::{
    Guid, IID_MINIPORT_PNP_NOTIFY, IID_MINIPORT_TOPOLOGY, IID_MINIPORT_WAVE_RT, IID_PIN_COUNT, IID_PORT,
    IID_PORT_TOPOLOGY, IID_PORT_WAVE_RT, IID_POWER_NOTIFY, Named,
};
use super::layout::{DEVICE_DESCRIPTION_BYTES, DeviceObject, Irp, PcFilterDescriptor};
use super::object::{self, Body, Interface, Object};
use super::report::Violations;
use super::status::Status;
use super::subdevice::End;
use super::vtable::{MiniportTopology, MiniportWaveRt, PinCount, PnpNotify, PowerNotify, This, Unknown};
use super::{
    adapter, device, device_lock, drm, events, oracle, port_etw, port_power, port_unregister, registry,
    stream_resource,
};
use crate::kernel::call::driver_call;
use crate::kernel::pool::Guarded;
use crate::kernel::sync::IrqLock;
use crate::kernel::{self, inject, irql};
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ffi::c_void;
use core::ptr;

/// A port of either kind.
pub struct Port {
    role: Role,
    inner: IrqLock<Inner>,
}

#[derive(Default)]
struct Inner {
    init_called: bool,
    /// Of which device; before `Init` of the first.
    device: usize,
    filter: Option<Arc<Filter>>,
    wave: Option<Com<MiniportWaveRt>>,
    topology: Option<Com<MiniportTopology>>,
    power_notify: Option<Com<PowerNotify>>,
    pnp_notify: Option<Com<PnpNotify>>,
    pin_count: Option<Com<PinCount>>,
    miniport: Option<Com<Unknown>>,
}

impl Body for Port {
    fn destroyed(&self) {
        self.let_go();
    }
}

impl Port {
    /// WaveRT or topology.
    pub fn role(&self) -> Role {
        self.role
    }

    /// Which device it was initialised for.
    pub fn device(&self) -> usize {
        self.inner.lock().device
    }

    /// The miniport's description, once `Init` succeeded.
    pub fn filter(&self) -> Option<Arc<Filter>> {
        self.inner.lock().filter.clone()
    }

    /// What `Init` was given: the target of property and event requests.
    pub fn miniport(&self) -> Option<This> {
        self.inner.lock().miniport.as_ref().map(Com::this)
    }

    /// Lets go of the miniport and of everything that was asked of it: when its subdevice is unregistered and
    /// when the device goes. Miniports hold their port (Microsoft's samples do), so that a port that kept its
    /// miniport would keep both for ever.
    pub fn let_go(&self) {
        // Taken out first: releasing calls the driver, which must not happen under the lock.
        let inner = {
            let mut inner = self.inner.lock();
            let init_called = inner.init_called;
            core::mem::replace(&mut *inner, Inner { init_called, ..Inner::default() })
        };
        drop(inner);
    }

    /// `IMiniportPnpNotify::PnpStop`, with the device global lock held (its page): after it the miniport
    /// touches no hardware.
    pub fn pnp_stop(&self) {
        let this = self.inner.lock().pnp_notify.as_ref().map(Com::this);
        // SAFETY: the port holds a reference while it is alive and registered; `from_lent` takes one of its
        // own.
        let Some(notify) = (unsafe { this.and_then(|this| Com::<PnpNotify>::from_lent(this)) }) else {
            return;
        };
        device_lock::with("IMiniportPnpNotify::PnpStop", || {
            driver_call("IMiniportPnpNotify::PnpStop", irql::PASSIVE, || {
                let this = notify.this();
                // SAFETY: a live interface.
                unsafe {
                    if oracle::is_on() {
                        oracle::oracle_miniport_pnp_stop(this);
                    } else {
                        (notify.vtable().pnp_stop)(this);
                    }
                }
            });
        });
    }

    /// The miniport's IPowerNotify, with a reference of the caller's own.
    pub fn power_notify(&self) -> Option<Com<PowerNotify>> {
        let this = self.inner.lock().power_notify.as_ref().map(Com::this)?;
        // SAFETY: the port holds a reference while it is registered.
        unsafe { Com::from_lent(this) }
    }

    /// How many instances of a pin may exist, when `current` do and its descriptor says `possible`: the
    /// miniport's IPinCount may change that, by the values that it is handed (its page).
    pub fn possible_instances(&self, pin: u32, current: u32, possible: u32) -> u32 {
        let this = self.inner.lock().pin_count.as_ref().map(Com::this);
        // SAFETY: the port holds a reference while it is registered; `from_lent` takes one of its own.
        let counts = unsafe { this.and_then(|this| Com::<PinCount>::from_lent(this)) };
        let Some(counts) = counts else { return possible };
        let mut values = [0, current, possible, current, possible];
        let [necessary, filter_current, filter_possible, global_current, global_possible] = &mut values;
        driver_call("IPinCount::PinCount", irql::PASSIVE, || {
            // SAFETY: a live interface and five values of ours.
            unsafe {
                (counts.vtable().pin_count)(
                    counts.this(),
                    pin,
                    necessary,
                    filter_current,
                    filter_possible,
                    global_current,
                    global_possible,
                );
            }
        });
        values[2].min(values[4])
    }

    /// The wave miniport with a reference of the caller's own.
    pub fn wave_miniport(&self) -> Option<Com<MiniportWaveRt>> {
        let this = self.inner.lock().wave.as_ref().map(Com::this)?;
        // SAFETY: the port holds a reference while it is alive.
        unsafe { Com::from_lent(this) }
    }
}

#[repr(C)]
struct PortVtable {
    unknown: Unknown,
    init: unsafe extern "win64" fn(This, *mut DeviceObject, *mut Irp, This, This, This) -> i32,
    get_device_property: unsafe extern "win64" fn(This, u32, u32, *mut u8, *mut u32) -> i32,
    new_registry_key:
        unsafe extern "win64" fn(This, *mut This, This, u32, u32, *mut c_void, u32, *mut u32) -> i32,
}

static PORT: PortVtable =
    PortVtable { unknown: object::UNKNOWN, init, get_device_property, new_registry_key };

/// A new port with one reference (`PcNewPort`).
pub fn create(role: Role) -> &'static Object {
    let (kind, iids): (_, &'static [Guid]) = match role {
        Role::Wave => ("IPortWaveRT", &[IID_PORT_WAVE_RT, IID_PORT]),
        Role::Topology => ("IPortTopology", &[IID_PORT_TOPOLOGY, IID_PORT]),
    };
    let mut interfaces = Vec::from([Interface { iids, vtable: (&raw const PORT).cast() }]);
    if !fault::make(Fault::NoPortEvents) {
        interfaces.push(events::interface());
    }
    interfaces.extend(port_unregister::interfaces());
    if !fault::make(Fault::NoPortServices) {
        interfaces.extend(port_power::interfaces());
        interfaces.extend(port_etw::interfaces());
        interfaces.extend([stream_resource::interface(), drm::interface()]);
    }
    object::create(kind, Box::new(Port { role, inner: IrqLock::new(Inner::default()) }), &interfaces)
}

unsafe extern "win64" fn init(
    this: This,
    fdo: *mut DeviceObject,
    irp: *mut Irp,
    miniport: This,
    adapter: This,
    resources: This,
) -> i32 {
    const METHOD: &str = "IPort::Init";
    irql::require(METHOD, irql::PASSIVE);
    let Some((object, port)) = object::find_body::<Port>(this, METHOD) else {
        return Status::INVALID_PARAMETER.0;
    };
    let Some(device) = adapter::device_of_fdo(fdo, METHOD) else { return Status::INVALID_PARAMETER.0 };
    if !irp.is_null() && !device::in_flight(irp) {
        kernel::violation(
            "irp-unknown",
            format_args!("{METHOD} with an IRP that is not in flight, {}", object::lately()),
        );
    }
    if !resources.is_null() && object::find(resources, METHOD).is_none() {
        return Status::INVALID_PARAMETER.0;
    }
    port.inner.lock().device = device;
    if core::mem::replace(&mut port.inner.lock().init_called, true) {
        kernel::violation("port-init-twice", format_args!("{METHOD}, {}", object::lately()));
        return Status::INVALID_DEVICE_STATE.0;
    }
    if let Some(status) = inject::PORT_INIT.fails() {
        return status.0;
    }
    // SAFETY: the miniport's IUnknown, lent for the call; null is `None`.
    let Some(miniport) = (unsafe { Com::<Unknown>::from_lent(miniport) }) else {
        kernel::violation("null-argument", format_args!("{METHOD} without a miniport, {}", object::lately()));
        return Status::INVALID_PARAMETER.0;
    };
    let arguments = [adapter, resources, object.this()];
    let result = match port.role {
        Role::Wave => {
            init_miniport::<MiniportWaveRt>(&miniport, port, &IID_MINIPORT_WAVE_RT, arguments).map(|wave| {
                check_device_description(&wave);
                port.inner.lock().wave = Some(wave);
            })
        }
        Role::Topology => {
            init_miniport::<MiniportTopology>(&miniport, port, &IID_MINIPORT_TOPOLOGY, arguments)
                .map(|topology| port.inner.lock().topology = Some(topology))
        }
    };
    let result = result.and_then(|()| inject::PORT_INIT_LATE.fails().map_or(Ok(()), Err));
    if result.is_ok() {
        let (power, pnp, pins) = (
            miniport.query(&IID_POWER_NOTIFY).ok(),
            miniport.query(&IID_MINIPORT_PNP_NOTIFY).ok(),
            miniport.query(&IID_PIN_COUNT).ok(),
        );
        let mut inner = port.inner.lock();
        (inner.power_notify, inner.pnp_notify, inner.pin_count) = (power, pnp, pins);
        inner.miniport = Some(miniport);
    }
    if let Err(status) = result {
        crate::kprintln!("{METHOD} ({:?}) failed: {status}", port.role);
        port.let_go();
    }
    result.err().unwrap_or(Status::SUCCESS).0
}

fn check(status: Status) -> Result<(), Status> {
    if status.is_success() { Ok(()) } else { Err(status) }
}

/// Asks for the port-specific interface and looks at the object's identity.
fn specific<V>(miniport: &Com<Unknown>, iid: &Guid) -> Result<Com<V>, Status> {
    let specific = miniport.query::<V>(iid).inspect_err(|status| {
        kernel::violation(
            "miniport-interface",
            format_args!("the miniport refuses {}: {status}", Named(*iid)),
        );
    })?;
    specific.check_identity("the miniport");
    miniport.check_same_object(&specific, "the miniport");
    Ok(specific)
}

/// `Init` of either miniport: adapter, resource list, port.
type Init = unsafe extern "win64" fn(This, This, This, This) -> i32;

/// A miniport that a port is initialised with.
trait Initialise {
    /// The name of its `Init`.
    const INIT: &str;
    /// `Init` and `GetDescription`.
    fn slots(&self) -> (Init, GetDescription);
}

impl Initialise for MiniportWaveRt {
    const INIT: &str = "IMiniportWaveRT::Init";
    fn slots(&self) -> (Init, GetDescription) {
        (self.init, self.miniport.get_description)
    }
}

impl Initialise for MiniportTopology {
    const INIT: &str = "IMiniportTopology::Init";
    fn slots(&self) -> (Init, GetDescription) {
        (self.init, self.miniport.get_description)
    }
}

/// Initialises the miniport of the port's kind and takes its filter.
fn init_miniport<V: Initialise>(
    miniport: &Com<Unknown>,
    port: &Port,
    iid: &Guid,
    [adapter, resources, this]: [This; 3],
) -> Result<Com<V>, Status> {
    let own = specific::<V>(miniport, iid)?;
    check(driver_call(V::INIT, irql::PASSIVE, || {
        // SAFETY: a live miniport; adapter and list are the driver's own arguments, handed through as PortCls
        // does.
        Status(unsafe { (own.vtable().slots().0)(own.this(), adapter, resources, this) })
    }))?;
    let filter = describe(&own, port.role)?;
    port.inner.lock().filter = Some(Arc::new(filter));
    Ok(own)
}

type GetDescription = unsafe extern "win64" fn(This, *mut *const PcFilterDescriptor) -> i32;

fn describe<V: Initialise>(miniport: &Com<V>, role: Role) -> Result<Filter, Status> {
    let mut filter = ptr::null();
    check(driver_call("IMiniport::GetDescription", irql::PASSIVE, || {
        // SAFETY: a live miniport and a slot for the answer.
        Status(unsafe { (miniport.vtable().slots().1)(miniport.this(), &raw mut filter) })
    }))?;
    if filter.is_null() {
        kernel::violation("descriptor", format_args!("{role:?}: GetDescription succeeded and returned NULL"));
        return Err(Status::UNSUCCESSFUL);
    }
    let mut report = Violations { rule: "descriptor", about: format_args!("{role:?}") };
    // SAFETY: not null, the driver's descriptor.
    let filter = unsafe { descriptor::validate(filter, role, &mut report) };
    automation::check_handlers(&filter, adapter::is_driver_code, &mut report);
    Ok(filter)
}

/// `GetDeviceDescription` must succeed at any time after Init; its buffer ends at an unmapped page.
fn check_device_description(wave: &Com<MiniportWaveRt>) {
    let buffer = Guarded::new(DEVICE_DESCRIPTION_BYTES);
    let status = driver_call("IMiniportWaveRT::GetDeviceDescription", irql::PASSIVE, || {
        // SAFETY: a live miniport and 64 bytes for the answer.
        Status(unsafe { (wave.vtable().get_device_description)(wave.this(), buffer.as_mut_ptr().cast()) })
    });
    // SAFETY: Version and the two BOOLEANs after it lie inside the 64 bytes.
    let (version, master, scatter_gather) = unsafe {
        let bytes = buffer.as_mut_ptr().cast::<u8>();
        (bytes.cast::<u32>().read_unaligned(), bytes.add(4).read(), bytes.add(5).read())
    };
    if !status.is_success() || version > 3 || master != 1 || scatter_gather > 1 {
        // No document says what PortCls makes of the values: WaveRT drivers get their pages from the port,
        // not by an adapter object.
        let report = if status.is_success() { kernel::harsh_violation } else { kernel::violation };
        report(
            "device-description",
            format_args!(
                "status {status}, Version {version}, Master {master}, ScatterGather {scatter_gather}"
            ),
        );
    }
}

unsafe extern "win64" fn get_device_property(
    this: This,
    number: u32,
    length: u32,
    buffer: *mut u8,
    result: *mut u32,
) -> i32 {
    const METHOD: &str = "IPort::GetDeviceProperty";
    irql::require(METHOD, irql::PASSIVE);
    let Some((_, port)) = object::find_body::<Port>(this, METHOD) else { return Status::INVALID_PARAMETER.0 };
    // SAFETY: the caller's buffer and result, as the method wants them.
    unsafe { device::write_property(port.device(), number, length, buffer, result).0 }
}

unsafe extern "win64" fn new_registry_key(
    this: This,
    out: *mut This,
    outer: This,
    key_type: u32,
    _access: u32,
    _attributes: *mut c_void,
    _options: u32,
    _disposition: *mut u32,
) -> i32 {
    const METHOD: &str = "IPort::NewRegistryKey";
    irql::require(METHOD, irql::PASSIVE);
    let Some((_, port)) = object::find_body::<Port>(this, METHOD) else { return Status::INVALID_PARAMETER.0 };
    if !port.inner.lock().init_called {
        kernel::violation(
            "port-not-initialised",
            format_args!("{METHOD} before IPort::Init, {}", object::lately()),
        );
    }
    // SAFETY: the caller's slot for the answer.
    unsafe { open_key(METHOD, out, outer, key_type).0 }
}

/// Opens a registry key into the caller's slot.
///
/// # Safety
/// `out` is null or the caller's slot for an interface pointer.
pub unsafe fn open_key(method: &str, out: *mut This, outer: This, key_type: u32) -> Status {
    if out.is_null() || !outer.is_null() {
        kernel::violation(
            "null-argument",
            format_args!("{method}: out is NULL or an outer object is given, {}", object::lately()),
        );
        return Status::INVALID_PARAMETER;
    }
    let opened = inject::NEW_KEY.fails().map_or_else(|| registry::open(key_type), Err);
    let (key, status) = match opened {
        Ok(key) => (key.this(), Status::SUCCESS),
        Err(status) => (ptr::null_mut(), status),
    };
    // SAFETY: not null, the caller's.
    unsafe { out.write(key) };
    status
}

/// A pin of one of our ports, as an end of a connection.
pub fn end(port: This, pin: u32, method: &str) -> Option<End> {
    object::find_body::<Port>(port, method).map(|(port, _)| End::Port(port, pin))
}
