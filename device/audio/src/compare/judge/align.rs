//! Where the expected sound begins in the heard one, and which channel carries which.

use super::Case;
use super::correlate::{Finder, Found, alike_there, slices};
use super::levels::Planar;
use super::resample::at_positions;
use super::sums::{Moments, energy};
use super::timing::best_near;

/// Frames of the stretch that is looked for.
const PROBE: usize = 4096;
/// Frames that are searched at once.
const REGION: usize = 1 << 17;
/// Channels are alike enough to be told apart no more.
const ALIKE: f64 = 0.05;
/// A channel carries another one when they are so alike.
const CARRIES: f64 = 0.5;

/// What is so alike is not sought any further.
const SURE: f64 = 0.98;
/// If no more is left than this where no channel is inverted, it lies there.
const PLAIN: f64 = 0.02;
/// What is so alike lies nowhere else.
const EXACT: f64 = 0.9999;
/// A channel does not carry what it is less alike.
const NOTHING: f64 = 0.1;

/// The beginning of all that follows.
pub(super) struct Aligned {
    /// Where the first expected frame lies in the heard sound.
    pub(super) offset: f64,
    /// What each heard channel carries.
    pub(super) sources: Vec<Source>,
    /// A heard frame where that is sure.
    pub(super) heard_at: i64,
    /// Where it would lie if both began together, or ended.
    pub(super) guesses: [i64; 2],
}

/// What a heard channel carries.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Source {
    /// The expected channel.
    pub(super) channel: Option<usize>,
    /// 1, or -1 if it is inverted.
    pub(super) sign: f64,
}

/// The expected sound in frames of the heard one, from frame `start` on if its first frame is frame 0.
pub(super) fn expected(case: &Case<'_>, start: f64, count: usize) -> Planar {
    at_positions(&case.expected, start / case.ratio(), 1.0 / case.ratio(), count)
}

/// Finds the expected sound; `None`: nowhere.
pub(super) fn align(case: &Case<'_>, finder: &mut Finder) -> Option<Aligned> {
    let (first, last) = case.facts[0].sounding()?;
    let (heard_first, heard_last) = moving(case)?;
    let ratio = case.ratio();
    let length = ((last + 1 - first) as f64 * ratio) as i64;
    let begin = (first as f64 * ratio) as i64;
    // The first frames of both, or their last ones.
    let guess = heard_first as i64 - begin;
    let guesses = [guess, heard_last as i64 - (last as f64 * ratio) as i64];
    let probe = PROBE.min((length / 2).max(64) as usize);
    let loud_enough = case.facts[0].rms() * 0.05;
    let places = [0, PROBE as i64, 4 * PROBE as i64, length / 8, length / 4, length / 2, length * 3 / 4];
    let mut best = None::<(i64, i64, f64)>;
    let mut tried = Vec::<i64>::new();
    for place in places.into_iter().filter(|place| place + probe as i64 <= length) {
        if tried.iter().any(|other| (other - place).abs() < probe as i64 / 2) {
            continue;
        }
        tried.push(place);
        let at = begin + place;
        let sought = expected(case, at as f64, probe);
        if sought.iter().all(|levels| rms(levels) < loud_enough) {
            continue;
        }
        let right = guesses.iter().map(|guess| (at + guess, guessed(case, &sought, at + guess)));
        let right = right.reduce(|best, other| if other.1 > best.1 { other } else { best });
        let right = right.filter(|(_, score)| *score > SURE);
        let Some((found, score)) = right.or_else(|| search(case, finder, &sought, at + guess)) else {
            continue;
        };
        if best.is_none_or(|(.., before)| score > before) {
            best = Some((at, found, score));
        }
        if score > SURE {
            break;
        }
    }
    let (mut at, mut found, score) = best?;
    if score < EXACT {
        // Where a drift, or a part of a frame, makes it less like itself, something else may be more like it.
        let left = |at: i64, found: i64| {
            let sources = sources(case, at, found, probe);
            let upright = sources.iter().all(|source| source.channel.is_some() && source.sign > 0.0);
            let (offset, left) = best_near(case, &sources, found, (found - at) as f64);
            (left, upright, at, at + offset.round() as i64)
        };
        let end = begin + (length - probe as i64).max(0);
        let [one, other] = [left(begin, begin + guesses[0]), left(end, end + guesses[1])];
        let now = left(at, found);
        // Where it drifts, other stretches lie elsewhere; and a sweep is like itself with the other sign, and
        // where it is high, a period away.
        let plain = |other: &(f64, bool, i64, i64)| other.1 && other.0 < PLAIN;
        let best =
            [now, one, other].into_iter().reduce(|best, next| if next.0 < best.0 { next } else { best });
        let chosen = [one, now, other].into_iter().find(plain).or(best)?;
        (at, found) = (chosen.2, chosen.3);
    }
    let (offset, sources) = ((found - at) as f64, sources(case, at, found, probe));
    Some(Aligned { offset, sources, heard_at: found, guesses })
}

