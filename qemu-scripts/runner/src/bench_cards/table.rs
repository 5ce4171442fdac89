//! The results for people.

use std::fmt::Write;

use super::results::{Results, Spread};

/// The whole table.
pub fn table(results: &Results) -> String {
    let mut text = String::new();
    let machine = &results.machine;
    let _ = writeln!(
        text,
        "{}, {} of {}, accelerator {}, load {}, guest {}\n{} rounds of {} s; percent of a core; median (least to greatest)",
        machine.qemu,
        machine.processors,
        machine.processor,
        machine.accel,
        machine.load,
        machine.kernel,
        results.rounds,
        results.seconds
    );
    for section in [cost, lateness, position, round_trip, bits, many, ntguest, served] {
        text.push_str(&section(results));
    }
    text
}

/// A heading and its rows, the columns as wide as they need; nothing without rows.
fn section(heading: &str, columns: &[&str], rows: &[Vec<String>]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let head: Vec<String> = columns.iter().map(|column| (*column).to_owned()).collect();
    let all: Vec<&Vec<String>> = [&head].into_iter().chain(rows).collect();
    let cell = |row: &Vec<String>, at: usize| row.get(at).cloned().unwrap_or_default();
    let widths: Vec<usize> = (0..columns.len())
        .map(|at| all.iter().map(|row| cell(row, at).chars().count()).max().unwrap_or(0))
        .collect();
    let mut text = format!("\n{heading}\n");
    for row in all {
        let cells: Vec<String> =
            widths.iter().enumerate().map(|(at, width)| format!("{:<width$}", cell(row, at))).collect();
        let _ = writeln!(text, "  {}", cells.join("  ").trim_end());
    }
    text
}

fn short(value: f64) -> String {
    match value.abs() {
        ..10.0 => format!("{value:.2}"),
        ..100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

fn spread(value: Option<Spread>) -> String {
    value.map_or("-".into(), |it| {
        format!("{} ({} to {})", short(it.median), short(it.least), short(it.greatest))
    })
}

fn middle(value: Option<Spread>) -> String {
    value.map_or("-".into(), |it| short(it.median))
}

fn one(value: Option<f64>) -> String {
    value.map_or("-".into(), short)
}

fn period(ms: u32) -> String {
    if ms == 0 { "idle".into() } else { format!("{ms} ms") }
}

fn cost(results: &Results) -> String {
    let row = |it: &super::results::Cost| {
        vec![
            it.card.clone(),
            period(it.period_ms),
            spread(it.qemu_percent),
            spread(it.device_percent),
            spread(it.over_idle_percent),
            spread(it.card_over_idle_percent),
            spread(it.card_ratio),
            middle(it.qemu_wakes),
            middle(it.device_wakes),
            middle(it.traps),
            middle(it.interrupts),
        ]
    };
    let columns = [
        "card",
        "period",
        "QEMU %",
        "device %",
        "both over idle %",
        "card over idle %",
        "over the first",
        "QEMU wakes/s",
        "device wakes/s",
        "traps/s",
        "interrupts/s",
    ];
    section(
        "What playing costs (card: QEMU's threads that are not the guest's processors, and the device process)",
        &columns,
        &results.cost.iter().map(row).collect::<Vec<_>>(),
    )
}

fn lateness(results: &Results) -> String {
    let plays = results.cost.iter().filter(|it| it.period_ms > 0);
    let row = |it: &super::results::Cost| {
        vec![
            it.card.clone(),
            period(it.period_ms),
            middle(it.late_us_p50),
            middle(it.late_us_p99),
            spread(it.late_us_max),
            it.xruns.to_string(),
        ]
    };
    section(
        "How late interrupts are, in microseconds after the earliest, and xruns of all rounds",
        &["card", "period", "median", "99 of 100", "latest", "xruns"],
        &plays.map(row).collect::<Vec<_>>(),
    )
}

fn position(results: &Results) -> String {
    let rows = results.position.iter().map(|it| {
        let (p50, max, off) = (one(it.step_us_p50), one(it.step_us_max), one(it.off_us_p99));
        vec![it.card.clone(), period(it.period_ms), p50, max, off, it.xruns.to_string()]
    });
    section(
        "How far the position jumps, in microseconds of sound",
        &["card", "period", "median step", "greatest step", "off a line, 99 of 100", "xruns"],
        &rows.collect::<Vec<_>>(),
    )
}

fn round_trip(results: &Results) -> String {
    let rows = results.round_trip.iter().map(|it| {
        let (p50, max) = (one(it.trip_us_p50), one(it.trip_us_max));
        vec![it.card.clone(), period(it.period_ms), p50, max, it.clicks.to_string(), it.xruns.to_string()]
    });
    section(
        "Round trip from render to capture, two periods ahead, in microseconds (-: no loopback)",
        &["card", "period", "median", "longest", "clicks", "xruns"],
        &rows.collect::<Vec<_>>(),
    )
}

fn bits(results: &Results) -> String {
    let rows = results
        .bits
        .iter()
        .map(|it| vec![it.card.clone(), it.format.clone(), it.verdict.clone(), it.xruns.to_string()]);
    section("At the sink", &["card", "format", "verdict", "xruns"], &rows.collect::<Vec<_>>())
}

fn many(results: &Results) -> String {
    let rows = results.many.iter().map(|it| {
        vec![
            format!("{} cards, {}", it.cards, if it.playing { "all play, 20 ms" } else { "idle" }),
            spread(it.memory_kib),
            short(it.devices_percent),
            short(it.device_wakes),
            short(it.qemu_percent),
            it.xruns.to_string(),
        ]
    });
    section(
        "Cards of ours on one host, a process each, in one guest",
        &["", "KiB each", "all devices %", "all device wakes/s", "QEMU %", "xruns"],
        &rows.collect::<Vec<_>>(),
    )
}

fn ntguest(results: &Results) -> String {
    let rows = results.ntguest.iter().map(|it| {
        vec![
            it.card.clone(),
            period(it.period_ms),
            spread(it.qemu_percent),
            spread(it.device_percent),
            middle(it.device_wakes),
            middle(it.interrupts),
            it.underruns.to_string(),
            spread(it.worst_lateness_us),
            it.verdicts.join("; "),
        ]
    });
    let columns = [
        "card",
        "packet",
        "QEMU %",
        "device %",
        "device wakes/s",
        "interrupts/s",
        "underruns",
        "latest, us",
        "verdicts",
    ];
    section("ringwave.sys in ntguest, in real time", &columns, &rows.collect::<Vec<_>>())
}

fn served(results: &Results) -> String {
    let rows = results.served.iter().map(|it| {
        let seconds = format!("{:.0}", it.seconds);
        vec![it.card.clone(), it.worst_lateness_us.to_string(), it.underruns.to_string(), seconds]
    });
    section(
        "What the card's process says of its whole session",
        &["card", "latest end of a period, us", "xruns", "seconds"],
        &rows.collect::<Vec<_>>(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_they_need_and_an_empty_section_is_nothing() {
        let rows = vec![vec!["ringwave".into(), "1".into()], vec!["b".into()]];
        assert_eq!(section("H", &["card", "n"], &rows), "\nH\n  card      n\n  ringwave  1\n  b\n");
        assert_eq!(section("H", &["card"], &[]), "");
        assert_eq!(spread(Spread::of([1.0, 200.0])), "1.00 (1.00 to 200)");
    }
}
