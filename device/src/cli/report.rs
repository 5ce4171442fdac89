//! `--report FILE.html`: the page for people, of what a command knows. device/REPORT.md is its contract.

use std::path::{Path, PathBuf};

use ringwave_audio::compare::judge::Judgement;
use ringwave_audio::next_step;
use ringwave_audio::wav::Samples;
use ringwave_report::html::{
    BYTES_MAX, Differences, Outcome, Page, ReportFile, Sound, differences, grouped, headline, machine,
    shell_line,
};
use ringwave_report::one_file::is_one_file;

use super::commands::{Failure, bad_input, failed};

/// A page that can be written, and where.
#[derive(Debug)]
pub struct Output {
    path: PathBuf,
    file: ReportFile,
}

/// Looks whether the page can be written, before any work; it is none of the files that are read.
pub fn create(path: &Path, read: &[&Path]) -> Result<Output, Failure> {
    if let Some(other) = read.iter().find(|other| is_one_file(path, other)) {
        let other = other.display();
        return Err(bad_input(format!(
            "--report {}: it is {other}, which is read; take another file",
            path.display()
        )));
    }
    let unwritable =
        |error| bad_input(format!("--report {}: {}", path.display(), next_step::writing(&error)));
    Ok(Output { path: path.to_owned(), file: ReportFile::create(path).map_err(unwritable)? })
}

impl Output {
    /// Writes the page.
    pub fn write(self, page: &Page) -> Result<(), Failure> {
        let Self { path, file } = self;
        let why = |error| failed(format!("cannot write {}: {}", path.display(), next_step::writing(&error)));
        file.write(&page.render()).map_err(why)
    }
}

/// This process's own command line, to do it again.
pub fn own_command() -> String {
    shell_line(std::env::args_os().map(|word| word.to_string_lossy().into_owned()))
}

/// What differs between two files: what `compare --align` has found, or, of a strict comparison, what the
/// same judge says.
pub fn found(
    judgement: Option<&Judgement>,
    exact: bool,
    sent: &Samples<'_>,
    heard: &Samples<'_>,
) -> Result<Differences, Failure> {
    match judgement {
        Some(judgement) => Ok(Differences::of(judgement, sent, heard)),
        None if exact => Ok(Differences::none()),
        None => differences(sent, heard).map_err(|error| bad_input(next_step::reading(&error))),
    }
}

/// The page of two files that were compared, with the exit code and the text of the verdict.
pub fn write_comparison(
    output: Output,
    paths: [&Path; 2],
    [sent, heard]: [&Samples<'_>; 2],
    (code, verdict): (u8, &str),
    found: Differences,
) -> Result<(), Failure> {
    let outcome = match code {
        0 => Outcome::Passed,
        super::compare::CANNOT_TELL => Outcome::Unknown,
        _ => Outcome::Failed,
    };
    let said = verdict.lines().find_map(|line| line.strip_prefix("verdict    ")).unwrap_or("no verdict");
    let places = grouped(found.total);
    let mut budget = BYTES_MAX;
    let names = paths.map(|path| path.display().to_string());
    let headline = headline(outcome, &found, (heard.len(), heard.format().rate), said);
    let sound = Sound::of_pair(
        "Sent and heard",
        [names[0].as_str(), names[1].as_str()],
        [sent, heard],
        found,
        &mut budget,
    );
    let title = format!("ringwave compare {} {}", names[0], names[1]);
    let page = Page {
        details: vec![format!("The verdict: {said}.")],
        facts: vec![
            ("frames sent".into(), grouped(sent.len())),
            ("frames heard".into(), grouped(heard.len())),
            ("differences".into(), places),
        ],
        sounds: vec![sound],
        texts: vec![("The verdict in full".into(), verdict.to_owned())],
        machine: machine(),
        command: own_command(),
        ..Page::new(title, outcome, headline)
    };
    // A file that was cut meanwhile, or cannot be read, is told and not drawn as silence.
    for samples in [sent, heard] {
        if let Some(error) = samples.take_error() {
            return Err(bad_input(next_step::reading(&error)));
        }
    }
    output.write(&page)
}
