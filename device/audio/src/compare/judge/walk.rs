//! Goes through what was heard beside what is expected, and where they part, finds where they meet again.

use super::Case;
use super::coarse;
use super::correlate::{Finder, slices};
use super::differences::{Differences, count_differences};
use super::levels::Planar;
use super::model::Model;
use super::sums::energy;
use super::timing::{around, refine};

/// Frames that are looked at at once.
const BLOCK: usize = 8192;
/// So many frames in a row have to be right before it goes on ...
const RUN: usize = 64;
/// ... and in so many of them the sound moves by more than what may differ: else it could be any place.
const MOVES: usize = 8;
/// If the sound does not move, so many have to be right.
const RUN_STILL: usize = 4096;
/// Parts of a frame by which a drift is off at most.
const OFF: f64 = 1e-3;
/// Frames of what is sought.
const PROBE: usize = 1024;
/// A stretch of wrong frames up to this long is not looked for elsewhere.
pub(super) const SHORT: i64 = 48;
/// Stretches that are sought far away before it is given up.
const TRIES: u32 = 64;
/// Places that are kept; with more it is given up.
pub(super) const EDITS_MAX: usize = 20_000;

/// A place where the two part: heard frames `heard.0` to `heard.1` stand where the expected frames
/// `expected.0` to `expected.1` should.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Edit {
    pub(super) heard: (i64, i64),
    pub(super) expected: (i64, i64),
    /// The offsets before and behind it.
    pub(super) offset: (f64, f64),
}

impl Edit {
    /// By how many frames what follows comes later.
    pub(super) fn shift(&self) -> i64 {
        (self.offset.1 - self.offset.0).round() as i64
    }
}

/// What was found on the way.
pub(super) struct Walk {
    pub(super) edits: Vec<Edit>,
    pub(super) channels: Vec<Differences>,
    /// First heard frame that was looked at, and the expected frame there.
    pub(super) begin: (i64, i64),
    /// Where it ended.
    pub(super) end: (i64, i64),
    /// It ended there because too much was wrong, and not because the sound did.
    pub(super) given_up: bool,
}

/// Whether a heard level is what is expected.
pub(super) fn is_right(model: &Model, channel: usize, expected: f64, heard: f64) -> bool {
    let Some(model) = model.channels.get(channel) else { return true };
    if model.source.channel.is_none() {
        return true;
    }
    if (heard - expected).abs() <= model.threshold {
        return true;
    }
    // Above the limit it is lower, by as much as a limiter likes.
    model.limit.is_some_and(|limit| {
        let room = limit * 0.06 + model.threshold;
        expected.abs() > limit - room
            && heard.abs() <= expected.abs() + room
            && heard * expected > 0.0
            && heard.abs() > limit * 0.5
    })
}

/// Frames of a block in which every channel is right.
fn right_frames(model: &Model, expected: &Planar, heard: &Planar) -> Vec<bool> {
    let mut right = vec![true; heard.first().map_or(0, Vec::len)];
    for (channel, (expected, heard)) in expected.iter().zip(heard).enumerate() {
        for (frame, (right, (now, heard))) in right.iter_mut().zip(expected.iter().zip(heard)).enumerate() {
            *right &= is_right(model, channel, *now, *heard) || {
                let beside = |frame: usize| expected.get(frame).map_or(0.0, |level| (level - now).abs());
                // Where the drift is off by a little.
                let steep = beside(frame.wrapping_sub(1)).max(beside(frame + 1));
                !model.whole_frames && {
                    let off = (heard - now).abs();
                    off <= model.channels.get(channel).map_or(0.0, |channel| channel.threshold) + OFF * steep
                }
            };
        }
    }
    right
}

struct Walker<'a> {
    case: &'a Case<'a>,
    model: &'a Model,
    finder: &'a mut Finder,
    offset: f64,
    tries: u32,
}

