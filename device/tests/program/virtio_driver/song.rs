//! A sound, and a driver that plays it.

use std::collections::VecDeque;
use std::path::Path;
use std::time::{Duration, Instant};

use super::{Driver, OK, PREPARE, START, TX};

/// 10 ms of S16 stereo at 48 kHz.
pub const PERIOD: u32 = 1920;
pub const PERIOD_BYTES: usize = PERIOD as usize;
pub const S16: u8 = 5;
pub const RATE_48000: u8 = 7;

/// Sound without a silent frame, so that none can be confused with silence.
pub fn song(periods: usize) -> Vec<u8> {
    (0..periods * PERIOD_BYTES).map(|byte| u8::try_from(byte % 251 + 1).unwrap()).collect()
}

/// The data of a WAV file.
pub fn heard(path: &Path) -> Vec<u8> {
    let reader = hound::WavReader::open(path).unwrap();
    reader.into_samples::<i16>().flat_map(|sample| sample.unwrap().to_le_bytes()).collect()
}

pub fn prepare(driver: &mut Driver, stream: u32) {
    assert_eq!(driver.set_params(stream, PERIOD, 2, S16, RATE_48000), OK);
    assert_eq!(driver.pcm(PREPARE, stream), OK);
}

/// Plays all of it with four periods in flight; `pause` before each is queued again. Gives the longest time
/// from before a message was sent until the card had taken the next one: what the card has seen of it is
/// less.
pub fn play(driver: &mut Driver, sound: &[u8], cut: usize, mut pause: impl FnMut(usize)) -> Duration {
    let mut periods = sound.chunks(PERIOD_BYTES).enumerate();
    let mut heads = VecDeque::new();
    for (place, period) in periods.by_ref().take(4) {
        heads.push_back((driver.send(0, place as u64, period, cut), place as u64));
    }
    let (mut sent, mut longest) = (Instant::now(), Duration::ZERO);
    assert_eq!(driver.pcm(START, 0), OK);
    while let Some((head, place)) = heads.pop_front() {
        assert_eq!(driver.wait_used(TX), (head, 8), "in order");
        assert_eq!(driver.status(place), (OK, 0), "played, and no latency behind it");
        if let Some((number, period)) = periods.next() {
            pause(number);
            let before = std::mem::replace(&mut sent, Instant::now());
            heads.push_back((driver.send(0, place, period, cut), place));
            driver.wait_taken(TX);
            longest = longest.max(before.elapsed());
        }
    }
    longest
}
