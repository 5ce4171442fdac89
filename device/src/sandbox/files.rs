//! Landlock: which files the process can still open, and that it can make no connection.

use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset,
    RulesetAttr, RulesetCreatedAttr, RulesetStatus, Scope,
};

use super::{Needs, folder};

/// The newest version that is asked for: network since 4, signals and abstract sockets since 6.
const NEWEST: ABI = ABI::V6;

/// What came of it.
#[derive(Debug)]
pub struct Restricted {
    /// All that was asked for; else only in part, because the kernel's Landlock is older.
    pub whole: bool,
    /// Paths that keep no right, and why: what serving needs there will be refused.
    pub without: Vec<(PathBuf, String)>,
}

/// Puts it in force for this thread and those it starts.
///
/// A rule that the kernel does not take is left out, and the rest is in force: fewer rights, never more.
pub fn restrict(needs: &Needs) -> Result<Restricted, String> {
    put_in_force(needs).map_err(|error| error.to_string()).and_then(|(status, without)| match status {
        RulesetStatus::FullyEnforced => Ok(Restricted { whole: true, without }),
        RulesetStatus::PartiallyEnforced => Ok(Restricted { whole: false, without }),
        RulesetStatus::NotEnforced => Err("this kernel has no Landlock".to_owned()),
    })
}

type Rule<'a> = (&'a Path, BitFlags<AccessFs>);
type Enforced = (RulesetStatus, Vec<(PathBuf, String)>);

fn put_in_force(needs: &Needs) -> Result<Enforced, landlock::RulesetError> {
    let mut ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(NEWEST))?
        .handle_access(AccessNet::from_all(NEWEST))?
        .scope(Scope::AbstractUnixSocket | Scope::Signal)?
        .create()?;
    let mut without = Vec::new();
    for (path, access) in rules(needs) {
        // What is not there cannot be opened either.
        let Ok(place) = PathFd::new(path) else { continue };
        if let Err(error) = (&mut ruleset).add_rule(PathBeneath::new(place, access)) {
            without.push((path.to_owned(), error.to_string()));
        }
    }
    Ok((ruleset.restrict_self()?.ruleset, without))
}

fn rules(needs: &Needs) -> Vec<Rule<'_>> {
    // A file that is replaced is written beside and renamed.
    let file = AccessFs::WriteFile | AccessFs::Truncate;
    let beside = file | AccessFs::MakeReg | AccessFs::RemoveFile;
    let mut rules: Vec<Rule<'_>> = Vec::new();
    for path in &needs.written {
        match kind(path) {
            // Nothing is made beside what is no file: a FIFO, a device, a pipe behind `/dev/stdout`.
            Kind::Special => rules.push((path, file)),
            // Nor beside a symbolic link: `/dev/stdout` is not a right to all of `/dev`.
            Kind::File if path.is_symlink() => rules.push((path, file)),
            Kind::File => rules.push((folder(path), beside)),
            Kind::Anonymous => {}
        }
    }
    let read = needs.read.iter().filter(|path| kind(path) != Kind::Anonymous);
    rules.extend(read.map(|path| (path.as_path(), AccessFs::ReadFile.into())));
    rules.extend(needs.read_back.iter().map(|path| (folder(path), AccessFs::ReadFile.into())));
    rules.extend(needs.sockets.iter().map(|path| (folder(path), AccessFs::RemoveFile.into())));
    rules
}

/// What stands at a path, links followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A regular file, or nothing yet.
    File,
    /// Another thing with a name: a FIFO, a device.
    Special,
    /// A pipe or socket without a name (`/dev/stdout`, `/dev/fd/N`). Landlock has no rules for these and does
    /// not restrict them (its manual: "through /proc/PID/fd/*").
    Anonymous,
}

fn kind(path: &Path) -> Kind {
    let Ok(metadata) = std::fs::metadata(path) else { return Kind::File };
    let kind = metadata.file_type();
    if kind.is_file() {
        return Kind::File;
    }
    let named = std::fs::canonicalize(path).is_ok_and(|path| path.exists());
    if (kind.is_fifo() || kind.is_socket()) && !named { Kind::Anonymous } else { Kind::Special }
}
