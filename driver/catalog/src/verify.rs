//! Compares a catalog with the files it is for: what Windows does when it installs a package, and stricter.
//!
//! Stricter: Windows looks a file's hash up and is content if one member has it; here every file must have
//! both members, under its own name, and every member must belong to a file. The signature is not this
//! module's: `osslsigncode verify` checks it.
use crate::asn1;
use crate::authenticode::PeError;
use crate::digest::{Kind, hashes, hex};
use crate::read::{Catalog, Member};

/// The first thing that is wrong with a catalog for its files.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Mismatch {
    /// The file is not what was catalogued.
    #[error("{file} is not the file in the catalog: its {algorithm} is {found}, the catalog has {listed}")]
    Hash {
        /// The file's name.
        file: String,
        /// The hash's name.
        algorithm: &'static str,
        /// The file's hash.
        found: String,
        /// The catalog's.
        listed: String,
    },
    /// No member has the file's name.
    #[error("{0} is not in the catalog")]
    NotListed(String),
    /// A member of one of the two hashes is missing.
    #[error("{file} has no {algorithm} member in the catalog")]
    NoMember {
        /// The file's name.
        file: String,
        /// The missing hash's name.
        algorithm: &'static str,
    },
    /// The file is a program and catalogued as something else, or the other way round.
    #[error("{file} is {}, the catalog has it as {}", said(Some(*.found)), said(*.listed))]
    Kind {
        /// The file's name.
        file: String,
        /// What it is.
        found: Kind,
        /// What the catalog says, if it says anything known.
        listed: Option<Kind>,
    },
    /// The SHA-256 member does not repeat its hash in Authenticode's form, or another hash.
    #[error("the Authenticode digest of {0} in the catalog is missing or not that of its member")]
    Digest(String),
    /// A member that no given file has the name of.
    #[error("the catalog also lists {0}, which was not given")]
    NotGiven(String),
    /// A member without a file name.
    #[error("the catalog has a member without a file name: {0}")]
    Nameless(String),
    /// The file cannot be hashed.
    #[error("{file}: {source}")]
    Program {
        /// The file's name.
        file: String,
        /// What is wrong with it.
        source: PeError,
    },
}

fn said(kind: Option<Kind>) -> &'static str {
    match kind {
        Some(Kind::Pe) => "a program",
        Some(Kind::Flat) => "no program",
        None => "something unknown",
    }
}

/// Checks that the catalog is for exactly these files, each a name without folders and all its bytes.
///
/// # Errors
/// The first difference: of the files in their order, then of the catalog's members in theirs.
pub fn verify(catalog: &Catalog, files: &[(&str, &[u8])]) -> Result<(), Mismatch> {
    for (name, bytes) in files {
        file(catalog, name, bytes)?;
    }
    for member in &catalog.members {
        let mut listed = member.files().peekable();
        if listed.peek().is_none() {
            return Err(Mismatch::Nameless(hex(&member.identifier)));
        }
        if let Some(name) =
            listed.find(|name| !files.iter().any(|(given, _)| given.eq_ignore_ascii_case(name)))
        {
            return Err(Mismatch::NotGiven(name.to_owned()));
        }
    }
    Ok(())
}

fn file(catalog: &Catalog, name: &str, bytes: &[u8]) -> Result<(), Mismatch> {
    let found = hashes(bytes).map_err(|source| Mismatch::Program { file: name.to_owned(), source })?;
    let named = |member: &&Member| member.files().any(|listed| listed.eq_ignore_ascii_case(name));
    let members: Vec<&Member> = catalog.members.iter().filter(named).collect();
    if members.is_empty() {
        return Err(Mismatch::NotListed(name.to_owned()));
    }
    for (algorithm, hash) in [("SHA-256", &found.sha256[..]), ("SHA-1", &found.sha1[..])] {
        // An identifier of a third length is compared with SHA-256, and differs.
        let mut same_length =
            members.iter().filter(|member| (member.identifier.len() == 20) == (hash.len() == 20)).peekable();
        if same_length.peek().is_none() {
            return Err(Mismatch::NoMember { file: name.to_owned(), algorithm });
        }
        for member in same_length {
            one(member, name, algorithm, hash, found.kind)?;
        }
    }
    Ok(())
}

fn one(
    member: &Member,
    name: &str,
    algorithm: &'static str,
    hash: &[u8],
    kind: Kind,
) -> Result<(), Mismatch> {
    if member.identifier != hash {
        let (found, listed) = (hex(hash), hex(&member.identifier));
        return Err(Mismatch::Hash { file: name.to_owned(), algorithm, found, listed });
    }
    if member.kind != Some(kind) {
        return Err(Mismatch::Kind { file: name.to_owned(), found: kind, listed: member.kind });
    }
    let made_of = match kind {
        Kind::Pe => asn1::SPC_PE_IMAGE_DATA,
        Kind::Flat => asn1::SPC_CAB_DATA,
    };
    // Microsoft's catalogs have it in the SHA-256 member only.
    let right = match &member.digest {
        Some((data, algorithm, digest)) => {
            *data == made_of && *algorithm == asn1::SHA256 && digest.as_slice() == hash
        }
        None => hash.len() == 20,
    };
    if right { Ok(()) } else { Err(Mismatch::Digest(name.to_owned())) }
}
