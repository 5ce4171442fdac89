//! Counts as the numbers that are drawn.

/// Exact for everything that is counted here: frames of a file, packets and nanoseconds of a run fit 52 bits.
#[allow(clippy::cast_precision_loss, reason = "they fit 52 bits")]
pub fn f64_of(count: u64) -> f64 {
    count as f64
}
