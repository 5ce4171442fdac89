//! What PnP does to the device while a client has a stream open, in no state and in every one, playing and
//! recording, in both DMA modes: what is heard and recorded afterwards is bit-exact, no rule is broken, and
//! nothing is left behind. `qemu-scripts/test` walks a part of the matrix, `--long` all of it.

use std::time::Duration;

use ringwave_audio::{SampleFormat, StreamFormat, test_tune::TestTune, wav};
use ringwave_e2e::{
    process_usage::ProcessUsage,
    runs::{play, record},
    tune_file::TuneFile,
};
use ringwave_report::DmaMode;
use ringwave_runner::{
    artefacts::Artefacts,
    card::Card,
    machine::{Machine, Outcome, make_volume},
    report::Report,
    request::{CardKind, Clock, Mode, Scenario},
};

/// How many states of a stream a boot goes through: none, STOP, ACQUIRE, PAUSE, RUN.
const STATES: u64 = 5;
/// What is recorded after the events: a quarter of a second.
const FRAMES: usize = 12_000;

/// The client is to get the register that holds the position (rule `hw-register`): Ringwave's card has one, a
/// virtio device has none.
const POSITION_REGISTER: &str = "reg.PositionRegister=1";

/// Events of tests/ntguest/src/client/pnp.rs, and what else a boot is told.
const EVENTS: [(&str, &[&str]); 8] = [
    ("rebalance", &[]),
    ("rebalance", &["msi=0", "oracle=1"]),
    ("cancel", &[POSITION_REGISTER]),
    ("remove", &["rounds=2", "loads=2"]),
    ("surprise", &[POSITION_REGISTER]),
    ("surprise", &["surprise=drop", "msi=0"]),
    ("surprise-d3", &[]),
    ("surprise-set-state", &["rounds=2", "cpus=2"]),
];

/// A cell of the matrix: a card, an event in every state, a direction, a DMA mode.
#[derive(Clone, Copy, Debug)]
struct Cell {
    card: CardKind,
    event: &'static str,
    lines: &'static [&'static str],
    records: bool,
    contiguous: bool,
}

fn cells(card: CardKind) -> Vec<Cell> {
    let modes = [(false, false), (true, true), (false, true), (true, false)];
    let of = |(event, lines): (&'static str, &'static [&'static str])| {
        let lines = if card == CardKind::Virtio && lines == [POSITION_REGISTER] { &[] } else { lines };
        modes.map(|(records, contiguous)| Cell { card, event, lines, records, contiguous })
    };
    EVENTS.into_iter().flat_map(of).collect()
}

/// One event of the matrix (`RINGWAVE_PNP=surprise`), or every one.
fn wanted(cell: &Cell) -> bool {
    std::env::var("RINGWAVE_PNP").map_or(true, |name| name == cell.event)
}

/// Runs one cell: its events, then a file that is played or a recording; what was sent, and what arrived.
fn run(cell: Cell) -> (Report, Vec<u8>, Vec<u8>) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (tune, out) = (folder.path().join("in.wav"), folder.path().join("out.wav"));
    let format = StreamFormat { sample: SampleFormat::S16, channels: 2, rate: 48_000 };
    // A recording is taken from the midst of it.
    TestTune { seconds: if cell.records { 20 } else { 1 }, format }.write(&tune).expect("a WAV file");
    let change = |request: &mut ringwave_runner::request::Request| {
        request.kind = cell.card;
        // There a virtio device has power states and a reset of its function; but a card behind a bridge is
        // not rebalanced by ntguest.
        request.root_port = cell.event != "rebalance";
        request.contiguous = cell.contiguous;
        let cpus = cell.lines.iter().find_map(|line| line.strip_prefix("cpus="));
        request.processors = cpus.map_or(1, |number| number.parse().expect("a number"));
        request.out = Some(out.clone());
        request.guest_config = vec!["client=pnp".to_owned(), format!("event={}", cell.event)];
        request.guest_config.extend(cell.lines.iter().copied().map(String::from));
        if cell.records {
            request.scenario = Scenario::Record(Mode::Packet);
            request.guest_config.push(format!("frames={FRAMES}"));
        }
    };
    let report = if cell.records { record(&tune, change) } else { play(&tune, change) };
    let arrived = wav::read(&out).map(|sound| sound.frames).unwrap_or_default();
    (report, wav::read(&tune).expect("the file").frames, arrived)
}

