//! What a guest sees of one stream, over time: the status page and the registers tell the same, the position
//! is in range and never goes back, and what was heard is as long as the way that the position went.
//! DATASHEET 5.2 to 5.5 and 7.2.

use ringwave_regs::pages::status::{
    self, FLAG_ENDED, FLAG_LOCKSTEP, FLAG_STALLED, FLAG_UNPLUGGED, FLAG_WRITTEN,
};
use ringwave_regs::{format, global, pages, stream as regs};

use crate::bench::{Bench, Sound};

/// One stream.
#[derive(Debug)]
pub struct Watch {
    stream: u32,
    /// It captures: what it does is in guest memory, and not heard.
    capture: bool,
    /// The position that was seen last; `None` after something that may set it back.
    position: Option<u64>,
    /// The position when it was last frozen, and frames heard since.
    frozen: Option<u64>,
    heard: u64,
    /// Frames of silence since reset.
    silence: u64,
    frame_bytes: u64,
    resets: u32,
}

impl Watch {
    /// Stream number `stream` after reset.
    pub fn new(stream: u32, capture: bool) -> Self {
        Self {
            stream,
            capture,
            position: None,
            frozen: None,
            heard: 0,
            silence: 0,
            frame_bytes: 4,
            resets: 0,
        }
    }

    /// What comes may be STOP, or a RUN that takes START.
    pub fn may_jump(&mut self) {
        self.position = None;
        self.frozen = None;
    }

    /// After each call: what was heard in it.
    pub fn hear(&mut self, bench: &Bench) {
        for (_, sound) in bench.sounds.iter().filter(|(stream, _)| *stream == self.stream) {
            match sound {
                Sound::Frames(bytes) => {
                    assert!(
                        !bytes.is_empty() && (bytes.len() as u64).is_multiple_of(self.frame_bytes),
                        "whole frames"
                    );
                    self.heard += bytes.len() as u64 / self.frame_bytes;
                }
                Sound::Silence(frames) => {
                    self.heard += frames;
                    self.silence += frames;
                }
                Sound::Stop => {}
            }
        }
        if bench.bar.u32(pages::CLOCK_PAGE + pages::clock::RESETS) != self.resets {
            self.resets = bench.bar.u32(pages::CLOCK_PAGE + pages::clock::RESETS);
            self.silence = 0;
            self.may_jump();
        }
    }

    /// Looks at everything, without letting time pass.
    pub fn check(&mut self, bench: &mut Bench) {
        let base = pages::status_page(self.stream).expect("a stream");
        let page = |bench: &Bench, field| bench.bar.u32(base + field);
        assert_eq!(page(bench, status::SEQ) % 2, 0);
        let (rate, flags, state) =
            (page(bench, status::RATE_NUM), page(bench, status::FLAGS), page(bench, status::STATE));
        // The host's pace is a matter of realtime, and of no more than a thousandth.
        let den = page(bench, status::RATE_DEN);
        let nominal = state == regs::STATE_STOP || flags & FLAG_LOCKSTEP != 0;
        let apart = den.abs_diff(global::CLOCK_HZ_VALUE);
        assert!(apart <= if nominal { 0 } else { global::CLOCK_HZ_VALUE / 1000 }, "RATE_DEN {den}");
        assert_eq!(flags & FLAG_UNPLUGGED == 0, bench.card.jack(self.stream) == Some(true));
        assert_ne!(page(bench, status::MARK_TAG), 0);
        // After a stall that the card's own look ended, it stays 1 until LOOK, the next mark or STOP
        // (DATASHEET 7.4).
        let waiting = page(bench, status::WAITING);
        let may_wait = u32::from(flags & FLAG_LOCKSTEP != 0);
        let least = u32::from(flags & FLAG_STALLED != 0);
        assert!((least..=may_wait).contains(&waiting), "WAITING {waiting}, flags {flags:#x}");
        let runs = state == regs::STATE_RUN && flags & (FLAG_STALLED | FLAG_ENDED) == 0;
        assert_eq!(rate != 0, runs, "state {state}, flags {flags:#x}");
        // Lost packets and failed transfers of a capture stream are no sound.
        assert!(self.capture || bench.bar.u64(base + status::SILENCE_FRAMES) == self.silence);
        let (clock, frame) =
            (bench.bar.u64(base + status::ANCHOR_CLOCK), bench.bar.u64(base + status::ANCHOR_FRAME));
        let ticks = u128::from(bench.now.saturating_sub(clock));
        let position = frame + u64::try_from(ticks * u128::from(rate) / u128::from(den)).expect("in range");
        if let Some(before) = self.position {
            assert!(position >= before, "the position went back from {before} to {position}");
        }
        self.position = Some(position);
        if rate == 0 {
            if let Some(before) = self.frozen.filter(|_| !self.capture) {
                assert_eq!(self.heard, position - before, "frames heard, and the way that the position went");
            }
            (self.frozen, self.heard) = (Some(position), 0);
        }
        if !bench.is_d3hot() {
            self.compare(bench, position, flags);
        }
    }

