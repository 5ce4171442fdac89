//! The expected sound between its frames: a windowed sinc.

use std::sync::LazyLock;

use super::levels::{Levels, Planar};
use super::sums::dot;

/// Frames to either side that a level between frames is made of.
const REACH: usize = 24;
/// Entries of the table per frame.
const STEPS: usize = 512;
/// Shape of the Kaiser window: what is folded back is 100 dB down.
const KAISER: f64 = 10.0;
/// Steps that are so near to 1 need no other filter: drift, not conversion.
const SAME_RATE: f64 = 0.01;

/// Frames after which the weights of a conversion may be the same again.
const AGAIN_MAX: usize = 640;

/// Taps of a level.
const TAPS: usize = 2 * REACH;
/// The weights of the taps, for each part of a frame.
static TABLE: LazyLock<Vec<[f64; TAPS]>> = LazyLock::new(|| {
    let row = |step: usize| {
        let part = step as f64 / STEPS as f64;
        std::array::from_fn(|tap| kernel(tap as f64 - (REACH as f64 - 1.0) - part))
    };
    (0..=STEPS).map(row).collect()
});

fn sinc(x: f64) -> f64 {
    let x = x * std::f64::consts::PI;
    if x.abs() < 1e-9 { 1.0 } else { x.sin() / x }
}

/// The modified Bessel function of order 0, by its series.
fn bessel(x: f64) -> f64 {
    let (mut sum, mut term) = (1.0, 1.0);
    for k in 1..60 {
        term *= (x / 2.0 / f64::from(k)).powi(2);
        sum += term;
    }
    sum
}

/// The kernel at a distance in frames.
fn kernel(distance: f64) -> f64 {
    let edge = 1.0 - (distance / REACH as f64).powi(2);
    if edge <= 0.0 { 0.0 } else { sinc(distance) * bessel(KAISER * edge.sqrt()) / bessel(KAISER) }
}

/// The weights at a part of a frame, between two rows of the table.
fn weights(part: f64, into: &mut [f64; TAPS]) {
    let place = part * STEPS as f64;
    let row = (place as usize).min(STEPS - 1);
    let rest = place - row as f64;
    if let Some([one, next]) = TABLE.get(row..row + 2) {
        for (into, (one, next)) in into.iter_mut().zip(one.iter().zip(next)) {
            *into = one + (next - one) * rest;
        }
    }
}

/// `count` levels of every channel at the positions `from`, `from + step` and so on, in frames.
pub(super) fn at_positions(levels: &Levels<'_>, from: f64, step: f64, count: usize) -> Planar {
    if step.to_bits() == 1.0_f64.to_bits() && from.fract() == 0.0 {
        return levels.read(from as i64, count);
    }
    if (step - 1.0).abs() > SAME_RATE {
        return converted(levels, from, step, count);
    }
    let [planar] = interpolated(levels, from, step, count, [weights]);
    planar
}

/// As [`at_positions`], and by how much each level changes per frame.
pub(super) fn with_slope(levels: &Levels<'_>, from: f64, step: f64, count: usize) -> (Planar, Planar) {
    if (step - 1.0).abs() > SAME_RATE {
        const BY: f64 = 0.25;
        let [before, after] = [from - BY, from + BY].map(|from| at_positions(levels, from, step, count));
        let slope = |(before, after): (&Vec<f64>, &Vec<f64>)| {
            before.iter().zip(after).map(|(before, after)| (after - before) / (2.0 * BY)).collect()
        };
        let slopes = before.iter().zip(&after).map(slope).collect();
        return (at_positions(levels, from, step, count), slopes);
    }
    let [planar, slopes] = interpolated(levels, from, step, count, [weights, weight_slopes]);
    (planar, slopes)
}

/// Puts the weights of the taps at a part of a frame in their place.
type Weights = fn(f64, &mut [f64; TAPS]);

