//! Sounds that are damaged in a known way. (`tests/` has the cases of somebody who did not read the judge.)

use super::*;
use crate::{SampleFormat, StreamFormat};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{RngSeed, TestRunner};
use std::sync::LazyLock;

const RATE: u32 = 48_000;

/// Frames of 16 bits, as levels in LSB.
type Frames = Vec<Vec<f64>>;

fn sound(frames: &Frames) -> Sound {
    sound_as(frames, SampleFormat::S16, RATE)
}

fn sound_as(frames: &Frames, sample: SampleFormat, rate: u32) -> Sound {
    let channels = frames.first().map_or(1, Vec::len) as u32;
    let levels: Vec<f64> = frames.iter().flatten().map(|level| level / 32_768.0).collect();
    let mut bytes = vec![0; levels.len() * sample.bytes() as usize];
    sample.encode(levels, &mut bytes);
    Sound { format: StreamFormat { sample, channels, rate }, frames: bytes }
}

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
    /// From -1 to 1.
    fn level(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
    }
    fn within(&mut self, from: usize, to: usize) -> usize {
        from + (self.next() as usize) % (to - from)
    }
}

/// A sound at any time, so that it can be had at another rate: partials that come and go.
struct Music {
    partials: Vec<[f64; 5]>,
    noise: u64,
}

impl Music {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed | 1);
        let mut partial = || {
            let frequency = 60.0 * 2.0_f64.powf((random.level() + 1.0) * 3.6);
            [
                frequency,
                random.level() * 6.0,
                0.1 + (random.level() + 1.0) / (1.0 + frequency / 800.0),
                0.5 + random.level() * 0.45,
                random.level() * 3.0,
            ]
        };
        let partials = (0..14).map(|_| partial()).collect();
        Self { partials, noise: seed | 1 }
    }

    fn at(&self, time: f64) -> f64 {
        let partial = |[frequency, phase, level, rate, swell]: &[f64; 5]| {
            let envelope = 0.6 + 0.4 * (std::f64::consts::TAU * rate * 3.0 * time + swell).sin();
            let bend = 2.0 * (rate * 5.0 * time).sin();
            level * envelope * (std::f64::consts::TAU * frequency * time + phase + bend).sin()
        };
        self.partials.iter().map(partial).sum::<f64>() / 9.0
    }

    /// So many frames of two channels that are not alike.
    fn frames(seed: u64, count: usize, peak: f64) -> Frames {
        let (left, right) = (Self::new(seed), Self::new(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0x55));
        let mut noise = Random(left.noise);
        let frame = |frame: usize| {
            let time = frame as f64 / f64::from(RATE);
            let mut level = |music: &Music| {
                ((music.at(time) + noise.level() * 0.003) * peak).clamp(-32_767.0, 32_767.0).round()
            };
            vec![level(&left), level(&right)]
        };
        (0..count).map(frame).collect()
    }
}

fn judged(expected: &Frames, heard: &Frames) -> Judgement {
    judge_sounds(&sound(expected), &sound(heard), &Options::default())
}

/// The kinds that were found, each once.
fn kinds(judgement: &Judgement) -> Vec<&'static str> {
    let mut kinds: Vec<_> = judgement.findings.iter().map(Finding::kind).collect();
    kinds.sort_unstable();
    kinds.dedup();
    kinds
}

/// Damage of one kind.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Damage {
    Lost(usize),
    Repeated(usize),
    Silence(usize),
    Dropout(usize),
    Stale(usize),
    Click(f64),
    Gain(f64),
    Inverted,
    Swapped,
    Missing,
    Dither,
    Noise(f64),
    Constant(f64),
    Clip(f64),
    Drift(f64),
    Filter,
    StartMissing(usize),
    EndMissing(usize),
}

