//! Machines that run, or wait: whether a card in them can reach their memory. It is the mistake that
//! everybody makes once: without shared memory QEMU starts, and the card plays nothing but silence.

use std::path::Path;

use serde_json::Value;

use crate::cli::findings::Finding;

/// Devices that are a card of ours, and whether the memory has to be sealed for them.
const CARDS: [(&str, bool); 2] = [("vfio-user-pci", false), ("vhost-user-snd", true)];

/// Every QEMU below `proc` that has a card.
pub fn look(proc: &Path) -> Vec<Finding> {
    let entries = std::fs::read_dir(proc).into_iter().flatten().flatten();
    let mut machines: Vec<(u32, Vec<String>)> = entries
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let line = std::fs::read(entry.path().join("cmdline")).ok()?;
            let arguments =
                line.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned());
            Some((pid, arguments.collect()))
        })
        .filter(|(_, arguments): &(u32, Vec<String>)| is_qemu(arguments))
        .collect();
    machines.sort_by_key(|(pid, _)| *pid);
    let findings: Vec<Finding> =
        machines.iter().filter_map(|(pid, arguments)| machine(*pid, arguments)).collect();
    if findings.is_empty() {
        let next = "guest RAM has to be shared: -machine memory-backend=ram -object memory-backend-memfd,id=ram,size=4G,share=on";
        return vec![Finding::note(
            "machines: none with a card runs, or none that this user may look at",
            next,
        )];
    }
    findings
}

fn is_qemu(arguments: &[String]) -> bool {
    let name = |argument: &String| argument.rsplit('/').next().unwrap_or_default().to_owned();
    let first = arguments.first().map(name).unwrap_or_default();
    let is_loader = first.starts_with("ld-") || first == "ld.so";
    // Proxmox VE and older Debians start it as kvm. Behind a loader it is not the first word; behind others,
    // like timeout, it is a process of its own.
    first == "kvm"
        || first.starts_with("qemu-")
        || is_loader && arguments.iter().take(6).any(|argument| name(argument).starts_with("qemu-"))
}

/// The values of an option of QEMU, wherever it stands.
fn values<'a>(arguments: &'a [String], option: &'a str) -> impl Iterator<Item = &'a str> {
    let is_it =
        move |word: &str| word.strip_prefix('-').is_some_and(|name| name.trim_start_matches('-') == option);
    arguments.windows(2).filter_map(move |pair| match pair {
        [word, value] if is_it(word) => Some(value.as_str()),
        _ => None,
    })
}

/// A property in either of QEMU's two ways to write them.
fn property(value: &str, name: &str) -> Option<String> {
    if value.starts_with('{') {
        let json: Value = serde_json::from_str(value).ok()?;
        return match json.get(name)? {
            Value::String(text) => Some(text.clone()),
            Value::Bool(on) => Some(if *on { "on" } else { "off" }.to_owned()),
            other => Some(other.to_string()),
        };
    }
    value
        .split(',')
        .filter_map(|part| part.split_once('='))
        .find(|(key, _)| *key == name)
        .map(|(_, text)| text.to_owned())
}

/// The type of a device or object: its first word.
fn kind(value: &str) -> String {
    let word = || value.split(',').next().unwrap_or_default().to_owned();
    property(value, "driver").or_else(|| property(value, "qom-type")).unwrap_or_else(word)
}

fn is_on(value: Option<String>, otherwise: bool) -> bool {
    value.map_or(otherwise, |value| matches!(value.as_str(), "on" | "yes" | "true"))
}

/// `None`: it has no card.
fn machine(pid: u32, arguments: &[String]) -> Option<Finding> {
    let devices: Vec<String> = values(arguments, "device").map(kind).collect();
    let cards: Vec<&(&str, bool)> =
        CARDS.iter().filter(|(card, _)| devices.iter().any(|device| device.starts_with(card))).collect();
    let sealed = cards.iter().any(|(_, sealed)| *sealed);
    let names: Vec<&str> = cards.iter().map(|(card, _)| *card).collect();
    if names.is_empty() {
        return None;
    }
    let who = format!("machine {pid} with {}", names.join(" and "));
    Some(match memory(arguments, sealed) {
        Ok(()) => Finding::ok(format!("{who}: its memory is shared")),
        // As Incus has it: what is not on the command line may stand in the file.
        Err(_) if values(arguments, "readconfig").next().is_some() => Finding::note(
            format!("{who}: a file of -readconfig has its memory"),
            "look there for the memory's object: it wants share = \"on\", as Incus writes it",
        ),
        Err((why, next)) => Finding::missing(format!("{who}: {why}"), next),
    })
}

