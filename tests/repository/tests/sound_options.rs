//! `qemu-scripts/lib/sound-options.sh`: a card that a script cannot do anything with is refused before
//! anything is set up, with the command that can.

use std::process::Command;

/// Exit code of `check_card`, and what it says.
fn check_card(script: &str, card: &str) -> (Option<i32>, String) {
    let options = concat!(env!("CARGO_MANIFEST_DIR"), "/../../qemu-scripts/lib/sound-options.sh");
    let output = Command::new("bash")
        .args(["-c", "set -eu; . \"$0\"; check_card \"$@\"", options, script, card])
        .output()
        .expect("bash runs");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn a_card_that_a_script_has_is_taken() {
    for (script, card) in [
        ("play", "ringwave"),
        ("play", "virtio"),
        ("record", "ringwave"),
        ("record", "virtio"),
        ("linux", "virtio"),
        ("linux", "hda"),
        ("bringup", "ringwave"),
    ] {
        assert_eq!(check_card(script, card), (Some(0), String::new()), "{script} {card}");
    }
}

#[test]
fn another_is_refused_with_what_does_it() {
    for (script, card, named) in [
        ("linux", "ringwave", "qemu-scripts/play plays through ringwave.sys"),
        ("bringup", "virtio", "qemu-scripts/linux tests virtio"),
        ("bringup", "hda", "qemu-scripts/linux tests hda"),
        ("play", "hda", "qemu-scripts/linux plays and records"),
        ("record", "hda", "qemu-scripts/linux plays and records"),
        ("play", "sb16", "write ringwave or virtio"),
        ("record", "", "write ringwave or virtio"),
        ("linux", "sb16", "write virtio or hda"),
        ("bringup", "sb16", "write ringwave"),
    ] {
        let (code, said) = check_card(script, card);
        assert_eq!(code, Some(2), "{script} {card}: {said}");
        let help = format!("see qemu-scripts/{script} --help");
        assert!(
            said.lines().count() == 1 && said.starts_with(&format!("{script}: --card {card}: ")),
            "{script} {card}: {said}"
        );
        assert!(said.contains(named) && said.contains(&help), "{script} {card}: {said}");
    }
}
