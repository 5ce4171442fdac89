//! The guest's log lines (`tests/ntguest` documents them): its verdict, its violations, its pages.

use std::collections::BTreeMap;

/// A page range given to the driver, or taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageRange {
    /// First physical address.
    pub base: u64,
    /// Length in bytes.
    pub bytes: u64,
    /// Given to the driver (or taken back).
    pub given: bool,
}

/// What a guest's log says.
#[derive(Clone, Debug, Default)]
pub struct GuestLog {
    /// Page ranges by their mark.
    pub pages: BTreeMap<u64, PageRange>,
    /// Violations, as `rule=... detail`.
    pub violations: Vec<String>,
    /// Values of the `result` lines.
    pub results: BTreeMap<String, String>,
    /// What the guest counted in its last line; `None` if it never came so far.
    pub end: Option<End>,
    /// What the driver said to the kernel debugger.
    pub driver: Vec<String>,
}

/// The guest's last line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// Violations in all, also those that were not printed.
    pub violations: u64,
    /// The guest's own verdict.
    pub ok: bool,
}

impl GuestLog {
    /// Reads a log; lines that are not known are passed over.
    pub fn parse(text: &str) -> Self {
        let mut log = Self::default();
        for line in text.lines() {
            if let Some(said) = line.strip_prefix("driver: ") {
                log.driver.push(said.trim_end().to_owned());
            }
            let Some((kind, rest)) = line.strip_prefix("ntguest: ").and_then(|l| l.split_once(' ')) else {
                continue;
            };
            match kind {
                "violation" => log.violations.push(rest.trim_end().to_owned()),
                "result" => log.results.extend(pairs(rest).map(|(key, value)| (key.into(), value.into()))),
                "dma-alloc" | "dma-free" => log.page_line(rest, kind == "dma-alloc"),
                "end" => log.end = end(rest),
                _ => {}
            }
        }
        log
    }

    fn page_line(&mut self, rest: &str, given: bool) {
        let find = |key| pairs(rest).find(|(k, _)| *k == key).and_then(|(_, value)| number(value));
        if let (Some(mark), Some(base), Some(bytes)) = (find("mark"), find("base"), find("bytes")) {
            self.pages.insert(mark, PageRange { base, bytes, given });
        } else {
            self.violations.push(format!("rule=guest-log a line that cannot be read: {rest}"));
        }
    }

    /// A number from the result lines.
    pub fn result(&self, key: &str) -> Option<u64> {
        self.results.get(key).and_then(|value| number(value))
    }

    /// The names of the rules that were violated, in order, each once.
    pub fn rules(&self) -> Vec<&str> {
        let mut rules: Vec<&str> = Vec::new();
        for rule in self.violations.iter().filter_map(|v| pairs(v).find(|(k, _)| *k == "rule")) {
            if !rules.contains(&rule.1) {
                rules.push(rule.1);
            }
        }
        rules
    }
}

fn pairs(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.split_whitespace().filter_map(|word| word.split_once('='))
}

fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

fn end(rest: &str) -> Option<End> {
    let mut end = End { violations: 0, ok: false };
    for (key, value) in pairs(rest) {
        match key {
            "violations" => end.violations = number(value)?,
            "status" => end.ok = value == "ok",
            _ => {}
        }
    }
    Some(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_guest_says() {
        let log = GuestLog::parse(
            "BdsDxe: noise\n\
             ntguest: dma-alloc mark=1 base=0x1000 bytes=8192\n\
             driver: ringwave: hello\n\
             ntguest: violation rule=pool-leak tag=Rwav size=16\n\
             ntguest: result frames_in=480 packets=1\n\
             ntguest: dma-free mark=2 base=0x1000 bytes=8192\n\
             ntguest: end violations=1 status=failed\n",
        );
        assert_eq!(log.pages[&1], PageRange { base: 0x1000, bytes: 8192, given: true });
        assert!(!log.pages[&2].given);
        assert_eq!(log.rules(), ["pool-leak"]);
        assert_eq!(log.result("frames_in"), Some(480));
        assert_eq!(log.end, Some(End { violations: 1, ok: false }));
        assert_eq!(log.driver, ["ringwave: hello"]);
    }

    #[test]
    fn a_broken_page_line_is_a_violation_not_silence() {
        let log = GuestLog::parse("ntguest: dma-alloc mark=1 base=zebra bytes=8192\n");
        assert_eq!(log.rules(), ["guest-log"]);
    }
}
