//! What ntguest needs from another driver's INF: which PCI functions it is for, the registry values that
//! setup would write, and the reference strings of its interfaces, which the names of the driver's subdevices
//! have to match.
//!
//! Read are the sections that setup reads on x64 ("INF Models Section", "INF `DDInstall` Section", "INF
//! `AddReg` Directive" of Microsoft's documentation): the models of every decoration, and of each install
//! section the variants `.ntamd64`, `.nt` and without. `Include` and `Needs` name INFs of Windows, which are
//! not here.

use ringwave_inf::parse::{Entry, Inf, Malformed, Section};

/// Where the hardware key says whether the device gets messages, and how many at most ("Enabling
/// Message-Signaled Interrupts in the Registry").
const MESSAGES: &str = r"Interrupt Management\MessageSignaledInterruptProperties";
/// The most that MSI-X has.
const MOST_MESSAGES: u32 = 2048;
/// `FLG_ADDREG_TYPE_DWORD`.
const DWORD: u32 = 0x0001_0001;

/// A PCI function by vendor and device.
pub type PciId = (u16, u16);

/// What an INF says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The PCI functions it is for, in the file's order, each once.
    pub pci: Vec<PciId>,
    /// DWORD values of the driver's key and of its service's `Parameters`, the first of each name.
    pub values: Vec<(String, u32)>,
    /// How many messages the device may get: `MessageNumberLimit` if `MSISupported` is 1, else 0; `None`
    /// without an INF that has a PCI function.
    pub messages: Option<u32>,
    /// Reference strings of its interfaces, each once.
    pub interfaces: Vec<String>,
}

/// Reads the bytes of an INF: UTF-16 with a byte order mark, UTF-8, or a code page of which only ASCII
/// matters here.
///
/// # Errors
/// Where the text is no INF.
pub fn read(bytes: &[u8]) -> Result<Facts, Malformed> {
    let inf = Inf::parse(&text(bytes))?;
    if inf.section("Version").is_none() {
        return Err(Malformed { line: 1, what: "there is no section [Version]" });
    }
    let (mut facts, mut interrupts) = (Facts::default(), Vec::new());
    for model in models(&inf) {
        for id in model.fields.iter().skip(1).filter_map(|field| pci_id(&inf.expand(field))) {
            add(&mut facts.pci, id);
        }
        for install in variants(&inf, model.field(0), "") {
            values(&inf, install, &[""], &mut facts.values);
        }
        for hardware in variants(&inf, model.field(0), ".HW") {
            values(&inf, hardware, &[MESSAGES], &mut interrupts);
        }
        for interfaces in variants(&inf, model.field(0), ".Interfaces") {
            for entry in interfaces.entries_of("AddInterface") {
                add(&mut facts.interfaces, inf.expand(entry.field(1)));
            }
        }
        for services in variants(&inf, model.field(0), ".Services") {
            let sections = services.entries_of("AddService").map(|entry| entry.field(2));
            for service in sections.filter_map(|name| inf.section(name)) {
                values(&inf, service, &["", "Parameters"], &mut facts.values);
            }
        }
    }
    facts.messages = (!facts.pci.is_empty()).then(|| messages(&interrupts));
    Ok(facts)
}

/// What the values of the subkey [`MESSAGES`] come to.
fn messages(values: &[(String, u32)]) -> u32 {
    let of = |name: &str| values.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, v)| *v);
    if of("MSISupported") == Some(1) { of("MessageNumberLimit").unwrap_or(MOST_MESSAGES) } else { 0 }
}

fn text(bytes: &[u8]) -> String {
    let units = |rest: &[u8], unit: fn([u8; 2]) -> u16| {
        let units: Vec<u16> = rest.as_chunks().0.iter().map(|pair| unit(*pair)).collect();
        String::from_utf16_lossy(&units)
    };
    match bytes {
        [0xFF, 0xFE, rest @ ..] => units(rest, u16::from_le_bytes),
        [0xFE, 0xFF, rest @ ..] => units(rest, u16::from_be_bytes),
        [0xEF, 0xBB, 0xBF, rest @ ..] => String::from_utf8_lossy(rest).into_owned(),
        _ => String::from_utf8_lossy(bytes).into_owned(),
    }
}

fn add<T: PartialEq>(list: &mut Vec<T>, one: T) {
    if !list.contains(&one) {
        list.push(one);
    }
}

/// The lines of every models section that `[Manufacturer]` names, whatever its decoration:
/// `description = install section, hardware id, ...`.
fn models(inf: &Inf) -> impl Iterator<Item = &Entry> {
    let makers = inf.section("Manufacturer").into_iter().flat_map(|section| &section.entries);
    let names: Vec<String> = makers.map(|entry| entry.field(0).to_ascii_lowercase()).collect();
    let of_models = move |section: &&Section| {
        let own = section.name.to_ascii_lowercase();
        names.iter().any(|name| {
            own.strip_prefix(name.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        })
    };
    inf.sections.iter().filter(of_models).flat_map(|section| &section.entries)
}

/// The variants of an install section with a suffix: `[Name.NTamd64.Services]` and so on.
fn variants<'a>(inf: &'a Inf, name: &'a str, suffix: &'a str) -> impl Iterator<Item = &'a Section> {
    let decorations = [".NTamd64", ".NT", ""];
    decorations.into_iter().filter_map(move |decoration| inf.section(&format!("{name}{decoration}{suffix}")))
}

