//! What a run showed, and the short table at its end.

use std::{fmt, path::PathBuf, time::Duration};

use ringwave_audio::{
    compare::{Comparison, Verdict},
    wav::Sound,
};

use crate::{
    guest_log::GuestLog,
    machine::Outcome,
    request::{CardKind, Scenario},
};
use ringwave_report::{Direction, DmaMode, SessionReport, html::Timeline, junit::TestCase};

/// How many violations are printed in full.
const VIOLATIONS_SHOWN: usize = 20;

/// All that a run showed.
#[derive(Clone, Debug)]
pub struct Report {
    /// Which way the sound went.
    pub scenario: Scenario,
    /// The card.
    pub kind: CardKind,
    /// Whether the card waited for packets that were late.
    pub waits: bool,
    /// How the guest ended; `None` = not in time.
    pub outcome: Option<Outcome>,
    /// What arrived, compared with what was sent; `None` if nothing arrived at all.
    pub comparison: Option<Comparison>,
    /// What a loopback recorded, compared with what the card played.
    pub loopback: Option<Comparison>,
    /// The card's statistics.
    pub card: SessionReport,
    /// The guest's log.
    pub guest: GuestLog,
    /// Violations named by the guest and by the DMA checker.
    pub violations: Vec<String>,
    /// What a client that records wrote out.
    pub recorded: Vec<u8>,
    /// What the card gave to its sink; `None` if nothing.
    pub played: Option<Sound>,
    /// What happened when, if it was asked for.
    pub timeline: Option<Timeline>,
    /// From the start of the card to the verdict.
    pub wall: Duration,
    /// The run's folder, if it was kept.
    pub folder: Option<PathBuf>,
}

impl Report {
    /// Bit-exact (in real time: but for what was counted), no violation, and the guest is content.
    pub fn passed(&self) -> bool {
        self.guest_is_content() && self.violations.is_empty() && self.arrived_whole() && self.looped_whole()
    }

    /// What arrived is what was sent (in real time: but for what was counted).
    pub(crate) fn arrived_whole(&self) -> bool {
        let right = |it: &Comparison| if self.waits { it.bit_exact() } else { it.accounted_for() };
        self.comparison.as_ref().is_some_and(right)
    }

    /// What a loopback recorded is what was played; so it is where there is none.
    pub(crate) fn looped_whole(&self) -> bool {
        self.scenario != Scenario::Loopback || self.loopback.as_ref().is_some_and(Comparison::accounted_for)
    }

    /// A guest that was late in real time has not done all it wanted, and says so; that is no fault of
    /// anybody's.
    fn guest_is_content(&self) -> bool {
        let end = self.guest.end.as_ref();
        let late = !self.waits && self.guest.result("late").is_some_and(|late| late > 0);
        match self.outcome {
            Some(Outcome::Ok) => end.is_some_and(|end| end.ok && end.violations == 0),
            Some(Outcome::Failed) => late && end.is_some_and(|end| end.violations == 0),
            _ => false,
        }
    }

    /// The verdict on what arrived.
    pub fn verdict(&self) -> Option<Verdict> {
        self.comparison.as_ref().map(|comparison| comparison.verdict)
    }

    /// The same as test cases.
    pub fn cases(&self) -> Vec<TestCase> {
        let heard = self.comparison.as_ref().map_or("nothing was heard".into(), |it| it.verdict.to_string());
        let mut cases = vec![TestCase {
            time: self.wall,
            output: self.to_string(),
            ..TestCase::new("what arrived is what was sent", (!self.arrived_whole()).then_some(heard))
        }];
        if self.scenario == Scenario::Loopback {
            let verdict =
                self.loopback.as_ref().map_or("nothing was recorded".into(), |it| it.verdict.to_string());
            cases.push(TestCase::new(
                "the loopback is what was played",
                (!self.looped_whole()).then_some(verdict),
            ));
        }
        let broken = (!self.violations.is_empty()).then(|| self.violations.join("\n"));
        cases.push(TestCase::new("no rule is broken", broken));
        let end = format!("the guest ended otherwise: {:?}, {:?}", self.outcome, self.guest.end);
        cases.push(TestCase::new("the guest did all it wanted", (!self.guest_is_content()).then_some(end)));
        cases
    }

