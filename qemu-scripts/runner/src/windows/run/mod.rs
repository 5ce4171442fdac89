//! A run on an image: one program in Windows, with a sound card. WINDOWS.md, 6 to 11.
//!
//! * [`command`], [`media`]: what the guest gets; [`device`]: what is asked of the card's device;
//!   [`out_disk`], [`fat32`]: what is taken from it
//! * [`boot`]: one boot of the machine; [`outcome`]: what became of all of them; [`dump`]: what a crash left

pub mod boot;
pub mod command;
pub mod device;
pub mod dump;
pub mod fat32;
pub mod media;
pub mod out_disk;
pub mod outcome;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ringwave_report::SessionReport;
use ringwave_report::html::Timeline;
use serde_json::json;
use tempfile::TempDir;

use self::boot::{Boot, End, Ended, Limits};
use self::device::{DeviceSteps, Verifier};
use self::media::{Files, Settings, disk_bytes, write_cd};
pub use self::outcome::Outcome;
use super::guest::{QEMU_LOG, SCREEN, Serial, timed, with_qemu};
use super::machine::{DISK, GuestCard, Machine, Media, SERIAL};
use super::progress::{DUMP, RUN, RUN_WITH_DEVICE, loops, slower_with};
use crate::card::{Card, TRACE};
use crate::error::Error;
use crate::html;
use crate::linux::guest::ovmf;
use crate::request::Clock;

/// More restarts than this are a loop.
const RESTARTS_MAX: u32 = 10;
/// The name of what the card hears.
const HEARD: &str = "heard";

/// What is run.
#[derive(Clone, Debug)]
pub struct Request {
    /// The machine, without its card.
    pub machine: Machine,
    /// The program `ringwave`.
    pub ringwave: PathBuf,
    /// The image that it starts from.
    pub image: PathBuf,
    /// The card in it.
    pub card: GuestCard,
    /// The card's clock.
    pub clock: Clock,
    /// More options of `ringwave serve`.
    pub card_options: Vec<String>,
    /// What is asked of the card's device before the program runs.
    pub device: DeviceSteps,
    /// The program and its files.
    pub files: Files,
    /// How long the program may take.
    pub time_limit: Duration,
    /// The exit code by which it asks for a restart.
    pub reboot_code: Option<u32>,
    /// Where to leave what came of it.
    pub out_dir: Option<PathBuf>,
    /// Have the card write a trace, and read it, for the page of `--report`.
    pub timeline: bool,
    /// Leave the run's folder as well, with the overlay.
    pub keep: bool,
}

/// A boot, as the card saw it.
#[derive(Clone, Debug)]
pub struct Served {
    /// What it counted.
    pub stats: SessionReport,
    /// What happened when, if it was asked for.
    pub timeline: Option<Timeline>,
}

/// What came of it.
#[derive(Debug)]
pub struct Finished {
    /// How it ended.
    pub outcome: Outcome,
    /// What came out: WINDOWS.md, 11. Gone with this value, unless it was asked for or something was wrong.
    pub folder: PathBuf,
    /// Whether it stays.
    pub stays: bool,
    /// Each boot, as the card saw it.
    pub served: Vec<Served>,
    /// How many files of sound there are: `heard.wav`, `heard-2.wav` and so on.
    pub heard: usize,
    temporary: Option<TempDir>,
}

impl Finished {
    /// Lets the folder stay.
    pub fn keep(&mut self) {
        self.stays = true;
        if let Some(temporary) = self.temporary.take() {
            let _path = temporary.keep();
        }
    }
}

