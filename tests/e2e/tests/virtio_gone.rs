//! What QEMU does with a machine whose virtio-snd card was killed, as VIRTIO-SND.md says it (*Reset, stop,
//! and a client that leaves*): it aborts, at once or when the guest goes on to use the device. `virtio.rs`
//! has the guest that is content to unload.
//!
//! A device of virtio can be reached through the PCI configuration space alone (virtio 1.2, section 4.1.4.9),
//! which QEMU's monitor reads and writes: so one access is made, in a machine whose processor halts, and
//! nobody makes others.

use std::{
    fs,
    os::unix::process::ExitStatusExt,
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use ringwave_e2e::tune_file::TuneFile;
use ringwave_runner::{
    artefacts::Artefacts,
    card::Card,
    error::Error,
    machine::{Machine, MachineOptions, make_volume},
    qmp::{self, Qmp},
    request::{CardKind, Clock},
};
use serde_json::json;

/// `SIGABRT`
const ABORTED: i32 = 6;

/// A card and the machine that it is in.
struct Pair {
    card: Card,
    machine: Machine,
    folder: tempfile::TempDir,
}

/// Bytes of a firmware that only halts.
const FIRMWARE_BYTES: usize = 0x1_0000;

impl Pair {
    /// A client of ntguest plays on it, or nothing runs: the processor halts at its first instruction.
    fn new(client: Option<&str>) -> Self {
        let mut artefacts = Artefacts::from_env().expect("everything is built");
        let (tune, client_line) = (TuneFile::stereo(), client.unwrap_or_default());
        let folder = tempfile::tempdir().expect("a temporary folder");
        let config =
            format!("wav=MUSIC.WAV\n{client_line}\npci=1af4:1059\nbuffer_ms=20\nreg.Lockstep=1\nmsi=1\n");
        make_volume(&artefacts, folder.path(), &tune.path(), &config).expect("a volume");
        if client.is_none() {
            // It begins 16 bytes before the end of its memory: cli, hlt, and back to that.
            let mut firmware = vec![0; FIRMWARE_BYTES];
            firmware[FIRMWARE_BYTES - 16..][..4].copy_from_slice(&[0xFA, 0xF4, 0xEB, 0xFD]);
            artefacts.ovmf_code = folder.path().join("halts.fd");
            fs::write(&artefacts.ovmf_code, firmware).expect("a firmware");
        }
        let mut options = Vec::from(CardKind::Virtio.arguments());
        options.extend(Clock::LOCKSTEP.arguments());
        let card = Card::start(&artefacts.ringwave, folder.path(), "heard", options).expect("a card");
        let options = MachineOptions { reboots: true, ..MachineOptions::default() };
        let device = (CardKind::Virtio, &*card.socket());
        let machine = Machine::boot_card(&artefacts, folder.path(), device, options).expect("QEMU starts");
        Self { card, machine, folder }
    }

    /// Waits until the guest has said this, then kills the card's process.
    fn kill_when(&mut self, said: &str) {
        let start = Instant::now();
        while !self.machine.guest_log().contains(said) {
            assert!(start.elapsed() < Duration::from_mins(2), "{}", self.machine.guest_log());
            thread::sleep(Duration::from_millis(10));
        }
        self.card.kill().expect("the card is killed");
    }

    /// How QEMU ends, and what it said; `None` if it runs on for so long.
    fn end(&mut self, limit: Duration) -> Option<(Option<i32>, String)> {
        let status = self.machine.wait_for_exit(limit, || Ok(())).expect("a status");
        let said = self.machine.qemu_log();
        eprintln!("{status:?}\n{}{said}{}", self.machine.guest_log(), self.card.log());
        status.map(|status| (status.signal(), said))
    }

    /// QEMU has aborted, by an assertion of its own.
    fn assert_aborts(&mut self, what: &str) {
        let (signal, said) = self.end(Duration::from_mins(2)).expect("QEMU ends");
        assert_eq!(signal, Some(ABORTED), "{what}: {said}");
        assert!(said.contains("Assertion `"), "{what}: {said}");
    }
}

/// The machine is reset, as by its button or by a guest that reboots: the driver starts once more.
#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn a_reboot_without_the_card_ends_qemu_when_the_driver_starts() {
    let mut pair = Pair::new(Some("client=play"));
    pair.kill_when(": messages of");
    // Either the reset or the next driver; the answer may be QEMU's last word.
    let _ = qmp(pair.folder.path()).command("system_reset", &json!({}));
    pair.assert_aborts("reboot");
    assert_eq!(pair.machine.guest_log().matches("ntguest: start").count(), 2, "it came to boot");
}

/// PnP stops the driver and starts it anew.
#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn a_restart_of_the_driver_without_the_card_ends_qemu() {
    let mut pair = Pair::new(Some("client=pnp\nevent=rebalance"));
    pair.kill_when("virtio sound device: 2 stream(s)");
    pair.assert_aborts("rebalance");
}

fn qmp(folder: &Path) -> Qmp {
    Qmp::connect(&qmp::socket(folder)).expect("QEMU listens")
}

