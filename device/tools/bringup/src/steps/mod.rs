//! The steps of the bring-up, in the order of a bring-up: what a step needs was looked at by one before it.

mod formats;
mod identity;
mod interrupts;
mod jack;
mod marks;
mod order;
mod playback;
mod position;
mod power;
mod recording;
mod registers;
mod reset;
mod selftest;
mod states;
mod tables;
mod tone;
mod volume;

use super::bringup::{Bringup, StepResult};

/// A step.
#[derive(Debug)]
pub struct Step {
    /// As `--only` takes it.
    pub name: &'static str,
    /// What it looks at, for `--list`.
    pub about: &'static str,
    /// Makes the checks.
    pub run: fn(&mut Bringup<'_>) -> StepResult,
}

/// All steps.
pub const STEPS: &[Step] = &[
    Step { name: "identity", about: "vendor, device, subsystem, class, MAGIC", run: identity::identity },
    Step {
        name: "configuration",
        about: "BARs, capabilities: power management, PCI Express, MSI",
        run: identity::configuration,
    },
    Step { name: "version", about: "version, features, streams, limits", run: identity::version },
    Step {
        name: "registers",
        about: "reset values after dirtying, read-only and reserved bits, accesses that are none",
        run: registers::run,
    },
    Step {
        name: "formats",
        about: "announced formats and rates are taken, others refused",
        run: formats::run,
    },
    Step {
        name: "self-test-contiguous",
        about: "the card reads and writes one range of memory",
        run: selftest::contiguous,
    },
    Step {
        name: "self-test-scatter-gather",
        about: "the same by a table of 1 and of 16 entries, with a link",
        run: selftest::scatter_gather,
    },
    Step {
        name: "self-test-across-maps",
        about: "a range over several DMA maps, and one with a gap",
        run: selftest::across_maps,
    },
    Step {
        name: "bus-master",
        about: "nothing is moved or raised while Bus Master Enable is off",
        run: selftest::bus_master,
    },
    Step {
        name: "interrupts",
        about: "each MSI message arrives once, at its vector; INTx as a level",
        run: interrupts::run,
    },
    Step { name: "states", about: "every transition of every stream, allowed and refused", run: states::run },
    Step { name: "order", about: "a write is judged by register, feature, state, value", run: order::run },
    Step {
        name: "tables",
        about: "bad scatter-gather tables fail the RUN, and nothing else",
        run: tables::run,
    },
    Step {
        name: "playback",
        about: "packets, events, WRITTEN, end of stream, in each DMA mode",
        run: playback::run,
    },
    Step {
        name: "marks",
        about: "packets marked by the mark page: tag, stale words, the handshake of a stall",
        run: marks::run,
    },
    Step {
        name: "recording",
        about: "what is captured is stored within a FIFO, and anchors come as often",
        run: recording::run,
    },
    Step {
        name: "volume",
        about: "volume and mute: range, kept over STOP, a muted capture",
        run: volume::run,
    },
    Step { name: "jack", about: "whether something is plugged in, and that it stays so", run: jack::run },
    Step {
        name: "position",
        about: "position against the clock, by register and by page; never back",
        run: position::run,
    },
    Step {
        name: "pause-resume",
        about: "PAUSE freezes exactly, RUN goes on there; START_FRAME",
        run: position::pause_resume,
    },
    Step { name: "tone", about: "a sine of 440 Hz that a person can hear", run: tone::run },
    Step {
        name: "reset",
        about: "CONTROL.RESET, function-level and outside reset while running",
        run: reset::run,
    },
    Step { name: "power", about: "D3hot reads all ones, D0 has kept everything", run: power::run },
];

/// The step of this name.
pub fn find(name: &str) -> Option<&'static Step> {
    STEPS.iter().find(|step| step.name == name)
}