impl Request {
    /// What is wrong with it, before anything is started.
    ///
    /// # Errors
    /// [`Error::BadInput`] with the next step.
    pub fn check(&self) -> Result<(), Error> {
        disk_bytes(&self.image)?;
        command::file(&self.files.command)?;
        self.device.check(self.card)?;
        if self.card == GuestCard::Hda && self.clock.waits() {
            return Err(Error::BadInput(
                "--card hda --clock lockstep: HD Audio has no way to say what is written, so its clock cannot wait; take realtime, \
                 scaled:X, or another card"
                    .into(),
            ));
        }
        if let Some(copy) = self.files.copy.as_ref().filter(|copy| !copy.is_dir()) {
            return Err(Error::BadInput(format!("--copy {}: no folder", copy.display())));
        }
        let Some(out) = &self.out_dir else { return Ok(()) };
        if out.exists() && fs::read_dir(out).map_or(true, |mut inside| inside.next().is_some()) {
            return Err(Error::BadInput(format!(
                "--out-dir {}: there is something already; take another name, or empty it",
                out.display()
            )));
        }
        Ok(())
    }
}

/// Runs it. `tell` hears what the guest does.
///
/// # Errors
/// [`Error::BadInput`] before anything is started; [`Error::Failed`] if the host's side failed;
/// [`Error::Interrupted`], and nothing is left.
pub fn run(request: &Request, mut tell: impl FnMut(&str)) -> Result<Finished, Error> {
    request.check()?;
    let work = tempfile::Builder::new().prefix("ringwave-run-").tempdir().map_err(Error::failed)?;
    let mut run = Run::prepare(request, work.path())?;
    let outcome = match run.boots(&mut tell) {
        Ok(outcome) => outcome,
        Err(Error::Failed(why)) => Outcome::Failed(why),
        Err(error) => return Err(error),
    };
    let finished = run.collect(outcome, &mut tell)?;
    if request.keep {
        tell(&timed(run.start.elapsed(), &format!("kept: {}", work.keep().display())));
    }
    Ok(finished)
}

/// A run on its way.
struct Run<'a> {
    request: &'a Request,
    /// The run's own folder.
    work: &'a Path,
    cd: PathBuf,
    out_disk: PathBuf,
    firmware: [String; 4],
    serial: Serial,
    served: Vec<Served>,
    boots: u32,
    /// In the last boot the guest turned itself off.
    off: bool,
    start: Instant,
}

impl<'a> Run<'a> {
    fn prepare(request: &'a Request, work: &'a Path) -> Result<Self, Error> {
        let start = Instant::now();
        let image =
            request.image.canonicalize().map_err(|error| Error::file("find", &request.image, &error))?;
        let (cd, out_disk) = (work.join("cd"), work.join("out.img"));
        request.files.write(&cd)?;
        out_disk::make(&out_disk)?;
        let bytes = disk_bytes(&image)?;
        with_qemu(&request.machine.qemu, work, |qmp| qmp.create_overlay(&work.join(DISK), &image, bytes))?;
        Ok(Self {
            request,
            work,
            cd,
            out_disk,
            firmware: ovmf(work)?,
            serial: Serial::new(work),
            served: Vec::new(),
            boots: 0,
            off: false,
            start,
        })
    }

    /// Boots until the program has ended, or something is wrong.
    fn boots(&mut self, tell: &mut dyn FnMut(&str)) -> Result<Outcome, Error> {
        loop {
            let Ended { end, dumped, .. } = self.boot(false, tell)?;
            if dumped {
                self.dump(tell)?;
            }
            return Ok(match end {
                End::Off(Some(code)) => Outcome::Exited(code),
                End::Off(None) => Outcome::Failed("the guest said no exit code".into()),
                End::Restart if self.boots > RESTARTS_MAX => Outcome::Failed(loops("program", self.boots)),
                End::Restart => continue,
                End::TimeOver(limit) => Outcome::TimeOver { limit, dump: None },
                End::Problem(problem) => Outcome::Problem(problem),
                End::Failed(why) => Outcome::Failed(why),
                End::Crash { stage, code, reset } => {
                    let why = format!("Windows crashed in stage {stage}");
                    if reset {
                        self.dump(tell)?;
                    }
                    let code = code.map_or(String::new(), |code| format!(": {code}"));
                    Outcome::Crashed(format!("{why}{code}"))
                }
            });
        }
    }

