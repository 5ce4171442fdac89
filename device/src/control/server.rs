//! The thread that takes the lines of the control socket: one for all who connect, so that nobody can make it
//! start another.
//!
//! Nobody waits for anybody else: it never waits for one connection alone, and each has a second to say its
//! line and a second to take the answer. What asks of the card is bounded
//! ([`ringwave_served::HostRequestError::Busy`]).

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::time::{Duration, Instant};

use ringwave_vfio_user::Listener;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::descriptor::{Received, receive};
use super::file::{FileError, check_sink};
use super::{Command, HELP, LINE_BYTES_MAX, SinkWord, SourceWord, Volume, jack_line, parse};
use crate::recorder::{HostChange, HostOrder, OrderFailed};
use ringwave_audio::StreamFormat;
use ringwave_host::NewSink;
use ringwave_host::source::{NewSource, NewSourceError, SourceControl};
use ringwave_report::SessionReport;
use ringwave_served::{HostRequestError, HostRequests};

/// Connections at a time; another waits in the socket's queue until one of these has ended.
const CONNECTIONS_MAX: usize = 16;
/// For the line, and again for taking the answer.
const PATIENCE: Duration = Duration::from_secs(1);
/// For the statistics and what else the I/O worker does between two drained queues.
const STATS_PATIENCE: Duration = Duration::from_millis(700);
/// How often it is looked whether the figures are there.
const LOOK_AGAIN: Duration = Duration::from_millis(2);
/// After the socket gave an error instead of a connection (no descriptor is left, for one).
const PAUSE: Duration = Duration::from_millis(50);

/// What of the host's side is changed by hand.
pub struct HostSide {
    /// What capture streams capture.
    pub sources: SourceControl,
    /// Capture streams that capture what others play: the card's own affair.
    pub loopback: Vec<u32>,
    /// Why no stream of the card can take a format, if that is so.
    pub why_no_stream: Box<dyn Fn(StreamFormat) -> Option<String> + Send>,
    /// Device and inode of files that the process reads and writes, but for sinks.
    pub in_use: Vec<(u64, u64)>,
}

/// What becomes of an order, when the I/O worker has come to it.
type Ordered = Receiver<Result<(), OrderFailed>>;

