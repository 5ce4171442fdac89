//! Rules for registry values: of the device's driver key, its hardware key, and its interfaces.

use super::{Findings, add_reg, device_section, flags, value};
use crate::facts;
use crate::parse::{Entry, Inf};
use ringwave_regs::pci::MSI_MESSAGES_MAX;

/// FLG_ADDREG_TYPE_DWORD.
const DWORD: u32 = 0x0001_0001;
/// FLG_ADDREG_NOCLOBBER: what is there already stays.
const KEEP: u32 = 2;
/// FLG_ADDREG_KEYONLY.
const KEY_ONLY: u32 = 0x10;
/// Where the keys for message-signaled interrupts are, below the hardware key.
const MESSAGES: &str = r"Interrupt Management\MessageSignaledInterruptProperties";
/// As the INF writes it.
const FILE_DEVICE_SOUND: &str = "0x0000001D";
/// SDDL_DEVOBJ_SYS_ALL_ADM_RWX_WORLD_RWX_RES_RWX.
const EVERYONE: &str = "D:P(A;;GA;;;SY)(A;;GRGWGX;;;BA)(A;;GRGWGX;;;WD)(A;;GRGWGX;;;RC)";
/// The set of PKEY_AudioEndpoint_*.
const AUDIO_ENDPOINT: &str = "{1DA5D803-D492-4EDD-8C23-E0C0FFEE7F0E}";
/// Name of PKEY_AudioEngine_OEMFormat.
const OEM_FORMAT: &str = "{E4870E26-3CC5-4CD2-BA46-CA0A9A70ED04},3";
/// The class of ksproxy.
const PROXY: &str = "{17CCA71B-ECD7-11D0-B908-00A0C9223196}";

/// All AddReg lines of the INF.
fn all_lines(inf: &Inf) -> Vec<&Entry> {
    inf.sections.iter().flat_map(|section| add_reg(inf, Some(section))).collect()
}

/// Nothing is written but below the keys that Windows hands to the INF.
pub fn hkr(inf: &Inf, findings: &mut Findings) {
    for entry in all_lines(inf) {
        if entry.field(0) != "HKR" || entry.key.is_some() {
            findings.add(entry.line, format!("writes to {:?}; only HKR is the device's own", entry.field(0)));
        }
    }
}

/// Flags are ones that this INF needs, with data of that type, and no value is written twice.
pub fn values(inf: &Inf, findings: &mut Findings) {
    for section in &inf.sections {
        let mut seen = vec![];
        for entry in add_reg(inf, Some(section)) {
            let data = entry.fields.get(4..).unwrap_or(&[]);
            let fits = match flags(entry) {
                // A text: one field.
                Some(0) => data.len() == 1,
                // Binary: bytes of two digits.
                Some(1) => {
                    !data.is_empty()
                        && data.iter().all(|byte| byte.len() == 2 && u8::from_str_radix(byte, 16).is_ok())
                }
                Some(DWORD) => matches!(data, [one] if super::number(one).is_some() && !one.is_empty()),
                Some(both) if both == DWORD | KEEP => matches!(data, [one] if super::number(one).is_some()),
                Some(KEY_ONLY) => data.is_empty() && entry.field(2).is_empty(),
                _ => false,
            };
            if !fits {
                findings.add(
                    entry.line,
                    format!("flags {:?} and the data do not fit each other", entry.field(3)),
                );
            }
            let name = (inf.expand(entry.field(1)).to_lowercase(), inf.expand(entry.field(2)).to_lowercase());
            if seen.contains(&name) {
                findings.add(entry.line, format!("{:?} is written twice", entry.field(2)));
            }
            seen.push(name);
        }
    }
}

/// The system's own sections for kernel streaming and for wdmaud. Without them names are wrong and endpoints
/// stay inactive.
pub fn needs(inf: &Inf, findings: &mut Findings) {
    let Some(install) = device_section(inf, "") else { return };
    for (key, names) in
        [("Include", ["ks.inf", "wdmaudio.inf"]), ("Needs", ["KS.Registration", "WDMAUDIO.Registration"])]
    {
        let fields = install.entry(key).map_or(&[][..], |entry| &entry.fields[..]);
        for name in names {
            if !fields.iter().any(|field| field.eq_ignore_ascii_case(name)) {
                findings.add(install.line, format!("{key} lacks {name}"));
            }
        }
    }
}

