//! The program's side of a card's I/O worker: it gives sound to the sinks, and writes log, trace and figures.
//! Without the card's lock.

use std::fmt::Display;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use log::Level;

use crate::engine::READER_PATIENCE;
use crate::expectations::Expectations;
use crate::listeners::{Listeners, TooMany};
use ringwave_audio::gain::Gain;
use ringwave_engine::audio_queue::{AudioChunk, AudioQueue};
use ringwave_engine::io_queue::{Feedback, GATHERED, IoQueue};
use ringwave_engine::stream::stats::Stall;
use ringwave_engine::threads::Host;
use ringwave_host::output::{self, PatientFile};
use ringwave_host::{NewSink, NewSinkError, SinkError, SinkStats, Sinks};
use ringwave_report::{Client, SessionReport};
use ringwave_served::records::{Records, StatsRequest, loss_to_report, report_loss};
use ringwave_trace::{TraceRecord, TraceWriter};

/// A stall that lasts as long is named in the log, once.
const STALL_NAMED_AFTER: Duration = Duration::from_secs(5);
/// While there is a trace to write it is written as often, whatever else happens.
const TRACE_GATHERS: Duration = Duration::from_millis(20);
/// Lines of one kind about one client that are logged. A guest can cause a diagnostic with every access.
const LINES_PER_CLIENT: u32 = 200;

/// How many lines there were about the present client, by kind.
#[derive(Default)]
pub(crate) struct Lines {
    diagnostics: u32,
    maps: u32,
    sources: u32,
    stalls: u32,
    sinks: u32,
    losses: u32,
}

/// Logs a line of a kind of which there were so many.
fn log_line(count: &mut u32, level: Level, line: impl Display) {
    *count = count.saturating_add(1);
    match *count {
        ..LINES_PER_CLIENT => log::log!(level, "{line}"),
        LINES_PER_CLIENT => log::log!(level, "{line}; more like this of this client is not logged"),
        _ => {}
    }
}

/// What the control socket asks of the I/O worker.
pub(crate) struct HostOrder {
    /// A stream that plays.
    pub stream: u32,
    /// What is to be.
    pub change: HostChange,
    /// Gets what became of it. Who does not wait any more need not be told.
    pub answer: Sender<Result<(), OrderFailed>>,
}

/// Why the I/O worker does not do it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OrderFailed {
    #[error(transparent)]
    Sink(#[from] NewSinkError),
    #[error(transparent)]
    Listeners(#[from] TooMany),
}

/// What is to be changed from a stream's next frame on.
pub(crate) enum HostChange {
    /// Where its sound goes.
    Sink(NewSink),
    /// The host's volume.
    Gain(Gain),
    /// Who is at this socket hears it, too.
    Listen(UnixStream),
}

/// Writes what a card brings about.
pub(crate) struct Recorder {
    sinks: Sinks,
    trace: Option<TraceWriter<PatientFile>>,
    /// Where the figures go.
    stats: Option<PathBuf>,
    /// What is in the log about the present client.
    lines: Lines,
    /// Streams of the present client whose sound is not whole, as bits.
    failed: u32,
    /// Nothing that was heard in the life of the process was lost.
    lossless: bool,
    watchdog: Watchdog,
    /// There was some of the trace in the last queue: there will be more, and the card does not wake anybody
    /// for it.
    traced: bool,
    /// The figures of the client that is there when the process ends.
    last: Option<SessionReport>,
    /// Who wants to know what was heard.
    expectations: Option<Arc<Expectations>>,
    /// Who wants to hear it.
    listeners: Listeners,
}

impl Recorder {
    pub(crate) fn new(
        sinks: Sinks,
        trace: Option<TraceWriter<PatientFile>>,
        stats: Option<PathBuf>,
        expectations: Option<Arc<Expectations>>,
    ) -> Self {
        Self {
            sinks,
            trace,
            stats,
            lines: Lines::default(),
            failed: 0,
            lossless: true,
            watchdog: Watchdog::default(),
            traced: false,
            last: None,
            expectations,
            listeners: Listeners::default(),
        }
    }
}

impl<E: Display + Send + 'static> Host<Records<E>> for Recorder {
    fn handle(&mut self, queue: &mut IoQueue<Records<E>>, feedback: &mut Feedback, done: &AtomicU64) {
        self.log_records(queue);
        let records = &mut queue.records;
        let failed = self.play(&queue.audio, done);
        report_loss(loss_to_report(queue.unreported_loss, &mut self.lines.losses));
        self.note_failures(queue.lost);
        let left = records.left.take();
        // The guest may have left meanwhile: then the card was reset, and the next client is not told of it.
        let told = self.report_failures(failed);
        feedback.failed |= if left.is_some() { 0 } else { told };
        self.traced = !records.card.trace.is_empty();
        feedback.trace_failed |= !self.write_trace(&records.card.trace);
        if let Some((report, done)) = left {
            let failed = self.sinks.finish();
            self.report_failures(failed);
            self.conclude(report);
            self.lines = Lines::default();
            drop(done);
        }
        for order in records.orders.drain(..).filter_map(|order| order.downcast::<HostOrder>().ok()) {
            feedback.failed |= self.obey(*order);
        }
        self.sinks.idle_but(queue.streams.moving);
        // Streams whose sink has a clock of its own follow it (DATASHEET 5.4).
        feedback.rates.extend(self.sinks.rates());
        if let Some(live) = records.live.take() {
            self.answer(&mut records.requests, live);
        }
        self.last = records.last.take();
        records.clear();
        if self.sinks.flush_due().is_some_and(|due| due.is_zero()) {
            let failed = self.sinks.flush();
            feedback.failed |= self.report_failures(failed);
        }
    }

    fn due(&self) -> Option<Duration> {
        let sinks = self.sinks.flush_due().into_iter().chain(self.sinks.idle_due());
        sinks.chain(self.watchdog.due()).chain(self.traced.then_some(TRACE_GATHERS)).min()
    }

    fn gathered(&self) -> Duration {
        // Who listens hears it as soon as it is played.
        if self.listeners.is_empty() { self.sinks.gathered() } else { GATHERED }
    }

    fn finish(&mut self) -> bool {
        let failed = self.sinks.finish();
        self.report_failures(failed);
        if let Some(report) = self.last.take() {
            self.conclude(report);
        }
        if let Some(expectations) = &self.expectations {
            expectations.files(self.sinks.files());
        }
        self.lossless
    }
}

