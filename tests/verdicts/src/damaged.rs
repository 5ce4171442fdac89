//! Cases within the limits of detection: each kind of damage alone, and pairs of kinds.

use ringwave_audio::SampleFormat;

use crate::answer::{self, Answer, Pattern};
use crate::case::{Case, Family, Scene, place_answer};
use crate::changes::Kind as Change;
use crate::place::{self, Frame};
use crate::sounds::{self, Kind as Like, between, count, gaussian};
use crate::wave::{self, Channels};
use crate::whole::{self, Kind as Whole, Setting};

const fn family(name: &'static str, weight: u32, make: fn(&mut Scene) -> Option<Case>) -> Family {
    Family { name, weight, make }
}

/// The kinds.
pub const FAMILIES: &[Family] = &[
    family("lost", 30, |scene| places(scene, &[Change::Lost])),
    family("repeated", 30, |scene| places(scene, &[Change::Repeated])),
    family("inserted", 30, |scene| places(scene, &[Change::Inserted])),
    family("lost, silence of another length", 15, |scene| places(scene, &[Change::LostInSilence])),
    family("replaced", 30, |scene| places(scene, &[Change::Replaced])),
    family("click", 30, |scene| places(scene, &[Change::Click])),
    family("start-missing", 15, start_missing),
    family("end-missing", 15, end_missing),
    family("extra-before", 15, extra_before),
    family("extra-after", 15, extra_after),
    family("two places", 30, two_places),
    family("three places", 5, three_places),
    family("start-missing + place", 6, start_missing_and_place),
    family("channels-swapped", 15, swapped),
    family("channel-missing", 15, missing),
    family("channel-inverted", 15, inverted),
    family("channels-swapped, one twice", 6, one_twice),
    family("channels-swapped + channel-inverted", 6, swapped_and_inverted),
    family("channels + place", 15, channels_and_place),
    family("level", 20, |scene| whole(scene, Whole::Level)),
    family("level-varies", 8, |scene| whole(scene, Whole::LevelVaries)),
    family("offset", 15, |scene| whole(scene, Whole::Offset)),
    family("drift", 20, |scene| whole(scene, Whole::Drift)),
    family("drift of 0 ppm", 6, |scene| whole(scene, Whole::Shift)),
    family("limiter", 15, |scene| whole(scene, Whole::Limiter)),
    family("dither", 20, |scene| whole(scene, Whole::Dither)),
    family("dither, 24 to 16 bits", 10, fewer_bits),
    family("noise", 20, |scene| whole(scene, Whole::Noise)),
    family("noise, before and after too", 4, noise_everywhere),
    family("filtered", 15, |scene| whole(scene, Whole::Filtered)),
    family("coded", 15, |scene| whole(scene, Whole::Coded)),
    family("rate", 8, rate),
    family("level + place", 15, |scene| whole_and_place(scene, Whole::Level)),
    family("offset + place", 10, |scene| whole_and_place(scene, Whole::Offset)),
    family("dither + place", 15, |scene| whole_and_place(scene, Whole::Dither)),
    family("noise + place", 15, |scene| whole_and_place(scene, Whole::Noise)),
    family("drift + place", 10, |scene| whole_and_place(scene, Whole::Drift)),
    family("level + dither", 6, |scene| two_wholes(scene, Whole::Level, Whole::Dither)),
    family("level + noise", 8, |scene| two_wholes(scene, Whole::Level, Whole::Noise)),
    family("level + offset", 8, |scene| two_wholes(scene, Whole::Level, Whole::Offset)),
    family("level + limiter", 8, limiter_and_level),
    family("level + drift", 8, |scene| two_wholes(scene, Whole::Drift, Whole::Level)),
    family("drift + noise", 6, drift_and_noise),
    family("level + channels", 8, level_and_channels),
    family("noise + end-missing", 5, noise_and_end),
];

