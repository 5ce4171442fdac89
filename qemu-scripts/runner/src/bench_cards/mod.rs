//! Sound cards side by side: a guest for each, all at once, measured in turns, round by round.
//!
//! [`cards`] is the list of what is compared, [`results`] what comes out. The Linux guests run
//! `tests/guest-pcm`, which plays and keeps time; the host looks at the processes (`usage`).

#![allow(clippy::cast_precision_loss, reason = "counts and nanoseconds of a run are far below 2^52")]

mod bits;
pub mod cards;
mod cells;
mod guest;
mod ntguest;
pub mod results;
pub mod table;
mod usage;

use std::{fs, path::Path, process::Command, thread, time::Duration};

use crate::{artefacts::Artefacts as NtguestArtefacts, error::Error, linux::guest::Artefacts};
use cards::{LINUX_CARDS, LinuxCard, NTGUEST_CARDS};
use cells::{Rounds, measure, watch};
use guest::Guest;
use results::{Machine, Many, Results, Served, Spread};

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Part {
    /// What idling and playing cost, xruns, interrupts, how late they come
    Cost,
    /// How the position moves
    Position,
    /// From render to capture
    RoundTrip,
    /// Whether every bit arrives
    Bits,
    /// Many cards of ours on this host
    Many,
    /// ringwave.sys in ntguest
    Ntguest,
}

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Options {
    /// Which cards, in the order of the list.
    pub cards: Vec<&'static LinuxCard>,
    /// Which parts.
    pub parts: Vec<Part>,
    /// Milliseconds of the periods.
    pub periods: Vec<u32>,
    /// How often each cell is measured.
    pub rounds: u32,
    /// How long each time.
    pub time: Duration,
    /// Cards for [`Part::Many`].
    pub many: u32,
    /// Leave the run's folder.
    pub keep: bool,
}

/// Of the JSON.
const VERSION: u32 = 2;
/// A period that an application takes without thinking about it.
const USUAL_PERIOD_MS: u32 = 20;

/// Measures. `say` hears what is done.
///
/// # Errors
/// A guest cannot be started, or does not do what it is told.
pub fn run(options: &Options, say: &dyn Fn(&str)) -> Result<Results, Error> {
    let artefacts = Artefacts::from_env()?;
    let folder = tempfile::Builder::new().prefix("ringwave-bench-").tempdir().map_err(Error::failed)?;
    let mut results = Results {
        version: VERSION,
        machine: machine(&artefacts),
        rounds: options.rounds,
        seconds: options.time.as_secs_f64(),
        cost: Vec::new(),
        position: Vec::new(),
        round_trip: Vec::new(),
        bits: Vec::new(),
        many: Vec::new(),
        ntguest: Vec::new(),
        served: Vec::new(),
    };
    let bench = Bench { options, artefacts, folder: folder.path(), say };
    let done = bench.run(&mut results);
    if options.keep {
        say(&format!("the run's files are in {}", folder.keep().display()));
    }
    done.map(|()| results)
}

struct Bench<'a> {
    options: &'a Options,
    artefacts: Artefacts,
    folder: &'a Path,
    say: &'a dyn Fn(&str),
}

