//! The page of `windows test`.

use std::path::{Path, PathBuf};

use ringwave_audio::compare::{self, Allowed};
use ringwave_report::Direction;
use ringwave_report::html::{BYTES_MAX, Outcome, Page, Section, Sound, Table};

use super::{Pair, capital, command, details, facts, title};
use crate::error::Error;
use crate::windows::run::Served;
use crate::windows::test::verdict::Verdict;

/// A run of a test, and what became of it.
#[derive(Clone, Debug)]
pub struct Tested<'a> {
    /// How it was played.
    pub name: &'a str,
    /// The answer.
    pub verdict: &'a Verdict,
    /// What the card heard, if it heard anything.
    pub heard: Option<PathBuf>,
    /// The boot that played, as the card saw it.
    pub served: Option<&'a Served>,
    /// Whether the card waited for what was late.
    pub waits: bool,
}

/// The page of a test, of one run or of several.
///
/// # Errors
/// A file that cannot be read any more.
pub fn page(song: &Path, tested: &[Tested<'_>], machine: Vec<(String, String)>) -> Result<Page, Error> {
    // The one to look at.
    let worst = tested.iter().find(|run| !run.verdict.passed).or(tested.first());
    let is_worst = |run: &Tested<'_>| worst.is_some_and(|worst| worst.name == run.name);
    let others = tested.iter().filter(|run| !is_worst(run));
    let mut said: Vec<String> = others.map(|run| format!("{}: {}.", run.name, run.verdict.text)).collect();
    let (mut sounds, mut frames, mut budget) = (Vec::new(), None, BYTES_MAX);
    for run in tested {
        let prefix = if tested.len() > 1 { format!("{}: ", run.name) } else { String::new() };
        if let Some(heard) = &run.heard {
            let compared = sound(song, heard, &prefix, run.verdict.passed, &mut budget)?;
            if is_worst(run) {
                frames = Some(compared.frames);
            }
            sounds.push(compared.sound);
            // What is wrong with a sound that passes the verdict allows, and says so.
            said.extend((!run.verdict.passed).then(|| format!("{prefix}{}", compared.line)));
        }
        let counted =
            run.served.map_or_else(Vec::new, |it| details(&it.stats, it.timeline.as_ref(), run.waits));
        said.extend(counted.into_iter().map(|line| format!("{prefix}{line}")));
    }
    let served = worst.and_then(|run| run.served);
    let outcome = if tested.iter().all(|run| run.verdict.passed) { Outcome::Passed } else { Outcome::Failed };
    Ok(Page {
        details: said,
        facts: served.map_or_else(Vec::new, |it| facts(frames, &it.stats, Direction::Render)),
        sounds,
        timeline: served.and_then(|it| it.timeline.clone()),
        stats: served.map(|it| it.stats.clone()),
        sections: tested.iter().map(rows).collect(),
        machine,
        command: command("windows"),
        ..Page::new(title("windows test", song), outcome, first_sentence(worst, tested.len() > 1))
    })
}

/// What the song and the heard sound look like beside each other.
struct Compared {
    sound: Sound,
    line: String,
    frames: [u64; 2],
}

fn sound(song: &Path, heard: &Path, prefix: &str, right: bool, budget: &mut u64) -> Result<Compared, Error> {
    let [sent, arrived] = compare::open([song, heard]).map_err(Error::failed)?;
    // Windows may begin before the song, and plays on behind it; within it nothing may be silent.
    let allowed = Allowed::Around { packet: sent.len().max(1) };
    let comparison = compare::compare_open([song, heard], [&sent, &arrived], allowed);
    let comparison = comparison.map_err(Error::failed)?;
    let (title, name) =
        (format!("{prefix}what was played"), format!("what Windows played: {}", song.display()));
    let frames = [sent.len(), arrived.len()];
    let exact = comparison.bit_exact();
    let pair = Pair { title: &capital(&title), names: [&name, "what the card heard"], sent, heard: arrived };
    let (sound, line) = pair.sound(&comparison, right || exact, budget)?;
    // What is wrong then is not to be heard.
    let line = if exact { "The sound itself is right.".to_owned() } else { line };
    Ok(Compared { sound, line, frames })
}

/// The verdict as a sentence.
fn first_sentence(run: Option<&Tested<'_>>, named: bool) -> String {
    let Some(run) = run else { return "Nothing was run.".to_owned() };
    let text = run.verdict.text.trim_end_matches('.');
    if named { format!("{}: {text}.", run.name) } else { format!("{}.", capital(text)) }
}

/// What a verdict rests on.
fn rows(run: &Tested<'_>) -> Section {
    let verdict = ("verdict", run.verdict.text.clone());
    let rows = run.verdict.rows.iter().cloned().chain([verdict]);
    Section {
        title: format!("What the verdict rests on: {}", run.name),
        table: Table {
            columns: Vec::new(),
            rows: rows.map(|(name, value)| vec![name.to_owned(), value]).collect(),
        },
        ..Section::default()
    }
}
