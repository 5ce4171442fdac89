//! What may be between two sounds when time does not wait (DATASHEET 5.4): packets that came too late were silent for as long, packets that were
//! taken too late were lost. Take that away, and the rest must be the same to the bit.
//!
//! Pure: frames in, an account out. Silence begins at the start of a packet, for there the card decides first.

use std::ops::RangeInclusive;

use serde::Serialize;

/// What may stand between the two sounds, and how much of it the card has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Allowed {
    /// Nothing.
    #[default]
    Nothing,
    /// Silence in the second sound, in place of packets of the first or between them, and in place of the beginning of packets.
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
    /// Silence before and after, and of any length between two packets of the first: a loopback, which goes on while a player waits.
    Around {
        /// Frames of a packet, at least 1.
        packet: u64,
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
}

impl Gaps {
    /// One more stretch, at a place of its own or behind the one before.
    fn add(&mut self, frames: u64, new: bool) {
        self.gaps += u64::from(new);
        self.frames += frames;
    }
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// The same but for these; so many frames may have been counted. Silence in place of silence can't be seen.
    Gaps(Gaps, RangeInclusive<u64>),
    /// From this frame of the first and this of the second on they are not the same, whatever is taken away.
    Different(u64, u64),
    /// All is the same, but the second ends before the first.
    Short,
}

/// The frames of a sound.
#[derive(Clone, Copy, Default)]
pub(super) struct Frames<'a> {
    bytes: &'a [u8],
    size: usize,
}

impl<'a> Frames<'a> {
    /// Frames of `size` bytes.
    pub(super) fn new(bytes: &'a [u8], size: usize) -> Self {
        Self { bytes, size: size.max(1) }
    }

    fn len(self) -> u64 {
        (self.bytes.len() / self.size) as u64
    }

    /// Up to `count` frames from `start` on; fewer at the end.
    fn part(self, start: u64, count: u64) -> Self {
        let end = start.saturating_add(count).min(self.len());
        let at = |frame: u64| usize::try_from(frame).unwrap_or(usize::MAX).saturating_mul(self.size);
        Self { bytes: self.bytes.get(at(start)..at(end)).unwrap_or_default(), size: self.size }
    }

    fn is_silent(self) -> bool {
        self.bytes.iter().all(|byte| *byte == 0)
    }

    fn is(self, other: Self) -> bool {
        self.bytes == other.bytes
    }

    /// If this is `other` but for silence at its beginning, how many frames of it; `None` if it is not, or if nothing else is left.
    fn silent_instead(self, other: Self) -> Option<u64> {
        let pairs = self.bytes.chunks(self.size).zip(other.bytes.chunks(self.size));
        let differs = pairs.enumerate().rfind(|(_, (a, b))| a != b);
        let silent = differs.map_or(0, |(frame, _)| frame as u64 + 1);
        let whole = self.bytes.len() == other.bytes.len();
        (whole && silent < self.len() && self.part(0, silent).is_silent()).then_some(silent)
    }

    /// Silent frames at the beginning.
    fn silent_frames(self) -> u64 {
        let loud = self.bytes.iter().position(|byte| *byte != 0).unwrap_or(self.bytes.len());
        (loud / self.size) as u64
    }
}

