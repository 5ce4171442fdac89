//! What becomes of many points in time: a line through them, how far they are from it, and quantiles.

use std::fmt::{self, Write};

/// Names and numbers, as they go to the host: ` name=value` each.
#[derive(Default)]
pub struct Figures(String);

impl Figures {
    /// One more.
    pub fn add(&mut self, name: &str, value: impl fmt::Display) {
        // A String takes everything.
        let _ = write!(self.0, " {name}={value}");
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A moment in nanoseconds, and the position in frames at it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    pub time: f64,
    pub frames: f64,
}

/// The straight line through points, by least squares: its slope in nanoseconds per frame, and how late each
/// point is after the line, in nanoseconds. `None` if there is no line.
pub fn line(points: &[Point]) -> Option<(f64, Vec<f64>)> {
    let count = points.len() as f64;
    let mean = |of: fn(&Point) -> f64| points.iter().map(of).sum::<f64>() / count;
    let (time, frames) = (mean(|point| point.time), mean(|point| point.frames));
    let spread: f64 = points.iter().map(|point| (point.frames - frames).powi(2)).sum();
    let common: f64 = points.iter().map(|point| (point.frames - frames) * (point.time - time)).sum();
    if points.len() < 3 || spread <= 0.0 {
        return None;
    }
    let slope = common / spread;
    let late = points.iter().map(|point| point.time - time - slope * (point.frames - frames)).collect();
    Some((slope, late))
}

/// The value that `percent` percent do not exceed; 0 of nothing.
pub fn quantile(values: &[f64], percent: usize) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).or(sorted.last()).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_late_point_is_late_and_the_slope_is_kept() {
        let mut points: Vec<Point> =
            (0..101).map(|n| Point { time: f64::from(n) * 20_000.0 + 7.0, frames: f64::from(n) }).collect();
        points[50].time += 1000.0;
        let (slope, late) = line(&points).expect("a line");
        assert!((slope - 20_000.0).abs() < 0.01, "{slope}");
        assert!((quantile(&late, 100) - quantile(&late, 0) - 1000.0).abs() < 0.01);
        assert!(quantile(&late, 99) - quantile(&late, 0) < 0.01, "one of a hundred");
    }

    #[test]
    fn too_few_points_or_a_position_that_stands_have_no_line() {
        assert_eq!(line(&[Point { time: 1.0, frames: 1.0 }; 2]), None);
        assert_eq!(line(&[Point { time: 1.0, frames: 1.0 }; 5]), None);
        assert!(quantile(&[], 50).abs() < f64::EPSILON);
    }
}
