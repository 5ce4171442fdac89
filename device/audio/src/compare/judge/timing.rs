//! When each expected frame is heard: stretches over the whole sound, each aligned for itself, and the line
//! through them.

use super::Case;
use super::align::Source;
use super::correlate::{Finder, slices};
use super::levels::Planar;
use super::resample::{at_positions, with_slope};
use super::sums::{Moments, dot, energy, left_of, mean};

/// Frames of a stretch.
pub(super) const STRETCH: usize = 2048;
/// The frame of a stretch that its offset is meant of: that at which it is right if there is drift.
const MIDDLE: f64 = STRETCH as f64 / 2.0;
/// Stretches that are looked at, of one or two channels.
const STRETCHES_MAX: i64 = 192;
/// More than this is left where frames are lost.
const LEFT: f64 = 0.05;
/// Of what is right to the bit, this is left where something is not.
const LEFT_EXACT: f64 = 1e-5;
/// Stretches that fit less well than this have something wrong in them.
const FITS: f64 = 0.25;
/// As much is left of a stretch that is right but for rounding.
pub(super) const EXACT: f64 = 1e-6;
/// And more than this of one that is not.
const NOT_EXACT: f64 = 1e-4;
/// If more is left, it is looked for elsewhere.
const FAR: f64 = 0.05;
/// What is so alike is not looked for further away.
const SURE: f64 = 0.9;
/// So many frames away it is found by steps.
const NEAR: f64 = 3.0;
/// Offsets of neighbouring stretches that differ by more (in frames) have something lost between them.
const STEP: f64 = 0.3;
/// No clocks are further apart.
const SLOPE_MAX: f64 = 2e-3;
/// Less than this many frames over the whole sound is no drift.
const DRIFT_MIN: f64 = 0.15;
/// Drift and conversion leave as much, relative to the sound.
pub(super) const CONVERTED_DB: f64 = 40.0;
/// If more is left (energy), offsets are those of a filter or a codec, and drift has to be plain.
const DRIFT_LEFT: f64 = 2e-3;
/// Frames of drift over the whole sound that no filter makes.
const PLAIN: f64 = 8.0;

/// One stretch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stretch {
    /// Its first heard frame.
    pub(super) at: i64,
    /// Of the expected sound, at the middle of this stretch alone.
    pub(super) offset: f64,
    /// What is left of the energy when it is aligned.
    pub(super) left: f64,
    /// How sure its offset is, among others.
    weight: f64,
}

impl Stretch {
    fn middle(&self) -> f64 {
        self.at as f64 + MIDDLE
    }
}

/// The middle of some values.
pub(super) fn median(mut values: Vec<f64>) -> f64 {
    part_of(&mut values, 0.5)
}

/// What is left of most stretches.
pub(super) fn usually_left(stretches: &[Stretch]) -> f64 {
    median(stretches.iter().map(|stretch| stretch.left).collect())
}

/// The mean of what is no outlier: pairs of a value and its weight.
fn mean_without_outliers(values: Vec<(f64, f64)>) -> f64 {
    let typical = median(values.iter().map(|(value, _)| *value).collect());
    let away = |value: f64| (value - typical).abs();
    let most = 6.0 * median(values.iter().map(|(value, _)| away(*value)).collect());
    let near = values.into_iter().filter(|(value, _)| away(*value) <= most.max(0.01));
    let (sum, weights) =
        near.fold((0.0, 0.0), |(sum, all), (value, weight)| (sum + weight * (value - typical), all + weight));
    if weights > 0.0 { typical + sum / weights } else { typical }
}

/// The value that this part of all is below.
pub(super) fn part_of(values: &mut [f64], part: f64) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let index = ((values.len().saturating_sub(1)) as f64 * part).round() as usize;
    values.get(index).copied().unwrap_or(0.0)
}

