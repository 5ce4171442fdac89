//! The judge of gaps, against sounds that are taken apart in a known way.

use super::*;
use crate::{SampleFormat, StreamFormat};
use proptest::prelude::*;

const FORMAT: StreamFormat = StreamFormat { sample: SampleFormat::S16, channels: 2, rate: 48_000 };

fn sound(frames: &[[i16; 2]]) -> Sound {
    let bytes = |frame: &[i16; 2]| frame.map(i16::to_le_bytes).concat();
    Sound { format: FORMAT, frames: frames.iter().flat_map(bytes).collect() }
}

/// Noise of so many frames, of which no stretch repeats, with silence where `silent` says so.
fn noise(frames: usize, silent: impl Fn(usize) -> bool) -> Vec<[i16; 2]> {
    let mut state = 0x2545_F491_u32;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        i16::from_le_bytes([state.to_le_bytes()[1], state.to_le_bytes()[2]]) | 1
    };
    (0..frames).map(|frame| if silent(frame) { [0; 2] } else { [next(), next()] }).collect()
}

/// What becomes of a packet that is late.
#[derive(Clone, Copy, Debug, Default)]
struct Lateness {
    /// So many packets of silence come before it.
    packets: usize,
    /// They are in its place: it is lost.
    lost: bool,
    /// So many thousandths of it are silence.
    cut: usize,
    /// Then it comes again, whole, behind so many packets of silence; with those before it, if silence was in
    /// their place.
    again: Option<usize>,
}

/// What is heard then, and what is between.
fn late(sent: &[[i16; 2]], packet: usize, late: &[Lateness]) -> (Vec<[i16; 2]>, Gaps) {
    let (mut heard, mut found, mut in_gap) = (Vec::new(), Gaps::default(), false);
    // What was lost since a packet was heard.
    let mut unheard = Vec::new();
    for (number, part) in sent.chunks(packet).enumerate() {
        let Lateness { packets, lost, cut, again } = late.get(number).copied().unwrap_or_default();
        if packets > 0 {
            heard.extend(vec![[0; 2]; packets * packet]);
            found.frames += (packets * packet) as u64;
            found.gaps += u64::from(!in_gap);
            in_gap = true;
        }
        if packets > 0 && lost {
            found.lost += part.len() as u64;
            unheard.extend(part);
            continue;
        }
        // Where silence was sent it can't be seen.
        let silent = part.iter().all(|frame| *frame == [0; 2]);
        let cut = if silent { 0 } else { cut * part.len() / 1_000 };
        if cut > 0 {
            found.frames += cut as u64;
            found.gaps += u64::from(!in_gap);
            heard.extend(vec![[0; 2]; cut]);
            heard.extend(&part[cut..]);
            found.lost += if again.is_some() { 0 } else { cut as u64 };
        }
        if let (1.., Some(wait)) = (cut, again) {
            heard.extend(vec![[0; 2]; wait * packet]);
            found.frames += (wait * packet) as u64;
            found.gaps += u64::from(wait > 0);
            heard.extend(&unheard);
            found.lost -= unheard.len() as u64;
            found.again += (part.len() - cut) as u64;
        }
        unheard.clear();
        if cut == 0 || again.is_some() {
            heard.extend(part);
        }
        in_gap = false;
    }
    (heard, found)
}

/// Few packets are late.
fn lateness() -> impl Strategy<Value = Vec<Lateness>> {
    let packets = prop_oneof![8 => Just(0_usize), 1 => 1..3_usize];
    let cut = prop_oneof![8 => Just(0_usize), 1 => 1..1_000_usize];
    let late = (packets, any::<bool>(), cut, prop::option::of(0..3_usize));
    let late = late.prop_map(|(packets, lost, cut, again)| Lateness { packets, lost, cut, again });
    prop::collection::vec(late, 0..60)
}

fn verdict_of(sent: &[[i16; 2]], heard: &[[i16; 2]], allowed: Allowed) -> Verdict {
    compare_sounds(&sound(sent), &sound(heard), allowed).verdict
}

