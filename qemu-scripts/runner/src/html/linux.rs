//! The page of `linux`.

use ringwave_audio::compare::Comparison;
use ringwave_audio::wav::{Samples, Sound as Frames};
use ringwave_report::Direction;
use ringwave_report::html::{BYTES_MAX, Outcome, Page, Section, Sound, Table, grouped};

use super::{Pair, command, details, facts, title};
use crate::error::Error;
use crate::input::Input;
use crate::linux::{Job, Report, Request, song_heard, song_recorded};

/// The page of a run.
///
/// # Errors
/// A file that cannot be read any more.
pub fn page(request: &Request, report: &Report, mut machine: Vec<(String, String)>) -> Result<Page, Error> {
    let (sounds, said) = sounds(request, report)?;
    let mut texts = vec![("The run in lines".to_owned(), report.to_string())];
    if !report.dmesg.is_empty() {
        texts.push(("The kernel's log, of sound and of faults".to_owned(), report.dmesg.join("\n")));
    }
    machine.push(("guest".to_owned(), format!("Linux {}", report.kernel)));
    let outcome = if report.passed() { Outcome::Passed } else { Outcome::Failed };
    Ok(Page {
        details: details(&report.card, report.timeline.as_ref(), request.clock.waits()),
        facts: numbers(request, report),
        sounds,
        timeline: report.timeline.clone(),
        stats: Some(report.card.clone()),
        sections: steps(report).into_iter().collect(),
        texts,
        machine,
        command: command("linux"),
        ..Page::new(title("linux", &request.wav), outcome, first_sentence(report, said))
    })
}

/// What was played and what was recorded, and the sentence of what is wrong, else of the first.
fn sounds(request: &Request, report: &Report) -> Result<(Vec<Sound>, String), Error> {
    let song = Input::open(&request.wav)?;
    let file = request.wav.display();
    let (mut sounds, mut said, mut budget) = (Vec::new(), String::new(), BYTES_MAX);
    let mut add = |title: &str, names: [&str; 2], heard: &Frames, verdict: &Comparison, right: bool| {
        let pair = Pair { title, names, sent: Samples::of(&song.sound), heard: Samples::of(heard) };
        let (sound, line) = pair.sound(verdict, right, &mut budget)?;
        sounds.push(sound);
        Ok::<_, Error>(line)
    };
    if let (Some(heard), Some(verdict)) = (song_heard(report, &song, request), &report.played) {
        let file = format!("what the guest played: {file}");
        let names = [file.as_str(), "what the card heard"];
        said = add("What was played", names, &heard, verdict, report.played_whole())?;
    }
    if let (Some(recorded), Some(verdict)) = (song_recorded(report, &song, request), &report.recorded) {
        let file = format!("what the microphone heard: {file}");
        let names = [file.as_str(), "what the guest recorded"];
        let right = report.recorded_whole();
        let line = add("What was recorded", names, &recorded, verdict, right)?;
        if said.is_empty() {
            said = line;
        } else if report.played_whole() && !right {
            said = format!("What was played is right, what was recorded of it is not. {line}");
        }
    }
    Ok((sounds, said))
}

/// What is wrong first: the sound; else the guest.
fn first_sentence(report: &Report, said: String) -> String {
    let fault = fault(report);
    if report.played.is_none() && report.recorded.is_none() {
        let why = fault.unwrap_or_else(|| "the guest set up no stream".to_owned());
        return format!("Nothing arrived: {why}.");
    }
    match fault {
        Some(fault) if report.played_whole() && report.recorded_whole() => {
            format!("The sound is right, but {fault}.")
        }
        _ => said,
    }
}

/// What went wrong in the guest.
fn fault(report: &Report) -> Option<String> {
    let failed = report.steps.iter().find(|(_, code)| *code != 0);
    let failed = failed.map(|(name, code)| format!("the guest's step {name} ended with exit code {code}"));
    let end = (!report.ended).then(|| "the guest did not come to its end".to_owned());
    let log = report.dmesg.first().map(|line| format!("the guest's kernel has logged: {line}"));
    failed.or(end).or(log)
}

fn numbers(request: &Request, report: &Report) -> Vec<(String, String)> {
    let direction = if request.job == Job::Record { Direction::Capture } else { Direction::Render };
    let compared = report.played.as_ref().or(report.recorded.as_ref());
    let mut facts = facts(compared.map(|it| it.frames), &report.card, direction);
    let failed = report.steps.iter().filter(|(_, code)| *code != 0).count();
    facts.push(("steps that failed".to_owned(), format!("{failed} of {}", report.steps.len())));
    facts.push(("lines in the kernel's log".to_owned(), grouped(report.dmesg.len() as u64)));
    facts
}

/// The steps of the guest, if it came to any.
fn steps(report: &Report) -> Option<Section> {
    let rows: Vec<_> = report.steps.iter().map(|(name, code)| vec![name.clone(), code.to_string()]).collect();
    (!rows.is_empty()).then(|| Section {
        title: "Steps of the guest".to_owned(),
        table: Table { columns: ["step", "exit code"].map(String::from).into(), rows },
        ..Section::default()
    })
}
