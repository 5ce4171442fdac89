//! What a good driver does with PortCls, from the port to its end, and that the model does what Windows'
//! pages say.

use super::driver::{
    BE_PENDING, Fake, PENDING_REQUEST, POWER_CHANGES, PROPERTY, SAW_POWER, SAW_PROPERTY, SAW_TARGET,
    driver_object,
};
use super::{export, pnp_cases, slot};
use crate::kernel::thread::{self, DRIVER_STACK};
use crate::kernel::{self, harsh, pci};
use crate::portcls::adapter;
use crate::portcls::controls_layout::verb;
use crate::portcls::guid::{
    CLSID_PORT_WAVE_RT, Guid, IID_DRM_PORT2, IID_PORT_CLS_ETW_HELPER, IID_PORT_CLS_POWER,
    IID_PORT_CLS_STREAM_RESOURCE_MANAGER2, IID_PORT_CLS_VERSION, IID_UNKNOWN, KSPROPSETID_PIN,
};
use crate::portcls::idle;
use crate::portcls::layout::DeviceObject;
use crate::portcls::object::{self, Object};
use crate::portcls::pnp;
use crate::portcls::power;
use crate::portcls::property::Property;
use crate::portcls::resources;
use crate::portcls::status::Status;
use crate::portcls::vtable::This;
use core::ffi::c_void;
use core::ptr;
use core::sync::atomic::Ordering::Relaxed;

/// The name of the subdevice: PortCls keeps the pointer.
pub static NAME: [u16; 5] = [b'W' as u16, b'a' as u16, b'v' as u16, b'e' as u16, 0];

fn expect(holds: bool, what: &str) {
    if !holds {
        kernel::violation("selftest", format_args!("{what}"));
    }
}

/// A new WaveRT port with one reference.
pub fn new_port() -> This {
    let (mut port, class) = (ptr::null_mut(), CLSID_PORT_WAVE_RT);
    export!("PcNewPort" as fn(*mut This, *const Guid) -> i32)(&raw mut port, &raw const class);
    port
}

/// An interface of an object of PortCls, with a reference.
pub fn query(this: This, iid: Guid) -> This {
    let mut out = ptr::null_mut();
    slot!(this, 0, fn(*const Guid, *mut This) -> i32, &raw const iid, &raw mut out);
    out
}

/// Gives a reference to an object of PortCls back; what is left.
pub fn release(this: This) -> u32 {
    slot!(this, 2, fn() -> u32,)
}

/// `IPort::Init` with a miniport.
pub fn init(port: This, miniport: This) -> Status {
    let (fdo, list) = (adapter::add_selftest_device(), resources::of_card(pci::card()));
    let status = slot!(
        port,
        3,
        fn(*mut DeviceObject, *mut c_void, This, This, This) -> i32,
        fdo,
        ptr::null_mut(),
        miniport,
        ptr::null_mut(),
        list.this()
    );
    list.release();
    Status(status)
}

/// `PcRegisterSubdevice`; PortCls keeps the pointer to the name.
pub fn register(name: *const u16, port: This) -> Status {
    let fdo = adapter::add_selftest_device();
    Status(export!("PcRegisterSubdevice" as fn(*mut DeviceObject, *const u16, This) -> i32)(fdo, name, port))
}

/// A port that was initialised with a miniport and registered; only PortCls and the two hold each other.
pub fn registered_port() -> (&'static Object, &'static Fake) {
    let (port, miniport) = (new_port(), Fake::miniport());
    expect(init(port, miniport.this()).is_success(), "IPort::Init with a good miniport");
    expect(register(NAME.as_ptr(), port).is_success(), "PcRegisterSubdevice");
    let object = object::find(port, "selftest").unwrap_or_else(|| panic!("the port is an object"));
    miniport.release();
    release(port);
    (object, miniport)
}

