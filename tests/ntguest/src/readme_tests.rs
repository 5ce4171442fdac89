//! README.md says all that it promises: every rule has its row and every row its rule, what is harsher than
//! Windows is marked, the tests that a row names exist, and so do the keys of ntguest.cfg. The rules are
//! found in the sources, as they are now.

use alloc::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::{kernel, portcls};

const README: &str = include_str!("../README.md");
/// Calls whose first argument is a rule. `violation(` is the end of `harsh_violation(` too.
const CALLS: [&str; 5] = ["violation(", "fatal(", "fail(", "report(", "rule: "];
/// Where a rule is not written in such a call: the file, and the words before and after a piece of it whose
/// literals are rules.
const ELSEWHERE: [(&str, &str, &str); 12] = [
    ("kernel/verdict.rs", "let left = [", "];"),
    ("kernel/fault.rs", "const NAMES", "];"),
    ("kernel/fault.rs", "fn rule(", "\n}"),
    ("kernel/pool.rs", "fn fault_rule(", "\n}"),
    ("kernel/pages.rs", "fn fault_rule(", "\n}"),
    ("kernel/pages.rs", "let rule = ", ";"),
    ("kernel/image.rs", "fn fault_rule(", "\n}"),
    ("client/controls/level.rs", "fn rule(", "\n    }"),
    ("client/controls/together.rs", "fn rule(", "\n}"),
    ("client/hw_register.rs", "let rule = match", "};"),
    ("client/drm.rs", "const RULE", ";"),
    ("client/default_format.rs", "let (rule, plain) =", ";"),
];
/// Files that hand on a rule which another names. Every other file with a rule that is no literal has to be
/// in `ELSEWHERE`.
const HANDED_ON: [&str; 5] = [
    "kernel/harsh.rs",
    "kernel/verdict.rs",
    "portcls/report.rs",
    "client/player.rs",
    "client/controls/settings.rs",
];

/// A row of the table of rules.
struct Row {
    meaning: &'static str,
    source: &'static str,
    test: &'static str,
    /// Whether a driver that was not written for ntguest has met it.
    foreign: &'static str,
}

fn section(heading: &str) -> &'static str {
    let (_, text) = README.split_once(&format!("\n## {heading}\n")).expect("the heading is there");
    text.split("\n## ").next().unwrap_or(text)
}

/// First cells, in backticks, and the rest of every row of the tables of a section.
fn rows(heading: &str) -> impl Iterator<Item = (&'static str, Vec<&'static str>)> {
    section(heading).lines().filter_map(|line| {
        let (name, rest) = line.strip_prefix("| `")?.split_once("` | ")?;
        Some((name, rest.strip_suffix(" |").expect("a row ends with |").split(" | ").collect()))
    })
}

fn documented() -> BTreeMap<&'static str, Row> {
    let mut all = BTreeMap::new();
    for (name, cells) in rows("Rules") {
        let [meaning, source, test, foreign] = cells[..] else { panic!("{name}: {} cells", cells.len() + 1) };
        assert!(all.insert(name, Row { meaning, source, test, foreign }).is_none(), "{name} has two rows");
    }
    all
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Every source file below a folder by its path there, without comments and without its own tests. Self-tests
/// break rules, they make none.
fn sources(folder: &Path) -> BTreeMap<String, String> {
    let (mut files, mut folders) = (BTreeMap::new(), vec![folder.to_path_buf()]);
    while let Some(at) = folders.pop() {
        for entry in fs::read_dir(&at).expect("a folder of sources") {
            let path = entry.expect("an entry").path();
            let name = path.strip_prefix(folder).expect("below").to_string_lossy().replace('\\', "/");
            if path.is_dir() && !name.ends_with("selftest") {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") && !name.ends_with("_tests.rs") {
                let text = read(&path);
                let own = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
                let code = own.lines().filter(|line| !line.trim_start().starts_with("//"));
                files.insert(name, code.collect::<Vec<_>>().join("\n"));
            }
        }
    }
    files
}

