//! What a card tells of itself while it runs and when a client has gone: SIGUSR1, the line in the log, wakes
//! and lateness.

use crate::serving;
use std::process::Command;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use crate::guest::{Guest, Setup, piece, wav_bytes};
use crate::serving::Serving;
use crate::undisturbed::undisturbed;
use ringwave::engine::{Engine, EngineConfig};
use ringwave::serve::serve;
use ringwave_card::CardConfig;
use ringwave_card::controller::Config;
use ringwave_card::env::ClockMode;
use ringwave_card::pci::Identity;
use ringwave_engine::clock::{HostClock, Speed};
use ringwave_engine::sources::NoSources;
use ringwave_host::SinkSpec;
use ringwave_regs::error::Error;
use ringwave_regs::{pages, stream};
use ringwave_served::HostRequests;
use ringwave_vfio_user::Listener;

const MILLIS: u64 = 1_000_000;

#[test]
fn a_client_that_leaves_is_one_line_and_what_was_not_used_is_not_in_it() {
    let dir = tempfile::tempdir().unwrap();
    let serving = Serving::start(dir.path(), &["--speed", "20", "--stats", "stats.json", "--render", "2"]);
    let music = piece(&dir.path().join("played.wav"), 48_000, 2);
    let mut guest = Guest::connect(&dir.path().join("card.sock"));
    guest.play(Setup::USUAL, &music);
    drop(guest);
    let said = serving.wait_for("the client has left", 1);
    let frames = music.len() / 4;
    let packets = frames.div_ceil(1_900);
    let stream = format!(
        " s: stream 0 render s16 2 ch 48000 Hz: {frames} frames, {packets} packets, 0 underruns, 0 silent, 0 faults; "
    );
    assert!(
        said[0].starts_with("ringwave: the client has left after ") && said[0].contains(&stream),
        "{said:?}"
    );
    assert!(!said[0].contains("stream 1") && !said[0].contains("stream 2"), "{said:?}");
    let stats = serving.stats();
    let end = format!("; {} messages, {} wakes, worst ", stats["messages"]["total"], stats["wakes"]);
    assert!(said[0].contains(&end) && said[0].ends_with(" ms late"), "{said:?}");
    assert_eq!((&stats["client"], &stats["streams"][0]["frames"]), (&"left".into(), &frames.into()));

    // A second one's line counts from its own beginning.
    let begin = Instant::now();
    let guest = Guest::connect(&dir.path().join("card.sock"));
    drop(guest);
    let said = serving.wait_for("the client has left", 2);
    let (first, second) = (stats, serving.stats());
    assert!(second["seconds"].as_f64().unwrap() <= begin.elapsed().as_secs_f64() + 0.001, "{second}");
    assert!(
        first["wakes"].as_u64().unwrap() > 20 && second["wakes"].as_u64().unwrap() < 10,
        "{first} {second}"
    );
    assert!(said[1].contains(" s: no stream used; ") && said[1].ends_with("worst 0.0 ms late"), "{said:?}");
    serving.end();
}

#[test]
fn underruns_that_cannot_be_known_are_unknown() {
    let dir = tempfile::tempdir().unwrap();
    let serving = Serving::start(dir.path(), &["--clock", "realtime"]);
    let mut guest = Guest::connect(&dir.path().join("card.sock"));
    guest.set_up(Setup::USUAL);
    guest.stream_write(stream::STATE, stream::STATE_RUN);
    guest.wait_packets(2);
    drop(guest);
    let said = serving.wait_for("the client has left", 1);
    assert!(said[0].contains(" packets, unknown underruns, "), "{said:?}");
    serving.end();
}

