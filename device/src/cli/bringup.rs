//! `ringwave bringup`: the arguments, the table as it grows, and the exit code. The walk itself is
//! [`ringwave_bringup`].

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::Args;
use ringwave_bringup::access::CardAccess;
use ringwave_bringup::bringup::Choices;
use ringwave_bringup::report::{Outcome, Report, StepReport};
use ringwave_bringup::socket::Socket;
use ringwave_bringup::steps::{self, STEPS, Step};
use ringwave_bringup::vfio::Vfio;
use ringwave_regs::pci;

use super::commands::{Failure, bad_input, failed};

/// Walk a card and say what was expected and what was seen
///
/// From identity to a tone that can be heard: registers, DMA, interrupts, states, position, resets. Each step
/// begins with a reset of the function and stands alone. Reaches the card on its socket, without a virtual
/// machine, or through the kernel's VFIO, in a Linux guest or on a host. Before anything is written vendor,
/// device and MAGIC must be right.
#[derive(Args, Debug)]
#[command(after_help = "\
Exit codes: 0 all as expected, 1 something was not, 2 bad input or the card cannot be reached.

Examples:
  ringwave bringup --socket /tmp/card.sock
  ringwave bringup --socket /tmp/card.sock --only interrupts --only states
  ringwave bringup --socket /tmp/card.sock --only tone --seconds 3
  ringwave bringup --vfio 0000:00:04.0 --json

In a Linux guest the card must be bound to vfio-pci behind a vIOMMU; qemu-scripts/bringup boots such a guest.")]
pub struct Bringup {
    /// Reach the card on the vfio-user socket where it is served
    #[arg(long, value_name = "PATH", conflicts_with = "vfio", required_unless_present_any = ["vfio", "list"])]
    pub socket: Option<PathBuf>,
    /// Reach the card through the kernel: its PCI address
    #[arg(long, value_name = "BDF")]
    pub vfio: Option<String>,
    /// Take this step only; can be given several times (the order stays that of the walk)
    #[arg(long, value_name = "STEP", value_parser = parse_step)]
    pub only: Vec<&'static Step>,
    /// List the steps and end
    #[arg(long)]
    pub list: bool,
    /// Print JSON instead of a table
    #[arg(long)]
    pub json: bool,
    /// How long the tone is
    #[arg(long, value_name = "S", default_value = "0.2", value_parser = parse_seconds)]
    pub seconds: Duration,
    /// The vendor and device that the card must show, when it is served with others than 1234:5257
    #[arg(long, value_name = "VENDOR:DEVICE", value_parser = parse_identity)]
    pub force_id: Option<(u16, u16)>,
}

/// Runs the command.
pub fn run(arguments: &Bringup) -> Result<ExitCode, Failure> {
    if arguments.list {
        for step in STEPS {
            say(&format!("{:<26}{}", step.name, step.about));
        }
        return Ok(ExitCode::SUCCESS);
    }
    let stop = Arc::new(AtomicBool::new(false));
    let signalled = Arc::clone(&stop);
    // The walk looks at it wherever it waits, and then leaves the card reset.
    ctrlc::set_handler(move || signalled.store(true, Ordering::Relaxed)).map_err(failed)?;
    let choices = Choices {
        identity: arguments.force_id.unwrap_or((pci::VENDOR, pci::DEVICE)),
        tone: arguments.seconds,
    };
    let mut card: Box<dyn CardAccess> = match (&arguments.socket, &arguments.vfio) {
        (Some(path), _) => Box::new(Socket::open(path).map_err(bad_input)?),
        (None, Some(address)) => Box::new(Vfio::open(address, choices.identity).map_err(bad_input)?),
        (None, None) => return Err(bad_input("no card is named; give --socket PATH or --vfio BDF")),
    };
    let asked: Vec<_> =
        if arguments.only.is_empty() { STEPS.iter().collect() } else { arguments.only.clone() };

    let table = Table { json: arguments.json };
    let report = ringwave_bringup::run(card.as_mut(), &asked, choices, &stop, |step| table.step(step));
    let report = report.map_err(bad_input)?;
    table.end(&report)?;
    Ok(if report.outcome == Outcome::Ok { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// The table, which grows with each step, so that a step that hangs is the one that is missing.
struct Table {
    json: bool,
}

impl Table {
    fn step(&self, step: &StepReport) {
        if !self.json {
            say(&format!("{step}\n"));
        }
    }

    fn end(&self, report: &Report) -> Result<(), Failure> {
        if self.json {
            say(&serde_json::to_string_pretty(report).map_err(failed)?);
        } else {
            say(&report.summary());
        }
        Ok(())
    }
}

/// A reader that does not want it all (head) is no failure.
fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

fn parse_step(name: &str) -> Result<&'static Step, String> {
    steps::find(name).ok_or_else(|| {
        let names: Vec<&str> = STEPS.iter().map(|step| step.name).collect();
        format!("the steps are {}", names.join(", "))
    })
}

fn parse_seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (0.01..=3600.0).contains(&seconds) {
        Ok(Duration::from_secs_f64(seconds))
    } else {
        Err("from 0.01 to 3600".to_owned())
    }
}

/// `1234:5257`, as lspci writes it.
fn parse_identity(text: &str) -> Result<(u16, u16), String> {
    let id = |digits: &str| u16::from_str_radix(digits.strip_prefix("0x").unwrap_or(digits), 16).ok();
    let both = text.split_once(':').and_then(|(vendor, device)| id(vendor).zip(id(device)));
    both.ok_or_else(|| "write it as lspci -n does: 1234:5257, hexadecimal".to_owned())
}