fn silence(packet: usize, counted: usize) -> Allowed {
    Allowed::Silence { packet: packet as u64, counted: counted as u64 }
}

fn lost(packet: usize, counted: usize) -> Allowed {
    Allowed::Lost { packet: packet as u64, counted: counted as u64 }
}

fn looped(packet: u64, lost: u64) -> Allowed {
    Allowed::Loopback { packet, lost }
}

#[test]
fn a_late_packet_before_a_short_silent_end_is_not_taken_for_the_end() {
    let (packet, frames) = (13, 222);
    // Packet 17, the last, is one frame of silence.
    let sent = noise(frames, |frame| frame / packet % 5 == 2);
    let mut lateness = vec![Lateness::default(); 15];
    lateness.push(Lateness { packets: 2, cut: 77, ..Lateness::default() });
    let (heard, found) = late(&sent, packet, &lateness);
    let counted = usize::try_from(found.frames).unwrap();
    let verdict = verdict_of(&sent, &heard, silence(packet, counted));
    assert!(matches!(verdict, Verdict::ExceptSilence(_)), "{verdict:?}");
}

proptest! {
    #[test]
    fn counted_silence_is_taken_away_and_nothing_else(
        packet in 1..40_usize, frames in 1..700_usize, lateness in lateness(),
        flip: prop::sample::Index, hush: bool,
    ) {
        // Music that is itself silent now and then.
        let sent = noise(frames, |frame| hush && frame / packet % 5 == 2);
        let (mut heard, found) = late(&sent, packet, &lateness);
        let counted = usize::try_from(found.frames).unwrap();
        let verdict = verdict_of(&sent, &heard, silence(packet, counted));
        if counted == 0 {
            prop_assert_eq!(verdict, Verdict::BitExact);
        } else if !hush {
            prop_assert_eq!(verdict, Verdict::ExceptSilence(found));
        } else {
            prop_assert!(matches!(verdict, Verdict::ExceptSilence(_) | Verdict::BitExact), "{:?}", verdict);
        }
        // More than was there, or less than is missing.
        let too_many = verdict_of(&sent, &heard, silence(packet, counted + frames + packet));
        prop_assert!(matches!(too_many, Verdict::Miscounted { .. }), "{:?}", too_many);
        if counted > 0 && !hush {
            let too_few = verdict_of(&sent, &heard, silence(packet, counted - 1));
            prop_assert!(matches!(too_few, Verdict::Miscounted { .. }), "{:?}", too_few);
        }
        // One wrong bit is never explained, and its place is named.
        let at = flip.index(heard.len());
        heard[at][1] ^= 2;
        let wrong = verdict_of(&sent, &heard, silence(packet, counted));
        let named = match wrong {
            Verdict::Different(Difference { frame, .. }) => frame <= at as u64,
            // Beyond the end of what was sent.
            other => other == Verdict::LengthsDiffer && at >= frames,
        };
        prop_assert!(named, "{:?}", wrong);
    }

    #[test]
    fn counted_losses_are_taken_away_and_nothing_else(
        packet in 1..40_usize, frames in 1..700_usize, flags in prop::collection::vec(prop::bool::weighted(0.2), 0..60),
        flip: prop::sample::Index,
    ) {
        let sent = noise(frames, |_| false);
        let is_lost = |number: usize| flags.get(number).copied().unwrap_or(false);
        let taken = sent.chunks(packet).enumerate().filter(|(number, _)| !is_lost(*number));
        let mut heard: Vec<_> = taken.flat_map(|(_, part)| part.to_vec()).collect();
        // The last packet is whole: the microphone's silence follows.
        heard.resize(heard.len().next_multiple_of(packet) + 2 * packet, [0; 2]);
        let count = (0..frames.div_ceil(packet)).filter(|number| is_lost(*number)).count();
        let verdict = verdict_of(&sent, &heard, lost(packet, count * packet));
        if count == 0 {
            prop_assert_eq!(verdict, Verdict::BitExact);
        } else {
            let right = matches!(verdict, Verdict::ExceptLost(found) if found.frames == (count * packet) as u64);
            prop_assert!(right, "{:?}", verdict);
            let too_few = verdict_of(&sent, &heard, lost(packet, (count - 1) * packet));
            prop_assert!(matches!(too_few, Verdict::Miscounted { .. }), "{:?}", too_few);
        }
        let at = flip.index(heard.len());
        heard[at][0] ^= 4;
        let wrong = verdict_of(&sent, &heard, lost(packet, count * packet));
        prop_assert!(matches!(wrong, Verdict::Different(_) | Verdict::LengthsDiffer), "{:?}", wrong);
    }

    #[test]
    fn a_loopback_has_silence_around_and_between_packets(
        packet in 1..40_usize, frames in 1..700_usize, before in 0..500_usize, after in 0..500_usize,
        waits in prop::collection::vec(0..30_usize, 0..20), flip: prop::sample::Index, lead in 0..10_usize,
    ) {
        let sent = noise(frames, |frame| frame < lead && frame + 1 < frames);
        let mut heard = vec![[0; 2]; before];
        let mut gaps = Gaps::default();
        for (number, part) in sent.chunks(packet).enumerate() {
            let wait = waits.get(number).copied().filter(|_| number * packet > lead).unwrap_or(0);
            heard.extend(vec![[0; 2]; wait]);
            gaps.frames += wait as u64;
            gaps.gaps += u64::from(wait > 0);
            heard.extend(part);
        }
        let whole = heard.clone();
        heard.extend(vec![[0; 2]; after]);
        let around = Allowed::Around { packet: packet as u64 };
        let wanted = if gaps.gaps == 0 { Verdict::BitExact } else { Verdict::ExceptSilence(gaps) };
        prop_assert_eq!(verdict_of(&sent, &heard, around), wanted);
        let cut = verdict_of(&sent, &whole[..whole.len() - 1], around);
        prop_assert!(!matches!(cut, Verdict::BitExact | Verdict::ExceptSilence(_)), "{:?}", cut);
        let at = flip.index(heard.len());
        heard[at][1] ^= 2;
        let wrong = verdict_of(&sent, &heard, around);
        prop_assert!(matches!(wrong, Verdict::Different(_) | Verdict::LengthsDiffer), "{:?}", wrong);
    }
}

