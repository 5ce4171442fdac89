//! A card that serves one client within the test's process, and what it leaves behind.
#![allow(dead_code, reason = "each test program uses a part of it")]

use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

use crate::guest::Guest;
use ringwave::engine::{Engine, EngineConfig};
use ringwave::serve::serve;
use ringwave_card::controller::Config;
use ringwave_card::env::ClockMode;
use ringwave_card::pci::Identity;
use ringwave_card::{Card, CardConfig};
use ringwave_host::SinkSpec;
use ringwave_vfio_user::Listener;

/// A card that serves clients in this process.
pub struct Served {
    dir: tempfile::TempDir,
    engine: Engine<Card>,
    server: JoinHandle<()>,
}

impl Served {
    pub fn with_sink(sink: Option<SinkSpec>, speed: &str) -> Self {
        let controller = Config { clock: ClockMode::Lockstep, ..Config::default() };
        Self::with_controller(controller, sink, speed)
    }

    pub fn with_controller(controller: Config, sink: Option<SinkSpec>, speed: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let card = CardConfig {
            controller,
            identity: Identity::default(),
            speed: speed.parse().unwrap(),
            trace: true,
        }
        .power_on();
        let card = Arc::new(card.unwrap());
        let socket = Listener::bind(&dir.path().join("card.sock")).unwrap();
        let files = EngineConfig {
            sink: sink.unwrap_or_else(|| SinkSpec::Wav(dir.path().join("heard.wav"))),
            stats: Some(dir.path().join("stats.json")),
            trace: Some(dir.path().join("trace.txt")),
        };
        let engine = Engine::start(Arc::clone(&card), files).unwrap();
        // Ends with the test's process, or when the first client has left.
        let server = std::thread::spawn(move || serve(&card, &socket, true).unwrap());
        Self { dir, engine, server }
    }

    pub fn start() -> Self {
        Self::with_sink(None, "20")
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn connect(&self) -> Guest {
        Guest::connect(&self.path("card.sock"))
    }

    /// The guest leaves; what became of it.
    pub fn leave(self, guest: Guest) -> Left {
        drop(guest);
        self.server.join().unwrap();
        self.engine.end();
        let stats = std::fs::read(self.dir.path().join("stats.json")).unwrap();
        Left { stats: serde_json::from_slice(&stats).unwrap(), dir: self.dir }
    }
}

pub struct Left {
    dir: tempfile::TempDir,
    /// The figures that it left behind.
    pub stats: serde_json::Value,
}

impl Left {
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}
