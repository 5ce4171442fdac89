//! What a driver engineer wants to know of a run: how far the driver came, what it registered, which rules it
//! broke and where they come from, and what it said itself.

use std::{collections::BTreeMap, fmt, path::PathBuf};

use super::{Device, Request, inf::Facts, inf::PciId};
use crate::{guest_log::GuestLog, machine::Outcome};

/// The rules with their meaning and source are kept where they are documented.
const RULES: &str = include_str!("../../../../tests/ntguest/README.md");
/// Of one rule so many violations are printed in full.
const VIOLATIONS_SHOWN: usize = 5;
/// So many of the driver's last lines are printed.
const DEBUG_LINES_SHOWN: usize = 12;

/// All that a run showed.
#[derive(Clone, Debug)]
pub struct Report {
    rows: Vec<(&'static str, String)>,
    violations: Vec<String>,
    debug_output: Vec<String>,
    passed: bool,
    /// The run's folder, if it was kept.
    folder: Option<PathBuf>,
}

impl Report {
    /// From the guest's log, parsed and as it is.
    pub(super) fn new(
        request: &Request,
        facts: &Facts,
        pci: Option<PciId>,
        outcome: Option<Outcome>,
        guest: GuestLog,
        text: &str,
        output_written: bool,
    ) -> Self {
        let info = GuestInfo {
            lines: text.lines().filter_map(|line| line.strip_prefix("ntguest: info ")).collect(),
        };
        let mut rows = info.rows(request, facts, pci);
        rows.push(("ended", describe_outcome(outcome, &guest)));
        if output_written && let Some(out) = &request.out {
            let what = if request.client == "record" { "recorded" } else { "heard by the card" };
            rows.push((what, out.display().to_string()));
        }
        for (key, value) in &guest.results {
            rows.push(("", format!("{key}={value}")));
        }
        // In the guest every driver is ringwave.sys.
        let name = request.sys.file_name().unwrap_or_default().to_string_lossy();
        let named = |line: &String| line.replace("ringwave.sys", &name);
        let mut violations: Vec<String> = guest.violations.iter().map(named).collect();
        violations.extend(info.unlisted(facts));
        let passed = outcome == Some(Outcome::Ok) && violations.is_empty();
        Self { rows, violations, debug_output: guest.driver, passed, folder: None }
    }

    /// With the run's folder, if it was kept.
    pub(super) fn kept(self, folder: Option<PathBuf>) -> Self {
        Self { folder, ..self }
    }

    /// The driver did what the client wanted, and broke no rule.
    pub fn passed(&self) -> bool {
        self.passed
    }
}

fn describe_outcome(outcome: Option<Outcome>, guest: &GuestLog) -> String {
    match (outcome, &guest.end) {
        (None, _) => "not in time: the guest was stopped".into(),
        (Some(Outcome::Ok), _) => "well: the client was served, the driver unloaded, nothing is left".into(),
        (Some(Outcome::Crashed), _) => "by a fault or bug check; the last violation says which".into(),
        (Some(Outcome::BadInput), _) => "before the driver was run; --keep leaves the guest's log".into(),
        (Some(_), Some(end)) if end.violations > 0 => "unloaded, with violations".into(),
        (Some(_), _) => "unloaded; the client was not served".into(),
    }
}

/// The guest's lines of information.
struct GuestInfo<'a> {
    lines: Vec<&'a str>,
}

impl GuestInfo<'_> {
    fn with<'b>(&'b self, prefix: &'b str) -> impl Iterator<Item = &'b str> {
        self.lines.iter().filter_map(move |line| line.strip_prefix(prefix))
    }

    /// Names of the registered subdevices.
    fn subdevices(&self) -> Vec<&str> {
        self.with("subdevice \"").filter_map(|rest| rest.strip_suffix("\" registered")).collect()
    }

    fn rows(&self, request: &Request, facts: &Facts, pci: Option<PciId>) -> Vec<(&'static str, String)> {
        let name = request.sys.file_name().unwrap_or_default().display();
        let imports = self.lines.iter().find_map(|line| line.split_once(" imports ")).map(|(_, n)| n);
        let mut rows = vec![("driver", format!("{name}, {} imports", imports.unwrap_or("?")))];
        for missing in self.with("unresolved import ") {
            rows.push(("not offered", missing.to_owned()));
        }
        let kind = match &request.device {
            Device::Ringwave => "the Ringwave card",
            Device::None => "without hardware",
            Device::Qemu(device) => device.split(',').next().unwrap_or(device),
        };
        let id = pci.map_or("ROOT".to_owned(), |(vendor, device)| format!("{vendor:04x}:{device:04x}"));
        rows.push(("device", format!("{id}, {kind}")));
        for line in self.with("card ") {
            rows.push(("", line.to_owned()));
        }
        if request.inf.is_some() {
            let values: Vec<String> =
                facts.values.iter().map(|(name, value)| format!("{name}={value}")).collect();
            rows.push((
                "INF: registry values",
                if values.is_empty() { "none".into() } else { values.join(" ") },
            ));
            rows.push(("INF: interfaces", facts.interfaces.join(", ")));
            if pci.is_some_and(|pci| !facts.pci.contains(&pci)) {
                rows.push((
                    "INF: hardware ids",
                    "the device's is not among them: Windows would not install it".into(),
                ));
            }
        }
        for failed in ["DriverEntry failed: ", "the device did not start: "] {
            rows.extend(self.with(failed).map(|status| ("failed", format!("{failed}{status}"))));
        }
        rows.push(("subdevices", self.subdevices().join(", ")));
        rows.extend(self.with("endpoint: ").map(|endpoint| ("endpoint", endpoint.to_owned())));
        rows.push(("client", request.client.clone()));
        rows
    }

    /// Subdevices that no interface of the INF names: Windows' clients would not find them.
    fn unlisted(&self, facts: &Facts) -> Vec<String> {
        let listed = |name: &&str| facts.interfaces.iter().any(|known| known.eq_ignore_ascii_case(name));
        let names =
            self.subdevices().into_iter().filter(|name| !facts.interfaces.is_empty() && !listed(name));
        names
            .map(|name| {
                format!(
                    "rule=inf-interface subdevice \"{name}\" has no AddInterface with this reference string"
                )
            })
            .collect()
    }
}

