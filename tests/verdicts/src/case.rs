//! A case: a sound, what was heard of it, and the answer that COMPARE.md demands. Each comes from a seed.

use fastrand::Rng;
use ringwave_audio::SampleFormat;
use ringwave_audio::wav::Sound;

use crate::answer::{self, Answer, Findings};
use crate::judge::{Conclusion, Tolerance};
use crate::place::{self, Frame, Op};
use crate::sounds::{self, Kind, between_log};
use crate::wave::{self, Channels};
use crate::{changes, damaged, odd, undamaged};

/// A case.
pub struct Case {
    /// The sound that was played.
    pub expected: Sound,
    /// What came of it.
    pub heard: Sound,
    /// `--tolerance`
    pub tolerance: Tolerance,
    /// What was done, in detail.
    pub injected: String,
    /// What is demanded.
    pub answer: Answer,
}

/// A kind of cases: its name, how many of them come in a mix, and how one is made. None: this seed does not
/// make one.
pub struct Family {
    /// The name, for `--only` and the table.
    pub name: &'static str,
    /// Its share of a mix.
    pub weight: u32,
    /// Makes one.
    pub make: fn(&mut Scene) -> Option<Case>,
}

/// All kinds of cases. Half of a mix is not damaged.
pub fn families() -> Vec<&'static Family> {
    [undamaged::FAMILIES, damaged::FAMILIES, odd::FAMILIES].into_iter().flatten().collect()
}

/// Seeds whose damage once had a wrong name, by what was mended. They are judged besides any others.
pub const SAMPLES: &[u64] = &[
    // Drift of a sweep that is high where it begins: other places look as good as the right one.
    5_006_624, 90_013_639, 90_030_924, 90_034_017, 90_039_293, 92_004_984, 92_012_090, 92_024_870,
    // Steps that grow with the level (mu-law), in a sound whose loudness changes little: taken for noise.
    90_009_218, 90_032_169, 90_038_500, 92_028_351,
    // A filter whose delay is another in each stretch; one that is a delay to most of the sound; one that
    // looks like a limiter.
    90_004_568, 90_009_507, 90_019_580, 90_034_637, 92_025_033, 92_029_582,
    // A false drift of a hundredth of a frame was a click at each attack.
    90_006_252, // Sums of floats are rounded now and then.
    90_023_722, 90_038_287, 92_008_613, 92_018_045, 92_024_133,
    // Conversion: a whole position that was rounded down, ringing at the ends, and a case that was cut.
    92_012_190, 92_019_848, 92_025_891, 92_027_248, 92_028_002,
    // The RMS of dither in a sound with pauses.
    90_008_081, 92_006_262, // A level in loud noise.
    90_036_384, 92_006_482, 92_011_276, 92_026_012,
    // An offset that hum had moved; a constant in the silence before; a period that is no whole number of
    // frames.
    90_006_387, 90_027_759, 90_045_009,
    // Soft hum, or a chord, that a filter of so many taps fits as well.
    91_008_073, 91_010_370,
    // A level told of a pause; a place to look for the sound that was in one; two stretches a frame apart.
    92_007_573, 92_008_577, 92_025_330,
];

/// The case of a seed, and its kind.
pub fn from_seed(seed: u64, families: &[&'static Family]) -> (&'static str, Case) {
    let mut rng = Rng::with_seed(seed);
    let sum: u32 = families.iter().map(|family| family.weight).sum();
    let mut pick = rng.u32(..sum);
    let picked = |family: &&&'static Family| match pick.checked_sub(family.weight) {
        Some(rest) => {
            pick = rest;
            false
        }
        None => true,
    };
    let family = families.iter().find(picked).expect("the weights add up to the sum");
    for _ in 0..200 {
        if let Some(case) = (family.make)(&mut Scene::new(&mut rng)) {
            assert_consistent(seed, family.name, &case);
            return (family.name, case);
        }
    }
    panic!("seed {seed}: no case of {} comes about", family.name);
}

/// Formats, rates and silence around a sound.
pub struct Scene {
    /// What all is drawn from.
    pub rng: Rng,
    /// Frames per second.
    pub rate: u32,
    /// Channels of a frame.
    pub channels: usize,
    /// The format of the expected file.
    pub expected: SampleFormat,
    /// That of the heard one. It holds all values of the expected sound.
    pub heard: SampleFormat,
    /// The one of both whose values all samples have.
    pub grid: SampleFormat,
    /// What the sound is like.
    pub kind: Kind,
    /// Frames of silence before the expected sound, before the heard one, and after both.
    pub silence: [usize; 4],
}

const S: [SampleFormat; 5] =
    [SampleFormat::S16, SampleFormat::S24, SampleFormat::S24In32, SampleFormat::S32, SampleFormat::F32];

