//! The HD Audio card as a program: its command line, and that it is served to a client like the other cards.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test ends where something is not as it should be"
)]

mod serving;

use std::process::Command;

use ringwave_vfio_user::Client;
use ringwave_vfio_user::wire::pci;
use serving::Serving;

fn ringwave(arguments: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_ringwave")).args(arguments).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(said).unwrap())
}

#[test]
fn the_codec_is_described_as_it_is_served() {
    let (code, said) = ringwave(&["hda", "--describe", "--render", "2", "--channels", "4", "--bits", "24"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.starts_with("codec 0:") && said.contains("16, 20, 24 bits"), "{said}");
    assert_eq!(said.lines().filter(|line| line.contains("pin")).count(), 4, "{said}");
    assert!(
        said.contains("headphones, association 2") && said.contains("microphone, association 3"),
        "{said}"
    );
}

#[test]
fn what_the_card_does_not_have_is_refused_with_the_next_step() {
    for (arguments, named) in [
        (&["--clock", "lockstep"][..], "take scaled:0.25"),
        (&["--vendor", "0x1235"], "--pci-id"),
        (&["--no-volume"], "leave out"),
        (&["--render", "5"], "take fewer"),
        (&["--bits", "25"], "24 or 32"),
        (&["--pci-id", "8086"], "8086:293e"),
    ] {
        let all = [&["serve", "--card", "hda", "--socket", "/nonexistent/s"][..], arguments].concat();
        let (code, said) = ringwave(&all);
        assert_eq!(code, Some(2), "{arguments:?}: {said}");
        assert!(said.contains(named), "{arguments:?}: {said}");
    }
    let (code, said) = ringwave(&["serve", "--bits", "24", "--socket", "/nonexistent/s"]);
    assert!(code == Some(2) && said.contains("--card hda"), "{said}");
}

#[test]
fn a_client_finds_the_controller_and_a_fresh_one_after_it() {
    let dir = tempfile::tempdir().unwrap();
    let serving = Serving::start(dir.path(), &["--card", "hda", "--clock", "realtime"]);
    for _ in 0..2 {
        let mut client = Client::connect(&dir.path().join("card.sock")).unwrap();
        let mut data = [0; 4];
        client.read(pci::CONFIG_REGION, 0, &mut data).unwrap();
        assert_eq!(data, [0x86, 0x80, 0x3E, 0x29]);
        client.read(0, 8, &mut data).unwrap();
        assert_eq!(data, [0; 4], "in reset");
        client.write(0, 8, &[1, 0, 0, 0]).unwrap();
        client.read(0, 0x0C, &mut data).unwrap();
        assert_eq!(data, [0, 0, 1, 0], "the codec is there");
        drop(client);
        serving.wait_for("the client has left", 1);
    }
}
