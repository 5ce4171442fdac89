//! Where captured sound comes from: a WAV file, a tone, silence, or raw samples as they come.
//!
//! A source is asked with the card's lock held and at the moment a piece ends, so none waits: a WAV file is
//! in memory or read ahead (`wav_source`), raw samples are read by a thread of its own into a bounded queue.

use std::collections::VecDeque;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use super::wav_source::WavSource;
use ringwave_audio::StreamFormat;
use ringwave_audio::next_step;
use ringwave_audio::wav::WavError;
use ringwave_engine::sources::Sources;

/// Raw samples that are read ahead, bytes.
const AHEAD_BYTES: usize = 256 << 10;
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
            _ => {
                Err("write wav:FILE, raw:FILE, raw:- (standard input), tone:HZ, loopback:N or null"
                    .to_owned())
            }
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
}

/// The sources of a card's capture streams.
#[derive(Default)]
pub struct Inputs {
    /// Number of the first capture stream.
    first: u32,
    sources: Vec<Input>,
    /// For the log, which is not to be waited for here: at most one of each input.
    warnings: Vec<String>,
}

/// One stream's source.
enum Input {
    Silence,
    Tone { hz: u32, frame: u64 },
    Wav { path: PathBuf, sound: WavSource, told: bool },
    Raw(Arc<Pipe>),
}

impl Inputs {
    /// Opens the sources of the capture streams from number `first` on. Loopback is none of them: the card
    /// does that itself.
    pub fn open(first: u32, specs: &[SourceSpec]) -> Result<Self, SourceError> {
        let sources = specs.iter().map(Input::open).collect::<Result<_, _>>()?;
        Ok(Self { first, sources, warnings: Vec::new() })
    }

    fn of(&mut self, stream: u32) -> Option<&mut Input> {
        self.sources.get_mut(stream.checked_sub(self.first)? as usize)
    }
}

impl Sources for Inputs {
    fn take_warnings(&mut self) -> Vec<String> {
        std::mem::take(&mut self.warnings)
    }

    fn has_warnings(&self) -> bool {
        !self.warnings.is_empty()
    }

    fn begin(&mut self, stream: u32, format: StreamFormat, frame: u64) {
        let warning = self.of(stream).and_then(|input| input.begin(stream, format, frame));
        self.warnings.extend(warning);
    }

    fn capture(&mut self, stream: u32, format: StreamFormat, into: &mut [u8]) -> usize {
        into.fill(format.sample.silence());
        self.of(stream).map_or(into.len(), |input| input.fill(format, into))
    }
}

impl Input {
    fn open(spec: &SourceSpec) -> Result<Self, SourceError> {
        Ok(match spec {
            SourceSpec::Null | SourceSpec::Loopback(_) => Self::Silence,
            SourceSpec::Tone(hz) => Self::Tone { hz: *hz, frame: 0 },
            SourceSpec::Wav(path) => {
                let sound = WavSource::open(path)
                    .map_err(|source| SourceError::Wav { path: path.clone(), source })?;
                Self::Wav { path: path.clone(), sound, told: false }
            }
            SourceSpec::Raw(path) => {
                let pipe = Pipe::open(path);
                Self::Raw(pipe.map_err(|source| SourceError::Raw { path: path.clone(), source })?)
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
                if sound.format() != format && !std::mem::replace(told, true) {
                    let StreamFormat { sample, channels, rate } = sound.format();
                    return Some(format!(
                        "stream {stream}: {} is {} x {channels}, {rate} Hz, and the stream is not: it captures silence",
                        path.display(),
                        sample.name()
                    ));
                }
            }
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
            Self::Wav { sound, .. } => sound.fill(into),
            Self::Raw(pipe) => pipe.take(into, format.frame_bytes().max(1) as usize),
        }
    }
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
        for text in ["null", "wav:a:b.wav", "raw:-", "tone:1000", "loopback:2"] {
            assert_eq!(text.parse::<SourceSpec>().unwrap().to_string(), text);
        }
        assert_eq!("tone".parse(), Ok(SourceSpec::Tone(440)));
        assert_eq!("loopback".parse(), Ok(SourceSpec::Loopback(0)));
        for bad in ["", "wav:", "raw:", "tone:0", "tone:99999", "loopback:16", "loopback:x", "mic"] {
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
            warnings.len() == 1 && warnings[0].contains("2, 48000 Hz, and the stream is not"),
            "{warnings:?}"
        );
        assert!(Inputs::open(0, &[SourceSpec::Wav("/nonexistent.wav".into())]).is_err());
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
        let limit = std::time::Instant::now() + std::time::Duration::from_secs(5);
        while all.len() < 600_000 && std::time::Instant::now() < limit {
            let mut into = [0; 4800];
            let got = inputs.capture(3, STEREO, &mut into);
            assert_eq!(got % 4, 0);
            all.extend_from_slice(&into[..got]);
        }
        assert_eq!(all, bytes[..600_000]);
    }
}
