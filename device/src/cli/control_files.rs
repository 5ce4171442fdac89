//! The files that `ringwave control` gives to a card: this side opens them, so that the server need not be
//! able to.

use std::fs::File;
use std::io::BufWriter;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use ringwave_audio::next_step;
use ringwave_audio::wav::{self, Samples, WavError};
use ringwave_host::output::{Content, make_given};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};

use super::commands::{Failure, bad_input};

/// The longest source, bytes: it is copied into memory.
const SOURCE_BYTES_MAX: u64 = 1 << 30;

/// A command as the server takes it, with the file that goes with it.
pub struct Order {
    /// `source 1 wav`
    pub line: String,
    /// What comes beside it.
    pub file: Option<File>,
    /// A file that was made for it, and goes if the card does not take it.
    pub made: Option<PathBuf>,
}

/// What a command needs a file for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Source,
    Sink(Content),
}

/// Splits off the file of a command: `source 1 wav:a b.wav` is `source 1 wav` and `a b.wav`.
fn split(command: &str) -> Option<(String, Kind, &str)> {
    let command = command.trim();
    let (word, rest) = command.split_once(char::is_whitespace)?;
    let (stream, what) = rest.trim_start().split_once(char::is_whitespace)?;
    let (kind, path) = what.trim_start().split_once(':')?;
    let content = match (word, kind) {
        ("source", "wav") => Kind::Source,
        ("sink", "wav") => Kind::Sink(Content::Wav),
        ("sink", "raw") => Kind::Sink(Content::Raw),
        _ => return None,
    };
    (!path.is_empty()).then(|| (format!("{word} {stream} {kind}"), content, path))
}

/// The line that the server gets for a command.
pub fn line_of(command: &str) -> String {
    split(command).map_or_else(|| command.to_owned(), |(line, _, _)| line)
}

/// Whether a command makes a file: such a one is not made before its time.
pub fn makes_file(command: &str) -> bool {
    matches!(split(command), Some((_, Kind::Sink(_), _)))
}

/// Opens what a command names.
///
/// # Errors
/// It cannot be opened, or is no sound.
pub fn order(command: &str) -> Result<Order, Failure> {
    let Some((line, kind, path)) = split(command) else {
        return Ok(Order { line: command.to_owned(), file: None, made: None });
    };
    let path = Path::new(path);
    match kind {
        Kind::Source => {
            let file = in_memory(path)
                .map_err(|error| bad_input(format!("cannot play {}: {error}", path.display())))?;
            Ok(Order { line, file: Some(file), made: None })
        }
        Kind::Sink(content) => {
            let file = make_given(path, content).map_err(|error| {
                bad_input(format!("cannot write {}: {}", path.display(), next_step::writing(&error)))
            })?;
            Ok(Order { line, file: Some(file), made: Some(path.to_owned()) })
        }
    }
}

/// A copy of a WAV file, which may be a FIFO, in memory that nobody can change any more.
fn in_memory(path: &Path) -> Result<File, WavError> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let file = File::from(memfd_create("ringwave source", flags).map_err(std::io::Error::from)?);
    let mut writer = BufWriter::new(&file);
    wav::copy(path, &mut writer, SOURCE_BYTES_MAX)?;
    writer.flush()?;
    drop(writer);
    let seals = SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE | SealFlags::SEAL;
    fcntl_add_seals(&file, seals).map_err(std::io::Error::from)?;
    // What is no sound is said here.
    Samples::of_file(file.try_clone()?)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn files_are_split_off_and_nothing_else() {
        let wav = |line: &str, path| Some((line.to_owned(), Kind::Source, path));
        for (command, parts) in [
            ("source 1 wav:a.wav", wav("source 1 wav", "a.wav")),
            ("  source\t1  wav:a b:c.wav ", wav("source 1 wav", "a b:c.wav")),
            ("sink 0 wav:x", Some(("sink 0 wav".to_owned(), Kind::Sink(Content::Wav), "x"))),
            ("sink 0 raw:/x", Some(("sink 0 raw".to_owned(), Kind::Sink(Content::Raw), "/x"))),
            ("source 1 raw:x", None),
            ("source 1 tone:1000", None),
            ("source 1 wav:", None),
            ("source wav:a", None),
            ("jack 0 wav:a", None),
            ("stats", None),
        ] {
            assert_eq!(split(command), parts, "{command:?}");
        }
    }

    proptest! {
        /// Whatever is written, a file's name is all that is taken away.
        #[test]
        fn nothing_is_lost(command in "(source|sink|jack|.{0,8})[ \t]{1,2}[0-9x]{0,3}[ \t]{1,2}(wav|raw|tone|.{0,4}):.{0,12}") {
            if let Some((line, _, path)) = split(&command) {
                let squeezed = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
                prop_assert_eq!(squeezed(&format!("{line}:{path}")), squeezed(&command));
            }
        }
    }
}
