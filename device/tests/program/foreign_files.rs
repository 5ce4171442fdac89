//! What `ringwave serve` does to files that are not its own: nothing. And two processes never write to one
//! place.

use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use crate::guest::{Guest, Setup, piece, wav_bytes};
use crate::serving::{self, Serving};
use ringwave_vfio_user::Listener;

/// The options that name a file to write.
const OPTIONS: [[&str; 2]; 4] =
    [["--sink", "wav:there"], ["--sink", "raw:there"], ["--stats", "there"], ["--trace", "there"]];

fn serve(dir: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new("timeout");
    command.args(["-k", "1", "60", env!("CARGO_BIN_EXE_ringwave"), "serve", "--socket", "other.sock"]);
    command.args(arguments).current_dir(dir).output().unwrap()
}

/// It does not start, with one line that names `named`.
#[track_caller]
fn refused(output: &Output, named: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(matches!(output.status.code(), Some(1 | 2)), "{:?}: {said}", output.status);
    assert!(said.lines().count() == 1 && said.contains(named), "{said}");
}

#[test]
fn foreign_file_is_left_alone_and_named() {
    let foreign: [&[u8]; 3] = [b"somebody's letter", b"RIFF\x24\x00\x00\x00WAVEfmt ", b"{\"version\": 1}"];
    for option in OPTIONS {
        for content in foreign {
            let dir = tempfile::tempdir().unwrap();
            std::fs::write(dir.path().join("there"), content).unwrap();
            refused(&serve(dir.path(), &option), "there");
            assert_eq!(std::fs::read(dir.path().join("there")).unwrap(), content, "{option:?}");
        }
    }
}

#[test]
fn symbolic_link_is_neither_followed_nor_removed() {
    for option in OPTIONS {
        for target in ["target", "nothing"] {
            let dir = tempfile::tempdir().unwrap();
            std::fs::write(dir.path().join("target"), "").unwrap();
            symlink(target, dir.path().join("there")).unwrap();
            refused(&serve(dir.path(), &option), "there");
            assert!(dir.path().join("there").is_symlink(), "{option:?}");
            assert!(dir.path().join("target").exists() && !dir.path().join("nothing").exists(), "{option:?}");
        }
    }
}

#[test]
fn links_that_wait_for_later_files_are_not_followed() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("target"), "kept").unwrap();
    for link in ["stats.json.new", "heard-2.wav"] {
        symlink("target", dir.path().join(link)).unwrap();
    }
    let serving =
        Serving::start(dir.path(), &["--sink", "wav:heard.wav", "--stats", "stats.json", "--speed", "20"]);
    let music = piece(&dir.path().join("played.wav"), 48_000, 2);
    for heard in ["heard.wav", "heard-3.wav"] {
        let mut guest = Guest::connect(&dir.path().join("card.sock"));
        guest.play(Setup::USUAL, &music);
        drop(guest);
        drop(Guest::connect(&dir.path().join("card.sock")));
        assert_eq!(wav_bytes(&dir.path().join(heard)), music, "{heard}");
    }
    assert_eq!(std::fs::read(dir.path().join("target")).unwrap(), b"kept");
    assert!(!serving.said("stats.json.new").is_empty(), "{:?}", serving.said(""));
    serving.end();
}

#[test]
fn all_that_an_earlier_run_left_goes_and_the_rest_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let options = ["--sink", "wav:heard.wav", "--stats", "s.json", "--trace", "t", "--speed", "20"];
    let music = piece(&dir.path().join("played.wav"), 48_000, 2);
    let serving = Serving::start(dir.path(), &options);
    for _ in 0..2 {
        Guest::connect(&dir.path().join("card.sock")).play(Setup::USUAL, &music);
    }
    serving.end();
    let there = |name: &str| dir.path().join(name).exists();
    assert!(there("heard.wav") && there("heard-2.wav") && there("s.json") && there("t"));
    std::fs::write(dir.path().join("heard-3.wav"), "a letter").unwrap();
    std::fs::write(dir.path().join("heard-too.wav"), "another").unwrap();

    let serving = Serving::start(dir.path(), &options);
    assert!(!there("heard.wav") && !there("heard-2.wav") && !there("s.json"));
    assert!(there("heard-3.wav") && there("heard-too.wav"));
    assert_eq!(serving.said("heard-3.wav").len(), 1, "{:?}", serving.said(""));
    serving.end();
    let left: Vec<_> =
        std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().contains("lock")), "{left:?}");
}

