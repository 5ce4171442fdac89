//! What is wrong all along: from stretches over the whole sound, each aligned for itself, so that what is wrong
//! at one place is an outlier and no more.

use super::Case;
use super::align::{Aligned, Products, Source, expected};
use super::correlate::{Finder, alike, slices};
use super::levels::Planar;
use super::resample::at_positions;
use super::spectrum::Spectrum;
use super::verdict::{Finding, Judgement, db};
use super::walk::Walk;

/// Frames of a stretch.
const STRETCH: usize = 2048;
/// Stretches that are looked at.
const STRETCHES_MAX: i64 = 192;
/// Stretches that fit less well than this have something wrong in them.
const FITS: f64 = 0.25;
/// More than this is left where frames are lost.
const LEFT: f64 = 0.05;
/// Offsets of neighbouring stretches that differ by more (in frames) have something lost between them.
const STEP: f64 = 0.3;
/// Less than this many frames over the whole sound is no drift.
const DRIFT_MIN: f64 = 0.15;
/// Frames by which a filter moves the ends of a sound.
const SLACK: i64 = 64;
/// Drift and conversion leave as much, relative to the sound.
const CONVERTED_DB: f64 = 40.0;

/// Of one heard channel.
#[derive(Clone, Debug)]
pub(super) struct ChannelModel {
    pub(super) source: Source,
    /// Without the sign.
    pub(super) gain: f64,
    pub(super) constant: f64,
    /// What should be above this is heard lower.
    pub(super) limit: Option<f64>,
    /// A difference up to this is nothing at a place.
    pub(super) threshold: f64,
}

/// What is expected to be heard.
pub(super) struct Model {
    /// Where the first expected frame lies in the heard sound, before anything is lost.
    pub(super) offset: f64,
    /// Heard frames per expected frame.
    pub(super) ratio: f64,
    /// Expected frames fall upon heard ones.
    pub(super) whole_frames: bool,
    /// What begins or ends so many frames too soon or too late is the filter's doing.
    pub(super) slack: i64,
    pub(super) channels: Vec<ChannelModel>,
    /// What was found.
    findings: Vec<Finding>,
}

impl Model {
    /// The position of the expected sound at a heard frame, with this offset.
    pub(super) fn position(&self, offset: f64, heard: i64) -> f64 {
        (heard as f64 - offset) / self.ratio
    }

    /// What is heard from a frame on if nothing is wrong at a place.
    pub(super) fn predict(&self, case: &Case<'_>, offset: f64, heard: i64, count: usize) -> Planar {
        let expected = at_positions(&case.expected, self.position(offset, heard), 1.0 / self.ratio, count);
        let channel = |channel: &ChannelModel| {
            let gain = channel.gain * channel.source.sign;
            match channel.source.channel.and_then(|number| expected.get(number)) {
                Some(levels) => levels.iter().map(|level| level * gain + channel.constant).collect(),
                None => vec![channel.constant; count],
            }
        };
        self.channels.iter().map(channel).collect()
    }

    /// Tells what is wrong all along.
    pub(super) fn report(&self, case: &Case<'_>, walked: &Walk, judgement: &mut Judgement) {
        let sources: Vec<Option<u32>> =
            self.channels.iter().map(|channel| channel.source.channel.map(|number| number as u32)).collect();
        let moved = |(channel, source): (usize, &Option<u32>)| {
            source.is_some_and(|source| source as usize != channel)
        };
        if sources.iter().enumerate().any(moved) {
            judgement.add(Finding::ChannelsSwapped { map: sources.clone() });
        }
        for (channel, facts) in case.facts[0].channels.iter().enumerate() {
            if facts.sounds && !sources.contains(&Some(channel as u32)) {
                judgement.add(Finding::ChannelMissing { channel: channel as u32 });
            }
        }
        for (channel, model) in self.channels.iter().enumerate() {
            if model.source.channel.is_some() && model.source.sign < 0.0 {
                judgement.add(Finding::ChannelInverted { channel: channel as u32 });
            }
        }
        self.findings.iter().cloned().for_each(|finding| judgement.add(finding));
        for ((into, model), walked) in judgement.channels.iter_mut().zip(&self.channels).zip(&walked.channels)
        {
            into.carries = model.source.channel.map(|number| number as u32);
            into.inverted = model.source.sign < 0.0;
            into.level_db = db(model.gain).unwrap_or(0.0);
            (into.worst_lsb, into.worst_at) = (walked.worst / case.lsb, walked.worst_at);
            let (sound, noise) = (walked.sound, walked.noise);
            into.snr_db = (noise > 0.0 && sound > 0.0).then(|| 10.0 * (sound / noise).log10());
        }
    }
}

