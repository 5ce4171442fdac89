//! The program as a user runs it: exit codes, what it says, and what a program that is not ours thinks of its
//! catalogs.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up fails")]
use std::path::Path;
use std::process::{Command, Output};
use tempfile::TempDir;

#[path = "common/sample.rs"]
mod sample;

/// A folder with a package.
fn package() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("ringwave.sys"), sample::driver()).unwrap();
    std::fs::write(folder.path().join("ringwave.inf"), b"[Version]\r\nSignature=\"$WINDOWS NT$\"\r\n")
        .unwrap();
    folder
}

/// Runs the program in a folder, without a date in its environment.
fn run(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringwave-catalog"));
    command.args(arguments).current_dir(folder).env_remove("SOURCE_DATE_EPOCH").output().unwrap()
}

const MAKE: &str =
    "make --out ringwave.cat --hwid PCI\\VEN_1234&DEV_5257 --os 10_X64 ringwave.sys ringwave.inf";

fn words(line: &str) -> Vec<&str> {
    line.split(' ').collect()
}

fn code(output: &Output) -> Option<i32> {
    output.status.code()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat()).into_owned()
}

/// Makes the package's catalog.
fn make(folder: &Path) {
    let output = run(folder, &words(&format!("{MAKE} --time 1700000000")));
    assert_eq!(code(&output), Some(0), "{}", said(&output));
}

