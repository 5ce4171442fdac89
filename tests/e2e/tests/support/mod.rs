//! What the end-to-end tests share: a run with everything printed.

use std::path::Path;

use ringwave_runner::{parts::Parts, report::Report, request::Request, run};

/// Plays `wav` as `change` asks, and prints all that the run showed.
pub fn run(wav: &Path, change: impl FnOnce(&mut Request)) -> Report {
    go(Request::play(wav), change)
}

/// Does what `request` and `change` ask, and prints all that the run showed.
pub fn go(mut request: Request, change: impl FnOnce(&mut Request)) -> Report {
    let parts = Parts::from_env().expect("everything is built");
    change(&mut request);
    let report = run::run(&parts, &request, |step| eprintln!("{step}")).expect("the run comes to a verdict");
    eprintln!("{report}");
    for line in &report.guest.driver {
        eprintln!("driver: {line}");
    }
    report
}
