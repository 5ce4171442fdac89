//! Judges what `GetPosition` returns while a stream runs: in range, on a frame, never backwards (WAVERT.md
//! 4.6).

use crate::portcls::layout::KsAudioPosition;
use core::fmt;

/// What is wrong with a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// Not below the size of the cyclic buffer.
    OutOfRange(KsAudioPosition),
    /// Not on the first byte of a frame.
    NotOnFrame(KsAudioPosition),
    /// Went back by so many bytes.
    Backwards(u64),
    /// Is further than any clock can have gone: (bytes since RUN, most that can be).
    TooFar(u64, u64),
    /// Is not what was presented before and after it was asked for: (play offset, frames, frames).
    NotPresented(u64, u64, u64),
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfRange(p) => {
                write!(f, "play {} write {} is outside the cyclic buffer", p.play_offset, p.write_offset)
            }
            Self::NotOnFrame(p) => {
                write!(f, "play {} write {} is not on a frame", p.play_offset, p.write_offset)
            }
            Self::TooFar(bytes, most) => {
                write!(f, "the position went {bytes} bytes since RUN, at most {most} can be")
            }
            Self::NotPresented(play, before, after) => {
                write!(f, "play {play} is none of the frames {before} to {after} that were presented")
            }
            Self::Backwards(bytes) => write!(f, "the play position went back by {bytes} bytes"),
        }
    }
}

/// Follows the positions of one run.
#[derive(Clone)]
pub struct PositionChecker {
    size: u64,
    block: u64,
    /// A packet, which a clock may catch up by at once.
    packet: u64,
    /// What the driver's clock may be ahead of the client's by: a packet.
    ahead: u64,
    bytes_per_second: u64,
    last: Option<(u64, u64)>,
    run: Option<u64>,
    travel: Travel,
    /// Time does not tell how often it went round.
    by_presented: bool,
}

/// How far the play position went, over all reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Travel {
    /// Bytes, laps included.
    pub bytes: u64,
    /// Reads were so close together that no lap can have been missed.
    pub complete: bool,
}

impl PositionChecker {
    /// For a cyclic buffer of `size` bytes with frames of `block` bytes at `rate` frames a second.
    pub fn new(size: u64, block: u64, rate: u64) -> Self {
        Self {
            size,
            block,
            packet: size / 2,
            ahead: size / 2,
            bytes_per_second: block * rate,
            last: None,
            run: None,
            travel: Travel { bytes: 0, complete: true },
            by_presented: false,
        }
    }

    /// Packets are not half of the buffer but so many bytes.
    pub fn with_packets_of(self, packet: u64) -> Self {
        Self { packet, ahead: packet, ..self }
    }

    /// The machine's clock may stand still while the card goes on, as with QEMU's `stop`: the card is ahead by
    /// then by all that it had been promised, at most the whole buffer. An offset in the buffer does not tell
    /// that from a step back, so positions are judged with [`check_presented`](Self::check_presented).
    pub fn with_a_clock_that_stops(self) -> Self {
        Self { ahead: self.size, by_presented: true, ..self }
    }

    /// Positions are to be judged with [`check_presented`](Self::check_presented).
    pub fn is_by_presented(&self) -> bool {
        self.by_presented
    }

    /// The stream was at 0 when RUN was called at `run` (100-ns units): from there on the position can't be
    /// ahead of time.
    pub fn since(self, run: u64) -> Self {
        Self { run: Some(run), last: Some((0, run)), ..self }
    }

    /// Bytes of the cyclic buffer.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Of the stream, on the client's clock.
    pub fn bytes_per_second(&self) -> u64 {
        self.bytes_per_second
    }

    /// What holds in every state: in range and on a frame.
    pub fn check_range(&self, position: KsAudioPosition) -> Result<(), Finding> {
        let KsAudioPosition { play_offset: play, write_offset: write } = position;
        if play >= self.size || write >= self.size {
            return Err(Finding::OutOfRange(position));
        }
        if play % self.block != 0 || write % self.block != 0 {
            return Err(Finding::NotOnFrame(position));
        }
        Ok(())
    }

    /// Judges one position, read not before `begun` and not after `done` (100-ns units).
    ///
    /// Positions wrap, so a step back looks like a long step forward. It is called a step back only when it
    /// is more than seven eighths of the buffer and the time since the last read less than an eighth of it:
    /// neither a late read nor a clock that catches up by a packet, half the buffer, is mistaken for one.
    pub fn check(&mut self, position: KsAudioPosition, begun: u64, done: u64) -> Result<(), Finding> {
        self.check_range(position)?;
        let play = position.play_offset;
        let Some((last, then)) = self.last.replace((play, begun)) else { return Ok(()) };
        let forward = (play + self.size - last) % self.size;
        let elapsed = done.saturating_sub(then).saturating_mul(self.bytes_per_second) / 10_000_000;
        // A packet as long as the buffer tells nothing: the clock may catch up by nearly a turn.
        if forward > self.size / 8 * 7 && elapsed < self.size / 8 && self.packet < self.size {
            return Err(Finding::Backwards(self.size - forward));
        }
        self.travel.bytes += forward;
        // Twice the time is allowed for: the driver's clock may be ahead of ours by up to a packet.
        self.travel.complete &= elapsed < self.size / 2;
        self.check_time(done)
    }

