//! Sections, keys, fields and strings of an INF: this project's, and other drivers' for
//! `qemu-scripts/ntguest`. "General Syntax Rules for INF Files" of Microsoft's documentation.

use std::collections::BTreeMap;

/// An INF.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Inf {
    /// In the file's order.
    pub sections: Vec<Section>,
    /// The `[Strings]`, by name in lower case.
    pub strings: BTreeMap<String, String>,
}

/// A section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// As written, without the brackets.
    pub name: String,
    /// Line of its head, from 1.
    pub line: usize,
    /// Its lines.
    pub entries: Vec<Entry>,
}

/// A line of a section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Line in the file, from 1.
    pub line: usize,
    /// What stands before the `=`, if there is one.
    pub key: Option<String>,
    /// The fields, without quotes, with their `%tokens%`.
    pub fields: Vec<String>,
}

/// Where the text is no INF, and why.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("line {line}: {what}")]
pub struct Malformed {
    /// Line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub what: &'static str,
}

impl Inf {
    /// Reads an INF. Sections with the same name stay apart, for the rules to see.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        let mut inf = Self::default();
        let mut lines = text.lines().enumerate();
        while let Some((index, line)) = lines.next() {
            let number = index + 1;
            let mut content = content(line, number)?.to_owned();
            // A line that ends with a backslash goes on in the next one.
            while let Some(begun) = content.strip_suffix('\\') {
                let (index, line) =
                    lines.next().ok_or(Malformed { line: number, what: "the last line is continued" })?;
                content = format!("{begun}{}", self::content(line, index + 1)?);
            }
            inf.take_line(&content, number)?;
        }
        inf.collect_strings();
        Ok(inf)
    }

    fn take_line(&mut self, content: &str, number: usize) -> Result<(), Malformed> {
        let malformed = |what| Malformed { line: number, what };
        if content.is_empty() {
            return Ok(());
        }
        if let Some(rest) = content.strip_prefix('[') {
            let name = rest.strip_suffix(']').ok_or(malformed("a section's name is not closed"))?;
            self.sections.push(Section { name: name.into(), line: number, entries: vec![] });
            return Ok(());
        }
        let section = self.sections.last_mut().ok_or(malformed("before the first section"))?;
        section.entries.push(entry(content, number));
        Ok(())
    }

    fn collect_strings(&mut self) {
        let sections = self.sections.iter().filter(|section| section.name.eq_ignore_ascii_case("Strings"));
        for entry in sections.flat_map(|section| &section.entries) {
            if let (Some(key), Some(value)) = (&entry.key, entry.fields.first()) {
                self.strings.insert(key.to_ascii_lowercase(), value.clone());
            }
        }
    }

    /// The first section of that name, whatever its case.
    pub fn section(&self, name: &str) -> Option<&Section> {
        self.sections.iter().find(|section| section.name.eq_ignore_ascii_case(name))
    }

    /// The field with its `%tokens%` replaced. A token without a string stays, as in Windows; `%13%` is a
    /// folder's number and stays.
    pub fn expand(&self, field: &str) -> String {
        let mut parts = field.split('%');
        let mut expanded = String::from(parts.next().unwrap_or_default());
        // Between the first and second '%' stands a token, after that text, and so on.
        while let Some(token) = parts.next() {
            let Some(text) = parts.next() else {
                expanded.push('%');
                expanded.push_str(token);
                break;
            };
            if token.is_empty() {
                expanded.push('%');
            } else if let Some(value) = self.strings.get(&token.to_ascii_lowercase()) {
                expanded.push_str(value);
            } else {
                expanded.extend(["%", token, "%"]);
            }
            expanded.push_str(text);
        }
        expanded
    }
}

impl Section {
    /// The lines with this key.
    pub fn entries_of<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a Entry> {
        self.entries.iter().filter(move |entry| entry.is(key))
    }

    /// The line with this key, if there is exactly one.
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        let mut entries = self.entries.iter().filter(|entry| entry.is(key));
        entries.next().filter(|_| entries.next().is_none())
    }
}

impl Entry {
    /// Whether its key is this, whatever its case.
    pub fn is(&self, key: &str) -> bool {
        self.key.as_ref().is_some_and(|own| own.eq_ignore_ascii_case(key))
    }

