//! What may be between two sounds when time does not wait (DATASHEET 5.4): packets that came too late were
//! silent for as long, packets that were taken too late were lost. Take that away, and the rest must be the
//! same to the bit.
//!
//! Pure: frames in, an account out. Silence begins at the start of a packet, for there the card decides
//! first.

use std::ops::RangeInclusive;

use serde::Serialize;

use super::looped::looped;
use crate::wav::Samples;

/// What may stand between the two sounds, and how much of it the card has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Allowed {
    /// Nothing.
    #[default]
    Nothing,
    /// Silence in the second sound, in place of packets of the first or between them, and in place of the
    /// beginning of packets.
    Silence {
        /// Frames of a packet, at least 1.
        packet: u64,
        /// Frames of silence that were counted.
        counted: u64,
    },
    /// Whole packets of the first sound that are not in the second.
    Lost {
        /// Frames of a packet, at least 1.
        packet: u64,
        /// Frames that were counted as lost.
        counted: u64,
    },
    /// Silence before and after, and of any length between two packets of the first: a loopback, which goes
    /// on while a player waits.
    Around {
        /// Frames of a packet, at least 1.
        packet: u64,
    },
    /// Silence before, after and anywhere between: a loopback, which goes on while a player waits. And whole
    /// packets of the recorder are not in the second sound.
    Loopback {
        /// Frames of a packet of the recorder, at least 1.
        packet: u64,
        /// Frames that it has counted as lost, at most.
        lost: u64,
    },
}

/// What stands between two sounds that are the same otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Gaps {
    /// Places.
    pub gaps: u64,
    /// Frames in all of them.
    pub frames: u64,
    /// Frames of the first sound that are not in the second.
    pub lost: u64,
    /// Frames of the first sound that are in the second once more: its client was told that they came too
    /// late, and played them again. Silence that was sent may be among them.
    pub again: u64,
}

impl Gaps {
    /// One more stretch, at a place of its own or behind the one before.
    pub(super) fn add(&mut self, frames: u64, new: bool) {
        self.gaps += u64::from(new);
        self.frames += frames;
    }
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// The same but for these; so many frames may have been counted. Silence in place of silence can't be
    /// seen.
    Gaps(Gaps, RangeInclusive<u64>),
    /// From this frame of the first and this of the second on they are not the same, whatever is taken away.
    Different(u64, u64),
    /// All is the same, but the second ends before the first.
    Short,
}

/// Bytes that are looked at at once.
const BLOCK_BYTES: u64 = 16 << 10;

/// Frames of a sound, read when they are looked at, a block at a time.
#[derive(Clone, Copy)]
pub(super) struct Frames<'a> {
    samples: &'a Samples<'a>,
    start: u64,
    end: u64,
    /// Bytes of a frame.
    size: u64,
}

impl<'a> Frames<'a> {
    /// All of a sound.
    pub(super) fn new(samples: &'a Samples<'a>) -> Self {
        let size = u64::from(samples.format().frame_bytes()).max(1);
        Self { samples, start: 0, end: samples.len(), size }
    }

    pub(super) fn len(self) -> u64 {
        self.end - self.start
    }

    /// Up to `count` frames from `start` on; fewer at the end.
    pub(super) fn part(self, start: u64, count: u64) -> Self {
        let start = self.start.saturating_add(start).min(self.end);
        Self { start, end: start.saturating_add(count).min(self.end), ..self }
    }

