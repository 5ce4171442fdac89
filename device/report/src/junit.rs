//! A report that CI servers read: JUnit's XML, one suite.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

/// One test case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestCase {
    /// What was tested.
    pub name: String,
    /// How long it took.
    pub time: Duration,
    /// Why it failed; `None`: it did not.
    pub failure: Option<String>,
    /// What it said.
    pub output: String,
}

impl TestCase {
    /// One of which nothing but its result is to be told.
    pub fn new(name: impl Into<String>, failure: Option<String>) -> Self {
        Self { name: name.into(), time: Duration::ZERO, failure, output: String::new() }
    }
}

/// The report of a suite.
pub fn report(suite: &str, cases: &[TestCase]) -> String {
    let failures = cases.iter().filter(|case| case.failure.is_some()).count();
    let time: f64 = cases.iter().map(|case| case.time.as_secs_f64()).sum();
    let suite = escaped(suite);
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    // Writing to a string does not fail.
    let _ = writeln!(
        xml,
        "<testsuite name=\"{suite}\" tests=\"{}\" failures=\"{failures}\" errors=\"0\" skipped=\"0\" time=\"{time:.3}\">",
        cases.len()
    );
    for case in cases {
        let (name, time) = (escaped(&case.name), case.time.as_secs_f64());
        let _ = writeln!(xml, "  <testcase classname=\"{suite}\" name=\"{name}\" time=\"{time:.3}\">");
        if let Some(failure) = &case.failure {
            let first = failure.lines().next().unwrap_or_default();
            let (message, text) = (escaped(first), escaped(failure));
            let _ = writeln!(xml, "    <failure message=\"{message}\">{text}</failure>");
        }
        if !case.output.is_empty() {
            let _ = writeln!(xml, "    <system-out>{}</system-out>", escaped(&case.output));
        }
        xml.push_str("  </testcase>\n");
    }
    xml.push_str("</testsuite>\n");
    xml
}

/// Writes it, replacing what was there.
pub fn write(path: &Path, suite: &str, cases: &[TestCase]) -> std::io::Result<()> {
    std::fs::write(path, report(suite, cases))
}

/// Text that XML takes; control characters that it can't have are question marks.
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(letter),
            control if control.is_control() => out.push('?'),
            '\u{FFFE}' | '\u{FFFF}' => out.push('?'),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_was_said_the_report_is_xml_with_the_right_numbers() {
        let case = |name: &str, failure: Option<&str>| TestCase {
            name: name.into(),
            time: Duration::from_millis(1500),
            failure: failure.map(Into::into),
            output: "a < b & \"c\" \u{1}".into(),
        };
        let xml = report("ring<wave", &[case("good", None), case("bad", Some("first\nsecond & third"))]);
        assert!(xml.contains("<testsuite name=\"ring&lt;wave\" tests=\"2\" failures=\"1\""), "{xml}");
        assert!(xml.contains("time=\"3.000\"") && xml.contains("time=\"1.500\""), "{xml}");
        assert!(xml.contains("<failure message=\"first\">first\nsecond &amp; third</failure>"), "{xml}");
        assert!(xml.contains("a &lt; b &amp; &quot;c&quot; ?"), "{xml}");
        assert!(!xml.chars().any(|letter| letter.is_control() && letter != '\n'), "{xml}");
    }
}