    /// Judges one position of a driver that presents a frame when it has played it, by the frames since STOP
    /// that were presented before and after it was read, with `done` (100-ns units) after both.
    pub fn check_presented(
        &mut self,
        position: KsAudioPosition,
        (before, after): (u64, u64),
        done: u64,
    ) -> Result<(), Finding> {
        self.check_range(position)?;
        let (from, to) = (before.saturating_mul(self.block), after.saturating_mul(self.block));
        if from < self.travel.bytes || to < from {
            return Err(Finding::Backwards(self.travel.bytes.max(from).saturating_sub(from.min(to))));
        }
        let bytes = from.saturating_add((position.play_offset + self.size - from % self.size) % self.size);
        if bytes > to {
            return Err(Finding::NotPresented(position.play_offset, before, after));
        }
        self.travel.bytes = bytes;
        self.check_time(done)
    }

    /// What was gone until `done` (100-ns units) is not ahead of time.
    fn check_time(&self, done: u64) -> Result<(), Finding> {
        if let Some(run) = self.run {
            // For a clock that is ahead of ours, and 2 % for one that is faster.
            let time = u128::from(done.saturating_sub(run)) * u128::from(self.bytes_per_second) / 9_800_000;
            let most = u64::try_from(time).unwrap_or(u64::MAX).saturating_add(self.ahead);
            if self.travel.bytes > most {
                return Err(Finding::TooFar(self.travel.bytes, most));
            }
        }
        Ok(())
    }

    /// How far it went.
    pub fn travel(&self) -> Travel {
        self.travel
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(play: u64) -> KsAudioPosition {
        KsAudioPosition { play_offset: play, write_offset: play }
    }

    fn checker() -> PositionChecker {
        // 20 ms of 48 kHz stereo.
        PositionChecker::new(3840, 4, 48_000)
    }

    #[test]
    fn a_steady_position_that_wraps_is_fine() {
        let mut checker = checker();
        // 5 ms between reads.
        for step in 0..20 {
            assert_eq!(checker.check(at(step * 960 % 3840), step * 50_000, step * 50_000), Ok(()));
        }
        assert_eq!(checker.travel(), Travel { bytes: 19 * 960, complete: true });
    }

    #[test]
    fn one_frame_back_is_seen() {
        let mut checker = checker();
        assert_eq!(checker.check(at(960), 0, 0), Ok(()));
        assert_eq!(checker.check(at(956), 10_000, 10_000), Err(Finding::Backwards(4)));
    }

    #[test]
    fn a_late_read_is_no_step_back() {
        let mut checker = checker();
        assert_eq!(checker.check(at(960), 0, 0), Ok(()));
        assert_eq!(checker.check(at(956), 10_000, 200_000), Ok(()));
        assert!(!checker.travel().complete);
    }

    #[test]
    fn a_clock_that_catches_up_by_a_packet_is_no_step_back() {
        let mut checker = checker();
        assert_eq!(checker.check(at(0), 0, 0), Ok(()));
        // A packet of 1920 bytes at once, and what passed in 2.4 ms.
        assert_eq!(checker.check(at(1920 + 460), 0, 24_000), Ok(()));
    }

    #[test]
    fn a_position_ahead_of_time_is_seen() {
        let mut checker = checker().since(1_000_000);
        // A packet at once is let pass, a second one is not.
        assert_eq!(checker.check(at(1920), 1_000_000, 1_000_000), Ok(()));
        assert_eq!(checker.check(at(0), 1_010_000, 1_010_000), Err(Finding::TooFar(3840, 195 + 1920)));
    }

    #[test]
    fn laps_and_steps_back_are_told_by_what_was_presented() {
        let checker = || checker().with_a_clock_that_stops().since(0);
        let mut laps = checker();
        assert_eq!(laps.check_presented(at(960), (240, 240), 50_000), Ok(()));
        // A buffer but 4 bytes at once, as the card plays on while the clock stands still, is no step back.
        assert_eq!(laps.check_presented(at(956), (240, 1199), 60_000), Ok(()));
        assert_eq!(laps.travel(), Travel { bytes: 956 + 3840, complete: true });
        // One step back by 4 bytes is.
        let mut back = checker();
        assert_eq!(back.check_presented(at(960), (240, 240), 50_000), Ok(()));
        assert_eq!(
            back.check_presented(at(956), (240, 250), 60_000),
            Err(Finding::NotPresented(956, 240, 250))
        );
        // So is one of what was presented.
        assert_eq!(back.check_presented(at(956), (239, 250), 60_000), Err(Finding::Backwards(4)));
        assert_eq!(back.check_presented(at(960), (250, 240), 60_000), Err(Finding::Backwards(40)));
        // And ahead of time is ahead of time.
        let far = checker().check_presented(at(480), (1080, 1080), 10_000);
        assert_eq!(far, Err(Finding::TooFar(4320, 195 + 3840)));
    }

    #[test]
    fn with_one_packet_a_buffer_a_clock_may_catch_up_by_a_turn() {
        let mut checker = checker().with_packets_of(3840).since(0);
        assert_eq!(checker.check(at(3836), 0, 0), Ok(()));
        assert_eq!(checker.check(at(3800), 10_000, 10_000), Err(Finding::TooFar(3836 + 3804, 195 + 3840)));
    }

    #[test]
    fn range_and_frame_are_checked_for_both_offsets() {
        assert!(matches!(checker().check(at(3840), 0, 0), Err(Finding::OutOfRange(_))));
        assert!(matches!(checker().check(at(2), 0, 0), Err(Finding::NotOnFrame(_))));
        let ahead = KsAudioPosition { play_offset: 0, write_offset: 3840 };
        assert!(matches!(checker().check(ahead, 0, 0), Err(Finding::OutOfRange(_))));
    }
}
