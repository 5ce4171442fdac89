//! Every rule of PortCls that can be broken without a driver image, and a way to break it: name of the case,
//! name of the rule, how.
//!
//! The first group are the rules of `verifier /domain audio` (page "Rules for Audio Drivers"; bug check 0xC4
//! with the number in the comment). 0x7100A, PoRequestPowerIrp with IRP_MN_SET_POWER, is the kernel's:
//! PoRequestPowerIrp is not offered.

use super::driver::{ASK_FOR_POWER, Fake};
use super::good::{self, descriptor, new_port, query, release};
use super::{export, pnp_cases, slot};
use crate::client::property_protocol;
use crate::kernel::layout::{Mdl, UnicodeString};
use crate::kernel::{image, irql, pci, thread};
use crate::portcls::guid::{
    Guid, IID_DRM_PORT2, IID_NOBODY, IID_PORT_CLS_ETW_HELPER, IID_PORT_CLS_PNP, IID_PORT_CLS_POWER,
    IID_PORT_CLS_RUNTIME_POWER, IID_UNREGISTER_SUBDEVICE,
};
use crate::portcls::layout::DeviceObject;
use crate::portcls::status::Status;
use crate::portcls::vtable::This;
use crate::portcls::{adapter, port_stream, power, resources, set_state};
use alloc::boxed::Box;
use core::ffi::c_void;
use core::ptr;
use core::sync::atomic::Ordering::Relaxed;

type Fdo = *mut DeviceObject;

/// One way to break a rule.
pub type Case = (&'static str, &'static str, fn());

