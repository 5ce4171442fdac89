//! Those who listen to a stream over the control socket (`ringwave listen`): each gets a copy of what the
//! guest plays, from the moment on at which it asked. The sinks know nothing of it, and the guest even less.
//!
//! Their sockets are other people's: nothing here waits for them. Who does not take his sound loses some of
//! it, and is told how much. What goes over the socket is in [`crate::control`].

use std::io::Write as _;
use std::os::unix::net::UnixStream;

use crate::control::{HEARD_BYTES_MAX, Heard};
use ringwave_audio::StreamFormat;
use ringwave_engine::audio_queue::AudioChunk;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};

/// At the same time.
const LISTENERS_MAX: usize = 32;
/// Sound of one message, about: the socket's queue takes several of them.
const MESSAGE_BYTES: usize = 16 << 10;
const _: () = assert!(MESSAGE_BYTES <= HEARD_BYTES_MAX as usize);

/// There are as many as there may be.
#[derive(Debug, thiserror::Error)]
#[error("{LISTENERS_MAX} listen already; end one of them")]
pub struct TooMany;

/// All who listen.
#[derive(Default)]
pub(crate) struct Listeners(Vec<Listener>);

impl Listeners {
    /// This one hears a stream from its next frame on, and is told so first.
    pub(crate) fn add(&mut self, stream: u32, socket: UnixStream) -> Result<(), TooMany> {
        self.0.retain(|listener| !has_left(&listener.socket));
        if self.0.len() >= LISTENERS_MAX {
            return Err(TooMany);
        }
        let rest = format!("listen {stream}\n").into_bytes();
        let mut listener = Listener { stream, socket, rest, lost: 0 };
        if listener.send_rest().is_ok() {
            self.0.push(listener);
        }
        Ok(())
    }

    /// Whether nobody listens.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What a stream plays.
    pub(crate) fn hear(&mut self, stream: u32, format: StreamFormat, chunk: &AudioChunk<'_>) {
        if !self.0.iter().any(|listener| listener.stream == stream) {
            return;
        }
        match *chunk {
            AudioChunk::Frames(bytes) => self.frames(stream, format, bytes),
            AudioChunk::Silence(frames) => self.silence(stream, format, frames),
            AudioChunk::Stop => {}
        }
    }

    fn frames(&mut self, stream: u32, format: StreamFormat, bytes: &[u8]) {
        let frame_bytes = (format.frame_bytes() as usize).max(1);
        let message = (MESSAGE_BYTES / frame_bytes).max(1) * frame_bytes;
        self.0.retain_mut(|listener| {
            listener.stream != stream
                || bytes.chunks(message).all(|frames| listener.hear(format, frames).is_ok())
        });
    }

    fn silence(&mut self, stream: u32, format: StreamFormat, mut frames: u64) {
        let frame_bytes = (format.frame_bytes() as usize).max(1);
        let most = (MESSAGE_BYTES / frame_bytes).max(1);
        let silence = vec![format.sample.silence(); most * frame_bytes];
        while frames != 0 {
            let now = usize::try_from(frames).unwrap_or(most).min(most);
            self.frames(stream, format, silence.get(..now * frame_bytes).unwrap_or_default());
            frames = frames.saturating_sub(now as u64);
        }
    }
}

/// One of them.
struct Listener {
    stream: u32,
    socket: UnixStream,
    /// What it has not taken of a message that was begun.
    rest: Vec<u8>,
    /// Frames that it did not take, before its next message.
    lost: u64,
}

impl Listener {
    /// Gives it frames, or counts them as lost. An error: it has gone.
    fn hear(&mut self, format: StreamFormat, frames: &[u8]) -> Result<(), Errno> {
        self.send_rest()?;
        if !self.rest.is_empty() {
            let count = frames.len().checked_div(format.frame_bytes() as usize).unwrap_or(0);
            self.lost = self.lost.saturating_add(count as u64);
            return Ok(());
        }
        // To a vector: nothing can fail.
        let _ = writeln!(self.rest, "{}", Heard { format, bytes: frames.len(), lost: self.lost });
        self.rest.extend_from_slice(frames);
        self.lost = 0;
        self.send_rest()
    }

