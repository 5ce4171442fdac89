//! The rules for our INF, each with a name, over a parsed INF. They are WAVERT.md 6.1 and Microsoft's pages
//! on INF sections; what InfVerif would say beyond them only Windows can tell.
//!
//! | module | rules |
//! |---|---|
//! | [`structure`] | encoding, sections, strings, what a driver that is run from the driver store may not do |
//! | [`package`] | version, decoration, files, service |
//! | [`device`] | registry values: of the device, its hardware key, its interfaces |

pub mod device;
pub mod package;
pub mod structure;

use crate::parse::{Entry, Inf, Section};
use std::fmt;

/// A broken rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The rule's name.
    pub rule: &'static str,
    /// Line of the INF, from 1; 0 for what is missing as a whole.
    pub line: usize,
    /// What is wrong, in a sentence.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.rule, self.what),
            line => write!(f, "line {line}: {}: {}", self.rule, self.what),
        }
    }
}

/// A rule: its name, and what finds where it is broken.
type Rule = (&'static str, fn(&Inf, &mut Findings));

/// Every rule over a parsed INF. Encoding and syntax come before, from the bytes.
pub const RULES: &[Rule] = &[
    ("sections", structure::sections),
    ("strings", structure::strings),
    ("universal", structure::universal),
    ("version", package::version),
    ("decoration", package::decoration),
    ("files", package::files),
    ("service", package::service),
    ("hardware-id", package::hardware_id),
    ("hkr", device::hkr),
    ("values", device::values),
    ("needs", device::needs),
    ("driver-key", device::driver_key),
    ("device-object", device::device_object),
    ("messages", device::messages),
    ("dma-remapping", device::dma_remapping),
    ("registry-values", device::registry_values),
    ("interfaces", device::interfaces),
    ("endpoint", device::endpoint),
    ("default-format", device::default_format),
    ("jack-names", device::jack_names),
];

/// Every way in which these bytes break the rules; empty for a good INF.
pub fn check(bytes: &[u8]) -> Vec<Violation> {
    let mut findings = Findings { rule: "encoding", found: vec![] };
    structure::encoding(bytes, &mut findings);
    let text = String::from_utf8_lossy(bytes);
    match Inf::parse(&text) {
        Ok(inf) => {
            for &(name, rule) in RULES {
                findings.rule = name;
                rule(&inf, &mut findings);
            }
        }
        Err(malformed) => {
            findings.rule = "syntax";
            findings.add(malformed.line, malformed.what);
        }
    }
    findings.found
}

/// What the rules found so far.
pub struct Findings {
    rule: &'static str,
    found: Vec<Violation>,
}

impl Findings {
    /// Adds one, under the rule that runs.
    pub fn add(&mut self, line: usize, what: impl Into<String>) {
        self.found.push(Violation { rule: self.rule, line, what: what.into() });
    }
}

/// What the manufacturer's line leads to.
pub(crate) struct Model<'a> {
    /// The models section: a line for each kind of card, all with the same install section.
    pub models: &'a Section,
    /// The first model's line: install section, hardware id.
    pub entry: &'a Entry,
}

/// The models of the INF, if its sections lead to them and they are installed alike.
pub(crate) fn model(inf: &Inf) -> Option<Model<'_>> {
    let [manufacturer] = &inf.section("Manufacturer")?.entries[..] else { return None };
    let name = format!("{}.{}", manufacturer.field(0), manufacturer.field(1));
    let models = inf.section(&name)?;
    let [entry, others @ ..] = &models.entries[..] else { return None };
    others.iter().all(|other| other.field(0) == entry.field(0)).then_some(Model { models, entry })
}

/// The hardware ids that the INF's models match; none when nothing leads to a model.
pub fn hardware_ids(inf: &Inf) -> Vec<String> {
    let entries = model(inf).map_or(&[][..], |model| &model.models.entries[..]);
    entries.iter().flat_map(|entry| entry.fields.iter().skip(1)).map(|field| inf.expand(field)).collect()
}

/// A section of the device: its install section for NT with a suffix, such as `.HW`.
pub(crate) fn device_section<'a>(inf: &'a Inf, suffix: &str) -> Option<&'a Section> {
    let install = model(inf)?.entry.field(0).to_owned();
    inf.section(&format!("{install}.NT{suffix}"))
}

/// The lines of all AddReg sections that a section names.
pub(crate) fn add_reg<'a>(inf: &'a Inf, section: Option<&'a Section>) -> Vec<&'a Entry> {
    let names = section.into_iter().flat_map(|section| section.entries_of("AddReg"));
    let names = names.flat_map(|entry| &entry.fields);
    names.filter_map(|name| inf.section(name)).flat_map(|section| &section.entries).collect()
}

/// Looks a registry value up among AddReg lines, with every token replaced: its flags and its data.
pub(crate) fn value(inf: &Inf, lines: &[&Entry], subkey: &str, name: &str) -> Option<(u32, Vec<String>)> {
    let same = |entry: &&&Entry| {
        inf.expand(entry.field(1)).eq_ignore_ascii_case(subkey)
            && inf.expand(entry.field(2)).eq_ignore_ascii_case(name)
    };
    let entry = lines.iter().find(same)?;
    let data = entry.fields.iter().skip(4).map(|field| inf.expand(field)).collect();
    Some((flags(entry)?, data))
}

/// The flags of an AddReg line; `None` when they are no number.
pub(crate) fn flags(entry: &Entry) -> Option<u32> {
    number(entry.field(3))
}

/// A number as an INF writes it; nothing is 0.
pub(crate) fn number(text: &str) -> Option<u32> {
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None if text.is_empty() => Some(0),
        None => text.parse().ok(),
    }
}
