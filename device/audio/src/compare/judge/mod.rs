//! The aligned verdict: where the expected sound lies in the heard one, and each kind of damage by its name.
//! `device/COMPARE.md` is the contract.
//!
//! Whether the two are the same is decided first, by looking at every sample. All the rest names what is
//! wrong: `align` finds the offset and which channel is which, `model` what is wrong all along (level,
//! drift, noise ...), and `walk` takes that away and finds what is wrong at a place.
//!
//! Files are read in blocks, some parts more than once; memory does not grow with their length.
#![allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap,
    reason = "frames of a file fit 52 bits; positions are rounded on purpose"
)]

mod align;
mod channel;
mod coarse;
mod correlate;
mod differences;
mod edits;
mod facts;
mod filter;
mod levels;
mod local;
mod model;
mod resample;
mod spectrum;
mod sums;
mod timing;
mod verdict;
mod walk;

use std::io;

use crate::StreamFormat;
use crate::wav::{Samples, Sound};

use self::align::{align, is_periodic};
use self::correlate::Finder;
use self::facts::{Facts, scan};
use self::levels::Levels;
use self::model::{Model, estimate};
pub use self::verdict::{
    By, Channel, Conclusion, File, Finding, Judgement, Options, Place, Reason, Tolerance, VERSION,
};
use self::walk::{Walk, walk};

/// Fewer sounding frames are judged only by whether they are the same.
const SOUND_MIN: u64 = 1024;
/// Findings that are listed; the rest is counted.
const FINDINGS_MAX: usize = 1000;
/// Channels that are aligned: each is sought in each, and all of a block are in memory.
const CHANNELS_MAX: u32 = 64;
/// How many times as high one rate may be as the other: as much wider is the filter between them.
const RATIO_MAX: f64 = 64.0;

/// Both sounds, and what is asked.
struct Case<'a> {
    expected: Levels<'a>,
    heard: Levels<'a>,
    /// One LSB of the coarser format.
    lsb: f64,
    /// So much may a sample differ; also the level of silence.
    tolerance: f64,
    facts: [Facts; 2],
}

impl Case<'_> {
    /// Nominal heard frames per expected frame.
    fn ratio(&self) -> f64 {
        f64::from(self.heard.format().rate) / f64::from(self.expected.format().rate)
    }
}

/// Judges what was heard; `progress` is given the part that is done, 0 to 1.
pub fn judge(
    expected: &Samples<'_>,
    heard: &Samples<'_>,
    options: &Options,
    progress: &mut dyn FnMut(f64),
) -> io::Result<Judgement> {
    let judgement = judge_levels(expected, heard, options, progress);
    match expected.take_error().or_else(|| heard.take_error()) {
        Some(error) => Err(error),
        None => Ok(judgement),
    }
}

/// As [`judge`], of sounds in memory.
pub fn judge_sounds(expected: &Sound, heard: &Sound, options: &Options) -> Judgement {
    judge_levels(&Samples::of(expected), &Samples::of(heard), options, &mut |_| ())
}

fn judge_levels(
    expected: &Samples<'_>,
    heard: &Samples<'_>,
    options: &Options,
    progress: &mut dyn FnMut(f64),
) -> Judgement {
    let lsb = levels::lsb(expected.format().sample).max(levels::lsb(heard.format().sample));
    let tolerance = options.tolerance.level(lsb);
    let (expected, heard) = (Levels::new(expected), Levels::new(heard));
    if let Some(reason) = beyond_limits([expected.format(), heard.format()]) {
        let mut judgement = Judgement::new(&expected, &heard, tolerance / lsb);
        judgement.conclusion = Conclusion::CannotTell(reason);
        judgement.finish();
        return judgement;
    }
    let facts = [
        scan(&expected, tolerance, &mut |part| progress(part * 0.15)),
        scan(&heard, tolerance, &mut |part| progress(0.15 + part * 0.15)),
    ];
    let case = Case { expected, heard, lsb, tolerance, facts };
    let mut judgement = Judgement::new(&case.expected, &case.heard, tolerance / lsb);
    judgement.levels_of(&case.facts[1]);
    let bad = case.facts.each_ref().map(|facts| facts.not_finite);
    judgement.count_not_finite(bad);
    conclude(&case, &mut judgement, progress);
    judgement.finish();
    progress(1.0);
    judgement
}

/// Why such sounds are not looked at.
fn beyond_limits(formats: [StreamFormat; 2]) -> Option<Reason> {
    let [one, other] = formats.map(|format| f64::from(format.rate));
    if formats.iter().any(|format| !(1..=CHANNELS_MAX).contains(&format.channels)) {
        return Some(Reason::TooManyChannels);
    }
    let near = (1.0 / RATIO_MAX..=RATIO_MAX).contains(&(other / one));
    (!near).then_some(Reason::RatesTooFarApart)
}

