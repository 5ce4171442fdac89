//! The guest `bareguest` (tests/bareguest), which drives the card without the driver: its volume, its log,
//! and the sound it plays.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use ringwave_audio::SampleFormat;
use ringwave_runner::{
    artefacts::{self, Artefacts},
    error::Error,
    machine::{LOW_RAM_END, Machine, MachineOptions, Outcome},
    process::check_stop,
};

/// A guest that says nothing for so long hangs. On a busy host without KVM its firmware alone takes a minute.
const TIMEOUT: Duration = Duration::from_mins(10);

/// A guest that runs.
pub struct BareGuest {
    machine: Machine,
}

/// One line of the guest's: an event and its values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// The first word.
    pub name: String,
    /// `key=value`.
    pub values: BTreeMap<String, String>,
    /// The line without its first word.
    pub text: String,
}

impl Event {
    /// A value; empty if it is not there.
    pub fn get(&self, key: &str) -> &str {
        self.values.get(key).map_or("", String::as_str)
    }

    /// A number; `None` if it is not there or not a number.
    pub fn number(&self, key: &str) -> Option<u64> {
        self.get(key).parse().ok()
    }
}

/// All that a guest said.
#[derive(Clone, Debug, Default)]
pub struct BareLog {
    /// Its lines, in order.
    pub events: Vec<Event>,
}

impl BareLog {
    /// Reads a debug console; lines of others are passed over, and so is a last one that is not whole yet.
    pub fn parse(text: &str) -> Self {
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let said = whole.lines().filter_map(|line| line.trim_end().strip_prefix("bare: "));
        let event = |line: &str| {
            let (name, rest) = line.split_once(' ').unwrap_or((line, ""));
            let pairs = rest.split_whitespace().filter_map(|word| word.split_once('='));
            let values = pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
            Event { name: name.to_owned(), values, text: rest.to_owned() }
        };
        Self { events: said.map(event).collect() }
    }

    /// Every event of this name.
    pub fn all(&self, name: &str) -> Vec<&Event> {
        self.events.iter().filter(|event| event.name == name).collect()
    }

    /// The only event of this name.
    ///
    /// # Panics
    /// If there is none, or more than one: the test that asks has failed.
    #[track_caller]
    pub fn one(&self, name: &str) -> &Event {
        let all = self.all(name);
        assert_eq!(all.len(), 1, "events {name:?} of the guest: {all:?}");
        all[0]
    }

    /// What the guest found wrong.
    pub fn wrong(&self) -> Vec<&str> {
        self.all("wrong").into_iter().map(|event| event.text.as_str()).collect()
    }
}

impl BareGuest {
    /// Boots the guest in `folder` with the card at `socket`. `config` is its BARE.CFG.
    ///
    /// # Errors
    /// [`Error::BadInput`] if it was not built, [`Error::Failed`] if QEMU can't be started.
    pub fn boot(
        artefacts: &Artefacts,
        folder: &Path,
        socket: &Path,
        config: &str,
        options: MachineOptions,
    ) -> Result<Self, Error> {
        let volume = folder.join("volume");
        let boot = volume.join("EFI/BOOT");
        fs::create_dir_all(&boot).map_err(|e| Error::file("create", &boot, &e))?;
        let copy = |from: &Path, to: &Path| {
            fs::copy(from, to).map(drop).map_err(|e| Error::file("copy to the guest's volume", from, &e))
        };
        copy(&artefacts::bareguest()?, &boot.join("BOOTX64.EFI"))?;
        copy(&artefacts.ovmf_vars, &folder.join("vars.fd"))?;
        let path = volume.join("BARE.CFG");
        let config = format!("{config}\nlow_ram_end={LOW_RAM_END}\n");
        fs::write(&path, config).map_err(|e| Error::file("write", &path, &e))?;
        // What an earlier guest in this folder said is not this one's.
        let _ = fs::remove_file(folder.join("guest.log"));
        Ok(Self { machine: Machine::boot_with(artefacts, folder, socket, options)? })
    }

    /// What it said so far.
    pub fn log(&self) -> BareLog {
        BareLog::parse(&self.machine.guest_log())
    }

