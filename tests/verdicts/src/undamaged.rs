//! Cases in which nothing is wrong.

use ringwave_audio::SampleFormat;

use crate::answer::Answer;
use crate::case::{Case, Family, Scene};
use crate::judge::Tolerance;
use crate::sounds::{self, between};
use crate::wave::{self, Channels};

const fn family(name: &'static str, weight: u32, make: fn(&mut Scene) -> Option<Case>) -> Family {
    Family { name, weight, make }
}

/// The kinds.
pub const FAMILIES: &[Family] = &[
    family("same: sound", 220, sound),
    family("same: periodic", 120, periodic),
    family("same: clicks in silence", 40, clicks),
    family("same: near silence", 40, near_silence),
    family("same: short", 60, short),
    family("same: long pauses", 40, pauses),
    family("same: a silent channel", 40, silent_channel),
    family("same: two channels alike", 40, alike),
    family("same: beyond full scale", 30, beyond_full_scale),
    family("same: 8 bits", 30, eight_bits),
    family("same: noise that repeats itself", 40, repeating_noise),
    family("within tolerance: LSB", 100, within_lsb),
    family("within tolerance: dB", 60, within_db),
    family("within tolerance: periodic", 40, within_periodic),
];

fn same(scene: &Scene, sound: &Channels, what: &str) -> Option<Case> {
    Some(scene.case(sound, sound, what.to_owned(), Answer::same(scene.shift())))
}

fn sound(scene: &mut Scene) -> Option<Case> {
    let (length, peak) = (scene.length(), scene.peak());
    let sound = scene.sound(length, peak);
    same(scene, &sound, "nothing")
}

/// It may be silent at its beginning: then the silence of both files is one frame longer.
fn periodic_sound(scene: &mut Scene) -> (Channels, usize) {
    let (length, peak) = (scene.rng.usize(2000..20_000), scene.peak());
    let period = sounds::count(&mut scene.rng, 2, 1500);
    let mut sound = sounds::periodic(&mut scene.rng, scene.channels.min(2), length, period, peak);
    scene.channels = sound.len();
    wave::quantize(scene.grid, &mut sound);
    (sound, period)
}

fn periodic(scene: &mut Scene) -> Option<Case> {
    let (sound, period) = periodic_sound(scene);
    if wave::sounding(&sound, 0.0).is_empty() {
        return None;
    }
    same(scene, &sound, &format!("a period of {period}"))
}

fn clicks(scene: &mut Scene) -> Option<Case> {
    let (length, peak) = (scene.rng.usize(5000..40_000), scene.peak());
    let channels = scene.few_channels().channels;
    let mut sound = sounds::clicks(&mut scene.rng, channels, length, peak);
    wave::quantize(scene.grid, &mut sound);
    same(scene, &sound, "clicks")
}

fn near_silence(scene: &mut Scene) -> Option<Case> {
    let length = scene.rng.usize(1100..20_000);
    let step = wave::lsb(scene.grid);
    let most = scene.rng.i32(1..4);
    let one = |_| (0..length).map(|_| f64::from(scene.rng.i32(-most..=most)) * step).collect::<Vec<f64>>();
    let sound: Channels = (0..scene.channels.min(2)).map(one).collect();
    scene.channels = sound.len();
    same(scene, &sound, &format!("{most} LSB of noise"))
}

fn short(scene: &mut Scene) -> Option<Case> {
    let (length, peak) = (sounds::count(&mut scene.rng, 1, 4000), scene.peak());
    let mut sound = scene.sound(length.max(64), peak);
    sound.iter_mut().for_each(|channel| channel.truncate(length));
    if wave::sounding(&sound, 0.0).is_empty() {
        return None;
    }
    same(scene, &sound, "a short sound")
}

fn pauses(scene: &mut Scene) -> Option<Case> {
    let (length, peak) = (scene.length(), scene.peak());
    let mut sound = scene.few_channels().sound(length, peak);
    for _ in 0..scene.rng.usize(1..4) {
        let begin = scene.rng.usize(100..length - 6000);
        let end = begin + scene.rng.usize(100..5000);
        sound.iter_mut().for_each(|channel| channel[begin..end].fill(0.0));
    }
    same(scene, &sound, "pauses")
}

fn silent_channel(scene: &mut Scene) -> Option<Case> {
    let (length, peak) = (scene.length(), scene.peak());
    let mut sound = scene.more_channels().sound(length, peak);
    let channel = scene.rng.usize(1..sound.len());
    sound[channel].fill(0.0);
    same(scene, &sound, "a silent channel")
}

fn alike(scene: &mut Scene) -> Option<Case> {
    let (length, peak) = (scene.length(), scene.peak());
    scene.channels = 1;
    let mut sound = scene.sound(length, peak);
    sound.push(sound[0].clone());
    scene.channels = 2;
    same(scene, &sound, "two channels alike")
}

fn beyond_full_scale(scene: &mut Scene) -> Option<Case> {
    (scene.grid, scene.expected, scene.heard) = (SampleFormat::F32, SampleFormat::F32, SampleFormat::F32);
    let (length, peak) = (scene.length(), between(&mut scene.rng, 1.0, 8.0));
    let mut sound = scene.few_channels().sound(length, peak);
    let mut heard = sound.clone();
    // Both zeros are zero, and so small a number is one.
    let at = scene.rng.usize(100..length - 100);
    for channel in 0..sound.len() {
        (sound[channel][at], heard[channel][at]) = (0.0, -0.0);
        (sound[channel][at + 1], heard[channel][at + 1]) = (1e-40_f32.into(), 1e-40_f32.into());
    }
    Some(scene.case(&sound, &heard, "beyond full scale".to_owned(), Answer::same(scene.shift())))
}

