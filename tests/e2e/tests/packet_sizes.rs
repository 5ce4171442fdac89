//! The shortest packet that can be promised: each size in real time, in both directions, with a busy loop on
//! every core, and the card's lateness told from the guest's. `qemu-scripts/test --long` runs it;
//! `RINGWAVE_PACKET_SECONDS` shortens it.
//!
//! Under TCG the guest is late far more often than the card, and a packet that the guest marks late, or
//! never, is silent whoever the card is. So a size is *clean* if the card lost nothing beyond what the guest
//! was late for, and handled every end of a piece within a millisecond. Run it on a machine that does nothing
//! else: a kernel that is built without preemption lets nobody in while it works for another program.

use std::{
    fmt,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    thread,
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
const ANNOUNCED: u32 = 10;
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
}

impl Row {
    fn new(millis: u32, records: bool, report: &Report, stream: &StreamReport) -> Self {
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
        lost == 0 && (self.guest_late > 0 || self.silence_frames == 0) && self.worst_us <= IN_TIME_US
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { millis, packets, guest_late, lost, silence_frames, worst_us, .. } = self;
        let lost = lost.map_or("unknown".into(), |lost| lost.to_string());
        let direction = if self.records { "record" } else { "play" };
        let clean = if self.clean() { "clean" } else { "not clean" };
        write!(
            f,
            "{millis:>2} ms  {direction:<6}  {packets:>7} packets  {guest_late:>5} late by the guest  {lost:>7} lost  \
             {silence_frames:>7} frames  worst {worst_us:>6} us  {clean}"
        )
    }
}

fn measure(millis: u32, records: bool, wav: &Path) -> Row {
    let artefacts = Artefacts::from_env().expect("everything is built");
    let mut request = if records { Request::record(wav) } else { Request::play(wav) };
    request.clock = Clock::Realtime(1.0);
    request.buffer_ms = 2 * millis;
    let report = run(&artefacts, &request, |_| {}).expect("the run comes to a verdict");
    eprintln!("{report}");
    let stream = report
        .card
        .first(if records { Direction::Capture } else { Direction::Render })
        .expect("the card has the stream");
    Row::new(millis, records, &report, stream)
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
