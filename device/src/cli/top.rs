//! `ringwave top`: the card live in the terminal: what each stream does, how loud it is, what it has missed.
//!
//! Everything comes over the control socket: the figures by `stats`, the levels by `listen`.

mod meters;
mod view;

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use ringwave_report::SessionReport;

use super::commands::{BAD_INPUT, Failure, bad_input, failed};
use super::control;
use meters::Meters;
use view::View;

/// Between two looks.
const EVERY: Duration = Duration::from_millis(250);
/// Of `--once`: as long as a rate says something.
const ONCE: Duration = Duration::from_secs(1);

/// Watch a card in the terminal
///
/// A line for each stream: what it does, its level, and what was late or missing since its client came.
/// Neither the guest nor the card's sink notices. q or Ctrl-C ends it; the card runs on.
#[derive(Args, Debug)]
#[command(after_help = "\
Level: the loudest sample of the last moments, behind the guest's volume (streams that play). Margin: the shortest time from the guest's mark to the
beginning of its packet, negative for a late one; - where it is not known. Pace: frames of a second beside those of its rate, by this program's clock; in
lockstep and with --speed it may be anything.

Exit codes: 0 ended by a key or with the card, 1 the card does not answer, 2 nobody serves there, or no terminal.

Examples:
  ringwave serve --socket /tmp/card.sock --control /tmp/control.sock
  ringwave top /tmp/control.sock
  ringwave top /tmp/control.sock --once")]
pub struct Top {
    /// The socket of serve --control
    #[arg(value_name = "SOCKET")]
    pub socket: PathBuf,
    /// Look for a second, print it, and end
    #[arg(long)]
    pub once: bool,
}

/// Runs the command.
pub fn run(arguments: &Top) -> Result<ExitCode, Failure> {
    let socket = &arguments.socket;
    let mut watch = Watch::begin(socket)?;
    if arguments.once {
        std::thread::sleep(ONCE);
        let view = watch.look(socket)?;
        // A reader that does not want it all (head) is no failure.
        let _ = write!(io::stdout(), "{view}");
        return Ok(ExitCode::SUCCESS);
    }
    if !io::stdout().is_terminal() {
        return Err(bad_input("top is for a terminal; --once prints one look"));
    }
    let mut terminal = ratatui::try_init().map_err(|error| bad_input(format!("the terminal: {error}")))?;
    let ended = watch.show(socket, &mut terminal);
    ratatui::restore();
    // Before the line: with it the cursor is shown again.
    drop(terminal);
    if ended? == End::Card {
        eprintln!("ringwave: the card has ended");
    }
    Ok(ExitCode::SUCCESS)
}

/// What has ended it.
#[derive(PartialEq, Eq)]
enum End {
    Key,
    Card,
}

/// The last look, and the meters.
struct Watch {
    meters: Meters,
    before: SessionReport,
    at: Instant,
}

impl Watch {
    fn begin(socket: &Path) -> Result<Self, Failure> {
        let before = stats(socket)?;
        Ok(Self { meters: Meters::start(socket, &before), before, at: Instant::now() })
    }

    /// What has changed since the last look.
    fn look(&mut self, socket: &Path) -> Result<View, Failure> {
        let now = stats(socket)?;
        let passed = self.at.elapsed();
        let view = View::new(&self.before, &now, passed, |stream| self.meters.take(stream));
        (self.before, self.at) = (now, Instant::now());
        Ok(view)
    }

    /// Looks and draws until a key ends it, or the card does.
    fn show(&mut self, socket: &Path, terminal: &mut ratatui::DefaultTerminal) -> Result<End, Failure> {
        let broken = |error: io::Error| failed(format!("the terminal: {error}"));
        loop {
            if self.wait_for_key().map_err(broken)? {
                return Ok(End::Key);
            }
            let view = match self.look(socket) {
                Ok(view) => view,
                Err(failure) if is_gone(&failure) => return Ok(End::Card),
                // It may have ended before its answer.
                Err(failure) => match stats(socket) {
                    Err(again) if is_gone(&again) => return Ok(End::Card),
                    _ => return Err(failure),
                },
            };
            terminal.draw(|frame| view.draw(frame)).map_err(broken)?;
        }
    }

    /// Waits until the next look is due. `true`: a key says that this is the end.
    fn wait_for_key(&self) -> io::Result<bool> {
        loop {
            let left = EVERY.saturating_sub(self.at.elapsed());
            if !event::poll(left)? {
                return Ok(false);
            }
            if let Event::Key(key) = event::read()?
                && key.kind == KeyEventKind::Press
            {
                let control_c =
                    key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
                if control_c || matches!(key.code, KeyCode::Char('q') | KeyCode::Esc) {
                    return Ok(true);
                }
            }
        }
    }
}

/// Whether nobody serves there any more.
fn is_gone(failure: &Failure) -> bool {
    failure.code == BAD_INPUT
}

/// The card's figures of the moment.
fn stats(socket: &Path) -> Result<SessionReport, Failure> {
    let json = control::ask(socket, "stats")?;
    serde_json::from_str(&json)
        .map_err(|error| failed(format!("{}: not the figures of this version: {error}", socket.display())))
}