impl Damage {
    fn kind(self) -> &'static str {
        match self {
            Self::Lost(_) => "lost",
            Self::Repeated(_) => "repeated",
            Self::Silence(_) => "inserted",
            Self::Dropout(_) | Self::Stale(_) => "replaced",
            Self::Click(_) => "click",
            Self::Gain(_) => "level",
            Self::Inverted => "channel-inverted",
            Self::Swapped => "channels-swapped",
            Self::Missing => "channel-missing",
            Self::Dither => "dither",
            Self::Noise(_) => "noise",
            Self::Constant(_) => "offset",
            Self::Clip(_) => "limiter",
            Self::Drift(_) => "drift",
            Self::Filter => "filtered",
            Self::StartMissing(_) => "start-missing",
            Self::EndMissing(_) => "end-missing",
        }
    }

    fn everywhere(self) -> bool {
        use Damage::{Clip, Constant, Dither, Drift, Filter, Gain, Noise};
        matches!(self, Clip(_) | Constant(_) | Dither | Drift(_) | Filter | Gain(_) | Noise(_))
    }

    fn apply(self, seed: u64, frames: &mut Frames, at: usize) {
        let mut random = Random(seed.wrapping_add(77) | 1);
        let each = |frames: &mut Frames, change: &mut dyn FnMut(f64) -> f64| {
            frames
                .iter_mut()
                .flatten()
                .for_each(|level| *level = change(*level).clamp(-32_768.0, 32_767.0).round());
        };
        match self {
            Self::Lost(count) => drop(frames.drain(at..at + count)),
            Self::Repeated(count) => {
                let again = frames[at - count..at].to_vec();
                frames.splice(at..at, again);
            }
            Self::Silence(count) => drop(frames.splice(at..at, vec![vec![0.0; 2]; count])),
            Self::Dropout(count) => frames[at..at + count].fill(vec![0.0; 2]),
            Self::Stale(count) => {
                let again = frames[at - count..at].to_vec();
                frames[at..at + count].clone_from_slice(&again);
            }
            Self::Click(by) => frames[at][1] += if frames[at][1] > 0.0 { -by } else { by },
            Self::Gain(db) => each(frames, &mut |level| level * 10.0_f64.powf(db / 20.0)),
            Self::Inverted => frames.iter_mut().for_each(|frame| frame[1] = -frame[1]),
            Self::Swapped => frames.iter_mut().for_each(|frame| frame.swap(0, 1)),
            Self::Missing => frames.iter_mut().for_each(|frame| frame[1] = 0.0),
            Self::Dither => each(frames, &mut |level| level + random.level() * 0.7 + random.level() * 0.7),
            Self::Noise(rms) => each(frames, &mut |level| level + random.level() * rms * 1.732),
            Self::Constant(by) => each(frames, &mut |level| level + by),
            Self::Clip(db) => {
                let peak = frames.iter().flatten().fold(0.0_f64, |peak, level| peak.max(level.abs()));
                let limit = peak * 10.0_f64.powf(-db / 20.0);
                each(frames, &mut |level| level.clamp(-limit, limit));
            }
            Self::Filter => {
                let mut last = [0.0; 2];
                for frame in frames.iter_mut() {
                    for (level, last) in frame.iter_mut().zip(&mut last) {
                        *last += (*level - *last) * 0.4;
                        *level = last.round();
                    }
                }
            }
            Self::StartMissing(count) => drop(frames.drain(..count)),
            Self::EndMissing(count) => frames.truncate(frames.len() - count),
            Self::Drift(_) => unreachable!("it is made at another rate"),
        }
    }
}

/// What a case found wrong with the judge.
fn check(random: u64, damages: &[Damage], pad: (usize, usize)) -> Result<(), String> {
    let judgement = judgement_of(random, damages, pad);
    let mut wanted: Vec<_> = damages.iter().map(|damage| damage.kind()).collect();
    wanted.sort_unstable();
    wanted.dedup();
    let right = judgement.conclusion == Conclusion::Damaged && kinds(&judgement) == wanted;
    if right { Ok(()) } else { Err(format!("seed {random} {damages:?} {pad:?}:\n{judgement}\n")) }
}

