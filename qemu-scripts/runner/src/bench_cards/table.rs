//! The results for people: tables, for the terminal and for a page.

use std::fmt::Write;

use ringwave_report::html::{Section, Table, short};

use super::results::{self, Results, Spread};

/// All tables as text, under what they were measured on.
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
    for section in [cost(results)].into_iter().chain(others(results)) {
        text.push_str(&in_text(&section));
    }
    text
}

/// All but [`cost`].
pub fn others(results: &Results) -> Vec<Section> {
    [lateness, position, round_trip, bits, many, ntguest, served].map(|section| section(results)).into()
}

/// A table under a heading; `note`: how it is to be read.
fn section(title: &str, note: &str, columns: &[&str], rows: Vec<Vec<String>>) -> Section {
    let columns = columns.iter().map(|column| (*column).to_owned()).collect();
    let table = Table { columns, rows };
    Section { title: title.to_owned(), note: note.to_owned(), table, ..Section::default() }
}

/// A heading and its rows, the columns as wide as they need; nothing without rows.
fn in_text(section: &Section) -> String {
    let Section { title, note, table: Table { columns, rows }, .. } = section;
    if rows.is_empty() {
        return String::new();
    }
    let all: Vec<&Vec<String>> = [columns].into_iter().chain(rows).collect();
    let cell = |row: &Vec<String>, at: usize| row.get(at).cloned().unwrap_or_default();
    let widths: Vec<usize> = (0..columns.len())
        .map(|at| all.iter().map(|row| cell(row, at).chars().count()).max().unwrap_or(0))
        .collect();
    let note = if note.is_empty() { String::new() } else { format!(" ({note})") };
    let mut text = format!("\n{title}{note}\n");
    for row in all {
        let cells: Vec<String> =
            widths.iter().enumerate().map(|(at, width)| format!("{:<width$}", cell(row, at))).collect();
        let _ = writeln!(text, "  {}", cells.join("  ").trim_end());
    }
    text
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

/// What playing costs.
pub fn cost(results: &Results) -> Section {
    let row = |it: &results::Cost| {
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
        "What playing costs",
        "card: QEMU's threads that are not the guest's processors, and the device process",
        &columns,
        results.cost.iter().map(row).collect(),
    )
}

fn lateness(results: &Results) -> Section {
    let plays = results.cost.iter().filter(|it| it.period_ms > 0);
    let row = |it: &results::Cost| {
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
        "",
        &["card", "period", "median", "99 of 100", "latest", "xruns"],
        plays.map(row).collect(),
    )
}

fn position(results: &Results) -> Section {
    let rows = results.position.iter().map(|it| {
        let (p50, max, off) = (one(it.step_us_p50), one(it.step_us_max), one(it.off_us_p99));
        vec![it.card.clone(), period(it.period_ms), p50, max, off, it.xruns.to_string()]
    });
    section(
        "How far the position jumps, in microseconds of sound",
        "",
        &["card", "period", "median step", "greatest step", "off a line, 99 of 100", "xruns"],
        rows.collect(),
    )
}

fn round_trip(results: &Results) -> Section {
    let rows = results.round_trip.iter().map(|it| {
        let (p50, max) = (one(it.trip_us_p50), one(it.trip_us_max));
        vec![it.card.clone(), period(it.period_ms), p50, max, it.clicks.to_string(), it.xruns.to_string()]
    });
    section(
        "Round trip from render to capture, two periods ahead, in microseconds",
        "-: no loopback",
        &["card", "period", "median", "longest", "clicks", "xruns"],
        rows.collect(),
    )
}

fn bits(results: &Results) -> Section {
    let rows = results
        .bits
        .iter()
        .map(|it| vec![it.card.clone(), it.format.clone(), it.verdict.clone(), it.xruns.to_string()]);
    section("At the sink", "", &["card", "format", "verdict", "xruns"], rows.collect())
}

fn many(results: &Results) -> Section {
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
        "",
        &["", "KiB each", "all devices %", "all device wakes/s", "QEMU %", "xruns"],
        rows.collect(),
    )
}

fn ntguest(results: &Results) -> Section {
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
    section("ringwave.sys in ntguest, in real time", "", &columns, rows.collect())
}

fn served(results: &Results) -> Section {
    let rows = results.served.iter().map(|it| {
        let seconds = format!("{:.0}", it.seconds);
        vec![it.card.clone(), it.worst_lateness_us.to_string(), it.underruns.to_string(), seconds]
    });
    section(
        "What the card's process says of its whole session",
        "",
        &["card", "latest end of a period, us", "xruns", "seconds"],
        rows.collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_they_need_and_an_empty_section_is_nothing() {
        let rows = vec![vec!["ringwave".into(), "1".into()], vec!["b".into()]];
        let text = |note, columns: &[&str], rows| in_text(&section("H", note, columns, rows));
        assert_eq!(text("", &["card", "n"], rows.clone()), "\nH\n  card      n\n  ringwave  1\n  b\n");
        assert!(text("-: none", &["card", "n"], rows).starts_with("\nH (-: none)\n"));
        assert_eq!(text("", &["card"], vec![]), "");
        assert_eq!(spread(Spread::of([1.0, 200.0])), "1.00 (1.00 to 200)");
    }
}
