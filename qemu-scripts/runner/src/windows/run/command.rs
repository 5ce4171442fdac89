//! `command.cmd`: the user's program with its arguments, in the words of cmd.exe. WINDOWS.md, 6.
//!
//! Two readers stand between: cmd.exe, and the C library of the program, which makes arguments of a line
//! (Microsoft's page "Parsing C command-line arguments").

use crate::error::Error;

/// Below the 8,191 characters that cmd.exe takes in a line.
const LINE_MAX: usize = 8_000;
/// What means something to cmd.exe outside of quotes.
const SPECIAL: &str = "()!^\"<>&|";

/// The file for this program and its arguments.
///
/// # Errors
/// [`Error::BadInput`] with what to do, if a line of cmd.exe can't hold them.
pub fn file(words: &[String]) -> Result<String, Error> {
    let bad = |text: String| Err(Error::BadInput(text));
    let Some((program, arguments)) = words.split_first().filter(|(program, _)| !program.is_empty()) else {
        return bad("no program: name it behind --, as in -- test.exe --arg".into());
    };
    if let Some(word) = words.iter().find(|word| !word.chars().all(|c| (' '..='~').contains(&c))) {
        return bad(format!(
            "{word:?}: a command line here is printable ASCII; put the rest into a file of --copy"
        ));
    }
    if program.contains('"') {
        return bad(format!("{program}: no program of Windows has a quote in its name"));
    }
    let mut line = quoted_program(program);
    for argument in arguments {
        line.push(' ');
        line.push_str(&escaped(&quoted(argument)));
    }
    if line.len() > LINE_MAX {
        return bad(format!(
            "the command line has {} characters, and cmd.exe takes {LINE_MAX}; put it into a file of --copy",
            line.len()
        ));
    }
    Ok(format!("@echo off\n{line}\nexit /b %errorlevel%\n"))
}

/// The program's name stands in plain quotes, or cmd.exe would end it at its first space.
fn quoted_program(name: &str) -> String {
    let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || "._-:\\/".contains(c));
    if plain { name.to_owned() } else { format!("\"{}\"", name.replace('%', "%%")) }
}

/// As the C library reads it: backslashes are doubled before a quote only.
fn quoted(argument: &str) -> String {
    if !argument.is_empty() && !argument.contains([' ', '"']) {
        return argument.to_owned();
    }
    let (mut text, mut backslashes) = (String::from('"'), 0);
    for character in argument.chars() {
        if character == '"' {
            text.push_str(&"\\".repeat(backslashes + 1));
        }
        backslashes = if character == '\\' { backslashes + 1 } else { 0 };
        text.push(character);
    }
    text.push_str(&"\\".repeat(backslashes));
    text.push('"');
    text
}

/// As cmd.exe reads it in a file: it sees no quotes at all, so nothing is inside of any.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for character in text.chars() {
        if SPECIAL.contains(character) {
            out.push('^');
        }
        out.push(character);
        if character == '%' {
            out.push('%');
        }
    }
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "test code")]
    use super::*;

    fn line(words: &[&str]) -> String {
        let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
        let file = file(&words).unwrap();
        let lines: Vec<&str> = file.lines().collect();
        assert_eq!((lines.len(), lines[0], lines[2]), (3, "@echo off", "exit /b %errorlevel%"));
        lines[1].to_owned()
    }

    #[test]
    fn what_the_user_wrote_is_what_the_program_gets() {
        assert_eq!(line(&["test.exe", "--arg", "x"]), "test.exe --arg x");
        assert_eq!(line(&["my test.exe"]), "\"my test.exe\"");
        assert_eq!(line(&["a.exe", ""]), "a.exe ^\"^\"");
        assert_eq!(line(&["a.exe", "two words"]), "a.exe ^\"two words^\"");
        assert_eq!(line(&["a.exe", "%PATH%", "a&b|c"]), "a.exe %%PATH%% a^&b^|c");
        assert_eq!(line(&["a.exe", "say \"hi\""]), "a.exe ^\"say \\^\"hi\\^\"^\"");
        assert_eq!(line(&["a.exe", "C:\\in it\\"]), "a.exe ^\"C:\\in it\\\\^\"");
        assert_eq!(line(&["a.exe", "C:\\plain\\"]), "a.exe C:\\plain\\");
        assert_eq!(line(&["a.exe", "\\\"x"]), "a.exe ^\"\\\\\\^\"x^\"");
    }

    #[test]
    fn what_a_line_cannot_hold_is_refused_with_another_way() {
        let refused = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
            file(&words).unwrap_err().to_string()
        };
        assert!(refused(&[]).contains("behind --"));
        assert!(refused(&[""]).contains("behind --"));
        assert!(refused(&["a.exe", "x\ny"]).contains("--copy"));
        assert!(refused(&["a.exe", "ä"]).contains("--copy"));
        assert!(refused(&["a\"b.exe"]).contains("quote"));
        assert!(refused(&["a.exe", &"x".repeat(9000)]).contains("characters"));
    }
}
