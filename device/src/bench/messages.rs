//! What a second of sound costs in messages: accesses that the guest makes and QEMU carries to the card (each stops a virtual CPU), and
//! interrupts the other way. Counted by the card itself, while a stream that is WRITTEN runs.

use super::lateness::listen;
use super::rig::Rig;
use super::{BenchError, Options, ROUNDS, Row, Spread};

/// Packets, in microseconds.
const PACKETS: [u32; 2] = [10_000, 1_000];

/// Measures either packet.
pub fn measure(options: Options) -> Result<Vec<Row>, BenchError> {
    let mut rows = Vec::new();
    for packet in PACKETS {
        let rounds = (0..ROUNDS).map(|_| count(packet, options));
        let counted = rounds.collect::<Result<Vec<Counted>, _>>()?;
        let row = |name: &str, count: fn(&Counted) -> f64| Row {
            figure: "messages",
            case: format!("{name}, {} ms packets", packet / 1000),
            value: Spread::of(counted.iter().map(|counted| count(counted) / counted.seconds)),
            unit: "1/s",
            ratio: Some(Spread::of(counted.iter().map(|counted| count(counted) / counted.packets))),
            of: "packets",
        };
        rows.push(row("messages to the card", |counted| counted.messages));
        rows.push(row("interrupts", |counted| counted.interrupts));
    }
    Ok(rows)
}

struct Counted {
    messages: f64,
    interrupts: f64,
    packets: f64,
    /// Of sound.
    seconds: f64,
}

fn count(packet_micros: u32, options: Options) -> Result<Counted, BenchError> {
    let rig = Rig::new(1, packet_micros, true)?;
    rig.run(0)?;
    let before = rig.report();
    listen(&rig, options.sound)?;
    let after = rig.report();
    let packets = rig.played()?;
    Ok(Counted {
        messages: after.messages.total.saturating_sub(before.messages.total) as f64,
        interrupts: after.interrupts.saturating_sub(before.interrupts) as f64,
        packets: packets as f64,
        seconds: packets as f64 * f64::from(packet_micros) / 1e6,
    })
}
