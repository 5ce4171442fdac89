//! The answer of the aligned comparison: what is in its JSON, and its table.

use std::fmt;

use serde::{Serialize, Serializer};

use super::differences::{Differences, count_differences};
use super::facts::Facts;
use super::levels::Levels;
use super::{Case, FINDINGS_MAX};

/// Of the JSON. A field that goes, or means something else, gives it a new one.
pub const VERSION: u32 = 1;

/// How far a sample may be off.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Tolerance {
    /// So many LSB of the coarser of both formats; a float counts as 24 bits.
    Lsb(f64),
    /// So many dB relative to full scale.
    Dbfs(f64),
}

impl Default for Tolerance {
    fn default() -> Self {
        Self::Lsb(0.0)
    }
}

impl Tolerance {
    /// As a level.
    pub(super) fn level(self, lsb: f64) -> f64 {
        match self {
            Self::Lsb(count) => count * lsb,
            Self::Dbfs(db) => 10.0_f64.powf(db / 20.0),
        }
    }
}

impl std::str::FromStr for Tolerance {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let help = || "write a number of LSB (2), or of dB below full scale (-60dB)".to_owned();
        let number = |text: &str| text.trim().parse::<f64>().ok().filter(|number| number.is_finite());
        match text.strip_suffix("dB") {
            Some(db) => number(db).filter(|db| *db <= 0.0).map(Self::Dbfs).ok_or_else(help),
            None => number(text).filter(|lsb| *lsb >= 0.0).map(Self::Lsb).ok_or_else(help),
        }
    }
}

/// What is asked.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// How far a sample may be off.
    pub tolerance: Tolerance,
}

/// Why it can't be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// The expected sound has no frames.
    ExpectedEmpty,
    /// Both are silent: any silence would do.
    ExpectedSilent,
    /// The expected sound repeats itself, and what is heard may be it, only shifted.
    Periodic,
    /// There is too little sound.
    TooShort,
    /// More than 64 channels, or none.
    TooManyChannels,
    /// One rate is more than 64 times the other.
    RatesTooFarApart,
}

impl Reason {
    /// In words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ExpectedEmpty => "the expected sound has no frames",
            Self::ExpectedSilent => "both sounds are silent",
            Self::Periodic => "the expected sound repeats itself, and this may be it, only shifted",
            Self::TooShort => "the expected sound is too short",
            Self::TooManyChannels => "it aligns 1 to 64 channels; compare without --align, or mix it down",
            Self::RatesTooFarApart => "one rate is more than 64 times the other; convert one of them",
        }
    }
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conclusion {
    /// Every sample is heard, with the same value, and silence around.
    Same,
    /// Likewise, and none differs by more than the tolerance.
    WithinTolerance,
    /// Neither; the findings say what is wrong.
    Damaged,
    /// Neither can be said.
    CannotTell(Reason),
}

impl Conclusion {
    /// As in the JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::WithinTolerance => "within-tolerance",
            Self::Damaged => "damaged",
            Self::CannotTell(_) => "cannot-tell",
        }
    }
}

impl Serialize for Conclusion {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.name())
    }
}

/// Where something is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Place {
    /// Frame of the heard sound.
    pub at: u64,
    /// Frame of the expected one.
    pub expected_at: u64,
    /// `at` in time.
    pub seconds: f64,
    /// How many frames.
    pub frames: u64,
}

/// What is heard instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum By {
    /// Silence.
    Silence,
    /// Sound of shortly before.
    Repeat,
    /// Something else.
    Other,
}

/// One thing that is wrong. COMPARE.md says what each means.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the table of COMPARE.md has them")]
pub enum Finding {
    Lost(Place),
    Repeated(Place),
    Inserted {
        #[serde(flatten)]
        place: Place,
        silent: bool,
    },
    Replaced {
        #[serde(flatten)]
        place: Place,
        by: By,
    },
    Click {
        #[serde(flatten)]
        place: Place,
        channel: u32,
        worst_lsb: f64,
    },
    StartMissing {
        frames: u64,
    },
    EndMissing {
        frames: u64,
    },
    ExtraBefore(Place),
    ExtraAfter(Place),
    NothingHeard,
    Unrelated,
    ChannelsSwapped {
        map: Vec<Option<u32>>,
    },
    ChannelMissing {
        channel: u32,
    },
    ChannelInverted {
        channel: u32,
    },
    Level {
        channel: u32,
        db: f64,
    },
    LevelVaries {
        channel: u32,
        min_db: f64,
        max_db: f64,
    },
    Offset {
        channel: u32,
        level: f64,
    },
    Drift {
        ppm: f64,
    },
    Rate {
        expected: u32,
        heard: u32,
    },
    Limiter {
        channel: u32,
        threshold_dbfs: f64,
    },
    Dither {
        channel: u32,
        rms_lsb: f64,
        worst_lsb: f64,
    },
    Noise {
        channel: u32,
        snr_db: f64,
    },
    Filtered {
        channel: u32,
        snr_db: f64,
    },
    Coded {
        channel: u32,
        snr_db: f64,
    },
    NotFinite {
        expected: u64,
        heard: u64,
    },
}

