//! Hot plug behind a PCI Express root port, native, without ACPI: the card leaves its slot and is put in
//! again, by the button or without a word, every other time with a stream in RUN; then a sound is bit-exact.
//! The driver holds what it held after the first time, and so does the card's process, which serves each of
//! these clients. And the card is exchanged, as device/README says ("A new version of the card"): the card
//! that comes is another process on the same socket.

use std::time::Duration;

use ringwave_audio::wav;
use ringwave_e2e::{process_usage::ProcessUsage, tune_file::TuneFile};
use ringwave_runner::{
    artefacts::Artefacts,
    card::Card,
    error::Error,
    guest_log::GuestLog,
    machine::{Machine, MachineOptions, Outcome, make_volume},
    qmp::{self, Qmp},
    request::Clock,
};
use serde_json::{Value, json};

/// How long QEMU may take to let go of a card, on a machine that has much else to do.
const LIMIT: Duration = Duration::from_mins(1);

/// The host's hands: they press the button and put cards in when the guest's log asks for it.
struct Hands {
    qmp: Qmp,
    device: Value,
    /// Starts the process that comes in place of the one that is there.
    another: Option<Box<dyn Fn() -> Result<Card, Error>>>,
    card: Option<Card>,
    pressed: usize,
    put_in: usize,
    /// What the card's process held each time when it had no client.
    held: Vec<ProcessUsage>,
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
            self.card_has_left()?;
            self.qmp.command("device_add", &self.device)?;
        }
        Ok(())
    }

    /// Waits until the process has no client; then another one comes in its place, if one is to.
    fn card_has_left(&mut self) -> Result<(), Error> {
        let Some(another) = &self.another else {
            // Only now: while it has a client a stream may be open, and its file, however soon this looks.
            let card = self.card.as_mut().expect("a card");
            card.wait_for("the client has left", self.put_in)?;
            self.held.push(ProcessUsage::of(card.process_id())?);
            return Ok(());
        };
        let status = self.card.take().expect("a card").end()?;
        assert!(status.success(), "the process ends in order: {status}");
        self.card = Some(another()?);
        Ok(())
    }
}

/// So many times; prints what the card's process holds after the first four and after all. Or each card that
/// comes is another process.
fn plug(rounds: usize, exchange: bool) {
    let artefacts = Artefacts::from_env().expect("everything is built");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (folder, tune) = (folder.path(), TuneFile::stereo());
    let config = format!("wav=MUSIC.WAV\nclient=hot-plug\nrounds={rounds}\nbuffer_ms=20\nreg.Lockstep=1\n");
    make_volume(&artefacts, folder, &tune.path(), &config).expect("a volume");
    let card = Card::start(&artefacts.ringwave, folder, "heard", Clock::LOCKSTEP.arguments());
    let card = card.expect("a card");
    let (program, place) = (artefacts.ringwave.clone(), folder.to_owned());
    let another: Box<dyn Fn() -> Result<Card, Error>> =
        Box::new(move || Card::start(&program, &place, "heard", Clock::LOCKSTEP.arguments()));
    let another = exchange.then_some(another);
    let device = json!({
        "driver": "vfio-user-pci",
        "id": "card",
        "bus": "root-port",
        "socket": { "type": "unix", "path": card.socket() },
    });
    let arguments = [
        "-global",
        "ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off",
        "-device",
        "pcie-root-port,id=root-port,chassis=1,slot=1",
        "-device",
        &device.to_string(),
    ];
    let mut machine =
        Machine::boot_device(&artefacts, folder, &arguments.map(String::from), MachineOptions::default())
            .expect("QEMU starts");
    let qmp = Qmp::connect(&qmp::socket(folder)).expect("QEMU answers");
    let mut hands = Hands { qmp, device, another, card: Some(card), pressed: 0, put_in: 0, held: Vec::new() };
    let path = folder.join("guest.log");
    let outcome = machine.wait(Duration::from_mins(20), || {
        let log = std::fs::read(&path).unwrap_or_default();
        hands.look(&String::from_utf8_lossy(&log))
    });
    let text = machine.guest_log();
    let outcome = outcome.unwrap_or_else(|error| panic!("{error}\n{text}{}", machine.qemu_log()));
    let mut card = hands.card.take().expect("a card");
    let logs = || format!("{text}{}{}", machine.qemu_log(), card.log());
    assert_eq!(outcome, Some(Outcome::Ok), "{}", logs());
    let log = GuestLog::parse(&text);
    assert_eq!((log.result("hot_plugs"), log.violations), (Some(rounds as u64), vec![]));
    assert_eq!(hands.put_in, rounds, "the function was gone each time");
    assert!(hands.pressed >= rounds / 4 && hands.pressed < rounds, "{}", hands.pressed);
    let sessions = if exchange { 1 } else { rounds + 1 };
    card.wait_for("the client has left", sessions).expect("the card sees that QEMU is gone");
    if !exchange {
        assert_no_growth(&hands.held);
    }
    // Silence before, in other files: each client is a session of its own.
    let sent = wav::read(&tune.path()).expect("the file").frames;
    let heard = (1..=sessions).any(|session| {
        let file = card.session_wav(u32::try_from(session).expect("few sessions"));
        wav::read(&file).is_ok_and(|sound| sound.frames.starts_with(&sent))
    });
    assert!(heard, "the file was played after the last card was put in");
}

/// After the last card the process holds what it held after four.
fn assert_no_growth(held: &[ProcessUsage]) {
    let (early, late) = (held.get(3).expect("four cards"), held.last().expect("all cards"));
    println!("after 4 cards {early:?}\nafter {} cards {late:?}", held.len());
    assert_eq!((late.descriptors, late.threads), (early.descriptors, early.threads));
    assert!(late.anonymous_kib <= early.anonymous_kib + 512, "{early:?} {late:?}");
    assert!(late.maps <= early.maps + 4, "{early:?} {late:?}");
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn a_card_that_is_unplugged_and_plugged_in_again_plays() {
    plug(6, false);
}

#[test]
#[ignore = "boots QEMU: run qemu-scripts/test"]
fn a_card_that_is_exchanged_for_another_process_plays() {
    plug(4, true);
}

/// Two hundred times, a hundred of them in RUN.
#[test]
#[ignore = "minutes: run qemu-scripts/test --long"]
fn in_long_two_hundred_cards_leave_nothing_behind() {
    plug(200, false);
}
