//! What `device/COMPARE.md` demands as the answer for a case, and whether an answer is that.

use crate::judge::{By, Conclusion, Finding, Place, Reason};
use crate::verdict::Verdict;

/// A finding that is demanded or allowed.
pub struct Pattern {
    /// For people.
    pub text: String,
    accepts: Box<dyn Fn(&Finding) -> bool + Send>,
}

impl Pattern {
    /// One that `accepts` tells.
    pub fn new(text: impl Into<String>, accepts: impl Fn(&Finding) -> bool + Send + 'static) -> Self {
        Self { text: text.into(), accepts: Box::new(accepts) }
    }

    /// Any finding of these kinds.
    pub fn of_kinds(kinds: &'static [&'static str]) -> Self {
        Self::new(kinds.join(" or "), move |finding| kinds.contains(&finding.kind()))
    }

    /// Either of both.
    pub fn or(self, other: Self) -> Self {
        let text = format!("{} or {}", self.text, other.text);
        Self::new(text, move |finding| (self.accepts)(finding) || (other.accepts)(finding))
    }
}

/// What is demanded of the findings.
pub enum Findings {
    /// Each of the first is there once, and nothing else but what the second allows, once each.
    These(Vec<Pattern>, Vec<Pattern>),
    /// Outside the limits of detection: with `damaged` at least one, whichever it is.
    Any,
    /// The sound has this period, and was shifted by so many frames (lost: negative) somewhere.
    Periodic {
        /// Frames after which the sound repeats itself.
        period: i64,
        /// How much later the rest comes.
        shift: i64,
    },
}

/// The answer that a case demands.
pub struct Answer {
    /// One of these.
    pub conclusions: Vec<Conclusion>,
    /// Where the first expected frame is in the heard file, and how far off an answer may be.
    pub offset: Option<(f64, f64)>,
    /// What is found.
    pub findings: Findings,
}

impl Answer {
    /// `same`, at this offset.
    pub fn same(offset: i64) -> Self {
        Self {
            conclusions: vec![Conclusion::Same],
            offset: Some((offset as f64, 0.0)),
            findings: Findings::These(Vec::new(), Vec::new()),
        }
    }

    /// `within-tolerance`.
    pub fn within() -> Self {
        Self {
            conclusions: vec![Conclusion::WithinTolerance],
            offset: None,
            findings: Findings::These(Vec::new(), Vec::new()),
        }
    }

    /// `cannot-tell` for this reason. Findings may say what is certain all the same.
    pub fn cannot_tell(reason: Reason) -> Self {
        Self { conclusions: vec![Conclusion::CannotTell(reason)], offset: None, findings: Findings::Any }
    }

    /// `damaged`, with all of these and nothing else.
    pub fn damaged(required: Vec<Pattern>) -> Self {
        Self {
            conclusions: vec![Conclusion::Damaged],
            offset: None,
            findings: Findings::These(required, Vec::new()),
        }
    }

    /// `damaged`, under any name.
    pub fn damaged_somehow() -> Self {
        Self { conclusions: vec![Conclusion::Damaged], offset: None, findings: Findings::Any }
    }

    /// The same answer, where these findings may also be there.
    pub fn allowing(mut self, more: Vec<Pattern>) -> Self {
        if let Findings::These(_, allowed) = &mut self.findings {
            allowed.extend(more);
        }
        self
    }

    /// The same answer, with the first frame there.
    pub fn at(mut self, offset: f64, tolerance: f64) -> Self {
        self.offset = Some((offset, tolerance));
        self
    }

    /// What is wrong with a verdict, in words; nothing if it is right.
    pub fn wrong(&self, verdict: &Verdict) -> Vec<String> {
        let mut wrong = Vec::new();
        if !self.conclusions.contains(&verdict.conclusion) {
            wrong.push(format!("conclusion {:?}", verdict.conclusion));
        }
        if let Some((offset, tolerance)) = self.offset {
            let told = verdict.offset_frames.unwrap_or(f64::NAN);
            // Not a number is wrong, too.
            if (told - offset).abs().is_nan() || (told - offset).abs() > tolerance {
                wrong.push(format!("offset {:?} and not {offset}", verdict.offset_frames));
            }
        }
        let listed = verdict.findings.len() as u64;
        if listed != verdict.findings_total.min(1000) {
            wrong.push(format!("findings_total {}", verdict.findings_total));
        }
        self.wrong_findings(verdict, &mut wrong);
        wrong
    }

