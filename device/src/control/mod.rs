//! The control socket: how a person or a script pulls a plug or asks for figures while the card runs
//! (`ringwave serve --control SOCKET`).
//!
//! One line in, one line out, and the connection is closed (but for `listen`). Here is what the lines say;
//! [`server`] is the thread that takes them.
//!
//! ```text
//! jack <stream> in|out     plugs or unplugs; answer: jack <stream> in|out
//! jack <stream>            tells
//! plug <stream>            jack <stream> in
//! unplug <stream>          jack <stream> out
//! source <stream> wav|tone:<hz>|silence       what a stream captures from its next frame on; answer: source <stream> ...
//! sink <stream> wav|raw|null|default          where a stream's sound goes from its next frame on
//! volume <stream> [<dB>|mute]                 the host's volume of a stream; answer: volume <stream> <dB>dB|mute
//! listen <stream>          what a stream plays, from its next frame on; answer: listen <stream>, and then for as long as
//!                          the connection lasts: sound <format> <Hz> <channels> <bytes> <lost frames>, and so many bytes
//! stats                    the present client's statistics: JSON, by the schema of ringwave_report
//! help
//! error: ...               the answer to everything else
//! ```
//!
//! The server opens no file: with `wav` and `raw` comes a descriptor (`SCM_RIGHTS`, [`file`]). That of a
//! source is memory that is sealed, that of a sink an empty regular file; so neither is both, and none can be
//! waited for as a pipe is.

mod descriptor;
mod file;
pub mod server;

use std::fmt;

pub use descriptor::send_line;
use ringwave_audio::gain::{Gain, VOLUME_UNITS};
use ringwave_audio::{CHANNELS_MAX, SampleFormat, StreamFormat};

/// The longest line that is read, in bytes, without its end.
pub const LINE_BYTES_MAX: usize = 256;

/// More sound than a card says at once.
pub(crate) const HEARD_BYTES_MAX: u32 = 1 << 20;

/// What `help` answers.
pub const HELP: &str = "jack STREAM in|out, plug STREAM, unplug STREAM; jack STREAM: which; source STREAM wav|tone:HZ|silence; \
    sink STREAM wav|raw|null|default; volume STREAM [DB|mute]; listen STREAM: its sound; stats: the client's figures as JSON; help";

/// What a stream is to capture, by its first word; a file comes beside the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceWord {
    /// `wav`: the file that comes with the line.
    Wav,
    /// `tone:HZ`
    Tone(u32),
    /// `silence`
    Silence,
}

/// Where a stream's sound is to go, likewise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SinkWord {
    /// `wav`: the file that comes with the line.
    Wav,
    /// `raw`: likewise, samples without a header.
    Raw,
    /// `null`
    Null,
    /// `default`: where `serve --sink` says.
    Default,
}

impl SinkWord {
    /// As it is written.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Wav => "wav",
            Self::Raw => "raw",
            Self::Null => "null",
            Self::Default => "default",
        }
    }
}

/// The host's volume of a stream: all channels alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Volume {
    /// In 1/65536 dB, [`ringwave_audio::gain::VOLUME_MIN`] to 0.
    Level(i32),
    /// Silence.
    Mute,
}

impl Volume {
    /// The same as what is put on samples.
    pub fn gain(self) -> Gain {
        match self {
            Self::Mute => Gain::default().with_mute(u32::MAX),
            Self::Level(level) => {
                let all = 0..ringwave_audio::CHANNELS_MAX as usize;
                // In range when it was read; else nothing is changed.
                all.fold(Gain::default(), |gain, channel| gain.with_volume(channel, level).unwrap_or(gain))
            }
        }
    }
}

impl fmt::Display for Volume {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mute => f.write_str("mute"),
            Self::Level(level) => write!(f, "{}dB", f64::from(*level) / f64::from(VOLUME_UNITS)),
        }
    }
}

impl std::str::FromStr for Volume {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        if text == "mute" {
            return Ok(Self::Mute);
        }
        let level: f64 = text.strip_suffix("dB").unwrap_or(text).parse().map_err(|_| ())?;
        if !(-96.0..=0.0).contains(&level) {
            return Err(());
        }
        #[allow(clippy::cast_possible_truncation, reason = "from -96 times 65536 to 0")]
        let units = (level * f64::from(VOLUME_UNITS)).round() as i32;
        Ok(Self::Level(units))
    }
}

