//! What each command does, from arguments to exit code.

use std::io::{ErrorKind, Write};
use std::process::ExitCode;
use std::sync::{Arc, mpsc};

use ringwave::card::{Card, CardConfig};
use ringwave::compare::compare;
use ringwave::controller::Config;
use ringwave::engine::{Engine, EngineConfig};
use ringwave::pci::Identity;
use ringwave::piece::Piece;
use ringwave::ports::StreamFormat;
use ringwave::serve::{ServeError, serve};
use ringwave_vfio_user::{Listener, ListenerError};

use super::{Cli, Command, Compare, Serve, Tone};

/// Something went wrong while working.
const FAILED: u8 = 1;
/// What was asked for cannot be done.
const BAD_INPUT: u8 = 2;

/// Why a command did not do what it should: one line for the user, and the exit code.
pub struct Failure {
    /// What to print.
    pub line: String,
    /// What to exit with.
    pub code: u8,
}

fn bad_input(error: impl std::fmt::Display) -> Failure {
    Failure { line: error.to_string(), code: BAD_INPUT }
}

fn failed(error: impl std::fmt::Display) -> Failure {
    Failure { line: error.to_string(), code: FAILED }
}

/// Runs the command.
pub fn run(cli: Cli) -> Result<ExitCode, Failure> {
    match cli.command {
        Command::Serve(arguments) => run_serve(arguments),
        Command::Compare(arguments) => run_compare(&arguments),
        Command::Tone(arguments) => run_tone(&arguments),
    }
}

/// What the main thread waits for.
enum End {
    Signal,
    Served(Result<(), ServeError>),
}

fn run_serve(arguments: Serve) -> Result<ExitCode, Failure> {
    let (ends, end) = mpsc::channel();
    let signals = ends.clone();
    ctrlc::set_handler(move || drop(signals.send(End::Signal))).map_err(failed)?;

    let card = Card::new(CardConfig {
        controller: Config { clock: arguments.clock.into(), ..Config::default() },
        identity: Identity { vendor: arguments.vendor, device: arguments.device },
        speed: arguments.speed,
        trace: arguments.dma_trace.is_some(),
    });
    let card = Arc::new(card.map_err(failed)?);
    // The socket comes first: a second process on the same socket must not touch the first one's files.
    let socket = Listener::bind(&arguments.socket).map_err(|error| match error {
        ListenerError::Io { ref source, .. } if source.kind() == ErrorKind::AddrInUse => failed(error),
        _ => bad_input(error),
    })?;
    let socket = Arc::new(socket);
    let sink = arguments.sink.to_string();
    let files = EngineConfig { sink: arguments.sink, stats: arguments.stats, trace: arguments.dma_trace };
    let engine = Engine::start(Arc::clone(&card), files).map_err(bad_input)?;
    log::info!("sink {sink}, clock {:?}, speed {}", arguments.clock, arguments.speed);
    log::info!("listening on {}", arguments.socket.display());

    let (its_socket, once) = (Arc::clone(&socket), arguments.once);
    std::thread::Builder::new()
        .name("serve".into())
        .spawn(move || drop(ends.send(End::Served(serve(&card, &its_socket, once)))))
        .map_err(failed)?;
    let end = end.recv();
    // The serving thread may be waiting for a message; it ends with the process.
    engine.end();
    socket.remove();
    match end {
        Ok(End::Served(Err(error))) => Err(failed(error)),
        Ok(End::Served(Ok(()))) => Ok(ExitCode::SUCCESS),
        Ok(End::Signal) => {
            log::info!("ended by a signal");
            Ok(ExitCode::SUCCESS)
        }
        Err(_) => Err(failed("the serving thread panicked")),
    }
}

fn run_compare(arguments: &Compare) -> Result<ExitCode, Failure> {
    let comparison = compare(&arguments.a, &arguments.b).map_err(bad_input)?;
    let text = if arguments.json {
        serde_json::to_string_pretty(&comparison).map_err(failed)?
    } else {
        comparison.to_string()
    };
    // A reader that does not want it all (head) is no failure.
    let _ = writeln!(std::io::stdout(), "{text}");
    Ok(if comparison.bit_exact() { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}

fn run_tone(arguments: &Tone) -> Result<ExitCode, Failure> {
    let &Tone { ref out, seconds, rate, channels, format } = arguments;
    let format = StreamFormat { code: format.into(), channels, rate };
    let written = Piece { seconds, format }.write(out);
    written.map_err(|error| bad_input(format!("cannot write {}: {error}", out.display())))?;
    Ok(ExitCode::SUCCESS)
}