/// The expected sound beside a stretch that begins at `at`: where it is read from, and in which steps.
fn place(case: &Case<'_>, at: i64, offset: f64, slope: f64) -> (f64, f64) {
    ((at as f64 - offset + slope * MIDDLE) / case.ratio(), (1.0 - slope) / case.ratio())
}

/// Aligns stretch after stretch, from the heard frame on at which this offset is sure; then those before it,
/// the nearest first.
pub(super) fn track(
    case: &Case<'_>,
    (begin, sure_at): (f64, i64),
    likely_slope: f64,
    sources: &[Source],
    finder: &mut Finder,
    progress: &mut dyn FnMut(f64),
) -> Vec<Stretch> {
    let first = (begin as i64).max(0);
    let end = (case.heard.frames() as i64)
        .min((begin + case.expected.frames() as f64 * case.ratio() * 1.001) as i64);
    let length = STRETCH as i64;
    let most = STRETCHES_MAX * 2 / (sources.len() as i64).max(2);
    let stride = ((end - first) / most).max(length);
    let mut places: Vec<i64> = (first..=end - length).step_by(stride as usize).collect();
    // The last one begins before the end of the one before.
    if stride == length && places.last().is_some_and(|last| *last < end - length) {
        places.push(end - length);
    }
    let count = places.len().max(1) as f64;
    let behind = places.split_off(places.partition_point(|place| *place + stride <= sure_at));
    let mut tracker = Tracker { case, sources, finder, exact: false };
    let mut done = 0.0;
    let mut all = Vec::<Stretch>::new();
    let mut follow = |places: &mut dyn Iterator<Item = i64>, known: &[Stretch]| {
        let mut stretches = known.to_vec();
        let mut offset = known.last().map_or(begin, |last| last.offset);
        let mut last_at = known.last().map_or(sure_at, |last| last.at);
        let mut others = 0;
        tracker.exact = false;
        for at in places {
            let drift = drift_so_far(&stretches).unwrap_or(likely_slope);
            let guess = offset + drift * (at - last_at) as f64;
            if let Some(found) = tracker.locate(at, guess, drift) {
                let usual = usually_left(&stretches);
                // One in which something is missing may lie anywhere.
                let most = if tracker.exact { NOT_EXACT } else { FAR.max(2.0 * usual) };
                if found.left <= most || stretches.is_empty() {
                    (offset, last_at) = (found.offset, at);
                }
                others = if found.left <= NOT_EXACT { 0 } else { others + 1 };
                tracker.exact = found.left <= EXACT || tracker.exact && others < 4;
                stretches.push(found);
            }
            done += 1.0;
            progress(done / count);
        }
        stretches.split_off(known.len())
    };
    all.extend(follow(&mut behind.into_iter(), &[]));
    let near: Vec<Stretch> = all.iter().take(9).rev().copied().collect();
    let mut before = follow(&mut places.into_iter().rev(), &near);
    before.reverse();
    before.append(&mut all);
    before
}

/// The slope of the offsets of the last stretches, if there are enough of them.
fn drift_so_far(stretches: &[Stretch]) -> Option<f64> {
    let last = stretches.len().saturating_sub(9);
    let pairs = stretches.get(last..).unwrap_or_default().windows(2);
    let slopes: Vec<f64> = pairs.filter_map(|pair| slope_between(&pair[0], &pair[1])).collect();
    (slopes.len() >= 3).then(|| likely(median(slopes)))
}

/// A slope that a drift may have: two stretches one frame apart, and a jump between them, have any.
fn likely(slope: f64) -> f64 {
    if slope.is_finite() { slope.clamp(-SLOPE_MAX, SLOPE_MAX) } else { 0.0 }
}

fn slope_between(one: &Stretch, next: &Stretch) -> Option<f64> {
    (next.at != one.at).then(|| (next.offset - one.offset) / (next.at - one.at) as f64)
}

