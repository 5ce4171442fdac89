//! How loud the streams are that play: a thread for each listens to it, and keeps the loudest sample since
//! somebody last asked.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use ringwave::control::Heard;
use ringwave_audio::StreamFormat;
use ringwave_report::{Direction, SessionReport};

use crate::cli::heard::HeardSound;

/// Of each stream that plays and can be listened to.
pub struct Meters(Vec<(u32, Arc<Meter>)>);

/// The loudest sample, full scale 1, as the bits of an f64: for positive ones they are in the same order.
#[derive(Default)]
struct Meter(AtomicU64);

impl Meters {
    /// Begins to listen. A stream that cannot be listened to has no level.
    pub fn start(socket: &Path, report: &SessionReport) -> Self {
        let playing = report.streams.iter().filter(|stream| stream.direction == Direction::Render);
        let meters = playing.filter_map(|stream| {
            let heard = HeardSound::begin(socket, stream.index).ok()?;
            let meter = Arc::new(Meter::default());
            let kept = Arc::downgrade(&meter);
            let listener = std::thread::Builder::new().name("meter".into());
            listener.spawn(move || listen(heard, &kept)).ok()?;
            Some((stream.index, meter))
        });
        Self(meters.collect())
    }

    /// The loudest sample of a stream since the last call; `None` if nobody listens to it.
    pub fn take(&self, stream: u32) -> Option<f64> {
        let (_, meter) = self.0.iter().find(|(of, _)| *of == stream)?;
        Some(f64::from_bits(meter.0.swap(0, Ordering::Relaxed)))
    }
}

/// Until the card or the meter ends, or says what is no sound.
fn listen(mut heard: HeardSound, meter: &Weak<Meter>) {
    while let Ok(Some((Heard { format, .. }, frames))) = heard.next() {
        let Some(meter) = meter.upgrade() else { return };
        meter.0.fetch_max(loudest(format, frames).to_bits(), Ordering::Relaxed);
    }
}

fn loudest(format: StreamFormat, frames: &[u8]) -> f64 {
    let mut loudest = 0.0_f64;
    format.sample.decode(frames, |level| loudest = loudest.max(level.abs()));
    loudest
}
