//! The thread that takes the lines of the control socket: one for all who connect, so that nobody can make it
//! start another.
//!
//! Nobody waits for anybody else: it never waits for one connection alone, and each has a second to say its
//! line and a second to take the answer. What asks of the card is bounded
//! ([`HostRequestError::Busy`]).

use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::time::{Duration, Instant};

use ringwave_vfio_user::Listener;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::{Command, HELP, LINE_BYTES_MAX, jack_line, parse};
use ringwave_report::SessionReport;
use ringwave_served::{HostRequestError, HostRequests};

/// Connections at a time; another waits in the socket's queue until one of these has ended.
const CONNECTIONS_MAX: usize = 16;
/// For the line, and again for taking the answer.
const PATIENCE: Duration = Duration::from_secs(1);
/// For the statistics, which the I/O worker gives between two drained queues.
const STATS_PATIENCE: Duration = Duration::from_millis(700);
/// How often it is looked whether the figures are there.
const LOOK_AGAIN: Duration = Duration::from_millis(2);
/// After the socket gave an error instead of a connection (no descriptor is left, for one).
const PAUSE: Duration = Duration::from_millis(50);

/// Starts the thread. It ends with the process.
///
/// # Errors
/// There is no thread to be had, or the socket cannot be used.
pub fn start(card: Arc<dyn HostRequests>, socket: Arc<Listener>) -> io::Result<()> {
    socket.socket().set_nonblocking(true)?;
    let run = move || Server { card, socket, connections: Vec::new() }.run();
    std::thread::Builder::new().name("control".into()).spawn(run).map(drop)
}

struct Server {
    card: Arc<dyn HostRequests>,
    socket: Arc<Listener>,
    connections: Vec<Connection>,
}

/// Somebody who has connected.
struct Connection {
    stream: UnixStream,
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
            let card = &*self.card;
            self.connections.retain_mut(|connection| connection.advance(card));
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
                Phase::Stats(_) => (None, left.min(LOOK_AGAIN)),
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
        Self { stream, until: Instant::now() + PATIENCE, phase: Phase::Line(Vec::new()) }
    }

    /// Does what can be done without waiting. `false`: it is over.
    fn advance(&mut self, card: &dyn HostRequests) -> bool {
        if let Phase::Line(line) = &mut self.phase {
            match read_line(&mut self.stream, line) {
                Ok(true) => self.run_command(card),
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
        if let Phase::Answer(rest) = &mut self.phase {
            return match write_some(&mut self.stream, rest) {
                Ok(done) => !done && !late,
                Err(_) => false,
            };
        }
        !late
    }

    /// Does what the line says.
    fn run_command(&mut self, card: &dyn HostRequests) {
        let Phase::Line(line) = &self.phase else { return };
        match parse(line) {
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

/// Reads on in a line, but not behind it. `true`: it is complete, or longer than a line may be. An error: who
/// connected has gone.
fn read_line(stream: &mut impl Read, line: &mut Vec<u8>) -> io::Result<bool> {
    let mut chunk = [0; LINE_BYTES_MAX + 1];
    while line.len() <= LINE_BYTES_MAX {
        let room = chunk.len().saturating_sub(line.len());
        let read = match stream.read(chunk.get_mut(..room).unwrap_or_default()) {
            // A line may lack its end.
            Ok(0) if !line.is_empty() => return Ok(true),
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(read) => read,
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
