//! Whether a filter explains what is wrong, sample by sample: the one that fits best, by least squares.
//!
//! Beside the spectra ([`super::spectrum`]), for what is short, or whose sound is in few frequencies: an
//! average of few transforms sees these through the side lobes of its window.

use super::channel::Pair;
use super::sums::{dot, energy};

/// Taps to either side.
const REACH: usize = 48;
const TAPS: usize = 2 * REACH + 1;
/// So much of the sound's energy is added to the diagonal: what is in no frequency of the sound is no
/// filter's.
const LEAST: f64 = 1e-9;

type Row = [f64; TAPS];

/// The part of what `gain` and `constant` leave that is left when the sound is filtered instead: of all these
/// stretches, or of those of which no more is left (RMS) than `usual`, whichever is less.
pub(super) fn unexplained(pairs: &[Pair], gain: f64, constant: f64, usual: f64) -> f64 {
    let Some(filter) = fitted(pairs, constant) else { return 1.0 };
    let mut sums = [(0.0, 0.0); 2];
    for pair in pairs {
        let Some((expected, heard)) = inner(pair) else { continue };
        let both = expected.iter().zip(heard);
        let plain: Vec<f64> = both.map(|(expected, heard)| heard - constant - expected * gain).collect();
        let windows = steady(pair).windows(TAPS).zip(heard);
        let filtered: Vec<f64> =
            windows.map(|(expected, heard)| heard - constant - dot(expected, &filter)).collect();
        let (filtered, plain_energy) = (energy(&filtered), energy(&plain));
        let is_usual = plain_energy <= usual * usual * plain.len() as f64;
        for (sum, counts) in sums.iter_mut().zip([true, is_usual]) {
            if counts {
                *sum = (sum.0 + filtered, sum.1 + plain_energy);
            }
        }
    }
    let parts = sums.into_iter().filter(|(_, plain)| *plain > 0.0);
    parts.map(|(filtered, plain)| filtered / plain).fold(1.0, f64::min)
}

/// The expected sound beside which one filter can explain all stretches.
fn steady(pair: &Pair) -> &[f64] {
    pair.steady.as_ref().unwrap_or(&pair.expected)
}

/// The frames of a stretch that have all taps around them.
fn inner(pair: &Pair) -> Option<(&[f64], &[f64])> {
    let end = pair.expected.len().checked_sub(REACH)?;
    Some((pair.expected.get(REACH..end)?, pair.heard.get(REACH..end)?))
}

/// The taps, in the order of the expected samples that they weigh. `None`: there is too little sound.
fn fitted(pairs: &[Pair], constant: f64) -> Option<Row> {
    let (mut matrix, mut right, mut frames) = (vec![[0.0; TAPS]; TAPS], [0.0; TAPS], 0);
    for pair in pairs {
        let Some((_, heard)) = inner(pair) else { continue };
        frames += heard.len();
        let heard: Vec<f64> = heard.iter().map(|level| level - constant).collect();
        let expected = steady(pair);
        let of_tap = |tap: usize| &expected[tap..tap + heard.len()];
        let first: Row = std::array::from_fn(|tap| dot(of_tap(0), of_tap(tap)));
        add_products(&mut matrix, &first, expected, heard.len());
        for (tap, right) in right.iter_mut().enumerate() {
            *right += dot(of_tap(tap), &heard);
        }
    }
    let trace: f64 = (0..TAPS).map(|tap| matrix[tap][tap]).sum();
    (0..TAPS).for_each(|tap| matrix[tap][tap] += trace * LEAST);
    if frames < 8 * TAPS { None } else { solved(matrix, right) }
}

/// Adds the products of the samples of each two taps: each from that of the two before, but for both ends.
fn add_products(matrix: &mut [Row], first: &Row, levels: &[f64], count: usize) {
    for (distance, first) in first.iter().enumerate() {
        let mut product = *first;
        for tap in 0..TAPS - distance {
            if let Some(before) = tap.checked_sub(1) {
                let end = before + count;
                product += levels[end] * levels[end + distance] - levels[before] * levels[before + distance];
            }
            matrix[tap + distance][tap] += product;
        }
    }
}

/// By Cholesky's decomposition; the lower half of the matrix counts.
fn solved(mut matrix: Vec<Row>, mut right: Row) -> Option<Row> {
    for row in 0..TAPS {
        for column in 0..=row {
            let rest = matrix[row][column] - dot(&matrix[row][..column], &matrix[column][..column]);
            if row > column {
                matrix[row][column] = rest / matrix[column][column];
            } else if rest > 0.0 {
                matrix[row][row] = rest.sqrt();
            } else {
                return None;
            }
        }
        right[row] = (right[row] - dot(&matrix[row][..row], &right[..row])) / matrix[row][row];
    }
    for row in (0..TAPS).rev() {
        let behind: f64 = (row + 1..TAPS).map(|other| matrix[other][row] * right[other]).sum();
        right[row] = (right[row] - behind) / matrix[row][row];
    }
    Some(right)
}
