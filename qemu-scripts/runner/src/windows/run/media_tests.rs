//! The run CD has what WINDOWS.md says, and what the scripts read.
#![allow(clippy::unwrap_used, reason = "test code")]

use super::super::device::Verifier;
use super::*;
use crate::windows::protocol::{Line, line};

fn files(copy: Option<&Path>) -> Files {
    Files { copy: copy.map(Path::to_owned), more: Vec::new(), command: vec!["test.exe".into(), "a b".into()] }
}

const DEVICE: DeviceSteps = DeviceSteps { cycles: Some(3), suspend: false, verifier: None };
const SETTINGS: Settings = Settings {
    dump: false,
    boot: 2,
    slower: 6,
    card: GuestCard::Virtio,
    device: DEVICE,
    reboot_code: Some(3010),
};

#[test]
fn cd_has_what_the_document_says() {
    let (out, from) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::create_dir(from.path().join("data")).unwrap();
    fs::write(from.path().join("data/x.bin"), "x").unwrap();
    files(Some(from.path())).write(out.path()).unwrap();
    fs::write(out.path().join("ringwave/settings.cmd"), crlf(&SETTINGS.lines())).unwrap();
    let document = include_str!("../../../../WINDOWS.md");
    let table = document.split("| path on the run CD |").nth(1).unwrap().split("\n\n").next().unwrap();
    let mut there = 0;
    for path in table.split("| `\\").skip(1).filter_map(|rest| rest.split('`').next()) {
        assert!(out.path().join(path.replace('\\', "/")).exists(), "{path}");
        there += 1;
    }
    assert_eq!(there, 8);
    assert!(out.path().join("ringwave/files/data/x.bin").exists());
    let read = |name: &str| fs::read_to_string(out.path().join("ringwave").join(name)).unwrap();
    assert_eq!(read("command.cmd"), "@echo off\r\ntest.exe ^\"a b^\"\r\nexit /b %errorlevel%\r\n");
    let settings = read("settings.cmd");
    assert!(settings.contains("set \"STEP=run\"\r\nset \"BOOT=2\"\r\nset \"CARD=virtio\"\r\n"), "{settings}");
    // Each variable that is set is read, and named in the document.
    let scripts = SCRIPTS.map(|(_, text)| text).concat();
    for name in
        ["STEP", "BOOT", "CARD", "CARD_IDS", "REBOOT_CODE", "CYCLES", "VERIFIER", "VERIFIER_DELAY", "SUSPEND"]
    {
        assert!(
            [format!("%{name}%"), format!("defined {name} ")].iter().any(|read| scripts.contains(read)),
            "{name}"
        );
        assert!(settings.contains(&format!("set \"{name}=")) && document.contains(&format!("`{name}`")));
    }
}

#[test]
fn delay_of_low_resources_is_named_and_longer_without_kvm() {
    let device = DeviceSteps { verifier: Some(Verifier::LowResources), ..DeviceSteps::default() };
    for (slower, wanted) in [(1, "7"), (6, "42")] {
        let lines = Settings { slower, device, ..SETTINGS }.lines();
        let wanted = format!("set \"VERIFIER=low-resources\"\nset \"VERIFIER_DELAY={wanted}\"\n");
        assert!(lines.contains(&wanted), "{lines}");
        // The agent waits for a minute more, and there is time for it.
        assert!(device.minutes() > 7 + 1);
    }
    assert!(device.check(GuestCard::Virtio).is_ok());
    let why = device.check(GuestCard::Hda).unwrap_err();
    assert!(why.exit_code() == 2 && why.to_string().contains("Windows' own"), "{why}");
    let cycled = DeviceSteps { cycles: Some(1), ..device };
    assert!(cycled.check(GuestCard::Virtio).unwrap_err().to_string().contains("--verifier=standard"));
}

#[test]
fn agent_says_nothing_but_the_protocol() {
    let mut said = 0;
    for words in SCRIPTS
        .iter()
        .flat_map(|(_, text)| text.lines())
        .filter_map(|line| line.split("echo RINGWAVE ").nth(1))
    {
        let words = words
            .replace("%~1", "sound")
            .replace("%result%", "12")
            .replace("!result!", "12")
            .replace("%code%", "-7")
            .replace("%restart%", "for it")
            .replace("!found!", "no S3");
        let heard = line(&format!("RINGWAVE {words}"));
        assert!(!matches!(heard, Line::Bad(_) | Line::Other), "{words}");
        said += 1;
    }
    assert!(said >= 4, "{said}");
}

#[test]
fn card_is_found_by_the_ids_of_the_inf() {
    let inf = include_str!("../../../../../driver/ringwave.inx");
    for card in [GuestCard::Ringwave, GuestCard::Virtio] {
        assert!(inf.contains(&format!("Ringwave,{} ;", card_ids(card))), "{card:?}");
    }
}

#[test]
fn what_windows_could_not_have_is_refused() {
    let (out, from) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for name in ["a:b", "a?b", &"x".repeat(104)] {
        let path = from.path().join(name);
        fs::write(&path, "").unwrap();
        let why = files(Some(from.path())).write(out.path()).unwrap_err();
        assert!(why.exit_code() == 2 && why.to_string().contains("rename it"), "{why}");
        fs::remove_file(&path).unwrap();
    }
    let why = files(Some(&from.path().join("none"))).write(out.path()).unwrap_err();
    assert!(why.exit_code() == 2 && why.to_string().contains("--copy"), "{why}");
}

#[test]
fn image_is_a_qcow2_file() {
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("windows.qcow2");
    let refused = || disk_bytes(&image).unwrap_err();
    assert!(refused().exit_code() == 2);
    fs::write(&image, "raw").unwrap();
    assert!(refused().to_string().contains("no qcow2"));
    let mut head = vec![0; 104];
    head[..8].copy_from_slice(b"QFI\xFB\0\0\0\x03");
    head[24..32].copy_from_slice(&(64u64 << 30).to_be_bytes());
    fs::write(&image, &head).unwrap();
    assert_eq!(disk_bytes(&image).unwrap(), 64 << 30);
}