/// The expected sound of the heard channels.
fn carried(expected: Planar, sources: &[Source]) -> Planar {
    let own = |(channel, source): (usize, &Source)| *source == Source { channel: Some(channel), sign: 1.0 };
    if sources.len() == expected.len() && sources.iter().enumerate().all(own) {
        return expected;
    }
    let silence = || vec![0.0; expected.first().map_or(0, Vec::len)];
    let channel = |source: &Source| match source.channel.and_then(|number| expected.get(number)) {
        Some(levels) => levels.iter().map(|level| level * source.sign).collect(),
        None => silence(),
    };
    sources.iter().map(channel).collect()
}

/// What is left of the heard energy; all of it if nothing is heard or expected.
fn left(expected: &Planar, heard: &Planar) -> f64 {
    left_of(expected, heard, |moments| moments.xx > 0.0 && moments.yy > 0.0).unwrap_or(1.0)
}

/// Moves the offset by parts of a frame, to where least is left: Gauss and Newton. `there`: the expected
/// sound and its slope at an offset. Tells what all of it moves by per frame, too.
pub(super) fn refine(
    there: &dyn Fn(f64) -> (Planar, Planar),
    heard: &Planar,
    mut offset: f64,
    rounds: usize,
) -> (f64, f64) {
    let mut weight = 0.0;
    for _ in 0..rounds {
        let (now, slopes) = there(offset);
        let (mut product, mut energies) = (0.0, 0.0);
        for ((now, slope), heard) in now.iter().zip(&slopes).zip(heard) {
            let moments = Moments::of(now, heard);
            if moments.xx == 0.0 || moments.xy <= 0.0 {
                continue;
            }
            let gain = moments.xy / moments.xx;
            let constant = mean(heard) - gain * mean(now);
            let left: Vec<f64> =
                now.iter().zip(heard).map(|(now, heard)| heard - gain * now - constant).collect();
            // A later offset reads the expected sound earlier.
            product -= gain * dot(&left, slope);
            energies += gain * gain * energy(slope);
        }
        weight = energies;
        if energies <= 0.0 {
            break;
        }
        let step = (product / energies).clamp(-0.5, 0.5);
        offset += step;
        if step.abs() < 1e-5 {
            break;
        }
    }
    (offset, weight)
}

struct Tracker<'a> {
    case: &'a Case<'a>,
    sources: &'a [Source],
    finder: &'a mut Finder,
    /// Stretches were right to the bit so far.
    exact: bool,
}

