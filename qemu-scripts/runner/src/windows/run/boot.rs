//! One boot of a run: the machine from power-on to power-off, restart or crash. WINDOWS.md, 8 to 10.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::card::Card;
use crate::error::Error;
use crate::process::check_stop;
use crate::windows::guest::{Guest, Serial, drive_failed, stop_code, timed};
use crate::windows::progress::{Late, Plan, Problem, Progress, Step};

/// From the news of a crash to the reset: the dump is written meanwhile.
const DUMP_MINUTES: u32 = 15;
/// From an NMI to the reset, or to the news of a crash.
const NMI_MINUTES: u32 = 5;
/// From the power button to power-off.
const POWER_BUTTON_MINUTES: u32 = 2;

/// How a boot ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// The work was done, and Windows turned itself off. The program's exit code, if it was to run.
    Off(Option<i64>),
    /// A restart that was announced.
    Restart,
    /// The program did not end within this time.
    TimeOver(Duration),
    /// Windows crashed.
    Crash {
        /// In this stage.
        stage: &'static str,
        /// What QEMU knows of it.
        code: Option<String>,
        /// It started again, so it may have written a dump.
        reset: bool,
    },
    /// The agent gave up.
    Problem(Problem),
    /// Anything else.
    Failed(String),
}

/// A boot that has ended.
#[derive(Debug)]
pub struct Ended {
    /// How.
    pub end: End,
    /// The guest turned itself off.
    pub off: bool,
    /// It hung, and crashed by an NMI, so it may have written a dump.
    pub dumped: bool,
}

/// How a boot is followed.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The stages.
    pub plan: &'static Plan,
    /// How long a minute of their limits is.
    pub minute: Duration,
    /// How long the program may take.
    pub program: Duration,
    /// The boot after a crash.
    pub is_dump: bool,
    /// How many minutes what is asked of the device may take.
    pub device_minutes: u32,
}

/// A boot on its way.
pub struct Boot<'a> {
    guest: Guest,
    card: &'a mut Card,
    serial: &'a mut Serial,
    progress: Progress,
    minute: Duration,
    /// Since when it is known that Windows crashed, and what QEMU knows of it.
    crash: Option<(Duration, Option<String>)>,
    /// Since the run began.
    start: Instant,
    /// The guest turned itself off, so what it wrote is on its disks.
    off: bool,
    /// An NMI may tell what a hang is about: not in the boot for a dump.
    nmi: bool,
    /// A stage is late, and the agent had begun.
    hangs: bool,
}

impl<'a> Boot<'a> {
    /// Switches the machine on.
    ///
    /// # Errors
    /// [`Error::Failed`] with what QEMU says.
    pub fn start(
        command: &mut Command,
        folder: &Path,
        (card, serial): (&'a mut Card, &'a mut Serial),
        limits: Limits,
        start: Instant,
    ) -> Result<Self, Error> {
        let progress = Progress::new(limits.plan, limits.minute, Duration::ZERO);
        Ok(Self {
            guest: Guest::start(command, folder)?,
            card,
            serial,
            progress: progress.with_limits(limits.program, limits.minute * limits.device_minutes),
            minute: limits.minute,
            crash: None,
            start,
            off: false,
            nmi: !limits.is_dump,
            hangs: false,
        })
    }

    /// Follows it to its end; QEMU has ended then, too.
    ///
    /// # Errors
    /// [`Error::Interrupted`]; [`Error::Failed`] if QEMU does not do what it should.
    pub fn follow(mut self, tell: &mut dyn FnMut(&str)) -> Result<Ended, Error> {
        let end = loop {
            check_stop()?;
            if let Some(end) = self.listen(tell) {
                break end;
            }
            match self.guest.next_event() {
                Ok(None) => {}
                Ok(Some(event)) => {
                    // What the guest said before it.
                    if let Some(end) = self.listen(tell).or_else(|| self.heed(&event, tell)) {
                        break end;
                    }
                }
                Err(Error::Failed(why)) => {
                    return Ok(Ended { end: End::Failed(why), off: false, dumped: false });
                }
                Err(error) => return Err(error),
            }
            if let Some(end) = self.late() {
                break end;
            }
            if !self.card.runs()? {
                break End::Failed(format!("the card ended: {}", self.card.log().trim()));
            }
        };
        match &end {
            End::Off(_) | End::Restart | End::Crash { reset: true, .. } => {}
            End::Problem(_) if self.off => {}
            End::TimeOver(_) => {
                self.guest.keep_screen();
                self.press_power_button(tell)?;
                self.hangs = !self.off;
            }
            End::Problem(_) | End::Crash { .. } | End::Failed(_) => self.guest.keep_screen(),
        }
        let dumped = self.nmi && self.hangs && self.inject_nmi(tell)?;
        self.guest.quit()?;
        Ok(Ended { end, off: self.off, dumped })
    }

