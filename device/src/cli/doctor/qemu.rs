//! The QEMU that is to run machines: its version, and whether it has the devices that cards are plugged in
//! with.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::cli::findings::{Finding, Severity};

/// The first one with `vfio-user-pci`.
const FIRST: (u32, u32) = (10, 1);
/// Devices by which cards come into a machine.
const DEVICES: [(&str, &str); 2] =
    [("vfio-user-pci", "the cards ringwave and hda"), ("vhost-user-snd-pci", "the card virtio")];

/// The QEMU that qemu-scripts/setup has fetched, if it is there: `cache` is its folder.
pub fn of_setup(cache: Option<PathBuf>) -> Option<PathBuf> {
    Some(cache?.join("bin/qemu-system-x86_64")).filter(|program| program.is_file())
}

/// The folder of qemu-scripts/setup, as its --help has it.
pub fn cache() -> Option<PathBuf> {
    let named = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let below = || {
        let cache = named("XDG_CACHE_HOME").or_else(|| Some(named("HOME")?.join(".cache")))?;
        Some(cache.join("ringwave"))
    };
    named("RINGWAVE_CACHE").or_else(below)
}

/// What there is to say of `program`; where it will not do, the next step names `fetched`, the one of
/// qemu-scripts/setup.
pub fn look(program: &Path, fetched: Option<&Path>) -> Vec<Finding> {
    let mut findings = look_at(program);
    let same = |fetched: &&Path| fetched.canonicalize().ok() == program.canonicalize().ok();
    let Some(fetched) = fetched.filter(|fetched| !same(fetched)) else { return findings };
    for finding in &mut findings {
        if finding.severity == Severity::Missing {
            let fetched = fetched.display();
            finding.next = Some(format!(
                "start machines with the one that qemu-scripts/setup has fetched: {fetched} (and look at it: --qemu)"
            ));
        }
    }
    findings
}

fn look_at(program: &Path) -> Vec<Finding> {
    let shown = program.display();
    let output = match ask(program, &["--version"]) {
        Ok(output) => output,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return vec![Finding::missing(
                format!("QEMU: no program {shown}"),
                "install qemu-system-x86 of version 10.1 or later, or name yours with --qemu",
            )];
        }
        Err(error) => {
            return vec![Finding::missing(format!("QEMU: {shown}: {error}"), "name another with --qemu")];
        }
    };
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let Some((major, minor, version)) = version(&said) else {
        let what = format!("QEMU: {shown} says no version: {}", first_line(&output));
        return vec![Finding::missing(what, "name another with --qemu")];
    };
    if (major, minor) < FIRST {
        return vec![Finding::missing(
            format!("QEMU {version} ({shown}): vfio-user-pci came with 10.1"),
            "take a newer one, as qemu-scripts/setup fetches it; the card virtio works with this one, if it has vhost-user-snd-pci",
        )];
    }
    let devices =
        DEVICES.map(|(device, cards)| match ask(program, &["-device", &format!("{device},help")]) {
            Ok(output) if output.status.success() => {
                Finding::ok(format!("QEMU {version} has {device}: {cards}"))
            }
            Ok(output) => Finding::missing(
                format!("QEMU {version} has no {device} ({})", first_line(&output)),
                format!("build it with that device, or take another; it is for {cards}"),
            ),
            Err(error) => Finding::missing(format!("QEMU: {shown}: {error}"), "name another with --qemu"),
        });
    devices.into()
}

fn ask(program: &Path, arguments: &[&str]) -> std::io::Result<Output> {
    Command::new(program).args(arguments).stdin(Stdio::null()).output()
}

/// Of `QEMU emulator version 11.1.3 (...)`.
fn version(said: &str) -> Option<(u32, u32, String)> {
    let version = said.split_once("version ")?.1.split_whitespace().next()?;
    let mut numbers = version.split('.').map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?, version.to_owned()))
}

/// The first line of what it complains of.
fn first_line(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    said.lines()
        .next()
        .unwrap_or("without a word")
        .chars()
        .filter(|character| !character.is_control())
        .collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn versions_are_read() {
        let read = |said| version(said).map(|(major, minor, _)| (major, minor));
        assert_eq!(read("QEMU emulator version 11.1.3 (Debian)\nCopyright"), Some((11, 1)));
        assert_eq!(read("QEMU emulator version 10.0"), Some((10, 0)));
        assert_eq!(read("QEMU emulator version 10.1.50 (v10.1.0-200-g1)"), Some((10, 1)));
        assert_eq!(read("busybox"), None);
    }

    /// A program that says this of its version and has vfio-user-pci alone.
    fn program(dir: &Path, version: &str) -> PathBuf {
        let path = dir.join("qemu");
        let script = format!(
            "#!/bin/sh\ncase \"$*\" in\n*version) echo 'QEMU emulator version {version}' ;;\n*vfio-user-pci*) ;;\n*) echo 'not a device' >&2; exit 1 ;;\nesac\n"
        );
        std::fs::write(&path, script).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        path
    }

    #[test]
    fn what_is_missing_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let severities = |findings: Vec<Finding>| findings.iter().map(|one| one.severity).collect::<Vec<_>>();
        let new = look_at(&program(dir.path(), "11.1.3"));
        assert!(new[1].what.contains("no vhost-user-snd-pci (not a device)"), "{new:?}");
        assert_eq!(severities(new), [Severity::Ok, Severity::Missing]);
        let old = look_at(&program(dir.path(), "9.2.0"));
        assert!(old[0].what.contains("9.2.0") && old[0].what.contains("10.1"), "{old:?}");
        assert_eq!(severities(old), [Severity::Missing]);
        let none = look_at(&dir.path().join("nothing"));
        assert!(none[0].what.contains("no program"), "{none:?}");
    }
    #[test]
    fn the_one_that_was_fetched_is_the_next_step() {
        let dir = tempfile::tempdir().unwrap();
        let place = |program: &Path| look(program, of_setup(Some(dir.path().to_owned())).as_deref());
        let none = dir.path().join("nothing");
        assert!(place(&none)[0].next.as_deref().unwrap().contains("install"), "nothing was fetched");
        std::fs::create_dir(dir.path().join("bin")).unwrap();
        let fetched = dir.path().join("bin/qemu-system-x86_64");
        std::fs::rename(program(dir.path(), "11.1.3"), &fetched).unwrap();
        let next = place(&none).remove(0).next.unwrap();
        assert!(next.contains(&format!(": {} (", fetched.display())), "{next}");
        let own = place(&fetched);
        assert!(own[1].next.as_deref().unwrap().starts_with("build it"), "no circle: {own:?}");
    }
}