proptest! {
    /// Packets of the recorder that are lost are found at their places, with silence anywhere besides; what
    /// else is wrong is a difference.
    #[test]
    fn a_loopback_is_whole_but_for_the_packets_that_its_recorder_lost(
        frames in 60_usize..400, packet in 8_usize..30, before in 0_usize..60, after in 0_usize..60,
        lost_packets in prop::collection::btree_set(0_usize..20, 0..4), flip: prop::sample::Index,
        wait in 0_usize..9, at: prop::sample::Index,
    ) {
        let sent = noise(frames, |_| false);
        let mut whole = vec![[0; 2]; before];
        whole.extend(&sent);
        whole.extend(vec![[0; 2]; after]);
        let is_lost = |number: usize| lost_packets.contains(&number);
        let kept = whole.chunks(packet).enumerate().filter(|(number, _)| !is_lost(*number));
        let heard: Vec<_> = kept.flat_map(|(_, part)| part.to_vec()).collect();
        // Of what was lost, what was played.
        let played = (before..before + frames).filter(|frame| is_lost(frame / packet)).count() as u64;
        let counted = looped(packet as u64, (lost_packets.len() * packet) as u64);
        let verdict = verdict_of(&sent, &heard, counted);
        match verdict {
            Verdict::BitExact => prop_assert_eq!(played, 0),
            Verdict::ExceptLost(gaps) => prop_assert_eq!(gaps.lost, played),
            other => prop_assert!(false, "{other:?}"),
        }
        if played > 0 {
            let told = verdict_of(&sent, &heard, looped(packet as u64, played - 1));
            prop_assert!(matches!(told, Verdict::Different(_) | Verdict::LengthsDiffer), "{:?}", told);
        }
        // Nothing is lost, and the player waited somewhere.
        let at = before + at.index(frames);
        let mut waited = whole[..at].to_vec();
        waited.extend(vec![[0; 2]; wait]);
        waited.extend(&whole[at..]);
        let gaps = Gaps { gaps: 1, frames: wait as u64, lost: 0, again: 0 };
        let silent = if wait == 0 || at == before { Verdict::BitExact } else { Verdict::ExceptSilence(gaps) };
        prop_assert_eq!(verdict_of(&sent, &waited, looped(packet as u64, 0)), silent);
        let flipped = flip.index(waited.len());
        waited[flipped][1] ^= 2;
        let wrong = verdict_of(&sent, &waited, looped(packet as u64, 0));
        prop_assert!(matches!(wrong, Verdict::Different(_) | Verdict::LengthsDiffer), "{:?}", wrong);
    }
}