fn places(scene: &mut Scene, kinds: &[Change]) -> Option<Case> {
    let peak = scene.peak();
    let (sound, ops) = scene.few_channels().with_changes(kinds, peak, true)?;
    let damaged = place::apply(&sound, &ops, scene.frame(true));
    let answer = place_answer(scene, damaged.required);
    Some(scene.case(&sound, &damaged.channels, format!("{kinds:?}"), answer))
}

fn any_change(scene: &mut Scene) -> Change {
    Change::ALL[scene.rng.usize(..Change::ALL.len())]
}

fn two_places(scene: &mut Scene) -> Option<Case> {
    let kinds = [any_change(scene), any_change(scene)];
    places(scene, &kinds)
}

fn three_places(scene: &mut Scene) -> Option<Case> {
    let kinds = [any_change(scene), any_change(scene), any_change(scene)];
    places(scene, &kinds)
}

/// Frames that are missing at the start, counted without silence at their ends, and with it.
fn counts(sound: &Channels) -> (usize, usize) {
    (wave::sounding(sound, 0.0).len(), wave::frames(sound))
}

/// How many frames are missing at an end, or come besides.
fn end_size(scene: &mut Scene, alone: bool) -> usize {
    if alone && scene.rng.u8(..4) == 0 {
        return scene.rng.usize(1..4);
    }
    count(&mut scene.rng, if alone { 1 } else { 256 }, 6000)
}

fn start_missing(scene: &mut Scene) -> Option<Case> {
    let (length, peak, size) = (scene.length(), scene.peak(), end_size(scene, true));
    let sound = scene.few_channels().sound(length + size, peak);
    let rest = wave::part(&sound, size..length + size);
    let (low, high) = counts(&wave::part(&sound, 0..size));
    let required = vec![answer::start_missing(low, high)];
    let silence_instead = scene.rng.bool();
    let later = if silence_instead { 0 } else { size };
    let answer = Answer::damaged(required).at(scene.shift() as f64 - later as f64, 1.0);
    let heard =
        if silence_instead { wave::joined(&[&wave::silence(sound.len(), size), &rest]) } else { rest };
    Some(scene.case(&sound, &heard, format!("{size} frames missing at the start"), answer))
}

fn end_missing(scene: &mut Scene) -> Option<Case> {
    let (length, peak, size) = (scene.length(), scene.peak(), end_size(scene, true));
    let sound = scene.few_channels().sound(length + size, peak);
    let heard = wave::part(&sound, 0..length);
    let (low, high) = counts(&wave::part(&sound, length..length + size));
    let answer = place_answer(scene, vec![answer::end_missing(low, high)]);
    Some(scene.case(&sound, &heard, format!("{size} frames missing at the end"), answer))
}

/// Something else, with ends that are not silent.
fn extra(scene: &mut Scene, sound: &Channels, size: usize, alone: bool) -> Channels {
    let loudest = sound.iter().map(|channel| wave::peak(channel)).fold(0.0, f64::max);
    let least = if alone { wave::lsb(scene.grid) } else { loudest * 0.3 };
    let peak = sounds::between_log(&mut scene.rng, least.min(loudest), loudest);
    let mut extra = match scene.rng.u8(..3) {
        0 => {
            let frequency = between(&mut scene.rng, 0.01, 0.6);
            let tone: Vec<f64> = (0..size).map(|n| (n as f64 * frequency).cos() * peak).collect();
            vec![tone; sound.len()]
        }
        1 => (0..sound.len())
            .map(|_| (0..size).map(|_| gaussian(&mut scene.rng) * peak / 4.0).collect())
            .collect(),
        _ => {
            sounds::make(&mut scene.rng, Like::Music, scene.rate, sound.len(), size.max(64), peak.max(0.011))
                .into_iter()
                .map(|channel| channel[..size].to_vec())
                .collect()
        }
    };
    wave::quantize(scene.grid, &mut extra);
    for frame in [0, size - 1] {
        if wave::is_silent(&extra, frame, 0.0) {
            extra[0][frame] = wave::lsb(scene.grid);
        }
    }
    extra
}

