//! Landlock: which files the process can still open, and that it can make no connection.

use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetStatus, Scope,
};

use super::{Needs, folder};

/// The newest version that is asked for: network since 4, signals and abstract sockets since 6.
const NEWEST: ABI = ABI::V6;

/// Puts it in force for this thread and those it starts. `false`: only in part, because the kernel's Landlock is older.
pub fn restrict(needs: &Needs) -> Result<bool, String> {
    put_in_force(needs).map_err(|error| error.to_string()).and_then(|status| match status {
        RulesetStatus::FullyEnforced => Ok(true),
        RulesetStatus::PartiallyEnforced => Ok(false),
        RulesetStatus::NotEnforced => Err("this kernel has no Landlock".to_owned()),
    })
}

fn put_in_force(needs: &Needs) -> Result<RulesetStatus, landlock::RulesetError> {
    let mut ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(NEWEST))?
        .handle_access(AccessNet::from_all(NEWEST))?
        .scope(Scope::AbstractUnixSocket | Scope::Signal)?
        .create()?;
    // A file that is replaced is written beside and renamed.
    let file = AccessFs::WriteFile | AccessFs::Truncate;
    let beside = file | AccessFs::MakeReg | AccessFs::RemoveFile;
    // Whatever stands at the path itself: a FIFO, a device, what a symbolic link points to.
    let written = needs.written.iter().map(|path| (path.as_path(), file));
    let folders = needs.written.iter().filter(|path| !is_device(path)).map(|path| (folder(path), beside));
    let rules = written.filter(|(path, _)| !path.is_dir()).chain(folders);
    let rules = rules.chain(needs.read.iter().map(|file| (file.as_path(), AccessFs::ReadFile.into())));
    let rules = rules.chain(needs.sockets.iter().map(|file| (folder(file), AccessFs::RemoveFile.into())));
    for (path, access) in rules {
        // What is not there cannot be opened either.
        if let Ok(place) = PathFd::new(path) {
            ruleset = ruleset.add_rule(PathBeneath::new(place, access))?;
        }
    }
    Ok(ruleset.restrict_self()?.ruleset)
}

/// `/dev/null` is a place to write to; the rest of `/dev` is not, and nothing is made beside it.
fn is_device(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|metadata| {
        let kind = metadata.file_type();
        kind.is_char_device() || kind.is_block_device()
    })
}
