//! Cases at the edges: nothing to compare, nothing heard, sound that repeats itself, sound that is too short
//! or too soft for names, numbers that are none.

use ringwave_audio::SampleFormat;

use crate::answer::{self, Answer, Findings, Pattern, Spot};
use crate::case::{Case, Family, Scene};
use crate::judge::{Conclusion, Reason, Tolerance};
use crate::sounds::{self, Kind as Like, between, count};
use crate::wave::{self, Channels};

const fn family(name: &'static str, weight: u32, make: fn(&mut Scene) -> Option<Case>) -> Family {
    Family { name, weight, make }
}

/// The kinds.
pub const FAMILIES: &[Family] = &[
    family("cannot tell: empty", 10, empty),
    family("cannot tell: silent", 10, silent),
    family("cannot tell: too short", 20, too_short),
    family("extra-before: silence expected", 10, silence_expected),
    family("nothing-heard", 10, nothing_heard),
    family("unrelated", 15, unrelated),
    family("not-finite", 10, not_finite),
    family("not-finite in both", 5, not_finite_in_both),
    family("periodic: shifted", 40, periodic_shifted),
    family("periodic: damaged", 25, periodic_damaged),
    family("beyond the tolerance", 20, beyond_tolerance),
    family("any name: short", 25, short),
    family("any name: soft", 15, soft),
    family("any name: clicks in silence", 15, clicks),
    family("any name: near the ends", 15, near_ends),
    family("any name: another rate in the header", 5, wrong_rate),
];

fn empty(scene: &mut Scene) -> Option<Case> {
    let peak = scene.peak();
    scene.silence = [0; 4];
    let none = wave::silence(scene.channels, 0);
    let heard = match scene.rng.u8(..3) {
        0 => none.clone(),
        1 => wave::silence(scene.channels, scene.rng.usize(1..5000)),
        _ => scene.sound(5000, peak),
    };
    Some(scene.case(&none, &heard, "nothing expected".to_owned(), Answer::cannot_tell(Reason::ExpectedEmpty)))
}

fn silent(scene: &mut Scene) -> Option<Case> {
    scene.silence = [0; 4];
    let (long, other) = (scene.rng.usize(1..30_000), scene.rng.usize(..30_000));
    let length = if scene.rng.bool() { long } else { other };
    let (mut expected, mut heard) =
        (wave::silence(scene.channels, long), wave::silence(scene.channels, length));
    let mut tolerance = 0.0;
    if scene.rng.bool() {
        // Within the tolerance of silence.
        tolerance = f64::from(scene.rng.u32(1..4));
        let step = scene.unit();
        for level in expected.iter_mut().chain(&mut heard).flatten() {
            *level = f64::from(scene.rng.i32(-1..=1)) * step;
        }
    }
    let answer = Answer::cannot_tell(Reason::ExpectedSilent);
    let mut case = scene.case(&expected, &heard, "silence".to_owned(), answer);
    case.tolerance = Tolerance::Lsb(tolerance);
    Some(case)
}

/// What a short sound of fewer than 1,024 frames became, whatever it is.
fn too_short(scene: &mut Scene) -> Option<Case> {
    let (length, peak) = (count(&mut scene.rng, 1, 1023), scene.peak());
    let mut sound = scene.few_channels().sound(length.max(64), peak);
    sound.iter_mut().for_each(|channel| channel.truncate(length));
    if wave::sounding(&sound, 0.0).is_empty() {
        return None;
    }
    let heard = spoiled(scene, &sound);
    if wave::sounding(&heard, 0.0).len() == wave::sounding(&sound, 0.0).len()
        && wave::part(&heard, wave::sounding(&heard, 0.0)) == wave::part(&sound, wave::sounding(&sound, 0.0))
    {
        return None;
    }
    let mut answer = Answer::cannot_tell(Reason::TooShort);
    // What repeats itself in so few frames may be told as that.
    answer.conclusions.push(Conclusion::CannotTell(Reason::Periodic));
    Some(scene.case(&sound, &heard, "a short sound, damaged".to_owned(), answer))
}

