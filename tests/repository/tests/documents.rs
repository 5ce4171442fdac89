//! The documents can be believed: what is cited is here, and what they name exists.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use ringwave_repository::{root, text_files};

/// Words between single backticks, outside of blocks of code.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    let prose = text.split("```").step_by(2);
    prose.flat_map(|part| part.lines().flat_map(|line| line.split('`').skip(1).step_by(2)))
}

/// The section numbers of a document: `## 4. The stream`, `### 4.7 Packets`.
fn sections(path: &str) -> BTreeSet<String> {
    let text = fs::read_to_string(root().join(path)).expect("the document is there");
    let headings = text.lines().filter_map(|line| line.strip_prefix("##"));
    let numbers = headings.filter_map(|line| line.trim_start_matches('#').split_whitespace().next());
    numbers.map(|number| number.trim_end_matches('.').to_owned()).collect()
}

/// The section numbers after each mention of a document: `NAME 3, 6.2 and 7`, `NAME 4.3 to 4.7`.
fn cited(text: &str, name: &str) -> Vec<String> {
    let mut all = Vec::new();
    for (at, _) in text.match_indices(name) {
        let mut rest = &text[at + name.len()..];
        while let Some(after) = [" ", ", ", " and ", " to "].iter().find_map(|word| rest.strip_prefix(word)) {
            let end = after.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(after.len());
            let number = after[..end].trim_end_matches('.');
            if number.is_empty() {
                break;
            }
            all.push(number.to_owned());
            rest = &after[number.len()..];
        }
    }
    all
}

#[test]
fn nothing_cites_what_is_not_in_the_repository() {
    // In pieces, or this file would be the one that does.
    let names = ["wavert-fa_cts", "windows-ob_served", "hda-fa_cts", "virtio-snd-fa_cts", "proven-pa_ths"];
    let names = names.into_iter().chain(["house deci_sion", "hou_se.md", "../sha_red/"]);
    let names: Vec<String> = names.map(|name| name.replace('_', "")).collect();
    for (file, text) in text_files() {
        for name in &names {
            assert!(!text.contains(name.as_str()), "{file} cites {name}, which a reader cannot open");
        }
    }
}

#[test]
fn every_section_that_is_cited_exists() {
    for (document, name) in [("driver/WAVERT.md", "WAVERT.md"), ("device/DATASHEET.md", "DATASHEET")] {
        let there = sections(document);
        let mut found = 0;
        for (file, text) in text_files() {
            for number in cited(&text, name) {
                assert!(there.contains(&number), "{file} cites {name} {number}, which has no heading");
                found += 1;
            }
        }
        assert!(found > 80, "{name}: only {found} citations found");
    }
}

