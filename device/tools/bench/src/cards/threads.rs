//! The threads of a measured card. The I/O worker's side: sound goes to the null sink, all else is dropped.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ringwave_engine::audio_queue::AudioChunk;
use ringwave_engine::device::Device;
use ringwave_engine::io_queue::{Feedback, IoQueue};
use ringwave_engine::threads::{Host, Threads};
use ringwave_host::{SinkError, SinkSpec, Sinks};
use ringwave_served::records::Records;

use crate::BenchError;

/// Engine thread and I/O worker of a card; they end with it.
pub struct CardThreads<D: Device>(Option<Threads<D>>);

impl<E: Send + 'static, D: Device<Records = Records<E>>> CardThreads<D> {
    /// Starts both.
    pub fn start(card: &Arc<D>) -> Result<Self, BenchError> {
        Ok(Self(Some(Threads::start(Arc::clone(card), NullHost::new()?)?)))
    }
}

impl<D: Device> Drop for CardThreads<D> {
    fn drop(&mut self) {
        if let Some(threads) = self.0.take() {
            threads.end();
        }
    }
}

/// Plays into nothing.
struct NullHost(Sinks);

impl NullHost {
    fn new() -> Result<Self, SinkError> {
        Sinks::new(SinkSpec::Null).map(Self)
    }
}

impl<E: Send + 'static> Host<Records<E>> for NullHost {
    fn handle(&mut self, queue: &mut IoQueue<Records<E>>, feedback: &mut Feedback, done: &AtomicU64) {
        for (stream, format, chunk) in queue.audio.chunks() {
            let result = match chunk {
                AudioChunk::Frames(bytes) => self.0.frames(stream, format, bytes),
                AudioChunk::Silence(frames) => self.0.silence(stream, format, frames),
                AudioChunk::Stop => {
                    self.0.stopped(stream);
                    Ok(())
                }
            };
            if result.is_err() {
                feedback.failed |= 1_u32.checked_shl(stream).unwrap_or(0);
            }
            done.fetch_add(1, Ordering::Relaxed);
        }
        self.0.idle_but(queue.streams.moving);
        feedback.rates.extend(self.0.rates());
        queue.records.clear();
    }

    fn due(&self) -> Option<Duration> {
        self.0.flush_due().into_iter().chain(self.0.idle_due()).min()
    }

    fn finish(&mut self) -> bool {
        self.0.finish().is_empty()
    }
}