/// What the judge says of music that is damaged so, with silence around.
fn judgement_of(random: u64, damages: &[Damage], pad: (usize, usize)) -> Judgement {
    static MUSIC: LazyLock<Vec<Frames>> =
        LazyLock::new(|| (1..9).map(|seed| Music::frames(seed * 7919, COUNT, 20_000.0)).collect());
    const COUNT: usize = 60_000;
    let (seed, count) = ((random % 8 + 1) * 7919, COUNT);
    let expected = MUSIC[(random % 8) as usize].clone();
    let mut heard = expected.clone();
    if let Some(Damage::Drift(ppm)) = damages.iter().find(|damage| matches!(damage, Damage::Drift(_))) {
        let (left, right) = (Music::new(seed), Music::new(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0x55));
        let frame = |frame: usize| {
            let time = frame as f64 / f64::from(RATE) / (1.0 + ppm * 1e-6);
            vec![(left.at(time) * 20_000.0).round(), (right.at(time) * 20_000.0).round()]
        };
        heard = (0..count).map(frame).collect();
    }
    let mut at = [40_000, 20_000].into_iter();
    for damage in damages.iter().filter(|damage| !damage.everywhere()) {
        damage.apply(random, &mut heard, at.next().unwrap());
    }
    // The level first: what is added before it is softer behind it.
    let mut everywhere: Vec<_> = damages.iter().filter(|damage| damage.everywhere()).collect();
    everywhere.sort_by_key(|damage| !matches!(damage, Damage::Gain(_)));
    for damage in everywhere.into_iter().filter(|damage| !matches!(damage, Damage::Drift(_))) {
        damage.apply(random, &mut heard, 0);
    }
    let mut all = vec![vec![0.0; 2]; pad.0];
    all.extend(heard);
    all.extend(vec![vec![0.0; 2]; pad.1]);
    judged(&expected, &all)
}

fn any_damage() -> impl Strategy<Value = Damage> {
    use Damage::{
        Click, Clip, Constant, Dither, Drift, Dropout, EndMissing, Filter, Gain, Inverted, Lost, Missing,
        Noise, Repeated, Silence, Stale, StartMissing, Swapped,
    };
    prop_oneof![
        prop_oneof![Just(1), 2..6000_usize].prop_map(Lost),
        (2..6000_usize).prop_map(Repeated),
        prop_oneof![Just(1), 2..6000_usize].prop_map(Silence),
        (49..4000_usize).prop_map(Dropout),
        (49..4000_usize).prop_map(Stale),
        prop_oneof![Just(1.0), 2.0..9000.0].prop_map(|by: f64| Click(by.round())),
        prop_oneof![-20.0..-0.1, 0.1..3.0].prop_map(Gain),
        Just(Inverted),
        Just(Swapped),
        Just(Missing),
        Just(Dither),
        (5.0..700.0).prop_map(Noise),
        (2.0..300.0).prop_map(|by: f64| Constant(by.round())),
        (2.0..9.0).prop_map(Clip),
        prop_oneof![-500.0..-8.0, 8.0..500.0].prop_map(Drift),
        Just(Filter),
        prop_oneof![Just(1), 2..9000_usize].prop_map(StartMissing),
        prop_oneof![Just(1), 2..9000_usize].prop_map(EndMissing),
    ]
}

