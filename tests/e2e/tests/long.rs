//! What takes long: `qemu-scripts/test --long` runs these.

use ringwave_e2e::noise::wav;
use ringwave_e2e::runs::play;
use ringwave_runner::artefacts::Artefacts;
use ringwave_runner::foreign::{self, Device};
use ringwave_runner::machine::GuestTime;
use ringwave_runner::request::Clock;
use std::time::Duration;

#[test]
#[ignore = "boots QEMU and plays ten minutes in real time: run qemu-scripts/test --long"]
fn ten_minutes_in_real_time_are_bit_exact() {
    let wav = wav(600 * 48_000, 2, 48_000);
    assert!(play(&wav.path, |_| {}).passed());
}

#[test]
#[ignore = "boots QEMU and plays an hour of sound: run qemu-scripts/test --long"]
fn ten_minutes_at_speed_in_both_modes_and_many_buffers_are_bit_exact() {
    let wav = wav(600 * 44_100, 1, 44_100);
    for buffer_ms in [10, 100, 1500] {
        for contiguous in [false, true] {
            let report = play(&wav.path, |request| {
                request.clock = Clock::Lockstep(20.0);
                request.buffer_ms = buffer_ms;
                request.contiguous = contiguous;
            });
            assert!(report.passed(), "{buffer_ms} ms, contiguous {contiguous}");
        }
    }
}

#[test]
#[ignore = "boots QEMU a hundred times: run qemu-scripts/test --long"]
fn a_hundred_boots_are_bit_exact_whatever_the_page_order() {
    let wav = wav(4_801, 2, 48_000);
    for seed in 1..=100 {
        let report = play(&wav.path, |request| request.guest_config.push(format!("seed={seed}")));
        assert!(report.passed(), "seed {seed}");
    }
}

/// Ten thousand random events on four processors: streams of both directions, controls, power, and what no
/// client should ask. `RINGWAVE_WALK_SEED` is the seed, which is printed.
#[test]
#[ignore = "boots QEMU and takes minutes: run qemu-scripts/test --long"]
fn a_random_walk_of_ten_thousand_events_on_four_processors_breaks_no_rule_and_leaves_nothing() {
    let seed = std::env::var("RINGWAVE_WALK_SEED").unwrap_or_else(|_| "1".into());
    let artefacts = Artefacts::from_env().expect("everything is built");
    let wav = wav(48_000, 2, 48_000);
    let request = foreign::Request {
        sys: artefacts.driver.clone(),
        inf: None,
        audiodev: "wav".into(),
        device: Device::Ringwave,
        pci: Some((0x1234, 0x5257)),
        client: "walk".into(),
        wav: wav.path.clone(),
        values: Vec::new(),
        harsh: true,
        out: None,
        config: ["buffer_ms=1000".into(), "walk_events=10000".into(), format!("walk_seed={seed}")].into(),
        processors: 4,
        time: GuestTime::Host,
        limit: Duration::from_mins(30),
        keep: false,
    };
    let report = foreign::run(&artefacts, &request, |step| eprintln!("{step}")).expect("a verdict");
    let text = report.to_string();
    println!("walk_seed={seed}\n{text}");
    assert!(report.passed(), "walk_seed={seed}");
    let count = |name: &str| -> u32 {
        let value = text.split(&format!("{name}=")).nth(1).and_then(|rest| rest.split_whitespace().next());
        value.and_then(|value| value.parse().ok()).unwrap_or(0)
    };
    assert!(count("walk_events_done") >= 9_900 && count("walk_d3_rounds") >= 300, "walk_seed={seed}");
    assert!(count("walk_streams") >= 50 && count("walk_runs") >= 100, "walk_seed={seed}");
}
