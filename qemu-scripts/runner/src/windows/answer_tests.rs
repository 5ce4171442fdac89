//! The answer file against a table of components: each in its passes, each setting under its parent, each
//! value within its bounds.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "test code")]

use roxmltree::{Document, Node};

use super::*;

const NAMESPACE: &str = "urn:schemas-microsoft-com:unattend";

/// A component, its passes of those used here, and its settings: paths below it. *Read*: from Microsoft's
/// pages of the *Unattended Windows Setup Reference* ("Valid configuration passes"). The rest is what two
/// public projects install with; no page of it was found.
const RULES: &[(&str, &[&str], &[&str])] = &[
    // Read, whole: in no other pass.
    (
        "Microsoft-Windows-International-Core-WinPE",
        &["windowsPE"],
        &["SetupUILanguage/UILanguage", "InputLocale", "SystemLocale", "UILanguage", "UserLocale"],
    ),
    // Read: InstallTo and its two, MetaData (with /IMAGE/NAME), RunSynchronousCommand's Path.
    (
        "Microsoft-Windows-Setup",
        &["windowsPE"],
        &[
            "DiskConfiguration/Disk/DiskID",
            "DiskConfiguration/Disk/WillWipeDisk",
            "DiskConfiguration/Disk/CreatePartitions/CreatePartition/Order",
            "DiskConfiguration/Disk/CreatePartitions/CreatePartition/Type",
            "DiskConfiguration/Disk/CreatePartitions/CreatePartition/Size",
            "DiskConfiguration/Disk/CreatePartitions/CreatePartition/Extend",
            "DiskConfiguration/Disk/ModifyPartitions/ModifyPartition/Order",
            "DiskConfiguration/Disk/ModifyPartitions/ModifyPartition/PartitionID",
            "DiskConfiguration/Disk/ModifyPartitions/ModifyPartition/Label",
            "DiskConfiguration/Disk/ModifyPartitions/ModifyPartition/Letter",
            "DiskConfiguration/Disk/ModifyPartitions/ModifyPartition/Format",
            "ImageInstall/OSImage/InstallFrom/MetaData/Key",
            "ImageInstall/OSImage/InstallFrom/MetaData/Value",
            "ImageInstall/OSImage/InstallTo/DiskID",
            "ImageInstall/OSImage/InstallTo/PartitionID",
            "DynamicUpdate/Enable",
            "DynamicUpdate/WillShowUI",
            "UserData/AcceptEula",
            "UserData/FullName",
            "UserData/Organization",
            "UserData/ProductKey/Key",
            "UserData/ProductKey/WillShowUI",
            "RunSynchronous/RunSynchronousCommand/Order",
            "RunSynchronous/RunSynchronousCommand/Path",
        ],
    ),
    // Read, whole: in no other pass.
    ("Microsoft-Windows-LUA-Settings", &["offlineServicing"], &["EnableLUA"]),
    // Read: LogonCount ("must be specified if AutoLogon is used"), Username, HideOEMRegistrationScreen.
    (
        "Microsoft-Windows-Shell-Setup",
        &["specialize", "oobeSystem"],
        &[
            "ComputerName",
            "TimeZone",
            "AutoLogon/Password/Value",
            "AutoLogon/Password/PlainText",
            "AutoLogon/Enabled",
            "AutoLogon/LogonCount",
            "AutoLogon/Username",
            "FirstLogonCommands/SynchronousCommand/Order",
            "FirstLogonCommands/SynchronousCommand/CommandLine",
            "FirstLogonCommands/SynchronousCommand/Description",
            "OOBE/HideEULAPage",
            "OOBE/HideLocalAccountScreen",
            "OOBE/HideOEMRegistrationScreen",
            "OOBE/HideOnlineAccountScreens",
            "OOBE/HideWirelessSetupInOOBE",
            "OOBE/ProtectYourPC",
            "UserAccounts/AdministratorPassword/Value",
            "UserAccounts/AdministratorPassword/PlainText",
            "UserAccounts/LocalAccounts/LocalAccount/Password/Value",
            "UserAccounts/LocalAccounts/LocalAccount/Password/PlainText",
            "UserAccounts/LocalAccounts/LocalAccount/Group",
            "UserAccounts/LocalAccounts/LocalAccount/Name",
        ],
    ),
    // Read, whole: in no other pass.
    ("Microsoft-Windows-Security-SPP-UX", &["specialize"], &["SkipAutoActivation"]),
    ("Microsoft-Windows-ServerManager-SvrMgrNc", &["specialize"], &["DoNotOpenServerManagerAtLogon"]),
    // Read: Path, of at most 259 characters, and that it may not restart the machine.
    (
        "Microsoft-Windows-Deployment",
        &["specialize"],
        &["RunSynchronous/RunSynchronousCommand/Order", "RunSynchronous/RunSynchronousCommand/Path"],
    ),
    // Read: its passes.
    (
        "Microsoft-Windows-International-Core",
        &["specialize", "oobeSystem"],
        &["InputLocale", "SystemLocale", "UILanguage", "UserLocale"],
    ),
    // Read: that there is PreventDeviceEncryption, for amd64; not in which pass.
    ("Microsoft-Windows-SecureStartup-FilterDriver", &["oobeSystem"], &["PreventDeviceEncryption"]),
];

/// Settings that are one to a list, and carry `wcm:action`.
const LISTED: [&str; 7] = [
    "Disk",
    "CreatePartition",
    "ModifyPartition",
    "MetaData",
    "RunSynchronousCommand",
    "SynchronousCommand",
    "LocalAccount",
];