/// Whether COMPARE.md says that both are named when they are there together.
fn told_together(one: Damage, other: Damage) -> bool {
    use Damage::{
        Click, Clip, Constant, Drift, Dropout, EndMissing, Filter, Gain, Missing, Noise, Repeated, Silence,
        Stale, StartMissing,
    };
    let pair = [one, other];
    let channels = |damage: &Damage| matches!(damage, Damage::Inverted | Damage::Swapped | Missing);
    if one.kind() == other.kind() && (channels(&one) || one.everywhere()) {
        return false;
    }
    // An inverted channel that is missing, or stands in another place.
    if pair.iter().all(channels) {
        return false;
    }
    // What is missing has no click.
    if pair.contains(&Missing) && pair.iter().any(|damage| matches!(damage, Click(_))) {
        return false;
    }
    let small = |damage: &Damage| match *damage {
        Click(by) => by < 6000.0,
        Dropout(frames) | Stale(frames) | StartMissing(frames) | EndMissing(frames) => frames < 256,
        // Told for one another.
        Repeated(frames) | Silence(frames) => frames < 64,
        _ => false,
    };
    let loud =
        |damage: &Damage| matches!(damage, Noise(rms) if *rms > 20.0) || matches!(damage, Filter | Drift(_));
    let everywhere = pair.iter().filter(|damage| damage.everywhere()).count();
    match everywhere {
        0 => true,
        1 => {
            !pair.iter().any(small) && !pair.iter().any(loud)
                || pair.iter().any(channels) && !pair.contains(&Missing)
        }
        _ => {
            let gain = pair.iter().any(|damage| matches!(damage, Gain(db) if db.abs() >= 0.2));
            // Noise is at least 10 dB below the sound, which the level makes softer.
            let too_loud = match (one, other) {
                (Noise(rms), Gain(db)) | (Gain(db), Noise(rms)) => rms > 700.0 * 10.0_f64.powf(db / 20.0),
                _ => false,
            };
            let with =
                pair.iter().any(|damage| matches!(damage, Damage::Dither | Noise(_) | Clip(_) | Drift(_)));
            gain && with && !too_loud && !pair.iter().any(|damage| matches!(damage, Constant(_)))
        }
    }
}

/// Fewer than usual: each looks at sounds of more than a second.
fn cases() -> ProptestConfig {
    let usual = ProptestConfig::default();
    let cases = if usual.cases == 256 { 24 } else { usual.cases / 20 };
    ProptestConfig { cases, max_shrink_iters: 20, ..usual }
}

/// Names are statistical: near a limit a sound may be found that has another one. So the cases are the same in
/// every run, and all named right; where `RINGWAVE_RANDOM_SEEDS` is in the environment (`qemu-scripts/test --long`)
/// they are drawn anew, and one in a hundred may have another name.
fn are_named<D: std::fmt::Debug>(
    damages: impl Strategy<Value = D>,
    told: impl Fn(&D) -> Option<Vec<Damage>>,
) {
    let drawn = std::env::var_os("RINGWAVE_RANDOM_SEEDS").is_some();
    let rng_seed = if drawn { cases().rng_seed } else { RngSeed::Fixed(14) };
    let mut runner = TestRunner::new(ProptestConfig { rng_seed, failure_persistence: None, ..cases() });
    let strategy = (damages, any::<u64>(), 0..5000_usize, 0..5000_usize);
    let (mut judged, mut wrong) = (0, Vec::new());
    while judged < cases().cases {
        let (damages, random, before, after) = strategy.new_tree(&mut runner).unwrap().current();
        let Some(damages) = told(&damages) else { continue };
        judged += 1;
        let said = check(random, &damages, (before, after)).err();
        // That it is damaged is no matter of statistics.
        assert!(said.as_ref().is_none_or(|said| said.contains("verdict    damaged")), "{said:?}");
        wrong.extend(said);
    }
    let most = if drawn { judged / 100 } else { 0 };
    assert!(wrong.len() <= most as usize, "{} of {judged}: {}", wrong.len(), wrong.join("\n"));
    println!("{} of {judged} have another name: {}", wrong.len(), wrong.join("\n"));
}

#[test]
fn few_samples_that_are_cut_are_a_limiter_s() {
    assert_eq!(check(14_696_817_670_831_546_611, &[Damage::Clip(2.0)], (309, 3515)), Ok(()));
}

/// Sound that goes on elsewhere behind the silence looks like a drift; a channel without sound is in no
/// place.
#[test]
fn a_channel_is_missing_where_silence_was_inserted_too() {
    let damages = [Damage::Missing, Damage::Silence(3311)];
    assert_eq!(check(10_306_823_914_951_432_946, &damages, (3972, 630)), Ok(()));
}

/// The same, of a sound that was made softer before.
#[test]
fn few_samples_that_are_cut_of_a_softer_sound_are_a_limiter_s() {
    let damages = [Damage::Gain(-12.053_261_912_019_295), Damage::Clip(2.0)];
    assert_eq!(check(2_101_637_465_458_567, &damages, (498, 2856)), Ok(()));
}

