//! Rule of the paths: nothing in the file says where and by whom it was built; that would also make two
//! builds differ.
use super::image::Image;
use crate::authenticode::read_u32;
use object::pe;

/// Beginnings and parts of paths that only a machine's own folders have. (`/rustc/<commit>/` is not among
/// them: the compiler puts it in place of its own sources' path, the same everywhere.)
const PLACES: [&str; 17] = [
    "/home/",
    "/root/",
    "/tmp/",
    "/work/",
    "/usr/",
    "/var/",
    "/opt/",
    "/mnt/",
    "/srv/",
    "/build/",
    "/builds/",
    "/workspace",
    "/Users/",
    "/private/",
    "/.cargo/",
    "/.rustup/",
    "registry/src/",
];

/// The shortest text that is looked at, in characters.
const SHORTEST: usize = 5;

/// No paths in the file's texts, and the symbols' file is named without folders.
pub fn check(image: &Image<'_>, forbidden: &[String]) -> Vec<String> {
    let mut findings = Vec::new();
    for text in texts(image.file) {
        let place = PLACES.iter().find(|place| text.contains(**place)).map(|place| (*place).to_owned());
        let drive = || windows_path(&text).then(|| "a drive".to_owned());
        if let Some(what) = place.or_else(drive) {
            findings.push(format!("{what} in the text {text}"));
        }
    }
    for text in forbidden.iter().filter(|text| !text.is_empty()) {
        let wide: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        if has(image.file, text.as_bytes()) || has(image.file, &wide) {
            findings.push(format!("the forbidden text {text}"));
        }
    }
    findings.extend(symbols_file(image));
    findings
}

fn has(file: &[u8], text: &[u8]) -> bool {
    file.windows(text.len()).any(|window| window == text)
}

/// The visible texts of the file, in ASCII and in UTF-16.
fn texts(file: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    runs(file.iter().map(|byte| u16::from(*byte)), &mut found);
    for start in 0..2 {
        let units = file.get(start..).unwrap_or_default().chunks_exact(2);
        runs(units.filter_map(|two| two.try_into().ok()).map(u16::from_le_bytes), &mut found);
    }
    found
}

fn runs(units: impl Iterator<Item = u16>, found: &mut Vec<String>) {
    let mut run = String::new();
    for unit in units.chain([0]) {
        match u8::try_from(unit) {
            Ok(byte) if byte.is_ascii_graphic() || byte == b' ' => run.push(char::from(byte)),
            _ if run.len() >= SHORTEST => found.push(std::mem::take(&mut run)),
            _ => run.clear(),
        }
    }
}

/// A drive's letter, a colon, a separator and two more letters or digits, not within a word.
fn windows_path(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.windows(5).enumerate().any(|(at, window)| {
        let [letter, colon, separator, rest @ ..] = window else { return false };
        let first = at
            .checked_sub(1)
            .and_then(|before| bytes.get(before))
            .is_none_or(|before| !before.is_ascii_alphanumeric());
        first
            && letter.is_ascii_alphabetic()
            && *colon == b':'
            && matches!(separator, b'\\' | b'/')
            && rest.iter().all(|byte| byte.is_ascii_alphanumeric() || b"_-. \\/".contains(byte))
    })
}

/// The debug directory names the file with the symbols; a debugger looks it up by name and signature.
fn symbols_file(image: &Image<'_>) -> Option<String> {
    image.directory(pe::IMAGE_DIRECTORY_ENTRY_DEBUG)?;
    let Some(entries) = image.directory_data(pe::IMAGE_DIRECTORY_ENTRY_DEBUG) else {
        return Some("the debug directory is not in the file".to_owned());
    };
    // Entries of 28 bytes: type at 12, size at 16, offset in the file at 24.
    for entry in entries.chunks_exact(28) {
        if read_u32(entry, 12) != Some(pe::IMAGE_DEBUG_TYPE_CODEVIEW.0) {
            continue;
        }
        let range = read_u32(entry, 24).zip(read_u32(entry, 16));
        let record = range.and_then(|(at, size)| image.file.get(at as usize..)?.get(..size as usize));
        // "RSDS", a GUID, an age, then the name.
        let name = record.filter(|record| record.starts_with(b"RSDS")).and_then(|record| record.get(24..));
        let Some(name) = name else { return Some("the debug directory cannot be read".to_owned()) };
        let name = String::from_utf8_lossy(name.split(|byte| *byte == 0).next().unwrap_or_default());
        if name.contains(['/', '\\']) {
            return Some(format!("the symbols' file has a folder: {name}"));
        }
    }
    None
}
