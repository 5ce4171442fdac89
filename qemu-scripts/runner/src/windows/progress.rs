//! How far an installation or a run has come, from what is heard of the guest: WINDOWS.md, 4, 5, 9 and 10.
//! Time is the caller's.

use std::fmt;
use std::time::Duration;

use super::protocol::Line;

/// More resets than this are a loop.
const RESETS_MAX: u32 = 10;
/// Without KVM everything takes as many times as long.
const WITHOUT_KVM: u32 = 6;
/// Minutes from the announcement of a restart to the reset, in a run.
const RESTART: u32 = 5;

/// How many times as long everything takes on a host.
pub fn slower_with(kvm: bool) -> u32 {
    if kvm { 1 } else { WITHOUT_KVM }
}

/// How long a minute of the limits is on a host.
pub fn minute_with(kvm: bool) -> Duration {
    Duration::from_mins(1) * slower_with(kvm)
}

/// The stages that a guest goes through, in their order.
#[derive(Debug)]
pub struct Plan {
    /// Each with the most minutes that may pass from it to what comes next. The first is the guest's start,
    /// the last its end, and a guest names neither.
    stages: &'static [(&'static str, u32)],
    /// Minutes from `problem` to `done`.
    after_problem: u32,
    /// The guest turns itself off after it has failed, too, and the first stage is no question for a key.
    is_run: bool,
}

/// `windows build`.
pub const INSTALLATION: Plan = Plan {
    stages: &[
        ("power-on", 10),
        ("winpe", 60),
        ("specialize", 45),
        ("logon", 15),
        ("driver", 15),
        ("settings", 15),
        ("done", 5),
    ],
    after_problem: 1,
    is_run: false,
};
/// `windows run`. The program's own limit is what the user says.
pub const RUN: Plan = Plan {
    stages: &[
        ("power-on", 15),
        ("agent", 5),
        ("sound", 5),
        (PROGRAM, 30),
        (EXIT, 5),
        (COLLECT, 15),
        ("done", 5),
    ],
    after_problem: 5,
    is_run: true,
};
/// `windows run` of which something is asked of the device: its stage has a limit of its own.
pub const RUN_WITH_DEVICE: Plan = Plan {
    stages: &[
        ("power-on", 15),
        ("agent", 5),
        ("sound", 5),
        (DEVICE, 5),
        (PROGRAM, 30),
        (EXIT, 5),
        (COLLECT, 15),
        ("done", 5),
    ],
    ..RUN
};
/// The boot after a crash.
pub const DUMP: Plan = Plan {
    stages: &[("power-on", 15), ("agent", 5), (COLLECT, 15), ("done", 5)],
    after_problem: 5,
    is_run: true,
};

/// The stage in which the device is disabled, enabled and so on.
const DEVICE: &str = "device";
/// The stage in which the program runs.
const PROGRAM: &str = "program";
/// The line that ends it, as if it were a stage.
const EXIT: &str = "exit";
const COLLECT: &str = "collect";

impl Plan {
    /// How many minutes it may take at most.
    pub fn minutes(&self) -> u32 {
        self.stages.iter().map(|(_, minutes)| minutes).sum()
    }

    /// The names of the stages that a guest may say.
    pub fn named(&self) -> impl Iterator<Item = &'static str> {
        let last = self.stages.len().saturating_sub(1);
        let stages = self.stages.iter().take(last).skip(1);
        stages.map(|(name, _)| *name).filter(|name| *name != EXIT)
    }
}

/// What the caller has to do about something that was heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing.
    None,
    /// Answer the question for a key.
    PressKeys,
    /// Tell the person who waits.
    Tell(String),
    /// End the machine: this is why.
    Fail(String),
}

/// What is late.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Late {
    /// The program of a run, which may have so long.
    Program(Duration),
    /// Anything else: why the machine is to be ended now.
    Guest(String),
}

/// What a guest says that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The stage that was reached.
    pub stage: &'static str,
    /// The step's exit code; in a run, of the table in WINDOWS.md, 7.
    pub code: u32,
    /// What failed.
    pub text: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "in stage {}: {} (exit code {})", self.stage, self.text, self.code)
    }
}

