//! The control socket as a user finds it: what it does to the card, what it says to who is wrong, and that
//! nobody can hold it up.

use std::io::{BufRead, BufReader, Write};
use std::net::Shutdown;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use crate::guest::{Guest, Setup};
use crate::serving::{Serving, control};
use crate::undisturbed::undisturbed;
use ringwave_regs::{global, pages, stream};
use ringwave_vfio_user::Listener;

const CONTROL: [&str; 2] = ["--control", "control.sock"];

/// It was not done, and one line on stderr says why.
#[track_caller]
fn refused(output: &Output, code: i32, why: &str) {
    let said = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(said.lines().count() == 1 && said.starts_with("ringwave: ") && said.contains(why), "{said}");
    assert!(output.stdout.is_empty());
}

fn unplugged(guest: &Guest) -> bool {
    guest.status32(pages::status::FLAGS) & pages::status::FLAG_UNPLUGGED != 0
}

/// Says these bytes and gives the answer, with its end.
fn answer(dir: &Path, bytes: &[u8]) -> String {
    let mut socket = UnixStream::connect(dir.join("control.sock")).unwrap();
    // It may have its answer before all of it was taken.
    let _ = socket.write_all(bytes);
    let _ = socket.shutdown(Shutdown::Write);
    let mut answer = String::new();
    BufReader::new(socket).read_line(&mut answer).unwrap();
    answer
}

#[test]
fn a_plug_is_pulled_and_the_guest_sees_it() {
    let dir = tempfile::tempdir().unwrap();
    let options = [&CONTROL[..], &["--trace", "trace.txt"]].concat();
    let serving = Serving::start(dir.path(), &options);
    let mut guest = Guest::connect(&dir.path().join("card.sock"));
    guest.stream_write(stream::INT_ENABLE, stream::INT_JACK);
    assert_eq!((serving.obeys(&["jack", "0"]), unplugged(&guest)), ("jack 0 in".to_owned(), false));
    assert!(guest.msi.read().is_err());
    assert_eq!((serving.obeys(&["jack", "0", "out"]), unplugged(&guest)), ("jack 0 out".to_owned(), true));
    guest.wait_interrupt();
    assert_eq!(serving.obeys(&["jack", "0", "out"]), "jack 0 out");
    assert!(guest.msi.read().is_err(), "nothing has changed");
    assert_eq!(serving.obeys(&["jack", "1"]), "jack 1 in", "the other stream's is another");
    drop(guest);
    serving.wait_for("the client has left", 1);
    let guest = Guest::connect(&dir.path().join("card.sock"));
    assert!(unplugged(&guest), "it is the host's, and outlives a client");
    assert_eq!((serving.obeys(&["jack 0 in"]), unplugged(&guest)), ("jack 0 in".to_owned(), false));
    drop(guest);
    serving.end();
    let trace = std::fs::read_to_string(dir.path().join("trace.txt")).unwrap();
    let jacks: Vec<_> =
        trace.lines().filter_map(|line| line.split_once(" jack ")).map(|line| line.1).collect();
    assert_eq!(jacks, ["0 out", "0 in"]);
    let shown = Command::new(env!("CARGO_BIN_EXE_ringwave"));
    let shown =
        { shown }.args(["trace", "trace.txt", "--stream", "0"]).current_dir(dir.path()).output().unwrap();
    assert!(String::from_utf8(shown.stdout).unwrap().contains("jack of stream 0 out\n"));
}

#[test]
fn the_card_can_begin_unplugged_and_without_volume() {
    let dir = tempfile::tempdir().unwrap();
    let volume = |guest: &mut Guest| guest.read(global::FEATURES) & global::FEATURE_VOLUME != 0;
    let options = [&CONTROL[..], &["--render", "3", "--unplugged", "0,2", "--no-volume"]].concat();
    let serving = Serving::start(dir.path(), &options);
    let jacks: Vec<_> = ["0", "1", "2", "3"].map(|stream| serving.obeys(&["jack", stream])).into();
    assert_eq!(jacks, ["jack 0 out", "jack 1 in", "jack 2 out", "jack 3 in"]);
    let mut guest = Guest::connect(&dir.path().join("card.sock"));
    assert!(unplugged(&guest) && !volume(&mut guest));
    drop(guest);
    serving.end();

    let serving = Serving::start(dir.path(), &[]);
    let mut guest = Guest::connect(&dir.path().join("card.sock"));
    assert!(!unplugged(&guest) && volume(&mut guest), "unless it is told otherwise");
    drop(guest);
    serving.end();
}

