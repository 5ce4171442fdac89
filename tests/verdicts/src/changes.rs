//! Draws what happens at a place: how long, and with which sound.

use crate::case::Scene;
use crate::judge::By;
use crate::place::{Change, Op};
use crate::sounds::{self, between, count, gaussian};
use crate::wave::{self, Channels};

/// A kind of damage at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Lost,
    Repeated,
    Inserted,
    LostInSilence,
    Replaced,
    Click,
}

impl Kind {
    /// All.
    pub const ALL: [Self; 6] =
        [Self::Lost, Self::Repeated, Self::Inserted, Self::LostInSilence, Self::Replaced, Self::Click];

    /// How many frames it takes. For all but [`Kind::Click`], now and then up to two seconds.
    pub fn size(self, scene: &mut Scene, alone: bool) -> usize {
        let click = click_frames(scene.rate);
        let seconds = 2 * scene.rate as usize;
        let most = match scene.rng.u8(..64) {
            0 => seconds,
            1..8 => seconds.min(12_000),
            _ => 2000,
        };
        match self {
            Self::Click if scene.rng.bool() => 1,
            Self::Click => scene.rng.usize(1..=click),
            // The place of the text, 49 frames, is a millisecond at 48 kHz.
            Self::Replaced => count(&mut scene.rng, if alone { click + 1 } else { 256.max(click + 1) }, most),
            Self::LostInSilence => count(&mut scene.rng, 300, most),
            _ if scene.rng.u8(..4) == 0 => scene.rng.usize(1..4),
            _ => count(&mut scene.rng, 1, most),
        }
    }

    /// It, at this frame of the sound. `alone`: nothing else is damaged.
    pub fn make(
        self,
        scene: &mut Scene,
        sound: &Channels,
        start: usize,
        size: usize,
        alone: bool,
    ) -> Option<Op> {
        let (at, change) = match self {
            Self::Lost => (start, Change::Lost(size)),
            Self::Repeated => (start + size, Change::Repeated(size)),
            Self::Inserted if scene.rng.bool() => {
                (start, Change::Inserted(wave::silence(sound.len(), size), Some(true)))
            }
            Self::Inserted => (start, Change::Inserted(other(scene, sound, start, size), Some(false))),
            Self::LostInSilence => {
                // By 64 frames or more another length.
                let by = scene.rng.usize(64..2000);
                let silence = if scene.rng.bool() { size + by } else { size - by.min(size - 100) };
                (silence != size).then_some((start, Change::LostInSilence { lost: size, silence }))?
            }
            Self::Replaced => {
                let (content, by) = replacement(scene, sound, start, size);
                let frames = trimmed(&content, sound, start)?;
                if frames < size * 3 / 4 || frames <= click_frames(scene.rate) || !alone && frames < 256 {
                    return None;
                }
                (start, Change::Replaced(content, by))
            }
            Self::Click => (start, Change::Click(click(scene, sound, start, size, alone)?)),
        };
        Some(Op { at, change })
    }
}

/// The longest click: 1 ms, or 48 frames.
pub fn click_frames(rate: u32) -> usize {
    (rate as usize / 1000).max(48)
}

fn trimmed(content: &Channels, sound: &Channels, start: usize) -> Option<usize> {
    let differs = |frame: &usize| {
        content.iter().zip(sound).any(|(content, sound)| content[*frame] != sound[start + frame])
    };
    let count = wave::frames(content);
    let (first, last) = (0..count).find(differs).zip((0..count).rev().find(differs))?;
    Some(last + 1 - first)
}

/// Another sound, as loud as this one is here.
fn other(scene: &mut Scene, sound: &Channels, start: usize, size: usize) -> Channels {
    let mut content: Channels = sound
        .iter()
        .map(|channel| {
            let loud =
                wave::rms(&channel[start.saturating_sub(200)..(start + size + 200).min(channel.len())]);
            let loud = loud.max(wave::lsb(scene.heard) * 3.0);
            (0..size).map(|_| (gaussian(&mut scene.rng) * loud).clamp(-0.98, 0.98)).collect()
        })
        .collect();
    wave::quantize(scene.grid, &mut content);
    // Its ends are not silent, so that they belong to it.
    for frame in [0, size - 1] {
        if wave::is_silent(&content, frame, 0.0) {
            content[0][frame] = wave::quantized(scene.grid, 4.0 * wave::lsb(scene.grid));
        }
    }
    content
}

/// What is heard instead, and what a finding has to say of it.
fn replacement(scene: &mut Scene, sound: &Channels, start: usize, size: usize) -> (Channels, Option<By>) {
    match scene.rng.u8(..4) {
        0 => (wave::silence(sound.len(), size), Some(By::Silence)),
        1 => {
            // Sound of up to 2 s before; shorter than the gap: again and again.
            let most = start.min(2 * scene.rate as usize);
            let back = if scene.rng.u8(..4) == 0 || most <= size {
                scene.rng.usize(480.min(most)..=most.min(size.max(480)))
            } else {
                scene.rng.usize(size..=most)
            };
            let one =
                |channel: &Vec<f64>| (0..size).map(|frame| channel[start - back + frame % back]).collect();
            (sound.iter().map(one).collect(), Some(By::Repeat))
        }
        2 if sound.len() > 1 => {
            // In one channel alone. What to call that the text does not say.
            let mut content = wave::part(sound, start..start + size);
            let channel = scene.rng.usize(..sound.len());
            content[channel] = other(scene, sound, start, size).swap_remove(channel);
            (content, None)
        }
        _ => (other(scene, sound, start, size), Some(By::Other)),
    }
}

/// A few wrong samples, in one channel or all; the smallest by 1 LSB.
fn click(scene: &mut Scene, sound: &Channels, start: usize, size: usize, alone: bool) -> Option<Channels> {
    let mut content = wave::part(sound, start..start + size);
    let unit = scene.unit();
    let least = if alone {
        1.0
    } else {
        // 20 dB above what else is wrong, which is at most rounding, or 45 dB below the sound.
        let rest = sound.iter().map(|channel| wave::rms(channel)).fold(0.0, f64::max) * wave::level(-45.0);
        (rest / unit * 12.0).max(6.0)
    };
    let most = (0.3 / unit).max(least * 2.0);
    let worst = sounds::between_log(&mut scene.rng, least, most).floor().max(1.0);
    let everywhere = scene.rng.u8(..4) == 0;
    let channel = scene.rng.usize(..sound.len());
    for (index, samples) in content.iter_mut().enumerate() {
        if !everywhere && index != channel {
            continue;
        }
        for (frame, level) in samples.iter_mut().enumerate() {
            let at_an_end = frame == 0 || frame == size - 1;
            let by = if at_an_end { worst } else { (worst * between(&mut scene.rng, 0.0, 1.0)).ceil() };
            let sign = if *level > 0.0 { -1.0 } else { 1.0 };
            *level = wave::quantized(scene.heard, *level + by * unit * sign);
        }
    }
    let worst_heard = content
        .iter()
        .zip(sound)
        .flat_map(|(content, sound)| content.iter().zip(&sound[start..]))
        .fold(0.0, |worst: f64, (a, b)| worst.max((a - b).abs()));
    let ends_differ = trimmed(&content, sound, start) == Some(size);
    (ends_differ && worst_heard >= least * unit * 0.99).then_some(content)
}
