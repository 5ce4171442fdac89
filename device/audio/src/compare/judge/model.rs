//! What is wrong all along: from stretches over the whole sound, each aligned for itself, so that what is
//! wrong at one place is an outlier and no more.

use super::Case;
use super::align::{Aligned, Products, Source, expected};
use super::channel::{Pair, describe};
use super::correlate::Finder;
use super::levels::Planar;
use super::resample::{at_positions, with_slope};
use super::timing::{
    EXACT, STRETCH, Stretch, Timing, as_most, by_exact_channels, longest_run, timing, track, track_drifting,
    usually_left, wander,
};
use super::verdict::{Finding, Judgement, db};
use super::walk::Walk;

/// If no more is left, an offset is right to a part of a frame.
const BETWEEN: f64 = 1e-4;
/// If more is left of nearly all stretches, another sound is heard.
const UNRELATED: f64 = 0.62;
/// Frames by which a filter may delay a stretch otherwise than the others.
const DELAY: f64 = 16.5;
/// Frames by which a filter moves the ends of a sound.
const SLACK: i64 = 64;

/// Of one heard channel.
#[derive(Clone, Debug)]
pub(super) struct ChannelModel {
    pub(super) source: Source,
    /// Without the sign.
    pub(super) gain: f64,
    pub(super) constant: f64,
    /// What should be above this is heard lower.
    pub(super) limit: Option<f64>,
    /// A difference up to this is nothing at a place.
    pub(super) threshold: f64,
}

impl ChannelModel {
    fn change(&self, levels: &mut [f64], constant: f64) {
        let gain = self.gain * self.source.sign;
        if gain.to_bits() != 1.0_f64.to_bits() || constant != 0.0 {
            for level in levels.iter_mut() {
                *level = *level * gain + constant;
            }
        }
    }
}

/// What is expected to be heard.
pub(super) struct Model {
    /// Where the first expected frame lies in the heard sound, before anything is lost.
    pub(super) offset: f64,
    /// Heard frames per expected frame.
    pub(super) ratio: f64,
    /// Expected frames fall upon heard ones.
    pub(super) whole_frames: bool,
    /// What begins or ends so many frames too soon or too late is the filter's doing.
    pub(super) slack: i64,
    /// What is wrong follows the sound (a filter, a codec, a level that wanders): single samples tell
    /// nothing.
    pub(super) follows: bool,
    pub(super) channels: Vec<ChannelModel>,
    /// What was found.
    findings: Vec<Finding>,
}

impl Model {
    /// The position of the expected sound at a heard frame, with this offset.
    pub(super) fn position(&self, offset: f64, heard: i64) -> f64 {
        (heard as f64 - offset) / self.ratio
    }

    /// What is heard from a frame on if nothing is wrong at a place.
    pub(super) fn predict(&self, case: &Case<'_>, offset: f64, heard: i64, count: usize) -> Planar {
        let expected = at_positions(&case.expected, self.position(offset, heard), 1.0 / self.ratio, count);
        self.as_heard(expected, count, |channel| channel.constant)
    }

    /// As [`Model::predict`], and how much it changes per frame.
    pub(super) fn predict_with_slope(
        &self,
        case: &Case<'_>,
        offset: f64,
        heard: i64,
        count: usize,
    ) -> (Planar, Planar) {
        let (expected, slopes) =
            with_slope(&case.expected, self.position(offset, heard), 1.0 / self.ratio, count);
        let slopes = self.as_heard(slopes, count, |_| 0.0);
        (self.as_heard(expected, count, |channel| channel.constant), slopes)
    }

    /// Channels, signs and levels as the heard sound has them.
    fn as_heard(&self, mut expected: Planar, count: usize, constant: fn(&ChannelModel) -> f64) -> Planar {
        let in_order = |(number, channel): (usize, &ChannelModel)| channel.source.channel == Some(number);
        if expected.len() == self.channels.len() && self.channels.iter().enumerate().all(in_order) {
            for (levels, channel) in expected.iter_mut().zip(&self.channels) {
                channel.change(levels, constant(channel));
            }
            return expected;
        }
        let heard = |channel: &ChannelModel| {
            let mut levels = match channel.source.channel.and_then(|number| expected.get(number)) {
                Some(levels) => levels.clone(),
                None => vec![0.0; count],
            };
            channel.change(&mut levels, constant(channel));
            levels
        };
        self.channels.iter().map(heard).collect()
    }

