//! Rules of the imports: a driver with one import that its Windows does not have is not loaded.
use super::image::Image;
use object::LittleEndian as LE;
use object::pe::{self, ImageNtHeaders64};
use object::read::pe::Import;

/// The modules a WaveRT driver may import from.
const MODULES: [&str; 4] = ["ntoskrnl.exe", "HAL.dll", "portcls.sys", "ks.sys"];

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
    pub fn built_in() -> Result<Self, String> {
        Self::parse(include_str!("../../../imports.allow"))
    }

    /// Reads a list: a module and a name a line, `#` begins a comment.
    ///
    /// # Errors
    /// A line with another form, a module a driver may not import from, or an import twice; the text has the
    /// line's number.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut list = Self::default();
        for (number, line) in (1..).zip(text.lines()) {
            let entry = line.split('#').next().unwrap_or_default();
            let words: Vec<_> = entry.split_whitespace().collect();
            match words.as_slice() {
                [] => {}
                [module, name] if MODULES.iter().any(|known| known.eq_ignore_ascii_case(module)) => {
                    if list.has(module, name) {
                        return Err(format!("imports, line {number}: {module} {name} is there twice"));
                    }
                    list.entries.push(((*module).to_owned(), (*name).to_owned()));
                }
                [module, _] => {
                    return Err(format!(
                        "imports, line {number}: {module} is none of {}",
                        MODULES.join(", ")
                    ));
                }
                _ => {
                    return Err(format!("imports, line {number}: not a module and a name: {}", entry.trim()));
                }
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
