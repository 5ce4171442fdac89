//! Rules for what is installed: version, decoration, files, service.

use super::{Findings, device_section, model, number};
use crate::facts;
use crate::parse::{Inf, Section};

/// The oldest build whose Windows can run a driver from the driver store (DIRID 13): 10.0.16299.
const OLDEST_BUILD: u32 = 16_299;

/// `[Version]`: class MEDIA, a catalog, a version that is the workspace's, PnpLockdown.
pub fn version(inf: &Inf, findings: &mut Findings) {
    let Some(section) = inf.section("Version") else { return };
    let expected = [
        ("Signature", "$WINDOWS NT$"),
        ("Class", "MEDIA"),
        ("ClassGuid", "{4d36e96c-e325-11ce-bfc1-08002be10318}"),
        ("CatalogFile", "ringwave.cat"),
        ("PnpLockdown", "1"),
    ];
    for (key, value) in expected {
        expect(inf, findings, section, key, value);
    }
    if section.entry("Provider").is_none_or(|entry| inf.expand(entry.field(0)).is_empty()) {
        findings.add(section.line, "no Provider");
    }
    let Some(entry) = section.entry("DriverVer") else {
        findings.add(section.line, "no DriverVer");
        return;
    };
    let parts: Vec<&str> = entry.field(0).split('/').collect();
    let date = match parts[..] {
        [month, day, year] => facts::Date::new(year, month, day),
        _ => None,
    };
    if date.is_none() || entry.field(0).len() != "MM/DD/YYYY".len() {
        findings.add(entry.line, format!("DriverVer's date {:?} is not MM/DD/YYYY", entry.field(0)));
    }
    if entry.field(1) != facts::version() {
        let what =
            format!("DriverVer's version is {:?}, the workspace's is {}", entry.field(1), facts::version());
        findings.add(entry.line, what);
    }
}

/// The section has the key once, with this one value.
fn expect(inf: &Inf, findings: &mut Findings, section: &Section, key: &str, value: &str) {
    match section.entry(key) {
        Some(entry) if inf.expand(entry.field(0)).eq_ignore_ascii_case(value) && entry.fields.len() == 1 => {}
        Some(entry) => findings.add(entry.line, format!("{key} is not {value}")),
        None => findings.add(section.line, format!("not exactly one {key}")),
    }
}

/// The models are for x64 and for a Windows 10 that knows the driver store's folder as a destination.
pub fn decoration(inf: &Inf, findings: &mut Findings) {
    let Some(section) = inf.section("Manufacturer") else { return };
    let [entry] = &section.entries[..] else {
        findings.add(section.line, "not exactly one manufacturer");
        return;
    };
    let build = entry.field(1).strip_prefix("NTamd64.10.0...").and_then(|build| build.parse::<u32>().ok());
    if build.is_none_or(|build| build < OLDEST_BUILD) || entry.fields.len() != 2 {
        findings.add(
            entry.line,
            format!("the decoration is not one NTamd64.10.0...BUILD, {OLDEST_BUILD} or later"),
        );
    }
    if model(inf).is_none() {
        findings.add(entry.line, "it does not lead to a section of models with one install section");
    }
}

/// The models are the cards that the driver finds by their ids, each with that id alone.
pub fn hardware_id(inf: &Inf, findings: &mut Findings) {
    if let Some(model) = model(inf) {
        let ids = facts::hardware_ids();
        let entries = &model.models.entries;
        for (entry, id) in entries.iter().zip(&ids) {
            if inf.expand(entry.field(1)) != *id || entry.fields.len() != 2 {
                findings.add(entry.line, format!("the hardware id is not {id} alone"));
            }
        }
        if entries.len() != ids.len() {
            findings.add(model.models.line, format!("not exactly {} models", ids.len()));
        }
    }
}

/// Every file that is copied has a source disk and goes to the driver store; every file of the source is
/// copied.
pub fn files(inf: &Inf, findings: &mut Findings) {
    let lines = |name| inf.section(name).map_or(&[][..], |section| &section.entries[..]);
    let lists: Vec<&Section> = inf
        .sections
        .iter()
        .flat_map(|section| section.entries_of("CopyFiles"))
        .flat_map(|entry| &entry.fields)
        .filter_map(|name| inf.section(name))
        .collect();
    let copied = copied(&lists);
    let (disks, sources) = (lines("SourceDisksNames"), lines("SourceDisksFiles"));
    if copied.is_empty() {
        findings.add(0, "no file is copied");
    }
    for (line, file) in &copied {
        if !sources.iter().any(|source| source.is(file)) {
            findings.add(*line, format!("{file} is not in [SourceDisksFiles]"));
        }
    }
    for source in sources {
        let file = source.key.as_deref().unwrap_or("");
        if !copied.iter().any(|(_, name)| name.eq_ignore_ascii_case(file)) {
            findings.add(source.line, format!("{file} is copied nowhere"));
        }
        if !disks.iter().any(|disk| disk.is(source.field(0))) {
            findings.add(source.line, format!("disk {:?} is not in [SourceDisksNames]", source.field(0)));
        }
    }
    let destinations = lines("DestinationDirs");
    for list in &lists {
        if !destinations.iter().any(|entry| entry.is(&list.name) && entry.fields == ["13"]) {
            findings.add(list.line, format!("[{}] does not go to the driver store (DIRID 13)", list.name));
        }
    }
    for entry in destinations {
        if !lists.iter().any(|list| entry.is(&list.name)) {
            // DefaultDestDir too: it would count for the INFs that are included.
            findings.add(entry.line, "a destination of no file list");
        }
    }
}

/// The files of these lists, with their lines.
fn copied(lists: &[&Section]) -> Vec<(usize, String)> {
    let entries = lists.iter().flat_map(|list| &list.entries);
    entries.map(|entry| (entry.line, entry.field(0).to_owned())).collect()
}

/// One kernel service, started on demand, that is the device's function driver and whose image is a copied
/// file in the driver store.
pub fn service(inf: &Inf, findings: &mut Findings) {
    let Some(services) = device_section(inf, ".Services") else { return };
    let Some(add) = services.entry("AddService") else {
        findings.add(services.line, "not exactly one AddService");
        return;
    };
    if number(add.field(1)) != Some(2) {
        findings.add(add.line, "the service is not the function driver (flag 2)");
    }
    let Some(section) = inf.section(add.field(2)) else { return };
    for (key, value) in [("ServiceType", "1"), ("StartType", "3"), ("ErrorControl", "1")] {
        expect(inf, findings, section, key, value);
    }
    let binary = section.entry("ServiceBinary").map_or("", |entry| entry.field(0));
    let file = binary.strip_prefix(r"%13%\").unwrap_or("");
    let sources = inf.section("SourceDisksFiles");
    if !sources.is_some_and(|sources| sources.entries.iter().any(|entry| entry.is(file))) {
        findings.add(
            section.line,
            format!("ServiceBinary {binary:?} is no file of the driver store (%13%) that is copied"),
        );
    }
}