#[test]
fn marks_cost_no_message_and_how_early_they_came_is_told() {
    let (_dir, serving, guest, told) = undisturbed(|| {
        let dir = tempfile::tempdir().unwrap();
        let serving = Serving::start(dir.path(), &["--clock", "realtime", "--stats", "stats.json"]);
        let mut guest = Guest::connect(&dir.path().join("card.sock"));
        // Packets of 200 ms, so that a busy machine is in time.
        guest.set_up(Setup { packet: 9_600, ..Setup::USUAL });
        guest.mark(0, 0);
        let begin = Instant::now();
        guest.stream_write(stream::STATE, stream::STATE_RUN);
        let anchor = guest.status64(pages::status::ANCHOR_CLOCK);
        let mut in_time = begin.elapsed() < Duration::from_millis(40);
        for packet in 1..4 {
            guest.wait_packets(packet - 1);
            // 150 ms before its packet begins, as this guest's clock has it.
            let clock = anchor + u64::from(packet) * 200_000_000 - 150_000_000;
            assert_eq!(guest.mark(packet, clock), 0, "WAITING");
            in_time &= begin.elapsed() < Duration::from_millis(u64::from(packet) * 200 - 20);
        }
        guest.wait_packets(3);
        let told = serving.stats_by_signal();
        // The one behind the last has no mark.
        in_time &= begin.elapsed() < Duration::from_millis(800);
        in_time.then_some((dir, serving, guest, told))
    });
    let stream = &told["streams"][0];
    assert_eq!((&stream["marks"], &stream["underruns"]), (&4.into(), &0.into()), "{told}");
    assert_eq!((&stream["late_marks"], &stream["polled_marks"]), (&0.into(), &0.into()), "{told}");
    let running = &told["messages"]["while_running"];
    assert!(["reads", "writes", "written", "look", "eos"].iter().all(|kind| running[kind] == 0), "{told}");
    let least = stream["least_margin_us"].as_i64().unwrap();
    assert!((100_000..=200_000).contains(&least), "{least}");
    assert_eq!(stream["margins"], serde_json::json!([{ "from_us": 20_000, "packets": 3 }]), "{told}");
    drop(guest);
    let said = serving.wait_for("the client has left", 1);
    assert!(said[0].contains(" faults, marks at least 1"), "{said:?}");
    serving.end();
}

#[test]
fn a_lockstep_stream_waits_for_marks_and_hears_of_them_by_look() {
    let dir = tempfile::tempdir().unwrap();
    let serving = Serving::start(dir.path(), &["--speed", "20"]);
    let mut guest = Guest::connect(&dir.path().join("card.sock"));
    guest.set_up(Setup::USUAL);
    guest.stream_write(stream::STATE, stream::STATE_RUN);
    for packet in 0..30 {
        if guest.mark(packet, 0) == 1 {
            guest.stream_write(stream::LOOK, 0);
        }
        guest.wait_packets(packet + 1);
    }
    let live = serving.stats_by_signal();
    let stream = &live["streams"][0];
    assert_eq!((&stream["marks"], &stream["polled_marks"]), (&30.into(), &0.into()), "{live}");
    assert!(
        stream["stalls"].as_u64().unwrap() >= live["messages"]["while_running"]["look"].as_u64().unwrap()
    );
    serving.end();
}

#[test]
fn a_card_has_as_many_channels_as_it_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let serving = Serving::start(dir.path(), &["--channels", "2"]);
    let mut guest = Guest::connect(&dir.path().join("card.sock"));
    for index in 0..2 {
        let block = stream::block(index).unwrap();
        let channels = guest.read(block + stream::CAPS) >> stream::CAPS_CHANNELS_SHIFT & 0xFF;
        assert_eq!(channels, 2, "stream {index}");
        guest.write(block + stream::FORMAT, ringwave_regs::format::pack(ringwave_regs::format::S16, 3));
        assert_eq!(guest.read(block + stream::ERROR), Error::BadFormat.code());
        guest.write(block + stream::FORMAT, ringwave_regs::format::pack(ringwave_regs::format::S16, 2));
        assert_eq!(guest.read(block + stream::FORMAT), 0x200);
    }
    serving.end();
}

#[test]
fn a_client_that_is_still_there_at_the_end_is_one_line_too() {
    let dir = tempfile::tempdir().unwrap();
    let mut serving = Serving::start(dir.path(), &["--stats", "stats.json"]);
    let mut guest = Guest::connect(&dir.path().join("card.sock"));
    guest.set_up(Setup::USUAL);
    serving.signal(libc::SIGTERM);
    assert_eq!(serving.wait_for_exit().code(), Some(0));
    let said = serving.wait_for("the client is still there after ", 1);
    assert!(
        said[0].contains("stream 0 render s16 2 ch 48000 Hz: 0 frames, 0 packets, 0 underruns"),
        "{said:?}"
    );
    assert_eq!((said.len(), serving.said("has left").len()), (1, 0));
    assert_eq!(serving.stats()["client"], "there");
}

