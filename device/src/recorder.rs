//! The desk: the thread that does what the host is to do (sinks, log, trace, figures), without the card's lock.
//!
//! It is not the engine's thread, so that a disk that hangs for a second does not hold up the card's time: sound waits in the
//! [`Outbox`] meanwhile.

use std::io::{ErrorKind, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use log::Level;

use crate::card::{Card, State};
use crate::engine::READER_PATIENCE;
use crate::outbox::{Ask, Outbox};
use ringwave_engine::audio_queue::AudioChunk;
use ringwave_engine::stream::stats::Stall;
use ringwave_host::output;
use ringwave_host::output::PatientFile;
use ringwave_host::{Figures, SinkError, Sinks};
use ringwave_report::{Client, SessionReport};
use ringwave_trace::{TraceRecord, TraceWriter};

/// A stall that lasts as long is named in the log, once.
const STALL_NAMED_AFTER: Duration = Duration::from_secs(5);
/// While there is a trace to write it is written as often, whatever else happens.
const TRACE_GATHERS: Duration = Duration::from_millis(20);
/// Lines of one kind about one client that are logged. A guest can cause a note with every access.
const LINES_PER_CLIENT: u32 = 200;

/// How many lines there were about the present client, by kind.
#[derive(Default)]
pub(crate) struct Lines {
    notes: u32,
    maps: u32,
    sources: u32,
    stalls: u32,
    sinks: u32,
    lost: u32,
}

/// Logs a line of a kind of which there were so many.
fn tell(count: &mut u32, level: Level, line: impl std::fmt::Display) {
    *count = count.saturating_add(1);
    match *count {
        ..LINES_PER_CLIENT => log::log!(level, "{line}"),
        LINES_PER_CLIENT => log::log!(level, "{line}; more like this of this client is not logged"),
        _ => {}
    }
}

/// The desk of a card.
pub(crate) struct Desk {
    pub card: Arc<Card>,
    pub sinks: Sinks,
    pub trace: Option<TraceWriter<PatientFile>>,
    /// Where the figures go.
    pub stats: Option<PathBuf>,
    /// What is in the log about the present client.
    pub lines: Lines,
    /// Streams of the present client whose sound is not whole, as bits.
    pub failed: u32,
    /// Nothing that was heard in the life of the process was lost.
    pub whole: bool,
    /// Grows with everything that was done.
    pub done: Arc<AtomicU64>,
}

/// Works until the engine has stopped and everything is done. Gives whether everything that was heard is in its file.
pub(crate) fn run(mut desk: Desk) -> bool {
    let card = Arc::clone(&desk.card);
    let mut outbox = Outbox::default();
    let mut watchdog = Watchdog::default();
    let mut traced = false;
    loop {
        let mut state = card.lock();
        let ended = state.ended;
        let mut gone = state.take_lost();
        let mut warnings = state.take_warnings();
        if !state.outbox.is_urgent() && !ended && gone.is_empty() && warnings.is_empty() {
            let time = shortest(&card, &state, &desk, &watchdog);
            // Where there was some of the trace there will be more: the desk comes by itself, and nobody has to wake it.
            state.tracing.desk_looks = traced || !state.outbox.trace.is_empty();
            let time = time.into_iter().chain(state.tracing.desk_looks.then_some(TRACE_GATHERS)).min();
            state = card.wait_desk(state, time);
            state.tracing.desk_looks = false;
        }
        gone.extend(state.take_lost());
        warnings.extend(state.take_warnings());
        let named = watchdog.look(&card, &state);
        std::mem::swap(&mut state.outbox, &mut outbox);
        traced = !outbox.trace.is_empty();
        let asks = std::mem::take(&mut outbox.asks);
        let last = (ended && state.client_spoke()).then(|| state.report(&card));
        let moving = state.controller.moving();
        let live = (!asks.is_empty()).then(|| state.report(&card));
        drop(state);

        for map in gone {
            tell(&mut desk.lines.maps, Level::Error, map);
        }
        for warning in warnings {
            tell(&mut desk.lines.sources, Level::Warn, warning);
        }
        for Stall { stream, packet, .. } in named {
            let seconds = STALL_NAMED_AFTER.as_secs();
            let what = format!("stream {stream} waits for packet {packet}, not WRITTEN for {seconds} s");
            tell(&mut desk.lines.stalls, Level::Warn, what);
        }
        desk.deal_with(&mut outbox);
        desk.sinks.rest_but(moving);
        desk.pace();
        if let Some(live) = live {
            desk.answer(asks, live);
        }
        if ended {
            desk.end(last);
            return desk.whole;
        }
        desk.flush_if_due();
    }
}

/// How long there is nothing to do; `None` = until somebody comes.
fn shortest(card: &Card, state: &State, desk: &Desk, watchdog: &Watchdog) -> Option<Duration> {
    let stalls = state.controller.stalls().filter(|stall| !watchdog.knows(stall));
    let stalled = stalls.map(|stall| {
        let lasted = card.clock().real_time(card.clock().now().saturating_sub(stall.since));
        // A little more, so that it has lasted long enough when we look.
        STALL_NAMED_AFTER.saturating_sub(lasted) + Duration::from_millis(1)
    });
    stalled.chain(desk.sinks.flush_due()).chain(desk.sinks.look_due()).min()
}

/// Knows which stalls were named.
#[derive(Default)]
struct Watchdog(Vec<Stall>);

impl Watchdog {
    fn knows(&self, stall: &Stall) -> bool {
        self.0.contains(stall)
    }

    /// The stalls that have to be named now.
    fn look(&mut self, card: &Card, state: &State) -> Vec<Stall> {
        let now = card.clock().now();
        let long =
            |stall: &Stall| card.clock().real_time(now.saturating_sub(stall.since)) >= STALL_NAMED_AFTER;
        let lasting: Vec<Stall> = state.controller.stalls().filter(long).collect();
        let new = lasting.iter().filter(|stall| !self.knows(stall)).copied().collect();
        self.0 = lasting;
        new
    }
}

impl Desk {
    /// Does everything in the outbox, in order, and empties it.
    fn deal_with(&mut self, outbox: &mut Outbox) {
        for note in &outbox.diagnostics {
            tell(&mut self.lines.notes, Level::Warn, note);
        }
        let mut failed = Vec::new();
        for (stream, format, heard) in outbox.sounds() {
            let result = match heard {
                AudioChunk::Frames(bytes) => self.sinks.frames(stream, format, bytes),
                AudioChunk::Silence(frames) => self.sinks.silence(stream, format, frames),
                AudioChunk::Stop => {
                    self.sinks.stopped(stream);
                    Ok(())
                }
            };
            failed.extend(result.err().map(|error| (stream, error)));
            self.done.fetch_add(1, Ordering::Relaxed);
        }
        Outbox::tell(outbox.untold, &mut self.lines.lost);
        self.note_failures(outbox.lost);
        self.tell_failures(failed, outbox.left.is_some());
        self.write_trace(&outbox.trace);
        if let Some((report, done)) = outbox.left.take() {
            let failed = self.sinks.finish();
            self.tell_failures(failed, true);
            self.conclude(report);
            self.lines = Lines::default();
            drop(done);
        }
        outbox.clear();
    }

    /// Streams whose sink has a clock of its own follow it (DATASHEET 5.4).
    fn pace(&mut self) {
        for (stream, rate_den) in self.sinks.paces() {
            let mut state = self.card.lock();
            state.with_controller(&self.card, |controller, _| controller.set_rate_den(stream, rate_den));
        }
    }

    fn flush_if_due(&mut self) {
        if self.sinks.flush_due().is_some_and(|due| due.is_zero()) {
            let failed = self.sinks.flush();
            self.tell_failures(failed, false);
        }
    }

    fn end(&mut self, last: Option<SessionReport>) {
        let failed = self.sinks.finish();
        self.tell_failures(failed, false);
        if let Some(report) = last {
            self.conclude(report);
        }
    }

    /// Gives the figures of the moment to those who asked for them.
    fn answer(&self, asks: Vec<Ask>, mut live: SessionReport) {
        live.sinks_failed(self.failed);
        take_sink_stats(&mut live, &self.sinks.figures());
        for ask in asks {
            match ask {
                Ask::Log => {
                    log::info!("{}", live.json_line());
                    // The figures of a client that has left stay until there is another.
                    if live.client != Client::None {
                        self.write_stats(&live);
                    }
                }
                // Who does not wait any more need not be told.
                Ask::Tell(answer) => drop(answer.send(live.clone())),
            }
        }
    }

    /// A sink that failed is an error of its stream: the guest is told, the card goes on. The guest may have left meanwhile, `left` or not
    /// yet taken from the outbox: then the card was reset, and the next client is not told of it.
    fn tell_failures(&mut self, failed: Vec<(u32, SinkError)>, left: bool) {
        for (stream, error) in failed {
            let line = format!("stream {stream}: {error}; its sound is lost from here on");
            tell(&mut self.lines.sinks, Level::Error, line);
            self.note_failures(1_u32.checked_shl(stream).unwrap_or(0));
            let mut state = self.card.lock();
            if left || state.outbox.left.is_some() {
                continue;
            }
            state.with_controller(&self.card, |controller, env| controller.host_failed(stream, env));
        }
    }

    /// Writes to the trace, if there is one. After a failure there is none.
    fn write_trace(&mut self, events: &[TraceRecord]) {
        if let Some(Err(error)) = self.trace.as_mut().map(|trace| trace.write(events)) {
            log::error!("the trace ends here: {error}");
            self.trace = None;
            self.card.lock().end_trace();
        }
    }

    /// The sound of these streams (bits) is not whole.
    fn note_failures(&mut self, streams: u32) {
        self.failed |= streams;
        self.whole &= streams == 0;
    }

    /// Tells what a client's session came to, and forgets what failed of it.
    fn conclude(&mut self, mut report: SessionReport) {
        report.sinks_failed(std::mem::take(&mut self.failed));
        take_sink_stats(&mut report, &self.sinks.take_figures());
        self.write_stats(&report);
        log::info!("{report}");
    }

    /// Writes figures to their file, if there is one.
    fn write_stats(&self, report: &SessionReport) {
        let Some(path) = &self.stats else { return };
        if let Err(error) = replace(path, report) {
            log::error!("cannot write {}: {error}", path.display());
        }
    }
}

/// Takes what the sinks with a clock of their own know, by stream.
fn take_sink_stats(report: &mut SessionReport, sinks: &[(u32, Figures)]) {
    for (stream, known) in sinks {
        if let Some(report) = report.streams.get_mut(*stream as usize) {
            report.sink_knows(known.drift_ppm, known.underruns, known.dropped_frames);
        }
    }
}

/// Writes the report beside the file and puts it in its place, so that no reader sees half of it.
fn replace(path: &Path, report: &SessionReport) -> std::io::Result<()> {
    let mut json = serde_json::to_vec_pretty(report).map_err(std::io::Error::other)?;
    json.push(b'\n');
    if output::is_special(path) {
        return output::write_within(&output::open_special(path)?, &json, READER_PATIENCE);
    }
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = PathBuf::from(beside);
    let mut file = output::create_new(&beside).or_else(|error| match error.kind() {
        // Of a process that ended in the middle: no symbolic link, and nothing that has another name.
        ErrorKind::AlreadyExists if is_left_over(&beside) => {
            std::fs::remove_file(&beside)?;
            output::create_new(&beside)
        }
        _ => Err(std::io::Error::new(error.kind(), format!("{}: {error}", beside.display()))),
    })?;
    file.write_all(&json)?;
    std::fs::rename(&beside, path)
}

fn is_left_over(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|found| found.is_file() && found.nlink() == 1)
}
