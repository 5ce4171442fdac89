//! The engine: the one thread that sleeps to the card's next deadline and lets it move audio. What comes of it for the host goes to the
//! [`crate::desk`], whose thread is started and stopped here as well.
//!
//! A deadline is a value of the device clock, so being late once makes nothing else late: the card handles every end that has passed, each
//! with its own clock value (DATASHEET 5.2). The wait is for a time and for the messages that change the deadline, whichever comes first.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::card::{Card, reset_watch};
use crate::desk::{self, Desk};
use crate::outbox::Outbox;
use ringwave_host::output::{Claim, Content, PatientFile};
use ringwave_host::{SinkError, SinkSpec, Sinks};
use ringwave_report::SessionReport;
use ringwave_trace::{FIRST_WORDS, TraceWriter, is_trace};

/// At the end: a sink that takes nothing for as long is given up, so that a signal ends the process whatever hangs.
const SINK_PATIENCE: Duration = Duration::from_secs(8);

/// How a file of stats is told: more bytes than those of any client.
const STATS: Content = Content::Other { bytes: 1 << 20, is_ours: SessionReport::is_one };
/// How a trace is told.
const TRACE: Content = Content::Other { bytes: FIRST_WORDS.len() as u64, is_ours: is_trace };
/// Who reads figures or a trace from a FIFO and takes nothing for as long gets no more of it.
pub(crate) const READER_PATIENCE: Duration = Duration::from_millis(500);

/// What the engine is made with.
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// Where sound goes.
    pub sink: SinkSpec,
    /// Where the figures of the last client go.
    pub stats: Option<PathBuf>,
    /// Where the trace goes.
    pub trace: Option<PathBuf>,
}

/// Why an engine could not be made.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The sink.
    #[error(transparent)]
    Sink(#[from] SinkError),
    /// Another file.
    #[error("cannot write {path}: {}", ringwave_audio::next_step::writing(source), path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

impl EngineConfig {
    /// Finds out whether its files can be written, and keeps other processes from them: before the process gives up what that takes.
    /// `in_use`: files that this process reads.
    pub fn claim(&self, in_use: &[PathBuf]) -> Result<Claims, EngineError> {
        let claim = |path: &PathBuf, content| {
            Claim::new(path, content, in_use)
                .map_err(|source| EngineError::File { path: path.clone(), source })
        };
        let sink = self.sink.claim(in_use).map_err(|source| match &self.sink {
            SinkSpec::Wav(path) | SinkSpec::Raw(path) => EngineError::File { path: path.clone(), source },
            _ => EngineError::File { path: "the sink".into(), source },
        })?;
        let stats = self.stats.as_ref().map(|path| claim(path, STATS)).transpose()?;
        let trace = self.trace.as_ref().map(|path| claim(path, TRACE)).transpose()?;
        Ok(Claims(Mutex::new([Some(sink), stats, trace].into_iter().flatten().collect())))
    }
}

/// The files of a running engine, kept from other processes.
#[derive(Debug)]
pub struct Claims(Mutex<Vec<Claim>>);

impl Claims {
    /// Removes what earlier runs left.
    fn take_over(&self) -> std::io::Result<()> {
        let mut claims = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        claims.iter_mut().try_for_each(Claim::take_over)
    }

    /// For a process that ends while other threads still have this.
    pub fn release(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().for_each(Claim::release);
    }
}

/// The running engine of a card.
pub struct Engine {
    card: Arc<Card>,
    thread: JoinHandle<()>,
    /// The desk's last word: whether everything that was heard is in its file.
    desk: mpsc::Receiver<bool>,
    /// Grows with everything that the desk has done.
    done: Arc<AtomicU64>,
    /// Others may write there when this is dropped.
    _claims: Arc<Claims>,
}

impl Engine {
    /// Starts the engine of `card`. Finds out now whether its files can be written.
    pub fn start(card: Arc<Card>, config: EngineConfig) -> Result<Self, EngineError> {
        let claims = Arc::new(config.claim(&[])?);
        Self::start_with(card, config, claims)
    }

    /// [`Engine::start`] with what [`EngineConfig::claim`] gave. What earlier runs left is removed: no file is there before something
    /// was heard, and no figures before a client has left.
    pub fn start_with(
        card: Arc<Card>,
        config: EngineConfig,
        claims: Arc<Claims>,
    ) -> Result<Self, EngineError> {
        let file_error = |path: &Path| {
            let path = path.to_owned();
            move |source| EngineError::File { path, source }
        };
        claims.take_over().map_err(file_error(Path::new("a file of an earlier run")))?;
        let trace = match &config.trace {
            Some(path) => {
                let file = PatientFile::create(path, READER_PATIENCE);
                let begun = file.and_then(|file| TraceWriter::new(file, &card.trace_header()));
                Some(begun.map_err(file_error(path))?)
            }
            None => None,
        };
        let done = Arc::new(AtomicU64::new(0));
        let desk = Desk {
            card: Arc::clone(&card),
            sinks: Sinks::new(config.sink)?,
            trace,
            stats: config.stats,
            lines: desk::Lines::default(),
            failed: 0,
            whole: true,
            done: Arc::clone(&done),
        };
        let thread = |name: &str| std::thread::Builder::new().name(name.to_owned());
        let threads_error = |source| EngineError::File { path: "a new thread".into(), source };
        let (whole, last_word) = mpsc::channel();
        let work = move || {
            // Nobody hears it if it was given up.
            let _ = whole.send(desk::run(desk));
        };
        thread("desk").spawn(work).map_err(threads_error)?;
        let engine_card = Arc::clone(&card);
        let thread = thread("engine").spawn(move || run(&engine_card)).map_err(threads_error)?;
        Ok(Self { card, thread, desk: last_word, done, _claims: claims })
    }

    /// Stops it: everything that was heard is in its file, and every file is whole, when this gives `true`. `false`: a sink failed, now or
    /// earlier, or it takes nothing any more (a pipe that nobody reads, a server that is gone) and was given up.
    pub fn end(self) -> bool {
        self.card.end();
        if self.thread.join().is_err() {
            log::error!("the engine thread panicked");
            // Or the desk would wait for it for ever.
            self.card.engine_ended(self.card.lock());
        }
        let mut seen = self.done.load(Ordering::Relaxed);
        loop {
            match self.desk.recv_timeout(SINK_PATIENCE) {
                Ok(whole) => return whole,
                Err(RecvTimeoutError::Disconnected) => {
                    log::error!("the desk thread panicked");
                    return false;
                }
                Err(RecvTimeoutError::Timeout) => {
                    let done = self.done.load(Ordering::Relaxed);
                    if done == seen {
                        let seconds = SINK_PATIENCE.as_secs();
                        log::error!("the sink has taken nothing for {seconds} s; what waits for it is lost");
                        return false;
                    }
                    seen = done;
                }
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
        let untold = std::mem::take(&mut state.outbox.untold);
        if untold != 0 {
            let mut told = state.session.told_lost;
            drop(state);
            Outbox::tell(untold, &mut told);
            card.lock().session.told_lost = told;
            continue;
        }
        let now = card.clock().real_now();
        if state.session.reset_watch.take_overdue(now) {
            drop(state);
            reset_watch::tell();
            continue;
        }
        let time = state.controller.next_deadline().map(|deadline| card.clock().until(deadline));
        let time = time.into_iter().chain(state.session.reset_watch.left(now)).min();
        let mut state = card.wait_engine(state, time);
        state.session.wakes = state.session.wakes.saturating_add(1);
    }
}
