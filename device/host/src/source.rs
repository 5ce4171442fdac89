//! Where captured sound comes from: a WAV file, a tone, silence, raw samples as they come, or a device of the
//! host's sound system.
//!
//! A source is asked with the card's lock held and at the moment a piece ends, so none waits: a WAV file is
//! in memory or read ahead (`wav_source`), raw samples are read by a thread of its own into a bounded queue,
//! and so are devices.

use std::collections::VecDeque;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::sound::microphone::Microphone;
use super::sound::{self, InputDevices, SoundError};
use super::wav_source::WavSource;
use ringwave_audio::StreamFormat;
use ringwave_audio::gain::Gain;
use ringwave_audio::next_step;
use ringwave_audio::wav::{Samples, WavError};
use ringwave_engine::sources::{SourceStats, Sources};
use rustix::fs::{SealFlags, fcntl_get_seals};

/// Raw samples that are read ahead, bytes.
const AHEAD_BYTES: usize = 256 << 10;
/// Warnings that wait for the log. A guest that sets a stream up in one format after the other causes one
/// each time, as fast as it likes.
const WARNINGS_MAX: usize = 32;
/// A tone's default frequency in Hz.
const TONE_HZ: u32 = 440;

/// What `--source` says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum SourceSpec {
    /// Silence.
    #[default]
    Null,
    /// A WAV file, from its beginning each time a stream is set up; then silence.
    Wav(PathBuf),
    /// Samples without a header, as they come; `-` is standard input.
    Raw(PathBuf),
    /// A sine of so many Hz, a quarter of full scale.
    Tone(u32),
    /// What this render stream plays.
    Loopback(u8),
    /// A device of the host's sound system; `None` is its default. It has to be built in (the feature
    /// `sound`).
    Sound(Option<String>),
}

impl FromStr for SourceSpec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == "null" => Ok(Self::Null),
            None if text == "tone" => Ok(Self::Tone(TONE_HZ)),
            None if text == "loopback" => Ok(Self::Loopback(0)),
            Some(("wav", path)) if !path.is_empty() => Ok(Self::Wav(path.into())),
            Some(("raw", path)) if !path.is_empty() => Ok(Self::Raw(path.into())),
            Some(("tone", hz)) => match hz.parse() {
                Ok(hz @ 1..=20_000) => Ok(Self::Tone(hz)),
                _ => Err("a tone has 1 to 20000 Hz".to_owned()),
            },
            Some(("loopback", stream)) => match stream.parse() {
                Ok(stream @ 0..=15) => Ok(Self::Loopback(stream)),
                _ => Err("loopback:N takes the number of a render stream".to_owned()),
            },
            None if text == "sound" => Ok(Self::Sound(None)),
            Some(("sound", device)) if !device.is_empty() => Ok(Self::Sound(Some(device.to_owned()))),
            _ => Err(
                "write wav:FILE, raw:FILE, raw:- (standard input), tone:HZ, loopback:N, sound, sound:DEVICE (`ringwave sources` lists them) or null"
                    .to_owned(),
            ),
        }
    }
}

impl fmt::Display for SourceSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Wav(path) => write!(f, "wav:{}", path.display()),
            Self::Raw(path) => write!(f, "raw:{}", path.display()),
            Self::Tone(hz) => write!(f, "tone:{hz}"),
            Self::Loopback(stream) => write!(f, "loopback:{stream}"),
            Self::Sound(None) => f.write_str("sound"),
            Self::Sound(Some(device)) => write!(f, "sound:{device}"),
        }
    }
}