    fn send_rest(&mut self) -> Result<(), Errno> {
        while !self.rest.is_empty() {
            match send(&self.socket, &self.rest, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
                Ok(sent) => drop(self.rest.drain(..sent.min(self.rest.len()))),
                Err(Errno::WOULDBLOCK) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Whether somebody has closed his end, or its half that speaks to us.
fn has_left(socket: &UnixStream) -> bool {
    let flags = RecvFlags::DONTWAIT | RecvFlags::PEEK;
    match recv(socket, &mut [0_u8][..], flags) {
        Ok((0, _)) => true,
        Ok(_) | Err(Errno::WOULDBLOCK | Errno::INTR) => false,
        Err(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use ringwave_audio::SampleFormat;

    use super::*;

    const FORMAT: StreamFormat = StreamFormat { sample: SampleFormat::S16, channels: 2, rate: 48_000 };

    fn pair() -> (UnixStream, UnixStream) {
        UnixStream::pair().unwrap()
    }

    #[test]
    fn each_hears_its_stream_from_then_on_silence_too() {
        let mut listeners = Listeners::default();
        let (ours, mut first) = pair();
        listeners.hear(0, FORMAT, &AudioChunk::Frames(&[9; 8]));
        listeners.add(0, ours).unwrap();
        let (ours, mut second) = pair();
        listeners.add(1, ours).unwrap();
        listeners.hear(0, FORMAT, &AudioChunk::Frames(&[1, 2, 3, 4]));
        listeners.hear(0, FORMAT, &AudioChunk::Silence(1));
        listeners.hear(1, FORMAT, &AudioChunk::Stop);
        drop(listeners);
        let mut heard = Vec::new();
        first.read_to_end(&mut heard).unwrap();
        assert_eq!(
            heard,
            b"listen 0\nsound s16 48000 2 4 0\n\x01\x02\x03\x04sound s16 48000 2 4 0\n\0\0\0\0"
        );
        heard.clear();
        second.read_to_end(&mut heard).unwrap();
        assert_eq!(heard, b"listen 1\n");
    }

    /// Who takes nothing costs nothing but his own sound, and hears afterwards how much he has missed.
    #[test]
    fn who_does_not_take_his_sound_is_told_what_he_has_lost() {
        let mut listeners = Listeners::default();
        let (ours, mut slow) = pair();
        listeners.add(0, ours).unwrap();
        let second = vec![7; 192_000];
        for _ in 0..50 {
            listeners.hear(0, FORMAT, &AudioChunk::Frames(&second));
        }
        slow.set_nonblocking(true).unwrap();
        let (mut heard, mut chunk) = (Vec::new(), vec![0; 65_536]);
        // What was queued; then what is told with the next frames.
        for _ in 0..2 {
            while let Ok(read) = slow.read(&mut chunk) {
                heard.extend_from_slice(&chunk[..read]);
            }
            listeners.hear(0, FORMAT, &AudioChunk::Frames(&[7; 4]));
        }
        while let Ok(read) = slow.read(&mut chunk) {
            heard.extend_from_slice(&chunk[..read]);
        }
        let (frames, lost) = frames_and_lost(&heard);
        assert!(lost > 0, "nothing was lost");
        assert_eq!(frames + lost, 50 * 48_000 + 2);
    }

    /// Of everything that was heard, message by message.
    fn frames_and_lost(mut heard: &[u8]) -> (u64, u64) {
        let (mut frames, mut lost) = (0, 0);
        while let Some(end) = heard.iter().position(|byte| *byte == b'\n') {
            let line = std::str::from_utf8(&heard[..end]).unwrap();
            heard = &heard[end + 1..];
            if let Some(sound) = line.strip_prefix("sound s16 48000 2 ") {
                let (bytes, missing) = sound.split_once(' ').unwrap();
                let bytes: usize = bytes.parse().unwrap();
                assert!(heard[..bytes].iter().all(|byte| *byte == 7));
                heard = &heard[bytes..];
                (frames, lost) = (frames + bytes as u64 / 4, lost + missing.parse::<u64>().unwrap());
            }
        }
        (frames, lost)
    }

    #[test]
    fn who_has_gone_makes_room_for_another() {
        let mut listeners = Listeners::default();
        let (mut there, mut ends) = (Vec::new(), Vec::new());
        for _ in 0..LISTENERS_MAX {
            let (ours, theirs) = pair();
            listeners.add(0, ours).unwrap();
            there.push(theirs);
        }
        let (ours, theirs) = pair();
        assert!(listeners.add(0, ours).is_err());
        ends.push(theirs);
        there.pop();
        let (ours, theirs) = pair();
        listeners.add(0, ours).unwrap();
        listeners.hear(0, FORMAT, &AudioChunk::Frames(&[0; 4]));
        assert_eq!(listeners.0.len(), LISTENERS_MAX);
        drop((there, theirs));
        listeners.hear(0, FORMAT, &AudioChunk::Frames(&[0; 4]));
        assert!(listeners.0.is_empty(), "a send says it too");
    }
}
