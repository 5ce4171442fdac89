//! Stands in for the build script of wdk-sys in a copy of it: the same bindings (bindgen's options are those
//! of wdk-build's `wdk_default`), but of the kernel headers that Debian has, which are ReactOS' (mingw-w64).

use bindgen::{Builder, CodegenConfig, EnumVariation};

fn builder() -> Builder {
    let folder = |name: &str| std::env::var(name).unwrap_or_else(|_| panic!("tests/wdk/run sets {name}"));
    let (headers, clang) = (folder("WDK_CHECK_HEADERS"), folder("WDK_CHECK_CLANG_HEADERS"));
    Builder::default()
        .use_core()
        .derive_default(true)
        .generate_cstr(true)
        .detect_include_paths(false)
        .default_enum_style(EnumVariation::ModuleConsts)
        .must_use_type("NTSTATUS")
        // Blocked by wdk-build, too.
        .blocklist_item("ExAllocatePool(WithTag|WithQuotaTag|WithTagPriority)?")
        // AMX tiles of clang's headers, which bindgen can't align.
        .blocklist_item(".*tile1024i.*")
        .clang_args(["--target=x86_64-w64-mingw32", "-fms-extensions", "-fno-builtin", "-w"])
        .clang_args([
            format!("-isystem{headers}/ddk"),
            format!("-isystem{headers}"),
            format!("-isystem{clang}"),
        ])
        .clang_args(["-D_AMD64_", "-D_WIN64", "-D_WIN32_WINNT=0x0A00", "-DNTDDI_VERSION=0x0A000007"])
        .header_contents("input.h", "#include <ntddk.h>\n")
}

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-cfg=driver_model__driver_type=\"WDM\"");
    let out = std::path::PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets it"));
    let types_and_constants = CodegenConfig::TYPES | CodegenConfig::VARS;
    for (file, config) in [
        ("types.rs", CodegenConfig::TYPES),
        ("constants.rs", CodegenConfig::VARS),
        ("ntddk.rs", types_and_constants.complement()),
    ] {
        let bindings = builder().with_codegen_config(config).generate().expect("the headers are read");
        // Every enumeration is an int to Microsoft's compiler; the target of mingw-w64 has unsigned ones.
        let text = bindings
            .to_string()
            .replace("type Type = ::core::ffi::c_uint;", "type Type = ::core::ffi::c_int;");
        std::fs::write(out.join(file), text).expect("written");
    }
}