impl Finding {
    /// The name in the tables of COMPARE.md and in the JSON.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Lost(_) => "lost",
            Self::Repeated(_) => "repeated",
            Self::Inserted { .. } => "inserted",
            Self::Replaced { .. } => "replaced",
            Self::Click { .. } => "click",
            Self::StartMissing { .. } => "start-missing",
            Self::EndMissing { .. } => "end-missing",
            Self::ExtraBefore(_) => "extra-before",
            Self::ExtraAfter(_) => "extra-after",
            Self::NothingHeard => "nothing-heard",
            Self::Unrelated => "unrelated",
            Self::ChannelsSwapped { .. } => "channels-swapped",
            Self::ChannelMissing { .. } => "channel-missing",
            Self::ChannelInverted { .. } => "channel-inverted",
            Self::Level { .. } => "level",
            Self::LevelVaries { .. } => "level-varies",
            Self::Offset { .. } => "offset",
            Self::Drift { .. } => "drift",
            Self::Rate { .. } => "rate",
            Self::Limiter { .. } => "limiter",
            Self::Dither { .. } => "dither",
            Self::Noise { .. } => "noise",
            Self::Filtered { .. } => "filtered",
            Self::Coded { .. } => "coded",
            Self::NotFinite { .. } => "not-finite",
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.kind();
        match self {
            Self::Lost(place)
            | Self::Repeated(place)
            | Self::ExtraBefore(place)
            | Self::ExtraAfter(place) => {
                write!(f, "{kind}: {place}")
            }
            Self::Inserted { place, silent } => {
                write!(f, "{kind}: {place}{}", if *silent { ", silent" } else { "" })
            }
            Self::Replaced { place, by } => {
                let by = match by {
                    By::Silence => "silence",
                    By::Repeat => "sound of before",
                    By::Other => "something else",
                };
                write!(f, "{kind} by {by}: {place}")
            }
            Self::Click { place, channel, worst_lsb } => {
                write!(f, "{kind}: {place}, {worst_lsb:.1} LSB in channel {channel}")
            }
            Self::StartMissing { frames } | Self::EndMissing { frames } => {
                write!(f, "{kind}: {frames} frame{}", if *frames == 1 { "" } else { "s" })
            }
            Self::NothingHeard | Self::Unrelated => f.write_str(kind),
            Self::ChannelsSwapped { map } => {
                let carried = |carried: &Option<u32>| carried.map_or("nothing".to_owned(), |n| n.to_string());
                let map: Vec<String> = map.iter().map(carried).collect();
                write!(f, "{kind}: the heard channels carry {}", map.join(", "))
            }
            Self::ChannelMissing { channel } | Self::ChannelInverted { channel } => {
                write!(f, "{kind}: channel {channel}")
            }
            Self::Level { channel, db } => write!(f, "{kind}: channel {channel} {db:+.2} dB"),
            Self::LevelVaries { channel, min_db, max_db } => {
                write!(f, "{kind}: channel {channel} from {min_db:+.2} to {max_db:+.2} dB")
            }
            Self::Offset { channel, level } => {
                write!(f, "{kind}: channel {channel} {level:+.6} of full scale")
            }
            Self::Drift { ppm } => write!(f, "{kind}: {ppm:+.3} ppm"),
            Self::Rate { expected, heard } => write!(f, "{kind}: {expected} Hz expected, {heard} Hz heard"),
            Self::Limiter { channel, threshold_dbfs } => {
                write!(f, "{kind}: channel {channel} above {threshold_dbfs:.1} dBFS")
            }
            Self::Dither { channel, rms_lsb, worst_lsb } => {
                write!(f, "{kind}: channel {channel}, RMS {rms_lsb:.2} LSB, {worst_lsb:.1} LSB at most")
            }
            Self::Noise { channel, snr_db }
            | Self::Filtered { channel, snr_db }
            | Self::Coded { channel, snr_db } => {
                write!(f, "{kind}: channel {channel}, {snr_db:.1} dB below the sound")
            }
            Self::NotFinite { expected, heard } => {
                write!(f, "{kind}: {expected} samples expected, {heard} heard")
            }
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let frames = if self.frames == 1 { "frame" } else { "frames" };
        write!(f, "{} {frames} at {} ({:.3} s)", self.frames, self.at, self.seconds)
    }
}

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct File {
    /// Its format.
    #[serde(flatten)]
    pub format: super::super::Format,
    /// Its frames.
    pub frames: u64,
    /// The speakers of its channels (`KSAUDIO_SPEAKER_*`), if it says.
    pub speakers: Option<u32>,
    /// Samples that are infinite or no numbers.
    pub not_finite: u64,
}

