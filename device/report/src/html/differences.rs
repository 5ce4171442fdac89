//! Where what was heard is not what was sent: from the judge of `compare --align`, which has a name for each
//! kind of damage, or, where it cannot tell (a sound that repeats itself), frame by frame.

use ringwave_audio::compare::judge::{By, Conclusion, Finding, Judgement, Place};
use ringwave_audio::wav::Samples;

use super::axis::{Axis, COLUMNS};
use super::numbers::f64_of;
use super::survey::read;
use super::words::{count, span};

/// Places that are kept; all are counted.
pub const PLACES_MAX: usize = 1000;
/// Frames that are compared at once, if they are not long.
const BLOCK_BYTES: u64 = 128 << 10;
/// Places nearer to each other than so many seconds are one.
const APART: f64 = 0.01;
/// More gaps are not looked for by the judge.
const MANY_GAPS: u64 = 200;
/// One frame in so many has to be as it was sent, or nothing of it is.
const SAME_MIN: u64 = 100;
/// The level below which a difference is not drawn, in dB of full scale.
pub const DIFFERENCE_FLOOR_DB: f32 = -100.0;

/// One place.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// Its first frame in the heard sound.
    pub at: u64,
    /// In the one that was sent.
    pub expected_at: u64,
    /// How many frames.
    pub frames: u64,
    /// `at` in seconds of the heard sound.
    pub seconds: f64,
    /// `frames` in seconds.
    pub length: f64,
    /// The channel that is worst, if one is.
    pub channel: Option<u32>,
    /// What it is: "2,400 frames (50.0 ms) are silence instead".
    pub what: String,
    /// What follows is so many frames later than before (earlier: negative).
    pub later: i64,
}

/// All that is different.
#[derive(Clone, Debug, Default)]
pub struct Differences {
    /// In the order of time, `PLACES_MAX` at most.
    pub places: Vec<Difference>,
    /// How many there are.
    pub total: u64,
    /// When the last one is, kept or not, in seconds of the heard sound.
    pub last: f64,
    /// What is wrong all along.
    pub whole: Vec<String>,
    /// Where the first sent frame lies in the heard sound. `None`: frames do not lie upon each other (other
    /// rates, a drift), so that no difference can be drawn.
    pub offset: Option<i64>,
}

impl Differences {
    /// Nothing is different.
    pub fn none() -> Self {
        Self { offset: Some(0), ..Self::default() }
    }

    /// Nothing is different but the silence around, of sounds that are known to be the same otherwise.
    pub fn silence_around(sent: &Samples<'_>, heard: &Samples<'_>) -> Self {
        Self { offset: Some(offset_of_sound(sent, heard)), ..Self::default() }
    }

    /// What the judge found, in these two sounds.
    pub fn of(judgement: &Judgement, sent: &Samples<'_>, heard: &Samples<'_>) -> Self {
        if same_frames(sent, heard) {
            if matches!(judgement.conclusion, Conclusion::CannotTell(_)) {
                return Self::frame_by_frame(sent, heard, 0).differences;
            }
            if judgement.findings.contains(&Finding::Unrelated) {
                return Self::of_unrelated(sent, heard);
            }
        }
        let mut all = Self { total: 0, ..Self::default() };
        for finding in &judgement.findings {
            match of_finding(finding, judgement) {
                Some(place) => all.places.push(place),
                None => all.whole.push(finding.to_string()),
            }
        }
        if let Conclusion::CannotTell(reason) = judgement.conclusion {
            all.whole.push(reason.as_str().to_owned());
        }
        all.places.sort_by_key(|place| place.at);
        let unlisted = judgement.findings_total.saturating_sub(judgement.findings.len() as u64);
        all.total = unlisted + all.places.len() as u64;
        all.last = all.places.last().map_or(0.0, |place| place.seconds);
        all.places.truncate(PLACES_MAX);
        let drifts = judgement.findings.iter().any(|finding| {
            matches!(
                finding,
                Finding::Drift { .. } | Finding::Rate { .. } | Finding::Unrelated | Finding::NothingHeard
            )
        });
        let offset = judgement.offset_frames.unwrap_or(0.0);
        if same_frames(sent, heard) && !drifts {
            #[allow(clippy::cast_possible_truncation, reason = "frames of a file fit 52 bits")]
            let whole = offset.round() as i64;
            all.offset = Some(whole);
        }
        all
    }