/// Small letters, digits and hyphens, as rules are written.
fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-')
}

/// The rule that begins a text; none if it is no literal.
fn literal(text: &str) -> Option<&str> {
    let (name, _) = text.trim_start().strip_prefix('"')?.split_once('"')?;
    is_name(name).then_some(name)
}

/// The rules that ntguest has, and those which it has through `harsh_violation` alone or too.
fn rules() -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut all, mut harsh) = (BTreeSet::new(), BTreeSet::new());
    let sources = sources(&root());
    for (file, text) in &sources {
        for call in CALLS {
            for (at, _) in text.match_indices(call) {
                let (before, argument) = (&text[..at], &text[at + call.len()..]);
                let (is_harsh, is_definition) = (before.ends_with("harsh_"), before.ends_with("fn "));
                if let Some(rule) = literal(argument) {
                    all.insert(rule.to_owned());
                    if is_harsh {
                        harsh.insert(rule.to_owned());
                    }
                } else if ["violation(", "fatal("].contains(&call) && !is_definition {
                    let listed = HANDED_ON.iter().chain(ELSEWHERE.iter().map(|(file, ..)| file));
                    let known = listed.into_iter().any(|known| known == file);
                    // `fn harsh_violation(` and functions whose names end like it.
                    let named = before.ends_with("fn harsh_") || before.ends_with("raise_access_");
                    assert!(
                        known || named,
                        "{file}: a rule that is no literal: {:.60}",
                        argument.trim_start()
                    );
                }
            }
        }
    }
    for (file, from, to) in ELSEWHERE {
        let (_, text) = sources[file].split_once(from).unwrap_or_else(|| panic!("{file}: no {from:?}"));
        let (text, _) = text.split_once(to).unwrap_or_else(|| panic!("{file}: no {to:?} after {from:?}"));
        let found = text.split('"').skip(1).step_by(2).filter(|word| is_name(word));
        all.extend(found.map(str::to_owned));
    }
    (all, harsh)
}

/// Rules of the programs that start ntguest: they write `rule=name detail` themselves.
fn host_rules() -> BTreeSet<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../qemu-scripts/runner/src");
    let mut all = BTreeSet::new();
    for text in sources(&folder).values() {
        let named = text.split("\"rule=").skip(1).filter_map(|rest| rest.split(' ').next());
        all.extend(named.filter(|name| is_name(name)).map(str::to_owned));
    }
    all
}

#[test]
fn every_rule_has_a_row_and_every_row_a_rule() {
    let (mut rules, _) = rules();
    assert!(
        rules.len() > 200 && ["pool-leak", "x87", "mdl-freed", "volume"].iter().all(|r| rules.contains(*r))
    );
    rules.extend(host_rules());
    let documented: BTreeSet<String> = documented().into_keys().map(str::to_owned).collect();
    let missing: Vec<_> = rules.difference(&documented).collect();
    assert!(missing.is_empty(), "no row in README.md: {missing:?}");
    let unknown: Vec<_> = documented.difference(&rules).collect();
    assert!(unknown.is_empty(), "rows of README.md without a rule: {unknown:?}");
}

#[test]
fn what_is_harsher_than_windows_is_marked() {
    let (_, harsh) = rules();
    assert!(harsh.contains("pool-executable"), "{harsh:?}");
    let documented = documented();
    for rule in &harsh {
        let row = &documented[rule.as_str()];
        assert!(row.meaning.contains("harsher than Windows"), "{rule}: {}", row.meaning);
    }
    for (rule, row) in &documented {
        assert!(!row.meaning.is_empty() && !row.source.is_empty(), "{rule}");
        assert!(["broken", "met", "any code", "no"].contains(&row.foreign), "{rule}: {}", row.foreign);
    }
}

