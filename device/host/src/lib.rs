//! Where sound goes on the host: the [`Sink`] trait, and the sinks of one card, opened when there is
//! something to hear. Where it comes from is in [`source`].
//!
//! Only the I/O worker is in here, and never with the card's lock: a slow disk delays no message of the
//! guest.

mod drift;
pub mod output;
mod raw;
pub mod sound;
pub mod source;
mod wav;
mod wav_source;

use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::{Duration, Instant};

use self::output::{Content, Id, Made, ReservedFile};
use self::sound::{Output, SoundError, SoundSink};
use ringwave_audio::StreamFormat;
use ringwave_audio::gain::Gain;
use ringwave_engine::io_queue::GATHERED;

/// A stream on a sound device that has got nothing for as long is asked whether it still plays: sooner than
/// the device runs dry.
const LOOK_AFTER: Duration = Duration::from_millis(15);
/// So often a sound device that failed is opened again for the same client. A guest can cause it with every
/// STOP, and each is a line in the log.
const AGAIN_MAX: u32 = 100;
/// Files of one stream in the life of a process.
const FILES_MAX: u32 = 1_000_000;
/// Files whose names are kept ([`Sinks::files`]).
const NAMES_MAX: usize = 64;
/// Sound for a file that nobody sees before it is flushed is gathered for so long: each wake of the I/O
/// worker costs more than what it writes.
const GATHERED_FOR_FILES: Duration = Duration::from_millis(100);
/// At least this often what was heard is written out, so that a file is whole whenever it is looked at.
const FLUSH_EVERY: Duration = Duration::from_millis(500);

/// Why a sink failed.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// The file could not be written.
    #[error("cannot write {path}: {}", ringwave_audio::next_step::writing(source), path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The host's sound system.
    #[error(transparent)]
    Sound(#[from] SoundError),
}

/// What is known of a sink with a clock of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SinkStats {
    /// How much faster than the card's clock its clock goes, in millionths; `None` before it is known.
    pub drift_ppm: Option<f64>,
    /// How often it had nothing to play while the stream played.
    pub underruns: u64,
    /// Frames that it had no room for.
    pub dropped_frames: u64,
}

/// One place where the frames of one stream, all in one format, end up.
pub trait Sink: Send {
    /// Takes whole frames, in the format the sink was opened with.
    fn frames(&mut self, bytes: &[u8]) -> Result<(), SinkError>;
    /// How many bytes the sink can still take.
    fn room(&self) -> u64;
    /// Makes everything taken so far visible to others.
    fn flush(&mut self) -> Result<(), SinkError>;
    /// Like [`Sink::flush`], for good.
    fn finish(self: Box<Self>) -> Result<(), SinkError>;

    /// For how long sound may be gathered before the sink gets it.
    fn gathered(&self) -> Duration {
        GATHERED
    }
    /// The stream does not play for now (a pause, its end, a stall): nothing is missing when no frames come.
    fn idle(&mut self) {}
    /// The stream went to STOP: whatever rate it was given is forgotten.
    fn stopped(&mut self) {}
    /// Whether it was told so since the last frames. One that does not care always is.
    fn is_idle(&self) -> bool {
        true
    }
    /// The `RATE_DEN` that the stream has to go at, when it is another than before.
    fn rate_den(&mut self) -> Option<u32> {
        None
    }
    /// What a sink with a clock of its own knows.
    fn stats(&self) -> Option<SinkStats> {
        None
    }
}

/// What `--sink` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SinkSpec {
    /// Nothing is kept.
    Null,
    /// A WAV file; another stream, a second format or client gets a file beside it.
    Wav(PathBuf),
    /// Samples without a header, likewise; `-` is standard output, for all there is.
    Raw(PathBuf),
    /// A device of the host's sound system; `None` is its default. It has to be built in (the feature
    /// `sound`).
    Sound(Option<String>),
}

impl FromStr for SinkSpec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == "null" => Ok(Self::Null),
            Some(("wav", path)) if !path.is_empty() => Ok(Self::Wav(path.into())),
            Some(("raw", path)) if !path.is_empty() => Ok(Self::Raw(path.into())),
            None if text == "sound" => Ok(Self::Sound(None)),
            Some(("sound", device)) if !device.is_empty() => Ok(Self::Sound(Some(device.to_owned()))),
            _ => Err(
                "write wav:FILE, raw:FILE, raw:- (standard output), sound, sound:DEVICE (`ringwave sinks` lists them) or null"
                    .to_owned(),
            ),
        }
    }
}