/// Damage of any kind, and not a thought given to limits.
fn spoiled(scene: &mut Scene, sound: &Channels) -> Channels {
    let length = wave::frames(sound);
    let at = scene.rng.usize(..length);
    let size = count(&mut scene.rng, 1, length.max(2)).min(length - at);
    let mut heard = sound.clone();
    match scene.rng.u8(..6) {
        0 => heard.iter_mut().for_each(|channel| drop(channel.drain(at..at + size))),
        1 => heard.iter_mut().for_each(|channel| {
            let again = channel[at..at + size].to_vec();
            channel.splice(at..at, again);
        }),
        2 => heard.iter_mut().for_each(|channel| channel[at..at + size].fill(0.0)),
        3 => {
            let step = scene.unit();
            for level in heard.iter_mut().flat_map(|channel| &mut channel[at..at + size]) {
                *level = wave::quantized(scene.heard, *level + step * if *level > 0.0 { -1.0 } else { 1.0 });
            }
        }
        4 => {
            let gain = between(&mut scene.rng, 0.3, 0.95);
            for level in heard.iter_mut().flatten() {
                *level = wave::quantized(scene.heard, *level * gain);
            }
        }
        _ => heard.iter_mut().for_each(|channel| channel.reverse()),
    }
    heard
}

fn silence_expected(scene: &mut Scene) -> Option<Case> {
    let (long, length, peak) = (scene.rng.usize(1..30_000), scene.rng.usize(1100..20_000), scene.peak());
    let heard = scene.few_channels().sound(length, peak);
    scene.silence[0] = 0;
    scene.silence[2] = 0;
    let expected = wave::silence(heard.len(), long);
    let answer = Answer::damaged(vec![answer::extra_before(scene.silence[1], length, 0)]);
    Some(scene.case(&expected, &heard, "sound for silence".to_owned(), answer))
}

fn nothing_heard(scene: &mut Scene) -> Option<Case> {
    let (length, peak) = (scene.length(), scene.peak());
    let sound = scene.few_channels().sound(length, peak);
    let heard = wave::silence(sound.len(), if scene.rng.bool() { 0 } else { scene.rng.usize(1..30_000) });
    let answer = Answer::damaged(vec![Pattern::of_kinds(&["nothing-heard"])]);
    Some(scene.case(&sound, &heard, "nothing heard".to_owned(), answer))
}

fn unrelated(scene: &mut Scene) -> Option<Case> {
    let (length, peak) = (scene.length(), scene.peak());
    let sound = scene.few_channels().sound(length, peak);
    let (was, other) = (scene.kind, scene.length());
    // One sweep is much like another.
    while was == Like::Sweep && scene.kind == Like::Sweep {
        scene.kind = Like::any(&mut scene.rng);
    }
    let heard = scene.sound(other, peak);
    let answer = Answer::damaged(vec![Pattern::of_kinds(&["unrelated"])]);
    Some(scene.case(&sound, &heard, format!("another sound, after {was:?}"), answer))
}

fn floats(scene: &mut Scene) {
    (scene.grid, scene.expected, scene.heard) = (SampleFormat::F32, SampleFormat::F32, SampleFormat::F32);
}

fn no_number(scene: &mut Scene) -> f64 {
    [f64::NAN, f64::INFINITY, f64::NEG_INFINITY][scene.rng.usize(..3)]
}

/// One heard sample is no number: it is counted, and taken as silence, which is a click.
fn not_finite(scene: &mut Scene) -> Option<Case> {
    floats(scene);
    let peak = scene.peak();
    let sound = scene.few_channels().sound(17_500, peak);
    let (at, channel) = (scene.rng.usize(8300..9100), scene.rng.usize(..sound.len()));
    let (level, loud) = (sound[channel][at].abs(), wave::rms(&sound[channel]));
    if level < 0.2 * loud {
        return None;
    }
    let mut heard = sound.clone();
    heard[channel][at] = no_number(scene);
    let spot = Spot {
        at: (scene.silence[1] + at) as f64,
        expected_at: (scene.silence[0] + at) as f64,
        tolerance: 64.0,
    };
    let click = answer::click(spot, Some(channel as u32), level / scene.unit(), 0.01);
    let answer = Answer::damaged(vec![answer::not_finite(0, 1), click]).at(scene.shift() as f64, 1.0);
    Some(scene.case(&sound, &heard, format!("no number at {at}"), answer))
}

