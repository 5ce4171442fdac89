//! The files that a command is told to write and read: no two may be one, however they are spelt.

use std::{fs::metadata, path::Path};

use ringwave_report::one_file::is_one_file;

use crate::error::Error;

/// Refuses one file for two options, one of which writes it. What is no regular file (`/dev/null`) may be for
/// all, and so may `-`.
///
/// # Errors
/// [`Error::BadInput`], one line that names both options.
pub fn no_two_alike(written: &[(&str, Option<&Path>)], read: &[(&str, Option<&Path>)]) -> Result<(), Error> {
    let named = |all: &[(&str, Option<&Path>)]| {
        let all = all.iter().filter_map(|(option, path)| Some(((*option).to_owned(), (*path)?.to_owned())));
        all.filter(|(_, path)| path != Path::new("-")).collect::<Vec<_>>()
    };
    let (written, read) = (named(written), named(read));
    for (index, (option, path)) in written.iter().enumerate() {
        let others = written.iter().skip(index + 1).chain(&read);
        if let Some((other, _)) = others.into_iter().find(|(_, other)| is_one(path, other)) {
            let path = path.display();
            return Err(Error::BadInput(format!("{option} and {other}: both are {path}; take another file")));
        }
    }
    Ok(())
}

/// A device is no file that anybody loses.
fn is_one(one: &Path, other: &Path) -> bool {
    is_one_file(one, other) && metadata(one).map_or(true, |found| found.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{os::unix::fs::symlink, path::PathBuf};

    #[test]
    fn one_file_for_two_options_is_refused_however_it_is_spelt() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("there"), "mine").expect("a file");
        std::fs::hard_link(at("there"), at("hard")).expect("a hard link");
        symlink("there", at("soft")).expect("a link");
        symlink("new", at("soft-to-new")).expect("a link");
        for (one, other) in [
            ("new", "new"),
            ("new", "./new"),
            ("new", "soft-to-new"),
            ("there", "./there"),
            ("there", "soft"),
            ("there", "hard"),
            ("hard", "soft"),
        ] {
            let (one, other) = (at(one), at(other));
            for (written, read) in [
                (vec![("--out", Some(one.as_path())), ("--report", Some(other.as_path()))], vec![]),
                (vec![("--out", Some(one.as_path()))], vec![("--report", Some(other.as_path()))]),
            ] {
                let error = no_two_alike(&written, &read).expect_err("one file");
                assert_eq!(error.exit_code(), 2);
                let line = error.to_string();
                assert!(line.starts_with("--out and --report: both are ") && !line.contains('\n'), "{line}");
            }
        }
        assert_eq!(std::fs::read_to_string(at("there")).expect("still there"), "mine");
        let (new, there, null) = (at("new"), at("there"), PathBuf::from("/dev/null"));
        let fine = [("--out", Some(new.as_path())), ("--report", Some(there.as_path())), ("--junit", None)];
        no_two_alike(&fine, &[]).expect("two files");
        no_two_alike(&[("--out", Some(&null)), ("--junit", Some(&null))], &[]).expect("a device is for all");
        // What is only read may be read twice.
        no_two_alike(&[], &[("a", Some(&there)), ("b", Some(&there))]).expect("nothing is written");
    }
}