fn eight_bits(scene: &mut Scene) -> Option<Case> {
    scene.grid = SampleFormat::U8;
    let format = |pick| if pick { SampleFormat::U8 } else { SampleFormat::S16 };
    (scene.expected, scene.heard) = (format(scene.rng.bool()), format(scene.rng.bool()));
    let (length, peak) = (scene.length(), between(&mut scene.rng, 0.1, 0.95));
    let sound = scene.few_channels().sound(length, peak);
    same(scene, &sound, "8 bits")
}

/// A loop of noise, or of music: it fits at several offsets but for its ends.
fn repeating_noise(scene: &mut Scene) -> Option<Case> {
    let (length, peak) = (scene.length(), scene.peak());
    let period = sounds::count(&mut scene.rng, 500, length / 2);
    let once = scene.few_channels().sound(period, peak);
    let one = |channel: &Vec<f64>| channel.iter().copied().cycle().take(length).collect();
    let sound: Channels = once.iter().map(one).collect();
    same(scene, &sound, &format!("a loop of {period}"))
}

/// The heard sound, off by whole LSB of at most `most`, and its silence too.
fn within(scene: &mut Scene, sound: &Channels, most: f64, whole: bool) -> (Channels, Channels, f64) {
    let [expected_before, heard_before, expected_after, heard_after] = scene.silence;
    let zeros = |frames| wave::silence(sound.len(), frames);
    let expected = wave::joined(&[&zeros(expected_before), sound, &zeros(expected_after)]);
    let mut heard = wave::joined(&[&zeros(heard_before), sound, &zeros(heard_after)]);
    let share = if scene.rng.bool() { 1.0 } else { between(&mut scene.rng, 0.001, 1.0) };
    let in_silence = scene.rng.bool();
    let sounding = heard_before..heard_before + wave::frames(sound);
    let mut worst = 0.0_f64;
    for channel in &mut heard {
        for (frame, level) in channel.iter_mut().enumerate() {
            if scene.rng.f64() < share && (in_silence || sounding.contains(&frame)) {
                let by = if whole {
                    let steps = (most / scene.unit()) as i64;
                    scene.rng.i64(-steps..=steps) as f64 * scene.unit()
                } else {
                    between(&mut scene.rng, -most, most)
                };
                let was = *level;
                *level = wave::quantized(scene.heard, was + by);
                if sounding.contains(&frame) {
                    worst = worst.max((*level - was).abs());
                }
            }
        }
    }
    (expected, heard, worst)
}

fn within_case(
    scene: &mut Scene,
    sound: &Channels,
    most: f64,
    whole: bool,
    tolerance: Tolerance,
) -> Option<Case> {
    let (expected, heard, worst) = within(scene, sound, most, whole);
    if worst == 0.0 {
        return None;
    }
    let text = format!("off by up to {:.3} LSB, of {:.3}", worst / scene.unit(), most / scene.unit());
    let silence = std::mem::take(&mut scene.silence);
    let mut case = scene.case(&expected, &heard, format!("{text}, silence {silence:?}"), Answer::within());
    case.tolerance = tolerance;
    Some(case)
}

/// The two formats, of whole numbers.
fn integers(scene: &mut Scene) {
    if scene.grid.is_float() || scene.expected.is_float() || scene.heard.is_float() {
        (scene.grid, scene.expected, scene.heard) =
            (SampleFormat::S16, SampleFormat::S16, SampleFormat::S24In32);
    }
}

fn within_lsb(scene: &mut Scene) -> Option<Case> {
    integers(scene);
    let (length, peak) = (scene.length(), between(&mut scene.rng, 0.05, 0.9));
    let sound = scene.few_channels().sound(length, peak);
    let lsb = f64::from(scene.rng.u32(1..20));
    let most = lsb * scene.unit();
    within_case(scene, &sound, most, true, Tolerance::Lsb(lsb))
}

fn within_db(scene: &mut Scene) -> Option<Case> {
    let (length, peak) = (scene.length(), between(&mut scene.rng, 0.2, 0.9));
    let sound = scene.few_channels().sound(length, peak);
    let db = -between(&mut scene.rng, 45.0, 80.0);
    within_case(scene, &sound, wave::level(db) * 0.95 - wave::lsb(scene.heard), false, Tolerance::Dbfs(db))
}

fn within_periodic(scene: &mut Scene) -> Option<Case> {
    integers(scene);
    let (length, peak) = (scene.rng.usize(2000..20_000), between(&mut scene.rng, 0.1, 0.9));
    let period = sounds::count(&mut scene.rng, 2, 1500);
    let mut sound = sounds::periodic(&mut scene.rng, scene.channels.min(2), length, period, peak);
    scene.channels = sound.len();
    wave::quantize(scene.grid, &mut sound);
    let most = 3.0 * scene.unit();
    within_case(scene, &sound, most, true, Tolerance::Lsb(3.0))
}
