//! What a person can do about an error of the system: its kind in plain words, then the next step, in one
//! line.
//!
//! Errors that this program makes itself (`io::Error::other`) have their next step in their text and are told
//! as they are.

use std::io::{Error, ErrorKind};

/// A file or a folder could not be read.
pub fn reading(error: &Error) -> String {
    match error.kind() {
        ErrorKind::NotFound => "not found; check the path".to_owned(),
        ErrorKind::PermissionDenied => "permission denied; let this user read it".to_owned(),
        ErrorKind::IsADirectory => "is a directory; give a file".to_owned(),
        _ => elsewhere(error, "check the path and what it is on"),
    }
}

/// A file could not be made or written.
pub fn writing(error: &Error) -> String {
    match error.kind() {
        ErrorKind::NotFound => "its folder is not there; make it, or take another path".to_owned(),
        ErrorKind::PermissionDenied => {
            "permission denied; let this user write there, or take another path".to_owned()
        }
        ErrorKind::IsADirectory => "is a directory; give a file".to_owned(),
        ErrorKind::StorageFull => "the disk is full; make room, or take another disk".to_owned(),
        ErrorKind::QuotaExceeded => {
            "this user's quota is used up; make room, or take another disk".to_owned()
        }
        ErrorKind::FileTooLarge => "it may not be longer; raise ulimit -f, or take less".to_owned(),
        ErrorKind::ReadOnlyFilesystem => "the file system is read-only; take another path".to_owned(),
        _ => elsewhere(error, "take another path"),
    }
}

/// A UNIX socket could not be connected to. `first` starts whoever should serve there.
pub fn connecting(error: &Error, first: &str) -> String {
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::ConnectionRefused => {
            format!("nobody serves there; first: {first}")
        }
        ErrorKind::PermissionDenied => "permission denied; be the user who serves there".to_owned(),
        // Of what does not fit in `sockaddr_un` std says InvalidInput, rustix ENAMETOOLONG.
        ErrorKind::InvalidInput | ErrorKind::InvalidFilename => {
            "the path is too long for a socket; take a shorter one".to_owned()
        }
        ErrorKind::TimedOut | ErrorKind::WouldBlock => {
            "no answer; wait until its present client has left, or start it again".to_owned()
        }
        _ => elsewhere(error, "start whoever serves there again"),
    }
}

/// What is the same for all; everything else in the system's own words, with `next`.
fn elsewhere(error: &Error, next: &str) -> String {
    match error.kind() {
        _ if error.get_ref().is_some() => error.to_string(),
        ErrorKind::NotADirectory => "a part of the path is a file, not a folder; check the path".to_owned(),
        ErrorKind::InvalidFilename => "the name is too long; take a shorter one".to_owned(),
        ErrorKind::OutOfMemory => "no memory; end something else".to_owned(),
        _ => format!("{error}; {next}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_of_the_system_is_one_line_with_a_next_step() {
        for errno in 1..134 {
            let error = Error::from_raw_os_error(errno);
            for said in [reading(&error), writing(&error), connecting(&error, "ringwave serve")] {
                assert!(said.contains("; ") && !said.contains('\n'), "{errno}: {said}");
            }
        }
        let denied = Error::from_raw_os_error(libc::EACCES);
        for said in [reading(&denied), writing(&denied), connecting(&denied, "")] {
            assert!(said.starts_with("permission denied; "), "{said}");
        }
        assert_eq!(reading(&Error::other("nobody writes; begin")), "nobody writes; begin");
    }
}