/// Knows which stalls were named.
#[derive(Default)]
struct Watchdog {
    named: Vec<Stall>,
    /// When the next one has to be.
    due: Option<Instant>,
}

impl Watchdog {
    /// The stalls that have to be named now.
    fn check(&mut self, stalls: &[(Stall, Duration)]) -> Vec<Stall> {
        let (long, short): (Vec<_>, Vec<_>) =
            stalls.iter().partition(|(_, lasted)| *lasted >= STALL_NAMED_AFTER);
        let long: Vec<Stall> = long.into_iter().map(|(stall, _)| stall).collect();
        let new = long.iter().filter(|stall| !self.named.contains(stall)).copied().collect();
        self.named = long;
        // A little more, so that it has lasted long enough when we look.
        let left = short
            .iter()
            .map(|(_, lasted)| STALL_NAMED_AFTER.saturating_sub(*lasted) + Duration::from_millis(1));
        self.due = left.min().and_then(|left| Instant::now().checked_add(left));
        new
    }

    fn due(&self) -> Option<Duration> {
        self.due.map(|due| due.saturating_duration_since(Instant::now()))
    }
}

impl Recorder {
    /// Logs what is for the log.
    fn log_records<E: Display>(&mut self, queue: &mut IoQueue<Records<E>>) {
        let records = &mut queue.records;
        for map in records.lost_maps.drain(..) {
            log_line(&mut self.lines.maps, Level::Error, map);
        }
        for warning in records.source_warnings.drain(..) {
            log_line(&mut self.lines.sources, Level::Warn, warning);
        }
        for Stall { stream, packet, .. } in self.watchdog.check(&queue.streams.stalls) {
            let seconds = STALL_NAMED_AFTER.as_secs();
            let what = format!("stream {stream} waits for packet {packet}, not WRITTEN for {seconds} s");
            log_line(&mut self.lines.stalls, Level::Warn, what);
        }
        for diagnostic in &records.card.diagnostics {
            log_line(&mut self.lines.diagnostics, Level::Warn, diagnostic);
        }
    }

    /// Gives sound to the sinks. Gives the streams whose sinks failed.
    fn play(&mut self, audio: &AudioQueue, done: &AtomicU64) -> Vec<(u32, SinkError)> {
        let mut failed = Vec::new();
        for (stream, format, chunk) in audio.chunks() {
            match (&self.expectations, chunk) {
                (Some(expectations), AudioChunk::Frames(bytes)) => expectations.frames(format, bytes),
                (Some(expectations), AudioChunk::Silence(frames)) => expectations.silence(frames),
                _ => {}
            }
            self.listeners.hear(stream, format, &chunk);
            let result = match chunk {
                AudioChunk::Frames(bytes) => self.sinks.frames(stream, format, bytes),
                AudioChunk::Silence(frames) => self.sinks.silence(stream, format, frames),
                AudioChunk::Stop => {
                    self.sinks.stopped(stream);
                    Ok(())
                }
            };
            failed.extend(result.err().map(|error| (stream, error)));
            done.fetch_add(1, Ordering::Relaxed);
        }
        failed
    }

