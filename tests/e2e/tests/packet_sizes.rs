//! The shortest packet that can be promised: each size in real time, in both directions, with a busy loop on
//! every core, and the card's lateness told from the guest's. `qemu-scripts/test --long` runs it;
//! `RINGWAVE_PACKET_SECONDS` shortens it.
//!
//! Under TCG the guest is late far more often than the card, and a packet that the guest marks late, or
//! never, is silent whoever the card is. And a machine stops for milliseconds by itself: a kernel without
//! preemption while it works for another program, a virtual machine while its host runs something else. So a
//! bare thread of the same priority sleeps beside the card from millisecond to millisecond and does nothing
//! else, so that no such stop escapes it. A size is *clean* if the card lost nothing beyond what the guest
//! was late for, and handled every end of a piece within a millisecond, or within twice the worst lateness of
//! the bare thread: both are the largest of thousands of samples, and two such figures differ by that much.

use std::{
    fmt,
    path::Path,
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use ringwave_e2e::noise::wav;
use ringwave_report::{Direction, StreamReport};
use ringwave_runner::{
    artefacts::Artefacts,
    report::Report,
    request::{Clock, Request},
    run::run,
};

/// What is measured, in milliseconds.
const SIZES: [u32; 5] = [1, 2, 3, 5, 10];
/// What the driver announces for every mode (`driver/src/registry.rs`).
const ANNOUNCED: u32 = 2;
/// An end that is handled within it is in time.
const IN_TIME_US: u64 = 1_000;

/// A busy loop per core, until it goes.
struct Load(&'static AtomicBool);

impl Load {
    fn start() -> Self {
        static BUSY: AtomicBool = AtomicBool::new(true);
        BUSY.store(true, Ordering::Relaxed);
        for _ in 0..thread::available_parallelism().map_or(2, usize::from) {
            thread::spawn(|| {
                while BUSY.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        Self(&BUSY)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

/// The lateness of a thread at the priority of the card's engine (`serve --priority`) that only sleeps.
#[derive(Default)]
struct BareThread {
    wakes: u64,
    /// Wakes that were later than [`IN_TIME_US`].
    late: u64,
    worst_us: u64,
}

impl BareThread {
    /// Shorter than the packet that is announced: it sees the machine stop whenever a packet could.
    const PERIOD: Duration = Duration::from_millis(1);

    /// Sleeps to the end of each period until nobody is left to end it.
    fn measure(done: &mpsc::Receiver<()>) -> Self {
        let mut result = Self::default();
        let mut due = Instant::now();
        while let Err(mpsc::TryRecvError::Empty) = done.try_recv() {
            due += Self::PERIOD;
            thread::sleep(due.saturating_duration_since(Instant::now()));
            let late = u64::try_from(due.elapsed().as_micros()).unwrap_or(u64::MAX);
            result.wakes += 1;
            result.late += u64::from(late > IN_TIME_US);
            result.worst_us = result.worst_us.max(late);
        }
        result
    }

    /// Runs `work` beside such a thread.
    fn beside<T>(work: impl FnOnce() -> T) -> (Self, T) {
        let (started, waits) = mpsc::channel();
        let (done, is_done) = mpsc::channel();
        thread::scope(|scope| {
            let bare = scope.spawn(move || {
                let thread = std::fs::read_link("/proc/thread-self").expect("a Linux host");
                let thread = thread.file_name().expect("PID/task/TID").to_owned();
                let result = Command::new("chrt").args(["--fifo", "--pid", "1"]).arg(thread).status();
                started.send(result.is_ok_and(|status| status.success())).expect("the test waits");
                Self::measure(&is_done)
            });
            assert!(
                waits.recv().expect("the thread answers"),
                "chrt gives no real-time priority: run it as root"
            );
            let result = work();
            drop(done);
            (bare.join().expect("it only sleeps"), result)
        })
    }
}

/// One row of the table.
struct Row {
    millis: u32,
    records: bool,
    packets: u64,
    /// Packets that the guest marked late or never, or took late.
    guest_late: u64,
    /// Packets with silence, or that were recorded over; `None` = the card does not know, for none was ever
    /// marked.
    lost: Option<u64>,
    silence_frames: u64,
    worst_us: u64,
    bare: BareThread,
}

impl Row {
    fn new(millis: u32, records: bool, report: &Report, stream: &StreamReport, bare: BareThread) -> Self {
        let in_time: u64 = stream.margins.iter().map(|margin| margin.packets).sum();
        let guest_late = if records {
            report.guest.result("lost-packets").unwrap_or(0)
        } else {
            stream.packets_completed.saturating_sub(in_time)
        };
        Self {
            millis,
            records,
            packets: stream.packets_completed,
            guest_late,
            lost: stream.underruns,
            silence_frames: stream.silence_frames,
            worst_us: stream.worst_lateness_us,
            bare,
        }
    }

    /// The card lost nothing of its own, and was in time. What a capture stream is recorded over is what the
    /// guest did not take, and how much that was is known to the guest in jumps of the packet number only: of
    /// a guest that was late nothing else can be said.
    fn clean(&self) -> bool {
        let lost = match (self.records, self.lost) {
            (true, _) if self.guest_late > 0 => 0,
            (true, None) => self.silence_frames,
            (_, lost) => lost.map_or(1, |lost| lost.saturating_sub(self.guest_late)),
        };
        let in_time = self.worst_us <= IN_TIME_US.max(self.bare.worst_us.saturating_mul(2));
        lost == 0 && (self.guest_late > 0 || self.silence_frames == 0) && in_time
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { millis, packets, guest_late, lost, silence_frames, worst_us, bare, .. } = self;
        let lost = lost.map_or("unknown".into(), |lost| lost.to_string());
        let direction = if self.records { "record" } else { "play" };
        let clean = if self.clean() { "clean" } else { "not clean" };
        write!(
            f,
            "{millis:>2} ms  {direction:<6}  {packets:>7} packets  {guest_late:>5} late by the guest  {lost:>7} lost  \
             {silence_frames:>7} frames  worst {worst_us:>6} us  bare thread: {:>6} us, {} of {} over 1 ms  {clean}",
            bare.worst_us, bare.late, bare.wakes
        )
    }
}

fn measure(millis: u32, records: bool, wav: &Path) -> Row {
    let artefacts = Artefacts::from_env().expect("everything is built");
    let mut request = if records { Request::record(wav) } else { Request::play(wav) };
    request.clock = Clock::Realtime(1.0);
    request.buffer_ms = 2 * millis;
    let (bare, report) = BareThread::beside(|| run(&artefacts, &request, |_| {}));
    let report = report.expect("the run comes to a verdict");
    eprintln!("{report}");
    let stream = report
        .card
        .first(if records { Direction::Capture } else { Direction::Render })
        .expect("the card has the stream");
    Row::new(millis, records, &report, stream, bare)
}

#[test]
#[ignore = "takes a hundred minutes: run qemu-scripts/test --long"]
fn the_packet_that_is_announced_is_clean_under_load() {
    let seconds = std::env::var("RINGWAVE_PACKET_SECONDS").map_or(600, |text| text.parse().expect("seconds"));
    // What a client records leaves the guest byte by byte: the smallest frame that there is.
    let (played, recorded) = (wav(seconds * 48_000, 2, 48_000), wav(seconds * 8_000, 1, 8_000));
    let load = Load::start();
    let rows: Vec<Row> = SIZES
        .iter()
        .flat_map(|&millis| [measure(millis, false, &played.path), measure(millis, true, &recorded.path)])
        .collect();
    drop(load);
    println!("{seconds} s each, a busy loop per core");
    for row in &rows {
        println!("{row}");
    }
    let broken: Vec<String> =
        rows.iter().filter(|row| row.millis >= ANNOUNCED && !row.clean()).map(Row::to_string).collect();
    assert!(broken.is_empty(), "{broken:#?}");
}