    /// Boots once more, for the dump that Windows makes of its page file then.
    fn dump(&mut self, tell: &mut dyn FnMut(&str)) -> Result<(), Error> {
        tell(&timed(self.start.elapsed(), "Windows is started once more, for the dump"));
        match self.boot(true, tell)?.end {
            End::Off(_) => {}
            end => tell(&timed(self.start.elapsed(), &format!("that failed: {end:?}"))),
        }
        Ok(())
    }

    fn boot(&mut self, dump: bool, tell: &mut dyn FnMut(&str)) -> Result<Ended, Error> {
        self.boots += 1;
        let Request { card, device, reboot_code, .. } = *self.request;
        let slower = slower_with(self.request.machine.kvm);
        let settings = Settings { dump, boot: self.boots, slower, card, device, reboot_code };
        let iso = self.work.join("run.iso");
        write_cd(&self.cd, &settings, &iso)?;
        let mut serving = self.start_card()?;
        let machine = Machine { card: Some((card, serving.socket())), ..self.request.machine.clone() };
        let media = Media::Run { cd: &iso, out: &self.out_disk };
        let mut command = machine.command(self.work, &self.firmware, media)?;
        let plan = match (dump, device.is_any()) {
            (true, _) => &DUMP,
            (false, true) => &RUN_WITH_DEVICE,
            (false, false) => &RUN,
        };
        let (minute, program) = (machine.minute, self.request.time_limit);
        let limits = Limits { plan, minute, program, is_dump: dump, device_minutes: device.minutes() };
        let boot =
            Boot::start(&mut command, self.work, (&mut serving, &mut self.serial), limits, self.start)?;
        let ended = boot.follow(tell)?;
        self.off = ended.off;
        match serving.finish_untraced() {
            Ok(stats) => {
                let path = self.card_folder(self.boots).join(TRACE);
                // A trace that cannot be read costs no verdict.
                let timeline = self.request.timeline.then(|| html::timeline(&path, &stats)).transpose();
                let timeline = timeline.unwrap_or_else(|error| {
                    tell(&timed(self.start.elapsed(), &error.to_string()));
                    None
                });
                self.served.push(Served { stats, timeline });
            }
            Err(Error::Failed(why)) => tell(&timed(self.start.elapsed(), &why)),
            Err(error) => return Err(error),
        }
        Ok(ended)
    }

    fn card_folder(&self, boot: u32) -> PathBuf {
        self.work.join(format!("card-{boot}"))
    }

    fn start_card(&self) -> Result<Card, Error> {
        let folder = self.card_folder(self.boots);
        fs::create_dir(&folder).map_err(|error| Error::file("create", &folder, &error))?;
        let stats = folder.join("stats.json").display().to_string();
        let options = ["--once", "--stats", &stats, "--card", self.request.card.name()].map(String::from);
        let trace = ["--trace".to_owned(), folder.join(TRACE).display().to_string()];
        let trace = trace.into_iter().filter(|_| self.request.timeline);
        let options = options.into_iter().chain(trace).chain(self.request.clock.arguments());
        Card::start(
            &self.request.ringwave,
            &folder,
            HEARD,
            options.chain(self.request.card_options.iter().cloned()),
        )
    }

    /// Puts together what came out.
    fn collect(&self, outcome: Outcome, tell: &mut dyn FnMut(&str)) -> Result<Finished, Error> {
        let (folder, temporary) = self.result_folder()?;
        match out_disk::take(&self.out_disk, &folder) {
            Ok(left_out) => left_out.iter().for_each(|line| tell(&format!("left out: {line}"))),
            Err(error) => tell(&error.to_string()),
        }
        if !self.off {
            tell("Windows did not turn itself off: files that came out may be incomplete");
        }
        let heard = self.copy_logs(&folder)?;
        let outcome = with_dump(outcome, &folder);
        self.write_summary(&outcome, &folder)?;
        let mut finished =
            Finished { outcome, folder, stays: false, served: self.served.clone(), heard, temporary };
        if finished.temporary.is_none() || !finished.outcome.ran() {
            finished.keep();
        }
        Ok(finished)
    }

