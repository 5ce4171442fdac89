//! Whether the damage is what it says, and whether a wrong answer is seen.

use std::f64::consts::TAU;

use fastrand::Rng;
use ringwave_audio::SampleFormat;

use crate::answer::{self, Answer, Spot};
use crate::judge::{By, Conclusion, Finding, Place, Reason};
use crate::place::{self, Change, Frame, Op};
use crate::verdict::{self, Verdict};
use crate::{case, wave};

fn place(at: u64, frames: u64) -> Place {
    Place { at, expected_at: at, seconds: 0.0, frames }
}

fn spot(at: f64) -> Spot {
    Spot { at, expected_at: at, tolerance: 64.0 }
}

fn damaged(findings: Vec<Finding>) -> Verdict {
    let findings_total = findings.len() as u64;
    Verdict { conclusion: Conclusion::Damaged, offset_frames: Some(0.0), findings, findings_total }
}

#[test]
fn an_answer_is_right_only_with_every_number_of_the_text() {
    let answer =
        || Answer::damaged(vec![answer::lost(spot(9000.0), 5), answer::level(1, -6.0, 0.02)]).at(0.0, 1.0);
    let level = |db| Finding::Level { channel: 1, db };
    let right = || vec![level(-6.01), Finding::Lost(place(9064, 5))];
    assert_eq!(answer().wrong(&damaged(right())), Vec::<String>::new());

    let wrong = [
        vec![level(-6.01)],
        vec![level(-6.03), Finding::Lost(place(9064, 5))],
        vec![level(-6.01), Finding::Lost(place(9065, 5))],
        vec![level(-6.01), Finding::Lost(place(9064, 6))],
        vec![level(-6.01), Finding::Repeated(place(9064, 5))],
        vec![Finding::Level { channel: 0, db: -6.0 }, Finding::Lost(place(9064, 5))],
        [right(), vec![Finding::Unrelated]].concat(),
        [right(), vec![Finding::Lost(place(9064, 5))]].concat(),
        Vec::new(),
    ];
    for findings in wrong {
        assert!(!answer().wrong(&damaged(findings.clone())).is_empty(), "{findings:?}");
    }
    for conclusion in
        [Conclusion::Same, Conclusion::WithinTolerance, Conclusion::CannotTell(Reason::Periodic)]
    {
        assert!(!answer().wrong(&Verdict { conclusion, ..damaged(right()) }).is_empty(), "{conclusion:?}");
    }
    for offset_frames in [None, Some(f64::NAN), Some(1.5)] {
        assert!(
            !answer().wrong(&Verdict { offset_frames, ..damaged(right()) }).is_empty(),
            "{offset_frames:?}"
        );
    }
    assert!(!answer().wrong(&Verdict { findings_total: 3, ..damaged(right()) }).is_empty());
}

#[test]
fn what_may_be_there_may_be_there_once_and_need_not() {
    let answer =
        || Answer::damaged(vec![answer::level(0, 1.0, 0.02)]).allowing(vec![answer::dither(0, None)]);
    let level = Finding::Level { channel: 0, db: 1.0 };
    let dither = Finding::Dither { channel: 0, rms_lsb: 0.3, worst_lsb: 0.5 };
    assert!(answer().wrong(&damaged(vec![level.clone()])).is_empty());
    assert!(answer().wrong(&damaged(vec![level.clone(), dither.clone()])).is_empty());
    assert!(!answer().wrong(&damaged(vec![level, dither.clone(), dither])).is_empty());
}

#[test]
fn damage_outside_the_limits_has_some_name_and_is_never_the_same() {
    let answer = Answer::damaged_somehow();
    assert!(answer.wrong(&damaged(vec![Finding::Unrelated])).is_empty());
    assert!(!answer.wrong(&damaged(Vec::new())).is_empty());
    assert!(!answer.wrong(&Verdict { conclusion: Conclusion::Same, ..damaged(Vec::new()) }).is_empty());
}

#[test]
fn periodic_shifts_may_be_off_by_whole_periods() {
    let answer = Answer {
        conclusions: vec![Conclusion::Damaged],
        offset: None,
        findings: answer::Findings::Periodic { period: 100, shift: -30 },
    };
    assert!(answer.wrong(&damaged(vec![Finding::Lost(place(1, 130))])).is_empty());
    assert!(answer.wrong(&damaged(vec![Finding::Repeated(place(1, 70))])).is_empty());
    assert!(!answer.wrong(&damaged(vec![Finding::Repeated(place(1, 30))])).is_empty());
    assert!(!answer.wrong(&damaged(vec![Finding::Level { channel: 0, db: 1.0 }])).is_empty());
}

