//! `ringwave schema`: what the JSON of `--stats` has, for scripts that read it.

use std::io::Write;
use std::process::ExitCode;

use clap::Args;
use ringwave_report::SessionReport;

/// Print the JSON Schema of the statistics
///
/// What `serve --stats` and `control SOCKET stats` write. The number in `schema` is raised when a
/// key goes away or changes its meaning.
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  ringwave schema > stats.schema.json")]
pub struct Schema {}

/// Prints it.
pub fn run(_: &Schema) -> ExitCode {
    // A reader that does not want it all (head) is no failure.
    let _ = writeln!(std::io::stdout(), "{}", SessionReport::json_schema());
    ExitCode::SUCCESS
}
