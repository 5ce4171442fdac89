//! What the agent on the run CD does, and what Windows does around it.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use guest_ports::halt;

use super::behaviour::{
    self, Action, Behaviour, DEVICE_STEP, NO_CARD, NO_OUT_DISK, NO_ROOM, NOT_AS_WRITTEN, OUT_FULL,
    after_program, exit_code,
};
use super::cd::{self, Settings};
use super::hda::Hda;
use super::out::{MARKER, NotWritten, OutDisk};
use super::pci::Function;
use super::program::{End, Program, WORK, fill};
use super::{button, dump, nmi};
use crate::firmware::{Disk, File, Firmware};
use crate::joliet::{Sectors, Volume};
use crate::paths;
use crate::play::panic_device;
use crate::serial;
use crate::setup::Problem;
use crate::state;

const LABEL: &str = "RINGWAVE";
const AGENT: &str = "\\ringwave\\run.cmd";
const FILES: &str = "\\ringwave\\files";
/// Ports of AHCI: the disk, the CD, the out disk.
const PORTS: [u16; 3] = [0, 1, 2];
/// Between the crash that QEMU hears of and the restart.
const DUMP_MICROS: usize = 1_000_000;

fn wrong(text: String) -> Problem {
    (NOT_AS_WRITTEN, text)
}

fn full(error: NotWritten) -> Problem {
    (OUT_FULL, error.text())
}

/// The run CD, with what it says.
struct RunCd {
    disk: Disk,
    volume: Volume,
    settings: Settings,
    arguments: Vec<String>,
}

impl RunCd {
    /// Finds the CD with the agent, and looks at everything that the contract has on it.
    fn find(firmware: &Firmware) -> Result<Self, Problem> {
        let cds: Vec<Disk> = firmware.disks().into_iter().filter(Disk::is_cd).collect();
        let found = cds
            .iter()
            .find_map(|disk| Some((*disk, Volume::open(disk).filter(|cd| cd.find(AGENT).is_some())?)));
        let (disk, volume) = found.ok_or_else(|| wrong(format!("no CD with {AGENT} in a Joliet root")))?;
        if cds.len() != 1 || disk.port() != Some(PORTS[1]) {
            return Err(wrong(format!(
                "{} CDs, and the run CD on port {:?} of AHCI, from 0",
                cds.len(),
                disk.port()
            )));
        }
        if volume.label != LABEL {
            return Err(wrong(format!("the run CD is labelled {}, not {LABEL}", volume.label)));
        }
        if boots(&disk) {
            return Err(wrong("the run CD has a boot catalog".to_string()));
        }
        let read = |path: &str| {
            let bytes = volume.read(&disk, path);
            bytes.ok_or_else(|| wrong(format!("{path} is not on the run CD, or cannot be read")))
        };
        for path in cd::FILES {
            read(path)?;
        }
        for script in &cd::FILES[..2] {
            named_files_are_there(&volume, script, &String::from_utf8_lossy(&read(script)?))?;
        }
        let [settings, command] = [cd::FILES[3], cd::FILES[4]];
        let parsed = cd::settings(&read(settings)?).map_err(|what| wrong(format!("{settings}: {what}")))?;
        let arguments = cd::command(&read(command)?).map_err(|what| wrong(format!("{command}: {what}")))?;
        Ok(Self { disk, volume, settings: parsed, arguments })
    }
}

/// Whether a volume descriptor of the CD is a boot record.
fn boots(disk: &Disk) -> bool {
    let mut sector = [0; crate::joliet::SECTOR];
    (16..32).any(|at| Sectors::read(disk, at, &mut sector) && sector.starts_with(b"\0CD001"))
}

/// Empty folders are left out of the CD, so nothing of `\ringwave\files` has to be there.
fn named_files_are_there(volume: &Volume, script: &str, text: &str) -> Result<(), Problem> {
    for name in paths::named(text, Some("\\ringwave")) {
        let path = name.path;
        if name.drive_letter {
            return Err(wrong(format!("{script} names a CD's drive letter before {path}")));
        }
        let of_the_user = path.get(..FILES.len()).is_some_and(|start| start.eq_ignore_ascii_case(FILES));
        if !of_the_user && volume.find(&path).is_none() {
            return Err(wrong(format!("{path} is not on the run CD, and {script} names it")));
        }
    }
    Ok(())
}

