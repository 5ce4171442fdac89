//! Rules over the file as a whole.

use super::{Findings, device_section, model};
use crate::parse::{Entry, Inf};
use std::collections::BTreeSet;

/// ASCII, every line ended by CR LF: what every parser of INFs reads, and what the catalog's hash is over.
pub fn encoding(bytes: &[u8], findings: &mut Findings) {
    for (index, line) in bytes.split_inclusive(|&byte| byte == b'\n').enumerate() {
        let number = index + 1;
        let Some(content) = line.strip_suffix(b"\r\n") else {
            findings.add(number, "does not end in CR LF");
            continue;
        };
        if let Some(byte) = content.iter().find(|&&byte| byte != b'\t' && !(b' '..=b'~').contains(&byte)) {
            findings.add(number, format!("holds the byte {byte:#04x}, which is no printable ASCII"));
        }
    }
}

/// Sections that Windows looks for by their own names.
const WELL_KNOWN: &[&str] =
    &["Version", "Manufacturer", "SourceDisksNames", "SourceDisksFiles", "DestinationDirs", "Strings"];

/// Directives whose fields name sections.
const NAMING: &[&str] = &["CopyFiles", "AddReg"];

/// Every section that is referenced exists, once; every section is referenced, once known and never by
/// accident.
pub fn sections(inf: &Inf, findings: &mut Findings) {
    let mut referenced: BTreeSet<String> = WELL_KNOWN.iter().map(|name| name.to_ascii_lowercase()).collect();
    let mut refer = |line: usize, name: &str, findings: &mut Findings| {
        if inf.section(name).is_none() {
            findings.add(line, format!("[{name}] is referenced and does not exist"));
        }
        referenced.insert(name.to_ascii_lowercase());
    };
    for name in WELL_KNOWN {
        refer(0, name, findings);
    }
    for manufacturer in inf.section("Manufacturer").iter().flat_map(|section| &section.entries) {
        for decoration in manufacturer.fields.iter().skip(1) {
            refer(manufacturer.line, &format!("{}.{decoration}", manufacturer.field(0)), findings);
        }
    }
    if let Some(model) = model(inf) {
        for suffix in ["", ".HW", ".Services", ".Interfaces"] {
            refer(model.entry.line, &format!("{}.NT{suffix}", model.entry.field(0)), findings);
        }
    }
    for entry in inf.sections.iter().flat_map(|section| &section.entries) {
        for name in named_by(entry) {
            refer(entry.line, name, findings);
        }
    }
    let mut seen = BTreeSet::new();
    for section in &inf.sections {
        let name = section.name.to_ascii_lowercase();
        if !referenced.contains(&name) {
            findings.add(section.line, format!("nothing refers to [{}]", section.name));
        }
        if !seen.insert(name) {
            findings.add(section.line, format!("[{}] is here twice", section.name));
        }
    }
}

/// The sections that a line names.
fn named_by(entry: &Entry) -> Vec<&str> {
    if NAMING.iter().any(|key| entry.is(key)) {
        entry.fields.iter().map(String::as_str).filter(|name| !name.starts_with('@')).collect()
    } else if entry.is("AddInterface") || entry.is("AddService") {
        vec![entry.field(2)]
    } else {
        vec![]
    }
}

/// Every token has a string and every string is used by a token. A token without one is text to Windows, and
/// a name with percent signs in it.
pub fn strings(inf: &Inf, findings: &mut Findings) {
    let mut used = BTreeSet::new();
    let own = inf.section("Strings").map(|section| section.line);
    for section in inf.sections.iter().filter(|section| Some(section.line) != own) {
        for entry in &section.entries {
            for text in entry.key.iter().chain(&entry.fields) {
                for token in text.split('%').skip(1).step_by(2).filter(|token| !token.is_empty()) {
                    // %13% is a folder's number.
                    if token.parse::<u16>().is_err() && !inf.strings.contains_key(&token.to_ascii_lowercase())
                    {
                        findings.add(entry.line, format!("%{token}% has no line in [Strings]"));
                    }
                    used.insert(token.to_ascii_lowercase());
                }
            }
        }
    }
    for entry in inf.section("Strings").iter().flat_map(|section| &section.entries) {
        match &entry.key {
            Some(key) if used.contains(&key.to_ascii_lowercase()) => {}
            Some(key) => findings.add(entry.line, format!("nothing uses %{key}%")),
            None => findings.add(entry.line, "a line of [Strings] without '='"),
        }
    }
}

/// What reaches outside of the device's own keys and the driver store: none of it is allowed in a universal
/// driver.
const FORBIDDEN: &[&str] = &[
    "BitReg",
    "ClassInstall32",
    "CoInstallers32",
    "DelFiles",
    "DelReg",
    "DelService",
    "Ini2Reg",
    "LogConfigOverride",
    "ProfileItems",
    "RegisterDlls",
    "RenFiles",
    "UnregisterDlls",
    "UpdateInis",
    "UpdateIniFields",
];

/// Directives and sections that a driver which is run from the driver store may not have.
pub fn universal(inf: &Inf, findings: &mut Findings) {
    for section in &inf.sections {
        for entry in &section.entries {
            if let Some(name) = FORBIDDEN.iter().find(|name| entry.is(name)) {
                findings.add(entry.line, format!("{name} is not for a universal driver"));
            }
        }
        let lower = section.name.to_ascii_lowercase();
        if lower.ends_with(".coinstallers") || lower.starts_with("defaultinstall") {
            findings.add(section.line, format!("[{}] is not for a universal driver", section.name));
        }
    }
    if device_section(inf, "").is_none() {
        findings.add(0, "no model leads to an install section");
    }
}
