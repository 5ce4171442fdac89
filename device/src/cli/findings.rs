//! What `ringwave doctor` and `ringwave libvirt` find, thing by thing, each with what to do.

use std::fmt;

/// What was found of one thing.
#[derive(Debug, PartialEq, Eq)]
pub struct Finding {
    /// Whether it is there.
    pub severity: Severity,
    /// What was found.
    pub what: String,
    /// What to do.
    pub next: Option<String>,
}

/// What a finding means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// It is there.
    Ok,
    /// It goes without.
    Note,
    /// A card does not work without it.
    Missing,
}

impl Finding {
    /// It is there.
    pub fn ok(what: impl Into<String>) -> Self {
        Self { severity: Severity::Ok, what: what.into(), next: None }
    }

    /// It goes without.
    pub fn note(what: impl Into<String>, next: impl Into<String>) -> Self {
        Self { severity: Severity::Note, what: what.into(), next: Some(next.into()) }
    }

    /// A card does not work without it.
    pub fn missing(what: impl Into<String>, next: impl Into<String>) -> Self {
        Self { severity: Severity::Missing, what: what.into(), next: Some(next.into()) }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Ok => "ok",
            Severity::Note => "note",
            Severity::Missing => "missing",
        };
        write!(f, "{severity:<8}{}", self.what)?;
        self.next.as_ref().map_or(Ok(()), |next| write!(f, "\n        {next}"))
    }
}