/// One stretch.
struct Stretch {
    /// Its first heard frame.
    at: i64,
    /// Of the expected sound, at this stretch alone; without drift.
    offset: f64,
    /// What is left of the energy when it is aligned.
    left: f64,
}

/// The middle of some values.
fn median(mut values: Vec<f64>) -> f64 {
    part_of(&mut values, 0.5)
}

/// The value that this part of all is below.
fn part_of(values: &mut [f64], part: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let index = ((values.len().saturating_sub(1)) as f64 * part).round() as usize;
    values.get(index).copied().unwrap_or(0.0)
}

/// Looks at the whole sound.
pub(super) fn estimate(
    case: &Case<'_>,
    aligned: &Aligned,
    finder: &mut Finder,
    progress: &mut dyn FnMut(f64),
) -> Model {
    let mut sources = aligned.sources.clone();
    let mut stretches = track(case, aligned.offset, &sources, finder, progress);
    let mut products = Products::new(case);
    for stretch in &stretches {
        let start = stretch.at as f64 - stretch.offset;
        products.add(&expected(case, start, STRETCH), &case.heard.read(stretch.at, STRETCH));
    }
    let again = products.sources(case);
    if !stretches.is_empty() && again != sources {
        sources = again;
        stretches = track(case, aligned.offset, &sources, finder, progress);
    }
    let typical = median(stretches.iter().map(|stretch| stretch.left).collect());
    stretches.retain(|stretch| stretch.left <= (typical * 4.0).max(typical + LEFT));
    let timing = fit(&stretches, aligned.offset, case);
    let channel = |source: &Source| ChannelModel {
        source: *source,
        gain: 1.0,
        constant: 0.0,
        limit: None,
        threshold: case.tolerance,
    };
    let mut model = Model {
        offset: timing.offset,
        ratio: timing.ratio,
        whole_frames: timing.whole_frames,
        slack: if timing.whole_frames { 0 } else { SLACK },
        channels: sources.iter().map(channel).collect(),
        findings: Vec::new(),
    };
    if let Some(ppm) = timing.ppm {
        model.findings.push(Finding::Drift { ppm });
    }
    let offsets: Vec<(i64, f64)> =
        stretches.iter().map(|stretch| (stretch.at, timing.offset_at(stretch.at, stretch.offset))).collect();
    for channel in 0..model.channels.len() {
        describe(case, &mut model, channel, &offsets);
    }
    // One limiter for all: in the others it had too little to do to be told.
    let limit = model.channels.iter().filter_map(|channel| channel.limit).reduce(f64::min);
    model.channels.iter_mut().for_each(|channel| channel.limit = channel.limit.or(limit));
    model
}

/// Aligns stretch after stretch.
fn track(
    case: &Case<'_>,
    begin: f64,
    sources: &[Source],
    finder: &mut Finder,
    progress: &mut dyn FnMut(f64),
) -> Vec<Stretch> {
    let first = (begin as i64).max(0);
    let end = (case.heard.frames() as i64)
        .min((begin + case.expected.frames() as f64 * case.ratio() * 1.001) as i64);
    let length = STRETCH as i64;
    let stride = ((end - first) / STRETCHES_MAX).max(length);
    let (mut offset, mut stretches) = (begin, Vec::<Stretch>::new());
    let mut at = first;
    while at + length <= end {
        let heard = case.heard.read(at, STRETCH);
        let drift = drift_so_far(&stretches);
        let guess = offset + drift * stretches.last().map_or(0, |last| at - last.at) as f64;
        if let Some(found) = locate(case, sources, &heard, at, guess, finder) {
            offset = found.offset;
            stretches.push(found);
        }
        at += stride;
        progress((at - first) as f64 / (end - first).max(1) as f64);
    }
    stretches
}

