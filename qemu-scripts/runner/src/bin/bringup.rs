//! `ringwave-bringup`: what `qemu-scripts/bringup` starts once everything is set up and built.

use std::{
    fmt::Write as _,
    io::{self, IsTerminal, Write as _},
    process::ExitCode,
};

use clap::{Parser, ValueEnum};
use ringwave_runner::{
    bringup::{self, Iommu, Output, Replug, Report, Request, artefacts::Artefacts},
    error::Error,
    machine::Outcome,
    process,
};

/// Boots a Linux guest and runs `ringwave bringup --vfio` on the card there.
///
/// Exit code: 0 all as expected, 1 not, 2 bad input.
#[derive(Parser)]
#[command(
    name = "bringup",
    version,
    after_help = "Examples:\n  bringup\n  bringup --iommu intel -- --only self-test-scatter-gather"
)]
struct Arguments {
    /// The IOMMU between the card and the guest's memory.
    #[arg(long, value_enum, default_value_t = Which::Both)]
    iommu: Which,
    /// Do not share the guest's memory with the card: the self-test must say so.
    #[arg(long)]
    share_off: bool,
    /// After the walk unplug the card, plug it again, and walk again.
    #[arg(long, value_enum, value_name = "HOW")]
    replug: Option<How>,
    /// Keep the run's folder: logs, and what the card heard.
    #[arg(long)]
    keep: bool,
    /// Arguments for the tool, after --.
    #[arg(last = true)]
    tool: Vec<String>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Which {
    Intel,
    Virtio,
    Both,
}

#[derive(Clone, Copy, ValueEnum)]
enum How {
    /// It is asked to leave while its process lives.
    InOrder,
    /// Its process is killed first; the card that is plugged is a new process.
    AfterACrash,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("bringup: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

fn run(arguments: &Arguments) -> Result<u8, Error> {
    process::stop_on_signals()?;
    let artefacts = Artefacts::from_env()?;
    let iommus: &[Iommu] = match arguments.iommu {
        Which::Intel => &[Iommu::Intel],
        Which::Virtio => &[Iommu::Virtio],
        Which::Both => &[Iommu::Intel, Iommu::Virtio],
    };
    let mut rows = Vec::new();
    for &iommu in iommus {
        let mut request = Request::new(iommu);
        request.share = !arguments.share_off;
        request.replug = arguments.replug.map(|how| match how {
            How::InOrder => Replug::InOrder,
            How::AfterACrash => Replug::AfterACrash,
        });
        request.keep = arguments.keep;
        request.arguments.clone_from(&arguments.tool);
        let result = bringup::run(&artefacts, &request, |said| match said {
            Output::Step(line) => eprintln!("{iommu}: {line}"),
            Output::Tool(text) => {
                // Not print!, which panics when the reader (a pager, head) went away: the verdict is still to
                // come.
                let mut out = io::stdout();
                let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
            }
        });
        match result {
            Err(error @ (Error::Interrupted | Error::BadInput(_))) => return Err(error),
            // The other IOMMU is still worth a walk.
            result => rows.push((iommu, result)),
        }
    }
    table(&rows);
    Ok(rows.iter().map(|(_, result)| code(result)).max().unwrap_or(0))
}

fn code(result: &Result<Report, Error>) -> u8 {
    match result {
        Ok(report) => match report.outcome {
            Outcome::Ok => 0,
            Outcome::BadInput => 2,
            _ => 1,
        },
        Err(error) => error.exit_code(),
    }
}

/// On the terminal with the checklists; else beside them, so that `-- --json` gives JSON and nothing else.
fn table(rows: &[(Iommu, Result<Report, Error>)]) {
    let mut text = format!("\n  {:<14} {:<28} {:>8} {:>8}  verdict\n", "IOMMU", "kernel", "boot", "total");
    for (iommu, result) in rows {
        match result {
            Ok(report) => {
                let kernel =
                    report.steps().iter().find_map(|step| step.strip_prefix("kernel ")).unwrap_or("?");
                let seconds = |time: std::time::Duration| format!("{:.1} s", time.as_secs_f64());
                let (boot, total) = (seconds(report.boot), seconds(report.wall));
                let verdict = match report.outcome {
                    Outcome::Ok => "all as expected",
                    Outcome::BadInput => "the tool could not use its arguments or could not reach the card",
                    _ => "NOT as expected",
                };
                let _ = writeln!(text, "  {iommu:<14} {kernel:<28} {boot:>8} {total:>8}  {verdict}");
            }
            Err(error) => {
                let _ = writeln!(text, "  {iommu:<14} no verdict");
                eprintln!("bringup: {error}");
            }
        }
    }
    if io::stdout().is_terminal() {
        print!("{text}");
    } else {
        eprint!("{text}");
    }
}
