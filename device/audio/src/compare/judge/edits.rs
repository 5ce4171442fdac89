//! What is wrong at a place, by its name.

use super::Case;
use super::correlate::{Finder, slices};
use super::model::Model;
use super::timing::around;
use super::verdict::{By, Finding, Judgement, Place};
use super::walk::{Edit, SHORT, Walk, is_right};

/// A shift with fewer other frames is only that.
const FEW: i64 = 64;

/// Whether nothing is wrong but where the sound begins and ends.
pub(super) fn only_at_the_edges(findings: &[Finding]) -> bool {
    use Finding::{ChannelInverted, EndMissing, ExtraAfter, ExtraBefore, StartMissing, Unrelated};
    findings.iter().all(|finding| {
        matches!(
            finding,
            StartMissing { .. }
                | EndMissing { .. }
                | ExtraBefore(_)
                | ExtraAfter(_)
                | ChannelInverted { .. }
                | Unrelated
        )
    })
}

/// Tells all that was found on the way.
pub(super) fn report(case: &Case<'_>, model: &Model, walked: &Walk, judgement: &mut Judgement) {
    let (Some((e_first, e_last)), Some((h_first, h_last))) =
        (case.facts[0].sounding(), case.facts[1].sounding())
    else {
        return;
    };
    let (e_first, e_last) = (e_first as i64, e_last as i64);
    let outside = Outside { case, model };
    let before = outside.loud(h_first as i64, walked.begin.0);
    let before = before.filter(|(first, last)| last - first >= model.slack);
    if let Some((first, last)) = before {
        let place = place(judgement, first, 0, last + 1 - first);
        judgement.add(Finding::ExtraBefore(place));
    }
    let mut missing_start = (walked.begin.1 - e_first).max(0);
    let mut edits = walked.edits.as_slice();
    if let Some((first, rest)) = edits.split_first()
        && before.is_none()
        && first.shift() == 0
        && outside.loud(0, first.heard.1).is_none()
    {
        missing_start = first.expected.1 - e_first;
        edits = rest;
    }
    // Frames that are missing, and heard again at once: the offset was that of a filter's delay, or of noise.
    if let Some((first, rest)) = edits.split_first()
        && before.is_none()
        && (first.heard.0, first.shift()) == (walked.begin.0, missing_start)
        && missing_start > 0
    {
        (missing_start, edits) = (0, rest);
        judgement.offset_frames = judgement.offset_frames.map(|offset| offset + first.shift() as f64);
    }
    if missing_start > model.slack {
        judgement.add(Finding::StartMissing { frames: missing_start as u64 });
    }
    // A filter rings where the sound begins and ends.
    let (begin, end) = (walked.begin.0 + model.slack, walked.end.0 - model.slack);
    let rings = |edit: &Edit| {
        let (first, last) = edit.heard;
        edit.shift() == 0
            && (edit.expected.1 < e_first + model.slack && outside.loud(first, last - model.slack).is_none()
                || edit.expected.0 > e_last - model.slack
                    && outside.loud(first + model.slack, last).is_none())
    };
    while let Some((_, rest)) = edits.split_first().filter(|(first, _)| first.heard.1 < begin || rings(first))
    {
        edits = rest;
    }
    while let Some((_, rest)) = edits.split_last().filter(|(last, _)| last.heard.0 > end || rings(last)) {
        edits = rest;
    }
    while let Some((first, rest)) = edits.split_first() {
        if let Some(merged) = repeated_in_place(edits) {
            let last = edits.get(merged - 1).unwrap_or(first);
            let place = place(judgement, first.heard.0, first.expected.0, last.heard.1 - first.heard.0);
            add_in_place(case, judgement, place, By::Repeat, (0, 0.0));
            edits = edits.get(merged..).unwrap_or_default();
            continue;
        }
        describe(case, model, first, judgement);
        edits = rest;
    }
    if walked.given_up {
        judgement.given_up = Some(walked.end.0.max(0) as u64);
        return;
    }
    let missing = e_last + 1 - walked.end.1.max(e_first);
    if missing > model.slack {
        judgement.add(Finding::EndMissing { frames: missing as u64 });
    }
    let after = outside.loud(walked.end.0, h_last as i64 + 1);
    if let Some((first, last)) = after.filter(|(first, last)| last - first >= model.slack) {
        let place = place(judgement, first, walked.end.1, last + 1 - first);
        judgement.add(Finding::ExtraAfter(place));
    }
}

fn place(judgement: &Judgement, at: i64, expected_at: i64, frames: i64) -> Place {
    judgement.place(at.max(0) as u64, expected_at.max(0) as u64, frames.max(0) as u64)
}

/// What is heard where nothing is expected.
struct Outside<'a> {
    case: &'a Case<'a>,
    model: &'a Model,
}