/// The whole.
pub fn run() {
    services();
    let (port, miniport) = registered_port();
    properties(port);
    interrupt();
    power();
    pnp::remove();
    // A driver may refuse a query without PortCls.
    pnp_cases::refusing();
    let status = pnp::send_minor(pnp_cases::QUERY_STOP);
    expect(status == Status::UNSUCCESSFUL, "QUERY_STOP ends as the driver completed it");
    expect(port.references() == 0, "the port is gone when its device is, though its miniport held it");
    expect(miniport.references() == 0, "the miniport is gone with its port");
    adapter::add_selftest_device();
}

/// A request with the instance of a KSP_PIN.
pub fn property(port: &'static Object) -> Property<'static> {
    Property { port, node: None, set: KSPROPSETID_PIN, id: PROPERTY, instance: &[0; 8] }
}

fn properties(port: &'static Object) {
    let stream = Fake::other();
    expect(property(port).call(verb::GET, &[]).status == Status::SUCCESS, "GET of a filter's property");
    expect(SAW_PROPERTY.load(Relaxed) == 1, "the KSPROPERTY lies in front of the instance");
    expect(SAW_TARGET.load(Relaxed) == 0, "a filter's request has no minor target");
    let reply = property(port).call_on_stream(0, stream.this(), verb::GET, &[]);
    expect(reply.status == Status::SUCCESS, "GET of a pin's property");
    expect(
        SAW_TARGET.load(Relaxed) == stream.this().addr(),
        "a pin's request has the stream as minor target",
    );
    let reply = property(port).call_on_stream(1, stream.this(), verb::GET, &[]);
    expect(reply.status == Status::NOT_FOUND, "a pin without a table has no properties");
    if !harsh::on() {
        let support = property(port).call(verb::BASIC_SUPPORT, &[0; 4]);
        expect(support.bytes() == Some(&[3, 0, 0, 0][..]), "KS answers BASICSUPPORT that is not listed");
    }
    BE_PENDING.store(1, Relaxed);
    let id = thread::spawn("completes", complete, ptr::null_mut(), DRIVER_STACK);
    let reply = property(port).call(verb::SET, &[]);
    thread::join(id);
    BE_PENDING.store(0, Relaxed);
    expect(reply.status == Status::NO_MATCH, "a pending request ends with the status it is completed with");
}

fn complete(_: *mut c_void) {
    while PENDING_REQUEST.load(Relaxed) == 0 {
        thread::sleep_100ns(10_000);
    }
    let request = PENDING_REQUEST.swap(0, Relaxed);
    export!("PcCompletePendingPropertyRequest" as fn(usize, i32) -> i32)(request, Status::NO_MATCH.0);
}

/// Every service of a port, once.
fn services() {
    let (port, fdo) = (new_port(), adapter::add_selftest_device());
    let adapter_object = Fake::other();
    let power = query(port, IID_PORT_CLS_POWER);
    slot!(power, 3, fn(This, *mut DeviceObject) -> i32, adapter_object.this(), fdo);
    expect(adapter_object.references() == 2, "PortCls holds the adapter's power management");
    slot!(power, 4, fn(*mut DeviceObject) -> i32, fdo);
    expect(adapter_object.references() == 1, "and lets it go");
    let version = query(port, IID_PORT_CLS_VERSION);
    expect(slot!(version, 3, fn() -> u32,) >= 14, "the version is that of Windows Vista or newer");
    let etw = query(port, IID_PORT_CLS_ETW_HELPER);
    let status = slot!(etw, 3, fn(u32, u64, u64, u64, u64) -> i32, 7, 0, 0, 1, 0);
    expect(Status(status).is_success() && crate::portcls::port_etw::glitches() == 1, "a glitch is counted");
    let drm = query(port, IID_DRM_PORT2);
    let mut mixed = 0;
    slot!(drm, 3, fn(*const u32, u32, *mut u32) -> i32, ptr::null(), 0, &raw mut mixed);
    slot!(drm, 4, fn(u32) -> i32, mixed);
    let resources = query(port, IID_PORT_CLS_STREAM_RESOURCE_MANAGER2);
    let mut handle = 0;
    let thread = descriptor();
    slot!(
        resources,
        3,
        fn(*mut c_void, *const [usize; 5], *mut usize) -> i32,
        ptr::null_mut(),
        &raw const thread,
        &raw mut handle
    );
    expect(handle != 0, "a stream resource has a handle");
    slot!(resources, 4, fn(usize) -> i32, handle);
    // COM's root interface is none of the kernel's.
    let com = query(port, Guid::parse("00000000-0000-0000-C000-000000000046"));
    expect(com.is_null(), "the port does not know IUnknown of user mode");
    for this in [query(port, IID_UNKNOWN), power, version, etw, drm, resources] {
        expect(!this.is_null() && release(this) > 0, "every interface is the port's");
    }
    expect(release(port) == 0, "the port goes with its last reference");
}

/// `PcRequestNewPowerState`.
pub fn request_power(state: u32) -> Status {
    let fdo = adapter::fdo().unwrap_or(ptr::null_mut());
    Status(export!("PcRequestNewPowerState" as fn(*mut DeviceObject, u32) -> i32)(fdo, state))
}

/// Registers the power management of an adapter whose IRPs reach PortCls.
pub fn register_power() -> &'static Fake {
    let (fdo, adapter_object) = (adapter::add_selftest_device(), Fake::power());
    adapter::expect_driver(driver_object(), ptr::null_mut());
    adapter::add_selftest_device();
    export!("PcRegisterAdapterPowerManagement" as fn(This, *mut DeviceObject) -> i32)(
        adapter_object.this(),
        fdo,
    );
    adapter_object
}