    fn wrong_findings(&self, verdict: &Verdict, wrong: &mut Vec<String>) {
        let findings = &verdict.findings;
        if matches!(verdict.conclusion, Conclusion::Damaged) && findings.is_empty() {
            wrong.push("damaged, and no finding".to_owned());
        }
        match &self.findings {
            Findings::Any => {}
            Findings::Periodic { period, shift } => {
                if matches!(verdict.conclusion, Conclusion::Damaged) {
                    wrong.extend(wrong_of_periodic(findings, *period, *shift));
                }
            }
            Findings::These(required, allowed) => {
                let mut rest: Vec<&Finding> = findings.iter().collect();
                for pattern in required {
                    match rest.iter().position(|finding| (pattern.accepts)(finding)) {
                        Some(index) => drop(rest.remove(index)),
                        None => wrong.push(format!("not found: {}", pattern.text)),
                    }
                }
                for pattern in allowed {
                    if let Some(index) = rest.iter().position(|finding| (pattern.accepts)(finding)) {
                        rest.remove(index);
                    }
                }
                wrong.extend(rest.iter().map(|finding| format!("found, and not there: {finding:?}")));
            }
        }
    }

    /// The demand, for people.
    pub fn text(&self) -> String {
        let conclusions: Vec<String> = self.conclusions.iter().map(|one| format!("{one:?}")).collect();
        let list = |patterns: &[Pattern]| {
            patterns.iter().map(|pattern| pattern.text.clone()).collect::<Vec<_>>().join("; ")
        };
        let findings = match &self.findings {
            Findings::Any => "any name".to_owned(),
            Findings::Periodic { period, shift } => format!("period {period}, shifted by {shift}"),
            Findings::These(required, allowed) if allowed.is_empty() => format!("[{}]", list(required)),
            Findings::These(required, allowed) => {
                format!("[{}], allowed [{}]", list(required), list(allowed))
            }
        };
        let offset = self.offset.map_or(String::new(), |(offset, _)| format!(", offset {offset}"));
        format!("{}{offset}, {findings}", conclusions.join(" or "))
    }
}

/// Of periodic sound, shifts may be told for one another, but for whole periods.
fn wrong_of_periodic(findings: &[Finding], period: i64, shift: i64) -> Vec<String> {
    const KINDS: [&str; 8] = [
        "lost",
        "repeated",
        "inserted",
        "channel-inverted",
        "start-missing",
        "end-missing",
        "extra-before",
        "extra-after",
    ];
    let mut wrong: Vec<String> = findings
        .iter()
        .filter(|finding| !KINDS.contains(&finding.kind()))
        .map(|finding| format!("found, and not there: {finding:?}"))
        .collect();
    let told = match findings {
        [Finding::Lost(place)] => -(place.frames as i64),
        [Finding::Repeated(place) | Finding::Inserted { place, .. }] => place.frames as i64,
        _ => return wrong,
    };
    if (told - shift).rem_euclid(period) != 0 {
        wrong.push(format!("shifted by {told}, which is not {shift} and whole periods of {period}"));
    }
    wrong
}

/// A demanded place: the frame of both files, and how far off an answer may be.
#[derive(Clone, Copy, Debug)]
pub struct Spot {
    /// Frame of the heard file.
    pub at: f64,
    /// Frame of the expected file.
    pub expected_at: f64,
    /// Frames that an answer may be off.
    pub tolerance: f64,
}

impl Spot {
    fn holds(self, place: &Place) -> bool {
        self.holds_up_to(place, 0.0)
    }

    /// Or up to so many frames later in the heard file.
    fn holds_up_to(self, place: &Place, later: f64) -> bool {
        let at = place.at as f64 - self.at;
        at >= -self.tolerance
            && at <= self.tolerance + later
            && (place.expected_at as f64 - self.expected_at).abs() <= self.tolerance + later
    }
}

/// `lost`, to the frame.
pub fn lost(spot: Spot, frames: usize) -> Pattern {
    Pattern::new(format!("lost {frames} at {spot:?}"), move |finding| match finding {
        Finding::Lost(place) => place.frames == frames as u64 && spot.holds(place),
        _ => false,
    })
}

/// `repeated`, to the frame.
pub fn repeated(spot: Spot, frames: usize) -> Pattern {
    Pattern::new(format!("repeated {frames} at {spot:?}"), move |finding| match finding {
        Finding::Repeated(place) => place.frames == frames as u64 && spot.holds(place),
        _ => false,
    })
}