impl Tracker<'_> {
    fn locate(&mut self, at: i64, guess: f64, slope: f64) -> Option<Stretch> {
        let case = self.case;
        let heard = case.heard.read(at, STRETCH);
        if heard.iter().flatten().all(|level| level.abs() <= case.tolerance) {
            return None;
        }
        let whole = slope == 0.0 && case.ratio().to_bits() == 1.0_f64.to_bits();
        let rounded = if whole { guess.round() } else { guess };
        let (mut offset, mut weight) = (rounded, 1.0);
        let mut left = self.left(at, offset, slope, &heard);
        // Between the frames what is right but for rounding is not right to the last part of one.
        if left > EXACT || rounded.fract() != 0.0 {
            (offset, weight) = self.refined(at, &heard, rounded, slope, 1);
            left = self.left(at, offset, slope, &heard);
            let is_here = |offset: f64, left: f64, exact: bool| {
                (offset - rounded).abs() < NEAR && left < FAR && !(exact && left > NOT_EXACT)
            };
            if (offset - rounded).abs() >= 0.5 || left >= FAR {
                // Less than a few frames away, it is found step by step.
                let (stepped, weight_there) = self.refined(at, &heard, offset, slope, 8);
                let left_there = self.left(at, stepped, slope, &heard);
                if is_here(stepped, left_there, self.exact) {
                    (offset, weight, left) = (stepped, weight_there, left_there);
                }
            }
            if !is_here(offset, left, self.exact) {
                if let Some(found) = self.seek(&heard, at, rounded, slope) {
                    let (found, found_weight) = self.refined(at, &heard, found, slope, 3);
                    let found_left = self.left(at, found, slope, &heard);
                    if found_left < left * 0.98 || (offset - rounded).abs() >= NEAR {
                        (offset, weight, left) = (found, found_weight, found_left);
                    }
                } else if left >= FAR {
                    return None;
                }
            } else if (offset - rounded).abs() > 0.002 {
                (offset, weight) = self.refined(at, &heard, offset, slope, 2);
                left = self.left(at, offset, slope, &heard);
            }
        }
        Some(Stretch { at, offset, left, weight }).filter(|stretch| stretch.left < 1.0 - FITS * FITS)
    }

    fn left(&self, at: i64, offset: f64, slope: f64, heard: &Planar) -> f64 {
        let (from, step) = place(self.case, at, offset, slope);
        left(&carried(at_positions(&self.case.expected, from, step, STRETCH), self.sources), heard)
    }

    fn refined(&self, at: i64, heard: &Planar, offset: f64, slope: f64, rounds: usize) -> (f64, f64) {
        let there = |offset: f64| {
            let (from, step) = place(self.case, at, offset, slope);
            let (levels, slopes) = with_slope(&self.case.expected, from, step, STRETCH);
            let per_heard = 1.0 / self.case.ratio();
            let scaled = slopes.into_iter().map(|slope| slope.into_iter().map(|by| by * per_heard).collect());
            (carried(levels, self.sources), carried(scaled.collect(), self.sources))
        };
        refine(&there, heard, offset, rounds)
    }

    /// Looks further and further away, until it is found beyond doubt: the best of what was found,
    /// also where that is far away and something less like it is near.
    fn seek(&mut self, heard: &Planar, at: i64, offset: f64, slope: f64) -> Option<f64> {
        let case = self.case;
        let second = case.heard.format().rate as usize;
        let mut best = None::<(f64, f64)>;
        for reach in [STRETCH, 2 * second + STRETCH] {
            let Some((before, count)) = around(case, at, offset, STRETCH, reach) else { continue };
            let (from, step) = place(case, at, offset, slope);
            let region = at_positions(&case.expected, from - before as f64 * step, step, count);
            let region = carried(region, self.sources);
            let near = before as usize;
            let sharp = self.finder.find_near(&slices(heard), &slices(&region), near);
            let sharp =
                sharp.filter(|found| found.score > 0.7 || found.score > 0.0 && found.is_clear(STRETCH));
            let found = sharp.or_else(|| {
                self.finder.find_plain(&slices(heard), &slices(&region)).filter(|found| found.score > 0.8)
            });
            if let Some(found) = found.filter(|found| best.is_none_or(|best| found.score > best.0)) {
                // Sought backwards: what is found later has a smaller offset.
                best = Some((found.score, offset - (found.lag as f64 - before as f64)));
            }
            if best.is_some_and(|best| best.0 > SURE) {
                break;
            }
        }
        best.map(|best| best.1)
    }

    /// Once more, now that the drift is known.
    fn again(&mut self, stretches: &mut [Stretch], slope: f64) {
        for stretch in stretches {
            let heard = self.case.heard.read(stretch.at, STRETCH);
            (stretch.offset, stretch.weight) = self.refined(stretch.at, &heard, stretch.offset, slope, 2);
            stretch.left = self.left(stretch.at, stretch.offset, slope, &heard);
        }
    }
}

/// Frames up to `reach` around where heard frame `at` lies in the expected sound, and no more than that has:
/// how many before, and how many in all with those of the `probe`.
pub(super) fn around(
    case: &Case<'_>,
    at: i64,
    offset: f64,
    probe: usize,
    reach: usize,
) -> Option<(i64, usize)> {
    const ROOM: i64 = 64;
    let length = (case.expected.frames() as f64 * case.ratio()) as i64;
    let here = (at as f64 - offset).round() as i64;
    let begin = (here - reach as i64).max(-ROOM);
    let end = (here + (probe + reach) as i64).min(length + ROOM);
    (end - begin >= probe as i64).then(|| (here - begin, (end - begin) as usize))
}