/// `count` levels of every channel, once with each of these weights.
fn interpolated<const N: usize>(
    levels: &Levels<'_>,
    from: f64,
    step: f64,
    count: usize,
    kinds: [Weights; N],
) -> [Planar; N] {
    let reach = REACH as i64;
    let begin = from.floor() as i64 - reach;
    let source = levels.read(begin, (count as f64 * step).ceil() as usize + TAPS + 2);
    let mut planars = kinds.map(|_| vec![vec![0.0; count]; levels.channels()]);
    let mut weights = [[0.0; TAPS]; N];
    let weigh = |part: f64, weights: &mut [[f64; TAPS]; N]| {
        kinds.iter().zip(weights).for_each(|(weigh, into)| weigh(part, into));
    };
    let steady = step.to_bits() == 1.0_f64.to_bits();
    if steady {
        weigh(from - from.floor(), &mut weights);
    }
    for index in 0..count {
        let position = from + index as f64 * step;
        let whole = position.floor();
        if !steady {
            weigh(position - whole, &mut weights);
        }
        let first = (whole as i64 - begin - reach + 1) as usize;
        for (channel, source) in source.iter().enumerate() {
            let Some(taps) = source.get(first..).and_then(<[f64]>::first_chunk::<TAPS>) else { continue };
            for (planar, weights) in planars.iter_mut().zip(&weights) {
                planar[channel][index] = dot(taps, weights);
            }
        }
    }
    planars
}

/// By how much the weights change per frame.
fn weight_slopes(part: f64, into: &mut [f64; TAPS]) {
    let row = ((part * STEPS as f64) as usize).min(STEPS - 1);
    if let Some([one, next]) = TABLE.get(row..row + 2) {
        for (into, (one, next)) in into.iter_mut().zip(one.iter().zip(next)) {
            *into = (next - one) * STEPS as f64;
        }
    }
}

/// As [`at_positions`], for another rate: toward a lower one the filter is as much wider.
fn converted(levels: &Levels<'_>, from: f64, step: f64, count: usize) -> Planar {
    let scale = (1.0 / step).min(1.0) * 0.97;
    let reach = (REACH as f64 / scale).ceil() as i64;
    let begin = from.floor() as i64 - reach;
    let length = ((count as f64 * step).ceil() as i64 + 2 * reach + 2) as usize;
    let source = levels.read(begin, length);
    let taps = (2 * reach + 1) as usize;
    // The rates are in a ratio of whole numbers: after so many frames the weights are the same again.
    let again =
        (1..=AGAIN_MAX).find(|frames| ((*frames as f64 * step).round() - *frames as f64 * step).abs() < 1e-9);
    let mut planar = vec![vec![0.0; count]; levels.channels()];
    // The weights of the frames up to that, and the first level that each is about.
    let (mut weights, mut firsts) = (Vec::new(), Vec::new());
    for index in 0..count {
        let number = index % again.unwrap_or(usize::MAX);
        let first = if let Some(first) = firsts.get(number) {
            // The same weights, so many whole frames later: a position that is whole but for rounding has one place.
            first + ((index - number) as f64 * step).round() as i64
        } else {
            let position = from + index as f64 * step - begin as f64;
            let first = position.floor() as i64 - reach + 1;
            if again.is_some() {
                firsts.push(first);
            } else {
                weights.clear();
            }
            let weight = |tap| fast_kernel((position - (first + tap as i64) as f64) * scale) * scale;
            weights.extend((0..taps).map(weight));
            first
        };
        let row = if again.is_none() { 0 } else { number * taps };
        let weights = weights.get(row..row + taps).unwrap_or_default();
        let first = usize::try_from(first).unwrap_or(0);
        for (into, source) in planar.iter_mut().zip(&source) {
            let levels = source.get(first..).unwrap_or_default();
            if let Some(into) = into.get_mut(index) {
                *into = dot(levels, weights);
            }
        }
    }
    planar
}

/// [`kernel`] from the table.
fn fast_kernel(distance: f64) -> f64 {
    let distance = distance.abs();
    let whole = distance.floor();
    let place = (distance - whole) * STEPS as f64;
    let row = (place as usize).min(STEPS - 1);
    // At part `p` the tap REACH - 1 - n is at distance n + p.
    let tap = (REACH - 1).checked_sub(whole as usize);
    match (tap, TABLE.get(row..row + 2)) {
        (Some(tap), Some([one, next])) => one[tap] + (next[tap] - one[tap]) * (place - row as f64),
        _ => 0.0,
    }
}