/// An inverted sound with a passage that is heard twice: nothing is lost.
#[test]
fn an_inverted_sound_that_is_heard_twice_has_lost_nothing() {
    let damages = [Damage::Inverted, Damage::Repeated(2110)];
    assert_eq!(check(154_967_740_014_990_479, &damages, (3160, 2778)), Ok(()));
}

/// Under noise that is 5 dB louder it may have any name, or be `unrelated`.
#[test]
fn a_sound_under_louder_noise_is_damaged() {
    let damages = [Damage::Noise(694.281_588_230_146_1), Damage::Gain(-17.469_206_513_142_503)];
    let judgement = judgement_of(57_194_930_004_503, &damages, (49, 4762));
    assert_eq!(judgement.conclusion, Conclusion::Damaged, "{judgement}");
}

#[test]
fn each_kind_of_damage_is_named() {
    are_named(any_damage(), |damage| Some(vec![*damage]));
}

#[test]
fn two_kinds_are_both_named() {
    are_named((any_damage(), any_damage()), |(one, other)| {
        told_together(*one, *other).then(|| vec![*one, *other])
    });
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn what_is_only_shifted_in_silence_or_differs_within_the_tolerance_is_good(
        seed in 1..9_u64, frames in 2..9000_usize, before in 0..3000_usize, after in 0..3000_usize, trim in 0..300_usize, lsb in 1..9_i32, random: u64,
    ) {
        let mut expected = vec![vec![0.0; 2]; trim];
        expected.extend(Music::frames(seed, frames, 20_000.0));
        expected.extend(vec![vec![0.0; 2]; trim]);
        let mut heard = vec![vec![0.0; 2]; before];
        heard.extend(expected[trim..trim + frames].to_vec());
        heard.extend(vec![vec![0.0; 2]; after]);
        let judgement = judged(&expected, &heard);
        prop_assert_eq!(judgement.conclusion, Conclusion::Same, "{}", judgement);
        prop_assert_eq!(judgement.offset_frames, Some(before as f64 - trim as f64));
        // And within the tolerance; one more is not.
        let tolerance = Tolerance::Lsb(f64::from(lsb));
        let mut random = Random(random | 1);
        let at = before + random.within(0, frames);
        heard[at][1] += f64::from(lsb);
        let options = Options { tolerance };
        let judgement = judge_sounds(&sound(&expected), &sound(&heard), &options);
        prop_assert_eq!(judgement.conclusion, Conclusion::WithinTolerance, "{}", judgement);
        prop_assert!((judgement.channels[1].worst_lsb - f64::from(lsb)).abs() < 0.01);
        prop_assert_eq!(judgement.channels[1].worst_at, Some(at as u64));
        heard[at][1] += 1.0;
        let judgement = judge_sounds(&sound(&expected), &sound(&heard), &options);
        prop_assert!(!judgement.passed(), "{}", judgement);
    }

    #[test]
    fn one_wrong_bit_is_never_the_same(seed in 1..9_u64, frames in 1..6000_usize, flip: prop::sample::Index, channel in 0..2_usize) {
        let expected = Music::frames(seed, frames, 20_000.0);
        let mut heard = expected.clone();
        let at = flip.index(frames);
        heard[at][channel] += 1.0;
        let judgement = judged(&expected, &heard);
        prop_assert!(!judgement.passed(), "{}", judgement);
        prop_assert!(matches!(judgement.conclusion, Conclusion::Damaged | Conclusion::CannotTell(Reason::TooShort)));
    }

    #[test]
    fn a_tone_is_the_same_wherever_it_lies_and_never_if_a_frame_is_lost(
        hertz in 20.0..20_000.0_f64, frames in 2000..40_000_usize, before in 0..9000_usize, after in 0..9000_usize, lost in 1..500_usize, flip: prop::sample::Index,
    ) {
        let tone = |frame: usize| vec![((frame as f64 * hertz / 48_000.0 * std::f64::consts::TAU).sin() * 12_000.0).round()];
        let expected: Frames = (0..frames).map(tone).collect();
        let around = |frames: &Frames| {
            let silence = |count: usize| vec![vec![0.0]; count];
            [silence(before), frames.clone(), silence(after)].concat()
        };
        let judgement = judged(&expected, &around(&expected));
        prop_assert_eq!(judgement.conclusion, Conclusion::Same, "{}", judgement);
        let mut short = expected.clone();
        let at = flip.index(frames - lost);
        short.drain(at..at + lost);
        let judgement = judged(&expected, &around(&short));
        prop_assert!(!judgement.passed(), "{}", judgement);
    }
}

