//! A driver in miniature: a WaveRT miniport with one pin to open, whose property handler tells what it was
//! asked, and a stream that does nothing. The miniport holds its port, as Microsoft's samples do.

use crate::kernel::layout::{AddDevice, DriverExtension, DriverObject};
use crate::portcls::controls_layout::{PcPropertyRequest, verb};
use crate::portcls::guid::{
    Guid, IID_ADAPTER_PNP_MANAGEMENT, IID_ADAPTER_POWER_MANAGEMENT, IID_MINIPORT, IID_MINIPORT_WAVE_RT,
    IID_MINIPORT_WAVE_RT_STREAM, IID_UNKNOWN, KSCATEGORY_AUDIO, KSPROPSETID_PIN, SPECIFIER_NONE,
    SPECIFIER_WAVEFORMATEX, SUBTYPE_ANALOG, SUBTYPE_PCM,
};
use crate::portcls::layout::{
    FILTER_NODE, KsDataFormat, KsDataRangeAudio, KsPinDescriptor, PcAutomationTable, PcConnectionDescriptor,
    PcFilterDescriptor, PcItem, PcPinDescriptor,
};
use crate::portcls::power;
use crate::portcls::status::Status;
use crate::portcls::vtable::{AdapterPowerManagement, Miniport, MiniportWaveRt, This, Unknown};
use alloc::boxed::Box;
use core::ffi::c_void;
use core::ptr;
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

/// Number of the property that both the filter and its pin have, in the set of pin properties
/// (PROPOSEDATAFORMAT).
pub const PROPERTY: u32 = 14;

/// An object of the driver: its vtable, its references, what it holds.
#[repr(C)]
pub struct Fake {
    vtable: *const c_void,
    references: AtomicU32,
    /// The port, once it called Init.
    port: AtomicUsize,
    iids: &'static [Guid],
}

impl Fake {
    fn create(vtable: *const c_void, iids: &'static [Guid]) -> &'static Self {
        Box::leak(Box::new(Self { vtable, references: AtomicU32::new(1), port: AtomicUsize::new(0), iids }))
    }

    /// A miniport, with one reference.
    pub fn miniport() -> &'static Self {
        Self::create((&raw const MINIPORT).cast(), &[IID_UNKNOWN, IID_MINIPORT, IID_MINIPORT_WAVE_RT])
    }

    /// A miniport whose GetDeviceDescription fails.
    pub fn undescribed() -> &'static Self {
        Self::create((&raw const UNDESCRIBED).cast(), &[IID_UNKNOWN, IID_MINIPORT, IID_MINIPORT_WAVE_RT])
    }

    /// An adapter's power management, with none of its interfaces, that does not say so with NULL.
    pub fn rude() -> &'static Self {
        Self::create((&raw const RUDE).cast(), &[IID_UNKNOWN])
    }

    /// Something with nothing but references, as a stream here and as an adapter's power management.
    pub fn other() -> &'static Self {
        const IIDS: &[Guid] = &[
            IID_UNKNOWN,
            IID_MINIPORT_WAVE_RT_STREAM,
            IID_ADAPTER_POWER_MANAGEMENT,
            IID_ADAPTER_PNP_MANAGEMENT,
        ];
        Self::create((&raw const UNKNOWN_TABLE).cast(), IIDS)
    }

    /// An adapter's power management that tells what it heard.
    pub fn power() -> &'static Self {
        Self::create((&raw const POWER).cast(), &[IID_UNKNOWN, IID_ADAPTER_POWER_MANAGEMENT])
    }

    /// Its interface pointer.
    pub fn this(&self) -> This {
        ptr::from_ref(self).cast_mut().cast()
    }

    /// References that exist.
    pub fn references(&self) -> u32 {
        self.references.load(Ordering::Relaxed)
    }

    /// Gives the first reference back.
    pub fn release(&self) {
        // SAFETY: an object of ours.
        unsafe { release(self.this()) };
    }
}

const UNKNOWN: Unknown = Unknown { query_interface, add_ref, release };
static UNKNOWN_TABLE: Unknown = UNKNOWN;
static RUDE: Unknown = Unknown { query_interface: query_rudely, add_ref, release };
static POWER: AdapterPowerManagement = AdapterPowerManagement {
    unknown: UNKNOWN,
    power_change_state,
    query_power_change_state,
    query_device_capabilities,
};
const fn miniport_with(
    get_device_description: unsafe extern "win64" fn(This, *mut c_void) -> i32,
) -> MiniportWaveRt {
    let miniport = Miniport { unknown: UNKNOWN, get_description, data_range_intersection };
    MiniportWaveRt { miniport, init, new_stream, get_device_description }
}
static MINIPORT: MiniportWaveRt = miniport_with(get_device_description);
static UNDESCRIBED: MiniportWaveRt = miniport_with(no_device_description);

/// # Safety
/// `this` is an object of this module, none of which is ever freed.
unsafe fn fake(this: This) -> &'static Fake {
    // SAFETY: as promised.
    unsafe { &*this.cast::<Fake>() }
}