#[test]
fn figures_are_those_of_the_moment() {
    let dir = tempfile::tempdir().unwrap();
    let serving = Serving::start(dir.path(), &CONTROL);
    let stats = || serde_json::from_str::<serde_json::Value>(&serving.obeys(&["stats"])).unwrap();
    assert_eq!(stats()["client"], "none");
    let mut guest = Guest::connect(&dir.path().join("card.sock"));
    let setup = Setup::USUAL;
    guest.set_up(setup);
    guest.stream_write(stream::WRITTEN, 1);
    guest.stream_write(stream::STATE, stream::STATE_RUN);
    guest.wait_packets(2);
    serving.obeys(&["jack", "1", "out"]);
    let live = stats();
    assert_eq!((&live["client"], &live["streams"][0]["frames"]), (&"there".into(), &3_800.into()), "{live}");
    assert_eq!(
        (&live["streams"][0]["plugged"], &live["streams"][1]["plugged"]),
        (&true.into(), &false.into())
    );
    assert!(serving.said("ringwave: {").is_empty(), "who asked is told, and not the log");
    drop(guest);
    serving.end();
}

#[test]
fn what_it_does_not_understand_is_an_error_and_code_1() {
    let dir = tempfile::tempdir().unwrap();
    let serving = Serving::start(dir.path(), &CONTROL);
    assert!(serving.obeys(&["help"]).contains("jack STREAM in|out"));
    refused(&serving.control(&["play"]), 1, "no command \"play\"; the commands are: jack STREAM");
    refused(&serving.control(&["jack", "2", "out"]), 1, "no stream 2; the card has 2");
    refused(&serving.control(&["jack", "2"]), 1, "no stream 2; the card has 2");
    refused(&serving.control(&["jack", "0", "up"]), 1, "write jack STREAM");
    refused(&serving.control(&["jack", "first"]), 1, "\"first\" is no stream");
    refused(&serving.control(&["stats", "all"]), 1, "stats takes nothing behind it");
    refused(&serving.control(&[&"x".repeat(10_000)]), 1, "too long; at most 256 bytes");
    refused(&serving.control(&["jack 0 out\njack 1 out"]), 2, "more than one line");

    for (bytes, said) in [
        (&b"jack 0"[..], "jack 0 in\n"),
        (b"jack 0\r\n", "jack 0 in\n"),
        (b"jack 0\njack 0 out\n", "jack 0 in\n"),
        (b"jack \xFF\n", "error: the line is not text; write UTF-8\n"),
        (b"\x1B[2J\n", "error: no command \"\\u{1b}[2J\"; the commands are: "),
        (b"", ""),
        (&vec![b' '; 1 << 20], "error: the line is too long; at most 256 bytes\n"),
        (b"\n", "error: an empty line; "),
    ] {
        let answer = answer(dir.path(), bytes);
        assert!(answer.starts_with(said) && answer.is_empty() == said.is_empty(), "{answer:?}");
    }
    assert_eq!(serving.obeys(&["jack", "0"]), "jack 0 in", "one line is one command, and it goes on");
    serving.end();
}

