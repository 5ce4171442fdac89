//! `ringwave control`: one line to a card that is served with `--control`, and its answer.

use std::io::{self, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use ringwave::control::send_line;
use ringwave_audio::next_step;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, socket_with};

use super::commands::{Failure, bad_input, failed};
use super::control_files::{self, Order};

/// The server answers in less than two seconds, or says that the card does not.
pub const PATIENCE: Duration = Duration::from_secs(5);
/// More than any answer has.
const ANSWER_BYTES_MAX: usize = 1 << 20;
/// What an answer begins with when the command was not done.
pub const ERROR: &str = "error: ";

/// Ask something of a card that is being served, or change what is plugged, played and heard
///
/// Sends one line to the socket that `ringwave serve --control SOCKET` made, and prints the answer, one line.
/// Files are opened here and given to the card, which opens none: its sandbox stays as it is.
#[derive(Args, Debug)]
#[command(after_help = "\
Commands (STREAM counts from 0: first those that play, then those that capture):
  jack STREAM in|out       Plug something into the stream's jack, or pull it out: the guest is told; plug STREAM and unplug STREAM are the same
  jack STREAM              Tell whether something is plugged
  source STREAM SOURCE     What a stream captures from its next frame on: wav:FILE (from its beginning; up to 1 GiB, copied into memory),
                           tone:HZ, silence. It stays so until it is changed
  sink STREAM SINK         Where a stream's sound goes from its next frame on, none lost: wav:FILE, raw:FILE (a new regular file, for the sound of one
                           client in one format; then it goes where serve --sink says. It is empty until something is heard), null, default (where
                           serve --sink says)
  volume STREAM [DB|mute]  The host's volume, behind the guest's own: -96 to 0 dB; what a loopback hears is not changed by it
  listen STREAM            What a stream plays; ringwave listen makes a file or a pipe of it
  stats                    The present client's figures as JSON, those of serve --stats
  metrics                  The same as Prometheus wants them (text format), for a textfile collector
  help                     What the card understands

A script has one action a line, in the order of their times (seconds since it began); # begins a comment. It is read whole before the first is done,
and ends with the first that is not done:
  at 2.0 plug 1
  at 3.5 source 1 wav:question.wav
  at 5   sink 0 wav:answer.wav      # what was heard before stays in the file of serve --sink

Exit codes: 0 done, 1 not done (the line on stderr says why), 2 nobody serves there, or a file or script that cannot be used.

Examples:
  ringwave serve --socket /tmp/card.sock --control /tmp/control.sock
  ringwave control /tmp/control.sock jack 0 out
  ringwave control /tmp/control.sock source 1 wav:question.wav
  ringwave control /tmp/control.sock --script hotplug.txt
  ringwave control /tmp/control.sock stats | jq '.streams[0].frames'")]
pub struct Control {
    /// The socket of serve --control
    #[arg(value_name = "SOCKET")]
    pub socket: PathBuf,
    /// What to ask
    #[arg(
        value_name = "COMMAND",
        required_unless_present = "script",
        num_args = 1..,
        allow_hyphen_values = true,
        conflicts_with = "script"
    )]
    pub command: Vec<String>,
    /// Do what the lines of this file say, each at its time
    #[arg(long, value_name = "FILE")]
    pub script: Option<PathBuf>,
}

/// Runs the command.
pub fn run(arguments: &Control) -> Result<ExitCode, Failure> {
    // A reader that does not want it all (head) is no failure.
    let print = |line: &str| drop(writeln!(std::io::stdout(), "{line}"));
    if let Some(script) = &arguments.script {
        super::control_script::run(&arguments.socket, script, print)?;
        return Ok(ExitCode::SUCCESS);
    }
    // A command is taken as it is, for a volume begins with a minus; so clap does not see an option behind
    // it.
    if let Some(option) = arguments.command.iter().find(|word| word.starts_with("--")) {
        return Err(bad_input(format!(
            "{option} is no part of a command; write it alone: ringwave control SOCKET --script FILE"
        )));
    }
    let line = arguments.command.join(" ");
    if line.contains('\n') {
        return Err(bad_input(
            "the command is more than one line; give one command (ringwave control --help lists them)",
        ));
    }
    if line.trim() == "metrics" {
        let report = serde_json::from_str(&ask(&arguments.socket, "stats")?).map_err(failed)?;
        // A reader that does not want it all (head) is no failure.
        let _ = write!(std::io::stdout(), "{}", super::metrics::text(report).map_err(failed)?);
        return Ok(ExitCode::SUCCESS);
    }
    let order = control_files::order(&line)?;
    print(&send(&arguments.socket, &order)?);
    Ok(ExitCode::SUCCESS)
}

