//! What was measured, as JSON: `version` changes when a name or a meaning does.

use serde::Serialize;

/// Several measurements of the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Spread {
    /// The one in the middle.
    pub median: f64,
    /// The least.
    pub least: f64,
    /// The greatest.
    pub greatest: f64,
}

impl Spread {
    /// Of these; `None` if there are none.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = values.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let (least, greatest) = (*sorted.first()?, *sorted.last()?);
        Some(Self { median: *sorted.get((sorted.len() - 1) / 2)?, least, greatest })
    }
}

/// A run of `bench-cards`. Percent are of one core; what could not be measured is null.
#[derive(Debug, Serialize)]
pub struct Results {
    /// Of this schema.
    pub version: u32,
    /// Where it was measured.
    pub machine: Machine,
    /// How often each cell was measured, and for how long.
    pub rounds: u32,
    /// Seconds of a cell.
    pub seconds: f64,
    /// What playing costs.
    pub cost: Vec<Cost>,
    /// How the position moves.
    pub position: Vec<PositionRow>,
    /// From render to capture.
    pub round_trip: Vec<RoundTrip>,
    /// Whether what arrives is what was played.
    pub bits: Vec<Bits>,
    /// Many cards of ours on this host.
    pub many: Vec<Many>,
    /// `ringwave.sys` in ntguest.
    pub ntguest: Vec<Ntguest>,
    /// The cards' own statistics.
    pub served: Vec<Served>,
}

/// Where it was measured.
#[derive(Debug, Serialize)]
pub struct Machine {
    /// `kvm` or `tcg`: with TCG each instruction of the guest is emulated, in QEMU's time.
    pub accel: String,
    /// The first line of `qemu --version`.
    pub qemu: String,
    /// Of the host.
    pub processor: String,
    /// Of the host.
    pub processors: usize,
    /// The host's load when it began: more than a little, and the figures are of that.
    pub load: String,
    /// The Linux guest's.
    pub kernel: String,
}

/// A card that is idle, or plays at a period.
#[derive(Debug, Serialize)]
pub struct Cost {
    /// Its name.
    pub card: String,
    /// Milliseconds of the period; 0 is idle.
    pub period_ms: u32,
    /// QEMU's time in percent of a core.
    pub qemu_percent: Option<Spread>,
    /// That of it which is not of the guest's processors.
    pub qemu_devices_percent: Option<Spread>,
    /// The device process's.
    pub device_percent: Option<Spread>,
    /// QEMU and the device process over what they take when idle, from the same round.
    pub over_idle_percent: Option<Spread>,
    /// The same without the guest's processors: what the card itself costs.
    pub card_over_idle_percent: Option<Spread>,
    /// That over the first card's of the same round.
    pub card_ratio: Option<Spread>,
    /// Wake-ups of QEMU's threads in a second.
    pub qemu_wakes: Option<Spread>,
    /// Those of the device process.
    pub device_wakes: Option<Spread>,
    /// Accesses to the card's registers that came to the device process in a second: HD Audio of ours alone.
    pub traps: Option<Spread>,
    /// The guest's interrupts from the card in a second.
    pub interrupts: Option<Spread>,
    /// In all rounds together.
    pub xruns: u64,
    /// Microseconds that an interrupt came after its time, by the guest's clock, counted from the earliest.
    pub late_us_p50: Option<Spread>,
    /// 99 of 100 came earlier.
    pub late_us_p99: Option<Spread>,
    /// The latest.
    pub late_us_max: Option<Spread>,
}

/// How the position moves that an application sees which asks all the time.
#[derive(Debug, Serialize)]
pub struct PositionRow {
    /// Its name.
    pub card: String,
    /// Milliseconds of the period.
    pub period_ms: u32,
    /// Microseconds of sound by which it moves at a time.
    pub step_us_p50: Option<f64>,
    /// The most.
    pub step_us_max: Option<f64>,
    /// How far it is off a straight line, 99 of 100 looks.
    pub off_us_p99: Option<f64>,
    /// Xruns meanwhile: an application that asks all the time is late under TCG.
    pub xruns: u64,
}

/// From the write of a click to the read that has it; two periods are written ahead.
#[derive(Debug, Serialize)]
pub struct RoundTrip {
    /// Its name.
    pub card: String,
    /// Milliseconds of the period.
    pub period_ms: u32,
    /// Microseconds; null where the card has no loopback.
    pub trip_us_p50: Option<f64>,
    /// The longest.
    pub trip_us_max: Option<f64>,
    /// Clicks that came.
    pub clicks: u64,
    /// Xruns meanwhile.
    pub xruns: u64,
}

/// A song at the sink.
#[derive(Debug, Serialize)]
pub struct Bits {
    /// Its name.
    pub card: String,
    /// As `s16x2@48000`.
    pub format: String,
    /// `bit-exact`, `not bit-exact`, or `not offered` with the driver's word.
    pub verdict: String,
    /// Xruns while it was played.
    pub xruns: u64,
}

/// Many cards of ours in one guest, a process each.
#[derive(Debug, Serialize)]
pub struct Many {
    /// How many.
    pub cards: u32,
    /// Whether all play, with 20 ms periods.
    pub playing: bool,
    /// Memory of a card that is its own, in KiB.
    pub memory_kib: Option<Spread>,
    /// All cards together, in percent of a core.
    pub devices_percent: f64,
    /// All cards together, in a second.
    pub device_wakes: f64,
    /// QEMU's.
    pub qemu_percent: f64,
    /// In all streams.
    pub xruns: u64,
}

/// `ringwave.sys` plays in ntguest, in real time.
#[derive(Debug, Serialize)]
pub struct Ntguest {
    /// Its name.
    pub card: String,
    /// Milliseconds of a packet.
    pub period_ms: u32,
    /// QEMU's time in percent of a core, with the emulated guest.
    pub qemu_percent: Option<Spread>,
    /// The card's process.
    pub device_percent: Option<Spread>,
    /// Wake-ups of the card's process in a second.
    pub device_wakes: Option<Spread>,
    /// Interrupts in a second of sound.
    pub interrupts: Option<Spread>,
    /// Packets that came late, of all rounds.
    pub underruns: u64,
    /// Microseconds from the end of a packet to its handling, the longest.
    pub worst_lateness_us: Option<Spread>,
    /// The verdict of each round, as `qemu-scripts/play` has it.
    pub verdicts: Vec<String>,
}

/// What `ringwave serve` says of its whole session.
#[derive(Debug, Serialize)]
pub struct Served {
    /// Its name.
    pub card: String,
    /// The end of a period that it handled the latest, in microseconds of real time.
    pub worst_lateness_us: u64,
    /// Of all streams.
    pub underruns: u64,
    /// Of its engine.
    pub wakes: u64,
    /// From its client's first word to its last, in seconds.
    pub seconds: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_of_an_even_number_is_one_that_was_measured() {
        let spread = Spread::of([4.0, 1.0, 3.0, 2.0]).expect("four");
        assert_eq!(spread, Spread { median: 2.0, least: 1.0, greatest: 4.0 });
        assert_eq!(Spread::of([]), None);
    }
}
