//! PowerShell that runs only in Windows can be read: every script, and what the .cmd files hand to
//! `powershell`. No PowerShell runs here; a syntax error would be seen in a guest, an hour later.

use std::fs;
use std::path::Path;

use ringwave_repository::{root, text_files};
use tree_sitter::{Node, Parser};

/// The first thing in `text` that is no PowerShell: its line, or the one after it, and what stands there.
fn syntax_error(text: &str) -> Option<(usize, String)> {
    let mut parser = Parser::new();
    parser.set_language(&tree_sitter_powershell::LANGUAGE.into()).expect("the grammar fits the parser");
    let tree = parser.parse(text, None).expect("no limit is set");
    let mut node = tree.root_node();
    if !node.has_error() {
        return None;
    }
    // Down to the innermost that is wrong.
    while let Some(child) = first_wrong(node) {
        node = child;
    }
    let line = node.start_position().row;
    Some((line + 1, text.lines().nth(line).unwrap_or_default().trim().to_owned()))
}

fn first_wrong(node: Node<'_>) -> Option<Node<'_>> {
    let mut cursor = node.walk();
    node.children(&mut cursor).find(|child| child.has_error() || child.is_missing())
}

/// What a line of a .cmd file hands to `powershell -Command "..."`, as cmd.exe leaves it: `%%` is `%`.
fn handed_over(line: &str) -> Option<String> {
    let (_, command) = line.split_once("powershell ")?.1.split_once("-Command \"")?;
    let (command, _) = command.rsplit_once('"')?;
    Some(command.replace("%%", "%"))
}

#[test]
fn every_script_is_powershell() {
    let mut wrong = Vec::new();
    let (mut scripts, mut commands) = (0, 0);
    for (file, text) in text_files() {
        let extension = Path::new(&file).extension().unwrap_or_default();
        if extension == "ps1" {
            scripts += 1;
            wrong.extend(syntax_error(&text).map(|(line, what)| format!("{file}:{line}: {what}")));
        } else if extension == "cmd" {
            for (index, command) in
                text.lines().enumerate().filter_map(|(index, line)| Some((index, handed_over(line)?)))
            {
                commands += 1;
                wrong.extend(syntax_error(&command).map(|(_, what)| format!("{file}:{}: {what}", index + 1)));
            }
        }
    }
    assert!(wrong.is_empty(), "no PowerShell, here or on the line before:\n{}", wrong.join("\n"));
    assert!(scripts > 0 && commands > 0, "{scripts} scripts and {commands} commands in .cmd files were read");
}

#[test]
fn script_that_is_broken_is_named_with_its_line() {
    let script =
        fs::read_to_string(root().join("qemu-scripts/runner/src/windows/cd/sound.ps1")).expect("it is there");
    for (was, is) in [
        ("param([string] $Ids, ", "param([string] $Ids, , "),
        ("foreach ($card in $cards) {", "foreach ($card of $cards) {"),
        ("if ($cards.Count -eq 0) {", "if ($cards.Count -eq) {"),
        ("    if (-not $state) {", "    if (-not $state {"),
        ("$state = 'Missing'", "$state = 'Missing"),
    ] {
        let at = script.find(was).unwrap_or_else(|| panic!("{was} is no more in it"));
        let line = script[..at].matches('\n').count() + 1;
        let (named, what) =
            syntax_error(&script.replacen(was, is, 1)).unwrap_or_else(|| panic!("{is} passes"));
        // What has no end, a string or a bracket, goes on to the next one.
        assert!((line..=line + 1).contains(&named), "{is}: line {named} is named, {line} is broken: {what}");
    }
}