/// Goes through both.
pub(super) fn walk(
    case: &Case<'_>,
    model: &Model,
    finder: &mut Finder,
    progress: &mut dyn FnMut(f64),
) -> Walk {
    if model.follows {
        return coarse::walk(case, model, finder);
    }
    let heard_last = case.facts[1].sounding().map_or(0, |(_, last)| last as i64);
    let offset = model.offset;
    let mut walker = Walker { case, model, finder, offset, tries: 0 };
    let begin = (offset.ceil() as i64).max(0);
    let mut found = Walk {
        edits: Vec::new(),
        channels: vec![Differences::default(); case.heard.channels()],
        begin: (begin, walker.expected_at(begin)),
        end: (begin, walker.expected_at(begin)),
        given_up: false,
    };
    let mut at = begin;
    let frames = case.heard.frames() as i64;
    while at < walker.end() {
        let count = (walker.end() - at).min(BLOCK as i64) as usize;
        let expected = model.predict(case, walker.offset, at, count);
        let heard = case.heard.read(at, count);
        let right = right_frames(model, &expected, &heard);
        let wrong = right.iter().position(|right| !right);
        let upto = wrong.unwrap_or(count);
        if wrong.is_none()
            && walker.has_moved(&expected, &heard)
            && let Some((to, offset)) = walker.moved_to(at, at + count as i64)
        {
            found.edits.push(walker.edit(at, to, offset));
            walker.offset = offset;
            at = to;
            continue;
        }
        count_differences(&mut found.channels, &expected, &heard, upto, at);
        at += upto as i64;
        if wrong.is_some() {
            if at > heard_last {
                break;
            }
            if found.edits.len() >= EDITS_MAX {
                found.given_up = true;
                break;
            }
            let Some((to, offset)) = walker.meet_again(at) else {
                found.given_up = walker.tries >= TRIES;
                let to = walker.end();
                found.edits.push(walker.edit(at, to, walker.offset));
                at = to;
                break;
            };
            found.edits.push(walker.edit(at, to, offset));
            walker.offset = offset;
            at = to;
            if let Some((clicks, from)) = clicks_in_a_row(&found.edits)
                && let Some((to, offset)) = walker.explained(from, at)
            {
                found.edits.truncate(found.edits.len() - clicks);
                found.edits.push(walker.edit(from, to, offset));
                walker.offset = offset;
                at = to;
            }
        }
        progress(at as f64 / frames.max(1) as f64);
    }
    found.end = (at, walker.expected_at(at));
    found
}

/// How many of the last edits are clicks close to one another, now and then, and where they begin.
fn clicks_in_a_row(edits: &[Edit]) -> Option<(usize, i64)> {
    let is_click = |edit: &Edit| edit.shift() == 0 && edit.heard.1 - edit.heard.0 <= SHORT;
    let (mut count, mut next) = (0, None);
    for edit in edits.iter().rev().take_while(|edit| is_click(edit)) {
        if next.is_some_and(|next| next - edit.heard.1 > 2 * PROBE as i64) {
            break;
        }
        (count, next) = (count + 1, Some(edit.heard.0));
    }
    [3, 12, 48].contains(&count).then_some(count).zip(next)
}

