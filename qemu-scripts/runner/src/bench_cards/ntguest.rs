//! `ringwave.sys` in ntguest: what playing in real time costs QEMU and the card's process.

use std::{
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use super::{
    cards::NtguestCard,
    results::{Ntguest, Spread},
    usage::Usage,
};
use crate::{
    artefacts::Artefacts,
    error::Error,
    request::{Clock, Request},
    run::{Processes, run_watched},
};

/// The guest has begun to play so long before it is measured.
const MARGIN: Duration = Duration::from_millis(300);

/// A tune for so long, in `folder`.
///
/// # Errors
/// `ringwave tone` fails.
pub fn tune(artefacts: &Artefacts, folder: &Path, time: Duration) -> Result<std::path::PathBuf, Error> {
    let path = folder.join("tune.wav");
    let seconds = (time + MARGIN * 3).as_secs_f64().ceil().to_string();
    let made =
        Command::new(&artefacts.ringwave).arg("tone").arg(&path).args(["--seconds", &seconds]).status();
    let made = made.map_err(|e| Error::file("run", &artefacts.ringwave, &e))?;
    if made.success() { Ok(path) } else { Err(Error::failed("ringwave tone made no file")) }
}

/// One run.
#[derive(Debug)]
pub struct Played {
    qemu: Option<f64>,
    device: Option<(f64, f64)>,
    interrupts: Option<f64>,
    underruns: u64,
    worst_lateness_us: f64,
    verdict: String,
}

/// What a process had used when it was looked at.
type Look = (Instant, Usage, Usage);

/// Plays once.
///
/// # Errors
/// There is no verdict.
pub fn play(
    artefacts: &Artefacts,
    card: &NtguestCard,
    wav: &Path,
    period_ms: u32,
    time: Duration,
) -> Result<Played, Error> {
    let request = Request {
        clock: Clock::Realtime(1.0),
        buffer_ms: period_ms * 2,
        kind: card.kind,
        ..Request::play(wav)
    };
    let (mut began, mut first, mut last): (Option<Instant>, Option<Look>, Option<Look>) = (None, None, None);
    let report = run_watched(
        artefacts,
        &request,
        |_| (),
        |Processes { qemu, card, heard }| {
            if heard == 0 {
                return Ok(());
            }
            let since = began.get_or_insert_with(Instant::now).elapsed();
            if since >= MARGIN && since <= MARGIN + time {
                let look = (Instant::now(), Usage::of(qemu)?, Usage::of(card)?);
                last = Some(*first.get_or_insert(look)).and(Some(look));
            }
            Ok(())
        },
    )?;
    let used = first.zip(last).filter(|(first, last)| last.0 > first.0).map(|(first, last)| {
        (last.0.duration_since(first.0).as_secs_f64(), last.1.since(first.1), last.2.since(first.2))
    });
    let percent = |usage: Usage, seconds: f64| usage.cpu_ns as f64 / seconds / 1e7;
    let sound = time.saturating_add(MARGIN * 3).as_secs_f64().ceil();
    Ok(Played {
        qemu: used.map(|(seconds, qemu, _)| percent(qemu, seconds)),
        device: used.map(|(seconds, _, card)| (percent(card, seconds), card.wakes as f64 / seconds)),
        interrupts: Some(report.card.interrupts as f64 / sound),
        underruns: report.card.streams.iter().filter_map(|stream| stream.underruns).sum(),
        worst_lateness_us: report.card.worst_lateness_us as f64,
        verdict: report.comparison.map_or("nothing was heard".to_owned(), |it| it.verdict.to_string()),
    })
}

/// The row of several.
pub fn row(card: &NtguestCard, period_ms: u32, played: Vec<Played>) -> Ntguest {
    let spread = |of: &dyn Fn(&Played) -> Option<f64>| Spread::of(played.iter().filter_map(of));
    Ntguest {
        card: card.name.into(),
        period_ms,
        qemu_percent: spread(&|it| it.qemu),
        device_percent: spread(&|it| Some(it.device?.0)),
        device_wakes: spread(&|it| Some(it.device?.1)),
        interrupts: spread(&|it| it.interrupts),
        underruns: played.iter().map(|it| it.underruns).sum(),
        worst_lateness_us: spread(&|it| Some(it.worst_lateness_us)),
        verdicts: played.into_iter().map(|it| it.verdict).collect(),
    }
}
