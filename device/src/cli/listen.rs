//! `ringwave listen`: what a stream plays, from now on, as WAV or as samples on standard output.

use std::io::{self, ErrorKind, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use ringwave::control::Heard;
use ringwave_audio::StreamFormat;
use ringwave_audio::wav;

use super::commands::{Failure, bad_input, failed};
use super::heard::HeardSound;

/// Hear what a stream plays, from now on
///
/// Writes WAV to standard output for as long as the card is there, or until nobody reads it. Neither the
/// guest nor the card's own sink notices: who is slow here loses sound here alone, and a line on stderr says
/// how much. What is heard is behind the guest's volume and before the host's.
#[derive(Args, Debug)]
#[command(after_help = "\
While the guest plays nothing there is nothing to hear. It goes on with the next client, and ends with a line and exit code 1 when a client plays in another
format (rate, channels, samples), with --raw too: a WAV file has one alone. What was written until then is whole; listen again for what follows.

How long the sound will be nobody knows when the header is written, so it says the most that a WAV file can have: players and sox play to the end, and may
warn of a length that is wrong or of an end that comes early. That is harmless. A file with its length: sox --ignore-length heard.wav whole.wav, or
serve --sink wav:FILE from the start.

Exit codes: 0 the card has ended or nobody reads it any more, 1 cut short (the line on stderr says why), 2 nobody serves there.

Examples:
  ringwave serve --socket /tmp/card.sock --control /tmp/control.sock
  ringwave listen /tmp/control.sock | aplay
  ringwave listen /tmp/control.sock --stream 1 > second.wav
  ringwave listen /tmp/control.sock --raw | sox -t raw -r 48000 -e signed -b 16 -c 2 - -n stats")]
pub struct Listen {
    /// The socket of serve --control
    #[arg(value_name = "SOCKET")]
    pub socket: PathBuf,
    /// Which stream; they count from 0, first those that play
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub stream: u32,
    /// Samples without a header
    #[arg(long)]
    pub raw: bool,
}

/// Runs the command.
pub fn run(arguments: &Listen) -> Result<ExitCode, Failure> {
    let &Listen { ref socket, stream, raw } = arguments;
    let out = io::stdout().lock();
    if out.is_terminal() {
        return Err(bad_input("sound is not for a terminal; write | aplay or > FILE.wav behind it"));
    }
    let mut heard = HeardSound::begin(socket, stream)?;
    eprintln!("ringwave: listening to stream {stream}");
    let mut written = Written { out, raw, format: None };
    while let Some((Heard { format, lost, .. }, frames)) = heard.next()? {
        if lost != 0 {
            eprintln!("ringwave: {lost} frames were not taken in time, and are missing here");
        }
        match written.frames(format, frames) {
            Ok(true) => {}
            Ok(false) => return Err(failed(another_format(format))),
            Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(ExitCode::SUCCESS),
            Err(error) => return Err(failed(format!("standard output: {error}"))),
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn another_format(format: StreamFormat) -> String {
    let StreamFormat { sample, channels, rate } = format;
    format!("the guest goes on in another format, {sample}, {channels} channels, {rate} Hz; listen again")
}

/// Standard output, and what it was begun with.
struct Written<W> {
    out: W,
    raw: bool,
    format: Option<StreamFormat>,
}

impl<W: Write> Written<W> {
    /// Writes frames, before the first ones the header. `false`: they do not fit behind those before.
    fn frames(&mut self, format: StreamFormat, frames: &[u8]) -> io::Result<bool> {
        match self.format {
            Some(before) if before != format => return Ok(false),
            Some(_) => {}
            None => {
                self.format = Some(format);
                if !self.raw {
                    self.out.write_all(&wav::header_of_stream(format))?;
                }
            }
        }
        self.out.write_all(frames)?;
        self.out.flush()?;
        Ok(true)
    }
}
