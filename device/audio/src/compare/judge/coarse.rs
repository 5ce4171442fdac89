//! Where a sound that is heard through a filter or a codec parts from what is expected: samples tell nothing,
//! so only what lasts is told: frames that are lost or too many, and silence.

use super::Case;
use super::correlate::{Finder, slices};
use super::differences::{Differences, count_differences};
use super::levels::Planar;
use super::model::Model;
use super::sums::{energy, left_of};
use super::timing::around;
use super::walk::{EDITS_MAX, Edit, Walk};

/// Frames that are looked at at once.
const BLOCK: usize = 4096;
/// Frames of silence that are no pause, and below which no shift is told.
const SILENCE: i64 = 256;
/// A shift has to leave so much less than none.
const BETTER: f64 = 0.4;

/// Goes through both.
pub(super) fn walk(case: &Case<'_>, model: &Model, finder: &mut Finder) -> Walk {
    let begin = (model.offset.ceil() as i64).max(0);
    let mut walk = Coarse { case, model, finder, offset: model.offset, edits: Vec::new() };
    let mut channels = vec![Differences::default(); case.heard.channels()];
    let mut at = begin;
    let mut given_up = false;
    while at < walk.end() && !given_up {
        let count = (walk.end() - at).min(BLOCK as i64) as usize;
        let heard = case.heard.read(at, count);
        let expected = model.predict(case, walk.offset, at, count);
        if count == BLOCK && left(&expected, &heard) > 0.3 {
            walk.look_for_a_shift(at, &heard);
        }
        let expected = model.predict(case, walk.offset, at, count);
        count_differences(&mut channels, &expected, &heard, count, at);
        walk.look_for_silence(at, &expected, &heard);
        at += count as i64;
        given_up = walk.edits.len() >= EDITS_MAX;
    }
    let (first, last) = case.facts[1].sounding().map_or((0, 0), |(first, last)| (first as i64, last as i64));
    let heard_end = match () {
        () if given_up => at,
        () if walk.end() - last > SILENCE => last + 1,
        () => walk.end(),
    };
    let heard_begin = if first - begin > SILENCE { first } else { begin };
    walk.edits.retain(|edit| edit.heard.0 >= heard_begin && edit.heard.1 <= heard_end);
    Walk {
        channels,
        begin: (heard_begin, model.position(model.offset, heard_begin).round() as i64),
        end: (heard_end, model.position(walk.offset, heard_end).round() as i64),
        edits: walk.edits,
        given_up,
    }
}

/// What is left of the energy of the heard sound.
fn left(expected: &Planar, heard: &Planar) -> f64 {
    left_of(expected, heard, |_| true).unwrap_or(0.0)
}

struct Coarse<'a> {
    case: &'a Case<'a>,
    model: &'a Model,
    finder: &'a mut Finder,
    offset: f64,
    edits: Vec<Edit>,
}

impl Coarse<'_> {
    fn end(&self) -> i64 {
        let expected = self.offset + self.case.expected.frames() as f64 * self.model.ratio;
        (self.case.heard.frames() as i64).min(expected.ceil() as i64)
    }

    /// Whether this block, and the one behind it, are much more like the expected sound at another place.
    fn look_for_a_shift(&mut self, at: i64, heard: &Planar) {
        let (case, model) = (self.case, self.model);
        let reach = 2 * case.heard.format().rate as usize;
        let Some((before, count)) = around(case, at, self.offset, BLOCK, reach) else { return };
        let region = model.predict(case, self.offset, at - before, count);
        let Some(found) = self.finder.find_plain(&slices(heard), &slices(&region)) else { return };
        let offset = self.offset - (found.lag as i64 - before) as f64;
        let shift = (offset - self.offset).round() as i64;
        let next = case.heard.read(at + BLOCK as i64, BLOCK);
        let left_at = |offset: f64| {
            left(&model.predict(case, offset, at, BLOCK), heard)
                .max(left(&model.predict(case, offset, at + BLOCK as i64, BLOCK), &next))
        };
        if shift.abs() < SILENCE || next.iter().all(|levels| energy(levels) == 0.0) {
            return;
        }
        if left_at(offset) < BETTER * left(&model.predict(case, self.offset, at, BLOCK), heard) {
            let position = |offset: f64, at: i64| model.position(offset, at).round() as i64;
            let to = at + shift.max(0);
            self.edits.push(Edit {
                heard: (at, to),
                expected: (position(self.offset, at), position(offset, to)),
                offset: (self.offset, offset),
            });
            self.offset = offset;
        }
    }

    /// Silence in the place of sound.
    fn look_for_silence(&mut self, at: i64, expected: &Planar, heard: &Planar) {
        let tolerance = self.case.tolerance;
        let silent = |frame: usize| heard.iter().all(|levels| levels[frame].abs() <= tolerance);
        let frames = heard.first().map_or(0, Vec::len);
        let mut frame = 0;
        while frame < frames {
            let begin = frame;
            while frame < frames && silent(frame) {
                frame += 1;
            }
            if frame > begin {
                self.add_silence(at, begin, frame, expected);
            }
            frame += 1;
        }
    }

    fn add_silence(&mut self, at: i64, begin: usize, end: usize, expected: &Planar) {
        let loud = self.case.facts[0].rms() * 0.1;
        let quiet = expected.iter().all(|levels| {
            let part = &levels[begin..end];
            energy(part) <= loud * loud * part.len() as f64
        });
        let (begin, end) = (at + begin as i64, at + end as i64);
        let position = |at: i64| self.model.position(self.offset, at).round() as i64;
        let edit = Edit {
            heard: (begin, end),
            expected: (position(begin), position(end)),
            offset: (self.offset, self.offset),
        };
        match self.edits.last_mut() {
            Some(last) if last.shift() == 0 && last.heard.1 == begin => {
                (last.heard.1, last.expected.1) = (edit.heard.1, edit.expected.1);
            }
            _ if quiet || end - begin < SILENCE => {}
            _ => self.edits.push(edit),
        }
    }
}