/// What makes the device one that the system's audio knows: its driver, and wdmaud for waves and mixers.
pub fn driver_key(inf: &Inf, findings: &mut Findings) {
    let Some(install) = device_section(inf, "") else { return };
    let lines = add_reg(inf, Some(install));
    let expected = [
        ("", "Driver", "ringwave.sys"),
        ("", "AssociatedFilters", "wdmaud,swmidi,redbook"),
        ("Drivers", "SubClasses", "wave,mixer"),
        (r"Drivers\wave\wdmaud.drv", "Driver", "wdmaud.drv"),
        (r"Drivers\mixer\wdmaud.drv", "Driver", "wdmaud.drv"),
    ];
    for (subkey, name, data) in expected {
        if value(inf, &lines, subkey, name) != Some((0, vec![data.into()])) {
            findings.add(install.line, format!("{subkey}:{name} is not the text {data:?}"));
        }
    }
}

/// The device object is a sound device that every client may open ("Specifying Security Descriptors in INF
/// files": `Security` as SDDL text).
pub fn device_object(inf: &Inf, findings: &mut Findings) {
    let hardware = device_section(inf, ".HW");
    let lines = add_reg(inf, hardware);
    let line = hardware.map_or(0, |section| section.line);
    let expected = [
        ("DeviceType", DWORD, FILE_DEVICE_SOUND, "FILE_DEVICE_SOUND"),
        ("Security", 0, EVERYONE, "the descriptor that lets everybody open the device"),
    ];
    for (name, flags, data, what) in expected {
        if value(inf, &lines, "", name) != Some((flags, vec![data.into()])) {
            findings.add(line, format!("the hardware key's {name} is not {what}"));
        }
    }
}

/// Message-signaled interrupts are asked for, as many as the card can have, in the hardware key; elsewhere
/// they would count for nothing.
pub fn messages(inf: &Inf, findings: &mut Findings) {
    let hardware = device_section(inf, ".HW");
    let lines = add_reg(inf, hardware);
    let line = hardware.map_or(0, |section| section.line);
    for (name, data) in
        [("MSISupported", "1".to_owned()), ("MessageNumberLimit", MSI_MESSAGES_MAX.to_string())]
    {
        if value(inf, &lines, MESSAGES, name) != Some((DWORD, vec![data.clone()])) {
            findings.add(line, format!("the hardware key's {name} is not the DWORD {data}"));
        }
    }
    for entry in all_lines(inf) {
        if entry.field(1).to_lowercase().starts_with("interrupt management") && !lines.contains(&entry) {
            findings.add(entry.line, "interrupt management counts in the hardware key (.HW) only");
        }
    }
}

/// The card is given raw physical addresses, so the driver opts out of DMA remapping, in both of the places
/// where Windows looks: without a value the system decides. The page "Enable DMA remapping for device
/// drivers": the device's value counts from 24H2 on, the service's before.
pub fn dma_remapping(inf: &Inf, findings: &mut Findings) {
    let service = device_section(inf, ".Services")
        .and_then(|services| services.entry("AddService"))
        .and_then(|add| inf.section(add.field(2)));
    let places = [
        (device_section(inf, ".HW"), "DMA Management", "RemappingSupported"),
        (service, "Parameters", "DmaRemappingCompatible"),
    ];
    for (section, subkey, name) in places {
        let line = section.map_or(0, |section| section.line);
        if value(inf, &add_reg(inf, section), subkey, name) != Some((DWORD, vec!["0".into()])) {
            findings.add(line, format!(r"{subkey}\{name} is not the DWORD 0"));
        }
    }
}

/// The values that the driver reads are there for people to find: in the hardware key, 0, and left alone by
/// an update.
pub fn registry_values(inf: &Inf, findings: &mut Findings) {
    let lines = add_reg(inf, device_section(inf, ".HW"));
    for name in facts::registry_values() {
        if value(inf, &lines, "", &name) != Some((DWORD | KEEP, vec!["0".into()])) {
            findings.add(0, format!("the hardware key's {name} is not the DWORD 0, kept when it is there"));
        }
    }
}

