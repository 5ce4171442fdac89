//! The page of `bench-cards`: figures, which are of the machine that comes first, and no verdict.

use std::collections::BTreeSet;

use ringwave_report::html::{self, Bar, Outcome, Page, Picture, Section, bars, count, grouped};

use super::{capital, command};
use crate::bench_cards::results::{Cost, Results, Spread};
use crate::bench_cards::table;

/// How pictures and table of the cost are to be read.
const READING: &str = "A bar ends at the median of the rounds, and its line goes from the least to the greatest; all pictures of \
    a kind have one scale. Both: QEMU and the card's process. Over the first: over what the first card costs in the same round. \
    Traps: accesses to registers that came to the card's process.";

/// The page of what was measured.
pub fn page(results: &Results) -> Page {
    let cost = table::cost(results);
    let note = format!("{}. {READING}", capital(&cost.note));
    let cost = Section { note, pictures: pictures(&results.cost), ..cost };
    let sections = [cost].into_iter().chain(table::others(results));
    Page {
        details: details(results),
        facts: facts(results),
        sections: sections.filter(|section| !section.table.rows.is_empty()).collect(),
        machine: machine(results),
        machine_first: true,
        command: command("bench-cards"),
        ..Page::new(
            "qemu-scripts/bench-cards",
            Outcome::Unknown,
            format!(
                "Measured and not judged: {} of {} s each.",
                count(results.rounds.into(), "round"),
                results.seconds
            ),
        )
    }
}

/// The host as it was when measuring began, with what the guests ran on.
fn machine(results: &Results) -> Vec<(String, String)> {
    let of = &results.machine;
    // The load of now is that of measuring itself.
    let mut rows: Vec<_> = html::host().into_iter().filter(|(name, _)| name != "load").collect();
    let more = [
        ("load when it began", of.load.clone()),
        ("QEMU", format!("{}, {}", of.qemu, of.accel)),
        ("guest", if of.kernel.is_empty() { "no Linux".to_owned() } else { format!("Linux {}", of.kernel) }),
    ];
    rows.extend(more.map(|(name, value)| (name.to_owned(), value)));
    rows
}

/// What a reader has to know of the figures.
fn details(results: &Results) -> Vec<String> {
    let mut all = vec![
        "Percent are of one core. Three figures are the median, the least and the greatest of the rounds."
            .to_owned(),
    ];
    if results.machine.accel != "kvm" {
        all.push(
            "Without KVM each instruction of the guest is emulated, in QEMU's time: figures compare cards, and tell nothing of a machine with KVM."
                .to_owned(),
        );
    }
    all
}

fn facts(results: &Results) -> Vec<(String, String)> {
    let of_cost = results.cost.iter().map(|row| &row.card);
    let others = results.bits.iter().map(|row| &row.card);
    let others = others.chain(results.position.iter().map(|row| &row.card));
    let others = others.chain(results.round_trip.iter().map(|row| &row.card));
    let cards: BTreeSet<&String> =
        of_cost.chain(others).chain(results.ntguest.iter().map(|row| &row.card)).collect();
    let mut facts = vec![("cards".to_owned(), grouped(cards.len() as u64))];
    if !results.cost.is_empty() {
        let xruns = results.cost.iter().map(|row| row.xruns).sum();
        facts.push(("xruns while cost was measured".to_owned(), grouped(xruns)));
    }
    if !results.bits.is_empty() {
        let exact = results.bits.iter().filter(|row| row.verdict == "bit-exact").count();
        let offered = results.bits.iter().filter(|row| !row.verdict.starts_with("not offered")).count();
        facts.push(("bit-exact".to_owned(), format!("{exact} of {offered} formats")));
    }
    facts
}

/// What playing costs at each period: the card alone, and beside it QEMU and the card's process as a whole.
fn pictures(cost: &[Cost]) -> Vec<Picture> {
    let periods: BTreeSet<u32> = cost.iter().map(|row| row.period_ms).filter(|ms| *ms > 0).collect();
    let drawn = |what: &str, of: &dyn Fn(&Cost) -> Option<Spread>, caption: &str| {
        let group = |ms: &u32| {
            let rows = cost.iter().filter(|row| row.period_ms == *ms);
            let bar = |row: &Cost| {
                let Spread { median, least, greatest } = of(row)?;
                Some(Bar { name: row.card.clone(), median, least, greatest })
            };
            (format!("{ms} ms: {what}"), rows.filter_map(bar).collect::<Vec<_>>())
        };
        let groups: Vec<_> = periods.iter().rev().map(group).filter(|(_, bars)| !bars.is_empty()).collect();
        bars(&groups, " %", caption)
    };
    let card = drawn(
        "the card",
        &|row| row.card_over_idle_percent,
        "Percent of a core over idle, without the threads that are the guest's processors.",
    );
    let whole = drawn(
        "QEMU and the card's process",
        &|row| row.over_idle_percent,
        "Percent of a core over idle, the guest with its driver and its player included.",
    );
    card.into_iter().zip(whole).flat_map(|(card, whole)| [card, whole]).collect()
}
