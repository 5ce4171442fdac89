//! The link arguments of a driver image. Examples get them here; a package that depends on this one finds
//! them in `DEP_PORTCLS_LINK_ARGUMENTS` of its build script, separated by blanks, and gives them to its
//! binaries. They are for rust-lld in its Microsoft mode; each was tried.
//!
//! `/GUARD:CF` is not among them. It needs a load configuration (`_load_config_used`), which the C runtime
//! brings and rust-lld does not: it warns and leaves the directory empty, and an image that claims the guard
//! without one is worse than one that does not claim it. *Doubt*: whether a future Windows asks drivers for
//! it; memory integrity (HVCI) does not.

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
    // Nothing is paged, see the driver's main.rs, and P says so in the section table, as Microsoft's linker
    // does for drivers. *Doubt*: the kernel keeps a driver's sections in memory unless their names begin with
    // PAGE, so the flag may change nothing; it is right under both readings.
    "/SECTION:.text,ERP",
    "/SECTION:.rdata,RP",
    "/SECTION:.data,RWP",
    "/SECTION:.pdata,RP",
    "/MERGE:.tls=.rdata",
    // The same sources give the same image.
    "/Brepro",
];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::metadata=LINK_ARGUMENTS={}", DRIVER.join(" "));
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("windows") {
        for argument in DRIVER {
            println!("cargo::rustc-link-arg-examples={argument}");
        }
    }
}
