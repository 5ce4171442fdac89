//! Two cards of the driver's in one machine: each a process, a socket, a file and a trace of its own. They
//! play at once; one of them goes, in order or not, in every state of a stream, while the other one plays on;
//! the driver is unloaded after both have gone.

use std::{fs, path::Path, time::Duration};

use ringwave_audio::{SampleFormat, StreamFormat, test_tune::TestTune, wav};
use ringwave_runner::{
    artefacts::Artefacts,
    card::Card,
    dma_checker,
    guest_log::GuestLog,
    machine::{Machine, MachineOptions, Outcome, make_volume},
};

/// How many states of a stream an event meets: none, STOP, ACQUIRE, PAUSE, RUN.
const STATES: u64 = 5;
/// Sound for so long is still being played when the last event is over.
const SECONDS: u32 = 8;

/// What a run of both cards came to.
struct Run {
    log: GuestLog,
    sent: Vec<u8>,
    /// Of each card, in the order of the bus.
    heard: Vec<Vec<u8>>,
}

/// Starts two cards and boots ntguest with both; no rule is broken, and neither card has reached memory that
/// was not the driver's.
fn run(seconds: u32, lines: &str) -> Run {
    let artefacts = Artefacts::from_env().expect("everything is built");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let folder = folder.path();
    let tune = folder.join("in.wav");
    TestTune { seconds, format: StreamFormat { sample: SampleFormat::S16, channels: 2, rate: 48_000 } }
        .write(&tune)
        .expect("a WAV file");
    let config = format!("wav=MUSIC.WAV\ncards=2\nmark_reg=0x4c\nreg.Lockstep=1\n{lines}");
    make_volume(&artefacts, folder, &tune, &config).expect("a volume");
    let cards: Vec<Card> = ["first", "second"].map(|name| start(&artefacts, &folder.join(name))).into();
    let devices: Vec<String> = cards
        .iter()
        .flat_map(|card| {
            let device = serde_json::json!({
                "driver": "vfio-user-pci",
                "socket": { "type": "unix", "path": card.socket() },
            });
            ["-device".to_owned(), device.to_string()]
        })
        .collect();
    let mut machine =
        Machine::boot_device(&artefacts, folder, &devices, MachineOptions::default()).expect("QEMU starts");
    let outcome = machine.wait(Duration::from_mins(10), || Ok(())).expect("QEMU ends");
    let text = machine.guest_log();
    assert_eq!(outcome, Some(Outcome::Ok), "{text}{}", machine.qemu_log());
    drop(machine);
    let log = GuestLog::parse(&text);
    assert_eq!(log.violations, [""; 0]);
    let heard = cards.into_iter().map(|card| {
        let file = card.session_wav(1);
        let (_, trace) = card.finish().expect("the card ends");
        assert_eq!(dma_checker::check(&log, trace), [""; 0], "{}", file.display());
        wav::read(&file).map(|sound| sound.frames).unwrap_or_default()
    });
    Run { heard: heard.collect(), sent: wav::read(&tune).expect("the file").frames, log }
}

fn start(artefacts: &Artefacts, folder: &Path) -> Card {
    fs::create_dir(folder).expect("a folder");
    let mut options = Card::single_session_options(folder);
    options.extend(["--clock".to_owned(), "lockstep".to_owned()]);
    Card::start(&artefacts.ringwave, folder, "heard", options).expect("a card")
}

/// The tune, whole and once, with silence around it.
fn is_heard(heard: &[u8], sent: &[u8]) -> bool {
    let lead = |sound: &[u8]| sound.iter().position(|byte| *byte != 0).unwrap_or(sound.len());
    let heard = heard.get(lead(heard)..).unwrap_or_default();
    let sent = sent.get(lead(sent)..).unwrap_or_default();
    let Some((tune, rest)) = heard.split_at_checked(sent.len()) else { return false };
    tune == sent && rest.iter().all(|byte| *byte == 0)
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn two_cards_play_at_once() {
    let run = run(1, "client=play\nalso=1\n");
    assert_eq!(run.log.result("render_endpoints"), Some(2), "each card has its own endpoint");
    for (card, heard) in run.heard.iter().enumerate() {
        assert!(is_heard(heard, &run.sent), "card {card}: {} bytes of {}", heard.len(), run.sent.len());
    }
}

/// A card goes and comes back, in every state of a stream; the other one does not hear of it.
fn one_goes(event: &str, target: usize) {
    let run = run(SECONDS, &format!("client=pnp\nevent={event}\ntarget={target}\nendpoint={target}\n"));
    assert_eq!(run.log.result("pnp_events"), Some(STATES), "{event} of card {target}");
    assert_eq!(run.log.result("outlived"), Some(1), "the other card played all the time");
    for (card, heard) in run.heard.iter().enumerate() {
        let name = if card == target { "went and came back" } else { "stayed" };
        assert!(is_heard(heard, &run.sent), "{event}: the card that {name}: {} bytes", heard.len());
    }
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn a_card_is_pulled_out_while_the_other_one_plays_on() {
    one_goes("surprise", 1);
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn a_card_is_removed_while_the_other_one_plays_on() {
    one_goes("remove", 0);
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test --long"]
fn in_long_a_card_is_moved_or_pulled_out_in_d3_while_the_other_one_plays_on() {
    for (event, target) in [
        ("surprise", 0),
        ("remove", 1),
        ("rebalance", 0),
        ("rebalance", 1),
        ("surprise-d3", 0),
        ("cancel", 1),
    ] {
        one_goes(event, target);
    }
}
