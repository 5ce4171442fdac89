//! `windows run`: the command line, and what is told at the end.

use std::env;
use std::fs::{self, File};
use std::io::{self, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use ringwave_runner::error::Error;
use ringwave_runner::linux::guest::existing_path;
use ringwave_runner::request::Clock;
use ringwave_runner::windows::guest::end_of;
use ringwave_runner::windows::machine::{GuestCard, Machine};
use ringwave_runner::windows::progress::minute_with;
use ringwave_runner::windows::run::device::{DeviceSteps, Verifier};
use ringwave_runner::windows::run::media::Files;
use ringwave_runner::windows::run::{Finished, Request, run};

/// Lines of a file in a message.
const LOG_LINES: usize = 12;
/// Of the program's output on standard output; the file has all of it.
const OUTPUT_MAX: u64 = 16 << 20;

/// The image, and the machine around it.
#[derive(Args)]
pub struct OnImage {
    /// An image of `build`; it is only read.
    #[arg(long)]
    image: PathBuf,
    /// The card in the machine, for which the image was built.
    #[arg(long, value_enum, default_value_t = GuestCard::Ringwave)]
    pub card: GuestCard,
    /// The card's clock; unless given realtime with KVM, and without what the card can do best.
    #[arg(long, value_name = "realtime|lockstep|scaled:X")]
    clock: Option<Clock>,
    /// Before the program runs, so many times: disable the card's device, enable, restart, reinstall it.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    cycles: Option<u32>,
    /// Before the program runs: the card's device goes to D3 and back. Windows says first which sleep states
    /// it lacks.
    #[arg(long)]
    suspend: bool,
    /// Where to leave what came of it; a new or an empty folder.
    #[arg(long, value_name = "DIR")]
    out_dir: Option<PathBuf>,
    /// Leave the run's own folder, with the overlay, as well.
    #[arg(long)]
    keep: bool,
    /// How many minutes the program may take.
    #[arg(long, value_name = "MINUTES", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=10_080))]
    time_limit: u64,
    /// Memory of the machine in MiB.
    #[arg(long, value_name = "N", default_value_t = 4096, value_parser = clap::value_parser!(u64).range(256..=1_048_576))]
    memory: u64,
    /// Processors of the machine.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=64))]
    cpus: u32,
    /// One more argument for QEMU, as --qemu=-device --qemu=pvpanic.
    #[arg(long, value_name = "ARGUMENT", allow_hyphen_values = true)]
    qemu: Vec<String>,
}

impl OnImage {
    /// How many seconds the program may take.
    pub fn program_seconds(&self) -> u64 {
        self.time_limit.saturating_mul(60)
    }

    /// What is asked of the device.
    pub fn device(&self) -> DeviceSteps {
        DeviceSteps { cycles: self.cycles, suspend: self.suspend, ..DeviceSteps::default() }
    }

    /// The run of this program.
    pub fn request(&self, files: Files, device: DeviceSteps) -> Result<Request, Error> {
        let kvm = env::var("RINGWAVE_ACCEL").is_ok_and(|accel| accel == "kvm");
        let machine = Machine {
            qemu: existing_path("RINGWAVE_QEMU")?,
            kvm,
            minute: minute_with(kvm),
            memory_mib: self.memory,
            processors: self.cpus,
            card: None,
            more: self.qemu.clone(),
        };
        let request = Request {
            machine,
            ringwave: existing_path("RINGWAVE_BIN")?,
            image: self.image.clone(),
            card: self.card,
            clock: self.clock.unwrap_or_else(|| default_clock(self.card, kvm)),
            card_options: Vec::new(),
            device,
            files,
            time_limit: Duration::from_mins(self.time_limit),
            reboot_code: None,
            out_dir: self.out_dir.clone(),
            timeline: false,
            keep: self.keep,
        };
        request.check()?;
        if !kvm {
            eprintln!(
                "no KVM here: a boot may take an hour, and nothing is promised; see qemu-scripts/windows doctor"
            );
        }
        Ok(request)
    }
}

/// Without KVM a guest is too late for real time.
fn default_clock(card: GuestCard, kvm: bool) -> Clock {
    match card {
        _ if kvm => Clock::Realtime(1.0),
        GuestCard::Ringwave | GuestCard::Virtio => Clock::LOCKSTEP,
        GuestCard::Hda => Clock::Realtime(0.25),
    }
}

#[derive(Args)]
pub struct Run {
    #[command(flatten)]
    on: OnImage,
    /// A folder whose files the program finds beside itself.
    #[arg(long, value_name = "DIR")]
    copy: Option<PathBuf>,
    /// Driver Verifier is active for our driver.
    #[arg(long, value_enum, value_name = "WHAT", require_equals = true)]
    verifier: Option<Verifier>,
    /// When the program ends with this exit code, Windows is restarted and runs it again.
    #[arg(long, value_name = "CODE")]
    reboot_code: Option<u32>,
    /// The program and its arguments.
    #[arg(last = true, required = true, value_name = "PROGRAM AND ARGUMENTS")]
    command: Vec<String>,
}

/// Runs it; the exit code.
pub fn main(wanted: &Run) -> Result<u8, Error> {
    let files = Files { copy: wanted.copy.clone(), more: Vec::new(), command: wanted.command.clone() };
    let device = DeviceSteps { verifier: wanted.verifier, ..wanted.on.device() };
    let request = Request { reboot_code: wanted.reboot_code, ..wanted.on.request(files, device)? };
    let finished = run(&request, |line| eprintln!("{line}"))?;
    print_output(&finished.folder.join("program.log"));
    tell_end(&finished);
    Ok(finished.outcome.exit_code())
}

/// What the program said.
fn print_output(log: &Path) {
    let mut text = Vec::new();
    let read = File::open(log).and_then(|file| file.take(OUTPUT_MAX).read_to_end(&mut text));
    if read.is_err() {
        return;
    }
    let mut out = io::stdout().lock();
    if out.is_terminal() {
        // A guest's bytes could move the cursor, or worse.
        text.retain(|byte| *byte >= b' ' || matches!(byte, b'\n' | b'\t'));
    }
    // A reader that does not want it all is no failure.
    let _ = out.write_all(&text).and_then(|()| out.flush());
}

/// How it ended, and where the rest is, on standard error.
pub fn tell_end(finished: &Finished) {
    let Finished { outcome, folder, stays, .. } = finished;
    if !outcome.ran() {
        let said = end_of(&folder.join("serial.log"), LOG_LINES);
        eprintln!("{said}");
        let setup = end_of(&folder.join("logs/setupapi.dev.log"), LOG_LINES);
        if matches!(outcome, ringwave_runner::windows::run::Outcome::Problem(problem) if matches!(problem.code, 13 | 14))
        {
            eprintln!("the end of setupapi.dev.log:\n{setup}");
        }
    }
    if *stays {
        remember(folder);
        eprintln!("windows: {}: all that came out is in {}", outcome.explain(), folder.display());
    } else {
        eprintln!("windows: {}", outcome.explain());
    }
}

/// The file that names the folder of the last run that left one.
pub fn last_run() -> Option<PathBuf> {
    Some(PathBuf::from(env::var_os("RINGWAVE_CACHE")?).join("windows-last-run"))
}

/// So that `report` finds it.
fn remember(folder: &Path) {
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    if let (Some(path), Some(text)) = (last_run(), folder.to_str()) {
        // Without it report has to be told.
        let _ = fs::write(path, text);
    }
}
