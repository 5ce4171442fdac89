//! What the judge does where there is too much of something, and at the ends of what it finds.

use super::*;
use crate::SampleFormat;

const S16: SampleFormat = SampleFormat::S16;

/// One channel of 16 bits.
fn sound(samples: &[i16]) -> Sound {
    let format = StreamFormat { sample: S16, channels: 1, rate: 48_000 };
    Sound { format, frames: samples.iter().flat_map(|sample| sample.to_le_bytes()).collect() }
}

/// Noise at about a quarter of full scale, none of it 0.
fn noise(frames: usize) -> Vec<i16> {
    let mut state = 0x9E37_79B9_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        ((state >> 18) as i16 - 8192) | 1
    };
    (0..frames).map(|_| next()).collect()
}

fn judged(expected: &[i16], heard: &[i16], tolerance: f64) -> Judgement {
    let options = Options { tolerance: Tolerance::Lsb(tolerance) };
    judge_sounds(&sound(expected), &sound(heard), &options)
}

#[test]
fn formats_that_nobody_has_are_not_looked_at() {
    let of = |channels: u32, rate: u32| {
        let format = StreamFormat { sample: S16, channels, rate };
        Sound { format, frames: vec![1; 2 * channels as usize * 16] }
    };
    for (one, other, reason) in [
        (of(65, 48_000), of(2, 48_000), Reason::TooManyChannels),
        (of(1, 48_000), of(65_535, 48_000), Reason::TooManyChannels),
        (of(2, 48_000), of(2, u32::MAX), Reason::RatesTooFarApart),
        (of(2, 193_000), of(2, 3_000), Reason::RatesTooFarApart),
    ] {
        let judgement = judge_sounds(&one, &other, &Options::default());
        assert_eq!(judgement.conclusion, Conclusion::CannotTell(reason));
        assert_eq!(judgement.reason, Some(reason));
        assert!(judgement.findings.is_empty(), "{judgement}");
    }
    let most = judge_sounds(&of(64, 192_000), &of(64, 3_000), &Options::default());
    assert_eq!(most.conclusion, Conclusion::CannotTell(Reason::TooShort), "that it looks at");
}

#[test]
fn where_too_much_is_wrong_it_says_where_it_gave_up() {
    const EVERY: usize = 90;
    let expected = noise(EVERY * 20_100);
    let mut heard = expected.clone();
    heard.iter_mut().step_by(EVERY).skip(1).for_each(|sample| *sample = sample.wrapping_add(300));
    let judgement = judged(&expected, &heard, 0.0);
    assert_eq!(judgement.conclusion, Conclusion::Damaged);
    let given_up = judgement.given_up.unwrap_or_else(|| panic!("{:.900}", judgement.to_string()));
    assert!((EVERY as u64 * 19_000..EVERY as u64 * 20_100).contains(&given_up), "{given_up}");
    assert!(!judgement.findings.iter().any(|finding| finding.kind() == "end-missing"), "nobody looked");
    assert!(judgement.to_string().contains("given up at frame"), "{judgement}");
    // What is good is never given up.
    assert_eq!(judged(&expected, &expected, 0.0).given_up, None);
}

#[test]
fn of_offsets_that_fit_within_the_tolerance_the_nearest_is_told() {
    // So slow that a frame is less than the tolerance.
    let tone = |frame: usize| ((frame as f64 / 4000.0).sin() * 40.0).round() as i16;
    let expected: Vec<i16> = (0..20_000).map(tone).collect();
    let mut heard = expected.clone();
    let first = expected.iter().position(|sample| *sample > 2).unwrap();
    heard[first] -= 1;
    let judgement = judged(&expected, &heard, 2.0);
    assert_eq!((judgement.conclusion, judgement.offset_frames), (Conclusion::WithinTolerance, Some(0.0)));
}

#[test]
fn inserted_frames_that_begin_and_end_as_the_sound_does_are_no_repeat() {
    let (expected, other) = (noise(60_000), noise(90_000));
    let at = 30_000;
    let mut inserted = other[80_000..80_141].to_vec();
    (inserted[0], inserted[140]) = (expected[at], expected[at - 1]);
    let heard = [&expected[..at], &inserted, &expected[at..]].concat();
    let judgement = judged(&expected, &heard, 0.0);
    assert!(
        matches!(
            judgement.findings[..],
            [Finding::Inserted { place: Place { frames: 141, .. }, silent: false }]
        ),
        "{judgement}"
    );
    // And what is heard again is.
    let again = [&expected[..at], &expected[at - 141..]].concat();
    let judgement = judged(&expected, &again, 0.0);
    assert!(matches!(judgement.findings[..], [Finding::Repeated(Place { frames: 141, .. })]), "{judgement}");
}

#[test]
fn a_frame_that_is_silent_anyway_does_not_hide_that_the_start_is_missing() {
    let mut expected = noise(40_000);
    expected[15] = 0;
    let mut heard = expected[15..].to_vec();
    heard[..161].fill(0);
    let judgement = judged(&expected, &heard, 0.0);
    assert!(matches!(judgement.findings[..], [Finding::StartMissing { frames: 176 }]), "{judgement}");
}