impl SinkSpec {
    /// Finds out whether its place can be written, and keeps other processes from it.
    pub fn reserve(&self, in_use: &[PathBuf]) -> std::io::Result<ReservedFile> {
        match self {
            Self::Wav(path) => ReservedFile::new(path, Content::Wav, in_use),
            Self::Raw(path) if !is_stdout(path) => ReservedFile::new(path, Content::Raw, in_use),
            _ => Ok(ReservedFile::default()),
        }
    }
}

impl fmt::Display for SinkSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Wav(path) => write!(f, "wav:{}", path.display()),
            Self::Raw(path) => write!(f, "raw:{}", path.display()),
            Self::Sound(None) => f.write_str("sound"),
            Self::Sound(Some(device)) => write!(f, "sound:{device}"),
        }
    }
}

/// Takes everything and keeps nothing.
struct Null;

impl Sink for Null {
    fn frames(&mut self, _bytes: &[u8]) -> Result<(), SinkError> {
        Ok(())
    }
    fn room(&self) -> u64 {
        u64::MAX
    }
    fn flush(&mut self) -> Result<(), SinkError> {
        Ok(())
    }
    fn finish(self: Box<Self>) -> Result<(), SinkError> {
        Ok(())
    }
    fn gathered(&self) -> Duration {
        GATHERED_FOR_FILES
    }
}

/// Where a stream's sound goes from now on, by the control socket.
#[derive(Debug)]
pub enum NewSink {
    /// Where `--sink` says.
    Spec,
    /// Nothing is kept.
    Null,
    /// To this empty file, as WAV: the sound of one format and client. Then it is as [`NewSink::Spec`].
    Wav(File),
    /// Likewise, samples without a header.
    Raw(File),
}

/// Why a stream has no other sink.
#[derive(Debug, thiserror::Error)]
pub enum NewSinkError {
    /// Somebody gave it twice.
    #[error("that file is a sink already; give another")]
    Taken,
    /// It cannot be looked at.
    #[error("that file cannot be used ({0}); give another")]
    Io(#[from] std::io::Error),
    /// The sink before it could not be finished.
    #[error("done, but not all is in the sink before: {0}")]
    Before(SinkError),
    /// The same, as it is told.
    #[error("done, but not all is in the sink before: {0}")]
    Lost(String),
}

/// The sink of one stream.
struct Open {
    stream: u32,
    format: StreamFormat,
    /// The file, if it is one.
    id: Option<Id>,
    /// `None` after a failure: what comes until the client leaves, or the next STOP ([`Sinks::stopped`]), is
    /// dropped.
    sink: Option<Box<dyn Sink>>,
}

/// The sinks of all streams of the card.
pub struct Sinks {
    spec: SinkSpec,
    output: Box<dyn Output>,
    open: Vec<Open>,
    /// What is known of sinks that are finished, of the present client.
    past: Vec<(u32, SinkStats)>,
    /// When it was last looked whether the streams play, or frames came.
    looked: Instant,
    /// Files begun in the life of the process, by stream.
    files: Vec<u32>,
    /// The first of them, in the order in which they were begun.
    names: Vec<(u32, PathBuf)>,
    /// What streams are to have in place of the spec.
    given: Vec<(u32, NewSink)>,
    /// The host's volume, by stream.
    gains: Vec<(u32, Gain)>,
    /// Sound on which a volume is put.
    turned_down: Vec<u8>,
    /// When the oldest frame came that was not flushed.
    dirty: Option<Instant>,
    /// How often a device was opened again for the present client.
    again: u32,
}

impl Sinks {
    /// Sinks as `spec` says. Whether its place can be written [`SinkSpec::reserve`] finds out.
    pub fn new(spec: SinkSpec) -> Result<Self, SinkError> {
        Self::with_output(spec, sound::host())
    }

    /// [`Sinks::new`] with another sound system.
    pub fn with_output(spec: SinkSpec, output: Box<dyn Output>) -> Result<Self, SinkError> {
        if let SinkSpec::Sound(device) = &spec {
            output.check(device.as_deref())?;
        }
        Ok(Self {
            spec,
            output,
            open: Vec::new(),
            past: Vec::new(),
            looked: Instant::now(),
            files: Vec::new(),
            names: Vec::new(),
            given: Vec::new(),
            gains: Vec::new(),
            turned_down: Vec::new(),
            dirty: None,
            again: 0,
        })
    }

