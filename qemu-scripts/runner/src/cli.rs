//! What the programs share on the command line, and from there to the exit code.

use std::{
    io::{IsTerminal, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Instant,
};

use clap::{Args, Parser, ValueEnum};
use ringwave_report::{
    html::Page,
    junit::{self, TestCase},
};
use tempfile::TempDir;

use crate::{
    artefacts::Artefacts,
    error::Error,
    html, output_paths, process,
    request::{CardKind, Clock, Request},
    run::run,
};

/// Options of `play` and `record`.
#[derive(Args, Debug)]
pub struct SoundArgs {
    /// Where to write what arrived.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// The card that the driver is started on.
    #[arg(long, value_enum, default_value_t = CardKind::Ringwave)]
    pub card: CardKind,
    /// How the card gets at the cyclic buffer.
    #[arg(long, value_enum, default_value_t = Dma::ScatterGather)]
    pub dma: Dma,
    /// Length of the cyclic buffer in milliseconds.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(2..=4000))]
    pub buffer_ms: u32,
    /// Packets in the cyclic buffer. With one there is no time to write or read it but while the card waits.
    #[arg(long, value_name = "1|2", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=2))]
    pub packets: u32,
    /// The guest's processors.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=4))]
    pub cpus: u32,
    /// Whether the card waits for a guest that is late, or its time goes on (scaled: X times as fast).
    #[arg(long, value_name = "lockstep|realtime|scaled:X", default_value = "lockstep")]
    pub clock: Clock,
    /// Keep the run's folder: logs, the card's trace, what was heard.
    #[arg(long)]
    pub keep: bool,
    /// Write a JUnit report of the verdicts, for CI servers.
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// Write a page for a browser: what was sent and heard, each difference marked, the first ten to listen
    /// to, and what happened when
    #[arg(long, value_name = "FILE.html")]
    pub report: Option<PathBuf>,
}

/// Where a run is told, besides the terminal.
#[derive(Clone, Debug, Default)]
pub struct Outputs {
    /// `--junit`.
    pub junit: Option<PathBuf>,
    /// `--report`.
    pub report: Option<PathBuf>,
}

/// How the card gets at the cyclic buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Dma {
    /// Page by page, by a table
    ScatterGather,
    /// In one piece
    Contiguous,
}

impl SoundArgs {
    /// Puts them into a request.
    pub fn apply(&self, request: Request) -> Request {
        Request {
            out: self.out.clone(),
            kind: self.card,
            contiguous: self.dma == Dma::Contiguous,
            buffer_ms: self.buffer_ms,
            packets: self.packets,
            clock: self.clock,
            processors: self.cpus,
            keep: self.keep,
            timeline: self.report.is_some(),
            ..request
        }
    }

    /// Where the run is told. `wav` is what is read.
    ///
    /// # Errors
    /// One file is for two options; it is said, and this is what to exit with.
    pub fn outputs(&self, name: &str, wav: Option<&Path>) -> Result<Outputs, ExitCode> {
        let Self { out, junit, report, .. } = self;
        refuse_alike(
            name,
            &[("--out", out.as_deref()), ("--report", report.as_deref()), ("--junit", junit.as_deref())],
            wav,
        )?;
        Ok(Outputs { junit: junit.clone(), report: report.clone() })
    }
}

/// The arguments; `--help` is printed, and what is wrong with them in one line.
///
/// # Errors
/// What to exit with.
pub fn parse<A: Parser>(name: &str) -> Result<A, ExitCode> {
    A::try_parse().map_err(|error| {
        if !error.use_stderr() {
            print!("{error}");
            return ExitCode::SUCCESS;
        }
        let text = error.to_string();
        let said = text.lines().map(str::trim).take_while(|line| !line.starts_with("Usage:"));
        let said: Vec<&str> =
            said.filter(|line| !line.is_empty() && !line.starts_with("For more information")).collect();
        let said = said.join(" ");
        let said = said.strip_prefix("error: ").unwrap_or(&said);
        eprintln!("{name}: {said}; see qemu-scripts/{name} --help");
        ExitCode::from(2)
    })
}

/// Refuses one file for two of these options, or one that is the sound that is read, before anything is done.
///
/// # Errors
/// What to exit with; why is printed.
pub fn refuse_alike(
    name: &str,
    written: &[(&str, Option<&Path>)],
    wav: Option<&Path>,
) -> Result<(), ExitCode> {
    output_paths::no_two_alike(written, &[("the WAV file", wav)]).map_err(|error| {
        eprintln!("{name}: {error}");
        ExitCode::from(error.exit_code())
    })
}

/// Does `work`, and writes the page of what came of it, if `path` names one: whether it can be written is
/// known before the work. A run that broke off has a page that says so. Gives what came of the work, and
/// whether the page is written (or none was wanted): one that cannot be keeps nothing else from being told.
pub fn reported<T>(
    name: &str,
    path: Option<&Path>,
    work: impl FnOnce() -> Result<T, Error>,
    page: impl FnOnce(&T) -> Result<Page, Error>,
) -> (Result<T, Error>, bool) {
    let file = match path.map(html::create).transpose() {
        Ok(file) => file,
        Err(error) => return (Err(error), true),
    };
    let done = work();
    let Some(file) = file else { return (done, true) };
    let made = match &done {
        Ok(done) => page(done),
        Err(error @ Error::Failed(_)) => {
            Ok(html::page_of_error(name, error, ringwave_report::html::machine()))
        }
        // What was asked for wrongly is for who asked, and who interrupts wants no page.
        Err(Error::BadInput(_) | Error::Interrupted) => return (done, true),
    };
    let why = |error| Error::failed(format!("cannot write the page: {error}"));
    let written = made.and_then(|page| file.write(&page.render()).map_err(why));
    if let Err(error) = &written {
        eprintln!("{name}: {error}");
    }
    (done, written.is_ok())
}