/// When each expected frame is heard.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timing {
    pub(super) offset: f64,
    pub(super) ratio: f64,
    pub(super) whole_frames: bool,
    pub(super) ppm: Option<f64>,
    slope: f64,
}

impl Timing {
    /// The offset of the model for a stretch.
    pub(super) fn offset_at(&self, stretch: &Stretch) -> f64 {
        if self.whole_frames {
            stretch.offset.round()
        } else {
            (stretch.offset - self.slope * stretch.middle()) / (1.0 - self.slope)
        }
    }
}

/// The line through the offsets of the stretches; those are aligned once more if they drift. Keeps those in
/// which nothing is missing.
pub(super) fn timing(
    case: &Case<'_>,
    begin: f64,
    sources: &[Source],
    stretches: &mut Vec<Stretch>,
    finder: &mut Finder,
) -> Timing {
    // Before the drift is known, more is left of those that it moves more.
    let lines = [Line::through(&as_most(stretches)), Line::through(stretches)];
    let line = lines.into_iter().find(|line| line.drifts(stretches)).unwrap_or(lines[0]);
    if line.drifts(stretches) && (line.slope * STRETCH as f64).abs() > 0.002 {
        let (mut again, mut line) = (stretches.clone(), line);
        for _ in 0..2 {
            Tracker { case, sources, finder, exact: false }.again(&mut again, line.slope);
            line = Line::through(&as_most(&again));
        }
        if usually_left(&again) <= usually_left(stretches) {
            stretches.copy_from_slice(&again);
        }
    }
    let typical = usually_left(stretches);
    stretches.retain(|stretch| stretch.left <= (typical * 4.0).max(typical + LEFT));
    fit(stretches, Line::through(&as_most(stretches)), begin, case)
}

/// Those in which nothing is wrong at a place: little more is left than of most.
pub(super) fn as_most(stretches: &[Stretch]) -> Vec<Stretch> {
    let typical = usually_left(stretches);
    let good = |stretch: &&Stretch| stretch.left <= (typical * 4.0).max(LEFT_EXACT);
    stretches.iter().filter(good).copied().collect()
}

/// The offset near this one at which least is left of a heard stretch, and what that is.
pub(super) fn best_near(case: &Case<'_>, sources: &[Source], at: i64, offset: f64) -> (f64, f64) {
    let mut finder = Finder::default();
    let tracker = Tracker { case, sources, finder: &mut finder, exact: false };
    let heard = case.heard.read(at, STRETCH);
    let offset = tracker.refined(at, &heard, offset, 0.0, 16).0;
    (offset, tracker.left(at, offset, 0.0, &heard))
}

/// Whether the stretches lie each elsewhere, and none of them well: where a sweep drifts, other places look
/// as good.
pub(super) fn wander(stretches: &[Stretch]) -> bool {
    let usual = usually_left(stretches);
    let mut offsets: Vec<f64> = stretches.iter().map(|stretch| stretch.offset).collect();
    usual > NOT_EXACT * 10.0 && part_of(&mut offsets, 0.8) - part_of(&mut offsets, 0.2) > 0.5
}

