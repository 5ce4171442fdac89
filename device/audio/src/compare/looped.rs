//! What a loopback recorded, beside what was played. The recorder goes on while the player waits, and where
//! its piece was not full there is silence (DATASHEET section 10); a recorder that is late loses whole
//! packets of its own. Take that away, and the rest must be the same to the bit.

use super::gaps::{Found, Frames, Gaps, begins};

/// All of `sent` lies in `heard`, in order, with nothing between but silence. Between two packets of the
/// recorder (`packet` frames each, from the beginning of `heard`) whole ones may be missing, `counted` frames
/// at most; what was lost of the silence around can't be seen.
pub(super) fn looped(sent: Frames<'_>, heard: Frames<'_>, packet: u64, counted: u64) -> Found {
    let mut gaps = Gaps::default();
    let (mut from, mut at) = begin_looped(sent, heard, packet, counted);
    if from > 0 {
        (gaps.gaps, gaps.lost) = (1, from);
    }
    loop {
        let begin = at;
        let same = sent.part(from, u64::MAX).common(heard.part(at, u64::MAX));
        (from, at) = (from + same, at + same);
        if from == sent.len() {
            break;
        }
        let left = counted.saturating_sub(gaps.lost);
        let silence = heard.part(at, u64::MAX).silent_frames();
        // What was lost shows behind the last end of a packet, also where silence was lost of more silence.
        let end = at - at % packet;
        if silence > 0 && heard.part(at + silence, 1).is(sent.part(from, 1)) {
            gaps.add(silence, true);
            at += silence;
        } else if let Some(skipped) = (end >= begin)
            .then(|| lost_at(sent.part(from - (at - end), u64::MAX), heard.part(end, packet), packet, left))
            .flatten()
        {
            gaps.gaps += 1;
            gaps.lost += skipped;
            (from, at) = (from - (at - end) + skipped, end);
        } else if at + silence < heard.len() {
            return Found::Different(from, at);
        } else if sent.len() - from <= left {
            gaps.gaps += 1;
            gaps.lost += sent.len() - from;
            break;
        } else {
            return Found::Short;
        }
    }
    let silence = heard.part(at, u64::MAX).silent_frames();
    if at + silence < heard.len() {
        return Found::Different(from, at + silence);
    }
    Found::Gaps(gaps, 0..=u64::MAX)
}

/// Where both begin: with the first sound. If the beginning was lost, with the packet that is there.
fn begin_looped(sent: Frames<'_>, heard: Frames<'_>, packet: u64, counted: u64) -> (u64, u64) {
    let (before, own) = (heard.silent_frames(), sent.silent_frames());
    let whole = (0, before.saturating_sub(own));
    let first = heard.part(before, packet - before % packet);
    if first.len() == 0 || before < own || first.common(sent.part(own, first.len())) == first.len() {
        return whole;
    }
    let begin = first.part(0, 1);
    let is_there = |from: &u64| {
        sent.part(*from, 1).is(begin) && sent.part(*from, first.len()).common(first) == first.len()
    };
    let last = own.saturating_add(counted).min(sent.len());
    (before % packet == 0).then(|| (own..last).find(is_there)).flatten().map_or(whole, |from| (from, before))
}

/// How many frames, whole packets and `most` at most, are missing before `heard`, if `sent` goes on with it
/// behind them.
fn lost_at(sent: Frames<'_>, heard: Frames<'_>, packet: u64, most: u64) -> Option<u64> {
    let skipped = (1..=most / packet).map(|packets| packets.saturating_mul(packet));
    let skipped = skipped.take_while(|skipped| *skipped < sent.len());
    let goes_on = |skipped: &u64| begins(sent, *skipped, heard);
    skipped.into_iter().find(goes_on)
}
