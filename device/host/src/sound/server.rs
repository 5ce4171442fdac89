//! What to do when no sound server answers: a service has no login, and so neither a server nor the folder in
//! which one listens.

use std::env;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

/// Where a user's servers listen in `XDG_RUNTIME_DIR`: `PipeWire`, and `PulseAudio` or what stands in for it.
const SOCKETS: [&str; 2] = ["pipewire-0", "pulse/native"];
/// Whoever sets one of these has a server of his own choice.
const CHOSEN: [&str; 4] = ["PULSE_SERVER", "PULSE_RUNTIME_PATH", "PIPEWIRE_REMOTE", "PIPEWIRE_RUNTIME_DIR"];

const NO_RUNTIME_DIR: &str = "XDG_RUNTIME_DIR is not set, so no user's PipeWire or PulseAudio is found: \
     in a unit, User=USER and Environment=XDG_RUNTIME_DIR=/run/user/UID; \
     and loginctl enable-linger USER, so that they run without a login";
const NO_FOLDER: &str = "XDG_RUNTIME_DIR is set, and that folder is not there: \
     loginctl enable-linger USER, so that PipeWire or PulseAudio run without a login; in a unit, ProtectHome=no";
const FORBIDDEN: &str = "XDG_RUNTIME_DIR is set, and this user may not look into that folder: \
     in a unit, User=USER whose folder it is, and ProtectHome=no; \
     and loginctl enable-linger USER, so that PipeWire or PulseAudio run without a login";
const NO_SERVER: &str = "neither PipeWire nor PulseAudio listens in XDG_RUNTIME_DIR: \
     loginctl enable-linger USER, so that they run without a login; \
     systemctl --user status pipewire pulseaudio, as that user, says whether they do";
const THERE: &str = "see whether the sound server runs, and whether this user may use it";

/// What to do when a device's server does not answer.
pub fn next_step() -> &'static str {
    if CHOSEN.iter().any(|variable| env::var_os(variable).is_some()) {
        return THERE;
    }
    let folder = env::var_os("XDG_RUNTIME_DIR");
    next_step_in(folder.as_deref().map(Path::new), |path| fs::metadata(path).map(drop))
}

/// What to do where a server is forbidden: as [`next_step`], if that is why.
pub fn forbidden() -> Option<&'static str> {
    Some(next_step()).filter(|next| *next == FORBIDDEN)
}

/// [`next_step`] with this `XDG_RUNTIME_DIR`; `look` finds out whether something is there.
fn next_step_in(folder: Option<&Path>, look: impl Fn(&Path) -> io::Result<()>) -> &'static str {
    let Some(folder) = folder.filter(|folder| !folder.as_os_str().is_empty()) else {
        return NO_RUNTIME_DIR;
    };
    let looked = SOCKETS.map(|socket| look(&folder.join(socket)).map_err(|error| error.kind()));
    if looked.iter().any(Result::is_ok) {
        THERE
    } else if looked.contains(&Err(ErrorKind::PermissionDenied)) {
        FORBIDDEN
    } else if look(folder).is_ok() {
        NO_SERVER
    } else {
        NO_FOLDER
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_service_lacks_of_a_login_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let look = |path: &Path| fs::metadata(path).map(drop);
        let next = |folder: &Path| next_step_in(Some(folder), look);
        for unset in [None, Some(Path::new(""))] {
            assert_eq!(next_step_in(unset, look), NO_RUNTIME_DIR);
        }
        assert_eq!(next(&dir.path().join("4711")), NO_FOLDER);
        assert_eq!(next(dir.path()), NO_SERVER);
        let refuse = |_: &Path| Err(ErrorKind::PermissionDenied.into());
        assert_eq!(next_step_in(Some(dir.path()), refuse), FORBIDDEN);
        fs::create_dir(dir.path().join("pulse")).unwrap();
        assert_eq!(next(dir.path()), NO_SERVER, "PulseAudio's library makes the folder too");
        fs::write(dir.path().join("pulse/native"), "").unwrap();
        assert_eq!(next(dir.path()), THERE);
        for service in [NO_RUNTIME_DIR, NO_FOLDER, FORBIDDEN, NO_SERVER] {
            assert!(service.contains("loginctl enable-linger USER") && service.contains("XDG_RUNTIME_DIR"));
            assert!(!service.contains("  ") && !service.contains('\n'), "{service}");
        }
    }
}
