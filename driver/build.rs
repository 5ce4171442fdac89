//! Link arguments that make the binary a driver image. They are for rust-lld in its Microsoft mode; each was tried
//! (`/GUARD:CF` is not among them: it needs a load configuration).

/// What the linker is told for the Windows target.
const DRIVER: &[&str] = &[
    // A driver image for the native subsystem of Windows 10, entered at DriverEntry, with no library behind it.
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
    // DriverEntry's code is thrown away after the start. Nothing is paged: see main.rs.
    "/SECTION:INIT,ERD",
    "/MERGE:.tls=.rdata",
    // The same sources give the same image.
    "/Brepro",
];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("windows") {
        for argument in DRIVER {
            println!("cargo::rustc-link-arg-bins={argument}");
        }
    }
}