    /// DATASHEET 5.8: whatever was written, what stands there is a volume.
    fn check_volume(bench: &mut Bench, block: u32) {
        let volumes =
            [regs::VOLUME_0, regs::VOLUME_3, regs::VOLUME_7].map(|register| bench.get(block + register));
        let in_range = |volume: u32| (-96 * 65_536..=0).contains(&volume.cast_signed());
        assert!(volumes.into_iter().all(in_range), "volumes {volumes:x?}");
        assert_eq!(bench.get(block + regs::MUTE) >> 8, 0);
    }

    /// The registers say the same.
    fn compare(&mut self, bench: &mut Bench, position: u64, flags: u32) {
        let base = pages::status_page(self.stream).expect("a stream");
        let block = regs::block(self.stream).expect("a stream");
        let same = [
            (regs::STATE, status::STATE),
            (regs::ERROR, status::ERROR),
            (regs::PACKET_COUNT, status::PACKET_COUNT),
        ];
        for (register, field) in same {
            assert_eq!(bench.get(block + register), bench.bar.u32(base + field), "register {register:#x}");
        }
        let exact = u64::from(bench.get(block + regs::POSITION_LO))
            | u64::from(bench.get(block + regs::POSITION_HI)) << 32;
        // The page's point is a whole tick: at most one frame behind and never ahead.
        assert!(exact == position || exact == position + 1, "register {exact}, page {position}");
        Self::check_volume(bench, block);
        let state = bench.get(block + regs::STATE);
        let format = bench.get(block + regs::FORMAT);
        let sample = format::sample_bytes(format::code(format)).unwrap_or(2);
        self.frame_bytes = u64::from(sample) * u64::from(format::channels(format).max(1));
        if state == regs::STATE_STOP {
            let flags = flags & !FLAG_UNPLUGGED;
            assert_eq!((exact, flags, bench.get(block + regs::PACKET_COUNT)), (0, 0, 0));
            assert_eq!(bench.get(block + regs::WRITTEN) | bench.get(block + regs::EOS), 0);
            return;
        }
        let (ring, packets) = (bench.get(block + regs::RING_BYTES), bench.get(block + regs::PACKETS));
        let packet_frames = u64::from(ring) / u64::from(packets) / self.frame_bytes;
        let field = pages::position_page(self.stream).expect("a stream") + pages::position::RING_OFFSET;
        assert!(bench.bar.u32(field) < ring, "the position page points out of the cyclic buffer");
        let fifo = u64::from(bench.get(block + regs::FIFO_FRAMES));
        let deepest = u64::from(bench.get(block + regs::RATE)) * u64::from(regs::FIFO_MILLIS) / 1000;
        assert_eq!(fifo, packet_frames.min(deepest));
        let packet = (exact / packet_frames) as u32;
        if flags & FLAG_ENDED == 0 {
            assert_eq!(bench.get(block + regs::PACKET_COUNT), packet, "position {exact}");
        }
        if flags & FLAG_STALLED != 0 {
            assert_eq!(bench.bar.u32(base + status::STALLED_PACKET), packet);
        }
        // Lockstep never plays what was not promised, and never records over what was not taken.
        if flags & FLAG_LOCKSTEP != 0 && bench.bar.u32(base + status::RATE_NUM) != 0 {
            let needs_none = self.capture && exact / packet_frames < u64::from(packets);
            let needed = if self.capture { packet.wrapping_sub(packets) } else { packet };
            let ahead = needed.wrapping_sub(bench.get(block + regs::WRITTEN)).cast_signed();
            let promised = flags & FLAG_WRITTEN != 0 && ahead <= 0;
            assert!(needs_none || promised, "packet {packet} moves and {needed} is not WRITTEN");
        }
    }
}
