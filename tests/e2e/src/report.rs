//! The short table at the end of a run.

use std::fmt;

use crate::play::Report;

/// How many violations are printed in full.
const VIOLATIONS_SHOWN: usize = 20;

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let row = |f: &mut fmt::Formatter<'_>, name: &str, value: String| writeln!(f, "  {name:<26} {value}");
        match &self.comparison {
            Some(comparison) => {
                row(f, "frames in", comparison.frames[0].to_string())?;
                row(f, "frames heard", comparison.frames[1].to_string())?;
                row(f, "verdict", comparison.verdict.to_string())?;
                let level = |value: Option<f64>| value.map_or("silence".into(), |db| format!("{db:.1} dBFS"));
                let (peak, rms) = (level(comparison.peak_dbfs), level(comparison.rms_dbfs));
                row(f, "heard: peak, RMS", format!("{peak}, {rms}"))?;
            }
            None => row(f, "verdict", "nothing was heard".into())?,
        }
        if let Some(stream) = self.card.streams.first() {
            let entries = match stream.dma_mode.as_str() {
                "scatter-gather" => format!(", {} entries", stream.sg_entries),
                _ => String::new(),
            };
            row(f, "DMA mode", format!("{}{entries}", stream.dma_mode))?;
            row(f, "packets", stream.packets_completed.to_string())?;
            let notifications = self.guest.results.get("notifications").map_or("unknown", String::as_str);
            row(f, "notifications", notifications.into())?;
            row(f, "underruns", stream.underruns.map_or("unknown".into(), |n| n.to_string()))?;
        }
        let messages = &self.card.messages.while_running;
        let others = messages.reads + messages.writes;
        row(
            f,
            "messages while running",
            format!("{others} (and {} for WRITTEN)", messages.written + messages.eos),
        )?;
        if let Some(reads) = self.guest.results.get("position_reads") {
            row(f, "position reads", reads.clone())?;
        }
        row(f, "violations", self.violations.len().to_string())?;
        row(f, "wall time", format!("{:.1} s", self.wall.as_secs_f64()))?;
        for violation in self.violations.iter().take(VIOLATIONS_SHOWN) {
            writeln!(f, "  ! {violation}")?;
        }
        if let Some(folder) = &self.folder {
            row(f, "kept", folder.display().to_string())?;
        }
        Ok(())
    }
}