#[test]
fn the_socket_is_the_users_own_and_goes_with_the_card() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("control.sock");
    refused(&control(dir.path(), &["help"]), 2, "control.sock: nobody serves there");
    for signals in [&[libc::SIGTERM][..], &[libc::SIGTERM, libc::SIGTERM]] {
        let mut serving = Serving::start(dir.path(), &CONTROL);
        assert_eq!(std::fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
        for signal in signals {
            serving.signal(*signal);
        }
        serving.wait_for_exit();
        assert!(!socket.exists() && !dir.path().join("card.sock").exists());
    }

    let mut serving = Serving::start(dir.path(), &CONTROL);
    let second = |arguments: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_ringwave")).args(arguments).current_dir(dir.path()).output().unwrap()
    };
    let other = ["serve", "--socket", "other.sock", "--control", "control.sock"];
    refused(&second(&other), 2, "control.sock: socket in use");
    assert!(!dir.path().join("other.sock").exists(), "what it had made is gone");
    assert_eq!(serving.obeys(&["jack", "0"]), "jack 0 in", "and the first one is still there");
    serving.signal(libc::SIGKILL);
    serving.wait_for_exit();
    assert!(socket.exists(), "nobody removed it");
    refused(&control(dir.path(), &["help"]), 2, "control.sock: nobody serves there");
    let serving = Serving::start(dir.path(), &CONTROL);
    assert_eq!(serving.obeys(&["jack", "0"]), "jack 0 in", "a stale one is replaced");
    serving.end();

    let serve = ["serve", "--socket", "card.sock"];
    refused(&second(&[&serve[..], &["--control", "card.sock"]].concat()), 2, "card.sock: socket in use");
    refused(&second(&[&serve[..], &["--control", "nowhere/x"]].concat()), 2, "nowhere/x");
    refused(&second(&[&serve[..], &["--unplugged", "0,2"]].concat()), 2, "--unplugged 2: no stream 2");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "nothing is left");
}

#[test]
fn nobody_holds_up_the_card_or_another() {
    let dir = tempfile::tempdir().unwrap();
    let serving = Serving::start(dir.path(), &CONTROL);
    let socket = dir.path().join("control.sock");
    let connect = || UnixStream::connect(&socket).unwrap();
    let mut guest = Guest::connect(&dir.path().join("card.sock"));
    guest.set_up(Setup::USUAL);
    guest.stream_write(stream::WRITTEN, 100_000);
    guest.stream_write(stream::STATE, stream::STATE_RUN);
    let prompt = |patience: u64| {
        let begin = Instant::now();
        assert_eq!(serving.obeys(&["jack", "0"]), "jack 0 in");
        begin.elapsed() < Duration::from_millis(patience)
    };

    let (silent, slow, deaf) = undisturbed(|| {
        let silent: Vec<_> = (0..8).map(|_| connect()).collect();
        let mut slow = connect();
        slow.write_all(b"jack 0").unwrap();
        let beside_silent = prompt(1_000);
        let deaf: Vec<_> = (0..5).map(|_| connect()).collect();
        for mut socket in &deaf {
            socket.write_all(b"stats\n").unwrap();
        }
        (beside_silent && prompt(1_000)).then_some((silent, slow, deaf))
    });
    // As many as it takes at a time, and more: the next one waits until they have had their second.
    let crowd = undisturbed(|| {
        let crowd: Vec<_> = (0..16).map(|_| connect()).collect();
        prompt(2_500).then_some(crowd)
    });
    // The card goes on all the while.
    undisturbed(|| {
        let begin = Instant::now();
        guest.wait_packets(guest.status32(pages::status::PACKET_COUNT) + 2);
        (begin.elapsed() < Duration::from_secs(1)).then_some(())
    });
    // Who was silent for so long is cut off, and finds that out.
    std::thread::sleep(Duration::from_millis(1_200));
    let mut line = String::new();
    assert_eq!(BufReader::new(slow).read_line(&mut line).unwrap(), 0, "{line}");
    undisturbed(|| {
        for _ in 0..300 {
            drop(connect());
        }
        prompt(1_000).then_some(())
    });
    drop((silent, deaf, crowd));

    let threads = std::fs::read_dir(format!("/proc/{}/task", serving.child.id())).unwrap().count();
    assert_eq!(threads, 7, "main, signals, serve, log, engine, io, control");
    guest.stream_write(stream::STATE, stream::STATE_PAUSE);
    drop(guest);
    serving.end();
}