    /// Whole frames of a stream. An error comes once; the stream is not kept any more until the client has
    /// left, or a sound device is opened again after [`Sinks::stopped`].
    pub fn frames(&mut self, stream: u32, format: StreamFormat, bytes: &[u8]) -> Result<(), SinkError> {
        let index = self.select(stream, format, bytes.len() as u64)?;
        let Some(open) = self.open.get_mut(index) else { return Ok(()) };
        let Some(sink) = &mut open.sink else { return Ok(()) };
        self.looked = Instant::now();
        self.dirty.get_or_insert(self.looked);
        let bytes = match self.gains.iter().find(|(of, _)| *of == stream) {
            Some((_, gain)) => {
                self.turned_down.clear();
                self.turned_down.extend_from_slice(bytes);
                gain.apply(format, &mut self.turned_down);
                &self.turned_down
            }
            None => bytes,
        };
        let result = sink.frames(bytes);
        if result.is_err() {
            self.past.extend(stats_of(open));
            open.sink = None;
        }
        result
    }

    /// Silence of a stream, in frames.
    pub fn silence(&mut self, stream: u32, format: StreamFormat, mut frames: u64) -> Result<(), SinkError> {
        const CHUNK: usize = 4096;
        let frame = format.frame_bytes() as usize;
        let silence = vec![format.sample.silence(); CHUNK * frame];
        while frames != 0 {
            let now = frames.min(CHUNK as u64);
            let bytes = usize::try_from(now).unwrap_or(CHUNK) * frame;
            self.frames(stream, format, silence.get(..bytes).unwrap_or(&silence))?;
            frames -= now;
        }
        Ok(())
    }

    /// Index of the stream's sink, opened if need be: for the first frames, another format, or a full file.
    fn select(&mut self, stream: u32, format: StreamFormat, bytes: u64) -> Result<usize, SinkError> {
        let found = self.open.iter().position(|open| open.stream == stream);
        if let Some(index) = found
            && let Some(open) = self.open.get_mut(index)
        {
            // One that has failed stays dropped, whatever the format.
            let fits = open.sink.as_ref().is_none_or(|sink| open.format == format && sink.room() >= bytes);
            if fits {
                return Ok(index);
            }
            let old = self.open.swap_remove(index);
            self.past.extend(stats_of(&old));
            if let Some(Err(error)) = old.sink.map(Sink::finish) {
                self.open.push(Open { stream, format, id: None, sink: None });
                return Err(error);
            }
        }
        let sink = self.begin(stream, format);
        let (id, sink, result) = match sink {
            Ok((sink, id)) => (id, Some(sink), Ok(self.open.len())),
            Err(error) => (None, None, Err(error)),
        };
        self.open.push(Open { stream, format, id, sink });
        result
    }

    /// Begins a sink. Gives also the id of its file.
    fn begin(&mut self, stream: u32, format: StreamFormat) -> Result<(Box<dyn Sink>, Option<Id>), SinkError> {
        if let Some(place) = self.given.iter().position(|(of, _)| *of == stream) {
            // A file is for once.
            match self.given.swap_remove(place).1 {
                NewSink::Spec => {}
                NewSink::Null => {
                    self.given.push((stream, NewSink::Null));
                    return Ok((Box::new(Null), None));
                }
                given @ (NewSink::Wav(_) | NewSink::Raw(_)) => return begin_given(given, format),
            }
        }
        let index = stream as usize;
        if self.files.len() <= index {
            self.files.resize(index + 1, 0);
        }
        Ok(match &self.spec {
            SinkSpec::Null => (Box::new(Null), None),
            SinkSpec::Raw(path) if is_stdout(path) => (Box::new(raw::RawSink::stdout()), None),
            SinkSpec::Wav(path) => {
                let (made, file) = self.make(&path.clone(), stream)?;
                let id = made.id();
                (Box::new(wav::WavSink::new(made, file, format)?), id)
            }
            SinkSpec::Raw(path) => {
                let (made, file) = self.make(&path.clone(), stream)?;
                let id = made.id();
                (Box::new(raw::RawSink::new(made, file)), id)
            }
            SinkSpec::Sound(device) => {
                (Box::new(SoundSink::open(self.output.as_ref(), device.as_deref(), format)?), None)
            }
        })
    }