/// Whether a format has all values of another.
fn holds(format: SampleFormat, grid: SampleFormat) -> bool {
    if grid.is_float() { format.is_float() } else { wave::lsb(format) <= wave::lsb(grid) }
}

impl Scene {
    /// Any.
    pub fn new(rng: &mut Rng) -> Self {
        let mut rng = rng.fork();
        let rates =
            [8000, 11_025, 16_000, 22_050, 32_000, 44_100, 48_000, 48_000, 88_200, 96_000, 176_400, 192_000];
        let rate = rates[rng.usize(..rates.len())];
        let channels = match rng.u8(..20) {
            0..9 => 1,
            9..18 => 2,
            _ => rng.usize(3..=8),
        };
        let grid = if rng.bool() { SampleFormat::S16 } else { S[rng.usize(..S.len())] };
        let mut holder = || loop {
            let format = S[rng.usize(..S.len())];
            if holds(format, grid) {
                return format;
            }
        };
        let (a, b) = (holder(), holder());
        let (expected, heard) = if rng.u8(..4) == 0 { (a, b) } else { (grid, grid) };
        let kind = Kind::any(&mut rng);
        let mut silence = || match rng.u8(..8) {
            0..4 => 0,
            4..6 => rng.usize(1..200),
            6 => rng.usize(1..3000),
            _ => rng.usize(1..20_000),
        };
        let silence = [silence(), silence(), silence(), silence()];
        // Silence before the expected sound is less usual.
        let silence = [if rng.u8(..3) == 0 { silence[0] } else { 0 }, silence[1], silence[2], silence[3]];
        Self { rng, rate, channels, expected, heard, grid, kind, silence }
    }

    /// An LSB of the coarser of the two formats.
    pub fn unit(&self) -> f64 {
        wave::lsb(self.expected).max(wave::lsb(self.heard))
    }

    /// A peak within the limits.
    pub fn peak(&mut self) -> f64 {
        between_log(&mut self.rng, 0.0101, 0.98)
    }

    /// A sound within the limits, in values of the grid; its first and its last frame are not silent.
    pub fn sound(&mut self, frames: usize, peak: f64) -> Channels {
        let mut sound = sounds::make(&mut self.rng, self.kind, self.rate, self.channels, frames, peak);
        self.settle(&mut sound, peak);
        sound
    }

    /// Rounds to the grid, and has the first and the last frame not silent.
    pub fn settle(&mut self, sound: &mut Channels, peak: f64) {
        wave::quantize(self.grid, sound);
        for frame in [0, wave::frames(sound).saturating_sub(1)] {
            if let Some(level) = sound[0].get_mut(frame)
                && level.abs() < peak / 16.0
            {
                *level = wave::quantized(self.grid, peak / 8.0);
            }
        }
    }

    /// One or two channels, so that a case does not take long.
    pub fn few_channels(&mut self) -> &mut Self {
        self.channels = self.channels.min(2);
        self
    }

    /// Two or more.
    pub fn more_channels(&mut self) -> &mut Self {
        self.channels = self.channels.max(2);
        self
    }

    /// How many frames the whole sound has at least, for damage that needs nothing around it.
    pub fn length(&mut self) -> usize {
        self.rng.usize(16_400..20_000)
    }

    /// Where the undamaged sound would begin in the two files.
    pub fn frame(&self, alone: bool) -> Frame {
        Frame {
            heard: self.silence[1],
            expected: self.silence[0],
            scale: 1.0,
            tolerance: if alone { 64.0 } else { 2048.0 },
            unit: self.unit(),
            alone,
        }
    }

    /// By how many frames the heard sound comes later, if it begins with its first frame.
    pub fn shift(&self) -> i64 {
        self.silence[1] as i64 - self.silence[0] as i64
    }

    /// The case, with the silence around.
    pub fn case(&self, expected: &Channels, heard: &Channels, injected: String, answer: Answer) -> Case {
        self.case_around(expected, heard, &vec![0.0; heard.len()], injected, answer)
    }

    /// The case, whose heard silence has these levels.
    pub fn case_around(
        &self,
        expected: &Channels,
        heard: &Channels,
        around: &[f64],
        injected: String,
        answer: Answer,
    ) -> Case {
        let [expected_before, heard_before, expected_after, heard_after] = self.silence;
        let zeros = |frames| wave::silence(expected.len(), frames);
        let quiet = |frames| around.iter().map(|level| vec![*level; frames]).collect::<Channels>();
        let expected = wave::joined(&[&zeros(expected_before), expected, &zeros(expected_after)]);
        let heard = wave::joined(&[&quiet(heard_before), heard, &quiet(heard_after)]);
        let injected = format!(
            "{injected} [{:?}, {} Hz, {} channels, {} and {}, {} and {} frames, silence {:?}]",
            self.kind,
            self.rate,
            self.channels,
            self.expected.name(),
            self.heard.name(),
            wave::frames(&expected),
            wave::frames(&heard),
            self.silence,
        );
        Case {
            expected: wave::sound(&expected, self.expected, self.rate),
            heard: wave::sound(&heard, self.heard, self.rate),
            tolerance: Tolerance::Lsb(0.0),
            injected,
            answer,
        }
    }

