//! Link arguments that make the binary a driver image, and its version resource. They are for rust-lld in its
//! Microsoft mode; each was tried.
//!
//! `/GUARD:CF` is not among them. It needs a load configuration (`_load_config_used`), which the C runtime
//! brings and rust-lld does not: it warns and leaves the directory empty, and an image that claims the guard
//! without one is worse than one that does not claim it. *Doubt*: whether a future Windows asks drivers for
//! it; memory integrity (HVCI) does not.

mod version_resource;

/// What the linker is told for the Windows target.
const DRIVER: &[&str] = &[
    // A driver image for the native subsystem of Windows 10, entered at DriverEntry, with no library behind
    // it.
    "/DRIVER:WDM",
    "/SUBSYSTEM:NATIVE,10.0",
    "/ENTRY:DriverEntry",
    "/NODEFAULTLIB",
    "/OSVERSION:10.0",
    "/VERSION:10.0",
    // Data is never executable, the image can lie anywhere.
    "/NXCOMPAT",
    "/DYNAMICBASE",
    "/HIGHENTROPYVA",
    // Writes the checksum, which Windows checks for drivers.
    "/RELEASE",
    "/OPT:REF,ICF",
    "/MANIFEST:NO",
    // DriverEntry's code is thrown away after the start.
    "/SECTION:INIT,ERD",
    // Nothing is paged, see main.rs, and P says so in the section table, as Microsoft's linker does for
    // drivers. *Doubt*: the kernel keeps a driver's sections in memory unless their names begin with PAGE, so
    // the flag may change nothing; it is right under both readings.
    "/SECTION:.text,ERP",
    "/SECTION:.rdata,RP",
    "/SECTION:.data,RWP",
    "/SECTION:.pdata,RP",
    "/MERGE:.tls=.rdata",
    // The same sources give the same image.
    "/Brepro",
];

fn main() -> std::io::Result<()> {
    println!("cargo::rerun-if-changed=build");
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("windows") {
        for argument in DRIVER {
            println!("cargo::rustc-link-arg-bins={argument}");
        }
        let resource =
            std::path::Path::new(&std::env::var_os("OUT_DIR").unwrap_or_default()).join("version.res");
        std::fs::write(&resource, version())?;
        println!("cargo::rustc-link-arg-bins={}", resource.display());
    }
    Ok(())
}

/// The resource with the workspace's version; the fourth number is what Windows wants, as in `DriverVer`.
fn version() -> Vec<u8> {
    let text = format!("{}.0", env!("CARGO_PKG_VERSION"));
    let mut numbers = text.split('.').map(|number| number.parse().unwrap_or(0));
    let version = [(); 4].map(|()| numbers.next().unwrap_or(0));
    version_resource::file(
        version,
        &[
            ("CompanyName", "Ringwave"),
            ("FileDescription", "Ringwave Sound Card, WaveRT driver"),
            ("FileVersion", &text),
            ("InternalName", "ringwave.sys"),
            ("LegalCopyright", "MIT or Apache-2.0"),
            ("OriginalFilename", "ringwave.sys"),
            ("ProductName", "Ringwave"),
            ("ProductVersion", &text),
        ],
    )
}
