//! `ringwave.sys`: the driver image. Only the entry point and what an image needs once are here; everything
//! else is the library, so that the host's tests reach it.
//!
//! No code is in a paged section. GetPosition and the DPC run at DISPATCH_LEVEL and share most functions with
//! the rest; a page fault there stops the machine, and the image is small.
#![cfg_attr(windows, no_std, no_main)]
#![allow(clippy::doc_markdown, reason = "names of the WDK")]

#[cfg(windows)]
mod image {
    use nt::NTSTATUS;
    use nt::sys::{DRIVER_OBJECT, UNICODE_STRING};

    #[global_allocator]
    static POOL: nt::pool::Pool = nt::pool::Pool;

    /// The entry point: Windows calls it once, at PASSIVE_LEVEL, and throws its section away afterwards.
    ///
    /// # Safety
    /// The arguments are those of a driver's entry point.
    #[unsafe(no_mangle)]
    #[unsafe(link_section = "INIT")]
    pub unsafe extern "system" fn DriverEntry(
        driver: *mut DRIVER_OBJECT,
        registry_path: *mut UNICODE_STRING,
    ) -> NTSTATUS {
        // SAFETY: handed on as they came.
        unsafe { ringwave_driver::entry::driver_entry(driver, registry_path) }
    }
}

#[cfg(not(windows))]
fn main() {
    eprintln!(
        "this is a Windows driver; build it with:\n  cargo build -p ringwave-driver --bin ringwave-sys --target x86_64-pc-windows-msvc --profile kernel"
    );
    std::process::exit(2);
}
