//! The engine: the one thread that sleeps to the card's next deadline and lets it move audio. What comes of it for the host goes to the
//! [`crate::desk`], whose thread is started and stopped here as well.
//!
//! A deadline is a value of the device clock, so being late once makes nothing else late: the card handles every end that has passed, each
//! with its own clock value (DATASHEET 5.2). The wait is for a time and for the messages that change the deadline, whichever comes first.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use crate::card::Card;
use crate::desk::{self, Desk};
use crate::host::{SinkError, SinkSpec, Sinks};
use crate::trace::TraceFile;

/// What the engine is made with.
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// Where sound goes.
    pub sink: SinkSpec,
    /// Where the figures of the last client go.
    pub stats: Option<PathBuf>,
    /// Where the DMA trace goes.
    pub trace: Option<PathBuf>,
}

/// Why an engine could not be made.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The sink.
    #[error(transparent)]
    Sink(#[from] SinkError),
    /// Another file.
    #[error("cannot write {path}: {source}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// The running engine of a card.
pub struct Engine {
    card: Arc<Card>,
    threads: [JoinHandle<()>; 2],
}

impl Engine {
    /// Starts the engine of `card`. Finds out now whether its files can be written.
    pub fn start(card: Arc<Card>, config: EngineConfig) -> Result<Self, EngineError> {
        let file_error = |path: &Path| {
            let path = path.to_owned();
            move |source| EngineError::File { path, source }
        };
        if let Some(path) = &config.stats {
            // No file: no client has left yet. What stands there is of an earlier process.
            std::fs::OpenOptions::new()
                .append(true)
                .create(true)
                .open(path)
                .and_then(|file| if file.metadata()?.is_file() { std::fs::remove_file(path) } else { Ok(()) })
                .map_err(file_error(path))?;
        }
        let trace = match &config.trace {
            Some(path) => Some(TraceFile::create(path).map_err(file_error(path))?),
            None => None,
        };
        let desk = Desk {
            card: Arc::clone(&card),
            sinks: Sinks::new(config.sink)?,
            trace,
            stats: config.stats,
            notes: 0,
        };
        let thread = |name: &str| std::thread::Builder::new().name(name.to_owned());
        let threads_error = |source| EngineError::File { path: "a new thread".into(), source };
        let desk = thread("desk").spawn(move || desk::run(desk)).map_err(threads_error)?;
        let engine_card = Arc::clone(&card);
        let engine = thread("engine").spawn(move || run(&engine_card)).map_err(threads_error)?;
        Ok(Self { card, threads: [engine, desk] })
    }

    /// Stops it: everything that was heard is in its file, and every file is whole, when this returns.
    pub fn end(self) {
        self.card.end();
        for thread in self.threads {
            let name = thread.thread().name().unwrap_or_default().to_owned();
            if thread.join().is_err() {
                log::error!("the {name} thread panicked");
            }
        }
    }
}

/// Gives the card its time until it is asked to end.
fn run(card: &Card) {
    loop {
        let mut state = card.lock();
        state.advance(card);
        if state.ending {
            return card.engine_ended(state);
        }
        let time = state.controller.next_deadline().map(|deadline| card.clock().until(deadline));
        drop(card.wait_engine(state, time));
    }
}