    /// Where the sound of a stream goes from its next frame on. What it had before is finished.
    ///
    /// # Errors
    /// It stays as it was, but for [`NewSinkError::Before`].
    pub fn replace(&mut self, stream: u32, new: NewSink) -> Result<(), NewSinkError> {
        if let NewSink::Wav(file) | NewSink::Raw(file) = &new {
            let id = output::id(&file.metadata()?);
            let given =
                self.given.iter().filter(|(of, _)| *of != stream).filter_map(|(_, sink)| file_of(sink));
            let given = given.filter_map(|file| Some(output::id(&file.metadata().ok()?)));
            if self.open.iter().filter_map(|open| open.id).chain(given).any(|other| other == id) {
                return Err(NewSinkError::Taken);
            }
        }
        self.given.retain(|(of, _)| *of != stream);
        if !matches!(new, NewSink::Spec) {
            self.given.push((stream, new));
        }
        let Some(place) = self.open.iter().position(|open| open.stream == stream) else { return Ok(()) };
        let old = self.open.swap_remove(place);
        self.past.extend(stats_of(&old));
        old.sink.map_or(Ok(()), Sink::finish).map_err(NewSinkError::Before)
    }

    /// The host's volume of a stream from its next frame on.
    pub fn set_gain(&mut self, stream: u32, gain: Gain) {
        self.gains.retain(|(of, _)| *of != stream);
        if gain != Gain::default() {
            self.gains.push((stream, gain));
        }
    }

    /// Makes the next file of the stream. A name that is taken is passed over, whatever stands there. What is
    /// no file (a FIFO, a device) is always itself.
    fn make(&mut self, path: &Path, stream: u32) -> Result<(Made, File), SinkError> {
        let failed = |path: &Path, source| SinkError::File { path: path.to_owned(), source };
        let made = |path: &Path, file: File| match Made::new(path, &file) {
            Ok(made) => Ok((made, file)),
            Err(source) => Err(failed(path, source)),
        };
        if output::is_special(path) {
            let file = output::open_special(path).and_then(|file| output::wait(&file).map(|()| file));
            return made(path, file.map_err(|source| failed(path, source))?);
        }
        let last = self.files.get_mut(stream as usize);
        // Of a stream that there is.
        let Some(last) = last else { return Err(failed(path, std::io::ErrorKind::InvalidInput.into())) };
        let mut passed: Option<PathBuf> = None;
        loop {
            *last = last.saturating_add(1);
            let next = output::numbered(path, stream, *last);
            match output::create_new(&next) {
                Ok(file) => {
                    if let Some(passed) = passed {
                        log::warn!("{} is not of this run, so this is {}", passed.display(), next.display());
                    }
                    if self.names.len() < NAMES_MAX {
                        self.names.push((stream, next.clone()));
                    }
                    return made(&next, file);
                }
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists && *last < FILES_MAX => {
                    passed = Some(next);
                }
                Err(error) => return Err(failed(&next, error)),
            }
        }
    }

    /// The stream went to STOP. What comes next is another sound: a sound device that failed (unplugged, or a
    /// rate that it does not take) may take it, so it is opened again. A file stays closed, for what is
    /// missing in it is missing.
    pub fn stopped(&mut self, stream: u32) {
        let is_sound = matches!(self.spec, SinkSpec::Sound(_));
        let Some(place) = self.open.iter().position(|open| open.stream == stream) else { return };
        match self.open.get_mut(place).and_then(|open| open.sink.as_mut()) {
            Some(sink) => sink.stopped(),
            None if is_sound && self.again < AGAIN_MAX => {
                self.again += 1;
                self.open.swap_remove(place);
            }
            None => {}
        }
    }

    /// How long until [`Sinks::flush`] is due; `None` if nothing waits for it.
    pub fn flush_due(&self) -> Option<Duration> {
        self.dirty.map(|since| FLUSH_EVERY.saturating_sub(since.elapsed()))
    }

    /// For how long sound may be gathered before the sinks get it: as the one in the greatest hurry wants.
    pub fn gathered(&self) -> Duration {
        let sinks = self.open.iter().filter_map(|open| open.sink.as_ref());
        sinks.map(|sink| sink.gathered()).min().unwrap_or(GATHERED)
    }

