//! Where the sound of capture streams comes from.

use ringwave_audio::StreamFormat;

/// Where the sound of capture streams comes from, but for what a card takes from its own render streams.
pub trait Sources {
    /// Capture stream `stream` is set up for `format`, or starts within the stream: what it captures next is
    /// frame `frame`, for a source that has a beginning.
    fn begin(&mut self, stream: u32, format: StreamFormat, frame: u64) {
        let _ = (stream, format, frame);
    }

    /// Fills `into` with the next frames of capture stream `stream` (its number on the card), whole frames in
    /// `format`. Must not wait: what is not there is silence. Gives how many of the bytes are sound, and not
    /// silence for want of it.
    fn capture(&mut self, stream: u32, format: StreamFormat, into: &mut [u8]) -> usize;

    /// What has to be said in the log since the last call. Not said here, where the card's lock is held: the
    /// log may be a pipe that nobody reads.
    fn take_warnings(&mut self) -> Vec<String> {
        Vec::new()
    }

    /// Whether [`Sources::take_warnings`] has something.
    fn has_warnings(&self) -> bool {
        false
    }
}

/// Nothing but silence, on purpose.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoSources;

impl Sources for NoSources {
    fn capture(&mut self, _stream: u32, format: StreamFormat, into: &mut [u8]) -> usize {
        into.fill(format.sample.silence());
        into.len()
    }
}
