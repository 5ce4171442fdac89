//! Compiles the C++ half of the ABI check (tests/abi/oracle.cpp) for the Microsoft ABI and hands the object
//! to the linker of ntguest.efi.
//!
//! On the host there is nothing to do: the host tests need no clang.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// No headers, no runtime, and no vector registers: ntguest itself is soft-float.
const FLAGS: [&str; 13] = [
    "--target=x86_64-pc-windows-msvc",
    "-std=c++17",
    "-ffreestanding",
    "-fno-exceptions",
    "-fno-rtti",
    "-nostdinc",
    "-O1",
    "-mno-red-zone",
    "-mgeneral-regs-only",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-c",
];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=../abi/oracle.cpp");
    println!("cargo::rerun-if-env-changed=RINGWAVE_CLANG");
    if env::var("CARGO_CFG_TARGET_OS").as_deref() != Ok("uefi") {
        return;
    }
    let object = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR")).join("oracle.obj");
    compile(Path::new("../abi/oracle.cpp"), &object);
    println!("cargo::rustc-link-arg-bins={}", object.display());
}

fn compile(source: &Path, object: &Path) {
    let named = env::var("RINGWAVE_CLANG").ok();
    let candidates = named.iter().map(String::as_str).chain(["clang++", "clang++-14"]);
    for clang in candidates {
        match Command::new(clang).args(FLAGS).arg(source).arg("-o").arg(object).status() {
            Ok(status) if status.success() => return,
            Ok(status) => panic!("{clang} can't compile {}: {status}", source.display()),
            Err(_) => {}
        }
    }
    panic!(
        "no clang++ found (RINGWAVE_CLANG, clang++, clang++-14): run qemu-scripts/setup, which installs it"
    );
}
