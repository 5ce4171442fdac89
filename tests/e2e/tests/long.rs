//! What takes long: `qemu-scripts/test --long` runs these.

use ringwave_e2e::noise::wav;
use ringwave_e2e::runs::play;
use ringwave_runner::request::Clock;

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
