//! A run with everything printed that it showed.

use std::path::Path;

use ringwave_runner::{
    artefacts::Artefacts,
    error::Error,
    report::Report,
    request::Request,
    run::{self, Processes},
};

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

/// Plays as [`play`] does; `watch` is called all the time while the guest runs.
///
/// # Panics
/// See [`play`].
pub fn play_watched(
    wav: &Path,
    change: impl FnOnce(&mut Request),
    watch: impl FnMut(Processes) -> Result<(), Error>,
) -> Report {
    let mut request = Request::play(wav);
    change(&mut request);
    run_watched(&Artefacts::from_env().expect("everything is built"), &request, watch)
}

/// Does what `request` asks, with these artefacts.
///
/// # Panics
/// See [`play`].
pub fn run_with(artefacts: &Artefacts, request: &Request) -> Report {
    run_watched(artefacts, request, |_| Ok(()))
}

fn run_watched(
    artefacts: &Artefacts,
    request: &Request,
    watch: impl FnMut(Processes) -> Result<(), Error>,
) -> Report {
    let report = run::run_watched(artefacts, request, |step| eprintln!("{step}"), watch)
        .expect("the run comes to a verdict");
    eprintln!("{report}");
    eprintln!("results: {:?}", report.guest.results);
    for line in &report.guest.driver {
        eprintln!("driver: {line}");
    }
    report
}
