//! A log that grows while it is read.

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::PathBuf,
};

/// What the lines of the guest's first process begin with.
pub const STEP: &str = "guest: ";

/// A reader of whole lines.
#[derive(Debug)]
pub struct LogTail {
    path: PathBuf,
    read: u64,
    /// Bytes of a line that has not come to its end.
    partial: Vec<u8>,
    all: String,
}

impl LogTail {
    /// A log at `path`, which need not be there yet.
    pub fn new(path: PathBuf) -> Self {
        Self { path, read: 0, partial: Vec::new(), all: String::new() }
    }

    /// The lines that came to their end since the last time. Serial ports end them with CR LF; LF is what is
    /// given back.
    pub fn more(&mut self) -> String {
        let read = File::open(&self.path).and_then(|mut file| {
            file.seek(SeekFrom::Start(self.read))?;
            file.read_to_end(&mut self.partial)
        });
        self.read += u64::try_from(read.unwrap_or(0)).unwrap_or(0);
        let end = self.partial.iter().rposition(|&byte| byte == b'\n').map_or(0, |index| index + 1);
        let lines: Vec<u8> = self.partial.drain(..end).collect();
        let text = String::from_utf8_lossy(&lines).replace("\r\n", "\n");
        self.all += &text;
        text
    }

    /// All lines so far.
    pub fn all(&self) -> &str {
        &self.all
    }
}

/// The last `count` lines of `text`.
pub fn last_lines(text: &str, count: usize) -> String {
    let all: Vec<&str> = text.lines().collect();
    all.get(all.len().saturating_sub(count)..).unwrap_or_default().join("\n")
}

#[cfg(test)]
mod tests {
    use std::{fs::OpenOptions, io::Write};

    use super::*;

    #[test]
    fn gives_whole_lines_each_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("log");
        let mut tail = LogTail::new(path.clone());
        assert_eq!(tail.more(), "", "no file yet");
        let mut file = OpenOptions::new().create(true).append(true).open(path).expect("a file");
        file.write_all(b"one\r\ntwo").expect("written");
        assert_eq!(tail.more(), "one\n");
        assert_eq!(tail.more(), "");
        file.write_all(b" and a half\n").expect("written");
        assert_eq!(tail.more(), "two and a half\n");
        assert_eq!(tail.all(), "one\ntwo and a half\n");
    }

    #[test]
    fn the_last_lines_of_a_short_text_are_all_of_it() {
        assert_eq!(last_lines("a\nb\nc", 2), "b\nc");
        assert_eq!(last_lines("a", 2), "a");
        assert_eq!(last_lines("", 2), "");
    }
}
