//! Anybody's WaveRT driver in ntguest: its `.sys`, its INF, a device of QEMU's or the Ringwave card, one
//! client, a report. `qemu-scripts/ntguest` calls it through the program `ringwave-ntguest`.

pub mod inf;
pub mod report;

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{
    artefacts::Artefacts,
    card::Card,
    error::Error,
    guest_log::GuestLog,
    machine::{self, GuestTime, Machine, MachineOptions, make_volume},
};
use inf::{Facts, PciId};
use report::Report;
use ringwave_audio::{SampleFormat, StreamFormat, wav::Sound};
use ringwave_regs::pci;

/// The driver's device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Device {
    /// The Ringwave card of this repository, served for this run; what it hears goes to a WAV file.
    Ringwave,
    /// None: a device that the root bus enumerates, without hardware.
    None,
    /// A device of QEMU's: what stands behind `-device`. Its sound, if it makes any, goes to the audiodev
    /// `snd`.
    Qemu(String),
}

/// What to do with which driver.
#[derive(Clone, Debug)]
pub struct Request {
    /// The driver's image.
    pub sys: PathBuf,
    /// The INF that installs it.
    pub inf: Option<PathBuf>,
    /// Its device.
    pub device: Device,
    /// The audiodev `snd` of a device of QEMU's: `none`, or `wav` and properties of it.
    pub audiodev: String,
    /// Which PCI function is its, if the INF does not tell.
    pub pci: Option<PciId>,
    /// What ntguest's client does once the device has started.
    pub client: String,
    /// What it plays.
    pub wav: PathBuf,
    /// Registry values, before the INF's.
    pub values: Vec<(String, u32)>,
    /// The rules that are harsher than Windows, too.
    pub harsh: bool,
    /// Where to put what the card heard, or what the client `record` recorded.
    pub out: Option<PathBuf>,
    /// More lines for ntguest.cfg.
    pub config: Vec<String>,
    /// The guest's processors.
    pub processors: u32,
    /// Where the guest's time comes from; [`GuestTime::Instructions`] is for a device of QEMU's.
    pub time: GuestTime,
    /// How long the guest may take.
    pub limit: Duration,
    /// Leave the run's folder and say where it is.
    pub keep: bool,
}

/// Does what `request` says. `progress` hears about the run's steps.
///
/// # Errors
/// [`Error::BadInput`] before anything is started; [`Error::Failed`] if QEMU or the card can't do its work;
/// [`Error::Interrupted`]. Whatever happens, no process and no socket is left.
pub fn run(
    artefacts: &Artefacts,
    request: &Request,
    mut progress: impl FnMut(&str),
) -> Result<Report, Error> {
    let facts = request.facts()?;
    let pci = if request.device == Device::None { None } else { Some(request.function(&facts)?) };
    let format = request.recorded_format()?;
    let (report, folder) = crate::run::with_run_folder(request.keep, |folder| {
        boot(artefacts, request, &facts, (pci, format), folder, &mut progress)
    })?;
    report.map(|report| report.kept(folder))
}

impl Request {
    /// What the INF says; nothing without one.
    fn facts(&self) -> Result<Facts, Error> {
        let bad = |path: &Path, why: String| Error::BadInput(format!("{}: {why}", path.display()));
        let image = fs::read(&self.sys)
            .map_err(|e| bad(&self.sys, format!("cannot be read ({e}); name the driver's .sys")))?;
        if !image.starts_with(b"MZ") {
            return Err(bad(&self.sys, "is no Windows image; name the driver's .sys".into()));
        }
        let Some(path) = &self.inf else { return Ok(Facts::default()) };
        let bytes =
            fs::read(path).map_err(|e| bad(path, format!("cannot be read ({e}); name the driver's INF")))?;
        inf::read(&bytes).map_err(|e| bad(path, format!("{e}; name the driver's INF")))
    }

    /// The PCI function that the driver gets.
    fn function(&self, facts: &Facts) -> Result<PciId, Error> {
        match (self.pci, &facts.pci[..], &self.device) {
            (Some(pci), ..) => Ok(pci),
            (None, _, Device::Ringwave | Device::None) => Ok((pci::VENDOR, pci::DEVICE)),
            (None, [one], Device::Qemu(_)) => Ok(*one),
            (None, [], Device::Qemu(_)) => Err(Error::BadInput(
                "no INF names a PCI function: say which is the driver's with --pci VVVV:DDDD".into(),
            )),
            (None, several, Device::Qemu(_)) => Err(Error::BadInput(format!(
                "the INF is for {}: say which the device is with --pci VVVV:DDDD",
                several
                    .iter()
                    .map(|(vendor, device)| format!("{vendor:04x}:{device:04x}"))
                    .collect::<Vec<_>>()
                    .join(", ")
            ))),
        }
    }

