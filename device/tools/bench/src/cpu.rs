//! CPU time of the card: engine thread and I/O worker, nothing else in the process does anything.
//!
//! Everything that will be played is marked at the start, or nothing is, so that no client's time is counted.
//! They start one after the other, spread over a packet: the worst case, for no two of their ends can be
//! handled in one wake.

use std::io;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use super::measured_card::MeasuredCard;
use super::{BenchError, Options, ROUNDS, Row, Spread};

/// Streams at the same time.
const STREAMS: [u32; 3] = [1, 8, 16];
/// Packets, in microseconds.
const PACKETS: [u32; 2] = [10_000, 1_000];

/// A packet that will not be reached: everything before it is marked.
const FAR: u32 = i32::MAX.cast_unsigned();

/// Measures every number of streams with either packet: marked, as a driver's are, and unmarked, in bursts of
/// a FIFO.
pub fn measure(options: Options) -> Result<Vec<Row>, BenchError> {
    let mut rows = Vec::new();
    for packet in PACKETS {
        for streams in STREAMS {
            for marked in [true, false] {
                let rounds = (0..ROUNDS).map(|_| per_stream(streams, packet, marked, options.sound));
                let measured = rounds.collect::<Result<Vec<Cost>, _>>()?;
                rows.extend(rows_of(streams, packet, marked, &measured));
            }
        }
    }
    Ok(rows)
}

fn rows_of(streams: u32, packet: u32, marked: bool, measured: &[Cost]) -> [Row; 2] {
    let plural = if streams == 1 { "" } else { "s" };
    let unmarked = if marked { "" } else { ", unmarked" };
    let case = format!("{streams} stream{plural}, {} ms packets{unmarked}", packet / 1000);
    let packets = f64::from(1_000_000 / packet * streams);
    [
        Row {
            figure: "cpu",
            case: case.clone(),
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

fn per_stream(streams: u32, packet_micros: u32, marked: bool, sound: Duration) -> Result<Cost, BenchError> {
    let card = MeasuredCard::new(streams, packet_micros, false)?;
    let begin = Instant::now();
    let apart = Duration::from_micros(packet_micros.into()) / streams;
    for index in 0..streams {
        if marked {
            card.mark(index, FAR)?;
        }
        std::thread::sleep((apart * index).saturating_sub(begin.elapsed()));
        card.run(index)?;
    }
    let wakes = card.report().wakes;
    let (begin, cpu) = (Instant::now(), cpu_time(ClockId::ProcessCPUTime)?);
    std::thread::sleep(sound);
    let cpu = cpu_time(ClockId::ProcessCPUTime)?.saturating_sub(cpu);
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
