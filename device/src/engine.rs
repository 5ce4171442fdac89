//! The engine of a card as the program runs it: the card's two threads, and the files that the I/O worker
//! writes.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::expectations::Expectations;
use crate::recorder::Recorder;
use ringwave_engine::device::Device;
use ringwave_engine::threads::Threads;
use ringwave_host::output::{Content, PatientFile, ReservedFile};
use ringwave_host::{SinkError, SinkSpec, Sinks};
use ringwave_report::SessionReport;
use ringwave_served::HostRequests;
use ringwave_served::records::Records;
use ringwave_trace::{FIRST_WORDS, TraceWriter, is_trace};

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
    /// Finds out whether its files can be written, and keeps other processes from them: before the process
    /// gives up what that takes. `in_use`: files that this process reads.
    pub fn reserve(&self, in_use: &[PathBuf]) -> Result<ReservedFiles, EngineError> {
        let reserve = |path: &PathBuf, content| {
            ReservedFile::new(path, content, in_use)
                .map_err(|source| EngineError::File { path: path.clone(), source })
        };
        let sink = self.sink.reserve(in_use).map_err(|source| match &self.sink {
            SinkSpec::Wav(path) | SinkSpec::Raw(path) => EngineError::File { path: path.clone(), source },
            SinkSpec::Null | SinkSpec::Sound(_) => EngineError::File { path: "the sink".into(), source },
        })?;
        let stats = self.stats.as_ref().map(|path| reserve(path, STATS)).transpose()?;
        let trace = self.trace.as_ref().map(|path| reserve(path, TRACE)).transpose()?;
        Ok(ReservedFiles(Mutex::new([Some(sink), stats, trace].into_iter().flatten().collect())))
    }
}

/// The files of a running engine, kept from other processes.
#[derive(Debug)]
pub struct ReservedFiles(Mutex<Vec<ReservedFile>>);

impl ReservedFiles {
    /// One more file, as [`EngineConfig::reserve`].
    pub fn add(&self, path: &Path, content: Content, in_use: &[PathBuf]) -> Result<(), EngineError> {
        let reserved = ReservedFile::new(path, content, in_use)
            .map_err(|source| EngineError::File { path: path.to_owned(), source })?;
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(reserved);
        Ok(())
    }

    /// Removes what earlier runs left.
    fn take_over(&self) -> std::io::Result<()> {
        let mut reserved = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        reserved.iter_mut().try_for_each(ReservedFile::take_over)
    }

    /// For a process that ends while other threads still have this.
    pub fn release(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().for_each(ReservedFile::release);
    }
}

/// The running threads of a card, and their files.
pub struct Engine<D: Device> {
    threads: Threads<D>,
    /// Others may write there when this is dropped.
    _reserved: Arc<ReservedFiles>,
}

impl<D, E> Engine<D>
where
    D: Device<Records = Records<E>> + HostRequests,
    E: Display + Send + 'static,
{
    /// Starts the engine of `card`. Finds out now whether its files can be written.
    pub fn start(card: Arc<D>, config: EngineConfig) -> Result<Self, EngineError> {
        let reserved = Arc::new(config.reserve(&[])?);
        Self::start_with(card, config, reserved, None, || ())
    }

    /// [`Engine::start`] with what [`EngineConfig::reserve`] gave. What earlier runs left is removed: no file
    /// is there before something was heard, and no figures before a client has left. `expectations` are told
    /// what is heard. `stands_still` is as with [`Threads::start_watched`].
    pub fn start_with(
        card: Arc<D>,
        config: EngineConfig,
        reserved: Arc<ReservedFiles>,
        expectations: Option<Arc<Expectations>>,
        stands_still: impl FnOnce() + Send + 'static,
    ) -> Result<Self, EngineError> {
        let file_error = |path: &Path| {
            let path = path.to_owned();
            move |source| EngineError::File { path, source }
        };
        reserved.take_over().map_err(file_error(Path::new("a file of an earlier run")))?;
        let trace = match &config.trace {
            Some(path) => {
                let file = PatientFile::create(path, READER_PATIENCE);
                let begun = file.and_then(|file| TraceWriter::new(file, &card.trace_header()));
                Some(begun.map_err(file_error(path))?)
            }
            None => None,
        };
        let recorder = Recorder::new(Sinks::new(config.sink)?, trace, config.stats, expectations);
        let threads = Threads::start_watched(card, recorder, stands_still)
            .map_err(file_error(Path::new("a new thread")))?;
        Ok(Self { threads, _reserved: reserved })
    }

    /// Stops it: everything that was heard is in its file, and every file is whole, when this gives `true`.
    /// `false`: a sink failed, now or earlier, or it takes nothing any more (a pipe that nobody reads, a
    /// server that is gone) and was given up.
    pub fn end(self) -> bool {
        self.threads.end()
    }
}