/// Takes the DWORDs that the `AddReg` sections of `section` write to these keys below HKR.
fn values(inf: &Inf, section: &Section, keys: &[&str], values: &mut Vec<(String, u32)>) {
    let lists = section.entries_of("AddReg").flat_map(|entry| &entry.fields);
    for entry in lists.filter_map(|name| inf.section(name)).flat_map(|section| &section.entries) {
        let at = |index| inf.expand(entry.field(index));
        let (key, name) = (at(1), at(2));
        let ours = at(0).eq_ignore_ascii_case("HKR")
            && keys.iter().any(|one| one.eq_ignore_ascii_case(&key))
            && number(&at(3)) == Some(DWORD);
        if let (true, Some(value)) = (ours, number(&at(4)))
            && !name.is_empty()
            && !values.iter().any(|(known, _)| known.eq_ignore_ascii_case(&name))
        {
            values.push((name, value));
        }
    }
}

fn number(text: &str) -> Option<u32> {
    match text.trim().to_ascii_lowercase().strip_prefix("0x") {
        Some(hex) => u32::from_str_radix(hex, 16).ok(),
        None => text.trim().parse().ok(),
    }
}

/// `PCI\VEN_1234&DEV_5257` with anything behind it.
fn pci_id(id: &str) -> Option<PciId> {
    let id = id.to_ascii_uppercase();
    let rest = id.strip_prefix("PCI\\VEN_")?;
    let (vendor, rest) = rest.split_at_checked(4)?;
    let (device, _) = rest.strip_prefix("&DEV_")?.split_at_checked(4)?;
    Some((u16::from_str_radix(vendor, 16).ok()?, u16::from_str_radix(device, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const INF: &str = r#"
[Version]
Signature = "$WINDOWS NT$"
[Manufacturer]
%Maker% = Sound, NTamd64.10.0...17763
[Sound.NTamd64.10.0...17763]
%Card% = Card, PCI\VEN_1234&DEV_5257&SUBSYS_00011234, PCI\VEN_1234&DEV_5257
%Other% = Card, PCI\VEN_8086&DEV_293E
[Card.NT]
AddReg = Card.Add, \
    Card.More
[Card.Add]
HKR,,Alpha,0x00010001,0x2A
HKR,,Text,,hello
HKR,Elsewhere,Hidden,0x00010001,1
[Card.More]
HKR,,beta,65537,7
HKR,,ALPHA,0x00010001,9
[Card.NT.Services]
AddService = card, 2, Card.Service
[Card.Service]
AddReg = Card.Parameters
[Card.Parameters]
HKR,Parameters,Gamma,0x00010001,3
[Card.NT.Interfaces]
AddInterface = {6994AD04-93EF-11D0-A3CC-00A0C9223196}, %Wave%, Card.I
AddInterface = {65E8773E-8F56-11D0-A3B9-00A0C9223196}, "Wave", Card.I
AddInterface = {6994AD04-93EF-11D0-A3CC-00A0C9223196}, Topo, Card.I
[Strings]
Maker="M"
Wave="Wave"
"#;

    #[test]
    fn what_setup_would_do_is_read() {
        let facts = read(INF.as_bytes()).expect("an INF");
        assert_eq!(facts.pci, [(0x1234, 0x5257), (0x8086, 0x293e)]);
        let values = [("Alpha".to_owned(), 42), ("beta".to_owned(), 7), ("Gamma".to_owned(), 3)];
        assert_eq!(facts.values, values);
        assert_eq!(facts.interfaces, ["Wave", "Topo"]);
        assert_eq!(facts.messages, Some(0), "an INF that does not ask for messages gets the line");
    }

    #[test]
    fn messages_are_asked_for_in_the_hardware_key() {
        let with = |lines: &str| {
            let key = format!("HKR,{MESSAGES},");
            let lines: Vec<String> = lines.lines().map(|line| format!("{key}{line}")).collect();
            let text = format!("{INF}[Card.NT.HW]\nAddReg = Card.Hw\n[Card.Hw]\n{}\n", lines.join("\n"));
            read(text.as_bytes()).expect("an INF").messages
        };
        assert_eq!(with("MSISupported,0x00010001,1"), Some(2048));
        assert_eq!(with("MSISupported,0x00010001,1\nMessageNumberLimit,0x00010001,5"), Some(5));
        assert_eq!(with("MSISupported,0x00010001,0\nMessageNumberLimit,0x00010001,5"), Some(0));
    }

    #[test]
    fn a_file_in_utf_16_is_read_alike() {
        let mut bytes = vec![0xFF, 0xFE];
        bytes.extend(INF.encode_utf16().flat_map(u16::to_le_bytes));
        assert_eq!(read(&bytes), read(INF.as_bytes()));
    }

    #[test]
    fn what_is_no_inf_is_told_with_its_line() {
        assert_eq!(read(b"MZ\x90\x00\n").expect_err("no INF").line, 1);
        assert_eq!(read(b"[package]\nname = x\n").expect_err("another file").line, 1);
    }

    #[test]
    fn our_own_inx_names_our_cards() {
        // Its marks stand where values will be; the interfaces are theirs.
        let facts = read(include_bytes!("../../../../driver/ringwave.inx")).expect("an INF");
        assert_eq!(facts.pci, [(0x1234, 0x5257), (0x1af4, 0x1059)]);
        assert!(!facts.interfaces.is_empty());
    }
}
