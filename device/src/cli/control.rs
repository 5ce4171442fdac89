//! `ringwave control`: one line to a card that is served with `--control`, and its answer.

use std::io::{self, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use ringwave_audio::next_step;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, socket_with};

use super::commands::{Failure, bad_input, failed};

/// The server answers in less than two seconds, or says that the card does not.
const PATIENCE: Duration = Duration::from_secs(5);
/// More than any answer has.
const ANSWER_BYTES_MAX: usize = 1 << 20;
/// What an answer begins with when the command was not done.
const ERROR: &str = "error: ";

/// Ask something of a card that is being served, or plug and unplug it
///
/// Sends one line to the socket that `ringwave serve --control SOCKET` made, and prints the answer, one line.
#[derive(Args, Debug)]
#[command(after_help = "\
Commands:
  jack STREAM in|out   Plug something into the stream's jack, or pull it out: the guest is told
  jack STREAM          Tell whether something is plugged
  stats                The present client's figures as JSON, those of serve --stats
  help                 What the card understands

Exit codes: 0 done, 1 not done (the line on stderr says why), 2 nobody serves there.

Examples:
  ringwave serve --socket /tmp/card.sock --control /tmp/control.sock
  ringwave control /tmp/control.sock jack 0 out
  ringwave control /tmp/control.sock stats | jq '.streams[0].frames'")]
pub struct Control {
    /// The socket of serve --control
    #[arg(value_name = "SOCKET")]
    pub socket: PathBuf,
    /// What to ask
    #[arg(value_name = "COMMAND", required = true, num_args = 1..)]
    pub command: Vec<String>,
}

/// Runs the command.
pub fn run(arguments: &Control) -> Result<ExitCode, Failure> {
    let line = arguments.command.join(" ");
    if line.contains('\n') {
        return Err(bad_input(
            "the command is more than one line; give one command (ringwave control --help lists them)",
        ));
    }
    let path = &arguments.socket;
    let answer = send_command(path, &line)?;
    if let Some(error) = answer.strip_prefix(ERROR) {
        return Err(failed(error));
    }
    // A reader that does not want it all (head) is no failure.
    let _ = writeln!(std::io::stdout(), "{answer}");
    Ok(ExitCode::SUCCESS)
}

/// The answer to a line.
fn send_command(path: &Path, line: &str) -> Result<String, Failure> {
    let shown = path.display();
    // For all of it together: whoever serves there may take its time for each part, and send a byte a second.
    let until = Instant::now() + PATIENCE;
    let first = format!("ringwave serve --control {shown} --socket CARD");
    let mut socket = connect(path)
        .map_err(|error| bad_input(format!("{shown}: {}", next_step::connecting(&error, &first))))?;
    let broken = |error| failed(format!("{shown}: {}", next_step::connecting(&error, &first)));
    socket.set_write_timeout(Some(PATIENCE)).map_err(broken)?;
    // A line that is too long is answered before all of it was taken.
    let _ = socket.write_all(format!("{line}\n").as_bytes());
    let _ = socket.shutdown(Shutdown::Write);
    let (answer, read) = read_line(&mut socket, until);
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
fn printable(answer: &str) -> String {
    let shown = |character: char| match character {
        _ if character.is_control() => character.escape_default().to_string(),
        _ => character.to_string(),
    };
    answer.chars().map(shown).collect()
}