    /// The same in blocks that may be in memory, one after the other.
    pub(super) fn blocks(self) -> impl Iterator<Item = Self> + use<'a> {
        let frames = (BLOCK_BYTES / self.size).max(1);
        (0..self.len().div_ceil(frames)).map(move |number| self.part(number * frames, frames))
    }

    /// Of a block.
    pub(super) fn bytes(self) -> Vec<u8> {
        let mut bytes = vec![0; usize::try_from(self.len().saturating_mul(self.size)).unwrap_or(0)];
        self.samples.read(self.start.saturating_mul(self.size), &mut bytes);
        bytes
    }

    pub(super) fn is_silent(self) -> bool {
        self.blocks().all(|block| self.samples.format().sample.is_silence(&block.bytes()))
    }

    pub(super) fn is(self, other: Self) -> bool {
        self.len() == other.len() && self.blocks().zip(other.blocks()).all(|(a, b)| a.bytes() == b.bytes())
    }

    /// How many frames both begin with alike.
    pub(super) fn common(self, other: Self) -> u64 {
        let size = usize::try_from(self.size).unwrap_or(usize::MAX);
        let mut same = 0;
        for (a, b) in self.blocks().zip(other.blocks()) {
            let (one, other) = (a.bytes(), b.bytes());
            if one != other {
                let pairs = one.chunks_exact(size).zip(other.chunks_exact(size));
                return same + pairs.take_while(|(a, b)| a == b).count() as u64;
            }
            same += a.len();
        }
        same
    }

    /// If this is `other` but for silence at its beginning, how many frames of it; `None` if it is not, or if
    /// nothing else is left.
    fn silent_instead(self, other: Self) -> Option<u64> {
        if self.len() != other.len() {
            return None;
        }
        let (size, mut silent, mut before) = (usize::try_from(self.size).ok()?, 0, 0);
        for (a, b) in self.blocks().zip(other.blocks()) {
            let (one, other) = (a.bytes(), b.bytes());
            if one != other {
                let pairs = one.chunks(size).zip(other.chunks(size));
                let differs = pairs.enumerate().rfind(|(_, (a, b))| a != b);
                silent = before + differs.map_or(0, |(frame, _)| frame as u64 + 1);
            }
            before += a.len();
        }
        (silent < self.len() && self.part(0, silent).is_silent()).then_some(silent)
    }

    /// Silent frames at the beginning.
    pub(super) fn silent_frames(self) -> u64 {
        let sample = self.samples.format().sample;
        let mut frames = 0;
        for block in self.blocks() {
            let bytes = block.bytes();
            if !sample.is_silence(&bytes) {
                let loud = bytes.iter().position(|byte| *byte != sample.silence()).unwrap_or(bytes.len());
                return frames + loud as u64 / self.size;
            }
            frames += block.len();
        }
        frames
    }
}

/// Looks for `allowed` between `sent` and `heard`.
pub(super) fn find(sent: Frames<'_>, heard: Frames<'_>, allowed: Allowed) -> Found {
    match allowed {
        Allowed::Nothing => same(sent, heard),
        Allowed::Silence { packet, .. } => late(sent, heard, packet.max(1)),
        Allowed::Lost { packet, counted } => missing(sent, heard, packet.max(1), counted),
        Allowed::Around { packet } => around(sent, heard, packet.max(1)),
        Allowed::Loopback { packet, lost } => looped(sent, heard, packet.max(1), lost),
    }
}

fn same(sent: Frames<'_>, heard: Frames<'_>) -> Found {
    if heard.is(sent) {
        Found::Gaps(Gaps::default(), 0..=0)
    } else if heard.is(sent.part(0, heard.len())) {
        Found::Short
    } else {
        Found::Different(0, 0)
    }
}

/// Silence for packets that are late, whole or up to where their mark was seen (DATASHEET 5.4). What a silent
/// packet held may be played later, or it is lost: a client that does not know that it was late goes on with
/// the next. No more is lost than there is silence for. Of a packet of which only the rest was
/// heard the client may have been told that it came too late: it goes on from there again, or from what was
/// silent before it, also behind more silence, for it may be late again.
fn late(sent: Frames<'_>, heard: Frames<'_>, packet: u64) -> Found {
    let mut late = Late::new(sent, packet);
    let mut at = 0;
    while at < heard.len() {
        let part = heard.part(at, packet);
        if let Some(found) = late.find_match(heard, at) {
            at += late.take(found, heard, at);
        } else if part.is_silent() {
            late.silent(part.len());
            at += part.len();
        } else {
            let wanted = sent.part(late.from, packet);
            let cut = at + part.len() == heard.len();
            return if cut && part.is(wanted.part(0, part.len())) {
                Found::Short
            } else {
                Found::Different(late.from, at)
            };
        }
    }
    late.end(heard.len())
}

/// Where in the first sound a packet of the second comes from.
#[derive(Clone, Copy, Debug)]
struct PacketMatch {
    /// First frame.
    from: u64,
    /// So many of its frames are silence instead.
    silent: u64,
}

/// How far [`late()`] has come.
#[derive(Clone, Copy)]
struct Late<'a> {
    sent: Frames<'a>,
    packet: u64,
    gaps: Gaps,
    /// The next frame of the first sound.
    from: u64,
    /// Frames of silence that may stand for something lost.
    gap: u64,
    lost: u64,
    /// Frames of silence that was sent, and can't be told from that of a gap.
    unseen: u64,
    lost_silence: u64,
    /// Frames that may have been lost although what follows is there, because it is like what follows them.
    alike: u64,
    /// Of the packet that was heard last, if only its rest was heard.
    partial: Option<Partial>,
}