/// Between the extra sound and the expected one.
fn gap(scene: &mut Scene) -> usize {
    if scene.rng.bool() { 0 } else { count(&mut scene.rng, 1, 8000) }
}

fn extra_before(scene: &mut Scene) -> Option<Case> {
    // Silence of the expected file in which something is heard has two names in the text.
    scene.silence[0] = 0;
    let (length, peak, size) = (scene.length(), scene.peak(), end_size(scene, true));
    let sound = scene.few_channels().sound(length, peak);
    let (extra, gap) = (extra(scene, &sound, size, true), gap(scene));
    let heard = wave::joined(&[&extra, &wave::silence(sound.len(), gap), &sound]);
    let required = vec![answer::extra_before(scene.silence[1], size, 0)];
    let answer = Answer::damaged(required).at(scene.shift() as f64 + (size + gap) as f64, 1.0);
    Some(scene.case(&sound, &heard, format!("{size} frames, and silence of {gap}, before"), answer))
}

fn extra_after(scene: &mut Scene) -> Option<Case> {
    scene.silence[2] = 0;
    let (length, peak, size) = (scene.length(), scene.peak(), end_size(scene, true));
    let sound = scene.few_channels().sound(length, peak);
    let (extra, gap) = (extra(scene, &sound, size, true), gap(scene));
    let heard = wave::joined(&[&sound, &wave::silence(sound.len(), gap), &extra]);
    let required = vec![answer::extra_after(scene.silence[1] + length + gap, size, 0)];
    let answer = place_answer(scene, required);
    Some(scene.case(&sound, &heard, format!("silence of {gap}, and {size} frames, after"), answer))
}

fn start_missing_and_place(scene: &mut Scene) -> Option<Case> {
    let (kind, peak) = (any_change(scene), scene.peak());
    let (sound, ops) = scene.few_channels().with_changes(&[kind], peak, true)?;
    // In front of what has room before its place.
    let size = end_size(scene, true);
    let mut start = scene.sound(size.max(64), peak);
    start.iter_mut().for_each(|channel| channel.truncate(size));
    let shift = scene.shift();
    let frame = scene.frame(true);
    let damaged = place::apply(&sound, &ops, Frame { expected: frame.expected + size, ..frame });
    let (low, high) = counts(&start);
    let mut required = damaged.required;
    required.push(answer::start_missing(low, high));
    let answer = Answer::damaged(required).at(shift as f64 - size as f64, 1.0);
    let expected = wave::joined(&[&start, &sound]);
    Some(scene.case(
        &expected,
        &damaged.channels,
        format!("{size} frames missing at the start, {kind:?}"),
        answer,
    ))
}

/// An order of the channels in which at least two are not in their place.
fn order(scene: &mut Scene, channels: usize) -> Vec<usize> {
    loop {
        let mut order: Vec<usize> = (0..channels).collect();
        if scene.rng.bool() {
            let (a, b) = (scene.rng.usize(..channels), scene.rng.usize(..channels));
            order.swap(a, b);
        } else {
            scene.rng.shuffle(&mut order);
        }
        if (0..channels).any(|channel| order[channel] != channel) {
            return order;
        }
    }
}

fn map_of(order: &[usize]) -> Pattern {
    answer::swapped(order.iter().map(|channel| Some(*channel as u32)).collect())
}

fn in_order(sound: &Channels, order: &[usize]) -> Channels {
    order.iter().map(|channel| sound[*channel].clone()).collect()
}

fn swapped(scene: &mut Scene) -> Option<Case> {
    let (length, peak) = (scene.length(), scene.peak());
    let sound = scene.more_channels().sound(length, peak);
    let order = order(scene, sound.len());
    let answer = place_answer(scene, vec![map_of(&order)]);
    Some(scene.case(&sound, &in_order(&sound, &order), format!("channels {order:?}"), answer))
}