/// Looks for `allowed` between `sent` and `heard`.
pub(super) fn find(sent: Frames<'_>, heard: Frames<'_>, allowed: Allowed) -> Found {
    match allowed {
        Allowed::Nothing => same(sent, heard),
        Allowed::Silence { packet, .. } => late(sent, heard, packet.max(1)),
        Allowed::Lost { packet, .. } => missing(sent, heard, packet.max(1)),
        Allowed::Around { packet } => around(sent, heard, packet.max(1)),
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

/// Silence for packets that are late, whole or up to where their mark was seen (DATASHEET 5.4). What a silent packet held may be played later, or
/// it is lost: a client that does not know that it was late goes on with the next. No more is lost than there is silence for. A packet of
/// which only the rest was heard may come again, whole.
fn late(sent: Frames<'_>, heard: Frames<'_>, packet: u64) -> Found {
    let mut late = Late { sent, packet, ..Late::default() };
    let mut at = 0;
    while at < heard.len() {
        let part = heard.part(at, packet);
        if let Some(place) = late.place(heard, at) {
            at += late.take(place, heard, at);
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
    late.end()
}

/// Where in the first sound a packet of the second comes from.
#[derive(Clone, Copy, Debug)]
struct Place {
    /// First frame.
    from: u64,
    /// So many of its frames are silence instead.
    silent: u64,
}

/// How far [`late()`] has come.
#[derive(Clone, Copy, Default)]
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
    /// The packet before, if only its rest was heard.
    partial: Option<Place>,
}

impl Late<'_> {
    /// Where what is heard at `at` comes from; `None` if from nowhere. Silence is only what would come next anyway.
    fn place(&self, heard: Frames<'_>, at: u64) -> Option<Place> {
        let part = heard.part(at, self.packet);
        let exact = |from: u64| {
            let wanted = self.sent.part(from, self.packet);
            let goes_on = !wanted.bytes.is_empty() && heard.part(at, wanted.len()).is(wanted);
            goes_on.then_some(Place { from, silent: 0 })
        };
        if part.is_silent() {
            return exact(self.from);
        }
        let again = || self.partial.map(|partial| partial.from);
        let cut = |from: u64| {
            let wanted = self.sent.part(from, self.packet);
            let silent = heard.part(at, wanted.len()).silent_instead(wanted)?;
            Some(Place { from, silent })
        };
        let either =
            |way: &dyn Fn(u64) -> Option<Place>| self.ways().find_map(way).or_else(|| again().and_then(way));
        either(&exact).or_else(|| either(&cut))
    }

    /// Where it may go on: with the next frame, or behind packets for which there was silence.
    fn ways(&self) -> impl DoubleEndedIterator<Item = u64> + use<> {
        let (from, packet) = (self.from, self.packet);
        (0..=self.gap / packet).map(move |packets| from + packets * packet)
    }

    /// A packet comes from there. Gives how many frames it has.
    fn take(&mut self, place: Place, heard: Frames<'_>, at: u64) -> u64 {
        let played = self.sent.part(place.from, self.packet);
        let part = heard.part(at, played.len());
        if let Some(before) =
            self.partial.filter(|before| before.from == place.from && place.from < self.from)
        {
            // It was heard in part, and comes again.
            self.lost = self.lost.saturating_sub(before.silent);
            self.from = place.from;
        } else if place.silent == 0 && !part.is_silent() {
            // What else goes on from there.
            let alike = self.ways().rfind(|from| self.sent.part(*from, self.packet).is(part));
            self.alike += alike.map_or(0, |most| most.saturating_sub(place.from));
        }
        let skipped = place.from.saturating_sub(self.from);
        self.lost += skipped + place.silent;
        self.lost_silence += silent_packets(self.sent.part(self.from, skipped), self.packet);
        if place.silent > 0 {
            self.gaps.add(place.silent, self.gap == 0);
            self.unseen += played.part(place.silent, self.packet).silent_frames();
        } else if played.is_silent() {
            self.unseen += played.len();
        }
        self.partial = Some(place).filter(|place| place.silent > 0);
        self.from = place.from + played.len();
        self.gap = 0;
        played.len()
    }

    /// A packet, or what is heard of it, is silence.
    fn silent(&mut self, frames: u64) {
        self.gaps.add(frames, self.gap == 0);
        self.gap += frames;
        self.partial = None;
    }

    /// Everything was heard.
    fn end(mut self) -> Found {
        // The last ones may be lost too, if the silence for them is the end; and where packets are alike, it does not show before the end that one was.
        // Else what is missing was not late: it was cut off.
        let rest = self.sent.part(self.from, u64::MAX);
        if rest.len() > self.gap.saturating_add(self.alike).next_multiple_of(self.packet) {
            return Found::Short;
        }
        self.lost_silence += silent_packets(rest, self.packet);
        self.gaps.lost = self.lost + rest.len();
        let frames = self.gaps.frames;
        Found::Gaps(self.gaps, frames.saturating_sub(self.lost_silence)..=frames + self.unseen)
    }
}

/// Frames of the packets that are silent.
fn silent_packets(of: Frames<'_>, packet: u64) -> u64 {
    let parts = (0..of.len().div_ceil(packet)).map(|number| of.part(number * packet, packet));
    parts.filter(|part| part.is_silent()).map(Frames::len).sum()
}

/// Packets of `sent` are not in `heard`; after the end of `sent` there is silence.
fn missing(sent: Frames<'_>, heard: Frames<'_>, packet: u64) -> Found {
    let (mut gaps, mut from, mut at) = (Gaps::default(), 0, 0);
    // Where silence was taken for that after the end: if sound follows, that is where the difference is.
    let mut end = None;
    while at < heard.len() {
        let part = heard.part(at, packet);
        let mut next = from;
        while !begins(sent, next, part) {
            next += packet;
            // Behind the end there is nothing but silence.
            if next >= sent.len() + packet {
                let (from, at) = end.unwrap_or((from, at));
                return Found::Different(from, at);
            }
        }
        if next > from {
            end = end.or((next >= sent.len()).then_some((from, at)));
            gaps.add(next - from, true);
            gaps.lost = gaps.frames;
        }
        from = next + part.len();
        at += part.len();
    }
    // What was lost of the silence after the end can't be seen.
    let most = if from > sent.len() { u64::MAX } else { gaps.frames };
    if from < sent.len() { Found::Short } else { Found::Gaps(gaps, gaps.frames..=most) }
}

/// Whether `sent`, with silence after its end, goes on with `part` at this frame.
fn begins(sent: Frames<'_>, at: u64, part: Frames<'_>) -> bool {
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