#[test]
fn the_program_s_json_is_read_with_its_exit_code() {
    let json = |conclusion: &str, reason: &str, findings: &str| {
        format!(
            r#"{{"version": 1, "mode": "aligned", "conclusion": "{conclusion}", "reason": {reason},
            "offset_frames": 4800.0, "findings": [{findings}], "findings_total": 1}}"#
        )
    };
    let lost = r#"{ "kind": "lost", "at": 52800, "expected_at": 48000, "seconds": 1.1, "frames": 1 }"#;
    let text = json("damaged", "null", lost);
    let read = verdict::read(text.as_bytes(), Some(1)).expect("the text's own example");
    let place = Place { at: 52_800, expected_at: 48_000, seconds: 1.1, frames: 1 };
    assert_eq!(read.findings, [Finding::Lost(place)]);
    assert_eq!(read.offset_frames, Some(4800.0));
    for code in [Some(0), Some(2), Some(3), None] {
        assert!(verdict::read(text.as_bytes(), code).is_err(), "{code:?}");
    }
    let silent = json("cannot-tell", r#""expected-silent""#, "");
    assert!(verdict::read(silent.as_bytes(), Some(3)).is_ok());
    assert!(verdict::read(silent.as_bytes(), Some(0)).is_err());
    assert!(verdict::read(json("damaged", "null", r#"{"kind": "odd"}"#).as_bytes(), Some(1)).is_err());
    let by = r#"{"kind": "replaced", "at": 1, "expected_at": 1, "seconds": 0, "frames": 50, "by": "repeat"}"#;
    let replaced = verdict::read(json("damaged", "null", by).as_bytes(), Some(1)).expect("it is right");
    assert!(matches!(replaced.findings[..], [Finding::Replaced { by: By::Repeat, .. }]));
}

#[test]
fn a_seed_makes_the_same_case_again() {
    let families = case::families();
    for seed in 1..40 {
        let ((a, one), (b, two)) = (case::from_seed(seed, &families), case::from_seed(seed, &families));
        assert_eq!((a, &one.injected), (b, &two.injected));
        assert!(one.expected == two.expected && one.heard == two.heard);
    }
}

#[test]
fn every_kind_of_case_comes_about() {
    for family in case::families() {
        for seed in 1..4 {
            case::from_seed(seed, &[family]);
        }
    }
}

#[test]
fn half_of_a_mix_is_not_damaged() {
    let sum = |families: &[case::Family]| families.iter().map(|family| family.weight).sum::<u32>();
    let undamaged = sum(crate::undamaged::FAMILIES);
    let others = sum(crate::damaged::FAMILIES) + sum(crate::odd::FAMILIES);
    assert!(undamaged >= others, "{undamaged} and {others}");
}

#[test]
fn a_place_is_changed_and_what_follows_is_shifted() {
    let sound = vec![(1..=100).map(f64::from).collect::<Vec<f64>>()];
    let ops = [
        Op { at: 20, change: Change::Lost(5) },
        Op { at: 60, change: Change::Repeated(3) },
        Op { at: 80, change: Change::Click(vec![vec![0.0]]) },
    ];
    let frame = Frame { heard: 10, expected: 0, scale: 1.0, tolerance: 0.0, unit: 1.0, alone: true };
    let changed = place::apply(&sound, &ops, frame);
    let heard = &changed.channels[0];
    assert_eq!((heard.len(), heard[19], heard[20]), (98, 20.0, 26.0));
    assert_eq!(heard[52..59], [58.0, 59.0, 60.0, 58.0, 59.0, 60.0, 61.0]);
    assert_eq!(heard[78], 0.0);
    let at = |at, expected_at, frames| Place { at, expected_at, seconds: 0.0, frames };
    let right = vec![
        Finding::Lost(at(30, 20, 5)),
        Finding::Repeated(at(65, 60, 3)),
        Finding::Click { place: at(88, 80, 1), channel: 0, worst_lsb: 81.0 },
    ];
    assert_eq!(Answer::damaged(changed.required).wrong(&damaged(right)), Vec::<String>::new());
}

#[test]
fn a_resampled_tone_is_the_tone_between_its_samples() {
    let tone = |position: f64| (position * 0.3 * TAU).sin();
    let samples: Vec<f64> = (0..4000).map(|frame| tone(f64::from(frame))).collect();
    let step = 1.0 / 1.000_3;
    let resampled = wave::resampled(&samples, 0.25, step, 3900);
    for (index, level) in resampled.iter().enumerate().skip(100).take(3700) {
        let right = tone(0.25 + index as f64 * step);
        assert!((level - right).abs() < 1e-5, "{index}: {level} and {right}");
    }
}

#[test]
fn the_low_pass_keeps_what_is_below_and_nothing_above() {
    let gain = |frequency: f64| {
        let tone: Vec<f64> = (0..4000).map(|frame| (f64::from(frame) * frequency * TAU).sin()).collect();
        wave::rms(&wave::low_passed(&tone, 0.75)[200..3800]) / wave::rms(&tone)
    };
    assert!((gain(0.33) - 1.0).abs() < 1e-3 && gain(0.42) < 1e-5, "{} {}", gain(0.33), gain(0.42));
}

#[test]
fn values_survive_their_format() {
    let mut rng = Rng::with_seed(3);
    for format in SampleFormat::ALL {
        let mut levels = vec![(0..500).map(|_| rng.f64() * 2.2 - 1.1).collect::<Vec<f64>>()];
        wave::quantize(format, &mut levels);
        let sound = wave::sound(&levels, format, 8000);
        let mut back = Vec::new();
        format.decode(&sound.frames, |level| back.push(level));
        assert_eq!(back, levels[0], "{}", format.name());
    }
}
