//! The matrix of the device's life: event, state of the stream, direction, DMA mode, kind of interrupt, and
//! processors. In every cell one event meets one stream, through the shipped driver in ntguest; what is
//! played and recorded is bit-exact before and after, nothing leaks and no rule is broken.
//!
//! `cargo test -p ringwave-e2e --test life -- --ignored --nocapture` walks a sample of a minute; its seed is
//! printed, and `RINGWAVE_LIFE_SEED` asks for one. Both cards have the same list of events: the Ringwave
//! card, and our virtio device (`on_virtio_`), with which D3 in RUN may cut a message. `RINGWAVE_LIFE=whole`
//! walks all of it, and any other word the cells that have it in their name (`d3:run:record`, `duplex
//! (contiguous, MSI, 4 processor`). `RINGWAVE_LIFE_PART=K/N` walks the K-th of N parts of what these two
//! name: a long walk can be cut and continued. Without `--ignored` the matrix alone is printed: nothing is
//! booted.

mod events;
mod matrix;
mod walk;

use std::{
    env,
    time::{Instant, SystemTime},
};

use events::EVENTS;
use matrix::{Boot, Cell, Direction, Machine, Part, State};
use ringwave_runner::request::CardKind;

/// The cells of one boot at most, when the matrix is walked whole: its sound has to fit the guest's memory.
const CELLS_PER_BOOT: usize = 54;
/// Boots of a sample, and cells of each.
const SAMPLE: (usize, usize) = (4, 9);
/// The same with the virtio device.
const VIRTIO_SAMPLE: (usize, usize) = (3, 5);

/// The cells with this card that apply. Prints the size of the matrix and what is skipped.
fn applicable(card: CardKind) -> Vec<Cell> {
    let all = matrix::all(card, EVENTS);
    let (skipped, cells): (Vec<Cell>, Vec<Cell>) =
        all.iter().partition(|cell| cell.reason_to_skip().is_some());
    eprintln!(
        "matrix, {card:?}: {} events x {} states x {} directions x 2 DMA modes x 2 kinds of interrupt x {} numbers of \
         processors = {} cells, {} of them apply",
        EVENTS.len(),
        matrix::STATES.len(),
        matrix::DIRECTIONS.len(),
        matrix::PROCESSORS.len(),
        all.len(),
        cells.len()
    );
    for cell in &skipped {
        eprintln!("skipped: {cell} ({}): {}", cell.machine, cell.reason_to_skip().unwrap_or_default());
    }
    cells
}

#[test]
fn the_matrix_names_every_event_once_and_says_why_a_cell_is_skipped() {
    let cells = [CardKind::Ringwave, CardKind::Virtio].map(applicable);
    for event in EVENTS {
        assert_eq!(EVENTS.iter().filter(|other| other.name == event.name).count(), 1, "{}", event.name);
        let [ringwave, virtio] =
            [0, 1].map(|card| cells[card].iter().any(|cell| cell.event.name == event.name));
        let is_left = virtio || event.skipped.iter().any(|(skip, _)| *skip == matrix::Skip::Virtio);
        assert!(ringwave && is_left, "{}: no cell is left", event.name);
        for (_, reason) in event.skipped {
            assert!(reason.len() > 10, "{}: {reason:?} is no reason", event.name);
        }
    }
}

#[test]
fn the_parts_of_a_walk_are_the_whole_of_it_and_a_sample_has_every_number_of_processors() {
    let mut numbers: Vec<u32> = Vec::new();
    for text in ["1/3", "2/3", "3/3"] {
        numbers.extend(Part::parse(text).expect("a part").of((0..10).collect()));
    }
    numbers.sort_unstable();
    assert!(numbers.into_iter().eq(0..10));
    for text in ["0/3", "4/3", "1/0", "1", "a/b", ""] {
        assert_eq!(Part::parse(text), None, "{text}");
    }
    let cells = applicable(CardKind::Ringwave);
    for seed in 0..20 {
        let boots = matrix::sample(&cells, seed, SAMPLE.0, SAMPLE.1);
        assert_eq!(boots.len(), SAMPLE.0);
        for processors in matrix::PROCESSORS {
            assert!(boots.iter().any(|boot| boot.machine.processors == processors), "{processors}");
        }
    }
}