/// The stretches again, from about this offset at the beginning on, for the drift with which the beginning is
/// most like the expected sound: of the most likely ones that with which least is left of all of them.
pub(super) fn track_drifting(
    case: &Case<'_>,
    begin: i64,
    sources: &[Source],
    finder: &mut Finder,
) -> Option<(f64, Vec<Stretch>)> {
    /// Frames by which the beginning may be off.
    const NEAR: i64 = 12;
    const PROBE: usize = 2 * STRETCH;
    const STEPS: i32 = 15;
    const PPM_PER_STEP: f64 = 40.0;
    const TRIED: usize = 4;
    let at = begin.max(0) + NEAR;
    let heard = case.heard.read(at, PROBE);
    let mut likely = Vec::new();
    for step in -STEPS..=STEPS {
        let slope = f64::from(step) * PPM_PER_STEP * 1e-6;
        // The offset at the middle of the probe is that at the beginning, and what it has drifted.
        let (from, by) = place(case, at, begin as f64 + slope * (NEAR as f64 + MIDDLE), slope);
        let region = at_positions(&case.expected, from - NEAR as f64 * by, by, PROBE + 2 * NEAR as usize);
        let region = carried(region, sources);
        let there = (0..=2 * NEAR).map(|lag| {
            let window = |levels: &Vec<f64>| levels[lag as usize..lag as usize + PROBE].to_vec();
            // What is found later in the expected sound has a smaller offset.
            (left(&region.iter().map(window).collect(), &heard), slope, begin + NEAR - lag)
        });
        likely.extend(there.reduce(|best, next| if next.0 < best.0 { next } else { best }));
    }
    likely.sort_unstable_by(|one, other| one.0.total_cmp(&other.0));
    let tracks = likely.into_iter().take(TRIED).map(|(_, slope, begin)| {
        let stretches = track(case, (begin as f64, begin), slope, sources, finder, &mut |_| ());
        (begin as f64, stretches)
    });
    tracks
        .filter(|(_, stretches)| stretches.len() > 4)
        .min_by(|one, other| usually_left(&one.1).total_cmp(&usually_left(&other.1)))
}

/// Runs of stretches between which nothing is lost.
fn runs(stretches: &[Stretch], slope: f64) -> Vec<&[Stretch]> {
    stretches
        .chunk_by(|one, next| {
            let expected = one.offset + slope * (next.at - one.at) as f64;
            (next.offset - expected).abs() < STEP
        })
        .collect()
}

/// The longest of the runs, in stretches.
pub(super) fn longest_run(stretches: &[Stretch]) -> usize {
    runs(stretches, drift_so_far(stretches).unwrap_or(0.0)).iter().map(|run| run.len()).max().unwrap_or(0)
}

#[derive(Clone, Copy, Debug)]
struct Line {
    slope: f64,
    error: f64,
    count: usize,
}

impl Line {
    /// By least squares, within the runs; what is far beside it does not count.
    fn through(stretches: &[Stretch]) -> Self {
        let pairs = stretches.windows(2);
        let slopes = pairs.filter_map(|pair| slope_between(&pair[0], &pair[1])).collect();
        let mut slope = likely(median(slopes));
        let (mut error, mut count) = (0.0, 0_usize);
        let typical = median(stretches.iter().map(|stretch| stretch.weight).collect());
        let weight = |stretch: &Stretch| stretch.weight / (stretch.weight * 0.2 + typical).max(1e-30);
        let mut near = f64::INFINITY;
        for _ in 0..5 {
            let (mut product, mut squares, mut errors) = (0.0, 0.0, Vec::new());
            for run in runs(stretches, slope).into_iter().filter(|run| run.len() > 1) {
                let off = |stretch: &Stretch| stretch.offset - slope * stretch.middle();
                let level = median(run.iter().map(off).collect());
                let good: Vec<&Stretch> = run.iter().filter(|one| (off(one) - level).abs() <= near).collect();
                let all: f64 = good.iter().map(|one| weight(one)).sum();
                let middle = |of: &dyn Fn(&Stretch) -> f64| {
                    good.iter().map(|one| weight(one) * of(one)).sum::<f64>() / all.max(1e-30)
                };
                let (at, offset) = (middle(&Stretch::middle), middle(&|stretch| stretch.offset));
                for stretch in good {
                    let (weight, away) = (weight(stretch), stretch.middle() - at);
                    product += weight * away * (stretch.offset - offset);
                    squares += weight * away.powi(2);
                    errors.push((stretch.offset - offset - slope * away).abs());
                }
            }
            if squares <= 0.0 {
                break;
            }
            slope = likely(product / squares);
            count = errors.len();
            let usual = median(errors) * 1.48;
            near = (4.0 * usual).max(0.002);
            error = usual / squares.sqrt();
        }
        Self { slope, error, count }
    }