/// Fills in the findings and the conclusion.
fn conclude(case: &Case<'_>, judgement: &mut Judgement, progress: &mut dyn FnMut(f64)) {
    let [expected, heard] = &case.facts;
    if case.expected.frames() == 0 {
        judgement.conclusion = Conclusion::CannotTell(Reason::ExpectedEmpty);
        return;
    }
    let (e_sound, h_sound) = match (expected.sounding(), heard.sounding()) {
        (Some(expected), Some(heard)) => (expected, heard),
        (Some((first, last)), None) => {
            if last + 1 - first < SOUND_MIN {
                judgement.conclusion = Conclusion::CannotTell(Reason::TooShort);
            }
            return judgement.add(Finding::NothingHeard);
        }
        (None, Some((first, last))) => {
            let place = judgement.place(first, 0, last + 1 - first);
            return judgement.add(Finding::ExtraBefore(place));
        }
        (None, None) => return judgement.conclusion = Conclusion::CannotTell(Reason::ExpectedSilent),
    };
    // At any other offset the first frame that is no silence would stand beside silence.
    let offset = h_sound.0 as i64 - e_sound.0 as i64;
    if let Some(exact) = whole_matches(case, offset, 0.0, progress) {
        judgement.same(offset, exact);
        return;
    }
    if case.tolerance > 0.0 {
        let mut offsets = [offset, 0, h_sound.1 as i64 - e_sound.1 as i64];
        offsets.sort_unstable_by_key(|offset| offset.abs());
        for offset in offsets {
            if whole_matches(case, offset, case.tolerance, progress).is_some() {
                judgement.within_tolerance(case, offset);
                return;
            }
        }
    }
    if case.ratio().to_bits() != 1.0_f64.to_bits() {
        let [expected, heard] = [&case.expected, &case.heard].map(|levels| levels.format().rate);
        judgement.add(Finding::Rate { expected, heard });
    }
    if e_sound.1 + 1 - e_sound.0 < SOUND_MIN {
        judgement.conclusion = Conclusion::CannotTell(Reason::TooShort);
        return;
    }
    name_damage(case, judgement, progress);
}

/// What is wrong with a sound that is not the same.
fn name_damage(case: &Case<'_>, judgement: &mut Judgement, progress: &mut dyn FnMut(f64)) {
    let mut finder = Finder::default();
    let aligned = align(case, &mut Finder::for_any_place());
    let Some(aligned) = aligned else {
        judgement.add(Finding::Unrelated);
        return;
    };
    if case.tolerance > 0.0 {
        let offset = aligned.offset.round() as i64;
        if whole_matches(case, offset, case.tolerance, progress).is_some() {
            judgement.within_tolerance(case, offset);
            return;
        }
    }
    let model = estimate(case, &aligned, &mut finder, &mut |part| progress(0.4 + part * 0.2));
    let Some(model) = model else {
        judgement.add(Finding::Unrelated);
        return;
    };
    let walked = walk(case, &model, &mut finder, &mut |part| progress(0.6 + part * 0.4));
    report(case, &model, &walked, judgement);
    if judgement.findings_total == 0 {
        // What is wrong is too little, or too short, for the names: sample by sample.
        let strict = model.strictly(case);
        let walked = walk(case, &strict, &mut finder, &mut |_| ());
        report(case, &strict, &walked, judgement);
    }
    if judgement.findings_total == 0 {
        judgement.add(Finding::Noise { channel: 0, snr_db: judgement.worst_snr() });
    }
    if model.is_a_phase(case) && is_periodic(case, &mut finder) {
        // A part of a frame, or other frames of the same.
        judgement.conclusion = Conclusion::CannotTell(Reason::Periodic);
        return;
    }
    if edits::only_at_the_edges(&judgement.findings) && is_periodic(case, &mut finder) {
        let sounding = |facts: &Facts| facts.sounding().map_or(0, |(first, last)| last + 1 - first);
        if sounding(&case.facts[1]) >= sounding(&case.facts[0]) {
            judgement.conclusion = Conclusion::CannotTell(Reason::Periodic);
        }
    }
}

fn report(case: &Case<'_>, model: &Model, walked: &Walk, judgement: &mut Judgement) {
    judgement.offset_frames = Some(model.offset);
    model.report(case, walked, judgement);
    edits::report(case, model, walked, judgement);
}

/// Whether every expected sample is heard at this offset, none differing by more than `tolerance`, and all
/// else is silence. `Some(false)`: within the tolerance only.
fn whole_matches(
    case: &Case<'_>,
    offset: i64,
    tolerance: f64,
    progress: &mut dyn FnMut(f64),
) -> Option<bool> {
    const BLOCK: usize = 8192;
    let (expected, heard) = (case.expected.format(), case.heard.format());
    if (expected.channels, expected.rate) != (heard.channels, heard.rate) {
        return None;
    }
    let begin = offset.min(0);
    let end = (case.heard.frames() as i64).max(offset.saturating_add(case.expected.frames() as i64));
    let (mut at, mut exact) = (begin, true);
    while at < end {
        let count = usize::try_from(end - at).unwrap_or(BLOCK).min(BLOCK);
        let (one, other) = (case.expected.read(at - offset, count), case.heard.read(at, count));
        for (one, other) in one.iter().zip(&other) {
            if one != other {
                exact = false;
                if one.iter().zip(other).any(|(one, other)| (one - other).abs() > tolerance) {
                    return None;
                }
            }
        }
        at += count as i64;
        progress(0.3 + 0.1 * (at - begin) as f64 / (end - begin).max(1) as f64);
    }
    Some(exact)
}

#[cfg(test)]
mod bounds_tests;
#[cfg(test)]
mod tests;
