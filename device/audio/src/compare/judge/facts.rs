//! What one pass over a sound tells: where it is no silence, its levels, and what is no number.

use super::levels::Levels;

/// Frames that are read at a time.
const BLOCK: usize = 8192;

/// Of one channel.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ChannelFacts {
    pub(super) peak: f64,
    pub(super) squares: f64,
    pub(super) sounds: bool,
}

/// Of a sound.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    pub(super) channels: Vec<ChannelFacts>,
    pub(super) frames: u64,
    /// First and last frame that is no silence.
    first_last: Option<(u64, u64)>,
    /// Samples that are infinite or no numbers.
    pub(super) not_finite: u64,
}

impl Facts {
    /// First and last frame that is no silence.
    pub(super) fn sounding(&self) -> Option<(u64, u64)> {
        self.first_last
    }

    /// Root mean square of all channels together.
    pub(super) fn rms(&self) -> f64 {
        let sum: f64 = self.channels.iter().map(|channel| channel.squares).sum();
        (sum / (self.frames.max(1) as f64 * self.channels.len().max(1) as f64)).sqrt()
    }
}

/// Reads all of it. A level up to `silence` is silence.
pub(super) fn scan(levels: &Levels<'_>, silence: f64, progress: &mut dyn FnMut(f64)) -> Facts {
    let mut facts = Facts {
        channels: vec![ChannelFacts::default(); levels.channels()],
        frames: levels.frames(),
        ..Facts::default()
    };
    let float = levels.format().sample.is_float();
    let mut at = 0;
    while at < levels.frames() {
        let count = (levels.frames() - at).min(BLOCK as u64) as usize;
        let mut block = levels.read_raw(at as i64, count);
        for (channel, block) in facts.channels.iter_mut().zip(&mut block) {
            if float {
                for level in block.iter_mut().filter(|level| !level.is_finite()) {
                    facts.not_finite += 1;
                    *level = 0.0;
                }
            }
            let (mut peak, mut squares) = (0.0_f64, 0.0);
            for level in block.iter() {
                peak = peak.max(level.abs());
                squares += level * level;
            }
            channel.peak = channel.peak.max(peak);
            channel.squares += squares;
            if peak > silence {
                channel.sounds = true;
                let loud = |level: &f64| level.abs() > silence;
                let first = at + block.iter().position(loud).unwrap_or(0) as u64;
                let last = at + block.iter().rposition(loud).unwrap_or(0) as u64;
                let (begin, end) = facts.first_last.unwrap_or((first, last));
                facts.first_last = Some((begin.min(first), end.max(last)));
            }
        }
        at += count as u64;
        progress(at as f64 / levels.frames() as f64);
    }
    facts
}
