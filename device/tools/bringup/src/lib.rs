//! `ringwave bringup`: walks a card from identity to tone, and says at each step what was expected and what
//! was seen.
//!
//! The bring-up knows the card from `device/DATASHEET.md` and [`ringwave_regs`] alone, never from its source,
//! so that it can judge it. There is one bring-up and two ways to reach a card behind one trait
//! ([`access::CardAccess`]): [`socket`], without a virtual machine, and [`vfio`], in a Linux guest or on a
//! host. Every step begins with a reset and stands alone: a failure does not stop the ones that follow, and
//! whatever the card does every wait has an end.

pub mod access;
pub mod bringup;
pub mod config;
pub mod lines;
pub mod memory;
pub mod report;
pub mod socket;
pub mod steps;
pub mod stream;
pub mod vfio;

use std::sync::atomic::AtomicBool;
use std::time::Instant;

use ringwave_regs::global;

use access::CardAccess;
use bringup::{Bringup, Choices, StepEnd, StepResult};
use report::{Check, Outcome, Report, StepReport};
use steps::{STEPS, Step};

/// What of the card must be right before anything is written to it.
const GUARDS: [&str; 2] = ["identity", "version"];

/// Says whether the vendor and device that were found are the ones that may be touched.
pub fn check_identity(name: &str, found: (u16, u16), wanted: (u16, u16)) -> Result<(), String> {
    if found == wanted {
        return Ok(());
    }
    let id = |(vendor, device): (u16, u16)| format!("{vendor:04x}:{device:04x}");
    Err(format!(
        "{name}: {}, and a Ringwave card is {}; nothing was touched (for a card that is served with other ids: --force-id {})",
        id(found),
        id(wanted),
        id(found)
    ))
}

/// Walks `steps` of the card, in the order of [`STEPS`]. `each` is called after every step. The error is one
/// line: the card is not one that may be touched, or cannot be reached.
pub fn run(
    card: &mut dyn CardAccess,
    steps: &[&'static Step],
    choices: Choices,
    stop: &AtomicBool,
    mut each: impl FnMut(&StepReport),
) -> Result<Report, String> {
    let began = Instant::now();
    let name = card.name();
    let (vendor, device) = (config::read16(card, 0), config::read16(card, 2));
    let found =
        vendor.and_then(|vendor| Ok((vendor, device?))).map_err(|error| format!("{name}: {error}"))?;
    check_identity(&name, found, choices.identity)?;
    let mut bringup = Bringup::new(card, choices, stop).map_err(|error| format!("{name}: {error}"))?;

    let mut done = Vec::new();
    let touchable = guard(&mut bringup).map_err(|ended| format!("{name}: {}", why(ended)))?;
    let mut hold = (!touchable).then(|| "MAGIC or the major version is of another interface".to_owned());
    // A card that is not one is said so, whatever was asked for.
    let asked = |step: &Step| steps.iter().any(|asked| asked.name == step.name);
    let untouchable = !touchable;
    for step in STEPS.iter().filter(|step| asked(step) || untouchable && GUARDS.contains(&step.name)) {
        let looks_only = untouchable && GUARDS.contains(&step.name);
        let report = match &hold {
            Some(why) if !looks_only => StepReport {
                name: step.name,
                outcome: Outcome::Skipped,
                why: Some(why.clone()),
                milliseconds: 0,
                checks: Vec::new(),
            },
            _ => take_step(&mut bringup, step, untouchable, &mut hold),
        };
        each(&report);
        done.push(report);
    }
    if !untouchable {
        bringup.leave();
    }
    let failed = done.iter().any(|step| step.outcome == Outcome::Failed) || hold.is_some();
    Ok(Report {
        tool: env!("CARGO_PKG_VERSION"),
        card: name,
        outcome: if failed { Outcome::Failed } else { Outcome::Ok },
        milliseconds: millis(began),
        steps: done,
    })
}

/// MAGIC and the major version, before anything else is touched (DATASHEET 3.1), then the memory that all
/// steps share. `false`: this is not the interface that the bring-up knows.
fn guard(bringup: &mut Bringup<'_>) -> StepResult<bool> {
    bringup.wake()?;
    let magic = bringup.get(global::MAGIC)?;
    let version = bringup.get(global::VERSION)?;
    if magic != global::MAGIC_VALUE || version >> 16 != u32::from(global::VERSION_MAJOR) {
        return Ok(false);
    }
    bringup.map_memory()?;
    Ok(true)
}

/// One step, from a reset to its report. A card that is lost is put into `hold`, the reason why nothing else
/// can be looked at.
fn take_step(
    bringup: &mut Bringup<'_>,
    step: &Step,
    looks_only: bool,
    hold: &mut Option<String>,
) -> StepReport {
    let began = Instant::now();
    let fresh = if looks_only { Ok(()) } else { bringup.fresh() };
    let ended = fresh.and_then(|()| (step.run)(bringup));
    let mut checks = bringup.take_checks();
    let failed = |expected: &str, seen: &str, meaning: &str| Check {
        name: "the card answers".to_owned(),
        expected: expected.to_owned(),
        seen: seen.to_owned(),
        outcome: Outcome::Failed,
        meaning: Some(meaning.to_owned()),
    };
    let mut reason = None;
    match ended {
        Ok(()) | Err(StepEnd::Failed) => {}
        Err(StepEnd::Skipped(why)) => reason = Some(why),
        Err(StepEnd::Refused(why)) => {
            checks.push(failed(
                "every access is let through",
                &why,
                "see the log of whoever stands before the card",
            ));
        }
        Err(StepEnd::Lost(why)) => {
            checks.push(failed(
                "an answer to every access",
                &why,
                "the card hangs or died: see what ringwave serve logged last",
            ));
            hold.get_or_insert_with(|| format!("the card was lost in {}", step.name));
        }
        Err(StepEnd::Interrupted) => {
            reason = Some("interrupted".to_owned());
            hold.get_or_insert_with(|| "interrupted".to_owned());
        }
    }
    let any = |outcome| checks.iter().any(|check| check.outcome == outcome);
    let outcome = if any(Outcome::Failed) {
        Outcome::Failed
    } else if any(Outcome::Ok) && reason.is_none() {
        Outcome::Ok
    } else {
        reason.get_or_insert_with(|| "nothing to look at".to_owned());
        Outcome::Skipped
    };
    StepReport { name: step.name, outcome, why: reason, milliseconds: millis(began), checks }
}

fn why(ended: StepEnd) -> String {
    match ended {
        StepEnd::Failed => "it failed".to_owned(),
        StepEnd::Interrupted => "interrupted".to_owned(),
        StepEnd::Skipped(why) | StepEnd::Refused(why) | StepEnd::Lost(why) => why,
    }
}

fn millis(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}
