//! One bring-up run: a card, a machine with an IOMMU and a Linux kernel in it, and `ringwave bringup --vfio`
//! there.
//!
//! The guest has two serial ports: what its kernel and its first process say arrives in `guest.log`, what the
//! tool says, and nothing else, in `tool.log`. Its verdict is the machine's exit code.

pub mod artefacts;
pub mod initramfs;
pub(crate) mod log_tail;
pub mod machine;

use std::{
    fmt::{self, Write as _},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use serde_json::json;

use self::{
    artefacts::Artefacts,
    log_tail::LogTail,
    machine::{Machine, card, write_initramfs},
};
use crate::{
    card::Card,
    error::Error,
    machine::Outcome,
    process::check_stop,
    qmp::{self, Qmp},
    run::with_run_folder,
};

/// The IOMMU between the card and the guest's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Iommu {
    /// `intel-iommu`, which remaps interrupts too.
    Intel,
    /// `virtio-iommu-pci`.
    Virtio,
}

impl fmt::Display for Iommu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Intel => "intel-iommu",
            Self::Virtio => "virtio-iommu",
        })
    }
}

/// How the card leaves and comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replug {
    /// It is unplugged while its process lives, and that process is its own successor.
    InOrder,
    /// Its process is killed, and the guest runs on with a dead card; that is unplugged, and the card of a
    /// new process is plugged.
    AfterACrash,
    /// And the machine is saved and loaded while it is out.
    AroundASnapshot,
}

/// What to boot, and what to run there.
#[derive(Clone, Debug)]
pub struct Request {
    /// The machine's IOMMU.
    pub iommu: Iommu,
    /// Whether the guest's memory is shared with the card, as it must be.
    pub share: bool,
    /// After the tool's first run: unplug the card, plug it again, and run the tool again.
    pub replug: Option<Replug>,
    /// Arguments for the tool.
    pub arguments: Vec<String>,
    /// Leave the run's folder.
    pub keep: bool,
}

impl Request {
    /// One run of the whole walk.
    pub fn new(iommu: Iommu) -> Self {
        Self { iommu, share: true, replug: None, arguments: Vec::new(), keep: false }
    }
}

/// Something a run says while it goes on.
#[derive(Clone, Copy, Debug)]
pub enum Output<'a> {
    /// A line of the guest's first process, or of the run itself.
    Step(&'a str),
    /// What the tool wrote, as it came.
    Tool(&'a str),
}

/// What a run showed.
#[derive(Clone, Debug)]
pub struct Report {
    /// The machine's IOMMU.
    pub iommu: Iommu,
    /// The tool's verdict: [`Outcome::Ok`] (exit code 0), [`Outcome::Failed`] (1) or [`Outcome::BadInput`]
    /// (2).
    pub outcome: Outcome,
    /// What the tool said, of all its runs.
    pub tool: String,
    /// What the guest's first process and its kernel said.
    pub guest: String,
    /// From the start of the machine until the tool ran.
    pub boot: Duration,
    /// From the start of the card to the verdict.
    pub wall: Duration,
    /// The run's folder, if it was kept.
    pub folder: Option<PathBuf>,
}

impl Report {
    /// Everything was as expected.
    pub fn passed(&self) -> bool {
        self.outcome == Outcome::Ok
    }

    /// The guest's lines that begin with `guest: `, without that.
    pub fn steps(&self) -> Vec<&str> {
        self.guest.lines().filter_map(|line| line.trim_end().strip_prefix(log_tail::STEP)).collect()
    }
}

/// Without a byte from the guest for so long, it hangs. The tool's own time limits are shorter.
const SILENCE_MAX: Duration = Duration::from_mins(2);

/// Boots the machine, runs the tool in it, and brings its verdict. `say` hears everything as it happens.
///
/// # Errors
/// [`Error::BadInput`] before anything is started; [`Error::Failed`] if the guest did not come so far that
/// the tool could give a verdict; [`Error::Interrupted`]. Whatever happens, no process is left.
pub fn run(artefacts: &Artefacts, request: &Request, mut say: impl FnMut(Output)) -> Result<Report, Error> {
    let (result, kept) = with_run_folder(request.keep, |folder| {
        Run::start(artefacts, request, folder).and_then(|run| run.finish(&mut say))
    })?;
    if let Some(kept) = &kept {
        say(Output::Step(&format!("the run's files are in {}", kept.display())));
    }
    result.map(|report| Report { folder: kept, ..report })
}

/// The `number`th card of a run; all are on one socket.
fn start_card(artefacts: &Artefacts, folder: &Path, number: u32) -> Result<Card, Error> {
    Card::start(&artefacts.ringwave, folder, &format!("card-{number}"), [""; 0])
}

/// A run on its way. The machine is dropped before the server, which it would miss.
struct Run<'a> {
    artefacts: &'a Artefacts,
    request: &'a Request,
    folder: &'a Path,
    start: Instant,
    machine: Machine,
    server: Card,
    guest: LogTail,
    tool: LogTail,
    /// When the tool began.
    booted: Option<Duration>,
    replugged: bool,
}