/// Names of the self-tests that can be booted alone, and the cases of the others with the rules that
/// they break.
fn selftests() -> (BTreeSet<String>, BTreeMap<String, String>) {
    let names = |table: &str| -> Vec<String> {
        let text = read(&root().join("kernel/selftest").join(table));
        let lines = text.lines().filter(|line| line.starts_with("    (\""));
        lines.filter_map(|line| line.split('"').nth(1)).map(str::to_owned).collect()
    };
    let kernel = ["rules.rs", "service_rules.rs", "processors.rs"].into_iter().flat_map(names).collect();
    let one_boot =
        ["rules_one_boot.rs", "memory_rules.rs", "left_behind_rules.rs", "fault_rules.rs"].into_iter();
    let one_boot = one_boot.flat_map(names).map(|rule| (rule.clone(), rule));
    let text = read(&root().join("portcls/selftest/cases.rs"));
    let lines = text.lines().filter(|line| line.starts_with("    (\"pc-"));
    let cases = lines.map(|line| {
        let words: Vec<&str> = line.split('"').skip(1).step_by(2).take(2).collect();
        let [case, rule] = words[..] else { panic!("a case and its rule are one line: {line}") };
        (case.to_owned(), rule.to_owned())
    });
    (kernel, cases.chain(one_boot).collect())
}

#[test]
fn the_tests_that_rows_name_are_there_and_none_is_forgotten() {
    let (kernel, portcls) = selftests();
    assert!(kernel.len() > 30 && portcls.len() > 20);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let streams = read(&folder.join("tests/stream_rules.rs"));
    let documented = documented();
    for (rule, row) in &documented {
        let terms: Vec<&str> = row.test.split('`').skip(1).step_by(2).collect();
        let untested = row.test.starts_with("none: ");
        assert!(terms.is_empty() == untested, "{rule}: {}", row.test);
        for term in &terms {
            let right = if let Some(name) = term.strip_prefix("selftest=") {
                name == *rule && kernel.contains(name)
            } else if let Some(name) = term.strip_prefix("case ") {
                portcls.get(name).is_some_and(|broken| broken == rule)
            } else if let Some(name) = term.strip_prefix("fault=") {
                let of_e2e = terms.iter().filter(|term| term.starts_with("e2e/"));
                let mut texts = of_e2e.map(|file| read(&folder.join("..").join(file)));
                // A list of faults may go on in the next line.
                let is_name = |word: &str| word.trim_start_matches(['\\', '\n', ' ']) == name;
                let named = |text: &str| text.split(['"', ',', '=']).any(is_name);
                portcls::fault::parse(name).is_some() && (named(&streams) || texts.any(|text| named(&text)))
            } else {
                ["", "..", "../.."].iter().any(|up| folder.join(up).join(term).is_file())
            };
            assert!(right, "{rule}: there is no test `{term}` that breaks it");
        }
    }
    let names = |rule: &str, term: String| documented.get(rule).is_some_and(|row| row.test.contains(&term));
    for rule in &kernel {
        assert!(names(rule, format!("`selftest={rule}`")), "{rule}: its self-test is not in its row");
    }
    for (case, rule) in &portcls {
        assert!(names(rule, format!("`case {case}`")), "{rule}: {case} is not in its row");
    }
}

#[test]
fn every_key_of_the_configuration_is_explained_and_no_other() {
    let keys: BTreeSet<&str> = kernel::cfg::KERNEL_KEYS.iter().chain(portcls::CFG_KEYS).copied().collect();
    let explained: BTreeSet<&str> =
        rows("ntguest.cfg").map(|(key, _)| key.strip_suffix('=').expect("a key ends with =")).collect();
    let open = explained.iter().filter(|key| key.starts_with("reg.")).count();
    assert_eq!(open, 1, "reg.NAME= is one row");
    let explained: BTreeSet<&str> = explained.into_iter().filter(|key| !key.starts_with("reg.")).collect();
    assert_eq!(keys, explained);
}