    /// Does what the control socket asks, after the sound that was played before. Gives the streams (bits) of
    /// which a sink failed.
    fn obey(&mut self, order: HostOrder) -> u32 {
        let HostOrder { stream, change, answer } = order;
        let (result, failed) = match change {
            HostChange::Gain(gain) => {
                self.sinks.set_gain(stream, gain);
                (Ok(()), 0)
            }
            HostChange::Listen(socket) => (self.listeners.add(stream, socket).map_err(OrderFailed::from), 0),
            HostChange::Sink(sink) => match self.sinks.replace(stream, sink) {
                // What is lost is lost, also if the new one is in its place.
                Err(NewSinkError::Before(error)) => {
                    let told = NewSinkError::Lost(error.to_string());
                    (Err(told.into()), self.report_failures(vec![(stream, error)]))
                }
                result => (result.map_err(OrderFailed::from), 0),
            },
        };
        drop(answer.send(result));
        failed
    }

    /// Gives the figures of the moment to those who asked for them.
    fn answer(&self, requests: &mut Vec<StatsRequest>, mut live: SessionReport) {
        live.sinks_failed(self.failed);
        take_sink_stats(&mut live, &self.sinks.stats());
        for request in requests.drain(..) {
            match request {
                StatsRequest::Log => {
                    log::info!("{}", live.json_line());
                    // The figures of a client that has left stay until there is another.
                    if live.client != Client::None {
                        self.write_stats(&live);
                    }
                }
                // Who does not wait any more need not be told.
                StatsRequest::Send(answer) => drop(answer.send(live.clone())),
            }
        }
    }

    /// Logs which sinks failed. Gives their streams as bits: a sink that failed is an error of its stream,
    /// the card goes on.
    fn report_failures(&mut self, failed: Vec<(u32, SinkError)>) -> u32 {
        let mut streams = 0;
        for (stream, error) in failed {
            let line = format!("stream {stream}: {error}; its sound is lost from here on");
            log_line(&mut self.lines.sinks, Level::Error, line);
            streams |= 1_u32.checked_shl(stream).unwrap_or(0);
        }
        self.note_failures(streams);
        streams
    }

    /// Writes to the trace, if there is one. `false`: it failed, and from now on there is none.
    fn write_trace(&mut self, events: &[TraceRecord]) -> bool {
        let Some(Err(error)) = self.trace.as_mut().map(|trace| trace.write(events)) else { return true };
        log::error!("the trace ends here: {error}");
        self.trace = None;
        false
    }

    /// The sound of these streams (bits) is not whole.
    fn note_failures(&mut self, streams: u32) {
        self.failed |= streams;
        self.lossless &= streams == 0;
    }

    /// Tells what a client's session came to, and forgets what failed of it.
    fn conclude(&mut self, mut report: SessionReport) {
        report.sinks_failed(std::mem::take(&mut self.failed));
        take_sink_stats(&mut report, &self.sinks.take_stats());
        self.write_stats(&report);
        if let Some(expectations) = &self.expectations {
            expectations.session(&report);
        }
        log::info!("{report}");
    }

    /// Writes figures to their file, if there is one.
    fn write_stats(&self, report: &SessionReport) {
        let Some(path) = &self.stats else { return };
        let json = serde_json::to_vec_pretty(report).map_err(std::io::Error::other);
        let written = json.and_then(|mut json| {
            json.push(b'\n');
            output::replace(path, &json, READER_PATIENCE)
        });
        if let Err(error) = written {
            log::error!("cannot write {}: {error}", path.display());
        }
    }
}

/// Takes what the sinks with a clock of their own know, by stream.
fn take_sink_stats(report: &mut SessionReport, sinks: &[(u32, SinkStats)]) {
    for (stream, known) in sinks {
        if let Some(report) = report.streams.get_mut(*stream as usize) {
            report.sink_knows(known.drift_ppm, known.underruns, known.dropped_frames);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::sync::mpsc;

    use super::*;
    use ringwave_audio::{SampleFormat, StreamFormat};
    use ringwave_host::SinkSpec;

    #[test]
    fn a_sink_is_changed_behind_the_sound_that_was_played_before() {
        let format = StreamFormat { sample: SampleFormat::S16, channels: 1, rate: 48_000 };
        let dir = tempfile::tempdir().unwrap();
        let [first, second] = ["first.raw", "second.raw"].map(|name| dir.path().join(name));
        let mut recorder = Recorder::new(Sinks::new(SinkSpec::Raw(first.clone())).unwrap(), None, None, None);
        let mut queue = IoQueue::<Records<&'static str>>::default();
        queue.audio.frames(0, format, &[1, 0]);
        let (answer, done) = mpsc::channel();
        let change = HostChange::Sink(NewSink::Raw(File::create(&second).unwrap()));
        assert!(queue.records.order(Box::new(HostOrder { stream: 0, change, answer })));
        recorder.handle(&mut queue, &mut Feedback::default(), &AtomicU64::new(0));
        done.recv().unwrap().unwrap();
        queue.clear();
        queue.audio.frames(0, format, &[2, 0]);
        recorder.handle(&mut queue, &mut Feedback::default(), &AtomicU64::new(0));
        assert!(Host::<Records<&'static str>>::finish(&mut recorder));
        assert_eq!((std::fs::read(first).unwrap(), std::fs::read(second).unwrap()), (vec![1, 0], vec![2, 0]));
    }
}