fn missing(scene: &mut Scene) -> Option<Case> {
    let (length, peak) = (scene.length(), scene.peak());
    let sound = scene.more_channels().sound(length, peak);
    let channel = scene.rng.usize(..sound.len());
    let mut heard = sound.clone();
    let what = if scene.rng.bool() {
        heard[channel].fill(0.0);
        "silent"
    } else {
        heard[channel] =
            sounds::make(&mut scene.rng, Like::Noise, scene.rate, 1, length, peak).swap_remove(0);
        wave::quantize(scene.grid, &mut heard);
        "another sound"
    };
    let answer = place_answer(scene, vec![answer::missing(channel)]);
    Some(scene.case(&sound, &heard, format!("channel {channel} is {what}"), answer))
}

/// The other sign, where it can be had: not of the lowest value.
fn invert(scene: &Scene, samples: &mut [f64]) {
    for level in samples {
        *level = wave::quantized(scene.heard, -*level);
    }
}

fn inverted(scene: &mut Scene) -> Option<Case> {
    let (length, peak) = (scene.length(), scene.peak());
    let sound = scene.sound(length, peak);
    let mut heard = sound.clone();
    let mut required = Vec::new();
    let first = scene.rng.usize(..sound.len());
    for channel in 0..sound.len() {
        if channel == first || scene.rng.bool() {
            invert(scene, &mut heard[channel]);
            required.push(answer::inverted(channel));
        }
    }
    let answer = place_answer(scene, required);
    Some(scene.case(&sound, &heard, "channels inverted".to_owned(), answer))
}

fn one_twice(scene: &mut Scene) -> Option<Case> {
    let (length, peak) = (scene.length(), scene.peak());
    let sound = scene.more_channels().sound(length, peak);
    let mut order: Vec<usize> = (0..sound.len()).collect();
    let lost = scene.rng.usize(..sound.len());
    let twice = (lost + scene.rng.usize(1..sound.len())) % sound.len();
    order[lost] = twice;
    let answer = place_answer(scene, vec![map_of(&order), answer::missing(lost)]);
    Some(scene.case(&sound, &in_order(&sound, &order), format!("channels {order:?}"), answer))
}

fn swapped_and_inverted(scene: &mut Scene) -> Option<Case> {
    let (length, peak) = (scene.length(), scene.peak());
    let sound = scene.more_channels().sound(length, peak);
    let order = order(scene, sound.len());
    let mut heard = in_order(&sound, &order);
    let channel = scene.rng.usize(..sound.len());
    invert(scene, &mut heard[channel]);
    let answer = place_answer(scene, vec![map_of(&order), answer::inverted(channel)]);
    Some(scene.case(&sound, &heard, format!("channels {order:?}, {channel} inverted"), answer))
}

fn channels_and_place(scene: &mut Scene) -> Option<Case> {
    let (kind, peak) = (any_change(scene), scene.peak());
    // What is wrong in one channel is told under its number in the heard file.
    if matches!(kind, Change::Click) {
        return None;
    }
    scene.more_channels().channels = 2;
    let (sound, ops) = scene.with_changes(&[kind], peak, true)?;
    let damaged = place::apply(&sound, &ops, scene.frame(true));
    let (mut heard, mut required) = (damaged.channels, damaged.required);
    let swap = scene.rng.bool();
    if swap {
        heard.swap(0, 1);
        required.push(map_of(&[1, 0]));
    } else {
        let channel = scene.rng.usize(..2);
        invert(scene, &mut heard[channel]);
        required.push(answer::inverted(channel));
    }
    let answer = place_answer(scene, required);
    let what = if swap { "swapped" } else { "one inverted" };
    Some(scene.case(&sound, &heard, format!("{kind:?}, {what}"), answer))
}

/// A sound for this kind of damage.
fn sound_for(scene: &mut Scene, kind: Whole, length: usize, peak: f64) -> Channels {
    match kind {
        Whole::Drift | Whole::Shift => smooth(scene, length, peak),
        _ => {
            // A codec follows a sound that changes; in steady noise its errors are noise.
            if matches!(kind, Whole::Coded) {
                scene.kind = if scene.rng.bool() { Like::Music } else { Like::Speech };
            }
            // What a filter does to a rising tone is what a level does that wanders.
            while matches!(kind, Whole::Filtered | Whole::LevelVaries) && scene.kind == Like::Sweep {
                scene.kind = Like::any(&mut scene.rng);
            }
            scene.sound(length, peak)
        }
    }
}

