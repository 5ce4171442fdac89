//! What the card brought about and nobody has dealt with yet: it is filled with the card's lock held and emptied by the engine
//! thread without it, so that a message handler never waits for a file.

use std::sync::mpsc::Sender;

use crate::ports::Effects;
use ringwave_audio::StreamFormat;
use ringwave_engine::audio_queue::{AudioChunk, AudioQueue};
use ringwave_regs::error::Error;
use ringwave_report::SessionReport;
use ringwave_trace::Diagnostic;
use ringwave_trace::{Event, TraceRecord};

/// Sound that may wait for the sinks: five minutes of 48 kHz stereo. More means that the sink has failed without saying so.
pub const SOUND_BYTES_MAX: usize = 64 << 20;
/// Stretches of sound that may wait, whatever their length.
const SOUNDS_MAX: usize = SOUND_BYTES_MAX / 64;
/// Events of the trace that may wait: some 60 MB.
const TRACE_MAX: usize = 1 << 20;
/// So many events of the trace do not wait for more.
const TRACE_BATCH: usize = 1 << 14;
/// Notes that may wait.
const NOTES_MAX: usize = 256;
/// How often one client is told of in the log for sound that found no room.
const TOLD_MAX: u32 = 16;
/// Questions that may wait.
const ASKS_MAX: usize = 32;

/// Who wants the present client's figures.
#[derive(Debug)]
pub enum Ask {
    /// The log, and the file for figures.
    Log,
    /// Somebody who waits for them.
    Tell(Sender<SessionReport>),
}

/// [`AudioChunk`], owned; frames are in [`Outbox::audio`].
#[derive(Clone, Copy, Debug)]
enum Sound {
    Frames { start: usize, end: usize },
    Silence(u64),
    Stop,
}

/// Things to do for the engine, in order.
#[derive(Default)]
pub struct Outbox {
    audio: Vec<u8>,
    sounds: Vec<(u32, StreamFormat, Sound)>,
    /// The trace. When there was no room its last event is [`Event::Lost`].
    pub trace: Vec<TraceRecord>,
    /// For the log.
    pub diagnostics: Vec<Diagnostic<Error>>,
    /// Streams for whose sound there was no room, as bits.
    pub lost: u32,
    /// Those of [`Outbox::lost`] that the log does not name yet.
    pub untold: u32,
    /// A client has left, and this is what it did. Comes after everything else but the questions; answered by dropping the sender.
    pub left: Option<(SessionReport, Sender<()>)>,
    /// Questions of the host.
    pub asks: Vec<Ask>,
}

impl Outbox {
    /// Takes what is in `effects` and `audio` and clears them; `time` is for the trace. Gives the streams for whose sound there was no room, as bits.
    pub fn take(&mut self, effects: &mut Effects, audio: &mut AudioQueue, time: u64) -> u32 {
        let mut lost = 0;
        for (stream, format, heard) in audio.chunks() {
            let sound = match heard {
                AudioChunk::Frames(bytes) => {
                    let start = self.audio.len();
                    if start.saturating_add(bytes.len()) > SOUND_BYTES_MAX {
                        lost |= 1_u32.checked_shl(stream).unwrap_or(0);
                        continue;
                    }
                    self.audio.extend_from_slice(bytes);
                    Sound::Frames { start, end: self.audio.len() }
                }
                AudioChunk::Silence(frames) => Sound::Silence(frames),
                AudioChunk::Stop => Sound::Stop,
            };
            // Stops and silences take room as well, however little. A stop that is missing is missed by nobody.
            if self.sounds.len() < SOUNDS_MAX {
                self.sounds.push((stream, format, sound));
            } else if !matches!(sound, Sound::Stop) {
                lost |= 1_u32.checked_shl(stream).unwrap_or(0);
            }
        }
        self.untold |= lost & !self.lost;
        self.lost |= lost;
        for line in &effects.trace {
            self.record(time, Event::Card(*line));
        }
        let room = NOTES_MAX.saturating_sub(self.diagnostics.len());
        self.diagnostics.extend(effects.diagnostics.iter().take(room));
        effects.clear();
        audio.clear();
        lost
    }