    /// A sound with room for changes of these kinds, and the changes.
    pub fn with_changes(
        &mut self,
        kinds: &[changes::Kind],
        peak: f64,
        alone: bool,
    ) -> Option<(Channels, Vec<Op>)> {
        let sizes: Vec<usize> = kinds.iter().map(|kind| kind.size(self, alone)).collect();
        let slack = 1200;
        let room: usize = sizes.iter().map(|size| size + 8192 + 70 + slack).sum();
        let rest = self.rng.usize(8300..10_000);
        let sound = self.sound(room + rest, peak);
        let ops = self.changes_in(kinds, &sizes, &sound, alone)?;
        Some((sound, ops))
    }

    /// Changes of these kinds and sizes in a sound that has room for them.
    pub fn changes_in(
        &mut self,
        kinds: &[changes::Kind],
        sizes: &[usize],
        sound: &Channels,
        alone: bool,
    ) -> Option<Vec<Op>> {
        let mut ops = Vec::new();
        let mut from = 0;
        for (kind, &size) in kinds.iter().zip(sizes) {
            from += 8192 + 70;
            let around = if alone { 256 } else { 2048 };
            let good = |at: &usize| {
                place::is_good(sound, *at, around)
                    && place::is_good(sound, *at + size, around)
                    && (!matches!(kind, changes::Kind::Lost) || place::ambiguity(sound, *at, size) < 48)
            };
            let start = (0..6).map(|_| from + self.rng.usize(..1200)).find(good)?;
            ops.push(kind.make(self, sound, start, size, alone)?);
            from = start + size;
        }
        Some(ops)
    }
}

/// What two files are is also seen without any case: the same samples between the silence of both ends are
/// the same sound. An answer that says otherwise is a fault of this program.
fn assert_consistent(seed: u64, family: &str, case: &Case) {
    let same = is_same(&case.expected, &case.heard);
    let says_same = case.answer.conclusions.contains(&Conclusion::Same);
    let strict = matches!(case.tolerance, Tolerance::Lsb(lsb) if lsb == 0.0);
    assert!(
        !strict || says_same == same || matches!(case.answer.conclusions[..], [Conclusion::CannotTell(_)]),
        "seed {seed} ({family}) is {}the same, and the answer demands {}: {}",
        if same { "" } else { "not " },
        case.answer.text(),
        case.injected
    );
    if let Findings::These(required, _) = &case.answer.findings {
        let damaged = case.answer.conclusions.contains(&Conclusion::Damaged);
        assert!(damaged || required.is_empty(), "seed {seed} ({family}): findings, and no damage");
    }
}

/// Whether all samples between the silent ends are the same, taken as values.
fn is_same(expected: &Sound, heard: &Sound) -> bool {
    let values = |sound: &Sound| {
        let channels = sound.format.channels as usize;
        if sound.format == expected.format && sound.format == heard.format && !sound.format.sample.is_float()
        {
            let silence = sound.format.sample.silence();
            return sounding_bytes(&sound.frames, silence, sound.format.frame_bytes() as usize).to_vec();
        }
        let mut values = Vec::with_capacity(sound.frames.len() * 4);
        sound.format.sample.decode(&sound.frames, |level| {
            let level = if level.is_finite() { level + 0.0 } else { 0.0 };
            values.extend(level.to_ne_bytes());
        });
        sounding_bytes(&values, 0, channels * 8).to_vec()
    };
    let (a, b) = (values(expected), values(heard));
    expected.format.channels == heard.format.channels
        && expected.format.rate == heard.format.rate
        && !a.is_empty()
        && a == b
}

/// From the first frame that is not silent to the last.
fn sounding_bytes(bytes: &[u8], silence: u8, frame: usize) -> &[u8] {
    let first = bytes.iter().position(|byte| *byte != silence).unwrap_or(bytes.len()) / frame;
    let last = bytes.iter().rposition(|byte| *byte != silence).map_or(0, |last| last / frame + 1);
    bytes.get(first * frame..last * frame).unwrap_or_default()
}

/// The answer to damage at places alone.
pub fn place_answer(scene: &Scene, required: Vec<answer::Pattern>) -> Answer {
    Answer::damaged(required).at(scene.shift() as f64, 1.0)
}
