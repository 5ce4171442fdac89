//! `qemu-scripts/lib/attempts.sh`: a test that fails once is run again and told; one that fails each time, an
//! example of the documentation, a program that is killed and a program that is not built fail the check.

use std::{fs, path::Path, process::Command};

const TESTS: &str = r#"
mod on_the_host {
    #[test]
    fn late_once() {
        let marker = concat!(env!("CARGO_MANIFEST_DIR"), "/came");
        let came = std::path::Path::new(marker).exists();
        std::fs::write(marker, "").unwrap();
        println!("failures:\n    good\n");
        assert!(came, "late");
    }
}
#[test]
fn good() {}
#[test]
fn broken() {
    assert!(std::env::var_os("BROKEN").is_none());
}
#[test]
fn killed() {
    if std::env::var_os("KILLED").is_some() {
        std::process::abort();
    }
}
"#;

const SCRIPT: &str = r#"
set -euo pipefail
target=$PWD/target
. "$ATTEMPTS"
if attempts $WHAT -- --test-threads=2; then echo "end: passed, again: ${again[*]}"; else echo "end: failed"; fi
"#;

/// What a check says at its end, with this in the environment.
fn check(folder: &Path, variable: &str) -> String {
    let attempts = concat!(env!("CARGO_MANIFEST_DIR"), "/../../qemu-scripts/lib/attempts.sh");
    let mut command = Command::new("bash");
    command.arg("-c").arg(SCRIPT).current_dir(folder).env("ATTEMPTS", attempts);
    command.env_remove("CARGO_TARGET_DIR").env_remove("RUSTFLAGS").env(variable, "1");
    // With the documentation, for it has tests too.
    command.env("WHAT", if variable == "DOCUMENTED" { "" } else { "--test some" });
    let output = command.output().expect("bash runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    eprintln!("{said}{}", String::from_utf8_lossy(&output.stderr));
    let told = |line: &&str| line.starts_with("test: ") || line.starts_with("end: ");
    said.lines().filter(told).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_test_that_is_late_once_is_run_again_and_one_that_is_broken_fails() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let folder = folder.path();
    let write = |name: &str, text: &str| fs::write(folder.join(name), text).expect("a file");
    fs::create_dir_all(folder.join("tests"))
        .and_then(|()| fs::create_dir(folder.join("src")))
        .expect("folders");
    write(
        "Cargo.toml",
        "[package]\nname = \"timed\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[workspace]\n",
    );
    write("Cargo.lock", "version = 4\n[[package]]\nname = \"timed\"\nversion = \"0.1.0\"\n");
    write(
        "src/lib.rs",
        "/// ```\n/// assert!(std::env::var_os(\"DOCUMENTED\").is_none());\n/// ```\npub fn some() {}\n",
    );
    write("tests/some.rs", TESTS);
    let late = check(folder, "NOTHING");
    assert!(late.starts_with("test: once more: on_the_host::late_once (another machine had "), "{late}");
    assert!(late.ends_with("\nend: passed, again: on_the_host::late_once"), "{late}");
    assert_eq!(check(folder, "NOTHING"), "end: passed, again: ");
    let broken = check(folder, "BROKEN");
    assert!(broken.starts_with("test: once more: broken (") && broken.ends_with("\nend: failed"), "{broken}");
    fs::remove_file(folder.join("came")).expect("it came");
    assert_eq!(check(folder, "DOCUMENTED"), "end: failed", "its name can't be asked for");
    assert_eq!(check(folder, "KILLED"), "end: failed", "who knows what it would have said");
    write("src/lib.rs", "no Rust");
    assert_eq!(check(folder, "NOTHING"), "end: failed", "it is not built");
}