/// The same samples are no numbers in both files. They are silence in both; whether that is `same` the text
/// does not say.
fn not_finite_in_both(scene: &mut Scene) -> Option<Case> {
    floats(scene);
    let (length, peak) = (scene.length(), scene.peak());
    let mut sound = scene.few_channels().sound(length, peak);
    let (at, channel) = (scene.rng.usize(100..length - 100), scene.rng.usize(..sound.len()));
    sound[channel][at] = no_number(scene);
    let mut answer = Answer::same(scene.shift());
    answer.conclusions.push(Conclusion::Damaged);
    answer.findings = Findings::These(vec![answer::not_finite(1, 1)], Vec::new());
    Some(scene.case(&sound, &sound, format!("no number at {at} of both"), answer))
}

/// The period of a sound after rounding: the smallest that it has.
fn true_period(sound: &Channels, period: usize) -> usize {
    let has =
        |step: &usize| sound.iter().all(|channel| channel.iter().zip(&channel[*step..]).all(|(a, b)| a == b));
    (1..=period).find(|step| period.is_multiple_of(*step) && has(step)).unwrap_or(period)
}

fn periodic_sound(scene: &mut Scene, length: usize) -> Option<(Channels, usize)> {
    // Silence of the expected file in which something is heard has two names in the text.
    (scene.silence[0], scene.silence[2]) = (0, 0);
    let peak = scene.peak();
    let period = count(&mut scene.rng, 4, 1000);
    let mut sound = sounds::periodic(&mut scene.rng, scene.channels.min(2), length, period, peak);
    scene.channels = sound.len();
    wave::quantize(scene.grid, &mut sound);
    let loud = wave::sounding(&sound, 0.0) == (0..length);
    loud.then(|| (sound.clone(), true_period(&sound, period)))
}

/// Frames lost, heard twice, or too many at an end.
fn periodic_shifted(scene: &mut Scene) -> Option<Case> {
    let length = scene.rng.usize(18_000..24_000);
    let (all, period) = periodic_sound(scene, length + 4000)?;
    let sound = wave::part(&all, 0..length);
    let size = count(&mut scene.rng, 1, 4000);
    let at = scene.rng.usize(8192..length - 8192);
    let before = wave::part(&sound, 0..at);
    let size = size.min(at).min(length - at);
    let after = wave::part(&sound, at..length);
    let (heard, shift, what) = match scene.rng.u8(..5) {
        0 => (wave::joined(&[&before, &wave::part(&after, size..length - at)]), -(size as i64), "lost"),
        1 => (wave::joined(&[&before, &wave::part(&before, at - size..at), &after]), size as i64, "repeated"),
        2 => (wave::part(&all, 0..length + size), size as i64, "more at the end"),
        3 => (wave::part(&sound, 0..length - size), -(size as i64), "less at the end"),
        _ => (wave::part(&sound, size..length), -(size as i64), "less at the start"),
    };
    let answer = Answer {
        conclusions: vec![Conclusion::Damaged, Conclusion::CannotTell(Reason::Periodic)],
        offset: None,
        findings: Findings::Periodic { period: period as i64, shift },
    };
    Some(scene.case(&sound, &heard, format!("period {period}, {size} frames {what}"), answer))
}

/// A wrong sample, another level, noise: no shift explains that.
fn periodic_damaged(scene: &mut Scene) -> Option<Case> {
    let length = scene.rng.usize(18_000..24_000);
    let (sound, period) = periodic_sound(scene, length)?;
    let mut heard = sound.clone();
    let channel = scene.rng.usize(..sound.len());
    let what = match scene.rng.u8(..3) {
        0 => {
            let at = scene.rng.usize(8192..length - 8192);
            let level = &mut heard[channel][at];
            *level =
                wave::quantized(scene.heard, *level + scene.unit() * if *level > 0.0 { -1.0 } else { 1.0 });
            "a click of 1 LSB"
        }
        1 => {
            heard[channel].iter_mut().for_each(|level| *level = wave::quantized(scene.heard, *level * 0.9));
            "softer by 0.9 dB"
        }
        _ => {
            let (low, high) = (-20.0 * scene.unit(), 20.0 * scene.unit());
            for level in &mut heard[channel] {
                *level = wave::quantized(scene.heard, *level + between(&mut scene.rng, low, high));
            }
            "noise"
        }
    };
    (heard != sound)
        .then(|| scene.case(&sound, &heard, format!("period {period}, {what}"), Answer::damaged_somehow()))
}