#[test]
fn silence_that_does_not_begin_with_a_packet_is_a_difference() {
    let sent = noise(100, |_| false);
    // Half a packet of ten, from its beginning on: it was late by as much.
    let mut half = sent.clone();
    half[20..25].fill([0; 2]);
    let late = Gaps { gaps: 1, frames: 5, lost: 5, again: 0 };
    assert_eq!(verdict_of(&sent, &half, silence(10, 5)), Verdict::ExceptSilence(late));
    assert!(matches!(verdict_of(&sent, &half, silence(10, 4)), Verdict::Miscounted { .. }));
    // And in its middle.
    let mut middle = sent.clone();
    middle[23..28].fill([0; 2]);
    let wrong = verdict_of(&sent, &middle, silence(10, 5));
    assert!(matches!(wrong, Verdict::Different(Difference { frame: 23, .. })), "{wrong:?}");
    // A packet's length that does not begin with one.
    let mut beside = sent.clone();
    beside[25..35].fill([0; 2]);
    assert!(matches!(
        verdict_of(&sent, &beside, silence(10, 10)),
        Verdict::Different(Difference { frame: 25, .. })
    ));
    // Without leave even a whole packet is one.
    let mut whole = sent.clone();
    whole[20..30].fill([0; 2]);
    assert!(matches!(
        verdict_of(&sent, &whole, Allowed::Nothing),
        Verdict::Different(Difference { frame: 20, .. })
    ));
    assert_eq!(
        verdict_of(&sent, &whole, silence(10, 10)),
        Verdict::ExceptSilence(Gaps { gaps: 1, frames: 10, lost: 10, again: 0 })
    );
}

#[test]
fn what_ends_early_is_short_whatever_is_allowed() {
    let sent = noise(100, |_| false);
    for allowed in
        [Allowed::Nothing, silence(10, 0), lost(10, 0), Allowed::Around { packet: 10 }, looped(10, 0)]
    {
        for end in [0, 5, 50, 99] {
            assert_eq!(verdict_of(&sent, &sent[..end], allowed), Verdict::LengthsDiffer, "{allowed:?} {end}");
        }
    }
}

#[test]
fn the_last_packet_may_be_lost_too_and_the_player_may_stop_within_the_silence() {
    let sent = noise(95, |_| false);
    let mut heard = sent[..90].to_vec();
    heard.resize(113, [0; 2]);
    let gaps = Gaps { gaps: 1, frames: 23, lost: 5, again: 0 };
    assert_eq!(verdict_of(&sent, &heard, silence(10, 23)), Verdict::ExceptSilence(gaps));
}

#[test]
fn the_last_packets_may_be_lost_with_nothing_behind_them() {
    let sent = noise(95, |_| false);
    let gaps = |gaps, frames, lost| Verdict::ExceptLost(Gaps { gaps, frames, lost, again: 0 });
    assert_eq!(verdict_of(&sent, &sent[..90], lost(10, 10)), gaps(1, 10, 5), "the last one is not full");
    assert_eq!(verdict_of(&sent, &sent[..70], lost(10, 30)), gaps(1, 30, 25));
    let two = [&sent[..20], &sent[30..80]].concat();
    assert_eq!(verdict_of(&sent, &two, lost(10, 30)), gaps(2, 30, 25), "one in the middle, too");
    for counted in [20, 40] {
        assert!(
            matches!(verdict_of(&sent, &two, lost(10, counted)), Verdict::Miscounted { .. }),
            "{counted}"
        );
    }
    assert_eq!(verdict_of(&sent, &two, lost(10, 10)), Verdict::LengthsDiffer, "the end is cut off");
    assert_eq!(verdict_of(&sent, &sent[..85], lost(10, 10)), Verdict::LengthsDiffer, "within a packet");
}