    /// Of sounds in which the judge finds nothing of each other, for so much is damaged: frame by frame, from
    /// where both begin, or begin to sound.
    fn of_unrelated(sent: &Samples<'_>, heard: &Samples<'_>) -> Self {
        let sounding = offset_of_sound(sent, heard);
        let mut best = Self::frame_by_frame(sent, heard, 0);
        if sounding != 0 {
            let other = Self::frame_by_frame(sent, heard, sounding);
            if other.same > best.same {
                best = other;
            }
        }
        if best.same.saturating_mul(SAME_MIN) < sent.len().min(heard.len()) {
            return Self { whole: vec!["nothing of what was sent is in it".to_owned()], ..Self::default() };
        }
        best.differences.whole.push("so much is damaged that it was compared frame by frame".to_owned());
        best.differences
    }

    /// Of sounds that lie upon each other and have so many gaps of silence that the judge would look for them
    /// for minutes; it has no better name for these. `None`: these are others.
    pub fn of_many_gaps(sent: &Samples<'_>, heard: &Samples<'_>) -> Option<Self> {
        let found = same_frames(sent, heard).then(|| Self::frame_by_frame(sent, heard, 0))?;
        let gaps = found.silent > MANY_GAPS && found.silent * 2 > found.differences.total;
        gaps.then_some(found.differences)
    }

    /// Heard frame `offset` with frame 0 of what was sent, and so on, value by value.
    pub fn frame_by_frame(sent: &Samples<'_>, heard: &Samples<'_>, offset: i64) -> ByFrame {
        let mut silent_places = 0;
        let mut all = Self { offset: Some(offset), ..Self::default() };
        let rate = f64::from(heard.format().rate.max(1));
        // The first frame of each that has one beside it.
        let from = u64::try_from(offset).unwrap_or(0);
        let sent_from = u64::try_from(offset.saturating_neg()).unwrap_or(0);
        let common = sent.len().saturating_sub(sent_from).min(heard.len().saturating_sub(from));
        let channels = heard.format().channels.max(1) as usize;
        let (mut open, mut same): (Option<Run>, u64) = (None, 0);
        for_blocks(common, block_frames(sent, heard), |at, frames| {
            let [one, other] = [levels(sent, sent_from + at, frames), levels(heard, from + at, frames)];
            let pairs = one.chunks(channels).zip(other.chunks(channels));
            for (frame, (one, other)) in (from + at..).zip(pairs) {
                let silent = other.iter().all(|level| *level == 0.0);
                let Some((channel, by)) = worst(one, other) else {
                    same += u64::from(!silent);
                    if let Some(run) = open.as_mut().filter(|_| !silent) {
                        run.sound_since = true;
                    }
                    continue;
                };
                match &mut open {
                    Some(run) if f64_of(frame - run.last) <= APART * rate => {
                        run.add(frame, channel, by, silent);
                    }
                    _ => {
                        silent_places += all.end(open.take(), rate);
                        let sound_since = false;
                        open = Some(Run {
                            first: frame,
                            last: frame,
                            count: 1,
                            channel,
                            by,
                            silent,
                            sound_since,
                        });
                    }
                }
            }
        });
        silent_places += all.end(open, rate);
        let (at, expected_at) = (from + common, sent_from + common);
        let [missing, more] = [sent.len().saturating_sub(expected_at), heard.len().saturating_sub(at)];
        if missing + more > 0 {
            let frames = missing + more;
            let which =
                if missing > 0 { "are missing at the end" } else { "come at the end that were not sent" };
            all.push(Difference {
                at,
                expected_at,
                frames,
                seconds: f64_of(at) / rate,
                length: f64_of(frames) / rate,
                channel: None,
                what: said_of(frames, rate, which),
                later: 0,
            });
        }
        ByFrame { differences: all, same, silent: silent_places }
    }

    fn push(&mut self, place: Difference) {
        self.total += 1;
        self.last = place.seconds;
        if self.places.len() < PLACES_MAX {
            self.places.push(place);
        }
    }

    /// Gives 1 of a run that was heard as silence.
    fn end(&mut self, run: Option<Run>, rate: f64) -> u64 {
        let Some(run) = run else { return 0 };
        let frames = run.last - run.first + 1;
        let offset = self.offset.unwrap_or(0);
        let level = if run.by.is_finite() { 20.0 * run.by.max(1e-12).log10() } else { f64::INFINITY };
        self.push(Difference {
            at: run.first,
            expected_at: run.first.saturating_add_signed(offset.saturating_neg()),
            frames,
            seconds: f64_of(run.first) / rate,
            length: f64_of(frames) / rate,
            channel: u32::try_from(run.channel).ok(),
            what: if run.silent {
                said_of(frames, rate, "are silence instead")
            } else {
                let differ = if run.count == 1 { "differs" } else { "differ" };
                format!(
                    "{} of {} {differ}, by {level:.1} dBFS at most",
                    count(run.count, "frame"),
                    span(frames, rate)
                )
            },
            later: 0,
        });
        u64::from(run.silent)
    }

