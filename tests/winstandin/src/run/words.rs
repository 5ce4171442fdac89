//! The program that a run starts: a few words, in `command.cmd` itself or, a line each, in a file that the
//! run brought along. `then` stands between two of them.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::cd::code;

/// What the program does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Word {
    /// `echo TEXT...`: says it.
    Echo(String),
    /// `args TEXT...`: says each argument on a line of its own, in brackets.
    Args(Vec<String>),
    /// `cat FILE`: says what stands in a file that the run brought along.
    Cat(String),
    /// `write FILE TEXT...`: to a file of the out folder.
    Write(String, String),
    /// `fill [MIB]`: writes so much to a file of the out folder, or as much as the disk takes.
    Fill(u64),
    /// `play FILE`: the first 2 s of a WAV file that the run brought along.
    Play(String),
    /// `reboots CODE N`: in the first N boots, ends with this exit code.
    Reboots(i64, u32),
    /// `exit N`.
    Exit(i64),
    /// `wait`: until Windows is told to shut down.
    Wait,
    /// `hang`: does not even notice that.
    Hang,
    /// `crash`: takes Windows with it.
    Crash,
}

/// What `cmd.exe` gives back for a program that it does not find.
pub const NOT_FOUND: i64 = 9009;

/// The words of a command line; none if its first word is none of these: then it is the name of a file.
pub fn parse(arguments: &[String]) -> Option<Vec<Word>> {
    arguments.split(|argument| argument == "then").map(word).collect()
}

/// The words of a file, a line each; `#` begins a remark.
pub fn script(text: &str) -> Option<Vec<Word>> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let lines = lines.map(|line| {
        let arguments: Vec<String> = line.split_ascii_whitespace().map(ToString::to_string).collect();
        parse(&arguments)
    });
    lines.collect::<Option<Vec<_>>>().map(|words| words.concat())
}

fn word(arguments: &[String]) -> Option<Word> {
    let (name, rest) = arguments.split_first()?;
    let first = || rest.first().cloned();
    Some(match name.strip_suffix(".exe").unwrap_or(name) {
        "echo" => Word::Echo(rest.join(" ")),
        "args" => Word::Args(rest.to_vec()),
        "cat" => Word::Cat(first()?),
        "write" => Word::Write(first()?, rest.get(1..)?.join(" ")),
        "fill" => Word::Fill(rest.first().map_or(Some(u64::MAX), |mib| mib.parse().ok())?),
        "play" => Word::Play(first()?),
        "reboots" => Word::Reboots(code(&first()?)?, rest.get(1)?.parse().ok()?),
        "exit" => Word::Exit(code(&first()?)?),
        "wait" => Word::Wait,
        "hang" => Word::Hang,
        "crash" => Word::Crash,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Option<Vec<Word>> {
        parse(&line.split(' ').map(ToString::to_string).collect::<Vec<_>>())
    }

    #[test]
    fn a_command_line_is_words_with_then_between() {
        assert_eq!(
            words("echo hello you then write a\\b.txt x y then exit 3"),
            Some(alloc::vec![
                Word::Echo("hello you".into()),
                Word::Write("a\\b.txt".into(), "x y".into()),
                Word::Exit(3)
            ])
        );
        assert_eq!(words("exit 3221225477"), Some(alloc::vec![Word::Exit(0xC000_0005)]));
        assert_eq!(words("exit -1"), Some(alloc::vec![Word::Exit(-1)]));
        assert_eq!(words("fill"), Some(alloc::vec![Word::Fill(u64::MAX)]));
        for none in ["test.exe --arg", "exit", "exit 4294967296", "echo a then", "reboots 3010"] {
            assert_eq!(words(none), None, "{none}");
        }
    }

    #[test]
    fn a_file_is_words_line_by_line() {
        let text = "# a remark\r\necho one\r\n\r\nreboots 3010 2 then exit 0\r\n";
        assert_eq!(
            script(text),
            Some(alloc::vec![Word::Echo("one".into()), Word::Reboots(3010, 2), Word::Exit(0)])
        );
        assert_eq!(script("MZ\u{1}"), None);
    }
}