/// The slope of the offsets of the last stretches.
fn drift_so_far(stretches: &[Stretch]) -> f64 {
    let last = stretches.len().saturating_sub(9);
    let pairs = stretches.get(last..).unwrap_or_default().windows(2);
    let slopes: Vec<f64> =
        pairs.map(|pair| (pair[1].offset - pair[0].offset) / (pair[1].at - pair[0].at) as f64).collect();
    if slopes.len() < 3 { 0.0 } else { median(slopes) }
}

/// The expected sound of the heard channels.
fn carried(expected: &Planar, sources: &[Source]) -> Planar {
    let silence = || vec![0.0; expected.first().map_or(0, Vec::len)];
    let channel = |source: &Source| match source.channel.and_then(|number| expected.get(number)) {
        Some(levels) => levels.iter().map(|level| level * source.sign).collect(),
        None => silence(),
    };
    sources.iter().map(channel).collect()
}

/// What is left when the one is taken away from the other as well as its level allows: energies.
fn left_of(expected: &Planar, heard: &Planar) -> (f64, f64) {
    let (mut left, mut all) = (0.0, 0.0);
    for (expected, heard) in expected.iter().zip(heard) {
        let energy: f64 = heard.iter().map(|level| level * level).sum();
        let score = alike(expected, heard);
        if score != 0.0 {
            left += energy * (1.0 - score * score);
            all += energy;
        }
    }
    (left, all)
}

fn locate(
    case: &Case<'_>,
    sources: &[Source],
    heard: &Planar,
    at: i64,
    guess: f64,
    finder: &mut Finder,
) -> Option<Stretch> {
    if heard.iter().flatten().all(|level| level.abs() <= case.tolerance) {
        return None;
    }
    let there = |offset: f64| carried(&expected(case, at as f64 - offset, STRETCH), sources);
    let fits = |offset: f64| {
        let (left, all) = left_of(&there(offset), heard);
        if all > 0.0 { left / all } else { 1.0 }
    };
    let whole = case.ratio().to_bits() == 1.0_f64.to_bits();
    let rounded = if whole { guess.round() } else { guess };
    let mut offset = rounded;
    if fits(rounded) > 1e-6 {
        offset = refine(&there, heard, rounded, 1);
        let good = |offset: f64| (offset - rounded).abs() < 0.5 && fits(offset) < 0.05;
        if !good(offset) {
            offset = seek(case, sources, heard, at, rounded, finder)?;
            offset = refine(&there, heard, offset, 3);
        } else if (offset - rounded).abs() > 0.002 {
            offset = refine(&there, heard, offset, 2);
        }
    }
    Some(Stretch { at, offset, left: fits(offset) }).filter(|stretch| stretch.left < 1.0 - FITS * FITS)
}

/// Looks further and further away.
fn seek(
    case: &Case<'_>,
    sources: &[Source],
    heard: &Planar,
    at: i64,
    offset: f64,
    finder: &mut Finder,
) -> Option<f64> {
    let second = case.heard.format().rate as usize;
    for reach in [STRETCH, 2 * second + STRETCH] {
        let region = expected(case, at as f64 - offset - reach as f64, STRETCH + 2 * reach);
        let region = carried(&region, sources);
        let sharp = finder.find(&slices(heard), &slices(&region));
        let sharp = sharp.filter(|found| found.score > 0.7 || found.score > 0.0 && found.is_clear(STRETCH));
        let plain = |finder: &mut Finder| finder.find_plain(&slices(heard), &slices(&region));
        let found = sharp.or_else(|| plain(finder).filter(|found| found.score > 0.8));
        if let Some(found) = found {
            // Sought backwards: what is found later has a smaller offset.
            return Some(offset - (found.lag as f64 - reach as f64));
        }
    }
    None
}

/// Moves the offset by parts of a frame, to where least is left: Gauss and Newton.
pub(super) fn refine(there: &dyn Fn(f64) -> Planar, heard: &Planar, mut offset: f64, rounds: usize) -> f64 {
    for _ in 0..rounds {
        let (now, before, after) = (there(offset), there(offset + 0.25), there(offset - 0.25));
        let (mut product, mut energy) = (0.0, 0.0);
        for (((now, before), after), heard) in now.iter().zip(&before).zip(&after).zip(heard) {
            let all: f64 = now.iter().map(|level| level * level).sum();
            if all == 0.0 {
                continue;
            }
            let gain = now.iter().zip(heard).map(|(a, b)| a * b).sum::<f64>() / all;
            for (((now, before), after), heard) in now.iter().zip(before).zip(after).zip(heard) {
                let slope = gain * (after - before) * 2.0;
                product += (heard - gain * now) * slope;
                energy += slope * slope;
            }
        }
        if energy <= 0.0 {
            break;
        }
        let step = (-product / energy).clamp(-0.5, 0.5);
        offset += step;
        if step.abs() < 1e-5 {
            break;
        }
    }
    offset
}