/// A sound that can be resampled, of 16 bits: our resampler's own errors are below that.
fn smooth(scene: &mut Scene, length: usize, peak: f64) -> Channels {
    (scene.grid, scene.expected, scene.heard) = (SampleFormat::S16, SampleFormat::S16, SampleFormat::S16);
    let mut sound = sounds::make_smooth(&mut scene.rng, scene.kind, scene.rate, scene.channels, length, peak);
    wave::quantize(scene.grid, &mut sound);
    for frame in [0, length - 1] {
        if wave::is_silent(&sound, frame, 0.0) {
            sound[0][frame] = wave::lsb(scene.grid);
        }
    }
    sound
}

/// A length that is a second or more, if it has to be, at a rate that makes it short.
fn length_for(scene: &mut Scene, kind: Whole) -> usize {
    let length = scene.length();
    if matches!(kind, Whole::Drift | Whole::Shift) {
        if scene.rng.u8(..8) != 0 {
            scene.rate = [8000, 11_025, 16_000][scene.rng.usize(..3)];
        }
        return length.max(scene.rate as usize + 1);
    }
    length
}

/// `damaged` by this kind alone.
fn whole(scene: &mut Scene, kind: Whole) -> Option<Case> {
    let length = length_for(scene, kind);
    let peak = scene.peak();
    let sound = {
        scene.few_channels();
        sound_for(scene, kind, length, peak)
    };
    let damaged = apply_whole(scene, kind, &sound, false, false)?;
    let mut case = finish(scene, &sound, damaged);
    if let (Whole::Filtered, Some((_, tolerance))) = (kind, &mut case.answer.offset) {
        // A filter that turns phases may delay the sound.
        *tolerance = 16.0;
    }
    Some(case)
}

fn apply_whole(
    scene: &mut Scene,
    kind: Whole,
    sound: &Channels,
    together: bool,
    with_place: bool,
) -> Option<whole::Damaged> {
    let unit = scene.unit();
    let setting = Setting {
        rng: &mut scene.rng,
        rate: scene.rate,
        heard: scene.heard,
        unit,
        // A file of fewer bits has them in every channel.
        everywhere: wave::lsb(scene.heard) > wave::lsb(scene.grid),
        together,
        with_place,
    };
    whole::apply(kind, sound, setting)
}

fn finish(scene: &Scene, sound: &Channels, damaged: whole::Damaged) -> Case {
    // Where the expected file begins, by the heard one's frames.
    let offset = scene.silence[1] as f64 + damaged.later - scene.silence[0] as f64 * damaged.scale;
    let answer = Answer::damaged(damaged.required).allowing(damaged.allowed).at(offset, 1.0);
    scene.case_around(sound, &damaged.channels, &damaged.offsets, damaged.text, answer)
}

/// Rounded to 16 bits, without dither or with it.
fn fewer_bits(scene: &mut Scene) -> Option<Case> {
    use SampleFormat::{F32, S16, S24, S24In32, S32};
    scene.grid = [S24, S24In32, S32, F32][scene.rng.usize(..4)];
    (scene.expected, scene.heard) = (scene.grid, S16);
    whole(scene, Whole::Dither)
}

