//! The matrix of the device's life: event, state of the stream, direction, DMA mode, kind of interrupt, and
//! processors. In every cell one event meets one stream, through the shipped driver in ntguest; what is
//! played and recorded is bit-exact before and after, nothing leaks and no rule is broken.
//!
//! `cargo test -p ringwave-e2e --test life -- --ignored --nocapture` walks a sample of a minute; its seed is
//! printed, and `RINGWAVE_LIFE_SEED` asks for one. `RINGWAVE_LIFE=whole` walks all of it, and any other
//! word the cells that have it in their name (`d3:run:record`, `duplex (contiguous, MSI, 4 processor`).
//! `RINGWAVE_LIFE_PART=K/N` walks the K-th of N parts of what these two name: a long walk can be cut and
//! continued. Without `--ignored` the matrix alone is printed: nothing is booted.

mod events;
mod matrix;
mod walk;

use std::{
    env,
    time::{Instant, SystemTime},
};

use events::EVENTS;
use matrix::{Boot, Cell, Part};

/// The cells of one boot at most, when the matrix is walked whole: its sound has to fit the guest's memory.
const CELLS_PER_BOOT: usize = 54;
/// Boots of a sample, and cells of each.
const SAMPLE: (usize, usize) = (4, 9);

/// The cells that apply. Prints the size of the matrix and what is skipped.
fn applicable() -> Vec<Cell> {
    let all = matrix::all(EVENTS);
    let (skipped, cells): (Vec<Cell>, Vec<Cell>) =
        all.iter().partition(|cell| cell.reason_to_skip().is_some());
    eprintln!(
        "matrix: {} events x {} states x {} directions x 2 DMA modes x 2 kinds of interrupt x {} numbers of \
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
    let cells = applicable();
    for event in EVENTS {
        assert_eq!(EVENTS.iter().filter(|other| other.name == event.name).count(), 1, "{}", event.name);
        assert!(cells.iter().any(|cell| cell.event.name == event.name), "{}: no cell is left", event.name);
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
    let cells = applicable();
    for seed in 0..20 {
        let boots = matrix::sample(&cells, seed, SAMPLE.0, SAMPLE.1);
        assert_eq!(boots.len(), SAMPLE.0);
        for processors in matrix::PROCESSORS {
            assert!(boots.iter().any(|boot| boot.machine.processors == processors), "{processors}");
        }
    }
}

/// What the environment asks for of these cells.
fn wanted(cells: &[Cell]) -> Vec<Boot> {
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
            matrix::sample(cells, seed, SAMPLE.0, SAMPLE.1)
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
    let cells = applicable();
    let boots = wanted(&cells);
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
