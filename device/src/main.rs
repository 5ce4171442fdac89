//! The program `ringwave`: serves the sound card, compares what it heard, makes something to play.

mod cli;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use env_logger::Target;
use log::LevelFilter;
use ringwave::log_queue::LogLines;

fn main() -> ExitCode {
    let arguments = cli::Cli::parse();
    start_log(arguments.verbose);
    let result = cli::commands::run(arguments);
    cli::LOG.flush(cli::LOG_PATIENCE);
    match result {
        Ok(code) => code,
        Err(failure) => {
            let _ = writeln!(std::io::stderr(), "ringwave: {}", failure.line);
            ExitCode::from(failure.code)
        }
    }
}

/// The log goes to stderr: `ringwave: listening on card.sock`, `ringwave: warn: ...`.
fn start_log(verbose: u8) {
    let (ours, others) = match verbose {
        0 => (LevelFilter::Info, LevelFilter::Off),
        1 => (LevelFilter::Debug, LevelFilter::Warn),
        _ => (LevelFilter::Trace, LevelFilter::Debug),
    };
    env_logger::Builder::new()
        .target(Target::Pipe(Box::new(LogLines::new(cli::LOG.clone(), std::io::stderr()))))
        .filter_level(others)
        .filter_module("ringwave", ours)
        .format(|out, record| match record.level() {
            log::Level::Info => writeln!(out, "ringwave: {}", record.args()),
            level => writeln!(out, "ringwave: {}: {}", level.as_str().to_lowercase(), record.args()),
        })
        .init();
}
