//! Makes the INF: the INX with the facts filled in and the architecture named, in ASCII with CRLF.
//!
//! A line of the INX that ends in `; @mark` takes the fact of that name as its last field, that is, what
//! follows the line's last comma or `=`; DriverVer, whose value has a comma in it, takes its whole value. The
//! mark itself goes. What stands in the INX in that place is for stampinf, which knows no marks.

use crate::facts::Fact;

/// Why no INF came out.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum MakeError {
    /// The INX has a mark that no fact answers.
    #[error("line {line}: @{mark} is no fact that the sources know")]
    UnknownMark {
        /// Line of the INX, from 1.
        line: usize,
        /// The mark without its `@`.
        mark: String,
    },
    /// A marked line has no place for a value.
    #[error("line {line}: marked, but without '=' or ',' before a value")]
    NoValue {
        /// Line of the INX, from 1.
        line: usize,
    },
    /// A fact that the INX never asks for: what it should be in can only be spelled by hand, and drift.
    #[error("no line is marked @{0}")]
    Unused(&'static str),
    /// Not ASCII.
    #[error("line {line}: not ASCII")]
    NotAscii {
        /// Line of the INX, from 1.
        line: usize,
    },
}

/// The INF of this INX (either kind of line end) and these facts.
pub fn make(inx: &str, facts: &[Fact]) -> Result<String, MakeError> {
    let mut inf = String::with_capacity(inx.len() + inx.len() / 16);
    let mut used = vec![false; facts.len()];
    for (index, line) in inx.lines().enumerate() {
        let number = index + 1;
        if !line.is_ascii() {
            return Err(MakeError::NotAscii { line: number });
        }
        match line.rsplit_once("; @") {
            Some((content, mark)) if !content.trim().is_empty() => {
                let at = facts.iter().position(|fact| fact.0 == mark.trim());
                let Some((at, fact)) = at.and_then(|at| facts.get(at).map(|fact| (at, fact))) else {
                    return Err(MakeError::UnknownMark { line: number, mark: mark.trim().into() });
                };
                if let Some(used) = used.get_mut(at) {
                    *used = true;
                }
                inf.push_str(&fill(content, &fact.1).ok_or(MakeError::NoValue { line: number })?);
            }
            _ => inf.push_str(&line.replace("$ARCH$", "amd64")),
        }
        inf.push_str("\r\n");
    }
    match facts.iter().zip(used).find(|(_, used)| !used) {
        Some((fact, _)) => Err(MakeError::Unused(fact.0)),
        None => Ok(without_remarks_on_marks(&inf)),
    }
}

/// The line with `value` as its last field.
fn fill(content: &str, value: &str) -> Option<String> {
    // A quoted value may hold a comma; one with commas of its own replaces everything after the `=`.
    let separators: &[char] =
        if value.contains(',') || value.starts_with('"') { &['='] } else { &['=', ','] };
    let at = content.rfind(separators)?;
    let (kept, old) = content.split_at_checked(at + 1)?;
    let space = if old.starts_with(' ') { " " } else { "" };
    Some(format!("{kept}{space}{value}").replace("$ARCH$", "amd64"))
}

/// The head comment speaks of the INX; the INF says what it is made from instead.
fn without_remarks_on_marks(inf: &str) -> String {
    let body = inf.split_once("\r\n\r\n").map_or(inf, |(_, body)| body);
    format!(
        "; ringwave.inf: installs the WaveRT driver for the Ringwave sound card and for virtio sound devices on\r\n\
         ; Windows 10 (1809) and later, x64.\r\n\
         ; Made from ringwave.inx by ringwave-inf: change it there.\r\n\r\n{body}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "; head\n\n";

    #[test]
    fn marks_are_filled_and_go() {
        let facts = [("id", r"PCI\X".to_string()), ("name", "\"a,b\"".into()), ("ver", "1,2".into())];
        let inx = format!(
            "{HEAD}[A.NT$ARCH$.10]\n%D% = R,PCI\\OLD ; @id\nN = \"x,y\" ; @name\nV=3,4 ; @ver\n; plain\n"
        );
        let inf = make(&inx, &facts).expect("made");
        let body = inf.split_once("\r\n\r\n").expect("a head").1;
        assert_eq!(body, "[A.NTamd64.10]\r\n%D% = R,PCI\\X\r\nN = \"a,b\"\r\nV=1,2\r\n; plain\r\n");
    }

    #[test]
    fn what_cannot_be_filled_is_said() {
        let facts = [("id", "1".to_string())];
        let made = |body: &str| make(&format!("{HEAD}{body}"), &facts);
        assert_eq!(made("a = 2 ; @idd\n"), Err(MakeError::UnknownMark { line: 3, mark: "idd".into() }));
        assert_eq!(made("a ; @id\n"), Err(MakeError::NoValue { line: 3 }));
        assert_eq!(made("a = 2\n"), Err(MakeError::Unused("id")));
        assert_eq!(made("; \u{e9}\n"), Err(MakeError::NotAscii { line: 3 }));
    }
}
