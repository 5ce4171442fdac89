//! `ringwave-ntguest`: what `qemu-scripts/ntguest` starts once everything is set up and built.

use std::{path::PathBuf, process::Command, process::ExitCode, time::Duration};

use clap::Parser;
use ringwave_runner::{
    artefacts::Artefacts,
    cli,
    error::Error,
    foreign::{self, Device, Request, inf::PciId},
    machine::GuestTime,
    process,
};

/// Loads a WaveRT driver into ntguest, an imitation of the NT kernel and PortCls as strict as Driver
/// Verifier, and says which rules it breaks.
///
/// Exit code: 0 the client was served and no rule was broken, 1 not, 2 bad input.
#[derive(Parser)]
#[command(name = "ntguest", version, max_term_width = 120, after_help = EXAMPLES)]
struct Arguments {
    /// The driver's image, x64.
    #[arg(long, value_name = "FILE")]
    sys: PathBuf,
    /// The INF that installs it: its registry values are set, its hardware ids name the PCI function, its
    /// interfaces are compared.
    #[arg(long, value_name = "FILE")]
    inf: Option<PathBuf>,
    /// The driver's device: `ringwave`, `none` (a driver without hardware), or what QEMU takes behind -device
    /// (audiodev=snd goes to a WAV file).
    #[arg(long, default_value = "ringwave", value_name = "DEVICE")]
    device: String,
    /// What the audiodev `snd` of a device of QEMU's is: `none`, or `wav` and its properties.
    #[arg(long, default_value = "wav", value_name = "DRIVER,PROPERTIES", value_parser = audiodev)]
    audiodev: String,
    /// The driver's PCI function, if the INF names none or several.
    #[arg(long, value_name = "VVVV:DDDD", value_parser = pci)]
    pci: Option<PciId>,
    /// What to do once it has started: none (load, start, remove, unload), play, timer (play by position),
    /// record, duplex, controls (a control panel's and an audio engine's questions), sweep (every format),
    /// cycles, stress (what must be refused, then play).
    #[arg(long, default_value = "play", value_parser = CLIENTS)]
    client: String,
    /// What it plays. Without it two seconds are made.
    #[arg(long, value_name = "FILE")]
    wav: Option<PathBuf>,
    /// Where to put what the device played, or with `--client record` what was recorded.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// A DWORD of the driver's registry key; instead of the INF's value of that name.
    #[arg(long, value_name = "NAME=VALUE", value_parser = value)]
    reg: Vec<(String, u32)>,
    /// The rules that are harsher than Windows, too.
    #[arg(long)]
    harsh: bool,
    /// Before the client comes, every call of the driver that can fail fails once, with each of its
    /// documented errors: in the start, in streams, around D3 and in removal. The figures say how many.
    #[arg(long)]
    failing_calls: bool,
    /// A line for ntguest.cfg (tests/ntguest/README.md lists them), for example `msi=0` or `fail_pool=7`.
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// The guest's processors: on several of them service routines, DPCs and threads run at the same time.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=4))]
    cpus: u32,
    /// Where the guest's time comes from: `host`, or `instructions` (QEMU's -icount): processors, one at a
    /// time, and QEMU's devices go by one count, so that a busy host is hardly late. Not for a device in
    /// another process, as `ringwave`, which goes by the host's clock.
    #[arg(long, value_enum, value_name = "CLOCK", default_value_t)]
    time: GuestTime,
    /// How long the guest may take, in seconds.
    #[arg(long, default_value_t = 120, value_name = "SECONDS")]
    timeout: u64,
    /// Keep the run's folder: the guest's log, QEMU's, what was heard.
    #[arg(long)]
    keep: bool,
}

const CLIENTS: [&str; 9] =
    ["none", "play", "timer", "record", "duplex", "controls", "sweep", "cycles", "stress"];