#[test]
fn what_holds_too_little_can_not_be_told() {
    let silence = |frames: usize| vec![vec![0.0]; frames];
    let reason = |expected: &Frames, heard: &Frames| judged(expected, heard).conclusion;
    assert_eq!(reason(&silence(0), &silence(0)), Conclusion::CannotTell(Reason::ExpectedEmpty));
    assert_eq!(reason(&silence(900), &silence(900)), Conclusion::CannotTell(Reason::ExpectedSilent));
    assert_eq!(reason(&silence(900), &silence(0)), Conclusion::CannotTell(Reason::ExpectedSilent));
    let square = |from: usize, frames: usize| -> Frames {
        (from..from + frames).map(|frame| vec![if frame / 50 % 2 == 0 { 9000.0 } else { -9000.0 }]).collect()
    };
    // It was going on already, and goes on behind: the same sound, or another piece of it.
    let shifted = judged(&square(0, 30_000), &square(37, 30_000));
    assert_eq!(shifted.conclusion, Conclusion::CannotTell(Reason::Periodic), "{shifted}");
    let loud = judged(&silence(900), &square(0, 900));
    assert_eq!((loud.conclusion, kinds(&loud)), (Conclusion::Damaged, vec!["extra-before"]));
    let nothing = judged(&square(0, 900), &silence(900));
    assert_eq!(
        (nothing.conclusion, kinds(&nothing)),
        (Conclusion::CannotTell(Reason::TooShort), vec!["nothing-heard"])
    );
    let nothing = judged(&square(0, 1100), &silence(900));
    assert_eq!((nothing.conclusion, kinds(&nothing)), (Conclusion::Damaged, vec!["nothing-heard"]));
    let json = serde_json::to_value(judged(&silence(0), &silence(0))).unwrap();
    assert_eq!(
        (&json["conclusion"], &json["reason"], &json["version"]),
        (&"cannot-tell".into(), &"expected-empty".into(), &1.into())
    );
}

#[test]
fn another_sound_is_unrelated_and_samples_of_another_kind_are_compared_by_value() {
    let (one, other) = (Music::frames(3, 40_000, 20_000.0), Music::frames(4, 40_000, 20_000.0));
    assert_eq!(kinds(&judged(&one, &other)), ["unrelated"]);
    for sample in [SampleFormat::S24In32, SampleFormat::S32, SampleFormat::F32, SampleFormat::S24] {
        let judgement = judge_sounds(&sound(&one), &sound_as(&one, sample, RATE), &Options::default());
        assert_eq!((judgement.conclusion, judgement.notes.len()), (Conclusion::Same, 1), "{judgement}");
    }
    let mut bad = sound_as(&one, SampleFormat::F32, RATE);
    bad.frames[400..404].copy_from_slice(&f32::NAN.to_le_bytes());
    assert_eq!(kinds(&judge_sounds(&sound(&one), &bad, &Options::default())), ["click", "not-finite"]);
}

#[test]
fn another_rate_is_named_and_the_sound_found_in_it() {
    let (left, right) = (Music::new(5), Music::new(6));
    let at = |rate: u32| -> Frames {
        let frame = |frame: u32| {
            [&left, &right]
                .map(|music| (music.at(f64::from(frame) / f64::from(rate)) * 20_000.0).round())
                .to_vec()
        };
        (0..rate + rate / 4).map(frame).collect()
    };
    let judgement = judge_sounds(
        &sound(&at(48_000)),
        &sound_as(&at(44_100), SampleFormat::S16, 44_100),
        &Options::default(),
    );
    assert_eq!(kinds(&judgement), ["rate"], "{judgement}");
}