/// What a line asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// `jack STREAM [in|out]`
    Jack {
        /// Stream number; whether there is such a stream is the card's to say.
        stream: u32,
        /// To plug (`true`) or unplug it; `None` asks.
        plugged: Option<bool>,
    },
    /// `source STREAM ...`
    Source {
        /// Stream number.
        stream: u32,
        /// What it is to capture.
        source: SourceWord,
    },
    /// `sink STREAM ...`
    Sink {
        /// Stream number.
        stream: u32,
        /// Where its sound is to go.
        sink: SinkWord,
    },
    /// `volume STREAM [...]`
    Volume {
        /// Stream number.
        stream: u32,
        /// What it is to be; `None` asks.
        volume: Option<Volume>,
    },
    /// `listen STREAM`
    Listen {
        /// Stream number.
        stream: u32,
    },
    /// `stats`
    Stats,
    /// `help`
    Help,
}

impl Command {
    /// Whether a file comes with its line.
    pub const fn takes_file(&self) -> bool {
        matches!(
            self,
            Self::Source { source: SourceWord::Wav, .. }
                | Self::Sink { sink: SinkWord::Wav | SinkWord::Raw, .. }
        )
    }
}

/// What a line before the sound that somebody listens to says: `sound s16 48000 2 1920 0`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    /// Of the frames.
    pub format: StreamFormat,
    /// So many bytes follow: whole frames.
    pub bytes: usize,
    /// Frames that were not taken in time, before these.
    pub lost: u64,
}

impl fmt::Display for Heard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let StreamFormat { sample, channels, rate } = self.format;
        write!(f, "sound {sample} {rate} {channels} {} {}", self.bytes, self.lost)
    }
}

impl std::str::FromStr for Heard {
    type Err = ();

    fn from_str(line: &str) -> Result<Self, ()> {
        let mut words = line.split(' ');
        let mut word = || words.next().ok_or(());
        if word()? != "sound" {
            return Err(());
        }
        let name = word()?;
        let sample = SampleFormat::ALL.into_iter().find(|sample| sample.name() == name).ok_or(())?;
        let mut number = || word()?.parse::<u32>().map_err(drop);
        let (rate, channels, bytes) = (number()?, number()?, number()?);
        let lost = word()?.parse().map_err(drop)?;
        let format = StreamFormat { sample, channels, rate };
        let known = (1..=CHANNELS_MAX).contains(&channels) && bytes <= HEARD_BYTES_MAX;
        let whole = known && bytes.is_multiple_of(format.frame_bytes()) && words.next().is_none();
        let bytes = usize::try_from(bytes).ok().filter(|_| whole).ok_or(())?;
        Ok(Self { format, bytes, lost })
    }
}

/// Why a line is no command. Says what to write instead, on one line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// Longer than [`LINE_BYTES_MAX`].
    #[error("the line is too long; at most {LINE_BYTES_MAX} bytes")]
    TooLong,
    /// Not UTF-8.
    #[error("the line is not text; write UTF-8")]
    NotText,
    /// No word in it.
    #[error("an empty line; the commands are: {HELP}")]
    Empty,
    /// Its first word.
    #[error("no command {0}; the commands are: {HELP}")]
    Unknown(Quoted),
    /// Too many words, too few, or another where in or out should be.
    #[error("write jack STREAM, jack STREAM in or jack STREAM out")]
    Jack,
    /// `plug` and `unplug`.
    #[error("write plug STREAM or unplug STREAM")]
    Plug,
    /// Likewise, of a source.
    #[error("write source STREAM wav:FILE, source STREAM tone:HZ (1 to 20000) or source STREAM silence")]
    Source,
    /// Likewise, of a sink.
    #[error("write sink STREAM wav:FILE, raw:FILE, null or default (where serve --sink says)")]
    Sink,
    /// Likewise, of a volume.
    #[error("write volume STREAM, volume STREAM -6dB (-96 to 0) or volume STREAM mute")]
    Volume,
    /// Likewise, of who listens.
    #[error("write listen STREAM")]
    Listen,
    /// A stream is a number.
    #[error("{0} is no stream; write its number, from 0")]
    Stream(Quoted),
    /// Words behind a command that takes none.
    #[error("{0} takes nothing behind it; leave the rest out")]
    Words(&'static str),
}

