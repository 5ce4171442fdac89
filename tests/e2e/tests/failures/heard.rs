//! What was heard, against the pattern that the guest plays.

use std::path::Path;

use ringwave_e2e::bare::{pattern, samples};

use crate::fixture::CardUnderTest;

/// What was heard is this pattern, from the first frame to the last; behind it nothing, or with HD Audio
/// silence.
#[track_caller]
pub fn assert_heard(card: &CardUnderTest, path: &Path, rate: u32, wanted: &[i16]) {
    let (heard, its_rate) = samples(path).expect("a WAV file");
    assert_eq!(its_rate, rate, "{}", path.display());
    let same = heard.iter().zip(wanted).take_while(|(a, b)| a == b).count();
    assert_eq!(same, wanted.len(), "samples that are the same, of {} in {}", heard.len(), path.display());
    let rest = &heard[same..];
    assert!(rest.is_empty() || card.hda && is_silent(rest), "{} samples more", rest.len());
}

/// What was heard is the beginning of this pattern, and at least `frames` of it; then nothing, or at most
/// `silence` frames of silence.
#[track_caller]
pub fn assert_heard_beginning(path: &Path, seed: u32, frames: usize, silence: usize) {
    let (heard, _) = samples(path).expect("a WAV file");
    let wanted = pattern(seed, heard.len() / 2);
    let same = heard.chunks(2).zip(wanted.chunks(2)).take_while(|(a, b)| a == b).count();
    let rest = heard.get(same * 2..).unwrap_or_default();
    assert!(same >= frames, "{same} frames of {} are what was played", path.display());
    assert!(is_silent(rest), "after frame {same} {} is not silent", path.display());
    assert!(
        rest.len() <= silence * 2,
        "{} frames of silence at the end of {}",
        rest.len() / 2,
        path.display()
    );
}

/// One sound after the other: of each `frames` frames of the pattern of its seed, and with HD Audio silence
/// behind it.
#[track_caller]
pub fn assert_heard_each(card: &CardUnderTest, path: &Path, seeds: impl Iterator<Item = u32>, frames: usize) {
    let (heard, _) = samples(path).expect("a WAV file");
    let mut rest = &heard[..];
    for seed in seeds {
        let wanted = pattern(seed, frames);
        rest =
            rest.strip_prefix(&wanted[..]).unwrap_or_else(|| panic!("the sound of seed {seed} is not there"));
        if card.hda {
            let silent = rest.chunks(2).take_while(|frame| *frame == [0, 0]).count();
            rest = &rest[silent * 2..];
        }
    }
    assert_eq!(rest.len(), 0, "samples that nobody played");
}

fn is_silent(samples: &[i16]) -> bool {
    samples.iter().all(|sample| *sample == 0)
}
