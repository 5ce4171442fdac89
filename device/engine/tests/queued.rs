//! A client that queues buffers instead of marking packets, as virtio-snd does: the seam between a stream and
//! its transport fits it.
//!
//! Its buffers are of any length in bytes, so that their ends split frames.

use std::collections::VecDeque;

use ringwave_audio::gain::Gain;
use ringwave_audio::{SampleFormat, StreamFormat};
use ringwave_engine::audio_queue::{AudioChunk, AudioQueue};
use ringwave_engine::sources::NoSources;
use ringwave_engine::stream::active::{ActiveStream, StreamCtx};
use ringwave_engine::stream::counters::Counters;
use ringwave_engine::stream::params::{BufferGeometry, BurstFrames, Direction, StreamParams};
use ringwave_engine::stream::transport::{FrameTransport, FrontEnd, StreamEvent, TransportError};
use ringwave_engine::stream::validity::{Mark, Refresh, Validity};
use ringwave_engine::timeline::ClockMode;

const FRAME_BYTES: u32 = 4;
const FRAME: usize = FRAME_BYTES as usize;
const PACKET: u32 = 48;
const MILLISECOND: u64 = 1_000_000;

/// Buffers that the client has queued, as one stream of bytes.
#[derive(Default)]
struct Queue {
    buffers: VecDeque<Vec<u8>>,
    /// Bytes that were queued, and read, since STOP.
    queued: u64,
    read: u64,
    events: Vec<StreamEvent>,
}

impl Queue {
    fn put(&mut self, bytes: &[u8]) {
        self.queued += bytes.len() as u64;
        self.buffers.push_back(bytes.to_vec());
    }
}

impl FrameTransport for Queue {
    fn read(&mut self, frame: u64, into: &mut [u8]) -> Result<(), TransportError> {
        assert_eq!(frame * FRAME as u64, self.read, "each frame once, in order");
        for byte in &mut *into {
            while self.buffers.front().is_some_and(Vec::is_empty) {
                self.buffers.pop_front();
            }
            *byte = self.buffers.front_mut().ok_or(TransportError::Unreachable)?.remove(0);
        }
        self.read += into.len() as u64;
        Ok(())
    }

    fn write(&mut self, _frame: u64, _from: &[u8]) -> Result<(), TransportError> {
        Err(TransportError::Unreachable)
    }
}

impl FrontEnd for Queue {
    fn refresh(&mut self, _why: Refresh) -> Option<Mark> {
        Some(Mark { valid: Validity::Frame(self.queued / FRAME as u64), clock: None })
    }

    fn notify(&mut self, event: StreamEvent) {
        self.events.push(event);
    }
}

#[test]
fn queued_buffers_that_split_frames_are_played_whole_and_a_dry_queue_stalls_or_is_silent() {
    for (clock, silent) in [(ClockMode::Lockstep, 0), (ClockMode::Realtime, 48)] {
        let params = StreamParams {
            direction: Direction::Render,
            geometry: BufferGeometry {
                format: StreamFormat { sample: SampleFormat::S16, channels: 2, rate: 48_000 },
                frame_bytes: FRAME_BYTES,
                ring_bytes: 2 * PACKET * FRAME_BYTES,
                packets: 2,
                packet_frames: PACKET,
            },
            bursts: BurstFrames { unmarked: PACKET, valid: PACKET, late: PACKET },
            validity: Validity::Frame(0),
        };
        let mut stream = ActiveStream::new(params, Gain::default(), 0);
        let (mut queue, mut audio, mut counters) =
            (Queue::default(), AudioQueue::default(), Counters::new(false));
        let sound: Vec<u8> = (1..=u8::MAX).cycle().take(2 * PACKET as usize * FRAME).collect();
        // A packet and a half of a frame; the rest comes when time has stood still, or gone on, for a packet.
        let (first, second) = sound.split_at(PACKET as usize * FRAME + 2);
        queue.put(&first[..7]);
        queue.put(&first[7..]);
        let mut ctx = |time,
                       queue: &mut Queue,
                       act: &mut dyn FnMut(&mut ActiveStream, &mut StreamCtx<'_>)| {
            let (sources, audio, counters) = (&mut NoSources, &mut audio, &mut counters);
            act(&mut stream, &mut StreamCtx { stream: 0, time, front_end: queue, sources, audio, counters });
        };
        ctx(0, &mut queue, &mut |stream, ctx| {
            stream.refresh(Refresh::Told, ctx);
            stream.run(None, clock, ctx);
        });
        ctx(MILLISECOND, &mut queue, &mut |stream, ctx| stream.on_burst_end(false, ctx));
        queue.put(second);
        if clock == ClockMode::Lockstep {
            assert_eq!(queue.events.last(), Some(&StreamEvent::Stall { packet: 1 }));
            ctx(5 * MILLISECOND, &mut queue, &mut |stream, ctx| {
                assert_eq!(stream.stalled(), Some((1, MILLISECOND)));
                stream.refresh(Refresh::Told, ctx);
            });
            ctx(6 * MILLISECOND, &mut queue, &mut |stream, ctx| stream.on_burst_end(false, ctx));
        } else {
            assert_eq!(queue.events.last(), Some(&StreamEvent::Underrun { packet: 1 }));
            ctx(2 * MILLISECOND, &mut queue, &mut |stream, ctx| stream.on_burst_end(false, ctx));
        }
        let (mut heard, mut silence) = (Vec::new(), 0);
        for (_, _, chunk) in audio.chunks() {
            match chunk {
                AudioChunk::Frames(bytes) => heard.extend_from_slice(bytes),
                AudioChunk::Silence(frames) => silence += frames,
                AudioChunk::Stop => {}
            }
        }
        let played = if clock == ClockMode::Lockstep { sound.len() } else { PACKET as usize * FRAME };
        assert_eq!((heard.as_slice(), silence), (&sound[..played], silent));
        assert_eq!(counters.stats.packets_completed, 2);
    }
}