impl File {
    fn of(levels: &Levels<'_>) -> Self {
        Self {
            format: super::super::Format::of(levels.format()),
            frames: levels.frames(),
            speakers: levels.samples().speakers(),
            not_finite: 0,
        }
    }
}

/// One channel of the heard sound.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Channel {
    /// Its number.
    pub channel: u32,
    /// The expected channel that it carries.
    pub carries: Option<u32>,
    /// With the other sign.
    pub inverted: bool,
    /// How much louder it is.
    pub level_db: f64,
    /// The worst difference, after level, sign and offset.
    pub worst_lsb: f64,
    /// Its frame.
    pub worst_at: Option<u64>,
    /// The sound above what is wrong with it; `None`: nothing is.
    pub snr_db: Option<f64>,
    /// Highest magnitude; `None` for silence.
    pub peak_dbfs: Option<f64>,
    /// Root mean square; `None` for silence.
    pub rms_dbfs: Option<f64>,
}

impl Channel {
    pub(super) fn set_differences(&mut self, differences: &Differences, lsb: f64) {
        (self.worst_lsb, self.worst_at) = (differences.worst / lsb, differences.worst_at);
        self.snr_db = differences.snr_db();
    }
}

/// Everything that is told.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Judgement {
    /// Of this text.
    pub version: u32,
    mode: &'static str,
    /// What became of it.
    pub conclusion: Conclusion,
    /// Why it can't be told.
    pub reason: Option<Reason>,
    /// What was allowed.
    pub tolerance_lsb: f64,
    /// The expected file.
    pub expected: File,
    /// The heard one.
    pub heard: File,
    /// Where the first expected frame lies in the heard sound.
    pub offset_frames: Option<f64>,
    /// Silent frames of the heard sound before the expected one.
    pub leading_frames: u64,
    /// And after it.
    pub trailing_frames: u64,
    /// The heard channels.
    pub channels: Vec<Channel>,
    /// What is wrong.
    pub findings: Vec<Finding>,
    /// How many there are, also those that are not listed.
    pub findings_total: u64,
    /// The heard frame from which on nothing was looked for any more: too much was wrong before.
    pub given_up: Option<u64>,
    /// What is no damage, and worth knowing.
    pub notes: Vec<String>,
}

/// In dB; `None` for nothing.
pub(super) fn db(ratio: f64) -> Option<f64> {
    (ratio > 0.0).then(|| 20.0 * ratio.log10())
}

impl Judgement {
    pub(super) fn new(expected: &Levels<'_>, heard: &Levels<'_>, tolerance_lsb: f64) -> Self {
        let levels = [expected, heard];
        let (expected, heard) = (File::of(expected), File::of(heard));
        let mut notes = Vec::new();
        let kind = |file: &File| {
            format!("{}-bit{}", file.format.bits, if file.format.float { " float" } else { "" })
        };
        if kind(&expected) != kind(&heard) {
            notes.push(format!("the sample formats differ: {} and {}", kind(&expected), kind(&heard)));
        }
        if expected.speakers.is_some() && heard.speakers.is_some() && expected.speakers != heard.speakers {
            let mask = |mask: Option<u32>| mask.map_or("none".to_owned(), |mask| format!("{mask:#x}"));
            let (one, other) = (mask(expected.speakers), mask(heard.speakers));
            notes.push(format!("the speakers differ: {one} and {other}"));
        }
        for (name, levels) in [("expected", levels[0]), ("heard", levels[1])] {
            notes.extend(levels.samples().warnings().iter().map(|warning| format!("{name}: {warning}")));
        }
        Self {
            version: VERSION,
            mode: "aligned",
            conclusion: Conclusion::Damaged,
            reason: None,
            tolerance_lsb,
            expected,
            heard,
            offset_frames: None,
            leading_frames: 0,
            trailing_frames: 0,
            channels: Vec::new(),
            findings: Vec::new(),
            findings_total: 0,
            given_up: None,
            notes,
        }
    }

    /// Whether it is an answer, and a good one.
    pub fn passed(&self) -> bool {
        matches!(self.conclusion, Conclusion::Same | Conclusion::WithinTolerance)
    }

    /// Of the channel that is worst.
    pub(super) fn worst_snr(&self) -> f64 {
        self.channels.iter().filter_map(|channel| channel.snr_db).fold(200.0, f64::min)
    }

    pub(super) fn place(&self, at: u64, expected_at: u64, frames: u64) -> Place {
        Place { at, expected_at, seconds: at as f64 / f64::from(self.heard.format.rate.max(1)), frames }
    }