    /// Writes everything out. Names the streams whose sinks failed.
    pub fn flush(&mut self) -> Vec<(u32, SinkError)> {
        self.dirty = None;
        let mut failed = Vec::new();
        for open in &mut self.open {
            if let Some(Err(error)) = open.sink.as_mut().map(|sink| sink.flush()) {
                self.past.extend(stats_of(open));
                open.sink = None;
                failed.push((open.stream, error));
            }
        }
        failed
    }

    /// The client has left, or the process ends: finishes every file. The next frame begins a new one.
    pub fn finish(&mut self) -> Vec<(u32, SinkError)> {
        self.dirty = None;
        self.again = 0;
        // All at once, so that they play out together.
        self.open.iter_mut().filter_map(|open| open.sink.as_mut()).for_each(|sink| sink.idle());
        let mut failed = Vec::new();
        for open in self.open.drain(..) {
            self.past.extend(stats_of(&open));
            if let Some(Err(error)) = open.sink.map(Sink::finish) {
                failed.push((open.stream, error));
            }
        }
        failed
    }

    /// The first files that were made, with their streams.
    pub fn files(&self) -> &[(u32, PathBuf)] {
        &self.names
    }

    /// How long until [`Sinks::idle_but`] is due; `None` if no sink has to be told.
    pub fn idle_due(&self) -> Option<Duration> {
        let expects = self.open.iter().filter_map(|open| open.sink.as_ref()).any(|sink| !sink.is_idle());
        expects.then(|| LOOK_AFTER.saturating_sub(self.looked.elapsed()))
    }

    /// Only these streams (bits) play now: the sinks of the others expect nothing.
    pub fn idle_but(&mut self, moving: u32) {
        self.looked = Instant::now();
        for open in &mut self.open {
            let idle = moving.checked_shr(open.stream).unwrap_or(0) & 1 == 0;
            if let Some(sink) = open.sink.as_mut().filter(|sink| idle && !sink.is_idle()) {
                sink.idle();
            }
        }
    }

    /// The streams that have to go at another rate than before, with their `RATE_DEN`.
    pub fn rates(&mut self) -> impl Iterator<Item = (u32, u32)> {
        self.open.iter_mut().filter_map(|open| Some((open.stream, open.sink.as_mut()?.rate_den()?)))
    }

    /// What the sinks of the present client know, by stream: of sinks with a clock of their own.
    pub fn stats(&self) -> Vec<(u32, SinkStats)> {
        let mut all: Vec<(u32, SinkStats)> = Vec::new();
        for (stream, new) in self.past.iter().copied().chain(self.open.iter().filter_map(stats_of)) {
            match all.iter_mut().find(|(of, _)| *of == stream) {
                Some((_, sum)) => {
                    sum.drift_ppm = new.drift_ppm.or(sum.drift_ppm);
                    sum.underruns = sum.underruns.saturating_add(new.underruns);
                    sum.dropped_frames = sum.dropped_frames.saturating_add(new.dropped_frames);
                }
                None => all.push((stream, new)),
            }
        }
        all
    }

