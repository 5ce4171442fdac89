//! The driver's modules stand in layers: read from the sources, for the compiler lets any module use any
//! other.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// A module of the driver, and the others that it uses.
type Uses = BTreeMap<String, BTreeSet<String>>;

/// Every source file of the driver's library: its path below `src`, and its text.
fn sources() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut folders, mut files) = (vec![root.clone()], vec![]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("the sources") {
            let path = entry.expect("a file").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let text = std::fs::read_to_string(&path).expect("a source");
                files.push((path.strip_prefix(&root).expect("below src").to_owned(), text));
            }
        }
    }
    assert!(files.len() > 50, "the sources are not where they were");
    files
}

/// The code of a file without comments, and what follows `word` in it, up to what is no name.
fn names_after<'a>(text: &'a str, word: &'a str) -> impl Iterator<Item = &'a str> {
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    code.flat_map(move |line| line.split(word).skip(1)).map(|rest| {
        let end = rest.find(|letter: char| !letter.is_alphanumeric() && letter != '_');
        end.and_then(|end| rest.get(..end)).unwrap_or(rest)
    })
}

#[test]
fn only_the_module_of_the_ringwave_card_knows_its_registers() {
    for (path, text) in sources() {
        let inside = path.starts_with("hw/ringwave") || path == Path::new("hw/ringwave.rs");
        // It answers as a card, for tests.
        let is_card = path == Path::new("hostile_card.rs");
        assert!(inside || is_card || !text.contains("ringwave_regs"), "{}", path.display());
    }
}

#[test]
fn hw_knows_neither_portcls_nor_another_module_of_the_driver() {
    for (path, text) in sources().iter().filter(|(path, _)| path.starts_with("hw")) {
        assert!(!text.contains("portcls_sys"), "{}", path.display());
        for module in names_after(text, "crate::") {
            assert_eq!(module, "hw", "{}", path.display());
        }
    }
}

#[test]
fn no_module_uses_one_that_uses_it() {
    let mut graph = Uses::new();
    // What only tests use is no part of the house.
    let is_test =
        |path: &Path| ["tests", "fixture", "fake"].iter().any(|word| path.to_string_lossy().contains(word));
    for (path, text) in sources().iter().filter(|(path, _)| !is_test(path)) {
        let first = path.components().next().unwrap().as_os_str().to_string_lossy();
        let module = first.trim_end_matches(".rs").to_owned();
        let code = text.split("\n#[cfg(test)]\nmod tests").next().unwrap();
        let used = names_after(code, "crate::").filter(|used| *used != module).map(str::to_owned);
        graph.entry(module.clone()).or_default().extend(used);
    }
    // Takes away what uses nothing that is left, until nothing changes: a circle is left.
    loop {
        let left: BTreeSet<String> = graph.keys().cloned().collect();
        let bottom: Vec<String> = graph
            .iter()
            .filter(|(_, used)| used.is_disjoint(&left))
            .map(|(module, _)| module.clone())
            .collect();
        if bottom.is_empty() {
            break;
        }
        graph.retain(|module, _| !bottom.contains(module));
    }
    assert!(graph.is_empty(), "a circle among {graph:?}");
}
