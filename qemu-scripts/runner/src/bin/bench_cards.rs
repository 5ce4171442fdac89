//! `ringwave-bench-cards`: what `qemu-scripts/bench-cards` starts once everything is set up and built.

use std::{fs, io::Write, path::PathBuf, process::ExitCode, time::Duration};

use clap::Parser;
use ringwave_runner::{
    bench_cards::{
        Options, Part,
        cards::{LINUX_CARDS, LinuxCard, linux_card},
        results::Results,
        run,
        table::table,
    },
    cli,
    error::Error,
    html, process,
};

/// Measures sound cards side by side: QEMU's own and ours, in Linux guests and in ntguest.
///
/// Exit code: 0 measured (whatever the figures are), 1 could not be measured, 2 bad input.
#[derive(Parser)]
#[command(name = "bench-cards", version, max_term_width = 120)]
struct Arguments {
    /// Only this part; can be given several times.
    #[arg(long, value_enum, value_name = "PART")]
    only: Vec<Part>,
    /// Only these cards of Linux guests, separated by commas; the first one is what ratios are of.
    #[arg(long, value_name = "NAME,...", value_delimiter = ',', value_parser = linux_card)]
    cards: Vec<&'static LinuxCard>,
    /// Milliseconds of the periods.
    #[arg(long, value_name = "MS,...", value_delimiter = ',', default_value = "20,10,5,2", value_parser = clap::value_parser!(u32).range(1..=20))]
    periods: Vec<u32>,
    /// How often each cell is measured; the cards take turns.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// How long each time.
    #[arg(long, value_name = "S", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=60))]
    seconds: u32,
    /// Cards of ours on one host.
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=24))]
    many: u32,
    /// A trial: one round of a second at 20 ms, four cards on one host.
    #[arg(long)]
    quick: bool,
    /// Write the results as JSON; - is standard output, instead of the table.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write a page for a browser: the machine, each table, and what playing costs drawn for each period
    #[arg(long, value_name = "FILE.html")]
    report: Option<PathBuf>,
    /// Keep the run's folder: logs, and what was heard.
    #[arg(long)]
    keep: bool,
}

fn main() -> ExitCode {
    let arguments: Arguments = match cli::parse("bench-cards") {
        Ok(arguments) => arguments,
        Err(code) => return code,
    };
    let written = [("--json", arguments.json.as_deref()), ("--report", arguments.report.as_deref())];
    if let Err(code) = cli::refuse_alike("bench-cards", &written, None) {
        return code;
    }
    let json = arguments.json.clone();
    let path = arguments.report.clone();
    let work = || {
        process::stop_on_signals()?;
        run(&arguments.options(), &|step| eprintln!("{step}"))
    };
    let page = |results: &Results| Ok(html::bench_cards::page(results));
    let (done, written) = cli::reported("bench-cards", path.as_deref(), work, page);
    let printed = done.and_then(|results| print(&results, json));
    cli::exit_code("bench-cards", printed.map(|()| true), written)
}

impl Arguments {
    fn options(self) -> Options {
        let all =
            [Part::Cost, Part::Position, Part::RoundTrip, Part::Bits, Part::Many, Part::Ntguest].to_vec();
        Options {
            cards: if self.cards.is_empty() { LINUX_CARDS.iter().collect() } else { self.cards },
            parts: if self.only.is_empty() { all } else { self.only },
            periods: if self.quick { vec![20] } else { self.periods },
            rounds: if self.quick { 1 } else { self.rounds },
            time: Duration::from_secs(if self.quick { 1 } else { self.seconds }.into()),
            many: if self.quick { 4 } else { self.many },
            keep: self.keep,
        }
    }
}

fn print(results: &Results, json: Option<PathBuf>) -> Result<(), Error> {
    let text = serde_json::to_string_pretty(results).map_err(Error::failed)? + "\n";
    let instead = json.as_ref().is_some_and(|path| path.as_os_str() == "-");
    if let Some(path) = json.filter(|_| !instead) {
        fs::write(&path, &text).map_err(|e| Error::file("write", &path, &e))?;
    }
    // Not print!, which panics when the reader went away.
    let out = if instead { text } else { table(results) };
    std::io::stdout().write_all(out.as_bytes()).map_err(Error::failed)
}