    /// Where what came out goes.
    fn result_folder(&self) -> Result<(PathBuf, Option<TempDir>), Error> {
        if let Some(folder) = &self.request.out_dir {
            fs::create_dir_all(folder).map_err(|error| Error::file("create", folder, &error))?;
            return Ok((folder.clone(), None));
        }
        let made = tempfile::Builder::new().prefix("ringwave-run-out-").tempdir().map_err(Error::failed)?;
        Ok((made.path().to_owned(), Some(made)))
    }

    /// The host's own files; how many files of sound there are.
    fn copy_logs(&self, to: &Path) -> Result<usize, Error> {
        let copy = |from: &Path, name: &str| {
            if !from.exists() {
                return Ok(());
            }
            fs::copy(from, to.join(name)).map(drop).map_err(|error| Error::file("copy", from, &error))
        };
        for name in [SERIAL, QEMU_LOG, SCREEN] {
            copy(&self.work.join(name), name)?;
        }
        let mut heard = 0;
        for boot in 1..=self.boots {
            let (folder, more) = (self.card_folder(boot), numbered(boot as usize));
            copy(&folder.join("heard.log"), &format!("card{more}.log"))?;
            copy(&folder.join("stats.json"), &format!("stats{more}.json"))?;
            let files = (1..).map(|number| crate::card::session_wav(&folder, HEARD, number));
            for from in files.take_while(|file| file.exists()) {
                heard += 1;
                copy(&from, &format!("heard{}.wav", numbered(heard)))?;
            }
        }
        Ok(heard)
    }

    fn write_summary(&self, outcome: &Outcome, folder: &Path) -> Result<(), Error> {
        let Request { image, card, clock, device, files, .. } = self.request;
        let summary = json!({
            "version": env!("CARGO_PKG_VERSION"), "image": image, "card": card.name(), "clock": clock.arguments()[1],
            "speed": clock.speed(), "kvm": self.request.machine.kvm, "cycles": device.cycles, "suspend": device.suspend,
            "verifier": device.verifier.map(Verifier::name), "command": files.command, "boots": self.boots,
            "outcome": outcome.explain(), "exit_code": outcome.exit_code(), "seconds": self.start.elapsed().as_secs(),
        });
        let path = folder.join("run.json");
        fs::write(&path, format!("{summary:#}\n")).map_err(|error| Error::file("write", &path, &error))
    }
}

/// `-2` for the second of several.
fn numbered(number: usize) -> String {
    if number < 2 { String::new() } else { format!("-{number}") }
}

/// What the dumps tell of a crash: the stop code, if QEMU did not, and which one to open. Of a hang: which
/// one an NMI has made.
fn with_dump(outcome: Outcome, folder: &Path) -> Outcome {
    let found = dump::largest(&folder.join("dump"));
    let found = found.map(|(name, path)| (format!("dump/{name}"), dump::stop_code(&path)));
    let with_code = |(name, code): (String, Option<String>)| match code {
        Some(code) => format!("{name} ({code})"),
        None => name,
    };
    match (outcome, found) {
        (Outcome::Crashed(why), None) => Outcome::Crashed(format!("{why}, and no dump came out")),
        (Outcome::Crashed(why), Some((name, code))) => {
            let known = code.filter(|_| !why.contains("stop code"));
            let code = known.map_or(String::new(), |code| format!(": {code}"));
            Outcome::Crashed(format!("{why}{code}; with the driver's .pdb a debugger tells more of {name}"))
        }
        (Outcome::TimeOver { limit, .. }, Some(found)) => {
            Outcome::TimeOver { limit, dump: Some(with_code(found)) }
        }
        (Outcome::Failed(why), Some(found)) => {
            Outcome::Failed(format!("{why}{}", outcome::hung(&with_code(found))))
        }
        (outcome, _) => outcome,
    }
}
