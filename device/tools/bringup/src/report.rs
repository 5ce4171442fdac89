//! What was expected and what was seen: the checklist, as a table for a person and as JSON for a program.

use std::fmt;

use serde::Serialize;

/// The narrowest a column of the table is, in characters; a step whose texts are longer gets wider ones, up
/// to the second number.
const NAME: (usize, usize) = (44, 60);
const VALUE: (usize, usize) = (34, 44);

/// How a check, a step or the bring-up ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// As expected.
    Ok,
    /// Not as expected.
    Failed,
    /// Not looked at.
    Skipped,
}

/// One line of the checklist.
#[derive(Clone, Debug, Serialize)]
pub struct Check {
    /// What was looked at.
    pub name: String,
    /// What the DATASHEET says.
    pub expected: String,
    /// What was there; for a check that was skipped, why.
    pub seen: String,
    /// Whether that is the same.
    pub outcome: Outcome,
    /// What a failure may mean, and what to do next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub meaning: Option<String>,
}

/// What came of one step.
#[derive(Clone, Debug, Serialize)]
pub struct StepReport {
    /// The step's name, as `--only` takes it.
    pub name: &'static str,
    /// Failed if any check failed, skipped if none was made.
    pub outcome: Outcome,
    /// Why it was skipped, or ended early.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// How long it took.
    pub milliseconds: u64,
    /// Its checks, in the order they were made.
    pub checks: Vec<Check>,
}

/// The whole checklist.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Version of the tool.
    pub tool: &'static str,
    /// How the card was reached: a socket's path, or bus, device and function.
    pub card: String,
    /// Ok or failed. A bring-up in which a step was skipped can be ok; it says which.
    pub outcome: Outcome,
    /// How long it took.
    pub milliseconds: u64,
    /// All steps, in the order they were made.
    pub steps: Vec<StepReport>,
}

impl Report {
    /// How many steps ended this way.
    pub fn count(&self, outcome: Outcome) -> usize {
        self.steps.iter().filter(|step| step.outcome == outcome).count()
    }

    fn named(&self, outcome: Outcome) -> String {
        let with_why = |step: &StepReport| match &step.why {
            Some(why) if outcome == Outcome::Skipped => format!("{} ({why})", step.name),
            _ => step.name.to_owned(),
        };
        let steps = self.steps.iter().filter(|step| step.outcome == outcome);
        steps.map(with_why).collect::<Vec<_>>().join(", ")
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ok => "ok",
            Self::Failed => "FAIL",
            Self::Skipped => "skipped",
        })
    }
}

/// How wide a column must be for these texts.
fn width<'a>(texts: impl Iterator<Item = &'a String>, (least, most): (usize, usize)) -> usize {
    texts.map(|text| text.chars().count()).max().unwrap_or(0).clamp(least, most)
}

impl fmt::Display for StepReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, outcome, why, checks, .. } = self;
        if checks.is_empty() {
            return write!(f, "{name}: {outcome} ({})", why.as_deref().unwrap_or("nothing to look at"));
        }
        // A check that was skipped has no columns.
        let made = || checks.iter().filter(|check| check.outcome != Outcome::Skipped);
        let first = width(made().map(|check| &check.name), NAME);
        let second = width(made().map(|check| &check.expected), VALUE);
        let third = width(made().map(|check| &check.seen), VALUE);
        write!(f, "{name:<width$} {:<second$} {:<third$} {outcome}", "expected", "seen", width = first + 2)?;
        if let Some(why) = why {
            write!(f, " ({why})")?;
        }
        for Check { name, expected, seen, outcome, meaning } in checks {
            if *outcome == Outcome::Skipped {
                write!(f, "\n  {name:<first$} skipped ({seen})")?;
                continue;
            }
            write!(f, "\n  {name:<first$} {expected:<second$} {seen:<third$} {outcome}")?;
            if let (Some(meaning), Outcome::Failed) = (meaning, outcome) {
                write!(f, "\n    -> {meaning}")?;
            }
        }
        Ok(())
    }
}

impl Report {
    /// The lines below the steps: how many, which not, and the verdict.
    pub fn summary(&self) -> String {
        let checks = || self.steps.iter().flat_map(|step| &step.checks);
        let of = |outcome| checks().filter(|check| check.outcome == outcome).count();
        #[allow(clippy::cast_precision_loss, reason = "a duration for a person")]
        let seconds = self.milliseconds as f64 / 1000.0;
        let mut lines = vec![format!(
            "{} steps: {} ok, {} failed, {} skipped; {} checks: {} ok, {} failed, {} skipped; {seconds:.1} s",
            self.steps.len(),
            self.count(Outcome::Ok),
            self.count(Outcome::Failed),
            self.count(Outcome::Skipped),
            checks().count(),
            of(Outcome::Ok),
            of(Outcome::Failed),
            of(Outcome::Skipped),
        )];
        if self.count(Outcome::Skipped) != 0 {
            lines.push(format!("skipped: {}", self.named(Outcome::Skipped)));
        }
        lines.push(match self.outcome {
            Outcome::Ok => format!("{}: as expected", self.card),
            _ if self.count(Outcome::Failed) == 0 => format!("{}: the walk was not finished", self.card),
            _ => format!("{}: NOT as expected: {}", self.card, self.named(Outcome::Failed)),
        });
        lines.join("\n")
    }
}