impl Walker<'_> {
    /// Where all that is wrong since `from` is nothing but a shift.
    fn explained(&mut self, from: i64, at: i64) -> Option<(i64, f64)> {
        let (to, offset) = self.shifted(from, 0, 1024, 4096)?;
        let count = (2 * (at - from)).max(RUN_STILL as i64).min(self.case.heard.frames() as i64 - to);
        let expected = self.model.predict(self.case, offset, to, count as usize);
        let heard = self.case.heard.read(to, count as usize);
        (to < at && right_frames(self.model, &expected, &heard).iter().all(|right| *right))
            .then_some((to, offset))
    }

    fn expected_at(&self, heard: i64) -> i64 {
        self.model.position(self.offset, heard).round() as i64
    }

    /// The heard frame behind the last one that has an expected one.
    fn end(&self) -> i64 {
        let expected = self.offset + self.case.expected.frames() as f64 * self.model.ratio;
        (self.case.heard.frames() as i64).min(expected.ceil() as i64)
    }

    fn edit(&self, from: i64, to: i64, offset: f64) -> Edit {
        let after = self.model.position(offset, to).round() as i64;
        Edit { heard: (from, to), expected: (self.expected_at(from), after), offset: (self.offset, offset) }
    }

    /// Where something is always wrong a little, a loss of few frames of a low sound does not stand out: it
    /// shows in all frames together.
    fn has_moved(&self, expected: &Planar, heard: &Planar) -> bool {
        let (mut product, mut slopes, mut left, mut count) = (0.0, 0.0, 0.0, 0.0);
        for (channel, (expected, heard)) in expected.iter().zip(heard).enumerate() {
            let model = self.model.channels.get(channel);
            if model.is_none_or(|model| model.source.channel.is_none() || model.limit.is_some()) {
                continue;
            }
            for (three, heard) in expected.windows(3).zip(heard.iter().skip(1)) {
                let (slope, difference) = ((three[2] - three[0]) / 2.0, heard - three[1]);
                product += difference * slope;
                slopes += slope * slope;
                left += difference * difference;
                count += 1.0;
            }
        }
        let moved = product.abs() / slopes.max(1e-30);
        let error = (left / f64::max(count, 1.0) / slopes.max(1e-30)).sqrt();
        left > 0.0 && moved > 0.5 && moved > 6.0 * error
    }

    /// Where in a stretch without a wrong frame another offset fits better, and from where on.
    fn moved_to(&mut self, from: i64, to: i64) -> Option<(i64, f64)> {
        let probe = (to - from).min(2 * PROBE as i64);
        let (offset, _) = self.seek(to - probe, probe as usize, 256)?;
        if (offset - self.offset).abs() < 0.5 {
            return None;
        }
        // Least is left of both if the one ends and the other begins here.
        let count = (to - from) as usize;
        let heard = self.case.heard.read(from, count);
        let left = |offset: f64| {
            let expected = self.model.predict(self.case, offset, from, count);
            let mut left = vec![0.0; count];
            for (expected, heard) in expected.iter().zip(&heard) {
                for ((left, expected), heard) in left.iter_mut().zip(expected).zip(heard) {
                    *left += (heard - expected).powi(2);
                }
            }
            left
        };
        let (before, after) = (left(self.offset), left(offset));
        let (mut sum, mut best) = (0.0, (0.0, 0));
        for (frame, (before, after)) in before.iter().zip(&after).enumerate() {
            sum += before - after;
            if sum < best.0 {
                best = (sum, frame as i64 + 1);
            }
        }
        Some((from + best.1, offset))
    }

    /// From where on, and with which offset, it goes on behind a wrong frame.
    fn meet_again(&mut self, from: i64) -> Option<(i64, f64)> {
        let second = i64::from(self.case.heard.format().rate);
        let mut begin = 0;
        for end in [1024, 8192, 32_768, second + 32_768, 2 * second + 65_536, 2 * second + 131_072] {
            if end <= begin {
                continue;
            }
            let same = self.run(self.offset, from + begin, from + end);
            if same.is_some_and(|to| to - from <= SHORT) {
                return same.map(|to| (to, self.offset));
            }
            let shifted = self.shifted(from, begin, end, 2 * second + end);
            match (same, shifted) {
                (Some(to), Some(shifted)) if shifted.0 < to => return Some(shifted),
                (Some(to), _) => return Some((to, self.offset)),
                (None, Some(shifted)) => return Some(shifted),
                (None, None) => {}
            }
            begin = end;
        }
        // What is wrong for so long: anything that is like the sound.
        while from + begin < self.end() && self.tries < TRIES {
            self.tries += 1;
            if let Some(to) = self.run(self.offset, from + begin, from + begin + second) {
                return Some((to, self.offset));
            }
            if let Some(found) = self.shifted(from + begin, 0, second, 4 * second) {
                return Some(found);
            }
            begin += second;
        }
        None
    }

    /// The first frame that is no silence, if there is silence before it.
    fn sounds_from(&self, from: i64, to: i64) -> Option<i64> {
        let mut at = from;
        while at < to.min(self.case.heard.frames() as i64) {
            let block = self.case.heard.read(at, PROBE);
            let loud = |levels: &Vec<f64>| levels.iter().position(|level| level.abs() > self.case.tolerance);
            if let Some(first) = block.iter().filter_map(loud).min() {
                return (at + first as i64 > from).then_some(at + first as i64);
            }
            at += PROBE as i64;
        }
        None
    }

    /// Where it is loudest between these frames, but for the first ones.
    fn loudest(&self, from: i64, to: i64) -> Option<i64> {
        let end = to.min(self.case.heard.frames() as i64 - PROBE as i64);
        let places = (from + PROBE as i64..end).step_by(PROBE);
        let loud = |at: i64| self.case.heard.read(at, PROBE).iter().map(|levels| energy(levels)).sum::<f64>();
        places.map(|at| (at, loud(at))).max_by(|one, other| one.1.total_cmp(&other.1)).map(|(at, _)| at)
    }

    /// Another offset at which what is heard goes on, in this stretch.
    fn shifted(&mut self, from: i64, begin: i64, end: i64, far: i64) -> Option<(i64, f64)> {
        let near = 2048;
        let most = self.case.heard.frames() as i64 - PROBE as i64 - from;
        let (begin, middle) = (begin.min(most).max(0), i64::midpoint(begin, end).min(most).max(0));
        // Behind silence, right where the sound goes on.
        let sounds = self.sounds_from(from + begin, from + end).map(|at| at - from);
        // There may be a pause.
        let loudest = self.loudest(from + middle, from + end).map(|at| (at - from).min(most));
        let close = [Some((begin, true)), Some((begin + SHORT, true))];
        let further = [sounds, Some(middle), loudest].map(|place| Some((place?, false)));
        for (place, is_close) in close.into_iter().chain(further).flatten() {
            let at = from + place;
            for reach in [near, far] {
                let Some((offset, clear)) = self.seek(at, PROBE, reach) else { continue };
                if (offset - self.offset).abs() < 0.5 {
                    break;
                }
                // Frames are lost or too many; parts of them only if it was resampled behind that.
                if let Some(to) = self.run(offset, from, at + PROBE as i64) {
                    return Some((to, offset));
                }
                let refined = self.refined(at, PROBE, offset);
                if refined.to_bits() != offset.to_bits()
                    && let Some(to) = self.run(refined, from, at + PROBE as i64)
                {
                    return Some((to, refined));
                }
                // Right behind what is wrong. Further away it may be as like the sound of a period before.
                if clear && reach == near && is_close {
                    break;
                }
            }
        }
        None
    }

    /// The offset, so many frames from this one, at which what is heard at `at` is like the expected sound, and
    /// whether that stands out.
    fn seek(&mut self, at: i64, probe: usize, reach: i64) -> Option<(f64, bool)> {
        let heard = self.case.heard.read(at, probe);
        if heard.iter().flatten().all(|level| level.abs() <= self.case.tolerance) {
            return None;
        }
        let (before, count) = around(self.case, at, self.offset, probe, reach as usize)?;
        let region = self.model.predict(self.case, self.offset, at - before, count);
        let found = self.finder.find_near(&slices(&heard), &slices(&region), before as usize)?;
        (found.score >= 0.3).then(|| (self.offset - (found.lag as i64 - before) as f64, found.score > 0.9))
    }

    fn refined(&self, at: i64, probe: usize, offset: f64) -> f64 {
        if self.model.whole_frames {
            return offset;
        }
        let heard = self.case.heard.read(at, probe);
        let there = |offset: f64| self.model.predict_with_slope(self.case, offset, at, probe);
        refine(&there, &heard, offset, 3).0
    }

    /// The first frame from which on enough frames are right with this offset.
    fn run(&self, offset: f64, from: i64, to: i64) -> Option<i64> {
        let frames = self.case.heard.frames() as i64;
        // What is silent in front of the expected sound goes with any silence.
        let begins = self.case.facts[0].sounding().map_or(0.0, |(first, _)| first as f64);
        let begins = (offset + begins * self.model.ratio).floor() as i64;
        let from = if offset.to_bits() == self.offset.to_bits() { from } else { from.max(begins) };
        let (mut begin, mut moves, mut at) = (None, 0, from);
        let mut last: Vec<f64> = Vec::new();
        while at < frames && (at < to || begin.is_some()) {
            let count = (frames - at).min(1024) as usize;
            let expected = self.model.predict(self.case, offset, at, count);
            let heard = self.case.heard.read(at, count);
            let right = right_frames(self.model, &expected, &heard);
            for (frame, right) in right.into_iter().enumerate() {
                let now: Vec<f64> =
                    expected.iter().map(|levels| levels.get(frame).copied().unwrap_or(0.0)).collect();
                let place = at + frame as i64;
                if right {
                    let begin = *begin.get_or_insert(place);
                    moves += usize::from(self.moves(&last, &now));
                    let run = (place + 1 - begin) as usize;
                    if run >= RUN && moves >= MOVES || run >= RUN_STILL {
                        return Some(begin);
                    }
                } else {
                    (begin, moves) = (None, 0);
                    if place >= to {
                        return None;
                    }
                }
                last = now;
            }
            at += count as i64;
        }
        // The end of the file is as good as a long run, if it is no silence.
        begin.filter(|begin| frames - begin >= RUN as i64 / 4 && moves >= MOVES)
    }

    /// Whether the sound goes far enough from one frame to the next that another place would be wrong.
    fn moves(&self, last: &[f64], now: &[f64]) -> bool {
        let channels = self.model.channels.iter().zip(last.iter().zip(now));
        channels.into_iter().any(|(channel, (last, now))| {
            channel.source.channel.is_some() && (now - last).abs() > 2.0 * channel.threshold
        })
    }
}
