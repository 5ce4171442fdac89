//! Stands in for a program of Windows that our scripts call and Wine has not: under the name of that program
//! it writes its command line to a file and answers what the environment says. `tests/inf/run-install`,
//! `run-setup` and `run-agent` run it in Wine.
//!
//! | variable | what |
//! |---|---|
//! | `stand_in_calls` | the file that each command line is appended to |
//! | `pnputil_delete_driver_oem3_inf`, `pnputil_delete_driver` | the answer to `pnputil /delete-driver oem3.inf ...`: the longest name that is set counts. Its first line is the exit code, the rest is printed |
//! | `powershell_Get_Content` | the same for a command by the first cmdlet in it that has one |
//! | `powershell_sound_ps1_0`, `powershell_sound_ps1` | the same for `powershell -File ...\sound.ps1 ... 0`, and whatever its last argument is |
//! | `powershell_sound_ps1__2` | the answer when this very command line is called for the second time |
//!
//! `fc /b A B` compares the files, and `find [/i] TEXT` prints the lines that have it (Wine's has no /i).
//! What has no answer ends with 99.
#![cfg_attr(windows, no_std, no_main)]
#![allow(clippy::doc_markdown, reason = "names of Windows")]

#[cfg(windows)]
extern crate alloc;
#[cfg(windows)]
#[path = "windows/files.rs"]
mod files;
#[cfg(windows)]
#[path = "windows/runtime.rs"]
mod runtime;
#[cfg(windows)]
#[allow(dead_code, reason = "the probe's part")]
#[path = "windows/sys.rs"]
mod sys;

#[cfg(windows)]
mod stand_in {
    use crate::files::{append, input, read};
    use crate::runtime::{arguments, exit, say, variable};
    use alloc::format;
    use alloc::string::String;
    use alloc::vec::Vec;

    /// Exit code of a command that has no answer.
    const NO_ANSWER: u32 = 99;

    /// The program's entry.
    #[unsafe(no_mangle)]
    pub extern "system" fn start() -> ! {
        let arguments = arguments();
        let (path, rest) =
            arguments.split_first().map_or(("", &[][..]), |(path, rest)| (path.as_str(), rest));
        let file = path.rsplit(['\\', '/']).next().unwrap_or_default();
        let program = file.split('.').next().unwrap_or_default();
        let line = format!("{program} {}\r\n", rest.join(" "));
        let mut times = 1;
        if let Some(calls) = variable("stand_in_calls") {
            let before = read(&calls).unwrap_or_default();
            times += String::from_utf8_lossy(&before)
                .lines()
                .filter(|call| *call == line.trim_end_matches(['\r', '\n']))
                .count();
            append(&calls, &line);
        }
        if let ("fc", [_, first, second]) = (program, rest) {
            exit(match (read(first), read(second)) {
                (Some(first), Some(second)) => u32::from(first != second),
                _ => 2,
            });
        }
        if program == "find" {
            exit(find(rest));
        }
        let names = if program == "powershell" { cmdlets(program, rest) } else { prefixes(program, rest) };
        let answer = |name: &String| variable(&format!("{name}__{times}")).or_else(|| variable(name));
        let Some(answer) = names.iter().find_map(answer) else {
            say(&format!("{program} has no answer"));
            exit(NO_ANSWER)
        };
        let (code, output) = answer.split_once('\n').unwrap_or((&answer, ""));
        if !output.is_empty() {
            say(output);
        }
        exit(code.trim().parse().unwrap_or(NO_ANSWER))
    }

    /// Prints the lines of standard input that have a text; 1 if there is none.
    fn find(arguments: &[String]) -> u32 {
        let any_case = arguments.iter().any(|argument| argument.eq_ignore_ascii_case("/i"));
        let folded = |text: &str| if any_case { text.to_ascii_lowercase() } else { String::from(text) };
        let wanted = folded(arguments.last().map_or("", String::as_str));
        let text = input();
        let mut code = 1;
        for line in String::from_utf8_lossy(&text).lines().filter(|line| folded(line).contains(&wanted)) {
            say(line);
            code = 0;
        }
        code
    }

    /// Names for a command line, the longest first.
    fn prefixes(program: &str, arguments: &[String]) -> Vec<String> {
        let name = |count| {
            let words = arguments.iter().take(count).map(|word| word.trim_start_matches(['/', '-']));
            words.fold(String::from(program), |name, word| format!("{name}_{}", plain(word)))
        };
        (0..=arguments.len()).rev().map(name).collect()
    }

    /// Names for the cmdlets in a command.
    fn cmdlets(program: &str, arguments: &[String]) -> Vec<String> {
        let file = arguments.iter().skip_while(|word| !word.eq_ignore_ascii_case("-File")).nth(1);
        if let Some(name) = file.and_then(|path| path.rsplit(['\\', '/']).next()) {
            let name = format!("{program}_{}", plain(name));
            let last = arguments.last().map_or("", String::as_str);
            return alloc::vec![format!("{name}_{}", plain(last)), name];
        }
        let all = arguments.iter().flat_map(|text| text.split([' ', '(', ';']));
        let cmdlets = all.filter(|word| word.find('-').is_some_and(|at| at > 0));
        cmdlets.map(|word| format!("{program}_{}", plain(word))).collect()
    }

    /// As a variable can be called.
    fn plain(word: &str) -> String {
        word.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '_' }).collect()
    }
}

#[cfg(not(windows))]
fn main() {
    eprintln!(
        "this is a Windows program; tests/inf/run-install, run-setup and run-agent build it and run it in Wine"
    );
    std::process::exit(2);
}