/// All of them.
pub const CASES: &[Case] = &[
    // 0x71001 PcIrqlDDIs
    ("pc-irql-ddi", "irql", || {
        let old = irql::raise(irql::DISPATCH);
        export!("PcGetDeviceProperty" as fn(Fdo, u32, u32, *mut u8, *mut u32) -> i32)(
            fdo(),
            13,
            0,
            ptr::null_mut(),
            &mut 0,
        );
        irql::lower(old);
    }),
    // 0x71003 PcIrqlIport
    ("pc-irql-iport", "irql", || {
        let port = new_port();
        let old = irql::raise(irql::DISPATCH);
        slot!(port, 4, fn(u32, u32, *mut u8, *mut u32) -> i32, 13, 0, ptr::null_mut(), &mut 0);
        irql::lower(old);
        release(port);
    }),
    // 0x71003, of the port stream
    ("pc-irql-port-stream", "irql", || {
        let stream = port_stream::create();
        let old = irql::raise(irql::DISPATCH);
        let mdl = allocate(stream.this(), 4096);
        irql::lower(old);
        free(stream.this(), mdl);
        stream.release();
    }),
    // 0x71004 PcUnmapAllocatedPages, mapped twice
    ("pc-map-twice", "mdl-mapped-twice", || {
        let stream = port_stream::create();
        let mdl = allocate(stream.this(), 8192);
        let base = map(stream.this(), mdl, 1);
        map(stream.this(), mdl, 1);
        slot!(stream.this(), 6, fn(*mut u8, *mut Mdl), base, mdl);
        free(stream.this(), mdl);
        stream.release();
    }),
    // 0x71004, freed while mapped
    ("pc-free-mapped", "mdl-freed-while-mapped", || {
        let stream = port_stream::create();
        let mdl = allocate(stream.this(), 8192);
        map(stream.this(), mdl, 1);
        free(stream.this(), mdl);
        stream.release();
    }),
    // 0x71005 PcAllocatedPages
    ("pc-pages-left", "port-stream-pages", || {
        let stream = port_stream::create();
        allocate(stream.this(), 8192);
        stream.release();
    }),
    // 0x71006 PcRegisterAdapterPower, twice
    ("pc-power-twice", "power-interface", || {
        register_power();
        register_power();
    }),
    // 0x71006, unregistered without a registration
    ("pc-power-none", "power-interface", || {
        export!("PcUnregisterAdapterPowerManagement" as fn(Fdo) -> i32)(fdo());
    }),
    // 0x71007 PcAddAdapterDevice
    ("pc-extension-size", "device-extension", || {
        export!("PcAddAdapterDevice" as fn(*mut c_void, Fdo, usize, u32, u32) -> i32)(
            ptr::null_mut(),
            adapter::pdo(),
            1,
            2,
            511,
        );
    }),
    // 0x71008 PcPropertyRequest
    ("pc-complete-pending", "property-request", || {
        export!("PcCompletePendingPropertyRequest" as fn(usize, i32) -> i32)(0x1000, Status::PENDING.0);
    }),
    // 0x71009 PcAllocateAndMapPages, nothing
    ("pc-allocate-nothing", "zero-bytes", || {
        let stream = port_stream::create();
        allocate(stream.this(), 0);
        stream.release();
    }),
    // 0x71009, a range that ends before it begins
    ("pc-allocate-range", "zero-bytes", || {
        let stream = port_stream::create();
        slot!(stream.this(), 4, fn(u64, u64, usize) -> *mut Mdl, 8192, 4096, 4096);
        stream.release();
    }),
    // 0x71009, a caching type that does not exist
    ("pc-map-cache-type", "mdl-cache-type", || {
        let stream = port_stream::create();
        let mdl = allocate(stream.this(), 4096);
        map(stream.this(), mdl, 7);
        free(stream.this(), mdl);
        stream.release();
    }),
    // 0x71009, an MDL of somebody else's
    ("pc-map-unknown", "mdl-unknown", || {
        let stream = port_stream::create();
        map(stream.this(), 0x1000 as *mut Mdl, 1);
        stream.release();
    }),
    // 0x72001 PcTimedWaveRtStreamSetState
    ("pc-slow-state", "set-state-time", || {
        set_state::timed(|| thread::sleep_100ns(set_state::LIMIT_100NS + 1_000_000));
    }),
    // What else PortCls keeps count of.
    ("pc-object-released", "object-use-after-release", || {
        let port = new_port();
        release(port);
        release(port);
    }),
    ("pc-object-unknown", "object-unknown", || {
        export!("PcRegisterSubdevice" as fn(Fdo, *const u16, This) -> i32)(
            fdo(),
            ptr::null(),
            Fake::other().this(),
        );
    }),
    ("pc-port-class", "port-class", || {
        let (mut out, class) = (ptr::null_mut(), IID_NOBODY);
        export!("PcNewPort" as fn(*mut This, *const Guid) -> i32)(&raw mut out, &raw const class);
    }),
    ("pc-null-argument", "null-argument", || {
        export!("PcNewPort" as fn(*mut This, *const Guid) -> i32)(ptr::null_mut(), ptr::null());
    }),
    ("pc-device-object", "device-object", || {
        export!("PcUnregisterAdapterPowerManagement" as fn(Fdo) -> i32)(adapter::pdo());
    }),
    ("pc-resource-type", "resource-type", || {
        let list = resources::of_card(pci::card());
        slot!(list.this(), 4, fn(u32) -> u32, 0x1234_0003);
        list.release();
    }),
    ("pc-stream-resource-twice", "stream-resource", || {
        let handle = add_stream_resource();
        for _ in 0..2 {
            export!("PcRemoveStreamResource" as fn(usize) -> i32)(handle);
        }
    }),
    ("pc-stream-resource-size", "stream-resource", || {
        let mut short = descriptor();
        short[0] = 24;
        export!("PcAddStreamResource" as fn(Fdo, usize, *const [usize; 5], *mut usize) -> i32)(
            adapter::pdo(),
            0,
            &raw const short,
            &mut 0,
        );
    }),
    ("pc-stream-resource-early", "stream-resource", || {
        // An interrupt, by a context that no connection gave.
        let early = [40, adapter::pdo().addr(), 0, 3, 0x1000];
        export!("PcAddStreamResource" as fn(Fdo, usize, *const [usize; 5], *mut usize) -> i32)(
            adapter::pdo(),
            0,
            &raw const early,
            &mut 0,
        );
    }),
    ("pc-etw-event", "etw-event", || {
        let port = new_port();
        let etw = query(port, IID_PORT_CLS_ETW_HELPER);
        slot!(etw, 3, fn(u32, u64, u64, u64, u64) -> i32, 11, 0, 0, 0, 0);
        release(etw);
        release(port);
    }),
    ("pc-pnp-twice", "pnp-interface", || {
        let port = new_port();
        let pnp = query(port, IID_PORT_CLS_PNP);
        for _ in 0..2 {
            slot!(pnp, 3, fn(This, Fdo) -> i32, Fake::other().this(), fdo());
        }
        release(pnp);
        release(port);
    }),
    ("pc-power-callback", "power-callback", || {
        let port = new_port();
        let runtime = query(port, IID_PORT_CLS_RUNTIME_POWER);
        slot!(runtime, 5, fn(Fdo) -> i32, fdo());
        release(runtime);
        release(port);
    }),
    ("pc-power-request", "power-request", || {
        good::register_power();
        ASK_FOR_POWER.store(1, Relaxed);
        good::request_power(power::D3);
        ASK_FOR_POWER.store(0, Relaxed);
        good::request_power(power::D0);
    }),
    ("pc-pnp-none", "pnp-interface", || {
        export!("PcUnregisterAdapterPnpManagement" as fn(Fdo) -> i32)(fdo());
    }),
    ("pc-interrupt-sync", "interrupt-sync", || {
        let (list, mut sync): (_, This) = (resources::of_card(pci::card()), ptr::null_mut());
        export!("PcNewInterruptSync" as fn(*mut This, This, This, u32, u32) -> i32)(
            &raw mut sync,
            ptr::null_mut(),
            list.this(),
            0,
            1,
        );
        slot!(sync, 5, fn() -> i32,);
        release(sync);
        list.release();
    }),
    // Ports and their miniports.
    ("pc-init-twice", "port-init-twice", || {
        let (port, _) = good::registered_port();
        good::init(port.this(), Fake::miniport().this());
    }),
    ("pc-register-early", "port-not-initialised", || {
        let port = new_port();
        good::register(good::NAME.as_ptr(), port);
        release(port);
    }),
    ("pc-miniport-interface", "miniport-interface", || init_alone(Fake::other().this())),
    ("pc-device-description", "device-description", || {
        let (port, miniport) = (new_port(), Fake::undescribed());
        good::init(port, miniport.this());
        good::register(good::NAME.as_ptr(), port);
        miniport.release();
        release(port);
    }),
    ("pc-qi-not-null", "qi-not-null", || {
        export!("PcRegisterAdapterPowerManagement" as fn(This, Fdo) -> i32)(Fake::rude().this(), fdo());
    }),
    ("pc-page-index", "page-index", || page_of(|mdl, result| (result, mdl))),
    ("pc-page-address-abi", "page-address-abi", || page_of(|mdl, _| (mdl.cast(), mdl))),
    ("pc-property-verb", "property-verb", || {
        let (port, _) = good::registered_port();
        property_protocol::refuse_verbs(&good::property(port));
    }),
    // Subdevices.
    ("pc-name-null", "subdevice-name", || {
        let port = new_port();
        good::register(ptr::null(), port);
        release(port);
    }),
    ("pc-name-gone", "subdevice-name", || {
        let (port, name) = (new_port(), Box::leak(Box::new(good::NAME)));
        init(port);
        good::register(name.as_ptr(), port);
        name[0] = u16::from(b'S');
        unregister(port);
        release(port);
    }),
    ("pc-subdevice-unknown", "subdevice-unknown", || {
        let port = new_port();
        unregister(port);
        release(port);
    }),
    ("pc-subdevice-connected", "subdevice-connected", || {
        let (port, _) = good::registered_port();
        let filter = image::unicode("other");
        export!(
            "PcRegisterPhysicalConnectionToExternal" as fn(Fdo, This, u32, *const UnicodeString, u32) -> i32
        )(fdo(), port.this(), 1, &raw const filter, 0);
        unregister(port.this());
    }),
    // What the PnP manager finds wrong.
    ("pc-initialize-other", "pc-initialize", pnp_cases::initialise_other),
    ("pc-no-add-device", "no-add-device", pnp_cases::no_add_device),
    ("pc-add-device-refused", "add-device", pnp_cases::refused_device),
    ("pc-add-device-twice", "pc-add-device", pnp_cases::add_twice),
    ("pc-no-dispatch", "no-dispatch", pnp_cases::no_dispatch),
    ("pc-start-pending", "start-pending", pnp_cases::start_pending),
    ("pc-stop-refused", "stop-failed", pnp_cases::stop_refused),
    ("pc-remove-refused", "remove-failed", pnp_cases::remove_refused),
    ("pc-surprise-refused", "remove-failed", pnp_cases::surprise_refused),
    ("pc-cancel-refused", "cancel-failed", pnp_cases::cancel_refused),
    ("pc-irp-forgotten", "irp-balance", pnp_cases::forgotten_irp),
    ("pc-irp-other-status", "irp-status", pnp_cases::other_status),
    ("pc-no-unload", "no-unload", pnp_cases::no_unload),
    ("pc-unload-lost", "portcls-unload", pnp_cases::unload_lost),
    // Last, for what is left is found again after each case that follows.
    ("pc-name-taken", "subdevice-name", || {
        good::registered_port();
        let second = new_port();
        init(second);
        good::register(good::NAME.as_ptr(), second);
    }),
    ("pc-object-leak", "object-leak", || {
        new_port();
    }),
    ("pc-stream-resource-left", "stream-resource", || {
        add_stream_resource();
    }),
    ("pc-drm-left", "drm-content", || {
        let port = new_port();
        let drm = query(port, IID_DRM_PORT2);
        slot!(drm, 3, fn(*const u32, u32, *mut u32) -> i32, ptr::null(), 0, &mut 0);
        release(drm);
        release(port);
    }),
];