#[test]
fn every_fact_about_windows_names_a_page_that_is_listed() {
    let text = fs::read_to_string(root().join("driver/WAVERT.md")).expect("WAVERT.md is there");
    let (facts, pages) = text.split_once("\n## Microsoft's pages\n").expect("the list of pages");
    let mut listed = BTreeSet::new();
    for line in pages.lines().filter(|line| !line.is_empty()) {
        let (name, address) = line.split_once("]: ").expect("[name]: address");
        assert!(address.starts_with("https://learn.microsoft.com/windows-hardware/drivers/"), "{line}");
        assert!(listed.insert(name.trim_start_matches('[').to_owned()), "{name} is listed twice");
    }
    let facts = facts.replace('\n', " ");
    let used = facts.split('[').skip(1).filter_map(|part| part.split_once(']'));
    let used: BTreeSet<String> = used
        .filter(|(_, after)| !after.starts_with('('))
        .map(|(name, _)| name.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    assert_eq!(used, listed);
}

#[test]
fn every_fact_about_windows_has_a_source_or_is_a_doubt() {
    let text = fs::read_to_string(root().join("driver/WAVERT.md")).expect("WAVERT.md is there");
    let (facts, _) = text.split_once("\n## 9 ").expect("the open doubts");
    let words = ["header", "sample", "seen", "HLK", "general", "measured", "our decision"];
    // A fact is an item of a list; what is indented below it is part of it or an item of its own.
    let mut fact = String::new();
    for line in facts.lines().chain([""]) {
        let item = line.trim_start();
        if fact.is_empty() || item.is_empty() || item.starts_with("* ") {
            let page = fact.split('[').skip(1).any(|part| part.starts_with(|c: char| c.is_ascii_uppercase()));
            let named = fact.split('(').skip(1).any(|part| words.iter().any(|word| part.contains(word)));
            assert!(fact.is_empty() || page || named || fact.contains("*doubt*"), "no source: {fact}");
            fact.clear();
        }
        if item.starts_with("* ") || !fact.is_empty() {
            fact.push_str(item);
            fact.push(' ');
        }
    }
}

/// A path, perhaps with a test behind it: `device/tests/card/dma.rs::name`. None for what only looks like
/// one.
fn path(word: &str) -> Option<&str> {
    let path = word.split("::").next()?;
    let plain = path.bytes().all(|c| c.is_ascii_alphanumeric() || b"/._-".contains(&c));
    (plain && path.contains('/') && !path.starts_with('/')).then_some(path)
}

#[test]
fn every_path_and_test_that_a_document_names_exists() {
    let root = root();
    let files = text_files();
    let ends = |file: &str, with: &str| Path::new(file).extension().is_some_and(|end| end == with);
    let code: String = files.iter().filter(|(file, _)| ends(file, "rs")).map(|(_, text)| &**text).collect();
    let mut missing = Vec::new();
    let documents = files.iter().filter(|(file, _)| ends(file, "md") && !file.starts_with("tests/foreign/"));
    for (document, text) in documents {
        let folder = root.join(document).parent().expect("a file has a folder").to_path_buf();
        let exists = |path: &str| [&folder, &root].iter().any(|base| base.join(path).exists());
        let links = text.split("](").skip(1).filter_map(|part| part.split_once(')'));
        for (link, _) in links.filter(|(link, _)| !link.contains("://") && !link.starts_with('#')) {
            let file = link.split('#').next().unwrap_or(link);
            if !folder.join(file).exists() {
                missing.push(format!("{document}: {link}"));
            }
        }
        for word in quoted(text).flat_map(str::split_whitespace) {
            if let Some(path) = path(word) {
                // Paths on the machine that runs it, and of what is built, are none of the repository's.
                let first = Path::new(path).components().next().map(|part| part.as_os_str().to_owned());
                let ours = first.is_some_and(|first| first != "target" && exists(&first.to_string_lossy()));
                if ours && !exists(path) {
                    missing.push(format!("{document}: {path}"));
                }
            }
            let test = word.rsplit("::").next().unwrap_or(word).trim_end_matches(',');
            let is_name = test.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'_');
            let named = word.contains(".rs::") || test.matches('_').count() > 3;
            if is_name && named && !code.contains(&format!("fn {test}(")) {
                missing.push(format!("{document}: the test {test}"));
            }
        }
    }
    assert!(missing.is_empty(), "not there: {missing:#?}");
}

/// A GUID in its text form.
fn is_guid(word: &str) -> bool {
    let dashes = [8, 13, 18, 23];
    let right = |(at, c): (usize, char)| if dashes.contains(&at) { c == '-' } else { c.is_ascii_hexdigit() };
    word.len() == 36 && word.chars().enumerate().all(right)
}

#[test]
fn every_guid_of_portcls_and_of_ntguests_copy_is_in_wavert_md() {
    let book =
        fs::read_to_string(root().join("driver/WAVERT.md")).expect("WAVERT.md is there").to_uppercase();
    // Names that a test of portcls-sys compares with Microsoft's metadata have their source there.
    let metadata = fs::read_to_string(root().join("driver/portcls/tests/metadata.rs")).expect("it is there");
    let compared: BTreeSet<&str> = metadata.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
    let mut found = 0;
    for (file, text) in text_files() {
        let driver = file.starts_with("driver/portcls/src/") && !file.ends_with("tests.rs");
        if !driver && file != "tests/ntguest/src/portcls/guid.rs" {
            continue;
        }
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        for line in code.lines() {
            let guids = line.split('"').filter(|word| is_guid(word));
            for guid in guids.filter(|_| !line.contains("GUID_NULL") && !line.contains("IID_NOBODY")) {
                let name = line.trim().split(' ').next().unwrap_or_default();
                let sourced = book.contains(&guid.to_uppercase()) || compared.contains(name);
                assert!(sourced, "{file}: {guid} has no source in WAVERT.md");
                found += 1;
            }
        }
    }
    assert!(found > 80, "only {found} GUIDs found");
}