#[test]
fn figures_of_the_moment_come_by_signal_and_disturb_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let options = ["--sink", "wav:heard.wav", "--speed", "20", "--stats", "stats.json"];
    let serving = Serving::start(dir.path(), &options);
    assert_eq!(serving.stats_by_signal()["client"], "none");
    assert!(!dir.path().join("stats.json").exists(), "there is no client to tell of");

    let music = piece(&dir.path().join("played.wav"), 48_000, 2);
    let mut guest = Guest::connect(&dir.path().join("card.sock"));
    let setup = Setup::USUAL;
    guest.set_up(setup);
    guest.give_packet(setup, &music, 0);
    guest.give_packet(setup, &music, 1);
    guest.stream_write(stream::STATE, stream::STATE_RUN);
    // In lockstep it stands there until packet 2 comes.
    guest.wait_packets(2);
    let live = serving.stats_by_signal();
    assert_eq!((&live["client"], &live["streams"][0]["frames"]), (&"there".into(), &3_800.into()), "{live}");
    assert_eq!(
        (&live["streams"][0]["packets_completed"], &live["streams"][0]["stalls"]),
        (&2.into(), &1.into())
    );
    assert!(
        live["messages"]["total"].as_u64().unwrap() > 10 && live["wakes"].as_u64().unwrap() > 0,
        "{live}"
    );
    // The log is told first.
    let begin = Instant::now();
    while !std::fs::exists(dir.path().join("stats.json")).unwrap() {
        assert!(begin.elapsed() < serving::PATIENCE, "the file has them, too");
        std::thread::sleep(Duration::from_millis(2));
    }
    assert_eq!(serving.stats(), live);

    let packets = u32::try_from(music.len().div_ceil(setup.packet_bytes())).unwrap();
    for n in 2..packets {
        guest.wait_packets(n - 1);
        serving.signal(libc::SIGUSR1);
        guest.give_packet(setup, &music, n);
    }
    guest.wait_packets(packets);
    guest.state(stream::STATE_STOP);
    drop(guest);
    serving.wait_for("the client has left", 1);
    assert_eq!(wav_bytes(&dir.path().join("heard.wav")), music);
    let after = serving.stats();
    assert_eq!(
        (&after["client"], &after["streams"][0]["frames"]),
        (&"left".into(), &(music.len() / 4).into())
    );
    assert_eq!(serving.stats_by_signal()["client"], "none");
    assert_eq!(serving.stats(), after, "the last client's figures stay until there is another");
    serving.end();
}

#[test]
fn a_source_in_another_format_is_told_once() {
    let dir = tempfile::tempdir().unwrap();
    piece(&dir.path().join("a.wav"), 48_000, 2);
    let serving = Serving::start(dir.path(), &["--render", "0", "--capture", "1", "--source", "wav:a.wav"]);
    let mut guest = Guest::connect(&dir.path().join("card.sock"));
    guest.set_up(Setup { rate: 44_100, ..Setup::USUAL });
    serving
        .wait_for("a.wav is s16 x 2, 48000 Hz, and the stream is s16 x 2, 44100 Hz: it captures silence", 1);
    guest.state(stream::STATE_STOP);
    guest.set_up(Setup { rate: 44_100, ..Setup::USUAL });
    drop(guest);
    serving.wait_for("the client has left", 1);
    assert_eq!(serving.said("it captures silence").len(), 1);
    serving.end();
}

/// A script waits for the socket, and asks.
#[test]
fn a_process_whose_socket_is_there_can_be_asked() {
    for _ in 0..40 {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("card.sock");
        let mut command = Command::new(env!("CARGO_BIN_EXE_ringwave"));
        command.args(["serve", "--socket", "card.sock", "--control", "control.sock"]).current_dir(dir.path());
        let mut child = command.stderr(std::process::Stdio::null()).spawn().unwrap();
        let begin = Instant::now();
        while !std::fs::exists(&socket).unwrap() {
            assert!(begin.elapsed() < serving::PATIENCE);
        }
        for signal in [libc::SIGUSR1, libc::SIGTERM] {
            // SAFETY: the child is ours and was not waited for, so its id is its own.
            assert_eq!(unsafe { libc::kill(child.id().cast_signed(), signal) }, 0);
        }
        assert_eq!(child.wait().unwrap().code(), Some(0), "it ends by SIGTERM, as ever");
        assert!(!std::fs::exists(&socket).unwrap(), "and leaves no socket");
    }
}

