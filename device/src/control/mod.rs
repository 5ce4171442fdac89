//! The control socket: how a person or a script pulls a plug or asks for figures while the card runs
//! (`ringwave serve --control SOCKET`).
//!
//! One line in, one line out, and the connection is closed. Here is what the lines say; [`server`] is the
//! thread that takes them.
//!
//! ```text
//! jack <stream> in|out     plugs or unplugs; answer: jack <stream> in|out
//! jack <stream>            tells
//! stats                    the present client's statistics: JSON, by the schema of ringwave_report
//! help
//! error: ...               the answer to everything else
//! ```

pub mod server;

use std::fmt;

/// The longest line that is read, in bytes, without its end.
pub const LINE_BYTES_MAX: usize = 256;

/// What `help` answers.
pub const HELP: &str =
    "jack STREAM in|out: plug, unplug; jack STREAM: which; stats: the client's figures as JSON; help";

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
    /// `stats`
    Stats,
    /// `help`
    Help,
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
        "stats" => alone(Command::Stats, "stats", words),
        "help" => alone(Command::Help, "help", words),
        other => Err(LineError::Unknown(Quoted::new(other))),
    }
}

fn parse_jack<'a>(mut words: impl Iterator<Item = &'a str>) -> Result<Command, LineError> {
    let word = words.next().ok_or(LineError::Jack)?;
    let digits = word.bytes().all(|byte| byte.is_ascii_digit());
    let stream = word.parse().ok().filter(|_| digits);
    let stream = stream.ok_or_else(|| LineError::Stream(Quoted::new(word)))?;
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
            ("stats all", Err(LineError::Words("stats"))),
            ("JACK 0", Err(LineError::Unknown(Quoted::new("JACK")))),
        ] {
            assert_eq!(parse(line.as_bytes()), command, "{line:?}");
        }
        assert_eq!(parse(b"jack \xFF"), Err(LineError::NotText));
        assert_eq!(parse(&[b' '; LINE_BYTES_MAX]), Err(LineError::Empty));
        assert_eq!(parse(&[b' '; LINE_BYTES_MAX + 1]), Err(LineError::TooLong));
    }

    /// Words that are nearly commands, and bytes that are nothing.
    fn line() -> impl Strategy<Value = Vec<u8>> {
        let word = prop_oneof![
            Just("jack".to_owned()),
            Just("stats".to_owned()),
            Just("help".to_owned()),
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

        #[test]
        fn every_stream_can_be_named(stream in any::<u32>(), plugged in any::<bool>()) {
            let line = jack_line(stream, plugged);
            prop_assert_eq!(parse(line.as_bytes()), Ok(Command::Jack { stream, plugged: Some(plugged) }));
            let ask = format!("jack {stream}");
            prop_assert_eq!(parse(ask.as_bytes()), Ok(Command::Jack { stream, plugged: None }));
        }
    }
}
