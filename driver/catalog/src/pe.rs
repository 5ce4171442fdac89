//! What a driver image must be, as rules that are checked on the finished file.
//!
//! A driver that breaks one of them is refused by Windows, stops the machine, or gives away where it was
//! built; on Linux nothing else would notice. Sources: the PE format specification; the rules of Driver
//! Verifier and HVCI ("Implement HVCI compatible code" in the WDK's documentation) for memory that is
//! writable and executable and for section alignment.
//!
//! Each rule is a function from the parsed image to findings, and has a test in which it finds something.
mod code;
mod fence;
mod headers;
mod image;
mod imports;
mod leaks;
mod relocations;
mod sections;
#[cfg(test)]
mod tests;
mod version;

pub use imports::{AllowList, AllowListError};

/// A rule.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Rule {
    /// The file is an image at all; nothing else is tried if not.
    Format,
    /// Native subsystem.
    Subsystem,
    /// The header's checksum.
    Checksum,
    /// Pages of sections.
    Alignment,
    /// Nothing is writable and executable.
    Writable,
    /// What stays is never paged.
    NotPaged,
    /// INIT.
    Init,
    /// What is thrown away after the start.
    Discarded,
    /// Relocations.
    Relocations,
    /// Imports.
    Imports,
    /// No AVX.
    Avx,
    /// MFENCE where the mark page needs it.
    Fence,
    /// No `.retplne`.
    Retplne,
    /// The version resource.
    Version,
    /// Nothing behind the sections.
    Overlay,
    /// No paths of the machine it was built on.
    Paths,
}

impl Rule {
    /// Its short name.
    pub fn name(self) -> &'static str {
        self.words().0
    }

    /// What it demands, in one line.
    pub fn meaning(self) -> &'static str {
        self.words().1
    }

    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Format => {
                ("format", "a 64-bit image for x64 without parts that the kernel's loader ignores")
            }
            Self::Subsystem => ("subsystem", "native, for Windows 10, no-execute, relocatable"),
            Self::Checksum => ("checksum", "the header's checksum is that of the file"),
            Self::Alignment => (
                "alignment",
                "sections on pages of 4096 bytes, one after the other, in memory and in the file",
            ),
            Self::Writable => ("writable", "no section is both writable and executable"),
            Self::NotPaged => ("not-paged", "every section that stays in memory says NOT_PAGED"),
            Self::Init => ("init", "the entry point is in INIT, which is code and discardable"),
            Self::Discarded => {
                ("discarded", "only INIT and .reloc are discardable, and nothing that stays refers to them")
            }
            Self::Relocations => ("relocations", "present, 64-bit, each of a pointer into the image"),
            Self::Imports => ("imports", "by name, from kernel modules, known in the oldest Windows we name"),
            Self::Avx => ("avx", "no AVX: the kernel does not save its registers for a driver"),
            Self::Fence => ("fence", "MFENCE between the store to the mark page and the load of WAITING"),
            Self::Retplne => ("retplne", "no .retplne section"),
            Self::Version => ("version", "a version resource that says driver, and which version"),
            Self::Overlay => ("overlay", "nothing behind the sections but signatures"),
            Self::Paths => ("paths", "no paths of the machine it was built on"),
        }
    }
}

/// Every rule that was tried, with what it found; nothing found is a rule that is kept.
pub type Report = Vec<(Rule, Vec<String>)>;

/// Tries every rule on a driver image. `forbidden` are texts that must not be in the file, beyond the usual
/// ones.
///
/// A file that is no image gets a report of one rule, [`Rule::Format`], broken.
pub fn check(file: &[u8], allowed: &AllowList, forbidden: &[String]) -> Report {
    let image = match image::Image::parse(file) {
        Ok(image) => image,
        Err(error) => return vec![(Rule::Format, vec![error.to_string()])],
    };
    vec![
        (Rule::Format, headers::format(&image)),
        (Rule::Subsystem, headers::subsystem(&image)),
        (Rule::Checksum, headers::checksum(&image)),
        (Rule::Alignment, sections::alignment(&image)),
        (Rule::Writable, sections::writable(&image)),
        (Rule::NotPaged, sections::not_paged(&image)),
        (Rule::Init, sections::init(&image)),
        (Rule::Discarded, sections::discarded(&image)),
        (Rule::Relocations, relocations::check(&image)),
        (Rule::Imports, imports::check(&image, allowed)),
        (Rule::Avx, code::check(&image)),
        (Rule::Fence, fence::check(&image)),
        (Rule::Retplne, sections::retplne(&image)),
        (Rule::Version, version::check(&image)),
        (Rule::Overlay, sections::overlay(&image)),
        (Rule::Paths, leaks::check(&image, forbidden)),
    ]
}