    fn listen(&mut self, tell: &mut dyn FnMut(&str)) -> Option<End> {
        let lines = match self.serial.more() {
            Ok(lines) => lines,
            Err(why) => return Some(End::Failed(why)),
        };
        for line in lines {
            match self.progress.hear(self.guest.running(), line) {
                Step::None | Step::PressKeys => {}
                Step::Tell(text) => tell(&timed(self.start.elapsed(), &text)),
                Step::Fail(why) => return Some(End::Failed(why)),
            }
        }
        None
    }

    fn heed(&mut self, event: &Value, tell: &mut dyn FnMut(&str)) -> Option<End> {
        let stage = self.progress.stage();
        match event["event"].as_str().unwrap_or_default() {
            "GUEST_PANICKED" | "GUEST_CRASHLOADED" => {
                let known = stop_code(event);
                let text = known.clone().unwrap_or_else(|| "no stop code is known yet".into());
                tell(&timed(self.start.elapsed(), &format!("Windows crashed: {text}")));
                let (since, before) = self.crash.take().unwrap_or((self.guest.running(), None));
                self.crash = Some((since, known.or(before)));
                None
            }
            "BLOCK_IO_ERROR" => Some(End::Failed(drive_failed(event, stage))),
            "SHUTDOWN" => {
                let reset = event["data"]["reason"] == "guest-reset";
                self.off = !reset;
                Some(self.shut_down(reset))
            }
            _ => None,
        }
    }

    /// The machine was reset, which stops it here, or turned off.
    fn shut_down(&mut self, reset: bool) -> End {
        let stage = self.progress.stage();
        match (reset, self.crash.take()) {
            (true, None) if self.progress.is_restart(self.guest.running()) => End::Restart,
            (true, crash) => End::Crash { stage, code: crash.and_then(|(_, code)| code), reset },
            (false, Some((_, code))) => End::Crash { stage, code, reset },
            (false, None) => match (self.progress.problem(), self.progress.powered_off()) {
                (Some(problem), _) => End::Problem(problem.clone()),
                (None, Ok(())) => End::Off(self.progress.exit()),
                (None, Err(why)) => End::Failed(why),
            },
        }
    }

    fn late(&mut self) -> Option<End> {
        let now = self.guest.running();
        if let Some((since, code)) = &self.crash {
            let late = now.saturating_sub(*since) > self.minute * DUMP_MINUTES;
            let stage = self.progress.stage();
            return late.then(|| End::Crash { stage, code: code.clone(), reset: false });
        }
        match self.progress.late(now)? {
            Late::Program(limit) => Some(End::TimeOver(limit)),
            Late::Guest(why) => {
                if let Some(problem) = self.progress.problem() {
                    return Some(End::Problem(problem.clone()));
                }
                self.hangs = !self.progress.is_before_first();
                Some(End::Failed(why))
            }
        }
    }

    /// Has a Windows that hangs crash, and waits until it has written a dump of that; whether it may have.
    fn inject_nmi(&mut self, tell: &mut dyn FnMut(&str)) -> Result<bool, Error> {
        tell(&timed(self.start.elapsed(), "Windows hangs; an NMI has it crash and write a dump"));
        self.guest.qmp().command("inject-nmi", &json!({}))?;
        let (mut begin, mut minutes) = (self.guest.running(), NMI_MINUTES);
        while self.guest.running().saturating_sub(begin) < self.minute * minutes {
            check_stop()?;
            let Some(event) = self.guest.next_event()? else { continue };
            match event["event"].as_str().unwrap_or_default() {
                "GUEST_PANICKED" | "GUEST_CRASHLOADED" => {
                    let known = stop_code(&event).unwrap_or_else(|| "no stop code is known yet".into());
                    tell(&timed(self.start.elapsed(), &format!("Windows crashed: {known}")));
                    (begin, minutes) = (self.guest.running(), DUMP_MINUTES);
                }
                "SHUTDOWN" => return Ok(event["data"]["reason"] == "guest-reset"),
                _ => {}
            }
        }
        tell(&timed(self.start.elapsed(), "the NMI did nothing"));
        Ok(false)
    }

    /// So that what the program wrote gets onto the disk, if the guest still hears.
    fn press_power_button(&mut self, tell: &mut dyn FnMut(&str)) -> Result<(), Error> {
        tell(&timed(self.start.elapsed(), "the program's time is over; the power button is pressed"));
        self.guest.qmp().command("system_powerdown", &json!({}))?;
        let begin = self.guest.running();
        while self.guest.running().saturating_sub(begin) < self.minute * POWER_BUTTON_MINUTES {
            check_stop()?;
            if self.guest.next_event()?.is_some_and(|event| event["event"] == "SHUTDOWN") {
                self.off = true;
                return Ok(());
            }
        }
        tell(&timed(self.start.elapsed(), "the guest does not turn itself off"));
        Ok(())
    }
}
