//! CPU time of the card: engine and desk, nothing else in the process does anything.
//!
//! The streams are not WRITTEN, so that no client's time is counted. They start one after the other, spread over a packet: the worst case,
//! for no two of their ends can be handled in one wake.

use std::io;
use std::time::{Duration, Instant};

use super::rig::Rig;
use super::{BenchError, Options, ROUNDS, Row, Spread};

/// Streams at the same time.
const STREAMS: [u32; 3] = [1, 8, 16];
/// Packets, in microseconds.
const PACKETS: [u32; 2] = [10_000, 1_000];

/// Measures every number of streams with either packet.
pub fn measure(options: Options) -> Result<Vec<Row>, BenchError> {
    let mut rows = Vec::new();
    for packet in PACKETS {
        for streams in STREAMS {
            let rounds = (0..ROUNDS).map(|_| per_stream(streams, packet, options.sound));
            let measured = rounds.collect::<Result<Vec<f64>, _>>()?;
            let plural = if streams == 1 { "" } else { "s" };
            rows.push(Row {
                figure: "cpu",
                case: format!("{streams} stream{plural}, {} ms packets", packet / 1000),
                value: Spread::of(measured.iter().map(|share| share * 1000.0)),
                unit: "ms/s per stream",
                ratio: Some(Spread::of(measured)),
                of: "one core for the same time",
                ceiling: None,
            });
        }
    }
    Ok(rows)
}

/// Seconds of CPU time for a second of one stream's sound.
fn per_stream(streams: u32, packet_micros: u32, sound: Duration) -> Result<f64, BenchError> {
    let rig = Rig::new(streams, packet_micros, false)?;
    let begin = Instant::now();
    let apart = Duration::from_micros(packet_micros.into()) / streams;
    for index in 0..streams {
        std::thread::sleep((apart * index).saturating_sub(begin.elapsed()));
        rig.run(index)?;
    }
    let (begin, cpu) = (Instant::now(), cpu_time(libc::CLOCK_PROCESS_CPUTIME_ID)?);
    std::thread::sleep(sound);
    let cpu = cpu_time(libc::CLOCK_PROCESS_CPUTIME_ID)?.saturating_sub(cpu);
    let took = begin.elapsed();
    rig.played()?;
    Ok(cpu.as_secs_f64() / took.as_secs_f64() / f64::from(streams))
}

/// CPU time, user and kernel, by `clock`: of this thread (`CLOCK_THREAD_CPUTIME_ID`), or of all threads of the process
/// (`CLOCK_PROCESS_CPUTIME_ID`).
pub(super) fn cpu_time(clock: libc::clockid_t) -> io::Result<Duration> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a timespec for the kernel to fill in.
    if unsafe { libc::clock_gettime(clock, &raw mut time) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let nanos = i128::from(time.tv_sec) * 1_000_000_000 + i128::from(time.tv_nsec);
    Ok(Duration::from_nanos(u64::try_from(nanos).map_err(io::Error::other)?))
}