/// A boot of the machine.
struct Boot<'a> {
    firmware: Firmware,
    behaviour: &'a Behaviour,
    cd: RunCd,
    system: File,
    out: Option<OutDisk>,
    /// `\logs\sound.txt`, and the instance id of the card's device.
    sound: String,
    device: String,
    /// A problem was said.
    failed: bool,
}

/// One boot of Windows in a run, to its end.
pub fn boot(firmware: Firmware, behaviour: &Behaviour) -> ! {
    if *behaviour == Behaviour::Silent {
        halt()
    }
    firmware.connect_all();
    match Boot::begin(firmware, behaviour) {
        Ok(mut boot) => {
            let plan = behaviour::boot(behaviour, &boot.cd.settings);
            boot.carry_out(plan)
        }
        Err((code, text)) => {
            say(&firmware, &format!("problem {code} {text}"));
            say(&firmware, &format!("done {code}"));
            firmware.power_off()
        }
    }
}

fn say(firmware: &Firmware, line: &str) {
    let line: String =
        line.chars().map(|c| if c.is_ascii() && !c.is_ascii_control() { c } else { '?' }).collect();
    firmware.print(&format!("Windows (stand-in): {line}\r\n"));
    serial::line(&line);
}

impl<'a> Boot<'a> {
    fn begin(firmware: Firmware, behaviour: &'a Behaviour) -> Result<Self, Problem> {
        let cd = RunCd::find(&firmware)?;
        let mut disks = firmware.disks().into_iter();
        let disk = disks.find(|disk| disk.is_writable() && disk.is_fixed() && disk.port() == Some(PORTS[0]));
        let disk = disk.ok_or_else(|| wrong("no disk on the first port of AHCI".to_string()))?;
        let (boots, number) = (state::boots(&disk), cd.settings.boot);
        if boots.saturating_add(1) != number {
            return Err(wrong(format!("BOOT is {number}, and this disk has seen {boots} boots of a run")));
        }
        if !state::count_boot(&disk) {
            return Err(wrong("the disk takes nothing".to_string()));
        }
        let system = firmware.own_volume().ok_or_else(|| wrong("no volume to copy files to".to_string()))?;
        let (sound, device) = (String::new(), String::new());
        Ok(Self { firmware, behaviour, cd, system, out: None, sound, device, failed: false })
    }

    fn carry_out(&mut self, mut plan: Vec<Action>) -> ! {
        loop {
            let next = plan.into_iter().find_map(|action| match self.act(action) {
                Ok(None) => None,
                Ok(Some(plan)) => Some(plan),
                // The disk that is to take the logs is what fails.
                Err(_) if self.failed => None,
                Err((code, text)) => {
                    self.failed = true;
                    Some(behaviour::problem(code, &text))
                }
            });
            match next {
                Some(next) => plan = next,
                None => halt(),
            }
        }
    }

