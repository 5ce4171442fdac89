//! Hot plug behind a PCI Express root port, native, without ACPI: the card leaves its slot and is put in again,
//! by the button or without a word, every other time with a stream in RUN; then a sound is bit-exact. The
//! driver holds what it held after the first time, and so does the card's process, which serves each of these
//! clients.

use std::{
    cell::Cell,
    thread,
    time::{Duration, Instant},
};

use ringwave_audio::wav;
use ringwave_e2e::{process_usage::ProcessUsage, tune_file::TuneFile};
use ringwave_runner::{
    artefacts::Artefacts,
    card::Card,
    error::Error,
    guest_log::GuestLog,
    machine::{Machine, MachineOptions, Outcome, make_volume},
    qmp::Qmp,
    request::Clock,
};
use serde_json::{Value, json};

/// How long QEMU may take to let go of a card.
const LIMIT: Duration = Duration::from_secs(10);

/// The host's hands: they press the button and put cards in when the guest's log asks for it.
struct Hands {
    qmp: Qmp,
    device: Value,
    pressed: usize,
    put_in: usize,
}

impl Hands {
    fn look(&mut self, log: &str) -> Result<(), Error> {
        let times = |text: &str| log.lines().filter(|line| line.ends_with(text)).count();
        if times("hot-plug: the button, please") > self.pressed {
            self.pressed += 1;
            self.qmp.command("device_del", &json!({ "id": "card" }))?;
        }
        if times("hot-plug: the slot is off") > self.put_in {
            self.put_in += 1;
            self.qmp.wait_until_deleted("card", LIMIT)?;
            self.qmp.command("device_add", &self.device)?;
        }
        Ok(())
    }
}

/// So many times; prints what the card's process holds after the first four and after all.
fn plug(rounds: u64) {
    let artefacts = Artefacts::from_env().expect("everything is built");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (folder, tune) = (folder.path(), TuneFile::stereo());
    let config = format!("wav=MUSIC.WAV\nclient=hot-plug\nrounds={rounds}\nbuffer_ms=20\nreg.Lockstep=1\n");
    make_volume(&artefacts, folder, &tune.path(), &config).expect("a volume");
    let card =
        Card::start(&artefacts.ringwave, folder, "heard", Clock::LOCKSTEP.arguments()).expect("a card");
    let device = json!({
        "driver": "vfio-user-pci",
        "id": "card",
        "bus": "root-port",
        "socket": { "type": "unix", "path": card.socket() },
    });
    let qmp = folder.join("qmp.sock");
    let arguments = [
        "-global",
        "ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off",
        "-device",
        "pcie-root-port,id=root-port,chassis=1,slot=1",
        "-device",
        &device.to_string(),
        "-qmp",
        &format!("unix:{},server=on,wait=off", qmp.display()),
    ];
    let mut machine =
        Machine::boot_device(&artefacts, folder, &arguments.map(String::from), MachineOptions::default())
            .expect("QEMU starts");
    let mut hands = Hands { qmp: Qmp::connect(&qmp).expect("QEMU answers"), device, pressed: 0, put_in: 0 };
    let usage = || ProcessUsage::of(card.process_id()).expect("the card runs");
    let (early, late) = (Cell::new(None), Cell::new(None));
    let path = folder.join("guest.log");
    let outcome = machine.wait(Duration::from_mins(20), || {
        let log = std::fs::read(&path)
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default();
        for (seen, round) in [(&early, 4.min(rounds)), (&late, rounds)] {
            if seen.get().is_none() && log.contains(&format!("hot_plugs={round}\n")) {
                seen.set(Some(usage()));
            }
        }
        hands.look(&log)
    });
    let text = machine.guest_log();
    let logs = || format!("{text}{}{}", machine.qemu_log(), card.log());
    let outcome = outcome.unwrap_or_else(|error| panic!("{error}\n{}", logs()));
    assert_eq!(outcome, Some(Outcome::Ok), "{}", logs());
    let log = GuestLog::parse(&text);
    assert_eq!((log.result("hot_plugs"), log.violations), (Some(rounds), vec![]));
    assert_eq!(hands.put_in as u64, rounds, "the function was gone each time");
    assert!(hands.pressed as u64 >= rounds / 4 && (hands.pressed as u64) < rounds, "{}", hands.pressed);
    let (early, late) = (early.get().expect("four rounds"), late.get().expect("all rounds"));
    println!("after {} cards {early:?}\nafter {rounds} cards {late:?}", 4.min(rounds));
    assert_eq!((late.descriptors, late.threads), (early.descriptors, early.threads));
    assert!(late.anonymous_kib <= early.anonymous_kib + 512, "{early:?} {late:?}");
    assert!(late.maps <= early.maps + 4, "{early:?} {late:?}");
    // Silence before, in other files: each client is a session of its own.
    let sent = wav::read(&tune.path()).expect("the file").frames;
    let is_heard = || {
        (1..=rounds + 1).any(|session| {
            let file = card.session_wav(u32::try_from(session).expect("few sessions"));
            wav::read(&file).is_ok_and(|sound| sound.frames.starts_with(&sent))
        })
    };
    // The card's process ends the last file once it has seen that QEMU is gone.
    let deadline = Instant::now() + LIMIT;
    while !is_heard() && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(100));
    }
    let heard = is_heard();
    assert!(heard, "the file was played after the last card was put in");
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn a_card_that_is_unplugged_and_plugged_in_again_plays() {
    plug(6);
}

/// Two hundred times, a hundred of them in RUN.
#[test]
#[ignore = "minutes: run qemu-scripts/test --long"]
fn in_long_two_hundred_cards_leave_nothing_behind() {
    plug(200);
}