/// A guest on its way.
#[derive(Debug)]
pub struct Progress {
    plan: &'static Plan,
    /// Index of the stage that was reached.
    stage: usize,
    /// When it began.
    since: Duration,
    /// How long a minute of the limits is.
    minute: Duration,
    /// How long the program of a run may take.
    program: Duration,
    /// How long the stage [`DEVICE`] may take.
    device: Duration,
    resets: u32,
    /// The name of the file whose lines come.
    log: Option<String>,
    problem: Option<Problem>,
    /// When a restart was announced.
    restart: Option<Duration>,
    exit: Option<i64>,
}

impl Progress {
    /// The machine is switched on at time `now`. `minute` is [`minute_with`], or shorter in a test.
    pub fn new(plan: &'static Plan, minute: Duration, now: Duration) -> Self {
        Self {
            plan,
            stage: 0,
            since: now,
            minute,
            program: minute * 30,
            device: minute * 5,
            resets: 0,
            log: None,
            problem: None,
            restart: None,
            exit: None,
        }
    }

    /// With other limits for the program of a run, and for what is asked of the device.
    #[must_use]
    pub fn with_limits(self, program: Duration, device: Duration) -> Self {
        Self { program, device, ..self }
    }

    /// The name of the stage that was reached.
    pub fn stage(&self) -> &'static str {
        self.name(self.stage)
    }

    /// Nothing was heard of a stage yet.
    pub fn is_before_first(&self) -> bool {
        self.stage == 0
    }

    /// The exit code of the program of a run.
    pub fn exit(&self) -> Option<i64> {
        self.exit
    }

    /// What the guest has said that is wrong.
    pub fn problem(&self) -> Option<&Problem> {
        self.problem.as_ref()
    }

    fn name(&self, stage: usize) -> &'static str {
        self.plan.stages.get(stage).map_or("done", |(name, _)| name)
    }

    fn last(&self) -> usize {
        self.plan.stages.len().saturating_sub(1)
    }

    fn is_done(&self) -> bool {
        self.stage == self.last()
    }

    /// The guest said this.
    pub fn hear(&mut self, now: Duration, line: Line) -> Step {
        if let Some(name) = &self.log {
            if line == Line::End(name.clone()) {
                self.log = None;
            }
            return Step::None;
        }
        match line {
            Line::BootsCd if self.is_before_first() && !self.plan.is_run => Step::PressKeys,
            Line::RefusesCd if self.is_before_first() && !self.plan.is_run => Step::Fail(
                "Secure Boot: the firmware refuses to start the CD, as nobody whom it trusts has signed it; is it an ISO of Microsoft's, untouched".into(),
            ),
            Line::Stage(name) => self.hear_stage(now, &name),
            Line::Note(text) => Step::Tell(text),
            Line::Reboot(reason) => {
                self.restart = Some(now);
                Step::Tell(format!("Windows restarts: {reason}"))
            }
            Line::Log(name) => {
                self.log = Some(name);
                Step::None
            }
            Line::Problem(code, text) => {
                self.since = now;
                let stage = self.stage();
                Step::Tell(self.problem.insert(Problem { stage, code, text }).to_string())
            }
            Line::Exit(code) => self.hear_exit(now, code),
            Line::Done(code) => self.finish(now, code),
            Line::Bad(text) => bad(&text),
            Line::End(_) | Line::BootsCd | Line::RefusesCd | Line::Other => Step::None,
        }
    }

    fn hear_stage(&mut self, now: Duration, name: &str) -> Step {
        if self.plan.named().all(|stage| stage != name) {
            return bad(&format!("RINGWAVE stage {name}"));
        }
        self.enter(now, name).unwrap_or_else(|| Step::Tell(format!("stage {name}")))
    }

    /// The stage begins, unless one before it was left out.
    fn enter(&mut self, now: Duration, name: &str) -> Option<Step> {
        let next = self.stage.saturating_add(1);
        let entered = self.plan.stages.iter().position(|(stage, _)| *stage == name)?;
        if entered > next {
            let (was, missed) = (self.stage(), self.name(next));
            return Some(Step::Fail(format!(
                "the guest is at stage {name} after {was}; {missed} was left out"
            )));
        }
        // A stage that comes again after a restart keeps its own time.
        if entered == next {
            (self.stage, self.since) = (entered, now);
        }
        None
    }

    fn hear_exit(&mut self, now: Duration, code: i64) -> Step {
        if self.stage() != PROGRAM {
            return bad(&format!("RINGWAVE exit {code} in stage {}", self.stage()));
        }
        self.exit = Some(code);
        self.enter(now, EXIT)
            .unwrap_or_else(|| Step::Tell(format!("the program ended with exit code {code}")))
    }

    fn finish(&mut self, now: Duration, code: u32) -> Step {
        let stage = self.stage();
        let wrong = match (&self.problem, code) {
            (Some(problem), _) => Some(problem.to_string()),
            (None, 0) if self.stage.saturating_add(1) == self.last() => None,
            (None, 0) => return Step::Fail(format!("the guest says that it is done in stage {stage}")),
            (None, code) => {
                if self.plan.is_run {
                    self.problem = Some(Problem { stage, code, text: "the agent gave up".into() });
                }
                Some(format!("the guest gave up in stage {stage} with exit code {code}"))
            }
        };
        match wrong {
            // A run's guest turns itself off then, too: only then its disk can be read.
            Some(why) if !self.plan.is_run => Step::Fail(why),
            _ => {
                (self.stage, self.since) = (self.last(), now);
                Step::Tell("done; Windows turns itself off".into())
            }
        }
    }

    /// The machine was reset, in an installation, where it goes on by itself.
    pub fn reset(&mut self) -> Step {
        self.resets += 1;
        // A log that was cut off has no end.
        self.log = None;
        if self.resets > RESETS_MAX {
            return Step::Fail(loops(self.stage(), self.resets));
        }
        Step::None
    }

    /// Whether a reset that comes now was announced.
    pub fn is_restart(&self, now: Duration) -> bool {
        self.restart.is_some_and(|said| now.saturating_sub(said) <= self.minute * RESTART)
    }

    fn limit(&self) -> Duration {
        match self.plan.stages.get(self.stage) {
            Some((PROGRAM, _)) => self.program,
            Some((DEVICE, _)) => self.device,
            Some((_, minutes)) => self.minute * *minutes,
            None => Duration::ZERO,
        }
    }

    /// What is late, if something is.
    pub fn late(&self, now: Duration) -> Option<Late> {
        // An installation's restart is seen as a reset, which no limit needs.
        if let Some(said) = self.restart.filter(|_| self.plan.is_run) {
            let limit = self.minute * RESTART;
            return (now.saturating_sub(said) > limit).then(|| {
                Late::Guest(format!("the restart that was announced did not come within {}", in_words(limit)))
            });
        }
        let waited = now.saturating_sub(self.since);
        if let Some(problem) = self.problem.as_ref().filter(|_| !self.is_done()) {
            return (waited > self.minute * self.plan.after_problem)
                .then(|| Late::Guest(problem.to_string()));
        }
        (waited > self.limit()).then(|| match self.stage() {
            PROGRAM => Late::Program(self.program),
            _ if self.is_done() => Late::Guest(format!(
                "the guest was done and did not turn itself off within {}",
                in_words(self.limit())
            )),
            stage => Late::Guest(format!(
                "stage {} did not begin within {} after {stage}{}",
                self.name(self.stage.saturating_add(1)),
                in_words(self.limit()),
                self.in_open_log()
            )),
        })
    }

    /// The guest turned itself off: `Ok` when its work was done.
    pub fn powered_off(&self) -> Result<(), String> {
        match &self.problem {
            Some(problem) => Err(problem.to_string()),
            None if self.is_done() => Ok(()),
            None => {
                Err(format!("the guest turned itself off in stage {}{}", self.stage(), self.in_open_log()))
            }
        }
    }

    /// In a log that has no end nothing counts that is said.
    fn in_open_log(&self) -> String {
        self.log.as_ref().map_or(String::new(), |name| {
            format!(", within the log {name}, whose end was not said: what came behind it was not heard")
        })
    }
}

fn bad(text: &str) -> Step {
    Step::Fail(format!("the guest said {text:?}, which is no line of the protocol (WINDOWS.md, 3 and 8)"))
}

/// A guest that does not get on.
pub fn loops(stage: &str, times: u32) -> String {
    format!("the guest starts again and again in stage {stage}: {times} times")
}

/// A limit.
pub fn in_words(limit: Duration) -> String {
    let seconds = limit.as_secs();
    if seconds < 60 { format!("{seconds} s") } else { format!("{} min", seconds / 60) }
}

#[cfg(test)]
#[path = "progress_tests.rs"]
mod tests;
