//! The files that `ringwave serve` is told to write and read: no two may be one.

use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use ringwave_host::SinkSpec;
use ringwave_host::source::SourceSpec;

use super::commands::{Failure, bad_input};
use super::serve::Serve;

/// What is written, with the option that names it.
pub fn written(arguments: &Serve) -> impl Iterator<Item = (&'static str, &Path)> {
    let sink = match &arguments.sink {
        SinkSpec::Wav(path) | SinkSpec::Raw(path) => Some(path).filter(|path| *path != Path::new("-")),
        SinkSpec::Null | SinkSpec::Sound(_) => None,
    };
    let Serve { stats, trace, report, .. } = arguments;
    let all = [
        ("--sink", sink),
        ("--stats", stats.as_ref()),
        ("--trace", trace.as_ref()),
        ("--report", report.as_ref()),
        ("--junit", arguments.expected.junit.as_ref()),
    ];
    all.into_iter().filter_map(|(option, path)| Some((option, path?.as_path())))
}

/// What is written and read back for `--report`: sound and trace, where they are files.
pub fn read_back(arguments: &Serve) -> Vec<PathBuf> {
    let sink = match &arguments.sink {
        SinkSpec::Wav(path) => Some(path),
        SinkSpec::Raw(_) | SinkSpec::Null | SinkSpec::Sound(_) => None,
    };
    let all = sink.into_iter().chain(&arguments.trace).filter(|_| arguments.report.is_some());
    all.filter(|path| !is_special(path)).cloned().collect()
}

/// What is read.
pub fn sources(arguments: &Serve) -> Vec<PathBuf> {
    let paths = arguments.source.iter().filter_map(|source| match source {
        SourceSpec::Wav(path) | SourceSpec::Raw(path) => Some(path.clone()),
        SourceSpec::Null | SourceSpec::Tone(_) | SourceSpec::Loopback(_) | SourceSpec::Sound(_) => None,
    });
    paths.collect()
}

/// Refuses one file for two options: the one that is written would be read, or written twice. A device
/// (`/dev/null`) may be for all, and what is written to a FIFO may be mixed by who wants that.
pub fn no_two_alike(arguments: &Serve) -> Result<(), Failure> {
    let written: Vec<_> = written(arguments).collect();
    let sources = sources(arguments);
    let refused = |first: &str, second: &str, path: &Path| {
        Err(bad_input(format!("{first} and {second}: both are {}; take another file", path.display())))
    };
    for (index, (option, path)) in written.iter().enumerate() {
        if let Some(source) = sources.iter().find(|source| is_one(source, path) && !is_device(source)) {
            return refused("--source", option, source);
        }
        let others = written.get(index + 1..).unwrap_or_default();
        if let Some((other, _)) = others.iter().find(|(_, other)| is_one(path, other) && !is_special(path)) {
            return refused(option, other, path);
        }
    }
    Ok(())
}

/// Whether two paths name one file, whatever their spelling, also one that is not there yet.
fn is_one(one: &Path, other: &Path) -> bool {
    match (std::fs::metadata(one), std::fs::metadata(other)) {
        (Ok(one), Ok(other)) => (one.dev(), one.ino()) == (other.dev(), other.ino()),
        (Err(_), Err(_)) => canonical_name(one).is_some_and(|name| Some(name) == canonical_name(other)),
        _ => false,
    }
}

/// The folder, in its one spelling, and the name in it.
fn canonical_name(path: &Path) -> Option<PathBuf> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Some(std::fs::canonicalize(folder).ok()?.join(path.file_name()?))
}

fn is_device(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|found| found.file_type().is_char_device())
}

fn is_special(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|found| !found.is_file())
}
