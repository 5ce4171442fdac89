//! A Linux guest that does what it is told: `tests/guest-pcm` in Debian's kernel, with a card and a serial
//! line.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, BufRead, BufReader, ErrorKind, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use ringwave_audio::{SampleFormat, StreamFormat};
use ringwave_report::SessionReport;

use super::cards::{Device, LinuxCard};
use crate::{
    card::{Card, socket},
    error::Error,
    linux::{
        GuestCard,
        guest::{self, Artefacts, existing_path},
    },
    process::{ChildGuard, check_stop},
};

/// For a guest to boot, on a busy host without KVM.
const BOOT_MAX: Duration = Duration::from_mins(4);
/// For an answer, beside the time that was asked for.
const ANSWER: Duration = Duration::from_secs(40);
const MEGABYTES: u64 = 384;
/// What is played to measure.
const PLAYED: StreamFormat = StreamFormat { sample: SampleFormat::S16, channels: 2, rate: 48_000 };
/// Most channels of the songs.
const CHANNELS_MAX: u32 = 6;

/// What a guest said to an order.
pub type Figures = BTreeMap<String, String>;

/// A number of them; `None` if it is not there.
pub fn number(figures: &Figures, name: &str) -> Option<f64> {
    figures.get(name)?.parse().ok()
}

/// A whole number of them; 0 if it is not there.
pub fn count(figures: &Figures, name: &str) -> u64 {
    figures.get(name).and_then(|value| value.parse().ok()).unwrap_or(0)
}

/// A guest that waits for orders.
pub struct Guest {
    machine: ChildGuard,
    cards: Vec<Card>,
    folder: PathBuf,
    port: BufReader<UnixStream>,
    line: Vec<u8>,
    /// Whether accesses to registers are messages to the cards' processes.
    traps: bool,
    /// Its kernel.
    pub kernel: String,
}

/// Files for the guest's folder `songs`.
pub type Songs = [(String, Vec<u8>)];

impl Guest {
    /// Boots one with `count` cards of a kind in `folder`, and waits until it listens.
    ///
    /// # Errors
    /// [`Error::Failed`] with the end of the kernel's log.
    pub fn boot(
        artefacts: &Artefacts,
        folder: &Path,
        card: &LinuxCard,
        count: u32,
        songs: &Songs,
    ) -> Result<Self, Error> {
        fs::create_dir_all(folder).map_err(|e| Error::file("create", folder, &e))?;
        write_initramfs(artefacts, folder, card, songs)?;
        let (cards, devices) = start_cards(artefacts, folder, card, count)?;
        let path = folder.join("port.sock");
        let speech = format!("unix:{},server=on,wait=off", path.display());
        let machine = guest::boot(artefacts, folder, MEGABYTES, &speech, &devices)?;
        let port = BufReader::new(connect(&path)?);
        let folder = folder.to_owned();
        let traps = matches!(card.device, Device::Served { card: GuestCard::Hda, .. });
        let mut guest = Self { machine, cards, folder, port, line: Vec::new(), traps, kernel: String::new() };
        let said = guest.read_until(BOOT_MAX, |line| line == "ready")?;
        if let Some(step) = failed_step(&said) {
            return Err(guest.silent(&format!("has not what is measured (step {step})")));
        }
        let kernel = said.iter().find_map(|line| line.strip_prefix("kernel "));
        kernel.unwrap_or_default().clone_into(&mut guest.kernel);
        Ok(guest)
    }

    /// Process id of QEMU.
    pub fn qemu(&self) -> u32 {
        self.machine.id()
    }

    /// Those of the cards, if they have processes of their own.
    pub fn devices(&self) -> Vec<u32> {
        self.cards.iter().map(Card::process_id).collect()
    }

    /// Accesses of the guest to the registers of its cards while a stream ran, so far: each is an exit.
    /// `None` for cards that have no such registers of their own.
    ///
    /// # Errors
    /// [`Error::Failed`] if a card does not tell.
    pub fn traps(&self) -> Result<Option<u64>, Error> {
        if !self.traps {
            return Ok(None);
        }
        let mut sum = 0;
        for number in 0..self.cards.len() {
            let running = figures_now(&self.folder.join(format!("card-{number}")))?.messages.while_running;
            sum += running.reads + running.writes;
        }
        Ok(Some(sum))
    }