/// First and last heard frame that is no silence: where there is a constant in it, those within what stands
/// still.
fn moving(case: &Case<'_>) -> Option<(u64, u64)> {
    let (first, last) = case.facts[1].sounding()?;
    let frames = case.heard.frames();
    let begin = if first == 0 { standing(case, false) } else { 0 };
    let end = if last + 1 == frames { standing(case, true) } else { 0 };
    // Of nothing but constants all is a sound.
    let moves = begin.saturating_add(end) < frames;
    Some(if moves { (first.max(begin), last.min(frames - 1 - end)) } else { (first, last) })
}

/// For how many frames the heard sound stays as it is in its first frame, or in its last one; 0 if no longer
/// than a sound stands still by chance.
fn standing(case: &Case<'_>, at_end: bool) -> u64 {
    const CHANCE: u64 = 16;
    const BLOCK: u64 = 8192;
    let frames = case.heard.frames();
    let still = case.heard.read(if at_end { frames as i64 - 1 } else { 0 }, 1);
    let differs = |levels: &Planar, at: usize| {
        let far = |(levels, still): (&Vec<f64>, &Vec<f64>)| (levels[at] - still[0]).abs() > case.tolerance;
        levels.iter().zip(&still).any(far)
    };
    let mut stands = 0;
    while stands < frames {
        let count = (frames - stands).min(BLOCK);
        let start = if at_end { frames - stands - count } else { stands };
        let levels = case.heard.read(start as i64, count as usize);
        let count = count as usize;
        let order = |nth: usize| if at_end { count - 1 - nth } else { nth };
        match (0..count).find(|nth| differs(&levels, order(*nth))) {
            Some(nth) => {
                stands += nth as u64;
                break;
            }
            None => stands += count as u64,
        }
    }
    if stands > CHANCE { stands } else { 0 }
}

fn rms(levels: &[f64]) -> f64 {
    (energy(levels) / levels.len().max(1) as f64).sqrt()
}

/// How like what is sought it is at this heard frame.
fn guessed(case: &Case<'_>, sought: &Planar, at: i64) -> f64 {
    let heard = case.heard.read(at, sought.first().map_or(0, Vec::len));
    if sought.len() == heard.len() { alike_there(sought, &heard) } else { 0.0 }
}

/// The heard frame at which `sought` lies, and how like it is: near the guess first, then anywhere.
fn search(case: &Case<'_>, finder: &mut Finder, sought: &Planar, guess: i64) -> Option<(i64, f64)> {
    let frames = case.heard.frames() as i64;
    let near = (guess - REGION as i64 / 2).clamp(0, (frames - REGION as i64).max(0));
    let mut begins = vec![near];
    let probe = sought.first().map_or(0, Vec::len);
    if frames > REGION as i64 {
        begins.extend((0..frames).step_by(REGION - probe));
    }
    let mut best = None::<(i64, f64)>;
    for begin in begins {
        let count = (frames - begin).clamp(0, REGION as i64) as usize;
        let region = case.heard.read(begin, count);
        if region.iter().flatten().all(|level| *level == 0.0) {
            continue;
        }
        let near = usize::try_from(guess - begin).unwrap_or(0);
        let Some(found) = search_region(finder, sought, &region, near) else { continue };
        if best.is_none_or(|(_, score)| found.score.abs() > score) {
            best = Some((begin + found.lag as i64, found.score.abs()));
        }
        if found.score.abs() > SURE {
            break;
        }
    }
    best
}

/// All channels together first; then each with each, if one of them has the other sign or another place; then
/// without what is high, where noise is. Of places that are as good, the one nearest to frame `near`.
fn search_region(finder: &mut Finder, sought: &Planar, region: &Planar, near: usize) -> Option<Found> {
    let probe = sought.first().map_or(0, Vec::len);
    let same_channels = sought.len() == region.len();
    let together = same_channels.then(|| finder.find_near(&slices(sought), &slices(region), near)).flatten();
    if together.is_some_and(|found| found.score > 0.97) {
        return together;
    }
    let mut best = |sharp: bool| {
        let pairs = sought.iter().flat_map(|sought| region.iter().map(move |region| (sought, region)));
        let mut find = |sought: &[f64], region: &[f64]| {
            if sharp {
                finder.find_near(&[sought], &[region], near)
            } else {
                finder.find_plain(&[sought], &[region])
            }
        };
        let found = pairs.filter_map(|(sought, region)| find(sought, region));
        found.reduce(|best, other| if other.score.abs() > best.score.abs() { other } else { best })
    };
    // Of one channel alone that would be the same again.
    let single = same_channels && sought.len() == 1;
    let alone = if single { together } else { best(true) };
    let sharp = match (together, alone) {
        (Some(together), Some(alone)) if beats(alone, together) => Some(alone),
        (together, alone) => together.or(alone),
    };
    let sharp = sharp.filter(|found| found.is_clear(probe) || found.score.abs() > 0.9);
    if sharp.is_some() {
        return sharp;
    }
    let plain = best(false);
    plain.filter(|found| found.score.abs() > 0.8)
}