    /// Waits until the guest has said `name` that often.
    ///
    /// # Errors
    /// [`Error::Failed`] with its log if it ends before, or takes too long.
    pub fn wait_for(&mut self, name: &str, times: usize) -> Result<(), Error> {
        let said = |guest: &Self| guest.log().all(name).len() >= times;
        let (mut lines, mut since) = (0, Instant::now());
        while !said(self) {
            check_stop()?;
            let now = self.log().events.len();
            if now != lines {
                (lines, since) = (now, Instant::now());
            }
            let hangs = since.elapsed() > TIMEOUT;
            let ended = self.machine.wait(Duration::from_millis(20), || Ok(()))?;
            if (ended.is_some() || hangs) && !said(self) {
                let (guest, qemu) = (self.machine.guest_log(), self.machine.qemu_log());
                return Err(Error::Failed(format!(
                    "the guest does not say {name} ({ended:?}): {guest}{qemu}"
                )));
            }
        }
        Ok(())
    }

    /// Waits until the guest says so, then pulls the plug out of jack 1 of the card with this control socket.
    ///
    /// # Errors
    /// [`Error::Failed`] if the guest ends before, or `ringwave control` fails.
    pub fn pull_plug_when_told(&mut self, ringwave: &Path, control: &Path) -> Result<(), Error> {
        self.wait_for("pull-the-plug", 1)?;
        let pull = Command::new(ringwave).arg("control").arg(control).args(["jack", "1", "out"]).status();
        let pulled = pull.map_err(|error| Error::file("run", ringwave, &error))?;
        if pulled.success() { Ok(()) } else { Err(Error::failed(format!("ringwave control: {pulled}"))) }
    }

    /// Waits for its end; gives how it ended (`None`: not in time) and what it said.
    ///
    /// # Errors
    /// [`Error::Interrupted`] when the user wants to stop.
    pub fn finish(mut self) -> Result<(Option<Outcome>, BareLog), Error> {
        let (mut lines, mut since) = (0, Instant::now());
        loop {
            let outcome = self.machine.wait(Duration::from_secs(1), || Ok(()))?;
            let log = self.log();
            if log.events.len() != lines {
                (lines, since) = (log.events.len(), Instant::now());
            }
            if outcome.is_some() || since.elapsed() > TIMEOUT {
                return Ok((outcome, log));
            }
        }
    }

    /// QEMU's process id.
    pub fn process_id(&self) -> u32 {
        self.machine.process_id()
    }

    /// Kills QEMU (SIGKILL); gives what the guest had said.
    ///
    /// # Errors
    /// [`Error::Failed`] if the system can't.
    pub fn kill(self) -> Result<BareLog, Error> {
        let log = self.log();
        self.machine.kill().map(|()| log)
    }
}

/// The first `count` samples that the guest plays with this seed (tests/bareguest/src/pattern.rs), as they
/// lie in its buffer: those of more than 16 bits left-justified in 32.
pub fn pattern_bytes(seed: u32, sample: SampleFormat, count: usize) -> Vec<u8> {
    let mut state = seed;
    let keep = if sample == SampleFormat::S16 { 2..4 } else { 0..4 };
    let mask = if sample == SampleFormat::S24In32 { !0xFF } else { !0 };
    let bytes = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state & mask).to_le_bytes()
    };
    std::iter::repeat_with(bytes).take(count).flat_map(|bytes| bytes[keep.clone()].to_vec()).collect()
}

/// The first `frames` stereo frames of 16 bits, interleaved.
pub fn pattern(seed: u32, frames: usize) -> Vec<i16> {
    let bytes = pattern_bytes(seed, SampleFormat::S16, frames.saturating_mul(2));
    bytes.chunks_exact(2).map(|sample| i16::from_le_bytes([sample[0], sample[1]])).collect()
}

/// The samples of a WAV file, and its rate.
///
/// # Errors
/// [`Error::Failed`] if it is not a WAV file.
pub fn samples(path: &Path) -> Result<(Vec<i16>, u32), Error> {
    let bad = |error: hound::Error| Error::Failed(format!("{}: {error}", path.display()));
    let reader = hound::WavReader::open(path).map_err(bad)?;
    let rate = reader.spec().sample_rate;
    Ok((reader.into_samples().collect::<Result<_, _>>().map_err(bad)?, rate))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_whole_lines_of_the_guest_only() {
        let log = BareLog::parse(
            "BdsDxe: noise\nbare: refused case=x error=10\nbare: wrong STATE: saw 3\nbare: pla",
        );
        assert_eq!(log.one("refused").number("error"), Some(10));
        assert_eq!(log.wrong(), ["STATE: saw 3"]);
        assert_eq!(log.events.len(), 2);
    }

    #[test]
    fn the_pattern_is_the_guests() {
        // The same numbers stand in tests/bareguest/src/pattern.rs.
        assert_eq!(pattern(1, 2)[..3], [15_496, 24_200, -32_490]);
    }
}