fn fdo() -> Fdo {
    adapter::add_selftest_device()
}

/// Init of a new port, which goes again.
fn init_alone(miniport: This) {
    let port = new_port();
    good::init(port, miniport);
    release(port);
}

fn init(port: This) {
    let miniport = Fake::miniport();
    good::init(port, miniport.this());
    miniport.release();
}

fn unregister(port: This) {
    let subdevice = query(port, IID_UNREGISTER_SUBDEVICE);
    slot!(subdevice, 3, fn(Fdo, This) -> i32, fdo(), port);
    release(subdevice);
}

/// GetPhysicalPageAddress of a page behind the MDL's last, with the result pointer that `arguments` gives for
/// an MDL and a right one.
fn page_of(arguments: fn(*mut Mdl, *mut u64) -> (*mut u64, *mut Mdl)) {
    let (stream, mut address) = (port_stream::create(), 0);
    let mdl = allocate(stream.this(), 4096);
    let (result, of) = arguments(mdl, &raw mut address);
    slot!(stream.this(), 9, fn(*mut u64, *mut Mdl, u32) -> *mut u64, result, of, 1);
    free(stream.this(), mdl);
    stream.release();
}

fn allocate(stream: This, bytes: usize) -> *mut Mdl {
    slot!(stream, 3, fn(u64, usize) -> *mut Mdl, u64::MAX, bytes)
}

fn map(stream: This, mdl: *mut Mdl, cache: u32) -> *mut u8 {
    slot!(stream, 5, fn(*mut Mdl, u32) -> *mut u8, mdl, cache)
}

fn free(stream: This, mdl: *mut Mdl) {
    slot!(stream, 7, fn(*mut Mdl), mdl);
}

fn register_power() {
    let port = new_port();
    let power = query(port, IID_PORT_CLS_POWER);
    slot!(power, 3, fn(This, Fdo) -> i32, Fake::other().this(), fdo());
    release(power);
    release(port);
}

fn add_stream_resource() -> usize {
    let (thread, mut handle) = (descriptor(), 0);
    export!("PcAddStreamResource" as fn(Fdo, usize, *const [usize; 5], *mut usize) -> i32)(
        adapter::pdo(),
        0,
        &raw const thread,
        &raw mut handle,
    );
    handle
}