    /// Gives an order, does `meanwhile` once the guest has begun, and waits for what it says at the end.
    /// `Ok(Err)`: the guest cannot.
    ///
    /// # Errors
    /// [`Error::Failed`] if it does not answer; what `meanwhile` says.
    pub fn order<T>(
        &mut self,
        order: &str,
        meanwhile: impl FnOnce(&Self) -> Result<T, Error>,
    ) -> Result<Result<(Figures, T), String>, Error> {
        self.send(order)?;
        let ends = |line: &str| line.starts_with("done") || line.starts_with("failed");
        let said = self.read_until(ANSWER, |line| line == "began" || ends(line))?;
        if let Some(failure) = said.iter().find_map(|line| line.strip_prefix("failed ")) {
            return Ok(Err(failure.to_owned()));
        }
        let result = meanwhile(self)?;
        let mut last = said.last().cloned().unwrap_or_default();
        if !ends(&last) {
            last = self.read_until(ANSWER, ends)?.pop().unwrap_or_default();
        }
        Ok(match last.strip_prefix("done") {
            Some(figures) => Ok((read_figures(figures), result)),
            None => Err(last.trim_start_matches("failed ").to_owned()),
        })
    }

    /// Ends it; what its cards came to.
    ///
    /// # Errors
    /// [`Error::Failed`] if a card did not end in order.
    pub fn end(mut self) -> Result<Vec<SessionReport>, Error> {
        self.send("end")?;
        if self.machine.wait(ANSWER, || Ok(()))?.is_none() {
            self.machine.kill()?;
        }
        self.cards.into_iter().map(Card::finish_untraced).collect()
    }

    fn send(&mut self, line: &str) -> Result<(), Error> {
        self.port.get_mut().write_all(format!("{line}\n").as_bytes()).map_err(Error::failed)
    }

    /// Reads lines until one is wanted; gives all of them.
    fn read_until(&mut self, limit: Duration, wanted: impl Fn(&str) -> bool) -> Result<Vec<String>, Error> {
        let (begin, mut said) = (Instant::now(), Vec::new());
        while begin.elapsed() < limit {
            check_stop()?;
            match self.port.read_until(b'\n', &mut self.line) {
                Ok(0) => return Err(self.silent("has ended")),
                Ok(_) => {
                    let line = String::from_utf8_lossy(&std::mem::take(&mut self.line)).trim().to_owned();
                    said.push(line);
                    if said.last().is_some_and(|line| wanted(line)) {
                        return Ok(said);
                    }
                }
                // What came of a line stays in self.line.
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
                Err(error) => return Err(Error::failed(error)),
            }
        }
        Err(self.silent("does not answer"))
    }

    fn silent(&self, what: &str) -> Error {
        let read = |name: &str| fs::read_to_string(self.folder.join(name)).unwrap_or_default();
        let (console, qemu) = (read("console.log"), read("qemu.log"));
        let last = crate::bringup::log_tail::last_lines(&console, 6);
        Error::Failed(format!("the guest in {} {what}: {last} {}", self.folder.display(), qemu.trim()))
    }
}

/// ` name=value` each.
fn read_figures(text: &str) -> Figures {
    let pair = |word: &str| word.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
    text.split_whitespace().filter_map(pair).collect()
}

fn write_initramfs(
    artefacts: &Artefacts,
    folder: &Path,
    card: &LinuxCard,
    songs: &Songs,
) -> Result<(), Error> {
    let steps = options_are_in_force(card.driver_options) + "step guest-pcm /guest-pcm\n";
    let mut archive = guest::archive(artefacts, &steps, card.hda)?;
    archive.add("driver-options", card.driver_options.as_bytes());
    for name in ["bin", "sbin", "songs"] {
        archive.add_folder(name);
    }
    archive.add_file("bin/busybox", &artefacts.guest.join("root/usr/bin/busybox"))?;
    archive.add_file("guest-pcm", &existing_path("RINGWAVE_GUEST_PCM")?)?;
    for (name, frames) in songs {
        archive.add(&format!("songs/{name}"), frames);
    }
    guest::write(archive, folder)
}

/// Steps that fail if the guest's driver has not taken its parameters: the kernel ignores those that it does
/// not know.
fn options_are_in_force(options: &str) -> String {
    let step = |line: &str| {
        let (module, option) = line.split_once(' ')?;
        let (name, value) = option.split_once('=')?;
        let module = module.replace('-', "_");
        Some(format!("step {name} busybox grep -qw '^{value}' /sys/module/{module}/parameters/{name}\n"))
    };
    options.lines().filter_map(step).collect()
}