impl Bench<'_> {
    fn run(&self, results: &mut Results) -> Result<(), Error> {
        if self.options.parts.iter().any(|part| !matches!(part, Part::Many | Part::Ntguest)) {
            self.side_by_side(results)?;
        }
        if self.wants(Part::Many) {
            self.many(results)?;
        }
        if self.wants(Part::Ntguest) {
            self.ntguest(results)?;
        }
        Ok(())
    }

    fn wants(&self, part: Part) -> bool {
        self.options.parts.contains(&part)
    }

    /// The Linux guests. One that cannot do a part ends the run: a table with a hole compares nothing.
    fn side_by_side(&self, results: &mut Results) -> Result<(), Error> {
        let songs = if self.wants(Part::Bits) { bits::songs() } else { Vec::new() };
        let mut guests = Vec::new();
        for card in &self.options.cards {
            (self.say)(&format!("boots Linux with {}", card.what));
            guests.push(Guest::boot(&self.artefacts, &self.folder.join(card.name), card, 1, &songs)?);
        }
        results.machine.kernel = guests.first().map(|guest| guest.kernel.clone()).unwrap_or_default();
        if self.wants(Part::Cost) {
            self.cost(&mut guests, results)?;
        }
        for (guest, card) in guests.iter_mut().zip(&self.options.cards) {
            for &period in self.options.periods.iter().filter(|_| self.wants(Part::Position)) {
                results.position.push(cells::position(guest, card, period, self.options.time)?);
            }
            for &period in self.options.periods.iter().filter(|_| self.wants(Part::RoundTrip)) {
                results.round_trip.push(cells::round_trip(guest, card, period, self.options.time)?);
            }
        }
        for (mut guest, card) in guests.into_iter().zip(&self.options.cards) {
            let mut rows = if self.wants(Part::Bits) { bits::play(&mut guest, card)? } else { Vec::new() };
            results.served.extend(served(card.name, &guest.end()?));
            bits::judge(&mut rows, card, &self.folder.join(card.name))?;
            results.bits.extend(rows);
        }
        Ok(())
    }

    fn cost(&self, guests: &mut [Guest], results: &mut Results) -> Result<(), Error> {
        let mut rounds = Rounds::default();
        for round in 1..=self.options.rounds {
            for period in [0].into_iter().chain(self.options.periods.iter().copied()) {
                (self.say)(&match period {
                    0 => format!("round {round} of {}: idle", self.options.rounds),
                    _ => format!("round {round} of {}: {period} ms", self.options.rounds),
                });
                for (number, guest) in guests.iter_mut().enumerate() {
                    rounds.add(number, period, measure(guest, period, 1, self.options.time)?);
                }
            }
        }
        for (number, card) in self.options.cards.iter().enumerate() {
            results.cost.extend(rounds.rows(number, card.name));
        }
        Ok(())
    }

    fn many(&self, results: &mut Results) -> Result<(), Error> {
        let count = self.options.many;
        let Some(ours) = LINUX_CARDS.iter().find(|card| card.name == "virtio") else { return Ok(()) };
        (self.say)(&format!("boots Linux with {count} cards of ours"));
        let mut guest = Guest::boot(&self.artefacts, &self.folder.join("many"), ours, count, &[])?;
        // Idle until all of them are probed and quiet.
        thread::sleep(Duration::from_secs(1));
        let (qemu, devices) = watch(&guest, self.options.time)?;
        let playing = measure(&mut guest, USUAL_PERIOD_MS, count, self.options.time)?;
        let memory: Result<Vec<u64>, Error> = guest.devices().into_iter().map(usage::anonymous_kib).collect();
        let memory = Spread::of(memory?.into_iter().map(|kib| kib as f64));
        let xruns = guest::count(&playing.figures, "xruns");
        for (plays, qemu, devices, xruns) in
            [(false, qemu, devices, 0), (true, playing.qemu, playing.device, xruns)]
        {
            let devices = devices.unwrap_or_default();
            results.many.push(Many {
                cards: count,
                playing: plays,
                memory_kib: memory,
                devices_percent: devices.percent,
                device_wakes: devices.wakes,
                qemu_percent: qemu.percent,
                xruns,
            });
        }
        guest.end().map(drop)
    }

    fn ntguest(&self, results: &mut Results) -> Result<(), Error> {
        let artefacts = NtguestArtefacts::from_env()?;
        let wav = ntguest::tune(&artefacts, self.folder, self.options.time)?;
        for card in &NTGUEST_CARDS {
            for &period in &self.options.periods {
                (self.say)(&format!("ringwave.sys plays on {}: {period} ms", card.name));
                let played: Result<Vec<_>, Error> = (0..self.options.rounds)
                    .map(|_| ntguest::play(&artefacts, card, &wav, period, self.options.time))
                    .collect();
                results.ntguest.push(ntguest::row(card, period, played?));
            }
        }
        Ok(())
    }
}

fn served(card: &str, reports: &[ringwave_report::SessionReport]) -> Vec<Served> {
    let of = |report: &ringwave_report::SessionReport| Served {
        card: card.into(),
        worst_lateness_us: report.worst_lateness_us,
        underruns: report.streams.iter().filter_map(|stream| stream.underruns).sum(),
        wakes: report.wakes,
        seconds: report.seconds,
    };
    reports.iter().map(of).collect()
}

fn machine(artefacts: &Artefacts) -> Machine {
    let version = Command::new(&artefacts.qemu).arg("--version").output();
    let version =
        version.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    Machine {
        accel: artefacts.accel.clone(),
        qemu: version.lines().next().unwrap_or_default().to_owned(),
        processor: model.map(|(_, model)| model.to_owned()).unwrap_or_default(),
        processors: thread::available_parallelism().map_or(0, Into::into),
        load: load.split_whitespace().take(3).collect::<Vec<_>>().join(" "),
        kernel: String::new(),
    }
}