unsafe extern "win64" fn query_interface(this: This, iid: *const Guid, out: *mut This) -> i32 {
    // SAFETY: called by PortCls with a GUID and a slot, on an object of ours.
    unsafe {
        let known = fake(this).iids.contains(&iid.read_unaligned());
        out.write(if known { this } else { ptr::null_mut() });
        if !known {
            return Status::NOINTERFACE.0;
        }
        add_ref(this);
    }
    Status::SUCCESS.0
}

/// Leaves the slot as it is where it fails.
unsafe extern "win64" fn query_rudely(this: This, iid: *const Guid, out: *mut This) -> i32 {
    // SAFETY: called by PortCls with a GUID and a slot, on an object of ours.
    unsafe {
        if fake(this).iids.contains(&iid.read_unaligned()) {
            return query_interface(this, iid, out);
        }
    }
    Status::NOINTERFACE.0
}

unsafe extern "win64" fn add_ref(this: This) -> u32 {
    // SAFETY: an object of ours.
    unsafe { fake(this) }.references.fetch_add(1, Ordering::Relaxed) + 1
}

unsafe extern "win64" fn release(this: This) -> u32 {
    // SAFETY: an object of ours.
    let fake = unsafe { fake(this) };
    let left = fake.references.fetch_sub(1, Ordering::Relaxed) - 1;
    if left == 0 {
        let port = ptr::without_provenance_mut::<c_void>(fake.port.swap(0, Ordering::Relaxed));
        if !port.is_null() {
            super::slot!(port, 2, fn() -> u32,);
        }
    }
    left
}

unsafe extern "win64" fn init(this: This, _adapter: This, _list: This, port: This) -> i32 {
    super::slot!(port, 1, fn() -> u32,);
    // SAFETY: an object of ours.
    unsafe { fake(this) }.port.store(port.addr(), Ordering::Relaxed);
    Status::SUCCESS.0
}

unsafe extern "win64" fn new_stream(
    _this: This,
    out: *mut This,
    _port_stream: This,
    _pin: u32,
    _capture: u8,
    _format: *const KsDataFormat,
) -> i32 {
    // SAFETY: PortCls' slot.
    unsafe { out.write(ptr::null_mut()) };
    Status::NOT_SUPPORTED.0
}

/// A `DEVICE_DESCRIPTION` of 64 bytes: Master and ScatterGather.
unsafe extern "win64" fn get_device_description(_this: This, out: *mut c_void) -> i32 {
    // SAFETY: PortCls' structure.
    unsafe {
        out.cast::<u8>().write_bytes(0, 64);
        out.cast::<u8>().add(4).write_bytes(1, 2);
    }
    Status::SUCCESS.0
}

unsafe extern "win64" fn no_device_description(_this: This, _out: *mut c_void) -> i32 {
    Status::UNSUCCESSFUL.0
}

unsafe extern "win64" fn data_range_intersection(
    _this: This,
    _pin: u32,
    _client: *const KsDataFormat,
    _mine: *const KsDataFormat,
    _room: u32,
    _out: *mut c_void,
    _length: *mut u32,
) -> i32 {
    Status::NOT_IMPLEMENTED.0
}

/// The power state that the adapter was told last, and how often it was told one.
pub static SAW_POWER: AtomicU32 = AtomicU32::new(0);
/// See [`SAW_POWER`].
pub static POWER_CHANGES: AtomicU32 = AtomicU32::new(0);
/// What the adapter does when it is told: 1 to ask for power itself.
pub static ASK_FOR_POWER: AtomicU32 = AtomicU32::new(0);

unsafe extern "win64" fn power_change_state(_this: This, state: u32) {
    SAW_POWER.store(state, Ordering::Relaxed);
    POWER_CHANGES.fetch_add(1, Ordering::Relaxed);
    if ASK_FOR_POWER.load(Ordering::Relaxed) == 1 {
        super::good::request_power(power::D0);
    }
}

unsafe extern "win64" fn query_power_change_state(_this: This, _state: u32) -> i32 {
    Status::SUCCESS.0
}

unsafe extern "win64" fn query_device_capabilities(_this: This, _capabilities: *mut c_void) -> i32 {
    Status::SUCCESS.0
}

/// A dispatch routine: device, IRP.
pub type Dispatch = unsafe extern "win64" fn(*mut c_void, *mut c_void) -> i32;

/// A driver object whose IRPs all go to PortCls, as PcInitializeAdapterDriver leaves it.
pub fn driver_object() -> *mut DriverObject {
    driver_object_with(Some(dispatch), None)
}

/// One with other routines, or without; no DriverUnload.
pub fn driver_object_with(dispatch: Option<Dispatch>, add_device: Option<AddDevice>) -> *mut DriverObject {
    // SAFETY: numbers, pointers and functions that may be none, for which zero is a value.
    let (mut object, mut extension): (DriverObject, DriverExtension) =
        unsafe { (core::mem::zeroed(), core::mem::zeroed()) };
    extension.add_device = add_device;
    object.driver_extension = Box::leak(Box::new(extension));
    object.major_function = [dispatch; 28];
    Box::leak(Box::new(object))
}