#[test]
fn it_works_behind_all_of_the_sandbox() {
    let parent = tempfile::tempdir().unwrap();
    // Not in a folder where it may remove files anyway.
    let [card, hand] = ["card", "hand"].map(|part| parent.path().join(part));
    for part in [&card, &hand] {
        std::fs::create_dir(part).unwrap();
    }
    let probe = Command::new("timeout")
        .args(["--preserve-status", "0.5", env!("CARGO_BIN_EXE_ringwave")])
        .args(["serve", "--sandbox=on", "--socket", "probe.sock"])
        .current_dir(parent.path())
        .output()
        .unwrap();
    if probe.status.code() == Some(1) {
        eprintln!("not run, this kernel has no such sandbox: {}", String::from_utf8_lossy(&probe.stderr));
        return;
    }
    let options = ["--sandbox=on", "--control", "../hand/control.sock", "--stats", "stats.json"];
    let serving = Serving::start(&card, &options);
    let ask = |words: &[&str]| control(&hand, words);
    assert_eq!(ask(&["jack", "0", "out"]).stdout, b"jack 0 out\n");
    let mut guest = Guest::connect(&card.join("card.sock"));
    assert!(unplugged(&guest));
    guest.set_up(Setup::USUAL);
    assert_eq!(serving.stats_by_signal()["client"], "there");
    serving.wait_for("ringwave: sandbox: files and network; system calls", 1);
    let stats: serde_json::Value = serde_json::from_slice(&ask(&["stats"]).stdout).unwrap();
    assert_eq!(stats["streams"][0]["format"], "s16");
    drop(guest);
    serving.wait_for("the client has left", 1);
    serving.end();
    assert!(!hand.join("control.sock").exists());
}

/// Somebody who listens in the card's place: does this with whoever connects.
fn impostor(dir: &Path, does: fn(UnixStream)) {
    let socket = std::os::unix::net::UnixListener::bind(dir.join("control.sock")).unwrap();
    std::thread::spawn(move || {
        for client in socket.incoming() {
            does(client.unwrap());
        }
    });
}

#[test]
fn answer_is_printed_without_orders_to_the_terminal() {
    for (server, code) in [
        (
            (|mut client| client.write_all(b"\x1b]0;owned\x07\x1b[2J\xc2\x9b1mok\r\n").unwrap())
                as fn(UnixStream),
            0,
        ),
        (|mut client| client.write_all(b"error: \x1b[31mno\x07\n").unwrap(), 1),
    ] {
        let dir = tempfile::tempdir().unwrap();
        impostor(dir.path(), server);
        let output = control(dir.path(), &["help"]);
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(!said.trim_end().chars().any(char::is_control), "{said:?}");
        assert!(said.contains("\\u{1b}["), "shown as what it is: {said:?}");
    }
}

#[test]
fn server_that_drips_or_does_not_accept_costs_a_limited_time() {
    let dripping: fn(UnixStream) = |mut client| {
        while client.write_all(b".").is_ok() {
            std::thread::sleep(Duration::from_millis(300));
        }
    };
    let dir = tempfile::tempdir().unwrap();
    impostor(dir.path(), dripping);
    let full = tempfile::tempdir().unwrap();
    let socket = Listener::bind(&full.path().join("control.sock")).unwrap();
    let mut queue = Vec::new();
    fill_queue(&full.path().join("control.sock"), &mut queue);
    for dir in [dir.path(), full.path()] {
        let begin = Instant::now();
        let mut child = Command::new(env!("CARGO_BIN_EXE_ringwave"))
            .args(["control", "control.sock", "help"])
            .current_dir(dir)
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        while child.try_wait().unwrap().is_none() {
            if begin.elapsed() > Duration::from_mins(1) {
                child.kill().unwrap();
                panic!("it waits for ever");
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        assert_ne!(child.wait().unwrap().code(), Some(0));
    }
    drop(socket);
}

/// Connects until there is no more room in the socket's queue.
fn fill_queue(path: &Path, queue: &mut Vec<std::os::fd::OwnedFd>) {
    use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    loop {
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).unwrap();
        match connect(&socket, &SocketAddrUnix::new(path).unwrap()) {
            Ok(()) => queue.push(socket),
            Err(_) => return,
        }
    }
}