#[test]
fn an_end_that_is_cut_off_is_no_late_packet() {
    let sent = noise(100, |_| false);
    // Two packets came late and were played later; the last two are not there.
    let mut heard = sent[..40].to_vec();
    heard.resize(60, [0; 2]);
    heard.extend(&sent[40..]);
    let gaps = Gaps { gaps: 1, frames: 20, lost: 0, again: 0 };
    assert_eq!(verdict_of(&sent, &heard, silence(10, 20)), Verdict::ExceptSilence(gaps));
    for end in [119, 110, 105, 100] {
        assert_eq!(verdict_of(&sent, &heard[..end], silence(10, 20)), Verdict::LengthsDiffer, "{end}");
    }
    // Where all packets are alike the first may be the one that was lost.
    let alike = [noise(10, |_| false), noise(10, |_| false)].concat();
    let heard = [vec![[0; 2]; 10], alike[..10].to_vec()].concat();
    let gaps = Gaps { gaps: 1, frames: 10, lost: 10, again: 0 };
    assert_eq!(verdict_of(&alike, &heard, silence(10, 10)), Verdict::ExceptSilence(gaps));
}

#[test]
fn of_no_frames_nothing_is_bit_exact() {
    let nothing = noise(0, |_| false);
    let quiet = noise(30, |_| true);
    for allowed in
        [Allowed::Nothing, silence(10, 0), lost(10, 0), Allowed::Around { packet: 10 }, looped(10, 0)]
    {
        assert_eq!(verdict_of(&nothing, &nothing, allowed), Verdict::NothingToCompare, "{allowed:?}");
        let verdict = verdict_of(&nothing, &quiet, allowed);
        assert!(
            !matches!(verdict, Verdict::BitExact | Verdict::ExceptSilence(_) | Verdict::ExceptLost(_)),
            "{verdict:?}"
        );
    }
}

#[test]
fn what_is_no_number_is_counted_and_is_itself() {
    let format = StreamFormat { sample: SampleFormat::F32, channels: 1, rate: 48_000 };
    let frames = |levels: &[f32]| levels.iter().flat_map(|level| level.to_le_bytes()).collect();
    let one = Sound { format, frames: frames(&[0.5, f32::NAN, f32::INFINITY, -0.25]) };
    let compared = compare_sounds(&one, &one, Allowed::Nothing);
    assert_eq!((compared.verdict, compared.not_finite), (Verdict::BitExact, [2, 2]));
    assert!(compared.peak_dbfs.is_some_and(|peak| (peak + 6.02).abs() < 0.01), "{:?}", compared.peak_dbfs);
    assert!(compared.rms_dbfs.is_some_and(f64::is_finite));
    assert!(compared.to_string().contains("2 and 2 samples"), "{compared}");
}

/// Heard in real time at 2 ms packets: of 201 only the rest is heard, for its client was late with two; it
/// goes on with the first of them.
#[test]
fn a_client_that_was_late_with_two_packets_goes_on_with_the_first() {
    let sent = noise(60, |_| false);
    let packets: Vec<&[[i16; 2]]> = sent.chunks(10).collect();
    let (silent, rest) = ([[0; 2]; 10], [&[[0; 2]; 5], &packets[3][5..]].concat());
    let heard =
        [packets[0], packets[1], &silent, &rest, packets[2], &silent, packets[3], packets[4], packets[5]];
    let found = Gaps { gaps: 2, frames: 25, lost: 0, again: 5 };
    let verdict = verdict_of(&sent, &heard.concat(), silence(10, 25));
    assert_eq!(verdict, Verdict::ExceptSilence(found));
    let said = "bit-exact apart from 25 frames of silence in 2 gaps; 5 frames heard twice";
    assert_eq!(verdict.to_string(), said);
}