/// What the documentation says of a rule: second and third cell of its row in README.md.
fn meaning(rule: &str) -> Option<(&'static str, &'static str)> {
    let (_, rules) = RULES.split_once("\n## Rules\n")?;
    rules.lines().filter(|line| line.starts_with("| `")).find_map(|line| {
        let mut cells = line.trim_matches('|').split(" | ").map(str::trim);
        let named = cells.next()?.trim_matches('`') == rule;
        named.then(|| Some((cells.next()?, cells.next()?)))?
    })
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in &self.rows {
            writeln!(f, "  {name:<22} {value}")?;
        }
        let mut rules: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for violation in &self.violations {
            let (rule, detail) = violation.split_once(' ').unwrap_or((violation, ""));
            rules.entry(rule.strip_prefix("rule=").unwrap_or(rule)).or_default().push(detail);
        }
        writeln!(f, "  {:<22} {} of {} rules", "violations", self.violations.len(), rules.len())?;
        for (rule, details) in rules {
            writeln!(f, "\n  ! {rule} ({})", details.len())?;
            if let Some((meaning, source)) = meaning(rule) {
                writeln!(f, "    {meaning} [{source}]")?;
            }
            for detail in details.iter().take(VIOLATIONS_SHOWN) {
                writeln!(f, "      {detail}")?;
            }
            if details.len() > VIOLATIONS_SHOWN {
                writeln!(f, "      and {} more", details.len() - VIOLATIONS_SHOWN)?;
            }
        }
        if !self.debug_output.is_empty() {
            writeln!(f, "\n  the driver's last words to the debugger ({} lines)", self.debug_output.len())?;
            for line in
                self.debug_output.iter().skip(self.debug_output.len().saturating_sub(DEBUG_LINES_SHOWN))
            {
                writeln!(f, "    {line}")?;
            }
        }
        if let Some(folder) = &self.folder {
            writeln!(f, "\n  {:<22} {}", "kept", folder.display())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const LOG: &str = "ntguest: info ringwave.sys at 0xfffff80012301000 bytes 0x1d000 relocations 235 imports 31\n\
        ntguest: info card 1234:5257 at 00:02.0 command 0x0406 messages 1\n\
        driver: hello\n\
        ntguest: info subdevice \"Wave\" registered\n\
        ntguest: info subdevice \"Topo\" registered\n\
        ntguest: violation rule=pool-leak tag=Abcd size=16\n\
        ntguest: violation rule=pool-leak tag=Abcd size=32 by ringwave.sys+0x1234\n\
        ntguest: end violations=2 status=failed\n";

    fn report(interfaces: &[&str]) -> Report {
        let request = Request {
            audiodev: "wav".into(),
            sys: "some/driver.sys".into(),
            inf: Some("driver.inf".into()),
            device: Device::Qemu("intel-hda,id=x".into()),
            pci: None,
            client: "none".into(),
            wav: PathBuf::new(),
            values: vec![],
            harsh: false,
            out: None,
            config: vec![],
            processors: 1,
            time: crate::machine::GuestTime::Host,
            limit: Duration::ZERO,
            keep: false,
        };
        let interfaces = interfaces.iter().map(|name| (*name).to_owned()).collect();
        let facts = Facts {
            pci: vec![(0x8086, 0x2668)],
            values: vec![("A".into(), 1)],
            messages: Some(0),
            interfaces,
        };
        Report::new(
            &request,
            &facts,
            Some((0x8086, 0x2668)),
            Some(Outcome::Failed),
            GuestLog::parse(LOG),
            LOG,
            false,
        )
    }

    #[test]
    fn rules_are_told_once_with_their_details() {
        let report = report(&["Wave", "topo"]);
        let text = report.to_string();
        assert!(!report.passed());
        assert!(text.contains("violations             2 of 1 rules"), "{text}");
        assert!(text.contains("! pool-leak (2)"), "{text}");
        assert!(text.contains("tag=Abcd size=32 by driver.sys+0x1234"), "{text}");
        assert!(
            text.contains("still allocated after the driver was unloaded [bug check 0xC4 (0x62)]"),
            "{text}"
        );
        assert!(text.contains("driver.sys, 31 imports") && text.contains("8086:2668, intel-hda"), "{text}");
        assert!(text.contains("    hello"), "{text}");
    }

    #[test]
    fn the_meaning_of_a_rule_is_that_of_its_row_whatever_other_tables_say() {
        // Also a key of ntguest.cfg.
        assert!(meaning("volume").is_some_and(|(meaning, _)| meaning.contains("volume node")));
        let (_, source) = meaning("x87").expect("a row");
        assert!(source.starts_with("bug check 0x7F") && !source.contains('|'), "{source}");
        assert_eq!(meaning("no-such-rule"), None);
    }

    #[test]
    fn a_subdevice_that_the_inf_does_not_name_is_a_violation() {
        assert!(report(&["Wave"]).to_string().contains("! inf-interface (1)"));
        assert!(!report(&["Wave", "Topo"]).to_string().contains("inf-interface"));
    }
}
