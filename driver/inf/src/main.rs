//! `ringwave-inf`: makes the driver's INF and checks one. See `ringwave-inf --help`.

use clap::{Parser, Subcommand};
use ringwave_inf::{check, facts, make, parse};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Makes ringwave.inf from its INX, with every name that the driver's sources know filled in, and checks an
/// INF.
///
/// Exit code: 0 done and well, 1 the INF breaks a rule, 2 bad input.
#[derive(Parser)]
#[command(version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Makes the INF: ringwave-inf make --inx driver/ringwave.inx --out ringwave.inf --date 2026-11-21
    Make {
        /// The INX
        #[arg(long)]
        inx: PathBuf,
        /// Where to write the INF
        #[arg(long)]
        out: PathBuf,
        /// The day for the INF, such as 2026-11-21
        #[arg(long)]
        date: facts::Date,
    },
    /// Checks an INF against the rules and says every one that it breaks
    Check {
        /// The INF
        file: PathBuf,
    },
    /// Prints the hardware id that an INF matches, one per line, for its catalog
    HardwareIds {
        /// The INF
        file: PathBuf,
    },
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(code) => code,
        Err(problem) => {
            eprintln!("ringwave-inf: {problem}");
            ExitCode::from(2)
        }
    }
}

fn run(command: Command) -> Result<ExitCode, String> {
    match command {
        Command::Make { inx, out, date } => {
            let text = String::from_utf8(read(&inx)?).map_err(|_| format!("{}: not text", inx.display()))?;
            let inf = make::make(&text, &facts::all(date))
                .map_err(|error| format!("{}: {error}", inx.display()))?;
            std::fs::write(&out, &inf).map_err(|error| format!("{}: {error}", out.display()))?;
            Ok(report(&out, inf.as_bytes()))
        }
        Command::Check { file } => Ok(report(&file, &read(&file)?)),
        Command::HardwareIds { file } => {
            let text = String::from_utf8_lossy(&read(&file)?).into_owned();
            let inf = parse::Inf::parse(&text).map_err(|error| format!("{}: {error}", file.display()))?;
            let ids = check::hardware_ids(&inf);
            if ids.is_empty() {
                return Err(format!("{}: no model in it", file.display()));
            }
            println!("{}", ids.join("\n"));
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Says what is wrong with an INF.
fn report(file: &Path, bytes: &[u8]) -> ExitCode {
    let violations = check::check(bytes);
    for violation in &violations {
        eprintln!("{}: {violation}", file.display());
    }
    if violations.is_empty() {
        println!("{}: {} rules, none broken", file.display(), check::RULES.len() + 2);
        ExitCode::SUCCESS
    } else {
        ExitCode::from(1)
    }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))
}