/// A word of somebody else's, printable and no longer than fits a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quoted(String);

impl Quoted {
    /// So many characters of a word are shown.
    const CHARS_MAX: usize = 24;

    fn new(word: &str) -> Self {
        let mut shown: String = word.chars().take(Self::CHARS_MAX).collect();
        if shown.len() < word.len() {
            shown.push_str("...");
        }
        Self(shown)
    }
}

impl fmt::Display for Quoted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

/// Reads a line, without its end (`\n`; a `\r` before it does no harm).
///
/// # Errors
/// What is wrong with it.
pub fn parse(line: &[u8]) -> Result<Command, LineError> {
    if line.len() > LINE_BYTES_MAX {
        return Err(LineError::TooLong);
    }
    let text = std::str::from_utf8(line).map_err(|_| LineError::NotText)?;
    let mut words = text.split_ascii_whitespace();
    let command = words.next().ok_or(LineError::Empty)?;
    let alone = |command, name, mut words: std::str::SplitAsciiWhitespace<'_>| match words.next() {
        None => Ok(command),
        Some(_) => Err(LineError::Words(name)),
    };
    match command {
        "jack" => parse_jack(words),
        "plug" | "unplug" => {
            let stream = parse_stream(&mut words, LineError::Plug)?;
            no_more(words, LineError::Plug)?;
            Ok(Command::Jack { stream, plugged: Some(command == "plug") })
        }
        "source" => parse_source(words),
        "sink" => parse_sink(words),
        "volume" => parse_volume(words),
        "listen" => {
            let stream = parse_stream(&mut words, LineError::Listen)?;
            no_more(words, LineError::Listen)?;
            Ok(Command::Listen { stream })
        }
        "stats" => alone(Command::Stats, "stats", words),
        "help" => alone(Command::Help, "help", words),
        other => Err(LineError::Unknown(Quoted::new(other))),
    }
}

/// The number of a stream; `missing` if there is no word.
fn parse_stream<'a>(words: &mut impl Iterator<Item = &'a str>, missing: LineError) -> Result<u32, LineError> {
    let word = words.next().ok_or(missing)?;
    let digits = word.bytes().all(|byte| byte.is_ascii_digit());
    let stream = word.parse().ok().filter(|_| digits);
    stream.ok_or_else(|| LineError::Stream(Quoted::new(word)))
}

fn no_more<'a>(mut words: impl Iterator<Item = &'a str>, error: LineError) -> Result<(), LineError> {
    words.next().map_or(Ok(()), |_| Err(error))
}

fn parse_source<'a>(mut words: impl Iterator<Item = &'a str>) -> Result<Command, LineError> {
    let stream = parse_stream(&mut words, LineError::Source)?;
    let source = match words.next() {
        Some("wav") => SourceWord::Wav,
        Some("silence" | "null") => SourceWord::Silence,
        Some(word) => {
            let hz = word.strip_prefix("tone:").and_then(|hz| hz.parse().ok());
            SourceWord::Tone(hz.filter(|hz| (1..=20_000).contains(hz)).ok_or(LineError::Source)?)
        }
        None => return Err(LineError::Source),
    };
    no_more(words, LineError::Source)?;
    Ok(Command::Source { stream, source })
}

fn parse_sink<'a>(mut words: impl Iterator<Item = &'a str>) -> Result<Command, LineError> {
    let stream = parse_stream(&mut words, LineError::Sink)?;
    let sink = match words.next() {
        Some("wav") => SinkWord::Wav,
        Some("raw") => SinkWord::Raw,
        Some("null") => SinkWord::Null,
        Some("default") => SinkWord::Default,
        _ => return Err(LineError::Sink),
    };
    no_more(words, LineError::Sink)?;
    Ok(Command::Sink { stream, sink })
}

