//! A driver that was written from the DATASHEET alone (tests/bareguest/src/scenario/loopback.rs): what it
//! plays is what it records. `qemu-scripts/test` runs this (`cargo test -- --ignored`).

use std::fs;

use ringwave_e2e::bare::{BareGuest, pattern, samples};
use ringwave_runner::{
    artefacts::Artefacts,
    card::Card,
    machine::{MachineOptions, Outcome},
};

/// What the guest plays in a take, and records of it.
const PLAYED: usize = 18_034;
const RECORDED: usize = 12 * 2_400;
/// -6.02 dB in the registers' units.
const VOLUME: i32 = -394_527;

/// DATASHEET 5.8, of a stereo stream with [`VOLUME`] on channel 0 and channel 1 muted.
fn turned_down(frames: &[[i16; 2]]) -> Vec<[i16; 2]> {
    #[allow(clippy::cast_possible_truncation, reason = "at most 2^30")]
    let gain = (f64::from(1 << 30) * 10f64.powf(f64::from(VOLUME) / 1_310_720.0)).round() as i64;
    let one =
        |sample: i16| i16::try_from((i64::from(sample) * gain + (1 << 29)) >> 30).expect("it became less");
    frames.iter().map(|[left, _]| [one(*left), 0]).collect()
}

fn frames(samples: impl IntoIterator<Item = i16>) -> Vec<[i16; 2]> {
    let samples: Vec<i16> = samples.into_iter().collect();
    samples.chunks_exact(2).map(|frame| [frame[0], frame[1]]).collect()
}

/// What the recorder hears of `played`. Since the frame `recorder`, when the player stood at `player`
/// (millionths of a frame), each frame is the one that was played in full when it began, and nothing that was
/// played while the recorder stood still.
fn heard(played: &[[i16; 2]], aligned: &[(usize, i64)]) -> Vec<[i16; 2]> {
    let mut heard = vec![];
    for (number, &(recorder, player)) in aligned.iter().enumerate() {
        assert_eq!(heard.len(), recorder);
        let end = aligned.get(number + 1).map_or(RECORDED, |next| next.0);
        let first = player.div_euclid(1_000_000) - 1;
        let frame = |at: i64| usize::try_from(first + at).ok().and_then(|at| played.get(at).copied());
        heard.push([0, 0]);
        heard.extend((1..).map(|at| frame(at).unwrap_or_default()).take(end - recorder - 1));
    }
    heard
}

/// The frame up to which two takes are the same; `None` if they are the same to the end.
fn first_difference(a: &[[i16; 2]], b: &[[i16; 2]]) -> Option<usize> {
    (0..a.len().max(b.len())).find(|&at| a.get(at) != b.get(at))
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn a_driver_written_from_the_datasheet_hears_what_it_plays() {
    let artefacts = Artefacts::from_env().expect("everything is built");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let control = folder.path().join("control.sock");
    let options = ["--capture", "1", "--source", "loopback:0", "--clock", "lockstep", "--control"];
    let options = options.map(str::to_owned).into_iter().chain([control.display().to_string()]);
    let mut card =
        Card::start(&artefacts.ringwave, folder.path(), "heard", options).expect("the card listens");
    let config = format!("scenario=loopback\nseed=90\njack=1\nvolume={:#x}", VOLUME.cast_unsigned());
    // Two processors, so that TCG takes the guest's orders of memory (7.4) as a processor does.
    let machine = MachineOptions { processors: 2, ..MachineOptions::default() };
    let mut guest =
        BareGuest::boot(&artefacts, folder.path(), &card.socket(), &config, machine).expect("QEMU starts");
    let told = guest.pull_plug_when_told(&artefacts.ringwave, &control);
    let (outcome, log) = guest.finish().expect("the guest ends");
    log.events.iter().for_each(|event| eprintln!("guest: {} {}", event.name, event.text));
    eprintln!("{}", card.log());
    assert_eq!((outcome, log.wrong()), (Some(Outcome::Ok), vec![]), "{told:?}");
    card.wait_for("the client has left", 1).expect("the card sees the client leave");
    assert!(!card.log().contains("without LOOK"), "each mark that the card waited for was told");

    let recorded = fs::read(folder.path().join("recorded.raw")).expect("what the guest recorded");
    let recorded = frames(recorded.chunks_exact(2).map(|sample| i16::from_le_bytes([sample[0], sample[1]])));
    let played = [frames(pattern(90, PLAYED)), turned_down(&frames(pattern(91, PLAYED)))];
    assert_eq!(recorded.len(), played.len() * RECORDED);
    let mut recorded = recorded.chunks(RECORDED);
    let (mut aligned, mut sunk) = (vec![], vec![]);
    for event in &log.events {
        if event.name == "aligned" {
            let frame = event.number("recorder").and_then(|frame| usize::try_from(frame).ok());
            aligned.push((frame.expect("a frame"), event.get("player").parse().expect("a number")));
        } else if event.name == "take" {
            let played = &played[usize::from(event.get("seed") == "91")];
            sunk.extend_from_slice(played);
            let aligned = std::mem::take(&mut aligned);
            if event.get("steady") == "true" {
                let wanted = heard(played, &aligned);
                let recorded = recorded.next().expect("a take");
                assert_eq!(
                    first_difference(recorded, &wanted),
                    None,
                    "seed {} {aligned:?}",
                    event.get("seed")
                );
            }
        }
    }
    assert!(recorded.next().is_none(), "each take was judged");
    if log.all("take").iter().all(|event| event.get("steady") == "true") {
        let (sound, _) = samples(&card.session_wav(1)).expect("a WAV file");
        assert_eq!(first_difference(&frames(sound), &sunk), None, "the host heard the same");
    }
}
