//! What can go wrong in a run, sorted by the exit code it leads to.

use std::{fmt, io, path::Path};

/// Why there is no verdict.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The user gave something that can't be used. The text is one line and says what to do. Exit code 2.
    #[error("{0}")]
    BadInput(String),
    /// Something broke on the way. Exit code 1.
    #[error("{0}")]
    Failed(String),
    /// The user stopped the run (Ctrl-C, SIGTERM). Exit code 130.
    #[error("interrupted")]
    Interrupted,
}

impl Error {
    /// The program's exit code for this error.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::BadInput(_) => 2,
            Self::Failed(_) => 1,
            Self::Interrupted => 130,
        }
    }

    /// An operation on `path` that failed.
    pub fn file(doing: &str, path: &Path, error: &io::Error) -> Self {
        Self::Failed(format!("cannot {doing} {}: {error}", path.display()))
    }

    /// Something broke.
    pub fn failed(what: impl fmt::Display) -> Self {
        Self::Failed(what.to_string())
    }
}
