//! The cells of the table that a Linux guest and its card are measured in.

use std::{
    collections::BTreeMap,
    thread,
    time::{Duration, Instant},
};

use super::{
    cards::{Device, LinuxCard},
    guest::{Figures, Guest, count, number},
    results::{Cost, PositionRow, RoundTrip, Spread},
    usage::Usage,
};
use crate::error::Error;

/// What is measured begins so long after the sound, and ends so long before it.
const MARGIN: Duration = Duration::from_millis(300);
/// Frames in a second of what is played, 16-bit stereo.
const RATE: u32 = 48_000;
/// Periods of the buffer.
const PERIODS: u32 = 8;

/// The shape of a stream with this period, as an order says it.
fn shape(period_ms: u32) -> String {
    format!("format=s16 channels=2 rate={RATE} period={} periods={PERIODS}", RATE / 1000 * period_ms)
}

/// What was used between two looks, in a second each.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rate {
    /// Percent of a core.
    pub percent: f64,
    /// That of it which is not of the guest's processors.
    pub devices_percent: f64,
    /// Wake-ups.
    pub wakes: f64,
    /// Accesses to registers that came to the card's process.
    pub traps: Option<f64>,
}

impl Rate {
    fn of(usage: Usage, seconds: f64) -> Self {
        let percent = |nanos: u64| nanos as f64 / seconds / 1e7;
        Self {
            percent: percent(usage.cpu_ns),
            devices_percent: percent(usage.cpu_ns.saturating_sub(usage.guest_cpu_ns)),
            wakes: usage.wakes as f64 / seconds,
            traps: None,
        }
    }
}

/// What QEMU and the cards' processes use for so long.
///
/// # Errors
/// One of them is gone.
pub fn watch(guest: &Guest, time: Duration) -> Result<(Rate, Option<Rate>), Error> {
    let devices = guest.devices();
    let look = || -> Result<(Usage, Usage), Error> {
        let mut sum = Usage::default();
        for id in &devices {
            let usage = Usage::of(*id)?;
            sum.cpu_ns += usage.cpu_ns;
            sum.wakes += usage.wakes;
        }
        Ok((Usage::of(guest.qemu())?, sum))
    };
    let traps = guest.traps()?;
    let (begin, first) = (Instant::now(), look()?);
    thread::sleep(time);
    let (seconds, last) = (begin.elapsed().as_secs_f64(), look()?);
    let traps = traps.zip(guest.traps()?).map(|(first, last)| last.saturating_sub(first) as f64 / seconds);
    let device = (!devices.is_empty()).then(|| Rate { traps, ..Rate::of(last.1.since(first.1), seconds) });
    Ok((Rate::of(last.0.since(first.0), seconds), device))
}

/// One cell, once.
#[derive(Clone, Debug)]
pub struct Measured {
    /// QEMU.
    pub qemu: Rate,
    /// The cards' processes.
    pub device: Option<Rate>,
    /// What the guest said.
    pub figures: Figures,
}

/// Measures a guest that is idle (period 0), or that plays on so many cards.
///
/// # Errors
/// The guest does not answer, or cannot play.
pub fn measure(guest: &mut Guest, period_ms: u32, cards: u32, time: Duration) -> Result<Measured, Error> {
    let ms = (time + MARGIN * 2).as_millis();
    let order = match period_ms {
        0 => format!("idle ms={ms}"),
        _ => format!("play cards={cards} {} ms={ms}", shape(period_ms)),
    };
    let done = guest.order(&order, |guest| {
        thread::sleep(MARGIN);
        watch(guest, time)
    })?;
    let (figures, (qemu, device)) = done.map_err(|why| Error::Failed(format!("{order}: {why}")))?;
    Ok(Measured { qemu, device, figures })
}

/// All that was measured: by card and period, in the order of the rounds.
#[derive(Debug, Default)]
pub struct Rounds(BTreeMap<(usize, u32), Vec<Measured>>);

impl Rounds {
    /// One more.
    pub fn add(&mut self, card: usize, period_ms: u32, measured: Measured) {
        self.0.entry((card, period_ms)).or_default().push(measured);
    }

    fn of(&self, card: usize, period_ms: u32) -> &[Measured] {
        self.0.get(&(card, period_ms)).map_or(&[], Vec::as_slice)
    }

    /// Over idle, round by round: all of it, and without the guest's processors.
    fn over_idle(&self, card: usize, period_ms: u32) -> Vec<[f64; 2]> {
        let of = |it: &Measured| {
            let device = it.device.unwrap_or_default().percent;
            [it.qemu.percent + device, it.qemu.devices_percent + device]
        };
        let pairs = self.of(card, period_ms).iter().zip(self.of(card, 0));
        pairs
            .map(|(plays, idle)| (of(plays), of(idle)))
            .map(|(plays, idle)| [plays[0] - idle[0], plays[1] - idle[1]])
            .collect()
    }

    /// The rows of a card.
    pub fn rows(&self, card: usize, name: &str) -> Vec<Cost> {
        let periods = self.0.keys().filter(|(of, _)| *of == card).map(|(_, period)| *period);
        periods.map(|period_ms| self.row(card, name, period_ms)).collect()
    }