/// Why a source cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// A WAV file.
    #[error("cannot play {path}: {source}", path = path.display())]
    Wav {
        /// The file.
        path: PathBuf,
        /// Why.
        source: WavError,
    },
    /// Raw samples.
    #[error("cannot read {path}: {}", next_step::reading(source), path = path.display())]
    Raw {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The host's sound system.
    #[error(transparent)]
    Sound(#[from] SoundError),
}

/// The sources of a card's capture streams.
#[derive(Default)]
pub struct Inputs {
    /// Number of the first capture stream.
    first: u32,
    sources: Vec<StreamInput>,
    /// For the log, which is not to be waited for here: at most one of each begin, [`WARNINGS_MAX`] in all.
    warnings: Vec<String>,
}

/// What one stream captures.
struct StreamInput {
    input: Input,
    slot: Arc<Slot>,
    /// The stream's next frame.
    frame: u64,
    /// The stream's frame at which this input began: one that was put in its place goes on from there.
    origin: u64,
}

/// One stream's source.
enum Input {
    Silence,
    Tone {
        hz: u32,
        frame: u64,
    },
    Wav {
        path: PathBuf,
        sound: WavSource,
        /// The stream's format for which it was told that this is another.
        told: Option<StreamFormat>,
    },
    /// In memory that was given; the next byte.
    Given {
        sound: Samples<'static>,
        place: u64,
    },
    Raw(Arc<Pipe>),
    Sound(Box<Microphone>),
}

/// What the control socket puts in place of a stream's source, for the next time that the card asks. Held for
/// moments only: the card asks with its lock held.
#[derive(Default)]
struct Slot(Mutex<SlotState>);

#[derive(Default)]
struct SlotState {
    incoming: Option<Input>,
    /// What was replaced: freed by whoever replaces the next, and not with the card's lock held.
    retired: Option<Input>,
    gain: Option<Gain>,
    /// The stream's, as it was last set up.
    format: Option<StreamFormat>,
}

impl Slot {
    fn state(&self) -> MutexGuard<'_, SlotState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a stream captures from now on, by the control socket.
#[derive(Debug)]
pub enum NewSource {
    /// Silence.
    Silence,
    /// A sine of so many Hz, a quarter of full scale.
    Tone(u32),
    /// A WAV file in memory, which nobody can change any more ([`NewSourceError::NotMemory`]); from its
    /// beginning.
    Wav(File),
}

/// Why a stream has no other source.
#[derive(Debug, thiserror::Error)]
pub enum NewSourceError {
    /// A file on a disk, or a pipe: whoever reads it may wait for ever.
    #[error("a WAV file is given in sealed memory (memfd_create); use ringwave control, which does that")]
    NotMemory,
    /// It is no sound.
    #[error("that file cannot be played: {0}")]
    Wav(#[from] WavError),
    /// No stream of the card has its format.
    #[error("no stream can take it: {0}")]
    NoStream(String),
}

/// Changes what a card's capture streams capture, while they do.
#[derive(Clone)]
pub struct SourceControl {
    first: u32,
    slots: Vec<Arc<Slot>>,
}

impl SourceControl {
    fn slot(&self, stream: u32) -> Option<&Slot> {
        self.slots.get(stream.checked_sub(self.first)? as usize).map(|slot| &**slot)
    }

    /// Whether it is the number of a capture stream.
    pub fn captures(&self, stream: u32) -> bool {
        self.slot(stream).is_some()
    }

    /// The source of a capture stream from its next frame on. Gives what there is to know about it.
    ///
    /// # Errors
    /// It stays as it was.
    pub fn replace(
        &self,
        stream: u32,
        new: NewSource,
        why_not: impl Fn(StreamFormat) -> Option<String>,
    ) -> Result<String, NewSourceError> {
        let Some(slot) = self.slot(stream) else { return Ok(String::new()) };
        let (input, format) = match new {
            NewSource::Silence => (Input::Silence, None),
            NewSource::Tone(hz) => (Input::Tone { hz, frame: 0 }, None),
            NewSource::Wav(file) => {
                if !is_sealed(&file) {
                    return Err(NewSourceError::NotMemory);
                }
                let sound = Samples::of_file(file)?;
                let format = sound.format();
                if let Some(why) = why_not(format) {
                    return Err(NewSourceError::NoStream(why));
                }
                (Input::Given { sound, place: 0 }, Some(format))
            }
        };
        let mut state = slot.state();
        let retired = (state.retired.take(), state.incoming.replace(input));
        let stream_format = state.format;
        drop(state);
        drop(retired);
        Ok(match (format, stream_format) {
            (Some(of_file), Some(of_stream)) if of_file != of_stream => format!(
                "{}, and the stream is {}: silence until it is set up so",
                described(of_file),
                described(of_stream)
            ),
            (Some(of_file), _) => described(of_file),
            (None, _) => String::new(),
        })
    }

    /// The host's volume of a capture stream from its next frame on.
    pub fn set_gain(&self, stream: u32, gain: Gain) {
        if let Some(slot) = self.slot(stream) {
            slot.state().gain = Some(gain).filter(|gain| *gain != Gain::default());
        }
    }
}

/// Memory that can be neither cut nor changed: reading it never waits, and gives the same each time.
fn is_sealed(file: &File) -> bool {
    let wanted = SealFlags::SHRINK | SealFlags::WRITE;
    fcntl_get_seals(file).is_ok_and(|seals| seals.contains(wanted))
}

/// `s16 x 2, 48000 Hz`
fn described(format: StreamFormat) -> String {
    let StreamFormat { sample, channels, rate } = format;
    format!("{} x {channels}, {rate} Hz", sample.name())
}

impl Inputs {
    /// Opens the sources of the capture streams from number `first` on. Loopback is none of them: the card
    /// does that itself.
    pub fn open(first: u32, specs: &[SourceSpec]) -> Result<Self, SourceError> {
        Self::with_devices(first, specs, sound::host_inputs)
    }

    /// [`Inputs::open`] with another sound system.
    pub fn with_devices(
        first: u32,
        specs: &[SourceSpec],
        devices: impl Fn() -> Box<dyn InputDevices>,
    ) -> Result<Self, SourceError> {
        let open = |spec| {
            let input = Input::open(spec, &devices)?;
            Ok(StreamInput { input, slot: Arc::default(), frame: 0, origin: 0 })
        };
        let sources = specs.iter().map(open).collect::<Result<_, SourceError>>()?;
        Ok(Self { first, sources, warnings: Vec::new() })
    }

    /// The WAV files among them, and what they are.
    pub fn wav_files(&self) -> impl Iterator<Item = (&Path, StreamFormat)> {
        self.sources.iter().filter_map(|source| match &source.input {
            Input::Wav { path, sound, .. } => Some((path.as_path(), sound.format())),
            _ => None,
        })
    }

    /// To change them while they are captured.
    pub fn control(&self) -> SourceControl {
        let slots = self.sources.iter().map(|source| Arc::clone(&source.slot)).collect();
        SourceControl { first: self.first, slots }
    }

    fn of(&mut self, stream: u32) -> Option<&mut StreamInput> {
        self.sources.get_mut(stream.checked_sub(self.first)? as usize)
    }
}

impl Sources for Inputs {
    fn take_warnings(&mut self) -> Vec<String> {
        let of_devices = (self.first..).zip(&mut self.sources).filter_map(|(stream, source)| {
            Some(format!("stream {stream}: {}", source.input.microphone()?.take_warning()?))
        });
        std::mem::take(&mut self.warnings).into_iter().chain(of_devices).collect()
    }

    fn has_warnings(&self) -> bool {
        let has = |source: &StreamInput| match &source.input {
            Input::Sound(microphone) => microphone.has_warning(),
            _ => false,
        };
        !self.warnings.is_empty() || self.sources.iter().any(has)
    }

    fn run(&mut self, stream: u32, format: StreamFormat) {
        if let Some(microphone) = self.of(stream).and_then(|source| source.input.microphone()) {
            microphone.run(format);
        }
    }

    fn take_rates(&mut self) -> Vec<(u32, u32)> {
        let rates = (self.first..).zip(&mut self.sources);
        rates.filter_map(|(stream, source)| Some((stream, source.input.microphone()?.rate_den()?))).collect()
    }

    fn stats(&self, stream: u32) -> Option<SourceStats> {
        match &self.sources.get(stream.checked_sub(self.first)? as usize)?.input {
            Input::Sound(microphone) => Some(microphone.stats()),
            _ => None,
        }
    }

    fn clear_stats(&mut self) {
        for source in &mut self.sources {
            if let Some(microphone) = source.input.microphone() {
                microphone.clear_stats();
            }
        }
    }

    fn begin(&mut self, stream: u32, format: StreamFormat, frame: u64) {
        let warning = self.of(stream).and_then(|input| input.begin(stream, format, frame));
        let room = WARNINGS_MAX.saturating_sub(self.warnings.len());
        self.warnings.extend(warning.into_iter().take(room));
    }

    fn capture(&mut self, stream: u32, format: StreamFormat, into: &mut [u8]) -> usize {
        into.fill(format.sample.silence());
        self.of(stream).map_or(into.len(), |input| input.fill(format, into))
    }
}

impl StreamInput {
    /// Takes what the control socket has put there.
    fn take_incoming(&mut self, state: &mut SlotState) {
        if let Some(new) = state.incoming.take() {
            state.retired = Some(std::mem::replace(&mut self.input, new));
            self.origin = self.frame;
        }
    }

    fn begin(&mut self, stream: u32, format: StreamFormat, at: u64) -> Option<String> {
        let slot = Arc::clone(&self.slot);
        let mut state = slot.state();
        state.format = Some(format);
        self.take_incoming(&mut state);
        drop(state);
        self.frame = at;
        if at == 0 {
            self.origin = 0;
        }
        self.input.begin(stream, format, at.saturating_sub(self.origin))
    }

    fn fill(&mut self, format: StreamFormat, into: &mut [u8]) -> usize {
        let slot = Arc::clone(&self.slot);
        let mut state = slot.state();
        self.take_incoming(&mut state);
        let gain = state.gain;
        drop(state);
        let frames = (into.len() as u64).checked_div(format.frame_bytes().into()).unwrap_or(0);
        self.frame = self.frame.saturating_add(frames);
        let sound = self.input.fill(format, into);
        if let Some(gain) = gain {
            gain.apply(format, into);
        }
        sound
    }
}

impl Input {
    fn microphone(&mut self) -> Option<&mut Microphone> {
        match self {
            Self::Sound(microphone) => Some(microphone),
            _ => None,
        }
    }

    fn open(spec: &SourceSpec, devices: &impl Fn() -> Box<dyn InputDevices>) -> Result<Self, SourceError> {
        Ok(match spec {
            SourceSpec::Null | SourceSpec::Loopback(_) => Self::Silence,
            SourceSpec::Tone(hz) => Self::Tone { hz: *hz, frame: 0 },
            SourceSpec::Wav(path) => {
                let sound = WavSource::open(path)
                    .map_err(|source| SourceError::Wav { path: path.clone(), source })?;
                Self::Wav { path: path.clone(), sound, told: None }
            }
            SourceSpec::Raw(path) => {
                let pipe = Pipe::open(path);
                Self::Raw(pipe.map_err(|source| SourceError::Raw { path: path.clone(), source })?)
            }
            SourceSpec::Sound(device) => {
                Self::Sound(Box::new(Microphone::new(devices(), device.as_deref())?))
            }
        })
    }

    /// A stream is set up, or starts at a later frame: what can begin again does, and goes on at `at`. Gives
    /// what a person has to know about it, once.
    fn begin(&mut self, stream: u32, format: StreamFormat, at: u64) -> Option<String> {
        match self {
            Self::Tone { frame, .. } => *frame = at,
            Self::Wav { path, sound, told } => {
                sound.begin(at);
                if sound.format() != format && told.replace(format) != Some(format) {
                    let file = path.display();
                    return Some(other_format(stream, &file, sound.format(), format));
                }
            }
            Self::Given { sound, place } => {
                *place = at.saturating_mul(sound.format().frame_bytes().into());
                if sound.format() != format {
                    return Some(other_format(stream, &"the file given by control", sound.format(), format));
                }
            }
            Self::Sound(microphone) => microphone.begin(format),
            Self::Silence | Self::Raw(_) => {}
        }
        None
    }

    /// Fills `into`, which is silence; gives how much of it is sound.
    fn fill(&mut self, format: StreamFormat, into: &mut [u8]) -> usize {
        match self {
            Self::Silence => into.len(),
            Self::Tone { hz, frame } => {
                let frame_bytes = format.frame_bytes().max(1) as usize;
                for bytes in into.chunks_exact_mut(frame_bytes) {
                    format.sample.encode(std::iter::repeat(tone(*hz, *frame, format.rate)), bytes);
                    *frame += 1;
                }
                into.len()
            }
            Self::Wav { sound, .. } if sound.format() != format => 0,
            Self::Given { sound, .. } if sound.format() != format => 0,
            Self::Given { sound, place } => {
                // Memory: there is no error but the end.
                let read = sound.read_at(*place, into).unwrap_or(0);
                *place = place.saturating_add(read as u64);
                read
            }
            Self::Wav { sound, .. } => sound.fill(into),
            Self::Raw(pipe) => pipe.take(into, format.frame_bytes().max(1) as usize),
            Self::Sound(microphone) => microphone.fill(format, into),
        }
    }
}

/// Why a stream captures silence.
fn other_format(
    stream: u32,
    file: &dyn fmt::Display,
    of_file: StreamFormat,
    of_stream: StreamFormat,
) -> String {
    let (of_file, of_stream) = (described(of_file), described(of_stream));
    format!("stream {stream}: {file} is {of_file}, and the stream is {of_stream}: it captures silence")
}

/// Sample number `frame` of a sine, a quarter of full scale.
fn tone(hz: u32, frame: u64, rate: u32) -> f64 {
    // Reduced before it becomes a float, so that a day of it is as clean as its first second.
    let turn = (u128::from(frame) * u128::from(hz)) % u128::from(rate.max(1));
    #[allow(clippy::cast_precision_loss, reason = "below the rate")]
    let phase = turn as f64 / f64::from(rate.max(1));
    (phase * std::f64::consts::TAU).sin() * 0.25
}

/// A pipe that is read ahead.
struct Pipe {
    queue: Mutex<VecDeque<u8>>,
    room: Condvar,
}

impl Pipe {
    fn open(path: &Path) -> io::Result<Arc<Self>> {
        let pipe = Arc::new(Self { queue: Mutex::default(), room: Condvar::new() });
        let reader = Arc::clone(&pipe);
        let path = path.to_owned();
        if path != Path::new("-") {
            std::fs::metadata(&path)?;
        }
        // Opening a FIFO waits for its writer, so that is the thread's affair. The thread ends with the
        // process.
        std::thread::Builder::new().name("source".into()).spawn(move || {
            let file: io::Result<Box<dyn Read>> = if path == Path::new("-") {
                Ok(Box::new(io::stdin()))
            } else {
                File::open(&path).map(|file| Box::new(file) as Box<dyn Read>)
            };
            if let Err(error) = file.and_then(|file| reader.read_on(file)) {
                log::error!(
                    "cannot read {}: {}; silence from here on",
                    path.display(),
                    next_step::reading(&error)
                );
            }
        })?;
        Ok(pipe)
    }

    /// Reads to the end, waiting while enough is read ahead.
    fn read_on(&self, mut file: Box<dyn Read>) -> io::Result<()> {
        let mut chunk = vec![0; 16 << 10];
        loop {
            let bytes = file.read(&mut chunk)?;
            if bytes == 0 {
                return Ok(());
            }
            let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
            while queue.len() >= AHEAD_BYTES {
                queue = self.room.wait(queue).unwrap_or_else(PoisonError::into_inner);
            }
            queue.extend(chunk.get(..bytes).unwrap_or_default());
        }
    }

    /// Takes whole frames.
    fn take(&self, into: &mut [u8], frame: usize) -> usize {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes = queue.len().min(into.len());
        let bytes = bytes - bytes % frame;
        for (byte, value) in into.iter_mut().zip(queue.drain(..bytes)) {
            *byte = value;
        }
        self.room.notify_one();
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringwave_audio::SampleFormat;
    use std::io::Write;

    const STEREO: StreamFormat = StreamFormat { sample: SampleFormat::S16, channels: 2, rate: 48_000 };

    fn open(spec: &str) -> Inputs {
        Inputs::open(3, &[spec.parse().unwrap()]).unwrap()
    }

    #[test]
    fn specs_are_understood_or_refused() {
        for text in
            ["null", "wav:a:b.wav", "raw:-", "tone:1000", "loopback:2", "sound", "sound:hw:CARD=0,DEV=0"]
        {
            assert_eq!(text.parse::<SourceSpec>().unwrap().to_string(), text);
        }
        assert_eq!("tone".parse(), Ok(SourceSpec::Tone(440)));
        assert_eq!("loopback".parse(), Ok(SourceSpec::Loopback(0)));
        for bad in ["", "wav:", "raw:", "tone:0", "tone:99999", "loopback:16", "loopback:x", "mic", "sound:"]
        {
            assert!(bad.parse::<SourceSpec>().is_err(), "{bad}");
        }
    }

    #[test]
    fn file_is_played_once_from_its_beginning_for_each_stream() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.wav");
        let mut file = ringwave_audio::wav::WavFile::create(&path, STEREO).unwrap();
        file.add(&[1, 2, 3, 4, 5, 6, 7, 8]).unwrap();
        file.flush().unwrap();
        let mut inputs = open(&format!("wav:{}", path.display()));
        let mut into = [0xFF; 12];
        for _ in 0..2 {
            inputs.begin(3, STEREO, 0);
            assert_eq!(inputs.capture(3, STEREO, &mut into), 8);
            assert_eq!(into, [1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 0]);
            assert_eq!(inputs.capture(3, STEREO, &mut into), 0);
        }
        inputs.begin(3, STEREO, 0);
        assert_eq!(
            inputs.capture(3, StreamFormat { rate: 44_100, ..STEREO }, &mut into),
            0,
            "another format"
        );
        assert_eq!(into, [0; 12]);
        assert!(!inputs.has_warnings());
        for _ in 0..2 {
            inputs.begin(3, StreamFormat { rate: 44_100, ..STEREO }, 0);
        }
        let warnings = inputs.take_warnings();
        assert!(
            warnings.len() == 1
                && warnings[0]
                    .contains("2, 48000 Hz, and the stream is s16 x 2, 44100 Hz: it captures silence"),
            "{warnings:?}"
        );
        assert!(Inputs::open(0, &[SourceSpec::Wav("/nonexistent.wav".into())]).is_err());
        for rate in 0..1000 {
            inputs.begin(3, StreamFormat { rate, ..STEREO }, 0);
        }
        assert_eq!(inputs.take_warnings().len(), WARNINGS_MAX, "whoever writes the log is slower");
    }

    #[test]
    fn source_that_came_in_the_middle_goes_on_where_it_was_when_the_stream_starts_again() {
        use rustix::fs::{MemfdFlags, fcntl_add_seals, memfd_create};
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.wav");
        let bytes: Vec<u8> = (1..=100_u32).flat_map(u32::to_le_bytes).collect();
        let mut file = ringwave_audio::wav::WavFile::create(&path, STEREO).unwrap();
        file.add(&bytes).unwrap();
        file.flush().unwrap();
        let mut memory = File::from(memfd_create("test", MemfdFlags::ALLOW_SEALING).unwrap());
        memory.write_all(&std::fs::read(&path).unwrap()).unwrap();
        fcntl_add_seals(&memory, SealFlags::SHRINK | SealFlags::WRITE).unwrap();
        let mut inputs = open("tone:440");
        let mut captured = |frames: usize, begin: Option<u64>, control: Option<NewSource>| {
            if let Some(new) = control {
                inputs.control().replace(3, new, |_| None).unwrap();
            }
            if let Some(frame) = begin {
                inputs.begin(3, STEREO, frame);
            }
            let mut into = vec![0; 4 * frames];
            inputs.capture(3, STEREO, &mut into);
            into
        };
        captured(50, Some(0), None);
        assert_eq!(captured(10, None, Some(NewSource::Wav(memory))), bytes[..40]);
        // From D3 with START_FRAME (DATASHEET 5.6): it was at frame 60, and lost two of them.
        assert_eq!(captured(10, Some(58), None), bytes[4 * 8..4 * 18]);
        assert_eq!(captured(10, Some(0), None), bytes[..40], "set up anew: from its beginning");
    }

    #[test]
    fn tone_is_a_quarter_of_full_scale_in_every_format() {
        let mut inputs = open("tone:12000");
        for (sample, peak) in [
            (SampleFormat::S16, 8192_i16.to_le_bytes().to_vec()),
            (SampleFormat::S24In32, (0x20_0000_i32 << 8).to_le_bytes().to_vec()),
            (SampleFormat::S32, 0x2000_0000_i32.to_le_bytes().to_vec()),
            (SampleFormat::F32, 0.25_f32.to_le_bytes().to_vec()),
        ] {
            let format = StreamFormat { sample, channels: 1, rate: 48_000 };
            inputs.begin(3, format, 0);
            let mut into = vec![0; 2 * peak.len()];
            assert_eq!(inputs.capture(3, format, &mut into), into.len());
            assert_eq!(into[peak.len()..], peak[..], "a quarter of a turn");
        }
    }

    #[test]
    fn pipe_is_read_ahead_and_gives_whole_frames() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.raw");
        let bytes: Vec<u8> = (0..600_002_u32).map(|n| n.to_le_bytes()[0]).collect();
        File::create(&path).unwrap().write_all(&bytes).unwrap();
        let mut inputs = open(&format!("raw:{}", path.display()));
        let mut all = Vec::new();
        let limit = std::time::Instant::now() + std::time::Duration::from_mins(1);
        while all.len() < 600_000 && std::time::Instant::now() < limit {
            let mut into = [0; 4800];
            let got = inputs.capture(3, STEREO, &mut into);
            assert_eq!(got % 4, 0);
            all.extend_from_slice(&into[..got]);
        }
        assert_eq!(all, bytes[..600_000]);
    }
}