/// What goes back to before a packet of which only the rest was heard.
#[derive(Clone, Copy, Debug)]
struct Partial {
    /// The first frame of the packet.
    from: u64,
    /// [`Late`]'s account before it.
    next: u64,
    lost: u64,
    lost_silence: u64,
}

impl<'a> Late<'a> {
    fn new(sent: Frames<'a>, packet: u64) -> Self {
        let (gaps, partial) = (Gaps::default(), None);
        Self { sent, packet, gaps, from: 0, gap: 0, lost: 0, unseen: 0, lost_silence: 0, alike: 0, partial }
    }

    /// Where what is heard at `at` comes from; `None` if from nowhere. Silence is only what would come next
    /// anyway.
    fn find_match(&self, heard: Frames<'_>, at: u64) -> Option<PacketMatch> {
        let part = heard.part(at, self.packet);
        let exact = |from: u64| {
            let wanted = self.sent.part(from, self.packet);
            let goes_on = wanted.len() > 0 && heard.part(at, wanted.len()).is(wanted);
            // A short silent packet at the end is like the silence that any late packet begins with.
            let seen = from == self.from || !wanted.is_silent();
            (goes_on && seen).then_some(PacketMatch { from, silent: 0 })
        };
        if part.is_silent() {
            // A short end is not there yet where a whole packet is silent and one may come again.
            let end = self.sent.part(self.from, self.packet).len() < part.len();
            return if end && self.partial.is_some() { None } else { exact(self.from) };
        }
        let cut = |from: u64| {
            let wanted = self.sent.part(from, self.packet);
            let silent = heard.part(at, wanted.len()).silent_instead(wanted)?;
            Some(PacketMatch { from, silent })
        };
        let either = |test: &dyn Fn(u64) -> Option<PacketMatch>| {
            self.candidates().find_map(test).or_else(|| self.again().rev().find_map(test))
        };
        either(&exact).or_else(|| either(&cut))
    }

    /// Where it may go on: with the next frame, or behind packets for which there was silence.
    fn candidates(&self) -> impl DoubleEndedIterator<Item = u64> + use<> {
        let (from, packet) = (self.from, self.packet);
        (0..=self.gap / packet).map(move |packets| from.saturating_add(packets.saturating_mul(packet)))
    }

    /// Where it may go on once more, behind a packet of which only the rest was heard.
    fn again(&self) -> impl DoubleEndedIterator<Item = u64> + use<> {
        let (next, packet) = (self.partial.map_or(0, |partial| partial.next), self.packet);
        let packets = self.partial.map_or(0, |partial| partial.from.saturating_sub(next) / packet + 1);
        (0..packets).map(move |packets| next.saturating_add(packets.saturating_mul(packet)))
    }

    /// A packet comes from there. Gives how many frames it has.
    fn take(&mut self, found: PacketMatch, heard: Frames<'_>, at: u64) -> u64 {
        let played = self.sent.part(found.from, self.packet);
        let part = heard.part(at, played.len());
        if let Some(before) = self.partial.filter(|_| found.from < self.from) {
            // It comes again.
            (self.from, self.lost, self.lost_silence) = (before.next, before.lost, before.lost_silence);
        } else if found.silent == 0 && !part.is_silent() {
            // What else goes on from there.
            let alike = self.candidates().rfind(|from| self.sent.part(*from, self.packet).is(part));
            self.alike += alike.map_or(0, |most| most.saturating_sub(found.from));
        }
        let skipped = found.from.saturating_sub(self.from);
        let before =
            Partial { from: found.from, next: self.from, lost: self.lost, lost_silence: self.lost_silence };
        self.lost += skipped + found.silent;
        self.lost_silence += silent_packets(self.sent.part(self.from, skipped), self.packet);
        if found.silent > 0 {
            self.gaps.add(found.silent, self.gap == 0);
            self.unseen += played.part(found.silent, self.packet).silent_frames();
        } else if played.is_silent() {
            self.unseen += played.len();
        }
        if found.silent > 0 {
            self.partial = Some(before);
        } else if !played.is_silent() {
            // What is silent may be the silence before it comes again.
            self.partial = None;
        }
        self.from = found.from + played.len();
        self.gap = 0;
        played.len()
    }

    /// A packet, or what is heard of it, is silence.
    fn silent(&mut self, frames: u64) {
        self.gaps.add(frames, self.gap == 0);
        self.gap += frames;
    }

