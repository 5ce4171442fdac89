//! The sound of a stream as it comes over the control socket: `ringwave listen` writes it, `ringwave top`
//! measures it.

use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::net::UnixStream;
use std::path::Path;

use ringwave::control::Heard;

use super::commands::{Failure, failed};
use super::control::{ERROR, begin, printable};

/// A stream that is listened to.
pub struct HeardSound {
    from: BufReader<UnixStream>,
    /// The socket, for an error.
    shown: String,
    frames: Vec<u8>,
}

impl HeardSound {
    /// Begins to listen: the card has said that it does.
    pub fn begin(socket: &Path, stream: u32) -> Result<Self, Failure> {
        let from = BufReader::new(begin(socket, &format!("listen {stream}"))?);
        let mut heard = Self { from, shown: socket.display().to_string(), frames: Vec::new() };
        match heard.line()? {
            Some(answer) if answer.starts_with("listen ") => {}
            Some(answer) => return Err(failed(printable(answer.strip_prefix(ERROR).unwrap_or(&answer)))),
            None => {
                return Err(failed(format!("{}: whoever serves there ended without an answer", heard.shown)));
            }
        }
        // Sound comes when the guest plays.
        let unlimited = heard.from.get_ref().set_read_timeout(None);
        unlimited.map_err(|error| heard.broken(&error))?;
        Ok(heard)
    }

    /// Waits for what is played next. `None`: the card has ended.
    pub fn next(&mut self) -> Result<Option<(Heard, &[u8])>, Failure> {
        let Some(line) = self.line()? else { return Ok(None) };
        let Ok(heard) = line.parse::<Heard>() else {
            return Err(failed(format!("{}: {}: no line of a card", self.shown, printable(&line))));
        };
        self.frames.resize(heard.bytes, 0);
        if let Err(error) = self.from.read_exact(&mut self.frames) {
            return Err(self.broken(&error));
        }
        Ok(Some((heard, &self.frames)))
    }

    /// A line without its end; `None` at the end of everything.
    fn line(&mut self) -> Result<Option<String>, Failure> {
        let mut line = Vec::new();
        // Longer than any line of ours.
        let read = (&mut self.from).take(1024).read_until(b'\n', &mut line);
        read.map_err(|error| self.broken(&error))?;
        let whole = line.pop() == Some(b'\n');
        Ok(whole.then(|| String::from_utf8_lossy(&line).into_owned()))
    }

    fn broken(&self, error: &io::Error) -> Failure {
        failed(format!("{}: {error}", self.shown))
    }
}
