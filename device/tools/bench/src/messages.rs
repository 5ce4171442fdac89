//! What a second of sound costs in messages: accesses that the guest makes and QEMU carries to the card (each
//! stops a virtual CPU), and interrupts the other way. Counted by the card itself, while a stream runs whose
//! guest does what a driver has to: marks packets by the mark page, queues messages, or clears the interrupt.

use super::cards::{Marks, playing_card};
use super::lateness::play_for;
use super::{BenchError, Options, ROUNDS, Row, Spread};

/// Packets, in microseconds.
const PACKETS: [u32; 2] = [10_000, 1_000];

/// Measures either packet.
pub fn measure(options: Options) -> Result<Vec<Row>, BenchError> {
    let mut rows = Vec::new();
    for packet in PACKETS {
        let rounds = (0..ROUNDS).map(|_| count(packet, options));
        rows.extend(rows_of(packet, &rounds.collect::<Result<Vec<Counted>, _>>()?));
    }
    Ok(rows)
}

fn rows_of(packet_micros: u32, counted: &[Counted]) -> [Row; 2] {
    let row = |name: &str, count: fn(&Counted) -> f64| Row {
        figure: "messages",
        case: format!("{name}, {} ms packets", packet_micros / 1000),
        value: Spread::of(counted.iter().map(|counted| count(counted) / counted.seconds)),
        unit: "1/s",
        ratio: Some(Spread::of(counted.iter().map(|counted| count(counted) / counted.packets))),
        of: "packets",
        ceiling: None,
    };
    [row("messages to the card", |counted| counted.messages), row("interrupts", |counted| counted.interrupts)]
}

struct Counted {
    messages: f64,
    interrupts: f64,
    packets: f64,
    /// Of sound.
    seconds: f64,
}

fn count(packet_micros: u32, options: Options) -> Result<Counted, BenchError> {
    let mut card = playing_card(options.card, 1, packet_micros, Marks::Followed)?;
    card.run(0)?;
    let before = card.report();
    play_for(&mut *card, options.sound)?;
    let after = card.report();
    let packets = card.packets_played()?;
    Ok(Counted {
        messages: after.messages.total.saturating_sub(before.messages.total) as f64,
        interrupts: after.interrupts.saturating_sub(before.interrupts) as f64,
        packets: packets as f64,
        seconds: packets as f64 * f64::from(packet_micros) / 1e6,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cards::PlayingCard;
    use crate::cards::ringwave::{RingwaveCard, block};

    #[test]
    fn rows_are_counts_per_second_and_per_packet() {
        let counted = Counted { messages: 30.0, interrupts: 20.0, packets: 10.0, seconds: 0.1 };
        let [messages, interrupts] = rows_of(10_000, &[counted]);
        let figures = |row: Row| (row.value.median, row.ratio.unwrap().median);
        assert_eq!(messages.case, "messages to the card, 10 ms packets");
        assert_eq!(figures(messages), (300.0, 3.0));
        assert_eq!(figures(interrupts), (200.0, 2.0));
    }

    /// The card's own counters, with a guest that does one thing of a known number.
    #[test]
    fn every_register_access_is_one_message() {
        let card = RingwaveCard::new(1, 10_000, Marks::Followed).unwrap();
        let before = card.report().messages.total;
        for _ in 0..7 {
            card.read(block(0));
        }
        assert_eq!(card.report().messages.total - before, 7);
    }
}
