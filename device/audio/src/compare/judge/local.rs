//! Whether what is wrong follows the sound: a level that wanders, or errors that are large where the sound is
//! loud.

use super::channel::Pair;
use super::sums::{Moments, dot, energy};
use super::timing::{median, part_of};

/// Frames of a block: shorter than the blocks of codecs.
const BLOCK: usize = 64;
/// Blocks of which a level is told, so that what is left of few frames is no extreme.
const LEVEL_BLOCK: usize = 512;

/// The level as it goes, against one level all along.
pub(super) struct Local {
    /// The energy that is left of what one level leaves.
    pub(super) left: f64,
    /// The softest and the loudest, as factors.
    pub(super) range: (f64, f64),
}

impl Local {
    /// In each stretch the level that fits best, of those that go along a parabola.
    pub(super) fn of(pairs: &[Pair], gain: f64, constant: f64) -> Option<Self> {
        let (mut local, mut fixed, mut gains) = (0.0, 0.0, Vec::new());
        let mut counted = Vec::new();
        for pair in pairs {
            let heard: Vec<f64> = pair.heard.iter().map(|level| level - constant).collect();
            let left: Vec<f64> =
                pair.expected.iter().zip(&heard).map(|(expected, heard)| heard - expected * gain).collect();
            let Some(parabola) = parabola(&pair.expected, &heard) else { continue };
            let length = pair.expected.len();
            let at = |index: usize| {
                let t = index as f64 / length as f64 - 0.5;
                parabola[0] + t * (parabola[1] + t * parabola[2])
            };
            let rest = |(index, (expected, heard)): (usize, (&f64, &f64))| heard - expected * at(index);
            let left_now: Vec<f64> = pair.expected.iter().zip(&heard).enumerate().map(rest).collect();
            counted.push((energy(&left_now), energy(&left)));
            // Where hardly anything sounds, the parabola says nothing.
            let least = energy(&pair.expected) / length as f64 * 1e-2;
            let blocks = pair.expected.chunks_exact(LEVEL_BLOCK).enumerate();
            let sounding = blocks.filter(|(_, block)| energy(block) > least * block.len() as f64);
            gains.extend(sounding.map(|(number, _)| at(number * LEVEL_BLOCK + LEVEL_BLOCK / 2)));
        }
        // A stretch in which something is missing is no level.
        let mut parts: Vec<f64> = counted.iter().map(|(now, before)| now / before.max(1e-30)).collect();
        let usual = part_of(&mut parts, 0.5);
        for (now, before) in counted {
            if now <= before * usual * 8.0 {
                (local, fixed) = (local + now, fixed + before);
            }
        }
        if gains.len() < 8 || fixed <= 0.0 {
            return None;
        }
        let range = (part_of(&mut gains, 0.01), part_of(&mut gains, 0.99));
        (range.0 > 0.0).then_some(Self { left: local / fixed, range })
    }
}

/// The parabola (constant, slope, curve; from -1/2 to 1/2) by which `y` is `x` made louder, by least squares.
fn parabola(x: &[f64], y: &[f64]) -> Option<[f64; 3]> {
    let mut sums = [0.0; 5];
    let mut right = [0.0; 3];
    let length = x.len() as f64;
    for (index, (x, y)) in x.iter().zip(y).enumerate() {
        let t = index as f64 / length - 0.5;
        let (mut xx, mut xy) = (x * x, x * y);
        for sum in &mut sums {
            *sum += xx;
            xx *= t;
        }
        for right in &mut right {
            *right += xy;
            xy *= t;
        }
    }
    solve(sums, right)
}

/// Solves three equations whose matrix is that of a parabola's sums, by Cramer's rule.
fn solve(sums: [f64; 5], right: [f64; 3]) -> Option<[f64; 3]> {
    let matrix = [[sums[0], sums[1], sums[2]], [sums[1], sums[2], sums[3]], [sums[2], sums[3], sums[4]]];
    let determinant = |m: &[[f64; 3]; 3]| {
        m[0][0] * (m[1][1] * m[2][2] - m[1][2] * m[2][1]) - m[0][1] * (m[1][0] * m[2][2] - m[1][2] * m[2][0])
            + m[0][2] * (m[1][0] * m[2][1] - m[1][1] * m[2][0])
    };
    let all = determinant(&matrix);
    // Sound in a part of the stretch alone has no parabola.
    if all <= 1e-9 * (sums[0] / 12.0).powi(3) {
        return None;
    }
    Some(std::array::from_fn(|column| {
        let mut replaced = matrix;
        for (row, value) in replaced.iter_mut().zip(right) {
            row[column] = value;
        }
        determinant(&replaced) / all
    }))
}

/// Whether the errors of loud blocks are louder than those of soft ones.
pub(super) fn follows(pairs: &[Pair], gain: f64, constant: f64) -> bool {
    let mut blocks = Vec::new();
    for pair in pairs {
        for (expected, heard) in pair.expected.chunks_exact(BLOCK).zip(pair.heard.chunks_exact(BLOCK)) {
            let sound = Moments::of(expected, expected).xx.sqrt();
            let left: Vec<f64> = expected
                .iter()
                .zip(heard)
                .map(|(expected, heard)| heard - expected * gain - constant)
                .collect();
            if sound > 0.0 {
                blocks.push((sound, dot(&left, &left).sqrt()));
            }
        }
    }
    if blocks.len() < 32 {
        return false;
    }
    blocks.sort_unstable_by(|one, other| one.0.total_cmp(&other.0));
    let quarter = blocks.len() / 4;
    let middle_of = |blocks: &[(f64, f64)]| {
        let (mut sounds, mut errors): (Vec<f64>, Vec<f64>) = blocks.iter().copied().unzip();
        (part_of(&mut sounds, 0.5), part_of(&mut errors, 0.5).max(1e-12))
    };
    let (soft, loud) = (middle_of(&blocks[..quarter]), middle_of(&blocks[blocks.len() - quarter..]));
    let (sound, error) = ((loud.0 / soft.0).ln(), (loud.1 / soft.1).ln());
    // The steps of a codec are the same for all that is softer than some of them, so that a part does not
    // follow.
    error > 0.4 && error > 0.25 * sound
}

/// Whether the errors of loud samples are much louder than those of soft ones, from one quarter of the
/// samples to the next: steps that grow with the level (A-law, mu-law). The usual errors, for at a place all
/// are wrong.
pub(super) fn grows_with_levels(pairs: &[Pair], gain: f64, constant: f64) -> bool {
    const STEP: f64 = 1.25;
    const ALL: f64 = 3.0;
    let both = pairs.iter().flat_map(|pair| pair.expected.iter().zip(&pair.heard));
    let mut samples: Vec<(f64, f64)> =
        both.map(|(expected, heard)| (expected.abs(), (heard - expected * gain - constant).abs())).collect();
    samples.sort_unstable_by(|one, other| one.0.total_cmp(&other.0));
    let quarters = samples.chunks((samples.len() / 4).max(1)).take(4);
    let errors: Vec<f64> =
        quarters.map(|quarter| median(quarter.iter().map(|(_, error)| *error).collect())).collect();
    let &[soft, .., loud] = errors.as_slice() else { return false };
    errors.windows(2).all(|pair| pair[1] > pair[0] * STEP) && loud > soft * ALL
}
