//! CPU time of the card: engine thread and I/O worker, nothing else in the process does anything.
//!
//! A guest of the Ringwave card marks everything that will be played at the start, or nothing, and an HD
//! Audio guest never does anything; of a virtio guest, which has to go on with messages, only what the card
//! does when it is kicked is counted. The streams start one after the other, spread over a packet: the worst
//! case, for no two of their ends can be handled in one wake.

use std::io;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use super::cards::{Marks, playing_card};
use super::{BenchError, Options, ROUNDS, Row, Spread};

/// Packets, in microseconds.
const PACKETS: [u32; 2] = [10_000, 1_000];

/// Measures every number of streams with either packet, and with each way of marking that the card has.
pub fn measure(options: Options) -> Result<Vec<Row>, BenchError> {
    let mut rows = Vec::new();
    for packet in PACKETS {
        for &streams in options.card.streams() {
            for (marks, name) in options.card.marks() {
                let rounds = (0..ROUNDS).map(|_| per_stream(options, streams, packet, *marks));
                let measured = rounds.collect::<Result<Vec<Cost>, _>>()?;
                let plural = if streams == 1 { "" } else { "s" };
                let case = format!("{streams} stream{plural}, {} ms packets{name}", packet / 1000);
                rows.extend(rows_of(&case, f64::from(1_000_000 / packet * streams), &measured));
            }
        }
    }
    Ok(rows)
}

/// `packets`: of all streams, in a second.
fn rows_of(case: &str, packets: f64, measured: &[Cost]) -> [Row; 2] {
    [
        Row {
            figure: "cpu",
            case: case.to_owned(),
            value: Spread::of(measured.iter().map(|cost| cost.share * 1000.0)),
            unit: "ms/s per stream",
            ratio: Some(Spread::of(measured.iter().map(|cost| cost.share))),
            of: "one core for the same time",
            ceiling: None,
        },
        Row {
            figure: "cpu",
            case: format!("wakes, {case}"),
            value: Spread::of(measured.iter().map(|cost| cost.wakes)),
            unit: "1/s",
            ratio: Some(Spread::of(measured.iter().map(|cost| cost.wakes / packets))),
            of: "packets",
            ceiling: None,
        },
    ]
}

/// What streams cost the host.
struct Cost {
    /// Seconds of CPU time for a second of one stream's sound.
    share: f64,
    /// Wakes of the engine in a second, for all streams.
    wakes: f64,
}

fn per_stream(options: Options, streams: u32, packet: u32, marks: Marks) -> Result<Cost, BenchError> {
    let mut card = playing_card(options.card, streams, packet, marks)?;
    let begin = Instant::now();
    let apart = Duration::from_micros(packet.into()) / streams;
    for index in 0..streams {
        std::thread::sleep((apart * index).saturating_sub(begin.elapsed()));
        card.run(index)?;
    }
    let wakes = card.report().wakes;
    let (begin, cpu) = (Instant::now(), cpu_time(ClockId::ProcessCPUTime)?);
    let guest = card.leave_alone(options.sound)?;
    let cpu = cpu_time(ClockId::ProcessCPUTime)?.saturating_sub(cpu).saturating_sub(guest);
    let took = begin.elapsed().as_secs_f64();
    let wakes = card.report().wakes.saturating_sub(wakes);
    card.packets_played()?;
    Ok(Cost { share: cpu.as_secs_f64() / took / f64::from(streams), wakes: wakes as f64 / took })
}

/// CPU time, user and kernel, by `clock`: of this thread ([`ClockId::ThreadCPUTime`]), or of all threads of
/// the process ([`ClockId::ProcessCPUTime`]).
pub(super) fn cpu_time(clock: ClockId) -> io::Result<Duration> {
    Duration::try_from(clock_gettime(clock)).map_err(io::Error::other)
}
