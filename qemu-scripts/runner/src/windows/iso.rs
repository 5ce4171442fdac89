//! Microsoft's ISO, read through 7-Zip: its files are in a UDF tree, which most programs that read ISOs do
//! not see.

use std::path::Path;
use std::process::{Command, Stdio};

use super::wim::{Edition, editions};
use crate::error::Error;

/// Where the image file may be.
const IMAGES: [&str; 2] = ["sources/install.wim", "sources/install.esd"];

/// The editions that an ISO has.
///
/// # Errors
/// [`Error::BadInput`] if it is no ISO of Windows, with what is wrong; [`Error::Failed`] without 7-Zip.
pub fn read_editions(iso: &Path) -> Result<Vec<Edition>, Error> {
    let refused = |why: String| Error::BadInput(format!("{}: {why}", iso.display()));
    if !iso.is_file() {
        return Err(refused("no such file; name an ISO of Windows".into()));
    }
    let listed = Command::new("7z").args(["l", "-ba", "-slt", "--"]).arg(iso).args(IMAGES).output();
    let listed = listed.map_err(|error| Error::Failed(format!("cannot start 7z: {error}")))?;
    let text = String::from_utf8_lossy(&listed.stdout).replace('\\', "/");
    let image = IMAGES.into_iter().find(|image| text.contains(&format!("Path = {image}")));
    let Some(image) = image else {
        return Err(refused(format!(
            "neither {} nor {} is in it: no ISO of Windows, or a damaged one",
            IMAGES[0], IMAGES[1]
        )));
    };
    let mut unpack = Command::new("7z");
    unpack.args(["x", "-so", "--"]).arg(iso).arg(image);
    unpack.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut unpack = unpack.spawn().map_err(|error| Error::Failed(format!("cannot start 7z: {error}")))?;
    let found = unpack.stdout.take().map(editions);
    // The rest of the file is not wanted.
    let _ = unpack.kill();
    let _ = unpack.wait();
    let found = found.transpose().map_err(|error| refused(format!("{image}: {error}")))?.unwrap_or_default();
    if found.is_empty() {
        return Err(refused(format!("{image} holds no image")));
    }
    Ok(found)
}