    /// The heard frames from which on what was sent is as much earlier.
    fn steps(&self) -> Option<Vec<(u64, i64)>> {
        let mut offset = self.offset?;
        let mut steps = vec![(0, offset)];
        for place in &self.places {
            offset = offset.saturating_add(place.later);
            // What is between was heard in place of what follows.
            let until = if place.later > 0 { place.at.saturating_add(place.frames) } else { place.at };
            steps.push((until, offset));
        }
        Some(steps)
    }

    /// The worst difference in each column, in dB of full scale; `None`: none can be drawn.
    pub fn by_column(&self, sent: &Samples<'_>, heard: &Samples<'_>, axis: Axis) -> Option<Vec<f32>> {
        let steps = self.steps()?;
        let mut columns = vec![DIFFERENCE_FLOOR_DB; COLUMNS];
        let rate = heard.format().rate;
        let mut step = 0;
        for (column, into) in columns.iter_mut().enumerate() {
            let range = axis.frames(column, rate, 0.0);
            let (mut at, end) = (range.start, range.end.min(heard.len()));
            let mut most = 0.0_f64;
            while at < end {
                while steps.get(step + 1).is_some_and(|(from, _)| *from <= at) {
                    step += 1;
                }
                let next = steps.get(step + 1).map_or(u64::MAX, |(from, _)| *from);
                let offset = steps.get(step).map_or(0, |(_, offset)| *offset);
                let frames = block_frames(sent, heard).min(end - at).min(next - at).max(1);
                most = most.max(worst_of(sent, heard, at, frames, offset));
                at += frames;
            }
            #[allow(clippy::cast_possible_truncation, reason = "a picture of 100 pixels")]
            let db = (20.0 * most.max(1e-12).log10()) as f32;
            *into = db.clamp(DIFFERENCE_FLOOR_DB, 0.0);
        }
        Some(columns)
    }
}

/// What a comparison of each frame with the one that lies upon it gives.
#[derive(Clone, Debug)]
pub struct ByFrame {
    /// What is different.
    pub differences: Differences,
    /// Frames that are the same, and not silent.
    same: u64,
    /// Differences that are silence.
    silent: u64,
}

/// Frames that are not the same, near to each other.
struct Run {
    first: u64,
    last: u64,
    count: u64,
    channel: usize,
    by: f64,
    /// All of it was heard as silence.
    silent: bool,
    /// After its last frame comes sound that is right.
    sound_since: bool,
}

impl Run {
    fn add(&mut self, frame: u64, channel: usize, by: f64, silent: bool) {
        self.silent &= silent && !std::mem::take(&mut self.sound_since);
        self.last = frame;
        self.count += 1;
        if by > self.by {
            (self.by, self.channel) = (by, channel);
        }
    }
}

/// Whether frame can be laid upon frame.
fn same_frames(sent: &Samples<'_>, heard: &Samples<'_>) -> bool {
    let [sent, heard] = [sent.format(), heard.format()];
    (sent.rate, sent.channels) == (heard.rate, heard.channels)
}

fn block_frames(sent: &Samples<'_>, heard: &Samples<'_>) -> u64 {
    let size = sent.format().frame_bytes().max(heard.format().frame_bytes()).max(1);
    (BLOCK_BYTES / u64::from(size)).max(1)
}

fn for_blocks(frames: u64, block: u64, mut each: impl FnMut(u64, u64)) {
    let mut at = 0;
    while at < frames {
        let part = block.min(frames - at);
        each(at, part);
        at += part;
    }
}

fn levels(samples: &Samples<'_>, at: u64, frames: u64) -> Vec<f64> {
    let mut levels = Vec::new();
    samples.format().sample.decode(&read(samples, at, frames), |level| levels.push(level));
    levels
}

/// The first frame that is not silent.
fn first_sound(samples: &Samples<'_>) -> Option<u64> {
    let channels = samples.format().channels.max(1) as usize;
    let mut first = None;
    for_blocks(samples.len(), block_frames(samples, samples), |at, frames| {
        if first.is_none() {
            let levels = levels(samples, at, frames);
            let sounds = |frame: &[f64]| frame.iter().any(|level| *level != 0.0);
            first = levels.chunks(channels).position(sounds).map(|frame| at + frame as u64);
        }
    });
    first
}

