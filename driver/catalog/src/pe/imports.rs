//! Rules of the imports: a driver with one import that its Windows does not have is not loaded.
use super::image::Image;
use object::LittleEndian as LE;
use object::pe::{self, ImageNtHeaders64};
use object::read::pe::Import;

/// The modules a WaveRT driver may import from.
const MODULES: [&str; 4] = ["ntoskrnl.exe", "HAL.dll", "portcls.sys", "ks.sys"];

/// Why a line of a list can't be taken; each names the line's number.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AllowListError {
    /// The import stands there already.
    #[error("imports, line {line}: {module} {name} is there twice")]
    Twice {
        /// Number of the line.
        line: u32,
        /// The import's module.
        module: String,
        /// Its name.
        name: String,
    },
    /// A driver may not import from this module.
    #[error("imports, line {line}: {module} is none of {known}", known = MODULES.join(", "))]
    Module {
        /// Number of the line.
        line: u32,
        /// The module.
        module: String,
    },
    /// It is not a module and a name.
    #[error("imports, line {line}: not a module and a name: {text}")]
    Form {
        /// Number of the line.
        line: u32,
        /// What it is, without the comment.
        text: String,
    },
}

/// The imports that the oldest Windows we name is known to have.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct AllowList {
    entries: Vec<(String, String)>,
}

impl AllowList {
    /// The list of this repository, `driver/imports.allow`.
    ///
    /// # Errors
    /// As [`AllowList::parse`].
    pub fn built_in() -> Result<Self, AllowListError> {
        Self::parse(include_str!("../../../imports.allow"))
    }

    /// Reads a list: a module and a name a line, `#` begins a comment.
    ///
    /// # Errors
    /// A line with another form, a module a driver may not import from, or an import twice.
    pub fn parse(text: &str) -> Result<Self, AllowListError> {
        let mut list = Self::default();
        for (line, entry) in (1..).zip(text.lines()) {
            let entry = entry.split('#').next().unwrap_or_default();
            let words: Vec<_> = entry.split_whitespace().collect();
            match words.as_slice() {
                [] => {}
                [module, name] if MODULES.iter().any(|known| known.eq_ignore_ascii_case(module)) => {
                    let (module, name) = ((*module).to_owned(), (*name).to_owned());
                    if list.has(&module, &name) {
                        return Err(AllowListError::Twice { line, module, name });
                    }
                    list.entries.push((module, name));
                }
                [module, _] => {
                    return Err(AllowListError::Module { line, module: (*module).to_owned() });
                }
                _ => return Err(AllowListError::Form { line, text: entry.trim().to_owned() }),
            }
        }
        Ok(list)
    }

    fn has(&self, module: &str, name: &str) -> bool {
        // Windows compares modules without case and names with it.
        self.entries.iter().any(|(listed, known)| listed.eq_ignore_ascii_case(module) && known == name)
    }
}

/// By name, from kernel modules, on the list.
pub fn check(image: &Image<'_>, allowed: &AllowList) -> Vec<String> {
    let mut findings = Vec::new();
    if image.directory(pe::IMAGE_DIRECTORY_ENTRY_IMPORT).is_none() {
        return vec!["there are none: a driver that calls nobody does nothing".to_owned()];
    }
    if let Err(error) = each(image, |module, import| findings.extend(finding(module, &import, allowed))) {
        findings.push(format!("they cannot be read: {error}"));
    }
    findings
}

fn finding(module: &str, import: &Import<'_>, allowed: &AllowList) -> Option<String> {
    let known = MODULES.iter().any(|known| known.eq_ignore_ascii_case(module));
    match import {
        _ if !known => Some(format!("{module} is no module of the kernel that a sound driver imports from")),
        Import::Ordinal(number) => Some(format!("{module} by number {number}")),
        Import::Name(_, name) => {
            let name = String::from_utf8_lossy(name);
            (!allowed.has(module, &name))
                .then(|| format!("{module} {name} is not in driver/imports.allow: look up since when it exists, then add it"))
        }
    }
}

fn each(image: &Image<'_>, mut import: impl FnMut(&str, Import<'_>)) -> object::read::Result<()> {
    let Some(table) = image.directories.import_table(image.file, &image.table)? else { return Ok(()) };
    let mut modules = table.descriptors()?;
    while let Some(module) = modules.next()? {
        let name = String::from_utf8_lossy(table.name(module.name.get(LE))?);
        let names = match module.original_first_thunk.get(LE) {
            0 => module.first_thunk.get(LE),
            address => address,
        };
        let mut thunks = table.thunks(names)?;
        while let Some(thunk) = thunks.next::<ImageNtHeaders64>()? {
            import(&name, table.import::<ImageNtHeaders64>(thunk)?);
        }
    }
    Ok(())
}