    /// Does one thing; gives the plan that replaces the rest of this one, where there is another.
    fn act(&mut self, action: Action) -> Result<Option<Vec<Action>>, Problem> {
        match action {
            Action::Say(line) => say(&self.firmware, &line),
            Action::Raw(bytes) => serial::write(&bytes),
            Action::RawForever(bytes) => loop {
                serial::write(&bytes);
            },
            Action::FindOut => self.find_out()?,
            Action::Sound(code) => self.look_at_sound(code)?,
            Action::CycleDevice => self.cycle_device()?,
            Action::CopyFiles => self.copy_files()?,
            Action::Program => return self.run_program().map(Some),
            Action::Fill(mib) => fill(self.out()?, mib).map_err(full)?,
            Action::OddNames => odd_names(self.out()?).map_err(full)?,
            Action::CopyLogs => self.copy_logs()?,
            Action::WriteDump => {
                let code = match self.behaviour {
                    Behaviour::HangUntilNmi(_) => dump::STOP_CODE_OF_NMI,
                    _ => dump::STOP_CODE,
                };
                let out = self.out()?;
                out.append("\\dump\\MEMORY.DMP", &dump::dump(dump::KERNEL, code)).map_err(full)?;
                out.append("\\dump\\113026-8921-01.dmp", &dump::dump(dump::SMALL, code)).map_err(full)?;
            }
            Action::Fail(code, text) => return Err((code, text)),
            Action::FailDevice(code) => {
                return Err((
                    behaviour::device_problem(code),
                    format!("problem code {code} of {}", self.device),
                ));
            }
            Action::Damage(what) => {
                if !self.out()?.damage(what) {
                    serial::line("note the stand-in could not do the damage");
                }
            }
            Action::Panic => {
                panic_device();
                self.firmware.stall(DUMP_MICROS);
            }
            Action::Reset => self.firmware.reset(),
            Action::WaitForButton => button::wait(&self.firmware),
            Action::PowerOff => self.firmware.power_off(),
            Action::Halt => halt(),
            Action::HaltUntilNmi => nmi::wait(&self.firmware),
        }
        Ok(None)
    }

    fn out(&self) -> Result<&OutDisk, Problem> {
        self.out.as_ref().ok_or_else(|| (NO_OUT_DISK, format!("no drive has {MARKER}")))
    }

    fn find_out(&mut self) -> Result<(), Problem> {
        self.out = OutDisk::find(&self.firmware);
        let out = self.out()?;
        out.check().map_err(|what| wrong(format!("the out disk: {what}")))?;
        if out.port() != Some(PORTS[2]) {
            return Err(wrong(format!("the out disk is on port {:?} of AHCI, from 0", out.port())));
        }
        Ok(())
    }

    /// The card's device is looked for on the bus; the services and the endpoint are said to be there.
    fn look_at_sound(&mut self, code: u32) -> Result<(), Problem> {
        let ids = &self.cd.settings.card_ids;
        let found = ids.iter().find(|id| is_there(&self.firmware, id));
        let id = found.ok_or_else(|| (NO_CARD, format!("no device begins with {}", ids.join(" or "))))?;
        self.device = format!("{id}&SUBSYS_00011234&REV_01\\3&11583659&0&18");
        self.sound = format!(
            "service AudioEndpointBuilder Running\r\nservice Audiosrv Running\r\ncard {code} {}\r\n",
            self.device
        );
        if code == 0 {
            self.sound.push_str("endpoint {0.0.0.00000000}.{5b4a5f3c-0000-4000-8000-7374616e6469}\r\n");
        }
        Ok(())
    }

    /// As the bus driver does it: to D3hot, and back to D0.
    fn cycle_device(&self) -> Result<(), Problem> {
        let mut functions = self.cd.settings.card_ids.iter().filter_map(|id| function(&self.firmware, id));
        let function = functions.next().ok_or_else(|| (NO_CARD, "the card's device has gone".to_string()))?;
        let wrong = |state| (DEVICE_STEP, format!("the device does not go to the power state D{state}"));
        [3, 0].into_iter().try_for_each(|state| {
            if function.set_power(&self.firmware, state) { Ok(()) } else { Err(wrong(state)) }
        })
    }

    fn copy_files(&self) -> Result<(), Problem> {
        // From a boot before.
        if self.system.open(WORK).is_some() {
            return Ok(());
        }
        let failed =
            |path: &str, status| (NO_ROOM, format!("{path} cannot be copied: EFI status {status:#x}"));
        for folder in ["\\ringwave", WORK] {
            self.system.create_folder(folder).map_err(|status| failed(folder, status))?;
        }
        // A folder stands before what is in it.
        for entry in &self.cd.volume.entries {
            let Some(rest) = entry.path.get(FILES.len()..).filter(|_| {
                entry.path.get(..FILES.len()).is_some_and(|start| start.eq_ignore_ascii_case(FILES))
            }) else {
                continue;
            };
            let to = format!("{WORK}{rest}");
            if entry.folder {
                self.system.create_folder(&to).map_err(|status| failed(&entry.path, status))?;
            } else {
                let bytes = self.cd.volume.read(&self.cd.disk, &entry.path);
                let bytes = bytes.ok_or_else(|| (NO_ROOM, format!("{} cannot be read", entry.path)))?;
                let copied = self.system.create(&to).and_then(|file| file.append(&bytes));
                copied.map_err(|status| failed(&entry.path, status))?;
            }
        }
        Ok(())
    }