    /// Everything was heard, so many frames.
    fn end(mut self, heard: u64) -> Found {
        // The last ones may be lost too, if the silence for them is the end; and where packets are alike, it
        // does not show before the end that one was. Else what is missing was not late: it was cut off.
        let rest = self.sent.part(self.from, u64::MAX);
        if rest.len() > in_packets(self.gap.saturating_add(self.alike), self.packet) {
            return Found::Short;
        }
        self.lost_silence += silent_packets(rest, self.packet);
        self.gaps.lost = self.lost + rest.len();
        let frames = self.gaps.frames;
        let once = self.sent.len().saturating_sub(self.gaps.lost).saturating_add(frames);
        self.gaps.again = heard.saturating_sub(once);
        Found::Gaps(self.gaps, frames.saturating_sub(self.lost_silence)..=frames + self.unseen)
    }
}

/// So many frames and the rest of their last packet.
fn in_packets(frames: u64, packet: u64) -> u64 {
    frames.checked_next_multiple_of(packet).unwrap_or(u64::MAX)
}

/// Frames of the packets that are silent.
fn silent_packets(of: Frames<'_>, packet: u64) -> u64 {
    let parts = (0..of.len().div_ceil(packet)).map(|number| of.part(number * packet, packet));
    parts.filter(|part| part.is_silent()).map(Frames::len).sum()
}

/// Packets of `sent` are not in `heard`; after the end of `sent` there is silence. The last packets may be
/// lost too, with nothing behind them: where `heard` ends with a packet, and more frames were counted than
/// are missing before.
fn missing(sent: Frames<'_>, heard: Frames<'_>, packet: u64, counted: u64) -> Found {
    let (mut gaps, mut from, mut at) = (Gaps::default(), 0, 0);
    // Where silence was taken for that after the end: if sound follows, that is where the difference is.
    let mut end = None;
    while at < heard.len() {
        let part = heard.part(at, packet);
        let mut next = from;
        while !begins(sent, next, part) {
            next = next.saturating_add(packet);
            // Behind the end there is nothing but silence.
            if next >= sent.len().saturating_add(packet) {
                let (from, at) = end.unwrap_or((from, at));
                return Found::Different(from, at);
            }
        }
        if next > from {
            end = end.or((next >= sent.len()).then_some((from, at)));
            gaps.add(next - from, true);
            gaps.lost = gaps.frames;
        }
        from = next.saturating_add(part.len());
        at += part.len();
    }
    if from < sent.len() {
        if from % packet != 0 || counted <= gaps.frames {
            return Found::Short;
        }
        // The card counts whole packets, a program may count what it has sent in the last one.
        let rest = sent.len() - from;
        let least = gaps.frames + rest;
        gaps.add(in_packets(rest, packet), true);
        gaps.lost += rest;
        return Found::Gaps(gaps, least..=gaps.frames);
    }
    // What was lost of the silence after the end can't be seen.
    let most = if from > sent.len() { u64::MAX } else { gaps.frames };
    Found::Gaps(gaps, gaps.frames..=most)
}

/// Whether `sent`, with silence after its end, goes on with `part` at this frame.
pub(super) fn begins(sent: Frames<'_>, at: u64, part: Frames<'_>) -> bool {
    let wanted = sent.part(at, part.len());
    part.part(0, wanted.len()).is(wanted) && part.part(wanted.len(), part.len()).is_silent()
}

/// All of `sent` lies in `heard`, in one piece or with silence between its packets.
fn around(sent: Frames<'_>, heard: Frames<'_>, packet: u64) -> Found {
    let mut gaps = Gaps::default();
    let (mut from, mut at) = (0, heard.silent_frames().saturating_sub(sent.silent_frames()));
    while from < sent.len() {
        let wanted = sent.part(from, packet);
        if !heard.part(at, wanted.len()).is(wanted) {
            let silence = heard.part(at, u64::MAX).silent_frames();
            let more = silence.saturating_sub(wanted.silent_frames());
            if at + silence >= heard.len() {
                return Found::Short;
            }
            if more == 0 || !heard.part(at + more, wanted.len()).is(wanted) {
                return Found::Different(from, at + more);
            }
            gaps.add(more, true);
            at += more;
        }
        from += wanted.len();
        at += wanted.len();
    }
    if !heard.part(at, u64::MAX).is_silent() {
        return Found::Different(from, at + heard.part(at, u64::MAX).silent_frames());
    }
    Found::Gaps(gaps, gaps.frames..=gaps.frames)
}
