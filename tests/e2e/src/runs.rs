//! A run with everything printed that it showed.

use std::path::Path;

use ringwave_runner::{artefacts::Artefacts, report::Report, request::Request, run};

/// Plays `wav` as `change` asks.
///
/// # Panics
/// If there is no verdict: the test that asks has failed.
pub fn play(wav: &Path, change: impl FnOnce(&mut Request)) -> Report {
    run_request(Request::play(wav), change)
}

/// Records what the card's microphone hears of `wav`, as `change` asks.
///
/// # Panics
/// See [`play`].
pub fn record(wav: &Path, change: impl FnOnce(&mut Request)) -> Report {
    run_request(Request::record(wav), change)
}

/// Does what `request` and `change` ask.
///
/// # Panics
/// See [`play`].
pub fn run_request(mut request: Request, change: impl FnOnce(&mut Request)) -> Report {
    change(&mut request);
    run_with(&Artefacts::from_env().expect("everything is built"), &request)
}

/// Does what `request` asks, with these artefacts.
///
/// # Panics
/// See [`play`].
pub fn run_with(artefacts: &Artefacts, request: &Request) -> Report {
    let report =
        run::run(artefacts, request, |step| eprintln!("{step}")).expect("the run comes to a verdict");
    eprintln!("{report}");
    eprintln!("results: {:?}", report.guest.results);
    for line in &report.guest.driver {
        eprintln!("driver: {line}");
    }
    report
}
