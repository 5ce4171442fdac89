//! A client plays while others do what no client should, power and PnP queries come and go, and calls of the
//! driver fail at random: what is played is bit-exact, no rule is broken, every answer is one that a page
//! names. By messages and by the line, where each word of a page is a message, on one, two and four
//! processors.

use ringwave_audio::wav;
use ringwave_e2e::{noise, runs::play};
use ringwave_runner::{machine::Outcome, report::Report};

/// What the guest counts, and the least of it in a second that is played: a fifth of what a busy host lets
/// happen.
const COUNTS: [(&str, u64); 8] = [
    ("hostile_events", 10),
    ("hostile_requests", 5),
    ("hostile_requests_accepted", 1),
    ("hostile_formats", 3),
    ("hostile_buffers", 2),
    ("hostile_buffers_accepted", 1),
    ("hostile_over_instances", 1),
    ("hostile_failed_calls", 1),
];

/// Messages, and a client that has mapped the position register.
const MESSAGES: &str = "reg.PositionRegister=1";
/// The line.
const LINE: &str = "msi=0";

/// Plays so many seconds among hostile clients.
fn play_among_hostile_clients(seed: u64, seconds: u32, processors: u32, contiguous: bool, interrupt: &str) {
    let file = noise::wav(seconds * 48_000, 2, 48_000);
    let report: Report = play(&file.path, |request| {
        request.processors = processors;
        request.contiguous = contiguous;
        request.buffer_ms = 100;
        request.guest_config.extend(["client=hostile".into(), format!("hostile_seed={seed}")]);
        request.guest_config.push(interrupt.into());
    });
    let what =
        format!("hostile_seed={seed}, {processors} processor(s), contiguous {contiguous}, {interrupt}");
    assert_eq!((report.outcome, &report.violations), (Some(Outcome::Ok), &Vec::new()), "{what}");
    // Behind the file a hostile client may have played the silence of a new buffer.
    let sent = wav::read(&file.path).expect("the file").frames;
    let heard = report.played.as_ref().map_or(&[][..], |sound| &sound.frames);
    let silence = heard.strip_prefix(&sent[..]);
    assert!(silence.is_some_and(|rest| rest.iter().all(|byte| *byte == 0)), "{what}");
    for (name, least) in COUNTS {
        let count = report.guest.result(name).unwrap_or(0);
        println!("{what}: {name}={count}");
        assert!(count >= least * u64::from(seconds), "{what}: {name}={count}");
    }
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn what_is_played_among_hostile_clients_is_bit_exact() {
    play_among_hostile_clients(1, 2, 1, false, MESSAGES);
    play_among_hostile_clients(2, 2, 2, true, LINE);
}

#[test]
#[ignore = "takes minutes: run qemu-scripts/test --long"]
fn in_long_what_is_played_among_hostile_clients_is_bit_exact_on_one_two_and_four_processors() {
    for seed in 1..=3 {
        for (processors, interrupt) in
            [(1, MESSAGES), (2, MESSAGES), (4, MESSAGES), (1, LINE), (2, LINE), (4, LINE)]
        {
            play_among_hostile_clients(seed, 3, processors, seed % 2 == 0, interrupt);
        }
    }
}
