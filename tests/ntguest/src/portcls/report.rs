//! What a check has to say, in two degrees: what Windows would not forgive, and what is only harsher than
//! Windows (see `kernel::harsh`). The checks themselves are pure and tested on the host.

use core::fmt;

/// Takes findings, once for each.
pub trait Report {
    /// A mistake: the driver would fail on Windows, or its endpoint would.
    fn found(&mut self, what: fmt::Arguments<'_>);
    /// What no sample does and no document allows, and Windows lets pass.
    fn harsh(&mut self, what: fmt::Arguments<'_>);
}

/// Findings become violations of one rule; each says first what it is about.
#[cfg(target_os = "uefi")]
pub struct Violations<'a> {
    /// The rule.
    pub rule: &'static str,
    /// What is looked at.
    pub about: fmt::Arguments<'a>,
}

#[cfg(target_os = "uefi")]
impl Report for Violations<'_> {
    fn found(&mut self, what: fmt::Arguments<'_>) {
        crate::kernel::violation(self.rule, format_args!("{}: {what}", self.about));
    }

    fn harsh(&mut self, what: fmt::Arguments<'_>) {
        crate::kernel::harsh::harsh_violation(self.rule, format_args!("{}: {what}", self.about));
    }
}

/// For tests: all findings in one text, a line each, harsh ones marked.
#[cfg(test)]
impl Report for alloc::string::String {
    fn found(&mut self, what: fmt::Arguments<'_>) {
        let _ = fmt::Write::write_fmt(self, format_args!("{what}\n"));
    }

    fn harsh(&mut self, what: fmt::Arguments<'_>) {
        let _ = fmt::Write::write_fmt(self, format_args!("harsh: {what}\n"));
    }
}