/// By how many frames later than in what was sent the heard sound begins; 0 where one is silent.
fn offset_of_sound(sent: &Samples<'_>, heard: &Samples<'_>) -> i64 {
    match (first_sound(sent), first_sound(heard)) {
        (Some(one), Some(other)) => i64::try_from(other).unwrap_or(i64::MAX).saturating_sub_unsigned(one),
        _ => 0,
    }
}

/// So many frames, and what they are: `what` is as of more than one, and changed if it is one.
fn said_of(frames: u64, rate: f64, what: &str) -> String {
    let mut what = what.to_owned();
    if frames == 1 {
        for (more, one) in [("that were ", "that was "), ("are ", "is "), ("come ", "comes ")] {
            what = what.replacen(more, one, 1);
        }
    }
    format!("{} {what}", span(frames, rate))
}

/// The channel of a frame that differs most, and by how much; two that are no numbers are alike.
fn worst(one: &[f64], other: &[f64]) -> Option<(usize, f64)> {
    let differs = |(one, other): (&f64, &f64)| {
        let by = (one - other).abs();
        match (one.is_nan(), other.is_nan()) {
            (true, true) => 0.0,
            // Two infinities of one sign.
            _ if one.to_bits() == other.to_bits() => 0.0,
            _ if by.is_nan() => f64::INFINITY,
            _ => by,
        }
    };
    let all = one.iter().zip(other).map(differs).enumerate();
    all.filter(|(_, by)| *by > 0.0).max_by(|(_, one), (_, other)| one.total_cmp(other))
}

/// Of heard frames, with what was sent `offset` frames earlier; before its beginning and after its end is
/// silence.
fn worst_of(sent: &Samples<'_>, heard: &Samples<'_>, at: u64, frames: u64, offset: i64) -> f64 {
    let channels = heard.format().channels.max(1) as usize;
    let other = levels(heard, at, frames);
    let one = if let Some(from) = at.checked_add_signed(offset.saturating_neg()) {
        levels(sent, from, frames)
    } else {
        // Frames before the first are silent.
        let before = offset.unsigned_abs().saturating_sub(at).min(frames);
        let silent = usize::try_from(before).unwrap_or(0).saturating_mul(channels);
        let mut one = vec![0.0; silent];
        one.extend(levels(sent, 0, frames - before));
        one
    };
    worst(&one, &other).map_or(0.0, |(_, by)| if by.is_finite() { by } else { 1.0 })
}

/// A finding at a place; `None`: it is about the whole sound.
fn of_finding(finding: &Finding, judgement: &Judgement) -> Option<Difference> {
    let rate = f64::from(judgement.heard.format.rate.max(1));
    let known = |place: &Place, what: &str, later: i64| Difference {
        at: place.at,
        expected_at: place.expected_at,
        frames: place.frames,
        seconds: place.seconds,
        length: f64_of(place.frames) / rate,
        channel: None,
        what: said_of(place.frames, rate, what),
        later,
    };
    let by = |frames: u64| i64::try_from(frames).unwrap_or(i64::MAX);
    let end = judgement.heard.frames;
    let at = |at: u64, expected_at: u64, frames: u64, what: &str| {
        let place = Place { at, expected_at, seconds: f64_of(at) / rate, frames };
        known(&place, what, 0)
    };
    Some(match finding {
        Finding::Lost(place) => known(place, "are missing", -by(place.frames)),
        Finding::Repeated(place) => known(place, "are heard twice", by(place.frames)),
        Finding::Inserted { place, silent: true } => {
            known(place, "of silence come between", by(place.frames))
        }
        Finding::Inserted { place, silent: false } => {
            known(place, "that were not sent come between", by(place.frames))
        }
        Finding::Replaced { place, by: By::Silence } => known(place, "are silence instead", 0),
        Finding::Replaced { place, by: By::Repeat } => known(place, "are sound of before instead", 0),
        Finding::Replaced { place, by: By::Other } => known(place, "are something else", 0),
        Finding::Click { place, channel, worst_lsb } => Difference {
            channel: Some(*channel),
            ..known(place, &format!("are a click, {worst_lsb:.1} LSB in channel {channel}"), 0)
        },
        Finding::StartMissing { frames } => at(0, 0, *frames, "are missing at the beginning"),
        Finding::EndMissing { frames } => {
            let expected = judgement.expected.frames.saturating_sub(*frames);
            at(end, expected, *frames, "are missing at the end")
        }
        Finding::ExtraBefore(place) => known(place, "that were not sent come before", 0),
        Finding::ExtraAfter(place) => known(place, "that were not sent come after", 0),
        _ => return None,
    })
}