/// What the environment asks for of these cells.
fn wanted(cells: &[Cell], (sampled, sample): (&[Cell], (usize, usize))) -> Vec<Boot> {
    let boots = match env::var("RINGWAVE_LIFE") {
        Ok(word) if word == "whole" => matrix::boots(cells, CELLS_PER_BOOT),
        Ok(word) => {
            let is_meant = |cell: &&Cell| format!("{cell} ({})", cell.machine).contains(&word);
            let cells: Vec<Cell> = cells.iter().filter(is_meant).copied().collect();
            matrix::boots(&cells, CELLS_PER_BOOT)
        }
        Err(_) => {
            let seed = env::var("RINGWAVE_LIFE_SEED").ok().and_then(|text| text.parse().ok());
            let seed = seed.unwrap_or_else(|| {
                let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("a clock");
                now.as_secs()
            });
            eprintln!("sample: RINGWAVE_LIFE_SEED={seed}");
            matrix::sample(sampled, seed, sample.0, sample.1)
        }
    };
    match env::var("RINGWAVE_LIFE_PART") {
        Ok(text) => {
            let part = Part::parse(&text).expect("RINGWAVE_LIFE_PART=K/N, with K from 1 to N");
            eprintln!("part {text} of {} boots", boots.len());
            part.of(boots)
        }
        Err(_) => boots,
    }
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn every_cell_is_bit_exact_before_and_after_its_event() {
    walk_cells(CardKind::Ringwave, SAMPLE);
}

/// The same with our virtio device; where D3 cuts a message of it, less than the message is heard twice or
/// lost.
#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn on_virtio_every_cell_is_exact_before_and_after_its_event() {
    walk_cells(CardKind::Virtio, VIRTIO_SAMPLE);
}

/// The machine sleeps in truth (ACPI S3) in the midst of what it plays, and of what it records, with both
/// cards: every device of it is reset.
#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn a_sound_goes_on_when_the_machine_has_slept() {
    for (card, contiguous, processors, directions) in [
        (CardKind::Ringwave, false, 1, &[Direction::Play, Direction::Record][..]),
        (CardKind::Virtio, true, 2, &[Direction::Duplex]),
    ] {
        let machine = Machine { card, contiguous, line: false, processors };
        let is_meant = |cell: &Cell| {
            cell.event.sleeps
                && cell.machine == machine
                && cell.state == State::Run
                && directions.contains(&cell.direction)
        };
        let cells: Vec<Cell> = applicable(card).into_iter().filter(is_meant).collect();
        assert_eq!(cells.len(), directions.len());
        assert_eq!(walk::walk(&Boot { machine, cells }), [""; 0], "{machine}");
    }
}

fn walk_cells(card: CardKind, sample: (usize, usize)) {
    let cells = applicable(card);
    // Of virtio's few boots none is spent on an event that must have one of its own.
    let is_sampled = |cell: &&Cell| card == CardKind::Ringwave || cell.event.settings.is_empty();
    let sampled: Vec<Cell> = cells.iter().filter(is_sampled).copied().collect();
    let boots = wanted(&cells, (&sampled, sample));
    assert!(!boots.is_empty(), "no cell has that name, or this part is empty");
    let (started, mut walked, mut wrong) = (Instant::now(), 0, Vec::new());
    for boot in &boots {
        walked += boot.cells.len();
        for line in walk::walk(boot) {
            let line = format!("({}) {line}", boot.machine);
            // At once too: a walk that is cut has told what it found.
            eprintln!("wrong: {line}");
            wrong.push(line);
        }
    }
    eprintln!(
        "walked: {walked} of {} cells in {} boots, {:.0} s",
        cells.len(),
        boots.len(),
        started.elapsed().as_secs_f64()
    );
    assert!(wrong.is_empty(), "{wrong:#?}");
}
