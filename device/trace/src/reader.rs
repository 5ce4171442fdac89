//! The reading end of a trace: whoever made the bytes, they are lines of a trace or an error.

use std::io::{self, BufRead, BufReader, Read};

use super::event::TraceRecord;
use super::line;

/// Longer than any line of a trace.
const LINE_BYTES_MAX: u64 = 4096;

/// Why the bytes are no trace.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// They could not be read.
    #[error("{}", ringwave_audio::next_step::reading(.0))]
    Io(#[from] io::Error),
    /// Something else.
    #[error(
        "this is no trace: it does not begin with \"{}\"; give a file of serve --trace",
        line::FIRST_WORDS
    )]
    NoTrace,
    /// A line that is none, in the middle.
    #[error("line {0} is no line of a trace; what the others say is right, record it again for the rest")]
    Line(u64),
    /// Two lines of which the second is older.
    #[error("line {0} is older than the one before it; is it two traces in one file?")]
    TimeGoesBack(u64),
}

/// What [`Reader::next_item`] gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item {
    /// A record.
    Record(TraceRecord),
    /// The last line was cut: the card was killed while it wrote, or is still writing.
    Cut,
}

/// Reads one record after the other.
pub struct Reader<R> {
    from: BufReader<R>,
    line: Vec<u8>,
    number: u64,
    header: String,
    time: u64,
}

impl<R: Read> Reader<R> {
    /// Reads the first line.
    pub fn new(from: R) -> Result<Self, TraceError> {
        let from = BufReader::new(from);
        let mut reader = Self { from, line: Vec::new(), number: 0, header: String::new(), time: 0 };
        if !reader.next_line()? {
            return Err(TraceError::NoTrace);
        }
        let words = reader.text().and_then(|line| line.strip_prefix(line::FIRST_WORDS));
        let rest = words.filter(|rest| rest.is_empty() || rest.starts_with(' '));
        reader.header = rest.map(|rest| rest.trim().to_owned()).ok_or(TraceError::NoTrace)?;
        Ok(reader)
    }

    /// What the first line says, `name=value` by `name=value`.
    pub fn header(&self) -> impl Iterator<Item = (&str, &str)> {
        self.header.split(' ').filter_map(|word| word.split_once('='))
    }

    /// Number of the line that was read last, from 1.
    pub fn line_number(&self) -> u64 {
        self.number
    }

    /// The next record; `None` at the end. After an error about a line the next call goes on behind it.
    pub fn next_item(&mut self) -> Result<Option<Item>, TraceError> {
        if !self.next_line()? {
            return Ok(None);
        }
        if self.line.last() != Some(&b'\n') && self.line.len() < usize::try_from(LINE_BYTES_MAX).unwrap_or(0)
        {
            return Ok(Some(Item::Cut));
        }
        let record = self.text().and_then(line::parse).ok_or(TraceError::Line(self.number))?;
        if record.time < self.time {
            return Err(TraceError::TimeGoesBack(self.number));
        }
        self.time = record.time;
        Ok(Some(Item::Record(record)))
    }

    /// Whether the next line is here already: to read it is no wait for whoever makes the trace.
    pub fn has_line(&self) -> bool {
        self.from.buffer().contains(&b'\n')
    }

    /// Reads up to the line's end; `false` at the end. Of a line that is too long the rest is read as lines
    /// of their own.
    fn next_line(&mut self) -> io::Result<bool> {
        self.line.clear();
        self.number += 1;
        Ok((&mut self.from).take(LINE_BYTES_MAX).read_until(b'\n', &mut self.line)? != 0)
    }

    /// The line without its end, if it is text.
    fn text(&self) -> Option<&str> {
        str::from_utf8(self.line.strip_suffix(b"\n").unwrap_or(&self.line)).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Reads to the end: the events' times, and what else there was.
    fn read(bytes: &[u8]) -> (Vec<u64>, Vec<String>) {
        let (mut times, mut others) = (Vec::new(), Vec::new());
        match Reader::new(bytes) {
            Ok(mut reader) => loop {
                match reader.next_item() {
                    Ok(Some(Item::Record(event))) => times.push(event.time),
                    Ok(Some(Item::Cut)) => others.push("cut".to_owned()),
                    Ok(None) => break,
                    Err(error) => others.push(error.to_string()),
                }
            },
            Err(error) => others.push(error.to_string()),
        }
        (times, others)
    }

    #[test]
    fn a_cut_end_is_not_an_error_and_a_cut_middle_is() {
        assert_eq!(read(b"ringwave-trace 1 a=b\n1 reset\n2 reset\n"), (vec![1, 2], vec![]));
        assert_eq!(read(b"ringwave-trace 1 a=b\n1 reset\n2 rese"), (vec![1], vec!["cut".into()]));
        assert_eq!(read(b"ringwave-trace 1"), (vec![], vec![]));
        let (times, others) = read(b"ringwave-trace 1\n1 reset\n2 rese\n\n3 reset\n");
        assert_eq!(times, [1, 3]);
        let begins = |place: usize, begin: &str| others[place].starts_with(begin);
        assert!(others.len() == 2 && begins(0, "line 3 is no line of") && begins(1, "line 4 is no line of"));
        let (times, others) = read(b"ringwave-trace 1\n5 reset\n4 reset\n5 reset\n");
        assert_eq!((times, others.len()), (vec![5, 5], 1));
    }

    #[test]
    fn the_first_line_tells_of_the_card() {
        let reader = Reader::new(&b"ringwave-trace 1 clock=lockstep speed=2.5\n"[..]).unwrap();
        let told: Vec<_> = reader.header().collect();
        assert_eq!(told, [("clock", "lockstep"), ("speed", "2.5")]);
    }

    #[test]
    fn a_line_without_end_takes_no_memory() {
        let mut bytes = b"ringwave-trace 1\n".to_vec();
        bytes.resize(1 << 20, b'x');
        let mut reader = Reader::new(&bytes[..]).unwrap();
        assert!(reader.next_item().is_err());
        assert!(reader.line.capacity() < 64 << 10);
    }

    proptest! {
        #[test]
        fn foreign_bytes_come_to_an_end(bytes in proptest::collection::vec(any::<u8>(), 0..2000), lines: bool) {
            let mut trace = if lines { b"ringwave-trace 1\n".to_vec() } else { Vec::new() };
            trace.extend(bytes);
            let (times, _) = read(&trace);
            prop_assert!(times.is_sorted());
        }
    }
}
