//! The host's side while it plays: a disk that is full, the control socket.

use std::process::Command;

use ringwave_runner::machine::{MachineOptions, Outcome};

use crate::{
    fixture::{CardUnderTest, Fixture, show, stats},
    heard::assert_heard_beginning,
};

/// The log, the statistics and the exit code say it; the guest's stream goes on to its end. The Ringwave card
/// has an error code for it, HD Audio has none.
pub fn a_full_disk_is_said_and_the_guest_goes_on(card: &CardUnderTest) {
    let fixture = Fixture::new(card);
    // What a file can hold (the Ringwave card's own pages are one), and a sound that it cannot.
    let (disk, frames) = card.pick((512 << 10, 160_000), (128 << 10, 60_000));
    let program = fixture.ringwave_on_a_full_disk(disk);
    let path = fixture.folder().join("stats.json").display().to_string();
    let mut server = fixture.server_with("heard", &program, &["--stats", &path]);
    let config = format!("scenario=play\nseed=80\nframes={frames}");
    let (outcome, log) = fixture.run(&server, &config, MachineOptions::default());
    server.wait_for("the client has left", 1).expect("the card sees the client leave");
    assert_eq!(outcome, Some(card.pick(Outcome::Failed, Outcome::Ok)));
    let said = log.wrong();
    assert!(
        said.iter().all(|wrong| wrong.starts_with("ERROR at the end")),
        "nothing but the error is wrong: {said:?}"
    );
    assert_eq!(stats(&fixture)["streams"][0]["sink_failed"], true);
    let told = server.log().lines().filter(|line| line.contains("cannot write")).count();
    assert_eq!(told, 1, "the log says it once: {}", server.log());
    assert_heard_beginning(&server.session_wav(1), 80, disk / 4 / 2, 0);
    assert_eq!(server.end().expect("the card ends").code(), Some(1));
}

/// Another sink while it plays, and questions, some of them bad: nothing of it is heard as a gap.
pub fn the_control_socket_answers_while_it_plays(card: &CardUnderTest) {
    let fixture = Fixture::new(card);
    let socket = fixture.folder().join("control.sock");
    let path = socket.display().to_string();
    let mut server = fixture.server_with("heard", &fixture.artefacts.ringwave, &["--control", &path]);
    let mut guest = fixture.boot(&server, "scenario=forever\nseed=85", MachineOptions::default());
    guest.wait_for("playing", 1).expect("the guest plays");
    let control = |words: &[&str]| {
        let done = Command::new(&fixture.artefacts.ringwave).arg("control").arg(&socket).args(words).output();
        let done = done.expect("ringwave control");
        eprintln!("{words:?}: {}", String::from_utf8_lossy(&done.stderr));
        done.status.code()
    };
    let second = format!("wav:{}", fixture.folder().join("second.wav").display());
    for (words, wanted) in [
        (&["stats"][..], Some(0)),
        (&["metrics"], Some(0)),
        (&["jack", "0", "out"], Some(0)),
        (&["jack", "0", "in"], Some(0)),
        (&["jack", "77", "in"], Some(1)),
        (&["sink", "0", "wav:/nowhere/at/all.wav"], Some(2)),
        (&["sink", "0", &second], Some(0)),
    ] {
        assert_eq!(control(words), wanted, "{words:?}");
    }
    std::thread::sleep(std::time::Duration::from_secs(1));
    let log = guest.kill().expect("QEMU is killed");
    server.wait_for("the client has left", 1).expect("the card sees the client leave");
    show(&server, &log);
    assert_eq!(log.wrong(), [""; 0]);
    // The second file goes on where the first ends.
    let (first, _) = ringwave_e2e::bare::samples(&server.session_wav(1)).expect("a WAV file");
    let (second, _) = ringwave_e2e::bare::samples(&fixture.folder().join("second.wav")).expect("a WAV file");
    let both = [first, second].concat();
    let wanted = ringwave_e2e::bare::pattern(85, both.len() / 2);
    let same = both.iter().zip(&wanted).take_while(|(a, b)| a == b).count();
    assert!(same / 2 >= card.told_frames, "{} frames", same / 2);
    assert!(both[same..].iter().all(|sample| *sample == 0), "a gap after frame {}", same / 2);
}
