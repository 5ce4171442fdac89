//! One line of figures, and how several measurements become one.

use serde::Serialize;

/// Several measurements of the same.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// The one in the middle.
    pub median: f64,
    /// The least.
    pub least: f64,
    /// The greatest.
    pub greatest: f64,
}

impl Spread {
    /// Of these; all 0 if there are none.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut sorted: Vec<f64> = values.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        Self { median: quantile(&sorted, 50), least: quantile(&sorted, 0), greatest: quantile(&sorted, 100) }
    }
}

/// The value that `percent` percent of `sorted` do not exceed; 0 of nothing.
pub(super) fn quantile(sorted: &[f64], percent: usize) -> f64 {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).or(sorted.last()).copied().unwrap_or(0.0)
}

/// One line of figures.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The figure's name.
    pub figure: &'static str,
    /// What was measured.
    pub case: String,
    /// In [`Row::unit`].
    pub value: Spread,
    /// Unit of the value.
    pub unit: &'static str,
    /// The value over what [`Row::of`] names, both from the same round; `None` where there is nothing to
    /// compare it with.
    pub ratio: Option<Spread>,
    /// What it is a ratio of, or by what it was measured.
    pub of: &'static str,
    /// The value over what the same could reach at the very best, where that is less than what [`Row::of`]
    /// names.
    pub ceiling: Option<Spread>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_the_nearest_rank() {
        let hundred: Vec<f64> = (1..=100_u8).map(f64::from).collect();
        for (percent, value) in [(0, 1.0), (50, 50.0), (99, 99.0), (100, 100.0)] {
            assert!((quantile(&hundred, percent) - value).abs() < 1e-9, "{percent}");
        }
        assert!(quantile(&[], 50).abs() < 1e-9);
        assert_eq!(Spread::of([3.0, 1.0, 2.0]), Spread { median: 2.0, least: 1.0, greatest: 3.0 });
    }
}