/// `inserted`, to the frame. `silent`: None where the text lets both be said.
pub fn inserted(spot: Spot, frames: usize, silent: Option<bool>) -> Pattern {
    Pattern::new(
        format!("inserted {frames} (silent: {silent:?}) at {spot:?}"),
        move |finding| match finding {
            Finding::Inserted { place, silent: told } => {
                place.frames == frames as u64
                    && spot.holds(place)
                    && silent.is_none_or(|silent| silent == *told)
            }
            _ => false,
        },
    )
}

/// `lost` of a stretch that has silence of `silence` frames in its place: within the tolerance of the place.
pub fn lost_in_silence(spot: Spot, lost: usize, silence: usize) -> Pattern {
    let text = format!("lost about {lost} at {spot:?}, beside the silence");
    Pattern::new(text, move |finding| match finding {
        Finding::Lost(place) => {
            (place.frames as f64 - lost as f64).abs() <= spot.tolerance
                && spot.holds_up_to(place, silence.max(lost) as f64)
        }
        _ => false,
    })
}

/// And `inserted` of that silence.
pub fn silence_for_lost(spot: Spot, lost: usize, silence: usize) -> Pattern {
    let text = format!("inserted about {silence} of silence at {spot:?}");
    Pattern::new(text, move |finding| match finding {
        Finding::Inserted { place, silent: true } => {
            (place.frames as f64 - silence as f64).abs() <= spot.tolerance
                && spot.holds_up_to(place, silence.max(lost) as f64)
        }
        _ => false,
    })
}

/// `replaced`, its ends within the tolerance of the place. `by`: None where the text lets any be said.
pub fn replaced(spot: Spot, frames: usize, by: Option<By>) -> Pattern {
    Pattern::new(format!("replaced {frames} (by {by:?}) at {spot:?}"), move |finding| match finding {
        Finding::Replaced { place, by: told } => {
            let end = (place.at + place.frames) as f64 - (spot.at + frames as f64);
            spot.holds(place) && end.abs() <= spot.tolerance && by.is_none_or(|by| by == *told)
        }
        _ => false,
    })
}

/// `click`, whose worst sample is off by `worst` LSB, give or take `give`.
pub fn click(spot: Spot, channel: Option<u32>, worst: f64, give: f64) -> Pattern {
    let text = format!("click in channel {channel:?}, by {worst} LSB, at {spot:?}");
    Pattern::new(text, move |finding| match finding {
        Finding::Click { place, channel: told, worst_lsb } => {
            spot.holds(place)
                && channel.is_none_or(|channel| channel == *told)
                && (worst_lsb - worst).abs() <= give
        }
        _ => false,
    })
}

/// `start-missing`, of a number of frames within these.
pub fn start_missing(low: usize, high: usize) -> Pattern {
    Pattern::new(format!("start-missing {low} to {high}"), move |finding| match finding {
        Finding::StartMissing { frames } => (low as u64..=high as u64).contains(frames),
        _ => false,
    })
}

/// `end-missing`, of a number of frames within these.
pub fn end_missing(low: usize, high: usize) -> Pattern {
    Pattern::new(format!("end-missing {low} to {high}"), move |finding| match finding {
        Finding::EndMissing { frames } => (low as u64..=high as u64).contains(frames),
        _ => false,
    })
}

/// `extra-before`, from this frame of the heard file on, so long, give or take `give`.
pub fn extra_before(at: usize, frames: usize, give: usize) -> Pattern {
    Pattern::new(format!("extra-before {frames} at {at}"), move |finding| match finding {
        Finding::ExtraBefore(place) => is_stretch(place, at, frames, give),
        _ => false,
    })
}

/// `extra-after`, likewise.
pub fn extra_after(at: usize, frames: usize, give: usize) -> Pattern {
    Pattern::new(format!("extra-after {frames} at {at}"), move |finding| match finding {
        Finding::ExtraAfter(place) => is_stretch(place, at, frames, give),
        _ => false,
    })
}

fn is_stretch(place: &Place, at: usize, frames: usize, give: usize) -> bool {
    place.at.abs_diff(at as u64) <= give as u64 && place.frames.abs_diff(frames as u64) <= give as u64
}

/// `level` of a channel, told to `give` dB.
pub fn level(channel: usize, db: f64, give: f64) -> Pattern {
    let text = format!("level of channel {channel}: {db:.4} dB");
    Pattern::new(text, move |finding| match finding {
        Finding::Level { channel: told, db: told_db } => {
            *told as usize == channel && near(*told_db, db, give)
        }
        _ => false,
    })
}