    fn row(&self, card: usize, name: &str, period_ms: u32) -> Cost {
        let all = self.of(card, period_ms);
        let spread = |of: &dyn Fn(&Measured) -> Option<f64>| Spread::of(all.iter().filter_map(of));
        let said = |name: &str| spread(&|it| number(&it.figures, name));
        let over = if period_ms == 0 { Vec::new() } else { self.over_idle(card, period_ms) };
        let first = if period_ms == 0 { Vec::new() } else { self.over_idle(0, period_ms) };
        let ratios = over.iter().zip(&first).filter(|(_, first)| first[1] > 0.0);
        Cost {
            card: name.into(),
            period_ms,
            qemu_percent: spread(&|it| Some(it.qemu.percent)),
            qemu_devices_percent: spread(&|it| Some(it.qemu.devices_percent)),
            device_percent: spread(&|it| Some(it.device?.percent)),
            over_idle_percent: Spread::of(over.iter().map(|over| over[0])),
            card_over_idle_percent: Spread::of(over.iter().map(|over| over[1])),
            card_ratio: Spread::of(ratios.map(|(over, first)| over[1] / first[1])),
            qemu_wakes: spread(&|it| Some(it.qemu.wakes)),
            device_wakes: spread(&|it| Some(it.device?.wakes)),
            traps: spread(&|it| it.device?.traps),
            interrupts: spread(&|it| {
                Some(number(&it.figures, "interrupts")? / number(&it.figures, "seconds")?)
            }),
            xruns: all.iter().map(|it| count(&it.figures, "xruns")).sum(),
            late_us_p50: said("late_us_p50"),
            late_us_p99: said("late_us_p99"),
            late_us_max: said("late_us_max"),
        }
    }
}

/// How the position moves.
///
/// # Errors
/// The guest does not answer, or cannot play.
pub fn position(
    guest: &mut Guest,
    card: &LinuxCard,
    period_ms: u32,
    time: Duration,
) -> Result<PositionRow, Error> {
    let order = format!("position {} ms={}", shape(period_ms), time.as_millis());
    let done = guest.order(&order, |_| Ok(()))?;
    let (figures, ()) = done.map_err(|why| Error::Failed(format!("{order}: {why}")))?;
    let said = |name: &str| number(&figures, name);
    Ok(PositionRow {
        card: card.name.into(),
        period_ms,
        step_us_p50: said("step_us_p50"),
        step_us_max: said("step_us_max"),
        off_us_p99: said("off_us_p99"),
        xruns: count(&figures, "xruns"),
    })
}

/// From render to capture.
///
/// # Errors
/// The guest does not answer, or cannot play.
pub fn round_trip(
    guest: &mut Guest,
    card: &LinuxCard,
    period_ms: u32,
    time: Duration,
) -> Result<RoundTrip, Error> {
    let mut row = RoundTrip {
        card: card.name.into(),
        period_ms,
        trip_us_p50: None,
        trip_us_max: None,
        clicks: 0,
        xruns: 0,
    };
    if let Device::Qemu(_) = card.device {
        return Ok(row);
    }
    let order = format!("round-trip {} ms={}", shape(period_ms), time.as_millis());
    let done = guest.order(&order, |_| Ok(()))?;
    let (figures, ()) = done.map_err(|why| Error::Failed(format!("{order}: {why}")))?;
    let said = |name: &str| number(&figures, name);
    (row.clicks, row.xruns) = (count(&figures, "clicks"), count(&figures, "xruns"));
    if row.clicks > 0 {
        (row.trip_us_p50, row.trip_us_max) = (said("trip_us_p50"), said("trip_us_max"));
    }
    Ok(row)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(qemu: f64, devices: f64, device: Option<f64>) -> Measured {
        let device = device.map(|percent| Rate { percent, ..Rate::default() });
        let figures = [("interrupts", "150"), ("seconds", "3.0"), ("xruns", "1"), ("late_us_p99", "80")];
        Measured {
            qemu: Rate { percent: qemu, devices_percent: devices, wakes: 10.0, traps: None },
            device,
            figures: figures.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        }
    }

    #[test]
    fn what_a_card_costs_is_over_its_own_idle_and_over_the_first_cards_of_the_same_round() {
        let mut rounds = Rounds::default();
        for (idle, plays) in [(5.0, 15.0), (6.0, 18.0)] {
            rounds.add(0, 0, measured(idle, 1.0, None));
            rounds.add(0, 20, measured(plays, 5.0, None));
            rounds.add(1, 0, measured(idle, 1.0, Some(0.5)));
            rounds.add(1, 20, measured(plays, 1.5, Some(1.0)));
        }
        let first = rounds.row(0, "qemu", 20);
        assert_eq!(first.over_idle_percent.map(|it| (it.least, it.greatest)), Some((10.0, 12.0)));
        let ours = rounds.row(1, "ours", 20);
        assert_eq!(ours.card_over_idle_percent.map(|it| it.median), Some(1.0));
        assert_eq!(ours.card_ratio.map(|it| it.median), Some(0.25));
        assert_eq!((ours.xruns, ours.interrupts.map(|it| it.median)), (2, Some(50.0)));
        assert_eq!((ours.traps, first.traps), (None, None), "of cards without registers in a process");
        assert_eq!(ours.late_us_p50, None, "what was not said is not known");
        assert_eq!(rounds.rows(1, "ours").len(), 2);
        assert_eq!(rounds.row(1, "ours", 0).card_ratio, None, "idle is over nothing");
    }
}
