//! Makes the binary a driver image: portcls-sys' link arguments, and a version resource of its own.

mod version_resource;

fn main() -> std::io::Result<()> {
    println!("cargo::rerun-if-changed=build");
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("windows") {
        // From portcls-sys' build script.
        println!("cargo::rerun-if-env-changed=DEP_PORTCLS_LINK_ARGUMENTS");
        for argument in std::env::var("DEP_PORTCLS_LINK_ARGUMENTS").unwrap_or_default().split_whitespace() {
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