/// The streams before were silent: the file was heard so many times, whole, with silence around it.
fn is_heard(mut heard: &[u8], sent: &[u8], times: u64) -> bool {
    let lead = sent.iter().position(|byte| *byte != 0).unwrap_or(0);
    for _ in 0..times {
        let start = heard.iter().position(|byte| *byte != 0).unwrap_or(heard.len());
        let rest = heard.get(start..).unwrap_or_default();
        let Some((tune, rest)) = rest.split_at_checked(sent.len().saturating_sub(lead)) else { return false };
        if Some(tune) != sent.get(lead..) {
            return false;
        }
        heard = rest;
    }
    heard.iter().all(|byte| *byte == 0)
}

/// The microphone went on while others recorded: each recording is one piece of what it heard.
fn are_pieces(recorded: &[u8], sent: &[u8], times: u64) -> bool {
    let mut recordings = recorded.chunks(FRAMES * 4);
    let is_a_piece = |one: &[u8]| sent.windows(FRAMES * 4).step_by(4).any(|piece| piece == one);
    recordings.len() as u64 == times && recordings.all(is_a_piece)
}

fn check(cell: Cell) -> Report {
    let (report, sent, arrived) = run(cell);
    let violations: &[String] = &report.violations;
    assert_eq!((report.outcome, violations), (Some(Outcome::Ok), &[][..]), "{cell:?}");
    let times = |key: &str| {
        let line = cell.lines.iter().find_map(|line| line.strip_prefix(key));
        line.map_or(1, |number| number.parse::<u64>().expect("a number"))
    };
    let states = if cell.lines.contains(&"state=none") { 1 } else { STATES };
    assert_eq!(report.guest.result("pnp_events"), Some(states * times("rounds=")), "{cell:?}");
    assert_eq!(report.guest.result("loads").unwrap_or(1), times("loads="), "{cell:?}");
    let arrived_well = if cell.records {
        are_pieces(&report.recorded, &sent, times("loads="))
    } else {
        is_heard(&arrived, &sent, times("loads="))
    };
    assert!(arrived_well, "{cell:?}: {} bytes arrived", arrived.len());
    let mode = if cell.contiguous { DmaMode::Contiguous } else { DmaMode::ScatterGather };
    let streams = &report.card.streams;
    // Of a virtio device's messages nothing tells.
    let is_told = cell.card == CardKind::Ringwave;
    assert!(
        streams.iter().filter(|stream| is_told && stream.packets_completed > 0).all(|s| s.dma_mode == mode),
        "{cell:?}"
    );
    report
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn what_is_played_and_recorded_after_pnp_is_bit_exact() {
    // One cell of each event, every direction with every DMA mode.
    let sample = cells(CardKind::Ringwave).into_iter().enumerate().filter(|(at, _)| at / 4 % 4 == at % 4);
    for (_, cell) in sample.filter(|(_, cell)| wanted(cell)) {
        check(cell);
    }
}

/// The same with our virtio device: a rebalance from messages to the line, one that is pulled out in D3, and
/// one amid `SetState` on two processors.
#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn on_virtio_what_is_played_and_recorded_after_pnp_is_bit_exact() {
    let chosen = |cell: &Cell| match cell.event {
        "rebalance" => cell.lines.is_empty() && cell.records && !cell.contiguous,
        "surprise-d3" => cell.records && cell.contiguous,
        "surprise-set-state" => !cell.records && cell.contiguous,
        _ => false,
    };
    for cell in cells(CardKind::Virtio).into_iter().filter(chosen).filter(wanted) {
        check(cell);
    }
}

