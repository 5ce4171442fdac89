//! What the faults are tried with: a folder, the programs, and what differs between the cards.

use std::{fs, path::Path};

use ringwave_e2e::bare::{BareGuest, BareLog};
use ringwave_runner::{
    artefacts::Artefacts,
    card::Card,
    machine::{MachineOptions, Outcome},
};

/// A card that tests/bareguest drives.
pub struct CardUnderTest {
    /// What the guest is told.
    pub config: &'static str,
    /// Options of `ringwave serve`.
    pub options: &'static [&'static str],
    /// HD Audio: it waits for nobody, so its clock goes at a quarter of the speed; it has no end of a stream,
    /// so the guest stops it in the silence behind the sound.
    pub hda: bool,
    /// Frames that were played when the guest says `playing`.
    pub told_frames: usize,
}

pub const RINGWAVE: CardUnderTest =
    CardUnderTest { config: "", options: &["--clock", "lockstep"], hda: false, told_frames: 100 * 480 };

pub const HDA: CardUnderTest = CardUnderTest {
    config: "card=hda\n",
    options: &["--card", "hda", "--clock", "scaled:0.25", "--power-management"],
    hda: true,
    told_frames: 8 * 1024,
};

impl CardUnderTest {
    /// What is as it is for this card.
    pub fn pick<T>(&self, ringwave: T, hda: T) -> T {
        if self.hda { hda } else { ringwave }
    }
}

/// A folder, the programs, and a card.
pub struct Fixture<'a> {
    pub artefacts: Artefacts,
    pub card: &'a CardUnderTest,
    folder: tempfile::TempDir,
}

impl<'a> Fixture<'a> {
    pub fn new(card: &'a CardUnderTest) -> Self {
        let artefacts = Artefacts::from_env().expect("everything is built");
        Self { artefacts, card, folder: tempfile::tempdir().expect("a temporary folder") }
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A card, and files that are named after it.
    pub fn server(&self, name: &str) -> Card {
        self.server_with(name, &self.artefacts.ringwave, &[])
    }

    /// A card by this program, with these options too.
    pub fn server_with(&self, name: &str, program: &Path, more: &[&str]) -> Card {
        let options = self.card.options.iter().chain(more);
        Card::start(program, self.folder(), name, options).expect("the card listens")
    }

    pub fn boot(&self, server: &Card, config: &str, options: MachineOptions) -> BareGuest {
        let config = format!("{}{config}", self.card.config);
        BareGuest::boot(&self.artefacts, self.folder(), &server.socket(), &config, options)
            .expect("QEMU starts")
    }

    /// Boots a guest and waits for its end.
    pub fn run(&self, server: &Card, config: &str, options: MachineOptions) -> (Option<Outcome>, BareLog) {
        let (outcome, log) = self.boot(server, config, options).finish().expect("the guest ends");
        show(server, &log);
        (outcome, log)
    }

    /// Boots a guest that must be content, and waits until the card has put its files away.
    pub fn content(&self, server: &mut Card, config: &str, options: MachineOptions) -> BareLog {
        let before = server.log().matches("the client has left").count();
        let (outcome, log) = self.run(server, config, options);
        assert_eq!((outcome, log.wrong()), (Some(Outcome::Ok), vec![]));
        server.wait_for("the client has left", before + 1).expect("the card sees the client leave");
        log
    }

    /// A program that is `ringwave` where no file can have more than so many bytes.
    pub fn ringwave_on_a_full_disk(&self, bytes: usize) -> std::path::PathBuf {
        use std::os::unix::fs::PermissionsExt;
        let path = self.folder().join("ringwave-on-a-full-disk");
        // dash counts in blocks of 512 bytes, bash that is called as sh too.
        let script = format!(
            "#!/bin/sh\ntrap '' XFSZ\nulimit -f {}\nexec '{}' \"$@\"\n",
            bytes / 512,
            self.artefacts.ringwave.display()
        );
        fs::write(&path, script).expect("a script");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).expect("a program");
        path
    }
}

pub fn show(server: &Card, log: &BareLog) {
    log.events.iter().for_each(|event| eprintln!("guest: {} {}", event.name, event.text));
    eprintln!("{}", server.log());
}

/// The lines of the card's log that are warnings or errors.
pub fn warnings(server: &Card) -> Vec<String> {
    let bad = |line: &&str| line.contains("warn:") || line.contains("error:");
    server.log().lines().filter(bad).map(str::to_owned).collect()
}

/// The card's statistics of the last client.
pub fn stats(fixture: &Fixture<'_>) -> serde_json::Value {
    let text = fs::read_to_string(fixture.folder().join("stats.json")).expect("statistics");
    serde_json::from_str(&text).expect("statistics")
}