impl Outside<'_> {
    /// First and last frame between these that is no silence.
    fn loud(&self, from: i64, to: i64) -> Option<(i64, i64)> {
        const BLOCK: i64 = 8192;
        let (mut at, mut found) = (from, None::<(i64, i64)>);
        while at < to {
            let count = (to - at).min(BLOCK);
            let block = self.case.heard.read(at, count as usize);
            for (channel, model) in block.iter().zip(&self.model.channels) {
                // The constant may be added to silence, too, or not.
                let (silence, constant) = (model.threshold, model.constant);
                let loud = |level: &f64| level.abs() > silence && (level - constant).abs() > silence;
                if let (Some(first), Some(last)) =
                    (channel.iter().position(loud), channel.iter().rposition(loud))
                {
                    let (first, last) = (at + first as i64, at + last as i64);
                    found =
                        Some(found.map_or((first, last), |(begin, end)| (begin.min(first), end.max(last))));
                }
            }
            at += count;
        }
        found
    }
}

/// How many of these edits together are sound of before in place of what is expected, after which all goes on
/// in its place: a buffer that was played again.
fn repeated_in_place(edits: &[Edit]) -> Option<usize> {
    let mut late = 0;
    for (number, edit) in edits.iter().enumerate() {
        if let Some(before) = number.checked_sub(1).and_then(|before| edits.get(before))
            && edit.heard.0 - before.heard.1 > late
        {
            return None;
        }
        late += edit.shift();
        if late == 0 && number > 0 {
            return Some(number + 1);
        }
        if late <= 0 {
            return None;
        }
    }
    None
}

/// Something else is heard for these frames, and what follows is in its place.
fn add_in_place(
    case: &Case<'_>,
    judgement: &mut Judgement,
    place: Place,
    by: By,
    (channel, worst): (u32, f64),
) {
    let short = i64::from(case.heard.format().rate / 1000).max(SHORT);
    if place.frames as i64 <= short {
        judgement.add(Finding::Click { place, channel, worst_lsb: worst / case.lsb });
    } else {
        judgement.add(Finding::Replaced { place, by });
    }
}

fn describe(case: &Case<'_>, model: &Model, edit: &Edit, judgement: &mut Judgement) {
    let (at, expected_at) = (edit.heard.0, edit.expected.0);
    let (heard, expected) = (edit.heard.1 - edit.heard.0, edit.expected.1 - edit.expected.0);
    let shift = edit.shift();
    let silent = heard > 0 && is_silent(case, model, at, heard);
    let found = |judgement: &Judgement, frames: i64| place(judgement, at, expected_at, frames);
    if shift == 0 {
        let by = match () {
            () if silent => By::Silence,
            () if is_repeat(case, model, edit) => By::Repeat,
            () => By::Other,
        };
        let whole = found(judgement, heard);
        add_in_place(case, judgement, whole, by, worst(case, model, edit));
    } else if heard.min(expected) >= FEW {
        // Something was lost, and something else stands there.
        let lost = found(judgement, expected);
        judgement.add(Finding::Lost(lost));
        let place = found(judgement, heard);
        judgement.add(Finding::Inserted { place, silent });
    } else if shift < 0 {
        let place = found(judgement, -shift);
        judgement.add(Finding::Lost(place));
    } else if -expected > heard {
        // The other offset is right for more of these frames than not.
        let place = found(judgement, shift);
        judgement.add(Finding::Repeated(place));
    } else {
        let place = found(judgement, shift);
        judgement.add(Finding::Inserted { place, silent });
    }
}

fn is_silent(case: &Case<'_>, model: &Model, at: i64, frames: i64) -> bool {
    Outside { case, model }.loud(at, at + frames).is_none()
}

/// Whether what is heard was expected up to two seconds before, all of it or a piece that is heard again and
/// again.
fn is_repeat(case: &Case<'_>, model: &Model, edit: &Edit) -> bool {
    let mut finder = Finder::for_any_level();
    let frames = edit.heard.1 - edit.heard.0;
    if frames < 32 {
        return false;
    }
    let reach = 2 * i64::from(case.heard.format().rate);
    [2048, 448, 160].into_iter().any(|most| {
        let probe = frames.min(most);
        // Not right at the end: what is there may be the piece from its beginning.
        let mut places = [0, (frames - probe) / 3].into_iter();
        places.any(|place| {
            let at = edit.heard.0 + place;
            let heard = case.heard.read(at, probe as usize);
            let Some((before, count)) = around(case, at, edit.offset.0, probe as usize, reach as usize)
            else {
                return false;
            };
            let count = count.min((before + probe) as usize);
            let region = model.predict(case, edit.offset.0, at - before, count);
            let least = if probe >= 448 { 0.9 } else { 0.98 };
            finder.find(&slices(&heard), &slices(&region)).is_some_and(|found| found.score > least)
        })
    })
}

/// The channel of the worst sample, and by how much it is wrong.
fn worst(case: &Case<'_>, model: &Model, edit: &Edit) -> (u32, f64) {
    let count = (edit.heard.1 - edit.heard.0).clamp(0, 1 << 16) as usize;
    let expected = model.predict(case, edit.offset.0, edit.heard.0, count);
    let heard = case.heard.read(edit.heard.0, count);
    let mut worst = (0, 0.0);
    for (channel, (expected, heard)) in expected.iter().zip(&heard).enumerate() {
        for (expected, heard) in expected.iter().zip(heard) {
            let difference = (heard - expected).abs();
            if !is_right(model, channel, *expected, *heard) && difference > worst.1 {
                worst = (channel as u32, difference);
            }
        }
    }
    worst
}
