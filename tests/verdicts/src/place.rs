//! Damage at a place: what is lost, heard twice, put in between, or wrong for a moment.

use crate::answer::{self, Pattern, Spot};
use crate::judge::By;
use crate::wave::{self, Channels};

/// What happens at a place.
pub enum Change {
    /// So many frames are not heard.
    Lost(usize),
    /// The last frames before are heard once more.
    Repeated(usize),
    /// These are heard in between. Whether the finding says `silent`: None where the text lets both be said.
    Inserted(Channels, Option<bool>),
    /// Silence of another length is heard instead.
    LostInSilence {
        /// Frames that are not heard.
        lost: usize,
        /// Frames of silence.
        silence: usize,
    },
    /// These are heard instead.
    Replaced(Channels, Option<By>),
    /// These are heard instead, for a moment.
    Click(Channels),
}

/// A change, and the frame before which, or from which on, it happens.
pub struct Op {
    /// The frame of the undamaged sound.
    pub at: usize,
    /// What happens.
    pub change: Change,
}

/// How frames are counted and what an answer may be off.
#[derive(Clone, Copy)]
pub struct Frame {
    /// Where the undamaged sound would begin in the heard file.
    pub heard: usize,
    /// Where it begins in the expected file.
    pub expected: usize,
    /// Frames of the heard sound for one of the expected (drift).
    pub scale: f64,
    /// Frames by which a place may be off.
    pub tolerance: f64,
    /// The step in which levels are told.
    pub unit: f64,
    /// Whether nothing but places is damaged: then all numbers are told to the last digit.
    pub alone: bool,
}

/// The damaged sound and what has to be found.
pub struct Damaged {
    /// The sound.
    pub channels: Channels,
    /// What has to be found.
    pub required: Vec<Pattern>,
}

/// Does all that; `ops` are in the order of their places.
pub fn apply(sound: &Channels, ops: &[Op], frame: Frame) -> Damaged {
    let mut out = wave::silence(sound.len(), 0);
    let mut required = Vec::new();
    let mut from = 0;
    for Op { at, change } in ops {
        append(&mut out, sound, from..*at);
        let spot = |later: usize, expected_later: usize| Spot {
            at: (frame.heard + wave::frames(&out) + later) as f64,
            expected_at: frame.expected as f64 + (*at + expected_later) as f64 / frame.scale,
            tolerance: frame.tolerance,
        };
        from = *at;
        match change {
            Change::Lost(count) => {
                required.push(answer::lost(spot(0, 0), *count));
                from += count;
            }
            Change::Repeated(count) => {
                let mut pattern = answer::repeated(spot(0, 0), *count);
                if *count == 1 || !frame.alone && *count < 64 {
                    pattern = pattern.or(answer::inserted(spot(0, 0), *count, None));
                }
                required.push(pattern);
                append(&mut out, sound, at - count..*at);
            }
            Change::Inserted(content, silent) => {
                let count = wave::frames(content);
                let mut pattern = answer::inserted(spot(0, 0), count, *silent);
                if !frame.alone && count < 64
                    || same_frames(content, sound, at.saturating_sub(count), count)
                    || same_frames(content, sound, *at, count)
                {
                    pattern = pattern.or(answer::repeated(spot(0, 0), count));
                }
                required.push(pattern);
                append(&mut out, content, 0..count);
            }
            Change::LostInSilence { lost, silence } => {
                required.push(answer::lost_in_silence(spot(0, 0), *lost, *silence));
                required.push(answer::silence_for_lost(spot(0, 0), *lost, *silence));
                append(&mut out, &wave::silence(sound.len(), *silence), 0..*silence);
                from += lost;
            }
            Change::Replaced(content, by) => {
                let count = wave::frames(content);
                let (first, last) = differing(content, sound, *at).expect("it is not the same");
                required.push(answer::replaced(spot(first, first), last + 1 - first, *by));
                append(&mut out, content, 0..count);
                from += count;
            }
            Change::Click(content) => {
                let count = wave::frames(content);
                let (first, _) = differing(content, sound, *at).expect("it is not the same");
                let worst = worst_of(content, sound, *at);
                let most = worst.iter().fold(0.0, |a: f64, b| a.max(*b));
                let mut loud = (0_u32..).zip(&worst).filter(|(_, worst)| **worst > most * 0.999);
                let (channel, one) = (loud.next().map(|(channel, _)| channel), loud.next().is_none());
                let (worst, give) =
                    (most / frame.unit, if frame.alone { 0.01 } else { most / frame.unit * 0.2 + 1.0 });
                required.push(answer::click(spot(first, first), channel.filter(|_| one), worst, give));
                append(&mut out, content, 0..count);
                from += count;
            }
        }
    }
    append(&mut out, sound, from..wave::frames(sound));
    Damaged { channels: out, required }
}

fn append(out: &mut Channels, sound: &Channels, range: std::ops::Range<usize>) {
    for (out, channel) in out.iter_mut().zip(sound) {
        out.extend_from_slice(&channel[range.clone()]);
    }
}

fn same_frames(content: &Channels, sound: &Channels, at: usize, count: usize) -> bool {
    content.iter().zip(sound).all(|(content, sound)| sound.get(at..at + count) == Some(&content[..]))
}

/// The first and the last frame of `content` that is not the sound's own.
fn differing(content: &Channels, sound: &Channels, at: usize) -> Option<(usize, usize)> {
    let differs = |frame: &usize| {
        content.iter().zip(sound).any(|(content, sound)| content[*frame] != sound[at + frame])
    };
    let count = wave::frames(content);
    (0..count).find(differs).zip((0..count).rev().find(differs))
}

/// How much each channel is off at its worst sample.
fn worst_of(content: &Channels, sound: &Channels, at: usize) -> Vec<f64> {
    let worst = |(content, sound): (&Vec<f64>, &Vec<f64>)| {
        let pairs = content.iter().zip(&sound[at..]);
        pairs.fold(0.0, |worst: f64, (content, sound)| worst.max((content - sound).abs()))
    };
    content.iter().zip(sound).map(worst).collect()
}

/// Whether a place is one where what happens can be told: the sound is not silent around it, and another
/// place nearby would not give the same samples.
pub fn is_good(sound: &Channels, at: usize, around: usize) -> bool {
    let range = at.saturating_sub(around)..(at + around).min(wave::frames(sound));
    let near = range.start.max(at.saturating_sub(32))..range.end.min(at + 32);
    sound.iter().any(|channel| {
        let whole = wave::rms(channel);
        let changes = channel[near.clone()].windows(2).filter(|pair| pair[0] != pair[1]).count();
        wave::rms(&channel[range.clone()]) > whole * 0.4
            && wave::rms(&channel[near.clone()]) > whole * 0.1
            && changes > near.len() / 3
    })
}

/// In how many frames `count` frames could be lost with the same result as at this place.
pub fn ambiguity(sound: &Channels, at: usize, count: usize) -> usize {
    let alike = |frame: usize| sound.iter().all(|channel| channel.get(frame) == channel.get(frame + count));
    let before = (0..at).rev().take(100).take_while(|frame| alike(*frame)).count();
    let after = (at..).take(100).take_while(|frame| alike(*frame)).count();
    before + after
}