impl<'a> Run<'a> {
    fn start(artefacts: &'a Artefacts, request: &'a Request, folder: &'a Path) -> Result<Self, Error> {
        let start = Instant::now();
        write_initramfs(artefacts, folder, request)?;
        let server = start_card(artefacts, folder, 1)?;
        Ok(Self {
            artefacts,
            request,
            folder,
            start,
            machine: Machine::boot(artefacts, folder, request)?,
            server,
            guest: LogTail::new(folder.join("guest.log")),
            tool: LogTail::new(folder.join("tool.log")),
            booted: None,
            replugged: false,
        })
    }

    /// Goes on until the machine ends.
    fn finish(mut self, say: &mut impl FnMut(Output)) -> Result<Report, Error> {
        let mut last_output = Instant::now();
        let outcome = loop {
            check_stop()?;
            // Asked first, so that what came before the end is read after it.
            let ended = self.machine.try_wait()?;
            if self.listen(say) {
                last_output = Instant::now();
            }
            if let Some(outcome) = ended {
                break outcome;
            }
            if last_output.elapsed() > SILENCE_MAX {
                return Err(self.failure(&format!("the guest said nothing for {} s", SILENCE_MAX.as_secs())));
            }
            if let Some(how) = self.request.replug
                && !self.replugged
                && self.guest.all().contains("waits for the card to leave")
            {
                self.replugged = true;
                self.replug(how, say).map_err(|error| match error {
                    Error::Failed(what) => self.failure(&what),
                    other => other,
                })?;
            }
            thread::sleep(Duration::from_millis(20));
        };
        if !matches!(outcome, Outcome::Ok | Outcome::Failed | Outcome::BadInput) {
            return Err(self.failure(&format!("the guest came to no verdict ({outcome:?})")));
        }
        Ok(Report {
            iommu: self.request.iommu,
            outcome,
            tool: self.tool.all().to_owned(),
            guest: self.guest.all().to_owned(),
            boot: self.booted.unwrap_or_default(),
            wall: self.start.elapsed(),
            folder: None,
        })
    }

    /// Passes on what was said since the last time; false if nothing was.
    fn listen(&mut self, say: &mut impl FnMut(Output)) -> bool {
        let guest = self.guest.more();
        for line in guest.lines().filter_map(|line| line.strip_prefix(log_tail::STEP)) {
            if self.booted.is_none() && line.starts_with("run ") {
                self.booted = Some(self.start.elapsed());
            }
            say(Output::Step(line));
        }
        let tool = self.tool.more();
        if !tool.is_empty() {
            say(Output::Tool(&tool));
        }
        !guest.is_empty() || !tool.is_empty()
    }

    fn replug(&mut self, how: Replug, say: &mut impl FnMut(Output)) -> Result<(), Error> {
        if how == Replug::AfterACrash {
            say(Output::Step("host: kill -9 of ringwave serve"));
            self.server.kill()?;
            self.wait_for_guest("configuration space reads ffff:ffff", Duration::from_mins(2), say)?;
        }
        say(Output::Step("host: device_del"));
        let mut qmp = Qmp::connect(&qmp::socket(self.folder))?;
        qmp.command("device_del", &json!({ "id": "card" }))?;
        qmp.wait_until_deleted("card", Duration::from_mins(1))?;
        // Else it might be back before the guest has looked.
        self.wait_for_guest("the card left", Duration::from_mins(1), say)?;
        if how == Replug::AroundASnapshot {
            say(Output::Step("host: savevm, loadvm"));
            qmp.make_snapshot_disk(&self.folder.join("snapshots.qcow2"))?;
            qmp.monitor("savevm without-the-card")?;
            qmp.monitor("loadvm without-the-card")?;
        }
        if how == Replug::AfterACrash {
            say(Output::Step("host: a new ringwave serve"));
            self.server = start_card(self.artefacts, self.folder, 2)?;
        }
        say(Output::Step("host: device_add"));
        qmp.command("device_add", &card(self.folder))?;
        Ok(())
    }

    fn wait_for_guest(
        &mut self,
        words: &str,
        limit: Duration,
        say: &mut impl FnMut(Output),
    ) -> Result<(), Error> {
        let start = Instant::now();
        while !self.guest.all().contains(words) {
            check_stop()?;
            self.listen(say);
            if self.machine.try_wait()?.is_some() || start.elapsed() > limit {
                return Err(Error::Failed(format!("the guest never said \"{words}\"")));
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// A run without a verdict, with everybody's last words.
    fn failure(&mut self, what: &str) -> Error {
        let mut text = format!("{}: {what}", self.request.iommu);
        if let Ok(false) = self.server.runs() {
            text += "; ringwave serve has ended";
        }
        let words = [
            ("the guest", log_tail::last_lines(self.guest.all(), 12)),
            ("QEMU", log_tail::last_lines(&self.machine.qemu_log(), 5)),
            ("the card", log_tail::last_lines(&self.server.log(), 5)),
        ];
        for (who, said) in words.iter().filter(|(_, said)| !said.is_empty()) {
            let _ = write!(text, "\n--- what {who} said last:\n{said}");
        }
        Error::Failed(text)
    }
}
