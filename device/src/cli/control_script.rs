//! `ringwave control --script`: commands with their times, so that a hot-plug test is one file.

use std::path::Path;
use std::time::{Duration, Instant};

use ringwave_audio::next_step;

use super::commands::{Failure, bad_input, failed};
use super::control::send;
use super::control_files::{self, Order};

/// A script is a page or two.
const SCRIPT_BYTES_MAX: u64 = 1 << 20;
/// The latest time, seconds: a day.
const SECONDS_MAX: f64 = 86_400.0;

/// A line of the script.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Action {
    /// Its number, from 1.
    line: usize,
    /// Since the script began.
    at: Duration,
    command: String,
}

/// Why a script is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum ScriptError {
    #[error("line {0}: write at SECONDS COMMAND, such as: at 2.0 plug 1")]
    Shape(usize),
    #[error("line {0}: the time is before that of the line above; put the lines in their order")]
    Order(usize),
    #[error("line {0}: {1}")]
    Command(usize, String),
    #[error("it has no command; write lines such as: at 2.0 plug 1")]
    Empty,
}

/// Reads a script: one action a line, in the order of their times; what is behind `#` at the beginning of a
/// line or after a space is a comment.
fn parse(text: &str) -> Result<Vec<Action>, ScriptError> {
    let mut actions: Vec<Action> = Vec::new();
    for (line, text) in (1..).zip(text.lines()) {
        let text = text.strip_prefix('#').map_or(text, |_| "");
        let text = text.split_once(" #").map_or(text, |(text, _)| text).trim();
        if text.is_empty() {
            continue;
        }
        let action = parse_action(line, text)?;
        if actions.last().is_some_and(|before| before.at > action.at) {
            return Err(ScriptError::Order(line));
        }
        actions.push(action);
    }
    if actions.is_empty() { Err(ScriptError::Empty) } else { Ok(actions) }
}

fn parse_action(line: usize, text: &str) -> Result<Action, ScriptError> {
    let shape = || ScriptError::Shape(line);
    let rest =
        text.strip_prefix("at").filter(|rest| rest.starts_with(char::is_whitespace)).ok_or_else(shape)?;
    let (time, command) = rest.trim_start().split_once(char::is_whitespace).ok_or_else(shape)?;
    let digits = time.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let seconds: f64 = time.parse().ok().filter(|_| digits).ok_or_else(shape)?;
    if seconds > SECONDS_MAX {
        return Err(ScriptError::Command(line, "later than a day; take an earlier time".to_owned()));
    }
    let command = command.trim().to_owned();
    let parsed = ringwave::control::parse(control_files::line_of(&command).as_bytes());
    parsed.map_err(|error| ScriptError::Command(line, error.to_string()))?;
    Ok(Action { line, at: Duration::from_secs_f64(seconds), command })
}

/// Does what the script at `path` says with the card at `socket`. Prints each answer with its time.
pub fn run(socket: &Path, path: &Path, mut print: impl FnMut(&str)) -> Result<(), Failure> {
    let shown = path.display();
    let about = std::fs::metadata(path);
    let about = about.map_err(|error| bad_input(format!("{shown}: {}", next_step::reading(&error))))?;
    if !about.is_file() || about.len() > SCRIPT_BYTES_MAX {
        return Err(bad_input(format!("{shown}: no file of at most 1 MiB; give a script")));
    }
    let text =
        std::fs::read(path).map_err(|error| bad_input(format!("{shown}: {}", next_step::reading(&error))))?;
    let text = String::from_utf8(text).map_err(|_| bad_input(format!("{shown}: no text; write UTF-8")))?;
    let actions = parse(&text).map_err(|error| bad_input(format!("{shown}: {error}")))?;
    let at_line = |action: &Action, failure: Failure| Failure {
        line: format!("{shown}: line {}: {}", action.line, failure.line),
        code: failure.code,
    };
    // What is to be played is opened now: a wrong name is no surprise in the middle of a test.
    let mut orders: Vec<Option<Order>> = Vec::new();
    for action in &actions {
        let later = control_files::makes_file(&action.command);
        let order = (!later).then(|| control_files::order(&action.command)).transpose();
        orders.push(order.map_err(|failure| at_line(action, failure))?);
    }
    // And somebody must be there.
    send(socket, &control_files::order("help")?)?;
    let begin = Instant::now();
    for (action, order) in actions.iter().zip(orders) {
        std::thread::sleep(action.at.saturating_sub(begin.elapsed()));
        let done = order.map_or_else(|| control_files::order(&action.command), Ok);
        let answer = done.and_then(|order| send(socket, &order));
        let answer = answer.map_err(|failure| failed(at_line(action, failure).line))?;
        print(&format!("{:.3} {answer}", begin.elapsed().as_secs_f64()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn action(line: usize, millis: u64, command: &str) -> Action {
        Action { line, at: Duration::from_millis(millis), command: command.to_owned() }
    }

    #[test]
    fn scripts_are_read_or_refused_by_line() {
        let text = "# a test\n\nat 2.0 plug 1   # the microphone\r\n  at 3.5\tsource 1 wav:a #1.wav\nat 3.5 jack 0 out\n";
        let read =
            [action(3, 2000, "plug 1"), action(4, 3500, "source 1 wav:a"), action(5, 3500, "jack 0 out")];
        assert_eq!(parse(text).unwrap(), read);
        for (text, error) in [
            ("", ScriptError::Empty),
            ("# nothing\n", ScriptError::Empty),
            ("2.0 plug 1", ScriptError::Shape(1)),
            ("at 2.0", ScriptError::Shape(1)),
            ("at two plug 1", ScriptError::Shape(1)),
            ("at -1 plug 1", ScriptError::Shape(1)),
            ("at inf plug 1", ScriptError::Shape(1)),
            ("attic 2 plug 1", ScriptError::Shape(1)),
            ("at 2 plug 1\nat 1 plug 1", ScriptError::Order(2)),
            ("at 1 plug", ScriptError::Command(1, "write plug STREAM or unplug STREAM".to_owned())),
            ("at 90000 plug 1", ScriptError::Command(1, "later than a day; take an earlier time".to_owned())),
        ] {
            assert_eq!(parse(text), Err(error), "{text:?}");
        }
        assert!(matches!(parse("\nat 1 play 0"), Err(ScriptError::Command(2, _))));
    }

    proptest! {
        /// Actions in the order of their times, or one line of error.
        #[test]
        fn whatever_is_written_is_a_script_or_an_error(lines in proptest::collection::vec(
            prop_oneof!["at [0-9.]{1,6} (plug|unplug|source|sink|volume|jack|stats) [0-9] ?.{0,12}", ".{0,30}", "# .{0,9}"], 0..12
        )) {
            match parse(&lines.join("\n")) {
                Ok(actions) => prop_assert!(actions.is_sorted_by_key(|action| (action.at, action.line))),
                Err(error) => {
                    let told = error.to_string();
                    prop_assert!(told.len() < 600 && !told.chars().any(char::is_control), "{}", told);
                }
            }
        }
    }
}