    /// [`Sinks::stats`] of a client that has left, and is forgotten.
    pub fn take_stats(&mut self) -> Vec<(u32, SinkStats)> {
        let all = self.stats();
        self.past.clear();
        all
    }
}

/// The file of a sink that was given.
const fn file_of(sink: &NewSink) -> Option<&File> {
    match sink {
        NewSink::Wav(file) | NewSink::Raw(file) => Some(file),
        NewSink::Spec | NewSink::Null => None,
    }
}

fn begin_given(sink: NewSink, format: StreamFormat) -> Result<(Box<dyn Sink>, Option<Id>), SinkError> {
    let (NewSink::Wav(file) | NewSink::Raw(file)) = &sink else { return Ok((Box::new(Null), None)) };
    let made = Made::given(file).map_err(|source| SinkError::File { path: output::GIVEN.into(), source })?;
    let id = made.id();
    Ok(match sink {
        NewSink::Wav(file) => (Box::new(wav::WavSink::new(made, file, format)?), id),
        NewSink::Raw(file) => (Box::new(raw::RawSink::new(made, file)), id),
        NewSink::Spec | NewSink::Null => (Box::new(Null), None),
    })
}

fn stats_of(open: &Open) -> Option<(u32, SinkStats)> {
    Some((open.stream, open.sink.as_ref()?.stats()?))
}

fn is_stdout(path: &Path) -> bool {
    path == Path::new("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEREO: StreamFormat =
        StreamFormat { sample: ringwave_audio::SampleFormat::S16, channels: 2, rate: 48_000 };

    fn samples(path: &Path) -> Vec<i16> {
        hound::WavReader::open(path).unwrap().into_samples().map(Result::unwrap).collect()
    }

    #[test]
    fn specs_are_understood_or_refused() {
        assert_eq!("null".parse(), Ok(SinkSpec::Null));
        assert_eq!("wav:a:b.wav".parse(), Ok(SinkSpec::Wav("a:b.wav".into())));
        for text in ["sound", "sound:hw:CARD=0,DEV=0", "raw:-"] {
            assert_eq!(text.parse::<SinkSpec>().unwrap().to_string(), text);
        }
        for bad in ["", "wav", "wav:", "mp3:x", "null:x", "sound:"] {
            assert!(bad.parse::<SinkSpec>().is_err(), "{bad}");
        }
    }

    #[test]
    fn file_is_whole_after_each_flush_and_a_new_format_gets_a_new_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("heard.wav");
        let spec = SinkSpec::Wav(path.clone());
        // Of an earlier run.
        let mut sinks = Sinks::new(spec.clone()).unwrap();
        sinks.frames(0, STEREO, &[9, 0, 9, 0]).unwrap();
        assert!(sinks.finish().is_empty());
        let mut reserved = spec.reserve(&[]).unwrap();
        assert!(path.exists(), "as long as something can still go wrong at the start");
        reserved.take_over().unwrap();
        let mut sinks = Sinks::new(spec).unwrap();
        assert!(!path.exists(), "nothing was heard yet");

        sinks.frames(0, STEREO, &[1, 0, 2, 0]).unwrap();
        assert!(sinks.flush_due().is_some_and(|due| due <= FLUSH_EVERY));
        assert!(sinks.flush().is_empty());
        assert_eq!(samples(&path), [1, 2], "valid while it is still written");
        sinks.silence(0, STEREO, 5000).unwrap();
        sinks.frames(0, STEREO, &[0xFF, 0xFF, 0, 0x80]).unwrap();
        let mono = StreamFormat { channels: 1, ..STEREO };
        sinks.frames(0, mono, &[7, 0]).unwrap();
        assert!(sinks.finish().is_empty());

        let first = samples(&path);
        assert_eq!(first.len(), 2 * (1 + 5000 + 1));
        assert_eq!(first[10_002..], [-1, i16::MIN]);
        assert_eq!(samples(&dir.path().join("heard-2.wav")), [7]);
        sinks.frames(0, mono, &[8, 0]).unwrap();
        assert!(sinks.finish().is_empty());
        assert_eq!(samples(&dir.path().join("heard-3.wav")), [8], "the next client's sound");
        sinks.frames(2, mono, &[9, 0]).unwrap();
        assert!(sinks.finish().is_empty());
        assert_eq!(samples(&dir.path().join("heard-stream2.wav")), [9], "a file per stream");
    }

    #[test]
    fn place_that_cannot_be_written_is_found_at_once() {
        let error = SinkSpec::Wav("/nonexistent/heard.wav".into()).reserve(&[]).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
    }

    #[test]
    fn file_that_could_not_be_written_is_the_streams_last_also_for_a_new_format() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("heard.wav");
        std::os::unix::fs::symlink("/dev/full", &path).unwrap();
        let mut sinks = Sinks::new(SinkSpec::Wav(path)).unwrap();
        assert!(sinks.frames(0, STEREO, &[1; 4]).is_err(), "not even the header could be written");
        let mono = StreamFormat { channels: 1, ..STEREO };
        assert!(sinks.frames(0, mono, &[2; 2]).is_ok(), "dropped quietly");
        assert!(!dir.path().join("heard-2.wav").exists(), "no file with a hole");
        assert!(sinks.finish().is_empty());
    }

    #[test]
    fn failure_is_told_once_and_the_rest_is_dropped() {
        let mut sinks = Sinks::new(SinkSpec::Wav("/dev/full".into())).unwrap();
        let _ = sinks.frames(0, STEREO, &vec![0; 1 << 16]);
        let told = sinks.flush().len();
        assert!(told <= 1);
        assert!(sinks.frames(0, STEREO, &[0; 4]).is_ok(), "dropped quietly");
        assert!(sinks.finish().is_empty());
    }
}
