//! `ringwave doctor`: what this host lacks for a card in a machine, and what to do about each of it.

mod host;
mod machines;
mod qemu;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use super::commands::FAILED;
use super::findings::{Finding, Severity};

/// Look what this host lacks for a card, and what to do
///
/// Looks at QEMU and its devices, at KVM, at the machines that run, at the sandbox, priority, sound and
/// sockets of `ringwave serve`. It changes nothing.
#[derive(Args, Debug)]
#[command(after_help = "\
ok: it is there. note: it goes without, and how to have it. missing: a card does not work without it.

Exit codes: 0 nothing is missing, 1 something is.

Examples:
  ringwave doctor
  ringwave doctor --qemu ~/qemu/build/qemu-system-x86_64 --socket /run/ringwave/card.sock")]
pub struct Doctor {
    /// The QEMU that is to run machines
    #[arg(long, value_name = "PROGRAM", default_value = "qemu-system-x86_64")]
    pub qemu: PathBuf,
    /// Where a card's socket is to be
    #[arg(long, value_name = "SOCKET")]
    pub socket: Option<PathBuf>,
}

/// Runs the command.
pub fn run(arguments: &Doctor) -> ExitCode {
    let fetched = qemu::of_setup(qemu::cache());
    let mut findings = qemu::look(&arguments.qemu, fetched.as_deref());
    findings.push(host::kvm(Path::new("/dev/kvm"), Path::new("/proc/cpuinfo")));
    findings.extend(machines::look(Path::new("/proc")));
    findings.extend(arguments.socket.as_deref().map(host::socket));
    findings.extend([host::memory_files(), host::priority(), host::sound()]);
    // It stays in force, so it comes last.
    findings.push(host::sandbox());
    // A reader that does not want it all (head) is no failure.
    let _ = print(&findings, &mut std::io::stdout());
    let missing = findings.iter().any(|finding| finding.severity == Severity::Missing);
    if missing { ExitCode::from(FAILED) } else { ExitCode::SUCCESS }
}

fn print(findings: &[Finding], out: &mut impl Write) -> std::io::Result<()> {
    for finding in findings {
        writeln!(out, "{finding}")?;
    }
    match findings.iter().filter(|finding| finding.severity == Severity::Missing).count() {
        0 => writeln!(out, "nothing is missing"),
        1 => writeln!(out, "one thing is missing"),
        missing => writeln!(out, "{missing} things are missing"),
    }
}