    /// Puts an event into the trace, `time` nanoseconds after the card was made.
    pub fn record(&mut self, time: u64, event: Event) {
        let full = self.trace.len() >= TRACE_MAX;
        match self.trace.last_mut() {
            Some(TraceRecord { event: Event::Lost(lost), .. }) => *lost = lost.saturating_add(1),
            _ if full => self.trace.push(TraceRecord { time, event: Event::Lost(1) }),
            _ => self.trace.push(TraceRecord { time, event }),
        }
    }

    /// Puts a question in. `false`: too many wait. For the log there is always room, because it has all that it wants when it asks once.
    pub fn ask(&mut self, ask: Ask) -> bool {
        let takes = match ask {
            Ask::Log if self.asks.iter().any(|ask| matches!(ask, Ask::Log)) => return true,
            Ask::Log => true,
            Ask::Tell(_) => self.asks.len() < ASKS_MAX,
        };
        if takes {
            self.asks.push(ask);
        }
        takes
    }

    /// Names in the log, once for each time the outbox fills, the streams whose sound found no room; `told` counts these times for one client.
    /// Not with the card's lock: the log may be a pipe that nobody reads.
    pub fn tell(untold: u32, told: &mut u32) {
        if untold == 0 || *told >= TOLD_MAX {
            return;
        }
        *told += 1;
        for stream in (0..u32::BITS).filter(|stream| untold >> stream & 1 != 0) {
            log::error!("stream {stream}: the sink does not take its sound; some of it is lost");
        }
    }

    /// What the sinks have to hear, in order: stream number, format, and what.
    pub fn sounds(&self) -> impl Iterator<Item = (u32, StreamFormat, AudioChunk<'_>)> {
        self.sounds.iter().map(|&(stream, format, sound)| {
            let heard = match sound {
                Sound::Frames { start, end } => {
                    AudioChunk::Frames(self.audio.get(start..end).unwrap_or_default())
                }
                Sound::Silence(frames) => AudioChunk::Silence(frames),
                Sound::Stop => AudioChunk::Stop,
            };
            (stream, format, heard)
        })
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.trace.is_empty() && !self.is_urgent()
    }

    /// Whether there is something that does not wait. The trace does: a wake for every event would cost more than all else about it.
    pub fn is_urgent(&self) -> bool {
        !self.sounds.is_empty()
            || !self.diagnostics.is_empty()
            || self.left.is_some()
            || !self.asks.is_empty()
            || self.trace.len() >= TRACE_BATCH
    }

    /// Forgets everything, but keeps the buffers.
    pub fn clear(&mut self) {
        self.audio.clear();
        self.sounds.clear();
        self.trace.clear();
        self.diagnostics.clear();
        self.lost = 0;
        self.untold = 0;
        self.left = None;
        self.asks.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_that_finds_no_room_is_lost_and_said_to_be() {
        let format = StreamFormat { sample: ringwave_audio::SampleFormat::S16, channels: 2, rate: 48_000 };
        let (mut outbox, mut effects, mut audio) =
            (Outbox::default(), Effects::default(), AudioQueue::default());
        for _ in 0..SOUNDS_MAX {
            audio.silence(3, format, 1);
        }
        assert_eq!(outbox.take(&mut effects, &mut audio, 0), 0);
        for round in 0..2 {
            audio.stop(2, format);
            audio.silence(3, format, 1);
            assert_eq!(outbox.take(&mut effects, &mut audio, 0), 1 << 3, "the guest is told each time");
            let untold = std::mem::take(&mut outbox.untold);
            assert_eq!(untold, if round == 0 { 1 << 3 } else { 0 }, "the log once");
        }
        assert_eq!((outbox.lost, outbox.sounds().count()), (1 << 3, SOUNDS_MAX));
        outbox.clear();
        audio.silence(3, format, 1);
        assert_eq!((outbox.take(&mut effects, &mut audio, 0), outbox.lost), (0, 0));
    }

    #[test]
    fn what_there_was_no_room_for_is_counted_in_its_place() {
        let mut outbox = Outbox::default();
        for time in 0..TRACE_MAX as u64 + 7 {
            outbox.record(time, Event::Msi(0));
        }
        assert_eq!(outbox.trace.len(), TRACE_MAX + 1);
        let lost = TraceRecord { time: TRACE_MAX as u64, event: Event::Lost(7) };
        assert_eq!(outbox.trace.last(), Some(&lost));
        outbox.clear();
        outbox.record(1, Event::Msi(0));
        assert_eq!(outbox.trace, [TraceRecord { time: 1, event: Event::Msi(0) }]);
    }
}