/// A driver asks for power itself: its adapter is told by the power IRP that this causes, once for each
/// change.
fn power() {
    let adapter_object = register_power();
    let told =
        |state: u32, changes: u32| SAW_POWER.load(Relaxed) == state && POWER_CHANGES.load(Relaxed) == changes;
    expect(request_power(power::D0).is_success() && told(0, 0), "a device in D0 is asked to go there");
    expect(request_power(power::D3).is_success() && told(power::D3, 1), "D3 is told");
    expect(request_power(power::D0).is_success() && told(power::D0, 2), "D0 is told");
    expect(request_power(power::D3).is_success() && told(power::D3, 3), "D3 is told again");
    drop(idle::begin_use());
    expect(told(power::D0, 4), "who uses the device gives it its power back");
    expect(!request_power(2).is_success() && !request_power(9).is_success(), "no such state");
    export!("PcUnregisterAdapterPowerManagement" as fn(*mut DeviceObject) -> i32)(
        adapter::fdo().unwrap_or(ptr::null_mut()),
    );
    expect(adapter_object.references() == 1, "PortCls lets go of the power management");
}

/// A `PCSTREAMRESOURCE_DESCRIPTOR` of a thread: Size and Flags, Pdo, Type, the thread.
pub fn descriptor() -> [usize; 5] {
    [40, adapter::pdo().addr(), 1, 0x1000, 0]
}

/// `PINTERRUPTSYNCROUTINE`
type Routine = unsafe extern "win64" fn(This, *mut c_void) -> i32;

/// `IInterruptSync` on the card's interrupt.
fn interrupt() {
    let list = resources::of_card(pci::card());
    let mut sync: This = ptr::null_mut();
    export!("PcNewInterruptSync" as fn(*mut This, This, This, u32, u32) -> i32)(
        &raw mut sync,
        ptr::null_mut(),
        list.this(),
        0,
        1,
    );
    expect(!sync.is_null(), "the list has an interrupt");
    slot!(sync, 7, fn(Routine, *mut c_void, u8) -> i32, nobody, ptr::null_mut(), 0);
    expect(slot!(sync, 5, fn() -> i32,) == 0, "Connect");
    expect(!slot!(sync, 4, fn() -> *mut c_void,).is_null(), "a connected object has a KINTERRUPT");
    let status = slot!(sync, 3, fn(Routine, *mut c_void) -> i32, nobody, ptr::null_mut());
    expect(status == Status::UNSUCCESSFUL.0, "CallSynchronizedRoutine returns what the routine does");
    slot!(sync, 6, fn(),);
    expect(release(sync) == 0, "the object goes with its last reference");
    list.release();
}

unsafe extern "win64" fn nobody(_sync: This, _context: *mut c_void) -> i32 {
    Status::UNSUCCESSFUL.0
}
