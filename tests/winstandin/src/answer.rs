//! What of an answer file Windows Setup would stop at, as far as the contract and Microsoft's reference of
//! the settings say (`unattend` schema, Windows Setup reference). Setup's own words for it are not known
//! here.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use roxmltree::{Document, Node};

const NAMESPACE: &str = "urn:schemas-microsoft-com:unattend";
const PASSES: [&str; 7] =
    ["windowsPE", "offlineServicing", "generalize", "specialize", "auditSystem", "auditUser", "oobeSystem"];
/// What names a component for x64.
const IDENTITY: [(&str, &str); 4] = [
    ("processorArchitecture", "amd64"),
    ("publicKeyToken", "31bf3856ad364e35"),
    ("language", "neutral"),
    ("versionScope", "nonSxS"),
];
/// Which script a pass starts, with a word behind it where there is one.
const STARTS: [(&str, &str, &str); 3] = [
    ("windowsPE", "\\ringwave\\stage.cmd", "winpe"),
    ("specialize", "\\ringwave\\specialize.cmd", ""),
    ("oobeSystem", "\\ringwave\\logon.cmd", ""),
];
/// Longest `RunSynchronousCommand\Path` and `FirstLogonCommands\SynchronousCommand\CommandLine`.
const LONGEST: [(&str, usize); 2] = [("Path", 259), ("CommandLine", 1024)];

/// What Setup takes from a sound answer file.
#[derive(Debug)]
pub struct Answer {
    /// All commands, a line each.
    pub commands: String,
    /// Key and value of `InstallFrom\MetaData`.
    pub image: Option<(String, String)>,
}

/// Reads an answer file; else what is wrong with it.
pub fn read(bytes: &[u8]) -> Result<Answer, String> {
    let text = core::str::from_utf8(bytes).map_err(|error| format!("is not UTF-8: {error}"))?;
    let text = text.strip_prefix('\u{FEFF}').unwrap_or(text);
    let document = Document::parse(text).map_err(|error| format!("is not well-formed: {error}"))?;
    let root = document.root_element();
    if !root.has_tag_name((NAMESPACE, "unattend")) {
        return Err(format!("its root is {}, not unattend of {NAMESPACE}", root.tag_name().name()));
    }
    let mut seen = Vec::new();
    for settings in elements(root).filter(|node| node.tag_name().name() == "settings") {
        let pass = settings.attribute("pass").unwrap_or_default();
        if !PASSES.contains(&pass) {
            return Err(format!("there is no pass \"{pass}\""));
        }
        for component in elements(settings) {
            let name = component_name(component)?;
            if seen.contains(&(pass, name)) {
                return Err(format!("{name} stands twice in the pass {pass}"));
            }
            seen.push((pass, name));
        }
    }
    disk_is_the_first(root)?;
    let commands = commands(root)?;
    for (pass, script, word) in STARTS {
        if !starts(root, pass, script, word) {
            return Err(format!("nothing in the pass {pass} starts {script} {word}"));
        }
    }
    Ok(Answer { commands, image: image(root) })
}

fn elements<'a, 'input>(node: Node<'a, 'input>) -> impl Iterator<Item = Node<'a, 'input>> {
    node.children().filter(Node::is_element)
}

fn named<'a, 'input>(node: Node<'a, 'input>, name: &str) -> impl Iterator<Item = Node<'a, 'input>> {
    node.descendants().filter(move |node| node.tag_name().name() == name)
}

fn text<'a>(node: Node<'a, '_>) -> &'a str {
    node.text().unwrap_or_default().trim()
}

fn component_name<'a>(component: Node<'a, '_>) -> Result<&'a str, String> {
    if component.tag_name().name() != "component" {
        return Err(format!("{} stands where components are", component.tag_name().name()));
    }
    let name = component.attribute("name").unwrap_or_default();
    for (attribute, value) in IDENTITY {
        if component.attribute(attribute) != Some(value) {
            return Err(format!("component \"{name}\": {attribute} is not {value}"));
        }
    }
    Ok(name)
}

/// Setup wipes and installs to disk 0, and to no other.
fn disk_is_the_first(root: Node<'_, '_>) -> Result<(), String> {
    for place in ["DiskConfiguration", "InstallTo"] {
        let mut ids = named(root, place).flat_map(|node| named(node, "DiskID")).map(text).peekable();
        if ids.peek().is_none() {
            return Err(format!("{place} names no DiskID"));
        }
        if let Some(other) = ids.find(|id| *id != "0") {
            return Err(format!("{place}: DiskID is {other}, and the disk is 0"));
        }
    }
    Ok(())
}

/// Every command of every pass, a line each.
fn commands(root: Node<'_, '_>) -> Result<String, String> {
    let mut all = String::new();
    for (name, longest) in LONGEST {
        for command in named(root, name).filter(is_command) {
            let command = text(command);
            let length = command.chars().count();
            if length > longest {
                return Err(format!(
                    "a {name} of {length} characters, and {longest} are the most: {command}"
                ));
            }
            all.push_str(command);
            all.push('\n');
        }
    }
    Ok(all)
}

/// `Path` is the name of other settings too.
fn is_command(node: &Node<'_, '_>) -> bool {
    let of = |node: Node<'_, '_>| node.tag_name().name().ends_with("SynchronousCommand");
    node.parent().is_some_and(of)
}

fn starts(root: Node<'_, '_>, pass: &str, script: &str, word: &str) -> bool {
    let settings = elements(root).filter(|node| node.attribute("pass") == Some(pass));
    let mut commands = settings.flat_map(|node| node.descendants().filter(is_command)).map(text);
    commands.any(|command| {
        let command = command.to_ascii_lowercase();
        command.contains(script) && command.contains(word)
    })
}

fn image(root: Node<'_, '_>) -> Option<(String, String)> {
    let data = named(root, "InstallFrom").find_map(|node| named(node, "MetaData").next())?;
    let value = |name: &str| named(data, name).next().map(|node| text(node).into());
    Some((value("Key")?, value("Value")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &str = include_str!("../answer/Autounattend.xml");

    #[test]
    fn the_answer_file_of_the_test_is_sound() {
        let answer = read(ANSWER.as_bytes()).expect("sound");
        assert_eq!(answer.commands.lines().count(), 3);
        assert_eq!(answer.image, Some(("/IMAGE/NAME".into(), "Windows 11 Pro".into())));
    }

    #[test]
    fn what_setup_would_stop_at_is_named() {
        let long = "x".repeat(260);
        for (from, to, said) in [
            ("</settings>", "", "not well-formed"),
            ("urn:schemas-microsoft-com:unattend", "urn:other", "root"),
            ("pass=\"windowsPE\"", "pass=\"winpe\"", "no pass"),
            ("nonSxS", "SxS", "versionScope"),
            ("amd64", "x86", "processorArchitecture"),
            ("<DiskID>0</DiskID>", "<DiskID>1</DiskID>", "DiskID is 1"),
            ("stage.cmd winpe", "stage.cmd", "windowsPE"),
            ("logon.cmd", "login.cmd", "oobeSystem"),
            ("%i:\\ringwave\\specialize.cmd", &long, "characters"),
        ] {
            let broken = ANSWER.replace(from, to);
            assert_ne!(broken, ANSWER, "{from}");
            let error = read(broken.as_bytes()).expect_err(from);
            assert!(error.contains(said), "{from}: {error}");
        }
        assert!(read(&[0xFF, 0xFE, b'<', 0]).expect_err("UTF-16").contains("UTF-8"));
    }
}