    fn drifts(&self, stretches: &[Stretch]) -> bool {
        let span = match (stretches.first(), stretches.last()) {
            (Some(first), Some(last)) => (last.at - first.at) as f64 + STRETCH as f64,
            _ => return false,
        };
        let moved = (self.slope * span).abs();
        self.count >= 4 && moved > DRIFT_MIN && self.slope.abs() > 5.0 * self.error
    }
}

/// Where a filter or a codec is in some channels alone, the others tell the offset: to the bit, at one of
/// these.
pub(super) fn by_exact_channels(
    case: &Case<'_>,
    sources: &[Source],
    offsets: &[i64],
    timing: &mut Timing,
    stretches: &mut [Stretch],
) {
    let is_exact = |at: i64, offset: i64| {
        let expected = carried(case.expected.read(at - offset, STRETCH), sources);
        let heard = case.heard.read(at, STRETCH);
        expected.iter().zip(&heard).any(|(expected, heard)| energy(heard) > 0.0 && expected == heard)
    };
    let now = timing.offset.round() as i64;
    let mut counts = vec![0; offsets.len() + 1];
    for stretch in stretches.iter_mut() {
        let mut all = std::iter::once(&now).chain(offsets).enumerate();
        if let Some((number, offset)) = all.find(|(_, offset)| is_exact(stretch.at, **offset)) {
            stretch.offset = *offset as f64;
            counts[number] += 1;
        }
    }
    let most = (0..counts.len()).max_by_key(|number| counts[*number]).unwrap_or(0);
    if most > 0 && counts[most] * 2 > stretches.len() {
        timing.offset = offsets[most - 1] as f64;
    }
}

fn fit(all: &[Stretch], line: Line, begin: f64, case: &Case<'_>) -> Timing {
    let stretches = &as_most(all);
    let nominal = case.ratio();
    let converted = nominal.to_bits() != 1.0_f64.to_bits();
    let left = usually_left(stretches);
    let span = stretches.last().map_or(0.0, Stretch::middle) - stretches.first().map_or(0.0, Stretch::middle);
    let plain = left < DRIFT_LEFT || (line.slope * span).abs() > PLAIN;
    let drifts = line.drifts(stretches) && plain;
    let slope = if drifts { line.slope } else { 0.0 };
    let first = runs(all, slope).into_iter().find(|run| run.len() > 1);
    let at_begin = |run: &[Stretch]| {
        mean_without_outliers(
            run.iter().map(|stretch| (stretch.offset - slope * stretch.middle(), stretch.weight)).collect(),
        )
    };
    let offset = first.map_or(begin, at_begin);
    let parts: Vec<f64> = stretches.iter().map(|stretch| stretch.offset - stretch.offset.round()).collect();
    let spread = median(parts.iter().map(|part| part.abs()).collect());
    let part = median(parts.clone());
    let scatter = median(parts.iter().map(|other| (other - part).abs()).collect()) * 1.48;
    let sure = 5.0 * scatter / (parts.len().max(1) as f64).sqrt();
    let whole_frames = !converted && !drifts && (spread < 0.03 || part.abs() < 0.03_f64.max(sure));
    // A filter delays, too, and changes more than that.
    let whole_frames = whole_frames || !converted && !drifts && left > 10.0_f64.powf(-CONVERTED_DB / 10.0);
    let ratio = nominal / (1.0 - slope);
    let ppm = (ratio / nominal - 1.0) * 1e6;
    let told = if converted { drifts.then_some(ppm) } else { (!whole_frames).then_some(ppm) };
    let offset = if whole_frames { offset.round() } else { offset / (1.0 - slope) };
    Timing { offset, ratio, whole_frames, ppm: told, slope }
}