fn parse_volume<'a>(mut words: impl Iterator<Item = &'a str>) -> Result<Command, LineError> {
    let stream = parse_stream(&mut words, LineError::Volume)?;
    let volume = words.next().map(|word| word.parse().map_err(|()| LineError::Volume)).transpose()?;
    no_more(words, LineError::Volume)?;
    Ok(Command::Volume { stream, volume })
}

fn parse_jack<'a>(mut words: impl Iterator<Item = &'a str>) -> Result<Command, LineError> {
    let stream = parse_stream(&mut words, LineError::Jack)?;
    let plugged = match words.next() {
        None => None,
        Some("in") => Some(true),
        Some("out") => Some(false),
        Some(_) => return Err(LineError::Jack),
    };
    if words.next().is_some() { Err(LineError::Jack) } else { Ok(Command::Jack { stream, plugged }) }
}

/// `jack 0 out`: what was done, and what there is.
pub fn jack_line(stream: u32, plugged: bool) -> String {
    format!("jack {stream} {}", if plugged { "in" } else { "out" })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lines_are_read() {
        let jack = |stream, plugged| Ok(Command::Jack { stream, plugged });
        for (line, command) in [
            ("jack 0 out", jack(0, Some(false))),
            ("jack 15 in", jack(15, Some(true))),
            ("  jack\t007  ", jack(7, None)),
            ("stats", Ok(Command::Stats)),
            ("help\r", Ok(Command::Help)),
            ("", Err(LineError::Empty)),
            ("jack", Err(LineError::Jack)),
            ("jack 0 up", Err(LineError::Jack)),
            ("jack 0 in out", Err(LineError::Jack)),
            ("jack +1 in", Err(LineError::Stream(Quoted::new("+1")))),
            ("jack 4294967296", Err(LineError::Stream(Quoted::new("4294967296")))),
            ("plug 3", jack(3, Some(true))),
            ("unplug 0", jack(0, Some(false))),
            ("plug", Err(LineError::Plug)),
            ("unplug 0 now", Err(LineError::Plug)),
            ("source 1 wav", Ok(Command::Source { stream: 1, source: SourceWord::Wav })),
            ("source 1 tone:1000", Ok(Command::Source { stream: 1, source: SourceWord::Tone(1000) })),
            ("source 1 silence", Ok(Command::Source { stream: 1, source: SourceWord::Silence })),
            ("source 1 tone:0", Err(LineError::Source)),
            ("source 1 tone:20001", Err(LineError::Source)),
            ("source 1 wav:a.wav", Err(LineError::Source)),
            ("source 1", Err(LineError::Source)),
            ("source x tone:1", Err(LineError::Stream(Quoted::new("x")))),
            ("sink 0 wav", Ok(Command::Sink { stream: 0, sink: SinkWord::Wav })),
            ("sink 0 raw", Ok(Command::Sink { stream: 0, sink: SinkWord::Raw })),
            ("sink 0 null", Ok(Command::Sink { stream: 0, sink: SinkWord::Null })),
            ("sink 0 default", Ok(Command::Sink { stream: 0, sink: SinkWord::Default })),
            ("sink 0 wav b", Err(LineError::Sink)),
            ("sink 0 mp3", Err(LineError::Sink)),
            ("volume 0", Ok(Command::Volume { stream: 0, volume: None })),
            ("volume 0 -6.5dB", Ok(Command::Volume { stream: 0, volume: Some(Volume::Level(-425_984)) })),
            ("volume 0 0", Ok(Command::Volume { stream: 0, volume: Some(Volume::Level(0)) })),
            ("volume 0 mute", Ok(Command::Volume { stream: 0, volume: Some(Volume::Mute) })),
            ("volume 0 1dB", Err(LineError::Volume)),
            ("volume 0 -97", Err(LineError::Volume)),
            ("volume 0 NaN", Err(LineError::Volume)),
            ("listen 2", Ok(Command::Listen { stream: 2 })),
            ("listen", Err(LineError::Listen)),
            ("listen 0 now", Err(LineError::Listen)),
            ("stats all", Err(LineError::Words("stats"))),
            ("JACK 0", Err(LineError::Unknown(Quoted::new("JACK")))),
        ] {
            assert_eq!(parse(line.as_bytes()), command, "{line:?}");
        }
        assert_eq!(parse(b"jack \xFF"), Err(LineError::NotText));
        assert_eq!(parse(&[b' '; LINE_BYTES_MAX]), Err(LineError::Empty));
        assert_eq!(parse(&[b' '; LINE_BYTES_MAX + 1]), Err(LineError::TooLong));
    }

    #[test]
    fn what_is_heard_says_what_it_is() {
        let format = StreamFormat { sample: SampleFormat::S24In32, channels: 2, rate: 44_100 };
        let heard = Heard { format, bytes: 16, lost: 3 };
        assert_eq!(heard.to_string(), "sound s24in32 44100 2 16 3");
        assert_eq!(heard.to_string().parse(), Ok(heard));
        for wrong in [
            "",
            "sound",
            "noise s16 48000 2 4 0",
            "sound s17 48000 2 4 0",
            "sound s16 48000 0 4 0",
            "sound s16 48000 9 18 0",
            "sound s16 48000 2 5 0",
            "sound s16 48000 2 1048580 0",
            "sound s16 48000 2 4",
            "sound s16 48000 2 4 0 0",
            "sound s16 48000 2 -4 0",
        ] {
            assert_eq!(wrong.parse::<Heard>(), Err(()), "{wrong}");
        }
    }

    /// Words that are nearly commands, and bytes that are nothing.
    fn line() -> impl Strategy<Value = Vec<u8>> {
        let word = prop_oneof![
            Just("jack".to_owned()),
            Just("stats".to_owned()),
            Just("help".to_owned()),
            "plug|unplug|source|sink|volume|listen|wav|raw|null|default|silence|mute",
            "tone:[0-9]{0,6}",
            "-?[0-9]{0,3}(\\.[0-9]{0,3})?(dB)?",
            Just("in".to_owned()),
            Just("out".to_owned()),
            any::<u64>().prop_map(|number| number.to_string()),
            any::<i8>().prop_map(|number| number.to_string()),
            ".{0,40}",
        ];
        let words = proptest::collection::vec((word, "[ \t\r]{1,3}"), 0..6);
        let words = words.prop_map(|words| {
            words
                .into_iter()
                .flat_map(|(word, space)| word.into_bytes().into_iter().chain(space.into_bytes()))
        });
        prop_oneof![words.prop_map(Iterator::collect), proptest::collection::vec(any::<u8>(), 0..600)]
    }

    proptest! {
        #[test]
        fn whatever_comes_is_a_command_that_says_itself_or_one_line_of_error(line in line()) {
            match parse(&line) {
                Ok(Command::Jack { stream, plugged: Some(plugged) }) => {
                    let again = jack_line(stream, plugged);
                    prop_assert_eq!(parse(again.as_bytes()), Ok(Command::Jack { stream, plugged: Some(plugged) }));
                    let words: Vec<_> = again.split(' ').collect();
                    let text = String::from_utf8(line).unwrap();
                    let given: Vec<_> = text.split_ascii_whitespace().collect();
                    prop_assert_eq!((words[0], words[2]), (given[0], given[2]));
                    prop_assert_eq!(given[1].trim_start_matches('0'), words[1].trim_start_matches('0'));
                }
                Ok(_) => prop_assert!(line.len() <= LINE_BYTES_MAX),
                Err(error) => {
                    let told = error.to_string();
                    prop_assert!(told.len() < 400 && !told.chars().any(char::is_control), "{}", told);
                }
            }
        }

        /// What it says of itself is read as the same, to the last place.
        #[test]
        fn every_volume_reads_back(units in ringwave_audio::gain::VOLUME_MIN..=0) {
            let volume = Volume::Level(units);
            prop_assert_eq!(volume.to_string().parse(), Ok(volume));
            prop_assert_eq!(volume.gain().volume(7), Some(units));
        }

        #[test]
        fn every_stream_can_be_named(stream in any::<u32>(), plugged in any::<bool>()) {
            let line = jack_line(stream, plugged);
            prop_assert_eq!(parse(line.as_bytes()), Ok(Command::Jack { stream, plugged: Some(plugged) }));
            let ask = format!("jack {stream}");
            prop_assert_eq!(parse(ask.as_bytes()), Ok(Command::Jack { stream, plugged: None }));
        }
    }
}