/// The device, through its window in the configuration space.
struct Window {
    qmp: Qmp,
    /// Bus 0, device and function, as a configuration address wants them.
    device: u32,
    /// Where the capability `VIRTIO_PCI_CAP_PCI_CFG` is.
    at: u32,
    /// Where the common and the device's own configuration are in their BAR, which is number `bar`.
    common: (u32, u32),
    own: (u32, u32),
}

impl Window {
    /// What the monitor says to a line.
    fn say(&mut self, line: &str) -> Result<String, Error> {
        let said = self.qmp.command("human-monitor-command", &json!({ "command-line": line }))?;
        Ok(said.as_str().unwrap_or_default().trim().to_owned())
    }

    fn read(&mut self, offset: u32) -> Result<u32, Error> {
        self.say(&format!("o /w 0xcf8 {:#x}", self.device | offset & 0xFC))?;
        // portl[0x0cfc] = 0x00000000
        let said = self.say("i /w 0xcfc")?;
        let value = said.split("0x").last().and_then(|text| u32::from_str_radix(text, 16).ok());
        Ok(value.unwrap_or_else(|| panic!("a number: {said}")))
    }

    fn write(&mut self, offset: u32, value: u32) -> Result<(), Error> {
        self.say(&format!("o /w 0xcf8 {:#x}", self.device | offset & 0xFC))?;
        self.say(&format!("o /w 0xcfc {value:#x}")).map(drop)
    }

    /// Finds the device, which need not have a driver.
    fn open(qmp: Qmp) -> Result<Self, Error> {
        let mut window = Self { qmp, device: 0, at: 0, common: (0, 0), own: (0, 0) };
        for number in 0..32 {
            window.device = 1 << 31 | number << 11;
            if window.read(0)? == 0x1059_1AF4 {
                break;
            }
        }
        let mut at = window.read(0x34)? & 0xFC;
        while at != 0 {
            let head = window.read(at)?;
            if head & 0xFF == 9 {
                let place = (window.read(at + 4)? & 0xFF, window.read(at + 8)?);
                // Bytes of the capability: id, next, length, and which structure it is.
                match head >> 24 {
                    1 => window.common = place,
                    4 => window.own = place,
                    5 => window.at = at,
                    _ => {}
                }
            }
            at = head >> 8 & 0xFC;
        }
        assert!(window.at != 0 && window.own.1 != 0, "the capabilities of virtio");
        Ok(window)
    }

    /// Points the window at so many bytes of a structure.
    fn point(&mut self, (bar, offset): (u32, u32), bytes: u32) -> Result<(), Error> {
        self.write(self.at + 4, bar)?;
        self.write(self.at + 8, offset)?;
        self.write(self.at + 12, bytes)
    }

    /// The number of streams, in the device's own configuration.
    fn streams(&mut self) -> Result<u32, Error> {
        self.point((self.own.0, self.own.1 + 4), 4)?;
        self.read(self.at + 16)
    }

    /// A driver begins: acknowledged, a driver, features are agreed on, `DRIVER_OK`.
    fn drive(&mut self) -> Result<(), Error> {
        [1, 3, 11, 15].into_iter().try_for_each(|status| self.set_status(status))
    }

    /// Writes the device's status.
    fn set_status(&mut self, status: u32) -> Result<(), Error> {
        self.point((self.common.0, self.common.1 + 0x14), 1)?;
        self.write(self.at + 16, status)
    }
}

/// Nobody drives the device.
fn undriven() -> (Pair, Window) {
    let pair = Pair::new(None);
    let window = Window::open(qmp(pair.folder.path())).expect("the device is there");
    (pair, window)
}

/// A device that nobody drives, as in firmware, in a guest without a driver for it or after that has
/// unloaded: the card is killed, or ends as it should, and QEMU aborts at once, whatever the guest does.
#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn a_card_that_nobody_drives_takes_qemu_along() {
    for signal in ["KILL", "TERM"] {
        let (mut pair, mut window) = undriven();
        assert_eq!(window.streams().expect("the device is there"), 2);
        signal_to(pair.card.process_id(), signal);
        pair.assert_aborts(signal);
    }
}

fn signal_to(process: u32, name: &str) {
    let done = Command::new("sh").args(["-c", &format!("kill -{name} {process}")]).status();
    assert!(done.expect("a shell").success(), "kill -{name} {process}");
}

/// What a guest would do with a device that it drives, one access at a time, each in a machine of its own.
#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn one_access_to_a_card_that_was_killed_ends_qemu() {
    type Access = fn(&mut Window) -> Result<(), Error>;
    let accesses: [(&str, Access); 2] = [
        ("configuration", |window| window.streams().map(drop)),
        ("DRIVER_OK", |window| window.set_status(0).and_then(|()| window.drive())),
    ];
    for (what, access) in accesses {
        let (mut pair, mut window) = undriven();
        window.drive().expect("the device is driven");
        pair.card.kill().expect("the card is killed");
        assert!(pair.end(Duration::from_secs(1)).is_none(), "QEMU runs on");
        assert!(window.say("info status").is_ok_and(|said| said.contains("running")), "{what}");
        assert!(access(&mut window).is_err(), "{what}: QEMU answers");
        pair.assert_aborts(what);
    }
}