/// The card goes at each call that the driver makes while it starts: the start fails or the surprise removal
/// finds what there is, and the next start works.
#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn a_card_that_goes_while_it_starts_leaves_nothing_behind() {
    go_while_it_starts(CardKind::Ringwave, &["state=none"]);
}

fn go_while_it_starts(card: CardKind, lines: &'static [&'static str]) {
    let report = check(Cell { card, event: "surprise-start", lines, records: false, contiguous: false });
    let of = |key: &str| report.guest.result(key).expect("it is counted");
    let (points, failed, started) = (of("start_points"), of("start_failed"), of("start_went_through"));
    println!("gone at each of {points} calls: {failed} starts failed, {started} went through");
    assert!(points > 100 && failed > 5 && failed + started == points, "{failed} + {started} of {points}");
}

/// The card is pulled out and put in again 200 times, 40 of them in RUN: neither the driver nor the card's
/// process holds more in the end than after the first round.
#[test]
#[ignore = "minutes: run qemu-scripts/test --long"]
fn the_whole_day_of_pulling_leaves_nothing_behind() {
    const ROUNDS: u64 = 40;
    let artefacts = Artefacts::from_env().expect("everything is built");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (folder, wav) = (folder.path(), TuneFile::stereo());
    let config =
        format!("wav=MUSIC.WAV\nclient=pnp\nevent=surprise\nrounds={ROUNDS}\nbuffer_ms=20\nreg.Lockstep=1\n");
    make_volume(&artefacts, folder, &wav.path(), &config).expect("a volume");
    let options = Clock::LOCKSTEP.arguments();
    let card = Card::start(&artefacts.ringwave, folder, "heard", options).expect("a card");
    let mut machine = Machine::boot(&artefacts, folder, &card.socket(), 0, 1).expect("a machine");
    let usage = || ProcessUsage::of(card.process_id()).expect("the card runs");
    let (mut early, mut late, seen) = (None, None, folder.join("guest.log"));
    let outcome = machine.wait(Duration::from_mins(10), || {
        let log = std::fs::read_to_string(&seen).unwrap_or_default();
        if early.is_none() && log.contains(&format!("pnp_events={}\n", 2 * STATES)) {
            early = Some(usage());
        }
        if late.is_none() && log.contains(&format!("pnp_events={}\n", ROUNDS * STATES)) {
            late = Some(usage());
        }
        Ok(())
    });
    assert_eq!(outcome.expect("QEMU ends"), Some(Outcome::Ok), "{}", machine.guest_log());
    let (early, late) = (early.expect("two rounds"), late.expect("all rounds"));
    println!("after {} events {early:?}\nafter {} events {late:?}", 2 * STATES, ROUNDS * STATES);
    // How far the next event is when this process comes to look, nobody knows: its stream may be open.
    let lasting = |usage: ProcessUsage| (usage.descriptors - usage.sounds, usage.threads);
    assert_eq!(lasting(late), lasting(early));
    assert!(late.sounds <= 1, "{late:?}");
    assert!(late.anonymous_kib <= early.anonymous_kib + 512, "{early:?} {late:?}");
    assert!(late.maps <= early.maps + 4, "{early:?} {late:?}");
}

#[test]
#[ignore = "minutes: run qemu-scripts/test --long"]
fn the_whole_matrix_of_pnp_is_bit_exact() {
    walk_whole(CardKind::Ringwave);
}

#[test]
#[ignore = "minutes: run qemu-scripts/test --long"]
fn the_whole_matrix_of_pnp_is_bit_exact_on_virtio() {
    walk_whole(CardKind::Virtio);
}

fn walk_whole(card: CardKind) {
    let cells: Vec<Cell> = cells(card).into_iter().filter(wanted).collect();
    println!("{card:?}: {} boots, {} events", cells.len(), cells.len() as u64 * STATES);
    for cell in cells {
        check(cell);
    }
    go_while_it_starts(card, &["state=none", "msi=0", "surprise=drop"]);
}