/// What the card at `path` answers to a line without a file.
pub fn ask(path: &Path, line: &str) -> Result<String, Failure> {
    send(path, &control_files::order(line)?)
}

/// Gives an order to the card at `path`: its answer, or why it is not done. A file that was made for nothing
/// goes again.
pub fn send(path: &Path, order: &Order) -> Result<String, Failure> {
    let answer = send_command(path, order).and_then(|answer| match answer.strip_prefix(ERROR) {
        Some(error) => Err(failed(error)),
        None => Ok(answer),
    });
    if let (Err(_), Some(made)) = (&answer, &order.made) {
        let _ = std::fs::remove_file(made);
    }
    answer
}

/// The answer to a line.
fn send_command(path: &Path, order: &Order) -> Result<String, Failure> {
    // For all of it together: whoever serves there may take its time for each part, and send a byte a second.
    let until = Instant::now() + PATIENCE;
    let mut socket = begin_with(path, &order.line, order.file.as_ref().map(AsFd::as_fd))?;
    let _ = socket.shutdown(Shutdown::Write);
    let (answer, read) = read_line(&mut socket, until);
    let shown = path.display();
    let broken = |error| failed(format!("{shown}: {}", next_step::connecting(&error, &first_step(path))));
    // The answer counts, whatever comes after it.
    match (answer, read) {
        (Some(answer), _) => Ok(printable(&answer)),
        (None, Err(error)) if !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
            Err(broken(error))
        }
        (None, Err(_)) => Err(failed(format!(
            "{shown}: no answer in {} s; the log of whoever serves there may say why",
            PATIENCE.as_secs()
        ))),
        (None, Ok(())) => {
            Err(failed(format!("{shown}: whoever serves there ended without an answer; its log may say why")))
        }
    }
}

/// Connects and says a line. What is read of it comes within [`PATIENCE`], or is an error.
pub fn begin(path: &Path, line: &str) -> Result<UnixStream, Failure> {
    begin_with(path, line, None)
}

fn begin_with(path: &Path, line: &str, file: Option<BorrowedFd<'_>>) -> Result<UnixStream, Failure> {
    let why = |error| format!("{}: {}", path.display(), next_step::connecting(&error, &first_step(path)));
    let socket = connect(path).map_err(|error| bad_input(why(error)))?;
    let limited =
        socket.set_write_timeout(Some(PATIENCE)).and_then(|()| socket.set_read_timeout(Some(PATIENCE)));
    limited.map_err(|error| failed(why(error)))?;
    // A line that is too long is answered before all of it was taken.
    let _ = send_line(&socket, line, file);
    Ok(socket)
}

/// What to do where nobody serves.
fn first_step(path: &Path) -> String {
    format!("ringwave serve --control {} --socket CARD", path.display())
}

/// Connects, also where nobody accepts: then there may be no room in the socket's queue, ever, and
/// [`PATIENCE`] counts.
fn connect(path: &Path) -> io::Result<UnixStream> {
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    set_socket_timeout(&socket, Timeout::Send, Some(PATIENCE))?;
    rustix::net::connect(&socket, &SocketAddrUnix::new(path)?)?;
    Ok(socket.into())
}

/// Reads a line of at most [`ANSWER_BYTES_MAX`] until then.
fn read_line(socket: &mut UnixStream, until: Instant) -> (Option<String>, io::Result<()>) {
    let (mut answer, mut chunk) = (Vec::new(), [0; 4096]);
    while answer.len() < ANSWER_BYTES_MAX {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return (None, Err(ErrorKind::TimedOut.into()));
        }
        let read = match socket.set_read_timeout(Some(left)).and_then(|()| socket.read(&mut chunk)) {
            Ok(0) => break,
            Ok(read) => chunk.get(..read).unwrap_or_default(),
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return (None, Err(error)),
        };
        let end = read.iter().position(|byte| *byte == b'\n');
        answer.extend_from_slice(read.get(..end.unwrap_or(read.len())).unwrap_or_default());
        if end.is_some() {
            return (Some(String::from_utf8_lossy(&answer).into_owned()), Ok(()));
        }
    }
    (None, Ok(()))
}

/// What comes over a socket is printed to a terminal: what could be an order to it (escape codes) is shown as
/// its number.
pub fn printable(answer: &str) -> String {
    let shown = |character: char| match character {
        _ if character.is_control() => character.escape_default().to_string(),
        _ => character.to_string(),
    };
    answer.chars().map(shown).collect()
}
