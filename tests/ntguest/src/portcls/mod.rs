//! PortCls as a WaveRT driver sees it: its exports, ports, resource lists, registry keys and page allocator,
//! strict where the real one is lenient, written from driver/WAVERT.md and never from the driver.
//!
//! What does not touch the kernel half (layouts, descriptor checks, list and registry formats) is compiled
//! and tested on the host too.

pub mod automation;
pub mod cm_list;
pub mod constraints;
pub mod controls_layout;
pub mod default_intersection;
pub mod descriptor;
pub mod fault;
pub mod guid;
pub mod key_value;
pub mod layout;
pub mod pin;
mod property_request;
mod report;
pub mod shape;
pub mod status;

#[cfg(target_os = "uefi")]
pub mod adapter;
#[cfg(target_os = "uefi")]
pub mod com;
#[cfg(target_os = "uefi")]
pub mod device;
#[cfg(target_os = "uefi")]
pub mod device_interface;
#[cfg(target_os = "uefi")]
mod device_lock;
#[cfg(target_os = "uefi")]
mod drm;
#[cfg(target_os = "uefi")]
pub mod endpoint;
#[cfg(target_os = "uefi")]
pub mod events;
#[cfg(target_os = "uefi")]
pub mod exports;
#[cfg(target_os = "uefi")]
mod exports_new;
#[cfg(target_os = "uefi")]
pub mod idle;
#[cfg(target_os = "uefi")]
mod interrupt_sync;
#[cfg(target_os = "uefi")]
mod modes;
#[cfg(target_os = "uefi")]
pub mod object;
#[cfg(target_os = "uefi")]
pub mod oracle;
#[cfg(target_os = "uefi")]
mod pending_request;
#[cfg(target_os = "uefi")]
pub mod pnp;
#[cfg(target_os = "uefi")]
pub mod port;
#[cfg(target_os = "uefi")]
pub mod port_etw;
#[cfg(target_os = "uefi")]
mod port_power;
#[cfg(target_os = "uefi")]
pub mod port_stream;
#[cfg(target_os = "uefi")]
mod port_unregister;
#[cfg(target_os = "uefi")]
pub mod power;
#[cfg(target_os = "uefi")]
pub mod property;
#[cfg(target_os = "uefi")]
pub mod registry;
#[cfg(target_os = "uefi")]
pub mod resources;
#[cfg(target_os = "uefi")]
pub mod selftest;
#[cfg(target_os = "uefi")]
pub mod set_state;
#[cfg(target_os = "uefi")]
pub mod stream_resource;
#[cfg(target_os = "uefi")]
pub mod subdevice;
#[cfg(target_os = "uefi")]
pub mod vtable;

/// Keys of ntguest.cfg that PortCls and the client know.
pub const CFG_KEYS: &[&str] = &[
    "also",
    "buffer_ms",
    "capture_endpoint",
    "client",
    "clock",
    "clock_percent",
    "clock_stops",
    "cycles",
    "endpoint",
    "event",
    "event_timeout_ms",
    "failing_calls",
    "expect_volume",
    "extensible",
    "fault",
    "format",
    "frames",
    "handles",
    "hostile_seed",
    "jacks",
    "late_every",
    "life",
    "life_frames",
    "loads",
    "mode",
    "mute",
    "oracle",
    "packets",
    "pause",
    "performance_idle_time",
    "pnp",
    "poll_us",
    "power_interface",
    "record_late_every",
    "rounds",
    "speed",
    "state",
    "surprise",
    "target",
    "update",
    "volume",
    "walk_events",
    "walk_seed",
];

#[cfg(target_os = "uefi")]
pub use life::{check_leaks, run};

#[cfg(target_os = "uefi")]
mod life {
    use super::status::Status;
    use super::{
        adapter, device_interface, drm, endpoint, fault, idle, object, pnp, port_etw, stream_resource,
        subdevice,
    };
    use crate::boot::files;
    use crate::client::failing_calls::FailingCalls;
    use crate::kernel::call::driver_call;
    use crate::kernel::image::{self, LoadedDriver};
    use crate::kernel::{self, cfg, irql};

    /// The life of the driver, from DriverEntry to unload, and with `loads=N` N times, each but the first by the
    /// image of `update=`; true when the client was served each time.
    pub fn run(driver: LoadedDriver) -> bool {
        let mut served = load_and_play(driver);
        for time in 1..cfg::get_u64("loads", 1) {
            check_leaks();
            adapter::forget_driver();
            served &= load_and_play(image::load("ringwave.sys", files::update()));
            crate::kresult!("loads={}", time + 1);
        }
        fault::check_made();
        check_leaks();
        port_etw::report();
        served
    }

    /// What a driver that is gone must have given back to PortCls.
    pub fn check_leaks() {
        object::check_leaks();
        stream_resource::check_leaks();
        drm::check_leaks();
    }

    fn load_and_play(mut driver: LoadedDriver) -> bool {
        let enter = || {
            adapter::expect_driver(driver.driver_object, driver.registry_path);
            driver_call("DriverEntry", irql::PASSIVE, || {
                // SAFETY: the entry point of the loaded image with the arguments of DriverEntry.
                Status(unsafe { (driver.entry)(driver.driver_object, driver.registry_path) })
            })
        };
        let mut failing_calls = (cfg::get_u64("failing_calls", 0) > 0).then(FailingCalls::default);
        let status = failing_calls.as_mut().map_or_else(&enter, |sweep| sweep.entry(&enter));
        if !status.is_success() {
            crate::kprintln!("DriverEntry failed: {status}");
            driver.unload();
            kernel::unload_check();
            return false;
        }
        driver.discard_init();
        if let Some(sweep) = &mut failing_calls {
            // SAFETY: DriverEntry succeeded; there is no device yet, and none afterwards.
            unsafe { sweep.devices(driver.driver_object) };
        }
        // SAFETY: DriverEntry succeeded; the driver object is alive until the unload below.
        let served = match unsafe { pnp::bring_up_all(driver.driver_object) } {
            Ok(()) => {
                endpoint::check_all();
                device_interface::check_all();
                if let Some(sweep) = &mut failing_calls {
                    sweep.streams();
                    sweep.report();
                }
                idle::start();
                let served = crate::client::run();
                subdevice::check_names();
                if cfg::get("client") == Some("stress") {
                    // SAFETY: DriverEntry succeeded; the client closed what it opened.
                    unsafe { pnp::pester(driver.driver_object) };
                }
                // SAFETY: DriverEntry succeeded; the client closed what it opened.
                match cfg::get("pnp").map(|how| unsafe { pnp::restart(driver.driver_object, how) }) {
                    Some(true) => crate::client::run() && served,
                    _ => served,
                }
            }
            Err(status) => {
                crate::kprintln!("the device did not start: {status}");
                false
            }
        };
        idle::stop();
        // SAFETY: as above; nothing of the driver runs afterwards.
        unsafe { pnp::tear_down(driver.driver_object) };
        driver.unload();
        kernel::unload_check();
        served
    }
}