/// Hands an IRP to PortCls.
pub unsafe extern "win64" fn dispatch(device: *mut c_void, irp: *mut c_void) -> i32 {
    super::export!("PcDispatchIrp" as fn(*mut c_void, *mut c_void) -> i32)(device, irp)
}

/// What the handler saw last: 1 where the whole KSPROPERTY lay in front of its instance, and the minor
/// target.
pub static SAW_PROPERTY: AtomicU32 = AtomicU32::new(0);
/// See [`SAW_PROPERTY`].
pub static SAW_TARGET: AtomicUsize = AtomicUsize::new(0);
/// The request that the handler left pending, or 0; what the handler shall do with the next: 1 for PENDING.
pub static PENDING_REQUEST: AtomicUsize = AtomicUsize::new(0);
/// See [`PENDING_REQUEST`].
pub static BE_PENDING: AtomicU32 = AtomicU32::new(0);

/// As the samples' handlers: from the instance back to the KSP_PIN, whose PinId is 24 bytes in.
unsafe extern "win64" fn handler(request: *mut PcPropertyRequest) -> i32 {
    // SAFETY: PortCls' request, whose instance is the tail of a KSP_PIN when it has one.
    unsafe {
        let request_of = &mut *request;
        SAW_TARGET.store(request_of.minor_target.addr(), Ordering::Relaxed);
        if request_of.instance_size >= 8 {
            let ksp_pin = request_of.instance.cast::<u8>().sub(24);
            let (set, id) = (ksp_pin.cast::<Guid>().read_unaligned(), ksp_pin.add(16).cast::<u32>().read());
            SAW_PROPERTY.store(u32::from(set == KSPROPSETID_PIN && id == PROPERTY), Ordering::Relaxed);
        }
        if BE_PENDING.load(Ordering::Relaxed) == 1 {
            PENDING_REQUEST.store(request.addr(), Ordering::Relaxed);
            return Status::PENDING.0;
        }
        request_of.value_size = 0;
    }
    Status::SUCCESS.0
}

fn leak<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}

fn pin(
    instances: u32,
    flow: u32,
    communication: u32,
    range: *const KsDataFormat,
    table: *const PcAutomationTable,
) -> PcPinDescriptor {
    PcPinDescriptor {
        max_global_instance_count: instances,
        max_filter_instance_count: instances,
        min_filter_instance_count: 0,
        automation_table: table,
        pin: KsPinDescriptor {
            interfaces_count: 0,
            interfaces: ptr::null(),
            mediums_count: 0,
            mediums: ptr::null(),
            data_ranges_count: 1,
            data_ranges: leak([range]).as_ptr(),
            data_flow: flow,
            communication,
            category: leak(KSCATEGORY_AUDIO),
            name: ptr::null(),
            constrained_data_ranges_count: 0,
            constrained_data_ranges: ptr::null(),
        },
    }
}

/// A render filter with no listed categories: a pin to open, a bridge, one property for the filter and for
/// the pin.
unsafe extern "win64" fn get_description(_this: This, out: *mut *const PcFilterDescriptor) -> i32 {
    let item = PcItem {
        set: leak(KSPROPSETID_PIN),
        id: PROPERTY,
        flags: verb::GET | verb::SET,
        handler: handler as *const c_void,
    };
    let table = leak(PcAutomationTable {
        property_item_size: 24,
        property_count: 1,
        properties: leak(item),
        method_item_size: 0,
        method_count: 0,
        methods: ptr::null(),
        event_item_size: 0,
        event_count: 0,
        events: ptr::null(),
        reserved: 0,
    });
    let audio = leak(KsDataRangeAudio {
        range: KsDataFormat::audio(88, SUBTYPE_PCM, SPECIFIER_WAVEFORMATEX),
        maximum_channels: 2,
        minimum_bits_per_sample: 16,
        maximum_bits_per_sample: 16,
        minimum_sample_frequency: 48_000,
        maximum_sample_frequency: 48_000,
        padding: 0,
    });
    let analog = leak(KsDataFormat::audio(64, SUBTYPE_ANALOG, SPECIFIER_NONE));
    let pins = leak([pin(1, 1, 1, ptr::from_ref(audio).cast(), table), pin(0, 2, 0, analog, ptr::null())]);
    let connections = leak([PcConnectionDescriptor {
        from_node: FILTER_NODE,
        from_node_pin: 0,
        to_node: FILTER_NODE,
        to_node_pin: 1,
    }]);
    let filter = leak(PcFilterDescriptor {
        version: 0,
        automation_table: table,
        pin_size: 112,
        pin_count: 2,
        pins: pins.as_ptr(),
        node_size: 0,
        node_count: 0,
        nodes: ptr::null(),
        connection_count: 1,
        connections: connections.as_ptr(),
        category_count: 0,
        categories: ptr::null(),
    });
    // SAFETY: PortCls' slot.
    unsafe { out.write(filter) };
    Status::SUCCESS.0
}