/// The exit code of work that passed or not, and of which everything is `written` or not. Prints the error.
pub fn exit_code(name: &str, done: Result<bool, Error>, written: bool) -> ExitCode {
    match done {
        Ok(passed) => ExitCode::from(u8::from(!(passed && written))),
        Err(error) => {
            eprintln!("{name}: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

/// Runs what `request` makes of the arguments, prints the report, and gives the exit code. The folder lives
/// until then.
pub fn main(
    name: &str,
    Outputs { junit, report: page }: Outputs,
    request: impl FnOnce(&Artefacts) -> Result<(Request, Option<TempDir>), Error>,
) -> ExitCode {
    let begin = Instant::now();
    let work = || {
        junit.as_deref().map_or(Ok(()), |path| check_folder("--junit", path))?;
        process::stop_on_signals()?;
        let artefacts = Artefacts::from_env()?;
        let (request, lives) = request(&artefacts)?;
        let terminal = std::io::stderr().is_terminal();
        let report = run(&artefacts, &request, |step| print_step(step, terminal))?;
        if terminal {
            eprint!("\r\x1b[K");
        }
        print!("{report}");
        Ok((report, request, artefacts, lives))
    };
    let (done, mut written) = reported(name, page.as_deref(), work, |(report, request, artefacts, _)| {
        html::play::page(name, &request.wav, report, html::machine(&artefacts.qemu, &artefacts.accel))
    });
    written &= write_junit(name, junit.as_deref(), begin, &done, |(report, ..)| report.cases());
    exit_code(name, done.map(|(report, ..)| report.passed()), written)
}

/// Writes the JUnit report of work that began then, if `path` names one: its cases, or one that failed if it
/// broke off. Gives whether it is written (or none was wanted).
pub fn write_junit<T>(
    name: &str,
    path: Option<&Path>,
    begin: Instant,
    done: &Result<T, Error>,
    cases: impl FnOnce(&T) -> Vec<TestCase>,
) -> bool {
    let cases = match done {
        Ok(done) => cases(done),
        // What was asked for wrongly is for who asked.
        Err(Error::BadInput(_)) => return true,
        Err(error) => vec![TestCase {
            name: "it runs".into(),
            time: begin.elapsed(),
            failure: Some(error.to_string()),
            output: String::new(),
        }],
    };
    let Some(path) = path else { return true };
    let written = junit::write(path, &format!("ringwave {name}"), &cases);
    if let Err(error) = &written {
        eprintln!("{name}: {}", Error::file("write", path, error));
    }
    written.is_ok()
}

/// A file that cannot be written, for its folder is not there, is said before the run.
///
/// # Errors
/// [`Error::BadInput`] with the option that named it.
pub fn check_folder(option: &str, path: &Path) -> Result<(), Error> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    if folder.is_none_or(Path::is_dir) && !path.is_dir() {
        return Ok(());
    }
    Err(Error::BadInput(format!(
        "{option} {}: its folder is not there; make it, or take another file",
        path.display()
    )))
}

/// On a terminal the steps take one another's place.
fn print_step(step: &str, terminal: bool) {
    if terminal && !step.contains('\n') {
        eprint!("\r\x1b[K{step}");
        let _ = std::io::stderr().flush();
    } else {
        eprintln!("{step}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringwave_report::html::Outcome;

    fn page() -> Page {
        Page::new("a test", Outcome::Passed, "All is well.")
    }

    #[test]
    fn a_page_that_cannot_be_is_said_before_the_work_and_costs_nothing_after_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let below = folder.path().join("gone");
        let path = below.join("page.html");
        let (done, _) = reported("test", Some(&path), || panic!("no work is done"), |(): &()| Ok(page()));
        assert!(
            matches!(done, Err(Error::BadInput(line)) if line.contains("--report") && !line.contains('\n'))
        );
        std::fs::create_dir(&below).expect("a folder");
        let remove = || {
            std::fs::remove_dir_all(&below).expect("it goes away");
            Ok(7)
        };
        let (done, written) = reported("test", Some(&path), remove, |_| Ok(page()));
        assert_eq!((done.expect("the work was done"), written), (7, false));
        let (done, written) = reported("test", None, || Ok(7), |_| panic!("none is wanted"));
        assert_eq!((done.expect("the work was done"), written), (7, true));
    }

    #[test]
    fn a_run_that_breaks_off_has_a_page_and_bad_input_has_none() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("page.html");
        let ends = |error: Error| reported("test", Some(&path), || Err::<(), _>(error), |()| Ok(page()));
        for error in [Error::BadInput("no WAV file".into()), Error::Interrupted] {
            let (done, written) = ends(error);
            assert!(done.is_err() && written && !path.exists());
        }
        let (done, written) = ends(Error::failed("QEMU <is> gone"));
        assert!(done.is_err() && written);
        let text = std::fs::read_to_string(&path).expect("a page");
        assert!(
            text.contains("The run broke off: QEMU &lt;is&gt; gone") && text.contains("failed"),
            "{text}"
        );
    }
}