const FAMILIES: [Family; 5] =
    [Family::Windows10, Family::Windows11, Family::Windows11New, Family::Server, Family::Server2025];

fn edition() -> Edition {
    Edition { index: 6, language: "de-DE".into(), ..Edition::default() }
}

fn answer(family: Family) -> String {
    file(family, &edition(), &Options { key: Some("AAAAA-<&>".into()), ..Options::default() })
}

/// Every setting without children, with its path below the component.
fn leaves<'a>(node: Node<'a, 'a>, path: &str, found: &mut Vec<(String, &'a str)>) {
    for child in node.children().filter(Node::is_element) {
        let name = child.tag_name().name();
        let path = if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") };
        assert_eq!(child.tag_name().namespace(), Some(NAMESPACE));
        let action = child.attribute(("http://schemas.microsoft.com/WMIConfig/2002/State", "action"));
        assert_eq!(action, LISTED.contains(&name).then_some("add"), "{path}");
        if child.children().any(|inner| inner.is_element()) {
            leaves(child, &path, found);
        } else {
            found.push((path, child.text().unwrap_or_default()));
        }
    }
}

/// The settings of a component in a pass.
fn settings(text: &str, pass: &str, component: &str) -> Vec<(String, String)> {
    let document = Document::parse(text).unwrap();
    let mut found = Vec::new();
    for node in document.descendants().filter(|node| node.has_tag_name("component")) {
        let in_pass = node.parent().and_then(|settings| settings.attribute("pass"));
        if node.attribute("name") == Some(component) && in_pass == Some(pass) {
            let mut here = Vec::new();
            leaves(node, "", &mut here);
            found.extend(here.into_iter().map(|(path, value)| (path, value.to_owned())));
        }
    }
    found
}

#[test]
fn every_component_setting_and_value_is_one_of_the_table() {
    for family in FAMILIES {
        let text = answer(family);
        let document = Document::parse(&text).unwrap();
        for pass in document.root_element().children().filter(Node::is_element) {
            assert!(
                pass.has_tag_name((NAMESPACE, "settings")),
                "whatever else is there, Setup ignores the file"
            );
            let name = pass.attribute("pass").unwrap();
            for component in pass.children().filter(Node::is_element) {
                let called = component.attribute("name").unwrap();
                let (_, passes, known) =
                    RULES.iter().find(|(component, ..)| *component == called).expect(called);
                assert!(passes.contains(&name), "{called} has no pass {name}");
                let mut found = Vec::new();
                leaves(component, "", &mut found);
                for (path, value) in found {
                    assert!(known.contains(&path.as_str()), "{called} has no setting {path}");
                    assert!(!value.is_empty(), "{called} {path}: an empty value is none");
                    let limit = match path.rsplit('/').next() {
                        Some("Path") => 259,
                        Some("CommandLine") => 1024,
                        Some("ComputerName") => 15,
                        _ => 256,
                    };
                    assert!(value.len() <= limit, "{called} {path}: {} characters", value.len());
                }
            }
        }
    }
}

#[test]
fn each_family_has_what_it_needs_and_nothing_of_the_others() {
    for family in FAMILIES {
        let text = answer(family);
        let client = !matches!(family, Family::Server | Family::Server2025);
        assert_eq!(text.contains("ServerManager"), !client, "stops the Setup of a client");
        assert_eq!(text.contains("AdministratorPassword"), !client);
        assert_eq!(text.contains("LabConfig"), matches!(family, Family::Windows11 | Family::Windows11New));
        assert!(!text.contains("SkipMachineOOBE") && !text.contains("bypassnro"), "deprecated, or gone");
    }
}

#[test]
fn what_the_machine_has_is_left_for_setup_to_find() {
    let bypassed = |secure_boot, tpm| {
        let text = file(Family::Windows11New, &edition(), &Options { key: None, secure_boot, tpm });
        ["BypassTPMCheck", "BypassSecureBootCheck", "BypassRAMCheck"].map(|check| text.contains(check))
    };
    assert_eq!(bypassed(false, false), [true, true, true]);
    assert_eq!(bypassed(false, true), [false, true, true]);
    assert_eq!(bypassed(true, false), [true, false, true]);
}

#[test]
fn image_key_and_language_are_those_that_were_chosen() {
    let text = answer(Family::Windows11New);
    let setup = settings(&text, "windowsPE", "Microsoft-Windows-Setup");
    let value =
        |path: &str| setup.iter().find(|(found, _)| found.ends_with(path)).map(|(_, value)| value.as_str());
    assert_eq!((value("MetaData/Key"), value("MetaData/Value")), (Some("/IMAGE/INDEX"), Some("6")));
    assert_eq!(value("ProductKey/Key"), Some("AAAAA-<&>"));
    let evaluation = file(Family::Server, &edition(), &Options::default());
    assert!(!evaluation.contains("<Key>AAAAA") && evaluation.contains("<ProductKey>"), "the node stays");
    let languages = settings(&text, "oobeSystem", "Microsoft-Windows-International-Core");
    assert!(languages.len() == 4 && languages.iter().all(|(_, value)| value == "de-DE"));
    let (from, to) = (text.find("<InstallFrom>"), text.find("<InstallTo>"));
    assert!(from < to);
}

#[test]
fn every_file_that_is_named_is_on_the_cd() {
    let text = answer(Family::Server);
    let mut named = 0;
    for part in text.split("\\ringwave\\").skip(1) {
        let file: String = part.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '.').collect();
        assert!(super::super::media::SCRIPTS.iter().any(|(name, _)| *name == file), "{file}");
        named += 1;
    }
    assert_eq!(named, 6, "three commands, each with the file that marks the CD");
}
