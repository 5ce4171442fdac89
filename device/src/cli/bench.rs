//! `ringwave bench`: the arguments, the table as it grows, and JSON. The measurements themselves are
//! [`ringwave_bench`].

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use ringwave_bench::{BENCHMARKS, Benchmark, Options, Report, Row, Spread};

use super::commands::{Failure, bad_input, failed};
use super::serve::CardKind;

/// Measure what the card costs on this machine, and how punctual it is
///
/// The whole card runs in this process, without QEMU: 48 kHz stereo 16-bit render streams, realtime clock,
/// null sink. A packet is a message of virtio-snd, and a period of HD Audio. Timings are of this machine and
/// this minute; the ratios are of two things measured side by side. Nothing is judged.
#[derive(Args, Debug)]
#[command(after_help = "\
Each line: the median of several rounds, the least and the greatest of them, and the ratio to what the last column names. The ceiling
of a DMA walk is memcpy in parts as small as the walk's, in the same order: what a walk that costs nothing would reach.

Exit codes: 0 measured (whatever the figures are), 1 could not be measured, 2 bad input.

Examples:
  ringwave bench
  ringwave bench --only dma --only lateness --json
  ringwave bench --only cpu --seconds 5
  ringwave bench --card virtio")]
pub struct Bench {
    /// The card that is measured
    #[arg(long, value_enum, default_value_t = CardKind::Ringwave)]
    pub card: CardKind,
    /// Measure this figure only; can be given several times
    #[arg(long, value_name = "NAME", value_parser = parse_figure)]
    pub only: Vec<&'static Benchmark>,
    /// List the figures and end
    #[arg(long)]
    pub list: bool,
    /// Print JSON instead of a table
    #[arg(long)]
    pub json: bool,
    /// Length of sound in each round of each figure that needs sound; less than 1 is fewer rounds of dma, too
    #[arg(long, value_name = "S", default_value = "1", value_parser = parse_seconds)]
    pub seconds: Duration,
}

fn parse_figure(name: &str) -> Result<&'static Benchmark, String> {
    BENCHMARKS.iter().find(|figure| figure.name == name).ok_or_else(|| {
        let names: Vec<&str> = BENCHMARKS.iter().map(|figure| figure.name).collect();
        format!("the figures are {}", names.join(", "))
    })
}

fn parse_seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if !(0.05..=600.0).contains(&seconds) {
        return Err("from 0.05 to 600".to_owned());
    }
    Ok(Duration::from_secs_f64(seconds))
}

/// Measures and prints.
pub fn run(arguments: &Bench) -> Result<ExitCode, Failure> {
    let card = measured(arguments.card);
    let figures = figures(card, &arguments.only)?;
    if arguments.list {
        for figure in figures {
            say(&format!("{:<10} {}", figure.name, figure.what))?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    // Packets that came too late on a busy machine are in the figures.
    log::set_max_level(log::LevelFilter::Error);
    let options = Options { sound: arguments.seconds, card };
    let mut report = Report::new(options);
    if !arguments.json {
        say(&format!("{}\n", report.machine))?;
        say(&line(["", "median", "least", "greatest", "", "ratio", "least", "greatest", "to"]))?;
    }
    for figure in figures {
        let rows = figure.measure(options).map_err(failed)?;
        if !arguments.json {
            say(&format!("\n{}: {}", figure.name, figure.what))?;
            for row in &rows {
                say(&table_line(row))?;
            }
        }
        report.rows.extend(rows);
    }
    if arguments.json {
        say(&serde_json::to_string_pretty(&report).map_err(failed)?)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn measured(card: CardKind) -> ringwave_bench::CardKind {
    match card {
        CardKind::Ringwave => ringwave_bench::CardKind::Ringwave,
        CardKind::Virtio => ringwave_bench::CardKind::Virtio,
        CardKind::Hda => ringwave_bench::CardKind::Hda,
    }
}

/// The figures of the card that are wanted: all there are, unless some are named.
fn figures(
    card: ringwave_bench::CardKind,
    only: &[&'static Benchmark],
) -> Result<Vec<&'static Benchmark>, Failure> {
    let of_card = |figure: &&Benchmark| figure.cards.contains(&card);
    if let Some(other) = only.iter().find(|figure| !of_card(figure)) {
        let names: Vec<&str> = BENCHMARKS.iter().filter(of_card).map(|figure| figure.name).collect();
        let (name, card, names) = (other.name, card.name(), names.join(", "));
        return Err(bad_input(format!("--only {name}: --card {card} has no such figure; it has {names}")));
    }
    let named = |figure: &&Benchmark| only.is_empty() || only.iter().any(|only| only.name == figure.name);
    Ok(BENCHMARKS.iter().filter(of_card).filter(named).collect())
}

/// A reader that does not want it all (head) ends the measurement, without noise.
fn say(line: &str) -> Result<(), Failure> {
    match writeln!(std::io::stdout(), "{line}") {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => std::process::exit(0),
        result => result.map_err(bad_input),
    }
}

fn table_line(row: &Row) -> String {
    let value = columns(row.value);
    let ratio = row.ratio.map(columns).unwrap_or_default();
    let ceiling = row.ceiling.map(|ceiling| format!(" ({:.2} of its ceiling)", ceiling.median));
    let of = format!("{}{}", row.of, ceiling.unwrap_or_default());
    line([&row.case, &value[0], &value[1], &value[2], row.unit, &ratio[0], &ratio[1], &ratio[2], &of])
}

fn columns(spread: Spread) -> [String; 3] {
    [spread.median, spread.least, spread.greatest].map(three_digits)
}

/// Three digits that mean something.
fn three_digits(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        ..0.1 => format!("{value:.4}"),
        ..10.0 => format!("{value:.2}"),
        ..100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

fn line(columns: [&str; 9]) -> String {
    let [case, median, least, greatest, unit, ratio, ratio_least, ratio_greatest, of] = columns;
    let line = format!(
        "  {case:<40} {median:>8} {least:>8} {greatest:>8} {unit:<16} {ratio:>7} {ratio_least:>7} {ratio_greatest:>8} {of}"
    );
    line.trim_end().to_owned()
}
