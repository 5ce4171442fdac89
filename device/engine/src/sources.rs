//! Where the sound of capture streams comes from.

/// Whoever implements [`Sources`] names it.
pub use ringwave_audio::StreamFormat;

/// What is known of a source with a clock of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SourceStats {
    /// How much faster than the card's clock its clock goes, in millionths; `None` before it is known.
    pub drift_ppm: Option<f64>,
    /// How often it had nothing while the stream captured.
    pub underruns: u64,
    /// How often some of its sound was lost because the stream, or the host, was late.
    pub overruns: u64,
}

/// Where the sound of capture streams comes from, but for what a card takes from its own render streams.
pub trait Sources {
    /// Capture stream `stream` is set up for `format`, or starts within the stream: what it captures next is
    /// frame `frame`, for a source that has a beginning.
    fn begin(&mut self, stream: u32, format: StreamFormat, frame: u64) {
        let _ = (stream, format, frame);
    }

    /// Capture stream `stream` goes to RUN: a source that goes on all the time is heard from now on.
    fn run(&mut self, stream: u32, format: StreamFormat) {
        let _ = (stream, format);
    }

    /// Fills `into` with the next frames of capture stream `stream` (its number on the card), whole frames in
    /// `format`. Must not wait: what is not there is silence. Gives how many of the bytes are sound, and not
    /// silence for want of it.
    fn capture(&mut self, stream: u32, format: StreamFormat, into: &mut [u8]) -> usize;

    /// The capture streams that have to go at another rate than before, with their `RATE_DEN`: their source has a
    /// clock of its own.
    fn take_rates(&mut self) -> Vec<(u32, u32)> {
        Vec::new()
    }

    /// What is known of a capture stream's source, if that has a clock of its own.
    fn stats(&self, stream: u32) -> Option<SourceStats> {
        let _ = stream;
        None
    }

    /// The next client begins with nothing.
    fn clear_stats(&mut self) {}

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