/// `offset` of a channel.
pub fn offset(channel: usize, level: f64, give: f64) -> Pattern {
    let text = format!("offset of channel {channel}: {level:.7}");
    Pattern::new(text, move |finding| match finding {
        Finding::Offset { channel: told, level: told_level } => {
            *told as usize == channel && near(*told_level, level, give)
        }
        _ => false,
    })
}

/// `level-varies` of a channel: the range is told to `give` dB.
pub fn level_varies(channel: usize, min: f64, max: f64, give: f64) -> Pattern {
    let text = format!("level of channel {channel} varies from {min:.2} to {max:.2} dB");
    Pattern::new(text, move |finding| match finding {
        Finding::LevelVaries { channel: told, min_db, max_db } => {
            *told as usize == channel && near(*min_db, min, give) && near(*max_db, max, give)
        }
        _ => false,
    })
}

/// `drift`, to `give` ppm.
pub fn drift(ppm: f64, give: f64) -> Pattern {
    Pattern::new(format!("drift of {ppm:.3} ppm, give or take {give:.3}"), move |finding| match finding {
        Finding::Drift { ppm: told } => near(*told, ppm, give),
        _ => false,
    })
}

/// `rate`.
pub fn rate(expected: u32, heard: u32) -> Pattern {
    Pattern::new(format!("rate {expected}, {heard}"), move |finding| match finding {
        Finding::Rate { expected: a, heard: b } => *a == expected && *b == heard,
        _ => false,
    })
}

/// `limiter` of a channel, with one of these thresholds, to 1 dB.
pub fn limiter(channel: usize, thresholds: Vec<f64>) -> Pattern {
    let text = format!("limiter of channel {channel}: {thresholds:.2?} dBFS");
    Pattern::new(text, move |finding| match finding {
        Finding::Limiter { channel: told, threshold_dbfs } => {
            *told as usize == channel && thresholds.iter().any(|db| near(*threshold_dbfs, *db, 1.0))
        }
        _ => false,
    })
}

/// `dither` of a channel; the numbers, where the text says which: RMS and worst, in LSB.
pub fn dither(channel: usize, numbers: Option<(f64, f64)>) -> Pattern {
    let text = format!("dither of channel {channel}: {numbers:.3?} LSB");
    Pattern::new(text, move |finding| match finding {
        Finding::Dither { channel: told, rms_lsb, worst_lsb } => {
            *told as usize == channel
                && numbers.is_none_or(|(rms, worst)| {
                    near(*rms_lsb, rms, 0.05 * rms + 0.01) && near(*worst_lsb, worst, 0.05 * worst + 0.02)
                })
        }
        _ => false,
    })
}

/// `noise` of a channel, to `give` dB.
pub fn noise(channel: usize, snr: f64, give: f64) -> Pattern {
    Pattern::new(format!("noise of channel {channel}: {snr:.2} dB"), move |finding| match finding {
        Finding::Noise { channel: told, snr_db } => *told as usize == channel && near(*snr_db, snr, give),
        _ => false,
    })
}

/// `coded` or `filtered`: they may be told for each other.
pub fn coded_or_filtered(channel: usize) -> Pattern {
    Pattern::new(format!("coded or filtered: channel {channel}"), move |finding| match finding {
        Finding::Coded { channel: told, .. } | Finding::Filtered { channel: told, .. } => {
            *told as usize == channel
        }
        _ => false,
    })
}

/// `channels-swapped` with this map.
pub fn swapped(map: Vec<Option<u32>>) -> Pattern {
    Pattern::new(format!("channels-swapped {map:?}"), move |finding| match finding {
        Finding::ChannelsSwapped { map: told } => *told == map,
        _ => false,
    })
}

/// `channel-missing`.
pub fn missing(channel: usize) -> Pattern {
    Pattern::new(format!("channel-missing {channel}"), move |finding| match finding {
        Finding::ChannelMissing { channel: told } => *told as usize == channel,
        _ => false,
    })
}

/// `channel-inverted`.
pub fn inverted(channel: usize) -> Pattern {
    Pattern::new(format!("channel-inverted {channel}"), move |finding| match finding {
        Finding::ChannelInverted { channel: told } => *told as usize == channel,
        _ => false,
    })
}

/// `not-finite`, with these counts.
pub fn not_finite(expected: u64, heard: u64) -> Pattern {
    Pattern::new(format!("not-finite {expected}, {heard}"), move |finding| match finding {
        Finding::NotFinite { expected: a, heard: b } => *a == expected && *b == heard,
        _ => false,
    })
}

fn near(told: f64, wanted: f64, give: f64) -> bool {
    (told - wanted).abs() <= give
}