    /// The format that the client `record` is asked for: `format=` of ntguest.cfg.
    fn recorded_format(&self) -> Result<StreamFormat, Error> {
        let asked = self.config.iter().rev().find_map(|line| line.strip_prefix("format="));
        stream_format(asked.unwrap_or("s16x2@48000")).ok_or_else(|| {
            Error::BadInput(format!("format={}: write it like s16x2@48000", asked.unwrap_or_default()))
        })
    }

    /// ntguest.cfg.
    fn guest_config(&self, facts: &Facts, pci: Option<PciId>) -> String {
        let mut lines = vec![
            "wav=MUSIC.WAV".to_owned(),
            pci.map_or("pci=none".to_owned(), |(vendor, device)| format!("pci={vendor:04x}:{device:04x}")),
            format!("client={}", self.client),
            format!("harsh={}", u8::from(self.harsh)),
            // A card that nobody asked to wait does not.
            "clock=realtime".to_owned(),
        ];
        if self.processors > 1 {
            lines.push(format!("cpus={}", self.processors));
        }
        let mut values = self.values.clone();
        let new = |(name, _): &&(String, u32)| {
            !self.values.iter().any(|(known, _)| known.eq_ignore_ascii_case(name))
        };
        values.extend(facts.values.iter().filter(new).cloned());
        lines.extend(values.iter().map(|(name, value)| format!("reg.{name}={value}")));
        lines.extend(facts.messages.map(|messages| format!("msi={messages}")));
        let key = |line: &str| line.split('=').next().unwrap_or_default().to_owned();
        lines.retain(|line| !self.config.iter().any(|other| key(other) == key(line)));
        lines.extend(self.config.iter().cloned());
        lines.join("\n") + "\n"
    }
}

/// A format as ntguest writes it, `s16x2@48000`.
fn stream_format(text: &str) -> Option<StreamFormat> {
    let (sample, rest) = text.split_once('x')?;
    let (channels, rate) = rest.split_once('@')?;
    let sample = SampleFormat::ALL.into_iter().find(|known| known.name() == sample)?;
    Some(StreamFormat { sample, channels: channels.parse().ok()?, rate: rate.parse().ok()? })
}

fn boot(
    artefacts: &Artefacts,
    request: &Request,
    facts: &Facts,
    (pci, format): (Option<PciId>, StreamFormat),
    folder: &Path,
    progress: &mut impl FnMut(&str),
) -> Result<Report, Error> {
    let volume_parts = Artefacts { driver: request.sys.clone(), ..artefacts.clone() };
    make_volume(&volume_parts, folder, &request.wav, &request.guest_config(facts, pci))?;
    let bytes = request.wav.metadata().map_err(|e| Error::file("read", &request.wav, &e))?.len();
    let options = MachineOptions {
        ram_mib: machine::ram_for(bytes),
        processors: request.processors,
        time: request.time,
        ..MachineOptions::default()
    };
    let played = folder.join("heard.wav");
    let (card, mut machine) = match &request.device {
        Device::Ringwave => {
            let mut arguments = Card::single_session_options(folder);
            arguments.extend(["--clock".into(), "realtime".into()]);
            let card = Card::start(&artefacts.ringwave, folder, "heard", arguments)?;
            let machine = Machine::boot_with(artefacts, folder, &card.socket(), options)?;
            (Some(card), machine)
        }
        Device::None => (None, Machine::boot_device(artefacts, folder, &[], options)?),
        Device::Qemu(device) => {
            let mut audiodev = format!("{},id=snd", request.audiodev);
            if request.audiodev.starts_with("wav") {
                let _ = write!(audiodev, ",path={}", played.display());
            }
            let arguments = ["-audiodev".into(), audiodev, "-device".into(), device.clone()];
            (None, Machine::boot_device(artefacts, folder, &arguments, options)?)
        }
    };
    progress("guest boots");
    let outcome = machine.wait(request.limit, || Ok(()))?;
    let (text, qemu, recorded) = (machine.guest_log(), machine.qemu_log(), machine.recorded()?);
    drop(machine);
    if let Some(machine::Outcome::Qemu(code)) = outcome {
        return Err(Error::Failed(format!("QEMU failed (exit code {code:?}): {}", qemu.trim())));
    }
    let stats = card.map(Card::finish).transpose()?.map(|(stats, _)| stats);
    let played = played.exists().then_some(played);
    let records = request.client == "record";
    match (&request.out, &played) {
        (Some(out), _) if records => crate::run::write(out, &Sound { format, frames: recorded }, None)?,
        (Some(out), Some(played)) => {
            fs::copy(played, out).map_err(|e| Error::file("write", out, &e))?;
        }
        _ => {}
    }
    Ok(Report::new(
        request,
        facts,
        pci,
        outcome,
        GuestLog::parse(&text),
        &text,
        records || (stats.is_some() && played.is_some()),
    ))
}