/// Whether one channel alone says more than all together: one of them may have the other sign.
fn beats(alone: Found, together: Found) -> bool {
    let more = alone.score.abs() - together.score;
    more > 0.25 || more > 0.05 && alone.score.abs() > 0.95
}

fn sources(case: &Case<'_>, at: i64, found: i64, probe: usize) -> Vec<Source> {
    let one = expected(case, at as f64, probe);
    let other = case.heard.read(found, probe);
    let mut products = Products::new(case);
    products.add(&one, &other);
    products.sources(case)
}

/// How alike each expected channel is to each heard one, without what is constant.
pub(super) struct Products {
    sums: Vec<Vec<f64>>,
    expected: Vec<f64>,
    heard: Vec<f64>,
}

impl Products {
    pub(super) fn new(case: &Case<'_>) -> Self {
        let (expected, heard) = (case.expected.channels(), case.heard.channels());
        Self {
            sums: vec![vec![0.0; expected]; heard],
            expected: vec![0.0; expected],
            heard: vec![0.0; heard],
        }
    }

    /// Two stretches that lie upon each other.
    pub(super) fn add(&mut self, expected: &Planar, heard: &Planar) {
        for (into, levels) in self.expected.iter_mut().zip(expected) {
            *into += Moments::of(levels, levels).xx;
        }
        for ((sums, energies), heard) in self.sums.iter_mut().zip(&mut self.heard).zip(heard) {
            *energies += Moments::of(heard, heard).xx;
            for (sum, expected) in sums.iter_mut().zip(expected) {
                *sum += Moments::of(expected, heard).xy;
            }
        }
    }

    pub(super) fn sources(&self, case: &Case<'_>) -> Vec<Source> {
        let of = |(channel, (sums, heard)): (usize, (&Vec<f64>, &f64))| {
            let own = (channel < self.expected.len()).then_some(channel);
            if case.facts[1].channels.get(channel).is_some_and(|facts| !facts.sounds) {
                let expected = own.and_then(|own| case.facts[0].channels.get(own));
                let silent = expected.is_some_and(|expected| !expected.sounds);
                return Source { channel: own.filter(|_| silent), sign: 1.0 };
            }
            let score = |other: usize| match (sums.get(other), self.expected.get(other)) {
                (Some(sum), Some(energy)) if *energy > 0.0 && *heard > 0.0 => sum / (energy * heard).sqrt(),
                _ => 0.0,
            };
            let best = (0..self.expected.len()).map(|other| (other, score(other)));
            let best = best.reduce(|best, next| if next.1.abs() > best.1.abs() { next } else { best });
            let (best, best_score) = best.unwrap_or((channel, 0.0));
            let own_score = own.map_or(0.0, score);
            let stays =
                own.is_some() && (own_score.abs() >= best_score.abs() - ALIKE || best_score.abs() < CARRIES);
            let (chosen, score) = if stays { (channel, own_score) } else { (best, best_score) };
            let known = score.abs() >= if stays { NOTHING } else { CARRIES };
            Source { channel: known.then_some(chosen), sign: if score < 0.0 { -1.0 } else { 1.0 } }
        };
        self.sums.iter().zip(&self.heard).enumerate().map(of).collect()
    }
}

/// Whether the expected sound repeats itself over its whole length.
pub(super) fn is_periodic(case: &Case<'_>, finder: &mut Finder) -> bool {
    const SAME: f64 = 0.999;
    let Some((first, last)) = case.facts[0].sounding() else { return false };
    let length = (last + 1 - first) as usize;
    let probe = PROBE.min(length / 4).max(64);
    let reach = (case.expected.format().rate as usize).min(length.saturating_sub(probe) / 2);
    if reach < 64 {
        return false;
    }
    let begin = case.expected.read(first as i64, probe);
    // Not beside itself.
    let skip = 2_usize;
    let region = case.expected.read(first as i64 + skip as i64, probe + reach);
    let Some(found) =
        finder.find_near(&slices(&begin), &slices(&region), 0).filter(|found| found.score > SAME)
    else {
        return false;
    };
    let lag = (found.lag + skip) as i64;
    (1..8).all(|eighth| {
        let at = first as i64 + (length as i64 - lag - probe as i64).max(0) * eighth / 8;
        let (one, other) = (case.expected.read(at, probe), case.expected.read(at + lag, probe));
        one.iter().zip(&other).all(|(one, other)| rms(one) == 0.0 || Moments::of(one, other).alike() > SAME)
    })
}