    pub(super) fn add(&mut self, finding: Finding) {
        self.findings_total += 1;
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(finding);
        }
    }

    /// Channels as they would be if nothing were wrong.
    pub(super) fn levels_of(&mut self, facts: &Facts) {
        let own =
            |channel: usize| (channel < self.expected.format.channels as usize).then_some(channel as u32);
        let channels = facts.channels.iter().enumerate().map(|(channel, found)| Channel {
            channel: channel as u32,
            carries: own(channel),
            inverted: false,
            level_db: 0.0,
            worst_lsb: 0.0,
            worst_at: None,
            snr_db: None,
            peak_dbfs: db(found.peak),
            rms_dbfs: db((found.squares / facts.frames.max(1) as f64).sqrt()),
        });
        self.channels = channels.collect();
        let silent = facts.sounding().is_none();
        self.leading_frames =
            if silent { facts.frames } else { facts.sounding().map_or(0, |(first, _)| first) };
        self.trailing_frames = facts.sounding().map_or(0, |(_, last)| facts.frames - 1 - last);
    }

    pub(super) fn count_not_finite(&mut self, [expected, heard]: [u64; 2]) {
        (self.expected.not_finite, self.heard.not_finite) = (expected, heard);
        if expected + heard > 0 {
            self.add(Finding::NotFinite { expected, heard });
        }
    }

    /// All of it was heard at this offset; `exact`: to the bit.
    pub(super) fn same(&mut self, offset: i64, exact: bool) {
        self.offset_frames = Some(offset as f64);
        self.conclusion = if exact { Conclusion::Same } else { Conclusion::WithinTolerance };
    }

    pub(super) fn within_tolerance(&mut self, case: &Case<'_>, offset: i64) {
        self.same(offset, false);
        let differences = differences(case, offset);
        for (channel, differences) in self.channels.iter_mut().zip(&differences) {
            channel.set_differences(differences, case.lsb);
        }
    }

    /// Puts the findings and the conclusion in order.
    pub(super) fn finish(&mut self) {
        if self.passed() && (self.findings_total > 0 || self.given_up.is_some()) {
            self.conclusion = Conclusion::Damaged;
        }
        if let Conclusion::CannotTell(reason) = self.conclusion {
            self.reason = Some(reason);
        }
    }
}

/// Of each channel.
fn differences(case: &Case<'_>, offset: i64) -> Vec<Differences> {
    const BLOCK: usize = 8192;
    let mut found = vec![Differences::default(); case.heard.channels()];
    let mut at = 0;
    while at < case.heard.frames() as i64 {
        let (expected, heard) = (case.expected.read(at - offset, BLOCK), case.heard.read(at, BLOCK));
        count_differences(&mut found, &expected, &heard, BLOCK, at);
        at += BLOCK as i64;
    }
    found
}

impl fmt::Display for Judgement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "frames     {} and {}", self.expected.frames, self.heard.frames)?;
        let (first, second) = (self.expected.format, self.heard.format);
        if first == second {
            writeln!(f, "format     {first}")?;
        } else {
            writeln!(f, "format     {first} and {second}")?;
        }
        if let Some(offset) = self.offset_frames {
            let (before, after) = (self.leading_frames, self.trailing_frames);
            writeln!(f, "offset     {offset} frames; {before} silent before, {after} after")?;
        }
        for channel in &self.channels {
            let level = |level: Option<f64>| level.map_or("-inf".to_owned(), |db| format!("{db:.1}"));
            write!(f, "channel {}  ", channel.channel)?;
            write!(f, "peak {} dBFS, RMS {} dBFS", level(channel.peak_dbfs), level(channel.rms_dbfs))?;
            if channel.worst_lsb > 0.0 {
                write!(f, ", worst {:.1} LSB", channel.worst_lsb)?;
            }
            if let Some(snr) = channel.snr_db {
                write!(f, ", SNR {snr:.1} dB")?;
            }
            writeln!(f)?;
        }
        for note in &self.notes {
            writeln!(f, "note       {note}")?;
        }
        for finding in &self.findings {
            writeln!(f, "damage     {finding}")?;
        }
        if self.findings_total > self.findings.len() as u64 {
            writeln!(f, "damage     and {} more", self.findings_total - self.findings.len() as u64)?;
        }
        if let Some(frame) = self.given_up {
            writeln!(f, "damage     given up at frame {frame}: what follows was not looked at")?;
        }
        match self.conclusion {
            Conclusion::Same => write!(f, "verdict    the same samples"),
            Conclusion::WithinTolerance => {
                write!(f, "verdict    within the tolerance of {} LSB", self.tolerance_lsb)
            }
            Conclusion::Damaged => write!(f, "verdict    damaged"),
            Conclusion::CannotTell(reason) => write!(f, "verdict    cannot tell: {}", reason.as_str()),
        }
    }
}