/// Changes the byte in the middle of a file.
fn change(path: &Path) {
    let mut bytes = std::fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn make_show_verify() {
    let folder = package();
    make(folder.path());
    let shown = run(folder.path(), &["show", "ringwave.cat"]);
    assert_eq!(code(&shown), Some(0));
    for text in [
        "2023-11-14T22:13:20Z",
        "_v100_X64",
        "pci\\ven_1234&dev_5257",
        "File     ringwave.sys",
        "exact bytes",
    ] {
        assert!(said(&shown).contains(text), "{text} is not in:\n{}", said(&shown));
    }
    let verified = run(folder.path(), &["verify", "ringwave.cat", "ringwave.sys", "ringwave.inf"]);
    assert_eq!(code(&verified), Some(0), "{}", said(&verified));
}

#[test]
fn a_changed_file_is_named() {
    for name in ["ringwave.sys", "ringwave.inf"] {
        let folder = package();
        make(folder.path());
        change(&folder.path().join(name));
        let output = run(folder.path(), &["verify", "ringwave.cat", "ringwave.inf", "ringwave.sys"]);
        assert_eq!(code(&output), Some(1));
        assert!(
            said(&output).contains(&format!("{name} is not the file in the catalog")),
            "{}",
            said(&output)
        );
    }
}

#[test]
fn the_date_is_given_and_never_todays() {
    let folder = package();
    let output = run(folder.path(), &words(MAKE));
    assert_eq!(code(&output), Some(2));
    assert!(said(&output).contains("SOURCE_DATE_EPOCH"), "{}", said(&output));
    make(folder.path());
    let first = std::fs::read(folder.path().join("ringwave.cat")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringwave-catalog"));
    command.args(words(MAKE)).current_dir(folder.path()).env("SOURCE_DATE_EPOCH", "1700000000");
    assert!(command.status().unwrap().success());
    assert_eq!(std::fs::read(folder.path().join("ringwave.cat")).unwrap(), first);
}

#[test]
fn what_cannot_be_tried_ends_with_2() {
    let folder = package();
    for line in [
        "show ringwave.inf",
        "show none.cat",
        "verify none.cat ringwave.inf",
        "check-pe none.sys",
        "make",
        "nonsense",
    ] {
        assert_eq!(code(&run(folder.path(), &words(line))), Some(2), "{line}");
    }
    let vista = format!("{MAKE} --time 0 --os Vista");
    let output = run(folder.path(), &words(&vista));
    assert_eq!(code(&output), Some(2));
    assert!(said(&output).contains("10_X64"), "{}", said(&output));
}

#[test]
fn check_pe_names_the_broken_rule() {
    let folder = package();
    let output = run(folder.path(), &["check-pe", "ringwave.sys"]);
    assert_eq!(code(&output), Some(0), "{}", said(&output));
    let driver = sample::Driver { subsystem: 3, ..Default::default() };
    std::fs::write(folder.path().join("ringwave.sys"), driver.build()).unwrap();
    let output = run(folder.path(), &["check-pe", "ringwave.sys"]);
    assert_eq!(code(&output), Some(1));
    assert!(said(&output).contains("BROKEN subsystem"), "{}", said(&output));
    assert!(said(&output).contains("1 of 16 rules broken"), "{}", said(&output));
}

/// The driver that was built, if the environment says where it is (qemu-scripts set it).
#[test]
fn the_built_driver_keeps_the_rules() {
    let Some(sys) = std::env::var_os("RINGWAVE_SYS") else {
        eprintln!("skipped: RINGWAVE_SYS does not name a built ringwave.sys");
        return;
    };
    let folder = package();
    std::fs::copy(&sys, folder.path().join("ringwave.sys")).unwrap();
    let output = run(folder.path(), &["check-pe", "ringwave.sys"]);
    assert_eq!(code(&output), Some(0), "{}", said(&output));
}

/// Runs a tool that is not ours; none if the machine does not have it, which only a machine that is not CI
/// may.
fn tool(folder: &Path, name: &str, arguments: &[&str]) -> Option<Output> {
    match Command::new(name).args(arguments).current_dir(folder).output() {
        Ok(output) => Some(output),
        Err(error) => {
            assert!(std::env::var_os("CI").is_none(), "{name}: {error}; apt-get install {name}");
            eprintln!("skipped: {name} is missing ({error}); apt-get install {name}");
            None
        }
    }
}

/// A catalog of ours, signed, beside its package; none without the tools.
fn signed() -> Option<TempDir> {
    let folder = package();
    make(folder.path());
    tool(folder.path(), "osslsigncode", &["--version"])?;
    let key = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=test -addext extendedKeyUsage=codeSigning";
    let key = format!("{key} -keyout key.pem -out certificate.pem");
    let made = tool(folder.path(), "openssl", &words(&key))?;
    assert!(made.status.success(), "{}", said(&made));
    let sign = "sign -h sha256 -certs certificate.pem -key key.pem -in ringwave.cat -out signed.cat";
    let signed = tool(folder.path(), "osslsigncode", &words(sign))?;
    assert!(signed.status.success(), "{}", said(&signed));
    Some(folder)
}

/// Whether osslsigncode finds the file's hash in the signed catalog, and the signature right.
fn accepted(folder: &Path, file: &str) -> Option<bool> {
    let verify = format!("verify -CAfile certificate.pem -catalog signed.cat -in {file}");
    Some(tool(folder, "osslsigncode", &words(&verify))?.status.success())
}

/// osslsigncode looks programs up in a catalog, but knows no .inf: those are for our own `verify`, below.
#[test]
fn osslsigncode_accepts_the_signed_catalog() {
    let Some(folder) = signed() else { return };
    assert_eq!(accepted(folder.path(), "ringwave.sys"), Some(true));
    let shown = run(folder.path(), &["show", "signed.cat"]);
    assert!(said(&shown).contains("by 1"), "{}", said(&shown));
    let verified = run(folder.path(), &["verify", "signed.cat", "ringwave.sys", "ringwave.inf"]);
    assert_eq!(code(&verified), Some(0), "{}", said(&verified));
    change(&folder.path().join("ringwave.sys"));
    assert_eq!(accepted(folder.path(), "ringwave.sys"), Some(false));
}

#[test]
fn a_program_can_be_signed_after_it_was_catalogued() {
    let Some(folder) = signed() else { return };
    let sign = "sign -h sha256 -ph -certs certificate.pem -key key.pem -in ringwave.sys -out signed.sys";
    let signed = tool(folder.path(), "osslsigncode", &words(sign)).unwrap();
    assert!(signed.status.success(), "{}", said(&signed));
    assert_eq!(code(&run(folder.path(), &["check-pe", "signed.sys"])), Some(0));
    std::fs::rename(folder.path().join("signed.sys"), folder.path().join("ringwave.sys")).unwrap();
    let verified = run(folder.path(), &["verify", "signed.cat", "ringwave.sys", "ringwave.inf"]);
    assert_eq!(code(&verified), Some(0), "{}", said(&verified));
    assert_eq!(accepted(folder.path(), "ringwave.sys"), Some(true));
}
