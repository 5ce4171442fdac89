//! What `ringwave-catalog` prints: a catalog, and the report on a driver image.
use ringwave_catalog::digest::{Kind, hex};
use ringwave_catalog::pe::Report;
use ringwave_catalog::read::{Catalog, Member};
use std::fmt::Write as _;

/// A catalog for people: one line a fact, one paragraph a member.
pub fn text(catalog: &Catalog) -> String {
    let mut out = String::new();
    let signed = match catalog.signatures {
        0 => "no (unsigned)".to_owned(),
        count => format!("by {count} (not verified here)"),
    };
    line(&mut out, "signed", &signed);
    let made = der::DateTime::from_unix_duration(catalog.time)
        .map_or_else(|_| "?".to_owned(), |time| time.to_string());
    line(&mut out, "made", &made);
    line(&mut out, "list", &hex(&catalog.list_identifier));
    for (name, value) in &catalog.attributes {
        line(&mut out, name, value);
    }
    for member in &catalog.members {
        out.push('\n');
        one(&mut out, member);
    }
    out
}

fn one(out: &mut String, member: &Member) {
    let algorithm = match member.identifier.len() {
        20 => "SHA-1",
        32 => "SHA-256",
        _ => "member",
    };
    line(out, algorithm, &hex(&member.identifier));
    let kind = match member.kind {
        Some(Kind::Pe) => "Authenticode (a program)",
        Some(Kind::Flat) => "exact bytes",
        None => "unknown",
    };
    line(out, "hashed", kind);
    for (name, value) in &member.texts {
        line(out, name, value);
    }
    if let Some((_, _, digest)) = &member.digest {
        line(out, "digest", if *digest == member.identifier { "the same" } else { "ANOTHER" });
    }
    for other in &member.unknown {
        line(out, "unknown", &other.to_string());
    }
}

/// Text from outside, fit for a terminal: without control characters.
fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

fn line(out: &mut String, name: &str, value: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{:8} {}", clean(name), clean(value));
}

/// Every rule and its findings.
pub fn report(report: &Report) -> String {
    let mut out = String::new();
    for (rule, findings) in report {
        let verdict = if findings.is_empty() { "ok    " } else { "BROKEN" };
        let _ = writeln!(out, "{verdict} {:12} {}", rule.name(), rule.meaning());
        for finding in findings {
            let _ = writeln!(out, "         {}", clean(finding));
        }
    }
    out
}