    /// Tells what is wrong all along.
    pub(super) fn report(&self, case: &Case<'_>, walked: &Walk, judgement: &mut Judgement) {
        let sources: Vec<Option<u32>> =
            self.channels.iter().map(|channel| channel.source.channel.map(|number| number as u32)).collect();
        let moved = |(channel, source): (usize, &Option<u32>)| {
            source.is_some_and(|source| source as usize != channel)
        };
        if sources.iter().enumerate().any(moved) {
            judgement.add(Finding::ChannelsSwapped { map: sources.clone() });
        }
        for (channel, facts) in case.facts[0].channels.iter().enumerate() {
            if facts.sounds && !sources.contains(&Some(channel as u32)) {
                judgement.add(Finding::ChannelMissing { channel: channel as u32 });
            }
        }
        for (channel, model) in self.channels.iter().enumerate() {
            if model.source.channel.is_some() && model.source.sign < 0.0 {
                judgement.add(Finding::ChannelInverted { channel: channel as u32 });
            }
        }
        self.findings
            .iter()
            .map(|finding| with_all_frames(case, walked, finding))
            .for_each(|one| judgement.add(one));
        for ((into, model), walked) in judgement.channels.iter_mut().zip(&self.channels).zip(&walked.channels)
        {
            into.carries = model.source.channel.map(|number| number as u32);
            into.inverted = model.source.sign < 0.0;
            into.level_db = db(model.gain).unwrap_or(0.0);
            into.set_differences(walked, case.lsb);
        }
    }
}

/// A finding; the RMS of dither is that of all frames that were compared, and not of the stretches alone.
fn with_all_frames(case: &Case<'_>, walked: &Walk, finding: &Finding) -> Finding {
    let mut finding = finding.clone();
    if let Finding::Dither { channel, rms_lsb, .. } = &mut finding
        && let Some(differences) = walked.channels.get(*channel as usize)
        && let Some((first, last)) = case.facts[0].sounding()
    {
        let elsewhere: i64 = walked.edits.iter().map(|edit| edit.expected.1 - edit.expected.0).sum();
        let frames = (last + 1 - first) as f64 - elsewhere as f64;
        *rms_lsb = differences.rms_of(frames) / case.lsb;
    }
    finding
}

/// Looks at the whole sound. `None`: nothing of the expected sound is in it.
pub(super) fn estimate(
    case: &Case<'_>,
    aligned: &Aligned,
    finder: &mut Finder,
    progress: &mut dyn FnMut(f64),
) -> Option<Model> {
    let mut found = follow(case, (aligned.offset, aligned.heard_at), &aligned.sources, finder, progress);
    if is_unrelated(case, &found.1) {
        // Near by chance: where it would be if nothing were missing.
        let own = |channel| Source { channel: Some(channel), sign: 1.0 };
        let sources: Vec<Source> = (0..case.heard.channels()).map(own).collect();
        let mut guesses = aligned.guesses.iter();
        found = guesses.find_map(|guess| {
            let found = follow(case, (*guess as f64, *guess), &sources, finder, &mut |_| ());
            (!is_unrelated(case, &found.1)).then_some(found)
        })?;
    }
    let (mut sources, mut stretches) = found;
    let mut begin = aligned.offset;
    if case.ratio().to_bits() == 1.0_f64.to_bits()
        && wander(&stretches)
        && let Some(drifting) = drifting(case, aligned, &stretches, finder)
    {
        (begin, sources, stretches) = drifting;
    }
    let mut timing = timing(case, begin, &sources, &mut stretches, finder);
    // What a limiter does is in the loudest of them alone.
    let most_left = usually_left(&stretches);
    if sources.len() > 1 && timing.whole_frames && most_left > BETWEEN {
        by_exact_channels(case, &sources, &aligned.guesses, &mut timing, &mut stretches);
    }
    let mut described = if timing.whole_frames { stretches } else { as_most(&stretches) };
    // A tone may fit between the frames as well as at another place.
    let fits = |stretch: &Stretch| {
        let most = if stretch.left < EXACT { 1e-3 } else { 0.1 };
        stretch.left > BETWEEN || (stretch.offset - stretch.offset.round()).abs() < most
    };
    if timing.whole_frames && described.iter().any(fits) {
        described.retain(fits);
    }
    let mut model = Model::new(case, &sources, timing);
    let mut pairs: Vec<Vec<Pair>> = model.channels.iter().map(|_| Vec::new()).collect();
    for stretch in &described {
        let expected = model.predict(case, timing.offset_at(stretch), stretch.at, STRETCH);
        let heard = case.heard.read(stretch.at, STRETCH);
        let beside = (timing.offset_at(stretch) - timing.offset).abs();
        let steady = (timing.whole_frames && beside > 0.5 && beside < DELAY && stretch.left > BETWEEN)
            .then(|| model.predict(case, timing.offset, stretch.at, STRETCH));
        let mut steady = steady.map(Vec::into_iter);
        for ((into, expected), heard) in pairs.iter_mut().zip(expected).zip(heard) {
            into.push(Pair { expected, heard, steady: steady.as_mut().and_then(Iterator::next) });
        }
    }
    for (channel, pairs) in pairs.into_iter().enumerate() {
        describe(case, &mut model, channel, pairs);
    }
    // One limiter for all: in the others it had too little to do to be told.
    let limit = model.channels.iter().filter_map(|channel| channel.limit).reduce(f64::min);
    model.channels.iter_mut().for_each(|channel| channel.limit = channel.limit.or(limit));
    Some(model)
}

