//! What is wrong with one channel all along, from stretches of it that lie upon each other.

use super::Case;
use super::filter;
use super::local::{Local, follows, grows_with_levels};
use super::model::Model;
use super::spectrum::Spectrum;
use super::sums::Moments;
use super::timing::{CONVERTED_DB, median, part_of};
use super::verdict::{Finding, db};

/// A level within this is none (dB), and in a sound that is converted, or has loud noise.
const LEVEL_DB: f64 = 0.03;
const LEVEL_CONVERTED_DB: f64 = 0.09;
/// Noise is loud if the sound is no further above it.
const NOISY_DB: f64 = 45.0;
/// The part of a limit below which nothing is limited: a limiter may be soft.
const FAR_BELOW: f64 = 0.9;
/// What a filter leaves is not further below the sound than this.
const FILTERED_DB: f64 = 50.0;
/// A delay by a part of a frame leaves less than this.
const DELAY_DB: f64 = 45.0;
/// Noise that is softer is told only if nothing else is.
const NOISE_DB: f64 = 81.0;

/// One stretch, as it is expected and as it is heard.
pub(super) struct Pair {
    pub(super) expected: Vec<f64>,
    pub(super) heard: Vec<f64>,
    /// As it is expected at the offset of the whole sound, where this stretch lies a few frames beside that:
    /// a filter delays what is low otherwise than what is high.
    pub(super) steady: Option<Vec<f64>>,
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

/// Level and constant of most stretches, and how sure each is.
struct Fit {
    gain: f64,
    gain_error: f64,
    constant: f64,
    constant_error: f64,
}

impl Fit {
    fn of(pairs: &[Pair], counts: impl Fn(f64) -> bool) -> Self {
        let lines: Vec<(f64, f64)> = pairs.iter().filter_map(|pair| line(pair, &counts)).collect();
        let gain = median(lines.iter().map(|line| line.0).collect());
        let constant = median(lines.iter().map(|line| line.1).collect());
        let root = (lines.len().max(1) as f64).sqrt();
        let scatter = |of: &dyn Fn(&(f64, f64)) -> f64, middle: f64| {
            median(lines.iter().map(|line| (of(line) - middle).abs()).collect()) * 1.48 / root
        };
        let gain_error = scatter(&|line| line.0, gain);
        let constant_error = scatter(&|line| line.1, constant);
        Self { gain, gain_error, constant, constant_error }
    }
}

/// Finds what is wrong with a channel, and tells the model.
pub(super) fn describe(case: &Case<'_>, model: &mut Model, channel: usize, mut pairs: Vec<Pair>) {
    let number = channel as u32;
    let Some(source) = model.channels.get(channel).and_then(|channel| channel.source.channel) else { return };
    let energies: Vec<f64> =
        pairs.iter().map(|pair| Moments::of(&pair.expected, &pair.expected).xx).collect();
    let loudest = energies.iter().copied().fold(0.0, f64::max);
    let mut energies = energies.into_iter();
    pairs.retain(|_| energies.next().is_some_and(|energy| energy > loudest * 1e-3));
    // Nothing is wrong with most of them.
    let exact =
        |pair: &Pair| pair.expected.iter().zip(&pair.heard).all(|(a, b)| (a - b).abs() <= case.tolerance);
    let good = pairs.iter().filter(|pair| exact(pair)).count();
    let all_exact = good * 2 > pairs.len();
    let rough = if all_exact { None } else { Some(Fit::of(&pairs, |_| true)) };
    let limit = match &rough {
        Some(fit) if is_behind(&pairs, fit) && !wanders(&pairs, fit) => limit(case, &pairs, fit)
            .filter(|limit| stays_high(&pairs, *limit, fit.constant) && !is_filtered(&pairs, fit)),
        Some(_) => None,
        None => ceiling(case, &pairs).map(|limit| (limit, 1.0)),
    };
    if pairs.is_empty() || all_exact && limit.is_none() {
        return;
    }
    let far_below = |level: f64| limit.is_none_or(|(limit, _)| level.abs() < limit * FAR_BELOW);
    let Fit { mut gain, gain_error, mut constant, constant_error } = Fit::of(&pairs, far_below);
    let (mut least_db, mut sure) = (if model.whole_frames { LEVEL_DB } else { LEVEL_CONVERTED_DB }, 5.0);
    let left = Rest::of(&pairs, gain, constant, &far_below);
    if limit.is_none() && left.snr_db < NOISY_DB {
        // Loud noise happens to follow a stretch, or another, but not all of them.
        (least_db, sure) = (LEVEL_CONVERTED_DB, 2.0);
        gain = total_gain(&pairs, gain, constant, 3.0 * left.typical).unwrap_or(gain);
    }
    let gain_db = db(gain.abs()).unwrap_or(-200.0);
    let differs = gain_db.abs() > least_db && (gain.abs() - 1.0).abs() > sure * gain_error;
    if !differs {
        gain = 1.0;
    }
    if constant.abs() < case.lsb * 0.75 || constant.abs() < 5.0 * constant_error {
        constant = 0.0;
    }
    let mut rest = Rest::of(&pairs, gain, constant, &far_below);
    // No constant, but what the noise happens to be on average.
    if constant != 0.0 && constant.abs() < 0.7 * rest.typical && rest.worst > 2.0 * case.lsb {
        constant = 0.0;
        rest = Rest::of(&pairs, gain, constant, &far_below);
    }
    let mut found = Vec::new();
    if constant != 0.0 {
        found.push(Finding::Offset { channel: number, level: constant });
    }
    if let Some((limit, gain)) = limit {
        let threshold_dbfs = db(limit * gain).unwrap_or(0.0);
        found.push(Finding::Limiter { channel: number, threshold_dbfs });
    }
    let converted = !model.whole_frames;
    let delayed = converted && model.ratio.to_bits() == 1.0_f64.to_bits();
    let known = Known {
        source,
        gain,
        constant,
        changed: differs || constant != 0.0,
        limited: limit.is_some(),
        delayed,
    };
    let name = rest.name(case, number, &pairs, &known, converted);
    let follows = rest.follows(name.as_ref(), converted);
    let level_is_told =
        !matches!(name, Some(Finding::LevelVaries { .. } | Finding::Filtered { .. } | Finding::Coded { .. }));
    found.extend(name);
    if differs && level_is_told {
        found.push(Finding::Level { channel: number, db: gain_db });
    }
    // A threshold far above what is wrong all along; where that follows the sound, above the worst of it.
    let usual = if follows { rest.worst * 2.0 } else { (8.0 * rest.typical).max(1.5 * case.lsb) };
    model.found(found, follows);
    if let Some(channel) = model.channels.get_mut(channel) {
        channel.gain = gain;
        channel.constant = constant;
        channel.limit = limit.map(|(limit, gain)| limit * gain);
        // A sum of floats is rounded now and then, where a constant was added.
        let rounding =
            if known.changed && case.heard.format().sample.is_float() { 0.75 * case.lsb } else { 0.0 };
        let usual = if rest.differs == 0.0 { rounding } else { usual };
        channel.threshold = usual.max(case.tolerance);
    }
}

/// The level of all stretches together of which no more is left than `most` (RMS).
fn total_gain(pairs: &[Pair], gain: f64, constant: f64, most: f64) -> Option<f64> {
    let usual = pairs.iter().filter(|pair| Left::of(pair, gain, constant, &|_| true).rms <= most);
    let (mut squares, mut products) = (0.0, 0.0);
    for pair in usual {
        let moments = Moments::of(&pair.expected, &pair.heard);
        squares += moments.xx;
        products += moments.xy;
    }
    (squares > 0.0).then(|| products / squares)
}

/// Whether a filter explains nearly all that is wrong, also that the loudest samples are softer.
fn is_filtered(pairs: &[Pair], fit: &Fit) -> bool {
    filter::unexplained(pairs, fit.gain, fit.constant, f64::INFINITY) < 0.1
}

/// Parts of a decibel that samples are sorted by.
const BINS_PER_DB: f64 = 4.0;
const BINS: usize = 320;

/// Whether a level that wanders explains nearly all that is wrong, also that the loudest samples are softer.
fn wanders(pairs: &[Pair], fit: &Fit) -> bool {
    Local::of(pairs, fit.gain, fit.constant).is_some_and(|local| local.left < 0.1)
}

/// Whether the loudest samples are heard softer than the others.
fn is_behind(pairs: &[Pair], fit: &Fit) -> bool {
    let magnitudes = pairs.iter().flat_map(|pair| &pair.expected).map(|level| level.abs());
    let loud = magnitudes.fold(0.0, f64::max) * 0.96;
    let (mut products, mut squares) = (0.0, 0.0);
    for pair in pairs {
        for (expected, heard) in
            pair.expected.iter().zip(&pair.heard).filter(|(level, _)| level.abs() >= loud)
        {
            products += expected * (heard - fit.constant);
            squares += expected * expected;
        }
    }
    products < 0.97 * fit.gain * squares
}

/// A level from which on what is heard stays behind: that level, and the gain below it.
fn limit(case: &Case<'_>, pairs: &[Pair], fit: &Fit) -> Option<(f64, f64)> {
    // What is louder than expected loses no more than it did.
    let (gain, constant) = (fit.gain.abs().clamp(0.01, 1.0), fit.constant);
    let softest = 8.0 * case.lsb / gain;
    let mut bins = vec![(0_u64, 0.0, 0.0); BINS];
    let mut total = 0;
    for pair in pairs {
        for (expected, heard) in pair.expected.iter().zip(&pair.heard) {
            let heard = heard - constant;
            // What is silent, or of the other sign, no limiter made.
            if expected.abs() < softest || heard * expected <= expected * expected * gain * 0.3 {
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
    // Where the softer ones are all alike, a soft limiter shows from its threshold on.
    let slack = (5.0 * uneven / below).clamp(0.002, 0.015);
    let behind = |bin: &(u64, f64, f64)| gain(bin).is_none_or(|gain| gain < below * (1.0 - slack));
    let end = bins.get(loudest..)?.iter().position(|bin| !behind(bin))? + loudest;
    let limited: u64 = bins.get(loudest..end)?.iter().map(|bin| bin.0).sum();
    let top = gain(bins.get(loudest)?)?;
    let clear = top < below * 0.93 && below - top > 3.0 * uneven;
    let level = 10.0_f64.powf(-(end as f64) / BINS_PER_DB / 20.0);
    (clear && limited * 1000 >= total && end > loudest + 1).then_some((level, below))
}

/// Whether what is above the limit is heard near it, and not anyhow.
fn stays_high(pairs: &[Pair], (limit, gain): (f64, f64), constant: f64) -> bool {
    let (mut high, mut all) = (0_u64, 0_u64);
    for pair in pairs {
        for (expected, heard) in
            pair.expected.iter().zip(&pair.heard).filter(|(level, _)| level.abs() > limit)
        {
            let heard = heard - constant;
            all += 1;
            high += u64::from(heard * expected > 0.0 && heard.abs() > 0.8 * limit * gain);
        }
    }
    high * 20 >= all * 19
}

/// Where most is right to the bit: the level above which nearly every sample is heard lower, and below which
/// hardly any is. Few samples say that, if they are at several places.
fn ceiling(case: &Case<'_>, pairs: &[Pair]) -> Option<f64> {
    const PLACES: usize = 3;
    let lower = |expected: f64, heard: f64| {
        heard * expected > 0.0 && heard.abs() < expected.abs() && heard.abs() > expected.abs() * 0.3
    };
    let (mut wrong, mut limit, mut places) = (0_u64, f64::INFINITY, 0);
    for pair in pairs {
        let mut was_lower = false;
        for (expected, heard) in pair.expected.iter().zip(&pair.heard) {
            let differs = (expected - heard).abs() > case.tolerance;
            let is_lower = differs && lower(*expected, *heard);
            if is_lower {
                limit = limit.min(heard.abs());
                places += usize::from(!was_lower);
            }
            wrong += u64::from(differs && !is_lower);
            was_lower = is_lower;
        }
    }
    let (mut lowered, mut not, mut softer) = (0_u64, 0_u64, 0_u64);
    let room = limit * 1.01 + 2.0 * case.lsb;
    for pair in pairs {
        for (expected, heard) in pair.expected.iter().zip(&pair.heard) {
            let differs = (expected - heard).abs() > case.tolerance;
            if expected.abs() > room {
                lowered += u64::from(differs);
                not += u64::from(!differs);
            } else {
                softer += u64::from(differs && expected.abs() < limit);
            }
        }
    }
    let clear = (not + softer + wrong) * 20 <= lowered;
    (lowered >= 8 && clear && (places >= PLACES || is_curve(case, pairs, limit))).then_some(limit)
}

/// Whether what is above the limit is heard as a limiter makes it: the same level is always heard the same.
fn is_curve(case: &Case<'_>, pairs: &[Pair], limit: f64) -> bool {
    let mut loud = Pair { expected: Vec::new(), heard: Vec::new(), steady: None };
    for pair in pairs {
        for (expected, heard) in
            pair.expected.iter().zip(&pair.heard).filter(|(level, _)| level.abs() > limit)
        {
            loud.expected.push(expected.abs());
            loud.heard.push(heard.abs());
        }
    }
    let Some((slope, constant)) = line(&loud, |_| true) else { return false };
    let off = |(expected, heard): (&f64, &f64)| (heard - expected * slope - constant).abs() < 2.0 * case.lsb;
    slope < 0.5 && loud.expected.iter().zip(&loud.heard).all(off)
}

/// What is known of a channel.
struct Known {
    /// The expected channel.
    source: usize,
    gain: f64,
    constant: f64,
    /// Either of them is not that of the expected sound.
    changed: bool,
    /// There is a limiter.
    limited: bool,
    /// It comes a part of a frame later all along, and is not converted otherwise.
    delayed: bool,
}

/// What is left when all that is known is taken away.
struct Rest {
    /// RMS of the middle stretch.
    typical: f64,
    /// Worst of the stretches that are as most are.
    worst: f64,
    /// Part of the samples that differ.
    differs: f64,
    /// RMS of it, of the stretches that are as most are.
    rms: f64,
    /// Of the sound above it, dB, in those stretches.
    snr_db: f64,
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

impl Rest {
    fn of(pairs: &[Pair], gain: f64, constant: f64, below: &dyn Fn(f64) -> bool) -> Self {
        let stretches: Vec<Left> = pairs.iter().map(|pair| Left::of(pair, gain, constant, below)).collect();
        let typical = median(stretches.iter().map(|left| left.rms).collect());
        let usual = || stretches.iter().filter(|left| left.rms <= 3.0 * typical.max(1e-12));
        let worst = part_of(&mut usual().map(|left| left.worst).collect::<Vec<f64>>(), 0.9);
        let noise: f64 = usual().map(|left| left.rms.powi(2)).sum();
        let sound: f64 = usual().map(|left| left.sound.powi(2)).sum();
        let ratio = if noise > 0.0 { sound / noise } else { f64::INFINITY };
        Self {
            typical,
            worst,
            differs: median(stretches.iter().map(|left| left.differs).collect()),
            rms: (noise / usual().count().max(1) as f64).sqrt(),
            snr_db: 10.0 * ratio.log10(),
        }
    }

    /// The name of it; `None` for what is too little for one.
    fn name(
        &self,
        case: &Case<'_>,
        channel: u32,
        pairs: &[Pair],
        known: &Known,
        converted: bool,
    ) -> Option<Finding> {
        // Rounding, after what was changed.
        let rounding = if known.changed || converted { 0.75 * case.lsb } else { 0.0 };
        if known.delayed && is_delay_filter(pairs, known) {
            return Some(Finding::Filtered { channel, snr_db: self.snr_db });
        }
        if converted || self.differs < 0.05 || self.worst <= rounding.max(case.tolerance) {
            return None;
        }
        let dithered = 2.01 + if known.changed { 0.5 } else { 0.0 };
        if self.worst <= dithered * case.lsb {
            let (rms_lsb, worst_lsb) = (self.typical / case.lsb, self.worst / case.lsb);
            return Some(Finding::Dither { channel, rms_lsb, worst_lsb });
        }
        let (gain, constant) = (known.gain, known.constant);
        let snr_db = self.snr_db;
        let mut spectrum = Spectrum::new();
        for pair in pairs {
            spectrum.add(&pair.expected, &pair.heard);
        }
        let left_part = 1.0 / (1.0 + 10.0_f64.powf(snr_db / 10.0));
        let unexplained = spectrum.unexplained() / left_part;
        // A soft hum, or a chord, is fitted as well as a filter.
        let unexplained = if snr_db < FILTERED_DB {
            unexplained.min(filter::unexplained(pairs, gain, constant, 3.0 * self.typical))
        } else {
            unexplained
        };
        let local = Local::of(pairs, gain, constant).filter(|_| !known.limited);
        if let Some(Local { left, range: (least, most) }) = local
            && left < 0.2_f64.min(unexplained)
            && most > least * 1.06
        {
            let (min_db, max_db) = (db(least).unwrap_or(-200.0), db(most).unwrap_or(0.0));
            return Some(Finding::LevelVaries { channel, min_db, max_db });
        }
        if unexplained < 0.3 {
            return Some(Finding::Filtered { channel, snr_db });
        }
        if !known.limited && (follows(pairs, gain, constant) || grows_with_levels(pairs, gain, constant)) {
            return Some(Finding::Coded { channel, snr_db });
        }
        let snr_db = self.noise_below(case, known).unwrap_or(snr_db);
        let most = if known.limited { NOISE_DB - 20.0 } else { NOISE_DB };
        let something_else = known.limited || known.changed;
        (!something_else || snr_db < most).then_some(Finding::Noise { channel, snr_db })
    }

    /// How far below the whole sound it is: the stretches may be softer than that.
    fn noise_below(&self, case: &Case<'_>, known: &Known) -> Option<f64> {
        let facts = case.facts[0].channels.get(known.source)?;
        let (first, last) = case.facts[0].sounding()?;
        let sound = (facts.squares / (last + 1 - first) as f64).sqrt() * known.gain.abs();
        db(sound / self.rms.max(1e-30))
    }

    fn follows(&self, name: Option<&Finding>, converted: bool) -> bool {
        let names = matches!(
            name,
            Some(Finding::LevelVaries { .. } | Finding::Filtered { .. } | Finding::Coded { .. })
        );
        names || converted && self.snr_db < CONVERTED_DB
    }
}

/// Whether a shift by a part of a frame is only most of what a filter does.
fn is_delay_filter(pairs: &[Pair], known: &Known) -> bool {
    let stretches = pairs.iter().map(|pair| Left::of(pair, known.gain, known.constant, &|_| true));
    let (noise, sound) = stretches
        .fold((0.0, 0.0), |(noise, sound), left| (noise + left.rms.powi(2), sound + left.sound.powi(2)));
    noise * 10.0_f64.powf(DELAY_DB / 10.0) > sound
        && filter::unexplained(pairs, known.gain, known.constant, f64::INFINITY) < 0.3
}