/// When each expected frame is heard.
struct Timing {
    offset: f64,
    ratio: f64,
    whole_frames: bool,
    ppm: Option<f64>,
    slope: f64,
}

impl Timing {
    /// The offset for [`Model::predict`] of a stretch.
    fn offset_at(&self, at: i64, offset: f64) -> f64 {
        if self.whole_frames {
            offset.round()
        } else {
            (offset - self.slope * at as f64) / (1.0 - self.slope)
        }
    }
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

fn fit(stretches: &[Stretch], begin: f64, case: &Case<'_>) -> Timing {
    let nominal = case.ratio();
    let converted = nominal.to_bits() != 1.0_f64.to_bits();
    let pairs = stretches.windows(2);
    let mut slope = median(
        pairs.map(|pair| (pair[1].offset - pair[0].offset) / (pair[1].at - pair[0].at) as f64).collect(),
    );
    let (mut error, mut count) = (0.0, 0_usize);
    for _ in 0..4 {
        let (mut product, mut squares, mut errors) = (0.0, 0.0, Vec::new());
        for run in runs(stretches, slope).into_iter().filter(|run| run.len() > 1) {
            let middle = |of: &dyn Fn(&Stretch) -> f64| run.iter().map(of).sum::<f64>() / run.len() as f64;
            let (at, offset) = (middle(&|stretch| stretch.at as f64), middle(&|stretch| stretch.offset));
            for stretch in run {
                product += (stretch.at as f64 - at) * (stretch.offset - offset);
                squares += (stretch.at as f64 - at).powi(2);
                errors.push((stretch.offset - offset - slope * (stretch.at as f64 - at)).abs());
            }
        }
        if squares <= 0.0 {
            break;
        }
        slope = product / squares;
        count = errors.len();
        error = median(errors) * 1.48 / squares.sqrt();
    }
    let span = stretches.last().map_or(0, |last| last.at - stretches[0].at) as f64 + STRETCH as f64;
    let drifts = count >= 4 && (slope * span).abs() > DRIFT_MIN && slope.abs() > 5.0 * error;
    if !drifts {
        slope = 0.0;
    }
    let first = runs(stretches, slope).into_iter().find(|run| run.len() > 1);
    let at_begin = |run: &[Stretch]| {
        median(run.iter().map(|stretch| stretch.offset - slope * stretch.at as f64).collect())
    };
    let offset = first.map_or(begin, at_begin);
    let parts: Vec<f64> = stretches.iter().map(|stretch| stretch.offset - stretch.offset.round()).collect();
    let spread = median(parts.iter().map(|part| part.abs()).collect());
    let part = median(parts.clone());
    let scatter = median(parts.iter().map(|other| (other - part).abs()).collect()) * 1.48;
    let sure = 5.0 * scatter / (parts.len().max(1) as f64).sqrt();
    let whole_frames = !converted && !drifts && (spread < 0.03 || part.abs() < 0.03_f64.max(sure));
    // A filter delays, too, and changes more than that.
    let left = median(stretches.iter().map(|stretch| stretch.left).collect());
    let whole_frames = whole_frames || !converted && !drifts && left > 10.0_f64.powf(-CONVERTED_DB / 10.0);
    let ratio = nominal / (1.0 - slope);
    let ppm = (ratio / nominal - 1.0) * 1e6;
    let told = if converted { drifts.then_some(ppm) } else { (!whole_frames).then_some(ppm) };
    let offset = if whole_frames { offset.round() } else { offset / (1.0 - slope) };
    Timing { offset, ratio, whole_frames, ppm: told, slope }
}

/// One aligned stretch of one channel.
struct Pair {
    expected: Vec<f64>,
    heard: Vec<f64>,
}

fn energy(levels: &[f64]) -> f64 {
    levels.iter().map(|level| level * level).sum()
}

/// Level and constant that fit a stretch best, of the samples for which `counts`.
fn line(pair: &Pair, counts: impl Fn(f64) -> bool) -> Option<(f64, f64)> {
    let (mut n, mut x, mut y, mut xx, mut xy) = (0.0, 0.0, 0.0, 0.0, 0.0);
    for (expected, heard) in pair.expected.iter().zip(&pair.heard).filter(|(expected, _)| counts(**expected))
    {
        n += 1.0;
        x += expected;
        y += heard;
        xx += expected * expected;
        xy += expected * heard;
    }
    let spread = n * xx - x * x;
    (n > 16.0 && spread > 0.0).then(|| {
        let gain = (n * xy - x * y) / spread;
        (gain, (y - gain * x) / n)
    })
}

/// What is wrong with one channel all along.
fn describe(case: &Case<'_>, model: &mut Model, channel: usize, offsets: &[(i64, f64)]) {
    let number = channel as u32;
    let Some(source) = model.channels.get(channel).map(|channel| channel.source) else { return };
    if source.channel.is_none() {
        return;
    }
    let pair = |(at, offset): &(i64, f64)| {
        let mut expected = model.predict(case, *offset, *at, STRETCH);
        let mut heard = case.heard.read(*at, STRETCH);
        (channel < expected.len() && channel < heard.len())
            .then(|| Pair { expected: expected.swap_remove(channel), heard: heard.swap_remove(channel) })
    };
    let loudest = offsets.iter().filter_map(pair).map(|pair| energy(&pair.expected)).fold(0.0, f64::max);
    let loud = |pair: &Pair| energy(&pair.expected) > loudest * 1e-3;
    let pairs = || offsets.iter().filter_map(pair).filter(loud);
    // Nothing is wrong with most of them.
    let exact =
        |pair: &Pair| pair.expected.iter().zip(&pair.heard).all(|(a, b)| (a - b).abs() <= case.tolerance);
    let (good, all) = pairs().fold((0, 0), |(good, all), pair| (good + i32::from(exact(&pair)), all + 1));
    let limit = limit(case, pairs()).filter(|limit| stays_high(pairs(), *limit));
    if all == 0 || good * 2 > all && limit.is_none() {
        return;
    }
    let below = |level: f64| limit.is_none_or(|(limit, _)| level.abs() < limit);
    let lines: Vec<(f64, f64)> = pairs().filter_map(|pair| line(&pair, below)).collect();
    let mut gain = median(lines.iter().map(|line| line.0).collect());
    let mut constant = median(lines.iter().map(|line| line.1).collect());
    // How sure they are.
    let root = (lines.len().max(1) as f64).sqrt();
    let scatter = |of: &dyn Fn(&(f64, f64)) -> f64, middle: f64| {
        median(lines.iter().map(|line| (of(line) - middle).abs()).collect()) * 1.48 / root
    };
    let gain_error = scatter(&|line| line.0, gain);
    let constant_error = scatter(&|line| line.1, constant);
    let gain_db = db(gain.abs()).unwrap_or(-200.0);
    let least_db = if model.whole_frames { 0.03 } else { 0.09 };
    let differs = gain_db.abs() > least_db && (gain.abs() - 1.0).abs() > 5.0 * gain_error;
    if !differs {
        gain = 1.0;
    }
    if constant.abs() < case.lsb * 0.75 || constant.abs() < 5.0 * constant_error {
        constant = 0.0;
    }
    let mut found = Vec::new();
    let mut decibels: Vec<f64> = lines.iter().filter_map(|line| db(line.0.abs())).collect();
    let (low, high) = (part_of(&mut decibels, 0.1), part_of(&mut decibels, 0.9));
    let varies = limit.is_none()
        && decibels.len() >= 8
        && high - low > 0.5
        && (high - low) > 6.0 * gain_error * root * 8.7;
    if varies {
        let (least, most) = (part_of(&mut decibels, 0.02), part_of(&mut decibels, 0.98));
        found.push(Finding::LevelVaries { channel: number, min_db: least, max_db: most });
    }
    if constant != 0.0 {
        found.push(Finding::Offset { channel: number, level: constant });
    }
    if let Some((limit, gain)) = limit {
        let threshold_dbfs = db(limit * gain).unwrap_or(0.0);
        found.push(Finding::Limiter { channel: number, threshold_dbfs });
    }
    let changed = differs || constant != 0.0;
    // Right below the limit there is a part of it.
    let far_below = |level: f64| limit.is_none_or(|(limit, _)| level.abs() < limit * 0.95);
    let rest = rest(pairs(), gain, constant, &far_below);
    let converted = !model.whole_frames;
    let follows = varies || rest.name(case, number, changed, converted, &mut found);
    let filtered = found.iter().any(|found| matches!(found, Finding::Filtered { .. }));
    if differs && !varies && !filtered {
        found.push(Finding::Level { channel: number, db: gain_db });
    }
    // A threshold far above what is wrong all along; where that follows the sound, above the worst of it.
    let usual = if follows { rest.worst * 2.0 } else { (8.0 * rest.typical).max(1.5 * case.lsb) };
    model.findings.append(&mut found);
    if follows {
        model.slack = SLACK;
    }
    if let Some(channel) = model.channels.get_mut(channel) {
        channel.gain = gain;
        channel.constant = constant;
        channel.limit = limit.map(|(limit, gain)| limit * gain);
        channel.threshold = usual.max(case.tolerance);
    }
}

/// Parts of a decibel that samples are sorted by.
const BINS_PER_DB: f64 = 4.0;
const BINS: usize = 320;

/// A level from which on what is heard stays behind: that level, and the gain below it.
fn limit(case: &Case<'_>, pairs: impl Iterator<Item = Pair>) -> Option<(f64, f64)> {
    let mut bins = vec![(0_u64, 0.0, 0.0); BINS];
    let mut total = 0;
    for pair in pairs {
        for (expected, heard) in pair.expected.iter().zip(&pair.heard) {
            // What is silent, or of the other sign, no limiter made.
            if expected.abs() < 8.0 * case.lsb || heard * expected <= expected * expected * 0.3 {
                continue;
            }
            let bin = (-20.0 * expected.abs().log10() * BINS_PER_DB).max(0.0) as usize;
            if let Some((count, squares, products)) = bins.get_mut(bin) {
                *count += 1;
                *squares += expected * expected;
                *products += expected * heard;
            }
            total += 1;
        }
    }
    let gain = |(count, squares, products): &(u64, f64, f64)| (*count > 0).then(|| products / squares);
    let loudest = bins.iter().position(|(count, ..)| *count > 0)?;
    // The gain of what is a good deal softer.
    let softer = bins.get(loudest + (12.0 * BINS_PER_DB) as usize..)?;
    let mut soft: Vec<f64> = softer.iter().filter(|bin| bin.0 >= 32).filter_map(gain).collect();
    if soft.len() < 8 {
        return None;
    }
    let below = part_of(&mut soft, 0.5);
    let uneven = part_of(&mut soft, 0.9) - part_of(&mut soft, 0.1);
    let behind = |bin: &(u64, f64, f64)| gain(bin).is_none_or(|gain| gain < below * 0.985);
    let end = bins.get(loudest..)?.iter().position(|bin| !behind(bin))? + loudest;
    let limited: u64 = bins.get(loudest..end)?.iter().map(|bin| bin.0).sum();
    let top = gain(bins.get(loudest)?)?;
    let clear = top < below * 0.93 && below - top > 3.0 * uneven;
    let level = 10.0_f64.powf(-(end as f64) / BINS_PER_DB / 20.0);
    (clear && limited * 1000 >= total && end > loudest + 1).then_some((level, below))
}

/// Whether what is above the limit is heard near it, and not anyhow.
fn stays_high(pairs: impl Iterator<Item = Pair>, (limit, gain): (f64, f64)) -> bool {
    let (mut high, mut all) = (0_u64, 0_u64);
    for pair in pairs {
        for (expected, heard) in
            pair.expected.iter().zip(&pair.heard).filter(|(level, _)| level.abs() > limit)
        {
            all += 1;
            high += u64::from(heard * expected > 0.0 && heard.abs() > 0.8 * limit * gain);
        }
    }
    high * 20 >= all * 19
}

/// What is left when all that is known is taken away.
struct Rest {
    /// RMS of the middle stretch.
    typical: f64,
    /// Worst of the stretches that are as most are.
    worst: f64,
    /// Part of the samples that differ.
    differs: f64,
    /// Of the sound above it, dB.
    snr_db: f64,
    /// RMS of the loudest stretches above that of the softest: of the rest, and of the sound.
    spread: f64,
    sound_spread: f64,
    /// What no filter explains, as part of the rest.
    unexplained: f64,
}

/// What is left of one stretch.
struct Left {
    rms: f64,
    worst: f64,
    /// Part of the samples that differ.
    differs: f64,
    /// RMS of the sound.
    sound: f64,
}

impl Left {
    fn of(pair: &Pair, gain: f64, constant: f64, below: &dyn Fn(f64) -> bool) -> Self {
        let (mut squares, mut worst, mut differs, mut count, mut sound) = (0.0, 0.0_f64, 0_u32, 0_u32, 0.0);
        for (expected, heard) in
            pair.expected.iter().zip(&pair.heard).filter(|(expected, _)| below(**expected))
        {
            let left = heard - expected * gain - constant;
            squares += left * left;
            worst = worst.max(left.abs());
            differs += u32::from(left != 0.0);
            sound += expected * expected * gain * gain;
            count += 1;
        }
        let count = f64::from(count.max(1));
        Self {
            rms: (squares / count).sqrt(),
            worst,
            differs: f64::from(differs) / count,
            sound: (sound / count).sqrt(),
        }
    }
}

fn rest(pairs: impl Iterator<Item = Pair>, gain: f64, constant: f64, below: &dyn Fn(f64) -> bool) -> Rest {
    let mut stretches = Vec::new();
    let mut spectrum = Spectrum::new();
    for pair in pairs {
        spectrum.add(&pair.expected, &pair.heard);
        stretches.push(Left::of(&pair, gain, constant, below));
    }
    let of = |value: fn(&Left) -> f64| stretches.iter().map(value).collect::<Vec<f64>>();
    let mut rms = of(|left| left.rms);
    let typical = part_of(&mut rms, 0.5);
    let usual = || stretches.iter().filter(|left| left.rms <= 3.0 * typical.max(1e-12));
    let worst = part_of(&mut usual().map(|left| left.worst).collect::<Vec<f64>>(), 0.9);
    let noise: f64 = usual().map(|left| left.rms.powi(2)).sum();
    let sound: f64 = usual().map(|left| left.sound.powi(2)).sum();
    let ratio = if noise > 0.0 { sound / noise } else { f64::INFINITY };
    let spread_of = |values: &mut Vec<f64>| {
        let low = part_of(values, 0.1);
        if low > 0.0 { part_of(values, 0.9) / low } else { f64::INFINITY }
    };
    let left_part = if ratio.is_finite() && ratio > 0.0 { 1.0 / (1.0 + ratio) } else { 0.0 };
    Rest {
        typical,
        worst,
        differs: median(of(|left| left.differs)),
        snr_db: 10.0 * ratio.log10(),
        spread: spread_of(&mut rms),
        sound_spread: spread_of(&mut of(|left| left.sound)),
        unexplained: if left_part > 0.0 { spectrum.unexplained() / left_part } else { 1.0 },
    }
}

impl Rest {
    /// Names it; whether it follows the sound.
    fn name(
        &self,
        case: &Case<'_>,
        channel: u32,
        changed: bool,
        converted: bool,
        into: &mut Vec<Finding>,
    ) -> bool {
        // Rounding, after what was changed.
        let rounding = if changed || converted { 0.75 * case.lsb } else { 0.0 };
        if self.differs < 0.05 || self.worst <= rounding.max(case.tolerance) {
            return false;
        }
        let snr_db = self.snr_db;
        if converted {
            return snr_db < CONVERTED_DB;
        }
        let dithered = 2.01 + if changed { 0.5 } else { 0.0 };
        if self.worst <= dithered * case.lsb {
            let (rms_lsb, worst_lsb) = (self.typical / case.lsb, self.worst / case.lsb);
            into.push(Finding::Dither { channel, rms_lsb, worst_lsb });
            return false;
        }
        if self.unexplained < 0.3 {
            into.push(Finding::Filtered { channel, snr_db });
            return true;
        }
        // What follows the sound is loud where that is.
        let follows = self.sound_spread > 2.0 && self.spread > self.sound_spread.sqrt();
        if follows {
            into.push(Finding::Coded { channel, snr_db });
        } else {
            into.push(Finding::Noise { channel, snr_db });
        }
        follows
    }
}