/// Whether the card reaches the memory: else why not, and what to write.
fn memory(arguments: &[String], sealed: bool) -> Result<(), (String, &'static str)> {
    const SHARE: &str = "end it and start it with -machine memory-backend=ram -object memory-backend-memfd,id=ram,size=...,share=on";
    const SEAL: &str =
        "end it and start it without seal=off and hugetlb=on: the virtio card reads the rings as memory";
    let named = values(arguments, "machine")
        .chain(values(arguments, "M"))
        .find_map(|m| property(m, "memory-backend"));
    let memdevs = values(arguments, "numa").filter_map(|numa| property(numa, "memdev"));
    let used: Vec<String> = named.into_iter().chain(memdevs).collect();
    if used.is_empty() {
        return Err(("its memory is its own, and the card cannot reach it".to_owned(), SHARE));
    }
    for id in used {
        let object =
            values(arguments, "object").find(|object| property(object, "id").as_deref() == Some(&*id));
        let Some(object) = object else {
            return Err((format!("there is no object {id} for its memory"), SHARE));
        };
        let kind = kind(object);
        // A memfd is shared unless it is said otherwise, a file is not.
        if !is_on(property(object, "share"), kind == "memory-backend-memfd") {
            return Err((format!("its memory {id} ({kind}) has no share=on"), SHARE));
        }
        let open = !is_on(property(object, "seal"), true) || is_on(property(object, "hugetlb"), false);
        if sealed && (kind != "memory-backend-memfd" || open) {
            return Err((format!("its memory {id} ({kind}) is no sealed memfd of small pages"), SEAL));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::findings::Severity;

    const VFIO: &str = r#"{"driver":"vfio-user-pci","socket":{"type":"unix","path":"/tmp/card.sock"}}"#;

    fn found(line: &str) -> Option<(Severity, String)> {
        let arguments: Vec<String> = line.split(' ').map(str::to_owned).collect();
        machine(7, &arguments).map(|finding| (finding.severity, finding.what))
    }

    #[test]
    fn a_machine_whose_memory_the_card_cannot_reach_is_named() {
        let memfd = "-object memory-backend-memfd,id=ram,size=4G";
        let json = r#"-object {"qom-type":"memory-backend-memfd","id":"pc.ram","x-use-canonical-path":false,"share":true,"size":4}"#;
        for (line, trouble) in [
            (format!("qemu -machine q35,memory-backend=ram {memfd},share=on -device {VFIO}"), None),
            (format!("qemu -M q35,memory-backend=ram {memfd} -device {VFIO}"), None),
            (format!("qemu -machine pc,memory-backend=pc.ram {json} -device {VFIO}"), None),
            (format!("qemu -numa node,memdev=ram {memfd} -device vhost-user-snd-pci,chardev=c"), None),
            (format!("qemu -machine q35 -m 4G -device {VFIO}"), Some("its memory is its own")),
            (format!("qemu -machine q35,memory-backend=ram -device {VFIO}"), Some("no object ram")),
            (format!("qemu -M q35,memory-backend=ram {memfd},share=off -device {VFIO}"), Some("no share=on")),
            (
                format!(
                    "qemu -M q35,memory-backend=ram -object memory-backend-file,id=ram,mem-path=/m -device {VFIO}"
                ),
                Some("no share=on"),
            ),
            (
                format!("qemu -M q35,memory-backend=ram {memfd},hugetlb=on -device vhost-user-snd-pci"),
                Some("no sealed memfd"),
            ),
            (format!("qemu -M q35,memory-backend=ram {memfd},seal=off -device {VFIO}"), None),
        ] {
            let (severity, what) = found(&line).unwrap();
            match trouble {
                None => assert_eq!(severity, Severity::Ok, "{line}: {what}"),
                Some(trouble) => {
                    assert!(severity == Severity::Missing && what.contains(trouble), "{line}: {what}");
                }
            }
        }
        assert_eq!(found("qemu -device ich9-intel-hda"), None, "no card of ours");
        let (severity, what) = found(&format!("qemu -readconfig /run/qemu.conf -device {VFIO}")).unwrap();
        assert!(severity == Severity::Note && what.contains("-readconfig"), "{what}");
        let shared = format!("qemu -readconfig /c -M q35,memory-backend=ram {memfd} -device {VFIO}");
        assert_eq!(found(&shared).unwrap().0, Severity::Ok, "the command line says it");
    }

    #[test]
    fn machines_are_found_below_proc() {
        let proc = tempfile::tempdir().unwrap();
        let process = |pid: &str, line: &str| {
            std::fs::create_dir(proc.path().join(pid)).unwrap();
            std::fs::write(proc.path().join(pid).join("cmdline"), line.replace(' ', "\0")).unwrap();
        };
        process(
            "12",
            "/lib/ld.so --argv0 x /usr/bin/qemu-system-x86_64 -device vfio-user-pci,socket.path=/a",
        );
        process("13", "grep kvm -device vfio-user-pci");
        process("15", "timeout 20 qemu-system-x86_64 -device vfio-user-pci,socket.path=/a");
        process("14", "/usr/bin/kvm -id 100 -m 4096 -device vfio-user-pci,socket.path=/b");
        process("self", "qemu-system-x86_64 -device vfio-user-pci");
        let findings = look(proc.path());
        assert_eq!(findings.len(), 2, "{findings:?}");
        assert!(findings[1].what.starts_with("machine 14 with vfio-user-pci"), "{findings:?}");
        assert!(findings[0].what.starts_with("machine 12 with vfio-user-pci"), "{findings:?}");
        let none = look(&proc.path().join("nothing"));
        assert!(none[0].next.as_deref().unwrap().contains("share=on"));
    }
}
