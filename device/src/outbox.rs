//! What the card brought about and nobody has dealt with yet: it is filled with the card's lock held and emptied by the engine
//! thread without it, so that a message handler never waits for a file.

use crate::ports::{Effects, Heard, Note, StreamFormat, Trace};
use crate::stats::Report;

/// Sound that may wait for the sinks: five minutes of 48 kHz stereo. More means that the sink has failed without saying so.
pub const SOUND_BYTES_MAX: usize = 64 << 20;
/// Lines of the trace that may wait.
const TRACE_MAX: usize = 1 << 20;
/// Notes that may wait.
const NOTES_MAX: usize = 256;

/// [`Heard`], owned; frames are in [`Outbox::audio`].
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
    /// The DMA trace.
    pub trace: Vec<Trace>,
    /// For the log.
    pub notes: Vec<Note>,
    /// Trace lines that there was no room for.
    pub trace_lost: u64,
    /// A client has left, and this is what it did. Comes after everything else; answered by dropping the sender.
    pub left: Option<(Report, std::sync::mpsc::Sender<()>)>,
}

impl Outbox {
    /// Takes what is in `effects` and clears it. `keep_trace`: whether anybody wants the trace. Gives the streams for whose sound there
    /// was no room, as bits.
    pub fn take(&mut self, effects: &mut Effects, keep_trace: bool) -> u32 {
        let mut lost = 0;
        for (stream, format, heard) in effects.sounds() {
            let sound = match heard {
                Heard::Frames(bytes) => {
                    let start = self.audio.len();
                    if start.saturating_add(bytes.len()) > SOUND_BYTES_MAX {
                        lost |= 1_u32.checked_shl(stream).unwrap_or(0);
                        continue;
                    }
                    self.audio.extend_from_slice(bytes);
                    Sound::Frames { start, end: self.audio.len() }
                }
                Heard::Silence(frames) => Sound::Silence(frames),
                Heard::Stop => Sound::Stop,
            };
            // Stops and silences take room as well, however little.
            if self.sounds.len() < SOUND_BYTES_MAX / 64 {
                self.sounds.push((stream, format, sound));
            }
        }
        if keep_trace {
            let room = TRACE_MAX.saturating_sub(self.trace.len());
            self.trace_lost += effects.trace.len().saturating_sub(room) as u64;
            self.trace.extend(effects.trace.iter().take(room));
        }
        let room = NOTES_MAX.saturating_sub(self.notes.len());
        self.notes.extend(effects.notes.iter().take(room));
        effects.clear();
        lost
    }

    /// What the sinks have to hear, in order: stream number, format, and what.
    pub fn sounds(&self) -> impl Iterator<Item = (u32, StreamFormat, Heard<'_>)> {
        self.sounds.iter().map(|&(stream, format, sound)| {
            let heard = match sound {
                Sound::Frames { start, end } => Heard::Frames(self.audio.get(start..end).unwrap_or_default()),
                Sound::Silence(frames) => Heard::Silence(frames),
                Sound::Stop => Heard::Stop,
            };
            (stream, format, heard)
        })
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.sounds.is_empty() && self.trace.is_empty() && self.notes.is_empty() && self.left.is_none()
    }

    /// Forgets everything, but keeps the buffers.
    pub fn clear(&mut self) {
        self.audio.clear();
        self.sounds.clear();
        self.trace.clear();
        self.notes.clear();
        self.trace_lost = 0;
        self.left = None;
    }
}
