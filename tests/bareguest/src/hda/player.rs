//! A stream that plays the pattern on a HD Audio card, period by period, as a driver's does: refilled after
//! each interrupt, ended by a period of silence. No register is read but by the service routine, so that QEMU
//! has no message to the card under way while nothing happens (see `scenario/forever.rs`).

use super::codec::Codec;
use super::controller::Controller;
use super::stream::{Format, Layout, Stream};
use crate::machine::interrupts;
use crate::pattern::Pattern;
use crate::verdict::Step;
use crate::{say, wrong};

/// Periods of a buffer.
pub const PERIODS: u32 = 6;
/// Milliseconds that a period takes at most: on a busy host, at a quarter of the speed.
const PATIENCE: u32 = 10_000;
/// Tag of the stream.
const TAG: u32 = 5;

/// What is played: stereo, 16 bits.
#[derive(Clone, Copy)]
pub struct Song {
    /// Of the pattern.
    pub seed: u32,
    /// Frames per second.
    pub rate: u32,
    /// Frames of a period.
    pub period: u32,
    /// Frames in all; `u32::MAX` lasts for a day.
    pub frames: u32,
}

/// A stream, and the sound that goes into it.
pub struct Player {
    /// Its descriptor and buffer.
    pub stream: Stream,
    song: Song,
    pattern: Pattern,
    left: u32,
    filled: u32,
}

impl Player {
    /// Connects the first output of the codec to the last descriptor, and sets that up. The controller's
    /// rings run.
    pub fn new(controller: &mut Controller, codec: &Codec, song: Song) -> Step<Self> {
        let format = Format { rate: song.rate, bits: 16, channels: 2 };
        let (paths, _) = codec.outputs();
        codec.open(controller, &paths[0], format.word(), (TAG, 0))?;
        let index = controller.inputs() + controller.outputs() - 1;
        let stream = Stream::new(controller, (index, TAG), format, (PERIODS, song.period), Layout::Aligned)?;
        controller.enable_positions();
        let mut player = Self { stream, song, pattern: Pattern::new(0), left: 0, filled: 0 };
        player.rewind(controller, song.seed)?;
        Ok(player)
    }

    /// Resets the descriptor, sets it up, and fills the buffer with the begin of the pattern of this seed.
    pub fn rewind(&mut self, controller: &Controller, seed: u32) -> Step {
        (self.pattern, self.left, self.filled) = (Pattern::new(seed), self.song.frames, 0);
        self.stream.reset(controller)?;
        self.stream.prepare(controller)?;
        self.fill_after(0);
        Ok(())
    }

    /// Sets RUN.
    pub fn start(&mut self, controller: &Controller) -> Step {
        Stream::start(controller, &mut [&mut self.stream], 0)
    }

    /// Fills what is free when so many periods are complete. (More than a thousand at once: a clock that was
    /// all ones.)
    fn fill_after(&mut self, done: u32) {
        let done = done.min(self.filled.saturating_add(1000));
        while self.filled < done.saturating_add(PERIODS) {
            self.stream.fill(self.filled, &mut self.pattern, &mut self.left);
            self.filled += 1;
        }
    }

    /// Waits at most so many milliseconds until more than `seen` periods are complete, and refills. Gives how
    /// many are.
    pub fn tend(&mut self, seen: u32, millis: u32) -> u32 {
        let stream = &self.stream;
        interrupts::wait(millis, || stream.periods_done() > seen);
        let done = self.stream.periods_done();
        self.fill_after(done);
        done
    }

    /// Plays until so many periods are complete.
    pub fn play_periods(&mut self, periods: u32) -> Step {
        let mut done = self.stream.periods_done();
        while done < periods {
            let before = done;
            done = self.tend(done, PATIENCE);
            if done == before {
                return Err(wrong!("no period for {PATIENCE} ms: {done} are complete"));
            }
        }
        Ok(())
    }

    /// Plays to the end and a period of silence, and stops.
    pub fn finish(mut self, controller: &Controller) -> Step {
        let Song { seed, rate, period, frames } = self.song;
        self.play_periods(frames.div_ceil(period) + 1)?;
        self.stream.pause(controller)?;
        self.stream.reset(controller)?;
        say!("played seed={seed} frames={frames} rate={rate}");
        Ok(())
    }
}