/// One sample is off by more than the tolerance, and nothing else by anything.
fn beyond_tolerance(scene: &mut Scene) -> Option<Case> {
    if scene.heard.is_float() {
        return None;
    }
    let peak = between(&mut scene.rng, 0.1, 0.8);
    let sound = scene.few_channels().sound(17_500, peak);
    let (at, channel) = (scene.rng.usize(8300..9100), scene.rng.usize(..sound.len()));
    let tolerance = f64::from(scene.rng.u32(1..20));
    let by = tolerance + f64::from(scene.rng.u32(1..4));
    let mut heard = sound.clone();
    let level = &mut heard[channel][at];
    *level = wave::quantized(scene.heard, *level + by * scene.unit() * if *level > 0.0 { -1.0 } else { 1.0 });
    let spot = Spot {
        at: (scene.silence[1] + at) as f64,
        expected_at: (scene.silence[0] + at) as f64,
        tolerance: 64.0,
    };
    let answer = Answer::damaged(vec![answer::click(spot, Some(channel as u32), by, 0.01)]);
    let mut case = scene.case(&sound, &heard, format!("{by} LSB at {at}, of {tolerance}"), answer);
    case.tolerance = Tolerance::Lsb(tolerance);
    Some(case)
}

/// The answer to damage outside the limits, if it is damage.
fn somehow(scene: &Scene, sound: &Channels, heard: &Channels, what: &str) -> Option<Case> {
    let trimmed = |channels: &Channels| wave::part(channels, wave::sounding(channels, 0.0));
    if trimmed(sound) == trimmed(heard) || wave::sounding(sound, 0.0).len() < 1024 {
        return None;
    }
    Some(scene.case(sound, heard, what.to_owned(), Answer::damaged_somehow()))
}

/// Long enough not to be too short, and too short for names.
fn short(scene: &mut Scene) -> Option<Case> {
    let (length, peak) = (count(&mut scene.rng, 1100, 16_000), scene.peak());
    let sound = scene.few_channels().sound(length, peak);
    let heard = spoiled(scene, &sound);
    somehow(scene, &sound, &heard, "a short sound, damaged")
}

fn soft(scene: &mut Scene) -> Option<Case> {
    let length = scene.length();
    let step = wave::lsb(scene.grid);
    let most = scene.rng.i32(1..6);
    let one = |_| (0..length).map(|_| f64::from(scene.rng.i32(-most..=most)) * step).collect::<Vec<f64>>();
    let sound: Channels = (0..scene.channels.min(2)).map(one).collect();
    scene.channels = sound.len();
    let heard = spoiled(scene, &sound);
    somehow(scene, &sound, &heard, "a soft sound, damaged")
}

fn clicks(scene: &mut Scene) -> Option<Case> {
    let (length, peak) = (scene.rng.usize(20_000..40_000), scene.peak());
    let channels = scene.few_channels().channels;
    let mut sound = sounds::clicks(&mut scene.rng, channels, length, peak);
    wave::quantize(scene.grid, &mut sound);
    let heard = spoiled(scene, &sound);
    somehow(scene, &sound, &heard, "clicks in silence, damaged")
}

/// A few frames from the start or the end.
fn near_ends(scene: &mut Scene) -> Option<Case> {
    let (length, peak) = (scene.length(), scene.peak());
    let sound = scene.few_channels().sound(length, peak);
    let size = count(&mut scene.rng, 8, 2000);
    let range = if scene.rng.bool() { 0..size } else { length - size..length };
    let end = spoiled(scene, &wave::part(&sound, range.clone()));
    let rest = (wave::part(&sound, 0..range.start), wave::part(&sound, range.end..length));
    let heard = wave::joined(&[&rest.0, &end, &rest.1]);
    somehow(scene, &sound, &heard, "damaged near an end")
}

/// The same samples, and another rate in the header.
fn wrong_rate(scene: &mut Scene) -> Option<Case> {
    let peak = scene.peak();
    let length = scene.rng.usize(16_400..20_000);
    scene.rate = 48_000;
    scene.channels = 1;
    let sound = scene.sound(length, peak);
    let mut case =
        scene.case(&sound, &sound, "44,100 Hz in the header".to_owned(), Answer::damaged_somehow());
    case.heard.format.rate = 44_100;
    Some(case)
}