/// Noise that is there in the silence around, too. Whether that is `extra` the text does not say.
fn noise_everywhere(scene: &mut Scene) -> Option<Case> {
    let (length, peak) = (scene.length(), scene.peak());
    let sound = scene.few_channels().sound(length, peak);
    let (before, after) = (scene.rng.usize(..3000), scene.rng.usize(..3000));
    let room = |frames| wave::silence(sound.len(), frames);
    let mut expected = wave::joined(&[&room(before), &sound, &room(after)]);
    wave::quantize(scene.grid, &mut expected);
    let mut damaged = apply_whole(scene, Whole::Noise, &expected, false, false)?;
    damaged.allowed.push(Pattern::of_kinds(&["extra-before"]));
    damaged.allowed.push(Pattern::of_kinds(&["extra-after"]));
    scene.silence = [0, before, 0, after];
    let answer = Answer::damaged(damaged.required).allowing(damaged.allowed).at(before as f64, 1.0);
    scene.silence = [0; 4];
    Some(scene.case(&sound, &damaged.channels, damaged.text, answer))
}

/// A peak so high that rounding is far below.
fn loud(scene: &mut Scene) -> f64 {
    between(&mut scene.rng, 0.25, 0.7)
}

fn whole_and_place(scene: &mut Scene, kind: Whole) -> Option<Case> {
    let change = any_change(scene);
    let peak = loud(scene);
    scene.few_channels();
    if matches!(kind, Whole::Drift) {
        scene.rate = [8000, 11_025, 16_000][scene.rng.usize(..3)];
    }
    let size = change.size(scene, false);
    let length = 2 * (8192 + 2400) + size + scene.rng.usize(..1000);
    let sound = sound_for(scene, kind, length, peak);
    let damaged = apply_whole(scene, kind, &sound, true, true)?;
    let ops = scene.changes_in(&[change], &[size], &damaged.channels, false)?;
    let frame = Frame { scale: damaged.scale, ..scene.frame(false) };
    let placed = place::apply(&damaged.channels, &ops, frame);
    let mut required = damaged.required;
    // A constant makes silence what is not silent when it is taken away: the text lets both be said.
    if damaged.offsets.iter().any(|level| *level != 0.0)
        && !matches!(change, Change::Lost | Change::Repeated | Change::Click)
    {
        return None;
    }
    required.extend(placed.required);
    let both = whole::Damaged {
        channels: placed.channels,
        required,
        text: format!("{}{change:?} of {size}", damaged.text),
        ..whole::Damaged { required: Vec::new(), channels: Vec::new(), ..damaged }
    };
    Some(finish(scene, &sound, both))
}

/// One after the other.
fn two_wholes(scene: &mut Scene, first: Whole, second: Whole) -> Option<Case> {
    let length = length_for(scene, first);
    let peak = loud(scene);
    scene.few_channels();
    let sound = sound_for(scene, first, length, peak);
    let one = apply_whole(scene, first, &sound, true, false)?;
    let mut two = apply_whole(scene, second, &one.channels, true, false)?;
    two.required.extend(one.required);
    two.allowed.extend(one.allowed);
    (two.scale, two.later) = (one.scale, one.later);
    two.text = format!("{}{}", one.text, two.text);
    Some(finish(scene, &sound, two))
}

/// The limiter acts first, or last: then its threshold is meant of what the level has changed.
fn limiter_and_level(scene: &mut Scene) -> Option<Case> {
    let (length, peak) = (scene.length(), loud(scene));
    scene.channels = 1;
    let sound = scene.sound(length, peak);
    let limited_first = scene.rng.bool();
    let db = between(&mut scene.rng, 0.2, 3.0) * if scene.rng.bool() { 1.0 } else { -1.0 };
    let gain = |sound: &mut Channels| {
        sound.iter_mut().flatten().for_each(|level| *level *= wave::level(db));
    };
    let mut heard = sound.clone();
    if !limited_first {
        gain(&mut heard);
    }
    let mut damaged = apply_whole(scene, Whole::Limiter, &heard, true, false)?;
    if limited_first {
        gain(&mut damaged.channels);
    }
    wave::quantize(scene.heard, &mut damaged.channels);
    // In dBFS of the heard file.
    let threshold = damaged.threshold? + if limited_first { db } else { 0.0 };
    let pattern = answer::limiter(0, vec![threshold]);
    damaged.required = vec![pattern, answer::level(0, db, 0.1)];
    damaged.allowed.push(answer::dither(0, None));
    damaged.text += &format!("level {db:.2} dB, limited {}", if limited_first { "before" } else { "after" });
    Some(finish(scene, &sound, damaged))
}

