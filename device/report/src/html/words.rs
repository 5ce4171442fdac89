//! Numbers as a person reads them.

use super::numbers::f64_of;
use crate::words::plural;

/// `2400` as `2,400`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let first = digits.len() % 3;
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && index % 3 == first {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `1 frame`, `2,400 frames`.
pub fn count(number: u64, what: &str) -> String {
    format!("{} {}", grouped(number), plural(number, what))
}

/// `2,400 frames (50.0 ms)`.
pub fn span(frames: u64, rate: f64) -> String {
    format!("{} ({})", count(frames, "frame"), length(f64_of(frames) / rate.max(1.0)))
}

/// A figure in three digits: `0.12`, `12.3`, `123`.
pub fn short(value: f64) -> String {
    match value.abs() {
        ..10.0 => format!("{value:.2}"),
        ..100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

/// A length of time: `21 µs`, `50.0 ms`, `3.200 s`, `12:03.500 min`.
pub fn length(seconds: f64) -> String {
    match seconds {
        s if s < 0.001 => format!("{:.0} µs", s * 1e6),
        s if s < 1.0 => format!("{:.1} ms", s * 1e3),
        s if s < 120.0 => format!("{s:.3} s"),
        s => format!("{:.0}:{:06.3} min", (s / 60.0).floor(), s % 60.0),
    }
}

/// A moment in a sound: `3.200 s`, `12:03.500`.
pub fn moment(seconds: f64) -> String {
    if seconds < 120.0 {
        format!("{seconds:.3} s")
    } else {
        format!("{:.0}:{:06.3} min", (seconds / 60.0).floor(), seconds % 60.0)
    }
}

/// A level: `-12.3 dBFS`.
pub fn level(peak: f64) -> String {
    if peak > 0.0 { format!("{:.1} dBFS", 20.0 * peak.log10()) } else { "silence".to_owned() }
}

/// A command line as a shell reads it.
pub fn shell_line(words: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    let words: Vec<_> = words.into_iter().collect();
    // Without the zero bytes that no argument of a process can have.
    shlex::Quoter::new().allow_nul(true).join(words.iter().map(AsRef::as_ref)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        let all: Vec<String> = [0, 12, 999, 1000, 240_000, 1_234_567].map(grouped).into();
        assert_eq!(all, ["0", "12", "999", "1,000", "240,000", "1,234,567"]);
        assert_eq!(span(2400, 48_000.0), "2,400 frames (50.0 ms)");
        assert_eq!(span(1, 48_000.0), "1 frame (21 µs)");
        assert_eq!(moment(723.5), "12:03.500 min");
        assert_eq!(shell_line(["a b", "it's", "c.wav"]), r#"'a b' "it's" c.wav"#);
    }
}
