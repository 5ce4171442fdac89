//! What a run of the Linux guest showed, and what of it is told.

use std::{fmt, path::PathBuf, time::Duration};

use ringwave_audio::{compare::Comparison, wav::Sound};
use ringwave_report::{SessionReport, html::Timeline, junit::TestCase};

/// What a run showed.
#[derive(Debug)]
pub struct Report {
    /// The steps of the guest and their exit codes.
    pub steps: Vec<(String, i32)>,
    /// The guest came to its end.
    pub ended: bool,
    /// Lines of the kernel's log that speak of sound or of a fault of the kernel.
    pub dmesg: Vec<String>,
    /// The guest's kernel.
    pub kernel: String,
    /// What the card played first, compared with the song.
    pub played: Option<Comparison>,
    /// What the guest recorded, compared with the song.
    pub recorded: Option<Comparison>,
    /// All that the card played: a sound whenever the format changed.
    pub heard: Vec<Sound>,
    /// What the guest recorded and kept, by its name.
    pub kept: Vec<(String, Sound)>,
    /// The card's statistics.
    pub card: SessionReport,
    /// What happened when, if it was asked for.
    pub timeline: Option<Timeline>,
    /// Whether nothing may be missing or silent: where the card waits, and with HD Audio.
    pub exact: bool,
    /// From the start of the card to the verdict.
    pub wall: Duration,
    /// The run's folder, if it was kept.
    pub folder: Option<PathBuf>,
}

impl Report {
    /// Every step succeeded, nothing in the kernel's log, and what arrived is right.
    pub fn passed(&self) -> bool {
        self.cases().iter().all(|case| case.failure.is_none())
    }

    /// The same as test cases.
    pub fn cases(&self) -> Vec<TestCase> {
        let heard = [(&self.played, self.played_whole()), (&self.recorded, self.recorded_whole())];
        let wrong =
            heard.into_iter().find(|(_, whole)| !whole).and_then(|(comparison, _)| comparison.as_ref());
        let nothing = self.played.is_none() && self.recorded.is_none();
        let sound = match wrong {
            Some(comparison) => Some(comparison.verdict.to_string()),
            None => nothing.then(|| "nothing was heard".to_owned()),
        };
        let failed = self.steps.iter().filter(|(_, code)| *code != 0);
        let mut undone: Vec<String> = failed.map(|(name, code)| format!("{name}: {code}")).collect();
        undone.extend((!self.ended).then(|| "did not come to its end".to_owned()));
        vec![
            TestCase {
                time: self.wall,
                output: self.to_string(),
                ..TestCase::new("what arrived is what was sent", sound)
            },
            TestCase::new("the guest did each step", (!undone.is_empty()).then(|| undone.join(", "))),
            TestCase::new(
                "the kernel's log has no fault of sound",
                (!self.dmesg.is_empty()).then(|| self.dmesg.join("\n")),
            ),
        ]
    }

    /// What the card played is the song; so it is where it played nothing.
    pub(crate) fn played_whole(&self) -> bool {
        let right = |it: &Comparison| if self.exact { it.bit_exact() } else { it.accounted_for() };
        self.played.as_ref().is_none_or(right)
    }

    /// Likewise what was recorded, which begins before the song or in the midst of silence.
    pub(crate) fn recorded_whole(&self) -> bool {
        self.recorded.as_ref().is_none_or(Comparison::accounted_for)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut row = |name: &str, value: String| writeln!(f, "  {name:<26} {value}");
        row("guest", format!("Linux {}", self.kernel))?;
        for (what, comparison) in [("played", &self.played), ("recorded", &self.recorded)] {
            if let Some(comparison) = comparison {
                row(what, format!("{} of {} frames", comparison.frames[1], comparison.frames[0]))?;
                row("verdict", comparison.verdict.to_string())?;
            }
        }
        for stream in &self.card.streams {
            let xruns = stream.underruns.map_or("unknown".into(), |xruns| xruns.to_string());
            let silence = format!("{xruns} xruns, {} silent frames", stream.silence_frames);
            row(&format!("stream {}", stream.index), silence)?;
        }
        let failed: Vec<String> = self
            .steps
            .iter()
            .filter(|(_, code)| *code != 0)
            .map(|(name, code)| format!("{name}: {code}"))
            .collect();
        let steps = if failed.is_empty() { "all done".to_owned() } else { failed.join(", ") };
        row("steps of the guest", steps)?;
        row("wall time", format!("{:.1} s", self.wall.as_secs_f64()))?;
        if !self.ended {
            row("guest", "did not come to its end".into())?;
        }
        for line in &self.dmesg {
            row("dmesg", line.clone())?;
        }
        if let Some(folder) = &self.folder {
            row("kept", folder.display().to_string())?;
        }
        Ok(())
    }
}