/// The offset at the beginning, and the stretches of channels in their places, if far less is left with a
/// drift from the first of them on.
fn drifting(
    case: &Case<'_>,
    aligned: &Aligned,
    before: &[Stretch],
    finder: &mut Finder,
) -> Option<(f64, Vec<Source>, Vec<Stretch>)> {
    let own = |channel| Source { channel: Some(channel), sign: 1.0 };
    let sources: Vec<Source> = (0..case.heard.channels()).map(own).collect();
    // A channel that is silent is in no place, and what is left of it would be all of it.
    let [expected, heard] = &case.facts;
    let sound_alike = expected
        .channels
        .iter()
        .map(|channel| channel.sounds)
        .eq(heard.channels.iter().map(|channel| channel.sounds));
    if !sound_alike {
        return None;
    }
    let (begin, stretches) = track_drifting(case, aligned.guesses[0], &sources, finder)?;
    (usually_left(&stretches) < 0.1 * usually_left(before)).then_some((begin, sources, stretches))
}

/// Aligns the stretches, and tells which channel is which by all of them.
fn follow(
    case: &Case<'_>,
    begin: (f64, i64),
    sources: &[Source],
    finder: &mut Finder,
    progress: &mut dyn FnMut(f64),
) -> (Vec<Source>, Vec<Stretch>) {
    let stretches = track(case, begin, 0.0, sources, finder, progress);
    let mut products = Products::new(case);
    for stretch in &stretches {
        let start = stretch.at as f64 - stretch.offset;
        products.add(&expected(case, start, STRETCH), &case.heard.read(stretch.at, STRETCH));
    }
    let again = products.sources(case);
    if stretches.is_empty() || again == sources {
        return (sources.to_vec(), stretches);
    }
    let stretches = track(case, begin, 0.0, &again, finder, progress);
    (again, stretches)
}

/// Whether the stretches are like those of another sound: by chance, and each at another place.
fn is_unrelated(case: &Case<'_>, stretches: &[Stretch]) -> bool {
    let Some((first, last)) = case.facts[1].sounding() else { return false };
    // Of a short sound there are too few to say.
    if (last - first) < 4 * STRETCH as u64 {
        return false;
    }
    let good: Vec<Stretch> = stretches.iter().filter(|stretch| stretch.left < UNRELATED).copied().collect();
    // What is right nearly to the bit is not there by chance.
    let exact = stretches.iter().filter(|stretch| stretch.left < BETWEEN).count();
    longest_run(&good) < 2 && (exact * 2 < stretches.len() || stretches.is_empty())
}

impl Model {
    fn new(case: &Case<'_>, sources: &[Source], timing: Timing) -> Self {
        let channel = |source: &Source| ChannelModel {
            source: *source,
            gain: 1.0,
            constant: 0.0,
            limit: None,
            threshold: case.tolerance,
        };
        Self {
            offset: timing.offset,
            ratio: timing.ratio,
            whole_frames: timing.whole_frames,
            slack: if timing.whole_frames { 0 } else { SLACK },
            follows: false,
            channels: sources.iter().map(channel).collect(),
            findings: timing.ppm.map(|ppm| Finding::Drift { ppm }).into_iter().collect(),
        }
    }

    /// What is wrong with a channel all along.
    pub(super) fn found(&mut self, findings: Vec<Finding>, follows: bool) {
        self.findings.extend(findings);
        if follows {
            self.follows = true;
            self.slack = SLACK;
        }
    }

    /// Whether it is shifted by less than a frame all in all, which says little of a tone.
    pub(super) fn is_a_phase(&self, case: &Case<'_>) -> bool {
        let drift = (self.ratio / case.ratio() - 1.0) * case.heard.frames() as f64;
        !self.whole_frames && case.ratio().to_bits() == 1.0_f64.to_bits() && drift.abs() < 1.0
    }

    /// The same, in which no sample may differ.
    pub(super) fn strictly(&self, case: &Case<'_>) -> Self {
        let mut strict =
            Self { slack: 0, follows: false, channels: self.channels.clone(), findings: Vec::new(), ..*self };
        strict.channels.iter_mut().for_each(|channel| channel.threshold = case.tolerance);
        strict
    }
}
