//! The file of a report. It is there as a whole or not at all: it is written beside its place and moved there
//! at the end, and what was there stays until then.

use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

/// A file that can be written, and is not there yet.
#[derive(Debug)]
pub struct ReportFile {
    path: PathBuf,
    beside: NamedTempFile,
}

impl ReportFile {
    /// Looks whether `path` can be written, before all the work.
    ///
    /// # Errors
    /// Why it cannot: its folder is not there, or this user may not write in it, or it is no regular file.
    pub fn create(path: &Path) -> io::Result<Self> {
        if let Ok(there) = std::fs::metadata(path)
            && !there.is_file()
        {
            let kind = if there.is_dir() { "is a directory" } else { "is no regular file" };
            return Err(io::Error::other(format!("{kind}; give a file")));
        }
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let beside = tempfile::Builder::new()
            .prefix(".ringwave-report-")
            .suffix(".part")
            // Less what the user's umask takes away, as of any file.
            .permissions(std::fs::Permissions::from_mode(0o666))
            .tempfile_in(folder)
            // Without the name of the temporary file, which tells a user nothing.
            .map_err(|error| {
                error.raw_os_error().map_or_else(|| error.kind().into(), io::Error::from_raw_os_error)
            })?;
        Ok(Self { path: path.to_owned(), beside })
    }

    /// Writes the page, in place of what was there.
    ///
    /// # Errors
    /// Those of writing.
    pub fn write(mut self, page: &str) -> io::Result<()> {
        self.beside.write_all(page.as_bytes())?;
        self.beside.as_file().sync_data()?;
        self.beside.persist(&self.path).map_err(|error| error.error)?;
        Ok(())
    }
}