/// Why it is not done, but for what the card says.
#[derive(Debug, thiserror::Error)]
enum OrderError {
    #[error(transparent)]
    Card(#[from] HostRequestError),
    #[error(transparent)]
    File(#[from] FileError),
    #[error(transparent)]
    Source(#[from] NewSourceError),
    #[error("stream {0} plays; a source is for a stream that captures")]
    Plays(u32),
    #[error("stream {0} captures; a sink is for a stream that plays")]
    Captures(u32),
    #[error("stream {0} captures; listen to one that plays")]
    NotHeard(u32),
    #[error("there is no descriptor for it ({0}); try again")]
    NoDescriptor(io::Error),
    #[error("stream {0} captures what another plays (--source loopback); serve it with another source")]
    Loopback(u32),
}

/// Starts the thread. It ends with the process.
///
/// # Errors
/// There is no thread to be had, or the socket cannot be used.
pub fn start(card: Arc<dyn HostRequests>, socket: Arc<Listener>, host: HostSide) -> io::Result<()> {
    socket.socket().set_nonblocking(true)?;
    let served = Served { card, host, volumes: Vec::new() };
    let run = move || Server { served, socket, connections: Vec::new() }.run();
    std::thread::Builder::new().name("control".into()).spawn(run).map(drop)
}

struct Server {
    served: Served,
    socket: Arc<Listener>,
    connections: Vec<Connection>,
}

/// What the lines are about.
struct Served {
    card: Arc<dyn HostRequests>,
    host: HostSide,
    /// The host's volumes, by stream; the others are 0 dB.
    volumes: Vec<(u32, Volume)>,
}

/// Somebody who has connected.
struct Connection {
    stream: UnixStream,
    /// What came with its line.
    files: Vec<File>,
    too_many_files: bool,
    /// Then it is over, in whatever it is.
    until: Instant,
    phase: Phase,
}

/// What a connection waits for.
enum Phase {
    /// The rest of its line.
    Line(Vec<u8>),
    /// The figures.
    Stats(Receiver<SessionReport>),
    /// What the I/O worker was asked to do, and what is answered then.
    Order(Ordered, String),
    /// The I/O worker was asked to take the connection over, and answers itself.
    HandedOver(Ordered),
    /// Room for the rest of the answer.
    Answer(Vec<u8>),
}

impl Server {
    fn run(mut self) {
        loop {
            if let Err(errno) = self.wait()
                && errno != Errno::INTR
            {
                // Only for want of memory.
                std::thread::sleep(PAUSE);
            }
            self.accept();
            let served = &mut self.served;
            self.connections.retain_mut(|connection| connection.advance(served));
        }
    }

    /// Waits until somebody connects, speaks or listens, or a time is over.
    fn wait(&self) -> Result<(), Errno> {
        let mut fds = Vec::with_capacity(CONNECTIONS_MAX + 1);
        if self.connections.len() < CONNECTIONS_MAX {
            fds.push(PollFd::from_borrowed_fd(self.socket.as_fd(), PollFlags::IN));
        }
        let now = Instant::now();
        let mut time: Option<Duration> = None;
        for connection in &self.connections {
            let left = connection.until.saturating_duration_since(now);
            let (flags, left) = match connection.phase {
                Phase::Line(_) => (Some(PollFlags::IN), left),
                Phase::Answer(_) => (Some(PollFlags::OUT), left),
                Phase::Stats(_) | Phase::Order(..) | Phase::HandedOver(_) => (None, left.min(LOOK_AGAIN)),
            };
            fds.extend(flags.map(|flags| PollFd::from_borrowed_fd(connection.stream.as_fd(), flags)));
            time = Some(time.map_or(left, |time| time.min(left)));
        }
        // At most a second, so it fits.
        let time = time.and_then(|time| Timespec::try_from(time).ok());
        poll(&mut fds, time.as_ref()).map(drop)
    }

    fn accept(&mut self) {
        while self.connections.len() < CONNECTIONS_MAX {
            let accepted = self.socket.socket().accept();
            match accepted.and_then(|(stream, _)| stream.set_nonblocking(true).map(|()| stream)) {
                Ok(stream) => self.connections.push(Connection::new(stream)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                // Not into the log: it may be a pipe that nobody reads.
                Err(_) => return std::thread::sleep(PAUSE),
            }
        }
    }
}

impl Connection {
    fn new(stream: UnixStream) -> Self {
        let (files, phase) = (Vec::new(), Phase::Line(Vec::new()));
        Self { stream, files, too_many_files: false, until: Instant::now() + PATIENCE, phase }
    }

    /// Does what can be done without waiting. `false`: it is over.
    fn advance(&mut self, served: &mut Served) -> bool {
        if matches!(self.phase, Phase::Line(_)) {
            match self.read_line() {
                Ok(true) => self.run_command(served),
                Ok(false) => {}
                Err(_) => return false,
            }
        }
        let late = Instant::now() >= self.until;
        if let Phase::Stats(stats) = &self.phase {
            match stats.try_recv() {
                Ok(report) => self.say(&report.json_line()),
                Err(TryRecvError::Empty) if !late => {}
                Err(_) => self.say_error(&HostRequestError::Busy),
            }
        }
        if let Phase::Order(done, answer) = &self.phase {
            match done.try_recv() {
                Ok(Ok(())) => self.say(&answer.clone()),
                Ok(Err(error)) => self.say_error(&error),
                Err(TryRecvError::Empty) if !late => {}
                Err(_) => self.say_error(&HostRequestError::Busy),
            }
        }
        if let Phase::HandedOver(done) = &self.phase {
            match done.try_recv() {
                Ok(Ok(())) => return false,
                Ok(Err(error)) => self.say_error(&error),
                Err(TryRecvError::Empty) if !late => {}
                Err(_) => self.say_error(&HostRequestError::Busy),
            }
        }
        if let Phase::Answer(rest) = &mut self.phase {
            return match write_some(&mut self.stream, rest) {
                Ok(done) => !done && !late,
                Err(_) => false,
            };
        }
        !late
    }

    /// Does what the line says.
    fn run_command(&mut self, served: &mut Served) {
        let Phase::Line(line) = &self.phase else { return };
        let (command, mut files) = (parse(line), std::mem::take(&mut self.files));
        let (takes_file, card) = (command.as_ref().is_ok_and(Command::takes_file), &served.card);
        if self.too_many_files || files.len() > 1 || (!takes_file && !files.is_empty() && command.is_ok()) {
            return self.say_error(&FileError::TooMany);
        }
        match command {
            Ok(Command::Help) => self.say(HELP),
            Ok(Command::Stats) => {
                let (answer, stats) = mpsc::channel();
                match card.request_stats(answer) {
                    Ok(()) => {
                        self.until = Instant::now() + STATS_PATIENCE;
                        self.phase = Phase::Stats(stats);
                    }
                    Err(error) => self.say_error(&error),
                }
            }
            Ok(Command::Jack { stream, plugged }) => {
                let done = match plugged {
                    Some(plugged) => card.set_jack(stream, plugged).map(|()| plugged),
                    None => card.jack(stream),
                };
                match done {
                    Ok(plugged) => self.say(&jack_line(stream, plugged)),
                    Err(error) => self.say_error(&error),
                }
            }
            Ok(Command::Source { stream, source }) => match served.set_source(stream, source, files.pop()) {
                Ok(told) => self.say(&told),
                Err(error) => self.say_error(&error),
            },
            Ok(Command::Sink { stream, sink }) => {
                let ordered = served.set_sink(stream, sink, files.pop());
                self.wait_for(ordered, format!("sink {stream} {}", sink.name()));
            }
            Ok(Command::Listen { stream }) => match served.listen(stream, &self.stream) {
                Ok(done) => {
                    self.until = Instant::now() + STATS_PATIENCE;
                    self.phase = Phase::HandedOver(done);
                }
                Err(error) => self.say_error(&error),
            },
            Ok(Command::Volume { stream, volume: None }) => match card.jack(stream) {
                Ok(_) => self.say(&format!("volume {stream} {}", served.volume(stream))),
                Err(error) => self.say_error(&error),
            },
            Ok(Command::Volume { stream, volume: Some(volume) }) => {
                let ordered = served.set_volume(stream, volume);
                self.wait_for(ordered, format!("volume {stream} {volume}"));
            }
            Err(error) => self.say_error(&error),
        }
    }

    /// Waits for the I/O worker, if there is something to wait for.
    fn wait_for(&mut self, ordered: Result<Option<Ordered>, OrderError>, answer: String) {
        match ordered {
            Ok(Some(done)) => {
                self.until = Instant::now() + STATS_PATIENCE;
                self.phase = Phase::Order(done, answer);
            }
            Ok(None) => self.say(&answer),
            Err(error) => self.say_error(&error),
        }
    }

    fn say_error(&mut self, error: &dyn std::error::Error) {
        self.say(&format!("error: {error}"));
    }

    fn say(&mut self, answer: &str) {
        self.until = Instant::now() + PATIENCE;
        self.phase = Phase::Answer(format!("{answer}\n").into_bytes());
    }
}

impl Served {
    /// Gives the answer.
    fn set_source(&self, stream: u32, source: SourceWord, file: Option<File>) -> Result<String, OrderError> {
        self.card.jack(stream)?;
        let sources = &self.host.sources;
        if !sources.captures(stream) {
            return Err(OrderError::Plays(stream));
        }
        if self.host.loopback.contains(&stream) {
            return Err(OrderError::Loopback(stream));
        }
        let new = match source {
            SourceWord::Wav => NewSource::Wav(file.ok_or(FileError::None)?),
            SourceWord::Tone(hz) => NewSource::Tone(hz),
            SourceWord::Silence => NewSource::Silence,
        };
        let known = sources.replace(stream, new, &self.host.why_no_stream)?;
        Ok(match source {
            SourceWord::Wav => format!("source {stream} wav: {known}"),
            SourceWord::Tone(hz) => format!("source {stream} tone:{hz}"),
            SourceWord::Silence => format!("source {stream} silence"),
        })
    }

    fn set_sink(
        &self,
        stream: u32,
        sink: SinkWord,
        file: Option<File>,
    ) -> Result<Option<Ordered>, OrderError> {
        self.card.jack(stream)?;
        if self.host.sources.captures(stream) {
            return Err(OrderError::Captures(stream));
        }
        let file = || {
            let file = file.ok_or(FileError::None)?;
            check_sink(&file, &self.host.in_use).map(|()| file)
        };
        let new = match sink {
            SinkWord::Wav => NewSink::Wav(file()?),
            SinkWord::Raw => NewSink::Raw(file()?),
            SinkWord::Null => NewSink::Null,
            SinkWord::Default => NewSink::Spec,
        };
        self.order(stream, HostChange::Sink(new)).map(Some)
    }

    fn listen(&self, stream: u32, socket: &UnixStream) -> Result<Ordered, OrderError> {
        self.card.jack(stream)?;
        if self.host.sources.captures(stream) {
            return Err(OrderError::NotHeard(stream));
        }
        let socket = socket.try_clone().map_err(OrderError::NoDescriptor)?;
        self.order(stream, HostChange::Listen(socket))
    }

    fn volume(&self, stream: u32) -> Volume {
        self.volumes.iter().find(|(of, _)| *of == stream).map_or(Volume::Level(0), |(_, volume)| *volume)
    }

    fn set_volume(&mut self, stream: u32, volume: Volume) -> Result<Option<Ordered>, OrderError> {
        self.card.jack(stream)?;
        if self.host.loopback.contains(&stream) {
            return Err(OrderError::Loopback(stream));
        }
        let done = if self.host.sources.captures(stream) {
            self.host.sources.set_gain(stream, volume.gain());
            None
        } else {
            Some(self.order(stream, HostChange::Gain(volume.gain()))?)
        };
        self.volumes.retain(|(of, _)| *of != stream);
        self.volumes.push((stream, volume));
        Ok(done)
    }

    fn order(&self, stream: u32, change: HostChange) -> Result<Ordered, OrderError> {
        let (answer, done) = mpsc::channel();
        self.card.request_order(Box::new(HostOrder { stream, change, answer }))?;
        Ok(done)
    }
}

impl Connection {
    /// Reads on in the line, but not behind it. `true`: it is complete, or longer than a line may be. An
    /// error: who connected has gone.
    fn read_line(&mut self) -> io::Result<bool> {
        let Phase::Line(line) = &mut self.phase else { return Ok(true) };
        let mut chunk = [0; LINE_BYTES_MAX + 1];
        while line.len() <= LINE_BYTES_MAX {
            let room = chunk.len().saturating_sub(line.len());
            let read = match receive(&self.stream, chunk.get_mut(..room).unwrap_or_default()) {
                // A line may lack its end.
                Ok(Received { bytes: 0, .. }) if !line.is_empty() => return Ok(true),
                Ok(Received { bytes: 0, .. }) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(Received { bytes, files, too_many }) => {
                    self.too_many_files |= too_many || (!files.is_empty() && !self.files.is_empty());
                    if self.files.is_empty() {
                        self.files = files;
                    }
                    bytes
                }
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock => return Ok(false),
                    ErrorKind::Interrupted => continue,
                    _ => return Err(error),
                },
            };
            let new = chunk.get(..read).unwrap_or_default();
            let end = new.iter().position(|byte| *byte == b'\n');
            line.extend_from_slice(new.get(..end.unwrap_or(read)).unwrap_or_default());
            if end.is_some() {
                return Ok(true);
            }
        }
        Ok(true)
    }
}

/// Writes what there is room for. `true`: that was all.
fn write_some(stream: &mut impl Write, rest: &mut Vec<u8>) -> io::Result<bool> {
    while !rest.is_empty() {
        match stream.write(rest) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => drop(rest.drain(..written.min(rest.len()))),
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock => return Ok(false),
                ErrorKind::Interrupted => {}
                _ => return Err(error),
            },
        }
    }
    Ok(true)
}