    /// A field; empty when it is not there.
    pub fn field(&self, index: usize) -> &str {
        self.fields.get(index).map_or("", String::as_str)
    }
}

/// What a line says: without its comment and the space around.
fn content(line: &str, number: usize) -> Result<&str, Malformed> {
    let malformed = Malformed { line: number, what: "a quote is not closed" };
    Ok(without_comment(line).ok_or(malformed)?.trim())
}

/// The line up to its comment; `None` when a quote stays open.
fn without_comment(line: &str) -> Option<&str> {
    let mut quoted = false;
    for (at, byte) in line.bytes().enumerate() {
        match byte {
            b'"' => quoted = !quoted,
            b';' if !quoted => return line.get(..at),
            _ => {}
        }
    }
    (!quoted).then_some(line)
}

fn entry(content: &str, line: usize) -> Entry {
    let parts = split_unquoted(content, '=', 2);
    match &parts[..] {
        [key, value] => Entry { line, key: Some(unquoted(key)), fields: fields(value) },
        _ => Entry { line, key: None, fields: fields(content) },
    }
}

fn fields(text: &str) -> Vec<String> {
    split_unquoted(text, ',', usize::MAX).into_iter().map(unquoted).collect()
}

/// At most `most` parts of the text, split at separators that are not between quotes.
fn split_unquoted(text: &str, separator: char, most: usize) -> Vec<&str> {
    let (mut parts, mut rest, mut quoted) = (vec![], text, false);
    while parts.len() + 1 < most {
        let cut = rest.find(|character| {
            quoted ^= character == '"';
            character == separator && !quoted
        });
        let Some((part, tail)) = cut.and_then(|at| rest.split_at_checked(at)) else { break };
        parts.push(part);
        rest = tail.get(separator.len_utf8()..).unwrap_or("");
    }
    parts.push(rest);
    parts
}

/// The field without the space around it and its quotes; a doubled quote inside is one.
fn unquoted(field: &str) -> String {
    let field = field.trim();
    match field.strip_prefix('"').and_then(|inner| inner.strip_suffix('"')) {
        Some(inner) => inner.replace("\"\"", "\""),
        None => field.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_what_an_inf_has() {
        let inf = Inf::parse(
            "; head\r\n[A]\r\nHKR,\"x;y\",,%T% ; note\r\nk = \"a,\"\"b\"\"\",c\r\n[Strings]\r\nT=\"v,w\"\r\n",
        )
        .expect("an INF");
        let lines = &inf.section("a").expect("a section").entries;
        assert_eq!(lines[0].fields, ["HKR", "x;y", "", "%T%"]);
        assert_eq!(
            (lines[1].key.as_deref(), &lines[1].fields[..]),
            (Some("k"), &["a,\"b\"".into(), "c".into()][..])
        );
        assert_eq!(inf.expand("<%t%> %13%\\x 5%% %gone%"), "<v,w> %13%\\x 5% %gone%");
    }

    #[test]
    fn a_line_that_ends_with_a_backslash_goes_on_in_the_next() {
        let inf = Inf::parse("[A]\r\nk = a, \\ ; note\r\n    b,\\\r\n c\r\nlast\r\n").expect("an INF");
        let lines = &inf.section("A").expect("a section").entries;
        assert_eq!(lines[0].fields, ["a", "b", "c"]);
        assert_eq!((lines[1].line, &lines[1].fields[..]), (5, &["last".to_owned()][..]));
    }

    #[test]
    fn says_where_it_is_no_inf() {
        for (text, line) in
            [("x\n", 1), ("[A\n", 1), ("[A]\n\"x\n", 2), ("[A]\nx, \\\n", 2), ("[A]\nx, \\\n\"y\n", 3)]
        {
            assert_eq!(Inf::parse(text).expect_err(text).line, line, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[\\[\\]a%\",;=\\\\\r\n é]*") {
            if let Ok(inf) = Inf::parse(&text) {
                for section in &inf.sections {
                    for entry in &section.entries {
                        for field in &entry.fields {
                            inf.expand(field);
                        }
                    }
                }
            }
        }
    }
}
