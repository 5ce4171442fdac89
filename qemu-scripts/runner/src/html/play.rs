//! The page of `play` and `record`.

use std::path::Path;

use ringwave_audio::compare::Comparison;
use ringwave_audio::wav::{Samples, Sound as Frames};
use ringwave_report::Direction;
use ringwave_report::html::{BYTES_MAX, Outcome, Page, grouped};

use super::{Pair, command, details, facts, title};
use crate::{error::Error, input::Input, report::Report, request::Scenario};

/// The page of a run.
///
/// # Errors
/// A file that cannot be read any more.
pub fn page(name: &str, wav: &Path, report: &Report, machine: Vec<(String, String)>) -> Result<Page, Error> {
    let sent = Input::open(wav)?.sound;
    let recorded = Frames { format: sent.format, frames: report.recorded.clone() };
    let records = matches!(report.scenario, Scenario::Record(_));
    let arrived = if records { Some(&recorded) } else { report.played.as_ref() };
    let file = wav.display().to_string();
    let mut budget = BYTES_MAX;
    let mut sounds = Vec::new();
    let mut said = String::new();
    if let (Some(arrived), Some(comparison)) = (arrived, &report.comparison) {
        let (title, names) = if records {
            ("What was recorded", ["what the microphone heard", "what the guest recorded"])
        } else {
            ("What was played", ["what the guest played", "what the card heard"])
        };
        let file = format!("{}: {file}", names[0]);
        let names = [file.as_str(), names[1]];
        let pair = Pair { title, names, sent: Samples::of(&sent), heard: Samples::of(arrived) };
        // Frames may be missing that the card has counted, but the client does not know of.
        let right = report.arrived_whole() && !report.violated("lost-frames");
        let (sound, line) = pair.sound(comparison, right, &mut budget)?;
        sounds.push(sound);
        said = line;
    }
    if let (Some(played), Some(comparison)) = (&report.played, &report.loopback) {
        let names = ["what the card played", "what the guest recorded of it"];
        let (sent, heard) = (Samples::of(played), Samples::of(&recorded));
        let pair = Pair { title: "What the loopback recorded", names, sent, heard };
        let (sound, line) = pair.sound(comparison, report.looped_whole(), &mut budget)?;
        sounds.push(sound);
        if report.arrived_whole() && !report.looped_whole() {
            said = format!("What was played is right, what was recorded of it is not. {line}");
        }
    }
    let mut texts = vec![("The run in lines".to_owned(), report.to_string())];
    if !report.violations.is_empty() {
        texts.push(("Rules that were broken".to_owned(), report.violations.join("\n")));
    }
    let outcome = if report.passed() { Outcome::Passed } else { Outcome::Failed };
    let direction = if records { Direction::Capture } else { Direction::Render };
    let mut facts = facts(report.comparison.as_ref().map(|it| it.frames), &report.card, direction);
    facts.push(("rules broken".to_owned(), grouped(report.violations.len() as u64)));
    Ok(Page {
        details: details(&report.card, report.timeline.as_ref(), report.waits),
        facts,
        sounds,
        timeline: report.timeline.clone(),
        stats: Some(report.card.clone()),
        texts,
        machine,
        command: command(name),
        ..Page::new(title(name, wav), outcome, first_sentence(report, said))
    })
}

/// What is wrong first: the sound; else a rule; else the guest.
fn first_sentence(report: &Report, said: String) -> String {
    let wrong = report.violations.first();
    if report.comparison.is_none() {
        let why = wrong.map_or("the guest set up no stream".to_owned(), Clone::clone);
        return format!("Nothing was heard: {why}.");
    }
    if !report.arrived_whole() || !report.looped_whole() {
        return said;
    }
    let exact = report.comparison.as_ref().is_some_and(Comparison::bit_exact);
    match wrong.map(|rule| rule.trim_start_matches("rule=").trim_end_matches('.')) {
        Some(rule) if exact => format!("The sound is right, but a rule is broken: {rule}."),
        Some(rule) => format!("{said} A rule is broken: {rule}."),
        None if !report.passed() => {
            "The sound is right, but the guest did not do all that it wanted.".to_owned()
        }
        None => said,
    }
}