/// What a step that failed said of itself.
fn failed_step(said: &[String]) -> Option<&str> {
    let mut steps = said.iter().filter_map(|line| line.strip_prefix("step "));
    steps.find(|step| !step.ends_with(" exit=0"))
}

/// Starts the cards' processes, if they have any; QEMU's arguments.
fn start_cards(
    artefacts: &Artefacts,
    folder: &Path,
    card: &LinuxCard,
    count: u32,
) -> Result<(Vec<Card>, Vec<String>), Error> {
    let (mut cards, mut devices) = (Vec::new(), Vec::new());
    match card.device {
        Device::Qemu(names) => {
            // The rate that is played: its mixer then leaves 16-bit stereo as it is.
            let path = heard_by_qemu(folder);
            let audiodev = format!("wav,id=snd,path={},out.frequency=48000", path.display());
            devices.extend(["-audiodev".into(), audiodev]);
            devices.extend(names.iter().flat_map(|name| ["-device".to_owned(), (*name).to_owned()]));
        }
        Device::Served { card, clock } => {
            for number in 0..count {
                let own = folder.join(format!("card-{number}"));
                fs::create_dir_all(&own).map_err(|e| Error::file("create", &own, &e))?;
                let mut options = Card::single_session_options(&own);
                // A trace would be part of what is measured.
                options.truncate(options.len().saturating_sub(2));
                options.extend(card.serve_options(PLAYED, CHANNELS_MAX));
                options.extend(["--source", "loopback:0", "--clock", clock].map(str::to_owned));
                options.extend(["--control".into(), control_socket(&own).display().to_string()]);
                cards.push(Card::start(&artefacts.ringwave, &own, "heard", options)?);
                devices.extend(card.qemu_arguments(&socket(&own), number));
            }
        }
    }
    Ok((cards, devices))
}

/// Where a card in `folder` tells its figures.
fn control_socket(folder: &Path) -> PathBuf {
    folder.join("control.sock")
}

/// The figures of a card in `folder`, of the moment.
fn figures_now(folder: &Path) -> Result<SessionReport, Error> {
    let path = control_socket(folder);
    let failed = |error: io::Error| Error::file("ask", &path, &error);
    let mut stream = UnixStream::connect(&path).map_err(failed)?;
    stream.set_read_timeout(Some(ANSWER)).map_err(failed)?;
    stream.write_all(b"stats\n").map_err(failed)?;
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).map_err(failed)?;
    match answer.strip_prefix("error: ") {
        Some(why) => Err(Error::failed(why.trim_end())),
        None => serde_json::from_str(&answer).map_err(Error::failed),
    }
}

/// What QEMU writes of a card of its own.
pub fn heard_by_qemu(folder: &Path) -> PathBuf {
    folder.join("heard.wav")
}

/// QEMU listens a moment after its start.
fn connect(path: &Path) -> Result<UnixStream, Error> {
    let begin = Instant::now();
    loop {
        match UnixStream::connect(path) {
            Ok(stream) => {
                stream.set_read_timeout(Some(Duration::from_millis(50))).map_err(Error::failed)?;
                return Ok(stream);
            }
            Err(error) if begin.elapsed() > ANSWER => return Err(Error::file("connect to", path, &error)),
            Err(_) => thread::sleep(Duration::from_millis(20)),
        }
        check_stop()?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench_cards::cards::LINUX_CARDS;

    #[test]
    fn a_driver_without_the_parameter_that_is_measured_is_no_guest() {
        let steps = options_are_in_force("snd-hda-intel position_fix=1\n");
        assert!(steps.contains("^1' /sys/module/snd_hda_intel/parameters/position_fix"), "{steps}");
        let said = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>();
        assert_eq!(
            failed_step(&said(&["kernel 6.12", "step card exit=0", "step position_fix exit=0", "ready"])),
            None
        );
        let failed = said(&["step card exit=0", "step position_fix exit=1", "ready"]);
        assert_eq!(failed_step(&failed), Some("position_fix exit=1"));
        // Every card's parameters are such lines.
        for card in &LINUX_CARDS {
            let lines = card.driver_options.lines().count();
            assert_eq!(options_are_in_force(card.driver_options).lines().count(), lines, "{}", card.name);
        }
    }

    #[test]
    fn what_a_guest_said_is_read() {
        let said = read_figures(" xruns=2 period=96 late_us_p50=41 interrupts=1500 seconds=3.0");
        assert_eq!(number(&said, "interrupts"), Some(1500.0));
        assert_eq!(number(&said, "late_us_max"), None);
    }
}
