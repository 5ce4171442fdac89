//! `--sink sound` and `--source sound` on the command line: what is refused, and with what next step. None of
//! it needs a sound device.

use std::process::{Command, Output};

fn ringwave(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ringwave")).args(arguments).output().unwrap()
}

/// Serves with these arguments, which must be refused; gives the one line that says so.
fn refused(arguments: &[&str]) -> String {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("card.sock");
    let socket_argument = socket.display().to_string();
    let output = ringwave(&[&["serve", "--socket", &socket_argument], arguments].concat());
    assert_eq!(output.status.code(), Some(2));
    assert!(!socket.exists(), "no socket is left");
    let told = String::from_utf8(output.stderr).unwrap();
    told.lines().last().unwrap_or_default().to_owned()
}

/// What needs the sound system.
const OPTIONS: [[&str; 2]; 2] = [["--sink", "sound"], ["--source", "sound:default"]];

#[test]
fn time_that_is_not_real_is_refused() {
    for option in OPTIONS {
        for arguments in [["--speed", "2"], ["--clock", "scaled:10"]] {
            let told = refused(&[option, arguments].concat());
            assert!(told.contains(option[0]) && told.contains("leave out --speed and scaled:X"), "{told}");
        }
    }
}

#[test]
fn sandbox_that_was_asked_for_is_not_left_out_in_silence() {
    for option in OPTIONS {
        assert!(refused(&[&option[..], &["--sandbox=on"]].concat()).contains("--sandbox=auto"));
    }
}

#[test]
#[cfg(not(feature = "sound"))]
fn without_the_feature_it_says_how_to_get_it() {
    for (option, command) in OPTIONS.into_iter().zip(["sinks", "sources"]) {
        let told = refused(&option);
        assert!(told.contains("--features sound") && told.contains("libasound2-dev"), "{told}");
        let listed = ringwave(&[command]);
        assert!(listed.status.success());
        let listed = String::from_utf8(listed.stdout).unwrap();
        assert!(listed.contains("wav:FILE") && listed.contains("--features sound"), "{listed}");
    }
}
