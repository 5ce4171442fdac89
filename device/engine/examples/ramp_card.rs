//! The smallest card on the engine: one render stream that plays what no guest has to write, a ramp.
//!
//! A card is a [`Device`] for the two threads and a [`FrontEnd`] for each of its streams. Run it with
//! `cargo run -p ringwave-engine --example ramp_card`: it plays for a second, in real time.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ringwave_audio::gain::Gain;
use ringwave_audio::{SampleFormat, StreamFormat};
use ringwave_engine::audio_queue::AudioChunk;
use ringwave_engine::clock::{HostClock, Speed};
use ringwave_engine::device::Device;
use ringwave_engine::io_queue::{Feedback, IoQueue};
use ringwave_engine::sources::NoSources;
use ringwave_engine::stream::active::{ActiveStream, StreamCtx};
use ringwave_engine::stream::counters::Counters;
use ringwave_engine::stream::params::{BufferGeometry, BurstFrames, Direction, StreamParams};
use ringwave_engine::stream::transport::{FrameTransport, FrontEnd, StreamEvent, TransportError};
use ringwave_engine::stream::validity::{Mark, Refresh, Validity};
use ringwave_engine::threads::{Host, Threads};
use ringwave_engine::timeline::ClockMode;
use ringwave_engine::wake::Wakers;

/// 16 bits, one channel, 48 kHz; 10 ms in a packet, fetched as a whole.
const PACKET: u32 = 480;
const PARAMS: StreamParams = StreamParams {
    direction: Direction::Render,
    geometry: BufferGeometry {
        format: StreamFormat { sample: SampleFormat::S16, channels: 1, rate: 48_000 },
        frame_bytes: 2,
        ring_bytes: 2 * PACKET * 2,
        packets: 2,
        packet_frames: PACKET,
    },
    bursts: BurstFrames { unmarked: PACKET, valid: PACKET, late: PACKET },
    validity: Validity::Unmarked,
};

/// The client: frame n is n, and whatever happens is fine.
struct Ramp;

impl FrameTransport for Ramp {
    fn read(&mut self, frame: u64, into: &mut [u8]) -> Result<(), TransportError> {
        for (number, sample) in (frame..).zip(into.chunks_exact_mut(2)) {
            let [low, high, ..] = number.to_le_bytes();
            sample.copy_from_slice(&[low, high]);
        }
        Ok(())
    }

    fn write(&mut self, _frame: u64, _from: &[u8]) -> Result<(), TransportError> {
        Err(TransportError::NotPermitted)
    }
}

impl FrontEnd for Ramp {
    fn refresh(&mut self, _why: Refresh) -> Option<Mark> {
        None
    }

    fn notify(&mut self, _event: StreamEvent) {}
}

/// The card: its stream and its queue under one lock, a clock, and the bells of its threads.
struct RampCard {
    state: Mutex<(ActiveStream, Counters, IoQueue<()>)>,
    clock: HostClock,
    wakers: Wakers,
}

impl RampCard {
    fn running() -> Self {
        let clock = HostClock::start(Speed::REAL);
        let (mut stream, mut counters) =
            (ActiveStream::new(PARAMS, Gain::default(), 0), Counters::new(false));
        let mut queue = IoQueue::default();
        stream.run(
            None,
            ClockMode::Realtime,
            &mut ctx(clock.now(), (&mut counters, &mut queue), (&mut Ramp, &mut NoSources)),
        );
        Self { state: Mutex::new((stream, counters, queue)), clock, wakers: Wakers::default() }
    }
}

/// What the stream is lent for one call. `sources`: nothing is captured.
fn ctx<'a>(
    time: u64,
    (counters, queue): (&'a mut Counters, &'a mut IoQueue<()>),
    (front_end, sources): (&'a mut Ramp, &'a mut NoSources),
) -> StreamCtx<'a> {
    StreamCtx { stream: 0, time, front_end, sources, audio: &mut queue.audio, counters }
}

impl Device for RampCard {
    type Records = ();

    fn advance(&self) -> Option<Duration> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (stream, counters, queue) = &mut *state;
        while let Some(due) = stream.due().filter(|due| *due <= self.clock.now()) {
            stream.on_burst_end(false, &mut ctx(due, (counters, queue), (&mut Ramp, &mut NoSources)));
            self.wakers.io.wake();
        }
        stream.due().map(|due| self.clock.until(due))
    }

    fn drain(&self, queue: &mut IoQueue<()>, _feedback: &mut Feedback) {
        std::mem::swap(queue, &mut self.state.lock().unwrap_or_else(PoisonError::into_inner).2);
    }

    fn wakers(&self) -> &Wakers {
        &self.wakers
    }
}

/// The host: counts frames that are what they should be.
struct Counting(Arc<AtomicU64>);

impl Host<()> for Counting {
    fn handle(&mut self, queue: &mut IoQueue<()>, _feedback: &mut Feedback, done: &AtomicU64) {
        for (_stream, _format, chunk) in queue.audio.chunks() {
            let AudioChunk::Frames(bytes) = chunk else { continue };
            for sample in bytes.chunks_exact(2) {
                let next = self.0.load(Ordering::Relaxed);
                let right = next.to_le_bytes().starts_with(sample);
                self.0.fetch_add(u64::from(right), Ordering::Relaxed);
            }
            done.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn due(&self) -> Option<Duration> {
        None
    }

    fn finish(&mut self) -> bool {
        true
    }
}

/// Plays for so long. Gives how many frames were heard, each in its place.
pub fn play(time: Duration) -> u64 {
    let heard = Arc::new(AtomicU64::new(0));
    let Ok(threads) = Threads::start(Arc::new(RampCard::running()), Counting(Arc::clone(&heard))) else {
        return 0;
    };
    std::thread::sleep(time);
    threads.end();
    heard.load(Ordering::Relaxed)
}

fn main() {
    println!("{} frames of the ramp were heard in a second", play(Duration::from_secs(1)));
}
