//! What a package installs beside the program: completions for shells, and manual pages. Both are made of the
//! same descriptions of options as `--help`.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::Cli;
use super::commands::{Failure, bad_input};

/// Print completions for a shell
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  ringwave completions bash > ~/.local/share/bash-completion/completions/ringwave
  ringwave completions fish > ~/.config/fish/completions/ringwave.fish")]
pub struct Completions {
    /// Which shell
    #[arg(value_enum)]
    pub shell: Shell,
}

/// Write manual pages, one for each command
#[derive(Args, Debug)]
pub struct Man {
    /// The folder
    #[arg(value_name = "DIR")]
    pub out: PathBuf,
}

/// Prints completions.
pub fn completions(arguments: &Completions) -> ExitCode {
    let mut text = Vec::new();
    clap_complete::generate(arguments.shell, &mut Cli::command(), "ringwave", &mut text);
    // A reader that does not want it all (head) is no failure.
    let _ = std::io::stdout().write_all(&text);
    ExitCode::SUCCESS
}

/// Writes manual pages.
pub fn man(arguments: &Man) -> Result<ExitCode, Failure> {
    let shown = arguments.out.display();
    clap_mangen::generate_to(Cli::command(), &arguments.out)
        .map_err(|error| bad_input(format!("{shown}: {error}; name a folder that can be written")))?;
    Ok(ExitCode::SUCCESS)
}