/// Of noise besides a drift nothing is told.
fn drift_and_noise(scene: &mut Scene) -> Option<Case> {
    let length = length_for(scene, Whole::Drift);
    let peak = loud(scene);
    scene.few_channels();
    let sound = sound_for(scene, Whole::Drift, length, peak);
    let one = apply_whole(scene, Whole::Drift, &sound, true, true)?;
    let two = apply_whole(scene, Whole::Noise, &one.channels, true, true)?;
    let text = format!("{}{}", one.text, two.text);
    Some(finish(scene, &sound, whole::Damaged { channels: two.channels, text, ..one }))
}

fn level_and_channels(scene: &mut Scene) -> Option<Case> {
    let (length, peak) = (scene.length(), loud(scene));
    scene.channels = 2;
    let sound = scene.sound(length, peak);
    let swap = scene.rng.bool();
    let mut heard = if swap { in_order(&sound, &[1, 0]) } else { sound.clone() };
    let inverted = scene.rng.usize(..2);
    if !swap {
        invert(scene, &mut heard[inverted]);
    }
    let mut damaged = apply_whole(scene, Whole::Level, &heard, true, false)?;
    damaged.required.push(if swap { map_of(&[1, 0]) } else { answer::inverted(inverted) });
    damaged.text += if swap { "swapped" } else { "one inverted" };
    Some(finish(scene, &sound, damaged))
}

fn noise_and_end(scene: &mut Scene) -> Option<Case> {
    let (length, peak, size) = (scene.length(), loud(scene), end_size(scene, false));
    let sound = scene.few_channels().sound(length + size, peak);
    let mut damaged = apply_whole(scene, Whole::Noise, &sound, true, true)?;
    let end = wave::part(&sound, length..length + size);
    // The end must be loud enough to be missed.
    if !end.iter().zip(&sound).any(|(end, whole)| wave::rms(end) > wave::rms(whole) * 0.4) {
        return None;
    }
    damaged.channels.iter_mut().for_each(|channel| channel.truncate(length));
    damaged.required.push(answer::end_missing(size.saturating_sub(256), size + 256));
    damaged.text += &format!("{size} frames missing at the end");
    Some(finish(scene, &sound, damaged))
}

/// Converted to another rate.
fn rate(scene: &mut Scene) -> Option<Case> {
    let rates = [
        (44_100, 48_000),
        (48_000, 44_100),
        (48_000, 96_000),
        (96_000, 48_000),
        (32_000, 48_000),
        (22_050, 44_100),
    ];
    let (from, to) = rates[scene.rng.usize(..rates.len())];
    scene.channels = 1;
    scene.rate = from.min(to);
    let peak = scene.peak();
    let lower = scene.rng.usize(16_400..18_000);
    let sound = smooth(scene, lower, peak);
    let ratio = f64::from(to) / f64::from(from);
    let (short, long) = (f64::from(from.min(to)), f64::from(from.max(to)));
    let count = (lower as f64 * long / short) as usize;
    let other: Channels =
        sound.iter().map(|channel| wave::resampled(channel, 0.0, short / long, count)).collect();
    // Between its frames a loud sound may be louder than the format holds: cut, it is wrong there, too.
    if other.iter().any(|channel| wave::peak(channel) > 0.999) {
        return None;
    }
    let (mut expected, mut heard) = if from < to { (sound, other) } else { (other, sound) };
    wave::quantize(scene.expected, &mut expected);
    wave::quantize(scene.heard, &mut heard);
    let offset = scene.silence[1] as f64 - scene.silence[0] as f64 * ratio;
    let answer = Answer::damaged(vec![answer::rate(from, to)]).at(offset, 2.0);
    let mut case = scene.case(&expected, &heard, format!("{from} to {to} Hz"), answer);
    case.expected.format.rate = from;
    case.heard.format.rate = to;
    Some(case)
}