#[test]
fn asking_for_figures_does_not_count_as_the_second_signal() {
    let dir = tempfile::tempdir().unwrap();
    let fifo = dir.path().join("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    // A reader that never reads: a write of more than the pipe holds (64 KiB) waits for ever.
    let _reader = std::fs::OpenOptions::new().read(true).write(true).open(&fifo).unwrap();
    let mut serving = Serving::start(dir.path(), &["--sink", "wav:fifo", "--speed", "100"]);
    let mut guest = Guest::connect(&dir.path().join("card.sock"));
    guest.set_up(Setup::USUAL);
    guest.stream_write(stream::WRITTEN, 200);
    guest.stream_write(stream::STATE, stream::STATE_RUN);
    guest.wait_packets(201);
    for signal in [libc::SIGUSR1, libc::SIGTERM, libc::SIGUSR1] {
        serving.signal(signal);
        std::thread::sleep(Duration::from_millis(200));
        assert!(serving.child.try_wait().unwrap().is_none(), "signal {signal}: it waits for the sink");
    }
    serving.signal(libc::SIGTERM);
    assert_eq!(serving.wait_for_exit().code(), Some(1));
}

#[test]
fn lateness_is_the_longest_time_from_an_end_to_its_handling() {
    let dir = tempfile::tempdir().unwrap();
    let controller = Config { clock: ClockMode::Lockstep, ..Config::default() };
    let identity = Identity::default();
    let config = CardConfig { controller, identity, speed: Speed::REAL, trace: false };
    let card = Arc::new(config.power_on_with(HostClock::by_hand(), Box::new(NoSources)).unwrap());
    let socket = Listener::bind(&dir.path().join("card.sock")).unwrap();
    let files = EngineConfig { sink: SinkSpec::Null, stats: None, trace: None };
    let engine = Engine::start(Arc::clone(&card), files).unwrap();
    let serving = Arc::clone(&card);
    let server = std::thread::spawn(move || serve(&serving, &socket, true).unwrap());
    let stats = || {
        let (answer, figures) = mpsc::channel();
        card.request_stats(answer).unwrap();
        serde_json::to_value(figures.recv_timeout(serving::PATIENCE).unwrap()).unwrap()
    };

    let mut guest = Guest::connect(&dir.path().join("card.sock"));
    guest.set_up(Setup::USUAL);
    guest.stream_write(stream::WRITTEN, 1);
    guest.stream_write(stream::STATE, stream::STATE_RUN);
    assert_eq!(stats()["worst_lateness_us"], 0);
    // Pieces end after 10, 20 and 30 ms, and after 39.583 with the packet.
    card.clock().turn(25 * MILLIS);
    assert_eq!(guest.stream_read(stream::POSITION_LO), 1_200);
    assert_eq!(stats()["worst_lateness_us"], 15_000);
    card.clock().turn(12 * MILLIS);
    guest.stream_read(stream::POSITION_LO);
    let now = stats();
    assert_eq!(now["worst_lateness_us"], 15_000, "the worst one stays: 7 ms are not as late");
    assert_eq!(
        (&now["streams"][0]["worst_lateness_us"], &now["streams"][1]["worst_lateness_us"]),
        (&15_000.into(), &0.into())
    );
    drop(guest);
    server.join().unwrap();
    let next = stats();
    assert_eq!(
        (&next["worst_lateness_us"], &next["client"]),
        (&0.into(), &"none".into()),
        "the next client's begin anew"
    );
    engine.end();
}

#[test]
fn engine_wakes_about_once_for_each_end_of_a_piece() {
    undisturbed(|| {
        let dir = tempfile::tempdir().unwrap();
        let serving = Serving::start(dir.path(), &[]);
        let mut guest = Guest::connect(&dir.path().join("card.sock"));
        guest.set_up(Setup::USUAL);
        let before = serving.stats_by_signal()["wakes"].as_u64().unwrap();
        guest.stream_write(stream::WRITTEN, 4);
        guest.stream_write(stream::STATE, stream::STATE_RUN);
        // Five packets of four pieces each, read off the page: no message wakes it.
        guest.wait_packets(5);
        let live = serving.stats_by_signal();
        let wakes = live["wakes"].as_u64().unwrap() - before;
        let late = live["worst_lateness_us"].as_u64().unwrap();
        drop(guest);
        serving.end();
        // Who wakes late handles several ends at once.
        if late > 50_000 {
            return None;
        }
        assert!((8..=40).contains(&wakes), "{wakes} wakes for 20 ends");
        assert!(late > 0, "{live}");
        Some(())
    });
}
