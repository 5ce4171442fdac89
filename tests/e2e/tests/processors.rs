//! The driver on two and four processors of ntguest: service routines, DPCs and threads run at the same time,
//! and with a seed they are delayed where they meet. `qemu-scripts/test` builds what it needs and runs this;
//! `cargo test` alone has no QEMU and no guest, so that it is ignored there.

use ringwave_e2e::{
    runs::{play, record},
    tune_file::TuneFile,
};
use ringwave_runner::{
    machine::Outcome,
    report::Report,
    request::{CardKind, Request},
};

fn is_right(report: &Report, what: &str) {
    assert_eq!((report.outcome, &report.violations), (Some(Outcome::Ok), &Vec::new()), "{what}");
    assert!(report.passed(), "{what}");
}

/// The line or messages, and DMA page by page or in one piece.
const WAYS: [(&str, bool); 2] = [("msi=16", false), ("msi=0", true)];

fn on(request: &mut Request, processors: u32, (interrupt, contiguous): (&str, bool)) {
    request.processors = processors;
    request.contiguous = contiguous;
    request.guest_config.push(interrupt.into());
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn what_is_played_is_bit_exact_on_two_and_four_processors() {
    for processors in [2, 4] {
        for way in WAYS {
            let report = play(&TuneFile::stereo().path(), |request| on(request, processors, way));
            is_right(&report, &format!("{processors} processors, {way:?}"));
        }
    }
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn what_is_recorded_is_bit_exact_on_two_and_four_processors() {
    for (processors, way) in [(2, WAYS[1]), (4, WAYS[0])] {
        let report = record(&TuneFile::stereo().path(), |request| on(request, processors, way));
        is_right(&report, &format!("{processors} processors, {way:?}"));
    }
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn delays_where_processors_meet_change_nothing_that_is_heard() {
    let seeded = |request: &mut Request, seed: u32| {
        on(request, 4, WAYS[0]);
        request.guest_config.push(format!("schedule_seed={seed}"));
    };
    let tune = TuneFile::stereo();
    is_right(&play(&tune.path(), |request| seeded(request, 1)), "played, schedule_seed=1");
    is_right(&record(&tune.path(), |request| seeded(request, 2)), "recorded, schedule_seed=2");
}

/// With a virtio device the DPC gives messages beside the threads that mark packets.
#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn on_virtio_delays_where_processors_meet_change_nothing_that_is_heard() {
    let tune = TuneFile::stereo();
    let seeded = |request: &mut Request, processors, way, seed: u32| {
        on(request, processors, way);
        request.kind = CardKind::Virtio;
        request.guest_config.push(format!("schedule_seed={seed}"));
    };
    let played = play(&tune.path(), |request| seeded(request, 4, WAYS[0], 1));
    is_right(&played, "played on 4, schedule_seed=1");
    let recorded = record(&tune.path(), |request| seeded(request, 2, WAYS[1], 2));
    is_right(&recorded, "recorded on 2, schedule_seed=2");
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn power_and_a_control_panel_come_from_several_processors() {
    let power = [
        "client=life",
        "life=d3:run:play,d3-lost:run:play,d3:pause:play,d3-lost:paused:play",
        "life_frames=9600",
    ];
    for (seed, lines) in [(3, &power[..]), (4, &["client=controls"])] {
        let report = play(&TuneFile::stereo().path(), |request| {
            on(request, 4, WAYS[0]);
            request.guest_config.extend(lines.iter().copied().map(String::from));
            request.guest_config.push(format!("schedule_seed={seed}"));
        });
        let right = (report.outcome, &report.violations);
        assert_eq!(right, (Some(Outcome::Ok), &Vec::new()), "schedule_seed={seed} {lines:?}");
    }
}
