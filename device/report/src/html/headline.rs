//! The first sentence of the page: what is wrong, where, and since when.

use super::differences::Differences;
use super::numbers::f64_of;
use super::words::{count, length, moment, span};

/// What became of it: the colour, and the word beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// What was wanted.
    Passed,
    /// Not.
    Failed,
    /// It cannot be told, or there is nothing to compare.
    Unknown,
}

impl Outcome {
    /// One word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Unknown => "not judged",
        }
    }

    pub(super) fn sign(self) -> &'static str {
        match self {
            Self::Passed => "\u{2713}",
            Self::Failed => "\u{2717}",
            Self::Unknown => "?",
        }
    }
}

/// Of two sounds, of which the heard one has so many frames at this rate. `verdict` is what is said where
/// nothing else can be.
pub fn headline(
    outcome: Outcome,
    differences: &Differences,
    (frames, rate): (u64, u32),
    verdict: &str,
) -> String {
    let rate = f64::from(rate.max(1));
    let all_along = match differences.whole.as_slice() {
        [] => String::new(),
        whole => whole.join("; "),
    };
    let Some(first) = differences.places.first() else {
        let seconds = f64_of(frames) / rate;
        return match (outcome, all_along.is_empty(), differences.offset.unwrap_or(0)) {
            (Outcome::Unknown, true, _) => format!("Nothing can be told: {verdict}."),
            (Outcome::Unknown, false, _) => format!("Nothing can be told: {all_along}."),
            (Outcome::Failed, false, _) => format!("Wrong all along: {all_along}."),
            (Outcome::Failed, true, 0) => format!("Not the same: {verdict}."),
            (Outcome::Failed, true, offset) => {
                let word = if offset > 0 { "later" } else { "earlier" };
                format!(
                    "Every sample is there, {} {word} than it was sent.",
                    span(offset.unsigned_abs(), rate)
                )
            }
            (Outcome::Passed, _, _) => {
                format!("Nothing is wrong: {} ({}), {verdict}.", count(frames, "frame"), length(seconds))
            }
        };
    };
    let since = moment(first.seconds);
    let mut said = match outcome {
        Outcome::Passed => format!("As it was counted: at {since} {}", first.what),
        Outcome::Failed | Outcome::Unknown => format!("Wrong since {since}: {}", first.what),
    };
    if differences.total > 1 {
        let places = count(differences.total, "place");
        said.extend(["; ", &places, " in all, the last at ", &moment(differences.last)]);
    }
    said.push('.');
    if !all_along.is_empty() {
        said.extend([" All along: ", &all_along, "."]);
    }
    said
}