    fn run_program(&self) -> Result<Vec<Action>, Problem> {
        let (firmware, settings) = (&self.firmware, &self.cd.settings);
        let program = Program { firmware, settings, out: self.out()?, system: &self.system };
        Ok(match program.run(&self.cd.arguments).map_err(full)? {
            End::Code(code) => {
                after_program(self.behaviour, settings, exit_code(self.behaviour, settings, code))
            }
            End::Waits => [Action::WaitForButton, Action::PowerOff].into(),
            End::Hangs => [Action::Halt].into(),
            End::Crashes => [Action::Reset].into(),
        })
    }

    fn copy_logs(&self) -> Result<(), Problem> {
        let Some(out) = &self.out else { return Ok(()) };
        let status = match self.behaviour {
            Behaviour::ProblemCode(code) => format!("!!!  dvi: Device not started: problem code {code}\r\n"),
            _ => String::new(),
        };
        let setup =
            format!(">>>  [Device Install - {}]\r\n{status}<<<  [Exit status: SUCCESS]\r\n", self.device);
        for (path, text) in [
            ("\\logs\\setupapi.dev.log", setup.as_str()),
            ("\\logs\\install.log", "install.cmd: 5 of 5\r\n"),
            ("\\logs\\sound.txt", self.sound.as_str()),
            ("\\logs\\System.evtx", "ElfFile\0"),
        ] {
            out.append(path, text.as_bytes()).map_err(full)?;
        }
        Ok(())
    }
}

/// Whether a device is there whose instance id begins so.
fn is_there(firmware: &Firmware, id: &str) -> bool {
    if let Some((vendor, device)) = numbers(id, "HDAUDIO") {
        let codec = Hda::open(firmware).and_then(|hda| hda.vendor());
        return codec == Ok(vendor << 16 | device);
    }
    function(firmware, id).is_some()
}

/// The PCI function whose instance id begins so.
fn function(firmware: &Firmware, id: &str) -> Option<Function> {
    let (vendor, device) = numbers(id, "PCI")?;
    Function::find(firmware, 0, u32::MAX, device << 16 | vendor)
}

/// Vendor and device of an instance id on this bus.
fn numbers(id: &str, bus: &str) -> Option<(u32, u32)> {
    let upper = id.to_ascii_uppercase();
    let (found, rest) = upper.split_once('\\')?;
    let number = |key: &str| u32::from_str_radix(rest.get(rest.find(key)? + key.len()..)?.get(..4)?, 16).ok();
    (found == bus).then_some((number("VEN_")?, number("DEV_")?))
}

/// Files and folders whose names a host should look at twice, and too many of them.
fn odd_names(out: &OutDisk) -> Result<(), NotWritten> {
    let long = "x".repeat(200);
    for name in [
        "plain name.txt",
        // The same name, where what is odd becomes `_`.
        "a;b.txt",
        "a&b.txt",
        "-rf",
        "$(touch x).txt",
        "back`tick`.txt",
        "\u{fc}n\u{ef}.txt",
        "%2e%2e%2f.txt",
        "new[line].txt",
        ".hidden",
        "trailing~1.txt",
        &long,
    ] {
        out.append(&format!("\\out\\{name}"), b"odd\r\n")?;
    }
    let mut deep = "\\out".to_string();
    for _ in 0..12 {
        deep.push_str("\\deep");
        out.append(&format!("{deep}\\file.txt"), b"deep\r\n")?;
    }
    for number in 0..4_100 {
        out.append(&format!("\\out\\many{}\\{number}.txt", number / 100), b"")?;
    }
    Ok(())
}