const EXAMPLES: &str = "\
Examples:
  ntguest --sys my.sys --inf my.inf --device intel-hda --client none
  ntguest --sys my.sys --inf my.inf --client controls --reg Trace=1
  ntguest --sys my.sys --inf my.inf --client play --set msi=0 --keep";

fn pci(text: &str) -> Result<PciId, String> {
    let id = text.split_once(':').and_then(|(vendor, device)| {
        Some((u16::from_str_radix(vendor, 16).ok()?, u16::from_str_radix(device, 16).ok()?))
    });
    id.ok_or_else(|| "write vendor and device in hexadecimal, like 8086:2668".into())
}

fn audiodev(text: &str) -> Result<String, String> {
    match text.split(',').next() {
        Some("none" | "wav") => Ok(text.to_owned()),
        _ => Err("write none, or wav and its properties, like wav,out.frequency=48000".into()),
    }
}

fn value(text: &str) -> Result<(String, u32), String> {
    let parsed = text.split_once('=').and_then(|(name, value)| {
        let value = match value.strip_prefix("0x") {
            Some(hex) => u32::from_str_radix(hex, 16).ok()?,
            None => value.parse().ok()?,
        };
        Some((name.to_owned(), value))
    });
    parsed.filter(|(name, _)| !name.is_empty()).ok_or_else(|| "write a name and a DWORD, like Trace=1".into())
}

fn main() -> ExitCode {
    let arguments: Arguments = match cli::parse("ntguest") {
        Ok(arguments) => arguments,
        Err(code) => return code,
    };
    let done = process::stop_on_signals().and_then(|()| Artefacts::from_env()).and_then(|artefacts| {
        let folder = tempfile::tempdir().map_err(Error::failed)?;
        let request = arguments.request(&artefacts, folder.path())?;
        let report = foreign::run(&artefacts, &request, |step| eprintln!("{step}"))?;
        print!("{report}");
        Ok(report.passed())
    });
    match done {
        Ok(passed) => ExitCode::from(u8::from(!passed)),
        Err(error) => {
            eprintln!("ntguest: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

impl Arguments {
    fn request(self, artefacts: &Artefacts, folder: &std::path::Path) -> Result<Request, Error> {
        let wav = match self.wav {
            Some(wav) if wav.is_file() => wav,
            Some(wav) => {
                return Err(Error::BadInput(format!("{}: no such file; name a WAV file", wav.display())));
            }
            None => {
                let wav = folder.join("tune.wav");
                let made =
                    Command::new(&artefacts.ringwave).arg("tone").arg(&wav).args(["--seconds", "2"]).status();
                if !made.map_err(|e| Error::file("run", &artefacts.ringwave, &e))?.success() {
                    return Err(Error::failed("ringwave tone made no file"));
                }
                wav
            }
        };
        let device = match self.device.as_str() {
            "ringwave" => Device::Ringwave,
            "none" => Device::None,
            _ => Device::Qemu(self.device),
        };
        if self.time == GuestTime::Instructions && device == Device::Ringwave {
            return Err(Error::BadInput(
                "--time instructions is for a device of QEMU's, or none: the card is a process of its own and goes by the \
                 host's clock; name another --device"
                    .into(),
            ));
        }
        if self.time == GuestTime::Instructions && artefacts.accel == "kvm" {
            return Err(Error::BadInput("--time instructions is for TCG: set RINGWAVE_ACCEL=tcg".into()));
        }
        Ok(Request {
            sys: self.sys,
            inf: self.inf,
            device,
            audiodev: self.audiodev,
            pci: self.pci,
            client: self.client,
            wav,
            values: self.reg,
            harsh: self.harsh,
            out: self.out,
            config: self
                .failing_calls
                .then(|| "failing_calls=1".to_owned())
                .into_iter()
                .chain(self.set)
                .collect(),
            processors: self.cpus,
            time: self.time,
            limit: Duration::from_secs(self.timeout),
            keep: self.keep,
        })
    }
}