#[test]
fn one_file_for_two_options_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    piece(&dir.path().join("song.wav"), 48_000, 2);
    let before = std::fs::read(dir.path().join("song.wav")).unwrap();
    let same = dir.path().join("song.wav").display().to_string();
    for arguments in [
        &["--source", "wav:song.wav", "--sink", "wav:song.wav"][..],
        &["--source", "wav:song.wav", "--sink", &format!("wav:{same}")],
        &["--source", "raw:song.wav", "--trace", "song.wav"],
        &["--sink", "wav:x", "--stats", "./x"],
        &["--stats", "x", "--trace", "x"],
        &["--source", "wav:song.wav", "--sink", "wav:song-2.wav", "--stats", "song.wav"],
    ] {
        let output = serve(dir.path(), arguments);
        refused(&output, "both are");
        assert_eq!(std::fs::read(dir.path().join("song.wav")).unwrap(), before);
    }
    // What a run of the card left, as a source of the next one with the same sink.
    let serving = Serving::start(dir.path(), &["--sink", "wav:heard.wav", "--speed", "20"]);
    let music = piece(&dir.path().join("played.wav"), 48_000, 2);
    for _ in 0..2 {
        Guest::connect(&dir.path().join("card.sock")).play(Setup::USUAL, &music);
    }
    serving.end();
    refused(&serve(dir.path(), &["--source", "wav:heard-2.wav", "--sink", "wav:heard.wav"]), "heard-2.wav");
    assert_eq!(wav_bytes(&dir.path().join("heard-2.wav")), music);
    assert_eq!(wav_bytes(&dir.path().join("heard.wav")), music);
}

#[test]
fn second_process_with_the_same_file_is_refused() {
    for option in OPTIONS {
        let dir = tempfile::tempdir().unwrap();
        let serving = Serving::start(dir.path(), &option);
        refused(&serve(dir.path(), &option), "another process");
        serving.end();
        assert!(!dir.path().join("other.sock").exists());
    }
}

#[test]
fn of_eight_that_start_at_once_one_serves() {
    for stale in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        if stale {
            drop(std::os::unix::net::UnixListener::bind(dir.path().join("card.sock")).unwrap());
        }
        let start = || {
            let mut command = Command::new("timeout");
            command.args([
                "-k",
                "1",
                "90",
                env!("CARGO_BIN_EXE_ringwave"),
                "serve",
                "--socket",
                "card.sock",
                "--once",
            ]);
            command.current_dir(dir.path()).stderr(std::process::Stdio::piped()).spawn().unwrap()
        };
        let mut children: Vec<_> = (0..8).map(|_| start()).collect();
        // Seven end by themselves; the eighth one when its client has left.
        let begin = Instant::now();
        while children.iter_mut().map(|child| child.try_wait().unwrap()).filter(Option::is_none).count() > 1 {
            assert!(begin.elapsed() < serving::PATIENCE, "more than one serves");
            std::thread::sleep(Duration::from_millis(5));
        }
        drop(Guest::connect(&dir.path().join("card.sock")));
        let codes: Vec<_> = children.into_iter().map(|child| child.wait_with_output().unwrap()).collect();
        let served = codes.iter().filter(|output| output.status.code() == Some(0)).count();
        let in_use = codes.iter().filter(|output| String::from_utf8_lossy(&output.stderr).contains("in use"));
        assert_eq!((served, in_use.count()), (1, 7), "{codes:?}");
        assert!(!dir.path().join("card.sock").exists());
    }
}

#[test]
fn socket_is_never_there_with_a_wider_mode() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().to_owned();
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let watch = std::thread::spawn(move || {
        let mut seen = (0, 0);
        while stopped.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {
            for entry in std::fs::read_dir(&place).unwrap().flatten() {
                let Ok(found) = entry.metadata() else { continue };
                if found.file_type().is_socket() {
                    seen.0 += 1;
                    seen.1 += u32::from(found.permissions().mode() & 0o177 != 0);
                }
            }
        }
        seen
    });
    for number in 0..300 {
        drop(Listener::bind(&dir.path().join(format!("{number}.sock"))).unwrap());
    }
    drop(stop);
    let (seen, wide) = watch.join().unwrap();
    assert!(seen != 0 && wide == 0, "{wide} of {seen}");
}
