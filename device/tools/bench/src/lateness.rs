//! How late a packet's notification is: from the moment when its last frame has left by the device clock,
//! until a thread that sleeps on the eventfd runs. Most of it is the host's scheduler, twice; so a bare
//! thread that sleeps to the same deadlines and signals an eventfd is measured in turn with the card, and
//! what the card adds is what lies between.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::cards::{Interrupt, Marks, PlayingCard, playing_card};
use super::row::quantile;
use super::{BenchError, Options, ROUNDS, Row, Spread};

/// Packets, in microseconds.
const PACKETS: [u32; 2] = [10_000, 1_000];
/// What of each round is given, in percent of the notifications that are not later.
const QUANTILES: [(&str, usize); 3] = [("median", 50), ("99 %", 99), ("worst", 100)];

/// Measures either packet.
pub fn measure(options: Options) -> Result<Vec<Row>, BenchError> {
    let mut rows = Vec::new();
    for packet in PACKETS {
        let mut rounds = Vec::new();
        for _ in 0..ROUNDS {
            rounds.push((card(packet, options)?, bare(packet, options.sound)?));
        }
        rows.extend(rows_of(packet, &rounds));
    }
    Ok(rows)
}

/// Rounds of the card and of the bare thread, each in sorted microseconds.
fn rows_of(packet_micros: u32, rounds: &[(Vec<f64>, Vec<f64>)]) -> impl Iterator<Item = Row> {
    QUANTILES.iter().map(move |(name, percent)| {
        let quantiles =
            |(card, bare): &(Vec<f64>, Vec<f64>)| (quantile(card, *percent), quantile(bare, *percent));
        let quantiles: Vec<(f64, f64)> = rounds.iter().map(quantiles).collect();
        Row {
            figure: "lateness",
            case: format!("{name}, {} ms packets", packet_micros / 1000),
            value: Spread::of(quantiles.iter().map(|(card, _)| *card)),
            unit: "us",
            ratio: Some(Spread::of(quantiles.iter().map(|(card, bare)| card / bare.max(0.001)))),
            of: "a bare thread's wake and eventfd",
            ceiling: None,
        }
    })
}

/// Microseconds from due to seen, of each packet, sorted.
fn card(packet_micros: u32, options: Options) -> Result<Vec<f64>, BenchError> {
    let mut card = playing_card(options.card, 1, packet_micros, Marks::Followed)?;
    card.run(0)?;
    let late = play_for(&mut *card, options.sound)?;
    card.packets_played()?;
    Ok(late)
}

/// Plays for as long as `sound`: sleeps on the interrupt, and gives the card a packet for every one that is
/// complete, as a driver does. Gives the microseconds from due to seen of each packet, sorted.
pub(super) fn play_for(card: &mut dyn PlayingCard, sound: Duration) -> Result<Vec<f64>, BenchError> {
    let begin = Instant::now();
    let mut late = Vec::new();
    while begin.elapsed() < sound {
        late.extend(card.wait()?.into_iter().map(|late| late as f64 / 1000.0));
    }
    late.sort_by(f64::total_cmp);
    Ok(late)
}

/// The same for a thread that does nothing but sleep on a condition variable, as the engine does, and signal.
fn bare(packet_micros: u32, sound: Duration) -> Result<Vec<f64>, BenchError> {
    let interrupt = Interrupt::new()?;
    let raiser = interrupt.raiser()?;
    let packet = Duration::from_micros(packet_micros.into());
    let (begin, ending) = (Instant::now(), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let sleeper = scope.spawn(|| {
            let (lock, condition) = (Mutex::new(()), Condvar::new());
            let mut due = packet;
            while !ending.load(Ordering::Relaxed) {
                let guard = lock.lock().unwrap_or_else(PoisonError::into_inner);
                let wait = due.saturating_sub(begin.elapsed());
                drop(condition.wait_timeout(guard, wait).unwrap_or_else(PoisonError::into_inner));
                if begin.elapsed() >= due {
                    due += packet;
                    raiser.write(1)?;
                }
            }
            Ok::<(), std::io::Error>(())
        });
        let mut late = Vec::new();
        let mut due = packet;
        let waited = loop {
            if begin.elapsed() >= sound {
                break Ok(());
            }
            if let Err(error) = interrupt.wait() {
                break Err(error);
            }
            let now = begin.elapsed();
            while due <= now {
                late.push(now.saturating_sub(due).as_nanos() as f64 / 1000.0);
                due += packet;
            }
        };
        ending.store(true, Ordering::Relaxed);
        if let Ok(result) = sleeper.join() {
            result?;
        }
        waited?;
        late.sort_by(f64::total_cmp);
        Ok(late)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::CardKind;

    #[test]
    fn rows_are_the_cards_quantiles_and_their_ratio_to_the_bare_threads() {
        let bare: Vec<f64> = (1..=100_u8).map(f64::from).collect();
        let card = bare.iter().map(|late| late * 4.0).collect();
        let rows: Vec<Row> = rows_of(1_000, &[(card, bare)]).collect();
        let quantiles: Vec<(f64, f64)> =
            rows.iter().map(|row| (row.value.median, row.ratio.unwrap().median)).collect();
        assert_eq!(quantiles, [(200.0, 4.0), (396.0, 4.0), (400.0, 4.0)]);
        assert_eq!(rows[1].case, "99 %, 1 ms packets");
    }

    /// Late is later than due, and (unless the whole machine stands still, when it is measured once more) less
    /// than a packet later: what is due a packet too soon or too late is neither.
    #[test]
    fn cards_and_bare_thread_are_late_by_a_little_and_seen_once_for_each_packet() {
        const PACKET: u32 = 20_000;
        let sound = Duration::from_millis(300);
        let undisturbed = |name: &str, measure: &dyn Fn() -> Result<Vec<f64>, BenchError>| {
            let begin = Instant::now();
            let late = measure().unwrap();
            let packets = begin.elapsed().as_micros() / u128::from(PACKET);
            assert!(late.len() as u128 <= packets, "{name}: {} of {packets} packets", late.len());
            assert!(late.first().is_none_or(|least| *least > 0.0), "{name}: {late:?}");
            late.len() >= 14 && late[0] < 10_000.0
        };
        for kind in [CardKind::Ringwave, CardKind::Virtio, CardKind::Hda] {
            let measure = || card(PACKET, Options { sound, card: kind });
            assert!((0..20).any(|_| undisturbed(kind.name(), &measure)), "{}", kind.name());
        }
        assert!((0..20).any(|_| undisturbed("bare", &|| bare(PACKET, sound))));
    }
}