    /// Whether `rule` is among the violations.
    pub fn violated(&self, rule: &str) -> bool {
        let word = format!("rule={rule}");
        self.violations.iter().any(|line| line.split_whitespace().next() == Some(word.as_str()))
    }

    /// What was compared.
    fn comparison_rows(&self, row: &mut impl FnMut(&str, String) -> fmt::Result) -> fmt::Result {
        let records = matches!(self.scenario, Scenario::Record(_));
        let Some(comparison) = &self.comparison else { return row("verdict", "nothing was heard".into()) };
        let [sent, arrived] =
            if records { ["frames heard", "frames recorded"] } else { ["frames in", "frames heard"] };
        row(sent, comparison.frames[0].to_string())?;
        row(arrived, comparison.frames[1].to_string())?;
        row("verdict", comparison.verdict.to_string())?;
        if let Some(loopback) = &self.loopback {
            row("recorded from loopback", format!("{} frames", loopback.frames[1]))?;
            row("verdict on it", loopback.verdict.to_string())?;
        }
        let level = |value: Option<f64>| value.map_or("silence".into(), |db| format!("{db:.1} dBFS"));
        let (peak, rms) = (level(comparison.peak_dbfs), level(comparison.rms_dbfs));
        row(if records { "recorded: peak, RMS" } else { "heard: peak, RMS" }, format!("{peak}, {rms}"))
    }

    /// What the card and the guest counted.
    fn count_rows(&self, row: &mut impl FnMut(&str, String) -> fmt::Result) -> fmt::Result {
        let records = matches!(self.scenario, Scenario::Record(_));
        let result = |key: &str| self.guest.results.get(key).cloned();
        if let Some(stream) = self.card.first(if records { Direction::Capture } else { Direction::Render }) {
            let entries = match stream.dma_mode {
                DmaMode::ScatterGather => format!(", {} entries", stream.sg_entries),
                DmaMode::Contiguous => String::new(),
            };
            match self.kind {
                CardKind::Ringwave => {
                    row("DMA mode", format!("{}{entries}", stream.dma_mode))?;
                    row("packets", stream.packets_completed.to_string())?;
                }
                CardKind::Virtio => {
                    row("DMA addresses", "not checked: this card's trace has none".into())?;
                    row("messages played", stream.packets_completed.to_string())?;
                }
            }
            let notifications = if records { "capture_notifications" } else { "notifications" };
            row("notifications", result(notifications).unwrap_or("unknown".into()))?;
            let silence = match (self.waits, stream.silence_frames) {
                (true, 0) => String::new(),
                (_, frames) => format!(", {frames} frames"),
            };
            let underruns = stream.underruns.map_or("unknown".into(), |n| n.to_string());
            row(if records { "overruns" } else { "underruns" }, underruns + &silence)?;
        }
        if self.kind == CardKind::Ringwave {
            self.message_row(row)?;
        }
        for key in ["lost-packets", "position_reads", "capture_position_reads"] {
            if let Some(value) = result(key) {
                row(&key.replace(['_', '-'], " "), value)?;
            }
        }
        Ok(())
    }

    /// Registers that were touched while a stream ran.
    fn message_row(&self, row: &mut impl FnMut(&str, String) -> fmt::Result) -> fmt::Result {
        let messages = &self.card.messages.while_running;
        // The driver announces the end of a stream in registers, and marks to a card that waits.
        let end = messages.eos.saturating_mul(2).min(messages.written + messages.eos);
        let others = messages.reads + messages.writes + (messages.written + messages.eos - end);
        let looks = if self.waits {
            format!(", {} to tell a waiting card of a packet", messages.look)
        } else {
            String::new()
        };
        let others = if self.waits { others } else { others + messages.look };
        row("messages while running", format!("{others} (and {end} for the end of the stream{looks})"))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut row = |name: &str, value: String| writeln!(f, "  {name:<26} {value}");
        self.comparison_rows(&mut row)?;
        self.count_rows(&mut row)?;
        row("violations", self.violations.len().to_string())?;
        row("wall time", format!("{:.1} s", self.wall.as_secs_f64()))?;
        for violation in self.violations.iter().take(VIOLATIONS_SHOWN) {
            writeln!(f, "  ! {violation}")?;
        }
        if let Some(folder) = &self.folder {
            writeln!(f, "  {:<26} {}", "kept", folder.display())?;
        }
        Ok(())
    }
}