/// The categories that an endpoint needs, each with the name that the driver registers; and each interface
/// can be opened through ksproxy, and has a name that no other filter has.
pub fn interfaces(inf: &Inf, findings: &mut Findings) {
    let Some(section) = device_section(inf, ".Interfaces") else { return };
    let mut wanted: Vec<_> = facts::endpoints().iter().flat_map(facts::Endpoint::interfaces).collect();
    let mut named: Vec<(String, String)> = vec![];
    for entry in section.entries_of("AddInterface") {
        let pair = (inf.expand(entry.field(0)), inf.expand(entry.field(1)));
        match wanted.iter().position(|one| *one == pair) {
            Some(at) => {
                wanted.remove(at);
            }
            None => findings
                .add(entry.line, format!("{} of {:?} is not an interface of the driver", pair.0, pair.1)),
        }
        let lines = add_reg(inf, inf.section(entry.field(2)));
        if value(inf, &lines, "", "CLSID") != Some((0, vec![PROXY.into()])) {
            findings.add(entry.line, format!("the interface's CLSID is not {PROXY}"));
        }
        let name = value(inf, &lines, "", "FriendlyName").map_or_else(String::new, |(_, data)| data.concat());
        if name.is_empty() {
            findings.add(entry.line, "the interface has no FriendlyName");
        } else if named.iter().any(|(filter, other)| (*filter == pair.1) != (*other == name)) {
            findings.add(entry.line, format!("{name:?} is not the name of one filter in all its interfaces"));
        }
        named.push((pair.1, name));
    }
    for (category, name) in wanted {
        findings.add(section.line, format!("no interface {category} of {name:?}"));
    }
}

/// The jacks after the first of a kind have names of their own in the device's key, or all endpoints of a
/// kind are called the same.
pub fn jack_names(inf: &Inf, findings: &mut Findings) {
    let Some(install) = device_section(inf, "") else { return };
    let lines = add_reg(inf, Some(install));
    let mut seen = vec![];
    for jack in facts::endpoints().into_iter().filter_map(|endpoint| endpoint.jack) {
        match value(inf, &lines, &format!(r"MediaCategories\{jack}"), "Name") {
            Some((0, name)) if !name.concat().is_empty() && !seen.contains(&name) => seen.push(name),
            _ => findings.add(install.line, format!("the jack {jack} has no name of its own")),
        }
    }
}

/// The endpoint behind each topology filter's jack is of the jack's kind and can be driven by events; this
/// needs a DWORD under a name with a comma in it.
pub fn endpoint(inf: &Inf, findings: &mut Findings) {
    let Some(section) = device_section(inf, ".Interfaces") else { return };
    let endpoints = facts::endpoints();
    for entry in section.entries_of("AddInterface") {
        let name = inf.expand(entry.field(1));
        let Some(endpoint) = endpoints.iter().find(|endpoint| endpoint.topology == name) else { continue };
        let expected = [
            ("2", 0, endpoint.jack_category(), "is not the jack's category"),
            ("7", DWORD, "1".to_owned(), "(event-driven mode) is not the DWORD 1"),
        ];
        let lines = add_reg(inf, inf.section(entry.field(2)));
        for (property, flags, data, what) in &expected {
            let name = format!("{AUDIO_ENDPOINT},{property}");
            if value(inf, &lines, r"EP\0", &name) != Some((*flags, vec![data.clone()])) {
                findings.add(entry.line, format!(r"EP\0 of the topology interface: {name} {what}"));
            }
        }
    }
}

/// PKEY_AudioEngine_OEMFormat, if an endpoint has it, is the format that the driver proposes: a PROPVARIANT
/// of type VT_BLOB (0x41) that ends with the WAVEFORMATEXTENSIBLE.
pub fn default_format(inf: &Inf, findings: &mut Findings) {
    let Some(section) = device_section(inf, ".Interfaces") else { return };
    let endpoints = facts::endpoints();
    for entry in section.entries_of("AddInterface") {
        let name = inf.expand(entry.field(1));
        let Some(endpoint) = endpoints.iter().find(|endpoint| endpoint.topology == name) else { continue };
        let lines = add_reg(inf, inf.section(entry.field(2)));
        for line in lines.iter().filter(|line| inf.expand(line.field(2)).eq_ignore_ascii_case(OEM_FORMAT)) {
            let bytes: Option<Vec<u8>> = line
                .fields
                .get(4..)
                .unwrap_or(&[])
                .iter()
                .map(|byte| u8::from_str_radix(byte, 16).ok())
                .collect();
            let proposed = facts::proposed_format(endpoint.direction);
            if !bytes.is_some_and(|bytes| bytes.first() == Some(&0x41) && bytes.ends_with(&proposed)) {
                findings
                    .add(line.line, "PKEY_AudioEngine_OEMFormat is not the format that the driver proposes");
            }
        }
    }
}
