//! The files that `ringwave serve` is told to write and read: no two may be one.

use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use ringwave_host::SinkSpec;
use ringwave_host::source::SourceSpec;
use ringwave_report::one_file::is_one_file;

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
        if let Some(source) = sources.iter().find(|source| is_one_file(source, path) && !is_device(source)) {
            return refused("--source", option, source);
        }
        let others = written.get(index + 1..).unwrap_or_default();
        if let Some((other, _)) =
            others.iter().find(|(_, other)| is_one_file(path, other) && !is_special(path))
        {
            return refused(option, other, path);
        }
    }
    Ok(())
}

fn is_device(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|found| found.file_type().is_char_device())
}

fn is_special(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|found| !found.is_file())
}
